//! A study from its source into the cache: fetched, verified, and held against what was signed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clavicle_ledger::authorise::{Actor, Claim, Hello};
use clavicle_ledger::id::{ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::Study;
use clavicle_manifest::{Altered, Change, Comparison, Received};
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::transfer::{self, FetchError, Got, Item, Listing, Outcome, Progress, Reach, Verified};
use iroh::Endpoint;

use crate::error::WalletError;
use crate::export::There;
use crate::rows::CopyOf;
use crate::wallet::Wallet;
use crate::{cache, export};

/// How often a study is asked for that is revised each time before it has arrived. What has arrived does not come again.
pub(crate) const ATTEMPTS: u32 = 5;

/// What is to be fetched, by which right.
#[derive(Debug)]
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
    pub(crate) actor: Option<Actor>,
    /// Where to be told what becomes of the study.
    pub(crate) reach: Option<Reach>,
}

/// What was fetched.
#[derive(Clone, Debug)]
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
}

impl Wallet {
    /// Connects to the source with the endpoint of `key`, is let in, and verifies what is offered.
    pub(crate) async fn knock(&self, download: Download, key: &SecretKey) -> Result<(Endpoint, Verified), WalletError> {
        let Download { study, source, remote, operational, record, claim, actor, reach } = download;
        let to = *remote.addresses.first().ok_or(WalletError::NoSource)?;
        // An endpoint of its own for each study and time: two at once would link what they fetch.
        let endpoint = bind_towards(key, to).await?;
        let hello = Hello { source, study, claim, actor, at: self.now() }.sign(&self.chain(), key);
        let fetch = transfer::connect(&endpoint, &remote, &hello).await?;
        let mut verified = fetch.verify(&self.chain(), study, &record, &operational, key)?;
        if let Some(reach) = reach {
            verified.tell(reach).await?;
        }
        Ok((endpoint, verified))
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

    /// Fetches with the endpoint of `key`: into the cache, or through it into files in `out`. `progress` is told how far it is, and of how many items.
    ///
    /// # Errors
    /// [`WalletError`]; what had arrived by then stays in the cache, and is not fetched again.
    pub(crate) async fn fetch(
        &self,
        download: Download,
        key: &SecretKey,
        out: Option<&Path>,
        mut progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let (study, root) = (download.study, download.record.manifest_root);
        let cached = cache::place(&self.vault, study)?;
        let pack = cache::open(&self.vault, &cached)?;
        let (endpoint, mut verified) = self.knock(download, key).await?;
        let offer = verified.offer().clone();
        let listing = &offer.manifest;
        let mut there = match out {
            None => There::default(),
            Some(out) => {
                let (out, listing) = (out.to_owned(), listing.clone());
                let there = tokio::task::spawn_blocking(move || export::there(&out, &listing)).await;
                there.map_err(|_| WalletError::Fetch(transfer::FetchError::Broken))?
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
        let all = as_signed + wanted.len();
        let mut bytes = 0;
        let (pack, got) = verified
            .fetch(pack, &wanted, |so_far| {
                bytes = so_far.bytes;
                progress(Progress { items: as_signed + so_far.items, ..so_far }, all);
            })
            .await?;
        verified.close().await;
        endpoint.close().await;
        let images = cache::settle(&self.vault, (study, &cached), pack, &offer)?;
        self.vault.put(study.as_bytes(), &CopyOf { revision: listing.header().revision, root, at: self.now() })?;
        if let Some(out) = out {
            export::write(&images, out, &mut there)?;
        }
        drop(images);
        if out.is_some() && cached.fetched.is_none() {
            // Nobody asked for a copy beside the files.
            cache::forget(&self.vault, study)?;
        }
        Ok(Downloaded {
            folder: out.map(|out| export::folder(out, listing)),
            strays: out.map(|out| export::strays(out, listing)).unwrap_or_default(),
            comparison: compare(listing, &there, &got),
            in_the_way: there.in_the_way.into_values().collect::<BTreeSet<_>>().into_iter().collect(),
            before,
            bytes,
            revision: listing.header().revision,
        })
    }
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
