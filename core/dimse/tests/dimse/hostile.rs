//! Peers that mean no good, or are broken. Each is told so in the way of the standard, costs little, leaves nothing behind, and keeps
//! nobody else out.

use std::io::Write as _;
use std::time::Duration;

use clavicle_dimse::{End, Rejection, Violation};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::made::CT;
use crate::programs::succeed;
use crate::raw::{Raw, VERIFICATION, command, element, fragment, release, request, store, unit};
use crate::receiver::{PATIENCE, Receiver, Record};

const BY_USER: (u8, u8) = (0, 0);
const UNRECOGNISED_PDU: (u8, u8) = (2, 1);
const UNEXPECTED_PDU: (u8, u8) = (2, 2);
const INVALID_PARAMETER: (u8, u8) = (2, 6);

/// That somebody who means well is served.
fn serves(receiver: &Receiver) {
    succeed("echoscu", ["-to", "20", "-aec", "CLAVICLE", "127.0.0.1", &receiver.port()]);
}

/// Sends bytes within an association, or in place of its request; what is answered, and how the receiver sees it.
fn abuse(is_association: bool, bytes: &[u8]) -> ((u8, u8), End) {
    let receiver = Receiver::start();
    let mut raw = if is_association { Raw::associate(receiver.address) } else { Raw::connect(receiver.address) };
    raw.send(bytes);
    let told = raw.abort();
    let ended = receiver.record.ended(1)[0].end;
    serves(&receiver);
    assert_eq!(receiver.names(), Vec::<String>::new());
    (told, ended)
}

#[test]
fn what_is_not_dicom_is_turned_away() {
    let http = abuse(false, b"GET / HTTP/1.1\r\nHost: somebody\r\n\r\n");
    assert_eq!(http, (BY_USER, End::Violation(Violation::UnknownPdu(b'G'))));
    let release_first = abuse(false, &release());
    assert_eq!(release_first, (BY_USER, End::Violation(Violation::UnexpectedPdu(5))));
    let longer_than_allowed = abuse(false, &[1, 0, 0xff, 0xff, 0xff, 0xff, 0, 1]);
    let violation = Violation::PduTooLong { len: u32::MAX, most: 512 << 10 };
    assert_eq!(longer_than_allowed, (BY_USER, End::Violation(violation)));
    let damaged = abuse(false, &unit(1, &[0; 70]));
    assert_eq!(damaged, (BY_USER, End::Violation(Violation::MalformedPdu)));
}

#[test]
fn units_out_of_place_or_shape_end_the_association() {
    let violation = |bytes: &[u8]| abuse(true, bytes);
    let unknown = violation(&unit(0x0b, b"what is this"));
    assert_eq!(unknown, (UNRECOGNISED_PDU, End::Violation(Violation::UnknownPdu(0x0b))));
    assert_eq!(violation(&request()), (UNEXPECTED_PDU, End::Violation(Violation::UnexpectedPdu(1))));
    assert_eq!(violation(&unit(6, &[0; 4])), (UNEXPECTED_PDU, End::Violation(Violation::UnexpectedPdu(6))));
    let too_long = Violation::PduTooLong { len: u32::MAX, most: 64 << 10 };
    assert_eq!(violation(&[4, 0, 0xff, 0xff, 0xff, 0xff]), (INVALID_PARAMETER, End::Violation(too_long)));
    let malformed = (INVALID_PARAMETER, End::Violation(Violation::MalformedPdu));
    for body in [&[][..], &[0], &[0, 0, 0, 9, 1, 3], &[0, 0, 0, 1, 1, 3], &[0xff, 0xff, 0xff, 0xff, 1, 3]] {
        assert_eq!(violation(&unit(4, body)), malformed, "{body:?}");
    }
    assert_eq!(violation(&unit(5, &[0; 5])), malformed);
}

#[test]
fn messages_out_of_order_end_the_association() {
    let violation = |parts: &[Vec<u8>]| abuse(true, &parts.concat());
    let echo = command(0x0030, "1.2.840.10008.1.1", None, 0x0101);
    let wrong_context = (INVALID_PARAMETER, End::Violation(Violation::Context(99)));
    assert_eq!(violation(&[fragment(99, 3, &echo)]), wrong_context);
    let out_of_order = (BY_USER, End::Violation(Violation::Fragment));
    // Data without a command; a command in two contexts; in place of data, a command; data of another context; release.
    assert_eq!(violation(&[fragment(1, 2, b"data")]), out_of_order);
    assert_eq!(violation(&[fragment(1, 1, &echo[..9]), fragment(3, 3, &echo[9..])]), out_of_order);
    assert_eq!(violation(&[store("1.2"), fragment(1, 0, b"some"), fragment(1, 3, &echo)]), out_of_order);
    assert_eq!(violation(&[store("1.2"), fragment(3, 2, b"data")]), out_of_order);
    assert_eq!(violation(&[store("1.2"), fragment(1, 0, b"some"), release()]), out_of_order);
}

#[test]
fn command_sets_are_short_and_whole() {
    let endless = vec![fragment(1, 1, &element(0x0902, &[b'a'; 1_000])); 100].concat();
    let response = command(0x8001, CT, Some("1.2"), 0x0101);
    let no_field = element(0x0110, &[1, 0]);
    let twice = [element(0x0100, &[1, 0]), element(0x0100, &[1, 0])].concat();
    let no_number = [element(0x0100, &[0x30, 0]), element(0x0800, &[1, 1])].concat();
    let lies = [&[0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff][..], &[0; 40]].concat();
    let sets = [&response, &no_field, &twice, &no_number, &lies, &vec![]].map(|set| fragment(1, 3, set));
    for bytes in [vec![endless], sets.to_vec()].concat() {
        assert_eq!(abuse(true, &bytes), (BY_USER, End::Violation(Violation::Command)));
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_the_association_goes_on() {
    let receiver = Receiver::start();
    let mut raw = Raw::associate(receiver.address);
    let mut ask = |parts: &[Vec<u8>]| {
        raw.send(&parts.concat());
        raw.status().0
    };
    let (data, last) = (fragment(1, 0, b"some"), fragment(1, 2, b"data"));
    let mr = "1.2.840.10008.5.1.4.1.1.4";
    let query = || fragment(1, 3, &command(0x0020, CT, None, 1));
    assert_eq!(ask(&[query(), data.clone(), last.clone()]), 0x0211, "C-FIND");
    assert_eq!(ask(&[fragment(1, 3, &command(0x0140, CT, None, 0x0101))]), 0x0211, "N-CREATE");
    assert_eq!(ask(&[fragment(1, 3, &command(1, CT, Some("1.2"), 0x0101))]), 0x0212, "no data set");
    assert_eq!(ask(&[fragment(1, 3, &command(1, "CT", Some("1.2"), 1)), last.clone()]), 0x0212, "no class");
    assert_eq!(ask(&[fragment(1, 3, &command(1, mr, Some("1.2"), 1)), last.clone()]), 0x0122, "another class");
    assert_eq!(ask(&[fragment(1, 3, &command(1, CT, None, 1)), last.clone()]), 0x0117, "no instance");
    assert_eq!(ask(&[fragment(1, 3, &command(1, CT, Some("../etc"), 1)), last.clone()]), 0x0117, "no UID");
    assert_eq!(ask(&[store("1.2"), fragment(1, 2, b"")]), 0xc000, "an empty data set");
    assert_eq!(ask(&[fragment(1, 3, &command(0x30, CT, None, 0x0101))]), 0x0122, "C-ECHO where CT goes");
    let verification = "1.2.840.10008.1.1";
    let stored = [fragment(3, 3, &command(1, verification, Some("1.2"), 1)), fragment(3, 2, b"data")];
    assert_eq!(ask(&stored), 0x0122, "C-STORE where C-ECHO goes");
    // A cancel has no response: the next one is that of what follows.
    let cancel = fragment(1, 3, &[element(0x0100, &[0xff, 0x0f]), element(0x0800, &[1, 1])].concat());
    assert_eq!(ask(&[cancel, store("1.2"), data, last]), 0x0000);
    raw.release();
    let ended = &receiver.record.ended(1)[0];
    assert_eq!((ended.stored, ended.refused, ended.end), (1, 7, End::Released));
    assert_eq!(receiver.names().len(), 1);
    assert_eq!(receiver.data_sets()["1.2"].1, b"somedata");
}

#[test]
fn silence_and_trickles_are_not_waited_for() {
    let hasty = || Receiver::with(Record::default(), |settings| settings.timeout = Duration::from_millis(400));
    let start = [store("1.2"), fragment(1, 0, b"some")].concat();
    // What was sent in one piece, and what goes on to come, a piece each 50 ms: each is done with before the end of it.
    let request = request();
    let drops = request.chunks(1).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let commands = vec![fragment(1, 1, &element(0x0902, b"x ")); 100];
    let data = vec![fragment(1, 0, b"drop"); 100];
    for (is_association, first, then) in [
        (false, &[][..], vec![]),
        (false, &[][..], drops),
        (true, &[][..], vec![]),
        (true, &[][..], commands),
        (true, &start[..], vec![]),
        (true, &start[..], data),
    ] {
        let receiver = hasty();
        let mut raw = if is_association { Raw::associate(receiver.address) } else { Raw::connect(receiver.address) };
        raw.send(first);
        for piece in then {
            if !raw.is_silent(Duration::from_millis(50)) {
                break;
            }
            raw.send(&piece);
        }
        let heard = raw.hear();
        assert_eq!(heard, is_association.then(|| (7, vec![0; 4])));
        let ended = &receiver.record.ended(1)[0];
        assert_eq!(ended.end, End::TimedOut);
        assert!(ended.lasted < Duration::from_secs(4), "{:?}", ended.lasted);
        assert_eq!(receiver.names(), Vec::<String>::new());
    }
}

#[test]
fn a_hundred_that_say_nothing_keep_nobody_out() {
    let receiver = Receiver::with(Record::default(), |settings| settings.max_associations = 4);
    let silent: Vec<Raw> = (0..100).map(|_| Raw::connect(receiver.address)).collect();
    serves(&receiver);
    // All but the last 64, and one more that gave way to the good one.
    let ends = receiver.record.ended(38);
    assert_eq!(ends.iter().filter(|one| one.end == End::GaveWay).count(), 37, "{ends:?}");
    drop(silent);
    serves(&receiver);
}

#[test]
fn one_association_too_many_is_told_to_come_back() {
    let receiver = Receiver::with(Record::default(), |settings| settings.max_associations = 2);
    let (first, second) = (Raw::associate(receiver.address), Raw::associate(receiver.address));
    let mut third = Raw::connect(receiver.address);
    third.send(&request());
    // Transient, by the provider as to presentation: local limit exceeded.
    assert_eq!(third.hear(), Some((3, vec![0, 2, 3, 2])));
    assert_eq!(third.hear(), None);
    assert_eq!(receiver.record.ended(1)[0].end, End::Rejected(Rejection::LocalLimit));
    first.release();
    receiver.record.ended(2);
    Raw::associate(receiver.address).release();
    receiver.record.ended(3);
    drop(second);
    assert_eq!(receiver.record.ended(4)[3].end, End::Closed);
}

/// Connects from an address of its own.
fn raw_from(host: u8, receiver: &Receiver) -> Raw {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    connect(&socket, &receiver.address).unwrap();
    let stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Raw(stream)
}

/// One address holds every association there may be, and says now and then that it is there. A modality at another
/// address is served, and so is the next: the oldest of the address with the most gives way.
#[test]
fn associations_of_one_address_keep_no_other_out() {
    let receiver = Receiver::with(Record::default(), |settings| settings.max_associations = 3);
    let mut flood: Vec<Raw> = (0..3).map(|_| Raw::associate(receiver.address)).collect();
    let mut modality = raw_from(9, &receiver);
    modality.send(&request());
    assert_eq!(modality.hear().map(|(kind, _)| kind), Some(2));
    // Told that it ends.
    assert_eq!(flood.remove(0).abort(), (0, 0));
    let mut second = raw_from(9, &receiver);
    second.send(&request());
    // Two have one and two: there is nobody left who has more than it would have.
    assert_eq!(second.hear(), Some((3, vec![0, 2, 3, 2])));
    let mut other = raw_from(10, &receiver);
    other.send(&request());
    assert_eq!(other.hear().map(|(kind, _)| kind), Some(2));
    assert_eq!(flood.remove(0).abort(), (0, 0));
    let ends = receiver.record.ended(3);
    assert_eq!(ends.iter().filter(|one| one.end == End::GaveWay).count(), 2, "{ends:?}");
    modality.release();
    other.release();
}

/// Silent sockets of 64 addresses, ever new ones: who asks is heard. And who stays silent is gone in seconds.
#[test]
fn silent_sockets_of_many_addresses_keep_nobody_out() {
    let receiver = Receiver::start();
    let silent: Vec<Raw> = (0..256).map(|count| raw_from(100 + count as u8 % 64, &receiver)).collect();
    serves(&receiver);
    let from = std::time::Instant::now();
    let left = receiver.record.ended(257);
    assert!(from.elapsed() < Duration::from_secs(15), "{:?}", from.elapsed());
    assert!(left.iter().filter(|one| one.end == End::TimedOut).count() >= 60, "{left:?}");
    drop(silent);
}

/// More than there may be ask and ask, and do not listen to the answers, each from another address. Those that had to go
/// for others are not waited for until they have heard so.
#[test]
fn who_does_not_listen_keeps_nobody_out() {
    // With few associations a hundred of them are more than there may be connections of all kinds.
    let receiver = Receiver::with(Record::default(), |settings| settings.max_associations = 4);
    let echo = fragment(3, 3, &command(0x0030, VERIFICATION, None, 0x0101));
    let deaf = &|host| {
        let mut raw = raw_from(host, &receiver);
        raw.send(&request());
        raw.hear();
        raw.0.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        while raw.0.write_all(&echo).is_ok() {}
        raw
    };
    let _deaf: Vec<Raw> = std::thread::scope(|threads| {
        let all: Vec<_> = (100..200).map(|host| threads.spawn(move || deaf(host))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let from = std::time::Instant::now();
    serves(&receiver);
    assert!(from.elapsed() < Duration::from_secs(10), "{:?}", from.elapsed());
}

/// Everything a good sender says, from its request to its release.
fn good() -> Vec<u8> {
    let pieces = [fragment(1, 0, &[1; 300]), fragment(1, 0, &[2; 300]), fragment(1, 2, &[3; 300])];
    [vec![request(), store("1.2.3")], pieces.to_vec(), vec![release()]].concat().concat()
}

#[test]
fn cut_off_anywhere_it_is_whole_or_not_there() {
    let all = good();
    let before_end = all.len() - release().len();
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let sample: Vec<usize> = (0..120).map(|_| rng.next_u32() as usize % all.len()).collect();
    let edges = [0, 1, 5, 6, before_end - 1, before_end, all.len()];
    let receiver = Receiver::start();
    for (count, len) in [&sample[..], &edges].concat().into_iter().enumerate() {
        let mut raw = Raw::connect(receiver.address);
        raw.send(&all[..len]);
        raw.half_close();
        let ended = &receiver.record.ended(count + 1)[count];
        let expected = if len == all.len() { End::Released } else { End::Closed };
        assert_eq!((ended.end, ended.stored), (expected, u64::from(len >= before_end)), "cut off after {len} bytes");
    }
    assert!(receiver.names().iter().all(|name| name.ends_with(".dcm")), "{:?}", receiver.names());
    assert_eq!(receiver.names().len(), receiver.record.received(0).len());
    serves(&receiver);
}

#[test]
fn bits_turned_over_do_no_harm() {
    let all = good();
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let receiver = Receiver::start();
    for count in 0..400 {
        let mut bytes = all.clone();
        for _ in 0..=rng.next_u32() % 4 {
            let at = rng.next_u32() as usize % bytes.len();
            bytes[at] ^= 1 << (rng.next_u32() % 8);
        }
        let mut raw = Raw::connect(receiver.address);
        raw.send(&bytes);
        raw.half_close();
        receiver.record.ended(count + 1);
    }
    assert!(receiver.names().iter().all(|name| name.ends_with(".dcm")), "{:?}", receiver.names());
    serves(&receiver);
}
