//! The word that every image bears in a corner, outside the body: that nobody is to take it for a person's.

/// The letters of the word, three wide and five high; each line is a number of three bits.
const LETTERS: [[u8; 5]; 9] = [
    [0b111, 0b100, 0b111, 0b001, 0b111], // S
    [0b101, 0b101, 0b010, 0b010, 0b010], // Y
    [0b110, 0b101, 0b101, 0b101, 0b101], // N
    [0b111, 0b010, 0b010, 0b010, 0b010], // T
    [0b101, 0b101, 0b111, 0b101, 0b101], // H
    [0b111, 0b100, 0b110, 0b100, 0b111], // E
    [0b111, 0b010, 0b010, 0b010, 0b010], // T
    [0b111, 0b010, 0b010, 0b010, 0b111], // I
    [0b111, 0b100, 0b100, 0b100, 0b111], // C
];
/// A letter, and the gap behind it.
const PITCH: usize = 4;
const HEIGHT: usize = 5;
const WIDTH: usize = LETTERS.len() * PITCH;

/// Writes SYNTHETIC into the upper left corner of an image, a fifth as wide as it or as wide as it must be to be read. An image of
/// fewer than 37 columns is too narrow for the word, and goes without.
pub(super) fn write<T: Copy>(pixels: &mut [T], columns: usize, ink: T) {
    let scale = (columns / 5 / WIDTH).max(1);
    let margin = 1 + columns / 128;
    if margin + WIDTH > columns || (margin + HEIGHT * scale) * columns > pixels.len() {
        return;
    }
    for row in 0..HEIGHT * scale {
        for column in 0..WIDTH * scale {
            let (letter, bit) = (column / scale / PITCH, column / scale % PITCH);
            if bit < 3 && LETTERS[letter][row / scale] & (0b100 >> bit) != 0 {
                pixels[(margin + row) * columns + margin + column] = ink;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_can_be_read() {
        let columns = 40;
        let mut pixels = vec![' '; columns * 8];
        write(&mut pixels, columns, '#');
        let lines: Vec<String> = pixels.chunks(columns).map(|line| line.iter().collect()).collect();
        assert_eq!(lines[1].trim_end(), " ### # # ##  ### # # ### ### ### ###");
        assert_eq!(lines[3].trim_end(), " ###  #  # #  #  ### ##   #   #  #");
        assert_eq!(lines[5].trim_end(), " ###  #  # #  #  # # ###  #  ### ###");
    }

    #[test]
    fn an_image_that_is_too_small_goes_without() {
        for (columns, rows) in [(0, 0), (16, 16), (36, 36), (64, 5)] {
            let mut pixels = vec![0; columns * rows];
            write(&mut pixels, columns, 1);
            assert!(!pixels.contains(&1));
        }
    }
}
