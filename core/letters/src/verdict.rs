//! Whether anybody vouches for a name: what stands beside it, wherever it stands.
//!
//! There are four verdicts, and each has one sentence. None is the name's own: [`beside`](Verdict::beside) writes the
//! name between quotation marks, which nothing in it can end ([`crate::name`]), and the verdict behind.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Text, Wire};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::Key;
use clavicle_ledger::source::Source;
use clavicle_ledger::time::{Epoch, Timestamp};

use crate::credential::{
    Credential, CredentialNumber, Introduction, Issuer, MAX_LIST_AGE_MS, Role, SignedEndedCredentials, Vouching,
};
use crate::name::{self, look_alike, quoted};

/// How far two clocks may be apart, in milliseconds.
const CLOCKS_MS: u64 = 5 * 60 * 1000;

/// Whether anybody vouches for a name.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Verdict {
    /// An organisation does.
    Verified(Vouched) = 0,
    /// Nobody does, or it cannot be seen that anybody does.
    Unverified(Unverified) = 1,
    /// It is otherwise than when somebody of this name, or with this key, was let in before.
    Changed(Box<Changed>) = 2,
    /// Somebody did, and does no more.
    Ended(Ended) = 3,
}

/// What an organisation says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vouched {
    /// The source whose word it rests on.
    pub source: SourceId,
    /// Its name, by the ledger.
    pub source_name: Text<64>,
    /// Whose word it is.
    pub word: WordOf,
    /// What it says that they are.
    pub role: Role,
    /// In what; may be empty.
    pub specialty: Text<64>,
    /// Until when.
    pub until: Timestamp,
    /// Which credential of its issuer's.
    pub number: CredentialNumber,
}

/// Whose word a credential is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum WordOf {
    /// The source's own.
    Source = 0,
    /// That of a practice of this name, for which the source vouches.
    Practice(Text<64>) = 1,
    /// That of a team of this name, for which the source vouches.
    Team(Text<64>) = 2,
}

/// Why nobody vouches for a name, as far as can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
#[non_exhaustive]
pub enum Unverified {
    /// Nothing was brought.
    #[error("nobody vouches for this name")]
    Nobody = 0,
    /// What was brought could not be fetched or read.
    #[error(
        "whether anybody vouches for this name could not be looked up: try again with a network, or ask for a new card"
    )]
    NotRead = 1,
    /// Pasted: about somebody else's key.
    #[error("the credential that came with it is somebody else's: do not trust this card")]
    OtherPerson = 2,
    /// About another name.
    #[error("the credential that came with it is for another name: do not trust this card")]
    OtherName = 3,
    /// Not a source's word in the first place.
    #[error(
        "the chain of those who vouch is too long: a hospital may vouch for a practice or a team, these for their members, and nobody further"
    )]
    ChainTooLong = 4,
    /// Not a practice's or a team's.
    #[error("whoever vouches for it is no practice or team that a hospital vouches for: do not trust this card")]
    NotAPractice = 5,
    /// No such source.
    #[error("the hospital that is said to vouch for it is not one of this network: do not trust this card")]
    NoSuchSource = 6,
    /// The source is suspended.
    #[error("the hospital that vouches for it is suspended by the others, and its word does not count meanwhile")]
    SourceSuspended = 7,
    /// The source was taken over.
    #[error("the hospital that vouched for it was taken over by another, which has to vouch anew: ask for a new card")]
    SourceGone = 8,
    /// Signed with a key that was replaced.
    #[error("the hospital has a new key since it vouched for it, and has to sign anew: ask for a new card")]
    KeyReplaced = 9,
    /// Signed by nobody who may.
    #[error("the credential that came with it is forged: do not trust this card")]
    Forged = 10,
    /// Not yet.
    #[error("the credential that came with it is not good yet")]
    NotYet = 11,
    /// The list is too old.
    #[error("the proof that its credential was not ended is more than a day old: ask for a new card")]
    ListTooOld = 12,
    /// The list is not the issuer's, or from the future.
    #[error("the proof that its credential was not ended is not one: ask for a new card")]
    NoList = 13,
}

/// What is otherwise than before.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Changed {
    /// When they were let in last.
    pub since: Timestamp,
    /// What.
    pub what: Difference,
    /// What an organisation says now, if one does.
    pub now: Option<Vouched>,
}

/// A difference to before.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Difference {
    /// The same name, or one that looks like it, with another key: another person, or the same with a new wallet.
    Key = 0,
    /// The same key under another name.
    Name {
        /// The name of before.
        was: Text<64>,
    } = 1,
    /// Somebody else vouches, or for something else.
    Vouched {
        /// What was said before.
        was: Box<Vouched>,
    } = 2,
    /// Nobody vouches any more, or it cannot be seen.
    Unverified {
        /// Why.
        why: Unverified,
    } = 3,
}

/// Why nobody vouches any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Ended {
    /// Its time is over.
    Over {
        /// Since when.
        at: Timestamp,
    } = 0,
    /// Its issuer ended it.
    ByIssuer = 1,
    /// The own credential of the practice or the team has ended.
    Practice = 2,
}

/// A source as the ledger has it: what a chain begins with.
#[derive(Clone, Copy, Debug)]
pub struct ProvenSource<'a> {
    /// Its id.
    pub id: SourceId,
    /// Its proven row; nothing when it is proven that there is none.
    pub row: Option<&'a Source>,
    /// The running epoch.
    pub epoch: Epoch,
}

/// Whom somebody was let in as before.
#[derive(Clone, Debug)]
pub struct Acquaintance<'a> {
    /// The long-term key; nothing on cards of before.
    pub person: Option<&'a Key>,
    /// The name.
    pub name: &'a str,
    /// What stood beside it.
    pub verdict: &'a Verdict,
    /// When.
    pub at: Timestamp,
}

/// Why an organisation's word does not count.
enum NotVouched {
    Unverified(Unverified),
    Ended(Ended),
}

impl From<NotVouched> for Verdict {
    fn from(not: NotVouched) -> Self {
        match not {
            NotVouched::Unverified(why) => Self::Unverified(why),
            NotVouched::Ended(how) => Self::Ended(how),
        }
    }
}

impl Introduction {
    /// What is to be said beside `name` on a card that `person` signed, as of `now`. `source` is the one that
    /// [`Introduction::source`] names, as the ledger proves it. Which rules there are, and why, stands in
    /// [`crate::credential`].
    #[must_use]
    pub fn judge(
        &self,
        chain: &ChainId,
        source: ProvenSource<'_>,
        (person, name): (&Key, &str),
        now: Timestamp,
    ) -> Verdict {
        self.check(chain, source, (person, name), now).map_or_else(Verdict::from, Verdict::Verified)
    }

    fn check(
        &self,
        chain: &ChainId,
        source: ProvenSource<'_>,
        (person, name): (&Key, &str),
        now: Timestamp,
    ) -> Result<Vouched, NotVouched> {
        let unverified = |why| Err(NotVouched::Unverified(why));
        let Self { first, second } = self;
        let of = self.credential();
        if of.person != *person {
            return unverified(Unverified::OtherPerson);
        }
        if of.name.as_str() != name {
            return unverified(Unverified::OtherName);
        }
        if self.source() != Some(source.id) {
            return unverified(Unverified::ChainTooLong);
        }
        let Some(row) = source.row else { return unverified(Unverified::NoSuchSource) };
        if row.successor.is_some() {
            return unverified(Unverified::SourceGone);
        }
        if row.suspended {
            return unverified(Unverified::SourceSuspended);
        }
        let key = row.keys_in(source.epoch).operational;
        if !first.credential.is_by(chain, &key) {
            let is_replaced =
                row.keys_act_in <= source.epoch && first.credential.is_by(chain, &row.earlier_keys.operational);
            return unverified(if is_replaced { Unverified::KeyReplaced } else { Unverified::Forged });
        }
        check_link(chain, first, &key, now).map_err(|not| match (not, second) {
            (NotVouched::Ended(_), Some(_)) => NotVouched::Ended(Ended::Practice),
            (not, _) => not,
        })?;
        let word = match second {
            None => WordOf::Source,
            Some(second) => {
                let organisation = &first.credential.credential;
                let (key, name) = (organisation.person, organisation.name.clone());
                let word = match (organisation.role, second.credential.credential.by) {
                    (Role::Practice, Issuer::Practice(by)) if by == key => WordOf::Practice(name),
                    (Role::Team, Issuer::Team(by)) if by == key => WordOf::Team(name),
                    _ => return unverified(Unverified::NotAPractice),
                };
                if !second.credential.is_by(chain, &key) {
                    return unverified(Unverified::Forged);
                }
                if second.credential.credential.role.is_organisation() {
                    return unverified(Unverified::ChainTooLong);
                }
                check_link(chain, second, &key, now)?;
                word
            }
        };
        let first_until = first.credential.credential.until;
        let Credential { by: _, person: _, name: _, role, specialty, from: _, until, number } = of;
        Ok(Vouched {
            source: source.id,
            source_name: row.announced.name.clone(),
            word,
            role: *role,
            specialty: specialty.clone(),
            until: first_until.min(*until),
            number: *number,
        })
    }
}

/// Checks one link whose credential `key` signed: its time, and its issuer's list.
fn check_link(chain: &ChainId, link: &Vouching, key: &Key, now: Timestamp) -> Result<(), NotVouched> {
    let Vouching { credential, ended } = link;
    let Credential { by, from, until, number, .. } = &credential.credential;
    let SignedEndedCredentials { list, .. } = ended;
    let is_list = list.by == *by && ended.is_by(chain, key);
    // That it was ended stays true.
    if is_list && list.names(*number) {
        return Err(NotVouched::Ended(Ended::ByIssuer));
    }
    if now >= *until {
        return Err(NotVouched::Ended(Ended::Over { at: *until }));
    }
    if now.plus(CLOCKS_MS) < *from {
        return Err(NotVouched::Unverified(Unverified::NotYet));
    }
    if !is_list || now.plus(CLOCKS_MS) < list.at {
        return Err(NotVouched::Unverified(Unverified::NoList));
    }
    if now.since(list.at) > MAX_LIST_AGE_MS {
        return Err(NotVouched::Unverified(Unverified::ListTooOld));
    }
    Ok(())
}

impl Verdict {
    /// The same, held against those who were let in before, the newest first: whether it is somebody who seems to be
    /// one of them and is otherwise.
    #[must_use]
    pub fn against<'a>(
        self,
        (person, name): (&Key, &str),
        before: impl Iterator<Item = Acquaintance<'a>> + Clone,
    ) -> Self {
        let vouched = match &self {
            Self::Verified(vouched) => Some(vouched.clone()),
            Self::Unverified(_) => None,
            // What has ended is refused in any case, and what was compared is.
            Self::Changed(_) | Self::Ended(_) => return self,
        };
        let changed = |since, what| Self::Changed(Box::new(Changed { since, what, now: vouched.clone() }));
        if let Some(known) = before.clone().find(|known| known.person == Some(person)) {
            if known.name != name {
                return changed(known.at, Difference::Name { was: Text::new(known.name).unwrap_or_default() });
            }
            return match (known.verdict.vouched(), &self) {
                (Some(was), Self::Verified(now)) if !was.says_the_same(now) => {
                    changed(known.at, Difference::Vouched { was: Box::new(was.clone()) })
                }
                (Some(_), Self::Unverified(why)) => changed(known.at, Difference::Unverified { why: *why }),
                _ => self,
            };
        }
        // Of a card of before nobody knows which key it was.
        let mut known = before.filter(|known| known.person.is_some());
        match known.find(|known| look_alike(known.name, name)) {
            Some(known) => changed(known.at, Difference::Key),
            None => self,
        }
    }

    /// What an organisation says, where one does.
    #[must_use]
    pub fn vouched(&self) -> Option<&Vouched> {
        match self {
            Self::Verified(vouched) => Some(vouched),
            Self::Changed(changed) => changed.now.as_ref(),
            Self::Unverified(_) | Self::Ended(_) => None,
        }
    }

    /// Whether a hospital says that it is a team: then each opening is one of its members'.
    #[must_use]
    pub fn is_team(&self) -> bool {
        self.vouched().is_some_and(|vouched| vouched.role == Role::Team && vouched.word == WordOf::Source)
    }

    /// The same, some time later, by what was known then: a credential's time may be over meanwhile.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Self {
        match self.vouched() {
            Some(vouched) if now >= vouched.until => Self::Ended(Ended::Over { at: vouched.until }),
            _ => self.clone(),
        }
    }

    /// Whether somebody may be let in only by whoever has read the sentence and says so once more.
    #[must_use]
    pub const fn needs_a_second_look(&self) -> bool {
        matches!(self, Self::Changed(_) | Self::Ended(_))
    }

    /// The word for programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Verified(_) => "verified",
            Self::Unverified(_) => "unverified",
            Self::Changed(_) => "changed",
            Self::Ended(_) => "ended",
        }
    }

    /// Its one sentence, without an end.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Verified(vouched) => vouched.sentence(),
            Self::Unverified(why) => format!("unverified: {why}"),
            Self::Changed(changed) => changed.sentence(),
            Self::Ended(Ended::Over { at }) => format!("credential ended: it was good until {}", at.day()),
            Self::Ended(Ended::ByIssuer) => {
                "credential ended: whoever vouched for this name does so no more".to_owned()
            }
            Self::Ended(Ended::Practice) => {
                "credential ended: the practice or team that vouches for this name is not vouched for any more"
                    .to_owned()
            }
        }
    }

    /// The name, and this beside it: `“Dr Rossi” (verified by “Mercy hospital”: physician)`. However the name is made,
    /// it ends where it does.
    #[must_use]
    pub fn beside(&self, name: &str) -> String {
        let doubt = name::doubt(name).map(|doubt| format!("; {doubt}")).unwrap_or_default();
        format!("{} ({}{doubt})", quoted(name), self.sentence())
    }
}

impl Vouched {
    /// The name of whose word it is.
    #[must_use]
    pub fn by(&self) -> &Text<64> {
        match &self.word {
            WordOf::Source => &self.source_name,
            WordOf::Practice(name) | WordOf::Team(name) => name,
        }
    }

    /// Whether an organisation says the same of somebody; a renewed credential does.
    fn says_the_same(&self, other: &Self) -> bool {
        let Self { source, source_name: _, word, role, specialty, until: _, number: _ } = self;
        (*source, word, *role, specialty) == (other.source, &other.word, other.role, &other.specialty)
    }

    fn sentence(&self) -> String {
        let what = match self.specialty.as_str() {
            "" => self.role.word().to_owned(),
            specialty => format!("{}, {}", self.role.word(), quoted(specialty)),
        };
        match &self.word {
            WordOf::Source => format!("verified by {}: {what}", quoted(self.source_name.as_str())),
            WordOf::Practice(name) => format!("vouched for by the practice {}: {what}", quoted(name.as_str())),
            WordOf::Team(name) => format!("vouched for by the team {}: {what}", quoted(name.as_str())),
        }
    }
}

impl Changed {
    fn sentence(&self) -> String {
        let Self { since, what, now } = self;
        let since = since.day();
        let what = match what {
            Difference::Key => format!(
                "the key is not the one to which you let in somebody of this name on {since}; that person has a new wallet, or this is somebody else"
            ),
            Difference::Name { was } => {
                format!("on {since} the same key was shown under the name {}", quoted(was.as_str()))
            }
            Difference::Vouched { was } => format!("on {since} it was {}", was.sentence()),
            Difference::Unverified { why } => format!("on {since} somebody vouched for it; now {why}"),
        };
        let now = now.as_ref().map_or_else(String::new, |now| format!("; now {}", now.sentence()));
        format!("changed since last time: {what}{now}")
    }
}

impl Wire for Verdict {
    const NAME: &'static str = "a verdict";
    // Two that vouch, with three texts each, are most of it.
    const MAX_LEN: usize = 1024;
}

#[cfg(test)]
pub(crate) mod tests {
    use clavicle_ledger::encoding::{self, Ascending};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
    use clavicle_ledger::time::DAY_MS;

    use super::*;
    use crate::card::tests::CHAIN;
    use crate::credential::EndedCredentials;
    use crate::credential::tests::{MERCY, NOW, credential, introduced, list, mercy, rossi};

    fn keys(operational: &SecretKey) -> SourceKeys {
        SourceKeys {
            operational: operational.public(),
            consensus: None,
            transfer: SecretKey::from_bytes(&[61; 32]).public(),
            network: Ascending::from_items(vec![SecretKey::from_bytes(&[62; 32]).public()]).unwrap(),
        }
    }

    /// Mercy as the ledger has it.
    pub(crate) fn row() -> Source {
        Source {
            identity: SecretKey::from_bytes(&[60; 32]).public(),
            version: 0,
            announced: Announcement {
                name: Text::new("Mercy hospital").unwrap(),
                kind: SourceKind::Hosted,
                keys: keys(&mercy()),
                addresses: Addresses::default(),
                mailbox: Ascending::new(),
            },
            earlier_keys: keys(&mercy()),
            keys_act_in: 0,
            suspended: false,
            successor: None,
            anchors: 0,
            admitted_at: 0,
        }
    }

    fn judged(introduction: &Introduction, row: Option<&Source>, now: Timestamp) -> Verdict {
        let source = ProvenSource { id: MERCY, row, epoch: 5 };
        introduction.judge(&CHAIN, source, (&rossi().public(), "Dr Rossi"), now)
    }

    fn verdict(introduction: &Introduction) -> Verdict {
        judged(introduction, Some(&row()), NOW)
    }

    fn unverified(why: Unverified) -> Verdict {
        Verdict::Unverified(why)
    }

    pub(crate) fn practice() -> SecretKey {
        SecretKey::from_bytes(&[70; 32])
    }

    /// Rossi as a nurse of a practice that Mercy vouches for.
    pub(crate) fn of_a_practice() -> Introduction {
        let of = Credential {
            person: practice().public(),
            name: Text::new("Lake practice").unwrap(),
            role: Role::Practice,
            ..credential()
        };
        let by = Issuer::Practice(practice().public());
        let member =
            Credential { by, role: Role::Nurse, specialty: Text::default(), until: NOW.plus(DAY_MS), ..credential() };
        let first = Vouching { credential: of.sign(&CHAIN, &mercy()), ..introduced().first };
        let second =
            Vouching { credential: member.sign(&CHAIN, &practice()), ended: list(by, &[]).sign(&CHAIN, &practice()) };
        Introduction { first, second: Some(second) }
    }

    /// What a practice says stands in vaults from when there were no teams that vouch.
    #[test]
    fn whose_word_it_is_reads_as_it_was_written_before_teams() {
        let lake = Text::<64>::new("Lake practice").unwrap();
        for (before, now) in [(None, WordOf::Source), (Some(lake.clone()), WordOf::Practice(lake))] {
            assert_eq!(encoding::encode(&before), encoding::encode(&now));
        }
    }

    #[test]
    fn what_a_team_says_is_the_teams_word_and_no_practices() {
        let of_a_team = of_a_team();
        let said = verdict(&of_a_team);
        assert_eq!(said.sentence(), "vouched for by the team “Stroke team”: nurse");
        assert!(!said.beside("Dr Rossi").contains("Mercy"));
        // A practice's word in a team's place, and the other way round.
        let (mut as_team, mut as_practice) = (of_a_team.clone(), of_a_practice());
        as_team.first = of_a_practice().first;
        as_practice.first = of_a_team.first;
        assert_eq!(verdict(&as_team), unverified(Unverified::NotAPractice));
        assert_eq!(verdict(&as_practice), unverified(Unverified::NotAPractice));
    }

    /// Attack: a team vouches for a practice, which would vouch on.
    #[test]
    fn an_organisation_vouches_for_persons_only() {
        for role in Role::ALL.into_iter().filter(|role| role.is_organisation()) {
            let mut further = of_a_team();
            let second = further.second.as_mut().unwrap();
            second.credential = Credential { role, ..second.credential.credential.clone() }.sign(&CHAIN, &practice());
            assert_eq!(verdict(&further), unverified(Unverified::ChainTooLong));
        }
    }

    /// Rossi as a nurse of a team that Mercy vouches for.
    pub(crate) fn of_a_team() -> Introduction {
        let Introduction { first, second } = of_a_practice();
        let name = Text::new("Stroke team").unwrap();
        let of = Credential { name, role: Role::Team, ..first.credential.credential }.sign(&CHAIN, &mercy());
        let by = Issuer::Team(practice().public());
        let member = Credential { by, ..second.unwrap().credential.credential }.sign(&CHAIN, &practice());
        let second = Vouching { credential: member, ended: list(by, &[]).sign(&CHAIN, &practice()) };
        Introduction { first: Vouching { credential: of, ended: first.ended }, second: Some(second) }
    }

    #[test]
    fn what_a_hospital_says_is_said_with_its_name() {
        let verdict = verdict(&introduced());
        assert_eq!(verdict.word(), "verified");
        let beside = verdict.beside("Dr Rossi");
        assert_eq!(beside, "“Dr Rossi” (verified by “Mercy hospital”: physician, “radiology”)");
        assert_eq!(encoding::decode(&encoding::encode(&verdict)), Ok(verdict.clone()));
        assert!(!verdict.needs_a_second_look());
        assert_eq!(verdict.as_of(credential().until), Verdict::Ended(Ended::Over { at: credential().until }));
    }

    #[test]
    fn what_a_practice_says_is_never_the_hospitals_word() {
        let verdict = verdict(&of_a_practice());
        assert_eq!(verdict.sentence(), "vouched for by the practice “Lake practice”: nurse");
        assert!(!verdict.beside("Dr Rossi").contains("Mercy"));
    }

    /// Attack: somebody's good credential beside another's card.
    #[test]
    fn a_pasted_credential_is_found_out() {
        let source = ProvenSource { id: MERCY, row: Some(&row()), epoch: 5 };
        let thief = SecretKey::from_bytes(&[99; 32]).public();
        let judged = |person: &Key, name: &str| introduced().judge(&CHAIN, source, (person, name), NOW);
        assert_eq!(judged(&thief, "Dr Rossi"), unverified(Unverified::OtherPerson));
        assert_eq!(judged(&rossi().public(), "Dr Bianchi"), unverified(Unverified::OtherName));
        // One letter of it.
        assert_eq!(judged(&rossi().public(), "Dr R\u{43e}ssi"), unverified(Unverified::OtherName));
        let other = ChainId::from_bytes([9; 32]);
        let elsewhere = introduced().judge(&other, source, (&rossi().public(), "Dr Rossi"), NOW);
        assert_eq!(elsewhere, unverified(Unverified::Forged));
    }

    /// Attack: a credential whose time is over, or not there yet.
    #[test]
    fn an_expired_credential_is_said_to_have_ended() {
        let until = credential().until;
        let mut late = introduced();
        late.first.ended = EndedCredentials { at: until, ..list(Issuer::Source(MERCY), &[]) }.sign(&CHAIN, &mercy());
        assert_eq!(judged(&late, Some(&row()), until), Verdict::Ended(Ended::Over { at: until }));
        assert_eq!(judged(&late, Some(&row()), Timestamp(until.0 - 1)).word(), "verified");
        let early = Timestamp(NOW.0 - DAY_MS);
        assert_eq!(judged(&introduced(), Some(&row()), early), unverified(Unverified::NotYet));
    }

    /// Attack: a credential that its issuer has ended, with whatever list.
    #[test]
    fn an_ended_credential_has_ended_however_old_the_list_is() {
        let mut ended = introduced();
        ended.first.ended = list(Issuer::Source(MERCY), &[7]).sign(&CHAIN, &mercy());
        for now in [NOW, NOW.plus(DAY_MS * 30)] {
            assert_eq!(judged(&ended, Some(&row()), now), Verdict::Ended(Ended::ByIssuer));
        }
        assert!(verdict(&ended).needs_a_second_look());
        // So has one that is older than the issuer's record.
        let record = EndedCredentials { before: CredentialNumber(8), ..list(Issuer::Source(MERCY), &[]) };
        ended.first.ended = record.sign(&CHAIN, &mercy());
        assert_eq!(verdict(&ended), Verdict::Ended(Ended::ByIssuer));
        // And a practice's members with it.
        let mut practice = of_a_practice();
        practice.first.ended = list(Issuer::Source(MERCY), &[7]).sign(&CHAIN, &mercy());
        assert_eq!(verdict(&practice), Verdict::Ended(Ended::Practice));
    }

    /// Attack: the list of before the end is shown for ever.
    #[test]
    fn a_stale_list_is_no_proof() {
        let introduced = introduced();
        assert_eq!(judged(&introduced, Some(&row()), NOW.plus(MAX_LIST_AGE_MS)).word(), "verified");
        assert_eq!(
            judged(&introduced, Some(&row()), NOW.plus(MAX_LIST_AGE_MS + 1)),
            unverified(Unverified::ListTooOld)
        );
        // One that is dated ahead would be good for longer.
        let mut ahead = introduced.clone();
        let of_tomorrow = EndedCredentials { at: NOW.plus(DAY_MS), ..list(Issuer::Source(MERCY), &[]) };
        ahead.first.ended = of_tomorrow.sign(&CHAIN, &mercy());
        assert_eq!(verdict(&ahead), unverified(Unverified::NoList));
        // Another's list, and one by nobody.
        let mut others = introduced;
        others.first.ended = list(Issuer::Source(SourceId::from_bytes([5; 32])), &[]).sign(&CHAIN, &mercy());
        assert_eq!(verdict(&others), unverified(Unverified::NoList));
        others.first.ended = list(Issuer::Source(MERCY), &[]).sign(&CHAIN, &rossi());
        assert_eq!(verdict(&others), unverified(Unverified::NoList));
    }

    /// Attack: the word of a hospital that the others have suspended, of one that was taken over, of one that there is
    /// not.
    #[test]
    fn a_hospital_that_does_not_count_vouches_for_nobody() {
        let suspended = Source { suspended: true, ..row() };
        assert_eq!(judged(&introduced(), Some(&suspended), NOW), unverified(Unverified::SourceSuspended));
        let gone = Source { successor: Some(SourceId::from_bytes([5; 32])), ..row() };
        assert_eq!(judged(&introduced(), Some(&gone), NOW), unverified(Unverified::SourceGone));
        assert_eq!(judged(&introduced(), None, NOW), unverified(Unverified::NoSuchSource));
        assert_eq!(judged(&of_a_practice(), Some(&suspended), NOW), unverified(Unverified::SourceSuspended));
    }

    /// Attack: a key that was stolen and replaced signs on.
    #[test]
    fn a_replaced_key_signs_nothing_any_more() {
        let mut rotated = row();
        rotated.announced.keys = keys(&SecretKey::from_bytes(&[52; 32]));
        rotated.keys_act_in = 6;
        assert_eq!(judged(&introduced(), Some(&rotated), NOW).word(), "verified", "it acts from the next epoch on");
        rotated.keys_act_in = 5;
        assert_eq!(judged(&introduced(), Some(&rotated), NOW), unverified(Unverified::KeyReplaced));
        let mut forged = introduced();
        forged.first.credential = credential().sign(&CHAIN, &SecretKey::from_bytes(&[98; 32]));
        assert_eq!(judged(&forged, Some(&rotated), NOW), unverified(Unverified::Forged));
        assert_eq!(verdict(&forged), unverified(Unverified::Forged));
    }

    /// Attack: a member vouches for somebody, or a practice for a practice.
    #[test]
    fn a_chain_of_three_is_none() {
        let member = of_a_practice().second.unwrap();
        // The member's credential where the hospital's should be, and the member's word behind it.
        let by = Issuer::Practice(rossi().public());
        let third = Credential { by, person: rossi().public(), ..credential() }.sign(&CHAIN, &rossi());
        let third = Vouching { credential: third, ended: list(by, &[]).sign(&CHAIN, &rossi()) };
        let three = Introduction { first: member, second: Some(third.clone()) };
        assert_eq!(verdict(&three), unverified(Unverified::ChainTooLong));
        // Somebody whom the hospital vouches for, and who is no practice.
        let no_practice = Introduction { second: Some(third), ..introduced() };
        assert_eq!(verdict(&no_practice), unverified(Unverified::NotAPractice));
        // A practice's word over another practice's signature.
        let mut other = of_a_practice();
        let second = other.second.as_mut().unwrap();
        second.credential = second.credential.credential.clone().sign(&CHAIN, &mercy());
        assert_eq!(verdict(&other), unverified(Unverified::Forged));
    }

    /// Attack: a name that says that it is verified, or looks like one that is known.
    #[test]
    fn a_name_cannot_say_what_stands_beside_it() {
        let none = unverified(Unverified::Nobody);
        let name = "Dr Rossi” (verified by “Mercy hospital”: physician)";
        let beside = none.beside(name);
        assert!(beside.ends_with(" (unverified: nobody vouches for this name)"), "{beside}");
        assert!(beside.starts_with("“Dr Rossi\\u{201d} (verified"), "{beside}");
        let beside = none.beside("Dr R\u{43e}ssi");
        assert!(beside.contains("careful: a word of this name mixes letters"), "{beside}");
    }

    #[test]
    fn somebody_who_is_otherwise_than_before_is_said_to_be() {
        let (rossi, other) = (rossi().public(), SecretKey::from_bytes(&[90; 32]).public());
        let (good, none) = (verdict(&introduced()), unverified(Unverified::Nobody));
        let against = |verdict: &Verdict, person: &Key, name: &str, was: (Option<&Key>, &str, &Verdict)| {
            let (of, called, stood) = was;
            let before = [Acquaintance { person: of, name: called, verdict: stood, at: NOW }];
            verdict.clone().against((person, name), before.into_iter())
        };
        let what = |verdict: Verdict| match verdict {
            Verdict::Changed(changed) => Some(changed.what),
            _ => None,
        };
        // As before, or better.
        assert_eq!(against(&good, &rossi, "Dr Rossi", (Some(&rossi), "Dr Rossi", &good)), good);
        assert_eq!(against(&good, &rossi, "Dr Rossi", (Some(&rossi), "Dr Rossi", &none)), good);
        assert_eq!(against(&none, &other, "Dr Bianchi", (Some(&rossi), "Dr Rossi", &good)), none);
        // Of a card without a key nothing is known.
        assert_eq!(against(&none, &other, "Dr Rossi", (None, "Dr Rossi", &none)), none);
        // Another key under the same name, or one that looks like it.
        for name in ["Dr Rossi", "dr rossi", "Dr R\u{43e}ssi"] {
            let changed = against(&none, &other, name, (Some(&rossi), "Dr Rossi", &good));
            assert_eq!(what(changed.clone()), Some(Difference::Key), "{name}");
            assert!(changed.sentence().starts_with("changed since last time: "));
            assert!(changed.needs_a_second_look());
            assert_eq!(encoding::decode(&encoding::encode(&changed)), Ok(changed));
        }
        let was = Text::new("Dr Rossi").unwrap();
        assert_eq!(
            what(against(&none, &rossi, "Dr Verdi", (Some(&rossi), "Dr Rossi", &good))),
            Some(Difference::Name { was })
        );
        let why = Unverified::ListTooOld;
        let changed = against(&unverified(why), &rossi, "Dr Rossi", (Some(&rossi), "Dr Rossi", &good));
        assert_eq!(what(changed), Some(Difference::Unverified { why }));
        let nurse = verdict(&of_a_practice());
        let changed = against(&nurse, &rossi, "Dr Rossi", (Some(&rossi), "Dr Rossi", &good));
        assert_eq!(what(changed.clone()), Some(Difference::Vouched { was: Box::new(good.vouched().unwrap().clone()) }));
        assert_eq!(changed.vouched(), nurse.vouched());
        // What has ended has, whatever was before.
        let ended = Verdict::Ended(Ended::ByIssuer);
        assert_eq!(against(&ended, &other, "Dr Rossi", (Some(&rossi), "Dr Rossi", &good)), ended);
    }
}
