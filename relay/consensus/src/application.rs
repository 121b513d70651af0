//! What the engine asks of whoever keeps the chain.

use std::error::Error;

use clavicle_ledger::action::Conflict;
use clavicle_ledger::block::{Block, CommitCertificate};
use clavicle_ledger::id::{BlockId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::Height;
use clavicle_ledger::validators::ValidatorSet;

/// Whoever keeps the chain: the relay with its store, a test with a map.
///
/// Called on one thread of its own, one question at a time, in the order in which the engine asks: a call may read and
/// write files, but while it lasts this validator neither proposes nor votes. Everything it said it keeps must be on disk
/// before it returns: the engine votes on the strength of it, and a validator that forgets what it voted for can be made
/// to vote twice.
///
/// An error stops the engine ([`crate::Stopped::Application`]). So an error is for a store that fails, never for a block.
pub trait Application: Send + 'static {
    /// A store that fails.
    type Error: Error + Send + Sync + 'static;

    /// The height to decide next, and who decides it: from committed state only, or validators would disagree.
    ///
    /// # Errors
    /// The store's.
    fn next(&self) -> Result<(Height, ValidatorSet), Self::Error>;

    /// The other validators, from committed state: where they listen, and the keys that they will have.
    ///
    /// # Errors
    /// The store's.
    fn neighbours(&self) -> Result<Vec<Neighbour>, Self::Error>;

    /// Whether there is something that would be put into a block: not merely something that was sent in, or empty blocks
    /// follow each other. When not, the next height begins with the heartbeat.
    fn pending(&self) -> bool;

    /// Builds a block for this round and keeps it. Asked again for the same height and round, also after a restart, it
    /// returns the same block: another would be an equivocation.
    ///
    /// # Errors
    /// The store's.
    fn propose(&mut self, height: Height, round: u32) -> Result<(BlockId, Vec<u8>), Self::Error>;

    /// Validates a block completely and, when it is valid, keeps it before returning.
    ///
    /// What the header commits to has been compared: the transactions and the certificate in it are those of this id.
    /// A block already found valid may be asked about again. A verdict of [`Verdict::Invalid`] must follow from the block,
    /// the chain and, for [`Origin::Proposed`] alone, the clock.
    ///
    /// # Errors
    /// The store's.
    fn validate(&mut self, candidate: Candidate<'_>) -> Result<Verdict, Self::Error>;

    /// The valid blocks kept for this height and not decided, with the rounds they were kept for.
    ///
    /// # Errors
    /// The store's.
    fn undecided(&self, height: Height) -> Result<Vec<Undecided>, Self::Error>;

    /// The bytes of a valid block kept for this height.
    ///
    /// # Errors
    /// The store's.
    fn kept(&self, height: Height, block: BlockId) -> Result<Option<Vec<u8>>, Self::Error>;

    /// Commits a block, with its certificate, and applies it. Afterwards [`Application::next`] is the height after it.
    ///
    /// # Errors
    /// The store's; and when the block is not kept, for then something was lost that was voted for.
    fn decide(&mut self, certificate: CommitCertificate) -> Result<(), Self::Error>;

    /// What became known after the decision: the certificate, perhaps with more signatures, and who was seen
    /// equivocating. Evidence comes once, so what is not kept is lost.
    ///
    /// # Errors
    /// The store's.
    fn finalised(&mut self, certificate: CommitCertificate, evidence: Vec<Conflict>) -> Result<(), Self::Error>;

    /// A decided block, for others who missed it; none when it is not here (any more).
    ///
    /// # Errors
    /// The store's.
    fn decided(&self, height: Height) -> Result<Option<Decided>, Self::Error>;

    /// The earliest height that [`Application::decided`] still has.
    ///
    /// # Errors
    /// The store's.
    fn earliest(&self) -> Result<Height, Self::Error>;
}

/// Another validator, as the chain knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Neighbour {
    /// Which.
    pub source: SourceId,
    /// Where it listens: `/ip4/…/tcp/…`, `/ip6/…/tcp/…` or `/dns4/…/tcp/…`. Others are left out. With none it is waited for.
    pub addresses: Vec<String>,
    /// The consensus key that it will have when the next epoch begins, if that is known.
    pub upcoming: Option<Key>,
}

/// A block somebody sent.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The height it is for: the one that [`Application::next`] says.
    pub height: Height,
    /// Its id: its header's hash.
    pub id: BlockId,
    /// The block.
    pub block: &'a Block,
    /// Its one encoding.
    pub bytes: &'a [u8],
    /// How it came.
    pub origin: Origin,
}

/// How a block came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Proposed without a proof that it was proposed before: its time is checked against the clock. Its proposer says so,
    /// with its signature.
    Proposed {
        /// In which round.
        round: u32,
        /// By whom.
        proposer: SourceId,
    },
    /// Proposed again, with the claim, signed by the one who proposes it now, that in an earlier round more than two
    /// thirds prevoted for it. The engine asks for those prevotes before it votes.
    ProposedAgain {
        /// In which round.
        round: u32,
        /// By whom.
        proposer: SourceId,
        /// The earlier round.
        valid_round: u32,
    },
    /// Decided by the others, who sent a certificate, which the engine verified.
    Decided {
        /// In which round.
        round: u32,
    },
}

impl Origin {
    /// The round it came in.
    #[must_use]
    pub const fn round(&self) -> u32 {
        match *self {
            Self::Proposed { round, .. } | Self::ProposedAgain { round, .. } | Self::Decided { round } => round,
        }
    }
}

/// What became of a validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The block may follow the newest one here, and is kept.
    Valid,
    /// It may not.
    Invalid,
}

/// A valid block that was kept and not decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecided {
    /// Its id.
    pub id: BlockId,
    /// The round it was kept for.
    pub round: u32,
    /// Who proposed it then.
    pub proposer: SourceId,
}

/// A decided block with all that proves it.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// Its certificate.
    pub certificate: CommitCertificate,
    /// Those who decided it.
    pub validators: ValidatorSet,
}
