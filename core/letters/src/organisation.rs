//! Practices and teams, towards their members: the word that a member is given, and what is renewed of it.
//!
//! A practice has no relay that could be asked. So its wallet leaves what changes from day to day, the hospital's word
//! for it and the list of whom it has ended, in a mailbox at the network's relays: sealed, so that they cannot read it,
//! and for all members at once, so that nobody learns who of them looks. The word for a member is good for as long as it
//! says, and says where that mailbox is.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Wire};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::SecretKey;

use crate::card::{IntroductionBox, MAX_CARD_RELAYS};
use crate::credential::{Introduction, SignedEndedCredentials, Vouching};
use crate::identity::Identity;
use crate::mailbox::{Mailbox, Token};

/// What changes of a practice's or a team's word for its members.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct OrganisationNews {
    /// The hospital's word for it, with the hospital's list.
    pub first: Vouching,
    /// Its own list.
    pub ended: SignedEndedCredentials,
}

/// Where a practice or a team leaves its news: whoever was given this finds and opens them.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NewsPlace {
    /// 32 random bytes, from which the keys follow.
    pub seed: [u8; 32],
    /// The sources whose relays keep it.
    pub relays: Ascending<SourceId, MAX_CARD_RELAYS>,
}

/// A practice's or a team's word for one of its members, as the member is given it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct MemberWord {
    /// The word, with the lists of now. Believe nothing of it before [`Introduction::judge`].
    pub introduction: Introduction,
    /// Where newer lists will lie.
    pub news: NewsPlace,
}

impl NewsPlace {
    /// What opens and fills the mailbox. (Every member can leave something there or throw away what is there, as whoever
    /// has a card can in the card's: then nobody vouches.)
    #[must_use]
    pub fn keys(&self) -> IntroductionBox {
        let of = |what: &str| {
            let mut hasher = blake3::Hasher::new_derive_key("clavicle 2026-11 news of a practice or a team");
            hasher.update(&self.seed).update(what.as_bytes());
            *hasher.finalize().as_bytes()
        };
        let token = Token(*of("token").first_chunk().expect("a hash has 32 bytes"));
        IntroductionBox { key: SecretKey::from_bytes(&of("key")), token, identity: Identity::from_bytes(&of("seal")) }
    }

    /// The mailbox.
    #[must_use]
    pub fn mailbox(&self) -> Mailbox {
        let IntroductionBox { key, token, identity: _ } = self.keys();
        Mailbox { key: key.public(), relays: self.relays.clone(), token }
    }
}

impl Introduction {
    /// The same word with these news, if they are of the practice or the team whose word it is. They are believed no
    /// more than what they replace: by [`Introduction::judge`].
    #[must_use]
    pub fn renewed(&self, news: &OrganisationNews) -> Option<Self> {
        let (now, before) = (&news.first.credential.credential, &self.first.credential.credential);
        let second = self.second.as_ref()?;
        let is_theirs = now.person == before.person && news.ended.list.by == second.credential.credential.by;
        is_theirs.then(|| Self {
            first: news.first.clone(),
            second: Some(Vouching { credential: second.credential.clone(), ended: news.ended.clone() }),
        })
    }
}

impl fmt::Debug for NewsPlace {
    /// For logs: not the seed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewsPlace").field("relays", &self.relays).finish_non_exhaustive()
    }
}

impl Wire for OrganisationNews {
    const NAME: &'static str = "news of a practice or a team";
    const MAX_LEN: usize = Vouching::MAX_LEN + SignedEndedCredentials::MAX_LEN;
}

impl Wire for MemberWord {
    const NAME: &'static str = "a word for a member";
    const MAX_LEN: usize = Introduction::MAX_LEN + 32 + 4 + 32 * MAX_CARD_RELAYS;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::tests::CHAIN;
    use crate::credential::tests::{list, rossi};
    use crate::introduction;
    use crate::seal::SIZES;
    use crate::verdict::tests::{of_a_practice, of_a_team, practice};

    fn place(number: u8) -> NewsPlace {
        NewsPlace { seed: [number; 32], relays: Ascending::new() }
    }

    fn news(of: &Introduction, ended: &[u64]) -> OrganisationNews {
        let by = of.credential().by;
        OrganisationNews { first: of.first.clone(), ended: list(by, ended).sign(&CHAIN, &practice()) }
    }

    #[test]
    fn a_word_goes_on_with_newer_lists_of_the_same_organisation() {
        let word = of_a_team();
        let renewed = word.renewed(&news(&word, &[9])).unwrap();
        assert_eq!(renewed.second.as_ref().unwrap().ended.list.ended.len(), 1);
        assert_eq!(renewed.credential(), word.credential());
        // Another's are none, though it has the same key.
        assert_eq!(word.renewed(&news(&of_a_practice(), &[9])), None);
        let mut other = news(&word, &[9]);
        other.first.credential.credential.person = rossi().public();
        assert_eq!(word.renewed(&other), None);
        let single = Introduction { second: None, ..word.clone() };
        assert_eq!(single.renewed(&news(&word, &[])), None);
    }

    #[test]
    fn news_are_read_by_whoever_was_given_the_place_and_by_nobody_else() {
        let (word, here) = (of_a_practice(), place(1));
        let left = news(&word, &[]);
        let sealed = introduction::seal(&left, &here.keys()).unwrap();
        assert!(SIZES.contains(&sealed.len()));
        assert_eq!(introduction::open(&sealed, &here.keys()), Some(left));
        assert_eq!(introduction::open::<OrganisationNews>(&sealed, &place(2).keys()), None);
        assert_ne!(here.mailbox().key, place(2).mailbox().key);
        // What lies in a card's box is something else.
        assert_eq!(introduction::open::<Introduction>(&sealed, &here.keys()), None);
        assert!(!format!("{:?}", MemberWord { introduction: word, news: here }).contains("[1, 1"));
    }
}
