//! Reads what a table of contents has to say, and what says whose an instance is.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::pick::Picked;
use clavicle_dicom::unreadable::Unreadable;

use super::{Job, Opened};

/// A few attributes of an instance: see [`Picked::read`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct Pick;

impl Job for Pick {
    const NAME: &'static str = "pick";
    type Answer = Result<Picked, Unreadable>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (source, len) = file.whole();
        Picked::read(source, len)
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
