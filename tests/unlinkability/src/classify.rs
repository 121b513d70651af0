//! Telling by what was learned: logistic regression over features that are there or not.

use crate::dice::Dice;

const EPOCHS: usize = 8;
const RATE: f64 = 0.05;
/// How much less of each weight is left after each step at which it played: what is seen once is not believed much.
const DECAY: f64 = 1e-3;

/// What is looked at of a pair: the numbers of the features that it has, and whether it is one patient's.
pub(crate) struct Sample {
    pub(crate) features: Vec<usize>,
    pub(crate) is_one: bool,
}

/// What was learned.
pub(crate) struct Classifier {
    weights: Vec<f64>,
    bias: f64,
}

impl Classifier {
    /// Learns from samples, in an order by chance.
    pub(crate) fn learn(samples: &[&Sample], dice: &mut Dice) -> Self {
        let features = samples.iter().flat_map(|sample| &sample.features).max().map_or(0, |most| most + 1);
        let mut learned = Self { weights: vec![0.0; features], bias: 0.0 };
        let mut order: Vec<usize> = (0..samples.len()).collect();
        for epoch in 0..EPOCHS {
            for last in (1..order.len()).rev() {
                order.swap(last, dice.place(last + 1));
            }
            let rate = RATE / (1 + epoch) as f64;
            for sample in order.iter().map(|place| samples[*place]) {
                let error = f64::from(u8::from(sample.is_one)) - learned.chance(sample);
                learned.bias += rate * error;
                for feature in &sample.features {
                    let weight = &mut learned.weights[*feature];
                    *weight += rate * (error - DECAY * *weight);
                }
            }
        }
        learned
    }

    fn chance(&self, sample: &Sample) -> f64 {
        let weights = sample.features.iter().filter_map(|feature| self.weights.get(*feature));
        1.0 / (1.0 + (-(self.bias + weights.sum::<f64>())).exp())
    }

    pub(crate) fn says_one(&self, sample: &Sample) -> bool {
        self.chance(sample) > 0.5
    }

    /// The features that it goes by most, each with its weight.
    pub(crate) fn strongest(&self, count: usize) -> Vec<(usize, f64)> {
        let mut all: Vec<(usize, f64)> = self.weights.iter().copied().enumerate().collect();
        all.sort_by(|one, other| other.1.abs().total_cmp(&one.1.abs()));
        all.truncate(count);
        all
    }
}
