//! Intake from outside: real files, each with its verdict, in [`corpus`]; the same
//! content written in other ways, in [`content`]; hostile ones, made byte by byte, in [`hostile`]; and
//! the way from a folder to a signed manifest and back, in [`round_trip`].
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounting;
mod completeness;
mod content;
mod corpus;
mod damaged;
mod field;
mod folders;
mod hostile;
mod kos;
mod made;
mod mutated;
#[path = "../../../../tests/phantom/tests/phantom/orthanc.rs"]
mod orthanc;
mod programs;
mod rewrite;
mod round_trip;
