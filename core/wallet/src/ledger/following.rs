//! Where relays are, read anew on the ledger now and then, and when one is not where it was.

use std::sync::atomic::Ordering;

use clavicle_directory::Listing;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::time::HOUR_MS;
use clavicle_network::message::MAX_ROWS;
use tracing::debug;

use super::Ledger;
use crate::error::WalletError;

/// How old what is known of the directory may be until it is read anew, by block time, in milliseconds.
const READ_EVERY_MS: u64 = HOUR_MS;
/// The same when a relay was not where it was.
const READ_AGAIN_MS: u64 = 5_000;
/// The most questions in a row about where relays are. Of a network with more of them the others come later.
const READ_AT_ONCE: usize = 4;
/// Rows in such a question beside those of sources: the head and the roster.
const BESIDE: usize = 2;

impl Ledger {
    /// Reads the directory, if it is time to.
    pub(crate) async fn follow(&mut self) {
        let age_ms = self.light.newest().time.timestamp().since(self.directory.read_at().timestamp());
        let missed = self.missed.load(Ordering::Relaxed);
        if age_ms >= if missed { READ_AGAIN_MS } else { READ_EVERY_MS } {
            self.look_up(&[]).await;
        }
    }

    /// Reads the directory, first of all where the relays of these sources are. What cannot be read now stays as it is
    /// known.
    pub async fn look_up(&mut self, wanted: &[SourceId]) {
        // What is missed from here on is missed anew.
        self.missed.store(false, Ordering::Relaxed);
        for round in 0..READ_AT_ONCE {
            let asked = self.directory.due(if round == 0 { wanted } else { &[] }, MAX_ROWS - BESIDE);
            if let Err(error) = self.read_directory(&asked).await {
                return debug!(%error, "where relays are cannot be looked up");
            }
            if !self.directory.awaits_somebody() {
                return;
            }
        }
    }

    async fn read_directory(&mut self, asked: &[SourceId]) -> Result<(), WalletError> {
        let keys: Vec<StateKey> =
            [StateKey::Head, StateKey::Roster].into_iter().chain(asked.iter().copied().map(StateKey::Source)).collect();
        let proven = self.prove(&keys).await?;
        self.directory.learn(&proven.rows, asked)?;
        self.learn_identities(&proven, asked)?;
        self.learned = true;
        Ok(())
    }

    /// Of sources whose relays were not reached, those that are somewhere else by now: that is looked up.
    pub(crate) async fn have_moved(&mut self, sources: &[SourceId]) -> Vec<SourceId> {
        if sources.is_empty() {
            return Vec::new();
        }
        let before: Vec<_> = sources.iter().map(|source| self.directory.find(source).cloned()).collect();
        self.look_up(sources).await;
        let has_moved = |source: &SourceId, before: Option<Listing>| {
            let now = self.directory.find(source);
            now.is_some_and(|now| before.is_none_or(|before| !now.is_at_the_same_place(&before)))
        };
        sources.iter().zip(before).filter_map(|(source, before)| has_moved(source, before).then_some(*source)).collect()
    }

    /// Whether a source's relay, which was not reached, is somewhere else by now: that is looked up.
    pub(crate) async fn has_moved(&mut self, source: &SourceId) -> bool {
        !self.have_moved(&[*source]).await.is_empty()
    }
}
