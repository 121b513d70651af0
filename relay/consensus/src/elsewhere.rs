//! Decided blocks from somewhere else than a link: for whoever has none, or not enough of them.
//!
//! A relay that is not admitted yet, whose keys the others do not know yet, or that does not know theirs any more, proves nothing to them that they would
//! listen to. It still catches up, since a block with its certificate needs no link to be believed: the engine checks each against
//! the validators it knows at that height, as it does with what a link brings.

use async_trait::async_trait;
use clavicle_ledger::id::{BlockId, SourceId};
use clavicle_ledger::key::Signature;
use clavicle_ledger::time::Height;

/// Whom to ask for decided blocks, and how: for a relay its public port. Nothing that comes is believed.
///
/// Calls take as long as they take: they are dropped after ten seconds, and few run at once.
#[async_trait]
pub trait Elsewhere: Send + Sync + 'static {
    /// Those who can be asked.
    fn whom(&self) -> Vec<SourceId>;

    /// The newest height that one of them has; none when it does not say.
    async fn newest(&self, whom: SourceId) -> Option<Height>;

    /// Blocks that one of them has: the one at `first` and some that follow, `last` at most. None when it does not say.
    async fn blocks(&self, whom: SourceId, first: Height, last: Height) -> Vec<CertifiedBlock>;
}

/// A decided block, with who signed for it by name: whoever reads it need not know the set that decided it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertifiedBlock {
    /// Its encoding.
    pub bytes: Vec<u8>,
    /// Its height.
    pub height: Height,
    /// The round it was decided in.
    pub round: u32,
    /// Its id.
    pub id: BlockId,
    /// The precommits for it.
    pub signatures: Vec<(SourceId, Signature)>,
}
