//! What radiology IT really meets: files that break the standard and can be understood in one way only. Each is taken, its bytes stay, and
//! what was not in order is said once for each kind.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io::Cursor;
use std::os::unix::ffi::OsStringExt as _;

use clavicle_dicom::rewrite::Syntax;
use clavicle_dicom::{Repair, Unreadable};
use clavicle_imaging::intake::Intake;
use clavicle_imaging::reason::Reason;
use clavicle_manifest::StoredDigest;
use clavicle_pixels::frames::Frames;
use clavicle_sandbox::Inspected;
use clavicle_sandbox::reader::{Here, Reader as _};

use crate::made::{Named, UNDEFINED, claiming, element, item};

const EXPLICIT: &str = "1.2.840.10008.1.2.1";
const IMPLICIT: &str = "1.2.840.10008.1.2";
const BIG: &str = "1.2.840.10008.1.2.2";
const JPEG_LOSSLESS: &str = "1.2.840.10008.1.2.4.70";
const RLE: &str = "1.2.840.10008.1.2.5";

fn inspect(bytes: &[u8]) -> Result<Inspected, Unreadable> {
    Inspected::read(Cursor::new(bytes), bytes.len() as u64)
}

fn repairs(bytes: &[u8]) -> Vec<Repair> {
    let seen = inspect(bytes).unwrap();
    assert_eq!(seen.stored, StoredDigest::of(bytes), "the bytes are what they are");
    seen.repairs.into_iter().collect()
}

fn us(number: u16, value: u16) -> Vec<u8> {
    element(0x28, number, "US", &value.to_le_bytes())
}

/// What says that the pixels are 2 × 2 of 16 bits, and these pixels.
fn image(before: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let description = [us(2, 1), element(0x28, 4, "CS", b"MONOCHROME2 "), us(0x10, 2), us(0x11, 2), us(0x100, 16)];
    let description = description.into_iter().chain([us(0x101, 16), us(0x102, 15), us(0x103, 0)]);
    before.into_iter().chain(description).chain([element(0x7fe0, 0x10, "OW", &[1, 0, 2, 0, 3, 0, 4, 0])]).collect()
}

fn file(before: Vec<Vec<u8>>) -> Vec<u8> {
    Named::new(1, 1).file(&image(before))
}

/// The samples that are shown, here and in what is sent to others.
fn samples(bytes: &[u8]) -> Vec<u8> {
    let own = Frames::read(Cursor::new(bytes), bytes.len() as u64).unwrap().frame(0).unwrap().samples;
    for syntax in [Syntax::Own, Syntax::Explicit, Syntax::Implicit] {
        let other = rewritten(bytes, syntax);
        let repairs = inspect(&other).unwrap().repairs;
        assert!(repairs.is_subset(&BTreeSet::from([Repair::Frames, Repair::Text])), "{syntax:?}: {repairs:?}");
        let len = other.len() as u64;
        assert_eq!(Frames::read(Cursor::new(other), len).unwrap().frame(0).unwrap().samples, own, "{syntax:?}");
    }
    own
}

fn rewritten(bytes: &[u8], syntax: Syntax) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    fs::write(&path, bytes).unwrap();
    let mut out = Vec::new();
    Here.rewrite(&fs::File::open(&path).unwrap(), syntax, None, &mut out).unwrap();
    assert!(out.len().is_multiple_of(2));
    out
}

const PIXELS: [u8; 8] = [1, 0, 2, 0, 3, 0, 4, 0];

/// A code item without its header.
fn code() -> Vec<u8> {
    [element(8, 0x100, "SH", b"121322"), element(8, 0x102, "SH", b"DCM ")].concat()
}

fn defined(inside: &[u8]) -> Vec<u8> {
    item(0xe000, inside.len() as u32, inside)
}

fn end_of_item() -> Vec<u8> {
    item(0xe00d, 0, &[])
}

fn end_of_sequence() -> Vec<u8> {
    item(0xe0dd, 0, &[])
}

fn undefined(group: u16, number: u16, items: &[u8]) -> Vec<u8> {
    claiming(group, number, "SQ", UNDEFINED, items)
}

#[test]
fn delimiters_after_what_has_a_length_are_passed_over() {
    let items = [defined(&code()), defined(&code())].concat();
    let with_end = [items.clone(), end_of_sequence()].concat();
    let in_item = defined(&[code(), end_of_item()].concat());
    let philips =
        [element(0x2001, 0x10, "LO", b"Philips Imaging DD 001"), element(0x2001, 0x103e, "LO", b"x ")].concat();
    let whole = file(vec![element(8, 0x2112, "SQ", &items)]);
    let content = inspect(&whole).unwrap().dataset;
    for (what, sequence) in [
        ("inside the sequence's length", element(8, 0x2112, "SQ", &with_end)),
        ("behind the sequence", [element(8, 0x2112, "SQ", &items), end_of_sequence()].concat()),
        ("both of them behind it", [element(8, 0x2112, "SQ", &items), end_of_item(), end_of_sequence()].concat()),
        (
            "behind each item",
            undefined(
                8,
                0x2112,
                &[defined(&code()), end_of_item(), defined(&code()), end_of_item(), end_of_sequence()].concat(),
            ),
        ),
        (
            "behind each item of a defined one",
            element(8, 0x2112, "SQ", &[defined(&code()), end_of_item(), defined(&code()), end_of_item()].concat()),
        ),
        ("inside each item's length", element(8, 0x2112, "SQ", &[in_item.clone(), in_item].concat())),
    ] {
        let bytes = file(vec![sequence]);
        assert_eq!(repairs(&bytes), [Repair::ExtraDelimiter], "{what}");
        assert_eq!(samples(&bytes), PIXELS, "{what}");
        assert_eq!(inspect(&bytes).unwrap().dataset, content, "{what}: the content is the same");
    }
    // Private, and nested: in defined lengths, which then count a delimiter that nobody needs, and in undefined ones.
    let inner = element(0x2001, 0x105f, "SQ", &[defined(&philips), end_of_sequence()].concat());
    let outer = [element(0x2001, 0x10, "LO", b"Philips Imaging DD 001"), inner].concat();
    let deep = element(8, 0x2112, "SQ", &defined(&[code(), outer.clone()].concat()));
    let open = [item(0xe000, UNDEFINED, &outer), end_of_sequence(), end_of_item(), end_of_sequence()].concat();
    for nested in [deep, undefined(8, 0x2112, &open)] {
        let bytes = file(vec![nested]);
        assert_eq!(repairs(&bytes), [Repair::ExtraDelimiter]);
        assert_eq!(samples(&bytes), PIXELS);
    }
}

#[test]
fn a_delimiter_that_is_missing_at_the_end_is_said() {
    let fragments = |end: &[u8]| {
        let named = Named::new(1, 1).file(&[]);
        let at = named.windows(20).position(|window| window.starts_with(b"1.2.840.10008.1.2.1\0")).unwrap();
        let syntax = [&(JPEG_LOSSLESS.len() as u16).to_le_bytes()[..], JPEG_LOSSLESS.as_bytes()].concat();
        let mut bytes = named;
        bytes.splice(at - 2..at + 20, syntax);
        let whole = image(Vec::new());
        bytes.extend(whole[..whole.len() - 1].concat());
        let frame = [0xff, 0xd8, 0xff, 0xc4, 1, 2, 3, 4];
        bytes.extend(claiming(0x7fe0, 0x10, "OB", UNDEFINED, &[defined(&[]), defined(&frame)].concat()));
        bytes.extend_from_slice(end);
        bytes
    };
    let whole = inspect(&fragments(&end_of_sequence())).unwrap();
    assert_eq!((whole.repairs.len(), whole.facts.frames), (0, 1));
    let trailing = element(0xfffc, 0xfffc, "OB", &[0; 4]);
    for end in [&[][..], &[0; 8], &[0; 3], &[0; 512], &trailing] {
        let seen = inspect(&fragments(end)).unwrap();
        assert_eq!(seen.repairs.iter().collect::<Vec<_>>(), [&Repair::MissingDelimiter], "{} bytes", end.len());
        assert_eq!((seen.pixels, seen.facts.frames), (whole.pixels, 1));
        let len = fragments(end).len() as u64;
        let encoded = Frames::read(Cursor::new(fragments(end)), len).unwrap().encoded(0).unwrap();
        assert_eq!(encoded, [0xff, 0xd8, 0xff, 0xc4, 1, 2, 3, 4]);
        assert!(inspect(&rewritten(&fragments(end), Syntax::Own)).unwrap().repairs.is_empty());
    }
    // Behind the pixels, nested, with one or all of the delimiters missing.
    let private = [element(0x7fe1, 0x10, "LO", b"MAKER "), undefined(0x7fe1, 0x1001, &defined(&code()))].concat();
    let open = item(0xe000, UNDEFINED, &undefined(8, 0x2112, &item(0xe000, UNDEFINED, &code())));
    let private_open = [element(0x7fe1, 0x10, "LO", b"MAKER "), undefined(0x7fe1, 0x1001, &open)].concat();
    for (end, tail) in [(&private, 0), (&private_open, 0), (&private_open, 24)] {
        let bytes = [file(Vec::new()), end.clone(), vec![0; tail]].concat();
        assert_eq!(repairs(&bytes), [Repair::MissingDelimiter]);
        assert_eq!(samples(&bytes), PIXELS);
    }
    // In the middle: what follows says that the sequence has ended.
    let middle = file(vec![undefined(8, 0x2112, &defined(&code()))]);
    assert_eq!(repairs(&middle), [Repair::MissingDelimiter]);
    assert_eq!(samples(&middle), PIXELS);
    let nested = undefined(8, 0x2112, &[item(0xe000, UNDEFINED, &code()), end_of_sequence()].concat());
    let bytes = file(vec![nested]);
    assert_eq!(repairs(&bytes), [Repair::MissingDelimiter]);
    assert_eq!(samples(&bytes), PIXELS);
    // An image that ends in a sequence before its pixels was cut off.
    let cut = Named::new(1, 1).file(&[undefined(0x40, 0x275, &defined(&code()))]);
    assert_eq!(inspect(&cut).unwrap_err(), Unreadable::CutOff);
}

/// What disks and programs leave behind a file, none of which is an element.
fn junk() -> Vec<(&'static str, Vec<u8>)> {
    let noise = |len: u32| (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 11) as u8).collect::<Vec<_>>();
    vec![
        ("the end of a line", b"\r\n".to_vec()),
        ("a word", b"junk".to_vec()),
        ("a sentence", b"exported by a program that says so, here. ".to_vec()),
        ("noise", noise(300)),
        ("much of it", noise(3 << 20)),
        ("ones", vec![0xff; 512]),
        ("zeros, and then no zeros", [vec![0; 600], b"junk".to_vec()].concat()),
        ("an element that was cut off", claiming(0x7fe1, 0x1010, "OB", 1_000, &[1; 10])),
        ("a header that was cut off", b"\xe1\x7f\x10\x10OB\0".to_vec()),
        ("a sequence of no items", claiming(0x7fe1, 0x1010, "SQ", UNDEFINED, b"no item of any kind")),
        ("an item of nothing", item(0xe000, 4, b"item")),
    ]
}

#[test]
fn junk_behind_whole_pixels_is_passed_over_and_said() {
    let whole = file(Vec::new());
    let at = whole.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
    let other = with_second_meta(IMPLICIT, &[], &implicit(&whole[at..]));
    let content = inspect(&whole).unwrap();
    for (what, junk) in junk() {
        for whole in [&whole, &other] {
            let bytes = [&whole[..], &junk].concat();
            assert_eq!(repairs(&bytes), [Repair::Trailing], "{what}");
            let seen = inspect(&bytes).unwrap();
            assert_eq!((seen.dataset, seen.pixels), (content.dataset, content.pixels), "{what}");
            assert_eq!(samples(&bytes), PIXELS, "{what}");
            assert_eq!(rewritten(&bytes, Syntax::Own), rewritten(whole, Syntax::Own), "{what}");
        }
    }
    // What is an element counts, and what follows it does not.
    let more = [whole.clone(), element(0x7fe1, 0x10, "LO", b"MAKER "), element(0xfffc, 0xfffc, "OB", &[0; 4])].concat();
    for (what, junk) in junk() {
        let bytes = [&more[..], &junk].concat();
        assert_eq!((repairs(&bytes), samples(&bytes)), (vec![Repair::Trailing], PIXELS.to_vec()), "{what}");
        assert_eq!(inspect(&bytes).unwrap().dataset, inspect(&more).unwrap().dataset, "{what}");
        assert_eq!(rewritten(&bytes, Syntax::Own), rewritten(&more, Syntax::Own), "{what}");
    }
}

/// The image in one fragment, run length encoded, and what stands behind the fragments.
fn in_fragments(behind: &[u8]) -> Vec<u8> {
    let mut frame = [&[2, 0, 0, 0, 64, 0, 0, 0, 70, 0, 0, 0][..], &[0; 52]].concat();
    frame.extend_from_slice(&[3, 0, 0, 0, 0, 0x80, 3, 1, 2, 3, 4, 0x80]);
    let whole = file(Vec::new());
    let at = whole.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
    let fragments = claiming(0x7fe0, 0x10, "OB", UNDEFINED, &[defined(&[]), defined(&frame)].concat());
    with_second_meta(RLE, &[], &[&whole[at..whole.len() - 20], &fragments, behind].concat())
}

#[test]
fn junk_behind_fragments_is_passed_over_and_said() {
    let whole = in_fragments(&end_of_sequence());
    assert_eq!((repairs(&whole), samples(&whole)), (vec![], PIXELS.to_vec()));
    let delimiters = [end_of_sequence(), end_of_item()].concat();
    for (what, junk) in junk() {
        let bytes = in_fragments(&[end_of_sequence(), junk.clone()].concat());
        assert_eq!((repairs(&bytes), samples(&bytes)), (vec![Repair::Trailing], PIXELS.to_vec()), "{what}");
        assert_eq!(inspect(&bytes).unwrap().dataset, inspect(&whole).unwrap().dataset, "{what}");
        assert_eq!(rewritten(&bytes, Syntax::Own), rewritten(&whole, Syntax::Own), "{what}");
        // A delimiter too many is one, and what follows it junk.
        let bytes = in_fragments(&[delimiters.clone(), junk].concat());
        assert_eq!(repairs(&bytes), [Repair::ExtraDelimiter, Repair::Trailing], "{what}");
        assert_eq!(samples(&bytes), PIXELS, "{what}");
    }
}

#[test]
fn pixels_that_are_not_whole_or_said_otherwise_behind_are_refused() {
    let whole = file(Vec::new());
    let start = whole.len() - 20;
    // Cut short, by a length that lies or by the disk: pydicom shows none of them.
    let short = |len: u32, value: &[u8]| [&whole[..start], &claiming(0x7fe0, 0x10, "OW", len, value)].concat();
    for bytes in [short(6, &PIXELS), short(0, &PIXELS), [short(6, &PIXELS[..6]), b"junk".to_vec()].concat()] {
        assert!(inspect(&bytes).is_err());
    }
    assert!(matches!(inspect(&short(1_000, &PIXELS[..6])), Err(Unreadable::TooLong { declared: 1_000, left: 6, .. })));
    // Of more than is claimed nothing is missing.
    for len in [9, 10, 1_000, 0x7fff_fffe, 0xffff_fffe] {
        let bytes = short(len, &PIXELS);
        assert_eq!((repairs(&bytes), samples(&bytes)), (vec![Repair::PixelLength], PIXELS.to_vec()), "{len}");
        assert_eq!(inspect(&bytes).unwrap().pixels, inspect(&whole).unwrap().pixels, "{len}");
        assert_eq!(rewritten(&bytes, Syntax::Own), rewritten(&whole, Syntax::Own), "{len}");
    }
    // What others would go by who read on: the image would be another there.
    let hidden = [&b"\xe1\x7f\x10\x10\x04\0\0\0\xff\xff\xff\xff"[..], &us(0x10, 1), b"junk"].concat();
    let twice = [us(0x11, 2), b"junk".to_vec()].concat();
    let again = [element(0x7fe0, 0x10, "OW", &[9; 8]), b"junk".to_vec()].concat();
    for (tag, behind) in [("(0028,0010)", hidden), ("(0028,0011)", twice), ("(7FE0,0010)", again)] {
        for bytes in [[&whole[..], &behind].concat(), in_fragments(&[end_of_sequence(), behind.clone()].concat())] {
            let refused = inspect(&bytes).unwrap_err().to_string();
            assert_eq!(refused, format!("{tag} occurs twice, so that it is unclear which counts"));
        }
    }
    // Without pixels nobody knows where a data set ends.
    let none = [Named::new(1, 1).file(&[]), b"junk".to_vec()].concat();
    assert_eq!(inspect(&none).unwrap_err(), Unreadable::CutOff);
}

#[test]
fn delimiters_that_claim_a_length_end_what_they_end() {
    let claims = |number| item(number, 0x4000_0001, &[]);
    let open = [item(0xe000, UNDEFINED, &code()), claims(0xe00d), claims(0xe0dd)].concat();
    let whole = file(vec![undefined(
        8,
        0x2112,
        &[item(0xe000, UNDEFINED, &code()), end_of_item(), end_of_sequence()].concat(),
    )]);
    for bytes in [file(vec![undefined(8, 0x2112, &open)]), in_fragments(&claims(0xe0dd))] {
        assert_eq!((repairs(&bytes), samples(&bytes)), (vec![Repair::DelimiterLength], PIXELS.to_vec()));
    }
    assert_eq!(inspect(&file(vec![undefined(8, 0x2112, &open)])).unwrap().dataset, inspect(&whole).unwrap().dataset);
}

#[test]
fn what_is_said_twice_alike_counts_once() {
    let whole = file(Vec::new());
    for again in [element(0x10, 0x20, "LO", b"P1"), us(0x10, 2), element(8, 0x60, "CS", b"MR")] {
        let at = whole.len() - 20;
        let bytes = [&whole[..at], &again, &whole[at..]].concat();
        assert_eq!((repairs(&bytes), samples(&bytes)), (vec![Repair::Twice], PIXELS.to_vec()));
        assert_eq!(inspect(&bytes).unwrap().dataset, inspect(&whole).unwrap().dataset);
        assert_eq!(rewritten(&bytes, Syntax::Own), rewritten(&whole, Syntax::Own));
    }
    // Otherwise it is unclear which counts.
    let at = whole.len() - 20;
    let bytes = [&whole[..at], &us(0x10, 1), &whole[at..]].concat();
    assert!(matches!(inspect(&bytes), Err(Unreadable::Twice(_))));
}

/// The same data set with `second` in front of it.
fn with_second_meta(syntax: &str, second: &[u8], data_set: &[u8]) -> Vec<u8> {
    let mut value = syntax.as_bytes().to_vec();
    value.resize(value.len().next_multiple_of(2), 0);
    let class = element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.4\0");
    [&[0; 128], &b"DICM"[..], &class, &element(2, 0x10, "UI", &value), second, data_set].concat()
}

fn implicit(elements: &[u8]) -> Vec<u8> {
    let (mut rest, mut bytes) = (elements, Vec::new());
    while let [a, b, c, d, e, f, g, h, after @ ..] = rest {
        let (len, value) = match [*e, *f] {
            [b'O', b'W'] => (u32::from_le_bytes(after[..4].try_into().unwrap()), &after[4..]),
            _ => (u32::from(u16::from_le_bytes([*g, *h])), after),
        };
        bytes.extend_from_slice(&[*a, *b, *c, *d]);
        bytes.extend_from_slice(&len.to_le_bytes());
        bytes.extend_from_slice(&value[..len as usize]);
        rest = &value[len as usize..];
    }
    bytes
}

#[test]
fn group_2_that_stands_again_in_the_data_set_does_not_count() {
    let whole = file(Vec::new());
    let at = whole.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
    let data_set = &whole[at..];
    let other = element(2, 0x10, "UI", b"1.2.840.10008.1.2\0");
    let name = element(2, 0x13, "SH", b"OTHER_1 ");
    let again = [element(2, 2, "UI", b"1.2.840.10008.1.3.10"), other.clone(), name.clone()].concat();
    for second in [[other, name.clone()].concat(), again.clone()] {
        let bytes = with_second_meta(EXPLICIT, &second, data_set);
        assert_eq!(repairs(&bytes), [Repair::SecondMeta]);
        assert_eq!(inspect(&bytes).unwrap().facts.transfer_syntax_uid.as_str(), EXPLICIT);
        assert_eq!(inspect(&bytes).unwrap().dataset, inspect(&whole).unwrap().dataset);
        assert_eq!(samples(&bytes), PIXELS);
    }
    // In an implicit data set: written as that is, or as meta information is.
    for second in [implicit(&again), again] {
        let bytes = with_second_meta(IMPLICIT, &second, &implicit(data_set));
        assert_eq!(repairs(&bytes), [Repair::SecondMeta]);
        assert_eq!(inspect(&bytes).unwrap().facts.transfer_syntax_uid.as_str(), IMPLICIT);
        assert_eq!(samples(&bytes), PIXELS);
    }
}

#[test]
fn a_value_representation_that_is_none_is_read_as_unknown() {
    let text = b"ABCDEFGH";
    let strange = |vr: &[u8; 2], len: &[u8]| [&b"\x10\0\xb0\x21"[..], vr, len, text].concat();
    // Behind the patient's id and before the study's UID.
    let with = |element: Vec<u8>| {
        let mut bytes = file(Vec::new());
        let at = bytes.windows(8).position(|window| window == b"\x20\0\x0d\0UI\x06\0").unwrap();
        bytes.splice(at..at, element);
        bytes
    };
    let content = inspect(&with(element(0x10, 0x21b0, "LT", text))).unwrap().dataset;
    for vr in [b"--", b"??", b"  ", b"\0\0", b"RE", b"lt", b"L\0"] {
        let bytes = with(strange(vr, &[8, 0]));
        assert_eq!(repairs(&bytes), [Repair::Vr], "{vr:?}");
        assert_eq!(samples(&bytes), PIXELS, "{vr:?}");
        assert_eq!(inspect(&bytes).unwrap().dataset, content, "{vr:?}");
    }
    // With a length of 32 bits, as VRs that are new have it.
    for (vr, wanted) in [(b"RE", &[][..]), (b"??", &[Repair::Vr]), (b"\0\0", &[Repair::Vr])] {
        let bytes = with(strange(vr, &[0, 0, 8, 0, 0, 0]));
        assert_eq!(repairs(&bytes), wanted, "{vr:?}");
        assert_eq!(samples(&bytes), PIXELS, "{vr:?}");
        assert_eq!(inspect(&bytes).unwrap().dataset, content, "{vr:?}");
    }
    // In an item of defined length, where all lengths around grow; and where the pixels are.
    let inside = defined(&[code(), strange(b"??", &[8, 0])].concat());
    let nested = file(vec![element(8, 0x2112, "SQ", &defined(&element(8, 0x2112, "SQ", &inside)))]);
    assert_eq!((repairs(&nested), samples(&nested)), (vec![Repair::Vr], PIXELS.to_vec()));
    let mut pixels = file(Vec::new());
    let at = pixels.len() - 16;
    pixels[at..at + 2].copy_from_slice(b"??");
    assert_eq!((repairs(&pixels), samples(&pixels)), (vec![Repair::Vr], PIXELS.to_vec()));
    // Where no length makes sense, it is refused as before.
    let nonsense = with([&b"\x10\0\xb0\x21"[..], b"??", &[0xff, 0x7f], text].concat());
    assert!(matches!(inspect(&nonsense), Err(Unreadable::NoVr(_))));
}

#[test]
fn a_data_set_that_is_not_encoded_as_it_says_is_read_as_it_is() {
    let whole = file(Vec::new());
    let at = whole.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
    for (says, data_set) in
        [(EXPLICIT, implicit(&whole[at..])), (IMPLICIT, whole[at..].to_vec()), (BIG, whole[at..].to_vec())]
    {
        let bytes = with_second_meta(says, &[], &data_set);
        assert_eq!(repairs(&bytes), [Repair::Encoding], "{says}");
        assert_eq!(samples(&bytes), PIXELS, "{says}");
        assert_eq!(inspect(&bytes).unwrap().dataset, inspect(&whole).unwrap().dataset);
    }
}

#[test]
fn icons_in_any_form_do_not_hide_the_image() {
    let icon = |pixels: Vec<u8>| [us(2, 1), us(0x10, 1), us(0x11, 8), us(0x100, 8), pixels].concat();
    let fragments = [defined(&[]), defined(&[0xff, 0xd8, 0xff, 0xe0, 9, 9])].concat();
    let encapsulated = |vr| claiming(0x7fe0, 0x10, vr, UNDEFINED, &[fragments.clone(), end_of_sequence()].concat());
    let open = |items: Vec<u8>| undefined(0x88, 0x200, &[items, end_of_sequence()].concat());
    let closed = |icon: Vec<u8>| [item(0xe000, UNDEFINED, &icon), end_of_item()].concat();
    let nested = |icon: Vec<u8>| element(0x40, 0x275, "SQ", &defined(&element(0x88, 0x200, "SQ", &defined(&icon))));
    let private =
        |icon: Vec<u8>| [element(0x29, 0x10, "LO", b"MAKER "), element(0x29, 0x1001, "SQ", &defined(&icon))].concat();
    for (what, before) in [
        ("defined", element(0x88, 0x200, "SQ", &defined(&icon(encapsulated("OB"))))),
        ("item undefined", element(0x88, 0x200, "SQ", &closed(icon(encapsulated("OB"))))),
        ("sequence undefined", open(defined(&icon(encapsulated("OB"))))),
        ("both undefined", open(closed(icon(encapsulated("OW"))))),
        ("unknown", open(closed(icon(encapsulated("UN"))))),
        ("native", open(closed(icon(element(0x7fe0, 0x10, "OB", &[7; 8]))))),
        ("deeper", nested(icon(encapsulated("OB")))),
        ("private", private(icon(encapsulated("OB")))),
    ] {
        let bytes = file(vec![before]);
        assert_eq!(repairs(&bytes), [], "{what}");
        assert_eq!(samples(&bytes), PIXELS, "{what}");
    }
}

#[test]
fn the_data_set_says_what_an_instance_is_and_not_the_meta_information() {
    let whole = file(Vec::new());
    let at = whole.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
    let directory = element(2, 2, "UI", b"1.2.840.10008.1.3.10");
    let bytes =
        [&[0; 128], &b"DICM"[..], &directory, &element(2, 0x10, "UI", b"1.2.840.10008.1.2.1\0"), &whole[at..]].concat();
    assert_eq!(repairs(&bytes), [Repair::MetaClass]);
    assert_eq!(samples(&bytes), PIXELS);
    // A DICOMDIR is one, whatever its meta information says.
    let records = [element(4, 0x1130, "CS", b"DISC"), element(4, 0x1220, "SQ", &[])].concat();
    for class in [directory, element(2, 2, "UI", b"1.2.840.10008.5.1.4.1.1.4\0")] {
        let bytes =
            [&[0; 128], &b"DICM"[..], &class, &element(2, 0x10, "UI", b"1.2.840.10008.1.2.1\0"), &records].concat();
        assert_eq!(inspect(&bytes).unwrap_err(), Unreadable::Directory);
    }
}

#[test]
fn odd_lengths_stay_and_are_even_in_what_is_sent() {
    let inside = defined(&[element(8, 0x100, "SH", b"12132"), element(8, 0x102, "SH", b"DCM")].concat());
    let mut pixels = image(vec![element(8, 0x2112, "SQ", &inside), element(0x20, 0x4000, "LT", b"odd")]);
    pixels.pop();
    let described = [us(0x10, 3), us(0x11, 3), us(0x100, 8), us(0x101, 8), us(0x102, 7), us(0x103, 0)];
    let mut bytes = Named::new(1, 1).file(&pixels[..4]);
    bytes.extend([described.concat(), element(0x7fe0, 0x10, "OB", &[10, 11, 12, 13, 14, 15, 16, 17, 18])].concat());
    assert_eq!(repairs(&bytes), [Repair::OddLength]);
    assert_eq!(samples(&bytes), [10, 11, 12, 13, 14, 15, 16, 17, 18]);
    // A value of the longest odd length that 16 bits can say does not fit its VR with padding.
    let long = element(0x20, 0x4000, "LT", &[b'x'; 65_535]);
    let bytes = file(vec![long]);
    assert_eq!((repairs(&bytes), samples(&bytes)), (vec![Repair::OddLength], PIXELS.to_vec()));
}

#[test]
fn a_copy_under_another_study_uid_is_kept_and_both_studies_are_named() {
    let root = tempfile::tempdir().unwrap();
    for (folder, study) in [("A", "1.2.3"), ("B", "1.2.9")] {
        fs::create_dir(root.path().join(folder)).unwrap();
        for number in 1..=3 {
            let named = Named { study: study.into(), ..Named::new(1, number) };
            fs::write(root.path().join(folder).join(number.to_string()), named.file(&[])).unwrap();
        }
    }
    let intake = Intake::of_folder(root.path(), &Here).unwrap();
    let counts: Vec<usize> = intake.studies.iter().map(clavicle_imaging::intake::StudyIntake::instances).collect();
    assert_eq!((counts, intake.conflicts.len(), intake.accounting().taken), (vec![3, 3], 0, 6));
    assert_eq!(intake.elsewhere.len(), 3);
    let first = &intake.elsewhere[0];
    assert_eq!(first.sop_instance_uid.as_str(), "1.2.3.1.1");
    assert_eq!((first.study_instance_uid.as_str(), first.with_study_instance_uid.as_str()), ("1.2.9", "1.2.3"));
    assert_eq!((&first.path, &first.with), (&root.path().join("B/1"), &root.path().join("A/1")));
}

/// A folder of files with these patients, by name, id and issuer.
fn patients(all: &[(&[u8], &str, &str)]) -> Intake {
    let root = tempfile::tempdir().unwrap();
    for (number, (name, id, issuer)) in all.iter().enumerate() {
        let mut bytes = Named { patient: (*id).into(), ..Named::new(1, number + 1) }.file(&[]);
        let at = bytes.windows(8).position(|window| window.starts_with(b"\x10\0\x20\0LO")).unwrap();
        bytes.splice(at..at, element(0x10, 0x10, "PN", name));
        let at = bytes.windows(6).position(|window| window == b"\x20\0\x0d\0UI").unwrap();
        bytes.splice(at..at, element(0x10, 0x21, "LO", issuer.as_bytes()));
        fs::write(root.path().join(format!("{number}")), bytes).unwrap();
    }
    Intake::of_folder(root.path(), &Here).unwrap()
}

#[test]
fn names_that_mean_the_same_are_one_patient_and_a_difference_is_named() {
    let same: [(&[u8], &str, &str); 7] = [
        (b"DOE^J", "", ""),
        (b"DOE^J^^^", "", ""),
        (b"DOE^J ", "", ""),
        (b"Doe^j", "", ""),
        (b"DOE^J==", "", ""),
        (b"DOE^J^^^=^^", "", ""),
        (b" DOE ^ J", "", ""),
    ];
    let intake = patients(&same);
    assert_eq!((intake.studies.len(), intake.quarantined.len()), (1, 0), "{:?}", intake.quarantined);
    let other = patients(&[(b"DOE^J", "", ""), (b"ROE^J", "", "")]);
    let issuer = patients(&[(b"DOE^J", "P1", "MERCY "), (b"DOE^J", "P1", "STLUKE")]);
    for (intake, attribute, one, other) in
        [(other, "Patient's Name", "DOE^J", "ROE^J"), (issuer, "Issuer of Patient ID", "MERCY", "STLUKE")]
    {
        assert_eq!((intake.studies.len(), intake.quarantined.len()), (0, 2));
        let reason = &intake.quarantined[0].reason;
        assert!(matches!(reason, Reason::MixedPatients(_)));
        // A log is told which attribute it is, and the screen both values.
        let (logged, shown) = (format!("{reason} {reason:?}"), reason.on_screen());
        assert!(logged.contains(attribute) && !logged.contains(one) && !logged.contains(other), "{logged}");
        assert!(shown.contains(&format!("{attribute} is “{one}” in one and “{other}” in another")), "{shown}");
    }
}

fn described(charset: &[u8], description: &[u8]) -> Inspected {
    let even = |text: &[u8]| [text, &b" "[..text.len() % 2]].concat();
    let (charset, description) = (&even(charset), &even(description));
    let mut bytes = file(Vec::new());
    let at = bytes.windows(4).position(|window| window == [8, 0, 0x16, 0]).unwrap();
    bytes.splice(at..at, element(8, 5, "CS", charset));
    let at = bytes.windows(4).position(|window| window == [0x10, 0, 0x20, 0]).unwrap();
    bytes.splice(at..at, element(8, 0x1030, "LO", description));
    inspect(&bytes).unwrap()
}

#[test]
fn text_is_read_in_its_character_set_or_left_out_and_said() {
    for (charset, bytes, text) in [
        (&b"GB18030 "[..], &b"\x81\x5cCT\x95\x5c"[..], "乗CT昞"),
        (b"GBK ", b"\x81\x5c", "乗"),
        (b"ISO IR 192", "Schädel".as_bytes(), "Schädel"),
        (b"UTF-8 ", "頭部".as_bytes(), "頭部"),
        (b"ISO_IR 100", b"Sch\xe4del", "Schädel"),
        (b"\\ISO 2022 IR 87", b"\x1b$BF,It\x1b(BCT", "頭部CT"),
    ] {
        let seen = described(charset, bytes);
        assert_eq!((seen.facts.study_description.as_str(), seen.repairs.len()), (text, 0), "{charset:?}");
    }
    for (charset, bytes) in [
        (&b""[..], &b"Sch\xe4del"[..]),
        (b"ISO_IR 192", b"Sch\xe4del "),
        (b"ISO_IR 777", b"Sch\xe4del "),
        (b"\\ISO 2022 IR 87", b"\x1b%@abcd"),
        (b"GB18030 ", b"\x81 ab"),
    ] {
        let seen = described(charset, bytes);
        assert_eq!(seen.facts.study_description.as_str(), "", "{charset:?}");
        assert_eq!(seen.repairs.into_iter().collect::<Vec<_>>(), [Repair::Text], "{charset:?}");
    }
}

#[test]
fn a_name_that_is_no_text_is_taken_and_listed() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join(OsString::from_vec(b"Pr\xe9sentation".to_vec()));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(OsString::from_vec(b"IM-\xe9-1".to_vec())), file(Vec::new())).unwrap();
    let readme = folder.join(OsString::from_vec(b"lisez-\xe0.txt".to_vec()));
    fs::write(&readme, "bonjour").unwrap();
    let mut intake = Intake::of_folder(root.path(), &Here).unwrap();
    assert_eq!((intake.studies.len(), intake.quarantined.len()), (1, 1));
    assert!(intake.quarantined[0].path.display().to_string().ends_with("Pr\u{fffd}sentation/lisez-\u{fffd}.txt"));
    intake.studies[0].attach(&readme, clavicle_manifest::MediaType::Text).unwrap();
    assert_eq!(intake.studies[0].attachments[0].attachment.title.as_str(), "lisez-\u{fffd}.txt");
}

#[test]
fn what_is_not_in_order_is_said_once_for_each_kind_of_it() {
    let root = tempfile::tempdir().unwrap();
    for number in 1..=3 {
        let sequence = [element(8, 0x2112, "SQ", &defined(&code())), end_of_sequence()].concat();
        let bytes = Named::new(1, number).file(&image(vec![sequence]));
        fs::write(root.path().join(number.to_string()), bytes).unwrap();
    }
    fs::write(root.path().join("4"), b"no DICOM").unwrap();
    let intake = Intake::of_folder(root.path(), &Here).unwrap();
    // A fault of a file is an entry of its own, and costs no other.
    assert_eq!((intake.studies[0].instances(), intake.quarantined.len(), intake.accounting().given), (3, 1, 4));
    let repairs: Vec<_> = intake.repairs().into_iter().collect();
    assert_eq!(repairs, [(Repair::ExtraDelimiter, 3)]);
    assert_eq!(intake.repaired.len(), 3);
}
