//! Reads what a document says that is an instance: a structured report, a selection of images, a document in an
//! instance.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_reports::ReportError;
use clavicle_reports::document::{Document, of_instance};

use super::{Job, Opened};

/// What a DICOM document says: see [`of_instance`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct ReadDocument;

impl Job for ReadDocument {
    const NAME: &'static str = "document";
    const READS_ALL: bool = true;
    type Answer = Result<Document, ReportError>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (mut source, len) = file.whole();
        // The place in a file is shared with everybody who has it open.
        if source.rewind().is_err() {
            return Err(ReportError::NotRead);
        }
        // Nothing here is known to panic. If something does, it costs one document.
        let read = AssertUnwindSafe(|| of_instance(source, len));
        panic::catch_unwind(read).unwrap_or(Err(ReportError::Panicked))
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
