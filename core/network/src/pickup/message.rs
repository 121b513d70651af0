//! What is said in a pickup.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::block::InclusionProof;
use clavicle_ledger::encoding::{Text, Wire};
use clavicle_ledger::hash_types;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Signature;
use clavicle_ledger::light::CertifiedHeader;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::study::Reason;
use clavicle_ledger::transaction::{Body, Envelope, MAX_ENVELOPE_LEN};
use clavicle_letters::about::About;
use clavicle_letters::pickup::Ticket;
use clavicle_manifest::SignedManifest;

use super::cpace::{Share, Tag};
use crate::message::{Included, List};

hash_types! {
    /// A ticket as it is kept, as the desk refers to it, and as a wallet names it: its BLAKE3, derived for this purpose.
    TicketHash, "a ticket's hash";
}

impl TicketHash {
    /// The hash of a ticket.
    #[must_use]
    pub fn of(ticket: &Ticket) -> Self {
        Self::from_bytes(blake3::derive_key("clavicle 2026 pickup ticket", &ticket.0))
    }
}

/// Which pickup, at which source of which network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PickupId {
    /// The network.
    pub chain: ChainId,
    /// The source.
    pub source: SourceId,
    /// The ticket's hash.
    pub ticket: TicketHash,
}

/// The first thing said. Who reads it learns which pickup is meant, and nothing that opens it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Ask {
    /// Which pickup.
    pub(super) ticket: TicketHash,
    /// The wallet's share.
    pub(super) share: Share,
}

impl Wire for Ask {
    const NAME: &'static str = "the first message of a pickup";
    const MAX_LEN: usize = 64;
}

/// What the source says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Told {
    /// No.
    Denied(Denied),
    /// Its share. The wallet is to show what it knows.
    Share(Share),
}

impl Wire for Told {
    const NAME: &'static str = "a source's answer to a pickup";
    const MAX_LEN: usize = 33;
}

/// What the source says to what the wallet has shown.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) enum Judged {
    /// No.
    Denied(Denied),
    /// Yes; and this is what the source shows.
    Proven {
        /// That it knows the answer as well.
        tag: Tag,
        /// As many studies follow, each a message.
        offers: u32,
        /// The other studies of the visit.
        not_offered: List<NotOffered, MAX_OFFERS>,
    },
}

impl Wire for Judged {
    const NAME: &'static str = "a source's word on an answer";
    const MAX_LEN: usize = 1 + Tag::MAX_LEN + 4 + 4 + 2 * MAX_OFFERS;
}

/// A study of the visit of which nothing is shown, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum NotOffered {
    /// It is somebody's, or about to be.
    #[error(
        "one study of this visit has a holder already, and is shown to nobody else: if you are not the holder, ask the desk"
    )]
    Held,
    /// Not served for a while.
    #[error("the hospital has suspended one study of this visit ({0}): nothing is handed over until it resumes it")]
    Suspended(Reason),
    /// Never served again.
    #[error("the hospital has withdrawn one study of this visit ({0}): it is not handed over any more")]
    Withdrawn(Reason),
    /// It is disputed.
    #[error("one study of this visit is frozen: nothing is handed over until the hospitals have settled whose it is")]
    Frozen,
}

/// So many tries, as a sentence goes on with them.
const fn tries(left: u8) -> &'static str {
    if left == 1 { "try is" } else { "tries are" }
}

/// Why nothing is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum Denied {
    /// Never issued, over, used by another wallet, or dead: the same for all.
    #[error(
        "the hospital does not accept this code: it has ended, was replaced by a newer one, was used by another wallet, or its answer was \
         given wrongly too often. Ask the desk for a new one"
    )]
    NoPickup,
    /// Not the right answer.
    #[error(
        "the hospital has another answer than the one you gave; {left} {} left. If you are sure of yours, do not try again: ask the \
         desk whether the code is theirs",
        tries(*.left)
    )]
    WrongAnswer {
        /// Tries left.
        left: u8,
    },
    /// The source cannot tell what time it is, or which block is the newest. Nothing was counted.
    #[error(
        "the hospital's computer is not connected to the other hospitals at the moment: try again in a few minutes"
    )]
    NotNow,
}

/// A study of the visit.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Offered {
    /// Its salt.
    pub salt: Salt,
    /// What is in it, as the source signs it.
    pub manifest: SignedManifest,
    /// Who it is about, as the source has them. It is in no manifest: whoever has shown the answer is told, and nobody else.
    pub about: About,
}

impl Wire for Offered {
    const NAME: &'static str = "an offered study";
    const MAX_LEN: usize = 32 + SignedManifest::MAX_LEN + About::MAX_LEN;
}

/// What the wallet answers: the body of a DefineStudy with its holder's signature. The source's is still missing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Claim {
    /// The body.
    pub body: Body,
    /// The holder's signature on it.
    pub holder: Signature,
}

/// One for each study claimed, at most [`MAX_OFFERS`].
pub(crate) type Claims = List<Claim, MAX_OFFERS>;

impl Wire for Claims {
    const NAME: &'static str = "a list of claims";
    const MAX_LEN: usize = 4 + MAX_OFFERS * MAX_ENVELOPE_LEN;
}

/// The most studies of one visit.
pub const MAX_OFFERS: usize = 64;

/// The most bytes of all studies that are offered at once.
pub(crate) const MAX_OFFERED: usize = 64 * 1024 * 1024;

/// What became of a claim.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Claimed {
    /// The study is on the ledger, with both signatures; here is the proof.
    Final {
        /// The transaction.
        envelope: Box<Envelope>,
        /// That it is in a block.
        included: Box<Included>,
    },
    /// It is not, and why, in the source's words.
    Failed(Text<256>),
}

impl Wire for Claimed {
    const NAME: &'static str = "what became of a claim";
    const MAX_LEN: usize = 1 + MAX_ENVELOPE_LEN + CertifiedHeader::MAX_LEN + InclusionProof::MAX_LEN;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{decodes, envelope, manifest};

    #[test]
    fn fuzz() {
        let share = Share([1; 32]);
        decodes(&[Ask { ticket: TicketHash::from_bytes([2; 32]), share }]);
        decodes(&[Told::Denied(Denied::WrongAnswer { left: 3 }), Told::Share(share)]);
        let not_offered = List::of([NotOffered::Held, NotOffered::Suspended(Reason::WrongPatient)]);
        decodes(&[Judged::Denied(Denied::NoPickup), Judged::Proven { tag: Tag([3; 64]), offers: 2, not_offered }]);
        decodes(&[Tag([3; 64])]);
        let about = About { name: Text::new("Rossi^Ana").unwrap(), birth_date: None };
        decodes(&[Offered { salt: Salt::from_bytes([4; 32]), manifest: manifest(), about }]);
        let claim = Claim { body: envelope().body, holder: Signature::from_bytes([3; 64]) };
        decodes::<Claims>(&[List::of([claim])]);
        decodes(&[Claimed::Failed(Text::new("no").unwrap())]);
    }
}
