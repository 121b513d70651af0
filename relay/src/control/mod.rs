//! The relay's socket: how commands reach a relay that is running.
//!
//! A Unix socket in the relay's folder, readable by its owner alone; who connects is asked for its user id besides, since a
//! folder's permissions can be changed by accident. What is spoken over it is HTTP with JSON, so that the same routes can
//! serve a page on loopback.

mod client;
mod server;

pub use self::client::{ClientError, get, post};
pub use self::server::{ControlError, serve};

/// The route that answers with a [`crate::service::Status`].
pub const STATUS: &str = "/status";
/// The route that answers with a list of [`crate::service::ValidatorRow`].
pub const VALIDATORS: &str = "/validators";

/// The route that takes an encoded envelope and answers with a [`crate::service::Submitted`].
pub const SUBMIT: &str = "/submit";

/// The longest path of a Unix socket on Linux, without its final zero.
pub const MAX_SOCKET_PATH: usize = 107;
