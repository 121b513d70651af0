//! Whether the images of a wallet's study may be used: asked before they are, and written down where it is in spite of
//! something.

use std::path::Path;

use clavicle_app::{App, NoteUse, OpenStudy, Person, Trouble};
use clavicle_ledger::study::Standing;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::about::About;
use clavicle_wallet::cache::Images;
use clavicle_wallet::objection::Objection;

use crate::destination::Destination;

/// What is to be done with a study.
#[derive(Clone, Copy, Debug)]
pub enum Usage<'a> {
    /// It is looked at, and a picture of it is written if there is a place for one.
    View {
        /// The file with the picture.
        into: Option<&'a Path>,
    },
    /// It is put on a medium.
    Export {
        /// The folder, or the zip.
        out: &'a Path,
    },
    /// It is sent to an archive.
    Push {
        /// Which.
        to: &'a Destination,
    },
}

impl Usage<'_> {
    /// In a word for a sentence: `viewing it`.
    #[must_use]
    pub const fn what(&self) -> &'static str {
        match self {
            Self::View { .. } => "viewing it",
            Self::Export { .. } => "exporting it",
            Self::Push { .. } => "pushing it",
        }
    }

    /// In full, as it is kept in the wallet.
    #[must_use]
    pub fn in_full(&self) -> String {
        match self {
            Self::View { into: None } => "viewed".to_owned(),
            Self::View { into: Some(path) } => format!("viewed, into {}", path.display()),
            Self::Export { out } => format!("exported to {}", out.display()),
            Self::Push { to } => format!("pushed to {to}"),
        }
    }
}

/// Why a study is not used: for each a face has something else to offer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// What is here is another patient's. Nobody gets it, whatever they say.
    #[error("{0}. It is neither shown, nor sent, nor written; it can be removed from this wallet")]
    WrongPatient(Objection),
    /// What is here is not to be used, but by an explicit word.
    #[error("{objection}. {what} is done only in spite of that, and is then on record in this wallet")]
    Objection {
        /// What was asked for: see [`Usage::what`].
        what: &'static str,
        /// Why not.
        objection: Objection,
    },
    /// It could not be written down that it is used in spite of something.
    #[error(transparent)]
    Note(#[from] Trouble),
}

/// A study of a wallet that may be used. It is the only way to its images.
#[derive(Debug)]
pub struct UsableStudy {
    open: OpenStudy,
    in_spite_of: Option<Objection>,
}

impl UsableStudy {
    /// Says whether a study may be used. `in_spite_of` is the explicit word: then what speaks against it is written
    /// down in the wallet first.
    ///
    /// # Errors
    /// [`UsageError`].
    pub async fn permit(app: &App, open: OpenStudy, usage: Usage<'_>, in_spite_of: bool) -> Result<Self, UsageError> {
        // To look is what was wished.
        let looks = matches!(usage, Usage::View { .. });
        let objection = open.objection.filter(|objection| !looks || *objection != Objection::ViewOnly);
        if let Some(objection) = objection {
            match verdict(objection, usage, open.person, in_spite_of) {
                Verdict::Never => return Err(UsageError::WrongPatient(objection)),
                Verdict::Refused => return Err(UsageError::Objection { what: usage.what(), objection }),
                Verdict::Noted => {
                    let note = NoteUse { study: open.study, what: usage.in_full(), why: objection };
                    app.send(note)?.ended().await?;
                }
                Verdict::Said => {}
            }
        }
        Ok(Self { in_spite_of: objection, open })
    }

    /// Its images.
    #[must_use]
    pub const fn images(&self) -> &Images {
        &self.open.images
    }

    /// Who it is about, as was told without the images.
    #[must_use]
    pub const fn about(&self) -> Option<&About> {
        self.open.about.as_ref()
    }

    /// What speaks against using it, and is to be said with whatever is done.
    #[must_use]
    pub const fn in_spite_of(&self) -> Option<Objection> {
        self.in_spite_of
    }

    /// When the ledger last said how it stands.
    #[must_use]
    pub const fn asked_at(&self) -> Option<Timestamp> {
        self.open.asked_at
    }

    /// Why this may not be all of it, in sentences.
    #[must_use]
    pub fn shortfall(&self) -> Option<String> {
        match (&self.open.not_asked, &self.open.fetched) {
            (Some(trouble), _) => Some(trouble.happened.clone()),
            (None, Some(fetched)) if !fetched.is_complete() => {
                Some(format!("not everything arrived as it was signed: {fetched}"))
            }
            (None, _) => None,
        }
    }
}

/// What is decided of a study that something speaks against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// Whatever anybody says.
    Never,
    /// Unless somebody says so explicitly.
    Refused,
    /// It is done, and written down.
    Noted,
    /// It is done, and what speaks against it is said.
    Said,
}

fn verdict(objection: Objection, usage: Usage<'_>, person: Person, in_spite_of: bool) -> Verdict {
    // Patients may look at what is suspended: the hospital goes on serving it to them. What was replaced anybody may,
    // once that is said.
    let may_look = matches!(usage, Usage::View { .. })
        && match objection {
            Objection::Standing(Standing::Suspended(_)) => person == Person::Patient,
            Objection::Replaced { .. } => true,
            _ => false,
        };
    match (objection.is_wrong_patient(), in_spite_of) {
        (true, _) => Verdict::Never,
        (false, true) => Verdict::Noted,
        (false, false) if may_look => Verdict::Said,
        (false, false) => Verdict::Refused,
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::study::Reason;

    use super::*;

    #[test]
    fn what_speaks_against_a_study_is_decided_in_one_place() {
        let out = Path::new("cd");
        let (view, export) = (Usage::View { into: None }, Usage::Export { out });
        let wrong = Objection::Standing(Standing::Withdrawn(Reason::WrongPatient));
        let suspended = Objection::Standing(Standing::Suspended(Reason::Quality));
        let replaced = Objection::Replaced { copy: 1, now: 2 };
        let (patient, recipient) = (Person::Patient, Person::Recipient);
        let rows = [
            (wrong, view, patient, true, Verdict::Never),
            (wrong, export, recipient, false, Verdict::Never),
            (suspended, view, patient, false, Verdict::Said),
            (suspended, view, recipient, false, Verdict::Refused),
            (suspended, export, patient, false, Verdict::Refused),
            (suspended, export, patient, true, Verdict::Noted),
            (replaced, view, recipient, false, Verdict::Said),
            (replaced, export, recipient, false, Verdict::Refused),
            (Objection::Refused, view, patient, false, Verdict::Refused),
            (Objection::Unproven, view, recipient, true, Verdict::Noted),
            (Objection::ViewOnly, export, recipient, false, Verdict::Refused),
            (Objection::ViewOnly, export, recipient, true, Verdict::Noted),
        ];
        for (objection, usage, person, in_spite_of, expected) in rows {
            assert_eq!(verdict(objection, usage, person, in_spite_of), expected, "{objection}, {usage:?}, {person:?}");
        }
    }

    #[test]
    fn what_is_kept_says_where_it_went() {
        let kept = |usage: Usage<'_>| usage.in_full();
        assert_eq!(kept(Usage::View { into: Some(Path::new("a.png")) }), "viewed, into a.png");
        assert_eq!(kept(Usage::Export { out: Path::new("cd") }), "exported to cd");
    }
}
