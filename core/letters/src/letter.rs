//! Letters: what one person tells another, and what can be seen of it without the ledger.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::action::Grant;
use clavicle_ledger::encoding::{Text, Wire};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, SourceId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::study::Status;
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{Day, Height, Timestamp};
use clavicle_ledger::transaction::{Action, Envelope, StatelessError};
use clavicle_manifest::Uid;

use crate::about::About;
use crate::circumstances::Circumstances;
use crate::identity::Recipient;
use crate::invitation::{Answer, Opening};
use crate::news::News;

/// What one person tells another.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Letter {
    /// The network.
    pub chain: ChainId,
    /// To whom. Signed with the rest, so that nobody can pass it on as written to somebody else.
    pub to: Recipient,
    /// From whom: the key that signs it.
    pub from: Key,
    /// When, by the sender's clock.
    pub sent: Timestamp,
    /// What.
    pub content: Content,
}

/// What a letter is about.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Content {
    /// Something was granted.
    Grant(Box<GrantLetter>) = 0,
    /// A copy that was made is not what the study is now. From the study's source.
    Notice(Box<Notice>) = 1,
    /// Something was granted, and who it is about: as the granter was told by the source, for the grantee to tell patients apart before anything is
    /// fetched. What the images themselves say counts more.
    NamedGrant(Box<GrantLetter>, Box<About>) = 2,
    /// Somebody answers an Invitation, and introduces itself. From the key of the mailbox on its card.
    Answer(Box<Answer>) = 3,
    /// Whoever showed an Invitation opens what it committed to: from then on both sides have the same four words. From
    /// the key of the Invitation's mailbox.
    Opening(Opening) = 4,
    /// What another device of the same words did. From the key of the box that it lies in.
    News(Box<News>) = 8,
    /// What was granted is another study by now: the wrong person had it. From the study's source.
    Reissued(Box<Reissued>) = 11,
    /// Something was granted, and more is to be said of it than either of the other two can.
    ToldGrant(Box<GrantLetter>, Box<Circumstances>) = 12,
}

impl Content {
    /// The kinds that this version reads.
    pub(crate) const KINDS: [u8; 8] = [0, 1, 2, 3, 4, 8, 11, 12];
    /// The kinds that have a number already, and are read by a later version: what each is called.
    const RESERVED: [(u8, &'static str); 5] = [
        (5, "a request to fetch a study"),
        (6, "an answer to a request"),
        (7, "a share of somebody's words"),
        (9, "an alert of a critical result"),
        (10, "a reply to an alert"),
    ];

    /// What a letter of a kind is called that this version does not read, if it has a name yet.
    pub(crate) fn reserved(kind: u8) -> Option<&'static str> {
        Self::RESERVED.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
    }

    /// The kind that an encoded letter says that it is of, whether this version knows it or not; `None` if it ends before that.
    pub(crate) fn kind_of(letter: &[u8]) -> Option<u8> {
        let mut left = letter;
        <(ChainId, Recipient, Key, Timestamp, u8)>::deserialize(&mut left).ok().map(|(.., kind)| kind)
    }
}

/// What became of a study since a copy of it was made. Signed by its source; what it says of the study is on the ledger.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Notice {
    /// The study.
    pub study: StudyId,
    /// Its source.
    pub source: SourceId,
    /// Which copy: the root of the manifest that it is of.
    pub copy: ManifestRoot,
    /// The revision now.
    pub revision: u32,
    /// The manifest's root at that revision.
    pub manifest_root: ManifestRoot,
    /// Whether it is served, and if not, why.
    pub status: Status,
    /// What is other in it than in the copy; not told to whoever may see some series only.
    pub counts: Option<NoticeCounts>,
}

/// That a study was withdrawn since the wrong person had it, and that its images are another study by now, for the right one. Signed by its
/// source. Which study that is it does not say: who may see it the right person decides anew.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Reissued {
    /// The study that was withdrawn.
    pub study: StudyId,
    /// Its source.
    pub source: SourceId,
    /// Which copy of it was made: the root of the manifest that it is of.
    pub copy: ManifestRoot,
}

/// How many images are other ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct NoticeCounts {
    /// In the copy, and not in the study any more.
    pub removed: u32,
    /// Not in the copy.
    pub added: u32,
    /// In both, with other bytes.
    pub changed: u32,
}

/// That a study was granted, and what it takes to fetch it.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct GrantLetter {
    /// The Grant, signed. Whoever has it may submit it.
    pub envelope: Envelope,
    /// What it allows.
    pub terms: Terms,
    /// The study's salt.
    pub salt: Salt,
    /// The study's UID (0020,000D).
    pub study_instance_uid: Uid,
    /// What the granter calls the study.
    pub description: Text<256>,
    /// The source that has it.
    pub source: SourceId,
    /// The height at which the grant became final. A relay that is not there yet cannot know of it.
    pub final_at: Height,
}

/// A grant whose letter holds together: made by [`GrantLetter::check`] and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedGrant {
    id: GrantId,
    grant: Grant,
}

/// Why a letter about a grant does not hold together. Nothing was granted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantLetterError {
    /// Not a transaction that could ever be executed.
    #[error("the letter's grant could not be executed: {0}")]
    Envelope(#[from] StatelessError),
    /// Another action.
    #[error("the letter says that it is about a grant and holds another transaction")]
    NotAGrant,
    /// Somebody else's grant.
    #[error("the letter's grant is signed by another key than the letter")]
    OtherGranter,
    /// Another study.
    #[error("the letter's grant is not on the study that the letter names")]
    OtherStudy,
    /// Other terms.
    #[error("the letter's terms are not those that its grant commits to")]
    OtherTerms,
    /// Terms that end on another day.
    #[error("the letter's terms do not end on the last day before {0}, when its grant does")]
    OtherEnd(Day),
}

impl GrantLetter {
    /// Checks that it is a Grant by `from`, on the study and with the terms that the letter names. Whether the granter
    /// has the study, and whether the grant is on the ledger, only the ledger tells.
    ///
    /// # Errors
    /// [`GrantLetterError`].
    pub fn check(&self, chain: &ChainId, from: &Key) -> Result<CheckedGrant, GrantLetterError> {
        // Description and height are the granter's words.
        let Self { envelope, terms, salt, study_instance_uid, description: _, source, final_at: _ } = self;
        let verified = envelope.clone().check_stateless(chain)?;
        let Action::Grant(grant) = &verified.body().action else { return Err(GrantLetterError::NotAGrant) };
        if grant.granter != *from {
            return Err(GrantLetterError::OtherGranter);
        }
        if grant.study != StudyId::of(chain, *source, salt.study_digest(study_instance_uid.as_str())) {
            return Err(GrantLetterError::OtherStudy);
        }
        if grant.terms != terms.commitment(chain, grant.study, &grant.grantee) {
            return Err(GrantLetterError::OtherTerms);
        }
        if grant.expiry_day != terms.expires.day_rounded_up() {
            return Err(GrantLetterError::OtherEnd(grant.expiry_day));
        }
        Ok(CheckedGrant { id: verified.id().into(), grant: grant.clone() })
    }
}

impl CheckedGrant {
    /// The grant's id.
    #[must_use]
    pub const fn id(&self) -> GrantId {
        self.id
    }

    /// The grant.
    #[must_use]
    pub const fn grant(&self) -> &Grant {
        &self.grant
    }
}

impl Wire for Letter {
    const NAME: &'static str = "a letter";
    const MAX_LEN: usize = 60 * 1024;
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain: _, to, from, sent, content } = self;
        let mut out = f.debug_struct("Letter");
        out.field("to", to).field("from", from).field("sent", sent).field("content", content).finish_non_exhaustive()
    }
}

impl fmt::Debug for GrantLetter {
    /// For logs: nothing that would name the study or open it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrantLetter").field("source", &self.source).finish_non_exhaustive()
    }
}

impl fmt::Debug for Notice {
    /// For logs: nothing that would name the study.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice").field("source", &self.source).field("status", &self.status).finish_non_exhaustive()
    }
}

impl fmt::Debug for Reissued {
    /// For logs: nothing that would name the study.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reissued").field("source", &self.source).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use clavicle_ledger::action::Revoke;
    use clavicle_ledger::encoding::Bytes;
    use clavicle_ledger::id::RequestDigest;
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::terms::{PurposeOfUse, SeriesScope};
    use clavicle_ledger::time::{DAY_MS, HOUR_MS};
    use clavicle_ledger::transaction::Body;

    use super::*;
    use crate::card::tests::CHAIN;

    pub(crate) const SENT: Timestamp = Timestamp(1_790_000_000_000);
    const SOURCE: SourceId = SourceId::from_bytes([4; 32]);

    pub(crate) fn holder() -> SecretKey {
        SecretKey::from_bytes(&[20; 32])
    }

    fn terms() -> Terms {
        Terms {
            not_before: SENT,
            expires: SENT.plus(7 * DAY_MS + HOUR_MS),
            series: SeriesScope::All,
            purpose: PurposeOfUse::Treatment,
            revision: 0,
            manifest_root: ManifestRoot::from_bytes([5; 32]),
            later_revisions: true,
            staleness_ms: 0,
            emergency: false,
            note: Bytes::default(),
            blinding: [6; 32],
            conditions: None,
        }
    }

    fn grant() -> Grant {
        let salt = Salt::from_bytes([7; 32]);
        let study = StudyId::of(&CHAIN, SOURCE, salt.study_digest("1.2.840.1"));
        let grantee = SecretKey::from_bytes(&[21; 32]).public();
        Grant {
            study,
            granter: holder().public(),
            grantee,
            expiry_day: terms().expires.day_rounded_up(),
            terms: terms().commitment(&CHAIN, study, &grantee),
            request: RequestDigest::NONE,
        }
    }

    fn signed(action: Action, key: &SecretKey) -> Envelope {
        Body { submit_by: SENT.plus(HOUR_MS), nonce: [8; 16], action }.sign(&CHAIN, &[key]).unwrap()
    }

    pub(crate) fn grant_letter() -> GrantLetter {
        GrantLetter {
            envelope: signed(Action::Grant(grant()), &holder()),
            terms: terms(),
            salt: Salt::from_bytes([7; 32]),
            study_instance_uid: Uid::new("1.2.840.1").unwrap(),
            description: Text::new("MR of the brain, May").unwrap(),
            source: SOURCE,
            final_at: 9,
        }
    }

    fn checked(edit: impl FnOnce(&mut GrantLetter)) -> Result<CheckedGrant, GrantLetterError> {
        let mut letter = grant_letter();
        edit(&mut letter);
        letter.check(&CHAIN, &holder().public())
    }

    #[test]
    fn a_letter_that_holds_together_gives_the_grant() {
        let found = checked(|_| {}).unwrap();
        assert_eq!(*found.grant(), grant());
        assert_eq!(found.id(), grant_letter().envelope.body.id(&CHAIN).into());
    }

    #[test]
    fn a_letter_about_something_else_than_its_grant_is_refused() {
        use GrantLetterError as Error;
        assert_eq!(checked(|letter| letter.source = SourceId::from_bytes([9; 32])), Err(Error::OtherStudy));
        assert_eq!(checked(|letter| letter.salt = Salt::from_bytes([9; 32])), Err(Error::OtherStudy));
        let uid = Uid::new("1.2.840.2").unwrap();
        assert_eq!(checked(|letter| letter.study_instance_uid = uid), Err(Error::OtherStudy));
        assert_eq!(checked(|letter| letter.terms.later_revisions = false), Err(Error::OtherTerms));
        let longer = Grant { expiry_day: grant().expiry_day.plus(1), ..grant() };
        let longer = signed(Action::Grant(longer.clone()), &holder());
        let day = grant().expiry_day.plus(1);
        assert_eq!(checked(|letter| letter.envelope = longer), Err(Error::OtherEnd(day)));
    }

    #[test]
    fn a_grant_must_be_signed_by_the_writer_for_this_network() {
        use GrantLetterError as Error;
        let other = SecretKey::from_bytes(&[22; 32]);
        let by_other = signed(Action::Grant(Grant { granter: other.public(), ..grant() }), &other);
        assert_eq!(checked(|letter| letter.envelope = by_other), Err(Error::OtherGranter));
        let altered = checked(|letter| letter.envelope.body.nonce = [0; 16]);
        assert!(matches!(altered, Err(Error::Envelope(StatelessError::Signature { .. }))));
        let elsewhere = grant_letter().check(&ChainId::from_bytes([9; 32]), &holder().public());
        assert!(matches!(elsewhere, Err(Error::Envelope(StatelessError::Signature { .. }))));
        let revoke = Revoke {
            study: grant().study,
            revoker: holder().public(),
            grant: GrantId::from_bytes([0; 32]),
            grant_submit_by: SENT,
        };
        let revoke = signed(Action::Revoke(revoke), &holder());
        assert_eq!(checked(|letter| letter.envelope = revoke), Err(Error::NotAGrant));
    }
}
