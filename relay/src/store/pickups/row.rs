//! One pickup: how it stands, and what an answer does to it.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_network::pickup::Question;
use zeroize::Zeroizing;

use super::{MAX_WRONG, PickupRefused, State, Visit};

/// A pickup as it is kept.
#[derive(Clone, BorshSerialize, BorshDeserialize)]
pub(super) struct Row {
    pub(super) visit: Visit,
    pub(super) question: Question,
    pub(super) issued: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) answer_key: [u8; 32],
    pub(super) answer_hash: [u8; 32],
    pub(super) wrong: u8,
    pub(super) void: bool,
    pub(super) bound: Option<Key>,
}

impl Wire for Row {
    const NAME: &'static str = "a pickup";
    const MAX_LEN: usize = Visit::MAX_LEN + 1 + 8 + 8 + 32 + 32 + 1 + 1 + 34;
}

impl Row {
    pub(super) fn state(&self, now: LocalTime) -> State {
        match self.bound {
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

    /// Judges an answer and counts it.
    pub(super) fn judge(&mut self, answer: &str, remote: Key, now: LocalTime) -> Result<(), PickupRefused> {
        match self.state(now) {
            State::Dead => return Err(PickupRefused::Dead),
            State::Void => return Err(PickupRefused::Void),
            State::Expired => return Err(PickupRefused::Expired),
            // Whoever else comes with the ticket cannot kill it either.
            State::Claimed(key) if key != remote => return Err(PickupRefused::OtherKey),
            State::Claimed(_) if self.has_expired(now) => return Err(PickupRefused::Expired),
            State::Claimed(_) | State::Open => {}
        }
        // `blake3::Hash` compares in constant time.
        let given = hash_answer(&self.answer_key, &plain(self.question, answer));
        if given == blake3::Hash::from_bytes(self.answer_hash) {
            (self.wrong, self.bound) = (0, Some(remote));
            return Ok(());
        }
        self.wrong = self.wrong.saturating_add(1);
        Err(PickupRefused::Wrong { left: MAX_WRONG.saturating_sub(self.wrong) })
    }
}

pub(super) fn hash_answer(key: &[u8; 32], plain: &str) -> blake3::Hash {
    blake3::keyed_hash(key, plain.as_bytes())
}

/// An answer without what does not count in it.
pub(super) fn plain(question: Question, answer: &str) -> Zeroizing<String> {
    Zeroizing::new(match question {
        Question::Pin => answer.trim().to_owned(),
        Question::BirthDate => answer.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '/')).collect(),
    })
}

/// Whether these are eight digits with a month and a day where they should be.
pub(super) fn is_date(plain: &str) -> bool {
    let part = |range: std::ops::Range<usize>| plain.get(range).and_then(|digits| digits.parse::<u8>().ok());
    plain.len() == 8
        && plain.bytes().all(|byte| byte.is_ascii_digit())
        && part(4..6).is_some_and(|month| (1..=12).contains(&month))
        && part(6..8).is_some_and(|day| (1..=31).contains(&day))
}
