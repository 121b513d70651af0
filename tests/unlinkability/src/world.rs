//! A simulated time of a network: what everybody sees of it, and whose it is.
//!
//! Each patient's life is written down as transactions with their moments, by the wallet's own functions; then all of
//! them come to the chain in the order of time, which executes them. What a phone does in one go is an [`Act`].

mod person;

use std::collections::{BTreeMap, BTreeSet};

use clavicle_ledger::derivation::{Branch, Seed, Words};
use clavicle_ledger::id::{GrantId, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::{BlockTime, DAY_MS, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Envelope, Verified};
use clavicle_letters::card::MAX_GRANTEES;
use clavicle_letters::identity::Identity;
use clavicle_wallet::envelope::Head;

use self::person::Person;
use crate::dice::Dice;
use crate::life::Life;
use crate::network::{BEGIN, BLOCK_MS, Network, SOURCES};

const MINUTE_MS: u64 = 60_000;
/// The network's own: how far ahead of block time it takes transactions.
const WINDOW_MS: u64 = 30 * DAY_MS;

/// What somebody does in one go, and what shows that several studies are one patient's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// The studies of a visit are claimed, while somebody waits at the desk.
    Pickup,
    /// Studies of one visit are granted to one card, face to face.
    LettingIn,
    /// Studies of an earlier visit are granted along with those.
    Along,
    /// What was granted in one go is ended in one go, or all that there is.
    Ending,
    /// All studies are transferred to new words.
    NewWords,
    /// A hospital gives back all that it has of a patient.
    Recovery,
    /// A delegate is named on all studies.
    Delegation,
    /// A hospital revises studies of a visit.
    Revision,
}

/// Whose a study is: what nobody is to find out.
pub(crate) struct Study {
    pub(crate) patient: usize,
    pub(crate) visit: usize,
    /// When it was picked up.
    pub(crate) at: u64,
    pub(crate) source: usize,
    pub(crate) acts: BTreeSet<usize>,
    /// What can be reached from it by single acts, as a number.
    pub(crate) reach: usize,
}

/// A transaction as everybody sees it.
pub(crate) struct Seen {
    pub(crate) envelope: Envelope,
    pub(crate) at: u64,
    pub(crate) height: u64,
    /// Its place among all that were executed.
    pub(crate) place: u64,
}

/// A card's mailbox, and who keeps it.
pub(crate) struct Mailbox {
    pub(crate) key: Key,
    pub(crate) recipient: usize,
    pub(crate) relays: [usize; 2],
}

/// A letter that was left in a mailbox, as a relay that keeps it sees it.
pub(crate) struct Deposit {
    pub(crate) at: u64,
    pub(crate) mailbox: usize,
    pub(crate) len: usize,
    /// Of which study it tells: known to that study's source, once the copy's mailbox was told to it, and to no relay.
    pub(crate) study: usize,
}

/// A simulated time.
pub struct World {
    pub(crate) studies: Vec<Study>,
    /// Of each study, in the order of time.
    pub(crate) seen: Vec<Vec<Seen>>,
    pub(crate) acts: Vec<Act>,
    pub(crate) mailboxes: Vec<Mailbox>,
    /// In the order of time.
    pub(crate) deposits: Vec<Deposit>,
    /// When each patient's wallet was restored from its words, if it was.
    pub(crate) restored: Vec<Option<u64>>,
}

/// A transaction on its way.
struct Sent {
    at: u64,
    study: usize,
    envelope: Verified,
    letter: Option<(usize, usize)>,
}

/// A study that somebody holds.
struct Held {
    study: usize,
    id: StudyId,
    source: usize,
    holder: SecretKey,
    salt: Salt,
    at: u64,
}

/// A grant that somebody made.
#[derive(Clone)]
struct Given {
    held: usize,
    id: GrantId,
    by: Timestamp,
    at: u64,
    expires: u64,
    has_ended: bool,
}

/// Whoever patients let in.
struct Doctor {
    seed: Seed,
    next_card: u32,
    next_mailbox: u32,
}

/// What a doctor shows.
struct Card {
    keys: Vec<Key>,
    mailbox: usize,
    identity: Identity,
}

/// A world that is being made.
struct Making<'a> {
    life: &'a Life,
    network: &'a Network,
    dice: Dice,
    world: World,
    sent: Vec<Sent>,
    doctors: Vec<Doctor>,
}

impl World {
    /// Lets people live.
    #[must_use]
    pub fn new(seed: u64, life: &Life) -> Self {
        let network = Network::new();
        let world = Self {
            studies: Vec::new(),
            seen: Vec::new(),
            acts: Vec::new(),
            mailboxes: Vec::new(),
            deposits: Vec::new(),
            restored: Vec::new(),
        };
        let mut making =
            Making { life, network: &network, dice: Dice::new(seed), world, sent: Vec::new(), doctors: Vec::new() };
        for _ in 0..life.patients.div_ceil(10) {
            let doctor = Doctor { seed: making.words(), next_card: 0, next_mailbox: 0 };
            making.doctors.push(doctor);
        }
        for number in 0..life.patients {
            let mut person = Person::new(number, &mut making);
            making.world.restored.push(person.restored_at());
            person.live(&mut making);
        }
        let Making { mut world, sent, mut dice, .. } = making;
        world.happen(&network, sent, &mut dice);
        world.connect();
        world
    }

    /// How many transactions were executed.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.seen.iter().map(Vec::len).sum()
    }

    /// How many studies there are.
    #[must_use]
    pub const fn studies(&self) -> usize {
        self.studies.len()
    }

    /// Everything comes to the chain.
    fn happen(&mut self, network: &Network, mut sent: Vec<Sent>, dice: &mut Dice) {
        sent.sort_by_key(|sent| (sent.at, sent.study));
        let (mut chain, mut place) = (network.blocks(), 0);
        for block in sent.chunk_by(|one, other| one.at / BLOCK_MS == other.at / BLOCK_MS) {
            let of: BTreeMap<_, &Sent> = block.iter().map(|sent| (sent.envelope.id(), sent)).collect();
            let envelopes = block.iter().map(|sent| sent.envelope.clone()).collect();
            let (taken, height, at) = chain.block(block[0].at, envelopes);
            for envelope in taken {
                let Some(sent) = of.get(&envelope.id()) else { continue };
                let envelope = envelope.envelope().clone();
                self.seen[sent.study].push(Seen { envelope, at, height, place });
                place += 1;
                if let Some((mailbox, len)) = sent.letter {
                    let at = at + 30 + dice.below(100);
                    self.deposits.push(Deposit { at, mailbox, len, study: sent.study });
                }
            }
        }
        self.deposits.sort_by_key(|deposit| deposit.at);
    }

    /// Finds which studies can be reached from which by single acts.
    fn connect(&mut self) {
        let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (number, study) in self.studies.iter().enumerate() {
            study.acts.iter().for_each(|act| of.entry(*act).or_default().push(number));
        }
        let mut reach: Vec<Option<usize>> = vec![None; self.studies.len()];
        for first in 0..self.studies.len() {
            let mut waiting = vec![first];
            while let Some(study) = waiting.pop() {
                if reach[study].is_none() {
                    reach[study] = Some(first);
                    waiting.extend(self.studies[study].acts.iter().filter_map(|act| of.get(act)).flatten());
                }
            }
        }
        for (study, reach) in self.studies.iter_mut().zip(reach) {
            study.reach = reach.unwrap_or_default();
        }
    }
}

impl Making<'_> {
    fn words(&mut self) -> Seed {
        Words::from_entropy(&self.dice.bytes()).seed()
    }

    fn act(&mut self, act: Act) -> usize {
        self.world.acts.push(act);
        self.world.acts.len() - 1
    }

    /// The newest header that a wallet believes at a moment: of one of the last blocks, or of some minutes ago.
    fn head(&mut self, at: u64) -> Head {
        let behind = if self.dice.chance(95) { MINUTE_MS / 2 } else { 10 * MINUTE_MS };
        Head { time: BlockTime(Timestamp(at - self.dice.below(behind))), window_ms: WINDOW_MS }
    }

    /// A moment of a day on which people are awake.
    fn moment(&mut self, day: u64) -> u64 {
        BEGIN + day * DAY_MS + 8 * HOUR_MS + self.dice.below(10 * HOUR_MS)
    }

    fn source(&self, number: usize) -> SourceId {
        self.network.hospitals[number].id
    }

    /// Something was done about a study, as part of an act.
    fn send(&mut self, at: u64, (study, act): (usize, usize), envelope: Envelope, letter: Option<(usize, usize)>) {
        let envelope = envelope.check_stateless(&self.network.chain).expect("what a wallet signs is well formed");
        self.world.studies[study].acts.insert(act);
        self.sent.push(Sent { at, study, envelope, letter });
    }

    /// A doctor shows a card: its keys and its mailbox, as a recipient's wallet makes them.
    fn card(&mut self, doctor: usize) -> Card {
        let wallet = &mut self.doctors[doctor];
        let count = u32::try_from(MAX_GRANTEES).unwrap_or(1);
        let numbers = wallet.next_card..wallet.next_card + count;
        let derive = |branch, number| wallet.seed.derive_key(0, branch, number).expect("few keys");
        let mut keys: Vec<Key> = numbers.map(|number| derive(Branch::Card, number).public()).collect();
        // In the order in which a card lists them.
        keys.sort_unstable();
        let key = derive(Branch::Mailbox, wallet.next_mailbox).public();
        (wallet.next_card, wallet.next_mailbox) = (wallet.next_card + count, wallet.next_mailbox + 1);
        let first = self.dice.place(SOURCES);
        let second = (first + 1 + self.dice.place(SOURCES - 1)) % SOURCES;
        self.world.mailboxes.push(Mailbox { key, recipient: doctor, relays: [first, second] });
        let identity = Identity::from_bytes(&self.dice.bytes());
        Card { keys, mailbox: self.world.mailboxes.len() - 1, identity }
    }
}
