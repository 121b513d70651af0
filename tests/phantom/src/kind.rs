//! Which phantoms there are.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What a phantom is made of: the modality, and the part of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Radiographs of a chest (Computed Radiography): from the back, then from the right side.
    ChestCr,
    /// A CT of a chest: a localizer and axial slices.
    ChestCt,
    /// A CT of a head: axial slices with the noise of a scanner, as many and as fine as wanted.
    HeadCt,
    /// The same as one multi-frame instance (Enhanced CT), of up to 4 GiB.
    HeadCtEnhanced,
    /// An MR examination of the same head: T1, T2, FLAIR and diffusion, each a series, and a report (Basic Text SR).
    HeadMr,
    /// A loop of a beating heart with its flow in colour (Ultrasound Multi-frame).
    HeartUs,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::ChestCr, Self::ChestCt, Self::HeadCt, Self::HeadCtEnhanced, Self::HeadMr, Self::HeartUs];

    /// How many slices, frames or views it may have.
    #[must_use]
    pub const fn slices(self) -> RangeInclusive<u16> {
        match self {
            Self::ChestCr => 1..=2,
            Self::ChestCt | Self::HeadMr => 1..=512,
            Self::HeadCt => 1..=4096,
            Self::HeadCtEnhanced => 1..=8192,
            Self::HeartUs => 2..=1024,
        }
    }

    /// How many pixels along a side it may have.
    #[must_use]
    pub const fn sizes(self) -> RangeInclusive<u16> {
        match self {
            Self::ChestCr => 64..=2048,
            Self::ChestCt | Self::HeadCt | Self::HeadCtEnhanced => 16..=1024,
            Self::HeadMr => 16..=512,
            Self::HeartUs => 64..=1024,
        }
    }

    /// Slices and size where nothing else is asked for.
    pub(super) const fn usual(self) -> (u16, u16) {
        match self {
            Self::ChestCr => (2, 512),
            Self::ChestCt => (24, 256),
            Self::HeadCt | Self::HeadCtEnhanced => (36, 256),
            Self::HeadMr => (24, 256),
            Self::HeartUs => (30, 320),
        }
    }

    /// Study ID (0020,0010): studies of one patient must not share it.
    pub(super) const fn study_id(self) -> u8 {
        match self {
            Self::ChestCt => 1,
            Self::ChestCr => 2,
            Self::HeadCt => 3,
            Self::HeadCtEnhanced => 4,
            Self::HeadMr => 5,
            Self::HeartUs => 6,
        }
    }

    /// What the study is called.
    pub(super) const fn description(self) -> &'static str {
        match self {
            Self::ChestCr => "CR chest",
            Self::ChestCt => "CT chest",
            Self::HeadCt => "CT head",
            Self::HeadCtEnhanced => "CT head, multi-frame",
            Self::HeadMr => "MR head",
            Self::HeartUs => "US heart",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::ChestCr => "cr-chest",
            Self::ChestCt => "ct-chest",
            Self::HeadCt => "ct-head",
            Self::HeadCtEnhanced => "ct-head-enhanced",
            Self::HeadMr => "mr-head",
            Self::HeartUs => "us-heart",
        }
    }
}

/// As on a command line, such as `ct-head`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// There is no such phantom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such phantom; there are cr-chest, ct-chest, ct-head, ct-head-enhanced, mr-head and us-heart")]
pub struct NoSuchKind;

impl FromStr for Kind {
    type Err = NoSuchKind;

    fn from_str(text: &str) -> Result<Self, NoSuchKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(NoSuchKind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_known_by_its_name_and_named_to_who_asks_for_another() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert!(NoSuchKind.to_string().contains(kind.name()));
            assert_eq!(Kind::ALL.iter().filter(|other| other.study_id() == kind.study_id()).count(), 1);
            let (slices, size) = kind.usual();
            assert!(kind.slices().contains(&slices) && kind.sizes().contains(&size));
        }
        assert_eq!("pet-head".parse::<Kind>(), Err(NoSuchKind));
    }
}
