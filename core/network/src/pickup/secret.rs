//! What the hospital and the patient know of a pickup, and nobody else: the ticket and the answer to its question.

use std::fmt;

use clavicle_letters::pickup::{Question, Ticket};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What keeps what is made here apart from everything else that is made of the same.
const PURPOSE: &[u8] = b"clavicle 2026 pickup secret";
/// How slow it is to make: scrypt with 2¹⁵ rounds over 32 MiB, some 80 ms. Each side makes it once for a pickup.
const COST: (u8, u32, u32) = (15, 8, 1);

/// A ticket and an answer, slowly made into one: whoever has all that a relay keeps pays for each guess, and cannot guess at all
/// without the ticket.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Makes it. It takes a while on purpose: call it where waiting is allowed.
    ///
    /// A PIN is taken without the blanks around it. In a date of birth, blanks, `-`, `.` and `/` are left out; the digits that remain stand
    /// for year, month, day in this order and in no other, so that no date is taken for another one.
    #[must_use]
    pub fn of(ticket: &Ticket, question: Question, answer: &str) -> Self {
        let salt = [PURPOSE, &[question.number()], &ticket.0].concat();
        let (log_n, r, p) = COST;
        let cost = scrypt::Params::new(log_n, r, p, 32).expect("these parameters are good");
        let mut secret = Self([0; 32]);
        scrypt::scrypt(plain(question, answer).as_bytes(), &salt, &cost, &mut secret.0).expect("32 bytes can be had");
        secret
    }

    /// Takes 32 bytes for one: those of [`Secret::as_bytes`].
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// An answer without what does not count in it.
#[must_use]
pub fn plain(question: Question, answer: &str) -> Zeroizing<String> {
    Zeroizing::new(match question {
        Question::Pin => answer.trim().to_owned(),
        Question::BirthDate => answer.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '.' | '/')).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Relays keep it: it stays what it is.
    #[test]
    fn a_secret_is_what_it_was() {
        let secret = Secret::of(&Ticket([7; 32]), Question::Pin, " 4711\n");
        let due = "adeb5d798f837c0c3bafeff12613590e508c5e7967e5dcb3d9939fcc61538971";
        assert_eq!(clavicle_ledger::encoding::Hex(secret.as_bytes()).to_string(), due);
    }

    #[test]
    fn every_part_of_it_counts() {
        let right = Secret::of(&Ticket([7; 32]), Question::BirthDate, "1953-01-17");
        assert_eq!(Secret::of(&Ticket([7; 32]), Question::BirthDate, " 1953 01.17"), right);
        for (ticket, question, answer) in
            [(8, Question::BirthDate, "19530117"), (7, Question::Pin, "19530117"), (7, Question::BirthDate, "19530118")]
        {
            assert_ne!(Secret::of(&Ticket([ticket; 32]), question, answer), right);
        }
        assert_eq!(format!("{right:?}"), "Secret(…)");
    }
}
