//! Restoring: the patient's studies, with nothing but the words and the network.
//!
//! The words give every key there ever was. Which of them hold studies the ledger knows; what those studies are, and their images, their
//! sources tell whoever has the key. Relays are asked for all keys that begin alike, so that they cannot tell which of them are one person's.
//!
//! A wallet that is restored is a device of its own: it uses keys under a number that no study is held under yet, so that two wallets of the
//! same words never take the same key for two studies. Should two be restored at the same time, the one that comes later passes over
//! what the other has used.

use std::collections::BTreeMap;
use std::path::Path;

use clavicle_ledger::derivation::{Branch, Seed, Words};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{Checkpoint, LightClient};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::LocalTime;
use clavicle_network::message::{Holding, Prefix};

use super::Patient;
use super::access::own_download;
use crate::error::WalletError;
use crate::ledger::Ledger;
use crate::rows::{Held, Profile, Summary};
use crate::vault::{Passphrase, VaultError};
use crate::wallet::Wallet;

/// After how many keys in a row that hold nothing a device is taken to have no more. Keys are used up by pickups that came to nothing, too.
const UNUSED_KEYS: u32 = 20;
/// After how many devices in a row that hold nothing there are taken to be no more.
const UNUSED_DEVICES: u32 = 4;
/// By how many bits a prefix grows that too many holders have.
const MORE_BITS: u8 = 4;

/// A wallet that was restored.
#[derive(Debug)]
pub struct Restored {
    /// The wallet; [`Patient::find`] brings its studies into it.
    pub patient: Patient,
    /// How many studies the ledger has for its words.
    pub studies: usize,
}

/// A study that the ledger has for the wallet's words.
#[derive(Debug)]
pub enum Found {
    /// It is in the wallet now.
    New(StudyId),
    /// It was in the wallet before.
    Known(StudyId),
    /// Its source could not be asked what it is, or does not say.
    NotTold(StudyId, WalletError),
}

/// A study, and the place of the key that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u32,
    number: u32,
    study: StudyId,
}

impl Patient {
    /// Makes a wallet of its words. `checkpoint` is where to start if the network is so old that its genesis is not believed any more: of a
    /// code that a hospital handed over.
    ///
    /// # Errors
    /// [`WalletError`]; nothing is made then.
    pub async fn restore(
        folder: &Path,
        passphrase: &Passphrase,
        genesis: Genesis,
        words: &Words,
        checkpoint: Option<&Checkpoint>,
        clock: fn() -> LocalTime,
    ) -> Result<Restored, WalletError> {
        genesis.check()?;
        let mut ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), clock);
        if let Some(checkpoint) = checkpoint {
            ledger.renew(checkpoint).await?;
        }
        let places = Search::new(&ledger, words.seed()).all().await?;
        // Never the first: of that one a wallet may be left that has held nothing yet.
        let device = places.iter().map(|place| place.device).max().unwrap_or(0).saturating_add(1);
        let wallet = Wallet::make(folder, passphrase, genesis, ledger, (words, device), "")?;
        Ok(Restored { patient: Self { wallet }, studies: places.len() })
    }

    /// Looks for all studies that the ledger has for the wallet's words, whichever device picked them up, and asks the sources of those that are
    /// not in the wallet what they are. `progress` is told how many are done, and of how many.
    ///
    /// # Errors
    /// [`WalletError`]; what was found by then is in the wallet.
    pub async fn find(&mut self, progress: impl Fn(usize, usize)) -> Result<Vec<Found>, WalletError> {
        let places = Search::new(&self.wallet.ledger, self.wallet.seed()?).all().await?;
        let (mut all, count) = (Vec::new(), places.len());
        for (done, place) in (1..).zip(places) {
            let known = self.wallet.vault.get::<Held>(place.study.as_bytes())?;
            let one = if known.is_some_and(|held| held.final_at.is_some()) {
                Found::Known(place.study)
            } else {
                match Box::pin(self.ask_what_it_is(&place)).await {
                    Ok(held) => {
                        self.wallet.vault.put(place.study.as_bytes(), &held)?;
                        Found::New(place.study)
                    }
                    // Only a relay's word said that it is.
                    Err(WalletError::NotOnLedger | WalletError::OtherHolder) => continue,
                    // What cannot be kept here is nothing that the source could help.
                    Err(error @ (WalletError::Vault(_) | WalletError::Random(_))) => return Err(error),
                    Err(error) => Found::NotTold(place.study, error),
                }
            };
            all.push(one);
            progress(done, count);
        }
        Ok(all)
    }

    async fn ask_what_it_is(&mut self, place: &Place) -> Result<Held, WalletError> {
        let key = self.wallet.seed()?.derive_key(place.device, Branch::Study, place.number);
        let key: SecretKey = key.ok_or(WalletError::NoMoreKeys)?;
        let proven = self.wallet.rows(&[StateKey::Study(place.study)]).await?;
        let source = proven.rows.study(place.study)?.ok_or(WalletError::NotOnLedger)?.source;
        let (record, proven) = self.record_of(place.study, source, &key.public()).await?;
        let download = own_download(place.study, record, &proven)?;
        let (endpoint, verified) = Box::pin(self.wallet.knock(download, &key)).await?;
        let offer = verified.offer().clone();
        verified.close().await;
        endpoint.close().await;
        // A holder is offered all of it.
        let manifest = offer.manifest.whole().ok_or(WalletError::OtherAnswer)?;
        Ok(Held {
            source,
            salt: offer.salt.clone(),
            device: place.device,
            holder: place.number,
            summary: Summary::of(manifest),
            claim: None,
            final_at: Some(proven.height),
        })
    }

    /// Passes over the next `count` keys as far as another device of the same number has used them.
    pub(super) async fn pass_used_keys(&mut self, count: usize) -> Result<(), WalletError> {
        let profile = self.wallet.profile()?;
        // The first device is made with the words, and cannot be made twice.
        if profile.device == 0 {
            return Ok(());
        }
        let mut search = Search::new(&self.wallet.ledger, self.wallet.seed()?);
        let (mut next, mut free) = (profile.next_study, 0);
        while free < count {
            let at = next.saturating_add(u32::try_from(free).unwrap_or(u32::MAX));
            if search.held(profile.device, at).await?.is_empty() {
                free += 1;
            } else {
                (next, free) = (at.saturating_add(1), 0);
            }
        }
        if next > profile.next_study {
            self.wallet.vault.write(|batch| -> Result<(), VaultError> {
                let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(()) };
                profile.next_study = profile.next_study.max(next);
                batch.put(b"", &profile)
            })?;
        }
        Ok(())
    }
}

/// Looks for the studies of a wallet's keys.
struct Search<'a> {
    ledger: &'a Ledger,
    seed: Seed,
    bits: u8,
    known: BTreeMap<Prefix, Vec<Holding>>,
}

impl<'a> Search<'a> {
    const fn new(ledger: &'a Ledger, seed: Seed) -> Self {
        Self { ledger, seed, bits: 0, known: BTreeMap::new() }
    }

    /// All of them, by device and number.
    async fn all(&mut self) -> Result<Vec<Place>, WalletError> {
        let (mut places, mut unused_devices) = (Vec::new(), 0);
        for device in 0.. {
            let (before, mut unused_keys) = (places.len(), 0);
            for number in 0.. {
                let studies = self.held(device, number).await?;
                unused_keys = if studies.is_empty() { unused_keys + 1 } else { 0 };
                places.extend(studies.into_iter().map(|study| Place { device, number, study }));
                if unused_keys >= UNUSED_KEYS {
                    break;
                }
            }
            unused_devices = if places.len() == before { unused_devices + 1 } else { 0 };
            if unused_devices >= UNUSED_DEVICES {
                break;
            }
        }
        Ok(places)
    }

    /// What a key holds.
    async fn held(&mut self, device: u32, number: u32) -> Result<Vec<StudyId>, WalletError> {
        let key = self.seed.derive_key(device, Branch::Study, number).ok_or(WalletError::NoMoreKeys)?.public();
        let of_key = |all: &[Holding], key: &Key| {
            all.iter().filter(|holding| holding.holder == *key).map(|holding| holding.study).collect()
        };
        loop {
            let prefix = Prefix::of(&key, self.bits);
            if let Some(known) = self.known.get(&prefix) {
                return Ok(of_key(known, &key));
            }
            match self.ledger.holdings(prefix).await? {
                Some(holdings) => drop(self.known.insert(prefix, holdings.into_iter().collect())),
                None if self.bits >= Prefix::MAX_BITS => return Err(WalletError::OtherAnswer),
                None => {
                    self.bits += MORE_BITS;
                    self.known.clear();
                }
            }
        }
    }
}
