//! What one relay publishes, and who hears of it.

use std::time::{Duration, Instant};

use crate::world::{NEVER, all_connected, envelope, in_a_row, unsound};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_reaches_all_within_a_second() {
    let relays = all_connected(5, NEVER).await;
    for nonce in 0..20 {
        let (hash, bytes) = envelope(nonce);
        let start = Instant::now();
        relays[usize::try_from(nonce).unwrap() % 5].desk.put((hash, bytes.clone()));
        relays[usize::try_from(nonce).unwrap() % 5].node.publish(bytes);
        for relay in &relays {
            relay.desk.until("the published one", |desk| desk.has(&hash)).await;
        }
        assert!(start.elapsed() < Duration::from_secs(1), "{nonce}: {:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sound_is_forwarded_by_those_between() {
    let relays = in_a_row(4).await;
    let (hash, bytes) = envelope(1);
    relays[0].node.publish(bytes);
    relays[3].desk.until("the published one", |desk| desk.has(&hash)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unsound_is_not_forwarded_and_its_sender_is_no_longer_heard() {
    let [first, middle, last] = <[_; 3]>::try_from(in_a_row(3).await).ok().unwrap();
    for nonce in 0..5 {
        first.node.publish(unsound(nonce));
    }
    middle.desk.until("five unsound ones", |desk| desk.rejected() == 5).await;
    // Of one that is not heard, nothing is taken in. Of another, everything is.
    let unheard: Vec<_> = (0..50).map(envelope).collect();
    for (_, bytes) in &unheard {
        first.node.publish(bytes.clone());
    }
    for nonce in 100..150 {
        let (hash, bytes) = envelope(nonce);
        last.node.publish(bytes);
        middle.desk.until("one of the other relay's", |desk| desk.has(&hash)).await;
    }
    assert_eq!(middle.desk.len(), 50);
    assert!(!unheard.iter().any(|(hash, _)| middle.desk.has(hash)));
    assert_eq!((last.desk.rejected(), last.desk.len()), (0, 0), "nothing unsound got past the one between");
}
