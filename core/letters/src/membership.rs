//! Members: who may act for a team or a practice, where the Terms of a grant name its key.
//!
//! ```text
//! hello ── signed by the grantee's key, and by the member's own; the member's credential is in it
//! introduction ── that credential, its issuer's, and what both issuers have ended
//! ```
//!
//! A source decides on both, when somebody is let in and again for as long as it sends: what the source's own state
//! says of the hospital at the chain's begin is the only thing that is not in what was shown. Nobody is asked. The
//! grantee's key alone opens nothing, so whoever was a member and kept it is nobody; and who is a member and shows no
//! list of the last day is one whom nobody vouches for.

use std::collections::BTreeMap;

use clavicle_ledger::authorise::{MemberSignature, SignedHello};
use clavicle_ledger::encoding;
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::Key;
use clavicle_ledger::receipt::Opening;
use clavicle_ledger::time::Timestamp;

use crate::credential::{Introduction, Issuer, Role, SignedCredential, SignedEndedCredentials, Vouching};
use crate::verdict::{Ended, ProvenSource, Verdict, Vouched};

/// Why somebody may not act for a team or a practice: for the source's operator, never for whoever was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAMember {
    /// Nothing to judge.
    #[error("the terms ask for a member of a team or a practice, and nothing was shown that says who vouches")]
    NotShown,
    /// Pasted.
    #[error("what was shown is about another credential, name or key than the hello that was signed")]
    OtherHello,
    /// Another organisation's member.
    #[error("whoever acts is vouched for by another key than the one that the terms name")]
    OtherIssuer,
    /// No person.
    #[error("what was shown is about an organisation, and each opening is a person's")]
    NotAPerson,
    /// The word does not count.
    #[error("who acts for the team or practice: {}", .0.sentence())]
    NotVouched(Box<Verdict>),
}

/// What the team or the practice with the key `members_of` said of whoever opened something, by the credential in the
/// receipt; nothing, where that is no word of its about them. Whether it had ended by then the source has judged.
#[must_use]
pub fn role_in(chain: &ChainId, members_of: &Key, opening: &Opening) -> Option<Role> {
    let actor = opening.opened.actor.as_ref()?;
    let signed: SignedCredential = encoding::decode(actor.credential.as_slice()).ok()?;
    let credential = &signed.credential;
    let is_theirs = signed.is_by(chain, members_of)
        && matches!(credential.by, Issuer::Practice(key) | Issuer::Team(key) if key == *members_of);
    let is_about = opening.member == Some(credential.person) && credential.name.as_str() == actor.name.as_str();
    (is_theirs && is_about).then_some(credential.role)
}

/// The newest lists that were shown by members whose word counted, of each issuer: once one was shown, an older one hides
/// nothing any more. In memory; after a start a list of the last day is good again.
#[derive(Debug, Default)]
pub struct NewestLists(BTreeMap<Issuer, SignedEndedCredentials>);

/// Of how many issuers lists are remembered.
const MAX_LISTS: usize = 1_024;

impl NewestLists {
    /// Checks that no list that was shown before names what is shown now, and remembers what is newer. Only for what
    /// [`Introduction::check_member`] has let pass; `operational` is the key of the source at the chain's begin.
    ///
    /// # Errors
    /// [`NotAMember::NotVouched`].
    pub fn check(&mut self, chain: &ChainId, shown: &Introduction, operational: &Key) -> Result<(), NotAMember> {
        let organisation = shown.first.credential.credential.person;
        let links = [(&shown.first, *operational)].into_iter();
        for (link, signer) in links.chain(shown.second.as_ref().map(|second| (second, organisation))) {
            let Vouching { credential, ended } = link;
            let known = self.0.get(&ended.list.by);
            // Of a key that was replaced it is no list any more, whatever its number.
            let newer = known.filter(|known| known.list.number > ended.list.number && known.is_by(chain, &signer));
            if let Some(known) = newer {
                if known.list.names(credential.credential.number) {
                    return Err(NotAMember::NotVouched(Box::new(Verdict::Ended(Ended::ByIssuer))));
                }
                continue;
            }
            self.0.insert(ended.list.by, ended.clone());
            if self.0.len() > MAX_LISTS {
                let oldest = self.0.iter().min_by_key(|(_, list)| list.list.at).map(|(by, _)| *by);
                oldest.and_then(|by| self.0.remove(&by));
            }
        }
        Ok(())
    }
}

impl Introduction {
    /// Checks that it is of who signed this hello, and about the credential that is in it: what the receipt will name.
    /// The signatures of the hello are [`authorise`](clavicle_ledger::authorise::authorise)'s.
    ///
    /// # Errors
    /// [`NotAMember::OtherHello`].
    pub fn check_hello(&self, said: &SignedHello) -> Result<(), NotAMember> {
        let SignedHello { hello, signature: _, member, second: _ } = said;
        let (credential, shown) = (self.credential(), encoding::encode(&self.last().credential));
        let is_signed = member.as_ref().is_some_and(|MemberSignature { key, .. }| *key == credential.person);
        let is_named = hello.actor.as_ref().is_some_and(|actor| {
            actor.name.as_str() == credential.name.as_str() && actor.credential.as_slice() == shown
        });
        if is_signed && is_named { Ok(()) } else { Err(NotAMember::OtherHello) }
    }

    /// Decides whether whom it introduces may act where the Terms name the key `members_of`, as of `now`. `source` is
    /// the one that [`Introduction::source`] names, as the source that decides has it in its own state.
    ///
    /// # Errors
    /// [`NotAMember`].
    pub fn check_member(
        &self,
        chain: &ChainId,
        source: ProvenSource<'_>,
        members_of: &Key,
        now: Timestamp,
    ) -> Result<Vouched, NotAMember> {
        let credential = self.credential();
        let signer = match (&self.second, source.row) {
            (Some(_), _) => Some(self.first.credential.credential.person),
            (None, row) => row.map(|row| row.keys_in(source.epoch).operational),
        };
        // What does not count says why, before whose it is said to be.
        match self.judge(chain, source, (&credential.person, credential.name.as_str()), now) {
            Verdict::Verified(_) if signer != Some(*members_of) => Err(NotAMember::OtherIssuer),
            Verdict::Verified(vouched) if vouched.role.is_organisation() => Err(NotAMember::NotAPerson),
            Verdict::Verified(vouched) => Ok(vouched),
            verdict => Err(NotAMember::NotVouched(Box::new(verdict))),
        }
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::authorise::{Actor, Claim, Hello};
    use clavicle_ledger::encoding::{Bytes, Text};
    use clavicle_ledger::id::{ManifestRoot, SourceId, StudyId};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::receipt::Entry;
    use clavicle_ledger::source::Source;
    use clavicle_ledger::time::DAY_MS;

    use super::*;
    use crate::card::tests::CHAIN;
    use crate::credential::tests::{MERCY, NOW, introduced, mercy, rossi};
    use crate::credential::{EndedCredentials, MAX_LIST_AGE_MS};
    use crate::verdict::Unverified;
    use crate::verdict::tests::{of_a_practice, of_a_team, practice, row};

    fn team() -> Key {
        practice().public()
    }

    fn decided(shown: &Introduction, row: &Source, members_of: &Key, now: Timestamp) -> Result<Vouched, NotAMember> {
        shown.check_member(&CHAIN, ProvenSource { id: MERCY, row: Some(row), epoch: 5 }, members_of, now)
    }

    /// Why a word does not count; nothing when it does.
    fn why(shown: &Introduction, row: &Source, now: Timestamp) -> Option<Verdict> {
        match decided(shown, row, &team(), now) {
            Ok(_) => None,
            Err(NotAMember::NotVouched(verdict)) => Some(*verdict),
            Err(other) => panic!("{other}"),
        }
    }

    fn unverified(why: Unverified) -> Option<Verdict> {
        Some(Verdict::Unverified(why))
    }

    fn hello(shown: &Introduction, name: &str) -> Hello {
        let credential = Bytes::new(encoding::encode(&shown.last().credential)).unwrap();
        let actor = Some(Actor { name: Text::new(name).unwrap(), credential });
        Hello { actor, ..Hello::new(MERCY, StudyId::from_bytes([7; 32]), Claim::Holder, NOW) }
    }

    #[test]
    fn a_member_is_let_act_for_the_team_and_for_nobody_else() {
        for shown in [of_a_team(), of_a_practice()] {
            let vouched = decided(&shown, &row(), &team(), NOW).unwrap();
            assert_eq!(vouched.role.word(), "nurse");
            let other = SecretKey::from_bytes(&[71; 32]).public();
            assert_eq!(decided(&shown, &row(), &other, NOW), Err(NotAMember::OtherIssuer));
        }
        // Somebody of the hospital itself is no member of the team.
        assert_eq!(decided(&introduced(), &row(), &team(), NOW), Err(NotAMember::OtherIssuer));
        assert!(decided(&introduced(), &row(), &mercy().public(), NOW).is_ok());
        // The team is no member of the hospital: an organisation opens nothing.
        let organisation = Introduction { second: None, ..of_a_team() };
        assert_eq!(decided(&organisation, &row(), &mercy().public(), NOW), Err(NotAMember::NotAPerson));
    }

    /// Attack: somebody who was removed, and has the team's key and the credential still.
    #[test]
    fn a_removed_member_is_none_however_old_the_list_is() {
        let mut removed = of_a_team();
        let second = removed.second.as_mut().unwrap();
        let before = second.ended.list.clone();
        let ended = crate::credential::tests::list(before.by, &[7]);
        second.ended = ended.sign(&CHAIN, &practice());
        assert_eq!(why(&removed, &row(), NOW), Some(Verdict::Ended(Ended::ByIssuer)));
        // The list of before is good for a day, and not by a date that whoever is removed has written.
        assert_eq!(why(&of_a_team(), &row(), NOW.plus(DAY_MS - 1)), None);
        assert_eq!(
            why(&of_a_team(), &row(), NOW.plus(DAY_MS)),
            Some(Verdict::Ended(Ended::Over { at: NOW.plus(DAY_MS) }))
        );
        let mut forged = of_a_team();
        let ended = EndedCredentials { at: NOW.plus(DAY_MS / 2), ..before };
        forged.second.as_mut().unwrap().ended = ended.sign(&CHAIN, &rossi());
        assert_eq!(why(&forged, &row(), NOW.plus(DAY_MS / 2)), unverified(Unverified::NoList));
    }

    /// Attack: a removed member shows the list of before, and another member the newer one.
    #[test]
    fn an_older_list_hides_nothing_that_a_newer_one_has_shown() {
        let mut lists = NewestLists::default();
        let key = mercy().public();
        assert_eq!(lists.check(&CHAIN, &of_a_team(), &key), Ok(()));
        // Somebody else of the team, with a list that ends number 7.
        let mut other = of_a_team();
        let second = other.second.as_mut().unwrap();
        second.credential.credential.number = crate::credential::CredentialNumber(8);
        let by = second.ended.list.by;
        let newer = EndedCredentials { number: 2, ..crate::credential::tests::list(by, &[7]) };
        second.ended = newer.clone().sign(&CHAIN, &practice());
        assert_eq!(lists.check(&CHAIN, &other, &key), Ok(()));
        let ended = Err(NotAMember::NotVouched(Box::new(Verdict::Ended(Ended::ByIssuer))));
        assert_eq!(lists.check(&CHAIN, &of_a_team(), &key), ended);
        assert_eq!(lists.check(&CHAIN, &other, &key), Ok(()));
        // A practice is somebody else, though it has the same key and the same number.
        assert_eq!(lists.check(&CHAIN, &of_a_practice(), &key), Ok(()));
        // What a key of before has signed is no list.
        let mut forged = NewestLists::default();
        second_list(&mut other, newer.sign(&CHAIN, &rossi()));
        assert_eq!(forged.check(&CHAIN, &other, &key), Ok(()), "which `check_member` does not let pass");
        assert_eq!(forged.check(&CHAIN, &of_a_team(), &key), Ok(()));
    }

    /// Attack: a key that was stolen and replaced since has signed a list of a number that no other comes to.
    #[test]
    fn a_list_of_a_key_that_was_replaced_hides_no_newer_one() {
        let (mut lists, key) = (NewestLists::default(), mercy().public());
        let mut stolen = of_a_team();
        let by = stolen.second.as_ref().unwrap().ended.list.by;
        let last = EndedCredentials { number: u64::MAX, ..crate::credential::tests::list(by, &[]) };
        second_list(&mut stolen, last.sign(&CHAIN, &rossi()));
        assert_eq!(lists.check(&CHAIN, &stolen, &key), Ok(()), "as when that key was the team's");
        let mut newer = of_a_team();
        newer.second.as_mut().unwrap().credential.credential.number = crate::credential::CredentialNumber(8);
        let ended = EndedCredentials { number: 2, ..crate::credential::tests::list(by, &[7]) };
        second_list(&mut newer, ended.sign(&CHAIN, &practice()));
        assert_eq!(lists.check(&CHAIN, &newer, &key), Ok(()));
        let ended = Err(NotAMember::NotVouched(Box::new(Verdict::Ended(Ended::ByIssuer))));
        assert_eq!(lists.check(&CHAIN, &of_a_team(), &key), ended);
    }

    fn second_list(of: &mut Introduction, list: SignedEndedCredentials) {
        of.second.as_mut().unwrap().ended = list;
    }

    /// Attack: a list of before the end is shown for ever, the team's own or the hospital's.
    #[test]
    fn a_list_older_than_a_day_lets_no_member_act() {
        let late = NOW.plus(MAX_LIST_AGE_MS + 1);
        let mut lasting = of_a_team();
        let second = lasting.second.as_mut().unwrap();
        second.credential.credential.until = NOW.plus(30 * DAY_MS);
        second.credential = second.credential.credential.clone().sign(&CHAIN, &practice());
        assert_eq!(why(&lasting, &row(), late), unverified(Unverified::ListTooOld));
        let renewed = |list: &EndedCredentials, key: &SecretKey| {
            EndedCredentials { at: late, number: 2, ..list.clone() }.sign(&CHAIN, key)
        };
        let mut half = lasting.clone();
        half.first.ended = renewed(&half.first.ended.list, &mercy());
        assert_eq!(why(&half, &row(), late), unverified(Unverified::ListTooOld), "the team's own");
        let mut half = lasting;
        let second = half.second.as_mut().unwrap();
        second.ended = renewed(&second.ended.list, &practice());
        assert_eq!(why(&half, &row(), late), unverified(Unverified::ListTooOld), "the hospital's");
        half.first.ended = renewed(&half.first.ended.list, &mercy());
        assert_eq!(why(&half, &row(), late), None);
    }

    /// Attack: the members of a team whose hospital counts no more, or does not vouch for it any more.
    #[test]
    fn a_team_of_a_suspended_hospital_has_no_members() {
        let suspended = Source { suspended: true, ..row() };
        assert_eq!(why(&of_a_team(), &suspended, NOW), unverified(Unverified::SourceSuspended));
        let gone = Source { successor: Some(SourceId::from_bytes([5; 32])), ..row() };
        assert_eq!(why(&of_a_team(), &gone, NOW), unverified(Unverified::SourceGone));
        let mut ended = of_a_team();
        ended.first.ended = crate::credential::tests::list(ended.first.ended.list.by, &[7]).sign(&CHAIN, &mercy());
        assert_eq!(why(&ended, &row(), NOW), Some(Verdict::Ended(Ended::Practice)));
    }

    #[test]
    fn a_receipt_says_what_the_team_said_of_whoever_opened() {
        let (shown, grantee) = (of_a_team(), SecretKey::from_bytes(&[80; 32]));
        let receipt = |name: &str, person: &SecretKey| {
            let hello = hello(&shown, name).sign(&CHAIN, &grantee).with_member(&CHAIN, person);
            let entry = Entry::opens(&CHAIN, grantee.public(), &hello, (0, ManifestRoot::from_bytes([5; 32])));
            entry.opening().unwrap().clone()
        };
        let opening = receipt("Dr Rossi", &rossi());
        assert_eq!(role_in(&CHAIN, &team(), &opening), Some(Role::Nurse));
        assert_eq!(role_in(&CHAIN, &grantee.public(), &opening), None, "another team's word");
        assert_eq!(role_in(&CHAIN, &team(), &receipt("Dr Bianchi", &rossi())), None);
        assert_eq!(role_in(&CHAIN, &team(), &receipt("Dr Rossi", &SecretKey::from_bytes(&[81; 32]))), None);
    }

    /// Attack: another's credential, name or key in the hello than in what is shown beside it.
    #[test]
    fn what_is_shown_is_about_who_signed() {
        let shown = of_a_team();
        let (grantee, thief) = (SecretKey::from_bytes(&[80; 32]), SecretKey::from_bytes(&[81; 32]));
        let other = Err(NotAMember::OtherHello);
        let signed = hello(&shown, "Dr Rossi").sign(&CHAIN, &grantee);
        assert_eq!(shown.check_hello(&signed), other, "nobody signed besides");
        assert_eq!(shown.check_hello(&signed.clone().with_member(&CHAIN, &rossi())), Ok(()));
        assert_eq!(shown.check_hello(&signed.with_member(&CHAIN, &thief)), other);
        let named = hello(&shown, "Dr Bianchi").sign(&CHAIN, &grantee).with_member(&CHAIN, &rossi());
        assert_eq!(shown.check_hello(&named), other);
        let pasted = hello(&of_a_practice(), "Dr Rossi").sign(&CHAIN, &grantee).with_member(&CHAIN, &rossi());
        assert_eq!(shown.check_hello(&pasted), other);
    }
}
