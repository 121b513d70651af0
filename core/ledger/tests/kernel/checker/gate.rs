//! Everybody at the gate, saying every hello there is.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use clavicle_ledger::authorise::{Claim, Hello, SignedHello, View};
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::Study;
use clavicle_ledger::time::LocalTime;

use super::explore::Subject;
use super::ghost::Right;
use super::pool::{Deed, No, Scenario, Who, hour, hour_of};
use super::state::{Rows, timeless};
use crate::world::CONFIRMED;

/// In how many states an answer of the gate is taken for known, before it is asked again.
const TRUSTED: usize = 64;

/// Somebody at the gate, and what they say.
#[derive(Clone, Copy)]
pub struct Asker {
    pub who: Who,
    pub right: Right,
    /// The terms of another paper than the one that is claimed.
    pub terms: Option<No>,
}

/// Asks the gate on behalf of everybody, once for each record that differs in anything that is the gate's business; and
/// every so often once more, whether it answers the same.
pub struct Gate<'a> {
    scenario: &'a Scenario,
    pub keys: BTreeMap<Who, Key>,
    pub claims: Vec<Asker>,
    hellos: BTreeMap<(u32, usize), SignedHello>,
    known: BTreeMap<Vec<u8>, Rc<[bool]>>,
    looked: usize,
    pub asked: usize,
    pub authorised: usize,
}

impl<'a> Gate<'a> {
    pub fn new(scenario: &'a Scenario) -> Self {
        let numbered = (0u8..).zip(&scenario.papers);
        let grants: Vec<(No, Who)> = numbered
            .filter_map(|(no, paper)| match paper.deed {
                Deed::Grant { to, .. } => Some((no, to)),
                _ => None,
            })
            .collect();
        let mut claims = Vec::new();
        for who in Who::ALL {
            claims.push(Asker { who, right: Right::Holder, terms: None });
            claims.extend(grants.iter().map(|(no, _)| Asker { who, right: Right::Grant(*no), terms: None }));
        }
        for (no, who) in &grants {
            let others = grants.iter().filter(|(other, _)| other != no);
            claims.extend(others.map(|(of, _)| Asker { who: *who, right: Right::Grant(*no), terms: Some(*of) }));
        }
        let keys = Who::ALL.into_iter().map(|who| (who, who.secret().public())).collect();
        let (hellos, known) = (BTreeMap::new(), BTreeMap::new());
        Self { scenario, keys, claims, hellos, known, looked: 0, asked: 0, authorised: 0 }
    }

    pub fn ask(&mut self, subject: &impl Subject, rows: &Rows, study: Option<&Study>) -> Rc<[bool]> {
        let head = rows.head().unwrap();
        let now = head.time.timestamp();
        // Tombstones, recoveries, counts and the history are not the gate's business.
        let business = study.map(|study| Study {
            tombstones: Ascending::new(),
            pending_recovery: None,
            last_recovery: None,
            vetoed: None,
            ..timeless(study, &head, self.scenario)
        });
        let business = encoding::encode(&(hour_of(now), business));
        self.looked += 1;
        let known = self.known.get(&business).cloned();
        if let Some(known) = &known
            && !self.looked.is_multiple_of(TRUSTED)
        {
            return known.clone();
        }
        let (source, seen_revocations) = (self.scenario.hospitals[0].id(&self.scenario.chain), BTreeSet::new());
        let view =
            View { state: rows, source, highest_seen: now, confirmed: CONFIRMED, seen_revocations: &seen_revocations };
        let answers: Rc<[bool]> = (0..self.claims.len())
            .map(|index| {
                let hello = self.hellos.entry((hour_of(now), index)).or_insert_with(|| {
                    let Asker { who, right, terms } = self.claims[index];
                    let claim = match right {
                        Right::Holder => Claim::Holder,
                        Right::Grant(no) => {
                            let grant = self.scenario.papers[usize::from(no)].signed.id().into();
                            let terms = &self.scenario.papers[usize::from(terms.unwrap_or(no))].terms;
                            Claim::Grant { grant, terms: terms.clone().unwrap() }
                        }
                    };
                    let study = self.scenario.study;
                    let hello = Hello::new(source, study, claim, hour(hour_of(now)));
                    hello.sign(&self.scenario.chain, &who.secret())
                });
                subject.authorise(&view, LocalTime(now), self.keys[&self.claims[index].who], hello)
            })
            .collect();
        assert!(known.is_none_or(|known| known == answers), "the gate looks at what is not its business");
        self.asked += answers.len();
        self.authorised += answers.iter().filter(|yes| **yes).count();
        self.known.insert(business, answers.clone());
        answers
    }
}
