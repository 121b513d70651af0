//! Markers: how codestreams of the JPEG family are divided (ITU-T T.81 B.1.1, T.87 C.1).

use super::{Codec, CodecError};

/// Start of image.
pub(super) const SOI: u8 = 0xd8;
/// End of image.
pub(super) const EOI: u8 = 0xd9;
/// Start of scan.
pub(super) const SOS: u8 = 0xda;
/// Define restart interval.
pub(super) const DRI: u8 = 0xdd;

/// A marker and what it is followed by.
#[derive(Debug)]
pub(super) struct Marker<'a> {
    /// The byte after 0xFF.
    pub(super) code: u8,
    /// The parameters, without their length.
    pub(super) body: &'a [u8],
}

/// Steps from marker to marker.
#[derive(Debug)]
pub(super) struct Markers<'a> {
    codec: Codec,
    rest: &'a [u8],
}

impl<'a> Markers<'a> {
    pub(super) fn new(codec: Codec, bytes: &'a [u8]) -> Result<Self, CodecError> {
        let mut markers = Self { codec, rest: bytes };
        match markers.next()? {
            Marker { code: SOI, .. } => Ok(markers),
            _ => Err(markers.damaged("it does not start with a start of image")),
        }
    }

    pub(super) fn next(&mut self) -> Result<Marker<'a>, CodecError> {
        // Any number of 0xFF may fill up to a marker.
        let start = self.rest.iter().position(|byte| *byte != 0xff).unwrap_or(self.rest.len());
        if start == 0 {
            return Err(self.damaged("something else stands where a marker should"));
        }
        let Some((code, rest)) = self.rest[start..].split_first() else {
            return Err(self.damaged("it ends where a marker should stand"));
        };
        self.rest = rest;
        if matches!(*code, SOI | EOI | 0x01 | 0xd0..=0xd7) {
            return Ok(Marker { code: *code, body: &[] });
        }
        let [high, low, rest @ ..] = rest else { return Err(self.damaged("it ends in a marker")) };
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        let Some(body) = len.checked_sub(2).and_then(|len| rest.get(..len)) else {
            return Err(self.damaged("a marker is longer than what is left"));
        };
        self.rest = &rest[body.len()..];
        Ok(Marker { code: *code, body })
    }

    /// What follows the last marker: after a start of scan, its entropy-coded data.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Steps over as many bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.rest = self.rest.get(count..).unwrap_or_default();
    }

    pub(super) const fn damaged(&self, what: &'static str) -> CodecError {
        CodecError::Damaged { codec: self.codec, what }
    }
}
