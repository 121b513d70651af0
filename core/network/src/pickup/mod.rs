//! Pickup: how the right person takes hold of the studies of a visit.
//!
//! ```text
//! wallet                                       source
//! hash of the ticket, share                  ─►
//!                                            ◄─ denied, or: share
//! proof that it knows ticket and answer      ─►
//!                                            ◄─ denied, which was counted, or: proof that the source knows them too,
//!                                               how many studies, why others are not shown, and each with salt, signed manifest, and who it is about
//! for each: DefineStudy, holder's signature  ─►
//!                                            ◄─ for each, when it is final: both signatures, proof of inclusion
//! ```
//!
//! Neither ticket nor answer is ever sent. Both sides show that they know them by CPace, a password-authenticated key exchange: whoever does not know
//! them, on either side, learns from a run whether one guess was right and nothing to search in afterwards. The wallet shows first, so that a
//! source has counted a wrong answer before it says anything; a source that does not know the answer has one guess for each run, and the wallet
//! finds it out. What is shown is bound to the network, the source, both proven keys and the TLS session, so that nobody in between, another
//! hospital say, can pass it on.
//!
//! What the wallet dials is the source's transfer key on the ledger, whatever a code says. The first wallet that knows the answer is the one
//! that may come again: a pickup that broke off goes on where it was, with the same holder keys.
//!
//! # Why CPace of our own?
//!
//! It is eighty lines over the ristretto255 that is in the tree anyway (`curve25519-dalek` 5, under `ed25519-dalek`), held against the draft's vectors.
//! `pake-cpace` 0.1.7 is of an early draft (another generator, no transcript with what the sides say of themselves), has no key confirmation, draws its
//! random bytes itself, leaves its keys in memory, and brings an older `curve25519-dalek` and a second SHA-512.
//!
//! # What it costs
//!
//! A relay makes a [`Secret`], which is slow on purpose, once, when the desk gives a code out. For who comes it looks a row up, and only where the
//! hash is of a live pickup it multiplies three times on the curve. Four are answered at once, one of each ticket that is opened, and whoever comes has a
//! stranger's place meanwhile ([`Limits`](crate::Limits)).

mod bond;
mod claim;
mod counter;
mod cpace;
mod message;
mod secret;
mod tickets;

pub use self::claim::{Met, Opened, PickupError, meet};
pub use self::counter::{Counter, Offers};
pub(crate) use self::counter::{Pickups, serve};
pub use self::message::{Claim, Claimed, Denied, MAX_OFFERS, NotOffered, Offered, PickupId, TicketHash};
pub use self::secret::{Secret, plain};

/// The protocol, as iroh negotiates it.
pub const PROTOCOL: &[u8] = b"clavicle/pickup/3";
