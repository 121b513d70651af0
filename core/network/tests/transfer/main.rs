//! Transfers and pickups over loopback, between the real server and the real clients, on a real ledger's state: what is
//! fetched, in [`fetching`]; what is written down of it, in [`receipts`]; who acts for a team, in [`members`]; who is refused, in [`refused`]; when a transfer ends, in [`cut`]; many at once, in [`crowded`]; who takes up all there is, in [`flooded`]; sources
//! and disks that lie, in [`hostile`]; a fetch that is paused, put in another order, read from and cancelled, in [`steered`]; how a study is picked up, in [`pickups`]; and revocations that come
//! to the source itself, in [`revocations`].
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod crowded;
mod cut;
mod fetching;
mod flooded;
mod hostile;
mod members;
mod pickups;
mod receipts;
mod refused;
mod revocations;
mod steered;
mod world;
