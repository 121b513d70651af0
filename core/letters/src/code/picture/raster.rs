//! A picture from a file, in shades of grey. What it would take is known from the first bytes, and refused before there is memory for it.

use std::io::Cursor;

use image_webp::WebPDecoder;
use png::{InterlaceInfo, Transformations};
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{PictureError, PictureFormat};
use crate::code::MAX_FILE_LEN;

/// The widest and highest picture that is looked at, in pixels.
pub(super) const MAX_SIDE: u32 = 8192;
/// The most memory that reading a picture takes, in bytes, the file itself aside.
pub(super) const MAX_MEMORY: u64 = 256 << 20;
/// Passes over a progressive JPEG; cameras make about ten.
const MAX_SCANS: usize = 64;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";
const JPEG: &[u8] = b"\xff\xd8\xff";

impl PictureFormat {
    /// By the first bytes; none where they are of no picture that is known.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let at = |start: usize, tag: &[u8]| bytes.get(start..).is_some_and(|rest| rest.starts_with(tag));
        if at(0, PNG) {
            return Some(Self::Png);
        } else if at(0, JPEG) {
            return Some(Self::Jpeg);
        } else if at(0, b"RIFF") && at(8, b"WEBP") {
            return Some(Self::WebP);
        } else if at(4, b"ftyp") {
            // ISO/IEC 14496-12 §4.3, 23008-12: what a file is follows its box, and what it can be read as.
            let brands = bytes.get(8..64.min(bytes.len())).unwrap_or_default();
            let is = |names: &[&[u8]]| brands.chunks_exact(4).any(|brand| names.contains(&brand));
            if is(&[b"avif", b"avis"]) {
                return Some(Self::Avif);
            }
            let is_heic = is(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"]);
            return is_heic.then_some(Self::Heic);
        }
        let others: [(&[u8], Self); 6] = [
            (b"GIF8", Self::Gif),
            (b"BM", Self::Bmp),
            (b"II*\0", Self::Tiff),
            (b"MM\0*", Self::Tiff),
            (b"%PDF-", Self::Pdf),
            (b"\xff\x0a", Self::JpegXl),
        ];
        others.iter().find(|(tag, _)| at(0, tag)).map(|(_, format)| *format)
    }
}

/// A picture in shades of grey, 0 black, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Luma {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

/// Reads a picture.
pub(super) fn read(bytes: &[u8]) -> Result<Luma, PictureError> {
    if bytes.len() > MAX_FILE_LEN {
        return Err(PictureError::TooLarge(bytes.len()));
    }
    match PictureFormat::of(bytes) {
        Some(PictureFormat::Png) => png(bytes),
        Some(PictureFormat::Jpeg) => jpeg(bytes),
        Some(PictureFormat::WebP) => webp(bytes),
        Some(other) => Err(PictureError::Format(other)),
        None => Err(PictureError::NoPicture),
    }
}

/// Refuses what is too large, where each pixel takes `bytes` to be read.
fn fits(width: u32, height: u32, bytes: u64) -> Result<(usize, usize), PictureError> {
    let memory = u64::from(width).saturating_mul(u64::from(height)).saturating_mul(bytes);
    if width > MAX_SIDE || height > MAX_SIDE || memory > MAX_MEMORY || width == 0 || height == 0 {
        return Err(PictureError::TooManyPixels { width, height });
    }
    Ok((width as usize, height as usize))
}

/// A PNG of any kind, row by row, so that it takes no more memory than its shades of grey.
fn png(bytes: &[u8]) -> Result<Luma, PictureError> {
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(Transformations::normalize_to_color8());
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    let damaged = |_| PictureError::Damaged(PictureFormat::Png);
    let header = decoder.read_header_info().map_err(damaged)?;
    let (width, height) = fits(header.width, header.height, 1)?;
    let mut reader = decoder.read_info().map_err(damaged)?;
    if reader.info().animation_control.is_some() {
        return Err(PictureError::Moves);
    }
    let (color, _) = reader.output_color_type();
    let mut pixels = vec![0xff; width * height];
    let mut rows = 0;
    while let Some(row) = reader.next_interlaced_row().map_err(damaged)? {
        let shades: Vec<u8> = row.data().chunks_exact(color.samples()).map(shade).collect();
        match row.interlace() {
            InterlaceInfo::Null(_) => {
                pixels[rows * width..(rows + 1) * width].copy_from_slice(&shades);
                rows += 1;
            }
            InterlaceInfo::Adam7(place) => png::expand_interlaced_row(&mut pixels, width, &shades, place, 8),
        }
    }
    Ok(Luma { width, height, pixels })
}

fn jpeg(bytes: &[u8]) -> Result<Luma, PictureError> {
    let options = DecoderOptions::default()
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
        .jpeg_set_max_scans(MAX_SCANS);
    let damaged = |_| PictureError::Damaged(PictureFormat::Jpeg);
    let mut decoder = JpegDecoder::new_with_options(Cursor::new(bytes), options);
    decoder.decode_headers().map_err(damaged)?;
    let unread = || PictureError::Format(PictureFormat::RareJpeg);
    let info = decoder.info().ok_or_else(unread)?;
    // Of a photograph the shades are there as they are; what is printed has four inks, which are mixed first.
    let is_grey = matches!(decoder.input_colorspace(), Some(ColorSpace::YCbCr | ColorSpace::Luma));
    let (colors, samples) = if is_grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    // All coefficients are kept where the picture comes in passes.
    let kept = if info.sof.is_progressive() { 2 * u64::from(info.components) } else { 0 };
    let (width, height) = fits(info.width.into(), info.height.into(), samples + kept + 1)?;
    decoder.set_options(options.jpeg_set_out_colorspace(colors));
    let decoded = decoder.decode().map_err(damaged)?;
    let pixels = match samples {
        1 => decoded,
        _ => decoded.chunks_exact(3).map(shade).collect(),
    };
    if pixels.len() == width * height { Ok(Luma { width, height, pixels }) } else { Err(unread()) }
}

fn webp(bytes: &[u8]) -> Result<Luma, PictureError> {
    // Samples of a picture, then its colours; of one without loss, those twice.
    const A_PIXEL: u64 = 8;
    let damaged = |_| PictureError::Damaged(PictureFormat::WebP);
    // What is inside may be larger than what is outside says.
    for (width, height) in webp_sizes(bytes) {
        fits(width, height, A_PIXEL)?;
    }
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = fits(width, height, A_PIXEL)?;
    if decoder.is_animated() {
        return Err(PictureError::Moves);
    }
    let samples = if decoder.has_alpha() { 4 } else { 3 };
    let mut decoded = vec![0; width * height * samples];
    decoder.read_image(&mut decoded).map_err(damaged)?;
    Ok(Luma { width, height, pixels: decoded.chunks_exact(samples).map(shade).collect() })
}

/// How large the pictures in a WebP say that they are (RFC 9649 §2.5, RFC 6386 §9.1).
fn webp_sizes(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let mut rest = bytes.get(12..).unwrap_or_default();
    std::iter::from_fn(move || {
        while let Some((head, body)) = rest.split_first_chunk::<8>() {
            let len = u32::from_le_bytes([head[4], head[5], head[6], head[7]]) as usize;
            let body_of = &body[..len.min(body.len())];
            rest = body.get(len.saturating_add(len % 2)..).unwrap_or_default();
            let side = |at: usize| Some(u32::from(u16::from_le_bytes([*body_of.get(at)?, *body_of.get(at + 1)?])));
            let size = match &head[..4] {
                b"VP8 " => side(6).zip(side(8)).map(|(width, height)| (width & 0x3fff, height & 0x3fff)),
                b"VP8L" => body_of.get(1..5).map(|bits| {
                    let bits = u32::from_le_bytes([bits[0], bits[1], bits[2], bits[3]]);
                    ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
                }),
                _ => None,
            };
            if size.is_some() {
                return size;
            }
        }
        None
    })
}

/// The shade of a pixel on white paper (Rec. ITU-R BT.601 §2.5.1).
fn shade(samples: &[u8]) -> u8 {
    let rgb = |r: u8, g: u8, b: u8| (299 * u32::from(r) + 587 * u32::from(g) + 114 * u32::from(b)) / 1000;
    let (shade, alpha) = match *samples {
        [grey] => (u32::from(grey), 255),
        [grey, alpha] => (u32::from(grey), u32::from(alpha)),
        [r, g, b] => (rgb(r, g, b), 255),
        [r, g, b, alpha] => (rgb(r, g, b), u32::from(alpha)),
        _ => unreachable!("a pixel has one to four samples"),
    };
    u8::try_from((shade * alpha + 255 * (255 - alpha)) / 255).expect("a mean of bytes is a byte")
}
