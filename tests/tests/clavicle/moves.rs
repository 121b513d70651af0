//! Hospitals move and join while everybody else runs on, and are found.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

use clavicle_directory::Directory;
use clavicle_ledger::action::{Content, Vote};
use clavicle_ledger::encoding;
use clavicle_ledger::genesis::{Genesis, Parameters};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::light::LightClient;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::time::HOUR_MS;
use clavicle_ledger::transaction::{Action, Body};
use clavicle_network::file as network_file;
use clavicle_relay::control;
use clavicle_relay::home::{Home, Listen, Settings};
use clavicle_relay::keys::Keys;
use clavicle_relay::operations::Operation;
use clavicle_relay::operations::status::{RelayStatus, Status};
use clavicle_relay::operations::submit::Submit;
use clavicle_wallet::ledger::Ledger;
use clavicle_wallet::vault::{Passphrase, Vault};
use tokio::runtime::Runtime;

use crate::adversary::now;
use crate::cluster::{Cluster, HOSPITAL, HOSPITALS, brain, own_host};
use crate::process::{program, until};

const MERCY: usize = 0;
/// The one whose identity key lies in a safe.
const SAFE: usize = 1;
const HARBOR: usize = 3;

fn ask<O: Operation>(home: &Home, operation: &O) -> Option<O::Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(control::ask(&home.socket(), operation)).ok()
}

/// Has an action executed that these keys sign, by way of hospital `n`.
#[track_caller]
fn happens(cluster: &Cluster, genesis: &Genesis, n: usize, action: Action, keys: &[&SecretKey]) {
    let nonce = *encoding::encode(&action).last_chunk().unwrap();
    let body = Body { submit_by: now().0.plus(HOUR_MS), nonce, action };
    let envelope = encoding::encode(&body.sign(&genesis.chain_id(), keys).unwrap());
    until(
        || ask(&cluster.home(n), &Submit::of(&envelope)),
        |taken| taken.as_ref().is_some_and(|taken| taken.executed_at.is_some()),
    );
}

/// Announces, as its operator does, that hospital `n` is at another address and other ports, and then moves there.
#[track_caller]
fn move_away(cluster: &mut Cluster, n: usize) -> Listen {
    let (home, host) = (cluster.home(n), own_host().parse().unwrap());
    let settings = home.settings().unwrap();
    let beside = |at: SocketAddr| SocketAddr::new(host, at.port() + 1);
    let Listen { consensus, network, transfer } = settings.listen;
    let listen = Listen { consensus: beside(consensus), network: beside(network), transfer: beside(transfer) };
    let announce = ["announce", "--dir", HOSPITALS[n]];
    assert!(cluster.hospital(&announce)["height"].is_null(), "it is where it was announced");
    home.write_settings(&Settings { listen, ..settings }).unwrap();
    let done = if n == SAFE {
        // The identity key is kept elsewhere.
        let safe = cluster.path("safe");
        fs::rename(home.keys_folder().join("identity"), &safe).unwrap();
        assert_eq!(cluster.try_hospital(&announce).refused().0, "key");
        fs::copy(cluster.home(HARBOR).keys_folder().join("identity"), cluster.path("another")).unwrap();
        let by = |key| [&announce[..], &["--identity", key]].concat();
        assert_eq!(cluster.try_hospital(&by("another")).refused().0, "key");
        cluster.hospital(&by("safe"))
    } else {
        cluster.hospital(&announce)
    };
    assert_eq!((done["version"].as_u64(), done["network"].as_str()), (Some(1), Some(&*listen.network.to_string())));
    assert!(done["height"].as_u64().is_some(), "{done}");
    assert!(cluster.hospital(&announce)["height"].is_null(), "once is enough");
    cluster.kill(n);
    cluster.start(n);
    cluster.reach(&[n], 1);
    listen
}

/// A wallet's view of the network, which is never closed.
fn running(genesis: &Genesis) -> Ledger {
    Ledger::new(genesis, LightClient::from_genesis(genesis), now)
}

#[test]
fn hospitals_that_move_are_found_by_wallets_and_relays_that_run_on() {
    let mut cluster = Cluster::running();
    let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
    let id = |cluster: &Cluster, n: usize| {
        let keys = Keys::read(&cluster.home(n).keys_folder()).unwrap();
        SourceId::of_identity(&genesis.chain_id(), &keys.identity.public())
    };
    brain(&cluster, "images", 1..=2);
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    let card = cluster.card("rossi");
    let runtime = Runtime::new().unwrap();
    let mut wallet = running(&genesis);
    runtime.block_on(wallet.rows(&[StateKey::Head])).unwrap();

    // All but one move, one after another, until nobody but that one is where the network's file says.
    let moved: Vec<(SourceId, Listen)> = (0..3).map(|n| (id(&cluster, n), move_away(&mut cluster, n))).collect();
    let listed = |wallet: &Ledger| {
        let at = |(source, _): &(SourceId, Listen)| wallet.directory().find(source).unwrap().relay_addresses();
        moved.iter().map(at).collect::<Vec<_>>()
    };
    let there: Vec<Vec<String>> = moved.iter().map(|(_, listen)| vec![listen.network_address()]).collect();
    let found = || {
        runtime.block_on(wallet.rows(&[StateKey::Head])).unwrap();
        listed(&wallet)
    };
    until(found, |found| *found == there);
    // One that is begun now knows no more than the network's file, in which one address is still right.
    let mut late = running(&genesis);
    runtime.block_on(late.rows(&[StateKey::Head])).unwrap();
    assert_eq!(listed(&late), there);
    // What a wallet learned it remembers when it is opened again.
    let remembered = || {
        cluster.person(&["wallet", "who", "--dir", "ana", &study]);
        let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
        let kept: Directory = Vault::open(&cluster.path("ana"), &passphrase).unwrap().get(b"").unwrap().unwrap();
        moved.iter().map(|(source, _)| kept.find(source).unwrap().relay_addresses()).collect::<Vec<_>>()
    };
    until(remembered, |remembered| *remembered == there);
    // One of those that keep its mailbox is somewhere else by now.
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);

    // Now the one that was left is gone, too: the three that moved agree without it, and everybody knows them.
    cluster.kill(HARBOR);
    let next = cluster.highest() + 2;
    cluster.reach(&[0, 1, 2], next);
    for wallet in [&mut wallet, &mut late] {
        assert!(runtime.block_on(wallet.rows(&[StateKey::Head])).unwrap().height >= next);
    }
    cluster.grant("ana", &study, &card);
    cluster.person(&["recipient", "fetch", "--dir", "rossi"]);
    // It comes back, and finds the others where its chain says.
    cluster.start(HARBOR);
    let next = cluster.highest() + 2;
    cluster.reach(&[0, 1, 2, HARBOR], next);
}

/// A fifth hospital's process; it ends with the test.
struct Fifth(Child, Home);

impl Fifth {
    fn start(cluster: &Cluster) -> Self {
        let mut command = program(HOSPITAL, cluster.folder());
        command.args(["run", "--dir", "fifth", "--network", "network.json"]);
        let log = File::create(cluster.path("fifth.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self(child, Home::at(&cluster.path("fifth")))
    }

    fn status(&self) -> Option<RelayStatus> {
        ask(&self.1, &Status {})
    }
}

impl Drop for Fifth {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn a_fifth_hospital_that_was_voted_in_is_a_peer_of_all_who_run_on() {
    let mut cluster = Cluster::made();
    // It decides from the next epoch on, which is to begin soon.
    let file = cluster.path("network.json");
    let made = network_file::read_genesis(&file).unwrap();
    let genesis = Genesis { parameters: Parameters { epoch_ms: 4_000, ..made.parameters }, ..made };
    fs::remove_file(&file).unwrap();
    network_file::write_genesis(&file, &genesis).unwrap();
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], 1);
    let runtime = Runtime::new().unwrap();
    let mut wallet = running(&genesis);
    runtime.block_on(wallet.rows(&[StateKey::Head])).unwrap();

    cluster.hospital(&["init", "--dir", "fifth", "--name", "Fifth", "--host", &own_host()]);
    let candidate = network_file::read_candidate(&cluster.path("fifth/source.json")).unwrap();
    let source = SourceId::of_identity(&genesis.chain_id(), &candidate.source.identity);
    for n in 0..3 {
        let voter = Keys::read(&cluster.home(n).keys_folder()).unwrap().operational;
        let content = Content::Admit(Box::new(candidate.clone()));
        let vote = Action::Vote(Vote { voter: voter.public(), content });
        happens(&cluster, &genesis, n, vote, &[&voter]);
    }
    let fifth = Fifth::start(&cluster);
    until(|| fifth.status(), |status| status.as_ref().is_some_and(|status| status.votes && status.fresh));

    // Without harbor the other four have to agree, the fifth among them.
    cluster.kill(HARBOR);
    let next = cluster.highest() + 3;
    cluster.reach(&[0, 1, 2], next);
    until(|| fifth.status(), |status| status.as_ref().is_some_and(|status| status.height >= next));
    // A wallet that looks where relays are knows it.
    runtime.block_on(wallet.look_up(&[]));
    assert!(wallet.has_relay(&source));
}
