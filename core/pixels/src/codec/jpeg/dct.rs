//! Sequential DCT scans (ITU-T T.81 F): blocks of 64 coefficients, each turned into samples as soon as it is read.
//!
//! The inverse transform is the fast one of Loeffler, Ligtenberg and Moschytz in whole numbers, with thirteen bits of fraction, as most
//! programs have it: so that two of them see the same grey.

use super::super::CodecError;
use super::huffman::{Bits, Table};
use super::planes::Plane;
use super::{Frame, Scan, Scanned, Tables, damaged};

/// Where the coefficients of a block go, in the order in which they are coded (figure A.6).
const ZIGZAG: [usize; 64] = zigzag();

const fn zigzag() -> [usize; 64] {
    let mut order = [0; 64];
    let (mut row, mut column, mut number) = (0_usize, 0_usize, 0);
    while number < 64 {
        order[number] = 8 * row + column;
        // Even diagonals go up, odd ones down, and turn at the border.
        if (row + column).is_multiple_of(2) {
            if column == 7 {
                row += 1;
            } else if row == 0 {
                column += 1;
            } else {
                row -= 1;
                column += 1;
            }
        } else if row == 7 {
            column += 1;
        } else if column == 0 {
            row += 1;
        } else {
            row += 1;
            column -= 1;
        }
        number += 1;
    }
    order
}

/// Decodes a scan into the planes of its components and says how many bytes it has.
pub(super) fn scan(
    frame: &Frame,
    tables: &Tables,
    scan: &Scan,
    data: &[u8],
    planes: &mut [Plane],
) -> Result<usize, CodecError> {
    let lacks = || damaged("a scan lacks a table");
    let coders: Vec<Coder> = scan
        .components
        .iter()
        .map(|one| {
            let quantization = frame.components[one.component].quantization;
            Ok(Coder {
                scanned: *one,
                dc: tables.dc[one.dc].as_ref().ok_or_else(lacks)?,
                ac: tables.ac[one.ac].as_ref().ok_or_else(lacks)?,
                quantization: tables.quantization[quantization].as_ref().ok_or_else(lacks)?,
            })
        })
        .collect::<Result<_, CodecError>>()?;
    // A component alone in its scan comes block by block, without those that only fill up units (A.2.2).
    let alone = coders.len() == 1;
    let (across, down) = if alone {
        let (width, height) = frame.size(&frame.components[coders[0].scanned.component]);
        (width.div_ceil(8), height.div_ceil(8))
    } else {
        frame.units()
    };
    let mut bits = Bits::new(data);
    let mut predictions = vec![0; coders.len()];
    let mut left = tables.restart;
    for row in 0..down {
        for column in 0..across {
            if tables.restart > 0 {
                if left == 0 {
                    bits.restart()?;
                    predictions.fill(0);
                    left = tables.restart;
                }
                left -= 1;
            }
            for (coder, prediction) in coders.iter().zip(&mut predictions) {
                let component = &frame.components[coder.scanned.component];
                let plane = &mut planes[coder.scanned.component];
                let (wide, high) = if alone { (1, 1) } else { (component.horizontal, component.vertical) };
                for y in 0..high {
                    for x in 0..wide {
                        let block = coder.block(&mut bits, prediction)?;
                        let at = 8 * ((row * high + y) * plane.width + column * wide + x);
                        block.transform(frame.precision, &mut plane.samples[at..], plane.width);
                    }
                }
            }
        }
        if bits.is_over() {
            return Err(damaged("a scan ends before its last row"));
        }
    }
    Ok(bits.end())
}

/// What a component's blocks are decoded with.
struct Coder<'a> {
    scanned: Scanned,
    dc: &'a Table,
    ac: &'a Table,
    quantization: &'a [u16; 64],
}

/// Coefficients, dequantized.
struct Block {
    coefficients: [i64; 64],
    /// Whether there are any but the first.
    has_ac: bool,
}

impl Coder<'_> {
    /// F.2.2.1, F.2.2.2.
    fn block(&self, bits: &mut Bits<'_>, prediction: &mut i32) -> Result<Block, CodecError> {
        let mut block = Block { coefficients: [0; 64], has_ac: false };
        let len = bits.symbol(self.dc)?;
        if len > 16 {
            return Err(damaged("a difference has too many bits"));
        }
        *prediction = prediction.wrapping_add(bits.number(len.into()));
        block.coefficients[0] = dequantized(*prediction, self.quantization[0]);
        let mut number = 1;
        while number < 64 {
            let symbol = bits.symbol(self.ac)?;
            let (run, len) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            if len == 0 {
                if run < 15 {
                    break;
                }
                number += 16;
                continue;
            }
            number += run;
            let value = bits.number(len);
            let place = ZIGZAG.get(number).ok_or_else(|| damaged("a block has too many coefficients"))?;
            block.coefficients[*place] = dequantized(value, self.quantization[number]);
            block.has_ac = true;
            number += 1;
        }
        Ok(block)
    }
}

/// Of a sane image it has 16 bits. What is beyond 20 would only be cut off later, or overflow before.
fn dequantized(value: i32, step: u16) -> i64 {
    (i64::from(value) * i64::from(step)).clamp(-1 << 20, 1 << 20)
}

impl Block {
    /// Writes the samples of the block into rows of a plane.
    fn transform(mut self, precision: u32, samples: &mut [u16], stride: usize) {
        // After the first pass, as many bits of fraction are kept as a product has room for.
        let kept = if precision == 8 { 2 } else { 1 };
        let centre = 1_i64 << (precision - 1);
        let most = (1_i64 << precision) - 1;
        if self.has_ac {
            for column in 0..8 {
                self.pass(column, 8, FRACTION - kept);
            }
            for row in 0..8 {
                self.pass(8 * row, 1, FRACTION + kept + 3);
            }
        } else {
            // All are the same; rounded twice, as above.
            let value = self.coefficients[0] << kept;
            self.coefficients = [round(value, kept + 3); 64];
        }
        for (row, samples) in self.coefficients.chunks_exact(8).zip(samples.chunks_mut(stride)) {
            for (value, sample) in row.iter().zip(samples) {
                *sample = u16::try_from((value + centre).clamp(0, most)).unwrap_or(0);
            }
        }
    }

    /// One dimension: eight values, `step` apart, in place.
    #[inline]
    fn pass(&mut self, first: usize, step: usize, shift: u32) {
        let at = |number: usize| self.coefficients[first + number * step];
        // The even part: a rotation by 3π/8 of the second and sixth.
        let sum = (at(2) + at(6)) * C_0_541;
        let (low, high) = (sum - at(6) * C_1_847, sum + at(2) * C_0_765);
        let (plus, minus) = ((at(0) + at(4)) << FRACTION, (at(0) - at(4)) << FRACTION);
        let even = [plus + high, minus + low, minus - low, plus - high];
        // The odd part.
        let (one, three, five, seven) = (at(1), at(3), at(5), at(7));
        let turned = (one + three + five + seven) * C_1_175;
        let outer = (one + seven) * -C_0_899;
        let inner = (three + five) * -C_2_562;
        let upper = (three + seven) * -C_1_961 + turned;
        let lower = (one + five) * -C_0_390 + turned;
        let odd = [
            one * C_1_501 + outer + lower,
            three * C_3_072 + inner + upper,
            five * C_2_053 + inner + lower,
            seven * C_0_298 + outer + upper,
        ];
        for number in 0..4 {
            self.coefficients[first + number * step] = round(even[number] + odd[number], shift);
            self.coefficients[first + (7 - number) * step] = round(even[number] - odd[number], shift);
        }
    }
}

#[inline]
const fn round(value: i64, shift: u32) -> i64 {
    (value + (1 << (shift - 1))) >> shift
}

/// Bits of fraction of the constants.
const FRACTION: u32 = 13;
// Sums of cosines of multiples of π/16, times √2, named by their value.
const C_0_298: i64 = 2446;
const C_0_390: i64 = 3196;
const C_0_541: i64 = 4433;
const C_0_765: i64 = 6270;
const C_0_899: i64 = 7373;
const C_1_175: i64 = 9633;
const C_1_501: i64 = 12299;
const C_1_847: i64 = 15137;
const C_1_961: i64 = 16069;
const C_2_053: i64 = 16819;
const C_2_562: i64 = 20995;
const C_3_072: i64 = 25172;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_that_of_the_figure() {
        assert_eq!(ZIGZAG[..10], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]);
        assert_eq!(ZIGZAG[56..], [58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63][8..]);
        let mut sorted = ZIGZAG;
        sorted.sort_unstable();
        assert!(sorted.iter().enumerate().all(|(number, place)| number == *place));
    }

    /// The definition (A.3.3).
    fn exact(coefficients: &[i64; 64], x: usize, y: usize) -> f64 {
        let scale = |k: usize| if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave = |at: usize, k: usize| ((2 * at + 1) as f64 * k as f64 * core::f64::consts::PI / 16.0).cos();
        let mut sum = 0.0;
        for v in 0..8 {
            for u in 0..8 {
                let value = coefficients[8 * v + u] as f64;
                sum += scale(u) * scale(v) * value * wave(x, u) * wave(y, v);
            }
        }
        sum / 4.0
    }

    #[test]
    fn the_transform_is_that_of_the_definition() {
        for (precision, size) in [(8_u32, 300_i64), (12, 4_000)] {
            let mut seed = 1_i64;
            for round in 0..50 {
                let mut coefficients = [0; 64];
                for (number, value) in coefficients.iter_mut().enumerate().take(1 + round) {
                    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
                    *value = (seed / 65_536 % (2 * size + 1) - size) / (1 + number as i64);
                }
                let block = Block { coefficients, has_ac: coefficients[1..].iter().any(|value| *value != 0) };
                let mut samples = [0_u16; 64];
                block.transform(precision, &mut samples, 8);
                let most = f64::from((1_u32 << precision) - 1);
                for (number, sample) in samples.iter().enumerate() {
                    let wanted = exact(&coefficients, number % 8, number / 8) + f64::from(1_u32 << (precision - 1));
                    assert!((f64::from(*sample) - wanted.clamp(0.0, most)).abs() <= 1.0, "{number} in round {round}");
                }
            }
        }
    }
}
