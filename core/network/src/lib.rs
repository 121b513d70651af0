//! The async edge: how transactions, proofs and images travel.

mod blocking;
mod desk;
pub mod endpoint;
pub mod file;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
#[path = "../../ledger/tests/kernel/hostile.rs"]
mod hostile;
pub mod message;
pub mod pack;
pub mod pickup;
mod places;
pub mod revoke;
mod serve;
pub mod swarm;
pub mod transfer;
pub mod work;

pub use self::serve::{Limits, Server};
