//! What a patient does: pick up, grant, revoke, look.
//!
//! Every step is kept in the vault before it is taken, so that whatever breaks off goes on where it was when the same thing is asked
//! for again: with the same keys, and the same signed transaction.

use std::path::Path;

use clavicle_ledger::action::{DefineStudy, Grant, Revoke};
use clavicle_ledger::authorise::Claim as HelloClaim;
use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, ManifestRoot, RequestDigest, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{Deed, Study};
use clavicle_ledger::terms::{PurposeOfUse, SeriesScope, Terms};
use clavicle_ledger::time::{BlockTime, DAY_MS, Height, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::message::Included;
use clavicle_network::pickup::{self, Ask, Claim, Claimed, Offered, PickupCode};
use clavicle_network::transfer::Progress;

use crate::card::SignedCard;
use crate::download::{Download, Downloaded};
use crate::error::WalletError;
use crate::ledger::Proven;
use crate::letter::{Content, GrantLetter, Letter};
use crate::rows::{Begun, Held, Made, Stage, Summary};
use crate::seal;
use crate::vault::Passphrase;
use crate::wallet::{Kind, Wallet, random, source_in};

/// How long after it was signed a transaction may come into a block, in milliseconds.
const SUBMIT_WITHIN_MS: u64 = DAY_MS * 7;

/// A patient's wallet.
#[derive(Debug)]
pub struct Patient {
    wallet: Wallet,
}

/// A study of the patient's.
#[derive(Clone)]
pub struct OwnStudy {
    /// Its id.
    pub id: StudyId,
    /// What is kept of it.
    pub held: Held,
}

/// What became of an offered study.
#[derive(Clone)]
pub struct PickedUp {
    /// The study.
    pub study: OwnStudy,
    /// Whether it was the patient's already.
    pub before: bool,
    /// Why it is not the patient's, in the source's words.
    pub failed: Option<String>,
}

/// What is to be granted.
#[derive(Clone, Debug)]
pub struct GrantRequest {
    /// For how long, in milliseconds.
    pub for_ms: u64,
    /// What for.
    pub purpose: PurposeOfUse,
    /// Whether what later revisions bring is included.
    pub later_revisions: bool,
    /// For how long the grant stays good while the source cannot reach the ledger, in milliseconds.
    pub staleness_ms: u64,
}

/// A grant that was made.
#[derive(Clone)]
pub struct Granted {
    /// Its id.
    pub id: GrantId,
    /// What is kept of it.
    pub made: Made,
}

/// Who has access to a study, as the ledger has it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The height of the header that proves it.
    pub height: Height,
    /// How old that header is, in milliseconds by this device's clock.
    pub age_ms: u64,
    /// How often the study was touched.
    pub events: u64,
    /// Every grant there is.
    pub grants: Vec<AccessRow>,
}

/// One grant.
#[derive(Clone, Debug)]
pub struct AccessRow {
    /// Which.
    pub grant: GrantId,
    /// The key that may fetch.
    pub grantee: Key,
    /// Who showed that key, in their own words; nothing when another than this wallet granted.
    pub name: Option<Text<64>>,
    /// Until when, exactly; the ledger has only the day.
    pub expires: Option<Timestamp>,
    /// The first day on which it is over.
    pub expiry_day: clavicle_ledger::time::Day,
    /// What for.
    pub purpose: Option<PurposeOfUse>,
}

impl Patient {
    /// Makes a patient's wallet, and gives the words to be written down.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn create(
        folder: &Path,
        passphrase: &Passphrase,
        genesis: Genesis,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, Words), WalletError> {
        let (wallet, words) = Wallet::create(folder, passphrase, genesis, "", clock)?;
        Ok((Self { wallet }, words))
    }

    /// Opens a patient's wallet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(folder: &Path, passphrase: &Passphrase, clock: fn() -> LocalTime) -> Result<Self, WalletError> {
        Ok(Self { wallet: Wallet::open(folder, passphrase, Kind::Patient, clock)? })
    }

    /// The patient's studies.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn studies(&self) -> Result<Vec<OwnStudy>, WalletError> {
        let all = self.wallet.vault.all::<Held>()?.into_iter();
        let own = |(id, held): (Vec<u8>, Held)| Some(OwnStudy { id: StudyId::from_bytes(id.try_into().ok()?), held });
        let mut studies: Vec<OwnStudy> = all.filter_map(own).collect();
        studies.sort_by_key(|study| (study.held.summary.date, study.id));
        Ok(studies)
    }

    /// The one study whose id begins like this.
    ///
    /// # Errors
    /// [`WalletError::NoStudy`], [`WalletError::Ambiguous`].
    pub fn study(&self, begin: &str) -> Result<OwnStudy, WalletError> {
        one(begin, self.studies()?, |study, begin| study.id.to_string().starts_with(begin), WalletError::NoStudy)
    }

    /// The grants that were made.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn grants(&self) -> Result<Vec<Granted>, WalletError> {
        let all = self.wallet.vault.all::<Made>()?.into_iter();
        let mut grants: Vec<Granted> =
            all.filter_map(|(id, made)| Some(Granted { id: GrantId::from_bytes(id.try_into().ok()?), made })).collect();
        grants.sort_by_key(|grant| (grant.made.at, grant.id));
        Ok(grants)
    }

    /// The one grant whose id begins like this.
    ///
    /// # Errors
    /// [`WalletError::NoGrant`], [`WalletError::Ambiguous`].
    pub fn grant_by(&self, begin: &str) -> Result<Granted, WalletError> {
        one(begin, self.grants()?, |grant, begin| grant.id.to_string().starts_with(begin), WalletError::NoGrant)
    }

    /// Takes hold of the studies behind a pickup code, and returns when they are final.
    ///
    /// # Errors
    /// [`WalletError`]; the same code goes on where it stopped.
    pub async fn pick_up(&mut self, code: &PickupCode, answer: &str) -> Result<Vec<PickedUp>, WalletError> {
        let now = self.wallet.now();
        if code.chain != self.wallet.chain() {
            return Err(WalletError::OtherNetwork);
        }
        if now > code.expires {
            return Err(WalletError::Expired);
        }
        // The hospital has handed the code over: its word is good for a block, should there be nothing else to go on from.
        self.wallet.renew(&code.checkpoint).await?;
        let (_, operational) = self.wallet.source(code.source).await?;
        let begun = self.begin(code)?;
        let source = Remote::announced(code.transfer, code.addresses.iter().map(Text::as_str));
        let to = *source.addresses.first().ok_or(WalletError::NoSource)?;
        let endpoint = bind_towards(&begun.key(), to).await?;
        let answer = Text::new(answer.trim()).map_err(|_| WalletError::NotClaimed("the answer is too long".into()))?;
        let opened = pickup::open(&endpoint, &source, &Ask { ticket: code.ticket.clone(), answer }).await?;
        let mut studies = Vec::new();
        for offer in opened.offers() {
            studies.push(self.consider(code.source, &operational, offer)?);
        }
        let claims: Vec<Claim> = studies.iter().map(|study| self.claim_of(&study.study)).collect::<Result<_, _>>()?;
        let claimed = opened.claim(claims).await?;
        endpoint.close().await;
        for (study, claimed) in studies.iter_mut().zip(claimed) {
            match claimed {
                Claimed::Failed(why) => study.failed = Some(why.to_string()),
                Claimed::Final { envelope, included } => {
                    self.settle(&mut study.study, *envelope, *included).await?;
                }
            }
        }
        match studies.iter().find_map(|study| study.failed.clone()) {
            Some(why) if studies.iter().all(|study| study.failed.is_some()) => Err(WalletError::NotClaimed(why)),
            _ => Ok(studies),
        }
    }

    /// The pickup as it was begun, so that the hospital knows the wallet again.
    fn begin(&self, code: &PickupCode) -> Result<Begun, WalletError> {
        let id = blake3::hash(&code.ticket.0);
        if let Some(begun) = self.wallet.vault.get::<Begun>(id.as_bytes())? {
            return Ok(begun);
        }
        let begun = Begun { code: code.clone(), seed: random()? };
        self.wallet.vault.put(id.as_bytes(), &begun)?;
        Ok(begun)
    }

    /// Looks at an offer: whether it is what the source signed, and how it is claimed.
    fn consider(&self, source: SourceId, operational: &Key, offer: &Offered) -> Result<PickedUp, WalletError> {
        let chain = self.wallet.chain();
        let header = offer.manifest.manifest.header();
        if header.source != source || !header.is_of(&chain, &offer.salt) {
            return Err(WalletError::Offer(None));
        }
        let root = offer.manifest.verify(&chain, operational).map_err(|error| WalletError::Offer(Some(error)))?;
        let id = header.study;
        let known = self.wallet.vault.get::<Held>(id.as_bytes())?;
        // Held, or claimed in this edition: the same claim once more.
        if let Some(held) = known.filter(|held| held.final_at.is_some() || defines(&held.claim, &root, operational)) {
            let before = held.final_at.is_some();
            return Ok(PickedUp { study: OwnStudy { id, held }, before, failed: None });
        }
        let held = self.hold(source, *operational, offer, root)?;
        Ok(PickedUp { study: OwnStudy { id, held }, before: false, failed: None })
    }

    /// Makes the claim of an offered study, with its key, and keeps it before anybody sees it.
    fn hold(
        &self,
        source: SourceId,
        operational: Key,
        offer: &Offered,
        root: ManifestRoot,
    ) -> Result<Held, WalletError> {
        let header = offer.manifest.manifest.header();
        let nonce = random()?;
        let submit_by = self.wallet.now().plus(SUBMIT_WITHIN_MS);
        let profile = self.wallet.profile()?;
        let words = Words::from_entropy(&profile.entropy);
        let held = self.wallet.vault.write(|batch| {
            let number = match batch.get::<Held>(header.study.as_bytes())? {
                Some(held) => Some(held.holder),
                None => Wallet::take_numbers(batch, Branch::Study, 1)?,
            };
            let Some((number, holder)) = number
                .and_then(|number| Some((number, words.seed().derive_key(profile.device, Branch::Study, number)?)))
            else {
                return Ok(None);
            };
            let action = Action::DefineStudy(DefineStudy {
                digest: offer.salt.study_digest(header.study_instance_uid.as_str()),
                source: operational,
                holder: holder.public(),
                delegates: Ascending::new(),
                manifest_root: root,
                open: header.open,
            });
            let held = Held {
                source,
                salt: offer.salt.clone(),
                holder: number,
                summary: Summary::of(&offer.manifest.manifest),
                claim: Body { submit_by, nonce, action },
                final_at: None,
            };
            batch.put(header.study.as_bytes(), &held)?;
            Ok(Some(held))
        })?;
        held.ok_or(WalletError::NoMoreKeys)
    }

    fn claim_of(&self, study: &OwnStudy) -> Result<Claim, WalletError> {
        let holder = self.holder(&study.held)?;
        let body = study.held.claim.clone();
        let holder = holder.sign(&body.preimage(&self.wallet.chain()));
        Ok(Claim { body, holder })
    }

    /// The key that holds a study.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn holder(&self, held: &Held) -> Result<SecretKey, WalletError> {
        self.wallet.key(Branch::Study, held.holder)
    }

    /// Checks what the source says became of a claim.
    async fn settle(
        &mut self,
        study: &mut OwnStudy,
        envelope: Envelope,
        included: Included,
    ) -> Result<(), WalletError> {
        if envelope.body != study.held.claim {
            return Err(WalletError::OtherAnswer);
        }
        let verified = envelope.check_stateless(&self.wallet.chain())?;
        let height = self.wallet.ledger.check_inclusion(&included.header, &included.proof, &verified.hash()).await?;
        study.held.final_at = Some(height);
        self.wallet.vault.put(study.id.as_bytes(), &study.held)?;
        self.wallet.keep_light()
    }

    /// A study's record as the ledger has it now, if it is still this wallet's.
    async fn record(&mut self, study: &OwnStudy) -> Result<(Study, Proven), WalletError> {
        if study.held.final_at.is_none() {
            return Err(WalletError::StudyNotFinal);
        }
        let keys = [StateKey::Head, StateKey::Study(study.id), StateKey::Source(study.held.source)];
        let proven = self.wallet.rows(&keys).await?;
        let record = proven.rows.study(study.id)?.ok_or(WalletError::NotOnLedger)?;
        if record.holder != self.holder(&study.held)?.public() {
            return Err(WalletError::OtherHolder);
        }
        Ok((record, proven))
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
    ) -> Result<Granted, WalletError> {
        let (chain, now) = (self.wallet.chain(), self.wallet.now());
        let shown = card.verify(&chain, now)?;
        let grants = self.grants()?;
        for grant in &grants {
            let Made { study: of, card: to, terms, envelope, at, stage, revocation, .. } = &grant.made;
            let asked = terms.expires == at.plus(request.for_ms)
                && terms.purpose == request.purpose
                && terms.later_revisions == request.later_revisions
                && terms.staleness_ms == request.staleness_ms;
            let unfinished = matches!(stage, Stage::Signed | Stage::Final(_)) && now < envelope.body.submit_by;
            // Whoever asks once more for a finished one has not seen the answer: killed after the last step, say.
            let finished = matches!(stage, Stage::Delivered(_)) && now < terms.expires;
            if *of != study.id || to != card || revocation.is_some() {
                continue;
            }
            match (asked, unfinished, finished) {
                (true, true, _) | (true, _, true) => return Ok(grant.clone()),
                // Going on with it would grant something else than is asked for now.
                (false, true, _) => return Err(WalletError::Unfinished(grant.id)),
                _ => {}
            }
        }
        let used = |key: &Key| grants.iter().any(|grant| grant.made.grantee == *key);
        let grantee = *shown.grantees.iter().find(|key| !used(key)).ok_or(WalletError::CardUsedUp)?;
        let (record, proven) = self.record(study).await?;
        let time = proven.rows.head()?.time;
        record.permits(Deed::Grant, time).map_err(WalletError::Standing)?;
        let expires = now.plus(request.for_ms);
        if request.for_ms == 0 {
            return Err(WalletError::TooShort);
        }
        let terms = Terms {
            // From the block it was granted on, should this device's clock be ahead.
            not_before: now.min(time.timestamp()),
            expires,
            series: SeriesScope::All,
            purpose: request.purpose,
            revision: record.revision,
            manifest_root: record.manifest_root,
            later_revisions: request.later_revisions,
            staleness_ms: request.staleness_ms,
            emergency: false,
            note: clavicle_ledger::encoding::Bytes::default(),
            blinding: random()?,
        };
        let holder = self.holder(&study.held)?;
        let action = Action::Grant(Grant {
            study: study.id,
            granter: holder.public(),
            grantee,
            expiry_day: expires.day_rounded_up(),
            terms: terms.commitment(&chain, study.id, &grantee),
            request: RequestDigest::NONE,
        });
        let body = Body { submit_by: now.plus(SUBMIT_WITHIN_MS), nonce: random()?, action };
        let id = GrantId::from(body.id(&chain));
        let envelope = body.sign(&chain, &[&holder])?;
        let made = Made {
            study: study.id,
            card: card.clone(),
            grantee,
            terms,
            envelope,
            at: now,
            stage: Stage::Signed,
            revocation: None,
        };
        self.wallet.vault.put(id.as_bytes(), &made)?;
        Ok(Granted { id, made })
    }

    /// Grants, and returns when the grant is final and its letter is in the recipient's mailbox.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn grant(
        &mut self,
        study: &OwnStudy,
        card: &SignedCard,
        request: &GrantRequest,
    ) -> Result<Granted, WalletError> {
        let mut grant = self.sign_grant(study, card, request).await?;
        self.finish(study, &mut grant).await?;
        Ok(grant)
    }

    async fn finish(&mut self, study: &OwnStudy, grant: &mut Granted) -> Result<(), WalletError> {
        let height = match grant.made.stage {
            Stage::Final(height) => height,
            Stage::Delivered(_) | Stage::Revoked(_) => return Ok(()),
            Stage::Signed => {
                let height = self.wallet.ledger.submit(&grant.made.envelope, &[]).await?;
                self.wallet.keep_light()?;
                self.stage(grant, Stage::Final(height))?;
                height
            }
        };
        let sealed = self.letter(study, grant)?;
        let mailbox = &grant.made.card.card.mailbox;
        let relays: Vec<SourceId> = mailbox.relays.iter().copied().collect();
        if self.wallet.ledger.deposit(&relays, mailbox.key, mailbox.token, &sealed).await == 0 {
            return Err(WalletError::NotDelivered);
        }
        self.stage(grant, Stage::Delivered(height))
    }

    fn stage(&self, grant: &mut Granted, stage: Stage) -> Result<(), WalletError> {
        grant.made.stage = stage;
        Ok(self.wallet.vault.put(grant.id.as_bytes(), &grant.made)?)
    }

    /// The letter that tells the recipient of a grant, sealed.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn letter(&self, study: &OwnStudy, grant: &Granted) -> Result<Vec<u8>, WalletError> {
        let holder = self.holder(&study.held)?;
        let content = GrantLetter {
            envelope: grant.made.envelope.clone(),
            terms: grant.made.terms.clone(),
            salt: study.held.salt.clone(),
            study_instance_uid: study.held.summary.study_instance_uid,
            description: study.held.summary.description.clone(),
            source: study.held.source,
            final_at: match grant.made.stage {
                // One that is handed over unsubmitted waits for nothing.
                Stage::Signed => 0,
                Stage::Final(height) | Stage::Delivered(height) | Stage::Revoked(height) => height,
            },
        };
        let letter = Letter {
            chain: self.wallet.chain(),
            to: grant.made.card.card.recipient,
            from: holder.public(),
            sent: self.wallet.now(),
            content: Content::Grant(Box::new(content)),
        };
        Ok(seal::seal(&letter, &holder)?)
    }

    /// Signs the revocation of a grant, and keeps it; nobody has seen it yet. One that was signed before is that one again.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn sign_revocation(&self, grant: &mut Granted) -> Result<Envelope, WalletError> {
        let (chain, now) = (self.wallet.chain(), self.wallet.now());
        if let Some(envelope) = &grant.made.revocation
            && now < envelope.body.submit_by
        {
            return Ok(envelope.clone());
        }
        let study = self.wallet.vault.get::<Held>(grant.made.study.as_bytes())?;
        let held = study.ok_or_else(|| WalletError::NoStudy(grant.made.study.to_string()))?;
        let holder = self.holder(&held)?;
        let action = Action::Revoke(Revoke {
            study: grant.made.study,
            revoker: holder.public(),
            grant: grant.id,
            grant_submit_by: grant.made.envelope.body.submit_by,
        });
        let body = Body { submit_by: now.plus(SUBMIT_WITHIN_MS), nonce: random()?, action };
        let envelope = body.sign(&chain, &[&holder])?;
        grant.made.revocation = Some(envelope.clone());
        self.wallet.vault.put(grant.id.as_bytes(), &grant.made)?;
        Ok(envelope)
    }

    /// Revokes, and returns when the revocation is final. The source is told first: it stops serving at once.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn revoke(&mut self, grant: &mut Granted) -> Result<Height, WalletError> {
        if let Stage::Revoked(height) = grant.made.stage {
            return Ok(height);
        }
        let envelope = self.sign_revocation(grant)?;
        let study = self.wallet.vault.get::<Held>(grant.made.study.as_bytes())?;
        let source: Vec<SourceId> = study.iter().map(|held| held.source).collect();
        let height = self.wallet.ledger.submit(&envelope, &source).await?;
        self.wallet.keep_light()?;
        self.stage(grant, Stage::Revoked(height))?;
        Ok(height)
    }

    /// Who has access to a study, proven.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn who(&mut self, study: &OwnStudy) -> Result<Access, WalletError> {
        let (mut record, proven) = self.record(study).await?;
        let now = BlockTime(self.wallet.now().max(proven.rows.head()?.time.timestamp()));
        // A delegate's grant is gone with the delegation, which the row may not say yet.
        record.settle(now);
        let mut grants = Vec::new();
        for grant in record.grants.iter().filter(|grant| grant.is_live(now)) {
            let made = self.wallet.vault.get::<Made>(grant.id.as_bytes())?;
            let terms = made.as_ref().map(|made| &made.terms);
            grants.push(AccessRow {
                grant: grant.id,
                grantee: grant.grantee,
                expires: terms.map(|terms| terms.expires),
                purpose: terms.map(|terms| terms.purpose),
                expiry_day: grant.expiry_day,
                name: made.map(|made| made.card.card.name),
            });
        }
        Ok(Access { height: proven.height, age_ms: proven.age_ms, events: record.events, grants })
    }

    /// Fetches a study of one's own into a folder.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn fetch(
        &mut self,
        study: &OwnStudy,
        out: &Path,
        progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let (record, proven) = self.record(study).await?;
        record.permits(Deed::HolderFetch, proven.rows.head()?.time).map_err(WalletError::Standing)?;
        let (source, operational) = source_in(&proven, study.held.source)?;
        let download = Download {
            chain: self.wallet.chain(),
            study: study.id,
            source: study.held.source,
            remote: crate::wallet::served_at(&proven, &source)?,
            operational,
            record,
            claim: HelloClaim::Holder,
            actor: None,
            at: self.wallet.now(),
        };
        download.run(&self.holder(&study.held)?, out, progress).await
    }
}

/// Whether a claim is of this edition, by this source's key.
fn defines(body: &Body, root: &ManifestRoot, operational: &Key) -> bool {
    matches!(&body.action, Action::DefineStudy(define) if define.manifest_root == *root && define.source == *operational)
}

/// The one of which `is`, given the beginning of a name, says that it is meant. Without a beginning none is.
pub(crate) fn one<T>(
    begin: &str,
    all: Vec<T>,
    is: impl Fn(&T, &str) -> bool,
    none: impl FnOnce(String) -> WalletError,
) -> Result<T, WalletError> {
    let begins = begin.trim().to_lowercase();
    let mut found: Vec<T> = all.into_iter().filter(|one| !begins.is_empty() && is(one, &begins)).collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(none(begin.to_owned())),
        (Some(_), more) => Err(WalletError::Ambiguous { begin: begin.to_owned(), count: more + 1 }),
    }
}
