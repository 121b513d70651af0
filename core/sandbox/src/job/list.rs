//! Reads what a document lists.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::references::References;
use clavicle_dicom::unreadable::Unreadable;

use super::{Job, Opened};

/// What a document lists: see [`References::read`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct List;

impl Job for List {
    const NAME: &'static str = "list";
    type Answer = Result<References, Unreadable>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (source, len) = file.whole();
        References::read(source, len)
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
