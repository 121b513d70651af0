//! What rays meet on their way through a body.

use std::thread;

use super::solid::Painting;

/// From where to where rays go, and in which steps, in millimetres: from front to back, and from side to side.
const FROM_FRONT: (f64, u16, f64) = (-126.0, 84, 3.0);
const FROM_SIDE: (f64, u16, f64) = (-192.0, 128, 3.0);

/// How much a millimetre of so many Hounsfield units stops, in millimetres of water.
pub(super) type Stops = fn(f64) -> f64;
/// What rays meet on their way through a body to the points of a line at a height.
pub(super) type Met = fn(&Painting, &[f64], f64, Stops) -> Vec<f64>;

/// The rays of a CT.
pub(super) fn water(hounsfield: f64) -> f64 {
    hounsfield / 1000.0 + 1.0
}

/// Rays that are softer than those: bone stops more of them.
pub(super) fn soft(hounsfield: f64) -> f64 {
    water(hounsfield) + (hounsfield - 150.0).max(0.0) / 900.0
}

/// What rays from the front meet at a height, at each of the points `across`.
pub(super) fn from_front(body: &Painting, across: &[f64], z: f64, stops: Stops) -> Vec<f64> {
    let (front, steps, step) = FROM_FRONT;
    let mut met = vec![0.0; across.len()];
    for y in centres(front, steps, step) {
        for (sum, hounsfield) in met.iter_mut().zip(body.line(across, y, z)) {
            *sum += stops(hounsfield) * step;
        }
    }
    met
}

/// What rays from the side meet at a height, at each of the points `depths`.
pub(super) fn from_side(body: &Painting, depths: &[f64], z: f64, stops: Stops) -> Vec<f64> {
    let (side, steps, step) = FROM_SIDE;
    let across = centres(side, steps, step);
    let met = |y| body.line(&across, y, z).into_iter().fold(0.0, |sum, hounsfield| sum + stops(hounsfield) * step);
    depths.iter().map(|y| met(*y)).collect()
}

/// The lines from 0 on, one behind the other; all processors make a part of them.
pub(super) fn lines(count: u16, line: &(dyn Fn(u16) -> Vec<f32> + Sync)) -> Vec<f32> {
    let parts = thread::available_parallelism().map_or(1, usize::from);
    let numbers: Vec<_> = (0..count).collect();
    thread::scope(|scope| {
        let part = |numbers: &[u16]| -> Vec<f32> { numbers.iter().flat_map(|number| line(*number)).collect() };
        let parts: Vec<_> = numbers
            .chunks(numbers.len().div_ceil(parts).max(1))
            .map(|numbers| scope.spawn(move || part(numbers)))
            .collect();
        parts.into_iter().flat_map(|part| part.join().expect("painting does not panic")).collect()
    })
}

/// The centres of `count` steps from `start` on.
pub(super) fn centres(start: f64, count: u16, step: f64) -> Vec<f64> {
    (0..count).map(|place| start + (f64::from(place) + 0.5) * step).collect()
}
