//! A relay: its stores, its clocks and its keys, whether it runs or not.

mod open;
mod taking;

use std::sync::Arc;

use clavicle_ledger::state::ReadError;
use clavicle_ledger::time::LocalTime;
use clavicle_sandbox::reader::Reader;

use crate::answer::Refusing;
use crate::archive::{Archive, ArchiveError};
use crate::credentials::Credentials;
use crate::ending::{of_io, of_state};
use crate::home::ReceiptSettings;
use crate::member::Member;
use crate::quarantine::Quarantine;
use crate::recoveries::Recoveries;
use crate::refusals::Refusals;
use crate::room::{DiskSettings, Room};
use crate::store::{ChainStore, Mailboxes, Notices, Pickups, Receipts, StoreError};
use crate::submission::Submission;
use crate::timekeeper::Timekeeper;

pub(crate) use self::open::opened;
pub use self::open::{Edge, OpenError, open};
pub use self::taking::Taking;

/// A relay: everything that its parts share.
#[derive(Clone)]
pub struct Service {
    /// Which hospital it is of, in which network.
    pub member: Arc<Member>,
    /// The chain.
    pub store: Arc<ChainStore>,
    /// Takes transactions in.
    pub submission: Arc<Submission>,
    /// The images, and what is needed to take more in.
    pub images: Images,
    /// What it keeps of and for people.
    pub records: Records,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
    /// Its clocks, and what the others say of them and of the newest block.
    pub timekeeper: Arc<Timekeeper>,
    /// Whether it only looks: nothing is to be published, and so nothing given out.
    pub shadow: bool,
}

/// The images, and what is needed to take more in.
#[derive(Clone)]
pub struct Images {
    /// The images.
    pub archive: Arc<Archive>,
    /// Reads what comes from outside, in processes that can do nothing else.
    pub reader: Arc<dyn Reader>,
    /// How far what is taken in just now is.
    pub taking: Arc<Taking>,
    /// What came by itself and could not be taken in.
    pub quarantine: Arc<Quarantine>,
    /// How much of the disk may be used for what.
    pub disk: DiskSettings,
    /// The disk.
    pub room: Room,
}

/// What a relay keeps of and for people.
#[derive(Clone)]
pub struct Records {
    /// What the desk issued.
    pub pickups: Arc<Pickups>,
    /// The mailboxes kept here.
    pub mailboxes: Arc<Mailboxes>,
    /// Who opened which study, and who was refused.
    pub receipts: Arc<Receipts>,
    /// What is done with those.
    pub settings: ReceiptSettings,
    /// Who is told what becomes of studies.
    pub notices: Arc<Notices>,
    /// Why the gate said no.
    pub refusals: Arc<Refusals>,
    /// What was given back to people who lost their keys.
    pub recoveries: Arc<Recoveries>,
    /// Whom the hospital vouches for.
    pub credentials: Arc<Credentials>,
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
