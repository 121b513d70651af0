//! Revisions of studies that somebody holds come to the ledger: each, in its order and once, however often the relay is
//! killed.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use clavicle_consensus::Waker;
use clavicle_imaging::intake::{AttachmentIntake, Intake};
use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::{ManifestRoot, StudyId};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{Clocks, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};
use clavicle_manifest::MediaType;
use clavicle_phantom::Phantom;
use clavicle_relay::archive::Origin;
use clavicle_relay::journal::{Occasion, Reaction as _};
use clavicle_relay::service::Service;
use clavicle_relay::submission::Running;
use clavicle_relay::timekeeper::Timekeeper;
use clavicle_relay::upkeep::Publication;
use clavicle_sandbox::reader::Here;
use tokio::sync::watch;

use crate::chain::{next_block_at, secret};
use crate::clocks::service;
use crate::journal::{BLOCKS, Chance, END, FOLDER, SEED, kill_again_and_again, network};

/// Studies in the archive.
const STUDIES: u64 = 3;
/// So many reports a study has; then one takes the place of another.
const REPORTS: usize = 4;
/// Where it is written down what was acknowledged: a line for each change, with the study and the root of its newest
/// manifest.
const ACKNOWLEDGED: &str = "acknowledged";

/// The clock of this process, which follows the chain's.
static NOW: AtomicU64 = AtomicU64::new(0);

fn now() -> LocalTime {
    LocalTime(Timestamp(NOW.load(Ordering::Relaxed)))
}

/// The hospital's stores in a folder, which take transactions in.
fn open(folder: &Path) -> Service {
    let clocks = || Clocks { wall: now(), boot_ms: 0, asleep_ms: 0 };
    let service = service(folder, network(), 0, (Timekeeper::new(clocks), now));
    let connected = watch::channel(Default::default()).1;
    let running = Running { waker: Waker::default(), publish: Box::new(|_| ()), connected };
    service.submission.running.set(running).ok().unwrap();
    service
}

/// The next block, some time later: with those of these transactions that can be executed.
fn commit(service: &Service, later_ms: u64, envelopes: Vec<Verified>) {
    let store = &service.store;
    let head = store.head().unwrap();
    let last = store.certified(head.height).unwrap().map(|certified| certified.certificate);
    let time = head.time.timestamp().plus(later_ms);
    let ((block, certificate, applied), _) = next_block_at(&store.snapshot().unwrap(), &head, last, time, envelopes);
    store.commit(&block, &certificate, &applied).unwrap();
    NOW.store(time.0, Ordering::Relaxed);
}

/// Takes studies in, and has somebody hold them.
fn begin(folder: &Path) {
    let service = open(folder);
    let (archive, member) = (&service.images.archive, &service.member);
    let (chain, holder) = (member.chain, secret("holder"));
    let time = service.store.head().unwrap().time.timestamp();
    let define = |seed: u64| {
        let images = folder.join(format!("images {seed}"));
        Phantom { seed, slices: 2, size: 64, ..Phantom::default() }.write(&images).unwrap();
        let intake = Intake::of_folder(&images, &Here).unwrap();
        let id = archive.take(&intake.studies[0], &[], Origin::Handed, &member.signer(time)).unwrap().study();
        let entry = archive.entry(id).unwrap().unwrap();
        let (header, manifest_root) = (entry.manifest.manifest.header(), entry.manifest.manifest.root(&chain));
        archive.claim(id, &manifest_root, &chain).unwrap();
        let action = Action::DefineStudy(DefineStudy {
            digest: entry.salt.study_digest(header.study_instance_uid.as_str()),
            source: member.operational.public(),
            holder: holder.public(),
            delegates: Ascending::new(),
            manifest_root,
            open: header.open,
        });
        let body = Body { submit_by: time.plus(60_000), nonce: [0; 16], action };
        body.sign(&chain, &[&member.operational, &holder]).unwrap().check_stateless(&chain).unwrap()
    };
    let envelopes = (1..=STUDIES).map(define).collect();
    commit(&service, 1_000, envelopes);
}

/// Attaches a report to a study, in the place of another where it has many, and writes down what was acknowledged.
fn change(service: &Service, folder: &Path, study: StudyId, name: &str) {
    let (archive, member) = (&service.images.archive, &service.member);
    let report = folder.join(name);
    fs::write(&report, format!("This is {name}.\n")).unwrap();
    let coming = AttachmentIntake::of(&report, MediaType::Text).unwrap();
    let before = archive.entry(study).unwrap().unwrap().manifest.manifest;
    let attached = before.attachments();
    let is_full = attached.len() >= REPORTS && attached.find(&coming.attachment.stored).is_none();
    let out: Vec<_> = attached.iter().take(usize::from(is_full)).map(|one| one.stored).collect();
    archive.change_reports(study, &out, &[coming], &member.signer(now().0)).unwrap();
    let root = archive.entry(study).unwrap().unwrap().manifest.manifest.root(&member.chain);
    let mut acknowledged = OpenOptions::new().create(true).append(true).open(folder.join(ACKNOWLEDGED)).unwrap();
    acknowledged.write_all(format!("{study} {root}\n").as_bytes()).unwrap();
}

/// Changes studies, has their revisions published and makes blocks, until it is killed, or comes to its end.
#[test]
#[ignore = "the processes of the test below, which kills them"]
fn a_publishing_process_that_is_killed() {
    let folder = std::env::var_os(FOLDER).expect("only another test starts this one");
    let (folder, seed): (_, u64) = (Path::new(&folder), std::env::var(SEED).unwrap().parse().unwrap());
    let service = open(folder);
    let (store, mempool, archive) = (&service.store, &service.submission.mempool, &service.images.archive);
    NOW.store(store.head().unwrap().time.timestamp().0, Ordering::Relaxed);
    let studies: Vec<StudyId> = archive.studies().unwrap().into_iter().map(|one| one.study).collect();
    let last = std::env::var_os(END).map(|_| BLOCKS.max(store.head().unwrap().height));
    loop {
        let height = store.head().unwrap().height;
        let mut chance = Chance(seed ^ (height << 20));
        let is_over = last.is_some_and(|last| height >= last);
        if !is_over && chance.below(2) == 0 {
            let study = studies[chance.below(STUDIES) as usize];
            change(&service, folder, study, &format!("report {height}"));
        }
        Publication.react(&service, Occasion::Change).unwrap();
        if is_over && archive.unpublished().unwrap().is_empty() {
            return;
        }
        assert!(last.is_none_or(|last| height < last + BLOCKS), "what is to be published is not");
        // They come into this block, or wait for another. A revision that waits for long is signed anew.
        let (mut envelopes, waiting) = (Vec::new(), mempool.hashes());
        if chance.below(3) > 0 {
            envelopes = mempool.in_turn(waiting.len(), usize::MAX);
            mempool.remove(&waiting);
        }
        commit(&service, 1_000 + 60_000 * chance.below(40), envelopes);
        println!("at work");
    }
}

#[test]
fn killed_at_random_instants_every_revision_comes_to_the_ledger_in_its_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, seed) = (folder.path(), u64::from(std::process::id()) << 8);
    begin(folder);
    kill_again_and_again("publication::a_publishing_process_that_is_killed", folder, seed, &mut Chance(seed));

    let service = open(folder);
    let (store, archive, chain) = (&service.store, &service.images.archive, &service.member.chain);
    let mut told: BTreeMap<StudyId, Vec<ManifestRoot>> = BTreeMap::new();
    for height in 1..=store.head().unwrap().height {
        for envelope in store.block(height).unwrap().unwrap().0.envelopes.iter() {
            let (study, root) = match &envelope.body.action {
                Action::DefineStudy(define) => {
                    (StudyId::of(chain, service.member.source, define.digest), define.manifest_root)
                }
                Action::ReviseStudy(revise) => (revise.study, revise.manifest_root),
                other => panic!("{other:?}"),
            };
            told.entry(study).or_default().push(root);
        }
    }
    assert_eq!(told.len() as u64, STUDIES);
    for (study, told) in &told {
        let editions: Vec<ManifestRoot> = archive.history(*study).unwrap().into_iter().rev().map(|one| one.0).collect();
        assert_eq!(*told, editions, "each that was signed, in its order, and once");
        let record = store.snapshot().unwrap().study(*study).unwrap().unwrap();
        assert_eq!(Some(&record.manifest_root), editions.last());
    }
    let acknowledged = fs::read_to_string(folder.join(ACKNOWLEDGED)).unwrap();
    let told: Vec<String> =
        told.iter().flat_map(|(study, roots)| roots.iter().map(move |root| format!("{study} {root}"))).collect();
    assert!(acknowledged.lines().all(|line| told.iter().any(|told| told == line)), "what was acknowledged is there");
    assert!(acknowledged.lines().count() > 5, "{acknowledged}");
    let checked = archive.check(&mut |_, _| ()).unwrap();
    assert!(checked.missing.is_empty() && checked.damaged.is_empty(), "{checked:?}");
    assert!(archive.unpublished().unwrap().is_empty());
}
