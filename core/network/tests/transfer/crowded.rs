//! Many at once.

use std::iter;
use std::time::Duration;

use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::world::{Grantee, LARGE, MIDDLE, SMALL, Scene, found, pack, secret, signed, soon};

/// So many grantees as the ledger lets each of some studies have.
fn grantees(scene: &Scene, count: u32) -> Vec<Grantee> {
    let studies: Vec<_> = (0..count.div_ceil(30)).map(|number| scene.hospital.define(100 + number)).collect();
    let grantee = |number: u32| {
        let (key, study) = (secret(&format!("grantee {number}")), studies[(number / 30) as usize]);
        let (grant, terms) = scene.hospital.grant(study, &key.public());
        Grantee { key, study, grant, terms }
    };
    (0..count).map(grantee).collect()
}

/// More than there are turns, and more than are let in without showing their address.
#[tokio::test(flavor = "multi_thread")]
async fn three_hundred_at_once_are_all_served() {
    let scene = std::sync::Arc::new(Scene::new().await);
    let mut all = JoinSet::new();
    for grantee in grantees(&scene, 300) {
        let scene = std::sync::Arc::clone(&scene);
        all.spawn(async move {
            let (endpoint, mut verified) = scene.verified(&grantee).await;
            let folder = TempDir::new().unwrap();
            soon(verified.fetch(pack(folder.path()), &[SMALL], |_| ())).await.unwrap();
            assert_eq!(found(folder.path()), signed(&[SMALL]));
            verified.close().await;
            endpoint.close().await;
        });
    }
    while let Some(one) = all.join_next().await {
        one.unwrap();
    }
}

/// More than there are turns want much and take nothing, some of them by one key. Whoever takes what it asked for is served long before they are given up.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_nothing_keeps_nobody_waiting() {
    let scene = Scene::new().await;
    let mut all = grantees(&scene, 70);
    let honest = all.pop().unwrap();
    let mut stalled = Vec::new();
    for grantee in all.iter().chain(iter::repeat_n(&all[0], 7)) {
        let mut raw = scene.let_in(grantee).await;
        raw.want(&[LARGE]).await;
        stalled.push(raw);
    }
    let (_endpoint, mut verified) = scene.verified(&honest).await;
    let folder = TempDir::new().unwrap();
    let fetched = verified.fetch(pack(folder.path()), &[MIDDLE], |_| ());
    let got = tokio::time::timeout(Duration::from_secs(20), fetched).await;
    got.expect("it waited for those who take nothing").unwrap();
    assert_eq!(found(folder.path()), signed(&[MIDDLE]));
    // And they, should they think better of it, are served too.
    for mut raw in stalled {
        assert_eq!(raw.lead().await, (LARGE, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_has_few_connections_and_a_newer_one_takes_the_place_of_its_oldest() {
    let scene = Scene::new().await;
    let (grantee, other) = (scene.grantee("grantee"), scene.grantee("other"));
    let mut bystander = scene.let_in(&other).await;
    let mut all = Vec::new();
    for _ in 0..9 {
        all.push(scene.let_in(&grantee).await);
    }
    assert_eq!(all.remove(0).closed().await, 5);
    // The others, and everybody else, go on.
    for raw in all.iter_mut().chain([&mut bystander]) {
        raw.want(&[SMALL]).await;
        assert_eq!(raw.lead().await, (SMALL, true));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_for_without_end() {
    let scene = Scene::new().await;
    let mut empty = scene.let_in(&scene.grantee("empty")).await;
    empty.want(&[]).await;
    assert_eq!(empty.closed().await, 4);
    let mut again = scene.let_in(&scene.grantee("again")).await;
    for _ in 0..10 {
        again.want(&[SMALL]).await;
        assert_eq!(again.lead().await, (SMALL, true));
        soon(again.receive.read_exact(&mut [0; 1_000])).await.unwrap();
    }
    again.want(&[SMALL]).await;
    assert_eq!(again.closed().await, 4);
    let mut beyond = scene.let_in(&scene.grantee("beyond")).await;
    beyond.want(&[5]).await;
    assert_eq!(beyond.closed().await, 4);
}
