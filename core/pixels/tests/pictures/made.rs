//! Files made by the tests themselves, and how they are opened.

use std::fs::File;
use std::path::Path;

use clavicle_pixels::frames::{Frames, FramesError};

/// Opens a file.
pub fn open_file(path: &Path) -> Result<Frames<File>, FramesError> {
    let file = File::open(path).map_err(|_| FramesError::Io)?;
    let len = file.metadata().map_err(|_| FramesError::Io)?.len();
    Frames::read(file, len)
}

/// An element in explicit VR little endian.
pub fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    let mut bytes = [&group.to_le_bytes()[..], &number.to_le_bytes(), vr.as_bytes()].concat();
    if matches!(vr, "OB" | "OF" | "OW" | "SQ" | "UN") {
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    } else {
        bytes.extend_from_slice(&(value.len() as u16).to_le_bytes());
    }
    bytes.extend_from_slice(value);
    bytes
}

/// A sequence of items.
pub fn sequence(group: u16, number: u16, items: &[Vec<u8>]) -> Vec<u8> {
    let mut value = Vec::new();
    for item in items {
        value.extend_from_slice(b"\xfe\xff\0\xe0");
        value.extend_from_slice(&(item.len() as u32).to_le_bytes());
        value.extend_from_slice(item);
    }
    element(group, number, "SQ", &value)
}

/// What an image needs to say, and no more.
pub struct Image {
    pub transfer_syntax: &'static str,
    pub rows: u16,
    pub columns: u16,
    pub samples_per_pixel: u16,
    pub bits_allocated: u16,
    pub bits_stored: u16,
    pub signed: bool,
    pub photometric: &'static str,
    /// Further elements of groups below 0028, and of it.
    pub before: Vec<Vec<u8>>,
    pub in_group_28: Vec<Vec<u8>>,
    /// Of groups between it and the pixels.
    pub after: Vec<Vec<u8>>,
}

impl Image {
    pub fn grey(rows: u16, columns: u16, bits_allocated: u16, bits_stored: u16) -> Self {
        Self {
            transfer_syntax: "1.2.840.10008.1.2.1",
            rows,
            columns,
            samples_per_pixel: 1,
            bits_allocated,
            bits_stored,
            signed: false,
            photometric: "MONOCHROME2",
            before: Vec::new(),
            in_group_28: Vec::new(),
            after: Vec::new(),
        }
    }

    fn head(&self) -> Vec<u8> {
        let even = |text: &str, pad: char| {
            let mut text = text.to_owned();
            if !text.len().is_multiple_of(2) {
                text.push(pad);
            }
            text.into_bytes()
        };
        let us = |number: u16, value: u16| element(0x28, number, "US", &value.to_le_bytes());
        let mut bytes = [vec![0; 128], b"DICM".to_vec()].concat();
        bytes.extend(element(2, 0x10, "UI", &even(self.transfer_syntax, '\0')));
        bytes.extend(element(8, 0x16, "UI", &even("1.2.840.10008.5.1.4.1.1.7", '\0')));
        bytes.extend(element(8, 0x18, "UI", &even("1.2.3.4", '\0')));
        bytes.extend(self.before.concat());
        bytes.extend(us(2, self.samples_per_pixel));
        bytes.extend(element(0x28, 4, "CS", &even(self.photometric, ' ')));
        if self.samples_per_pixel > 1 {
            bytes.extend(us(6, 0));
        }
        bytes.extend(us(0x10, self.rows));
        bytes.extend(us(0x11, self.columns));
        bytes.extend(us(0x100, self.bits_allocated));
        bytes.extend(us(0x101, self.bits_stored));
        bytes.extend(us(0x102, self.bits_stored - 1));
        bytes.extend(us(0x103, self.signed.into()));
        bytes.extend(self.in_group_28.concat());
        bytes.extend(self.after.concat());
        bytes
    }

    pub fn native(&self, pixels: &[u8]) -> Vec<u8> {
        [self.head(), element(0x7fe0, 0x10, "OW", pixels)].concat()
    }

    pub fn encapsulated(&self, codestream: &[u8]) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\0\0\0\0\xfe\xff\0\xe0");
        let padded = codestream.len().next_multiple_of(2);
        bytes.extend_from_slice(&(padded as u32).to_le_bytes());
        bytes.extend_from_slice(codestream);
        bytes.resize(bytes.len() + padded - codestream.len(), 0);
        bytes.extend_from_slice(b"\xfe\xff\xdd\xe0\0\0\0\0");
        bytes
    }
}
