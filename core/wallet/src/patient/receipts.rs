//! Looking back: who opened a study, and since when a revocation binds, as the source signed it.
//!
//! What was shown once is kept. A source that shows something else later is found out ([`WalletError::ReceiptsChanged`]); one that never
//! wrote an access down, together with whoever fetched, is not.

use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::receipt::{Entry, SignedReceipt, Stated, Statement, Tip};
use clavicle_ledger::time::Height;
use clavicle_letters::credential::Role;
use clavicle_letters::membership::role_in;
use clavicle_letters::verdict::Verdict;
use tracing::warn;

use super::{OwnStudy, Patient, Revocable};
use crate::error::WalletError;
use crate::rows::{Bound, Held, KeptReceipt, Made};

/// Something that happened to a study, as its source wrote it down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// The receipt.
    pub receipt: SignedReceipt,
    /// The height at which it is anchored, if that is known and proven.
    pub anchored_at: Option<Height>,
    /// Who showed the card that the grant is to, in their own words; nothing when another than this wallet granted, or nobody did.
    pub name: Option<String>,
    /// What stood beside that name when it was granted to.
    pub verdict: Option<Verdict>,
    /// What the team that it was granted to says of the member who opened it, by its signed word in the receipt.
    pub member: Option<Role>,
}

impl Patient {
    /// From which receipt on the source is to be asked: the first that is not kept, or not known to be anchored.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn receipts_from(&self, study: &OwnStudy) -> Result<u64, WalletError> {
        let kept = self.kept(study.id)?;
        let open = kept.iter().find(|kept| kept.anchored_at.is_none());
        let tip = self.wallet.vault.get::<Tip>(study.id.as_bytes())?.unwrap_or(Tip::START);
        Ok(open.map_or(tip.next, |kept| kept.receipt.receipt.sequence))
    }

    /// Verifies what the study's source says of its receipts, from [`Patient::receipts_from`] on, and keeps it. Whether there is more to ask for.
    ///
    /// # Errors
    /// [`WalletError`]; nothing of it is kept then.
    pub async fn take_statement(&mut self, study: &OwnStudy, statement: &Statement) -> Result<bool, WalletError> {
        let (chain, id, source) = (self.wallet.chain(), study.id, study.held.source);
        let known = self.wallet.vault.get::<Tip>(id.as_bytes())?;
        let kept = |sequence: u64| self.wallet.vault.get::<KeptReceipt>(&place(id, sequence));
        let first = statement.receipts.first().map(|stated| &stated.receipt.receipt);
        let tip = match (first, known) {
            (Some(first), Some(known)) if first.sequence < known.next => {
                let mine = kept(first.sequence)?.ok_or(WalletError::ReceiptsChanged(first.sequence))?;
                Tip::before(&mine.receipt.receipt)
            }
            // Goes on where it stopped. For a wallet that knows nothing yet, years may be over that receipts are kept for.
            (Some(first), None) if first.sequence > 0 => Tip::before(first),
            (_, known) => known.unwrap_or(Tip::START),
        };
        let signers = statement.receipts.iter().map(|stated| stated.receipt.receipt.signer).collect();
        let keys = self.wallet.keys_of(source, signers).await?;
        for anchor in &statement.anchors {
            self.wallet.ledger.recall(&anchor.header).await?;
        }
        // Each of them was believed just now, and nothing can have changed in between.
        let end = statement.verify(&chain, (source, id), tip, &keys, |_| true)?;
        let kept = |sequence: u64| self.wallet.vault.get::<KeptReceipt>(&place(id, sequence));
        let mut rows = Vec::new();
        for Stated { receipt, anchored } in &statement.receipts {
            let sequence = receipt.receipt.sequence;
            let before = kept(sequence)?;
            if before.as_ref().is_some_and(|before| before.receipt.receipt != receipt.receipt) {
                return Err(WalletError::ReceiptsChanged(sequence));
            }
            let anchor = anchored.as_ref().and_then(|anchored| statement.anchors.find(&anchored.anchor));
            let height = anchor.map(|anchor| anchor.header.header.height);
            let anchored_at = before.as_ref().and_then(|before| before.anchored_at).or(height);
            // A signature of the other side that was shown once stays.
            let mine = before.map(|before| before.receipt).filter(|_| receipt.countersignature.is_none());
            rows.push((sequence, KeptReceipt { receipt: mine.unwrap_or_else(|| receipt.clone()), anchored_at }));
        }
        if let Some(known) = known.filter(|known| !statement.more && end.next < known.next) {
            return Err(WalletError::ReceiptsChanged(known.next.saturating_sub(1)));
        }
        self.wallet.vault.write(|batch| {
            for (sequence, row) in &rows {
                batch.put(&place(id, *sequence), row)?;
            }
            let furthest = known.filter(|known| known.next > end.next).unwrap_or(end);
            batch.put(id.as_bytes(), &furthest)
        })?;
        self.wallet.keep_light()?;
        Ok(statement.more)
    }

    /// What is known to have happened to a study, in order.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn looks(&self, study: &OwnStudy) -> Result<Vec<Look>, WalletError> {
        let mut looks = Vec::new();
        for KeptReceipt { receipt, anchored_at } in self.kept(study.id)? {
            let grant = receipt.receipt.grant();
            let made = grant.map(|grant| self.wallet.vault.get::<Made>(grant.as_bytes())).transpose()?.flatten();
            let verdict = made.as_ref().map(|made| made.card.verdict());
            let opening = receipt.receipt.entry.opening();
            let team = made.as_ref().and_then(|made| made.terms.members_of());
            let member = opening.zip(team).and_then(|(opening, team)| role_in(&self.wallet.chain(), &team, opening));
            let name = made.map(|made| made.card.name.to_string());
            looks.push(Look { receipt, anchored_at, name, verdict, member });
        }
        Ok(looks)
    }

    /// The source's receipt that it has seen the revocation of a grant.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn revocation_receipt(&self, grant: GrantId) -> Result<Option<SignedReceipt>, WalletError> {
        Ok(self.wallet.vault.get::<Bound>(grant.as_bytes())?.map(|bound| bound.receipt))
    }

    fn kept(&self, study: StudyId) -> Result<Vec<KeptReceipt>, WalletError> {
        let all = self.wallet.vault.all::<KeptReceipt>()?;
        Ok(all.into_iter().filter(|(at, _)| at.starts_with(study.as_bytes())).map(|(_, kept)| kept).collect())
    }

    /// Keeps the receipt for a revocation, if it is one. If not, the revocation is as good without.
    pub(super) async fn keep_bound(
        &mut self,
        grant: &Revocable,
        held: &Held,
        receipt: SignedReceipt,
    ) -> Result<(), WalletError> {
        let keys = self.wallet.keys_of(held.source, vec![receipt.receipt.signer]).await?;
        self.keep_bound_by(grant, held, receipt, &keys).map(drop)
    }

    /// The same, of a source that has, or had, these keys. Whether it is kept.
    pub(super) fn keep_bound_by(
        &self,
        grant: &Revocable,
        held: &Held,
        receipt: SignedReceipt,
        keys: &[Key],
    ) -> Result<bool, WalletError> {
        let said = &receipt.receipt;
        if said.study != grant.study || said.entry != (Entry::RevocationSeen { grant: grant.id }) {
            warn!("a receipt for a revocation is about something else");
            return Ok(false);
        }
        if let Err(error) = receipt.verify(&self.wallet.chain(), held.source, keys) {
            warn!(%error, "a receipt for a revocation is not to be believed");
            return Ok(false);
        }
        self.wallet.vault.put(grant.id.as_bytes(), &Bound { receipt })?;
        Ok(true)
    }
}

/// Where a receipt is kept.
fn place(study: StudyId, sequence: u64) -> [u8; 40] {
    let mut at = [0; 40];
    at[..32].copy_from_slice(study.as_bytes());
    at[32..].copy_from_slice(&sequence.to_be_bytes());
    at
}
