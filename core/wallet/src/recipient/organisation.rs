//! A practice or a team: whom it vouches for, what it leaves for them, and who opens in its name.
//!
//! Its long-term key vouches, so this wallet is on one device of the organisation. A member's own wallet signs what the
//! member opens, and needs nothing for it but its own long-term key: the word for the member is signed here, at that
//! moment, with the list of that moment. So whoever is removed opens nothing more from then on, and what they may have
//! kept is worth nothing after a day.

use std::time::Duration;

use clavicle_ledger::authorise::Actor;
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};
use clavicle_letters::credential::{
    Credential, CredentialNumber, CredentialRequest, EndedCredentials, Introduction, Issuer, MAX_CREDENTIAL_DAYS,
    MAX_ENDED, Role, SignedCredentialRequest, SignedEndedCredentials, Vouching,
};
use clavicle_letters::introduction;
use clavicle_letters::name::{self, NameDoubt};
use clavicle_letters::organisation::{MemberWord, NewsPlace, OrganisationNews};
use clavicle_letters::verdict::Verdict;
use tokio::time::timeout;
use tracing::debug;

use super::cards::KEPT_BY;
use super::{MAX_CARD_DAYS, Recipient, usable};
use crate::error::{OwnText, WalletError};
use crate::rows::{Member, Organisation};
use crate::wallet::random;

/// The most members that a practice or a team vouches for at a time.
const MAX_MEMBERS: usize = 1_024;
/// How long what was left for members lies as it is, in milliseconds: half as long as a list is good.
const RENEWED_MS: u64 = 12 * HOUR_MS;
/// How long it may take to leave it when something else is wanted.
const SOON: Duration = Duration::from_secs(5);

/// Whoever opens in the name of a practice or a team, by their own wallet.
#[derive(Clone)]
pub struct ActingMember {
    key: SecretKey,
}

/// What is said and shown for whoever opens.
pub(super) struct Acting {
    pub(super) actor: Actor,
    pub(super) key: SecretKey,
    pub(super) shown: Introduction,
}

/// For whom a practice or a team vouches, or did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VouchedRow {
    /// The word.
    pub credential: Credential,
    /// When it was ended, if it was.
    pub ended: Option<Timestamp>,
}

impl VouchedRow {
    /// Whether it is good at `now`.
    #[must_use]
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        self.ended.is_none() && now < self.credential.until
    }
}

impl Recipient {
    /// Who opens in a practice's or a team's name, where this is their own wallet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn acting_member(&self) -> Result<ActingMember, WalletError> {
        Ok(ActingMember { key: self.person()? })
    }

    /// What a member needs to ask this practice or team for its word: who it is, and who vouches for that.
    ///
    /// # Errors
    /// [`WalletError::NoOrganisation`] and others.
    pub async fn organisation(&mut self) -> Result<Introduction, WalletError> {
        Ok(self.vouched_organisation().await?.1)
    }

    /// Asks a practice or a team for its word: what is to be given to it.
    ///
    /// # Errors
    /// [`WalletError::OtherOrganisation`], if no hospital vouches for it; and others.
    pub async fn request_membership(
        &mut self,
        organisation: &Introduction,
    ) -> Result<SignedCredentialRequest, WalletError> {
        let Credential { person, name, role, .. } = organisation.credential();
        let of = organisation_of(*role, *person).filter(|_| organisation.second.is_none());
        let verdict = self.judged_as(organisation, (person, name.as_str())).await?;
        let (Some(of), Verdict::Verified(_)) = (of, &verdict) else {
            return Err(WalletError::OtherOrganisation(verdict.beside(name.as_str())));
        };
        let key = self.person()?;
        Ok(CredentialRequest { chain: self.wallet.chain(), of, name: self.name()?, person: key.public() }.sign(&key))
    }

    /// Vouches for a member, and gives the word for them. It is good for as long as the hospital's for this practice or
    /// team at most. Whether newer lists could be left for the member is said beside.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn vouch(
        &mut self,
        request: &SignedCredentialRequest,
        (role, specialty): (Role, &str),
        days: u64,
    ) -> Result<(MemberWord, bool), WalletError> {
        let (by, own) = self.vouched_organisation().await?;
        let now = self.wallet.now();
        let asked = request.verify(&self.wallet.chain(), &by)?;
        if role.is_organisation() {
            return Err(WalletError::NotAPerson);
        }
        if asked.name.as_str().trim().is_empty() {
            return Err(WalletError::Unusable { what: OwnText::Name, len: 0, max: 64 });
        }
        // A name all in another alphabet is somebody's: that is said to whoever reads it.
        if let Some(doubt @ NameDoubt::Mixed) = name::doubt(asked.name.as_str()) {
            return Err(WalletError::DoubtfulName(doubt));
        }
        let specialty: Text<64> = usable(OwnText::Specialty, specialty.trim())?;
        let members = self.vouched()?;
        if members.iter().filter(|member| member.is_in_force(now)).count() >= MAX_MEMBERS {
            return Err(WalletError::TooManyMembers(MAX_MEMBERS));
        }
        let kept = self.kept_organisation()?;
        let after = members.last().map_or(kept.began.0, |last| last.credential.number.0);
        let until = now.plus(days.clamp(1, MAX_CREDENTIAL_DAYS).saturating_mul(DAY_MS)).min(own.credential().until);
        let number = CredentialNumber(now.0.max(after.saturating_add(1)));
        // First, so that nothing is on record of whom nothing was given.
        let news = self.news_place().await?;
        let credential = Credential {
            by,
            person: asked.person,
            name: asked.name.clone(),
            role,
            specialty,
            from: now,
            until,
            number,
        };
        self.wallet.vault.put(&key_of(number), &Member { credential: credential.clone(), ended: None })?;
        let is_left = self.leave_news().await?;
        Ok((MemberWord { introduction: self.introduction_of(&credential, &own)?, news }, is_left))
    }

    /// For whom this practice or team vouches, and for whom no more; the earliest first.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn vouched(&self) -> Result<Vec<VouchedRow>, WalletError> {
        let all = self.wallet.vault.all::<Member>()?.into_iter();
        let mut all: Vec<_> = all.map(|(_, Member { credential, ended })| VouchedRow { credential, ended }).collect();
        all.sort_by_key(|row| row.credential.number);
        Ok(all)
    }

    /// Vouches for a member no more, whatever else was said of the same person: from the next list on. Whether that
    /// could be left for those who look is said beside; it is left at the next look into the inbox, else.
    ///
    /// # Errors
    /// [`WalletError::NoMember`] and others.
    pub async fn end_vouching(&mut self, number: u64) -> Result<(VouchedRow, bool), WalletError> {
        let (now, members) = (self.wallet.now(), self.vouched()?);
        let is_it = |member: &&VouchedRow| member.credential.number.0 == number && member.is_in_force(now);
        let member = members.iter().find(is_it).ok_or(WalletError::NoMember(number))?;
        let listed = |member: &&VouchedRow| member.ended.is_some() && now < member.credential.until;
        let person = member.credential.person;
        let ends = |other: &&VouchedRow| other.credential.person == person && other.is_in_force(now);
        if members.iter().filter(listed).count() + members.iter().filter(ends).count() > MAX_ENDED {
            return Err(WalletError::TooManyEnded(MAX_ENDED));
        }
        self.wallet.vault.write(|batch| {
            members.iter().filter(ends).try_for_each(|one| {
                let ended = Member { credential: one.credential.clone(), ended: Some(now) };
                batch.put(&key_of(one.credential.number), &ended)
            })
        })?;
        let ended = VouchedRow { ended: Some(now), ..member.clone() };
        let is_left = match self.vouched_organisation().await {
            Ok(_) => self.leave_news().await?,
            Err(error @ WalletError::Vault(_)) => return Err(error),
            Err(_) => false,
        };
        if !is_left {
            self.forget_left()?;
        }
        Ok((ended, is_left))
    }

    /// Leaves the newest lists for members, if that was not done in the last 12 hours and there are any members.
    pub(super) async fn renew_news(&mut self) -> Result<(), WalletError> {
        let now = self.wallet.now();
        let Some(kept) = self.wallet.vault.get::<Organisation>(b"")? else { return Ok(()) };
        let is_due = kept.left.is_none_or(|left| now.since(left) >= RENEWED_MS || now < left);
        if is_due && self.vouched()?.iter().any(|member| member.is_in_force(now)) {
            let renewed = timeout(SOON, self.renew_credential()).await;
            debug!(?renewed, "what the hospital says of this wallet");
            let left = timeout(SOON, self.leave_news()).await.unwrap_or(Ok(false))?;
            debug!(left, "what is left for members");
        }
        Ok(())
    }

    /// What is said and shown for whoever opens something in this wallet's name, where the Terms or whoever opens want
    /// that; nothing, where neither does.
    pub(super) async fn acting(
        &mut self,
        terms: &Terms,
        member: Option<&ActingMember>,
    ) -> Result<Option<Acting>, WalletError> {
        let Some(ActingMember { key }) = member else {
            return if terms.members_of().is_some() { Err(WalletError::MemberNeeded) } else { Ok(None) };
        };
        let (_, own) = self.vouched_organisation().await?;
        let (now, person) = (self.wallet.now(), key.public());
        let members = self.vouched()?;
        let is_them = |row: &&VouchedRow| row.credential.person == person && row.is_in_force(now);
        let row = members.iter().rev().find(is_them).ok_or(WalletError::NotAMember)?;
        let shown = self.introduction_of(&row.credential, &own)?;
        let credential = Bytes::new(encoding::encode(&shown.last().credential)).map_err(|_| WalletError::Defect)?;
        let name = usable(OwnText::Name, row.credential.name.as_str())?;
        Ok(Some(Acting { actor: Actor { name, credential }, key: key.clone(), shown }))
    }

    /// As what a hospital vouches for this wallet, with its newest list if it answers soon.
    async fn vouched_organisation(&mut self) -> Result<(Issuer, Introduction), WalletError> {
        let renewed = timeout(SOON, Box::pin(self.renew_credential())).await;
        debug!(?renewed, "what the hospital says of this wallet");
        let own = self.introduction()?.filter(|own| own.second.is_none()).ok_or(WalletError::NoOrganisation)?;
        let by = organisation_of(own.credential().role, own.credential().person);
        let by = by.ok_or(WalletError::NoOrganisation)?;
        match self.judged(&own).await? {
            Verdict::Verified(_) => Ok((by, own)),
            verdict => Err(WalletError::OrganisationNotVouchedFor(verdict.sentence())),
        }
    }

    /// What introduces a member now.
    fn introduction_of(&self, credential: &Credential, own: &Introduction) -> Result<Introduction, WalletError> {
        let (chain, key) = (self.wallet.chain(), self.person()?);
        let second =
            Vouching { credential: credential.clone().sign(&chain, &key), ended: self.list(credential.by, &key)? };
        Ok(Introduction { first: own.first.clone(), second: Some(second) })
    }

    /// The list of whom this practice or team has ended, signed now.
    fn list(&self, by: Issuer, key: &SecretKey) -> Result<SignedEndedCredentials, WalletError> {
        let (now, mut kept) = (self.wallet.now(), self.kept_organisation()?);
        kept.lists = now.0.max(kept.lists.saturating_add(1));
        self.wallet.vault.put(b"", &kept)?;
        let listed = self.vouched()?.into_iter().filter(|row| row.ended.is_some() && now < row.credential.until);
        // In order, since the rows are.
        let ended = Ascending::from_items(listed.map(|row| row.credential.number).take(MAX_ENDED).collect());
        let list = EndedCredentials {
            by,
            number: kept.lists,
            at: now,
            before: CredentialNumber(kept.began.0),
            ended: ended.map_err(|_| WalletError::Defect)?,
        };
        Ok(list.sign(&self.wallet.chain(), key))
    }

    /// What this wallet keeps of itself as an organisation; begun where there is nothing. Whatever it said before has
    /// ended then, since nobody knows any more whom it had ended.
    fn kept_organisation(&self) -> Result<Organisation, WalletError> {
        if let Some(kept) = self.wallet.vault.get::<Organisation>(b"")? {
            return Ok(kept);
        }
        let began = self.wallet.now();
        let kept = Organisation { began, lists: 0, news: None, kept_until: Timestamp(0), left: None };
        self.wallet.vault.put(b"", &kept)?;
        Ok(kept)
    }

    fn forget_left(&self) -> Result<(), WalletError> {
        let kept = self.kept_organisation()?;
        Ok(self.wallet.vault.put(b"", &Organisation { left: None, ..kept })?)
    }

    /// Where the newest lists are left for members: a mailbox, which is opened where there is none and kept for longer
    /// where that is due.
    async fn news_place(&mut self) -> Result<NewsPlace, WalletError> {
        let now = self.wallet.now();
        let mut kept = self.kept_organisation()?;
        let until = self.wallet.ledger.head().kept_until(MAX_CARD_DAYS);
        let place = match kept.news.clone() {
            Some(place) => place,
            None => {
                let place = NewsPlace { seed: random()?, relays: Ascending::new() };
                let keys = place.keys();
                let relays = self.wallet.ledger.open_mailbox(&keys.key, keys.token, until, KEPT_BY, |_, _| {}).await?;
                kept.kept_until = until;
                NewsPlace { relays: Ascending::from_items(relays).map_err(|_| WalletError::Defect)?, ..place }
            }
        };
        if kept.kept_until < now.plus(MAX_CARD_DAYS * DAY_MS / 2)
            && self.wallet.ledger.keep_mailbox(&place.keys().key, &place.mailbox(), until).await > 0
        {
            kept.kept_until = until;
        }
        kept.news = Some(place.clone());
        self.wallet.vault.put(b"", &kept)?;
        Ok(place)
    }

    /// Leaves the newest lists for members; says whether a relay has taken them.
    async fn leave_news(&mut self) -> Result<bool, WalletError> {
        let Some(own) = self.introduction()? else { return Ok(false) };
        let Some(by) = organisation_of(own.credential().role, own.credential().person) else { return Ok(false) };
        let place = self.news_place().await?;
        let news = OrganisationNews { first: own.first.clone(), ended: self.list(by, &self.person()?)? };
        let keys = place.keys();
        let Ok(sealed) = introduction::seal(&news, &keys) else { return Ok(false) };
        let left = self.wallet.ledger.replace(&place.mailbox(), &keys.key, &sealed, &|_| None).await;
        if left > 0 {
            let kept = self.kept_organisation()?;
            self.wallet.vault.put(b"", &Organisation { left: Some(self.wallet.now()), ..kept })?;
        }
        Ok(left > 0)
    }
}

/// As whom this role vouches; nobody, if it does not.
fn organisation_of(role: Role, key: Key) -> Option<Issuer> {
    match role {
        Role::Practice => Some(Issuer::Practice(key)),
        Role::Team => Some(Issuer::Team(key)),
        _ => None,
    }
}

/// By what a member's row is found.
const fn key_of(CredentialNumber(number): CredentialNumber) -> [u8; 8] {
    number.to_be_bytes()
}
