//! Strangers who take all there is: sockets, and turns to ask.

use std::net::SocketAddr;
use std::slice::from_ref;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clavicle_ledger::encoding::decode;
use clavicle_network::message::{Query, Request, Response, Verdict};
use clavicle_network::swarm::Client;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::world::{CHAIN, DEADLINE, NEVER, Relay, envelope, revocation, unsound_revocation};

const HEAD: Request = Request::Query(Query::Head);
/// What is promised of a revocation.
const PROMISED: Duration = Duration::from_secs(2);

async fn silent(relay: &Relay, host: u8) -> TcpStream {
    let port: u16 = relay.address.rsplit('/').next().unwrap().parse().unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
    timeout(DEADLINE, socket.connect(([127, 0, 0, 1], port).into())).await.unwrap().unwrap()
}

async fn asks(relay: &Relay, request: Request) -> (Response, Duration) {
    let from = Instant::now();
    let mut client = Client::connect(CHAIN, &relay.key(), from_ref(&relay.address), DEADLINE).await.unwrap();
    let answer = client.ask(request).await.unwrap();
    (answer, from.elapsed())
}

/// More than there are places for those who have not shaken hands, from the wallet's own address alone, and then from
/// 64 others.
#[tokio::test(flavor = "multi_thread")]
async fn silent_sockets_keep_no_wallet_out_and_are_gone_in_seconds() {
    let relay = Relay::start(1, NEVER).await;
    for hosts in [1..=1, 1..=64] {
        let mut sockets = Vec::new();
        let of_each = 320_u16.div_ceil(u16::from(*hosts.end()));
        for host in hosts {
            for _ in 0..of_each {
                sockets.push(silent(&relay, host).await);
            }
        }
        let from = Instant::now();
        let mut ending: JoinSet<Duration> = JoinSet::new();
        for mut socket in sockets {
            ending.spawn(async move {
                // Closed or reset: nothing is ever said to them but the protocol's name.
                timeout(DEADLINE, socket.read_to_end(&mut Vec::new())).await.unwrap().ok();
                from.elapsed()
            });
        }
        for nonce in 0..5 {
            let revoke = Request::Submit(Box::new(decode(&revocation(nonce)).unwrap()));
            for request in [HEAD, revoke] {
                let (_, took) = asks(&relay, request).await;
                assert!(took < PROMISED, "{took:?}");
            }
        }
        // Sooner than a handshake may take.
        let last = ending.join_all().await.into_iter().max().unwrap();
        assert!(last < Duration::from_secs(8), "{last:?}");
    }
    assert_eq!(relay.desk.revoked.load(Ordering::SeqCst), 10);
}

/// All turns to be answered are taken by questions that take their time, and as many wait as may. A revocation does not
/// wait behind them; one whose signature is none is refused and comes to nobody's desk.
#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_waits_behind_no_other_question() {
    let relay = Relay::start(1, NEVER).await;
    let hold = relay.desk.hold();
    let mut asking = JoinSet::new();
    for nonce in 0..300 {
        let mut client = relay.client().await;
        let submit = Request::Submit(Box::new(decode(&envelope(nonce).1).unwrap()));
        asking.spawn(async move { client.ask(submit).await.is_ok() });
    }
    relay.desk.until("eight answers under way", |desk| desk.held_up() == 8).await;
    for nonce in 0..5 {
        let revoke = Request::Submit(Box::new(decode(&revocation(nonce)).unwrap()));
        let (answer, took) = asks(&relay, revoke).await;
        assert_eq!(answer, Response::Verdict(Verdict::Waits));
        assert!(took < PROMISED, "{took:?}");
    }
    let unsound = Request::Submit(Box::new(decode(&unsound_revocation(9)).unwrap()));
    let (answer, _) = asks(&relay, unsound).await;
    assert!(matches!(answer, Response::Verdict(Verdict::Rejected(_))), "{answer:?}");
    assert_eq!((relay.desk.revoked.load(Ordering::SeqCst), relay.desk.held_up()), (5, 8));
    drop(hold);
    // Those who had no place to wait in were told so; all the others were answered.
    let answered = asking.join_all().await.into_iter().filter(|answered| *answered).count();
    assert!(answered >= 256, "{answered}");
}
