//! What an archive answers to STOW-RS: which instances it has stored, and why not the others (PS3.18 §10.5.3, PS3.3 C.12.1.1.6 and table I.2-2).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// An answer, taken apart. UIDs are texts: an archive may name what was not sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Referenced SOP Sequence (0008,1199).
    pub(super) stored: BTreeSet<String>,
    /// Failed SOP Sequence (0008,1198), each with its Failure Reason (0008,1197).
    pub(super) failed: BTreeMap<String, Option<u16>>,
}

/// That the archive does not take the transfer syntax.
pub(super) const SYNTAX_NOT_SUPPORTED: u16 = 0xc122;

impl Answer {
    pub(super) fn of(json: &[u8]) -> Option<Self> {
        let json: Value = serde_json::from_slice(json).ok()?;
        // Some put it into a list.
        let data_set = json.as_array().map_or(Some(&json), |list| list.first())?;
        let items = |tag: &str| data_set[tag]["Value"].as_array().cloned().unwrap_or_default();
        let uid = |item: &Value| item["00081155"]["Value"][0].as_str().map(str::to_owned);
        let reason = |item: &Value| item["00081197"]["Value"][0].as_u64().and_then(|code| u16::try_from(code).ok());
        Some(Self {
            stored: items("00081199").iter().filter_map(uid).collect(),
            failed: items("00081198").iter().filter_map(|item| Some((uid(item)?, reason(item)))).collect(),
        })
    }
}

/// A Failure Reason, for a person.
pub(super) fn sentence(reason: Option<u16>) -> String {
    let Some(code) = reason else { return "the archive says that it failed, and not why".to_owned() };
    let words = match code {
        0x0110 => "processing failure",
        0x0112 => "no such object instance",
        0x0122 => "SOP Class not supported",
        0x0124 => "not authorised",
        0x0131 => "duplicate transaction",
        SYNTAX_NOT_SUPPORTED => "transfer syntax not supported",
        0xa700..=0xa7ff => "out of resources",
        0xa900..=0xa9ff => "data set does not match SOP Class",
        0xc000..=0xcfff => "cannot understand",
        _ => "failure",
    };
    format!("the archive says: {words} ({code:04X})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_became_of_each() {
        let json = r#"{"00081190":{"vr":"UR","Value":["http://a/studies/1"]},
            "00081198":{"vr":"SQ","Value":[{"00081150":{"vr":"UI","Value":["1.2.840"]},"00081155":{"vr":"UI","Value":["1.5"]},
            "00081197":{"vr":"US","Value":[49442]}},{"00081155":{"vr":"UI","Value":["1.6"]}}]},
            "00081199":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["1.4"]}}]}}"#;
        let answer = Answer::of(json.as_bytes()).unwrap();
        assert_eq!(answer.stored.iter().collect::<Vec<_>>(), ["1.4"]);
        assert_eq!(answer.failed["1.5"], Some(SYNTAX_NOT_SUPPORTED));
        assert_eq!(sentence(answer.failed["1.5"]), "the archive says: transfer syntax not supported (C122)");
        assert_eq!(sentence(answer.failed["1.6"]), "the archive says that it failed, and not why");
        assert_eq!(Answer::of(b"<html>"), None);
        assert_eq!(Answer::of(b"{}"), Some(Answer::default()));
    }
}
