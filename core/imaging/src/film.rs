//! A film: a file whose frames are asked for one after the other, and which is opened once for all of them.
//!
//! To find a frame, all fragments before it are walked. Who asks for a thousand frames and opens the file for each has it walked a thousand times.

use std::fs::{File, Metadata};
use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use crate::frames::{Frames, FramesError};
use crate::intake::Reason;
use crate::layout::Decoded;
use crate::picture::PictureError;
use crate::reader::{Reader, fits, state};
use crate::render::{RenderError, Rendered, Wanted, rendered_of};
use crate::rewrite::{self, DecodeError};
use crate::worker::Session;

/// An image that stays open.
#[derive(Debug)]
pub(crate) struct Open<S>(Option<Frames<S>>);

impl<S> Default for Open<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: Read + Seek> Open<S> {
    /// Asks something of the image, which `source` opens if it is not open yet. A panic costs this one answer, and the image is opened anew.
    pub(crate) fn ask<T, E>(
        &mut self,
        source: impl FnOnce() -> S,
        len: u64,
        panicked: E,
        one: impl FnOnce(&mut Frames<S>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<FramesError>,
    {
        let held = self.0.take();
        let asked = panic::catch_unwind(AssertUnwindSafe(|| -> Result<_, E> {
            let mut frames = match held {
                Some(frames) => frames,
                None => {
                    // The place in a file is shared with everybody who has it open.
                    let mut source = source();
                    source.rewind().map_err(|_| FramesError::Io)?;
                    Frames::read(source, len)?
                }
            };
            let answer = one(&mut frames);
            Ok((frames, answer))
        }));
        match asked {
            Ok(Ok((frames, answer))) => {
                self.0 = Some(frames);
                answer
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(panicked),
        }
    }
}

impl From<FramesError> for RenderError {
    fn from(error: FramesError) -> Self {
        PictureError::from(error).into()
    }
}

/// A file whose frames are asked for one after the other. See [`Reader::film`].
#[derive(Debug)]
pub struct Film<'a> {
    file: &'a File,
    before: Metadata,
    how: How<'a>,
}

#[derive(Debug)]
enum How<'a> {
    Here(Box<Open<&'a File>>),
    Worker(Session<'a>),
}

impl<'a> Film<'a> {
    pub(crate) fn new(reader: &'a Reader, file: &'a File) -> Result<Self, Reason> {
        let before = fits(file)?;
        let how = match reader {
            Reader::Here => How::Here(Box::default()),
            Reader::Workers(workers) => How::Worker(workers.session(file)),
        };
        Ok(Self { file, before, how })
    }

    /// Makes the picture that is wanted of a frame. That one frame cannot be shown says nothing of the others.
    ///
    /// # Errors
    /// As [`Reader::render`].
    pub fn render(&mut self, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, Reason> {
        let (file, len) = (self.file, self.before.len());
        let rendered = match &mut self.how {
            How::Here(open) => open.ask(|| file, len, RenderError::Panicked, |frames| rendered_of(frames, wanted)),
            How::Worker(session) => session.render(len, wanted)?,
        };
        self.checked(rendered)
    }

    /// Decodes a frame, counted from 0.
    pub(crate) fn decode(&mut self, frame: u32) -> Result<Result<Decoded, DecodeError>, Reason> {
        let (file, len) = (self.file, self.before.len());
        let decoded = match &mut self.how {
            How::Here(open) => {
                let answer = open.ask(|| file, len, DecodeError::Panicked, |frames| rewrite::decode(frames, frame));
                answer.and_then(|answer| rewrite::of_answer(answer).ok_or(DecodeError::Panicked))
            }
            How::Worker(session) => session.decode(len, frame)?,
        };
        self.checked(decoded)
    }

    /// What was read must be of one state.
    fn checked<T>(&self, answer: T) -> Result<T, Reason> {
        let after = self.file.metadata().map_err(Reason::Io)?;
        if state(&self.before) == state(&after) { Ok(answer) } else { Err(Reason::Changed) }
    }
}
