//! Keys, vault, codes and consent: what a patient or a recipient holds.
//!
//! In the order in which things are used:
//!
//! | | |
//! |---|---|
//! | [`vault`] | what a wallet keeps, sealed by a passphrase |
//!
//! Random bytes come from the system; time is passed in. Nothing here opens a socket.

pub mod vault;
