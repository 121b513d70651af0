//! A network that is cut in two and heals, with each hospital cut off afterwards: the three that are left decide at once.
//!
//! Each hospital is in a network namespace of its own, on a bridge in a fifth: cables are moved and pulled, which only root may do. Whoever is not is told
//! that nothing was tested.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{ManifestRoot, StudyDigest};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Body};
use clavicle_network::file as network_file;
use clavicle_relay::control;
use clavicle_relay::keys::Keys;
use clavicle_relay::operations::submit::{Submit, Submitted};

use crate::cluster::{Cluster, HOSPITALS};
use crate::process::PATIENCE;

/// How long the three may take.
const SOON: Duration = Duration::from_secs(2);

/// Four namespaces on a bridge. Dropped, they are gone.
struct Cables(String);

impl Cables {
    /// None when this user may not lay any.
    fn lay() -> Option<Self> {
        let cables = Self(format!("clv{}", std::process::id()));
        if !ip(&["netns", "add", &cables.hub()]) {
            return None;
        }
        let hub = cables.hub();
        for bridge in ["br0", "br1"] {
            done(&["-n", &hub, "link", "add", bridge, "type", "bridge"]);
            done(&["-n", &hub, "link", "set", bridge, "up"]);
        }
        for n in 0..4 {
            let (room, port, address) = (cables.room(n), format!("p{n}"), format!("{}/24", address(n)));
            done(&["netns", "add", &room]);
            done(&["-n", &room, "link", "set", "lo", "up"]);
            done(&["-n", &hub, "link", "add", &port, "type", "veth", "peer", "name", "eth0", "netns", &room]);
            done(&["-n", &hub, "link", "set", &port, "up", "master", "br0"]);
            done(&["-n", &room, "addr", "add", &address, "dev", "eth0"]);
            done(&["-n", &room, "link", "set", "eth0", "up"]);
        }
        Some(cables)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.0)
    }

    fn room(&self, n: usize) -> String {
        format!("{}-{n}", self.0)
    }

    /// Puts a hospital's cable into one of two bridges, or into none.
    fn plug(&self, n: usize, bridge: Option<&str>) {
        let (hub, port) = (self.hub(), format!("p{n}"));
        match bridge {
            Some(bridge) => done(&["-n", &hub, "link", "set", &port, "master", bridge]),
            None => done(&["-n", &hub, "link", "set", &port, "nomaster"]),
        }
    }
}

impl Drop for Cables {
    fn drop(&mut self) {
        for n in 0..4 {
            ip(&["netns", "del", &self.room(n)]);
        }
        ip(&["netns", "del", &self.hub()]);
    }
}

fn address(n: usize) -> String {
    format!("10.77.0.{}", n + 1)
}

fn ip(arguments: &[&str]) -> bool {
    Command::new("ip").args(arguments).output().is_ok_and(|said| said.status.success())
}

#[track_caller]
fn done(arguments: &[&str]) {
    assert!(ip(arguments), "ip {}", arguments.join(" "));
}

/// A study that hospital `n` and a patient define.
pub(crate) fn define(cluster: &Cluster, n: usize, number: u32) -> Vec<u8> {
    let keys = Keys::read(&cluster.home(n).keys_folder()).unwrap();
    let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
    let mut seed = [n as u8; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let holder = SecretKey::from_bytes(&seed);
    let action = Action::DefineStudy(DefineStudy {
        digest: StudyDigest::from_bytes(seed),
        source: keys.operational.public(),
        holder: holder.public(),
        delegates: Ascending::new(),
        manifest_root: ManifestRoot::from_bytes(seed),
        open: true,
    });
    let submit_by = Timestamp(genesis.time.timestamp().0 + 3_600_000);
    let body = Body { submit_by, nonce: [0; 16], action };
    encoding::encode(&body.sign(&genesis.chain_id(), &[&keys.operational, &holder]).unwrap())
}

/// Gives a new study to these hospitals, and says how long it took until each of them had it in a block.
fn decide(cluster: &Cluster, hospitals: &[usize], number: u32) -> Duration {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (envelope, began) = (define(cluster, hospitals[0], number), Instant::now());
    let executed = |n: usize| {
        let socket = cluster.home(n).socket();
        runtime
            .block_on(control::ask(&socket, &Submit::of(&envelope)))
            .is_ok_and(|submitted: Submitted| submitted.executed_at.is_some())
    };
    let mut left = hospitals.to_vec();
    while !left.is_empty() {
        left.retain(|n| !executed(*n));
        // How far each is, is asked for only then: where a hospital is gone the answer takes a while.
        let heights = || hospitals.iter().map(|n| (HOSPITALS[*n], cluster.height(*n))).collect::<Vec<_>>();
        assert!(began.elapsed() < PATIENCE, "{left:?} of {hospitals:?} have not decided: {:?}", heights());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    began.elapsed()
}

#[test]
fn after_a_cut_has_healed_any_three_decide_within_two_seconds() {
    let long = std::env::var_os("CLAVICLE_LONG").is_some();
    let Some(cables) = Cables::lay() else {
        assert!(!long, "network namespaces are for root alone");
        let skipped = b"SKIPPED after_a_cut_has_healed_any_three_decide_within_two_seconds: no network namespaces here; run it as root\n";
        // Not by a macro, whose words of a test that passes nobody sees.
        std::io::stderr().write_all(skipped).ok();
        return;
    };
    let mut cluster = Cluster::made_in(|n| (cables.room(n), address(n)));
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);
    let (tries, mut number, mut late, mut told) = (if long { 20 } else { 4 }, 0, 0, String::new());
    let mut next = || {
        number += 1;
        number
    };
    for at in 0..tries {
        // In two halves, each time others, for longer each time: what is on its way is sent again ever more seldom.
        let cut = Duration::from_millis(if long { 1_000 + 1_500 * at as u64 } else { 2_500 });
        let with = 1 + at % 3;
        for n in (1..4).filter(|n| *n != with) {
            cables.plug(n, Some("br1"));
        }
        std::thread::park_timeout(Duration::from_millis(300));
        let stopped = cluster.highest();
        std::thread::park_timeout(cut);
        assert!(cluster.highest() <= stopped + 1, "two of four have decided");
        (1..4).for_each(|n| cables.plug(n, Some("br0")));
        let healed = decide(&cluster, &[0, 1, 2, 3], next());
        // Now one of them is gone, and the others must not notice.
        let gone = at % 4;
        let left: Vec<usize> = (0..4).filter(|n| *n != gone).collect();
        cables.plug(gone, None);
        let took = decide(&cluster, &left, next());
        late += usize::from(took > SOON);
        writeln!(told, "cut for {cut:.1?}, healed in {healed:.2?}; without {}: {took:.2?}", HOSPITALS[gone]).unwrap();
        cables.plug(gone, Some("br0"));
        let height = cluster.highest();
        cluster.reach(&[gone], height);
    }
    println!("{told}");
    assert_eq!(late, 0, "{told}");
    drop(cluster);
}
