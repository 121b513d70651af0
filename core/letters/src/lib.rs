//! What people show and send each other. No network, no disk, no clock.
//!
//! | | |
//! |---|---|
//! | [`identity`] | the key that messages to a person are sealed to |
//! | [`mailbox`] | where such messages are left |
//! | [`pickup`] | what a hospital hands over: the code with which a patient takes hold of the studies of a visit |
//! | [`card`] | who a recipient is, which keys it fetches with, where messages reach it |
//! | [`credential`] | an organisation's word on who somebody is, and what it has ended |
//! | [`introduction`] | a credential as it lies at a relay, for whoever has the card |
//! | [`organisation`] | what a practice or a team gives its members, and renews |
//! | [`verdict`] | whether anybody vouches for a name: what stands beside it everywhere |
//! | [`membership`] | whether whoever acts for a team or a practice is one for whom it vouches: what a source asks |
//! | [`name`] | a name as it is shown, so that it fools nobody |
//! | [`invitation`] | what a patient shows, so that a recipient introduces itself; the answer, and what opens it |
//! | [`transcript`] | what went between the two, as hashes |
//! | [`grant_code`] | a grant that was signed without a network, for anybody to submit |
//! | [`words`] | four words that both sides compare, so that nobody stands in between |
//! | [`code`] | all that is shown, as text; with the feature `pictures` as QR in a picture, too |
//! | [`about`] | who a study is about, as people see it |
//! | [`circumstances`] | what else is told of a grant: of how many series some are, whose place it takes, which studies come later |
//! | [`letter`] | what one person tells another: that something was granted, and what it takes to fetch it |
//! | [`seal`] | a letter as it travels: signed inside, sealed, of one of four sizes |
//! | [`random`] | random bytes, from the system |
//!
//! What is signed is verified here. What a letter or a code says and the ledger knows is believed by nobody for its sake: whoever reads it
//! takes that from a proven row. Random bytes come from the system; time is passed in.
//!
//! ```
//! use clavicle_ledger::encoding::{Ascending, Text};
//! use clavicle_ledger::id::{ChainId, SourceId};
//! use clavicle_ledger::key::SecretKey;
//! use clavicle_ledger::time::{HOUR_MS, Timestamp};
//! use clavicle_letters::card::{Card, Minute, NetworkMark, RelayMark, SignedCard};
//! use clavicle_letters::{code, identity::Identity};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A recipient shows a card…
//! let (chain, now) = (ChainId::from_bytes([1; 32]), Timestamp(1_790_000_000_000));
//! let (person, grantee, mailbox) = (SecretKey::from_bytes(&[2; 32]), SecretKey::from_bytes(&[3; 32]), SecretKey::from_bytes(&[4; 32]));
//! let card = Card {
//!     network: NetworkMark::from(&chain),
//!     person: person.public(),
//!     name: Text::new("Dr Rossi")?,
//!     grantees: Ascending::from_items(vec![grantee.public()])?,
//!     mailbox: mailbox.public(),
//!     relays: Ascending::from_items(vec![RelayMark::from(&SourceId::from_bytes([4; 32]))])?,
//!     recipient: Identity::generate()?.recipient(),
//!     wish: Text::new("brain MR, five years")?,
//!     expires: Minute::of(now.plus(HOUR_MS)),
//! };
//! let text = code::to_text(&card.sign(&chain, &person)?);
//!
//! // …and a patient reads it.
//! let signed: SignedCard = code::from_text(&text)?;
//! assert_eq!(signed.verify(&chain, now)?.name.as_str(), "Dr Rossi");
//! # Ok(())
//! # }
//! ```

pub mod about;
pub mod card;
pub mod circumstances;
pub mod code;
pub mod credential;
pub mod grant_code;
pub mod identity;
pub mod introduction;
pub mod invitation;
pub mod letter;
pub mod mailbox;
pub mod membership;
pub mod name;
pub mod news;
pub mod organisation;
pub mod pickup;
pub mod random;
pub mod seal;
pub mod transcript;
pub mod verdict;
pub mod words;
