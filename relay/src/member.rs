//! Which hospital of which network a relay is.

use std::sync::Arc;

use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::Timestamp;

use crate::archive::Signer;
use crate::checkpoints::CheckpointBook;
use crate::home::Home;

/// A member of a network, and the key that it speaks with.
#[derive(Clone)]
pub struct Member {
    /// The relay's folder.
    pub home: Home,
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: SourceId,
    /// Its operational key: signs studies, and whatever else the hospital says.
    pub operational: SecretKey,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// Its id.
    pub chain: ChainId,
    /// What it and the others vouch for, to wallets that were away too long.
    pub checkpoints: Arc<CheckpointBook>,
}

impl Member {
    /// With what it signs studies, now.
    #[must_use]
    pub fn signer(&self, now: Timestamp) -> Signer<'_> {
        Signer { chain: self.chain, source: self.source, operational: &self.operational, now }
    }
}
