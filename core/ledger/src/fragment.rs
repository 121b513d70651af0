//! A part of a state that was proven, for whoever has no more than a header: a phone.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::encoding::Bytes;
use crate::id::StateRoot;
use crate::state::{StateKey, StateReader};
use crate::tree::{ProofError, StateProof};

/// Rows proven against one state root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenFragment {
    root: StateRoot,
    rows: BTreeMap<StateKey, Option<Vec<u8>>>,
}

/// Nothing was proven about this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no proof was given about {0:?}: ask a relay for it")]
pub struct NotProven(pub StateKey);

impl ProvenFragment {
    /// An empty fragment of the state with this root.
    #[must_use]
    pub const fn new(root: StateRoot) -> Self {
        Self { root, rows: BTreeMap::new() }
    }

    /// Adds a row, or the absence of one, if its proof holds.
    ///
    /// # Errors
    /// [`ProofError`]; the fragment is then unchanged.
    pub fn add(&mut self, proven: &StateProof) -> Result<(), ProofError> {
        proven.verify(self.root)?;
        self.rows.insert(proven.key, proven.row.as_ref().map(|row| Bytes::as_slice(row).to_vec()));
        Ok(())
    }
}

impl StateReader for ProvenFragment {
    type Error = NotProven;
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, NotProven> {
        self.rows.get(key).cloned().ok_or(NotProven(*key))
    }
}
