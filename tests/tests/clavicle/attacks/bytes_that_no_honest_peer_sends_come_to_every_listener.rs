//! Bytes that no honest peer sends come to every listener of a relay, from 64 addresses: the relay goes on, holds no more memory than before a crowd of
//! honest ones, does not fill its log, and serves who comes next. Half of the inputs are noise, half a real opening that was edited.
//!
//! A thousand inputs for each listener; `CLAVICLE_LONG=1` makes it a hundred thousand. What takes a handshake to get at has a tenth of that.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clavicle_ledger::authorise::{Claim, Hello};
use clavicle_ledger::encoding;
use clavicle_ledger::id::{ChainId, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_network::endpoint::bind;
use clavicle_network::file as network_file;
use clavicle_network::message::{Query, Request};
use clavicle_network::swarm::Client;
use clavicle_network::{pickup, revoke, transfer};
use clavicle_relay::keys::Keys;
use iroh::{Endpoint, EndpointAddr, EndpointId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;
use tokio::time::timeout;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::adversary::{framed, now};
use crate::cluster::{Cluster, HOSPITALS};
use crate::hostile;
use crate::image::Image;
use crate::partition::define;
use crate::process::{PATIENCE, program};

/// The source that gets all of it.
const MERCY: usize = 0;
/// Who speaks at once.
const SPEAKERS: u64 = 16;
/// How long an answer is waited for: whoever is refused is told after a tick of a second or less.
const SOON: Duration = Duration::from_secs(3);
/// The most memory that the relay may ever have held, in KiB.
const MAX_RESIDENT_KIB: u64 = 400 * 1024;

/// How many inputs a listener gets.
fn inputs() -> u64 {
    hostile::rounds().min(100_000)
}

/// One of 64 addresses, and a port that the system chooses.
fn from(round: u64) -> SocketAddr {
    SocketAddr::from(([127, 0, 3, u8::try_from(round % 64).unwrap() + 1], 0))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Has the rounds spoken, several at once, each as its number says; how many were heard.
fn speak(rounds: u64, say: impl Fn(&tokio::runtime::Runtime, u64) -> bool + Sync) -> u64 {
    let (next, heard) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for _ in 0..SPEAKERS {
            threads.spawn(|| {
                let runtime = runtime();
                loop {
                    let round = next.fetch_add(1, Ordering::Relaxed);
                    if round >= rounds {
                        return;
                    }
                    heard.fetch_add(say(&runtime, round).into(), Ordering::Relaxed);
                }
            });
        }
    });
    heard.into_inner()
}

/// Says each input in a connection of its own, and reads until the other side has had enough.
fn speak_tcp(to: SocketAddr, target: &str, openings: &[Vec<u8>]) {
    let heard = speak(inputs(), |runtime, round| {
        runtime.block_on(async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            socket.bind(from(round)).unwrap();
            let Ok(Ok(mut stream)) = timeout(PATIENCE, socket.connect(to)).await else { return false };
            let said = stream.write_all(&hostile::said(target, openings, round)).await.is_ok();
            stream.shutdown().await.ok();
            timeout(SOON, stream.read_to_end(&mut Vec::new())).await.ok();
            said
        })
    });
    assert!(heard > inputs() / 2, "{target}: {heard} of {} were heard", inputs());
}

/// A relay, and what it was like before.
struct Scene {
    cluster: Cluster,
    lines: usize,
}

impl Scene {
    fn new(cluster: Cluster) -> Self {
        let lines = cluster.log_lines(MERCY);
        Self { cluster, lines }
    }

    fn chain(&self) -> ChainId {
        network_file::read_genesis(&self.cluster.path("network.json")).unwrap().chain_id()
    }

    fn keys(&self) -> Keys {
        Keys::read(&self.cluster.home(MERCY).keys_folder()).unwrap()
    }

    /// The relay is there, small, quiet, and needed: with one of the others gone nothing is decided without it.
    #[track_caller]
    fn held(mut self) {
        let peak = hostile::peak_kib(&self.cluster.pid(MERCY).to_string());
        let lines = self.cluster.log_lines(MERCY) - self.lines;
        println!("{} inputs: {} MiB at most, {lines} lines in the log", inputs(), peak / 1024);
        assert!((1..MAX_RESIDENT_KIB).contains(&peak), "{peak} KiB were held");
        // Thirty a minute of each kind, at most.
        assert!(lines < 200, "{lines} lines were logged");
        self.cluster.kill(3);
        let height = self.cluster.highest();
        self.cluster.reach(&[MERCY], height + 2);
        fs::create_dir(self.cluster.path("files")).unwrap();
        let image =
            Image { study: 1, series: 1, number: 1, patient: "P1", born: "19700101", accession: "", pixels: 1_000 };
        fs::write(self.cluster.path("files/image"), image.file()).unwrap();
        self.cluster.patient("ana");
        let study = self.cluster.ingest(MERCY, "files");
        self.cluster.pick_up(MERCY, &study, "ana");
    }
}

#[test]
fn at_the_public_port() {
    let scene = Scene::new(Cluster::running());
    let to = scene.cluster.home(MERCY).settings().unwrap().listen.network;
    let noise_message = [&[0, 32][..], &[9; 32]].concat();
    let opening = [&b"\x13/multistream/1.0.0\n\x07/noise\n"[..], &noise_message].concat();
    speak_tcp(to, "public port", &[opening]);

    // What is a question in shape, from guests. What is none is tried in the network's own tests.
    let questions: Vec<Vec<u8>> = [
        Request::Query(Query::Changes { after: 0 }),
        Request::Query(Query::Blocks { from: 1, offset: 0 }),
        Request::Submit(Box::new(encoding::decode(&define(&scene.cluster, MERCY, 1)).unwrap())),
    ]
    .iter()
    .map(encoding::encode)
    .collect();
    let (chain, relay) = (scene.chain(), scene.keys().network.public());
    let at = [format!("/ip4/{}/tcp/{}", to.ip(), to.port())];
    let runtime = runtime();
    let mut client = runtime.block_on(Client::connect(chain, &relay, &at, PATIENCE)).unwrap();
    let (mut asked, mut answered) = (0, 0);
    for round in 0.. {
        let bytes = hostile::edited(&questions[round as usize % questions.len()], &hostile::input("question", round));
        let Ok(question) = encoding::decode::<Request>(&bytes) else { continue };
        asked += 1;
        answered += usize::from(runtime.block_on(client.ask(question)).is_ok());
        if asked == inputs() / 10 {
            break;
        }
    }
    assert!(answered > 0, "nothing was answered");
    scene.held();
}

#[test]
fn at_the_validators_port() {
    let scene = Scene::new(Cluster::running());
    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let mut hello = Vec::new();
    let mut client = ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    client.write_tls(&mut hello).unwrap();
    let to = scene.cluster.home(MERCY).settings().unwrap().listen.consensus;
    speak_tcp(to, "validators' port", &[hello]);
    scene.held();
}

#[test]
fn at_the_endpoint() {
    let scene = Scene::new(Cluster::running());
    let (keys, at) = (scene.keys(), scene.cluster.home(MERCY).settings().unwrap().listen.transfer);
    let source = EndpointId::from_bytes(keys.transfer.public().as_bytes()).unwrap();
    let first = {
        // What an endpoint sends first, to somebody who does not answer.
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        silent.set_read_timeout(Some(PATIENCE)).unwrap();
        let to = EndpointAddr::new(source).with_ip_addr(silent.local_addr().unwrap());
        runtime().block_on(async {
            let endpoint = bind(&SecretKey::from_bytes(&[1; 32]), Some(from(0)), &[]).await.unwrap();
            timeout(Duration::from_millis(500), endpoint.connect(to, transfer::PROTOCOL)).await.ok();
        });
        let mut datagram = vec![0; 2048];
        let len = silent.recv(&mut datagram).unwrap();
        datagram.truncate(len);
        datagram
    };
    let heard = speak(inputs(), |_, round| {
        let socket = UdpSocket::bind(from(round)).unwrap();
        socket.send_to(&hostile::said("endpoint", std::slice::from_ref(&first), round), at).is_ok()
    });
    assert!(heard > inputs() / 2, "{heard} datagrams were sent");

    // And in each protocol, within a connection of its own.
    let chain = scene.chain();
    let source_id = SourceId::of_identity(&chain, &keys.identity.public());
    let hello = Hello::new(source_id, StudyId::from_bytes([1; 32]), Claim::Holder, now().0);
    let hello = framed(&encoding::encode(&hello.sign(&chain, &SecretKey::from_bytes(&[2; 32]))));
    let envelope = framed(&define(&scene.cluster, MERCY, 2));
    let protocols = [
        (transfer::PROTOCOL, [hello]),
        // The hash of a ticket, and a share.
        (pickup::PROTOCOL, [framed(&[5; 64])]),
        (revoke::PROTOCOL, [envelope]),
    ];
    let heard = speak(inputs() / 10, |runtime, round| {
        let (protocol, openings) = &protocols[usize::try_from(round % 3).unwrap()];
        let bytes = hostile::said("protocol", openings, round / 3);
        let key = SecretKey::from_bytes(blake3::hash(&round.to_le_bytes()).as_bytes());
        runtime.block_on(async {
            let endpoint = bind(&key, Some(from(round)), &[]).await.unwrap();
            let heard = whisper(&endpoint, EndpointAddr::new(source).with_ip_addr(at), protocol, &bytes).await;
            timeout(SOON, endpoint.close()).await.ok();
            heard.is_some()
        })
    });
    assert!(heard > inputs() / 20, "{heard} of {} were heard", inputs() / 10);
    scene.held();
}

/// Says something in a connection, and reads what is answered.
async fn whisper(endpoint: &Endpoint, to: EndpointAddr, protocol: &[u8], bytes: &[u8]) -> Option<()> {
    let connection = timeout(PATIENCE, endpoint.connect(to, protocol)).await.ok()?.ok()?;
    let (mut send, mut receive) = connection.open_bi().await.ok()?;
    send.write_all(bytes).await.ok()?;
    send.finish().ok()?;
    timeout(SOON, receive.read_to_end(64 * 1024)).await.ok();
    Some(())
}

#[test]
fn at_the_dicom_port() {
    let mut cluster = Cluster::made();
    let mut settings = cluster.home(MERCY).settings().unwrap();
    let to = SocketAddr::new(settings.listen.network.ip(), 11_112);
    settings.intake.dicom = Some(to);
    cluster.home(MERCY).write_settings(&settings).unwrap();
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);
    let scene = Scene::new(cluster);
    let request = {
        // What dcmtk begins with.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port().to_string();
        let mut command = program("echoscu", scene.cluster.folder());
        let mut echo = command.args(["-aec", "CLAVICLE", "127.0.0.1", &port]).spawn().unwrap();
        let mut stream = silent.accept().unwrap().0;
        let mut head = [0; 6];
        stream.read_exact(&mut head).unwrap();
        let mut body = vec![0; u32::from_be_bytes(head[2..].try_into().unwrap()) as usize];
        stream.read_exact(&mut body).unwrap();
        echo.kill().unwrap();
        echo.wait().unwrap();
        [&head[..], &body].concat()
    };
    let element = |number: u16, value: &[u8]| {
        [&[0, 0][..], &number.to_le_bytes(), &u32::try_from(value.len()).unwrap().to_le_bytes(), value].concat()
    };
    let command = [
        element(2, b"1.2.840.10008.1.1\0"),
        element(0x0100, &[0x30, 0]),
        element(0x0110, &[1, 0]),
        element(0x0800, &[1, 1]),
    ]
    .concat();
    let fragment = [&u32::try_from(command.len() + 2).unwrap().to_be_bytes()[..], &[1, 3], &command].concat();
    let unit = [&[4, 0][..], &u32::try_from(fragment.len()).unwrap().to_be_bytes(), &fragment].concat();
    speak_tcp(to, "DICOM port", &[request.clone(), [request, unit].concat()]);
    let echo = program("echoscu", scene.cluster.folder())
        .args(["-aec", "CLAVICLE", &to.ip().to_string(), &to.port().to_string()])
        .status();
    assert!(echo.unwrap().success());
    scene.held();
}

#[test]
fn at_the_operators_socket() {
    let scene = Scene::new(Cluster::running());
    let socket = scene.cluster.home(MERCY).socket();
    let post = |path: &str, body: &str| {
        let head = "Host: relay\r\nContent-Type: application/json\r\nContent-Length";
        format!("POST {path} HTTP/1.1\r\n{head}: {}\r\n\r\n{body}", body.len()).into_bytes()
    };
    let openings = [
        b"GET /status HTTP/1.1\r\nHost: relay\r\n\r\n".to_vec(),
        post("/close", r#""1111111111111111""#),
        post("/completeness", "null"),
        post("/explain", "0123456789abcdef"),
        post("/audit", r#"{"study":"1111111111111111"}"#),
    ];
    let heard = speak(inputs(), |_, round| {
        let Ok(mut stream) = UnixStream::connect(&socket) else { return false };
        stream.set_read_timeout(Some(SOON)).unwrap();
        let said = stream.write_all(&hostile::said("operator's socket", &openings, round)).is_ok();
        stream.shutdown(std::net::Shutdown::Write).ok();
        stream.read_to_end(&mut Vec::new()).ok();
        said
    });
    assert!(heard > inputs() / 2, "{heard} of {} were heard", inputs());
    let status = scene.cluster.try_hospital(&["status", "--dir", HOSPITALS[MERCY]]).object();
    assert!(status["height"].is_u64(), "{status}");
    scene.held();
}
