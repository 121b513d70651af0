//! Votes and proposals: what validators sign, in Tendermint's terms (Buchman, Kwon, Milosevic, "The latest gossip on BFT
//! consensus", 2018, Algorithm 1).
//!
//! The engine that exchanges them is elsewhere; what they are is agreed on here, so that a phone can check a
//! certificate, and anybody an equivocation, without it.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::Wire;
use crate::id::{BlockId, ChainId, SourceId};
use crate::time::Height;

/// Which of the two votes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum VoteKind {
    /// PREVOTE.
    Prevote,
    /// PRECOMMIT.
    Precommit,
}

/// A validator's vote, for a block or for nil.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Vote {
    /// Which vote.
    pub kind: VoteKind,
    /// At which height.
    pub height: Height,
    /// In which round.
    pub round: u32,
    /// For which block; nil when none.
    pub block: Option<BlockId>,
    /// By whom.
    pub validator: SourceId,
}

/// A proposer's claim that a block is its proposal for a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct RoundProposal {
    /// At which height.
    pub height: Height,
    /// In which round.
    pub round: u32,
    /// Which block.
    pub block: BlockId,
    /// The round in which more than two thirds prevoted for it, if it was proposed before (`validRound`).
    pub valid_round: Option<u32>,
    /// By whom.
    pub proposer: SourceId,
}

impl Vote {
    /// What the validator's consensus key signs.
    #[must_use]
    pub fn preimage(&self, chain: &ChainId) -> Vec<u8> {
        domain::preimage(Tag::VOTE, chain, self)
    }
}

impl RoundProposal {
    /// What the proposer's consensus key signs.
    #[must_use]
    pub fn preimage(&self, chain: &ChainId) -> Vec<u8> {
        domain::preimage(Tag::PROPOSAL, chain, self)
    }
}

impl Wire for Vote {
    const NAME: &'static str = "a vote";
    const MAX_LEN: usize = 1 + 8 + 4 + 33 + 32;
}

impl Wire for RoundProposal {
    const NAME: &'static str = "a proposal";
    const MAX_LEN: usize = 8 + 4 + 32 + 5 + 32;
}
