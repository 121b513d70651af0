//! `clavicle wallet …` and `clavicle recipient …` on the images of a study: they lie sealed in the wallet, and are looked at, written and sent
//! from there.

use std::time::Duration;

use clavicle_command::said::complain;
use clavicle_dicom::rewrite::Coercion;
use clavicle_ledger::study::Standing;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::about::About;
use clavicle_network::transfer::FetchError;
use clavicle_wallet::WalletError;
use clavicle_wallet::cache::Images;
use clavicle_wallet::download::Downloaded;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::rows::InSpiteOf;
use serde_json::{Value, json};

use super::export::{MediumArguments, export};
use super::push::{PushOptions, push};
use super::recipient::downloaded;
use super::terms::moment;
use super::{Answer, CommandError, Folder, Look, ReportArguments, can_write, reader, view};
use clavicle_workstation::studies::Studies;

/// Which study of which wallet.
#[derive(Debug, clap::Args)]
pub struct StudyArguments {
    /// Which wallet
    #[command(flatten)]
    pub folder: Folder,
    /// The study, by the beginning of its id; a recipient can name the grant instead
    pub study: String,
}

/// Which study is to be used, and whether in spite of what speaks against it.
#[derive(Debug, clap::Args)]
pub struct UseArguments {
    /// Which study
    #[command(flatten)]
    pub study: StudyArguments,
    /// Do it although the study was suspended, withdrawn or revised, or the grant has ended; it is then on record in the wallet
    #[arg(long)]
    pub in_spite_of: bool,
}

/// What can be done with the images of a study.
#[derive(Debug, clap::Subcommand)]
pub enum ImagesCommand {
    /// Look at a study, fetched if it is not there yet: its series, its reports, and a picture of each series
    View {
        /// Which study
        #[command(flatten)]
        of: UseArguments,
        /// How it is to be shown
        #[command(flatten)]
        look: Look,
        /// Which report
        #[command(flatten)]
        which: ReportArguments,
    },
    /// Put a study on a medium, fetched if it is not there yet: files with a DICOMDIR, in a folder or a zip
    Export {
        /// Which study
        #[command(flatten)]
        of: UseArguments,
        /// Where to
        #[command(flatten)]
        medium: MediumArguments,
    },
    /// Send a study to an archive (PACS), fetched if it is not there yet, by C-STORE or STOW-RS
    Push {
        /// Which study
        #[command(flatten)]
        of: UseArguments,
        /// Where to, and as whose
        #[command(flatten)]
        options: Box<PushOptions>,
    },
}

/// What a wallet has of a study.
pub(super) struct Kept {
    images: Images,
    /// Why it may not be all of it.
    not_asked: Option<CommandError>,
}

/// What speaks against using it, and since when that is known.
pub(super) struct Against {
    pub(super) objection: Option<Objection>,
    pub(super) asked_at: Option<Timestamp>,
    /// Who it is about, as was told without the images.
    pub(super) about: Option<About>,
}

/// What was looked at before anything is fetched: a push knows whose the study is to be.
pub(super) struct Ready(Option<Coercion>);

impl Kept {
    /// All of it, as far as the ledger knows.
    pub(super) const fn whole(images: Images) -> Self {
        Self { images, not_asked: None }
    }

    /// What was there before, since it could not be asked whether there is more.
    pub(super) const fn unasked(images: Images, why: CommandError) -> Self {
        Self { images, not_asked: Some(why) }
    }

    /// What a fetch has brought, or what was there before it.
    pub(super) fn after(
        fetched: Result<Downloaded, WalletError>,
        images: Result<Images, WalletError>,
    ) -> Result<Self, CommandError> {
        let not_asked = match fetched {
            Ok(fetched) => downloaded(&[fetched], Duration::ZERO).err(),
            Err(error) => Some(error.into()),
        };
        match (images, not_asked) {
            (Err(WalletError::NotFetched), Some(error)) => Err(error),
            (images, not_asked) => Ok(Self { images: images?, not_asked }),
        }
    }
}

impl ImagesCommand {
    /// Of which study.
    pub(super) const fn study(&self) -> &StudyArguments {
        let (Self::View { of, .. } | Self::Export { of, .. } | Self::Push { of, .. }) = self;
        &of.study
    }

    const fn in_spite_of(&self) -> bool {
        let (Self::View { of, .. } | Self::Export { of, .. } | Self::Push { of, .. }) = self;
        of.in_spite_of
    }

    /// What is done, in a word for a sentence, and in full to be kept.
    fn what(&self) -> (&'static str, String) {
        match self {
            Self::View { look, .. } => {
                let into = look.png.as_ref().map_or_else(String::new, |png| format!(", into {}", png.display()));
                ("viewing it", format!("viewed{into}"))
            }
            Self::Export { medium, .. } => ("exporting it", format!("exported to {}", medium.out.display())),
            Self::Push { options, .. } => ("pushing it", format!("pushed to {}", options.to)),
        }
    }

    /// Refuses what could not be done anyway, before anything is fetched.
    pub(super) fn ready(&self) -> Result<Ready, CommandError> {
        match self {
            Self::View { look, .. } => can_write(look.png.as_deref()).map(|()| Ready(None)),
            Self::Export { .. } => Ok(Ready(None)),
            Self::Push { options, .. } => options.whose().map(Ready),
        }
    }

    /// Does it with what there is, if nothing speaks against it; `is_own` says that it is the patient's wallet. What is done in spite of something
    /// `note` writes down first.
    pub(super) async fn run(
        &self,
        Ready(coercion): Ready,
        kept: Kept,
        (known, is_own): (Against, bool),
        note: impl FnOnce(&str, &Objection) -> Result<(), WalletError>,
    ) -> Result<Answer, CommandError> {
        let Kept { images, not_asked } = kept;
        let is_refused = matches!(&not_asked, Some(CommandError::Wallet(WalletError::Fetch(FetchError::Refused(_)))));
        let objection = known.objection.or(is_refused.then_some(Objection::Refused));
        let (what, in_full) = self.what();
        if let Some(objection) = objection {
            // Patients may look at what is suspended: the hospital goes on serving it to them. What was replaced anybody may, once that is said.
            let may_look = matches!(self, Self::View { .. })
                && match objection {
                    Objection::Standing(Standing::Suspended(_)) => is_own,
                    Objection::Replaced { .. } => true,
                    _ => false,
                };
            if objection.is_wrong_patient() {
                return Err(CommandError::WrongPatient { objection });
            } else if self.in_spite_of() {
                note(&in_full, &objection)?;
            } else if !may_look {
                return Err(CommandError::Objection { what, objection });
            }
            complain(&format!("warning: {objection}; {what} all the same"));
        }
        let done = match self {
            Self::View { look, which, .. } => view::study(&images, known.about.as_ref(), (look, *which)),
            Self::Export { medium, .. } => {
                let reader = reader()?;
                export(&Studies::in_wallet(&images, &reader), &reader, medium)
            }
            Self::Push { options, .. } => {
                let reader = reader()?;
                push(Studies::in_wallet(&images, &reader), &reader, options, coercion).await
            }
        };
        // What is not all of it is told with the same remarks.
        let (mut answer, shortfall) = match done {
            Err(CommandError::Found { code, sentence, answer }) => (*answer, Some((code, sentence))),
            done => (done?, None),
        };
        if let Some(objection) = &objection {
            answer.text.push_str(&format!("\nin spite of this: {objection}"));
        }
        answer.json["in_spite_of"] = json!(objection.map(|objection| objection.to_string()));
        if let Some(error) = &not_asked {
            answer.text.push_str(&format!("\nthis may not be all of it: {}", error.sentences()));
            answer.text.push_str(&known.asked_at.map_or_else(
                || "\nwhether it may still be used could not be asked, and is not known".to_owned(),
                |at| format!("\nwhether it may still be used is known as of {}", moment(at)),
            ));
        }
        answer.json["not_asked"] = json!(not_asked.map(|error| error.sentences()));
        answer.json["asked_at_ms"] = json!(known.asked_at.map(|at| at.0));
        match shortfall {
            None => Ok(answer),
            Some((code, sentence)) => Err(CommandError::Found { code, sentence, answer: Box::new(answer) }),
        }
    }
}

/// How copies were used in spite of something, in lines and for programs.
pub(super) fn noted(all: &[InSpiteOf]) -> (Vec<String>, Value) {
    let line =
        |one: &InSpiteOf| format!("              {} at {}, in spite of this: {}", one.what, moment(one.at), one.why);
    let row = |one: &InSpiteOf| json!({ "what": one.what.as_str(), "why": one.why.as_str(), "at_ms": one.at.0 });
    (all.iter().map(line).collect(), all.iter().map(row).collect())
}

/// Tells whether anything was forgotten.
pub(super) fn forgotten(was_there: bool) -> Answer {
    let text = if was_there { "its images are gone from this wallet" } else { "it had no images in this wallet" };
    Answer { text: text.to_owned(), json: json!({ "forgotten": was_there }) }
}
