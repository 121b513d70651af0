//! Threads: files are read in this process, beside whoever asks, where there are no other processes to be had: on telephones.
//!
//! A panic costs the file. A thread cannot be ended: one that takes too long is left behind, and while [`MOST`] are busy or left behind nothing more is
//! read. Memory that is taken is this program's own.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::job::{Kept, Question};
use crate::reader::{Reader, Sitting};
use crate::seat::{Seat, Seats};
use crate::worker_error::WorkerError;
use crate::{TIME, time_for};

/// Most threads at a time.
pub const MOST: usize = 16;
/// What a thread may have for its stack: as much as a main thread, as a rule.
const STACK: usize = 8 << 20;

/// Reads files in threads.
#[derive(Clone, Debug)]
pub struct Threads {
    time: Duration,
    busy: Arc<AtomicUsize>,
}

impl Default for Threads {
    fn default() -> Self {
        Self { time: TIME, busy: Arc::default() }
    }
}

impl Threads {
    /// The same with another limit than [`TIME`] for a file.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }
}

impl Reader for Threads {
    fn answer(&self, question: &Question, file: &File) -> Result<Vec<u8>, WorkerError> {
        self.sitting(file).answer(question)
    }

    fn sitting<'a>(&'a self, file: &'a File) -> Box<dyn Sitting + 'a> {
        Box::new(Seat::of(self, file))
    }
}

impl Seats for Threads {
    type Running = Running;

    fn start(&self, file: &File) -> Result<Running, WorkerError> {
        Running::start(self, file)
    }

    fn ask(&self, running: &mut Running, question: &Question) -> Result<Option<Vec<u8>>, WorkerError> {
        let time = time_for(self.time, question);
        running.questions.send(question.clone()).map_err(|_| WorkerError::Ended)?;
        running.answers.recv_timeout(time).map_err(|error| match error {
            RecvTimeoutError::Timeout => WorkerError::TimedOut(time),
            RecvTimeoutError::Disconnected => WorkerError::Ended,
        })
    }

    /// It ends at once: its place is free when this returns. One that took too long never comes here.
    fn end(Running { questions, thread, .. }: Running) {
        drop(questions);
        drop(thread.join());
    }
}

/// A thread that ends when nobody asks any more.
#[derive(Debug)]
pub(crate) struct Running {
    thread: JoinHandle<()>,
    questions: SyncSender<Question>,
    answers: Receiver<Option<Vec<u8>>>,
}

/// A place among [`MOST`].
struct Busy(Arc<AtomicUsize>);

impl Busy {
    fn among(busy: &Arc<AtomicUsize>) -> Result<Self, WorkerError> {
        let taken = busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |busy| (busy < MOST).then_some(busy + 1));
        taken.map(|_| Self(Arc::clone(busy))).map_err(|_| WorkerError::Busy)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Running {
    fn start(threads: &Threads, file: &File) -> Result<Self, WorkerError> {
        let busy = Busy::among(&threads.busy)?;
        let file = file.try_clone().map_err(WorkerError::Start)?;
        let (questions, asked) = sync_channel::<Question>(1);
        let (answer, answers) = sync_channel(1);
        let work = move || {
            let _busy = busy;
            let mut kept = Kept::default();
            while let Ok(question) = asked.recv() {
                // No job is known to panic. If one does, it costs its file.
                let done = catch_unwind(AssertUnwindSafe(|| question.answer(&file, &mut kept).ok()));
                let Ok(done) = done else { return };
                if answer.send(done).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().stack_size(STACK).spawn(work).map_err(WorkerError::Start)?;
        Ok(Self { thread, questions, answers })
    }
}
