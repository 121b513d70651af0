//! Pages of PDFs, drawn by a worker: good ones, and such as are to take it down.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::time::{Duration, Instant};

use clavicle_reports::{MAX_SIDE, PdfError, PdfPage};
use clavicle_sandbox::job::PdfIn;
use clavicle_sandbox::{ReadError, Reader, WorkerError, Workers};

/// A PDF of these objects, numbered from one, of which the first is the catalogue.
fn pdf(objects: &[&str]) -> Vec<u8> {
    let mut bytes = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in (1..).zip(objects) {
        places.push(bytes.len());
        bytes.extend(format!("{number} 0 obj\n{object}\nendobj\n").into_bytes());
    }
    let begin = bytes.len();
    bytes.extend(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).into_bytes());
    for place in places {
        bytes.extend(format!("{place:010} 00000 n \n").into_bytes());
    }
    let size = objects.len() + 1;
    bytes.extend(format!("trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{begin}\n%%EOF\n").into_bytes());
    bytes
}

fn stream(content: &str) -> String {
    format!("<< /Length {} >>\nstream\n{content}\nendstream", content.len())
}

/// A report of two pages: a red field and some words on the first, nothing on the second.
fn report() -> Vec<u8> {
    let drawn = stream("1 0 0 rg 50 100 100 200 re f 0 g BT /F1 12 Tf 20 350 Td (No acute finding.) Tj ET");
    pdf(&[
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R 4 0 R] /Count 2 /MediaBox [0 0 200 400] >>",
        "<< /Type /Page /Parent 2 0 R /Contents 5 0 R /Resources << /Font << /F1 6 0 R >> >> >>",
        "<< /Type /Page /Parent 2 0 R /Rotate 90 >>",
        &drawn,
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ])
}

fn drawn(reader: &dyn Reader, bytes: &[u8], number: u32, longest: u32) -> Result<Result<PdfPage, PdfError>, ReadError> {
    let mut file: File = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file.rewind().unwrap();
    reader.draw_page(&file, PdfIn::File, (number, longest))
}

pub(super) fn pages_are_drawn_as_they_are() {
    let reader = Workers::of_this_program().unwrap();
    let page = drawn(&reader, &report(), 1, 400).unwrap().unwrap();
    assert_eq!((page.pages, page.width, page.height), (2, 200, 400));
    let at = |x: usize, y: usize| &page.rgb[(y * 200 + x) * 3..][..3];
    assert_eq!((at(100, 200), at(10, 200), at(100, 390)), (&[255, 0, 0][..], &[255; 3][..], &[255; 3][..]));
    // The words: something black stands where they are.
    let dark = (35..60).flat_map(|y| (20..120).map(move |x| (x, y))).filter(|(x, y)| at(*x, *y)[0] < 100).count();
    assert!(dark > 50, "{dark} dark pixels");
    // The second lies on its side, and is empty.
    let page = drawn(&reader, &report(), 2, 100).unwrap().unwrap();
    assert_eq!((page.width, page.height), (100, 50));
    assert!(page.rgb.iter().all(|byte| *byte == 255));
    for number in [0, 3, u32::MAX] {
        assert_eq!(drawn(&reader, &report(), number, 100).unwrap(), Err(PdfError::NoPage { pages: 2 }));
    }
    // As large as it may be, whatever is asked for.
    let page = drawn(&reader, &report(), 1, u32::MAX).unwrap().unwrap();
    assert_eq!((page.width, page.height), (MAX_SIDE / 2, MAX_SIDE));
    assert_eq!(drawn(&reader, b"no PDF", 1, 100).unwrap(), Err(PdfError::NotAPdf));
    assert_eq!(drawn(&reader, b"", 1, 100).unwrap(), Err(PdfError::NotAPdf));
}

/// What comes of a PDF that is to do harm: any answer, but soon, and no worker that hangs.
fn harmless(reader: &Workers, bytes: &[u8], what: &str) -> bool {
    let from = Instant::now();
    let answer = drawn(reader, bytes, 1, 100);
    assert!(from.elapsed() < Duration::from_secs(20), "{what}: {:?}", from.elapsed());
    match answer {
        Ok(Ok(page)) => {
            assert!(page.width <= 100 && page.height <= 100, "{what}: {page:?}");
            true
        }
        Ok(Err(_)) => true,
        Err(ReadError::Worker(WorkerError::Ended | WorkerError::TimedOut(_))) => false,
        Err(error) => panic!("{what}: {error}"),
    }
}

pub(super) fn a_hostile_pdf_costs_itself_alone() {
    let reader = Workers::of_this_program().unwrap().within(Duration::from_secs(5));
    let (good, page) = (report(), "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 200 400] >>");
    let (catalogue, pages) = ("<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 >>");
    let nested = ["[".repeat(200_000), "]".repeat(200_000)].concat();
    let saves = stream(&"q ".repeat(500_000));
    let looping = "<< /Type /XObject /Subtype /Form /BBox [0 0 200 400] /Resources << /XObject << /A 5 0 R >> >> /Length 5 >>\n\
                   stream\n/A Do\nendstream";
    let with_form = "<< /Type /Page /Parent 2 0 R /Contents 4 0 R /MediaBox [0 0 200 400] /Resources << /XObject << /A 5 0 R >> >> >>";
    let size = |size: &str| page.replace("0 0 200 400", size);
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("pages that are their own parents", pdf(&[catalogue, "<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 9 >>"])),
        ("a catalogue that is its own pages", pdf(&["<< /Type /Catalog /Pages 1 0 R /Kids [1 0 R] >>"])),
        ("objects that are each other", pdf(&[catalogue, pages, "4 0 R", "3 0 R"])),
        ("a content that is itself", pdf(&[catalogue, pages, page, "4 0 R"])),
        (
            "a length that is its own stream",
            pdf(&[catalogue, pages, page, "<< /Length 4 0 R >>\nstream\nq\nendstream"]),
        ),
        ("a form that draws itself", pdf(&[catalogue, pages, with_form, &stream("/A Do"), looping])),
        ("a page as large as a country", pdf(&[catalogue, pages, &size("0 0 1000000000 1000000000"), &stream("")])),
        ("a page of no size", pdf(&[catalogue, pages, &size("0 0 0 0"), &stream("")])),
        ("a page that is a line", pdf(&[catalogue, pages, &size("0 0 14000 0.001"), &stream("")])),
        ("a page that is no number", pdf(&[catalogue, pages, &size("0 0 nan 1e99"), &stream("")])),
        ("lists in lists", pdf(&[catalogue, pages, page, &nested])),
        ("states in states", pdf(&[catalogue, pages, page, &saves])),
        ("a reference table that is before itself", {
            let mut bytes = pdf(&[catalogue, pages, page, &stream("q")]);
            let begin = bytes.windows(5).position(|some| some == b"xref\n").unwrap();
            let at = bytes.windows(8).position(|some| some == b"/Root 1 ").unwrap();
            bytes.splice(at..at, format!("/Prev {begin} ").into_bytes());
            bytes
        }),
    ];
    for (what, bytes) in &cases {
        let from = Instant::now();
        let answered = harmless(&reader, bytes, what);
        println!("{what}: {} in {:?}", if answered { "answered" } else { "cost its worker" }, from.elapsed());
    }
    assert_eq!(drawn(&reader, &cases[6].1, 1, 100).unwrap(), Err(PdfError::Size));
    for parts in 0..32 {
        harmless(&reader, &good[..good.len() * parts / 32], "cut off");
    }
    // One after the other, as changed by a fixed seed as bytes can be.
    let from = Instant::now();
    let (mut state, mut ended) = (0x00c1_a71c_1e00_u64, 0);
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap_or(0) % below.max(1)
    };
    for number in 0..1_000 {
        let mut bytes = good.clone();
        for _ in 0..=next(8) {
            let at = next(bytes.len());
            match next(4) {
                0 => bytes[at] = u8::try_from(next(256)).unwrap(),
                1 => bytes[at] ^= 1 << next(8),
                2 => drop(bytes.drain(at..(at + next(16)).min(bytes.len()))),
                _ => {
                    let from = next(bytes.len());
                    let some = bytes[from..(from + 16).min(bytes.len())].to_vec();
                    bytes.splice(at..at, some);
                }
            }
        }
        ended += usize::from(!harmless(&reader, &bytes, &format!("mutation {number}")));
    }
    println!("1000 mutations in {:?}, {ended} cost their worker", from.elapsed());
    // It goes on all the same.
    assert!(drawn(&reader, &good, 1, 100).unwrap().is_ok());
}
