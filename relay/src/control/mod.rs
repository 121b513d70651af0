//! The relay's socket: how commands reach a relay that is running.
//!
//! A Unix socket in the relay's folder, readable by its owner alone; who connects is asked for its user id besides, since a
//! folder's permissions can be changed by accident. What is spoken over it is HTTP with JSON: every operation ([`crate::operations`]) is posted
//! under its word.

#[cfg(test)]
mod added;
mod client;
mod places;
mod server;

pub use self::client::{ClientError, ask};
pub use self::server::{ControlError, serve};

/// The longest path of a Unix socket on Linux, without its final zero.
pub const MAX_SOCKET_PATH: usize = 107;
