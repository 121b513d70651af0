//! A patient's life, as their wallet signs it.

use std::collections::BTreeSet;

use clavicle_ledger::action::{self, DefineStudy, RecoverStudy, ReviseStudy, TransferStudy};
use clavicle_ledger::derivation::{Branch, Seed};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::id::{GrantId, ManifestRoot, StudyId, TxId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::study::{Delegate, DelegateRole, Powers};
use clavicle_ledger::terms::{PurposeOfUse, Terms};
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::letter::{Content, GrantLetter, Letter};
use clavicle_letters::seal;
use clavicle_manifest::Uid;
use clavicle_wallet::envelope::{self, GrantRequest};

use super::{Act, Card, Given, Held, MINUTE_MS, Making, Study};
use crate::life::Leak;
use crate::network::{BEGIN, SOURCES};

/// How long one transaction takes until the next is sent, in milliseconds.
const EACH_MS: u64 = 40;
/// From when on a recovery is completed, in milliseconds: the time for a veto, and some more.
const VETO_MS: u64 = 73 * HOUR_MS;
/// For how many days people grant.
const LENGTHS: [u64; 5] = [1, 7, 30, 90, 365];

/// How a patient's time with these keys ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    NewWords,
    Recovery,
}

/// A patient with their phone.
pub(super) struct Person {
    number: usize,
    seed: Seed,
    device: u32,
    next_study: u32,
    /// How far the phone's clock is off, in milliseconds, to both sides of the middle.
    off: u64,
    restored_at: Option<u64>,
    end: Option<(u64, End)>,
    /// When all grants are ended.
    ended_at: Option<u64>,
    role: Option<(DelegateRole, u64)>,
    doctor: usize,
    home: usize,
    hour: u64,
    length: u64,
    planted: SecretKey,
    nonce: u128,
    held: Vec<Vec<Held>>,
    given: Vec<Given>,
}

const MIDDLE: u64 = 10 * DAY_MS;

/// The next of a wallet's nonces: random, but for one with a fault.
fn nonce(person: &mut Person, making: &mut Making<'_>) -> [u8; 16] {
    if making.life.leak == Some(Leak::Nonce) {
        person.nonce += 1;
        return person.nonce.to_be_bytes();
    }
    making.dice.bytes()
}

impl Person {
    pub(super) fn new(number: usize, making: &mut Making<'_>) -> Self {
        let (seed, life) = (making.words(), making.life);
        let some_day = |making: &mut Making<'_>, chance| {
            let (is, day) = (making.dice.chance(chance), making.dice.below(life.days));
            let at = making.moment(day);
            is.then_some(at)
        };
        let most = match making.dice.below(100) {
            0..70 => 2_000,
            70..95 => MINUTE_MS,
            _ => 3 * DAY_MS,
        };
        let off = MIDDLE - most + making.dice.below(2 * most);
        let restored_at = some_day(making, life.restored);
        let end = match (some_day(making, life.new_words), some_day(making, life.recovered)) {
            (Some(at), _) => Some((at, End::NewWords)),
            (None, at) => at.map(|at| (at, End::Recovery)),
        };
        let ended_at = some_day(making, life.ended);
        let role = match (some_day(making, life.emergency), some_day(making, life.care_team)) {
            (Some(at), _) => Some((DelegateRole::Emergency, at)),
            (None, at) => at.map(|at| (DelegateRole::CareTeam, at)),
        };
        Self {
            number,
            seed,
            device: 0,
            next_study: 0,
            off,
            restored_at,
            end,
            ended_at,
            role,
            doctor: making.dice.place(making.doctors.len()),
            home: making.dice.place(SOURCES),
            hour: 8 + making.dice.below(10),
            length: making.dice.below(LENGTHS.len() as u64),
            planted: SecretKey::from_bytes(&making.dice.bytes()),
            nonce: u128::from_be_bytes(making.dice.bytes()),
            held: Vec::new(),
            given: Vec::new(),
        }
    }

    pub(super) const fn restored_at(&self) -> Option<u64> {
        self.restored_at
    }

    pub(super) fn live(&mut self, making: &mut Making<'_>) {
        let life = making.life;
        let mut visits = Vec::new();
        for _ in 0..2 + making.dice.below(4) {
            let day = making.dice.below(life.days);
            let at = making.moment(day);
            let usual = BEGIN + day * DAY_MS + self.hour * HOUR_MS + making.dice.below(HOUR_MS);
            visits.push(if making.dice.chance(life.hours) { usual } else { at });
        }
        visits.sort_unstable();
        for (visit, at) in visits.into_iter().enumerate() {
            self.pick_up(making, visit, at);
            self.let_in(making, visit, at);
        }
        self.delegate(making);
        self.end_everything(making);
        match self.end {
            Some((at, End::NewWords)) => self.take_new_words(making, at),
            Some((at, End::Recovery)) => self.recover(making, at),
            None => {}
        }
    }

    /// Whether these keys are the patient's no more.
    fn is_over(&self, at: u64) -> bool {
        self.end.is_some_and(|(end, _)| at + HOUR_MS >= end)
    }

    /// What every transaction of this wallet has of a fault that is planted.
    fn faulty(&self, making: &Making<'_>, at: u64, mut body: Body) -> Body {
        if making.life.leak == Some(Leak::Clock) {
            body.submit_by = Timestamp(at + self.off - MIDDLE + 7 * DAY_MS);
        }
        body
    }

    fn next_key(&mut self, making: &mut Making<'_>) -> SecretKey {
        let is_faulty = making.life.leak == Some(Leak::HolderKey) && making.dice.chance(50);
        let number = if is_faulty { 0 } else { self.next_study };
        self.next_study += u32::from(!is_faulty);
        self.seed.derive_key(self.device, Branch::Study, number).expect("few keys")
    }

    /// The studies of a visit become the patient's, one after another.
    fn pick_up(&mut self, making: &mut Making<'_>, visit: usize, at: u64) {
        if self.restored_at.is_some_and(|restored| restored < at) && self.device == 0 {
            // A restored wallet is a device with a number of its own.
            (self.device, self.next_study) = (1, 0);
        }
        let source = if making.dice.chance(making.life.home) { self.home } else { making.dice.place(SOURCES) };
        let (act, mut studies) = (making.act(Act::Pickup), Vec::new());
        let count = 1 + making.dice.below(3);
        for number in 0..count {
            let at = at + number * EACH_MS / 2;
            let (head, nonce) = (making.head(at), nonce(self, making));
            if self.is_over(at) {
                continue;
            }
            let (salt, holder) = (Salt::from_bytes(making.dice.bytes()), self.next_key(making));
            let uid = format!("1.2.826.{}.{visit}.{number}", self.number);
            let operational = making.network.hospitals[source].operational.clone();
            let define = DefineStudy {
                digest: salt.study_digest(&uid),
                source: operational.public(),
                holder: holder.public(),
                delegates: Ascending::new(),
                manifest_root: ManifestRoot::from_bytes(making.dice.bytes()),
                open: making.dice.chance(20),
            };
            let id = StudyId::of(&making.network.chain, making.source(source), define.digest);
            let body = self.faulty(making, at, envelope::definition(head, nonce, define));
            let signed = sign(making, body, &[&operational, &holder]);
            let study = making.world.studies.len();
            let acts = BTreeSet::new();
            making.world.studies.push(Study { patient: self.number, visit, at, source, acts, reach: 0 });
            making.world.seen.push(Vec::new());
            making.send(at, (study, act), signed, None);
            studies.push(Held { study, id, source, holder, salt, at });
        }
        self.revise(making, &studies, source, at);
        self.held.push(studies);
    }

    /// Late images: the hospital revises some studies of the visit, as its relay does.
    fn revise(&self, making: &mut Making<'_>, studies: &[Held], source: usize, at: u64) {
        let act = making.act(Act::Revision);
        let first = at + HOUR_MS / 2 + making.dice.below(6 * HOUR_MS);
        for (number, held) in (0..).zip(studies) {
            let at = first + number * 200;
            if !making.dice.chance(30) || self.end.is_some_and(|(end, _)| at >= end) {
                continue;
            }
            let mut nonce = [0; 16];
            nonce.copy_from_slice(&held.id.as_bytes()[..16]);
            let operational = making.network.hospitals[source].operational.clone();
            let action = Action::ReviseStudy(ReviseStudy {
                study: held.id,
                source: operational.public(),
                revision: 1,
                manifest_root: ManifestRoot::from_bytes(making.dice.bytes()),
                open: false,
            });
            let body = Body { submit_by: Timestamp((at / HOUR_MS + 2) * HOUR_MS), nonce, action };
            let signed = sign(making, body, &[&operational]);
            making.send(at, (held.study, act), signed, None);
        }
    }

    /// The visit's studies are granted to one card, now and then to a second one on another day; each is ended in one
    /// go, if it is.
    fn let_in(&mut self, making: &mut Making<'_>, visit: usize, at: u64) {
        for card in 0..making.dice.below(3) {
            let wait = if card == 0 { 0 } else { DAY_MS * (1 + making.dice.below(3)) };
            let at = at + wait + MINUTE_MS + making.dice.below(3 * HOUR_MS);
            let mut own: Vec<(usize, usize)> = (0..self.held[visit].len()).map(|study| (visit, study)).collect();
            let earlier = if visit > 0 && making.dice.chance(making.life.along) {
                let before = making.dice.place(visit);
                (0..self.held[before].len()).map(|study| (before, study)).collect()
            } else {
                Vec::new()
            };
            let first = self.given.len();
            let doctor = if making.dice.chance(making.life.doctor) {
                self.doctor
            } else {
                making.dice.place(making.doctors.len())
            };
            let mut shown = making.card(doctor);
            let act = making.act(Act::LettingIn);
            let mut next = at;
            own.truncate(MAX_AT_ONCE);
            for place in own {
                self.grant(making, place, &mut shown, next, act);
                next += EACH_MS + making.dice.below(EACH_MS);
            }
            if !earlier.is_empty() {
                // In one go with them; spread, it is one act all the same.
                let act = making.act(Act::Along);
                if let Some(held) = self.held[visit].first() {
                    making.world.studies[held.study].acts.insert(act);
                }
                for place in earlier {
                    let wait = if making.life.spread_ms > 0 { making.dice.below(making.life.spread_ms) } else { 0 };
                    self.grant(making, place, &mut shown, next + wait, act);
                    next += EACH_MS + making.dice.below(EACH_MS);
                }
            }
            if making.dice.chance(25) {
                let at = at + HOUR_MS + making.dice.below(5 * DAY_MS);
                let act = making.act(Act::Ending);
                (first..self.given.len()).for_each(|given| self.revoke(making, given, at, act));
            }
        }
    }

    fn grant(&mut self, making: &mut Making<'_>, (visit, study): (usize, usize), card: &mut Card, at: u64, act: usize) {
        if self.is_over(at) {
            return;
        }
        let (head, nonce) = (making.head(at), nonce(self, making));
        let number = if making.dice.chance(making.life.lengths) { self.length } else { making.dice.below(5) };
        let request = GrantRequest::new(LENGTHS[number as usize] * DAY_MS, PurposeOfUse::Treatment);
        let Some(mut grantee) = envelope::one_of(&card.keys, making.dice.bytes()) else { return };
        card.keys.retain(|key| *key != grantee);
        if making.life.leak == Some(Leak::GranteeKey) && making.dice.chance(90) {
            let is_there = self.given.iter().any(|given| given.held == self.held[visit][study].study);
            grantee = if is_there { grantee } else { self.planted.public() };
        }
        let held = &self.held[visit][study];
        let terms = envelope::terms(head, making.dice.bytes(), (0, ManifestRoot::from_bytes([8; 32])), &request);
        let granter = (held.id, held.holder.public());
        let body = envelope::grant(head, nonce, &making.network.chain, granter, grantee, &terms);
        let body = self.faulty(making, at, body);
        let (id, by) = (GrantId::from(body.id(&making.network.chain)), body.submit_by);
        let signed = sign(making, body, &[&held.holder]);
        let len = letter(making, held, card, &signed, &terms, at);
        making.send(at, (held.study, act), signed, Some((card.mailbox, len)));
        let expires = terms.expires.0;
        self.given.push(Given { held: held.study, id, by, at, expires, has_ended: false });
    }

    fn revoke(&mut self, making: &mut Making<'_>, number: usize, at: u64, act: usize) {
        let given = self.given[number].clone();
        // All of them are signed first.
        let at = at + (number as u64 % 16) * 3;
        let is_live = !given.has_ended && at > given.at + 1_000 && at + HOUR_MS < given.expires && !self.is_over(at);
        if !is_live {
            return;
        }
        self.given[number].has_ended = true;
        // A wallet that was restored finds its grants on the ledger.
        let known = self.restored_at.is_none_or(|restored| at < restored).then_some(given.by);
        let (head, nonce) = (making.head(at), nonce(self, making));
        let Some(held) = self.held.iter().flatten().find(|held| held.study == given.held) else { return };
        let body = envelope::revocation(head, nonce, (held.id, held.holder.public()), given.id, known);
        let signed = sign(making, self.faulty(making, at, body), &[&held.holder]);
        making.send(at, (held.study, act), signed, None);
    }

    fn end_everything(&mut self, making: &mut Making<'_>) {
        let Some(at) = self.ended_at else { return };
        let act = making.act(Act::Ending);
        (0..self.given.len()).for_each(|given| self.revoke(making, given, at, act));
    }

    /// A delegate in a role on all studies that there are, in one go; on each that comes later, after its pickup.
    fn delegate(&mut self, making: &mut Making<'_>) {
        let Some((role, first)) = self.role else { return };
        let act = making.act(Act::Delegation);
        for number in 0..self.held.iter().map(Vec::len).sum::<usize>() {
            let Some(held) = self.held.iter().flatten().nth(number) else { continue };
            let (is_new, key) = (held.at + MINUTE_MS > first, SecretKey::from_bytes(&making.dice.bytes()).public());
            let (act, at) = if is_new {
                (making.act(Act::Delegation), held.at + 2_000)
            } else {
                (act, first + number as u64 * EACH_MS)
            };
            if self.is_over(at) {
                continue;
            }
            let head = making.head(at);
            let expiry_day = head.time.timestamp().plus(365 * DAY_MS).day_rounded_up();
            let action = Action::Delegate(action::Delegate {
                study: held.id,
                holder: held.holder.public(),
                delegate: Delegate { key, role, powers: Powers::GRANT, expiry_day },
            });
            let body = Body { submit_by: head.submit_by(), nonce: making.dice.bytes(), action };
            let signed = sign(making, body, &[&held.holder]);
            making.send(at, (held.study, act), signed, None);
        }
    }

    fn take_new_words(&mut self, making: &mut Making<'_>, at: u64) {
        let (act, seed) = (making.act(Act::NewWords), making.words());
        for (number, held) in (0u32..).zip(self.held.iter().flatten()) {
            let at = at + u64::from(number) * (EACH_MS + making.dice.below(EACH_MS));
            let new = seed.derive_key(0, Branch::Study, number).expect("few keys");
            let (holder, new_holder) = (held.holder.public(), new.public());
            let transfer = TransferStudy { study: held.id, holder, new_holder, keep_grants: false };
            let (head, nonce) = (making.head(at), making.dice.bytes());
            let signed = sign(making, envelope::transfer(head, nonce, transfer), &[&held.holder, &new]);
            making.send(at, (held.study, act), signed, None);
        }
    }

    /// One hospital gives back all that it has of this patient: asked for, and completed days later.
    fn recover(&mut self, making: &mut Making<'_>, at: u64) {
        let Some(source) = self.held.iter().flatten().next().map(|held| held.source) else { return };
        let (act, seed) = (making.act(Act::Recovery), making.words());
        let operational = making.network.hospitals[source].operational.clone();
        for (number, held) in (0u32..).zip(self.held.iter().flatten().filter(|held| held.source == source)) {
            let new = seed.derive_key(0, Branch::Study, number).expect("few keys");
            let mut completes: Option<TxId> = None;
            for at in [at, at + VETO_MS] {
                let at = at + u64::from(number) * EACH_MS;
                let step =
                    RecoverStudy { study: held.id, source: operational.public(), new_holder: new.public(), completes };
                let (head, nonce) = (making.head(at), making.dice.bytes());
                let body = envelope::recovery(head, nonce, step);
                completes = Some(body.id(&making.network.chain));
                let signed = sign(making, body, &[&operational, &new]);
                making.send(at, (held.study, act), signed, None);
            }
        }
    }
}

/// How many studies are granted to one card at once, at most: those of the visit, and as many of before.
const MAX_AT_ONCE: usize = clavicle_letters::card::MAX_GRANTEES / 2;

fn sign(making: &Making<'_>, body: Body, keys: &[&SecretKey]) -> Envelope {
    body.sign(&making.network.chain, keys).expect("every signer's key is given")
}

/// How long the letter about a grant is, sealed.
fn letter(making: &mut Making<'_>, held: &Held, card: &Card, envelope: &Envelope, terms: &Terms, at: u64) -> usize {
    let description = "CT chest with contrast, late phase"[..10 + making.dice.place(20)].to_owned();
    let content = GrantLetter {
        envelope: envelope.clone(),
        terms: terms.clone(),
        salt: held.salt.clone(),
        study_instance_uid: Uid::new("1.2.826.0.1.3680043.8.498.1").expect("a UID"),
        description: Text::new(description).expect("a short text"),
        source: making.source(held.source),
        final_at: 1,
    };
    let letter = Letter {
        chain: making.network.chain,
        to: card.identity.recipient(),
        from: held.holder.public(),
        sent: Timestamp(at),
        content: Content::Grant(Box::new(content)),
    };
    seal::seal(&letter, &held.holder).expect("a letter that is well formed").len()
}
