//! Planes: the samples of each component, at its own resolution, and how they become pixels.

use super::{Component, Frame};

/// The samples of a component. In DCT scans it is as large as whole units need.
#[derive(Debug)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) samples: Vec<u16>,
}

impl Plane {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, samples: vec![0; width * height] }
    }

    fn row(&self, row: usize, width: usize) -> &[u16] {
        &self.samples[row * self.width..row * self.width + width]
    }
}

/// All samples, those of a pixel together, all components at full resolution, Y, Cb, Cr as red, green and blue.
pub(super) fn pixels(frame: &Frame, planes: &[Plane], is_ybr: bool) -> Vec<u16> {
    let count = planes.len();
    let mut pixels = vec![0; frame.rows * frame.columns * count];
    let mut line = vec![0; frame.columns + 2 * frame.horizontal];
    for (row, pixels) in pixels.chunks_exact_mut(frame.columns * count).enumerate() {
        for (number, (plane, component)) in planes.iter().zip(&frame.components).enumerate() {
            upsample(frame, component, plane, row, &mut line);
            for (pixel, sample) in pixels.chunks_exact_mut(count).zip(&line) {
                pixel[number] = *sample;
            }
        }
        if is_ybr {
            to_rgb(pixels, frame.precision);
        }
    }
    pixels
}

/// A row of a component at full resolution.
///
/// Samples of half the resolution lie between those of the full: they are weighted with three quarters and one quarter, as most
/// programs do. Of less than half there is no such usage, and they are repeated.
fn upsample(frame: &Frame, component: &Component, plane: &Plane, row: usize, line: &mut [u16]) {
    let (width, height) = frame.size(component);
    let (across, down) = (frame.horizontal / component.horizontal, frame.vertical / component.vertical);
    let near = plane.row((row / down).min(height - 1), width);
    match (across, down) {
        (1, 1) => line[..width].copy_from_slice(near),
        (2, 1 | 2) if width > 2 => {
            let far = match down {
                1 => near,
                _ if row.is_multiple_of(2) => plane.row((row / 2).saturating_sub(1), width),
                _ => plane.row((row / 2 + 1).min(height - 1), width),
            };
            // In quarters of a sample, each row counting as it is near.
            let sum = |column: usize| match down {
                1 => u32::from(near[column]),
                _ => 3 * u32::from(near[column]) + u32::from(far[column]),
            };
            // What is rounded up on one side is rounded down on the other, so that no shift is left.
            let (unit, before, after) = if down == 1 { (4, 1, 2) } else { (16, 8, 7) };
            let whole = |sum: u32| u16::try_from(sum / unit).unwrap_or(u16::MAX);
            let mut left = sum(0);
            for column in 0..width {
                let (this, right) = (sum(column), sum((column + 1).min(width - 1)));
                line[2 * column] = whole(3 * this + left + before);
                line[2 * column + 1] = whole(3 * this + right + after);
                left = this;
            }
        }
        _ => {
            for (column, sample) in line[..frame.columns].iter_mut().enumerate() {
                *sample = near[(column / across).min(width - 1)];
            }
        }
    }
}

/// PS3.3 C.7.6.3.1.2, undone, in whole numbers with sixteen bits of fraction.
fn to_rgb(pixels: &mut [u16], precision: u32) {
    let most = (1_i32 << precision) - 1;
    let centre = 1_i32 << (precision - 1);
    let sample = |value: i32| u16::try_from(value.clamp(0, most)).unwrap_or(0);
    for pixel in pixels.chunks_exact_mut(3) {
        let [y, blue, red] = [pixel[0], pixel[1], pixel[2]].map(i32::from);
        let (blue, red) = (blue - centre, red - centre);
        let half = 1 << 15;
        pixel[0] = sample(y + ((91_881 * red + half) >> 16));
        pixel[1] = sample(y + ((-22_554 * blue - 46_802 * red + half) >> 16));
        pixel[2] = sample(y + ((116_130 * blue + half) >> 16));
    }
}
