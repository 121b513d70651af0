//! Revocations that were seen: they bind until the ledger does, and nothing makes them be forgotten before.

use std::path::PathBuf;

use clavicle_ledger::action::{Grant, Revoke};
use clavicle_ledger::authorise::seen_revocation;
use clavicle_ledger::block::Header;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::execute;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, RequestDigest, TermsCommitment};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::state::{Changes, MemoryState, ReadRows as _, StateKey};
use clavicle_ledger::study::{Capacity, Delegate, DelegateRole, Grave, Powers};
use clavicle_ledger::time::{BlockTime, DAY_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};
use clavicle_relay::store::seen::{Limits, Remembered, Seen};

use crate::chain::{define, genesis, secret, study};

/// A chain in memory with one study, and what its source has seen.
struct Source {
    folder: tempfile::TempDir,
    genesis: Genesis,
    state: MemoryState,
    limits: Limits,
    seen: Option<Seen>,
}

impl Source {
    fn new(limits: Limits) -> Self {
        let (folder, genesis) = (tempfile::tempdir().unwrap(), genesis("test"));
        let mut state = MemoryState::from_genesis(&genesis);
        let definition = define(&genesis, &Header::genesis(&genesis), 1);
        commit(&mut state, 1_000, vec![definition]);
        let seen = Some(Seen::open_with(&folder.path().join("seen.redb"), limits).unwrap());
        Self { folder, genesis, state, limits, seen }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("seen.redb")
    }

    fn reopen(&mut self) {
        self.seen = None;
        self.seen = Some(Seen::open_with(&self.path(), self.limits).unwrap());
    }

    fn get(&self) -> &Seen {
        self.seen.as_ref().unwrap()
    }

    fn now(&self) -> Timestamp {
        self.state.head().unwrap().time.timestamp()
    }

    fn sign(&self, key: &SecretKey, submit_by: Timestamp, nonce: u8, action: Action) -> Verified {
        let chain = self.genesis.chain_id();
        let body = Body { submit_by, nonce: [nonce; 16], action };
        body.sign(&chain, &[key]).unwrap().check_stateless(&chain).unwrap()
    }

    /// A grant by the holder to grantee `n`, for ten days, to be submitted within `within` ms.
    fn grant(&self, n: u8, within: u64) -> Verified {
        let action = Action::Grant(Grant {
            study: study(&self.genesis, 1),
            granter: secret("holder").public(),
            grantee: secret(&format!("grantee {n}")).public(),
            expiry_day: self.now().day().plus(10),
            terms: TermsCommitment::from_bytes([n; 32]),
            request: RequestDigest::NONE,
        });
        self.sign(&secret("holder"), self.now().plus(within), n, action)
    }

    fn revoke_by(&self, word: &str, grant: GrantId, within: u64, grant_submit_by: Timestamp) -> Verified {
        let revoker = secret(word).public();
        let action = Action::Revoke(Revoke { study: study(&self.genesis, 1), revoker, grant, grant_submit_by });
        self.sign(&secret(word), self.now().plus(within), 0, action)
    }

    fn revoke(&self, grant: GrantId) -> Verified {
        self.revoke_by("holder", grant, HOUR, Timestamp(0))
    }

    fn remember(&self, revocation: &Verified) -> Remembered {
        let seen = seen_revocation(&self.state, revocation).unwrap().unwrap();
        self.get().remember(&self.state, revocation, seen).unwrap()
    }

    fn binds(&self, grant: GrantId) -> bool {
        let grave = Grave { grant, by: Capacity::Holder };
        self.get().set().contains(&(study(&self.genesis, 1), grave))
    }

    /// A block `ms` later, and what is forgotten after it.
    fn block(&mut self, ms: u64, envelopes: Vec<Verified>) -> usize {
        commit(&mut self.state, ms, envelopes);
        self.get().settle(&self.state).unwrap().len()
    }

    fn edit_study(&mut self, edit: impl FnOnce(&mut clavicle_ledger::study::Study)) {
        let id = study(&self.genesis, 1);
        let mut record = self.state.study(id).unwrap().unwrap();
        edit(&mut record);
        let row = clavicle_ledger::encoding::encode(&record);
        self.state.commit(Changes::from([(StateKey::Study(id), Some(row))]));
    }

    fn closes(&self, grant: GrantId) -> bool {
        let id = study(&self.genesis, 1);
        self.get().closes(id, &self.state.study(id).unwrap().unwrap(), grant)
    }
}

const HOUR: u64 = 3_600_000;

fn commit(state: &mut MemoryState, ms: u64, envelopes: Vec<Verified>) {
    let head = state.head().unwrap();
    let time = BlockTime(head.time.timestamp().plus(ms));
    let proposal = execute::propose(state, head.height + 1, time, None, envelopes).unwrap();
    assert!(proposal.left_out.is_empty(), "{:?}", proposal.left_out);
    state.commit(proposal.executed.changes);
}

fn id(grant: &Verified) -> GrantId {
    GrantId::from(grant.id())
}

fn far(n: u8) -> GrantId {
    GrantId::from_bytes([n; 32])
}

#[test]
fn a_revocation_binds_across_restarts_until_it_is_executed_and_is_put_up_again() {
    let mut source = Source::new(Limits::default());
    let grant = source.grant(1, HOUR);
    source.block(1_000, vec![grant.clone()]);
    let revocation = source.revoke(id(&grant));
    assert_eq!(source.remember(&revocation), Remembered::New);
    assert_eq!(source.remember(&revocation), Remembered::Known);
    source.reopen();
    assert!(source.binds(id(&grant)));
    assert_eq!(source.get().envelopes().unwrap(), [revocation.envelope().clone()]);
    assert_eq!(source.block(1_000, vec![]), 0);
    assert_eq!(source.block(1_000, vec![revocation.clone()]), 1);
    assert!(!source.binds(id(&grant)));
    source.reopen();
    assert!(!source.binds(id(&grant)) && source.get().envelopes().unwrap().is_empty());
    // Whoever sends it again has it stand for nothing.
    assert_eq!(source.remember(&revocation), Remembered::Settled);
    assert!(source.get().set().is_empty());
}

#[test]
fn a_revocation_of_a_grant_older_than_the_replay_memory_is_forgotten_when_executed_too() {
    let mut source = Source::new(Limits::default());
    let grant = source.grant(1, HOUR);
    source.block(1_000, vec![grant.clone()]);
    source.block(3 * HOUR, vec![]);
    assert!(source.state.executed(grant.id()).unwrap().is_none(), "its mark is swept");
    let revocation = source.revoke(id(&grant));
    assert_eq!(source.remember(&revocation), Remembered::New);
    assert_eq!(source.block(1_000, vec![revocation]), 1);
}

#[test]
fn a_revocation_that_came_too_late_for_any_block_binds_until_the_grant_ends() {
    let mut source = Source::new(Limits::default());
    let grant = source.grant(1, HOUR);
    source.block(1_000, vec![grant.clone()]);
    source.remember(&source.revoke(id(&grant)));
    // Never in a block, and by now it can be in none; nor is the holder who signed it the holder any more.
    source.edit_study(|study| study.holder = secret("another").public());
    for _ in 0..9 {
        assert_eq!(source.block(DAY_MS, vec![]), 0);
        source.reopen();
        assert!(source.binds(id(&grant)));
    }
    // The block's own sweep takes the grant away on its last day. The ledger's tombstone would stand for longer, had the
    // grant not come; it did, but nothing in the state says so any more.
    assert_eq!(source.block(DAY_MS, vec![]), 0);
    assert!(source.state.study(study(&source.genesis, 1)).unwrap().unwrap().grants.is_empty());
    let end = source.now().plus(30 * DAY_MS);
    while source.binds(id(&grant)) {
        assert!(source.now() <= end);
        source.block(DAY_MS, vec![]);
    }
}

#[test]
fn a_revocation_before_its_grant_binds_until_the_tombstone_does_as_long() {
    let mut source = Source::new(Limits::default());
    let grant = source.grant(1, HOUR);
    let revocation = source.revoke(id(&grant));
    assert_eq!(source.remember(&revocation), Remembered::New);
    source.reopen();
    // The grant comes first: it is live on the ledger, and bound here.
    let mut first = Source { state: source.state.clone(), ..Source::new(Limits::default()) };
    first.remember(&revocation);
    assert_eq!(first.block(1_000, vec![grant.clone()]), 0);
    assert!(first.binds(id(&grant)));
    assert_eq!(first.block(1_000, vec![revocation.clone()]), 1);
    // The revocation comes first: it leaves a tombstone.
    assert_eq!(source.block(1_000, vec![revocation]), 1);
    let late = execute::admit(&source.state, BlockTime(source.now()), &grant);
    assert!(late.is_err());

    // A tombstone that goes before the grant is too old to come does not do.
    let grant = far(9);
    let (short, long) = (source.revoke(grant), source.now().plus(60 * DAY_MS));
    let longer = source.revoke_by("holder", grant, 2 * HOUR, long);
    source.remember(&short);
    assert_eq!(source.remember(&longer), Remembered::Known);
    assert_eq!(source.get().envelopes().unwrap(), [longer.envelope().clone()]);
    assert_eq!(source.block(1_000, vec![short]), 0);
    source.reopen();
    assert!(source.binds(grant));
    source.block(59 * DAY_MS, vec![]);
    assert!(source.binds(grant));
    assert_eq!(source.block(2 * DAY_MS, vec![]), 1);
}

#[test]
fn what_never_comes_is_forgotten_when_it_is_too_old_to_come() {
    let mut source = Source::new(Limits::default());
    source.remember(&source.revoke(far(1)));
    let stated = source.revoke_by("holder", far(2), HOUR, source.now().plus(100 * DAY_MS));
    source.remember(&stated);
    source.block(30 * DAY_MS, vec![]);
    assert!(source.binds(far(1)) && source.binds(far(2)));
    // To the end of the day.
    source.block(DAY_MS, vec![]);
    assert!(!source.binds(far(1)) && source.binds(far(2)));
    source.block(69 * DAY_MS, vec![]);
    assert!(source.binds(far(2)));
    source.block(2 * DAY_MS, vec![]);
    assert!(!source.binds(far(2)));
    // Sent again, long after: nothing to remember, and so nothing to fill up with.
    assert_eq!(source.remember(&stated), Remembered::Settled);
}

#[test]
fn a_revocation_executed_in_another_capacity_than_it_was_seen_in_still_binds() {
    let mut source = Source::new(Limits::default());
    let revocation = source.revoke(far(1));
    source.remember(&revocation);
    // The study changes hands, and who held it is a delegate when the revocation is executed: its tombstone stops less.
    let delegate = Delegate {
        key: secret("holder").public(),
        role: DelegateRole::Helper,
        powers: Powers::ALL,
        expiry_day: source.now().day().plus(300),
    };
    source.edit_study(|study| {
        study.holder = secret("another").public();
        study.delegates = Ascending::from_items(vec![delegate]).unwrap();
    });
    assert_eq!(source.block(1_000, vec![revocation]), 0);
    assert!(source.binds(far(1)));
}

#[test]
fn one_more_than_there_is_room_for_closes_the_study_and_nothing_is_forgotten() {
    let mut source = Source::new(Limits { by_holder: 2, ..Limits::default() });
    let grant = source.grant(9, HOUR);
    source.block(1_000, vec![grant.clone()]);
    for n in [1, 2] {
        assert_eq!(source.remember(&source.revoke(far(n))), Remembered::New);
        assert!(!source.closes(id(&grant)));
    }
    assert_eq!(source.remember(&source.revoke(far(3))), Remembered::Closed);
    assert_eq!(source.remember(&source.revoke(far(1))), Remembered::Known);
    source.reopen();
    assert!(source.closes(id(&grant)) && source.closes(far(3)) && !source.get().is_full());
    assert!(source.binds(far(1)) && source.binds(far(2)) && !source.binds(far(3)));
    // Room for others does not open it; only time does, when whatever was granted has ended.
    source.block(32 * DAY_MS, vec![]);
    assert!(source.get().set().is_empty() && source.closes(far(3)));
    source.block(728 * DAY_MS, vec![]);
    assert!(source.closes(far(3)));
    source.block(2 * DAY_MS, vec![]);
    assert!(!source.closes(far(3)));
    source.reopen();
    assert!(!source.closes(far(3)));
}

#[test]
fn a_delegate_closes_only_what_it_could_revoke() {
    let mut source = Source::new(Limits { by_delegate: 1, ..Limits::default() });
    let grant = source.grant(9, HOUR);
    let helper = secret("helper").public();
    let expiry_day = source.now().day().plus(300);
    source.block(1_000, vec![grant.clone()]);
    source.edit_study(|study| {
        let delegate = Delegate { key: helper, role: DelegateRole::Helper, powers: Powers::ALL, expiry_day };
        study.delegates = Ascending::from_items(vec![delegate]).unwrap();
    });
    for (n, became) in [(1, Remembered::New), (2, Remembered::Closed)] {
        assert_eq!(source.remember(&source.revoke_by("helper", far(n), HOUR, Timestamp(0))), became);
    }
    assert!(!source.closes(id(&grant)), "the holder's grant is none of the delegate's");
    assert_eq!(source.remember(&source.revoke(far(1))), Remembered::New);
    // Its own are closed, and all of them if it comes to hold the study: what it revoked, it revoked.
    let mut own = source.state.study(study(&source.genesis, 1)).unwrap().unwrap().grants[0];
    own.by = Capacity::Delegate(helper);
    source.edit_study(|study| study.grants.insert(own).unwrap());
    assert!(source.closes(id(&grant)));
    own.by = Capacity::Holder;
    source.edit_study(|study| study.grants.insert(own).unwrap());
    assert!(!source.closes(id(&grant)));
    source.edit_study(|study| study.holder = helper);
    assert!(source.closes(id(&grant)));
}

#[test]
fn with_no_room_at_all_every_study_is_closed() {
    let mut source = Source::new(Limits { all: 1, closed: 0, ..Limits::default() });
    source.remember(&source.revoke(far(1)));
    assert!(!source.get().is_full() && !source.closes(far(7)));
    assert_eq!(source.remember(&source.revoke(far(2))), Remembered::Closed);
    source.reopen();
    assert!(source.get().is_full() && source.closes(far(7)));
}

#[test]
fn settling_goes_round_in_bounded_steps() {
    use clavicle_relay::store::seen::MAX_SETTLED;
    let count = MAX_SETTLED + 5;
    let mut source = Source::new(Limits { by_holder: count, ..Limits::default() });
    for n in 0..count {
        let grant = GrantId::from_bytes(*blake3::hash(&n.to_le_bytes()).as_bytes());
        source.remember(&source.revoke(grant));
    }
    assert_eq!(source.block(31 * DAY_MS, vec![]), MAX_SETTLED);
    assert_eq!(source.block(1_000, vec![]), 5);
    assert!(source.get().set().is_empty());
    assert_eq!(source.block(1_000, vec![]), 0);
}

#[test]
fn many_remember_and_settle_at_once() {
    let source = Source::new(Limits::default());
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let source = &source;
            scope.spawn(move || {
                for n in 0..16 {
                    source.remember(&source.revoke(far(thread * 16 + n + 1)));
                    assert!(source.binds(far(thread * 16 + n + 1)));
                    source.get().settle(&source.state).unwrap();
                }
            });
        }
    });
    assert_eq!(source.get().set().len(), 64);
    let mut source = source;
    source.reopen();
    assert_eq!(source.get().set().len(), 64);
}

/// What the disk has: it changes with every commit.
fn on_disk(source: &Source) -> Vec<u8> {
    std::fs::read(source.path()).unwrap()
}

/// Whoever holds a study sent the same again and again, and each time the disk was waited for, by everybody else too.
#[test]
fn what_is_sent_again_costs_the_disk_nothing() {
    let source = Source::new(Limits { by_holder: 2, ..Limits::default() });
    let revocations = [1, 2, 3].map(|n| source.revoke(far(n)));
    let became = revocations.each_ref().map(|revocation| source.remember(revocation));
    assert_eq!(became, [Remembered::New, Remembered::New, Remembered::Closed]);
    let written = on_disk(&source);
    for _ in 0..10 {
        let became = revocations.each_ref().map(|revocation| source.remember(revocation));
        assert_eq!(became, [Remembered::Known, Remembered::Known, Remembered::StillClosed]);
    }
    assert_eq!(on_disk(&source), written);
    // Nor signed anew, each time for a moment later.
    let anew = |later| {
        for n in [1, 3] {
            let stated = source.now().plus(later);
            source.remember(&source.revoke_by("holder", far(n), HOUR + later, stated));
        }
        on_disk(&source)
    };
    let until_midnight = anew(1);
    assert_ne!(until_midnight, written);
    for later in 2..100 {
        assert_eq!(anew(later), until_midnight);
    }
}

/// A hospital signed such revocations on its own studies, and everybody remembered them for ever.
#[test]
fn what_states_no_end_ends_when_no_grant_could_come_any_more() {
    let mut source = Source::new(Limits { by_holder: 1, ..Limits::default() });
    let grant = source.grant(9, HOUR);
    source.block(1_000, vec![grant.clone()]);
    let endless = |n| source.revoke_by("holder", far(n), u64::MAX, Timestamp(u64::MAX));
    assert_eq!([1, 2].map(|n| source.remember(&endless(n))), [Remembered::New, Remembered::Closed]);
    source.reopen();
    source.block(730 * DAY_MS, vec![]);
    assert!(source.binds(far(1)) && source.closes(id(&grant)));
    source.block(33 * DAY_MS, vec![]);
    assert!(!source.binds(far(1)) && source.closes(id(&grant)));
    source.block(731 * DAY_MS, vec![]);
    assert!(!source.closes(id(&grant)));
}

/// What was kept before without an end has one with the next block, and is not forgotten meanwhile.
#[test]
fn what_an_earlier_version_kept_for_ever_ends_too() {
    use redb::TableDefinition;
    let mut source = Source::new(Limits::default());
    let endless = source.revoke_by("holder", far(1), u64::MAX, Timestamp(u64::MAX));
    let seen = seen_revocation(&source.state, &endless).unwrap().unwrap();
    source.seen = None;
    let database = redb::Database::create(source.path()).unwrap();
    let transaction = database.begin_write().unwrap();
    let place = borsh::to_vec(&seen).unwrap();
    let row = borsh::to_vec(&(endless.envelope().clone(), Timestamp(u64::MAX))).unwrap();
    let earlier = TableDefinition::<&[u8], &[u8]>::new("seen_v1");
    transaction.open_table(earlier).unwrap().insert(place.as_slice(), row.as_slice()).unwrap();
    transaction
        .open_table(TableDefinition::<&[u8], u64>::new("closed_v1"))
        .unwrap()
        .insert(&[0][..], u64::MAX)
        .unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        source.reopen();
        assert!(source.binds(far(1)) && source.get().is_full());
        assert_eq!(source.get().envelopes().unwrap(), [endless.envelope().clone()]);
        source.block(1_000, vec![]);
    }
    source.block(764 * DAY_MS, vec![]);
    assert!(!source.binds(far(1)) && source.get().is_full());
    source.block(731 * DAY_MS, vec![]);
    assert!(!source.get().is_full());
}
