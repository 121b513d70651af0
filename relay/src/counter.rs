//! Pickups: what the desk issued is answered, and studies are handed over.

use std::sync::Arc;

use clavicle_ledger::encoding::{self, Text};
use clavicle_ledger::id::{ChainId, EnvelopeHash, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::time::LocalTime;
use clavicle_ledger::transaction::{Action, Envelope, Signatures};
use clavicle_network::message::Included;
use clavicle_network::pickup::{Ask, Claim, Counter, Denied, MAX_OFFERS, Offered};
use tokio::sync::watch;
use tracing::{error, info};

use crate::archive::{Archive, ArchiveError, Entry};
use crate::desk::sentence;
use crate::store::{PickupRefused, Pickups, Told, Visit};
use crate::submission::{From, Submission};

/// Answers pickups.
pub struct RelayCounter {
    /// The network.
    pub chain: ChainId,
    /// This source.
    pub source: SourceId,
    /// What was issued.
    pub pickups: Arc<Pickups>,
    /// The images.
    pub archive: Arc<Archive>,
    /// Takes transactions in.
    pub submission: Arc<Submission>,
    /// Signs studies.
    pub operational: SecretKey,
    /// Reads the clock.
    pub clock: fn() -> LocalTime,
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
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Submit(#[from] crate::submission::SubmitError),
}

/// Why nothing is offered.
#[derive(Debug, thiserror::Error)]
enum NotOffered {
    #[error(
        "by now studies of more than one patient have the pickup's number: correct it where it is wrong, or give out a pickup for each study"
    )]
    OtherPatients,
    #[error(transparent)]
    Archive(#[from] ArchiveError),
}

/// Whether all of them may be of one patient.
#[must_use]
pub fn are_of_one_patient(studies: &[Entry]) -> bool {
    studies.iter().enumerate().all(|(at, one)| studies[..at].iter().all(|other| one.patient.may_be(&other.patient)))
}

/// The studies of a visit.
///
/// # Errors
/// [`ArchiveError`].
pub fn studies_of(archive: &Archive, visit: &Visit) -> Result<Vec<Entry>, ArchiveError> {
    Ok(match visit {
        Visit::Study(id) => archive.entry(*id)?.into_iter().collect(),
        Visit::Accession(number) => {
            archive.studies()?.into_iter().filter(|entry| entry.accession_number == *number).collect()
        }
        Visit::Patient(id) => archive.studies()?.into_iter().filter(|entry| entry.patient.id == *id).collect(),
    })
}

impl RelayCounter {
    /// The studies of a visit, each as it was claimed, or as it can be.
    fn offers(&self, visit: &Visit) -> Result<Vec<Offered>, NotOffered> {
        let mut offers = Vec::new();
        let studies = studies_of(&self.archive, visit)?;
        // Since the pickup was given out, another patient's study may have come with the same number.
        if !are_of_one_patient(&studies) {
            return Err(NotOffered::OtherPatients);
        }
        for entry in studies.into_iter().take(MAX_OFFERS) {
            let id = entry.manifest.manifest.header().study;
            let claimed = entry.claimed.map(|root| self.archive.edition(id, &root)).transpose()?.flatten();
            let manifest = claimed.map_or(entry.manifest, |edition| edition.manifest);
            offers.push(Offered { salt: entry.salt, manifest });
        }
        Ok(offers)
    }

    fn sign(&self, offered: &[StudyId], claim: &Claim) -> Result<(EnvelopeHash, Envelope), NotSigned> {
        let Claim { body, holder } = claim;
        let Action::DefineStudy(define) = &body.action else { return Err(NotSigned::NotOffered) };
        let study = StudyId::of(&self.chain, self.source, define.digest);
        if !offered.contains(&study) {
            return Err(NotSigned::NotOffered);
        }
        if define.source != self.operational.public() {
            return Err(NotSigned::OtherSource);
        }
        // What the ledger shows of a study is this hospital's word as well. Which manifest, `Archive::claim` checks.
        let claimed = self.archive.edition(study, &define.manifest_root)?;
        if claimed.is_some_and(|edition| edition.manifest.manifest.header().open != define.open) {
            return Err(NotSigned::Open);
        }
        let source = self.operational.sign(&body.preimage(&self.chain));
        let signatures = Signatures::new(vec![source, *holder]).expect("an envelope has room for two signatures");
        let envelope = Envelope { body: body.clone(), signatures };
        let bytes = encoding::encode(&envelope);
        // The holder's signature first: nothing is kept for a claim that is none.
        envelope.clone().check_stateless(&self.chain).map_err(crate::submission::SubmitError::Stateless)?;
        self.archive.claim(study, &define.manifest_root, &self.chain)?;
        let taken = self.submission.take(&bytes, From::Somebody)?;
        Ok((taken.envelope, envelope))
    }
}

impl Counter for RelayCounter {
    fn open(&self, remote: Key, ask: &Ask) -> Result<Vec<Offered>, Denied> {
        let visit = self.pickups.answer(&ask.ticket, ask.answer.as_str(), remote, (self.clock)()).map_err(|why| {
            if let PickupRefused::Store(error) = &why {
                error!(%error, "a pickup could not be answered");
            } else {
                info!(%why, "a pickup was refused");
            }
            match why.told() {
                Told::Refused => Denied::NoPickup,
                Told::WrongAnswer(left) => Denied::WrongAnswer { left },
            }
        })?;
        self.offers(&visit).map_err(|error| {
            error!(%error, "a pickup could not be answered");
            Denied::NoPickup
        })
    }

    fn claim(&self, offered: &[StudyId], claim: &Claim) -> Result<(EnvelopeHash, Envelope), Text<256>> {
        self.sign(offered, claim).map_err(|error| {
            info!(%error, "a claim was not signed");
            sentence(&error.to_string())
        })
    }

    fn included(&self, envelope: &EnvelopeHash) -> Option<Included> {
        let included = self.submission.store.inclusion(envelope);
        let (header, proof) =
            included.inspect_err(|error| error!(%error, "an inclusion could not be proven")).ok()??;
        Some(Included { header, proof })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.submission.store.changes()
    }
}
