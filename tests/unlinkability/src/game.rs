//! The game: pairs of studies are shown, as many of one patient as of two, and the adversary says which are which.

use std::collections::BTreeMap;
use std::fmt;

use clavicle_ledger::time::DAY_MS;

use crate::adversary::{self, Adversary, View};
use crate::classify::{Classifier, Sample};
use crate::dice::Dice;
use crate::world::{Act, World};

/// Which pairs are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairs {
    /// Of two visits, where no chain of single acts leads from the one study to the other.
    Apart,
    /// Of two visits, whatever was done.
    OfTwoVisits,
    /// Of two visits that one act of this kind was about.
    By(Act),
    /// Of two visits between which the wallet was restored from its words, and that are [`Pairs::Apart`].
    Restored,
    /// Of one visit.
    OfOneVisit,
}

/// In what the study of somebody else is like the one that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// It is of the same source, and was picked up on the same day: which hospital somebody goes to, and when, says
    /// nothing.
    SourceAndDay,
    /// It is of the same source.
    Source,
    /// It is any that is shown.
    Nothing,
}

/// How often an adversary was right.
#[derive(Clone, Debug)]
pub struct Score {
    /// How many pairs it was shown, half of them one patient's.
    pub pairs: usize,
    /// By how much more than a half of them it was right.
    pub advantage: f64,
    /// The standard error of that, over patients: pairs of one patient are not independent.
    pub error: f64,
    /// What it went by most.
    pub by: Vec<String>,
}

/// One side of a normal distribution that 5 % lie beyond.
const ONE_SIDED_95: f64 = 1.645;

impl Score {
    /// What the advantage is less than, in 95 of 100 such experiments.
    #[must_use]
    pub fn at_most(&self) -> f64 {
        ONE_SIDED_95.mul_add(self.error, self.advantage)
    }

    /// What it is more than.
    #[must_use]
    pub fn at_least(&self) -> f64 {
        (-ONE_SIDED_95).mul_add(self.error, self.advantage)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (advantage, margin) = (self.advantage * 100.0, self.error * ONE_SIDED_95 * 100.0);
        write!(f, "{:>7} | {advantage:>6.2} ± {margin:.2} %", self.pairs)
    }
}

/// A pair in one of several worlds.
#[derive(Clone, Copy)]
struct Pair {
    world: usize,
    one: usize,
    other: usize,
}

/// Shows an adversary all such pairs of these worlds, and as many of two patients. What it learns from one half of the
/// patients it is judged by on the other, and the other way round.
#[must_use]
pub fn play(worlds: &[World], adversary: Adversary, pairs: Pairs, alike: Alike) -> Score {
    let views: Vec<View<'_>> = worlds.iter().map(|world| View::new(world, adversary)).collect();
    let mut dice = Dice::new(7);
    let mut halves: [Vec<(usize, Sample)>; 2] = [Vec::new(), Vec::new()];
    for (world, view) in views.iter().enumerate() {
        for (half, samples) in halves.iter_mut().enumerate() {
            let of_one = of_one_patient(&worlds[world], view, (world, half), pairs);
            for (pair, stands_in) in with_others(&worlds[world], view, &of_one, alike, &mut dice) {
                let whose = (pair.world << 32) | worlds[world].studies[pair.one].patient;
                let features = view.features(pair.one, pair.other);
                samples.push((whose, Sample { features, is_one: true }));
                let features = view.features(pair.one, stands_in);
                samples.push((whose, Sample { features, is_one: false }));
            }
        }
    }
    judge(&halves, &mut dice)
}

/// The pairs of one patient that are asked about, the earlier study first.
fn of_one_patient(world: &World, view: &View<'_>, (number, half): (usize, usize), pairs: Pairs) -> Vec<Pair> {
    let mut of: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (study, truth) in world.studies.iter().enumerate() {
        of.entry(truth.patient).or_default().push(study);
    }
    let mut found = Vec::new();
    for studies in of.into_iter().filter(|(patient, _)| patient % 2 == half).map(|(_, studies)| studies) {
        for (place, &one) in studies.iter().enumerate() {
            for &other in &studies[place + 1..] {
                if is_shown(world, one, other, pairs) && view.is_asked(one, other) {
                    found.push(Pair { world: number, one, other });
                }
            }
        }
    }
    found
}

fn is_shown(world: &World, one: usize, other: usize, pairs: Pairs) -> bool {
    let [a, b] = [one, other].map(|study| &world.studies[study]);
    let is_apart = a.reach != b.reach;
    let restored = world.restored[a.patient].is_some_and(|at| a.at < at && at < b.at);
    match pairs {
        Pairs::OfOneVisit => a.visit == b.visit,
        Pairs::OfTwoVisits => a.visit != b.visit,
        Pairs::Apart => a.visit != b.visit && is_apart,
        Pairs::Restored => a.visit != b.visit && is_apart && restored,
        Pairs::By(act) => a.visit != b.visit && a.acts.intersection(&b.acts).any(|shared| world.acts[*shared] == act),
    }
}

/// For each pair somebody else's study, of another of these pairs, so that each study is shown as often in both.
fn with_others(world: &World, view: &View<'_>, of_one: &[Pair], alike: Alike, dice: &mut Dice) -> Vec<(Pair, usize)> {
    let like = |study: usize| {
        let truth = &world.studies[study];
        match alike {
            Alike::SourceAndDay => (truth.source, truth.at / DAY_MS),
            Alike::Source => (truth.source, 0),
            Alike::Nothing => (0, 0),
        }
    };
    let mut stand_ins: BTreeMap<(usize, u64), Vec<usize>> = BTreeMap::new();
    for pair in of_one {
        stand_ins.entry(like(pair.other)).or_default().push(pair.other);
    }
    let mut found = Vec::new();
    for pair in of_one {
        let Some(such) = stand_ins.get(&like(pair.other)) else { continue };
        let patient = world.studies[pair.one].patient;
        let is_other = |study: &usize| world.studies[*study].patient != patient && view.is_asked(pair.one, *study);
        // By chance, and a few times: where most are of one patient there may be nobody else.
        if let Some(stands_in) = (0..32).map(|_| such[dice.place(such.len())]).find(is_other) {
            found.push((*pair, stands_in));
        }
    }
    found
}

fn judge(halves: &[Vec<(usize, Sample)>; 2], dice: &mut Dice) -> Score {
    let (mut of, mut by) = (BTreeMap::<usize, (f64, f64)>::new(), Vec::new());
    for (learned, judged) in [(0, 1), (1, 0)] {
        let samples: Vec<&Sample> = halves[learned].iter().map(|(_, sample)| sample).collect();
        let classifier = Classifier::learn(&samples, dice);
        by = classifier.strongest(4);
        for (whose, sample) in &halves[judged] {
            let (right, count) = of.entry(*whose).or_default();
            *count += 1.0;
            *right += if classifier.says_one(sample) == sample.is_one { 0.5 } else { -0.5 };
        }
    }
    let (right, count) = of.values().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let count: f64 = f64::max(count, 1.0);
    let advantage = right / count;
    // Of a ratio over patients, who have more pairs or fewer.
    let error = of.values().map(|(right, pairs)| (right - advantage * pairs).powi(2)).sum::<f64>().sqrt() / count;
    let by = by.into_iter().map(|(feature, weight)| format!("{} ({weight:+.2})", adversary::name(feature)));
    Score { pairs: count as usize, advantage, error, by: by.collect() }
}
