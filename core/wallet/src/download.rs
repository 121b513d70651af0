//! A study from its source into the cache: fetched, verified, and held against what was signed.
//!
//! A fetch is an object of its own. The wallet begins it, on what the ledger says, and is free for everything else while it runs; a
//! [`Control`] pauses, orders and cancels it, says which items are whole, and reads them. What arrived stays sealed in the wallet's folder,
//! whatever ends it, and does not come again; but a study is said to be there only when its fetch came to its end.

use std::collections::BTreeSet;
use std::fmt;
use std::future::pending;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clavicle_ledger::authorise::{Actor, Claim, Hello};
use clavicle_ledger::id::{ChainId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::Study;
use clavicle_ledger::terms::SeriesScope;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::circumstances::Circumstances;
use clavicle_letters::credential::Introduction;
use clavicle_manifest::{Altered, Change, Comparison, Received, Uid};
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::pack::Pack;
use clavicle_network::transfer::{
    self, Asking, BoxFuture, Demand, FetchError, Got, Item, Listing, Offer, Outcome, Pace, Places, Progress, Reach,
    Steering, Verified,
};
use iroh::Endpoint;
use tokio::sync::watch;

use crate::cache::Images;
use crate::error::WalletError;
use crate::export::There;
use crate::rows::{Cached, CopyOf, OpeningOf};
use crate::scope::Scope;
use crate::vault::Vault;
use crate::wallet::Wallet;
use crate::{cache, export};

/// How often a study is asked for that is revised each time before it has arrived. What has arrived does not come again.
pub const ATTEMPTS: u32 = 5;

/// What is to be fetched, by which right.
#[derive(Clone, Debug)]
pub(crate) struct Download {
    /// Which study.
    pub(crate) study: StudyId,
    /// Of which source.
    pub(crate) source: SourceId,
    /// Where it is served.
    pub(crate) remote: Remote,
    /// The source's operational key.
    pub(crate) operational: Key,
    /// The study's record, proven.
    pub(crate) record: Study,
    /// By what right.
    pub(crate) claim: Claim,
    /// Who acts.
    pub(crate) acts: Acts,
    /// Where to be told what becomes of the study.
    pub(crate) reach: Option<Reach>,
}

/// Who acts in a download.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acts {
    /// By their own word, and their credential's.
    pub(crate) actor: Option<Actor>,
    /// The key of the member of a practice or a team, and what introduces them.
    pub(crate) member: Option<(SecretKey, Introduction)>,
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// The folder it was written into, if that was asked for.
    pub folder: Option<PathBuf>,
    /// What is there against what was signed, by name.
    pub comparison: Comparison,
    /// Files in that folder that are not in the study, or not any more.
    pub strays: Vec<PathBuf>,
    /// What lies there under the names of files of the study and is something else: it was left as it is.
    pub in_the_way: Vec<PathBuf>,
    /// How many items were there before.
    pub before: usize,
    /// Bytes that were fetched.
    pub bytes: u64,
    /// The manifest's revision.
    pub revision: u32,
    /// Which series were allowed, where that was not all of the study.
    pub scope: Option<Scope>,
    /// How many of those were not offered: the study does not have them any more, or its source left them out.
    pub not_offered: usize,
}

/// A fetch that may begin: the ledger has said that it may, and the source was asked nothing yet. It needs the wallet no more.
pub struct StudyFetch {
    vault: Arc<Vault>,
    chain: ChainId,
    clock: fn() -> LocalTime,
    download: Download,
    key: SecretKey,
    out: Option<PathBuf>,
}

impl fmt::Debug for StudyFetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StudyFetch").field("study", &self.download.study).finish_non_exhaustive()
    }
}

/// How far a fetch is.
#[derive(Clone, Debug, Default)]
pub struct FetchProgress {
    /// What has arrived so far, and what is listed, to be read from by any number while the rest comes. None before the source's offer is verified.
    pub images: Option<Arc<Images>>,
    /// How many items are to be there in the end.
    pub all: usize,
    /// How many of them were there already, or came to their end.
    pub items: usize,
    /// How many bytes came.
    pub bytes: u64,
}

/// What steers a fetch, and shows how far it is; of other work, it cancels it and shows the same. A clone is for the same.
#[derive(Clone, Debug, Default)]
pub struct Control {
    demand: watch::Sender<Demand>,
    whole: Arc<watch::Sender<Places>>,
    progress: watch::Sender<FetchProgress>,
}

impl Control {
    /// Asks for nothing more until [`Control::resume`]; what was asked for still comes.
    pub fn pause(&self) {
        self.set(Pace::Paused);
    }

    /// Goes on.
    pub fn resume(&self) {
        self.set(Pace::On);
    }

    /// Ends it. What has arrived stays sealed and does not come again; the study is not said to be there. It cannot be taken back.
    pub fn cancel(&self) {
        self.demand.send_modify(|demand| demand.pace = Pace::Cancelled);
    }

    /// These series or instances come first, in this order, from the next ask on.
    pub fn order(&self, first: Vec<Uid>) {
        self.demand.send_modify(|demand| demand.first = first);
    }

    /// Whether it is paused, goes on or was cancelled.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.demand.borrow().pace
    }

    /// Which places of the listing are whole, and can be read.
    #[must_use]
    pub fn whole(&self) -> watch::Receiver<Places> {
        self.whole.subscribe()
    }

    /// Says how far other work is, by whoever does it.
    pub fn tell(&self, items: usize, all: usize) {
        self.progress.send_modify(|progress| (progress.items, progress.all) = (items, all));
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<FetchProgress> {
        self.progress.subscribe()
    }

    fn set(&self, pace: Pace) {
        self.demand.send_if_modified(|demand| {
            let is_new = demand.pace != pace && demand.pace != Pace::Cancelled;
            if is_new {
                demand.pace = pace;
            }
            is_new
        });
    }

    /// Waits until it is to go on, or ended.
    async fn goes_on(&self) -> Result<(), WalletError> {
        let mut demand = self.demand.subscribe();
        match demand.wait_for(|demand| demand.pace != Pace::Paused).await.map(|demand| demand.pace) {
            Ok(Pace::On) => Ok(()),
            _ => Err(FetchError::Cancelled.into()),
        }
    }

    /// Returns when it is cancelled.
    pub fn ends(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut demand = self.demand.subscribe();
        async move {
            if demand.wait_for(|demand| demand.pace == Pace::Cancelled).await.is_err() {
                // Nobody is left who could.
                pending::<()>().await;
            }
        }
    }
}

impl StudyFetch {
    /// The study.
    #[must_use]
    pub const fn study(&self) -> StudyId {
        self.download.study
    }

    /// The root of the manifest that is to be fetched.
    pub(crate) const fn root(&self) -> ManifestRoot {
        self.download.record.manifest_root
    }

    /// Connects to the source, is let in, and verifies what is offered.
    pub(crate) async fn knock(&self) -> Result<(Endpoint, Verified), WalletError> {
        let Download { study, source, remote, operational, record, claim, acts: Acts { actor, member }, reach } =
            self.download.clone();
        let grant = match &claim {
            Claim::Holder => None,
            Claim::Grant { grant, .. } => Some(*grant),
        };
        // What broke off is gone on with: it is not opened once more.
        let before = grant.map(|grant| self.vault.get::<OpeningOf>(grant.as_bytes())).transpose()?.flatten();
        let resumes = before.filter(|opening| !opening.is_finished).map(|opening| opening.receipt);
        let to = *remote.addresses.first().ok_or(WalletError::NoSource)?;
        // An endpoint of its own for each study and time: two at once would link what they fetch.
        let endpoint = bind_towards(&self.key, to).await?;
        let at = (self.clock)().0;
        let hello = Hello { actor, resumes, ..Hello::new(source, study, claim, at) }.sign(&self.chain, &self.key);
        let (hello, shown) = match member {
            None => (hello, None),
            Some((key, shown)) => (hello.with_member(&self.chain, &key), Some(shown)),
        };
        let fetch = transfer::connect_as(&endpoint, &remote, &hello, shown.as_ref()).await?;
        let mut verified = fetch.verify(&self.chain, study, &record, &operational, &self.key)?;
        // Before anything is asked for: what was counted is not lost.
        if let (Some(grant), Some(opening)) = (grant, verified.receipt().receipt.entry.opening()) {
            let receipt = &verified.receipt().receipt;
            let first = before.filter(|_| opening.resumes.is_some()).map(|before| (before.receipt, before.at));
            let (digest, at) = first.unwrap_or_else(|| (receipt.digest(&self.chain), receipt.at));
            let row = OpeningOf { receipt: digest, number: opening.number, is_finished: false, at };
            self.vault.put(grant.as_bytes(), &row)?;
        }
        if let Some(reach) = reach {
            verified.tell(reach).await?;
        }
        Ok((endpoint, verified))
    }

    /// Fetches: into the cache, or through it into files. When it is cancelled nothing of it is visible, and what has arrived stays.
    ///
    /// # Errors
    /// [`WalletError`]; what had arrived by then stays in the cache, and is not fetched again. [`FetchError::Cancelled`].
    pub fn run<'a>(&'a self, control: &'a Control) -> BoxFuture<'a, Result<Downloaded, WalletError>> {
        Box::pin(async move {
            loop {
                match self.run_once(control).await {
                    // A source keeps nobody's place who asks for nothing.
                    Err(WalletError::Fetch(FetchError::Broken)) if control.pace() == Pace::Paused => {
                        control.goes_on().await?;
                    }
                    done => return done,
                }
            }
        })
    }

    /// The same; `progress` is told how far it is, and of how many items.
    ///
    /// # Errors
    /// As [`StudyFetch::run`].
    pub async fn run_telling(
        &self,
        control: &Control,
        mut progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let (mut seen, mut running) = (control.progress(), self.run(control));
        loop {
            let (done, so_far) = tokio::select! {
                biased;
                done = &mut running => (Some(done), seen.borrow_and_update().clone()),
                Ok(()) = seen.changed() => (None, seen.borrow_and_update().clone()),
            };
            if so_far.images.is_some() {
                progress(Progress { items: so_far.items, bytes: so_far.bytes }, so_far.all);
            }
            if let Some(done) = done {
                return done;
            }
        }
    }

    async fn run_once(&self, control: &Control) -> Result<Downloaded, WalletError> {
        let study = self.download.study;
        let cached = cache::place(&self.vault, study)?;
        let pack = self.aside(move |vault| Ok((cache::open(vault, &cached)?, cached))).await;
        let (pack, cached) = pack?;
        let (endpoint, mut verified) = tokio::select! {
            biased;
            () = control.ends() => return Err(FetchError::Cancelled.into()),
            verified = Box::pin(self.knock()) => verified?,
        };
        let offer = verified.offer().clone();
        let listing = &offer.manifest;
        let there = match self.out.clone() {
            None => There::default(),
            Some(out) => {
                let listing = listing.clone();
                self.aside(move |_| Ok(export::there(&out, &listing))).await?
            }
        };
        let free = |place: &u32| !there.in_the_way.contains_key(place);
        let is_here = |place: &u32, item: &Item<'_>| {
            there.as_signed.contains(place) || free(place) && pack.has_all(&item.stored(), item.size())
        };
        let before = (0..).zip(listing.items()).filter(|(place, item)| is_here(place, item)).count();
        let wanted = listing.by_priority().into_iter();
        let wanted: Vec<u32> = wanted.filter(|place| free(place) && !there.as_signed.contains(place)).collect();
        let as_signed = there.as_signed.len();
        control.progress.send_replace(FetchProgress {
            images: Some(Arc::new(Images::of(pack.reader(), offer.clone()))),
            all: as_signed.saturating_add(wanted.len()),
            items: as_signed,
            bytes: 0,
        });
        let steering = Steering::new(control.demand.subscribe(), Arc::clone(&control.whole));
        let mut bytes = 0;
        let fetched = verified.fetch_as(pack, &wanted, steering, |so_far| {
            bytes = so_far.bytes;
            control.progress.send_modify(|progress| {
                progress.items = as_signed.saturating_add(so_far.items);
                progress.bytes = so_far.bytes;
            });
        });
        let (pack, got) = fetched.await?;
        verified.close().await;
        endpoint.close().await;
        if let Claim::Grant { grant, .. } = &self.download.claim
            && let Some(opening) = self.vault.get::<OpeningOf>(grant.as_bytes())?
        {
            self.vault.put(grant.as_bytes(), &OpeningOf { is_finished: true, ..opening })?;
        }
        let (out, root, at) = (self.out.clone(), self.root(), (self.clock)().0);
        let claim = self.download.claim.clone();
        self.aside(move |vault| {
            let arrived = Arrived { study, cached, pack, offer, got, there, out, before, bytes, claim };
            arrived.keep(vault, root, at)
        })
        .await
    }

    /// Does what takes its time where it holds nobody up.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Vault) -> Result<T, WalletError> + Send + 'static,
    ) -> Result<T, WalletError> {
        let vault = Arc::clone(&self.vault);
        tokio::task::spawn_blocking(move || work(&vault)).await.map_err(|_| WalletError::Defect)?
    }
}

/// All that arrived.
struct Arrived {
    study: StudyId,
    cached: Cached,
    pack: Pack,
    offer: Offer,
    got: Vec<Got>,
    there: There,
    out: Option<PathBuf>,
    before: usize,
    bytes: u64,
    claim: Claim,
}

impl Arrived {
    /// Says that it is there, and writes it into files if it is to be.
    fn keep(self, vault: &Vault, root: ManifestRoot, at: Timestamp) -> Result<Downloaded, WalletError> {
        let Self { study, cached, pack, offer, got, mut there, out, before, bytes, claim } = self;
        let listing = &offer.manifest;
        let images = cache::settle(vault, (study, &cached), pack, &offer)?;
        vault.put(study.as_bytes(), &CopyOf { revision: listing.header().revision, root, at })?;
        let out = out.as_deref();
        if let Some(out) = out {
            export::write(&images, out, &mut there)?;
        }
        drop(images);
        if out.is_some() && cached.fetched.is_none() {
            // Nobody asked for a copy beside the files.
            cache::forget(vault, study)?;
        }
        Ok(Downloaded {
            folder: out.map(|out| export::folder(out, listing)),
            strays: out.map(|out| export::strays(out, listing)).unwrap_or_default(),
            comparison: compare(listing, &there, &got),
            in_the_way: there.in_the_way.into_values().collect::<BTreeSet<_>>().into_iter().collect(),
            before,
            bytes,
            revision: listing.header().revision,
            scope: match &claim {
                Claim::Holder => None,
                Claim::Grant { grant, terms } => {
                    let told = vault.get::<Circumstances>(grant.as_bytes())?;
                    Scope::of(terms, told.and_then(|told| told.series_in_all), None)
                }
            },
            not_offered: not_offered(&claim, &offer),
        })
    }
}

impl Wallet {
    /// A fetch with the endpoint of `key`, which has not begun.
    pub(crate) fn fetch(&self, download: Download, key: SecretKey, out: Option<&Path>) -> StudyFetch {
        let (vault, clock) = (Arc::clone(&self.vault), self.ledger.clock());
        StudyFetch { vault, chain: self.chain(), clock, download, key, out: out.map(Path::to_owned) }
    }

    /// Knocks at a study's source to ask for its receipts, and for nothing else.
    pub(crate) async fn ask_receipts(
        &self,
        download: Download,
        key: &SecretKey,
    ) -> Result<(Endpoint, Asking), WalletError> {
        let Download { study, source, remote, claim, acts: Acts { actor, .. }, .. } = download;
        let to = *remote.addresses.first().ok_or(WalletError::NoSource)?;
        let endpoint = bind_towards(key, to).await?;
        let hello = Hello { actor, ..Hello::new(source, study, claim, self.now()) }.sign(&self.chain(), key);
        let asking = Asking::connect(&endpoint, &remote, &hello).await?;
        Ok((endpoint, asking))
    }

    /// Whether a fetch of the revision with this root broke off for another that there is since: asked for again, that one comes. By the source's
    /// word, or, since the packet with which it says so may be lost, by the ledger.
    pub(crate) async fn is_revised(&mut self, error: &WalletError, study: StudyId, root: ManifestRoot) -> bool {
        let WalletError::Fetch(error) = error else { return false };
        match error {
            FetchError::Revised | FetchError::OtherStudy => self.catch_up().await.is_ok(),
            FetchError::Broken => {
                let proven = match self.catch_up().await {
                    Ok(()) => self.rows(&[StateKey::Study(study)]).await,
                    Err(error) => Err(error),
                };
                let record = proven.ok().and_then(|proven| proven.rows.study(study).ok().flatten());
                record.is_some_and(|record| record.manifest_root != root)
            }
            _ => false,
        }
    }
}

/// How many of the series that were allowed are not offered.
fn not_offered(claim: &Claim, offer: &Offer) -> usize {
    let (Claim::Grant { terms, .. }, Some(part)) = (claim, offer.manifest.part()) else { return 0 };
    let SeriesScope::These(these) = &terms.series else { return 0 };
    part.missing(&offer.salt, &these.iter().copied().collect::<Vec<_>>()).len()
}

/// What is there against what was signed.
fn compare(listing: &Listing, there: &There, got: &[Got]) -> Comparison {
    let items = listing.items();
    let item = |place: u32| usize::try_from(place).ok().and_then(|at| items.get(at).copied());
    let intact = got.iter().filter(|got| got.outcome == Outcome::Intact).map(|got| got.place);
    let intact = intact.filter(|place| !there.in_the_way.contains_key(place));
    let all: Vec<Received> = there.as_signed.iter().copied().chain(intact).filter_map(item).map(received).collect();
    let mut comparison = match listing {
        Listing::Whole(signed) => signed.manifest.compare(all),
        Listing::Part(signed) => signed.scoped.compare(all),
    };
    let altered = got.iter().filter(|got| got.outcome == Outcome::Altered).map(|got| (got.place, None));
    let in_the_way = there.in_the_way.iter().map(|(place, path)| (*place, Some(path)));
    for (place, path) in altered.chain(in_the_way) {
        if let Some(Item::Instance(instance)) = item(place) {
            let (sop_instance_uid, signed) = (instance.sop_instance_uid, instance.size);
            let len = |path| std::fs::symlink_metadata(path).map_or(0, |found| found.len());
            let received = path.map_or(signed, len);
            comparison.missing.retain(|missing| *missing != sop_instance_uid);
            comparison.altered.push(Altered { sop_instance_uid, change: Change::Bytes { signed, received } });
        }
    }
    comparison.altered.sort_unstable();
    comparison
}

fn received(item: Item<'_>) -> Received {
    match item {
        Item::Instance(instance) => instance.into(),
        Item::Attachment(attachment) => attachment.into(),
    }
}
