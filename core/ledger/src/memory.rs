//! A state in memory, with its tree: for tests, wallets and anything small.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::convert::Infallible;

use crate::genesis::Genesis;
use crate::id::StateRoot;
use crate::state::{Changes, StateKey, StateReader};
use crate::tree::{self, Page, PagePath, TreeChanges, TreeReader};

/// Rows and tree in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryState {
    rows: BTreeMap<StateKey, Vec<u8>>,
    pages: BTreeMap<PagePath, Page>,
}

impl MemoryState {
    /// The state that a network starts from.
    ///
    /// # Panics
    /// When [`Genesis::check`] was not heeded.
    #[must_use]
    pub fn from_genesis(genesis: &Genesis) -> Self {
        let mut state = Self::default();
        state.commit(genesis.state());
        state
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> StateRoot {
        let Ok(root) = tree::root(self);
        root
    }

    /// What `changes` would do to the tree.
    #[must_use]
    pub fn preview(&self, changes: &Changes) -> TreeChanges {
        tree::update(self, changes).expect("every page was written that an update spoke of")
    }

    /// Applies `changes` and returns the new root.
    pub fn commit(&mut self, changes: Changes) -> StateRoot {
        let update = self.preview(&changes);
        self.write(changes, update)
    }

    /// Applies `changes` with what [`MemoryState::preview`] said they do to the tree.
    pub fn write(&mut self, changes: Changes, update: TreeChanges) -> StateRoot {
        for (key, row) in changes {
            match row {
                Some(row) => self.rows.insert(key, row),
                None => self.rows.remove(&key),
            };
        }
        for (path, page) in update.pages {
            match page {
                Some(page) => self.pages.insert(path, page),
                None => self.pages.remove(&path),
            };
        }
        update.root
    }

    /// Every row, in the order of its key.
    #[must_use]
    pub const fn rows(&self) -> &BTreeMap<StateKey, Vec<u8>> {
        &self.rows
    }
}

impl StateReader for MemoryState {
    type Error = Infallible;
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(self.rows.get(key).cloned())
    }
}

impl TreeReader for MemoryState {
    type Error = Infallible;
    fn page(&self, path: &PagePath) -> Result<Option<Page>, Infallible> {
        self.pages.page(path)
    }
}
