//! Workers: files are read in a process of their own, so that a hostile one can take neither memory nor time from the relay.
//!
//! A library cannot start itself. The binary calls [`main_if_asked`] first thing in `main`, before it has any thread, and gives
//! [`Workers`] the command that leads there, as a rule its own. A worker is asked through its standard input and answers
//! on its standard output, one file after the other; it may set aside at most [`MEMORY`], write no file, and take
//! [`TIME`] for a file. One that does more is ended and costs that file.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use borsh::BorshDeserialize as _;
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::facts::Facts;
use crate::scan::Unreadable;

/// The argument that asks a binary to be a worker.
pub const ARGUMENT: &str = "--clavicle-imaging-worker";
/// Address space of a worker, in bytes: a deflated data set of 256 MiB while its buffer doubles, and the program.
pub const MEMORY: u64 = 1 << 30;
/// Most time for one file. Reading takes a millisecond as a rule; a sleeping disk takes seconds.
pub const TIME: Duration = Duration::from_secs(30);

/// The longest path and the longest answer, in bytes.
const MAX_FRAME: usize = 8_192;

/// How files are read.
#[derive(Debug)]
pub enum Reader {
    /// In this process. For files that this program wrote itself, and for tests.
    Here,
    /// In a worker.
    Workers(Workers),
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

/// Starts a worker when there is something to read, again when it had to be ended, and ends it when dropped.
#[derive(Debug)]
pub struct Workers {
    program: PathBuf,
    arguments: Vec<OsString>,
    time: Duration,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    questions: ChildStdin,
    answers: Receiver<Vec<u8>>,
}

impl Workers {
    /// Workers that are started with this program and these arguments, which must lead to [`main_if_asked`].
    #[must_use]
    pub fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, time: TIME, running: None }
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

    fn ask(&mut self, path: &Path) -> Result<Result<Facts, Unreadable>, WorkerError> {
        let mut running = match self.running.take() {
            Some(running) => running,
            None => Running::start(&self.program, &self.arguments).map_err(WorkerError::Start)?,
        };
        let path = path.as_os_str().as_bytes();
        let asked = write_frame(&mut running.questions, path);
        let answer = match asked.map(|()| running.answers.recv_timeout(self.time)) {
            Ok(Ok(answer)) => answer,
            Ok(Err(RecvTimeoutError::Timeout)) => return Err(WorkerError::TimedOut(self.time)),
            Ok(Err(RecvTimeoutError::Disconnected)) | Err(_) => return Err(WorkerError::Ended),
        };
        // From here on it is healthy, and kept. Otherwise it was dropped, and so ended.
        let facts = Result::try_from_slice(&answer).map_err(|_| WorkerError::Nonsense)?;
        self.running = Some(running);
        Ok(facts)
    }
}

impl Running {
    fn start(program: &Path, arguments: &[OsString]) -> io::Result<Self> {
        let mut command = Command::new(program);
        // What a worker does not know it cannot give away.
        command.args(arguments).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (Some(questions), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let (sender, answers) = sync_channel(1);
        // Ends with the worker, whose end closes the pipe.
        thread::Builder::new().name("imaging-worker".into()).spawn(move || {
            let mut output: BufReader<ChildStdout> = BufReader::new(output);
            while let Ok(Some(answer)) = read_frame(&mut output) {
                if sender.send(answer).is_err() {
                    break;
                }
            }
        })?;
        Ok(Self { child, questions, answers })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for, so that nothing of it stays.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Reader {
    /// Reads the facts of the file at `path`, which is a regular file of `len` bytes.
    pub(crate) fn facts(&mut self, path: &Path) -> Result<Result<Facts, Unreadable>, WorkerError> {
        match self {
            Self::Here => Ok(read_file(path)),
            Self::Workers(workers) => workers.ask(path),
        }
    }
}

fn read_file(path: &Path) -> Result<Facts, Unreadable> {
    let file = File::open(path).map_err(|_| Unreadable::Io)?;
    let len = file.metadata().map_err(|_| Unreadable::Io)?.len();
    Facts::read(file, len)
}

/// Is a worker, and ends the program, if that is what the arguments ask for; else returns at once. To be called first in `main`.
pub fn main_if_asked() {
    if env::args_os().nth(1).is_none_or(|argument| argument != ARGUMENT) {
        return;
    }
    let limits = [(Resource::As, MEMORY), (Resource::Fsize, 0), (Resource::Core, 0)];
    let limited = limits
        .into_iter()
        .all(|(resource, most)| setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).is_ok());
    // Without its limits a worker is no protection: better none.
    let served = limited && serve(&mut io::stdin().lock(), &mut io::stdout().lock()).is_ok();
    std::process::exit(i32::from(!served));
}

fn serve(questions: &mut impl Read, answers: &mut impl Write) -> io::Result<()> {
    while let Some(path) = read_frame(questions)? {
        let facts = read_file(Path::new(&OsString::from_vec(path)));
        write_frame(answers, &borsh::to_vec(&facts)?)?;
    }
    Ok(())
}

fn write_frame(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let len =
        u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= MAX_FRAME).ok_or(io::ErrorKind::InvalidInput)?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(bytes)?;
    to.flush()
}

/// `None` at the end.
fn read_frame(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match from.read_exact(&mut len) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u32::from_le_bytes(len) as usize;
    if len > MAX_FRAME {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; len];
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}
