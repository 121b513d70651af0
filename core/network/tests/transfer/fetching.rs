//! What is fetched is what was signed, and what is not is named.

use std::fs;

use clavicle_ledger::id::ManifestRoot;
use clavicle_manifest::StoredDigest;
use clavicle_network::transfer::{FetchError, Got, Outcome, Progress};
use tempfile::TempDir;

use crate::world::{
    ALL, EMPTY, Hospital, LARGE, MIDDLE, REPORT, SMALL, Scene, digest, file, found, places, secret, signed, soon,
};

fn outcomes(got: &[Got]) -> Vec<Outcome> {
    assert!(got.iter().map(|got| got.place).eq(ALL));
    got.iter().map(|got| got.outcome).collect()
}

/// Fetches everything after `harm` was done to the archive.
async fn fetched(harm: impl FnOnce(&Hospital)) -> (TempDir, Vec<Outcome>) {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    harm(&scene.hospital);
    let folder = TempDir::new().unwrap();
    let got = soon(verified.fetch(&places(folder.path(), &ALL), |_| ())).await.unwrap();
    verified.close().await;
    (folder, outcomes(&got))
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_as_it_was_signed() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let (folder, mut told) = (TempDir::new().unwrap(), vec![Progress::default()]);
    let got = soon(verified.fetch(&places(folder.path(), &ALL), |progress| told.push(progress))).await.unwrap();
    assert_eq!(outcomes(&got), vec![Outcome::Intact; 5]);
    assert_eq!(found(folder.path()), signed(&ALL));
    assert!(told.windows(2).all(|two| two[0].items <= two[1].items && two[0].bytes <= two[1].bytes));
    let bytes = ALL.iter().map(|place| file(*place).len() as u64).sum();
    assert_eq!(told.last(), Some(&Progress { items: 5, bytes }));
    // Who has everything asks for nothing, and is told nothing.
    let got = soon(verified.fetch(&[], |_| panic!("nothing was asked for"))).await.unwrap();
    assert_eq!(got, []);
    verified.close().await;
    scene.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_needs_no_grant() {
    let scene = Scene::new().await;
    let endpoint = scene.endpoint(&scene.hospital.holder).await;
    let claim = clavicle_ledger::authorise::Claim::Holder;
    let (source, at) = (scene.hospital.id, scene.hospital.now());
    let hello = clavicle_ledger::authorise::Hello { source, study: scene.study, claim, actor: None, at };
    let hello = hello.sign(&scene.hospital.chain, &scene.hospital.holder);
    let fetch = soon(clavicle_network::transfer::connect(&endpoint, &scene.remote(), &hello)).await.unwrap();
    let mut verified = scene.verify(fetch, scene.study).unwrap();
    let folder = TempDir::new().unwrap();
    soon(verified.fetch(&places(folder.path(), &[REPORT, SMALL]), |_| ())).await.unwrap();
    assert_eq!(found(folder.path()), signed(&[REPORT, SMALL]));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_altered_file_is_named_and_the_rest_is_intact() {
    let altered = {
        let mut bytes = file(MIDDLE).to_vec();
        bytes[2_000_000] ^= 1;
        bytes
    };
    let (folder, outcomes) = fetched(|hospital| fs::write(hospital.file(MIDDLE), &altered).unwrap()).await;
    let (received, stored) = (altered.len() as u64, StoredDigest::of(&altered));
    let expected =
        ALL.map(|place| if place == MIDDLE { Outcome::Altered { received, stored } } else { Outcome::Intact });
    assert_eq!(outcomes, expected);
    assert_eq!(found(folder.path()), signed(&[SMALL, EMPTY, LARGE, REPORT]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_longer_shorter_or_not_there_are_named() {
    let (folder, outcomes) = fetched(|hospital| {
        fs::write(hospital.file(SMALL), [file(SMALL), &[0; 100_000]].concat()).unwrap();
        fs::write(hospital.file(MIDDLE), &file(MIDDLE)[..1_000_000]).unwrap();
        fs::write(hospital.file(EMPTY), b"x").unwrap();
        fs::remove_file(hospital.file(REPORT)).unwrap();
    })
    .await;
    let received = |outcome: &Outcome| match outcome {
        Outcome::Altered { received, .. } => Some(*received),
        _ => None,
    };
    assert_eq!(
        outcomes.iter().map(received).collect::<Vec<_>>(),
        [Some(101_000), Some(1), Some(1_000_000), None, None]
    );
    assert_eq!(outcomes[3..], [Outcome::Intact, Outcome::Absent]);
    assert_eq!(found(folder.path()), signed(&[LARGE]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_far_longer_than_signed_is_not_sent_and_keeps_nothing_else_from_coming() {
    let (folder, outcomes) = fetched(|hospital| fs::write(hospital.file(SMALL), vec![0; 2_000_000]).unwrap()).await;
    let expected = ALL.map(|place| if place == SMALL { Outcome::Absent } else { Outcome::Intact });
    assert_eq!(outcomes, expected);
    assert_eq!(found(folder.path()), signed(&[EMPTY, MIDDLE, LARGE, REPORT]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_grant_does_not_include_is_absent() {
    let scene = Scene::new().await;
    scene.hospital.withheld.lock().unwrap().insert(digest(LARGE));
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let folder = TempDir::new().unwrap();
    let got = soon(verified.fetch(&places(folder.path(), &ALL), |_| ())).await.unwrap();
    let expected = ALL.map(|place| if place == LARGE { Outcome::Absent } else { Outcome::Intact });
    assert_eq!(outcomes(&got), expected);
    assert_eq!(found(folder.path()), signed(&[SMALL, EMPTY, MIDDLE, REPORT]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_the_one_on_the_ledger_is_not_believed() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let offered = async |offer| {
        scene.hospital.publish(scene.study, offer);
        let (_endpoint, fetch) = scene.connect(&grantee).await.unwrap();
        scene.verify(fetch, scene.study).map(drop)
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
