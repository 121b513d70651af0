//! A study on the ledger: one record, one leaf, everything about it.
//!
//! Because the leaf covers the whole record, one proof tells a phone "this is all there is": who holds the study, who
//! may fetch it, what was revoked, and how many events led here (RULES §5).

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::{self, Ascending, DecodeError, Entry, Wire};
use crate::id::{ChainId, EventHash, GrantId, ManifestRoot, SourceId, TermsCommitment, TxId};
use crate::key::Key;
use crate::time::{BlockTime, Day, Epoch, Height, Timestamp};

/// Most live grants by the holder on one study.
pub const MAX_HOLDER_GRANTS: usize = 48;
/// Most live grants by all delegates together on one study.
pub const MAX_DELEGATE_GRANTS: usize = 16;
/// Most live grants on one study.
pub const MAX_GRANTS: usize = 64;
/// Most delegates of one study.
pub const MAX_DELEGATES: usize = 8;
/// Most tombstones on one study; of these, all delegates together may leave [`MAX_DELEGATE_TOMBSTONES`].
pub const MAX_TOMBSTONES: usize = 64;
/// Most tombstones by all delegates together on one study.
pub const MAX_DELEGATE_TOMBSTONES: usize = 16;

/// The ledger's record of a study.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Study {
    /// Who made and keeps it.
    pub source: SourceId,
    /// Who controls it.
    pub holder: Key,
    /// Whom the holder lets grant in their place.
    pub delegates: Ascending<Delegate, MAX_DELEGATES>,
    /// Whether it is served.
    pub status: Status,
    /// How often the status was set.
    pub status_number: u32,
    /// A recovery was asked for again after one was vetoed: nothing new is granted until a vote settles who holds it.
    pub frozen: bool,
    /// The manifest's revision; the first is 0.
    pub revision: u32,
    /// The manifest's root at that revision.
    pub manifest_root: ManifestRoot,
    /// More instances are expected.
    pub open: bool,
    /// Who may fetch, swept of what has ended when next touched.
    pub grants: Ascending<LiveGrant, MAX_GRANTS>,
    /// Grants revoked before they arrived.
    pub tombstones: Ascending<Tombstone, MAX_TOMBSTONES>,
    /// What was done on the newest day on which anything that is counted was.
    pub today: DayCounts,
    /// A recovery on its way.
    pub pending_recovery: Option<PendingRecovery>,
    /// When a recovery was last asked for.
    pub last_recovery: Option<BlockTime>,
    /// When a recovery was last vetoed, since it was last recovered or settled: the next one freezes the study.
    pub vetoed: Option<BlockTime>,
    /// The epoch in which it was defined, for its source's voting power.
    pub defined_in: Epoch,
    /// Transactions that touched it, so far.
    pub events: u64,
    /// These transactions, hashed into each other.
    pub event_hash: EventHash,
}

impl Study {
    /// Who holds the study of this row, without reading all of it.
    ///
    /// # Errors
    /// [`DecodeError`] when the row is too short to be one; nothing else is looked at.
    pub fn holder_in(row: &[u8]) -> Result<Key, DecodeError> {
        let (_source, holder) = encoding::decode_beginning::<Self, (SourceId, Key)>(row)?;
        Ok(holder)
    }
}

impl Wire for Study {
    const NAME: &'static str = "a study's record";
    const MAX_LEN: usize = 32 * 1024;
}

/// Whether a study is served, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Status {
    /// Served to those granted.
    Active,
    /// Not served for a while.
    Suspended {
        /// When it lapses unless renewed; never, where a lapse would show one patient another's images.
        until: Option<Timestamp>,
        /// Why.
        reason: Reason,
    },
    /// Never served again.
    Withdrawn {
        /// Why.
        reason: Reason,
    },
}

/// Why a source stopped serving a study. The first four follow the IHE IOCM rejection codes (DICOM PS3.16 CID 7011).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Reason {
    /// 113001 "Rejected for Quality Reasons".
    Quality,
    /// 113037 "Rejected for Patient Safety Reasons".
    PatientSafety,
    /// 113038 "Incorrect Modality Worklist Entry": these are another patient's images. Not even the holder fetches.
    WrongPatient,
    /// 113039 "Data Retention Policy Expired".
    Retention,
    /// Being looked into.
    UnderReview,
    /// By order of an authority.
    LegalOrder,
    /// Nothing above.
    Other,
}

impl core::fmt::Display for Reason {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Quality => "for its quality",
            Self::PatientSafety => "for the patient's safety",
            Self::WrongPatient => "these are another patient's images",
            Self::Retention => "it no longer has to be kept",
            Self::UnderReview => "it is being looked into",
            Self::LegalOrder => "by order of an authority",
            Self::Other => "for another reason",
        })
    }
}

/// What a delegate is to the holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum DelegateRole {
    /// A parent, child or guardian.
    Guardian,
    /// Somebody who helps.
    Helper,
    /// The hospital's care team; its grants last a day.
    CareTeam,
    /// An emergency card; its grants last a day.
    Emergency,
}

impl DelegateRole {
    /// Whether grants in this role are bound to a day (RULES §3).
    #[must_use]
    pub const fn grants_are_brief(self) -> bool {
        matches!(self, Self::CareTeam | Self::Emergency)
    }
}

/// What a delegate may do, one bit each; bits without a meaning are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Powers(pub u16);

impl Powers {
    /// May grant, and revoke what it granted.
    pub const GRANT: Self = Self(1);
    /// All that have a meaning.
    pub const ALL: Self = Self(1);

    /// Whether all of `powers` are among these.
    #[must_use]
    pub const fn include(self, powers: Self) -> bool {
        self.0 & powers.0 == powers.0
    }
}

/// A key that may grant in the holder's place, until a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Delegate {
    /// The delegate's key.
    pub key: Key,
    /// What it is to the holder.
    pub role: DelegateRole,
    /// What it may do.
    pub powers: Powers,
    /// The first day on which it may no more.
    pub expiry_day: Day,
}

impl Delegate {
    /// Whether the delegation is in force.
    #[must_use]
    pub fn is_live(&self, now: BlockTime) -> bool {
        now.timestamp() < self.expiry_day.start()
    }
}

impl Entry for Delegate {
    type Key = Key;
    fn key(&self) -> &Key {
        &self.key
    }
}

/// Whether a moment has come; one that is not set never does.
fn has_come(moment: Option<Timestamp>, now: BlockTime) -> bool {
    moment.is_some_and(|moment| now.timestamp() >= moment)
}

/// In which capacity somebody granted or revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Capacity {
    /// As the holder of that time; stays the holder's when the study changes hands.
    Holder,
    /// As the delegate with this key; ends with the delegation.
    Delegate(Key),
}

/// A grant as the leaf keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct LiveGrant {
    /// Which.
    pub id: GrantId,
    /// Whose endpoint may fetch.
    pub grantee: Key,
    /// The first day on which it may no more; the exact moment is in the Terms.
    pub expiry_day: Day,
    /// To which Terms.
    pub terms: TermsCommitment,
    /// In which capacity it was granted.
    pub by: Capacity,
}

impl LiveGrant {
    /// Whether the grant is in force at `now` as far as its day goes, swept or not (RULES §3 "Expiry").
    #[must_use]
    pub fn is_live(&self, now: BlockTime) -> bool {
        now.timestamp() < self.expiry_day.start()
    }
}

impl Entry for LiveGrant {
    type Key = GrantId;
    fn key(&self) -> &GrantId {
        &self.id
    }
}

/// A grant revoked before it arrived: should it still come, it does not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Tombstone {
    /// Which grant, and by whom.
    pub grave: Grave,
    /// The last moment at which it stops the grant; after that the grant is too old to be submitted.
    pub until: Timestamp,
}

/// What a tombstone is found by. The holder's stops the grant whoever made it, a delegate's only if that delegate did; so
/// nobody's tombstone is in the way of another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Grave {
    /// Which grant.
    pub grant: GrantId,
    /// In which capacity it was revoked.
    pub by: Capacity,
}

impl Entry for Tombstone {
    type Key = Grave;
    fn key(&self) -> &Grave {
        &self.grave
    }
}

/// What was done on one day that there is a limit to; the holder's and delegates' grants apart, so that neither uses up
/// the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct DayCounts {
    /// The day.
    pub day: Day,
    /// Grants by the holder.
    pub holder_grants: u16,
    /// Grants by delegates.
    pub delegate_grants: u16,
    /// Delegations made or changed.
    pub delegations: u16,
    /// Transfers.
    pub transfers: u16,
}

impl DayCounts {
    /// The same, with its counts at zero if `day` is another one.
    #[must_use]
    pub fn on(self, day: Day) -> Self {
        if self.day == day { self } else { Self { day, ..Self::default() } }
    }
}

/// A recovery that was asked for and can be completed later, unless vetoed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct PendingRecovery {
    /// The transaction that asked for it.
    pub id: TxId,
    /// Who is to hold the study.
    pub new_holder: Key,
    /// When it was asked for.
    pub since: BlockTime,
    /// At which height.
    pub since_height: Height,
}

/// A column of the status table of RULES §4, plus what the table leaves to this record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Served, and everything may be done.
    Active,
    /// Not served for a while.
    Suspended(Reason),
    /// Never served again.
    Withdrawn(Reason),
    /// A recovery was asked for again after one was vetoed.
    Frozen,
}

/// A row of the status table of RULES §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Deed {
    /// A grantee fetches; on a frozen study with what was granted before, since nothing is granted after.
    GranteeFetch,
    /// The holder fetches.
    HolderFetch,
    /// Grant.
    Grant,
    /// Delegate.
    Delegate,
    /// Revoke.
    Revoke,
    /// Undelegate.
    Undelegate,
    /// Veto.
    Veto,
    /// TransferStudy.
    TransferStudy,
    /// RecoverStudy.
    RecoverStudy,
    /// ReviseStudy.
    ReviseStudy,
}

impl Standing {
    /// The status table of RULES §4: whether `deed` may be done on a study in this standing.
    #[must_use]
    pub const fn permits(self, deed: Deed) -> bool {
        match (deed, self) {
            (Deed::GranteeFetch, standing) => matches!(standing, Self::Active | Self::Frozen),
            (Deed::HolderFetch, Self::Suspended(reason)) => !matches!(reason, Reason::WrongPatient),
            (Deed::HolderFetch, standing) => !matches!(standing, Self::Withdrawn(_)),
            (Deed::Grant | Deed::Delegate, standing) => matches!(standing, Self::Active),
            (Deed::Revoke | Deed::Undelegate | Deed::Veto, _) => true,
            (Deed::TransferStudy | Deed::RecoverStudy, standing) => {
                matches!(standing, Self::Active | Self::Suspended(_))
            }
            (Deed::ReviseStudy, standing) => !matches!(standing, Self::Withdrawn(_)),
        }
    }
}

impl core::fmt::Display for Standing {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Suspended(_) => "suspended",
            Self::Withdrawn(_) => "withdrawn",
            Self::Frozen => "frozen",
        })
    }
}

/// What ended by itself when time went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
#[non_exhaustive]
pub enum Lapse {
    /// A grant's last day passed, or its granter's as a delegate.
    Grant(GrantId),
    /// A delegation's last day passed.
    Delegation(Key),
    /// A tombstone is no longer needed.
    Tombstone(Grave),
    /// A suspension was not renewed.
    Suspension,
}

impl Study {
    /// The standings that bind the study at `now`: by its status, where a suspension that was not renewed is over, and
    /// frozen or not. What both permit is permitted.
    #[must_use]
    pub fn standings(&self, now: BlockTime) -> [Standing; 2] {
        let by_status = match self.status {
            Status::Suspended { until, reason } if !has_come(until, now) => Standing::Suspended(reason),
            Status::Active | Status::Suspended { .. } => Standing::Active,
            Status::Withdrawn { reason } => Standing::Withdrawn(reason),
        };
        [by_status, if self.frozen { Standing::Frozen } else { Standing::Active }]
    }

    /// Whether `deed` may be done on the study at `now`; if not, the standing that forbids it.
    ///
    /// # Errors
    /// The first [`Standing`] whose column of the status table says no.
    pub fn permits(&self, deed: Deed, now: BlockTime) -> Result<(), Standing> {
        self.standings(now).into_iter().find(|standing| !standing.permits(deed)).map_or(Ok(()), Err)
    }

    /// In which capacity `key` speaks for the study at `now`, if in any.
    #[must_use]
    pub fn capacity(&self, key: &Key, now: BlockTime) -> Option<Capacity> {
        if *key == self.holder {
            return Some(Capacity::Holder);
        }
        self.delegates.find(key).filter(|delegate| delegate.is_live(now)).map(|_| Capacity::Delegate(*key))
    }

    /// Whether a tombstone stops the grant `id` by `granter`: the holder's, or one it left itself when it was a delegate,
    /// also if it holds the study now.
    #[must_use]
    pub fn is_buried(&self, id: GrantId, granter: &Key, now: BlockTime) -> bool {
        [Capacity::Holder, Capacity::Delegate(*granter)]
            .into_iter()
            .filter_map(|by| self.tombstones.find(&Grave { grant: id, by }))
            .any(|stone| now.timestamp() <= stone.until)
    }

    /// Takes out what has ended. Changes no answer about the present: everything it removes was already without effect.
    pub fn settle(&mut self, now: BlockTime) -> Vec<Lapse> {
        let mut lapses = Vec::new();
        self.delegates.retain(|delegate| {
            delegate.is_live(now) || {
                lapses.push(Lapse::Delegation(delegate.key));
                false
            }
        });
        // A delegate's grant ends with the delegation, for good: were the key a delegate again, the grant would be back.
        let delegates = &self.delegates;
        self.grants.retain(|grant| {
            let granter = match grant.by {
                Capacity::Holder => true,
                Capacity::Delegate(key) => delegates.find(&key).is_some(),
            };
            (granter && grant.is_live(now)) || {
                lapses.push(Lapse::Grant(grant.id));
                false
            }
        });
        self.tombstones.retain(|stone| {
            now.timestamp() <= stone.until || {
                lapses.push(Lapse::Tombstone(stone.grave));
                false
            }
        });
        if let Status::Suspended { until, .. } = self.status
            && has_come(until, now)
        {
            self.status = Status::Active;
            lapses.push(Lapse::Suspension);
        }
        lapses
    }

    /// When the next thing on the study ends by itself.
    #[must_use]
    pub fn next_end(&self) -> Option<Timestamp> {
        let suspension = match self.status {
            Status::Suspended { until, .. } => until,
            Status::Active | Status::Withdrawn { .. } => None,
        };
        // A tombstone still stands at its last moment.
        let tombstones = self.tombstones.iter().map(|stone| stone.until.plus(1));
        let grants = self.grants.iter().map(|grant| grant.expiry_day.start());
        let delegates = self.delegates.iter().map(|delegate| delegate.expiry_day.start());
        suspension.into_iter().chain(tombstones).chain(grants).chain(delegates).min()
    }

    /// Ends the grants that `ends` says, and returns them.
    pub(crate) fn end_grants(&mut self, ends: impl Fn(&LiveGrant) -> bool) -> Vec<GrantId> {
        let mut ended = Vec::new();
        self.grants.retain(|grant| {
            let goes = ends(grant);
            if goes {
                ended.push(grant.id);
            }
            !goes
        });
        ended
    }

    /// Gives the study to a new holder: delegations end, and all grants but the holder's, if those are kept. Returns the
    /// grants that ended.
    pub(crate) fn change_hands(&mut self, new_holder: Key, keep_grants: bool) -> Vec<GrantId> {
        self.holder = new_holder;
        self.delegates = Ascending::new();
        self.end_grants(|grant| !(keep_grants && grant.by == Capacity::Holder))
    }

    /// Counts a transaction that touched the study.
    pub(crate) fn record_event(&mut self, chain: &ChainId, event: TxId, height: Height) {
        self.events = self.events.saturating_add(1);
        self.event_hash = self.event_hash.then(chain, event, height);
    }
}
