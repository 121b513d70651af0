//! The files that are fetched: DICOM that any server takes, of noise, which nothing makes shorter.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use blake3::OutputReader;

/// A study of `count` images with as many pixels a side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Its folder, and what its UIDs are made with.
    pub(crate) number: u32,
    pub(crate) count: u32,
    pub(crate) side: u16,
}

impl Shape {
    pub(crate) fn uid(self) -> String {
        format!("1.2.840.99999.{}", self.number)
    }

    /// All of one length, so that text order is their order.
    pub(crate) fn instance_uid(self, number: u32) -> String {
        format!("{}.1.{}", self.uid(), 10_000 + number)
    }

    pub(crate) fn series_uid(self) -> String {
        format!("{}.1", self.uid())
    }

    pub(crate) fn folder(self, root: &Path) -> PathBuf {
        root.join(self.number.to_string())
    }

    pub(crate) fn file(self, root: &Path, number: u32) -> PathBuf {
        self.folder(root).join(format!("{number:04}.dcm"))
    }

    /// Writes its files.
    pub(crate) fn write(self, root: &Path) {
        fs::create_dir_all(self.folder(root)).unwrap();
        for number in 0..self.count {
            let mut file = BufWriter::new(File::create(self.file(root, number)).unwrap());
            let instance = self.instance_uid(number);
            file.write_all(&self.begin(number)).unwrap();
            let mut noise = blake3::Hasher::new().update(instance.as_bytes()).finalize_xof();
            pixels(&mut noise, usize::from(self.side) * usize::from(self.side) * 2, &mut file);
            file.flush().unwrap();
        }
    }

    /// Everything before the pixels (PS3.10 §7.1, PS3.5 §7.1.2).
    fn begin(self, number: u32) -> Vec<u8> {
        const MR: &str = "1.2.840.10008.5.1.4.1.1.4";
        let (instance, mut meta) = (self.instance_uid(number), Vec::new());
        element(&mut meta, (0x0002, 0x0001), b"OB", &[0, 1]);
        text(&mut meta, (0x0002, 0x0002), b"UI", MR);
        text(&mut meta, (0x0002, 0x0003), b"UI", &instance);
        text(&mut meta, (0x0002, 0x0010), b"UI", "1.2.840.10008.1.2.1");
        text(&mut meta, (0x0002, 0x0012), b"UI", "1.2.840.99999");
        let mut all = [&[0; 128][..], b"DICM"].concat();
        let len = u32::try_from(meta.len()).unwrap();
        element(&mut all, (0x0002, 0x0000), b"UL", &len.to_le_bytes());
        all.append(&mut meta);
        text(&mut all, (0x0008, 0x0016), b"UI", MR);
        text(&mut all, (0x0008, 0x0018), b"UI", &instance);
        text(&mut all, (0x0008, 0x0060), b"CS", "MR");
        text(&mut all, (0x0010, 0x0010), b"PN", "Bench^Transfer");
        text(&mut all, (0x0010, 0x0020), b"LO", "BENCH");
        text(&mut all, (0x0020, 0x000D), b"UI", &self.uid());
        text(&mut all, (0x0020, 0x000E), b"UI", &self.series_uid());
        text(&mut all, (0x0020, 0x0013), b"IS", &number.to_string());
        let short = |all: &mut Vec<u8>, tag, value: u16| element(all, tag, b"US", &value.to_le_bytes());
        short(&mut all, (0x0028, 0x0002), 1);
        text(&mut all, (0x0028, 0x0004), b"CS", "MONOCHROME2");
        for (tag, value) in
            [(0x0010, self.side), (0x0011, self.side), (0x0100, 16), (0x0101, 16), (0x0102, 15), (0x0103, 0)]
        {
            short(&mut all, (0x0028, tag), value);
        }
        let len = u32::from(self.side) * u32::from(self.side) * 2;
        for half in [0x7FE0_u16, 0x0010] {
            all.extend(half.to_le_bytes());
        }
        all.extend(b"OW\0\0");
        all.extend(len.to_le_bytes());
        all
    }
}

fn pixels(noise: &mut OutputReader, mut len: usize, into: &mut impl std::io::Write) {
    let mut block = vec![0; 1 << 20];
    while len > 0 {
        let step = len.min(block.len());
        noise.fill(&mut block[..step]);
        into.write_all(&block[..step]).unwrap();
        len -= step;
    }
}

/// A text, made even.
fn text(all: &mut Vec<u8>, tag: (u16, u16), vr: &[u8; 2], value: &str) {
    let pad = if vr == b"UI" { 0 } else { b' ' };
    let mut bytes = value.as_bytes().to_vec();
    if bytes.len() % 2 == 1 {
        bytes.push(pad);
    }
    element(all, tag, vr, &bytes);
}

/// An element in explicit VR, little endian.
fn element(all: &mut Vec<u8>, (group, element): (u16, u16), vr: &[u8; 2], value: &[u8]) {
    all.extend(group.to_le_bytes());
    all.extend(element.to_le_bytes());
    all.extend(vr);
    if vr == b"OB" {
        all.extend([0, 0]);
        all.extend(u32::try_from(value.len()).unwrap().to_le_bytes());
    } else {
        all.extend(u16::try_from(value.len()).unwrap().to_le_bytes());
    }
    all.extend(value);
}
