//! A picture looked at in several ways: smaller, turned, with even light, sharper or softer. Each way reads codes that the others do not.

use super::raster::Luma;

/// What is done with a picture before a code is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Nothing.
    Plain,
    /// Every pixel is held against those around it: uneven light goes, and little contrast becomes much.
    Even,
    /// Edges that are blurred are made steeper.
    Sharp,
    /// Noise and the lines of a screen are smoothed away.
    Soft,
}

/// One way to look at a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct View {
    /// Most pixels along the longer side.
    pub(super) side: usize,
    /// What is done with it.
    pub(super) treatment: Treatment,
    /// By how much it is turned, in degrees.
    pub(super) degrees: f64,
}

/// A picture as it is looked at, and where its pixels were in the one that was given.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) luma: Luma,
    /// Pixels of the one that was given for each of these, along both sides.
    scale: (f64, f64),
    degrees: f64,
    /// The middle that it was turned around, before and after, in pixels of this size.
    middles: ((f64, f64), (f64, f64)),
}

impl View {
    /// Looks at a picture.
    pub(super) fn of(&self, whole: &Luma) -> Seen {
        let Self { side, treatment, degrees } = *self;
        let small = resized(whole, side);
        let scale = (whole.width as f64 / small.width as f64, whole.height as f64 / small.height as f64);
        let turned = if degrees == 0.0 { small.clone() } else { turned(&small, degrees) };
        let middle = |luma: &Luma| (luma.width as f64 / 2.0, luma.height as f64 / 2.0);
        let middles = (middle(&small), middle(&turned));
        Seen { luma: treated(turned, treatment), scale, degrees, middles }
    }
}

impl Seen {
    /// Where a place in this picture is in the one that was given.
    pub(super) fn back(&self, (x, y): (f64, f64)) -> (f64, f64) {
        let (before, after) = self.middles;
        let (sin, cos) = self.degrees.to_radians().sin_cos();
        let (x, y) = (x - after.0, y - after.1);
        let (x, y) = (cos * x + sin * y + before.0, cos * y - sin * x + before.1);
        (x * self.scale.0, y * self.scale.1)
    }
}

fn treated(luma: Luma, treatment: Treatment) -> Luma {
    match treatment {
        Treatment::Plain => luma,
        Treatment::Even => evened(&luma),
        Treatment::Sharp => sharpened(&luma),
        Treatment::Soft => softened(&softened(&luma)),
    }
}

/// The same picture with at most so many pixels along its longer side, or with twice as many as it has. Each is the mean of those it stands for.
pub(super) fn resized(luma: &Luma, side: usize) -> Luma {
    let longer = luma.width.max(luma.height);
    if side >= 2 * longer {
        return doubled(luma);
    } else if side >= longer {
        return luma.clone();
    }
    let of = |len: usize| (len * side).div_ceil(longer).max(1);
    let (width, height) = (of(luma.width), of(luma.height));
    // Rows first, then columns: each new pixel covers a stretch of old ones, those at its ends by a part.
    let across = stretches(luma.width, width);
    let mut narrow = vec![0f32; width * luma.height];
    for (row, out) in luma.pixels.chunks_exact(luma.width).zip(narrow.chunks_exact_mut(width)) {
        for (out, stretch) in out.iter_mut().zip(&across) {
            *out = stretch.mean(|at| f32::from(row[at]));
        }
    }
    let mut pixels = Vec::with_capacity(width * height);
    for stretch in stretches(luma.height, height) {
        pixels.extend((0..width).map(|x| rounded(stretch.mean(|y| narrow[y * width + x]))));
    }
    Luma { width, height, pixels }
}

/// The old pixels that a new one stands for.
struct Stretch {
    first: usize,
    last: usize,
    /// How much of the first and of the last.
    parts: (f32, f32),
}

impl Stretch {
    fn mean(&self, value: impl Fn(usize) -> f32) -> f32 {
        let Self { first, last, parts: (head, tail) } = *self;
        if first == last {
            return value(first);
        }
        let inner: f32 = (first + 1..last).map(&value).sum();
        let len = head + tail + (last - first - 1) as f32;
        (head * value(first) + inner + tail * value(last)) / len
    }
}

fn stretches(from: usize, to: usize) -> Vec<Stretch> {
    let step = from as f64 / to as f64;
    let stretch = |at: usize| {
        let (begin, end) = (at as f64 * step, ((at + 1) as f64 * step).min(from as f64));
        let (first, last) = (begin as usize, (end.ceil() as usize).saturating_sub(1).min(from - 1));
        let first = first.min(last);
        let head = (first as f64 + 1.0 - begin).clamp(0.0, 1.0) as f32;
        let tail = (end - last as f64).clamp(0.0, 1.0) as f32;
        Stretch { first, last, parts: (head, tail) }
    };
    (0..to).map(stretch).collect()
}

/// Twice as large, with means between the pixels.
fn doubled(luma: &Luma) -> Luma {
    let (width, height) = (luma.width * 2, luma.height * 2);
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            pixels.push(between(luma, (x as f64 - 0.5) / 2.0, (y as f64 - 0.5) / 2.0));
        }
    }
    Luma { width, height, pixels }
}

/// The shade between pixels; white outside.
fn between(luma: &Luma, x: f64, y: f64) -> u8 {
    let (left, top) = (x.floor(), y.floor());
    let (part_x, part_y) = (x - left, y - top);
    let shade = |x: f64, y: f64| {
        let inside = x >= 0.0 && y >= 0.0 && x < luma.width as f64 && y < luma.height as f64;
        if inside { f64::from(luma.pixels[y as usize * luma.width + x as usize]) } else { 255.0 }
    };
    let row = |y: f64| shade(left, y) * (1.0 - part_x) + shade(left + 1.0, y) * part_x;
    rounded((row(top) * (1.0 - part_y) + row(top + 1.0) * part_y) as f32)
}

/// The picture turned around its middle, all of it there.
fn turned(luma: &Luma, degrees: f64) -> Luma {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (w, h) = (luma.width as f64, luma.height as f64);
    let (width, height) = ((w * cos.abs() + h * sin.abs()).ceil(), (w * sin.abs() + h * cos.abs()).ceil());
    let mut pixels = Vec::with_capacity(width as usize * height as usize);
    for y in 0..height as usize {
        for x in 0..width as usize {
            let (x, y) = (x as f64 - width / 2.0, y as f64 - height / 2.0);
            pixels.push(between(luma, cos * x + sin * y + w / 2.0, cos * y - sin * x + h / 2.0));
        }
    }
    Luma { width: width as usize, height: height as usize, pixels }
}

/// Each pixel by how far it is from the mean around it, in units of how far those are on average.
fn evened(luma: &Luma) -> Luma {
    /// What is one shade from the mean where all is even is no ink.
    const LEAST: f64 = 6.0;
    let Luma { width, height, pixels } = luma;
    let radius = (width.max(height) / 40).max(4);
    // Sums of all that is above and to the left, and of its squares.
    let mut sums = vec![(0u64, 0u64); (width + 1) * (height + 1)];
    for y in 0..*height {
        let mut row = (0, 0);
        for x in 0..*width {
            let shade = u64::from(pixels[y * width + x]);
            row = (row.0 + shade, row.1 + shade * shade);
            let above = sums[y * (width + 1) + x + 1];
            sums[(y + 1) * (width + 1) + x + 1] = (above.0 + row.0, above.1 + row.1);
        }
    }
    let mut even = Vec::with_capacity(pixels.len());
    for y in 0..*height {
        let (top, bottom) = (y.saturating_sub(radius), (y + radius + 1).min(*height));
        for x in 0..*width {
            let (left, right) = (x.saturating_sub(radius), (x + radius + 1).min(*width));
            let at = |x: usize, y: usize| sums[y * (width + 1) + x];
            let (a, b, c, d) = (at(right, bottom), at(left, top), at(left, bottom), at(right, top));
            let count = ((right - left) * (bottom - top)) as f64;
            let mean = (a.0 + b.0 - c.0 - d.0) as f64 / count;
            let deviation = ((a.1 + b.1 - c.1 - d.1) as f64 / count - mean * mean).max(0.0).sqrt();
            let shade = f64::from(pixels[y * width + x]);
            even.push(rounded((128.0 + 80.0 * (shade - mean) / deviation.max(LEAST)) as f32));
        }
    }
    Luma { width: *width, height: *height, pixels: even }
}

/// Each pixel moved away from the mean of those beside it.
fn sharpened(luma: &Luma) -> Luma {
    let soft = softened(luma);
    let steeper = |(shade, soft): (&u8, &u8)| {
        let (shade, soft) = (f32::from(*shade), f32::from(*soft));
        rounded(shade + 2.0 * (shade - soft))
    };
    Luma { pixels: luma.pixels.iter().zip(&soft.pixels).map(steeper).collect(), ..*luma }
}

/// Each pixel with those beside it, the nearest counting most.
fn softened(luma: &Luma) -> Luma {
    let Luma { width, height, pixels } = luma;
    let shade = |x: usize, y: usize| u32::from(pixels[y.min(height - 1) * width + x.min(width - 1)]);
    let mut soft = Vec::with_capacity(pixels.len());
    for y in 0..*height {
        let (above, below) = (y.saturating_sub(1), y + 1);
        for x in 0..*width {
            let (left, right) = (x.saturating_sub(1), x + 1);
            let row = |y: usize| shade(left, y) + 2 * shade(x, y) + shade(right, y);
            let sum = row(above) + 2 * row(y) + row(below);
            soft.push(u8::try_from(sum / 16).unwrap_or(u8::MAX));
        }
    }
    Luma { width: *width, height: *height, pixels: soft }
}

fn rounded(shade: f32) -> u8 {
    // What is less than 0 or more than 255 is that.
    (shade + 0.5) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope(width: usize, height: usize) -> Luma {
        let pixels =
            (0..height).flat_map(|y| (0..width).map(move |x| (x * 255 / width / 2 + y * 255 / height / 2) as u8));
        Luma { width, height, pixels: pixels.collect() }
    }

    #[test]
    fn a_smaller_picture_is_the_same_picture() {
        for (width, height, side) in [(300, 200, 100), (301, 199, 100), (97, 331, 50), (1000, 3, 400)] {
            let small = resized(&slope(width, height), side);
            assert_eq!(small.width.max(small.height), side, "{width} {height}");
            let same = slope(small.width, small.height);
            let off = small.pixels.iter().zip(&same.pixels).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(off <= 255 / 2 / small.width.min(small.height).max(1) as u8 + 4, "{width} {height}: {off}");
        }
        assert_eq!(resized(&slope(30, 20), 30), slope(30, 20));
        assert_eq!((doubled(&slope(30, 20)).width, resized(&slope(30, 20), 60).height), (60, 40));
    }

    #[test]
    fn what_is_seen_is_where_it_was() {
        for (side, degrees) in [(50, 0.0), (100, 0.0), (200, 0.0), (100, 45.0), (60, 30.0), (100, -20.0)] {
            // A white picture with one dark spot.
            let (width, height, spot) = (100usize, 80usize, (30usize, 50usize));
            let mut pixels = vec![255; width * height];
            for y in spot.1 - 4..=spot.1 + 4 {
                pixels[y * width + spot.0 - 4..=y * width + spot.0 + 4].fill(0);
            }
            let seen = View { side, treatment: Treatment::Plain, degrees }.of(&Luma { width, height, pixels });
            let (mut at, mut count) = ((0.0, 0.0), 0.0);
            for (place, shade) in seen.luma.pixels.iter().enumerate() {
                if *shade < 100 {
                    at.0 += (place % seen.luma.width) as f64 + 0.5;
                    at.1 += (place / seen.luma.width) as f64 + 0.5;
                    count += 1.0;
                }
            }
            let (x, y) = seen.back((at.0 / count, at.1 / count));
            assert!((x - 30.5).abs() < 2.0 && (y - 50.5).abs() < 2.0, "{side} {degrees}: {x} {y}");
        }
    }

    #[test]
    fn light_that_is_uneven_is_evened() {
        // Stripes that are darker at one end than paper is at the other.
        let (width, height) = (400usize, 100usize);
        let shade = |x: usize| if (x / 5).is_multiple_of(2) { 20 + x / 4 } else { 60 + x / 3 };
        let pixels = (0..height).flat_map(|_| (0..width).map(|x| shade(x) as u8)).collect();
        let even = evened(&Luma { width, height, pixels });
        let row = &even.pixels[50 * width..51 * width];
        for (x, shade) in row.iter().enumerate() {
            assert_eq!(*shade > 128, x / 5 % 2 == 1, "{x}: {shade}");
        }
    }
}
