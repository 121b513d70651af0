//! The series of a study, and which of them are granted.

use std::collections::BTreeSet;

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{GrantId, SeriesId, StudyId};
use clavicle_ledger::terms::{SeriesScope, Terms};
use clavicle_letters::circumstances::Circumstances;
use tracing::debug;

use super::access::own_download;
use super::{OwnStudy, Patient};
use crate::envelope::GrantRequest;
use crate::error::WalletError;
use crate::objection;
use crate::rows::Held;
use crate::scope::{KnownSeries, MAX_CHOSEN, Scope, SeriesTold, id};

impl Patient {
    /// The series of a study, as its source tells: it is asked where the study is not what it told before.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn series(&mut self, study: &OwnStudy) -> Result<Vec<KnownSeries>, WalletError> {
        let told = self.wallet.vault.get::<SeriesTold>(study.id.as_bytes())?;
        let proved = objection::proved(&self.wallet.vault, study.id)?;
        let is_of_now =
            |told: &SeriesTold| proved.as_ref().is_none_or(|proved| proved.record.manifest_root == told.root);
        if let Some(told) = told.as_ref().filter(|told| is_of_now(told)) {
            return Ok(told.series.clone());
        }
        match (self.ask_series(study).await, told) {
            (Ok(series), _) => Ok(series),
            (Err(error @ WalletError::Vault(_)), _) | (Err(error), None) => Err(error),
            // What was there before is chosen among as long as nobody tells what there is now.
            (Err(error), Some(told)) => {
                debug!(%error, "which series a study has now is not told");
                Ok(told.series)
            }
        }
    }

    /// What the source told before, without a network.
    pub(super) fn series_known(&self, study: &OwnStudy) -> Result<Vec<KnownSeries>, WalletError> {
        let told = self.wallet.vault.get::<SeriesTold>(study.id.as_bytes())?;
        told.map(|told| told.series).ok_or(WalletError::SeriesNotKnown)
    }

    async fn ask_series(&mut self, study: &OwnStudy) -> Result<Vec<KnownSeries>, WalletError> {
        let (record, proven) = self.record(study).await?;
        let root = record.manifest_root;
        let (download, key) = (own_download(study.id, record, &proven)?, self.holder(study)?);
        let (endpoint, verified) = Box::pin(self.wallet.fetch(download, key, None).knock()).await?;
        let offer = verified.offer().clone();
        verified.close().await;
        endpoint.close().await;
        // A holder is offered all of it.
        let told = SeriesTold::of(offer.manifest.whole().ok_or(WalletError::OtherAnswer)?, root);
        self.wallet.vault.put(study.id.as_bytes(), &told)?;
        Ok(told.series)
    }

    /// What is to be granted of a study that has `known` series, and how many these are where some are.
    pub(super) fn scope_wanted(
        study: &OwnStudy,
        request: &GrantRequest,
        known: &[KnownSeries],
    ) -> Result<(SeriesScope, Option<u32>), WalletError> {
        let Some(wanted) = &request.series else { return Ok((SeriesScope::All, None)) };
        let salt = &study.held.known.as_ref().ok_or(WalletError::NotTold)?.salt;
        if let Some(unknown) = wanted.iter().find(|uid| !known.iter().any(|one| one.uid == **uid)) {
            return Err(WalletError::NoSeries(unknown.to_string()));
        }
        let ids: BTreeSet<SeriesId> = wanted.iter().map(|uid| id(salt, uid)).collect();
        if ids.is_empty() {
            return Err(WalletError::NoSeriesChosen);
        }
        if wanted.len() > MAX_CHOSEN {
            return Err(WalletError::TooManySeries(wanted.len()));
        }
        let these = Ascending::from_items(ids.into_iter().collect()).map_err(|_| WalletError::Defect)?;
        Ok((SeriesScope::These(these), u32::try_from(known.len()).ok()))
    }

    /// Which series a grant allows, with their names; nothing where that is all of the study.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn scope(&self, study: StudyId, grant: GrantId, terms: &Terms) -> Result<Option<Scope>, WalletError> {
        if terms.series == SeriesScope::All {
            return Ok(None);
        }
        let vault = &self.wallet.vault;
        let (held, told) = (vault.get::<Held>(study.as_bytes())?, vault.get::<SeriesTold>(study.as_bytes())?);
        let of = vault.get::<Circumstances>(grant.as_bytes())?.and_then(|told| told.series_in_all);
        let known = held.as_ref().and_then(|held| held.known.as_ref()).map(|known| &known.salt).zip(told.as_ref());
        Ok(Scope::of(terms, of, known))
    }
}
