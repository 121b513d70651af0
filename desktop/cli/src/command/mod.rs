//! What patients and recipients can say.

mod changing;
mod client;
mod devices;
mod ending;
mod export;
mod images;
mod invite;
mod keeping;
mod looks;
mod organisation;
mod personal;
mod progress;
mod push;
mod recipient;
mod recovery;
mod spread;
mod terms;
mod view;
mod wallet;

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clavicle_app::Trouble;
use clavicle_command::file::{Readers, is_free, write_new};
use clavicle_command::given::{Given, GivenError};
use clavicle_command::said::sentences;
use clavicle_imaging::reason::IntakeError;
use clavicle_ledger::derivation::WordsError;
use clavicle_letters::code::PictureError;
use clavicle_letters::words::FourWordsError;
use clavicle_network::file::NetworkFileError;
use clavicle_sandbox::Workers;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::vault::{Passphrase, PassphraseError};
use serde_json::{Value, json};

use crate::code::ReadCodeError;
use clavicle_workstation::export::ExportError;
use clavicle_workstation::push::PushError;
use clavicle_workstation::usage::UsageError;

pub use self::changing::{NarrowArguments, RenewArguments};
pub use self::devices::DevicesArguments;
pub use self::ending::EndArguments;
pub use self::export::{ExportArguments, MediumArguments};
pub use self::images::{ImagesCommand, StudyArguments, UseArguments};
pub use self::invite::{AnswerArguments, InviteArguments};
pub use self::keeping::WordsArguments;
pub use self::organisation::{MemberArguments, MemberRole, VouchArguments};
pub use self::personal::{
    BirthDateKind, MemberPassphraseKind, NewPassphraseKind, PassphraseKind, PatientBirthDateKind, PatientIdKind,
    PatientNameKind, PinKind, ThreeWordsKind, WordsKind,
};
pub use self::push::{PushArguments, PushOptions};
pub use self::recovery::AnyFolder;
pub use self::terms::{DataUseCode, Length, Purpose, Start};
pub use self::view::{Look, ReportArguments, ViewArguments, ViewError, WindowArgument};

/// Consent to imaging studies, and the studies themselves: for patients and for those they grant.
#[derive(Debug, Parser)]
#[command(name = "clavicle", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// Answer with one JSON object, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A patient's wallet: pick studies up, grant them, revoke, look; what waits for an answer, without more
    Wallet(WalletArguments),
    /// A recipient: show a card, read what came, fetch
    #[command(subcommand)]
    Recipient(RecipientCommand),
    /// Submit a grant that a patient signed without a network; returns when it is final
    Submit {
        /// The wallet of whoever submits, a patient's or a recipient's: it is anybody's
        #[command(flatten)]
        folder: Folder,
        /// The signed grant: a picture, a text file, or the code itself
        code: OsString,
    },
    /// Look at DICOM files on this machine; no network or wallet is needed
    View(ViewArguments),
    /// Put a folder of studies on a medium: files with a DICOMDIR, in a folder or a zip
    Export(ExportArguments),
    /// Send a folder of studies to an archive (PACS), by C-STORE or STOW-RS
    Push(Box<PushArguments>),
}

/// Which wallet, and what opens it.
#[derive(Debug, Args)]
pub struct Folder {
    /// The wallet's folder
    #[arg(long)]
    pub dir: PathBuf,
    /// What opens it
    #[command(flatten)]
    pub passphrase: Given<PassphraseKind>,
}

/// What a patient asks for; without it, what waits for an answer.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WalletArguments {
    /// What to do
    #[command(subcommand)]
    pub command: Option<WalletCommand>,
    /// Which wallet
    #[command(flatten)]
    pub folder: AnyFolder,
}

/// What a patient can do.
#[derive(Debug, Subcommand)]
pub enum WalletCommand {
    /// Make a wallet, and show the 24 words to be written down
    Init {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The network's network.json
        #[arg(long)]
        network: PathBuf,
    },
    /// Make a wallet of its 24 words, and find its studies
    Restore {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The network's network.json
        #[arg(long)]
        network: PathBuf,
        /// Its words
        #[command(flatten)]
        words: Given<WordsKind>,
        /// Any code from a hospital's desk, where the network file is so old that it is not believed any more
        #[arg(long)]
        code: Option<OsString>,
    },
    /// Find studies that another wallet of the same words picked up
    Find {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// Any code from a hospital's desk, where the wallet was away for so long that it believes nothing any more
        #[arg(long)]
        code: Option<OsString>,
    },
    /// Take hold of the studies of a visit
    Pickup {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The code: a picture, a text file, or `-` to be asked; the code itself can be read in the list of processes
        code: OsString,
        /// The PIN that the desk told
        #[command(flatten)]
        pin: Given<PinKind>,
        /// The date of birth, if the code asks for it
        #[command(flatten)]
        birth_date: Given<BirthDateKind>,
        /// Tell no other device of yours of it. Who has your words can find it on the ledger all the same
        #[arg(long)]
        only_here: bool,
    },
    /// List your devices, and have them tell each other what they did; name one, or end it
    Devices(DevicesArguments),
    /// List the studies
    Studies {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
    },
    /// Let somebody fetch a study, or several; returns when it is final
    Grant {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The studies, each by the beginning of its id
        #[arg(required = true)]
        study: Vec<String>,
        /// And all others that the same hospital made on the same day
        #[arg(long)]
        visit: bool,
        /// Only this series, and others that are named so: by its number, its description or its UID, as `series` lists them
        #[arg(long, value_name = "SERIES", conflicts_with = "visit")]
        series: Vec<String>,
        /// The recipient's card: a picture, a text file, or the code itself
        #[arg(long)]
        to: OsString,
        /// For how long: 30m, 12h, 7d, 4w
        #[arg(long = "for", value_name = "LENGTH")]
        length: Length,
        /// What for
        #[arg(long, value_enum, default_value_t = Purpose::Treatment)]
        purpose: Purpose,
        /// From when on, if not at once: a length of time from now, as in 24h, or a day, as in 2026-12-24
        #[arg(long, value_name = "WHEN")]
        not_before: Option<Start>,
        /// How often it may be opened; what breaks off and goes on within a day counts once
        #[arg(long, value_name = "COUNT")]
        openings: Option<NonZeroU32>,
        /// Ask them to look at it and keep nothing. A wish: whoever can look can keep a copy, and no program can prevent that
        #[arg(long)]
        view_only: bool,
        /// What it may be used for in research, by a code of the Data Use Ontology, as in GRU; may be given several times
        #[arg(long, value_name = "CODE")]
        data_use: Vec<DataUseCode>,
        /// Leave out what later revisions of the study bring
        #[arg(long, alias = "no-later-revisions")]
        this_revision_only: bool,
        /// For how long the grant stays good while the hospital cannot reach the others: 30m, at most 24h
        #[arg(long, value_name = "LENGTH")]
        offline: Option<Length>,
        /// They are not here: one study now, and the others at moments of their own within some hours, so that nobody sees from the moments whose
        /// they are. This wallet is to be opened then (`clavicle wallet grants`), or to stay open (`--stay`)
        #[arg(long, conflicts_with = "as_code")]
        from_afar: bool,
        /// Within how long: at most 24h
        #[arg(long, value_name = "LENGTH", requires = "from_afar", default_value = "6h")]
        over: Length,
        /// Stay until the last of them is granted
        #[arg(long, requires = "from_afar")]
        stay: bool,
        /// Let them in although their credential has ended, or they are otherwise than when they were let in before: if you are sure who they are
        #[arg(long)]
        all_the_same: bool,
        /// Submit nothing, and need no network: sign the grant as a code, which anybody may submit (`clavicle submit`)
        #[arg(long, conflicts_with = "visit")]
        as_code: bool,
        /// The picture to write that code into
        #[arg(long, requires = "as_code")]
        png: Option<PathBuf>,
    },
    /// Let somebody fetch for longer who was let in already; what else was said of the grant stays
    Renew(Box<RenewArguments>),
    /// Have a grant allow less: fewer series, a shorter time, fewer openings, or to be looked at only
    Narrow(Box<NarrowArguments>),
    /// Tell who shows a card, and who vouches for them; nothing is granted
    Card {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The card: a picture, a text file, or the code itself
        card: OsString,
    },
    /// Let somebody in who is not known yet: show an invitation, compare four words, and let them fetch a study
    ///
    /// They scan the code, or are sent it, and their screen shows four words. You pick these among four; whoever sits in between cannot know them. The
    /// same command goes on where it stopped.
    Invite(Box<InviteArguments>),
    /// Say how soon and how often this wallet lets anybody in; without an option, tell it
    ///
    /// For whoever may be made to grant something: what is stricter counts at once, what is looser only when the time has passed that
    /// counted before. To end a grant is never held up.
    Caps {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// No grant begins sooner than so long after it was made: 24h
        #[arg(long, value_name = "LENGTH")]
        wait: Option<Length>,
        /// No more grants than this in seven days
        #[arg(long, value_name = "COUNT")]
        per_week: Option<u32>,
        /// Neither any more
        #[arg(long, conflicts_with_all = ["wait", "per_week"])]
        off: bool,
    },
    /// List the grants that were made
    Grants {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
    },
    /// List the series of a study, to choose those that somebody may fetch
    Series {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The study, by the beginning of its id
        study: String,
    },
    /// Tell who has access to a study, as the ledger proves it
    Who {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The study, by the beginning of its id
        study: String,
    },
    /// End a grant, all of one person's, or everything; the hospitals stop serving at once
    Revoke {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// What is to end
        #[command(flatten)]
        end: EndArguments,
    },
    /// Say that this wallet is not lost, where a hospital was asked to give studies of it to another
    Veto {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The study, by the beginning of its id; all of them without one
        study: Option<String>,
    },
    /// Get studies back whose wallet and words are lost, with a code of the hospital's desk for that; twice, three days apart
    Recover {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The code: a picture, a text file, or `-` to be asked; the code itself can be read in the list of processes
        code: OsString,
        /// The PIN that the desk told
        #[command(flatten)]
        pin: Given<PinKind>,
    },
    /// Tell whether the 24 words are written down, check three of them, or show them
    Words {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// What is done with them
        #[command(flatten)]
        words: WordsArguments,
    },
    /// Take new words, since somebody may have the old ones or an open phone: every study moves to them, and what was allowed ends
    NewWords {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// Type the three words of the new ones that are asked for, unseen: then they are taken into use
        #[arg(long)]
        check: bool,
        /// The three words of the new ones that are asked for, in their order
        #[command(flatten)]
        three: Given<ThreeWordsKind>,
        /// Let go on what was allowed before: only where nobody else had the old words
        #[arg(long)]
        keep_grants: bool,
    },
    /// Change the passphrase; the 24 words stay
    Passphrase {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The new one
        #[command(flatten)]
        new: Given<NewPassphraseKind>,
    },
    /// Fetch a study of one's own, verified
    Fetch {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The study, by the beginning of its id
        study: String,
        /// The folder to write its files into; without one it stays sealed in the wallet
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// What is done with the images of a study
    #[command(flatten)]
    Images(ImagesCommand),
    /// Remove the images of a study from the wallet; the right to fetch it stays
    Forget(StudyArguments),
}

/// What a recipient can do.
#[derive(Debug, Subcommand)]
pub enum RecipientCommand {
    /// Make a recipient, and show the 24 words to be written down
    Init {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The network's network.json
        #[arg(long)]
        network: PathBuf,
        /// The name that stands on cards
        #[arg(long)]
        name: String,
    },
    /// Make a recipient's wallet of its 24 words, and find what can be found
    Restore {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The network's network.json
        #[arg(long)]
        network: PathBuf,
        /// The name that stands on cards: as before, if a hospital vouches for it
        #[arg(long)]
        name: String,
        /// Its words
        #[command(flatten)]
        words: Given<WordsKind>,
        /// The hospital that vouches for you, by its name or the beginning of its id: it is asked again
        #[arg(long, value_name = "HOSPITAL")]
        vouched_by: Option<String>,
        /// Any code from a hospital's desk, where the network file is so old that it is not believed any more
        #[arg(long)]
        code: Option<OsString>,
    },
    /// Find cards that another wallet of the same words showed, and what was granted to them
    Find {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
    },
    /// Make a card, to be shown to a patient
    Card {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The picture to write it into
        #[arg(long)]
        png: Option<PathBuf>,
        /// How many studies can be granted to it
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=8))]
        keys: u8,
        /// For how many days it is good
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u64).range(1..=30))]
        days: u64,
        /// What is asked for, in a few words
        #[arg(long, default_value = "")]
        wish: String,
    },
    /// Answer a patient's invitation, and show four words, which the patient picks among others
    Answer(AnswerArguments),
    /// Ask a hospital, a practice or a team to vouch for you: write the request that it is to be given
    RequestCredential {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The hospital, by its name or the beginning of its id
        #[arg(long, value_name = "HOSPITAL", required_unless_present = "of_file")]
        of: Option<String>,
        /// The practice or the team, by the file that it wrote (`clavicle recipient organisation`)
        #[arg(long, value_name = "FILE", conflicts_with = "of")]
        of_file: Option<PathBuf>,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// Take the word of a practice or a team of which you are a member: patients see it beside your name
    TakeCredential {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The file that it wrote (`clavicle recipient vouch`)
        file: PathBuf,
    },
    /// A practice or a team: write who it is into a file, for those who are to become members
    Organisation {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The file to write
        #[arg(long)]
        out: PathBuf,
    },
    /// A practice or a team: vouch for a member
    Vouch(VouchArguments),
    /// A practice or a team: list for whom it vouches, and for whom no more
    Vouched {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
    },
    /// A practice or a team: vouch for a member no more; from then on they open nothing in its name
    EndVouching {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The credential's number, as `vouched` lists it
        number: u64,
    },
    /// Tell what patients see beside your name
    Show {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
    },
    /// Read what came, and list what was granted
    Inbox {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
    },
    /// Tell whether the 24 words are written down, check three of them, or show them
    Words {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// What is done with them
        #[command(flatten)]
        words: WordsArguments,
    },
    /// Change the passphrase; the 24 words stay
    Passphrase {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The new one
        #[command(flatten)]
        new: Given<NewPassphraseKind>,
    },
    /// Fetch what was granted, verified
    Fetch {
        /// Which wallet
        #[command(flatten)]
        folder: Folder,
        /// The study or the grant, by the beginning of its id; everything without one
        study: Option<String>,
        /// The folder to write the files into; without one they stay sealed in the wallet
        #[arg(long)]
        out: Option<PathBuf>,
        /// Who opens it, where it was granted to a practice or a team
        #[command(flatten)]
        member: MemberArguments,
    },
    /// What is done with the images of a study
    #[command(flatten)]
    Images(ImagesCommand),
    /// Remove the images of a study from the wallet; the right to fetch it stays
    Forget(StudyArguments),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// See [`Trouble`].
    #[error(transparent)]
    App(#[from] Trouble),
    /// See [`NetworkFileError`].
    #[error(transparent)]
    NetworkFile(#[from] NetworkFileError),
    /// See [`PassphraseError`].
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// See [`GivenError`].
    #[error(transparent)]
    Given(#[from] GivenError),
    /// The same, for the passphrase.
    #[error(transparent)]
    NoPassphrase(GivenError),
    /// Nobody typed the words.
    #[error(transparent)]
    NoWords(GivenError),
    /// See [`WordsError`].
    #[error(transparent)]
    Words(#[from] WordsError),
    /// A file that holds something else.
    #[error("{path} is not {what}")]
    NotThat {
        /// Which.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// No wallet, or several.
    #[error(
        "which wallet is meant is not said: give --dir, or set CLAVICLE_WALLET. What can be done: clavicle wallet --help"
    )]
    WhichWallet,
    /// Series of one study, for several.
    #[error("series are of one study, and several are to be granted: grant each by itself. Nothing was granted")]
    SeriesOfSeveral,
    /// Typed differently.
    #[error("the two passphrases differ; nothing was made")]
    PassphrasesDiffer,
    /// See [`ReadCodeError`].
    #[error(transparent)]
    Code(#[from] ReadCodeError),
    /// See [`PictureError`].
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// No four words.
    #[error(transparent)]
    FourWords(#[from] FourWordsError),
    /// Nobody picked.
    #[error(
        "no words were picked, and nothing is granted before; give --words with the four that the other screen shows"
    )]
    NoPick,
    /// Not signed after all.
    #[error("nothing was signed. The invitation stays as it is: the same command asks again")]
    NotSigned,
    /// What the code asks for.
    #[error("the code asks for {0}")]
    NoAnswer(&'static str),
    /// What the code asks for, and it cannot be read.
    #[error("the code asks for {what}")]
    Unanswered {
        /// What.
        what: &'static str,
        /// Why there is none.
        #[source]
        error: GivenError,
    },
    /// What is told of a patient.
    #[error("{what} cannot be used: {why}")]
    Told {
        /// What.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// Neither whose it is nor that this is not to be changed.
    #[error(
        "whose study it is in that archive was not said, and nothing was sent: give --patient-id with the patient's id there, or --as-sent if it is \
         to be filed under the id that the study came with"
    )]
    Whose,
    /// What is here is not to be used.
    #[error("{objection}. {what} is done only with --in-spite-of, and is then on record in this wallet")]
    Objection {
        /// What was asked for.
        what: &'static str,
        /// Why not.
        objection: Objection,
    },
    /// What is here is another patient's.
    #[error("{objection}. It is neither shown, nor sent, nor written; `forget` removes it from this wallet")]
    WrongPatient {
        /// Who says so.
        objection: Objection,
    },
    /// A file.
    #[error("{path} could not be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// Not all is done that was asked for. What is done is the answer all the same.
    #[error("{sentence}")]
    Found {
        /// A word for programs.
        code: &'static str,
        /// What it comes to.
        sentence: String,
        /// What was done, and what was not.
        answer: Box<Answer>,
    },
    /// Nothing was fetched, each for its own reason.
    #[error("nothing was fetched: {0}")]
    NothingFetched(String),
    /// A data use where there is none, or more of them than go into a grant.
    #[error("a data use belongs to --purpose research, and there are at most 8 in a grant")]
    DataUse,
    /// A code for several studies.
    #[error("a code holds the grant of one study: make one of each")]
    CodeOfSeveral,
    /// Nothing to fetch.
    #[error("nothing was granted yet; see `clavicle recipient inbox`")]
    NothingGranted,
    /// A folder with studies.
    #[error(transparent)]
    Folder(#[from] IntakeError),
    /// See [`ViewError`].
    #[error(transparent)]
    View(#[from] ViewError),
    /// See [`ExportError`].
    #[error(transparent)]
    Export(#[from] ExportError),
    /// See [`PushError`].
    #[error(transparent)]
    Push(PushError),
    /// [`PushError::Mismatch`], and what may be said then.
    #[error("{0}. If it is the same person nevertheless, give --accept-mismatch")]
    Mismatch(PushError),
    /// [`PushError::WithoutTls`], and what may be said then.
    #[error("{0}, or give --without-tls")]
    WithoutTls(PushError),
    /// A file that is given.
    #[error("{path} could not be read")]
    Unread {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The processes that read files.
    #[error("this program cannot be found any more, which is to be started again to read files")]
    Workers(#[source] std::io::Error),
    /// The system gave no thread or timer.
    #[error("the system gave no thread or timer to run with")]
    Runtime(#[source] std::io::Error),
}

impl From<PushError> for CommandError {
    fn from(error: PushError) -> Self {
        match error {
            PushError::Mismatch(_) => Self::Mismatch(error),
            PushError::WithoutTls(_) => Self::WithoutTls(error),
            error => Self::Push(error),
        }
    }
}

impl From<UsageError> for CommandError {
    fn from(error: UsageError) -> Self {
        match error {
            UsageError::WrongPatient(objection) => Self::WrongPatient { objection },
            UsageError::Objection { what, objection } => Self::Objection { what, objection },
            UsageError::Note(trouble) => Self::App(trouble),
        }
    }
}

impl CommandError {
    /// A word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::App(trouble) => trouble.word(),
            Self::NetworkFile(_) | Self::File { .. } => "file",
            Self::Passphrase(_) | Self::NoPassphrase(_) | Self::PassphrasesDiffer => "passphrase",
            Self::SeriesOfSeveral => "series",
            Self::Words(_) | Self::NoWords(_) => "words",
            Self::FourWords(_) | Self::NoPick | Self::NotSigned => "not_compared",
            Self::WhichWallet => "wallet",
            Self::NotThat { .. } => "credential",
            Self::Code(_) | Self::Picture(_) => "code",
            Self::NoAnswer(_) | Self::Unanswered { .. } => "answer",
            Self::Given(_) | Self::Told { .. } => "given",
            Self::Whose => "patient_id",
            Self::DataUse => "data_use",
            Self::CodeOfSeveral => "usage",
            Self::Objection { objection, .. } | Self::WrongPatient { objection } => objection.code(),
            Self::Found { code, .. } => code,
            Self::WithoutTls(_) => "without_tls",
            Self::NothingFetched(_) => "refused",
            Self::NothingGranted => "not_found",
            Self::View(ViewError::Window { .. } | ViewError::WithoutPng) => "window",
            Self::View(
                ViewError::Render { .. }
                | ViewError::Nothing(_)
                | ViewError::NotHere(_)
                | ViewError::Document { .. }
                | ViewError::IsText
                | ViewError::Page { .. }
                | ViewError::Report { .. },
            ) => "not_shown",
            Self::View(ViewError::NoReport(_)) => "not_found",
            Self::Mismatch(_) | Self::Push(PushError::OtherPatients(_) | PushError::OtherPersons(_)) => "mismatch",
            Self::Push(PushError::Unreachable(_) | PushError::Destination(_)) => "unreachable",
            Self::Push(_) | Self::Folder(_) | Self::Unread { .. } => "file",
            Self::Export(ExportError::Exists(_)) => "exists",
            Self::Export(_) => "file",
            Self::Workers(_) | Self::View(ViewError::Workers(_)) | Self::Runtime(_) => "system",
            Self::View(_) => "file",
        }
    }

    /// What happened and why, in one sentence after another.
    #[must_use]
    pub fn sentences(&self) -> String {
        sentences(self)
    }

    /// An answer; as what was found, where the sentence says what was asked for and is not done.
    pub(crate) fn unless_all(shortfall: Option<String>, code: &'static str, answer: Answer) -> Result<Answer, Self> {
        match shortfall {
            None => Ok(answer),
            Some(sentence) => Err(Self::Found { code, sentence, answer: Box::new(answer) }),
        }
    }

    /// The error as one JSON object, with what was done.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut json = match self {
            Self::Found { answer, .. } => answer.json.clone(),
            _ => json!({}),
        };
        json["error"] = json!({ "code": self.code(), "message": self.sentences() });
        json
    }

    /// What was done all the same, in lines for a person.
    #[must_use]
    pub fn found(&self) -> Option<&str> {
        match self {
            Self::Found { answer, .. } => Some(&answer.text),
            _ => None,
        }
    }
}

/// What a command has to say: for people and for programs.
#[derive(Debug)]
pub struct Answer {
    /// Lines for a person.
    pub text: String,
    /// The same as one JSON object.
    pub json: Value,
}

/// Does what was asked.
///
/// # Errors
/// [`CommandError`].
pub fn run(command: Command) -> Result<Answer, CommandError> {
    // One thread: it is the fastest for one transfer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    runtime.block_on(async {
        match command {
            Command::Wallet(WalletArguments { command: Some(command), .. }) => Box::pin(wallet::run(command)).await,
            Command::Wallet(WalletArguments { command: None, folder }) => Box::pin(recovery::waits(folder)).await,
            Command::Recipient(command) => Box::pin(recipient::run(command)).await,
            Command::Submit { folder, code } => Box::pin(wallet::submit(&folder, &code)).await,
            Command::Push(arguments) => Box::pin(push::run(*arguments)).await,
            Command::Export(arguments) => export::run(&arguments),
            Command::View(arguments) => view::run(&arguments),
        }
    })
}

/// How files from outside are read.
fn reader() -> Result<Workers, CommandError> {
    Workers::of_this_program().map_err(CommandError::Workers)
}

impl Folder {
    /// The passphrase that opens the wallet.
    fn passphrase(&self) -> Result<Passphrase, CommandError> {
        Ok(Passphrase::new(self.passphrase.ask().map_err(CommandError::NoPassphrase)?)?)
    }

    /// The passphrase of a new wallet, typed twice.
    fn new_passphrase(&self) -> Result<Passphrase, CommandError> {
        let (given, is_same) = self.passphrase.ask_twice().map_err(CommandError::NoPassphrase)?;
        if !is_same {
            return Err(CommandError::PassphrasesDiffer);
        }
        let passphrase = Passphrase::new(given)?;
        passphrase.check_new()?;
        Ok(passphrase)
    }
}

/// Refuses a picture that could not be written, before there is something to write.
fn can_write(path: Option<&Path>) -> Result<(), CommandError> {
    let Some(path) = path else { return Ok(()) };
    is_free(path).map_err(|error| CommandError::File { path: path.to_owned(), error })
}

/// Writes a new picture.
fn write_picture(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    write_new(path, bytes, Readers::Usual).map_err(|error| CommandError::File { path: path.to_owned(), error })
}
