//! Invitations: what a patient shows, so that a recipient introduces itself.
//!
//! ```text
//! patient                                   recipient
//!    │  Invitation: mailbox, commitment         │      a code, on a screen or as a link
//!    │ ───────────────────────────────────────► │
//!    │  Answer: card, nonce                     │      sealed, into the Invitation's mailbox
//!    │ ◄─────────────────────────────────────── │
//!    │  Opening: what was committed to          │      sealed, into the card's mailbox
//!    │ ───────────────────────────────────────► │
//!    │  four words to pick among                │  four words
//! ```
//!
//! An Invitation names nobody: who sees it over a shoulder learns that somebody lets somebody in. It is for one answer
//! and for minutes. A second answer, another than the first, voids it: then two people saw the code, and the patient
//! cannot know which one stands before them.
//!
//! Only when the patient has picked the words that the recipient's screen shows ([`crate::words`]) is the card of the
//! answer as good as one that was scanned face to face.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{Key, KeyError, SecretKey, Signature, SignatureError};
use clavicle_ledger::time::{HOUR_MS, Timestamp};

use crate::card::{CardError, SignedCard, TOLERANCE_MS};
use crate::identity::{Recipient, RecipientError};
use crate::mailbox::Mailbox;
use crate::transcript::{AnswerDigest, Commitment, InvitationId, Nonce};
use crate::words::Comparison;

/// The longest that an Invitation may be good for, in milliseconds.
pub const MAX_INVITATION_MS: u64 = HOUR_MS;

/// What a patient shows.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Invitation {
    /// The network.
    pub chain: ChainId,
    /// Where the answer is left. Its key signs the Invitation.
    pub mailbox: Mailbox,
    /// Whom the answer is sealed to.
    pub recipient: Recipient,
    /// To the patient's nonce.
    pub commitment: Commitment,
    /// Until when it may be answered.
    pub expires: Timestamp,
}

/// An [`Invitation`], signed by the key of its mailbox.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedInvitation {
    /// What is signed. Believe nothing of it before [`SignedInvitation::verify`].
    pub invitation: Invitation,
    /// The signature.
    pub signature: Signature,
}

/// Why an Invitation was not accepted, or not signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// Another network's.
    #[error("the invitation is of another network than this wallet; ask the patient for one of this network")]
    OtherNetwork,
    /// A key that is not acceptable.
    #[error("the invitation cannot be used, ask the patient for another: its mailbox's key is not good: {0}")]
    Key(KeyError),
    /// A recipient that is not acceptable.
    #[error("the invitation cannot be used, ask the patient for another: {0}")]
    Recipient(#[from] RecipientError),
    /// Not signed as it must be.
    #[error("the invitation was altered since the patient's device made it; ask the patient for a new one: {0}")]
    Signature(SignatureError),
    /// Too old.
    #[error("the invitation has expired: it is for some minutes only; ask the patient for a new one")]
    Expired,
    /// Good for too long.
    #[error(
        "the invitation says that it is good for more than an hour, which none is: one of the two clocks is wrong, or somebody made it up. See \
         whether the clocks are right, and ask the patient for a new one"
    )]
    TooLong,
    /// To be signed with another key.
    #[error("an invitation is signed by the key of its mailbox, and this is another")]
    Signer,
}

impl Invitation {
    /// Signs it with the key of its mailbox.
    ///
    /// # Errors
    /// [`InvitationError::Signer`].
    pub fn sign(self, key: &SecretKey) -> Result<SignedInvitation, InvitationError> {
        if self.mailbox.key != key.public() {
            return Err(InvitationError::Signer);
        }
        let signature = key.sign(&domain::preimage(Tag::INVITATION, &self.chain, &self));
        Ok(SignedInvitation { invitation: self, signature })
    }

    /// What it is known by. All of it is in there.
    #[must_use]
    pub fn id(&self) -> InvitationId {
        InvitationId::from_bytes(domain::digest(Tag::INVITATION, &self.chain, self))
    }
}

impl SignedInvitation {
    /// Checks all that can be seen of an Invitation: network, keys, signature, and that it may still be answered at
    /// `now`.
    ///
    /// # Errors
    /// [`InvitationError`].
    pub fn verify(&self, chain: &ChainId, now: Timestamp) -> Result<&Invitation, InvitationError> {
        let Self { invitation, signature } = self;
        let Invitation { chain: of, mailbox, recipient, commitment: _, expires } = invitation;
        if of != chain {
            return Err(InvitationError::OtherNetwork);
        }
        mailbox.key.check().map_err(InvitationError::Key)?;
        recipient.check()?;
        let preimage = domain::preimage(Tag::INVITATION, chain, invitation);
        signature.verify(&mailbox.key, &preimage).map_err(InvitationError::Signature)?;
        if now > expires.plus(TOLERANCE_MS) {
            Err(InvitationError::Expired)
        } else if *expires > now.plus(MAX_INVITATION_MS + TOLERANCE_MS) {
            Err(InvitationError::TooLong)
        } else {
            Ok(invitation)
        }
    }
}

impl Wire for SignedInvitation {
    const NAME: &'static str = "an invitation";
    const MAX_LEN: usize = 512;
}

/// What a recipient writes back.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Answer {
    /// To which Invitation.
    pub invitation: InvitationId,
    /// Who it is.
    pub card: SignedCard,
    /// The recipient's nonce.
    pub nonce: Nonce,
}

/// An answer that holds together: made by [`Answer::check`] and nothing else. (A vault that keeps it gives it back.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CheckedAnswer {
    invitation: InvitationId,
    digest: AnswerDigest,
}

/// Why an answer is none to an Invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// To another Invitation.
    #[error("the answer is to another invitation than this one")]
    OtherInvitation,
    /// Not from whose card it is.
    #[error(
        "the answer is not from whom its card is of: the letter is signed by another key than that of the card's mailbox"
    )]
    OtherSender,
    /// See [`CardError`].
    #[error(transparent)]
    Card(#[from] CardError),
}

impl Answer {
    /// What it is known by. All of it is in there.
    #[must_use]
    pub fn digest(&self, chain: &ChainId) -> AnswerDigest {
        AnswerDigest::from_bytes(domain::digest(Tag::ANSWER, chain, self))
    }

    /// Checks that it answers this Invitation, and that whoever wrote the letter, `from`, has the card's mailbox.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn check(&self, invitation: &Invitation, from: &Key, now: Timestamp) -> Result<CheckedAnswer, AnswerError> {
        let Self { invitation: to, card, nonce: _ } = self;
        let (id, chain) = (invitation.id(), &invitation.chain);
        if *to != id {
            return Err(AnswerError::OtherInvitation);
        }
        if card.verify(chain, now)?.mailbox != *from {
            return Err(AnswerError::OtherSender);
        }
        Ok(CheckedAnswer { invitation: id, digest: self.digest(chain) })
    }
}

impl CheckedAnswer {
    /// What tells it from another answer.
    #[must_use]
    pub const fn digest(&self) -> AnswerDigest {
        self.digest
    }

    /// What the patient writes back, so that both have the same words. It binds the patient to this answer and no
    /// other.
    #[must_use]
    pub fn open(&self, nonce: &Nonce) -> Opening {
        Opening { invitation: self.invitation, answer: self.digest, nonce: nonce.clone() }
    }

    /// What the patient compares, with the nonce that the Invitation committed to.
    #[must_use]
    pub fn compare(&self, chain: &ChainId, nonce: &Nonce) -> Comparison {
        Comparison::of(chain, self.invitation, self.digest, nonce)
    }
}

/// What the patient's device writes, once it is bound to one answer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// Of which Invitation.
    pub invitation: InvitationId,
    /// The answer that it is bound to.
    pub answer: AnswerDigest,
    /// The patient's nonce.
    pub nonce: Nonce,
}

/// Why an opening does not open an Invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpeningError {
    /// Of another Invitation.
    #[error("it opens another invitation than this one")]
    OtherInvitation,
    /// To another answer.
    #[error("the patient's device took another answer than this one")]
    OtherAnswer,
    /// Not from whom the Invitation is.
    #[error("it is not from the device that made the invitation")]
    OtherSender,
    /// Another nonce.
    #[error("it opens to something else than the invitation committed to")]
    OtherNonce,
}

impl Opening {
    /// Checks that it opens this Invitation, which was answered with `answer`, and gives the words for the screen of
    /// whoever answered.
    ///
    /// # Errors
    /// [`OpeningError`]: then nothing is shown, and what came is not from whoever showed the Invitation.
    pub fn check(&self, invitation: &Invitation, answer: &Answer, from: &Key) -> Result<Comparison, OpeningError> {
        let Self { invitation: id, answer: digest, nonce } = self;
        let chain = &invitation.chain;
        if *id != invitation.id() || *id != answer.invitation {
            return Err(OpeningError::OtherInvitation);
        }
        if *from != invitation.mailbox.key {
            return Err(OpeningError::OtherSender);
        }
        if *digest != answer.digest(chain) {
            return Err(OpeningError::OtherAnswer);
        }
        if nonce.commitment(chain) != invitation.commitment {
            return Err(OpeningError::OtherNonce);
        }
        Ok(Comparison::of(chain, *id, *digest, nonce))
    }
}

#[cfg(test)]
mod tests;
