//! Updating the tree: changes to rows in, changed pages and the new root out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{KeyHash, Page, PagePath, Subtree, TreeError, TreeReader, ValueHash};
use crate::id::StateRoot;
use crate::state::{Changes, StateKey};

/// What an update does to the tree; nothing is written until somebody writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeChanges {
    /// The pages that changed: what they are now, or `None` where they are gone.
    pub pages: BTreeMap<PagePath, Option<Page>>,
    /// The root.
    pub root: StateRoot,
}

/// A row's path and its value's hash, or `None` to remove it.
type Change = (KeyHash, Option<ValueHash>);

/// Works out what `changes` do to the tree that `reader` holds.
///
/// # Errors
/// [`TreeError`].
pub fn update<T: TreeReader>(reader: &T, changes: &Changes) -> Result<TreeChanges, TreeError<T::Error>> {
    let sorted = by_path(changes);
    let mut update = Update { reader, pages: BTreeMap::new() };
    let before = reader.page(&PagePath::ROOT).map_err(TreeError::Storage)?.unwrap_or_else(Page::empty);
    let top = update.page(PagePath::ROOT, before, &sorted)?;
    // The root page stays even when there is but one row, so that there is always a place to start from.
    if let Subtree::Leaf(key, _) = top {
        let mut page = Page::empty();
        page.0[key.nibble(0)] = top;
        update.pages.insert(PagePath::ROOT, Some(page));
    }
    Ok(TreeChanges { pages: update.pages, root: StateRoot::from_bytes(top.hash()) })
}

/// Works out the part of the tree over `rows`, all under `path`, from nothing: what it is, and its pages.
pub(crate) fn build(path: PagePath, rows: &Changes) -> (Subtree, BTreeMap<PagePath, Option<Page>>) {
    let nothing = BTreeMap::new();
    let mut update = Update { reader: &nothing, pages: BTreeMap::new() };
    let subtree = update.page(path, Page::empty(), &by_path(rows)).expect("what begins with nothing reads nothing");
    update.pages.retain(|_, page| page.is_some());
    (subtree, update.pages)
}

/// The changes with their paths, in the order of these.
fn by_path(changes: &Changes) -> Vec<Change> {
    let hash =
        |(key, row): (&StateKey, &Option<Vec<u8>>)| (KeyHash::of(key), row.as_ref().map(|row| ValueHash::of(row)));
    let mut sorted: Vec<Change> = changes.iter().map(hash).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    sorted
}

struct Update<'a, T> {
    reader: &'a T,
    pages: BTreeMap<PagePath, Option<Page>>,
}

impl<T: TreeReader> Update<'_, T> {
    /// Applies `changes`, all under `path`, to the page there, and says what it has become.
    fn page(&mut self, path: PagePath, mut page: Page, changes: &[Change]) -> Result<Subtree, TreeError<T::Error>> {
        let mut rest = changes;
        while let Some((first, _)) = rest.first() {
            let nibble = first.nibble(path.level());
            let here = rest.partition_point(|(key, _)| key.nibble(path.level()) <= nibble);
            let (under, after) = rest.split_at(here);
            page.0[nibble] = self.part(path, nibble, page.0[nibble], under)?;
            rest = after;
        }
        let subtree = page.subtree();
        // A page with one row or none melts into the one above.
        self.pages.insert(path, matches!(subtree, Subtree::Branch(_)).then_some(page));
        Ok(subtree)
    }

    /// Applies `changes`, all under part `nibble` of the page at `path`, to that part.
    fn part(
        &mut self,
        path: PagePath,
        nibble: usize,
        before: Subtree,
        changes: &[Change],
    ) -> Result<Subtree, TreeError<T::Error>> {
        let leaf_before = match before {
            Subtree::Branch(_) => {
                // Paths end at level 64, where two rows would have to share a whole hash.
                let Some(child) = path.child(nibble) else { return Ok(before) };
                let page = super::required(self.reader, child)?;
                return self.page(child, page, changes);
            }
            Subtree::Leaf(key, value) if changes.binary_search_by_key(&key, |(key, _)| *key).is_err() => {
                Some((key, Some(value)))
            }
            Subtree::Leaf(..) | Subtree::Empty => None,
        };
        let mut rows: Vec<Change> =
            changes.iter().copied().filter(|(_, value)| value.is_some()).chain(leaf_before).collect();
        match (rows.as_slice(), path.child(nibble)) {
            ([], _) => Ok(Subtree::Empty),
            (&[(key, Some(value))], _) => Ok(Subtree::Leaf(key, value)),
            (_, None) => Ok(before),
            (_, Some(child)) => {
                rows.sort_unstable_by_key(|(key, _)| *key);
                self.page(child, Page::empty(), &rows)
            }
        }
    }
}
