//! Instances made byte by byte, right and wrong.

use std::io::Cursor;

use clavicle_dicom::Unreadable;
use clavicle_dicom::facts::Facts;

/// An explicit little endian element; the VR decides how its length is written.
pub fn element(group: u16, number: u16, vr: &str, value: &[u8]) -> Vec<u8> {
    claiming(group, number, vr, value.len() as u32, value)
}

/// An element that claims to be `len` bytes long.
pub fn claiming(group: u16, number: u16, vr: &str, len: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = [group.to_le_bytes(), number.to_le_bytes()].concat();
    bytes.extend_from_slice(vr.as_bytes());
    if ["OB", "OW", "SQ", "UN", "UT"].contains(&vr) {
        bytes.extend_from_slice(&[0, 0]);
        bytes.extend_from_slice(&len.to_le_bytes());
    } else {
        bytes.extend_from_slice(&(len as u16).to_le_bytes());
    }
    bytes.extend_from_slice(value);
    bytes
}

/// An item or a delimiter.
pub fn item(number: u16, len: u32, value: &[u8]) -> Vec<u8> {
    [&0xfffe_u16.to_le_bytes()[..], &number.to_le_bytes(), &len.to_le_bytes(), value].concat()
}

pub const UNDEFINED: u32 = 0xffff_ffff;

/// What an instance is named by.
#[derive(Clone)]
pub struct Named {
    pub study: String,
    pub series: String,
    pub instance: String,
    pub patient: String,
}

impl Named {
    pub fn new(series: usize, instance: usize) -> Self {
        Self {
            study: "1.2.3".into(),
            series: format!("1.2.3.{series}"),
            instance: format!("1.2.3.{series}.{instance}"),
            patient: "P1".into(),
        }
    }

    /// A file with these names, and `more` elements at its end.
    pub fn file(&self, more: &[Vec<u8>]) -> Vec<u8> {
        let uid = |text: &str| {
            let mut value = text.as_bytes().to_vec();
            value.resize(value.len().next_multiple_of(2), 0);
            value
        };
        let padded = |text: &str| if text.len().is_multiple_of(2) { text.to_owned() } else { format!("{text} ") };
        [
            vec![0; 128],
            b"DICM".to_vec(),
            element(2, 0x10, "UI", &uid("1.2.840.10008.1.2.1")),
            element(8, 0x16, "UI", &uid("1.2.840.10008.5.1.4.1.1.4")),
            element(8, 0x18, "UI", &uid(&self.instance)),
            element(8, 0x60, "CS", b"MR"),
            element(0x10, 0x20, "LO", padded(&self.patient).as_bytes()),
            element(0x20, 0x0d, "UI", &uid(&self.study)),
            element(0x20, 0x0e, "UI", &uid(&self.series)),
            more.concat(),
        ]
        .concat()
    }
}

pub fn read(bytes: &[u8]) -> Result<Facts, Unreadable> {
    Facts::read(Cursor::new(bytes), bytes.len() as u64)
}

/// A DICOMDIR whose records are of these files, each by its name and its SOP Instance UID. `leads_to` says, of a record and of where all of them begin,
/// where the next is and the one below; 0 is nowhere.
pub fn dicomdir(files: &[(&str, &str)], leads_to: impl Fn(usize, &[u32]) -> [u32; 2]) -> Vec<u8> {
    let padded = |text: &str, with: u8| {
        let mut value = text.as_bytes().to_vec();
        value.resize(value.len().next_multiple_of(2), with);
        value
    };
    let record = |(name, uid): &(&str, &str), [next, lower]: [u32; 2]| {
        let inside = [
            element(4, 0x1400, "UL", &next.to_le_bytes()),
            element(4, 0x1410, "US", &[0xff, 0xff]),
            element(4, 0x1420, "UL", &lower.to_le_bytes()),
            element(4, 0x1430, "CS", b"IMAGE "),
            element(4, 0x1500, "CS", &padded(name, b' ')),
            element(4, 0x1510, "UI", b"1.2.840.10008.5.1.4.1.1.4\0"),
            element(4, 0x1511, "UI", &padded(uid, 0)),
            element(4, 0x1512, "UI", b"1.2.840.10008.1.2.1\0"),
        ];
        item(0xe000, inside.concat().len() as u32, &inside.concat())
    };
    let front = |first: u32| {
        [
            vec![0; 128],
            b"DICM".to_vec(),
            element(2, 2, "UI", b"1.2.840.10008.1.3.10"),
            element(2, 0x10, "UI", b"1.2.840.10008.1.2.1\0"),
            element(4, 0x1130, "CS", b"DISC"),
            element(4, 0x1200, "UL", &first.to_le_bytes()),
            element(4, 0x1202, "UL", &first.to_le_bytes()),
            element(4, 0x1212, "US", &[0, 0]),
        ]
        .concat()
    };
    let (mut at, mut begins) = (front(0).len() as u32 + 12, Vec::new());
    for file in files {
        begins.push(at);
        at += record(file, [0, 0]).len() as u32;
    }
    let records: Vec<u8> =
        files.iter().enumerate().flat_map(|(number, file)| record(file, leads_to(number, &begins))).collect();
    [front(begins.first().copied().unwrap_or(0)), element(4, 0x1220, "SQ", &records)].concat()
}
