//! Sources that lie.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use clavicle_ledger::encoding;
use clavicle_ledger::id::{CredentialDigest, ReceiptDigest, SourceId};
use clavicle_ledger::receipt::{Entry, Opened, Opening, Receipt, ReceiptClaim};
use clavicle_manifest::StoredHasher;
use clavicle_network::endpoint::{Remote, bind, bind_towards};
use clavicle_network::pack::{Pack, PackError, PackKey};
use clavicle_network::transfer::{self, FetchError, Outcome, PROTOCOL, Verified};
use iroh::Endpoint;
use iroh::endpoint::RecvStream;
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::world::{Grantee, MIDDLE, REPORT, SMALL, Scene, file, found, pack, secret, signed, soon};

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
            message(&mut receive).await;
            send.write_all(&first).await.unwrap();
            if !last.is_empty() {
                // The signature on the receipt, and what is wanted.
                message(&mut receive).await;
                message(&mut receive).await;
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

/// Reads a message.
async fn message(receive: &mut RecvStream) {
    let mut len = [0; 4];
    receive.read_exact(&mut len).await.unwrap();
    receive.read_exact(&mut vec![0; u32::from_be_bytes(len) as usize]).await.unwrap();
}

fn framed(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes()[..], message].concat()
}

async fn connected(scene: &Scene, grantee: &Grantee, liar: &Liar) -> Result<(Endpoint, Verified), FetchError> {
    let endpoint = bind_towards(&grantee.key, liar.remote.addresses[0]).await.unwrap();
    let fetch = soon(transfer::connect(&endpoint, &liar.remote, &scene.hello(grantee))).await?;
    Ok((endpoint, scene.verify(fetch, scene.study, &grantee.key)?))
}

/// An honest welcome, but for what was done to the receipt before it was signed.
fn welcome(scene: &Scene, grantee: &Grantee, harm: impl FnOnce(&mut Receipt)) -> Vec<u8> {
    let Scene { hospital, study, .. } = scene;
    let current = (0, hospital.record(*study).manifest_root);
    let mut receipt = Receipt {
        source: hospital.id,
        signer: hospital.operational.public(),
        study: *study,
        sequence: 7,
        previous: ReceiptDigest::from_bytes([1; 32]),
        at: hospital.now(),
        unlisted: 0,
        entry: Entry::opens(&hospital.chain, grantee.key.public(), &scene.hello(grantee), current),
        blinding: [3; 32],
    };
    receipt.entry.opening_mut().unwrap().number = 1;
    harm(&mut receipt);
    let receipt = receipt.sign(&hospital.chain, &hospital.operational);
    [&[1][..], &encoding::encode(&receipt), &encoding::encode(&hospital.offer(1))].concat()
}

/// What is written down must be what happened, before anything is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_says_something_else_is_not_signed() {
    let scene = Scene::new().await;
    let (grantee, other) = (scene.grantee("grantee"), scene.grantee("other"));
    let opening = |receipt: &mut Receipt, change: &dyn Fn(&mut Opening)| {
        change(receipt.entry.opening_mut().unwrap());
    };
    let opened = |receipt: &mut Receipt, change: &dyn Fn(&mut Opened)| {
        opening(receipt, &|opening| change(&mut opening.opened));
    };
    let harms: [&dyn Fn(&mut Receipt); 12] = [
        &|receipt| receipt.study = scene.hospital.offer(2).manifest.header().study,
        &|receipt| receipt.source = SourceId::from_bytes([9; 32]),
        &|receipt| receipt.signer = other.key.public(),
        &|receipt| opened(receipt, &|opened| opened.remote = other.key.public()),
        &|receipt| opened(receipt, &|opened| opened.claim = ReceiptClaim::Holder),
        &|receipt| opened(receipt, &|opened| opened.revision = 1),
        &|receipt| receipt.entry = Entry::RevocationSeen { grant: grantee.grant },
        // As receipts were before openings were counted.
        &|receipt| receipt.entry = Entry::Opened(Box::new(receipt.entry.opened().unwrap().clone())),
        // Not counted, gone on with where nothing was to be, by somebody who did not sign.
        &|receipt| opening(receipt, &|opening| opening.number = 0),
        &|receipt| opening(receipt, &|opening| opening.resumes = Some(3)),
        &|receipt| opening(receipt, &|opening| opening.member = Some(other.key.public())),
        &|receipt| opening(receipt, &|opening| opening.credential = Some(CredentialDigest::from_bytes([1; 32]))),
    ];
    for harm in harms {
        let liar = Liar::new(framed(&welcome(&scene, &grantee, harm)), Vec::new(), false).await;
        let error = connected(&scene, &grantee, &liar).await.unwrap_err();
        assert!(matches!(error, FetchError::Receipt), "{error:?}");
    }
}

/// Fetches these places from a source that makes an honest offer and then says `last`. What is in the pack afterwards.
async fn fetched(
    places: &[u32],
    last: &[u8],
    ends: bool,
) -> (Result<Vec<Outcome>, FetchError>, BTreeMap<u32, Vec<u8>>) {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let liar = Liar::new(framed(&welcome(&scene, &grantee, |_| ())), last.to_vec(), ends).await;
    let (_endpoint, mut verified) = connected(&scene, &grantee, &liar).await.unwrap();
    let folder = TempDir::new().unwrap();
    let fetched = soon(verified.fetch(pack(folder.path()), places, |_| ())).await;
    let outcomes = fetched.map(|(_, got)| got.into_iter().map(|got| got.outcome).collect());
    (outcomes, found(folder.path()))
}

fn lead(place: u32, follows: u8) -> Vec<u8> {
    [&place.to_be_bytes()[..], &[follows]].concat()
}

/// A large item as it is sent.
fn large(place: u32, bytes: &[u8]) -> Vec<u8> {
    let mut hasher = StoredHasher::new();
    hasher.update(bytes);
    let subtrees = hasher.finish().2.as_slice().concat();
    let mibs = bytes.chunks(1 << 20).map(|mib| [&[1], mib].concat()).collect::<Vec<_>>().concat();
    [lead(place, 1), subtrees, mibs].concat()
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
    for wrong in [lead(REPORT, 1), lead(SMALL, 2)] {
        let (fetched, found) = fetched(&[SMALL], &wrong, false).await;
        assert!(matches!(fetched, Err(FetchError::Protocol(_))), "{fetched:?}");
        assert_eq!(found, signed(&[]));
    }
    let half = [lead(SMALL, 1), vec![0; 500]].concat();
    let (fetched, found) = fetched(&[SMALL], &half, true).await;
    assert!(matches!(fetched, Err(FetchError::Broken)), "{fetched:?}");
    assert_eq!(found, signed(&[]));
}

/// The bytes of another item, or altered ones: they are named, and what follows is taken.
#[tokio::test(flavor = "multi_thread")]
async fn items_that_are_not_what_was_signed_are_thrown_away_and_named() {
    let mut altered = file(SMALL).to_vec();
    altered[999] ^= 1;
    let sent = [lead(SMALL, 1), altered, lead(REPORT, 1), file(REPORT).to_vec()].concat();
    let (fetched, found) = fetched(&[SMALL, REPORT], &sent, false).await;
    assert_eq!(fetched.unwrap(), [Outcome::Altered, Outcome::Intact]);
    assert_eq!(found, signed(&[REPORT]));
}

/// Of a large item each MiB is held against its subtree when it comes, and the subtrees against the digest before that.
#[tokio::test(flavor = "multi_thread")]
async fn mibs_that_are_not_what_was_signed_are_thrown_away_and_named() {
    let honest = large(MIDDLE, file(MIDDLE));
    let (fetched, found) = fetched(&[MIDDLE], &honest, false).await;
    assert_eq!((fetched.unwrap(), found), (vec![Outcome::Intact], signed(&[MIDDLE])));

    let (head, mib) = (5 + 4 * 32, (1 << 20) + 1);
    let mut altered = honest.clone();
    altered[head + mib + 1] ^= 1;
    let (fetched, found) = self::fetched(&[MIDDLE], &altered, false).await;
    assert_eq!((fetched.unwrap(), found), (vec![Outcome::Altered], signed(&[])));

    let swapped = [&honest[..head], &honest[head + mib..][..mib], &honest[head..][..mib], &honest[head + 2 * mib..]];
    let (fetched, _) = self::fetched(&[MIDDLE], &swapped.concat(), false).await;
    assert_eq!(fetched.unwrap(), [Outcome::Altered]);

    // Another file's subtrees, and its bytes below them.
    let other = large(MIDDLE, &vec![7; file(MIDDLE).len()]);
    let (fetched, found) = self::fetched(&[MIDDLE], &other, false).await;
    assert!(matches!(fetched, Err(FetchError::Protocol(_))), "{fetched:?}");
    assert_eq!(found, signed(&[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_pack_is_filled_by_one_fetch() {
    let scene = Scene::new().await;
    let (_endpoint, mut verified) = scene.verified(&scene.grantee("grantee")).await;
    let folder = TempDir::new().unwrap();
    let going_on = pack(folder.path());
    let second = Pack::open(folder.path(), &PackKey::from_bytes([8; 32]));
    assert!(matches!(second, Err(PackError::Busy)), "{second:?}");
    soon(verified.fetch(going_on, &[SMALL], |_| ())).await.unwrap();
    assert_eq!(found(folder.path()), signed(&[SMALL]));
}
