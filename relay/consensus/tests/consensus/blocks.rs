//! What four honest nodes decide.

use std::time::Duration;

use clavicle_ledger::block::CommitCertificate;
use clavicle_ledger::encoding;

use crate::cluster::Cluster;

#[tokio::test]
async fn a_transaction_is_decided_by_all_four_with_certificates_that_hold() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.start().await;
    for node in &cluster.nodes {
        node.reaches(1).await; // begun without anything to put in
    }
    let (mut first, mut all) = (Vec::new(), Vec::new());
    for number in 0..40 {
        let envelope = cluster.hospitals[number as usize % 4].define(&cluster.chain, number);
        let submitted = cluster.submit(&envelope);
        let mut took = Vec::new();
        for node in &cluster.nodes {
            took.push(node.has(&envelope).await - submitted);
        }
        took.sort();
        first.push(took[0]);
        all.push(took[3]);
    }
    let head = cluster.nodes[0].height();
    let ids = cluster.nodes[0].block_ids(head);
    for node in &cluster.nodes {
        node.reaches(head).await;
        assert_eq!(node.block_ids(head), ids);
        let disk = node.keeper.disk();
        let mut transactions = 0;
        for (height, decided) in disk.blocks.range(..=head) {
            // What a light client would be given.
            let bytes = encoding::encode(&decided.certificate);
            let certificate: CommitCertificate = encoding::decode(&bytes).unwrap();
            assert_eq!(certificate.verify(&cluster.chain, &decided.validators), Ok(()));
            let block = disk.block(*height);
            assert_eq!((certificate.height, certificate.block), (*height, block.header.id()));
            transactions += block.envelopes.len();
        }
        assert_eq!(transactions, 40);
        assert!(disk.evidence.is_empty());
    }
    for (who, mut took) in [("the first", first), ("all four", all)] {
        took.sort();
        let (median, worst) = (took[took.len() / 2], took[took.len() * 99 / 100]);
        println!("submitted to decided by {who}: p50 {median:.1?}, p99 {worst:.1?}");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn with_nothing_to_decide_there_are_heartbeats_and_no_more() {
    let heartbeat = Duration::from_secs(2);
    let mut cluster = Cluster::new(heartbeat).await;
    cluster.start().await;
    for node in &cluster.nodes {
        node.reaches(4).await;
    }
    for height in 2..=4 {
        let [before, block] = [height - 1, height].map(|height| cluster.nodes[0].keeper.disk().block(height));
        assert!(block.envelopes.is_empty());
        let (before, after) = (before.header.time, block.header.time);
        let gap = after.timestamp().since(before.timestamp());
        assert!(gap >= heartbeat.as_millis() as u64, "a block {gap} ms after the one before");
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_block_of_many_parts_is_put_together_by_three_and_sent_whole_to_the_fourth() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    let envelopes: Vec<_> = (0..1_500).map(|number| cluster.hospitals[0].define(&cluster.chain, number)).collect();
    for node in &mut cluster.nodes[..3] {
        node.keeper.disk().pool = envelopes.clone();
        node.start().await;
    }
    for node in &cluster.nodes[..3] {
        for envelope in &envelopes {
            node.has(envelope).await;
        }
        let disk = node.keeper.disk();
        let longest = disk.blocks.values().map(|decided| decided.bytes.len()).max();
        assert!(longest > Some(3 * 128 * 1024), "{longest:?} bytes are too few to show anything");
    }
    cluster.nodes[3].start().await;
    for envelope in &envelopes {
        cluster.nodes[3].has(envelope).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn a_transaction_that_reached_one_node_alone_is_decided_when_it_is_its_turn() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.start().await;
    for node in &cluster.nodes {
        node.reaches(1).await;
    }
    let envelope = cluster.hospitals[2].define(&cluster.chain, 1);
    let only = &cluster.nodes[2];
    only.keeper.disk().pool.push(envelope.clone());
    only.engine.as_ref().unwrap().waker().wake();
    for node in &cluster.nodes {
        node.has(&envelope).await;
    }
    cluster.stop().await;
}

#[tokio::test]
async fn one_without_a_key_follows_and_does_not_vote() {
    let mut cluster = Cluster::new(Duration::from_secs(60)).await;
    cluster.follow_only(3);
    cluster.start().await;
    for number in 0..4 {
        let envelope = cluster.hospitals[0].define(&cluster.chain, number);
        cluster.submit(&envelope);
        for node in &cluster.nodes {
            node.has(&envelope).await;
        }
    }
    for decided in cluster.nodes[3].keeper.disk().blocks.values() {
        let signers = decided.certificate.votes().map(|(place, _)| decided.validators.validators[place].source);
        assert!(signers.into_iter().all(|source| source != cluster.nodes[3].source));
    }
    cluster.stop().await;
}
