//! Changing a grant: for longer, or for less.
//!
//! What is on the ledger is never altered. A changed grant is another one, to another of the recipient's keys, and takes
//! the place of the former, which ends when the new one stands:
//!
//! ```text
//! signed and kept ──► final ──► letter left ──► the former is revoked
//!        │                          (of a grant for less, also while it could not be left)
//!        └─ refused ─► the former is as it was
//! ```
//!
//! Each step is in the vault before it has any effect. Killed at any instant, the same again goes on where it stopped,
//! and so does whatever brings in what is not final yet.

use std::collections::BTreeSet;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Wire};
use clavicle_ledger::id::{GrantId, ManifestRoot, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Deed;
use clavicle_ledger::terms::{Conditions, SeriesScope, Terms};
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_letters::card::{Card, MAX_CARD_RELAYS, Minute, NetworkMark, RelayMark, SignedCard};
use clavicle_letters::circumstances::Circumstances;
use clavicle_letters::introduction;
use clavicle_letters::verdict::{Acquaintance, Unverified, Verdict};
use clavicle_manifest::Uid;
use tokio::time::timeout;
use tracing::debug;

use super::grant::{Granted, Revocable, check_rules};
use super::introduce::PATIENCE;
use super::{GrantRequest, OwnStudy, Patient};
use crate::envelope::{self, Head};
use crate::error::WalletError;
use crate::rows::{InvitedStage, KeptCard, Made, ShownBy, Stage, Way};
use crate::scope::MAX_CHOSEN;
use crate::vault::{Row, VaultError};
use crate::wallet::random;

/// The most cards of further keys that are looked at: anybody who has the card can leave something beside it.
const MAX_MORE_CARDS: usize = 16;

/// How a grant is to be changed.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum GrantChange {
    /// It lasts longer, and is otherwise as it was.
    Renew {
        /// For how long from now on, in milliseconds.
        for_ms: u64,
        /// How often it may be opened from now on: to be said where it was counted, and only there.
        openings: Option<u32>,
    },
    /// It allows less.
    Narrow(Narrowing),
}

/// What is to be less; what is not named stays.
#[derive(Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Narrowing {
    /// For how long from now on, in milliseconds.
    pub for_ms: Option<u64>,
    /// Only these series.
    pub series: Option<Vec<Uid>>,
    /// To be looked at and not kept.
    pub view_only: bool,
    /// How often it may be opened from now on: to be said where it was counted.
    pub openings: Option<u32>,
}

/// That a grant takes the place of another. By its id.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(crate) struct Replacing {
    /// Whose place.
    pub former: GrantId,
    /// What was asked for.
    pub change: GrantChange,
}

impl Wire for Replacing {
    const NAME: &'static str = "that a grant takes the place of another";
    const MAX_LEN: usize = 32 + 64 + MAX_CHOSEN * 65;
}

impl Row for Replacing {
    const KIND: &'static str = "replacing";
}

/// A grant that was changed.
#[derive(Clone)]
pub struct Changed {
    /// As it is now.
    pub granted: Granted,
    /// The one whose place it has taken.
    pub former: GrantId,
    /// The height at which that one's end became final.
    pub ended_at: Height,
}

impl Patient {
    /// Renews a grant, or narrows it. The former one ends when the new one is final; where the hospitals refuse the new
    /// one, nothing has changed. `all_the_same` is as in [`Patient::grant`].
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn change_grant(
        &mut self,
        begin: &str,
        change: &GrantChange,
        all_the_same: bool,
    ) -> Result<Changed, WalletError> {
        let former = self.grant_by(begin)?;
        self.settle_late_change(former.id).await?;
        let mut granted = match self.replaced_by(former.id)? {
            Some((id, before)) if before.change == *change => self.grant_by(&id.to_string())?,
            Some((id, _)) => return Err(WalletError::Replaced(id)),
            None => self.sign_change(&former, change, all_the_same).await?,
        };
        let study = self.study(&granted.made.study.to_string())?;
        let finished = self.finish(&study, &mut granted).await;
        let may_end = granted.made.stage != Stage::Signed && (finished.is_ok() || is_less(change));
        if !may_end {
            return Err(finished.err().unwrap_or(WalletError::Defect));
        }
        let ended_at = self.revoke_alone(&Revocable::from(&former)).await?;
        finished?;
        Ok(Changed { granted, former: former.id, ended_at })
    }

    /// What was to take the place of a grant, and never came into a block while it could, holds up nothing.
    async fn settle_late_change(&mut self, former: GrantId) -> Result<(), WalletError> {
        if let Some((id, _)) = self.replaced_by(former)? {
            let mut granted = self.grant_by(&id.to_string())?;
            if self.is_late(&granted) && granted.revoked.is_none() {
                match self.bring_in_late(&mut granted).await {
                    // Whether its letter was left is seen to by whoever goes on with it.
                    Err(error) if granted.made.stage != Stage::Signed => debug!(%error, "a change that was late"),
                    done => done?,
                }
            }
        }
        Ok(())
    }

    /// The grant that takes the place of this one, if one was made.
    fn replaced_by(&self, former: GrantId) -> Result<Option<(GrantId, Replacing)>, WalletError> {
        Ok(self.replacings()?.into_iter().find(|(_, replacing)| replacing.former == former))
    }

    fn replacings(&self) -> Result<Vec<(GrantId, Replacing)>, WalletError> {
        let all = self.wallet.vault.all::<Replacing>()?.into_iter();
        Ok(all.filter_map(|(id, row)| Some((GrantId::from_bytes(id.try_into().ok()?), row))).collect())
    }

    /// The grant whose place this one takes.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn replaces(&self, grant: GrantId) -> Result<Option<GrantId>, WalletError> {
        Ok(self.wallet.vault.get::<Replacing>(grant.as_bytes())?.map(|replacing| replacing.former))
    }

    /// Those that have to end with a grant, for whoever ends it means all that it stands for: what it is taking the
    /// place of, and what is taking its own.
    pub(super) fn linked(&self, grant: GrantId) -> Result<Vec<Revocable>, WalletError> {
        let (all, mut linked, mut open) = (self.replacings()?, BTreeSet::from([grant]), vec![grant]);
        while let Some(one) = open.pop() {
            for (id, Replacing { former, .. }) in &all {
                let other = if *id == one { Some(*former) } else { (*former == one).then_some(*id) };
                open.extend(other.filter(|other| linked.insert(*other)));
            }
        }
        linked.remove(&grant);
        let mut to_end = Vec::new();
        for made in self.grants()? {
            let has_ended = made.revoked.as_ref().is_some_and(|revoked| revoked.final_at.is_some());
            if linked.contains(&made.id) && !has_ended {
                to_end.push(Revocable::from(&made));
            }
        }
        Ok(to_end)
    }

    /// Ends what others have taken the place of, where that has not been done yet.
    pub(super) async fn end_replaced(&mut self) -> Result<(), WalletError> {
        for (id, Replacing { former, change }) in self.replacings()? {
            let (Ok(granted), Ok(former)) = (self.grant_by(&id.to_string()), self.grant_by(&former.to_string())) else {
                continue;
            };
            let stands = match granted.made.stage {
                Stage::Signed => false,
                Stage::Final(_) => is_less(&change),
                Stage::Delivered(_) => true,
            };
            // A revocation that did not come into a block while it could is none.
            let has_none = former.revoked.as_ref().is_none_or(|revoked| {
                let submit_by = revoked.envelope.body.submit_by;
                revoked.final_at.is_none() && !self.wallet.ledger.head().is_before(submit_by)
            });
            // One that was ended itself took its former along.
            if stands && granted.revoked.is_none() && has_none {
                match self.revoke_alone(&Revocable::from(&former)).await {
                    Err(error @ WalletError::Vault(_)) => return Err(error),
                    done => debug!(?done, "the end of a grant that another has taken the place of"),
                }
            }
        }
        Ok(())
    }

    /// Signs the grant that is to take the place of another, and keeps it; nobody has seen it yet.
    async fn sign_change(
        &mut self,
        former: &Granted,
        change: &GrantChange,
        all_the_same: bool,
    ) -> Result<Granted, WalletError> {
        let (chain, now) = (self.wallet.chain(), self.wallet.now());
        let study = self.study(&former.made.study.to_string())?;
        match former.made.stage {
            _ if former.revoked.is_some() => return Err(WalletError::NothingToChange),
            Stage::Signed => return Err(WalletError::Unfinished(former.id)),
            Stage::Final(_) | Stage::Delivered(_) => {}
        }
        self.check_far(&former.made.card, change)?;
        // To allow less is never held up.
        let card =
            if is_less(change) { former.made.card.clone() } else { self.renewed_card(former, all_the_same).await? };
        let (record, proven) = self.record(&study).await?;
        let (time, head) = (proven.rows.head()?.time, self.wallet.ledger.head());
        let latest = now.max(time.timestamp());
        if former.made.terms.expires <= latest {
            return Err(WalletError::GrantOver(former.made.terms.expires));
        }
        if record.grants.find(&former.id).is_none() {
            return Err(WalletError::GrantGone { height: proven.height });
        }
        record.permits(Deed::Grant, time).map_err(WalletError::Standing)?;
        let edition = (record.revision, record.manifest_root);
        let (terms, series_in_all) = self.changed_terms(&study, former, (change, edition), head).await?;
        let rules =
            GrantRequest { begins_in_ms: 0, for_ms: terms.expires.since(head.time.timestamp()), ..plain(&terms) };
        check_rules(&record, &proven.rows.rules()?.parameters, time, head, &rules)?;
        let grantee = self.key_for(&study, &card).await?;
        let holder = self.holder(&study)?;
        let body = envelope::grant(head, random()?, &chain, (study.id, holder.public()), grantee, &terms);
        let id = GrantId::from(body.id(&chain));
        let envelope = body.sign(&chain, &[&holder])?;
        let made = Made { study: study.id, card, grantee, terms, envelope, at: now, stage: Stage::Signed };
        let granted = Granted { id, made, revoked: None };
        // To allow less is never held up.
        if !is_less(change) {
            self.check_caps([&granted])?;
        }
        let told = Circumstances { series_in_all, replaces: Some(former.id), ..Circumstances::default() };
        let replacing = Replacing { former: former.id, change: change.clone() };
        self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            batch.put(id.as_bytes(), &granted.made)?;
            batch.put(id.as_bytes(), &told)?;
            batch.put(id.as_bytes(), &replacing)
        })?;
        Ok(granted)
    }

    /// What the changed grant allows.
    async fn changed_terms(
        &mut self,
        study: &OwnStudy,
        former: &Granted,
        (change, (revision, manifest_root)): (&GrantChange, (u32, ManifestRoot)),
        head: Head,
    ) -> Result<(Terms, Option<u32>), WalletError> {
        let from = head.time.timestamp();
        let before = &former.made.terms;
        // What later revisions brought is not let in by the way.
        let (revision, manifest_root) =
            if before.later_revisions { (revision, manifest_root) } else { (before.revision, before.manifest_root) };
        let told = self.wallet.vault.get::<Circumstances>(former.id.as_bytes())?;
        let mut series_in_all = told.and_then(|told| told.series_in_all);
        let not_before = before.not_before.max(from);
        let mut terms = Terms { not_before, revision, manifest_root, blinding: random()?, ..before.clone() };
        let openings = match change {
            GrantChange::Renew { for_ms, openings } => {
                terms.expires = from.plus(*for_ms);
                if terms.expires <= before.expires {
                    return Err(WalletError::NotLonger(before.expires));
                }
                if openings.is_some() && before.openings().is_none() {
                    return Err(WalletError::NotNarrower(
                        "how often it may be opened is counted, which renewing does not do",
                    ));
                }
                *openings
            }
            GrantChange::Narrow(Narrowing { for_ms, series, view_only, openings }) => {
                if let Some(for_ms) = for_ms {
                    terms.expires = from.plus(*for_ms);
                }
                if terms.expires > before.expires {
                    return Err(WalletError::NotNarrower("it would last longer"));
                }
                if series.is_some() {
                    let known = self.series(study).await?;
                    let request = GrantRequest { series: series.clone(), ..plain(before) };
                    let (scope, of) = Self::scope_wanted(study, &request, &known)?;
                    if !covers(&before.series, &scope) {
                        return Err(WalletError::NotNarrower("it would allow a series that was not allowed before"));
                    }
                    (terms.series, series_in_all) = (scope, of);
                }
                if openings.zip(before.openings()).is_some_and(|(now, before)| now > before) {
                    return Err(WalletError::NotNarrower("it could be opened more often"));
                }
                let conditions = terms.conditions.get_or_insert_default();
                conditions.view_only |= *view_only;
                *openings
            }
        };
        // How often it was opened its hospital counts, by the grant: the count would begin anew by the way.
        if before.openings().is_some() && openings.is_none() {
            return Err(WalletError::OpeningsToSay);
        }
        if openings.is_some() {
            terms.conditions.get_or_insert_default().openings = openings;
        }
        terms.conditions = terms.conditions.filter(|conditions| *conditions != Conditions::default());
        if terms.expires <= terms.not_before {
            return Err(WalletError::TooShort);
        }
        if is_less(change) && same_but_for_edition(&terms, before) {
            return Err(WalletError::NotNarrower("nothing in it would be less"));
        }
        Ok((terms, series_in_all))
    }

    /// Whoever was let in from afar with a name that nobody checked is not let stay by a renewal.
    fn check_far(&self, card: &KeptCard, change: &GrantChange) -> Result<(), WalletError> {
        if is_less(change) {
            return Ok(());
        }
        let is_of_card = |card_of: &SignedCard| card_of.signature == card.signature;
        for invited in self.invitations()? {
            let is_far = invited.way == Way::FromAfar && invited.stage == InvitedStage::Granted;
            if is_far && !super::is_verified(&invited) && invited.card().is_some_and(is_of_card) {
                return Err(WalletError::FarTooMuch);
            }
        }
        Ok(())
    }

    /// The card of a grant that is to be renewed, with what is to be said of it now and where its mailbox is kept now.
    /// Whoever is otherwise than when they were let in is let in again only by somebody who says so.
    async fn renewed_card(&mut self, former: &Granted, all_the_same: bool) -> Result<KeptCard, WalletError> {
        let kept = &former.made.card;
        let Some(card) = card_of(kept) else { return Ok(kept.clone()) };
        let relays = match self.relays_of(&card).await {
            Ok(relays) => relays,
            Err(error @ WalletError::Vault(_)) => return Err(error),
            Err(_) => kept.mailbox.relays.clone(),
        };
        let vouched = match timeout(PATIENCE, self.vouched(&card, &relays)).await {
            Ok(vouched) => vouched?,
            Err(_) => Verdict::Unverified(Unverified::NotRead),
        };
        let verdict = since(kept, former.made.at, vouched);
        if verdict.needs_a_second_look() && !all_the_same {
            return Err(WalletError::SecondLook(verdict.beside(kept.name.as_str())));
        }
        let (mailbox, shown_by) = (card.mailbox(relays), ShownBy::Person { key: card.person, verdict });
        Ok(KeptCard { mailbox, shown_by, ..kept.clone() })
    }

    /// A key of whoever showed this card that stands on nothing yet: of the card, or of those that came later.
    async fn key_for(&mut self, study: &OwnStudy, kept: &KeptCard) -> Result<Key, WalletError> {
        let all: Vec<Key> = kept.grantees.iter().copied().collect();
        match self.fresh_key(study, &all, &BTreeSet::new()) {
            Err(WalletError::CardUsedUp) => {}
            found => return found,
        }
        let card = card_of(kept).ok_or(WalletError::NoKeyLeft)?;
        let more = self.more_keys(&card, &kept.mailbox.relays).await?;
        match self.fresh_key(study, &more, &BTreeSet::new()) {
            Err(WalletError::CardUsedUp) => Err(WalletError::NoKeyLeft),
            found => found,
        }
    }

    /// The keys that whoever showed a card has left beside it since: on further cards of the same person and mailbox.
    pub(super) async fn more_keys(
        &mut self,
        card: &Card,
        relays: &Ascending<SourceId, MAX_CARD_RELAYS>,
    ) -> Result<Vec<Key>, WalletError> {
        let (chain, now, place) = (self.wallet.chain(), self.wallet.now(), card.introduction_box());
        let relays: Vec<_> = relays.iter().copied().collect();
        let sealed = self.wallet.ledger.look_into(&relays, &place.key).await.ok_or(WalletError::NoRelay(None))?;
        let cards =
            sealed.iter().take(MAX_MORE_CARDS).filter_map(|sealed| introduction::open::<SignedCard>(sealed, &place));
        let is_theirs = |more: &SignedCard| {
            more.verify(&chain, now).is_ok_and(|more| {
                (more.person, more.mailbox, more.recipient) == (card.person, card.mailbox, card.recipient)
            })
        };
        let keys: BTreeSet<Key> = cards.filter(is_theirs).flat_map(|more| more.card.grantees.to_vec()).collect();
        Ok(keys.into_iter().collect())
    }
}

/// The card that is kept, as it was shown; nothing of one that did not say whose it is.
fn card_of(kept: &KeptCard) -> Option<Card> {
    let relays = kept.mailbox.relays.iter().map(RelayMark::from).collect();
    Some(Card {
        network: NetworkMark::from(&kept.chain),
        person: *kept.person()?,
        name: kept.name.clone(),
        grantees: kept.grantees.clone(),
        mailbox: kept.mailbox.key,
        relays: Ascending::from_items(relays).ok()?,
        recipient: kept.recipient,
        wish: kept.wish.clone(),
        expires: Minute::of(kept.expires),
    })
}

/// What is said of somebody now, held against what was said when they were let in.
fn since(kept: &KeptCard, at: Timestamp, vouched: Verdict) -> Verdict {
    let Some(person) = kept.person() else { return vouched };
    let (name, before) = (kept.name.as_str(), kept.verdict());
    let known = Acquaintance { person: Some(person), name, verdict: &before, at };
    vouched.against((person, name), core::iter::once(known))
}

/// Whether a change takes something away and adds nothing.
const fn is_less(change: &GrantChange) -> bool {
    matches!(change, GrantChange::Narrow(_))
}

/// Whether all that one scope allows another does.
fn covers(before: &SeriesScope, scope: &SeriesScope) -> bool {
    match (before, scope) {
        (SeriesScope::All, _) => true,
        (SeriesScope::These(_), SeriesScope::All) => false,
        (before, SeriesScope::These(these)) => these.iter().all(|series| before.covers(series)),
    }
}

/// Whether Terms allow the same for as long, whatever else is in them.
fn same_but_for_edition(terms: &Terms, before: &Terms) -> bool {
    let (one, other) = (terms.conditions.clone().unwrap_or_default(), before.conditions.clone().unwrap_or_default());
    terms.expires == before.expires && terms.series == before.series && one == other
}

/// A request that says of Terms what everybody says.
fn plain(terms: &Terms) -> GrantRequest {
    GrantRequest::new(0, terms.purpose)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clavicle_ledger::encoding::Text;
    use clavicle_ledger::id::{ChainId, SeriesId};
    use clavicle_ledger::key::{SecretKey, Signature};
    use clavicle_letters::credential::{CredentialNumber, Role};
    use clavicle_letters::identity::Recipient;
    use clavicle_letters::verdict::{Ended, Vouched, WordOf};

    use super::*;

    /// Whoever was vouched for and is not any more is not let in for longer without a word.
    #[test]
    fn a_renewal_is_held_against_what_was_said_when_they_were_let_in() {
        let (chain, at) = (ChainId::from_bytes([9; 32]), Timestamp(1_700_000_000_000));
        let key = |seed: u8| SecretKey::from_bytes(&[seed; 32]).public();
        let card = Card {
            network: NetworkMark::from(&chain),
            person: key(1),
            name: Text::new("Dr Rossi").unwrap(),
            grantees: Ascending::from_items(vec![key(2)]).unwrap(),
            mailbox: key(3),
            relays: Ascending::default(),
            recipient: Recipient::from_bytes([4; 32]),
            wish: Text::default(),
            expires: Minute::of(at),
        };
        let shown = SignedCard { card, signature: Signature::from_bytes([6; 64]) };
        let kept = |verdict| KeptCard::of(chain, &shown, Ascending::default(), verdict);
        let good = Verdict::Verified(Vouched {
            source: SourceId::from_bytes([5; 32]),
            source_name: Text::new("Mercy").unwrap(),
            word: WordOf::Source,
            role: Role::Physician,
            specialty: Text::default(),
            until: at,
            number: CredentialNumber(1),
        });
        assert_eq!(since(&kept(good.clone()), at, good.clone()), good);
        for why in [Unverified::ListTooOld, Unverified::Nobody, Unverified::NotRead] {
            let none = Verdict::Unverified(why);
            assert!(since(&kept(good.clone()), at, none.clone()).needs_a_second_look(), "{why}");
            assert_eq!(since(&kept(none.clone()), at, none.clone()), none, "as it was");
        }
        let ended = Verdict::Ended(Ended::ByIssuer);
        assert_eq!(since(&kept(good), at, ended.clone()), ended);
    }

    fn these(numbers: &[u8]) -> SeriesScope {
        let ids = numbers.iter().map(|number| SeriesId::from_bytes([*number; 32])).collect();
        SeriesScope::These(Ascending::from_items(ids).unwrap())
    }

    #[test]
    fn some_series_are_less_than_all_and_others_are_not() {
        for (before, after, is_less) in [
            (SeriesScope::All, these(&[1]), true),
            (SeriesScope::All, SeriesScope::All, true),
            (these(&[1, 2]), these(&[2]), true),
            (these(&[1, 2]), these(&[1, 2]), true),
            (these(&[1, 2]), these(&[2, 3]), false),
            (these(&[1, 2]), SeriesScope::All, false),
        ] {
            assert_eq!(covers(&before, &after), is_less, "{before:?} {after:?}");
        }
    }
}
