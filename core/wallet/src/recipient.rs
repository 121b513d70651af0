//! What a recipient does: show a card, read what came, fetch.

mod credential;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use clavicle_ledger::authorise::{Actor, Claim};
use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{Deed, Standing, Study};
use clavicle_ledger::time::{BlockTime, DAY_MS, HOUR_MS, Height, LocalTime, Timestamp};
use clavicle_letters::about::About;
use clavicle_letters::card::{Card, MAX_GRANTEES, Minute, NetworkMark, RelayMark, SignedCard, TOLERANCE_MS};
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::identity::Identity;
use clavicle_letters::invitation::{Answer, Opening, SignedInvitation};
use clavicle_letters::letter::{Content, Letter, Notice};
use clavicle_letters::mailbox::Mailbox;
use clavicle_letters::seal;
use clavicle_letters::transcript::{InvitationId, Nonce};
use clavicle_letters::verdict::{Unverified, Verdict};
use clavicle_network::message::MAX_DEPOSITS;
use clavicle_network::swarm::AskError;
use clavicle_network::transfer::{FetchError, Progress, Reach};
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::cache::{self, Images};
use crate::download::{ATTEMPTS, Control, Download, Downloaded, StudyFetch};
use crate::error::{OwnText, WalletError};
use crate::ledger::{Collect, Keep, Proven, Woken};
use crate::objection::{self, Objection};
use crate::patient::one;
use crate::rows::{
    AnswerMade, AnswerStage, CopyOf, InSpiteOf, KeptCard, Noticed, Numbered, OlderCopy, OpeningOf, Profile, Proved,
    Received, Shown,
};
use crate::vault::{KeyStore, VaultError};
use crate::wallet::{Kind, Wallet, damaged, random, served_at, source_in};

pub use self::credential::OwnStanding;

/// How long after its letter relays may be behind a grant that the letter says is final, in milliseconds.
const BEHIND_MS: u64 = 10_000;
/// The most letters of a card that are kept and that the ledger does not bear out. As many as several collections bring, so that those of one push
/// none of the same out.
const MAX_UNSHOWN: usize = 4 * MAX_DEPOSITS;
/// How much newer than a letter a block has to be for a letter to be thrown away that is about a study which the block does not have, in milliseconds.
const LATE_MS: u64 = HOUR_MS;
/// How many relays keep a card's mailbox.
const KEPT_BY: usize = 2;
/// For how long a mailbox is kept in which something may be told of a copy, in milliseconds; it is renewed before that.
const KEPT_MS: u64 = DAY_MS * MAX_CARD_DAYS;
/// How many mailboxes are kept for longer at each look: it takes some computing.
const MOST_KEPT: usize = 8;
/// How long a fetch waits for relays to keep a mailbox for longer.
const NOT_LONG: Duration = Duration::from_secs(2);
/// The longest that a card is good, in days: mailboxes are kept no longer.
pub const MAX_CARD_DAYS: u64 = 30;

/// A recipient's wallet.
#[derive(Debug)]
pub struct Recipient {
    wallet: Wallet,
}

/// Whether a local copy is still current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyState {
    /// It is of the study as it is.
    Current,
    /// The study was revised since.
    Replaced {
        /// The revision that the copy is of.
        copy: u32,
        /// The revision that there is.
        now: u32,
    },
    /// The hospital has suspended or withdrawn the study, and says why.
    NotToBeUsed(Standing),
}

/// What came to the mailboxes of all cards.
#[derive(Clone)]
pub struct Mail {
    /// What was granted.
    pub new: Vec<Granted>,
    /// The hospitals whose relays did not answer: what they alone keep comes when they do.
    pub silent: Vec<String>,
    /// Of how many mailboxes no relay answered.
    pub unread: usize,
    /// How many mailboxes there are.
    pub all: usize,
}

/// What a collection brings.
struct Came<'a> {
    recipient: &'a Recipient,
    cards: &'a [Shown],
    new: &'a mut Vec<Granted>,
    notices: &'a mut Vec<Noticed>,
}

impl Keep for Came<'_> {
    fn keep(&mut self, place: usize, sealed: &[u8]) -> Result<(), WalletError> {
        let Some(shown) = self.cards.get(place) else { return Ok(()) };
        self.new.extend(self.recipient.take(shown, sealed, self.notices)?);
        Ok(())
    }
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
        let (key, identity) =
            (self.wallet.key(Branch::Mailbox, mailbox)?, Identity::generate().map_err(WalletError::Random)?);
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

    /// Keeps the words that an opening brings, if it opens an Invitation that was answered with this card.
    fn take_opening(&self, shown: &Shown, opening: &Opening, from: &Key) -> Result<(), WalletError> {
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

    /// Reads what came to the mailboxes of all cards, and gives what is new. What cannot be read is thrown away: somebody else sealed it, or it was
    /// altered. All relays are asked at once, and who does not answer keeps nobody waiting whose mailboxes others keep as well. `progress` is told how
    /// many mailboxes were reached, and of how many.
    ///
    /// # Errors
    /// [`WalletError::NoRelay`], when no relay of any mailbox answers, and others.
    pub async fn read_mail(&mut self, mut progress: impl FnMut(usize, usize) + Send) -> Result<Mail, WalletError> {
        let now = self.wallet.now();
        let mut cards: Vec<Shown> = self.wallet.vault.all::<Shown>()?.into_iter().map(|(_, shown)| shown).collect();
        cards.retain(|shown| now <= shown.kept_until);
        let mailbox = |shown: &Shown| {
            let key = self.wallet.key(Branch::Mailbox, shown.mailbox)?;
            Ok(Collect { key, relays: shown.card.mailbox.relays.iter().copied().collect() })
        };
        let mut mailboxes = cards.iter().map(mailbox).collect::<Result<Vec<_>, WalletError>>()?;
        let (mut new, mut notices) = (Vec::new(), Vec::new());
        let mut came = Came { recipient: &*self, cards: &cards, new: &mut new, notices: &mut notices };
        let mut collected = self.wallet.ledger.collect(&mailboxes, &mut came, &mut progress).await?;
        // Some may be somewhere else by now: there, once.
        let is_gone = |why: &Option<AskError>| {
            matches!(why, Some(AskError::Address | AskError::OtherKey(_) | AskError::Unreachable(_)))
        };
        let gone: Vec<SourceId> = collected.silent.iter().filter(|(_, why)| is_gone(why)).map(|(id, _)| *id).collect();
        let moved = self.wallet.ledger.have_moved(&gone).await;
        if !moved.is_empty() {
            for mailbox in &mut mailboxes {
                mailbox.relays.retain(|relay| moved.contains(relay));
            }
            let mut came = Came { recipient: &*self, cards: &cards, new: &mut new, notices: &mut notices };
            let again = self.wallet.ledger.collect(&mailboxes, &mut came, &mut |_, _| {}).await?;
            collected.silent.retain(|relay, _| !moved.contains(relay));
            collected.silent.extend(again.silent);
            collected.reached.extend(again.reached);
        }
        self.wallet.keep_directory()?;
        let unread = cards.len().saturating_sub(collected.reached.len());
        if unread > 0 && unread == cards.len() {
            return Err(WalletError::NoRelay(collected.silent.into_values().flatten().next()));
        }
        self.keep_notices(notices).await?;
        // Where there is a copy something may have to be told of it. The others, if there are many, when it is looked next.
        cards.retain(|shown| shown.has_copy && shown.kept_until < now.plus(KEPT_MS / 2));
        cards.sort_by_key(|shown| shown.kept_until);
        for shown in cards.iter_mut().take(MOST_KEPT) {
            self.keep_reachable(shown).await?;
        }
        let silent = collected.silent.keys().map(|relay| self.wallet.ledger.name(relay)).collect();
        Ok(Mail { new, silent, unread, all: mailboxes.len() })
    }

    /// Opens a message and keeps what it brings; nothing, when it brings nothing new.
    fn take(&self, shown: &Shown, sealed: &[u8], notices: &mut Vec<Noticed>) -> Result<Option<Granted>, WalletError> {
        let chain = self.wallet.chain();
        let letter = match seal::open(sealed, &shown.identity, &chain) {
            Ok(letter) => letter,
            Err(error) => {
                debug!(%error, "a message cannot be read");
                return Ok(None);
            }
        };
        let (letter_of, about) = match &letter.content {
            Content::Grant(letter_of) => (letter_of, None),
            Content::NamedGrant(letter_of, about) => (letter_of, Some(about)),
            Content::Notice(notice) => {
                if self.is_of_card(shown, notice)? {
                    notices.push(Noticed { notice: (**notice).clone(), from: letter.from, sent: letter.sent });
                }
                return Ok(None);
            }
            Content::Opening(opening) => {
                self.take_opening(shown, opening, &letter.from)?;
                return Ok(None);
            }
            Content::Answer(_) => {
                debug!("an answer to an invitation, in the mailbox of a card");
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
        let Some(numbered) = shown.grantees.find(&checked.grant().grantee) else { return Ok(None) };
        let id = checked.id();
        if self.wallet.vault.get::<Received>(id.as_bytes())?.is_some() {
            return Ok(None);
        }
        let received = Received {
            study: checked.grant().study,
            source: letter_of.source,
            salt: letter_of.salt.clone(),
            study_instance_uid: letter_of.study_instance_uid,
            description: letter_of.description.clone(),
            grant: id,
            grantee: numbered.number,
            terms: letter_of.terms.clone(),
            final_at: letter_of.final_at,
            at: self.wallet.now(),
        };
        self.make_room(|number| shown.grantees.iter().any(|numbered| numbered.number == number))?;
        self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            if let Some(about) = about {
                batch.put(id.as_bytes(), &**about)?;
            }
            batch.put(id.as_bytes(), &received)
        })?;
        Ok(Some(Granted { id, received }))
    }

    /// Throws away the oldest letters to a card that the ledger does not bear out, where there are too many of them: whoever was shown the card can
    /// write any number. What names a copy stays.
    fn make_room(&self, is_of_card: impl Fn(u32) -> bool) -> Result<(), WalletError> {
        let (mut seen, mut unshown) = (BTreeSet::new(), Vec::new());
        for granted in self.inbox()? {
            let Received { study, grantee, .. } = granted.received;
            if !is_of_card(grantee) {
                continue;
            }
            let names_a_copy = seen.insert(study) && self.has_copy(study)?;
            if !names_a_copy && self.objection(&granted)?.is_some() {
                unshown.push(granted.id);
            }
        }
        let over = (unshown.len() + 1).saturating_sub(MAX_UNSHOWN);
        for id in unshown.iter().take(over) {
            self.forget_letter(*id)?;
        }
        Ok(())
    }

    fn forget_letter(&self, id: GrantId) -> Result<(), WalletError> {
        self.wallet.vault.remove::<About>(id.as_bytes())?;
        self.wallet.vault.remove::<Received>(id.as_bytes())?;
        Ok(())
    }

    /// Throws away the letters about a study that the ledger does not have, if they are older than what it was asked for.
    fn throw_away(&self, study: StudyId, time: BlockTime) -> Result<(), WalletError> {
        for granted in self.inbox()? {
            if granted.received.study == study && granted.received.at.plus(LATE_MS) <= time.timestamp() {
                self.forget_letter(granted.id)?;
            }
        }
        Ok(())
    }

    /// A study's record in what was proven.
    fn record_in(&self, proven: &Proven, study: StudyId) -> Result<Study, WalletError> {
        let Some(record) = proven.rows.study(study)? else {
            self.throw_away(study, proven.rows.head()?.time)?;
            return Err(WalletError::NotOnLedger);
        };
        objection::keep(&self.wallet.vault, study, &record, proven)?;
        Ok(record)
    }

    /// Whether a notice is of something that was granted to this card.
    fn is_of_card(&self, shown: &Shown, notice: &Notice) -> Result<bool, WalletError> {
        let of_card = |received: &Received| shown.grantees.iter().any(|numbered| numbered.number == received.grantee);
        let is = |received: &Received| {
            received.study == notice.study && received.source == notice.source && of_card(received)
        };
        Ok(self.wallet.vault.all::<Received>()?.iter().any(|(_, received)| is(received)))
    }

    /// Keeps a notice if the study's source has signed it with the key that it has by the ledger now, the newest of each study. Others can write to
    /// the mailbox of a card, too, and a key that was replaced may be somebody else's.
    async fn keep_notices(&mut self, notices: Vec<Noticed>) -> Result<(), WalletError> {
        let mut keys = BTreeMap::new();
        for source in notices.iter().map(|noticed| noticed.notice.source).collect::<BTreeSet<_>>() {
            match self.wallet.source(source).await {
                Ok((_, key)) => drop(keys.insert(source, key)),
                Err(error @ WalletError::Vault(_)) => return Err(error),
                // The ledger tells the same when it can be asked.
                Err(error) => debug!(%error, "it cannot be found out who signed a notice"),
            }
        }
        for noticed in notices {
            let (study, source) = (noticed.notice.study, noticed.notice.source);
            let before = self.wallet.vault.get::<Noticed>(study.as_bytes())?;
            if keys.get(&source) == Some(&noticed.from) && before.is_none_or(|before| before.sent <= noticed.sent) {
                self.wallet.vault.put(study.as_bytes(), &noticed)?;
            }
        }
        Ok(())
    }

    /// What the source of a study last told of it, if that is about the copy there is, and the ledger last said of the study what the source does.
    /// What it says now, [`Recipient::copy`] tells in any case.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn notice(&self, study: StudyId) -> Result<Option<Noticed>, WalletError> {
        let Some(noticed) = self.wallet.vault.get::<Noticed>(study.as_bytes())? else { return Ok(None) };
        let copy = self.wallet.vault.get::<CopyOf>(study.as_bytes())?;
        if copy.is_none_or(|copy| copy.root != noticed.notice.copy) {
            return Ok(None);
        }
        let Some(Proved { record, .. }) = objection::proved(&self.wallet.vault, study)? else { return Ok(None) };
        let Notice { study: _, source: _, copy: _, revision, manifest_root, status, counts: _ } = noticed.notice;
        let same = (revision, manifest_root, status) == (record.revision, record.manifest_root, record.status);
        Ok(same.then_some(noticed))
    }

    /// Where the source of something that was granted is to tell what becomes of it: the mailbox of the card that it was granted to, which is
    /// kept from now on as long as mailboxes are. Nothing, where no relay keeps it any more.
    async fn reach(&mut self, granted: &Granted) -> Result<Option<Reach>, WalletError> {
        let all = self.wallet.vault.all::<Shown>()?;
        let of = |shown: &Shown| shown.grantees.iter().any(|numbered| numbered.number == granted.received.grantee);
        let Some((_, mut shown)) = all.into_iter().find(|(_, shown)| of(shown)) else { return Ok(None) };
        if !shown.has_copy {
            shown.has_copy = true;
            self.keep_shown(&shown)?;
        }
        // Not being told is better than waiting for what does not answer.
        timeout(NOT_LONG, self.keep_reachable(&mut shown)).await.unwrap_or(Ok(()))?;
        let card = &shown.card;
        let reach = Reach { mailbox: card.mailbox.clone(), recipient: *card.recipient.as_bytes() };
        Ok((self.wallet.now() <= shown.kept_until).then_some(reach))
    }

    /// Has a card's mailbox kept for longer, if it ends in less than half the time for which mailboxes are kept.
    async fn keep_reachable(&mut self, shown: &mut Shown) -> Result<(), WalletError> {
        let now = self.wallet.now();
        if shown.kept_until >= now.plus(KEPT_MS / 2) {
            return Ok(());
        }
        self.wallet.refresh_head().await;
        let (key, until) =
            (self.wallet.key(Branch::Mailbox, shown.mailbox)?, self.wallet.ledger.head().kept_until(MAX_CARD_DAYS));
        if self.wallet.ledger.keep_mailbox(&key, &shown.card.mailbox, until).await > 0 {
            shown.kept_until = until;
            self.keep_shown(shown)?;
        }
        Ok(())
    }

    fn keep_shown(&self, shown: &Shown) -> Result<(), WalletError> {
        Ok(self.wallet.vault.put(shown.card.mailbox.key.as_bytes(), shown)?)
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
        self.wallet.key(Branch::Card, granted.received.grantee)
    }

    /// What the ledger says of a grant: the study's record, if the grant is good by it now.
    ///
    /// # Errors
    /// [`WalletError::GrantGone`], [`WalletError::GrantOver`] and others: why not, from the ledger and not from the source.
    pub async fn check(&mut self, granted: &Granted) -> Result<(Study, Proven), WalletError> {
        let Received { study, source, terms, final_at, at, .. } = &granted.received;
        let keys = [StateKey::Head, StateKey::Study(*study), StateKey::Source(*source)];
        let mut proven = self.wallet.rows(&keys).await?;
        // A relay that has not come as far as the grant cannot know of it, and says nothing about it. By its granter's word: it is not waited for long
        // after the letter came, which has come after the grant.
        let left = at.plus(BEHIND_MS).since(self.wallet.now()).min(BEHIND_MS);
        let until = Instant::now() + Duration::from_millis(left);
        while proven.height < *final_at && Instant::now() < until {
            sleep(Duration::from_millis(50)).await;
            proven = self.wallet.rows(&keys).await?;
        }
        let record = self.record_in(&proven, *study)?;
        let time = proven.rows.head()?.time;
        let now = self.wallet.now().max(time.timestamp());
        if now >= terms.expires {
            return Err(WalletError::GrantOver(terms.expires));
        }
        if now < terms.not_before {
            return Err(WalletError::GrantNotYet(terms.not_before));
        }
        record.permits(Deed::GranteeFetch, time).map_err(WalletError::Standing)?;
        let live = record.grants.find(&granted.id).filter(|grant| grant.is_live(BlockTime(now)));
        if live.is_none() {
            return Err(WalletError::GrantGone { height: proven.height });
        }
        Ok((record, proven))
    }

    /// Asks the ledger about a study, for [`Recipient::copy`] and [`Recipient::objection`].
    ///
    /// # Errors
    /// [`WalletError`]; then what it said before still stands. [`WalletError::NotOnLedger`] is an answer: what is said to be granted is nothing.
    pub async fn ask(&mut self, study: StudyId) -> Result<(), WalletError> {
        let proven = self.wallet.rows(&[StateKey::Head, StateKey::Study(study)]).await?;
        self.record_in(&proven, study).map(drop)
    }

    /// Asks the ledger about several studies, some at once, as [`Recipient::ask`] does about one. `progress` is told how many were answered, and of
    /// how many. What was not answered is in what it gives, each with the reason: what was said of it before still stands. After the first that no
    /// relay answers no more are asked.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub async fn ask_each(
        &mut self,
        studies: &[StudyId],
        mut progress: impl FnMut(usize, usize),
    ) -> Result<BTreeMap<StudyId, WalletError>, WalletError> {
        let questions = studies.iter().map(|study| vec![StateKey::Head, StateKey::Study(*study)]).collect();
        let (mut answers, mut failed) = (Vec::new(), BTreeMap::new());
        let asked = self.wallet.rows_of_each(questions, |place, proven| {
            answers.push((place, proven));
            progress(answers.len(), studies.len());
            Ok(())
        });
        asked.await?;
        for (place, proven) in answers {
            let Some(study) = studies.get(place) else { continue };
            match proven.and_then(|proven| self.record_in(&proven, *study)) {
                Ok(_) => {}
                Err(error @ WalletError::Vault(_)) => return Err(error),
                Err(error) => drop(failed.insert(*study, error)),
            }
        }
        Ok(failed)
    }

    /// Why what was granted cannot be fetched, by what the ledger said last; nothing when it can be, or is to be asked once more.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn ended(&self, granted: &Granted) -> Result<Option<WalletError>, WalletError> {
        Ok(match self.objection(granted)? {
            Some(Objection::Standing(standing)) => Some(WalletError::Standing(standing)),
            Some(Objection::GrantOver(at)) => Some(WalletError::GrantOver(at)),
            Some(Objection::GrantGone { height }) => Some(WalletError::GrantGone { height }),
            _ => None,
        })
    }

    /// Whether a copy was made of a study, wherever it is now.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn has_copy(&self, study: StudyId) -> Result<bool, WalletError> {
        Ok(self.wallet.vault.get::<CopyOf>(study.as_bytes())?.is_some())
    }

    /// What the ledger said last of a copy that was made of a study; nothing when none was made, or it never said anything.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn copy(&self, study: StudyId) -> Result<Option<CopyState>, WalletError> {
        let Some(copy) = self.wallet.vault.get::<CopyOf>(study.as_bytes())? else { return Ok(None) };
        let Some(Proved { record, time, .. }) = objection::proved(&self.wallet.vault, study)? else { return Ok(None) };
        let [standing, _] = record.standings(time);
        Ok(Some(match standing {
            Standing::Suspended(_) | Standing::Withdrawn(_) => CopyState::NotToBeUsed(standing),
            Standing::Active | Standing::Frozen if record.manifest_root != copy.root => {
                CopyState::Replaced { copy: copy.revision, now: record.revision }
            }
            Standing::Active | Standing::Frozen => CopyState::Current,
        }))
    }

    /// Why what was granted is not to be used any more, by what the ledger said last and the grant's own terms.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn objection(&self, granted: &Granted) -> Result<Option<Objection>, WalletError> {
        let proved = objection::proved(&self.wallet.vault, granted.received.study)?;
        Ok(objection::to_grantee(proved.as_ref(), &granted.received, self.wallet.now()))
    }

    /// Why a copy is not to be used although the grant is good: there is another revision by now. By what the ledger said last.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn objection_to_copy(&self, study: StudyId) -> Result<Option<Objection>, WalletError> {
        objection::to_copy(&self.wallet.vault, study)
    }

    /// When the ledger last said anything about a study.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn asked_at(&self, study: StudyId) -> Result<Option<Timestamp>, WalletError> {
        Ok(objection::proved(&self.wallet.vault, study)?.map(|proved| proved.time.timestamp()))
    }

    /// Writes down that a copy is used in spite of something.
    ///
    /// # Errors
    /// [`WalletError`]; then it is not to be used.
    pub fn note(&self, study: StudyId, what: &str, why: &Objection) -> Result<(), WalletError> {
        objection::note(&self.wallet.vault, study, what, why, self.wallet.now())
    }

    /// How a copy was used in spite of something.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn noted(&self, study: StudyId) -> Result<Vec<InSpiteOf>, WalletError> {
        objection::noted(&self.wallet.vault, study)
    }

    /// What speaks against keeping a copy somewhere else than in this wallet: the wish that it is only looked at.
    #[must_use]
    pub fn objection_to_keeping(&self, granted: &Granted) -> Option<Objection> {
        granted.received.terms.view_only().then_some(Objection::ViewOnly)
    }

    /// The newest opening of what was granted, as its source counted it.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn opening(&self, granted: &Granted) -> Result<Option<OpeningOf>, WalletError> {
        Ok(self.wallet.vault.get(granted.id.as_bytes())?)
    }

    /// Begins to fetch a study that was granted, into the cache; with `out`, into files there. It is the fetch that goes on from here, without this.
    ///
    /// # Errors
    /// [`WalletError`]: why it may not be fetched, from the ledger.
    pub async fn begin_fetch(&mut self, granted: &Granted, out: Option<&Path>) -> Result<StudyFetch, WalletError> {
        if out.is_some() && granted.received.terms.view_only() {
            return Err(WalletError::ViewOnly);
        }
        let (record, proven) = self.check(granted).await?;
        let mut download = self.download(granted, record, &proven)?;
        download.reach = self.reach(granted).await?;
        Ok(self.wallet.fetch(download, self.grantee(granted)?, out))
    }

    /// Looks why a fetch failed. When this returns it may be begun again: there is another revision.
    ///
    /// # Errors
    /// Why it failed: of who was refused, what the ledger says, since a source never says why.
    pub async fn fetch_failed(
        &mut self,
        granted: &Granted,
        fetch: &StudyFetch,
        error: WalletError,
    ) -> Result<(), WalletError> {
        if self.wallet.is_revised(&error, fetch.study(), fetch.root()).await {
            return Ok(());
        }
        if matches!(error, WalletError::Fetch(FetchError::Refused(_))) {
            // The source may know a newer block than the relay that was asked.
            self.wallet.catch_up().await?;
            self.check(granted).await?;
        }
        Err(error)
    }

    /// Fetches a study that was granted, into the cache; with `out`, into files there.
    ///
    /// # Errors
    /// [`WalletError`]; what had arrived by then is kept, and is not fetched again.
    pub async fn fetch(
        &mut self,
        granted: &Granted,
        out: Option<&Path>,
        mut progress: impl FnMut(Progress, usize),
    ) -> Result<Downloaded, WalletError> {
        let (control, mut attempt) = (Control::default(), 1);
        loop {
            let fetch = self.begin_fetch(granted, out).await?;
            match Box::pin(fetch.run_telling(&control, &mut progress)).await {
                Err(error) if attempt < ATTEMPTS => self.fetch_failed(granted, &fetch, error).await?,
                done => return done,
            }
            attempt += 1;
        }
    }

    /// What was fetched of a study before.
    ///
    /// # Errors
    /// [`WalletError::NotFetched`] and others.
    pub fn images(&self, study: StudyId) -> Result<Images, WalletError> {
        cache::images(&self.wallet.vault, study)
    }

    /// Removes what was fetched of a study; says whether there was anything.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn forget(&self, study: StudyId) -> Result<bool, WalletError> {
        cache::forget(&self.wallet.vault, study)
    }

    fn download(&self, granted: &Granted, record: Study, proven: &Proven) -> Result<Download, WalletError> {
        let Received { study, source: source_id, terms, .. } = &granted.received;
        let (source, operational) = source_in(proven, *source_id)?;
        let name = self.name()?;
        let actor = Actor { name: usable(OwnText::Name, name.as_str())?, credential: self.spoken_credential()? };
        Ok(Download {
            study: *study,
            source: *source_id,
            remote: served_at(proven, &source)?,
            operational,
            record,
            claim: Claim::Grant { grant: granted.id, terms: terms.clone() },
            actor: Some(actor),
            reach: None,
        })
    }
}

/// A number of a key that no wallet comes to by counting, with room above it.
const fn elsewhere(random: [u8; 4]) -> u32 {
    (1 << 30) + u32::from_le_bytes(random) % ((1 << 30) - (1 << 20))
}

/// A text that a person chose, if it can be shown and is not too long.
fn usable<const MAX: usize>(what: OwnText, text: &str) -> Result<Text<MAX>, WalletError> {
    Text::new(text).map_err(|_| WalletError::Unusable { what, len: text.len(), max: MAX })
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::genesis::Parameters;
    use clavicle_ledger::light::LightClient;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::ledger::Ledger;
    use crate::objection::tests::{NOW, proved, received};
    use crate::vault::Passphrase;

    fn clock() -> LocalTime {
        LocalTime(NOW)
    }

    /// A recipient's wallet on a network of nobody.
    fn rossi(folder: &Path) -> Recipient {
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

    fn id(number: usize) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
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

    #[test]
    fn letters_that_are_not_borne_out_are_bounded_and_push_no_good_one_out() {
        let folder = tempfile::tempdir().unwrap();
        let rossi = rossi(folder.path());
        let letter = |number: usize| Received {
            study: StudyId::from_bytes(id(number)),
            grant: GrantId::from_bytes(id(number)),
            at: NOW.plus(1 + number as u64),
            ..received()
        };
        let (good, copied) = (received(), Received { at: NOW, ..letter(9_999) });
        let of = |copied: &Received| CopyOf { revision: 0, root: copied.terms.manifest_root, at: NOW };
        rossi
            .wallet
            .vault
            .write(|batch| {
                for letter in (0..MAX_UNSHOWN + 20).map(letter).chain([good.clone(), copied.clone()]) {
                    batch.put(letter.grant.as_bytes(), &letter)?;
                }
                batch.put(good.study.as_bytes(), &proved(|_| {}))?;
                batch.put(copied.study.as_bytes(), &of(&copied))
            })
            .unwrap();
        rossi.make_room(|_| false).unwrap();
        assert_eq!(rossi.inbox().unwrap().len(), MAX_UNSHOWN + 22, "of another card");
        rossi.make_room(|_| true).unwrap();
        let left: Vec<GrantId> = rossi.inbox().unwrap().iter().map(|granted| granted.id).collect();
        assert_eq!(left.len(), MAX_UNSHOWN - 1 + 2);
        assert!(left.contains(&good.grant) && left.contains(&copied.grant));
        assert!(!left.contains(&letter(20).grant) && left.contains(&letter(21).grant), "the oldest go");

        // What a block does not have that is an hour newer, it never had.
        let last = letter(MAX_UNSHOWN);
        rossi.throw_away(last.study, BlockTime(last.at.plus(LATE_MS - 1))).unwrap();
        assert!(rossi.granted(&last.grant.to_string()).is_ok());
        rossi.throw_away(last.study, BlockTime(last.at.plus(LATE_MS))).unwrap();
        assert!(rossi.granted(&last.grant.to_string()).is_err());
    }
}
