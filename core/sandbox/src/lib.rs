//! Hostile bytes are read somewhere harmless.
//!
//! A file from outside is read by a [`Job`](job::Job), and a job is done wherever it does no harm: in a process of its own that can do
//! nothing but read and answer ([`confined`], on Linux), in a plain one elsewhere ([`process`]), in a thread on a telephone ([`threads`]), or here, for files that
//! this program wrote itself ([`Here`]). Whoever reads files takes a [`Reader`] and does not know which; a binary chooses, and passes it in.
//!
//! It stands on `clavicle-dicom` and `clavicle-pixels`, which are functions over bytes, and below whatever takes files in. It promises that a file costs itself at most.
//!
//! | | |
//! |---|---|
//! | [`job`] | what can be done with a file, each in a file of its own, and the list of them |
//! | [`reader`] | has it done |
//! | [`hands`] | many files at once |
//! | [`files`] | opens them, or what else has their bytes; no link is followed |
//! | [`read_error`], [`worker_error`] | why not |
//!
//! ```no_run
//! use clavicle_sandbox::{Reader as _, Workers};
//!
//! // First thing, before there is any thread.
//! clavicle_sandbox::main_if_asked();
//! let reader = Workers::of_this_program()?;
//! let seen = reader.inspect_one("image.dcm".as_ref())?;
//! println!("{}", seen.facts.sop_instance_uid);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(target_os = "linux")]
pub mod confined;
pub mod files;
pub mod hands;
pub mod job;
pub mod process;
pub mod read_error;
pub mod reader;
mod seat;
mod system;
pub mod threads;
pub mod worker_error;

use std::time::Duration;
use std::{env, process as system_process};

pub use files::{Files, OnDisk};
pub use job::Inspected;
pub use read_error::ReadError;
pub use reader::{Here, Reader};
pub use worker_error::WorkerError;

/// What this system has best: workers that are confined.
#[cfg(target_os = "linux")]
pub use confined::Confined as Workers;
/// What this system has best: plain processes.
#[cfg(not(target_os = "linux"))]
pub use process::Processes as Workers;

/// The argument that asks a binary to be a confined worker.
pub const ARGUMENT: &str = "--clavicle-imaging-worker";
/// The argument that asks a binary to be a plain one.
pub const PLAIN_ARGUMENT: &str = "--clavicle-plain-worker";
/// Most time for one file. Reading takes a millisecond as a rule; a sleeping disk takes seconds.
pub const TIME: Duration = Duration::from_secs(30);
/// As many bytes of a file as may take a second more.
pub const SLOWEST: u64 = 16 << 20;

/// Is a worker, and ends the program, if that is what the arguments ask for; else returns at once. To be called first in `main`.
pub fn main_if_asked() {
    let Some(argument) = env::args_os().nth(1) else { return };
    let served = if argument == PLAIN_ARGUMENT {
        process::serve()
    } else if argument == ARGUMENT {
        confined_or_none()
    } else {
        return;
    };
    system_process::exit(i32::from(served.is_err()));
}

#[cfg(target_os = "linux")]
fn confined_or_none() -> std::io::Result<()> {
    confined::serve_confined()
}

#[cfg(not(target_os = "linux"))]
fn confined_or_none() -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// How long the answer to a question may take, where one of a small file may take `time`.
const fn time_for(time: Duration, question: &job::Question) -> Duration {
    time.saturating_add(Duration::from_secs(question.reads() / SLOWEST))
}
