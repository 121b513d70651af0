//! A source that decides by what the others say is the newest, whatever was done to its clock and its wires.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use clavicle_ledger::authorise::{Claim, Refused, View, authorise};
use clavicle_ledger::confirm::{
    Confirmations, Inquiry, MAX_ROUND_MS, Newest, NotCounted, Round, SignedNewest, Unconfirmed,
};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{BlockId, SourceId};
use clavicle_ledger::key::{SecretKey, SignatureError};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{Clocks, HOUR_MS, Height, LocalTime, Timestamp};
use clavicle_ledger::validators::{Validator, ValidatorSet};

use crate::history::Dice;
use crate::world::{DAY, Granted, World, secret};

/// The chain as the others make it, and one source with clocks of its own. Its machine was started when the first block was made.
struct Source {
    /// The world at each height, and when its block was made, by the machine's own count.
    chain: Vec<(World, u64)>,
    /// The height up to which the source has it.
    head: usize,
    kept: Confirmations,
    boot_ms: u64,
    asleep_ms: u64,
    /// How far off the wall clock is.
    off_ms: i64,
    drawn: u8,
    holder: SecretKey,
    grantee: SecretKey,
    plain: Granted,
    /// An hour is allowed.
    allowed: Granted,
}

type Answer = Result<(), Refused<Infallible>>;

impl Source {
    /// A source that has everything so far, and was told nothing yet.
    fn new() -> Self {
        let (mut world, holder, grantee) = (World::new(Parameters::default()), secret("holder"), secret("grantee"));
        world.define(1, &holder, Vec::new()).unwrap();
        let id = world.id(1);
        let terms = |world: &World, staleness_ms| Terms { staleness_ms, ..world.terms(3 * DAY) };
        let plain = terms(&world, 0);
        let plain = world.grant(id, &holder, &grantee.public(), plain).unwrap();
        let allowed = terms(&world, HOUR_MS);
        let allowed = world.grant(id, &holder, &secret("allowed").public(), allowed).unwrap();
        let (drawn, kept) = (0, Confirmations::new());
        Self {
            chain: vec![(world, 0)],
            head: 0,
            kept,
            boot_ms: 0,
            asleep_ms: 0,
            off_ms: 0,
            drawn,
            holder,
            grantee,
            plain,
            allowed,
        }
    }

    /// The time, as it is.
    fn now(&self) -> Timestamp {
        self.chain[0].0.now().plus(self.boot_ms)
    }

    fn clocks(&self) -> Clocks {
        let wall = self.now().0.saturating_add_signed(self.off_ms);
        Clocks { wall: LocalTime(Timestamp(wall)), boot_ms: self.boot_ms, asleep_ms: self.asleep_ms }
    }

    /// The others make a block.
    fn block(&mut self) {
        let (mut world, made) = self.chain.last().unwrap().clone();
        world.wait((self.boot_ms - made).max(1));
        self.chain.push((world, self.boot_ms));
    }

    /// The source gets all there is.
    fn catch_up(&mut self) {
        self.head = self.chain.len() - 1;
    }

    fn here(&self) -> &World {
        &self.chain[self.head].0
    }

    fn round(&mut self) -> Round {
        self.drawn += 1;
        Round::new(self.here().hospitals[0].id(&self.here().chain), [self.drawn; 32], self.clocks())
    }

    fn block_at(&self, height: Height) -> Option<BlockId> {
        let same = |(world, _): &&(World, u64)| world.header.height == height;
        self.chain[..=self.head].iter().find(same).map(|(world, _)| world.header.id())
    }

    /// What hospital `n` says that is at this place of the chain, with this time.
    fn says(&self, n: usize, inquiry: Inquiry, place: usize, at: Timestamp) -> SignedNewest {
        let (world, header) = (self.here(), self.chain[place].0.header);
        let by = world.hospitals[n].id(&world.chain);
        let newest = Newest { inquiry, by, height: header.height, block: header.id(), at };
        newest.sign(&world.chain, &world.hospitals[n].operational)
    }

    /// What hospital `n` says when it is honest and not cut off.
    fn honest(&self, n: usize, round: &Round) -> SignedNewest {
        self.says(n, round.inquiry(), self.chain.len() - 1, self.now())
    }

    fn hear(&mut self, round: &mut Round, answer: &SignedNewest) -> Result<(), NotCounted<Infallible>> {
        let clocks = self.clocks();
        round.hear(&self.here().state, answer, |height| self.block_at(height), clocks)?;
        let set = self.here().state.validators().unwrap();
        if let Some(confirmation) = round.confirmation(&set, clocks) {
            self.kept.keep(confirmation);
        }
        Ok(())
    }

    /// Asks these hospitals, and hears them at once.
    fn ask(&mut self, hospitals: &[usize]) {
        let mut round = self.round();
        for n in hospitals {
            let answer = self.honest(*n, &round);
            self.hear(&mut round, &answer).unwrap();
        }
    }

    fn fetch(&mut self, granted: Option<&Granted>) -> Answer {
        let (clocks, none) = (self.clocks(), BTreeSet::new());
        let confirmed = self.kept.at(self.here().header.height, clocks);
        let world = self.here();
        let (study, claim) = (world.id(1), granted.map_or(Claim::Holder, |granted| granted.claim()));
        let key = match granted {
            None => &self.holder,
            Some(granted) if granted.grant == self.plain.grant => &self.grantee,
            Some(_) => &secret("allowed"),
        };
        let mut hello = world.hello(study, claim);
        // Whoever fetches says what the source wants to hear.
        hello.at = clocks.wall.0;
        let view = View { confirmed, ..world.view(&none) };
        authorise(&view, clocks.wall, key.public(), &hello.sign(&world.chain, key)).map(drop)
    }

    fn plainly(&mut self) -> Answer {
        self.fetch(Some(&self.plain.clone()))
    }

    fn with_allowance(&mut self) -> Answer {
        self.fetch(Some(&self.allowed.clone()))
    }

    fn nobody(&mut self, why: Unconfirmed) {
        let closed = Err(Refused::Unconfirmed(why));
        assert_eq!([self.fetch(None), self.plainly(), self.with_allowance()], [closed; 3]);
    }
}

#[test]
fn a_source_that_was_started_serves_when_two_of_three_others_have_said_what_is_newest() {
    let mut source = Source::new();
    source.nobody(Unconfirmed::SinceStart);
    let mut round = source.round();
    let (first, second) = (source.honest(1, &round), source.honest(2, &round));
    source.hear(&mut round, &first).unwrap();
    // Once or twice, one of four has a quarter, and the source's own does not count: the one may lie.
    source.hear(&mut round, &first).unwrap();
    source.nobody(Unconfirmed::SinceStart);
    source.hear(&mut round, &second).unwrap();
    assert_eq!([source.fetch(None), source.plainly(), source.with_allowance()], [Ok(()); 3]);
}

#[test]
fn what_was_recorded_or_comes_late_or_from_nobody_who_counts_is_not_heard() {
    let mut source = Source::new();
    let mut old = source.round();
    let recorded: Vec<SignedNewest> = [1, 2, 3].map(|n| source.honest(n, &old)).into();
    let mut round = source.round();
    for answer in &recorded {
        assert_eq!(source.hear(&mut round, answer), Err(NotCounted::OtherInquiry));
    }
    let somebody_elses = Inquiry { asker: source.here().hospitals[1].id(&source.here().chain), ..round.inquiry() };
    let answer = source.says(2, somebody_elses, 0, source.now());
    assert_eq!(source.hear(&mut round, &answer), Err(NotCounted::OtherInquiry));
    // Its own word is not heard, and nor is that of one without power.
    let own = source.honest(0, &round);
    assert_eq!(source.hear(&mut round, &own), Err(NotCounted::NoPower));
    let chain = source.here().chain;
    let stranger = Newest { by: SourceId::from_bytes([9; 32]), ..own.newest }.sign(&chain, &secret("stranger"));
    assert_eq!(source.hear(&mut round, &stranger), Err(NotCounted::NoPower));
    // Signed by another key of the same hospital, under another network, or altered.
    let good = source.honest(1, &round);
    let wrong = Err(NotCounted::Signature(SignatureError::Wrong));
    let consensus = source.here().hospitals[1].consensus.clone().unwrap();
    assert_eq!(source.hear(&mut round, &good.newest.sign(&chain, &consensus)), wrong);
    let operational = source.here().hospitals[1].operational.clone();
    let other = clavicle_ledger::id::ChainId::from_bytes([1; 32]);
    assert_eq!(source.hear(&mut round, &good.newest.sign(&other, &operational)), wrong);
    let altered = SignedNewest { newest: Newest { at: good.newest.at.plus(1), ..good.newest }, ..good };
    assert_eq!(source.hear(&mut round, &altered), wrong);
    // Of another chain.
    let fork = Newest { block: BlockId::from_bytes([7; 32]), ..good.newest }.sign(&chain, &operational);
    let height = good.newest.height;
    assert_eq!(source.hear(&mut round, &fork), Err(NotCounted::OtherBlock(height)));
    source.nobody(Unconfirmed::SinceStart);
    // To the last moment, and not beyond.
    source.boot_ms += MAX_ROUND_MS;
    assert_eq!(source.hear(&mut round, &good), Ok(()));
    source.boot_ms += 1;
    let late = source.honest(2, &round);
    assert_eq!(source.hear(&mut round, &late), Err(NotCounted::Late(MAX_ROUND_MS + 1)));
    assert_eq!(source.hear(&mut old, &recorded[0]), Err(NotCounted::Late(MAX_ROUND_MS + 1)));
    source.nobody(Unconfirmed::SinceStart);
}

/// What was done with the release binaries: the source was cut off and refused, its clock was set back 25 s, and it served.
#[test]
fn a_source_that_was_cut_off_does_not_serve_when_its_clock_is_set_back() {
    let mut source = Source::new();
    source.ask(&[1, 2, 3]);
    assert_eq!(source.plainly(), Ok(()));
    source.boot_ms += 100_000;
    let stale = |age_ms, bound_ms| Err(Refused::Stale { age_ms, bound_ms });
    assert_eq!(source.plainly(), stale(100_000, 90_000));
    assert_eq!(source.with_allowance(), Ok(()));
    for (off_ms, by_ms) in [(-25_000, 25_000), (-3_600_000, 3_600_000), (-1_001, 1_001), (1_001, 1_001)] {
        source.off_ms = off_ms;
        source.nobody(Unconfirmed::ClockSet { by_ms });
    }
    // By as much as a leap second it is borne, and makes nothing younger.
    source.off_ms = -1_000;
    assert_eq!(source.plainly(), stale(100_000, 90_000));
    source.off_ms = 0;
    // An allowance goes on to its end, and ends by the clock that nobody sets.
    source.boot_ms = HOUR_MS;
    assert_eq!(source.with_allowance(), Ok(()));
    source.boot_ms += 1;
    assert_eq!(source.with_allowance(), stale(HOUR_MS + 1, HOUR_MS));
    // Started anew, nothing counts any more, whatever the clock says.
    source.kept = Confirmations::new();
    for off_ms in [0, -25_000, -(HOUR_MS as i64)] {
        source.off_ms = off_ms;
        source.nobody(Unconfirmed::SinceStart);
    }
}

#[test]
fn blocks_that_were_recorded_and_are_let_through_slowly_open_nothing() {
    let mut source = Source::new();
    source.ask(&[1, 2, 3]);
    // A minute and a half of blocks, and of answers to what the source asked meanwhile: its edge keeps all of them.
    let mut kept_back = Vec::new();
    for _ in 0..9 {
        source.boot_ms += 10_000;
        source.block();
        let round = source.round();
        kept_back.extend([1, 2, 3].map(|n| source.honest(n, &round)));
    }
    // An hour later the source starts, its clock where the edge wants it, and is given a block now and then.
    source.boot_ms += HOUR_MS;
    source.kept = Confirmations::new();
    for place in 1..source.chain.len() {
        source.head = place;
        let made = source.chain[place].1;
        source.off_ms = made as i64 - source.boot_ms as i64;
        let mut round = source.round();
        for answer in &kept_back {
            assert_eq!(source.hear(&mut round, answer), Err(NotCounted::OtherInquiry));
        }
        source.nobody(Unconfirmed::SinceStart);
        // One hospital helps the edge: it says whatever is wanted.
        let lie = source.says(3, round.inquiry(), place, source.clocks().wall.0);
        source.hear(&mut round, &lie).unwrap();
        source.nobody(Unconfirmed::SinceStart);
        source.boot_ms += 10_000;
    }
    // Not restarted, but its clock set back once: it was confirmed before.
    let mut source = Source::new();
    source.ask(&[1, 2, 3]);
    source.boot_ms += HOUR_MS;
    source.block();
    source.off_ms = -(HOUR_MS as i64);
    source.nobody(Unconfirmed::ClockSet { by_ms: HOUR_MS });
    // Let through slowly to a clock that nobody touches, they are old.
    source.off_ms = 0;
    source.boot_ms += 90_001;
    source.catch_up();
    source.ask(&[1, 2]);
    assert_eq!(source.plainly(), Err(Refused::Stale { age_ms: 90_001, bound_ms: 90_000 }));
}

#[test]
fn one_that_lies_neither_opens_nor_closes() {
    let mut source = Source::new();
    source.boot_ms += 10_000;
    source.block();
    source.boot_ms += 10_000;
    source.block();
    let lies = |source: &Source, round: &Round| {
        let height = source.chain[0].0.header.height;
        let newest = source.says(3, round.inquiry(), 0, Timestamp(0)).newest;
        let (world, far) = (source.here(), Timestamp(u64::MAX / 2));
        // It has nothing, or blocks that nobody has; it is long ago, or far ahead.
        [(height, Timestamp(0)), (height, far), (height + 1_000, Timestamp(0)), (height + 1_000, far)]
            .map(|(height, at)| Newest { height, at, ..newest }.sign(&world.chain, &world.hospitals[3].operational))
    };
    for which in 0..4 {
        // Behind, with one honest and one liar: the honest one's word holds.
        source.kept = Confirmations::new();
        source.head = 0;
        let mut round = source.round();
        for answer in [lies(&source, &round)[which], source.honest(1, &round)] {
            source.hear(&mut round, &answer).unwrap();
        }
        let closed = source.plainly().unwrap_err();
        assert!(matches!(closed, Refused::Unconfirmed(Unconfirmed::Behind { .. })), "{closed}");
        // Not behind, with two honest ones: what the liar says is nothing.
        source.kept = Confirmations::new();
        source.catch_up();
        let mut round = source.round();
        for answer in [lies(&source, &round)[which], source.honest(1, &round), source.honest(2, &round)] {
            source.hear(&mut round, &answer).unwrap();
        }
        assert_eq!(source.plainly(), Ok(()), "lie {which}");
    }
}

#[test]
fn a_clock_that_was_wrong_at_the_start_is_found_out_by_the_others() {
    for (off_ms, closed) in [
        (-2_001, Err(Refused::ClockBehind { behind_ms: 2_001 })),
        (-2_000, Ok(())),
        (2_000, Ok(())),
        (2_001, Err(Refused::ClockAhead { ahead_ms: 2_001 })),
        (HOUR_MS as i64, Err(Refused::ClockAhead { ahead_ms: HOUR_MS })),
        (-(HOUR_MS as i64), Err(Refused::ClockBehind { behind_ms: HOUR_MS })),
    ] {
        let mut source = Source::new();
        source.boot_ms = 60_000;
        source.off_ms = off_ms;
        source.ask(&[1, 2]);
        assert_eq!(source.plainly(), closed, "{off_ms}");
        assert_eq!(source.with_allowance(), closed, "{off_ms}");
    }
    // Of a chain that stands still the newest block gets no younger by being confirmed, even to a clock that was set.
    let mut source = Source::new();
    source.boot_ms = 90_001;
    source.off_ms = -2_000;
    source.ask(&[1, 2]);
    assert_eq!(source.plainly(), Err(Refused::Stale { age_ms: 90_001, bound_ms: 90_000 }));
    assert_eq!(source.with_allowance(), Ok(()), "the others say that there is nothing newer");
}

#[test]
fn a_machine_that_slept_asks_again() {
    let mut source = Source::new();
    source.ask(&[1, 2]);
    source.boot_ms += 1_000;
    source.asleep_ms += 1_000;
    assert_eq!(source.plainly(), Ok(()));
    source.boot_ms += 1;
    source.asleep_ms += 1;
    source.nobody(Unconfirmed::Slept { slept_ms: 1_001 });
    source.ask(&[1, 2]);
    assert_eq!(source.plainly(), Ok(()));
    // A snapshot of a machine from before it was started: the clock that nobody sets went back.
    source.boot_ms -= 1;
    assert!(matches!(source.plainly(), Err(Refused::Unconfirmed(Unconfirmed::ClockSet { .. }))));
}

#[test]
fn while_blocks_come_fast_a_source_serves_on_what_was_confirmed_before() {
    let mut source = Source::new();
    source.ask(&[1, 2]);
    // The others are always a little ahead when they answer.
    for _ in 0..20 {
        source.boot_ms += 500;
        source.block();
        source.ask(&[1, 2]);
        assert_eq!(source.plainly(), Ok(()));
        source.catch_up();
        assert_eq!(source.plainly(), Ok(()));
    }
    // Ahead of it for good, what was confirmed runs out.
    for _ in 0..20 {
        source.boot_ms += 5_000;
        source.block();
        source.ask(&[1, 2]);
    }
    assert_eq!(source.plainly(), Err(Refused::Stale { age_ms: 100_000, bound_ms: 90_000 }));
    source.catch_up();
    assert_eq!(source.plainly(), Ok(()));
}

/// Powers of the asker and of the others, those who answer, and whether that is enough.
#[test]
fn how_much_is_enough() {
    for (own, others, answer, enough) in [
        // Alone, or with less than a third beside it: nobody else is needed.
        (1, &[][..], &[][..], true),
        (9, &[4][..], &[][..], true),
        (2, &[1][..], &[][..], false),
        (2, &[1][..], &[0][..], true),
        (1, &[1][..], &[][..], false),
        (1, &[1][..], &[0][..], true),
        // Of three equals all have to be there, as for a block.
        (1, &[1, 1][..], &[0][..], false),
        (1, &[1, 1][..], &[0, 1][..], true),
        // Where its own power is so great that it and one decide, one is enough.
        (2, &[1, 1][..], &[0][..], true),
        (2, &[1, 1][..], &[][..], false),
        // Of four two of the others; one dead is one too many of these only with another.
        (1, &[1, 1, 1][..], &[0][..], false),
        (1, &[1, 1, 1][..], &[0, 2][..], true),
        // A third is not more than a third.
        (1, &[1, 1, 1, 1, 1][..], &[0, 1][..], false),
        (1, &[1, 1, 1, 1, 1][..], &[0, 1, 2][..], true),
        // Who has no power of its own counts in the same way.
        (0, &[1, 1, 1, 1][..], &[0][..], false),
        (0, &[1, 1, 1, 1][..], &[0, 1][..], true),
        (0, &[][..], &[][..], false),
    ] {
        let mut source = Source::new();
        let world = source.here();
        let ids: Vec<SourceId> = world.hospitals.iter().map(|hospital| hospital.id(&world.chain)).collect();
        // More others than the world has hospitals are as many small ones: their powers in three.
        let mut powers = BTreeMap::from([(ids[0], own)]);
        let mut answering = BTreeSet::new();
        for (n, power) in others.iter().enumerate() {
            let at = ids.get(n + 1).copied().unwrap_or_else(|| SourceId::from_bytes([n as u8; 32]));
            powers.insert(at, *power);
            if answer.contains(&n) {
                answering.insert(n + 1);
            }
        }
        let validators = powers.into_iter().map(|(source, power)| {
            let key = secret("any").public();
            Validator { source, key, power }
        });
        let set = ValidatorSet { validators: Ascending::from_items(validators.collect()).unwrap() };
        let mut round = source.round();
        for n in answering {
            let answer = source.honest(n, &round);
            let here = source.clocks();
            round.hear(&source.here().state, &answer, |height| source.block_at(height), here).unwrap();
        }
        assert_eq!(round.confirmation(&set, source.clocks()).is_some(), enough, "{own} of {others:?}, {answer:?}");
    }
}

/// Whatever happens to clocks and wires: a source that serves has every block that was made before the bound. At most one of the others
/// lies, and says what it likes.
#[test]
fn whoever_is_served_is_served_on_what_was_so_within_the_bound() {
    let (mut opened, mut closed) = (0, 0);
    for seed in 0..60 {
        let (mut dice, mut source) = (Dice::new(seed), Source::new());
        let mut recorded: Vec<SignedNewest> = Vec::new();
        for _ in 0..120 {
            match dice.below(10) {
                0..3 => source.boot_ms += dice.below(40_000),
                3 => source.boot_ms += dice.below(HOUR_MS),
                4 if source.chain.len() < 40 => source.block(),
                5 => source.head = source.head.max(dice.below(source.chain.len() as u64) as usize),
                6 => source.off_ms += dice.below(200_000) as i64 - 100_000,
                // To where the newest block looks new.
                7 => source.off_ms = source.chain[source.head].1 as i64 - source.boot_ms as i64,
                8 => {
                    let slept = dice.below(HOUR_MS);
                    source.boot_ms += slept;
                    source.asleep_ms += slept;
                }
                _ if dice.one_in(4) => source.kept = Confirmations::new(),
                _ => source.off_ms = 0,
            }
            if dice.one_in(2) {
                let mut round = source.round();
                let place = dice.below(source.head as u64 + 1) as usize;
                let lie = source.says(3, round.inquiry(), place, Timestamp(source.now().0 ^ dice.below(1 << 24)));
                source.hear(&mut round, &lie).unwrap();
                for n in [1, 2] {
                    let answer = source.honest(n, &round);
                    recorded.push(answer);
                    // Sometimes late, and sometimes not at all.
                    source.boot_ms += dice.below(3_000);
                    if !dice.one_in(3) {
                        source.hear(&mut round, &answer).ok();
                    }
                }
                let replayed = *dice.pick(&recorded);
                source.hear(&mut round, &replayed).ok();
            }
            let (now, head) = (source.now(), source.here().header.height);
            if let Ok(confirmed) = source.kept.clone().at(head, source.clocks()) {
                assert!((confirmed.earliest..=confirmed.latest).contains(&now), "seed {seed}");
            }
            for (bound_ms, answer) in [(90_000, source.plainly()), (HOUR_MS, source.with_allowance())] {
                let missed = source.chain.get(source.head + 1).map(|(_, made)| source.boot_ms - made);
                if answer.is_ok() {
                    opened += 1;
                    assert!(missed.is_none_or(|missed_ms| missed_ms <= bound_ms), "seed {seed}: {missed:?}");
                } else {
                    closed += 1;
                }
            }
        }
    }
    assert!(opened > 500 && closed > 500, "one-sided: {opened} opened, {closed} closed");
}
