//! Draws a page of a PDF.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_dicom::encapsulated;
use clavicle_reports::{MAX_PDF, MAX_SIDE, PdfError, PdfPage};

use super::{Job, Opened};

/// Where a PDF is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum PdfIn {
    /// It is the file.
    File,
    /// It is in an instance, which is the file.
    Instance,
}

/// A page of a PDF as a picture.
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct DrawPage {
    /// Where the PDF is.
    pub pdf_in: PdfIn,
    /// The page's number, from one.
    pub number: u32,
    /// Pixels along its longer side, at most.
    pub longest: u32,
}

impl Job for DrawPage {
    const NAME: &'static str = "pdf";
    const READS_ALL: bool = true;
    type Answer = Result<PdfPage, PdfError>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        let (mut source, len) = file.whole();
        // The place in a file is shared with everybody who has it open.
        source.rewind().map_err(|_| PdfError::NotRead)?;
        let bytes = match self.pdf_in {
            PdfIn::File if len > MAX_PDF => return Err(PdfError::TooLarge),
            PdfIn::File => {
                let mut bytes = Vec::new();
                source.take(MAX_PDF + 1).read_to_end(&mut bytes).map_err(|_| PdfError::NotRead)?;
                bytes
            }
            PdfIn::Instance if len > MAX_PDF + (1 << 20) => return Err(PdfError::TooLarge),
            PdfIn::Instance => encapsulated::read(source, len, MAX_PDF).ok().flatten().ok_or(PdfError::NoPdf)?,
        };
        panic::catch_unwind(AssertUnwindSafe(|| self.draw(bytes))).unwrap_or(Err(PdfError::Panicked))
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        let page = match sent {
            Ok(page) => page,
            Err(error) => return Some(Err(error)),
        };
        // As many bytes as there should be.
        let PdfPage { pages, width, height, ref rgb } = page;
        let is_fit = pages > 0 && (1..=MAX_SIDE).contains(&width) && (1..=MAX_SIDE).contains(&height);
        (is_fit && rgb.len() as u64 == u64::from(width) * u64::from(height) * 3).then_some(Ok(page))
    }
}

impl DrawPage {
    #[cfg(feature = "pdf")]
    fn draw(self, bytes: Vec<u8>) -> Result<PdfPage, PdfError> {
        clavicle_reports::pdf::page(bytes, self.number, self.longest)
    }

    #[cfg(not(feature = "pdf"))]
    fn draw(self, _: Vec<u8>) -> Result<PdfPage, PdfError> {
        Err(PdfError::NoFeature)
    }
}
