//! Restoring: a recipient's wallet, with nothing but the words, the name and the network.
//!
//! The words give every key there ever was, and what opens letters to the mailboxes of cards. Which cards there were relays tell who
//! still keep their mailboxes: those of the first wallet by counting, those of wallets that were restored from where the register says
//! that they begin. What had come and was not read yet is read. What had been read is gone, but for whoever granted it, who
//! can send it again.
//!
//! A wallet that is restored takes a number of its own, and begins its cards at a number by chance: no key is ever shown twice, also when
//! relays have forgotten what was shown before.

use std::path::Path;

use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{Checkpoint, LightClient};
use clavicle_ledger::state::StateKey;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::card::{Card, MAX_CARD_RELAYS, MAX_GRANTEES};
use clavicle_letters::credential::Issuer;
use clavicle_letters::letter::Content;
use clavicle_letters::mailbox::Mailbox;
use clavicle_letters::news::opened_by;
use clavicle_letters::seal::{self, OpenError};
use clavicle_network::transfer::Reach;
use tracing::debug;

use super::cards::elsewhere;
use super::keys::all_more_numbers;
use super::mail::{KEPT_MS, SourceWord};
use super::{Granted, MAX_CARD_DAYS, Recipient, usable};
use crate::devices::Register;
use crate::error::{OwnText, WalletError};
use crate::ledger::{Collect, Keep, Ledger};
use crate::rows::{CardFound, OfCardFound, OwnCredential, Profile, Received};
use crate::vault::{KeyStore, VaultError};
use crate::wallet::{Wallet, random};

/// After how many mailboxes in a row that no relay keeps a device is taken to have no more.
const UNUSED_MAILBOXES: u32 = 256;
/// How many mailboxes of one device are looked for, whatever relays answer.
const MAX_MAILBOXES: usize = 4096;
/// How many relays have to keep a mailbox for it to show that there may be more: one alone may say so of all.
const BORNE_OUT: usize = 2;
/// How many are asked about at once.
const AT_ONCE: u32 = 64;
/// The greatest number of a device that is restored.
const MAX_DEVICE: u32 = 1 << 20;

/// What was found again of a recipient's wallet.
#[derive(Clone)]
pub struct FoundAgain {
    /// How many cards whose mailboxes are still kept: letters to them are read from now on.
    pub cards: usize,
    /// What was granted, and not read before the wallet was lost.
    pub granted: Vec<Granted>,
    /// How many letters came to cards of an earlier version: what opens those went with the wallet.
    pub unreadable: usize,
    /// The devices whose cards were looked for.
    pub devices: Vec<u32>,
    /// Of how many mailboxes no relay answered.
    pub unread: usize,
}

impl Recipient {
    /// Makes a wallet of its words, as a device of its own. The name stands on its cards. `checkpoint` is where to start if the network is so old
    /// that its genesis is not believed any more. [`Recipient::find`] brings in what there was.
    ///
    /// # Errors
    /// [`WalletError`]; nothing is made then.
    pub async fn restore(
        folder: &Path,
        keys: &dyn KeyStore,
        (genesis, checkpoint): (Genesis, Option<&Checkpoint>),
        words: &Words,
        name: &str,
        clock: fn() -> LocalTime,
    ) -> Result<Self, WalletError> {
        genesis.check()?;
        let name = name.trim();
        if usable::<64>(OwnText::Name, name)?.as_str().is_empty() {
            return Err(WalletError::Unusable { what: OwnText::Name, len: 0, max: 64 });
        }
        let mut ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), clock);
        if let Some(checkpoint) = checkpoint {
            ledger.renew(checkpoint).await?;
        }
        ledger.rows(&[StateKey::Head]).await?;
        let seed = words.seed();
        let mut register = Register::read(&ledger, &seed).await?;
        let begins = (elsewhere(random()?), elsewhere(random()?));
        let (device, _) = register.settle(&mut ledger, (1, MAX_DEVICE), begins).await?;
        let wallet = Wallet::make(folder, keys, genesis, ledger, (words, device), name)?;
        wallet.vault.write(|batch| -> Result<(), VaultError> {
            let Some(mut profile) = batch.get::<Profile>(b"")? else { return Ok(()) };
            (profile.next_card, profile.next_mailbox) = begins;
            batch.put(b"", &profile)
        })?;
        wallet.words_are_known()?;
        Ok(Self { wallet })
    }

    /// Looks for cards that other wallets of the same words showed, and reads what came to them and was not read. `progress` is told how many
    /// mailboxes were asked about, and of how many at least.
    ///
    /// # Errors
    /// [`WalletError`]; what was found by then is kept.
    pub async fn find(&mut self, mut progress: impl FnMut(usize, usize)) -> Result<FoundAgain, WalletError> {
        let seed = self.wallet.seed()?;
        let register = Register::read(&self.wallet.ledger, &seed).await?;
        let own = self.wallet.profile()?.device;
        let mut begins = vec![(0, 0, 0)];
        begins.extend(register.devices.iter().map(|(device, here)| (*device, here.first_card, here.first_mailbox)));
        begins.retain(|(device, ..)| *device != own);
        let borne_out = BORNE_OUT.min(self.wallet.ledger.relays()?.len());
        let (mut cards, mut asked) = (0, 0);
        for (device, first_card, first_mailbox) in &begins {
            let (mut next, mut unused, mut of_device) = (*first_mailbox, 0, 0);
            while unused < UNUSED_MAILBOXES && of_device < MAX_MAILBOXES {
                let key = |number| seed.derive_key(*device, Branch::Mailbox, number);
                let numbered: Vec<(u32, SecretKey)> =
                    (next..next.saturating_add(AT_ONCE)).filter_map(|number| Some((number, key(number)?))).collect();
                let keys: Vec<SecretKey> = numbered.iter().map(|(_, key)| key.clone()).collect();
                if keys.is_empty() {
                    break;
                }
                let peeked = self.wallet.ledger.peek(&keys, false).await?;
                for ((number, key), peeked) in numbered.iter().zip(peeked) {
                    unused = if peeked.relays.len() >= borne_out { 0 } else { unused + 1 };
                    if peeked.relays.is_empty() {
                        continue;
                    }
                    cards += 1;
                    let relays: Vec<SourceId> = peeked.relays.into_iter().take(MAX_CARD_RELAYS).collect();
                    let Ok(relays) = Ascending::from_items(relays) else { continue };
                    let (begins, found) = ((*first_card, *first_mailbox), key.public());
                    self.keep_found(&found, CardFound::new(*device, *number, begins, relays))?;
                }
                next = next.saturating_add(AT_ONCE);
                asked += keys.len();
                of_device += keys.len();
                progress(asked, asked.max(begins.len() * UNUSED_MAILBOXES as usize));
            }
        }
        let (mut granted, mut notices) = (Vec::new(), Vec::new());
        let (unreadable, unread) = self.read_found(&mut granted, &mut notices).await?;
        self.keep_notices(notices).await?;
        let devices = begins.into_iter().map(|(device, ..)| device).collect();
        Ok(FoundAgain { cards, granted, unreadable, devices, unread })
    }

    fn keep_found(&self, key: &Key, found: CardFound) -> Result<(), WalletError> {
        let before = self.wallet.vault.get::<CardFound>(key.as_bytes())?;
        let kept_until = before.map_or(Timestamp(0), |before| before.kept_until).max(self.wallet.now());
        Ok(self.wallet.vault.put(key.as_bytes(), &CardFound { kept_until, ..found })?)
    }

    /// Has a hospital asked what it says of this person: the long-term key is the same as before.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn fetch_credential(&mut self, hospital: &str) -> Result<(), WalletError> {
        if self.wallet.ledger.source_called(hospital).is_none() {
            self.wallet.ledger.look_up(&[]).await;
        }
        let source = self.wallet.ledger.source_called(hospital);
        let of = Issuer::Source(source.ok_or_else(|| WalletError::NoSuchSource(hospital.to_owned()))?);
        let introduction = self.wallet.vault.get::<OwnCredential>(b"")?.and_then(|before| before.introduction);
        self.wallet.vault.put(b"", &OwnCredential { of, introduction })?;
        self.renew_credential().await
    }

    /// Reads what came to cards that were found again. How many letters cannot be read by whoever lost the wallet, and of how many mailboxes no
    /// relay answered.
    pub(super) async fn read_found(
        &mut self,
        new: &mut Vec<Granted>,
        notices: &mut Vec<SourceWord>,
    ) -> Result<(usize, usize), WalletError> {
        let mut cards = Vec::new();
        for (_, found) in self.wallet.vault.all::<CardFound>()? {
            let key = self.wallet.seed()?.derive_key(found.device, Branch::Mailbox, found.mailbox);
            cards.push((key.ok_or(WalletError::NoMoreKeys)?, found));
        }
        if cards.is_empty() {
            return Ok((0, 0));
        }
        let of = |(key, found): &(SecretKey, CardFound)| Collect {
            key: key.clone(),
            relays: found.relays.iter().copied().collect(),
        };
        let mailboxes: Vec<Collect> = cards.iter().map(of).collect();
        let mut came = CameAgain { recipient: &*self, cards: &cards, new, notices, unreadable: 0 };
        let collected = self.wallet.ledger.collect(&mailboxes, &mut came, &mut |_, _| {}).await?;
        let unreadable = came.unreadable;
        let mut unread = 0;
        for (place, (key, found)) in cards.iter().enumerate() {
            if !collected.reached.contains(&place) && !self.forget_found(&key.public(), found)? {
                unread += 1;
            }
        }
        self.wallet.keep_directory()?;
        Ok((unreadable, unread))
    }

    /// Forgets a card of whose mailbox no relay answers, once none can keep it any more. Whether it did.
    fn forget_found(&self, key: &Key, found: &CardFound) -> Result<bool, WalletError> {
        let (now, place) = (self.wallet.now(), key.as_bytes());
        if found.kept_until == Timestamp(0) {
            // Earlier versions did not say when it was found.
            self.wallet.vault.put(place, &CardFound { kept_until: now, ..found.clone() })?;
            return Ok(false);
        }
        let is_over = found.kept_until.plus(KEPT_MS) < now;
        if is_over {
            self.wallet.vault.remove::<CardFound>(place)?;
        }
        Ok(is_over)
    }

    /// Keeps what a letter to a card that was found again brings.
    fn take_again(
        &self,
        (key, found): &(SecretKey, CardFound),
        sealed: &[u8],
        notices: &mut Vec<SourceWord>,
    ) -> Result<Option<Granted>, TakenAgain> {
        let chain = self.wallet.chain();
        let letter = match seal::open(sealed, &opened_by(key), &chain) {
            Ok(letter) => letter,
            Err(OpenError::NotForUs) => return Err(TakenAgain::Unreadable),
            Err(OpenError::Kind(kind)) => {
                self.keep_unreadable(kind, sealed)?;
                return Ok(None);
            }
            Err(error) => {
                debug!(%error, "a message cannot be read");
                return Ok(None);
            }
        };
        let (letter_of, about, told) = match &letter.content {
            Content::Grant(letter_of) => (letter_of, None, None),
            Content::NamedGrant(letter_of, about) => (letter_of, Some(&**about), None),
            Content::ToldGrant(letter_of, told) => (letter_of, told.about.as_ref(), Some(&**told)),
            Content::Notice(notice) => {
                if self.was_granted(notice.study, notice.source)? {
                    notices.push(SourceWord::notice(notice, &letter));
                }
                return Ok(None);
            }
            Content::Reissued(reissued) => {
                if self.was_granted(reissued.study, reissued.source)? {
                    notices.push(SourceWord::reissued(reissued, &letter));
                }
                return Ok(None);
            }
            Content::Answer(_) | Content::Opening(_) | Content::News(_) => {
                debug!("a letter of another kind than is read of a card that was found again");
                return Ok(None);
            }
        };
        let checked = match letter_of.check(&chain, &letter.from) {
            Ok(checked) => checked,
            Err(error) => {
                debug!(%error, "a letter does not hold together");
                return Ok(None);
            }
        };
        let mailbox = key.public();
        // Keys beside a card had numbers by chance once: then nobody finds them again.
        let number = self.number_of(found, &mailbox, &checked.grant().grantee)?.ok_or(TakenAgain::Unreadable)?;
        let id = checked.id();
        if self.wallet.vault.get::<Received>(id.as_bytes())?.is_some() {
            return Ok(None);
        }
        let numbers = found.card_keys();
        let more: Vec<u32> = all_more_numbers(&mailbox).collect();
        self.make_room(|number| numbers.contains(&number) || more.contains(&number))?;
        let found = OfCardFound { device: found.device, mailbox };
        Ok(Some(self.keep_granted(&checked, letter_of, (about, told), number, Some(found))?))
    }

    fn was_granted(&self, study: StudyId, source: SourceId) -> Result<bool, WalletError> {
        let all = self.wallet.vault.all::<Received>()?;
        Ok(all.iter().any(|(_, received)| received.study == study && received.source == source))
    }

    /// The number of a card's key, of those that a card with this mailbox may have: each card before it had one key at least, and
    /// [`MAX_GRANTEES`] at most. Or that of one which was left beside it.
    fn number_of(&self, found: &CardFound, mailbox: &Key, grantee: &Key) -> Result<Option<u32>, WalletError> {
        let seed = self.wallet.seed()?;
        let is = |number: &u32| {
            seed.derive_key(found.device, Branch::Card, *number).is_some_and(|key| key.public() == *grantee)
        };
        Ok(found.card_keys().chain(all_more_numbers(mailbox)).find(is))
    }

    /// The key of another device that something was granted to, if it was to one's.
    pub(super) fn grantee_elsewhere(&self, granted: &Granted) -> Result<Option<SecretKey>, WalletError> {
        let Some(of) = self.wallet.vault.get::<OfCardFound>(granted.id.as_bytes())? else { return Ok(None) };
        let key = self.wallet.seed()?.derive_key(of.device, Branch::Card, granted.received.grantee);
        key.map(Some).ok_or(WalletError::NoMoreKeys)
    }

    /// Where the source of something that was granted to a card that was found again is to tell what becomes of it.
    pub(super) async fn reach_found(&mut self, granted: &Granted) -> Result<Option<Reach>, WalletError> {
        let Some(of) = self.wallet.vault.get::<OfCardFound>(granted.id.as_bytes())? else { return Ok(None) };
        let Some(mut found) = self.wallet.vault.get::<CardFound>(of.mailbox.as_bytes())? else { return Ok(None) };
        let key = self.wallet.seed()?.derive_key(found.device, Branch::Mailbox, found.mailbox);
        let key = key.ok_or(WalletError::NoMoreKeys)?;
        let recipient = opened_by(&key).recipient();
        let (relays, token) = (found.relays.clone(), Card::token(&key.public(), &recipient));
        let mailbox = Mailbox { key: key.public(), relays, token };
        let now = self.wallet.now();
        if found.kept_until < now.plus(KEPT_MS / 2) {
            let until = self.wallet.ledger.head().kept_until(MAX_CARD_DAYS);
            if self.wallet.ledger.keep_mailbox(&key, &mailbox, until).await > 0 {
                found.kept_until = until;
                self.wallet.vault.put(of.mailbox.as_bytes(), &found)?;
            }
        }
        Ok((now <= found.kept_until).then(|| Reach { mailbox, recipient: *recipient.as_bytes() }))
    }
}

/// Why a letter to a card that was found again brings nothing.
enum TakenAgain {
    /// What opens it went with the wallet that was lost.
    Unreadable,
    Failed(WalletError),
}

impl<E: Into<WalletError>> From<E> for TakenAgain {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What a collection brings of cards that were found again.
struct CameAgain<'a> {
    recipient: &'a Recipient,
    cards: &'a [(SecretKey, CardFound)],
    new: &'a mut Vec<Granted>,
    notices: &'a mut Vec<SourceWord>,
    unreadable: usize,
}

impl Keep for CameAgain<'_> {
    fn keep(&mut self, place: usize, sealed: &[u8]) -> Result<(), WalletError> {
        let Some(card) = self.cards.get(place) else { return Ok(()) };
        match self.recipient.take_again(card, sealed, self.notices) {
            Ok(granted) => self.new.extend(granted),
            Err(TakenAgain::Unreadable) => self.unreadable += 1,
            Err(TakenAgain::Failed(error)) => return Err(error),
        }
        Ok(())
    }
}

impl CardFound {
    const fn new(
        device: u32,
        mailbox: u32,
        (first_card, first_mailbox): (u32, u32),
        relays: Ascending<SourceId, MAX_CARD_RELAYS>,
    ) -> Self {
        Self { device, mailbox, first_card, first_mailbox, relays, kept_until: Timestamp(0) }
    }

    /// The numbers that the keys of the card may have.
    fn card_keys(&self) -> std::ops::Range<u32> {
        let cards = self.mailbox.saturating_sub(self.first_mailbox);
        let most = cards.saturating_add(1).saturating_mul(MAX_GRANTEES as u32);
        self.first_card.saturating_add(cards)..self.first_card.saturating_add(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::MAX_MORE_KEYS;

    #[test]
    fn the_keys_of_a_card_are_looked_for_where_they_can_be() {
        let found = |mailbox| CardFound::new(2, mailbox, (100, 40), Ascending::new());
        // The first has the first keys, and one after two others some of those behind two to sixteen.
        assert_eq!(found(40).card_keys(), 100..108);
        assert_eq!(found(42).card_keys(), 102..124);
    }

    #[test]
    fn a_key_that_was_left_beside_a_card_is_found_by_the_words() {
        let folder = tempfile::tempdir().unwrap();
        let rossi = crate::recipient::tests::rossi(folder.path());
        let seed = rossi.wallet.seed().unwrap();
        let mailbox = seed.derive_key(2, Branch::Mailbox, 41).unwrap().public();
        let other = seed.derive_key(2, Branch::Mailbox, 42).unwrap().public();
        let found = CardFound::new(2, 41, (100, 40), Ascending::new());
        let key = |number| seed.derive_key(2, Branch::Card, number).unwrap().public();
        let numbers: Vec<u32> = all_more_numbers(&mailbox).collect();
        let (first, last) = (numbers[0], numbers[numbers.len() - 1]);
        assert_eq!(numbers.len(), MAX_MORE_KEYS);
        for number in [first, last, 101] {
            assert_eq!(rossi.number_of(&found, &mailbox, &key(number)).unwrap(), Some(number));
        }
        assert_eq!(rossi.number_of(&found, &other, &key(first)).unwrap(), None, "it is another card's");
    }

    #[test]
    fn a_card_of_which_no_relay_answers_is_forgotten_once_none_can_keep_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut rossi = crate::recipient::tests::rossi(folder.path());
        let now = rossi.wallet.now();
        let relays = || Ascending::from_items(vec![SourceId::from_bytes([6; 32])]).unwrap();
        let keep = |rossi: &Recipient, mailbox, kept_until| {
            let key = rossi.wallet.seed().unwrap().derive_key(2, Branch::Mailbox, mailbox).unwrap().public();
            let found = CardFound::new(2, mailbox, (100, 40), relays());
            rossi.wallet.vault.put(key.as_bytes(), &CardFound { kept_until, ..found }).unwrap();
        };
        keep(&rossi, 40, Timestamp(now.0 - KEPT_MS));
        keep(&rossi, 41, Timestamp(now.0 - KEPT_MS - 1));
        // As an earlier version kept it.
        keep(&rossi, 42, Timestamp(0));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (_, unread) = runtime.block_on(rossi.read_found(&mut Vec::new(), &mut Vec::new())).unwrap();
        let mut left: Vec<_> = rossi.wallet.vault.all::<CardFound>().unwrap().into_iter().map(|(_, row)| row).collect();
        left.sort_by_key(|found| found.mailbox);
        let left: Vec<_> = left.iter().map(|found| (found.mailbox, found.kept_until)).collect();
        assert_eq!((unread, left), (2, vec![(40, Timestamp(now.0 - KEPT_MS)), (42, now)]));
    }
}
