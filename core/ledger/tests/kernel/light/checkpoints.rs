//! Checkpoints: the way in for whoever is new or was away too long, and no way round for anybody else. Those that sources sign are in `vouched.rs`.

use super::*;

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
    let (chain, now) = (world.chain, clock(&world));
    let too_old = skip_refused(&client, &head, &set, now);
    assert!(matches!(too_old, LightError::TooOld { .. }) && !client.is_trusted_at(now));
    let code = LightClient::from_checkpoint(&chain, &Checkpoint::of(&head.header), &head, &set, now).unwrap();
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
}
