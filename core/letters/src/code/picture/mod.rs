//! Codes as pictures: QR in a PNG, drawn; and found again in a screenshot, a scan or a photograph.
//!
//! | | |
//! |---|---|
//! | `raster` | a picture's shades of grey, from PNG, JPEG and WebP |
//! | `views` | the same looked at in several ways: smaller, turned, with even light |
//! | `sight` | codes in them, found and read by two decoders |

mod raster;
mod sight;
mod views;

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use png::{BitDepth, ColorType};
use qrcode::{Color, EcLevel, QrCode};

use self::raster::{MAX_MEMORY, MAX_SIDE};

/// Pixels along the side of a module.
const MODULE_PX: usize = 8;
/// Modules of white around the code (ISO/IEC 18004 §6.3.8).
const QUIET_ZONE: usize = 4;

/// The longest text that a QR code holds, in bytes: 2,953 of its own (ISO/IEC 18004 table 7), of which each may be a
/// character of four.
pub const MAX_TEXT_LEN: usize = 4 * 2_953;

/// What a picture is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum PictureFormat {
    /// AV1 in HEIF.
    Avif,
    /// Windows' bitmaps.
    Bmp,
    /// GIF.
    Gif,
    /// HEVC in HEIF.
    Heic,
    /// JPEG.
    Jpeg,
    /// JPEG XL.
    JpegXl,
    /// No picture, and often taken for one.
    Pdf,
    /// PNG.
    Png,
    /// A JPEG with samples or sizes that no camera makes.
    RareJpeg,
    /// TIFF.
    Tiff,
    /// WebP.
    WebP,
}

impl fmt::Display for PictureFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Avif => "AVIF",
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Heic => "HEIC",
            Self::Jpeg => "JPEG",
            Self::JpegXl => "JPEG XL",
            Self::Pdf => "PDF",
            Self::Png => "PNG",
            Self::RareJpeg => "JPEG of a rare kind",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
        })
    }
}

impl PictureFormat {
    /// What to do with a picture that is not read.
    const fn instead(self) -> &'static str {
        match self {
            Self::Heic => {
                "take a screenshot of it, or send it as JPEG (on an iPhone: Settings, Camera, Formats, Most Compatible, and take it again)"
            }
            Self::Pdf => "open it, and take a screenshot of the code",
            _ => "take a screenshot of it, or save it as PNG or JPEG",
        }
    }
}

/// Why a picture could not be drawn or read.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[non_exhaustive]
pub enum PictureError {
    /// More than the largest QR code holds.
    #[error("the text is {0} characters long, more than a QR code holds; send it as text")]
    TooLong(usize),
    /// A file larger than any picture that is looked at.
    #[error("the picture is {0} bytes long and may be 32 MiB at most; cut it to the code")]
    TooLarge(usize),
    /// A picture with more pixels than are looked at.
    #[error(
        "the picture is {width} × {height} pixels large: at most {MAX_SIDE} × {MAX_SIDE} are looked at, and fewer where reading them would take \
         more than {} MiB; send it smaller, or cut it to the code", MAX_MEMORY >> 20
    )]
    TooManyPixels {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// No picture that is known.
    #[error("this is no picture that can be read: PNG, JPEG and WebP are")]
    NoPicture,
    /// A picture that is not read here.
    #[error("the picture is a {name} file, which is not read here: {}", .0.instead(), name = .0)]
    Format(PictureFormat),
    /// A damaged picture.
    #[error("the picture is a {0} file, and damaged or cut off; save or send it again")]
    Damaged(PictureFormat),
    /// No QR code in it.
    #[error(
        "no QR code was found in the picture: take it again, near, sharp, whole, and without a lamp mirrored in it"
    )]
    NoCode,
    /// More than one QR code in it, whatever they say: two of the same, too.
    #[error("there are {0} QR codes in the picture, and none was taken: cut it to the one that is meant")]
    Several(usize),
    /// A film, of which each picture could show another code.
    #[error(
        "the picture moves, and none of its codes was taken: save the one that is meant as a picture that stands still"
    )]
    Moves,
    /// A QR code that cannot be read.
    #[error("the QR code in the picture cannot be read; take it again, near, straight and sharp")]
    Unreadable,
    /// The file.
    #[error("the picture cannot be read from the disk")]
    NotRead,
    /// A defect.
    #[error("a defect in the program was met while the picture was read; send it as a screenshot, or the code as text")]
    Panicked,
}

/// Whether a file says of itself that it is a picture, whether or not it can be read here.
#[must_use]
pub fn is_picture(bytes: &[u8]) -> bool {
    PictureFormat::of(bytes).is_some()
}

/// A text as a QR code, with the stronger error correction if there is room.
fn drawn(text: &str) -> Result<QrCode, PictureError> {
    QrCode::with_error_correction_level(text, EcLevel::M)
        .or_else(|_| QrCode::with_error_correction_level(text, EcLevel::L))
        .map_err(|_| PictureError::TooLong(text.len()))
}

/// Draws a text as a QR code in letters, two rows of modules to a line, for a terminal of any colours: what is light is
/// drawn, what is dark is not, and readers take a code the other way round too.
///
/// # Errors
/// [`PictureError::TooLong`].
pub fn to_blocks(text: &str) -> Result<String, PictureError> {
    /// Modules of white around the code: fewer than the standard has, so that more codes fit a terminal of 80 columns.
    const AROUND: usize = 2;
    let code = drawn(text)?;
    let (width, colors) = (code.width(), code.to_colors());
    let is_light = |x: usize, y: usize| {
        let inside = x.checked_sub(AROUND).zip(y.checked_sub(AROUND)).filter(|(x, y)| *x < width && *y < width);
        inside.is_none_or(|(x, y)| colors[y * width + x] == Color::Light)
    };
    let side = width + 2 * AROUND;
    let mut lines = String::with_capacity(side * (side + 2) * 2);
    for y in (0..side).step_by(2) {
        for x in 0..side {
            lines.push(match (is_light(x, y), y + 1 < side && is_light(x, y + 1)) {
                (true, true) => '\u{2588}',
                (true, false) => '\u{2580}',
                (false, true) => '\u{2584}',
                (false, false) => ' ',
            });
        }
        lines.push('\n');
    }
    Ok(lines)
}

/// Draws a text as a QR code, with the stronger error correction if there is room.
///
/// # Errors
/// [`PictureError::TooLong`].
pub fn to_png(text: &str) -> Result<Vec<u8>, PictureError> {
    let code = drawn(text)?;
    let side = (code.width() + 2 * QUIET_ZONE) * MODULE_PX;
    let mut pixels = vec![0xff; side * side];
    for (at, color) in code.to_colors().into_iter().enumerate() {
        if color == Color::Dark {
            let (x, y) = (at % code.width() + QUIET_ZONE, at / code.width() + QUIET_ZONE);
            for row in y * MODULE_PX..(y + 1) * MODULE_PX {
                let start = row * side + x * MODULE_PX;
                pixels[start..start + MODULE_PX].fill(0);
            }
        }
    }
    let side = u32::try_from(side).expect("the largest QR code has 177 modules a side");
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, side, side);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(&pixels)?;
        writer.finish()
    });
    written.expect("there are as many pixels as the header says, and memory takes what is written");
    Ok(png)
}

/// Finds the QR code in a picture and reads it: a PNG, a JPEG or a WebP. Of several none is taken: whoever shows the picture would choose, and not
/// whoever gives it.
///
/// Made for screenshots, scans and photographs; `tests/photographs` shows which. It is looked at in three views at least and eighteen at most, none of them with more than 4,096 pixels
/// along a side. Somebody may draw one that takes long all the same, and decoders are where hostile bytes do their
/// harm: whoever reads what strangers give has it done in a place apart, for a limited time (`clavicle-sandbox`).
///
/// # Errors
/// [`PictureError`].
pub fn from_picture(bytes: &[u8]) -> Result<String, PictureError> {
    sight::read(&raster::read(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::raster::Luma;
    use super::*;
    use crate::code::MAX_FILE_LEN;

    /// Characters of QR's alphanumeric set, the same for the same seed.
    fn random_text(seed: u64, len: usize) -> String {
        let mut out = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        let body: String =
            out.iter().map(|byte| char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"[usize::from(byte % 32)])).collect();
        format!("HTTPS://X/{body}")[..len.max(14)].to_owned()
    }

    /// As another program would write the same picture.
    fn rewritten(png: &[u8], color: ColorType, depth: BitDepth, row: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let Luma { width, pixels, .. } = raster::read(png).unwrap();
        let height = pixels.len() / width;
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == ColorType::Indexed {
            encoder.set_palette(vec![10, 20, 30, 250, 240, 230]);
        }
        let data: Vec<u8> = pixels.chunks(width).flat_map(row).collect();
        encoder.write_header().unwrap().write_image_data(&data).unwrap();
        out
    }

    fn packed(row: &[u8]) -> Vec<u8> {
        row.chunks(8).map(|bits| bits.iter().enumerate().fold(0, |byte, (at, v)| byte | (v >> 7) << (7 - at))).collect()
    }

    #[test]
    fn texts_of_every_length_come_back() {
        for len in (20..=4296).step_by(150).chain([1241, 3391, 3392, 4296]) {
            let text = random_text(len as u64, len);
            assert_eq!(from_picture(&to_png(&text).unwrap()).unwrap(), text, "{len}");
        }
        assert!(matches!(to_png(&"A".repeat(4297)), Err(PictureError::TooLong(4297))));
    }

    #[test]
    fn pictures_of_every_kind_are_read() {
        let text = random_text(1, 600);
        let png = to_png(&text).unwrap();
        let each = |to: fn(u8) -> Vec<u8>| move |row: &[u8]| row.iter().flat_map(|&v| to(v)).collect::<Vec<u8>>();
        let pictures = [
            rewritten(&png, ColorType::Grayscale, BitDepth::One, packed),
            rewritten(&png, ColorType::Indexed, BitDepth::One, packed),
            rewritten(&png, ColorType::Grayscale, BitDepth::Sixteen, each(|v| vec![v, v])),
            rewritten(&png, ColorType::Rgb, BitDepth::Eight, each(|v| vec![v, v, v])),
            // Black on nothing, as many programs save it.
            rewritten(&png, ColorType::Rgba, BitDepth::Eight, each(|v| vec![0, 0, 0, 255 - v])),
            rewritten(&png, ColorType::GrayscaleAlpha, BitDepth::Eight, each(|v| vec![0, 255 - v])),
        ];
        for (at, picture) in pictures.iter().enumerate() {
            assert_eq!(from_picture(picture).unwrap(), text, "{at}");
        }
    }

    /// Somebody's photograph: the code askew, small, grey on grey.
    fn photographed(text: &str, angle: f64, scale: f64, dark: u8, light: u8) -> Vec<u8> {
        let Luma { width, pixels, .. } = raster::read(&to_png(text).unwrap()).unwrap();
        let (side, mut out) = (1200u32, Vec::new());
        let (half, (sin, cos)) = (width as f64 / 2.0, angle.sin_cos());
        for y in 0..side {
            for x in 0..side {
                let (x, y) = (f64::from(x) - 600.0, f64::from(y) - 600.0);
                let (u, v) = ((cos * x + sin * y) / scale + half, (cos * y - sin * x) / scale + half);
                let inside = u >= 0.0 && v >= 0.0 && (u as usize) < width && (v as usize) < width;
                let white = !inside || pixels[v as usize * width + u as usize] != 0;
                out.push(if white { light } else { dark });
            }
        }
        let mut picture = Vec::new();
        let mut encoder = png::Encoder::new(&mut picture, side, side);
        encoder.set_color(ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&out).unwrap();
        picture
    }

    #[test]
    fn a_code_small_faint_or_a_little_askew_is_found() {
        for len in [100, 400, 800, 1241] {
            let text = random_text(2, len);
            for (angle, scale, dark, light) in
                [(0.0, 0.5, 0, 255), (0.0, 0.8, 60, 187), (0.1, 1.0, 60, 187), (0.2, 1.0, 0, 255)]
            {
                let picture = photographed(&text, angle, scale, dark, light);
                assert_eq!(from_picture(&picture).unwrap(), text, "{len} {angle} {scale}");
            }
        }
    }

    fn png_of(width: usize, pixels: &[u8]) -> Vec<u8> {
        let mut picture = Vec::new();
        let mut encoder = png::Encoder::new(&mut picture, width as u32, (pixels.len() / width) as u32);
        encoder.set_color(ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(pixels).unwrap();
        picture
    }

    /// Codes side by side, as on a sheet of labels.
    fn beside(texts: &[&str]) -> Vec<u8> {
        let codes: Vec<Luma> = texts.iter().map(|text| raster::read(&to_png(text).unwrap()).unwrap()).collect();
        let (width, height) = (codes.iter().map(|code| code.width).sum(), codes.iter().map(|code| code.width).max());
        let mut pixels = Vec::new();
        for y in 0..height.unwrap() {
            for code in &codes {
                let row = code.pixels.chunks(code.width).nth(y).map(<[u8]>::to_vec);
                pixels.extend(row.unwrap_or_else(|| vec![0xff; code.width]));
            }
        }
        png_of(width, &pixels)
    }

    /// One of two cards in a picture was granted to, and nobody was told which.
    #[test]
    fn a_picture_with_several_codes_is_refused_and_says_how_many() {
        let [mine, theirs, small] = [random_text(1, 900), random_text(2, 900), "HTTPS://EXAMPLE.ORG".to_owned()];
        for (texts, count) in
            [(&[&*mine, &*theirs][..], 2), (&[&mine, &mine], 2), (&[&small, &mine], 2), (&[&mine, &small, &theirs], 3)]
        {
            let refused = from_picture(&beside(texts)).unwrap_err();
            assert!(matches!(refused, PictureError::Several(n) if n == count), "{refused}");
            assert!(refused.to_string().contains(&format!("there are {count} QR codes")), "{refused}");
        }
        assert_eq!(from_picture(&beside(&[&mine])).unwrap(), mine);
        // One of two is spoilt, and might be the one that is meant.
        let Luma { width, mut pixels, .. } = raster::read(&beside(&[&mine, &theirs])).unwrap();
        for y in 200..300 {
            pixels[y * width + 200..y * width + 300].fill(0);
        }
        assert!(matches!(from_picture(&png_of(width, &pixels)), Err(PictureError::Several(2))));
    }

    #[test]
    fn a_picture_that_moves_is_refused() {
        let Luma { width, pixels, .. } = raster::read(&to_png(&random_text(1, 100)).unwrap()).unwrap();
        let mut film = Vec::new();
        let mut encoder = png::Encoder::new(&mut film, width as u32, width as u32);
        encoder.set_color(ColorType::Grayscale);
        encoder.set_animated(2, 0).unwrap();
        let mut writer = encoder.write_header().unwrap();
        (0..2).for_each(|_| writer.write_image_data(&pixels).unwrap());
        writer.finish().unwrap();
        assert!(matches!(from_picture(&film), Err(PictureError::Moves)));
    }

    /// Pictures come from anywhere: whatever is in them, reading ends with an answer.
    #[test]
    fn noise_is_answered() {
        // What is no code is looked at in every view, which takes a while.
        for seed in 0..16u64 {
            let mut noise = vec![0u8; 40_000];
            blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut noise);
            let text = random_text(seed, 14 + seed as usize);
            // Pieces of a code in the wrong places, or no code at all.
            let picture = rewritten(&to_png(&text).unwrap(), ColorType::Grayscale, BitDepth::Eight, |row| row.to_vec());
            let Luma { width, mut pixels, .. } = raster::read(&picture).unwrap();
            for change in noise.chunks_exact(8).take(1 + (seed as usize) * 50) {
                let place =
                    |at: usize| usize::from(u16::from_le_bytes([change[at], change[at + 1]])) * 3 % pixels.len();
                let (from, to) = (place(0), place(2));
                let len = usize::from(change[4]) % (pixels.len() - from.max(to));
                pixels.copy_within(from..from + len, to);
            }
            let _ = from_picture(&png_of(width, &pixels));
            let _ = from_picture(&png_of(200, &noise));
        }
    }

    #[test]
    fn what_is_no_picture_of_a_code_is_refused() {
        let png = to_png("CLAVICLE:CARD:AA").unwrap();
        assert!(matches!(from_picture(b"no picture"), Err(PictureError::NoPicture)));
        assert!(matches!(from_picture(&png[..png.len() / 2]), Err(PictureError::Damaged(PictureFormat::Png))));
        assert!(matches!(from_picture(&vec![0; MAX_FILE_LEN + 1]), Err(PictureError::TooLarge(_))));
        let white = rewritten(&png, ColorType::Grayscale, BitDepth::Eight, |row| vec![255; row.len()]);
        assert!(matches!(from_picture(&white), Err(PictureError::NoCode)));
        let mut wide = Vec::new();
        drop(png::Encoder::new(&mut wide, MAX_SIDE + 1, 1).write_header().unwrap());
        assert!(matches!(from_picture(&wide), Err(PictureError::TooManyPixels { width: 8193, height: 1 })));
    }
}
