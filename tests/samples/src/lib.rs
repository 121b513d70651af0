//! Samples that tests of several crates share.

pub mod files;
pub mod packed;
pub mod terms;
