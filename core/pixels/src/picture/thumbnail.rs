//! Thumbnails: small pictures, in the proportions of the body.

use dicom_dictionary_std::tags;

use super::{Picture, Pixels};
use crate::frames::Attributes;

/// How much higher than wide a pixel is: by Pixel Spacing (0028,0030), Imager Pixel Spacing (0018,1164) or Pixel Aspect Ratio (0028,0034), else 1.
#[must_use]
pub fn pixel_aspect(attributes: Attributes<'_>, frame: u32) -> f64 {
    let measures = attributes.of_frame(frame, tags::PIXEL_MEASURES_SEQUENCE);
    let found = [
        measures.numbers(tags::PIXEL_SPACING),
        attributes.numbers(tags::IMAGER_PIXEL_SPACING),
        attributes.numbers(tags::PIXEL_ASPECT_RATIO),
    ]
    .into_iter()
    .find_map(|pair| match pair.as_slice() {
        // Each is told down the column first.
        [down, across] if *down > 0.0 && *across > 0.0 => Some(down / across),
        _ => None,
    });
    // Beyond this it is an error, and would make a line of the picture.
    found.filter(|aspect| (0.05..=20.0).contains(aspect)).unwrap_or(1.0)
}

impl Picture {
    /// The same within a square of `side` pixels, no larger than it was, with pixels as high as wide. Each pixel is the mean of
    /// those it stands for.
    #[must_use]
    pub fn thumbnail(&self, side: u32, pixel_aspect: f64) -> Self {
        let (width, height) = (f64::from(self.width), f64::from(self.height) * pixel_aspect);
        let scale = (f64::from(side.max(1)) / width.max(height)).min(1.0 / pixel_aspect.max(1.0)).min(1.0);
        let fit = |len: f64, most: u32| ((len * scale).round() as u32).clamp(1, most.max(1));
        let (width, height) = (fit(width, self.width), fit(height, self.height.max(side)));
        let pixels = match &self.pixels {
            Pixels::Grey(pixels) => Pixels::Grey(self.reduce::<1>(pixels, width, height)),
            Pixels::Rgb(pixels) => Pixels::Rgb(self.reduce::<3>(pixels, width, height)),
        };
        Self { width, height, pixels }
    }

    fn reduce<const SAMPLES: usize>(&self, pixels: &[u8], width: u32, height: u32) -> Vec<u8> {
        let (pixels, _) = pixels.as_chunks::<SAMPLES>();
        let across: Vec<(usize, usize)> = (0..width).map(|at| part(at, width, self.width)).collect();
        let mut reduced = Vec::new();
        for y in 0..height {
            let (top, bottom) = part(y, height, self.height);
            for (left, right) in &across {
                let mut sums = [0_u64; SAMPLES];
                let mut count = 0;
                for row in pixels.chunks_exact(self.width as usize).skip(top).take(bottom - top) {
                    for pixel in &row[*left..*right] {
                        sums.iter_mut().zip(pixel).for_each(|(sum, sample)| *sum += u64::from(*sample));
                        count += 1;
                    }
                }
                reduced.extend(sums.map(|sum| ((sum + count / 2) / count.max(1)) as u8));
            }
        }
        reduced
    }
}

/// From where to where the pixels lie that one of `of` stands for: at least one.
fn part(at: u32, of: u32, len: u32) -> (usize, usize) {
    let place = |at: u32| (u64::from(at) * u64::from(len) / u64::from(of)) as usize;
    let start = place(at).min(len as usize - 1);
    (start, place(at + 1).max(start + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, pixels: Vec<u8>) -> Picture {
        Picture { width, height, pixels: Pixels::Grey(pixels) }
    }

    #[test]
    fn each_pixel_is_the_mean_of_its_part() {
        let picture = grey(4, 2, vec![0, 10, 20, 30, 10, 20, 30, 41]);
        assert_eq!(picture.thumbnail(2, 1.0), grey(2, 1, vec![10, 30]));
        assert_eq!(picture.thumbnail(99, 1.0), picture);
    }

    #[test]
    fn proportions_are_those_of_the_body() {
        let picture = grey(100, 50, vec![7; 5_000]);
        let high = picture.thumbnail(40, 4.0);
        assert_eq!((high.width, high.height), (20, 40));
        let wide = picture.thumbnail(40, 0.5);
        assert_eq!((wide.width, wide.height), (40, 10));
        let one = grey(1, 1, vec![9]).thumbnail(10, 20.0);
        assert!(one.width == 1 && one.height >= 1);
    }
}
