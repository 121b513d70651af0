//! Studies to test with: made from a seed, the same on every run.

use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::id::{ChainId, ManifestRoot, SeriesId, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{
    Attachment, Dataset, DatasetDigest, Date, Header, Instance, Manifest, Marks, MediaType, Nonce, PixelDigest, Series,
    StoredDigest, Uid,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

pub const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

pub fn salt() -> Salt {
    Salt::from_bytes([4; 32])
}

pub fn operational() -> SecretKey {
    SecretKey::from_bytes(&[5; 32])
}

pub fn uid(text: impl AsRef<str>) -> Uid {
    Uid::new(text.as_ref()).unwrap()
}

pub fn rng(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}

pub fn header() -> Header {
    let (source, study_instance_uid) = (SourceId::from_bytes([2; 32]), uid("1.2.840.1"));
    Header {
        study: StudyId::of(&CHAIN, source, salt().study_digest(study_instance_uid.as_str())),
        source,
        study_instance_uid,
        revision: 0,
        predecessor: None,
        open: true,
        study_date: Date::new(2026, 5, 3),
        description: Text::new("MR Brain").unwrap(),
    }
}

pub fn later(header: Header) -> Header {
    Header { revision: 1, predecessor: Some(ManifestRoot::from_bytes([9; 32])), open: false, ..header }
}

/// A data set whose marks are the beginning of its digest, again and again.
pub fn dataset(digest: [u8; 32]) -> Dataset {
    let marks = core::array::from_fn(|at| [digest[4 * at], digest[4 * at + 1], digest[4 * at + 2], digest[4 * at + 3]]);
    Dataset { digest: DatasetDigest::from_bytes(digest), marks: Marks::from_bytes(marks) }
}

pub fn instance(series: usize, number: usize, rng: &mut ChaCha8Rng) -> Instance {
    let mut digest = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    Instance {
        sop_instance_uid: uid(format!("1.2.840.1.{series}.{number}")),
        sop_class_uid: uid("1.2.840.10008.5.1.4.1.1.4"),
        transfer_syntax_uid: uid("1.2.840.10008.1.2.1"),
        size: 98_304 + number as u64,
        stored: StoredDigest::from_bytes(digest()),
        dataset: number.is_multiple_of(2).then(|| dataset(digest())),
        pixels: number.is_multiple_of(2).then(|| PixelDigest::from_bytes(digest())),
        frames: 1,
    }
}

pub fn series(number: usize, instances: usize, rng: &mut ChaCha8Rng) -> Series {
    Series {
        series_instance_uid: uid(format!("1.2.840.1.{number}")),
        modality: Text::new("MR").unwrap(),
        number: Some(number as i32),
        body_part: Text::new("BRAIN").unwrap(),
        description: Text::new(format!("t{number} ax")).unwrap(),
        instances: Ascending::from_items((0..instances).map(|at| instance(number, at, rng)).collect()).unwrap(),
    }
}

pub fn report() -> Attachment {
    Attachment {
        stored: StoredDigest::of(b"No finding."),
        size: 11,
        media_type: MediaType::Text,
        title: Text::new("report.txt").unwrap(),
    }
}

/// A study with these numbers of instances in its series, and a report.
pub fn manifest(sizes: &[usize], seed: u64) -> Manifest {
    let mut rng = rng(seed);
    let all = sizes.iter().enumerate().map(|(at, size)| series(at, *size, &mut rng)).collect();
    Manifest::new(
        header(),
        Nonce::from_bytes([7; 32]),
        Ascending::from_items(all).unwrap(),
        Ascending::from_items(vec![report()]).unwrap(),
    )
    .unwrap()
}

pub fn ids(manifest: &Manifest) -> Vec<SeriesId> {
    manifest.series().iter().map(|series| salt().series_id(series.series_instance_uid.as_str())).collect()
}
