//! Codes out of photographs, in a process of its own: pictures take more memory than a decoder of anything else may.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod camera;
mod photographs;
#[path = "../letters/vectors.rs"]
#[allow(dead_code, reason = "it has values of every kind, and here only those that are shown are needed")]
mod vectors;
