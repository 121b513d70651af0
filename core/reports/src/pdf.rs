//! A page of a PDF as a picture. What a PDF says is a program of its own: it is read only somewhere harmless, and bounded there in memory and time; here
//! in pages and pixels.

use hayro::hayro_interpret::InterpreterSettings;
use hayro::hayro_syntax::{LoadPdfError, Pdf};
use hayro::vello_cpu::color::palette::css::WHITE;
use hayro::{PixmapSettings, RenderCache, RenderSettings, render};

use crate::pdf_page::{MAX_PAGES, MAX_SIDE, PdfError, PdfPage};

/// Points of a page's longer side below which it is none, and above which it is none that anybody printed: 200 inches, the most that PDF 1.7 has
/// (Annex C).
const SIDES: std::ops::RangeInclusive<f32> = 1.0..=14_400.0;

/// The page with this number, from one, `longest` pixels along its longer side.
///
/// # Errors
/// [`PdfError`].
pub fn page(bytes: Vec<u8>, number: u32, longest: u32) -> Result<PdfPage, PdfError> {
    let pdf = Pdf::new(bytes).map_err(|error| match error {
        LoadPdfError::Decryption(_) => PdfError::Locked,
        LoadPdfError::Invalid => PdfError::NotAPdf,
    })?;
    let all = pdf.pages();
    let pages = u32::try_from(all.len()).unwrap_or(u32::MAX);
    if pages == 0 {
        return Err(PdfError::NotAPdf);
    }
    let at = number.checked_sub(1).filter(|at| *at < pages.min(MAX_PAGES));
    let page = at.and_then(|at| all.get(at as usize)).ok_or(PdfError::NoPage { pages })?;
    let (width, height) = page.render_dimensions();
    let (long, short) = (width.max(height), width.min(height));
    // A side that is no number is in no range.
    if !SIDES.contains(&long) || !(0.0..=long).contains(&short) {
        return Err(PdfError::Size);
    }
    let scale = longest.clamp(1, MAX_SIDE) as f32 / long;
    // At least a pixel: a line of a page is a page.
    let y_or_x = |side: f32| if side * scale < 1.0 { 1.0 / side.max(f32::MIN_POSITIVE) } else { scale };
    let pixmap = PixmapSettings { x_scale: y_or_x(width), y_scale: y_or_x(height), bg_color: WHITE };
    let cache = RenderCache::new();
    let drawn = render(page, &cache, &InterpreterSettings::default(), &RenderSettings::default(), &pixmap);
    let (width, height) = (u32::from(drawn.width()), u32::from(drawn.height()));
    if width == 0 || height == 0 || width > MAX_SIDE || height > MAX_SIDE {
        return Err(PdfError::Size);
    }
    // On white, nothing shows through: what is multiplied by it and what is not are the same.
    let rgb = drawn.data_as_u8_slice().chunks_exact(4).flat_map(|pixel| pixel[..3].iter().copied()).collect();
    Ok(PdfPage { pages, width, height, rgb })
}
