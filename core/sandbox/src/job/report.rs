//! Reads what a report says.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_manifest::MediaType;
use clavicle_reports::{MAX_READ, ReportContent, ReportError};

use super::{Job, Opened};

/// What a report says: see [`clavicle_reports::read`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct ReadReport {
    /// What it is said to be.
    pub media_type: MediaType,
}

impl Job for ReadReport {
    const NAME: &'static str = "report";
    const READS_ALL: bool = true;
    type Answer = Result<ReportContent, ReportError>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (mut source, _) = file.whole();
        let mut bytes = Vec::new();
        // The place in a file is shared with everybody who has it open.
        let read = source.rewind().and_then(|()| source.take(MAX_READ as u64 + 1).read_to_end(&mut bytes));
        if read.is_err() {
            return Err(ReportError::NotRead);
        }
        // Nothing here is known to panic. If something does, it costs one report.
        let read = AssertUnwindSafe(|| clavicle_reports::read(self.media_type, &bytes));
        panic::catch_unwind(read).unwrap_or(Err(ReportError::Panicked))
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
