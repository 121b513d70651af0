//! The code of a pickup: on a screen, on paper, or a link.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Text, Wire};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::time::Timestamp;

/// What opens a visit: 32 random bytes, on the code and nowhere else. The source keeps only their hash.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Ticket(pub [u8; 32]);

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ticket(…)")
    }
}

/// What is asked before anything is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Question {
    /// The PIN that the desk told.
    Pin,
    /// The patient's date of birth, as eight digits: year, month, day.
    BirthDate,
}

impl Question {
    /// Its number on the wire.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Pin => 0,
            Self::BirthDate => 1,
        }
    }
}

/// The code of a Pickup: on a screen, on paper, or a link.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PickupCode {
    /// The network.
    pub chain: ChainId,
    /// Which source.
    pub source: SourceId,
    /// Its transfer key: the ledger knows it, and a wallet believes the ledger.
    pub transfer: Key,
    /// Where it is reached, as socket addresses; likewise.
    pub addresses: Ascending<Text<128>, 4>,
    /// What opens the visit.
    pub ticket: Ticket,
    /// What is asked for it.
    pub question: Question,
    /// Until when.
    pub expires: Timestamp,
    /// A recent block: a phone that trusts the code need not go back further.
    pub checkpoint: Checkpoint,
}

impl Wire for PickupCode {
    const NAME: &'static str = "a pickup code";
    const MAX_LEN: usize = 1024;
}
