//! Keys, vault, codes and consent: what a patient or a recipient holds.
//!
//! In the order in which things are used:
//!
//! | | |
//! |---|---|
//! | [`vault`] | what a wallet keeps, sealed by a passphrase |
//! | [`identity`] | the key that messages to a person are sealed to |
//! | [`code`] | codes that people show each other: text, and QR in a picture |
//! | [`card`] | who a recipient is, which keys it fetches with, where messages reach it |
//! | [`letter`] | what one person tells another: that something was granted, and what it takes to fetch it |
//! | [`seal`] | a letter as it travels: signed inside, sealed, of one of four sizes |
//! | [`rows`] | what is kept in the vault |
//! | [`ledger`] | the network: relays that are asked, and believed nothing without proof |
//! | [`patient`] | pick up, grant, revoke, look |
//! | [`recipient`] | show a card, read what came, fetch |
//! | [`download`] | a study from its source, verified |
//! | [`cache`] | what was fetched, sealed |
//! | [`objection`] | whether a copy may still be used |
//! | [`export`] | the same as files |
//!
//! Random bytes come from the system; time is passed in.
//!
//! ```
//! use clavicle_ledger::encoding::{Ascending, Text};
//! use clavicle_ledger::id::{BlockId, ChainId, SourceId};
//! use clavicle_ledger::key::SecretKey;
//! use clavicle_ledger::light::Checkpoint;
//! use clavicle_ledger::time::{HOUR_MS, Timestamp};
//! use clavicle_network::message::Token;
//! use clavicle_wallet::card::{Card, Credential, Mailbox, SignedCard};
//! use clavicle_wallet::{code, identity::Identity};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A recipient shows a card…
//! let (chain, now) = (ChainId::from_bytes([1; 32]), Timestamp(1_790_000_000_000));
//! let (grantee, mailbox) = (SecretKey::from_bytes(&[2; 32]), SecretKey::from_bytes(&[3; 32]));
//! let card = Card {
//!     chain,
//!     name: Text::new("Dr Rossi")?,
//!     credential: Credential::Unverified,
//!     grantees: Ascending::from_items(vec![grantee.public()])?,
//!     mailbox: Mailbox {
//!         key: mailbox.public(),
//!         relays: Ascending::from_items(vec![SourceId::from_bytes([4; 32])])?,
//!         token: Token([5; 16]),
//!     },
//!     recipient: Identity::generate()?.recipient(),
//!     wish: Text::new("brain MR, five years")?,
//!     checkpoint: Checkpoint { height: 9, block: BlockId::from_bytes([6; 32]) },
//!     expires: now.plus(HOUR_MS),
//! };
//! let picture = code::to_png(&code::to_text(&card.sign(&grantee)?))?;
//!
//! // …and a patient reads it.
//! let signed: SignedCard = code::from_text(&code::from_png(&picture)?)?;
//! assert_eq!(signed.verify(&chain, now)?.name.as_str(), "Dr Rossi");
//! # Ok(())
//! # }
//! ```

pub mod cache;
pub mod card;
pub mod code;
pub mod download;
mod envelope;
mod error;
pub mod export;
pub mod identity;
pub mod ledger;
pub mod letter;
pub mod objection;
pub mod patient;
pub mod recipient;
pub mod rows;
pub mod seal;
pub mod vault;
mod wallet;

pub use self::error::WalletError;
