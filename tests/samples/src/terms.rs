//! Terms of grants.

use clavicle_ledger::encoding::Bytes;
use clavicle_ledger::id::ManifestRoot;
use clavicle_ledger::terms::{PurposeOfUse, SeriesScope, Terms};
use clavicle_ledger::time::Timestamp;

/// Terms for treatment, from one time until another: for everything in the study of this manifest, and in its later
/// ones.
#[must_use]
pub fn terms(not_before: Timestamp, expires: Timestamp, manifest_root: ManifestRoot) -> Terms {
    Terms {
        not_before,
        expires,
        series: SeriesScope::All,
        purpose: PurposeOfUse::Treatment,
        revision: 0,
        manifest_root,
        later_revisions: true,
        staleness_ms: 0,
        emergency: false,
        note: Bytes::default(),
        blinding: [5; 32],
        conditions: None,
    }
}
