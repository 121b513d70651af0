//! Transactions and blocks: time, replay, order, limits, signatures, inclusion, certificates.

use super::*;

#[test]
fn a_transaction_has_its_time() {
    let (mut world, holder) = with_study();
    let at = |world: &mut World, submit_by| {
        let action = revoke(world.id(1), holder.public(), GrantId::from_bytes([1; 32]));
        let body = Body { submit_by, ..world.body(action) };
        world.sign_body(body, &[&holder])
    };
    let next = world.now().plus(1_000);
    let early = at(&mut world, Timestamp(next.0 - 1));
    let too_late = Rejection::TooLate { submit_by: Timestamp(next.0 - 1), now: BlockTime(next) };
    assert_eq!(world.submit(early), Err(too_late));
    let window_ms = Parameters::default().submit_window_ms;
    let next = world.now().plus(1_000);
    let far = at(&mut world, next.plus(window_ms + 1));
    assert_eq!(world.submit(far), Err(Rejection::TooEarly { window_ms }));
    let next = world.now().plus(1_000);
    let last_moment = at(&mut world, next);
    assert_eq!(world.submit(last_moment), Ok(()));
}

#[test]
fn a_transaction_is_executed_once() {
    let (mut world, holder) = with_study();
    let envelope = world.sign(revoke(world.id(1), holder.public(), GrantId::from_bytes([1; 32])), &[&holder]);
    assert_eq!(world.submit(envelope.clone()), Ok(()));
    assert_eq!(world.submit(envelope.clone()), Err(Rejection::Replay));
    // Twice in one block is once too often too.
    let action = revise(world.id(1), world.hospitals[0].operational.public(), 1);
    let mercy = world.hospitals[0].operational.clone();
    let revision = world.sign(action, &[&mercy]);
    let (proposal, _) = world.block(1_000, vec![revision.clone(), revision]);
    assert_eq!(proposal.left_out[0].1, Rejection::Replay);
    // When its mark is swept, its time is over.
    world.wait(2 * 3_600_000);
    assert_eq!(world.state.executed(envelope.id()), Ok(None));
    assert!(matches!(world.submit(envelope), Err(Rejection::TooLate { .. })));
}

#[test]
fn what_stops_something_goes_first() {
    let (mut world, holder) = with_study();
    let grantee = someone(1);
    let terms = world.terms(DAY);
    let action = grant(&world.chain, world.id(1), holder.public(), &grantee, &terms);
    let granted = world.sign(action, &[&holder]);
    let revoked = world.sign(revoke(world.id(1), holder.public(), granted.id().into()), &[&holder]);
    let (height, time) = (world.header.height + 1, BlockTime(world.now().plus(1)));
    let wrong = Proposed { height, time, last_commit: None, envelopes: vec![granted.clone(), revoked.clone()] };
    let error = ExecuteError::Envelope { index: 1, rejection: Rejection::OutOfOrder };
    assert_eq!(execute::execute(&world.state, &wrong).unwrap_err(), error);
    // So a revocation in the same block comes before its grant, and the grant never acts.
    let (proposal, _) = world.block(1_000, vec![granted, revoked]);
    assert_eq!(proposal.left_out[0].1, Rejection::Grant(GrantError::Buried));
    assert!(world.study(world.id(1)).grants.is_empty());
    assert!(Precedence::Veto < Precedence::Revoke && Precedence::Revoke < Precedence::SetStatus);
    assert!(Precedence::SetStatus < Precedence::Rest);
}

#[test]
fn a_block_has_its_limits() {
    let mut world = World::new(Parameters { block_envelopes: 3, block_bytes: 4_096, ..Parameters::default() });
    let holder = secret("holder");
    world.define(1, &holder, Vec::new()).unwrap();
    let mut some = |count: u8| -> Vec<_> {
        (0..count)
            .map(|n| world.sign(revoke(world.id(1), holder.public(), GrantId::from_bytes([n; 32])), &[&holder]))
            .collect()
    };
    let (four, mut heavy) = (some(4), some(1));
    let (height, time) = (world.header.height + 1, BlockTime(world.now().plus(1)));
    let full = |envelopes| execute::execute(&world.state, &Proposed { height, time, last_commit: None, envelopes });
    assert!(full(four[..3].to_vec()).is_ok());
    let error = ExecuteError::Envelope { index: 3, rejection: Rejection::BlockFull };
    assert_eq!(full(four).unwrap_err(), error);
    let fat = |name: &str| {
        let hospital = Hospital::new(name, 1);
        let Action::DefineSource(mut action) = hospital.define_source(1) else { panic!() };
        let long = |n: usize| Text::new(format!("{n}{}", "x".repeat(120))).unwrap();
        let four = Ascending::from_items((0..4).map(long).collect()).unwrap();
        action.announcement.addresses.libp2p = four.clone();
        action.announcement.addresses.iroh = four.clone();
        action.announcement.addresses.circuit = four;
        let body = Body { submit_by: time.timestamp(), nonce: [0; 16], action: Action::DefineSource(action) };
        world.sign_body(body, &hospital.secrets())
    };
    heavy.extend([fat("mercy"), fat("stluke")]);
    let error = ExecuteError::Envelope { index: 2, rejection: Rejection::BlockFull };
    assert_eq!(full(heavy).unwrap_err(), error);
}

#[test]
fn blocks_follow_each_other_in_height_and_time() {
    let world = world();
    let empty =
        |height, ms| Proposed { height, time: BlockTime(Timestamp(ms)), last_commit: None, envelopes: Vec::new() };
    let now = world.now().0;
    assert_eq!(
        execute::execute(&world.state, &empty(2, now + 1)).unwrap_err(),
        ExecuteError::Height { given: 2, due: 1 }
    );
    for ms in [now, now - 1] {
        let given = BlockTime(Timestamp(ms));
        let error = ExecuteError::Time { given, previous: world.header.time };
        assert_eq!(execute::execute(&world.state, &empty(1, ms)).unwrap_err(), error);
    }
    assert!(execute::execute(&world.state, &empty(1, now + 1)).is_ok());
}

#[test]
fn signatures_are_those_of_the_named_in_their_order() {
    let (mut world, holder) = with_study();
    let mercy = world.hospitals[0].operational.clone();
    let action = define_study(2, mercy.public(), holder.public(), Vec::new());
    let body = world.body(action);
    let count = StatelessError::SignatureCount { given: 1, due: 2 };
    assert_eq!(body.clone().sign(&world.chain, &[&mercy]).unwrap_err(), count);
    let good = body.clone().sign(&world.chain, &[&holder, &mercy]).unwrap();
    assert!(good.clone().check_stateless(&world.chain).is_ok());
    let mut swapped = good.signatures.as_slice().to_vec();
    swapped.reverse();
    let swapped = Envelope { signatures: Signatures::new(swapped).unwrap(), ..good.clone() };
    let wrong = |index| StatelessError::Signature { index, error: SignatureError::Wrong };
    assert_eq!(reject(swapped, &world.chain), wrong(0));
    let other = clavicle_ledger::id::ChainId::from_bytes([1; 32]);
    assert_eq!(reject(good, &other), wrong(0));
    let missing = Envelope { body: body.clone(), signatures: Signatures::new(Vec::new()).unwrap() };
    assert_eq!(reject(missing, &world.chain), StatelessError::SignatureCount { given: 0, due: 2 });
    let alone = world.body(define_study(2, mercy.public(), mercy.public(), Vec::new()));
    let alone = alone.sign(&world.chain, &[&mercy]).unwrap();
    assert_eq!(reject(alone, &world.chain), StatelessError::SignerTwice);
}

#[test]
fn being_in_a_block_is_proven_to_whoever_has_the_header() {
    let (mut world, holder) = with_study();
    let envelopes: Vec<_> = (0..5)
        .map(|n| world.sign(revoke(world.id(1), holder.public(), GrantId::from_bytes([n; 32])), &[&holder]))
        .collect();
    let hashes: Vec<_> = envelopes.iter().map(|envelope| envelope.hash()).collect();
    world.block(1_000, envelopes);
    let proof = prove_inclusion(&hashes, 3).unwrap();
    assert_eq!(proof.verify(&world.header, &hashes[3]), Ok(()));
    assert_eq!(proof.verify(&world.header, &hashes[2]), Err(InclusionError::OtherRoot));
    assert_eq!(proof.verify(&Header::genesis(&world.genesis), &hashes[3]), Err(InclusionError::OtherRoot));
    // Place 5 of 5.
    let mut bytes = encoding::encode(&proof);
    bytes[0] = 5;
    let outside: clavicle_ledger::block::InclusionProof = encoding::decode(&bytes).unwrap();
    assert_eq!(outside.verify(&world.header, &hashes[3]), Err(InclusionError::Place { index: 5, count: 5 }));
}

#[test]
fn a_certificate_takes_more_than_two_thirds_of_the_power() {
    let mut world = world();
    world.wait(1_000);
    let (header, validators) = (world.header, world.state.validators().unwrap());
    let keys = |place: usize| {
        let id = validators.validators[place].source;
        let hospital = hospitals().into_iter().find(|hospital| hospital.id(&world.chain) == id).unwrap();
        hospital.consensus.unwrap()
    };
    let sign = |place: usize, kind, block| {
        let validator = validators.validators[place].source;
        let vote = Vote { kind, height: header.height, round: 2, block, validator };
        (place, keys(place).sign(&vote.preimage(&world.chain)))
    };
    let good = |place| sign(place, VoteKind::Precommit, Some(header.id()));
    let verify = |votes: Vec<_>| {
        let certificate = CommitCertificate::new(header.height, 2, header.id(), votes).unwrap();
        certificate.verify(&world.chain, &validators)
    };
    assert_eq!(verify(vec![good(0), good(1), good(3)]), Ok(()));
    assert_eq!(verify((0..4).map(good).collect()), Ok(()));
    let too_little = |power| Err(CertificateError::TooLittlePower { power, total: 4 });
    assert_eq!(verify(vec![good(0), good(3)]), too_little(2));
    assert_eq!(verify(Vec::new()), too_little(0));
    let wrong = Err(CertificateError::Signature { place: 1, error: SignatureError::Wrong });
    for bad in [
        sign(1, VoteKind::Prevote, Some(header.id())),
        sign(1, VoteKind::Precommit, None),
        sign(1, VoteKind::Precommit, Some(header.previous)),
        (1, good(2).1),
    ] {
        assert_eq!(verify(vec![good(0), bad, good(3)]), wrong);
    }
    assert_eq!(verify(vec![good(0), (9, good(1).1)]), Err(CertificateError::NoSuchValidator(9)));
    assert_eq!(CommitCertificate::new(1, 0, header.id(), vec![good(1), good(0)]), Err(Fault::NotAscending));
    assert_eq!(CommitCertificate::new(1, 0, header.id(), vec![(1_024, good(0).1)]), Err(Fault::TooMany));
}

#[test]
fn what_was_verified_for_one_network_is_nothing_in_another() {
    let (mut here, mut there) = (world(), World::new(Parameters { hello_window_ms: 1, ..Parameters::default() }));
    assert_ne!(here.chain, there.chain);
    let holder = secret("holder");
    let action = define_study(1, here.hospitals[0].operational.public(), holder.public(), Vec::new());
    let envelope = here.sign(action, &[&here.hospitals[0].operational.clone(), &holder]);
    assert_eq!(there.submit(envelope), Err(Rejection::OtherChain));
}

#[test]
fn every_refusal_is_a_sentence() {
    // What a person reads: begins in lower case to follow "transaction 3: ", ends without a full stop, says enough.
    let sentences = [
        Rejection::Replay.to_string(),
        Rejection::TooEarly { window_ms: 5 }.to_string(),
        Rejection::Grant(GrantError::TooLong { given: Day(20_000), latest: Day(19_000) }).to_string(),
        Rejection::DefineSource(DefineSourceError::KeyInUse(KeyRole::Transfer, false)).to_string(),
        Rejection::Revoke(RevokeError::Study(StudyRefused::Status(Standing::Frozen))).to_string(),
    ];
    assert_eq!(sentences[2], "the grant would last until 2024-10-04; the latest possible is 2022-01-08");
    assert_eq!(sentences[3], "the announced transfer key is in use already: by another source");
    assert_eq!(sentences[4], "the study is frozen, and this cannot be done on it");
    for sentence in sentences {
        assert!(sentence.starts_with("the ") && !sentence.ends_with('.') && sentence.len() > 15, "{sentence}");
    }
    assert_eq!(hospitals().len(), 4);
}
