//! Lossless scans (ITU-T T.81 H): each sample is predicted from its neighbours, and the difference is coded.

use super::super::CodecError;
use super::huffman::{Bits, Table};
use super::planes::Plane;
use super::{Frame, Scan, Tables, damaged};

/// Decodes a scan into the planes of its components and says how many bytes it has.
pub(super) fn scan(
    frame: &Frame,
    tables: &Tables,
    scan: &Scan,
    data: &[u8],
    planes: &mut [Plane],
) -> Result<usize, CodecError> {
    if !(1..=7).contains(&scan.start) || scan.low >= frame.precision {
        return Err(damaged("a lossless scan has no predictor"));
    }
    let codes: Vec<&Table> = scan
        .components
        .iter()
        .map(|one| tables.dc[one.dc].as_ref().ok_or_else(|| damaged("a scan lacks a table")))
        .collect::<Result<_, _>>()?;
    let mut bits = Bits::new(data);
    let mut left = tables.restart;
    // The row in which the scan, or what follows a restart, begins: it has none above it.
    let mut top = true;
    for row in 0..frame.rows {
        for column in 0..frame.columns {
            let mut is_first = row == 0 && column == 0;
            if tables.restart > 0 {
                if left == 0 {
                    bits.restart()?;
                    left = tables.restart;
                    (top, is_first) = (true, true);
                }
                left -= 1;
            }
            for (one, table) in scan.components.iter().zip(&codes) {
                let plane = &mut planes[one.component];
                let predicted = if is_first {
                    1 << (frame.precision - scan.low - 1)
                } else {
                    predict(plane, row, column, top, scan.start)
                };
                let difference = match bits.symbol(table)? {
                    16 => 32_768,
                    len @ 0..16 => bits.number(len.into()),
                    _ => return Err(damaged("a difference has too many bits")),
                };
                plane.samples[row * plane.width + column] =
                    (predicted + difference).to_le_bytes().first_chunk().map_or(0, |two| u16::from_le_bytes(*two));
            }
        }
        top = false;
        if bits.is_over() {
            return Err(damaged("a scan ends before its last row"));
        }
    }
    if scan.low > 0 {
        for one in &scan.components {
            planes[one.component].samples.iter_mut().for_each(|sample| *sample <<= scan.low);
        }
    }
    Ok(bits.end())
}

/// Table H.1, with the exceptions for the first row and the first column.
#[inline]
fn predict(plane: &Plane, row: usize, column: usize, top: bool, predictor: u8) -> i32 {
    let at = row * plane.width + column;
    let sample = |at: usize| i32::from(plane.samples[at]);
    if top && column > 0 {
        return sample(at - 1);
    }
    if column == 0 {
        return sample(at - plane.width);
    }
    let (left, above, corner) = (sample(at - 1), sample(at - plane.width), sample(at - plane.width - 1));
    match predictor {
        1 => left,
        2 => above,
        3 => corner,
        4 => left + above - corner,
        5 => left + ((above - corner) >> 1),
        6 => above + ((left - corner) >> 1),
        _ => (left + above) >> 1,
    }
}
