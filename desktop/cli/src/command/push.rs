//! `push`: studies into somebody's archive.

use std::path::PathBuf;

use clavicle_command::clock::now;
use clavicle_command::given::{Given, GivenError, Kind as _};
use clavicle_command::said::many;
use clavicle_dicom::rewrite::{Coercion, Demographics, Sex};
use clavicle_dimse::AeTitle;
use clavicle_ledger::time::LocalTime;
use clavicle_manifest::Date;
use clavicle_sandbox::reader::Reader;
use clavicle_workstation::push::{Destination, Push, Pushed};
use clavicle_workstation::studies::Studies;
use serde_json::json;

use super::progress::counted;
use super::{Answer, CommandError, PatientBirthDateKind, PatientIdKind, PatientNameKind, reader};

/// The longest id or name that DICOM allows (LO, a component group of PN).
const MOST_LETTERS: usize = 64;

/// What is to be pushed, and as whose.
#[derive(Debug, clap::Args)]
pub struct PushArguments {
    /// The folder: what `fetch` wrote, or any with DICOM files in it
    pub folder: PathBuf,
    /// Where to, and as whose
    #[command(flatten)]
    pub options: PushOptions,
}

/// Where something is to be pushed, and as whose.
#[derive(Debug, clap::Args)]
pub struct PushOptions {
    /// The archive: AET@host:port, or https://host/dicom-web
    #[arg(long)]
    pub to: Destination,
    /// The AE title to call with
    #[arg(long, default_value = "CLAVICLE", value_parser = AeTitle::new)]
    pub calling_aet: AeTitle,
    /// A file with the certificates to trust (PEM), where the archive's is from no public authority
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// A file with what the Authorization header is to say, such as `Bearer …`
    #[arg(long, value_name = "FILE")]
    pub authorization_file: Option<PathBuf>,
    /// Whose it is there; asked for without it
    #[command(flatten)]
    pub patient_id: Given<PatientIdKind>,
    /// File it under the id that the study came with, whoever has that id in the archive
    #[arg(long, conflicts_with_all = [
        "patient-id", "patient-id-file", "patient-id-fd", "patient-name", "patient-name-file", "patient-name-fd",
        "patient-birth-date", "patient-birth-date-file", "patient-birth-date-fd", "issuer", "patient_sex", "accept_mismatch",
    ])]
    pub as_sent: bool,
    /// Who gave that id
    #[arg(long, value_parser = letters)]
    pub issuer: Option<String>,
    /// The patient's name
    #[command(flatten)]
    pub patient_name: Given<PatientNameKind>,
    /// The patient's date of birth
    #[command(flatten)]
    pub patient_birth_date: Given<PatientBirthDateKind>,
    /// The patient's sex, to be compared: M, F or O
    #[arg(long, value_parser = sex)]
    pub patient_sex: Option<Sex>,
    /// Push although the study says something else of the patient
    #[arg(long)]
    pub accept_mismatch: bool,
    /// Send over http:// to another machine, where everybody on the way can read along
    #[arg(long)]
    pub without_tls: bool,
}

impl PushOptions {
    /// As whose the studies are to be filed; nothing where they are sent as they came.
    pub(super) fn whose(&self) -> Result<Option<Coercion>, CommandError> {
        if self.as_sent {
            return Ok(None);
        }
        let patient_id = match self.patient_id.ask() {
            Err(GivenError::Nobody { .. }) => return Err(CommandError::Whose),
            given => told(&given?, PatientIdKind::WHAT, letters)?,
        };
        let name = self.patient_name.get()?.map(|text| told(&text, PatientNameKind::WHAT, letters)).transpose()?;
        let birth_date = self.patient_birth_date.get()?;
        let birth_date = birth_date.map(|text| told(&text, PatientBirthDateKind::WHAT, day)).transpose()?;
        Ok(Some(Coercion {
            patient_id,
            issuer: self.issuer.clone(),
            demographics: Demographics { name, birth_date, sex: self.patient_sex },
            at: moment(now()),
            system: self.calling_aet.as_str().to_owned(),
        }))
    }
}

/// What was told of a patient, if it is something that DICOM can hold.
fn told<T>(text: &str, what: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, CommandError> {
    read(text.trim()).map_err(|why| CommandError::Told { what, why })
}

fn letters(text: &str) -> Result<String, String> {
    let text = text.trim();
    let is_fit = |char: char| !char.is_control() && char != '\\';
    match text.chars().count() {
        1..=MOST_LETTERS if text.chars().all(is_fit) => Ok(text.to_owned()),
        _ => Err(format!("it has 1 to {MOST_LETTERS} characters, and no backslash among them")),
    }
}

fn day(text: &str) -> Result<Date, String> {
    let numbers: Vec<Option<u16>> = text.split('-').map(|part| part.parse().ok()).collect();
    let small = |number: u16| u8::try_from(number).ok();
    let date = match numbers[..] {
        [Some(year), Some(month), Some(day)] if day <= days(year, month) => {
            small(month).zip(small(day)).and_then(|(month, day)| Date::new(year, month, day))
        }
        _ => None,
    };
    date.ok_or_else(|| "a day is written like 1953-01-17, and is one of the calendar".to_owned())
}

/// How many days a month has.
const fn days(year: u16, month: u16) -> u16 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn sex(text: &str) -> Result<Sex, String> {
    Sex::of_term(text).ok_or_else(|| "it is M, F or O".to_owned())
}

/// A moment as DT has it (PS3.5 §6.2), in UTC.
fn moment(LocalTime(at): LocalTime) -> String {
    let (day, second) = (at.day().to_string().replace('-', ""), at.0 / 1_000 % 86_400);
    format!("{day}{:02}{:02}{:02}+0000", second / 3_600, second / 60 % 60, second % 60)
}

pub(super) async fn run(arguments: PushArguments) -> Result<Answer, CommandError> {
    let coercion = arguments.options.whose()?;
    let reader = reader()?;
    push(Studies::in_folder(&arguments.folder, &reader)?, &reader, &arguments.options, coercion).await
}

/// Sends studies to an archive, as the patient's who is named, or as they came.
pub(super) async fn push(
    studies: Studies<'_>,
    reader: &dyn Reader,
    options: &PushOptions,
    coercion: Option<Coercion>,
) -> Result<Answer, CommandError> {
    let PushOptions { to, calling_aet: calling, ca, authorization_file, accept_mismatch, without_tls, .. } = options;
    let authorization = authorization_file.as_ref().map(std::fs::read_to_string).transpose();
    let authorization = authorization
        .map_err(|error| CommandError::Unread { path: authorization_file.clone().unwrap_or_default(), error })?;
    let push = Push {
        to,
        calling: calling.clone(),
        ca: ca.as_deref(),
        authorization: authorization.map(|text| text.trim().to_owned()),
        coercion,
        accept_mismatch: *accept_mismatch,
        without_tls: *without_tls,
    };
    let shown = counted("instances");
    let pushed = push.run(studies, reader, &shown).await?;
    answer(&pushed, to)
}

fn answer(pushed: &Pushed, to: &Destination) -> Result<Answer, CommandError> {
    let Pushed { accounting, stored, converted, absent, reports } = pushed;
    let mut lines = Vec::new();
    for absent in absent {
        lines.push(format!("the study does not say the {}, which could not be compared", absent.0));
    }
    let conversion = match converted {
        0 => String::new(),
        count => format!(" ({count} of them decoded or written in another encoding, nothing lost)"),
    };
    let done = format!("stored in {to}");
    lines.push(format!("{} {done}{conversion}", many(*stored, "instance", "instances")));
    if *reports > 0 {
        lines.push(format!(
            "{} of them: text goes as a structured report, a PDF within an instance",
            many(*reports, "report is", "reports are")
        ));
    }
    lines.push(accounting.summary("stored"));
    lines.extend(accounting.lines());
    let json = json!({
        "to": to.to_string(), "stored": stored, "converted": converted, "reports": reports, "accounting": accounting,
        "not_compared": absent.iter().map(|absent| absent.0).collect::<Vec<_>>(),
    });
    let answer = Answer { text: lines.join("\n"), json };
    CommandError::unless_all(accounting.shortfall(&done), "not_stored", answer)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clavicle_ledger::time::Timestamp;

    use super::*;

    #[test]
    fn what_is_typed_is_what_dicom_can_hold() {
        assert_eq!(moment(LocalTime(Timestamp(1_777_810_515_000))), "20260503121515+0000");
        assert_eq!(day("1953-01-17"), Ok(Date::new(1953, 1, 17).unwrap()));
        for none in ["17.1.1953", "1953-02-30", "1953-02-29", "1900-02-29", "1953-13-01", "1953-01-17-1", "1953-01"] {
            assert!(day(none).is_err(), "{none}");
        }
        assert!(day("1952-02-29").is_ok() && day("2000-02-29").is_ok() && sex("X").is_err());
        assert_eq!(letters(" 4711 ").as_deref(), Ok("4711"));
        assert!(letters("a\\b").is_err() && letters("").is_err() && letters(&"x".repeat(65)).is_err());
    }
}
