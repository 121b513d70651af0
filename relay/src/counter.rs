//! Pickups: what the desk issued is answered, and studies are handed over.

use std::sync::{Arc, Mutex, PoisonError};

use clavicle_dicom::facts::Patient;
use clavicle_ledger::action::RecoverStudy;
use clavicle_ledger::confirm::Unconfirmed;
use clavicle_ledger::encoding::{self, Text};
use clavicle_ledger::execute;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{ChainId, EnvelopeHash, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::study::{Deed, Standing, Study};
use clavicle_ledger::time::{BlockTime, LocalTime};
use clavicle_ledger::transaction::{Action, Envelope, Signatures, Verified};
use clavicle_letters::about::About;
use clavicle_network::message::Included;
use clavicle_network::pickup::{Claim, Counter, Denied, MAX_OFFERS, NotOffered, Offered, Offers, Secret, TicketHash};
use tokio::sync::watch;

use crate::archive::{Archive, ArchiveError, Catalogued, Sought};
use crate::desk::sentence;
use crate::member::Member;
use crate::recoveries::{Recoveries, RecoveryAct, RecoveryLine};
use crate::seldom::seldom;
use crate::store::pickups::{Agreed, AskedFor, GivenBack, MAX_STEPS, Outcome};
use crate::store::{PickupRefused, Pickups, StoreError, Told, Visit};
use crate::submission::{From, Submission, SubmitError};

/// Answers pickups.
pub struct RelayCounter {
    /// This source, and the network.
    pub member: Arc<Member>,
    /// What was issued.
    pub pickups: Arc<Pickups>,
    /// The images.
    pub archive: Arc<Archive>,
    /// Takes transactions in.
    pub submission: Arc<Submission>,
    /// What is given back.
    pub recoveries: Arc<Recoveries>,
    /// Held while a claim is kept, co-signed and submitted, so that none takes another's back.
    pub claiming: Mutex<()>,
}

/// Why a claim is not signed.
#[derive(Debug, thiserror::Error)]
enum NotSigned {
    #[error("the claim is of no study of this visit")]
    NotOffered,
    #[error("the claim does not name this hospital's key; its software may be older or newer than this hospital's")]
    OtherSource,
    #[error("the claim and the study's manifest disagree on whether more images are expected")]
    Open,
    #[error("another wallet is about to hold the study: ask the desk if that was not you")]
    Claimed,
    #[error(
        "this code gives studies back whose key was lost: it is taken with `recover`, and studies of a visit with `pickup`"
    )]
    OtherCode,
    #[error("this code was used too often for this study: ask the desk for another")]
    TooOften,
    #[error("the hospital's record cannot be written")]
    Record(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

/// Why nothing is offered.
#[derive(Debug, thiserror::Error)]
enum NothingOffered {
    #[error(
        "by now studies of more than one patient have the pickup's number: correct it where it is wrong, or give out a pickup for each study"
    )]
    OtherPatients,
    #[error(
        "an earlier version gave this code out, and it is not known what was agreed to be given back with it: give out another"
    )]
    NotAgreed,
    #[error("the record of what is given back cannot be written")]
    Record(#[source] std::io::Error),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
}

/// Which studies of a visit come first, where there are more than one run takes: the wallet comes again for the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Turn {
    /// Something can be done with it now.
    Now,
    /// It was asked for, and waits.
    Waits,
    /// It is the wallet's, or nothing can be done with it for long.
    Done,
}

/// What is told of a patient to whom a study is handed over.
#[must_use]
pub fn about(patient: &Patient) -> About {
    About { name: patient.name.clone(), birth_date: patient.birth_date }
}

/// Whether all of them may be of one patient.
#[must_use]
pub fn are_of_one_patient(studies: &[Catalogued]) -> bool {
    studies.iter().enumerate().all(|(at, one)| studies[..at].iter().all(|other| one.patient.may_be(&other.patient)))
}

/// How many studies a visit may have: a number that more have is nobody's.
const MAX_VISIT: usize = 1_000;

/// The studies of a visit.
///
/// # Errors
/// [`ArchiveError`].
pub fn studies_of(archive: &Archive, visit: &Visit) -> Result<Vec<Catalogued>, ArchiveError> {
    let sought = match visit {
        Visit::Study(id) | Visit::RecoverStudy(id) => return Ok(archive.catalogued(*id)?.into_iter().collect()),
        Visit::Accession(number) => Sought::Accession(number),
        Visit::Patient(id) | Visit::RecoverPatient(id) => Sought::Patient { id, issuer: None },
    };
    let found = archive.seek(sought, MAX_VISIT)?;
    if found.more {
        return Err(ArchiveError::TooMany(MAX_VISIT));
    }
    archive.catalogued_all(&found)
}

/// Why nothing can be said about a pickup now.
#[derive(Debug, thiserror::Error)]
enum NotNow {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    #[error("{0}")]
    Unconfirmed(Unconfirmed),
}

impl RelayCounter {
    /// The time by which a pickup has ended or not: what the others confirm, as for whoever fetches. A code that has ended would else open again
    /// when the clock was set back.
    fn now(&self) -> Result<LocalTime, Denied> {
        let Submission { store, timekeeper, .. } = &*self.submission;
        let confirmed = || -> Result<(), NotNow> {
            let height = store.snapshot()?.head()?.height;
            timekeeper.confirmed(height, timekeeper.clocks()).map(drop).map_err(NotNow::Unconfirmed)
        };
        confirmed().map_err(|why| {
            seldom!(warn!(%why, "nobody is offered anything"));
            Denied::NotNow
        })?;
        Ok(LocalTime(timekeeper.dated(store)))
    }

    /// The studies of a visit for one wallet, each as it was claimed, or as it can be: first those with which something can be done, as many as one
    /// run takes. Nothing of those that are somebody else's, or not served.
    fn offers(&self, ticket: TicketHash, visit: &Visit, remote: Key) -> Result<Offers, NothingOffered> {
        let mut offers = Offers::default();
        let agreed = if visit.is_recovery() { Some(self.agreed(ticket)?) } else { None };
        let studies = match &agreed {
            Some(agreed) => {
                let found = agreed.studies.iter().filter_map(|study| self.archive.catalogued(*study).transpose());
                found.collect::<Result<Vec<_>, _>>()?
            }
            None => studies_of(&self.archive, visit)?,
        };
        // Since the code was given out, another patient's study may have come with the same number, or a study may have become another's.
        let is_agreed = |study: &Catalogued| agreed.as_ref().is_none_or(|agreed| agreed.patient.may_be(&study.patient));
        if !are_of_one_patient(&studies) || !studies.iter().all(is_agreed) {
            return Err(NothingOffered::OtherPatients);
        }
        let snapshot = self.submission.store.snapshot()?;
        let (now, parameters) = (snapshot.head()?.time, snapshot.rules()?.parameters);
        let mut all = Vec::new();
        for study in studies {
            let record = snapshot.study(study.study)?;
            let turn = if visit.is_recovery() {
                let Some(record) = record else { continue };
                match record.permits(Deed::RecoverStudy, now) {
                    Ok(()) => self.turn(ticket, study.study, &record, now, &parameters)?,
                    Err(Standing::Withdrawn(reason)) => {
                        offers.not_offered.push(NotOffered::Withdrawn(reason));
                        continue;
                    }
                    Err(_) => {
                        offers.not_offered.push(NotOffered::Frozen);
                        continue;
                    }
                }
            } else {
                if let Some(why) = self.why_not(record.as_ref(), study.study, remote, now)? {
                    offers.not_offered.push(why);
                    continue;
                }
                if record.is_some() { Turn::Done } else { Turn::Now }
            };
            all.push((turn, study));
        }
        all.sort_by_key(|(turn, _)| *turn);
        for (_, study) in all.into_iter().take(MAX_OFFERS) {
            let Catalogued { study: id, patient, salt, claimed, newest, .. } = study;
            // One that was removed since is offered to nobody.
            let Some(edition) = self.archive.edition(id, &claimed.unwrap_or(newest))? else { continue };
            offers.offered.push(Offered { salt, manifest: edition.manifest, about: about(&patient) });
        }
        Ok(offers)
    }

    /// What was agreed to be given back with a code. That a wallet has come with it is on record from the first time on.
    fn agreed(&self, ticket: TicketHash) -> Result<Agreed, NothingOffered> {
        let agreed = self.pickups.agreed(ticket)?.ok_or(NothingOffered::NotAgreed)?;
        if agreed.claimed {
            return Ok(agreed);
        }
        let at = self.submission.timekeeper.dated(&self.submission.store);
        let line = RecoveryLine::of_code(at, RecoveryAct::Taken, ticket, agreed.studies.to_vec());
        self.recoveries.add(&line).map_err(NothingOffered::Record)?;
        let agreed = Agreed { claimed: true, ..agreed };
        self.pickups.keep_agreed(ticket, &agreed)?;
        Ok(agreed)
    }

    /// Whether something can be done with a study that is given back.
    fn turn(
        &self,
        ticket: TicketHash,
        study: StudyId,
        record: &Study,
        now: BlockTime,
        parameters: &Parameters,
    ) -> Result<Turn, StoreError> {
        let row = self.pickups.given_back(ticket, study)?.unwrap_or_default();
        if row.outcome == Some(Outcome::Given) {
            return Ok(Turn::Done);
        }
        let asked = row.asked.map(|asked| asked.transaction);
        let after = |since: BlockTime, delay_ms| now.timestamp() >= since.timestamp().plus(delay_ms);
        Ok(match (record.pending_recovery, record.last_recovery) {
            (Some(pending), _) if Some(pending.id) == asked => {
                if after(pending.since, parameters.recovery_delay_ms) {
                    Turn::Now
                } else {
                    Turn::Waits
                }
            }
            (_, Some(last)) if !after(last, parameters.recovery_interval_ms) => Turn::Done,
            _ => Turn::Now,
        })
    }

    /// Why a study is not shown to a wallet that knows the answer, by the ledger first, and by what was claimed here and may be on it soon.
    fn why_not(
        &self,
        record: Option<&Study>,
        study: StudyId,
        remote: Key,
        now: BlockTime,
    ) -> Result<Option<NotOffered>, NothingOffered> {
        for standing in record.iter().flat_map(|record| record.standings(now)) {
            match standing {
                Standing::Active => {}
                Standing::Suspended(reason) => return Ok(Some(NotOffered::Suspended(reason))),
                Standing::Withdrawn(reason) => return Ok(Some(NotOffered::Withdrawn(reason))),
                Standing::Frozen => return Ok(Some(NotOffered::Frozen)),
            }
        }
        let shown = match self.pickups.claimant(study)? {
            Some(claimant) if claimant.key == remote => true,
            Some(claimant) => record.is_none() && claimant.until < now.timestamp(),
            None => record.is_none(),
        };
        Ok((!shown).then_some(NotOffered::Held))
    }

    fn sign(
        &self,
        remote: Key,
        ticket: TicketHash,
        offered: &[StudyId],
        claim: &Claim,
    ) -> Result<(EnvelopeHash, Envelope), NotSigned> {
        let Claim { body, holder } = claim;
        let is_recovery = self.pickups.visit(ticket)?.is_some_and(|visit| visit.is_recovery());
        let define = match (&body.action, is_recovery) {
            (Action::RecoverStudy(step), true) => return self.give_back(ticket, offered, claim, step),
            (Action::DefineStudy(define), false) => define,
            (Action::RecoverStudy(_), false) | (Action::DefineStudy(_), true) => return Err(NotSigned::OtherCode),
            _ => return Err(NotSigned::NotOffered),
        };
        let study = StudyId::of(&self.member.chain, self.member.source, define.digest);
        if !offered.contains(&study) {
            return Err(NotSigned::NotOffered);
        }
        if define.source != self.member.operational.public() {
            return Err(NotSigned::OtherSource);
        }
        // What the ledger shows of a study is this hospital's word as well. Which manifest, `Archive::claim` checks.
        let claimed = self.archive.edition(study, &define.manifest_root)?;
        if claimed.is_some_and(|edition| edition.manifest.manifest.header().open != define.open) {
            return Err(NotSigned::Open);
        }
        let source = self.member.operational.sign(&body.preimage(&self.member.chain));
        let signatures = Signatures::new(vec![source, *holder]).expect("an envelope has room for two signatures");
        let envelope = Envelope { body: body.clone(), signatures };
        // The holder's signature first: nothing is kept for a claim that is none.
        envelope.clone().check_stateless(&self.member.chain).map_err(SubmitError::Stateless)?;
        let snapshot = self.submission.store.snapshot()?;
        if snapshot.study(study)?.is_some() {
            // It has its holder, who asks once more, or somebody else does and is told so.
            return self.submit(study, envelope);
        }
        // It guards no value that a panic could have left half changed.
        let _claiming = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        let window = snapshot.rules()?.parameters.submit_window_ms;
        let now = snapshot.head()?.time;
        let until = body.submit_by.min(now.timestamp().plus(window));
        let before = self.pickups.claimant(study)?.is_some_and(|before| before.key == remote);
        if !self.pickups.claim(study, remote, until, now)? {
            return Err(NotSigned::Claimed);
        }
        let submitted = self.submit(study, envelope);
        if submitted.is_err() && !before {
            // Nothing that was co-signed has left this relay.
            self.pickups.release(study, remote)?;
        }
        submitted
    }

    /// Co-signs a step of a recovery, on record before, and submits it. Whether its time has come the ledger says.
    fn give_back(
        &self,
        ticket: TicketHash,
        offered: &[StudyId],
        Claim { body, holder }: &Claim,
        step: &RecoverStudy,
    ) -> Result<(EnvelopeHash, Envelope), NotSigned> {
        if !offered.contains(&step.study) {
            return Err(NotSigned::NotOffered);
        }
        if step.source != self.member.operational.public() {
            return Err(NotSigned::OtherSource);
        }
        let source = self.member.operational.sign(&body.preimage(&self.member.chain));
        let signatures = Signatures::new(vec![source, *holder]).expect("an envelope has room for two signatures");
        let envelope = Envelope { body: body.clone(), signatures };
        let verified = envelope.clone().check_stateless(&self.member.chain).map_err(SubmitError::Stateless)?;
        // It guards no value that a panic could have left half changed.
        let _claiming = self.claiming.lock().unwrap_or_else(PoisonError::into_inner);
        let row = self.pickups.given_back(ticket, step.study)?.unwrap_or_default();
        let store = &self.submission.store;
        // The same step given again is the same transaction, and on record already.
        if row.last != Some(verified.id()) && store.find_envelope(&verified.hash())?.is_none() {
            // What the ledger refuses leaves no line, however often a wallet comes with it.
            let clock = BlockTime((self.submission.clock)().0);
            execute::admit(&store.snapshot()?, clock, &verified).map_err(SubmitError::from)?;
            let row = next_step(row, step, &verified).ok_or(NotSigned::TooOften)?;
            let at = self.submission.timekeeper.dated(store);
            let act = if step.completes.is_some() { RecoveryAct::Completed } else { RecoveryAct::Asked };
            let line = RecoveryLine::of_code(at, act, ticket, vec![step.study]);
            let line = RecoveryLine { transaction: Some(verified.id().to_string()), ..line };
            self.recoveries.add(&line).map_err(NotSigned::Record)?;
            self.pickups.keep_given_back(ticket, step.study, &row)?;
        }
        let taken = self.submission.take(&encoding::encode(&envelope), From::Somebody)?;
        Ok((taken.envelope, envelope))
    }

    fn submit(&self, study: StudyId, envelope: Envelope) -> Result<(EnvelopeHash, Envelope), NotSigned> {
        let Action::DefineStudy(define) = &envelope.body.action else { return Err(NotSigned::NotOffered) };
        self.archive.claim(study, &define.manifest_root, &self.member.chain)?;
        let taken = self.submission.take(&encoding::encode(&envelope), From::Somebody)?;
        Ok((taken.envelope, envelope))
    }
}

/// How far a study is with one step more; nothing when there were too many.
fn next_step(row: GivenBack, step: &RecoverStudy, verified: &Verified) -> Option<GivenBack> {
    let steps = row.steps.checked_add(1).filter(|steps| *steps <= MAX_STEPS)?;
    let (transaction, envelope) = (verified.id(), verified.hash());
    let row = GivenBack { steps, last: Some(transaction), ..row };
    Some(if step.completes.is_some() {
        GivenBack { completes: Some(envelope), ..row }
    } else {
        let (new_holder, submit_by) = (step.new_holder, verified.body().submit_by);
        let asked = Some(AskedFor { transaction, envelope, new_holder, submit_by });
        GivenBack { asked, completes: None, outcome: None, ..row }
    })
}

/// What those outside are told of a refusal, which is for the operator's log.
fn denied(why: &PickupRefused) -> Denied {
    if let PickupRefused::Store(error) = why {
        seldom!(error!(%error, "a pickup could not be answered"));
    } else {
        seldom!(info!(%why, "a pickup was refused"));
    }
    match why.told() {
        Told::Refused => Denied::NoPickup,
        Told::WrongAnswer(left) => Denied::WrongAnswer { left },
    }
}

impl Counter for RelayCounter {
    fn source(&self) -> (ChainId, SourceId) {
        (self.member.chain, self.member.source)
    }

    fn secret(&self, remote: Key, ticket: TicketHash) -> Result<Secret, Denied> {
        let now = self.now()?;
        self.pickups.secret(ticket, remote, now).map_err(|why| denied(&why))
    }

    fn open(&self, remote: Key, ticket: TicketHash, knows: bool) -> Result<Offers, Denied> {
        let now = self.now()?;
        let visit = self.pickups.judge(ticket, knows, remote, now).map_err(|why| denied(&why))?;
        let offers = self.offers(ticket, &visit, remote).map_err(|error| {
            seldom!(error!(%error, "the studies of a pickup could not be offered"));
            Denied::NoPickup
        })?;
        // It may have become void meanwhile, before a study came that it is not for.
        self.pickups.secret(ticket, remote, now).map_err(|why| denied(&why))?;
        Ok(offers)
    }

    fn claim(
        &self,
        remote: Key,
        ticket: TicketHash,
        offered: &[StudyId],
        claim: &Claim,
    ) -> Result<(EnvelopeHash, Envelope), Text<256>> {
        self.sign(remote, ticket, offered, claim).map_err(|error| {
            seldom!(info!(%error, "a claim was not signed"));
            sentence(&error.to_string())
        })
    }

    fn included(&self, envelope: &EnvelopeHash) -> Option<Included> {
        let included = self.submission.store.inclusion(envelope);
        let (header, proof) =
            included.inspect_err(|error| seldom!(error!(%error, "an inclusion could not be proven"))).ok()??;
        Some(Included { header, proof })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.submission.store.changes()
    }
}
