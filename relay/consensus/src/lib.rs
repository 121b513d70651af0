//! The consensus engine: the only place that instantiates Malachite (`arc-malachitebft-*`), and the only one that knows of it.
//!
//! The ledger says what a vote, a proposal and a certificate are, and what makes a block valid. The engine exchanges them
//! over links of its own, keeps its write-ahead log and fetches what it missed. What it decides on is a block's id;
//! the block itself travels in parts. This crate stands between the two. In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`application`] | what the engine asks of whoever keeps the chain: build, validate, decide, show |
//! | `context`, `signing` | the engine's types, over the ledger's: votes and proposals are signed as the ledger says |
//! | `codec` | what travels and what the write-ahead log holds, in borsh; everything a peer sends is bounded |
//! | `parts`, `body` | a block cut into parts, put together again, and bound to the id that was voted for |
//! | `certificate` | the engine's certificates to the ledger's and back |
//! | `drive` | the loop: the engine's questions to the application, one at a time |
//! | `mesh` | the engine's network: a link with each other validator, proven with the consensus keys on both sides |
//! | [`elsewhere`] | decided blocks for whoever has no links (yet) |
//! | [`engine`], [`config`], `wal`, `stopped` | starting, if nothing is damaged; waking, stopping, and why |
//!
//! It promises that no block is voted for that the [`Application`] did not find valid and keep, that a block's bytes are
//! those its id commits to before the application sees them, and that nobody but a round's proposer can make it
//! assemble a block for that round. A damaged write-ahead log or store stops the engine for good: see [`Stopped`].
//!
//! It refuses to know what is in a block, and where anything is stored.

pub mod application;
mod body;
mod certificate;
mod codec;
pub mod config;
mod context;
mod drive;
pub mod elsewhere;
pub mod engine;
#[cfg(test)]
#[path = "../../../core/ledger/tests/kernel/hostile.rs"]
mod hostile;
mod mesh;
mod parts;
mod signing;
mod stopped;
mod wal;

pub use self::application::{Application, Candidate, Decided, Neighbour, Origin, Undecided, Verdict};
pub use self::certificate::ConvertError;
pub use self::config::Config;
pub use self::context::SetError;
pub use self::elsewhere::{CertifiedBlock, Elsewhere};
pub use self::engine::{Engine, StartError, Stopped, Waker};
pub use self::wal::{LOG_FILE, LogError, make_log};
