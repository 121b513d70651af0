//! Geometry: where a frame lies in the patient, what follows what in a series, and how far one point is from another.
//!
//! All lengths are in millimetres, in the patient's own directions: to the left, to the back, to the head (PS3.3 C.7.6.2.1.1). What cannot be measured
//! is said with its reason: a wrong length is worse than none.

use std::cmp::Ordering;

use clavicle_dicom::facts::InstancePosition;
use dicom_dictionary_std::tags;

use crate::frames::Attributes;

/// How far two directions may differ and still be the same, as a cosine and a sine.
const ALIKE: f64 = 1e-3;

/// A point, or a direction, in the patient.
pub type Vector = [f64; 3];

/// The distance of the centres of pixels, in millimetres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spacing {
    /// From one row to the next.
    pub down: f64,
    /// From one column to the next.
    pub across: f64,
    /// Whether it holds at the detector, and in the patient only what lies on it: everything else is smaller than it measures.
    pub at_detector: bool,
}

/// A length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Length {
    /// In millimetres.
    pub mm: f64,
    /// As in [`Spacing::at_detector`].
    pub at_detector: bool,
}

/// Why a length cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotMeasurable {
    /// Neither Pixel Spacing nor Imager Pixel Spacing.
    #[error("the image does not say how large its pixels are")]
    NoSpacing,
    /// A spacing that is none.
    #[error("the image says that its pixels have no size")]
    Damaged,
    /// Ultrasound measures region by region.
    #[error("each region of an ultrasound image has its own scale, and these are not read here")]
    Regions,
    /// A photograph of a screen or of film.
    #[error("the image was captured from elsewhere, and does not say how large its pixels are")]
    Captured,
}

/// Where a frame lies.
#[derive(Clone, Debug, PartialEq)]
pub struct Plane {
    /// Image Position (Patient) (0020,0032): the centre of the first pixel.
    pub position: Vector,
    /// The direction of a row, as columns count up; of length 1.
    pub row: Vector,
    /// The direction of a column, as rows count up; of length 1.
    pub column: Vector,
    /// Frame of Reference UID (0020,0052): positions under another say nothing about one another.
    pub frame_of_reference: Option<String>,
}

impl Plane {
    /// That of a frame, counted from 0; none where the image does not say.
    #[must_use]
    pub fn of(attributes: Attributes<'_>, frame: u32) -> Option<Self> {
        let position = attributes.of_frame(frame, tags::PLANE_POSITION_SEQUENCE).numbers(tags::IMAGE_POSITION_PATIENT);
        let orientation =
            attributes.of_frame(frame, tags::PLANE_ORIENTATION_SEQUENCE).numbers(tags::IMAGE_ORIENTATION_PATIENT);
        let [x, y, z] = *position.as_slice() else { return None };
        let [a, b, c, d, e, f] = *orientation.as_slice() else { return None };
        let (row, column) = (unit([a, b, c])?, unit([d, e, f])?);
        // At right angles, or they span no grid.
        (dot(row, column).abs() < ALIKE).then(|| Self {
            position: [x, y, z],
            row,
            column,
            frame_of_reference: attributes.text(tags::FRAME_OF_REFERENCE_UID),
        })
    }

    /// The direction in which slices are stacked.
    #[must_use]
    pub fn normal(&self) -> Vector {
        let ([a, b, c], [d, e, f]) = (self.row, self.column);
        [b * f - c * e, c * d - a * f, a * e - b * d]
    }

    /// How far along its own normal it lies.
    #[must_use]
    pub fn depth(&self) -> f64 {
        dot(self.position, self.normal())
    }

    /// Whether positions in both mean the same.
    #[must_use]
    pub fn shares_frame_of_reference(&self, other: &Self) -> bool {
        self.frame_of_reference.is_some() && self.frame_of_reference == other.frame_of_reference
    }

    /// Whether both face the same way.
    #[must_use]
    pub fn is_parallel_to(&self, other: &Self) -> bool {
        1.0 - dot(self.normal(), other.normal()) < ALIKE
    }

    /// Where in the patient a point of the image is, told as column and row, of which whole numbers are centres of pixels.
    #[must_use]
    pub fn point(&self, column: f64, row: f64, spacing: &Spacing) -> Vector {
        let along = |axis: usize| {
            self.position[axis] + self.row[axis] * column * spacing.across + self.column[axis] * row * spacing.down
        };
        [along(0), along(1), along(2)]
    }
}

impl Spacing {
    /// That of a frame, counted from 0: Pixel Spacing (0028,0030), else Imager Pixel Spacing (0018,1164), which holds at the detector.
    /// Pixel Spacing that only repeats the latter, and is not said to be calibrated, is taken for it (PS3.3 10.7.1.3).
    ///
    /// # Errors
    /// [`NotMeasurable`].
    pub fn of(attributes: Attributes<'_>, frame: u32) -> Result<Self, NotMeasurable> {
        let measures = attributes.of_frame(frame, tags::PIXEL_MEASURES_SEQUENCE);
        let (patient, imager) = (measures.numbers(tags::PIXEL_SPACING), attributes.numbers(tags::IMAGER_PIXEL_SPACING));
        let is_projection = matches!(
            attributes.text(tags::MODALITY).as_deref(),
            Some("CR" | "DX" | "MG" | "IO" | "PX" | "RF" | "XA" | "RG" | "RTIMAGE")
        );
        let calibrated = attributes.text(tags::PIXEL_SPACING_CALIBRATION_TYPE).is_some();
        let (pair, at_detector) = match (patient.is_empty(), imager.is_empty()) {
            (false, _) => {
                let repeats = is_projection && !calibrated && (imager.is_empty() || imager == patient);
                (patient, repeats)
            }
            (true, false) => (imager, true),
            (true, true) if attributes.items(tags::SEQUENCE_OF_ULTRASOUND_REGIONS).len() > 0 => {
                return Err(NotMeasurable::Regions);
            }
            (true, true) if attributes.text(tags::CONVERSION_TYPE).is_some() => return Err(NotMeasurable::Captured),
            (true, true) => return Err(NotMeasurable::NoSpacing),
        };
        match pair.as_slice() {
            [down, across] if *down > 0.0 && *across > 0.0 => Ok(Self { down: *down, across: *across, at_detector }),
            _ => Err(NotMeasurable::Damaged),
        }
    }

    /// From one point of the image to another, each told as column and row.
    #[must_use]
    pub fn between(&self, one: (f64, f64), other: (f64, f64)) -> Length {
        let mm = ((other.0 - one.0) * self.across).hypot((other.1 - one.1) * self.down);
        Length { mm, at_detector: self.at_detector }
    }
}

/// A slice of a series, as far as its place in it goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Where it lies, if it says.
    pub plane: Option<Plane>,
    /// Instance Number (0020,0013).
    pub instance_number: Option<i32>,
}

impl Slice {
    /// That of an instance's first frame.
    #[must_use]
    pub fn of(attributes: Attributes<'_>) -> Self {
        let instance_number = attributes.text(tags::INSTANCE_NUMBER).and_then(|text| text.parse().ok());
        Self { plane: Plane::of(attributes, 0), instance_number }
    }
}

impl From<&InstancePosition> for Slice {
    /// As far as intake remembers: all of one series are taken to share their frame of reference.
    fn from(place: &InstancePosition) -> Self {
        let plane = place.image_position_nm.zip(place.image_orientation).and_then(|(position, orientation)| {
            let [a, b, c, d, e, f] = orientation.map(|billionths| billionths as f64 / 1e9);
            let (row, column) = (unit([a, b, c])?, unit([d, e, f])?);
            let position = position.map(|nanometres| nanometres as f64 / 1e6);
            (dot(row, column).abs() < ALIKE).then_some(Plane { position, row, column, frame_of_reference: None })
        });
        Self { plane, instance_number: place.instance_number }
    }
}

/// What the order of a series follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The place along the normal that all slices share, and the number where two lie in the same.
    Position,
    /// Instance Number, since the slices do not lie one behind the other; those without one come last, as they came.
    InstanceNumber,
}

/// In which order slices are looked through: their places in `slices`, and what that follows.
#[must_use]
pub fn order(slices: &[Slice]) -> (Vec<usize>, Order) {
    let mut places: Vec<usize> = (0..slices.len()).collect();
    let by_number = |one: &usize, other: &usize| {
        let number = |place: &usize| slices[*place].instance_number;
        // None comes last.
        match (number(one), number(other)) {
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    };
    let planes: Option<Vec<&Plane>> = slices.iter().map(|slice| slice.plane.as_ref()).collect();
    let stack = planes.filter(|planes| {
        planes
            .windows(2)
            .all(|two| two[0].frame_of_reference == two[1].frame_of_reference && planes[0].is_parallel_to(two[1]))
            && planes.iter().any(|plane| (plane.depth() - planes[0].depth()).abs() > ALIKE)
    });
    if let Some(planes) = stack {
        let normal = planes[0].normal();
        let depths: Vec<f64> = planes.iter().map(|plane| dot(plane.position, normal)).collect();
        places.sort_by(|one, other| depths[*one].total_cmp(&depths[*other]).then_with(|| by_number(one, other)));
        return (places, Order::Position);
    }
    places.sort_by(by_number);
    (places, Order::InstanceNumber)
}

fn dot([a, b, c]: Vector, [d, e, f]: Vector) -> f64 {
    a * d + b * e + c * f
}

/// The same direction, of length 1.
fn unit(vector: Vector) -> Option<Vector> {
    let length = dot(vector, vector).sqrt();
    // PS3.3 wants 1; decimal strings round.
    ((length - 1.0).abs() < 0.01).then(|| vector.map(|along| along / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(z: f64, number: i32, reference: &str) -> Slice {
        let plane = Plane {
            position: [-100.0, -100.0, z],
            row: [1.0, 0.0, 0.0],
            column: [0.0, 1.0, 0.0],
            frame_of_reference: Some(reference.to_owned()),
        };
        Slice { plane: Some(plane), instance_number: Some(number) }
    }

    #[test]
    fn slices_follow_the_normal() {
        let slices = [slice(10.0, 1, "1.2"), slice(-5.0, 2, "1.2"), slice(2.5, 3, "1.2"), slice(2.5, 0, "1.2")];
        assert_eq!(order(&slices), (vec![1, 3, 2, 0], Order::Position));
    }

    #[test]
    fn without_a_common_normal_the_number_counts() {
        let mut slices = vec![slice(10.0, 3, "1.2"), slice(-5.0, 2, "1.2"), slice(2.5, 1, "1.2")];
        slices[1].plane.as_mut().unwrap().column = [0.0, 0.0, -1.0];
        assert_eq!(order(&slices), (vec![2, 1, 0], Order::InstanceNumber));
        let apart = [slice(10.0, 3, "1.2"), slice(-5.0, 2, "1.3")];
        assert_eq!(order(&apart), (vec![1, 0], Order::InstanceNumber));
        let unnumbered = [Slice { plane: None, instance_number: None }, slice(1.0, 7, "1.2")];
        assert_eq!(order(&unnumbered), (vec![1, 0], Order::InstanceNumber));
        assert_eq!(order(&[]), (vec![], Order::InstanceNumber));
    }

    #[test]
    fn what_intake_remembers_is_enough_for_an_order() {
        let at = |z: i64, number| InstancePosition {
            image_position_nm: Some([0, 0, z * 1_000_000]),
            image_orientation: Some([1_000_000_000, 0, 0, 0, 1_000_000_000, 0]),
            instance_number: Some(number),
            ..InstancePosition::default()
        };
        let slices = [at(10, 1), at(-5, 2), at(3, 3)].map(|place| Slice::from(&place));
        assert_eq!(order(&slices), (vec![1, 2, 0], Order::Position));
        assert_eq!(Slice::from(&InstancePosition::default()), Slice { plane: None, instance_number: None });
    }

    #[test]
    fn points_and_lengths_are_in_millimetres() {
        let spacing = Spacing { down: 2.0, across: 0.5, at_detector: false };
        assert_eq!(spacing.between((0.0, 0.0), (6.0, 2.0)).mm, 5.0);
        let plane = slice(7.0, 1, "1.2").plane.unwrap();
        assert_eq!(plane.point(2.0, 3.0, &spacing), [-99.0, -94.0, 7.0]);
        assert_eq!((plane.normal(), plane.depth()), ([0.0, 0.0, 1.0], 7.0));
        assert!(!plane.shares_frame_of_reference(&Plane { frame_of_reference: None, ..plane.clone() }));
    }
}
