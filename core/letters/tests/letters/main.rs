//! What people show and send each other, from outside: what its bytes are, in [`vectors`]; and all of it read from anything, in [`fuzz`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fuzz;
#[path = "../../../ledger/tests/kernel/hostile.rs"]
mod hostile;
mod vectors;
