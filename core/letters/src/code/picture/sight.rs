//! Codes found in a picture: by two decoders that nobody here wrote, in one view after another until one is read.
//!
//! ```text
//! picture ─► views that are always looked at ─► one code? ─► its text
//!                                          └─► none? ─► one more view, and another, until there is one or no view is left
//! ```
//!
//! `rqrr` and `rxing` (ZXing's) find and sample codes in different ways, and fail on different pictures. Both correct errors with the code's own Reed–Solomon
//! code and say nothing where there are too many, and a text that says of itself that it is ours is held against its checksum besides: what is read wrong is
//! passed over, and the next view is looked at.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rqrr::PreparedImage;
use rxing::common::HybridBinarizer;
use rxing::multi::MultipleBarcodeReader as _;
use rxing::qrcode::cpp_port::QrReader;
use rxing::{BarcodeFormat, BinaryBitmap, DecodeHints, Luma8Source};

use super::PictureError;
use super::raster::Luma;
use super::views::{Seen, Treatment, View};
use crate::code::is_misread;

/// Views that are always looked at, so that one code of several is not taken because it is the sharpest.
const ALWAYS: [View; 3] = [
    View { side: 1600, treatment: Treatment::Plain, degrees: 0.0 },
    View { side: 800, treatment: Treatment::Plain, degrees: 0.0 },
    View { side: 1600, treatment: Treatment::Even, degrees: 0.0 },
];
/// Views that are looked at one after another while nothing is read: those first that read most.
const MORE: [View; 15] = [
    View { side: 1100, treatment: Treatment::Even, degrees: 0.0 },
    View { side: 2400, treatment: Treatment::Plain, degrees: 0.0 },
    View { side: 2400, treatment: Treatment::Even, degrees: 0.0 },
    View { side: 1600, treatment: Treatment::Sharp, degrees: 0.0 },
    View { side: 1600, treatment: Treatment::Soft, degrees: 0.0 },
    View { side: 1600, treatment: Treatment::Even, degrees: 30.0 },
    View { side: 1350, treatment: Treatment::Plain, degrees: 45.0 },
    View { side: 800, treatment: Treatment::Even, degrees: 0.0 },
    View { side: 4096, treatment: Treatment::Plain, degrees: 0.0 },
    View { side: 4096, treatment: Treatment::Soft, degrees: 0.0 },
    View { side: 600, treatment: Treatment::Even, degrees: 0.0 },
    View { side: 1100, treatment: Treatment::Sharp, degrees: 0.0 },
    View { side: 2400, treatment: Treatment::Soft, degrees: 15.0 },
    View { side: 2400, treatment: Treatment::Even, degrees: 60.0 },
    View { side: 400, treatment: Treatment::Plain, degrees: 0.0 },
];

/// A code in the picture that was given: where, how large, and what it says, if it was read.
#[derive(Clone, Debug, PartialEq)]
struct Found {
    middle: (f64, f64),
    side: f64,
    text: Option<String>,
}

/// Codes at different places.
#[derive(Debug, Default)]
struct Places(Vec<Found>);

/// Finds the one code in a picture, and reads it.
pub(super) fn read(picture: &Luma) -> Result<String, PictureError> {
    let mut places = Places::default();
    let mut looked = Vec::new();
    for view in ALWAYS {
        places.look(picture, view, &mut looked);
    }
    for view in MORE {
        if places.is_read() {
            break;
        }
        places.look(picture, view, &mut looked);
    }
    places.one()
}

impl Places {
    /// Looks at a picture in one more way, unless that would be a way in which it was looked at already.
    fn look(&mut self, picture: &Luma, view: View, looked: &mut Vec<View>) {
        let longer = picture.width.max(picture.height);
        // A small picture is looked at as it is, and twice as large.
        let side = if view.side >= 2 * longer { 2 * longer } else { view.side.min(longer) };
        let view = View { side, ..view };
        if looked.contains(&view) {
            return;
        }
        looked.push(view);
        let seen = view.of(picture);
        for found in by_rxing(&seen) {
            self.add(found);
        }
        for found in by_rqrr(&seen) {
            // What only looks like a code is not rare where the contrast was made.
            if found.text.is_some() || view.treatment == Treatment::Plain && view.degrees == 0.0 {
                self.add(found);
            }
        }
    }

    /// Adds what was found, unless it is what was found there before.
    fn add(&mut self, found: Found) {
        let same = self.0.iter_mut().find(|one| {
            let apart = (one.middle.0 - found.middle.0).hypot(one.middle.1 - found.middle.1);
            apart < one.side.max(found.side) / 2.0
        });
        match same {
            Some(one) if one.text.is_none() => *one = found,
            Some(_) => {}
            None => self.0.push(found),
        }
    }

    fn is_read(&self) -> bool {
        self.0.iter().any(|one| one.text.is_some())
    }

    /// The text of the only one. One that cannot be read counts as well, if it is of a size with one that can: it may be the one that is meant.
    fn one(self) -> Result<String, PictureError> {
        let read = self.0.iter().filter(|one| one.text.is_some());
        let largest = read.map(|one| one.side).fold(0.0, f64::max);
        let counts = |one: &Found| one.text.is_some() || one.side > largest / 3.0;
        let mut count: Vec<Found> = self.0.into_iter().filter(counts).collect();
        match (count.len(), count.pop()) {
            (_, None) => Err(PictureError::NoCode),
            (1, Some(Found { text: Some(text), .. })) => Ok(text),
            (1, Some(Found { text: None, .. })) => Err(PictureError::Unreadable),
            (several, _) if largest > 0.0 => Err(PictureError::Several(several)),
            // Nothing can be read, and what looks like a code may be none.
            _ => Err(PictureError::Unreadable),
        }
    }
}

impl Found {
    /// By its corners in a view.
    fn new(seen: &Seen, corners: impl Iterator<Item = (f64, f64)>, text: Option<String>) -> Option<Self> {
        let corners: Vec<(f64, f64)> = corners.map(|corner| seen.back(corner)).collect();
        let count = corners.len() as f64;
        let sum = corners.iter().fold((0.0, 0.0), |sum, corner| (sum.0 + corner.0, sum.1 + corner.1));
        let middle = (sum.0 / count, sum.1 / count);
        // From the middle to a corner is half a diagonal.
        let reach = corners.iter().map(|corner| (corner.0 - middle.0).hypot(corner.1 - middle.1)).fold(0.0, f64::max);
        let side = reach * std::f64::consts::SQRT_2;
        (count > 0.0 && side.is_finite()).then_some(Self { middle, side, text })
    }
}

/// What one decoder finds. It is for pictures from anywhere: that it panics is no reason for this program to.
fn by_rqrr(seen: &Seen) -> Vec<Found> {
    let Luma { width, height, pixels } = &seen.luma;
    let find = || {
        let mut image = PreparedImage::prepare_from_greyscale(*width, *height, |x, y| pixels[y * width + x]);
        let grids = image.detect_grids();
        let found = grids.iter().filter_map(|grid| {
            let text = grid.decode().ok().map(|(_, text)| text).filter(|text| !is_misread(text));
            Found::new(seen, grid.bounds.iter().map(|point| (f64::from(point.x), f64::from(point.y))), text)
        });
        found.collect()
    };
    catch_unwind(AssertUnwindSafe(find)).unwrap_or_default()
}

/// What the other finds. It says nothing of codes that it cannot read.
fn by_rxing(seen: &Seen) -> Vec<Found> {
    let Luma { width, height, pixels } = &seen.luma;
    let find = || {
        let (Ok(width), Ok(height)) = (u32::try_from(*width), u32::try_from(*height)) else { return Vec::new() };
        let Ok(source) = Luma8Source::new_with_slice(pixels, width, height) else { return Vec::new() };
        let mut bitmap = BinaryBitmap::new(HybridBinarizer::new(source));
        let hints = DecodeHints {
            TryHarder: Some(true),
            PossibleFormats: Some(HashSet::from([BarcodeFormat::QR_CODE])),
            ..DecodeHints::default()
        };
        let found = QrReader.decode_multiple_with_hints(&mut bitmap, &hints).unwrap_or_default();
        let found = found.iter().filter(|one| !is_misread(one.getText())).filter_map(|one| {
            let corners = one.getPoints().iter().map(|point| (f64::from(point.x), f64::from(point.y)));
            Found::new(seen, corners, Some(one.getText().to_owned()))
        });
        found.collect()
    };
    catch_unwind(AssertUnwindSafe(find)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(middle: (f64, f64), side: f64, text: Option<&str>) -> Found {
        Found { middle, side, text: text.map(str::to_owned) }
    }

    fn one(all: &[Found]) -> Result<String, String> {
        let mut places = Places::default();
        all.iter().for_each(|one| places.add(one.clone()));
        places.one().map_err(|error| format!("{error:?}"))
    }

    #[test]
    fn one_code_is_one_however_often_it_is_found() {
        let text = Some("a");
        let mine = found((100.0, 100.0), 100.0, text);
        assert_eq!(one(&[mine.clone(), found((120.0, 90.0), 90.0, text)]).as_deref(), Ok("a"));
        // Found first, and read by another.
        assert_eq!(one(&[found((100.0, 100.0), 80.0, None), mine.clone()]).as_deref(), Ok("a"));
        assert_eq!(one(&[]), Err("NoCode".to_owned()));
        assert_eq!(one(&[found((1.0, 1.0), 10.0, None)]), Err("Unreadable".to_owned()));
        // Beside it the same, another, and one that cannot be read.
        for other in [text, Some("b"), None] {
            assert_eq!(one(&[mine.clone(), found((210.0, 100.0), 100.0, other)]), Err("Several(2)".to_owned()));
        }
        // A speck that nobody would call a code; one that is read is one, whatever its size.
        assert_eq!(one(&[mine.clone(), found((210.0, 100.0), 20.0, None)]).as_deref(), Ok("a"));
        assert_eq!(one(&[mine, found((210.0, 100.0), 20.0, Some("b"))]), Err("Several(2)".to_owned()));
    }
}
