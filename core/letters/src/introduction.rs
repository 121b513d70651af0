//! What stands behind a card, as it lies at a relay: an [`Introduction`](crate::credential::Introduction), sealed to
//! whoever has the card; further cards of the same person and mailbox, with more keys, where those of the first have been
//! granted to; and the news of a practice or a team, sealed to its members.

use clavicle_ledger::encoding::{self, Wire};

use crate::card::IntroductionBox;
use crate::identity::RecipientError;
use crate::seal::{decrypt, encrypt};

const LENGTH_LEN: usize = 4;

/// Seals it for whoever has the card, or was given the place. It has one of the sizes that every sealed letter has.
///
/// # Errors
/// [`RecipientError`], for one card in more than there ever will be.
pub fn seal<T: Wire>(introduction: &T, of: &IntroductionBox) -> Result<Vec<u8>, RecipientError> {
    let bytes = encoding::encode(introduction);
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut plain = [&length[..], &bytes].concat();
    Ok(encrypt(&of.identity.recipient().to_age()?, &mut plain))
}

/// Opens what lies in a box; nothing, where it is none. What it says is still to be judged: anybody who has the card
/// can leave something there.
#[must_use]
pub fn open<T: Wire>(sealed: &[u8], of: &IntroductionBox) -> Option<T> {
    let plain = decrypt(sealed, &of.identity).ok()?;
    let (length, rest) = plain.split_first_chunk::<LENGTH_LEN>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= T::MAX_LEN)?;
    encoding::decode(rest.get(..length)?).ok()
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;
    use clavicle_ledger::key::SecretKey;

    use super::*;
    use crate::card::{Card, SignedCard};
    use crate::credential::tests::{introduced, mercy};
    use crate::credential::{CredentialNumber, EndedCredentials, Introduction, Issuer, MAX_ENDED};
    use crate::identity::Identity;
    use crate::mailbox::MAX_SEALED_LEN;
    use crate::seal::SIZES;

    fn place(number: u8) -> IntroductionBox {
        let (mailbox, recipient) =
            (SecretKey::from_bytes(&[number; 32]).public(), Identity::from_bytes(&[3; 32]).recipient());
        Card::introduction_box_of(&mailbox, &recipient)
    }

    #[test]
    fn it_is_read_with_the_card_and_by_nobody_else() {
        let sealed = seal(&introduced(), &place(1)).unwrap();
        assert!(SIZES.contains(&sealed.len()));
        assert_eq!(open(&sealed, &place(1)), Some(introduced()));
        assert_eq!(open::<Introduction>(&sealed, &place(2)), None);
        for at in (0..sealed.len()).step_by(5) {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(open::<Introduction>(&altered, &place(1)), None, "byte {at}");
        }
        assert_eq!(open::<Introduction>(&[], &place(1)), None);
        let junk = encrypt(&place(1).identity.recipient().to_age().unwrap(), &mut vec![0xff; 40]);
        assert_eq!(open::<Introduction>(&junk, &place(1)), None);
    }

    #[test]
    fn a_further_card_is_no_introduction_and_lies_beside_one() {
        let card = crate::card::tests::signed(|_| {});
        let sealed = seal(&card, &place(1)).unwrap();
        assert!(SIZES.contains(&sealed.len()));
        assert_eq!((open(&sealed, &place(1)), open::<Introduction>(&sealed, &place(1))), (Some(card), None));
        assert_eq!(open::<SignedCard>(&sealed, &place(2)), None);
        assert_eq!(open::<SignedCard>(&seal(&introduced(), &place(1)).unwrap(), &place(1)), None);
    }

    #[test]
    fn the_largest_fits_a_mailbox() {
        let (chain, mut largest) = (crate::card::tests::CHAIN, introduced());
        let all = (0..MAX_ENDED as u64).map(CredentialNumber).collect();
        let list = EndedCredentials { ended: Ascending::from_items(all).unwrap(), ..largest.first.ended.list.clone() };
        largest.first.ended = list.clone().sign(&chain, &mercy());
        let by = Issuer::Practice(mercy().public());
        largest.second = Some(crate::credential::Vouching {
            ended: EndedCredentials { by, ..list }.sign(&chain, &mercy()),
            ..largest.first.clone()
        });
        let sealed = seal(&largest, &place(1)).unwrap();
        assert!(sealed.len() <= MAX_SEALED_LEN);
        assert_eq!(open(&sealed, &place(1)), Some(largest));
    }
}
