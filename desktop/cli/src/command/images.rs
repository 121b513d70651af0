//! `clavicle wallet …` and `clavicle recipient …` on the images of a study: they lie sealed in the wallet, and are looked at, written and sent
//! from there.

use std::time::Duration;

use clavicle_network::transfer::FetchError;
use clavicle_wallet::WalletError;
use clavicle_wallet::cache::Images;
use clavicle_wallet::download::Downloaded;
use serde_json::json;

use super::export::{MediumArguments, export};
use super::push::{PushOptions, push};
use super::recipient::downloaded;
use super::{Answer, CommandError, Folder, Look, reader, view};
use crate::studies::Studies;

/// Which study of which wallet.
#[derive(Debug, clap::Args)]
pub struct StudyArguments {
    /// Which wallet
    #[command(flatten)]
    pub folder: Folder,
    /// The study, by the beginning of its id; a recipient can name the grant instead
    pub study: String,
}

/// What can be done with the images of a study.
#[derive(Debug, clap::Subcommand)]
pub enum ImagesCommand {
    /// Look at a study, fetched if it is not there yet: its series, its reports, and a picture of each series
    View {
        /// Which study
        #[command(flatten)]
        study: StudyArguments,
        /// How it is to be shown
        #[command(flatten)]
        look: Look,
    },
    /// Put a study on a medium, fetched if it is not there yet: files with a DICOMDIR, in a folder or a zip
    Export {
        /// Which study
        #[command(flatten)]
        study: StudyArguments,
        /// Where to
        #[command(flatten)]
        medium: MediumArguments,
    },
    /// Send a study to an archive (PACS), fetched if it is not there yet, by C-STORE or STOW-RS
    Push {
        /// Which study
        #[command(flatten)]
        study: StudyArguments,
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
        let (Self::View { study, .. } | Self::Export { study, .. } | Self::Push { study, .. }) = self;
        study
    }

    /// Does it with what there is.
    pub(super) async fn run(&self, kept: Kept) -> Result<Answer, CommandError> {
        let Kept { images, not_asked } = kept;
        let mut answer = match self {
            Self::View { look, .. } => view::study(&images, look)?,
            Self::Export { medium, .. } => {
                let reader = reader()?;
                export(&Studies::in_wallet(&images, &reader), &reader, medium)?
            }
            Self::Push { options, .. } => {
                // It may be another patient's, and an archive would show it to everybody.
                if let Some(
                    error @ CommandError::Wallet(WalletError::Standing(_) | WalletError::Fetch(FetchError::Refused(_))),
                ) = not_asked
                {
                    return Err(error);
                }
                let reader = reader()?;
                push(Studies::in_wallet(&images, &reader), &reader, options).await?
            }
        };
        if let Some(error) = &not_asked {
            answer.text.push_str(&format!("\nthis may not be all of it: {}", error.sentences()));
        }
        answer.json["not_asked"] = json!(not_asked.map(|error| error.sentences()));
        Ok(answer)
    }
}

/// Tells whether anything was forgotten.
pub(super) fn forgotten(was_there: bool) -> Answer {
    let text = if was_there { "its images are gone from this wallet" } else { "it had no images in this wallet" };
    Answer { text: text.to_owned(), json: json!({ "forgotten": was_there }) }
}
