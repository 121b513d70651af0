//! What a patient does: pick up, grant, revoke, look.
//!
//! Every step is kept in the vault before it is taken, so that whatever breaks off goes on where it was when the same thing is asked
//! for again: with the same keys, and the same signed transaction.

mod access;
mod caps;
mod changing;
mod devices;
mod ending;
mod grant;
mod introduce;
mod invite;
mod pickup;
mod places;
mod receipts;
mod recovery;
mod renewal;
mod restore;
mod series;
mod spread;

use std::path::Path;

use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::Study;
use clavicle_ledger::time::{Height, LocalTime};
use clavicle_letters::grant_code::GrantCode;

pub use self::access::{Access, AccessRow, EndedRow, HowEnded};
pub use self::changing::{Changed, GrantChange, Narrowing};
pub use self::devices::{DeviceRow, Shared};
pub use self::ending::{EndOutcome, EndingRow, Endings, Whose};
pub use self::grant::{Granted, Revocable};
pub use self::introduce::Introduced;
pub use self::invite::{FAR_BEGINS_MS, FAR_MS, MAX_INVITATION_MINUTES, is_verified};
pub use self::pickup::{PickedUp, PickupOutcome};
pub use self::receipts::Look;
pub use self::recovery::{PendingRow, RecoveredStudy, RecoveryOutcome, RecoveryStep, VetoRow};
pub use self::renewal::Moved;
pub use self::restore::{Found, Restored};
pub use self::spread::{MAX_SPREAD_MS, Planned};
pub use crate::caps::{Cap, Caps};
pub use crate::envelope::GrantRequest;
pub use crate::error::MAX_RUNS;
use crate::error::WalletError;
use crate::ledger::{Proven, Told, Woken};
use crate::objection;
pub use crate::rows::Way;
use crate::rows::{Held, UnderFormer};
use crate::vault::KeyStore;
use crate::wallet::{Kind, Wallet};

/// A patient's wallet.
#[derive(Debug)]
pub struct Patient {
    wallet: Wallet,
    /// The card that was looked at last.
    looked: Option<Box<Introduced>>,
    /// Whether other devices are not told of what is being picked up.
    only_here: bool,
}

impl Patient {
    const fn of(wallet: Wallet) -> Self {
        Self { wallet, looked: None, only_here: false }
    }
}

/// A study of the patient's.
#[derive(Clone)]
pub struct OwnStudy {
    /// Its id.
    pub id: StudyId,
    /// What is kept of it.
    pub held: Held,
}

impl Patient {
    /// Makes a patient's wallet, and gives the words to be written down.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn create(
        folder: &Path,
        keys: &dyn KeyStore,
        genesis: Genesis,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, Words), WalletError> {
        let (wallet, words) = Wallet::create(folder, keys, genesis, "", clock)?;
        Ok((Self::of(wallet), words))
    }

    /// Opens a patient's wallet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(folder: &Path, keys: &dyn KeyStore, clock: fn() -> LocalTime) -> Result<Self, WalletError> {
        Ok(Self::of(Wallet::open(folder, keys, Kind::Patient, clock)?))
    }

    /// The places of the three words, counted from 1, that are to be told so that it is known that they are written
    /// down; nothing once they were. Until then a lost device is a lost wallet.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn words_asked(&self) -> Result<Option<[u8; 3]>, WalletError> {
        self.wallet.words_asked()
    }

    /// Checks these three words, in their order.
    ///
    /// # Errors
    /// [`WalletError::OtherWords`]; others are asked for then.
    pub fn check_words(&self, typed: &str) -> Result<(), WalletError> {
        self.wallet.check_words(typed)
    }

    /// The words, for whoever shows that they may see them.
    ///
    /// # Errors
    /// [`WalletError::Vault`], when these keys do not open it.
    pub fn words(&self, keys: &dyn KeyStore) -> Result<Words, WalletError> {
        self.wallet.words_shown_to(keys)
    }

    /// Makes a second way in: see [`Vault::add_keys`](crate::vault::Vault::add_keys).
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn add_keys(&self, keys: &dyn KeyStore) -> Result<(), WalletError> {
        Ok(self.wallet.vault.add_keys(keys)?)
    }

    /// Has somebody told at once when too few hospitals answer for what is submitted to become final, and, with nothing, when enough do again.
    pub fn tell(&mut self, told: Told) {
        self.wallet.ledger.tell(told);
    }

    /// Finds the way back by itself, should the network have gone on for so long without this wallet that nothing is believed any more: by a block that
    /// hospitals vouch for. Whatever asks the ledger does so too; who wants to tell calls this first.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn wake(&mut self) -> Result<Option<Woken>, WalletError> {
        self.wallet.wake().await
    }

    /// Submits a grant that somebody signed without a network, and waits until it is final.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn submit_grant(&mut self, code: &GrantCode) -> Result<Height, WalletError> {
        self.wallet.submit_grant(code).await
    }

    /// The patient's studies.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn studies(&self) -> Result<Vec<OwnStudy>, WalletError> {
        let all = self.wallet.vault.all::<Held>()?.into_iter();
        let own = |(id, held): (Vec<u8>, Held)| Some(OwnStudy { id: StudyId::from_bytes(id.try_into().ok()?), held });
        let mut studies: Vec<OwnStudy> = all.filter_map(own).collect();
        studies.sort_by_key(|study| (study.held.known.as_ref().and_then(|known| known.summary.date), study.id));
        Ok(studies)
    }

    /// The one study whose id begins like this.
    ///
    /// # Errors
    /// [`WalletError::NoStudy`], [`WalletError::Ambiguous`].
    pub fn study(&self, begin: &str) -> Result<OwnStudy, WalletError> {
        one(begin, self.studies()?, |study, begin| study.id.to_string().starts_with(begin), WalletError::NoStudy)
    }

    /// The key that holds a study.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn holder(&self, study: &OwnStudy) -> Result<SecretKey, WalletError> {
        let OwnStudy { id, held } = study;
        let seed = match self.wallet.vault.get::<UnderFormer>(id.as_bytes())? {
            Some(under) => self.wallet.seed_of(under.words)?,
            None => self.wallet.seed()?,
        };
        seed.derive_key(held.device, Branch::Study, held.holder).ok_or(WalletError::NoMoreKeys)
    }

    /// A study's record as the ledger has it now, if it is still this wallet's.
    async fn record(&mut self, study: &OwnStudy) -> Result<(Study, Proven), WalletError> {
        if study.held.final_at.is_none() {
            return Err(WalletError::StudyNotFinal);
        }
        let holder = self.holder(study)?.public();
        self.record_of(study.id, study.held.source, &holder).await
    }

    /// A study's record as the ledger has it now, and its source, if this key holds it.
    async fn record_of(&mut self, id: StudyId, source: SourceId, holder: &Key) -> Result<(Study, Proven), WalletError> {
        let asked = [StateKey::Head, StateKey::Rules, StateKey::Study(id), StateKey::Source(source)];
        let proven = self.wallet.rows(&asked).await?;
        let record = proven.rows.study(id)?.ok_or(WalletError::NotOnLedger)?;
        objection::keep(&self.wallet.vault, id, &record, &proven)?;
        if record.holder == *holder { Ok((record, proven)) } else { Err(WalletError::OtherHolder) }
    }
}

/// The one of which `is`, given the beginning of a name, says that it is meant. Without a beginning none is.
pub(crate) fn one<T>(
    begin: &str,
    all: Vec<T>,
    is: impl Fn(&T, &str) -> bool,
    none: impl FnOnce(String) -> WalletError,
) -> Result<T, WalletError> {
    let begins = begin.trim().to_lowercase();
    let mut found: Vec<T> = all.into_iter().filter(|one| !begins.is_empty() && is(one, &begins)).collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(none(begin.to_owned())),
        (Some(_), more) => Err(WalletError::Ambiguous { begin: begin.to_owned(), count: more + 1 }),
    }
}
