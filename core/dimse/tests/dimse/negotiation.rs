//! Who may have an association, and what is told to those who may not.

use std::collections::BTreeSet;

use clavicle_dimse::{Called, Calling, End, Rejection};

use crate::programs::{run, succeed, text};
use crate::raw::{Raw, request};
use crate::receiver::{Receiver, Record, title};

fn echo(receiver: &Receiver, calling: &str, called: &str) -> String {
    text(&run("echoscu", ["-v", "-aet", calling, "-aec", called, "127.0.0.1", &receiver.port()]))
}

#[test]
fn who_is_called_by_another_name_does_not_answer() {
    let receiver = Receiver::start();
    assert!(echo(&receiver, "CT1", "SOMEBODY").contains("Called AE Title Not Recognized"));
    assert_eq!(receiver.record.ended(1)[0].end, End::Rejected(Rejection::Called));
    let receiver = Receiver::with(Record::default(), |settings| settings.called = Called::Any);
    assert!(echo(&receiver, "CT1", "SOMEBODY").contains("Received Echo Response (Success)"));
}

#[test]
fn who_is_not_on_the_list_is_not_let_in() {
    let list = Calling::These(BTreeSet::from([title("CT1"), title("CT 2")]));
    let receiver = Receiver::with(Record::default(), |settings| settings.calling = list);
    for calling in ["CT1", "CT 2", " CT1 "] {
        succeed("echoscu", ["-aet", calling, "-aec", "CLAVICLE", "127.0.0.1", &receiver.port()]);
    }
    assert!(echo(&receiver, "CT3", "CLAVICLE").contains("Calling AE Title Not Recognized"));
    let ended = receiver.record.ended(4).remove(3);
    assert_eq!(ended.end, End::Rejected(Rejection::Calling));
    // For the log: who it was, and whom it called.
    assert_eq!((ended.calling, ended.called), (Some(title("CT3")), Some(title("CLAVICLE"))));
}

/// Titles are padded with spaces, says the standard. With NUL, with a NUL and spaces, or with what was in the buffer before, they were "not recognised".
#[test]
fn titles_are_known_however_they_are_padded() {
    let list = Calling::These(BTreeSet::from([title("CT1")]));
    let receiver = Receiver::with(Record::default(), |settings| settings.calling = list);
    let called: [&[u8; 16]; 4] =
        [b"CLAVICLE        ", b"CLAVICLE\0       ", b"CLAVICLE\0\0\0\0    ", b"CLAVICLE\0\xffOLDER\0"];
    let calling: [&[u8; 16]; 4] =
        [b"CT1             ", b"CT1\0            ", b"CT1\0\0\0\0\0        ", b"CT1 \0 \0 \0 \0 \0 \0 "];
    for (called, calling) in called.into_iter().zip(calling) {
        let mut raw = Raw::connect(receiver.address);
        let mut request = request();
        request[10..26].copy_from_slice(called);
        request[26..42].copy_from_slice(calling);
        raw.send(&request);
        let (kind, body) = raw.hear().unwrap();
        assert_eq!(kind, 2, "{called:?} {calling:?}");
        // The fields come back as they were (PS3.8 table 9-17).
        assert_eq!((&body[4..20], &body[20..36]), (&called[..], &calling[..]));
        raw.release();
    }
    let is_known = |ended: &clavicle_dimse::Ended| ended.calling == Some(title("CT1")) && ended.end == End::Released;
    assert!(receiver.record.ended(4).iter().all(is_known));
}
