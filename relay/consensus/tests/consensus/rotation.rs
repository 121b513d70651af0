//! Keys that change while the network runs, and one who was away meanwhile.

use std::time::Duration;

use clavicle_consensus::Stopped;
use clavicle_ledger::key::SecretKey;

use crate::cluster::Cluster;

/// Rotates these hospitals' keys, all that there are, and waits for the epoch in which the new ones are in force: they stop, and start again.
async fn rotate(cluster: &mut Cluster, hospitals: &[usize], running: &[usize]) {
    let mut keys: Vec<SecretKey> = Vec::new();
    for at in hospitals {
        let (envelope, key) = cluster.hospitals[*at].rotate(&cluster.chain);
        cluster.submit(&envelope);
        for node in running {
            cluster.nodes[*node].has(&envelope).await;
        }
        keys.push(key);
    }
    cluster.skip_epoch();
    // A block of the next epoch.
    let envelope = cluster.hospitals[3].define(&cluster.chain, 1_000);
    cluster.submit(&envelope);
    for node in running {
        cluster.nodes[*node].has(&envelope).await;
    }
    for (at, key) in hospitals.iter().zip(keys) {
        assert!(matches!(cluster.nodes[*at].stopped().await, Stopped::OtherKey(_)));
        cluster.nodes[*at].engine = None;
        cluster.nodes[*at].take_key(key);
        cluster.nodes[*at].start().await;
    }
}

#[tokio::test]
async fn a_new_key_is_let_in_by_those_who_were_not_started_again() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    for at in 0..4 {
        cluster.ask_elsewhere(at);
    }
    cluster.start().await;
    rotate(&mut cluster, &[0], &[0, 1, 2, 3]).await;
    // Without the fourth the one with the new key is needed.
    cluster.nodes[3].stop().await;
    let envelope = cluster.hospitals[1].define(&cluster.chain, 1);
    cluster.submit(&envelope);
    for node in &cluster.nodes[..3] {
        node.has(&envelope).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn one_that_knows_none_of_the_others_keys_any_more_catches_up_and_votes() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    for at in 0..4 {
        cluster.ask_elsewhere(at);
    }
    for node in &mut cluster.nodes[..3] {
        node.start().await;
    }
    rotate(&mut cluster, &[0, 1, 2], &[0, 1, 2]).await;
    let envelope = cluster.hospitals[3].define(&cluster.chain, 1);
    cluster.submit(&envelope);
    for node in &cluster.nodes[..3] {
        node.has(&envelope).await;
    }
    // It has the genesis, and no link with anybody.
    assert_eq!(cluster.nodes[3].height(), 0);
    cluster.nodes[3].start().await;
    cluster.nodes[3].has(&envelope).await;
    // And then it is one of them: without the first it is needed.
    cluster.nodes[0].stop().await;
    let envelope = cluster.hospitals[3].define(&cluster.chain, 2);
    cluster.submit(&envelope);
    for node in &cluster.nodes[1..] {
        node.has(&envelope).await;
    }
    cluster.stop().await;
}
