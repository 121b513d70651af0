//! Workers: files are read in processes of their own, so that a hostile one can take neither memory nor time from the relay, nor
//! anything else that is within its reach.
//!
//! A library cannot start itself. The binary calls [`main_if_asked`] first thing in `main`, before it has any thread, and gives
//! [`Workers`] the command that leads there, as a rule its own. A worker is handed one open file after the other over a socket and answers what it
//! saw. It may set aside at most [`MEMORY`], take [`TIME`] and a second more for every [`SLOWEST`] bytes, and call the system for nothing but reading
//! what it was handed, answering, and memory: it cannot open a file, a connection or a program. One that does more is ended and
//! costs that file.

mod child;
mod frame;

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use borsh::{BorshDeserialize, BorshSerialize};

use crate::inspect::Inspected;
use crate::kos::{Heading, Sealed};
use crate::layout::Decoded;
use crate::pick::Picked;
use crate::references::References;
use crate::render::{self, RenderError, Rendered, Wanted};
use crate::rewrite::{self, DecodeError};
use crate::unreadable::Unreadable;

pub use self::child::main_if_asked;

/// The argument that asks a binary to be a worker.
pub const ARGUMENT: &str = "--clavicle-imaging-worker";
/// Address space of a worker, in bytes: a deflated data set of 256 MiB while its buffer doubles, and the program.
pub const MEMORY: u64 = 1 << 30;
/// Most time for one file. Reading takes a millisecond as a rule; a sleeping disk takes seconds.
pub const TIME: Duration = Duration::from_secs(30);
/// As many bytes of a file as may take a second more.
pub const SLOWEST: u64 = 16 << 20;

/// What a worker is asked about the file that comes with the question.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
pub(crate) enum Question {
    /// See [`Inspected::read`].
    Inspect {
        /// Bytes of the file.
        len: u64,
    },
    /// See [`render`](crate::render::render).
    Render {
        /// Bytes of the file.
        len: u64,
        /// What is wanted.
        wanted: Wanted,
        /// Whether more is asked of the same file: it stays open.
        is_film: bool,
    },
    /// See [`Sealed::read`].
    Seal {
        /// Bytes of the file.
        len: u64,
        /// Group and element of what the MAC is to cover.
        wanted: Vec<(u16, u16)>,
    },
    /// See [`References::read`].
    List {
        /// Bytes of the file.
        len: u64,
    },
    /// See [`Heading::read`].
    Head {
        /// Bytes of the file.
        len: u64,
    },
    /// See [`Picked::read`].
    Pick {
        /// Bytes of the file.
        len: u64,
    },
    /// See [`rewrite::decode`]. The file stays open.
    Decode {
        /// Bytes of the file.
        len: u64,
        /// Counted from 0.
        frame: u32,
    },
    /// To close the file that stays open.
    Forget,
}

/// Why a worker did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkerError {
    /// It did not start.
    #[error("the process that reads files could not be started")]
    Start(#[source] io::Error),
    /// It ended.
    #[error(
        "the process that reads files ended on this one: it asked for more memory than it may have, or has a fault"
    )]
    Ended,
    /// It took too long.
    #[error("reading it took longer than {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// It answered nonsense.
    #[error("the process that reads files gave no answer that makes sense")]
    Nonsense,
}

/// Most workers that wait for the next file.
const MOST_IDLE: usize = 8;

/// How workers are started, and those that wait for something to read. They end with the last copy of it.
#[derive(Clone, Debug)]
pub struct Workers {
    program: PathBuf,
    arguments: Vec<OsString>,
    time: Duration,
    idle: Arc<Mutex<Vec<Running>>>,
}

impl Workers {
    /// Workers that are started with this program and these arguments, which must lead to [`main_if_asked`].
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, time: TIME, idle: Arc::default() }
    }

    /// Workers that are this program, started again.
    ///
    /// # Errors
    /// When the program cannot be found any more.
    pub fn of_this_program() -> io::Result<Self> {
        Ok(Self::new(env::current_exe()?, vec![ARGUMENT.into()]))
    }

    /// The same with another limit than [`TIME`] for a file.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }
}

/// A worker that keeps a file open, for as long as something is asked of it.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    workers: &'a Workers,
    file: &'a File,
    running: Option<Running>,
}

impl Session<'_> {
    /// Makes a picture of a file of `len` bytes.
    pub(crate) fn render(&mut self, len: u64, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, WorkerError> {
        let question = Question::Render { len, wanted: wanted.clone(), is_film: true };
        match self.ask::<render::Answer>(question)? {
            Ok(answer) => Rendered::of_answer(answer).map(Ok).ok_or(WorkerError::Nonsense),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Decodes a frame of a file of `len` bytes.
    pub(crate) fn decode(&mut self, len: u64, frame: u32) -> Result<Result<Decoded, DecodeError>, WorkerError> {
        match self.ask::<rewrite::Answer>(Question::Decode { len, frame })? {
            Ok(answer) => rewrite::of_answer(answer).map(Ok).ok_or(WorkerError::Nonsense),
            Err(error) => Ok(Err(error)),
        }
    }

    fn ask<A: BorshDeserialize>(&mut self, question: Question) -> Result<A, WorkerError> {
        // One that failed is replaced: it costs the frame, and not the film.
        let running = self.running.take().map_or_else(|| self.workers.waiting(), Ok)?;
        let (answer, running) = self.workers.ask_of(running, question, self.file, self.workers.time)?;
        self.running = Some(running);
        Ok(answer)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // A worker that waits holds no file.
        if let Ok(((), running)) = self.workers.ask_of(running, Question::Forget, self.file, self.workers.time) {
            self.workers.put_back(running);
        }
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    socket: UnixStream,
}

impl Workers {
    /// Inspects a file of `len` bytes, of which nothing was read yet. Each thread that asks has a worker to itself meanwhile.
    pub(crate) fn inspect(&self, file: &File, len: u64) -> Result<Result<Inspected, Unreadable>, WorkerError> {
        self.ask(Question::Inspect { len }, file, self.time + Duration::from_secs(len / SLOWEST))
    }

    /// Makes a picture of a file of `len` bytes.
    pub(crate) fn render(
        &self,
        file: &File,
        len: u64,
        wanted: &Wanted,
    ) -> Result<Result<Rendered, RenderError>, WorkerError> {
        let question = Question::Render { len, wanted: wanted.clone(), is_film: false };
        match self.ask::<render::Answer>(question, file, self.time)? {
            Ok(answer) => Rendered::of_answer(answer).map(Ok).ok_or(WorkerError::Nonsense),
            Err(error) => Ok(Err(error)),
        }
    }

    /// Of a file that more than one question is about, a worker of its own.
    pub(crate) const fn session<'a>(&'a self, file: &'a File) -> Session<'a> {
        Session { workers: self, file, running: None }
    }

    fn ask<A: BorshDeserialize>(&self, question: Question, file: &File, time: Duration) -> Result<A, WorkerError> {
        let (answer, running) = self.ask_of(self.waiting()?, question, file, time)?;
        self.put_back(running);
        Ok(answer)
    }

    /// One that waits for the next file, or a new one.
    fn waiting(&self) -> Result<Running, WorkerError> {
        let waiting = self.idle().pop();
        waiting.map_or_else(|| Running::start(self), Ok).map_err(WorkerError::Start)
    }

    /// Asks a worker. One that is not given back is ended: by whatever it did it is no longer to be trusted.
    fn ask_of<A: BorshDeserialize>(
        &self,
        running: Running,
        question: Question,
        file: &File,
        time: Duration,
    ) -> Result<(A, Running), WorkerError> {
        let answer = running.ask(question, file, time).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => WorkerError::TimedOut(time),
            ErrorKind::InvalidData => WorkerError::Nonsense,
            _ => WorkerError::Ended,
        })?;
        Ok((A::try_from_slice(&answer).map_err(|_| WorkerError::Nonsense)?, running))
    }

    fn put_back(&self, running: Running) {
        let mut idle = self.idle();
        if idle.len() < MOST_IDLE {
            idle.push(running);
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Running>> {
        // A list is whole whatever panicked beside it.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn start(how: &Workers) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&how.program);
        // What a worker does not know it cannot give away.
        command.args(&how.arguments).env_clear();
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: command.spawn()?, socket })
    }

    fn ask(&self, question: Question, file: &File, time: Duration) -> io::Result<Vec<u8>> {
        let until = Instant::now() + time;
        self.socket.set_write_timeout(Some(time))?;
        frame::send_with(&self.socket, &borsh::to_vec(&question)?, file)?;
        frame::receive_until(&self.socket, until)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for, so that nothing of it stays.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Workers {
    /// Makes the MAC of a file.
    pub(crate) fn seal(
        &self,
        file: &File,
        len: u64,
        wanted: &[(u16, u16)],
    ) -> Result<Result<Sealed, Unreadable>, WorkerError> {
        let question = Question::Seal { len, wanted: wanted.to_vec() };
        self.ask(question, file, self.time + Duration::from_secs(len / SLOWEST))
    }

    /// Reads what a document lists.
    pub(crate) fn list(&self, file: &File, len: u64) -> Result<Result<References, Unreadable>, WorkerError> {
        self.ask(Question::List { len }, file, self.time)
    }

    /// Reads what a document of the same study has to say as well.
    pub(crate) fn head(&self, file: &File, len: u64) -> Result<Result<Heading, Unreadable>, WorkerError> {
        self.ask(Question::Head { len }, file, self.time)
    }

    /// Reads what a table of contents has to say.
    pub(crate) fn pick(&self, file: &File, len: u64) -> Result<Result<Picked, Unreadable>, WorkerError> {
        self.ask(Question::Pick { len }, file, self.time)
    }
}
