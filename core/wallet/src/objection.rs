//! Whether a copy may be used: what the ledger last proved of the study it is of.
//!
//! A copy outlives what it was made by. It is held against the newest record of its study that was ever proven to this wallet; where the ledger
//! cannot be asked that is an older one, and what it forbids stays forbidden.
//!
//! ```text
//! another patient's images      not used, whoever asks
//! suspended, withdrawn, ended,
//! replaced, not shown yet       used only in spite of that, and then it is written down
//! ```
//!
//! Anybody can write that they granted something. What the ledger does not show was not granted, whatever the letter says of it.

use std::fmt;

use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::{Reason, Standing, Study};
use clavicle_ledger::time::{BlockTime, HOUR_MS, Height, Timestamp};

use crate::error::WalletError;
use crate::ledger::Proven;
use crate::rows::{CopyOf, InSpiteOf, Proved, Received};
use crate::vault::Vault;
use crate::wallet::random;

/// Why a copy is not to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// The hospital has suspended or withdrawn the study.
    Standing(Standing),
    /// The grant's time is over.
    GrantOver(Timestamp),
    /// The grant was revoked or replaced, or has ended, by the ledger.
    GrantGone {
        /// As of when.
        height: Height,
    },
    /// The ledger has not shown yet that it was granted at all.
    Unproven,
    /// The study has another holder by now.
    OtherHolder,
    /// The copy is not of the study as it is: what was taken out of it may be another patient's.
    Replaced {
        /// The revision that the copy is of.
        copy: u32,
        /// The revision that there is.
        now: u32,
    },
    /// The source refuses it, and tells nobody why.
    Refused,
    /// It was granted to be looked at and not kept. A wish.
    ViewOnly,
}

impl Objection {
    /// Whether these are another patient's images: then nothing is done with them.
    #[must_use]
    pub const fn is_wrong_patient(&self) -> bool {
        matches!(
            self,
            Self::Standing(Standing::Suspended(Reason::WrongPatient) | Standing::Withdrawn(Reason::WrongPatient))
        )
    }

    /// A word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Standing(_) | Self::OtherHolder => "study",
            Self::GrantOver(_) | Self::GrantGone { .. } => "ended",
            Self::Unproven => "unproven",
            Self::Replaced { .. } => "replaced",
            Self::Refused => "refused",
            Self::ViewOnly => "view_only",
        }
    }

    /// What has become of it, in a word for programs.
    #[must_use]
    pub const fn state(&self) -> &'static str {
        match self {
            _ if self.is_wrong_patient() => "wrong_patient",
            Self::Standing(Standing::Suspended(_)) => "suspended",
            Self::Standing(_) => "withdrawn",
            Self::GrantOver(_) | Self::GrantGone { .. } | Self::OtherHolder => "ended",
            Self::Unproven => "unproven",
            Self::Replaced { .. } => "replaced",
            Self::Refused => "refused",
            Self::ViewOnly => "view_only",
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standing(standing @ (Standing::Suspended(reason) | Standing::Withdrawn(reason))) => {
                write!(f, "the hospital has {standing} the study ({reason})")
            }
            Self::Standing(standing) => write!(f, "the study is {standing}"),
            Self::GrantOver(at) => write!(f, "what was granted ended at {at}"),
            Self::GrantGone { height } => write!(
                f,
                "what was granted was revoked, replaced, or has ended: the ledger does not have it any more (as of height {height})"
            ),
            Self::Unproven => f.write_str("the ledger has not shown yet that this was granted"),
            Self::OtherHolder => f.write_str("the study has another holder by now"),
            Self::Replaced { copy, now } => write!(
                f,
                "this copy is of revision {copy}, and the hospital has signed revision {now} since, which could not be fetched: what is in the copy \
                 may have been taken out, as another patient's images are"
            ),
            Self::ViewOnly => f.write_str("whoever granted this wishes that it is looked at and not kept"),
            Self::Refused => f.write_str("the hospital refuses to serve the study, and tells nobody why"),
        }
    }
}

/// What is to be said of the standing of a study, by its record at that time.
fn by_standing(record: &Study, at: BlockTime) -> Option<Objection> {
    let [standing, _frozen] = record.standings(at);
    matches!(standing, Standing::Suspended(_) | Standing::Withdrawn(_)).then_some(Objection::Standing(standing))
}

/// What is to be said to whoever was granted a study.
pub(crate) fn to_grantee(proved: Option<&Proved>, granted: &Received, now: Timestamp) -> Option<Objection> {
    let time = proved.map_or(now, |proved| proved.time.timestamp().max(now));
    let standing = proved.and_then(|proved| by_standing(&proved.record, proved.time));
    standing.or_else(|| (time >= granted.terms.expires).then_some(Objection::GrantOver(granted.terms.expires))).or_else(
        || {
            let Some(Proved { record, height, time: proven_at }) = proved else { return Some(Objection::Unproven) };
            let mut record = record.clone();
            // A delegate's grant is gone with the delegation, which the row may not say yet.
            record.settle(BlockTime(time));
            if record.grants.find(&granted.grant).is_some() {
                return None;
            }
            // A record from before the grant says nothing about it. At which height it came is the granter's word; that it came before its letter is not.
            let is_after = *height >= granted.final_at || proven_at.timestamp() > granted.at;
            Some(if is_after { Objection::GrantGone { height: *height } } else { Objection::Unproven })
        },
    )
}

/// What is to be said of a copy that is of another revision than there is, by what was proven last.
pub(crate) fn to_copy(vault: &Vault, study: StudyId) -> Result<Option<Objection>, WalletError> {
    let (copy, proved) = (vault.get::<CopyOf>(study.as_bytes())?, proved(vault, study)?);
    Ok(copy.zip(proved).and_then(|(copy, Proved { record, .. })| {
        (record.manifest_root != copy.root).then_some(Objection::Replaced { copy: copy.revision, now: record.revision })
    }))
}

/// What is to be said to whoever holds a study, or held it, with this key.
pub(crate) fn to_holder(proved: Option<&Proved>, holder: &Key) -> Option<Objection> {
    let proved = proved?;
    by_standing(&proved.record, proved.time)
        .or_else(|| (proved.record.holder != *holder).then_some(Objection::OtherHolder))
}

/// The newest that was proven of a study.
pub(crate) fn proved(vault: &Vault, study: StudyId) -> Result<Option<Proved>, WalletError> {
    Ok(vault.get::<Proved>(study.as_bytes())?)
}

/// Keeps what was proven of a study, if that is news.
pub(crate) fn keep(vault: &Vault, study: StudyId, record: &Study, proven: &Proven) -> Result<(), WalletError> {
    let time = proven.rows.head()?.time;
    // What is the same an hour later is not written again, unless something has lapsed meanwhile.
    let is_same = |before: &Proved| {
        before.record == *record
            && before.record.standings(before.time) == record.standings(time)
            && time.timestamp() < before.time.timestamp().plus(HOUR_MS)
    };
    let is_known = |before: &Proved| before.height >= proven.height || is_same(before);
    if !proved(vault, study)?.as_ref().is_some_and(is_known) {
        vault.put(study.as_bytes(), &Proved { record: record.clone(), height: proven.height, time })?;
    }
    Ok(())
}

/// Writes down that a copy is used in spite of something: before it is.
pub(crate) fn note(
    vault: &Vault,
    study: StudyId,
    what: &str,
    why: &Objection,
    at: Timestamp,
) -> Result<(), WalletError> {
    let id = [&study.as_bytes()[..], &at.0.to_be_bytes(), &random::<8>()?].concat();
    Ok(vault.put(&id, &InSpiteOf { study, what: text(what), why: text(&why.to_string()), at })?)
}

/// What was written down of a study's copy, the earliest first.
pub(crate) fn noted(vault: &Vault, study: StudyId) -> Result<Vec<InSpiteOf>, WalletError> {
    let all = vault.all::<InSpiteOf>()?.into_iter().map(|(_, row)| row);
    Ok(all.filter(|row| row.study == study).collect())
}

/// As much of a text as is kept, without what does not show.
fn text<const MAX: usize>(said: &str) -> Text<MAX> {
    let mut kept = String::new();
    for char in said.chars() {
        let char = if Text::<4>::new(char.to_string()).is_ok() { char } else { '?' };
        if kept.len() + char.len_utf8() > MAX {
            break;
        }
        kept.push(char);
    }
    Text::new(kept).unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests {
    use clavicle_ledger::encoding::{Ascending, Bytes};
    use clavicle_ledger::id::{EventHash, GrantId, ManifestRoot, SourceId, TermsCommitment};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::salt::Salt;
    use clavicle_ledger::study::{Capacity, DayCounts, LiveGrant, Status};
    use clavicle_ledger::terms::{PurposeOfUse, SeriesScope, Terms};
    use clavicle_ledger::time::{DAY_MS, Day};
    use clavicle_manifest::Uid;

    use super::*;

    pub(crate) const NOW: Timestamp = Timestamp(20_000 * DAY_MS);
    const GRANT: GrantId = GrantId::from_bytes([3; 32]);

    fn key(number: u8) -> Key {
        SecretKey::from_bytes(&[number; 32]).public()
    }

    /// A study as it was proven at height 9, with the grant on it.
    pub(crate) fn proved(edit: impl FnOnce(&mut Study)) -> Proved {
        let live = LiveGrant {
            id: GRANT,
            grantee: key(2),
            expiry_day: Day(20_030),
            terms: TermsCommitment::from_bytes([4; 32]),
            by: Capacity::Holder,
        };
        let mut record = Study {
            source: SourceId::from_bytes([5; 32]),
            holder: key(1),
            delegates: Ascending::new(),
            status: Status::Active,
            status_number: 0,
            frozen: false,
            revision: 0,
            manifest_root: ManifestRoot::from_bytes([6; 32]),
            open: false,
            grants: Ascending::from_items(vec![live]).unwrap(),
            tombstones: Ascending::new(),
            today: DayCounts::default(),
            pending_recovery: None,
            last_recovery: None,
            vetoed: None,
            defined_in: 0,
            events: 2,
            event_hash: EventHash::from_bytes([7; 32]),
        };
        edit(&mut record);
        Proved { record, height: 9, time: BlockTime(NOW) }
    }

    pub(crate) fn received() -> Received {
        Received {
            study: StudyId::from_bytes([8; 32]),
            source: SourceId::from_bytes([5; 32]),
            salt: Salt::from_bytes([9; 32]),
            study_instance_uid: Uid::new("1.2.3").unwrap(),
            description: Text::default(),
            grant: GRANT,
            grantee: 0,
            terms: Terms {
                not_before: NOW,
                expires: NOW.plus(7 * DAY_MS),
                series: SeriesScope::All,
                purpose: PurposeOfUse::Treatment,
                revision: 0,
                manifest_root: ManifestRoot::from_bytes([6; 32]),
                later_revisions: true,
                staleness_ms: 0,
                emergency: false,
                note: Bytes::default(),
                blinding: [0; 32],
                conditions: None,
            },
            final_at: 8,
            at: NOW,
        }
    }

    #[test]
    fn what_was_proven_last_decides_however_late_it_is() {
        let late = NOW.plus(3 * DAY_MS);
        let said = |edit: fn(&mut Study), now| to_grantee(Some(&proved(edit)), &received(), now);
        assert_eq!(said(|_| {}, late), None);
        // Nobody was asked yet: a letter alone says nothing.
        assert_eq!(to_grantee(None, &received(), late), Some(Objection::Unproven));
        let over = Some(Objection::GrantOver(received().terms.expires));
        assert_eq!(said(|_| {}, NOW.plus(7 * DAY_MS)), over);
        assert_eq!(to_grantee(None, &received(), NOW.plus(7 * DAY_MS)), over);
        assert_eq!(said(|record| record.grants = Ascending::new(), late), Some(Objection::GrantGone { height: 9 }));
        // Proven before it was granted, it says nothing about it.
        let gone = || proved(|record| record.grants = Ascending::new());
        let early = Proved { height: 7, ..gone() };
        assert_eq!(to_grantee(Some(&early), &received(), late), Some(Objection::Unproven));
        // A suspension that would have lapsed by the wallet's own clock has not by what was proven.
        let until = Some(NOW.plus(DAY_MS));
        let suspended = Proved {
            record: Study { status: Status::Suspended { until, reason: Reason::Quality }, ..proved(|_| {}).record },
            ..proved(|_| {})
        };
        let standing = Some(Objection::Standing(Standing::Suspended(Reason::Quality)));
        assert_eq!(to_grantee(Some(&suspended), &received(), late), standing);
        assert_eq!(to_holder(Some(&suspended), &key(1)), standing);
        assert_eq!(to_holder(Some(&proved(|_| {})), &key(1)), None);
        assert_eq!(to_holder(Some(&proved(|_| {})), &key(9)), Some(Objection::OtherHolder));
    }

    #[test]
    fn a_letter_that_is_final_later_than_all_blocks_is_believed_no_more_than_any_other() {
        let forged = Received { final_at: Height::MAX, grant: GrantId::from_bytes([9; 32]), ..received() };
        assert_eq!(to_grantee(Some(&proved(|_| {})), &forged, NOW), Some(Objection::Unproven));
        // Once a block is newer than the letter, what it does not show was not granted.
        let newer = Proved { time: BlockTime(NOW.plus(1)), ..proved(|_| {}) };
        assert_eq!(to_grantee(Some(&newer), &forged, NOW), Some(Objection::GrantGone { height: 9 }));
    }

    #[test]
    fn a_copy_of_what_was_replaced_is_objected_to() {
        let folder = tempfile::tempdir().unwrap();
        let passphrase = crate::vault::Passphrase::new("four words of it".to_owned()).unwrap();
        let (vault, study) = (Vault::create(folder.path(), &passphrase).unwrap(), StudyId::from_bytes([8; 32]));
        assert_eq!(to_copy(&vault, study).unwrap(), None);
        let copy = CopyOf { revision: 0, root: ManifestRoot::from_bytes([6; 32]), at: NOW };
        vault.put(study.as_bytes(), &copy).unwrap();
        vault.put(study.as_bytes(), &proved(|_| {})).unwrap();
        assert_eq!(to_copy(&vault, study).unwrap(), None);
        let revised = proved(|record| (record.revision, record.manifest_root) = (1, ManifestRoot::from_bytes([7; 32])));
        vault.put(study.as_bytes(), &revised).unwrap();
        let said = to_copy(&vault, study).unwrap().unwrap();
        assert_eq!(said, Objection::Replaced { copy: 0, now: 1 });
        assert_eq!((said.code(), said.is_wrong_patient()), ("replaced", false));
    }

    #[test]
    fn another_patients_comes_before_everything_else() {
        let gone = |record: &mut Study| {
            (record.grants, record.holder) = (Ascending::new(), key(9));
            record.status = Status::Withdrawn { reason: Reason::WrongPatient };
        };
        for said in [
            to_grantee(Some(&proved(gone)), &received(), NOW.plus(30 * DAY_MS)),
            to_holder(Some(&proved(gone)), &key(1)),
        ] {
            let said = said.unwrap();
            assert!(said.is_wrong_patient() && said.state() == "wrong_patient", "{said}");
            assert!(said.to_string().contains("these are another patient's images"), "{said}");
        }
    }

    #[test]
    fn what_is_kept_fits_and_shows() {
        assert_eq!(text::<8>("a\u{202e}b\nüüü").as_str(), "a?b?üü");
    }
}
