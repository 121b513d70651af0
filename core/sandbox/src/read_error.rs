//! Why a file was not read.

use std::io;

use clavicle_dicom::unreadable::Unreadable;

use crate::worker_error::WorkerError;

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// It cannot be opened or read.
    #[error("it cannot be opened or read")]
    Io(#[source] io::Error),
    /// It is not an instance, or a broken one.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Reading it ended the worker.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A symbolic link.
    #[error("it is a link, and links are not followed")]
    Link,
    /// A pipe, a socket, a device.
    #[error("it is neither a file nor a folder")]
    NotAFile,
    /// Larger than an instance may be.
    #[error("it is larger than 64 GiB")]
    TooLarge,
    /// It changed between two looks.
    #[error("it changed while it was read; it may be whole the next time")]
    Changed,
}
