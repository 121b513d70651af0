//! A workstation without a screen: what is done with the images of a study, by a command line, a window or a phone alike.
//!
//! Studies come from a folder or lie sealed in a wallet ([`studies`]), and go into somebody's archive ([`push`]). Hostile bytes are read by the
//! [`Reader`](clavicle_sandbox::reader::Reader) that is passed in.

pub mod push;
pub mod studies;
mod system;

pub use self::system::of as in_memory;
