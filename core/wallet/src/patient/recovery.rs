//! Recovery: a hospital gives a study whose key was lost to another wallet, and whoever has the key says that it is not
//! lost.
//!
//! ```text
//! new wallet ── code of the desk ──► asked for ── three days ──► completed, with the same code
//! wallet that holds the study  ────────────── veto ──► nothing changes hands; asked for once more, the study is frozen
//! ```
//!
//! A recovery that is pending is found by whoever asks the ledger about the study. So a wallet asks about all of them
//! now and then, whatever else it is opened for ([`Patient::look_is_due`]).

use clavicle_ledger::action::{RecoverStudy, Veto};
use clavicle_ledger::derivation::Branch;
use clavicle_ledger::id::{SourceId, StudyId, TxId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{PendingRecovery, Study};
use clavicle_ledger::time::{BlockTime, HOUR_MS, Height, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::about::About;
use clavicle_letters::pickup::PickupCode;
use clavicle_network::message::Included;
use clavicle_network::pickup::{Claim, Claimed, MAX_OFFERS, NotOffered, Offered};

use super::pickup::MAX_VISITS;
use super::{OwnStudy, Patient};
use crate::envelope;
use crate::error::WalletError;
use crate::objection;
use crate::rows::{
    Held, Known, Looked, Moving, Network, Proved, Recovering, Summary, UnderFormer, Vetoed, WasGivenBack,
};
use crate::vault::VaultError;
use crate::wallet::{Wallet, damaged, random};

/// How long a wallet may be opened without asking about all of its studies, in milliseconds; a fourth of the time that
/// a veto has, where that is less.
const LOOK_EVERY_MS: u64 = 12 * HOUR_MS;

/// Somebody else is to have a study of this wallet's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingRow {
    /// Which study.
    pub study: StudyId,
    /// The transaction that asked for it.
    pub recovery: TxId,
    /// When it was asked for.
    pub since: Timestamp,
    /// From when on it can be completed, at the earliest: so long a veto comes in time for certain.
    pub from: Timestamp,
    /// Whether this wallet has vetoed it, and that is not known to be final.
    pub is_vetoed: bool,
}

/// What became of a veto; what went wrong is said as an `E`.
#[derive(Debug)]
pub struct VetoRow<E = WalletError> {
    /// On which study.
    pub study: StudyId,
    /// The transaction that asked for the recovery.
    pub recovery: TxId,
    /// At which height it became final.
    pub ended: Result<Height, E>,
}

/// What a recovery at the desk came to.
#[derive(Clone)]
pub struct RecoveryOutcome {
    /// Every study that is given back.
    pub studies: Vec<RecoveredStudy>,
    /// Of the others, why not.
    pub not_offered: Vec<NotOffered>,
    /// Whether there may be still more of which nothing was said.
    pub has_more: bool,
}

/// A study that is given back.
#[derive(Clone)]
pub struct RecoveredStudy {
    /// Which.
    pub study: StudyId,
    /// What it is.
    pub description: String,
    /// How far it is.
    pub step: RecoveryStep,
}

/// How far a recovery is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecoveryStep {
    /// It was asked for, final at this height.
    Asked {
        /// At which height.
        height: Height,
        /// From when on it can be completed.
        from: Timestamp,
    },
    /// It was asked for before, and can be completed from then on.
    Waits {
        /// From when on.
        from: Timestamp,
    },
    /// Whoever has the key said that it is not lost: the hospitals find out whose it is.
    Frozen,
    /// The study is this wallet's.
    Done {
        /// As of which height.
        height: Height,
        /// Whether it was the wallet's all along: then nothing that was allowed on it has ended.
        was_never_lost: bool,
    },
    /// It is not, and why, in words.
    Failed(String),
}

/// What is claimed of an offer, or why nothing is.
enum Next {
    Claims(Box<(Body, SecretKey)>),
    Is(RecoveryStep),
}

impl Patient {
    /// The recoveries that are pending against this wallet, by what the ledger said last.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn pending_recoveries(&self) -> Result<Vec<PendingRow>, WalletError> {
        let (mut rows, delay_ms) = (Vec::new(), self.recovery_delay_ms()?);
        for study in self.studies()? {
            let Some(Proved { record, .. }) = objection::proved(&self.wallet.vault, study.id)? else { continue };
            let Some(pending) = record.pending_recovery else { continue };
            if record.holder != self.holder(&study)?.public() {
                continue;
            }
            let since = pending.since.timestamp();
            let is_vetoed = self.wallet.vault.get::<Vetoed>(pending.id.as_bytes())?.is_some();
            rows.push(PendingRow {
                study: study.id,
                recovery: pending.id,
                since,
                from: since.plus(delay_ms),
                is_vetoed,
            });
        }
        rows.sort_by_key(|row| (row.from, row.study));
        Ok(rows)
    }

    /// As long as a veto has, by the rules that the network began with.
    fn recovery_delay_ms(&self) -> Result<u64, WalletError> {
        let network = self.wallet.vault.get::<Network>(b"")?.ok_or_else(damaged)?;
        Ok(network.genesis.parameters.recovery_delay_ms)
    }

    /// Whether it is time to ask the ledger about every study: somebody may be about to take one.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn look_is_due(&self) -> Result<bool, WalletError> {
        let now = self.wallet.now();
        let every_ms = LOOK_EVERY_MS.min(self.recovery_delay_ms()? / 4);
        let looked = self.wallet.vault.get::<Looked>(b"")?;
        // One that is to come was written by a clock that was ahead.
        let is_recent = |looked: Looked| looked.at <= now && now.since(looked.at) < every_ms;
        Ok(!looked.is_some_and(is_recent) && self.studies()?.iter().any(|study| study.held.final_at.is_some()))
    }

    /// Asks the ledger about every study. `progress` is told how many were answered, and of how many. Why not, where
    /// one was not.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub async fn look(&mut self, progress: impl FnMut(usize, usize)) -> Result<Option<WalletError>, WalletError> {
        let studies = self.studies()?;
        let not_asked = self.ask_each(&studies, progress).await?;
        // Neither does an older copy of the vault go on unseen.
        let used = self.pass_used_keys(1).await;
        let not_asked = not_asked.or(match used {
            Err(error @ WalletError::Vault(_)) => return Err(error),
            used => used.err(),
        });
        if not_asked.is_none() {
            self.wallet.vault.put(b"", &Looked { at: self.wallet.now() })?;
        }
        Ok(not_asked)
    }

    /// Vetoes what is pending, of one study or of all: the key is not lost. Each is signed and kept before any is sent.
    ///
    /// # Errors
    /// [`WalletError::NothingPending`], and those of the vault; what else goes wrong stands beside the study that it is
    /// about.
    pub async fn veto(&mut self, of: Option<StudyId>) -> Result<Vec<VetoRow>, WalletError> {
        let studies: Vec<OwnStudy> =
            self.studies()?.into_iter().filter(|study| of.is_none_or(|of| of == study.id)).collect();
        // What is known already is vetoed, whoever answers.
        let not_asked = self.ask_each(&studies, |_, _| {}).await?;
        let pending = self.pending_recoveries()?;
        let pending: Vec<PendingRow> = pending.into_iter().filter(|row| of.is_none_or(|of| of == row.study)).collect();
        if pending.is_empty() {
            return Err(not_asked.unwrap_or(WalletError::NothingPending));
        }
        let mut signed = Vec::new();
        for row in &pending {
            signed.push(self.sign_veto(row)?);
        }
        let mut rows = Vec::new();
        for (row, vetoed) in pending.iter().zip(signed) {
            let submitted = match vetoed.final_at {
                Some(height) => Ok(height),
                None => self.wallet.ledger.submit(&vetoed.envelope, &[]).await,
            };
            if let (Ok(height), None) = (&submitted, vetoed.final_at) {
                let vetoed = Vetoed { final_at: Some(*height), ..vetoed };
                self.wallet.vault.put(row.recovery.as_bytes(), &vetoed)?;
            }
            rows.push(VetoRow { study: row.study, recovery: row.recovery, ended: submitted });
        }
        self.wallet.keep_light()?;
        // So that what is shown from here on is what is.
        let vetoed = |study: &OwnStudy| rows.iter().any(|row| row.study == study.id);
        let studies: Vec<OwnStudy> = studies.into_iter().filter(vetoed).collect();
        self.ask_each(&studies, |_, _| {}).await?;
        Ok(rows)
    }

    fn sign_veto(&self, row: &PendingRow) -> Result<Vetoed, WalletError> {
        let head = self.wallet.ledger.head();
        let before = self.wallet.vault.get::<Vetoed>(row.recovery.as_bytes())?;
        if let Some(before) = before.filter(|before| head.is_before(before.envelope.body.submit_by)) {
            return Ok(before);
        }
        let study = self.study(&row.study.to_string())?;
        let holder = self.holder(&study)?;
        let veto = Veto { study: row.study, holder: holder.public(), recovery: row.recovery };
        let envelope = envelope::veto(head, random()?, veto).sign(&self.wallet.chain(), &[&holder])?;
        let vetoed = Vetoed { study: row.study, envelope, final_at: None };
        self.wallet.vault.put(row.recovery.as_bytes(), &vetoed)?;
        Ok(vetoed)
    }

    /// The studies that a hospital is giving to this wallet, and that are not its yet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn recovering(&self) -> Result<Vec<(StudyId, Recovering)>, WalletError> {
        let all = self.wallet.vault.all::<Recovering>()?.into_iter();
        Ok(all.filter_map(|(id, row)| Some((StudyId::from_bytes(id.try_into().ok()?), row))).collect())
    }

    /// Takes the next step of getting studies back, whose key was lost, with a code of the desk for that: they are
    /// asked for, and three days later it is completed with the same code, unless whoever has the key says that it is
    /// not lost.
    ///
    /// # Errors
    /// [`WalletError`]; the same code goes on where it stopped.
    pub async fn recover(&mut self, code: &PickupCode, answer: &str) -> Result<RecoveryOutcome, WalletError> {
        let mut all = RecoveryOutcome { studies: Vec::new(), not_offered: Vec::new(), has_more: true };
        for _ in 0..MAX_VISITS {
            let came = self.recover_some(code, answer).await?;
            let known = all.studies.len();
            for study in came.studies {
                match all.studies.iter_mut().find(|before| before.study == study.study) {
                    // How far it has come by now; a step that was just taken is told as such.
                    Some(before) if matches!(before.step, RecoveryStep::Failed(_)) => *before = study,
                    Some(_) => {}
                    None => all.studies.push(study),
                }
            }
            (all.not_offered, all.has_more) = (came.not_offered, came.has_more);
            // Whoever is offered nothing new has been offered all.
            if !all.has_more || all.studies.len() == known {
                all.has_more = all.not_offered.len() >= MAX_OFFERS;
                break;
            }
        }
        if let (true, Some(why)) = (all.studies.is_empty(), all.not_offered.first()) {
            return Err(WalletError::NotOffered(*why));
        }
        Ok(all)
    }

    /// The same for as many studies as one run takes.
    async fn recover_some(&mut self, code: &PickupCode, answer: &str) -> Result<RecoveryOutcome, WalletError> {
        let (operational, endpoint, opened) = self.open_visit(code, answer).await?;
        let (source, not_offered, offers) = (code.source, opened.not_offered().to_vec(), opened.offers().to_vec());
        let has_more = opened.is_full();
        for offer in &offers {
            self.verify_offer(source, &operational, offer)?;
        }
        self.pass_used_keys(offers.len()).await?;
        let (mut steps, mut claims, mut bodies) = (Vec::new(), Vec::new(), Vec::new());
        for offer in &offers {
            let next = self.next_step(source, operational, offer).await?;
            bodies.push(match next {
                Next::Is(step) => {
                    steps.push(Some(step));
                    None
                }
                Next::Claims(claim) => {
                    let (body, key) = *claim;
                    steps.push(None);
                    claims.push(Claim { holder: key.sign(&body.preimage(&self.wallet.chain())), body: body.clone() });
                    Some(body)
                }
            });
        }
        let (claimed, _) = self.wallet.ledger.watched(opened.claim(claims)).await;
        endpoint.close().await;
        let mut claimed = claimed?.into_iter();
        let mut studies = Vec::new();
        for ((offer, step), body) in offers.iter().zip(steps).zip(bodies) {
            let header = offer.manifest.manifest.header();
            let step = match (step, body) {
                (Some(step), _) => step,
                (None, Some(body)) => match claimed.next() {
                    None => return Err(WalletError::OtherAnswer),
                    Some(Claimed::Failed(why)) => RecoveryStep::Failed(why.to_string()),
                    Some(Claimed::Final { envelope, included }) => {
                        self.recovered(offer, &body, *envelope, *included).await?
                    }
                },
                (None, None) => return Err(WalletError::Defect),
            };
            studies.push(RecoveredStudy { study: header.study, description: header.description.to_string(), step });
        }
        Ok(RecoveryOutcome { studies, not_offered, has_more })
    }

    /// Looks on the ledger how far it is with a study, and what comes next.
    async fn next_step(&mut self, source: SourceId, operational: Key, offer: &Offered) -> Result<Next, WalletError> {
        let id = offer.manifest.manifest.header().study;
        let proven = self.wallet.rows(&[StateKey::Head, StateKey::Rules, StateKey::Study(id)]).await?;
        let Some(record) = proven.rows.study(id)? else {
            let why = "nobody holds it: it is picked up with an ordinary code";
            return Ok(Next::Is(RecoveryStep::Failed(why.to_owned())));
        };
        // Given back before: by this code, or it never was lost.
        if let Some(held) = self.wallet.vault.get::<Held>(id.as_bytes())?
            && record.holder == self.holder(&OwnStudy { id, held })?.public()
        {
            let was_never_lost = self.wallet.vault.get::<WasGivenBack>(id.as_bytes())?.is_none();
            return Ok(Next::Is(RecoveryStep::Done { height: proven.height, was_never_lost }));
        }
        let head = proven.rows.head()?;
        let parameters = proven.rows.rules()?.parameters;
        let mut row = self.begin_recovery(source, operational, offer)?;
        let key = self.recovering_key(&row)?;
        if record.holder == key.public() {
            self.has_recovered(offer, &row, proven.height)?;
            return Ok(Next::Is(RecoveryStep::Done { height: proven.height, was_never_lost: false }));
        }
        if record.frozen {
            return Ok(Next::Is(RecoveryStep::Frozen));
        }
        let asked = row.asks.id(&self.wallet.chain());
        if let Some(pending) = pending_of(&record, asked, &key.public()) {
            let waited = pending.since.timestamp().plus(parameters.recovery_delay_ms);
            let resumed = head.resumed.map(|resumed| resumed.timestamp().plus(parameters.halt_grace_ms));
            let from = resumed.unwrap_or_default().max(waited);
            let height = pending.since_height.saturating_add(parameters.recovery_heights);
            if head.time.timestamp() < from || proven.height.saturating_add(1) < height {
                return Ok(Next::Is(RecoveryStep::Waits { from }));
            }
            let stands = |body: &Body| {
                self.wallet.ledger.head().is_before(body.submit_by) && is_by(body, &operational, Some(asked))
            };
            let body = match row.completes.clone().filter(stands) {
                Some(body) => body,
                None => {
                    let action = RecoverStudy {
                        study: id,
                        source: operational,
                        new_holder: key.public(),
                        completes: Some(asked),
                    };
                    envelope::recovery(self.wallet.ledger.head(), random()?, action)
                }
            };
            row.completes = Some(body.clone());
            self.wallet.vault.put(id.as_bytes(), &row)?;
            return Ok(Next::Claims(Box::new((body, key))));
        }
        // What was executed once, and is not pending any more, was vetoed or gave way to another: it is asked for anew.
        let is_spent = row.asked_at.is_some() || !self.wallet.ledger.head().is_before(row.asks.submit_by);
        if is_spent || !is_by(&row.asks, &operational, None) {
            row.asks = asking(&self.wallet, id, operational, key.public())?;
            (row.asked_at, row.completes) = (None, None);
            self.wallet.vault.put(id.as_bytes(), &row)?;
        }
        Ok(Next::Claims(Box::new((row.asks, key))))
    }

    /// What is kept of a recovery; with a key of its own, taken when it begins.
    fn begin_recovery(&self, source: SourceId, operational: Key, offer: &Offered) -> Result<Recovering, WalletError> {
        let manifest = &offer.manifest.manifest;
        let id = manifest.header().study;
        if let Some(row) = self.wallet.vault.get::<Recovering>(id.as_bytes())? {
            return Ok(row);
        }
        let known = Known { salt: offer.salt.clone(), summary: Summary::of(manifest) };
        let (profile, seed, wallet) = (self.wallet.profile()?, self.wallet.seed()?, &self.wallet);
        let (head, nonce, words) = (wallet.ledger.head(), random()?, wallet.words_number()?);
        let row = wallet.vault.write(|batch| -> Result<_, VaultError> {
            let Some(number) = Wallet::take_numbers(batch, Branch::Study, 1)? else { return Ok(None) };
            let Some(key) = seed.derive_key(profile.device, Branch::Study, number) else { return Ok(None) };
            let action = RecoverStudy { study: id, source: operational, new_holder: key.public(), completes: None };
            let row = Recovering {
                source,
                words,
                device: profile.device,
                holder: number,
                known,
                asks: envelope::recovery(head, nonce, action),
                asked_at: None,
                completes: None,
            };
            batch.put(id.as_bytes(), &row)?;
            Ok(Some(row))
        })?;
        row.ok_or(WalletError::NoMoreKeys)
    }

    fn recovering_key(&self, row: &Recovering) -> Result<SecretKey, WalletError> {
        self.wallet.seed_of(row.words)?.derive_key(row.device, Branch::Study, row.holder).ok_or(WalletError::NoMoreKeys)
    }

    /// Checks what the source says became of a step, and keeps it.
    async fn recovered(
        &mut self,
        offer: &Offered,
        body: &Body,
        envelope: Envelope,
        included: Included,
    ) -> Result<RecoveryStep, WalletError> {
        if envelope.body != *body {
            return Err(WalletError::OtherAnswer);
        }
        let verified = envelope.check_stateless(&self.wallet.chain())?;
        let height = self.wallet.ledger.check_inclusion(&included.header, &included.proof, &verified.hash()).await?;
        self.wallet.keep_light()?;
        let id = offer.manifest.manifest.header().study;
        let Some(mut row) = self.wallet.vault.get::<Recovering>(id.as_bytes())? else {
            return Err(WalletError::Defect);
        };
        let completes = matches!(&body.action, Action::RecoverStudy(action) if action.completes.is_some());
        if completes {
            self.has_recovered(offer, &row, height)?;
            return Ok(RecoveryStep::Done { height, was_never_lost: false });
        }
        row.asked_at = Some(height);
        self.wallet.vault.put(id.as_bytes(), &row)?;
        let time: BlockTime = included.header.header.time;
        // Asked for after a veto, it is frozen instead.
        let record = match self.wallet.rows(&[StateKey::Study(id)]).await {
            Ok(proven) => proven.rows.study(id)?,
            Err(_) => None,
        };
        if record.is_some_and(|record| record.frozen) {
            return Ok(RecoveryStep::Frozen);
        }
        Ok(RecoveryStep::Asked { height, from: time.timestamp().plus(self.recovery_delay_ms()?) })
    }

    /// The study is this wallet's.
    fn has_recovered(&self, offer: &Offered, row: &Recovering, height: Height) -> Result<(), WalletError> {
        let id = offer.manifest.manifest.header().study;
        let held = Held {
            source: row.source,
            device: row.device,
            holder: row.holder,
            known: Some(row.known.clone()),
            claim: None,
            final_at: Some(height),
        };
        let is_now = row.words == self.wallet.words_number()?;
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            batch.put(id.as_bytes(), &held)?;
            if is_now {
                batch.remove::<UnderFormer>(id.as_bytes())?;
            } else {
                batch.put(id.as_bytes(), &UnderFormer { words: row.words })?;
            }
            batch.remove::<Recovering>(id.as_bytes())?;
            batch.put(id.as_bytes(), &WasGivenBack { at: height })?;
            // A transfer of before is from a key that does not hold it any more.
            batch.remove::<Moving>(id.as_bytes())?;
            if offer.about.is_said() {
                batch.put::<About>(id.as_bytes(), &offer.about)?;
            }
            Ok(())
        })?)
    }
}

/// The recovery of a study that is pending, if it is this one.
fn pending_of(record: &Study, asked: TxId, new_holder: &Key) -> Option<PendingRecovery> {
    record.pending_recovery.filter(|pending| pending.id == asked && pending.new_holder == *new_holder)
}

/// Whether a step is of this source's key, and completes this, or asks.
fn is_by(body: &Body, operational: &Key, completes: Option<TxId>) -> bool {
    matches!(&body.action, Action::RecoverStudy(action) if action.source == *operational && action.completes == completes)
}

fn asking(wallet: &Wallet, study: StudyId, source: Key, new_holder: Key) -> Result<Body, WalletError> {
    let action = RecoverStudy { study, source, new_holder, completes: None };
    Ok(envelope::recovery(wallet.ledger.head(), random()?, action))
}
