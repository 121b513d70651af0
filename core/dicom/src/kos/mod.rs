//! Key Object Selection: the standard's own manifest (PS3.3 A.35.4), for systems that know nothing of ours.
//!
//! It lists every instance of a study, each with a MAC. It is written from a manifest and the files, and held against a folder. Who trusts the document can tell which instances are missing and which are altered, with nothing but a DICOM toolkit and SHA-256.
//! A MAC is no signature: a document that may have been altered together with the images proves nothing.
//!
//! What the standard leaves open, and what is done here:
//!
//! | | |
//! |---|---|
//! | whether there are MACs (0400,0403), type 3 | each instance has one |
//! | MAC Algorithm (0400,0015) | SHA256, of the defined terms the one that is not broken and known to every toolkit |
//! | Data Elements Signed (0400,0020) | [`SIGNED`]: the UIDs, and what is needed to see the pixels. Not names and dates, which an archive corrects: an altered name leaves the MAC as it is |
//! | MAC Calculation Transfer Syntax UID (0400,0010) | only little endian with explicit VR is allowed. Explicit VR Little Endian for pixels that are not compressed, whatever the file is written in; else the file's own, since to decode would be to sign what is not there |
//! | title, of CID 7010 | (113030, DCM, "Manifest"), as IHE XDS-I has it; another by [`Title`] |
//! | VR of an element that a file writes as UN or implicitly | that of the dictionary; OW for Pixel Data |
//! | values of odd length, which are not allowed | padded as PS3.5 §6.2 would have had it |
//!
//! What follows from that: a MAC does not change when a sender turns implicit into explicit VR or big into little endian. It does when pixels are
//! compressed, decompressed, fragmented anew or get another offset table, which is how the standard has it, or when an
//! archive writes Pixel Data as OB instead of OW. Without pixels a MAC covers the UIDs alone, and the verdict says so: the text of
//! a report is in our manifest's digest of the data set, and not in here.

mod heading;
mod mac;
mod write;

use clavicle_ledger::encoding::Text;
use clavicle_manifest::{Date, Instance, Uid};

use crate::encode::uid_of;

pub use self::heading::Heading;
pub use self::mac::{Mac, SIGNED, Sealed, covers_pixels};

/// What the document is for: a code of CID 7010.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Title {
    /// Code Value (0008,0100).
    pub value: Text<16>,
    /// Coding Scheme Designator (0008,0102).
    pub scheme: Text<16>,
    /// Code Meaning (0008,0104). ASCII, since the document has the character set of the study.
    pub meaning: Text<64>,
}

impl Default for Title {
    fn default() -> Self {
        Self {
            value: Text::new("113030").expect("it is short"),
            scheme: Text::new("DCM").expect("it is short"),
            meaning: Text::new("Manifest").expect("it is short"),
        }
    }
}

/// A time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    hour: u8,
    minute: u8,
    second: u8,
}

impl Time {
    /// A time of day; none if there is no such.
    #[must_use]
    pub const fn new(hour: u8, minute: u8, second: u8) -> Option<Self> {
        if hour < 24 && minute < 60 && second < 60 { Some(Self { hour, minute, second }) } else { None }
    }
}

/// What a document has of its own. Neither a clock nor chance is asked: the same gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What it is for.
    pub title: Title,
    /// Content Date (0008,0023): when the selection was made.
    pub date: Date,
    /// Content Time (0008,0033).
    pub time: Time,
    /// Series Number (0020,0011) of its own series.
    pub series_number: u16,
    /// 32 random bytes, new for each document: its UIDs are made of them (PS3.5 B.2).
    pub random: [u8; 32],
}

/// An instance that the document lists.
#[derive(Clone, Debug)]
pub struct Listed<'a> {
    /// Series Instance UID (0020,000E) of the instance.
    pub series_instance_uid: Uid,
    /// What the manifest says of it.
    pub instance: &'a Instance,
    /// The MAC of its file.
    pub mac: Mac,
}

impl Document {
    /// SOP Instance UID (0008,0018) of the document.
    #[must_use]
    pub fn sop_instance_uid(&self) -> Uid {
        self.uid(0)
    }

    /// Series Instance UID (0020,000E) of the document.
    #[must_use]
    pub fn series_instance_uid(&self) -> Uid {
        self.uid(16)
    }

    fn uid(&self, at: usize) -> Uid {
        let mut random = [0; 16];
        random.copy_from_slice(&self.random[at..at + 16]);
        uid_of(random)
    }
}
