//! Random histories: many small choices, most of them sensible, some of them wrong on purpose, all from one seed.

use clavicle_ledger::action::{DefineStudy, Grant, NewStatus, ReviseStudy, Revoke, SetStatus};
use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{GrantId, ManifestRoot, RequestDigest, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::{Delegate, DelegateRole, Powers, Reason, Status};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{DAY_MS, Day, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};
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
        studies_per_epoch: 4,
        announcements_per_epoch: 2,
        revisions_per_epoch: 8,
        statuses_per_epoch: 5,
        holder_grants_per_day: 5,
        delegate_grants_per_day: 3,
        max_grant_days: 20,
        tombstone_ms: 12 * HOUR_MS,
        suspension_ms: 20 * HOUR_MS,
        epoch_ms: 10 * HOUR_MS,
        ..Parameters::default()
    }
}

/// Room for so many grants that histories, crowded around one study, run into the limits that are not parameters.
pub fn roomy() -> Parameters {
    Parameters { holder_grants_per_day: 1_000, delegate_grants_per_day: 1_000, ..tight() }
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
    past: Vec<Verified>,
    generation: u32,
    focus: usize,
    hospital_of: Vec<usize>,
    crowded: bool,
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
        Self {
            studies: (0..16).map(id).collect(),
            hospital_of: (0..16).map(hospital_of).collect(),
            world,
            dice: Dice::new(seed),
            holders: keys("holder", 8),
            delegates: keys("delegate", 6),
            grantees: keys("grantee", 90),
            grants: Vec::new(),
            past: Vec::new(),
            generation: 0,
            focus: 0,
            crowded: parameters.holder_grants_per_day > 100,
        }
    }

    /// How long until the next block: mostly seconds, now and then days, and often to the very moment, give or take a
    /// millisecond, at which something ends.
    pub fn pause(&mut self) -> u64 {
        let now = self.world.now();
        if self.dice.one_in(3) {
            let off = self.dice.below(3);
            let soon = |edge: &u64| edge + off > now.0 + 1 && *edge < now.0 + 30 * DAY_MS;
            let edges: Vec<u64> = self.edges().into_iter().filter(soon).collect();
            if !edges.is_empty() && (!self.crowded || self.dice.one_in(20)) {
                return self.dice.pick(&edges) + off - 1 - now.0;
            }
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
        let (now, head, rules) = (self.world.now(), self.world.state.head().unwrap(), self.world.genesis.parameters);
        let mut edges = vec![now.day().plus(1).start().0, head.epoch_start.timestamp().plus(rules.epoch_ms).0];
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
        }
        edges
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
            let (action, keys) = match self.dice.below(24) {
                0..=2 => self.define_study(),
                3 | 4 => self.revise(),
                5 if !self.crowded || self.dice.one_in(20) => self.set_status(),
                6 => self.define_source(),
                7..=17 => self.grant(),
                _ => self.revoke(),
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
        let at = if self.dice.one_in(6) { self.dice.below(4) as usize } else { self.hospital_of[number] };
        (number, self.world.hospitals[at].clone())
    }

    /// The study's holder, mostly.
    fn holder_of(&mut self, study: StudyId) -> SecretKey {
        let holder = self.world.seen(study).map(|study| study.holder);
        let right = self.holders.iter().find(|key| Some(key.public()) == holder).cloned();
        match right {
            Some(key) if !self.dice.one_in(8) => key,
            _ => self.dice.pick(&self.holders).clone(),
        }
    }

    /// The holder or one of the delegates, mostly the study's own.
    fn granter_of(&mut self, study: StudyId) -> SecretKey {
        let delegates = self.world.seen(study).map(|study| study.delegates.to_vec()).unwrap_or_default();
        if self.dice.one_in(3) && !delegates.is_empty() {
            let key = self.dice.pick(&delegates).key;
            return self.delegates.iter().find(|delegate| delegate.public() == key).unwrap().clone();
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
        let ((number, hospital), holder) = (self.study_and_hospital(), self.dice.pick(&self.holders).clone());
        let roles = [DelegateRole::Guardian, DelegateRole::Helper, DelegateRole::CareTeam, DelegateRole::Emergency];
        let mut delegates: Ascending<Delegate, 8> = Ascending::new();
        for _ in 0..self.dice.below(4) {
            let delegate = Delegate {
                key: self.dice.pick(&self.delegates).public(),
                role: *self.dice.pick(&roles),
                powers: Powers::GRANT,
                expiry_day: self.any_day(),
            };
            delegates.insert(delegate).unwrap();
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
        let study = self.studies[number];
        let before = self.world.seen(study);
        let newest = before.as_ref().map_or(0, |study| study.status_number);
        let reasons = [Reason::Quality, Reason::WrongPatient, Reason::Retention, Reason::UnderReview];
        let reason = *self.dice.pick(&reasons);
        let suspended = before.is_some_and(|study| matches!(study.status, Status::Suspended { .. }));
        let status = match self.dice.below(12) {
            0 => NewStatus::Withdrawn(reason),
            1..=6 if suspended => NewStatus::Active,
            1 => NewStatus::Active,
            _ => NewStatus::Suspended(reason),
        };
        let number = newest + if self.dice.one_in(5) { self.dice.below(3) as u32 } else { 1 };
        let action = SetStatus { study, source: hospital.operational.public(), number, status };
        (Action::SetStatus(action), vec![hospital.operational])
    }

    fn define_source(&mut self) -> (Action, Vec<SecretKey>) {
        let at = self.dice.below(4) as usize;
        let old = &self.world.hospitals[at];
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
        let version = self.world.state.source(new.id(&self.world.chain)).unwrap().unwrap().version;
        let action = new.define_source(version + if self.dice.one_in(6) { 0 } else { 1 });
        let keys = new.secrets().into_iter().cloned().collect();
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
        let terms = Terms {
            not_before: self.world.now(),
            expires: expiry_day.start(),
            revision,
            manifest_root,
            blinding: self.dice.bytes(),
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
}
