//! The manifest: a source's signed list of everything in a study, by which anyone can tell that what arrived is complete and untouched.
//!
//! Pure, like the ledger whose encoding it uses: no file, socket, clock, thread or random number is within reach
//! (`no_std`). Only the [`ManifestRoot`](clavicle_ledger::id::ManifestRoot) goes onto the ledger. In the order in which data flows:
//!
//! | | |
//! |---|---|
//! | [`Uid`], [`StoredDigest`], [`StoredHasher`] | one instance: its names, its digests, its 1 MiB subtrees |
//! | [`Dataset`], [`Part`], [`PixelDigest`] | the same whatever it is written in, and what differs if it is not the same |
//! | [`Manifest`], [`Header`], [`Series`], [`Instance`], [`Attachment`] | everything in a study |
//! | [`Manifest::root`] | 32 bytes that stand for it and say nothing |
//! | [`SignedManifest`], [`SignedScopedManifest`], [`Endorsement`] | the source vouches for it |
//! | [`ScopedManifest`] | the series of a grant, with proof, and nothing of the others |
//! | [`Received`], [`Comparison`] | what arrived against what was signed: missing, altered, extra, by name |
//!
//! # The root
//!
//! Every series, and every attachment, is a branch. A branch's leaf is hashed together with 32 bytes of blinding of its own,
//! which come from the manifest's [`Nonce`]. Fillers, hashed from the nonce alone, make the number of leaves a power of two and at least
//! [`MIN_LEAVES`]; then the leaves are sorted by their hash, so that a leaf's place says nothing either.
//!
//! ```text
//! blinding = BLAKE3 keyed(nonce, borsh(0, Series Instance UID) or borsh(1, stored digest))
//! leaf     = BLAKE3(tag branc ‖ chain id ‖ blinding ‖ borsh(0, series) or borsh(1, attachment))
//! filler   = BLAKE3 keyed(nonce, borsh(2, number as u32))
//! node     = BLAKE3(01 ‖ left ‖ right)
//! root     = BLAKE3(tag manif ‖ chain id ‖ borsh(header) ‖ number of leaves as u32 ‖ top)
//! signed   = tag msign ‖ chain id ‖ study id ‖ revision as u32 ‖ root
//! ```
//!
//! Whoever is granted some series learns the header, these series, and the order of magnitude of the number of branches.
//! Of the others it learns neither UIDs, modalities, counts and digests, nor how many they are, nor whether a guess of
//! any of these would be right: the blinding is not derivable without the nonce, which only the whole manifest holds.
//! A new nonce for each revision keeps it from seeing which of the others changed.
//!
//! # What it does not hold
//!
//! Nothing about the patient. Date and descriptions are those that every image of the study carries itself, and
//! are there so that a list of studies can be shown before the first image has arrived. Counts are not written down a second
//! time: they are the lengths of the lists ([`Counts`]).
#![no_std]
#![deny(clippy::float_arithmetic, clippy::iter_over_hash_type)]
#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

extern crate alloc;

mod branch;
mod compare;
mod dataset;
mod digest;
mod manifest;
mod scoped;
mod signed;
mod uid;

pub use branch::MIN_LEAVES;
pub use compare::{Altered, Change, Comparison, Received};
pub use dataset::{Dataset, Marks, Part, Parts};
pub use digest::{
    DatasetDigest, MAX_SUBTREES, PixelDigest, SUBTREE_LEN, StoredDigest, StoredHasher, SubtreeError, Subtrees,
};
pub use manifest::{
    Attachment, Counts, Date, Header, Instance, MAX_ATTACHMENTS, MAX_INSTANCE_LEN, MAX_INSTANCES, MAX_SERIES, Manifest,
    ManifestError, MediaType, Nonce, Series,
};
pub use scoped::{ScopedError, ScopedManifest, ScopedSeries};
pub use signed::{Endorsement, SignedManifest, SignedScopedManifest, VerifyError};
pub use uid::{MAX_UID, Uid, UidError};
