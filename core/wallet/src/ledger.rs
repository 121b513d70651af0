//! The network as a wallet sees it: relays that are asked, and believed nothing without proof.
//!
//! Every question goes to a relay chosen at random, over a connection of its own under a throw-away name, so that relays cannot tell
//! which questions are of one person. (They still see an address and a time.)
//!
//! Where relays are is followed on the ledger ([`clavicle_directory`]): now and then, and when one is not where it was, in a question of its own.
//!
//! | | |
//! |---|---|
//! | `asking` | a question goes to relays, one after another or all at once |
//! | `believing` | what of their answers a header and a proof bear out |
//! | `following` | where relays are, read anew now and then |
//! | `submitting` | a transaction, until it is final |
//! | `mailboxes` | opened, left letters in, collected from |
//! | `waking` | the way back for who was away for long |

mod asking;
mod believing;
mod following;
mod mailboxes;
mod submitting;
mod vouching;
mod waking;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use clavicle_directory::Directory;
use clavicle_ledger::genesis::{Genesis, GenesisSource};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::light::{Identities, LightClient};
use clavicle_ledger::time::LocalTime;
use clavicle_network::endpoint::Remote;

pub use self::asking::Relay;
pub use self::believing::Proven;
pub(crate) use self::mailboxes::Peeked;
pub use self::mailboxes::{Collect, Collected, Keep};
pub use self::submitting::Submitted;
pub use self::waking::Woken;
use crate::envelope::Head;
use crate::silence::Silence;

/// The network as a wallet sees it.
#[derive(Clone)]
pub struct Ledger {
    chain: ChainId,
    light: LightClient,
    directory: Directory,
    /// What sources were called when the network began.
    names: Arc<BTreeMap<SourceId, String>>,
    /// By which identity keys sources are known, as far as rows have proven it.
    identities: Identities,
    /// Whether something was learned of the directory that nobody has kept yet.
    learned: bool,
    /// Whether a relay was not where it was, since the directory was read.
    missed: Arc<AtomicBool>,
    clock: fn() -> LocalTime,
    /// How far ahead of block time the network takes transactions; no vote changes it.
    window_ms: u64,
    /// Relays that did not answer in time when they were asked last: they come last.
    silent: Arc<Mutex<BTreeSet<SourceId>>>,
    /// Who is told that too few hospitals answer, and, with nothing, that enough do again.
    told: Told,
}

/// Who is told that too few hospitals answer, and, with nothing, that enough do again.
pub type Told = Arc<dyn Fn(Option<&Silence>) + Send + Sync>;

impl Ledger {
    /// The network of `genesis`, from what is believed of it so far.
    #[must_use]
    pub fn new(genesis: &Genesis, light: LightClient, clock: fn() -> LocalTime) -> Self {
        let chain = genesis.chain_id();
        let name = |source: &GenesisSource| {
            (SourceId::of_identity(&chain, &source.identity), source.announcement.name.to_string())
        };
        Self {
            chain,
            light,
            directory: Directory::at_genesis(genesis),
            names: Arc::new(genesis.sources.iter().map(name).collect()),
            silent: Arc::default(),
            identities: Identities::default(),
            learned: false,
            missed: Arc::default(),
            clock,
            window_ms: genesis.parameters.submit_window_ms,
            told: Arc::new(|_| ()),
        }
    }

    /// Has somebody told when too few hospitals answer for a transaction to become final.
    pub(crate) fn tell(&mut self, told: Told) {
        self.told = told;
    }

    /// The same with a directory that was kept, if one was.
    #[must_use]
    pub(crate) fn with(mut self, kept: Option<Directory>) -> Self {
        if let Some(kept) = kept {
            self.directory = kept;
        }
        self
    }

    /// The same with identity keys that were kept, if they were.
    #[must_use]
    pub(crate) fn knowing(mut self, kept: Option<Identities>) -> Self {
        if let Some(kept) = kept {
            self.identities = kept;
        }
        self
    }

    /// By which identity keys sources are known.
    pub(crate) const fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Where sources are, as far as it is known.
    #[must_use]
    pub const fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Whether something was learned of the directory since this was asked.
    pub(crate) const fn take_learned(&mut self) -> bool {
        core::mem::replace(&mut self.learned, false)
    }

    /// The network's id.
    #[must_use]
    pub const fn chain(&self) -> ChainId {
        self.chain
    }

    /// What is believed.
    #[must_use]
    pub const fn light(&self) -> &LightClient {
        &self.light
    }

    /// The newest header that is believed: the time that is shown to strangers.
    pub(crate) const fn head(&self) -> Head {
        Head { time: self.light.newest().time, window_ms: self.window_ms }
    }

    /// What tells the time.
    pub(crate) const fn clock(&self) -> fn() -> LocalTime {
        self.clock
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> LocalTime {
        (self.clock)()
    }

    /// Where a source's images were served when that was last looked up.
    pub(crate) fn last_served(&self, source: &SourceId) -> Option<Remote> {
        let listing = self.directory.find(source)?;
        Some(Remote::announced(listing.transfer, listing.image_addresses()))
    }

    /// Whether a source's relay is known.
    #[must_use]
    pub fn has_relay(&self, source: &SourceId) -> bool {
        self.directory.find(source).is_some()
    }

    /// What a source was called when the network began; one that joined since is called by its id.
    pub(crate) fn name(&self, source: &SourceId) -> String {
        self.names.get(source).cloned().unwrap_or_else(|| {
            let id = source.to_string();
            format!("hospital {}", id.get(..12).unwrap_or(&id))
        })
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("chain", &self.chain).field("newest", &self.light.newest().height).finish()
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::{Ascending, Text};
    use clavicle_ledger::genesis::Parameters;
    use clavicle_ledger::time::{BlockTime, DAY_MS, Timestamp};

    use super::*;

    /// The game in `envelope/game.rs` is about what is made of this.
    #[test]
    fn the_time_that_strangers_see_is_a_proven_headers_whatever_the_clock_shows() {
        let time = BlockTime(Timestamp(20_000 * DAY_MS));
        let (name, parameters) = (Text::new("test").unwrap(), Parameters::default());
        let genesis = Genesis { name, time, parameters, sources: Ascending::new() };
        let clocks: [fn() -> LocalTime; 3] = [
            || LocalTime(Timestamp(0)),
            || LocalTime(Timestamp(20_000 * DAY_MS + 1_234)),
            || LocalTime(Timestamp(u64::MAX)),
        ];
        for clock in clocks {
            let ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), clock);
            assert_eq!(ledger.head().time, time);
        }
    }
}
