//! The other side, as processes of this program: a source, and crowds of recipients.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use bytes::Bytes;
use clavicle_ledger::id::EnvelopeHash;
use clavicle_ledger::key::Key;
use clavicle_network::Server;
use clavicle_network::endpoint::bind;
use clavicle_network::message::{Request, Response};
use clavicle_network::revoke::Revocations;
use clavicle_network::swarm::{Desk, Received};
use clavicle_network::transfer::PROTOCOL;
use iroh::endpoint::Connection;
use iroh::{Endpoint, EndpointAddr, EndpointId};
use tokio::task::JoinSet;

use crate::fetch::fetch_from;
use crate::study::Shape;
use crate::world::{Closed, Hospital, secret};

/// The protocol of whoever only wants bytes.
pub(crate) const RAW: &[u8] = b"clavicle/bench/raw";

/// Where each process looks for what all of them share.
pub(crate) struct Shared {
    pub(crate) root: PathBuf,
    /// Studies, and how many were granted each.
    pub(crate) studies: Vec<(Shape, u32)>,
}

/// Nobody revokes here over the network.
struct Nobody;

impl Desk for Nobody {
    fn receive(&self, _: &[u8]) -> Received {
        Received::Ignore
    }

    fn answer(&self, _: Key, _: Request) -> Response {
        Response::Unavailable
    }

    fn waiting(&self) -> Vec<EnvelopeHash> {
        Vec::new()
    }

    fn envelope(&self, _: &EnvelopeHash) -> Option<Vec<u8>> {
        None
    }
}

/// A process of this program.
pub(crate) struct Process {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Process {
    fn start(arguments: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (to, from) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, to, from: BufReader::new(from) }
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        assert!(self.from.read_line(&mut line).unwrap() > 0, "a process of the benchmark has ended");
        line.trim().to_owned()
    }

    fn say(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A source that serves.
pub(crate) struct Source {
    process: Process,
    /// Where studies are served.
    pub(crate) at: SocketAddr,
    /// Where bytes are.
    pub(crate) raw: SocketAddr,
}

impl Source {
    pub(crate) fn start(root: &Path) -> Self {
        Self::begin(&["source", root.to_str().unwrap()])
    }

    /// One that revokes every so many who are let in, when their first byte is due.
    pub(crate) fn that_revokes(root: &Path, every: usize) -> Self {
        Self::begin(&["source", root.to_str().unwrap(), &every.to_string()])
    }

    fn begin(arguments: &[&str]) -> Self {
        let mut process = Process::start(arguments);
        let (at, raw) = (process.hear().parse().unwrap(), process.hear().parse().unwrap());
        Self { process, at, raw }
    }

    /// How those who were revoked were cut off, in words.
    pub(crate) fn cuts(&mut self) -> String {
        self.process.say("cuts");
        self.process.hear()
    }

    /// The most memory that it had at any time, and has now, in MiB.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.process.id())).unwrap_or_default();
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
        };
        (of("VmHWM:"), of("VmRSS:"))
    }
}

/// Serves until it is ended, or whoever started it has.
pub(crate) fn be_source(shared: &Shared, revoke_every: Option<usize>) {
    let mut hospital = Hospital::new();
    hospital.revoke_every = revoke_every;
    for (shape, grantees) in &shared.studies {
        hospital.take_in(&shared.root, *shape, *grantees);
    }
    let hospital = Arc::new(hospital);
    let asked = Arc::clone(&hospital);
    std::thread::spawn(move || {
        while std::io::stdin().read_line(&mut String::new()).is_ok_and(|len| len > 0) {
            println!("{}", cuts(&asked));
        }
        std::process::exit(0);
    });
    // As the relay does it.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let counter = Arc::new(Closed(Arc::clone(&hospital)));
        let revocations = Revocations::new(hospital.chain, Arc::new(Nobody));
        let server = Server::start(&secret("transfer"), at, hospital, counter, revocations).await.unwrap();
        let raw = bind(&secret("raw"), Some(at), &[RAW]).await.unwrap();
        println!("{}\n{}", server.address(), raw.bound_sockets()[0]);
        let mut connections = JoinSet::new();
        while let Some(incoming) = raw.accept().await {
            connections.spawn(async move {
                if let Ok(connection) = incoming.await {
                    give(&connection).await.ok();
                }
            });
        }
    });
}

/// How those who were revoked were cut off.
fn cuts(hospital: &Hospital) -> String {
    let (mut took, too_late) = hospital.cuts();
    took.sort();
    let at = |percent: usize| took.get((took.len() * percent).div_ceil(100).saturating_sub(1)).copied();
    let [median, high, most] = [50, 99, 100].map(|percent| at(percent).unwrap_or_default());
    format!(
        "cut off {} in {median:.1?} (p50), {high:.1?} (p99), {most:.1?} at most; {too_late} had all before",
        took.len()
    )
}

/// Gives as many bytes as are asked for.
async fn give(connection: &Connection) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (mut send, mut receive) = connection.accept_bi().await?;
    let mut left = [0; 8];
    receive.read_exact(&mut left).await?;
    let (mut left, block) = (u64::from_be_bytes(left), Bytes::from(vec![7; 256 * 1024]));
    while left > 0 {
        let step = left.min(block.len() as u64);
        send.write_chunk(block.slice(..usize::try_from(step)?)).await?;
        left -= step;
    }
    send.finish()?;
    connection.closed().await;
    Ok(())
}

/// Recipients in a process of their own, ready to connect.
pub(crate) struct Crowd(Process);

impl Crowd {
    /// As many grantees of the last study from number `from` on.
    pub(crate) fn gather(root: &Path, source: SocketAddr, from: u32, count: u32) -> Self {
        let numbers = [from.to_string(), count.to_string()];
        let source = source.to_string();
        Self(Process::start(&["crowd", root.to_str().unwrap(), &source, &numbers[0], &numbers[1]]))
    }

    /// As many who only connect.
    pub(crate) fn of_strangers(source: SocketAddr, from: u32, count: u32) -> Self {
        Self(Process::start(&["silent", &source.to_string(), &from.to_string(), &count.to_string()]))
    }

    /// Waits until all have their endpoints.
    pub(crate) fn ready(&mut self) {
        assert_eq!(self.0.hear(), "ready");
    }

    pub(crate) fn go(&mut self) {
        self.0.say("go");
    }

    /// How many had it.
    pub(crate) fn served(&mut self) -> u32 {
        self.0.hear().parse().unwrap()
    }
}

/// Fetches for `count` grantees at once when told to.
pub(crate) fn be_crowd(shared: &Shared, source: SocketAddr, from: u32, count: u32) {
    let mut hospital = Hospital::new();
    let mut all = Vec::new();
    for (shape, grantees) in &shared.studies {
        all = hospital.take_in(&shared.root, *shape, *grantees);
    }
    let hospital = Arc::new(hospital);
    let grantees: Vec<_> = all.drain(from as usize..(from + count) as usize).collect();
    // Their disks are not what is measured.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(2_048).build().unwrap();
    runtime.block_on(async {
        let own = address(from);
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for grantee in &grantees {
            endpoints.push(bind(&grantee.key, Some(own), &[]).await.unwrap());
        }
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let mut fetching = JoinSet::new();
        for (number, (grantee, endpoint)) in grantees.into_iter().zip(endpoints).enumerate() {
            let (hospital, pack) = (Arc::clone(&hospital), folder.path().join(number.to_string()));
            fetching.spawn(async move {
                let fetched = fetch_from(&endpoint, source, &hospital, &grantee, &pack).await;
                endpoint.close().await;
                // Memory is for the others' too.
                std::fs::remove_dir_all(&pack).ok();
                fetched
            });
        }
        let (mut served, mut failed) = (0_u32, BTreeMap::new());
        while let Some(fetched) = fetching.join_next().await {
            match fetched.unwrap() {
                Ok(()) => served += 1,
                Err(error) => *failed.entry(error.to_string()).or_insert(0_u32) += 1,
            }
        }
        for (why, count) in failed {
            eprintln!("    {count} were not served: {why}");
        }
        println!("{served}");
    });
}

/// Each thousand has an address of its own.
fn address(from: u32) -> SocketAddr {
    SocketAddr::new(IpAddr::from([127, 0, 0, u8::try_from(2 + from / 1_000).unwrap()]), 0)
}

/// Connects with `count` keys when told to, says how many have connected, and nothing else.
pub(crate) fn be_silent(source: SocketAddr, from: u32, count: u32) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for number in from..from + count {
            endpoints.push(bind(&secret(&format!("stranger {number}")), Some(address(from)), &[]).await.unwrap());
        }
        println!("ready");
        std::io::stdin().read_line(&mut String::new()).unwrap();
        let id = EndpointId::from_bytes(secret("transfer").public().as_bytes()).unwrap();
        let mut connecting = JoinSet::new();
        for endpoint in &endpoints {
            let (endpoint, to) = (endpoint.clone(), EndpointAddr::new(id).with_ip_addr(source));
            connecting.spawn(async move { endpoint.connect(to, PROTOCOL).await });
        }
        let connected: Vec<_> = connecting.join_all().await;
        println!("{}", connected.iter().filter(|one| one.is_ok()).count());
        // There until this process is ended.
        std::io::stdin().read_line(&mut String::new()).unwrap();
    });
}
