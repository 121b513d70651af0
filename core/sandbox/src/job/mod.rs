//! Jobs: what is done with a file from outside, each wherever that does no harm.
//!
//! A job is one file here: what is asked, what is done, what is answered; and one line in the list below. Whoever has it done need not know where:
//! a [`Reader`](crate::reader::Reader) takes the question there, and brings the answer back.

#[cfg(feature = "codes")]
mod code;
mod decode;
mod document;
mod head;
mod inspect;
mod list;
mod open;
mod pdf;
mod pick;
mod render;
mod report;
mod seal;
mod wholeness;

use std::io::{self, Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};

#[cfg(feature = "codes")]
pub use self::code::ReadCode;
pub use self::decode::{Decode, DecodeError};
pub use self::document::ReadDocument;
pub use self::head::Head;
pub use self::inspect::{Inspect, Inspected};
pub use self::list::List;
pub use self::open::{Kept, Opened};
pub use self::pdf::{DrawPage, PdfIn};
pub use self::pick::Pick;
pub use self::render::Render;
pub use self::report::ReadReport;
pub use self::seal::Seal;
pub use self::wholeness::Wholeness;

/// The list of jobs: a worker does these, and no others.
fn run<S: Read + Seek>(question: &Question, file: Opened<'_, S>) -> io::Result<Vec<u8>> {
    match question.job.as_str() {
        Decode::NAME => done::<Decode, S>(question, file),
        DrawPage::NAME => done::<DrawPage, S>(question, file),
        Head::NAME => done::<Head, S>(question, file),
        Inspect::NAME => done::<Inspect, S>(question, file),
        List::NAME => done::<List, S>(question, file),
        Pick::NAME => done::<Pick, S>(question, file),
        #[cfg(feature = "codes")]
        ReadCode::NAME => done::<ReadCode, S>(question, file),
        ReadDocument::NAME => done::<ReadDocument, S>(question, file),
        ReadReport::NAME => done::<ReadReport, S>(question, file),
        Render::NAME => done::<Render, S>(question, file),
        Seal::NAME => done::<Seal, S>(question, file),
        Wholeness::NAME => done::<Wholeness, S>(question, file),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Something that is done with a file.
pub trait Job: BorshSerialize + BorshDeserialize {
    /// What it is called between a program and its worker.
    const NAME: &'static str;
    /// Whether all of the file is read for it, so that a large one takes longer.
    const READS_ALL: bool = false;
    /// What comes of it.
    type Answer;
    /// The same, on its way.
    type Sent: BorshSerialize + BorshDeserialize;

    /// Does it. No panic leaves it.
    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent;

    /// What was sent; `None` when it makes no sense, since whoever sent it has read a hostile file.
    fn received(sent: Self::Sent) -> Option<Self::Answer>;
}

/// What is asked about the file that comes with it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Question {
    job: String,
    /// Bytes of the file.
    len: u64,
    reads_all: bool,
    arguments: Vec<u8>,
}

impl Question {
    /// The bytes of the file that are read for it, which may take their time.
    #[must_use]
    pub const fn reads(&self) -> u64 {
        if self.reads_all { self.len } else { 0 }
    }

    /// Answers it about the file that `source` has open. What is found of the file's frames stays in `kept`.
    ///
    /// # Errors
    /// When there is no such job.
    pub fn answer<S: Read + Seek>(&self, source: S, kept: &mut Kept<S>) -> io::Result<Vec<u8>> {
        run(self, Opened::new(source, self.len, kept))
    }

    /// What a job asks about a file of `len` bytes.
    #[must_use]
    pub fn new<J: Job>(job: &J, len: u64) -> Self {
        let arguments = borsh::to_vec(job).expect("memory takes what is written to it");
        Self { job: J::NAME.to_owned(), len, reads_all: J::READS_ALL, arguments }
    }
}

fn done<J: Job, S: Read + Seek>(question: &Question, file: Opened<'_, S>) -> io::Result<Vec<u8>> {
    let job = J::try_from_slice(&question.arguments)?;
    borsh::to_vec(&job.run(file))
}

/// What was answered; `None` when that makes no sense.
pub(crate) fn received<J: Job>(answer: &[u8]) -> Option<J::Answer> {
    J::received(J::Sent::try_from_slice(answer).ok()?)
}
