//! What attackers got once, each tried again. One file an attack, named as a sentence; every one failed when it was written.
//!
//! Attacks that need no processes stand in the tests of the crate they are against:
//!
//! | attack | where |
//! |---|---|
//! | who has no consensus key, or no more, at the validators' port; floods of half handshakes there; garbage on a link | `clavicle-consensus`: `src/mesh/tests.rs` |
//! | lengths that claim too much on a link | `clavicle-consensus`: `src/mesh/frame.rs`, `src/mesh/link.rs` |

mod a_stranger_who_gossips_at_the_validators_port_is_nobody;
