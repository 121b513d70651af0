//! The loop without an engine: what it lets through to the application, and when it lets the next height begin.

use std::convert::Infallible;

use clavicle_ledger::block::{CommitCertificate, Header, PROTOCOL_VERSION, envelopes_root};
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{CommitDigest, StateRoot, ValidatorsHash};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::BlockTime;
use clavicle_ledger::validators::Validator;

use super::*;
use crate::application::{Neighbour, Undecided};

const CHAIN: ChainId = ChainId::from_bytes([7; 32]);

/// Finds everything valid.
struct Stub {
    height: Height,
    pending: bool,
    validated: Vec<BlockId>,
}

impl Application for Stub {
    type Error = Infallible;

    fn next(&self) -> Result<(Height, ValidatorSet), Infallible> {
        Ok((self.height, set()))
    }

    fn neighbours(&self) -> Result<Vec<Neighbour>, Infallible> {
        Ok(Vec::new())
    }

    fn pending(&self) -> bool {
        self.pending
    }

    fn propose(&mut self, _: Height, _: u32) -> Result<(BlockId, Vec<u8>), Infallible> {
        unreachable!("no test asks for a block")
    }

    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, Infallible> {
        self.validated.push(candidate.id);
        Ok(Verdict::Valid)
    }

    fn undecided(&self, _: Height) -> Result<Vec<Undecided>, Infallible> {
        Ok(Vec::new())
    }

    fn kept(&self, _: Height, _: BlockId) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(None)
    }

    fn decide(&mut self, _: CommitCertificate) -> Result<(), Infallible> {
        Ok(())
    }

    fn finalised(&mut self, _: CommitCertificate, _: Vec<Conflict>) -> Result<(), Infallible> {
        Ok(())
    }

    fn decided(&self, _: Height) -> Result<Option<Decided>, Infallible> {
        Ok(None)
    }

    fn earliest(&self) -> Result<Height, Infallible> {
        Ok(1)
    }
}

fn key(place: usize) -> SecretKey {
    SecretKey::from_bytes(&[u8::try_from(place).unwrap(); 32])
}

fn source(place: usize) -> SourceId {
    SourceId::from_bytes([u8::try_from(place).unwrap(); 32])
}

fn set() -> ValidatorSet {
    let validator = |place| Validator { source: source(place), key: key(place).public(), power: 1 };
    ValidatorSet { validators: Ascending::from_items((0..4).map(validator).collect()).unwrap() }
}

/// The place of whoever proposes.
fn turn(height: Height, round: u32) -> usize {
    let proposer = set().proposer(&CHAIN, height, round);
    (0..4).find(|place| proposer == Some(source(*place))).unwrap()
}

fn drive() -> Drive<Stub> {
    let settings = Settings {
        chain: CHAIN,
        source: source(9),
        signs: None,
        timeouts: LinearTimeouts::default(),
        heartbeat: Duration::from_secs(30),
        gather: None,
    };
    let stub = Stub { height: 1, pending: false, validated: Vec::new() };
    Drive::new(settings, stub, mpsc::channel(1).0, watch::Sender::new(Arc::default()), watch::channel(0).1).unwrap()
}

fn block(height: Height) -> (BlockId, Vec<u8>) {
    let header = Header {
        version: PROTOCOL_VERSION,
        chain: CHAIN,
        height,
        time: BlockTime::default(),
        previous: BlockId::from_bytes([0; 32]),
        envelopes: envelopes_root(&CHAIN, &[]),
        state_root: StateRoot::from_bytes([0; 32]),
        validators: ValidatorsHash::from_bytes([0; 32]),
        next_validators: ValidatorsHash::from_bytes([0; 32]),
        last_commit: CommitDigest::from_bytes([0; 32]),
        proposer: source(0),
        round: 0,
    };
    (header.id(), encoding::encode(&Block { header, last_commit: None, envelopes: Vec::new() }))
}

/// The only part of a block's proposal in a round, by the one at `place`, signed by the one at `signer`.
fn part(height: Height, round: u32, place: usize, signer: usize, bytes: &[u8]) -> Part {
    let proposal = RoundProposal { height, round, block: block(height).0, valid_round: None, proposer: source(place) };
    let signature = key(signer).sign(&proposal.preimage(&CHAIN));
    split(proposal, signature, bytes).remove(0)
}

fn peer(byte: u8) -> PeerId {
    PeerId::from_bytes(&[&[0, 32][..], &[byte; 32]].concat()).unwrap()
}

#[test]
fn only_the_proposer_of_a_round_is_listened_to() {
    let (mut drive, (id, bytes)) = (drive(), block(1));
    let (mine, other) = (turn(1, 0), (turn(1, 0) + 1) % 4);
    let far = ROUNDS_AHEAD + 1;
    for wrong in [
        part(1, 0, mine, other, &bytes),
        part(1, 0, other, other, &bytes),
        part(1, far, turn(1, far), turn(1, far), &bytes),
        part(3, 0, turn(3, 0), turn(3, 0), &bytes),
    ] {
        assert!(drive.part(peer(1), wrong).unwrap().is_none());
    }
    assert!(drive.application.validated.is_empty() && drive.proposals.is_empty() && drive.early.is_empty());
    let value = drive.part(peer(1), part(1, 0, mine, mine, &bytes)).unwrap().unwrap();
    assert_eq!((value.value, value.validity), (Value(id), Validity::Valid));
    // Once is enough.
    assert!(drive.part(peer(2), part(1, 0, mine, mine, &bytes)).unwrap().is_none());
    assert_eq!(drive.application.validated, [id]);
}

#[test]
fn bytes_that_are_not_the_blocks_say_nothing_about_it() {
    let (mut drive, (id, bytes), mine) = (drive(), block(1), turn(1, 0));
    let (mut spoilt, other) = (bytes.clone(), block(2).1);
    spoilt.push(0);
    for wrong in [spoilt, other] {
        assert!(drive.part(peer(1), part(1, 0, mine, mine, &wrong)).unwrap().is_none());
    }
    assert!(drive.application.validated.is_empty());
    assert!(drive.part(peer(2), part(1, 0, mine, mine, &bytes)).unwrap().is_some());
    assert_eq!(drive.application.validated, [id]);
}

#[test]
fn what_comes_for_the_next_height_waits_until_it_is_due() {
    let (mut drive, (id, bytes), mine) = (drive(), block(2), turn(2, 0));
    assert!(drive.part(peer(1), part(2, 0, mine, mine, &bytes)).unwrap().is_none());
    assert!(drive.started(1, 0).unwrap().is_empty());
    drive.application.height = 2;
    drive.advance().unwrap();
    let values = drive.started(2, 0).unwrap();
    assert_eq!(values.iter().map(|value| value.value).collect::<Vec<_>>(), [Value(id)]);
    assert!(drive.started(2, 1).unwrap().is_empty());
}

#[test]
fn no_peer_fills_the_place_for_what_comes_early() {
    let (mut drive, bytes, mine) = (drive(), block(2).1, turn(2, 0));
    for wrong in [part(2, 0, mine, (mine + 1) % 4, &bytes), part(2, 0, (mine + 1) % 4, (mine + 1) % 4, &bytes)] {
        drive.part(peer(1), wrong).unwrap();
    }
    assert!(drive.early.is_empty());
    for peers in [1, 2, 3] {
        for _ in 0..2 * MAX_EARLY {
            drive.part(peer(peers), part(2, 0, mine, mine, &bytes)).unwrap();
        }
    }
    assert_eq!(drive.early.iter().filter(|(from, _)| *from == peer(1)).count(), MAX_EARLY_EACH);
    assert_eq!(drive.early.len(), MAX_EARLY);
}

#[tokio::test]
async fn the_next_height_begins_when_there_is_something_or_somebody_else_began() {
    let mut drive = drive();
    let (reply, mut answer) = oneshot::channel();
    drive.hold(reply);
    assert!(answer.try_recv().is_err());
    let mine = turn(1, 0);
    drive.part(peer(1), part(1, 0, mine, (mine + 1) % 4, &block(1).1)).unwrap();
    assert!(answer.try_recv().is_err(), "anybody could have sent that");
    drive.part(peer(1), part(1, 0, mine, mine, &block(1).1)).unwrap();
    assert!(matches!(answer.try_recv(), Ok(Next::Start(At(1), _))));

    drive.proposals.clear();
    drive.application.pending = true;
    let (reply, mut answer) = oneshot::channel();
    drive.hold(reply);
    assert!(matches!(answer.try_recv(), Ok(Next::Start(At(1), _))));
}

#[tokio::test]
async fn one_that_is_behind_does_not_wait_for_the_next_height() {
    let (ahead, brought) = watch::channel(0);
    let mut drive = drive();
    drive.ahead = brought;
    let (reply, mut answer) = oneshot::channel();
    drive.hold(reply);
    assert!(answer.try_recv().is_err());
    ahead.send_replace(1);
    let mut waits = drive.ahead.clone();
    comes_to(&mut waits, 1).await;
    let (reply, mut answer) = oneshot::channel();
    drive.hold(reply);
    assert!(matches!(answer.try_recv(), Ok(Next::Start(At(1), _))));
}

#[test]
fn a_block_sent_to_one_behind_is_read_or_blamed_on_its_sender() {
    let (mut drive, (id, bytes)) = (drive(), block(1));
    let mut synced = |height, bytes: &[u8]| drive.synced(height, Round::ZERO, Address(source(0)), bytes).unwrap();
    assert!(matches!(synced(1, &bytes[1..]), SyncedValueOutcome::PeerFault));
    assert!(matches!(synced(2, &bytes), SyncedValueOutcome::LocalTransientError));
    let SyncedValueOutcome::Verdict(value) = synced(1, &bytes) else { panic!("it is the block that is due") };
    assert_eq!(value.value, Value(id));
}
