//! Several studies that are granted to one person not all in one moment.
//!
//! Grants that come one right after another are one patient's: whoever reads the ledger sees that more surely than
//! anything else. Whoever does not stand before the patient can wait, so each of them comes at a moment of its own, drawn
//! at random out of some hours. What is planned is kept before the first is signed, and each goes out of the plan in the
//! commit that it is signed in, so that none is granted twice or forgotten, whatever breaks off. What is planned and not
//! signed nobody has seen: to stop it leaves no trace.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Deed;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_letters::card::SignedCard;
use clavicle_letters::circumstances::{Circumstances, Lot};
use tracing::debug;

use super::ending::is_called;
use super::grant::{Asked, Granted, Known};
use super::{GrantRequest, OwnStudy, Patient, Whose};
use crate::error::WalletError;
use crate::vault::{Row, VaultError};
use crate::wallet::random;

/// The longest time over which grants are spread, in milliseconds.
pub const MAX_SPREAD_MS: u64 = DAY_MS;
/// The most studies that are planned at once.
const MAX_PLANNED: usize = 64;

/// A grant that is to be made later. By its lot's id and its study's.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub struct Planned {
    /// Of which study.
    pub study: StudyId,
    /// To whoever showed this card.
    pub card: SignedCard,
    /// To which of its keys: kept for it.
    pub grantee: Key,
    /// On which terms.
    pub request: GrantRequest,
    /// Whether whoever plans it has read what stands beside the name.
    pub all_the_same: bool,
    /// With which others.
    pub lot: Lot,
    /// When, by this device's clock.
    pub at: Timestamp,
}

impl Planned {
    fn place(&self) -> Vec<u8> {
        [&self.lot.id[..], self.study.as_bytes()].concat()
    }
}

impl Wire for Planned {
    const NAME: &'static str = "a grant that is planned";
    const MAX_LEN: usize = SignedCard::MAX_LEN + 8 * 1024;
}

impl Row for Planned {
    const KIND: &'static str = "planned";
}

impl Patient {
    /// What is planned, the earliest first.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn planned(&self) -> Result<Vec<Planned>, WalletError> {
        let mut all: Vec<Planned> = self.wallet.vault.all::<Planned>()?.into_iter().map(|(_, row)| row).collect();
        all.sort_by_key(|planned| (planned.at, planned.study));
        Ok(all)
    }

    /// Grants several studies to whoever showed `card`, one now and each of the others at some moment within `over_ms`,
    /// by whoever has this wallet open then. With each that was granted now why it is not finished, if it is not. Asked
    /// for once more while some are planned, those go on and no more are.
    ///
    /// # Errors
    /// As [`Patient::sign_grants`]: then nothing was planned.
    pub async fn grant_spread(
        &mut self,
        studies: &[OwnStudy],
        card: &SignedCard,
        (request, all_the_same): (&GrantRequest, bool),
        over_ms: u64,
    ) -> Result<Vec<(Granted, Option<WalletError>)>, WalletError> {
        let is_going_on = self.planned()?.iter().any(|planned| planned.card.signature == card.signature);
        if !is_going_on {
            self.plan(studies, card, (request, all_the_same), over_ms).await?;
        }
        self.grant_planned().await
    }

    async fn plan(
        &mut self,
        studies: &[OwnStudy],
        card: &SignedCard,
        (request, all_the_same): (&GrantRequest, bool),
        over_ms: u64,
    ) -> Result<(), WalletError> {
        let (chain, now) = (self.wallet.chain(), self.wallet.now());
        let shown = card.verify(&chain, now)?;
        if request.series.is_some() && studies.len() > 1 {
            return Err(WalletError::SeriesOfSeveral);
        }
        let over_ms = over_ms.clamp(1, MAX_SPREAD_MS);
        if now.plus(over_ms) > shown.expires.timestamp() {
            return Err(WalletError::CardTooShort(shown.expires.timestamp()));
        }
        if request.for_ms <= over_ms {
            return Err(WalletError::TooShort);
        }
        if studies.len().saturating_add(self.planned()?.len()) > MAX_PLANNED {
            return Err(WalletError::TooManyPlanned);
        }
        let introduced = self.introduce(card).await?;
        if introduced.verdict.needs_a_second_look() && !all_the_same {
            return Err(WalletError::SecondLook(introduced.verdict.beside(introduced.name.as_str())));
        }
        let of_card: Vec<Key> = shown.grantees.iter().copied().collect();
        let mut taken = BTreeSet::new();
        for study in studies {
            // What could not be granted now is not planned; when its time has come it is looked at once more.
            let (record, proven) = self.record(study).await?;
            record.permits(Deed::Grant, proven.rows.head()?.time).map_err(WalletError::Standing)?;
            let grantee = self.fresh_key(study, &of_card, &taken).map_err(|error| match error {
                WalletError::CardUsedUp => WalletError::TooFewKeys { keys: taken.len(), studies: studies.len() },
                error => error,
            })?;
            taken.insert(grantee);
        }
        self.check_often(studies.len())?;
        self.keep_plan(studies, card, (request, all_the_same), (now, over_ms))
    }

    /// Draws a moment for each, and keeps them all at once.
    fn keep_plan(
        &self,
        studies: &[OwnStudy],
        card: &SignedCard,
        (request, all_the_same): (&GrantRequest, bool),
        (now, over_ms): (Timestamp, u64),
    ) -> Result<(), WalletError> {
        let of_card: Vec<Key> = card.card.grantees.iter().copied().collect();
        // Which of them comes first tells nothing.
        let first = number_below(u64::try_from(studies.len()).unwrap_or(u64::MAX), random()?);
        let mut moments = Vec::new();
        for place in (0..).take(studies.len()) {
            let after = if place == first { 0 } else { 1 + number_below(over_ms, random()?) };
            moments.push(now.plus(after));
        }
        let last_by = moments.iter().copied().max().unwrap_or(now);
        let count = u32::try_from(studies.len()).unwrap_or(u32::MAX);
        let lot = Lot { id: random()?, count, last_by };
        let (mut taken, mut plan) = (BTreeSet::new(), Vec::new());
        for (study, at) in studies.iter().zip(moments) {
            let grantee = self.fresh_key(study, &of_card, &taken)?;
            taken.insert(grantee);
            let (card, request) = (card.clone(), request.clone());
            plan.push(Planned { study: study.id, card, grantee, request, all_the_same, lot, at });
        }
        Ok(self.wallet.vault.write(|batch| plan.iter().try_for_each(|one| batch.put(&one.place(), one)))?)
    }

    /// Grants what is planned and due. With each why it is not finished, if it is not; what could not even be signed
    /// stays planned.
    ///
    /// # Errors
    /// [`WalletError`], of the first that could not be signed, where none was.
    pub async fn grant_planned(&mut self) -> Result<Vec<(Granted, Option<WalletError>)>, WalletError> {
        let now = self.wallet.now();
        let (mut done, mut failed) = (Vec::new(), None);
        for planned in self.planned()?.into_iter().filter(|planned| planned.at <= now) {
            match self.grant_one_planned(&planned).await {
                Ok(one) => done.push(one),
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => {
                    debug!(%error, "what was planned cannot be granted now");
                    failed = failed.or(Some(error));
                }
            }
        }
        match failed {
            Some(error) if done.is_empty() => Err(error),
            _ => Ok(done),
        }
    }

    async fn grant_one_planned(&mut self, planned: &Planned) -> Result<(Granted, Option<WalletError>), WalletError> {
        let study = self.study(&planned.study.to_string())?;
        let taken = BTreeSet::new();
        let asked = Asked {
            from: Known::Ledger,
            all_the_same: planned.all_the_same,
            taken: &taken,
            key: Some(planned.grantee),
        };
        let (mut granted, told) = self.prepare_grant(&study, &planned.card, &planned.request, asked).await?;
        if told.is_some() {
            self.check_caps([&granted])?;
        }
        let lot = Some(planned.lot).filter(|lot| lot.count > 1);
        self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            if let Some(told) = &told {
                batch.put(granted.id.as_bytes(), &granted.made)?;
                let told = Circumstances { lot, ..told.clone() };
                if told.say_more() {
                    batch.put(granted.id.as_bytes(), &told)?;
                }
            }
            batch.remove::<Planned>(&planned.place()).map(drop)
        })?;
        match self.finish(&study, &mut granted).await {
            Err(error @ WalletError::Vault(_)) => Err(error),
            finished => Ok((granted, finished.err())),
        }
    }

    /// Stops what is planned for somebody, or for everybody; how many it were. Nobody has seen any of it.
    pub(super) fn stop_planned(&self, whose: &Whose) -> Result<usize, WalletError> {
        let is_asked = |planned: &Planned| match whose {
            Whose::Everybody => true,
            Whose::Named(asked) => is_called(planned.card.card.name.as_str(), asked),
        };
        let stopped: Vec<Planned> = self.planned()?.into_iter().filter(is_asked).collect();
        self.wallet.vault.write(|batch| {
            stopped.iter().try_for_each(|planned| batch.remove::<Planned>(&planned.place()).map(drop))
        })?;
        Ok(stopped.len())
    }
}

/// A number below another, by chance; 0 below none. Of numbers so small none is more likely than another by more than is
/// seen in a thousand years.
const fn number_below(most: u64, random: [u8; 8]) -> u64 {
    if most == 0 { 0 } else { u64::from_le_bytes(random) % most }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_by_chance_is_below_the_other() {
        assert_eq!((number_below(0, [0xff; 8]), number_below(1, [0xff; 8])), (0, 0));
        assert!((0..=255).all(|byte| number_below(7, [byte; 8]) < 7));
        let drawn: BTreeSet<u64> = (0..=255).map(|byte| number_below(7, [byte, 0, 0, 0, 0, 0, 0, 0])).collect();
        assert_eq!(drawn.len(), 7);
    }
}
