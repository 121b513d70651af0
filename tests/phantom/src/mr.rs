//! MR: the head in four contrasts, and the report on them.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::ct::head_stack;
use super::elements::{Elements, PixelFormat};
use super::file::{File, Pixels};
use super::head::{self, Tissue};
use super::study::Series;
use super::volume::{Stack, Volume};
use super::{Phantom, PhantomError, Sink, lettering, noise};

/// How a series was acquired, and so what tissues look like in it.
pub(super) struct Contrast {
    pub series: Series,
    signal: fn(Tissue) -> f64,
    /// How much softer than its pixels the image is.
    soft: f64,
    noise: f32,
    /// Centre and width.
    window: [&'static str; 2],
    /// Scanning Sequence, Sequence Variant, and the times and b value that were set (PS3.3 C.8.3.1).
    sequence: &'static str,
    variant: &'static str,
    repetition_ms: &'static str,
    echo_ms: &'static str,
    echoes: &'static str,
    inversion_ms: Option<&'static str>,
    diffusion: Option<f64>,
}

const T1: Contrast = Contrast {
    series: Series {
        folder: "1-t1",
        number: 1,
        description: "T1, axial",
        modality: "MR",
        sop_class: uids::MR_IMAGE_STORAGE,
    },
    signal: t1,
    soft: 1.0,
    noise: 11.0,
    window: ["430", "800"],
    sequence: "SE",
    variant: "NONE",
    repetition_ms: "550",
    echo_ms: "9",
    echoes: "1",
    inversion_ms: None,
    diffusion: None,
};

const T2: Contrast = Contrast {
    series: Series { folder: "2-t2", number: 2, description: "T2, axial", ..T1.series },
    signal: t2,
    window: ["480", "900"],
    variant: "SK",
    repetition_ms: "4500",
    echo_ms: "98",
    echoes: "12",
    ..T1
};

const FLAIR: Contrast = Contrast {
    series: Series { folder: "3-flair", number: 3, description: "FLAIR, axial", ..T1.series },
    signal: flair,
    soft: 1.3,
    noise: 13.0,
    window: ["420", "800"],
    sequence: "SE\\IR",
    variant: "SK",
    repetition_ms: "9000",
    echo_ms: "120",
    echoes: "16",
    inversion_ms: Some("2500"),
    ..T1
};

const DIFFUSION: Contrast = Contrast {
    series: Series { folder: "4-diffusion", number: 4, description: "Diffusion, b = 1000 s/mm², axial", ..T1.series },
    signal: diffusion,
    soft: 2.4,
    noise: 17.0,
    window: ["320", "640"],
    sequence: "EP\\SE",
    variant: "SK",
    repetition_ms: "5200",
    echo_ms: "84",
    echoes: "1",
    diffusion: Some(1000.0),
    ..T1
};

/// In the order in which they were acquired.
pub(super) const CONTRASTS: [Contrast; 4] = [T1, T2, FLAIR, DIFFUSION];

pub(super) fn make(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    CONTRASTS.iter().try_for_each(|contrast| contrast.make(phantom, sink))
}

impl Contrast {
    fn make(&self, phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
        let stack = head_stack(phantom);
        let mut volume = Volume::new(|edge| head::painted(edge * self.soft, self.signal), &stack);
        let size = phantom.size;
        for number in 1..=phantom.slices {
            let mut image = phantom.acquired(&self.series, number, "HEAD", "ORIGINAL\\PRIMARY\\OTHER");
            stack.place(&mut image, number);
            phantom.frame_of_reference(&mut image);
            self.acquisition(&mut image);
            image.pixel_format(&PixelFormat {
                rows: size,
                columns: size,
                photometric: "MONOCHROME2",
                samples: 1,
                allocated: 16,
                stored: 12,
                signed: false,
            });
            let make = &mut |_| self.slice(&mut volume, &stack, phantom.seed, number);
            let pixels = Pixels { vr: VR::OW, frames: 1, bytes_per_frame: u32::from(size).pow(2) * 2, make };
            sink(File::new(self.series.file_name(number), image, Some(pixels))?)?;
        }
        Ok(())
    }

    /// The MR Image module (PS3.3 C.8.3.1).
    fn acquisition(&self, image: &mut Elements) {
        image.put_all(&[
            (tags::PATIENT_POSITION, VR::CS, "HFS"),
            (tags::SCANNING_SEQUENCE, VR::CS, self.sequence),
            (tags::SEQUENCE_VARIANT, VR::CS, self.variant),
            (tags::SCAN_OPTIONS, VR::CS, ""),
            (tags::MR_ACQUISITION_TYPE, VR::CS, "2D"),
            (tags::REPETITION_TIME, VR::DS, self.repetition_ms),
            (tags::ECHO_TIME, VR::DS, self.echo_ms),
            (tags::ECHO_TRAIN_LENGTH, VR::IS, self.echoes),
            (tags::MAGNETIC_FIELD_STRENGTH, VR::DS, "1.5"),
            (tags::WINDOW_CENTER, VR::DS, self.window[0]),
            (tags::WINDOW_WIDTH, VR::DS, self.window[1]),
        ]);
        if let Some(inversion) = self.inversion_ms {
            image.put(tags::INVERSION_TIME, VR::DS, inversion);
        }
        if let Some(b_value) = self.diffusion {
            image.doubles(tags::DIFFUSION_B_VALUE, &[b_value]);
        }
    }

    /// The stored values of a slice: the magnitude of the signal, brighter near the coil, and of the noise in both channels.
    fn slice(&self, volume: &mut Volume, stack: &Stack, seed: u64, number: u16) -> Vec<u8> {
        let size = usize::from(stack.plane.size);
        let mut values = volume.slice(stack.position(number)[2]);
        let key = |channel| noise::key(&[seed, self.series.number.into(), number.into(), channel]);
        let (mut real, mut imaginary) = (vec![0.0; values.len()], vec![0.0; values.len()]);
        noise::fill(key(0), &mut real);
        noise::fill(key(1), &mut imaginary);
        for (place, line) in values.chunks_exact_mut(size).enumerate() {
            let grain = real[place * size..].iter().zip(&imaginary[place * size..]);
            let back = place as f32 / size as f32 - 0.5;
            for (place, (value, (real, imaginary))) in line.iter_mut().zip(grain).enumerate() {
                let left = place as f32 / size as f32 - 0.5;
                let coil = 0.95 + 0.5 * left * left + 0.3 * back * back + 0.12 * back;
                let (real, imaginary) = (*value * coil + real * self.noise, imaginary * self.noise);
                *value = (real * real + imaginary * imaginary).sqrt();
            }
        }
        lettering::write(&mut values, size, 1000.0);
        values.iter().flat_map(|value| ((value + 0.5).clamp(0.0, 4095.0) as u16).to_le_bytes()).collect()
    }
}

fn t1(tissue: Tissue) -> f64 {
    match tissue {
        Tissue::Air => 0.0,
        Tissue::Bone => 25.0,
        Tissue::Calcium => 180.0,
        Tissue::Csf => 110.0,
        Tissue::Dura => 260.0,
        Tissue::Fat => 880.0,
        Tissue::Grey => 405.0,
        Tissue::Lens => 330.0,
        Tissue::Lesion => 470.0,
        Tissue::Marrow => 420.0,
        Tissue::Muscle => 350.0,
        Tissue::Nuclei => 450.0,
        Tissue::Vitreous => 140.0,
        Tissue::White => 600.0,
        Tissue::Spot => 520.0,
    }
}

fn t2(tissue: Tissue) -> f64 {
    match tissue {
        Tissue::Air => 0.0,
        Tissue::Bone => 20.0,
        Tissue::Calcium => 120.0,
        Tissue::Csf => 900.0,
        Tissue::Dura => 150.0,
        Tissue::Fat => 560.0,
        Tissue::Grey => 440.0,
        Tissue::Lens => 150.0,
        Tissue::Lesion => 560.0,
        Tissue::Marrow => 260.0,
        Tissue::Muscle => 190.0,
        Tissue::Nuclei => 360.0,
        Tissue::Vitreous => 880.0,
        Tissue::White => 300.0,
        Tissue::Spot => 600.0,
    }
}

fn flair(tissue: Tissue) -> f64 {
    match tissue {
        Tissue::Air => 0.0,
        Tissue::Bone => 20.0,
        Tissue::Calcium => 130.0,
        Tissue::Csf => 60.0,
        Tissue::Dura => 200.0,
        Tissue::Fat => 520.0,
        Tissue::Grey => 430.0,
        Tissue::Lens => 160.0,
        Tissue::Lesion => 640.0,
        Tissue::Marrow => 230.0,
        Tissue::Muscle => 230.0,
        Tissue::Nuclei => 380.0,
        Tissue::Vitreous => 70.0,
        Tissue::White => 320.0,
        Tissue::Spot => 620.0,
    }
}

/// Fat is suppressed, and what moves freely is dark.
fn diffusion(tissue: Tissue) -> f64 {
    match tissue {
        Tissue::Air => 0.0,
        Tissue::Bone => 10.0,
        Tissue::Calcium => 60.0,
        Tissue::Csf => 30.0,
        Tissue::Dura => 90.0,
        Tissue::Fat => 35.0,
        Tissue::Grey => 250.0,
        Tissue::Lens => 40.0,
        Tissue::Lesion => 680.0,
        Tissue::Marrow => 30.0,
        Tissue::Muscle => 60.0,
        Tissue::Nuclei => 215.0,
        Tissue::Vitreous => 25.0,
        Tissue::White => 215.0,
        Tissue::Spot => 230.0,
    }
}
