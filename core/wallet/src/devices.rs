//! Devices of the same words: how they find each other, and that no two take the same number.
//!
//! ```text
//! register   key of device 0, the last mailbox but none      each device says there that it is one
//! box        key of the device, the mailbox before that one   the others leave there what they did
//! ```
//!
//! Both follow from the words, so that a device that was just restored finds them, where relays still keep them. Whoever has the words can read them and
//! write to them.

use clavicle_ledger::derivation::{Branch, Seed};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::time::Timestamp;
use clavicle_letters::letter::{Content, Letter};
use clavicle_letters::mailbox::Mailbox;
use clavicle_letters::news::{Here, News, NewsItem, OwnBox};
use clavicle_letters::seal;
use clavicle_network::message::MAX_COLLECTED;
use tracing::debug;

use crate::error::WalletError;
use crate::ledger::{Ledger, Peeked};
use crate::wallet::random;

/// The number of the register's key: the last that there is.
const REGISTER: u32 = (1 << 31) - 1;
/// The number of the key of a device's box.
const BOX: u32 = REGISTER - 1;
/// How many relays keep such a box.
const KEPT_BY: usize = 2;
/// For how many days they keep it; it is renewed before.
pub(crate) const BOX_DAYS: u64 = 30;
/// How often a number is taken that another took at the same time.
const TRIES: usize = 8;

/// The register of a wallet's devices, as relays have it.
#[derive(Debug)]
pub(crate) struct Register {
    pub(crate) own: OwnBox,
    /// Who keeps it.
    pub(crate) relays: Vec<SourceId>,
    /// Who says that it is there.
    pub(crate) devices: Vec<(u32, Here)>,
}

/// The box of one device.
pub(crate) fn box_of(seed: &Seed, device: u32) -> Result<OwnBox, WalletError> {
    Ok(OwnBox::of(seed.derive_key(device, Branch::Mailbox, BOX).ok_or(WalletError::NoMoreKeys)?))
}

impl Register {
    /// Reads it, at every relay that answers.
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) async fn read(ledger: &Ledger, seed: &Seed) -> Result<Self, WalletError> {
        let key = seed.derive_key(0, Branch::Mailbox, REGISTER).ok_or(WalletError::NoMoreKeys)?;
        let mut register = Self { own: OwnBox::of(key), relays: Vec::new(), devices: Vec::new() };
        register.read_again(ledger).await?;
        Ok(register)
    }

    async fn read_again(&mut self, ledger: &Ledger) -> Result<(), WalletError> {
        let Peeked { relays, messages } = peeked(ledger, &self.own).await?;
        self.relays = relays;
        for message in messages {
            if let Some(News { device, item: NewsItem::Here(here) }) = read(ledger, &self.own, &message)
                && !self.devices.contains(&(device, here))
            {
                self.devices.push((device, here));
            }
        }
        self.devices.sort_by_key(|(device, here)| (*device, here.since, here.nonce));
        Ok(())
    }

    /// The greatest number that is taken, if any but the first is.
    pub(crate) fn greatest(&self) -> Option<u32> {
        self.devices.iter().map(|(device, _)| *device).max()
    }

    /// Says that a device is there, once it is not said.
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) async fn announce(&mut self, ledger: &mut Ledger, device: u32, here: Here) -> Result<(), WalletError> {
        if self.devices.contains(&(device, here)) {
            return Ok(());
        }
        keep(ledger, &self.own, &mut self.relays).await?;
        if !leave(ledger, &self.own, &self.relays, News { device, item: NewsItem::Here(here) }).await? {
            return Err(WalletError::NoMailbox);
        }
        Ok(())
    }

    /// Takes a number that no other device has, of those from `least` to `most`, and says so before a key of it is used. Whoever sees that another has
    /// said the same number takes one further on; who came first does not see the other.
    ///
    /// # Errors
    /// [`WalletError`].
    pub(crate) async fn settle(
        &mut self,
        ledger: &mut Ledger,
        (least, most): (u32, u32),
        (first_card, first_mailbox): (u32, u32),
    ) -> Result<(u32, Here), WalletError> {
        for attempt in 0..TRIES {
            let after = self.greatest().map_or(least, |greatest| greatest.saturating_add(1).max(least));
            // Two that saw each other must not go on in step.
            let aside = if attempt == 0 { 0 } else { u32::from(random::<1>()?[0]) % 3 };
            let number = after.saturating_add(aside);
            // Past the end of what is searched, or of what a register holds, the ledger alone keeps two apart.
            let is_crowded = number > most || self.devices.len() >= MAX_COLLECTED - 1;
            let number =
                if is_crowded { least + u32::from(random::<1>()?[0]) % (most - least + 1).max(1) } else { number };
            let here = Here { since: ledger.now().0, nonce: random()?, first_card, first_mailbox };
            self.announce(ledger, number, here).await?;
            self.read_again(ledger).await?;
            let is_others = self.devices.iter().any(|(device, other)| *device == number && other.nonce != here.nonce);
            if !is_others || is_crowded {
                return Ok((number, here));
            }
        }
        Err(WalletError::NoMailbox)
    }
}

/// What lies in a box, at every relay that answers.
pub(crate) async fn peeked(ledger: &Ledger, own: &OwnBox) -> Result<Peeked, WalletError> {
    let mut all = ledger.peek(std::slice::from_ref(&own.key), true).await?;
    Ok(all.pop().unwrap_or_default())
}

/// What a letter in a box of one's own says; nothing, if it is none of one's own.
pub(crate) fn read(ledger: &Ledger, own: &OwnBox, sealed: &[u8]) -> Option<News> {
    match seal::open(sealed, &own.identity, &ledger.chain()) {
        Ok(Letter { from, content: Content::News(news), .. }) if from == own.key.public() => Some(*news),
        Ok(_) => None,
        Err(error) => {
            debug!(%error, "what lies in a box of one's own cannot be read");
            None
        }
    }
}

/// Has a box kept, by those who keep it or, where nobody does, by others. Until when.
///
/// # Errors
/// [`WalletError`].
pub(crate) async fn keep(
    ledger: &mut Ledger,
    own: &OwnBox,
    relays: &mut Vec<SourceId>,
) -> Result<Timestamp, WalletError> {
    let until = ledger.head().kept_until(BOX_DAYS);
    let kept_by: Vec<SourceId> = relays.iter().copied().take(KEPT_BY).collect();
    let kept = match Ascending::from_items(kept_by) {
        Ok(kept_by) if !kept_by.is_empty() => {
            let mailbox = Mailbox { key: own.key.public(), relays: kept_by, token: own.token };
            ledger.keep_mailbox(&own.key, &mailbox, until).await
        }
        _ => 0,
    };
    if kept == 0 {
        *relays = ledger.open_mailbox(&own.key, own.token, until, KEPT_BY, |_, _| {}).await?;
    }
    Ok(until)
}

/// Leaves something in a box. Whether any relay took it.
///
/// # Errors
/// [`WalletError`].
pub(crate) async fn leave(
    ledger: &mut Ledger,
    own: &OwnBox,
    relays: &[SourceId],
    news: News,
) -> Result<bool, WalletError> {
    let letter = Letter {
        chain: ledger.chain(),
        to: own.identity.recipient(),
        from: own.key.public(),
        sent: ledger.now().0,
        content: Content::News(Box::new(news)),
    };
    let sealed = seal::seal(&letter, &own.key)?;
    Ok(ledger.deposit(relays, own.key.public(), own.token, &sealed).await > 0)
}
