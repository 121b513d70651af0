//! Transfer syntaxes: how the pixels of an instance are encoded (PS3.5 §A, PS3.6 Table A-1).

use std::fmt;

use clavicle_manifest::Uid;
use dicom_dictionary_std::uids;

/// What encodes a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Codec {
    /// None: native frames in fragments (PS3.5 §A.4.11).
    Uncompressed,
    /// Deflated native frames (PS3.5 §A.4.14).
    Deflate,
    /// Run lengths (PS3.5 §G).
    Rle,
    /// JPEG: baseline, extended and lossless (ITU-T T.81).
    Jpeg,
    /// JPEG-LS (ITU-T T.87).
    JpegLs,
    /// JPEG 2000 (ITU-T T.800).
    Jpeg2000,
    /// High-Throughput JPEG 2000 (ITU-T T.814).
    HighThroughputJpeg2000,
    /// JPEG XL (ISO/IEC 18181).
    JpegXl,
    /// MPEG-2.
    Mpeg2,
    /// MPEG-4, also called H.264.
    Mpeg4,
    /// HEVC, also called H.265.
    Hevc,
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uncompressed => "encapsulated uncompressed frames",
            Self::Deflate => "deflated frames",
            Self::Rle => "RLE",
            Self::Jpeg => "JPEG",
            Self::JpegLs => "JPEG-LS",
            Self::Jpeg2000 => "JPEG 2000",
            Self::HighThroughputJpeg2000 => "High-Throughput JPEG 2000",
            Self::JpegXl => "JPEG XL",
            Self::Mpeg2 => "MPEG-2",
            Self::Mpeg4 => "MPEG-4",
            Self::Hevc => "HEVC",
        })
    }
}

/// Why a transfer syntax says nothing of single frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxError {
    /// A film; its frames cannot be had one by one.
    #[error("it is a film in {codec} ({uid}), which is played and not shown frame by frame")]
    Film {
        /// How it is encoded.
        codec: Codec,
        /// The transfer syntax.
        uid: Uid,
    },
    /// A transfer syntax that nobody here knows.
    #[error("its transfer syntax {0} is not known here")]
    Unknown(Uid),
}

/// How the frames of an instance are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferSyntax {
    /// As they are, one after the other.
    Native {
        /// Whether samples of more than a byte have their highest byte first.
        big_endian: bool,
    },
    /// Encoded, in fragments.
    Encapsulated(Codec),
}

impl TransferSyntax {
    /// That of a UID.
    ///
    /// # Errors
    /// When it is a film, or unknown.
    #[expect(deprecated, reason = "retired, and still in archives")]
    pub fn of(uid: &Uid) -> Result<Self, SyntaxError> {
        let codec = match uid.as_str() {
            uids::EXPLICIT_VR_BIG_ENDIAN => return Ok(Self::Native { big_endian: true }),
            uids::IMPLICIT_VR_LITTLE_ENDIAN
            | uids::EXPLICIT_VR_LITTLE_ENDIAN
            | uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN => {
                return Ok(Self::Native { big_endian: false });
            }
            uids::ENCAPSULATED_UNCOMPRESSED_EXPLICIT_VR_LITTLE_ENDIAN => Codec::Uncompressed,
            uids::DEFLATED_IMAGE_FRAME_COMPRESSION => Codec::Deflate,
            uids::RLE_LOSSLESS => Codec::Rle,
            uids::JPEG_BASELINE8_BIT | uids::JPEG_EXTENDED12_BIT | uids::JPEG_LOSSLESS | uids::JPEG_LOSSLESS_SV1 => {
                Codec::Jpeg
            }
            uids::JPEGLS_LOSSLESS | uids::JPEGLS_NEAR_LOSSLESS => Codec::JpegLs,
            uids::JPEG2000_LOSSLESS | uids::JPEG2000 => Codec::Jpeg2000,
            uids::HTJ2K_LOSSLESS | uids::HTJ2K_LOSSLESS_RPCL | uids::HTJ2K => Codec::HighThroughputJpeg2000,
            uids::JPEGXL_LOSSLESS | uids::JPEGXLJPEG_RECOMPRESSION | uids::JPEGXL => Codec::JpegXl,
            film if film.starts_with("1.2.840.10008.1.2.4.10") => {
                let codec = match &film["1.2.840.10008.1.2.4.".len()..] {
                    "100" | "100.1" | "101" | "101.1" => Codec::Mpeg2,
                    "107" | "108" => Codec::Hevc,
                    "102" | "102.1" | "103" | "103.1" | "104" | "104.1" | "105" | "105.1" | "106" | "106.1" => {
                        Codec::Mpeg4
                    }
                    _ => return Err(SyntaxError::Unknown(*uid)),
                };
                return Err(SyntaxError::Film { codec, uid: *uid });
            }
            _ => return Err(SyntaxError::Unknown(*uid)),
        };
        Ok(Self::Encapsulated(codec))
    }
}

/// Those that compress, and of which the standard says that nothing is lost (PS3.5 §10). The digests of pixels depend on it.
pub const LOSSLESS: [&str; 8] = [
    uids::RLE_LOSSLESS,
    uids::JPEG_LOSSLESS,
    uids::JPEG_LOSSLESS_SV1,
    uids::JPEGLS_LOSSLESS,
    uids::JPEG2000_LOSSLESS,
    uids::HTJ2K_LOSSLESS,
    uids::HTJ2K_LOSSLESS_RPCL,
    uids::JPEGXL_LOSSLESS,
];

/// Whether the standard says of a transfer syntax that its pixels lose nothing (PS3.5 §10).
#[must_use]
pub fn is_lossless(uid: &Uid) -> bool {
    match TransferSyntax::of(uid) {
        Ok(TransferSyntax::Native { .. } | TransferSyntax::Encapsulated(Codec::Uncompressed | Codec::Deflate)) => true,
        _ => LOSSLESS.contains(&uid.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn films_are_named() {
        let film = Uid::new("1.2.840.10008.1.2.4.103").unwrap();
        let sentence = TransferSyntax::of(&film).unwrap_err().to_string();
        assert!(sentence.starts_with("it is a film in MPEG-4 (1.2.840.10008.1.2.4.103)"), "{sentence}");
        for (uid, known) in [("1.2.840.10008.1.2.4.110", true), ("1.2.840.10008.1.2.4.109", false), ("1.2.3", false)] {
            assert_eq!(TransferSyntax::of(&Uid::new(uid).unwrap()).is_ok(), known, "{uid}");
        }
    }
}
