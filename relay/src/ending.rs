//! The exit codes, along `sysexits.h`, and with which of them what a relay stands on fails. `README.md` has the table, and says on which of them a
//! service manager must not start again.

use std::io::{self, ErrorKind};

use clavicle_command::given::GivenError;
use clavicle_ledger::state::ReadError;
use clavicle_letters::code::PictureError;
use clavicle_network::file::NetworkFileError;

use crate::answer::Refusing;
use crate::archive::ArchiveError;
use crate::home::HomeError;
use crate::keys::KeysError;
use crate::made::{MadeError, StoreName};
use crate::private::PrivateError;
use crate::store::StoreError;
use crate::submission::SubmitError;

/// Nobody but a person may start it again.
pub(crate) const LOOK_FIRST: u8 = 78;

pub(crate) const FAILED: u8 = 1;
pub(crate) const DAMAGED: u8 = 65;
pub(crate) const MISSING: u8 = 66;
pub(crate) const PORT: u8 = 69;
pub(crate) const DEFECT: u8 = 70;
pub(crate) const SYSTEM: u8 = 71;
pub(crate) const DISK: u8 = 74;
pub(crate) const BUSY: u8 = 75;
pub(crate) const PERMISSION: u8 = 77;

/// The codes, for `--help`.
pub(crate) const TABLE: &str = "\
Exit codes:
    0  stopped by SIGTERM or SIGINT
    1  not done, for a reason in the sentence
    2  the command line is wrong
   65  a store is damaged
   66  a file that must be there is not
   69  a port is taken, or its address is not this machine's
   70  a defect of this software
   71  the system gave no thread, process or random bytes
   74  a disk failed, or is full
   75  another process has the stores, or the engine ended by itself
   77  a file's permissions are wrong
   78  the settings are wrong, or starting again might vote twice: a person must look first
For systemd: Restart=on-failure, RestartPreventExitStatus=2 65 66 77 78";

impl Refusing for StoreError {
    fn code(&self) -> &str {
        match self {
            Self::InUse => "running",
            _ => "store",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::InUse => BUSY,
            Self::OtherNetwork => LOOK_FIRST,
            Self::Damaged { .. } => DAMAGED,
            Self::DiskFull(_) => DISK,
            Self::Database { error, .. } => match &**error {
                redb::Error::Io(error) => of_io(error),
                redb::Error::PreviousIo => DISK,
                _ => DAMAGED,
            },
        }
    }
}

impl Refusing for ArchiveError {
    fn code(&self) -> &str {
        "archive"
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Store(error) => error.exit_code(),
            Self::File { error, .. } => of_io(error),
            Self::Random(_) => SYSTEM,
            _ => FAILED,
        }
    }
}

impl Refusing for MadeError {
    fn code(&self) -> &str {
        "store"
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { store, .. } if StoreName::VOTING.contains(store) => LOOK_FIRST,
            Self::Missing { .. } => MISSING,
            Self::Damaged(_) => DAMAGED,
            Self::File { error, .. } => of_io(error),
            Self::Busy => BUSY,
            Self::Format { .. } => LOOK_FIRST,
            Self::IsThere(_) => FAILED,
        }
    }
}

impl Refusing for HomeError {
    fn code(&self) -> &str {
        match self {
            Self::Exists(_) | Self::Taken(_) => "exists",
            Self::NoNetwork(_) => "network",
            _ => "home",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Settings { .. } => LOOK_FIRST,
            Self::NotAHome(_) | Self::NoNetwork(_) => MISSING,
            Self::File { error, .. } => of_io(error),
            Self::Exists(_) | Self::Taken(_) => FAILED,
        }
    }
}

impl Refusing for KeysError {
    fn code(&self) -> &str {
        "keys"
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Exposed { .. } => PERMISSION,
            Self::NoKey { .. } => DAMAGED,
            Self::Random(_) => SYSTEM,
            _ => of_cause(self),
        }
    }
}

impl Refusing for PrivateError {
    fn code(&self) -> &str {
        "permissions"
    }

    fn exit_code(&self) -> u8 {
        PERMISSION
    }
}

impl Refusing for NetworkFileError {
    fn code(&self) -> &str {
        match self {
            Self::Exists(_) => "exists",
            _ => "file",
        }
    }

    fn exit_code(&self) -> u8 {
        of_cause(self)
    }
}

impl Refusing for SubmitError {
    fn code(&self) -> &str {
        "rejected"
    }
}

impl Refusing for PictureError {
    fn code(&self) -> &str {
        "file"
    }
}

impl Refusing for GivenError {
    fn code(&self) -> &str {
        "given"
    }
}

/// Of a state that cannot be read.
pub(crate) fn of_state(error: &ReadError<StoreError>) -> u8 {
    match error {
        ReadError::Storage(error) => error.exit_code(),
        _ => DAMAGED,
    }
}

/// Of what the system says at the bottom of an error, if it says something.
pub(crate) fn of_cause(error: &dyn std::error::Error) -> u8 {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return of_io(error);
        }
        cause = error.source();
    }
    FAILED
}

/// Of what the system says.
pub(crate) fn of_io(error: &io::Error) -> u8 {
    match error.kind() {
        ErrorKind::NotFound => MISSING,
        ErrorKind::PermissionDenied => PERMISSION,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => DAMAGED,
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => PORT,
        _ => DISK,
    }
}
