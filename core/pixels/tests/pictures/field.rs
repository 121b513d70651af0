//! Images that contradict themselves: frames that are not as many as is said, palettes that are not as they are described, and new transfer
//! syntaxes. What can be told is shown, and what cannot is said.

use std::cell::Cell;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write as _};
use std::rc::Rc;

use clavicle_dicom::rewrite::Syntax;
use clavicle_pixels::frames::Frames;
use clavicle_pixels::lack::{Lack, Wholeness, wholeness};
use clavicle_pixels::picture::{Pixels, View, picture};
use clavicle_pixels::render::{Remark, Wanted, Windowing, render};
use clavicle_sandbox::reader::{Here, Reader as _};

use crate::made::{Image, element};

const RLE: &str = "1.2.840.10008.1.2.5";
const JPEG: &str = "1.2.840.10008.1.2.4.50";

fn open(bytes: &[u8]) -> Frames<Cursor<&[u8]>> {
    Frames::read(Cursor::new(bytes), bytes.len() as u64).unwrap()
}

fn is(number: u16, text: &str) -> Vec<u8> {
    let mut value = text.as_bytes().to_vec();
    value.resize(value.len().next_multiple_of(2), b' ');
    element(0x28, number, "IS", &value)
}

/// An image of `said` frames that has these fragments, and this offset table.
fn fragments(syntax: &'static str, image: Image, said: Option<&str>, offsets: &[u32], all: &[Vec<u8>]) -> Vec<u8> {
    let said = said.map(|said| is(8, said));
    let image =
        Image { transfer_syntax: syntax, in_group_28: said.into_iter().chain(image.in_group_28).collect(), ..image };
    let mut bytes = image.native(&[]);
    bytes.truncate(bytes.len() - 12);
    bytes.extend_from_slice(b"\xe0\x7f\x10\0OB\0\0\xff\xff\xff\xff");
    let offsets: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
    for fragment in std::iter::once(&offsets).chain(all) {
        bytes.extend_from_slice(b"\xfe\xff\0\xe0");
        bytes.extend_from_slice(&(fragment.len() as u32).to_le_bytes());
        bytes.extend_from_slice(fragment);
    }
    bytes.extend_from_slice(b"\xfe\xff\xdd\xe0\0\0\0\0");
    bytes
}

/// A frame of RLE whose four pixels are all of this value.
fn rle(value: u8) -> Vec<u8> {
    let header = [1_u32, 64].into_iter().chain([0; 14]).flat_map(u32::to_le_bytes);
    header.chain([253, value]).collect()
}

fn grey() -> Image {
    Image::grey(2, 2, 8, 8)
}

fn remarks(bytes: &[u8]) -> Vec<Remark> {
    let wanted = Wanted { frame: Some(0), windowing: Windowing::Fitted, side: None };
    render(Cursor::new(bytes), bytes.len() as u64, &wanted).unwrap().about.remarks
}

#[test]
fn frames_that_can_be_told_apart_are_shown_and_the_disagreement_is_said() {
    let six: Vec<Vec<u8>> = (1..=6).map(rle).collect();
    for (said, number) in [(Some("4"), 4), (Some("9"), 9), (None, 1), (Some("1"), 1), (Some("x"), 1)] {
        for offsets in [&[][..], &[0, 74, 148, 222, 296, 370]] {
            let bytes = fragments(RLE, grey(), said, offsets, &six);
            let mut frames = open(&bytes);
            assert_eq!((frames.count(), frames.said_otherwise()), (6, Some(number)), "{said:?} {offsets:?}");
            for frame in 0..6 {
                assert_eq!(frames.frame(frame).unwrap().samples, [frame as u8 + 1; 4]);
            }
            assert_eq!(frames.frame(6).unwrap_err().to_string(), "it has 6 frames, and no frame 7");
            let is_said = said.is_some_and(|said| said != "x");
            let remark =
                if is_said { Remark::Frames { said: number, there: 6 } } else { Remark::FramesNotSaid { there: 6 } };
            assert_eq!(remarks(&bytes), [remark]);
        }
    }
    // One that says nothing was said to say 1.
    let sentence = Remark::FramesNotSaid { there: 6 }.to_string();
    assert_eq!(sentence, "the image does not say how many frames it has; there are 6, and all are shown");
    let agreed = fragments(RLE, grey(), Some("6"), &[], &six);
    assert_eq!((open(&agreed).said_otherwise(), remarks(&agreed)), (None, Vec::new()));
    // Two fragments a frame, of which only the first begins like one; said are five.
    let halves: Vec<Vec<u8>> = (0..3).flat_map(|_| [vec![0xff, 0xd8, 0xff, 0xe0], vec![1, 2]]).collect();
    let bytes = fragments(JPEG, grey(), Some("5"), &[], &halves);
    assert_eq!((open(&bytes).count(), open(&bytes).encoded(2).unwrap()), (3, vec![0xff, 0xd8, 0xff, 0xe0, 1, 2]));
    // One frame in two fragments is one.
    let one = fragments(JPEG, grey(), None, &[], &halves[..2]);
    assert_eq!((open(&one).count(), open(&one).said_otherwise()), (1, None));
}

#[test]
fn no_frame_is_left_behind_when_they_are_decompressed() {
    let six: Vec<Vec<u8>> = (1..=6).map(rle).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film");
    for said in [Some("4"), Some("9"), None] {
        std::fs::write(&path, fragments(RLE, grey(), said, &[], &six)).unwrap();
        let mut out = Vec::new();
        let file = std::fs::File::open(&path).unwrap();
        Here.rewrite(&file, Syntax::Explicit, None, &mut out).unwrap();
        let mut frames = open(&out);
        assert_eq!((frames.count(), frames.said_otherwise()), (6, None), "{said:?}");
        assert_eq!(frames.frame(5).unwrap().samples, [6; 4]);
    }
}

#[test]
fn native_frames_are_as_many_as_there_are() {
    let pixels: Vec<u8> = (0..24).collect();
    for (said, number) in [(Some("4"), 4), (Some("9"), 9), (None, 1)] {
        let image = Image { in_group_28: said.map(|said| is(8, said)).into_iter().collect(), ..grey() };
        let bytes = image.native(&pixels);
        let mut frames = open(&bytes);
        assert_eq!((frames.count(), frames.said_otherwise()), (6, Some(number)));
        assert_eq!(frames.frame(5).unwrap().samples, [20, 21, 22, 23]);
        let remark = said.map_or(Remark::FramesNotSaid { there: 6 }, |_| Remark::Frames { said: number, there: 6 });
        assert_eq!(remarks(&bytes), [remark]);
    }
    // Padding is no frame, nor is what is less than one.
    let odd = Image { in_group_28: vec![is(8, "3")], ..Image::grey(1, 3, 8, 8) };
    for len in [9, 10, 11] {
        assert_eq!(
            (open(&odd.native(&pixels[..len])).count(), open(&odd.native(&pixels[..len])).said_otherwise()),
            (3, None)
        );
    }
}

#[test]
fn a_bad_frame_costs_no_other() {
    let mut all: Vec<Vec<u8>> = (1..=5).map(rle).collect();
    all[2].truncate(65);
    let bytes = fragments(RLE, grey(), Some("5"), &[], &all);
    let mut frames = open(&bytes);
    let shown: Vec<bool> = (0..5).map(|frame| frames.frame(frame).is_ok()).collect();
    assert_eq!(shown, [true, true, false, true, true]);
}

/// Counts what is read.
struct Counted {
    bytes: Cursor<Vec<u8>>,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.bytes.read(into)?;
        self.read.set(self.read.get() + len as u64);
        Ok(len)
    }
}

impl Seek for Counted {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.bytes.seek(to)
    }
}

#[test]
fn all_frames_of_a_film_are_read_once() {
    // 2,000 frames of 4 KiB, as many as fit no buffer.
    let frame = |value: u8| [rle(value), vec![0; 4 << 10]].concat();
    let all: Vec<Vec<u8>> = (0..2_000_u32).map(|number| frame(number as u8)).collect();
    let bytes = fragments(RLE, grey(), Some("2000"), &[], &all);
    let (len, read) = (bytes.len() as u64, Rc::new(Cell::new(0)));
    let mut frames = Frames::read(Counted { bytes: Cursor::new(bytes), read: Rc::clone(&read) }, len).unwrap();
    let opened = read.get();
    assert!(opened < len / 2, "to open it, {opened} of {len} bytes were read");
    for number in 0..2_000 {
        assert_eq!(frames.frame(number).unwrap().samples, [number as u8; 4]);
    }
    assert!(read.get() - opened <= len, "{} bytes were read of {len}", read.get() - opened);
}

#[test]
fn uncompressed_and_deflated_frames_are_shown() {
    let deflated = |pixels: &[u8]| {
        let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        deflate.write_all(pixels).unwrap();
        let mut bytes = deflate.finish().unwrap();
        bytes.resize(bytes.len().next_multiple_of(2), 0);
        bytes
    };
    let image = || Image::grey(2, 2, 16, 12);
    let (one, two): (Vec<u8>, Vec<u8>) = ((0..8).collect(), (8..16).collect());
    let uncompressed = "1.2.840.10008.1.2.1.98";
    for (what, bytes) in [
        ("a fragment a frame", fragments(uncompressed, image(), Some("2"), &[], &[one.clone(), two.clone()])),
        ("all in one", fragments(uncompressed, image(), Some("2"), &[], &[[one.clone(), two.clone()].concat()])),
        (
            "two a frame",
            fragments(
                uncompressed,
                image(),
                Some("2"),
                &[],
                &[one[..4].to_vec(), one[4..].to_vec(), two[..2].to_vec(), two[2..].to_vec()],
            ),
        ),
        ("deflated", fragments("1.2.840.10008.1.2.8.1", image(), Some("2"), &[], &[deflated(&one), deflated(&two)])),
    ] {
        let mut frames = open(&bytes);
        assert_eq!((frames.count(), frames.said_otherwise()), (2, None), "{what}");
        assert_eq!(
            (frames.frame(0).unwrap().samples, frames.frame(1).unwrap().samples),
            (one.clone(), two.clone()),
            "{what}"
        );
    }
    // A bomb becomes no more than a frame, and what is damaged is said to be.
    let bomb = fragments("1.2.840.10008.1.2.8.1", image(), None, &[], &[deflated(&vec![7; 64 << 20])]);
    assert_eq!(open(&bomb).frame(0).unwrap().samples, [7; 8]);
    let damaged = fragments("1.2.840.10008.1.2.8.1", image(), None, &[], &[vec![0xff; 20]]);
    let error = open(&damaged).frame(0).unwrap_err().to_string();
    assert_eq!(error, "the deflated frames codestream is damaged: it cannot be inflated");
}

fn words(values: impl IntoIterator<Item = u16>) -> Vec<u8> {
    values.into_iter().flat_map(u16::to_le_bytes).collect()
}

/// What four pixels, 0 to 3, look like with these descriptors and tables, and whether the colours are said to be certain.
fn colours(descriptors: [[u16; 3]; 3], tables: [Vec<u8>; 3]) -> (Vec<u8>, bool) {
    let described = (0x1101..).zip(descriptors).map(|(number, words_of)| element(0x28, number, "US", &words(words_of)));
    let data = (0x1201..).zip(tables).map(|(number, table)| element(0x28, number, "OW", &table));
    let image = Image { photometric: "PALETTE COLOR", in_group_28: described.chain(data).collect(), ..grey() };
    let bytes = image.native(&[0, 1, 2, 3]);
    let Pixels::Rgb(pixels) = picture(&mut open(&bytes), 0, &View::AsItSays).unwrap().pixels else { panic!() };
    (pixels, !remarks(&bytes).contains(&Remark::Palette))
}

#[test]
fn palettes_show_the_right_colours_or_say_that_they_are_uncertain() {
    let eight: [[u8; 4]; 3] = [[10, 200, 30, 255], [1, 2, 3, 4], [0, 100, 50, 0]];
    let right: Vec<u8> = (0..4).flat_map(|at| eight.map(|table| table[at])).collect();
    let low = || eight.map(|table| words(table.map(u16::from)));
    let high = || eight.map(|table| words(table.map(|value| u16::from(value) << 8)));
    let both = || eight.map(|table| words(table.map(|value| u16::from(value) * 257)));
    let full = || eight.map(|table| words(table.map(|value| u16::from(value) << 8 | 0x5a)));
    let packed = || eight.map(|table| table.to_vec());
    let said = |bits| [[4, 0, bits]; 3];
    for (what, bits, tables, certain) in [
        ("8 packed", 8, packed(), true),
        ("8 in 16", 8, low(), true),
        ("8 said, in the high byte", 8, high(), true),
        ("8 said, in both bytes", 8, both(), true),
        ("8 said, 16 meant", 8, full(), false),
        ("16", 16, full(), true),
        ("16 said, in the high byte", 16, high(), true),
        ("16 said, 8 meant", 16, low(), true),
        ("16 said, 8 packed", 16, packed(), true),
        ("12 said, 16 meant", 12, full(), false),
        ("0 said", 0, low(), false),
    ] {
        assert_eq!(colours(said(bits), tables), (right.clone(), certain), "{what}");
    }
    // Of 12 bits.
    let twelve = eight.map(|table| words(table.map(|value| u16::from(value) << 4)));
    assert_eq!(colours(said(12), twelve), (right.clone(), false));
    // A colour that is dark throughout is not taken for one of eight bits.
    let dark = [words([0x1000, 0xffff, 0, 0x8000]), words([1, 2, 3, 200]), words([0, 0, 0, 0])];
    assert_eq!(colours(said(16), dark), (vec![0x10, 0, 0, 0xff, 0, 0, 0, 0, 0, 0x80, 0, 0], true));
    // More or fewer entries than are said, and descriptors that differ: shown, and said.
    let mut more = full();
    more.iter_mut().for_each(|table| table.extend([9, 9]));
    assert_eq!(colours(said(16), more), (right.clone(), false));
    let mut fewer = full();
    fewer.iter_mut().for_each(|table| table.truncate(6));
    let (shown, certain) = colours(said(16), fewer);
    assert_eq!((&shown[..9], certain), (&right[..9], false));
    let (shown, certain) = colours([[4, 0, 8], [4, 1, 8], [4, 0, 8]], packed());
    assert_eq!((&shown[..6], certain), (&[10, 1, 0, 200, 1, 100][..], false));
}

#[test]
fn segmented_palettes_of_eight_bits_are_of_bytes() {
    let described: Vec<u8> =
        (0x1101..=0x1103).flat_map(|number| element(0x28, number, "US", &words([4, 0, 8]))).collect();
    // Two entries and a line of two, in bytes; then the same in words.
    for table in [vec![0, 2, 10, 20, 1, 2, 40, 0], words([0, 2, 10, 20, 1, 2, 40])] {
        let data: Vec<u8> = (0x1221..=0x1223).flat_map(|number| element(0x28, number, "OW", &table)).collect();
        let image = Image { photometric: "PALETTE COLOR", in_group_28: vec![described.clone(), data], ..grey() };
        let bytes = image.native(&[0, 1, 2, 3]);
        let Pixels::Rgb(pixels) = picture(&mut open(&bytes), 0, &View::AsItSays).unwrap().pixels else { panic!() };
        assert_eq!(pixels, [10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40]);
    }
}

fn lack_of(bytes: &[u8]) -> Option<Lack> {
    match wholeness(Cursor::new(bytes), bytes.len() as u64) {
        Wholeness::Whole => None,
        Wholeness::Lacking(lack) => Some(lack),
        Wholeness::Untold(why) => panic!("{why}"),
    }
}

/// A series whose pixels were cut off, or that had none, passed for a complete one.
#[test]
fn what_pixels_are_short_of_is_found_without_a_picture() {
    let said = |number: &str| Image { in_group_28: vec![is(8, number)], ..grey() };
    assert_eq!(lack_of(&grey().native(&[1, 2, 3, 4])), None);
    assert_eq!(lack_of(&said("2").native(&[1, 2, 3, 4, 5, 6, 7, 8])), None);
    assert_eq!(lack_of(&grey().native(&[1, 2])), Some(Lack::CutOff(1)));
    assert_eq!(lack_of(&grey().native(&[])), Some(Lack::CutOff(1)));
    assert_eq!(lack_of(&said("2").native(&[1, 2, 3, 4, 5, 6])), Some(Lack::Frames { said: 2, there: 1 }));
    assert_eq!(lack_of(&said("0").native(&[1, 2, 3, 4])), Some(Lack::NoFrames));
    assert_eq!(lack_of(&grey().native(&[1, 2, 3, 4, 5, 6, 7, 8])), Some(Lack::NotSaid(2)));
    // In fragments.
    let six: Vec<Vec<u8>> = (1..=6).map(rle).collect();
    assert_eq!(lack_of(&fragments(RLE, grey(), Some("6"), &[], &six)), None);
    assert_eq!(lack_of(&fragments(RLE, grey(), Some("7"), &[], &six)), Some(Lack::Frames { said: 7, there: 6 }));
    assert_eq!(lack_of(&fragments(RLE, grey(), None, &[], &six)), Some(Lack::NotSaid(6)));
    assert_eq!(lack_of(&fragments(RLE, grey(), Some("0"), &[], &six)), Some(Lack::NoFrames));
    let mut cut = six.clone();
    cut[3].truncate(64);
    assert_eq!(lack_of(&fragments(RLE, grey(), Some("6"), &[], &cut)), Some(Lack::CutOff(4)));
    cut[3].clear();
    assert_eq!(lack_of(&fragments(RLE, grey(), Some("6"), &[], &cut)), Some(Lack::CutOff(4)));
    assert!(matches!(
        lack_of(&fragments(RLE, grey(), Some("1"), &[], &[])),
        Some(Lack::Fragments { fragments: 0, .. })
    ));
    // A codestream ends with its marker, in whichever fragment, padded or not.
    let begin = || vec![0xff, 0xd8, 0xff, 0xe0, 1, 2];
    for end in [&[0xff, 0xd9][..], &[0xff, 0xd9, 0, 0], &[7, 0xff, 0xd9, 0]] {
        assert_eq!(lack_of(&fragments(JPEG, grey(), None, &[], &[[&begin()[..], end].concat()])), None, "{end:?}");
        assert_eq!(lack_of(&fragments(JPEG, grey(), None, &[], &[begin(), end.to_vec()])), None, "{end:?}");
    }
    assert_eq!(lack_of(&fragments(JPEG, grey(), None, &[], &[begin()])), Some(Lack::CutOff(1)));
    let whole = [&begin()[..], &[0xff, 0xd9]].concat();
    let of_two = fragments(JPEG, grey(), Some("2"), &[], &[whole, begin()]);
    assert_eq!(lack_of(&of_two), Some(Lack::CutOff(2)));
}

/// Films were never looked into, and nobody was told.
#[test]
fn a_film_that_was_cut_off_is_found_and_what_nothing_tells_of_is_said() {
    const MPEG2: &str = "1.2.840.10008.1.2.4.100";
    const MPEG4: &str = "1.2.840.10008.1.2.4.102";
    const HEVC: &str = "1.2.840.10008.1.2.4.107";
    let of = |syntax: &'static str, all: &[&[u8]]| {
        let all: Vec<Vec<u8>> = all.iter().map(|one| one.to_vec()).collect();
        let bytes = fragments(syntax, grey(), Some("9"), &[], &all);
        wholeness(Cursor::new(&bytes), bytes.len() as u64)
    };
    let cut_off = Wholeness::Lacking(Lack::FilmCutOff);
    let untold = |wholeness: Wholeness| matches!(wholeness, Wholeness::Untold(why) if why.as_str().contains("film"));
    let boxed = |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
    let [brand, index, data] = [boxed(b"ftyp", b"isom\0\0\0\0"), boxed(b"moov", &[1; 40]), boxed(b"mdat", &[2; 200])];
    let whole = [&brand[..], &data, &index].concat();
    // Wherever the index is, in however many fragments, padded or not, with a length of 64 bits or none.
    assert_eq!(of(MPEG4, &[&whole]), Wholeness::Whole);
    assert_eq!(of(HEVC, &[&[&brand[..], &index, &data, &[0, 0]].concat()]), Wholeness::Whole);
    assert_eq!(of(MPEG4, &[&whole[..10], &whole[10..30], &[], &whole[30..]]), Wholeness::Whole);
    let long = [&1_u32.to_be_bytes()[..], b"mdat", &216_u64.to_be_bytes(), &[2; 200]].concat();
    assert_eq!(of(MPEG4, &[&[&brand[..], &index, &long].concat()]), Wholeness::Whole);
    let open = [&0_u32.to_be_bytes()[..], b"mdat", &[2; 200]].concat();
    assert_eq!(of(MPEG4, &[&[&brand[..], &index, &open].concat()]), Wholeness::Whole);
    for end in [16, 22, 100, whole.len() - 48, whole.len() - 10] {
        assert_eq!(of(MPEG4, &[&whole[..end]]), cut_off, "{end}");
    }
    // Packets of a transport stream.
    let packets: Vec<u8> = (0..4 * 188).map(|at| if at % 188 == 0 { 0x47 } else { 0 }).collect();
    assert!(untold(of(MPEG2, &[&packets])) && untold(of(HEVC, &[&packets])));
    assert_eq!(of(MPEG4, &[&packets[..4 * 188 - 60]]), cut_off);
    // Without a container: MPEG-2 has an end, the others have none.
    let bare = [&[0, 0, 1, 0xb3][..], &[7; 60]].concat();
    assert!(untold(of(MPEG2, &[&bare])) && untold(of(MPEG4, &[&[0, 0, 0, 1, 0x67, 1, 2, 3, 4, 5]])));
    assert_eq!(of(MPEG2, &[&bare, &[0, 0, 1, 0xb7]]), Wholeness::Whole);
    // Nothing at all.
    let nothing: [&[&[u8]]; 2] = [&[], &[&[]]];
    for empty in nothing {
        assert_eq!(of(MPEG4, empty), Wholeness::Lacking(Lack::NoPixels));
    }
}
