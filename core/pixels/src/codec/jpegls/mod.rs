//! JPEG-LS (ITU-T T.87): lossless and near-lossless, of one component or several, in all three interleave modes.
//!
//! [`model`] is what the codec learns of the image while it decodes, [`scan`] walks the samples. Restart intervals, mapping tables and the
//! colour transforms of one vendor are refused: no transfer syntax of DICOM needs them.

mod bits;
mod model;
mod scan;

use self::model::Parameters;
use super::markers::{DRI, EOI, Marker, Markers, SOS};
use super::{Codec, CodecError, Decoded, Layout, PhotometricInterpretation, check_dimensions, check_plausible, widen};

const fn damaged(what: &'static str) -> CodecError {
    CodecError::Damaged { codec: Codec::JpegLs, what }
}

const fn unsupported(what: &'static str) -> CodecError {
    CodecError::Unsupported { codec: Codec::JpegLs, what }
}

/// The frame header.
struct Frame {
    precision: u32,
    columns: usize,
    ids: Vec<u8>,
}

/// How the components of a scan follow one another (ILV).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interleave {
    None,
    Line,
    Sample,
}

pub(super) fn decode(bytes: &[u8], layout: &Layout) -> Result<Decoded, CodecError> {
    let mut markers = Markers::new(Codec::JpegLs, bytes)?;
    let mut frame: Option<Frame> = None;
    let mut preset = None;
    let mut pixels: Vec<u16> = Vec::new();
    let mut seen = Vec::new();
    loop {
        let Marker { code, body } = match markers.next() {
            Ok(marker) => marker,
            // All was read: some files lack their end.
            Err(_) if frame.as_ref().is_some_and(|frame| frame.ids.len() == seen.len()) => break,
            Err(error) => return Err(error),
        };
        match code {
            0xf7 => {
                if frame.is_some() {
                    return Err(damaged("it has two frame headers"));
                }
                frame = Some(Frame::read(body, layout, bytes.len())?);
                pixels = vec![0; layout.count()];
            }
            0xf8 => match body.first() {
                Some(1) => preset = Some(preset_of(body)?),
                Some(2 | 3) => return Err(unsupported("a mapping table")),
                _ => return Err(unsupported("parameters of an extension")),
            },
            DRI => return Err(unsupported("restart intervals")),
            0xe8 if body.starts_with(b"mrfx") && body.get(4).is_some_and(|transform| *transform != 0) => {
                return Err(unsupported("a colour transform of its maker"));
            }
            SOS => {
                let frame = frame.as_ref().ok_or_else(|| damaged("a scan comes before the frame header"))?;
                let (components, near, interleave) = frame.scan(body)?;
                for component in &components {
                    if seen.contains(component) {
                        return Err(damaged("a component has two scans"));
                    }
                    seen.push(*component);
                }
                let parameters = Parameters::new(frame.precision, near, preset)
                    .ok_or_else(|| damaged("its parameters contradict one another"))?;
                let places = scan::Places { components: &components, of: frame.ids.len(), columns: frame.columns };
                let read = scan::scan(&parameters, interleave, &places, markers.rest(), &mut pixels)?;
                markers.skip(read);
            }
            EOI => break,
            _ => {}
        }
    }
    let frame = frame.ok_or_else(|| damaged("it has no frame header"))?;
    if seen.len() != frame.ids.len() {
        return Err(damaged("a component has no scan"));
    }
    // PS3.5 §8.2.3: there is no transform of its own, so that the data set says what the components are.
    let photometric = match layout.photometric {
        PhotometricInterpretation::YbrFull422 => PhotometricInterpretation::YbrFull,
        other => other,
    };
    widen(Codec::JpegLs, pixels.into_iter().map(i32::from), frame.precision, layout, photometric)
}

impl Frame {
    fn read(body: &[u8], layout: &Layout, len: usize) -> Result<Self, CodecError> {
        let [precision, y1, y0, x1, x0, count, components @ ..] = body else {
            return Err(damaged("its frame header is cut off"));
        };
        if components.len() != 3 * usize::from(*count) {
            return Err(damaged("its frame header has another length than it says"));
        }
        let (rows, columns) = (u16::from_be_bytes([*y1, *y0]), u16::from_be_bytes([*x1, *x0]));
        check_dimensions(Codec::JpegLs, layout, columns.into(), rows.into(), u32::from(*count))?;
        let precision = u32::from(*precision);
        if !(2..=16).contains(&precision) || u32::from(layout.bits_allocated) < precision {
            return Err(CodecError::Precision { codec: Codec::JpegLs, precision, allocated: layout.bits_allocated });
        }
        if components.chunks_exact(3).any(|component| component[1] != 0x11) {
            return Err(unsupported("components of different resolutions"));
        }
        // The longest run that a bit can stand for has 2¹⁵ samples.
        check_plausible(Codec::JpegLs, len, layout, 8 << 15)?;
        let ids = components.chunks_exact(3).map(|component| component[0]).collect();
        Ok(Self { precision, columns: columns.into(), ids })
    }

    /// The scan header (C.2.3): which components, how near, and how interleaved.
    fn scan(&self, body: &[u8]) -> Result<(Vec<usize>, i32, Interleave), CodecError> {
        let cut_off = || damaged("a scan header is cut off");
        let (count, rest) = body.split_first().ok_or_else(cut_off)?;
        let (components, rest) = rest.split_at_checked(2 * usize::from(*count)).ok_or_else(cut_off)?;
        let [near, interleave, transform, ..] = rest else { return Err(cut_off()) };
        if components.chunks_exact(2).any(|component| component[1] != 0) {
            return Err(unsupported("a mapping table"));
        }
        if *transform != 0 {
            return Err(unsupported("a point transform"));
        }
        let interleave = match (interleave, count) {
            (_, 1) => Interleave::None,
            (1, 2..=4) => Interleave::Line,
            (2, 2..=4) => Interleave::Sample,
            _ => return Err(damaged("its components are interleaved in no way there is")),
        };
        let find = |component: &[u8]| self.ids.iter().position(|id| *id == component[0]);
        let components = components
            .chunks_exact(2)
            .map(|one| find(one).ok_or_else(|| damaged("a scan has a component that the frame has not")))
            .collect::<Result<_, _>>()?;
        Ok((components, i32::from(*near), interleave))
    }
}

/// Preset coding parameters (C.2.4.1.1): MAXVAL, T1, T2, T3, RESET; 0 stands for the default.
fn preset_of(body: &[u8]) -> Result<[i32; 5], CodecError> {
    let values = body.get(1..11).ok_or_else(|| damaged("its parameters are cut off"))?;
    let mut preset = [0; 5];
    for (place, two) in preset.iter_mut().zip(values.chunks_exact(2)) {
        *place = i32::from(u16::from_be_bytes([two[0], two[1]]));
    }
    Ok(preset)
}
