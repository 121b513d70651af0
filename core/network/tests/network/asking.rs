//! Clients.

use std::slice::from_ref;
use std::time::{Duration, Instant};

use clavicle_ledger::confirm::Inquiry;
use clavicle_ledger::encoding::{Ascending, decode};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_network::message::{Query, Request, Response, Verdict};
use clavicle_network::swarm::{AskError, Client};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{CHAIN, DEADLINE, NEVER, Relay, all_connected, envelope};

const HEAD: Request = Request::Query(Query::Head);

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_and_is_answered() {
    let relay = Relay::start(1, NEVER).await;
    let mut client = relay.client().await;
    for _ in 0..10 {
        assert_eq!(client.ask(HEAD).await.unwrap(), Response::Head(None));
    }
    assert_eq!(client.relay_key(), relay.key());
    assert_ne!(client.own_key(), relay.client().await.own_key(), "names are thrown away");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_to_relays_alone() {
    let relay = Relay::start(1, NEVER).await;
    let (hash, bytes) = envelope(1);
    relay.desk.put((hash, bytes));
    let mut client = relay.client().await;
    let named = Query::Envelopes(Ascending::from_items(vec![hash]).unwrap());
    for query in [Query::Waiting, named] {
        assert_eq!(client.ask(Request::Query(query)).await.unwrap(), Response::Unavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_answers_under_another_key_is_not_asked() {
    let relay = Relay::start(1, NEVER).await;
    let addresses = [relay.address.clone()];
    let other = SecretKey::from_bytes(&[9; 32]).public();
    let error = Client::connect(CHAIN, &other, &addresses, DEADLINE).await.unwrap_err();
    assert!(matches!(&error, AskError::OtherKey(at) if at.contains("127.0.0.1")), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_of_another_network_is_recognised() {
    let relay = Relay::start(1, NEVER).await;
    let other = ChainId::from_bytes([7; 32]);
    let mut client = Client::connect(other, &relay.key(), from_ref(&relay.address), DEADLINE).await.unwrap();
    assert!(matches!(client.ask(HEAD).await, Err(AskError::OtherNetwork)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_down_is_named_and_found_again_when_it_is_back() {
    let relay = Relay::start(1, NEVER).await;
    let (key, address) = (relay.key(), relay.address.clone());
    let mut client = relay.client().await;
    assert_eq!(client.ask(HEAD).await.unwrap(), Response::Head(None));
    let down = relay.stop().await;
    assert!(client.ask(HEAD).await.is_err());
    let error = Client::connect(CHAIN, &key, from_ref(&address), DEADLINE).await.unwrap_err();
    assert!(matches!(&error, AskError::Unreachable(at) if *at == address), "{error}");
    let _up = down.start(Vec::new()).await;
    assert_eq!(client.ask(HEAD).await.unwrap(), Response::Head(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_does_not_answer_is_not_waited_for_longer_than_was_said() {
    let relay = Relay::start(1, NEVER).await;
    let hold = relay.desk.hold();
    let patience = Duration::from_millis(300);
    let mut client = Client::connect(CHAIN, &relay.key(), from_ref(&relay.address), patience).await.unwrap();
    let submit = Request::Submit(Box::new(decode(&envelope(1).1).unwrap()));
    assert!(matches!(client.ask(submit).await, Err(AskError::TimedOut)));
    drop(hold);
    assert_eq!(client.ask(HEAD).await.unwrap(), Response::Head(None));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_clients_at_once_are_all_answered() {
    let relay = Relay::start(1, NEVER).await;
    let mut clients = JoinSet::new();
    for _ in 0..200 {
        let (key, address) = (relay.key(), relay.address.clone());
        clients.spawn(async move {
            let mut client = Client::connect(CHAIN, &key, &[address], DEADLINE).await.unwrap();
            client.ask(HEAD).await.unwrap()
        });
    }
    let answers = clients.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == Response::Head(None)).count(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_questions_hold_up_no_gossip() {
    let relays = all_connected(2, Duration::from_millis(200)).await;
    let hold = relays[1].desk.hold();
    let mut asking = JoinSet::new();
    for nonce in 0..40 {
        let mut client = relays[1].client().await;
        let submit = Request::Submit(Box::new(decode(&envelope(nonce).1).unwrap()));
        asking.spawn(async move { client.ask(submit).await.unwrap() });
    }
    relays[1].desk.until("eight answers under way", |desk| desk.held_up() == 8).await;
    let (gossiped, bytes) = envelope(100);
    relays[0].node.publish(bytes);
    relays[1].desk.until("the published one", |desk| desk.has(&gossiped)).await;
    let (named, bytes) = envelope(101);
    relays[1].desk.put((named, bytes));
    relays[0].desk.until("one asked for", |desk| desk.has(&named)).await;
    assert_eq!(relays[1].desk.held_up(), 8, "no more than eight at once");
    drop(hold);
    let answers = asking.join_all().await;
    assert!(answers.iter().all(|answer| *answer == Response::Verdict(Verdict::Waits)));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_relays_are_asked_at_once_which_block_is_the_newest_and_answer_each_so_often() {
    let relays = all_connected(4, NEVER).await;
    let inquiry = |nonce| Inquiry { asker: SourceId::from_bytes([3; 32]), nonce: [nonce; 32] };
    let heard = async |nonce| {
        let (mut answers, mut heard) = (relays[0].node.inquirer().ask(Query::Newest(inquiry(nonce))).await, Vec::new());
        while let Some(answer) = timeout(DEADLINE, answers.recv()).await.unwrap() {
            heard.push(match answer {
                Response::Newest(signed) => Some(signed.newest.inquiry),
                Response::Unavailable => None,
                other => panic!("{other:?}"),
            });
        }
        heard
    };
    let begun = Instant::now();
    assert_eq!(heard(1).await, [Some(inquiry(1)); 3]);
    // Again and again is too often, and a guest is not answered at all: every answer is signed.
    let mut answered = 3;
    for nonce in 2..32 {
        answered += heard(nonce).await.iter().flatten().count();
    }
    let may = 3 * (begun.elapsed().as_millis() / 100 + 1);
    assert!(answered as u128 <= may, "{answered} answers where {may} may be");
    let guests = Request::Query(Query::Newest(inquiry(3)));
    assert_eq!(relays[1].client().await.ask(guests).await.unwrap(), Response::Unavailable);
}

/// One relay gossiped so much, each of it dear to look at, that no other's question for the newest block was answered in time: without
/// those answers every gate shuts.
#[tokio::test(flavor = "multi_thread")]
async fn which_block_is_the_newest_is_said_while_another_relays_gossip_is_looked_at() {
    let relays = all_connected(3, NEVER).await;
    relays[0].desk.hold_gossip(true);
    for nonce in 0..40 {
        relays[1].node.publish(envelope(nonce).1);
    }
    relays[0].desk.until("eight looks under way", |desk| desk.held_up() == 8).await;
    let inquiry = Inquiry { asker: SourceId::from_bytes([3; 32]), nonce: [1; 32] };
    let mut answers = relays[2].node.inquirer().ask(Query::Newest(inquiry)).await;
    for _ in 0..2 {
        let answer = timeout(Duration::from_secs(5), answers.recv()).await.expect("in time").unwrap();
        assert!(matches!(answer, Response::Newest(signed) if signed.newest.inquiry == inquiry));
    }
    assert_eq!(relays[0].desk.held_up(), 8, "no more than eight at once");
    relays[0].desk.hold_gossip(false);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nobody_to_ask_hears_so_at_once() {
    let relay = Relay::start(1, NEVER).await;
    let inquiry = Inquiry { asker: SourceId::from_bytes([3; 32]), nonce: [1; 32] };
    let mut answers = relay.node.inquirer().ask(Query::Newest(inquiry)).await;
    assert_eq!(timeout(DEADLINE, answers.recv()).await.unwrap(), None);
}
