//! Whether strangers can link one person's studies: a game, played many times over.
//!
//! A [`Day`] is what strangers see of one: transactions and openings of mailboxes, made by the code that wallets make
//! them with, beside whose they are. A [`Player`] is shown one of them and two others of the same kind, [`Round`]:
//! one is the same person's, of another study or card. It says which. Who guesses wins every second round; by how
//! much more than that a player wins is what it can tell.
//!
//! Here are two kinds of players: bytes of what is seen, taken as numbers, all of them; and the moment. One who would
//! learn from many days, or from what relays see, is another `Player` over the same rounds.

use std::collections::BTreeMap;

use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, SourceId, StudyDigest, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{BlockTime, DAY_MS, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::Body;
use clavicle_letters::card::MAX_GRANTEES;
use clavicle_letters::mailbox::Token;
use clavicle_network::message::Opening;

use super::{GrantRequest, Head, definition, grant, one_of, revocation, terms};
use crate::recipient::MAX_CARD_DAYS;

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const MIDNIGHT: u64 = 20_700 * DAY_MS;
const PATIENTS: usize = 200;
const RECIPIENTS: usize = 60;
const SOURCES: u64 = 4;
const DAYS: u64 = 40;
const BLOCK_MS: u64 = 30_000;
const MINUTE_MS: u64 = 60_000;
/// How seldom a player that only guesses is taken for one that can tell, over all that play at once.
const BY_CHANCE: f64 = 1e-6;

/// Random numbers of a seed.
struct Dice(blake3::OutputReader);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes());
        Self(hasher.finalize_xof())
    }

    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }

    fn below(&mut self, count: u64) -> u64 {
        u64::from_le_bytes(self.bytes()) % count
    }

    fn chance(&mut self, of_a_hundred: u64) -> bool {
        self.below(100) < of_a_hundred
    }

    fn key(&mut self) -> Key {
        Key::from_bytes(self.bytes())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Definition,
    Grant,
    Revocation,
    Opening,
}

/// Something that strangers see, and what they do not: whose it is, and of which study or card.
struct Seen {
    kind: Kind,
    at: u64,
    bytes: Vec<u8>,
    whose: usize,
    /// Of which visit, or which card.
    visit: usize,
    /// Of which study.
    study: usize,
    /// Which source's the study is: that is public.
    source: u64,
}

/// Which two things of one person's a round has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pairs {
    /// Of two studies of one visit.
    OfOneVisit,
    /// Of two visits, or two cards.
    OfTwoVisits,
}

/// How the wallets of a day are.
#[derive(Clone, Copy)]
struct Wallets {
    /// Whether most people keep to one length of grants.
    habits: bool,
    /// Where `submit_by` is from.
    submit_by: fn(Head, own_clock: u64) -> Timestamp,
}

const AS_THEY_ARE: Wallets = Wallets { habits: false, submit_by: |head, _| head.submit_by() };
/// As they were once: the phone's own milliseconds, seven days on.
const BY_THEIR_CLOCKS: Wallets = Wallets { submit_by: |_, own_clock| Timestamp(own_clock + 7 * DAY_MS), ..AS_THEY_ARE };

/// What strangers see of a day.
struct Day {
    seen: Vec<Seen>,
    dice: Dice,
    wallets: Wallets,
}

/// A study that somebody holds.
struct Held {
    visit: usize,
    study: usize,
    source: u64,
    id: StudyId,
    holder: Key,
}

/// A person's device.
struct Phone {
    whose: usize,
    /// How far its clock is off, in milliseconds, to both sides of the middle.
    off: u64,
    /// Whether its wallet was restored, and finds what it granted on the ledger.
    is_restored: bool,
}

const MIDDLE: u64 = 10 * DAY_MS;

impl Phone {
    fn new(whose: usize, dice: &mut Dice) -> Self {
        let most = match dice.below(100) {
            0..70 => 2_000,
            70..95 => 60_000,
            _ => 3 * DAY_MS,
        };
        Self { whose, off: MIDDLE - most + dice.below(2 * most), is_restored: dice.chance(50) }
    }

    fn clock(&self, at: u64) -> u64 {
        at + self.off - MIDDLE
    }
}

impl Day {
    fn new(seed: u64, wallets: Wallets) -> Self {
        let mut day = Self { seen: Vec::new(), dice: Dice::new(seed), wallets };
        let sources: Vec<Key> = (0..SOURCES).map(|_| day.dice.key()).collect();
        for whose in 0..PATIENTS {
            let phone = Phone::new(whose, &mut day.dice);
            (0..2).for_each(|visit| day.visit(&phone, &sources, visit));
        }
        for whose in 0..RECIPIENTS {
            let phone = Phone::new(PATIENTS + whose, &mut day.dice);
            (0..2 + day.dice.below(3)).for_each(|card| day.card(&phone, card as usize));
        }
        day.seen.sort_by_key(|seen| seen.at);
        day
    }

    /// The newest header that a wallet believes at a moment: of one of the last blocks, or of some minutes ago.
    fn head(&mut self, at: u64) -> Head {
        let behind = if self.dice.chance(95) { BLOCK_MS } else { 10 * MINUTE_MS };
        let time = BlockTime(Timestamp(at - self.dice.below(behind)));
        Head { time, window_ms: 30 * DAY_MS }
    }

    fn see(&mut self, phone: &Phone, (kind, at): (Kind, u64), held: &Held, head: Head, mut body: Body) {
        body.submit_by = (self.wallets.submit_by)(head, phone.clock(at));
        let (whose, bytes) = (phone.whose, encoding::encode(&body));
        let Held { visit, study, source, .. } = *held;
        self.seen.push(Seen { kind, at, bytes, whose, visit, study, source });
    }

    /// Somebody picks up the studies of a visit, then lets some people in, and ends some of it.
    fn visit(&mut self, phone: &Phone, sources: &[Key], visit: usize) {
        let at = MIDNIGHT + self.dice.below(DAY_MS);
        let (habit, source) = (self.dice.below(5), self.dice.below(SOURCES));
        let mut all = Vec::new();
        for study in 0..2 + self.dice.below(3) {
            let define = DefineStudy {
                digest: StudyDigest::from_bytes(self.dice.bytes()),
                source: sources[source as usize],
                holder: self.dice.key(),
                delegates: Ascending::new(),
                manifest_root: ManifestRoot::from_bytes(self.dice.bytes()),
                open: self.dice.chance(20),
            };
            let id = StudyId::of(&CHAIN, SourceId::from_bytes([7; 32]), define.digest);
            let held = Held { visit, study: study as usize, source, id, holder: define.holder };
            let (at, nonce) = (at + 20 * study, self.dice.bytes());
            let head = self.head(at);
            self.see(phone, (Kind::Definition, at), &held, head, definition(head, nonce, define));
            all.push(held);
        }
        for _ in 0..1 + self.dice.below(2) {
            // All of the visit to one card, one study after another.
            let mut keys: Vec<Key> = (0..MAX_GRANTEES).map(|_| self.dice.key()).collect();
            keys.sort_unstable();
            let mut at = at + MINUTE_MS + self.dice.below(3 * HOUR_MS);
            for held in &all {
                at += MINUTE_MS / 2 + self.dice.below(MINUTE_MS);
                let length = if self.wallets.habits && self.dice.chance(70) { habit } else { self.dice.below(5) };
                self.let_in(phone, at, held, &mut keys, [1, 7, 30, 90, 365][length as usize]);
            }
        }
    }

    fn let_in(&mut self, phone: &Phone, at: u64, held: &Held, keys: &mut Vec<Key>, days: u64) {
        let (head, study) = (self.head(at), (held.id, held.holder));
        let grantee = one_of(keys, self.dice.bytes()).unwrap();
        keys.retain(|key| *key != grantee);
        let request = GrantRequest::new(days * DAY_MS, PurposeOfUse::Treatment);
        let terms = terms(head, self.dice.bytes(), (0, ManifestRoot::from_bytes([8; 32])), &request);
        let body = grant(head, self.dice.bytes(), &CHAIN, study, grantee, &terms);
        let (id, by) = (GrantId::from(body.id(&CHAIN)), body.submit_by);
        self.see(phone, (Kind::Grant, at), held, head, body);
        if self.dice.chance(40) {
            let known = (!phone.is_restored).then_some(by);
            let at = at + self.dice.below(4 * HOUR_MS);
            let (head, nonce) = (self.head(at), self.dice.bytes());
            self.see(phone, (Kind::Revocation, at), held, head, revocation(head, nonce, study, id, known));
        }
    }

    /// A recipient shows a card: its mailbox's opening, as the relay that keeps it sees it.
    fn card(&mut self, phone: &Phone, visit: usize) {
        let at = MIDNIGHT + self.dice.below(DAY_MS);
        let opening = Opening {
            relay: SourceId::from_bytes([7; 32]),
            mailbox: self.dice.key(),
            token: Token(self.dice.bytes()),
            until: self.head(at).kept_until(MAX_CARD_DAYS),
        };
        let bytes = borsh::to_vec(&opening).unwrap();
        self.seen.push(Seen { kind: Kind::Opening, at, bytes, whose: phone.whose, visit, study: 0, source: 0 });
    }

    /// Rounds about things of a kind, with each thing in one of them only: the same person's beside somebody else's
    /// of the same source, from about the same time or, if `whenever`, from any.
    fn rounds(&mut self, kind: Kind, pairs: Pairs, whenever: bool) -> Vec<Round<'_>> {
        let Self { seen, dice, .. } = self;
        let all: Vec<&Seen> = seen.iter().filter(|seen| seen.kind == kind).collect();
        // One of each study; of one visit, or of each visit the first.
        let mut groups: BTreeMap<(usize, usize), BTreeMap<usize, usize>> = BTreeMap::new();
        for (place, seen) in all.iter().enumerate() {
            let (group, one) = match pairs {
                Pairs::OfOneVisit => ((seen.whose, seen.visit), seen.study),
                Pairs::OfTwoVisits => ((seen.whose, 0), seen.visit),
            };
            groups.entry(group).or_default().entry(one).or_insert(place);
        }
        let mut rounds = Vec::new();
        for places in groups.values() {
            let places: Vec<usize> = places.values().copied().collect();
            for pair in places.chunks_exact(2) {
                let (shown, same) = (all[pair[0]], pair[1]);
                let is_others =
                    |place: &usize| all[*place].whose != shown.whose && all[*place].source == all[same].source;
                let other = if whenever {
                    (0..64).map(|_| dice.below(all.len() as u64) as usize).find(is_others)
                } else {
                    // On this side of it or on that.
                    let (before, after) = ((0..same).rev().find(is_others), (same..all.len()).find(is_others));
                    if dice.chance(50) { before.or(after) } else { after.or(before) }
                };
                if let Some(other) = other {
                    rounds.push(Round { shown, same: all[same], other: all[other] });
                }
            }
        }
        rounds
    }
}

/// What a player is shown, in an order that tells nothing.
struct Round<'a> {
    shown: &'a Seen,
    same: &'a Seen,
    other: &'a Seen,
}

/// Somebody who tries to tell.
trait Player {
    /// How far apart two things are; the closer one is said to be the same person's. Of two that are as far a coin
    /// decides.
    fn apart(&self, one: &Seen, other: &Seen) -> u64;

    /// Twice as often as it is right.
    fn play(&self, round: &Round<'_>) -> u64 {
        let (same, other) = (self.apart(round.shown, round.same), self.apart(round.shown, round.other));
        match same.cmp(&other) {
            std::cmp::Ordering::Less => 2,
            std::cmp::Ordering::Equal => 1,
            std::cmp::Ordering::Greater => 0,
        }
    }
}

/// When they came.
struct Moment;

impl Player for Moment {
    fn apart(&self, one: &Seen, other: &Seen) -> u64 {
        one.at.abs_diff(other.at)
    }
}

/// How long they are.
struct Length;

impl Player for Length {
    fn apart(&self, one: &Seen, other: &Seen) -> u64 {
        one.bytes.len().abs_diff(other.bytes.len()) as u64
    }
}

/// One, four or eight bytes at a place, as a number.
#[derive(Debug)]
struct Number {
    place: usize,
    width: usize,
    /// What of the moment one of it is worth: taken away first. 0 leaves it as it is.
    unit_ms: u64,
}

impl Number {
    fn of(&self, seen: &Seen) -> u64 {
        let mut bytes = [0; 8];
        bytes[..self.width].copy_from_slice(&seen.bytes[self.place..self.place + self.width]);
        u64::from_le_bytes(bytes).wrapping_mul(self.unit_ms.max(1)).wrapping_sub(if self.unit_ms > 0 {
            seen.at
        } else {
            0
        })
    }
}

impl Player for Number {
    fn apart(&self, one: &Seen, other: &Seen) -> u64 {
        let apart = self.of(one).wrapping_sub(self.of(other));
        apart.min(apart.wrapping_neg())
    }
}

/// All numbers that there are in so many bytes: as they are, and less the moment.
fn numbers(len: usize) -> Vec<Number> {
    let mut all = Vec::new();
    for (width, unit_ms) in [(1, 0), (4, 0), (8, 0), (4, DAY_MS), (8, 1)] {
        all.extend((0..=len - width).map(|place| Number { place, width, unit_ms }));
    }
    all
}

/// How often players are right, of all rounds of many days.
struct Score {
    rounds: u64,
    right: Vec<f64>,
}

fn score(kind: Kind, wallets: Wallets, (pairs, whenever): (Pairs, bool), players: &[&dyn Player]) -> Score {
    let (mut rounds, mut twice) = (0, vec![0; players.len()]);
    for seed in 0..DAYS {
        let mut day = Day::new(seed, wallets);
        for round in day.rounds(kind, pairs, whenever) {
            rounds += 1;
            twice.iter_mut().zip(players).for_each(|(twice, player)| *twice += player.play(&round));
        }
    }
    Score { rounds, right: twice.into_iter().map(|twice| twice as f64 / 2.0 / rounds as f64).collect() }
}

impl Score {
    /// By how much more or less than half of the rounds one who guesses wins by chance (Hoeffding).
    fn chance(&self) -> f64 {
        ((2.0 * self.right.len() as f64 / BY_CHANCE).ln() / (2.0 * self.rounds as f64)).sqrt()
    }
}

fn len_of(kind: Kind) -> usize {
    let day = Day::new(0, AS_THEY_ARE);
    day.seen.iter().find(|seen| seen.kind == kind).unwrap().bytes.len()
}

/// The numbers by which somebody can tell, each with how often it is right. Those less the moment play only where the
/// moment tells nothing: of two visits, beside somebody else's from about the same time.
fn telling(kind: Kind, wallets: Wallets, pairs: Pairs) -> Vec<(String, f64)> {
    let mut numbers = numbers(len_of(kind));
    numbers.retain(|number| pairs == Pairs::OfTwoVisits || number.unit_ms == 0);
    let players: Vec<&dyn Player> = numbers.iter().map(|number| number as &dyn Player).collect();
    let score = score(kind, wallets, (pairs, false), &players);
    let chance = score.chance();
    println!("{kind:?}, {pairs:?}: {} rounds, {} players, by chance 0.5 ± {chance:.3}", score.rounds, players.len());
    // Who is wrong more often than right can tell as well.
    let telling = score.right.iter().zip(&numbers).filter(|(right, _)| (**right - 0.5).abs() > chance);
    telling.map(|(right, number)| (format!("{number:?}"), *right)).collect()
}

const ON_THE_LEDGER: [Kind; 3] = [Kind::Definition, Kind::Grant, Kind::Revocation];

#[test]
fn no_public_byte_tells_one_persons_studies_from_anothers() {
    let ledger = ON_THE_LEDGER.into_iter().flat_map(|kind| [(kind, Pairs::OfOneVisit), (kind, Pairs::OfTwoVisits)]);
    for (kind, pairs) in ledger.chain([(Kind::Opening, Pairs::OfTwoVisits)]) {
        assert_eq!(telling(kind, AS_THEY_ARE, pairs), [], "{kind:?}, {pairs:?}");
        assert_eq!(score(kind, AS_THEY_ARE, (pairs, false), &[&Length]).right, [0.5], "{kind:?}, {pairs:?}");
    }
}

/// The game can be won: it is, where a phone's own clock is what strangers see.
#[test]
fn a_phones_clock_told_nearly_all() {
    for kind in ON_THE_LEDGER {
        let telling = telling(kind, BY_THEIR_CLOCKS, Pairs::OfTwoVisits);
        let best = telling.into_iter().max_by(|(_, one), (_, other)| one.total_cmp(other)).unwrap();
        println!("{kind:?}: {best:?}");
        // The first eight bytes, less block time.
        assert!(best.0.contains("place: 0, width: 8, unit_ms: 1"), "{kind:?}: {best:?}");
        assert!(best.1 > 0.95, "{kind:?}: {best:?}");
    }
}

/// What the limits at the head of the module say in numbers.
#[test]
fn what_does_tell_is_said_in_numbers() {
    let by_moment = |kind| score(kind, AS_THEY_ARE, (Pairs::OfOneVisit, true), &[&Moment]).right[0];
    let (definitions, grants) = (by_moment(Kind::Definition), by_moment(Kind::Grant));
    let habits = telling(Kind::Grant, Wallets { habits: true, ..AS_THEY_ARE }, Pairs::OfOneVisit);
    let how_long = habits.into_iter().map(|(_, right)| right).max_by(f64::total_cmp).unwrap();
    println!("definitions by the moment: {definitions:.3}, grants: {grants:.3}; by how long: {how_long:.3}");
    for (right, said) in [(definitions, 1.00), (grants, 1.00), (how_long, 0.69)] {
        assert!((right - said).abs() < 0.015, "{right}, and {said} is said");
    }
}
