//! Snapshots: a whole state handed over in parts, each verified against a header on its own.
//!
//! First comes a [`Skeleton`]: the pages at the top of the state tree, which hash to the header's state root. It says
//! what every part below must hash to. A part is then had either as a [`Chunk`], all its rows, or, where it is too large
//! for one, as a skeleton of its own, and so on down. Parts can come in any order, from anyone, again after a break; a
//! false one is refused by name and costs its sender's good name, nothing else.
//!
//! ```text
//! header.state_root ◄─ skeleton ◄─ chunk
//!                               ◄─ chunk
//!                               ◄─ skeleton ◄─ chunk …
//! ```

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::Header;
use crate::encoding::{Bytes, DecodeError, Fault, Wire};
use crate::id::StateRoot;
use crate::state::{self, Changes, MemoryState, StateKey};
use crate::tree::{self, KeyHash, Page, PagePath, Subtree, TreeChanges, TreeError, TreeReader};

/// The most levels of pages in a skeleton.
pub const MAX_DEPTH: usize = 4;
/// Pages in the deepest skeleton: 1 + 16 + 16² + 16³.
const MAX_PAGES: usize = 4_369;
/// The longest row, in bytes.
const MAX_ROW_LEN: usize = 128 * 1024;
/// The most rows in a chunk.
const MAX_CHUNK_ROWS: usize = 64 * 1024;
/// The most bytes of rows in a chunk; one row more may go beyond.
const MAX_CHUNK_BYTES: usize = 4 * 1024 * 1024;

/// The pages at the top of a part of the state tree.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Skeleton {
    /// Levels of pages in it.
    depth: u8,
    /// By path; the first is the part's own.
    pages: Vec<(PagePath, Page)>,
}

/// All rows of a part, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Chunk {
    path: PagePath,
    rows: Vec<(StateKey, Bytes<MAX_ROW_LEN>)>,
}

/// Why a part of a snapshot is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// No such depth.
    #[error("the skeleton is {0} levels deep; 1 to {MAX_DEPTH} are possible")]
    Depth(u8),
    /// It is not the top of this part.
    #[error("the skeleton does not lead to the state root of the header, or to the part it is for")]
    OtherRoot,
    /// A page too few or too many.
    #[error("the skeleton lacks a page, or has one that does not belong in it")]
    Pages,
    /// A row where it cannot be.
    #[error("the skeleton has a row in another's place")]
    Misplaced,
    /// Not a part that is still to come.
    #[error("that part is not to come, or has been taken already")]
    OtherPart,
    /// Rows that are not where they belong.
    #[error("the chunk's rows are out of order, or belong in another chunk")]
    Rows,
    /// Not the rows that the skeleton vouches for.
    #[error("the chunk's rows are not those of this state")]
    Altered,
    /// The rows are right and the skeleton is wrong, though its hashes are right too.
    #[error("the skeleton above this chunk takes one row for several: it is false; begin again with another's")]
    FalseSkeleton,
    /// A row that is none.
    #[error(transparent)]
    Row(#[from] DecodeError),
}

/// Something that a snapshot can be taken from.
pub trait SnapshotReader: TreeReader {
    /// Every row whose path is from `first` to `last`, in any order, until `enough` says so of rows and bytes.
    ///
    /// # Errors
    /// When the store fails.
    fn rows_between(
        &self,
        first: KeyHash,
        last: KeyHash,
        enough: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Self::Error>;
}

impl SnapshotReader for MemoryState {
    fn rows_between(
        &self,
        first: KeyHash,
        last: KeyHash,
        enough: &dyn Fn(usize, usize) -> bool,
    ) -> Result<Vec<(StateKey, Vec<u8>)>, Self::Error> {
        let (mut rows, mut bytes) = (Vec::new(), 0usize);
        for (key, row) in self.rows() {
            if enough(rows.len(), bytes) {
                break;
            }
            if (first..=last).contains(&KeyHash::of(key)) {
                bytes = bytes.saturating_add(row.len());
                rows.push((*key, row.clone()));
            }
        }
        Ok(rows)
    }
}

impl Skeleton {
    /// Takes `depth` levels of pages from the page at `path` on, 1 to [`MAX_DEPTH`]; each makes the parts below sixteen times smaller.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn take<T: TreeReader>(reader: &T, path: PagePath, depth: usize) -> Result<Self, TreeError<T::Error>> {
        let depth = depth.clamp(1, MAX_DEPTH);
        let end = path.level().saturating_add(depth);
        let (mut pages, mut next) = (Vec::new(), Vec::from([path]));
        while let Some(at) = next.pop() {
            let Some(page) = reader.page(&at).map_err(TreeError::Storage)? else { return Err(TreeError::Missing(at)) };
            if at.level().saturating_add(1) < end {
                next.extend(page.branches().filter_map(|nibble| at.child(nibble)));
            }
            pages.push((at, page));
        }
        pages.sort_unstable_by_key(|(path, _)| *path);
        Ok(Self { depth: u8::try_from(depth).unwrap_or(1), pages })
    }
}

/// A snapshot on its way in: the parts still to come, and what each must hash to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    state_root: StateRoot,
    parts: BTreeMap<PagePath, Subtree>,
}

impl Import {
    /// Begins with the skeleton at the root, checked against a header that the caller trusts; returns its pages, to be
    /// written.
    ///
    /// # Errors
    /// [`SnapshotError`].
    pub fn begin(header: &Header, skeleton: Skeleton) -> Result<(Self, TreeChanges), SnapshotError> {
        let mut import = Self { state_root: header.state_root, parts: BTreeMap::new() };
        let hash = *header.state_root.as_bytes();
        let pages = import.expand(skeleton, |path, subtree| path == PagePath::ROOT && subtree.hash() == hash)?;
        Ok((import, pages))
    }

    /// The paths of the parts to be had. The state is complete when there are none.
    pub fn parts(&self) -> impl Iterator<Item = PagePath> + '_ {
        self.parts.keys().copied()
    }

    /// Takes a part as a skeleton, its own parts being still to come; returns its pages, to be written.
    ///
    /// # Errors
    /// [`SnapshotError`]; the part is then still to come.
    pub fn take_skeleton(&mut self, skeleton: Skeleton) -> Result<TreeChanges, SnapshotError> {
        let (path, _) = skeleton.pages.first().ok_or(SnapshotError::Pages)?;
        let expected = *self.parts.get(path).ok_or(SnapshotError::OtherPart)?;
        let path = *path;
        let pages = self.expand(skeleton, |_, subtree| *subtree == expected)?;
        self.parts.remove(&path);
        Ok(pages)
    }

    /// Takes a part as its rows; returns them and the pages over them, to be written.
    ///
    /// # Errors
    /// [`SnapshotError`]; the part is then still to come.
    pub fn take_chunk(&mut self, chunk: Chunk) -> Result<(Changes, TreeChanges), SnapshotError> {
        let Chunk { path, rows } = chunk;
        let expected = self.parts.get(&path).ok_or(SnapshotError::OtherPart)?;
        let paths: Vec<KeyHash> = rows.iter().map(|(key, _)| KeyHash::of(key)).collect();
        if !paths.iter().all(|key| path.covers(key)) || paths.windows(2).any(|pair| pair[0] >= pair[1]) {
            return Err(SnapshotError::Rows);
        }
        let changes: Changes = rows.into_iter().map(|(key, row)| (key, Some(row.into_vec()))).collect();
        let (subtree, pages) = tree::build(path, &changes);
        if subtree.hash() != expected.hash() {
            return Err(SnapshotError::Altered);
        }
        if subtree != *expected {
            return Err(SnapshotError::FalseSkeleton);
        }
        for (key, row) in &changes {
            state::check_row(key, row.as_deref().unwrap_or_default())?;
        }
        self.parts.remove(&path);
        Ok((changes, TreeChanges { pages, root: self.state_root }))
    }

    /// Checks a skeleton from its first page down and adds the parts below it.
    fn expand(
        &mut self,
        skeleton: Skeleton,
        is_expected: impl Fn(PagePath, &Subtree) -> bool,
    ) -> Result<TreeChanges, SnapshotError> {
        let Skeleton { depth, pages } = skeleton;
        if !(1..=MAX_DEPTH).contains(&usize::from(depth)) {
            return Err(SnapshotError::Depth(depth));
        }
        let (top, page) = pages.first().ok_or(SnapshotError::Pages)?;
        if !is_expected(*top, &page.subtree()) {
            return Err(SnapshotError::OtherRoot);
        }
        let (top, end) = (*top, top.level().saturating_add(usize::from(depth)));
        let pages: BTreeMap<PagePath, Page> = pages.into_iter().collect();
        let (mut parts, mut belong, mut next) = (BTreeMap::new(), 0usize, Vec::from([top]));
        while let Some(path) = next.pop() {
            let page = pages.get(&path).ok_or(SnapshotError::Pages)?;
            belong = belong.saturating_add(1);
            for (nibble, part) in page.parts().iter().enumerate() {
                let Some(child) = path.child(nibble) else { continue };
                match part {
                    Subtree::Empty => {}
                    // The hash of a page says which rows are in it, but not in which of two neighbouring places.
                    Subtree::Leaf(key, _) if !child.covers(key) => return Err(SnapshotError::Misplaced),
                    // A row that lies high up is a part of its own.
                    Subtree::Leaf(..) => drop(parts.insert(child, *part)),
                    Subtree::Branch(_) if child.level() >= end => drop(parts.insert(child, *part)),
                    Subtree::Branch(_) => {
                        let below = pages.get(&child).ok_or(SnapshotError::Pages)?;
                        if below.subtree() != *part {
                            return Err(SnapshotError::OtherRoot);
                        }
                        next.push(child);
                    }
                }
            }
        }
        if belong != pages.len() {
            return Err(SnapshotError::Pages);
        }
        self.parts.append(&mut parts);
        let pages = pages.into_iter().map(|(path, page)| (path, Some(page))).collect();
        Ok(TreeChanges { pages, root: self.state_root })
    }
}

impl Chunk {
    /// Takes the rows of the part at `path` from a state; nothing, if they are too many for one chunk: then a skeleton of
    /// the part is.
    ///
    /// # Errors
    /// When the store fails.
    pub fn take<S: SnapshotReader>(reader: &S, path: PagePath) -> Result<Option<Self>, S::Error> {
        let enough = |rows, bytes| rows > MAX_CHUNK_ROWS || bytes > MAX_CHUNK_BYTES;
        let rows = reader.rows_between(path.first(), path.last(), &enough)?;
        let bytes = rows.iter().map(|(_, row)| row.len()).fold(0, usize::saturating_add);
        if rows.len() > 1 && enough(rows.len(), bytes) {
            return Ok(None);
        }
        let mut rows: Vec<(KeyHash, StateKey, Vec<u8>)> =
            rows.into_iter().map(|(key, row)| (KeyHash::of(&key), key, row)).collect();
        rows.sort_unstable_by_key(|(path, ..)| *path);
        let row = |row| Bytes::new(row).expect("every row's type is bounded below this");
        Ok(Some(Self { path, rows: rows.into_iter().map(|(_, key, bytes)| (key, row(bytes))).collect() }))
    }
}

impl BorshDeserialize for Skeleton {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (depth, count) = <(u8, u32)>::deserialize_reader(reader)?;
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
        Ok(Self { depth, pages })
    }
}

impl BorshDeserialize for Chunk {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (path, count) = <(PagePath, u32)>::deserialize_reader(reader)?;
        if count as usize > MAX_CHUNK_ROWS {
            return Err(Fault::TooMany.raise());
        }
        let row = |_| <(StateKey, Bytes<MAX_ROW_LEN>)>::deserialize_reader(reader);
        let rows = (0..count).map(row).collect::<IoResult<_>>()?;
        Ok(Self { path, rows })
    }
}

impl Wire for Skeleton {
    const NAME: &'static str = "a snapshot's skeleton";
    const MAX_LEN: usize = 5 + MAX_PAGES * (PagePath::MAX_LEN + Page::MAX_LEN);
}

impl Wire for Chunk {
    const NAME: &'static str = "a snapshot's chunk";
    const MAX_LEN: usize =
        PagePath::MAX_LEN + 4 + MAX_CHUNK_BYTES + MAX_ROW_LEN + MAX_CHUNK_ROWS * (StateKey::MAX_LEN + 4);
}
