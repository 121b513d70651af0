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
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Deed;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};
use clavicle_letters::card::SignedCard;
use clavicle_letters::circumstances::{Circumstances, Lot};
use tracing::debug;

use super::ending::is_called;
use super::grant::{Asked, Known, check_rules};
use super::{GrantRequest, OwnStudy, Patient, Whose};
use crate::error::WalletError;
use crate::rows::{KeptCard, Made, RefusedGrant};
use crate::vault::{Row, VaultError};
use crate::wallet::random;

/// The longest time over which grants are spread, in milliseconds.
pub const MAX_SPREAD_MS: u64 = DAY_MS;
/// How long after the last of its lot what is planned is still granted, in milliseconds.
const LATE_MS: u64 = 12 * HOUR_MS;
/// For how long it is kept that something planned was not granted, in milliseconds.
const SAID_MS: u64 = 7 * DAY_MS;
/// How many are tried in one go, where the first cannot be signed.
const MAX_TRIED: usize = 4;
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
    /// When it was planned, by this device's clock.
    pub since: Timestamp,
    /// When, by this device's clock.
    pub at: Timestamp,
}

impl Planned {
    fn place(&self) -> Vec<u8> {
        [&self.lot.id[..], self.study.as_bytes()].concat()
    }

    /// Until when it is granted at all.
    #[must_use]
    pub fn good_until(&self) -> Timestamp {
        let late = self.lot.last_by.plus(LATE_MS);
        late.min(self.card.card.expires.timestamp()).min(self.since.plus(self.request.for_ms))
    }

    /// Whether its time is over: it was not granted, and is not any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.good_until()
    }

    /// The request, when it is granted at this time: it ends when it would have, had it been granted at once.
    fn request_at(&self, now: Timestamp) -> GrantRequest {
        let for_ms = self.request.for_ms.saturating_sub(now.since(self.since));
        GrantRequest { for_ms, ..self.request.clone() }
    }

    /// Another moment from now on, over as many hours as the first was drawn from.
    fn drawn_anew(&self, now: Timestamp, random: [u8; 8]) -> Self {
        let over_ms = self.lot.last_by.since(self.since).min(self.good_until().since(now));
        Self { at: now.plus(1 + number_below(over_ms, random)), ..self.clone() }
    }

    /// Whether it ends with a grant of this study that was made to whoever showed this card.
    fn ends_with(&self, study: StudyId, card: &KeptCard) -> bool {
        let is_theirs = self.study == study && card.person() == Some(&self.card.card.person);
        self.card.signature == card.signature || is_theirs
    }

    /// Whether it is what is asked for.
    fn is_asked(&self, request: &GrantRequest, all_the_same: bool) -> bool {
        // That a team's members sign follows from whose the card is, and is not asked for.
        let mut planned = self.request.clone();
        planned.conditions.members_of = request.conditions.members_of;
        planned == *request && (self.all_the_same || !all_the_same)
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
    /// by whoever has this wallet open then. With each that was tried now why it is not finished, if it is not; what
    /// could not even be signed stays planned. The same asked for once more while some are planned, those go on.
    ///
    /// # Errors
    /// As [`Patient::sign_grants`], and [`WalletError::OtherPlan`]: then nothing was planned.
    pub async fn grant_spread(
        &mut self,
        studies: &[OwnStudy],
        card: &SignedCard,
        (request, all_the_same): (&GrantRequest, bool),
        over_ms: u64,
    ) -> Result<Vec<(StudyId, Option<WalletError>)>, WalletError> {
        self.forget_over(Some(&card.signature))?;
        let mut going_on = self.planned()?;
        going_on.retain(|planned| planned.card.signature == card.signature);
        if going_on.is_empty() {
            self.plan(studies, card, (request, all_the_same), over_ms).await?;
        } else {
            // Those that were granted before are theirs too.
            let mut known: BTreeSet<StudyId> = going_on.iter().map(|planned| planned.study).collect();
            for granted in self.grants()?.into_iter().filter(|granted| granted.revoked.is_none()) {
                known.extend((granted.made.card.signature == card.signature).then_some(granted.made.study));
            }
            let is_same = going_on.iter().all(|planned| planned.is_asked(request, all_the_same));
            if !is_same || !studies.iter().all(|study| known.contains(&study.id)) {
                return Err(WalletError::OtherPlan);
            }
        }
        self.grant_planned(Some(&card.signature)).await
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
        let planned = self.planned()?.iter().filter(|planned| !planned.is_over(now)).count();
        if studies.len().saturating_add(planned) > MAX_PLANNED {
            return Err(WalletError::TooManyPlanned);
        }
        let introduced = self.introduce(card).await?;
        if introduced.verdict.needs_a_second_look() && !all_the_same {
            return Err(WalletError::SecondLook(introduced.verdict.beside(introduced.name.as_str())));
        }
        // What is shown as a team's now is granted to its members later, or not.
        let mut request = request.clone();
        if introduced.verdict.is_team() {
            request.conditions.members_of = Some(shown.person);
        }
        let of_card: Vec<Key> = shown.grantees.iter().copied().collect();
        let mut taken = BTreeSet::new();
        for study in studies {
            // What could not be granted now is not planned; when its time has come it is looked at once more.
            let (record, proven) = self.record(study).await?;
            let time = proven.rows.head()?.time;
            record.permits(Deed::Grant, time).map_err(WalletError::Standing)?;
            check_rules(&record, &proven.rows.rules()?.parameters, time, self.wallet.ledger.head(), &request)?;
            if study.held.known.is_none() {
                return Err(WalletError::NotTold);
            }
            let grantee = self.fresh_key(study, &of_card, &taken).map_err(|error| match error {
                WalletError::CardUsedUp => WalletError::TooFewKeys { keys: taken.len(), studies: studies.len() },
                error => error,
            })?;
            taken.insert(grantee);
        }
        self.check_wait(request.begins_in_ms)?;
        // What is planned already counts, as if it had been granted.
        self.check_often(studies.len().saturating_add(planned))?;
        self.keep_plan(studies, card, (&request, all_the_same), (now, over_ms))
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
            plan.push(Planned { study: study.id, card, grantee, request, all_the_same, lot, since: now, at });
        }
        Ok(self.wallet.vault.write(|batch| plan.iter().try_for_each(|one| batch.put(&one.place(), one)))?)
    }

    /// Grants one of those that are planned and due, for this card or for anybody, and draws new moments for the others:
    /// what comes in one go is seen to be one patient's. With each that was tried why it is not finished, if it is not;
    /// what could not even be signed stays planned.
    ///
    /// # Errors
    /// [`WalletError`], of the vault alone.
    pub(super) async fn grant_planned(
        &mut self,
        card: Option<&Signature>,
    ) -> Result<Vec<(StudyId, Option<WalletError>)>, WalletError> {
        self.forget_over(None)?;
        let now = self.wallet.now();
        let mut due = self.planned()?;
        due.retain(|planned| planned.at <= now && !planned.is_over(now));
        let of_card = |planned: &Planned| card.is_none_or(|card| planned.card.signature == *card);
        let (mut tried, mut later): (Vec<_>, Vec<_>) = due.into_iter().partition(of_card);
        // Which of them is next tells nothing, and none that cannot be granted is always the first.
        let first = number_below(u64::try_from(tried.len()).unwrap_or(u64::MAX), random()?);
        tried.rotate_left(usize::try_from(first).unwrap_or(0));
        later.extend(tried.split_off(tried.len().min(MAX_TRIED)));
        let mut done = Vec::new();
        while let Some(planned) = (!tried.is_empty()).then(|| tried.remove(0)) {
            let others: Vec<Planned> = tried.iter().chain(&later).cloned().collect();
            match self.grant_one_planned(&planned, &others).await {
                Ok(finished) => {
                    done.push((planned.study, finished));
                    break;
                }
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => {
                    debug!(%error, "what was planned cannot be granted now");
                    done.push((planned.study, Some(error)));
                }
            }
        }
        Ok(done)
    }

    /// Forgets what was planned and is long over; of this card, whatever is over.
    fn forget_over(&self, card: Option<&Signature>) -> Result<(), WalletError> {
        let now = self.wallet.now();
        let is_forgotten = |planned: &Planned| {
            let is_of_card = card.is_some_and(|card| planned.card.signature == *card);
            planned.is_over(now) && (is_of_card || now >= planned.good_until().plus(SAID_MS))
        };
        self.forget_planned(is_forgotten).map(drop)
    }

    /// Forgets what is planned; how many of it would still have been granted.
    fn forget_planned(&self, is_asked: impl Fn(&Planned) -> bool) -> Result<usize, WalletError> {
        let stopped: Vec<Planned> = self.planned()?.into_iter().filter(is_asked).collect();
        if !stopped.is_empty() {
            self.wallet.vault.write(|batch| {
                stopped.iter().try_for_each(|planned| batch.remove::<Planned>(&planned.place()).map(drop))
            })?;
        }
        let now = self.wallet.now();
        Ok(stopped.iter().filter(|planned| !planned.is_over(now)).count())
    }

    /// Signs it, and draws new moments for the others in the same commit.
    async fn grant_one_planned(
        &mut self,
        planned: &Planned,
        others: &[Planned],
    ) -> Result<Option<WalletError>, WalletError> {
        let now = self.wallet.now();
        let anew: Result<Vec<Planned>, WalletError> =
            others.iter().map(|other| Ok(other.drawn_anew(now, random()?))).collect();
        let (anew, request) = (anew?, planned.request_at(now));
        let study = self.study(&planned.study.to_string())?;
        let taken = BTreeSet::new();
        let asked = Asked {
            from: Known::Ledger,
            all_the_same: planned.all_the_same,
            taken: &taken,
            key: Some(planned.grantee),
        };
        let (mut granted, told) = self.prepare_grant(&study, &planned.card, &request, asked).await?;
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
            anew.iter().try_for_each(|other| batch.put(&other.place(), other))?;
            batch.remove::<Planned>(&planned.place()).map(drop)
        })?;
        match self.finish(&study, &mut granted).await {
            Err(error @ WalletError::Vault(_)) => Err(error),
            finished => Ok(finished.err()),
        }
    }

    /// Stops what is planned for somebody, or for everybody; how many it were. Nobody has seen any of it.
    pub(super) fn stop_planned(&self, whose: &Whose) -> Result<usize, WalletError> {
        let is_asked = |planned: &Planned| match whose {
            Whose::Everybody => true,
            Whose::Named(asked) => is_called(planned.card.card.name.as_str(), asked),
        };
        self.forget_planned(is_asked)
    }

    /// Stops what is planned for whoever showed the card of a grant, with which it was planned, and of the same study
    /// for the same person; how many it were.
    pub(super) fn stop_planned_with(&self, grant: GrantId) -> Result<usize, WalletError> {
        let made = match self.wallet.vault.get::<Made>(grant.as_bytes())? {
            Some(made) => Some(made),
            None => self.wallet.vault.get::<RefusedGrant>(grant.as_bytes())?.map(|refused| refused.made),
        };
        made.map_or(Ok(0), |made| self.forget_planned(|planned| planned.ends_with(made.study, &made.card)))
    }
}

/// A number below another, by chance; 0 below none. Of numbers so small none is more likely than another by more than is
/// seen in a thousand years.
const fn number_below(most: u64, random: [u8; 8]) -> u64 {
    if most == 0 { 0 } else { u64::from_le_bytes(random) % most }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clavicle_ledger::encoding::{Ascending, Text};
    use clavicle_ledger::id::ChainId;
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::terms::PurposeOfUse;
    use clavicle_letters::card::{Card, Minute, NetworkMark};
    use clavicle_letters::identity::Recipient;
    use clavicle_letters::verdict::{Unverified, Verdict};

    use super::*;

    #[test]
    fn a_number_by_chance_is_below_the_other() {
        assert_eq!((number_below(0, [0xff; 8]), number_below(1, [0xff; 8])), (0, 0));
        assert!((0..=255).all(|byte| number_below(7, [byte; 8]) < 7));
        let drawn: BTreeSet<u64> = (0..=255).map(|byte| number_below(7, [byte, 0, 0, 0, 0, 0, 0, 0])).collect();
        assert_eq!(drawn.len(), 7);
    }

    const NOW: Timestamp = Timestamp(20_000 * DAY_MS);

    /// Planned over four hours, of which the last is at their end.
    fn planned() -> Planned {
        let of = |seed: u8| SecretKey::from_bytes(&[seed; 32]);
        let card = Card {
            network: NetworkMark::from(&ChainId::from_bytes([9; 32])),
            person: of(1).public(),
            name: Text::default(),
            grantees: Ascending::from_items(vec![of(2).public()]).unwrap(),
            mailbox: of(3).public(),
            relays: Ascending::default(),
            recipient: Recipient::from_bytes([4; 32]),
            wish: Text::default(),
            expires: Minute::of(NOW.plus(10 * DAY_MS)),
        };
        Planned {
            study: StudyId::from_bytes([5; 32]),
            card: SignedCard { card, signature: Signature::from_bytes([6; 64]) },
            grantee: of(2).public(),
            request: GrantRequest::new(7 * DAY_MS, PurposeOfUse::Treatment),
            all_the_same: false,
            lot: Lot { id: [7; 16], count: 2, last_by: NOW.plus(4 * HOUR_MS) },
            since: NOW,
            at: NOW.plus(HOUR_MS),
        }
    }

    #[test]
    fn what_is_planned_ends_and_is_drawn_anew_within_that_time() {
        let one = planned();
        let end = NOW.plus(16 * HOUR_MS);
        assert!(!one.is_over(Timestamp(end.0 - 1)) && one.is_over(end));
        let mut card_over = one.clone();
        card_over.card.card.expires = Minute::of(NOW.plus(HOUR_MS));
        assert!(card_over.is_over(NOW.plus(HOUR_MS)));
        for (late, most) in [(5 * HOUR_MS, 9 * HOUR_MS), (15 * HOUR_MS, 16 * HOUR_MS)] {
            for byte in 0..=255 {
                let at = one.drawn_anew(NOW.plus(late), [byte; 8]).at;
                assert!(at > NOW.plus(late) && at <= NOW.plus(most), "{at:?}");
            }
        }
        // However late it is granted, it ends when it would have.
        assert_eq!(one.request_at(NOW.plus(3 * HOUR_MS)).for_ms, 7 * DAY_MS - 3 * HOUR_MS);
    }

    #[test]
    fn whoever_is_shut_out_of_one_is_shut_out_of_what_was_planned_with_it() {
        let (one, relays) = (planned(), Ascending::default());
        let chain = ChainId::from_bytes([9; 32]);
        let kept = KeptCard::of(chain, &one.card, relays, Verdict::Unverified(Unverified::Nobody));
        let other_study = StudyId::from_bytes([8; 32]);
        assert!(one.ends_with(other_study, &kept), "of the same lot");
        let another = KeptCard { signature: Signature::from_bytes([1; 64]), ..kept };
        assert!(one.ends_with(one.study, &another), "of the same study, by another card of theirs");
        assert!(!one.ends_with(other_study, &another));
    }
}
