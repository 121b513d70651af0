//! The ledger's tests, from outside: what it promises, in [`invariants`]; what it does, against the dullest possible
//! interpreter, in [`model`]; what its bytes are, in [`vectors`]; and each way to be wrong, by name.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actions;
mod checker;
mod confirm;
mod encodings;
mod fuzz;
mod gate;
mod history;
mod hostile;
mod invariants;
mod light;
mod model;
mod model_test;
mod pool;
mod receipts;
mod snapshots;
mod status_table;
mod tree;
mod vectors;
mod world;
