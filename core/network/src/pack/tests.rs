use std::io::Read as _;

use tempfile::TempDir;

use super::*;

const MIB: usize = MAX_PIECE;

fn key() -> PackKey {
    PackKey::from_bytes([1; 32])
}

fn open(folder: &TempDir) -> Pack {
    Pack::open(&folder.path().join("of a study"), &key()).unwrap()
}

fn file(folder: &TempDir, name: &str) -> PathBuf {
    folder.path().join("of a study").join(name)
}

fn bytes(seed: u8, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&[seed]).finalize_xof().fill(&mut bytes);
    bytes
}

fn read(pack: &Pack, (stored, size): (StoredDigest, u64)) -> Result<Vec<u8>, PackError> {
    let mut all = Vec::new();
    pack.read(&stored, size)?.read_to_end(&mut all).map_err(|_| PackError::Damaged)?;
    Ok(all)
}

#[test]
fn what_was_kept_is_read_again_by_whoever_has_the_key() {
    let folder = TempDir::new().unwrap();
    let lens = [0, 1, 1000, MIB - 1, MIB, MIB + 1, 3 * MIB];
    let all: Vec<Vec<u8>> = (0..).zip(lens).map(|(seed, len)| bytes(seed, len)).collect();
    let mut pack = open(&folder);
    let names: Vec<_> = all.iter().map(|bytes| pack.put(bytes).unwrap()).collect();
    let length = fs::metadata(file(&folder, "pack")).unwrap().len();
    // Twice is once.
    pack.put(&all[6]).unwrap();
    assert_eq!(fs::metadata(file(&folder, "pack")).unwrap().len(), length);
    drop(pack);
    let pack = open(&folder);
    for (name, bytes) in names.iter().zip(&all) {
        assert!(pack.has_all(&name.0, name.1));
        assert_eq!(read(&pack, *name).unwrap(), *bytes);
    }
    // Of another size it is not there.
    assert!(matches!(read(&pack, (names[2].0, 1001)), Err(PackError::Absent)));
    drop(pack);
    let other = Pack::open(&folder.path().join("of a study"), &PackKey::from_bytes([2; 32])).unwrap();
    assert!(names.iter().all(|(stored, size)| !other.has_all(stored, *size)));
}

#[test]
fn the_files_tell_neither_bytes_nor_digests() {
    let folder = TempDir::new().unwrap();
    let mut pack = open(&folder);
    let plain = vec![b'x'; 5000];
    let (stored, _) = pack.put(&plain).unwrap();
    pack.settle().unwrap();
    let on_disk = [fs::read(file(&folder, "pack")).unwrap(), fs::read(file(&folder, "journal")).unwrap()].concat();
    assert!(!on_disk.windows(8).any(|part| part == &plain[..8] || part == &stored.as_bytes()[..8]));
}

/// A process that is killed leaves every write up to some moment. Whatever of the two files there is, what is said to be there is.
#[test]
fn whatever_was_written_before_a_kill_is_there() {
    let folder = TempDir::new().unwrap();
    let mut pack = open(&folder);
    let all: Vec<Vec<u8>> = (0..5).map(|seed| bytes(seed, 1000 + usize::from(seed))).collect();
    let names: Vec<_> = all.iter().map(|bytes| pack.put(bytes).unwrap()).collect();
    drop(pack);
    let (whole, journal) = (fs::read(file(&folder, "pack")).unwrap(), fs::read(file(&folder, "journal")).unwrap());
    for cut in 0..=journal.len() {
        fs::write(file(&folder, "journal"), &journal[..cut]).unwrap();
        let mut pack = open(&folder);
        let there = names.iter().filter(|(stored, size)| pack.has_all(stored, *size)).count();
        assert_eq!(there, cut / 32);
        // And it goes on.
        for bytes in &all {
            pack.put(bytes).unwrap();
        }
        assert!(names.iter().zip(&all).all(|(name, bytes)| read(&pack, *name).unwrap() == *bytes));
        drop(pack);
        fs::write(file(&folder, "pack"), &whole).unwrap();
    }
}

/// A machine that stops may have lost pieces that the journal has. They are not there; settled ones are not looked at again.
#[test]
fn what_the_disk_lost_is_not_there() {
    let folder = TempDir::new().unwrap();
    let mut pack = open(&folder);
    let first = pack.put(&bytes(1, 1000)).unwrap();
    pack.settle().unwrap();
    let end = fs::metadata(file(&folder, "pack")).unwrap().len();
    let (second, third) = (pack.put(&bytes(2, 1000)).unwrap(), pack.put(&bytes(3, 1000)).unwrap());
    drop(pack);
    let mut damaged = fs::read(file(&folder, "pack")).unwrap();
    damaged[usize::try_from(end).unwrap() + 100] ^= 1;
    fs::write(file(&folder, "pack"), &damaged).unwrap();
    let pack = open(&folder);
    let there = [first, second, third].map(|(stored, size)| pack.has_all(&stored, size));
    assert_eq!(there, [true, false, true]);
    drop(pack);
    fs::write(file(&folder, "pack"), &damaged[..200]).unwrap();
    let pack = open(&folder);
    let there = [first, second, third].map(|(stored, size)| pack.has_all(&stored, size));
    assert_eq!(there, [false; 3], "the pack is shorter than what was settled");
}

#[test]
fn what_is_damaged_is_not_read() {
    let folder = TempDir::new().unwrap();
    let mut pack = open(&folder);
    let name = pack.put(&bytes(1, 2 * MIB)).unwrap();
    pack.settle().unwrap();
    drop(pack);
    let mut damaged = fs::read(file(&folder, "pack")).unwrap();
    damaged[MIB + 500] ^= 1;
    fs::write(file(&folder, "pack"), &damaged).unwrap();
    assert!(matches!(read(&open(&folder), name), Err(PackError::Damaged)));
}

#[test]
fn what_is_not_to_be_kept_takes_no_room() {
    let folder = TempDir::new().unwrap();
    let mut pack = open(&folder);
    let (gone, kept) = (pack.put(&bytes(1, 3 * MIB)).unwrap(), pack.put(&bytes(2, 2 * MIB)).unwrap());
    let pack = pack.retain(&[kept], &key()).unwrap();
    assert!(!pack.has_all(&gone.0, gone.1));
    assert_eq!(read(&pack, kept).unwrap(), bytes(2, 2 * MIB));
    assert_eq!(fs::metadata(file(&folder, "pack")).unwrap().len(), 2 * (MIB + LEAD + TAG) as u64);
    drop(pack);
    assert_eq!(read(&open(&folder), kept).unwrap(), bytes(2, 2 * MIB));
}

/// A kill at each step of one pack taking another's place.
#[test]
fn a_pack_that_another_takes_the_place_of_is_never_lost() {
    let folder = TempDir::new().unwrap();
    let place = |name: &str| folder.path().join(name);
    let mut pack = open(&folder);
    let (gone, kept) = (pack.put(&bytes(1, 5000)).unwrap(), pack.put(&bytes(2, 5000)).unwrap());
    pack.settle().unwrap();
    drop(pack);
    // Half of the other: the first is all there is.
    fs::create_dir(place("of a study.new")).unwrap();
    fs::write(place("of a study.new").join("journal"), [7; 40]).unwrap();
    let pack = open(&folder);
    assert!(pack.has_all(&gone.0, gone.1) && !place("of a study.new").exists());
    // The other is whole, and neither has the name.
    let pack = pack.retain(&[kept], &key()).unwrap();
    drop(pack);
    fs::create_dir(place("of a study.old")).unwrap();
    fs::rename(place("of a study"), place("of a study.new")).unwrap();
    let reader = PackReader::open(&place("of a study"), &key()).unwrap();
    assert!(reader.has_all(&kept.0, kept.1) && !reader.has_all(&gone.0, gone.1));
    // The other has it, and the first is there still.
    let pack = open(&folder);
    assert!(pack.has_all(&kept.0, kept.1) && !place("of a study.old").exists() && !place("of a study.new").exists());
}

/// Readers see what is whole the moment that it is, several at once, and go on where the pack is replaced.
#[test]
fn what_arrives_is_read_while_more_arrives() {
    let folder = TempDir::new().unwrap();
    let mut pack = open(&folder);
    let (first, second) =
        (pack.put(&bytes(1, 2 * MIB)).unwrap(), (StoredDigest::of(&bytes(2, MIB + 1)), (MIB + 1) as u64));
    let readers = [pack.reader(), pack.reader(), PackReader::open(&folder.path().join("of a study"), &key()).unwrap()];
    let mut begun = readers[0].read(&first.0, first.1).unwrap();
    let mut half = vec![0; MIB + 1000];
    begun.read_exact(&mut half).unwrap();
    // One of its two pieces.
    let mut piece = Piece::with_room(MIB);
    piece.grow(MIB).copy_from_slice(&bytes(2, MIB + 1)[..MIB]);
    pack.keep(&second.0, 0, &mut piece).unwrap();
    assert!(readers.iter().all(|reader| reader.has_all(&first.0, first.1) && !reader.has_all(&second.0, second.1)));
    pack.put(&bytes(2, MIB + 1)).unwrap();
    assert!(readers[..2].iter().all(|reader| reader.has_all(&second.0, second.1)));
    assert!(!readers[2].has_all(&second.0, second.1), "it was opened before");
    let pack = pack.retain(&[second], &key()).unwrap();
    assert!(!pack.has_all(&first.0, first.1));
    begun.read_to_end(&mut half).unwrap();
    assert_eq!(half, bytes(1, 2 * MIB));
}

/// Whatever is in the journal's file, it is read or not, and nothing falls over.
#[test]
fn a_journal_of_anything_is_opened() {
    for seed in 0..50 {
        let folder = TempDir::new().unwrap();
        drop(open(&folder));
        let mut journal = bytes(seed, 32 * usize::from(seed));
        for record in journal.chunks_mut(32).step_by(2) {
            // Records that could be.
            record[16..].fill(0);
            record[24] = seed;
        }
        fs::write(file(&folder, "journal"), &journal).unwrap();
        fs::write(file(&folder, "pack"), bytes(seed, 500)).unwrap();
        assert_eq!(open(&folder).reader.pieces().len(), 0);
    }
}
