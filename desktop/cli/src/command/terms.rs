//! Lengths of time, purposes, and moments, as people write them.

use std::str::FromStr;

use clap::ValueEnum;
use clavicle_command::clock::beginning;
pub(crate) use clavicle_command::clock::moment;
use clavicle_ledger::terms::{DataUse, PurposeOfUse, Terms};
use clavicle_ledger::time::{DAY_MS, Day, HOUR_MS, Timestamp};
use clavicle_wallet::scope::{KnownSeries, Scope};
use serde_json::{Value, json};

/// A length of time: a number and a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// In milliseconds.
    pub ms: u64,
}

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no length of time: a whole number and m, h, d or w, as in 7d");
        let text = text.trim();
        let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(at);
        let unit = match unit {
            "m" => 60_000,
            "h" => HOUR_MS,
            "d" => DAY_MS,
            "w" => 7 * DAY_MS,
            _ => return Err(wrong()),
        };
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|ms| *ms > 0);
        ms.map(|ms| Self { ms }).ok_or_else(wrong)
    }
}

/// What a study is fetched for: HL7 PurposeOfUse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// TREAT
    Treatment,
    /// ETREAT
    EmergencyTreatment,
    /// CAREMGT
    CareManagement,
    /// HPAYMT
    Payment,
    /// HOPERAT
    Operations,
    /// HRESCH
    Research,
    /// PATRQT
    PatientRequested,
    /// PUBHLTH
    PublicHealth,
    /// HLEGAL
    Legal,
}

impl From<Purpose> for PurposeOfUse {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Treatment => Self::Treatment,
            Purpose::EmergencyTreatment => Self::EmergencyTreatment,
            Purpose::CareManagement => Self::CareManagement,
            Purpose::Payment => Self::Payment,
            Purpose::Operations => Self::Operations,
            Purpose::Research => Self::Research,
            Purpose::PatientRequested => Self::PatientRequested,
            Purpose::PublicHealth => Self::PublicHealth,
            Purpose::Legal => Self::Legal,
        }
    }
}

/// What a study is fetched for, as a patient says it.
pub(crate) const fn purpose_said(purpose: PurposeOfUse) -> &'static str {
    match purpose {
        PurposeOfUse::Treatment => "treatment",
        PurposeOfUse::EmergencyTreatment => "emergency treatment",
        PurposeOfUse::CareManagement => "care management",
        PurposeOfUse::Payment => "payment",
        PurposeOfUse::Operations => "the clinic's own work",
        PurposeOfUse::Research => "research",
        PurposeOfUse::PatientRequested => "a wish of the patient",
        PurposeOfUse::PublicHealth => "public health",
        PurposeOfUse::Legal => "legal reasons",
    }
}

/// From when something is good: so long from now, or a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// So many milliseconds from now.
    After(u64),
    /// From a moment on.
    At(Timestamp),
}

impl Start {
    /// How long it is until then, in milliseconds.
    pub(crate) const fn in_ms(self, now: Timestamp) -> u64 {
        match self {
            Self::After(ms) => ms,
            Self::At(at) => at.since(now),
        }
    }
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(Length { ms }) = text.parse() {
            return Ok(Self::After(ms));
        }
        let wrong =
            || format!("{text:?} is no start: a length of time from now, as in 24h, or a day, as in 2026-12-24");
        // Days are shown as they are read: one that does not exist is shown as another.
        let parts: Vec<u64> =
            text.trim().split('-').map(|part| part.parse().ok()).collect::<Option<_>>().ok_or_else(wrong)?;
        let [year @ 1970..=9999, month @ 1..=12, day @ 1..=31] = parts[..] else { return Err(wrong()) };
        let is_read = |at: &u32| Day(*at).to_string() == format!("{year:04}-{month:02}-{day:02}");
        // By years of 365 days and a quarter and months of 30 days it is a few days off.
        let about = u32::try_from((year - 1970) * 1461 / 4 + (month - 1) * 30 + day - 1).map_err(|_| wrong())?;
        let found = (about.saturating_sub(8)..=about.saturating_add(8)).find(is_read).ok_or_else(wrong)?;
        Ok(Self::At(beginning(Day(found))))
    }
}

/// A code of the Data Use Ontology.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataUseCode(pub DataUse);

impl FromStr for DataUseCode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is = |code: &DataUse| code.code().eq_ignore_ascii_case(text) || text == format!("DUO:{:07}", code.number());
        let all = || DataUse::ALL.map(DataUse::code).join(", ");
        DataUse::ALL
            .into_iter()
            .find(is)
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no code of the Data Use Ontology: {}", all()))
    }
}

/// What a grant allows and asks for besides, a line each; `used` openings are gone, if that is known.
pub(crate) fn conditions(terms: &Terms, scope: Option<&Scope>, used: Option<u32>) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(scope.map(|scope| format!("{scope}; reports beside the images are left out")));
    let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times") };
    match (terms.openings(), used) {
        (Some(most), Some(used)) => {
            lines.push(format!("may be opened {}: opened {used}, {} left", times(most), most.saturating_sub(used)))
        }
        (Some(most), None) => lines.push(format!("may be opened {}", times(most))),
        (None, Some(used @ 1..)) => lines.push(format!("opened {}", times(used))),
        (None, _) => {}
    }
    if terms.view_only() {
        lines.push("to be looked at and not kept: a wish, which no program can enforce".to_owned());
    }
    if terms.members_of().is_some() {
        lines.push("each opening is signed by a member of the team, whom the receipt names".to_owned());
    }
    let uses = terms.conditions.iter().flat_map(|conditions| &conditions.data_use).map(|code| code.code());
    let uses: Vec<&str> = uses.collect();
    if !uses.is_empty() {
        lines.push(format!("research: {}", uses.join(", ")));
    }
    lines
}

/// The same for programs.
pub(crate) fn conditions_row(terms: &Terms, scope: Option<&Scope>, used: Option<u32>) -> Value {
    let uses = terms.conditions.iter().flat_map(|conditions| &conditions.data_use).map(|code| code.code());
    json!({
        "not_before_ms": terms.not_before.0, "later_revisions": terms.later_revisions, "offline_ms": terms.staleness_ms,
        "openings": terms.openings(), "opened": used, "view_only": terms.view_only(),
        "member_required": terms.members_of().is_some(), "data_use": uses.collect::<Vec<_>>(),
        "scope": scope.map(scope_row),
    })
}

/// Which series are allowed, for programs.
pub(crate) fn scope_row(Scope { allowed, of, series }: &Scope) -> Value {
    json!({ "allowed": allowed, "of": of, "series": series.iter().map(series_row).collect::<Vec<_>>() })
}

/// A series, for programs.
pub(crate) fn series_row(KnownSeries { uid, number, modality, description, instances }: &KnownSeries) -> Value {
    json!({
        "series": uid.as_str(), "number": number, "modality": modality.as_str(), "description": description.as_str(),
        "instances": instances,
    })
}

/// A number of milliseconds as a person says it.
pub(crate) fn ago(ms: u64) -> String {
    match ms {
        0..1_000 => "less than a second".to_owned(),
        1_000..120_000 => format!("{} s", ms / 1_000),
        _ => format!("{} min", ms / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_a_number_and_a_letter() {
        let ms = |text: &str| text.parse::<Length>().map(|length| length.ms);
        assert_eq!(ms("7d"), Ok(7 * DAY_MS));
        assert_eq!(ms(" 90m "), Ok(90 * 60_000));
        for wrong in ["", "7", "d", "0d", "-1d", "7 d", "1.5h", "99999999999999999999d", "7days"] {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_start_is_a_length_or_a_day_that_there_is() {
        let day = |text: &str| match text.parse::<Start>() {
            Ok(Start::At(at)) => moment(at).split(' ').next().map(str::to_owned),
            _ => None,
        };
        assert_eq!("24h".parse(), Ok(Start::After(DAY_MS)));
        for there in ["1970-01-01", "2000-02-29", "2026-01-01", "2026-12-24", "2027-12-31", "2028-02-29", "2099-03-01"]
        {
            assert_eq!(day(there).as_deref(), Some(there));
        }
        for wrong in
            ["", "2026", "2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "24-12-2026", "tomorrow", "-1-1-1"]
        {
            assert!(wrong.parse::<Start>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_data_use_is_read_by_its_letters_and_by_its_number() {
        assert_eq!("gru".parse(), Ok(DataUseCode(DataUse::GeneralResearch)));
        assert_eq!("DUO:0000046".parse(), Ok(DataUseCode(DataUse::NonCommercial)));
        assert!("XYZ".parse::<DataUseCode>().is_err());
    }
}
