//! Four words that two people compare, so that nobody stands between their devices.
//!
//! Both devices show four words over everything that went between them: the Invitation, the answer with its card, and
//! both nonces. If somebody in between gave each side something else, the words differ. This is a short authentication
//! string by commitment before reveal (S. Vaudenay,
//! *Secure Communications over Insecure Channels Based on Short Authenticated Strings*, CRYPTO 2005), as ZRTP has it (RFC 6189 §4.4):
//!
//! 1. the patient's code holds a hash of a nonce of 32 random bytes: it is bound to the nonce, and tells nothing of it;
//! 2. the recipient answers with its card and a nonce of its own, and is bound to both;
//! 3. the patient opens the nonce. Now both sides know all of it, and show the words.
//!
//! # What that is worth, in numbers
//!
//! A word is one of 2,048, so that four have 44 bits: 17,592,186,044,416 quadruples.
//!
//! | who tries | succeeds |
//! |---|---|
//! | somebody in between, who gives both sides other things, each time two people compare all four words | 1 in 2⁴⁴ = 1 in 17.6 million million |
//! | the same with any amount of computing, before or in between | the same: whatever is still to be chosen has to be sent before the last nonce is known |
//! | the same if there were no commitment, and 2²² = 4 million tries computed on each side | about 2 in 3: a laptop does that in seconds (birthday) |
//! | where the recipient's person says one word only, and the patient's listens for that one | 1 in 1,024 that it stands among the choices at all, and half of that is picked |
//! | where the patient picks without comparing | 1 in 4: three times in four the Invitation is void, and nothing is granted |
//!
//! Nothing helps where the two people do not really speak to each other: whoever can speak with the voice of either, or
//! shows its own screen, is not in between but at the end.
//!
//! # Why picking, and why these decoys
//!
//! Whoever is asked "are these the same?" says yes. So the patient picks the words that the other screen shows among
//! [`CHOICES`]. Each position has two words, and each of them stands in two of the choices, so that no single word
//! decides. No choice is more alike to the others than any other is, so that looking at the list alone does not tell
//! which one is right. The list follows from what was exchanged, and is the same each time it is shown: of two
//! different lists the right one would be what they have in common.

use core::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::id::ChainId;

use crate::transcript::{AnswerDigest, InvitationId, Nonce};

/// How many quadruples the patient picks among.
pub const CHOICES: usize = 4;
/// Words in each.
const WORDS: usize = 4;
/// Bits of a word: its place in a list of 2,048.
const BITS: u32 = 11;
const LIST_LEN: u16 = 1 << BITS;
/// Which positions of a choice have the other word: any two differ in two positions at least, each position is other in
/// two of them, and taken together with any one of them they are the same set again.
const OTHER: [[bool; WORDS]; CHOICES] =
    [[false, false, false, false], [true, true, true, false], [false, true, true, true], [true, false, false, true]];

/// Four words, as their places in a list: which language they are shown in is the screen's affair.
#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FourWords([u16; WORDS]);

/// Why a text is not four words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FourWordsError {
    /// Not four.
    #[error("these are {0} words, and the other screen shows four; give all four, in their order")]
    Count(usize),
    /// A word that is not in the list, counted from 1.
    #[error("word {0} is none that a screen would show; read it once more")]
    Unknown(usize),
}

impl FourWords {
    /// Reads English words as typed, whatever their case and spacing.
    ///
    /// # Errors
    /// [`FourWordsError`].
    pub fn parse(typed: &str) -> Result<Self, FourWordsError> {
        let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
        if words.len() != WORDS {
            return Err(FourWordsError::Count(words.len()));
        }
        let mut places = [0; WORDS];
        for (at, word) in words.iter().enumerate() {
            places[at] = bip39::Language::English.find_word(word).ok_or(FourWordsError::Unknown(at + 1))?;
        }
        Ok(Self(places))
    }

    /// The places of the words in the list of a language, each less than 2,048.
    #[must_use]
    pub const fn places(&self) -> &[u16; WORDS] {
        &self.0
    }
}

impl fmt::Display for FourWords {
    /// In English (BIP-39's list).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = bip39::Language::English.word_list();
        for (at, place) in self.0.iter().enumerate() {
            let word = list.get(usize::from(*place)).copied().unwrap_or_default();
            write!(f, "{}{word}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl fmt::Debug for FourWords {
    /// For logs: not the words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FourWords(…)")
    }
}

/// What both sides compare, once everything is known that the words are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    words: FourWords,
    choices: [FourWords; CHOICES],
}

impl Comparison {
    /// Over an Invitation, the answer to it, and the nonce that the Invitation committed to. That each is what it
    /// should be has been checked.
    pub(crate) fn of(chain: &ChainId, invitation: InvitationId, answer: AnswerDigest, nonce: &Nonce) -> Self {
        let mut bytes = [0; 17];
        let preimage = domain::preimage(Tag::FOUR_WORDS, chain, &(invitation, answer, nonce));
        blake3::Hasher::new().update(&preimage).finalize_xof().fill(&mut bytes);
        let numbers: [u16; 8] = core::array::from_fn(|at| u16::from_le_bytes([bytes[2 * at], bytes[2 * at + 1]]));
        let right: [u16; WORDS] = core::array::from_fn(|at| numbers[at] % LIST_LEN);
        // Another one for sure.
        let other: [u16; WORDS] =
            core::array::from_fn(|at| (right[at] + 1 + numbers[WORDS + at] % (LIST_LEN - 1)) % LIST_LEN);
        let turn = usize::from(bytes[16]) % CHOICES;
        let choices = core::array::from_fn(|at| {
            let is_other = OTHER[at ^ turn];
            FourWords(core::array::from_fn(|at| if is_other[at] { other[at] } else { right[at] }))
        });
        Self { words: FourWords(right), choices }
    }

    /// The words, for the screen of whoever answered.
    #[must_use]
    pub const fn words(&self) -> FourWords {
        self.words
    }

    /// What the patient picks among.
    #[must_use]
    pub const fn choices(&self) -> &[FourWords; CHOICES] {
        &self.choices
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::card::tests::CHAIN;

    fn of(nonce: u16) -> Comparison {
        let [low, high] = nonce.to_le_bytes();
        let mut bytes = [0; 32];
        [bytes[0], bytes[1]] = [low, high];
        let (invitation, answer) = (InvitationId::from_bytes([1; 32]), AnswerDigest::from_bytes([2; 32]));
        Comparison::of(&CHAIN, invitation, answer, &Nonce::from_bytes(bytes))
    }

    #[test]
    fn the_right_words_stand_among_the_choices_once_and_anywhere() {
        let mut at = [0; CHOICES];
        for nonce in 0..1_000 {
            let comparison = of(nonce);
            let places: Vec<_> = (0..CHOICES).filter(|at| comparison.choices[*at] == comparison.words).collect();
            let [place] = places[..] else { panic!("{places:?}") };
            at[place] += 1;
        }
        assert!(at.iter().all(|count| (180..=320).contains(count)), "{at:?}");
    }

    /// Who only looks at the list learns nothing: every choice is as far from the others as any other, and each word
    /// stands in two of them.
    #[test]
    fn no_single_word_decides_and_no_choice_looks_different() {
        for nonce in 0..200 {
            let choices = of(nonce).choices;
            for position in 0..WORDS {
                let mut counts = std::collections::BTreeMap::new();
                for choice in &choices {
                    *counts.entry(choice.0[position]).or_insert(0) += 1;
                }
                assert_eq!(counts.values().copied().collect::<Vec<_>>(), [2, 2]);
            }
            let distances = |from: &FourWords| {
                let far = |to: &FourWords| (0..WORDS).filter(|at| from.0[*at] != to.0[*at]).count();
                let mut all: Vec<_> = choices.iter().map(far).collect();
                all.sort_unstable();
                all
            };
            assert!(choices.iter().all(|choice| distances(choice) == [0, 2, 3, 3]));
        }
    }

    #[test]
    fn everything_that_the_words_are_over_changes_them() {
        let (invitation, answer) = (InvitationId::from_bytes([1; 32]), AnswerDigest::from_bytes([2; 32]));
        let nonce = Nonce::from_bytes([3; 32]);
        let mut all = BTreeSet::new();
        all.insert(*Comparison::of(&CHAIN, invitation, answer, &nonce).words().places());
        all.insert(*Comparison::of(&ChainId::from_bytes([9; 32]), invitation, answer, &nonce).words().places());
        all.insert(*Comparison::of(&CHAIN, InvitationId::from_bytes([9; 32]), answer, &nonce).words().places());
        all.insert(*Comparison::of(&CHAIN, invitation, AnswerDigest::from_bytes([9; 32]), &nonce).words().places());
        all.insert(*Comparison::of(&CHAIN, invitation, answer, &Nonce::from_bytes([9; 32])).words().places());
        assert_eq!(all.len(), 5);
        let seen: BTreeSet<u16> = (0..2_000).flat_map(|nonce| of(nonce).words.0).collect();
        assert!(seen.len() > 1_900 && seen.iter().all(|place| *place < LIST_LEN), "every word comes: {}", seen.len());
    }

    #[test]
    fn words_are_read_as_people_type_them() {
        let words = of(7).words();
        assert_eq!(FourWords::parse(&format!("  {}\n", words.to_string().to_uppercase())), Ok(words));
        assert_eq!(FourWords::parse("abandon ability able about"), Ok(FourWords([0, 1, 2, 3])));
        assert_eq!(FourWords::parse("yes"), Err(FourWordsError::Count(1)));
        assert_eq!(FourWords::parse("abandon ability abel about"), Err(FourWordsError::Unknown(3)));
        assert_eq!(format!("{words:?}"), "FourWords(…)");
    }
}
