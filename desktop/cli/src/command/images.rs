//! `clavicle wallet …` and `clavicle recipient …` on the images of a study: they lie sealed in the wallet, and are looked at, written and sent
//! from there.

use clavicle_app::{App, OpenStudy};
use clavicle_command::said::complain;
use clavicle_dicom::rewrite::Coercion;
use clavicle_wallet::rows::InSpiteOf;
use clavicle_workstation::studies::Studies;
use clavicle_workstation::usage::{UsableStudy, Usage};
use serde_json::{Value, json};

use super::export::{MediumArguments, export};
use super::push::{PushOptions, push};
use super::terms::moment;
use super::{Answer, CommandError, Folder, Look, ReportArguments, can_write, reader, view};

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

/// What was looked at before anything is fetched: a push knows whose the study is to be.
pub(super) struct Ready(Option<Coercion>);

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

    /// What is done with it.
    fn usage(&self) -> Usage<'_> {
        match self {
            Self::View { look, .. } => Usage::View { into: look.png.as_deref() },
            Self::Export { medium, .. } => Usage::Export { out: &medium.out },
            Self::Push { options, .. } => Usage::Push { to: &options.to },
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

    /// Does it with what there is of a study, if it may be used.
    pub(super) async fn run(&self, Ready(coercion): Ready, app: &App, open: OpenStudy) -> Result<Answer, CommandError> {
        let usage = self.usage();
        let study = UsableStudy::permit(app, open, usage, self.in_spite_of()).await?;
        if let Some(objection) = study.in_spite_of() {
            complain(&format!("warning: {objection}; {} all the same", usage.what()));
        }
        let done = match self {
            Self::View { look, which, .. } => view::study(study.images(), study.about(), (look, *which)),
            Self::Export { medium, .. } => {
                let reader = reader()?;
                export(&Studies::in_wallet(&study, &reader), &reader, medium)
            }
            Self::Push { options, .. } => {
                let reader = reader()?;
                push(Studies::in_wallet(&study, &reader), &reader, options, coercion).await
            }
        };
        // What is not all of it is told with the same remarks.
        let (mut answer, shortfall) = match done {
            Err(CommandError::Found { code, sentence, answer }) => (*answer, Some((code, sentence))),
            done => (done?, None),
        };
        if let Some(objection) = study.in_spite_of() {
            answer.text.push_str(&format!("\nin spite of this: {objection}"));
        }
        answer.json["in_spite_of"] = json!(study.in_spite_of().map(|objection| objection.to_string()));
        let not_asked = study.shortfall();
        if let Some(why) = &not_asked {
            answer.text.push_str(&format!("\nthis may not be all of it: {why}"));
            answer.text.push_str(&study.asked_at().map_or_else(
                || "\nwhether it may still be used could not be asked, and is not known".to_owned(),
                |at| format!("\nwhether it may still be used is known as of {}", moment(at)),
            ));
        }
        answer.json["not_asked"] = json!(not_asked);
        answer.json["asked_at_ms"] = json!(study.asked_at().map(|at| at.0));
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
