//! Objects far larger than what an association may hold in memory.

use std::fs::{self, File};
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::made::{image, large_image};
use crate::receiver::{Process, names};

/// Sends each file in an association of its own, all at once, to a receiver in a process of its own; how much its memory grew. The bytes
/// stored are those of the files.
fn growth(folder: &Path, files: &[std::path::PathBuf], same: impl Fn(&Path, &Path) -> bool) -> u64 {
    let spool = folder.join("spool");
    let process = Process::start(&spool, "");
    let before = process.peak();
    let senders: Vec<_> = files
        .iter()
        .map(|file| {
            let mut command = Command::new("timeout");
            command.args(["300", "storescu", "-R", "-xe", "-aec", "CLAVICLE", "127.0.0.1", &process.port]).arg(file);
            command.stdin(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut sender in senders {
        assert!(sender.wait().unwrap().success());
    }
    let growth = process.peak() - before;
    assert_eq!(names(&spool).len(), files.len());
    for name in names(&spool) {
        let stored = spool.join(name);
        assert!(files.iter().any(|file| same(file, &stored)), "{} is none of those sent", stored.display());
    }
    process.stop();
    growth
}

#[test]
fn four_at_once_of_64_mib_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..4).map(|number| large_image(folder.path(), number)).collect();
    let ends_with_the_same = |file: &Path, stored: &Path| {
        let (file, stored) = (fs::read(file).unwrap(), fs::read(stored).unwrap());
        // What dcmtk sends of these files is what is in them.
        stored.ends_with(&file[file.len() - (64 << 20) - 200..])
    };
    let growth = growth(folder.path(), &files, ends_with_the_same);
    println!("memory grew by {} KiB", growth >> 10);
    assert!(growth < 8 << 20, "{growth} bytes");
}

#[test]
fn two_gib_where_there_is_time() {
    if std::env::var_os("CLAVICLE_LONG").is_none_or(|long| long != "1") {
        println!("CLAVICLE_LONG=1 asks for this");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The image of 64 MiB, with a length of 2 GiB less 16 bytes in its last element, and as much behind it.
    let mut start = image(1, 16_384);
    let (pixels, len) = (64 << 20, (2_u32 << 30) - 16);
    let at = start.len() - pixels - 4;
    start[at..at + 4].copy_from_slice(&len.to_le_bytes());
    let path = folder.path().join("huge.dcm");
    let mut file = File::create(&path).unwrap();
    file.write_all(&start).unwrap();
    file.seek(SeekFrom::Start((start.len() - pixels) as u64 + u64::from(len) - 1)).unwrap();
    file.write_all(&[0]).unwrap();
    drop(file);
    let same_size = |file: &Path, stored: &Path| {
        fs::metadata(file).unwrap().len().abs_diff(fs::metadata(stored).unwrap().len()) < 1_000
    };
    let growth = growth(folder.path(), &[path], same_size);
    println!("memory grew by {} KiB", growth >> 10);
    assert!(growth < 8 << 20, "{growth} bytes");
}
