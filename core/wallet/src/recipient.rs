//! What a recipient does: show a card, read what came, fetch.

mod cards;
mod credential;
mod fetching;
mod keys;
mod mail;
mod organisation;
mod restore;
mod told;

use std::collections::BTreeMap;
use std::path::Path;

use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::encoding::Text;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::time::{Height, LocalTime};
use clavicle_letters::about::About;
use clavicle_letters::grant_code::GrantCode;
use tracing::debug;

use crate::error::{OwnText, WalletError};
use crate::ledger::Woken;
use crate::patient::one;
use crate::rows::Received;
use crate::vault::KeyStore;
use crate::wallet::{Kind, Wallet, damaged};

pub use self::credential::OwnStanding;
pub use self::fetching::CopyState;
pub use self::mail::Mail;
pub use self::organisation::{ActingMember, VouchedRow};
pub use self::restore::FoundAgain;
pub use self::told::LotRow;

/// The longest that a card is good, in days: mailboxes are kept no longer.
pub const MAX_CARD_DAYS: u64 = 30;

/// A recipient's wallet.
#[derive(Debug)]
pub struct Recipient {
    wallet: Wallet,
}

/// A study that was granted to this recipient.
#[derive(Clone)]
pub struct Granted {
    /// The grant's id.
    pub id: GrantId,
    /// What is kept of it.
    pub received: Received,
}

impl Recipient {
    /// Makes a recipient's wallet, and gives the words to be written down. The name stands on its cards.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn create(
        folder: &Path,
        keys: &dyn KeyStore,
        genesis: Genesis,
        name: &str,
        clock: fn() -> LocalTime,
    ) -> Result<(Self, Words), WalletError> {
        let name = name.trim();
        let shown: Text<64> = usable(OwnText::Name, name)?;
        if shown.as_str().is_empty() {
            return Err(WalletError::Unusable { what: OwnText::Name, len: 0, max: 64 });
        }
        let (wallet, words) = Wallet::create(folder, keys, genesis, name, clock)?;
        Ok((Self { wallet }, words))
    }

    /// Opens a recipient's wallet.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn open(folder: &Path, keys: &dyn KeyStore, clock: fn() -> LocalTime) -> Result<Self, WalletError> {
        Ok(Self { wallet: Wallet::open(folder, keys, Kind::Recipient, clock)? })
    }

    /// The places of the three words, counted from 1, that are to be told so that it is known that they are written
    /// down; nothing once they were. Until then a lost device is a lost wallet.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn words_asked(&self) -> Result<Option<[u8; 3]>, WalletError> {
        self.wallet.words_asked()
    }

    /// Checks these three words, in their order.
    ///
    /// # Errors
    /// [`WalletError::OtherWords`]; others are asked for then.
    pub fn check_words(&self, typed: &str) -> Result<(), WalletError> {
        self.wallet.check_words(typed)
    }

    /// The words, for whoever shows that they may see them.
    ///
    /// # Errors
    /// [`WalletError::Vault`], when these keys do not open it.
    pub fn words(&self, keys: &dyn KeyStore) -> Result<Words, WalletError> {
        self.wallet.words_shown_to(keys)
    }

    /// Makes a second way in: see [`Vault::add_keys`](crate::vault::Vault::add_keys).
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn add_keys(&self, keys: &dyn KeyStore) -> Result<(), WalletError> {
        Ok(self.wallet.vault.add_keys(keys)?)
    }

    /// Finds the way back by itself, should the network have gone on for so long without this wallet that nothing is believed any more: by a block that
    /// hospitals vouch for. Whatever asks the ledger does so too; who wants to tell calls this first.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn wake(&mut self) -> Result<Option<Woken>, WalletError> {
        self.wallet.wake().await
    }

    /// Submits a grant that somebody signed without a network, and waits until it is final.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn submit_grant(&mut self, code: &GrantCode) -> Result<Height, WalletError> {
        self.wallet.submit_grant(code).await
    }

    fn name(&self) -> Result<Text<64>, WalletError> {
        let profile = self.wallet.profile()?;
        let name = std::str::from_utf8(&profile.name).map_err(|_| damaged())?;
        usable(OwnText::Name, name)
    }

    /// Everything that was granted to this recipient, the earliest first.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn inbox(&self) -> Result<Vec<Granted>, WalletError> {
        let all = self.wallet.vault.all::<Received>()?.into_iter();
        let mut all: Vec<Granted> = all.map(|(_, received)| Granted { id: received.grant, received }).collect();
        all.sort_by_key(|granted| (granted.received.at, granted.id));
        Ok(all)
    }

    /// Who a study is about, as whoever granted it wrote. What its images say counts more.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn about(&self, granted: &Granted) -> Result<Option<About>, WalletError> {
        Ok(self.wallet.vault.get(granted.id.as_bytes())?)
    }

    /// The one that was granted on the study, or by the grant, whose id begins like this.
    ///
    /// # Errors
    /// [`WalletError::NoStudy`], [`WalletError::Ambiguous`].
    pub fn granted(&self, begin: &str) -> Result<Granted, WalletError> {
        let all = self.inbox()?;
        // Of several grants on one study the newest that the ledger bears out counts, or else the newest: a letter anybody can write.
        let mut chosen = BTreeMap::<StudyId, (bool, GrantId)>::new();
        for granted in &all {
            let is_good = self.objection(granted)?.is_none();
            let best = chosen.entry(granted.received.study).or_insert((is_good, granted.id));
            if is_good >= best.0 {
                *best = (is_good, granted.id);
            }
        }
        let is = |granted: &Granted, begin: &str| {
            let study = granted.received.study;
            let is_chosen = chosen.get(&study).is_some_and(|(_, id)| *id == granted.id);
            granted.id.to_string().starts_with(begin) || is_chosen && study.to_string().starts_with(begin)
        };
        one(begin, all, is, WalletError::NoStudy)
    }

    /// The same. Where several letters are about the study, the ledger is asked first which of them is good, if it can be.
    ///
    /// # Errors
    /// [`WalletError::NoStudy`], [`WalletError::Ambiguous`].
    pub async fn granted_now(&mut self, begin: &str) -> Result<Granted, WalletError> {
        let granted = self.granted(begin)?;
        let study = granted.received.study;
        if self.inbox()?.iter().filter(|other| other.received.study == study).count() < 2 {
            return Ok(granted);
        }
        match self.ask(study).await {
            Ok(()) => self.granted(begin),
            Err(error @ WalletError::Vault(_)) => Err(error),
            Err(error) => {
                debug!(%error, "which of several letters is good cannot be asked");
                Ok(granted)
            }
        }
    }

    /// The key that something was granted to.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn grantee(&self, granted: &Granted) -> Result<SecretKey, WalletError> {
        match self.grantee_elsewhere(granted)? {
            Some(key) => Ok(key),
            None => self.wallet.key(Branch::Card, granted.received.grantee),
        }
    }
}

/// A text that a person chose, if it can be shown and is not too long.
fn usable<const MAX: usize>(what: OwnText, text: &str) -> Result<Text<MAX>, WalletError> {
    Text::new(text).map_err(|_| WalletError::Unusable { what, len: text.len(), max: MAX })
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;
    use clavicle_ledger::genesis::Parameters;
    use clavicle_ledger::light::LightClient;
    use clavicle_ledger::time::BlockTime;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::ledger::Ledger;
    use crate::objection::tests::NOW;
    use crate::vault::Passphrase;

    fn clock() -> LocalTime {
        LocalTime(NOW)
    }

    /// A recipient's wallet on a network of nobody.
    pub(super) fn rossi(folder: &Path) -> Recipient {
        let genesis = Genesis {
            name: Text::new("test").unwrap(),
            time: BlockTime(NOW),
            parameters: Parameters::default(),
            sources: Ascending::new(),
        };
        let passphrase = Passphrase::new("four words of it".to_owned()).unwrap();
        let ledger = Ledger::new(&genesis, LightClient::from_genesis(&genesis), clock);
        let words = Words::from_entropy(&[1; 32]);
        Recipient { wallet: Wallet::make(folder, &passphrase, genesis, ledger, (&words, 0), "Dr Rossi").unwrap() }
    }

    /// A long wish was called a name that cannot be used.
    #[test]
    fn a_text_that_cannot_be_used_is_called_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut rossi = rossi(folder.path());
        let wish = "w".repeat(129);
        let asked = rossi.card(1, 7, &wish, |_, _| {});
        // It is refused before anybody is asked for anything.
        let refused = asked.now_or_never().unwrap().unwrap_err();
        assert_eq!(refused.to_string(), "the wish cannot be used: it is 129 bytes long and may be 128 at most");
        assert_eq!(refused.code(), "wish");
        let said = |what, text: &str| usable::<64>(what, text).unwrap_err().to_string();
        assert_eq!(
            said(OwnText::Name, "a\u{7}"),
            "the name cannot be used: it holds characters that do not show; leave them out"
        );
        assert_eq!(
            said(OwnText::Name, &"ü".repeat(33)),
            "the name cannot be used: it is 66 bytes long and may be 64 at most"
        );
        assert!(usable::<64>(OwnText::Name, &"ü".repeat(32)).is_ok());
    }
}
