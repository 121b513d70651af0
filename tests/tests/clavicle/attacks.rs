//! What attackers got once, each tried again. One file an attack, named as a sentence; every one failed when it was written.
//!
//! Attacks that need no processes stand in the tests of the crate they are against:
//!
//! | attack | where |
//! |---|---|
//! | who has no consensus key, or no more, at the validators' port; floods of half handshakes there; garbage on a link | `clavicle-consensus`: `src/mesh/tests.rs` |
//! | lengths that claim too much on a link | `clavicle-consensus`: `src/mesh/frame.rs`, `src/mesh/link.rs` |
//! | associations of one address keep every modality out | `core/imaging/tests/dimse/hostile.rs` |
//! | questions of guests keep a revocation waiting | `core/network/tests/network/flooded.rs` |
//! | silent sockets of one address, and of 64, keep every wallet out | `core/network/tests/network/flooded.rs` |
//! | strangers of the wallet's own address keep its revocation from the source | `core/network/tests/transfer/revocations.rs` |
//! | one process holds every connection of the operator's socket | `relay/src/control/places.rs` |

mod a_flood_from_64_addresses_delays_no_revocation;
mod a_stranger_who_gossips_at_the_validators_port_is_nobody;
