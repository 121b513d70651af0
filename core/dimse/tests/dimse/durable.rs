//! What a sender was told of is on the disk, and what it was not told of leaves nothing behind.

use std::sync::Mutex;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use clavicle_dimse::{Received, Refusal, RefusalStatus};

use crate::made::{data_set, pydicom};
use crate::programs::{run, text};
use crate::raw::{Raw, fragment, store};
use crate::receiver::{PATIENCE, Process, Receiver, Record, names};

#[test]
fn success_is_said_when_the_sink_has_agreed_and_not_before() {
    let (asked, questions) = sync_channel(1);
    let (answer, answers) = sync_channel::<()>(1);
    let answers = Mutex::new(answers);
    let decide = move |object: &Received| {
        asked.send(object.path.clone()).unwrap();
        answers.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        Ok(())
    };
    let receiver = Receiver::with(Record::that_says(decide), |_| {});
    let mut raw = Raw::associate(receiver.address);
    raw.send(&[store("1.2"), fragment(1, 0, b"all "), fragment(1, 2, b"of it")].concat());
    let path = questions.recv_timeout(PATIENCE).unwrap();
    // It is whole, and bears its name.
    assert_eq!(receiver.names(), [path.file_name().unwrap().to_str().unwrap()]);
    assert_eq!(data_set(&std::fs::read(&path).unwrap()), b"all of it");
    assert!(raw.is_silent(Duration::from_millis(300)));
    answer.send(()).unwrap();
    assert_eq!(raw.status().0, 0);
    raw.release();
}

#[test]
fn what_the_sink_refuses_is_told_and_removed() {
    for (status, code) in [
        (RefusalStatus::CannotUnderstand, 0xc000),
        (RefusalStatus::DataSetDoesNotMatch, 0xa900),
        (RefusalStatus::NotAuthorised, 0x0124),
        (RefusalStatus::OutOfResources, 0xa700),
        (RefusalStatus::ProcessingFailure, 0x0110),
    ] {
        let comment = "the study is closed, and this comment is longer than the 64 characters that fit";
        let decide = move |_: &Received| Err(Refusal::new(status, comment));
        let receiver = Receiver::with(Record::that_says(decide), |_| {});
        let mut raw = Raw::associate(receiver.address);
        raw.send(&[store("1.2"), fragment(1, 2, b"data")].concat());
        assert_eq!(raw.status(), (code, comment[..64].to_owned()));
        assert_eq!(receiver.names(), Vec::<String>::new());
        raw.release();
        assert_eq!((receiver.record.ended(1)[0].stored, receiver.record.ended(1)[0].refused), (0, 1));
    }
}

#[test]
fn a_refusal_is_read_by_dcmtk() {
    let decide = |_: &Received| Err(Refusal::new(RefusalStatus::DataSetDoesNotMatch, "another instance inside"));
    let receiver = Receiver::with(Record::that_says(decide), |_| {});
    let file = pydicom("CT_small.dcm");
    let output = run("storescu", ["-d", "-aec", "CLAVICLE", "127.0.0.1", &receiver.port(), file.to_str().unwrap()]);
    let said = text(&output);
    assert!(said.contains("0xa900") && said.contains("another instance inside"), "{said}");
}

#[test]
fn a_sink_that_panics_costs_one_object() {
    let first = Mutex::new(true);
    let decide = move |_: &Received| {
        let was_first = std::mem::take(&mut *first.lock().unwrap());
        assert!(!was_first, "this panic is part of the test");
        Ok(())
    };
    let receiver = Receiver::with(Record::that_says(decide), |_| {});
    let mut raw = Raw::associate(receiver.address);
    let object = [store("1.2"), fragment(1, 2, b"data")].concat();
    raw.send(&object);
    assert_eq!(raw.status().0, 0x0110);
    assert_eq!(receiver.names(), Vec::<String>::new());
    raw.send(&object);
    assert_eq!(raw.status().0, 0);
    raw.release();
}

#[test]
fn a_sink_may_move_what_it_gets() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.dcm");
    let to = kept.clone();
    let decide = move |object: &Received| {
        std::fs::rename(&object.path, &to).unwrap();
        Err(Refusal::new(RefusalStatus::CannotUnderstand, "kept aside"))
    };
    let receiver = Receiver::with(Record::that_says(decide), |_| {});
    let mut raw = Raw::associate(receiver.address);
    raw.send(&[store("1.2"), fragment(1, 2, b"data")].concat());
    assert_eq!(raw.status().0, 0xc000);
    assert_eq!(data_set(&std::fs::read(kept).unwrap()), b"data");
    raw.release();
}

#[test]
fn killed_in_the_middle_it_keeps_what_was_acknowledged_and_clears_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let process = Process::start(&spool, "");
    let address = format!("127.0.0.1:{}", process.port).parse().unwrap();
    let mut raw = Raw::associate(address);
    raw.send(&[store("1.2"), fragment(1, 2, b"acknowledged")].concat());
    assert_eq!(raw.status().0, 0);
    let mut half = Raw::associate(address);
    half.send(&[store("1.3"), fragment(1, 0, &[0; 60_000])].concat());
    // Served after the half object was begun: the file is there when this is answered.
    while names(&spool).len() < 2 {
        std::thread::yield_now();
    }
    drop(process);
    assert_eq!(names(&spool), ["0000000000000000.dcm", "0000000000000001.part"]);
    let again = Process::start(&spool, "");
    assert_eq!(names(&spool), ["0000000000000000.dcm"]);
    assert_eq!(data_set(&std::fs::read(spool.join("0000000000000000.dcm")).unwrap()), b"acknowledged");
    again.stop();
}

#[test]
fn a_disk_that_takes_no_more_is_out_of_resources() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    // Files of 50 KiB at most, and an error instead of a signal: what writing to a full disk is like.
    let process = Process::start(&spool, "trap '' XFSZ; ulimit -f 100;");
    let mut raw = Raw::associate(format!("127.0.0.1:{}", process.port).parse().unwrap());
    let piece = fragment(1, 0, &[0; 40_000]);
    raw.send(&[store("1.2"), piece.clone(), piece.clone(), piece, fragment(1, 2, b"end")].concat());
    assert_eq!(raw.status(), (0xa700, "the object could not be written".to_owned()));
    assert_eq!(names(&spool), Vec::<String>::new());
    raw.send(&[store("1.3"), fragment(1, 2, &[0; 40_000])].concat());
    assert_eq!(raw.status().0, 0);
    raw.release();
    process.stop();
    assert_eq!(names(&spool), ["0000000000000001.dcm"]);
}

#[test]
fn a_spool_folder_that_is_gone_is_out_of_resources() {
    let receiver = Receiver::start();
    std::fs::remove_dir_all(receiver.spool()).unwrap();
    let mut raw = Raw::associate(receiver.address);
    raw.send(&[store("1.2"), fragment(1, 2, b"data")].concat());
    assert_eq!(raw.status().0, 0xa700);
    raw.release();
}
