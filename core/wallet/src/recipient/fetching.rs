//! What was granted, held against what the ledger says of it, and fetched.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clavicle_ledger::authorise::{Actor, Claim};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{Deed, Standing, Study};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_network::transfer::{FetchError, Progress};
use tokio::time::{Instant, sleep};

use super::organisation::{Acting, ActingMember};
use super::{Granted, Recipient, usable};
use crate::cache::{self, Images};
use crate::download::{ATTEMPTS, Acts, Control, Download, Downloaded, StudyFetch};
use crate::error::{OwnText, WalletError};
use crate::ledger::Proven;
use crate::objection::{self, Objection};
use crate::rows::{CopyOf, InSpiteOf, OpeningOf, Proved, Received};
use crate::wallet::{served_at, source_in};

/// How long after its letter relays may be behind a grant that the letter says is final, in milliseconds.
const BEHIND_MS: u64 = 10_000;

/// Whether a local copy is still current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is of the study as it is.
    Current,
    /// The study was revised since.
    Replaced {
        /// The revision that the copy is of.
        copy: u32,
        /// The revision that there is.
        now: u32,
    },
    /// The hospital has suspended or withdrawn the study, and says why.
    NotToBeUsed(Standing),
}

impl Recipient {
    /// What the ledger says of a grant: the study's record, if the grant is good by it now.
    ///
    /// # Errors
    /// [`WalletError::GrantGone`], [`WalletError::GrantOver`] and others: why not, from the ledger and not from the source.
    pub async fn check(&mut self, granted: &Granted) -> Result<(Study, Proven), WalletError> {
        let Received { study, source, terms, final_at, at, .. } = &granted.received;
        let keys = [StateKey::Head, StateKey::Study(*study), StateKey::Source(*source)];
        let mut proven = self.wallet.rows(&keys).await?;
        // A relay that has not come as far as the grant cannot know of it, and says nothing about it. By its granter's word: it is not waited for long
        // after the letter came, which has come after the grant.
        let left = at.plus(BEHIND_MS).since(self.wallet.now()).min(BEHIND_MS);
        let until = Instant::now() + Duration::from_millis(left);
        while proven.height < *final_at && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
            proven = self.wallet.rows(&keys).await?;
        }
        let record = self.record_in(&proven, *study)?;
        let time = proven.rows.head()?.time;
        let now = self.wallet.now().max(time.timestamp());
        if now >= terms.expires {
            return Err(WalletError::GrantOver(terms.expires));
        }
        if now < terms.not_before {
            return Err(WalletError::GrantNotYet(terms.not_before));
        }
        record.permits(Deed::GranteeFetch, time).map_err(WalletError::Standing)?;
        let live = record.grants.find(&granted.id).filter(|grant| grant.is_live(BlockTime(now)));
        if live.is_none() {
            return Err(WalletError::GrantGone { height: proven.height });
        }
        Ok((record, proven))
    }

    /// Asks the ledger about a study, for [`Recipient::copy`] and [`Recipient::objection`].
    ///
    /// # Errors
    /// [`WalletError`]; then what it said before still stands. [`WalletError::NotOnLedger`] is an answer: what is said to be granted is nothing.
    pub async fn ask(&mut self, study: StudyId) -> Result<(), WalletError> {
        let proven = self.wallet.rows(&[StateKey::Head, StateKey::Study(study)]).await?;
        self.record_in(&proven, study).map(drop)
    }

    /// Asks the ledger about several studies, some at once, as [`Recipient::ask`] does about one. `progress` is told how many were answered, and of
    /// how many. What was not answered is in what it gives, each with the reason: what was said of it before still stands. After the first that no
    /// relay answers no more are asked.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub async fn ask_each(
        &mut self,
        studies: &[StudyId],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<BTreeMap<StudyId, WalletError>, WalletError> {
        let questions = studies.iter().map(|study| vec![StateKey::Head, StateKey::Study(*study)]).collect();
        let (mut answers, mut failed) = (Vec::new(), BTreeMap::new());
        let asked = self.wallet.rows_of_each(questions, |place, proven| {
            answers.push((place, proven));
            progress(answers.len(), studies.len());
            Ok(())
        });
        asked.await?;
        for (place, proven) in answers {
            let Some(study) = studies.get(place) else { continue };
            match proven.and_then(|proven| self.record_in(&proven, *study)) {
                Ok(_) => {}
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => drop(failed.insert(*study, error)),
            }
        }
        Ok(failed)
    }

    /// A study's record in what was proven.
    fn record_in(&self, proven: &Proven, study: StudyId) -> Result<Study, WalletError> {
        let Some(record) = proven.rows.study(study)? else {
            self.throw_away(study, proven.rows.head()?.time)?;
            return Err(WalletError::NotOnLedger);
        };
        objection::keep(&self.wallet.vault, study, &record, proven)?;
        Ok(record)
    }

    /// Why what was granted cannot be fetched, by what the ledger said last; nothing when it can be, or is to be asked once more.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn ended(&self, granted: &Granted) -> Result<Option<WalletError>, WalletError> {
        Ok(match self.objection(granted)? {
            Some(Objection::Standing(standing)) => Some(WalletError::Standing(standing)),
            Some(Objection::GrantOver(at)) => Some(WalletError::GrantOver(at)),
            Some(Objection::GrantGone { height }) => Some(WalletError::GrantGone { height }),
            _ => None,
        })
    }

    /// Whether a copy was made of a study, wherever it is now.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn has_copy(&self, study: StudyId) -> Result<bool, WalletError> {
        Ok(self.wallet.vault.get::<CopyOf>(study.as_bytes())?.is_some())
    }

    /// What the ledger said last of a copy that was made of a study; nothing when none was made, or it never said anything.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn copy(&self, study: StudyId) -> Result<Option<CopyState>, WalletError> {
        let Some(copy) = self.wallet.vault.get::<CopyOf>(study.as_bytes())? else { return Ok(None) };
        let Some(Proved { record, time, .. }) = objection::proved(&self.wallet.vault, study)? else { return Ok(None) };
        let [standing, _] = record.standings(time);
        Ok(Some(match standing {
            Standing::Suspended(_) | Standing::Withdrawn(_) => CopyState::NotToBeUsed(standing),
            Standing::Active | Standing::Frozen if record.manifest_root != copy.root => {
                CopyState::Replaced { copy: copy.revision, now: record.revision }
            }
            Standing::Active | Standing::Frozen => CopyState::Current,
        }))
    }

    /// Why what was granted is not to be used any more, by what the ledger said last and the grant's own terms.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn objection(&self, granted: &Granted) -> Result<Option<Objection>, WalletError> {
        let proved = objection::proved(&self.wallet.vault, granted.received.study)?;
        Ok(objection::to_grantee(proved.as_ref(), &granted.received, self.wallet.now()))
    }

    /// Why a copy is not to be used although the grant is good: there is another revision by now. By what the ledger said last.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn objection_to_copy(&self, study: StudyId) -> Result<Option<Objection>, WalletError> {
        objection::to_copy(&self.wallet.vault, study)
    }

    /// When the ledger last said anything about a study.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn asked_at(&self, study: StudyId) -> Result<Option<Timestamp>, WalletError> {
        Ok(objection::proved(&self.wallet.vault, study)?.map(|proved| proved.time.timestamp()))
    }

    /// Writes down that a copy is used in spite of something.
    ///
    /// # Errors
    /// [`WalletError`]; then it is not to be used.
    pub fn note(&self, study: StudyId, what: &str, why: &Objection) -> Result<(), WalletError> {
        objection::note(&self.wallet.vault, study, what, why, self.wallet.now())
    }

    /// How a copy was used in spite of something.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn noted(&self, study: StudyId) -> Result<Vec<InSpiteOf>, WalletError> {
        objection::noted(&self.wallet.vault, study)
    }

    /// What speaks against keeping a copy somewhere else than in this wallet: the wish that it is only looked at.
    #[must_use]
    pub fn objection_to_keeping(&self, granted: &Granted) -> Option<Objection> {
        granted.received.terms.view_only().then_some(Objection::ViewOnly)
    }

    /// The newest opening of what was granted, as its source counted it.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn opening(&self, granted: &Granted) -> Result<Option<OpeningOf>, WalletError> {
        Ok(self.wallet.vault.get(granted.id.as_bytes())?)
    }

    /// Begins to fetch a study that was granted, into the cache; with `out`, into files there. It is the fetch that goes on from here, without this.
    ///
    /// # Errors
    /// [`WalletError`]: why it may not be fetched, from the ledger.
    pub async fn begin_fetch(&mut self, granted: &Granted, out: Option<&Path>) -> Result<StudyFetch, WalletError> {
        self.begin_fetch_as(granted, out, None).await
    }

    /// The same in the name of this practice or team, by one of its members: the receipt names them.
    ///
    /// # Errors
    /// As [`Recipient::begin_fetch`]; [`WalletError::MemberNeeded`], [`WalletError::NotAMember`].
    pub async fn begin_fetch_as(
        &mut self,
        granted: &Granted,
        out: Option<&Path>,
        member: Option<&ActingMember>,
    ) -> Result<StudyFetch, WalletError> {
        if out.is_some() && granted.received.terms.view_only() {
            return Err(WalletError::ViewOnly);
        }
        let (record, proven) = self.check(granted).await?;
        let mut download = self.download(granted, record, &proven)?;
        if let Some(Acting { actor, key, shown }) = Box::pin(self.acting(&granted.received.terms, member)).await? {
            download.acts = Acts { actor: Some(actor), member: Some((key, shown)) };
        }
        download.reach = self.reach(granted).await?;
        Ok(self.wallet.fetch(download, self.grantee(granted)?, out))
    }

    /// Looks why a fetch failed. When this returns it may be begun again: there is another revision.
    ///
    /// # Errors
    /// Why it failed: of who was refused, what the ledger says, since a source never says why.
    pub async fn fetch_failed(
        &mut self,
        granted: &Granted,
        fetch: &StudyFetch,
        error: WalletError,
    ) -> Result<(), WalletError> {
        if self.wallet.is_revised(&error, fetch.study(), fetch.root()).await {
            return Ok(());
        }
        if matches!(error, WalletError::Fetch(FetchError::Refused(_))) {
            // The source may know a newer block than the relay that was asked.
            self.wallet.catch_up().await?;
            self.check(granted).await?;
        }
        Err(error)
    }

    /// Fetches a study that was granted, into the cache; with `out`, into files there.
    ///
    /// # Errors
    /// [`WalletError`]; what had arrived by then is kept, and is not fetched again.
    pub async fn fetch(
        &mut self,
        granted: &Granted,
        out: Option<&Path>,
        mut progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let (control, mut attempt) = (Control::default(), 1);
        loop {
            let fetch = self.begin_fetch(granted, out).await?;
            match Box::pin(fetch.run_telling(&control, &mut progress)).await {
                Err(error) if attempt < ATTEMPTS => self.fetch_failed(granted, &fetch, error).await?,
                done => return done,
            }
            attempt += 1;
        }
    }

    /// What was fetched of a study before.
    ///
    /// # Errors
    /// [`WalletError::NotFetched`] and others.
    pub fn images(&self, study: StudyId) -> Result<Images, WalletError> {
        cache::images(&self.wallet.vault, study)
    }

    /// Removes what was fetched of a study; says whether there was anything.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn forget(&self, study: StudyId) -> Result<bool, WalletError> {
        cache::forget(&self.wallet.vault, study)
    }

    fn download(&self, granted: &Granted, record: Study, proven: &Proven) -> Result<Download, WalletError> {
        let Received { study, source: source_id, terms, .. } = &granted.received;
        let (source, operational) = source_in(proven, *source_id)?;
        let name = self.name()?;
        let actor = Actor { name: usable(OwnText::Name, name.as_str())?, credential: self.spoken_credential()? };
        Ok(Download {
            study: *study,
            source: *source_id,
            remote: served_at(proven, &source)?,
            operational,
            record,
            claim: Claim::Grant { grant: granted.id, terms: terms.clone() },
            acts: Acts { actor: Some(actor), member: None },
            reach: None,
        })
    }
}
