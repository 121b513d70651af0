//! What the source committed to on the ledger, and what it may forget.

use std::collections::BTreeMap;

use clavicle_ledger::block::InclusionProof;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::id::{AnchorRoot, EnvelopeHash, ReceiptDigest, StudyId};
use clavicle_ledger::light::CertifiedHeader;
use clavicle_ledger::receipt::{
    Anchored, Entry, Inclusion, MAX_STATED, MAX_STATED_ANCHORS, ProvenAnchor, Stated, Statement, anchor_root,
};
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_ledger::transaction::{Action, Envelope};
use redb::{ReadableDatabase as _, ReadableTable};

use super::row::{AnchorRow, ReceiptRow};
use super::{ANCHORS, COUNTS, FOLLOWED, NEXT, ORDER, RECEIPTS, REVOCATIONS, RUNS, Receipts, UNANCHORED};
use crate::store::{StoreError, begin_write, read_row};

/// The most receipts in one anchor.
pub const MAX_ANCHORED: u64 = 8_192;

/// The most bytes of a statement, but for its last receipt and anchor.
const MAX_STATEMENT: usize = 1024 * 1024;

/// Receipts that no anchor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanchored {
    /// How many.
    pub count: u64,
    /// When the last anchor was made; nothing before the first.
    pub last: Option<Timestamp>,
}

/// An anchor that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAnchor {
    /// Its place in the source's row of anchors.
    pub sequence: u64,
    /// How many receipts are in it.
    pub count: u32,
    /// When it was made.
    pub at: Timestamp,
    /// The transaction.
    pub envelope: Envelope,
    /// Where it was executed; nothing while it is not known to be.
    pub height: Option<Height>,
}

/// That an anchor was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its place in the source's row of anchors.
    pub sequence: u64,
    /// What it is over.
    pub root: AnchorRoot,
    /// Where.
    pub height: Height,
}

fn kept(sequence: u64, row: AnchorRow) -> KeptAnchor {
    let AnchorRow { first: _, count, at, envelope, height } = row;
    KeptAnchor { sequence, count, at, envelope, height }
}

impl Receipts {
    /// The receipts that no anchor has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unanchored(&self) -> Result<Unanchored, StoreError> {
        let transaction = self.database.begin_read()?;
        let counts = transaction.open_table(COUNTS)?;
        let count = |name| Ok::<_, StoreError>(counts.get(name)?.map_or(0, |count| count.value()));
        let anchors = transaction.open_table(ANCHORS)?;
        let last = anchors.last()?;
        let last = last.map(|(_, row)| read_row::<AnchorRow>(row.value())).transpose()?.map(|row| row.at);
        Ok(Unanchored { count: count(NEXT)?.saturating_sub(count(UNANCHORED)?), last })
    }

    /// The anchors that are kept from a sequence on, the first `most`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn anchors(&self, from: u64, most: usize) -> Result<Vec<KeptAnchor>, StoreError> {
        let table = self.database.begin_read()?.open_table(ANCHORS)?;
        let rows = table.range(from..)?.take(most);
        rows.map(|entry| {
            entry.map_err(StoreError::from).and_then(|(at, row)| Ok(kept(at.value(), read_row(row.value())?)))
        })
        .collect()
    }

    /// The anchor that is not known to be executed, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn pending(&self) -> Result<Option<KeptAnchor>, StoreError> {
        let table = self.database.begin_read()?.open_table(ANCHORS)?;
        let last = table.last()?.map(|(at, row)| Ok::<_, StoreError>(kept(at.value(), read_row(row.value())?)));
        Ok(last.transpose()?.filter(|anchor| anchor.height.is_none()))
    }

    /// Makes an anchor, and keeps it: the first [`MAX_ANCHORED`] receipts that none has. Nothing if there are none. While one is not known to be
    /// executed, it is that one again, over the same receipts, signed anew: for a transaction that came too late.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn prepare(
        &self,
        sequence: u64,
        at: Timestamp,
        sign: impl FnOnce(AnchorRoot, u64) -> Envelope,
    ) -> Result<Option<KeptAnchor>, StoreError> {
        let _anchoring = self.anchoring();
        let pending = self.pending()?;
        let transaction = begin_write(&self.database)?;
        let row = {
            let (mut anchors, mut runs) = (transaction.open_table(ANCHORS)?, transaction.open_table(RUNS)?);
            let mut counts = transaction.open_table(COUNTS)?;
            let (first, count) = match &pending {
                Some(pending) => {
                    let row = anchors.remove(pending.sequence)?;
                    let row = row.map(|row| read_row::<AnchorRow>(row.value())).transpose()?;
                    row.map_or((0, 0), |row| (row.first, row.count))
                }
                None => {
                    let next = counts.get(NEXT)?.map_or(0, |next| next.value());
                    let first = counts.get(UNANCHORED)?.map_or(0, |first| first.value());
                    let count = next.saturating_sub(first).min(MAX_ANCHORED);
                    (first, u32::try_from(count).unwrap_or(0))
                }
            };
            if count == 0 {
                return Ok(None);
            }
            let digests = digests(&transaction.open_table(ORDER)?, first, count)?;
            let root = anchor_root(&self.signer.chain, &digests);
            let envelope = sign(root, u64::from(count));
            let row = AnchorRow { first, count, at, envelope, height: None };
            anchors.insert(sequence, encoding::encode(&row).as_slice())?;
            runs.insert(first, sequence)?;
            counts.insert(UNANCHORED, row.end())?;
            row
        };
        transaction.commit()?;
        Ok(Some(kept(sequence, row)))
    }

    /// Up to which height it was looked at which anchors were executed; nothing in the files of an earlier version.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn followed(&self) -> Result<Option<Height>, StoreError> {
        let counts = self.database.begin_read()?.open_table(COUNTS)?;
        Ok(counts.get(FOLLOWED)?.map(|height| height.value()))
    }

    /// Keeps where anchors were executed, and up to which height it was looked at that, in one commit. One that is over other receipts than
    /// the one that is kept at its place stays unknown.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn executed(&self, executed: &[Executed], upto: Height) -> Result<(), StoreError> {
        let _anchoring = self.anchoring();
        let transaction = begin_write(&self.database)?;
        {
            let mut anchors = transaction.open_table(ANCHORS)?;
            for Executed { sequence, root, height } in executed {
                let row = anchors.get(sequence)?.map(|row| read_row::<AnchorRow>(row.value())).transpose()?;
                let is_it = |row: &AnchorRow| match &row.envelope.body.action {
                    Action::Anchor(anchor) => anchor.root == *root,
                    _ => false,
                };
                if let Some(row) = row.filter(is_it) {
                    let row = AnchorRow { height: Some(*height), ..row };
                    anchors.insert(sequence, encoding::encode(&row).as_slice())?;
                }
            }
            let mut counts = transaction.open_table(COUNTS)?;
            let before = counts.get(FOLLOWED)?.map_or(0, |height| height.value());
            counts.insert(FOLLOWED, before.max(upto))?;
        }
        Ok(transaction.commit()?)
    }

    /// Keeps where an anchor was executed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn anchored(&self, sequence: u64, height: Height) -> Result<(), StoreError> {
        let _anchoring = self.anchoring();
        let transaction = begin_write(&self.database)?;
        {
            let mut anchors = transaction.open_table(ANCHORS)?;
            let row = anchors.get(sequence)?.map(|row| read_row::<AnchorRow>(row.value())).transpose()?;
            let Some(row) = row else { return Ok(()) };
            let row = AnchorRow { height: Some(height), ..row };
            anchors.insert(sequence, encoding::encode(&row).as_slice())?;
        }
        Ok(transaction.commit()?)
    }

    /// A study's receipts from a sequence on, with what proves that they are anchored: so many as a statement has room for. `proven` finds the
    /// block that an executed transaction is in.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn statement(
        &self,
        study: StudyId,
        from: u64,
        proven: impl Fn(&EnvelopeHash) -> Result<Option<(CertifiedHeader, InclusionProof)>, StoreError>,
    ) -> Result<Statement, StoreError> {
        let transaction = self.database.begin_read()?;
        let (runs, anchors) = (transaction.open_table(RUNS)?, transaction.open_table(ANCHORS)?);
        let order = transaction.open_table(ORDER)?;
        // One more than there is room for, to know whether there are more.
        let rows = self.rows_of(study, from, MAX_STATED.saturating_add(1))?;
        let (mut stated, mut found, mut bytes) = (Vec::new(), BTreeMap::<u64, Found>::new(), 0usize);
        let mut more = false;
        for ReceiptRow { number, signed } in rows {
            if stated.len() >= MAX_STATED || found.len() >= MAX_STATED_ANCHORS || bytes >= MAX_STATEMENT {
                more = true;
                break;
            }
            let run = runs.range(..=number)?.next_back().transpose()?.map(|(_, sequence)| sequence.value());
            if let Some(sequence) = run
                && !found.contains_key(&sequence)
                && let Some(row) = anchors.get(sequence)?.map(|row| read_row::<AnchorRow>(row.value())).transpose()?
                && row.height.is_some()
                && number < row.end()
                && let Some((header, place)) = proven(&row.envelope.hash())?
            {
                let digests = digests(&order, row.first, row.count)?;
                let anchor = ProvenAnchor { sequence, envelope: Box::new(row.envelope), place, header };
                bytes = bytes.saturating_add(encoding::encode(&anchor).len());
                found.insert(
                    sequence,
                    Found { first: row.first, end: row.first.saturating_add(u64::from(row.count)), digests, anchor },
                );
            }
            let inclusion = run.and_then(|run| found.get(&run)).filter(|found| number < found.end).and_then(|found| {
                let index = usize::try_from(number.saturating_sub(found.first)).ok()?;
                Some(Anchored { anchor: found.anchor.sequence, inclusion: Inclusion::of(&found.digests, index)? })
            });
            let one = Stated { receipt: signed, anchored: inclusion };
            bytes = bytes.saturating_add(encoding::encode(&one).len());
            stated.push(one);
        }
        let damaged = |_| StoreError::damaged("the receipts", None);
        Ok(Statement {
            receipts: Ascending::from_items(stated).map_err(damaged)?,
            anchors: Ascending::from_items(found.into_values().map(|found| found.anchor).collect()).map_err(damaged)?,
            more,
        })
    }

    /// Forgets the receipts of the first anchor, with the anchor, if it was executed and all of them are from before `before`. How many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sweep(&self, before: Timestamp) -> Result<usize, StoreError> {
        let _anchoring = self.anchoring();
        let Some((sequence, row)) = self.outlived(before)? else { return Ok(0) };
        let transaction = begin_write(&self.database)?;
        {
            let (mut receipts, mut order) = (transaction.open_table(RECEIPTS)?, transaction.open_table(ORDER)?);
            let mut revocations = transaction.open_table(REVOCATIONS)?;
            for number in row.first..row.end() {
                let Some((study, at)) = order.remove(number)?.map(|place| place_of(place.value())) else { continue };
                let gone = receipts.remove((study.as_bytes(), at))?;
                let gone = gone.map(|row| read_row::<ReceiptRow>(row.value())).transpose()?;
                if let Some(Entry::RevocationSeen { grant }) = gone.map(|row| row.signed.receipt.entry) {
                    revocations.remove((study.as_bytes(), grant.as_bytes()))?;
                }
            }
            transaction.open_table(ANCHORS)?.remove(sequence)?;
            transaction.open_table(RUNS)?.remove(row.first)?;
        }
        transaction.commit()?;
        Ok(usize::try_from(row.count).unwrap_or(usize::MAX))
    }

    /// The first anchor, if everything in it is over.
    fn outlived(&self, before: Timestamp) -> Result<Option<(u64, AnchorRow)>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (order, receipts) = (transaction.open_table(ORDER)?, transaction.open_table(RECEIPTS)?);
        let anchors = transaction.open_table(ANCHORS)?;
        let Some((sequence, row)) = anchors.first()? else { return Ok(None) };
        let (sequence, row) = (sequence.value(), read_row::<AnchorRow>(row.value())?);
        // Nothing in it is later than the anchor itself, by the same clock; and that is looked at first.
        if row.height.is_none() || row.at >= before {
            return Ok(None);
        }
        for number in row.first..row.end() {
            let Some((study, at)) = order.get(number)?.map(|place| place_of(place.value())) else { continue };
            let receipt = receipts.get((study.as_bytes(), at))?;
            let receipt = receipt.map(|row| read_row::<ReceiptRow>(row.value())).transpose()?;
            if receipt.is_some_and(|row| row.signed.receipt.at >= before) {
                return Ok(None);
            }
        }
        Ok(Some((sequence, row)))
    }
}

/// An anchor of a statement, with what its receipts are proven from.
struct Found {
    first: u64,
    end: u64,
    digests: Vec<ReceiptDigest>,
    anchor: ProvenAnchor,
}

fn place_of((study, sequence, _): (&[u8; 32], u64, &[u8; 32])) -> (StudyId, u64) {
    (StudyId::from_bytes(*study), sequence)
}

/// The digests of `count` receipts from number `first` on.
fn digests<T: ReadableTable<u64, (&'static [u8; 32], u64, &'static [u8; 32])>>(
    order: &T,
    first: u64,
    count: u32,
) -> Result<Vec<ReceiptDigest>, StoreError> {
    let run = order.range(first..first.saturating_add(u64::from(count)))?;
    let digests: Vec<ReceiptDigest> = run
        .map(|entry| entry.map(|(_, place)| ReceiptDigest::from_bytes(*place.value().2)))
        .collect::<Result<_, redb::StorageError>>()?;
    let whole = digests.len() == usize::try_from(count).unwrap_or(usize::MAX);
    if whole { Ok(digests) } else { Err(StoreError::damaged("the receipts of an anchor", None)) }
}
