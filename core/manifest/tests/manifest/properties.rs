//! What always holds, over random studies.

use std::collections::BTreeSet;

use clavicle_ledger::encoding;
use clavicle_ledger::id::ChainId;
use clavicle_manifest::{
    Altered, Change, Dataset, DatasetDigest, Manifest, Nonce, Parts, PixelDigest, Received, ScopedManifest,
    SignedManifest, StoredDigest, StoredHasher, SubtreeError, Subtrees,
};
use rand_chacha::rand_core::Rng as _;

use crate::sample::{CHAIN, header, ids, manifest, operational, rng, salt, uid};

fn below(rng: &mut impl rand_chacha::rand_core::Rng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}

fn random_sizes(rng: &mut impl rand_chacha::rand_core::Rng) -> Vec<usize> {
    (0..=below(rng, 11)).map(|_| 1 + below(rng, 5)).collect()
}

#[test]
fn the_root_and_the_signature_change_with_any_byte() {
    let signed = manifest(&[2, 1], 1).sign(&CHAIN, &operational());
    let root = signed.verify(&CHAIN, &operational().public()).unwrap();
    let bytes = encoding::encode(&signed);
    for at in 0..bytes.len() {
        for bit in [0x01, 0x10, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= bit;
            let Ok(other) = encoding::decode::<SignedManifest>(&changed) else { continue };
            assert!(other.verify(&CHAIN, &operational().public()).is_err(), "byte {at} is not signed");
            if other.manifest != signed.manifest {
                assert_ne!(other.manifest.root(&CHAIN), root, "byte {at} is not in the root");
            }
        }
    }
    assert_ne!(signed.manifest.root(&ChainId::from_bytes([2; 32])), root);
}

#[test]
fn a_part_verifies_if_and_only_if_it_is_one() {
    for seed in 0..40 {
        let mut rng = rng(seed);
        let whole = manifest(&random_sizes(&mut rng), seed);
        let (all, root) = (ids(&whole), whole.root(&CHAIN));
        let wanted: Vec<_> = all.iter().filter(|_| rng.next_u32().is_multiple_of(2)).copied().collect();
        let part = whole.scoped(&CHAIN, &salt(), &wanted);
        assert_eq!(part.verify(&CHAIN, &root).is_ok(), !wanted.is_empty());
        assert_eq!(part.missing(&salt(), &wanted), []);
        assert_eq!(part.series().len(), wanted.len());
        if wanted.is_empty() {
            continue;
        }
        let bytes = encoding::encode(&part);
        assert_eq!(encoding::decode::<ScopedManifest>(&bytes).unwrap(), part);
        for _ in 0..200 {
            let mut changed = bytes.clone();
            let at = below(&mut rng, bytes.len());
            changed[at] ^= 1 << below(&mut rng, 8);
            if let Ok(other) = encoding::decode::<ScopedManifest>(&changed) {
                assert!(other.verify(&CHAIN, &root).is_err(), "seed {seed}: byte {at} of a part is not proven");
            }
        }
        let other = manifest(&random_sizes(&mut rng), seed + 1_000);
        assert!(part.verify(&CHAIN, &other.root(&CHAIN)).is_err());
    }
}

#[test]
fn a_part_tells_nothing_of_the_others() {
    let whole = manifest(&[3, 2, 2], 1);
    let wanted = &ids(&whole)[..1];
    let part = encoding::encode(&whole.scoped(&CHAIN, &salt(), wanted));
    let says = |bytes: &[u8]| part.windows(bytes.len()).any(|window| window == bytes);
    for series in &whole.series()[1..] {
        assert!(!says(series.series_instance_uid.as_str().as_bytes()));
        assert!(!says(series.description.as_str().as_bytes()));
        for instance in &series.instances {
            assert!(!says(instance.stored.as_bytes()) && !says(instance.sop_instance_uid.as_str().as_bytes()));
        }
    }
    assert!(says(whole.series()[0].series_instance_uid.as_str().as_bytes()));
    assert!(!says(&[7; 32]), "the nonce would let a grantee test guesses");

    // How many there are does not show below the fewest leaves, nor in the length.
    let fewer = manifest(&[3], 1);
    assert_eq!(encoding::encode(&fewer.scoped(&CHAIN, &salt(), wanted)).len(), part.len());
}

#[test]
fn every_branch_is_blinded_by_itself_and_anew() {
    // Seven series and a report fill eight leaves: every hash beside a path comes from branches, none from fillers alone.
    let whole = manifest(&[1; 7], 1);
    let nonce = Nonce::from_bytes([8; 32]);
    let again = Manifest::new(header(), nonce, whole.series().clone(), whole.attachments().clone()).unwrap();
    let (mut blindings, mut hashes) = (BTreeSet::new(), [BTreeSet::new(), BTreeSet::new()]);
    for wanted in ids(&whole) {
        for (manifest, hashes) in [&whole, &again].into_iter().zip(&mut hashes) {
            let part = encoding::encode(&manifest.scoped(&CHAIN, &salt(), &[wanted]));
            let (rest, beside) = part.split_at(part.len() - 3 * 32);
            let blinding = &rest[rest.len() - 4 - 4 - 32..rest.len() - 4 - 4];
            blindings.insert(blinding.to_vec());
            hashes.extend(beside.chunks_exact(32).map(<[u8]>::to_vec));
        }
    }
    // A grantee's own blinding opens no other branch, and the next revision shows nothing of what stayed the same.
    assert_eq!(blindings.len(), 2 * 7);
    assert!(hashes[0].is_disjoint(&hashes[1]));
}

#[test]
fn compare_finds_what_was_removed_altered_or_added() {
    for seed in 0..60 {
        let mut rng = rng(seed);
        let whole = manifest(&random_sizes(&mut rng), seed);
        let mut received: Vec<Received> = whole.instances().map(Received::from).collect();
        received.extend(whole.attachments().iter().map(Received::from));
        for at in (1..received.len()).rev() {
            received.swap(at, below(&mut rng, at + 1));
        }
        let exact = whole.compare(received.iter().copied());
        assert!(exact.is_exact() && exact.intact == whole.counts().instances, "seed {seed}: {exact}");
        // Twice the same is not more.
        assert_eq!(whole.compare(received.iter().chain(&received).copied()), exact);

        let instances: Vec<usize> =
            (0..received.len()).filter(|at| matches!(received[*at], Received::Instance { .. })).collect();
        let name = |one: &Received| match one {
            Received::Instance { sop_instance_uid, .. } => *sop_instance_uid,
            Received::Attachment(_) => unreachable!(),
        };
        let at = instances[below(&mut rng, instances.len())];
        let chosen = name(&received[at]);

        let mut removed = received.clone();
        removed.remove(at);
        let found = whole.compare(removed);
        assert_eq!((found.missing.as_slice(), found.intact + 1), ([chosen].as_slice(), found.listed));
        assert!(found.altered.is_empty() && found.extra.is_empty());

        let mut altered = received.clone();
        let Received::Instance { stored, .. } = &mut altered[at] else { unreachable!() };
        *stored = StoredDigest::of(b"other");
        let conflict = altered[at];
        let found = whole.compare(altered);
        assert_eq!(found.altered.iter().map(|one| one.sop_instance_uid).collect::<Vec<_>>(), [chosen]);
        assert!(found.missing.is_empty() && found.extra.is_empty() && !found.is_complete());
        // Beside the intact one it is something that is too much, whichever came first.
        for order in [[&[conflict][..], &received].concat(), [&received[..], &[conflict]].concat()] {
            let found = whole.compare(order);
            assert!(found.is_complete() && found.extra == [chosen]);
        }

        let mut added = received.clone();
        let Received::Instance { sop_instance_uid, .. } = &mut added[at] else { unreachable!() };
        *sop_instance_uid = uid("1.9");
        added.push(received[at]);
        let found = whole.compare(added);
        assert!(found.is_complete() && !found.is_exact() && found.extra == [uid("1.9")]);

        received.retain(|one| matches!(one, Received::Instance { .. }));
        let found = whole.compare(received);
        assert!(!found.is_complete() && found.missing_attachments.len() == 1);
    }
}

#[test]
fn compare_says_how() {
    let whole = manifest(&[4], 1);
    let signed = |at: usize| Received::from(&whole.series()[0].instances[at]);
    let change = |received: Received, edit: &dyn Fn(&mut Received)| {
        let mut received = received;
        edit(&mut received);
        let found = whole.compare([received]);
        assert_eq!(found.altered.len(), 1, "{found}");
        found.altered[0]
    };
    let other = StoredDigest::of(b"other");
    let encoded = change(signed(0), &|one| {
        let Received::Instance { stored, .. } = one else { unreachable!() };
        *stored = other;
    });
    assert_eq!(encoded.change, Change::Encoding);
    let (same, repainted) = (None, Some(PixelDigest::from_bytes([1; 32])));
    for (marks, pixels, said) in [
        (&[0][..], same, "pixels unchanged, patient name differs"),
        (&[0, 3, 5], same, "pixels unchanged, patient name, study attributes and private attributes differ"),
        (&[], same, "pixels unchanged, attributes differ"),
        (&[], repainted, "pixels differ"),
        (&[1], repainted, "pixels differ; patient id differs, too"),
    ] {
        let altered = change(signed(0), &|one| {
            let Received::Instance { stored, dataset, pixels: received, .. } = one else { unreachable!() };
            let mut marked = *dataset.unwrap().digest.as_bytes();
            marks.iter().for_each(|part| marked[4 * part] ^= 1);
            let digest = DatasetDigest::from_bytes([1; 32]);
            (*stored, *dataset) = (other, Some(Dataset { digest, ..crate::sample::dataset(marked) }));
            *received = pixels.or(*received);
        });
        assert_eq!(altered.to_string(), format!("1.2.840.1.0.0 ({said})"));
    }
    let pixels_alone = change(signed(0), &|one| {
        let Received::Instance { stored, dataset, .. } = one else { unreachable!() };
        (*stored, *dataset) = (other, None);
    });
    assert_eq!(pixels_alone.change, Change::Attributes { pixels: true, differ: Parts::default() });
    let lost = change(signed(0), &|one| {
        let Received::Instance { stored, dataset, pixels, .. } = one else { unreachable!() };
        (*stored, *dataset, *pixels) = (other, Some(crate::sample::dataset([1; 32])), None);
    });
    assert!(matches!(lost.change, Change::Pixels { .. }));
    let unknown = change(signed(1), &|one| {
        let Received::Instance { stored, size, .. } = one else { unreachable!() };
        (*stored, *size) = (other, 5);
    });
    assert_eq!(
        unknown,
        Altered { sop_instance_uid: uid("1.2.840.1.0.1"), change: Change::Bytes { signed: 98_305, received: 5 } }
    );
}

#[test]
fn compare_is_one_sentence() {
    let whole = manifest(&[214], 1);
    let report = Received::from(&whole.attachments()[0]);
    let received = || whole.instances().map(Received::from);
    assert_eq!(whole.compare(received().chain([report])).to_string(), "214 of 214 instances as signed");
    let found = whole.compare(received().skip(2));
    let said = "212 of 214 instances as signed; 2 missing: 1.2.840.1.0.0, 1.2.840.1.0.1; 1 missing or altered among the attachments: ";
    assert_eq!(found.to_string(), format!("{said}{}", crate::sample::report().stored));
    let found = whole.compare(received().take(200).chain([report]));
    assert!(found.to_string().ends_with(" and 11 more"), "{found}");
    let part = whole.scoped(&CHAIN, &salt(), &ids(&whole));
    assert_eq!(part.compare(received()).to_string(), "214 of 214 instances as signed");
}

#[test]
fn every_mebibyte_is_verified_on_its_own() {
    let mut rng = rng(1);
    for size in [0usize, 1, 1 << 20, (1 << 20) + 1, (2 << 20) - 1, 2 << 20, (5 << 20) + 77, 8 << 20] {
        let mut bytes = vec![0; size];
        rng.fill_bytes(&mut bytes);
        let mut hasher = StoredHasher::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(1 + below(&mut rng, 900_000)));
            hasher.update(now);
            rest = later;
        }
        let (counted, stored, subtrees) = hasher.finish();
        assert_eq!((counted, stored), (size as u64, StoredDigest::of(&bytes)));
        subtrees.check(counted, &stored).unwrap();
        if size <= 1 << 20 {
            assert!(subtrees.as_slice().is_empty());
            continue;
        }
        for (place, part) in bytes.chunks(1 << 20).enumerate() {
            subtrees.verify(place, part).unwrap();
            let mut altered = part.to_vec();
            altered[below(&mut rng, part.len())] ^= 1;
            assert_eq!(subtrees.verify(place, &altered), Err(SubtreeError::Altered(place)));
            assert_eq!(subtrees.verify(place, &part[1..]), Err(SubtreeError::Altered(place)));
            assert_eq!(subtrees.verify(place, &[]), Err(SubtreeError::Altered(place)));
            assert_eq!(subtrees.verify(place, &vec![0; (1 << 20) + 1]), Err(SubtreeError::Altered(place)));
        }
        let count = subtrees.as_slice().len();
        assert_eq!(subtrees.verify(count, &[1]), Err(SubtreeError::Place(count)));
        let mut encoded = encoding::encode(&subtrees);
        encoded[4 + below(&mut rng, 32 * count)] ^= 1;
        let forged: Subtrees = encoding::decode(&encoded).unwrap();
        assert_eq!(forged.check(counted, &stored), Err(SubtreeError::OtherDigest));
        assert!(matches!(subtrees.check(counted + (1 << 20), &stored), Err(SubtreeError::Count { .. })));
    }
}

#[test]
fn the_study_is_the_one_on_the_ledger() {
    assert!(header().is_of(&CHAIN, &salt()));
    let other = clavicle_manifest::Header { study_instance_uid: uid("1.2.840.2"), ..header() };
    assert!(!other.is_of(&CHAIN, &salt()));
}
