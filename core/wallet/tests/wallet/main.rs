//! The wallet's tests, from outside: what its bytes are, in [`vectors`]; a vault whose process was killed, in [`killed`];
//! how it follows a network that went on without it, in [`following`]; and everything it reads, fed with anything, in [`fuzz`].
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod following;
mod fuzz;
#[path = "../../../ledger/tests/kernel/hostile.rs"]
mod hostile;
mod killed;
mod vectors;
