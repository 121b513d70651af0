//! The rules of the ledger once more, told as dully as possible: the oracle that the real one is held against.
//!
//! Written from RULES.md (§2 to §6), not from the code under test, so that a mistake has to be made twice to go
//! unnoticed. Everything is a list, looked through from the front, and nothing is swept, ever: every grant, tombstone
//! and transaction id is kept, and what is live is worked out from the time whenever somebody asks. From the crate come
//! plain data and ids, and none of its arithmetic.
//!
//! Whoever calls has been through `check_stateless`; what it refuses is not refused again. What the ledger keeps and
//! never looks at (names, addresses, terms, requests, the running event hash) is not here.

use clavicle_ledger::action::{DefineSource, DefineStudy, Grant, NewStatus, ReviseStudy, Revoke, SetStatus};
use clavicle_ledger::genesis::{Genesis, Parameters};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, SourceId, StudyId, TxId};
use clavicle_ledger::key::Key;
use clavicle_ledger::source::{KeyRole, SourceKeys, SourceKind};
use clavicle_ledger::study::{Delegate, DelegateRole, Powers, Reason};
use clavicle_ledger::time::{BlockTime, Day};
use clavicle_ledger::transaction::{Action, Body};

/// Milliseconds in a day (§3 "Expiry").
const DAY_MS: u64 = 86_400_000;
/// Live grants by the holder on one study (§3 Grant).
const HOLDER_GRANTS: usize = 48;
/// Live grants by all delegates together on one study (§3 Grant).
const DELEGATE_GRANTS: usize = 16;
/// Tombstones on one study (§3 Revoke).
const TOMBSTONES: usize = 64;
/// Of these, by all delegates together.
const DELEGATE_TOMBSTONES: usize = 16;

/// A ledger, as of the block it is in.
#[derive(Clone)]
pub struct Model {
    rules: Parameters,
    now_ms: u64,
    epoch_began_ms: u64,
    chain: ChainId,
    /// Every transaction ever, and until when it could have been submitted again.
    executed: Vec<(TxId, u64)>,
    /// Every key ever announced, whose it is and what for.
    used_keys: Vec<(Key, SourceId, KeyRole)>,
    sources: Vec<Source>,
    studies: Vec<Study>,
}

#[derive(Clone)]
struct Source {
    id: SourceId,
    identity: Key,
    kind: SourceKind,
    version: u64,
    keys_in_force: SourceKeys,
    /// In force when the next epoch begins.
    keys_announced: SourceKeys,
    announcements_in_epoch: u32,
    studies_in_epoch: u32,
    revisions_in_epoch: u32,
    statuses_in_epoch: u32,
}

#[derive(Clone)]
struct Study {
    id: StudyId,
    source: SourceId,
    holder: Key,
    delegates: Vec<Delegate>,
    revision: u32,
    manifest_root: ManifestRoot,
    open: bool,
    status_set: SeenStatus,
    status_set_ms: u64,
    status_number: u32,
    grants: Vec<Granted>,
    tombstones: Vec<Tombstone>,
    events: u64,
}

/// Whose word it was.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Holder,
    Delegate(Key),
}

/// A grant that was executed, live or not.
#[derive(Clone)]
struct Granted {
    id: GrantId,
    by: By,
    grantee: Key,
    expiry_day: Day,
    /// The day it was made on, counted since 1970.
    made_on: u64,
    /// Revoked, or replaced by the holder's.
    ended: bool,
}

/// A Revoke that found nothing to end.
#[derive(Clone)]
struct Tombstone {
    grant: GrantId,
    by: By,
    /// The last moment at which it stands.
    until_ms: u64,
}

/// What an observer may rely on about a study at one time; what has ended is left out.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub source: SourceId,
    pub holder: Key,
    pub revision: u32,
    pub manifest_root: ManifestRoot,
    pub open: bool,
    pub status: SeenStatus,
    pub status_number: u32,
    /// Grant, grantee, expiry day and the delegate who granted; by grant.
    pub grants: Vec<(GrantId, Key, Day, Option<Key>)>,
    /// Grant and the delegate who revoked; by grant, the holder's first.
    pub tombstones: Vec<(GrantId, Option<Key>)>,
    /// In the order of their keys.
    pub delegates: Vec<Key>,
    /// Transactions that touched the study.
    pub events: u64,
}

/// A study's status at one time: a suspension that lapsed reads as active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeenStatus {
    Active,
    Suspended(Reason),
    Withdrawn(Reason),
}

impl Model {
    /// The ledger before its first block: the genesis's sources at version 0, their keys in force.
    pub fn new(genesis: &Genesis) -> Self {
        let chain = genesis.chain_id();
        let mut model = Self {
            rules: genesis.parameters,
            now_ms: genesis.time.0.0,
            epoch_began_ms: genesis.time.0.0,
            chain,
            executed: Vec::new(),
            used_keys: Vec::new(),
            sources: Vec::new(),
            studies: Vec::new(),
        };
        for source in genesis.sources.iter() {
            let id = SourceId::of_identity(&chain, &source.identity);
            model.used_keys.push((source.identity, id, KeyRole::Identity));
            for (key, role) in with_roles(&source.announcement.keys) {
                model.used_keys.push((key, id, role));
            }
            model.sources.push(Source {
                id,
                identity: source.identity,
                kind: source.announcement.kind,
                version: 0,
                keys_in_force: source.announcement.keys.clone(),
                keys_announced: source.announcement.keys.clone(),
                announcements_in_epoch: 0,
                studies_in_epoch: 0,
                revisions_in_epoch: 0,
                statuses_in_epoch: 0,
            });
        }
        model
    }

    /// Starts a block. Once the epoch has lasted long enough this block begins the next (§6), with the keys announced
    /// and nothing used of any quota. No action here asks for the height.
    pub fn begin_block(&mut self, _height: u64, time: BlockTime) {
        self.now_ms = time.0.0;
        if self.now_ms < self.epoch_began_ms.saturating_add(self.rules.epoch_ms) {
            return;
        }
        self.epoch_began_ms = self.now_ms;
        for source in &mut self.sources {
            source.keys_in_force = source.keys_announced.clone();
            source.announcements_in_epoch = 0;
            source.studies_in_epoch = 0;
            source.revisions_in_epoch = 0;
            source.statuses_in_epoch = 0;
        }
    }

    /// Executes a transaction whose signatures hold: true if it was done, false if it was refused and changed nothing.
    pub fn execute(&mut self, id: TxId, body: &Body) -> bool {
        let Body { submit_by, nonce: _, action } = body;
        if self.executed.iter().any(|(done, _)| *done == id) {
            return false;
        }
        if submit_by.0 < self.now_ms || submit_by.0 > self.now_ms.saturating_add(self.rules.submit_window_ms) {
            return false;
        }
        let done = match action {
            Action::DefineSource(action) => self.define_source(action),
            Action::DefineStudy(action) => self.define_study(action),
            Action::ReviseStudy(action) => self.revise_study(action),
            Action::SetStatus(action) => self.set_status(action),
            Action::Grant(action) => self.grant(GrantId::from(id), action),
            Action::Revoke(action) => self.revoke(action),
            unknown => panic!("the model has no rules for {unknown:?}"),
        };
        if done {
            self.executed.push((id, submit_by.0));
        }
        done
    }

    /// The study as it is now, if there is one.
    pub fn study(&self, id: StudyId) -> Option<Seen> {
        let now_ms = self.now_ms;
        let study = self.studies.iter().find(|known| known.id == id)?;
        let grants = study.grants.iter().filter(|grant| study.is_live(grant, now_ms));
        let tombstones = study.tombstones.iter().filter(|tombstone| now_ms <= tombstone.until_ms);
        let delegates = study.delegates.iter().filter(|delegate| now_ms < start_ms(delegate.expiry_day));
        Some(Seen {
            source: study.source,
            holder: study.holder,
            revision: study.revision,
            manifest_root: study.manifest_root,
            open: study.open,
            status: study.status(now_ms, &self.rules),
            status_number: study.status_number,
            grants: sorted(grants.map(|grant| (grant.id, grant.grantee, grant.expiry_day, grant.by.delegate()))),
            tombstones: sorted(tombstones.map(|tombstone| (tombstone.grant, tombstone.by.delegate()))),
            delegates: sorted(delegates.map(|delegate| delegate.key)),
            events: study.events,
        })
    }

    /// Whether `remote` may fetch `study` under `grant` now, as far as the ledger goes (§4 "grantee fetches").
    pub fn grantee_may_fetch(&self, study: StudyId, grant: GrantId, remote: Key) -> bool {
        let Some(seen) = self.study(study) else { return false };
        seen.status == SeenStatus::Active
            && seen.grants.iter().any(|(id, grantee, _, _)| *id == grant && *grantee == remote)
    }

    /// Whether `remote` may fetch `study` as its holder now, as far as the ledger goes (§4 "holder fetches").
    pub fn holder_may_fetch(&self, study: StudyId, remote: Key) -> bool {
        let Some(seen) = self.study(study) else { return false };
        let served = match seen.status {
            SeenStatus::Active => true,
            SeenStatus::Suspended(reason) => reason != Reason::WrongPatient,
            SeenStatus::Withdrawn(_) => false,
        };
        served && seen.holder == remote
    }

    fn define_source(&mut self, action: &DefineSource) -> bool {
        let DefineSource { identity, version, announcement } = action;
        let Some(source) = self.sources.iter_mut().find(|known| known.identity == *identity) else { return false };
        if Some(*version) != source.version.checked_add(1)
            || announcement.kind != source.kind
            || source.announcements_in_epoch >= self.rules.announcements_per_epoch
        {
            return false;
        }
        let mut used_keys = self.used_keys.clone();
        for (key, role) in with_roles(&announcement.keys) {
            if used_keys.iter().any(|used| used.0 == key && *used != (key, source.id, role)) {
                return false;
            }
            used_keys.push((key, source.id, role));
        }
        self.used_keys = used_keys;
        source.version = *version;
        source.announcements_in_epoch += 1;
        source.keys_announced = announcement.keys.clone();
        true
    }

    fn define_study(&mut self, action: &DefineStudy) -> bool {
        let DefineStudy { digest, source, holder, delegates, manifest_root, open } = action;
        let Some(source) = self.sources.iter_mut().find(|known| known.keys_in_force.operational == *source) else {
            return false;
        };
        let id = StudyId::of(&self.chain, source.id, *digest);
        if self.studies.iter().any(|known| known.id == id)
            || source.studies_in_epoch >= self.rules.studies_per_epoch
            || delegates.iter().any(|delegate| self.now_ms >= start_ms(delegate.expiry_day))
        {
            return false;
        }
        source.studies_in_epoch += 1;
        self.studies.push(Study {
            id,
            source: source.id,
            holder: *holder,
            delegates: delegates.to_vec(),
            revision: 0,
            manifest_root: *manifest_root,
            open: *open,
            status_set: SeenStatus::Active,
            status_set_ms: self.now_ms,
            status_number: 0,
            grants: Vec::new(),
            tombstones: Vec::new(),
            events: 1,
        });
        true
    }

    fn revise_study(&mut self, action: &ReviseStudy) -> bool {
        let ReviseStudy { study, source, revision, manifest_root, open } = action;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(source) = speaking(&mut self.sources, study.source, *source) else { return false };
        if source.revisions_in_epoch >= self.rules.revisions_per_epoch
            || matches!(study.status(self.now_ms, &self.rules), SeenStatus::Withdrawn(_))
            || Some(*revision) != study.revision.checked_add(1)
        {
            return false;
        }
        source.revisions_in_epoch += 1;
        study.revision = *revision;
        study.manifest_root = *manifest_root;
        study.open = *open;
        study.events += 1;
        true
    }

    fn set_status(&mut self, action: &SetStatus) -> bool {
        let SetStatus { study, source, number, status } = action;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(source) = speaking(&mut self.sources, study.source, *source) else { return false };
        if source.statuses_in_epoch >= self.rules.statuses_per_epoch
            || Some(*number) != study.status_number.checked_add(1)
        {
            return false;
        }
        let set = match (study.status(self.now_ms, &self.rules), status) {
            (SeenStatus::Withdrawn(_), _) | (SeenStatus::Active, NewStatus::Active) => return false,
            (SeenStatus::Suspended(_), NewStatus::Active) => SeenStatus::Active,
            (_, NewStatus::Suspended(reason)) => SeenStatus::Suspended(*reason),
            (_, NewStatus::Withdrawn(reason)) => SeenStatus::Withdrawn(*reason),
        };
        source.statuses_in_epoch += 1;
        study.status_set = set;
        study.status_set_ms = self.now_ms;
        study.status_number = *number;
        study.events += 1;
        true
    }

    fn grant(&mut self, id: GrantId, action: &Grant) -> bool {
        let Grant { study, granter, grantee, expiry_day, terms: _, request: _ } = action;
        let (now_ms, today, rules) = (self.now_ms, self.now_ms / DAY_MS, self.rules);
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(by) = study.speaks_as(*granter, now_ms) else { return false };
        if study.status(now_ms, &rules) != SeenStatus::Active {
            return false;
        }

        // How long it may last.
        let last_day = u64::from(expiry_day.0);
        if now_ms >= start_ms(*expiry_day) || last_day > today.saturating_add(u64::from(rules.max_grant_days)) {
            return false;
        }
        if let Some(delegate) = study.delegates.iter().find(|delegate| by == By::Delegate(delegate.key)) {
            let brief = matches!(delegate.role, DelegateRole::CareTeam | DelegateRole::Emergency);
            let brief_until_ms = now_ms.saturating_add(rules.brief_grant_ms);
            if delegate.powers.0 & Powers::GRANT.0 == 0
                || *expiry_day > delegate.expiry_day
                || (brief && last_day > brief_until_ms.div_ceil(DAY_MS))
            {
                return false;
            }
        }

        // Revoked before it came: by any holder, or by the granter itself as a delegate.
        if study.tombstones.iter().any(|tombstone| {
            let stops = tombstone.by == By::Holder || tombstone.by == By::Delegate(*granter);
            tombstone.grant == id && now_ms <= tombstone.until_ms && stops
        }) {
            return false;
        }

        // One live grant per grantee; the holder's takes the place of a delegate's.
        let before = study.grants.iter().position(|known| known.grantee == *grantee && study.is_live(known, now_ms));
        if before.is_some_and(|at| by != By::Holder || study.grants[at].by == By::Holder) {
            return false;
        }

        // How many may be live, and be made in a day: the holder's and delegates' apart. What a holder's grant replaces
        // is a delegate's, so that it is not in the holder's count.
        let same_side = |other: By| (other == By::Holder) == (by == By::Holder);
        let live = study.grants.iter().filter(|grant| same_side(grant.by) && study.is_live(grant, now_ms)).count();
        let made = study.grants.iter().filter(|grant| same_side(grant.by) && grant.made_on == today).count();
        let (most_live, most_made) = match by {
            By::Holder => (HOLDER_GRANTS, rules.holder_grants_per_day),
            By::Delegate(_) => (DELEGATE_GRANTS, rules.delegate_grants_per_day),
        };
        if live >= most_live || made >= usize::from(most_made) {
            return false;
        }

        if let Some(at) = before {
            study.grants[at].ended = true;
        }
        study.grants.push(Granted { id, by, grantee: *grantee, expiry_day: *expiry_day, made_on: today, ended: false });
        study.events += 1;
        true
    }

    fn revoke(&mut self, action: &Revoke) -> bool {
        let Revoke { study, revoker, grant, grant_submit_by } = action;
        let now_ms = self.now_ms;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(by) = study.speaks_as(*revoker, now_ms) else { return false };

        // A live grant ends, by the holder's word or by its granter's.
        if let Some(at) = study.grants.iter().position(|known| known.id == *grant && study.is_live(known, now_ms)) {
            let may = by == By::Holder || by == study.grants[at].by;
            if may {
                study.grants[at].ended = true;
                study.events += 1;
            }
            return may;
        }

        // What came and is over cannot come again, as long as that is remembered.
        let came = |(id, submit_by_ms): &(TxId, u64)| *grant == GrantId::from(*id) && now_ms <= *submit_by_ms;
        // And what could come later than anything is remembered must be revoked later.
        let latest_ms = (now_ms / DAY_MS + u64::from(self.rules.max_grant_days)) * DAY_MS;
        if self.executed.iter().any(came) || grant_submit_by.0 > latest_ms {
            return false;
        }

        // Anything else is buried, in case it is still to come.
        let standing = || study.tombstones.iter().filter(|tombstone| now_ms <= tombstone.until_ms);
        if standing().any(|tombstone| tombstone.grant == *grant && tombstone.by == by)
            || standing().count() >= TOMBSTONES
            || (by != By::Holder
                && standing().filter(|tombstone| tombstone.by != By::Holder).count() >= DELEGATE_TOMBSTONES)
        {
            return false;
        }
        let until_ms = now_ms.saturating_add(self.rules.tombstone_ms).max(grant_submit_by.0);
        study.tombstones.push(Tombstone { grant: *grant, by, until_ms });
        study.events += 1;
        true
    }
}

impl Study {
    /// A suspension is over, by itself, after its time; not if the images may be another patient's.
    fn status(&self, now_ms: u64, rules: &Parameters) -> SeenStatus {
        let lapses_ms = self.status_set_ms.saturating_add(rules.suspension_ms);
        match self.status_set {
            SeenStatus::Suspended(reason) if reason != Reason::WrongPatient && now_ms >= lapses_ms => {
                SeenStatus::Active
            }
            status => status,
        }
    }

    /// As whom `key` signs: the holder, a delegate whose time is not over, or nobody.
    fn speaks_as(&self, key: Key, now_ms: u64) -> Option<By> {
        if key == self.holder {
            return Some(By::Holder);
        }
        self.has_delegate(key, now_ms).then_some(By::Delegate(key))
    }

    fn has_delegate(&self, key: Key, now_ms: u64) -> bool {
        self.delegates.iter().any(|delegate| delegate.key == key && now_ms < start_ms(delegate.expiry_day))
    }

    /// Live: its day is ahead, nobody ended it, and a delegate's delegation is not over (§3 Grant, "Expiry").
    fn is_live(&self, grant: &Granted, now_ms: u64) -> bool {
        !grant.ended
            && now_ms < start_ms(grant.expiry_day)
            && match grant.by {
                By::Holder => true,
                By::Delegate(key) => self.has_delegate(key, now_ms),
            }
    }
}

impl By {
    fn delegate(self) -> Option<Key> {
        match self {
            Self::Holder => None,
            Self::Delegate(key) => Some(key),
        }
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = items.collect();
    all.sort();
    all
}

/// The first moment of a day, in milliseconds since 1970.
fn start_ms(day: Day) -> u64 {
    u64::from(day.0) * DAY_MS
}

/// This source, if `key` is its operational key in force (§2).
fn speaking(sources: &mut [Source], source: SourceId, key: Key) -> Option<&mut Source> {
    sources.iter_mut().find(|known| known.id == source && known.keys_in_force.operational == key)
}

/// Every key announced, and what for.
fn with_roles(keys: &SourceKeys) -> Vec<(Key, KeyRole)> {
    let SourceKeys { operational, consensus, transfer, network } = keys;
    let mut all = vec![(*operational, KeyRole::Operational), (*transfer, KeyRole::Transfer)];
    if let Some(key) = consensus {
        all.push((*key, KeyRole::Consensus));
    }
    for key in network.iter() {
        all.push((*key, KeyRole::Network));
    }
    all
}
