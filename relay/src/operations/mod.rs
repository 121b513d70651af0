//! What an operator can ask of a relay: each operation is a file here and a line in the list below.
//!
//! ```text
//!                                  ┌─► a running relay: over its socket, as JSON ─┐
//! command line ─► [`Command`] ─────┤                                              ├─► [`Operation::work`] ─► answer ─► [`Command::say`]
//!                                  └─► with none running: on its stores ──────────┘
//! ```
//!
//! A file has what is asked, on what it is done and so who may ask ([`Ground`]), the work, what is answered, and how that is said, to people and to programs. The command line's
//! subcommands ([`Asked`]) and the messages of the socket ([`each`]) are made from the list, and a page or another door would be as well. `README.md` shows a whole
//! operation, and `control/added.rs` asks it.

mod confirmed;
mod ground;
mod quarantine_named;
pub mod report_files;
pub mod standing;
mod studies_named;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, FromArgMatches, Subcommand, value_parser};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::ground::{Ground, Stopped};
pub use self::studies_named::NotFound;
use crate::answer::{Answer, Failure, Refusing};

/// Makes a module of each file, and of the commands what the command line and the socket need.
macro_rules! operations {
    (
        commands { $($(#[$only:meta])* $module:ident::$Operation:ident,)* }
        questions { $($question:ident::$Question:ident,)* }
    ) => {
        $($(#[$only])* pub mod $module;)*
        $(pub mod $question;)*

        /// An operation, as it is asked for on the command line.
        #[derive(Debug, Subcommand)]
        #[expect(missing_docs, reason = "what it does is said by what it is asked with, and clap shows that")]
        pub enum Asked {
            $($(#[$only])*
            #[command(name = <$module::$Operation as Operation>::WORD)]
            $Operation(Of<<$module::$Operation as Command>::Arguments>),)*
        }

        impl Asked {
            /// Has it done, in one way or another.
            ///
            /// # Errors
            /// What [`Way::take`] says.
            pub fn by(self, way: &impl Way) -> Result<Answer, Failure> {
                match self {
                    $($(#[$only])* Self::$Operation(of) => way.take::<$module::$Operation>(&of),)*
                }
            }
        }

        /// Shows every operation, commands and what programs alone ask.
        pub fn each(visitor: &mut impl Visitor) {
            $($(#[$only])* visitor.visit::<$module::$Operation>();)*
            $(visitor.visit::<$question::$Question>();)*
        }
    };
}

operations! {
    // In the order in which the help lists them.
    commands {
        ingest::Ingest,
        studies::Studies,
        reports::Reports,
        attach::Attach,
        detach::Detach,
        quarantine::Quarantine,
        quarantine_show::QuarantineShow,
        quarantine_release::QuarantineRelease,
        quarantine_delete::QuarantineDelete,
        quarantine_record::QuarantineRecord,
        compare::Compare,
        completeness::Completeness,
        kos::Kos,
        close::Close,
        suspend::Suspend,
        resume::Resume,
        withdraw::Withdraw,
        remove::Remove,
        expire::Expire,
        check::Check,
        rebuild::Rebuild,
        renew::Renew,
        contradictions::Contradictions,
        pickup::Pickup,
        pickups::Pickups,
        recover::Recover,
        recoveries::Recoveries,
        reissue::Reissue,
        credential::IssueCredential,
        credential_end::CredentialEnd,
        credentials::ListCredentials,
        explain::Explain,
        audit::Audit,
        status::Status,
        validators::Validators,
        announce::Announce,
        checkpoints::Checkpoints,
        report::Report,
        // The one that the README adds.
        #[cfg(test)]
        held::Held,
    }
    // Those that only programs ask, of a relay that runs.
    questions {
        submit::Submit,
        taking::Taking,
    }
}

/// Something that a relay can be asked.
pub trait Operation: Serialize + DeserializeOwned + Send + 'static {
    /// Its word, on the command line and over the socket.
    const WORD: &'static str;

    /// How long a relay that runs may take to answer; nothing where it may work for hours.
    const PATIENCE: Option<Duration> = None;

    /// What it is done on: with a running relay or without, and so who may ask.
    type On: Ground;
    /// What is answered.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
    /// Why it may not be done.
    type Error: Refusing;

    /// Does it. Others wait for nothing that happens in here.
    ///
    /// # Errors
    /// [`Self::Error`].
    fn work(self, on: &Self::On) -> Result<Self::Answer, Self::Error>;
}

/// An operation with a command.
pub trait Command: Operation {
    /// What is written on the command line: itself, where nothing has to be read first.
    type Arguments: Args;
    /// Whether it may take so long that whoever looks on is told how far it is ([`taking`]).
    const IS_LONG: bool = false;

    /// What is asked, where the command was given: files are read and named here.
    ///
    /// # Errors
    /// When something is not there, or not right.
    fn request(arguments: &Self::Arguments) -> Result<Self, Failure>;

    /// How the answer is said, and what is written with it where the command was given.
    ///
    /// # Errors
    /// When a file cannot be written, or [`Failure::Found`].
    fn say(arguments: &Self::Arguments, answer: Self::Answer) -> Result<Answer, Failure>;
}

/// How operations are done.
pub trait Way {
    /// Has one done, and says the answer.
    ///
    /// # Errors
    /// The operation's, and those of the way.
    fn take<C: Command>(&self, of: &Of<C::Arguments>) -> Result<Answer, Failure>;
}

/// Whoever is shown all operations.
pub trait Visitor {
    /// Is shown one.
    fn visit<O: Operation>(&mut self);
}

/// What is asked, and of which relay.
#[derive(Debug)]
pub struct Of<A> {
    /// The relay's folder.
    pub dir: PathBuf,
    /// What is written besides.
    pub arguments: A,
}

impl<A: Args> Args for Of<A> {
    fn augment_args(command: clap::Command) -> clap::Command {
        let dir = Arg::new("dir").long("dir").value_name("DIR").required(true).help("The relay's folder");
        A::augment_args(command.arg(dir.value_parser(value_parser!(PathBuf))))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl<A: FromArgMatches> FromArgMatches for Of<A> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let dir = matches.get_one::<PathBuf>("dir").cloned().unwrap_or_default();
        Ok(Self { dir, arguments: A::from_arg_matches(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A folder that cannot be looked into where the command was given.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be opened")]
pub struct NoFolder {
    path: PathBuf,
    #[source]
    error: io::Error,
}

impl NoFolder {
    /// The path as it is from everywhere: the relay that does the work has another working directory.
    fn or(path: &Path) -> Result<PathBuf, Self> {
        path.canonicalize().map_err(|error| Self { path: path.to_owned(), error })
    }
}

impl Refusing for NoFolder {
    fn code(&self) -> &str {
        "folder"
    }
}

/// Why what was answered is in no file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unwritten {
    /// The relay did not answer as one does.
    #[error("the relay running in this folder could not be asked: {0} is not in hexadecimal digits")]
    Digits(&'static str),
    /// The file.
    #[error("{path} could not be written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

impl Unwritten {
    fn file(path: &Path, error: io::Error) -> Self {
        Self::File { path: path.to_owned(), error }
    }
}

impl Refusing for Unwritten {
    fn code(&self) -> &str {
        match self {
            Self::Digits(_) => "relay",
            Self::File { .. } => "file",
        }
    }
}

/// How an id is written to a person: as much of it as tells one from another.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}
