//! Golden vectors: what every signed, hashed and encoded type looks like, on disk, accepted and rejected.
//!
//! `vectors/accepted.txt` has a line per value: name, bytes, and what is derived from them. `vectors/rejected.txt` has bytes that
//! must not be taken, with the sentence that says why. Both are compared to the byte. A format changes only together
//! with its tag; then `CLAVICLE_WRITE_VECTORS=1 cargo test -p clavicle-manifest` writes them, and the fuzzers' corpus, anew.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_ledger::encoding::{self, Ascending, Wire};
use clavicle_manifest::{
    Manifest, Nonce, ScopedManifest, SignedManifest, SignedScopedManifest, StoredDigest, StoredHasher, Subtrees, Uid,
};

use crate::sample::{CHAIN, header, ids, later, manifest, operational, salt, uid};

/// What the fuzzers and the vectors go over: every type with a place on the wire or in the store.
macro_rules! wire_types {
    ($go:ident) => {
        $go! {
            uid: Uid, manifest: Manifest, scoped: ScopedManifest, endorsement: Endorsement, signed: SignedManifest,
            signed_scoped: SignedScopedManifest, subtrees: Subtrees,
        }
    };
}
pub(crate) use wire_types;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// A line of a vector file: name, bytes, and the rest.
struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    rest: String,
}

#[derive(Default)]
struct Accepted(Vec<Vector>);

impl Accepted {
    /// A value, which must come back from its bytes.
    fn value<T: Wire + PartialEq + Debug>(&mut self, name: &'static str, value: &T, rest: impl ToString) {
        let bytes = encoding::encode(value);
        assert_eq!(encoding::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
        self.0.push(Vector { name, bytes, rest: rest.to_string() });
    }
}

fn second() -> Manifest {
    let first = manifest(&[2, 1], 1);
    let all = (first.series().clone(), Ascending::new());
    Manifest::new(later(header()), Nonce::from_bytes([8; 32]), all.0, all.1).unwrap()
}

fn accepted() -> Vec<Vector> {
    let mut out = Accepted::default();
    out.value("uid", &uid("1.2.840.10008.1.2\0"), "1.2.840.10008.1.2");
    out.value("uid", &uid("1".repeat(64)), "the longest");
    let empty = Manifest::new(header(), Nonce::from_bytes([7; 32]), Ascending::new(), Ascending::new()).unwrap();
    out.value("manifest", &empty, format!("root {} nothing yet", empty.root(&CHAIN)));
    let first = manifest(&[2, 1], 1);
    out.value("manifest", &first, format!("root {} two series, a report", first.root(&CHAIN)));
    out.value("manifest", &second(), format!("root {} revision 1, closed", second().root(&CHAIN)));
    // More branches than the fewest leaves there may be.
    let wide = manifest(&[1; 9], 2);
    out.value("manifest", &wide, format!("root {} nine series, a report", wide.root(&CHAIN)));
    for (wanted, what) in [(&ids(&first)[..1], "the first of two"), (&ids(&first)[..], "both")] {
        let scoped = first.scoped(&CHAIN, &salt(), wanted);
        scoped.verify(&CHAIN, &first.root(&CHAIN)).unwrap();
        out.value("scoped", &scoped, what);
        let endorsement = first.clone().sign(&CHAIN, &operational()).endorsement;
        out.value("signed_scoped", &SignedScopedManifest { scoped, endorsement }, what);
    }
    let signed = first.sign(&CHAIN, &operational());
    out.value("endorsement", &signed.endorsement, "of the manifest with two series");
    out.value("signed", &signed, "");
    for size in [0usize, 1 << 20, (1 << 20) + 1, 3 << 20] {
        let bytes: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
        let mut hasher = StoredHasher::new();
        hasher.update(&bytes);
        let (counted, stored, subtrees) = hasher.finish();
        assert_eq!((counted, stored), (size as u64, StoredDigest::of(&bytes)));
        out.value("subtrees", &subtrees, format!("of {size} bytes 0..250 again and again, stored {stored}"));
    }
    out.0
}

fn rejected() -> Vec<Vector> {
    let mut out = Vec::new();
    fn add<T: Wire + Debug>(out: &mut Vec<Vector>, name: &'static str, case: &str, bytes: Vec<u8>) {
        let error = encoding::decode::<T>(&bytes).unwrap_err();
        out.push(Vector { name, bytes, rest: format!("{case}: {error}") });
    }
    let edited = |bytes: &[u8], edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = bytes.to_vec();
        edit(&mut bytes);
        bytes
    };
    add::<Uid>(&mut out, "uid", "empty", vec![0]);
    add::<Uid>(&mut out, "uid", "65 characters", [&[65][..], &[b'1'; 65]].concat());
    add::<Uid>(&mut out, "uid", "a length beyond what there is room for", [&[200][..], &[b'1'; 60]].concat());
    add::<Uid>(&mut out, "uid", "padded", b"\x041.2\0".to_vec());
    add::<Uid>(&mut out, "uid", "a letter", b"\x031.a".to_vec());
    add::<Uid>(&mut out, "uid", "the folder above", b"\x02..".to_vec());
    add::<Uid>(&mut out, "uid", "a point at the end", b"\x041.2.".to_vec());
    add::<Uid>(&mut out, "uid", "two points", b"\x041..2".to_vec());
    add::<Uid>(&mut out, "uid", "cut off", b"\x041.2".to_vec());

    let first = manifest(&[2, 1], 1);
    let bytes = encoding::encode(&first);
    let position = |part: &[u8]| bytes.windows(part.len()).position(|window| window == part).unwrap();
    add::<Manifest>(&mut out, "manifest", "cut off", bytes[..bytes.len() - 1].to_vec());
    add::<Manifest>(&mut out, "manifest", "trailing byte", edited(&bytes, &|bytes| bytes.push(0)));
    let revision = 32 + 32 + 1 + "1.2.840.1".len();
    let case = "revision 1 without a predecessor";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[revision] = 1));
    let case = "open neither yes nor no";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[revision + 5] = 2));
    let case = "a thirteenth month";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[revision + 9] = 13));
    let count = position(&[7; 32]) + 32;
    let case = "more series than there may be";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[count + 1] = 0x11));
    let (one, two) = (encoding::encode(&first.series()[0]), encoding::encode(&first.series()[1]));
    let start = count + 4;
    let swapped = [&bytes[..start], &two, &one, &bytes[start + one.len() + two.len()..]].concat();
    add::<Manifest>(&mut out, "manifest", "series out of order", swapped);
    let doubled = [&bytes[..start], &one, &one, &bytes[start + one.len() + two.len()..]].concat();
    add::<Manifest>(&mut out, "manifest", "a series twice", doubled);
    // The first instance of the second series gets the UID of one in the first.
    let name = position(b"1.2.840.1.1.0");
    let case = "an instance in two series";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[name + 10] = b'0'));
    let empty =
        encoding::encode(&clavicle_manifest::Series { instances: Ascending::new(), ..first.series()[1].clone() });
    let emptied = [&bytes[..start], &one, &empty, &bytes[start + one.len() + two.len()..]].concat();
    add::<Manifest>(&mut out, "manifest", "a series without instances", emptied);
    let size = position(&98_304u64.to_le_bytes());
    let case = "an instance above 64 GiB";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[size + 5] = 1));
    let media_type = position(b"\x0b\0\0\0\0\0\0\0") + 8;
    let case = "an unknown media type";
    add::<Manifest>(&mut out, "manifest", case, edited(&bytes, &|bytes| bytes[media_type] = 9));

    let scoped = encoding::encode(&first.scoped(&CHAIN, &salt(), &ids(&first)[..1]));
    let beside = scoped.len() - 3 * 32 - 4;
    let case = "a path longer than any";
    add::<ScopedManifest>(&mut out, "scoped", case, edited(&scoped, &|bytes| bytes[beside] = 99));
    add::<ScopedManifest>(&mut out, "scoped", "cut off", scoped[..beside].to_vec());
    add::<Subtrees>(&mut out, "subtrees", "more than any instance has", vec![1, 0, 1, 0]);
    add::<Subtrees>(&mut out, "subtrees", "fewer than it says", vec![0, 0, 1, 0]);
    let signed = encoding::encode(&first.sign(&CHAIN, &operational()));
    let algorithm = signed.len() - 65;
    let case = "another algorithm";
    add::<SignedManifest>(&mut out, "signed", case, edited(&signed, &|bytes| bytes[algorithm] = 1));
    out
}

fn compare_with_disk(file: &str, vectors: &[Vector]) {
    let text: String =
        vectors.iter().map(|Vector { name, bytes, rest }| format!("{name} {} {rest}\n", hex(bytes))).collect();
    let path = folder().join(file);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        fs::create_dir_all(folder()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let disk = fs::read_to_string(&path).unwrap();
    for (now, then) in text.lines().zip(disk.lines()) {
        assert_eq!(now, then, "{file} has another value on disk");
    }
    assert_eq!(text.lines().count(), disk.lines().count(), "{file} is longer or shorter on disk");
}

#[test]
fn accepted_vectors() {
    let vectors = accepted();
    compare_with_disk("accepted.txt", &vectors);
    if std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some() {
        write_corpus(&vectors);
    }
}

#[test]
fn rejected_vectors() {
    compare_with_disk("rejected.txt", &rejected());
}

/// The fuzzers start from the vectors.
fn write_corpus(vectors: &[Vector]) {
    macro_rules! names {
        ($($field:ident: $type:ty),* $(,)?) => { [$(stringify!($field)),*] };
    }
    for name in wire_types!(names) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifest/__fuzz__").join(name).join("corpus");
        fs::create_dir_all(&folder).unwrap();
        for (number, vector) in vectors.iter().filter(|vector| vector.name == name).enumerate() {
            fs::write(folder.join(format!("{number}.bin")), &vector.bytes).unwrap();
        }
    }
}

/// The accepted bytes of a type, from disk.
pub fn on_disk(name: &str) -> Vec<Vec<u8>> {
    let disk = fs::read_to_string(folder().join("accepted.txt")).unwrap();
    let mine = disk.lines().filter_map(|line| line.split_once(' ')).filter(|(of, _)| *of == name);
    mine.map(|(_, rest)| unhex(rest.split(' ').next().unwrap())).collect()
}
