//! CR: the chest on a plate, from the back and from the right side.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::elements::PixelFormat;
use super::file::{File, Pixels};
use super::rays::{self, Met, centres};
use super::study::Series;
use super::{Phantom, PhantomError, Sink, chest, lettering, noise};

/// Along a side of the plate, and its upper edge, in millimetres.
const PLATE: f64 = 400.0;
const TOP: f64 = 152.0;
/// Stored where nothing is in the way.
const OPEN: f64 = 3900.0;
const NOISE: f32 = 11.0;

struct View {
    series: Series,
    /// View Position (0018,5101), and Patient Orientation (0020,0020): to the right and down the plate.
    position: &'static str,
    orientation: &'static str,
    /// Where the plate begins, along x or y.
    start: f64,
    met: Met,
    /// How much less is stored for each millimetre of water: harder rays go through a side.
    per_mm: f64,
    /// Centre and width.
    window: [&'static str; 2],
}

const FROM_BACK: View = View {
    series: Series {
        folder: "1-pa",
        number: 1,
        description: "Chest, PA",
        modality: "CR",
        sop_class: uids::COMPUTED_RADIOGRAPHY_IMAGE_STORAGE,
    },
    position: "PA",
    orientation: "L\\F",
    start: -PLATE / 2.0,
    met: rays::from_front,
    per_mm: 11.0,
    window: ["2280", "2900"],
};

const FROM_SIDE: View = View {
    series: Series { folder: "2-lateral", number: 2, description: "Chest, lateral", ..FROM_BACK.series },
    position: "LL",
    orientation: "P\\F",
    start: 8.0 - PLATE / 2.0,
    met: rays::from_side,
    per_mm: 8.0,
    window: ["2200", "3300"],
};

pub(super) fn make(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    for view in [&FROM_BACK, &FROM_SIDE].into_iter().take(phantom.slices.into()) {
        view.make(phantom, sink)?;
    }
    Ok(())
}

impl View {
    /// The Computed Radiography Image IOD (PS3.3 A.2).
    fn make(&self, phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
        let size = phantom.size;
        let spacing = PLATE / f64::from(size);
        let mut image = phantom.acquired(&self.series, 1, "CHEST", "ORIGINAL\\PRIMARY");
        image.put_all(&[
            (tags::VIEW_POSITION, VR::CS, self.position),
            (tags::PATIENT_ORIENTATION, VR::CS, self.orientation),
            (tags::WINDOW_CENTER, VR::DS, self.window[0]),
            (tags::WINDOW_WIDTH, VR::DS, self.window[1]),
        ]);
        image.decimals(tags::IMAGER_PIXEL_SPACING, &[spacing; 2]);
        // The more rays arrive, the higher and the darker.
        image.pixel_format(&PixelFormat {
            rows: size,
            columns: size,
            photometric: "MONOCHROME1",
            samples: 1,
            allocated: 16,
            stored: 12,
            signed: false,
        });
        let make = &mut |_| self.plate(phantom, spacing);
        let pixels = Pixels { vr: VR::OW, frames: 1, bytes_per_frame: u32::from(size).pow(2) * 2, make };
        sink(File::new(self.series.file_name(1), image, Some(pixels))?)
    }

    fn plate(&self, phantom: &Phantom, spacing: f64) -> Vec<u8> {
        let body = chest::painted(1.25 * spacing);
        let along = centres(self.start, phantom.size, spacing);
        let line = |row: u16| {
            let z = TOP - (f64::from(row) + 0.5) * spacing;
            let mut grain = vec![0.0; along.len()];
            noise::fill(noise::key(&[phantom.seed, self.series.number.into(), row.into()]), &mut grain);
            let met = (self.met)(&body, &along, z, rays::soft);
            met.iter().zip(grain).map(|(met, grain)| (OPEN - met * self.per_mm) as f32 + grain * NOISE).collect()
        };
        let mut values = rays::lines(phantom.size, &line);
        lettering::write(&mut values, phantom.size.into(), 0.0);
        values.iter().flat_map(|value| ((value + 0.5).clamp(0.0, 4095.0) as u16).to_le_bytes()).collect()
    }
}
