//! Restoring: the patient's studies, with nothing but the words and the network.
//!
//! The words give every key there ever was. Which of them hold studies the ledger knows; what those studies are, and their images, their
//! sources tell whoever has the key. Relays are asked for all keys that begin alike, so that they cannot tell which of them are one person's.
//!
//! A wallet that is restored is a device of its own: it uses keys under a number that no study is held under yet, so that two wallets of the
//! same words never take the same key for two studies. Should two be restored at the same time, the one that comes
//! later finds on the ledger what the other has used, and takes another number; and so does a wallet whose folder was
//! put back from an older copy, whichever device it is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use clavicle_ledger::derivation::{Branch, Seed, Words};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{Checkpoint, LightClient};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::news::{HeldStudy, Here};
use clavicle_network::message::{Holding, Prefix};
use clavicle_network::pickup::MAX_OFFERS;
use clavicle_network::transfer::FetchError;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use super::Patient;
use super::access::own_download;
use crate::devices::Register;
use crate::error::WalletError;
use crate::ledger::Ledger;
use crate::rows::{Held, Known, Moving, OlderCopy, OwnDevice, Profile, Summary, UnderFormer};
use crate::vault::{KeyStore, VaultError};
use crate::wallet::Wallet;

/// After how many keys in a row that hold nothing a device is taken to have no more. A pickup that comes to nothing uses up a key for each study
/// of the visit; so many such visits in a row are searched past.
const UNUSED_KEYS: u32 = 4 * MAX_OFFERS as u32;
/// After how many devices in a row that hold nothing there are taken to be no more. Whoever restores has a number that is less than so many further
/// on.
const UNUSED_DEVICES: u32 = 16;
/// By how many bits a prefix is longer than one that too many holders have.
const MORE_BITS: u8 = 4;
/// How many prefixes are asked about at once.
const AT_ONCE: usize = 8;

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
    /// It cannot be said yet what it is: why. Once the ledger has proven that it is the patient's it is in the wallet all the same.
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
        keys: &dyn KeyStore,
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
        let least = places.iter().map(|place| place.device).max().unwrap_or(0).saturating_add(1);
        let settled = settled(&mut ledger, &words.seed(), least).await;
        let device = settled.as_ref().map_or(least, |(device, _)| *device);
        let wallet = Wallet::make(folder, keys, genesis, ledger, (words, device), "")?;
        wallet.words_are_known()?;
        let patient = Self::of(wallet);
        if let Ok(settled) = settled {
            patient.take_number(settled)?;
        }
        Ok(Restored { patient, studies: places.len() })
    }

    /// Takes a study in that another device told of, once the ledger has proven that it is the patient's.
    pub(super) async fn take_told(&mut self, held: &HeldStudy) -> Result<Option<Found>, WalletError> {
        let before = self.wallet.vault.get::<Held>(held.study.as_bytes())?;
        if before.is_some_and(|held| held.final_at.is_some() && held.known.is_some()) {
            return Ok(Some(Found::Known(held.study)));
        }
        let place = Place { device: held.device, number: held.number, study: held.study };
        Box::pin(self.take(&place, None, &mut BTreeSet::new())).await
    }

    /// Looks for all studies that the ledger has for the wallet's words, whichever device picked them up, and asks the sources of those that are
    /// not in the wallet what they are. `progress` is told how many are done, and of how many.
    ///
    /// # Errors
    /// [`WalletError`]; what was found by then is in the wallet.
    pub async fn find(&mut self, progress: impl Fn(usize, usize)) -> Result<Vec<Found>, WalletError> {
        // A relay that is behind would prove that a study is not there yet.
        self.wallet.catch_up().await?;
        let places = Search::new(&self.wallet.ledger, self.wallet.seed()?).all().await?;
        let (mut all, count, mut silent) = (Vec::new(), places.len(), BTreeSet::new());
        for (done, place) in (1..).zip(places) {
            let before = self.wallet.vault.get::<Held>(place.study.as_bytes())?;
            let known = before.is_some_and(|held| held.final_at.is_some() && held.known.is_some());
            let found = if known {
                Some(Found::Known(place.study))
            } else {
                Box::pin(self.take(&place, None, &mut silent)).await?
            };
            all.extend(found);
            progress(done, count);
        }
        self.wallet.vault.remove::<OlderCopy>(b"")?;
        Ok(all)
    }

    /// Starts afresh from the checkpoint of a code that a hospital handed over, should the network have gone on for so long without this wallet
    /// that nothing is believed any more.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn renew(&mut self, checkpoint: &Checkpoint) -> Result<(), WalletError> {
        self.wallet.renew(checkpoint).await
    }

    /// Keeps that a study is the patient's, and what it is as soon as its source tells. Nothing, if it is not theirs: only a relay's word said so.
    /// The key is of the words of now, or of former ones with this number. A source that is `silent` is not waited for
    /// once more.
    async fn take(
        &mut self,
        place: &Place,
        former: Option<u32>,
        silent: &mut BTreeSet<SourceId>,
    ) -> Result<Option<Found>, WalletError> {
        let seed = former.map_or_else(|| self.wallet.seed(), |words| self.wallet.seed_of(words))?;
        let key = seed.derive_key(place.device, Branch::Study, place.number);
        let key: SecretKey = key.ok_or(WalletError::NoMoreKeys)?;
        let proven = match self.wallet.rows(&[StateKey::Study(place.study)]).await {
            Ok(proven) => proven,
            Err(error) => return Ok(Some(Found::NotTold(place.study, error))),
        };
        let record = proven.rows.study(place.study)?;
        let Some(record) = record.filter(|record| record.holder == key.public()) else { return Ok(None) };
        let mut held = Held {
            source: record.source,
            device: place.device,
            holder: place.number,
            known: None,
            claim: None,
            final_at: Some(proven.height),
        };
        let told = if silent.contains(&record.source) {
            Err(FetchError::Unreachable(Vec::new()).into())
        } else {
            self.ask_what_it_is(place.study, record.source, &key).await
        };
        if matches!(told, Err(WalletError::Fetch(FetchError::Unreachable(_)))) {
            silent.insert(record.source);
        }
        let found = match told {
            Ok(known) => {
                held.known = Some(known);
                Found::New(place.study)
            }
            // Whom it is granted to can be seen, and revoked, all the same.
            Err(error) => Found::NotTold(place.study, error),
        };
        self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            batch.put(place.study.as_bytes(), &held)?;
            // A transfer of before was from another key, or has come to this one.
            batch.remove::<Moving>(place.study.as_bytes())?;
            match former {
                Some(words) => batch.put(place.study.as_bytes(), &UnderFormer { words }),
                None => batch.remove::<UnderFormer>(place.study.as_bytes()).map(drop),
            }
        })?;
        Ok(Some(found))
    }

    async fn ask_what_it_is(
        &mut self,
        study: StudyId,
        source: SourceId,
        key: &SecretKey,
    ) -> Result<Known, WalletError> {
        let (record, proven) = self.record_of(study, source, &key.public()).await?;
        let download = own_download(study, record, &proven)?;
        let (endpoint, verified) = Box::pin(self.wallet.fetch(download, key.clone(), None).knock()).await?;
        let offer = verified.offer().clone();
        verified.close().await;
        endpoint.close().await;
        // A holder is offered all of it.
        let manifest = offer.manifest.whole().ok_or(WalletError::OtherAnswer)?;
        Ok(Known { salt: offer.salt.clone(), summary: Summary::of(manifest) })
    }

    /// Looks for studies that other devices picked up under words that were given up: they are to move as well.
    pub(super) async fn find_former(&mut self) -> Result<(), WalletError> {
        let mut silent = BTreeSet::new();
        for words in 0..self.wallet.words_number()? {
            let places = Search::new(&self.wallet.ledger, self.wallet.seed_of(words)?).all().await?;
            for place in places {
                if self.wallet.vault.get::<Held>(place.study.as_bytes())?.is_none() {
                    Box::pin(self.take(&place, Some(words), &mut silent)).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks whether the ledger has studies under the next `count` keys. Then this vault is an older copy of what there
    /// was, or another device took the same number: this one takes another number before it uses a key, so that none is
    /// ever derived for two studies.
    pub(super) async fn pass_used_keys(&mut self, count: usize) -> Result<(), WalletError> {
        let profile = self.wallet.profile()?;
        let mut search = Search::new(&self.wallet.ledger, self.wallet.seed()?);
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let next = profile.next_study;
        if search.held(profile.device, next..next.saturating_add(count)).await?.is_empty() {
            return Ok(());
        }
        let used = search.all().await?;
        // One that was restored and has held nothing yet has said its number.
        let said = Register::read(&self.wallet.ledger, &self.wallet.seed()?).await.ok();
        let said = said.and_then(|register| register.greatest());
        let known = self.devices()?.into_iter().map(|row| row.device).chain(said);
        let used = used.iter().map(|place| place.device).chain(known).max();
        let device = used.unwrap_or(0).max(profile.device).saturating_add(1);
        let now = self.wallet.now();
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(()) };
            (profile.device, profile.next_study) = (device, 0);
            batch.put(b"", &profile)?;
            // What it said of itself was said of another number.
            batch.remove::<OwnDevice>(b"")?;
            batch.put(b"", &OlderCopy { at: now })
        })?)
    }

    /// When it was found that this wallet is an older copy of itself, or that another has its number; nothing once it
    /// was searched for what is not in it ([`Patient::find`]).
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn older_copy(&self) -> Result<Option<Timestamp>, WalletError> {
        Ok(self.wallet.vault.get::<OlderCopy>(b"")?.map(|found| found.at))
    }
}

/// Takes a number that no other device of these words has, before any key of it is used. Where no relay keeps what is said of that, the ledger alone
/// keeps two apart.
async fn settled(ledger: &mut Ledger, seed: &Seed, least: u32) -> Result<(u32, Here), WalletError> {
    ledger.rows(&[StateKey::Head]).await?;
    let mut register = Register::read(ledger, seed).await?;
    register.settle(ledger, (least, least.saturating_add(UNUSED_DEVICES - 4)), (0, 0)).await
}

/// Looks for the studies of a wallet's keys.
struct Search<'a> {
    ledger: &'a Ledger,
    seed: Seed,
    /// What relays answered; nothing where too many keys begin like that.
    answers: BTreeMap<Prefix, Option<Vec<Holding>>>,
}

impl<'a> Search<'a> {
    const fn new(ledger: &'a Ledger, seed: Seed) -> Self {
        Self { ledger, seed, answers: BTreeMap::new() }
    }

    /// All of them, by device and number.
    async fn all(&mut self) -> Result<Vec<Place>, WalletError> {
        let (mut places, mut unused) = (Vec::new(), 0);
        for device in 0.. {
            let before = places.len();
            let mut next = 0;
            loop {
                let found = self.held(device, next..next.saturating_add(UNUSED_KEYS)).await?;
                let Some(last) = found.last() else { break };
                next = last.number.saturating_add(1);
                places.extend(found);
            }
            unused = if places.len() == before { unused + 1 } else { 0 };
            if unused >= UNUSED_DEVICES {
                break;
            }
        }
        Ok(places)
    }

    /// What keys hold, by their number.
    async fn held(&mut self, device: u32, numbers: Range<u32>) -> Result<Vec<Place>, WalletError> {
        let key = |number| self.seed.derive_key(device, Branch::Study, number).map(|key| (number, key.public()));
        let keys: Vec<(u32, Key)> = numbers.map_while(key).collect();
        loop {
            let open: BTreeSet<Prefix> = keys.iter().filter_map(|(_, key)| self.answer(key).err()).collect();
            if open.is_empty() {
                break;
            }
            let ledger = self.ledger;
            let (mut open, mut asked) = (open.into_iter(), FuturesUnordered::<BoxFuture<'_, _>>::new());
            loop {
                while asked.len() < AT_ONCE
                    && let Some(prefix) = open.next()
                {
                    asked.push(Box::pin(async move { (prefix, ledger.holdings(prefix).await) }));
                }
                let Some((prefix, answer)) = asked.next().await else { break };
                self.answers.insert(prefix, answer?.map(|holdings| holdings.into_iter().collect()));
            }
        }
        let mut places = Vec::new();
        for (number, key) in &keys {
            let all = self.answer(key).unwrap_or_default().iter().filter(|holding| holding.holder == *key);
            places.extend(all.map(|holding| Place { device, number: *number, study: holding.study }));
        }
        Ok(places)
    }

    /// What is known of the keys that begin like this one; or the shortest prefix that is still to be asked about. Whoever crowds around a key so
    /// that its prefix gets longer changes nothing for other keys.
    fn answer(&self, key: &Key) -> Result<&[Holding], Prefix> {
        let mut bits = 0u8;
        loop {
            let prefix = Prefix::of(key, bits);
            match self.answers.get(&prefix) {
                None => return Err(prefix),
                Some(Some(holdings)) => return Ok(holdings),
                // Nobody else has a key with all these bits.
                Some(None) if bits == u8::MAX => return Ok(&[]),
                Some(None) => bits = bits.saturating_add(MORE_BITS),
            }
        }
    }
}
