//! Where slices lie (PS3.3 C.7.6.2): parallel ones in equal steps, of which some may be left out.

use clavicle_dicom::facts::InstancePosition;

use super::numbers::usual;

/// Fewest positions of which steps are equal or not.
const FEWEST: usize = 4;
/// Most directions that the slices of a series are sorted into.
const MOST_STACKS: usize = 256;
/// Closer than this, in millimetres, is the same position.
const SAME: f64 = 0.01;
/// So much may each direction cosine differ between parallel slices.
const PARALLEL: f64 = 1e-3;

/// Positions next to each other, in equal steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Run {
    /// Image Position (Patient) of the first, in millimetres.
    pub from_mm: [f64; 3],
    /// And of the last.
    pub to_mm: [f64; 3],
    /// How many there are.
    pub count: u32,
}

/// Parallel slices.
#[derive(Clone, Debug, PartialEq)]
pub struct Stack {
    /// How many slices.
    pub instances: usize,
    /// At how many positions.
    pub positions: usize,
    /// From one position to the next, in millimetres; none where the steps are not equal, or too few to tell.
    pub step_mm: Option<f64>,
    /// Positions without a slice, where a step is a multiple of the others.
    pub missing: Vec<Run>,
    /// Positions that have fewer slices than the others, where these have several: phases, echoes, directions.
    pub thin: Vec<Run>,
}

/// A slice as far as it matters here.
#[derive(Clone, Copy)]
struct Slice {
    at: [f64; 3],
    along: f64,
}

impl Stack {
    /// The stacks of a series, in the order of their first slices. What does not say where it lies is in none.
    pub(super) fn all_of(places: &[InstancePosition]) -> Vec<Self> {
        let mut stacks: Vec<([f64; 6], Vec<Slice>)> = Vec::new();
        for place in places {
            let (Some(position), Some(orientation)) = (place.image_position_nm, place.image_orientation) else {
                continue;
            };
            let (at, orientation) = (position.map(|nm| nm as f64 / 1e6), orientation.map(|part| part as f64 / 1e9));
            let is_parallel = |other: &[f64; 6]| other.iter().zip(orientation).all(|(a, b)| (a - b).abs() <= PARALLEL);
            let stack = match stacks.iter().position(|(other, _)| is_parallel(other)) {
                Some(found) => found,
                None if stacks.len() < MOST_STACKS => {
                    stacks.push((orientation, Vec::new()));
                    stacks.len() - 1
                }
                None => continue,
            };
            let [a, b, c, d, e, f] = stacks[stack].0;
            let normal = [b * f - c * e, c * d - a * f, a * e - b * d];
            let along = at.iter().zip(normal).map(|(at, part)| at * part).sum();
            stacks[stack].1.push(Slice { at, along });
        }
        stacks.into_iter().map(|(_, slices)| Self::of(slices)).collect()
    }

    fn of(mut slices: Vec<Slice>) -> Self {
        slices.sort_by(|one, other| one.along.total_cmp(&other.along));
        let positions: Vec<&[Slice]> = slices.chunk_by(|one, next| next.along - one.along < SAME).collect();
        let mut stack = Self {
            instances: slices.len(),
            positions: positions.len(),
            step_mm: None,
            missing: Vec::new(),
            thin: Vec::new(),
        };
        if positions.len() < FEWEST {
            return stack;
        }
        let usual = usual(positions.iter().map(|slices| slices.len()));
        let thin = positions.iter().filter(|slices| slices.len() < usual);
        let thin: Vec<Run> = thin.map(|slices| Run { from_mm: slices[0].at, to_mm: slices[0].at, count: 1 }).collect();
        if thin.len() * 4 <= positions.len() {
            stack.thin = thin;
        }
        let pairs = || positions.windows(2).map(|pair| (pair[0][0], pair[1][0]));
        let steps: Vec<f64> = pairs().map(|(one, next)| next.along - one.along).collect();
        let mut sorted = steps.clone();
        sorted.sort_by(f64::total_cmp);
        let step = sorted[(sorted.len() - 1) / 2];
        let equal = steps.iter().filter(|other| (*other - step).abs() <= step / 10.0).count();
        if equal * 2 < steps.len() {
            return stack;
        }
        stack.step_mm = Some(step);
        for ((one, next), between) in pairs().zip(&steps) {
            let times = (between / step).round();
            if times >= 2.0 && (between / step - times).abs() <= 0.15 {
                let part =
                    |share: f64| std::array::from_fn(|axis| one.at[axis] + (next.at[axis] - one.at[axis]) * share);
                // No more than two kilometres in steps of a hundredth of a millimetre.
                let count = (times - 1.0) as u32;
                stack.missing.push(Run { from_mm: part(1.0 / times), to_mm: part(1.0 - 1.0 / times), count });
            }
        }
        stack
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXIAL: [i64; 6] = [1_000_000_000, 0, 0, 0, 1_000_000_000, 0];
    const CORONAL: [i64; 6] = [1_000_000_000, 0, 0, 0, 0, -1_000_000_000];

    fn slice(orientation: [i64; 6], mm: f64) -> InstancePosition {
        let along = (mm * 1e6) as i64;
        let position = if orientation == AXIAL { [0, 0, along] } else { [0, along, 0] };
        InstancePosition {
            image_position_nm: Some(position),
            image_orientation: Some(orientation),
            ..InstancePosition::default()
        }
    }

    fn axial(mm: impl IntoIterator<Item = f64>) -> Vec<InstancePosition> {
        mm.into_iter().map(|mm| slice(AXIAL, mm)).collect()
    }

    #[test]
    fn what_is_left_out_of_a_stack_is_named_by_its_position() {
        let all = (0..20).filter(|at| ![5, 9, 10].contains(at)).map(|at| f64::from(at) * 2.5);
        let stacks = Stack::all_of(&axial(all));
        assert_eq!((stacks.len(), stacks[0].positions, stacks[0].step_mm), (1, 17, Some(2.5)));
        let found: Vec<_> = stacks[0].missing.iter().map(|run| (run.from_mm[2], run.to_mm[2], run.count)).collect();
        assert_eq!(found, [(12.5, 12.5, 1), (22.5, 25.0, 2)]);
    }

    #[test]
    fn nothing_is_said_of_localizers_and_uneven_steps() {
        for few in [axial([1.0]), axial([0.0, 5.0, 30.0]), axial([0.0, 1.0, 5.0, 5.5, 9.0, 20.0])] {
            assert!(Stack::all_of(&few).iter().all(|stack| stack.missing.is_empty() && stack.step_mm.is_none()));
        }
        let mixed: Vec<_> = axial((0..9).map(f64::from)).into_iter().chain([slice(CORONAL, 3.0)]).collect();
        let stacks = Stack::all_of(&mixed);
        assert_eq!((stacks.len(), stacks[1].instances), (2, 1));
        assert!(stacks.iter().all(|stack| stack.missing.is_empty()));
        assert_eq!(Stack::all_of(&[InstancePosition::default()]), []);
    }

    #[test]
    fn phases_lie_in_the_same_places() {
        let twice = axial((0..20).chain(0..20).map(f64::from));
        let stacks = Stack::all_of(&twice);
        assert_eq!((stacks[0].positions, stacks[0].missing.len(), stacks[0].thin.len()), (20, 0, 0));
        let stacks = Stack::all_of(&twice[..39]);
        assert_eq!((stacks[0].missing.len(), stacks[0].thin[0].from_mm[2]), (0, 19.0));
    }

    #[test]
    fn kilometres_are_counted() {
        let far = axial((0..9).map(|at| f64::from(at) / 90.0).chain([1e6]));
        assert_eq!(Stack::all_of(&far)[0].missing.len(), 1);
    }
}
