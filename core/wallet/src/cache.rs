//! The cache: studies that were fetched, sealed, in the wallet's folder.
//!
//! ```text
//! <wallet>/images/<random name>/     the pack of a study
//! ```
//!
//! The name and the key of each are in the vault. Dropping the row is as good as dropping the images.

use std::fs;
use std::io::{self, Read as _};
use std::path::PathBuf;

use clavicle_ledger::encoding::{self, Hex};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::terms::SeriesScope;
use clavicle_manifest::StoredDigest;
use clavicle_network::pack::{Pack, PackError, PackKey, PackReader, Reader};
use clavicle_network::transfer::{Item, Listing, Offer};

use crate::error::WalletError;
use crate::rows::{Cached, Fetched};
use crate::vault::Vault;
use crate::wallet::random;

/// What was fetched of a study, open; or what has come of it so far, while the rest comes.
#[derive(Debug)]
pub struct Images {
    pack: PackReader,
    offer: Offer,
}

impl Images {
    /// What is in a pack of what was offered.
    pub(crate) const fn of(pack: PackReader, offer: Offer) -> Self {
        Self { pack, offer }
    }

    /// What the source signed.
    #[must_use]
    pub const fn listing(&self) -> &Listing {
        &self.offer.manifest
    }

    /// Reads an item's bytes.
    ///
    /// # Errors
    /// [`PackError::Absent`] when it did not arrive.
    pub fn read(&self, item: &Item<'_>) -> Result<Reader, PackError> {
        self.pack.read(&item.stored(), item.size())
    }

    /// Whether everything that is listed is there.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.listing().items().iter().all(|item| self.has(item))
    }

    /// Whether it lists everything that such a scope covers.
    #[must_use]
    pub fn covers(&self, scope: &SeriesScope) -> bool {
        match (self.listing().part(), scope) {
            (None, _) => true,
            (Some(_), SeriesScope::All) => false,
            (Some(part), SeriesScope::These(these)) => {
                part.missing(&self.offer.salt, &these.iter().copied().collect::<Vec<_>>()).is_empty()
            }
        }
    }

    /// Whether an item is there.
    #[must_use]
    pub fn has(&self, item: &Item<'_>) -> bool {
        self.pack.has_all(&item.stored(), item.size())
    }
}

/// Where a study's images are, and what opens them. What is missing is made.
pub(crate) fn place(vault: &Vault, study: StudyId) -> Result<Cached, WalletError> {
    if let Some(cached) = vault.get::<Cached>(study.as_bytes())? {
        return Ok(cached);
    }
    let cached = Cached { folder: random()?, key: random()?, fetched: None };
    vault.put(study.as_bytes(), &cached)?;
    Ok(cached)
}

/// Opens the pack of a place.
pub(crate) fn open(vault: &Vault, cached: &Cached) -> Result<Pack, PackError> {
    Pack::open(&folder(vault, cached), &PackKey::from_bytes(cached.key))
}

fn folder(vault: &Vault, cached: &Cached) -> PathBuf {
    vault.folder().join("images").join(Hex(&cached.folder).to_string())
}

/// Takes note of what is in a pack now; everything else in it goes.
pub(crate) fn settle(
    vault: &Vault,
    (study, cached): (StudyId, &Cached),
    mut pack: Pack,
    offer: &Offer,
) -> Result<Images, WalletError> {
    let (stored, size) = pack.put(&encoding::encode(offer))?;
    pack.settle()?;
    let fetched = Fetched { offer: stored, offer_size: size };
    vault.put(study.as_bytes(), &Cached { fetched: Some(fetched), ..cached.clone() })?;
    let items = offer.manifest.items();
    let mut keep: Vec<(StoredDigest, u64)> = items.iter().map(|item| (item.stored(), item.size())).collect();
    keep.push((stored, size));
    let pack = pack.retain(&keep, &PackKey::from_bytes(cached.key))?;
    Ok(Images { pack: pack.reader(), offer: offer.clone() })
}

/// What was fetched of a study.
///
/// # Errors
/// [`WalletError::NotFetched`].
pub(crate) fn images(vault: &Vault, study: StudyId) -> Result<Images, WalletError> {
    let cached = vault.get::<Cached>(study.as_bytes())?.ok_or(WalletError::NotFetched)?;
    let fetched = cached.fetched.as_ref().ok_or(WalletError::NotFetched)?;
    let pack = PackReader::open(&folder(vault, &cached), &PackKey::from_bytes(cached.key));
    let pack = pack.map_err(|error| if matches!(error, PackError::Absent) { PackError::Damaged } else { error })?;
    let mut bytes = Vec::new();
    let read = pack.read(&fetched.offer, fetched.offer_size)?.read_to_end(&mut bytes);
    read.map_err(|_| PackError::Damaged)?;
    let offer = encoding::decode(&bytes).map_err(|_| PackError::Damaged)?;
    Ok(Images { pack, offer })
}

/// Removes what was fetched of a study; says whether there was anything.
///
/// # Errors
/// [`PackError::Busy`] while it is being fetched, and others.
pub(crate) fn forget(vault: &Vault, study: StudyId) -> Result<bool, WalletError> {
    let Some(cached) = vault.get::<Cached>(study.as_bytes())? else { return Ok(false) };
    let folder = folder(vault, &cached);
    // Not while more comes: whoever fetches would say afterwards that it is there.
    let _held = match folder.exists().then(|| open(vault, &cached)) {
        Some(Err(PackError::Busy)) => return Err(PackError::Busy.into()),
        other => other,
    };
    // The key first: without it the rest is noise.
    vault.remove::<Cached>(study.as_bytes())?;
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WalletError::File { path: folder, error }),
        _ => Ok(true),
    }
}
