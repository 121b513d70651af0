//! Workers, as a binary has them: this test is started again as its own worker, and so has a `main` of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../letters/tests/photographs/camera.rs"]
#[allow(dead_code, reason = "it can take more kinds of photographs than are needed here")]
mod camera;
#[path = "worker/code.rs"]
mod code;
#[path = "worker/pdf.rs"]
mod pdf;

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clavicle_dicom::Unreadable;
use clavicle_dicom::kos::{Document, Time, Title};
use clavicle_imaging::intake::{Edition, Intake};
use clavicle_imaging::reason::Reason;
use clavicle_imaging::selection::{self, Verdict, verify};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{Date, Nonce};
use clavicle_pixels::render::{Wanted, Windowing};
use clavicle_sandbox::confined::MEMORY;
use clavicle_sandbox::process::Processes;
use clavicle_sandbox::threads::Threads;
use clavicle_sandbox::{ARGUMENT, Here, OnDisk, ReadError, Reader, WorkerError, Workers, main_if_asked};

fn main() {
    if let Some([_, path]) =
        std::env::args_os().skip(2).collect::<Vec<_>>().first_chunk().filter(|[mode, _]| mode == "--meddle")
    {
        meddle(path);
    }
    main_if_asked();
    match std::env::args().nth(1).as_deref() {
        Some("--die") => std::process::exit(1),
        Some("--babble") => {
            println!("0123456789012345678901234567890123456789");
            std::process::exit(0)
        }
        Some("--hang") => std::thread::park(),
        _ => {}
    }
    let tests: [(&str, fn()); 15] = [
        ("a_worker_reads_what_this_process_reads", a_worker_reads_what_this_process_reads),
        ("a_worker_that_ends_costs_one_file_each", a_worker_that_ends_costs_one_file_each),
        ("a_file_that_is_still_being_written_is_left_for_later", a_file_that_is_still_being_written_is_left_for_later),
        ("a_worker_that_hangs_is_ended", a_worker_that_hangs_is_ended),
        ("a_worker_has_little_memory", a_worker_has_little_memory),
        ("a_gigabyte_gets_its_mac_within_a_workers_memory", a_gigabyte_gets_its_mac_within_a_workers_memory),
        ("a_worker_can_open_nothing", a_worker_can_open_nothing),
        ("no_worker_is_left_over", no_worker_is_left_over),
        ("plain_processes_and_threads_read_the_same", plain_processes_and_threads_read_the_same),
        ("a_film_is_the_same_wherever_it_is_looked_at", a_film_is_the_same_wherever_it_is_looked_at),
        ("a_plain_process_that_hangs_or_dies_costs_one_file", a_plain_process_that_hangs_or_dies_costs_one_file),
        ("pages_are_drawn_as_they_are", pdf::pages_are_drawn_as_they_are),
        ("a_hostile_pdf_costs_itself_alone", pdf::a_hostile_pdf_costs_itself_alone),
        ("codes_are_read_wherever_pictures_are", code::codes_are_read_wherever_pictures_are),
        ("a_hostile_picture_costs_itself_alone", code::a_hostile_picture_costs_itself_alone),
    ];
    // Harnesses that list tests, or filter them, find nothing to choose from.
    if std::env::args().any(|argument| argument == "--list") {
        return;
    }
    for (name, test) in tests {
        test();
        println!("test {name} ... ok");
    }
}

fn test_files() -> PathBuf {
    clavicle_samples::files::pydicom("")
}

fn summary(intake: &Intake) -> Vec<String> {
    let instances = intake.studies.iter().flat_map(|study| &study.series).flat_map(|series| &series.instances);
    let taken = instances.map(|one| format!("{} {:?}", one.path.display(), one.instance));
    taken.chain(intake.quarantined.iter().map(|one| format!("{} {}", one.path.display(), one.reason))).collect()
}

fn a_worker_reads_what_this_process_reads() {
    let from = Instant::now();
    let here = Intake::of_folder(&test_files(), &Here).unwrap();
    let between = Instant::now();
    let reader = Workers::of_this_program().unwrap();
    let there = Intake::of_folder(&test_files(), &reader).unwrap();
    println!("{} files: {:?} here, {:?} in a worker", here.accounting().given, between - from, between.elapsed());
    for (here, there) in summary(&here).iter().zip(summary(&there)) {
        assert_eq!(*here, there);
    }
    assert!(here.studies.len() > 10);
}

fn a_worker_that_ends_costs_one_file_each() {
    for argument in ["--die", "--babble"] {
        let program = std::env::current_exe().unwrap();
        let reader = Workers::new(program, vec![OsString::from(argument)]);
        let files = vec![test_files().join("CT_small.dcm"), test_files().join("MR_small.dcm")];
        let intake = Intake::of_files(files, &reader);
        assert_eq!((intake.studies.len(), intake.quarantined.len()), (0, 2));
        for one in &intake.quarantined {
            assert!(
                matches!(one.reason, Reason::Read(ReadError::Worker(WorkerError::Ended | WorkerError::Nonsense))),
                "{}",
                one.reason
            );
        }
    }
    let reader = Workers::new("/nowhere/at/all".into(), Vec::new());
    let intake = Intake::of_files(vec![test_files().join("CT_small.dcm")], &reader);
    assert!(matches!(intake.quarantined[0].reason, Reason::Read(ReadError::Worker(WorkerError::Start(_)))));
}

/// A worker that plays the modality that has not finished writing, before it reads as it should.
fn meddle(path: &OsStr) {
    let mut file = std::fs::OpenOptions::new().append(true).open(path).unwrap();
    file.write_all(&[0; 8]).unwrap();
}

fn a_file_that_is_still_being_written_is_left_for_later() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::copy(test_files().join("CT_small.dcm"), &path).unwrap();
    let program = std::env::current_exe().unwrap();
    let reader = Workers::new(program, vec![ARGUMENT.into(), "--meddle".into(), path.clone().into()]);
    let intake = Intake::of_files(vec![path.clone()], &reader);
    assert!(matches!(intake.quarantined[0].reason, Reason::Read(ReadError::Changed)), "{:?}", intake.quarantined);
    assert_eq!(Intake::of_files(vec![path], &Here).studies.len(), 1);
}

fn a_worker_that_hangs_is_ended() {
    let program = std::env::current_exe().unwrap();
    let workers = Workers::new(program, vec![OsString::from("--hang")]).within(Duration::from_millis(200));
    let intake = Intake::of_files(vec![test_files().join("CT_small.dcm")], &workers);
    assert!(matches!(intake.quarantined[0].reason, Reason::Read(ReadError::Worker(WorkerError::TimedOut(_)))));
    assert_eq!(children(), Vec::<u32>::new());
}

fn a_worker_has_little_memory() {
    // What is deflated to 300 MB of zeros is refused, and the worker lives to read the next.
    let folder = tempfile::tempdir().unwrap();
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    for _ in 0..300 {
        deflate.write_all(&[0; 1 << 20]).unwrap();
    }
    let start = [&[0; 128][..], b"DICM\x02\0\x10\0UI\x16\x001.2.840.10008.1.2.1.99"].concat();
    let bomb = folder.path().join("bomb");
    std::fs::write(&bomb, [start, deflate.finish().unwrap()].concat()).unwrap();
    let reader = Workers::of_this_program().unwrap();
    let intake = Intake::of_files(vec![bomb, test_files().join("CT_small.dcm")], &reader);
    assert_eq!((intake.quarantined.len(), intake.studies.len()), (1, 1));
    assert!(matches!(intake.quarantined[0].reason, Reason::Read(ReadError::Unreadable(Unreadable::Inflates))));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", children()[0])).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max address space")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some(MEMORY.to_string().as_str()), "{line}");
}

fn a_gigabyte_gets_its_mac_within_a_workers_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (images, document) = (folder.path().join("images"), folder.path().join("kos.dcm"));
    std::fs::create_dir(&images).unwrap();
    // A small image, after which one comes that is nearly all hole: 1.1 GB of zeros, in memory nowhere.
    let small = std::fs::read(test_files().join("MR_small.dcm")).unwrap();
    let pixels = small.windows(8).position(|bytes| bytes == b"\xe0\x7f\x10\0OW\0\0").unwrap();
    let len: u32 = 1_100_000_000;
    let mut file = std::fs::File::create(images.join("large")).unwrap();
    file.write_all(&[&small[..pixels + 8], &len.to_le_bytes()].concat()).unwrap();
    file.set_len((pixels + 12) as u64 + u64::from(len)).unwrap();
    let reader = Workers::of_this_program().unwrap();
    let intake = Intake::of_folder(&images, &reader).unwrap();
    let edition = Edition {
        chain: ChainId::from_bytes([1; 32]),
        source: SourceId::from_bytes([2; 32]),
        salt: Salt::from_bytes([3; 32]),
        nonce: Nonce::from_bytes([4; 32]),
        revision: 0,
        predecessor: None,
        open: false,
    };
    let manifest = intake.studies[0].manifest(&edition).unwrap();
    let kos = Document {
        title: Title::default(),
        date: Date::new(2026, 5, 4).unwrap(),
        time: Time::new(9, 30, 0).unwrap(),
        series_number: 9_000,
        random: [7; 32],
    };
    let from = Instant::now();
    let bytes = selection::of_manifest(&kos, &manifest, (&OnDisk, &|_| images.join("large")), &reader).unwrap();
    println!("a MAC of {len} bytes: {:?}", from.elapsed());
    std::fs::write(&document, bytes).unwrap();
    let found = verify(&document, &images, &reader).unwrap();
    assert_eq!(found.listed.iter().map(|one| &one.verdict).collect::<Vec<_>>(), [&Verdict::Right { pixels: true }]);
}

fn a_worker_can_open_nothing() {
    let reader = Workers::of_this_program().unwrap();
    assert_eq!(Intake::of_files(vec![test_files().join("CT_small.dcm")], &reader).studies.len(), 1);
    let status = std::fs::read_to_string(format!("/proc/{}/status", children()[0])).unwrap();
    // 2: what it may call the system for is filtered.
    for line in ["Seccomp:\t2", "NoNewPrivs:\t1"] {
        assert!(status.lines().any(|one| one == line), "{status}");
    }
}

fn children() -> Vec<u32> {
    let path = format!("/proc/self/task/{}/children", std::process::id());
    let list = std::fs::read_to_string(Path::new(&path)).unwrap();
    list.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

fn no_worker_is_left_over() {
    let reader = Workers::of_this_program().unwrap();
    let intake = Intake::of_files(vec![test_files().join("CT_small.dcm")], &reader);
    assert_eq!(intake.studies.len(), 1);
    assert_eq!(children().len(), 1);
    drop(reader);
    assert_eq!(children(), Vec::<u32>::new());
}

fn plain_processes_and_threads_read_the_same() {
    let here = summary(&Intake::of_folder(&test_files(), &Here).unwrap());
    let readers: [&dyn Reader; 2] = [&Processes::of_this_program().unwrap(), &Threads::default()];
    for reader in readers {
        let there = summary(&Intake::of_folder(&test_files(), reader).unwrap());
        assert_eq!(here.len(), there.len());
        for (here, there) in here.iter().zip(&there) {
            assert_eq!(here, there);
        }
    }
    assert_eq!(children(), Vec::<u32>::new());
}

fn a_film_is_the_same_wherever_it_is_looked_at() {
    let file = std::fs::File::open(test_files().join("examples_ybr_color.dcm")).unwrap();
    let frames = |reader: &dyn Reader| {
        let mut film = reader.film(&file).unwrap();
        let wanted = |frame| Wanted { frame: Some(frame), windowing: Windowing::AsItSays, side: Some(64) };
        // One that is not there costs nothing of those behind it.
        [0, 7, 30, 29].map(|frame| film.render(&wanted(frame)).unwrap())
    };
    let here = frames(&Here);
    assert_eq!(here.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false, true]);
    assert_ne!(here[0], here[1]);
    let readers: [&dyn Reader; 3] =
        [&Workers::of_this_program().unwrap(), &Processes::of_this_program().unwrap(), &Threads::default()];
    for reader in readers {
        assert!(here == frames(reader), "{reader:?}");
    }
}

fn a_plain_process_that_hangs_or_dies_costs_one_file() {
    let program = std::env::current_exe().unwrap();
    let of_one = |reader: &dyn Reader| {
        let mut intake = Intake::of_files(vec![test_files().join("CT_small.dcm")], reader);
        intake.quarantined.remove(0).reason
    };
    let hanging = Processes::new(program.clone(), vec!["--hang".into()]).within(Duration::from_millis(200));
    assert!(matches!(of_one(&hanging), Reason::Read(ReadError::Worker(WorkerError::TimedOut(_)))));
    let dying = Processes::new(program, vec!["--die".into()]);
    assert!(matches!(of_one(&dying), Reason::Read(ReadError::Worker(WorkerError::Ended))));
    let nowhere = Processes::new("/nowhere/at/all".into(), Vec::new());
    assert!(matches!(of_one(&nowhere), Reason::Read(ReadError::Worker(WorkerError::Start(_)))));
    assert_eq!(children(), Vec::<u32>::new());
}
