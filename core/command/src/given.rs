//! Secrets, and what tells who somebody is, from wherever a person gives them.
//!
//! Arguments of a process can be read by everybody on the same machine for as long as it runs (`ps`), and stay in the history of a shell. So
//! whatever is worth hiding is asked for without showing it, or read from a file (`--pin-file`) or a descriptor (`--pin-fd`). As an argument it is
//! still taken, with a warning; `-` in its place asks for it.
//!
//! ```
//! use clap::{Args as _, FromArgMatches as _};
//! use clavicle_command::given::{Given, Kind};
//!
//! enum Pin {}
//! impl Kind for Pin {
//!     const ARGUMENT: Option<&'static str> = Some("pin");
//!     const FILE: &'static str = "pin-file";
//!     const FD: &'static str = "pin-fd";
//!     const WHAT: &'static str = "the PIN";
//!     const HELP: &'static str = "The PIN that the desk told";
//! }
//!
//! let command = Given::<Pin>::augment_args(clap::Command::new("pickup"));
//! let matches = command.get_matches_from(["pickup", "--pin", "4711"]);
//! let pin = Given::<Pin>::from_arg_matches(&matches).expect("it was parsed");
//! assert_eq!(pin.get().expect("it is an argument").expect("it is there").as_str(), "4711");
//! ```

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, value_parser};
use zeroize::Zeroizing;

use crate::said::complain;

/// The most that is read from a file or a descriptor, in bytes.
const MAX_LEN: usize = 4 * 1024;
/// What asks for it where an argument is.
const ASK: &str = "-";

/// One kind of thing that is given, and how its arguments are called.
pub trait Kind {
    /// The argument that has it itself, if there is one: `pin` for `--pin`.
    const ARGUMENT: Option<&'static str>;
    /// The argument that names a file.
    const FILE: &'static str;
    /// The argument that names a descriptor.
    const FD: &'static str;
    /// The variable that names a file, where no argument says anything.
    const ENV: Option<&'static str> = None;
    /// What it is, in a sentence.
    const WHAT: &'static str;
    /// What it is, in the help.
    const HELP: &'static str;
    /// The group of arguments of which one alone can be given.
    const GROUP: Option<&'static str> = None;
}

/// What a person gives, not read yet.
pub struct Given<K> {
    from: Source,
    kind: PhantomData<K>,
}

#[derive(Clone)]
enum Source {
    Nowhere,
    Argument(Zeroizing<String>),
    File(PathBuf),
    Descriptor(u32),
}

/// Why it cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GivenError {
    /// Nothing was given, and nobody can be asked.
    #[error("{what} is not given, and there is no terminal to ask for it on: give --{file} or --{fd}")]
    Nobody {
        /// What is missing.
        what: &'static str,
        /// The argument that names a file.
        file: &'static str,
        /// The argument that names a descriptor.
        fd: &'static str,
    },
    /// The terminal.
    #[error("{what} could not be asked for")]
    Terminal {
        /// What.
        what: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The file or the descriptor.
    #[error("{what} could not be read from {path}")]
    File {
        /// What.
        what: &'static str,
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// Something else is in it.
    #[error("{path} does not hold {what}: a line of text, of {MAX_LEN} bytes at most")]
    NotText {
        /// What.
        what: &'static str,
        /// Which.
        path: PathBuf,
    },
}

impl<K: Kind> Given<K> {
    /// Whether anything was given.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        !matches!(self.from, Source::Nowhere)
    }

    /// What was given; nothing, where nothing was.
    ///
    /// # Errors
    /// [`GivenError`].
    pub fn get(&self) -> Result<Option<Zeroizing<String>>, GivenError> {
        match &self.from {
            Source::Nowhere => Ok(None),
            Source::Argument(text) if text.as_str() == ASK => typed(K::WHAT).map(Some),
            Source::Argument(text) => {
                warn::<K>();
                Ok(Some(text.clone()))
            }
            Source::File(path) => read(path, K::WHAT).map(Some),
            // A second name of the same: a number alone cannot be taken for a file without trusting that it is one.
            Source::Descriptor(number) => read(Path::new(&format!("/dev/fd/{number}")), K::WHAT).map(Some),
        }
    }

    /// What was given, or what is typed without being shown.
    ///
    /// # Errors
    /// [`GivenError`]; [`GivenError::Nobody`] where there is nobody to ask.
    pub fn ask(&self) -> Result<Zeroizing<String>, GivenError> {
        match self.get()? {
            Some(given) => Ok(given),
            None => asked::<K>(""),
        }
    }

    /// What was given; or what is typed twice, and whether it was the same.
    ///
    /// # Errors
    /// As [`Given::ask`].
    pub fn ask_twice(&self) -> Result<(Zeroizing<String>, bool), GivenError> {
        match self.get()? {
            Some(given) => Ok((given, true)),
            None => {
                let (first, second) = (asked::<K>("new, ")?, asked::<K>("once more, ")?);
                let is_same = first == second;
                Ok((first, is_same))
            }
        }
    }
}

/// Says that others can read an argument. That nobody reads the warning is no reason to fail.
fn warn<K: Kind>() {
    let (argument, file, fd) = (K::ARGUMENT.unwrap_or_default(), K::FILE, K::FD);
    let text = format!(
        "warning: everybody on this machine can read --{argument} in the list of processes: give --{file} or --{fd}, or --{argument} {ASK} to be asked"
    );
    complain(&text);
}

/// What is typed without being shown, or stands in standard input where that is no terminal.
///
/// # Errors
/// [`GivenError`].
pub fn typed(what: &'static str) -> Result<Zeroizing<String>, GivenError> {
    if !io::stdin().is_terminal() {
        return line(io::stdin().lock(), what, Path::new("standard input"));
    }
    let typed = rpassword::prompt_password(format!("{what}: "));
    typed.map(Zeroizing::new).map_err(|error| GivenError::Terminal { what, error })
}

fn asked<K: Kind>(again: &str) -> Result<Zeroizing<String>, GivenError> {
    if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
        return Err(GivenError::Nobody { what: K::WHAT, file: K::FILE, fd: K::FD });
    }
    let typed = rpassword::prompt_password(format!("{again}{}: ", K::WHAT));
    typed.map(Zeroizing::new).map_err(|error| GivenError::Terminal { what: K::WHAT, error })
}

fn read(path: &Path, what: &'static str) -> Result<Zeroizing<String>, GivenError> {
    let file = File::open(path).map_err(|error| GivenError::File { what, path: path.to_owned(), error })?;
    line(file, what, path)
}

/// A text, to its end. One line break there is not part of it.
fn line(from: impl Read, what: &'static str, path: &Path) -> Result<Zeroizing<String>, GivenError> {
    // Room for all of it at once, so that nothing is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN + 1));
    from.take(MAX_LEN as u64 + 1).read_to_end(&mut bytes).map_err(|error| GivenError::File {
        what,
        path: path.to_owned(),
        error,
    })?;
    let text = std::str::from_utf8(&bytes).ok().filter(|_| bytes.len() <= MAX_LEN);
    let text = text.ok_or_else(|| GivenError::NotText { what, path: path.to_owned() })?;
    let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    Ok(Zeroizing::new(text.to_owned()))
}

impl<K: Kind> Args for Given<K> {
    fn augment_args(mut command: Command) -> Command {
        let (file, fd) = (K::FILE, K::FD);
        let mut arguments = vec![
            Arg::new(file).long(file).value_name("FILE").value_parser(value_parser!(PathBuf)),
            Arg::new(fd).long(fd).value_name("NUMBER").value_parser(value_parser!(u32)),
        ];
        let mut from = vec![format!("{}, from a file", K::HELP), format!("{}, from an open descriptor", K::HELP)];
        if let Some(name) = K::ARGUMENT {
            // What a person types may begin with a hyphen.
            arguments.insert(0, Arg::new(name).long(name).allow_hyphen_values(true));
            from.insert(
                0,
                format!("{}; `-` asks for it, so that nobody can read it in the list of processes", K::HELP),
            );
        } else if let Some(variable) = K::ENV {
            from[0].push_str(&format!(" [env: {variable}]; it is asked for without one"));
        }
        let names: Vec<&str> = K::ARGUMENT.into_iter().chain([file, fd]).collect();
        for (argument, help) in arguments.into_iter().zip(from) {
            let name = argument.get_id().as_str().to_owned();
            let mut argument = argument.help(help).conflicts_with_all(names.iter().filter(|other| **other != name));
            if let Some(group) = K::GROUP {
                argument = argument.group(group);
            }
            command = command.arg(argument);
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<K: Kind> FromArgMatches for Given<K> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let argument = K::ARGUMENT.and_then(|name| matches.get_one::<String>(name));
        let (file, fd) = (matches.get_one::<PathBuf>(K::FILE), matches.get_one::<u32>(K::FD));
        let from = match (argument, file, fd) {
            (Some(text), ..) => Source::Argument(Zeroizing::new(text.clone())),
            (_, Some(path), _) => Source::File(path.clone()),
            (.., Some(number)) => Source::Descriptor(*number),
            (None, None, None) => {
                let path = K::ENV.and_then(std::env::var_os).filter(|path| *path != OsString::new());
                path.map_or(Source::Nowhere, |path| Source::File(path.into()))
            }
        };
        Ok(Self { from, kind: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<K> Clone for Given<K> {
    fn clone(&self) -> Self {
        Self { from: self.from.clone(), kind: PhantomData }
    }
}

impl<K> fmt::Debug for Given<K> {
    /// For logs: not what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.from {
            Source::Nowhere => "Given(nothing)",
            _ => "Given(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use std::io::Write as _;

    use super::*;

    enum Pin {}

    impl Kind for Pin {
        const ARGUMENT: Option<&'static str> = Some("pin");
        const FILE: &'static str = "pin-file";
        const FD: &'static str = "pin-fd";
        const WHAT: &'static str = "the PIN";
        const HELP: &'static str = "The PIN";
    }

    fn given(arguments: &[&str]) -> Result<Given<Pin>, clap::Error> {
        let command = Given::<Pin>::augment_args(Command::new("test"));
        let matches = command.try_get_matches_from([&["test"], arguments].concat())?;
        Given::from_arg_matches(&matches)
    }

    fn said(arguments: &[&str]) -> Option<String> {
        given(arguments).unwrap().get().unwrap().map(|text| text.to_string())
    }

    #[test]
    fn a_secret_comes_as_an_argument_from_a_file_or_from_a_descriptor() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        let file = path.to_str().unwrap();
        assert_eq!(said(&["--pin", " 4711 "]).as_deref(), Some(" 4711 "));
        for (written, read) in
            [("4711", "4711"), ("4711\n", "4711"), ("4711\r\n", "4711"), ("a \n\n", "a \n"), ("", "")]
        {
            fs::write(&path, written).unwrap();
            assert_eq!(said(&["--pin-file", file]).as_deref(), Some(read));
        }
        assert_eq!(said(&[]), None);
        assert!(!given(&[]).unwrap().is_given() && given(&["--pin", "1"]).unwrap().is_given());
        for two in [&["--pin", "1", "--pin-file", file][..], &["--pin-fd", "3", "--pin-file", file]] {
            assert!(given(two).is_err());
        }
        assert!(!format!("{:?}", given(&["--pin", "4711"]).unwrap()).contains("4711"));
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_is_read_by_the_number_of_its_descriptor() {
        use std::os::fd::AsRawFd as _;
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"4711\n").unwrap();
        drop(writer);
        let number = reader.as_raw_fd().to_string();
        assert_eq!(said(&["--pin-fd", &number]).as_deref(), Some("4711"));
        assert!(matches!(given(&["--pin-fd", "4000000000"]).unwrap().get(), Err(GivenError::File { .. })));
    }

    #[test]
    fn what_is_no_line_of_text_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pin");
        for wrong in [&b"\xff\xfe"[..], &[b'a'; MAX_LEN + 1]] {
            fs::write(&path, wrong).unwrap();
            let refused = given(&["--pin-file", path.to_str().unwrap()]).unwrap().get();
            assert!(matches!(refused, Err(GivenError::NotText { .. })));
        }
    }
}
