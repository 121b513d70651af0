//! Keys, vault and consent: what a patient or a recipient holds. What they show and send each other is in [`clavicle_letters`].
//!
//! In the order in which things are used:
//!
//! | | |
//! |---|---|
//! | [`vault`] | what a wallet keeps, sealed by a passphrase |
//! | [`rows`] | what is kept in the vault |
//! | [`envelope`] | what strangers can read of a wallet: every byte, and where it is from |
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
//! ```no_run
//! use std::path::Path;
//!
//! use clavicle_ledger::terms::PurposeOfUse;
//! use clavicle_ledger::time::{DAY_MS, LocalTime};
//! use clavicle_letters::{card::SignedCard, code, pickup::PickupCode};
//! use clavicle_network::file;
//! use clavicle_wallet::patient::{GrantRequest, Patient};
//! use clavicle_wallet::vault::Passphrase;
//!
//! # async fn story(scanned: &str, shown: &str, clock: fn() -> LocalTime) -> Result<(), Box<dyn std::error::Error>> {
//! let genesis = file::read_genesis(Path::new("network.json"))?;
//! let passphrase = Passphrase::read(Path::new("passphrase"))?;
//! let (mut ana, _words) = Patient::create(Path::new("ana"), &passphrase, genesis, clock)?;
//!
//! // The hospital's code makes the studies of the visit hers…
//! let code: PickupCode = code::from_text(scanned)?;
//! let visit = ana.pick_up(&code, "4711").await?;
//!
//! // …and whoever shows her a card may fetch one.
//! let card: SignedCard = code::from_text(shown)?;
//! let (for_ms, purpose) = (7 * DAY_MS, PurposeOfUse::Treatment);
//! let request = GrantRequest::new(for_ms, purpose);
//! ana.grant(&visit.studies[0].study, &card, &request, false).await?;
//! # Ok(())
//! # }
//! ```

pub mod cache;
mod caps;
mod devices;
pub mod download;
pub mod envelope;
mod error;
pub mod export;
pub mod ledger;
pub mod objection;
pub mod patient;
pub mod recipient;
pub mod rows;
pub mod scope;
mod silence;
mod system;
pub mod vault;
mod wallet;

pub use self::error::{OwnText, WalletError};
pub use self::silence::Silence;
