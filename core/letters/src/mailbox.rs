//! Mailboxes: where relays keep what one person tells another until it is collected.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Key;

/// The longest sealed message, in bytes.
pub const MAX_SEALED_LEN: usize = 64 * 1024;

/// Where messages to a person are left.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Mailbox {
    /// The mailbox's key.
    pub key: Key,
    /// The sources whose relays keep it.
    pub relays: Ascending<SourceId, 2>,
    /// What gives the right to deposit.
    pub token: Token,
}

/// What gives the right to deposit: it stands on a Card or a Pickup.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Token(pub [u8; 16]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}
