//! Whoever is refused is told that, and by the same bytes whatever the reason.

use std::net::Ipv4Addr;

use clavicle_ledger::authorise::SignedHello;
use clavicle_ledger::encoding;
use clavicle_network::transfer::{FetchError, PROTOCOL};
use iroh::endpoint::{QuicTransportConfig, presets};
use iroh::{Endpoint, RelayMode};

use crate::world::{Grantee, Raw, Scene, closed, secret, soon};

/// All that came until the source closed, without the reference; and the code it closed with.
async fn heard(raw: &mut Raw) -> (Vec<u8>, u64) {
    let mut bytes = soon(raw.receive.read_to_end(1_000)).await.unwrap();
    // Who does not let go is let go.
    let code = raw.closed().await;
    assert!(bytes.len() > 8);
    let reference = bytes.split_off(bytes.len() - 8);
    assert_ne!(reference, [0; 8]);
    (bytes, code)
}

async fn said(scene: &Scene, key: &str, hello: &SignedHello) -> (Vec<u8>, u64) {
    let mut raw = scene.raw(&secret(key), PROTOCOL).await;
    raw.say(&encoding::encode(hello)).await;
    heard(&mut raw).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_is_the_same_bytes() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    let right = scene.hello(&grantee);
    let revoked = scene.grantee("revoked");
    scene.hospital.revoke(scene.study, revoked.grant);
    let other_terms = {
        let mut other = grantee.clone();
        other.terms.blinding = [6; 32];
        other
    };
    let of_another = Grantee { key: secret("stranger"), ..grantee.clone() };
    let unknown = Grantee { study: scene.hospital.offer(9).manifest.header().study, ..grantee.clone() };
    let mut late = right.clone();
    late.hello.at = late.hello.at.plus(86_400_000);
    let late = late.hello.sign(&scene.hospital.chain, &grantee.key);
    let mut unsigned = right.clone();
    unsigned.hello.at = unsigned.hello.at.plus(1);
    let mut all = vec![
        said(&scene, "revoked", &scene.hello(&revoked)).await,
        said(&scene, "stranger", &scene.hello(&of_another)).await,
        said(&scene, "grantee", &scene.hello(&other_terms)).await,
        said(&scene, "grantee", &scene.hello(&unknown)).await,
        said(&scene, "grantee", &late).await,
        said(&scene, "grantee", &unsigned).await,
        // The right hello, replayed from another endpoint.
        said(&scene, "stranger", &right).await,
    ];
    // No hello at all, one that is too long, and half of one.
    let mut raw = scene.raw(&secret("stranger"), PROTOCOL).await;
    raw.say(b"GET / HTTP/1.1").await;
    all.push(heard(&mut raw).await);
    let mut raw = scene.raw(&secret("stranger"), PROTOCOL).await;
    raw.send.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    all.push(heard(&mut raw).await);
    let mut raw = scene.raw(&secret("grantee"), PROTOCOL).await;
    raw.send.write_all(&[0, 0, 1]).await.unwrap();
    raw.send.finish().unwrap();
    all.push(heard(&mut raw).await);
    assert_eq!(all, vec![(vec![0, 0, 0, 9, 0], 1); 10]);
    let reasons = scene.hospital.refusals.borrow().iter().collect::<std::collections::BTreeSet<_>>().len();
    assert_eq!(reasons, 7, "{:?}", scene.hospital.refusals.borrow());
    assert_eq!(scene.hospital.refusals.borrow().len(), 10);
    // And whoever may, may still.
    scene.verified(&grantee).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_says_that_it_was_refused() {
    let scene = Scene::new().await;
    let grantee = scene.grantee("grantee");
    scene.hospital.revoke(scene.study, grantee.grant);
    assert!(matches!(scene.connect(&grantee).await, Err(FetchError::Refused(Some(_)))));
}

/// Whoever says nothing, or begins to and stops, holds no place for long. The longest wait of these tests: ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_refused() {
    let scene = Scene::new().await;
    let silent = scene.raw(&secret("silent"), PROTOCOL).await;
    let mut begun = scene.raw(&secret("begun"), PROTOCOL).await;
    begun.send.write_all(&[0, 0]).await.unwrap();
    let (silent, begun) = tokio::join!(silent.closed(), heard(&mut begun));
    assert_eq!(silent, 1);
    assert_eq!(begun, (vec![0, 0, 0, 9, 0], 1));
}

/// Whoever gives the source no room to say no in is let go like all others.
#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_listen_is_let_go() {
    let scene = Scene::new().await;
    let deaf = QuicTransportConfig::builder().stream_receive_window(0u32.into()).build();
    let builder = Endpoint::builder(presets::Minimal).relay_mode(RelayMode::Disabled).clear_ip_transports();
    let endpoint = builder.transport_config(deaf).bind_addr((Ipv4Addr::LOCALHOST, 0)).unwrap().bind().await.unwrap();
    let connection = soon(endpoint.connect(scene.address(), PROTOCOL)).await.unwrap();
    let (mut send, _receive) = soon(connection.open_bi()).await.unwrap();
    send.write_all(&u32::MAX.to_be_bytes()).await.unwrap();
    assert_eq!(closed(&connection).await, 1);
}
