//! Readers: whoever has jobs done with files, somewhere a hostile one does no harm.
//!
//! A reader is handed to whatever reads files, and is chosen by the binary: [`Here`], or workers. What is asked of it is the same everywhere.

mod film;
mod here;

use std::fmt;
use std::fs::{File, Metadata};
use std::io::Write;
use std::path::Path;

use clavicle_dicom::kos::{Heading, Sealed};
use clavicle_dicom::pick::Picked;
use clavicle_dicom::references::References;
use clavicle_dicom::rewrite::{Coercion, Demographics, RewriteError, Rewritten, Syntax};
use clavicle_manifest::{MAX_INSTANCE_LEN, MediaType};
use clavicle_pixels::render::{RenderError, Rendered, Wanted};
use clavicle_reports::{Document, PdfError, PdfPage, ReportContent, ReportError};

pub use clavicle_pixels::lack::{Lack, Wholeness};

pub use self::film::{Film, FrameError};
pub use self::here::Here;
use crate::files::{Files, OnDisk};
use crate::job::{
    self, DrawPage, Head, Inspect, Inspected, Job, List, PdfIn, Pick, Question, ReadDocument, ReadReport, Render, Seal,
};
use crate::read_error::ReadError;
use crate::system::state;
use crate::worker_error::WorkerError;

/// Has jobs done with files.
pub trait Reader: fmt::Debug + Send + Sync {
    /// Answers a question about a file, of which nothing was read yet. Each thread that asks has a worker to itself meanwhile.
    ///
    /// # Errors
    /// [`WorkerError`].
    fn answer(&self, question: &Question, file: &File) -> Result<Vec<u8>, WorkerError>;

    /// For several questions about one file.
    fn sitting<'a>(&'a self, file: &'a File) -> Box<dyn Sitting + 'a>;

    /// Inspects the file at `path`.
    ///
    /// # Errors
    /// [`ReadError`].
    fn inspect_one(&self, path: &Path) -> Result<Inspected, ReadError> {
        self.inspect_open(&OnDisk.open(path)?)
    }

    /// Inspects a file that is open, and may be on no disk.
    ///
    /// # Errors
    /// [`ReadError`].
    fn inspect_open(&self, file: &File) -> Result<Inspected, ReadError> {
        Ok(ask(self, &Inspect, file)??)
    }

    /// Makes the picture that is wanted of the file at `path`.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read; inside, [`RenderError`] when it can, and cannot be shown.
    fn render(&self, path: &Path, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, ReadError> {
        self.render_open(&OnDisk.open(path)?, wanted)
    }

    /// Makes the picture that is wanted of a file that is open, and may be on no disk.
    ///
    /// # Errors
    /// As [`Reader::render`].
    fn render_open(&self, file: &File, wanted: &Wanted) -> Result<Result<Rendered, RenderError>, ReadError> {
        ask(self, &Render { wanted: wanted.clone() }, file)
    }

    /// An open file whose frames are asked for one after the other. It is opened once for all of them.
    ///
    /// # Errors
    /// [`ReadError`].
    fn film<'a>(&'a self, file: &'a File) -> Result<Film<'a>, ReadError> {
        Film::new(self.sitting(file), file)
    }

    /// Makes the MAC of the file at `path` over those of `wanted` that it has.
    ///
    /// # Errors
    /// [`ReadError`].
    fn seal_one(&self, path: &Path, wanted: &[(u16, u16)]) -> Result<Sealed, ReadError> {
        self.seal_open(&OnDisk.open(path)?, wanted)
    }

    /// The same of an open file.
    ///
    /// # Errors
    /// [`ReadError`].
    fn seal_open(&self, file: &File, wanted: &[(u16, u16)]) -> Result<Sealed, ReadError> {
        Ok(ask(self, &Seal { wanted: wanted.to_vec() }, file)??)
    }

    /// Reads what the document at `path` lists.
    ///
    /// # Errors
    /// [`ReadError`].
    fn list_one(&self, path: &Path) -> Result<References, ReadError> {
        self.list_open(&OnDisk.open(path)?)
    }

    /// The same of an open file.
    ///
    /// # Errors
    /// [`ReadError`].
    fn list_open(&self, file: &File) -> Result<References, ReadError> {
        Ok(ask(self, &List, file)??)
    }

    /// Whether the pixels of an open image are all there.
    ///
    /// # Errors
    /// [`ReadError`].
    fn wholeness_open(&self, file: &File) -> Result<Wholeness, ReadError> {
        ask(self, &job::Wholeness, file)
    }

    /// Reads what a table of contents has to say of an open file, and what says whose it is.
    ///
    /// # Errors
    /// [`ReadError`].
    fn pick_open(&self, file: &File) -> Result<Picked, ReadError> {
        Ok(ask(self, &Pick, file)??)
    }

    /// Who an open file says that the patient is.
    ///
    /// # Errors
    /// [`ReadError`].
    fn demographics(&self, file: &File) -> Result<Demographics, ReadError> {
        self.pick_open(file).map(|picked| Demographics::of(&picked))
    }

    /// Reads what a report says that is open, and may be on no disk.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read; inside, [`ReportError`] when it can, and is no such report.
    fn read_report(&self, file: &File, media_type: MediaType) -> Result<Result<ReportContent, ReportError>, ReadError> {
        ask(self, &ReadReport { media_type }, file)
    }

    /// Draws a page of an open PDF, which may be on no disk and in an instance: the one with this number, from one,
    /// `longest` pixels along its longer side.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read; inside, [`PdfError`] when it can, and the page cannot be drawn.
    fn draw_page(
        &self,
        file: &File,
        pdf_in: PdfIn,
        (number, longest): (u32, u32),
    ) -> Result<Result<PdfPage, PdfError>, ReadError> {
        ask(self, &DrawPage { pdf_in, number, longest }, file)
    }

    /// Reads what an open instance says that is a document: the words of a structured report, or what else is in it.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read; inside, [`ReportError`] when it can, and is no such document.
    fn read_document(&self, file: &File) -> Result<Result<Document, ReportError>, ReadError> {
        ask(self, &ReadDocument, file)
    }

    /// Reads the text of the one QR code in an open picture, which may be on no disk. It takes [`TIME`](crate::TIME)
    /// and a little more at most.
    ///
    /// # Errors
    /// [`ReadError`] when the file cannot be read; inside, [`PictureError`](clavicle_letters::code::PictureError) when
    /// it can, and there is no code.
    #[cfg(feature = "codes")]
    fn read_code(&self, file: &File) -> Result<Result<String, clavicle_letters::code::PictureError>, ReadError> {
        ask(self, &job::ReadCode, file)
    }

    /// Reads what a document of the same study has to say as well as an open file.
    ///
    /// # Errors
    /// [`ReadError`].
    fn head_open(&self, file: &File) -> Result<Heading, ReadError> {
        Ok(ask(self, &Head, file)??)
    }

    /// Writes an open file anew, in `syntax` and as the patient's of `coercion`. Pixels stay what they are; those that are compressed are
    /// decoded where another syntax is wanted.
    ///
    /// # Errors
    /// [`RewriteFileError`]. What was written by then is of no use.
    fn rewrite(
        &self,
        file: &File,
        syntax: Syntax,
        coercion: Option<&Coercion>,
        out: &mut dyn Write,
    ) -> Result<Rewritten, RewriteFileError> {
        let before = fits(file)?;
        let mut film = self.film(file)?;
        let rewritten = clavicle_dicom::rewrite::rewrite(file, before.len(), syntax, coercion, &mut film, out);
        is_unchanged(file, &before)?;
        Ok(rewritten?)
    }
}

/// Several questions about one file, which stays open where they are answered.
pub trait Sitting: fmt::Debug + Send {
    /// Answers a question.
    ///
    /// # Errors
    /// [`WorkerError`]. It costs this question, and not the next.
    fn answer(&mut self, question: &Question) -> Result<Vec<u8>, WorkerError>;
}

/// Why a file was not written anew.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteFileError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] ReadError),
    /// See [`RewriteError`].
    #[error(transparent)]
    Rewrite(#[from] RewriteError<FrameError>),
}

/// Has a job done with a file that is open, and may be on no disk.
///
/// # Errors
/// [`ReadError`].
pub fn ask<J: Job>(reader: &(impl Reader + ?Sized), job: &J, file: &File) -> Result<J::Answer, ReadError> {
    let before = fits(file)?;
    let answer = reader.answer(&Question::new(job, before.len()), file);
    is_unchanged(file, &before)?;
    Ok(job::received::<J>(&answer?).ok_or(WorkerError::Nonsense)?)
}

/// What the system says of a file that can be an instance.
fn fits(file: &File) -> Result<Metadata, ReadError> {
    let metadata = file.metadata().map_err(ReadError::Io)?;
    match metadata.len() {
        _ if !metadata.is_file() => Err(ReadError::NotAFile),
        len if len > MAX_INSTANCE_LEN => Err(ReadError::TooLarge),
        _ => Ok(metadata),
    }
}

/// What was read must be of one state, and a file that is still being written is not whole.
fn is_unchanged(file: &File, before: &Metadata) -> Result<(), ReadError> {
    let after = file.metadata().map_err(ReadError::Io)?;
    if state(before) == state(&after) { Ok(()) } else { Err(ReadError::Changed) }
}
