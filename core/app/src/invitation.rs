//! What a screen shows of Invitations: those that a patient showed, and those that a recipient answered. No keys, no
//! nonces.

use clavicle_ledger::time::Timestamp;
use clavicle_letters::code;
use clavicle_letters::transcript::InvitationId;
use clavicle_letters::verdict::{Unverified, Verdict};
use clavicle_letters::words::{CHOICES, FourWords};
use clavicle_wallet::patient::{Way, is_verified};
use clavicle_wallet::rows::{AnswerMade, Invited, InvitedStage, Voided};

/// How far an Invitation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvitationStage {
    /// Nobody has answered.
    Shown,
    /// Somebody has, and is being told so.
    Answered,
    /// There are words to pick among.
    Opened,
    /// The right words were picked.
    Picked,
    /// Something was granted by it.
    Granted,
    /// Two have answered: nothing is granted by it.
    SecondAnswer,
    /// Other words were picked: nothing is granted by it.
    WordsDiffer,
}

impl InvitationStage {
    /// Whether it is on its way to a grant still.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Shown | Self::Answered | Self::Opened | Self::Picked)
    }

    /// A word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Answered => "answered",
            Self::Opened => "opened",
            Self::Picked => "picked",
            Self::Granted => "granted",
            Self::SecondAnswer => "second_answer",
            Self::WordsDiffer => "words_differ",
        }
    }
}

/// Who answered an Invitation, in their own words.
#[derive(Clone, PartialEq, Eq)]
pub struct WhoAnswered {
    /// As they call themselves.
    pub name: String,
    /// What they ask for.
    pub wish: String,
    /// What stands beside the name.
    pub verdict: Verdict,
}

/// An Invitation that a patient showed.
#[derive(Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// Which.
    pub id: InvitationId,
    /// Its code, as text: a link, or what a QR code holds.
    pub code: String,
    /// How it is shown.
    pub way: Way,
    /// Until when it may be answered.
    pub expires: Timestamp,
    /// How far it is.
    pub stage: InvitationStage,
    /// Who answered.
    pub who: Option<WhoAnswered>,
    /// What the patient picks among, once there is something to compare.
    pub choices: Option<[FourWords; CHOICES]>,
    /// Whether it grants within narrow limits only: from afar, to a name that nobody checked.
    pub is_narrow: bool,
}

impl InvitationRow {
    /// An Invitation that was shown.
    #[must_use]
    pub fn of(invited: &Invited) -> Self {
        let who = invited.card().map(|card| WhoAnswered {
            name: card.card.name.to_string(),
            wish: card.card.wish.to_string(),
            verdict: invited.verdict.clone().unwrap_or(Verdict::Unverified(Unverified::NotRead)),
        });
        Self {
            id: invited.id(),
            code: code::to_text(&invited.invitation),
            way: invited.way,
            expires: invited.invitation.invitation.expires,
            stage: match invited.stage {
                InvitedStage::Shown => InvitationStage::Shown,
                InvitedStage::Answered => InvitationStage::Answered,
                InvitedStage::Opened => InvitationStage::Opened,
                InvitedStage::Picked => InvitationStage::Picked,
                InvitedStage::Granted => InvitationStage::Granted,
                InvitedStage::Void(Voided::SecondAnswer) => InvitationStage::SecondAnswer,
                InvitedStage::Void(Voided::WordsDiffer) => InvitationStage::WordsDiffer,
            },
            choices: invited.comparison().map(|comparison| *comparison.choices()),
            is_narrow: invited.way == Way::FromAfar && !is_verified(invited),
            who,
        }
    }

    /// Whoever answered, in their own words.
    #[must_use]
    pub fn name(&self) -> &str {
        self.who.as_ref().map_or("nobody yet", |who| &who.name)
    }

    /// Whether anybody vouches for the name.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.who.as_ref().is_some_and(|who| matches!(who.verdict, Verdict::Verified(_)))
    }
}

/// An Invitation that a recipient answered.
#[derive(Clone, PartialEq, Eq)]
pub struct AnswerRow {
    /// Which.
    pub id: InvitationId,
    /// Until when it could be answered.
    pub expires: Timestamp,
    /// The words, once the patient's device has taken the answer.
    pub words: Option<FourWords>,
}

impl AnswerRow {
    /// An Invitation that was answered.
    #[must_use]
    pub fn of(made: &AnswerMade) -> Self {
        Self { id: made.id(), expires: made.invitation.invitation.expires, words: made.words() }
    }
}
