//! A worker that has one file, for as long as something is asked of it. One that failed is let go, and the next
//! question has another.

use std::fmt;
use std::fs::File;

use crate::job::Question;
use crate::reader::Sitting;
use crate::worker_error::WorkerError;

/// How such workers are had.
pub(crate) trait Seats: fmt::Debug + Sync {
    /// One that works.
    type Running: fmt::Debug + Send;

    /// Starts one for a file.
    fn start(&self, file: &File) -> Result<Self::Running, WorkerError>;

    /// Asks one. It is let go when it fails; without an answer it is as before, and what it said was nonsense.
    fn ask(&self, running: &mut Self::Running, question: &Question) -> Result<Option<Vec<u8>>, WorkerError>;

    /// Ends one that has answered all that it was asked.
    fn end(running: Self::Running) {
        drop(running);
    }
}

/// A file, and the worker that has it, if one does.
#[derive(Debug)]
pub(crate) struct Seat<'a, S: Seats> {
    seats: &'a S,
    file: &'a File,
    running: Option<S::Running>,
}

impl<'a, S: Seats> Seat<'a, S> {
    pub(crate) const fn of(seats: &'a S, file: &'a File) -> Self {
        Self { seats, file, running: None }
    }
}

impl<S: Seats> Sitting for Seat<'_, S> {
    fn answer(&mut self, question: &Question) -> Result<Vec<u8>, WorkerError> {
        let mut running = self.running.take().map_or_else(|| self.seats.start(self.file), Ok)?;
        let answer = self.seats.ask(&mut running, question)?;
        self.running = Some(running);
        answer.ok_or(WorkerError::Nonsense)
    }
}

impl<S: Seats> Drop for Seat<'_, S> {
    fn drop(&mut self) {
        self.running.take().into_iter().for_each(S::end);
    }
}
