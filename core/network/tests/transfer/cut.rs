//! A transfer ends when its consent does.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use clavicle_ledger::action::ReviseStudy;
use clavicle_ledger::encoding;
use clavicle_ledger::id::ManifestRoot;
use clavicle_ledger::time::DAY_MS;
use clavicle_ledger::transaction::Action;
use clavicle_network::transfer::{FetchError, PROTOCOL};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{DEADLINE, Grantee, LARGE, REPORT, SMALL, Scene, digest, file, found, pack, signed, soon};

/// Fetches with a recipient that waits in the midst of the large file until `end` was done and the gate was asked again.
async fn ended_by(end: impl FnOnce(&Scene, &Grantee) + Send) -> FetchError {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let (_endpoint, mut verified) = scene.verified(&grantee).await;
    let folder = TempDir::new().unwrap();
    let into = pack(folder.path());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go, goes) = mpsc::sync_channel::<()>(1);
    let mut fetching = JoinSet::new();
    fetching.spawn(async move {
        let goes = Mutex::new(goes);
        let mut begun = Some(begun);
        let result = verified
            .fetch(into, &[REPORT, LARGE, SMALL], |progress| {
                if progress.bytes > 1_000_000
                    && let Some(begun) = begun.take()
                {
                    begun.send(()).unwrap();
                    goes.lock().unwrap().recv_timeout(DEADLINE).unwrap();
                }
            })
            .await;
        result.map(drop).unwrap_err()
    });
    soon(has_begun).await.unwrap();
    let mut renewals = scene.hospital.renewals.subscribe();
    let before = *renewals.borrow_and_update();
    end(&scene, &grantee);
    soon(renewals.wait_for(|renewals| *renewals > before)).await.unwrap();
    go.send(()).unwrap();
    let error = soon(fetching.join_next()).await.unwrap().unwrap();
    // What had come before is kept, and of an item that had not come to its end what was verified.
    assert_eq!(found(folder.path()), signed(&[REPORT]));
    let held = pack(folder.path()).held(&digest(LARGE), file(LARGE).len() as u64);
    assert!((1..12).contains(&held), "{held} MiB");
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_cuts() {
    let error = ended_by(|scene, grantee| scene.hospital.revoke(scene.study, grantee.grant)).await;
    assert!(matches!(error, FetchError::Ended), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_grants_end_cuts() {
    let error = ended_by(|scene, _| scene.hospital.wait(DAY_MS)).await;
    assert!(matches!(error, FetchError::Ended), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_cuts_and_says_so() {
    let error = ended_by(|scene, _| {
        let source = scene.hospital.operational.public();
        let manifest_root = ManifestRoot::from_bytes([1; 32]);
        let revise = ReviseStudy { study: scene.study, source, revision: 1, manifest_root, open: true };
        scene.hospital.act(Action::ReviseStudy(revise), &[&scene.hospital.operational]);
    })
    .await;
    assert!(matches!(error, FetchError::Revised), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_cut_no_more_flows_than_had_left() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let mut raw = scene.let_in(&grantee).await;
    raw.want(&[LARGE]).await;
    assert_eq!(raw.lead().await, (LARGE, true));
    scene.hospital.revoke(scene.study, grantee.grant);
    assert_eq!(raw.closed().await, 2);
    let mut more = 0;
    while let Ok(Some(chunk)) = soon(raw.receive.read_chunk(1 << 20)).await {
        more += chunk.len();
    }
    // What a recipient takes in without being asked is a window of its stream.
    assert!(more < 2 * 1024 * 1024, "{more}");
}

/// Once everything was written it is still on its way: the consent is watched until the recipient has said that it has everything.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_stream_is_not_the_end_of_the_watch() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let mut raw = scene.let_in(&grantee).await;
    raw.want(&[SMALL]).await;
    raw.send.finish().unwrap();
    assert_eq!(soon(raw.receive.read_to_end(10_000)).await.unwrap().len(), 5 + 1_000);
    scene.hospital.revoke(scene.study, grantee.grant);
    assert_eq!(raw.closed().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_stops_cuts_everybody() {
    let scene = Scene::new().await;
    let mut all = Vec::new();
    for number in 0..5 {
        let mut raw = scene.let_in(&scene.grantee(&format!("grantee {number}"))).await;
        raw.want(&[LARGE]).await;
        raw.lead().await;
        all.push(raw);
    }
    let begun = std::time::Instant::now();
    soon(scene.server.stop()).await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    for raw in all {
        assert_eq!(raw.closed().await, 0);
    }
}

/// Salt and manifest left while it was being decided whether the grant is still good: a revocation that was seen just before came too late for them.
#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_being_decided_again_not_even_the_welcome_leaves() {
    for revoked in [false, true] {
        let scene = Scene::new().await;
        let grantee = scene.grantee("grantee");
        let mut deciding = scene.hospital.deciding.subscribe();
        scene.hospital.restless.store(true, Ordering::SeqCst);
        let hold = scene.hospital.hold();
        let mut raw = scene.raw(&grantee.key, PROTOCOL).await;
        raw.say(&encoding::encode(&scene.hello(&grantee))).await;
        soon(deciding.wait_for(|deciding| *deciding > 0)).await.unwrap();
        let early = timeout(Duration::from_millis(300), raw.receive.read_chunk(1)).await;
        assert!(early.is_err(), "{early:?}");
        if revoked {
            scene.hospital.revoke(scene.study, grantee.grant);
        }
        drop(hold);
        if revoked {
            assert_eq!(raw.closed().await, 2);
            let late = soon(raw.receive.read_chunk(1)).await;
            assert!(!matches!(late, Ok(Some(_))), "{late:?}");
        } else {
            raw.welcome().await;
        }
    }
}
