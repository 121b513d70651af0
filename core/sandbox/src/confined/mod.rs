//! Confined: files are read in processes of their own, so that a hostile one can take neither memory nor time from the relay, nor
//! anything else that is within its reach.
//!
//! A library cannot start itself. The binary calls [`main_if_asked`](crate::main_if_asked) first thing in `main`, before it has any thread, and gives
//! [`Confined`] the command that leads there, as a rule its own. A worker is handed one open file after the other over a socket and answers what it
//! saw. It may set aside at most [`MEMORY`], take [`TIME`] and a second more for every [`SLOWEST`](crate::SLOWEST) bytes, and call the system for nothing but reading
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

use crate::job::Question;
use crate::reader::{Reader, Sitting};
use crate::worker_error::WorkerError;
use crate::{ARGUMENT, TIME, time_for};

pub(crate) use self::child::serve_confined;

/// Address space of a worker, in bytes: a deflated data set of 256 MiB while its buffer doubles, and the program.
pub const MEMORY: u64 = 1 << 30;
/// What a worker is told, together with a file.
#[derive(Debug, BorshSerialize, BorshDeserialize)]
enum Told {
    /// To answer this.
    Once(Question),
    /// The same, and to keep the file for the next question.
    Kept(Question),
    /// To close what it keeps.
    Forget,
}

/// Most workers that wait for the next file.
const MOST_IDLE: usize = 8;

/// How workers are started, and those that wait for something to read. They end with the last copy of it.
#[derive(Clone, Debug)]
pub struct Confined {
    program: PathBuf,
    arguments: Vec<OsString>,
    time: Duration,
    idle: Arc<Mutex<Vec<Running>>>,
}

impl Confined {
    /// Confined that are started with this program and these arguments, which must lead to [`main_if_asked`](crate::main_if_asked).
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, time: TIME, idle: Arc::default() }
    }

    /// Confined that are this program, started again.
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
struct Session<'a> {
    workers: &'a Confined,
    file: &'a File,
    running: Option<Running>,
}

impl Reader for Confined {
    fn answer(&self, question: &Question, file: &File) -> Result<Vec<u8>, WorkerError> {
        let (answer, running) =
            self.ask_of(self.waiting()?, &Told::Once(question.clone()), file, time_for(self.time, question))?;
        self.put_back(running);
        Ok(answer)
    }

    fn sitting<'a>(&'a self, file: &'a File) -> Box<dyn Sitting + 'a> {
        Box::new(Session { workers: self, file, running: None })
    }
}

impl Sitting for Session<'_> {
    fn answer(&mut self, question: &Question) -> Result<Vec<u8>, WorkerError> {
        // One that failed is replaced: it costs the frame, and not the film.
        let running = self.running.take().map_or_else(|| self.workers.waiting(), Ok)?;
        let time = time_for(self.workers.time, question);
        let (answer, running) = self.workers.ask_of(running, &Told::Kept(question.clone()), self.file, time)?;
        self.running = Some(running);
        Ok(answer)
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // A worker that waits holds no file.
        if let Ok((_, running)) = self.workers.ask_of(running, &Told::Forget, self.file, self.workers.time) {
            self.workers.put_back(running);
        }
    }
}

#[derive(Debug)]
struct Running {
    child: Child,
    socket: UnixStream,
}

impl Confined {
    /// One that waits for the next file, or a new one.
    fn waiting(&self) -> Result<Running, WorkerError> {
        let waiting = self.idle().pop();
        waiting.map_or_else(|| Running::start(self), Ok).map_err(WorkerError::Start)
    }

    /// Asks a worker. One that is not given back is ended: by whatever it did it is no longer to be trusted.
    fn ask_of(
        &self,
        running: Running,
        told: &Told,
        file: &File,
        time: Duration,
    ) -> Result<(Vec<u8>, Running), WorkerError> {
        let answer = running.ask(told, file, time).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => WorkerError::TimedOut(time),
            ErrorKind::InvalidData => WorkerError::Nonsense,
            _ => WorkerError::Ended,
        })?;
        Ok((answer, running))
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
    fn start(how: &Confined) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&how.program);
        // What a worker does not know it cannot give away.
        command.args(&how.arguments).env_clear();
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: command.spawn()?, socket })
    }

    fn ask(&self, told: &Told, file: &File, time: Duration) -> io::Result<Vec<u8>> {
        let until = Instant::now() + time;
        self.socket.set_write_timeout(Some(time))?;
        frame::send_with(&self.socket, &borsh::to_vec(told)?, file)?;
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
