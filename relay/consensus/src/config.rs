//! What the engine must be told.

use core::fmt;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;

use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;

use crate::elsewhere::Elsewhere;

/// What the engine must be told. Nothing in it is read from anywhere else.
#[derive(Clone)]
pub struct Config {
    /// The network.
    pub chain: ChainId,
    /// This source.
    pub source: SourceId,
    /// Its consensus key, which it also proves itself with; without one it follows the chain from elsewhere and never votes.
    pub consensus: Option<SecretKey>,
    /// A name for logs and metrics, of no meaning to others.
    pub moniker: String,
    /// Where to listen, as a multiaddress: `/ip4/0.0.0.0/tcp/26656`. Without a consensus key nobody listens.
    pub listen: String,
    /// Where decided blocks are asked for while there are too few links.
    pub elsewhere: Option<Arc<dyn Elsewhere>>,
    /// The directory of the write-ahead log. Losing it while validating risks voting twice.
    pub home: PathBuf,
    /// How long to wait for the others.
    pub timeouts: Timeouts,
    /// Time between blocks when there is nothing to put in them.
    pub heartbeat: Duration,
    /// How long after the start of a height to go on collecting precommits for its certificate; none: not at all.
    pub gather: Option<Duration>,
    /// How often to tell others how far this chain is: how soon a node notices that it is behind.
    pub status_interval: Duration,
}

/// How long to wait for the others in the first round of a height; each further round waits longer, by `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// For a proposal.
    pub propose: Duration,
    /// For more prevotes, when they do not agree.
    pub prevote: Duration,
    /// For more precommits, when they do not agree.
    pub precommit: Duration,
    /// How much longer each round.
    pub step: Duration,
    /// No wait is longer than this.
    pub longest: Duration,
}

impl Default for Timeouts {
    /// For hospitals with a round trip of some tens of milliseconds between them.
    fn default() -> Self {
        Self {
            propose: Duration::from_millis(300),
            prevote: Duration::from_millis(100),
            precommit: Duration::from_millis(100),
            step: Duration::from_millis(100),
            longest: Duration::from_secs(30),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("moniker", &self.moniker).field("listen", &self.listen).finish_non_exhaustive()
    }
}
