//! The light client: what a phone believes, and each way to be refused.

mod checkpoints;
mod jumps;
mod vouched;

use clavicle_ledger::block::{CertificateError, CommitCertificate, Header};
use clavicle_ledger::encoding::{self, Ascending, Fault, Wire};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{BlockId, ChainId, SourceId, StateRoot};
use clavicle_ledger::key::{SecretKey, Signature, SignatureError};
use clavicle_ledger::light::{
    CLOCK_TOLERANCE_MS, CertifiedHeader, Checkpoint, LightClient, LightError, TRUSTING_PERIOD_MS, ValidatorChange,
};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};
use clavicle_ledger::tree::{ProofError, prove};
use clavicle_ledger::validators::{Validator, ValidatorSet};

use crate::world::{DAY, World, certify, consensus_keys, hospitals, secret};

/// A network, and a phone that knows its genesis.
fn scene() -> (World, LightClient) {
    let world = World::new(Parameters::default());
    let client = LightClient::from_genesis(&world.genesis);
    (world, client)
}

fn clock(world: &World) -> LocalTime {
    LocalTime(world.now())
}

/// A header that all validators sign, whatever it says.
fn signed(validators: &ValidatorSet, header: Header) -> CertifiedHeader {
    certify(&header, validators, &consensus_keys())
}

/// What a client says of a header that it must refuse, unchanged by it.
fn refused(client: &LightClient, head: &CertifiedHeader, now: LocalTime) -> LightError {
    let mut copy = client.clone();
    let error = copy.accept(head, now).map(|newest| newest.id()).unwrap_err();
    assert_eq!(&copy, client);
    error
}

/// Likewise of a change.
fn change_refused(client: &LightClient, change: &ValidatorChange, now: LocalTime) -> LightError {
    let mut copy = client.clone();
    let error = copy.change(change, now).unwrap_err();
    assert_eq!(&copy, client);
    error
}

/// Likewise of a jump.
fn skip_refused(client: &LightClient, head: &CertifiedHeader, set: &ValidatorSet, now: LocalTime) -> LightError {
    let mut copy = client.clone();
    let error = copy.skip(head, set, now).map(|newest| newest.id()).unwrap_err();
    assert_eq!(&copy, client);
    error
}

/// A client as it comes out of a wallet's store.
fn kept(client: &LightClient) -> LightClient {
    let read: LightClient = encoding::decode(&encoding::encode(client)).unwrap();
    assert_eq!(&read, client);
    read
}

/// Validators called by words, each with the key of that word, and a power.
fn set_of(members: &[(&str, &str, u64)]) -> ValidatorSet {
    let source = |name: &str| SourceId::from_bytes(*blake3::hash(name.as_bytes()).as_bytes());
    let validator =
        |&(name, key, power): &(&str, &str, u64)| Validator { source: source(name), key: secret(key).public(), power };
    ValidatorSet { validators: Ascending::from_items(members.iter().map(validator).collect()).unwrap() }
}

/// A network decided by `validators`, as a phone trusts it at height 5, and a header of height 9 to build on.
fn made_up(validators: &ValidatorSet) -> (LightClient, Header, LocalTime) {
    let world = World::new(Parameters::default());
    let (first, own) = (Header::genesis(&world.genesis), validators.hash(&world.chain));
    let trusted =
        Header { height: 5, time: BlockTime(world.now().plus(5)), validators: own, next_validators: own, ..first };
    let client = encoding::decode(&encoding::encode(&(validators.clone(), 1u64, trusted))).unwrap();
    let later = Header { height: 9, time: BlockTime(world.now().plus(9)), ..trusted };
    (client, later, LocalTime(world.now().plus(9)))
}

#[test]
fn a_phone_goes_from_the_genesis_to_a_proven_row() {
    let (mut world, mut client) = scene();
    assert_eq!((client.chain(), client.newest()), (world.chain, &Header::genesis(&world.genesis)));
    world.define(1, &secret("holder"), Vec::new()).unwrap();
    let head = world.certified(1_000);
    assert!(!client.needs_change(&head.header));
    assert_eq!(client.accept(&head, clock(&world)), Ok(&head.header));
    assert_eq!(client.newest(), &world.header);
    let proof = |world: &World| prove(&world.state, &world.state, StateKey::Study(world.id(1))).unwrap();
    let proven = client.fragment(&[proof(&world)]).unwrap();
    assert_eq!(proven.study(world.id(1)).unwrap(), Some(world.study(world.id(1))));
    // A proof of another block's state proves nothing here, alone or beside one that does.
    let good = proof(&world);
    world.wait(1_000);
    assert_eq!(client.fragment(&[good, proof(&world)]), Err(ProofError::OtherRoot));
}

#[test]
fn more_than_two_thirds_must_have_signed() {
    let (mut world, mut client) = scene();
    let validators = world.state.validators().unwrap();
    world.wait(1_000);
    let by = |names: &[&str]| {
        let keys: Vec<_> = names.iter().map(|name| secret(&format!("{name} consensus 0"))).collect();
        certify(&world.header, &validators, &keys)
    };
    let half = refused(&client, &by(&["mercy", "north"]), clock(&world));
    assert_eq!(half, LightError::Certificate(CertificateError::TooLittlePower { power: 2, total: 4 }));
    assert_eq!(client.accept(&by(&["mercy", "north", "harbor"]), clock(&world)), Ok(&world.header));
}

#[test]
fn a_certificate_is_of_this_header_by_this_set() {
    let (mut world, client) = scene();
    let validators = world.state.validators().unwrap();
    let (earlier, head) = (world.certified(1_000), world.certified(1_000));
    let (header, now) = (head.header, clock(&world));
    assert_eq!(head.verify(&world.chain, &validators), Ok(()));
    let lie = |header| refused(&client, &signed(&validators, header), now);
    assert_eq!(lie(Header { version: 2, ..header }), LightError::Version(2));
    assert_eq!(lie(Header { chain: ChainId::from_bytes([9; 32]), ..header }), LightError::Chain);
    let others = clavicle_ledger::id::ValidatorsHash::from_bytes([9; 32]);
    assert_eq!(lie(Header { validators: others, ..header }), LightError::OtherValidators { height: 2 });
    // A true certificate of another block, and one that says it is of another height.
    let swapped = CertifiedHeader { header, certificate: earlier.certificate };
    assert_eq!(refused(&client, &swapped, now), LightError::OtherBlock);
    let mut misplaced = head.clone();
    misplaced.certificate.height = 1;
    assert_eq!(refused(&client, &misplaced, now), LightError::OtherBlock);
    // Votes of another round, and of somebody who has none.
    let mut later = head.clone();
    later.certificate.round = 2;
    let wrong = CertificateError::Signature { place: 0, error: SignatureError::Wrong };
    assert_eq!(refused(&client, &later, now), LightError::Certificate(wrong));
    let mut votes: Vec<_> = head.certificate.votes().map(|(place, signature)| (place, *signature)).collect();
    votes.push((4, votes[0].1));
    let certificate = CommitCertificate::new(2, 1, header.id(), votes).unwrap();
    let stranger = LightError::Certificate(CertificateError::NoSuchValidator(4));
    assert_eq!(refused(&client, &CertifiedHeader { header, certificate }, now), stranger);
    // Nobody decides where there are no validators.
    let nobody = ValidatorSet::default();
    let empty = signed(&nobody, Header { validators: nobody.hash(&world.chain), ..header });
    let none = LightError::Certificate(CertificateError::TooLittlePower { power: 0, total: 0 });
    assert_eq!(empty.verify(&world.chain, &nobody), Err(none));
}

#[test]
fn no_byte_of_a_certified_header_can_be_changed() {
    let (mut world, client) = scene();
    let bytes = encoding::encode(&world.certified(1_000));
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x10;
        if let Ok(head) = encoding::decode::<CertifiedHeader>(&changed) {
            refused(&client, &head, clock(&world));
        }
    }
}

#[test]
fn a_change_of_validators_is_followed() {
    let (mut world, mut client) = scene();
    let old = world.state.validators().unwrap();
    let first = world.certified(1_000);
    let change = world.rekey(1, 1);
    let head = world.certified(1_000);
    let now = clock(&world);
    assert!(client.needs_change(&head.header) && !client.needs_change(&change.last.header));
    let height = head.header.height;
    assert_eq!(refused(&client, &head, now), LightError::OtherValidators { height });
    client.change(&change, now).unwrap();
    assert_eq!(client.newest(), &change.last.header);
    assert!(!client.needs_change(&head.header) && !client.needs_change(&first.header));
    assert_eq!(client.accept(&head, now), Ok(&head.header));
    // Those who decided before decide nothing any more, and what they did decide is behind.
    let usurped = signed(&old, Header { validators: old.hash(&world.chain), ..head.header });
    assert_eq!(refused(&client, &usurped, now), LightError::OtherValidators { height });
    let passed = LightError::Passed { height: 1, first: height };
    assert_eq!(refused(&client, &first, now), passed);
    let passed = LightError::Passed { height: height - 1, first: height };
    assert_eq!(refused(&client, &change.last, now), passed);
    assert_eq!(change_refused(&client, &change, now), passed);
}

#[test]
fn the_last_block_of_a_set_may_be_known_before_the_change() {
    let (mut world, mut client) = scene();
    let change = world.rekey(1, 1);
    client.accept(&change.last, clock(&world)).unwrap();
    client.change(&change, clock(&world)).unwrap();
    // The same again is behind.
    let height = change.last.header.height;
    let passed = LightError::Passed { height, first: height + 1 };
    assert_eq!(change_refused(&client, &change, clock(&world)), passed);
}

#[test]
fn a_change_leads_on_from_its_own_set_only() {
    let (mut world, mut client) = scene();
    let (one, two) = (world.rekey(1, 1), world.rekey(2, 1));
    let (head, now) = (world.certified(1_000), clock(&world));
    let skipped = LightError::OtherValidators { height: two.last.header.height };
    assert_eq!(change_refused(&client, &two, now), skipped);
    client.change(&one, now).unwrap();
    assert!(client.needs_change(&head.header));
    let height = head.header.height;
    assert_eq!(refused(&client, &head, now), LightError::OtherValidators { height });
    client.change(&two, now).unwrap();
    assert_eq!(client.accept(&head, now), Ok(&head.header));
}

#[test]
fn a_change_names_the_next_validators_truly() {
    let (mut world, mut client) = scene();
    let (validators, quiet) = (world.state.validators().unwrap(), world.certified(1_000));
    let change = world.rekey(1, 1);
    let now = clock(&world);
    let other = ValidatorChange { next: validators.clone(), ..change.clone() };
    assert_eq!(change_refused(&client, &other, now), LightError::NextValidators);
    let none = ValidatorChange { last: quiet.clone(), next: validators.clone() };
    assert_eq!(change_refused(&client, &none, now), LightError::NoChange { height: 1 });
    // Too few have signed it.
    let few = certify(&change.last.header, &validators, &[secret("mercy consensus 0")]);
    let few = change_refused(&client, &ValidatorChange { last: few, ..change.clone() }, now);
    assert_eq!(few, LightError::Certificate(CertificateError::TooLittlePower { power: 1, total: 4 }));
    // A header that the set decided after it is known: the change is not the way on from there.
    let (height, later) = (change.last.header.height, BlockTime(world.now().plus(9)));
    let beyond = Header { height: height + 5, time: later, ..quiet.header };
    client.accept(&signed(&validators, beyond), now).unwrap();
    assert_eq!(change_refused(&client, &change, now), LightError::Passed { height, first: height + 5 });
}

#[test]
fn an_older_header_is_believed_and_does_not_lead_back() {
    let (mut world, mut client) = scene();
    let heads: Vec<_> = (0..4).map(|_| world.certified(1_000)).collect();
    let now = clock(&world);
    client.accept(&heads[3], now).unwrap();
    for older in &heads {
        assert_eq!(client.accept(older, now), Ok(&heads[3].header));
    }
    let unsigned = certify(&heads[0].header, &world.state.validators().unwrap(), &[]);
    let nobody = CertificateError::TooLittlePower { power: 0, total: 4 };
    assert_eq!(refused(&client, &unsigned, now), LightError::Certificate(nobody));
}

#[test]
fn two_certified_headers_that_contradict_each_other_are_a_fork() {
    let (mut world, mut client) = scene();
    let validators = world.state.validators().unwrap();
    let heads: Vec<_> = (0..5).map(|_| world.certified(1_000)).collect();
    let (now, mine) = (clock(&world), heads[2].header);
    client.accept(&heads[2], now).unwrap();
    let fork = |header: Header| {
        let error = LightError::Fork { height: header.height, mine: mine.id(), other: header.id() };
        assert_eq!(refused(&client, &signed(&validators, header), now), error);
    };
    // Two at one height.
    fork(Header { state_root: StateRoot::from_bytes([9; 32]), ..mine });
    // A neighbour that follows another block, is followed by another, or is not theirs to decide.
    fork(Header { previous: BlockId::from_bytes([9; 32]), ..heads[3].header });
    fork(Header { state_root: StateRoot::from_bytes([9; 32]), ..heads[1].header });
    // Time that goes back, near and far.
    fork(Header { time: mine.time, ..heads[4].header });
    fork(Header { time: mine.time, ..heads[0].header });
    for head in &heads {
        assert!(client.clone().accept(head, now).is_ok());
    }
    // In a change too: the set handed over at this height, or it did not.
    let change = world.rekey(1, 1);
    let mut other = client.clone();
    let next_validators = change.next.hash(&world.chain);
    let theirs = Header { next_validators, ..mine };
    let forked = ValidatorChange { last: signed(&validators, theirs), ..change.clone() };
    let error = LightError::Fork { height: mine.height, mine: mine.id(), other: theirs.id() };
    assert_eq!(change_refused(&client, &forked, now), error);
    // After the set handed over, it decided one more.
    let last = change.last.header;
    other.accept(&change.last, clock(&world)).unwrap();
    let time = BlockTime(world.now().plus(1));
    let more = Header { height: last.height + 1, time, previous: last.id(), next_validators: last.validators, ..last };
    let error = LightError::Fork { height: more.height, mine: last.id(), other: more.id() };
    assert_eq!(refused(&other, &signed(&validators, more), clock(&world)), error);
}

#[test]
fn a_header_from_the_future_waits() {
    let (mut world, mut client) = scene();
    let start = world.now();
    let change = world.rekey(1, 1);
    let at = |ms: u64| LocalTime(clavicle_ledger::time::Timestamp(world.now().0 - ms));
    let ahead = LightError::Ahead { ahead_ms: CLOCK_TOLERANCE_MS + 1 };
    assert_eq!(refused(&client, &change.last, at(CLOCK_TOLERANCE_MS + 1)), ahead);
    assert_eq!(change_refused(&client, &change, at(CLOCK_TOLERANCE_MS + 1)), ahead);
    assert_eq!(refused(&client, &change.last, LocalTime(start)), LightError::Ahead { ahead_ms: DAY + 1_000 });
    assert!(client.clone().accept(&change.last, at(CLOCK_TOLERANCE_MS)).is_ok());
    client.change(&change, at(CLOCK_TOLERANCE_MS)).unwrap();
}

#[test]
fn whoever_was_away_too_long_is_not_led_by_retired_keys() {
    let (mut world, mut client) = scene();
    // The genesis is no exception.
    let start = world.now();
    let head = world.certified(1_000);
    let old = LocalTime(start.plus(TRUSTING_PERIOD_MS + 1));
    let too_old = LightError::TooOld { age_ms: TRUSTING_PERIOD_MS + 1 };
    assert_eq!(refused(&client, &head, old), too_old);
    client.accept(&head, LocalTime(start.plus(TRUSTING_PERIOD_MS))).unwrap();
    // Each newer header begins the period anew, for a header and for a change.
    client.accept(&head, old).unwrap();
    let newest = world.now();
    let change = world.rekey(1, 1);
    let late = LocalTime(newest.plus(TRUSTING_PERIOD_MS + 1));
    assert_eq!(refused(&client, &change.last, late), too_old);
    assert_eq!(change_refused(&client, &change, late), too_old);
    client.change(&change, LocalTime(newest.plus(TRUSTING_PERIOD_MS))).unwrap();
    // An older header does not.
    let mut other = LightClient::from_genesis(&world.genesis);
    other.accept(&change.last, clock(&world)).unwrap();
    let late = LocalTime(world.now().plus(TRUSTING_PERIOD_MS));
    other.accept(&head, late).unwrap();
    let later = LocalTime(late.0.plus(1));
    assert_eq!(refused(&other, &head, later), too_old);
}

#[test]
fn a_client_goes_on_where_it_was_put_down_and_not_elsewhere() {
    let (mut world, mut client) = scene();
    let back = |client: &LightClient| {
        let read: LightClient = encoding::decode(&encoding::encode(client)).unwrap();
        assert_eq!(&read, client);
        read
    };
    client = back(&client);
    client.accept(&world.certified(1_000), clock(&world)).unwrap();
    client = back(&client);
    client.change(&world.rekey(1, 1), clock(&world)).unwrap();
    client = back(&client);
    client.accept(&world.certified(1_000), clock(&world)).unwrap();
    client = back(&client);
    assert_eq!(client.newest(), &world.header);

    // A set that the header does not name, a header from before the set or with a gap to it: none is ever written.
    let read = |validators: &ValidatorSet, since: u64, newest: &Header| {
        let bytes = encoding::encode(&(validators.clone(), since, *newest));
        encoding::decode::<LightClient>(&bytes).map_err(|error| error.fault)
    };
    let (now, genesis) = (world.state.validators().unwrap(), Header::genesis(&world.genesis));
    let then = LightClient::from_genesis(&world.genesis);
    let first = scene().0.state.validators().unwrap();
    let height = world.header.height;
    assert_eq!(read(&now, height, &world.header), Ok(client));
    assert_eq!(read(&first, 1, &genesis), Ok(then));
    let no = Err(Fault::NotCanonical);
    assert_eq!(read(&first, height, &world.header), no);
    assert_eq!(read(&ValidatorSet::default(), height, &world.header), no);
    assert_eq!(read(&now, 1, &genesis), no);
    assert_eq!(read(&first, 0, &genesis), no);
    assert_eq!(read(&first, 2, &genesis), no);
    assert_eq!(read(&now, height + 2, &world.header), no);
    let last = Header { height: u64::MAX, ..world.header };
    assert_eq!(read(&now, 0, &last), no);
}

#[test]
fn a_certificate_can_be_trimmed_to_what_it_needs() {
    let set = set_of(&[("a", "a0", 1), ("b", "b0", 5), ("c", "c0", 2), ("d", "d0", 3), ("e", "e0", 1), ("f", "f0", 0)]);
    let (_, later, _) = made_up(&set);
    let header = Header { validators: set.hash(&later.chain), ..later };
    let keys = ["a0", "b0", "c0", "d0", "e0", "f0"].map(secret);
    let by = |head: &CertifiedHeader| {
        let mut powers: Vec<u64> = head.certificate.votes().map(|(place, _)| set.validators[place].power).collect();
        powers.sort_unstable();
        powers
    };
    let trim = |head: &CertifiedHeader| {
        let certificate = head.certificate.trimmed(&set);
        CertifiedHeader { header, certificate }
    };
    // Of twelve, more than eight: five, three and two. Eight are not enough.
    let whole = certify(&header, &set, &keys);
    let trimmed = trim(&whole);
    assert_eq!((by(&whole), by(&trimmed)), (vec![0, 1, 1, 2, 3, 5], vec![2, 3, 5]));
    assert_eq!(trimmed.verify(&header.chain, &set), Ok(()));
    assert!(encoding::encode(&trimmed).len() <= encoding::encode(&whole).len() - 3 * 65);
    assert_eq!(encoding::decode(&encoding::encode(&trimmed)).as_ref(), Ok(&trimmed));
    assert_eq!(trim(&trimmed), trimmed);
    // Nothing goes from one that has just enough, or too little.
    for few in [certify(&header, &set, &keys[1..5]), certify(&header, &set, &keys[..1]), certify(&header, &set, &[])] {
        let enough = few.verify(&header.chain, &set);
        assert_eq!(trim(&few).verify(&header.chain, &set), enough);
        assert!(enough.is_ok() || trim(&few) == few);
    }
}
