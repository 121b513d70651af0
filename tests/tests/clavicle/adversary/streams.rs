//! Transfers that run.

use std::sync::mpsc;

use clavicle_ledger::authorise::SignedHello;
use clavicle_ledger::time::HOUR_MS;
use clavicle_network::endpoint::bind_towards;
use clavicle_network::message::Verdict;
use clavicle_network::pack::{Pack, PackKey};
use clavicle_network::transfer::{self, FetchError};
use tokio::time::Instant;

use super::ground::{Ground, SOURCE, now};
use super::hands::{ENDED, Granted, Held, Line, MEBIBYTE, wants};
use crate::image::Image;
use crate::process::PATIENCE;

/// A study of so many images of a mebibyte each.
async fn large(ground: &Ground, study: u32, images: u32) -> Held {
    let image =
        |number| Image { study, series: 0, number, patient: "P1", born: "19700101", accession: "", pixels: MEBIBYTE };
    let study = ground.ingest(&(0..images).map(image).collect::<Vec<_>>()).await;
    ground.take_hold(study).await
}

pub(super) async fn a_transfer_that_runs_is_cut_when_the_source_sees_a_revocation(ground: &Ground) {
    let held = large(ground, 40, 60).await;
    let served = &ground.hospitals[SOURCE].served;

    // As a recipient's software does it, which does not read on until the revocation was seen.
    let granted = ground.grant(&held, |_| {}).await;
    let endpoint = bind_towards(&granted.grantee, served.addresses[0]).await.unwrap();
    let record = ground.record(SOURCE, held.study).await;
    let fetch = transfer::connect(&endpoint, served, &ground.hello_of(&granted)).await.unwrap();
    let operational = ground.hospitals[SOURCE].operational();
    let mut fetch = fetch.verify(&ground.chain, held.study, &record, &operational, &granted.grantee).unwrap();
    let folder = ground.cluster.path("cut");
    let open = || Pack::open(&folder, &PackKey::from_bytes([1; 32])).unwrap();
    let items: Vec<_> = fetch.offer().manifest.items().iter().map(|item| (item.stored(), item.size())).collect();
    let (pack, places) = (open(), (0..60).collect::<Vec<_>>());
    let ((reached, first), (go_on, seen)) = (mpsc::sync_channel(1), mpsc::sync_channel::<()>(1));
    let fetching = async move {
        fetch
            .fetch(pack, &places, move |so_far| {
                if so_far.items == 1 {
                    reached.try_send(()).ok();
                    seen.recv_timeout(PATIENCE).ok();
                }
            })
            .await
    };
    let revoking = async {
        tokio::task::block_in_place(|| first.recv_timeout(PATIENCE)).unwrap();
        let revocation = ground.sign_revocation(&granted, &held.holder);
        assert_eq!(ground.submit(SOURCE, &revocation).await, Verdict::Waits);
        drop(go_on);
    };
    let (fetched, ()) = std::thread::scope(|scope| {
        let handle = tokio::runtime::Handle::current();
        let fetching = scope.spawn(move || handle.block_on(fetching));
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(revoking));
        (fetching.join().unwrap(), ())
    });
    assert!(matches!(fetched, Err(FetchError::Ended)), "{fetched:?}");
    let pack = open();
    let whole = items.iter().filter(|(stored, size)| pack.has_all(stored, *size)).count();
    assert!((1..60).contains(&whole), "{whole} images");

    // As fast as it goes: how long from the revocation's submission to the cut.
    let granted = ground.grant(&held, |_| {}).await;
    let mut line = Line::open(&granted.grantee, served, None).await;
    assert!(line.enter(&ground.chain, &ground.hello_of(&granted)).await);
    line.send.write_all(&wants(&(0..60).collect::<Vec<_>>())).await.unwrap();
    line.item().await;
    let revocation = ground.sign_revocation(&granted, &held.holder);
    let mut client = ground.client(SOURCE).await;
    let submitted = Instant::now();
    let (answered, cut) = tokio::join!(
        async {
            let request = clavicle_network::message::Request::Submit(Box::new(revocation));
            client.ask(request).await.unwrap();
            submitted.elapsed()
        },
        async {
            assert_eq!(line.closed().await, (ENDED, Vec::new()));
            submitted.elapsed()
        }
    );
    println!("           submitted at the source: cut after {cut:?}, answered after {answered:?}");
    let (bytes, whole) = line.rest().await;
    assert!(!whole && bytes < 59 * MEBIBYTE as u64, "{bytes} bytes after the first image");
}

pub(super) async fn what_the_source_has_not_sent_yet_is_not_sent_after_a_revocation(ground: &Ground) {
    let held = large(ground, 41, 4).await;
    let (granted, other) = (ground.grant(&held, |_| {}).await, ground.grant(&held, |_| {}).await);
    let (served, hello, chain) = (&ground.hospitals[SOURCE].served, ground.hello_of(&granted), ground.chain);
    let ((asked, deaf), (go_on, seen)) = (mpsc::sync_channel(1), mpsc::sync_channel::<()>(1));
    // All is asked for, nothing more will be, and there is room for all of it: so the source has nothing more to do than to wait until it has
    // arrived. Then the whole endpoint stops: it acknowledges nothing, and most of it stays with the source.
    let grantee = async move |granted: &Granted, hello: &SignedHello| {
        let mut line = Line::open(&granted.grantee, served, Some(8 * 1024 * 1024)).await;
        assert!(line.enter(&chain, hello).await);
        line.send.write_all(&wants(&[0, 1, 2, 3])).await.unwrap();
        line.send.finish().unwrap();
        tokio::task::yield_now().await;
        asked.send(()).unwrap();
        seen.recv_timeout(PATIENCE).ok();
        line.rest().await
    };
    let revoking = async {
        ground.served(&other).await;
        let revocation = ground.sign_revocation(&granted, &held.holder);
        assert_eq!(ground.submit(SOURCE, &revocation).await, Verdict::Waits);
    };
    let (bytes, whole) = std::thread::scope(|scope| {
        let (granted, hello) = (&granted, &hello);
        let grantee = scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(grantee(granted, hello))
        });
        tokio::task::block_in_place(|| {
            deaf.recv_timeout(PATIENCE).unwrap();
            tokio::runtime::Handle::current().block_on(revoking);
            drop(go_on);
            grantee.join().unwrap()
        })
    });
    println!("           {} KiB of 4096 had been sent", bytes / 1024);
    assert!(!whole, "all of it came after the revocation");
}

pub(super) async fn a_transfer_that_runs_is_cut_when_its_grant_ends(ground: &Ground) {
    let held = ground.study(42).await;
    let ends = now().0.plus(3_000);
    let granted = ground.grant(&held, |terms| (terms.expires, terms.staleness_ms) = (ends, HOUR_MS)).await;
    let mut line = Line::open(&granted.grantee, &ground.hospitals[SOURCE].served, None).await;
    assert!(line.enter(&ground.chain, &ground.hello_of(&granted)).await);
    line.send.write_all(&wants(&[0])).await.unwrap();
    line.item().await;
    assert_eq!(line.closed().await, (ENDED, Vec::new()));
    let late = now().0.since(ends);
    assert!(now().0 >= ends);
    println!("           cut {late} ms after its last moment");
}
