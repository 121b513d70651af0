//! How a command ends, for whoever started it: the exit codes, along `sysexits.h`. `README.md` has the table, and says which of them a
//! service manager must not start again on.

use std::error::Error;
use std::io::{self, ErrorKind};

use clavicle_consensus::{StartError, Stopped};
use clavicle_imaging::dimse::BindError;
use clavicle_ledger::state::ReadError;
use clavicle_ledger::tree::TreeError;

use super::CommandError;
use crate::archive::ArchiveError;
use crate::control::ControlError;
use crate::demo::DemoError;
use crate::home::HomeError;
use crate::keeper::KeeperError;
use crate::keys::KeysError;
use crate::made::{MadeError, StoreName};
use crate::reception::ReceptionError;
use crate::service::ServiceError;
use crate::store::{CommitError, StoreError};
use crate::upkeep::UpkeepError;

/// Nobody but a person may start it again.
pub(super) const LOOK_FIRST: u8 = 78;

const FAILED: u8 = 1;
const DAMAGED: u8 = 65;
const MISSING: u8 = 66;
const PORT: u8 = 69;
const DEFECT: u8 = 70;
const SYSTEM: u8 = 71;
const DISK: u8 = 74;
const BUSY: u8 = 75;
const PERMISSION: u8 = 77;

/// The table above, for `--help`.
pub(super) const TABLE: &str = "\
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

/// The code of an error.
pub(super) fn code(error: &CommandError) -> u8 {
    match error {
        CommandError::Unopened { error, .. } => code(error),
        CommandError::Stopped(error) => stopped(error),
        CommandError::Start(error) => match error {
            StartError::Address(_) | StartError::Log(_) => LOOK_FIRST,
            StartError::Listen { .. } => PORT,
            StartError::Thread(_) => SYSTEM,
            StartError::State(error) => stopped(error),
            // Another process holds the engine's log, most often.
            _ => BUSY,
        },
        CommandError::Endpoint { .. }
        | CommandError::Reception(ReceptionError::Bind(BindError::Listen { .. }))
        | CommandError::NoPort { .. } => PORT,
        CommandError::Node(clavicle_network::swarm::StartError::Listen { .. }) => PORT,
        CommandError::Node(_) | CommandError::Reception(ReceptionError::Title { .. }) | CommandError::OtherNetwork => {
            LOOK_FIRST
        }
        CommandError::Reception(ReceptionError::Bind(BindError::InUse)) => BUSY,
        CommandError::Control(ControlError::Running) => BUSY,
        CommandError::Control(ControlError::TooLong(_)) => LOOK_FIRST,
        CommandError::Home(HomeError::Settings { .. }) => LOOK_FIRST,
        CommandError::Home(HomeError::NotAHome(_) | HomeError::NoNetwork(_)) => MISSING,
        CommandError::Made(error) => made(error),
        CommandError::Private(_) | CommandError::Keys(KeysError::Exposed { .. }) => PERMISSION,
        CommandError::Keys(KeysError::NoKey { .. }) => DAMAGED,
        CommandError::Keys(KeysError::Random(_)) | CommandError::Runtime(_) | CommandError::Workers(_) => SYSTEM,
        CommandError::NodeStopped(clavicle_network::swarm::Stopped::Panicked)
        | CommandError::Upkeep(UpkeepError::Panicked)
        | CommandError::Panicked => DEFECT,
        CommandError::Store(error) | CommandError::Upkeep(UpkeepError::Store(error)) => store(error),
        CommandError::Archive(error) => archive(error),
        CommandError::Service(ServiceError::Store(error)) => store(error),
        CommandError::Service(ServiceError::State(error)) => state(error),
        CommandError::Service(ServiceError::Archive(error)) => archive(error),
        CommandError::Keeper(error) => keeper(error),
        // As a shell tells of a program that SIGINT ended.
        CommandError::Demo(DemoError::Interrupted) => 130,
        // The relay's own files, and its disk.
        CommandError::Home(_)
        | CommandError::Keys(_)
        | CommandError::NetworkFile(_)
        | CommandError::Log(_)
        | CommandError::Reception(_)
        | CommandError::NodeStopped(_)
        | CommandError::Control(_)
        | CommandError::Service(_) => system(error),
        _ => FAILED,
    }
}

fn stopped(error: &Stopped) -> u8 {
    match error {
        Stopped::Unsafe | Stopped::OtherKey(_) => LOOK_FIRST,
        Stopped::Engine => BUSY,
        Stopped::Set(_) => DAMAGED,
        Stopped::Application(error) => error.downcast_ref().map_or(DISK, keeper),
        _ => DEFECT,
    }
}

fn made(error: &MadeError) -> u8 {
    match error {
        MadeError::Missing { store, .. } if StoreName::VOTING.contains(store) => LOOK_FIRST,
        MadeError::Missing { .. } => MISSING,
        MadeError::Damaged(_) => DAMAGED,
        MadeError::File { error, .. } => of_io(error),
        MadeError::Busy => BUSY,
        MadeError::Votes | MadeError::Format { .. } => LOOK_FIRST,
        MadeError::IsThere(_) => FAILED,
    }
}

fn keeper(error: &KeeperError) -> u8 {
    match error {
        KeeperError::Store(error) | KeeperError::Commit(CommitError::Store(error)) => store(error),
        KeeperError::State(error) => state(error),
        KeeperError::Tree(TreeError::Storage(error)) => store(error),
        KeeperError::Tree(_) | KeeperError::OwnState | KeeperError::NotKept(_) => DAMAGED,
        // Only a person can bring the other version.
        KeeperError::Version(_) => LOOK_FIRST,
        KeeperError::Commit(_) | KeeperError::OwnBlock(_) => DEFECT,
    }
}

fn state(error: &ReadError<StoreError>) -> u8 {
    match error {
        ReadError::Storage(error) => store(error),
        _ => DAMAGED,
    }
}

fn archive(error: &ArchiveError) -> u8 {
    match error {
        ArchiveError::Store(error) => store(error),
        ArchiveError::File { error, .. } => of_io(error),
        ArchiveError::Random(_) => SYSTEM,
        _ => FAILED,
    }
}

fn store(error: &StoreError) -> u8 {
    match error {
        StoreError::InUse => BUSY,
        StoreError::OtherNetwork => LOOK_FIRST,
        StoreError::Damaged { .. } => DAMAGED,
        StoreError::DiskFull(_) => DISK,
        StoreError::Database(error) => match &**error {
            redb::Error::Io(error) => of_io(error),
            redb::Error::PreviousIo => DISK,
            _ => DAMAGED,
        },
    }
}

/// What the system says at the bottom of an error, if it says something.
fn system(error: &CommandError) -> u8 {
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref() {
            return of_io(error);
        }
        cause = error.source();
    }
    FAILED
}

fn of_io(error: &io::Error) -> u8 {
    match error.kind() {
        ErrorKind::NotFound => MISSING,
        ErrorKind::PermissionDenied => PERMISSION,
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => DAMAGED,
        ErrorKind::AddrInUse | ErrorKind::AddrNotAvailable => PORT,
        _ => DISK,
    }
}
