//! A painting as slices of any fineness, made quickly.
//!
//! The painting is asked for its values on a grid of its own, no finer than what its soft edges can show; everything between is
//! interpolated, one axis after the other. Only the two layers of the grid around a slice are held.

use dicom_dictionary_std::tags;

use super::elements::Elements;
use super::rays;
use super::solid::Painting;

/// Lines from right to left, one behind the other.
pub(super) const AXIAL: [f64; 6] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0];

/// The grid is no finer than this, in millimetres.
const STEP: f64 = 0.75;

/// The plane of a slice: a square, seen from the feet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plane {
    /// Along a side, in millimetres.
    pub field: f64,
    /// Pixels along a side.
    pub size: u16,
    /// The middle of the square, in x and y.
    pub middle: [f64; 2],
}

impl Plane {
    /// Between the centres of pixels, in millimetres.
    pub(super) fn spacing(&self) -> f64 {
        self.field / f64::from(self.size)
    }

    /// The centre of the first pixel.
    pub(super) fn first(&self) -> [f64; 2] {
        self.middle.map(|middle| middle - self.field / 2.0 + self.spacing() / 2.0)
    }
}

/// Axial slices of equal thickness from the top down (PS3.3 C.7.6.2.1.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Stack {
    pub plane: Plane,
    /// Where the first slice begins, and how far down all of them go, in millimetres.
    pub top: f64,
    pub height: f64,
    pub slices: u16,
}

impl Stack {
    pub(super) fn thickness(&self) -> f64 {
        self.height / f64::from(self.slices)
    }

    /// The centre of the first pixel of a slice, which are counted from 1 on.
    pub(super) fn position(&self, slice: u16) -> [f64; 3] {
        let [x, y] = self.plane.first();
        [x, y, self.top - (f64::from(slice) - 0.5) * self.thickness()]
    }

    /// The attributes of one slice that say where it is.
    pub(super) fn place(&self, elements: &mut Elements, slice: u16) {
        let position = self.position(slice);
        elements.decimals(tags::SLICE_THICKNESS, &[self.thickness()]);
        elements.decimals(tags::IMAGE_POSITION_PATIENT, &position);
        elements.decimals(tags::IMAGE_ORIENTATION_PATIENT, &AXIAL);
        elements.decimals(tags::SLICE_LOCATION, &position[2..]);
        elements.decimals(tags::PIXEL_SPACING, &[self.plane.spacing(); 2]);
    }
}

/// Where a value lies between two of the grid.
#[derive(Clone, Copy)]
struct Between {
    place: usize,
    share: f32,
}

/// Slices of a painting.
pub(super) struct Volume {
    painting: Painting,
    /// The grid, along x and along y.
    across: Vec<f64>,
    down: Vec<f64>,
    /// For each pixel of a line, or each line.
    between: Vec<Between>,
    /// Between layers; none where each slice is painted for itself.
    rise: Option<f64>,
    layers: [Option<(f64, Vec<f32>)>; 2],
}

impl Volume {
    /// The edges of what `painted` makes are as soft as `spacing` and `thickness` allow.
    pub(super) fn new(painted: impl FnOnce(f64) -> Painting, stack: &Stack) -> Self {
        let plane = &stack.plane;
        let step = plane.spacing().max(STEP);
        let steps = ((plane.field / step).ceil() as u16).max(1);
        let grid = |axis: usize| {
            let start = plane.middle[axis] - plane.field / 2.0;
            (0..=steps + 1).map(|place| start + (f64::from(place) - 0.5) * step).collect()
        };
        let between = (0..plane.size).map(|place| {
            let at = (f64::from(place) + 0.5) * plane.spacing() / step + 0.5;
            Between { place: at.floor() as usize, share: (at - at.floor()) as f32 }
        });
        Self {
            painting: painted(1.25 * step),
            across: grid(0),
            down: grid(1),
            between: between.collect(),
            rise: (stack.thickness() < STEP).then_some(STEP),
            layers: [None, None],
        }
    }

    /// The slice at a height, line by line.
    pub(super) fn slice(&mut self, z: f64) -> Vec<f32> {
        let layer = match self.rise {
            None => self.paint(z),
            Some(rise) => {
                let (low, share) = ((z / rise).floor(), z / rise - (z / rise).floor());
                let [below, above] = [self.layer(low * rise), self.layer((low + 1.0) * rise)];
                let share = share as f32;
                let slice = below.iter().zip(&above).map(|(below, above)| below + (above - below) * share).collect();
                self.layers = [Some((low * rise, below)), Some(((low + 1.0) * rise, above))];
                slice
            }
        };
        let width = self.across.len();
        let mut line = vec![0.0; width];
        let mut slice = Vec::with_capacity(self.between.len() * self.between.len());
        for Between { place, share } in &self.between {
            let (one, next) = (&layer[place * width..][..width], &layer[(place + 1) * width..][..width]);
            for (value, (one, next)) in line.iter_mut().zip(one.iter().zip(next)) {
                *value = one + (next - one) * share;
            }
            slice.extend(self.between.iter().map(|Between { place, share }| {
                let (one, next) = (line[*place], line[place + 1]);
                one + (next - one) * share
            }));
        }
        slice
    }

    /// A layer of the grid: one that is held, or a new one.
    fn layer(&mut self, z: f64) -> Vec<f32> {
        let held = self.layers.iter_mut().find(|layer| layer.as_ref().is_some_and(|(at, _)| *at == z));
        held.and_then(Option::take).map_or_else(|| self.paint(z), |(_, layer)| layer)
    }

    fn paint(&self, z: f64) -> Vec<f32> {
        let lines = u16::try_from(self.down.len()).expect("a plane has at most 1,026 lines");
        rays::lines(lines, &|line| {
            let y = self.down[usize::from(line)];
            self.painting.line(&self.across, y, z).into_iter().map(|value| value as f32).collect()
        })
    }
}
