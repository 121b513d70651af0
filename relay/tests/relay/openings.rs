//! Openings: counted with their receipts, in one step. Never one more than the terms allow, whoever comes at once and
//! whenever the relay dies.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, HelloDigest, ManifestRoot, ReceiptDigest};
use clavicle_ledger::receipt::{
    Closed, End, Entry, Opened, Opening, RESUMED_WITHIN_MS, ReceiptClaim, SignedReceipt, Tip,
};
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_relay::store::receipts::{AskedOpening, Limits, ReceiptSigner};
use clavicle_relay::store::{Receipts, ReceiptsError};

use crate::chain::{genesis, secret, source_id, study};

const T0: Timestamp = Timestamp(1_795_262_400_000);
/// For a process that is started to be killed: the folder that it works in.
const FOLDER: &str = "CLAVICLE_OPENINGS_FOLDER";
/// How many openings the grant has that is opened until the relay is killed.
const MOST: u32 = 200;

fn open(folder: &Path, genesis: &Genesis) -> Receipts {
    let signer =
        ReceiptSigner { chain: genesis.chain_id(), source: source_id(genesis, 0), key: secret("operational 0") };
    Receipts::open_with(&folder.join("receipts.redb"), signer, Limits::default()).unwrap()
}

/// An opening by this grantee on the grant that is named after it.
fn opening(by: &str) -> Entry {
    let grant = GrantId::from_bytes(*secret(by).public().as_bytes());
    let opened = Opened {
        remote: secret(by).public(),
        claim: ReceiptClaim::Grant { grant, purpose: PurposeOfUse::Treatment, emergency: false },
        actor: None,
        revision: 0,
        root: ManifestRoot::from_bytes([5; 32]),
        hello: HelloDigest::from_bytes([6; 32]),
    };
    Entry::Opening(Box::new(Opening { opened, number: 0, resumes: None, member: None, credential: None }))
}

struct Source {
    folder: tempfile::TempDir,
    genesis: Genesis,
    receipts: Option<Receipts>,
}

impl Source {
    fn new() -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("openings"));
        let receipts = Some(open(folder.path(), &genesis));
        Self { folder, genesis, receipts }
    }

    fn get(&self) -> &Receipts {
        self.receipts.as_ref().unwrap()
    }

    fn reopen(&mut self) {
        self.receipts = None;
        self.receipts = Some(open(self.folder.path(), &self.genesis));
    }

    fn open(
        &self,
        by: &str,
        ms: u64,
        most: u32,
        resumes: Option<ReceiptDigest>,
    ) -> Result<SignedReceipt, ReceiptsError> {
        let asked = AskedOpening { most: Some(most), resumes, until: T0.plus(30 * DAY_MS) };
        self.get().open_study(study(&self.genesis, 1), T0.plus(ms), opening(by), asked)?.wait()
    }

    fn close(&self, receipt: &SignedReceipt, ms: u64, end: End) {
        let closed = Closed { opened: receipt.receipt.sequence, items: 1, bytes: 9, end };
        self.get().append(study(&self.genesis, 1), T0.plus(ms), Entry::Closed(closed)).unwrap().wait().unwrap();
    }

    fn digest(&self, receipt: &SignedReceipt) -> ReceiptDigest {
        receipt.receipt.digest(&self.genesis.chain_id())
    }
}

/// Which opening a receipt is of, and which receipt it goes on with.
fn which(receipt: &SignedReceipt) -> (u32, Option<u64>) {
    let opening = receipt.receipt.entry.opening().unwrap();
    (opening.number, opening.resumes)
}

#[track_caller]
fn none_left(told: Result<SignedReceipt, ReceiptsError>) {
    assert!(matches!(told, Err(ReceiptsError::NoOpeningLeft)), "{told:?}");
}

#[test]
fn a_grant_is_opened_as_often_as_its_terms_say_also_after_a_restart_and_on_another_day() {
    let mut source = Source::new();
    assert_eq!(which(&source.open("grantee", 0, 2, None).unwrap()), (1, None));
    source.reopen();
    assert_eq!(which(&source.open("grantee", DAY_MS, 2, None).unwrap()), (2, None));
    for ms in [DAY_MS, 2 * DAY_MS, 29 * DAY_MS] {
        none_left(source.open("grantee", ms, 2, None));
        source.reopen();
    }
    // Another's are another's, and one that names none is never let in.
    assert_eq!(which(&source.open("other", 29 * DAY_MS, 1, None).unwrap()), (1, None));
    none_left(source.open("third", 29 * DAY_MS, 0, None));
    // Up to the end of the grant, and what is refused leaves nothing in the chain.
    none_left(source.open("grantee", 30 * DAY_MS, 2, None));
    assert_eq!(source.get().of_study(study(&source.genesis, 1), 0, 100).unwrap().len(), 3);
}

#[test]
fn what_broke_off_is_gone_on_with_and_that_is_none_more() {
    let mut source = Source::new();
    let first = source.open("grantee", 0, 1, None).unwrap();
    let receipt = Some(source.digest(&first));
    source.close(&first, 1, End::Broken);
    source.reopen();
    let second = source.open("grantee", 2, 1, receipt).unwrap();
    assert_eq!(which(&second), (1, Some(0)));
    // Also one whose end nobody wrote down, and again and again by the receipt with which it began.
    let third = source.open("grantee", 3, 1, receipt).unwrap();
    assert_eq!(which(&third), (1, Some(0)));
    none_left(source.open("grantee", 3, 1, Some(source.digest(&second))));
    none_left(source.open("grantee", 3, 1, None));
    // Somebody else's receipt is no opening of theirs.
    none_left(source.open("other", 3, 0, receipt));
    // For a day and no longer.
    assert_eq!(which(&source.open("grantee", RESUMED_WITHIN_MS - 1, 1, receipt).unwrap()), (1, Some(0)));
    none_left(source.open("grantee", RESUMED_WITHIN_MS, 1, receipt));
    let chain = source.genesis.chain_id();
    let about = (source_id(&source.genesis, 0), study(&source.genesis, 1));
    let all = source.get().of_study(about.1, 0, 100).unwrap();
    let follow = |tip: Tip, signed: &SignedReceipt| tip.follow(&chain, about, &signed.receipt).unwrap();
    assert_eq!(all.iter().fold(Tip::START, follow).next, 5);
}

/// A replay of what was over would be as many openings as one likes.
#[test]
fn what_was_finished_is_not_gone_on_with() {
    let mut source = Source::new();
    let first = source.open("grantee", 0, 2, None).unwrap();
    let receipt = Some(source.digest(&first));
    let again = source.open("grantee", 1, 2, receipt).unwrap();
    source.close(&again, 2, End::Finished);
    source.reopen();
    let next = source.open("grantee", 3, 2, receipt).unwrap();
    assert_eq!(which(&next), (2, None), "it is a new opening");
    source.close(&next, 4, End::Finished);
    none_left(source.open("grantee", 5, 2, receipt));
    none_left(source.open("grantee", 5, 2, Some(source.digest(&next))));
}

#[test]
fn of_many_at_once_as_many_are_let_in_as_there_are_openings() {
    let source = Source::new();
    for (by, most) in [("one", 1), ("three", 3)] {
        let asked = AskedOpening { most: Some(most), resumes: None, until: T0.plus(DAY_MS) };
        let id = study(&source.genesis, 1);
        let told: Vec<_> = std::thread::scope(|scope| {
            let come = || source.get().open_study(id, T0, opening(by), asked).unwrap().wait();
            let coming: Vec<_> = (0..16).map(|_| scope.spawn(come)).collect();
            coming.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let numbers: BTreeSet<u32> = told.iter().flatten().map(|receipt| which(receipt).0).collect();
        assert_eq!(numbers, (1..=most).collect());
        assert_eq!(
            told.iter().filter(|one| matches!(one, Err(ReceiptsError::NoOpeningLeft))).count(),
            16 - most as usize
        );
    }
}

/// Opens the study from several threads until it is killed, or no opening is left.
#[test]
#[ignore = "started, and killed, by the test below"]
fn a_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let genesis = genesis("openings");
    let receipts = open(Path::new(&folder), &genesis);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let asked = AskedOpening { most: Some(MOST), resumes: None, until: T0.plus(DAY_MS) };
                loop {
                    match receipts.open_study(study(&genesis, 1), T0, opening("grantee"), asked).unwrap().wait() {
                        Ok(receipt) => println!("opened {}.", which(&receipt).0),
                        Err(ReceiptsError::NoOpeningLeft) => return,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
        }
    });
}

#[test]
fn killed_at_any_instant_no_opening_is_given_twice_and_none_is_lost() {
    let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("openings"));
    let (mut acknowledged, mut kills) = (BTreeSet::new(), 0_u32);
    loop {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "openings::a_process_that_is_killed", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        // Each is killed a little later in its life than the one before.
        let mut left = 1 + kills % 7;
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            let numbers = line.split("opened ").skip(1).filter_map(|rest| rest.split_once('.'));
            for (number, _) in numbers {
                assert!(acknowledged.insert(number.parse::<u32>().unwrap()), "opening {number} was given twice");
            }
            left = left.saturating_sub(u32::from(line.contains("opened")));
            if left == 0 {
                child.kill().ok();
            }
        }
        child.wait().unwrap();
        kills += 1;
        let receipts = open(folder.path(), &genesis);
        let written = receipts.of_study(study(&genesis, 1), 0, 1_000).unwrap();
        let numbers: Vec<u32> = written.iter().map(|receipt| which(receipt).0).collect();
        let count = u32::try_from(written.len()).unwrap();
        assert_eq!(numbers, (1..=count).collect::<Vec<_>>(), "after {kills} kills");
        assert!(acknowledged.iter().all(|number| *number <= count), "what was acknowledged is on the disk");
        if count == MOST {
            let asked = AskedOpening { most: Some(MOST), resumes: None, until: T0.plus(DAY_MS) };
            none_left(receipts.open_study(study(&genesis, 1), T0, opening("grantee"), asked).unwrap().wait());
            break;
        }
        assert!(kills < 1_000, "it gets on");
    }
    assert!(kills > 1, "it was never killed");
}
