//! `studies`: the studies in the archive.

use std::fmt;

use clap::Args;
use clavicle_command::said::many;
use clavicle_dicom::facts::Patient;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Standing;
use clavicle_letters::about::readable;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation, short};
use crate::answer::{Answer, Failure};
use crate::archive::{Catalogued, Entry};
use crate::service::{Service, ServiceError};

/// List the studies in the archive
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Studies {}

/// A study in the archive, as its operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StudyRow {
    /// Its id.
    pub study: String,
    /// Study Instance UID.
    pub study_instance_uid: String,
    /// Accession Number.
    pub accession_number: String,
    /// Study Date.
    pub date: Option<String>,
    /// Study Description.
    pub description: String,
    /// The modalities in it.
    pub modalities: String,
    /// Series.
    pub series: usize,
    /// Instances.
    pub instances: usize,
    /// Attachments.
    pub attachments: usize,
    /// Bytes.
    pub bytes: u64,
    /// Whether more is expected.
    pub open: bool,
    /// The manifest's revision.
    pub revision: u32,
    /// Whether somebody holds it, or is about to.
    pub claimed: bool,
    /// How it stands on the ledger: active, suspended, withdrawn or frozen; none while nobody holds it.
    #[serde(default)]
    pub standing: Option<String>,
    /// Why it is suspended or withdrawn.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who it is about.
    #[serde(default)]
    pub patient: PatientRow,
}

/// A patient, as the images name them. For the operator, and for no log.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientRow {
    /// Patient's Name, as it is written.
    pub name: String,
    /// Patient's Birth Date.
    pub birth_date: Option<String>,
    /// Patient ID.
    pub id: String,
    /// Issuer of Patient ID.
    pub issuer: String,
}

impl fmt::Debug for PatientRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PatientRow(…)")
    }
}

impl PatientRow {
    /// Of what the archive knows.
    #[must_use]
    pub fn of(patient: &Patient) -> Self {
        let Patient { id, issuer, name, birth_date } = patient;
        Self {
            name: name.to_string(),
            birth_date: birth_date.map(|date| date.to_string()),
            id: id.to_string(),
            issuer: issuer.to_string(),
        }
    }
}

impl fmt::Display for PatientRow {
    /// `Rossi, Ana, born 1953-01-17, Patient ID 4711 (mercy)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, birth_date, id, issuer } = self;
        f.write_str(&readable(name))?;
        if let Some(date) = birth_date {
            write!(f, ", born {date}")?;
        }
        if !id.is_empty() {
            write!(f, ", Patient ID {id}")?;
        }
        if !issuer.is_empty() {
            write!(f, " ({issuer})")?;
        }
        Ok(())
    }
}

impl Operation for Studies {
    const WORD: &'static str = "studies";

    type On = Service;
    type Answer = Vec<StudyRow>;
    type Error = ServiceError;

    fn work(self, service: &Service) -> Result<Vec<StudyRow>, ServiceError> {
        StudyRow::of_all(service, &service.images.archive.studies()?)
    }
}

impl Command for Studies {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, rows: Vec<StudyRow>) -> Result<Answer, Failure> {
        let mut lines: Vec<String> = rows.iter().map(StudyRow::line).collect();
        lines.push(many(rows.len(), "study", "studies"));
        Ok(Answer { text: lines.join("\n"), json: json!({ "studies": rows }) })
    }
}

impl StudyRow {
    /// Of each, as it stands on the ledger now. Memory holds a manifest at a time.
    pub(super) fn of_all(service: &Service, studies: &[Catalogued]) -> Result<Vec<Self>, ServiceError> {
        let snapshot = service.store.snapshot()?;
        let now = snapshot.head()?.time;
        let row = |study: &Catalogued| -> Result<Option<Self>, ServiceError> {
            // One that was removed since is not there.
            let Some(entry) = service.images.archive.entry(study.study)? else { return Ok(None) };
            let record = snapshot.study(study.study)?;
            // What the hospital says of it before that it is disputed.
            let standing = record.map(|record| match record.standings(now) {
                [Standing::Active, frozen] => frozen,
                [standing, _] => standing,
            });
            Ok(Some(Self::of(&entry, standing)))
        };
        studies.iter().filter_map(|study| row(study).transpose()).collect()
    }

    fn of(entry: &Entry, standing: Option<Standing>) -> Self {
        let manifest = &entry.manifest.manifest;
        let (header, counts) = (manifest.header(), manifest.counts());
        let mut modalities: Vec<&str> = manifest.series().iter().map(|series| series.modality.as_str()).collect();
        modalities.sort_unstable();
        modalities.dedup();
        Self {
            study: header.study.to_string(),
            study_instance_uid: header.study_instance_uid.as_str().to_owned(),
            accession_number: entry.accession_number.to_string(),
            date: header.study_date.map(|date| date.to_string()),
            description: header.description.to_string(),
            modalities: modalities.join(" "),
            series: counts.series,
            instances: counts.instances,
            attachments: counts.attachments,
            bytes: counts.bytes,
            open: header.open,
            revision: header.revision,
            claimed: entry.claimed.is_some(),
            standing: standing.map(|standing| standing.to_string()),
            reason: match standing {
                Some(Standing::Suspended(reason) | Standing::Withdrawn(reason)) => Some(reason.to_string()),
                _ => None,
            },
            patient: PatientRow::of(&entry.patient),
        }
    }

    /// Whether a pickup gives it to somebody.
    pub(super) fn is_handed_over(&self) -> bool {
        !self.claimed && self.standing.as_deref().is_none_or(|standing| standing == "active")
    }

    /// The study in a line for a person.
    pub(super) fn line(&self) -> String {
        let Self {
            study, date, modalities, instances, series, description, claimed, standing, reason, patient, ..
        } = self;
        let held = match standing.as_deref() {
            Some(standing) if standing != "active" => standing,
            _ if *claimed => "held",
            _ => "unclaimed",
        };
        let why = reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
        format!(
            "{}  {:<10}  {modalities:<8} {instances:>5} instances in {series:>3} series  {held:<9}{why}  {description}  {patient}",
            short(study),
            date.as_deref().unwrap_or("no date"),
        )
    }
}
