//! What becomes of the others when one of four is down, lies, or loses its disk.

use std::fs;
use std::time::Duration;

use clavicle_consensus::{StartError, Stopped, proposer};
use clavicle_ledger::state::ReadRows as _;

use crate::cluster::Cluster;

#[tokio::test]
async fn three_go_on_without_the_fourth_and_it_catches_up() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.start().await;
    for node in &cluster.nodes {
        node.reaches(1).await;
    }
    cluster.nodes[3].stop().await;
    let mut last = None;
    for number in 0..20 {
        let envelope = cluster.hospitals[0].define(&cluster.chain, number);
        cluster.submit(&envelope);
        for node in &cluster.nodes[..3] {
            node.has(&envelope).await;
        }
        last = Some(envelope);
    }
    let head = cluster.nodes[0].height();
    assert!(cluster.nodes[3].height() + 20 <= head);

    cluster.nodes[3].start().await;
    cluster.nodes[3].has(&last.unwrap()).await;
    let again = cluster.hospitals[0].define(&cluster.chain, 100);
    cluster.submit(&again);
    for node in &cluster.nodes {
        node.has(&again).await;
    }
    assert_eq!(cluster.nodes[3].block_ids(head), cluster.nodes[0].block_ids(head));
    cluster.stop().await;
}

#[tokio::test]
async fn all_four_stopped_and_started_go_on_where_they_were() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    for number in 0..3 {
        cluster.start().await;
        let envelope = cluster.hospitals[0].define(&cluster.chain, number);
        cluster.submit(&envelope);
        for node in &cluster.nodes {
            node.has(&envelope).await;
        }
        for node in &mut cluster.nodes {
            node.stop().await;
        }
    }
    assert!(cluster.nodes.iter().all(|node| node.keeper.disk().evidence.is_empty()));
}

#[tokio::test]
async fn an_invalid_block_is_not_voted_for_and_the_next_proposer_continues() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    let liar = cluster.nodes[1].source;
    cluster.nodes[1].keeper.disk().lies = true;
    cluster.start().await;
    let set = cluster.nodes[0].keeper.disk().state.validators().unwrap();
    let mut number = 0;
    // Until it was the liar's turn twice.
    let mut turns = 0;
    while turns < 2 {
        let envelope = cluster.hospitals[0].define(&cluster.chain, number);
        cluster.submit(&envelope);
        for node in &cluster.nodes {
            node.has(&envelope).await;
        }
        number += 1;
        let head = cluster.nodes[0].height();
        turns = (1..=head).filter(|height| proposer(&cluster.chain, &set, *height, 0) == Ok(liar)).count();
    }
    for node in &cluster.nodes {
        let disk = node.keeper.disk();
        for (height, decided) in &disk.blocks {
            assert_ne!(disk.block(*height).header.proposer, liar);
            if proposer(&cluster.chain, &set, *height, 0) == Ok(liar) {
                assert!(decided.certificate.round > 0);
            }
        }
        // The liar does not ask itself.
        assert_eq!(disk.refused.is_empty(), node.source == liar);
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_store_that_fails_stops_its_engine_and_no_other() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.start().await;
    for node in &cluster.nodes {
        node.reaches(1).await;
    }
    cluster.nodes[2].keeper.disk().broken = true;
    let envelope = cluster.hospitals[0].define(&cluster.chain, 1);
    cluster.submit(&envelope);
    assert!(matches!(cluster.nodes[2].stopped().await, Stopped::Application(_)));
    cluster.nodes[2].engine = None;
    for at in [0, 1, 3] {
        cluster.nodes[at].has(&envelope).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_damaged_log_stops_the_engine_for_good() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    // Two of four decide nothing, and write down what they would have.
    cluster.nodes[0].start().await;
    cluster.nodes[1].start().await;
    let envelope = cluster.hospitals[0].define(&cluster.chain, 1);
    cluster.submit(&envelope);
    let wal = cluster.nodes[0].wal();
    let grown = async {
        // The log is the engine's own, and says nothing when it grows.
        while fs::metadata(&wal).map_or(0, |file| file.len()) < 300 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), grown).await.unwrap();
    cluster.nodes[0].stop().await;
    let mut bytes = fs::read(&wal).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16].fill(0xff);
    fs::write(&wal, bytes).unwrap();
    cluster.nodes[0].start().await;
    assert!(matches!(cluster.nodes[0].stopped().await, Stopped::Unsafe));
    cluster.nodes[0].engine = None;
    cluster.stop().await;
}

#[tokio::test]
async fn a_port_that_is_taken_is_said_at_the_start() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.nodes[0].start().await;
    let error = cluster.nodes[1].start_at(&cluster.nodes[0].listen()).await.unwrap_err();
    assert!(matches!(error, StartError::Listen { .. }));
    let error = cluster.nodes[1].start_at("/ip4/127.0.0.1").await.unwrap_err();
    assert!(matches!(error, StartError::Address(_)));
    cluster.stop().await;
}
