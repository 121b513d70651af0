//! Everything together: hospitals and people as processes of their own, with real sockets, real stores and real images.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adversary;
mod altered;
mod app;
mod attacks;
mod changed;
mod cluster;
mod handed_on;
#[path = "../../../core/ledger/tests/kernel/hostile.rs"]
#[expect(dead_code, reason = "a listener is fed otherwise than a decoder")]
mod hostile;
mod image;
mod instants;
mod invitation;
mod killed;
mod lost;
mod moves;
mod notices;
mod openings;
#[path = "../../../desktop/cli/tests/push/orthanc.rs"]
mod orthanc;
mod partition;
mod people;
mod process;
mod receipts;
mod refused;
mod restore;
mod resume;
mod scripts;
mod series;
mod session;
mod silent;
mod spread;
mod woken;
mod words;
