//! Four engines in one process, over the real ledger, on the loopback device.

#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod keeper;
mod world;

mod blocks;
mod faults;
mod rotation;
