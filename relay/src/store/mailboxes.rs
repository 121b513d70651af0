//! Mailboxes: sealed messages that wait for people who are not there.
//!
//! A relay keeps them for anybody whose key opened one, and knows neither who that is nor what is inside. Whoever holds the
//! mailbox's token may deposit; whoever holds its key collects, and what was collected stays until it is acknowledged.
//!
//! ```text
//! boxes_v1      mailbox (32)                      ─► token, end, what is in it
//! ends_v1       end, mailbox (32)                 ─► ()            what ends first is first
//! messages_v1   mailbox (32), number              ─► the message   oldest first
//! digests_v1    mailbox (32), BLAKE3 (32)         ─► number        so that the same message is there once
//! bytes_v1      ()                                ─► bytes in all mailboxes
//! ```
//!
//! Everything has a limit, and what is over it is refused, never pushed out: a stranger who fills a mailbox cannot make it
//! forget. Sizes are four, so that a size says little. The signature in a collection is for
//! [`Challenger`](crate::challenge::Challenger) to check, before.

use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{self, Bytes, Wire};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{DAY_MS, LocalTime, Timestamp};
use clavicle_network::message::{
    Acknowledged, Collection, List, MAX_COLLECTED, MAX_DEPOSITS, MAX_RESPONSE_LEN, MAX_SEALED_LEN, MailboxRefusal,
    SignedOpening, Token,
};
use redb::{Database, ReadableDatabase as _, ReadableTable, ReadableTableMetadata as _, TableDefinition};

use super::{StoreError, begin_write, open_small, read_row};

const BOXES: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("boxes_v1");
const ENDS: TableDefinition<'_, (u64, &[u8; 32]), ()> = TableDefinition::new("ends_v1");
const MESSAGES: TableDefinition<'_, (&[u8; 32], u64), &[u8]> = TableDefinition::new("messages_v1");
const DIGESTS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), u64> = TableDefinition::new("digests_v1");
const BYTES: TableDefinition<'_, (), u64> = TableDefinition::new("bytes_v1");

/// The sizes that a sealed message may have, in bytes.
pub const SEALED_LENS: [usize; 4] = [1024, 4 * 1024, 16 * 1024, MAX_SEALED_LEN];
/// For how long a mailbox may be kept, in milliseconds: thirty days, up to a midnight. It can be opened again before it ends.
pub const LONGEST_MS: u64 = DAY_MS * 31;
/// The most bytes in one mailbox.
pub const MAX_BOX_BYTES: u64 = 1024 * 1024;
/// The most mailboxes that one sweep takes away.
pub const MAX_SWEPT: usize = 64;

/// By how much the clock of whoever opens a mailbox may be ahead, in milliseconds.
const CLOCK_OFF_MS: u64 = 120_000;

// A whole response fits, whatever is collected: each message with its length, and some bytes around them.
const _: () = assert!(MAX_COLLECTED * (MAX_SEALED_LEN + 4) + 64 <= MAX_RESPONSE_LEN);

/// How much a relay keeps for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most mailboxes.
    pub boxes: u64,
    /// The most bytes in all of them.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { boxes: 100_000, bytes: 2 * 1024 * 1024 * 1024 }
    }
}

/// The mailboxes that a relay keeps.
#[derive(Debug)]
pub struct Mailboxes {
    database: Database,
    limits: Limits,
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
    /// A message that tells something by its size.
    #[error("a sealed message is 1, 4, 16 or 64 KiB long and this one is {0} bytes: pad it before it is deposited")]
    Size(usize),
}

impl<E: Into<redb::Error>> From<E> for MailboxError {
    fn from(error: E) -> Self {
        Self::Store(error.into().into())
    }
}

impl MailboxError {
    /// What whoever asked is told; nothing when it is this relay that failed. A message of another size fits in no mailbox.
    #[must_use]
    pub const fn refusal(&self) -> Option<MailboxRefusal> {
        match self {
            Self::Store(_) => None,
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
}

impl Wire for Mailbox {
    const NAME: &'static str = "a mailbox";
    const MAX_LEN: usize = 44;
}

impl Mailboxes {
    /// Opens the mailboxes at `path`, or makes the file, with the usual [`Limits`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Limits::default())
    }

    /// As [`Mailboxes::open`], with other limits.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open_with(path: &Path, limits: Limits) -> Result<Self, StoreError> {
        let database = open_small(path, |transaction| {
            transaction.open_table(BOXES)?;
            transaction.open_table(ENDS)?;
            transaction.open_table(MESSAGES)?;
            transaction.open_table(DIGESTS)?;
            transaction.open_table(BYTES).map(drop)
        })?;
        Ok(Self { database, limits })
    }

    /// Opens a mailbox at this relay, or gives one another token and another end. What is in it stays.
    ///
    /// # Errors
    /// [`MailboxError`]: a refusal as [`MailboxRefusal::Signature`] when it is not signed, for another relay, over already, or
    /// for longer than [`LONGEST_MS`]; as [`MailboxRefusal::Full`] when the relay keeps no more.
    pub fn open_box(
        &self,
        signed: &SignedOpening,
        chain: &ChainId,
        relay: SourceId,
        now: LocalTime,
    ) -> Result<(), MailboxError> {
        let opening = &signed.opening;
        let timely = now.0 < opening.until && opening.until <= now.0.plus(LONGEST_MS).plus(CLOCK_OFF_MS);
        if opening.relay != relay || !timely || signed.verify(chain).is_err() {
            return Err(MailboxError::Refused(MailboxRefusal::Signature));
        }
        let transaction = begin_write(&self.database)?;
        {
            let (mut boxes, mut ends) = (transaction.open_table(BOXES)?, transaction.open_table(ENDS)?);
            let (key, before) = (opening.mailbox.as_bytes(), find(&boxes, &opening.mailbox)?);
            let mailbox = match before {
                Some(before) => {
                    ends.remove((before.until.0, key))?;
                    Mailbox { token: opening.token, until: opening.until, ..before }
                }
                None if boxes.len()? >= self.limits.boxes => {
                    return Err(MailboxError::Refused(MailboxRefusal::Full));
                }
                None => Mailbox { token: opening.token, until: opening.until, messages: 0, bytes: 0, next: 0 },
            };
            boxes.insert(key, encoding::encode(&mailbox).as_slice())?;
            ends.insert((opening.until.0, key), ())?;
        }
        Ok(transaction.commit()?)
    }

    /// Puts a message into a mailbox. One that is in it already stays there once: whoever got no answer may try again.
    ///
    /// # Errors
    /// [`MailboxError`]: a refusal as [`MailboxRefusal::NoMailbox`] also with another token.
    pub fn deposit(&self, mailbox: &Key, token: &Token, sealed: &[u8], now: LocalTime) -> Result<(), MailboxError> {
        if !SEALED_LENS.contains(&sealed.len()) {
            return Err(MailboxError::Size(sealed.len()));
        }
        // Looked at before anything is written: a stranger keeps nobody from writing.
        let boxes = self.database.begin_read()?.open_table(BOXES)?;
        open_to(&boxes, mailbox, token, now)?;
        drop(boxes);

        let (key, digest, len) = (mailbox.as_bytes(), blake3::hash(sealed), len_of(sealed));
        let transaction = begin_write(&self.database)?;
        {
            let mut boxes = transaction.open_table(BOXES)?;
            let (mut digests, mut total) = (transaction.open_table(DIGESTS)?, transaction.open_table(BYTES)?);
            let mut there = open_to(&boxes, mailbox, token, now)?;
            if digests.get((key, digest.as_bytes()))?.is_some() {
                return Ok(());
            }
            let all = total.get(())?.map_or(0, |bytes| bytes.value()).saturating_add(len);
            let bytes = there.bytes.saturating_add(len);
            if there.messages as usize >= MAX_DEPOSITS || bytes > MAX_BOX_BYTES || all > self.limits.bytes {
                return Err(MailboxError::Refused(MailboxRefusal::Full));
            }
            transaction.open_table(MESSAGES)?.insert((key, there.next), sealed)?;
            digests.insert((key, digest.as_bytes()), there.next)?;
            total.insert((), all)?;
            (there.messages, there.bytes) = (there.messages.saturating_add(1), bytes);
            there.next = there.next.saturating_add(1);
            boxes.insert(key, encoding::encode(&there).as_slice())?;
        }
        Ok(transaction.commit()?)
    }

    /// Throws away what a collection acknowledges, then hands out the oldest messages that are left. Whether it is signed as
    /// it must be is for [`Challenger::check`](crate::challenge::Challenger::check), before.
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
        live(&boxes, &collection.mailbox, now)?;
        drop(boxes);
        if !collection.acknowledged.is_empty() {
            self.throw_away(&collection.mailbox, &collection.acknowledged)?;
        }
        let table = self.database.begin_read()?.open_table(MESSAGES)?;
        let oldest = table.range((key, 0)..=(key, u64::MAX))?.take(MAX_COLLECTED);
        let damaged = |_| StoreError::Damaged { what: "a sealed message", error: None };
        let messages = oldest.map(|entry| Ok(Bytes::new(entry?.1.value().to_vec()).map_err(damaged)?));
        Ok(List::of(messages.collect::<Result<Vec<_>, MailboxError>>()?))
    }

    fn throw_away(&self, mailbox: &Key, acknowledged: &[Acknowledged]) -> Result<(), StoreError> {
        let (key, transaction) = (mailbox.as_bytes(), begin_write(&self.database)?);
        {
            let mut boxes = transaction.open_table(BOXES)?;
            let (mut messages, mut digests) = (transaction.open_table(MESSAGES)?, transaction.open_table(DIGESTS)?);
            let Some(mut there) = find(&boxes, mailbox)? else { return Ok(()) };
            let mut freed = 0u64;
            for Acknowledged(digest) in acknowledged {
                let Some(number) = digests.remove((key, digest))?.map(|number| number.value()) else { continue };
                if let Some(message) = messages.remove((key, number))? {
                    freed = freed.saturating_add(len_of(message.value()));
                    there.messages = there.messages.saturating_sub(1);
                }
            }
            if freed == 0 {
                return Ok(());
            }
            there.bytes = there.bytes.saturating_sub(freed);
            boxes.insert(key, encoding::encode(&there).as_slice())?;
            let mut total = transaction.open_table(BYTES)?;
            let all = total.get(())?.map_or(0, |bytes| bytes.value());
            total.insert((), all.saturating_sub(freed))?;
        }
        Ok(transaction.commit()?)
    }

    /// Takes away mailboxes that have ended, with what is in them: [`MAX_SWEPT`] at most, the longest over first. How many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sweep(&self, now: LocalTime) -> Result<usize, StoreError> {
        let transaction = begin_write(&self.database)?;
        let mut swept = 0;
        {
            let (mut boxes, mut ends) = (transaction.open_table(BOXES)?, transaction.open_table(ENDS)?);
            let (mut messages, mut digests) = (transaction.open_table(MESSAGES)?, transaction.open_table(DIGESTS)?);
            let mut total = transaction.open_table(BYTES)?;
            let mut all = total.get(())?.map_or(0, |bytes| bytes.value());
            while swept < MAX_SWEPT {
                let Some((end, key)) = ends.first()?.map(|(first, _)| owned(first.value())) else { break };
                if now.0.0 < end {
                    break;
                }
                ends.remove((end, &key))?;
                if let Some(gone) = boxes.remove(&key)? {
                    all = all.saturating_sub(read_row::<Mailbox>(gone.value())?.bytes);
                }
                messages.retain_in((&key, 0)..=(&key, u64::MAX), |_, _| false)?;
                digests.retain_in((&key, &[0; 32])..=(&key, &[0xff; 32]), |_, _| false)?;
                swept += 1;
            }
            total.insert((), all)?;
        }
        if swept > 0 {
            transaction.commit()?;
        }
        Ok(swept)
    }
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
