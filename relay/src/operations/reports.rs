//! `reports`: the reports of a study, the newest first, with those that earlier revisions had.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use clavicle_command::said::many;
use clavicle_dicom::kind::Kind;
use clavicle_manifest::{Instance, StoredDigest};
use clavicle_reports::{ReportContent, of_document};
use clavicle_sandbox::reader::Reader;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::report_files::{AttachedRow, check, content, row, sex_in};
use super::studies_named::entry_that_begins;
use super::{Command, NotFound, Operation, short};
use crate::answer::{Answer, Failure};
use crate::archive::{Archive, Entry};
use crate::service::Service;

/// List the reports of a study, the newest first
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Reports {
    /// The study: how its id begins
    pub study: String,
}

/// The reports of a study.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportList {
    /// The study's id.
    pub study: String,
    /// Its revision.
    pub revision: u32,
    /// Its reports, the newest first.
    pub reports: Vec<AttachedRow>,
    /// Those that were detached, and that earlier revisions have.
    pub detached: Vec<DetachedRow>,
}

/// A report that was detached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetachedRow {
    /// A digest of its bytes.
    pub digest: String,
    /// What it is called.
    pub title: String,
    /// The last revision that had it.
    pub until_revision: u32,
}

impl Operation for Reports {
    const WORD: &'static str = "reports";

    type On = Service;
    type Answer = ReportList;
    type Error = NotFound;

    fn work(self, service: &Service) -> Result<ReportList, NotFound> {
        let archive = &service.images.archive;
        let entry = entry_that_begins(archive, &self.study)?;
        let header = entry.manifest.manifest.header();
        let there: BTreeSet<StoredDigest> =
            entry.manifest.manifest.attachments().iter().map(|one| one.stored).collect();
        let (mut told, mut detached) = (there, Vec::new());
        for (_, edition) in archive.history(header.study)? {
            for one in edition.manifest.attachments() {
                if told.insert(one.stored) {
                    detached.push(DetachedRow {
                        digest: one.stored.to_string(),
                        title: one.title.to_string(),
                        until_revision: edition.manifest.header().revision,
                    });
                }
            }
        }
        let reports = rows_of(service, &entry);
        Ok(ReportList { study: header.study.to_string(), revision: header.revision, reports, detached })
    }
}

impl Command for Reports {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, list: ReportList) -> Result<Answer, Failure> {
        let ReportList { reports, detached, .. } = &list;
        let mut lines: Vec<String> = reports.iter().map(AttachedRow::line).collect();
        lines.extend(detached.iter().map(|DetachedRow { digest, title, until_revision }| {
            format!("{}  detached: {title}, in revisions up to {until_revision}", short(digest))
        }));
        lines.push(many(reports.len(), "report", "reports"));
        Ok(Answer { text: lines.join("\n"), json: json!(list) })
    }
}

/// The one report whose digest begins like this.
pub(super) fn report_that_begins(entry: &Entry, begin: &str) -> Option<StoredDigest> {
    let begin = begin.trim().to_lowercase();
    let all = entry.manifest.manifest.attachments().iter().map(|one| one.stored);
    let mut found = all.filter(|one| !begin.is_empty() && one.to_string().starts_with(&begin));
    found.next().filter(|_| found.next().is_none())
}

/// Whether an instance is a report: a structured one, or a document.
pub(super) fn is_document(one: &Instance) -> bool {
    matches!(Kind::of(one.sop_class_uid.as_str()), Kind::Document | Kind::Report)
}

/// Where the images of a study are.
pub(super) fn images_of(archive: &Archive, entry: &Entry) -> Vec<PathBuf> {
    entry.manifest.manifest.instances().map(|one| archive.place(&one.stored)).collect()
}

/// What a DICOM document says of itself.
pub(super) fn document(reader: &dyn Reader, path: &Path) -> Option<ReportContent> {
    reader.pick_open(&File::open(path).ok()?).ok().map(|picked| of_document(&picked))
}

/// The reports of a study, attachments and DICOM documents, the newest first; those without a date last.
pub(super) fn rows_of(service: &Service, entry: &Entry) -> Vec<AttachedRow> {
    let (archive, reader) = (&service.images.archive, &*service.images.reader);
    let manifest = &entry.manifest.manifest;
    let images = images_of(archive, entry);
    let sex = sex_in(reader, images.iter().map(PathBuf::as_path));
    let mut rows = Vec::new();
    for one in manifest.attachments() {
        let path = archive.place(&one.stored);
        let content = content(reader, &path, one.media_type).ok().and_then(Result::ok);
        let checked =
            content.as_ref().is_some_and(|content| check(content, &path, &entry.patient, sex).unwrap_or(false));
        rows.push(row(&one.stored, one.title.as_str(), one.media_type, content.as_ref(), checked));
    }
    for one in manifest.instances().filter(|one| is_document(one)) {
        let content = document(reader, &archive.place(&one.stored)).unwrap_or_default();
        rows.push(AttachedRow {
            digest: one.stored.to_string(),
            title: content.title.clone(),
            kind: "DICOM".to_owned(),
            written: content.written.map(|when| when.to_string()),
            stage: content.stage.to_string(),
            checked: true,
        });
    }
    rows.sort_by_key(|row| Reverse(row.written.clone()));
    rows
}
