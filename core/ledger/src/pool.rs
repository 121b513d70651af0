//! Transactions that wait for a block: whose turn is next, and who makes room for whom.
//!
//! Whoever puts one in has asked [`admit`](crate::execute::admit) before, and [`lane_of`]. Whoever proposes takes them
//! [`in_turn`](Pool::in_turn). Nothing here is agreed on: every relay keeps a pool of its own. It is here because it is as
//! pure as the rest: the same calls make the same pool, and time is passed in.
//!
//! An entry goes by its envelope's hash, signatures included, so that a copy with a bad signature can neither ride on the good one nor
//! keep it out.
//!
//! # Whose turn is next
//!
//! 1. What has precedence goes first. Nothing waits while something that it has precedence over is chosen.
//! 2. Within a precedence the [lanes](Lane) take turns, one transaction each, first the lane that has waited longest for its turn.
//!    Of what a block takes, each of n lanes has an n-th, however long the others are; what it leaves goes to them. When there
//!    is less room than lanes, the next block goes on where this one stopped.
//! 3. Within a lane, the first to come is the first to go.
//!
//! # Why a lane is a plain queue
//!
//! One study's flood could hold up the others of its source. Turns among studies would prevent that, at the price of each index
//! once more; they would not prevent one patient's revocations, which go before everybody's grants, from filling the pool. A
//! cap bounds both: of one key's transactions on one study, [`Limits::of_signer`] wait in one precedence, and the next is
//! refused ([`Put::TooMany`]). A study has a holder and eight delegates at most, so nine times as many at most go before
//! another's. The default is as many as grants may be live on a study: all of them can be revoked at once, and more than that the
//! ledger hardly executes in a day. Keys are counted, and not studies alone, since a delegate who revokes what does not
//! exist must not keep out the holder who revokes what does.
//!
//! The same cap is on evidence against one validator's key, which anybody may submit in as many copies as they like.
//!
//! The cap is not for a source's own transactions: it may have thousands of studies to revise. They have a lane of
//! their own instead, so that its patients do not wait for it.
//!
//! # Who makes room
//!
//! A transaction takes up as many bytes as it has, and no fewer than [`Limits::least`]: one measure that bounds both bytes
//! and number, and that lanes are compared by. When there is no room for one more, the newest of the longest lane of the lowest precedence
//! gives way, if the newcomer has precedence over it, or if they are equal and that lane is longer than the newcomer's would be.
//! Otherwise the newcomer is refused ([`Put::Full`]), and nothing gives way.
//!
//! So nothing keeps out what has precedence over it, and among equals a lane is refused only when it has its share already: a
//! source that floods the pool with revocations keeps out no other's.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::action::Author;
use crate::id::{EnvelopeHash, SourceId};
use crate::state::{ReadError, ReadRows as _, StateReader};
use crate::time::BlockTime;
use crate::transaction::{Precedence, Verified};

/// Whom a transaction is charged to. Lanes take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The source that signed it.
    Source(SourceId),
    /// The holders of this source's studies, and their delegates.
    Holders(SourceId),
    /// Nobody that the state knows.
    Nobody,
}

/// The lane of a transaction.
///
/// # Errors
/// [`ReadError`].
pub fn lane_of<R: StateReader>(state: &R, envelope: &Verified) -> Result<Lane, ReadError<R::Error>> {
    Ok(match envelope.body().action.author() {
        Author::Source(key) => state.key_use(key)?.map_or(Lane::Nobody, |used| Lane::Source(used.source)),
        Author::OnStudy(study, _) => state.study(study)?.map_or(Lane::Nobody, |study| Lane::Holders(study.source)),
        Author::Accuser(_) => Lane::Nobody,
    })
}

/// For how much there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// In all, in bytes.
    pub room: usize,
    /// The fewest bytes that a transaction takes up: no more than `room / least` wait.
    pub least: usize,
    /// The most transactions by one holder or delegate on one study, or against one validator, in one precedence.
    pub of_signer: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { room: 16 * 1024 * 1024, least: 1024, of_signer: 64 }
    }
}

/// What became of a transaction that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It waits.
    Waits,
    /// It waited already.
    Waited,
    /// As many of its signer's on the same study wait as may.
    TooMany,
    /// There is no room: what waits has precedence over it, or the same and no longer a lane.
    Full,
}

/// Transactions that wait for a block. Putting one in and taking one out cost as much as a few look-ups in a map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    limits: Limits,
    by_hash: BTreeMap<EnvelopeHash, Entry>,
    lanes: BTreeMap<(Precedence, Lane), Queue>,
    /// The lanes by what they take up: the last one gives way first.
    by_room: BTreeSet<(Precedence, usize, Lane)>,
    /// How many wait of each holder or delegate on each study.
    of_signer: BTreeMap<(Precedence, Author), usize>,
    room: usize,
    moments: u64,
}

/// A transaction that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    envelope: Verified,
    precedence: Precedence,
    lane: Lane,
    arrival: u64,
    room: usize,
}

/// A lane within a precedence, never empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Queue {
    by_arrival: BTreeMap<u64, EnvelopeHash>,
    room: usize,
    /// The last moment at which one of it was done.
    served: u64,
}

impl Queue {
    /// Since when it waits for its turn.
    fn since(&self) -> u64 {
        self.by_arrival.keys().next().map_or(0, |oldest| self.served.max(*oldest))
    }
}

impl Pool {
    /// No transactions.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Puts a transaction in. Others go out when they must make room for it.
    pub fn put(&mut self, envelope: Verified, lane: Lane) -> Put {
        if self.by_hash.contains_key(&envelope.hash()) {
            return Put::Waited;
        }
        let action = &envelope.body().action;
        let (precedence, author) = (action.precedence(), action.author());
        if self.of_signer.get(&(precedence, author)).is_some_and(|count| *count >= self.limits.of_signer) {
            return Put::TooMany;
        }
        let room = envelope.encoded_len().max(self.limits.least);
        let entry = Entry { envelope, precedence, lane, arrival: self.moments, room };
        if !self.make_room(&entry) {
            return Put::Full;
        }
        self.moments = self.moments.saturating_add(1);
        self.insert(entry, 0);
        Put::Waits
    }

    /// The transactions in turn: at most so many, and only as long as the next one fits into `bytes`.
    #[must_use]
    pub fn in_turn(&self, most: usize, bytes: usize) -> Vec<Verified> {
        let (mut chosen, mut left) = (Vec::new(), bytes);
        let mut lanes: Vec<_> = self.lanes.iter().map(|((precedence, _), queue)| (*precedence, queue)).collect();
        lanes.sort_by_key(|(precedence, queue)| (*precedence, queue.since()));
        for equals in lanes.chunk_by(|(one, _), (other, _)| one == other) {
            let mut turns: VecDeque<_> = equals.iter().map(|(_, queue)| queue.by_arrival.values()).collect();
            while let Some(mut hashes) = turns.pop_front() {
                // A lane that is through is not asked again.
                let Some(envelope) = hashes.next().and_then(|hash| self.find(hash)) else { continue };
                left = match left.checked_sub(envelope.encoded_len()) {
                    Some(left) if chosen.len() < most => left,
                    // What is shorter and might still fit would go before its turn.
                    _ => return chosen,
                };
                chosen.push(envelope.clone());
                turns.push_back(hashes);
            }
        }
        chosen
    }

    /// A waiting transaction, whose signatures need not be verified again.
    #[must_use]
    pub fn find(&self, hash: &EnvelopeHash) -> Option<&Verified> {
        self.by_hash.get(hash).map(|entry| &entry.envelope)
    }

    /// The hashes of what waits, ascending.
    pub fn hashes(&self) -> impl Iterator<Item = EnvelopeHash> + '_ {
        self.by_hash.keys().copied()
    }

    /// Takes a transaction out: it was executed, or never can be. So its lane had a turn. Whether it waited.
    pub fn remove(&mut self, hash: &EnvelopeHash) -> bool {
        let Some((entry, _)) = self.take(hash) else { return false };
        if let Some(queue) = self.lanes.get_mut(&(entry.precedence, entry.lane)) {
            queue.served = self.moments;
            self.moments = self.moments.saturating_add(1);
        }
        true
    }

    /// Takes out what can no longer be executed at `now`, its `submit_by` being over. Looks at all there is: once a block is enough.
    pub fn expire(&mut self, now: BlockTime) {
        let over = |entry: &&Entry| entry.envelope.body().submit_by < now.timestamp();
        let gone: Vec<EnvelopeHash> = self.by_hash.values().filter(over).map(|entry| entry.envelope.hash()).collect();
        for hash in gone {
            self.take(&hash);
        }
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    /// Takes out what must give way to a newcomer; nothing, if that is not enough.
    fn make_room(&mut self, newcomer: &Entry) -> bool {
        let mut out = Vec::new();
        while self.room.saturating_add(newcomer.room) > self.limits.room {
            match self.gives_way(newcomer).and_then(|hash| self.take(&hash)) {
                Some(taken) => out.push(taken),
                None => {
                    out.into_iter().for_each(|(entry, served)| self.insert(entry, served));
                    return false;
                }
            }
        }
        true
    }

    /// What gives way to a newcomer next. That its lane would be shorter even with it keeps two lanes from pushing each other out
    /// in turn for ever.
    fn gives_way(&self, newcomer: &Entry) -> Option<EnvelopeHash> {
        let Entry { precedence, lane, room, envelope: _, arrival: _ } = newcomer;
        let (lowest, longest, of) = self.by_room.last()?;
        let own = self.lanes.get(&(*precedence, *lane)).map_or(0, |queue| queue.room);
        let equal_and_longer = lowest == precedence && *longest > own.saturating_add(*room);
        let queue = self.lanes.get(&(*lowest, *of)).filter(|_| lowest > precedence || equal_and_longer)?;
        queue.by_arrival.values().next_back().copied()
    }

    /// Puts an entry into its lane, which was `served` then if it was there before.
    fn insert(&mut self, entry: Entry, served: u64) {
        let (precedence, lane, hash) = (entry.precedence, entry.lane, entry.envelope.hash());
        let body = entry.envelope.body();
        let queue = self.lanes.entry((precedence, lane)).or_default();
        self.by_room.remove(&(precedence, queue.room, lane));
        queue.room = queue.room.saturating_add(entry.room);
        queue.served = queue.served.max(served);
        queue.by_arrival.insert(entry.arrival, hash);
        self.by_room.insert((precedence, queue.room, lane));
        if let author @ (Author::OnStudy(..) | Author::Accuser(_)) = body.action.author() {
            let count = self.of_signer.entry((precedence, author)).or_default();
            *count = count.saturating_add(1);
        }
        self.room = self.room.saturating_add(entry.room);
        self.by_hash.insert(hash, entry);
    }

    /// Takes an entry out of its lane, and says when that was served.
    fn take(&mut self, hash: &EnvelopeHash) -> Option<(Entry, u64)> {
        let entry = self.by_hash.remove(hash)?;
        let (precedence, lane, body) = (entry.precedence, entry.lane, entry.envelope.body());
        let mut served = 0;
        if let Some(queue) = self.lanes.get_mut(&(precedence, lane)) {
            served = queue.served;
            self.by_room.remove(&(precedence, queue.room, lane));
            queue.room = queue.room.saturating_sub(entry.room);
            queue.by_arrival.remove(&entry.arrival);
            if queue.by_arrival.is_empty() {
                self.lanes.remove(&(precedence, lane));
            } else {
                self.by_room.insert((precedence, queue.room, lane));
            }
        }
        let signer = (precedence, body.action.author());
        if let Some(count) = self.of_signer.get_mut(&signer) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.of_signer.remove(&signer);
            }
        }
        self.room = self.room.saturating_sub(entry.room);
        Some((entry, served))
    }
}
