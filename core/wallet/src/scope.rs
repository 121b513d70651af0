//! Which series of a study are allowed, as people choose and read it.
//!
//! The Terms name series by hashes under the study's salt. What these are called the study's source tells its holder; a
//! grantee learns it from what is fetched, and of the others nothing.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{ManifestRoot, SeriesId};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::terms::{MAX_SERIES, SeriesScope, Terms};
use clavicle_manifest::{Manifest, Uid};

use crate::error::WalletError;

/// The most series that are chosen at once; a choice of more is refused before it is kept.
pub(crate) const MAX_CHOSEN: usize = MAX_SERIES;

/// A series, as its source told. Its `Debug` says nothing of it, for logs.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KnownSeries {
    /// Series Instance UID.
    pub uid: Uid,
    /// Series Number.
    pub number: Option<i32>,
    /// Modality.
    pub modality: Text<16>,
    /// Series Description.
    pub description: Text<256>,
    /// Instances.
    pub instances: u32,
}

impl fmt::Debug for KnownSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownSeries(…)")
    }
}

impl fmt::Display for KnownSeries {
    /// `3 MR “T2 axial”`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { number, modality, description, .. } = self;
        match number {
            Some(number) => write!(f, "{number} {modality}")?,
            None => write!(f, "– {modality}")?,
        }
        if description.as_str().is_empty() { Ok(()) } else { write!(f, " “{description}”") }
    }
}

/// The series of a study, as its source told last. By the study's id.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SeriesTold {
    /// The root of the manifest that they are of.
    pub root: ManifestRoot,
    /// Each, by its number.
    pub series: Vec<KnownSeries>,
}

impl SeriesTold {
    /// Those of a manifest.
    #[must_use]
    pub fn of(manifest: &Manifest, root: ManifestRoot) -> Self {
        let known = manifest.series().iter().map(|series| KnownSeries {
            uid: series.series_instance_uid,
            number: series.number,
            modality: series.modality.clone(),
            description: series.description.clone(),
            instances: u32::try_from(series.instances.len()).unwrap_or(u32::MAX),
        });
        let mut series: Vec<KnownSeries> = known.collect();
        series.sort_by_key(|one| (one.number.is_none(), one.number, one.uid));
        Self { root, series }
    }
}

/// The one series that is meant: by its UID, its number, or all of its description.
///
/// # Errors
/// [`WalletError::NoSeries`], [`WalletError::AmbiguousSeries`].
pub fn choose(all: &[KnownSeries], said: &str) -> Result<Uid, WalletError> {
    let said = said.trim();
    let number = said.parse::<i32>().ok();
    let called = |one: &&KnownSeries| {
        let description = one.description.as_str().trim();
        number.is_some() && one.number == number || !said.is_empty() && description.eq_ignore_ascii_case(said)
    };
    if let Some(one) = all.iter().find(|one| one.uid.as_str() == said) {
        return Ok(one.uid);
    }
    let found: Vec<&KnownSeries> = all.iter().filter(called).collect();
    match found[..] {
        [one] => Ok(one.uid),
        [] => Err(WalletError::NoSeries(said.to_owned())),
        _ => Err(WalletError::AmbiguousSeries { said: said.to_owned(), count: found.len() }),
    }
}

/// That some series of a study are allowed, and not all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// How many are.
    pub allowed: usize,
    /// How many there were when that was said, by the granter's word.
    pub of: Option<u32>,
    /// What they are called, as far as that is known here.
    pub series: Vec<KnownSeries>,
}

impl Scope {
    /// What the Terms allow; nothing, where that is all of the study. Names are found among the `known`.
    #[must_use]
    pub fn of(terms: &Terms, of: Option<u32>, known: Option<(&Salt, &SeriesTold)>) -> Option<Self> {
        let SeriesScope::These(these) = &terms.series else { return None };
        let series = known.map_or_else(Vec::new, |(salt, told)| {
            let is_allowed = |one: &&KnownSeries| these.find(&id(salt, &one.uid)).is_some();
            told.series.iter().filter(is_allowed).cloned().collect()
        });
        Some(Self { allowed: these.len(), of, series })
    }
}

impl fmt::Display for Scope {
    /// `3 of 7 series: 3 MR “T2 axial”, …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allowed, of, series } = self;
        match of {
            Some(of) => write!(f, "{allowed} of {of} series")?,
            None => write!(f, "{allowed} series")?,
        }
        for (number, one) in series.iter().enumerate() {
            write!(f, "{}{one}", if number == 0 { ": " } else { ", " })?;
        }
        Ok(())
    }
}

/// What the Terms call a series.
pub(crate) fn id(salt: &Salt, uid: &Uid) -> SeriesId {
    salt.series_id(uid.as_str())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use clavicle_ledger::encoding::Ascending;

    use super::*;
    use crate::objection::tests::received;

    fn series(uid: &str, number: Option<i32>, description: &str) -> KnownSeries {
        KnownSeries {
            uid: Uid::new(uid).unwrap(),
            number,
            modality: Text::new("MR").unwrap(),
            description: Text::new(description).unwrap(),
            instances: 1,
        }
    }

    fn told() -> SeriesTold {
        let series = vec![
            series("1.2.1", Some(1), "T1 axial"),
            series("1.2.2", Some(2), "T2 axial"),
            series("1.2.3", Some(3), "T2 axial"),
            series("1.2.4", Some(3), "5"),
            series("1.2.5", None, ""),
        ];
        SeriesTold { root: ManifestRoot::from_bytes([1; 32]), series }
    }

    #[test]
    fn a_series_is_chosen_by_its_uid_its_number_or_its_description() {
        let all = told().series;
        let chosen = |said: &str| choose(&all, said).map(|uid| uid.to_string()).map_err(|error| error.to_string());
        assert_eq!(chosen("1.2.3").unwrap(), "1.2.3");
        assert_eq!(chosen(" 2 ").unwrap(), "1.2.2");
        assert_eq!(chosen("t1 AXIAL").unwrap(), "1.2.1");
        // A description that is a number is one all the same.
        assert_eq!(chosen("5").unwrap(), "1.2.4");
        for two in ["3", "T2 axial"] {
            assert!(chosen(two).unwrap_err().contains("2 series"), "{two}");
        }
        for none in ["", "4", "T1", "1.2", "1.2.6", "axial"] {
            assert!(chosen(none).unwrap_err().contains("no series"), "{none}");
        }
    }

    #[test]
    fn what_is_allowed_is_said_with_its_names_where_they_are_known() {
        let (salt, told) = (Salt::from_bytes([7; 32]), told());
        let mut terms = received().terms;
        assert!(Scope::of(&terms, Some(5), Some((&salt, &told))).is_none());
        let gone = Uid::new("1.2.9").unwrap();
        let these = [told.series[0].uid, told.series[4].uid, gone].map(|uid| id(&salt, &uid));
        terms.series = SeriesScope::These(Ascending::from_items(these.into()).unwrap());
        let scope = Scope::of(&terms, Some(5), Some((&salt, &told))).unwrap();
        assert_eq!(scope.to_string(), "3 of 5 series: 1 MR “T1 axial”, – MR");
        // A grantee knows no names, and perhaps no number.
        assert_eq!(Scope::of(&terms, Some(5), None).unwrap().to_string(), "3 of 5 series");
        assert_eq!(Scope::of(&terms, None, None).unwrap().to_string(), "3 series");
    }
}
