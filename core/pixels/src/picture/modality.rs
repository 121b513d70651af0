//! The modality transform: from stored values to what a modality measures (PS3.3 C.11.1).

use dicom_dictionary_std::tags;

use super::lut::Lut;
use crate::frames::Attributes;

/// From stored values to Hounsfield units, optical densities, becquerels …
#[derive(Clone, Debug, PartialEq)]
pub enum Modality {
    /// A straight line: slope and intercept.
    Rescale {
        /// Rescale Slope (0028,1053).
        slope: f64,
        /// Rescale Intercept (0028,1052).
        intercept: f64,
    },
    /// A table (0028,3000).
    Lut(Lut),
}

impl Modality {
    /// That of a frame, counted from 0. Where there is none, values stay as they are.
    #[must_use]
    pub fn of(attributes: Attributes<'_>, frame: u32, signed: bool) -> Self {
        if let Some(lut) = attributes.item(tags::MODALITY_LUT_SEQUENCE).and_then(|item| Lut::of(item, signed)) {
            return Self::Lut(lut);
        }
        let group = attributes.of_frame(frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
        let slope = group.number(tags::RESCALE_SLOPE).filter(|slope| *slope != 0.0);
        let intercept = group.number(tags::RESCALE_INTERCEPT);
        Self::Rescale { slope: slope.unwrap_or(1.0), intercept: intercept.unwrap_or(0.0) }
    }

    /// What a stored value stands for.
    #[must_use]
    pub fn apply(&self, stored: f64) -> f64 {
        match self {
            Self::Rescale { slope, intercept } => stored * slope + intercept,
            Self::Lut(lut) => f64::from(lut.entry(stored)),
        }
    }

    /// Between which values it gives numbers of a stored range.
    pub(super) fn range(&self, least: f64, most: f64) -> (f64, f64) {
        match self {
            Self::Rescale { .. } => {
                let (one, other) = (self.apply(least), self.apply(most));
                (one.min(other), one.max(other))
            }
            Self::Lut(lut) => (0.0, lut.most()),
        }
    }
}

/// What the values are in: Rescale Type (0028,1054), or Units (0054,1001) of nuclear medicine; HU in CT where nothing else is said.
#[must_use]
pub fn unit(attributes: Attributes<'_>, frame: u32) -> Option<String> {
    let group = attributes.of_frame(frame, tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE);
    let said = group.text(tags::RESCALE_TYPE).or_else(|| attributes.text(tags::UNITS));
    let said = said.filter(|unit| unit != "US");
    said.or_else(|| (attributes.text(tags::MODALITY)? == "CT").then(|| "HU".to_owned()))
}
