//! A relay's stores as an earlier version left them: each opens, and says what it said.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_network::file::read_genesis;
use clavicle_relay::archive::{Archive, Sought};
use clavicle_relay::home::{Home, IntakeSettings, Listen, Settings};
use clavicle_relay::keys::desk_key;
use clavicle_relay::store::mailboxes::{Limits, Mailboxes};
use clavicle_relay::store::pickups::State;
use clavicle_relay::store::{ChainStore, Notices, Pickups, ProposalStore, Seen};
use clavicle_samples::packed;
use serde_json::Value;

use super::ingest::done;
use super::reception::{STUDIES, Shadow};

struct Unpacked {
    folder: tempfile::TempDir,
    home: Home,
}

impl Unpacked {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        packed::unpack(packed::RELAY, folder.path()).unwrap();
        let home = Home::at(&folder.path().join("mercy"));
        Self { folder, home }
    }

    /// What a command says.
    fn says(&self, arguments: &[&str]) -> Value {
        done(self.folder.path(), arguments)
    }

    fn chain(&self) -> ChainStore {
        ChainStore::open(&self.home.chain_file(), &read_genesis(&self.home.network_file()).unwrap()).unwrap()
    }

    fn archive(&self) -> Archive {
        let chain = read_genesis(&self.home.network_file()).unwrap().chain_id();
        Archive::open(&self.home.archive_folder(), &self.home.catalogue_file(), chain).unwrap()
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Whether all that was said is said now; more may be.
#[track_caller]
fn says_still(was: &Value, now: &Value) {
    match (was, now) {
        (Value::Object(was), Value::Object(now)) => was.iter().for_each(|(key, was)| says_still(was, &now[key])),
        (Value::Array(was), Value::Array(now)) => {
            assert_eq!(was.len(), now.len(), "{now:?}");
            was.iter().zip(now).for_each(|(was, now)| says_still(was, now));
        }
        _ => assert_eq!(was, now),
    }
}

/// The ids of both studies, the one that somebody holds first.
fn studies() -> [StudyId; 2] {
    let said = json(packed::STUDIES);
    let id = |claimed: bool| {
        let of = said["studies"].as_array().unwrap().iter().find(|one| one["claimed"] == claimed).unwrap();
        let digits = clavicle_ledger::encoding::from_hex(of["study"].as_str().unwrap()).unwrap();
        StudyId::from_bytes(digits.try_into().unwrap())
    };
    [id(true), id(false)]
}

#[test]
fn the_archive_and_its_catalogue() {
    let unpacked = Unpacked::new();
    says_still(&json(packed::STUDIES), &unpacked.says(&["studies", "--dir", "mercy"]));
    let archive = unpacked.archive();
    assert_eq!(archive.listed_anew(), 0, "the command has listed them");
    assert!(archive.check(&mut |_, _| {}).unwrap().is_well());
    let [held, free] = studies();
    // Of three instances; one of them is contradicted twice.
    assert_eq!((archive.contradictions(held).unwrap().len(), archive.contradictions(free).unwrap().len()), (4, 0));
    assert_eq!(archive.entry(held).unwrap().unwrap().manifest.manifest.header().revision, 1);
    let text = |text: &str| Text::new(text).unwrap();
    let [one, other, patient] = [text("PHANTOM-3"), text("PHANTOM-5"), text("PHANTOM-1")];
    let found = |sought| archive.seek(sought, 10).unwrap().studies;
    assert_eq!(found(Sought::Accession(&one)), [held]);
    assert_eq!(found(Sought::Accession(&other)), [free]);
    let mut both = [held, free];
    both.sort();
    assert_eq!(found(Sought::Patient { id: &patient, issuer: None }), both);
}

#[test]
fn a_catalogue_of_before_is_listed_anew_once() {
    let unpacked = Unpacked::new();
    assert_eq!(unpacked.archive().listed_anew(), 2);
    assert_eq!(unpacked.archive().listed_anew(), 0);
    assert_eq!(unpacked.archive().studies().unwrap().len(), 2);
}

#[test]
fn the_chain_with_its_journal() {
    let (unpacked, was) = (Unpacked::new(), json(packed::STATUS));
    let chain = unpacked.chain();
    let head = chain.head().unwrap();
    assert_eq!(was["height"], head.height);
    assert_eq!(was["state_root"], chain.snapshot().unwrap().root().unwrap().to_string());
    assert!(chain.snapshot().unwrap().study(studies()[0]).unwrap().is_some());
    assert!(!chain.events(1, head.height).unwrap().is_empty());
    assert!((1..=head.height).all(|height| chain.block(height).unwrap().is_some()));
}

#[test]
fn the_proposals() {
    let unpacked = Unpacked::new();
    let next = unpacked.chain().head().unwrap().height + 1;
    let proposals = ProposalStore::open(&unpacked.home.proposals_file()).unwrap();
    for (id, _, _) in proposals.at(next).unwrap() {
        assert!(proposals.block(next, id).unwrap().is_some());
    }
    proposals.forget(next).unwrap();
    assert_eq!(proposals.at(next).unwrap(), []);
}

/// What it voted for stays; and where one byte of that is another, it votes no more.
#[test]
fn the_log_of_its_votes() {
    let unpacked = Unpacked::new();
    let (home, settings) = (&unpacked.home, unpacked.home.settings().unwrap());
    let here = |at: SocketAddr| SocketAddr::new([127, 94, 3, 2].into(), at.port());
    let Listen { consensus, network, transfer } = settings.listen;
    let listen = Listen { consensus: here(consensus), network: here(network), transfer: here(transfer) };
    let intake = IntakeSettings { dicom: None, ..settings.intake.clone() };
    home.write_settings(&Settings { listen, intake, ..settings }).unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clavicle-relay"));
        command.args(["run", "--dir", "mercy"]).current_dir(unpacked.folder.path());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let was = fs::read(home.log_file()).unwrap();
    assert!(was.len() > 100, "there are votes in it");
    let (mut running, end) = (run(), Instant::now() + Duration::from_secs(60));
    // Alone of two it decides nothing, and goes on at the height for which it has voted.
    while !home.is_served() {
        assert!(running.try_wait().unwrap().is_none() && Instant::now() < end, "it does not open them");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(json(packed::STATUS)["height"], unpacked.chain().head().unwrap().height);
    assert!(fs::read(home.log_file()).unwrap().starts_with(&was), "its votes are forgotten");
    let mut altered = was.clone();
    altered[70] ^= 1;
    fs::write(home.log_file(), &altered).unwrap();
    assert_eq!(run().wait().unwrap().code(), Some(78));
}

#[test]
fn what_was_received_and_not_taken_in_yet() {
    let folder = tempfile::tempdir().unwrap();
    packed::unpack(packed::INCOMING, folder.path()).unwrap();
    let incoming = folder.path().join("mercy/incoming");
    let waiting = |end: &str| {
        let names = fs::read_dir(&incoming).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.ends_with(end)).count()
    };
    assert_eq!((waiting(".dcm"), waiting(".from")), (2, 2));
    let shadow = Shadow::over(folder, 21_107);
    let studies = shadow.until(&STUDIES, |said| said["studies"][0]["instances"] == 2 && waiting(".dcm") == 0);
    assert_eq!(studies["studies"].as_array().unwrap().len(), 1, "{studies}");
}

#[test]
fn what_was_seen_binds() {
    let seen = Seen::open(&Unpacked::new().home.seen_file()).unwrap();
    let set = seen.set();
    assert_eq!((set.len(), seen.envelopes().unwrap().len()), (1, 1));
}

#[test]
fn the_receipts() {
    let unpacked = Unpacked::new();
    let said = unpacked.says(&["audit", "--dir", "mercy", "--since", "2020-01-01"]);
    says_still(&json(packed::AUDIT), &said);
}

#[test]
fn the_pickups() {
    let unpacked = Unpacked::new();
    let key = desk_key(&unpacked.home.keys_folder()).unwrap();
    let pickups = Pickups::open(&unpacked.home.pickups_file(), key).unwrap();
    let issued = pickups.list(LocalTime(Timestamp(0))).unwrap()[0].issued;
    let listed = pickups.list(issued).unwrap();
    let states: Vec<_> = listed.iter().map(|one| one.state).collect();
    assert!(matches!(states[..], [State::Open, State::Claimed(_)]), "{listed:?}");
    assert!(pickups.claimant(studies()[0]).unwrap().is_some());
}

#[test]
fn the_notices() {
    let unpacked = Unpacked::new();
    let notices = Notices::open(&unpacked.home.notices_file()).unwrap();
    let looked = notices.looked().unwrap().unwrap();
    let (held, later) = (studies()[0], Timestamp(u64::MAX / 2));
    notices.changed(&[held].into(), looked + 1, later).unwrap();
    let due = notices.due(Timestamp(u64::MAX), 10).unwrap();
    let fetched = json(packed::AUDIT)["rows"][0]["key"].as_str().unwrap().to_owned();
    assert!(due.iter().any(|one| one.study == held && one.key.to_string() == fetched), "{due:?}");
}

#[test]
fn the_mailboxes() {
    let mailboxes = Mailboxes::open(&Unpacked::new().home.mailboxes_file(), Limits::default()).unwrap();
    assert!(mailboxes.sweep(LocalTime(Timestamp(u64::MAX))).unwrap() >= 2);
}

#[test]
fn what_was_set_aside() {
    let unpacked = Unpacked::new();
    let (was, now) = (json(packed::QUARANTINE), unpacked.says(&["quarantine", "--dir", "mercy"]));
    let (was, now) = (&was["quarantined"][0], &now["quarantined"][0]);
    assert_eq!((&was["reason"], &was["size"]), (&now["reason"], &now["size"]));
    assert!(unpacked.folder.path().join(PathBuf::from(was["path"].as_str().unwrap())).is_file());
}
