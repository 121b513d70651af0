//! Ultrasound: a heart in four chambers, seen from its tip; it beats once a second, and what flows is red or blue.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::elements::PixelFormat;
use super::file::{File, Pixels};
use super::noise::smooth;
use super::solid::within;
use super::study::Series;
use super::{Phantom, PhantomError, Sink, lettering};

const LOOP: Series = Series {
    folder: "1-four-chambers",
    number: 1,
    description: "Four chambers, colour Doppler",
    modality: "US",
    sop_class: uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
};

/// A beat takes as many frames, unless the loop is shorter.
const FRAMES_PER_BEAT: u16 = 30;

/// The Ultrasound Multi-frame Image IOD (PS3.3 A.7).
pub(super) fn make(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    let (columns, rows) = (phantom.size, phantom.size / 4 * 3);
    let mut image = phantom.acquired(&LOOP, 1, "HEART", "ORIGINAL\\PRIMARY");
    image.put_all(&[
        (tags::PATIENT_ORIENTATION, VR::CS, ""),
        (tags::NUMBER_OF_FRAMES, VR::IS, &phantom.slices.to_string()),
        (tags::FRAME_TIME, VR::DS, "33.333333"),
        (tags::CINE_RATE, VR::IS, "30"),
        (tags::RECOMMENDED_DISPLAY_FRAME_RATE, VR::IS, "30"),
    ]);
    image.pointer(tags::FRAME_INCREMENT_POINTER, tags::FRAME_TIME);
    image.pixel_format(&PixelFormat {
        rows,
        columns,
        photometric: "RGB",
        samples: 3,
        allocated: 8,
        stored: 8,
        signed: false,
    });
    let beats = phantom.slices.div_ceil(FRAMES_PER_BEAT);
    let make = &mut |frame: u32| {
        let beaten = f64::from(frame) * f64::from(beats) / f64::from(phantom.slices);
        let heart = Heart::at(beaten - beaten.floor());
        let mut pixels = heart.frame(columns, rows, phantom.seed, frame);
        lettering::write(&mut pixels, columns.into(), [255; 3]);
        pixels.into_iter().flatten().collect()
    };
    let bytes_per_frame = u32::from(rows) * u32::from(columns) * 3;
    let pixels = Pixels { vr: VR::OB, frames: phantom.slices.into(), bytes_per_frame, make };
    sink(File::new(LOOP.file_name(1), image, Some(pixels))?)
}

/// The heart at one moment. Lengths are shares of how deep the sector goes; y is down from the probe.
struct Heart {
    /// From 0 to 1, how far the ventricles have contracted.
    contracted: f64,
    /// How fast blood goes into the ventricles; below 0, out of them.
    flow: f64,
}

impl Heart {
    /// At a share of the beat: it contracts in the first two fifths, then fills, quickly at first.
    fn at(share: f64) -> Self {
        let (systole, rest) = (share / 0.4, (share - 0.4) / 0.6);
        if share < 0.4 {
            let contracted = systole * systole * (3.0 - 2.0 * systole);
            Self { contracted, flow: -4.0 * systole * (1.0 - systole) }
        } else {
            let left = 1.0 - rest;
            // The early and the late wave.
            let [early, late] = [(0.22, 0.22), (0.8, 0.14)].map(|(middle, half)| {
                let from: f64 = (rest - middle) / half;
                (1.0 - from * from).max(0.0)
            });
            Self { contracted: left * left * left, flow: early + 0.6 * late }
        }
    }

    fn frame(&self, columns: u16, rows: u16, seed: u64, frame: u32) -> Vec<[u8; 3]> {
        let (wide, high) = (f64::from(columns), f64::from(rows));
        let depth = high * 0.9;
        let mut pixels = Vec::with_capacity(usize::from(columns) * usize::from(rows));
        for row in 0..rows {
            for column in 0..columns {
                let x = (f64::from(column) + 0.5 - wide / 2.0) / depth;
                let y = (f64::from(row) + 0.5 - high * 0.05) / depth;
                pixels.push(self.colour(x, y, seed, frame));
            }
        }
        pixels
    }

    fn colour(&self, x: f64, y: f64, seed: u64, frame: u32) -> [u8; 3] {
        let reach = (x * x + y * y).sqrt();
        if y <= 0.0 || x.abs() > y * 0.78 || !(0.03..1.0).contains(&reach) {
            return [0; 3];
        }
        // Speckle: finer along the beam than across it. It flickers where blood is.
        let grain = |step: f64| {
            let at = [reach * 95.0, x / reach * 46.0, step + (seed % 1009) as f64 * 7.0];
            let [one, other] = [smooth(at), smooth(at.map(|at| at * 1.3 + 40.0))];
            ((one * one + other * other) * 2.6).sqrt()
        };
        let (depth, jet) = self.blood(x, y);
        let tissue = self.tissue(x, y, depth) * grain(f64::from(frame) * 0.12);
        let echo = tissue * (0.75 + 0.35 * reach) * (1.0 - 0.5 * (reach - 0.9).max(0.0) * 10.0);
        let grey = echo.clamp(0.0, 255.0);
        // Inside the box of the colour, and where it flows fast enough.
        let speed = jet * self.flow * (0.7 + 0.5 * grain(f64::from(frame) * 1.7));
        let strength = (speed.abs() * 255.0).min(255.0);
        if strength < 40.0 || depth < 0.0 {
            return [grey as u8; 3];
        }
        // Towards the probe it is red.
        let (fast, slow) = (strength as u8, ((strength - 128.0).max(0.0) * 1.3) as u8);
        if speed > 0.0 { [fast, slow, 0] } else { [0, slow, fast] }
    }

    /// How deep in a chamber a point lies, and how much of a jet goes through it.
    fn blood(&self, x: f64, y: f64) -> (f64, f64) {
        let slack = 1.0 - self.contracted;
        let chamber =
            |centre: [f64; 2], half: [f64; 2]| within([x - centre[0], y - centre[1], 0.0], [half[0], half[1], 1.0]);
        let left = chamber([0.11, 0.40 + 0.03 * self.contracted], [0.085 + 0.05 * slack, 0.19 + 0.05 * slack]);
        let right = chamber([-0.15, 0.45 + 0.02 * self.contracted], [0.06 + 0.05 * slack, 0.14 + 0.04 * slack]);
        let atria = chamber([0.13, 0.78], [0.13 - 0.02 * slack, 0.11 - 0.02 * slack])
            .max(chamber([-0.17, 0.77], [0.125 - 0.02 * slack, 0.105 - 0.02 * slack]));
        // Where the valves are open, chambers are one.
        let open = if self.flow > 0.0 { 0.045 } else { -1.0 };
        let valve = |middle: f64, half: f64| (half - (x - middle).abs()).min(0.035 - (y - 0.645).abs());
        let valves = valve(0.12, open).max(valve(-0.16, open * 0.9));
        let jet = |middle: f64, half: f64| {
            let from = [(x - middle) / half, (y - 0.56) / 0.2];
            (1.0 - from[0] * from[0] - from[1] * from[1]).max(0.0)
        };
        let out = jet(0.045, 0.045) * if self.flow < 0.0 { 1.0 } else { 0.0 };
        let into = if self.flow > 0.0 { jet(0.12, 0.06) + 0.7 * jet(-0.16, 0.05) } else { 0.0 };
        (left.max(right).max(atria).max(valves), out + into)
    }

    /// How bright what is there echoes.
    fn tissue(&self, x: f64, y: f64, depth: f64) -> f64 {
        // The sac around the heart is the brightest.
        let heart = within([x + 0.01, y - 0.53, 0.0], [0.37, 0.45, 1.0]);
        let sac = (1.0 - (heart / 0.014).abs()).max(0.0) * 130.0;
        let wall = if heart > 0.0 { 105.0 } else { 62.0 };
        let lining = (1.0 - ((depth + 0.006) / 0.012).abs()).max(0.0) * 70.0;
        let share = (0.5 - depth / 0.012).clamp(0.0, 1.0);
        9.0 + (wall - 9.0) * share + lining + sac
    }
}
