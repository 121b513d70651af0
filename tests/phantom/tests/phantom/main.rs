//! Phantoms: the [`chest`] in particular, all [`kinds`] alike, the [`head`] as it looks, what [`peers`] that nobody here wrote
//! make of them, and the [`memory`] that a large one takes.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chest;
mod head;
mod kinds;
mod memory;
mod orthanc;
mod peers;
