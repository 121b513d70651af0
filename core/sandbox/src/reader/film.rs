//! A film: a file whose frames are asked for one after the other, and which is opened once for all of them.

use std::fs::{File, Metadata};

use clavicle_dicom::layout::Decoded;
use clavicle_dicom::rewrite::FrameSource;
use clavicle_pixels::frames::Frames;
use clavicle_pixels::render::{RenderError, Rendered, Wanted};

use super::{ReadError, Sitting, fits, is_unchanged};
use crate::job::{self, Decode, DecodeError, Job, Question, Render};
use crate::worker_error::WorkerError;

/// A file whose frames are asked for one after the other. See [`Reader::film`](super::Reader::film).
#[derive(Debug)]
pub struct Film<'a> {
    file: &'a File,
    before: Metadata,
    sitting: Box<dyn Sitting + 'a>,
}

/// Why a frame of a file was not decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// See [`DecodeError`].
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl<'a> Film<'a> {
    pub(super) fn new(sitting: Box<dyn Sitting + 'a>, file: &'a File) -> Result<Self, ReadError> {
        Ok(Self { file, before: fits(file)?, sitting })
    }

    /// Makes the picture that is wanted of a frame. That one frame cannot be shown says nothing of the others.
    ///
    /// # Errors
    /// As [`Reader::render`](super::Reader::render).
    pub fn render(&mut self, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, ReadError> {
        self.ask(&Render { wanted: wanted.clone() })
    }

    fn ask<J: Job>(&mut self, job: &J) -> Result<J::Answer, ReadError> {
        let answer = self.sitting.answer(&Question::new(job, self.before.len()))?;
        is_unchanged(self.file, &self.before)?;
        Ok(job::received::<J>(&answer).ok_or(WorkerError::Nonsense)?)
    }
}

impl FrameSource for Film<'_> {
    type Error = FrameError;

    fn count(&mut self) -> Option<u32> {
        let mut file = self.file;
        std::io::Seek::rewind(&mut file).ok()?;
        Some(Frames::read(file, self.before.len()).ok()?.count())
    }

    fn frame(&mut self, frame: u32) -> Result<Decoded, FrameError> {
        Ok(self.ask(&Decode { frame })??)
    }
}
