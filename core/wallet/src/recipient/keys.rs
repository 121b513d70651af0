//! More keys: a grant that is renewed takes another key of the card that it is to, and a card has few.
//!
//! When those of a card are nearly used up, further ones are left beside it, on another card of the same person and
//! mailbox: sealed to whoever has the first, at the relays that keep its mailbox. They are known here before anybody sees
//! them.

use std::collections::BTreeSet;
use std::ops::Range;

use clavicle_ledger::derivation::Branch;
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::key::Key;
use clavicle_letters::card::{Card, MAX_GRANTEES, Minute, NetworkMark, RelayMark};
use clavicle_letters::introduction;
use clavicle_letters::mailbox::Mailbox;
use tracing::debug;

use super::Recipient;
use super::cards::elsewhere;
use crate::error::WalletError;
use crate::rows::{MAX_MORE_KEYS, MoreKeys, Numbered, Received, Shown};

/// How many keys are few: then more are left.
const FEW: usize = 1;
/// How many cards are given more at each look: it takes some computing.
const MOST: usize = 2;

impl Recipient {
    /// The keys of a card: those on it, and those that were left beside it.
    pub(super) fn keys_of(&self, shown: &Shown) -> Result<Vec<Numbered>, WalletError> {
        let more = self.wallet.vault.get::<MoreKeys>(shown.card.mailbox.key.as_bytes())?;
        let more = more.map(|more| more.grantees).unwrap_or_default();
        Ok(shown.grantees.iter().copied().chain(more).collect())
    }

    /// Leaves more keys beside the cards that have been granted to and have few left.
    pub(super) async fn leave_more_keys(&mut self) -> Result<(), WalletError> {
        let now = self.wallet.now();
        let used: BTreeSet<u32> =
            self.wallet.vault.all::<Received>()?.into_iter().map(|(_, received)| received.grantee).collect();
        let mut left_at = 0;
        for (_, shown) in self.wallet.vault.all::<Shown>()? {
            if now > shown.kept_until || left_at >= MOST {
                continue;
            }
            let place = shown.card.mailbox.key;
            let before = self.wallet.vault.get::<MoreKeys>(place.as_bytes())?;
            let more = match before {
                Some(more) if !more.is_left => more,
                before => {
                    let keys = self.keys_of(&shown)?;
                    let free = keys.iter().filter(|numbered| !used.contains(&numbered.number)).count();
                    if free == keys.len() || free > FEW || keys.len() + MAX_GRANTEES > MAX_MORE_KEYS {
                        continue;
                    }
                    let more = self.more_keys_for(&shown, before.map(|before| before.grantees).unwrap_or_default())?;
                    // Before anybody sees them.
                    self.wallet.vault.put(place.as_bytes(), &more)?;
                    more
                }
            };
            left_at += 1;
            self.leave_keys(&shown, more).await?;
        }
        Ok(())
    }

    fn more_keys_for(&self, shown: &Shown, mut grantees: Vec<Numbered>) -> Result<MoreKeys, WalletError> {
        let (chain, person) = (self.wallet.chain(), self.person()?);
        let mut fresh = Vec::new();
        for number in more_numbers(&shown.card.mailbox.key, grantees.len() / MAX_GRANTEES) {
            fresh.push(Numbered { key: self.wallet.key(Branch::Card, number)?.public(), number });
        }
        grantees.extend(&fresh);
        let relays = shown.card.mailbox.relays.iter().map(RelayMark::from).collect();
        let card = Card {
            network: NetworkMark::from(&chain),
            person: person.public(),
            name: self.name()?,
            grantees: Ascending::from_items(fresh.iter().map(|numbered| numbered.key).collect())
                .map_err(|_| WalletError::Defect)?,
            mailbox: shown.card.mailbox.key,
            relays: Ascending::from_items(relays).map_err(|_| WalletError::Defect)?,
            recipient: shown.card.recipient,
            wish: Text::default(),
            expires: Minute::of(shown.kept_until),
        };
        Ok(MoreKeys { grantees, card: card.sign(&chain, &person)?, is_left: false })
    }

    /// Leaves them where whoever has the card looks; what cannot be left now is the next time.
    async fn leave_keys(&mut self, shown: &Shown, more: MoreKeys) -> Result<(), WalletError> {
        let place = more.card.card.introduction_box();
        let Ok(sealed) = introduction::seal(&more.card, &place) else { return Ok(()) };
        let (key, relays) = (place.key.public(), shown.card.mailbox.relays.clone());
        let lies = Mailbox { key, relays, token: place.token };
        let opened = self.wallet.ledger.keep_mailbox(&place.key, &lies, shown.kept_until).await;
        let relays: Vec<_> = lies.relays.iter().copied().collect();
        let left = self.wallet.ledger.deposit(&relays, key, place.token, &sealed).await;
        debug!(opened, left, "where more keys of a card lie");
        if left > 0 {
            let place = shown.card.mailbox.key;
            self.wallet.vault.put(place.as_bytes(), &MoreKeys { is_left: true, ..more })?;
        }
        Ok(())
    }
}

/// The numbers of the keys that are left beside a card when some were `before`: no other card has them, and whoever has
/// nothing but the words finds them.
fn more_numbers(mailbox: &Key, before: usize) -> Range<u32> {
    let mut hasher = blake3::Hasher::new_derive_key("clavicle 2026 keys beside a card");
    hasher.update(mailbox.as_bytes()).update(&(before as u64).to_le_bytes());
    let mut bytes = [0; 4];
    hasher.finalize_xof().fill(&mut bytes);
    let first = elsewhere(bytes);
    first..first.saturating_add(MAX_GRANTEES as u32)
}

/// All of them that there can be.
pub(super) fn all_more_numbers(mailbox: &Key) -> impl Iterator<Item = u32> {
    (0..MAX_MORE_KEYS / MAX_GRANTEES).flat_map(move |before| more_numbers(mailbox, before))
}
