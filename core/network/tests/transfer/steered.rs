//! A fetch that is steered while it runs: paused, put in another order, read from, cancelled.

use std::io::Read as _;
use std::sync::Arc;

use clavicle_manifest::Uid;
use clavicle_network::pack::PackReader;
use clavicle_network::transfer::{Demand, FetchError, Item, Outcome, Pace, Places, Steering, Verified};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::world::{ALL, EMPTY, LARGE, MIDDLE, REPORT, SMALL, Scene, digest, file, found, pack, signed, soon};

fn steering(demand: Demand) -> (watch::Sender<Demand>, watch::Receiver<Places>, Steering) {
    let ((demand, wanted), whole) = (watch::channel(demand), Arc::new(watch::Sender::new(Places::default())));
    (demand, whole.subscribe(), Steering::new(wanted, whole))
}

fn uid(verified: &Verified, place: u32) -> Uid {
    match verified.offer().manifest.items()[place as usize] {
        Item::Instance(instance) => instance.sop_instance_uid,
        Item::Attachment(_) => panic!("a report has no UID"),
    }
}

fn read(reader: &PackReader, place: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read(&digest(place), file(place).len() as u64).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_whole_is_read_by_several_while_the_rest_waits() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let first = vec![uid(&verified, MIDDLE)];
    let last = vec![uid(&verified, SMALL)];
    let (demand, mut whole, steering) = steering(Demand { pace: Pace::On, first });
    let folder = TempDir::new().unwrap();
    let pack = pack(folder.path());
    let readers = [pack.reader(), pack.reader()];
    let helm = demand.clone();
    let fetching = tokio::runtime::Handle::current().spawn(async move {
        // More than an ask: of what comes behind it nothing was asked for yet.
        let wanted = [LARGE, REPORT, EMPTY, SMALL, MIDDLE];
        let mut is_paused = false;
        let pause = |so_far: clavicle_network::transfer::Progress| {
            if so_far.bytes > 1_000_000 && !is_paused {
                is_paused = true;
                helm.send_modify(|demand| demand.pace = Pace::Paused);
            }
        };
        let fetched = verified.fetch_as(pack, &wanted, steering, pause).await;
        fetched.map(|(_, got)| got)
    });
    soon(whole.wait_for(|whole| whole.len() == 2)).await.unwrap();
    assert!(whole.borrow().contains(MIDDLE) && whole.borrow().contains(LARGE), "{whole:?}");
    for reader in &readers {
        assert!([MIDDLE, LARGE].iter().all(|place| read(reader, *place) == file(*place)));
        assert!(!reader.has_all(&digest(SMALL), file(SMALL).len() as u64));
    }
    assert!(!fetching.is_finished());
    demand.send_replace(Demand { pace: Pace::On, first: last });
    let got = soon(fetching).await.unwrap().unwrap();
    assert!(got.iter().all(|got| got.outcome == Outcome::Intact), "{got:?}");
    assert_eq!(whole.borrow().len(), ALL.len());
    assert!(ALL.iter().all(|place| read(&readers[0], *place) == file(*place)));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_keeps_what_was_verified_and_may_begin_again_at_once() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let folder = TempDir::new().unwrap();
    for moment in [0, 1_000_000, 5_000_000, 13_000_000] {
        let (_endpoint, mut verified) = scene.verified(&grantee).await;
        let (demand, _whole, steering) = steering(Demand::default());
        let cancel = |so_far: clavicle_network::transfer::Progress| {
            if so_far.bytes >= moment {
                demand.send_modify(|demand| demand.pace = Pace::Cancelled);
            }
        };
        let ended = soon(verified.fetch_as(pack(folder.path()), &ALL, steering, cancel)).await;
        // Nobody is there for what has come to its end meanwhile.
        assert!(matches!(ended, Err(FetchError::Cancelled) | Ok(_)), "{ended:?}");
        drop(ended);
        let there = found(folder.path());
        assert!(there.iter().all(|(place, bytes)| bytes == file(*place)));
    }
    let (_endpoint, mut verified) = scene.verified(&grantee).await;
    soon(verified.fetch(pack(folder.path()), &ALL, |_| ())).await.unwrap();
    assert_eq!(found(folder.path()), signed(&ALL));
}

/// Nobody is left who could let it go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_that_was_paused_and_left_ends() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let (demand, _whole, steering) = steering(Demand { pace: Pace::Paused, first: Vec::new() });
    drop(demand);
    let folder = TempDir::new().unwrap();
    let ended = soon(verified.fetch_as(pack(folder.path()), &ALL, steering, |_| ())).await;
    assert!(matches!(ended, Err(FetchError::Cancelled)), "{ended:?}");
    assert!(found(folder.path()).keys().all(|place| *place == EMPTY));
}
