//! What came to the mailboxes of a recipient's cards, and what is kept of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use clavicle_ledger::derivation::Branch;
use clavicle_ledger::id::{GrantId, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{BlockTime, DAY_MS, HOUR_MS};
use clavicle_letters::about::About;
use clavicle_letters::circumstances::Circumstances;
use clavicle_letters::letter::{CheckedGrant, Content, GrantLetter, Letter, Notice, Reissued};
use clavicle_letters::seal::{self, OpenError};
use clavicle_network::message::MAX_DEPOSITS;
use clavicle_network::swarm::AskError;
use clavicle_network::transfer::Reach;
use tokio::time::timeout;
use tracing::debug;

use super::{Granted, MAX_CARD_DAYS, Recipient};
use crate::error::WalletError;
use crate::ledger::{Collect, Keep};
use crate::objection;
use crate::rows::{CopyOf, Noticed, OfCardFound, Proved, Received, ReissuedAs, Shown};
use crate::vault::VaultError;

/// The most letters of a card that are kept and that the ledger does not bear out. As many as several collections bring, so that those of one push
/// none of the same out.
const MAX_UNSHOWN: usize = 4 * MAX_DEPOSITS;
/// How much newer than a letter a block has to be for a letter to be thrown away that is about a study which the block does not have, in milliseconds.
const LATE_MS: u64 = HOUR_MS;
/// For how long a mailbox is kept in which something may be told of a copy, in milliseconds; it is renewed before that.
pub(super) const KEPT_MS: u64 = DAY_MS * MAX_CARD_DAYS;
/// How many mailboxes are kept for longer at each look: it takes some computing.
const MOST_KEPT: usize = 8;
/// How long a fetch waits for relays to keep a mailbox for longer.
const NOT_LONG: Duration = Duration::from_secs(2);

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

/// What a source says of a study, as long as it is not known whether it was that source.
pub(super) enum SourceWord {
    /// What became of it.
    Notice(Noticed),
    /// That it is another study by now.
    Reissued(StudyId, ReissuedAs),
}

impl SourceWord {
    pub(super) fn notice(notice: &Notice, Letter { from, sent, .. }: &Letter) -> Self {
        Self::Notice(Noticed { notice: notice.clone(), from: *from, sent: *sent })
    }

    pub(super) const fn reissued(reissued: &Reissued, letter: &Letter) -> Self {
        let Reissued { study, source, copy } = *reissued;
        Self::Reissued(study, ReissuedAs { source, copy, from: letter.from, sent: letter.sent })
    }

    const fn source(&self) -> SourceId {
        match self {
            Self::Notice(noticed) => noticed.notice.source,
            Self::Reissued(_, reissued) => reissued.source,
        }
    }

    const fn from(&self) -> &Key {
        match self {
            Self::Notice(noticed) => &noticed.from,
            Self::Reissued(_, reissued) => &reissued.from,
        }
    }
}

/// What a collection brings.
pub(super) struct Came<'a> {
    pub(super) recipient: &'a Recipient,
    pub(super) cards: &'a [Shown],
    pub(super) new: &'a mut Vec<Granted>,
    pub(super) notices: &'a mut Vec<SourceWord>,
}

impl Keep for Came<'_> {
    fn keep(&mut self, place: usize, sealed: &[u8]) -> Result<(), WalletError> {
        let Some(shown) = self.cards.get(place) else { return Ok(()) };
        self.new.extend(self.recipient.take(shown, sealed, self.notices)?);
        Ok(())
    }
}

impl Recipient {
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
        // Somebody may have written to a card of a wallet that was lost.
        let (_, unread_found) = self.read_found(&mut new, &mut notices).await?;
        let unread = unread + unread_found;
        self.keep_notices(notices).await?;
        Box::pin(self.renew_introductions(&cards)).await?;
        Box::pin(self.renew_news()).await?;
        // Where there is a copy something may have to be told of it. The others, if there are many, when it is looked next.
        cards.retain(|shown| shown.has_copy && shown.kept_until < now.plus(KEPT_MS / 2));
        cards.sort_by_key(|shown| shown.kept_until);
        for shown in cards.iter_mut().take(MOST_KEPT) {
            self.keep_reachable(shown).await?;
        }
        // Whoever grants may need another key.
        self.leave_more_keys().await?;
        let silent = collected.silent.keys().map(|relay| self.wallet.ledger.name(relay)).collect();
        Ok(Mail { new, silent, unread, all: mailboxes.len() })
    }

    /// Opens a message and keeps what it brings; nothing, when it brings nothing new.
    fn take(
        &self,
        shown: &Shown,
        sealed: &[u8],
        notices: &mut Vec<SourceWord>,
    ) -> Result<Option<Granted>, WalletError> {
        let chain = self.wallet.chain();
        let letter = match seal::open(sealed, &shown.identity, &chain) {
            Ok(letter) => letter,
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
                if self.is_of_card(shown, notice.study, notice.source)? {
                    notices.push(SourceWord::notice(notice, &letter));
                }
                return Ok(None);
            }
            Content::Opening(opening) => {
                self.take_opening(shown, opening, &letter.from)?;
                return Ok(None);
            }
            Content::Reissued(reissued) => {
                if self.is_of_card(shown, reissued.study, reissued.source)? {
                    notices.push(SourceWord::reissued(reissued, &letter));
                }
                return Ok(None);
            }
            Content::Answer(_) | Content::News(_) => {
                debug!("a letter of another kind than comes to a card");
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
        let keys = self.keys_of(shown)?;
        let Some(numbered) = keys.iter().find(|numbered| numbered.key == checked.grant().grantee) else {
            return Ok(None);
        };
        let id = checked.id();
        if self.wallet.vault.get::<Received>(id.as_bytes())?.is_some() {
            return Ok(None);
        }
        self.make_room(|number| keys.iter().any(|numbered| numbered.number == number))?;
        self.keep_granted(&checked, letter_of, (about, told), numbered.number, None).map(Some)
    }

    /// Keeps what a letter granted to the key of this number; of a card that was found again, which one besides.
    pub(super) fn keep_granted(
        &self,
        checked: &CheckedGrant,
        letter_of: &GrantLetter,
        (about, told): (Option<&About>, Option<&Circumstances>),
        grantee: u32,
        found: Option<OfCardFound>,
    ) -> Result<Granted, WalletError> {
        let id = checked.id();
        let received = Received {
            study: checked.grant().study,
            source: letter_of.source,
            salt: letter_of.salt.clone(),
            study_instance_uid: letter_of.study_instance_uid,
            description: letter_of.description.clone(),
            grant: id,
            grantee,
            terms: letter_of.terms.clone(),
            final_at: letter_of.final_at,
            at: self.wallet.now(),
        };
        self.wallet.vault.write(|batch| -> Result<(), VaultError> {
            if let Some(about) = about {
                batch.put(id.as_bytes(), about)?;
            }
            if let Some(told) = told {
                batch.put(id.as_bytes(), &Circumstances { about: None, ..told.clone() })?;
            }
            if let Some(found) = &found {
                batch.put(id.as_bytes(), found)?;
            }
            batch.put(id.as_bytes(), &received)
        })?;
        Ok(Granted { id, received })
    }

    /// Throws away the oldest letters to a card that the ledger does not bear out, where there are too many of them: whoever was shown the card can
    /// write any number. What names a copy stays.
    pub(super) fn make_room(&self, is_of_card: impl Fn(u32) -> bool) -> Result<(), WalletError> {
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
        self.wallet.vault.remove::<Circumstances>(id.as_bytes())?;
        self.wallet.vault.remove::<Received>(id.as_bytes())?;
        Ok(())
    }

    /// Throws away the letters about a study that the ledger does not have, if they are older than what it was asked for.
    pub(super) fn throw_away(&self, study: StudyId, time: BlockTime) -> Result<(), WalletError> {
        for granted in self.inbox()? {
            if granted.received.study == study && granted.received.at.plus(LATE_MS) <= time.timestamp() {
                self.forget_letter(granted.id)?;
            }
        }
        Ok(())
    }

    /// Whether a study was granted to this card.
    fn is_of_card(&self, shown: &Shown, study: StudyId, source: SourceId) -> Result<bool, WalletError> {
        let keys = self.keys_of(shown)?;
        let of_card = |received: &Received| keys.iter().any(|numbered| numbered.number == received.grantee);
        let is = |received: &Received| received.study == study && received.source == source && of_card(received);
        Ok(self.wallet.vault.all::<Received>()?.iter().any(|(_, received)| is(received)))
    }

    /// Keeps a notice if the study's source has signed it with the key that it has by the ledger now, the newest of each study. Others can write to
    /// the mailbox of a card, too, and a key that was replaced may be somebody else's.
    pub(super) async fn keep_notices(&mut self, notices: Vec<SourceWord>) -> Result<(), WalletError> {
        let mut keys = BTreeMap::new();
        for source in notices.iter().map(SourceWord::source).collect::<BTreeSet<_>>() {
            match self.wallet.source(source).await {
                Ok((_, key)) => drop(keys.insert(source, key)),
                Err(error @ WalletError::Vault(_)) => return Err(error),
                // The ledger tells the same when it can be asked.
                Err(error) => debug!(%error, "it cannot be found out who signed a notice"),
            }
        }
        for word in notices {
            if keys.get(&word.source()) != Some(word.from()) {
                continue;
            }
            match word {
                SourceWord::Notice(noticed) => {
                    let study = noticed.notice.study;
                    let before = self.wallet.vault.get::<Noticed>(study.as_bytes())?;
                    if before.is_none_or(|before| before.sent <= noticed.sent) {
                        self.wallet.vault.put(study.as_bytes(), &noticed)?;
                    }
                }
                SourceWord::Reissued(study, reissued) => self.wallet.vault.put(study.as_bytes(), &reissued)?,
            }
        }
        Ok(())
    }

    /// Whether the source of a study has said that the wrong person had it, and that its images are another study by now.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn is_reissued(&self, study: StudyId) -> Result<bool, WalletError> {
        Ok(self.wallet.vault.get::<ReissuedAs>(study.as_bytes())?.is_some())
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
    pub(super) async fn reach(&mut self, granted: &Granted) -> Result<Option<Reach>, WalletError> {
        if self.grantee_elsewhere(granted)?.is_some() {
            return timeout(NOT_LONG, self.reach_found(granted)).await.unwrap_or(Ok(None));
        }
        let all = self.wallet.vault.all::<Shown>()?;
        let mut of_card = None;
        for (_, shown) in all {
            if self.keys_of(&shown)?.iter().any(|numbered| numbered.number == granted.received.grantee) {
                of_card = Some(shown);
                break;
            }
        }
        let Some(mut shown) = of_card else { return Ok(None) };
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

    pub(super) fn keep_shown(&self, shown: &Shown) -> Result<(), WalletError> {
        Ok(self.wallet.vault.put(shown.card.mailbox.key.as_bytes(), shown)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objection::tests::{NOW, proved, received};
    use crate::recipient::tests::rossi;

    fn id(number: usize) -> [u8; 32] {
        *blake3::hash(&number.to_le_bytes()).as_bytes()
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
