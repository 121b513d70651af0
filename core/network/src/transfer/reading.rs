//! What the source reads from its disk, verified, in the form in which it is sent.
//!
//! Everything here reads files, and is called where that keeps nobody waiting.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use clavicle_manifest::{SUBTREE_LEN, StoredDigest, Subtrees};

use super::message::{Lead, Want};
use super::send::Gate;
use crate::pack::{piece_len, pieces};

/// About how many bytes of small items are read at a time.
const BLOCK: usize = 256 * 1024;

/// Stored bytes, as a source has them on its disk.
#[derive(Debug)]
pub struct Kept {
    /// The bytes, from their first on. They are verified as they are read.
    pub file: File,
    /// The subtrees below their digest; none for 1 MiB or less. They are verified too.
    pub subtrees: Subtrees,
}

/// Reads what is wanted, block by block.
pub(super) struct Reading {
    gate: Arc<dyn Gate>,
    items: Arc<[(StoredDigest, u64)]>,
    withheld: Arc<BTreeSet<StoredDigest>>,
    wants: VecDeque<Want>,
    large: Option<Large>,
    /// Items that came to their end in this block.
    whole: u32,
}

/// A large item that is being read.
struct Large {
    stored: StoredDigest,
    size: u64,
    kept: Kept,
    next: u32,
}

impl Reading {
    /// Items are digests and sizes, by place; all places that are wanted are among them.
    pub(super) fn new(
        gate: &Arc<dyn Gate>,
        items: &Arc<[(StoredDigest, u64)]>,
        withheld: &Arc<BTreeSet<StoredDigest>>,
        wants: Vec<Want>,
    ) -> Self {
        let (gate, items, withheld) = (Arc::clone(gate), Arc::clone(items), Arc::clone(withheld));
        Self { gate, items, withheld, wants: wants.into(), large: None, whole: 0 }
    }

    /// The next bytes to be sent, and how many items come to their end with them; no bytes when all that is wanted was read.
    pub(super) fn next(&mut self) -> (Vec<u8>, u32) {
        let mut block = Vec::new();
        self.whole = 0;
        while block.len() < BLOCK {
            if let Some(large) = self.large.take() {
                self.large = self.read_mib(large, &mut block);
                continue;
            }
            let Some(want) = self.wants.pop_front() else { break };
            self.begin(want, &mut block);
        }
        (block, self.whole)
    }

    fn begin(&mut self, Want { place, from }: Want, block: &mut Vec<u8>) {
        let item = usize::try_from(place).ok().and_then(|place| self.items.get(place).copied());
        let Some((stored, size)) = item.filter(|(stored, _)| !self.withheld.contains(stored)) else {
            return block.extend_from_slice(&Lead { place, follows: false }.to_bytes());
        };
        let begin = block.len();
        block.extend_from_slice(&Lead { place, follows: true }.to_bytes());
        match self.read(stored, size, from, block) {
            Ok(None) => self.whole += 1,
            Ok(large) => self.large = large,
            Err(error) => {
                self.gate.damaged(&stored, &error);
                block.truncate(begin);
                block.extend_from_slice(&Lead { place, follows: false }.to_bytes());
            }
        }
    }

    /// Reads all of a small item, or the subtrees of a large one.
    fn read(&self, stored: StoredDigest, size: u64, from: u32, block: &mut Vec<u8>) -> io::Result<Option<Large>> {
        let mut kept = self.gate.open(&stored, size)?;
        if kept.file.metadata()?.len() != size {
            return Err(other("it does not have the length it had"));
        }
        if Subtrees::due(size) == 0 {
            let bytes = read_exact(&kept.file, size, block)?;
            return if StoredDigest::of(bytes) == stored { Ok(None) } else { Err(other("it is not what it was")) };
        }
        kept.subtrees.check(size, &stored).map_err(io::Error::other)?;
        block.extend(kept.subtrees.as_slice().iter().flatten());
        kept.file.seek(SeekFrom::Start(u64::from(from).saturating_mul(SUBTREE_LEN)))?;
        Ok(Some(Large { stored, size, kept, next: from }))
    }

    /// Reads a MiB of a large item, and gives it back if more of it follows.
    fn read_mib(&mut self, large: Large, block: &mut Vec<u8>) -> Option<Large> {
        let Large { stored, size, ref kept, next } = large;
        if next >= pieces(size) {
            self.whole += 1;
            return None;
        }
        let begin = block.len();
        block.push(1);
        let read = read_exact(&kept.file, piece_len(size, next), block).and_then(|bytes| {
            let number = usize::try_from(next).unwrap_or(usize::MAX);
            kept.subtrees.verify(number, bytes).map_err(io::Error::other)
        });
        match read {
            // Counted with its last bytes: nothing may come behind them that it could be counted with.
            Ok(()) if next.saturating_add(1) >= pieces(size) => {
                self.whole += 1;
                None
            }
            Ok(()) => Some(Large { next: next.saturating_add(1), ..large }),
            Err(error) => {
                self.gate.damaged(&stored, &error);
                block.truncate(begin);
                block.push(0);
                None
            }
        }
    }
}

/// Reads `len` bytes to the end of a block, and shows them.
fn read_exact<'a>(mut file: &File, len: u64, block: &'a mut Vec<u8>) -> io::Result<&'a [u8]> {
    let begin = block.len();
    block.reserve_exact(usize::try_from(len).unwrap_or(0));
    let read = file.by_ref().take(len).read_to_end(block)?;
    if read as u64 == len { Ok(&block[begin..]) } else { Err(other("it is shorter than it was")) }
}

fn other(what: &'static str) -> io::Error {
    io::Error::other(what)
}
