//! What attackers got once, each tried again. One file an attack, named as a sentence; every one failed when it was written.
//!
//! Attacks that need no processes stand in the tests of the crate they are against:
//!
//! | attack | where |
//! |---|---|
