//! What becomes of the others when one of four is down, lies, or loses its disk.

use std::fs;
use std::time::Duration;

use clavicle_consensus::{StartError, Stopped};
use clavicle_ledger::action::Evidence;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body};

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
        turns = (1..=head).filter(|height| set.proposer(&cluster.chain, *height, 0) == Some(liar)).count();
    }
    for node in &cluster.nodes {
        let disk = node.keeper.disk();
        for (height, decided) in &disk.blocks {
            assert_ne!(disk.block(*height).header.proposer, liar);
            if set.proposer(&cluster.chain, *height, 0) == Some(liar) {
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
    // Who waited for its end may stop it all the same, and ask again.
    let mut engine = cluster.nodes[2].engine.take().unwrap();
    engine.ended().await.unwrap();
    engine.stop().await.unwrap();
    for at in [0, 1, 3] {
        cluster.nodes[at].has(&envelope).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_damaged_log_stops_the_engine_for_good() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    // Liars among themselves decide nothing. When a second round begins, what was voted in the first is written.
    for node in &cluster.nodes {
        node.keeper.disk().lies = true;
    }
    cluster.start().await;
    cluster.nodes[0].begins(2).await;
    cluster.nodes[0].stop().await;
    let log = cluster.nodes[0].log();
    let sound = fs::read(&log).unwrap();

    // The first entry's bytes: the engine sees it when it replays.
    let mut damaged = sound.clone();
    damaged[12 + 13..][..8].fill(0xff);
    fs::write(&log, damaged).unwrap();
    cluster.nodes[0].start().await;
    assert!(matches!(cluster.nodes[0].stopped().await, Stopped::Unsafe));
    cluster.nodes[0].engine = None;

    // Its length: the engine would take all that follows for a write that was cut off.
    let mut damaged = sound.clone();
    damaged[12 + 1..][..8].fill(0xff);
    fs::write(&log, damaged).unwrap();
    let error = cluster.nodes[0].start_at(&cluster.nodes[0].listen()).await.unwrap_err();
    assert!(matches!(error, StartError::Log(_)));

    fs::write(&log, sound).unwrap();
    let begun = cluster.nodes[0].begun();
    cluster.nodes[0].start().await;
    cluster.nodes[0].begins(begun + 1).await;
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

#[tokio::test]
async fn a_key_that_the_chain_does_not_know_is_refused_at_the_start() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    let other = cluster.hospitals[1].consensus.clone();
    let error = cluster.nodes[0].start_with(other).await.unwrap_err();
    assert!(matches!(error, StartError::State(Stopped::OtherKey(1))));
    // And nothing is left of the attempt.
    cluster.start().await;
    cluster.nodes[0].reaches(1).await;
    cluster.stop().await;
}

#[tokio::test]
async fn two_with_one_key_are_seen_and_both_signatures_kept() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.add_twin(3);
    cluster.start().await;
    // Both may stop, when what they signed leads nowhere: it is the others that must go on.
    let honest = &cluster.nodes[..3];
    for number in 0.. {
        let envelope = cluster.hospitals[0].define(&cluster.chain, number);
        cluster.submit(&envelope);
        for node in honest {
            node.has(&envelope).await;
        }
        if honest.iter().any(|node| !node.keeper.disk().evidence.is_empty()) {
            break;
        }
    }
    let set = honest[0].keeper.disk().state.validators().unwrap();
    let guilty = cluster.nodes[3].source;
    let key = set.validators.find(&guilty).unwrap().key;
    let mut shown = 0;
    for evidence in honest.iter().flat_map(|node| node.keeper.disk().evidence.clone()) {
        // Of two proposals for one block nobody can make evidence.
        let Some(evidence) = Evidence::new(key, evidence) else { continue };
        assert_eq!(evidence.conflict.validator(), guilty);
        let body = Body { submit_by: Timestamp(0), nonce: [0; 16], action: Action::Evidence(evidence) };
        shown += usize::from(body.sign(&cluster.chain, &[]).unwrap().check_stateless(&cluster.chain).is_ok());
    }
    assert!(shown > 0, "what the engine saw is not what the ledger takes for evidence");
    for node in &mut cluster.nodes {
        // Twins may have stopped by themselves.
        let _: Result<(), Stopped> = node.engine.take().unwrap().stop().await;
    }
}
