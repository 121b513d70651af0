//! A relay: its stores, its clocks and its keys, whether it runs or not.

mod open;
mod taking;

use std::sync::Arc;

use clavicle_imaging::reader::Reader;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_network::swarm::Peer;

use crate::answer::Refusing;
use crate::archive::{Archive, ArchiveError, Signer};
use crate::ending::{of_io, of_state};
use crate::gate::Refusals;
use crate::home::ReceiptSettings;
use crate::quarantine::Quarantine;
use crate::room::{DiskSettings, Room};
use crate::store::{ChainStore, Mailboxes, Notices, Pickups, Receipts, StoreError};
use crate::submission::Submission;
use crate::timekeeper::Timekeeper;

pub(crate) use self::open::opened;
pub use self::open::{Edge, OpenError};
pub use self::taking::Taking;

/// A relay.
#[derive(Clone)]
pub struct Service {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: SourceId,
    /// The network.
    pub genesis: Arc<Genesis>,
    /// Its id.
    pub chain: ChainId,
    /// The chain.
    pub store: Arc<ChainStore>,
    /// The images.
    pub archive: Arc<Archive>,
    /// Reads what comes from outside, in processes that can do nothing else.
    pub reader: Arc<dyn Reader>,
    /// How far what is taken in just now is.
    pub taking: Arc<Taking>,
    /// What came by itself and could not be taken in.
    pub quarantine: Arc<Quarantine>,
    /// What the desk issued.
    pub pickups: Arc<Pickups>,
    /// The mailboxes kept here.
    pub mailboxes: Arc<Mailboxes>,
    /// Takes transactions in.
    pub submission: Arc<Submission>,
    /// Who opened which study, and who was refused.
    pub receipts: Arc<Receipts>,
    /// Who is told what becomes of studies.
    pub notices: Arc<Notices>,
    /// How much of the disk may be used for what.
    pub disk: DiskSettings,
    /// The disk.
    pub room: Room,
    /// What is done with those.
    pub receipt_settings: ReceiptSettings,
    /// Why the gate said no.
    pub refusals: Arc<Refusals>,
    /// Signs studies.
    pub operational: SecretKey,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
    /// Its clocks, and what the others say of them and of the newest block.
    pub timekeeper: Arc<Timekeeper>,
    /// Whether it only looks: nothing is to be published, and so nothing given out.
    pub shadow: bool,
}

/// Why a relay could not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The quarantine could not be read.
    #[error("the quarantine cannot be read")]
    Quarantine(#[source] std::io::Error),
    /// Nobody can tell how full the disk is.
    #[error("how much room the disk has cannot be read")]
    Room(#[source] std::io::Error),
}

impl Refusing for ServiceError {
    fn code(&self) -> &str {
        "store"
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Store(error) => error.exit_code(),
            Self::State(error) => of_state(error),
            Self::Archive(error) => error.exit_code(),
            Self::Quarantine(error) | Self::Room(error) => of_io(error),
        }
    }
}

impl Service {
    /// With what this relay signs studies, now.
    pub(crate) fn signer(&self) -> Signer<'_> {
        Signer { chain: self.chain, source: self.source, operational: &self.operational, now: (self.clock)().0 }
    }

    /// The date for what is written down, kept or thrown away ([`Timekeeper::dated`]).
    #[must_use]
    pub fn dated(&self) -> Timestamp {
        self.timekeeper.dated(&self.store)
    }

    /// The other relays, as the ledger has them.
    pub(crate) fn relays(&self) -> Result<Vec<Peer>, ServiceError> {
        let snapshot = self.store.snapshot()?;
        let epoch = snapshot.head()?.epoch;
        let mut peers = Vec::new();
        for admitted in &snapshot.roster()?.admitted {
            if admitted.source != self.source
                && let Some(source) = snapshot.source(admitted.source)?
            {
                let addresses: Vec<String> =
                    source.announced.addresses.libp2p.iter().map(ToString::to_string).collect();
                let keys = source.keys_in(epoch).network.iter();
                peers.extend(keys.map(|key| Peer { key: *key, addresses: addresses.clone() }));
            }
        }
        Ok(peers)
    }
}
