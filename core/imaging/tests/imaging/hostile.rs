//! Files that mean harm, and files that were merely damaged: a sentence for each, and memory that does not follow their claims.

use std::io::{Cursor, Write as _};

use clavicle_dicom::Unreadable;
use clavicle_dicom::facts::Facts;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::corpus::{brain, pydicom};
use crate::made::{Named, UNDEFINED, claiming, element, item, read};

fn with(more: &[Vec<u8>]) -> Result<Facts, Unreadable> {
    read(&Named::new(1, 1).file(more))
}

fn says(result: Result<Facts, Unreadable>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_whole_file_is_read() {
    let facts = with(&[element(0x7fe0, 0x10, "OW", &[0; 8])]).unwrap();
    assert_eq!((facts.sop_instance_uid.as_str(), facts.frames), ("1.2.3.1.1", 1));
    assert_eq!((facts.modality.as_str(), facts.patient.id.as_str()), ("MR", "P1"));
    assert_eq!(with(&[]).unwrap().frames, 0);
}

#[test]
fn no_length_is_believed() {
    let huge = claiming(0x7fe0, 0x10, "OW", 0xffff_fff0, &[0; 8]);
    assert_eq!(says(with(&[huge])), "(7FE0,0010) claims 4294967280 bytes where 8 are left; it was cut off or damaged");
    // In a sequence, in an item, in a fragment.
    let sequence = claiming(0x40, 0x275, "SQ", 1 << 31, &[]);
    assert!(says(with(&[sequence])).contains("(0040,0275) claims"));
    let long = item(0xe000, 100, &element(8, 0x100, "SH", b"ab"));
    let sequence = element(0x40, 0x275, "SQ", &long);
    assert!(says(with(&[sequence])).contains("(FFFE,E000) claims 100 bytes where 10"));
    let inside = item(0xe000, 18, &claiming(8, 0x100, "UT", 1 << 30, &[0; 6]));
    assert!(says(with(&[element(0x40, 0x275, "SQ", &inside)])).contains("(0008,0100) claims"));
    let fragments = claiming(0x7fe0, 0x10, "OB", UNDEFINED, &item(0xe000, 1 << 30, &[0; 4]));
    assert!(says(with(&[fragments])).contains("(FFFE,E000) claims"));
    // An unknown attribute of undefined length is implicit little endian inside, whatever is outside.
    let inner = [&8u16.to_le_bytes()[..], &0x100u16.to_le_bytes(), &(1u32 << 30).to_le_bytes()].concat();
    let unknown = claiming(0x51, 0x1001, "UN", UNDEFINED, &item(0xe000, UNDEFINED, &inner));
    assert!(says(with(&[unknown])).contains("(0008,0100) claims"));
}

#[test]
fn what_is_damaged_is_said() {
    let end = item(0xe0dd, 0, &[]);
    let whole = Named::new(1, 1).file(&[]);
    for (more, sentence) in [
        (vec![item(0xe00d, 0, &[])], "(FFFE,E00D) stands where it ends nothing"),
        (
            vec![claiming(0x40, 0x275, "SQ", UNDEFINED, &element(8, 0x100, "SH", b"ab")), end.clone()],
            "(0008,0100) stands where a sequence has its items",
        ),
        (vec![claiming(8, 0x2112, "SQ", UNDEFINED, &[])], "it ends in the middle of an element; it was cut off"),
        (vec![claiming(0x40, 0x275, "UT", UNDEFINED, &[])], "(0040,0275) has no length"),
        (
            vec![b"\x40\0\x75\x02??\xff\x7f".to_vec()],
            "(0040,0275) has no value representation; the file is damaged or of another transfer syntax than it says",
        ),
        (vec![b"junk".to_vec()], "it ends in the middle of an element; it was cut off"),
        (vec![vec![0; 600], b"junk".to_vec()], "something follows the data set that does not belong to it"),
        (vec![element(8, 0x18, "UI", b"1.2.3.99")], "(0008,0018) occurs twice, so that it is unclear which counts"),
    ] {
        assert_eq!(says(with(&more)), sentence);
    }
    // Zeros alone are how some systems fill a block.
    assert!(with(&[vec![0; 100_000]]).is_ok());
    assert!(with(&[vec![0; 3]]).is_ok());
    // Cut anywhere, it is not taken for whole, except where the rest names nothing that is needed.
    for len in 0..whole.len() {
        assert!(read(&whole[..len]).is_err(), "cut at {len}");
    }
    assert_eq!(says(read(b"Dear colleague, please find the images enclosed.")), "it is not a DICOM file");
    assert_eq!(says(read(&[])), "it is not a DICOM file");
}

#[test]
fn uids_that_are_none_are_refused() {
    for bad in ["1.2.3\\1.2.4", "1.2.a", "../../etc/passwd", &"1".repeat(66)] {
        let named = Named { instance: bad.into(), ..Named::new(1, 1) };
        assert_eq!(says(read(&named.file(&[]))), "(0008,0018) is not a UID", "{bad}");
    }
    let named = Named { study: String::new(), ..Named::new(1, 1) };
    assert_eq!(says(read(&named.file(&[]))), "(0020,000D) is missing, without which an instance has no name");
    let spaces = Named { study: "1.2.3  ".into(), ..Named::new(1, 1) };
    assert_eq!(read(&spaces.file(&[])).unwrap().study_instance_uid.as_str(), "1.2.3");
}

#[test]
fn a_patient_id_is_never_overlooked() {
    let named = |patient: &str| Named { patient: patient.into(), ..Named::new(1, 1) };
    let long = named(&"9".repeat(5_000)).file(&[]);
    assert_eq!(says(read(&long)), "(0010,0020) is longer than 4096 bytes, which no such attribute is");
    // Neither in a character set that dicom-rs does not know, nor in one that nobody knows.
    for charset in [&b"ISO 2022 IR 87\\"[..], b"ISO_IR 9999 "] {
        let id = |id: &[u8]| {
            let mut file = named("X").file(&[]);
            let at = file.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
            file.splice(at..at, element(8, 5, "CS", charset));
            let at = file.windows(4).position(|window| window == [0x10, 0, 0x20, 0]).unwrap();
            file.splice(at..at + 10, element(0x10, 0x20, "LO", id));
            read(&file).unwrap().patient
        };
        let (one, other) = (id(b"\x1b$B;3ED\x1b(B "), id(b"\x1b$BB@O:\x1b(B "));
        assert!(!one.may_be(&other), "{:?} {:?}", one.id, other.id);
        assert!(!id(b"\xff\xfe\x81\x8d").may_be(&id(b"\xff\xfe\x81\x90")));
    }
}

#[test]
fn a_code_is_ascii_whatever_escapes_are_in_it() {
    let modality = |charset: &[u8]| {
        let mut file = Named::new(1, 1).file(&[]);
        let at = file.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
        file.splice(at..at, element(8, 5, "CS", charset));
        let at = file.windows(4).position(|window| window == [8, 0, 0x60, 0]).unwrap();
        file.splice(at..at + 10, element(8, 0x60, "CS", b"\x1b$B;3 "));
        read(&file).unwrap().modality
    };
    for charset in [&b""[..], b"\\ISO 2022 IR 87 ", b"ISO_IR 192"] {
        assert_eq!(modality(charset).as_str(), "");
    }
}

#[test]
fn sequences_are_followed_only_so_deep() {
    let nested = |depth| {
        let mut inner = Vec::new();
        for _ in 0..depth {
            inner = [
                claiming(0x40, 0xa730, "SQ", UNDEFINED, &item(0xe000, UNDEFINED, &inner)),
                item(0xe00d, 0, &[]),
                item(0xe0dd, 0, &[]),
            ]
            .concat();
        }
        with(&[inner])
    };
    assert!(nested(32).is_ok());
    assert_eq!(says(nested(33)), "its sequences are nested more than 32 deep");
    assert_eq!(says(nested(20_000)), "its sequences are nested more than 32 deep");
}

#[test]
fn a_deflated_bomb_does_not_go_off() {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..300 {
        deflate.write_all(&[0; 1 << 20]).unwrap();
    }
    let mut file = Named::new(1, 1).file(&[]);
    // Up to the end of the meta information, which then names the deflated transfer syntax.
    file.truncate(132);
    file.extend_from_slice(&element(2, 0x10, "UI", b"1.2.840.10008.1.2.1.99"));
    file.extend_from_slice(&deflate.finish().unwrap());
    assert_eq!(
        says(read(&file)),
        "it is deflated and grows beyond 256 MiB; nothing of that size comes this way in earnest"
    );
    file.truncate(file.len() / 2);
    assert!(read(&file).is_err());
}

/// The most memory this process has had, in bytes.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmPeak:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[test]
fn the_file_that_took_gigabytes_takes_none() {
    // 674 bytes whose declared lengths make dicom-rs set 3.7 GB aside when it reads them unexamined.
    let before = peak();
    let bytes = std::fs::read(pydicom().join("test_files/UN_sequence.dcm")).unwrap();
    drop(read(&bytes));
    assert!(peak() - before < 1 << 30, "{} MiB more", (peak() - before) >> 20);
}

#[test]
fn mutated_files_neither_panic_nor_grow() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut below = |bound: usize| (rng.next_u64() % bound as u64) as usize;
    let files = pydicom().join("test_files");
    let names = [
        "CT_small",
        "MR_small_implicit",
        "MR_small_bigendian",
        "nested_priv_SQ",
        "test-SR",
        "UN_sequence",
        "no_meta",
        "JPEG2000",
        "rtplan",
        "image_dfl",
    ];
    let mut all: Vec<_> = names.iter().map(|name| std::fs::read(files.join(format!("{name}.dcm"))).unwrap()).collect();
    all.push(std::fs::read(brain().join("brain_002.dcm")).unwrap());
    for file in &mut all {
        file.truncate(12_000);
    }
    let (mut read_well, before) = (0, peak());
    for _ in 0..20_000 {
        let mut bytes = all[below(all.len())].clone();
        for _ in 0..=below(6) {
            let at = below(bytes.len());
            match below(4) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes[at] = 0xff,
                2 => bytes.truncate(at.max(140)),
                _ => bytes[at] ^= 1 << below(8),
            }
        }
        let result = Facts::read(Cursor::new(&bytes), bytes.len() as u64);
        assert_ne!(result.as_ref().err(), Some(&Unreadable::Panicked));
        read_well += u32::from(result.is_ok());
    }
    assert!(peak() - before < 1 << 30, "{} MiB more", (peak() - before) >> 20);
    println!("{read_well} of 20000 read");
}
