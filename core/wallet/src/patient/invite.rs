//! Letting in somebody who is not known yet: an Invitation is shown, answered and opened; then the patient picks the
//! words that the other screen shows, and only then is the card of the answer worth anything.
//!
//! ```text
//! Shown ──answer──► Answered ──opening left──► Opened ──right words──► Picked
//!   │                   │  another answer         │  another answer, other words   (then Granted)
//!   └─ minutes ─► over  └────────────► Void ◄─────┘
//! ```
//!
//! Each step is in the vault before it has any effect: an answer before the relay forgets it, the answer that this side
//! is bound to before the nonce is opened to it, and the pick before anything is granted.

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::terms::Conditions;
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};
use clavicle_letters::card::TOLERANCE_MS;
use clavicle_letters::identity::Identity;
use clavicle_letters::invitation::{Invitation, MAX_INVITATION_MS};
use clavicle_letters::letter::{Content, Letter};
use clavicle_letters::mailbox::{Mailbox, Token};
use clavicle_letters::seal;
use clavicle_letters::transcript::{InvitationId, Nonce};
use clavicle_letters::verdict::{Unverified, Verdict};
use clavicle_letters::words::FourWords;
use tracing::debug;

use super::{GrantRequest, Granted, OwnStudy, Patient};
use crate::error::WalletError;
use crate::ledger::{Collect, Keep};
use crate::rows::{Accepted, Invited, InvitedStage, Voided, Way};
use crate::vault::Vault;
use crate::wallet::random;

/// How many relays keep an Invitation's mailbox.
const KEPT_BY: usize = 2;
const MINUTE_MS: u64 = 60_000;
/// The longest that an Invitation is good for, in minutes.
pub const MAX_INVITATION_MINUTES: u64 = MAX_INVITATION_MS / MINUTE_MS - 1;
/// For how long an Invitation is kept after its end, in milliseconds: the words may be picked, and the grant made, till
/// then; and what was granted from afar is over by then, which no renewal is to prolong.
const KEPT_MS: u64 = 2 * DAY_MS;
/// How long a grant from afar to a name that nobody checked may last, in milliseconds.
pub const FAR_MS: u64 = 24 * HOUR_MS;
/// When it begins at the earliest, in milliseconds from now: until then it can be ended before anything was fetched.
pub const FAR_BEGINS_MS: u64 = HOUR_MS;

/// What an Invitation's mailbox brings.
struct Answers<'a> {
    vault: &'a Vault,
    invited: &'a mut Invited,
    now: Timestamp,
}

impl Keep for Answers<'_> {
    fn keep(&mut self, _: usize, sealed: &[u8]) -> Result<(), WalletError> {
        let Self { vault, invited, now } = self;
        let invitation = &invited.invitation.invitation;
        let letter = match seal::open(sealed, &invited.identity, &invitation.chain) {
            Ok(letter) => letter,
            Err(error) => {
                debug!(%error, "a message to an invitation cannot be read");
                return Ok(());
            }
        };
        let Content::Answer(answer) = letter.content else {
            debug!("a letter to an invitation is no answer");
            return Ok(());
        };
        let checked = match answer.check(invitation, &letter.from, *now) {
            Ok(checked) => checked,
            Err(error) => {
                debug!(%error, "an answer does not hold together");
                return Ok(());
            }
        };
        match (invited.stage, &invited.accepted) {
            (InvitedStage::Shown, _) if *now <= invitation.expires.plus(TOLERANCE_MS) => {
                invited.accepted = Some(Accepted { answer: *answer, checked });
                invited.stage = InvitedStage::Answered;
            }
            // The same, which came twice.
            (_, Some(accepted)) if accepted.checked == checked => return Ok(()),
            (InvitedStage::Answered | InvitedStage::Opened, _) => {
                invited.stage = InvitedStage::Void(Voided::SecondAnswer);
            }
            (InvitedStage::Shown | InvitedStage::Picked | InvitedStage::Granted | InvitedStage::Void(_), _) => {
                return Ok(());
            }
        }
        Ok(vault.put(invited.id().as_bytes(), &**invited)?)
    }
}

impl Patient {
    /// The Invitations that were shown, the earliest first.
    ///
    /// # Errors
    /// [`WalletError::Vault`].
    pub fn invitations(&self) -> Result<Vec<Invited>, WalletError> {
        let mut all: Vec<Invited> =
            self.wallet.vault.all::<Invited>()?.into_iter().map(|(_, invited)| invited).collect();
        all.sort_by_key(|invited| (invited.at, invited.id()));
        Ok(all)
    }

    fn invitation(&self, id: InvitationId) -> Result<Invited, WalletError> {
        self.wallet.vault.get(id.as_bytes())?.ok_or(WalletError::NoInvitation)
    }

    /// Makes an Invitation that is good for so many minutes. One that was made just now and nobody has answered is that
    /// one again. Its mailbox is open when this returns, which takes some computing: `progress` is told how many parts
    /// of it are done, and of how many.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn invite(
        &mut self,
        way: Way,
        minutes: u64,
        progress: impl Fn(usize, usize),
    ) -> Result<Invited, WalletError> {
        let now = self.wallet.now();
        let length = minutes.clamp(1, MAX_INVITATION_MINUTES).saturating_mul(MINUTE_MS);
        for invited in self.invitations()? {
            let left = invited.invitation.invitation.expires.since(now);
            if invited.stage == InvitedStage::Shown
                && invited.way == way
                && left > length / 2
                && left <= length + MINUTE_MS
            {
                return Ok(invited);
            }
            if now > invited.invitation.invitation.expires.plus(KEPT_MS) {
                self.wallet.vault.remove::<Invited>(invited.id().as_bytes())?;
            }
        }
        self.wallet.refresh_head().await;
        let (seed, nonce) = (random()?, Nonce::from_bytes(random()?));
        let (key, token) = (SecretKey::from_bytes(&seed), Token(random()?));
        let identity = Identity::generate().map_err(WalletError::Random)?;
        // A day: shorter than a card's, whose room it takes. (That it is an Invitation's the relays see by what comes
        // and goes anyway.)
        let until = self.wallet.ledger.head().kept_until(1);
        let relays = self.wallet.ledger.open_mailbox(&key, token, until, KEPT_BY, progress).await?;
        let invitation = Invitation {
            chain: self.wallet.chain(),
            mailbox: Mailbox {
                key: key.public(),
                relays: Ascending::from_items(relays).map_err(|_| WalletError::Defect)?,
                token,
            },
            recipient: identity.recipient(),
            commitment: nonce.commitment(&self.wallet.chain()),
            // A whole minute: who photographs it does not learn by how many seconds this clock is off.
            expires: whole_minute(self.wallet.now().plus(length)),
        };
        let invitation = invitation.sign(&key)?;
        let at = self.wallet.now();
        let invited = Invited {
            invitation,
            nonce,
            seed,
            identity,
            way,
            at,
            accepted: None,
            verdict: None,
            stage: InvitedStage::Shown,
        };
        // Before anybody sees it.
        self.keep_invited(&invited)?;
        Ok(invited)
    }

    /// Looks once whether an Invitation was answered, and opens it to whoever did.
    ///
    /// # Errors
    /// [`WalletError::SecondAnswer`], [`WalletError::InvitationOver`] and others; the same again goes on where it
    /// stopped.
    pub async fn look_for_answer(&mut self, id: InvitationId) -> Result<Invited, WalletError> {
        let mut invited = self.invitation(id)?;
        if matches!(invited.stage, InvitedStage::Picked | InvitedStage::Granted) {
            return Ok(invited);
        }
        void(&invited)?;
        self.collect_answers(&mut invited).await?;
        void(&invited)?;
        if invited.stage == InvitedStage::Answered {
            self.open_to(&mut invited).await?;
        }
        self.introduce_invited(&mut invited).await?;
        if invited.stage == InvitedStage::Shown && invited.is_over(self.wallet.now()) {
            return Err(WalletError::InvitationOver);
        }
        Ok(invited)
    }

    /// Waits until somebody may have answered an Invitation, or for some seconds; then it is to be looked.
    ///
    /// # Errors
    /// [`WalletError::NoInvitation`] and others.
    pub async fn wait_for_answer(&self, id: InvitationId) -> Result<(), WalletError> {
        let invited = self.invitation(id)?;
        let mailbox = &invited.invitation.invitation.mailbox;
        let relays = mailbox.relays.iter().copied().collect();
        self.wallet.ledger.wait_for_mail(&[Collect { key: SecretKey::from_bytes(&invited.seed), relays }]).await;
        Ok(())
    }

    /// Looks once who vouches for whoever answered. What could not be looked up is looked up the next time.
    async fn introduce_invited(&mut self, invited: &mut Invited) -> Result<(), WalletError> {
        let Some(card) = invited.card().filter(|_| invited.verdict.is_none()).cloned() else { return Ok(()) };
        let verdict = self.introduce(&card).await?.verdict;
        if verdict == Verdict::Unverified(Unverified::NotRead) {
            return Ok(());
        }
        invited.verdict = Some(verdict);
        self.keep_invited(invited)
    }

    async fn collect_answers(&mut self, invited: &mut Invited) -> Result<(), WalletError> {
        let mailbox = &invited.invitation.invitation.mailbox;
        let from =
            [Collect { key: SecretKey::from_bytes(&invited.seed), relays: mailbox.relays.iter().copied().collect() }];
        let mut answers = Answers { vault: &self.wallet.vault, invited, now: self.wallet.ledger.now().0 };
        let collected = self.wallet.ledger.collect(&from, &mut answers, &mut |_, _| {}).await?;
        if collected.reached.is_empty() {
            return Err(WalletError::NoRelay(collected.silent.into_values().flatten().next()));
        }
        Ok(())
    }

    /// Opens the nonce to whoever answered. From the moment at which the answer is in the vault this side is bound to
    /// it.
    async fn open_to(&mut self, invited: &mut Invited) -> Result<(), WalletError> {
        let Some(Accepted { answer, checked }) = &invited.accepted else { return Err(WalletError::NotAnswered) };
        let (key, card) = (SecretKey::from_bytes(&invited.seed), answer.card.card.clone());
        let opening = checked.open(&invited.nonce);
        let letter = Letter {
            chain: self.wallet.chain(),
            to: card.recipient,
            from: key.public(),
            sent: self.wallet.now(),
            content: Content::Opening(opening),
        };
        let sealed = seal::seal(&letter, &key)?;
        let mailbox = card.mailbox(self.relays_of(&card).await?);
        let relays: Vec<SourceId> = mailbox.relays.iter().copied().collect();
        let taken = self.wallet.ledger.deposit(&relays, mailbox.key, mailbox.token, &sealed).await;
        self.wallet.keep_directory()?;
        if taken == 0 {
            return Err(WalletError::NotOpened);
        }
        invited.stage = InvitedStage::Opened;
        self.keep_invited(invited)
    }

    /// Takes the words that the patient says the other screen shows; nothing, if it shows none of the choices. Others
    /// than the right ones void the Invitation: there is one try. That nobody else has answered meanwhile is looked at
    /// once more before.
    ///
    /// # Errors
    /// [`WalletError::WordsDiffer`], [`WalletError::SecondAnswer`] and others. Nothing is granted by this.
    pub async fn pick(&mut self, id: InvitationId, words: Option<FourWords>) -> Result<Invited, WalletError> {
        let mut invited = self.look_for_answer(id).await?;
        let right = match invited.stage {
            InvitedStage::Picked | InvitedStage::Granted => return Ok(invited),
            InvitedStage::Opened => invited.comparison().ok_or(WalletError::NotAnswered)?.words(),
            InvitedStage::Shown | InvitedStage::Answered | InvitedStage::Void(_) => {
                return Err(WalletError::NotAnswered);
            }
        };
        invited.stage =
            if words == Some(right) { InvitedStage::Picked } else { InvitedStage::Void(Voided::WordsDiffer) };
        self.keep_invited(&invited)?;
        void(&invited)?;
        Ok(invited)
    }

    /// What a grant by an Invitation comes to: as it is asked for; from afar, and to a name that nobody checked, within
    /// narrow limits.
    ///
    /// # Errors
    /// [`WalletError::FarTooMuch`] when it asks for more.
    pub fn within_limits(&self, invited: &Invited, request: &GrantRequest) -> Result<GrantRequest, WalletError> {
        if invited.card().is_none() {
            return Err(WalletError::NotAnswered);
        }
        if invited.way != Way::FromAfar || is_verified(invited) {
            return Ok(request.clone());
        }
        if request.for_ms > FAR_MS {
            return Err(WalletError::FarTooMuch);
        }
        let conditions = Conditions { view_only: true, ..request.conditions.clone() };
        Ok(GrantRequest { begins_in_ms: request.begins_in_ms.max(FAR_BEGINS_MS), conditions, ..request.clone() })
    }

    /// Grants a study to whoever answered, once the words were picked.
    ///
    /// # Errors
    /// [`WalletError`]; the same again goes on where it stopped. [`WalletError::SecondLook`] when what stands beside
    /// the name was not seen yet: the same again grants all the same.
    pub async fn grant_invited(
        &mut self,
        id: InvitationId,
        study: &OwnStudy,
        request: &GrantRequest,
    ) -> Result<Granted, WalletError> {
        let mut invited = self.invitation(id)?;
        void(&invited)?;
        let (InvitedStage::Picked | InvitedStage::Granted, Some(card)) = (invited.stage, invited.card()) else {
            return Err(WalletError::NotPicked);
        };
        let mut request = self.within_limits(&invited, request)?;
        if invited.way == Way::FromAfar && !is_verified(&invited) {
            let others = self.grants()?;
            if others.iter().any(|grant| grant.made.card.signature == card.signature && grant.made.study != study.id) {
                return Err(WalletError::FarTooMuch);
            }
        }
        let card = card.clone();
        // Who it is was said before the words were picked, unless it could not be looked up then, or is otherwise by
        // now: that nobody has seen yet. Kept, it is shown, and whoever asks once more has looked.
        let introduced = self.introduce(&card).await?;
        let verdict = introduced.verdict;
        if verdict.needs_a_second_look() && invited.verdict.as_ref() != Some(&verdict) {
            let beside = verdict.beside(introduced.name.as_str());
            invited.verdict = Some(verdict);
            self.keep_invited(&invited)?;
            return Err(WalletError::SecondLook(beside));
        }
        // What was seen to be a team's is not granted to a person, since that cannot be seen now.
        if invited.verdict.as_ref().is_some_and(Verdict::is_team) {
            request.conditions.members_of = Some(card.card.person);
        }
        let granted = self.grant(study, &card, &request, true).await?;
        invited.stage = InvitedStage::Granted;
        self.keep_invited(&invited)?;
        Ok(granted)
    }

    fn keep_invited(&self, invited: &Invited) -> Result<(), WalletError> {
        Ok(self.wallet.vault.put(invited.id().as_bytes(), invited)?)
    }
}

/// Whether somebody vouches for the name of whoever answered.
#[must_use]
pub fn is_verified(invited: &Invited) -> bool {
    matches!(invited.verdict, Some(Verdict::Verified(_)))
}

/// Refuses to go on with an Invitation that is void.
fn void(invited: &Invited) -> Result<(), WalletError> {
    match invited.stage {
        InvitedStage::Void(Voided::SecondAnswer) => Err(WalletError::SecondAnswer),
        InvitedStage::Void(Voided::WordsDiffer) => Err(WalletError::WordsDiffer),
        InvitedStage::Shown
        | InvitedStage::Answered
        | InvitedStage::Opened
        | InvitedStage::Picked
        | InvitedStage::Granted => Ok(()),
    }
}

/// The whole minute that begins then, or next.
fn whole_minute(at: Timestamp) -> Timestamp {
    Timestamp(at.0.div_ceil(MINUTE_MS).saturating_mul(MINUTE_MS))
}
