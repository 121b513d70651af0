//! Rewriting: a file becomes another that says the same, for an archive that takes it in no other way.
//!
//! Two things can be asked for. Another transfer syntax: native pixels stay what they are, sample by sample, and compressed ones are decoded;
//! nothing is ever compressed, so nothing is lost. And another patient's id, a hospital's own in place of the one under which the study was
//! made: [`Coercion`]. All else goes over as it stands; where the encoding is the same, byte for byte. What is not in order in the file is in
//! order in the other: see [`Repair`](crate::Repair).
//!
//! The file comes from outside. It is scanned first, its elements are read by this crate's own reader, which believes no length, and pixels are
//! decoded in a worker. DICOM PS3.5 §7 and §A.4, PS3.3 C.12.1.1.9.

mod coercion;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use clavicle_manifest::Uid;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;

pub use self::coercion::{Absent, Coercion, CoercionError, Demographics, Difference, Sex};
use crate::elements::{DataSet, Element};
use crate::encode::{file_head, head_in, native_uid};
use crate::encoding::{Encoding, UNDEFINED, word_len};
use crate::layout::{Decoded, PhotometricInterpretation};
use crate::recode::{Recoder, is_compressed_icon};
use crate::scan;
use crate::scanned::{Pixels, Scanned, Span};
use crate::syntax::SyntaxError;
use crate::syntax::{TransferSyntax, is_lossless};
use crate::unreadable::Unreadable;

/// Most bytes before the pixels, or of a data set without any.
const MAX_HEADER: u64 = 512 << 20;
/// How much is copied at once; a multiple of the longest word.
const PIECE: u64 = 256 << 10;

/// In which transfer syntax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Syntax {
    /// In the file's own; explicit little endian in place of the deflated and the big endian one.
    Own,
    /// Explicit VR Little Endian, nothing compressed.
    Explicit,
    /// Implicit VR Little Endian, nothing compressed.
    Implicit,
}

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: Uid,
    /// SOP Instance UID (0008,0018), which stays.
    pub sop_instance_uid: Uid,
    /// In which transfer syntax it is now.
    pub transfer_syntax_uid: Uid,
    /// Whether pixels were decoded.
    pub is_decompressed: bool,
}

/// Why a file was not rewritten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewriteError<E> {
    /// The file cannot be read.
    #[error("it cannot be opened or read")]
    Read(#[source] io::Error),
    /// It is not an instance, or a broken one.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Its transfer syntax is one of which nobody here knows what it means, or a film.
    #[error("{0}, and cannot be turned into another")]
    Syntax(SyntaxError),
    /// A frame cannot be decoded.
    #[error("frame {} cannot be decoded: {error}", u64::from(*.frame) + 1)]
    Decode {
        /// Counted from 0.
        frame: u32,
        /// Why.
        error: E,
    },
    /// Frames of one image that are decoded into different things.
    #[error("its frames are decoded into different sizes or colours")]
    FramesDiffer,
    /// Samples of one bit that are compressed.
    #[error("its samples have one bit each and are compressed, which is not decoded here")]
    Bits,
    /// Longer than an element can be.
    #[error("decoded, its pixels take {0} bytes, which no element holds")]
    TooLong(u64),
    /// More than is held in memory.
    #[error("what stands before its pixels takes {0} bytes, which is more than is read")]
    HeaderTooLarge(u64),
    /// See [`CoercionError`].
    #[error(transparent)]
    Coercion(#[from] CoercionError),
    /// The other file cannot be written.
    #[error("it could not be written anew")]
    Write(#[source] io::Error),
}

/// Who decodes frames: what a codec does is none of this module's business.
pub trait FrameSource {
    /// Why a frame was not decoded.
    type Error;

    /// How many frames there are; none when that cannot be told.
    fn count(&mut self) -> Option<u32>;

    /// A frame, counted from 0.
    ///
    /// # Errors
    /// [`FrameSource::Error`].
    fn frame(&mut self, frame: u32) -> Result<Decoded, Self::Error>;
}

fn decoded<F: FrameSource>(source: &mut F, frame: u32) -> Result<Decoded, RewriteError<F::Error>> {
    source.frame(frame).map_err(|error| RewriteError::Decode { frame, error })
}

/// What becomes of the pixels.
enum Plan {
    /// There are none.
    None,
    /// The whole element goes over as it is; its header is another where the encoding is.
    Verbatim { head: Option<Vec<u8>>, rest: Span },
    /// Samples stay, in little endian; so many bytes of them are turned round together.
    Native { value: Span, vr: VR, word: usize },
    /// They are decoded; the first frame is already.
    Decoded { first: Decoded, frames: u32 },
}

/// Writes the file of `len` bytes anew.
///
/// # Errors
/// [`RewriteError`]. What was written by then is of no use.
pub fn rewrite<S: Read + Seek, F: FrameSource>(
    mut source: S,
    len: u64,
    syntax: Syntax,
    coercion: Option<&Coercion>,
    frames: &mut F,
    out: &mut dyn Write,
) -> Result<Rewritten, RewriteError<F::Error>> {
    source.rewind().map_err(RewriteError::Read)?;
    let mut scanned = scan::scan_evened(&mut source, len)?;
    let inflated = scanned.inflated.take();
    match inflated {
        Some(inflated) => {
            let len = inflated.len() as u64;
            Rewriting { is_deflated: true, scanned: &scanned, len, source: Cursor::new(inflated) }
                .write(syntax, coercion, frames, out)
        }
        None => Rewriting { is_deflated: false, scanned: &scanned, len, source }.write(syntax, coercion, frames, out),
    }
}

/// A file on its way: what was seen of it, and where its data set is read.
struct Rewriting<'a, S> {
    is_deflated: bool,
    scanned: &'a Scanned,
    len: u64,
    source: S,
}

impl<S: Read + Seek> Rewriting<'_, S> {
    fn write<F: FrameSource>(
        mut self,
        syntax: Syntax,
        coercion: Option<&Coercion>,
        source: &mut F,
        out: &mut dyn Write,
    ) -> Result<Rewritten, RewriteError<F::Error>> {
        let uid = |tag: Tag| {
            let value = self.scanned.kept(tag).and_then(|value| core::str::from_utf8(value).ok()).unwrap_or_default();
            Uid::new(value.trim_matches([' ', '\0'])).map_err(|_| Unreadable::Missing(tag.into()))
        };
        let (sop_class_uid, sop_instance_uid) = (uid(tags::SOP_CLASS_UID)?, uid(tags::SOP_INSTANCE_UID)?);
        let (to, transfer_syntax_uid) = self.target(syntax).map_err(RewriteError::Syntax)?;
        let Span { at: begin, len: pixels } = self.scanned.pixels_at;
        let end = begin + pixels;
        let plan = self.plan(to, transfer_syntax_uid, source)?;
        let header = self.read(Span { at: self.scanned.data_set_at, len: begin - self.scanned.data_set_at })?;
        let trailer = self.read(Span { at: end, len: self.len - end })?;
        let is_signed = self.scanned.kept(tags::PIXEL_REPRESENTATION).is_some_and(|value| value.starts_with(&[1]));
        let recoder = Recoder { to, is_signed };
        let found = whole(&header, self.scanned.encoding)?;
        let mut edits = match coercion {
            Some(coercion) => coercion.edits(&found, &recoder)?,
            None => BTreeMap::new(),
        };
        let is_decompressed = matches!(plan, Plan::Decoded { .. });
        if let Plan::Decoded { first, frames } = &plan {
            edits.extend(self.decoded_edits(first, *frames, &found, to));
        }
        let mut written = file_head(sop_class_uid.as_str(), &sop_instance_uid, transfer_syntax_uid.as_str());
        // Byte for byte, where nothing has to change.
        let stays = to == self.scanned.encoding;
        let mut edited = BTreeSet::new();
        let copied = Copying { recoder, encoding: self.scanned.encoding, stays, drops_icons: is_decompressed };
        copied.elements(&header, &mut edits, &mut edited, &mut written)?;
        // What comes before the pixels: none of it comes behind.
        let behind = edits.split_off(&tags::FLOAT_PIXEL_DATA);
        edits.into_values().flatten().for_each(|element| written.extend(element));
        out.write_all(&written).map_err(RewriteError::Write)?;
        self.write_pixels(plan, to, source, out)?;
        let (mut behind, mut written) = (behind, Vec::new());
        copied.elements(&trailer, &mut behind, &mut edited, &mut written)?;
        behind.into_values().flatten().for_each(|element| written.extend(element));
        out.write_all(&written).and_then(|()| out.flush()).map_err(RewriteError::Write)?;
        Ok(Rewritten { sop_class_uid, sop_instance_uid, transfer_syntax_uid, is_decompressed })
    }

    /// What it is to be written in.
    fn target(&self, syntax: Syntax) -> Result<(Encoding, Uid), SyntaxError> {
        let own = self.scanned.transfer_syntax_uid;
        let native = |encoding| (encoding, Uid::new(native_uid(encoding)).expect("the standard's UIDs are UIDs"));
        let target = match syntax {
            Syntax::Own if !self.is_deflated && !self.scanned.encoding.is_big() => {
                return Ok((Encoding::of(&own).unwrap_or(self.scanned.encoding), own));
            }
            Syntax::Own | Syntax::Explicit => native(Encoding::ExplicitLittle),
            Syntax::Implicit => native(Encoding::ImplicitLittle),
        };
        // What a vendor's own means nobody knows, and what has its pixels elsewhere has no other.
        TransferSyntax::of(&own)?;
        Ok(target)
    }

    fn plan<F: FrameSource>(
        &self,
        to: Encoding,
        transfer_syntax_uid: Uid,
        source: &mut F,
    ) -> Result<Plan, RewriteError<F::Error>> {
        let own = self.scanned.transfer_syntax_uid;
        Ok(match &self.scanned.pixels {
            None => Plan::None,
            Some(_) if own == transfer_syntax_uid && to == self.scanned.encoding => {
                Plan::Verbatim { head: None, rest: self.scanned.pixels_at }
            }
            Some((tag, Pixels::Encapsulated { offsets, .. })) if own == transfer_syntax_uid => {
                // The offset table is an item.
                let (at, pixels) = (offsets.at.saturating_sub(8), self.scanned.pixels_at);
                let rest = Span { at, len: (pixels.at + pixels.len).saturating_sub(at) };
                Plan::Verbatim { head: Some(head_in(to, *tag, VR::OB, UNDEFINED)), rest }
            }
            Some((_, Pixels::Native { value, vr })) => Plan::Native { value: *value, vr: *vr, word: self.word(*vr) },
            Some((_, Pixels::Encapsulated { .. })) => {
                if self.scanned.kept(tags::BITS_ALLOCATED).is_some_and(|bits| bits == [1, 0]) {
                    return Err(RewriteError::Bits);
                }
                // Those that are there, whatever is said: none is left behind.
                let frames = source.count().unwrap_or_else(|| said_frames(self.scanned));
                Plan::Decoded { first: decoded(source, 0)?, frames }
            }
        })
    }

    /// How many bytes are turned round together. Of samples that take more than two the standard's words (OW) are half, and those who
    /// write them turn whole samples; of those that take one, two stand in a word.
    fn word(&self, vr: VR) -> usize {
        let bits = self.scanned.kept(tags::BITS_ALLOCATED).and_then(|value| value.first_chunk());
        let sample = bits.map_or(1, |bits| usize::from(u16::from_le_bytes(*bits)) / 8);
        match (self.scanned.encoding.is_big(), sample) {
            (false, _) => 1,
            (true, 2 | 4 | 8) if vr == VR::OW => sample,
            (true, _) => word_len(vr),
        }
    }

    /// What is said of pixels that were decoded: PS3.5 §8.2, PS3.3 C.7.6.1.1.5 and C.7.6.3.
    fn decoded_edits(&self, first: &Decoded, frames: u32, found: &[Element<'_>], to: Encoding) -> Edits {
        use crate::encode::Elements;
        let new = || Elements::written_in(to);
        let photometric = match first.photometric {
            // Decoded, each pixel has its own colour.
            PhotometricInterpretation::YbrFull422 => PhotometricInterpretation::YbrFull,
            other => other,
        };
        let photometric_tag = tags::PHOTOMETRIC_INTERPRETATION;
        let mut edits = Edits::from([
            (photometric_tag, Some(new().text(photometric_tag, photometric.term()).into_bytes())),
            (tags::EXTENDED_OFFSET_TABLE, None),
            (tags::EXTENDED_OFFSET_TABLE_LENGTHS, None),
        ]);
        if !photometric.is_of_one_sample() {
            let tag = tags::PLANAR_CONFIGURATION;
            edits.insert(tag, Some(new().bytes(tag, &[0, 0]).into_bytes()));
        }
        if frames != said_frames(self.scanned) {
            let tag = tags::NUMBER_OF_FRAMES;
            edits.insert(tag, Some(new().text(tag, frames.to_string()).into_bytes()));
        }
        let lossy = tags::LOSSY_IMAGE_COMPRESSION;
        let is_said = found.iter().any(|element| element.tag == lossy && !element.value.is_empty());
        if !is_lossless(&self.scanned.transfer_syntax_uid) && !is_said {
            // What was lost stays lost, and must still be said.
            edits.insert(lossy, Some(new().text(lossy, "01").into_bytes()));
        }
        edits
    }

    fn write_pixels<F: FrameSource>(
        &mut self,
        plan: Plan,
        to: Encoding,
        source: &mut F,
        out: &mut dyn Write,
    ) -> Result<(), RewriteError<F::Error>> {
        let tag = self.scanned.pixels.as_ref().map_or(tags::PIXEL_DATA, |(tag, _)| *tag);
        let mut head = |vr: VR, len: u64| {
            let even = u32::try_from(len.next_multiple_of(2)).ok().filter(|even| *even != UNDEFINED);
            let even = even.ok_or(RewriteError::TooLong(len))?;
            out.write_all(&head_in(to, tag, vr, even)).map_err(RewriteError::Write)
        };
        let len = match plan {
            Plan::None => return Ok(()),
            Plan::Verbatim { head, rest } => {
                out.write_all(&head.unwrap_or_default()).map_err(RewriteError::Write)?;
                return self.copy_in_order(rest, out);
            }
            Plan::Native { value, vr, word } => {
                head(vr, value.len)?;
                self.copy(value, word, out)?;
                value.len
            }
            Plan::Decoded { first, frames } => {
                let (bytes, bits, photometric) = (first.samples.len(), first.bits_allocated, first.photometric);
                let len = (bytes as u64).saturating_mul(frames.into());
                head(if bits > 8 { VR::OW } else { VR::OB }, len)?;
                out.write_all(&first.samples).map_err(RewriteError::Write)?;
                for frame in 1..frames {
                    let next = decoded(source, frame)?;
                    if (next.samples.len(), next.bits_allocated, next.photometric) != (bytes, bits, photometric) {
                        return Err(RewriteError::FramesDiffer);
                    }
                    out.write_all(&next.samples).map_err(RewriteError::Write)?;
                }
                len
            }
        };
        let padding: &[u8] = if len.is_multiple_of(2) { &[] } else { &[0] };
        out.write_all(padding).map_err(RewriteError::Write)
    }

    /// Copies bytes as they should stand.
    fn copy_in_order<E>(&mut self, span: Span, out: &mut dyn Write) -> Result<(), RewriteError<E>> {
        self.source.seek(SeekFrom::Start(span.at)).map_err(RewriteError::Read)?;
        let mut from = self.scanned.patches.reader(&mut self.source, span.at, span.at + span.len);
        let mut piece = vec![0; usize::try_from(PIECE).unwrap_or_default()];
        loop {
            match from.read(&mut piece).map_err(RewriteError::Read)? {
                0 => return Ok(()),
                len => out.write_all(&piece[..len]).map_err(RewriteError::Write)?,
            }
        }
    }

    /// Copies bytes, each word of `word` bytes turned round.
    fn copy<E>(&mut self, span: Span, word: usize, out: &mut dyn Write) -> Result<(), RewriteError<E>> {
        self.source.seek(SeekFrom::Start(span.at)).map_err(RewriteError::Read)?;
        let (mut left, mut piece) = (span.len, Vec::new());
        while left > 0 {
            let now = left.min(PIECE);
            piece.resize(usize::try_from(now).unwrap_or_default(), 0);
            self.source.read_exact(&mut piece).map_err(RewriteError::Read)?;
            if word > 1 {
                piece.chunks_exact_mut(word).for_each(<[u8]>::reverse);
            }
            out.write_all(&piece).map_err(RewriteError::Write)?;
            left -= now;
        }
        Ok(())
    }

    fn read<E>(&mut self, span: Span) -> Result<Vec<u8>, RewriteError<E>> {
        if span.len > MAX_HEADER {
            return Err(RewriteError::HeaderTooLarge(span.len));
        }
        self.source.seek(SeekFrom::Start(span.at)).map_err(RewriteError::Read)?;
        let mut bytes = Vec::new();
        (&mut self.source).take(span.len).read_to_end(&mut bytes).map_err(RewriteError::Read)?;
        if bytes.len() as u64 != span.len {
            return Err(Unreadable::CutOff.into());
        }
        Ok(self.scanned.patches.apply(bytes, span.at))
    }
}

/// What Number of Frames (0028,0008) says; one where it says nothing.
fn said_frames(scanned: &Scanned) -> u32 {
    let said = scanned.kept(tags::NUMBER_OF_FRAMES).and_then(|value| core::str::from_utf8(value).ok());
    said.and_then(|text| text.trim_matches([' ', '\0']).parse().ok()).unwrap_or(1).max(1)
}

/// Elements that are put in place of others, or go; each is written already.
type Edits = BTreeMap<Tag, Option<Vec<u8>>>;

/// All elements of a data set.
fn whole(bytes: &[u8], encoding: Encoding) -> Result<Vec<Element<'_>>, Unreadable> {
    let (mut data_set, mut all) = (DataSet::new(bytes, encoding), Vec::new());
    while let Some(element) = data_set.next()? {
        all.push(element);
    }
    Ok(all)
}

/// How elements go over.
#[derive(Clone, Copy)]
struct Copying {
    recoder: Recoder,
    encoding: Encoding,
    stays: bool,
    drops_icons: bool,
}

impl Copying {
    /// Appends all elements of a data set with the edits at their places.
    fn elements(
        &self,
        bytes: &[u8],
        edits: &mut Edits,
        edited: &mut BTreeSet<Tag>,
        into: &mut Vec<u8>,
    ) -> Result<(), Unreadable> {
        let mut data_set = DataSet::new(bytes, self.encoding);
        loop {
            let before = data_set.rest();
            let Some(element) = data_set.next()? else { return Ok(()) };
            while let Some(first) = edits.first_entry().filter(|first| *first.key() <= element.tag) {
                edited.insert(*first.key());
                into.extend(first.remove().unwrap_or_default());
            }
            if element.tag.1 == 0 || edited.contains(&element.tag) {
                continue;
            }
            if self.stays && !(self.drops_icons && is_compressed_icon(&element)?) {
                into.extend_from_slice(&before[..before.len() - data_set.rest().len()]);
            } else {
                self.recoder.element(&element, 0, into)?;
            }
        }
    }
}
