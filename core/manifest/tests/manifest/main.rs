//! The manifest's tests, from outside: what its bytes are, in [`vectors`]; what always holds, over random studies, in
//! [`properties`]; each way to be wrong, by name; and every decoder, fed with anything.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fuzz;
#[path = "../../../ledger/tests/kernel/hostile.rs"]
mod hostile;
mod properties;
mod sample;
mod size;
mod vectors;
mod wrong;
