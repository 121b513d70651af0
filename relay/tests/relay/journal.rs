//! The journal: everything that happened is in it, and a consumer takes all of it once, however often its process is killed.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use clavicle_ledger::action::{Anchor, DefineStudy, NewStatus, ReviseStudy, SetStatus};
use clavicle_ledger::block::{Applied, CheckedBlock, CommitCertificate};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::event::Event;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{AnchorRoot, GrantId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::receipt::Entry;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::{Lapse, Reason, Status};
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Height, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope, Verified};
use clavicle_letters::mailbox::{Mailbox, Token};
use clavicle_network::transfer::Reach;
use clavicle_relay::anchoring::Anchors;
use clavicle_relay::journal::{Consumer, Watch, follow};
use clavicle_relay::notices::Changes;
use clavicle_relay::store::notices::Copy;
use clavicle_relay::store::receipts::ReceiptSigner;
use clavicle_relay::store::{ChainStore, Notices, Receipts, StoreError};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};

use crate::chain::{digest, genesis, next_block_at, secret, source_id, study};

/// Blocks of a history that is long enough to lose something of.
pub(crate) const BLOCKS: u64 = 40;
/// Studies of a history.
const STUDIES: u64 = 6;
/// For a process that is started to be killed: the folder that it works in.
pub(crate) const FOLDER: &str = "CLAVICLE_JOURNAL_FOLDER";
/// The same, with the seed of its history.
pub(crate) const SEED: &str = "CLAVICLE_JOURNAL_SEED";
/// The same, when it is to come to its end.
pub(crate) const END: &str = "CLAVICLE_JOURNAL_END";

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// A network in which suspensions lapse after some blocks.
pub(crate) fn network() -> Genesis {
    let mut genesis = genesis("journal");
    genesis.parameters.suspension_ms = 2 * HOUR_MS;
    genesis.parameters.halt_gap_ms = 2 * DAY_MS;
    genesis.parameters.epoch_ms = 365 * DAY_MS;
    genesis
}

/// What the source may do next with a study.
fn act(store: &ChainStore, genesis: &Genesis, number: u64, chance: &mut Chance) -> (Action, bool) {
    let (id, source) = (study(genesis, number), secret("operational 0").public());
    let Some(record) = store.snapshot().unwrap().study(id).unwrap() else {
        let define = DefineStudy {
            digest: digest(number),
            source,
            holder: secret("holder").public(),
            delegates: Ascending::new(),
            manifest_root: ManifestRoot::from_bytes([7; 32]),
            open: true,
        };
        return (Action::DefineStudy(define), true);
    };
    let status = match chance.below(48) {
        0..18 => {
            let (revision, manifest_root) = (record.revision + 1, ManifestRoot::from_bytes([8; 32]));
            return (
                Action::ReviseStudy(ReviseStudy { study: id, source, revision, manifest_root, open: true }),
                false,
            );
        }
        18..32 => NewStatus::Suspended(Reason::UnderReview),
        32..36 => NewStatus::Suspended(Reason::WrongPatient),
        36..47 => NewStatus::Active,
        _ => NewStatus::Withdrawn(Reason::Retention),
    };
    (Action::SetStatus(SetStatus { study: id, source, number: record.status_number + 1, status }), false)
}

/// The next block of a history, which follows from the seed and the chain.
fn next(store: &ChainStore, genesis: &Genesis, seed: u64) -> (CheckedBlock, CommitCertificate, Applied) {
    let head = store.head().unwrap();
    let mut chance = Chance(seed ^ (head.height << 20));
    let time = head.time.timestamp().plus(60_000 * (1 + chance.below(59)));
    let numbers: BTreeSet<u64> = (0..chance.below(4)).map(|_| 1 + chance.below(STUDIES)).collect();
    let envelope = |number: u64| -> Verified {
        let (action, with_holder) = act(store, genesis, number, &mut chance);
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&head.height.to_le_bytes());
        nonce[8..].copy_from_slice(&number.to_le_bytes());
        let (source, holder, chain) = (secret("operational 0"), secret("holder"), genesis.chain_id());
        let keys = if with_holder { vec![&source, &holder] } else { vec![&source] };
        let body = Body { submit_by: time.plus(60_000), nonce, action };
        body.sign(&chain, &keys).unwrap().check_stateless(&chain).unwrap()
    };
    let envelopes = numbers.into_iter().map(envelope).collect();
    let last = store.certified(head.height).unwrap().map(|certified| certified.certificate);
    // What a withdrawn study does not let happen is left out.
    next_block_at(&store.snapshot().unwrap(), &head, last, time, envelopes).0
}

/// Which studies a block changed, as its transactions alone say: how it was found out before there was a journal.
fn scanned(store: &ChainStore, height: Height) -> BTreeSet<StudyId> {
    let (block, _) = store.block(height).unwrap().unwrap();
    let changed = block.envelopes.iter().filter_map(|envelope| match &envelope.body.action {
        Action::ReviseStudy(revise) => Some(revise.study),
        Action::SetStatus(set) => Some(set.study),
        _ => None,
    });
    changed.collect()
}

/// Which studies are suspended until some time.
fn suspended(store: &ChainStore, genesis: &Genesis) -> BTreeSet<StudyId> {
    let (snapshot, mut found) = (store.snapshot().unwrap(), BTreeSet::new());
    for id in (1..=STUDIES).map(|number| study(genesis, number)) {
        let record = snapshot.study(id).unwrap();
        if record.is_some_and(|record| matches!(record.status, Status::Suspended { until: Some(_), .. })) {
            found.insert(id);
        }
    }
    found
}

fn study_of(event: &Event) -> StudyId {
    match event {
        Event::StudyRevised { study, .. } | Event::StatusSet { study, .. } | Event::Lapsed { study, .. } => *study,
        other => panic!("{other:?}"),
    }
}

#[test]
fn those_with_copies_are_told_what_blocks_said_and_besides_that_a_suspension_lapsed() {
    let folder = tempfile::tempdir().unwrap();
    let (genesis, notices) = (network(), Notices::open(&folder.path().join("notices")).unwrap());
    let changes = Changes { notices: &notices, now: Timestamp(0) };
    let (mut scans, mut lapses) = (0, 0);
    for seed in 0..8 {
        let store = ChainStore::open(&folder.path().join(format!("chain {seed}")), &genesis).unwrap();
        for height in 1..=80 {
            let before = suspended(&store, &genesis);
            let (block, certificate, applied) = next(&store, &genesis, seed);
            store.commit(&block, &certificate, &applied).unwrap();
            let events = store.events(height, height).unwrap();
            assert_eq!(events, applied.executed.events.iter().map(|event| (height, *event)).collect::<Vec<_>>());
            let told = events.iter().map(|(_, event)| event).filter(|event| changes.concerns(event));
            let told: BTreeSet<StudyId> = told.map(study_of).collect();
            // The old way, and what it left untold.
            let old = scanned(&store, height);
            let after = suspended(&store, &genesis);
            let lapsed: BTreeSet<StudyId> = before.difference(&after).filter(|id| !old.contains(id)).copied().collect();
            assert_eq!(told, old.union(&lapsed).copied().collect(), "seed {seed}, height {height}");
            (scans, lapses) = (scans + old.len(), lapses + lapsed.len());
        }
    }
    assert!(scans > 100 && lapses > 10, "{scans} changes and {lapses} lapses are no histories to compare with");
}

#[test]
fn of_a_chain_from_before_there_was_a_journal_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let (path, genesis) = (folder.path().join("chain"), network());
    let store = ChainStore::open(&path, &genesis).unwrap();
    let commit = |store: &ChainStore, count: u64| {
        for _ in 0..count {
            let (block, certificate, applied) = next(store, &genesis, 1);
            store.commit(&block, &certificate, &applied).unwrap();
        }
    };
    commit(&store, 30);
    let old: Vec<BTreeSet<StudyId>> = (1..=30).map(|height| scanned(&store, height)).collect();
    drop(store);
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let tables: Vec<_> =
        transaction.list_tables().unwrap().filter(|table| table.name().starts_with("journal")).collect();
    assert_eq!(tables.len(), 2);
    tables.into_iter().for_each(|table| assert!(transaction.delete_table(table).unwrap()));
    transaction.commit().unwrap();
    drop(database);

    let store = ChainStore::open(&path, &genesis).unwrap();
    commit(&store, 90);
    let events = store.events(1, 120).unwrap();
    for (height, old) in (1..=30).zip(old) {
        let of_it = events.iter().filter(|(at, _)| *at == height);
        assert_eq!(of_it.map(|(_, event)| study_of(event)).collect::<BTreeSet<_>>(), old, "height {height}");
    }
    let since: Vec<_> = events.iter().filter(|(height, _)| *height > 30).copied().collect();
    assert_eq!(since, store.events(31, 120).unwrap());
    let lapse = |event: &Event| matches!(event, Event::Lapsed { lapse: Lapse::Suspension, .. });
    assert!(since.iter().any(|(_, event)| lapse(event)), "{since:?}");
}

const TAKEN: TableDefinition<'_, u64, (Height, &[u8])> = TableDefinition::new("taken");
const CURSOR: TableDefinition<'_, (), Height> = TableDefinition::new("cursor");

/// A consumer that writes down everything that it takes.
struct Tally(Database);

impl Tally {
    fn open(path: &Path) -> Self {
        // A kill while a database is made leaves one that does not open: it gets its name when it is whole.
        if !path.exists() {
            let beside = path.with_extension("part");
            drop(std::fs::remove_file(&beside));
            drop(Database::create(&beside).unwrap());
            std::fs::rename(&beside, path).unwrap();
        }
        let database = Database::create(path).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(TAKEN).unwrap();
        transaction.open_table(CURSOR).unwrap();
        transaction.commit().unwrap();
        Self(database)
    }

    fn taken(&self) -> Vec<(Height, Vec<u8>)> {
        let table = self.0.begin_read().unwrap().open_table(TAKEN).unwrap();
        let mut taken = Vec::new();
        for entry in table.iter().unwrap() {
            let (_, row) = entry.unwrap();
            let (height, event) = row.value();
            taken.push((height, event.to_vec()));
        }
        taken
    }
}

impl Consumer for Tally {
    fn cursor(&self, _: Height) -> Result<Height, StoreError> {
        let table = self.0.begin_read().unwrap().open_table(CURSOR).unwrap();
        Ok(table.get(()).unwrap().map_or(0, |at| at.value()))
    }

    fn concerns(&self, _: &Event) -> bool {
        true
    }

    fn take(&self, events: &[(Height, Event)], upto: Height) -> Result<(), StoreError> {
        let transaction = self.0.begin_write().unwrap();
        {
            let mut taken = transaction.open_table(TAKEN).unwrap();
            let first = taken.last().unwrap().map_or(0, |(number, _)| number.value() + 1);
            for (number, (height, event)) in (first..).zip(events) {
                taken.insert(number, (*height, borsh::to_vec(event).unwrap().as_slice())).unwrap();
            }
            transaction.open_table(CURSOR).unwrap().insert((), upto).unwrap();
        }
        transaction.commit().unwrap();
        Ok(())
    }
}

fn copy() -> Copy {
    let mailbox = Mailbox {
        key: secret("recipient").public(),
        relays: Ascending::from_items(vec![SourceId::from_bytes([1; 32])]).unwrap(),
        token: Token([3; 16]),
    };
    let reach = Reach { mailbox, recipient: [4; 32] };
    Copy { reach, root: ManifestRoot::from_bytes([5; 32]), whole: true, at: Timestamp(0) }
}

/// Makes blocks, and has two consumers take what they did, until it is killed, or comes to its end.
#[test]
#[ignore = "the processes of the test below, which kills them"]
fn a_process_that_is_killed() {
    let folder = std::env::var_os(FOLDER).expect("only another test starts this one");
    let (folder, seed) = (Path::new(&folder), std::env::var(SEED).unwrap().parse().unwrap());
    let genesis = network();
    let store = ChainStore::open(&folder.join("chain"), &genesis).unwrap();
    let (tally, notices) = (Tally::open(&folder.join("tally")), Notices::open(&folder.join("notices")).unwrap());
    let changes = Changes { notices: &notices, now: Timestamp(1) };
    let (mut tallied, mut told, ends) = (None, None, std::env::var_os(END).is_some());
    loop {
        let is_last = ends && store.head().unwrap().height >= BLOCKS;
        if !is_last {
            let (block, certificate, applied) = next(&store, &genesis, seed);
            store.commit(&block, &certificate, &applied).unwrap();
        }
        // Sometimes several blocks at once.
        if is_last || !store.head().unwrap().height.is_multiple_of(3) {
            tallied = Some(follow(&store, &tally, tallied).unwrap());
            told = Some(follow(&store, &changes, told).unwrap());
        }
        if is_last {
            let head = store.head().unwrap().height;
            assert_eq!((tallied, told), (Some(head), Some(head)));
            return changes.take(&[], head).unwrap();
        }
        println!("at work");
    }
}

/// Starts a test of this binary in a folder and kills it at some instant, again and again; then has it come to its end.
pub(crate) fn kill_again_and_again(process: &str, folder: &Path, seed: u64, chance: &mut Chance) {
    let kills = if std::env::var_os("CLAVICLE_LONG").is_some() { 100 } else { 10 };
    println!("seed {seed}, {kills} kills");
    let worker = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", process, "--ignored", "--nocapture"]);
        command.env(FOLDER, folder).env(SEED, seed.to_string());
        command
    };
    for _ in 0..kills {
        let mut child = worker().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        // One in four is killed while it opens its stores.
        if chance.below(4) > 0 {
            let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
            let mut lines = lines.map_while(Result::ok);
            assert!(lines.any(|line| line.contains("at work")), "it ended by itself");
        }
        std::thread::sleep(Duration::from_micros(chance.below(60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let last = worker().env(END, "").output().unwrap();
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
}

#[test]
fn killed_at_random_instants_a_consumer_loses_nothing_and_takes_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, seed) = (folder.path(), u64::from(std::process::id()));
    let (genesis, mut chance) = (network(), Chance(seed));
    {
        let notices = Notices::open(&folder.join("notices")).unwrap();
        for number in 1..=STUDIES {
            notices.keep(study(&genesis, number), secret("recipient").public(), copy()).unwrap();
        }
        // On the disk with the cursor, and nobody is due.
        notices.changed(&BTreeSet::new(), 0, Timestamp(0)).unwrap();
        for due in notices.due(Timestamp(0), 100).unwrap() {
            notices.settle(&due, None).unwrap();
        }
    }
    kill_again_and_again("journal::a_process_that_is_killed", folder, seed, &mut chance);

    // The same history once more, in one piece.
    let store = ChainStore::open(&folder.join("chain"), &genesis).unwrap();
    let (head, whole) = (store.head().unwrap(), ChainStore::open(&folder.join("whole"), &genesis).unwrap());
    let (mut happened, mut changed) = (Vec::new(), BTreeSet::new());
    let notices = Notices::open(&folder.join("notices")).unwrap();
    let changes = Changes { notices: &notices, now: Timestamp(1) };
    for height in 1..=head.height {
        let (block, certificate, applied) = next(&whole, &genesis, seed);
        whole.commit(&block, &certificate, &applied).unwrap();
        happened.extend(applied.executed.events.iter().map(|event| (height, borsh::to_vec(event).unwrap())));
        changed.extend(applied.executed.events.iter().filter(|event| changes.concerns(event)).map(study_of));
    }
    assert_eq!(whole.head().unwrap(), head, "the chain is the same");
    assert!(head.height >= BLOCKS && happened.len() > 5, "{} blocks, {} events", head.height, happened.len());
    assert_eq!(Tally::open(&folder.join("tally")).taken(), happened, "in order, all, and once");
    assert_eq!(notices.looked().unwrap(), Some(head.height));
    let due = notices.due(Timestamp(1), 100).unwrap();
    assert_eq!(due.into_iter().map(|due| due.study).collect::<BTreeSet<_>>(), changed, "whoever is to be told is due");
}

/// The receipts of the one source there is.
fn receipts(folder: &Path, genesis: &Genesis) -> Receipts {
    let (chain, source) = (genesis.chain_id(), source_id(genesis, 0));
    Receipts::open(&folder.join("receipts"), ReceiptSigner { chain, source, key: secret("operational 0") }).unwrap()
}

/// The anchor that is due next, as a relay signs it.
fn signed(genesis: &Genesis, sequence: u64, now: Timestamp) -> impl Fn(AnchorRoot, u64) -> Envelope {
    let (source, chain) = (secret("operational 0"), genesis.chain_id());
    move |root, count| {
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&sequence.to_be_bytes());
        let action = Action::Anchor(Anchor { source: source.public(), sequence, root, count });
        Body { submit_by: now.plus(20 * DAY_MS), nonce, action }.sign(&chain, &[&source]).unwrap()
    }
}

/// Writes receipts, anchors them in blocks, and has it kept which anchors were executed, until it is killed, or comes to its end.
#[test]
#[ignore = "the processes of the test below, which kills them"]
fn an_anchoring_process_that_is_killed() {
    let folder = std::env::var_os(FOLDER).expect("only another test starts this one");
    let (folder, seed): (_, u64) = (Path::new(&folder), std::env::var(SEED).unwrap().parse().unwrap());
    let genesis = network();
    let store = ChainStore::open(&folder.join("chain"), &genesis).unwrap();
    let (receipts, source) = (receipts(folder, &genesis), source_id(&genesis, 0));
    let anchors = Anchors { receipts: &receipts, source };
    if receipts.followed().unwrap().is_none() {
        // Before the first block: from here on the journal tells.
        anchors.take(&[], store.head().unwrap().height).unwrap();
    }
    let (mut at, ends) = (None, std::env::var_os(END).is_some());
    loop {
        let head = store.head().unwrap();
        let (now, mut chance) = (head.time.timestamp(), Chance(seed ^ (head.height << 20)));
        let entry = Entry::RevocationSeen { grant: GrantId::from_bytes([head.height as u8; 32]) };
        receipts.append(study(&genesis, 1 + chance.below(STUDIES)), now, entry).unwrap().wait().unwrap();
        // What is on the ledger is known before it is decided what is still to be anchored.
        let due = store.snapshot().unwrap().source(source).unwrap().unwrap().anchors;
        at = Some(follow(&store, &anchors, at).unwrap());
        let pending = match receipts.pending().unwrap() {
            Some(pending) => {
                assert_eq!(pending.sequence, due, "it was executed, and that is not kept");
                Some(pending)
            }
            None => receipts.prepare(due, now, signed(&genesis, due, now)).unwrap(),
        };
        if ends && head.height >= BLOCKS {
            return anchors.take(&[], head.height).unwrap();
        }
        // It comes into this block, or waits for another.
        let chain = genesis.chain_id();
        let envelopes = pending.filter(|_| chance.below(2) == 0).into_iter();
        let envelopes = envelopes.map(|pending| pending.envelope.check_stateless(&chain).unwrap()).collect();
        let last = store.certified(head.height).unwrap().map(|certified| certified.certificate);
        let snapshot = store.snapshot().unwrap();
        let ((block, certificate, applied), left_out) =
            next_block_at(&snapshot, &head, last, now.plus(1_000), envelopes);
        assert_eq!(left_out, 0);
        store.commit(&block, &certificate, &applied).unwrap();
        println!("at work");
    }
}

#[test]
fn killed_at_random_instants_every_anchor_is_known_where_it_was_executed_and_none_is_made_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, seed) = (folder.path(), u64::from(std::process::id()) << 16);
    kill_again_and_again("journal::an_anchoring_process_that_is_killed", folder, seed, &mut Chance(seed));

    let genesis = network();
    let store = ChainStore::open(&folder.join("chain"), &genesis).unwrap();
    let head = store.head().unwrap().height;
    let happened = store.events(1, head).unwrap().into_iter().filter_map(|(height, event)| match event {
        Event::Anchored { sequence, root, count, .. } => Some((sequence, root, count, height)),
        _ => None,
    });
    let happened: Vec<_> = happened.collect();
    let kept = receipts(folder, &genesis).anchors(0, usize::MAX).unwrap();
    let executed = kept.iter().filter_map(|anchor| {
        let Action::Anchor(Anchor { root, .. }) = anchor.envelope.body.action else { panic!("it is no anchor") };
        Some((anchor.sequence, root, u64::from(anchor.count), anchor.height?))
    });
    assert_eq!(executed.collect::<Vec<_>>(), happened);
    assert!(happened.len() > 5 && kept.len() - happened.len() <= 1, "{} of {}", happened.len(), kept.len());
    assert!((0..).zip(&happened).all(|(place, (sequence, ..))| *sequence == place), "each once, and none left out");
    // A block took a receipt or more each time, and all before the last anchor are in one.
    assert!(happened.iter().all(|(_, _, count, _)| *count > 0));
}

#[test]
fn a_watch_has_everything_looked_at_after_a_start_and_then_what_concerns_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, genesis) = (folder.path().join("chain"), network());
    let store = ChainStore::open(&path, &genesis).unwrap();
    let mut watch = Watch::new(|event: &Event| matches!(event, Event::StudyRevised { .. }));
    assert!(watch.is_time(&store).unwrap() && !watch.is_time(&store).unwrap());
    for _ in 0..60 {
        let (block, certificate, applied) = next(&store, &genesis, 3);
        store.commit(&block, &certificate, &applied).unwrap();
        let revised = applied.executed.events.iter().any(|event| matches!(event, Event::StudyRevised { .. }));
        assert_eq!(watch.is_time(&store).unwrap(), revised, "height {}", block.header().height);
    }
    watch.again();
    assert!(watch.is_time(&store).unwrap());
}
