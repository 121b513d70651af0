//! Gossip is not delivery: what relays ask each other for.

use std::time::Duration;

use crate::world::{DEADLINE, NEVER, Relay, all_connected, envelope};

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_late_gets_what_waits() {
    let early = Relay::start(10, NEVER).await;
    for nonce in 0..1000 {
        early.desk.put(envelope(nonce));
    }
    let late = Relay::start(11, NEVER).await;
    late.node.set_peers(vec![early.peer()]);
    early.node.set_peers(vec![late.peer()]);
    late.desk.until("what waited before", |desk| desk.len() == 1000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_gossiped_arrives_in_a_while() {
    let relays = all_connected(3, Duration::from_millis(200)).await;
    let (hash, bytes) = envelope(1);
    relays[0].desk.put((hash, bytes));
    for relay in &relays {
        relay.desk.until("the one never gossiped", |desk| desk.has(&hash)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_down_comes_back_and_catches_up() {
    let mut relays = all_connected(3, NEVER).await;
    let peers: Vec<_> = relays.iter().map(Relay::peer).collect();
    let down = relays.pop().unwrap().stop().await;
    for relay in &relays {
        relay.gossips_with(1).await;
    }
    let (missed, bytes) = envelope(1);
    relays[0].desk.put((missed, bytes.clone()));
    relays[0].node.publish(bytes);
    relays[1].desk.until("the published one", |desk| desk.has(&missed)).await;
    assert!(!down.desk.has(&missed));
    // It is told of nobody: the others dial it.
    let up = down.start(Vec::new()).await;
    up.node
        .set_peers(peers.into_iter().map(|peer| clavicle_network::swarm::Peer { addresses: vec![], ..peer }).collect());
    up.gossips_with(2).await;
    up.desk.until("the missed one", |desk| desk.has(&missed)).await;
    let (fresh, bytes) = envelope(2);
    up.node.publish(bytes);
    relays[0].desk.until("one that it publishes", |desk| desk.has(&fresh)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_a_relay_no_longer_is_let_go_and_may_become_one_again() {
    let relays = all_connected(3, NEVER).await;
    let peers: Vec<_> = relays.iter().map(Relay::peer).collect();
    for relay in &relays[..2] {
        relay.node.set_peers(peers[..2].to_vec());
    }
    relays[0].gossips_with(1).await;
    relays[1].gossips_with(1).await;
    relays[2].gossips_with(0).await;
    for relay in &relays[..2] {
        relay.node.set_peers(peers.clone());
    }
    for relay in &relays {
        relay.gossips_with(2).await;
    }
    let stop = relays.into_iter().map(Relay::stop);
    tokio::time::timeout(DEADLINE, async {
        for stop in stop {
            stop.await;
        }
    })
    .await
    .unwrap();
}
