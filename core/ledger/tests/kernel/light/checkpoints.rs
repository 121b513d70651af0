//! Checkpoints: the way in for whoever is new or was away too long, and no way round for anybody else.

use super::*;

/// The identity keys of the genesis.
fn identities(world: &World) -> BTreeSet<Key> {
    world.genesis.sources.iter().map(|source| source.identity).collect()
}

/// A checkpoint at a header that hospitals have signed, by their numbers.
fn vouched(header: &Header, by: &[usize]) -> SignedCheckpoint {
    let mut checkpoint = SignedCheckpoint::of(header);
    for at in by {
        checkpoint.sign(&header.chain, &hospitals()[*at].identity).unwrap();
    }
    checkpoint
}

/// A network whose phone was away for `days`, meeting all the hospitals with other keys than it knew: the phone, what it knows of
/// them, their newest header and who decided it.
fn long_away(days: u64) -> (World, LightClient, CertifiedHeader, ValidatorSet) {
    let (mut world, client) = scene();
    for hospital in 0..4 {
        world.rekey(hospital, 1);
    }
    world.wait(days * DAY);
    let (set, head) = (world.state.validators().unwrap(), world.certified(1_000));
    (world, client, head, set)
}

#[test]
fn whoever_was_away_too_long_goes_on_from_a_checkpoint() {
    let (mut world, mut client, head, set) = long_away(60);
    let (chain, now, known) = (world.chain, clock(&world), identities(&world));
    let too_old = skip_refused(&client, &head, &set, now);
    assert!(matches!(too_old, LightError::TooOld { .. }) && !client.is_trusted_at(now));
    // A hospital hands over a code, or three of them sign.
    let code = LightClient::from_checkpoint(&chain, &Checkpoint::of(&head.header), &head, &set, now).unwrap();
    for by in [&[0, 1, 2][..], &[1, 2, 3], &[0, 1, 2, 3]] {
        let by = vouched(&head.header, by);
        assert_eq!(LightClient::from_signed_checkpoint(&chain, &by, &known, &head, &set, now).as_ref(), Ok(&code));
    }
    assert_eq!(kept(&code).newest(), &head.header);
    assert_eq!(client.renew(&code, now), Ok(&head.header));
    assert!(kept(&client).is_trusted_at(now));
    for mut client in [client, code] {
        let mut world = world.clone();
        client.change(&world.rekey(0, 2), clock(&world)).unwrap();
        let head = world.certified(1_000);
        assert_eq!(kept(&client).accept(&head, clock(&world)), Ok(&head.header));
    }
    // The block before a change leads on to it.
    let change = world.rekey(0, 2);
    let (last, now) = (&change.last, clock(&world));
    let mut fresh = LightClient::from_checkpoint(&chain, &Checkpoint::of(&last.header), last, &set, now).unwrap();
    assert!(!kept(&fresh).needs_change(&last.header));
    fresh.change(&change, now).unwrap();
    assert_eq!(kept(&fresh).newest(), &last.header);
}

#[test]
fn a_checkpoint_is_trusted_for_its_block_and_nothing_else() {
    let (mut world, _, head, set) = long_away(1);
    let (chain, now) = (world.chain, clock(&world));
    let (header, height) = (head.header, head.header.height);
    let start = |head: &CertifiedHeader, set: &ValidatorSet, now| {
        let checkpoint = Checkpoint::of(&head.header);
        LightClient::from_checkpoint(&chain, &checkpoint, head, set, now).map(|client| client.newest().id())
    };
    assert_eq!(start(&head, &set, now), Ok(header.id()));
    // The header must be the one named.
    let other = world.certified(1_000);
    let wrong = |checkpoint| LightClient::from_checkpoint(&chain, &checkpoint, &other, &set, now).unwrap_err();
    let not_it = LightError::OtherCheckpoint { height: other.header.height };
    assert_eq!(wrong(Checkpoint::of(&header)), not_it);
    assert_eq!(wrong(Checkpoint { height, block: other.header.id() }), not_it);
    assert_eq!(wrong(Checkpoint { height: other.header.height, block: header.id() }), not_it);
    // Decided, by the validators it names, on this network, by rules known here.
    let lie = |header: Header| start(&signed(&set, header), &set, now);
    assert_eq!(lie(Header { version: 2, ..header }), Err(LightError::Version(2)));
    assert_eq!(lie(Header { chain: ChainId::from_bytes([9; 32]), ..header }), Err(LightError::Chain));
    let first = World::new(Parameters::default()).state.validators().unwrap();
    assert_eq!(start(&head, &first, now), Err(LightError::NotItsValidators { height }));
    let swapped = CertifiedHeader { header, certificate: other.certificate.clone() };
    assert_eq!(start(&swapped, &set, now), Err(LightError::OtherBlock));
    let few = certify(&header, &set, &[secret("mercy consensus 1")]);
    let too_little = CertificateError::TooLittlePower { power: 1, total: 4 };
    assert_eq!(start(&few, &set, now), Err(LightError::Certificate(too_little)));
    let mut forged = head.clone();
    forged.certificate.round = 2;
    let wrong = CertificateError::Signature { place: 0, error: SignatureError::Wrong };
    assert_eq!(start(&forged, &set, now), Err(LightError::Certificate(wrong)));
    // Not from the future, not older than trust lasts, and not the genesis, which nobody certifies.
    let before = LocalTime(Timestamp(header.time.timestamp().0 - CLOCK_TOLERANCE_MS - 1));
    assert_eq!(start(&head, &set, before), Err(LightError::Ahead { ahead_ms: CLOCK_TOLERANCE_MS + 1 }));
    let limit = header.time.timestamp().plus(TRUSTING_PERIOD_MS);
    assert_eq!(start(&head, &set, LocalTime(limit)), Ok(header.id()));
    let late = LocalTime(limit.plus(1));
    assert_eq!(start(&head, &set, late), Err(LightError::TooOld { age_ms: TRUSTING_PERIOD_MS + 1 }));
    let genesis = signed(&first, Header::genesis(&world.genesis));
    assert_eq!(
        start(&genesis, &first, LocalTime(world.genesis.time.0)),
        Err(LightError::Passed { height: 0, first: 1 })
    );
}

#[test]
fn a_checkpoint_is_signed_by_three_sources_that_are_known() {
    let (world, _, head, set) = long_away(60);
    let (chain, now, known) = (world.chain, clock(&world), identities(&world));
    let start = |signed: &SignedCheckpoint, known: &BTreeSet<Key>| {
        LightClient::from_signed_checkpoint(&chain, signed, known, &head, &set, now).map(|client| client.newest().id())
    };
    let (good, of) = (Ok(head.header.id()), |by: &[usize]| vouched(&head.header, by));
    let few = |signed, needed| Err(LightError::Checkpoint(CheckpointError::TooFew { signed, needed }));
    assert_eq!(start(&of(&[0, 1, 2]), &known), good);
    assert_eq!(start(&of(&[0, 1]), &known), few(2, 3));
    assert_eq!(start(&of(&[]), &known), few(0, 3));
    // The same one again is the same one.
    assert_eq!(start(&of(&[0, 1, 1, 0]), &known), few(2, 3));
    // Strangers and other keys of a source count for nothing, right or wrong.
    let mut strange = of(&[0, 1]);
    for key in [secret("stranger"), hospitals()[2].operational.clone()] {
        strange.sign(&chain, &key).unwrap();
    }
    assert_eq!(start(&strange, &known), few(2, 3));
    strange.sign(&chain, &hospitals()[3].identity).unwrap();
    assert_eq!(start(&strange, &known), good);
    let (identity, signature) = (secret("liar").public(), secret("stranger").sign(b"anything"));
    strange.signatures.insert(CheckpointSignature { identity, signature }).unwrap();
    assert_eq!(start(&strange, &known), good);
    // Where fewer are known all must have signed, and where none is, nobody can vouch.
    let knows = |at: &[usize]| at.iter().map(|at| hospitals()[*at].identity.public()).collect::<BTreeSet<_>>();
    assert_eq!(start(&of(&[0, 1]), &knows(&[0, 1])), good);
    assert_eq!(start(&of(&[0, 3]), &knows(&[0, 1])), few(1, 2));
    assert_eq!(start(&of(&[2]), &knows(&[2])), good);
    assert_eq!(start(&of(&[0, 1, 2, 3]), &knows(&[])), few(0, 1));
    // The list has an end.
    let mut full = of(&[]);
    for number in 0..MAX_CHECKPOINT_SIGNATURES {
        full.sign(&chain, &secret(&format!("stranger {number}"))).unwrap();
    }
    assert_eq!(full.sign(&chain, &secret("one more")), Err(Fault::TooMany));
    assert_eq!(encoding::encode(&full).len(), SignedCheckpoint::MAX_LEN);
}

#[test]
fn a_wrong_signature_of_a_known_source_is_not_outvoted() {
    let (mut world, _, head, set) = long_away(60);
    let (chain, known, later) = (world.chain, identities(&world), world.certified(1_000));
    let now = clock(&world);
    let start = |signed: &SignedCheckpoint| {
        LightClient::from_signed_checkpoint(&chain, signed, &known, &head, &set, now).map(|client| client.newest().id())
    };
    let bad = hospitals()[3].identity.public();
    let wrong = Err(LightError::Checkpoint(CheckpointError::Signature { identity: bad, error: SignatureError::Wrong }));
    let with = |signature| {
        let mut signed = vouched(&head.header, &[0, 1, 2]);
        signed.signatures.insert(CheckpointSignature { identity: bad, signature }).unwrap();
        start(&signed)
    };
    let by = |of: &SignedCheckpoint| of.signatures.find(&bad).unwrap().signature;
    assert_eq!(with(by(&vouched(&head.header, &[3]))), Ok(head.header.id()));
    // Another's, of another block, and for another network.
    assert_eq!(with(vouched(&head.header, &[2]).signatures[0].signature), wrong);
    assert_eq!(with(by(&vouched(&later.header, &[3]))), wrong);
    let mut foreign = SignedCheckpoint::of(&head.header);
    foreign.sign(&ChainId::from_bytes([9; 32]), &hospitals()[3].identity).unwrap();
    assert_eq!(with(by(&foreign)), wrong);
    // Nothing that is signed can be changed, and what is signed must be so.
    let honest = vouched(&head.header, &[0, 1, 2]);
    let bytes = encoding::encode(&honest);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        if let Ok(signed) = encoding::decode::<SignedCheckpoint>(&changed) {
            assert!(start(&signed).is_err(), "byte {at}");
        }
    }
    let mut misdated = SignedCheckpoint { time: later.header.time, ..SignedCheckpoint::of(&head.header) };
    for hospital in hospitals() {
        misdated.sign(&chain, &hospital.identity).unwrap();
    }
    assert_eq!(start(&misdated), Err(LightError::OtherCheckpoint { height: head.header.height }));
}

#[test]
fn retired_keys_write_another_history_in_vain() {
    let (world, client, head, _) = long_away(60);
    let (chain, now, known) = (world.chain, clock(&world), identities(&world));
    // Whoever has all the first keys goes on from the genesis as if nothing had been, up to this day.
    let mut forged = World::new(Parameters::default());
    forged.wait(60 * DAY);
    let (old, change) = (forged.state.validators().unwrap(), forged.rekey(0, 1));
    let theirs = forged.certified(1_000);
    let too_old = |error| matches!(error, LightError::TooOld { .. });
    assert!(too_old(refused(&client, &change.last, now)));
    assert!(too_old(change_refused(&client, &change, now)));
    assert!(too_old(skip_refused(&client, &theirs, &change.next, now)));
    // Nor do they get it signed: not by two sources and keys that are none, and not with the signatures on the true one.
    let by = |signed: &SignedCheckpoint| {
        LightClient::from_signed_checkpoint(&chain, signed, &known, &change.last, &old, now).unwrap_err()
    };
    let mut bought = vouched(&change.last.header, &[0, 1]);
    for hospital in hospitals() {
        bought.sign(&chain, &hospital.operational).unwrap();
        bought.sign(&chain, hospital.consensus.as_ref().unwrap()).unwrap();
    }
    assert_eq!(by(&bought), LightError::Checkpoint(CheckpointError::TooFew { signed: 2, needed: 3 }));
    let moved = SignedCheckpoint { signatures: vouched(&head.header, &[0, 1, 2]).signatures, ..bought };
    assert!(matches!(by(&moved), LightError::Checkpoint(CheckpointError::Signature { .. })));
    assert_eq!(
        by(&vouched(&head.header, &[0, 1, 2])),
        LightError::OtherCheckpoint { height: change.last.header.height }
    );
}

#[test]
fn a_checkpoint_leads_neither_back_nor_aside() {
    let (mut world, client, head, set) = long_away(60);
    let chain = world.chain;
    let from = |head: &CertifiedHeader, now| {
        LightClient::from_checkpoint(&chain, &Checkpoint::of(&head.header), head, &set, now).unwrap()
    };
    let then = from(&head, clock(&world));
    let later = world.certified(1_000);
    let now = clock(&world);
    // As long as it is believed, nothing that fewer vouch for takes its place: not a newer one, and not an older one.
    let mut awake = then.clone();
    assert_eq!(awake.renew(&from(&later, now), now), Ok(&head.header));
    assert_eq!(awake, then);
    // Too old, it goes forward and never back.
    let last_day = LocalTime(now.0.plus(TRUSTING_PERIOD_MS));
    assert!(!awake.is_trusted_at(last_day));
    assert_eq!(awake.renew(&from(&later, last_day), last_day), Ok(&later.header));
    let much_later = LocalTime(last_day.0.plus(DAY));
    let there = awake.clone();
    assert_eq!(awake.renew(&then, much_later), Ok(&later.header));
    assert_eq!(awake.renew(&client, much_later), Ok(&later.header));
    assert_eq!(awake, there);
    // What contradicts it is a fork, believed or not.
    let fork = |client: &LightClient, header: Header, at| {
        let other = from(&signed(&set, header), now);
        let mut copy = client.clone();
        let error = LightError::Fork { height: header.height, mine: client.newest().id(), other: header.id() };
        assert_eq!(copy.renew(&other, at).map(|newest| newest.id()), Err(error));
        assert_eq!(&copy, client);
    };
    for at in [now, much_later] {
        fork(&then, Header { state_root: StateRoot::from_bytes([9; 32]), ..head.header }, at);
        fork(&then, Header { previous: BlockId::from_bytes([9; 32]), ..later.header }, at);
        fork(&then, Header { height: head.header.height + 9, time: head.header.time, ..later.header }, at);
    }
    // Another network's is no way on.
    let mut parameters = Parameters::default();
    parameters.fresh_ms += 1;
    let other = LightClient::from_genesis(&World::new(parameters).genesis);
    assert_eq!(awake.renew(&other, much_later).map(|newest| newest.id()), Err(LightError::Chain));
}

#[test]
fn what_is_cut_off_is_not_read() {
    let (mut world, client) = scene();
    let change = world.rekey(1, 1);
    fn cut<T: Wire>(value: &T) {
        let bytes = encoding::encode(value);
        for len in 0..bytes.len() {
            let error = encoding::decode::<T>(&bytes[..len]).map(drop).unwrap_err();
            assert_eq!(error.fault, Fault::Truncated, "{} cut at {len}", T::NAME);
        }
    }
    cut(&change.last);
    cut(&change);
    cut(&client);
    cut(&Checkpoint::of(&world.header));
    cut(&vouched(&world.header, &[0, 1, 2]));
}
