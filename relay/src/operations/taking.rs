//! `taking`: how far the folder is that is taken in just now, for whoever looks on.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use super::Operation;
use crate::answer::Refusing;
use crate::service::Service;

/// How far is it?
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Taking {}

/// How far a folder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakingRow {
    /// Files that were read.
    pub seen: usize,
    /// Files in the folder; 0 while it is not known.
    pub files: usize,
}

impl Operation for Taking {
    const WORD: &'static str = "taking";

    type On = Service;
    type Answer = TakingRow;
    type Error = Infallible;

    fn work(self, service: &Service) -> Result<TakingRow, Infallible> {
        let (seen, files) = service.images.taking.at();
        Ok(TakingRow { seen, files })
    }
}

impl Refusing for Infallible {
    fn code(&self) -> &str {
        match *self {}
    }
}

impl TakingRow {
    /// For a person: `412 of 1,143 files`.
    #[must_use]
    pub fn line(&self) -> String {
        let files = if self.files == 1 { "file" } else { "files" };
        format!("{} of {} {files}", grouped(self.seen), grouped(self.files))
    }
}

/// A number with its thousands apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_how_far_it_is() {
        assert_eq!(TakingRow { seen: 412, files: 1_143 }.line(), "412 of 1,143 files");
        assert_eq!(TakingRow { seen: 0, files: 1 }.line(), "0 of 1 file");
        assert_eq!(TakingRow { seen: 1, files: 1_000_000 }.line(), "1 of 1,000,000 files");
    }
}
