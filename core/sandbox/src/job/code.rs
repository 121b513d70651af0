//! Reads the code in a picture: a photograph, a scan, a screenshot that anybody may have sent.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_letters::code::{self, MAX_FILE_LEN, MAX_TEXT_LEN, PictureError};

use super::{Job, Opened};

/// The text of the one QR code in a picture: see [`code::from_picture`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct ReadCode;

impl Job for ReadCode {
    const NAME: &'static str = "code";
    const READS_ALL: bool = true;
    type Answer = Result<String, PictureError>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (mut source, _) = file.whole();
        let mut bytes = Vec::new();
        // The place in a file is shared with everybody who has it open.
        let read = source.rewind().and_then(|()| source.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes));
        if read.is_err() {
            return Err(PictureError::NotRead);
        }
        let read = AssertUnwindSafe(|| code::from_picture(&bytes));
        panic::catch_unwind(read).unwrap_or(Err(PictureError::Panicked))
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        // No longer than a code can be. That it is another than the picture shows is no gain to anybody: a picture can
        // show any.
        let is_fit = sent.as_ref().map_or(true, |text| text.len() <= MAX_TEXT_LEN);
        is_fit.then_some(sent)
    }
}
