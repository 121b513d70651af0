//! `clavicle push` and `clavicle export`, with programs that nobody here wrote on the other side.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod coerced;
mod dicom;
mod export;
mod orthanc;
mod paths;
mod programs;
mod sealed;
#[path = "../../../../core/dimse/tests/dimse/storescp.rs"]
mod storescp;
mod wallet;
mod web;
