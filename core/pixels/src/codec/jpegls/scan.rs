//! The walk over the samples of a scan (ITU-T T.87 A.8, B.2).

use super::super::CodecError;
use super::bits::Bits;
use super::model::{Around, Model, Parameters, RUN};
use super::{Interleave, damaged};

/// Where the samples of a scan go.
#[derive(Debug)]
pub(super) struct Places<'a> {
    /// The components of the scan, by their place in a pixel.
    pub(super) components: &'a [usize],
    /// Samples of a pixel.
    pub(super) of: usize,
    pub(super) columns: usize,
}

/// Two rows of a component, with one sample more at either end: the row above and the one being decoded.
struct Rows {
    above: Vec<i32>,
    here: Vec<i32>,
    /// How long runs have been, as a place in [`RUN`].
    run: usize,
}

impl Rows {
    fn new(columns: usize) -> Self {
        Self { above: vec![0; columns + 2], here: vec![0; columns + 2], run: 0 }
    }

    /// Begins the next row: beyond its ends, the row above counts (A.2.1).
    fn next(&mut self, columns: usize) {
        core::mem::swap(&mut self.above, &mut self.here);
        self.here[0] = self.above[1];
        self.above[columns + 1] = self.above[columns];
    }

    #[inline]
    fn around(&self, at: usize) -> Around {
        Around {
            left: self.here[at - 1],
            above: self.above[at],
            corner: self.above[at - 1],
            beyond: self.above[at + 1],
        }
    }
}

/// Decodes a scan into `pixels` and says how many bytes it has.
pub(super) fn scan(
    parameters: &Parameters,
    interleave: Interleave,
    places: &Places<'_>,
    data: &[u8],
    pixels: &mut [u16],
) -> Result<usize, CodecError> {
    let columns = places.columns;
    let mut bits = Bits::new(data);
    let mut model = Model::new(parameters);
    let mut rows: Vec<Rows> = places.components.iter().map(|_| Rows::new(columns)).collect();
    for line in pixels.chunks_exact_mut(columns * places.of) {
        rows.iter_mut().for_each(|rows| rows.next(columns));
        match interleave {
            Interleave::Sample => together(parameters, &mut model, &mut bits, &mut rows, columns)?,
            Interleave::None | Interleave::Line => {
                for rows in &mut rows {
                    together(parameters, &mut model, &mut bits, core::slice::from_mut(rows), columns)?;
                }
            }
        }
        for (rows, component) in rows.iter().zip(places.components) {
            for (pixel, sample) in line.chunks_exact_mut(places.of).zip(&rows.here[1..]) {
                // Each was cut to the largest sample, which has 16 bits.
                pixel[*component] = u16::try_from(*sample).unwrap_or(u16::MAX);
            }
        }
        if bits.is_over() {
            return Err(damaged("a scan ends before its last row"));
        }
    }
    Ok(bits.end())
}

/// Decodes a row of one component, or of several whose samples alternate.
fn together(
    parameters: &Parameters,
    model: &mut Model<'_>,
    bits: &mut Bits<'_>,
    rows: &mut [Rows],
    columns: usize,
) -> Result<(), CodecError> {
    let mut at = 1;
    while at <= columns {
        let is_even = rows.iter().all(|rows| parameters.context(&rows.around(at)) == 0);
        if !is_even {
            for rows in rows.iter_mut() {
                let around = rows.around(at);
                rows.here[at] = model.regular(bits, &around, parameters.context(&around))?;
            }
            at += 1;
            continue;
        }
        // All share the run of the first (A.7.1).
        let mut run = rows[0].run;
        let start = at;
        let ended = loop {
            let left = columns + 1 - at;
            let len = 1 << RUN[run];
            if bits.number(1) == 1 {
                at += len.min(left);
                if len <= left {
                    run = (run + 1).min(31);
                }
                if at > columns {
                    break false;
                }
            } else {
                let len = bits.number(RUN[run]) as usize;
                if len >= left {
                    return Err(damaged("a run is longer than its row"));
                }
                at += len;
                break true;
            }
        };
        for rows in rows.iter_mut() {
            let value = rows.here[start - 1];
            rows.here[start..at].fill(value);
        }
        if ended {
            let several = rows.len() > 1;
            for rows in rows.iter_mut() {
                let Around { left, above, .. } = rows.around(at);
                let alike = !several && (left - above).abs() <= parameters.near;
                rows.here[at] = model.end_of_run(bits, left, above, alike, RUN[run])?;
            }
            run = run.saturating_sub(1);
            at += 1;
        }
        rows[0].run = run;
    }
    Ok(())
}
