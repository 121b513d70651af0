//! Snapshots: a whole state handed over in parts, each verified against a header on its own.
//!
//! First comes the [`Skeleton`]: the pages at the top of the state tree, which hash to the header's state root. It says
//! what every part below must hash to, so that [`Chunk`]s can come in any order, from anyone, again after a break, and a
//! false one costs its sender's good name and nothing else.
//!
//! ```text
//! header.state_root ◄─ skeleton: pages above `level` ◄─ 16^level chunks: all rows under one path
//! ```

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::Header;
use crate::encoding::{Bytes, DecodeError, Fault, Wire};
use crate::id::StateRoot;
use crate::state::{self, Changes, MemoryState, StateKey};
use crate::tree::{self, KeyHash, Page, PagePath, Subtree, TreeChanges, TreeReader};

/// The deepest skeleton: 16^4 chunks.
pub const MAX_LEVEL: usize = 4;
/// Pages in the deepest skeleton: 1 + 16 + 16² + 16³.
const MAX_PAGES: usize = 4_369;
/// The longest row, in bytes.
const MAX_ROW_LEN: usize = 128 * 1024;
/// The most rows in a chunk.
const MAX_CHUNK_ROWS: usize = 64 * 1024;

/// The top of the state tree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Skeleton {
    /// The level of the chunks; pages above it are here.
    level: u8,
    pages: Vec<(PagePath, Page)>,
}

/// All rows under one path, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Chunk {
    path: PagePath,
    rows: Vec<(StateKey, Bytes<MAX_ROW_LEN>)>,
}

/// Why a part of a snapshot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// No such level.
    #[error("the skeleton is {0} levels deep; 1 to {MAX_LEVEL} are possible")]
    Level(u8),
    /// It is not the top of this header's state.
    #[error("the skeleton does not lead to the state root of the header")]
    OtherRoot,
    /// A page too few or too many.
    #[error("the skeleton lacks a page, or has one that does not belong in it")]
    Pages,
    /// Not a chunk of this snapshot.
    #[error("the chunk is of a part that this snapshot does not have")]
    OtherPart,
    /// Rows that are not where they belong.
    #[error("the chunk's rows are out of order, or belong in another chunk")]
    Rows,
    /// Not the rows that the skeleton vouches for.
    #[error("the chunk's rows are not those of this state")]
    Altered,
    /// A row that is none.
    #[error(transparent)]
    Row(#[from] DecodeError),
}

/// Something that a snapshot can be taken from.
pub trait SnapshotReader: TreeReader {
    /// Every row whose path is from `first` to `last`, in any order.
    ///
    /// # Errors
    /// When the store fails.
    fn rows_between(&self, first: KeyHash, last: KeyHash) -> Result<Vec<(StateKey, Vec<u8>)>, Self::Error>;
}

impl SnapshotReader for MemoryState {
    fn rows_between(&self, first: KeyHash, last: KeyHash) -> Result<Vec<(StateKey, Vec<u8>)>, Self::Error> {
        let inside = |key: &StateKey| (first..=last).contains(&KeyHash::of(key));
        Ok(self.rows().iter().filter(|(key, _)| inside(key)).map(|(key, row)| (*key, row.clone())).collect())
    }
}

impl Skeleton {
    /// Takes the top `level` levels of pages of a tree, 1 to [`MAX_LEVEL`]; each level makes the chunks sixteen times smaller.
    ///
    /// # Errors
    /// When the store fails.
    pub fn take<T: TreeReader>(reader: &T, level: usize) -> Result<Self, T::Error> {
        let level = level.clamp(1, MAX_LEVEL);
        let (mut pages, mut next) = (Vec::new(), Vec::from([PagePath::ROOT]));
        while let Some(path) = next.pop() {
            let Some(page) = reader.page(&path)? else { continue };
            if path.level().saturating_add(1) < level {
                next.extend(page.branches().filter_map(|nibble| path.child(nibble)));
            }
            pages.push((path, page));
        }
        pages.sort_unstable_by_key(|(path, _)| *path);
        Ok(Self { level: u8::try_from(level).unwrap_or(1), pages })
    }

    /// Checks the skeleton against a header, which the caller trusts.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn check(self, header: &Header) -> Result<Import, SnapshotError> {
        let level = usize::from(self.level);
        if !(1..=MAX_LEVEL).contains(&level) {
            return Err(SnapshotError::Level(self.level));
        }
        let pages: BTreeMap<PagePath, Page> = self.pages.into_iter().collect();
        let Ok(root) = tree::root(&pages);
        if root != header.state_root {
            return Err(SnapshotError::OtherRoot);
        }
        let (mut chunks, mut belong, mut next) = (BTreeMap::new(), 0usize, Vec::new());
        if let Some(top) = pages.get(&PagePath::ROOT) {
            next.push((PagePath::ROOT, top));
        }
        while let Some((path, page)) = next.pop() {
            belong = belong.saturating_add(1);
            for (nibble, part) in page.parts().iter().enumerate() {
                let Some(child) = path.child(nibble) else { continue };
                match part {
                    Subtree::Empty => {}
                    // A row that lies high up is a chunk of its own, under its part's path.
                    Subtree::Leaf(..) => drop(chunks.insert(child, *part)),
                    Subtree::Branch(_) if child.level() >= level => drop(chunks.insert(child, *part)),
                    Subtree::Branch(_) => {
                        let page = pages.get(&child).ok_or(SnapshotError::Pages)?;
                        if page.subtree() != *part {
                            return Err(SnapshotError::OtherRoot);
                        }
                        next.push((child, page));
                    }
                }
            }
        }
        if belong == pages.len() { Ok(Import { state_root: root, pages, chunks }) } else { Err(SnapshotError::Pages) }
    }
}

/// A snapshot on its way in: what was verified so far is the skeleton.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    state_root: StateRoot,
    pages: BTreeMap<PagePath, Page>,
    chunks: BTreeMap<PagePath, Subtree>,
}

impl Import {
    /// The paths of the chunks to be had. The state is complete when all have been checked and written.
    pub fn chunks(&self) -> impl Iterator<Item = PagePath> + '_ {
        self.chunks.keys().copied()
    }

    /// The skeleton's own pages, to be written too.
    #[must_use]
    pub fn tree(&self) -> TreeChanges {
        let pages = self.pages.iter().map(|(path, page)| (*path, Some(page.clone()))).collect();
        TreeChanges { pages, root: self.state_root }
    }

    /// Checks a chunk and says what to write: its rows, and the pages over them.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn check(&self, chunk: Chunk) -> Result<(Changes, TreeChanges), SnapshotError> {
        let Chunk { path, rows } = chunk;
        let expected = self.chunks.get(&path).ok_or(SnapshotError::OtherPart)?;
        let paths: Vec<KeyHash> = rows.iter().map(|(key, _)| KeyHash::of(key)).collect();
        let inside = |key: &KeyHash| (path.first()..=path.last()).contains(key);
        if !paths.iter().all(inside) || paths.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(SnapshotError::Rows);
        }
        let changes: Changes = rows.into_iter().map(|(key, row)| (key, Some(row.into_vec()))).collect();
        let (subtree, pages) = tree::build(path, &changes);
        if subtree != *expected {
            return Err(SnapshotError::Altered);
        }
        for (key, row) in &changes {
            state::check_row(key, row.as_deref().unwrap_or_default())?;
        }
        Ok((changes, TreeChanges { pages, root: self.state_root }))
    }
}

impl Chunk {
    /// Takes the rows under `path` from a state.
    ///
    /// # Errors
    /// When the store fails.
    pub fn take<S: SnapshotReader>(reader: &S, path: PagePath) -> Result<Self, S::Error> {
        let mut rows: Vec<(KeyHash, StateKey, Vec<u8>)> = reader
            .rows_between(path.first(), path.last())?
            .into_iter()
            .map(|(key, row)| (KeyHash::of(&key), key, row))
            .collect();
        rows.sort_unstable_by_key(|(path, ..)| *path);
        let row = |row| Bytes::new(row).expect("every row's type is bounded below this");
        Ok(Self { path, rows: rows.into_iter().map(|(_, key, bytes)| (key, row(bytes))).collect() })
    }
}

impl BorshDeserialize for Skeleton {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (level, count) = <(u8, u32)>::deserialize_reader(reader)?;
        if count as usize > MAX_PAGES {
            return Err(Fault::TooMany.raise());
        }
        let mut pages: Vec<(PagePath, Page)> = Vec::new();
        for _ in 0..count {
            let page = <(PagePath, Page)>::deserialize_reader(reader)?;
            if pages.last().is_some_and(|last| last.0 >= page.0) {
                return Err(Fault::NotAscending.raise());
            }
            pages.push(page);
        }
        Ok(Self { level, pages })
    }
}

impl BorshDeserialize for Chunk {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (path, count) = <(PagePath, u32)>::deserialize_reader(reader)?;
        if count as usize > MAX_CHUNK_ROWS {
            return Err(Fault::TooMany.raise());
        }
        let rows = (0..count)
            .map(|_| <(StateKey, Bytes<MAX_ROW_LEN>)>::deserialize_reader(reader))
            .collect::<IoResult<_>>()?;
        Ok(Self { path, rows })
    }
}

impl Wire for Skeleton {
    const NAME: &'static str = "a snapshot's skeleton";
    const MAX_LEN: usize = 5 + MAX_PAGES * (PagePath::MAX_LEN + Page::MAX_LEN);
}

impl Wire for Chunk {
    const NAME: &'static str = "a snapshot's chunk";
    const MAX_LEN: usize = 32 * 1024 * 1024;
}
