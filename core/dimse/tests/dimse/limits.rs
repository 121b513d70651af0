//! Objects beyond the limit, and settings that cannot be.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clavicle_dimse::{BindError, End, Scp, Settings, Violation};

use crate::raw::{Raw, fragment, store};
use crate::receiver::{Receiver, Record, title};

#[test]
fn an_object_over_the_limit_is_refused_and_the_next_is_stored() {
    let receiver = Receiver::with(Record::default(), |settings| settings.max_object = 1_000);
    let mut raw = Raw::associate(receiver.address);
    raw.send(&[store("1.2"), fragment(1, 0, &[0; 600]), fragment(1, 2, &[0; 401])].concat());
    assert_eq!(raw.status(), (0xa700, "the object is larger than may be stored here".to_owned()));
    assert_eq!(receiver.names(), Vec::<String>::new());
    raw.send(&[store("1.3"), fragment(1, 0, &[0; 600]), fragment(1, 2, &[0; 400])].concat());
    assert_eq!(raw.status().0, 0);
    raw.release();
    assert_eq!(receiver.names().len(), 1);
    // Whoever keeps the log is told of it as well.
    let line = "RAW 127.0.0.1: out of resources (A700): the object is larger than may be stored here";
    assert_eq!(receiver.record.refused(), [line]);
}

#[test]
fn who_goes_on_for_ever_is_not_heard_out() {
    let receiver = Receiver::with(Record::default(), |settings| settings.max_object = 1_000);
    let mut raw = Raw::associate(receiver.address);
    raw.send(&store("1.2"));
    let piece = fragment(1, 0, &[0; 60_000]);
    let sent = (0..2_000).take_while(|_| std::io::Write::write_all(&mut raw.0, &piece).is_ok()).count();
    assert_eq!(receiver.record.ended(1)[0].end, End::Violation(Violation::Endless));
    assert!(sent < 2_000);
    assert_eq!(receiver.names(), Vec::<String>::new());
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::new("127.0.0.1:0".parse().unwrap(), title("CLAVICLE"), folder.path().join("spool"));
    let refused = |settings| Scp::bind(settings, Arc::new(Record::default())).err();
    let small = Settings { max_pdu: 1_000, ..settings.clone() };
    assert!(matches!(refused(small), Some(BindError::MaxPdu(1_000))));
    assert!(matches!(refused(Settings { timeout: Duration::ZERO, ..settings.clone() }), Some(BindError::Timeout)));
    let nowhere = Settings { spool: "/proc/nowhere".into(), ..settings.clone() };
    assert!(matches!(refused(nowhere), Some(BindError::Spool(_))));
    let first = Scp::bind(settings.clone(), Arc::new(Record::default())).unwrap();
    assert!(matches!(refused(settings.clone()), Some(BindError::InUse)));
    let taken = Settings { listen: first.address(), spool: folder.path().join("other"), ..settings };
    assert!(matches!(refused(taken), Some(BindError::Listen { .. })));
}

#[test]
fn stopped_it_is_gone_within_a_second() {
    let mut receiver = Receiver::start();
    let silent = Raw::connect(receiver.address);
    let mut idle = Raw::associate(receiver.address);
    let mut sending = Raw::associate(receiver.address);
    sending.send(&[store("1.2"), fragment(1, 0, &[0; 600])].concat());
    // One that asks and asks, and does not listen to the answers.
    let mut deaf = Raw::associate(receiver.address);
    let address = receiver.address;
    let asking = std::thread::spawn(move || {
        let echo = crate::raw::command(0x0030, crate::raw::VERIFICATION, None, 0x0101);
        let echo = fragment(3, 3, &echo);
        while std::io::Write::write_all(&mut deaf.0, &echo).is_ok() {}
    });
    // Heard after all of the above was.
    Raw::associate(address).release();
    let from = Instant::now();
    receiver.scp.take().unwrap().stop();
    assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
    asking.join().unwrap();
    for raw in [&mut idle, &mut sending] {
        assert_eq!(raw.abort(), (0, 0));
    }
    drop(silent);
    let ended = receiver.record.ended(5);
    assert_eq!(ended.len(), 5);
    assert!(ended.iter().filter(|one| one.end == End::Stopped).count() >= 3, "{ended:?}");
    assert_eq!(receiver.names(), Vec::<String>::new());
    assert!(std::net::TcpStream::connect(address).is_err());
}
