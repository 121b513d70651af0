//! Files made here, and files taken apart.

use std::path::{Path, PathBuf};

pub const CT: &str = "1.2.840.10008.5.1.4.1.1.2";
pub const SECONDARY_CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
pub const EXPLICIT: &str = "1.2.840.10008.1.2.1";

/// Where the data set of a file begins, by the group length (PS3.10 §7.1).
pub fn data_set(file: &[u8]) -> &[u8] {
    assert_eq!(&file[128..140], b"DICM\x02\0\0\0UL\x04\0");
    let len = u32::from_le_bytes(file[140..144].try_into().unwrap());
    &file[144 + len as usize..]
}

/// An element in explicit little endian with a length of two bytes.
fn element(to: &mut Vec<u8>, group: u16, element: u16, vr: &[u8; 2], value: &[u8]) {
    to.extend(group.to_le_bytes());
    to.extend(element.to_le_bytes());
    to.extend(vr);
    let pad = if vr == b"UI" { 0 } else { b' ' };
    let padded = value.len() + value.len() % 2;
    if vr == b"OW" || vr == b"OB" {
        to.extend([0, 0]);
        to.extend(u32::try_from(padded).unwrap().to_le_bytes());
    } else {
        to.extend(u16::try_from(padded).unwrap().to_le_bytes());
    }
    to.extend(value);
    to.extend(&[pad][..value.len() % 2]);
}

/// A secondary capture image of 2,048 columns and so many rows, two bytes each; number `number` of its series.
pub fn image(number: u16, rows: u16) -> Vec<u8> {
    let instance = format!("2.25.7.{number}");
    let mut meta = Vec::new();
    element(&mut meta, 2, 0x01, b"OB", &[0, 1]);
    element(&mut meta, 2, 0x02, b"UI", SECONDARY_CAPTURE.as_bytes());
    element(&mut meta, 2, 0x03, b"UI", instance.as_bytes());
    element(&mut meta, 2, 0x10, b"UI", EXPLICIT.as_bytes());
    element(&mut meta, 2, 0x12, b"UI", b"2.25.8");
    let len = u32::try_from(meta.len()).unwrap().to_le_bytes();
    let mut file = [&[0; 128], &b"DICM\x02\0\0\0UL\x04\0"[..], &len, &meta].concat();
    element(&mut file, 0x08, 0x16, b"UI", SECONDARY_CAPTURE.as_bytes());
    element(&mut file, 0x08, 0x18, b"UI", instance.as_bytes());
    element(&mut file, 0x08, 0x60, b"CS", b"OT");
    element(&mut file, 0x10, 0x10, b"PN", b"Nobody");
    element(&mut file, 0x10, 0x20, b"LO", b"0");
    element(&mut file, 0x20, 0x0d, b"UI", b"2.25.5");
    element(&mut file, 0x20, 0x0e, b"UI", b"2.25.6");
    let numbers = [(0x02, 1), (0x10, rows), (0x11, 2_048), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 0)];
    for (tag, value) in numbers {
        if tag == 0x10 {
            element(&mut file, 0x28, 0x04, b"CS", b"MONOCHROME2");
        }
        element(&mut file, 0x28, tag, b"US", &value.to_le_bytes());
    }
    // Something of which no two pieces are alike.
    let pixels: Vec<u8> = (0..u32::from(rows) * 2_048)
        .flat_map(|at| (at.wrapping_mul(2_654_435_761) >> 16 ^ u32::from(number)).to_le_bytes()[..2].to_vec())
        .collect();
    element(&mut file, 0x7fe0, 0x10, b"OW", &pixels);
    file
}

/// 64 MiB of it, written down.
pub fn large_image(folder: &Path, number: u16) -> PathBuf {
    let path = folder.join(format!("large-{number}.dcm"));
    std::fs::write(&path, image(number, 16_384)).unwrap();
    path
}

/// Where the test data is.
pub fn test_data() -> PathBuf {
    clavicle_samples::files::test_data("")
}

pub use clavicle_samples::files::pydicom;
