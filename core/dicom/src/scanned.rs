//! What the scan finds in a file, for all that comes after it.

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};

use clavicle_manifest::Uid;
use dicom_core::{Tag, VR};

use crate::encoding::Encoding;
use crate::repair::{Patches, Repair};

/// An element whose value was kept.
#[derive(Debug)]
pub struct Kept {
    /// Its tag.
    pub tag: Tag,
    /// Text as it stands in the file; numbers little endian.
    pub value: Vec<u8>,
}

/// A piece of a data set: its first byte, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its first byte.
    pub at: u64,
    /// How many bytes.
    pub len: u64,
}

/// Where the pixels of a data set are, counted in bytes from the beginning of what it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// One value (PS3.5 §8.1), in words as long as [`word_len`](crate::encoding::word_len) says.
    Native {
        /// Where it is.
        value: Span,
        /// Its VR.
        vr: VR,
    },
    /// An offset table and fragments (PS3.5 §A.4).
    Encapsulated {
        /// The basic offset table.
        offsets: Span,
        /// The fragments, in their order.
        fragments: Vec<Span>,
    },
}

/// What the scan found.
#[derive(Debug)]
pub struct Scanned {
    /// Transfer Syntax UID (0002,0010), or what stands for it.
    pub transfer_syntax_uid: Uid,
    /// The few attributes that are needed, ascending.
    pub kept: Vec<Kept>,
    /// The first byte of the data set.
    pub data_set_at: u64,
    /// What the data set is written in.
    pub encoding: Encoding,
    /// The element that holds the pixels, and where.
    pub pixels: Option<(Tag, Pixels)>,
    /// All of that element, its header and its delimiter included; the end of the data set, where there is none.
    pub pixels_at: Span,
    /// How the data set is to be read.
    pub patches: Patches,
    /// What is not in order.
    pub repairs: BTreeSet<Repair>,
    /// The data set, where it was deflated in the file. All places are then counted in here.
    pub inflated: Option<Vec<u8>>,
}

impl Scanned {
    /// The bytes of a kept attribute.
    #[must_use]
    pub fn kept(&self, tag: Tag) -> Option<&[u8]> {
        self.kept.iter().find(|kept| kept.tag == tag).map(|kept| kept.value.as_slice())
    }

    /// The data set from its first byte on, as it should stand: at most so many bytes of it where it lies in the file of `len` bytes, and all of it
    /// where it was deflated.
    ///
    /// # Errors
    /// What reading it says.
    pub fn take_beginning<S: Read + Seek>(&mut self, mut source: S, len: u64, most: u64) -> io::Result<Vec<u8>> {
        if let Some(inflated) = self.inflated.take() {
            return Ok(self.patches.apply(inflated, self.data_set_at));
        }
        let mut bytes = Vec::new();
        source.seek(SeekFrom::Start(self.data_set_at))?;
        source.take(most.min(len - self.data_set_at)).read_to_end(&mut bytes)?;
        Ok(self.patches.apply(bytes, self.data_set_at))
    }
}
