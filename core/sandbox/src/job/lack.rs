//! Looks what an image's pixels are short of.

use std::io::{Read, Seek};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_pixels::lack::{self, Looked};

use super::{Job, Opened};

/// What an image's pixels are short of, if anything: see [`lack::lack`].
#[derive(Clone, Copy, Debug, BorshSerialize, BorshDeserialize)]
pub struct Lack;

impl Job for Lack {
    const NAME: &'static str = "lack";
    const READS_ALL: bool = true;
    type Answer = Option<lack::Lack>;
    type Sent = Self::Answer;

    fn run<S: Read + Seek>(self, file: Opened<'_, S>) -> Self::Sent {
        match file.frames(Looked::Lacks(lack::Lack::Panicked), lack::lack) {
            Ok(()) | Err(Looked::NothingToSay) => None,
            Err(Looked::Lacks(lack)) => Some(lack),
        }
    }

    fn received(sent: Self::Sent) -> Option<Self::Answer> {
        Some(sent)
    }
}
