//! Why the engine stopped.

use std::error::Error;

use clavicle_ledger::time::Height;

use crate::certificate::ConvertError;
use crate::context::SetError;

/// A failure that this crate does not look into.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// Why the engine stopped without being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Stopped {
    /// The store failed, or lacks a block that was voted for.
    #[error("the store failed")]
    Application(#[source] AnyError),
    /// The engine will not go on: its write-ahead log is damaged or cannot be written, so that it might vote twice. To be
    /// looked at by a person, and not to be started again by a machine.
    #[error(
        "the write-ahead log is damaged or cannot be written, and starting again might vote twice: see that its disk is sound and has \
         room before it is started by hand"
    )]
    Unsafe,
    /// The engine ended by itself; it may be started again.
    #[error("the consensus engine ended by itself")]
    Engine,
    /// The state names validators that nothing can be decided with.
    #[error(transparent)]
    Set(SetError),
    /// The chain knows this source by another consensus key, from this height on: start again with that one.
    #[error("from height {0} on, this source votes with another consensus key than the one given")]
    OtherKey(Height),
    /// See [`ConvertError`].
    #[error(transparent)]
    Certificate(#[from] ConvertError),
    /// Engine and application disagree where they are.
    #[error("the engine is at height {engine} and the chain at {due}")]
    Height {
        /// The engine's.
        engine: Height,
        /// The application's.
        due: Height,
    },
    /// A defect.
    #[error("a defect ended the consensus thread")]
    Panicked,
}
