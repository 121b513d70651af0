//! Sources that lie, and folders in which something was left.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};

use clavicle_ledger::encoding;
use clavicle_network::endpoint::{Remote, bind, bind_towards};
use clavicle_network::transfer::{self, FetchError, PROTOCOL, Verified};
use iroh::Endpoint;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::world::{ALL, Grantee, REPORT, SMALL, Scene, found, places, secret, signed, soon};

/// A source that says `first` to whatever hello and `last` to whatever is asked for, and falls silent or, with `ends`, ends the stream.
struct Liar {
    _server: Endpoint,
    _task: JoinSet<()>,
    remote: Remote,
}

impl Liar {
    async fn new(first: Vec<u8>, last: Vec<u8>, ends: bool) -> Self {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = bind(&secret("transfer"), Some(at), &[PROTOCOL]).await.unwrap();
        let remote = Remote { key: secret("transfer").public(), addresses: server.bound_sockets() };
        let endpoint = server.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let connection = endpoint.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            receive.read_chunk(10_000).await.unwrap();
            send.write_all(&first).await.unwrap();
            if !last.is_empty() {
                receive.read_chunk(10_000).await.unwrap();
                send.write_all(&last).await.ok();
            }
            if ends {
                send.finish().unwrap();
            }
            connection.closed().await;
        });
        Self { _server: server, _task: task, remote }
    }
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

async fn connected(scene: &Scene, grantee: &Grantee, liar: &Liar) -> Result<(Endpoint, Verified), FetchError> {
    let endpoint = bind_towards(&grantee.key, liar.remote.addresses[0]).await.unwrap();
    let fetch = soon(transfer::connect(&endpoint, &liar.remote, &scene.hello(grantee))).await?;
    Ok((endpoint, scene.verify(fetch, scene.study)?))
}

/// An honest offer, and then `last` when something is asked for.
async fn fetched(last: &[u8], ends: bool) -> FetchError {
    let scene = Scene::new().await;
    let welcome = [&[1][..], &encoding::encode(&scene.hospital.offer(1))].concat();
    let liar = Liar::new(framed(&welcome), last.to_vec(), ends).await;
    let (_endpoint, mut verified) = connected(&scene, &scene.grantee("grantee"), &liar).await.unwrap();
    let folder = TempDir::new().unwrap();
    let error = soon(verified.fetch(&places(folder.path(), &[SMALL]), |_| ())).await.unwrap_err();
    assert_eq!(found(folder.path()), signed(&[]));
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    for answer in [u32::MAX.to_be_bytes().to_vec(), framed(&[7; 100]), framed(&[])] {
        let liar = Liar::new(answer, Vec::new(), false).await;
        let error = connected(&scene, &grantee, &liar).await.unwrap_err();
        assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
    }
    let liar = Liar::new(vec![0, 0, 1], Vec::new(), true).await;
    let error = connected(&scene, &grantee, &liar).await.unwrap_err();
    assert!(matches!(error, FetchError::Broken), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn items_that_were_not_asked_for_or_do_not_end() {
    let lead = |place: u32, len: u64| [&place.to_be_bytes()[..], &len.to_be_bytes()].concat();
    let error = fetched(&lead(REPORT, 11), false).await;
    assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
    let error = fetched(&lead(SMALL, 1 << 60), false).await;
    assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
    let half = [lead(SMALL, 1_000), vec![0; 500]].concat();
    let error = fetched(&half, true).await;
    assert!(matches!(error, FetchError::Broken), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_in_the_folder_are_not_followed() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let (folder, elsewhere) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let letter = elsewhere.path().join("letter");
    fs::write(&letter, "dear").unwrap();
    for name in ["0.dcm", "0.part", "0.dcm.part"] {
        std::os::unix::fs::symlink(&letter, folder.path().join(name)).unwrap();
    }
    soon(verified.fetch(&places(folder.path(), &[SMALL]), |_| ())).await.unwrap();
    assert_eq!(fs::read(&letter).unwrap(), b"dear");
    assert!(fs::symlink_metadata(folder.path().join("0.dcm")).unwrap().is_file());
    assert_eq!(found(folder.path())["0.dcm"], signed(&[SMALL])["0.dcm"]);
}

/// A fetch that was killed leaves a file without a name of its own. The next one into the folder removes it, and not that of one that is
/// still going on.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_fetch_left_goes() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let folder = TempDir::new().unwrap();
    let (left, going_on) = (folder.path().join(".1.clavicle-part"), folder.path().join(".2.clavicle-part"));
    fs::write(&left, "half").unwrap();
    let other = File::create_new(&going_on).unwrap();
    other.lock().unwrap();
    soon(verified.fetch(&places(folder.path(), &[REPORT]), |_| ())).await.unwrap();
    assert!(!left.exists() && going_on.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_items_do_not_share_a_file_and_a_folder_must_be_there() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let folder = TempDir::new().unwrap();
    let mut same = places(folder.path(), &[SMALL, REPORT]);
    same[1].path = same[0].path.clone();
    let error = soon(verified.fetch(&same, |_| ())).await.unwrap_err();
    assert!(matches!(error, FetchError::Protocol(_)), "{error:?}");
    assert_eq!(found(folder.path()), signed(&[]));
    let error = soon(verified.fetch(&places(&folder.path().join("none"), &ALL), |_| ())).await.unwrap_err();
    assert!(matches!(error, FetchError::Disk { .. }), "{error:?}");
}
