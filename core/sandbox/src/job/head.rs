//! Reads what a document of the same study has to say as well.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::kos::Heading;
use clavicle_dicom::unreadable::Unreadable;

use super::{Job, Opened};

/// What an instance says of its patient and study: see [`Heading::read`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct Head;

impl Job for Head {
    const NAME: &'static str = "head";
    type Answer = Result<Heading, Unreadable>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (source, len) = file.whole();
        Heading::read(source, len)
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
