//! What an instance is, by its SOP class, where it is no image.

use std::fmt;

use dicom_dictionary_std::uids;

/// What an instance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// An image, or something that has frames like one.
    Image,
    /// A structured report.
    Report,
    /// A selection of other instances.
    KeyObjectSelection,
    /// A document in another format.
    Document,
    /// A waveform, such as an electrocardiogram.
    Waveform,
    /// How to show images that are elsewhere.
    PresentationState,
    /// Contours, plans and records of radiotherapy.
    Radiotherapy,
    /// How images lie to one another.
    Registration,
    /// Spectra, tracks, surfaces and whatever else has its own form.
    Measurements,
    /// What a device keeps for itself.
    RawData,
    /// None that is known here.
    Unknown,
}

impl Kind {
    /// What instances of a SOP class are.
    #[must_use]
    pub fn of(sop_class_uid: &str) -> Self {
        let uid = sop_class_uid.trim_matches([' ', '\0']);
        // Numbers of the storage classes (PS3.4 Table B.5-1), behind the common beginning.
        let Some(number) = uid.strip_prefix("1.2.840.10008.5.1.4.1.1.") else { return Self::Unknown };
        let family = number.split('.').next().unwrap_or_default();
        match (uid, family) {
            (uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE, _) => Self::KeyObjectSelection,
            (uids::RT_DOSE_STORAGE | uids::RT_IMAGE_STORAGE, _) => Self::Image,
            (uids::SEGMENTATION_STORAGE, _) => Self::Image,
            (uids::RAW_DATA_STORAGE, _) => Self::RawData,
            (_, "66") => match number {
                "66.1" | "66.2" | "66.3" => Self::Registration,
                _ => Self::Measurements,
            },
            (uids::MR_SPECTROSCOPY_STORAGE | uids::PARAMETRIC_MAP_STORAGE, _) => {
                if uid == uids::PARAMETRIC_MAP_STORAGE { Self::Image } else { Self::Measurements }
            }
            (_, "88" | "40") => Self::Report,
            (_, "104") => Self::Document,
            (_, "9") => Self::Waveform,
            (_, "11") => Self::PresentationState,
            (_, "481") => Self::Radiotherapy,
            (_, "67" | "68" | "78" | "79" | "131" | "200" | "201") => Self::Measurements,
            (_, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "12" | "13" | "14" | "20" | "30" | "77" | "128" | "130") => {
                Self::Image
            }
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "an image",
            Self::Report => "a report",
            Self::KeyObjectSelection => "a selection of other images",
            Self::Document => "a document",
            Self::Waveform => "a waveform",
            Self::PresentationState => "a way of showing other images",
            Self::Radiotherapy => "a part of a radiotherapy plan",
            Self::Registration => "a registration of other images",
            Self::Measurements => "a set of measurements",
            Self::RawData => "raw data of a device",
            Self::Unknown => "something that is not known here",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_image_is_named() {
        for (uid, kind) in [
            (uids::CT_IMAGE_STORAGE, Kind::Image),
            (uids::ENHANCED_CT_IMAGE_STORAGE, Kind::Image),
            (uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE, Kind::Image),
            (uids::SECONDARY_CAPTURE_IMAGE_STORAGE, Kind::Image),
            (uids::BASIC_TEXT_SR_STORAGE, Kind::Report),
            (uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE, Kind::KeyObjectSelection),
            (uids::ENCAPSULATED_PDF_STORAGE, Kind::Document),
            (uids::TWELVE_LEAD_ECG_WAVEFORM_STORAGE, Kind::Waveform),
            (uids::GRAYSCALE_SOFTCOPY_PRESENTATION_STATE_STORAGE, Kind::PresentationState),
            (uids::RT_STRUCTURE_SET_STORAGE, Kind::Radiotherapy),
            (uids::RT_DOSE_STORAGE, Kind::Image),
            (uids::SEGMENTATION_STORAGE, Kind::Image),
            (uids::SPATIAL_REGISTRATION_STORAGE, Kind::Registration),
            ("1.2.3", Kind::Unknown),
        ] {
            assert_eq!(Kind::of(uid), kind, "{uid}");
        }
    }
}
