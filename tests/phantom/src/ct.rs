//! CT: slices of a chest or a head in Hounsfield units, and the localizer they were planned on.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::elements::{Elements, PixelFormat};
use super::file::{File, Pixels};
use super::head::{self, Tissue};
use super::rays::{self, centres};
use super::study::Series;
use super::volume::{Plane, Stack, Volume};
use super::{Phantom, PhantomError, Sink, chest, lettering, noise};

/// The stored value of 0 Hounsfield units is 1024, as most scanners have it.
pub(super) const INTERCEPT: f64 = -1024.0;
/// Along a side of the square that a slice of the chest shows, and across the localizer, in millimetres.
const FIELD: f64 = 400.0;
/// Where the localizer begins; it is four fifths as high as it is wide.
const LOCALIZER_TOP: f64 = 160.0;
/// Water of this depth, in millimetres, is shown as water in the localizer.
const DEPTH_OF_WATER: f64 = 200.0;

const LOCALIZER: Series = Series {
    folder: "1-localizer",
    number: 1,
    description: "Localizer",
    modality: "CT",
    sop_class: uids::CT_IMAGE_STORAGE,
};

const CHEST: Series = Series { folder: "2-axial", number: 2, description: "Chest, axial", ..LOCALIZER };

const HEAD: Series = Series { folder: "1-axial", number: 1, description: "Head, axial", ..LOCALIZER };

/// The chest: a localizer, then slices from the head down.
pub(super) fn chest(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    localizer(phantom, sink)?;
    let plane = Plane { field: FIELD, size: phantom.size, middle: [0.0, 0.0] };
    let stack = Stack { plane, top: 115.0, height: 240.0, slices: phantom.slices };
    let scan = Scan { volume: Volume::new(chest::painted, &stack), stack, noise: 0.0, seed: phantom.seed };
    axial(phantom, &CHEST, ("CHEST", ["40", "400"]), scan, sink)
}

/// The head, from the vertex down.
pub(super) fn head(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    axial(phantom, &HEAD, ("HEAD", ["40", "80"]), Scan::of_head(phantom), sink)
}

/// Slices as a scanner gives them.
pub(super) struct Scan {
    volume: Volume,
    pub stack: Stack,
    /// How strong the noise is, in Hounsfield units.
    noise: f32,
    seed: u64,
}

impl Scan {
    pub(super) fn of_head(phantom: &Phantom) -> Self {
        let stack = head_stack(phantom);
        let painted = |edge| head::painted(edge, hounsfield);
        Self { volume: Volume::new(painted, &stack), stack, noise: 3.0, seed: phantom.seed }
    }

    /// The stored values of a slice, which are counted from 1 on.
    pub(super) fn slice(&mut self, slice: u16) -> Vec<u8> {
        let mut values = self.volume.slice(self.stack.position(slice)[2]);
        if self.noise > 0.0 {
            let mut grain = vec![0.0; values.len()];
            noise::fill(noise::key(&[self.seed, slice.into()]), &mut grain);
            for (value, grain) in values.iter_mut().zip(&grain) {
                *value += grain * self.noise;
            }
        }
        lettering::write(&mut values, self.stack.plane.size.into(), 1000.0);
        stored(&values)
    }
}

/// Where slices of the head lie, whatever the modality.
pub(super) fn head_stack(phantom: &Phantom) -> Stack {
    let plane = Plane { field: 250.0, size: phantom.size, middle: [0.0, -8.0] };
    Stack { plane, top: 97.0, height: 174.0, slices: phantom.slices }
}

fn axial(
    phantom: &Phantom,
    series: &Series,
    (body_part, window): (&str, [&str; 2]),
    mut scan: Scan,
    sink: &mut Sink<'_>,
) -> Result<(), PhantomError> {
    let size = phantom.size;
    for number in 1..=phantom.slices {
        let mut image = phantom.acquired(series, number, body_part, "ORIGINAL\\PRIMARY\\AXIAL");
        scan.stack.place(&mut image, number);
        image.put(tags::RESCALE_TYPE, VR::LO, "HU");
        rest(phantom, &mut image, window, [size, size]);
        let make = &mut |_| scan.slice(number);
        let pixels = Pixels { vr: VR::OW, frames: 1, bytes_per_frame: u32::from(size).pow(2) * 2, make };
        sink(File::new(series.file_name(number), image, Some(pixels))?)?;
    }
    Ok(())
}

/// The body seen from the front, as rays through it would add it up, at half the resolution.
fn localizer(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    let columns = phantom.size.div_ceil(2);
    let rows = columns * 4 / 5;
    let spacing = FIELD / f64::from(columns);
    let across = centres(-FIELD / 2.0, columns, spacing);
    let mut image = phantom.acquired(&LOCALIZER, 1, "CHEST", "ORIGINAL\\PRIMARY\\LOCALIZER");
    image.decimals(tags::SLICE_THICKNESS, &[FIELD]);
    image.decimals(tags::IMAGE_POSITION_PATIENT, &[across[0], 0.0, LOCALIZER_TOP - spacing / 2.0]);
    image.decimals(tags::IMAGE_ORIENTATION_PATIENT, &[1.0, 0.0, 0.0, 0.0, 0.0, -1.0]);
    image.decimals(tags::PIXEL_SPACING, &[spacing; 2]);
    // Unspecified: what rays add up is no Hounsfield unit.
    image.put(tags::RESCALE_TYPE, VR::LO, "US");
    rest(phantom, &mut image, ["-250", "1300"], [rows, columns]);
    let make = &mut |_| {
        let body = chest::painted(1.25 * spacing);
        let line = |row: u16| {
            let met = rays::from_front(&body, &across, LOCALIZER_TOP - (f64::from(row) + 0.5) * spacing, rays::water);
            met.into_iter().map(|met| ((met / DEPTH_OF_WATER - 1.0) * 1000.0) as f32).collect()
        };
        let mut values = rays::lines(rows, &line);
        lettering::write(&mut values, columns.into(), 400.0);
        stored(&values)
    };
    let pixels = Pixels { vr: VR::OW, frames: 1, bytes_per_frame: u32::from(rows) * u32::from(columns) * 2, make };
    sink(File::new(LOCALIZER.file_name(1), image, Some(pixels))?)
}

/// The rest of the CT Image IOD (PS3.3 A.3).
fn rest(phantom: &Phantom, image: &mut Elements, window: [&str; 2], [rows, columns]: [u16; 2]) {
    phantom.frame_of_reference(image);
    image.put_all(&[
        (tags::KVP, VR::DS, ""),
        (tags::PATIENT_POSITION, VR::CS, "HFS"),
        (tags::WINDOW_CENTER, VR::DS, window[0]),
        (tags::WINDOW_WIDTH, VR::DS, window[1]),
        (tags::RESCALE_SLOPE, VR::DS, "1"),
    ]);
    image.decimals(tags::RESCALE_INTERCEPT, &[INTERCEPT]);
    image.pixel_format(&pixel_format(rows, columns));
}

/// Signed words.
pub(super) fn pixel_format(rows: u16, columns: u16) -> PixelFormat {
    PixelFormat { rows, columns, photometric: "MONOCHROME2", samples: 1, allocated: 16, stored: 16, signed: true }
}

/// Hounsfield units as they are stored, cut off where a scanner of 12 bits ends.
fn stored(values: &[f32]) -> Vec<u8> {
    let mut bytes = vec![0; values.len() * 2];
    for (pair, value) in bytes.chunks_exact_mut(2).zip(values) {
        let stored = (value - INTERCEPT as f32).clamp(0.0, 4095.0) + 0.5;
        pair.copy_from_slice(&(stored as i16).to_le_bytes());
    }
    bytes
}

/// How strongly tissues stop the rays, in Hounsfield units.
fn hounsfield(tissue: Tissue) -> f64 {
    match tissue {
        Tissue::Air => -1000.0,
        Tissue::Bone => 1250.0,
        Tissue::Calcium => 190.0,
        Tissue::Csf => 6.0,
        Tissue::Dura => 58.0,
        Tissue::Fat => -90.0,
        Tissue::Grey => 40.0,
        Tissue::Lens => 75.0,
        // A stroke of a few hours shows little.
        Tissue::Lesion => 22.0,
        Tissue::Marrow => 480.0,
        Tissue::Muscle => 55.0,
        Tissue::Nuclei => 39.0,
        Tissue::Vitreous => 10.0,
        Tissue::White => 29.0,
        Tissue::Spot => 25.0,
    }
}
