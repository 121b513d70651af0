//! `clavicle view`, as a person types it.
#![expect(unreachable_pub, reason = "nobody uses a test binary")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../../core/imaging/tests/imaging/damaged.rs"]
mod damaged;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::{Command, Output};

use clavicle_dicom::document::{Imprint, encapsulated_pdf, text_report};
use clavicle_dicom::kos::Heading;
use clavicle_manifest::{Date, Uid};
use clavicle_phantom::{Kind, Phantom};
use serde_json::Value;

fn view(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clavicle")).current_dir(folder).arg("view").args(arguments).output().unwrap()
}

fn seen(folder: &Path, arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = view(folder, &[arguments, &["--json"]].concat());
    assert!(status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

/// What is seen of what is not all to be seen.
fn seen_in_part(folder: &Path, arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = view(folder, &[arguments, &["--json"]].concat());
    assert_eq!(status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    let seen: Value = serde_json::from_slice(&stdout).unwrap();
    assert!(seen["error"]["message"].is_string(), "{seen}");
    seen
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = view(folder, arguments);
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

/// Width, height, frames and whether it has colours.
fn png(path: &Path) -> (u32, u32, u32, bool) {
    let reader = png::Decoder::new(BufReader::new(File::open(path).unwrap())).read_info().unwrap();
    let info = reader.info();
    let frames = info.animation_control.map_or(1, |animation| animation.num_frames);
    (info.width, info.height, frames, info.color_type == png::ColorType::Rgb)
}

#[test]
fn a_folder_is_listed_and_drawn_on_a_sheet() {
    let folder = tempfile::tempdir().unwrap();
    Phantom { slices: 3, size: 64, ..Phantom::of(Kind::HeadMr) }.write(&folder.path().join("study")).unwrap();
    fs::write(folder.path().join("study/notes.txt"), "no image").unwrap();
    let found = seen_in_part(folder.path(), &["study", "--png", "sheet.png", "--side", "50"]);
    let all = &found["accounting"];
    assert_eq!((found["series"].as_array().unwrap().len(), all["rest"].as_array().unwrap().len()), (5, 1));
    assert_eq!(all["given"].as_u64(), all["taken"].as_u64().map(|taken| taken + 1));
    // The report has no picture, and that is as it should be.
    assert!(all["besides"].as_array().unwrap().is_empty(), "{all}");
    // Four of the five series are images: two by two.
    assert_eq!(png(&folder.path().join("sheet.png")), (104, 104, 1, true));
    let text = String::from_utf8(view(folder.path(), &["study", "--png", "again.png"]).stdout).unwrap();
    assert!(
        text.contains("no picture") && text.contains("this is a report") && text.contains("Not for diagnosis"),
        "{text}"
    );
    // A person's own file is never written over, nor what a link leads to.
    fs::write(folder.path().join("mine.png"), "mine").unwrap();
    std::os::unix::fs::symlink(folder.path().join("mine.png"), folder.path().join("link.png")).unwrap();
    for name in ["mine.png", "link.png", "sheet.png"] {
        assert!(refused(folder.path(), &["study", "--png", name]).contains("nothing is written over it"), "{name}");
    }
    assert_eq!(fs::read(folder.path().join("mine.png")).unwrap(), b"mine");
    assert!(refused(folder.path(), &["study", "--frame", "2"]).contains("are for a file"));
}

#[test]
fn of_a_series_the_slice_is_drawn_that_lies_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    let ct = Phantom { slices: 5, size: 64, ..Phantom::of(Kind::HeadCt) };
    let files = ct.write(&folder.path().join("whole")).unwrap();
    let slices: Vec<_> = files.iter().filter(|file| file.parent() == files[files.len() / 2].parent()).collect();
    assert_eq!(slices.len(), 5);
    // Names that put the slice in the middle at the end.
    fs::create_dir(folder.path().join("named")).unwrap();
    for (name, slice) in ["a", "b", "z", "c", "d"].iter().zip(&slices) {
        fs::copy(slice, folder.path().join("named").join(name)).unwrap();
    }
    seen(folder.path(), &["named", "--side", "64", "--png", "sheet.png"]);
    seen(folder.path(), &["named/z", "--side", "64", "--png", "z.png"]);
    seen(folder.path(), &["named/b", "--side", "64", "--png", "b.png"]);
    let pixels = |name: &str| {
        let file = BufReader::new(File::open(folder.path().join(name)).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let frame = reader.next_frame(&mut bytes).unwrap();
        // One shade a pixel, without the sheet's border.
        let (step, wide) = (bytes.len() / (frame.width * frame.height) as usize, frame.width as usize);
        let shades: Vec<u8> = bytes.chunks_exact(step).map(|pixel| pixel[0]).collect();
        let border = (wide - 64) / 2;
        let rows = shades.chunks_exact(wide).skip(border).take(64);
        rows.flat_map(|row| row[border..border + 64].to_vec()).collect::<Vec<u8>>()
    };
    assert!(pixels("sheet.png") == pixels("z.png") && pixels("sheet.png") != pixels("b.png"));
}

/// The images were blamed: "nothing in … is an image that can be shown".
#[test]
fn a_window_that_nothing_has_is_the_flags_fault_and_those_that_there_are_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    Phantom { slices: 2, size: 64, ..Phantom::of(Kind::HeadMr) }.write(&folder.path().join("study")).unwrap();
    let said = refused(folder.path(), &["study", "--png", "sheet.png", "--window", "nosuch"]);
    assert!(said.contains("error: --window nosuch cannot be used: there is no window of that name"), "{said}");
    assert!(said.contains("brain") && said.contains("`fitted`") && !said.contains("is an image"), "{said}");
    assert!(!folder.path().join("sheet.png").exists());
    // A window that is not looked through is not passed over in silence.
    assert!(refused(folder.path(), &["study", "--window", "brain"]).contains("without --png"));
    assert!(refused(folder.path(), &["study", "--png", "sheet.png", "--window", "40,0"]).contains("at least 1 wide"));
    // What is no image is still not the window's fault.
    fs::create_dir(folder.path().join("none")).unwrap();
    fs::write(folder.path().join("none/notes.txt"), "no image").unwrap();
    let said = refused(folder.path(), &["none", "--png", "sheet.png", "--window", "brain"]);
    assert!(said.contains("nothing in none is an image that can be shown"), "{said}");
}

#[test]
fn a_file_is_shown_frame_by_frame_in_a_window_and_as_a_film() {
    let folder = tempfile::tempdir().unwrap();
    let film = Phantom { slices: 4, size: 64, ..Phantom::of(Kind::HeartUs) }.write(folder.path()).unwrap().remove(0);
    let film = film.to_str().unwrap();
    let found = seen(folder.path(), &[film, "--frame", "4", "--png", "frame.png"]);
    assert_eq!((found["frame"].as_u64(), found["frames"].as_u64()), (Some(4), Some(4)));
    let (width, height, frames, is_coloured) = png(&folder.path().join("frame.png"));
    assert_eq!((frames, is_coloured), (1, true));
    seen(folder.path(), &[film, "--cine", "--png", "film.png"]);
    assert_eq!(png(&folder.path().join("film.png")), (width, height, 4, true));
    assert!(refused(folder.path(), &[film, "--frame", "5"]).contains("it has 4 frames, and no frame 5"));

    let slices = Phantom { slices: 1, size: 64, ..Phantom::of(Kind::HeadCt) }.write(&folder.path().join("ct")).unwrap();
    let slice = slices[0].to_str().unwrap();
    let mut pictures = Vec::new();
    for window in ["brain", "bone", "40,80", "fitted"] {
        let name = format!("{window}.png");
        seen(folder.path(), &[slice, "--window", window, "--png", &name]);
        pictures.push(fs::read(folder.path().join(name)).unwrap());
    }
    assert!(pictures[0] == pictures[2] && pictures[0] != pictures[1] && pictures[1] != pictures[3]);
    let said = refused(folder.path(), &[slice, "--window", "nonsense"]);
    assert!(said.contains("error: --window nonsense cannot be used: there is no window of that name"), "{said}");
    assert!(said.contains("abdomen, angiography, bone") && said.contains("CENTRE,WIDTH"), "{said}");
    assert!(refused(folder.path(), &["nowhere"]).contains("nowhere cannot be read"));
}

/// A PDF of two pages, with a red field on the first.
const PDF: &str = "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n\
                   2 0 obj<</Type/Pages/Kids[3 0 R 4 0 R]/Count 2/MediaBox[0 0 200 400]>>endobj\n\
                   3 0 obj<</Type/Page/Parent 2 0 R/Contents 5 0 R>>endobj\n4 0 obj<</Type/Page/Parent 2 0 R>>endobj\n\
                   5 0 obj<</Length 30>>\nstream\n1 0 0 rg 50 100 100 200 re f  \nendstream endobj\n\
                   trailer<</Root 1 0 R>>\n%%EOF\n";

#[test]
fn a_report_is_read_and_a_page_of_one_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hl7 = "MSH|^~\\&|RIS|MERCY|||20260203||ORU^R01|1|P|2.5\rPID|||4711||Rossi^Ana\rOBR|1|||CT\rOBX|1|TX|IMP^Impression||Normal.\x1b[31m||||||C";
    fs::write(folder.join("report.hl7"), hl7).unwrap();
    let fhir = r#"{"resourceType":"DiagnosticReport","status":"appended","issued":"2026-02-03T08:15:00Z","conclusion":"No acute finding."}"#;
    fs::write(folder.join("report.json"), fhir).unwrap();
    fs::write(folder.join("report.pdf"), PDF).unwrap();
    fs::write(folder.join("none.json"), "{}").unwrap();
    let said = seen(folder, &["report.hl7"]);
    assert_eq!(
        (&said["text"], &said["stage"]),
        (&"Impression (corrected):\nNormal.[31m".into(), &"corrected".into()),
        "{said}"
    );
    let said = seen(folder, &["report.json"]);
    assert_eq!((&said["text"], &said["stage"]), (&"No acute finding.".into(), &"addendum".into()), "{said}");
    assert_eq!(said["written"], "2026-02-03 08:15", "{said}");
    let text = String::from_utf8(view(folder, &["report.json"]).stdout).unwrap();
    assert_eq!(text.trim_end(), "report.json (FHIR, addendum, 2026-02-03 08:15):\nNo acute finding.");
    let said = seen(folder, &["report.pdf", "--png", "page.png", "--side", "400"]);
    assert_eq!((&said["page"], &said["pages"]), (&1.into(), &2.into()), "{said}");
    assert_eq!(png(&folder.join("page.png")), (200, 400, 1, true));
    assert_eq!(seen(folder, &["report.pdf", "--frame", "2"])["page"], 2);
    assert!(refused(folder, &["report.pdf", "--frame", "3"]).contains("there are 2"));
    assert!(refused(folder, &["none.json"]).contains("no FHIR DiagnosticReport"));
}

/// Reports in instances were named, and could not be read.
#[test]
fn reports_that_are_instances_are_read_and_their_pages_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, study) = (folder.path(), folder.path().join("study"));
    let files = Phantom { slices: 3, size: 64, ..Phantom::of(Kind::HeadMr) }.write(&study).unwrap();
    let image = File::open(&files[0]).unwrap();
    let len = image.metadata().unwrap().len();
    let heading = Heading::read(image, len).unwrap();
    let uid = |number: u32| Uid::new(&format!("2.25.{number}")).unwrap();
    let imprint = |number: u32| Imprint {
        sop_instance_uid: uid(number),
        series_instance_uid: uid(number + 1),
        title: "Letter".to_owned(),
        written: Date::new(2026, 5, 3).map(|day| (day, (14, 10, 0))),
        is_complete: false,
    };
    fs::write(study.join("letter.dcm"), encapsulated_pdf(&heading, &imprint(10), PDF.as_bytes())).unwrap();
    fs::write(study.join("words.dcm"), text_report(&heading, &imprint(20), "No acute finding.")).unwrap();

    // All of them are taken, and shown.
    let found = seen(folder, &["study"]);
    let reports = found["reports"].as_array().unwrap();
    let of = |kind: &str| reports.iter().filter(|row| row["kind"] == kind).collect::<Vec<_>>();
    assert_eq!((reports.len(), of("PDF in DICOM").len(), of("structured report").len()), (3, 1, 2), "{found}");
    assert!(of("PDF in DICOM")[0]["not_shown"].as_str().unwrap().starts_with("2 pages"), "{found}");
    let texts: Vec<&str> = of("structured report").iter().map(|row| row["text"].as_str().unwrap()).collect();
    let (made, words) = if texts[0].contains("white matter") { (texts[0], texts[1]) } else { (texts[1], texts[0]) };
    assert!(words.ends_with("No acute finding."), "{words}");
    // Images are named as people name them.
    let named = made.split_once("inferred from Source of Measurement: series 1, image ").unwrap().1;
    assert!(named.contains("; series 2, image ") && !made.contains("not here"), "{made}");
    let all = &found["accounting"];
    assert_eq!((all["given"].as_u64(), all["rest"].as_array().unwrap().len()), (all["taken"].as_u64(), 0), "{all}");

    // One by one.
    let said = seen(folder, &["study/words.dcm"]);
    assert_eq!((&said["kind"], &said["text"]), (&"structured report".into(), &words.into()), "{said}");
    let warnings = said["warnings"].as_array().unwrap();
    let warns = |what: &str| warnings.iter().any(|one| one.as_str().unwrap().starts_with(what));
    assert!(warns("NOT COMPLETE") && warns("NOT VERIFIED"), "{said}");
    let text = String::from_utf8(view(folder, &["study/words.dcm"]).stdout).unwrap();
    assert!(text.find("NOT COMPLETE").unwrap() < text.find("No acute finding.").unwrap(), "{text}");
    assert!(refused(folder, &["study/words.dcm", "--png", "words.png"]).contains("is text"));
    let said = seen(folder, &["study/letter.dcm", "--png", "page.png", "--side", "400"]);
    assert_eq!((&said["page"], &said["pages"]), (&1.into(), &2.into()), "{said}");
    assert_eq!(png(&folder.join("page.png")), (200, 400, 1, true));
    assert_eq!(seen(folder, &["study/letter.dcm", "--frame", "2"])["page"], 2);
    assert!(refused(folder, &["study/letter.dcm", "--frame", "3"]).contains("there are 2"));

    // What is none.
    fs::write(study.join("none.dcm"), encapsulated_pdf(&heading, &imprint(30), b"no PDF")).unwrap();
    assert!(refused(folder, &["study/none.dcm"]).contains("no PDF that could be read"));
}

/// What was skipped, twice there or contradicted was counted at best, and all was said to be well.
#[test]
fn what_is_not_shown_is_named_and_so_is_what_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let study = folder.path().join("study");
    let files = Phantom { slices: 3, size: 64, ..Phantom::of(Kind::HeadCt) }.write(&study).unwrap();
    fs::copy(&files[0], study.join("copy.dcm")).unwrap();
    let found = seen(folder.path(), &["study"]);
    assert_eq!(found["accounting"]["rest"][0]["fate"], "duplicate", "{found}");
    let mut other = fs::read(&files[1]).unwrap();
    *other.last_mut().unwrap() ^= 1;
    fs::write(study.join("other.dcm"), other).unwrap();
    fs::write(study.join("cut.dcm"), &fs::read(&files[2]).unwrap()[..600]).unwrap();
    let found = seen_in_part(folder.path(), &["study"]);
    let all = &found["accounting"];
    let rest = all["rest"].as_array().unwrap();
    assert_eq!(all["given"].as_u64().unwrap() as usize, all["taken"].as_u64().unwrap() as usize + rest.len());
    for (file, fate, of) in [
        ("copy.dcm", "duplicate", Some(&files[0])),
        ("other.dcm", "conflict", Some(&files[1])),
        ("cut.dcm", "unreadable", None),
    ] {
        let row = rest.iter().find(|row| row["file"].as_str().unwrap().ends_with(file)).unwrap();
        assert_eq!(row["fate"], fate, "{row}");
        let of = of.map(|of| of.file_name().unwrap().to_str().unwrap());
        assert_eq!(row["of"].as_str().map(|named| named.rsplit('/').next().unwrap()), of, "{row}");
    }
    let said = view(folder.path(), &["study"]);
    let text = String::from_utf8(said.stdout).unwrap();
    for line in ["duplicate    study/copy.dcm", "conflict     study/other.dcm", "unreadable   study/cut.dcm"] {
        assert!(text.contains(line), "{text}");
    }
    let why = String::from_utf8(said.stderr).unwrap();
    assert!(why.contains("files are not taken (1 unreadable, 1 conflict)"), "{why}");
}

/// Real files of others, each damaged in ten ways.
#[test]
fn hundreds_of_damaged_files_are_shown_or_named() {
    let is_long = std::env::var_os("CLAVICLE_LONG").is_some_and(|long| long == "1");
    let files = damaged::real_files(if is_long { 100 } else { 14 });
    let folder = tempfile::tempdir().unwrap();
    let count = damaged::write_damaged(&files, &folder.path().join("all"));
    assert!(count as u64 == files.len() as u64 * damaged::WAYS && count >= 300, "{count}");
    let found = seen_in_part(folder.path(), &["all", "--png", "sheet.png", "--side", "32"]);
    let all = &found["accounting"];
    let (given, taken) = (all["given"].as_u64().unwrap() as usize, all["taken"].as_u64().unwrap() as usize);
    let rest = all["rest"].as_array().unwrap();
    assert_eq!((given, taken + rest.len()), (count, count));
    let shown: u64 = found["series"].as_array().unwrap().iter().map(|one| one["instances"].as_u64().unwrap()).sum();
    assert_eq!(shown as usize, taken);
    let named: BTreeSet<&str> = rest.iter().map(|row| row["file"].as_str().unwrap()).collect();
    assert_eq!(named.len(), rest.len(), "each once");
    for row in rest.iter().chain(all["besides"].as_array().unwrap()) {
        let why = row["why"].as_str().unwrap();
        assert!(why.len() > 10 && !why.contains("should not be possible"), "{row}");
    }
}
