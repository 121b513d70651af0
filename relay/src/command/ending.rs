//! How a command ends that is not an operation: its exit code.

use clavicle_consensus::{StartError, Stopped};
use clavicle_dimse::BindError;
use clavicle_ledger::tree::TreeError;

use super::CommandError;
use crate::answer::Refusing as _;
use crate::control::ControlError;
use crate::ending::{BUSY, DAMAGED, DEFECT, DISK, FAILED, LOOK_FIRST, PORT, SYSTEM, of_cause, of_state};
use crate::keeper::KeeperError;
use crate::reception::ReceptionError;
use crate::store::CommitError;
use crate::tasks::{TaskEnd, TaskError};

/// The code of an error.
pub(super) fn code(error: &CommandError) -> u8 {
    match error {
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
        CommandError::Home(error) => error.exit_code(),
        CommandError::Open(error) => error.exit_code(),
        CommandError::Made(error) => error.exit_code(),
        CommandError::Keys(error) => error.exit_code(),
        CommandError::NetworkFile(error) => error.exit_code(),
        CommandError::Store(error) => error.exit_code(),
        CommandError::Task(TaskError { why: TaskEnd::Service(error), .. }) => error.exit_code(),
        CommandError::Service(error) => error.exit_code(),
        CommandError::Runtime(_) => SYSTEM,
        CommandError::NodeStopped(clavicle_network::swarm::Stopped::Panicked)
        | CommandError::Task(_)
        | CommandError::Unserved
        | CommandError::Panicked => DEFECT,
        CommandError::Keeper(error) => keeper(error),
        // The relay's own files, and its disk.
        CommandError::Log(_) | CommandError::Reception(_) | CommandError::NodeStopped(_) | CommandError::Control(_) => {
            of_cause(error)
        }
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

fn keeper(error: &KeeperError) -> u8 {
    match error {
        KeeperError::Store(error) | KeeperError::Commit(CommitError::Store(error)) => error.exit_code(),
        KeeperError::State(error) => of_state(error),
        KeeperError::Tree(TreeError::Storage(error)) => error.exit_code(),
        KeeperError::Tree(_) | KeeperError::OwnState | KeeperError::NotKept(_) => DAMAGED,
        // Only a person can bring the other version.
        KeeperError::Version(_) => LOOK_FIRST,
        KeeperError::Commit(_) | KeeperError::OwnBlock(_) => DEFECT,
    }
}
