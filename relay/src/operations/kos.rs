//! `kos`: a study's manifest as the standard has one: a Key Object Selection Document, with a MAC of each instance.

use std::path::PathBuf;

use clap::Args;
use clavicle_command::file::{Readers, path_text, write_new};
use clavicle_command::said::many;
use clavicle_dicom::kos::{Document, Time, Title};
use clavicle_imaging::selection;
use clavicle_ledger::encoding::{self, Hex};
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_letters::random::random;
use clavicle_manifest::Date;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::entry_that_begins;
use super::{Command, NotFound, Operation, Unwritten, short};
use crate::answer::{Answer, Failure, Refusing};
use crate::service::Service;

/// Write a study's manifest as the standard has one: a Key Object Selection, with a MAC of each instance
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Kos {
    /// The study: how its id begins
    pub study: String,
    /// The file to write
    #[arg(long)]
    #[serde(skip)]
    pub out: PathBuf,
}

/// A Key Object Selection Document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KosRow {
    /// The study's id.
    pub study: String,
    /// How many instances it lists.
    pub instances: usize,
    /// The file, in hexadecimal digits.
    pub document: String,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KosError {
    /// Which study.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// See [`selection::KosError`].
    #[error(transparent)]
    Document(#[from] selection::KosError),
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
}

impl Refusing for KosError {
    fn code(&self) -> &str {
        match self {
            Self::NotFound(error) => error.code(),
            Self::Document(_) => "archive",
            Self::Random(_) => "pickup",
        }
    }
}

impl Operation for Kos {
    const WORD: &'static str = "kos";

    type On = Service;
    type Answer = KosRow;
    type Error = KosError;

    fn work(self, service: &Service) -> Result<KosRow, KosError> {
        let entry = entry_that_begins(&service.images.archive, &self.study)?;
        let manifest = &entry.manifest.manifest;
        let random = random().map_err(KosError::Random)?;
        let now = (service.clock)().0.0;
        let document = Document {
            title: Title::default(),
            date: date_of(now / DAY_MS),
            time: time_of(now % DAY_MS / 1_000),
            series_number: 9_999,
            random,
        };
        let bytes = selection::of_manifest(
            &document,
            manifest,
            (&*service.images.archive, &|instance| service.images.archive.place(&instance.stored)),
            &*service.images.reader,
        )?;
        let study = manifest.header().study.to_string();
        Ok(KosRow { study, instances: manifest.counts().instances, document: Hex(&bytes).to_string() })
    }
}

impl Command for Kos {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { out, .. }: &Self, row: KosRow) -> Result<Answer, Failure> {
        let document = encoding::from_hex(&row.document).ok_or(Unwritten::Digits("the document"))?;
        write_new(out, &document, Readers::Usual).map_err(|error| Unwritten::file(out, error))?;
        let text = format!(
            "{} of {}, each with its MAC, in {}",
            many(row.instances, "instance", "instances"),
            short(&row.study),
            out.display()
        );
        Ok(Answer { text, json: json!({ "study": row.study, "instances": row.instances, "out": path_text(out) }) })
    }
}

/// A day since 1970, in the Gregorian calendar.
fn date_of(day: u64) -> Date {
    let text = Timestamp(day.saturating_mul(DAY_MS)).day().to_string();
    let mut parts = text.split('-').map(|part| part.parse::<u16>().unwrap_or_default());
    let mut next = || parts.next().unwrap_or_default();
    let (year, month, day) = (next(), next(), next());
    let small = |number: u16| u8::try_from(number).unwrap_or_default();
    Date::new(year, small(month), small(day)).expect("a day is in the calendar")
}

/// A second of a day.
fn time_of(second: u64) -> Time {
    let part = |number: u64| u8::try_from(number).unwrap_or_default();
    Time::new(part(second / 3_600), part(second / 60 % 60), part(second % 60)).expect("a second is of the day")
}
