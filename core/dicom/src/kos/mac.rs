//! The MAC of an instance (PS3.3 C.12.1.1.3.1.2): SHA-256 over some of its elements, encoded anew.
//!
//! ```text
//! element      = tag ‖ VR ‖ reserved field, where the VR has one ‖ length ‖ value      explicit VR, little endian
//! encapsulated = tag ‖ "OB" ‖ 0000 ‖ (FFFE,E000 ‖ value of the item)… ‖ FFFE,E0DD       no lengths; the first item is the offset table
//! MAC          = SHA-256(element… ‖ pixels), by ascending tags
//! ```
//!
//! The file is read once and in order, a piece at a time, and digested as a whole on the way, so that who wants to know
//! which file it was that the MAC is of need not read it again.

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{self, AssertUnwindSafe};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_manifest::{StoredDigest, StoredHasher, Uid};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{tags, uids};
use sha2::{Digest as _, Sha256};

use crate::encode::{bare, head};
use crate::encoding::{ITEM, SEQUENCE_DELIMITATION_ITEM, listed_vr, word_len};
use crate::facts::Facts;
use crate::scan;
use crate::scanned::{Pixels, Scanned, Span};
use crate::unreadable::Unreadable;

/// How much is read at once; a multiple of the longest word.
const BUFFER: usize = 256 << 10;

/// What the MAC of an instance covers, as far as the instance has it: what it is called, what shape its pixels have, and the pixels.
pub const SIGNED: [Tag; 17] = [
    tags::SOP_CLASS_UID,
    tags::SOP_INSTANCE_UID,
    tags::STUDY_INSTANCE_UID,
    tags::SERIES_INSTANCE_UID,
    tags::SAMPLES_PER_PIXEL,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PLANAR_CONFIGURATION,
    tags::NUMBER_OF_FRAMES,
    tags::ROWS,
    tags::COLUMNS,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::FLOAT_PIXEL_DATA,
    tags::DOUBLE_FLOAT_PIXEL_DATA,
    tags::PIXEL_DATA,
];

/// A MAC, and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Mac {
    /// MAC Calculation Transfer Syntax UID (0400,0010).
    pub transfer_syntax_uid: Uid,
    /// Data Elements Signed (0400,0020): group and element of each, ascending.
    pub signed: Vec<(u16, u16)>,
    /// MAC (0400,0404).
    pub value: [u8; 32],
}

/// Whether pixels are among what is covered.
#[must_use]
pub fn covers_pixels(signed: &[(u16, u16)]) -> bool {
    signed.iter().any(|(group, _)| *group == tags::PIXEL_DATA.0)
}

/// The MAC of a file, and which file it is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Sealed {
    /// Study Instance UID (0020,000D).
    pub study_instance_uid: Uid,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// BLAKE3 of its bytes.
    pub stored: StoredDigest,
    /// The MAC.
    pub mac: Mac,
}

impl Wire for Sealed {
    const NAME: &'static str = "the MAC of an instance";
    const MAX_LEN: usize = 512;
}

impl Sealed {
    /// Reads a file of `len` bytes, and makes the MAC of those of `wanted` that it has. Only those in [`SIGNED`] can be wanted.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read<S: Read + Seek>(source: S, len: u64, wanted: &[(u16, u16)]) -> Result<Self, Unreadable> {
        // Nothing here is known to panic. If something does, it costs one file.
        panic::catch_unwind(AssertUnwindSafe(|| Self::of(source, len, wanted))).unwrap_or(Err(Unreadable::Panicked))
    }

    fn of<S: Read + Seek>(mut source: S, len: u64, wanted: &[(u16, u16)]) -> Result<Self, Unreadable> {
        let scanned = scan::scan(&mut source, len)?;
        let Facts { study_instance_uid, sop_instance_uid, .. } = Facts::of(&scanned)?;
        source.seek(SeekFrom::Start(0))?;
        let mut sealing = Sealing { hasher: Sha256::new(), signed: Vec::new(), turned: Vec::new() };
        for tag in SIGNED.into_iter().filter(|tag| wanted.contains(&(tag.0, tag.1))) {
            // What the dictionary says: a file may have forgotten it (UN).
            if let (Some(value), Some(vr)) = (scanned.kept(tag), listed_vr(tag)) {
                sealing.short(tag, vr, value);
            }
        }
        let mut file = Input { source, at: 0, hasher: Some(StoredHasher::new()), buffer: vec![0; BUFFER] };
        if let Some((tag, pixels)) = &scanned.pixels
            && wanted.contains(&(tag.0, tag.1))
        {
            match &scanned.inflated {
                Some(inflated) => {
                    let mut inside =
                        Input { source: Cursor::new(inflated), at: 0, hasher: None, buffer: vec![0; BUFFER] };
                    sealing.pixels(&mut inside, &scanned, *tag, pixels)?;
                }
                None => sealing.pixels(&mut file, &scanned, *tag, pixels)?,
            }
        }
        file.pass_to(len, |_| {})?;
        let stored = file.hasher.map(|hasher| hasher.finish().1).expect("a file is hashed");
        let transfer_syntax_uid = match &scanned.pixels {
            Some((_, Pixels::Encapsulated { .. })) => scanned.transfer_syntax_uid,
            _ => Uid::new(uids::EXPLICIT_VR_LITTLE_ENDIAN).expect("the standard's UIDs are UIDs"),
        };
        let Sealing { hasher, signed, .. } = sealing;
        let mac = Mac { transfer_syntax_uid, signed, value: hasher.finalize().into() };
        Ok(Self { study_instance_uid, sop_instance_uid, stored, mac })
    }
}

/// A MAC while it is made.
struct Sealing {
    hasher: Sha256,
    signed: Vec<(u16, u16)>,
    turned: Vec<u8>,
}

impl Sealing {
    /// A value that was kept, and so is little endian already.
    fn short(&mut self, tag: Tag, vr: VR, value: &[u8]) {
        let padding: &[u8] = match (value.len() % 2, vr) {
            (0, _) => &[],
            (_, VR::UI) => b"\0",
            _ => b" ",
        };
        let len = u32::try_from(value.len() + padding.len()).expect("a value is kept only if it is short");
        self.hasher.update(head(tag, vr, len));
        self.hasher.update(value);
        self.hasher.update(padding);
        self.signed.push((tag.0, tag.1));
    }

    fn pixels<S: Read + Seek>(
        &mut self,
        input: &mut Input<S>,
        scanned: &Scanned,
        tag: Tag,
        pixels: &Pixels,
    ) -> Result<(), Unreadable> {
        match pixels {
            // C.12.1.1.3.1.1: what is of unknown VR may not be among them.
            Pixels::Native { vr: VR::UN, .. } => return Ok(()),
            Pixels::Native { value, vr } => {
                let len = u32::try_from(value.len.next_multiple_of(2));
                self.hasher.update(head(tag, *vr, len.expect("a length has 32 bits")));
                let word = if scanned.encoding.is_big() { word_len(*vr) } else { 1 };
                input.pass_to(value.at, |_| {})?;
                input.pass_to(value.at + value.len, |piece| self.words(piece, word))?;
                self.hasher.update(if value.len.is_multiple_of(2) { &[][..] } else { &[0] });
            }
            Pixels::Encapsulated { offsets, fragments } => {
                self.hasher.update(&head(tag, VR::OB, 0)[..8]);
                for Span { at, len } in [offsets].into_iter().chain(fragments) {
                    self.hasher.update(bare(ITEM));
                    input.pass_to(*at, |_| {})?;
                    input.pass_to(*at + *len, |piece| self.hasher.update(piece))?;
                }
                self.hasher.update(bare(SEQUENCE_DELIMITATION_ITEM));
            }
        }
        self.signed.push((tag.0, tag.1));
        Ok(())
    }

    fn words(&mut self, piece: &[u8], word: usize) {
        if word == 1 {
            self.hasher.update(piece);
            return;
        }
        self.turned.clear();
        self.turned.extend_from_slice(piece);
        self.turned.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        self.hasher.update(&self.turned);
    }
}

/// What is read in order, in pieces.
struct Input<S> {
    source: S,
    at: u64,
    hasher: Option<StoredHasher>,
    buffer: Vec<u8>,
}

impl<S: Read + Seek> Input<S> {
    /// Goes on to the byte at `end`, and shows what lies between: all but the last piece as long as the buffer. What nobody looks at
    /// and is not hashed is read all the same.
    fn pass_to(&mut self, end: u64, mut each: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        while self.at < end {
            let piece = usize::try_from(end - self.at).unwrap_or(BUFFER).min(BUFFER);
            let piece = &mut self.buffer[..piece];
            self.source.read_exact(piece)?;
            if let Some(hasher) = &mut self.hasher {
                hasher.update(piece);
            }
            each(piece);
            self.at += piece.len() as u64;
        }
        Ok(())
    }
}
