//! JPEG (ITU-T T.81): what DICOM has of it, which is Huffman coding, sequential DCT of 8 and 12 bits, and lossless of 2 to 16.
//!
//! The frame header is held against the layout first. Each scan then goes straight into the planes of its components; [`dct`] and [`lossless`]
//! say how. What is left is to give all components the same resolution and to undo the colour transform.

mod dct;
mod huffman;
mod lossless;
mod planes;

use self::huffman::Table;
use self::planes::Plane;
use super::markers::{DRI, EOI, Marker, Markers, SOS};
use super::{Codec, CodecError, Decoded, Layout, PhotometricInterpretation, check_dimensions, check_plausible, widen};

const fn damaged(what: &'static str) -> CodecError {
    CodecError::Damaged { codec: Codec::Jpeg, what }
}

const fn unsupported(what: &'static str) -> CodecError {
    CodecError::Unsupported { codec: Codec::Jpeg, what }
}

/// A component, as the frame header has it.
#[derive(Clone, Copy, Debug)]
struct Component {
    id: u8,
    /// Sampling factors.
    horizontal: usize,
    vertical: usize,
    quantization: usize,
}

/// The frame header (B.2.2).
#[derive(Debug)]
struct Frame {
    is_lossless: bool,
    precision: u32,
    rows: usize,
    columns: usize,
    components: Vec<Component>,
    /// The largest sampling factors.
    horizontal: usize,
    vertical: usize,
}

/// What markers before a scan define.
#[derive(Debug, Default)]
struct Tables {
    quantization: [Option<[u16; 64]>; 4],
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    /// In minimum coded units; 0 for none.
    restart: usize,
}

/// A component of a scan: which of the frame's, and its tables.
#[derive(Clone, Copy, Debug)]
struct Scanned {
    component: usize,
    dc: usize,
    ac: usize,
}

/// The scan header (B.2.3).
#[derive(Debug)]
struct Scan {
    components: Vec<Scanned>,
    /// In a lossless scan, the predictor.
    start: u8,
    /// In a lossless scan, the point transform.
    low: u32,
}

pub(super) fn decode(bytes: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let mut markers = Markers::new(Codec::Jpeg, bytes)?;
    let mut tables = Tables::default();
    let mut frame: Option<(Frame, Vec<Plane>)> = None;
    let mut colours = Colours::default();
    let mut seen = Vec::new();
    loop {
        let Marker { code, body } = match markers.next() {
            Ok(marker) => marker,
            // All was read: some files lack their end.
            Err(_) if frame.as_ref().is_some_and(|(frame, _)| frame.components.len() == seen.len()) => break,
            Err(error) => return Err(error),
        };
        match code {
            0xdb => tables.quantization(body)?,
            0xc4 => tables.huffman(body)?,
            DRI => {
                let interval = body.first_chunk().ok_or_else(|| damaged("a restart interval is cut off"))?;
                tables.restart = u16::from_be_bytes(*interval).into();
            }
            0xe0 if body.starts_with(b"JFIF\0") => colours.is_jfif = true,
            0xee if body.starts_with(b"Adobe") => colours.adobe = body.get(11).copied(),
            0xc0 | 0xc1 | 0xc3 => {
                if frame.is_some() {
                    return Err(damaged("it has two frame headers"));
                }
                let header = Frame::read(code == 0xc3, body)?;
                header.check(layout, bytes.len())?;
                let planes = header.planes();
                frame = Some((header, planes));
            }
            0xc2 => return Err(unsupported("progressive scans")),
            0xc5..=0xc7 | 0xcd..=0xcf => return Err(unsupported("hierarchical frames")),
            0xc9..=0xcb => return Err(unsupported("arithmetic coding")),
            SOS => {
                let (frame, planes) = frame.as_mut().ok_or_else(|| damaged("a scan comes before the frame header"))?;
                let scan = Scan::read(frame, body)?;
                for one in &scan.components {
                    if seen.contains(&one.component) {
                        return Err(damaged("a component has two scans"));
                    }
                    seen.push(one.component);
                }
                let data = markers.rest();
                let read = if frame.is_lossless {
                    lossless::scan(frame, &tables, &scan, data, planes)?
                } else {
                    dct::scan(frame, &tables, &scan, data, planes)?
                };
                markers.skip(read);
            }
            EOI => break,
            _ => {}
        }
    }
    let (frame, planes) = frame.ok_or_else(|| damaged("it has no frame header"))?;
    if seen.len() != frame.components.len() {
        return Err(damaged("a component has no scan"));
    }
    let is_ybr = colours.are_ybr(&frame, layout);
    let photometric = match layout.photometric {
        one if one.is_of_one_sample() => one,
        _ if is_ybr || !frame.is_lossless => PhotometricInterpretation::Rgb,
        PhotometricInterpretation::YbrFull422 => PhotometricInterpretation::YbrFull,
        other => other,
    };
    let values = planes::pixels(&frame, &planes, is_ybr);
    widen(Codec::Jpeg, values.into_iter().map(i32::from), frame.precision, layout, photometric)
}

/// What tells whether three components are Y, Cb, Cr.
#[derive(Debug, Default)]
struct Colours {
    is_jfif: bool,
    /// The transform that an Adobe marker tells: 0 is none.
    adobe: Option<u8>,
}

impl Colours {
    /// PS3.5 §8.2.1 lets the codestream's own markers count for nothing, yet many files have a data set that is wrong: component ids
    /// come first, then markers, then the data set.
    fn are_ybr(&self, frame: &Frame, layout: &Layout) -> bool {
        // Lossless processes have no colour transform of their own: what the data set says is what there is.
        if frame.components.len() != 3 || frame.is_lossless {
            return false;
        }
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id.to_ascii_uppercase()).collect();
        match self.adobe {
            _ if ids == *b"RGB" => false,
            Some(transform) => transform != 0,
            None if self.is_jfif => true,
            None => layout.photometric != PhotometricInterpretation::Rgb,
        }
    }
}

impl Frame {
    fn read(is_lossless: bool, body: &[u8]) -> Result<Self, CodecError> {
        let [precision, y1, y0, x1, x0, count, components @ ..] = body else {
            return Err(damaged("its frame header is cut off"));
        };
        if components.len() != 3 * usize::from(*count) {
            return Err(damaged("its frame header has another length than it says"));
        }
        let components: Vec<Component> = components
            .chunks_exact(3)
            .map(|one| Component {
                id: one[0],
                horizontal: usize::from(one[1] >> 4),
                vertical: usize::from(one[1] & 15),
                quantization: usize::from(one[2]),
            })
            .collect();
        let ranges = |component: &Component| {
            (1..=4).contains(&component.horizontal)
                && (1..=4).contains(&component.vertical)
                && component.quantization < 4
        };
        if !components.iter().all(ranges) {
            return Err(damaged("its frame header is out of range"));
        }
        Ok(Self {
            is_lossless,
            precision: u32::from(*precision),
            rows: u16::from_be_bytes([*y1, *y0]).into(),
            columns: u16::from_be_bytes([*x1, *x0]).into(),
            horizontal: components.iter().map(|component| component.horizontal).max().unwrap_or(1),
            vertical: components.iter().map(|component| component.vertical).max().unwrap_or(1),
            components,
        })
    }

    fn check(&self, layout: &Layout, len: usize) -> Result<(), CodecError> {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        check_dimensions(Codec::Jpeg, layout, number(self.columns), number(self.rows), number(self.components.len()))?;
        let precision = if self.is_lossless { 2..=16 } else { 8..=12 };
        if !precision.contains(&self.precision) || u32::from(layout.bits_allocated) < self.precision {
            return Err(CodecError::Precision {
                codec: Codec::Jpeg,
                precision: self.precision,
                allocated: layout.bits_allocated,
            });
        }
        if self
            .components
            .iter()
            .any(|one| !self.horizontal.is_multiple_of(one.horizontal) || !self.vertical.is_multiple_of(one.vertical))
        {
            return Err(unsupported("components of which one is not a multiple of the other"));
        }
        if self.is_lossless && (self.horizontal, self.vertical) != (1, 1) {
            return Err(unsupported("lossless components of different resolutions"));
        }
        // A sample of a lossless scan takes a bit; a block of 64, two bits. With four components of which three are of a sixteenth of the
        // resolution, that is little more than four times as many samples.
        check_plausible(Codec::Jpeg, len, layout, if self.is_lossless { 8 } else { 1024 })
    }

    /// Minimum coded units of an interleaved scan, in a row and in all rows.
    fn units(&self) -> (usize, usize) {
        (self.columns.div_ceil(8 * self.horizontal), self.rows.div_ceil(8 * self.vertical))
    }

    /// Samples of a component that belong to the image, in a row and in a column (A.1.1).
    fn size(&self, component: &Component) -> (usize, usize) {
        (
            (self.columns * component.horizontal).div_ceil(self.horizontal),
            (self.rows * component.vertical).div_ceil(self.vertical),
        )
    }

    fn planes(&self) -> Vec<Plane> {
        let (across, down) = self.units();
        let plane = |component: &Component| {
            if self.is_lossless {
                Plane::new(self.columns, self.rows)
            } else {
                Plane::new(8 * across * component.horizontal, 8 * down * component.vertical)
            }
        };
        self.components.iter().map(plane).collect()
    }
}

impl Tables {
    /// B.2.4.1.
    fn quantization(&mut self, mut body: &[u8]) -> Result<(), CodecError> {
        while let [kind, rest @ ..] = body {
            let wide = kind >> 4 != 0;
            let len = if wide { 128 } else { 64 };
            let (values, place) = (rest.get(..len), self.quantization.get_mut(usize::from(kind & 15)));
            let (Some(values), Some(place)) = (values, place) else {
                return Err(damaged("a quantization table is cut off"));
            };
            let mut table = [0; 64];
            for (number, value) in table.iter_mut().enumerate() {
                *value = if wide {
                    u16::from_be_bytes([values[2 * number], values[2 * number + 1]])
                } else {
                    values[number].into()
                };
            }
            *place = Some(table);
            body = &rest[len..];
        }
        Ok(())
    }

    /// B.2.4.2.
    fn huffman(&mut self, mut body: &[u8]) -> Result<(), CodecError> {
        while let [kind, rest @ ..] = body {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or_else(|| damaged("a Huffman table is cut off"))?;
            let count = counts.iter().map(|count| usize::from(*count)).sum();
            let symbols = rest.get(..count).ok_or_else(|| damaged("a Huffman table is cut off"))?;
            let tables = if kind >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let place =
                tables.get_mut(usize::from(kind & 15)).ok_or_else(|| damaged("a Huffman table has no place"))?;
            *place = Some(Table::new(counts, symbols).ok_or_else(|| damaged("a Huffman table has too many codes"))?);
            body = &rest[count..];
        }
        Ok(())
    }
}

impl Scan {
    fn read(frame: &Frame, body: &[u8]) -> Result<Self, CodecError> {
        let cut_off = || damaged("a scan header is cut off");
        let (count, rest) = body.split_first().ok_or_else(cut_off)?;
        let count = usize::from(*count);
        let (components, rest) = rest.split_at_checked(2 * count).ok_or_else(cut_off)?;
        let [start, _, approximation, ..] = rest else { return Err(cut_off()) };
        if !(1..=4).contains(&count) {
            return Err(damaged("a scan has no component, or too many"));
        }
        let find = |one: &[u8]| {
            let component = frame.components.iter().position(|component| component.id == one[0]);
            let component = component.ok_or_else(|| damaged("a scan has a component that the frame has not"))?;
            let scanned = Scanned { component, dc: usize::from(one[1] >> 4), ac: usize::from(one[1] & 15) };
            if scanned.dc < 4 && scanned.ac < 4 { Ok(scanned) } else { Err(damaged("a scan header is out of range")) }
        };
        let components = components.chunks_exact(2).map(find).collect::<Result<_, _>>()?;
        Ok(Self { components, start: *start, low: u32::from(approximation & 15) })
    }
}
