//! One pickup: how it stands, and what an answer does to it.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::pickup::Question;

use super::seal::Sealed;
use super::{MAX_WRONG, PickupRefused, State, Visit};

/// A pickup as it is kept.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Row {
    pub(super) visit: Visit,
    pub(super) question: Question,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    /// None where an earlier version gave it out.
    pub(super) sealed: Option<Sealed>,
    pub(super) wrong: u8,
    pub(super) void: bool,
    pub(super) bound: Option<Key>,
}

impl Wire for Row {
    const NAME: &'static str = "a pickup";
    const MAX_LEN: usize = Visit::MAX_LEN + 1 + 8 + 8 + 49 + 1 + 1 + 34;
}

impl Row {
    pub(super) fn state(&self, now: LocalTime) -> State {
        match self.bound {
            _ if self.sealed.is_none() => State::Outdated,
            _ if self.wrong >= MAX_WRONG => State::Dead,
            _ if self.void => State::Void,
            Some(key) => State::Claimed(key),
            None if self.has_expired(now) => State::Expired,
            None => State::Open,
        }
    }

    fn has_expired(&self, now: LocalTime) -> bool {
        now.0 >= self.expires
    }

    /// Whether an endpoint may answer at all.
    pub(super) fn may_be_answered(&self, remote: Key, now: LocalTime) -> Result<(), PickupRefused> {
        match self.state(now) {
            State::Dead => Err(PickupRefused::Dead),
            State::Void => Err(PickupRefused::Void),
            State::Expired => Err(PickupRefused::Expired),
            State::Outdated => Err(PickupRefused::Outdated),
            // Whoever else comes with the ticket cannot kill it either.
            State::Claimed(key) if key != remote => Err(PickupRefused::OtherKey),
            State::Claimed(_) if self.has_expired(now) => Err(PickupRefused::Expired),
            State::Claimed(_) | State::Open => Ok(()),
        }
    }

    /// Judges an answer and counts it.
    pub(super) fn judge(&mut self, knows: bool, remote: Key, now: LocalTime) -> Result<(), PickupRefused> {
        self.may_be_answered(remote, now)?;
        if knows {
            (self.wrong, self.bound) = (0, Some(remote));
            return Ok(());
        }
        self.wrong = self.wrong.saturating_add(1);
        Err(PickupRefused::Wrong { left: MAX_WRONG.saturating_sub(self.wrong) })
    }
}

/// Whether these are eight digits with a month and a day where they should be.
pub(super) fn is_date(plain: &str) -> bool {
    let part = |range: std::ops::Range<usize>| plain.get(range).and_then(|digits| digits.parse::<u8>().ok());
    plain.len() == 8
        && plain.bytes().all(|byte| byte.is_ascii_digit())
        && part(4..6).is_some_and(|month| (1..=12).contains(&month))
        && part(6..8).is_some_and(|day| (1..=31).contains(&day))
}
