//! Makes the MAC of a file.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::kos::Sealed;
use clavicle_dicom::unreadable::Unreadable;

use super::{Job, Opened};

/// The MAC of an instance: see [`Sealed::read`].
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub struct Seal {
    /// Group and element of what it is to cover.
    pub wanted: Vec<(u16, u16)>,
}

impl Job for Seal {
    const NAME: &'static str = "seal";
    const READS_ALL: bool = true;
    type Answer = Result<Sealed, Unreadable>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (source, len) = file.whole();
        Sealed::read(source, len, &self.wanted)
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
