//! Cards that a recipient shows, and Invitations that it answers with one.

use clavicle_ledger::derivation::Branch;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::StateKey;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::card::{Card, MAX_GRANTEES, Minute, NetworkMark, RelayMark, SignedCard, TOLERANCE_MS};
use clavicle_letters::invitation::{Answer, Opening, SignedInvitation};
use clavicle_letters::letter::{Content, Letter};
use clavicle_letters::mailbox::Mailbox;
use clavicle_letters::news::opened_by;
use clavicle_letters::seal;
use clavicle_letters::transcript::{InvitationId, Nonce};
use clavicle_letters::verdict::{Unverified, Verdict};
use tracing::debug;

use super::mail::Came;
use super::{MAX_CARD_DAYS, Recipient, usable};
use crate::error::{OwnText, WalletError};
use crate::ledger::Collect;
use crate::rows::{AnswerMade, AnswerStage, KeptCard, Numbered, OlderCopy, Profile, Shown};
use crate::vault::VaultError;
use crate::wallet::{Wallet, random};

/// How many relays keep a card's mailbox.
pub(super) const KEPT_BY: usize = 2;

impl Recipient {
    /// Makes a card with fresh keys, `keys` of them, good for `days`. Its mailbox is open when this returns, which takes some computing: `progress`
    /// is told how many parts of it are done, and of how many.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn card(
        &mut self,
        keys: usize,
        days: u64,
        wish: &str,
        progress: impl Fn(usize, usize),
    ) -> Result<SignedCard, WalletError> {
        let count = u32::try_from(keys.clamp(1, MAX_GRANTEES)).unwrap_or(1);
        let wish = usable(OwnText::Wish, wish.trim())?;
        self.pass_used_mailbox().await?;
        let taken = self.wallet.vault.write(|batch| {
            let card = Wallet::take_numbers(batch, Branch::Card, count)?;
            let mailbox = Wallet::take_numbers(batch, Branch::Mailbox, 1)?;
            Ok(card.zip(mailbox))
        })?;
        let (first, mailbox) = taken.ok_or(WalletError::NoMoreKeys)?;
        let mut grantees = Ascending::<Numbered, MAX_GRANTEES>::new();
        for number in first..first + count {
            let key = self.wallet.key(Branch::Card, number)?.public();
            grantees.insert(Numbered { key, number }).map_err(|_| WalletError::Defect)?;
        }
        self.wallet.rows(&[StateKey::Head]).await?;
        let head = self.wallet.ledger.head();
        // The same for all cards, and as long as can be: something may have to be told of a copy.
        let (expires, kept_until) = (head.kept_until(days.clamp(1, MAX_CARD_DAYS)), head.kept_until(MAX_CARD_DAYS));
        let key = self.wallet.key(Branch::Mailbox, mailbox)?;
        // So that letters to it are still read when this device is lost.
        let identity = opened_by(&key);
        let token = Card::token(&key.public(), &identity.recipient());
        let relays = self.wallet.ledger.open_mailbox(&key, token, kept_until, KEPT_BY, progress).await?;
        let relays = Ascending::from_items(relays).map_err(|_| WalletError::Defect)?;
        let keys: Vec<_> = grantees.iter().map(|numbered| numbered.key).collect();
        let (chain, person) = (self.wallet.chain(), self.person()?);
        let card = Card {
            network: NetworkMark::from(&chain),
            person: person.public(),
            name: self.name()?,
            grantees: Ascending::from_items(keys).map_err(|_| WalletError::Defect)?,
            mailbox: key.public(),
            relays: Ascending::from_items(relays.iter().map(RelayMark::from).collect())
                .map_err(|_| WalletError::Defect)?,
            recipient: identity.recipient(),
            wish,
            expires: Minute::of(expires),
        };
        let card = card.sign(&chain, &person)?;
        let kept = KeptCard::of(chain, &card, relays, Verdict::Unverified(Unverified::Nobody));
        let shown = Shown { card: kept, grantees, mailbox, identity, kept_until, has_copy: false };
        // Before anybody sees it.
        self.keep_shown(&shown)?;
        self.introduce(&card.card, &shown.card.mailbox).await?;
        Ok(card)
    }

    /// The Invitations that were answered, the earliest first.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn answers(&self) -> Result<Vec<AnswerMade>, WalletError> {
        let mut all: Vec<AnswerMade> =
            self.wallet.vault.all::<AnswerMade>()?.into_iter().map(|(_, made)| made).collect();
        all.sort_by_key(|made| (made.at, made.id()));
        Ok(all)
    }

    /// Answers an Invitation with a card of fresh keys. Asked for once more it is the same answer, whatever else is
    /// said: another would void the Invitation. `progress` is told how far the card's mailbox is.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped.
    pub async fn answer(
        &mut self,
        invitation: &SignedInvitation,
        keys: usize,
        days: u64,
        wish: &str,
        progress: impl Fn(usize, usize),
    ) -> Result<AnswerMade, WalletError> {
        let (chain, id) = (self.wallet.chain(), invitation.invitation.id());
        let before = self.wallet.vault.get::<AnswerMade>(id.as_bytes())?;
        if let Some(made) = before.as_ref().filter(|made| made.words().is_some()) {
            return Ok(made.clone());
        }
        let shown = invitation.verify(&chain, self.wallet.now())?;
        let relays: Vec<SourceId> = shown.mailbox.relays.iter().copied().collect();
        if !relays.iter().any(|relay| self.wallet.ledger.has_relay(relay)) {
            self.wallet.ledger.look_up(&relays).await;
        }
        if !relays.iter().any(|relay| self.wallet.ledger.has_relay(relay)) {
            return Err(WalletError::UnknownInvitation);
        }
        let mut made = match before {
            Some(made) => made,
            None => {
                let card = self.card(keys, days, wish, progress).await?;
                let answer = Answer { invitation: id, card, nonce: Nonce::from_bytes(random()?) };
                let made = AnswerMade {
                    invitation: invitation.clone(),
                    answer,
                    at: self.wallet.now(),
                    stage: AnswerStage::Made,
                };
                // Before anybody sees it.
                self.wallet.vault.put(id.as_bytes(), &made)?;
                made
            }
        };
        if made.stage == AnswerStage::Made {
            let sealed = self.sealed_answer(&made)?;
            let Mailbox { key, token, .. } = &shown.mailbox;
            let taken = self.wallet.ledger.deposit(&relays, *key, *token, &sealed).await;
            self.wallet.keep_directory()?;
            if taken == 0 {
                return Err(WalletError::NotAnsweredYet);
            }
            made.stage = AnswerStage::Sent;
            self.wallet.vault.put(id.as_bytes(), &made)?;
        }
        Ok(made)
    }

    fn sealed_answer(&self, made: &AnswerMade) -> Result<Vec<u8>, WalletError> {
        let key = self.wallet.key(Branch::Mailbox, self.shown(made)?.mailbox)?;
        let letter = Letter {
            chain: self.wallet.chain(),
            to: made.invitation.invitation.recipient,
            from: key.public(),
            sent: self.wallet.now(),
            content: Content::Answer(Box::new(made.answer.clone())),
        };
        Ok(seal::seal(&letter, &key)?)
    }

    /// The card that an Invitation was answered with.
    fn shown(&self, made: &AnswerMade) -> Result<Shown, WalletError> {
        self.wallet.vault.get(made.answer.card.card.mailbox.as_bytes())?.ok_or(WalletError::NoInvitation)
    }

    /// Looks once whether the patient's device has taken the answer: then there are words to compare.
    ///
    /// # Errors
    /// [`WalletError::InvitationUnopened`] and others; the same again looks once more.
    pub async fn look_for_opening(&mut self, id: InvitationId) -> Result<AnswerMade, WalletError> {
        let made = |recipient: &Self| {
            recipient.wallet.vault.get::<AnswerMade>(id.as_bytes())?.ok_or(WalletError::NoInvitation)
        };
        let before = made(self)?;
        if before.words().is_some() {
            return Ok(before);
        }
        let cards = [self.shown(&before)?];
        let key = self.wallet.key(Branch::Mailbox, cards[0].mailbox)?;
        let mailbox = [Collect { key, relays: cards[0].card.mailbox.relays.iter().copied().collect() }];
        let (mut new, mut notices) = (Vec::new(), Vec::new());
        let mut came = Came { recipient: &*self, cards: &cards, new: &mut new, notices: &mut notices };
        let collected = self.wallet.ledger.collect(&mailbox, &mut came, &mut |_, _| {}).await?;
        self.keep_notices(notices).await?;
        let after = made(self)?;
        if after.words().is_some() {
            return Ok(after);
        }
        if collected.reached.is_empty() {
            return Err(WalletError::NoRelay(collected.silent.into_values().flatten().next()));
        }
        let expires = after.invitation.invitation.expires;
        if self.wallet.now() > expires.plus(2 * TOLERANCE_MS) {
            Err(WalletError::InvitationUnopened)
        } else {
            Ok(after)
        }
    }

    /// Waits until the patient's device may have taken the answer, or for some seconds; then it is to be looked.
    ///
    /// # Errors
    /// [`WalletError::NoInvitation`] and others.
    pub async fn wait_for_opening(&self, id: InvitationId) -> Result<(), WalletError> {
        let made = self.wallet.vault.get::<AnswerMade>(id.as_bytes())?.ok_or(WalletError::NoInvitation)?;
        let shown = self.shown(&made)?;
        let key = self.wallet.key(Branch::Mailbox, shown.mailbox)?;
        let relays = shown.card.mailbox.relays.iter().copied().collect();
        self.wallet.ledger.wait_for_mail(&[Collect { key, relays }]).await;
        Ok(())
    }

    /// Keeps the words that an opening brings, if it opens an Invitation that was answered with this card.
    pub(super) fn take_opening(&self, shown: &Shown, opening: &Opening, from: &Key) -> Result<(), WalletError> {
        let id = opening.invitation;
        let Some(mut made) = self.wallet.vault.get::<AnswerMade>(id.as_bytes())? else {
            debug!("what opens an invitation that was not answered");
            return Ok(());
        };
        match opening.check(&made.invitation.invitation, &made.answer, from) {
            Ok(comparison) if made.answer.card.signature == shown.card.signature => {
                made.stage = AnswerStage::Opened(comparison.words());
                Ok(self.wallet.vault.put(id.as_bytes(), &made)?)
            }
            Ok(_) => Ok(()),
            Err(error) => {
                debug!(%error, "what does not open an invitation");
                Ok(())
            }
        }
    }

    /// Looks whether a relay keeps a mailbox of the next key already. Then this vault is an older copy of what there
    /// was: cards go on at a number that is drawn at random, so that no key is ever shown twice.
    async fn pass_used_mailbox(&mut self) -> Result<(), WalletError> {
        let next = self.wallet.profile()?.next_mailbox;
        if !self.wallet.ledger.has_mailbox(&self.wallet.key(Branch::Mailbox, next)?).await? {
            return Ok(());
        }
        let [card, mailbox] = [elsewhere(random()?), elsewhere(random()?)];
        let now = self.wallet.now();
        Ok(self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(()) };
            (profile.next_card, profile.next_mailbox) = (card, mailbox);
            batch.put(b"", &profile)?;
            batch.put(b"", &OlderCopy { at: now })
        })?)
    }

    /// When it was found that this wallet is an older copy of itself.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn older_copy(&self) -> Result<Option<Timestamp>, WalletError> {
        Ok(self.wallet.vault.get::<OlderCopy>(b"")?.map(|found| found.at))
    }
}

/// A number of a key that no wallet comes to by counting, with room above it.
pub(super) const fn elsewhere(random: [u8; 4]) -> u32 {
    (1 << 30) + u32::from_le_bytes(random) % ((1 << 30) - (1 << 20))
}
