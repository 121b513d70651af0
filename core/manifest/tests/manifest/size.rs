//! Large manifests: read quickly, and in memory that is a small multiple of their bytes.

use clavicle_ledger::encoding::{self, Fault, Wire as _};
use clavicle_manifest::{Instance, MAX_INSTANCES, Manifest, ScopedManifest};

use crate::sample::{CHAIN, ids, manifest, salt};

#[test]
#[expect(clippy::disallowed_methods, reason = "the crate knows no clock, a test of its speed needs one")]
fn twenty_thousand_instances() {
    let whole = manifest(&[200; 100], 1);
    let bytes = encoding::encode(&whole);
    assert_eq!(whole.counts().instances, 20_000);
    let from = std::time::Instant::now();
    let read: Manifest = encoding::decode(&bytes).unwrap();
    let took = from.elapsed();
    assert_eq!(read, whole);
    assert!(took.as_millis() < 1_000, "{took:?}");
    // What an instance takes in memory, apart from list growth by doubling.
    let in_memory = 20_000 * size_of::<Instance>();
    assert!(in_memory < 3 * bytes.len(), "{in_memory} bytes in memory for {} on the wire", bytes.len());
    let from = std::time::Instant::now();
    let part = whole.scoped(&CHAIN, &salt(), &ids(&whole)[..3]);
    println!("{} bytes read in {took:?}, scoped in {:?}", bytes.len(), from.elapsed());
    assert_eq!(part.counts().instances, 600);
    assert!(encoding::encode(&part).len() < bytes.len() / 20);
    part.verify(&CHAIN, &whole.root(&CHAIN)).unwrap();
}

#[test]
fn the_most_there_may_be_and_one_more() {
    let whole = manifest(&[MAX_INSTANCES / 16; 16], 1);
    let bytes = encoding::encode(&whole);
    assert_eq!(encoding::decode::<Manifest>(&bytes).unwrap().counts().instances, MAX_INSTANCES);
    assert!(bytes.len() < Manifest::MAX_LEN && Manifest::MAX_LEN < 24 << 20 && ScopedManifest::MAX_LEN < 26 << 20);

    // One series more, put in by hand, since no manifest can be made that has it.
    let more = encoding::encode(&manifest(&[MAX_INSTANCES / 16; 17][..1], 2).series()[0]);
    let of = |manifest: &Manifest| encoding::encode(&manifest.series()[0]);
    let start = bytes.windows(of(&whole).len()).position(|window| window == of(&whole)).unwrap();
    let mut over = bytes.clone();
    over[start - 4] = 17;
    // Its UID follows every other.
    let mut last = more.clone();
    let name = b"1.2.840.1.0".len();
    last[name] = b'a';
    over.truncate(bytes.len() - encoding::encode(whole.attachments()).len());
    over.extend_from_slice(&last);
    let fault = encoding::decode::<Manifest>(&over).unwrap_err().fault;
    assert_eq!(fault, Fault::NotAUid, "a UID has no letters");
    last[name] = b'9';
    last[name - 1] = b'9';
    over.truncate(over.len() - last.len());
    over.extend_from_slice(&last);
    assert_eq!(encoding::decode::<Manifest>(&over).unwrap_err().fault, Fault::TooMany);
}

#[test]
fn a_claim_of_many_costs_nothing() {
    let mut bytes = encoding::encode(&manifest(&[1], 1));
    let count = bytes.windows(32).position(|window| window == [7; 32]).unwrap() + 32;
    bytes[count..count + 4].copy_from_slice(&4_096u32.to_le_bytes());
    assert_eq!(encoding::decode::<Manifest>(&bytes).unwrap_err().fault, Fault::NotAUid);
    bytes.truncate(count + 4);
    assert_eq!(encoding::decode::<Manifest>(&bytes).unwrap_err().fault, Fault::Truncated);
}
