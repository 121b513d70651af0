//! Pickup: how the right person takes hold of the studies of a visit.
//!
//! ```text
//! wallet                                   source
//! ticket, answer to the question        ─►
//!                                       ◄─ denied, or: how many studies, and each with salt and signed manifest
//! for each: DefineStudy, holder's signature ─►
//!                                       ◄─ for each, when it is final: both signatures, proof of inclusion
//! ```
//!
//! The code names the source's transfer key, so that nobody else can answer. The first wallet that gives the right answer is the one that may
//! come again: a pickup that broke off goes on where it was, with the same holder keys.

mod claim;
mod counter;
mod message;

pub use self::claim::{Opened, PickupError, open};
pub use self::counter::Counter;
pub(crate) use self::counter::serve;
pub use self::message::{Ask, Claim, Claimed, Denied, MAX_OFFERS, Offered, PickupCode, Question, Ticket};

/// The protocol, as iroh negotiates it.
pub const PROTOCOL: &[u8] = b"clavicle/pickup/1";
