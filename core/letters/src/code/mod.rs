//! Codes: what people show each other, as text that can be typed, sent and printed, and as a QR code.
//!
//! ```text
//! CLAVICLE:PICKUP:<base32 without padding of: borsh of the value ‖ the first 4 bytes of BLAKE3 of it>
//! ```
//!
//! All of it is in QR's alphanumeric set, which takes a third less room than bytes. Read in any case, with or without spaces
//! and line breaks. The checksum tells a slip from a code of another version; it proves nothing, and what
//! must be proven is signed inside.

#[cfg(feature = "pictures")]
mod picture;

#[cfg(feature = "pictures")]
pub use self::picture::{MAX_TEXT_LEN, PictureError, PictureFormat, from_picture, is_picture, to_blocks, to_png};

use clavicle_ledger::encoding::{self, DecodeError, Wire};
use data_encoding::BASE32_NOPAD;

use crate::card::SignedCard;
use crate::grant_code::GrantCode;
use crate::invitation::SignedInvitation;
use crate::pickup::PickupCode;

const SCHEME: &str = "CLAVICLE:";
const CHECKSUM_LEN: usize = 4;
/// The longest file that a code is read from, in bytes.
pub const MAX_FILE_LEN: usize = 32 * 1024 * 1024;

/// A type that people show each other.
pub trait Code: Wire {
    /// The word in the code that says what it is.
    const KIND: &'static str;
}

impl Code for PickupCode {
    const KIND: &'static str = "PICKUP";
}

impl Code for SignedCard {
    const KIND: &'static str = "CARD2";
}

impl Code for SignedInvitation {
    const KIND: &'static str = "INVITE";
}

impl Code for GrantCode {
    const KIND: &'static str = "GRANT";
}

/// Every kind there is: its word in the code, and what a person calls it.
const KINDS: [(&str, &str); 5] = [
    (PickupCode::KIND, <PickupCode as Wire>::NAME),
    (SignedCard::KIND, <SignedCard as Wire>::NAME),
    (GrantCode::KIND, <GrantCode as Wire>::NAME),
    (SignedInvitation::KIND, <SignedInvitation as Wire>::NAME),
    ("CARD", "a card of an earlier version, which is good no more: ask for a new one"),
];

/// Why a text was not read as a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodeError {
    /// Some other text.
    #[error("this is not a Clavicle code: it does not begin with {SCHEME} and what it is")]
    NotACode,
    /// Another kind of code.
    #[error("this is {found}; what is needed here is {wanted}")]
    OtherKind {
        /// What it is.
        found: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// A kind that does not exist here.
    #[error("this is a Clavicle code of a kind that this version does not know; what is needed here is {wanted}")]
    UnknownKind {
        /// What it should be.
        wanted: &'static str,
    },
    /// Not as it was written.
    #[error("the code is damaged: part of it is missing or was misread; scan or copy all of it again")]
    Damaged,
    /// As it was written, and not understood.
    #[error("the code arrived whole but cannot be used; whoever made it may have another version: {0}")]
    Content(DecodeError),
}

/// The code of a value, as text.
#[must_use]
pub fn to_text<C: Code>(value: &C) -> String {
    let mut bytes = encoding::encode(value);
    bytes.extend_from_slice(&checksum(&bytes));
    let mut text = [SCHEME, C::KIND, ":"].concat();
    BASE32_NOPAD.encode_append(&bytes, &mut text);
    text
}

/// Reads a code, whatever its case, spaces and line breaks.
///
/// # Errors
/// [`CodeError`].
pub fn from_text<C: Code>(text: &str) -> Result<C, CodeError> {
    // One more character than the longest code has: of a text that is longer, no more is kept, and it is damaged.
    let most = SCHEME.len() + C::KIND.len() + 2 + BASE32_NOPAD.encode_len(C::MAX_LEN + CHECKSUM_LEN);
    let text: String = text.chars().filter(|c| !c.is_whitespace()).take(most).collect::<String>().to_ascii_uppercase();
    let (kind, body) = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once(':')).ok_or(CodeError::NotACode)?;
    if kind != C::KIND {
        return Err(match KINDS.iter().find(|(word, _)| *word == kind) {
            Some(&(_, found)) => CodeError::OtherKind { found, wanted: C::NAME },
            None => CodeError::UnknownKind { wanted: C::NAME },
        });
    }
    let bytes = BASE32_NOPAD.decode(body.as_bytes()).map_err(|_| CodeError::Damaged)?;
    match bytes.split_last_chunk::<CHECKSUM_LEN>() {
        Some((value, sum)) if *sum == checksum(value) => encoding::decode(value).map_err(CodeError::Content),
        _ => Err(CodeError::Damaged),
    }
}

/// Whether a text says of itself that it is a code.
#[must_use]
pub fn is_code(text: &str) -> bool {
    let mut start = text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_ascii_uppercase());
    SCHEME.chars().all(|due| start.next() == Some(due))
}

/// Whether a text says of itself that it is a code, and is not as it was written.
#[cfg(feature = "pictures")]
fn is_misread(text: &str) -> bool {
    let body = text.strip_prefix(SCHEME).and_then(|rest| rest.split_once(':')).map(|(_, body)| body);
    let bytes = body.map(|body| BASE32_NOPAD.decode(body.as_bytes()).unwrap_or_default());
    bytes.is_some_and(|bytes| {
        bytes.split_last_chunk::<CHECKSUM_LEN>().is_none_or(|(value, sum)| *sum != checksum(value))
    })
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    *blake3::hash(bytes).as_bytes().first_chunk().expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::{Ascending, Fault, Text};
    use clavicle_ledger::id::{BlockId, SourceId};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::light::Checkpoint;
    use clavicle_ledger::time::Timestamp;

    use super::*;
    use crate::card::tests::CHAIN;
    use crate::pickup::{Question, Ticket};

    fn pickup() -> PickupCode {
        PickupCode {
            chain: CHAIN,
            source: SourceId::from_bytes([2; 32]),
            transfer: SecretKey::from_bytes(&[3; 32]).public(),
            addresses: Ascending::from_items(vec![Text::new("192.0.2.1:4433").unwrap()]).unwrap(),
            ticket: Ticket([4; 32]),
            question: Question::Pin,
            expires: Timestamp(1_790_000_000_000),
            checkpoint: Checkpoint { height: 7, block: BlockId::from_bytes([5; 32]) },
        }
    }

    #[test]
    fn a_code_is_read_in_any_case_and_spacing() {
        let text = to_text(&pickup());
        assert!(text.starts_with("CLAVICLE:PICKUP:AEAQ"), "{text}");
        assert!(text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b':'));
        let wrapped: String = text.to_lowercase().chars().flat_map(|c| [c, '\n']).collect();
        for given in [&text, &wrapped, &format!("\u{a0} {text}\r\n")] {
            assert_eq!(from_text(given), Ok(pickup()));
        }
    }

    #[test]
    fn wrong_texts_are_told_apart() {
        let text = to_text(&pickup());
        for other in ["", "hello", "CLAVICLE", "CLAVICLE:PICKUP", "https://example.org/CLAVICLE:PICKUP:AA"] {
            assert_eq!(from_text::<PickupCode>(other), Err(CodeError::NotACode), "{other}");
        }
        let other = CodeError::OtherKind { found: "a pickup code", wanted: "a card" };
        assert_eq!(from_text::<SignedCard>(&text), Err(other));
        assert_eq!(other.to_string(), "this is a pickup code; what is needed here is a card");
        let unknown = text.replace("PICKUP", "PICTURE");
        assert_eq!(from_text::<PickupCode>(&unknown), Err(CodeError::UnknownKind { wanted: "a pickup code" }));
        let content = ["CLAVICLE:PICKUP:", &BASE32_NOPAD.encode(&[&[1][..], &checksum(&[1])].concat())].concat();
        let cut = DecodeError { what: "a pickup code", fault: Fault::Truncated };
        assert_eq!(from_text::<PickupCode>(&content), Err(CodeError::Content(cut)));
    }

    #[test]
    fn every_slip_is_seen() {
        let text = to_text(&pickup());
        let start = "CLAVICLE:PICKUP:".len();
        for at in start..text.len() {
            let instead = if &text[at..=at] == "A" { "B" } else { "A" };
            let slipped = [&text[..at], instead, &text[at + 1..]].concat();
            assert_eq!(from_text::<PickupCode>(&slipped), Err(CodeError::Damaged), "{at}");
            assert_eq!(from_text::<PickupCode>(&text[..at]), Err(CodeError::Damaged), "{at}");
        }
        for added in ["A", "AAAAAAAA", "0", &"A".repeat(10_000)] {
            assert_eq!(from_text::<PickupCode>(&[&text, added].concat()), Err(CodeError::Damaged));
        }
    }
}
