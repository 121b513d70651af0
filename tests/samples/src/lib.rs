//! Samples that tests of several crates share.

pub mod packed;
