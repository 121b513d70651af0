//! A phantom: a small study of a patient who does not exist, to try the product with.
//!
//! It stands where a scanner would, before intake: DICOM files (PS3.10) of a localizer and of axial CT slices of a chest, with a
//! spine, a heart and two clavicles. Everything in them follows from the fields of [`Phantom`]: neither a clock nor chance
//! has a part in it, so that the same fields give the same bytes. It promises nothing about anatomy.
//!
//! ```no_run
//! use clavicle_imaging::phantom::Phantom;
//!
//! let files = Phantom { seed: 7, ..Phantom::default() }.write("phantom".as_ref())?;
//! println!("{} files", files.len());
//! # Ok::<(), clavicle_imaging::phantom::PhantomError>(())
//! ```

mod body;

use std::path::{Path, PathBuf};
use std::{fs, io};

use clavicle_ledger::encoding::Text;
use clavicle_manifest::{Date, StoredDigest, Uid};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject, WithMetaError, WriteError};

use self::body::Body;

/// Implementation Class UID (0002,0012) of files that this program encodes.
pub const IMPLEMENTATION_CLASS_UID: &str = "2.25.151342406766523349440324309925944196664";
/// Implementation Version Name (0002,0013), at most 16 characters.
pub const IMPLEMENTATION_VERSION_NAME: &str = concat!("CLAVICLE ", env!("CARGO_PKG_VERSION"));
const _: () = assert!(IMPLEMENTATION_VERSION_NAME.len() <= 16);

/// Most slices.
pub const MAX_SLICES: u16 = 512;
/// Fewest pixels along a side.
pub const MIN_SIZE: u16 = 16;
/// Most pixels along a side.
pub const MAX_SIZE: u16 = 1024;

/// Along a side of the square that a slice shows, and across the localizer, in millimetres.
const FIELD: f64 = 400.0;
/// Where the slices begin, above the clavicles, and how far down they go.
const TOP: f64 = 115.0;
const HEIGHT: f64 = 240.0;
/// Where the localizer begins; it is four fifths as high as it is wide.
const LOCALIZER_TOP: f64 = 160.0;
/// From where to where in the body, and in which steps, the localizer adds up what the rays meet.
const RAY: (f64, u16, f64) = (-126.0, 84, 3.0);
/// The stored value of 0 Hounsfield units is 1024, as most scanners have it.
const INTERCEPT: f64 = -1024.0;

/// A study of a made patient: one localizer and a series of axial slices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phantom {
    /// Patient's Name (0010,0010), components separated by `^`.
    pub patient_name: Text<64>,
    /// Patient ID (0010,0020).
    pub patient_id: Text<64>,
    /// Patient's Birth Date (0010,0030).
    pub birth_date: Date,
    /// Accession Number (0008,0050).
    pub accession_number: Text<16>,
    /// Study Date (0008,0020), and the date of everything in the study.
    pub study_date: Date,
    /// Study Description (0008,1030).
    pub description: Text<64>,
    /// How many axial slices: at least one, at most [`MAX_SLICES`]. They share the same height, so that more of them are thinner.
    pub slices: u16,
    /// Pixels along a side of a slice, from [`MIN_SIZE`] to [`MAX_SIZE`]. A slice takes twice its square in bytes.
    pub size: u16,
    /// What all UIDs are made of, and they of nothing else: two studies that are not the same need two seeds.
    pub seed: u64,
}

impl Default for Phantom {
    fn default() -> Self {
        let date = |year, month, day| Date::new(year, month, day).expect("it is in the calendar");
        Self {
            patient_name: text("Phantom^Ana"),
            patient_id: text("PHANTOM-1"),
            birth_date: date(1970, 1, 1),
            accession_number: text("PHANTOM-1"),
            study_date: date(2026, 5, 4),
            description: text("CT chest, synthetic phantom"),
            slices: 24,
            size: 256,
            seed: 1,
        }
    }
}

/// Why a phantom was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhantomError {
    /// None, or more than [`MAX_SLICES`].
    #[error("a phantom has between 1 and {MAX_SLICES} slices, and not {0}")]
    Slices(u16),
    /// Below [`MIN_SIZE`] or above [`MAX_SIZE`].
    #[error("a slice has between {MIN_SIZE} and {MAX_SIZE} pixels along a side, and not {0}")]
    Size(u16),
    /// In DICOM a backslash separates values, and none of the texts has several.
    #[error("the texts of a phantom may hold no backslash")]
    Backslash,
    /// The file meta information was not accepted.
    #[error("the file meta information cannot be made")]
    Meta(#[source] Box<WithMetaError>),
    /// An element was not accepted.
    #[error("the data set cannot be encoded")]
    Encode(#[source] Box<WriteError>),
    /// A folder or a file cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl Phantom {
    /// Writes the files into `folder`, which is made if it is not there, and says where they are: the localizer first, then the
    /// slices from the head down. A file that has one of these names already is written over; others are
    /// left alone. After an error, those that were written before stay.
    ///
    /// # Errors
    /// [`PhantomError`].
    pub fn write(&self, folder: &Path) -> Result<Vec<PathBuf>, PhantomError> {
        if !(1..=MAX_SLICES).contains(&self.slices) {
            return Err(PhantomError::Slices(self.slices));
        }
        if !(MIN_SIZE..=MAX_SIZE).contains(&self.size) {
            return Err(PhantomError::Size(self.size));
        }
        let texts = [self.patient_name.as_str(), self.patient_id.as_str(), self.description.as_str()];
        if texts.into_iter().chain([self.accession_number.as_str()]).any(|text| text.contains('\\')) {
            return Err(PhantomError::Backslash);
        }
        let mut files = vec![self.write_one(folder, &self.localizer())?];
        let body = Body::new(1.25 * FIELD / f64::from(self.size));
        for number in 1..=self.slices {
            files.push(self.write_one(folder, &self.slice(&body, number))?);
        }
        Ok(files)
    }

    fn write_one(&self, folder: &Path, image: &Image) -> Result<PathBuf, PhantomError> {
        let folder = folder.join(image.series.folder);
        let path = folder.join(format!("{:04}.dcm", image.number));
        let bytes = self.encode(image)?;
        fs::create_dir_all(&folder).map_err(|source| PhantomError::Write { path: folder, source })?;
        match fs::write(&path, bytes) {
            Ok(()) => Ok(path),
            Err(source) => Err(PhantomError::Write { path, source }),
        }
    }

    /// An axial slice, seen from the feet.
    fn slice(&self, body: &Body, number: u16) -> Image {
        let thickness = HEIGHT / f64::from(self.slices);
        let spacing = FIELD / f64::from(self.size);
        let z = TOP - (f64::from(number) - 0.5) * thickness;
        let along = centres(-FIELD / 2.0, self.size, spacing);
        let pixels = along.iter().flat_map(|y| body.line(&along, *y, z)).map(stored).collect();
        Image {
            series: &AXIAL,
            number,
            rows: self.size,
            columns: self.size,
            spacing,
            thickness,
            position: [along[0], along[0], z],
            pixels,
        }
    }

    /// The body seen from the front, as rays through it would add it up, at half the resolution.
    fn localizer(&self) -> Image {
        let columns = self.size.div_ceil(2);
        let rows = columns * 4 / 5;
        let spacing = FIELD / f64::from(columns);
        let body = Body::new(1.25 * spacing);
        let (front, steps, step) = RAY;
        let (across, depths) = (centres(-FIELD / 2.0, columns, spacing), centres(front, steps, step));
        // Water of this depth, in millimetres, is shown as water.
        let depth_of_water = 200.0;
        let mut pixels = Vec::new();
        for row in 0..rows {
            let z = LOCALIZER_TOP - (f64::from(row) + 0.5) * spacing;
            let mut met = vec![0.0; across.len()];
            for y in &depths {
                for (sum, hounsfield) in met.iter_mut().zip(body.line(&across, *y, z)) {
                    *sum += (hounsfield / 1000.0 + 1.0) * step;
                }
            }
            pixels.extend(met.into_iter().map(|met| stored((met / depth_of_water - 1.0) * 1000.0)));
        }
        let position = [across[0], 0.0, LOCALIZER_TOP - spacing / 2.0];
        Image { series: &LOCALIZER, number: 1, rows, columns, spacing, thickness: FIELD, position, pixels }
    }

    /// A UID made of a UUID (PS3.5 B.2), and that of the seed and of what it names.
    fn uid(&self, what: &str) -> Uid {
        let digest = StoredDigest::of(format!("clavicle phantom {} {what}", self.seed).as_bytes());
        let mut uuid = [0; 16];
        uuid.copy_from_slice(&digest.as_bytes()[..16]);
        // RFC 9562 §5.8: version 8 is for those who make their own.
        uuid[6] = uuid[6] & 0x0f | 0x80;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        Uid::new(&format!("2.25.{}", u128::from_be_bytes(uuid))).expect("it has 44 characters at most")
    }

    /// The file: the modules of the CT Image IOD (PS3.3 A.3), in the order of their tags.
    fn encode(&self, image: &Image) -> Result<Vec<u8>, PhantomError> {
        let Image { series, number, rows, columns, spacing, thickness, position, pixels } = image;
        let series_uid = self.uid(&format!("series {}", series.number));
        let instance_uid = self.uid(&format!("instance {} of series {}", number, series.number));
        let (birth_date, study_date) = (day(self.birth_date), day(self.study_date));
        let mut object = InMemDicomObject::new_empty();
        let mut line = |tag: Tag, vr: VR, value: &str| {
            object.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
        };
        line(tags::SPECIFIC_CHARACTER_SET, VR::CS, "ISO_IR 192");
        line(tags::IMAGE_TYPE, VR::CS, series.image_type);
        line(tags::SOP_CLASS_UID, VR::UI, uids::CT_IMAGE_STORAGE);
        line(tags::SOP_INSTANCE_UID, VR::UI, instance_uid.as_str());
        for date in [tags::STUDY_DATE, tags::SERIES_DATE, tags::ACQUISITION_DATE, tags::CONTENT_DATE] {
            line(date, VR::DA, &study_date);
        }
        // PS3.3 wants them there, and lets them be empty: nobody was in a scanner at any time.
        line(tags::STUDY_TIME, VR::TM, "");
        line(tags::CONTENT_TIME, VR::TM, "");
        line(tags::ACCESSION_NUMBER, VR::SH, self.accession_number.as_str());
        line(tags::MODALITY, VR::CS, "CT");
        line(tags::MANUFACTURER, VR::LO, "Clavicle");
        line(tags::REFERRING_PHYSICIAN_NAME, VR::PN, "");
        line(tags::STUDY_DESCRIPTION, VR::LO, self.description.as_str());
        line(tags::SERIES_DESCRIPTION, VR::LO, series.description);
        line(tags::MANUFACTURER_MODEL_NAME, VR::LO, "Synthetic phantom");
        line(tags::PATIENT_NAME, VR::PN, self.patient_name.as_str());
        line(tags::PATIENT_ID, VR::LO, self.patient_id.as_str());
        line(tags::PATIENT_BIRTH_DATE, VR::DA, &birth_date);
        line(tags::PATIENT_SEX, VR::CS, "O");
        line(tags::BODY_PART_EXAMINED, VR::CS, "CHEST");
        line(tags::SLICE_THICKNESS, VR::DS, &decimal(*thickness));
        line(tags::KVP, VR::DS, "");
        line(tags::SOFTWARE_VERSIONS, VR::LO, IMPLEMENTATION_VERSION_NAME);
        line(tags::PATIENT_POSITION, VR::CS, "HFS");
        line(tags::STUDY_INSTANCE_UID, VR::UI, self.uid("study").as_str());
        line(tags::SERIES_INSTANCE_UID, VR::UI, series_uid.as_str());
        line(tags::STUDY_ID, VR::SH, "1");
        line(tags::SERIES_NUMBER, VR::IS, &series.number.to_string());
        line(tags::ACQUISITION_NUMBER, VR::IS, &series.number.to_string());
        line(tags::INSTANCE_NUMBER, VR::IS, &number.to_string());
        line(tags::IMAGE_POSITION_PATIENT, VR::DS, &position.map(decimal).join("\\"));
        line(tags::IMAGE_ORIENTATION_PATIENT, VR::DS, series.orientation);
        line(tags::FRAME_OF_REFERENCE_UID, VR::UI, self.uid("frame of reference").as_str());
        line(tags::POSITION_REFERENCE_INDICATOR, VR::LO, "");
        line(tags::IMAGE_COMMENTS, VR::LT, "Synthetic phantom: not an image of a person");
        line(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        line(tags::PIXEL_SPACING, VR::DS, &[decimal(*spacing), decimal(*spacing)].join("\\"));
        // It also means: a phantom image.
        line(tags::QUALITY_CONTROL_IMAGE, VR::CS, "YES");
        line(tags::BURNED_IN_ANNOTATION, VR::CS, "NO");
        line(tags::WINDOW_CENTER, VR::DS, series.window[0]);
        line(tags::WINDOW_WIDTH, VR::DS, series.window[1]);
        line(tags::RESCALE_INTERCEPT, VR::DS, &decimal(INTERCEPT));
        line(tags::RESCALE_SLOPE, VR::DS, "1");
        line(tags::RESCALE_TYPE, VR::LO, "HU");
        line(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
        let numbers = [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, *rows),
            (tags::COLUMNS, *columns),
            (tags::BITS_ALLOCATED, 16),
            (tags::BITS_STORED, 16),
            (tags::HIGH_BIT, 15),
            (tags::PIXEL_REPRESENTATION, 1),
        ];
        for (tag, value) in numbers {
            object.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
        }
        // The bit pattern of signed numbers, in words.
        let words = pixels.iter().map(|value| value.cast_unsigned()).collect();
        object.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words)));
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
            .implementation_version_name(IMPLEMENTATION_VERSION_NAME);
        let file = object.with_meta(meta).map_err(|error| PhantomError::Meta(Box::new(error)))?;
        let mut bytes = Vec::new();
        file.write_all(&mut bytes).map_err(|error| PhantomError::Encode(Box::new(error)))?;
        Ok(bytes)
    }
}

/// What the images of a series have in common.
struct Series {
    folder: &'static str,
    number: u16,
    description: &'static str,
    image_type: &'static str,
    orientation: &'static str,
    /// Centre and width.
    window: [&'static str; 2],
}

const LOCALIZER: Series = Series {
    folder: "1-localizer",
    number: 1,
    description: "Localizer",
    image_type: "ORIGINAL\\PRIMARY\\LOCALIZER",
    orientation: "1\\0\\0\\0\\0\\-1",
    window: ["-250", "1300"],
};

const AXIAL: Series = Series {
    folder: "2-axial",
    number: 2,
    description: "Chest, axial",
    image_type: "ORIGINAL\\PRIMARY\\AXIAL",
    orientation: "1\\0\\0\\0\\1\\0",
    window: ["40", "400"],
};

/// An image, ready to be encoded.
struct Image {
    series: &'static Series,
    number: u16,
    rows: u16,
    columns: u16,
    /// Between the centres of pixels, in millimetres.
    spacing: f64,
    thickness: f64,
    /// The centre of the first pixel.
    position: [f64; 3],
    pixels: Vec<i16>,
}

/// The centres of `count` steps from `start` on.
fn centres(start: f64, count: u16, step: f64) -> Vec<f64> {
    (0..count).map(|place| start + (f64::from(place) + 0.5) * step).collect()
}

/// Hounsfield units as they are stored, cut off where a scanner of 12 bits ends.
fn stored(hounsfield: f64) -> i16 {
    (hounsfield - INTERCEPT).round().clamp(0.0, 4095.0) as i16
}

/// DS (PS3.5 §6.2): at most 16 characters.
fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// DA (PS3.5 §6.2).
fn day(date: Date) -> String {
    let (year, month, day) = date.parts();
    format!("{year:04}{month:02}{day:02}")
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("it is short, and shows")
}
