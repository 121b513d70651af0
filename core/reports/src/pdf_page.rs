//! What is asked of a PDF, and answered: the same whether this build can draw pages or not.

use borsh::{BorshDeserialize, BorshSerialize};

/// Pages behind this one are not drawn: no report has as many.
pub const MAX_PAGES: u32 = 500;
/// The most pixels along a side.
pub const MAX_SIDE: u32 = 4_096;
/// The largest PDF that is drawn, in bytes.
pub const MAX_PDF: u64 = 64 << 20;

/// A page of a PDF as a picture.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PdfPage {
    /// How many pages there are.
    pub pages: u32,
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Red, green and blue of each pixel, row by row.
    pub rgb: Vec<u8>,
}

impl std::fmt::Debug for PdfPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PdfPage({} × {}, {} pages)", self.width, self.height, self.pages)
    }
}

/// Why there is no picture of a page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum PdfError {
    /// This build has no feature `pdf`.
    #[error("this program was built without what draws the pages of a PDF")]
    NoFeature,
    /// An instance without a PDF in it, or one that cannot be read.
    #[error("it has no PDF in it that could be read")]
    NoPdf,
    /// Nothing that could be read.
    #[error("it is no PDF that could be read")]
    NotAPdf,
    /// Encrypted.
    #[error("it is locked with a password")]
    Locked,
    /// No page of this number.
    #[error("it has no such page: there are {pages}, and of these the first 500 are shown")]
    NoPage {
        /// How many there are.
        pages: u32,
    },
    /// No page that a printer could have.
    #[error("the page is of a size that no page has")]
    Size,
    /// More than [`MAX_PDF`].
    #[error("it is larger than 64 MiB")]
    TooLarge,
    /// The file.
    #[error("it cannot be read from the disk")]
    NotRead,
    /// A defect.
    #[error("a defect in the program was met while it was drawn")]
    Panicked,
}
