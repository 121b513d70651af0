//! Mailboxes: sealed messages that wait for people who are not there.
//!
//! A relay keeps them for anybody whose key opened one, and knows neither who that is nor what is inside. Whoever
//! holds the mailbox's token may deposit; whoever holds its key collects, and what was collected stays until it is
//! acknowledged.
//!
//! ```text
//! boxes_v2      mailbox (32)                      ─► token, end, what is in it, since when it was never collected from
//! ends_v1       end, mailbox (32)                 ─► ()            what ends first is first
//! strangers_v1  since when, mailbox (32)          ─► ()            never collected from, the oldest first
//! messages_v1   mailbox (32), number              ─► the message   oldest first
//! digests_v1    mailbox (32), BLAKE3 (32)         ─► number        so that the same message is there once
//! spent_v1      period, mailbox (32), salt (16)   ─► ()            work that has bought something
//! room_v1       never collected from?             ─► bytes that such mailboxes take up
//! ```
//!
//! # Who may have how much
//!
//! Each mailbox has [`ROOM_OF_EACH`] of its own: it takes up that much as soon as it is open, so that what others
//! deposit elsewhere never keeps a letter out of it. What is beyond that, up to [`MAX_BOX_BYTES`], comes out of what
//! no mailbox has of its own. All sizes are four, so that a size says little.
//!
//! Anybody may open one, and pays for it, and for each time that its end is put off, with some computing ([`work`]).
//! That links nobody to anything. When more than half of all room is taken it costs more, up to sixteen times as
//! much, and whoever comes from one network address has no more than a share of what is left.
//!
//! What is stored is never pushed out, but for one thing: when there is no room, mailboxes go that nobody ever
//! collected from, the oldest first. Wallets collect as soon as they have opened one, so that theirs never do.
//!
//! Whoever was shown a card can deposit into its mailbox. When that is half full, whoever comes from one address has
//! a share of what is left in it, too.
//!
//! # What a flood costs
//!
//! [`Limits::default`] has room for 65,536 mailboxes. To take all of it by opening mailboxes costs 32,768 times the
//! usual price, and from there on two to sixteen times that, 278,528 prices in all: 1.2 · 10¹² hashes. That is a day
//! and a half of one core of a server, and by estimate two to twenty minutes of a graphics card ([`work`]). It takes
//! addresses besides: from N of them an (N + 1)-th stays free for others. So a flood from few addresses shuts nobody
//! out, whatever it computes. One from tens of thousands, by whoever has such a card, does: openings are refused then
//! until mailboxes end, a month later at most, and to keep them costs as much again. What is open goes on, with its
//! own room. What addresses took is forgotten when the relay is started anew.
//!
//! The signature in a collection is for [`Challenger`](crate::challenge::Challenger) to check, before.

mod shares;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_admission::Neighbourhood;
use clavicle_ledger::encoding::{self, Bytes, Wire};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{DAY_MS, LocalTime, Timestamp};
use clavicle_letters::mailbox::{MAX_SEALED_LEN, Token};
use clavicle_network::message::{
    Acknowledged, Collection, List, MAX_COLLECTED, MAX_DEPOSITS, MAX_RESPONSE_LEN, MailboxRefusal, SignedOpening,
};
use clavicle_network::work::{self, Price, Purpose, Work};
use redb::{
    Database, ReadableDatabase as _, ReadableTable, Table, TableDefinition, TableHandle as _, WriteTransaction,
};

use self::shares::Shares;
use super::{StoreError, begin_write, open_small, read_row};

const BOXES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("boxes_v2");
/// As they were before it was known which are collected from.
const BOXES_V1: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("boxes_v1");
const BYTES_V1: TableDefinition<'_, (), u64> = TableDefinition::new("bytes_v1");
const ENDS: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("ends_v1");
const STRANGERS: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("strangers_v1");
const MESSAGES: TableDefinition<'_, (&[u8; 32], u64), &[u8]> = TableDefinition::new("messages_v1");
const DIGESTS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), u64> = TableDefinition::new("digests_v1");
const SPENT: TableDefinition<'_, (u64, &[u8; 32], &[u8; 16]), ()> = TableDefinition::new("spent_v1");
const ROOM: TableDefinition<'_, bool, u64> = TableDefinition::new("room_v1");

/// The sizes that a sealed message may have, in bytes.
pub const SEALED_LENS: [usize; 4] = [1024, 4 * 1024, 16 * 1024, MAX_SEALED_LEN];
/// For how long a mailbox may be kept, in milliseconds: thirty days, up to a midnight. It can be opened again before
/// it ends.
pub const LONGEST_MS: u64 = DAY_MS * 31;
/// The most bytes in one mailbox.
pub const MAX_BOX_BYTES: u64 = 1024 * 1024;
/// What each mailbox has for itself, in bytes: letters on a whole card of grants.
pub const ROOM_OF_EACH: u64 = 32 * 1024;
/// The most mailboxes that one sweep takes away.
pub const MAX_SWEPT: usize = 64;

/// By how much the clock of whoever opens a mailbox may be ahead, in milliseconds.
const CLOCK_OFF_MS: u64 = 120_000;

// A whole response fits, whatever is collected: each message with its length, and some bytes around them.
const _: () = assert!(MAX_COLLECTED * (MAX_SEALED_LEN + 4) + 64 <= MAX_RESPONSE_LEN);

/// How much a relay keeps for others, and at what price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes that all mailboxes take up.
    pub bytes: u64,
    /// How many hashes a mailbox costs while less than half of that is taken.
    pub effort: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 2 * 1024 * 1024 * 1024, effort: u64::from(work::EFFORT) }
    }
}

impl Limits {
    /// What a mailbox costs while so many bytes are taken up: twice as much from each eighth to the next, beyond half
    /// of all.
    const fn effort_at(&self, taken: u64) -> u64 {
        let eighths = taken.saturating_mul(8) / if self.bytes == 0 { 1 } else { self.bytes };
        let doublings = match eighths {
            0..4 => 0,
            4 => 1,
            5 => 2,
            6 => 3,
            _ => 4,
        };
        self.effort.saturating_mul(1 << doublings)
    }
}

/// The relay that keeps them.
#[derive(Clone, Copy, Debug)]
pub struct KeptBy {
    /// The network.
    pub chain: ChainId,
    /// Whose it is.
    pub relay: SourceId,
    /// Its libp2p key.
    pub relay_peer: Key,
}

/// The mailboxes that a relay keeps.
#[derive(Debug)]
pub struct Mailboxes {
    database: Database,
    limits: Limits,
    shares: Mutex<AllShares>,
}

/// What was taken from where.
#[derive(Debug)]
struct AllShares {
    /// Of the room of all mailboxes.
    room: Shares<(), Neighbourhood>,
    /// Of the messages of each.
    messages: Shares<Key, Neighbourhood>,
    /// Of the bytes of each.
    bytes: Shares<Key, Neighbourhood>,
}

/// Why nothing was done about a mailbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// See [`MailboxRefusal`].
    #[error("{0}")]
    Refused(MailboxRefusal),
    /// It costs work, and none was done, or too little, or for something else, or it was spent already.
    #[error("to open a mailbox costs computing: {} hashes", .0.effort)]
    Price(Price),
    /// A message that tells something by its size.
    #[error("a sealed message is 1, 4, 16 or 64 KiB long and this one is {0} bytes: pad it before it is deposited")]
    Size(usize),
}

impl<E: Into<redb::Error>> From<E> for MailboxError {
    fn from(error: E) -> Self {
        Self::Store(StoreError::from(error.into()))
    }
}

impl MailboxError {
    /// What whoever asked is told; nothing when it is this relay that failed, or has a price. A message of another
    /// size fits in no mailbox.
    #[must_use]
    pub const fn refusal(&self) -> Option<MailboxRefusal> {
        match self {
            Self::Store(_) | Self::Price(_) => None,
            Self::Refused(refusal) => Some(*refusal),
            Self::Size(_) => Some(MailboxRefusal::Full),
        }
    }
}

/// A mailbox.
#[derive(Clone, Debug, BorshSerialize, BorshDeserialize)]
struct Mailbox {
    token: Token,
    /// The first moment at which it is none any more.
    until: Timestamp,
    messages: u32,
    bytes: u64,
    /// The number of the next message.
    next: u64,
    /// When it was opened, as long as nobody has collected from it.
    stranger_since: Option<Timestamp>,
}

impl Wire for Mailbox {
    const NAME: &'static str = "a mailbox";
    const MAX_LEN: usize = 53;
}

impl Mailbox {
    /// How much it takes up.
    const fn room(&self) -> u64 {
        if self.bytes > ROOM_OF_EACH { self.bytes } else { ROOM_OF_EACH }
    }
}

/// A mailbox as it was before it was known which are collected from.
#[derive(BorshDeserialize, BorshSerialize)]
struct MailboxV1 {
    token: Token,
    until: Timestamp,
    messages: u32,
    bytes: u64,
    next: u64,
}

impl Wire for MailboxV1 {
    const NAME: &'static str = "a mailbox of before";
    const MAX_LEN: usize = 44;
}

impl Mailboxes {
    /// Opens the mailboxes at `path`, or makes the file.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let database = open_small(path, |transaction| {
            transaction.open_table(BOXES)?;
            transaction.open_table(ENDS)?;
            transaction.open_table(STRANGERS)?;
            transaction.open_table(MESSAGES)?;
            transaction.open_table(DIGESTS)?;
            transaction.open_table(SPENT)?;
            transaction.open_table(ROOM).map(drop)
        })?;
        take_over_v1(&database)?;
        let shares = AllShares { room: Shares::new(), messages: Shares::new(), bytes: Shares::new() };
        Ok(Self { database, limits, shares: Mutex::new(shares) })
    }

    fn shares(&self) -> MutexGuard<'_, AllShares> {
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a mailbox at this relay, or gives one another token and another end. What is in it stays. A new one, and
    /// a later end, cost work.
    ///
    /// # Errors
    /// [`MailboxError`]: [`MailboxError::Price`]; a refusal as [`MailboxRefusal::Signature`] when it is not signed,
    /// for another relay, over already, or for longer than [`LONGEST_MS`]; as [`MailboxRefusal::Full`] when the relay
    /// keeps no more, as [`MailboxRefusal::Share`] when it keeps no more for whoever comes from there.
    pub fn open_box(
        &self,
        signed: &SignedOpening,
        work: Option<&Work>,
        by: &KeptBy,
        from: Neighbourhood,
        now: LocalTime,
    ) -> Result<(), MailboxError> {
        let opening = &signed.opening;
        let timely = now.0 < opening.until && opening.until <= now.0.plus(LONGEST_MS).plus(CLOCK_OFF_MS);
        if opening.relay != by.relay || !timely {
            return Err(MailboxError::Refused(MailboxRefusal::Signature));
        }
        // Looked at before anything is written: a stranger keeps nobody from writing.
        let reading = self.database.begin_read()?;
        let before = find(&reading.open_table(BOXES)?, &opening.mailbox)?;
        let is_more = |before: &Option<Mailbox>| before.as_ref().is_none_or(|before| opening.until > before.until);
        if is_more(&before) {
            let effort = self.effort(&reading.open_table(ROOM)?)?;
            let price = Price { effort, period: work::period_of(now.0) };
            let purpose =
                Purpose { chain: by.chain, relay: by.relay, relay_peer: by.relay_peer, mailbox: opening.mailbox };
            let recent = price.period.saturating_sub(1)..=price.period;
            if !work.is_some_and(|work| recent.contains(&work.period) && work.is_enough(&purpose, price.effort)) {
                return Err(MailboxError::Price(price));
            }
        }
        if signed.verify(&by.chain).is_err() {
            return Err(MailboxError::Refused(MailboxRefusal::Signature));
        }
        drop(reading);

        let transaction = begin_write(&self.database)?;
        let key = opening.mailbox.as_bytes();
        let before = find(&transaction.open_table(BOXES)?, &opening.mailbox)?;
        let is_new = before.is_none();
        if is_more(&before) {
            let mut spent = transaction.open_table(SPENT)?;
            let period = work::period_of(now.0);
            spent.retain_in((0, &[0; 32], &[0; 16])..(period.saturating_sub(1), &[0; 32], &[0; 16]), |_, ()| false)?;
            // That there is none, though it was looked for, takes that the mailbox was another a moment ago.
            let new = match work {
                Some(work) => spent.insert((work.period, key, &work.salt), ())?.is_none(),
                None => false,
            };
            if !new {
                let effort = self.effort(&transaction.open_table(ROOM)?)?;
                return Err(MailboxError::Price(Price { effort, period }));
            }
        }
        let mailbox = match before {
            Some(before) => {
                transaction.open_table(ENDS)?.remove((before.until.0, key))?;
                Mailbox { token: opening.token, until: opening.until, ..before }
            }
            None => {
                self.make_room(&transaction, ROOM_OF_EACH, &opening.mailbox, from, now)?;
                transaction.open_table(STRANGERS)?.insert((now.0.0, key), ())?;
                add(&mut transaction.open_table(ROOM)?, true, ROOM_OF_EACH)?;
                let (token, until) = (opening.token, opening.until);
                Mailbox { token, until, messages: 0, bytes: 0, next: 0, stranger_since: Some(now.0) }
            }
        };
        transaction.open_table(BOXES)?.insert(key, encoding::encode(&mailbox).as_slice())?;
        transaction.open_table(ENDS)?.insert((opening.until.0, key), ())?;
        transaction.commit()?;
        if is_new {
            self.shares().room.take((), from, ROOM_OF_EACH, now.0);
        }
        Ok(())
    }

    /// What a mailbox costs now.
    fn effort(&self, room: &impl ReadableTable<bool, u64>) -> Result<u64, StoreError> {
        Ok(self.limits.effort_at(taken(room, false)?.saturating_add(taken(room, true)?)))
    }

    /// Sees to it that there is room for `want` bytes more, of `mailbox`: mailboxes that were never collected from go
    /// for it, but not that one.
    fn make_room(
        &self,
        transaction: &WriteTransaction,
        want: u64,
        mailbox: &Key,
        from: Neighbourhood,
        now: LocalTime,
    ) -> Result<(), MailboxError> {
        let (kept, all) = {
            let room = transaction.open_table(ROOM)?;
            let kept = taken(&room, false)?;
            (kept, kept.saturating_add(taken(&room, true)?))
        };
        // What was never collected from is as good as free.
        let free = self.limits.bytes.saturating_sub(kept);
        if all.saturating_add(want) > self.limits.bytes / 2 && !self.shares().room.may(&(), &from, want, free, now.0) {
            let refusal = if want > free { MailboxRefusal::Full } else { MailboxRefusal::Share };
            return Err(MailboxError::Refused(refusal));
        }
        let mut over = all.saturating_add(want).saturating_sub(self.limits.bytes);
        while over > 0 {
            let oldest = {
                let strangers = transaction.open_table(STRANGERS)?;
                let mut all = strangers.iter()?;
                loop {
                    match all.next().transpose()? {
                        None => break None,
                        Some((key, _)) if key.value().1 == mailbox.as_bytes() => {}
                        Some((key, _)) => break Some(owned(key.value()).1),
                    }
                }
            };
            let oldest = oldest.ok_or(MailboxError::Refused(MailboxRefusal::Full))?;
            over = over.saturating_sub(self.take_away(transaction, &oldest)?);
        }
        Ok(())
    }

    /// Takes a mailbox away, with what is in it. How much it took up.
    fn take_away(&self, transaction: &WriteTransaction, key: &[u8; 32]) -> Result<u64, StoreError> {
        let Some(gone) =
            transaction.open_table(BOXES)?.remove(key)?.map(|row| read_row::<Mailbox>(row.value())).transpose()?
        else {
            return Ok(0);
        };
        transaction.open_table(ENDS)?.remove((gone.until.0, key))?;
        if let Some(since) = gone.stranger_since {
            transaction.open_table(STRANGERS)?.remove((since.0, key))?;
        }
        transaction.open_table(MESSAGES)?.retain_in((key, 0)..=(key, u64::MAX), |_, _| false)?;
        transaction.open_table(DIGESTS)?.retain_in((key, &[0; 32])..=(key, &[0xff; 32]), |_, _| false)?;
        take(&mut transaction.open_table(ROOM)?, gone.stranger_since.is_some(), gone.room())?;
        let (mut shares, key) = (self.shares(), Key::from_bytes(*key));
        shares.messages.forget(&key);
        shares.bytes.forget(&key);
        Ok(gone.room())
    }

    /// Puts a message into a mailbox. One that is in it already stays there once: whoever got no answer may try again.
    ///
    /// # Errors
    /// [`MailboxError`]: a refusal as [`MailboxRefusal::NoMailbox`] also with another token.
    pub fn deposit(
        &self,
        mailbox: &Key,
        token: &Token,
        sealed: &[u8],
        from: Neighbourhood,
        now: LocalTime,
    ) -> Result<(), MailboxError> {
        if !SEALED_LENS.contains(&sealed.len()) {
            return Err(MailboxError::Size(sealed.len()));
        }
        // Looked at before anything is written: a stranger keeps nobody from writing.
        let boxes = self.database.begin_read()?.open_table(BOXES)?;
        open_to(&boxes, mailbox, token, now)?;
        drop(boxes);

        let (key, digest, len) = (mailbox.as_bytes(), blake3::hash(sealed), len_of(sealed));
        let transaction = begin_write(&self.database)?;
        let mut there = open_to(&transaction.open_table(BOXES)?, mailbox, token, now)?;
        if transaction.open_table(DIGESTS)?.get((key, digest.as_bytes()))?.is_some() {
            return Ok(());
        }
        self.has_room(mailbox, &there, len, from, now)?;
        let before = there.room();
        (there.messages, there.bytes) = (there.messages.saturating_add(1), there.bytes.saturating_add(len));
        let more = there.room().saturating_sub(before);
        if more > 0 {
            self.make_room(&transaction, more, mailbox, from, now)?;
            add(&mut transaction.open_table(ROOM)?, there.stranger_since.is_some(), more)?;
        }
        transaction.open_table(MESSAGES)?.insert((key, there.next), sealed)?;
        transaction.open_table(DIGESTS)?.insert((key, digest.as_bytes()), there.next)?;
        there.next = there.next.saturating_add(1);
        transaction.open_table(BOXES)?.insert(key, encoding::encode(&there).as_slice())?;
        transaction.commit()?;
        let mut shares = self.shares();
        shares.messages.take(*mailbox, from, 1, now.0);
        shares.bytes.take(*mailbox, from, len, now.0);
        if more > 0 {
            shares.room.take((), from, more, now.0);
        }
        Ok(())
    }

    /// Whether a mailbox has room for one more message, of this length and from there.
    fn has_room(
        &self,
        mailbox: &Key,
        there: &Mailbox,
        len: u64,
        from: Neighbourhood,
        now: LocalTime,
    ) -> Result<(), MailboxError> {
        let most = u64::try_from(MAX_DEPOSITS).unwrap_or(u64::MAX);
        let (messages, bytes) = (u64::from(there.messages), there.bytes);
        let refused = |refusal| Err(MailboxError::Refused(refusal));
        if messages >= most || bytes.saturating_add(len) > MAX_BOX_BYTES {
            return refused(MailboxRefusal::Full);
        }
        let shares = self.shares();
        let (many, much) = (messages >= most / 2, bytes.saturating_add(len) > MAX_BOX_BYTES / 2);
        let may = (!many || shares.messages.may(mailbox, &from, 1, most.saturating_sub(messages), now.0))
            && (!much || shares.bytes.may(mailbox, &from, len, MAX_BOX_BYTES.saturating_sub(bytes), now.0));
        if may { Ok(()) } else { refused(MailboxRefusal::Share) }
    }

    /// Throws away what a collection acknowledges, then hands out the oldest messages that are left. Whether it is
    /// signed as it must be is for [`Challenger::check`](crate::challenge::Challenger::check), before.
    ///
    /// # Errors
    /// [`MailboxError`]: a refusal as [`MailboxRefusal::NoMailbox`].
    pub fn collect(
        &self,
        collection: &Collection,
        now: LocalTime,
    ) -> Result<List<Bytes<MAX_SEALED_LEN>, MAX_COLLECTED>, MailboxError> {
        let key = collection.mailbox.as_bytes();
        let boxes = self.database.begin_read()?.open_table(BOXES)?;
        let there = live(&boxes, &collection.mailbox, now)?;
        drop(boxes);
        if there.stranger_since.is_some() || !collection.acknowledged.is_empty() {
            self.throw_away(&collection.mailbox, &collection.acknowledged)?;
        }
        let table = self.database.begin_read()?.open_table(MESSAGES)?;
        let oldest = table.range((key, 0)..=(key, u64::MAX))?.take(MAX_COLLECTED);
        let damaged = |_| StoreError::damaged("a sealed message", None);
        let messages = oldest.map(|entry| Ok(Bytes::new(entry?.1.value().to_vec()).map_err(damaged)?));
        Ok(List::of(messages.collect::<Result<Vec<_>, MailboxError>>()?))
    }

    /// Whether something lies in a mailbox. Whoever asks is its owner.
    ///
    /// # Errors
    /// [`MailboxError`]: a refusal as [`MailboxRefusal::NoMailbox`].
    pub fn has_mail(&self, mailbox: &Key, now: LocalTime) -> Result<bool, MailboxError> {
        let boxes = self.database.begin_read()?.open_table(BOXES)?;
        Ok(live(&boxes, mailbox, now)?.messages > 0)
    }

    /// Its owner was there: it is nobody's that is pushed out, and what was acknowledged goes.
    fn throw_away(&self, mailbox: &Key, acknowledged: &[Acknowledged]) -> Result<(), StoreError> {
        let (key, transaction) = (mailbox.as_bytes(), begin_write(&self.database)?);
        {
            let mut boxes = transaction.open_table(BOXES)?;
            let (mut messages, mut digests) = (transaction.open_table(MESSAGES)?, transaction.open_table(DIGESTS)?);
            let Some(mut there) = find(&boxes, mailbox)? else { return Ok(()) };
            let (before, since) = (there.room(), there.stranger_since.take());
            let mut freed = 0u64;
            for Acknowledged(digest) in acknowledged {
                let Some(number) = digests.remove((key, digest))?.map(|number| number.value()) else { continue };
                if let Some(message) = messages.remove((key, number))? {
                    freed = freed.saturating_add(len_of(message.value()));
                    there.messages = there.messages.saturating_sub(1);
                }
            }
            if freed == 0 && since.is_none() {
                return Ok(());
            }
            there.bytes = there.bytes.saturating_sub(freed);
            boxes.insert(key, encoding::encode(&there).as_slice())?;
            if let Some(since) = since {
                transaction.open_table(STRANGERS)?.remove((since.0, key))?;
            }
            let mut room = transaction.open_table(ROOM)?;
            take(&mut room, since.is_some(), before)?;
            add(&mut room, false, there.room())?;
            if there.messages == 0 {
                let mut shares = self.shares();
                shares.messages.forget(mailbox);
                shares.bytes.forget(mailbox);
            }
        }
        Ok(transaction.commit()?)
    }

    /// Takes away mailboxes that have ended, with what is in them: [`MAX_SWEPT`] at most, the longest over first. How
    /// many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sweep(&self, now: LocalTime) -> Result<usize, StoreError> {
        let transaction = begin_write(&self.database)?;
        let mut swept = 0;
        while swept < MAX_SWEPT {
            let first = transaction.open_table(ENDS)?.first()?.map(|(first, _)| owned(first.value()));
            let Some((end, key)) = first.filter(|(end, _)| *end <= now.0.0) else { break };
            transaction.open_table(ENDS)?.remove((end, &key))?;
            self.take_away(&transaction, &key)?;
            swept += 1;
        }
        if swept > 0 {
            transaction.commit()?;
        }
        Ok(swept)
    }
}

/// Takes over what a relay of before kept. Whether anybody collected from these mailboxes is not known: none of them
/// is pushed out.
fn take_over_v1(database: &Database) -> Result<(), StoreError> {
    let transaction = begin_write(database)?;
    if !transaction.list_tables()?.any(|table| table.name() == BOXES_V1.name()) {
        return Ok(());
    }
    {
        let (mut boxes, before) = (transaction.open_table(BOXES)?, transaction.open_table(BOXES_V1)?);
        let mut kept = 0u64;
        for entry in before.iter()? {
            let (key, row) = entry?;
            let MailboxV1 { token, until, messages, bytes, next } = read_row(row.value())?;
            let mailbox = Mailbox { token, until, messages, bytes, next, stranger_since: None };
            kept = kept.saturating_add(mailbox.room());
            boxes.insert(key.value(), encoding::encode(&mailbox).as_slice())?;
        }
        add(&mut transaction.open_table(ROOM)?, false, kept)?;
    }
    transaction.delete_table(BOXES_V1)?;
    transaction.delete_table(BYTES_V1)?;
    Ok(transaction.commit()?)
}

fn taken(room: &impl ReadableTable<bool, u64>, of_strangers: bool) -> Result<u64, StoreError> {
    Ok(room.get(of_strangers)?.map_or(0, |bytes| bytes.value()))
}

fn add(room: &mut Table<'_, bool, u64>, of_strangers: bool, bytes: u64) -> Result<(), StoreError> {
    let before = taken(room, of_strangers)?;
    room.insert(of_strangers, before.saturating_add(bytes))?;
    Ok(())
}

fn take(room: &mut Table<'_, bool, u64>, of_strangers: bool, bytes: u64) -> Result<(), StoreError> {
    let before = taken(room, of_strangers)?;
    room.insert(of_strangers, before.saturating_sub(bytes))?;
    Ok(())
}

fn owned((end, key): (u64, &[u8; 32])) -> (u64, [u8; 32]) {
    (end, *key)
}

fn len_of(sealed: &[u8]) -> u64 {
    u64::try_from(sealed.len()).unwrap_or(u64::MAX)
}

fn find<T: ReadableTable<&'static [u8; 32], &'static [u8]>>(
    boxes: &T,
    mailbox: &Key,
) -> Result<Option<Mailbox>, StoreError> {
    boxes.get(mailbox.as_bytes())?.map(|row| read_row(row.value())).transpose()
}

/// The mailbox, if it has not ended.
fn live<T: ReadableTable<&'static [u8; 32], &'static [u8]>>(
    boxes: &T,
    mailbox: &Key,
    now: LocalTime,
) -> Result<Mailbox, MailboxError> {
    let found = find(boxes, mailbox)?.filter(|found| now.0 < found.until);
    found.ok_or(MailboxError::Refused(MailboxRefusal::NoMailbox))
}

/// The mailbox, if it has not ended and this is its token.
fn open_to<T: ReadableTable<&'static [u8; 32], &'static [u8]>>(
    boxes: &T,
    mailbox: &Key,
    token: &Token,
    now: LocalTime,
) -> Result<Mailbox, MailboxError> {
    let found = live(boxes, mailbox, now)?;
    // Hashes of tokens, for `blake3::Hash` compares in constant time.
    if blake3::hash(&found.token.0) == blake3::hash(&token.0) {
        Ok(found)
    } else {
        Err(MailboxError::Refused(MailboxRefusal::NoMailbox))
    }
}
