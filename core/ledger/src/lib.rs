//! What every hospital of a Clavicle network must agree on.
#![no_std]
#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::iter_over_hash_type)]

extern crate alloc;

pub mod action;
pub mod authorise;
pub mod block;
pub mod derivation;
pub mod domain;
pub mod encoding;
pub mod event;
pub mod execute;
pub mod expiry;
pub mod genesis;
pub mod id;
pub mod key;
pub mod salt;
pub mod snapshot;
pub mod source;
pub mod state;
pub mod study;
pub mod terms;
pub mod time;
pub mod transaction;
pub mod tree;
pub mod validators;
