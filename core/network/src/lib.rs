//! The async edge: how transactions, proofs and images travel.

pub mod message;
pub mod pickup;
