//! Plain processes: files are read in processes of their own, each in one, where no better is to be had.
//!
//! A fault costs the file, and a file that takes too long is given up. Whoever takes such a process over can do there what the user may: it is no
//! confinement. Standard input is the file, which nothing is ever written to; standard output has the answers; and standard error is a pipe with
//! the questions, since every system gives a program these three, and no others without words of its own.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, ErrorKind, PipeWriter, Read};
use std::panic;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use borsh::BorshDeserialize as _;

use crate::job::{Kept, Question};
use crate::reader::{Reader, Sitting};
use crate::seat::{Seat, Seats};
use crate::worker_error::WorkerError;
use crate::{PLAIN_ARGUMENT, TIME, time_for};

/// The longest answer: a picture of 256 MB.
const MAX: u64 = 256 << 20;
/// The longest question.
const MAX_QUESTION: u64 = 4_096;

/// How processes are started.
#[derive(Clone, Debug)]
pub struct Processes {
    program: PathBuf,
    arguments: Vec<OsString>,
    time: Duration,
}

impl Processes {
    /// Processes that are started with this program and these arguments, which must lead to [`main_if_asked`](crate::main_if_asked).
    #[must_use]
    pub const fn new(program: PathBuf, arguments: Vec<OsString>) -> Self {
        Self { program, arguments, time: TIME }
    }

    /// Processes that are this program, started again.
    ///
    /// # Errors
    /// When the program cannot be found any more.
    pub fn of_this_program() -> io::Result<Self> {
        Ok(Self::new(env::current_exe()?, vec![PLAIN_ARGUMENT.into()]))
    }

    /// The same with another limit than [`TIME`] for a file.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }
}

impl Reader for Processes {
    fn answer(&self, question: &Question, file: &File) -> Result<Vec<u8>, WorkerError> {
        self.sitting(file).answer(question)
    }

    fn sitting<'a>(&'a self, file: &'a File) -> Box<dyn Sitting + 'a> {
        Box::new(Seat::of(self, file))
    }
}

impl Seats for Processes {
    type Running = Running;

    fn start(&self, file: &File) -> Result<Running, WorkerError> {
        Running::start(self, file).map_err(WorkerError::Start)
    }

    fn ask(&self, running: &mut Running, question: &Question) -> Result<Option<Vec<u8>>, WorkerError> {
        running.ask(question, time_for(self.time, question)).map(Some)
    }
}

/// A process, and both ends of what it is asked and answers. It ends with this.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    questions: PipeWriter,
    answers: Receiver<io::Result<Vec<u8>>>,
}

impl Running {
    fn start(how: &Processes, file: &File) -> io::Result<Self> {
        let (theirs, questions) = io::pipe()?;
        let mut command = Command::new(&how.program);
        // What a worker does not know it cannot give away.
        command.args(&how.arguments).env_clear();
        command.stdin(file.try_clone()?).stdout(Stdio::piped()).stderr(theirs);
        let mut child = command.spawn()?;
        // It has its ends; ours of them would keep a pipe open that nobody reads.
        drop(command);
        let mut output = child.stdout.take().ok_or(ErrorKind::BrokenPipe)?;
        let (sender, answers) = sync_channel(1);
        // It ends with the process, and that with this.
        thread::spawn(move || {
            loop {
                let answer = framed(&mut output, MAX).and_then(|answer| answer.ok_or(ErrorKind::UnexpectedEof.into()));
                let is_over = answer.is_err();
                if sender.send(answer).is_err() || is_over {
                    return;
                }
            }
        });
        Ok(Self { child, questions, answers })
    }

    fn ask(&mut self, question: &Question, time: Duration) -> Result<Vec<u8>, WorkerError> {
        let question = borsh::to_vec(question).expect("memory takes what is written to it");
        send(&mut self.questions, &question).map_err(|_| WorkerError::Ended)?;
        match self.answers.recv_timeout(time) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.kind() == ErrorKind::InvalidData => Err(WorkerError::Nonsense),
            Ok(Err(_)) | Err(RecvTimeoutError::Disconnected) => Err(WorkerError::Ended),
            Err(RecvTimeoutError::Timeout) => Err(WorkerError::TimedOut(time)),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already; either way it is waited for, so that nothing of it stays.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Is such a process.
pub(crate) fn serve() -> io::Result<()> {
    // What a panic says must not go where questions come from.
    panic::set_hook(Box::new(|_| {}));
    let [file, mut answers, mut questions] = standard()?;
    let mut kept = Kept::default();
    while let Some(question) = framed(&mut questions, MAX_QUESTION)? {
        let answer = Question::try_from_slice(&question)?.answer(&file, &mut kept)?;
        send(&mut answers, &answer)?;
    }
    Ok(())
}

/// Standard input, output and error, as files.
#[cfg(unix)]
fn standard() -> io::Result<[File; 3]> {
    use std::os::fd::AsFd as _;
    Ok([
        io::stdin().as_fd().try_clone_to_owned()?.into(),
        io::stdout().as_fd().try_clone_to_owned()?.into(),
        io::stderr().as_fd().try_clone_to_owned()?.into(),
    ])
}

/// Standard input, output and error, as files.
#[cfg(windows)]
fn standard() -> io::Result<[File; 3]> {
    use std::os::windows::io::AsHandle as _;
    Ok([
        io::stdin().as_handle().try_clone_to_owned()?.into(),
        io::stdout().as_handle().try_clone_to_owned()?.into(),
        io::stderr().as_handle().try_clone_to_owned()?.into(),
    ])
}

fn send(to: &mut impl io::Write, bytes: &[u8]) -> io::Result<()> {
    let len = u32::try_from(bytes.len()).map_err(|_| ErrorKind::InvalidData)?;
    to.write_all(&len.to_le_bytes())?;
    to.write_all(bytes)
}

/// A length and as many bytes, at most `max`; none at the end.
fn framed(from: &mut impl Read, max: u64) -> io::Result<Option<Vec<u8>>> {
    let mut len = [0; 4];
    match from.read_exact(&mut len) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let len = u64::from(u32::from_le_bytes(len));
    if len > max {
        return Err(ErrorKind::InvalidData.into());
    }
    // As much as comes, and not as much as is claimed.
    let mut bytes = Vec::new();
    from.take(len).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == len { Ok(Some(bytes)) } else { Err(ErrorKind::UnexpectedEof.into()) }
}
