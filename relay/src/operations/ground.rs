//! On what an operation is done.

use std::sync::Arc;

use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::time::LocalTime;
use clavicle_network::file as network_file;

use super::taking::TakingRow;
use crate::home::Home;
use crate::keys::Keys;
use crate::made::Made;
use crate::service::{self, Edge, OpenError, Service};

/// On what an operation is done, and with that who may ask for it.
pub trait Ground: Sized + Sync {
    /// Whether a running relay is asked, over its socket, which answers its owner alone. If not, it must not run.
    const RUNNING: bool;

    /// That of a running relay.
    fn of(relay: &Service) -> Option<&Self>;

    /// That in a folder in which no relay runs, for whoever may read it: its owner.
    ///
    /// # Errors
    /// [`OpenError`].
    fn open(home: &Home, edge: Edge) -> Result<Self, OpenError>;

    /// How far a long operation is.
    fn how_far(&self) -> TakingRow {
        TakingRow::default()
    }
}

/// The relay's owner asks: a running relay over its socket, or else its stores.
impl Ground for Service {
    const RUNNING: bool = true;

    fn of(relay: &Service) -> Option<&Self> {
        Some(relay)
    }

    fn open(home: &Home, edge: Edge) -> Result<Self, OpenError> {
        service::open(home, edge)
    }

    fn how_far(&self) -> TakingRow {
        let (seen, files) = self.images.taking.at();
        TakingRow { seen, files }
    }
}

/// A relay that does not run, and whose stores need not all be there. Its owner asks, in its folder.
pub struct Stopped {
    /// Its folder.
    pub home: Home,
    /// Its network.
    pub genesis: Arc<Genesis>,
    /// Its keys.
    pub keys: Keys,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
}

impl Ground for Stopped {
    const RUNNING: bool = false;

    fn of(_: &Service) -> Option<&Self> {
        None
    }

    fn open(home: &Home, edge: Edge) -> Result<Self, OpenError> {
        home.settings()?;
        if home.is_served() {
            return Err(OpenError::Running);
        }
        let (genesis, keys) = (network_file::read_genesis(&home.joined()?)?, Keys::read(&home.keys_folder())?);
        Ok(Self { home: home.clone(), genesis: Arc::new(genesis), keys, clock: edge.now })
    }
}

impl Stopped {
    /// The list of the stores that it has made, held: no other process opens them meanwhile.
    pub(super) fn made(&self) -> Result<Made, OpenError> {
        Ok(Made::open(&self.home, &self.keys.operational, (self.clock)())?)
    }
}
