//! Readers: many files at once, each inspected by one of several hands.

use std::fs::{File, Metadata};
use std::io::Write;
use std::num::NonZero;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use clavicle_manifest::MAX_INSTANCE_LEN;

use crate::files::{Files, OnDisk};
use crate::film::Film;
use crate::inspect::Inspected;
use crate::intake::Reason;
use crate::kos::{Heading, Sealed};
use crate::pick::Picked;
use crate::references::References;
use crate::render::{RenderError, Rendered, Wanted, render};
use crate::rewrite::{self, Coercion, Demographics, RewriteError, Rewritten, Syntax};
use crate::worker::Workers;

/// Most files that are read at the same time.
const MOST_HANDS: usize = 8;

/// How files are read.
#[derive(Clone, Debug)]
pub enum Reader {
    /// In this process. For files that this program wrote itself, and for tests.
    Here,
    /// In workers, as many as there are processors.
    Workers(Workers),
}

impl Reader {
    /// Inspects these of the files, and says of each what it is, in the same order. `seen` is told how many are done, from several threads.
    pub(crate) fn inspect(
        &self,
        files: &dyn Files,
        paths: &[PathBuf],
        seen: &(dyn Fn(usize) + Sync),
    ) -> Vec<Result<Inspected, Reason>> {
        self.each_of(files, paths, |path| self.inspect_open(&files.open(path)?), seen)
    }

    /// Does the same with each of these, several at a time; what comes of it is in their order.
    pub(crate) fn each<I: Sync, O: Send>(
        &self,
        paths: &[I],
        one: impl Fn(&I) -> O + Sync,
        seen: &(dyn Fn(usize) + Sync),
    ) -> Vec<O> {
        self.each_of(&OnDisk, paths, one, seen)
    }

    /// The same, with no more of the files open at a time than may be.
    pub(crate) fn each_of<I: Sync, O: Send>(
        &self,
        files: &dyn Files,
        paths: &[I],
        one: impl Fn(&I) -> O + Sync,
        seen: &(dyn Fn(usize) + Sync),
    ) -> Vec<O> {
        let hands = thread::available_parallelism().map_or(1, NonZero::get);
        let hands = hands.min(MOST_HANDS).min(paths.len()).min(files.at_once());
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = || {
            let mut all = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = paths.get(at) else { return all };
                all.push((at, one(path)));
                seen(done.fetch_add(1, Ordering::Relaxed) + 1);
            }
        };
        let mut all = thread::scope(|scope| {
            let others: Vec<_> = (1..hands).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            for hand in others {
                // A hand that panicked has a fault, and so has this program.
                all.extend(hand.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            all
        });
        all.sort_unstable_by_key(|(at, _)| *at);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }

    /// Inspects the file at `path`.
    ///
    /// # Errors
    /// [`Reason`].
    pub fn inspect_one(&self, path: &Path) -> Result<Inspected, Reason> {
        self.inspect_open(&OnDisk.open(path)?)
    }

    /// Inspects a file that is open, and may be on no disk.
    ///
    /// # Errors
    /// [`Reason`].
    pub fn inspect_open(&self, file: &File) -> Result<Inspected, Reason> {
        with_open(file, |file, len| {
            Ok(match self {
                Self::Here => Inspected::read(file, len)?,
                Self::Workers(workers) => workers.inspect(file, len)??,
            })
        })
    }

    /// Makes the picture that is wanted of the file at `path`.
    ///
    /// # Errors
    /// [`Reason`] when the file cannot be read; inside, [`RenderError`] when it can, and cannot be shown.
    pub fn render(&self, path: &Path, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, Reason> {
        self.render_open(&OnDisk.open(path)?, wanted)
    }

    /// An open file whose frames are asked for one after the other. It is opened once for all of them.
    ///
    /// # Errors
    /// [`Reason`].
    pub fn film<'a>(&'a self, file: &'a File) -> Result<Film<'a>, Reason> {
        Film::new(self, file)
    }

    /// Makes the picture that is wanted of a file that is open, and may be on no disk.
    ///
    /// # Errors
    /// As [`Reader::render`].
    pub fn render_open(&self, file: &File, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, Reason> {
        with_open(file, |file, len| {
            Ok(match self {
                Self::Here => render(file, len, wanted),
                Self::Workers(workers) => workers.render(file, len, wanted)?,
            })
        })
    }

    /// Makes the MAC of the file at `path` over those of `wanted` that it has.
    pub(crate) fn seal_one(&self, path: &Path, wanted: &[(u16, u16)]) -> Result<Sealed, Reason> {
        with_open(&OnDisk.open(path)?, |file, len| {
            Ok(match self {
                Self::Here => Sealed::read(file, len, wanted)?,
                Self::Workers(workers) => workers.seal(file, len, wanted)??,
            })
        })
    }

    /// Reads what the document at `path` lists.
    ///
    /// # Errors
    /// [`Reason`].
    pub fn list_one(&self, path: &Path) -> Result<References, Reason> {
        with_open(&OnDisk.open(path)?, |file, len| {
            Ok(match self {
                Self::Here => References::read(file, len)?,
                Self::Workers(workers) => workers.list(file, len)??,
            })
        })
    }

    /// Reads what a table of contents has to say of an open file, and what says whose it is.
    pub(crate) fn pick_open(&self, file: &File) -> Result<Picked, Reason> {
        with_open(file, |file, len| {
            Ok(match self {
                Self::Here => Picked::read(file, len)?,
                Self::Workers(workers) => workers.pick(file, len)??,
            })
        })
    }

    /// Who an open file says that the patient is.
    ///
    /// # Errors
    /// [`Reason`].
    pub fn demographics(&self, file: &File) -> Result<Demographics, Reason> {
        self.pick_open(file).map(|picked| Demographics::of(&picked))
    }

    /// Writes an open file anew, in `syntax` and as the patient's of `coercion`. Pixels stay what they are; those that are compressed are
    /// decoded where another syntax is wanted.
    ///
    /// # Errors
    /// [`RewriteError`]. What was written by then is of no use.
    pub fn rewrite(
        &self,
        file: &File,
        syntax: Syntax,
        coercion: Option<&Coercion>,
        out: &mut dyn Write,
    ) -> Result<Rewritten, RewriteError> {
        with_open(file, |file, len| {
            let mut film = self.film(file)?;
            let mut decoder = |frame| film.decode(frame)?.map_err(|error| RewriteError::Decode { frame, error });
            Ok(rewrite::rewrite(file, len, syntax, coercion, &mut decoder, out))
        })?
    }

    /// Reads what a document of the same study has to say as well.
    pub(crate) fn head_one(&self, path: &Path) -> Result<Heading, Reason> {
        with_open(&OnDisk.open(path)?, |file, len| {
            Ok(match self {
                Self::Here => Heading::read(file, len)?,
                Self::Workers(workers) => workers.head(file, len)??,
            })
        })
    }
}

fn with_open<T>(file: &File, read: impl FnOnce(&File, u64) -> Result<T, Reason>) -> Result<T, Reason> {
    let before = fits(file)?;
    let outcome = read(file, before.len());
    // What was read must be of one state, and a file that is still being written is not whole.
    let after = file.metadata().map_err(Reason::Io)?;
    if state(&before) != state(&after) { Err(Reason::Changed) } else { outcome }
}

/// What the system says of a file that can be an instance.
pub(crate) fn fits(file: &File) -> Result<Metadata, Reason> {
    let metadata = file.metadata().map_err(Reason::Io)?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(Reason::NotAFile),
        len if len > MAX_INSTANCE_LEN => Err(Reason::TooLarge),
        _ => Ok(metadata),
    }
}

/// What tells one state of one file from another.
pub(crate) fn state(metadata: &Metadata) -> [i64; 5] {
    let len = i64::try_from(metadata.len()).unwrap_or(i64::MAX);
    [len, metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()]
}
