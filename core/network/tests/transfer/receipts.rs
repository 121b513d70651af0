//! What is written down of a transfer, and by whom it is signed.

use std::sync::atomic::Ordering;

use clavicle_ledger::authorise::{Claim, Hello};
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::receipt::{Closed, End, Entry, ReceiptClaim, SignedReceipt};
use clavicle_letters::mailbox::{Mailbox, Token};
use clavicle_network::transfer::{Asking, FetchError, PROTOCOL, Reach};
use tempfile::TempDir;

use crate::world::{LARGE, REPORT, SMALL, Scene, file, pack, soon};

/// The receipts as soon as there are so many.
async fn written(scene: &Scene, count: usize) -> Vec<SignedReceipt> {
    let mut receipts = scene.hospital.receipts.subscribe();
    let there = soon(receipts.wait_for(|receipts| receipts.len() >= count)).await.unwrap().clone();
    assert_eq!(there.len(), count);
    let (chain, keys) = (scene.hospital.chain, [scene.hospital.operational.public()]);
    assert!(there.iter().all(|signed| signed.verify(&chain, scene.hospital.id, &keys).is_ok()));
    there
}

fn closed(signed: &SignedReceipt) -> Closed {
    let Entry::Closed(closed) = signed.receipt.entry else { panic!("{signed:?}") };
    closed
}

#[tokio::test(flavor = "multi_thread")]
async fn who_fetches_is_written_down_and_signed_by_both_and_how_much() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let (_endpoint, mut verified) = scene.verified(&grantee).await;
    let folder = TempDir::new().unwrap();
    soon(verified.fetch(pack(folder.path()), &[REPORT, LARGE, SMALL], |_| ())).await.unwrap();
    verified.close().await;
    let receipts = written(&scene, 2).await;
    let opening = receipts[0].receipt.entry.opening().unwrap();
    assert_eq!((opening.number, opening.resumes), (1, None));
    let opened = &opening.opened;
    assert_eq!(opened.remote, grantee.key.public());
    assert!(matches!(opened.claim, ReceiptClaim::Grant { grant, .. } if grant == grantee.grant));
    assert!(receipts[0].countersignature.is_some());
    let Closed { items, bytes, end, .. } = closed(&receipts[1]);
    let sent = [REPORT, LARGE, SMALL].map(|place| file(place).len() as u64).iter().sum::<u64>();
    assert_eq!((items, end), (3, End::Finished));
    assert!((sent..sent + 1_000).contains(&bytes), "{bytes} bytes of {sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_it_ended_is_written_down() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let mut raw = scene.let_in(&grantee).await;
    raw.want(&[LARGE]).await;
    raw.lead().await;
    scene.hospital.revoke(scene.study, grantee.grant);
    assert_eq!(raw.closed().await, 2);
    assert_eq!(closed(&written(&scene, 2).await[1]).end, End::ConsentEnded);
    // Whoever is gone before the end.
    let mut raw = scene.let_in(&scene.grantee("other")).await;
    raw.want(&[SMALL]).await;
    raw.lead().await;
    raw.connection.close(9u32.into(), b"");
    assert_eq!(closed(&written(&scene, 4).await[3]).end, End::Broken);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_to_be_told_is_said_once() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let reach = Reach {
        mailbox: Mailbox { key: grantee.key.public(), relays: Ascending::new(), token: Token([1; 16]) },
        recipient: [2; 32],
    };
    let (_endpoint, mut verified) = scene.verified(&grantee).await;
    soon(verified.tell(reach.clone())).await.unwrap();
    let folder = TempDir::new().unwrap();
    soon(verified.fetch(pack(folder.path()), &[SMALL], |_| ())).await.unwrap();
    let told = vec![(grantee.key.public(), true, reach.clone())];
    assert_eq!(*scene.hospital.reaches.lock().unwrap(), told);
    soon(verified.tell(reach)).await.unwrap();
    let folder = TempDir::new().unwrap();
    let cut = soon(verified.fetch(pack(folder.path()), &[SMALL], |_| ())).await.map(drop).unwrap_err();
    assert!(matches!(cut, FetchError::Broken), "{cut}");
    assert_eq!(*scene.hospital.reaches.lock().unwrap(), told);
}

/// Nothing is sent before the receipt is signed, and to nobody who signs another.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_is_sent_nothing() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let wants = [&[1][..], &encoding::encode(&vec![(SMALL, 0u32)])].concat();
    let chain = scene.hospital.chain;
    for (number, wrong) in [0, 1, 2].into_iter().enumerate() {
        let mut raw = scene.raw(&grantee.key, PROTOCOL).await;
        raw.say(&encoding::encode(&scene.hello(&grantee))).await;
        let receipt = raw.welcome().await.receipt;
        let signed = |key| [&[0][..], &encoding::encode(&receipt.digest(&chain).countersign(&chain, key))].concat();
        match wrong {
            0 => raw.say(&wants).await,
            1 => raw.say(&signed(&scene.hospital.holder)).await,
            _ => {
                raw.say(&signed(&grantee.key)).await;
                raw.say(&signed(&grantee.key)).await;
            }
        }
        assert_eq!(raw.closed().await, 4);
        let closed = closed(&written(&scene, 2 * number + 2).await[2 * number + 1]);
        assert_eq!((closed.items, closed.end), (0, End::Broken));
    }
}

/// What cannot be written down does not happen.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_receipt_nobody_is_let_in() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    scene.hospital.full.store(true, Ordering::SeqCst);
    assert!(matches!(scene.connect(&grantee).await, Err(FetchError::Refused(Some(_)))));
    assert_eq!(scene.hospital.refusals.borrow()[..], ["the disk is full"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_is_told_who_looked_and_nobody_else_is() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let (_endpoint, mut verified) = scene.verified(&grantee).await;
    assert!(matches!(soon(verified.receipts(0)).await, Err(FetchError::Broken)));
    let (_endpoint, mut verified) = scene.verified_holder().await;
    let statement = soon(verified.receipts(0)).await.unwrap();
    let sequences = statement.receipts.iter().map(|stated| stated.receipt.receipt.sequence);
    assert!(sequences.eq(0..3), "{statement:?}");
    assert_eq!(soon(verified.receipts(2)).await.unwrap().receipts.len(), 1);
}

/// Each time a holder asked who looked, that was written down as a look: opened, and closed.
#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_receipts_alone_is_told_them_and_not_written_down() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let (_endpoint, verified) = scene.verified(&grantee).await;
    verified.close().await;
    let before = written(&scene, 2).await;
    let hospital = &scene.hospital;
    for _ in 0..3 {
        let claim = Claim::Holder;
        let hello = Hello::new(hospital.id, scene.study, claim, hospital.now());
        let endpoint = scene.endpoint(&hospital.holder).await;
        let hello = hello.sign(&hospital.chain, &hospital.holder);
        let mut asking = soon(Asking::connect(&endpoint, &scene.remote(), &hello)).await.unwrap();
        let statement = soon(asking.receipts(0)).await.unwrap();
        let told: Vec<_> = statement.receipts.iter().map(|stated| stated.receipt.receipt.sequence).collect();
        assert_eq!(told, [0, 1]);
        assert_eq!(soon(asking.receipts(1)).await.unwrap().receipts.len(), 1);
        asking.close();
    }
    assert_eq!(written(&scene, 2).await, before);
    // Nobody else is told anything, and why stands where the operator finds it.
    let endpoint = scene.endpoint(&grantee.key).await;
    let mut asking = soon(Asking::connect(&endpoint, &scene.remote(), &scene.hello(&grantee))).await.unwrap();
    let refused = soon(asking.receipts(0)).await.unwrap_err();
    assert!(matches!(refused, FetchError::Refused(_)), "{refused}");
    assert_eq!(hospital.refusals.borrow()[..], ["somebody who is not the holder asked for receipts"]);
    assert_eq!(written(&scene, 2).await, before);
}
