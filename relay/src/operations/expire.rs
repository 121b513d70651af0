//! `expire`: studies go that are older than they have to be kept.

use clap::Args;
use clavicle_command::said::many;
use clavicle_manifest::StoredDigest;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::confirmed::{ListDigest, is_confirmed, unconfirmed};
use super::studies_named::{on_ledger, parse_day};
use super::{Command, Operation};
use crate::answer::{Answer, Failure, Refusing};
use crate::archive::ArchiveError;
use crate::service::{Service, ServiceError};

/// Remove the studies that are older than they have to be kept; those that somebody holds stay
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Expire {
    /// The day before which a study's date must lie: 2016-01-31
    #[arg(long)]
    pub before: String,
    /// Remove them, and not only say which: the digest that is said then
    #[arg(long, value_name = "DIGEST")]
    pub confirm: Option<String>,
}

/// What became of the studies that are older than they have to be kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// Those that are to be removed.
    pub studies: Vec<String>,
    /// A digest of the list of these and of their files, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Whether they were.
    pub removed: bool,
    /// Those that stay, since somebody holds them and they are not withdrawn.
    pub held: Vec<String>,
}

/// Why nothing was removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExpireError {
    /// See [`ArchiveError`].
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A day that is none.
    #[error("a day is written like 2016-01-31")]
    Day,
}

impl Refusing for ExpireError {
    fn code(&self) -> &str {
        match self {
            Self::Archive(error) => error.code(),
            Self::Service(_) => "store",
            Self::Day => "day",
        }
    }
}

impl Operation for Expire {
    const WORD: &'static str = "expire";

    type On = Service;
    type Answer = Expired;
    type Error = ExpireError;

    /// Removes the studies whose Study Date is before a day, if they are those that were confirmed; says which otherwise. Those without a date stay.
    fn work(self, service: &Service) -> Result<Expired, ExpireError> {
        let day = parse_day(&self.before).ok_or(ExpireError::Day)?;
        let (mut expired, mut old, mut digest) = (Expired::default(), Vec::new(), ListDigest::new());
        let mut before = service.images.archive.dated_before(day)?;
        before.sort();
        for study in before {
            let on_ledger = on_ledger(service, study)?;
            match service.images.archive.removable(study, on_ledger) {
                Ok(files) => {
                    digest.add([study.as_bytes()]);
                    digest.add(files.iter().map(StoredDigest::as_bytes));
                    old.push((study, on_ledger));
                }
                Err(ArchiveError::Held) => expired.held.push(study.to_string()),
                Err(error) => return Err(error.into()),
            }
        }
        expired.studies = old.iter().map(|(study, _)| study.to_string()).collect();
        let digest = digest.finish();
        expired.removed = !old.is_empty() && is_confirmed(self.confirm.as_deref(), &digest);
        expired.digest = (!old.is_empty()).then_some(digest);
        if expired.removed {
            old.iter().try_for_each(|(study, on_ledger)| service.images.archive.remove(*study, *on_ledger))?;
        }
        Ok(expired)
    }
}

impl Command for Expire {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(Self { before, confirm }: &Self, expired: Expired) -> Result<Answer, Failure> {
        let Expired { studies, digest, removed, held } = &expired;
        let fate = if *removed { "removed" } else { "would be removed" };
        let mut lines: Vec<String> = studies.iter().map(|study| format!("{study}  {fate}")).collect();
        lines.extend(held.iter().map(|study| format!("{study}  kept: somebody holds it, and it is not withdrawn")));
        let (all, kept) = (studies.len().saturating_add(held.len()), held.len());
        let stay = if kept > 0 { format!(", of which {}", many(kept, "stays", "stay")) } else { String::new() };
        lines.push(format!("{} from before {before}{stay}", many(all, "study", "studies")));
        let answer = Answer { text: lines.join("\n"), json: json!(expired) };
        match digest {
            Some(digest) if !removed => {
                let studies = many(studies.len(), "study", "studies");
                Err(unconfirmed("these", &studies, digest, confirm.as_deref(), answer))
            }
            _ => {
                let shortfall = (kept > 0).then(|| {
                    format!(
                        "{kept} of {} from before {before} {} kept: somebody holds {}. If one has to go, withdraw it first, with `clavicle-relay withdraw STUDY \
                         --reason retention`",
                        many(all, "study", "studies"),
                        if kept == 1 { "was" } else { "were" },
                        if kept == 1 { "it" } else { "them" }
                    )
                });
                Failure::unless_all(shortfall, "held", answer)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What somebody holds was kept, and the command said that all was done.
    #[test]
    fn what_is_kept_since_somebody_holds_it_is_not_done() {
        let of = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
        let said = |studies: &[&str], held: &[&str], removed: bool| {
            let digest = (!studies.is_empty()).then(|| "5b1f0c9a77e2".to_owned());
            let asked = Expire { before: "2016-01-31".to_owned(), confirm: removed.then(|| "5b1f0c9a77e2".to_owned()) };
            Expire::say(&asked, Expired { studies: of(studies), digest, removed, held: of(held) })
        };
        assert!(said(&[], &[], false).is_ok() && said(&["a"], &[], true).is_ok());
        for (studies, held, removed, code) in [
            (&[][..], &["b"][..], false, "held"),
            (&["a"], &["b"], true, "held"),
            (&["a"], &["b"], false, "confirm"),
            (&["a"], &[], false, "confirm"),
        ] {
            let failure = said(studies, held, removed).unwrap_err();
            assert_eq!((failure.code(), failure.exit_code()), (code, 1), "{failure}");
            assert_eq!(failure.to_json()["held"], json!(held));
        }
        let both = said(&["a"], &["b"], true).unwrap_err();
        assert!(
            both.to_string().starts_with("1 of 2 studies from before 2016-01-31 was kept: somebody holds it."),
            "{both}"
        );
        assert!(both.found().unwrap().ends_with("2 studies from before 2016-01-31, of which 1 stays"), "{both:?}");
    }
}
