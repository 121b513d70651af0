//! Proof of work: what it costs to have a relay keep a new mailbox.
//!
//! Whoever opens a mailbox has no right that a relay could ask for: recipients need one before anybody knows them,
//! and a right that is tied to a person would link their cards. So it costs some computing, which links nothing.
//!
//! ```text
//! seed     = BLAKE3(preimage of relay ‖ its libp2p key ‖ mailbox ‖ period ‖ salt)
//! part n   : BLAKE3(seed ‖ n ‖ nonce), its first 8 bytes as a little-endian number, is at most (2⁶⁴ − 1) / effort of a part
//! ```
//!
//! Sixteen parts in a row, since the time for one is left to chance: for all of them together it is within a third of
//! what it is on average, and how far it is can be shown. It is good at one relay, for one mailbox, once, and for ten
//! minutes to twenty, so that nothing is done in advance.
//!
//! # What it costs
//!
//! 4,194,304 hashes took 0.46 to 0.55 s of one core of a shared server, 110 to 130 ns each; a telephone's core, by
//! estimate, most of a second. To check takes 17 hashes.
//!
//! A part's hash is of one block of BLAKE3, with nothing to remember. That is the cheapest to check, and it is also
//! what graphics cards do best: by estimate, not measured here, one does some 10⁹ to 10¹⁰ of them a second, as much
//! as hundreds of telephones or thousands. It is a price for whoever floods from stolen accounts, phones and small
//! machines, no wall against who owns such cards; what holds against those are the shares of addresses, and the room
//! that each mailbox has of its own (the relay's `store/mailboxes.rs`, where the sums are).

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::Timestamp;

/// How many hashes a mailbox costs on average, unless a relay says otherwise.
pub const EFFORT: u32 = 1 << 22;
/// The most that a wallet pays: what a relay asks for that is nearly full.
pub const MAX_EFFORT: u64 = EFFORT as u64 * 16;
/// How many parts there are.
pub const PARTS: usize = 16;
/// How long a period is, in milliseconds.
pub const PERIOD_MS: u64 = 10 * 60_000;
/// After how many hashes it is looked whether anybody still wants it.
const LOOK_EVERY: u64 = 4_096;

/// For what the work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purpose {
    /// The network.
    pub chain: ChainId,
    /// Whose relay.
    pub relay: SourceId,
    /// The relay's libp2p key.
    pub relay_peer: Key,
    /// Which mailbox.
    pub mailbox: Key,
}

/// What a relay asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Price {
    /// How many hashes, on average.
    pub effort: u64,
    /// In which period: the relay's clock tells, so that the asker's need not be right, nor is seen.
    pub period: u64,
}

/// Work that was done.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Work {
    /// In which period.
    pub period: u64,
    /// Random bytes: who pays once more for the same mailbox pays anew.
    pub salt: [u8; 16],
    /// What was found for each part.
    pub nonces: [u64; PARTS],
}

/// The period of a moment.
#[must_use]
pub const fn period_of(now: Timestamp) -> u64 {
    now.0 / PERIOD_MS
}

/// The work for a purpose, part by part. It takes as long as it takes, so it belongs where nobody else waits.
#[derive(Clone, Debug)]
pub struct Task {
    seed: [u8; 32],
    target: u64,
    work: Work,
    done: usize,
}

impl Task {
    /// Work that begins. The salt is random.
    #[must_use]
    pub fn new(purpose: &Purpose, price: Price, salt: [u8; 16]) -> Self {
        let work = Work { period: price.period, salt, nonces: [0; PARTS] };
        Self { seed: work.seed(purpose), target: target(price.effort), work, done: 0 }
    }

    /// Does one more part; or stops when it is no longer `wanted`, which is looked at now and then.
    pub fn go_on(&mut self, wanted: impl Fn() -> bool) {
        let Some(found) = self.work.nonces.get_mut(self.done) else { return };
        for nonce in 0.. {
            if hash(&self.seed, self.done, nonce) <= self.target {
                *found = nonce;
                self.done = self.done.saturating_add(1);
                return;
            }
            if nonce % LOOK_EVERY == 0 && !wanted() {
                return;
            }
        }
    }

    /// How many parts are done.
    #[must_use]
    pub const fn done(&self) -> usize {
        self.done
    }

    /// The work, when all of it is done.
    #[must_use]
    pub fn finished(&self) -> Option<&Work> {
        (self.done == PARTS).then_some(&self.work)
    }
}

impl Work {
    fn seed(&self, purpose: &Purpose) -> [u8; 32] {
        let Purpose { chain, relay, relay_peer, mailbox } = purpose;
        domain::digest(Tag::BOX_WORK, chain, &(relay, relay_peer, mailbox, self.period, self.salt))
    }

    /// Whether it is as much as `effort`, for this purpose. Whether it is of now, and new, is for whoever keeps what
    /// was spent.
    #[must_use]
    pub fn is_enough(&self, purpose: &Purpose, effort: u64) -> bool {
        let (seed, target) = (self.seed(purpose), target(effort));
        self.nonces.iter().enumerate().all(|(part, nonce)| hash(&seed, part, *nonce) <= target)
    }
}

const fn target(effort: u64) -> u64 {
    let of_a_part = effort.div_ceil(PARTS as u64);
    u64::MAX / if of_a_part == 0 { 1 } else { of_a_part }
}

fn hash(seed: &[u8; 32], part: usize, nonce: u64) -> u64 {
    let mut block = [0; 48];
    block[..32].copy_from_slice(seed);
    block[32..40].copy_from_slice(&(part as u64).to_le_bytes());
    block[40..].copy_from_slice(&nonce.to_le_bytes());
    blake3::hash(&block).as_bytes().first_chunk().map_or(u64::MAX, |first| u64::from_le_bytes(*first))
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::key::SecretKey;

    use super::*;

    fn purpose() -> Purpose {
        Purpose {
            chain: ChainId::from_bytes([1; 32]),
            relay: SourceId::from_bytes([2; 32]),
            relay_peer: SecretKey::from_bytes(&[3; 32]).public(),
            mailbox: SecretKey::from_bytes(&[4; 32]).public(),
        }
    }

    fn done(purpose: &Purpose, effort: u64) -> Work {
        let mut task = Task::new(purpose, Price { effort, period: 7 }, [5; 16]);
        while task.finished().is_none() {
            task.go_on(|| true);
        }
        task.finished().unwrap().clone()
    }

    #[test]
    fn work_is_good_for_what_it_was_done_for_and_nothing_else() {
        let (purpose, effort) = (purpose(), 4_096);
        let work = done(&purpose, effort);
        assert!(work.is_enough(&purpose, effort) && work.is_enough(&purpose, 1));
        assert!(!work.is_enough(&purpose, effort * 64));
        let (chain, relay) = (ChainId::from_bytes([9; 32]), SourceId::from_bytes([9; 32]));
        let key = SecretKey::from_bytes(&[9; 32]).public();
        for other in [
            Purpose { chain, ..purpose },
            Purpose { relay, ..purpose },
            Purpose { relay_peer: key, ..purpose },
            Purpose { mailbox: key, ..purpose },
        ] {
            assert!(!work.is_enough(&other, effort));
        }
        for other in [Work { period: 8, ..work.clone() }, Work { salt: [6; 16], ..work.clone() }] {
            assert!(!other.is_enough(&purpose, effort));
        }
        let mut swapped = work;
        swapped.nonces.swap(0, 1);
        assert!(!swapped.is_enough(&purpose, effort));
    }

    #[test]
    fn it_costs_about_what_is_asked_and_each_part_a_sixteenth() {
        let effort = 1 << 14;
        let hashes: u64 = (0..8u8)
            .map(|n| {
                let mailbox = SecretKey::from_bytes(&[n; 32]).public();
                done(&Purpose { mailbox, ..purpose() }, effort).nonces.iter().map(|nonce| nonce + 1).sum::<u64>()
            })
            .sum();
        // Of 128 parts; a third off would be once in thousands of choices of keys, and the keys are what they are.
        let due = 8 * effort;
        assert!((due * 2 / 3..due * 4 / 3).contains(&hashes), "{hashes} of {due}");
    }

    #[test]
    fn what_nobody_wants_any_more_is_not_done() {
        let mut task = Task::new(&purpose(), Price { effort: u64::MAX, period: 7 }, [5; 16]);
        task.go_on(|| false);
        assert_eq!((task.done(), task.finished()), (0, None));
    }

    /// `cargo test --release -p clavicle-network --lib -- --ignored --nocapture what_a_mailbox_costs_here`
    #[test]
    #[ignore = "a measurement"]
    fn what_a_mailbox_costs_here() {
        for _ in 0..10 {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).unwrap();
            let mut task = Task::new(&purpose(), Price { effort: EFFORT.into(), period: 7 }, salt);
            let from = std::time::Instant::now();
            while task.finished().is_none() {
                task.go_on(|| true);
            }
            let took = from.elapsed();
            let work = task.finished().unwrap();
            let from = std::time::Instant::now();
            assert!(work.is_enough(&purpose(), EFFORT.into()));
            println!("{took:?} to do, {:?} to check", from.elapsed());
        }
    }
}
