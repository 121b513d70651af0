//! Receipts on the disk: chained, many at once, counted where they are too many, anchored once, kept until they may go.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clavicle_ledger::action::Anchor;
use clavicle_ledger::block::Header;
use clavicle_ledger::encoding::{self, Wire as _};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{ChainId, GrantId, HelloDigest, ManifestRoot, StudyId};
use clavicle_ledger::key::SignatureError;
use clavicle_ledger::receipt::{
    Closed, End, Entry, Inclusion, Opened, ReceiptClaim, RefusalReason, Refused, SignedReceipt, Statement, Tip,
    anchor_root,
};
use clavicle_ledger::study::MAX_GRANTS;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_relay::store::receipts::{CROWDED, KeptAnchor, Limits, MAX_ANCHORED, ReceiptSigner};
use clavicle_relay::store::{ChainStore, Receipts, ReceiptsError};

use crate::chain::{genesis, next_block, secret, source_id, study};

const T0: Timestamp = Timestamp(1_795_262_400_000);

struct Source {
    folder: tempfile::TempDir,
    genesis: Genesis,
    limits: Limits,
    receipts: Option<Receipts>,
}

impl Source {
    fn new(limits: Limits) -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
        let mut source = Self { folder, genesis, limits, receipts: None };
        source.reopen();
        source
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("receipts.redb")
    }

    fn open(&self, path: &std::path::Path) -> Receipts {
        let key = secret("operational 0");
        let signer = ReceiptSigner { chain: self.chain(), source: source_id(&self.genesis, 0), key };
        Receipts::open_with(path, signer, self.limits).unwrap()
    }

    fn reopen(&mut self) {
        self.receipts = None;
        self.receipts = Some(self.open(&self.path()));
    }

    /// What would be found had the process been killed now.
    fn killed(&self) -> Receipts {
        let copy = self.folder.path().join("copy.redb");
        std::fs::copy(self.path(), &copy).unwrap();
        self.open(&copy)
    }

    fn get(&self) -> &Receipts {
        self.receipts.as_ref().unwrap()
    }

    fn chain(&self) -> ChainId {
        self.genesis.chain_id()
    }

    fn study(&self, number: u64) -> StudyId {
        study(&self.genesis, number)
    }

    fn write(&self, number: u64, ms: u64, entry: Entry) -> Result<SignedReceipt, ReceiptsError> {
        self.get().append(self.study(number), T0.plus(ms), entry)?.wait()
    }

    /// Verifies all that there is of a study, and says how far it goes.
    #[track_caller]
    fn verified(&self, receipts: &Receipts, number: u64) -> Tip {
        let about = (source_id(&self.genesis, 0), self.study(number));
        let keys = [secret("operational 0").public()];
        let mut tip = Tip::START;
        for signed in receipts.of_study(about.1, 0, 10_000).unwrap() {
            signed.verify(&self.chain(), about.0, &keys).unwrap();
            tip = tip.follow(&self.chain(), about, &signed.receipt).unwrap();
        }
        tip
    }

    /// The transaction that says so.
    fn anchor(
        &self,
        sequence: u64,
        root: clavicle_ledger::id::AnchorRoot,
        count: u64,
        submit_by: Timestamp,
    ) -> Envelope {
        let key = secret("operational 0");
        let action = Action::Anchor(Anchor { source: key.public(), sequence, root, count });
        Body { submit_by, nonce: [0; 16], action }.sign(&self.chain(), &[&key]).unwrap()
    }

    fn prepare(&self, sequence: u64, ms: u64) -> Option<KeptAnchor> {
        let at = T0.plus(ms);
        self.get().prepare(sequence, at, |root, count| self.anchor(sequence, root, count, at)).unwrap()
    }
}

fn opened(by: &str) -> Entry {
    let claim = match by {
        "holder" => ReceiptClaim::Holder,
        _ => ReceiptClaim::Grant { grant: grant(by), purpose: PurposeOfUse::Treatment, emergency: false },
    };
    Entry::Opened(Box::new(Opened {
        remote: secret(by).public(),
        claim,
        actor: None,
        revision: 0,
        root: ManifestRoot::from_bytes([5; 32]),
        hello: HelloDigest::from_bytes([6; 32]),
    }))
}

/// The grant of this grantee.
fn grant(grantee: &str) -> GrantId {
    GrantId::from_bytes(*secret(grantee).public().as_bytes())
}

fn closed(opened: u64) -> Entry {
    Entry::Closed(Closed { opened, items: 2, bytes: 9, end: End::Finished })
}

fn refused(by: &str) -> Refused {
    Refused { remote: secret(by).public(), grant: None, reason: RefusalReason::NotHolder }
}

#[test]
fn receipts_are_a_chain_for_each_study_also_after_a_restart() {
    let mut source = Source::new(Limits::default());
    let first = source.write(1, 5, opened("grantee")).unwrap();
    source.write(2, 6, opened("holder")).unwrap();
    source.write(1, 7, closed(first.receipt.sequence)).unwrap();
    source.reopen();
    source.write(1, 8, opened("holder")).unwrap();
    let (one, two) = (source.verified(source.get(), 1), source.verified(source.get(), 2));
    assert_eq!((one.next, one.at, two.next), (3, T0.plus(8), 1));
    assert_eq!(source.get().studies().unwrap().into_iter().map(|(_, count)| count).sum::<u64>(), 4);
}

/// A chain whose times go back is one that no wallet believes.
#[test]
fn a_clock_that_was_set_back_breaks_no_chain() {
    let source = Source::new(Limits::default());
    source.write(1, DAY_MS, opened("holder")).unwrap();
    assert_eq!(source.write(1, 0, opened("holder")).unwrap().receipt.at, T0.plus(DAY_MS));
    source.verified(source.get(), 1);
}

#[test]
fn a_thousand_at_once_all_have_theirs_and_a_kill_loses_none() {
    let source = Source::new(Limits::default());
    let writing: Vec<_> =
        (0..1_000).map(|n| source.get().append(source.study(n % 7), T0.plus(n), opened("grantee")).unwrap()).collect();
    let written: Vec<SignedReceipt> = writing.into_iter().map(|one| one.wait().unwrap()).collect();
    let killed = source.killed();
    let places: BTreeSet<_> = written.iter().map(|one| (one.receipt.study, one.receipt.sequence)).collect();
    assert_eq!(places.len(), 1_000);
    for one in &written {
        assert_eq!(killed.of_study(one.receipt.study, one.receipt.sequence, 1).unwrap().first(), Some(one));
    }
    let reached: u64 = (0..7).map(|number| source.verified(&killed, number).next).sum();
    assert_eq!(reached, 1_000);
}

#[test]
fn nobody_but_whoever_was_let_in_signs_a_receipt_and_once() {
    let source = Source::new(Limits::default());
    let (first, second) = (source.write(1, 0, opened("grantee")).unwrap(), source.write(1, 0, closed(0)).unwrap());
    let sign = |signed: &SignedReceipt, by: &str| {
        let signature = signed.receipt.digest(&source.chain()).countersign(&source.chain(), &secret(by));
        source.get().countersign(signed.receipt.study, signed.receipt.sequence, signature).unwrap().wait()
    };
    let wrong = sign(&first, "operational 0").unwrap_err();
    assert!(matches!(wrong, ReceiptsError::Countersignature(SignatureError::Wrong)), "{wrong}");
    let both = sign(&first, "grantee").unwrap();
    assert_eq!(both.receipt, first.receipt);
    assert_eq!(sign(&first, "grantee").unwrap(), both, "said again");
    assert_eq!(source.killed().of_study(source.study(1), 0, 1).unwrap(), [both]);
    assert!(matches!(sign(&second, "grantee"), Err(ReceiptsError::NotToBeSigned)));
    assert!(matches!(
        source.get().countersign(source.study(2), 0, first.signature).unwrap().wait(),
        Err(ReceiptsError::NoReceipt)
    ));
    source.verified(source.get(), 1);
}

#[test]
fn refusals_beyond_the_days_count_are_counted_in_the_next_receipt() {
    let limits = Limits { refusals: 2, refusals_in_all: 3, ..Limits::default() };
    let source = Source::new(limits);
    let refuse =
        |number, ms, ours| source.get().refused(source.study(number), T0.plus(ms), refused("stranger"), move || ours);
    for _ in 0..5 {
        refuse(1, 0, true);
    }
    refuse(1, 0, false);
    // One more of another study, and then none of any.
    refuse(2, 0, true);
    refuse(2, 0, true);
    let unlisted = |number, ms| source.write(number, ms, opened("holder")).unwrap().receipt.unlisted;
    assert_eq!((unlisted(1, 1), unlisted(2, 1), unlisted(1, 2)), (3, 1, 0));
    let refusals = |number| {
        let all = source.get().of_study(source.study(number), 0, 100).unwrap();
        all.iter().filter(|one| matches!(one.receipt.entry, Entry::Refused(_))).count()
    };
    assert_eq!((refusals(1), refusals(2)), (2, 1));
    // Another day, another count.
    refuse(1, DAY_MS, true);
    assert_eq!(unlisted(1, DAY_MS + 1), 0);
    assert_eq!(refusals(1), 3);
    source.verified(source.get(), 1);
}

/// While the disk is slow: strangers are refused as often as they like, and that keeps nobody who may from being let in.
#[test]
fn refusals_that_wait_to_be_written_leave_room_for_accesses() {
    let source = Source::new(Limits::default());
    let (go, goes) = std::sync::mpsc::sync_channel::<()>(0);
    source.get().refused(source.study(1), T0, refused("stranger"), move || goes.recv().is_ok());
    for _ in 0..5_000 {
        source.get().refused(source.study(1), T0, refused("stranger"), || true);
    }
    let let_in = source.get().append(source.study(1), T0, opened("grantee")).unwrap();
    go.send(()).unwrap();
    let receipt = let_in.wait().unwrap().receipt;
    assert!(receipt.sequence > 0 && receipt.unlisted > 0, "{receipt:?}");
}

#[test]
fn nobody_uses_up_the_accesses_of_the_holder() {
    let limits = Limits { by_grantees: 2, by_holder: 1, ..Limits::default() };
    let source = Source::new(limits);
    let told = |ms, by: &str| source.write(1, ms, opened(by)).map(|signed| signed.receipt.sequence);
    assert_eq!((told(0, "grantee").unwrap(), told(0, "other").unwrap()), (0, 1));
    assert!(matches!(told(0, "third"), Err(ReceiptsError::TooMany)));
    assert_eq!(told(0, "holder").unwrap(), 2);
    assert!(matches!(told(0, "holder"), Err(ReceiptsError::TooMany)));
    // What was opened is closed all the same, and the next day is another.
    source.write(1, 1, closed(0)).unwrap();
    assert_eq!(told(DAY_MS, "grantee").unwrap(), 4);
}

/// Not even over restarts. Another day, and another study, are another count.
#[test]
fn no_grantee_uses_up_the_accesses_of_another() {
    let mut source = Source::new(Limits { by_grant: 2, ..Limits::default() });
    let open = |source: &Source, number, ms, by: &str| source.write(number, ms, opened(by)).map(drop);
    let too_many = |told| matches!(told, Err(ReceiptsError::TooMany));
    open(&source, 1, 0, "eager").unwrap();
    source.reopen();
    open(&source, 1, 1, "eager").unwrap();
    assert!(too_many(open(&source, 1, 2, "eager")));
    source.reopen();
    assert!(too_many(open(&source, 1, 3, "eager")));
    open(&source, 1, 4, "other").unwrap();
    open(&source, 2, 5, "eager").unwrap();
    // The next day is another, and a clock that is set back brings no day again.
    for _ in 0..2 {
        open(&source, 1, DAY_MS, "eager").unwrap();
    }
    assert!(too_many(open(&source, 1, DAY_MS, "eager")));
    assert!(too_many(open(&source, 1, 0, "eager")));
    open(&source, 1, DAY_MS, "other").unwrap();
    source.verified(source.get(), 1);
}

/// All that can be granted at once may be used to the full.
#[test]
fn the_limit_of_a_study_is_as_much_as_its_grants_have() {
    let limits = Limits::default();
    assert_eq!(u64::from(limits.by_grantees), u64::from(limits.by_grant) * MAX_GRANTS as u64);
}

#[test]
fn a_revocation_has_one_receipt_however_often_it_is_seen() {
    let source = Source::new(Limits { revocations: 2, ..Limits::default() });
    let seen = |byte, ms| source.write(1, ms, Entry::RevocationSeen { grant: GrantId::from_bytes([byte; 32]) });
    let first = seen(1, 5).unwrap();
    assert_eq!(seen(1, 900).unwrap(), first);
    assert_eq!(source.get().revocation(source.study(1), GrantId::from_bytes([1; 32])).unwrap(), Some(first));
    assert_eq!(source.get().revocation(source.study(1), GrantId::from_bytes([2; 32])).unwrap(), None);
    seen(2, 6).unwrap();
    assert!(matches!(seen(3, 7), Err(ReceiptsError::TooMany)));
}

/// The anchor is on the disk before anybody hears of it; whatever happens then, the same receipts are in it.
#[test]
fn an_anchor_is_the_same_after_a_kill_and_no_receipt_is_in_two() {
    let mut source = Source::new(Limits::default());
    assert_eq!(source.prepare(0, 0), None);
    let mut digests = Vec::new();
    for number in [1, 2, 1] {
        digests.push(source.write(number, 0, opened("holder")).unwrap().receipt.digest(&source.chain()));
    }
    assert_eq!(source.get().unanchored().unwrap().count, 3);
    let made = source.prepare(0, 1).unwrap();
    let Action::Anchor(anchor) = &made.envelope.body.action else { panic!() };
    assert_eq!((anchor.root, anchor.count, made.height), (anchor_root(&source.chain(), &digests), 3, None));
    assert_eq!(source.killed().pending().unwrap(), Some(made.clone()));
    let late = source.write(1, 2, opened("holder")).unwrap();
    source.reopen();
    assert_eq!(source.get().pending().unwrap(), Some(made.clone()));
    // Signed anew, under another number: the same receipts.
    let again = source.prepare(4, 3).unwrap();
    assert_eq!((again.sequence, again.count), (4, 3));
    let Action::Anchor(anew) = &again.envelope.body.action else { panic!() };
    assert_eq!(anew.root, anchor.root);
    assert_eq!(source.get().anchors(0, 10).unwrap(), [again]);
    source.get().anchored(4, 77).unwrap();
    assert_eq!(source.get().pending().unwrap(), None);
    let next = source.prepare(5, 4).unwrap();
    let Action::Anchor(anchor) = &next.envelope.body.action else { panic!() };
    assert_eq!(anchor.root, anchor_root(&source.chain(), &[late.receipt.digest(&source.chain())]));
    assert_eq!(source.get().unanchored().unwrap().count, 0);
}

#[test]
fn a_statement_proves_what_is_anchored_and_says_what_is_not() {
    let source = Source::new(Limits::default());
    let store = ChainStore::open(&source.folder.path().join("chain.redb"), &source.genesis).unwrap();
    for number in [1, 2, 1, 2, 2] {
        source.write(number, 0, opened("grantee")).unwrap();
    }
    let made = source.prepare(0, 60_000).unwrap();
    let envelope = made.envelope.clone().check_stateless(&source.chain()).unwrap();
    let (block, certificate, applied) =
        next_block(&store.snapshot().unwrap(), &store.head().unwrap(), None, vec![envelope]);
    store.commit(&block, &certificate, &applied).unwrap();
    let proven = |hash: &_| store.inclusion(hash);
    let state = || source.get().statement(source.study(1), 0, proven).unwrap();
    // Executed, but not known to be: nothing is claimed.
    assert!(state().anchors.is_empty());
    source.get().anchored(0, 1).unwrap();
    source.write(1, 9, opened("holder")).unwrap();
    let statement = encoding::decode::<Statement>(&encoding::encode(&state())).unwrap();
    let (about, keys) = ((source_id(&source.genesis, 0), source.study(1)), [secret("operational 0").public()]);
    let believed = |header: &Header| *header == store.head().unwrap();
    let tip = statement.verify(&source.chain(), about, Tip::START, &keys, believed).unwrap();
    assert_eq!((tip.next, statement.more), (3, false));
    let anchored: Vec<bool> = statement.receipts.iter().map(|stated| stated.anchored.is_some()).collect();
    assert_eq!(anchored, [true, true, false]);
    let single = statement.single(1).unwrap();
    assert_eq!(single.verify(&source.chain(), about.0, &keys, believed), Ok(1));
    // From later on, and of a study that has nothing.
    let later = source.get().statement(source.study(1), 2, proven).unwrap();
    assert_eq!((later.receipts.len(), later.anchors.len()), (1, 0));
    assert!(source.get().statement(source.study(9), 0, proven).unwrap().receipts.is_empty());
}

#[test]
fn a_long_chain_is_told_in_parts_and_a_large_crowd_is_anchored_in_parts() {
    let source = Source::new(Limits { by_grant: u32::MAX, by_grantees: u32::MAX, ..Limits::default() });
    let count = MAX_ANCHORED + 300;
    let mut from = 0;
    // In portions, as more do not wait at a time.
    while from < count {
        let end = (from + 2_000).min(count);
        let writing: Vec<_> =
            (from..end).map(|n| source.get().append(source.study(1), T0.plus(n), opened("grantee")).unwrap()).collect();
        writing.into_iter().for_each(|one| drop(one.wait().unwrap()));
        from = end;
    }
    assert!(source.get().unanchored().unwrap().count >= CROWDED);
    let first = source.prepare(0, 0).unwrap();
    source.get().anchored(0, 1).unwrap();
    let second = source.prepare(1, 0).unwrap();
    assert_eq!((u64::from(first.count), second.count), (MAX_ANCHORED, 300));
    let (mut from, mut told) = (0, 0);
    loop {
        let statement = source.get().statement(source.study(1), from, |_| Ok(None)).unwrap();
        assert!(encoding::encode(&statement).len() < Statement::MAX_LEN);
        told += statement.receipts.len() as u64;
        from = statement.receipts.last().unwrap().receipt.receipt.sequence + 1;
        if !statement.more {
            break;
        }
    }
    assert_eq!(told, count);
    assert!(encoding::encode(&Inclusion::of(&[first_digest(&source)], 0).unwrap()).len() < Inclusion::MAX_LEN);
}

fn first_digest(source: &Source) -> clavicle_ledger::id::ReceiptDigest {
    source.get().of_study(source.study(1), 0, 1).unwrap()[0].receipt.digest(&source.chain())
}

#[test]
fn receipts_go_when_their_years_are_over_and_never_before_they_are_anchored() {
    let source = Source::new(Limits::default());
    let year = 366 * DAY_MS;
    let grant = GrantId::from_bytes([1; 32]);
    source.write(1, 0, Entry::RevocationSeen { grant }).unwrap();
    source.write(2, 1, opened("holder")).unwrap();
    let later = |ms: u64| T0.plus(ms);
    assert_eq!(source.get().sweep(later(20 * year)).unwrap(), 0, "not anchored");
    source.prepare(0, 2).unwrap();
    assert_eq!(source.get().sweep(later(20 * year)).unwrap(), 0, "not known to be executed");
    source.get().anchored(0, 1).unwrap();
    source.write(1, 3, opened("holder")).unwrap();
    source.prepare(1, 4).unwrap();
    source.get().anchored(1, 2).unwrap();
    assert_eq!(source.get().sweep(later(2)).unwrap(), 0, "an anchor is as old as its moment");
    assert_eq!(source.get().sweep(later(3)).unwrap(), 2);
    assert_eq!(source.get().sweep(later(3)).unwrap(), 0);
    assert_eq!(source.get().revocation(source.study(1), grant).unwrap(), None);
    assert_eq!(source.get().of_study(source.study(2), 0, 9).unwrap(), []);
    // What is left is still a chain, and goes on.
    let left = source.get().of_study(source.study(1), 0, 9).unwrap();
    let tip = Tip::before(&left[0].receipt);
    assert_eq!((left.len(), tip.next), (1, 1));
    assert_eq!(source.write(2, 9, opened("holder")).unwrap().receipt.sequence, 1);
    assert_eq!(source.get().sweep(later(20 * year)).unwrap(), 1);
    assert_eq!(source.write(1, 10, opened("holder")).unwrap().receipt.sequence, 2);
}
