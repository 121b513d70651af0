//! Codecs: one frame, as it is encoded in the file, becomes samples.
//!
//! [`decode`] stands between the bytes of a frame and the pipeline that makes a picture of them. It promises that what it gives has exactly
//! the size that the [`Layout`] says, and that nothing is set aside before the codestream and the layout agree on rows,
//! columns and samples. It refuses to know patients, files and windows.
//!
//! Native frames, also in fragments and deflated, and those in RLE, can always be decoded. JPEG, JPEG-LS, JPEG 2000 and JPEG XL are features of this crate (`jpeg`, `jpegls`,
//! `jpeg2000`, `jpegxl`), so that a telephone need not carry them. All of it is Rust.

#[cfg(feature = "jpeg")]
mod jpeg;
#[cfg(feature = "jpeg2000")]
mod jpeg2000;
#[cfg(feature = "jpegls")]
mod jpegls;
#[cfg(feature = "jpegxl")]
mod jpegxl;
#[cfg(any(feature = "jpeg", feature = "jpegls"))]
mod markers;
mod native;
mod rle;

use std::panic::{self, AssertUnwindSafe};

use clavicle_manifest::Uid;

pub use clavicle_dicom::layout::{Decoded, Layout, LayoutError, MAX_FRAME, PhotometricInterpretation};
pub use clavicle_dicom::syntax::{Codec, SyntaxError, TransferSyntax};

/// Why a frame was not decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// A codec was left out of this build.
    #[error("this build cannot decode {codec} ({uid})")]
    NotBuilt {
        /// Which.
        codec: Codec,
        /// The transfer syntax.
        uid: Uid,
    },
    /// See [`SyntaxError`].
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// See [`LayoutError`].
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// YBR_FULL_422 with a pixel left over in each row.
    #[error("YBR_FULL_422 has one colour for two pixels, and a row has {0}")]
    OddColumns(u16),
    /// Fewer bytes than the frame needs.
    #[error("the frame ends after {len} bytes where {wanted} are needed")]
    Short {
        /// Bytes needed.
        wanted: u64,
        /// Bytes there are.
        len: u64,
    },
    /// The codestream says something else than the data set.
    #[error(
        "the {codec} codestream is {columns} × {rows} with {samples} samples per pixel, and the data set says otherwise"
    )]
    Dimensions {
        /// Which.
        codec: Codec,
        /// Columns of the codestream.
        columns: u32,
        /// Its rows.
        rows: u32,
        /// Its components.
        samples: u32,
    },
    /// Samples in the codestream are wider than the data set allows.
    #[error("the {codec} codestream has {precision} bits a sample, for which {allocated} are allocated")]
    Precision {
        /// Which.
        codec: Codec,
        /// Bits per sample in the codestream.
        precision: u32,
        /// Bits Allocated (0028,0100).
        allocated: u16,
    },
    /// A codestream of so few bytes cannot hold so many samples.
    #[error("{len} bytes of {codec} cannot hold {samples} samples")]
    Implausible {
        /// Which.
        codec: Codec,
        /// Bytes of the codestream.
        len: u64,
        /// Samples of the frame.
        samples: u64,
    },
    /// The codestream breaks its standard.
    #[error("the {codec} codestream is damaged: {what}")]
    Damaged {
        /// Which.
        codec: Codec,
        /// Where.
        what: &'static str,
    },
    /// The codestream uses something that is not decoded here.
    #[error("the {codec} codestream has {what}, which is not decoded here")]
    Unsupported {
        /// Which.
        codec: Codec,
        /// What.
        what: &'static str,
    },
    /// A codec panicked.
    #[error("decoding it failed in a way that should not be possible; please report the image's structure")]
    Panicked,
}

/// Decodes a frame.
///
/// Memory is a small multiple of what the layout says, which is at most [`MAX_FRAME`]. A panic in a codec costs this frame.
///
/// 8-bit samples of a big endian data set that are written as words (OW) must be in the order of bytes already: such a
/// frame may begin in the middle of a word, which it does not know. `frames` sees to it.
///
/// # Errors
/// [`CodecError`].
pub fn decode(transfer_syntax: &Uid, frame: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let syntax = TransferSyntax::of(transfer_syntax)?;
    layout.check()?;
    panic::catch_unwind(AssertUnwindSafe(|| by_syntax(&syntax, transfer_syntax, frame, layout)))
        .unwrap_or(Err(CodecError::Panicked))
}

/// Whether a codestream of JPEG XL ends before it should.
///
/// # Errors
/// [`CodecError`].
pub(crate) fn is_jpegxl_cut_off(transfer_syntax: &Uid, frame: &[u8], layout: &Layout) -> Result<bool, CodecError> {
    layout.check()?;
    #[cfg(feature = "jpegxl")]
    {
        let _ = transfer_syntax;
        panic::catch_unwind(AssertUnwindSafe(|| jpegxl::is_cut_off(frame, layout))).unwrap_or(Err(CodecError::Panicked))
    }
    #[cfg(not(feature = "jpegxl"))]
    {
        let _ = frame;
        Err(CodecError::NotBuilt { codec: Codec::JpegXl, uid: *transfer_syntax })
    }
}

fn by_syntax(syntax: &TransferSyntax, uid: &Uid, frame: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    match syntax {
        TransferSyntax::Native { big_endian } => native::decode(frame, layout, *big_endian),
        TransferSyntax::Encapsulated(Codec::Uncompressed) => native::decode(frame, layout, false),
        TransferSyntax::Encapsulated(Codec::Deflate) => native::inflate(frame, layout),
        TransferSyntax::Encapsulated(Codec::Rle) => rle::decode(frame, layout),
        #[cfg(feature = "jpeg")]
        TransferSyntax::Encapsulated(Codec::Jpeg) => jpeg::decode(frame, layout),
        #[cfg(feature = "jpegls")]
        TransferSyntax::Encapsulated(Codec::JpegLs) => jpegls::decode(frame, layout),
        #[cfg(feature = "jpeg2000")]
        TransferSyntax::Encapsulated(Codec::Jpeg2000 | Codec::HighThroughputJpeg2000) => {
            jpeg2000::decode(frame, layout)
        }
        #[cfg(feature = "jpegxl")]
        TransferSyntax::Encapsulated(Codec::JpegXl) => jpegxl::decode(frame, layout),
        // Left out of this build.
        TransferSyntax::Encapsulated(codec) => Err(CodecError::NotBuilt { codec: *codec, uid: *uid }),
    }
}

/// Writes samples of a codestream in the bytes of the layout, in the order in which they come.
///
/// A sample whose sign the codestream and the data set see differently keeps its bits: it is cut to `precision` bits and, in a signed image,
/// filled up from the highest of them.
#[cfg(any(feature = "jpeg", feature = "jpegls", feature = "jpeg2000", feature = "jpegxl"))]
fn widen(
    codec: Codec,
    values: impl Iterator<Item = i32>,
    precision: u32,
    layout: &Layout,
    photometric: PhotometricInterpretation,
) -> Result<Decoded, CodecError> {
    let bytes = layout.bytes_per_sample();
    if precision == 0 || precision > 32 || usize::try_from(precision.div_ceil(8)).is_ok_and(|wide| wide > bytes) {
        return Err(CodecError::Precision { codec, precision, allocated: layout.bits_allocated });
    }
    let unused = 32 - precision;
    let fit = |value: i32| {
        let shifted = value.cast_unsigned() << unused;
        if layout.signed { (shifted.cast_signed() >> unused).cast_unsigned() } else { shifted >> unused }
    };
    let mut samples = Vec::with_capacity(layout.decoded_len());
    match bytes {
        1 => samples.extend(values.map(|value| fit(value).to_le_bytes()[0])),
        2 => values.for_each(|value| samples.extend_from_slice(&fit(value).to_le_bytes()[..2])),
        _ => values.for_each(|value| samples.extend_from_slice(&fit(value).to_le_bytes())),
    }
    if samples.len() != layout.decoded_len() {
        return Err(CodecError::Damaged { codec, what: "it ends before its last sample" });
    }
    Ok(Decoded { samples, bits_allocated: layout.decoded_bits(), photometric })
}

/// Refuses a codestream that declares other dimensions than the data set.
#[cfg(any(feature = "jpeg", feature = "jpegls", feature = "jpeg2000", feature = "jpegxl"))]
fn check_dimensions(codec: Codec, layout: &Layout, columns: u32, rows: u32, samples: u32) -> Result<(), CodecError> {
    let wanted = (u32::from(layout.columns), u32::from(layout.rows), u32::from(layout.samples_per_pixel));
    if (columns, rows, samples) == wanted {
        Ok(())
    } else {
        Err(CodecError::Dimensions { codec, columns, rows, samples })
    }
}

/// Refuses a codestream in which a byte would have to hold more than `most` samples.
fn check_plausible(codec: Codec, len: usize, layout: &Layout, most: u64) -> Result<(), CodecError> {
    let (len, samples) = (len as u64, layout.count() as u64);
    if samples > len.saturating_mul(most) {
        return Err(CodecError::Implausible { codec, len, samples });
    }
    Ok(())
}

#[cfg(test)]
const fn monochrome(rows: u16, columns: u16, bits_allocated: u16, bits_stored: u16) -> Layout {
    Layout {
        rows,
        columns,
        samples_per_pixel: 1,
        bits_allocated,
        bits_stored,
        high_bit: bits_stored - 1,
        signed: false,
        photometric: PhotometricInterpretation::Monochrome2,
        planar: false,
    }
}
