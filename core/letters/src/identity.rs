//! The key that messages to a person are sealed to: age's X25519, in 32 bytes.
//!
//! An [`Identity`] opens what was sealed to its [`Recipient`]. In text they are what age and its tools write,
//! `AGE-SECRET-KEY-1…` and `age1…`.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use borsh::io::{Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use zeroize::Zeroizing;

const PUBLIC: Hrp = Hrp::parse_unchecked("age");
const SECRET: Hrp = Hrp::parse_unchecked("AGE-SECRET-KEY-");

/// The points of small order on Curve25519, by their u coordinate (RFC 7748 §6.1, §7): with any of these, what two sides
/// agree on is zero, and everybody knows it.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    with_first(1, [0; 32]),
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    with_first(0xec, P_HIGH),
];
/// The prime 2^255 − 19 but for its lowest byte, 0xed.
const P_HIGH: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[31] = 0x7f;
    bytes
};

const fn with_first(first: u8, mut bytes: [u8; 32]) -> [u8; 32] {
    bytes[0] = first;
    bytes
}

/// Whom a message is sealed to. Decoding reads its form only; [`Recipient::check`] says whether it is one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Recipient([u8; 32]);

/// Why something is not accepted as a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// Not age's text for one.
    #[error("this is not an age recipient: age1 and 58 more letters and digits")]
    Text,
    /// Not in canonical form: the same point could be written another way.
    #[error("the recipient is not in canonical form")]
    NotCanonical,
    /// A point of small order: anyone could open what is sealed to it.
    #[error("the recipient is of small order, so that anyone could open what is sealed to it")]
    Weak,
}

impl Recipient {
    /// Takes 32 bytes for a recipient, unexamined.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Checks what every recipient must be before anything is sealed to it.
    ///
    /// # Errors
    /// [`RecipientError::NotCanonical`], [`RecipientError::Weak`].
    pub fn check(&self) -> Result<(), RecipientError> {
        let [low, .., high] = self.0;
        let over = with_first(0, self.0) == with_first(0, P_HIGH) && low >= 0xed;
        if over || high & 0x80 != 0 {
            Err(RecipientError::NotCanonical)
        } else if SMALL_ORDER.contains(&self.0) {
            Err(RecipientError::Weak)
        } else {
            Ok(())
        }
    }

    /// As age takes it, after [`Recipient::check`]: age stops the program at a weak one.
    pub(crate) fn to_age(self) -> Result<age::x25519::Recipient, RecipientError> {
        self.check()?;
        Ok(self.to_string().parse().expect("it is written as age writes it"))
    }
}

impl FromStr for Recipient {
    type Err = RecipientError;

    /// Reads `age1…`.
    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| RecipientError::Text)?;
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let bytes = bytes.try_into().ok().filter(|_| checked.hrp() == PUBLIC).ok_or(RecipientError::Text)?;
        Self(bytes).check().map(|()| Self(bytes))
    }
}

impl Wire for Recipient {
    const NAME: &'static str = "a recipient";
    const MAX_LEN: usize = 32;
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bech32::encode_lower_to_fmt::<Bech32, _>(f, PUBLIC, &self.0).map_err(|_| fmt::Error)
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_string();
        write!(f, "Recipient({}…)", &text[..12])
    }
}

/// What opens messages to its [`Recipient`]. Wiped when dropped; never shown; encoded for the vault alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity(Zeroizing<[u8; 32]>);

impl Identity {
    /// A fresh one.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *bytes)?;
        Ok(Self(bytes))
    }

    /// The identity of 32 secret bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Whom messages that it opens are sealed to.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        self.to_age()
            .to_public()
            .to_string()
            .parse()
            .expect("a secret multiple of the base point is not of small order")
    }

    pub(crate) fn to_age(&self) -> age::x25519::Identity {
        // Room for all of it at once, so that nothing is left behind by growing.
        let mut text = Zeroizing::new(String::with_capacity(80));
        bech32::encode_upper_to_fmt::<Bech32, _>(&mut *text, SECRET, &*self.0).expect("memory takes what is written");
        text.parse().expect("it is written as age writes it")
    }
}

impl Wire for Identity {
    const NAME: &'static str = "an identity";
    const MAX_LEN: usize = 32;
}

impl BorshSerialize for Identity {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        self.0.serialize(writer)
    }
}

impl BorshDeserialize for Identity {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        <[u8; 32]>::deserialize_reader(reader).map(|bytes| Self(Zeroizing::new(bytes)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(…)")
    }
}

#[cfg(test)]
mod tests {
    use age::secrecy::ExposeSecret as _;

    use super::*;

    #[test]
    fn it_is_ages_identity_and_recipient() {
        let theirs = age::x25519::Identity::generate();
        let text = theirs.to_string();
        let bytes: Vec<u8> = CheckedHrpstring::new::<Bech32>(text.expose_secret()).unwrap().byte_iter().collect();
        let ours = Identity::from_bytes(&bytes.try_into().unwrap());
        assert_eq!(ours.to_age().to_string().expose_secret(), text.expose_secret());
        assert_eq!(ours.recipient().to_string(), theirs.to_public().to_string());
        assert_eq!(ours.recipient().to_string().parse(), Ok(ours.recipient()));
        assert_eq!(format!("{ours:?}"), "Identity(…)");
    }

    /// RFC 7748 §6.1, Alice's keys.
    #[test]
    fn published_vector() {
        let secret = [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45, 0xdf, 0x4c,
            0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a,
        ];
        let public = [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a, 0x0d, 0xbf,
            0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a,
        ];
        assert_eq!(Identity::from_bytes(&secret).recipient().as_bytes(), &public);
    }

    /// With each of these, age would stop the program: whoever hands one out could stop every wallet that answers.
    #[test]
    fn recipients_of_small_order_are_refused_and_are_those_at_which_age_stops() {
        for point in SMALL_ORDER {
            assert_eq!(Recipient(point).check(), Err(RecipientError::Weak));
            let theirs: age::x25519::Recipient = Recipient(point).to_string().parse().unwrap();
            assert!(std::panic::catch_unwind(|| age::encrypt(&theirs, b"")).is_err());
        }
    }

    #[test]
    fn recipients_have_one_form() {
        for low in [0xed, 0xee, 0xff] {
            assert_eq!(Recipient(with_first(low, P_HIGH)).check(), Err(RecipientError::NotCanonical));
        }
        assert_eq!(Recipient([0xff; 32]).check(), Err(RecipientError::NotCanonical));
        assert_eq!(Recipient(with_first(0xeb, P_HIGH)).check(), Ok(()));
        let mut high = [9; 32];
        high[31] |= 0x80;
        assert_eq!(Recipient(high).check(), Err(RecipientError::NotCanonical));
    }

    #[test]
    fn other_texts_are_no_recipients() {
        let good = Identity::from_bytes(&[7; 32]).recipient().to_string();
        let mistyped = good.replace(&good[10..11], if &good[10..11] == "q" { "p" } else { "q" });
        let secret = Identity::from_bytes(&[7; 32]).to_age().to_string().expose_secret().to_owned();
        for text in ["", "age1", &good[..61], &mistyped, &secret] {
            assert_eq!(text.parse::<Recipient>(), Err(RecipientError::Text), "{text}");
        }
    }
}
