//! Several pictures on one.

use clavicle_pixels::picture::{Picture, Pixels};

/// Pictures side by side, row by row, each in the middle of its cell; `None` of none.
pub(super) fn sheet(pictures: &[Picture]) -> Option<Picture> {
    let columns = (1..).find(|columns| columns * columns >= pictures.len()).filter(|_| !pictures.is_empty())?;
    let rows = pictures.len().div_ceil(columns);
    let cell = pictures.iter().flat_map(|picture| [picture.width, picture.height]).max()? as usize + 2;
    let width = columns * cell;
    let mut pixels = vec![0; width * rows * cell * 3];
    for (number, picture) in pictures.iter().enumerate() {
        let (wide, high) = (picture.width as usize, picture.height as usize);
        let left = number % columns * cell + (cell - wide) / 2;
        let top = number / columns * cell + (cell - high) / 2;
        for row in 0..high {
            let to = &mut pixels[((top + row) * width + left) * 3..][..wide * 3];
            match &picture.pixels {
                Pixels::Rgb(from) => to.copy_from_slice(&from[row * wide * 3..][..wide * 3]),
                Pixels::Grey(from) => {
                    for (to, shade) in to.chunks_exact_mut(3).zip(&from[row * wide..][..wide]) {
                        to.fill(*shade);
                    }
                }
            }
        }
    }
    let (width, height) = (u32::try_from(width).ok()?, u32::try_from(rows * cell).ok()?);
    Some(Picture { width, height, pixels: Pixels::Rgb(pixels) })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_a_cell_for_each() {
        let picture = |shade: u8| Picture { width: 4, height: 2, pixels: Pixels::Grey(vec![shade; 8]) };
        assert_eq!(sheet(&[]), None);
        let sheet = sheet(&[picture(1), picture(2), picture(3)]).unwrap();
        assert_eq!((sheet.width, sheet.height), (12, 12));
        let Pixels::Rgb(pixels) = sheet.pixels else { unreachable!() };
        for shade in 1..=3u8 {
            assert_eq!(pixels.iter().filter(|one| **one == shade).count(), 24);
        }
    }
}
