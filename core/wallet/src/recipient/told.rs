//! What letters of grants tell besides: whose place a grant takes, of how many series some are, which studies come later;
//! and letters that this version cannot read.

use std::collections::{BTreeMap, BTreeSet};

use clavicle_ledger::id::GrantId;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::circumstances::{Circumstances, Lot};

use super::{Granted, Recipient};
use crate::error::WalletError;
use crate::rows::Unreadable;
use crate::scope::Scope;

/// The most letters that cannot be read that are kept; of more it is not even said that they came.
const MAX_UNREADABLE: usize = 64;

/// Several studies of one patient, not all granted in one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LotRow {
    /// How many there are, by the granter's word.
    pub of: u32,
    /// How many have come.
    pub have: usize,
    /// When the last of them is to come, by the granter's word.
    pub last_by: Timestamp,
}

impl Recipient {
    fn circumstances(&self, grant: GrantId) -> Result<Option<Circumstances>, WalletError> {
        Ok(self.wallet.vault.get(grant.as_bytes())?)
    }

    /// Which series were allowed; nothing where that is all of the study.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn scope(&self, granted: &Granted) -> Result<Option<Scope>, WalletError> {
        let told = self.circumstances(granted.id)?;
        Ok(Scope::of(&granted.received.terms, told.and_then(|told| told.series_in_all), None))
    }

    /// The grants whose place others have taken that the ledger bears out. A letter alone takes nobody's: anybody can
    /// write one.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn replaced(&self) -> Result<BTreeSet<GrantId>, WalletError> {
        let all = self.inbox()?;
        let mut former = BTreeMap::new();
        for granted in &all {
            if let Some(replaces) = self.circumstances(granted.id)?.and_then(|told| told.replaces) {
                former.insert(granted.id, (granted.received.study, replaces));
            }
        }
        let (mut replaced, of) = (BTreeSet::new(), |id: &GrantId| all.iter().find(|granted| granted.id == *id));
        for granted in &all {
            if self.objection(granted)?.is_some() {
                continue;
            }
            let mut one = granted.id;
            // Those of the same study, one after another, and none twice.
            while let Some((study, next)) = former.get(&one)
                && of(next).is_some_and(|granted| granted.received.study == *study)
                && *next != granted.id
                && replaced.insert(*next)
            {
                one = *next;
            }
        }
        Ok(replaced)
    }

    /// What comes in lots, the one that is complete last first.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn lots(&self) -> Result<Vec<LotRow>, WalletError> {
        let mut lots = BTreeMap::<[u8; 16], (Lot, BTreeSet<_>)>::new();
        for granted in self.inbox()? {
            if let Some(lot) = self.circumstances(granted.id)?.and_then(|told| told.lot) {
                lots.entry(lot.id).or_insert((lot, BTreeSet::new())).1.insert(granted.received.study);
            }
        }
        let row = |(Lot { id: _, count, last_by }, studies): (Lot, BTreeSet<_>)| LotRow {
            of: count,
            have: studies.len(),
            last_by,
        };
        let mut rows: Vec<LotRow> = lots.into_values().map(row).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.last_by));
        Ok(rows)
    }

    /// Keeps a letter of a kind that came with a later version, for that to read.
    pub(super) fn keep_unreadable(&self, kind: u8, sealed: &[u8]) -> Result<(), WalletError> {
        let all = self.wallet.vault.all::<Unreadable>()?;
        if all.len() < MAX_UNREADABLE {
            let row = Unreadable { kind, at: self.wallet.now(), sealed: sealed.to_vec() };
            self.wallet.vault.put(blake3::hash(sealed).as_bytes(), &row)?;
        }
        Ok(())
    }

    /// The kinds of letters that came and that this version cannot read, the earliest first.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn unreadable(&self) -> Result<Vec<u8>, WalletError> {
        let mut all: Vec<Unreadable> = self.wallet.vault.all::<Unreadable>()?.into_iter().map(|(_, row)| row).collect();
        all.sort_by_key(|row| row.at);
        Ok(all.into_iter().map(|row| row.kind).collect())
    }
}
