//! A study that lies sealed in a wallet, looked at: what is there of it, who it is about, and its reports. Bytes are
//! opened into memory alone.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;

use clavicle_dicom::facts::Patient;
use clavicle_imaging::accounting::{Accounting, FileFate, FileRow};
use clavicle_letters::about::About;
use clavicle_manifest::{Attachment, Instance, MediaType, Series, Uid};
use clavicle_network::transfer::Item;
use clavicle_pixels::render::Wanted;
use clavicle_reports::structured::InstanceName;
use clavicle_reports::{Moment, ReportContent, ReportError};
use clavicle_sandbox::reader::Reader;
use clavicle_wallet::cache::Images;
use clavicle_wallet::export::names;
use dicom_dictionary_std::tags;

use crate::documents::{self, ReadDocument, Whose, is_document};
use crate::pictures::{Drawn, of_middle};
use crate::studies::opened;

/// Bytes of instances that are opened to learn their numbers, for one report.
const MOST_FOR_NAMES: u64 = 256 << 20;

/// What is there of all that the study lists.
#[must_use]
pub fn accounting(images: &Images) -> Accounting {
    let listing = images.listing();
    let all = names(listing).into_iter().zip(listing.items());
    let missing = all.filter(|(_, item)| !images.has(item)).map(|(name, _)| name);
    let rest: Vec<FileRow> = missing.map(|name| FileRow::new(name, FileFate::Missing, "it did not arrive")).collect();
    let given = listing.items().len();
    Accounting { given, taken: given - rest.len(), rest, besides: Vec::new() }
}

/// Who a study is about, as an image says it that is there.
pub struct Whom {
    /// Who.
    pub patient: Patient,
    /// Whether somebody else was told without the images: one of both is mistaken about a patient.
    pub is_told_otherwise: bool,
}

/// Who the study is about; none where no image is there that says so.
#[must_use]
pub fn whom(images: &Images, told: Option<&About>, reader: &dyn Reader) -> Option<Whom> {
    let patient = patient(images, reader)?;
    let of = |name, birth_date| Patient { name, birth_date, ..Patient::default() };
    let is_told_otherwise = told.is_some_and(|told| {
        let told = of(told.name.clone(), told.birth_date);
        !of(patient.name.clone(), patient.birth_date).differences(&told).is_empty()
    });
    Some(Whom { patient, is_told_otherwise })
}

/// Who the study is about, as the first image says it that is there.
fn patient(images: &Images, reader: &dyn Reader) -> Option<Patient> {
    let all = images.listing().series().into_iter().flat_map(|series| &series.instances);
    let item = all.map(Item::Instance).find(|item| images.has(item))?;
    Some(Patient::of(&reader.pick_open(&opened(images, &item).ok()?).ok()?))
}

/// A series of a study.
pub struct SealedSeries<'a> {
    /// As it is listed.
    pub series: &'a Series,
    /// How many of its instances are there.
    pub there: usize,
    /// Why there is no picture of it, where one was wanted.
    pub no_picture: Option<String>,
}

/// The series; of each the middle of what is there is drawn, if a picture is `wanted` and the sheet has room.
pub fn series<'a>(
    images: &'a Images,
    wanted: Option<&Wanted>,
    drawn: &mut Drawn,
    reader: &dyn Reader,
) -> Vec<SealedSeries<'a>> {
    let mut all = Vec::new();
    for series in images.listing().series() {
        let there: Vec<&Instance> = series.instances.iter().filter(|one| images.has(&Item::Instance(one))).collect();
        let wanted = wanted.filter(|_| !drawn.is_full() && !there.is_empty());
        let no_picture = wanted.and_then(|wanted| {
            of_middle(images, &there, reader, wanted).map_or_else(Some, |rendered| drawn.take(rendered))
        });
        all.push(SealedSeries { series, there: there.len(), no_picture });
    }
    all
}

/// A report of a study. What it says of its patient was held against the images.
#[derive(Debug)]
pub enum SealedReport<'a> {
    /// One that is no DICOM, and what it says; nothing of a PDF, and of what did not arrive.
    Attachment(&'a Attachment, Option<Result<ReportContent, ReportError>>),
    /// A DICOM document, and what it says, or why it cannot be read.
    Document(&'a Instance, Result<ReadDocument, String>),
}

/// The reports, the newest first; those that do not say when they were written come last.
///
/// # Errors
/// When what was fetched cannot be read.
pub fn reports<'a>(images: &'a Images, reader: &dyn Reader) -> io::Result<Vec<(Option<Moment>, SealedReport<'a>)>> {
    let whose = whose(images, reader);
    let checked = |content: &mut ReportContent| {
        let objections = whose.as_ref().map(|whose| whose.objections(content)).unwrap_or_default();
        content.warnings.splice(..0, objections);
    };
    let mut all = Vec::new();
    for attachment in images.listing().attachments() {
        let item = Item::Attachment(attachment);
        let read = if attachment.media_type == MediaType::Pdf || !images.has(&item) {
            None
        } else {
            let file = opened(images, &item)?;
            // A worker that ended on it is no more than a report that cannot be read.
            let mut read = reader.read_report(&file, attachment.media_type).unwrap_or(Err(ReportError::Panicked));
            read.iter_mut().for_each(checked);
            Some(read)
        };
        let content = read.as_ref().and_then(|read| read.as_ref().ok());
        all.push((
            clavicle_reports::when(content, attachment.title.as_str()),
            SealedReport::Attachment(attachment, read),
        ));
    }
    let name = |wanted: &[Uid]| names_of(images, wanted, reader);
    let instances = images.listing().series().into_iter().flat_map(|series| &series.instances);
    for one in instances.filter(|one| is_document(&one.sop_class_uid)) {
        let item = Item::Instance(one);
        if !images.has(&item) {
            continue;
        }
        let file = opened(images, &item)?;
        let mut read = documents::read(&file, &one.sop_class_uid, reader, &name);
        read.iter_mut().for_each(|read| checked(&mut read.content));
        let written = read.as_ref().ok().and_then(|read| read.content.written);
        all.push((written, SealedReport::Document(one, read)));
    }
    all.sort_by_key(|(when, _)| Reverse(*when));
    Ok(all)
}

/// Who the images are of, as the first says it that is one.
fn whose(images: &Images, reader: &dyn Reader) -> Option<Whose> {
    let all = images.listing().series().into_iter().flat_map(|series| &series.instances);
    let mut there = all.filter(|one| one.frames > 0 && !is_document(&one.sop_class_uid)).map(Item::Instance);
    let item = there.find(|item| images.has(item))?;
    reader.pick_open(&opened(images, &item).ok()?).ok().map(|picked| Whose::of(&picked))
}

/// What people call these instances, of those that the study has. One that did not arrive has no number that could be
/// looked up, and of very large ones only the first are opened for it.
fn names_of(images: &Images, wanted: &[Uid], reader: &dyn Reader) -> BTreeMap<Uid, InstanceName> {
    let (mut names, mut left) = (BTreeMap::new(), MOST_FOR_NAMES);
    for series in images.listing().series() {
        for one in series.instances.iter().filter(|one| wanted.contains(&one.sop_instance_uid)) {
            let item = Item::Instance(one);
            let is_opened = images.has(&item) && one.size <= left;
            left -= if is_opened { one.size } else { 0 };
            let picked = is_opened.then(|| opened(images, &item).ok()).flatten();
            let picked = picked.and_then(|file| reader.pick_open(&file).ok());
            let number = picked.and_then(|picked| picked.text(tags::INSTANCE_NUMBER)?.trim().parse().ok());
            names.insert(one.sop_instance_uid, InstanceName { series: series.number, number });
        }
    }
    names
}
