//! The recipient's side: ours, and a bare stream.

use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;

use bytes::Bytes;
use clavicle_network::endpoint::{Remote, bind_towards};
use clavicle_network::pack::{Pack, PackKey};
use clavicle_network::transfer::{self, FetchError, Outcome};
use iroh::{Endpoint, EndpointAddr, EndpointId};

use crate::process::RAW;
use crate::world::{Grantee, Hospital, secret};

/// Fetches all of a study, from nothing but a key and an address to the last byte verified and forced to the disk.
pub(crate) async fn fetch(source: SocketAddr, hospital: &Hospital, grantee: &Grantee, pack: &Path) {
    let endpoint = bind_towards(&grantee.key, source).await.unwrap();
    fetch_from(&endpoint, source, hospital, grantee, pack).await.unwrap();
    // Closing waits for the other side; what was fetched is there already.
    endpoint.close().await;
}

pub(crate) async fn fetch_from(
    endpoint: &Endpoint,
    source: SocketAddr,
    hospital: &Hospital,
    grantee: &Grantee,
    pack: &Path,
) -> Result<(), FetchError> {
    let remote = Remote { key: secret("transfer").public(), addresses: vec![source] };
    let fetch = transfer::connect(endpoint, &remote, &hospital.hello(grantee)).await?;
    let record = hospital.record(grantee.study);
    let mut verified = fetch.verify(&hospital.chain, grantee.study, &record, &hospital.operational(), &grantee.key)?;
    let wanted = verified.offer().manifest.by_priority();
    let pack = Pack::open(pack, &PackKey::from_bytes([8; 32]))?;
    let (_, got) = verified.fetch(pack, &wanted, |_| ()).await?;
    assert!(got.iter().all(|one| one.outcome == Outcome::Intact), "not everything came");
    verified.close().await;
    Ok(())
}

/// Takes as many bytes from a bare stream, and writes them to a file that is forced to the disk, or nowhere.
pub(crate) async fn raw(source: SocketAddr, len: u64, into: Option<&Path>) {
    let endpoint = bind_towards(&secret("nobody"), source).await.unwrap();
    let id = EndpointId::from_bytes(secret("raw").public().as_bytes()).unwrap();
    let connection = endpoint.connect(EndpointAddr::new(id).with_ip_addr(source), RAW).await.unwrap();
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    send.write_all(&len.to_be_bytes()).await.unwrap();
    let writer = into.map(|path| {
        let mut file = File::create(path).unwrap();
        let (chunks, coming) = mpsc::sync_channel::<Bytes>(1_024);
        let thread = std::thread::spawn(move || {
            while let Ok(chunk) = coming.recv() {
                file.write_all(&chunk).unwrap();
            }
            file.sync_data().unwrap();
        });
        (chunks, thread)
    });
    let mut came = 0;
    while let Some(chunk) = receive.read_chunk(1 << 20).await.unwrap() {
        came += chunk.len() as u64;
        if let Some((chunks, _)) = &writer {
            chunks.send(chunk).unwrap();
        }
    }
    assert_eq!(came, len);
    if let Some((chunks, thread)) = writer {
        drop(chunks);
        thread.join().unwrap();
    }
    connection.close(0_u32.into(), b"");
    endpoint.close().await;
}
