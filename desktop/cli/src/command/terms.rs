//! Lengths of time, purposes, and moments, as people write them.

use std::str::FromStr;

use clap::ValueEnum;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};

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

/// A moment to the minute, `2026-11-28 07:15 UTC`.
pub(crate) fn moment(at: Timestamp) -> String {
    let minutes = at.0 % DAY_MS / 60_000;
    format!("{} {:02}:{:02} UTC", at.day(), minutes / 60, minutes % 60)
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
    fn a_moment_is_told_to_the_minute() {
        assert_eq!(moment(Timestamp(1_790_000_000_000)), "2026-09-21 14:13 UTC");
    }
}
