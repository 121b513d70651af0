//! New words: somebody else may have the old ones, or an open phone. Every study goes to a key that the old words do
//! not give.
//!
//! ```text
//! new words are shown ── three of them typed ──► they are in use, in one commit ──► each study: signed, kept, transferred, final
//! ```
//!
//! From the commit on nothing new is under the old words. Whatever breaks off goes on: what is still under them is
//! known, and a transfer that was signed is that one again. Until all have moved the old words are needed, too, should
//! this device be lost: the new ones give back what has moved, and the old ones the rest.

use clavicle_ledger::action::TransferStudy;
use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::Deed;
use clavicle_ledger::time::Height;
use clavicle_ledger::transaction::{Action, Envelope};

use super::{OwnStudy, Patient};
use crate::envelope;
use crate::error::WalletError;
use crate::objection;
use crate::rows::{
    Device, FormerWords, Held, Moving, NewsCame, NextWords, OwnDevice, Profile, RefusedClaim, ToldDevice, UnderFormer,
    WordsCheck,
};
use crate::vault::{KeyStore, VaultError};
use crate::wallet::{Wallet, damaged, is_told, random, three_words};

/// What moving all studies to new words came to.
#[derive(Debug)]
pub struct Moved {
    /// Every study that was under former words, and at which height it went; or why it did not.
    pub rows: Vec<(StudyId, Result<Height, WalletError>)>,
    /// Why it could not be searched for what other devices picked up under the former words.
    pub not_searched: Option<WalletError>,
    /// How many claims under former words were refused, and may come into a block all the same.
    pub refused: usize,
}

impl Moved {
    /// Whether nothing is under former words any more, as far as is known.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.not_searched.is_none() && self.refused == 0 && self.rows.iter().all(|(_, moved)| moved.is_ok())
    }
}

impl Patient {
    /// New words, to be written down, and the places of the three that are asked for then. The same again, until they
    /// are in use.
    ///
    /// # Errors
    /// [`WalletError::Vault`], above all when these keys do not open it.
    pub fn new_words(&self, keys: &dyn KeyStore) -> Result<(Words, [u8; 3]), WalletError> {
        self.wallet.vault.prove(keys)?;
        let next = match self.wallet.vault.get::<NextWords>(b"")? {
            Some(next) => next,
            None => {
                let next = NextWords { entropy: random()?, asked: three_words()? };
                self.wallet.vault.put(b"", &next)?;
                next
            }
        };
        Ok((Words::from_entropy(&next.entropy), next.asked))
    }

    /// Whether new words were shown, and are not in use yet.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn has_new_words(&self) -> Result<bool, WalletError> {
        Ok(self.wallet.vault.get::<NextWords>(b"")?.is_some())
    }

    /// How many studies are still under words that were given up.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn count_to_move(&self) -> Result<usize, WalletError> {
        // Of what was refused nothing is there to move.
        let held = self.wallet.vault.all::<Held>()?;
        let under = self.wallet.vault.all::<UnderFormer>()?;
        Ok(under.iter().filter(|(id, _)| held.iter().any(|(of, _)| of == id)).count())
    }

    /// How many claims under former words were refused, and may come into a block all the same.
    fn count_refused_under_former(&self) -> Result<usize, WalletError> {
        let (head, mut count) = (self.wallet.ledger.head(), 0);
        for (id, RefusedClaim { held }) in self.wallet.vault.all::<RefusedClaim>()? {
            let may_come = held.claim.as_ref().is_some_and(|claim| head.is_before(claim.submit_by));
            if may_come && self.wallet.vault.get::<UnderFormer>(&id)?.is_some() {
                count += 1;
            }
        }
        Ok(count)
    }

    /// Takes the new words into use, once three of them are told: from then on [`Patient::move_studies`] has work.
    ///
    /// # Errors
    /// [`WalletError::OtherWords`]; others are asked for then. [`WalletError::NoNewWords`].
    pub fn take_new_words(&self, typed: &str) -> Result<(), WalletError> {
        let vault = &self.wallet.vault;
        let next = vault.get::<NextWords>(b"")?.ok_or(WalletError::NoNewWords)?;
        if !is_told(&Words::from_entropy(&next.entropy), next.asked, typed) {
            let asked = next.asked;
            vault.put(b"", &NextWords { entropy: next.entropy, asked: three_words()? })?;
            return Err(WalletError::OtherWords(asked));
        }
        let number = self.wallet.words_number()?;
        let mut under: Vec<Vec<u8>> = vault.all::<Held>()?.into_iter().map(|(id, _)| id).collect();
        under.extend(vault.all::<RefusedClaim>()?.into_iter().map(|(id, _)| id));
        let before: Vec<Vec<u8>> = vault.all::<UnderFormer>()?.into_iter().map(|(id, _)| id).collect();
        under.retain(|id| !before.contains(id));
        // Devices of the words of before are none of these, and what lies in their boxes may be anybody's.
        let devices: Vec<Vec<u8>> = vault.all::<Device>()?.into_iter().map(|(place, _)| place).collect();
        let told: Vec<Vec<u8>> = vault.all::<ToldDevice>()?.into_iter().map(|(place, _)| place).collect();
        let came: Vec<Vec<u8>> = vault.all::<NewsCame>()?.into_iter().map(|(place, _)| place).collect();
        Ok(vault.write(|batch| -> Result<(), VaultError> {
            let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(()) };
            batch.put(&number.to_be_bytes(), &FormerWords { entropy: profile.entropy })?;
            for id in &under {
                batch.put(id, &UnderFormer { words: number })?;
            }
            profile.entropy = next.entropy;
            (profile.device, profile.next_study, profile.next_card, profile.next_mailbox) = (0, 0, 0, 0);
            batch.put(b"", &profile)?;
            batch.put(b"", &WordsCheck { asked: next.asked, passed: true })?;
            batch.remove::<OwnDevice>(b"")?;
            for place in &devices {
                batch.remove::<Device>(place)?;
            }
            for place in &told {
                batch.remove::<ToldDevice>(place)?;
            }
            for place in &came {
                batch.remove::<NewsCame>(place)?;
            }
            batch.remove::<NextWords>(b"").map(drop)
        })?)
    }

    /// Transfers every study that is under former words to a key of the words of now. What was allowed on it ends,
    /// unless it is to be kept: whoever had the old words may have allowed it to themselves. `progress` is told how
    /// many are done, and of how many.
    ///
    /// # Errors
    /// Those of the vault; what else goes wrong stands beside the study that it is about.
    pub async fn move_studies(
        &mut self,
        keep_grants: bool,
        progress: impl Fn(usize, usize),
    ) -> Result<Moved, WalletError> {
        let not_searched = match self.find_former().await {
            Ok(()) => None,
            Err(error @ WalletError::Vault(_)) => return Err(error),
            Err(error) => Some(error),
        };
        let mut left = Vec::new();
        for study in self.studies()? {
            if self.wallet.vault.get::<UnderFormer>(study.id.as_bytes())?.is_some() {
                left.push(study);
            }
        }
        let (count, mut rows, mut is_silent) = (left.len(), Vec::new(), false);
        // An older copy of the vault does not know which keys it has used since.
        match self.pass_used_keys(count).await {
            Err(error @ WalletError::Vault(_)) => return Err(error),
            Err(error) if count > 0 => {
                let row = |study: OwnStudy| (study.id, Err(WalletError::NoRelay(None)));
                let refused = self.count_refused_under_former()?;
                return Ok(Moved { rows: left.into_iter().map(row).collect(), not_searched: Some(error), refused });
            }
            _ => {}
        }
        for study in left {
            let moved =
                if is_silent { Err(WalletError::NotFinal) } else { Box::pin(self.move_one(&study, keep_grants)).await };
            is_silent |= matches!(
                moved,
                Err(WalletError::NotFinal | WalletError::TooFew(_) | WalletError::NoRelay(_) | WalletError::NoBlock)
            );
            if let Err(error @ WalletError::Vault(_)) = moved {
                return Err(error);
            }
            rows.push((study.id, moved));
            progress(rows.len(), count);
        }
        self.wallet.keep_light()?;
        Ok(Moved { rows, not_searched, refused: self.count_refused_under_former()? })
    }

    async fn move_one(&mut self, study: &OwnStudy, keep_grants: bool) -> Result<Height, WalletError> {
        if study.held.final_at.is_none() {
            return Err(WalletError::StudyNotFinal);
        }
        let now = self.wallet.words_number()?;
        loop {
            let proven = self.wallet.rows(&[StateKey::Head, StateKey::Study(study.id)]).await?;
            let record = proven.rows.study(study.id)?.ok_or(WalletError::NotOnLedger)?;
            objection::keep(&self.wallet.vault, study.id, &record, &proven)?;
            let moving = self.wallet.vault.get::<Moving>(study.id.as_bytes())?;
            let Some(moving) = moving else {
                let own = self.study(&study.id.to_string())?;
                if record.holder != self.holder(&own)?.public() {
                    return Err(WalletError::OtherHolder);
                }
                record.permits(Deed::TransferStudy, proven.rows.head()?.time).map_err(WalletError::Standing)?;
                self.begin_move(&own, keep_grants)?;
                continue;
            };
            if record.holder != self.new_holder(&moving)?.public() {
                if record.holder != transferred_from(&moving.envelope)? {
                    return Err(WalletError::OtherHolder);
                }
                record.permits(Deed::TransferStudy, proven.rows.head()?.time).map_err(WalletError::Standing)?;
                let envelope = self.still_to_move(study.id, moving, keep_grants)?;
                self.wallet.ledger.submit(&envelope, &[]).await?;
                self.wallet.keep_light()?;
                continue;
            }
            // It is there: under the words of now, or of a change before the last.
            let is_there = moving.words == now;
            self.settle_move(study.id, &moving, proven.height, is_there)?;
            if is_there {
                return Ok(proven.height);
            }
        }
    }

    /// Signs the transfer of a study to the next key of the words of now, and keeps it.
    fn begin_move(&self, study: &OwnStudy, keep_grants: bool) -> Result<(), WalletError> {
        let (chain, head, nonce) = (self.wallet.chain(), self.wallet.ledger.head(), random()?);
        let (words, profile, seed) = (self.wallet.words_number()?, self.wallet.profile()?, self.wallet.seed()?);
        let holder = self.holder(study)?;
        let begun = self.wallet.vault.write(|batch| -> Result<bool, VaultError> {
            let Some(number) = Wallet::take_numbers(batch, Branch::Study, 1)? else { return Ok(false) };
            let Some(new) = seed.derive_key(profile.device, Branch::Study, number) else { return Ok(false) };
            let transfer =
                TransferStudy { study: study.id, holder: holder.public(), new_holder: new.public(), keep_grants };
            let Ok(envelope) = envelope::transfer(head, nonce, transfer).sign(&chain, &[&holder, &new]) else {
                return Ok(false);
            };
            batch.put(study.id.as_bytes(), &Moving { words, device: profile.device, holder: number, envelope })?;
            Ok(true)
        })?;
        if begun { Ok(()) } else { Err(WalletError::NoMoreKeys) }
    }

    /// The transfer that is kept; signed anew, to the same key, where it can come into no block any more, or would keep
    /// grants that are to end, or end what is to be kept: of two from one holder one alone can be executed.
    fn still_to_move(&self, study: StudyId, moving: Moving, keep_grants: bool) -> Result<Envelope, WalletError> {
        let (chain, head) = (self.wallet.chain(), self.wallet.ledger.head());
        let Action::TransferStudy(transfer) = moving.envelope.body.action.clone() else { return Err(damaged()) };
        if head.is_before(moving.envelope.body.submit_by) && transfer.keep_grants == keep_grants {
            return Ok(moving.envelope);
        }
        let transfer = TransferStudy { keep_grants, ..transfer };
        let own = self.study(&study.to_string())?;
        let (holder, new) = (self.holder(&own)?, self.new_holder(&moving)?);
        let envelope = envelope::transfer(head, random()?, transfer).sign(&chain, &[&holder, &new])?;
        self.wallet.vault.put(study.as_bytes(), &Moving { envelope: envelope.clone(), ..moving })?;
        Ok(envelope)
    }

    /// The key that a study moves to.
    fn new_holder(&self, moving: &Moving) -> Result<SecretKey, WalletError> {
        let key = self.wallet.seed_of(moving.words)?.derive_key(moving.device, Branch::Study, moving.holder);
        key.ok_or(WalletError::NoMoreKeys)
    }

    /// Whether this key, which holds a study by the ledger, is the one that the study moves to. Then it has moved, and
    /// that is kept.
    pub(super) fn has_moved(&self, study: StudyId, holder: &Key, height: Height) -> Result<bool, WalletError> {
        let Some(moving) = self.wallet.vault.get::<Moving>(study.as_bytes())? else { return Ok(false) };
        if self.new_holder(&moving)?.public() != *holder {
            return Ok(false);
        }
        self.settle_move(study, &moving, height, moving.words == self.wallet.words_number()?)?;
        Ok(true)
    }

    fn settle_move(&self, study: StudyId, moving: &Moving, height: Height, is_there: bool) -> Result<(), WalletError> {
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            let Some(held) = batch.get::<Held>(study.as_bytes())? else { return Ok(()) };
            let held =
                Held { device: moving.device, holder: moving.holder, claim: None, final_at: Some(height), ..held };
            batch.put(study.as_bytes(), &held)?;
            batch.remove::<Moving>(study.as_bytes())?;
            if is_there {
                batch.remove::<UnderFormer>(study.as_bytes()).map(drop)
            } else {
                batch.put(study.as_bytes(), &UnderFormer { words: moving.words })
            }
        })?)
    }
}

/// Who held a study before a transfer.
fn transferred_from(envelope: &Envelope) -> Result<Key, WalletError> {
    match &envelope.body.action {
        Action::TransferStudy(transfer) => Ok(transfer.holder),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Text;
    use clavicle_ledger::time::Timestamp;
    use clavicle_letters::news::Here;

    use super::super::pickup::tests::ana;
    use super::*;
    use crate::vault::Passphrase;

    /// Whoever ended a device and took new words saw it in the list for ever, and told the box of the new words' device 0
    /// nothing that the old one's had been told.
    #[test]
    fn new_words_know_no_device_of_the_old_ones() {
        let folder = tempfile::tempdir().unwrap();
        let ana = ana(folder.path());
        let vault = &ana.wallet.vault;
        let zero = Timestamp(0);
        let here = Here { since: zero, nonce: [1; 16], first_card: 0, first_mailbox: 0 };
        vault.put(b"", &OwnDevice { here, box_until: zero, register_until: zero, is_ended: true }).unwrap();
        for device in [0u32, 1] {
            let row = Device { name: Text::default(), since: zero, is_ended: true };
            vault.put(&device.to_be_bytes(), &row).unwrap();
            vault.put(&[&device.to_be_bytes()[..], &[7; 32]].concat(), &ToldDevice {}).unwrap();
        }
        vault.put(&[8; 32], &NewsCame { sealed: vec![1] }).unwrap();
        let keys = Passphrase::new("four words of it".to_owned()).unwrap();
        let (words, asked) = ana.new_words(&keys).unwrap();
        let words = words.reveal();
        let all: Vec<&str> = words.split(' ').collect();
        let typed: Vec<&str> = asked.iter().map(|place| all[usize::from(*place) - 1]).collect();
        ana.take_new_words(&typed.join(" ")).unwrap();
        assert!(ana.devices().unwrap().is_empty() && !ana.is_ended().unwrap());
        assert!(vault.all::<ToldDevice>().unwrap().is_empty() && vault.all::<NewsCame>().unwrap().is_empty());
    }
}
