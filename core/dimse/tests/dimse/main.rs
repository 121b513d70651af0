//! Receiving and sending over associations, with peers that nobody here wrote: dcmtk, pynetdicom and Orthanc; with peers
//! that mean no good, written out byte by byte; and with each other.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dcmtk;
mod durable;
mod hostile;
mod large;
mod limits;
mod made;
mod negotiation;
mod orthanc;
mod programs;
mod pynetdicom;
mod raw;
mod receiver;
mod sender;
mod storescp;
