//! Instance Numbers (0020,0013): what is left out between the first and the last, and what occurs more than once.

use std::collections::BTreeMap;

use clavicle_dicom::facts::InstancePosition;

/// From how many instances on a common step of their numbers is taken for the way they are numbered, and not for gaps.
const STEADY: usize = 4;

/// Which phase an instance is of.
type Phase = fn(&InstancePosition) -> [Option<i32>; 2];

/// Numbers that are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The first that is left out.
    pub from: i32,
    /// The last.
    pub to: i32,
    /// How many there are.
    pub count: u32,
}

/// What is to be said of the numbers of a series.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// The lowest and the highest.
    pub range: Option<(i32, i32)>,
    /// What is left out between them, in each phase.
    pub gaps: Vec<Gap>,
    /// Numbers that occur more than once, unless that is due to phases.
    pub repeats: Vec<i32>,
    /// Numbers that occur in fewer phases than the others.
    pub thin: Vec<i32>,
    /// How often the series is numbered through: the phases of a heart, acquisitions one after the other.
    pub phases: usize,
    /// How many instances have no number.
    pub unnumbered: usize,
}

impl Numbers {
    pub(super) fn of(places: &[InstancePosition]) -> Self {
        let numbered: Vec<(i32, &InstancePosition)> =
            places.iter().filter_map(|place| place.instance_number.map(|number| (number, place))).collect();
        let counts = counts(numbered.iter().map(|(number, _)| *number));
        let range =
            counts.first_key_value().zip(counts.last_key_value()).map(|((first, _), (last, _))| (*first, *last));
        let unnumbered = places.len() - numbered.len();
        let plain = Self { range, unnumbered, phases: usize::from(range.is_some()), ..Self::default() };
        let all: Vec<i32> = counts.keys().copied().collect();
        let most = counts.values().copied().max().unwrap_or_default();
        if most <= 1 {
            return Self { gaps: gaps(&all), ..plain };
        }
        // What tells phases apart tells the same number apart, too.
        let keys: [Phase; 3] = [
            |place| [place.acquisition_number, None],
            |place| [None, place.temporal_position],
            |place| [place.acquisition_number, place.temporal_position],
        ];
        for key in keys {
            let mut phases: BTreeMap<_, Vec<i32>> = BTreeMap::new();
            for (number, place) in &numbered {
                phases.entry(key(place)).or_default().push(*number);
            }
            let mut found = Vec::new();
            let is_told_apart = phases.values_mut().all(|numbers| {
                numbers.sort_unstable();
                found.extend(gaps(numbers));
                numbers.windows(2).all(|pair| pair[0] != pair[1])
            });
            // A key that every instance has another of tells nothing.
            if is_told_apart && phases.len() * 2 <= numbered.len() {
                return Self { gaps: found, phases: phases.len(), ..plain };
            }
        }
        // As often as most of them, so that one that is missing in one phase does not hide the phases.
        let usual = usual(counts.values().copied());
        let thin: Vec<i32> = counts.iter().filter(|(_, count)| **count < usual).map(|(number, _)| *number).collect();
        if usual > 1 && usual == most && thin.len() * 4 <= counts.len() {
            return Self { gaps: gaps(&all), thin, phases: usual, ..plain };
        }
        let repeats = counts.iter().filter(|(_, count)| **count > 1).map(|(number, _)| *number).collect();
        Self { gaps: gaps(&all), repeats, ..plain }
    }
}

fn counts<K: Ord>(all: impl Iterator<Item = K>) -> BTreeMap<K, usize> {
    let mut counts = BTreeMap::new();
    for one in all {
        *counts.entry(one).or_default() += 1;
    }
    counts
}

/// What occurs most often; the larger of two that occur equally often.
pub(super) fn usual(all: impl Iterator<Item = usize>) -> usize {
    counts(all).into_iter().max_by_key(|(value, count)| (*count, *value)).map_or(0, |(value, _)| value)
}

/// What is left out between ascending numbers.
fn gaps(numbers: &[i32]) -> Vec<Gap> {
    let steps = || numbers.windows(2).map(|pair| i64::from(pair[1]) - i64::from(pair[0]));
    let step = if numbers.len() < STEADY { 1 } else { steps().fold(0, divisor).max(1) };
    let pairs = numbers.windows(2).zip(steps()).filter(|(_, between)| *between > step);
    let gap = |(pair, between): (&[i32], i64)| {
        let small = |number: i64| i32::try_from(number).expect("it lies between two that are");
        Gap {
            from: small(i64::from(pair[0]) + step),
            to: small(i64::from(pair[1]) - step),
            count: u32::try_from(between / step - 1).unwrap_or(u32::MAX),
        }
    };
    pairs.map(gap).collect()
}

fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: i32) -> InstancePosition {
        InstancePosition { instance_number: Some(number), ..InstancePosition::default() }
    }

    fn of(numbers: impl IntoIterator<Item = i32>) -> Numbers {
        Numbers::of(&numbers.into_iter().map(place).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_left_out_is_a_gap() {
        let numbers = of((1..=50).filter(|number| ![7, 30, 31].contains(number)));
        assert_eq!(numbers.gaps, [Gap { from: 7, to: 7, count: 1 }, Gap { from: 30, to: 31, count: 2 }]);
        assert_eq!((numbers.range, numbers.phases), (Some((1, 50)), 1));
        assert_eq!(of([1, 3]).gaps, [Gap { from: 2, to: 2, count: 1 }]);
    }

    #[test]
    fn a_step_is_no_gap_and_extremes_are_no_trouble() {
        assert_eq!(of([10, 20, 30, 40, 50]).gaps, []);
        assert_eq!(of([10, 20, 40, 50]).gaps, [Gap { from: 30, to: 30, count: 1 }]);
        assert_eq!(of([i32::MIN, i32::MAX]).gaps.len(), 1);
        assert_eq!((of([]), of([1])), (Numbers::default(), Numbers { range: Some((1, 1)), phases: 1, ..of([]) }));
    }

    #[test]
    fn phases_are_no_repeats() {
        let twice = of((1..=20).chain(1..=20));
        assert_eq!((twice.phases, twice.repeats.len(), twice.gaps.len(), twice.thin.len()), (2, 0, 0, 0));
        let less = of((1..=20).chain((1..=20).filter(|number| *number != 9)));
        assert_eq!((less.phases, less.thin, less.repeats.len()), (2, vec![9], 0));
        let acquired =
            |acquisition| move |number| InstancePosition { acquisition_number: Some(acquisition), ..place(number) };
        let all: Vec<_> = (1..=9).map(acquired(1)).chain([1, 2, 4, 5].map(acquired(2))).collect();
        let by_acquisition = Numbers::of(&all);
        assert_eq!((by_acquisition.phases, by_acquisition.gaps), (2, vec![Gap { from: 3, to: 3, count: 1 }]));
        let once = of((1..=20).chain([4]));
        assert_eq!((once.phases, once.repeats, once.gaps.len()), (1, vec![4], 0));
    }
}
