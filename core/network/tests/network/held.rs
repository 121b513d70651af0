//! Questions about mailboxes that are held until something comes.

use std::time::{Duration, Instant};

use clavicle_ledger::encoding::{Ascending, Bytes};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_letters::mailbox::Token;
use clavicle_network::message::{Collection, MailboxRequest, MailboxResponse, Query, Request, Response};
use clavicle_network::swarm::Client;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{CHAIN, DEADLINE, NEVER, Relay};

fn key(number: u32) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// Asks to be told when something comes to this mailbox.
fn wait(client: &Client, number: u32) -> Request {
    let collection = Collection {
        relay: SourceId::from_bytes([1; 32]),
        relay_peer: client.relay_key(),
        own_peer: client.own_key(),
        challenge: [2; 32],
        mailbox: key(number).public(),
        acknowledged: Ascending::new(),
    };
    Request::Mailbox(Box::new(MailboxRequest::Wait(collection.sign(&CHAIN, &key(number)))))
}

fn deposit(mailbox: Key) -> Request {
    let sealed = Bytes::new(vec![3; 1024]).unwrap();
    Request::Mailbox(Box::new(MailboxRequest::Deposit { mailbox, token: Token([4; 16]), sealed }))
}

const DONE: Response = Response::Mailbox(MailboxResponse::Done);

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_hears_of_a_letter_as_soon_as_it_is_left() {
    let relay = Relay::start(1, NEVER).await;
    let (mut waiting, mut leaving) = (relay.client().await, relay.client().await);
    let mut best = Duration::MAX;
    for number in 0..5 {
        let asked = waiting.put(wait(&waiting, number)).await.unwrap();
        // Nothing is there, and nothing is said.
        assert!(timeout(Duration::from_millis(200), waiting.answer()).await.is_err());
        let from = Instant::now();
        assert_eq!(leaving.ask(deposit(key(number).public())).await.unwrap(), DONE);
        let (answered, answer) = waiting.answer().await.unwrap();
        assert_eq!((answered, answer.unwrap()), (asked, DONE));
        best = best.min(from.elapsed());
    }
    assert!(best < Duration::from_millis(300), "{best:?}");
    // What lies there already is said at once.
    let soon = Duration::from_secs(3);
    assert_eq!(timeout(soon, waiting.ask(wait(&waiting, 0))).await.unwrap().unwrap(), DONE);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_held_for_long_and_whoever_asks_meanwhile_is_answered() {
    let relay = Relay::start(1, NEVER).await;
    let mut waiting = relay.client().await;
    let from = Instant::now();
    let request = wait(&waiting, 7);
    assert_eq!(waiting.ask(request).await.unwrap(), DONE);
    let took = from.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_are_held_at_once_and_keep_nobody_else_waiting() {
    let relay = Relay::start(1, NEVER).await;
    let mut clients = JoinSet::new();
    for client in 0..60u32 {
        let mut waiting = relay.client().await;
        for number in 0..4 {
            let request = wait(&waiting, client * 4 + number);
            waiting.put(request).await.unwrap();
        }
        clients.spawn(async move {
            for _ in 0..4 {
                let (_, answer) = timeout(DEADLINE, waiting.answer()).await.unwrap().unwrap();
                assert_eq!(answer.unwrap(), DONE);
            }
        });
    }
    let mut other = relay.client().await;
    assert_eq!(other.ask(Request::Query(Query::Head)).await.unwrap(), Response::Head(None));
    for number in 0..240 {
        assert_eq!(other.ask(deposit(key(number).public())).await.unwrap(), DONE);
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
}
