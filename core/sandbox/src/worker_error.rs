//! Why a worker did not answer.

use std::io;
use std::time::Duration;

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
    /// Many are busy.
    #[error("too many files are being read at this moment; it may be read the next time")]
    Busy,
    /// It took too long.
    #[error("reading it took longer than {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// It answered nonsense.
    #[error("the process that reads files gave no answer that makes sense")]
    Nonsense,
}
