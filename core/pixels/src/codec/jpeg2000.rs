//! JPEG 2000 (ITU-T T.800) by `rust-j2k`, and High-Throughput JPEG 2000 (T.814) by `dicom-toolkit-jpeg2000`.
//!
//! The first reconstructs as OpenJPEG does, and refuses what it is not sure of; the second knows the other block coder, and forgives more. What
//! the first refuses is given to the second where the transform is reversible: then there is but one right answer.
//! Both are of safe Rust. The image size is held against the layout before either sees the codestream.

use super::{Codec, CodecError, Decoded, Layout, PhotometricInterpretation, check_dimensions, check_plausible, widen};

/// The header of a JP2 file, which PS3.5 §8.2.4 forbids and some write.
const JP2: &[u8] = b"\0\0\0\x0cjP  ";
const START: &[u8] = &[0xff, 0x4f, 0xff, 0x51];

/// What the codestream says of itself.
struct Header {
    precision: u32,
    is_signed: bool,
    /// Where Ssiz of the first component stands.
    signs: usize,
    components: usize,
    /// Whether it has a colour transform, which decoders undo.
    is_transformed: bool,
    is_high_throughput: bool,
    /// Whether the wavelet is that of whole numbers.
    is_reversible: bool,
}

pub(super) fn decode(frame: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let stream = codestream(frame).ok_or_else(|| damaged(Codec::Jpeg2000, "it has no start"))?;
    let header = Header::read(stream, layout)?;
    let photometric = match layout.photometric {
        one if one.is_of_one_sample() => one,
        // Whoever writes that a transform was applied means that its opposite gives RGB, even where the codestream knows of none.
        PhotometricInterpretation::YbrIct | PhotometricInterpretation::YbrRct => PhotometricInterpretation::Rgb,
        _ if header.is_transformed => PhotometricInterpretation::Rgb,
        PhotometricInterpretation::YbrFull422 => PhotometricInterpretation::YbrFull,
        other => other,
    };
    if header.is_high_throughput {
        return forgiving(Codec::HighThroughputJpeg2000, stream, &header, layout, photometric);
    }
    exact(stream, &header, layout, photometric).or_else(|error| {
        let second = header.is_reversible && header.precision <= 16;
        // Of two refusals, the first knows better why.
        let decoded = second.then(|| forgiving(Codec::Jpeg2000, stream, &header, layout, photometric));
        decoded.and_then(Result::ok).ok_or(error)
    })
}

const fn damaged(codec: Codec, what: &'static str) -> CodecError {
    CodecError::Damaged { codec, what }
}

/// The codestream itself, out of a JP2 file if there is one around it.
fn codestream(frame: &[u8]) -> Option<&[u8]> {
    if !frame.starts_with(JP2) {
        return frame.starts_with(START).then_some(frame);
    }
    let mut rest = frame;
    loop {
        let (len, kind) = (rest.first_chunk::<4>()?, rest.get(4..8)?);
        let (header, len) = match u32::from_be_bytes(*len) {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*rest.get(8..16)?.first_chunk()?)).ok()?),
            len => (8, usize::try_from(len).ok()?),
        };
        let whole = rest.get(..len.min(rest.len()))?;
        if kind == b"jp2c" {
            return whole.get(header..).filter(|stream| stream.starts_with(START));
        }
        // A box that says it is shorter than its own header would not let us on.
        rest = rest.get(len.max(header)..)?;
    }
}

impl Header {
    /// SIZ and COD (A.5.1, A.6.1), and CAP of T.814.
    fn read(stream: &[u8], layout: &Layout) -> Result<Self, CodecError> {
        let codec = Codec::Jpeg2000;
        let cut_off = || damaged(codec, "its header is cut off");
        let wide = |at: usize| {
            let four = stream.get(at..at + 4).and_then(<[u8]>::first_chunk);
            four.map(|four| u32::from_be_bytes(*four)).ok_or_else(cut_off)
        };
        // SOC, SIZ and its length and capabilities take eight bytes.
        let [right, bottom, left, top] = [wide(8)?, wide(12)?, wide(16)?, wide(20)?];
        let (columns, rows) = (right.saturating_sub(left), bottom.saturating_sub(top));
        let components = stream.get(40..42).map(|two| u16::from_be_bytes([two[0], two[1]])).ok_or_else(cut_off)?;
        check_dimensions(codec, layout, columns, rows, components.into())?;
        // Beyond them, tiles would be many without the image being large.
        if right > 1 << 20 || bottom > 1 << 20 || wide(24)? == 0 || wide(28)? == 0 {
            return Err(damaged(codec, "its tiles lie far from the image"));
        }
        let tiles = u64::from(right.div_ceil(wide(24)?)) * u64::from(bottom.div_ceil(wide(28)?));
        if tiles > stream.len() as u64 {
            return Err(damaged(codec, "it has more tiles than bytes"));
        }
        let components = usize::from(components);
        let of_components = stream.get(42..42 + 3 * components).ok_or_else(cut_off)?;
        let (first, rest) = of_components.split_at(3);
        if rest.chunks_exact(3).any(|other| other[0] != first[0]) {
            return Err(CodecError::Unsupported { codec, what: "components of different depths" });
        }
        if of_components.chunks_exact(3).any(|one| one[1..] != [1, 1]) {
            return Err(CodecError::Unsupported { codec, what: "components of different resolutions" });
        }
        // A code-block of nothing takes no byte; an image does. This is a sixteenth of a bit for 4,096 samples.
        check_plausible(codec, stream.len(), layout, 1 << 16)?;
        let mut header = Self {
            precision: u32::from(first[0] & 0x7f) + 1,
            is_signed: first[0] & 0x80 != 0,
            signs: 42,
            components,
            is_transformed: false,
            is_high_throughput: false,
            is_reversible: false,
        };
        if header.precision > u32::from(layout.bits_allocated) {
            return Err(CodecError::Precision { codec, precision: header.precision, allocated: layout.bits_allocated });
        }
        header.rest(stream.get(2..).unwrap_or_default());
        Ok(header)
    }

    /// The marker segments that follow, up to the first tile.
    fn rest(&mut self, mut segments: &[u8]) {
        while let [0xff, code, high, low, rest @ ..] = segments {
            let len = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(body) = len.checked_sub(2).and_then(|len| rest.get(..len)) else { return };
            match code {
                0x50 => self.is_high_throughput = true,
                // Scod, progression order, layers, then the transform.
                0x52 => {
                    self.is_transformed = body.get(4).is_some_and(|transform| *transform != 0);
                    self.is_reversible = body.get(9) == Some(&1);
                }
                0x90 => return,
                _ => {}
            }
            segments = &rest[body.len()..];
        }
    }
}

fn exact(
    stream: &[u8],
    header: &Header,
    layout: &Layout,
    photometric: PhotometricInterpretation,
) -> Result<Decoded, CodecError> {
    let codec = Codec::Jpeg2000;
    let image = rust_j2k::decode(stream).map_err(|error| match error {
        rust_j2k::Error::Unsupported(_) => CodecError::Unsupported { codec, what: "a feature of JPEG 2000" },
        _ => damaged(codec, "it breaks the standard"),
    })?;
    let planes: Vec<&[i32]> = image.components.iter().map(|component| component.samples.as_slice()).collect();
    if planes.len() != header.components || planes.iter().any(|plane| plane.len() != layout.pixels()) {
        return Err(damaged(codec, "its components differ in size"));
    }
    match planes.as_slice() {
        [plane] => widen(codec, plane.iter().copied(), header.precision, layout, photometric),
        planes => {
            let values = (0..layout.pixels()).flat_map(|pixel| planes.iter().map(move |plane| plane[pixel]));
            widen(codec, values, header.precision, layout, photometric)
        }
    }
}

fn forgiving(
    codec: Codec,
    stream: &[u8],
    header: &Header,
    layout: &Layout,
    photometric: PhotometricInterpretation,
) -> Result<Decoded, CodecError> {
    if header.precision > 16 {
        return Err(CodecError::Unsupported { codec, what: "more than 16 bits a sample" });
    }
    // The decoder cuts off what is below zero. With the sign bits of SIZ cleared it moves all samples up by half of the range, as
    // it does those without a sign (T.800 G.1), and they can be moved back.
    let mut unsigned = stream.to_vec();
    for component in 0..header.components {
        unsigned[header.signs + 3 * component] &= 0x7f;
    }
    let settings = dicom_toolkit_jpeg2000::DecodeSettings { strict: true, ..Default::default() };
    let decoded = dicom_toolkit_jpeg2000::Image::new(&unsigned, &settings).and_then(|image| image.decode_native());
    let bitmap = decoded.map_err(|_| damaged(codec, "it breaks the standard"))?;
    let down = if header.is_signed { 1 << (header.precision - 1) } else { 0 };
    let bytes = usize::from(bitmap.bytes_per_sample).max(1);
    let values = bitmap.data.chunks_exact(bytes).map(|sample| {
        let high = sample.get(1).copied().unwrap_or(0);
        i32::from(u16::from_le_bytes([sample[0], high])) - down
    });
    widen(codec, values, header.precision, layout, photometric)
}
