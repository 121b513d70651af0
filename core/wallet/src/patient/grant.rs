//! Granting and revoking: signed, kept, final, told.

use std::collections::BTreeSet;
use std::time::Duration;

use clavicle_ledger::action::GrantError;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{GrantId, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::{Capacity, Deed, MAX_HOLDER_GRANTS, Study};
use clavicle_ledger::terms::{SeriesScope, Terms};
use clavicle_ledger::time::{BlockTime, DAY_MS, Height, Timestamp};
use clavicle_ledger::transaction::{Action, Envelope};
use clavicle_letters::card::SignedCard;
use clavicle_letters::circumstances::Circumstances;
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::letter::{Content, GrantLetter, Letter};
use clavicle_letters::seal;
use clavicle_letters::verdict::Verdict;
use tokio::time::timeout;
use tracing::debug;

use super::changing::Replacing;
use super::places::Places;
use super::{OwnStudy, Patient, one};
use crate::envelope::{self, GrantRequest, Head};
use crate::error::WalletError;
use crate::objection;
use crate::rows::{Held, KeptCard, Made, Network, Proved, RefusedGrant, Revoked, Stage};
use crate::vault::VaultError;
use crate::wallet::{ReceiptGiven, Revocation, damaged, random};

/// How long a command that is about something else brings in what is not final yet.
const BRING_IN: Duration = Duration::from_secs(3);
/// From when on a grant begins later, and not now, in milliseconds: clocks differ.
const LATER_MS: u64 = 30 * 60 * 1000;
/// How many grants and revocations are brought in by one command, each.
const AT_ONCE: usize = 8;

/// How a grant is prepared.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Where it is taken from how the study stands.
    pub(super) from: Known,
    /// Whether whoever grants has read what stands beside the name.
    pub(super) all_the_same: bool,
    /// Keys that are not used.
    pub(super) taken: &'a BTreeSet<Key>,
    /// The key that was kept for it, if one was.
    pub(super) key: Option<Key>,
}

/// Where it is taken from how a study stands, when a grant is signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The ledger is asked.
    Ledger,
    /// What it said last.
    Memory,
}

/// What a grant is signed on.
struct Basis {
    record: Study,
    parameters: Parameters,
    time: BlockTime,
    height: Height,
}

/// A grant that was made.
#[derive(Clone)]
pub struct Granted {
    /// Its id.
    pub id: GrantId,
    /// What is kept of it.
    pub made: Made,
    /// What is kept of its revocation.
    pub revoked: Option<Revoked>,
}

/// A grant that the patient can revoke: made by this wallet, or by another of the same words and found on the ledger.
#[derive(Clone)]
pub struct Revocable {
    /// Its id.
    pub id: GrantId,
    /// On which study.
    pub study: StudyId,
    /// Who showed the card that it is to, in their own words; nothing when another wallet granted.
    pub name: Option<Text<64>>,
    /// What stood beside the name; nothing when another wallet granted.
    pub verdict: Option<Verdict>,
    /// Until when it could come into a block; nothing when it has.
    submit_by: Option<Timestamp>,
}

impl From<&Granted> for Revocable {
    fn from(granted: &Granted) -> Self {
        let made = &granted.made;
        let (name, verdict) = (Some(made.card.name.clone()), Some(made.card.verdict()));
        Self { id: granted.id, study: made.study, name, verdict, submit_by: Some(made.envelope.body.submit_by) }
    }
}

impl Revocable {
    /// One that is on the ledger already.
    pub(super) fn of_ledger(id: GrantId, study: StudyId, to: Option<(Text<64>, Verdict)>) -> Self {
        let (name, verdict) = to.unzip();
        Self { id, study, name, verdict, submit_by: None }
    }
}

impl Patient {
    /// The grants that were made.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn grants(&self) -> Result<Vec<Granted>, WalletError> {
        let mut grants = Vec::new();
        for (id, made) in self.wallet.vault.all::<Made>()? {
            let Ok(id) = id.try_into().map(GrantId::from_bytes) else { continue };
            grants.push(Granted { id, made, revoked: self.revoked(id)? });
        }
        grants.sort_by_key(|grant| (grant.made.at, grant.id));
        Ok(grants)
    }

    /// Grants that were refused and came into a block all the same, by what the ledger said last: they are in force,
    /// although no letter tells of them.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn executed_although_refused(&self) -> Result<Vec<Granted>, WalletError> {
        let mut executed = Vec::new();
        for Granted { id, made, .. } in self.refused_grants()? {
            let proved = objection::proved(&self.wallet.vault, made.study)?;
            if let Some(proved) = proved.filter(|proved| proved.record.grants.find(&id).is_some()) {
                let made = Made { stage: Stage::Final(proved.height), ..made };
                executed.push(Granted { id, made, revoked: self.revoked(id)? });
            }
        }
        Ok(executed)
    }

    /// Whether a grant was not known to be final by the time until which it could be.
    #[must_use]
    pub fn is_late(&self, grant: &Granted) -> bool {
        grant.made.stage == Stage::Signed && !self.wallet.ledger.head().is_before(grant.made.envelope.body.submit_by)
    }

    /// The one grant whose id begins like this.
    ///
    /// # Errors
    /// [`WalletError::NoGrant`], [`WalletError::Ambiguous`].
    pub fn grant_by(&self, begin: &str) -> Result<Granted, WalletError> {
        one(begin, self.grants()?, |grant, begin| grant.id.to_string().starts_with(begin), WalletError::NoGrant)
    }

    /// Signs a grant of `study` to whoever showed `card`, and keeps it; nobody has seen it yet. Asked for once more in the same words, it is
    /// that grant again, finished or not, until it ends or is revoked.
    ///
    /// # Errors
    /// [`WalletError`]; [`WalletError::Unfinished`] when one on other terms is on its way.
    pub async fn sign_grant(
        &mut self,
        study: &OwnStudy,
        card: &SignedCard,
        request: &GrantRequest,
        all_the_same: bool,
    ) -> Result<Granted, WalletError> {
        let mut signed = self.sign_grants(std::slice::from_ref(study), card, request, all_the_same).await?;
        signed.pop().ok_or(WalletError::Defect)
    }

    /// Signs a grant of each of these studies to whoever showed `card`, each to a key of its own, and keeps all of
    /// them; or none, if one of them cannot be granted.
    ///
    /// # Errors
    /// As [`Patient::sign_grant`]; [`WalletError::TooFewKeys`].
    pub async fn sign_grants(
        &mut self,
        studies: &[OwnStudy],
        card: &SignedCard,
        request: &GrantRequest,
        all_the_same: bool,
    ) -> Result<Vec<Granted>, WalletError> {
        if request.series.is_some() && studies.len() > 1 {
            return Err(WalletError::SeriesOfSeveral);
        }
        let (mut all, mut new, mut taken) =
            (Vec::<Granted>::new(), Vec::<(Granted, Circumstances)>::new(), BTreeSet::new());
        for study in studies {
            let (granted, told) = match self
                .prepare_grant(
                    study,
                    card,
                    request,
                    Asked { from: Known::Ledger, all_the_same, taken: &taken, key: None },
                )
                .await
            {
                Err(WalletError::CardUsedUp) if studies.len() > 1 => {
                    return Err(WalletError::TooFewKeys { keys: new.len(), studies: studies.len() });
                }
                prepared => prepared?,
            };
            taken.insert(granted.made.grantee);
            new.extend(told.map(|told| (granted.clone(), told)));
            all.push(granted);
        }
        self.keep_new(&new)?;
        Ok(all)
    }

    /// Keeps grants that were signed just now, all of them or, where the caps of this wallet do not let it, none.
    fn keep_new(&self, new: &[(Granted, Circumstances)]) -> Result<(), WalletError> {
        self.check_caps(new.iter().map(|(granted, _)| granted))?;
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            for (granted, told) in new {
                batch.put(granted.id.as_bytes(), &granted.made)?;
                if told.say_more() {
                    batch.put(granted.id.as_bytes(), told)?;
                }
            }
            Ok(())
        })?)
    }

    /// Signs a grant without a network, by what the ledger said last: as a code that anybody may submit. The letter is
    /// left when this wallet has a network again, and brings in what is not known to be final.
    ///
    /// # Errors
    /// [`WalletError::NotKnownHere`] when that was too long ago, or never; and others.
    pub async fn sign_grant_offline(
        &mut self,
        study: &OwnStudy,
        card: &SignedCard,
        request: &GrantRequest,
        all_the_same: bool,
    ) -> Result<(Granted, GrantCode), WalletError> {
        let of = Asked { from: Known::Memory, all_the_same, taken: &BTreeSet::new(), key: None };
        let (granted, told) = self.prepare_grant(study, card, request, of).await?;
        if let Some(told) = told {
            self.keep_new(&[(granted.clone(), told)])?;
        }
        let code = GrantCode { chain: self.wallet.chain(), envelope: granted.made.envelope.clone() };
        Ok((granted, code))
    }

    /// What a grant is signed on.
    async fn basis(&mut self, study: &OwnStudy, from: Known) -> Result<Basis, WalletError> {
        if from == Known::Ledger {
            let (record, proven) = self.record(study).await?;
            let parameters = proven.rows.rules()?.parameters;
            return Ok(Basis { record, parameters, time: proven.rows.head()?.time, height: proven.height });
        }
        let proved = objection::proved(&self.wallet.vault, study.id)?.ok_or(WalletError::NotKnownHere)?;
        let head = self.wallet.ledger.head();
        let holder = self.holder(study)?.public();
        if proved.record.holder != holder {
            return Err(WalletError::OtherHolder);
        }
        // Somebody has to have the time to bring it in.
        if head.submit_by() < self.wallet.now().plus(DAY_MS) {
            return Err(WalletError::NotKnownHere);
        }
        // The rules that the network began with: what it has changed since the hospitals say when it is submitted.
        let network = self.wallet.vault.get::<Network>(b"")?.ok_or_else(damaged)?;
        let parameters = network.genesis.parameters;
        Ok(Basis { record: proved.record, parameters, time: head.time, height: proved.height })
    }

    /// A grant as it is asked for, and, of a new one, what else is to be told of it: nothing of that is kept yet.
    pub(super) async fn prepare_grant(
        &mut self,
        study: &OwnStudy,
        card: &SignedCard,
        request: &GrantRequest,
        Asked { from, all_the_same, taken, key }: Asked<'_>,
    ) -> Result<(Granted, Option<Circumstances>), WalletError> {
        let (chain, now) = (self.wallet.chain(), self.wallet.now());
        // Without it whoever is granted could not be told what to fetch.
        if study.held.known.is_none() {
            return Err(WalletError::NotTold);
        }
        let shown = card.verify(&chain, now)?;
        let known = match (&request.series, from) {
            (None, _) => Vec::new(),
            (Some(_), Known::Ledger) => self.series(study).await?,
            (Some(_), Known::Memory) => self.series_known(study)?,
        };
        let (scope, series_in_all) = Self::scope_wanted(study, request, &known)?;
        let mut grants = self.grants()?;
        // One that the ledger showed, and does not show any more, has ended: another device revoked it, or it went with
        // a transfer.
        let proved = objection::proved(&self.wallet.vault, study.id)?;
        let has_gone = |grant: &Granted| match grant.made.stage {
            Stage::Signed => false,
            Stage::Final(at) | Stage::Delivered(at) => {
                proved.as_ref().is_some_and(|it| it.height >= at && it.record.grants.find(&grant.id).is_none())
            }
        };
        let same = |grant: &&Granted| {
            let Made { study: of, card: to, .. } = &grant.made;
            *of == study.id && to.signature == card.signature && grant.revoked.is_none() && !has_gone(grant)
        };
        // Whoever asks once more for a finished one has not seen the answer: killed after the last step, say.
        let is_finished = |grant: &&Granted| {
            matches!(grant.made.stage, Stage::Delivered(_))
                && now < grant.made.terms.expires
                && is_asked((&grant.made.terms, grant.made.at), (request, &scope), now)
        };
        if let Some(finished) = grants.iter().filter(same).find(is_finished) {
            return Ok((finished.clone(), None));
        }
        // Without a network nobody vouches for anybody, and that is said.
        let introduced = self.introduce(card).await?;
        if introduced.verdict.needs_a_second_look() && !all_the_same {
            return Err(WalletError::SecondLook(introduced.verdict.beside(introduced.name.as_str())));
        }
        // What was asked for while a team's word stood beside the name is not for a person, whoever has looked since.
        if request.conditions.members_of.is_some() && !introduced.verdict.is_team() {
            return Err(WalletError::NoTeamNow(introduced.verdict.beside(introduced.name.as_str())));
        }
        let Basis { record, parameters, time, height } = self.basis(study, from).await?;
        let head = self.wallet.ledger.head();
        // One that came into a block although it was refused is a grant like any other.
        let refused = self.refused_grants()?;
        for one in refused.iter().filter(|one| one.made.study == study.id && record.grants.find(&one.id).is_some()) {
            let made = Made { stage: Stage::Final(height), ..one.made.clone() };
            self.wallet.vault.write(|batch| -> Result<(), VaultError> {
                batch.remove::<RefusedGrant>(one.id.as_bytes())?;
                batch.put(one.id.as_bytes(), &made)
            })?;
            grants.push(Granted { id: one.id, made, revoked: None });
        }
        // By block time: a clock that is ahead must not have a grant signed twice of which one can still come into a block.
        let is_unfinished = |grant: &&Granted| match grant.made.stage {
            Stage::Signed => head.is_before(grant.made.envelope.body.submit_by),
            Stage::Final(_) => now < grant.made.terms.expires,
            Stage::Delivered(_) => false,
        };
        if let Some(unfinished) = grants.iter().filter(same).find(is_unfinished) {
            // Going on with it would grant something else than is asked for now.
            return if is_asked((&unfinished.made.terms, unfinished.made.at), (request, &scope), now) {
                Ok((unfinished.clone(), None))
            } else {
                Err(WalletError::Unfinished(unfinished.id))
            };
        }
        let of_card: Vec<Key> = key.map_or_else(|| shown.grantees.iter().copied().collect(), |key| vec![key]);
        let grantee = match self.fresh_key(study, &of_card, taken) {
            // Whoever showed the card may have left more beside it.
            Err(WalletError::CardUsedUp) if from == Known::Ledger => {
                let more = self.more_keys(shown, &introduced.relays).await.unwrap_or_default();
                self.fresh_key(study, &more, taken)?
            }
            found => found?,
        };
        record.permits(Deed::Grant, time).map_err(WalletError::Standing)?;
        if request.for_ms == 0 {
            return Err(WalletError::TooShort);
        }
        // The head that is remembered may be days old: what is granted begins when it is asked for, and not days
        // before.
        let old_ms = if from == Known::Memory { now.since(head.time.timestamp()) } else { 0 };
        let mut dated = GrantRequest { begins_in_ms: request.begins_in_ms.saturating_add(old_ms), ..request.clone() };
        // What is granted to a team its members open, each by name.
        if introduced.is_team {
            dated.conditions.members_of = Some(shown.person);
        }
        // What the hospitals would refuse is not signed: then nobody has seen the key, and it is as good as before.
        check_rules(&record, &parameters, time, head, &dated)?;
        let terms = envelope::terms(head, random()?, (record.revision, record.manifest_root), &dated);
        let terms = Terms { series: scope, ..terms };
        let holder = self.holder(study)?;
        let body = envelope::grant(head, random()?, &chain, (study.id, holder.public()), grantee, &terms);
        let id = GrantId::from(body.id(&chain));
        let envelope = body.sign(&chain, &[&holder])?;
        let card = KeptCard::of(chain, card, introduced.relays, introduced.verdict);
        let made = Made { study: study.id, card, grantee, terms, envelope, at: now, stage: Stage::Signed };
        let told = Circumstances { series_in_all, ..Circumstances::default() };
        Ok((Granted { id, made, revoked: None }, Some(told)))
    }

    /// One of these keys that stands on nothing yet, or was seen for this study alone. A key that relays have seen for a
    /// study is that study's, whatever became of the grant: no key ever stands on two. Those that are `taken` are not
    /// used.
    pub(super) fn fresh_key(&self, study: &OwnStudy, keys: &[Key], taken: &BTreeSet<Key>) -> Result<Key, WalletError> {
        let (grants, refused) = (self.grants()?, self.refused_grants()?);
        let (now, mut planned) = (self.wallet.now(), self.planned()?);
        planned.retain(|planned| !planned.is_over(now));
        let used = |key: &Key| {
            taken.contains(key)
                || grants.iter().any(|grant| grant.made.grantee == *key)
                || planned.iter().any(|planned| planned.grantee == *key && planned.study != study.id)
        };
        let places = self.places(&refused)?;
        let seen_here = |key: &&Key| refused.iter().any(|one| one.made.grantee == **key);
        let free = keys.iter().filter(|key| !used(key) && places.may_be_granted(key, study.id));
        let unused: Vec<Key> = free.copied().collect();
        let again: Vec<Key> = unused.iter().filter(seen_here).copied().collect();
        let fresh = if again.is_empty() { &unused } else { &again };
        envelope::one_of(fresh, random()?).ok_or(WalletError::CardUsedUp)
    }

    /// Where keys stand, as far as this wallet knows: by what was refused, and by all that the ledger ever proved to
    /// it. Another device may have granted, and this vault be an older copy.
    fn places(&self, refused: &[Granted]) -> Result<Places, WalletError> {
        let mut places = Places::default();
        refused.iter().for_each(|one| places.granted(one.made.study, one.made.grantee));
        for (id, Proved { record, .. }) in self.wallet.vault.all::<Proved>()? {
            if let Ok(id) = id.try_into() {
                places.of_record(StudyId::from_bytes(id), &record);
            }
        }
        Ok(places)
    }

    /// Grants, and returns when the grant is final and its letter is in the recipient's mailbox. `all_the_same` says
    /// that whoever grants has read what stands beside the name ([`Patient::introduce`]): without it a credential that
    /// has ended and a name that is otherwise than before are refused.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn grant(
        &mut self,
        study: &OwnStudy,
        card: &SignedCard,
        request: &GrantRequest,
        all_the_same: bool,
    ) -> Result<Granted, WalletError> {
        let mut grant = self.sign_grant(study, card, request, all_the_same).await?;
        self.finish(study, &mut grant).await?;
        Ok(grant)
    }

    /// Grants several studies, and returns when each is final and its letter left, or could not be now: then with the
    /// reason, and it is brought in later. All were signed first, or none.
    ///
    /// # Errors
    /// As [`Patient::sign_grants`], and of the vault.
    pub async fn grant_each(
        &mut self,
        studies: &[OwnStudy],
        card: &SignedCard,
        (request, all_the_same): (&GrantRequest, bool),
        progress: impl Fn(usize, usize),
    ) -> Result<Vec<(Granted, Option<WalletError>)>, WalletError> {
        let signed = self.sign_grants(studies, card, request, all_the_same).await?;
        let mut done = Vec::new();
        for (study, mut grant) in studies.iter().zip(signed) {
            let failed = match self.finish(study, &mut grant).await {
                Err(error @ WalletError::Vault(_)) => return Err(error),
                finished => finished.err(),
            };
            done.push((grant, failed));
            progress(done.len(), studies.len());
        }
        Ok(done)
    }

    pub(super) async fn finish(&mut self, study: &OwnStudy, grant: &mut Granted) -> Result<(), WalletError> {
        let height = match grant.made.stage {
            Stage::Final(height) => height,
            Stage::Delivered(_) => return Ok(()),
            Stage::Signed => {
                let submitted = self.wallet.ledger.submit(&grant.made.envelope, &[]).await;
                if let Err(WalletError::Rejected(_)) = submitted {
                    self.refuse(grant)?;
                }
                let height = submitted?;
                self.wallet.keep_light()?;
                self.stage(grant, Stage::Final(height))?;
                height
            }
        };
        let sealed = self.letter(study, grant)?;
        let mailbox = &grant.made.card.mailbox;
        let relays: Vec<SourceId> = mailbox.relays.iter().copied().collect();
        let taken = self.wallet.ledger.deposit(&relays, mailbox.key, mailbox.token, &sealed).await;
        self.wallet.keep_directory()?;
        if taken == 0 {
            return Err(WalletError::NotDelivered);
        }
        self.stage(grant, Stage::Delivered(height))
    }

    /// Gives what was signed and is not final yet to the hospitals again, and keeps what became of it: grants, whose letters are left then, and
    /// revocations. Whatever is not done now is done the next time.
    ///
    /// # Errors
    /// [`WalletError`], of the vault alone.
    pub async fn bring_in(&mut self) -> Result<(), WalletError> {
        match timeout(BRING_IN, Box::pin(self.bring_in_each())).await {
            Ok(Err(error @ WalletError::Vault(_))) => Err(error),
            Ok(Err(error)) => {
                debug!(%error, "what is not final yet could not be brought in");
                Ok(())
            }
            Ok(Ok(())) | Err(_) => Ok(()),
        }
    }

    async fn bring_in_each(&mut self) -> Result<(), WalletError> {
        // What is to end does not wait for what is to begin.
        self.bring_in_revocations().await?;
        let head = self.wallet.ledger.head();
        let (now, grants) = (self.wallet.now(), self.grants()?);
        let due = grants.into_iter().filter(|grant| match grant.made.stage {
            _ if grant.revoked.is_some() => false,
            Stage::Signed => head.is_before(grant.made.envelope.body.submit_by),
            Stage::Final(_) => now < grant.made.terms.expires,
            Stage::Delivered(_) => false,
        });
        for mut grant in due.take(AT_ONCE) {
            if grant.made.stage == Stage::Signed {
                let offered = self.wallet.ledger.offer(&grant.made.envelope, &[]).await;
                // Whoever asks for it again is told why, and it is let go then.
                if let Err(WalletError::Rejected(_)) = offered {
                    continue;
                }
                let Some(height) = offered? else { continue };
                self.wallet.keep_light()?;
                self.stage(&mut grant, Stage::Final(height))?;
            }
            let study = self.study(&grant.made.study.to_string())?;
            match self.finish(&study, &mut grant).await {
                Err(error @ WalletError::Vault(_)) => return Err(error),
                done => debug!(?done, "a letter of before"),
            }
        }
        self.end_replaced().await?;
        // One that came into a block while nobody listened.
        let late = self
            .grants()?
            .into_iter()
            .filter(|grant| self.is_late(grant) && grant.revoked.is_none() && now < grant.made.terms.expires);
        for mut grant in late.take(AT_ONCE).collect::<Vec<_>>() {
            match self.bring_in_late(&mut grant).await {
                Err(error @ WalletError::Vault(_)) => return Err(error),
                done => debug!(?done, "a grant that was late"),
            }
        }
        // What is planned holds up nothing.
        match self.grant_planned(None).await {
            Err(error @ WalletError::Vault(_)) => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) async fn bring_in_late(&mut self, grant: &mut Granted) -> Result<(), WalletError> {
        let study = self.study(&grant.made.study.to_string())?;
        let (record, proven) = self.record(&study).await?;
        if record.grants.find(&grant.id).is_some() {
            self.stage(grant, Stage::Final(proven.height))?;
            self.finish(&study, grant).await?;
        } else if grant.made.envelope.body.submit_by < proven.rows.head()?.time.timestamp()
            && self.replaces(grant.id)?.is_some()
        {
            // What it was to take the place of can be changed again.
            self.refuse(grant)?;
        }
        Ok(())
    }

    async fn bring_in_revocations(&mut self) -> Result<(), WalletError> {
        let head = self.wallet.ledger.head();
        let revoked = self.wallet.vault.all::<Revoked>()?.into_iter();
        let due = revoked
            .filter(|(_, revoked)| revoked.final_at.is_none() && head.is_before(revoked.envelope.body.submit_by));
        for (id, mut revoked) in due.take(AT_ONCE) {
            let Action::Revoke(revoke) = &revoked.envelope.body.action else { continue };
            let held = self.wallet.vault.get::<Held>(revoke.study.as_bytes())?;
            let first: Vec<SourceId> = held.into_iter().map(|held| held.source).collect();
            let offered = self.wallet.ledger.offer(&revoked.envelope, &first).await;
            // Whoever asks for it again is told why: the others are offered all the same.
            if let Err(WalletError::Rejected(_)) = offered {
                continue;
            }
            let Some(height) = offered? else { continue };
            self.wallet.keep_light()?;
            revoked.final_at = Some(height);
            self.wallet.vault.put(&id, &revoked)?;
        }
        Ok(())
    }

    /// A refused grant is none: the study and the card are as before. That its key was seen is remembered.
    fn refuse(&self, grant: &Granted) -> Result<(), WalletError> {
        let refused = RefusedGrant { made: grant.made.clone() };
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            batch.remove::<Made>(grant.id.as_bytes())?;
            // What it was to take the place of is as it was.
            batch.remove::<Replacing>(grant.id.as_bytes())?;
            batch.put(grant.id.as_bytes(), &refused)
        })?)
    }

    fn refused_grants(&self) -> Result<Vec<Granted>, WalletError> {
        let all = self.wallet.vault.all::<RefusedGrant>()?.into_iter();
        let refused = all.filter_map(|(id, RefusedGrant { made })| {
            Some(Granted { id: id.try_into().map(GrantId::from_bytes).ok()?, made, revoked: None })
        });
        Ok(refused.collect())
    }

    fn stage(&self, grant: &mut Granted, stage: Stage) -> Result<(), WalletError> {
        grant.made.stage = stage;
        Ok(self.wallet.vault.put(grant.id.as_bytes(), &grant.made)?)
    }

    /// The letter that tells the recipient of a grant, sealed.
    ///
    /// # Errors
    /// [`WalletError`]; [`WalletError::OtherHolder`] when the study was transferred since.
    pub fn letter(&self, study: &OwnStudy, grant: &Granted) -> Result<Vec<u8>, WalletError> {
        let holder = self.holder(study)?;
        // A letter from another key than the granter's is thrown away: nobody would be told.
        let granter = holder.public();
        if !matches!(&grant.made.envelope.body.action, Action::Grant(made) if made.granter == granter) {
            return Err(WalletError::OtherHolder);
        }
        let known = study.held.known.as_ref().ok_or(WalletError::NotTold)?;
        let content = GrantLetter {
            envelope: grant.made.envelope.clone(),
            terms: grant.made.terms.clone(),
            salt: known.salt.clone(),
            study_instance_uid: known.summary.study_instance_uid,
            description: known.summary.description.clone(),
            source: study.held.source,
            final_at: match grant.made.stage {
                // One that is handed over unsubmitted waits for nothing.
                Stage::Signed => 0,
                Stage::Final(height) | Stage::Delivered(height) => height,
            },
        };
        let letter = Letter {
            chain: self.wallet.chain(),
            to: grant.made.card.recipient,
            from: granter,
            sent: self.wallet.now(),
            content: match (self.wallet.vault.get::<Circumstances>(grant.id.as_bytes())?, self.about(study.id)?) {
                (Some(told), about) => Content::ToldGrant(Box::new(content), Box::new(Circumstances { about, ..told })),
                (None, None) => Content::Grant(Box::new(content)),
                (None, Some(about)) => Content::NamedGrant(Box::new(content), Box::new(about)),
            },
        };
        Ok(seal::seal(&letter, &holder)?)
    }

    /// The one grant whose id begins like this: of this wallet's, or else of those that the ledger has on its studies.
    ///
    /// # Errors
    /// [`WalletError::NoGrant`], [`WalletError::Ambiguous`] and others.
    pub async fn revocable(&mut self, begin: &str) -> Result<Revocable, WalletError> {
        match self.grant_by(begin) {
            Err(WalletError::NoGrant(_)) => {}
            found => return Ok(Revocable::from(&found?)),
        }
        // Of another wallet's, and asked for once more.
        let mut all = Vec::new();
        for (id, revoked) in self.wallet.vault.all::<Revoked>()? {
            if let (Ok(id), Action::Revoke(revoke)) = (id.try_into(), &revoked.envelope.body.action) {
                all.push(Revocable::of_ledger(GrantId::from_bytes(id), revoke.study, None));
            }
        }
        for study in self.studies()?.into_iter().filter(|study| study.held.final_at.is_some()) {
            let grants = match self.who(&study).await {
                Ok(access) => access.grants,
                Err(WalletError::NotOnLedger | WalletError::OtherHolder) => continue,
                Err(error) => return Err(error),
            };
            let of = study.id;
            let known: Vec<GrantId> = all.iter().map(|grant| grant.id).collect();
            let new = grants.into_iter().filter(|row| !known.contains(&row.grant));
            all.extend(new.map(|row| Revocable::of_ledger(row.grant, of, row.name.zip(row.verdict))));
        }
        one(begin, all, |grant, begin| grant.id.to_string().starts_with(begin), WalletError::NoGrant)
    }

    /// What is kept of a grant's revocation, if it was revoked.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn revoked(&self, grant: GrantId) -> Result<Option<Revoked>, WalletError> {
        Ok(self.wallet.vault.get(grant.as_bytes())?)
    }

    /// Signs the revocation of a grant, and keeps it; nobody has seen it yet. One that was signed before is that one again.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn sign_revocation(&self, grant: &Revocable) -> Result<Revoked, WalletError> {
        let mut signed = self.sign_revocations(core::slice::from_ref(grant))?;
        signed.pop().ok_or(WalletError::Defect)
    }

    /// The same of several, in their order: all of them are kept, or none.
    pub(super) fn sign_revocations(&self, grants: &[Revocable]) -> Result<Vec<Revoked>, WalletError> {
        let (chain, head) = (self.wallet.chain(), self.wallet.ledger.head());
        let (mut all, mut new) = (Vec::new(), Vec::new());
        for grant in grants {
            let holder = self.holder(&OwnStudy { id: grant.study, held: self.held(grant.study)? })?;
            let stands = |before: &Revoked| {
                before.final_at.is_some()
                    || head.is_before(before.envelope.body.submit_by) && is_by(&before.envelope, &holder.public())
            };
            if let Some(before) = self.revoked(grant.id)?.filter(stands) {
                all.push(before);
                continue;
            }
            let body = envelope::revocation(head, random()?, (grant.study, holder.public()), grant.id, grant.submit_by);
            let revoked = Revoked { envelope: body.sign(&chain, &[&holder])?, final_at: None };
            new.push((grant.id, revoked.clone()));
            all.push(revoked);
        }
        // One that was refused, and is to be revoked since it came into a block all the same, is one that was made.
        let refused = self.executed_although_refused()?;
        let made = refused.iter().filter(|one| new.iter().any(|(id, _)| *id == one.id));
        let made: Vec<&Granted> = made.collect();
        if !new.is_empty() {
            self.wallet.vault.write(|batch| -> Result<(), VaultError> {
                for one in &made {
                    batch.remove::<RefusedGrant>(one.id.as_bytes())?;
                    batch.put(one.id.as_bytes(), &one.made)?;
                }
                new.iter().try_for_each(|(id, revoked)| batch.put(id.as_bytes(), revoked))
            })?;
        }
        Ok(all)
    }

    /// Revokes, and returns when the revocation is final. The source is told first, over libp2p and over iroh at once:
    /// it stops serving at once. What the grant is taking the place of ends with it, and what is taking its own; what this
    /// wallet has planned for the same card, and of the same study for the same person, is not made any more.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn revoke(&mut self, grant: &Revocable) -> Result<Height, WalletError> {
        // First of all what nobody has seen yet.
        self.stop_planned_with(grant.id)?;
        let linked = self.linked(grant.id)?;
        if linked.is_empty() {
            return self.revoke_alone(grant).await;
        }
        self.wallet.refresh_head().await;
        // All of them, before anything is sent.
        self.sign_revocations(&[core::slice::from_ref(grant), &linked[..]].concat())?;
        let ended = self.revoke_alone(grant).await;
        for other in &linked {
            match self.revoke_alone(other).await {
                // It had ended before.
                Err(WalletError::Rejected(_)) if !self.is_live(other).await? => {}
                done => drop(done?),
            }
        }
        ended
    }

    async fn is_live(&mut self, grant: &Revocable) -> Result<bool, WalletError> {
        let study = self.study(&grant.study.to_string())?;
        Ok(self.record(&study).await?.0.grants.find(&grant.id).is_some())
    }

    /// The same of one grant, whatever it stands for.
    pub(super) async fn revoke_alone(&mut self, grant: &Revocable) -> Result<Height, WalletError> {
        self.wallet.refresh_head().await;
        let revoked = self.sign_revocation(grant)?;
        if let Some(height) = revoked.final_at {
            return Ok(height);
        }
        let held = self.held(grant.study)?;
        let came = self.wallet.revoke(&revoked.envelope, held.source).await;
        self.wallet.keep_light()?;
        self.settle_revocation(grant, &held, revoked, came).await
    }

    /// Keeps what became of a revocation.
    pub(super) async fn settle_revocation(
        &mut self,
        grant: &Revocable,
        held: &Held,
        revoked: Revoked,
        (receipt, submitted): Revocation,
    ) -> Result<Height, WalletError> {
        let height = match submitted {
            Ok(height) => height,
            // That it serves no more is said on the source's own word alone: by the key that the ledger says is its.
            Err(error) => {
                let Some(ReceiptGiven { receipt, proven: Some(key) }) = receipt else { return Err(error) };
                let is_kept = self.keep_bound_by(grant, held, receipt, &[key])?;
                return Err(if is_kept { WalletError::OnlyTold(Box::new(error)) } else { error });
            }
        };
        if let Some(ReceiptGiven { receipt, .. }) = receipt {
            self.keep_bound(grant, held, receipt).await?;
        }
        if revoked.final_at.is_none() {
            self.wallet.vault.put(grant.id.as_bytes(), &Revoked { final_at: Some(height), ..revoked })?;
        }
        Ok(height)
    }

    pub(super) fn held(&self, study: StudyId) -> Result<Held, WalletError> {
        self.wallet.vault.get(study.as_bytes())?.ok_or_else(|| WalletError::NoStudy(study.to_string()))
    }
}

/// Whether a revocation is signed by this key: of one that was signed before a study was transferred the hospitals take
/// none.
fn is_by(envelope: &Envelope, holder: &Key) -> bool {
    matches!(&envelope.body.action, Action::Revoke(revoke) if revoke.revoker == *holder)
}

/// Refuses what the hospitals would, by the rules and the study as they are proven.
pub(super) fn check_rules(
    record: &Study,
    parameters: &Parameters,
    now: BlockTime,
    head: Head,
    request: &GrantRequest,
) -> Result<(), WalletError> {
    let refuse = |why: GrantError| Err(WalletError::Rejected(why.to_string()));
    let given = head.time.timestamp().plus(request.begins_in_ms).plus(request.for_ms).day_rounded_up();
    let latest = now.timestamp().day().plus(parameters.max_grant_days);
    if given > latest {
        return refuse(GrantError::TooLong { given, latest });
    }
    let live = record.grants.iter().filter(|grant| grant.by == Capacity::Holder && grant.is_live(now)).count();
    if live >= MAX_HOLDER_GRANTS {
        return refuse(GrantError::TooMany(MAX_HOLDER_GRANTS));
    }
    let today = record.today.on(now.timestamp().day()).holder_grants;
    if today >= parameters.holder_grants_per_day {
        return refuse(GrantError::TooOften(parameters.holder_grants_per_day));
    }
    Ok(())
}

/// Whether a grant is what is asked for at this time. Wallets of before counted its length from their own clock.
fn is_asked((terms, at): (&Terms, Timestamp), (request, scope): (&GrantRequest, &SeriesScope), now: Timestamp) -> bool {
    // That a team's members sign follows from whose the card is, and is not asked for.
    let mut conditions = terms.conditions.clone().unwrap_or_default();
    conditions.members_of = request.conditions.members_of;
    // What begins now began when it was asked for first; of what begins later it is said when.
    let (begins, asked) = (terms.not_before, now.plus(request.begins_in_ms));
    let same_start = match (begins.since(at) > LATER_MS, request.begins_in_ms > LATER_MS) {
        (true, true) => begins.0.abs_diff(asked.0) <= LATER_MS,
        (is_late, asked_late) => is_late == asked_late,
    };
    [terms.not_before, at].iter().any(|from| terms.expires == from.plus(request.for_ms))
        && terms.series == *scope
        && terms.purpose == request.purpose
        && terms.later_revisions == request.later_revisions
        && terms.staleness_ms == request.staleness_ms
        && conditions == request.conditions
        && same_start
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;
    use clavicle_ledger::id::SeriesId;
    use clavicle_ledger::terms::PurposeOfUse;
    use clavicle_ledger::time::HOUR_MS;

    use super::*;
    use crate::objection::tests::{NOW, received};

    /// A grant that begins tomorrow was taken for one that begins in a week, if both lasted as long: the second was
    /// never made, and nobody was told.
    #[test]
    fn what_begins_at_another_time_is_another_grant() {
        let request =
            |begins_in_ms| GrantRequest { begins_in_ms, ..GrantRequest::new(7 * DAY_MS, PurposeOfUse::Treatment) };
        let starting = |begins_in_ms| {
            let not_before = NOW.plus(begins_in_ms);
            Terms { not_before, expires: not_before.plus(7 * DAY_MS), ..received().terms }
        };
        let is = |terms: &Terms, begins_in_ms, later_ms| {
            is_asked((terms, NOW), (&request(begins_in_ms), &SeriesScope::All), NOW.plus(later_ms))
        };
        let (now, tomorrow) = (starting(0), starting(DAY_MS));
        assert!(is(&now, 0, 0) && is(&now, 0, 3 * DAY_MS), "until it ends");
        assert!(!is(&now, DAY_MS, 0) && !is(&tomorrow, 0, 0));
        assert!(is(&tomorrow, DAY_MS, 0) && is(&tomorrow, DAY_MS, LATER_MS), "asked for once more");
        assert!(is(&tomorrow, DAY_MS - HOUR_MS, HOUR_MS), "the same day, said an hour later");
        assert!(!is(&tomorrow, 7 * DAY_MS, 0) && !is(&tomorrow, DAY_MS, HOUR_MS));
        // Some series are not all of them.
        let these = SeriesScope::These(Ascending::from_items(vec![SeriesId::from_bytes([1; 32])]).unwrap());
        assert!(!is_asked((&now, NOW), (&request(0), &these), NOW));
    }
}
