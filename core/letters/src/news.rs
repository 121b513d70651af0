//! What one device of somebody's tells the others: sealed to a box that only the words of all of them open.
//!
//! Each device has a box, in which the others leave what they did; and there is one more, the *register*, in which each says
//! that it is there. All of these follow from the words ([`OwnBox`]): whoever has the words reads them, and can write.
//! So a device that is ended is told nothing more by the others, and that is all it means.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Entry, Text};
use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_ledger::transaction::Envelope;

use crate::card::{Card, MAX_GRANTEES};
use crate::identity::{Identity, Recipient};
use crate::mailbox::{Mailbox, Token};

/// The most studies that one letter tells of.
pub const MAX_TOLD: usize = 256;

/// What one device tells the others.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct News {
    /// The number of the device that tells.
    pub device: u32,
    /// What.
    pub item: NewsItem,
}

/// Something that one device tells the others.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum NewsItem {
    /// It is there. In the register alone.
    Here(Here) = 0,
    /// A person has named a device.
    Named {
        /// Which.
        device: u32,
        /// What it is called.
        name: Text<64>,
    } = 1,
    /// A person has ended a device: it is told nothing more, and what it tells is not listened to.
    Ended {
        /// Which.
        device: u32,
    } = 2,
    /// Studies were picked up, or came back.
    Held(Ascending<HeldStudy, MAX_TOLD>) = 3,
    /// Somebody was let in.
    Granted(Box<GrantMade>) = 4,
}

/// That a device is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Here {
    /// Since when.
    pub since: Timestamp,
    /// Drawn by chance: two devices that took the same number at once see that they did.
    pub nonce: [u8; 16],
    /// The number of a recipient's first card key on it; 0 on a patient's.
    pub first_card: u32,
    /// The number of a recipient's first mailbox on it; 0 on a patient's.
    pub first_mailbox: u32,
}

/// A study, and the place of the key that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct HeldStudy {
    /// Which study.
    pub study: StudyId,
    /// Its source.
    pub source: SourceId,
    /// The device whose key holds it.
    pub device: u32,
    /// The number of that key.
    pub number: u32,
}

impl Entry for HeldStudy {
    type Key = StudyId;
    fn key(&self) -> &StudyId {
        &self.study
    }
}

/// A grant, as the device that made it keeps it.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantMade {
    /// The signed transaction.
    pub envelope: Envelope,
    /// On which terms.
    pub terms: Terms,
    /// As the recipient calls itself.
    pub name: Text<64>,
    /// The recipient's long-term key, where its card said one.
    pub person: Option<Key>,
    /// The keys of its card.
    pub grantees: Ascending<Key, MAX_GRANTEES>,
    /// Where messages to it are left.
    pub mailbox: Mailbox,
    /// Whom they are sealed to.
    pub recipient: Recipient,
    /// What it asked for.
    pub wish: Text<128>,
    /// Until when its card was good.
    pub expires: Timestamp,
    /// The card's signature, by which it is known again.
    pub signature: Signature,
    /// When it was signed, by the clock of the device that did.
    pub at: Timestamp,
    /// The height at which it became final.
    pub final_at: Height,
}

impl fmt::Debug for GrantMade {
    /// For logs: nothing that would name anybody or anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantMade").field("at", &self.at).finish_non_exhaustive()
    }
}

/// A mailbox that follows from a key: whoever has the key can open it, write to it and read it.
#[derive(Debug)]
pub struct OwnBox {
    /// Its key, which signs what lies in it.
    pub key: SecretKey,
    /// What opens what lies in it.
    pub identity: Identity,
    /// What gives the right to leave something.
    pub token: Token,
}

impl OwnBox {
    /// The one of a key.
    #[must_use]
    pub fn of(key: SecretKey) -> Self {
        let identity = opened_by(&key);
        let token = Card::token(&key.public(), &identity.recipient());
        Self { key, identity, token }
    }
}

/// What opens letters to the mailbox of a key. It follows from the key, so that who has the words still reads what comes after a device was
/// lost.
#[must_use]
pub fn opened_by(key: &SecretKey) -> Identity {
    Identity::from_bytes(&blake3::derive_key("clavicle 2026-11 mailbox: what opens letters to it", &*key.seed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_follows_from_its_key_alone() {
        let own = |number| OwnBox::of(SecretKey::from_bytes(&[number; 32]));
        assert_eq!(own(1).identity.recipient(), own(1).identity.recipient());
        assert_eq!(own(1).token, own(1).token);
        assert_ne!(own(1).identity.recipient(), own(2).identity.recipient());
        assert_ne!(own(1).token, own(2).token);
    }
}
