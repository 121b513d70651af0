//! Keys, vault, codes and consent: what a patient or a recipient holds.
//!
//! In the order in which things are used:
//!
//! | | |
//! |---|---|
//! | [`vault`] | what a wallet keeps, sealed by a passphrase |
//! | [`identity`] | the key that messages to a person are sealed to |
//! | [`card`] | who a recipient is, which keys it fetches with, where messages reach it |
//! | [`letter`] | what one person tells another: that something was granted, and what it takes to fetch it |
//! | [`seal`] | a letter as it travels: signed inside, sealed, of one of four sizes |
//!
//! Random bytes come from the system; time is passed in. Nothing here opens a socket.

pub mod card;
pub mod identity;
pub mod letter;
pub mod seal;
pub mod vault;
