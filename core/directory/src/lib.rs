//! The directory: where every source is, and by which keys it is known.
//!
//! The ledger is the directory: each source announces its keys and addresses there, and a vote admits new sources. A [`Directory`] is
//! what somebody knows of that. It starts from the network's genesis and follows the ledger: a relay reads all of it from its own state
//! ([`Directory::read`]); a wallet asks for a few rows at a time, whose proofs it has checked ([`Directory::learn`]), and remembers them.
//!
//! It believes nobody: what goes in has been read from a state or proven against a header, and a row of an older block never takes the place of one
//! of a newer. It connects to nobody, and does not know which addresses answer.
//!
//! ```
//! use clavicle_directory::Directory;
//! use clavicle_ledger::genesis::Genesis;
//! use clavicle_ledger::id::SourceId;
//! use clavicle_ledger::state::{ReadError, StateReader};
//!
//! /// Where the relay of a source is, by a state in which it may have moved.
//! fn moved<R: StateReader>(genesis: &Genesis, source: SourceId, state: &R) -> Result<Vec<String>, ReadError<R::Error>> {
//!     let mut directory = Directory::at_genesis(genesis);
//!     directory.learn(state, &[source])?;
//!     Ok(directory.find(&source).map(|listing| listing.relay_addresses()).unwrap_or_default())
//! }
//! ```
#![no_std]
#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

extern crate alloc;

mod directory;
mod listing;

pub use self::directory::Directory;
pub use self::listing::Listing;
