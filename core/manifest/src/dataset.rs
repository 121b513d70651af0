//! What a data set says, whatever it is written in; and which part of it differs.
//!
//! How the digests are computed is the business of those who read DICOM (`clavicle-dicom`, `content`); here they are compared.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::digest::DatasetDigest;

/// The parts of a data set that a comparison tells apart: those that are corrected in practice, and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Patient's Name (0010,0010).
    PatientName,
    /// Patient ID (0010,0020), its issuer, and other ids of the patient.
    PatientId,
    /// Everything else about the patient: birth date, sex, weight (PS3.3 C.7.1.1, C.7.2.2).
    Patient,
    /// What all series of the study share (PS3.3 C.7.2.1).
    Study,
    /// What all instances of the series share (PS3.3 C.7.3.1).
    Series,
    /// Attributes in odd groups, of manufacturers.
    Private,
    /// Everything else.
    Instance,
}

impl Part {
    /// All of them, in order.
    pub const ALL: [Self; 7] =
        [Self::PatientName, Self::PatientId, Self::Patient, Self::Study, Self::Series, Self::Private, Self::Instance];

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PatientName => "patient name",
            Self::PatientId => "patient id",
            Self::Patient => "patient's other attributes",
            Self::Study => "study attributes",
            Self::Series => "series attributes",
            Self::Private => "private attributes",
            Self::Instance => "instance attributes",
        })
    }
}

/// Some parts of a data set. `Display` is a list as in a sentence: "patient name and study attributes".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Parts(u8);

impl Parts {
    /// The parts, in order.
    pub fn iter(self) -> impl Iterator<Item = Part> {
        Part::ALL.into_iter().filter(move |part| self.contains(*part))
    }

    /// Whether `part` is among them.
    #[must_use]
    pub const fn contains(self, part: Part) -> bool {
        self.0 & part.bit() != 0
    }

    /// How a sentence about them goes on.
    pub(crate) fn differ(self) -> &'static str {
        let is_one = self.0 == Part::PatientName.bit() || self.0 == Part::PatientId.bit();
        if is_one { "differs" } else { "differ" }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl FromIterator<Part> for Parts {
    fn from_iter<I: IntoIterator<Item = Part>>(parts: I) -> Self {
        Self(parts.into_iter().fold(0, |bits, part| bits | part.bit()))
    }
}

impl fmt::Display for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.iter().peekable();
        let mut is_first = true;
        while let Some(part) = rest.next() {
            f.write_str(match (is_first, rest.peek()) {
                (true, _) => "",
                (false, Some(_)) => ", ",
                (false, None) => " and ",
            })?;
            write!(f, "{part}")?;
            is_first = false;
        }
        Ok(())
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The data set of an instance without its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dataset {
    /// Of all of it, pixels included: who finds the same has the same data set.
    pub digest: DatasetDigest,
    /// Where it differs from another.
    pub marks: Marks,
}

/// Four bytes for each [`Part`], by which a difference is named. They prove nothing: that is what the digest is for.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Marks([[u8; 4]; Part::ALL.len()]);

impl Marks {
    /// The marks of the parts, in the order of [`Part::ALL`].
    #[must_use]
    pub const fn from_bytes(marks: [[u8; 4]; Part::ALL.len()]) -> Self {
        Self(marks)
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Marks(…)")
    }
}

impl Dataset {
    /// The parts in which the two differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Parts {
        let marks = self.marks.0.iter().zip(&other.marks.0);
        Part::ALL.into_iter().zip(marks).filter(|(_, (one, other))| one != other).map(|(part, _)| part).collect()
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    #[test]
    fn parts_are_listed_as_in_a_sentence() {
        let list = |parts: &[Part]| parts.iter().copied().collect::<Parts>().to_string();
        assert_eq!(list(&[]), "");
        assert_eq!(list(&[Part::Study]), "study attributes");
        assert_eq!(list(&[Part::Private, Part::PatientName]), "patient name and private attributes");
        assert_eq!(list(&Part::ALL).matches(',').count(), 5);
    }
}
