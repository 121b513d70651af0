//! Reading bytes: one encoding a value, an error for everything else, and never more memory than the input is worth.

use clavicle_ledger::encoding::{self, Ascending, Bytes, DecodeError, Entry as _, Fault, Text, Wire};
use clavicle_ledger::id::TxId;
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::source::Roster;
use clavicle_ledger::transaction::{Envelope, MAX_SIGNATURES, Signatures};

use crate::world::secret;

fn fault<T: Wire + std::fmt::Debug>(bytes: &[u8]) -> Fault {
    encoding::decode::<T>(bytes).unwrap_err().fault
}

#[test]
fn each_fault_by_name() {
    let key = encoding::encode(&secret("any").public());
    assert_eq!(fault::<Key>(&key[..32]), Fault::Truncated);
    assert_eq!(fault::<Key>(&[]), Fault::Truncated);
    assert_eq!(fault::<Key>(&[&key[..], &[0]].concat()), Fault::TooLong { len: 34, max: 33 });
    assert_eq!(fault::<Key>(&[1; 33]), Fault::UnknownAlgorithm);
    assert_eq!(fault::<Signature>(&[1; 65]), Fault::UnknownAlgorithm);
    assert_eq!(fault::<TxId>(&[0; 31]), Fault::Truncated);
    // An action of a number that means nothing yet.
    assert_eq!(fault::<Envelope>(&[&[0; 24][..], &[14]].concat()), Fault::UnknownChoice);
    // Four bytes that claim four thousand million elements.
    assert_eq!(fault::<Roster>(&[0xff; 4]), Fault::TooMany);
    let entry = |byte| [[byte; 32].as_slice(), &[0]].concat();
    let list = |entries: &[Vec<u8>]| [&(entries.len() as u32).to_le_bytes()[..], &entries.concat()].concat();
    assert!(encoding::decode::<Roster>(&list(&[entry(1), entry(2)])).is_ok());
    assert_eq!(fault::<Roster>(&list(&[entry(2), entry(1)])), Fault::NotAscending);
    assert_eq!(fault::<Roster>(&list(&[entry(1), entry(1)])), Fault::NotAscending);
    assert_eq!(fault::<Roster>(&[list(&[entry(1)]), vec![0]].concat()), Fault::Trailing);
    assert_eq!(fault::<Roster>(&list(&[[[1; 32].as_slice(), &[2]].concat()])), Fault::UnknownChoice);
    let sentence = encoding::decode::<Key>(&[]).unwrap_err().to_string();
    assert_eq!(sentence, "a key cannot be read: it ends too early; it was cut off");
    assert_eq!(encoding::decode::<Key>(&[]), Err(DecodeError { what: "a key", fault: Fault::Truncated }));
}

#[test]
fn text_that_could_deceive_is_no_text() {
    for good in ["", "Dr. Rossi", "Krankenhaus München", "聖路加", "O'Neill – MR"] {
        assert_eq!(Text::<64>::new(good).unwrap().as_str(), good);
    }
    for bad in [
        "line\nbreak",
        "nul\0",
        "\u{202e}desrever",
        "zero\u{200b}width",
        "\u{feff}bom",
        "tag\u{e0041}",
        &"x".repeat(65),
    ] {
        assert_eq!(Text::<64>::new(bad), Err(Fault::BadText), "{bad:?}");
    }
}

#[test]
fn lists_know_their_limits_and_their_order() {
    let ids = |count: u8| (0..count).map(|n| TxId::from_bytes([n; 32])).collect::<Vec<_>>();
    assert_eq!(Ascending::<TxId, 3>::from_items(ids(4)), Err(Fault::TooMany));
    assert_eq!(Ascending::<TxId, 3>::from_items(vec![ids(1)[0]; 2]), Err(Fault::NotAscending));
    let mut list = Ascending::<TxId, 3>::from_items(ids(3).into_iter().rev().collect()).unwrap();
    assert_eq!(&*list, ids(3).as_slice());
    let more = TxId::from_bytes([9; 32]);
    assert_eq!(list.insert(more), Err(Fault::TooMany));
    assert_eq!(list.insert(*ids(1)[0].key()), Ok(()));
    assert_eq!(list.remove(&more), None);
    assert_eq!(list.remove(&ids(1)[0]), Some(ids(1)[0]));
    assert_eq!(Bytes::<2>::new(vec![0; 3]), Err(Fault::TooMany));
    assert_eq!(Signatures::new(vec![Signature::from_bytes([0; 64]); MAX_SIGNATURES + 1]), Err(Fault::TooMany));
}

#[test]
fn nothing_secret_is_ever_shown() {
    use clavicle_ledger::derivation::Words;
    use clavicle_ledger::salt::Salt;
    let words = Words::from_entropy(&[7; 32]);
    let shown = format!("{:?} {:?} {:?} {:?}", words, words.seed(), secret("any"), Salt::from_bytes([7; 32]));
    assert_eq!(shown, "Words(…) Seed(…) SecretKey(…) Salt(…)");
    assert_eq!(format!("{:?}", TxId::from_bytes([0xab; 32])), "TxId(abababab…)");
}
