//! What is fetched is what was signed, and what is not is named.

use std::fs;

use clavicle_ledger::id::ManifestRoot;
use clavicle_manifest::StoredDigest;
use clavicle_network::transfer::{FetchError, Got, Outcome, Progress};
use tempfile::TempDir;

use crate::world::{
    ALL, EMPTY, Hospital, LARGE, MIDDLE, REPORT, SMALL, Scene, digest, file, found, pack, secret, signed, soon,
};

fn outcomes(got: &[Got]) -> Vec<Outcome> {
    assert!(got.iter().map(|got| got.place).eq(ALL));
    got.iter().map(|got| got.outcome).collect()
}

/// Fetches everything after `harm` was done to the archive.
async fn fetched(harm: impl FnOnce(&Hospital)) -> (TempDir, Vec<Outcome>, Vec<StoredDigest>) {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    harm(&scene.hospital);
    let folder = TempDir::new().unwrap();
    let (_, got) = soon(verified.fetch(pack(folder.path()), &ALL, |_| ())).await.unwrap();
    verified.close().await;
    let damaged = scene.hospital.damaged.lock().unwrap().clone();
    (folder, outcomes(&got), damaged)
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_as_it_was_signed() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let (folder, mut told) = (TempDir::new().unwrap(), vec![Progress::default()]);
    let (_, got) = soon(verified.fetch(pack(folder.path()), &ALL, |progress| told.push(progress))).await.unwrap();
    assert_eq!(outcomes(&got), vec![Outcome::Intact; 5]);
    assert_eq!(found(folder.path()), signed(&ALL));
    assert!(told.windows(2).all(|two| two[0].items <= two[1].items && two[0].bytes <= two[1].bytes));
    let bytes = ALL.iter().map(|place| file(*place).len() as u64).sum();
    assert_eq!(told.last(), Some(&Progress { items: 5, bytes }));
    // Who has everything asks for nothing, and is told nothing.
    let (_, got) = soon(verified.fetch(pack(folder.path()), &[], |_| ())).await.unwrap();
    assert_eq!(got, []);
    verified.close().await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_needs_no_grant() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified_holder().await;
    let folder = TempDir::new().unwrap();
    soon(verified.fetch(pack(folder.path()), &[REPORT, SMALL], |_| ())).await.unwrap();
    assert_eq!(found(folder.path()), signed(&[REPORT, SMALL]));
}

/// The outcomes when these are not to be had.
fn without(absent: &[u32]) -> Vec<Outcome> {
    let outcome = |place| if absent.contains(&place) { Outcome::Absent } else { Outcome::Intact };
    ALL.map(outcome).into()
}

/// A source verifies what it reads: what its disk has lost it does not send, and tells its operator.
#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_what_they_were_are_not_sent_and_the_rest_is_intact() {
    let (folder, outcomes, damaged) = fetched(|hospital| {
        let mut altered = file(MIDDLE).to_vec();
        altered[2_000_000] ^= 1;
        fs::write(hospital.file(MIDDLE), &altered).unwrap();
        let mut altered = file(SMALL).to_vec();
        altered[0] ^= 1;
        fs::write(hospital.file(SMALL), &altered).unwrap();
    })
    .await;
    assert_eq!(outcomes, without(&[SMALL, MIDDLE]));
    assert_eq!(found(folder.path()), signed(&[EMPTY, LARGE, REPORT]));
    assert_eq!(damaged, [digest(SMALL), digest(MIDDLE)]);
    // The MiB before the one that was altered is kept.
    assert_eq!(pack(folder.path()).held(&digest(MIDDLE), file(MIDDLE).len() as u64), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_longer_shorter_or_not_there_are_not_sent() {
    let (folder, outcomes, damaged) = fetched(|hospital| {
        fs::write(hospital.file(SMALL), [file(SMALL), &[0; 100_000]].concat()).unwrap();
        fs::write(hospital.file(MIDDLE), &file(MIDDLE)[..1_000_000]).unwrap();
        fs::write(hospital.file(EMPTY), b"x").unwrap();
        fs::remove_file(hospital.file(REPORT)).unwrap();
    })
    .await;
    assert_eq!(outcomes, without(&[SMALL, EMPTY, MIDDLE, REPORT]));
    assert_eq!(found(folder.path()), signed(&[LARGE]));
    assert_eq!(damaged.len(), 4);
}

/// What is there is not asked for, and of a large item only what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_arrived_before_does_not_come_again() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let (folder, mut altered) = (TempDir::new().unwrap(), file(LARGE).to_vec());
    altered[9 << 20] ^= 1;
    fs::write(scene.hospital.file(LARGE), &altered).unwrap();
    for (bytes, outcome) in [(9 << 20, Outcome::Absent), (3 << 20, Outcome::Intact), (0, Outcome::Intact)] {
        let (_endpoint, mut verified) = scene.verified(&grantee).await;
        let mut so_far = Progress::default();
        let (_, got) = soon(verified.fetch(pack(folder.path()), &[LARGE], |progress| so_far = progress)).await.unwrap();
        assert_eq!((so_far.bytes, got[0].outcome), (bytes, outcome));
        fs::write(scene.hospital.file(LARGE), file(LARGE)).unwrap();
    }
    assert_eq!(found(folder.path()), signed(&[LARGE]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_grant_does_not_include_is_absent() {
    let scene = Scene::new().await;
    scene.hospital.withheld.lock().unwrap().insert(digest(LARGE));
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let folder = TempDir::new().unwrap();
    let (_, got) = soon(verified.fetch(pack(folder.path()), &ALL, |_| ())).await.unwrap();
    assert_eq!(outcomes(&got), without(&[LARGE]));
    assert_eq!(found(folder.path()), signed(&[SMALL, EMPTY, MIDDLE, REPORT]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_the_one_on_the_ledger_is_not_believed() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let offered = async |offer| {
        scene.hospital.publish(scene.study, offer);
        let (_endpoint, fetch) = scene.connect(&grantee).await.unwrap();
        scene.verify(fetch, scene.study, &grantee.key).map(drop)
    };
    let right = scene.hospital.offer(1);
    assert!(offered(right.clone()).await.is_ok());
    // Another study's.
    assert!(matches!(offered(scene.hospital.offer(2)).await, Err(FetchError::OtherStudy)));
    // Under another salt.
    let mut other = right.clone();
    other.salt = clavicle_ledger::salt::Salt::from_bytes([9; 32]);
    assert!(matches!(offered(other).await, Err(FetchError::OtherStudy)));
    // Signed by somebody else.
    let manifest = Hospital::signed(&right).manifest.clone();
    let mut other = right.clone();
    other.manifest =
        clavicle_network::transfer::Listing::Whole(manifest.clone().sign(&scene.hospital.chain, &secret("x")));
    assert!(matches!(offered(other).await, Err(FetchError::Manifest(_))));
    // Signed by the source, and one attachment short.
    let less = clavicle_manifest::Manifest::new(
        manifest.header().clone(),
        clavicle_manifest::Nonce::from_bytes([7; 32]),
        manifest.series().clone(),
        clavicle_ledger::encoding::Ascending::new(),
    );
    let mut other = right.clone();
    let less = less.unwrap().sign(&scene.hospital.chain, &scene.hospital.operational);
    other.manifest = clavicle_network::transfer::Listing::Whole(less);
    assert!(matches!(offered(other).await, Err(FetchError::Manifest(_))));
    // Another revision.
    let header = manifest.header().next(ManifestRoot::from_bytes([1; 32]), true).unwrap();
    let later = clavicle_manifest::Manifest::new(
        header,
        clavicle_manifest::Nonce::from_bytes([7; 32]),
        manifest.series().clone(),
        manifest.attachments().clone(),
    );
    let mut other = right;
    let later = later.unwrap().sign(&scene.hospital.chain, &scene.hospital.operational);
    other.manifest = clavicle_network::transfer::Listing::Whole(later);
    assert!(matches!(offered(other).await, Err(FetchError::OtherStudy)));
}
