//! Random histories: many small choices, most of them sensible, some of them wrong on purpose, all from one seed.

use clavicle_ledger::action::{
    Anchor, Content, DefineStudy, Grant, NewStatus, RecoverStudy, ReviseStudy, Revoke, SetStatus, TransferStudy,
    Undelegate, Veto, Vote,
};
use clavicle_ledger::ballot::Ballot;
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{AnchorRoot, GrantId, ManifestRoot, RequestDigest, SourceId, StudyId, TxId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::source::{Source, SourceKind};
use clavicle_ledger::state::{ReadRows as _, StateKey, Upgrade};
use clavicle_ledger::study::{Delegate, DelegateRole, Powers, Reason, Status};
use clavicle_ledger::terms::{Conditions, Terms};
use clavicle_ledger::time::{DAY_MS, Day, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};
use clavicle_ledger::vote::VoteKind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::world::{self, Hospital, World};

/// Dice with a seed.
pub struct Dice(ChaCha8Rng);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn below(&mut self, sides: u64) -> u64 {
        self.0.next_u64() % sides.max(1)
    }

    pub fn one_in(&mut self, sides: u64) -> bool {
        self.below(sides) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.below(from.len() as u64) as usize;
        &from[at]
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }
}

/// Small numbers, so that histories run into every limit that is a parameter.
pub fn tight() -> Parameters {
    Parameters {
        submit_window_ms: 12 * HOUR_MS,
        studies_per_epoch: 8,
        announcements_per_epoch: 2,
        revisions_per_epoch: 8,
        statuses_per_epoch: 5,
        holder_grants_per_day: 5,
        delegate_grants_per_day: 3,
        max_grant_days: 20,
        tombstone_ms: 12 * HOUR_MS,
        suspension_ms: 20 * HOUR_MS,
        epoch_ms: 10 * HOUR_MS,
        delegations_per_day: 4,
        transfers_per_day: 2,
        recoveries_per_epoch: 4,
        anchors_per_epoch: 2,
        votes_per_epoch: 6,
        evidence_per_epoch: 2,
        halt_gap_ms: 2 * HOUR_MS,
        halt_grace_ms: 3 * HOUR_MS,
        recovery_delay_ms: 4 * HOUR_MS,
        recovery_heights: 3,
        recovery_interval_ms: 12 * HOUR_MS,
        vote_ms: 8 * HOUR_MS,
        evidence_ms: 3 * DAY_MS,
        power_window_epochs: 6,
        power_change_percent: 40,
        ..Parameters::default()
    }
}

/// Room for so many grants that histories, crowded around one study, run into the limits that are not parameters.
pub fn roomy() -> Parameters {
    Parameters {
        holder_grants_per_day: 1_000,
        delegate_grants_per_day: 1_000,
        delegations_per_day: 1_000,
        recoveries_per_epoch: 100,
        votes_per_epoch: 100,
        ..tight()
    }
}

/// A grant somebody signed, whatever became of it.
#[derive(Clone)]
pub struct Signed {
    pub study: StudyId,
    pub grant: GrantId,
    pub grantee: usize,
    pub terms: Terms,
    pub submit_by: Timestamp,
}

/// A history under way.
pub struct History {
    pub world: World,
    pub dice: Dice,
    pub studies: Vec<StudyId>,
    pub holders: Vec<SecretKey>,
    pub delegates: Vec<SecretKey>,
    pub grantees: Vec<SecretKey>,
    pub grants: Vec<Signed>,
    /// Studies that are there to be counted, and whose.
    pub more: Vec<(StudyId, usize)>,
    /// What is voted on at present.
    pub contents: Vec<Content>,
    /// The hospitals' ids, those that ask to be admitted among them.
    pub ids: Vec<SourceId>,
    /// No vote is on the parameters.
    pub parameters_stay: bool,
    past: Vec<Verified>,
    generation: u32,
    focus: usize,
    hospital_of: Vec<usize>,
    crowded: bool,
    /// Blocks for which the chain does not stand still.
    calm: u64,
    /// Every private key there is.
    secrets: Vec<SecretKey>,
    /// Every consensus key there was, and whose.
    consensus: Vec<(usize, SecretKey)>,
}

impl History {
    pub fn new(seed: u64, parameters: Parameters) -> Self {
        let world = World::new(parameters);
        // Three in four are the first hospital's.
        let hospital_of = |number: u64| if number % 4 == 3 { (1 + number % 3) as usize } else { 0 };
        let id = |number| {
            StudyId::of(&world.chain, world.hospitals[hospital_of(number)].id(&world.chain), world::digest(number))
        };
        let keys = |word: &str, count| (0..count).map(|n| world::secret(&format!("{word} {n}"))).collect();
        let (holders, delegates): (Vec<SecretKey>, Vec<SecretKey>) = (keys("holder", 8), keys("delegate", 11));
        let hospitals = world.hospitals.clone();
        let mut history = Self {
            studies: (0..16).map(id).collect(),
            hospital_of: (0..16).map(hospital_of).collect(),
            secrets: [holders.clone(), delegates.clone()].concat(),
            world,
            dice: Dice::new(seed),
            holders,
            delegates,
            grantees: keys("grantee", 90),
            grants: Vec::new(),
            more: Vec::new(),
            contents: Vec::new(),
            ids: Vec::new(),
            parameters_stay: false,
            past: Vec::new(),
            generation: 0,
            focus: 0,
            crowded: parameters.holder_grants_per_day > 100,
            calm: 0,
            consensus: Vec::new(),
        };
        for hospital in &hospitals {
            history.ids.push(hospital.id(&history.world.chain));
        }
        for (at, hospital) in hospitals.iter().enumerate() {
            history.know(at, hospital);
        }
        history
    }

    /// Keeps a hospital's private keys.
    fn know(&mut self, at: usize, hospital: &Hospital) {
        self.secrets.extend(hospital.secrets().into_iter().cloned());
        self.consensus.extend(hospital.consensus.iter().map(|key| (at, key.clone())));
    }

    /// The private key of a public one.
    fn secret_of(&self, key: Key) -> Option<SecretKey> {
        self.secrets.iter().find(|secret| secret.public() == key).cloned()
    }

    /// How the newest block was decided: in which round, and by whom in its set.
    pub fn commit(&mut self) -> (u32, Vec<usize>) {
        let Some(validators) = self.deciders() else { return (0, Vec::new()) };
        let round = if self.dice.one_in(3) { self.dice.below(7) as u32 } else { 0 };
        (round, (0..validators).filter(|_| !self.dice.one_in(5)).collect())
    }

    /// How many decided the newest block.
    fn deciders(&self) -> Option<usize> {
        let state = &self.world.state;
        let head = state.head().unwrap();
        let first = head.epoch > 0 && state.record(head.epoch).unwrap().unwrap().first == head.height;
        let set = if first { StateKey::Deciding(head.epoch - 1) } else { StateKey::Validators };
        let set: clavicle_ledger::validators::ValidatorSet = state.required(&set).unwrap();
        (head.height > 0).then_some(set.validators.len())
    }

    /// How long until the next block: mostly seconds, now and then days, and often to the very moment, give or take a
    /// millisecond, at which something ends.
    pub fn pause(&mut self) -> u64 {
        let now = self.world.now();
        let gap_ms = self.world.rules().parameters.halt_gap_ms;
        if self.calm == 0 && self.dice.one_in(15) {
            self.calm = 25;
        }
        let calm = self.calm > 0;
        self.calm = self.calm.saturating_sub(1);
        if self.dice.one_in(3) {
            let off = self.dice.below(3);
            let latest = now.0 + if calm { gap_ms } else { 30 * DAY_MS };
            let soon = |edge: &u64| edge + off > now.0 + 1 && *edge <= latest;
            let edges: Vec<u64> = self.edges().into_iter().filter(soon).collect();
            if !edges.is_empty() && (!self.crowded || self.dice.one_in(20)) {
                return self.dice.pick(&edges) + off - 1 - now.0;
            }
        }
        if calm {
            let most = if self.dice.one_in(2) { 30_000 } else { gap_ms };
            return self.dice.below(most) + 1;
        }
        match self.dice.below(if self.crowded { 10 } else { 20 }) {
            0..=13 => 1 + self.dice.below(30_000),
            14..=17 => self.dice.below(3 * HOUR_MS) + 1,
            18 => self.dice.below(DAY_MS) + 1,
            _ => self.dice.below(25 * DAY_MS) + 1,
        }
    }

    /// When something ends or begins that the next transactions are about.
    fn edges(&self) -> Vec<u64> {
        let (now, head, rules) = (self.world.now(), self.world.state.head().unwrap(), self.world.rules().parameters);
        let mut edges = vec![
            now.day().plus(1).start().0,
            head.epoch_start.timestamp().plus(rules.epoch_ms).0,
            now.plus(rules.halt_gap_ms).0,
        ];
        edges.extend(head.resumed.map(|resumed| resumed.timestamp().plus(rules.halt_grace_ms).0));
        edges.extend(self.contents.iter().flat_map(|content| self.ballot(content)).map(|(_, until)| until));
        for envelope in self.past.iter().rev().take(20) {
            let submit_by = envelope.body().submit_by.0;
            edges.extend([submit_by, submit_by.saturating_sub(rules.submit_window_ms)]);
        }
        for study in self.studies.iter().filter_map(|id| self.world.seen(*id)) {
            edges.extend(study.tombstones.iter().map(|stone| stone.until.0));
            edges.extend(study.delegates.iter().map(|delegate| delegate.expiry_day.start().0));
            if let Status::Suspended { until: Some(until), .. } = study.status {
                edges.push(until.0);
            }
            let ready = study.pending_recovery.map(|pending| pending.since.timestamp().plus(rules.recovery_delay_ms).0);
            let again = study.last_recovery.map(|asked| asked.timestamp().plus(rules.recovery_interval_ms).0);
            edges.extend(ready.into_iter().chain(again));
        }
        edges
    }

    /// Whose votes for `content` count now, and until when.
    pub fn ballot(&self, content: &Content) -> Vec<(SourceId, u64)> {
        let ballot: Option<Ballot> = self.world.state.row(&StateKey::Ballot(content.id(&self.world.chain))).unwrap();
        let Some(mut ballot) = ballot else { return Vec::new() };
        ballot.settle(self.world.header.time);
        ballot.cast.iter().map(|cast| (cast.voter, cast.until.0)).collect()
    }

    /// Some transactions for the next block, among them some that were there before.
    pub fn transactions(&mut self, count: u64) -> Vec<Verified> {
        if self.dice.one_in(if self.crowded { 300 } else { 6 }) {
            self.focus = self.dice.below(16) as usize;
        }
        let mut envelopes: Vec<Verified> = Vec::new();
        for _ in 0..count {
            let envelope = if !self.past.is_empty() && self.dice.one_in(12) {
                self.dice.pick(&self.past).clone()
            } else {
                self.transaction()
            };
            envelopes.push(envelope);
        }
        self.past.extend(envelopes.iter().cloned());
        let surplus = self.past.len().saturating_sub(300);
        self.past.drain(..surplus);
        envelopes
    }

    fn transaction(&mut self) -> Verified {
        loop {
            let often = !self.crowded || self.dice.one_in(20);
            let (action, keys) = match self.dice.below(if self.crowded { 110 } else { 60 }) {
                0..=4 => self.define_study(),
                5..=7 => self.revise(),
                8 | 9 if often => self.set_status(),
                10 | 11 => self.define_source(),
                12..=15 => self.delegate(),
                16 | 17 if often => self.undelegate(),
                18..=20 if often => self.transfer(),
                21..=26 if often => self.recover(),
                27 | 28 if often => self.veto(),
                29 | 30 => self.anchor(),
                31..=41 => self.vote(),
                42 | 43 => self.evidence(),
                44..=47 | 60..=84 => self.revoke(),
                _ => self.grant(),
            };
            let now = self.world.now();
            let submit_by = match self.dice.below(12) {
                0 => Timestamp(now.0.saturating_sub(self.dice.below(HOUR_MS))),
                1 => now.plus(self.dice.below(24 * HOUR_MS)),
                _ => now.plus(4 * HOUR_MS),
            };
            let body = Body { submit_by, nonce: self.dice.bytes(), action };
            let keys: Vec<&SecretKey> = keys.iter().collect();
            // Some of what the dice come up with is wrong by itself; that is the business of other tests.
            let Ok(envelope) = body.sign(&self.world.chain, &keys) else { continue };
            let Ok(verified) = envelope.check_stateless(&self.world.chain) else { continue };
            if let (Action::Grant(grant), Some(signed)) = (&verified.body().action, self.grants.last_mut())
                && signed.study == grant.study
            {
                (signed.grant, signed.submit_by) = (verified.id().into(), submit_by);
            }
            return verified;
        }
    }

    fn any_number(&mut self) -> usize {
        let elsewhere = self.dice.one_in(if self.crowded { 12 } else { 3 });
        if elsewhere { self.dice.below(16) as usize } else { self.focus }
    }

    fn any_study(&mut self) -> StudyId {
        let number = self.any_number();
        self.studies[number]
    }

    /// A study's number, and its hospital, mostly.
    fn study_and_hospital(&mut self) -> (usize, Hospital) {
        let number = self.any_number();
        let hospital = self.hospital_for(self.hospital_of[number]);
        (number, hospital)
    }

    /// One that acts on the studies of the hospital at `at`, mostly: with the keys in force, mostly.
    fn hospital_for(&mut self, at: usize) -> Hospital {
        let successor = self.source(at).and_then(|source| source.successor);
        let right = self.ids.iter().position(|id| Some(*id) == successor).unwrap_or(at);
        let at = if self.dice.one_in(8) { self.any_hospital() } else { right };
        self.in_force(at)
    }

    fn any_hospital(&mut self) -> usize {
        self.dice.below(self.world.hospitals.len() as u64) as usize
    }

    fn source(&self, at: usize) -> Option<Source> {
        self.world.state.source(self.ids[at]).unwrap()
    }

    /// The hospital with the operational key in force, mostly.
    fn in_force(&mut self, at: usize) -> Hospital {
        let mut hospital = self.world.hospitals[at].clone();
        let epoch = self.world.state.head().unwrap().epoch;
        if let Some(source) = self.source(at).filter(|_| !self.dice.one_in(6)) {
            hospital.operational = self.secret_of(source.keys_in(epoch).operational).unwrap();
        }
        hospital
    }

    /// The study's holder, mostly.
    fn holder_of(&mut self, study: StudyId) -> SecretKey {
        let holder = self.world.seen(study).map(|study| study.holder);
        match holder.and_then(|holder| self.secret_of(holder)) {
            Some(key) if !self.dice.one_in(8) => key,
            _ => self.dice.pick(&self.holders).clone(),
        }
    }

    /// The holder or one of the delegates, mostly the study's own.
    fn granter_of(&mut self, study: StudyId) -> SecretKey {
        let delegates = self.world.seen(study).map(|study| study.delegates.to_vec()).unwrap_or_default();
        if self.dice.one_in(3) && !delegates.is_empty() {
            let key = self.dice.pick(&delegates).key;
            return self.secret_of(key).unwrap();
        }
        if self.dice.one_in(10) { self.dice.pick(&self.delegates).clone() } else { self.holder_of(study) }
    }

    fn any_day(&mut self) -> Day {
        let today = self.world.now().day();
        match self.dice.below(10) {
            0 => Day(today.0.saturating_sub(1)),
            1 => today,
            2 => today.plus(30),
            _ => today.plus(1 + self.dice.below(10) as u32),
        }
    }

    fn define_study(&mut self) -> (Action, Vec<SecretKey>) {
        let ((mut number, mut hospital), holder) = (self.study_and_hospital(), self.dice.pick(&self.holders).clone());
        if self.dice.one_in(2) {
            // One more, to be counted: by some hospitals more often than by others.
            let at = self.any_hospital().min(self.any_hospital());
            (number, hospital) = (1_000 + self.more.len(), self.in_force(at));
            let digest = world::digest(number as u64);
            self.more.push((StudyId::of(&self.world.chain, self.ids[at], digest), at));
        }
        let roles = [DelegateRole::Guardian, DelegateRole::Helper, DelegateRole::CareTeam, DelegateRole::Emergency];
        let mut delegates: Ascending<Delegate, 8> = Ascending::new();
        for _ in 0..self.dice.below(4) {
            let delegate = Delegate {
                key: self.dice.pick(&self.delegates).public(),
                role: *self.dice.pick(&roles),
                powers: Powers::GRANT,
                expiry_day: self.any_day(),
            };
            let _ = delegates.insert(delegate);
        }
        let action = DefineStudy {
            digest: world::digest(number as u64),
            source: hospital.operational.public(),
            holder: holder.public(),
            delegates,
            manifest_root: ManifestRoot::from_bytes(self.dice.bytes()),
            open: self.dice.one_in(2),
        };
        (Action::DefineStudy(action), vec![hospital.operational, holder])
    }

    fn revise(&mut self) -> (Action, Vec<SecretKey>) {
        let (number, hospital) = self.study_and_hospital();
        let study = self.studies[number];
        let newest = self.world.seen(study).map_or(0, |study| study.revision);
        let action = ReviseStudy {
            study,
            source: hospital.operational.public(),
            revision: newest + if self.dice.one_in(5) { self.dice.below(3) as u32 } else { 1 },
            manifest_root: ManifestRoot::from_bytes(self.dice.bytes()),
            open: self.dice.one_in(2),
        };
        (Action::ReviseStudy(action), vec![hospital.operational])
    }

    fn set_status(&mut self) -> (Action, Vec<SecretKey>) {
        let (number, hospital) = self.study_and_hospital();
        let (mut study, mut hospital) = (self.studies[number], hospital);
        if self.dice.one_in(3) && !self.more.is_empty() {
            let (id, at) = *self.dice.pick(&self.more);
            (study, hospital) = (id, self.hospital_for(at));
        }
        let before = self.world.seen(study);
        let newest = before.as_ref().map_or(0, |study| study.status_number);
        let reasons = [Reason::Quality, Reason::WrongPatient, Reason::Retention, Reason::UnderReview];
        let reason = *self.dice.pick(&reasons);
        let suspended = before.is_some_and(|study| matches!(study.status, Status::Suspended { .. }));
        let status = match self.dice.below(12) {
            0 => NewStatus::Withdrawn(reason),
            11 if !self.studies.contains(&study) => NewStatus::Withdrawn(reason),
            1..=6 if suspended => NewStatus::Active,
            1 => NewStatus::Active,
            _ => NewStatus::Suspended(reason),
        };
        let number = newest + if self.dice.one_in(5) { self.dice.below(3) as u32 } else { 1 };
        let action = SetStatus { study, source: hospital.operational.public(), number, status };
        (Action::SetStatus(action), vec![hospital.operational])
    }

    fn define_source(&mut self) -> (Action, Vec<SecretKey>) {
        let at = self.any_hospital();
        let old = self.world.hospitals[at].clone();
        let mut new = match self.dice.below(3) {
            0 => old.clone(),
            1 => Hospital::new(&old.name, 0),
            _ => {
                self.generation += 1;
                Hospital::new(&old.name, self.generation)
            }
        };
        if self.dice.one_in(6) {
            new.transfer = self.world.hospitals[(at + 1) % 4].operational.clone();
        }
        let kind = self.world.state.roster().unwrap().admitted.find(&self.ids[at]).map(|admitted| admitted.kind);
        if (kind == Some(SourceKind::Hosted)) != self.dice.one_in(8) {
            new.consensus = None;
        } else if new.consensus.is_none() {
            new.consensus = Hospital::new(&old.name, self.generation).consensus;
        }
        let source = self.source(at);
        let version = source.as_ref().map_or(0, |source| source.version);
        // Its identity may have been replaced; its id is that of the first.
        let mut signer = new.clone();
        if let Some(key) = source.filter(|_| !self.dice.one_in(8)).and_then(|source| self.secret_of(source.identity)) {
            signer.identity = key;
        }
        let action = signer.define_source(version + if self.dice.one_in(6) { 0 } else { 1 });
        let keys = signer.secrets().into_iter().cloned().collect();
        self.know(at, &new);
        // From now on it signs now with these keys, now with the old: which are in force is the ledger's business.
        if self.dice.one_in(2) {
            self.world.hospitals[at] = new;
        }
        (action, keys)
    }

    fn grant(&mut self) -> (Action, Vec<SecretKey>) {
        let study = self.any_study();
        let (granter, at) = (self.granter_of(study), self.dice.below(self.grantees.len() as u64) as usize);
        let (grantee, expiry_day) = (self.grantees[at].public(), self.any_day());
        let seen = self.world.seen(study);
        let (revision, manifest_root) =
            seen.map_or((0, ManifestRoot::from_bytes([0; 32])), |study| (study.revision, study.manifest_root));
        let blinding: [u8; 32] = self.dice.bytes();
        // Of either version.
        let conditions = Conditions { openings: Some(u32::from(blinding[1])), ..Conditions::default() };
        let terms = Terms {
            not_before: self.world.now(),
            expires: expiry_day.start(),
            revision,
            manifest_root,
            blinding,
            conditions: blinding[0].is_multiple_of(2).then_some(conditions),
            ..self.world.terms(0)
        };
        let action = Grant {
            study,
            granter: granter.public(),
            grantee,
            expiry_day,
            terms: terms.commitment(&self.world.chain, study, &grantee),
            request: RequestDigest::NONE,
        };
        let grant = GrantId::from_bytes([0; 32]);
        self.grants.push(Signed { study, grant, grantee: at, terms, submit_by: Timestamp(0) });
        (Action::Grant(action), vec![granter])
    }

    fn revoke(&mut self) -> (Action, Vec<SecretKey>) {
        let live = self.world.seen(self.studies[self.focus]).map(|study| study.grants.to_vec()).unwrap_or_default();
        let (study, grant, submit_by) = match self.dice.below(4) {
            0 if !live.is_empty() => (self.studies[self.focus], self.dice.pick(&live).id, Timestamp(0)),
            0 | 1 if !self.grants.is_empty() => {
                let signed = self.dice.pick(&self.grants).clone();
                (signed.study, signed.grant, signed.submit_by)
            }
            2 if !self.grants.is_empty() => {
                let signed = self.grants[self.grants.len() - 1].clone();
                (signed.study, signed.grant, signed.submit_by)
            }
            _ => (self.any_study(), GrantId::from_bytes(self.dice.bytes()), Timestamp(0)),
        };
        let revoker = self.granter_of(study);
        let action = Revoke { study, revoker: revoker.public(), grant, grant_submit_by: submit_by };
        (Action::Revoke(action), vec![revoker])
    }

    /// Mostly a holder; now and then a delegate, or a hospital.
    fn any_key(&mut self) -> SecretKey {
        match self.dice.below(20) {
            0 => self.dice.pick(&self.delegates).clone(),
            1 => self.dice.pick(&self.world.hospitals).operational.clone(),
            _ => self.dice.pick(&self.holders).clone(),
        }
    }

    fn delegate(&mut self) -> (Action, Vec<SecretKey>) {
        let study = self.any_study();
        let (holder, mut key) = (self.holder_of(study), self.dice.pick(&self.delegates).public());
        if self.dice.one_in(12) {
            key = self.any_key().public();
        }
        let roles = [DelegateRole::Guardian, DelegateRole::Helper, DelegateRole::CareTeam, DelegateRole::Emergency];
        let before = self.world.seen(study).and_then(|study| study.delegates.find(&key).copied());
        let role = match before {
            Some(before) if !self.dice.one_in(3) => before.role,
            _ => *self.dice.pick(&roles),
        };
        let delegate = Delegate { key, role, powers: Powers::GRANT, expiry_day: self.any_day() };
        let action = clavicle_ledger::action::Delegate { study, holder: holder.public(), delegate };
        (Action::Delegate(action), vec![holder])
    }

    fn undelegate(&mut self) -> (Action, Vec<SecretKey>) {
        let study = self.any_study();
        let (holder, mut delegate) = (self.holder_of(study), self.dice.pick(&self.delegates).public());
        let delegates = self.world.seen(study).map(|study| study.delegates.to_vec()).unwrap_or_default();
        if !delegates.is_empty() && !self.dice.one_in(4) {
            delegate = self.dice.pick(&delegates).key;
        }
        (Action::Undelegate(Undelegate { study, holder: holder.public(), delegate }), vec![holder])
    }

    fn transfer(&mut self) -> (Action, Vec<SecretKey>) {
        let study = self.any_study();
        let (holder, new_holder) = (self.holder_of(study), self.any_key());
        let action = TransferStudy {
            study,
            holder: holder.public(),
            new_holder: new_holder.public(),
            keep_grants: self.dice.one_in(2),
        };
        (Action::TransferStudy(action), vec![holder, new_holder])
    }

    /// The numbers of the studies with a recovery on its way.
    fn recovering(&self) -> Vec<usize> {
        let pending = |number: &usize| {
            self.world.seen(self.studies[*number]).is_some_and(|study| study.pending_recovery.is_some())
        };
        (0..self.studies.len()).filter(pending).collect()
    }

    fn recover(&mut self) -> (Action, Vec<SecretKey>) {
        let (recovering, mut new_holder) = (self.recovering(), self.any_key());
        let (mut number, mut completes) = (self.any_number(), None);
        if !recovering.is_empty() && !self.dice.one_in(8) {
            number = *self.dice.pick(&recovering);
            let pending = self.world.seen(self.studies[number]).and_then(|study| study.pending_recovery);
            if let Some(pending) = pending.filter(|_| !self.dice.one_in(10)) {
                new_holder = self.secret_of(pending.new_holder).unwrap();
                completes = (!self.dice.one_in(8)).then_some(pending.id);
            }
        }
        let source = self.hospital_for(self.hospital_of[number]).operational;
        let (study, new_holder_key) = (self.studies[number], new_holder.public());
        let action = RecoverStudy { study, source: source.public(), new_holder: new_holder_key, completes };
        (Action::RecoverStudy(action), vec![source, new_holder])
    }

    fn veto(&mut self) -> (Action, Vec<SecretKey>) {
        let recovering = self.recovering();
        let mut study = self.any_study();
        if !recovering.is_empty() && !self.dice.one_in(4) {
            study = self.studies[*self.dice.pick(&recovering)];
        }
        let pending = self.world.seen(study).and_then(|study| study.pending_recovery);
        let recovery = match pending.filter(|_| !self.dice.one_in(6)) {
            Some(pending) => pending.id,
            None => TxId::from_bytes(self.dice.bytes()),
        };
        let holder = self.holder_of(study);
        (Action::Veto(Veto { study, holder: holder.public(), recovery }), vec![holder])
    }

    fn anchor(&mut self) -> (Action, Vec<SecretKey>) {
        let at = self.any_hospital();
        let source = self.in_force(at).operational;
        let due = self.source(at).map_or(0, |source| source.anchors);
        let action = Anchor {
            source: source.public(),
            sequence: due + if self.dice.one_in(4) { self.dice.below(3) } else { 0 },
            root: AnchorRoot::from_bytes(self.dice.bytes()),
            count: self.dice.below(100),
        };
        (Action::Anchor(action), vec![source])
    }

    fn vote(&mut self) -> (Action, Vec<SecretKey>) {
        if self.contents.is_empty() || self.dice.one_in(6) {
            let content = self.content();
            self.contents.push(content);
            if self.contents.len() > 6 {
                self.contents.remove(0);
            }
        }
        let content = self.dice.pick(&self.contents).clone();
        // Mostly one of those who decide and have not voted.
        let (ballot, set) = (self.ballot(&content), self.world.state.validators().unwrap());
        let due = |at: &usize| {
            set.validators.find(&self.ids[*at]).is_some() && !ballot.iter().any(|(voter, _)| *voter == self.ids[*at])
        };
        let due: Vec<usize> = (0..self.ids.len()).filter(due).collect();
        let at = if due.is_empty() || self.dice.one_in(5) { self.any_hospital() } else { *self.dice.pick(&due) };
        let voter = self.in_force(at).operational;
        (Action::Vote(Vote { voter: voter.public(), content }), vec![voter])
    }

    /// Something to vote on.
    fn content(&mut self) -> Content {
        let frozen = |study: &StudyId| self.world.seen(*study).is_some_and(|study| study.frozen);
        let frozen: Vec<StudyId> = self.studies.iter().copied().filter(frozen).collect();
        if !frozen.is_empty() && self.dice.one_in(3) {
            let study = *self.dice.pick(&frozen);
            let holder = self.world.seen(study).unwrap().holder;
            return Content::Settle {
                study,
                holder: if self.dice.one_in(3) { holder } else { self.any_key().public() },
            };
        }
        let at = self.any_hospital();
        let source = self.ids[at];
        match self.dice.below(20) {
            0..=3 => self.admission(),
            4..=6 => Content::SetSuspended { source, suspended: true },
            7..=9 => {
                let suspended =
                    |id: &&SourceId| self.world.state.source(**id).unwrap().is_some_and(|source| source.suspended);
                let suspended = self.ids.iter().find(suspended).copied();
                Content::SetSuspended { source: suspended.unwrap_or(source), suspended: false }
            }
            10 | 11 => {
                let kind = if self.dice.one_in(3) { SourceKind::Hosted } else { SourceKind::Validator };
                Content::SetKind { source, kind }
            }
            12 | 13 => {
                self.generation += 1;
                let new = world::secret(&format!("another identity {}", self.generation));
                let key = if self.dice.one_in(5) { self.world.hospitals[at].identity.clone() } else { new };
                self.secrets.push(key.clone());
                Content::ReplaceIdentity { source, identity: key.public() }
            }
            14 if self.ids.len() > 6 || self.dice.one_in(3) => {
                let by = self.any_hospital();
                Content::Succeed { source, by: self.ids[by] }
            }
            14 | 15 => Content::Settle { study: self.any_study(), holder: self.any_key().public() },
            19 => {
                // So far ahead that no history comes there.
                let epoch = if self.dice.one_in(6) { 0 } else { 1_000_000 + self.dice.below(3) };
                Content::Upgrade(Upgrade { version: 1 + self.dice.below(3) as u32, epoch })
            }
            _ if self.parameters_stay => Content::SetSuspended { source, suspended: false },
            _ => Content::SetParameters(Box::new(self.parameters())),
        }
    }

    /// A hospital that wants to be admitted: a new one, or one that wanted to before.
    fn admission(&mut self) -> Content {
        let names = ["annex", "bay", "coast", "dale", "elm"];
        let next = self.ids.len() - 4;
        let known = self.dice.below(next as u64) as usize;
        let number = if next == 0 || (next < names.len() && !self.dice.one_in(4)) { next } else { known };
        let mut hospital = Hospital::new(names[number], 0);
        if number % 3 == 2 {
            hospital.consensus = None;
        }
        if self.dice.one_in(8) {
            hospital.transfer = self.dice.pick(&self.world.hospitals[..4]).network.clone();
        }
        if number == next {
            self.ids.push(hospital.id(&self.world.chain));
            self.know(number + 4, &hospital);
            self.world.hospitals.push(hospital.clone());
        }
        Content::Admit(Box::new(world::candidate(&hospital)))
    }

    /// The parameters as they are, or not quite.
    fn parameters(&mut self) -> Parameters {
        let now = self.world.rules().parameters;
        let hours = HOUR_MS * (1 + self.dice.below(4));
        match self.dice.below(16) {
            0 => Parameters { tombstone_ms: now.tombstone_ms + 1, ..now },
            1 => Parameters { power_window_epochs: now.power_window_epochs + 1, ..now },
            2 => Parameters { suspension_ms: 16 * HOUR_MS + hours, ..now },
            3 => Parameters { epoch_ms: 8 * HOUR_MS + hours, ..now },
            4 => Parameters { vote_ms: 5 * HOUR_MS + hours / 8, ..now },
            5 => Parameters { evidence_ms: 2 * DAY_MS + 8 * hours, ..now },
            6 => Parameters { recovery_heights: 1 + self.dice.below(5), ..now },
            7 => Parameters { recovery_delay_ms: HOUR_MS + hours, ..now },
            8 => Parameters { recovery_interval_ms: 8 * HOUR_MS + hours, ..now },
            9 => Parameters { halt_gap_ms: 30_000 + hours, ..now },
            10 => Parameters { halt_grace_ms: hours, ..now },
            11 => Parameters { submit_window_ms: 8 * HOUR_MS + hours, ..now },
            12 => Parameters { power_change_percent: 10 + self.dice.below(90) as u8, ..now },
            13 => Parameters { votes_per_epoch: 4 + self.dice.below(8) as u32, ..now },
            14 => Parameters { delegations_per_day: 2 + self.dice.below(8) as u16, ..now },
            _ => now,
        }
    }

    fn evidence(&mut self) -> (Action, Vec<SecretKey>) {
        let (mut at, mut key) = self.dice.pick(&self.consensus).clone();
        if !self.dice.one_in(3) {
            // A key that is in force.
            let set = self.world.state.validators().unwrap();
            let validator = *self.dice.pick(&set.validators);
            at = self.ids.iter().position(|id| *id == validator.source).unwrap();
            key = self.secret_of(validator.key).unwrap();
        }
        let newest = self.world.header.height + 1;
        let height = match self.dice.below(8) {
            0 => newest + 1,
            1 => self.dice.below(newest + 1),
            2 => newest,
            _ => newest.saturating_sub(self.dice.below(12)),
        };
        let kind = *self.dice.pick(&[None, Some(VoteKind::Prevote), Some(VoteKind::Precommit)]);
        let place = (height, self.dice.below(2) as u32);
        (world::equivocation(&self.world.chain, &key, self.ids[at], place, kind), Vec::new())
    }
}
