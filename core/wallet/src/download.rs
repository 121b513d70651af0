//! A study from its source into a folder: fetched, verified, and held against what was signed.
//!
//! ```text
//! out/<Study Instance UID>/<Series Instance UID>/<SOP Instance UID>.dcm
//! out/<Study Instance UID>/report-<its digest>.<txt, pdf, hl7, json>
//! ```
//!
//! A file that is there already is taken for nothing but its bytes: when they are what was signed, they are not fetched again.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use clavicle_ledger::authorise::{Actor, Claim, Hello};
use clavicle_ledger::id::{ChainId, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::study::Study;
use clavicle_ledger::time::Timestamp;
use clavicle_manifest::{Attachment, Comparison, MediaType, Received, StoredDigest, StoredHasher};
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::transfer::{self, Got, Item, Listing, Outcome, Place, Progress};

use crate::error::WalletError;

/// What is to be fetched, by which right.
#[derive(Debug)]
pub struct Download {
    /// The network.
    pub chain: ChainId,
    /// Which study.
    pub study: StudyId,
    /// Of which source.
    pub source: SourceId,
    /// Where it is served.
    pub remote: Remote,
    /// The source's operational key.
    pub operational: Key,
    /// The study's record, proven.
    pub record: Study,
    /// By what right.
    pub claim: Claim,
    /// Who acts.
    pub actor: Option<Actor>,
    /// The time now.
    pub at: Timestamp,
}

/// A study in a folder.
#[derive(Clone, Debug)]
pub struct Downloaded {
    /// Its folder.
    pub folder: PathBuf,
    /// What is there against what was signed, by name.
    pub comparison: Comparison,
    /// How many were there before.
    pub before: usize,
    /// Bytes that were fetched.
    pub bytes: u64,
    /// The manifest's revision.
    pub revision: u32,
}

impl Download {
    /// Fetches with the endpoint of `key`. `progress` is told how far it is, and of how many items.
    ///
    /// # Errors
    /// [`WalletError`]; what had arrived whole by then is in the folder, and is not fetched again.
    pub async fn run(
        self,
        key: &SecretKey,
        out: &Path,
        mut progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let to = *self.remote.addresses.first().ok_or(WalletError::NoSource)?;
        // An endpoint of its own for each study and time: two at once would link what they fetch.
        let endpoint = bind_towards(key, to).await?;
        let hello = Hello { source: self.source, study: self.study, claim: self.claim, actor: self.actor, at: self.at };
        let fetch = transfer::connect(&endpoint, &self.remote, &hello.sign(&self.chain, key)).await?;
        let mut verified = fetch.verify(&self.chain, self.study, &self.record, &self.operational)?;
        let offer = verified.offer().clone();
        let folder = out.join(offer.manifest.header().study_instance_uid.as_str());
        let places = places(&folder, &offer.manifest)?;
        let (there, missing) = tokio::task::spawn_blocking({
            let digests: Vec<_> = offer.manifest.items().iter().map(|item| (item.size(), item.stored())).collect();
            move || split(places, &digests)
        })
        .await
        .map_err(|_| WalletError::Fetch(transfer::FetchError::Broken))?;
        let (before, mut bytes) = (there.len(), 0);
        let all = before + missing.len();
        let got = verified
            .fetch(&missing, |so_far| {
                bytes = so_far.bytes;
                progress(Progress { items: before + so_far.items, ..so_far }, all);
            })
            .await?;
        verified.close().await;
        endpoint.close().await;
        let comparison = compare(&offer.manifest, &there, &got);
        Ok(Downloaded { folder, comparison, before, bytes, revision: offer.manifest.header().revision })
    }
}

/// Where each item goes; makes the folders.
fn places(folder: &Path, manifest: &Listing) -> Result<Vec<Place>, WalletError> {
    let mut paths = Vec::new();
    let mut series = |uid: &str, instances: &mut dyn Iterator<Item = &clavicle_manifest::Instance>| {
        // UIDs are digits and dots: nothing in them leads elsewhere.
        let folder = folder.join(uid);
        fs::create_dir_all(&folder).map_err(|error| WalletError::File { path: folder.clone(), error })?;
        paths.extend(instances.map(|one| folder.join(format!("{}.dcm", one.sop_instance_uid))));
        Ok::<_, WalletError>(())
    };
    match (manifest.whole(), manifest.part()) {
        (Some(whole), _) => {
            for one in whole.series() {
                series(one.series_instance_uid.as_str(), &mut one.instances.iter())?;
            }
            paths.extend(whole.attachments().iter().map(|one| folder.join(report_name(one))));
        }
        (None, Some(part)) => {
            for one in part.series() {
                let one = one.series();
                series(one.series_instance_uid.as_str(), &mut one.instances.iter())?;
            }
        }
        (None, None) => {}
    }
    Ok((0u32..).zip(paths).map(|(place, path)| Place { place, path }).collect())
}

/// What an attachment is called. Its title is the source's words, and no name for a file.
fn report_name(attachment: &Attachment) -> String {
    let extension = match attachment.media_type {
        MediaType::Text => "txt",
        MediaType::Pdf => "pdf",
        MediaType::Hl7V2 => "hl7",
        MediaType::FhirJson => "json",
    };
    // All of the digest: a source could make two that begin alike.
    format!("report-{}.{extension}", attachment.stored)
}

/// What is there as it was signed, and what is not.
fn split(places: Vec<Place>, digests: &[(u64, StoredDigest)]) -> (Vec<Place>, Vec<Place>) {
    places.into_iter().zip(digests).map(|(place, signed)| (is_there(&place.path, signed), place)).fold(
        (Vec::new(), Vec::new()),
        |(mut there, mut missing), (is_there, place)| {
            if is_there {
                there.push(place)
            } else {
                missing.push(place)
            }
            (there, missing)
        },
    )
}

fn is_there(path: &Path, (size, stored): &(u64, StoredDigest)) -> bool {
    let hash = || -> io::Result<StoredDigest> {
        let (mut file, mut hasher, mut buffer) = (File::open(path)?, StoredHasher::new(), vec![0; 256 * 1024]);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish().1),
                len => hasher.update(&buffer[..len]),
            }
        }
    };
    fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == *size)
        && hash().is_ok_and(|found| found == *stored)
}

/// What is there against what was signed.
fn compare(manifest: &Listing, there: &[Place], got: &[Got]) -> Comparison {
    let items = manifest.items();
    let item = |place: u32| usize::try_from(place).ok().and_then(|at| items.get(at).copied());
    let intact = there.iter().filter_map(|place| item(place.place)).map(received);
    let fetched = got.iter().filter_map(|got| match (got.outcome, item(got.place)?) {
        (Outcome::Intact, item) => Some(received(item)),
        (Outcome::Altered { received, stored }, Item::Instance(instance)) => Some(Received::Instance {
            sop_instance_uid: instance.sop_instance_uid,
            size: received,
            stored,
            dataset: None,
            pixels: None,
        }),
        (Outcome::Altered { stored, .. }, Item::Attachment(_)) => Some(Received::Attachment(stored)),
        (Outcome::Absent, _) => None,
    });
    let all = intact.chain(fetched).collect::<Vec<_>>();
    match (manifest.whole(), manifest.part()) {
        (Some(whole), _) => whole.compare(all),
        (None, Some(part)) => part.compare(all),
        (None, None) => Comparison::default(),
    }
}

fn received(item: Item<'_>) -> Received {
    match item {
        Item::Instance(instance) => instance.into(),
        Item::Attachment(attachment) => attachment.into(),
    }
}
