//! Jobs that are done in this process. For files that this program wrote itself, and for tests.

use std::fs::File;

use super::{Reader, Sitting};
use crate::job::{Kept, Question};
use crate::worker_error::WorkerError;

/// Does jobs in this process, on the thread that asks.
#[derive(Clone, Copy, Debug)]
pub struct Here;

/// A file, and what is kept of it.
#[derive(Debug)]
struct Sat<'a> {
    file: &'a File,
    kept: Kept<&'a File>,
}

impl Reader for Here {
    fn answer(&self, question: &Question, file: &File) -> Result<Vec<u8>, WorkerError> {
        question.answer(file, &mut Kept::default()).map_err(|_| WorkerError::Nonsense)
    }

    fn sitting<'a>(&'a self, file: &'a File) -> Box<dyn Sitting + 'a> {
        Box::new(Sat { file, kept: Kept::default() })
    }
}

impl Sitting for Sat<'_> {
    fn answer(&mut self, question: &Question) -> Result<Vec<u8>, WorkerError> {
        question.answer(self.file, &mut self.kept).map_err(|_| WorkerError::Nonsense)
    }
}
