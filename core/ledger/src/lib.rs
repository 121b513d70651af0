//! What every hospital of a Clavicle network must agree on: signed transactions in, changes and events out, with proofs
//! small enough for a phone.
//!
//! The same input gives the same output on every machine, for ever: no file, socket, clock, thread or random number is
//! within reach (`no_std`), and time is passed in. In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`encoding`], [`domain`], [`id`], [`time`], [`key`] | bytes: one encoding a value, one domain a kind |
//! | [`derivation`], [`salt`] | where a person's keys and a study's id come from |
//! | [`source`], [`study`], [`terms`], [`validators`], [`power`], [`ballot`], [`record`] | what there is: the records of the ledger, and what is kept off it |
//! | [`transaction`], [`action`] | what can be done, who signs it, what makes it wrong |
//! | [`genesis`], [`state`], `expiry`, [`execute`] | what it does: rows in, changes and [`event`]s out |
//! | [`tree`], [`block`], [`vote`], [`snapshot`] | how it is proven: state root, header, certificate, inclusion, a whole state |
//! | [`light`] | who believes it without all of it: a phone, from a genesis or a checkpoint to a proven row |
//! | [`authorise`] | what it is all for: who may fetch a study now |
//! | [`confirm`] | and how a source knows that it decides on what is, whatever its clock says |
//! | [`receipt`] | what is left of it: who fetched, signed by both sides, chained, anchored, provable |
//! | [`pool`] | beside it, each relay's own: what waits for a block, and whose turn is next |
//!
//! `RULES.md` beside this crate lists every rule with its place here.
//!
//! ```
//! use clavicle_ledger::derivation::{Branch, Words};
//! use clavicle_ledger::salt::Salt;
//!
//! // A wallet is 24 words; each study has a key below them and an id that says nothing.
//! let words = Words::from_entropy(&[7; 32]); // 32 random bytes in earnest
//! let holder = words.seed().derive_key(0, Branch::Study, 0).expect("the index is below 2^31");
//! assert_eq!(holder.public().check(), Ok(()));
//! let study = Salt::from_bytes([9; 32]).study_digest("1.2.840.113619.2.5.1762583153");
//! assert_eq!(study.to_string().len(), 64);
//! ```
#![no_std]
#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

extern crate alloc;

pub mod action;
pub mod authorise;
pub mod ballot;
pub mod block;
mod certificate;
pub mod confirm;
pub mod derivation;
pub mod domain;
pub mod encoding;
pub mod event;
pub mod execute;
mod expiry;
mod fragment;
pub mod genesis;
pub mod id;
pub mod key;
pub mod light;
mod memory;
mod merkle;
mod naming;
pub mod pool;
pub mod power;
pub mod receipt;
pub mod record;
mod recount;
pub mod salt;
mod signatures;
pub mod snapshot;
pub mod source;
pub mod state;
pub mod study;
pub mod terms;
pub mod time;
pub mod transaction;
pub mod tree;
pub mod validators;
pub mod vote;
