//! Looking: who has access to a study, and the study itself.

use std::path::Path;

use clavicle_ledger::authorise::Claim;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{Deed, Study};
use clavicle_ledger::terms::{PurposeOfUse, Terms};
use clavicle_ledger::time::{BlockTime, Day, Height, Timestamp};
use clavicle_letters::about::About;
use clavicle_letters::verdict::Verdict;
use clavicle_network::transfer::{FetchError, Progress};

use super::{Granted, OwnStudy, Patient};
use crate::cache::{self, Images};
use crate::download::{ATTEMPTS, Acts, Control, Download, Downloaded, StudyFetch};
use crate::error::WalletError;
use crate::ledger::Proven;
use crate::objection::{self, Objection};
use crate::rows::{InSpiteOf, Made, RefusedGrant, Stage};
use crate::scope::Scope;
use crate::wallet::{served_at, source_in};

/// Who has access to a study, as the ledger has it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The height of the header that proves it.
    pub height: Height,
    /// How old that header is, in milliseconds by this device's clock.
    pub age_ms: u64,
    /// How often the study was touched.
    pub events: u64,
    /// Every grant by which somebody may fetch now.
    pub grants: Vec<AccessRow>,
    /// Grants of this wallet's that have ended, and those on the ledger whose last day is not over: nobody fetches by them any more.
    pub ended: Vec<EndedRow>,
}

/// A grant that nobody fetches by any more.
#[derive(Clone, Debug)]
pub struct EndedRow {
    /// The grant.
    pub row: AccessRow,
    /// How it ended.
    pub how: HowEnded,
}

/// How a grant ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HowEnded {
    /// Its time is over.
    Over,
    /// It was revoked, by whichever wallet, or it went with a delegation or a transfer.
    Revoked,
}

/// One grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRow {
    /// Which.
    pub grant: GrantId,
    /// The key that may fetch.
    pub grantee: Key,
    /// Who showed that key, in their own words; nothing when another than this wallet granted.
    pub name: Option<Text<64>>,
    /// What stands beside that name: as it was granted to, and whether that credential's time is over since.
    pub verdict: Option<Verdict>,
    /// Until when, exactly; the ledger has only the day.
    pub expires: Option<Timestamp>,
    /// The first day on which it is over.
    pub expiry_day: Day,
    /// What for.
    pub purpose: Option<PurposeOfUse>,
    /// All that was said of it; nothing when another than this wallet granted.
    pub terms: Option<Terms>,
    /// Which series, where it is not all of the study.
    pub scope: Option<Scope>,
}

impl Patient {
    /// Who has access to a study, proven.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn who(&mut self, study: &OwnStudy) -> Result<Access, WalletError> {
        let (mut record, proven) = self.record(study).await?;
        let now = BlockTime(self.wallet.now().max(proven.rows.head()?.time.timestamp()));
        // A delegate's grant is gone with the delegation, which the row may not say yet.
        record.settle(now);
        let (mut grants, mut ended) = (Vec::new(), Vec::new());
        for grant in record.grants.iter().filter(|grant| grant.is_live(now)) {
            let made = match self.wallet.vault.get::<Made>(grant.id.as_bytes())? {
                Some(made) => Some(made),
                // It came into a block although it was refused.
                None => self.wallet.vault.get::<RefusedGrant>(grant.id.as_bytes())?.map(|refused| refused.made),
            };
            let terms = made.as_ref().map(|made| &made.terms);
            let scope = terms.map(|terms| self.scope(study.id, grant.id, terms)).transpose()?.flatten();
            let row = AccessRow {
                grant: grant.id,
                grantee: grant.grantee,
                expires: terms.map(|terms| terms.expires),
                purpose: terms.map(|terms| terms.purpose),
                expiry_day: grant.expiry_day,
                terms: terms.cloned(),
                scope,
                verdict: made.as_ref().map(|made| made.card.verdict().as_of(now.timestamp())),
                name: made.map(|made| made.card.name),
            };
            // The ledger has it to the end of its last day; the source serves it to the moment that its Terms say.
            if row.expires.is_some_and(|expires| expires <= now.timestamp()) {
                ended.push(EndedRow { row, how: HowEnded::Over });
            } else {
                grants.push(row);
            }
        }
        for Granted { id, made, revoked } in self.grants()?.into_iter().filter(|granted| granted.made.study == study.id)
        {
            let is_told = grants.iter().chain(ended.iter().map(|one| &one.row)).any(|row| row.grant == id);
            // One that never came into a block gave nobody anything.
            if is_told || made.stage == Stage::Signed {
                continue;
            }
            let is_over = made.terms.expires <= now.timestamp() && revoked.is_none();
            let row = AccessRow {
                grant: id,
                grantee: made.grantee,
                expires: Some(made.terms.expires),
                purpose: Some(made.terms.purpose),
                expiry_day: made.terms.expires.day_rounded_up(),
                verdict: Some(made.card.verdict().as_of(now.timestamp())),
                name: Some(made.card.name),
                scope: self.scope(study.id, id, &made.terms)?,
                terms: Some(made.terms),
            };
            ended.push(EndedRow { row, how: if is_over { HowEnded::Over } else { HowEnded::Revoked } });
        }
        Ok(Access { height: proven.height, age_ms: proven.age_ms, events: record.events, grants, ended })
    }

    /// Begins to fetch a study of one's own, into the cache; with `out`, into files there. It is the fetch that goes on from here, without this.
    ///
    /// # Errors
    /// [`WalletError`]: why it cannot be fetched, from the ledger.
    pub async fn begin_fetch(&mut self, study: &OwnStudy, out: Option<&Path>) -> Result<StudyFetch, WalletError> {
        let (download, key) = (self.download(study).await?, self.holder(study)?);
        Ok(self.wallet.fetch(download, key, out))
    }

    /// Looks why a fetch failed. When this returns it may be begun again: there is another revision.
    ///
    /// # Errors
    /// Why it failed: of who was refused, what the ledger says, since a source never says why.
    pub async fn fetch_failed(
        &mut self,
        study: &OwnStudy,
        fetch: &StudyFetch,
        error: WalletError,
    ) -> Result<(), WalletError> {
        if self.wallet.is_revised(&error, study.id, fetch.root()).await {
            return Ok(());
        }
        if matches!(error, WalletError::Fetch(FetchError::Refused(_))) {
            // The source may know a newer block than the relay that was asked.
            self.wallet.catch_up().await?;
            self.download(study).await?;
        }
        Err(error)
    }

    /// Fetches a study of one's own, into the cache; with `out`, into files there.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn fetch(
        &mut self,
        study: &OwnStudy,
        out: Option<&Path>,
        mut progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let (control, mut attempt) = (Control::default(), 1);
        loop {
            let fetch = self.begin_fetch(study, out).await?;
            match Box::pin(fetch.run_telling(&control, &mut progress)).await {
                Err(error) if attempt < ATTEMPTS => self.fetch_failed(study, &fetch, error).await?,
                done => return done,
            }
            attempt += 1;
        }
    }

    /// Asks the study's source who looked, and keeps what it says; see [`Patient::looks`]. To ask is not to look: no receipt is written of it.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn look_up(&mut self, study: &OwnStudy) -> Result<(), WalletError> {
        let (download, key) = (self.download(study).await?, self.holder(study)?);
        let (endpoint, mut asking) = Box::pin(self.wallet.ask_receipts(download, &key)).await?;
        let mut from = self.receipts_from(study)?;
        loop {
            let statement = asking.receipts(from).await?;
            let more = self.take_statement(study, &statement).await?;
            let last = statement.receipts.last().map(|stated| stated.receipt.receipt.sequence);
            match last.filter(|last| more && *last >= from) {
                Some(last) => from = last.saturating_add(1),
                None => break,
            }
        }
        asking.close();
        endpoint.close().await;
        Ok(())
    }

    async fn download(&mut self, study: &OwnStudy) -> Result<Download, WalletError> {
        let (record, proven) = self.record(study).await?;
        own_download(study.id, record, &proven)
    }

    /// What was fetched of a study before.
    ///
    /// # Errors
    /// [`WalletError::NotFetched`] and others.
    pub fn images(&self, study: &OwnStudy) -> Result<Images, WalletError> {
        cache::images(&self.wallet.vault, study.id)
    }

    /// Asks the ledger about a study, for [`Patient::objection`].
    ///
    /// # Errors
    /// [`WalletError`]; then what it said before still stands. That somebody else holds it is an answer.
    pub async fn ask(&mut self, study: &OwnStudy) -> Result<(), WalletError> {
        match self.record(study).await {
            Ok(_) | Err(WalletError::OtherHolder) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks the ledger how several studies stand, some at once, each by itself, so that nobody is told which of them are one person's. `progress` is
    /// told how many were answered, and of how many. Why not, where one was not: what was said of it before still stands.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub async fn ask_each(
        &mut self,
        studies: &[OwnStudy],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<Option<WalletError>, WalletError> {
        let studies: Vec<StudyId> =
            studies.iter().filter(|study| study.held.final_at.is_some()).map(|study| study.id).collect();
        let questions = studies.iter().map(|study| vec![StateKey::Head, StateKey::Study(*study)]).collect();
        let mut answers = Vec::new();
        let asked = self.wallet.rows_of_each(questions, |place, proven| {
            answers.push((place, proven));
            progress(answers.len(), studies.len());
            Ok(())
        });
        asked.await?;
        let mut not_asked = None;
        for (place, proven) in answers {
            let Some(study) = studies.get(place) else { continue };
            match proven {
                Ok(proven) => {
                    if let Some(record) = proven.rows.study(*study)? {
                        objection::keep(&self.wallet.vault, *study, &record, &proven)?;
                    }
                }
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => not_asked = Some(error),
            }
        }
        Ok(not_asked)
    }

    /// Who a study is about, as its source told when it was picked up.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn about(&self, study: StudyId) -> Result<Option<About>, WalletError> {
        Ok(self.wallet.vault.get(study.as_bytes())?)
    }

    /// Why a study's images are not to be used, by what the ledger said last.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn objection(&self, study: &OwnStudy) -> Result<Option<Objection>, WalletError> {
        let proved = objection::proved(&self.wallet.vault, study.id)?;
        Ok(objection::to_holder(proved.as_ref(), &self.holder(study)?.public()))
    }

    /// Why a copy of a study is not to be used although the study is: there is another revision by now. By what the ledger said last.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn objection_to_copy(&self, study: &OwnStudy) -> Result<Option<Objection>, WalletError> {
        objection::to_copy(&self.wallet.vault, study.id)
    }

    /// When the ledger last said anything about a study.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn asked_at(&self, study: &OwnStudy) -> Result<Option<Timestamp>, WalletError> {
        Ok(objection::proved(&self.wallet.vault, study.id)?.map(|proved| proved.time.timestamp()))
    }

    /// Writes down that a study's images are used in spite of something.
    ///
    /// # Errors
    /// [`WalletError`]; then they are not to be used.
    pub fn note(&self, study: &OwnStudy, what: &str, why: &Objection) -> Result<(), WalletError> {
        objection::note(&self.wallet.vault, study.id, what, why, self.wallet.now())
    }

    /// How a study's images were used in spite of something.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn noted(&self, study: &OwnStudy) -> Result<Vec<InSpiteOf>, WalletError> {
        objection::noted(&self.wallet.vault, study.id)
    }

    /// Removes what was fetched of a study; says whether there was anything.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn forget(&self, study: &OwnStudy) -> Result<bool, WalletError> {
        cache::forget(&self.wallet.vault, study.id)
    }
}

/// What its holder may fetch, if that is so now.
pub(super) fn own_download(study: StudyId, record: Study, proven: &Proven) -> Result<Download, WalletError> {
    record.permits(Deed::HolderFetch, proven.rows.head()?.time).map_err(WalletError::Standing)?;
    let (source, operational) = source_in(proven, record.source)?;
    let remote = served_at(proven, &source)?;
    let source = record.source;
    Ok(Download {
        study,
        source,
        remote,
        operational,
        record,
        claim: Claim::Holder,
        acts: Acts::default(),
        reach: None,
    })
}
