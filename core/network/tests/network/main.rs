//! Nodes and clients over TCP on the loopback device.

#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../ledger/tests/kernel/hostile.rs"]
#[expect(dead_code, reason = "a listener is fed otherwise than a decoder")]
mod hostile;
mod world;

mod asking;
mod flooded;
mod gossip;
mod held;
mod reconciling;
mod strangers;
