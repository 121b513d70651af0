//! Pickups: what the desk issued is answered, and studies are handed over.

use std::sync::{Arc, Mutex, PoisonError};

use clavicle_dicom::facts::Patient;
use clavicle_ledger::action::RecoverStudy;
use clavicle_ledger::confirm::Unconfirmed;
use clavicle_ledger::encoding::{self, Text};
use clavicle_ledger::id::{ChainId, EnvelopeHash, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::study::{Deed, Standing};
use clavicle_ledger::time::{BlockTime, LocalTime};
use clavicle_ledger::transaction::{Action, Envelope, Signatures};
use clavicle_letters::about::About;
use clavicle_network::message::Included;
use clavicle_network::pickup::{Claim, Counter, Denied, MAX_OFFERS, NotOffered, Offered, Offers, Secret, TicketHash};
use tokio::sync::watch;

use crate::archive::{Archive, ArchiveError, Catalogued, Sought};
use crate::desk::sentence;
use crate::member::Member;
use crate::recoveries::{Recoveries, RecoveryAct, RecoveryLine};
use crate::seldom::seldom;
use crate::store::{PickupRefused, Pickups, Snapshot, StoreError, Told, Visit};
use crate::submission::{From, Submission};

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
    #[error("the hospital's record cannot be written")]
    Record(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Submit(#[from] crate::submission::SubmitError),
}

/// Why nothing is offered.
#[derive(Debug, thiserror::Error)]
enum NothingOffered {
    #[error(
        "by now studies of more than one patient have the pickup's number: correct it where it is wrong, or give out a pickup for each study"
    )]
    OtherPatients,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
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

    /// The studies of a visit for one wallet, each as it was claimed, or as it can be. Nothing of those that are somebody else's, or not served.
    fn offers(&self, visit: &Visit, remote: Key) -> Result<Offers, NothingOffered> {
        let mut offers = Offers::default();
        let studies = studies_of(&self.archive, visit)?;
        // Since the pickup was given out, another patient's study may have come with the same number.
        if !are_of_one_patient(&studies) {
            return Err(NothingOffered::OtherPatients);
        }
        let snapshot = self.submission.store.snapshot()?;
        let now = snapshot.head()?.time;
        for study in studies.into_iter().take(MAX_OFFERS) {
            let Catalogued { study: id, patient, salt, claimed, newest, .. } = study;
            if visit.is_recovery() {
                let Some(record) = snapshot.study(id)? else { continue };
                match record.permits(Deed::RecoverStudy, now) {
                    Ok(()) => {}
                    Err(Standing::Withdrawn(reason)) => {
                        offers.not_offered.push(NotOffered::Withdrawn(reason));
                        continue;
                    }
                    Err(_) => {
                        offers.not_offered.push(NotOffered::Frozen);
                        continue;
                    }
                }
            } else if let Some(why) = self.why_not(&snapshot, id, remote, now)? {
                offers.not_offered.push(why);
                continue;
            }
            // One that was removed since is offered to nobody.
            let Some(edition) = self.archive.edition(id, &claimed.unwrap_or(newest))? else { continue };
            offers.offered.push(Offered { salt, manifest: edition.manifest, about: about(&patient) });
        }
        Ok(offers)
    }

    /// Why a study is not shown to a wallet that knows the answer, by the ledger first, and by what was claimed here and may be on it soon.
    fn why_not(
        &self,
        snapshot: &Snapshot,
        study: StudyId,
        remote: Key,
        now: BlockTime,
    ) -> Result<Option<NotOffered>, NothingOffered> {
        let record = snapshot.study(study)?;
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
        envelope.clone().check_stateless(&self.member.chain).map_err(crate::submission::SubmitError::Stateless)?;
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
        envelope.clone().check_stateless(&self.member.chain).map_err(crate::submission::SubmitError::Stateless)?;
        let line = RecoveryLine {
            at_ms: self.submission.timekeeper.dated(&self.submission.store).0,
            act: if step.completes.is_some() { RecoveryAct::Completed } else { RecoveryAct::Asked },
            studies: vec![step.study.to_string()],
            by: format!("the wallet with code {}", ticket.to_string().get(..12).unwrap_or_default()),
            why: None,
            digest: None,
            transaction: Some(body.id(&self.member.chain).to_string()),
        };
        // The same step given again is the same transaction, and on record already.
        if self.submission.store.find_envelope(&envelope.hash())?.is_none() {
            self.recoveries.add(&line).map_err(NotSigned::Record)?;
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
        self.offers(&visit, remote).map_err(|error| {
            seldom!(error!(%error, "the studies of a pickup could not be offered"));
            Denied::NoPickup
        })
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
