//! A state, and what two states have in common from which the same can follow.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::rc::Rc;

use clavicle_ledger::ballot::Ballot;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::EventHash;
use clavicle_ledger::state::{Changes, Head, ReadRows as _, StateKey, StateReader};
use clavicle_ledger::study::{DayCounts, Status, Study};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_ledger::transaction::Action;

use super::ghost::Ghost;
use super::pool::{Scenario, hour, hour_of};

/// A state's rows without a tree: those of the genesis, shared, and what has changed since.
#[derive(Clone)]
pub struct Rows {
    genesis: Rc<BTreeMap<StateKey, Vec<u8>>>,
    since: BTreeMap<StateKey, Option<Rc<[u8]>>>,
}

impl Rows {
    pub fn new(genesis: &Genesis) -> Self {
        let rows = genesis.state().into_iter().filter_map(|(key, row)| Some((key, row?))).collect();
        Self { genesis: Rc::new(rows), since: BTreeMap::new() }
    }

    pub fn write(&mut self, changes: Changes) {
        self.since.extend(changes.into_iter().map(|(key, row)| (key, row.map(Rc::from))));
    }
}

impl StateReader for Rows {
    type Error = Infallible;
    fn read(&self, key: &StateKey) -> Result<Option<Vec<u8>>, Infallible> {
        Ok(match self.since.get(key) {
            Some(row) => row.as_ref().map(|row| row.to_vec()),
            None => self.genesis.get(key).cloned(),
        })
    }
}

/// The record with every moment rounded to its hour, and without what nothing that follows depends on: the events so
/// far, the day's counts, whose limits no world reaches, heights further back than they are asked for.
pub fn timeless(study: &Study, head: &Head, scenario: &Scenario) -> Study {
    let whole = |moment: Timestamp| hour(hour_of(moment));
    let mut study = Study { events: 0, event_hash: EventHash::START, today: DayCounts::default(), ..study.clone() };
    if let Status::Suspended { until, .. } = &mut study.status {
        *until = until.map(whole);
    }
    let stones = study.tombstones.iter().map(|stone| {
        let mut stone = *stone;
        stone.until = whole(stone.until);
        stone
    });
    study.tombstones = Ascending::from_items(stones.collect()).unwrap();
    if let Some(pending) = &mut study.pending_recovery {
        pending.since = BlockTime(whole(pending.since.timestamp()));
        pending.since_height = scenario.delays.recovery_heights.min(head.height - pending.since_height);
    }
    let now = hour_of(head.time.timestamp());
    let asked = study.last_recovery.map(|last| hour_of(last.timestamp()));
    study.last_recovery =
        asked.filter(|asked| now - asked <= scenario.delays.interval).map(|asked| BlockTime(hour(asked)));
    study.vetoed = study.vetoed.map(|_| BlockTime(hour(0)));
    study
}

/// What two states have in common from which the same can follow.
pub fn fingerprint(scenario: &Scenario, rows: &Rows, ghost: &Ghost) -> [u8; 16] {
    let head = rows.head().unwrap();
    let now = head.time.timestamp();
    let resumed = head.resumed.map(|resumed| hour_of(resumed.timestamp()));
    let resumed = resumed.filter(|resumed| hour_of(now) - resumed <= scenario.delays.grace);
    let study = rows.study(scenario.study).unwrap().map(|study| timeless(&study, &head, scenario));
    let gone = scenario
        .papers
        .iter()
        .map(|paper| paper.signed.body().submit_by < now || rows.executed(paper.signed.id()).unwrap().is_some());
    let gone: Vec<bool> = gone.collect();
    let mut votes = Vec::new();
    for paper in &scenario.papers {
        if let Action::Vote(vote) = &paper.signed.body().action {
            let ballot: Option<Ballot> = rows.row(&StateKey::Ballot(vote.content.id(&scenario.chain))).unwrap();
            let cast = ballot.unwrap_or_default().cast;
            let cast = cast.iter().filter(|cast| now <= cast.until).map(|cast| (cast.voter, hour_of(cast.until)));
            votes.push(cast.collect::<Vec<_>>());
        }
    }
    let all = encoding::encode(&(hour_of(now), resumed, study, gone, votes, ghost));
    let mut short = [0; 16];
    short.copy_from_slice(&blake3::hash(&all).as_bytes()[..16]);
    short
}
