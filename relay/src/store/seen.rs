//! Revocations that were seen, by whatever way, and that the ledger alone does not enforce yet.
//!
//! A revocation binds this source from the moment it is seen. It is on the disk before [`Seen::remember`] returns, and it binds
//! until the ledger's own state stops the grant for good. Until then it is put up for a block again after every start.
//!
//! ```text
//! seen_v2     study (32), grant and capacity    ─► the revocation, and until when it and its grant could come
//! seen_v1     the same, as it was before: moved when the file is opened
//! closed_v1   a study and a capacity, or all    ─► the last moment at which anything it covers could come
//! ```
//!
//! # When one is forgotten
//!
//! That a revocation was rejected, or that its time to be submitted is over, is no reason: the grant may be live all the same,
//! after a change of holder say, and whoever held the study wanted it ended. What counts is the grant. It may be forgotten
//! when the state at the newest committed block shows one of these:
//!
//! 1. The grant is on the study, past its last day. Block time only grows.
//! 2. The grant is not on the study, and has the mark of an executed transaction: it was there and is gone. A
//!    transaction is executed once: while the mark stands it is a replay, and after that it is too late.
//! 3. The grant did not come yet, and a tombstone for the same grant in the same capacity stands, at least as long as the
//!    revocation says that the grant could be submitted. Should the grant come, execution refuses it.
//! 4. The revocation itself has the mark, and left no tombstone, or one that is gone as late as any revocation of the grant
//!    says that it could be submitted: so it found the grant live and took it away. Grants older
//!    than the replay memory, which have no mark of their own any more, go this way.
//! 5. The grant is not on the study, and it is later than any moment at which the ledger's tombstone could have stood, had
//!    the revocation been executed at the last moment possible: what the ledger would have let in then, it lets in with
//!    or without us. This is the only reason that goes by time, and the one for which the signer states the grant's
//!    `submit_by`.
//!
//! Whoever signs states both times, and no block could take what it states of a time that is too far: both are kept in whole days,
//! and none later than a grant could last that came now. So everything that is kept ends, and one revocation signed again and again,
//! each time for a moment later, changes what is kept at most once a day.
//!
//! What any of these is true of already when it comes is not kept at all: anyone can send old revocations again.
//! Otherwise it stays: while the grant is live, whoever may have revoked it; while the study is not known; while the
//! state cannot be read.
//!
//! # What keeps it bounded
//!
//! The signer must hold the study or be a delegate, and such a one could revoke grants that do not exist without end. So there is
//! room for so many on one study in one capacity, more than the ledger lets live and wait together; and for so many in
//! all. Nothing is pushed out and nothing is forgotten for lack of room. One more than there is room for *closes*
//! the study instead: no grant is served that somebody in this capacity could have revoked, until none can be in force any more.
//! When there is no room for that either, all studies are closed in this way. Holders are served as ever.
//!
//! Only what this source serves is remembered ([`Submission`](crate::submission::Submission) looks): no other hospital, and none
//! of its patients, fills this room.
//!
//! What changes nothing is not written. What comes while the disk is at work is written in one commit, by whoever waits first: so
//! whoever comes waits for two commits at most, however many others come (`queue`).
//!
//! # In which order to look
//!
//! Take [`Seen::set`] and only then the state's snapshot. The other way round, a revocation could be executed and forgotten
//! between the two, and be in neither. For the same reason [`Seen::settle`] is only for a state that is on the disk. A chain
//! that is put back from a backup knows less than what was forgotten on its account: until it has caught up, nobody must be served.

mod queue;
mod rule;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::authorise::SeenRevocation;
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::state::{ReadError, StateReader};
use clavicle_ledger::study::{Capacity, Grave, Study};
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::{Action, Envelope, Verified};
use clavicle_letters::membership::NewestLists;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction,
};

use self::queue::{Queue, Unwritten};
use self::rule::{At, EarlierRow, Row};
use super::{StoreError, begin_write, open_small, read_row};

const SEEN: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("seen_v2");
const EARLIER: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("seen_v1");
const CLOSED: TableDefinition<'_, &[u8], u64> = TableDefinition::new("closed_v1");

/// The most revocations that one [`Seen::settle`] looks at; the next goes on where it stopped.
pub const MAX_SETTLED: usize = 1024;

/// For how many revocations there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub all: usize,
    /// On one study, by its holder: all grants that may be live, and as many tombstones as there may be.
    pub by_holder: usize,
    /// On one study, by one delegate.
    pub by_delegate: usize,
    /// Studies closed for want of room, counted once for each capacity.
    pub closed: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { all: 100_000, by_holder: 128, by_delegate: 32, closed: 10_000 }
    }
}

/// The revocations that bind this source. Shared: the gate reads, whoever receives remembers, whoever commits settles.
#[derive(Debug)]
pub struct Seen {
    database: Database,
    limits: Limits,
    bound: RwLock<Binding>,
    queue: Queue,
    /// In memory alone: a member who shows an older one after a start is let in for the 24 hours that any list is good for.
    ended: Mutex<NewestLists>,
}

/// What binds, as the gate needs it: what is on the disk, and what is on its way there.
#[derive(Debug, Default)]
struct Binding {
    seen: Arc<BTreeSet<SeenRevocation>>,
    closed: BTreeMap<Closed, Timestamp>,
}

/// What is closed because more revocations were seen than there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
enum Closed {
    /// Everything.
    All,
    /// What somebody in this capacity may revoke on a study.
    Of(StudyId, Capacity),
}

impl Wire for Closed {
    const NAME: &'static str = "a study closed to grantees";
    const MAX_LEN: usize = 67;
}

/// A [`SeenRevocation`] as a key on the disk.
#[derive(BorshSerialize, BorshDeserialize)]
struct Place(StudyId, Grave);

impl Wire for Place {
    const NAME: &'static str = "the place of a revocation that was seen";
    const MAX_LEN: usize = 98;
}

/// What became of a revocation that was to be remembered. The grant is stopped in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is new.
    New,
    /// One for this grant in this capacity bound before.
    Known,
    /// The state alone stops the grant for good: there is nothing to remember.
    Settled,
    /// There is no room for it: what it could be about is closed from now on. It is not kept to be put up for a block.
    Closed,
    /// There is no room for it, and what it could be about was closed before.
    StillClosed,
}

/// Why a revocation was not remembered, or none forgotten.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SeenError<E> {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error("the state could not be read, so that nothing can be said about a revocation: serve nobody until it can")]
    State(#[from] ReadError<E>),
}

impl Seen {
    /// Opens the revocations at `path`, or makes the file, and reads all that bind.
    ///
    /// # Errors
    /// [`StoreError`]; the source then serves nobody.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Limits::default())
    }

    /// As [`Seen::open`], with other limits. What is kept already binds, however much it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_with(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let database = open_small(path, |transaction| {
            transaction.open_table(SEEN)?;
            transaction.open_table(EARLIER)?;
            transaction.open_table(CLOSED).map(drop)
        })?;
        move_earlier(&database)?;
        let (mut seen, mut closed) = (BTreeSet::new(), BTreeMap::new());
        let transaction = database.begin_read()?;
        for entry in transaction.open_table(SEEN)?.iter()? {
            let Place(study, grave) = read_row(entry?.0.value())?;
            seen.insert((study, grave));
        }
        for entry in transaction.open_table(CLOSED)?.iter()? {
            let (what, last_moment) = entry?;
            closed.insert(read_row(what.value())?, Timestamp(last_moment.value()));
        }
        let bound = RwLock::new(Binding { seen: Arc::new(seen), closed });
        Ok(Self { database, limits, bound, queue: Queue::default(), ended: Mutex::default() })
    }

    /// The newest lists of credentials that were ended, of those that members of teams have shown.
    pub fn ended(&self) -> MutexGuard<'_, NewestLists> {
        // A list is whole whatever panicked beside it.
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What binds, for the gate's [`View`](clavicle_ledger::authorise::View). To be taken before the state's snapshot.
    #[must_use]
    pub fn set(&self) -> Arc<BTreeSet<SeenRevocation>> {
        Arc::clone(&self.read().seen)
    }

    /// Whether nobody's grant may be served, on any study, because more was seen than there is room for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.read().closed.contains_key(&Closed::All)
    }

    /// Whether a grant on a study must be refused because more was seen than there is room for. To be asked beside
    /// [`authorise`](clavicle_ledger::authorise::authorise) with the study as it is in the same snapshot.
    #[must_use]
    pub fn closes(&self, id: StudyId, study: &Study, grant: GrantId) -> bool {
        let binding = self.read();
        if binding.closed.is_empty() {
            return false;
        }
        // The capacities that the gate asks about.
        let by = study.grants.find(&grant).map(|live| live.by);
        let may_revoke = [Some(Capacity::Holder), Some(Capacity::Delegate(study.holder)), by];
        let closed = |by| binding.closed.contains_key(&Closed::Of(id, by));
        binding.closed.contains_key(&Closed::All) || may_revoke.into_iter().flatten().any(closed)
    }

    /// The revocations to be put up for a block again: after a start, and while they are not settled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn envelopes(&self) -> Result<Vec<Envelope>, StoreError> {
        let table = self.database.begin_read()?.open_table(SEEN)?;
        table.iter()?.map(|entry| Ok(read_row::<Row>(entry?.1.value())?.envelope)).collect()
    }

    /// Remembers a revocation, which binds from then on; when this returns, on the disk too. `seen` is what
    /// [`seen_revocation`](clavicle_ledger::authorise::seen_revocation) made of the envelope, on this state or an earlier one. What
    /// was executed ([`ChainStore::find_envelope`](super::ChainStore::find_envelope)) is not to be remembered again.
    ///
    /// # Errors
    /// [`SeenError`]. If the disk failed, it binds until the process ends, which should be soon. If the state could not be
    /// read, the source asks again before it serves the study.
    ///
    /// # Panics
    /// When `seen` was made of another envelope.
    pub fn remember<S: StateReader>(
        &self,
        state: &S,
        envelope: &Verified,
        seen: SeenRevocation,
    ) -> Result<Remembered, SeenError<S::Error>> {
        let came = match &envelope.body().action {
            Action::Revoke(revoke) if (revoke.study, revoke.grant) == (seen.0, seen.1.grant) => {
                Row::new(envelope.envelope().clone(), revoke.grant_submit_by)
            }
            _ => panic!("what was seen was made of this envelope"),
        };
        let at = At::new(state)?;
        let came = at.bounded(came);
        if at.settles(&seen, &came)? {
            return Ok(Remembered::Settled);
        }
        Ok(self.keep(seen, came, at.now())?)
    }

    fn keep(&self, seen: SeenRevocation, came: Row, now: Timestamp) -> Result<Remembered, StoreError> {
        let mut queue = self.queue.lock();
        let known = match queue.row(&seen) {
            Some(unwritten) => Ok(Some(unwritten.clone())),
            None => self.row(&seen),
        };
        // It binds even if the disk fails.
        let known = known.inspect_err(|_| self.bind(seen))?;
        match known {
            Some(known) => {
                if let Some(longer) = known.joined(came) {
                    queue.next.seen.insert(seen, longer);
                }
                // Another may be writing it.
                self.write_down(queue, |unwritten| unwritten.seen.contains_key(&seen))?;
                Ok(Remembered::Known)
            }
            None if self.is_crowded(&seen) => {
                let (what, became) = self.close(&mut queue.next, seen, came.last_moment().max(now));
                self.write_down(queue, |unwritten| unwritten.closed.contains_key(&what))?;
                Ok(became)
            }
            None => {
                self.bind(seen);
                queue.next.seen.insert(seen, came);
                self.write_down(queue, |unwritten| unwritten.seen.contains_key(&seen))?;
                Ok(Remembered::New)
            }
        }
    }

    fn bind(&self, seen: SeenRevocation) {
        Arc::make_mut(&mut self.write().seen).insert(seen);
    }

    /// Whether there is no room for one more like this.
    fn is_crowded(&self, (study, Grave { grant: _, by }): &SeenRevocation) -> bool {
        let set = self.set();
        let most = match by {
            Capacity::Holder => self.limits.by_holder,
            Capacity::Delegate(_) => self.limits.by_delegate,
        };
        let first = Grave { grant: GrantId::from_bytes([0; 32]), by: Capacity::Holder };
        let on_study = set.range((*study, first)..).take_while(|(of, _)| of == study);
        set.len() >= self.limits.all || on_study.filter(|(_, grave)| grave.by == *by).count() >= most
    }

    /// Closes what a revocation could be about for which there is no room, from now on; for how long, in whole days.
    fn close(
        &self,
        next: &mut Unwritten,
        (study, grave): SeenRevocation,
        last_moment: Timestamp,
    ) -> (Closed, Remembered) {
        let mut binding = self.write();
        let of = Closed::Of(study, grave.by);
        let room = binding.closed.len() < self.limits.closed || binding.closed.contains_key(&of);
        let what = if room { of } else { Closed::All };
        let (before, last_moment) = (binding.closed.get(&what).copied(), last_moment.day_rounded_up().start());
        if before.is_none_or(|before| before < last_moment) {
            binding.closed.insert(what, last_moment);
            next.closed.insert(what, last_moment);
        }
        (what, if before.is_none() { Remembered::Closed } else { Remembered::StillClosed })
    }

    /// Forgets what the state of a committed block stops for good, and opens what was closed for long enough: to be called
    /// after each block. Looks at [`MAX_SETTLED`] revocations at most. What was forgotten.
    ///
    /// # Errors
    /// [`SeenError`].
    pub fn settle<S: StateReader>(&self, state: &S) -> Result<Vec<SeenRevocation>, SeenError<S::Error>> {
        let mut turn = self.queue.turn();
        let (due, closed): (Vec<SeenRevocation>, BTreeMap<Closed, Timestamp>) = {
            let binding = self.read();
            let after = turn.stopped_at().map_or(Bound::Unbounded, Bound::Excluded);
            let due = binding.seen.range((after, Bound::Unbounded)).take(MAX_SETTLED);
            (due.copied().collect(), binding.closed.clone())
        };
        if due.is_empty() && closed.is_empty() {
            turn.stop_at(None);
            return Ok(Vec::new());
        }
        let (at, mut settled) = (At::new(state)?, Vec::new());
        let mut shorter = Unwritten::default();
        for one in &due {
            // What is in memory alone was not written, and binds until it is or the process ends.
            let Some(row) = self.row(one)? else { continue };
            let bounded = at.bounded(row.clone());
            if at.settles(one, &bounded)? {
                settled.push(*one);
            } else if bounded != row {
                shorter.seen.insert(*one, bounded);
            }
        }
        let mut opened = Vec::new();
        for (what, last_moment) in closed {
            let bounded = last_moment.min(at.latest());
            if at.outlived(bounded) {
                opened.push(what);
            } else if bounded != last_moment {
                shorter.closed.insert(what, bounded);
            }
        }
        self.forget(&settled, &opened, &shorter)?;
        turn.stop_at(if due.len() < MAX_SETTLED { None } else { due.last().copied() });
        Ok(settled)
    }

    fn row(&self, (study, grave): &SeenRevocation) -> Result<Option<Row>, StoreError> {
        let table = self.database.begin_read()?.open_table(SEEN)?;
        let place = encoding::encode(&Place(*study, *grave));
        table.get(place.as_slice())?.map(|row| read_row(row.value())).transpose()
    }

    /// Waits until nothing is left to be written of what is `due`, and writes all that waits if nobody else is about to.
    fn write_down<'a>(&'a self, queue: queue::Guard<'a>, due: impl Fn(&Unwritten) -> bool) -> Result<(), StoreError> {
        self.queue.write_down(queue, due, |unwritten| {
            let transaction = begin_write(&self.database)?;
            self.put(&transaction, unwritten)?;
            Ok(transaction.commit()?)
        })
    }

    fn put(&self, transaction: &WriteTransaction, unwritten: &Unwritten) -> Result<(), StoreError> {
        let (mut seen, mut closed) = (transaction.open_table(SEEN)?, transaction.open_table(CLOSED)?);
        for ((study, grave), row) in &unwritten.seen {
            let place = encoding::encode(&Place(*study, *grave));
            seen.insert(place.as_slice(), encoding::encode(row).as_slice())?;
        }
        for (what, last_moment) in &unwritten.closed {
            closed.insert(encoding::encode(what).as_slice(), last_moment.0)?;
        }
        Ok(())
    }

    /// On the disk first: what is forgotten in memory alone would come back with the next start, and bind again. Nobody else writes meanwhile.
    fn forget(&self, settled: &[SeenRevocation], opened: &[Closed], shorter: &Unwritten) -> Result<(), StoreError> {
        if settled.is_empty() && opened.is_empty() && shorter.is_empty() {
            return Ok(());
        }
        let transaction = begin_write(&self.database)?;
        self.put(&transaction, shorter)?;
        {
            let (mut seen, mut closed) = (transaction.open_table(SEEN)?, transaction.open_table(CLOSED)?);
            for (study, grave) in settled {
                seen.remove(encoding::encode(&Place(*study, *grave)).as_slice())?;
            }
            for what in opened {
                closed.remove(encoding::encode(what).as_slice())?;
            }
        }
        transaction.commit()?;
        // What came meanwhile, for longer, is written next.
        let queue = self.queue.lock();
        let mut binding = self.write();
        let seen = Arc::make_mut(&mut binding.seen);
        for one in settled.iter().filter(|one| queue.row(one).is_none()) {
            seen.remove(one);
        }
        for what in opened.iter().filter(|what| queue.closed(what).is_none()) {
            binding.closed.remove(what);
        }
        for (what, last_moment) in shorter.closed.iter().filter(|(what, _)| queue.closed(what).is_none()) {
            binding.closed.insert(*what, *last_moment);
        }
        Ok(())
    }

    // Nothing panics between two changes that belong together.

    fn read(&self) -> RwLockReadGuard<'_, Binding> {
        self.bound.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Binding> {
        self.bound.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Moves what was kept before both times were, as it is: with the next block [`Seen::settle`] has it end in time.
fn move_earlier(database: &Database) -> Result<(), StoreError> {
    if database.begin_read()?.open_table(EARLIER)?.is_empty()? {
        return Ok(());
    }
    let transaction = begin_write(database)?;
    {
        let (mut earlier, mut seen) = (transaction.open_table(EARLIER)?, transaction.open_table(SEEN)?);
        for entry in earlier.iter()? {
            let (place, row) = entry?;
            let EarlierRow { envelope, grant_submit_by } = read_row(row.value())?;
            seen.insert(place.value(), encoding::encode(&Row::new(envelope, grant_submit_by)).as_slice())?;
        }
        earlier.retain(|_, _| false)?;
    }
    Ok(transaction.commit()?)
}
