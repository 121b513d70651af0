//! A file that a job is done with, and what is kept of it for the next job.
//!
//! To find a frame, all fragments before it are walked. Who asks for a thousand frames and opens the file for each has it walked a thousand times.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use clavicle_pixels::frames::{Frames, FramesError};

/// What is kept of a file about which more than one question is asked: its frames, once somebody wanted one.
#[derive(Debug)]
pub struct Kept<S>(Option<Frames<S>>);

impl<S> Default for Kept<S> {
    fn default() -> Self {
        Self(None)
    }
}

/// A file, for one job.
#[derive(Debug)]
pub struct Opened<'a, S> {
    source: S,
    len: u64,
    kept: &'a mut Kept<S>,
}

impl<'a, S: Read + Seek> Opened<'a, S> {
    pub(super) const fn new(source: S, len: u64, kept: &'a mut Kept<S>) -> Self {
        Self { source, len, kept }
    }

    /// The file itself, and its bytes.
    pub fn whole(self) -> (S, u64) {
        (self.source, self.len)
    }

    /// Asks something of its frames, which are found if they were not before. A panic costs this one answer, and the frames are found anew.
    ///
    /// # Errors
    /// Those of `one`; `panicked` when something panicked.
    pub fn frames<T, E: From<FramesError>>(
        self,
        panicked: E,
        one: impl FnOnce(&mut Frames<S>) -> Result<T, E>,
    ) -> Result<T, E> {
        let Self { mut source, len, kept } = self;
        let held = kept.0.take();
        let asked = panic::catch_unwind(AssertUnwindSafe(|| -> Result<_, E> {
            let mut frames = match held {
                Some(frames) => frames,
                None => {
                    // The place in a file is shared with everybody who has it open.
                    source.rewind().map_err(|_| FramesError::Io)?;
                    Frames::read(source, len)?
                }
            };
            let answer = one(&mut frames);
            Ok((frames, answer))
        }));
        match asked {
            Ok(Ok((frames, answer))) => {
                kept.0 = Some(frames);
                answer
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(panicked),
        }
    }
}
