//! The rules of the ledger once more, told as dully as possible: the oracle that the real one is held against.
//!
//! Written from RULES.md (§2 to §6, §8 and §9), not from the code under test, so that a mistake has to be made twice to
//! go unnoticed. Everything is a list, looked through from the front, and nothing is swept, ever: every grant, delegation,
//! tombstone, vote, validator set and transaction id is kept, and what is live is worked out from the time whenever
//! somebody asks. From the crate come plain data and ids, and none of its arithmetic.
//!
//! Whoever calls has been through `check_stateless`; what it refuses is not refused again. What the ledger keeps and
//! never looks at (names, addresses, terms, requests, the running event hash) is not here.

use clavicle_ledger::action::{
    Anchor, Conflict, Content, DefineSource, DefineStudy, Delegate, Evidence, Grant, NewStatus, RecoverStudy,
    ReviseStudy, Revoke, SetStatus, TransferStudy, Undelegate, Veto, Vote,
};
use clavicle_ledger::block::CommitCertificate;
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, SourceId, StudyId, TxId};
use clavicle_ledger::key::Key;
use clavicle_ledger::source::{KeyRole, SourceKeys, SourceKind};
use clavicle_ledger::state::Upgrade;
use clavicle_ledger::study::{self, DelegateRole, Powers, Reason};
use clavicle_ledger::time::{BlockTime, Day};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_ledger::vote::VoteKind;

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
/// Live delegations on one study (§3 Delegate).
const DELEGATES: usize = 8;
/// Sources the roster has room for (§8 Admit).
const SOURCES: usize = 1_024;
/// Others who can decide and are left when an equivocation suspends by itself (§9).
const LEFT_TO_DECIDE: usize = 4;
/// Validators from which on none has a third (§6).
const CAPPED_FROM: usize = 4;

/// A ledger, as of the block it is in.
#[derive(Clone)]
pub struct Model {
    rules: Parameters,
    /// From the next epoch on.
    next_rules: Option<Parameters>,
    version: u32,
    upgrade: Option<Upgrade>,
    height: u64,
    now_ms: u64,
    /// The time of the first block after the last time the chain stood still.
    resumed_ms: Option<u64>,
    chain: ChainId,
    /// Every epoch there was; the last is this one.
    epochs: Vec<Epoch>,
    /// Of every height, the epoch it is in.
    epoch_of: Vec<usize>,
    /// Of every height, who decided it.
    decided_by: Vec<Vec<Validator>>,
    /// Who decides the next height.
    next_set: Vec<Validator>,
    /// Every transaction ever, and until when it could have been submitted again.
    executed: Vec<(TxId, u64)>,
    /// Every key ever announced, whose it is and what for.
    used_keys: Vec<(Key, SourceId, KeyRole)>,
    sources: Vec<Source>,
    studies: Vec<Study>,
    /// Every vote that did not pass, the last moment at which it counts among it.
    votes: Vec<Given>,
    /// Every equivocation shown: whose, at which height, in which round, and which message.
    equivocations: Vec<(SourceId, u64, u32, Option<VoteKind>)>,
}

#[derive(Clone)]
struct Epoch {
    began_ms: u64,
    first: u64,
    /// Who decides from its second block to the next one's first.
    set: Vec<Validator>,
    /// Equivocations in it are not looked into any more, whatever a vote makes of the greatest age.
    too_old: bool,
    record: Vec<SeenLine>,
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
    suspended: bool,
    /// Who acts in its place.
    successor: Option<SourceId>,
    anchors: u64,
    used: Used,
}

/// What is used of a source's quotas in this epoch.
#[derive(Clone, Default)]
struct Used {
    announcements: u32,
    studies: u32,
    revisions: u32,
    statuses: u32,
    recoveries: u32,
    anchors: u32,
    votes: u32,
    equivocations: u32,
}

/// One of those who decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validator {
    pub source: SourceId,
    pub key: Key,
    pub power: u64,
}

/// A vote.
#[derive(Clone)]
struct Given {
    content: Content,
    voter: SourceId,
    /// The last moment at which it counts.
    until_ms: u64,
}

#[derive(Clone)]
struct Study {
    id: StudyId,
    source: SourceId,
    holder: Key,
    /// The epoch it was defined in.
    defined_in: usize,
    /// Every delegation ever, in force or not.
    delegations: Vec<Delegation>,
    /// The days on which delegations were made or changed.
    delegated_on: Vec<u64>,
    /// The days on which it changed hands by transfer.
    transferred_on: Vec<u64>,
    revision: u32,
    manifest_root: ManifestRoot,
    open: bool,
    status_set: SeenStatus,
    /// When a suspension lapses.
    status_lapses_ms: u64,
    status_number: u32,
    frozen: bool,
    pending: Option<Pending>,
    /// When a recovery was last asked for.
    asked_ms: Option<u64>,
    /// A recovery was vetoed since it was last recovered or settled.
    vetoed: bool,
    grants: Vec<Granted>,
    tombstones: Vec<Tombstone>,
    events: u64,
}

/// A delegation, in force or not.
#[derive(Clone)]
struct Delegation {
    to: study::Delegate,
    /// By the holder's word, or because the study changed hands.
    ended: bool,
}

/// A recovery that was asked for.
#[derive(Clone)]
struct Pending {
    id: TxId,
    new_holder: Key,
    since_ms: u64,
    since_height: u64,
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
    /// Under which of the study's delegations, if a delegate's.
    under: Option<usize>,
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
    /// Key, role, powers and last day; in the order of their keys.
    pub delegates: Vec<(Key, DelegateRole, Powers, Day)>,
    pub frozen: bool,
    /// The recovery on its way, and for whom.
    pub pending: Option<(TxId, Key)>,
    pub vetoed: bool,
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

/// What an observer may rely on about a source at one time.
#[derive(Debug, PartialEq, Eq)]
pub struct SeenSource {
    pub id: SourceId,
    pub identity: Key,
    pub kind: SourceKind,
    pub version: u64,
    pub keys: SourceKeys,
    pub suspended: bool,
    pub successor: Option<SourceId>,
    pub anchors: u64,
}

/// What an observer may rely on about the network at one time.
#[derive(Debug, PartialEq, Eq)]
pub struct SeenNetwork {
    pub epoch: u64,
    pub rules: Parameters,
    pub next_rules: Option<Parameters>,
    pub upgrade: Option<Upgrade>,
    /// By id.
    pub sources: Vec<SeenSource>,
    /// Who decides the next block; by id.
    pub validators: Vec<Validator>,
}

/// A source's line in an epoch's record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeenLine {
    pub source: SourceId,
    pub power: u64,
    pub proposals_due: u64,
    pub proposals_made: u64,
    pub votes_due: u64,
    pub votes_missing: u64,
    pub equivocations: u64,
    pub studies: u64,
}

impl Model {
    /// The ledger before its first block: the genesis's sources at version 0, their keys in force.
    pub fn new(genesis: &Genesis) -> Self {
        let mut model = Self {
            rules: genesis.parameters,
            next_rules: None,
            version: 1,
            upgrade: None,
            height: 0,
            now_ms: genesis.time.0.0,
            resumed_ms: None,
            chain: genesis.chain_id(),
            epochs: Vec::new(),
            epoch_of: vec![0],
            decided_by: vec![Vec::new()],
            next_set: Vec::new(),
            executed: Vec::new(),
            used_keys: Vec::new(),
            sources: Vec::new(),
            studies: Vec::new(),
            votes: Vec::new(),
            equivocations: Vec::new(),
        };
        for source in genesis.sources.iter() {
            model.take_in(source);
        }
        model.begin_epoch();
        model
    }

    /// A source comes into the network, its keys in force.
    fn take_in(&mut self, source: &GenesisSource) {
        let GenesisSource { identity, announcement } = source;
        let id = SourceId::of_identity(&self.chain, identity);
        self.used_keys.push((*identity, id, KeyRole::Identity));
        for (key, role) in with_roles(&announcement.keys) {
            self.used_keys.push((key, id, role));
        }
        self.sources.push(Source {
            id,
            identity: *identity,
            kind: announcement.kind,
            version: 0,
            keys_in_force: announcement.keys.clone(),
            keys_announced: announcement.keys.clone(),
            suspended: false,
            successor: None,
            anchors: 0,
            used: Used::default(),
        });
    }

    /// Starts a block (§6 "What a block does"): the predecessor's certificate is counted, then an epoch begins if one is due.
    pub fn begin_block(&mut self, height: u64, time: BlockTime, last_commit: Option<&CommitCertificate>) {
        if let Some(commit) = last_commit {
            self.count(commit);
        }
        let (before_ms, began_ms) = (self.now_ms, self.epochs[self.epoch()].began_ms);
        (self.height, self.now_ms) = (height, time.0.0);
        self.decided_by.push(self.next_set.clone());
        if self.now_ms >= began_ms.saturating_add(self.rules.epoch_ms) {
            self.begin_epoch();
        }
        self.epoch_of.push(self.epoch());
        if self.now_ms - before_ms > self.rules.halt_gap_ms {
            self.resumed_ms = Some(self.now_ms);
        }
    }

    fn epoch(&self) -> usize {
        self.epochs.len() - 1
    }

    /// An epoch begins, with the parameters voted for and the keys announced, nothing used of any quota, and a set of
    /// validators derived.
    fn begin_epoch(&mut self) {
        self.rules = self.next_rules.take().unwrap_or(self.rules);
        self.epochs.push(Epoch {
            began_ms: self.now_ms,
            first: self.height,
            set: Vec::new(),
            too_old: false,
            record: Vec::new(),
        });
        let epoch = self.epoch();
        for earlier in &mut self.epochs {
            earlier.too_old |= self.now_ms - earlier.began_ms > self.rules.evidence_ms;
        }
        for source in &mut self.sources {
            source.keys_in_force = source.keys_announced.clone();
            source.used = Used::default();
        }
        let set = self.derived_set();
        if !set.is_empty() {
            self.next_set = set;
        }
        self.epochs[epoch].set = self.next_set.clone();
        for validator in self.next_set.clone() {
            self.line(epoch, validator.source).power = validator.power;
        }
    }

    /// Whether the source would decide if an epoch began now (§6 "Power"), with the keys announced.
    fn can_decide(source: &Source) -> bool {
        source.kind == SourceKind::Validator
            && !source.suspended
            && source.successor.is_none()
            && source.keys_announced.consensus.is_some()
    }

    /// How many can decide besides `but`.
    fn left_to_decide(&self, but: SourceId) -> usize {
        self.sources.iter().filter(|source| source.id != but && Self::can_decide(source)).count()
    }

    /// Who decides from the next block on, with which power (§6 "Power").
    fn derived_set(&self) -> Vec<Validator> {
        let mut deciders: Vec<&Source> = self.sources.iter().filter(|source| Self::can_decide(source)).collect();
        deciders.sort_by_key(|source| source.id);
        let studies = sorted(deciders.iter().map(|source| self.studies_that_count(source.id)));
        let mut set = Vec::new();
        for source in deciders {
            let median = studies[(studies.len() - 1) / 2];
            let wanted = self.studies_that_count(source.id).min(2 * median).max(1);
            let before = self.next_set.iter().find(|validator| validator.source == source.id);
            let before = before.map_or(0, |validator| validator.power);
            let step = (before * u64::from(self.rules.power_change_percent) / 100).max(1);
            let power = wanted.min(before + step).max(before.saturating_sub(step)).max(1);
            set.push(Validator { source: source.id, key: source.keys_in_force.consensus.unwrap(), power });
        }
        if set.len() >= CAPPED_FROM {
            let mut cap = 1;
            let capped = |cap: u64| set.iter().map(|validator| validator.power.min(cap)).sum::<u64>();
            while 3 * (cap + 1) < capped(cap + 1) {
                cap += 1;
            }
            for validator in &mut set {
                validator.power = validator.power.min(cap);
            }
        }
        set
    }

    /// Studies that it, and those it succeeds, defined in the epochs that count, but for those withdrawn.
    fn studies_that_count(&self, source: SourceId) -> u64 {
        let mut count = 0;
        for study in &self.studies {
            let age = self.epoch() - study.defined_in;
            let in_window = age >= 1 && age <= self.rules.power_window_epochs as usize;
            let withdrawn = matches!(study.status_set, SeenStatus::Withdrawn(_));
            if in_window && !withdrawn && self.keeper(study.source) == source {
                count += 1;
            }
        }
        count
    }

    /// Who acts on the studies that `source` defined.
    fn keeper(&self, source: SourceId) -> SourceId {
        let known = self.sources.iter().find(|known| known.id == source);
        known.and_then(|known| known.successor).unwrap_or(source)
    }

    /// A source's line in an epoch's record, a new one if it has none.
    fn line(&mut self, epoch: usize, source: SourceId) -> &mut SeenLine {
        let record = &mut self.epochs[epoch].record;
        if !record.iter().any(|line| line.source == source) {
            record.push(SeenLine {
                source,
                power: 0,
                proposals_due: 0,
                proposals_made: 0,
                votes_due: 0,
                votes_missing: 0,
                equivocations: 0,
                studies: 0,
            });
        }
        record.iter_mut().find(|line| line.source == source).unwrap()
    }

    /// Counts a decided block (§9): who was to propose it and did, who was to vote for it and did not.
    fn count(&mut self, commit: &CommitCertificate) {
        let (set, epoch) = (self.decided_by[commit.height as usize].clone(), self.epoch_of[commit.height as usize]);
        let first = self.first_proposer(commit.height, &set);
        for round in 0..=commit.round as usize {
            let line = self.line(epoch, set[(first + round) % set.len()].source);
            line.proposals_due += 1;
            if round == commit.round as usize {
                line.proposals_made += 1;
            }
        }
        for (place, validator) in set.iter().enumerate() {
            let voted = commit.votes().any(|(signer, _)| signer == place);
            let line = self.line(epoch, validator.source);
            line.votes_due += 1;
            if !voted {
                line.votes_missing += 1;
            }
        }
    }

    /// Whose place in the set proposes at a height in round 0 (§9).
    fn first_proposer(&self, height: u64, set: &[Validator]) -> usize {
        let drawn = blake3::hash(&[&self.chain.as_bytes()[..], &height.to_le_bytes()[..]].concat());
        let mut number = 0u128;
        for byte in drawn.as_bytes()[..16].iter().rev() {
            number = number * 256 + u128::from(*byte);
        }
        number %= set.iter().map(|validator| u128::from(validator.power)).sum::<u128>();
        for (place, validator) in set.iter().enumerate() {
            if number < u128::from(validator.power) {
                return place;
            }
            number -= u128::from(validator.power);
        }
        unreachable!("the number is below the set's power")
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
            Action::Delegate(action) => self.delegate(action),
            Action::Undelegate(action) => self.undelegate(action),
            Action::TransferStudy(action) => self.transfer_study(action),
            Action::RecoverStudy(action) => self.recover_study(id, action),
            Action::Veto(action) => self.veto(action),
            Action::Anchor(action) => self.anchor(action),
            Action::Vote(action) => self.vote(action),
            Action::Evidence(action) => self.evidence(action),
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
        let delegates = study.delegations.iter().filter(|delegation| delegation.is_live(now_ms));
        Some(Seen {
            source: study.source,
            holder: study.holder,
            revision: study.revision,
            manifest_root: study.manifest_root,
            open: study.open,
            status: study.status(now_ms),
            status_number: study.status_number,
            grants: sorted(grants.map(|grant| (grant.id, grant.grantee, grant.expiry_day, grant.by.delegate()))),
            tombstones: sorted(tombstones.map(|tombstone| (tombstone.grant, tombstone.by.delegate()))),
            delegates: sorted(delegates.map(|Delegation { to, .. }| (to.key, to.role, to.powers, to.expiry_day))),
            frozen: study.frozen,
            pending: study.pending.as_ref().map(|pending| (pending.id, pending.new_holder)),
            vetoed: study.vetoed,
            events: study.events,
        })
    }

    /// The network as it is now.
    pub fn network(&self) -> SeenNetwork {
        let mut sources: Vec<SeenSource> = Vec::new();
        for source in &self.sources {
            sources.push(SeenSource {
                id: source.id,
                identity: source.identity,
                kind: source.kind,
                version: source.version,
                keys: source.keys_in_force.clone(),
                suspended: source.suspended,
                successor: source.successor,
                anchors: source.anchors,
            });
        }
        sources.sort_by_key(|source| source.id);
        SeenNetwork {
            epoch: self.epoch() as u64,
            rules: self.rules,
            next_rules: self.next_rules,
            upgrade: self.upgrade,
            sources,
            validators: self.next_set.clone(),
        }
    }

    /// An epoch's record: its first height, when it began, and its lines by source.
    pub fn record(&self, epoch: u64) -> (u64, u64, Vec<SeenLine>) {
        let Epoch { began_ms, first, set: _, too_old: _, record } = &self.epochs[epoch as usize];
        (*first, *began_ms, sorted(record.iter().cloned()))
    }

    /// Whose votes for `content` count now, and until when; by voter.
    pub fn ballot(&self, content: &Content) -> Vec<(SourceId, u64)> {
        let counts = self.votes.iter().filter(|vote| vote.content == *content && self.now_ms <= vote.until_ms);
        sorted(counts.map(|vote| (vote.voter, vote.until_ms)))
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
            || source.successor.is_some()
            || announcement.kind != source.kind
            || source.used.announcements >= self.rules.announcements_per_epoch
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
        source.used.announcements += 1;
        source.keys_announced = announcement.keys.clone();
        true
    }

    fn define_study(&mut self, action: &DefineStudy) -> bool {
        let DefineStudy { digest, source, holder, delegates, manifest_root, open } = action;
        let epoch = self.epoch();
        let Some(source) = acting(&mut self.sources, *source) else { return false };
        let id = StudyId::of(&self.chain, source.id, *digest);
        if self.studies.iter().any(|known| known.id == id)
            || source.suspended
            || source.used.studies >= self.rules.studies_per_epoch
            || delegates.iter().any(|delegate| self.now_ms >= start_ms(delegate.expiry_day))
            || delegates.iter().any(|delegate| self.used_keys.iter().any(|used| used.0 == delegate.key))
        {
            return false;
        }
        source.used.studies += 1;
        let source = source.id;
        self.studies.push(Study {
            id,
            source,
            holder: *holder,
            defined_in: epoch,
            delegations: delegates.iter().map(|to| Delegation { to: *to, ended: false }).collect(),
            delegated_on: Vec::new(),
            transferred_on: Vec::new(),
            revision: 0,
            manifest_root: *manifest_root,
            open: *open,
            status_set: SeenStatus::Active,
            status_lapses_ms: 0,
            status_number: 0,
            frozen: false,
            pending: None,
            asked_ms: None,
            vetoed: false,
            grants: Vec::new(),
            tombstones: Vec::new(),
            events: 1,
        });
        self.line(epoch, source).studies += 1;
        true
    }

    fn revise_study(&mut self, action: &ReviseStudy) -> bool {
        let ReviseStudy { study, source, revision, manifest_root, open } = action;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(source) = speaking(&mut self.sources, study.source, *source) else { return false };
        if source.suspended
            || source.used.revisions >= self.rules.revisions_per_epoch
            || matches!(study.status(self.now_ms), SeenStatus::Withdrawn(_))
            || Some(*revision) != study.revision.checked_add(1)
        {
            return false;
        }
        source.used.revisions += 1;
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
        if (source.suspended && *status == NewStatus::Active)
            || source.used.statuses >= self.rules.statuses_per_epoch
            || Some(*number) != study.status_number.checked_add(1)
        {
            return false;
        }
        let set = match (study.status(self.now_ms), status) {
            (SeenStatus::Withdrawn(_), _) | (SeenStatus::Active, NewStatus::Active) => return false,
            (SeenStatus::Suspended(_), NewStatus::Active) => SeenStatus::Active,
            (_, NewStatus::Suspended(reason)) => SeenStatus::Suspended(*reason),
            (_, NewStatus::Withdrawn(reason)) => SeenStatus::Withdrawn(*reason),
        };
        source.used.statuses += 1;
        study.status_set = set;
        study.status_lapses_ms = self.now_ms.saturating_add(self.rules.suspension_ms);
        study.status_number = *number;
        study.events += 1;
        true
    }

    fn grant(&mut self, id: GrantId, action: &Grant) -> bool {
        let Grant { study, granter, grantee, expiry_day, terms: _, request: _ } = action;
        let (now_ms, today, rules) = (self.now_ms, self.now_ms / DAY_MS, self.rules);
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(by) = study.speaks_as(*granter, now_ms) else { return false };
        if study.status(now_ms) != SeenStatus::Active || study.frozen {
            return false;
        }

        // How long it may last.
        let last_day = u64::from(expiry_day.0);
        if now_ms >= start_ms(*expiry_day) || last_day > today.saturating_add(u64::from(rules.max_grant_days)) {
            return false;
        }
        let under = if by == By::Holder { None } else { study.delegation(*granter, now_ms) };
        if let Some(at) = under {
            let delegate = study.delegations[at].to;
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
        study.grants.push(Granted {
            id,
            by,
            under,
            grantee: *grantee,
            expiry_day: *expiry_day,
            made_on: today,
            ended: false,
        });
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

    fn delegate(&mut self, action: &Delegate) -> bool {
        let Delegate { study, holder, delegate } = action;
        let (now_ms, today) = (self.now_ms, self.now_ms / DAY_MS);
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        if *holder != study.holder
            || study.status(now_ms) != SeenStatus::Active
            || study.frozen
            || self.used_keys.iter().any(|used| used.0 == delegate.key)
            || now_ms >= start_ms(delegate.expiry_day)
            || study.delegated_on.iter().filter(|day| **day == today).count() >= self.rules.delegations_per_day.into()
        {
            return false;
        }
        match study.delegation(delegate.key, now_ms) {
            Some(at) if study.delegations[at].to.role != delegate.role => return false,
            Some(at) => study.delegations[at].to = *delegate,
            None if study.delegations.iter().filter(|known| known.is_live(now_ms)).count() >= DELEGATES => {
                return false;
            }
            None => study.delegations.push(Delegation { to: *delegate, ended: false }),
        }
        study.delegated_on.push(today);
        study.events += 1;
        true
    }

    fn undelegate(&mut self, action: &Undelegate) -> bool {
        let Undelegate { study, holder, delegate } = action;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        if *holder != study.holder {
            return false;
        }
        let Some(at) = study.delegation(*delegate, self.now_ms) else { return false };
        study.delegations[at].ended = true;
        study.events += 1;
        true
    }

    fn transfer_study(&mut self, action: &TransferStudy) -> bool {
        let TransferStudy { study, holder, new_holder, keep_grants } = action;
        let today = self.now_ms / DAY_MS;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        if *holder != study.holder
            || matches!(study.status(self.now_ms), SeenStatus::Withdrawn(_))
            || study.frozen
            || study.transferred_on.iter().filter(|day| **day == today).count() >= self.rules.transfers_per_day.into()
        {
            return false;
        }
        study.goes_to(*new_holder, *keep_grants);
        if study.pending.is_some() {
            study.pending = None;
            study.vetoed = true;
        }
        study.transferred_on.push(today);
        study.events += 1;
        true
    }

    fn recover_study(&mut self, id: TxId, action: &RecoverStudy) -> bool {
        let RecoverStudy { study, source, new_holder, completes } = action;
        let (now_ms, height, rules) = (self.now_ms, self.height, self.rules);
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        let Some(source) = speaking(&mut self.sources, study.source, *source) else { return false };
        if source.suspended
            || source.used.recoveries >= rules.recoveries_per_epoch
            || matches!(study.status(now_ms), SeenStatus::Withdrawn(_))
            || study.frozen
            || *new_holder == study.holder
        {
            return false;
        }
        if let Some(asked) = completes {
            // Said before, by this source or by the one that it succeeds: this one completes it, if it is time.
            let Some(Pending { id, new_holder: due, since_ms, since_height }) = &study.pending else { return false };
            if id != asked || due != new_holder {
                return false;
            }
            let stood_still =
                self.resumed_ms.is_some_and(|resumed| now_ms < resumed.saturating_add(rules.halt_grace_ms));
            if now_ms < since_ms.saturating_add(rules.recovery_delay_ms)
                || height < since_height.saturating_add(rules.recovery_heights)
                || stood_still
            {
                return false;
            }
            study.goes_to(*new_holder, false);
            study.pending = None;
            study.vetoed = false;
        } else {
            if study.asked_ms.is_some_and(|asked| now_ms < asked.saturating_add(rules.recovery_interval_ms)) {
                return false;
            }
            study.asked_ms = Some(now_ms);
            if study.vetoed {
                study.frozen = true;
            } else {
                study.pending = Some(Pending { id, new_holder: *new_holder, since_ms: now_ms, since_height: height });
            }
        }
        source.used.recoveries += 1;
        study.events += 1;
        true
    }

    fn veto(&mut self, action: &Veto) -> bool {
        let Veto { study, holder, recovery } = action;
        let Some(study) = self.studies.iter_mut().find(|known| known.id == *study) else { return false };
        if *holder != study.holder || study.pending.as_ref().is_none_or(|pending| pending.id != *recovery) {
            return false;
        }
        study.pending = None;
        study.vetoed = true;
        study.events += 1;
        true
    }

    fn anchor(&mut self, action: &Anchor) -> bool {
        let Anchor { source, sequence, root: _, count: _ } = action;
        let Some(source) = acting(&mut self.sources, *source) else { return false };
        if *sequence != source.anchors || source.used.anchors >= self.rules.anchors_per_epoch {
            return false;
        }
        source.anchors += 1;
        source.used.anchors += 1;
        true
    }

    fn vote(&mut self, action: &Vote) -> bool {
        let Vote { voter, content } = action;
        let now_ms = self.now_ms;
        let set = self.decided_by[self.height as usize].clone();
        let Some(voter) = acting(&mut self.sources, *voter) else { return false };
        let (voter, used) = (voter.id, voter.suspended || voter.used.votes >= self.rules.votes_per_epoch);
        if used || !set.iter().any(|validator| validator.source == voter) || !self.can_be_voted_for(content) {
            return false;
        }
        if self.ballot(content).iter().any(|(given_by, _)| *given_by == voter) {
            return false;
        }
        self.sources.iter_mut().find(|known| known.id == voter).unwrap().used.votes += 1;
        let until_ms = now_ms.saturating_add(self.rules.vote_ms);
        self.votes.push(Given { content: content.clone(), voter, until_ms });

        let ballot = self.ballot(content);
        let counts = |validator: &&Validator| ballot.iter().any(|(given_by, _)| *given_by == validator.source);
        let power: u64 = set.iter().filter(counts).map(|validator| validator.power).sum();
        if 3 * power > 2 * set.iter().map(|validator| validator.power).sum::<u64>() {
            self.votes.retain(|vote| vote.content != *content);
            self.decide(content);
        }
        true
    }

    /// Whether the content is neither so already nor impossible (§8).
    fn can_be_voted_for(&self, content: &Content) -> bool {
        let source = |id: &SourceId| self.sources.iter().find(|known| known.id == *id);
        let in_use = |key: &Key| self.used_keys.iter().any(|used| used.0 == *key);
        match content {
            Content::Admit(candidate) => {
                let GenesisSource { identity, announcement } = &candidate.source;
                !in_use(identity)
                    && !with_roles(&announcement.keys).iter().any(|(key, _)| in_use(key))
                    && self.sources.len() < SOURCES
            }
            Content::SetSuspended { source: id, suspended } => {
                source(id).is_some_and(|known| known.suspended != *suspended && known.successor.is_none())
                    && (!suspended || self.left_to_decide(*id) > 0)
            }
            Content::SetKind { source: id, kind } => {
                source(id).is_some_and(|known| known.kind != *kind && known.successor.is_none())
                    && (*kind == SourceKind::Validator || self.left_to_decide(*id) > 0)
            }
            Content::ReplaceIdentity { source: id, identity } => {
                source(id).is_some_and(|known| known.successor.is_none()) && !in_use(identity)
            }
            Content::Succeed { source: id, by } => {
                let free = |id| source(id).is_some_and(|known| known.successor.is_none());
                id != by && free(id) && free(by) && self.left_to_decide(*id) > 0
            }
            Content::Settle { study, holder: _ } => self.studies.iter().any(|known| known.id == *study && known.frozen),
            Content::SetParameters(parameters) => {
                **parameters != self.next_rules.unwrap_or(self.rules)
                    && parameters.submit_window_ms == self.rules.submit_window_ms
                    && parameters.tombstone_ms == self.rules.tombstone_ms
                    && parameters.power_window_epochs == self.rules.power_window_epochs
            }
            Content::Upgrade(upgrade) => {
                upgrade.version > self.version && upgrade.epoch > self.epoch() as u64 && self.upgrade != Some(*upgrade)
            }
        }
    }

    /// What was voted for happens.
    fn decide(&mut self, content: &Content) {
        let sources = &mut self.sources;
        match content {
            Content::Admit(candidate) => self.take_in(&candidate.source),
            Content::SetSuspended { source, suspended } => of_id(sources, *source).suspended = *suspended,
            Content::SetKind { source, kind } => of_id(sources, *source).kind = *kind,
            Content::ReplaceIdentity { source, identity } => {
                of_id(sources, *source).identity = *identity;
                self.used_keys.push((*identity, *source, KeyRole::Identity));
            }
            Content::Succeed { source, by } => {
                for known in sources {
                    if known.id == *source || known.successor == Some(*source) {
                        known.successor = Some(*by);
                    }
                }
            }
            Content::Settle { study, holder } => {
                let study = self.studies.iter_mut().find(|known| known.id == *study).unwrap();
                if study.holder != *holder {
                    study.goes_to(*holder, false);
                }
                study.frozen = false;
                study.vetoed = false;
                study.events += 1;
            }
            Content::SetParameters(parameters) => self.next_rules = Some(**parameters),
            Content::Upgrade(upgrade) => self.upgrade = Some(*upgrade),
        }
    }

    fn evidence(&mut self, action: &Evidence) -> bool {
        let Evidence { key, conflict } = action;
        let (validator, height, round, message) = match conflict {
            Conflict::Proposals(one, _) => (one.message.proposer, one.message.height, one.message.round, None),
            Conflict::Votes(one, _) => {
                (one.message.validator, one.message.height, one.message.round, Some(one.message.kind))
            }
        };
        if height > self.height || height == 0 {
            return false;
        }
        // An epoch's first block is decided by the set of the epoch before.
        let (then, now) = (self.epoch_of[height as usize - 1], self.epoch());
        if self.epochs[then].too_old
            || !self.epochs[then].set.iter().any(|known| known.source == validator && known.key == *key)
            || self.equivocations.contains(&(validator, height, round, message))
        {
            return false;
        }
        let left = self.left_to_decide(validator);
        let source = of_id(&mut self.sources, validator);
        if source.used.equivocations >= self.rules.evidence_per_epoch {
            return false;
        }
        source.used.equivocations += 1;
        source.suspended |= left >= LEFT_TO_DECIDE;
        self.equivocations.push((validator, height, round, message));
        self.line(now, validator).equivocations += 1;
        true
    }
}

impl Study {
    /// A suspension is over, by itself, after its time; not if the images may be another patient's.
    fn status(&self, now_ms: u64) -> SeenStatus {
        match self.status_set {
            SeenStatus::Suspended(reason) if reason != Reason::WrongPatient && now_ms >= self.status_lapses_ms => {
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
        self.delegation(key, now_ms).map(|_| By::Delegate(key))
    }

    /// The place of the key's delegation that is in force, if there is one.
    fn delegation(&self, key: Key, now_ms: u64) -> Option<usize> {
        self.delegations.iter().position(|delegation| delegation.to.key == key && delegation.is_live(now_ms))
    }

    /// Live: its day is ahead, nobody ended it, and a delegate's delegation is not over (§3 Grant, "Expiry"): that very
    /// one, whatever the key was given since.
    fn is_live(&self, grant: &Granted, now_ms: u64) -> bool {
        !grant.ended
            && now_ms < start_ms(grant.expiry_day)
            && grant.under.is_none_or(|at| self.delegations[at].is_live(now_ms))
    }

    /// The study changes hands: delegations end, and with them delegates' grants; the holder's unless they are kept.
    fn goes_to(&mut self, holder: Key, keep_grants: bool) {
        self.holder = holder;
        for delegation in &mut self.delegations {
            delegation.ended = true;
        }
        for grant in &mut self.grants {
            grant.ended |= !keep_grants || grant.by != By::Holder;
        }
    }
}

impl Delegation {
    /// In force: its day is ahead and nobody ended it.
    fn is_live(&self, now_ms: u64) -> bool {
        !self.ended && now_ms < start_ms(self.to.expiry_day)
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

/// The source whose operational key in force `key` is, if it has no successor (§2, §3).
fn acting(sources: &mut [Source], key: Key) -> Option<&mut Source> {
    sources.iter_mut().find(|known| known.keys_in_force.operational == key && known.successor.is_none())
}

/// The source that acts on the studies that `definer` defined, if `key` is its operational key in force.
fn speaking(sources: &mut [Source], definer: SourceId, key: Key) -> Option<&mut Source> {
    let successor = of_id(sources, definer).successor;
    acting(sources, key).filter(|known| known.id == successor.unwrap_or(definer))
}

/// The source of this id, which is in the network.
fn of_id(sources: &mut [Source], id: SourceId) -> &mut Source {
    sources.iter_mut().find(|known| known.id == id).unwrap()
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
