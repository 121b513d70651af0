//! The part of a manifest that a grant covers, with proof that it is a part.

use alloc::vec::Vec;
use core::fmt;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Entry, Fault, Wire};
use clavicle_ledger::id::{ChainId, ManifestRoot, SeriesId};
use clavicle_ledger::salt::Salt;

use crate::branch::{self, Blinding, MIN_LEAVES, Tree};
use crate::manifest::{
    Counts, Header, Instance, MAX_ATTACHMENTS, MAX_SERIES, Manifest, Series, check_header, check_series, counts,
    fault_of, read_series,
};
use crate::uid::Uid;

/// Most leaves: all series and attachments there may be, made a power of two.
const MAX_LEAVES: usize = (MAX_SERIES + MAX_ATTACHMENTS).next_power_of_two();
const MAX_DEPTH: usize = MAX_LEAVES.ilog2() as usize;

/// A series, and what leads from it to the root.
#[derive(Clone, PartialEq, Eq, BorshSerialize)]
pub struct ScopedSeries {
    series: Series,
    blinding: Blinding,
    place: u32,
    beside: Vec<[u8; 32]>,
}

impl ScopedSeries {
    /// The series.
    #[must_use]
    pub const fn series(&self) -> &Series {
        &self.series
    }
}

impl Entry for ScopedSeries {
    type Key = Uid;
    fn key(&self) -> &Uid {
        &self.series.series_instance_uid
    }
}

impl BorshDeserialize for ScopedSeries {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (series, blinding, place) = BorshDeserialize::deserialize_reader(reader)?;
        let count = u32::deserialize_reader(reader)? as usize;
        if count > MAX_DEPTH {
            return Err(Fault::TooMany.raise());
        }
        let mut beside = Vec::new();
        for _ in 0..count {
            beside.push(<[u8; 32]>::deserialize_reader(reader)?);
        }
        Ok(Self { series, blinding, place, beside })
    }
}

impl fmt::Debug for ScopedSeries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.series.fmt(f)
    }
}

/// Some series of a manifest. It tells nothing about the others; see the crate's documentation for what it does tell.
///
/// Attachments are left out: a report is about the whole study. Nothing in it is to be believed before
/// [`ScopedManifest::verify`].
#[derive(Clone, PartialEq, Eq, BorshSerialize)]
pub struct ScopedManifest {
    header: Header,
    leaves: u32,
    series: Ascending<ScopedSeries, MAX_SERIES>,
}

/// Why a part of a manifest proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScopedError {
    /// Nothing in it.
    #[error("none of the series granted is in this manifest")]
    Nothing,
    /// The number of leaves, or a place among them, is impossible.
    #[error("series {0} is given a place that there is not")]
    Place(Uid),
    /// It leads to another root.
    #[error("series {0} does not lead to the root on the ledger: it is from another manifest, or was altered")]
    OtherRoot(Uid),
}

impl Manifest {
    /// The part of the manifest that holds the series with these ids under `salt`. Ids that it does not have are passed over;
    /// [`ScopedManifest::missing`] names them to the recipient.
    #[must_use]
    pub fn scoped(&self, chain: &ChainId, salt: &Salt, wanted: &[SeriesId]) -> ScopedManifest {
        let tree = Tree::of(chain, self);
        let is_wanted = |series: &&Series| wanted.contains(&salt.series_id(series.series_instance_uid.as_str()));
        let branch = |series: &Series| {
            let blinding = branch::blinding(self.nonce(), series);
            let (place, beside) = tree.path(&branch::series_leaf(chain, &blinding, series))?;
            Some(ScopedSeries { series: series.clone(), blinding, place, beside })
        };
        let series = self.series().iter().filter(is_wanted).filter_map(branch).collect();
        let series = Ascending::from_items(series).expect("a part of an ascending list is one");
        ScopedManifest { header: self.header().clone(), leaves: tree.leaves(), series }
    }
}

impl ScopedManifest {
    /// Verifies that every series in it, and its header, are in the manifest with this root.
    ///
    /// # Errors
    /// [`ScopedError`].
    pub fn verify(&self, chain: &ChainId, root: &ManifestRoot) -> Result<(), ScopedError> {
        let Self { header, leaves, series } = self;
        if series.is_empty() {
            return Err(ScopedError::Nothing);
        }
        for ScopedSeries { series, blinding, place, beside } in series {
            let uid = series.series_instance_uid;
            let full = u32::try_from(beside.len()).ok().and_then(|depth| 1u32.checked_shl(depth));
            if full != Some(*leaves) || (*leaves as usize) < MIN_LEAVES || place >= leaves {
                return Err(ScopedError::Place(uid));
            }
            let top = branch::climb(*place, branch::series_leaf(chain, blinding, series), beside);
            if branch::root_over(chain, header, *leaves, &top) != *root {
                return Err(ScopedError::OtherRoot(uid));
            }
        }
        Ok(())
    }

    /// Those of `granted` that are not in it: the source left them out, or this revision does not have them.
    #[must_use]
    pub fn missing(&self, salt: &Salt, granted: &[SeriesId]) -> Vec<SeriesId> {
        let here = |id: &&SeriesId| {
            !self.series.iter().any(|scoped| salt.series_id(scoped.series.series_instance_uid.as_str()) == **id)
        };
        granted.iter().filter(here).copied().collect()
    }

    /// What everyone sees.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The series, by Series Instance UID.
    #[must_use]
    pub const fn series(&self) -> &Ascending<ScopedSeries, MAX_SERIES> {
        &self.series
    }

    /// All instances in it, series by series.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.series.iter().flat_map(|scoped| &scoped.series.instances)
    }

    /// How much there is in it.
    #[must_use]
    pub fn counts(&self) -> Counts {
        counts(self.series.iter().map(ScopedSeries::series), &[])
    }
}

impl Wire for ScopedManifest {
    const NAME: &'static str = "a part of a manifest";
    const MAX_LEN: usize = Manifest::MAX_LEN + MAX_SERIES * (32 + 4 + 4 + 32 * MAX_DEPTH);
}

impl BorshDeserialize for ScopedManifest {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let header = BorshDeserialize::deserialize_reader(reader)?;
        let leaves = BorshDeserialize::deserialize_reader(reader)?;
        let series = read_series(reader, ScopedSeries::series)?;
        check_header(&header)
            .and_then(|()| check_series(series.iter().map(ScopedSeries::series)))
            .map_err(|error| fault_of(error).raise())?;
        Ok(Self { header, leaves, series })
    }
}

impl fmt::Debug for ScopedManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopedManifest({:?}, {:?})", self.header, self.counts())
    }
}
