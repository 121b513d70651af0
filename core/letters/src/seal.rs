//! Sealing: a letter as it travels, readable by whom it is to and nobody else.
//!
//! ```text
//! age, X25519: length (4, little endian) ‖ letter ‖ signature ‖ zeros
//! ```
//!
//! The zeros make it 1, 4, 16 or 64 KiB long as a whole, so that a relay that keeps it learns one of four sizes. The sender is inside:
//! a relay does not learn that either. Whoever opens it can show the signature to others.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Read as _, Write};
use std::iter;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::{self, DecodeError, Wire};
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{SecretKey, Signature, SignatureError};
use zeroize::Zeroizing;

use crate::identity::{Identity, RecipientError};
use crate::letter::{Content, Letter};
use crate::mailbox::MAX_SEALED_LEN;

/// How long a sealed letter may be, in bytes.
pub const SIZES: [usize; 4] = [1024, 4 * 1024, 16 * 1024, MAX_SEALED_LEN];
const LENGTH_LEN: usize = 4;
/// What age adds to a chunk of up to 64 KiB, and all we seal is one chunk.
const CHUNK_TAG_LEN: usize = 16;

/// Why a letter was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Not from the key that was to sign it.
    #[error("the letter is from another key than the one that was to sign it")]
    OtherSender,
    /// To somebody to whom nothing can be sealed.
    #[error("the letter cannot be sealed, ask for another card: {0}")]
    Recipient(#[from] RecipientError),
    /// Longer than a mailbox takes.
    #[error("the letter is {0} bytes long, more than a mailbox takes; say less in it")]
    TooLong(usize),
}

/// Why a sealed letter was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Of a length that no sealed letter has.
    #[error("the message is {0} bytes long, which no letter is; it was cut off, or is something else")]
    Size(usize),
    /// Sealed to somebody else.
    #[error("the message is sealed to somebody else")]
    NotForUs,
    /// Not as it was sealed.
    #[error("the message is damaged; ask for it again")]
    Damaged,
    /// Sealed as it should be, and not understood.
    #[error("the message cannot be understood; whoever wrote it may have another version: {0}")]
    Content(DecodeError),
    /// Of a kind that came with a later version.
    #[error("the letter is {}, which this version does not read; a newer one may", kind(*.0))]
    Kind(u8),
    /// Another network's.
    #[error("the letter is of another network than this wallet")]
    OtherNetwork,
    /// Written to somebody else and sealed to us.
    #[error("the letter was written to somebody else, and passed on by whoever received it; do not trust it")]
    OtherRecipient,
    /// Not signed as it must be.
    #[error("the letter is not from whom it says it is; do not trust it: {0}")]
    Signature(SignatureError),
}

/// What a letter of a kind is called that this version does not read.
#[must_use]
pub fn kind(number: u8) -> String {
    Content::reserved(number).map_or_else(|| format!("of kind {number}"), str::to_owned)
}

#[derive(BorshSerialize, BorshDeserialize)]
struct SignedLetter {
    letter: Letter,
    signature: Signature,
}

impl Wire for SignedLetter {
    const NAME: &'static str = Letter::NAME;
    const MAX_LEN: usize = Letter::MAX_LEN + Signature::MAX_LEN;
}

// What is left of the largest size is more than age's header, with its made-up stanza of a random length, ever takes.
const _: () = assert!(LENGTH_LEN + SignedLetter::MAX_LEN + CHUNK_TAG_LEN + 2048 < MAX_SEALED_LEN);

/// Signs a letter with the key that it is from, and seals it to whom it is to.
///
/// # Errors
/// [`SealError`].
pub fn seal(letter: &Letter, key: &SecretKey) -> Result<Vec<u8>, SealError> {
    if letter.from != key.public() {
        return Err(SealError::OtherSender);
    }
    let recipient = letter.to.to_age()?;
    let signature = key.sign(&preimage(letter));
    // Room for all of it at once, so that nothing is left behind by growing.
    let mut plain = Zeroizing::new(Vec::with_capacity(MAX_SEALED_LEN));
    plain.extend_from_slice(&[0; LENGTH_LEN]);
    (letter, signature)
        .serialize(&mut *plain)
        .expect("memory takes what is written, and no type of ours refuses to be");
    let len = plain.len() - LENGTH_LEN;
    let prefix = u32::try_from(len).ok().filter(|_| len <= SignedLetter::MAX_LEN).ok_or(SealError::TooLong(len))?;
    plain[..LENGTH_LEN].copy_from_slice(&prefix.to_le_bytes());
    Ok(encrypt(&recipient, &mut plain))
}

/// Pads and encrypts. How much there is to pad is known only when age has written its header, whose length varies.
pub(crate) fn encrypt(recipient: &age::x25519::Recipient, plain: &mut Vec<u8>) -> Vec<u8> {
    const WRITTEN: &str = "memory takes what is written";
    let encryptor = age::Encryptor::with_recipients(iter::once(recipient as _)).expect("one recipient is given");
    let written = Cell::new(0);
    let output = Counted { bytes: Vec::with_capacity(MAX_SEALED_LEN), written: &written };
    let mut writer = encryptor.wrap_output(output).expect(WRITTEN);
    let around = written.get() + CHUNK_TAG_LEN;
    let size = SIZES.into_iter().find(|size| around + plain.len() <= *size).expect("the largest size has room");
    plain.resize(size - around, 0);
    writer.write_all(plain).expect(WRITTEN);
    writer.finish().expect(WRITTEN).bytes
}

/// Bytes whose number can be seen while somebody else writes them.
struct Counted<'a> {
    bytes: Vec<u8>,
    written: &'a Cell<usize>,
}

impl Write for Counted<'_> {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(more);
        self.written.set(self.bytes.len());
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Opens a sealed letter and checks that it is for `identity`, on this network, and signed by whom it is from. What it says
/// is the sender's word; who that is, the reader must know.
///
/// # Errors
/// [`OpenError`]. Takes no more memory than a few times [`MAX_SEALED_LEN`].
pub fn open(sealed: &[u8], identity: &Identity, chain: &ChainId) -> Result<Letter, OpenError> {
    if !SIZES.contains(&sealed.len()) {
        return Err(OpenError::Size(sealed.len()));
    }
    let plain = decrypt(sealed, identity)?;
    let (len, rest) = plain.split_first_chunk::<LENGTH_LEN>().ok_or(OpenError::Damaged)?;
    let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| OpenError::Damaged)?;
    let (signed, zeros) = rest.split_at_checked(len).ok_or(OpenError::Damaged)?;
    if zeros.iter().any(|&byte| byte != 0) {
        return Err(OpenError::Damaged);
    }
    let SignedLetter { letter, signature } =
        encoding::decode(signed).map_err(|error| match Content::kind_of(signed) {
            Some(kind) if !Content::KINDS.contains(&kind) => OpenError::Kind(kind),
            _ => OpenError::Content(error),
        })?;
    if letter.chain != *chain {
        return Err(OpenError::OtherNetwork);
    }
    if letter.to != identity.recipient() {
        return Err(OpenError::OtherRecipient);
    }
    signature.verify(&letter.from, &preimage(&letter)).map_err(OpenError::Signature)?;
    Ok(letter)
}

pub(crate) fn decrypt(sealed: &[u8], identity: &Identity) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let identity = identity.to_age();
    let decryptor = age::Decryptor::new_buffered(sealed).map_err(|_| OpenError::Damaged)?;
    let reader = decryptor.decrypt(iter::once(&identity as _)).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => OpenError::NotForUs,
        _ => OpenError::Damaged,
    })?;
    let mut plain = Zeroizing::new(Vec::with_capacity(MAX_SEALED_LEN));
    reader.take(MAX_SEALED_LEN as u64).read_to_end(&mut plain).map_err(|_| OpenError::Damaged)?;
    Ok(plain)
}

fn preimage(letter: &Letter) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(domain::preimage(Tag::LETTER, &letter.chain, letter))
}

impl fmt::Debug for SignedLetter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.letter.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::{Bytes, Text};

    use super::*;
    use crate::card::tests::CHAIN;
    use crate::identity::Recipient;
    use crate::letter::Content;
    use crate::letter::tests::{SENT, grant_letter, holder};

    fn rossi() -> Identity {
        Identity::from_bytes(&[30; 32])
    }

    fn letter() -> Letter {
        let content = Content::Grant(Box::new(grant_letter()));
        Letter { chain: CHAIN, to: rossi().recipient(), from: holder().public(), sent: SENT, content }
    }

    /// Seals whatever is given, as a program of somebody else's might.
    fn sealed_by_hand(plain: &[u8], to: &Identity) -> Vec<u8> {
        encrypt(&to.recipient().to_age().unwrap(), &mut plain.to_vec())
    }

    fn plain(letter: &Letter, key: &SecretKey) -> Vec<u8> {
        let signed = SignedLetter { letter: letter.clone(), signature: key.sign(&preimage(letter)) };
        let bytes = encoding::encode(&signed);
        [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat()
    }

    #[test]
    fn a_letter_arrives_and_is_of_one_of_four_sizes() {
        // age's header is not always as long; the size is.
        for _ in 0..100 {
            let sealed = seal(&letter(), &holder()).unwrap();
            assert!(SIZES[..2].contains(&sealed.len()), "{}", sealed.len());
            assert_eq!(open(&sealed, &rossi(), &CHAIN), Ok(letter()));
        }
        let mut longer = letter();
        let Content::Grant(content) = &mut longer.content else { panic!("it is about a grant") };
        content.terms.note = Bytes::new(vec![1; 512]).unwrap();
        content.description = Text::new("d".repeat(256)).unwrap();
        assert_eq!(seal(&longer, &holder()).unwrap().len(), 4 * 1024);
    }

    #[test]
    fn every_length_that_there_may_be_fits_a_size() {
        for len in [0, 400, 600, 700, 1000, 3500, 16_000, 17_000, LENGTH_LEN + SignedLetter::MAX_LEN] {
            assert!(SIZES.contains(&sealed_by_hand(&vec![0; len], &rossi()).len()), "{len}");
        }
    }

    #[test]
    fn a_letter_is_opened_by_whom_it_is_to_and_is_whole() {
        let sealed = seal(&letter(), &holder()).unwrap();
        assert_eq!(open(&sealed, &Identity::from_bytes(&[31; 32]), &CHAIN), Err(OpenError::NotForUs));
        assert_eq!(open(&sealed[1..], &rossi(), &CHAIN), Err(OpenError::Size(sealed.len() - 1)));
        assert_eq!(open(&[0; 1024], &rossi(), &CHAIN), Err(OpenError::Damaged));
        for at in (0..sealed.len()).step_by(7) {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(open(&altered, &rossi(), &CHAIN).is_err(), "byte {at}");
        }
    }

    /// Somebody who received a letter seals it again, to somebody else: it must not look as if written to them.
    #[test]
    fn a_letter_passed_on_is_not_taken_for_ones_own() {
        let other = Identity::from_bytes(&[31; 32]);
        let passed_on = sealed_by_hand(&plain(&letter(), &holder()), &other);
        assert_eq!(open(&passed_on, &other, &CHAIN), Err(OpenError::OtherRecipient));
        let mut readdressed = letter();
        readdressed.to = other.recipient();
        let SignedLetter { signature, .. } = encoding::decode(&plain(&letter(), &holder())[LENGTH_LEN..]).unwrap();
        let bytes = encoding::encode(&SignedLetter { letter: readdressed, signature });
        let forged = [&u32::try_from(bytes.len()).unwrap().to_le_bytes()[..], &bytes].concat();
        let forged = sealed_by_hand(&forged, &other);
        assert_eq!(open(&forged, &other, &CHAIN), Err(OpenError::Signature(SignatureError::Wrong)));
    }

    #[test]
    fn letters_that_are_wrong_inside_are_refused() {
        let opened = |plain: &[u8]| open(&sealed_by_hand(plain, &rossi()), &rossi(), &CHAIN);
        let good = plain(&letter(), &holder());
        assert_eq!(opened(&good), Ok(letter()));
        let by_other = plain(&letter(), &SecretKey::from_bytes(&[9; 32]));
        assert_eq!(opened(&by_other), Err(OpenError::Signature(SignatureError::Wrong)));
        let elsewhere = Letter { chain: ChainId::from_bytes([9; 32]), ..letter() };
        assert_eq!(opened(&plain(&elsewhere, &holder())), Err(OpenError::OtherNetwork));
        assert_eq!(opened(&[good, vec![1]].concat()), Err(OpenError::Damaged));
        assert_eq!(opened(&[0xff; 4]), Err(OpenError::Damaged));
        assert!(matches!(opened(&[1, 0, 0, 0, 1]), Err(OpenError::Content(_))));
    }

    #[test]
    fn a_letter_of_a_later_version_is_refused_by_its_kind() {
        let good = plain(&letter(), &holder());
        let before = (letter().chain, letter().to, letter().from, letter().sent);
        let at = LENGTH_LEN + encoding::encode(&before).len();
        assert_eq!(good[at], 0, "a grant");
        let mut later = good;
        for (kind, said) in [(200, "of kind 200"), (9, "an alert of a critical result"), (5, "a request")] {
            later[at] = kind;
            let opened = open(&sealed_by_hand(&later, &rossi()), &rossi(), &CHAIN);
            assert_eq!(opened, Err(OpenError::Kind(kind)));
            assert!(opened.unwrap_err().to_string().contains(said));
        }
        // Every kind there is, is one that is read.
        for kind in Content::KINDS {
            later[at] = kind;
            let opened = open(&sealed_by_hand(&later, &rossi()), &rossi(), &CHAIN);
            assert!(!matches!(opened, Err(OpenError::Kind(_))), "{kind}");
        }
    }

    #[test]
    fn what_cannot_be_sealed_is_refused() {
        assert_eq!(seal(&letter(), &SecretKey::from_bytes(&[9; 32])), Err(SealError::OtherSender));
        let weak = Letter { to: Recipient::from_bytes([0; 32]), ..letter() };
        assert_eq!(seal(&weak, &holder()), Err(SealError::Recipient(RecipientError::Weak)));
    }
}
