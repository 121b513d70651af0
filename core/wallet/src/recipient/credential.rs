//! Who vouches for a recipient: asked for, fetched with the newest list, and shown with each card.

use std::time::Duration;

use clavicle_ledger::derivation::Branch;
use clavicle_ledger::encoding::{self, Bytes, Text};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::time::{HOUR_MS, Timestamp};
use clavicle_letters::card::{Card, IntroductionBox, SignedCard};
use clavicle_letters::credential::{CredentialRequest, Introduction, Issuer, SignedCredentialRequest};
use clavicle_letters::introduction;
use clavicle_letters::mailbox::Mailbox;
use clavicle_letters::organisation::{MemberWord, OrganisationNews};
use clavicle_letters::verdict::{ProvenSource, Unverified, Verdict};
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::Recipient;
use crate::error::WalletError;
use crate::rows::{IntroductionLeft, KeptCard, NewsOf, OwnCredential, Shown};

/// How long a hospital may take to say its word anew when a card is made.
const SOON: Duration = Duration::from_secs(5);
/// How long what introduces a wallet lies as it was left, in milliseconds: half as long as its list is good.
const RENEWED_MS: u64 = 12 * HOUR_MS;
/// The most news of a practice or a team that are looked at: any member can leave some.
const MAX_NEWS: usize = 16;
/// For how many cards it is left anew at each look.
const MOST_RENEWED: usize = 16;

/// What others see beside this recipient's name.
#[derive(Clone, Debug)]
pub struct OwnStanding {
    /// The name on its cards.
    pub name: Text<64>,
    /// What stands beside it.
    pub verdict: Verdict,
    /// Of when the list is that was brought; nothing where nobody vouches.
    pub list_of: Option<Timestamp>,
}

impl Recipient {
    /// The long-term key: the same on every device of the same words.
    pub(super) fn person(&self) -> Result<SecretKey, WalletError> {
        self.wallet.seed()?.derive_key(0, Branch::Person, 0).ok_or(WalletError::NoMoreKeys)
    }

    /// Asks a hospital, by its name or the beginning of its id, for its word: what is to be given to it.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn request_credential(&mut self, hospital: &str) -> Result<SignedCredentialRequest, WalletError> {
        if self.wallet.ledger.source_called(hospital).is_none() {
            self.wallet.ledger.look_up(&[]).await;
        }
        let source = self.wallet.ledger.source_called(hospital);
        let of = Issuer::Source(source.ok_or_else(|| WalletError::NoSuchSource(hospital.to_owned()))?);
        let key = self.person()?;
        let request =
            CredentialRequest { chain: self.wallet.chain(), of, name: self.name()?, person: key.public() }.sign(&key);
        // What another gave is good until this one answers.
        let introduction = self.wallet.vault.get::<OwnCredential>(b"")?.and_then(|before| before.introduction);
        self.wallet.vault.put(b"", &OwnCredential { of, introduction })?;
        Ok(request)
    }

    /// Fetches the hospital's word with its newest list, if one was asked for it.
    ///
    /// # Errors
    /// [`WalletError`]; then what it said before is kept.
    pub async fn renew_credential(&mut self) -> Result<(), WalletError> {
        let own = self.wallet.vault.get::<OwnCredential>(b"")?.ok_or(WalletError::NobodyAsked)?;
        let Issuer::Source(source) = own.of else { return self.renew_word(own.introduction).await };
        let person = self.person()?.public();
        let Some(first) = self.wallet.ledger.vouching(&source, person).await? else {
            return Err(WalletError::NotVouchedFor(self.wallet.ledger.name(&source)));
        };
        self.take_introduction(Introduction { first: *first, second: None }).await
    }

    /// Takes the word of a practice or a team, as it was given: it is shown with cards from now on, unless a hospital
    /// itself vouches for this wallet. Says whether it is.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn take_word(&mut self, word: &MemberWord) -> Result<bool, WalletError> {
        let MemberWord { introduction, news } = word;
        if introduction.second.is_none() {
            return Err(WalletError::NotIntroduced(Unverified::NotAPractice));
        }
        if let Verdict::Unverified(why) = self.judged(introduction).await? {
            return Err(WalletError::NotIntroduced(why));
        }
        let own = self.wallet.vault.get::<OwnCredential>(b"")?;
        if own.is_some_and(|own| own.introduction.is_some_and(|own| own.second.is_none())) {
            return Ok(false);
        }
        self.take_introduction(introduction.clone()).await?;
        self.wallet.vault.put(b"", &NewsOf { place: news.clone() })?;
        Ok(true)
    }

    /// Looks where the practice or the team that vouches for this wallet leaves its newest lists.
    async fn renew_word(&mut self, word: Option<Introduction>) -> Result<(), WalletError> {
        let Some((word, NewsOf { place })) = word.zip(self.wallet.vault.get::<NewsOf>(b"")?) else { return Ok(()) };
        let (keys, relays) = (place.keys(), place.relays.iter().copied().collect::<Vec<SourceId>>());
        if !relays.iter().any(|relay| self.wallet.ledger.has_relay(relay)) {
            self.wallet.ledger.look_up(&relays).await;
        }
        let sealed = self.wallet.ledger.look_into(&relays, &keys.key).await.ok_or(WalletError::NoRelay(None))?;
        let news =
            sealed.iter().take(MAX_NEWS).filter_map(|sealed| introduction::open::<OrganisationNews>(sealed, &keys));
        let mut news: Vec<OrganisationNews> = news.collect();
        // Other members can leave something there as well: the newest that counts is theirs.
        news.sort_by_key(|news| std::cmp::Reverse(news.ended.list.number));
        for renewed in news.iter().filter_map(|news| word.renewed(news)) {
            if let Verdict::Verified(_) | Verdict::Ended(_) = self.judged(&renewed).await? {
                return self.take_introduction(renewed).await;
            }
        }
        Ok(())
    }

    /// Takes an introduction of this wallet.
    async fn take_introduction(&mut self, introduction: Introduction) -> Result<(), WalletError> {
        // That one has ended, or needs a newer list, is this wallet's all the same.
        if let Verdict::Unverified(
            why @ (Unverified::OtherPerson
            | Unverified::OtherName
            | Unverified::ChainTooLong
            | Unverified::NotAPractice
            | Unverified::NoSuchSource
            | Unverified::Forged),
        ) = self.judged(&introduction).await?
        {
            return Err(WalletError::NotIntroduced(why));
        }
        let of = introduction.credential().by;
        Ok(self.wallet.vault.put(b"", &OwnCredential { of, introduction: Some(introduction) })?)
    }

    /// What others see beside this wallet's name now.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn standing(&mut self) -> Result<OwnStanding, WalletError> {
        let renewed = timeout(SOON, self.renew_credential()).await;
        debug!(?renewed, "what the hospital says of this wallet");
        let introduction = self.introduction()?;
        let (verdict, list_of) = match &introduction {
            None => (Verdict::Unverified(Unverified::Nobody), None),
            Some(introduction) => (self.judged(introduction).await?, Some(introduction.first.ended.list.at)),
        };
        Ok(OwnStanding { name: self.name()?, verdict, list_of })
    }

    /// The credential as it stands in receipts: without a list, and nothing where nobody vouches.
    pub(super) fn spoken_credential(&self) -> Result<Bytes<1024>, WalletError> {
        let introduction = self.introduction()?;
        let credential = introduction.as_ref().map(|introduction| encoding::encode(&introduction.last().credential));
        Ok(credential.and_then(|bytes| Bytes::new(bytes).ok()).unwrap_or_default())
    }

    pub(super) fn introduction(&self) -> Result<Option<Introduction>, WalletError> {
        Ok(self.wallet.vault.get::<OwnCredential>(b"")?.and_then(|own| own.introduction))
    }

    pub(super) async fn judged(&mut self, introduction: &Introduction) -> Result<Verdict, WalletError> {
        let (person, name) = (self.person()?.public(), self.name()?);
        self.judged_as(introduction, (&person, name.as_str())).await
    }

    /// What is to be said beside the name of whoever this introduces, if they have this key.
    pub(super) async fn judged_as(
        &mut self,
        introduction: &Introduction,
        whom: (&Key, &str),
    ) -> Result<Verdict, WalletError> {
        let Some(id) = introduction.source() else { return Ok(Verdict::Unverified(Unverified::ChainTooLong)) };
        let proven = self.wallet.rows(&[StateKey::Head, StateKey::Source(id)]).await?;
        let row = proven.rows.source(id)?;
        let source = ProvenSource { id, row: row.as_ref(), epoch: proven.rows.head()?.epoch };
        Ok(introduction.judge(&self.wallet.chain(), source, whom, self.wallet.now()))
    }

    /// Leaves what introduces this wallet where whoever has the card finds it, if anybody vouches for it. A card
    /// without it can be used: nobody vouches then.
    pub(super) async fn introduce(&mut self, card: &Card, mailbox: &Mailbox) -> Result<(), WalletError> {
        let renewed = timeout(SOON, self.renew_credential()).await;
        debug!(?renewed, "what the hospital says of this wallet");
        let Some(introduction) = self.introduction()? else { return Ok(()) };
        let place = card.introduction_box();
        let lies = Mailbox { key: place.key.public(), relays: mailbox.relays.clone(), token: place.token };
        let opened = self.wallet.ledger.keep_mailbox(&place.key, &lies, card.expires.timestamp()).await;
        debug!(opened, "where a card's credential lies");
        self.leave(&introduction, &mailbox.key, (&place, &lies)).await
    }

    /// Leaves it in place of what was left before, and remembers when, if a relay has taken it.
    async fn leave(
        &self,
        introduction: &Introduction,
        card: &Key,
        (place, lies): (&IntroductionBox, &Mailbox),
    ) -> Result<(), WalletError> {
        let Ok(sealed) = introduction::seal(introduction, place) else { return Ok(()) };
        let (chain, now, person) = (self.wallet.chain(), self.wallet.now(), self.person()?.public());
        // Further cards of this one with more keys lie in the same place: of each card one, since whoever has it can
        // seal it anew as often as they like. Another device of the same words may have left some.
        let is_card = |message: &[u8]| {
            let more = introduction::open::<SignedCard>(message, place)?;
            let by = more.verify(&chain, now).ok()?;
            (by.person == person && by.mailbox == *card).then(|| blake3::hash(&encoding::encode(by)))
        };
        let left = self.wallet.ledger.replace(lies, &place.key, &sealed, &is_card).await;
        debug!(left, "relays have taken what introduces this wallet");
        if left > 0 {
            self.wallet.vault.put(card.as_bytes(), &IntroductionLeft { at: self.wallet.now() })?;
        }
        Ok(())
    }

    /// Leaves it anew for whoever has a card that is still good, where the list that was left is not of the last 12
    /// hours: so a card that was printed stays verified for as long as its owner's device is used once a day. Nobody is
    /// waited for long.
    pub(super) async fn renew_introductions(&mut self, cards: &[Shown]) -> Result<(), WalletError> {
        let now = self.wallet.now();
        let mut due = Vec::new();
        for shown in cards.iter().filter(|shown| now <= shown.card.expires) {
            let left = self.wallet.vault.get::<IntroductionLeft>(shown.card.mailbox.key.as_bytes())?;
            if left.is_none_or(|left| now.since(left.at) >= RENEWED_MS || now < left.at) {
                due.push(shown);
            }
        }
        if due.is_empty() || self.introduction()?.is_none() {
            return Ok(());
        }
        let renewed = timeout(SOON, self.renew_credential()).await;
        debug!(?renewed, "what the hospital says of this wallet");
        let Some(introduction) = self.introduction()? else { return Ok(()) };
        let begun = Instant::now();
        for shown in due.into_iter().take(MOST_RENEWED) {
            // The others when it is looked next.
            if begun.elapsed() >= SOON {
                break;
            }
            let KeptCard { mailbox, recipient, .. } = &shown.card;
            let place = Card::introduction_box_of(&mailbox.key, recipient);
            let lies = Mailbox { key: place.key.public(), relays: mailbox.relays.clone(), token: place.token };
            // One whom nobody vouched for when it was shown has no box yet.
            let has_box = self.wallet.vault.get::<IntroductionLeft>(mailbox.key.as_bytes())?.is_some();
            if !has_box {
                let kept = self.wallet.ledger.keep_mailbox(&place.key, &lies, shown.card.expires).await;
                debug!(kept, "where a card's credential lies");
            }
            let left = timeout(SOON, self.leave(&introduction, &mailbox.key, (&place, &lies))).await;
            left.unwrap_or(Ok(()))?;
        }
        Ok(())
    }
}
