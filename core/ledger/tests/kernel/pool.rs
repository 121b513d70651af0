//! The pool of what waits for a block, against a naive one that looks at everything each time; and what it promises, by name.

use std::collections::{BTreeMap, BTreeSet};

use clavicle_ledger::action::{NewStatus, SetStatus};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{EnvelopeHash, GrantId, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::pool::{Lane, Limits, Pool, Put, lane_of};
use clavicle_ledger::study::{DelegateRole, Reason};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_ledger::transaction::{Action, Precedence, Verified};

use crate::history::Dice;
use crate::world::{self, World, secret};

/// Room for little, so that it is full most of the time.
const TIGHT: Limits = Limits { room: 12 * 1024, least: 400, of_signer: 3 };

/// A pool without any index.
#[derive(Default)]
struct Naive {
    /// In the order of arrival.
    waiting: Vec<Waiting>,
    served: BTreeMap<(Precedence, Lane), u64>,
    moments: u64,
}

#[derive(Clone)]
struct Waiting {
    envelope: Verified,
    place: (Precedence, Lane),
    arrival: u64,
}

fn precedence(envelope: &Verified) -> Precedence {
    envelope.body().action.precedence()
}

/// Who signed on which study, if it is a holder or delegate.
fn signer(envelope: &Verified) -> Option<(Precedence, StudyId, Key)> {
    let (study, key) = match &envelope.body().action {
        Action::Grant(grant) => (grant.study, grant.granter),
        Action::Revoke(revoke) => (revoke.study, revoke.revoker),
        _ => return None,
    };
    Some((precedence(envelope), study, key))
}

fn room(envelope: &Verified) -> usize {
    envelope.encoded_len().max(TIGHT.least)
}

impl Naive {
    fn moment(&mut self) -> u64 {
        self.moments += 1;
        self.moments
    }

    fn has(&self, hash: &EnvelopeHash) -> bool {
        self.waiting.iter().any(|it| it.envelope.hash() == *hash)
    }

    fn room(&self, of: impl Fn(&Waiting) -> bool) -> usize {
        self.waiting.iter().filter(|it| of(it)).map(|it| room(&it.envelope)).sum()
    }

    fn put(&mut self, envelope: Verified, lane: Lane) -> Put {
        if self.has(&envelope.hash()) {
            return Put::Waited;
        }
        let by = signer(&envelope);
        if by.is_some() && self.waiting.iter().filter(|it| signer(&it.envelope) == by).count() >= TIGHT.of_signer {
            return Put::TooMany;
        }
        let (place, before) = ((precedence(&envelope), lane), self.waiting.clone());
        while self.room(|_| true) + room(&envelope) > TIGHT.room {
            let length = |it: &Waiting| (it.place.0, self.room(|other| other.place == it.place), it.place.1);
            let (lowest, longest, of) = self.waiting.iter().map(length).max().unwrap();
            let own = self.room(|it| it.place == place) + room(&envelope);
            if lowest < place.0 || (lowest == place.0 && longest <= own) {
                self.waiting = before;
                return Put::Full;
            }
            let newest = self.waiting.iter().rposition(|it| it.place == (lowest, of)).unwrap();
            self.waiting.remove(newest);
        }
        let arrival = self.moment();
        self.waiting.push(Waiting { envelope, place, arrival });
        Put::Waits
    }

    fn remove(&mut self, hash: &EnvelopeHash) -> bool {
        let Some(at) = self.waiting.iter().position(|it| it.envelope.hash() == *hash) else { return false };
        let (gone, moment) = (self.waiting.remove(at), self.moment());
        self.served.insert(gone.place, moment);
        true
    }

    /// By precedence, then by how many of its own lane go before it, then by how long its lane has waited for its turn.
    fn in_turn(&self, most: usize, bytes: usize) -> Vec<EnvelopeHash> {
        let mut lanes = BTreeMap::new();
        let mut turns = Vec::new();
        for Waiting { envelope, place, arrival } in &self.waiting {
            let served = self.served.get(place).copied().unwrap_or_default();
            let (since, before) = lanes.entry(*place).or_insert((served.max(*arrival), 0));
            turns.push(((place.0, *before, *since), envelope));
            *before += 1;
        }
        turns.sort_by_key(|(turn, _)| *turn);
        let mut taken = 0;
        let fits = |(_, envelope): &&(_, &Verified)| {
            taken += envelope.encoded_len();
            taken <= bytes
        };
        turns.iter().take(most).take_while(fits).map(|(_, envelope)| envelope.hash()).collect()
    }
}

/// Transactions to put in: every precedence there is so far, short and long, to be submitted by all sorts of times.
struct Supply {
    world: World,
    holders: Vec<SecretKey>,
    lanes: Vec<Lane>,
}

impl Supply {
    fn new() -> Self {
        let world = World::new(Parameters::default());
        let ids: Vec<SourceId> = world.hospitals.iter().map(|hospital| hospital.id(&world.chain)).collect();
        let lanes = ids.iter().flat_map(|id| [Lane::Source(*id), Lane::Holders(*id)]).chain([Lane::Nobody]).collect();
        Self { world, holders: (0..3).map(|n| secret(&format!("holder {n}"))).collect(), lanes }
    }

    fn revoke(&mut self, study: u64, by: &SecretKey) -> Verified {
        let action = world::revoke(self.world.id(study), by.public(), GrantId::from_bytes([1; 32]));
        self.world.sign(action, &[by])
    }

    fn revise(&mut self, study: u64) -> Verified {
        let mercy = self.world.hospitals[0].operational.clone();
        self.world.sign(world::revise(self.world.id(study), mercy.public(), 1), &[&mercy])
    }

    fn set_status(&mut self, study: u64) -> Verified {
        let mercy = self.world.hospitals[0].operational.clone();
        let (study, source) = (self.world.id(study), mercy.public());
        let status = NewStatus::Suspended(Reason::WrongPatient);
        self.world.sign(Action::SetStatus(SetStatus { study, source, number: 1, status }), &[&mercy])
    }

    fn grant(&mut self, study: u64, by: &SecretKey) -> Verified {
        let (id, terms) = (self.world.id(study), self.world.terms(1_000));
        let action = world::grant(&self.world.chain, id, by.public(), &secret("grantee").public(), &terms);
        self.world.sign(action, &[by])
    }

    fn define_source(&mut self) -> Verified {
        let mercy = self.world.hospitals[0].clone();
        self.world.sign(mercy.define_source(1), &mercy.secrets())
    }

    fn any(&mut self, dice: &mut Dice) -> Verified {
        let (study, by) = (dice.below(3), dice.pick(&self.holders).clone());
        let envelope = match dice.below(6) {
            0 | 1 => self.revoke(study, &by),
            2 => self.set_status(study),
            3 => self.revise(study),
            4 => self.grant(study, &by),
            _ => self.define_source(),
        };
        let mut body = envelope.body().clone();
        body.submit_by = self.world.now().plus(dice.below(1_000));
        let mercy = self.world.hospitals[0].clone();
        let keys: Vec<&SecretKey> = mercy.secrets().into_iter().chain([&by]).collect();
        self.world.sign_body(body, &keys)
    }
}

fn hashes(envelopes: &[Verified]) -> Vec<EnvelopeHash> {
    envelopes.iter().map(Verified::hash).collect()
}

/// What holds whatever was put in: what precedes goes first, and of each precedence every lane has its share.
fn check_turns(naive: &Naive, chosen: &[EnvelopeHash], seed: u64) {
    let lane_of: BTreeMap<EnvelopeHash, (Precedence, Lane)> =
        naive.waiting.iter().map(|it| (it.envelope.hash(), it.place)).collect();
    let left = lane_of.iter().filter(|(hash, _)| !chosen.contains(hash)).map(|(_, (precedence, _))| precedence).min();
    let last = chosen.iter().map(|hash| &lane_of[hash].0).max();
    assert!(
        last.zip(left).is_none_or(|(last, left)| last <= left),
        "seed {seed}: something waits for what it precedes"
    );
    for of in lane_of.values().map(|(precedence, _)| *precedence).collect::<BTreeSet<_>>() {
        let lanes: BTreeSet<Lane> = lane_of.values().filter(|place| place.0 == of).map(|place| place.1).collect();
        let all = chosen.iter().filter(|hash| lane_of[*hash].0 == of).count();
        for lane in &lanes {
            let waits = lane_of.values().filter(|place| **place == (of, *lane)).count();
            let has = chosen.iter().filter(|hash| lane_of[*hash] == (of, *lane)).count();
            assert!(has >= waits.min(all / lanes.len()), "seed {seed}: {lane:?} has {has} of {all}");
        }
    }
}

#[test]
fn the_same_as_the_naive_pool_after_every_step() {
    let mut supply = Supply::new();
    let start = supply.world.now();
    let mut dice = Dice::new(0);
    let transactions: Vec<Verified> = (0..600).map(|_| supply.any(&mut dice)).collect();
    let mut met = BTreeMap::new();
    for seed in 0..30 {
        let mut dice = Dice::new(seed);
        let (mut pool, mut twin, mut naive) = (Pool::new(TIGHT), Pool::new(TIGHT), Naive::default());
        // In every other history most come from one lane.
        let flood = (seed % 2 == 0).then(|| *dice.pick(&supply.lanes));
        let mut now = 0;
        for _ in 0..400 {
            match dice.below(12) {
                0 => {
                    now = (now + dice.below(20)).min(980);
                    let time = BlockTime(start.plus(now));
                    pool.expire(time);
                    twin.expire(time);
                    naive.waiting.retain(|it| it.envelope.body().submit_by >= time.timestamp());
                }
                1 => {
                    let hash = dice.pick(&transactions).hash();
                    let waited = naive.remove(&hash);
                    assert_eq!((pool.remove(&hash), twin.remove(&hash)), (waited, waited));
                }
                2 => {
                    // A block.
                    for envelope in pool.in_turn(1 + dice.below(5) as usize, usize::MAX) {
                        pool.remove(&envelope.hash());
                        twin.remove(&envelope.hash());
                        naive.remove(&envelope.hash());
                    }
                }
                _ => {
                    let lane = flood.filter(|_| !dice.one_in(4)).unwrap_or_else(|| *dice.pick(&supply.lanes));
                    let envelope = dice.pick(&transactions).clone();
                    let before = pool.clone();
                    let put = pool.put(envelope.clone(), lane);
                    assert_eq!(put, twin.put(envelope.clone(), lane), "seed {seed}");
                    assert_eq!(put, naive.put(envelope, lane), "seed {seed}");
                    assert!(put == Put::Waits || pool == before, "seed {seed}: what was refused left a trace");
                    *met.entry(format!("{put:?}")).or_insert(0) += 1;
                }
            }
            assert_eq!(pool, twin, "seed {seed}: given the same");
            let mut waiting: Vec<_> = naive.waiting.iter().map(|it| it.envelope.hash()).collect();
            waiting.sort();
            assert!(pool.hashes().eq(waiting.iter().copied()), "seed {seed}");
            assert_eq!(pool.len(), waiting.len());
            assert!(naive.waiting.iter().all(|it| pool.find(&it.envelope.hash()) == Some(&it.envelope)));
            assert!(naive.room(|_| true) <= TIGHT.room, "seed {seed}");
            assert!(waiting.len() <= TIGHT.room / TIGHT.least, "seed {seed}");
            let all = hashes(&pool.in_turn(usize::MAX, usize::MAX));
            assert_eq!(all, naive.in_turn(usize::MAX, usize::MAX), "seed {seed}");
            let (most, bytes) = (dice.below(30) as usize, dice.below(16_000) as usize);
            let chosen = hashes(&pool.in_turn(most, bytes));
            assert_eq!(chosen, naive.in_turn(most, bytes), "seed {seed}");
            assert!(all.starts_with(&chosen));
            check_turns(&naive, &chosen, seed);
        }
    }
    // Every answer was met often enough to mean something.
    assert!(met.len() == 4 && met.values().all(|times| *times > 100), "{met:?}");
}

#[test]
fn a_flood_of_one_lane_leaves_every_other_its_share_of_a_block() {
    let mut supply = Supply::new();
    let lanes = supply.lanes.clone();
    let mut pool = Pool::new(Limits::default());
    for study in 0..500 {
        assert_eq!(pool.put(supply.revise(study), lanes[0]), Put::Waits);
    }
    let late: Vec<_> = (0..40).map(|study| (supply.revise(study), lanes[1 + study as usize % 2])).collect();
    for (envelope, lane) in &late {
        assert_eq!(pool.put(envelope.clone(), *lane), Put::Waits);
    }
    let block = hashes(&pool.in_turn(60, usize::MAX));
    assert_eq!(late.iter().filter(|(envelope, _)| block.contains(&envelope.hash())).count(), 40);
}

#[test]
fn a_block_with_less_room_than_lanes_goes_on_where_the_last_one_stopped() {
    let mut supply = Supply::new();
    let lanes = supply.lanes.clone();
    let mut pool = Pool::new(Limits::default());
    let mut of = BTreeMap::new();
    let mut put = |pool: &mut Pool, lane: usize| {
        let envelope = supply.revise(1);
        of.insert(envelope.hash(), lane);
        assert_eq!(pool.put(envelope, lanes[lane]), Put::Waits);
    };
    // All of the flood has waited longer than anything of the others.
    (0..50).for_each(|_| put(&mut pool, 0));
    (0..3).for_each(|_| put(&mut pool, 1));
    (0..3).for_each(|_| put(&mut pool, 2));
    let mut turns = Vec::new();
    for _ in 0..12 {
        let only = pool.in_turn(1, usize::MAX).remove(0).hash();
        turns.push(only);
        assert!(pool.remove(&only));
        put(&mut pool, 0);
    }
    let turns: Vec<usize> = turns.iter().map(|hash| of[hash]).collect();
    assert_eq!(turns, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 0, 0]);
}

#[test]
fn what_has_precedence_always_finds_room_and_takes_it_from_the_longest_lane() {
    let mut supply = Supply::new();
    let (lanes, holders) = (supply.lanes.clone(), supply.holders.clone());
    let mut pool = Pool::new(Limits { of_signer: usize::MAX, ..TIGHT });
    let few: Vec<_> = (0..3).map(|study| supply.revise(study)).collect();
    few.iter().for_each(|envelope| assert_eq!(pool.put(envelope.clone(), lanes[2]), Put::Waits));
    let flood: Vec<_> = (0..27).map(|study| supply.revise(study)).collect();
    flood.iter().for_each(|envelope| assert_eq!(pool.put(envelope.clone(), lanes[0]), Put::Waits));
    assert_eq!((pool.len(), pool.put(supply.revise(0), lanes[0])), (30, Put::Full), "its own flood keeps it out");

    let revocation = supply.revoke(1, &holders[0]);
    assert_eq!(pool.put(revocation.clone(), lanes[1]), Put::Waits);
    assert_eq!(pool.find(&flood[26].hash()), None, "the newest of the longest lane went");
    assert!(few.iter().all(|envelope| pool.find(&envelope.hash()).is_some()));
    assert_eq!(pool.in_turn(1, usize::MAX), [revocation]);

    // A flood of revocations keeps out all the rest, and its own, but no other source's.
    while pool.put(supply.revoke(1, &holders[0]), lanes[1]) == Put::Waits {}
    assert_eq!(pool.len(), 30);
    assert_eq!(pool.put(supply.set_status(1), lanes[2]), Put::Full);
    for taken in 1..=15 {
        assert_eq!(pool.put(supply.revoke(2, &holders[1]), lanes[3]), Put::Waits, "{taken}");
    }
    assert_eq!(pool.put(supply.revoke(2, &holders[1]), lanes[3]), Put::Full, "it has its half");
    assert_eq!(pool.put(supply.revoke(1, &holders[0]), lanes[1]), Put::Full, "and keeps it");
}

/// What has to give way for a newcomer that does not get in all the same comes back as it was, its lane's turn included.
#[test]
fn a_refused_newcomer_leaves_everything_as_it_was() {
    let mut supply = Supply::new();
    let (lanes, holder) = (supply.lanes.clone(), supply.holders[0].clone());
    let (done, short) = (supply.set_status(1), supply.set_status(1));
    let (long, newcomer) = (supply.revoke(1, &holder), supply.revoke(1, &holder));
    // Room for the short and the long one, and even without the short one not for two long ones.
    let room = 2 * long.encoded_len() - 1;
    assert!(short.encoded_len() < long.encoded_len());
    let mut pool = Pool::new(Limits { room, least: 1, of_signer: 9 });
    for envelope in [&done, &short] {
        assert_eq!(pool.put(envelope.clone(), lanes[0]), Put::Waits);
    }
    assert!(pool.remove(&done.hash()));
    assert_eq!(pool.put(long, lanes[1]), Put::Waits);
    let before = pool.clone();
    assert_eq!(pool.put(newcomer, lanes[1]), Put::Full);
    assert_eq!(pool, before);
    assert_eq!(pool.len(), 2);
}

#[test]
fn one_key_floods_neither_its_study_nor_its_sources_lane() {
    let mut supply = Supply::new();
    let (lane, holders) = (supply.lanes[1], supply.holders.clone());
    let mut pool = Pool::new(Limits::default());
    let first = supply.revoke(1, &holders[0]);
    assert_eq!(pool.put(first.clone(), lane), Put::Waits);
    for _ in 1..64 {
        assert_eq!(pool.put(supply.revoke(1, &holders[0]), lane), Put::Waits);
    }
    assert_eq!(pool.put(supply.revoke(1, &holders[0]), lane), Put::TooMany);
    // Another's on the same study, its own on another, its own of another precedence.
    assert_eq!(pool.put(supply.revoke(1, &holders[1]), lane), Put::Waits);
    assert_eq!(pool.put(supply.revoke(2, &holders[0]), lane), Put::Waits);
    assert_eq!(pool.put(supply.grant(1, &holders[0]), lane), Put::Waits);
    // When one is done the next may wait.
    assert!(pool.remove(&first.hash()));
    assert_eq!(pool.put(supply.revoke(1, &holders[0]), lane), Put::Waits);
    assert_eq!(pool.put(supply.revoke(1, &holders[0]), lane), Put::TooMany);
    // A source may have as much to do on its studies as it likes.
    for _ in 0..100 {
        assert_eq!(pool.put(supply.set_status(1), supply.lanes[0]), Put::Waits);
    }
}

#[test]
fn what_is_too_late_goes_out_and_what_is_just_in_time_stays() {
    let mut supply = Supply::new();
    let now = supply.world.now();
    let mut pool = Pool::new(Limits::default());
    let until = |supply: &mut Supply, later: u64| {
        let mut body = supply.revise(1).body().clone();
        body.submit_by = now.plus(later);
        supply.world.sign_body(body, &[&supply.world.hospitals[0].operational])
    };
    let [early, late] = [10, 11].map(|later| until(&mut supply, later));
    for envelope in [&late, &early] {
        assert_eq!(pool.put(envelope.clone(), Lane::Nobody), Put::Waits);
    }
    pool.expire(BlockTime(now.plus(10)));
    assert_eq!(pool.len(), 2);
    pool.expire(BlockTime(now.plus(11)));
    assert_eq!(pool.in_turn(9, usize::MAX), [late]);
    pool.expire(BlockTime(Timestamp(u64::MAX)));
    assert!(pool.is_empty() && pool.in_turn(9, usize::MAX).is_empty());
}

#[test]
fn the_lane_is_the_sources_or_that_of_the_studys_holders() {
    let mut supply = Supply::new();
    let (holder, delegate) = (secret("holder"), secret("delegate"));
    let before = supply.grant(1, &holder);
    let mercy = supply.world.hospitals[0].id(&supply.world.chain);
    assert_eq!(lane_of(&supply.world.state, &before), Ok(Lane::Nobody), "the study is not known yet");
    let trusted = world::delegate(&delegate, DelegateRole::Guardian, supply.world.now().day().plus(30));
    supply.world.define(1, &holder, vec![trusted]).unwrap();

    let of_source = [supply.revise(1), supply.set_status(1), supply.define_source()];
    let of_holders = [before, supply.grant(1, &delegate), supply.revoke(1, &holder), supply.revoke(1, &delegate)];
    for envelope in of_source {
        assert_eq!(lane_of(&supply.world.state, &envelope), Ok(Lane::Source(mercy)));
    }
    for envelope in of_holders {
        assert_eq!(lane_of(&supply.world.state, &envelope), Ok(Lane::Holders(mercy)));
    }
    // Whoever says that it is a source.
    let stranger = secret("stranger");
    let revision = world::revise(supply.world.id(1), stranger.public(), 1);
    let envelope = supply.world.sign(revision, &[&stranger]);
    assert_eq!(lane_of(&supply.world.state, &envelope), Ok(Lane::Nobody));
    let define = world::define_study(2, supply.world.hospitals[0].operational.public(), holder.public(), vec![]);
    let keys = [&supply.world.hospitals[0].operational.clone(), &holder];
    let envelope = supply.world.sign(define, &keys);
    assert_eq!(lane_of(&supply.world.state, &envelope), Ok(Lane::Source(mercy)));
}
