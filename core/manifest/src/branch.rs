//! Branches, leaves, nodes, root: the layout drawn in the crate's documentation.

use alloc::vec::Vec;

use borsh::BorshSerialize;
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding;
use clavicle_ledger::id::{ChainId, ManifestRoot};

use crate::digest::StoredDigest;
use crate::manifest::{Attachment, Header, Manifest, Nonce, Series};
use crate::uid::Uid;

/// Fewest leaves of a manifest's tree, fillers included.
pub const MIN_LEAVES: usize = 8;

/// Hashed with a branch, so that its leaf tells nothing to who does not have it.
pub(crate) type Blinding = [u8; 32];

#[derive(BorshSerialize)]
enum BranchName<'a> {
    Series(&'a Uid),
    Attachment(&'a StoredDigest),
    Filler(u32),
}

#[derive(BorshSerialize)]
enum Branch<'a> {
    Series(&'a Series),
    Attachment(&'a Attachment),
}

impl BranchName<'_> {
    fn under(&self, nonce: &Nonce) -> [u8; 32] {
        *blake3::keyed_hash(nonce.as_bytes(), &encoding::encode(self)).as_bytes()
    }
}

pub(crate) fn blinding(nonce: &Nonce, series: &Series) -> Blinding {
    BranchName::Series(&series.series_instance_uid).under(nonce)
}

pub(crate) fn series_leaf(chain: &ChainId, blinding: &Blinding, series: &Series) -> [u8; 32] {
    domain::digest(Tag::MANIFEST_BRANCH, chain, &(blinding, Branch::Series(series)))
}

fn attachment_leaf(chain: &ChainId, nonce: &Nonce, attachment: &Attachment) -> [u8; 32] {
    let blinding = BranchName::Attachment(&attachment.stored).under(nonce);
    domain::digest(Tag::MANIFEST_BRANCH, chain, &(blinding, Branch::Attachment(attachment)))
}

pub(crate) fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    // A leaf's preimage begins with a tag, and no tag begins with 01.
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    *blake3::hash(&bytes).as_bytes()
}

pub(crate) fn root_over(chain: &ChainId, header: &Header, leaves: u32, top: &[u8; 32]) -> ManifestRoot {
    ManifestRoot::from_bytes(domain::digest(Tag::MANIFEST, chain, &(header, leaves, top)))
}

/// All rows of the tree, from the leaves to the top.
pub(crate) struct Tree(Vec<Vec<[u8; 32]>>);

impl Tree {
    pub(crate) fn of(chain: &ChainId, manifest: &Manifest) -> Self {
        let nonce = manifest.nonce();
        let mut leaves: Vec<_> = manifest
            .series()
            .iter()
            .map(|series| series_leaf(chain, &blinding(nonce, series), series))
            .chain(manifest.attachments().iter().map(|attachment| attachment_leaf(chain, nonce, attachment)))
            .collect();
        let due = leaves.len().next_power_of_two().max(MIN_LEAVES);
        let missing = u32::try_from(due.saturating_sub(leaves.len())).unwrap_or(u32::MAX);
        leaves.extend((0..missing).map(|number| BranchName::Filler(number).under(nonce)));
        leaves.sort_unstable();
        let mut rows = alloc::vec![leaves];
        while let Some(row) = rows.last().filter(|row| row.len() > 1) {
            let above = row.chunks_exact(2).map(|pair| node(&pair[0], &pair[1])).collect();
            rows.push(above);
        }
        Self(rows)
    }

    pub(crate) fn leaves(&self) -> u32 {
        self.0.first().and_then(|row| u32::try_from(row.len()).ok()).unwrap_or_default()
    }

    fn top(&self) -> [u8; 32] {
        self.0.last().and_then(|row| row.first()).copied().unwrap_or_default()
    }

    /// The place of `leaf`, and what stands beside its way up.
    pub(crate) fn path(&self, leaf: &[u8; 32]) -> Option<(u32, Vec<[u8; 32]>)> {
        let place = self.0.first()?.binary_search(leaf).ok()?;
        let beside = self.0.iter().enumerate().filter_map(|(height, row)| row.get((place >> height) ^ 1)).copied();
        Some((u32::try_from(place).ok()?, beside.collect()))
    }
}

/// Where `leaf` leads from `place`.
pub(crate) fn climb(place: u32, leaf: [u8; 32], beside: &[[u8; 32]]) -> [u8; 32] {
    beside.iter().zip(0u32..).fold(leaf, |hash, (other, height)| {
        let right = place.checked_shr(height).unwrap_or_default() & 1 == 1;
        if right { node(other, &hash) } else { node(&hash, other) }
    })
}

impl Manifest {
    /// The 32 bytes that stand for the manifest on the ledger.
    #[must_use]
    pub fn root(&self, chain: &ChainId) -> ManifestRoot {
        let tree = Tree::of(chain, self);
        root_over(chain, self.header(), tree.leaves(), &tree.top())
    }
}
