//! Who plays, and what it sees of two studies.
//!
//! All of it is made of what is public, and of what a source or a relay knows: nothing here looks whose a study is.

use std::collections::{BTreeMap, BTreeSet};

use clavicle_ledger::action::{DefineStudy, Grant, RecoverStudy, TransferStudy};
use clavicle_ledger::encoding;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{DAY_MS, HOUR_MS};
use clavicle_ledger::transaction::Action;

use crate::world::{Deposit, Seen, World};

/// Who plays. Each sees all of the ledger and of gossip: bytes, order, block times, who signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Adversary {
    /// Nobody who knows more than everybody.
    Ledger,
    /// The first hospital with its relay. Of pairs with one of its own studies it knows the mailboxes of those who
    /// fetched that one, and of others what its relay sees.
    Source,
    /// A relay that keeps mailboxes: their keys, when a letter came and how long it is, and which are collected
    /// together.
    Relay,
}

/// The source and relay that plays.
pub(crate) const WHO: usize = 0;
/// So many bytes in a row that two studies have, and few others, are no coincidence.
const WINDOW: usize = 12;
/// What more studies have than that is the same for everybody.
const COMMON: usize = 30;
/// A letter comes so soon after its grant, in milliseconds.
const LETTER_MS: u64 = 1_000;
/// The most values that a feature has.
const VALUES: usize = 16;

/// What an adversary has prepared of a world.
pub(crate) struct View<'a> {
    world: &'a World,
    adversary: Adversary,
    /// How many runs of bytes two studies have in common.
    common: BTreeMap<(usize, usize), usize>,
    /// The mailboxes that letters about a study went to, as far as can be told, each with the letter's length.
    mail: Vec<Vec<(usize, usize)>>,
}

/// One thing that is looked at, and its value: a feature.
const NAMES: [&str; 24] = [
    "nearest definitions",
    "nearest grants",
    "nearest revocations",
    "nearest transfers",
    "nearest recoveries",
    "nearest delegations",
    "nearest revisions",
    "nearest of two kinds",
    "places apart",
    "bytes in common",
    "keys alike",
    "definitions' submit_by less block time",
    "grants' submit_by less block time",
    "lengths of grants",
    "longest grants",
    "hour of definition",
    "hour of grants",
    "source",
    "grants more",
    "transactions more",
    "roles",
    "more expected",
    "mailboxes",
    "letters' lengths",
];

/// What a feature's number means.
pub(crate) fn name(feature: usize) -> String {
    format!("{} = {}", NAMES.get(feature / VALUES).unwrap_or(&"?"), feature % VALUES)
}

/// Far and near, in steps.
fn step(value: u64, steps: &[u64]) -> usize {
    steps.iter().position(|step| value <= *step).unwrap_or(steps.len()) + 1
}

/// How far apart two moments are: 0 is that there are none.
fn apart(ms: Option<u64>) -> usize {
    const STEPS: [u64; 11] =
        [0, 500, 3_000, 20_000, 2 * 60_000, 15 * 60_000, HOUR_MS, 4 * HOUR_MS, 12 * HOUR_MS, 2 * DAY_MS, 6 * DAY_MS];
    ms.map_or(0, |ms| step(ms, &STEPS))
}

const fn kind(action: &Action) -> Option<usize> {
    Some(match action {
        Action::DefineStudy(_) => 0,
        Action::Grant(_) => 1,
        Action::Revoke(_) => 2,
        Action::TransferStudy(_) => 3,
        Action::RecoverStudy(_) => 4,
        Action::Delegate(_) => 5,
        Action::ReviseStudy(_) => 6,
        _ => return None,
    })
}

fn nearest(one: &[Seen], other: &[Seen], by: impl Fn(&Seen, &Seen) -> Option<u64>) -> Option<u64> {
    one.iter().flat_map(|one| other.iter().filter_map(|other| by(one, other)).min()).min()
}

/// The keys that stand on a study, its source's excepted.
fn keys(seen: &[Seen]) -> BTreeSet<Key> {
    let of = |action: &Action| match action {
        Action::DefineStudy(DefineStudy { holder, .. }) => vec![*holder],
        Action::Grant(Grant { grantee, .. }) => vec![*grantee],
        Action::TransferStudy(TransferStudy { new_holder, .. })
        | Action::RecoverStudy(RecoverStudy { new_holder, .. }) => vec![*new_holder],
        Action::Delegate(delegate) => vec![delegate.delegate.key],
        _ => Vec::new(),
    };
    seen.iter().flat_map(|seen| of(&seen.envelope.body.action)).collect()
}

/// For how many days each grant on a study is.
fn lengths(seen: &[Seen]) -> BTreeSet<u64> {
    let of = |seen: &Seen| match &seen.envelope.body.action {
        Action::Grant(grant) => Some(grant.expiry_day.start().0.saturating_sub(seen.at) / DAY_MS),
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

fn roles(seen: &[Seen]) -> BTreeSet<u8> {
    let of = |seen: &Seen| match &seen.envelope.body.action {
        Action::Delegate(delegate) => Some(delegate.delegate.role as u8),
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

/// How many bits two keys have alike, at their beginning or their end.
fn alike(one: &Key, other: &Key) -> u32 {
    let pairs = || one.as_bytes().iter().zip(other.as_bytes()).map(|(one, other)| one ^ other);
    zeros(pairs()).max(zeros(pairs().rev().map(u8::reverse_bits)))
}

/// With how many zero bits they begin.
fn zeros(bytes: impl Iterator<Item = u8>) -> u32 {
    let mut bits = 0;
    for byte in bytes {
        bits += byte.leading_zeros();
        if byte != 0 {
            break;
        }
    }
    bits
}

impl<'a> View<'a> {
    pub(crate) fn new(world: &'a World, adversary: Adversary) -> Self {
        let mail = (0..world.studies.len()).map(|study| mail(world, adversary, study)).collect();
        Self { world, adversary, common: common(world), mail }
    }

    /// Whether this adversary is asked about a pair: a source knows its patients, so that it is asked about pairs of
    /// which one study is its own.
    pub(crate) fn is_asked(&self, one: usize, other: usize) -> bool {
        let is_own = |study: usize| self.world.studies[study].source == WHO;
        self.adversary != Adversary::Source || is_own(one) != is_own(other)
    }

    /// What is seen of a pair.
    pub(crate) fn features(&self, one: usize, other: usize) -> Vec<usize> {
        let (a, b) = (&self.world.seen[one], &self.world.seen[other]);
        let mut values = [0; NAMES.len()];
        for (of, value) in values.iter_mut().enumerate().take(7) {
            let is = |seen: &Seen| kind(&seen.envelope.body.action) == Some(of);
            *value = apart(nearest(a, b, |a, b| (is(a) && is(b)).then(|| a.at.abs_diff(b.at))));
        }
        let kind_of = |seen: &Seen| kind(&seen.envelope.body.action);
        values[7] = apart(nearest(a, b, |a, b| (kind_of(a) != kind_of(b)).then(|| a.at.abs_diff(b.at))));
        let places = nearest(a, b, |a, b| Some(a.place.abs_diff(b.place) * 2 + u64::from(a.height != b.height)));
        values[8] = places.map_or(0, |places| step(places, &[2, 3, 5, 9, 17, 33, 65, 257, 1_025]));
        let common = self.common.get(&(one.min(other), one.max(other))).copied().unwrap_or(0);
        values[9] = step(common as u64, &[0, 1, 8, 40]);
        let (keys_a, keys_b) = (keys(a), keys(b));
        let bits = keys_a.iter().flat_map(|a| keys_b.iter().map(move |b| alike(a, b))).max();
        values[10] = bits.map_or(0, |bits| step(u64::from(bits), &[2, 4, 6, 8, 10, 12, 16, 24, 48]));
        for (value, of) in [(11, 0), (12, 1)] {
            let less = |seen: &Seen| seen.envelope.body.submit_by.0.wrapping_sub(seen.at);
            let is = |seen: &Seen| kind_of(seen) == Some(of);
            values[value] = apart(nearest(a, b, |a, b| (is(a) && is(b)).then(|| less(a).abs_diff(less(b)))));
        }
        let (lengths_a, lengths_b) = (lengths(a), lengths(b));
        values[13] = match (lengths_a.is_empty() || lengths_b.is_empty(), lengths_a.intersection(&lengths_b).count()) {
            (true, _) => 0,
            (false, count) => 1 + count.min(3),
        };
        values[14] = match (lengths_a.last(), lengths_b.last()) {
            (Some(a), Some(b)) => step(a.abs_diff(*b), &[0, 1, 8, 40, 100]),
            _ => 0,
        };
        for (value, of) in [(15, 0), (16, 1)] {
            let hour = |seen: &Seen| seen.at % DAY_MS;
            let is = |seen: &Seen| kind_of(seen) == Some(of);
            let around = |ms: u64| ms.min(DAY_MS - ms);
            values[value] = apart(nearest(a, b, |a, b| (is(a) && is(b)).then(|| around(hour(a).abs_diff(hour(b))))));
        }
        values[17] = usize::from(signed_by(a) == signed_by(b));
        let grants = |seen: &[Seen]| seen.iter().filter(|seen| kind_of(seen) == Some(1)).count();
        values[18] = grants(a).abs_diff(grants(b)).min(4);
        values[19] = a.len().abs_diff(b.len()).min(6);
        let (roles_a, roles_b) = (roles(a), roles(b));
        values[20] = match (roles_a.is_empty(), roles_b.is_empty()) {
            (true, true) => 0,
            (false, false) if roles_a.is_disjoint(&roles_b) => 3,
            (false, false) => 2,
            _ => 1,
        };
        values[21] = 1 + usize::from(is_open(a)) + usize::from(is_open(b));
        let (mail_a, mail_b) = (&self.mail[one], &self.mail[other]);
        let pairs = mail_a.iter().flat_map(|a| mail_b.iter().map(move |b| (a, b)));
        values[22] = pairs.clone().map(|(a, b)| self.same_box(a.0, b.0)).max().unwrap_or(0);
        values[23] = pairs.map(|(a, b)| 1 + usize::from(a.1 == b.1)).max().unwrap_or(0);
        values.into_iter().enumerate().map(|(of, value)| of * VALUES + value.min(VALUES - 1)).collect()
    }

    /// How two mailboxes belong together: one mailbox, two that are collected from in one go, or neither.
    fn same_box(&self, one: usize, other: usize) -> usize {
        let [a, b] = [one, other].map(|mailbox| &self.world.mailboxes[mailbox]);
        let is_kept = a.relays.contains(&WHO) && b.relays.contains(&WHO);
        if a.key == b.key {
            3
        } else if is_kept && a.recipient == b.recipient {
            2
        } else {
            1
        }
    }
}

/// Who co-signed the definition: the source.
fn signed_by(seen: &[Seen]) -> Option<Key> {
    seen.iter().find_map(|seen| match &seen.envelope.body.action {
        Action::DefineStudy(define) => Some(define.source),
        _ => None,
    })
}

fn is_open(seen: &[Seen]) -> bool {
    seen.iter().any(|seen| matches!(&seen.envelope.body.action, Action::DefineStudy(define) if define.open))
}

/// The mailboxes that letters about a study went to, as this adversary can tell: by the moment, at its own relay; of
/// its own study a source knows them.
fn mail(world: &World, adversary: Adversary, study: usize) -> Vec<(usize, usize)> {
    let known = |deposit: &Deposit| (deposit.mailbox, deposit.len);
    match adversary {
        Adversary::Ledger => Vec::new(),
        Adversary::Source if world.studies[study].source == WHO => {
            world.deposits.iter().filter(|deposit| deposit.study == study).map(known).collect()
        }
        Adversary::Source | Adversary::Relay => {
            let mut found = Vec::new();
            for seen in world.seen[study].iter().filter(|seen| kind(&seen.envelope.body.action) == Some(1)) {
                let first = world.deposits.partition_point(|deposit| deposit.at < seen.at);
                let near = world.deposits[first..].iter().take_while(|deposit| deposit.at < seen.at + LETTER_MS);
                let mut kept = near.filter(|deposit| world.mailboxes[deposit.mailbox].relays.contains(&WHO));
                found.extend(kept.next().map(known));
            }
            found
        }
    }
}

/// How many runs of bytes each two studies have in common that few others have.
fn common(world: &World) -> BTreeMap<(usize, usize), usize> {
    let mut all: Vec<(u64, u32)> = Vec::new();
    for (study, seen) in world.seen.iter().enumerate() {
        for seen in seen {
            for window in encoding::encode(&seen.envelope).windows(WINDOW) {
                // Zeros and days are no coincidence.
                if window.iter().collect::<BTreeSet<_>>().len() >= WINDOW - 4 {
                    let mut first = [0; 8];
                    first.copy_from_slice(&window[..8]);
                    let mut last = [0; 8];
                    last[..WINDOW - 8].copy_from_slice(&window[8..]);
                    let mixed = u64::from_le_bytes(first).wrapping_mul(0x9e37_79b9_7f4a_7c15)
                        ^ u64::from_le_bytes(last).wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
                    all.push((mixed, u32::try_from(study).expect("fewer studies than that")));
                }
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    let mut common = BTreeMap::new();
    for same in all.chunk_by(|one, other| one.0 == other.0) {
        if same.len() > COMMON {
            continue;
        }
        for (place, (_, one)) in same.iter().enumerate() {
            for (_, other) in &same[place + 1..] {
                *common.entry((*one as usize, *other as usize)).or_default() += 1;
            }
        }
    }
    common
}
