//! Checkpoints that sources sign together: whoever was away for however long goes on from them, and nobody else leads it anywhere.

use clavicle_ledger::action::{Content, Vote as Casting};
use clavicle_ledger::light::{
    CheckpointError, Endorsement, EndorsementError, Identities, MAX_ENDORSEMENT_MS, ProvenIdentity, SignedCheckpoint,
    SignedEndorsement, Uncounted,
};
use clavicle_ledger::transaction::Action;

use super::*;

/// A hospital's checkpoint key.
fn checkpoint_key(name: &str) -> SecretKey {
    secret(&format!("{name} checkpoint"))
}

/// Somebody's endorsement of `key`, from a day before `now` on and for as long as may be.
fn endorse(chain: &ChainId, name: &str, key: &SecretKey, now: Timestamp) -> Endorsement {
    let source = SourceId::of_identity(chain, &secret(&format!("{name} identity")).public());
    let from = Timestamp(now.0 - DAY);
    Endorsement { chain: *chain, source, key: key.public(), from, until: from.plus(MAX_ENDORSEMENT_MS) }
}

/// What hospitals, by their names, say of a header at its time.
fn say(header: &Header, names: &[&str]) -> Vec<SignedCheckpoint> {
    let one = |name: &&str| {
        let (key, identity) = (checkpoint_key(name), secret(&format!("{name} identity")));
        let endorsement = endorse(&header.chain, name, &key, header.time.timestamp());
        SignedCheckpoint::sign(header, endorsement.sign(&identity), &key)
    };
    names.iter().map(one).collect()
}

/// The block that a client would go on from.
fn weighed(client: &LightClient, signed: &[SignedCheckpoint], now: LocalTime) -> Result<Checkpoint, CheckpointError> {
    client.vouched(signed, &Identities::default(), now).map(|vouched| vouched.checkpoint())
}

fn too_little(power: u128, why: Option<Uncounted>) -> Result<Checkpoint, CheckpointError> {
    Err(CheckpointError::TooLittlePower { power, total: 4, why })
}

/// A phone that knows the genesis alone, a network that went on for so many days with other keys, and its newest block.
fn asleep(days: u64) -> (World, LightClient, CertifiedHeader, ValidatorSet) {
    let (mut world, client) = scene();
    for hospital in 0..4 {
        world.rekey(hospital, 1);
    }
    world.wait((days - 4) * DAY);
    let (set, head) = (world.state.validators().unwrap(), world.certified(1_000));
    (world, client, head, set)
}

#[test]
fn whoever_slept_for_however_long_goes_on_by_itself() {
    for days in [15, 60, 200, 366] {
        let (mut world, client, head, set) = asleep(days);
        let (chain, now) = (world.chain, clock(&world));
        assert!(!client.is_trusted_at(now), "{days}");
        assert!(matches!(skip_refused(&client, &head, &set, now), LightError::TooOld { .. }), "{days}");
        let mut awake = client.clone();
        let vouched = client.vouched(&say(&head.header, &["mercy", "harbor"]), &Identities::default(), now).unwrap();
        assert_eq!((vouched.checkpoint(), vouched.time()), (Checkpoint::of(&head.header), head.header.time));
        assert_eq!(awake.resume(&vouched, &head, &set, now), Ok(&head.header), "{days}");
        assert_eq!(awake.validators(), &set);
        // From there on the ordinary rules lead.
        let mut awake = kept(&awake);
        let change = world.rekey(0, 2);
        awake.change(&change, clock(&world)).unwrap();
        let head = world.certified(1_000);
        assert_eq!(awake.accept(&head, clock(&world)), Ok(&head.header));
        assert_eq!(awake.chain(), chain);
    }
    // Within the fourteen days nobody's word takes the place of the validators'.
    let (world, mut client, head, set) = asleep(5);
    let now = clock(&world);
    let vouched = client.vouched(&say(&head.header, &["mercy", "harbor"]), &Identities::default(), now).unwrap();
    let before = client.clone();
    assert_eq!(client.resume(&vouched, &head, &set, now), Ok(before.newest()));
    assert_eq!(client, before);
}

#[test]
fn more_than_a_third_of_the_last_believed_power_must_vouch_for_one_block() {
    let (mut world, client, head, _) = asleep(60);
    let (now, next) = (clock(&world), world.certified(1_000));
    let block = Ok(Checkpoint::of(&head.header));
    assert_eq!(weighed(&client, &say(&head.header, &["mercy", "stluke"]), now), block);
    assert_eq!(weighed(&client, &say(&head.header, &["mercy"]), now), too_little(1, None));
    assert_eq!(weighed(&client, &[], now), too_little(0, None));
    // The same again is the same, and of different blocks each is weighed by itself.
    let twice = [say(&head.header, &["mercy"]), say(&head.header, &["mercy"])].concat();
    assert_eq!(weighed(&client, &twice, now), too_little(1, None));
    let apart = [say(&head.header, &["mercy"]), say(&next.header, &["stluke"])].concat();
    assert_eq!(weighed(&client, &apart, clock(&world)), too_little(1, None));
    // Of several the newest counts, whoever vouches for which.
    let both = [say(&head.header, &["mercy", "stluke"]), say(&next.header, &["stluke", "north"])].concat();
    assert_eq!(weighed(&client, &both, clock(&world)), Ok(Checkpoint::of(&next.header)));
    // Exactly a third is too little, and power counts, not heads.
    let power = |of: u64| Validator { source: SourceId::from_bytes([0; 32]), key: secret("any").public(), power: of };
    let source = |name: &str| SourceId::of_identity(&world.chain, &secret(&format!("{name} identity")).public());
    let named = |name: &str, of: u64| Validator { source: source(name), ..power(of) };
    for (mercy, stluke, enough) in [(2, 4, false), (3, 5, true), (1, 0, true), (0, 1, false)] {
        let set = ValidatorSet {
            validators: Ascending::from_items(vec![named("mercy", mercy), named("stluke", stluke)]).unwrap(),
        };
        let first = Header::genesis(&world.genesis);
        let own = set.hash(&world.chain);
        let first = Header { height: 1, validators: own, next_validators: own, ..first };
        let client: LightClient = encoding::decode(&encoding::encode(&(set, 1u64, first))).unwrap();
        let said = weighed(&client, &say(&head.header, &["mercy"]), now);
        assert_eq!(said.is_ok(), enough, "{mercy} and {stluke}: {said:?}");
    }
}

#[test]
fn only_sources_of_the_last_believed_set_count() {
    let (world, client, head, _) = asleep(60);
    let (chain, now) = (world.chain, clock(&world));
    // Three hosted practices, whose every key an attacker has, and one hospital.
    let practices = say(&head.header, &["practice 1", "practice 2", "practice 3"]);
    let with_practices = [practices, say(&head.header, &["mercy"])].concat();
    assert_eq!(weighed(&client, &with_practices, now), too_little(1, Some(Uncounted::NotTrusted)));
    // A source that says it is another: its identity key is not the one that the other's id is made of.
    let key = checkpoint_key("practice 1");
    let stolen_name = endorse(&chain, "stluke", &key, head.header.time.timestamp());
    let stolen_name = SignedCheckpoint::sign(&head.header, stolen_name.sign(&secret("practice 1 identity")), &key);
    let signed = [vec![stolen_name], say(&head.header, &["mercy"])].concat();
    assert_eq!(weighed(&client, &signed, now), too_little(1, Some(Uncounted::OtherIdentity)));
}

#[test]
fn a_source_that_was_suspended_vouches_for_nothing() {
    // Suspended and out of the set when the wallet last looked.
    let (mut world, mut client) = scene();
    let suspect = world.hospitals[1].id(&world.chain);
    for hospital in [0, 2, 3] {
        let voter = world.hospitals[hospital].operational.clone();
        let content = Content::SetSuspended { source: suspect, suspended: true };
        world.act(Action::Vote(Casting { voter: voter.public(), content }), &[&voter]).unwrap();
    }
    let row = world.state.source(suspect).unwrap().unwrap();
    assert!(row.suspended);
    let known = Identities { proven: Ascending::from_items(vec![ProvenIdentity::of(suspect, &row)]).unwrap() };
    let (still, last) = (client.clone(), world.certified(DAY));
    let next = world.state.validators().unwrap();
    assert!(next.validators.find(&suspect).is_none());
    client.change(&ValidatorChange { last, next }, clock(&world)).unwrap();
    world.wait(60 * DAY);
    let (head, now) = (world.certified(1_000), clock(&world));
    let signed = say(&head.header, &["stluke"]);
    let refused = CheckpointError::TooLittlePower { power: 0, total: 3, why: Some(Uncounted::NotTrusted) };
    assert_eq!(weighed(&client, &signed, now), Err(refused));
    assert_eq!(weighed(&client, &say(&head.header, &["mercy", "north"]), now), Ok(Checkpoint::of(&head.header)));
    // Suspended since the set that is believed began, as its row has proven.
    let signed = say(&head.header, &["mercy", "stluke"]);
    let refused = CheckpointError::TooLittlePower { power: 1, total: 4, why: Some(Uncounted::Suspended) };
    assert_eq!(still.vouched(&signed, &known, now), Err(refused));
}

#[test]
fn the_identity_key_is_the_newest_that_a_row_has_proven() {
    let (mut world, client) = scene();
    let (mercy, fresh) = (world.hospitals[0].id(&world.chain), secret("mercy identity, replaced"));
    for hospital in 0..3 {
        let voter = world.hospitals[hospital].operational.clone();
        let content = Content::ReplaceIdentity { source: mercy, identity: fresh.public() };
        world.act(Action::Vote(Casting { voter: voter.public(), content }), &[&voter]).unwrap();
    }
    let row = world.state.source(mercy).unwrap().unwrap();
    assert_eq!(row.identity, fresh.public());
    let known = Identities { proven: Ascending::from_items(vec![ProvenIdentity::of(mercy, &row)]).unwrap() };
    world.wait(60 * DAY);
    let (head, now) = (world.certified(1_000), clock(&world));
    let key = checkpoint_key("mercy");
    let by_fresh = endorse(&world.chain, "mercy", &key, head.header.time.timestamp()).sign(&fresh);
    let by_fresh = SignedCheckpoint::sign(&head.header, by_fresh, &key);
    let judged = |mercys: SignedCheckpoint, known: &Identities| {
        let signed = [vec![mercys], say(&head.header, &["north"])].concat();
        client.vouched(&signed, known, now).map(|vouched| vouched.checkpoint())
    };
    let (by_stolen, nothing) = (say(&head.header, &["mercy"])[0], Identities::default());
    let other = too_little(1, Some(Uncounted::OtherIdentity));
    assert_eq!(judged(by_fresh, &known), Ok(Checkpoint::of(&head.header)));
    assert_eq!(judged(by_stolen, &known), other);
    // Whoever has not heard of it goes by the one of the admission.
    assert_eq!(judged(by_stolen, &nothing), Ok(Checkpoint::of(&head.header)));
    assert_eq!(judged(by_fresh, &nothing), other);
}

#[test]
fn an_endorsement_counts_in_its_time_and_network_and_no_longer_than_it_may() {
    let (world, client, head, _) = asleep(60);
    let (chain, now) = (world.chain, clock(&world));
    let (identity, key) = (secret("mercy identity"), checkpoint_key("mercy"));
    let good = endorse(&chain, "mercy", &key, now.0);
    let other = say(&head.header, &["harbor"]);
    let judged = |endorsed: SignedEndorsement, key: &SecretKey, now| {
        let mut signed = vec![SignedCheckpoint::sign(&head.header, endorsed, key)];
        signed.extend(&other);
        weighed(&client, &signed, now)
    };
    let block = Ok(Checkpoint::of(&head.header));
    let refused = |why| too_little(1, Some(why));
    assert_eq!(judged(good.sign(&identity), &key, now), block);
    // Not yet, as far as a clock that is two minutes slow can tell, and over.
    let at = |from: u64, until: u64| Endorsement { from: Timestamp(from), until: Timestamp(until), ..good };
    let time = now.0.0;
    assert_eq!(judged(at(time + CLOCK_TOLERANCE_MS, time + DAY).sign(&identity), &key, now), block);
    let early = at(time + CLOCK_TOLERANCE_MS + 1, time + DAY).sign(&identity);
    assert_eq!(judged(early, &key, now), refused(Uncounted::NotYet));
    assert_eq!(judged(at(time - DAY, time + 1).sign(&identity), &key, now), block);
    assert_eq!(judged(at(time - DAY, time).sign(&identity), &key, now), refused(Uncounted::Over));
    // Ninety days and not a millisecond more.
    let long = at(time - DAY, time - DAY + MAX_ENDORSEMENT_MS + 1).sign(&identity);
    assert_eq!(judged(long, &key, now), refused(Uncounted::Endorsement(EndorsementError::TooLong)));
    // A checkpoint key, and not the identity key itself, nor the key that decides blocks.
    let itself = Endorsement { key: identity.public(), ..good }.sign(&identity);
    assert_eq!(judged(itself, &identity, now), refused(Uncounted::Endorsement(EndorsementError::Itself)));
    let consensus = secret("mercy consensus 0");
    let deciding = Endorsement { key: consensus.public(), ..good }.sign(&identity);
    assert_eq!(judged(deciding, &consensus, now), refused(Uncounted::ConsensusKey));
    // Of another network: said to be, or replayed as this one's.
    let foreign = Endorsement { chain: ChainId::from_bytes([9; 32]), ..good }.sign(&identity);
    assert_eq!(judged(foreign, &key, now), refused(Uncounted::OtherNetwork));
    let replayed = SignedEndorsement { endorsement: good, ..foreign };
    let wrong = EndorsementError::Signature(SignatureError::Wrong);
    assert_eq!(judged(replayed, &key, now), refused(Uncounted::Endorsement(wrong)));
    // By another key than the one endorsed.
    let by_another = judged(good.sign(&identity), &checkpoint_key("north"), now);
    assert_eq!(by_another, refused(Uncounted::Signature(SignatureError::Wrong)));
}

#[test]
fn nothing_that_is_signed_can_be_changed() {
    let (world, client, head, _) = asleep(60);
    let now = clock(&world);
    let honest = say(&head.header, &["mercy", "stluke"]);
    let bytes = encoding::encode(&honest[0]);
    assert_eq!(bytes.len(), SignedCheckpoint::MAX_LEN);
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        if let Ok(changed) = encoding::decode::<SignedCheckpoint>(&changed) {
            assert!(weighed(&client, &[changed, honest[1]], now).is_err(), "byte {at}");
        }
    }
    for len in 0..bytes.len() {
        let error = encoding::decode::<SignedCheckpoint>(&bytes[..len]).map(drop).unwrap_err();
        assert_eq!(error.fault, Fault::Truncated, "cut at {len}");
    }
}

/// Whoever has every key that was at hand two months ago, operational, consensus and transfer, and three practices besides.
#[test]
fn stolen_old_keys_and_three_hosted_practices_lead_nowhere() {
    let (world, client, head, _) = asleep(60);
    let (chain, now) = (world.chain, clock(&world));
    let mut forged = World::new(Parameters::default());
    forged.wait(60 * DAY);
    let (old, theirs) = (forged.state.validators().unwrap(), forged.certified(1_000));
    // Their history, decided by the old keys, is not believed for its own sake.
    assert!(matches!(refused(&client, &theirs, now), LightError::TooOld { .. }));
    assert!(matches!(skip_refused(&client, &theirs, &old, now), LightError::TooOld { .. }));
    // Nobody whose word counts vouches for it.
    let mut signed = say(&theirs.header, &["practice 1", "practice 2", "practice 3"]);
    for hospital in hospitals() {
        for stolen in
            [&hospital.operational, &hospital.transfer, &hospital.network, hospital.consensus.as_ref().unwrap()]
        {
            // A stolen key endorses another, and is endorsed by a practice.
            for by in [stolen, &secret("practice 1 identity")] {
                for key in [stolen, &checkpoint_key("thief")] {
                    let endorsed = endorse(&chain, &hospital.name, key, theirs.header.time.timestamp()).sign(by);
                    signed.push(SignedCheckpoint::sign(&theirs.header, endorsed, key));
                }
            }
        }
    }
    assert_eq!(weighed(&client, &signed, now), too_little(0, Some(Uncounted::NotTrusted)));
    // Nor do checkpoint keys of that time, whose endorsements are over.
    let stale = say(&Header::genesis(&world.genesis), &["mercy", "stluke", "north", "harbor"]);
    let keys = hospitals();
    let reused = stale.iter().zip(&keys).map(|(old, hospital)| {
        SignedCheckpoint::sign(&theirs.header, old.endorsement, &checkpoint_key(&hospital.name))
    });
    let later = LocalTime(Timestamp(theirs.header.time.timestamp().0 + 1));
    let reused: Vec<SignedCheckpoint> = reused.collect();
    // Sixty days on they still count: the key was endorsed for ninety. That is what an endorsement gives away.
    assert!(weighed(&client, &reused, later).is_ok());
    forged.wait(31 * DAY);
    let theirs = forged.certified(1_000);
    let reused: Vec<SignedCheckpoint> = stale
        .iter()
        .zip(&keys)
        .map(|(old, hospital)| SignedCheckpoint::sign(&theirs.header, old.endorsement, &checkpoint_key(&hospital.name)))
        .collect();
    let later = LocalTime(theirs.header.time.timestamp());
    assert_eq!(weighed(&client, &reused, later), too_little(0, Some(Uncounted::Over)));
    // A true checkpoint beside all of this is found.
    signed.extend(say(&head.header, &["north", "harbor"]));
    assert_eq!(weighed(&client, &signed, now), Ok(Checkpoint::of(&head.header)));
}

#[test]
fn contradicting_blocks_are_refused_and_said_loudly() {
    let (mut world, client, head, _) = asleep(60);
    let now = clock(&world);
    let other = Header { state_root: StateRoot::from_bytes([9; 32]), ..head.header };
    let contradiction = |signed: &[SignedCheckpoint]| {
        let found = weighed(&client, signed, now);
        let Err(CheckpointError::Contradiction { one, other: two, .. }) = found else { panic!("{found:?}") };
        let (mut found, mut due) = ([one, two], [head.header.id(), other.id()]);
        found.sort_unstable();
        due.sort_unstable();
        assert_eq!(found, due);
    };
    contradiction(&[say(&head.header, &["mercy", "stluke"]), say(&other, &["north", "harbor"])].concat());
    // Also where one hospital that says both makes it so.
    contradiction(&[say(&head.header, &["mercy", "stluke"]), say(&other, &["mercy", "harbor"])].concat());
    // One that says both counts for none, and keeps nobody from the block that the others vouch for.
    let two_faced = [say(&head.header, &["mercy", "stluke", "north"]), say(&other, &["mercy"])].concat();
    assert_eq!(weighed(&client, &two_faced, now), Ok(Checkpoint::of(&head.header)));
    let two_faced = [say(&head.header, &["mercy", "stluke"]), say(&other, &["mercy"])].concat();
    assert_eq!(weighed(&client, &two_faced, now), too_little(1, None));
    // A later block whose time is not later is as much of a contradiction.
    let later = world.certified(1_000).header;
    let misdated = Header { time: head.header.time, ..later };
    let signed = [say(&head.header, &["mercy", "stluke"]), say(&misdated, &["north", "harbor"])].concat();
    assert!(matches!(weighed(&client, &signed, now), Err(CheckpointError::Contradiction { .. })));
    // And what contradicts the block that is known already.
    let (mut awake, set) = (client.clone(), world.state.validators().unwrap());
    let vouched = client.vouched(&say(&head.header, &["mercy", "stluke"]), &Identities::default(), now).unwrap();
    awake.resume(&vouched, &head, &set, now).unwrap();
    let forged = weighed(&awake, &say(&other, &["north", "harbor"]), now);
    assert!(matches!(forged, Err(CheckpointError::Contradiction { .. })), "{forged:?}");
}

#[test]
fn a_checkpoint_never_leads_back() {
    let (mut world, client, head, set) = asleep(60);
    let now = clock(&world);
    let everybody = ["mercy", "stluke", "north", "harbor"];
    let vouched = client.vouched(&say(&head.header, &everybody), &Identities::default(), now).unwrap();
    let mut awake = client;
    awake.resume(&vouched, &head, &set, now).unwrap();
    // The same block, and one before it, lead nowhere; an older one that was found before, neither.
    let behind = too_little(0, Some(Uncounted::Behind));
    assert_eq!(weighed(&awake, &say(&head.header, &everybody), now), behind);
    assert_eq!(weighed(&awake, &say(&Header::genesis(&world.genesis), &everybody), now), behind);
    world.wait(15 * DAY);
    let (later, now) = (world.certified(1_000), clock(&world));
    let newer = awake.vouched(&say(&later.header, &everybody), &Identities::default(), now).unwrap();
    let set = world.state.validators().unwrap();
    assert_eq!(awake.resume(&newer, &later, &set, now), Ok(&later.header));
    let there = awake.clone();
    assert!(matches!(awake.resume(&vouched, &head, &set, now), Err(LightError::TooOld { .. })));
    assert_eq!(awake, there);
    // The header must be the block that was vouched for, and of the time that was said.
    let other = world.certified(1_000);
    let wrong = LightError::OtherCheckpoint { height: other.header.height };
    assert_eq!(awake.resume(&newer, &other, &set, clock(&world)).map(|header| header.id()), Err(wrong));
    let mut misdated = say(&other.header, &everybody);
    for signed in &mut misdated {
        let key = checkpoint_key(&signed_by(signed, &world));
        let time = BlockTime(other.header.time.timestamp().plus(1));
        *signed = SignedCheckpoint::sign(&Header { time, ..other.header }, signed.endorsement, &key);
        signed.checkpoint = Checkpoint::of(&other.header);
    }
    // What is signed names another block: nobody's signature holds over this one.
    let refused = weighed(&awake, &misdated, clock(&world));
    assert_eq!(refused, too_little(0, Some(Uncounted::Signature(SignatureError::Wrong))));
}

/// The name of the hospital that a checkpoint is of.
fn signed_by(signed: &SignedCheckpoint, world: &World) -> String {
    world.hospitals.iter().find(|hospital| hospital.id(&world.chain) == signed.source()).unwrap().name.clone()
}

#[test]
fn a_clock_that_was_set_finds_nothing_false() {
    let (world, client, head, set) = asleep(60);
    let (now, time) = (clock(&world), head.header.time.timestamp().0);
    let signed = say(&head.header, &["mercy", "stluke"]);
    let at = |ms: u64| weighed(&client, &signed, LocalTime(Timestamp(ms)));
    let block = Ok(Checkpoint::of(&head.header));
    // Ahead of what is known, a block counts as long as its age may be, by any clock.
    assert_eq!(at(time + TRUSTING_PERIOD_MS), block);
    assert_eq!(at(time + TRUSTING_PERIOD_MS + 1), too_little(0, Some(Uncounted::TooOld)));
    assert_eq!(at(time + MAX_ENDORSEMENT_MS), too_little(0, Some(Uncounted::Over)));
    assert_eq!(at(time - CLOCK_TOLERANCE_MS), block);
    assert_eq!(at(time - CLOCK_TOLERANCE_MS - 1), too_little(0, Some(Uncounted::Ahead)));
    assert_eq!(at(time - 2 * DAY), too_little(0, Some(Uncounted::NotYet)));
    // A clock that shows a time before what is known judges nothing: old endorsements would come to life again.
    let mut awake = client.clone();
    let vouched = client.vouched(&signed, &Identities::default(), now).unwrap();
    awake.resume(&vouched, &head, &set, now).unwrap();
    let behind =
        |ms| weighed(&awake, &say(&Header { height: 999, ..head.header }, &["mercy"]), LocalTime(Timestamp(ms)));
    let said = behind(time - CLOCK_TOLERANCE_MS - 1);
    assert_eq!(said, Err(CheckpointError::ClockBehind { behind_ms: CLOCK_TOLERANCE_MS + 1 }));
    assert!(matches!(behind(0), Err(CheckpointError::ClockBehind { .. })));
}
