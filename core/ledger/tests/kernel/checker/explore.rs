//! Every state that can be reached, each looked at once, nearest first.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

use clavicle_ledger::authorise::{Claim, Hello, SignedHello, View, authorise};
use clavicle_ledger::ballot::Ballot;
use clavicle_ledger::encoding::{self, Ascending};
use clavicle_ledger::execute::{ExecuteError, Proposed, Rejection, execute};
use clavicle_ledger::id::EventHash;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::{Changes, Head, ReadRows as _, StateKey, StateReader};
use clavicle_ledger::study::{DayCounts, Status, Study};
use clavicle_ledger::time::{BlockTime, LocalTime, Timestamp};

use super::ghost::{Ghost, Right};
use super::pool::{Deed, HALT, No, Paper, Scenario, Who, hour, hour_of};

/// A state's rows without a tree: those of the genesis, shared, and what has changed since.
#[derive(Clone)]
pub struct Rows {
    genesis: Rc<BTreeMap<StateKey, Vec<u8>>>,
    since: BTreeMap<StateKey, Option<Rc<[u8]>>>,
}

impl Rows {
    fn write(&mut self, changes: Changes) {
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

/// What is put to the test: the ledger, or one with a mistake.
pub trait Subject {
    /// What a block does.
    fn execute(&self, rows: &Rows, block: &Proposed, paper: Option<&Paper>) -> Result<Changes, Rejection>;
    /// Whether somebody may fetch.
    fn authorise(&self, view: &View<'_, Rows>, clock: LocalTime, remote: Key, hello: &SignedHello) -> bool;
}

/// The ledger as it is.
pub struct Real;

impl Subject for Real {
    fn execute(&self, rows: &Rows, block: &Proposed, _: Option<&Paper>) -> Result<Changes, Rejection> {
        changes(rows, block)
    }

    fn authorise(&self, view: &View<'_, Rows>, clock: LocalTime, remote: Key, hello: &SignedHello) -> bool {
        authorise(view, clock, remote, hello).is_ok()
    }
}

/// What a block of one paper, or none, does on top of any rows.
pub fn changes(rows: &impl StateReader<Error = Infallible>, block: &Proposed) -> Result<Changes, Rejection> {
    match execute(rows, block) {
        Ok(executed) => Ok(executed.changes),
        Err(ExecuteError::Envelope { index: 0, rejection }) => Err(rejection),
        Err(error) => panic!("{error}"),
    }
}

/// What a block brings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A paper, a millisecond later.
    Paper(No),
    /// Nothing, an hour later.
    Wait,
    /// Nothing, after the chain has stood still.
    Halt,
    /// A paper, in the first block after the chain has stood still.
    HaltAndPaper(No),
}

impl Step {
    fn paper(self) -> Option<No> {
        match self {
            Self::Paper(no) | Self::HaltAndPaper(no) => Some(no),
            Self::Wait | Self::Halt => None,
        }
    }

    fn words(self, scenario: &Scenario) -> String {
        match self {
            Self::Paper(no) => scenario.words(no),
            Self::Wait => "an hour passes".into(),
            Self::Halt => format!("the chain stands still for {HALT} hours"),
            Self::HaltAndPaper(no) => format!("the chain stands still for {HALT} hours, then {}", scenario.words(no)),
        }
    }
}

/// A shortest way to something that must not be, for people to read.
#[derive(Debug)]
pub struct Counterexample {
    pub scenario: &'static str,
    pub steps: Vec<String>,
    pub wrong: String,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "in the world \"{}\":", self.scenario)?;
        for (step, number) in self.steps.iter().zip(1..) {
            writeln!(f, "{number}. {step}")?;
        }
        write!(f, "then {}", self.wrong)
    }
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Explored {
    pub states: usize,
    /// Blocks tried, of which some were refused.
    pub transitions: usize,
    pub refused: usize,
    /// The number of blocks in the longest of the shortest ways.
    pub longest: usize,
    /// Questions to the gate, and how many it said yes to.
    pub asked: usize,
    pub authorised: usize,
}

/// The most states in one scenario: more is a mistake in the scenario.
const MAX_STATES: usize = 4_000_000;

/// In how many states an answer of the gate is taken for known, before it is asked again.
const TRUSTED: usize = 64;

struct State {
    rows: Rows,
    ghost: Ghost,
    place: u32,
}

/// Reaches every state of the scenario's world there is.
///
/// # Errors
/// The first counterexample, a shortest one.
pub fn explore(subject: &impl Subject, scenario: &Scenario) -> Result<Explored, Box<Counterexample>> {
    let genesis = scenario.genesis.state().into_iter().filter_map(|(key, row)| Some((key, row?))).collect();
    let rows = Rows { genesis: Rc::new(genesis), since: BTreeMap::new() };
    let mut gate = Gate::new(scenario);
    let mut explored = Explored { states: 1, ..Explored::default() };
    let (mut seen, mut trail) = (BTreeSet::new(), vec![(0, Step::Wait)]);
    let start = State { rows, ghost: Ghost::new(), place: 0 };
    seen.insert(fingerprint(scenario, &start));
    let mut frontier = vec![start];
    while !frontier.is_empty() {
        let mut next = Vec::new();
        for state in &frontier {
            for step in steps(scenario, &state.rows) {
                explored.transitions += 1;
                let wrong = |wrong| Err(counterexample(scenario, &trail, (state.place, step), wrong));
                let mut after = match take(subject, scenario, state, step) {
                    Ok(after) => after,
                    Err(Refusal::Rightly) => {
                        explored.refused += 1;
                        continue;
                    }
                    Err(Refusal::Wrongly(reason)) => return wrong(reason),
                };
                if !seen.insert(fingerprint(scenario, &after)) {
                    continue;
                }
                if let Err(reason) = look(subject, scenario, &mut gate, state, step, &after) {
                    return wrong(reason);
                }
                after.place = u32::try_from(trail.len()).unwrap();
                trail.push((state.place, step));
                assert!(trail.len() < MAX_STATES, "the world \"{}\" is too large", scenario.name);
                next.push(after);
            }
        }
        explored.longest += usize::from(!next.is_empty());
        frontier = next;
    }
    explored.states = trail.len();
    (explored.asked, explored.authorised) = (gate.asked, gate.authorised);
    Ok(explored)
}

/// What the next block may be: every paper there is, taken or not, and time.
fn steps(scenario: &Scenario, rows: &Rows) -> Vec<Step> {
    let now = hour_of(rows.head().unwrap().time.timestamp());
    let numbers = 0..No::try_from(scenario.papers.len()).unwrap();
    let mut steps: Vec<Step> = numbers.clone().map(Step::Paper).collect();
    if now < scenario.last_hour {
        steps.push(Step::Wait);
    }
    if scenario.halts && now + HALT <= scenario.last_hour {
        steps.push(Step::Halt);
        let recoveries = numbers.filter(|no| matches!(scenario.papers[usize::from(*no)].deed, Deed::Recover { .. }));
        steps.extend(recoveries.map(Step::HaltAndPaper));
    }
    steps
}

/// Why a step leads nowhere.
enum Refusal {
    Rightly,
    Wrongly(String),
}

fn take(subject: &impl Subject, scenario: &Scenario, state: &State, step: Step) -> Result<State, Refusal> {
    let head = state.rows.head().unwrap();
    let (now, a_moment_later) = (hour_of(head.time.timestamp()), head.time.timestamp().plus(1));
    let (time, halted) = match step {
        Step::Paper(_) => (a_moment_later, false),
        Step::Wait => (hour(now + 1), false),
        Step::Halt | Step::HaltAndPaper(_) => (hour(now + HALT), true),
    };
    let paper = step.paper().map(|no| &scenario.papers[usize::from(no)]);
    let block = Proposed {
        height: head.height + 1,
        time: BlockTime(time),
        last_commit: None,
        envelopes: paper.iter().map(|paper| paper.signed.clone()).collect(),
    };
    let mut ghost = state.ghost.clone();
    ghost.block(hour_of(time), halted, &scenario.delays);
    match subject.execute(&state.rows, &block, paper.map(Rc::as_ref)) {
        Ok(changes) => {
            let mut rows = state.rows.clone();
            rows.write(changes);
            if let (Some(no), Some(paper)) = (step.paper(), paper) {
                ghost.take(no, paper.deed, &scenario.delays);
            }
            Ok(State { rows, ghost, place: 0 })
        }
        Err(Rejection::Replay | Rejection::TooLate { .. } | Rejection::TooEarly { .. }) => Err(Refusal::Rightly),
        Err(rejection) => match paper {
            Some(paper) if ghost.must_be_taken(paper.deed) => {
                Err(Refusal::Wrongly(format!("the last paper is refused, which stops what stands: {rejection}")))
            }
            _ => Err(Refusal::Rightly),
        },
    }
}

/// Whether all is as it should be in a state that has just been reached.
fn look(
    subject: &impl Subject,
    scenario: &Scenario,
    gate: &mut Gate<'_>,
    before: &State,
    step: Step,
    after: &State,
) -> Result<(), String> {
    let ghost = &after.ghost;
    let study = after.rows.study(scenario.study).unwrap();
    let name = |key: &Key| Who::ALL.into_iter().find(|who| gate.keys[who] == *key);
    let holder = study.as_ref().and_then(|study| name(&study.holder));
    let said = |who: Option<Who>| who.map_or("nobody".into(), |who| who.to_string());
    if holder != ghost.holder() {
        return Err(format!("{} holds the study, and {} should", said(holder), said(ghost.holder())));
    }
    if study.as_ref().is_some_and(|study| study.frozen) != ghost.frozen() {
        let frozen = if ghost.frozen() { "is not frozen, and should be" } else { "is frozen, and should not be" };
        return Err(format!("the study {frozen}"));
    }
    let authorised = gate.ask(subject, &after.rows, study.as_ref());
    for (claim, yes) in gate.claims.iter().zip(&*authorised) {
        let Asker { who, right, terms } = claim;
        let should = terms.is_none() && ghost.may_fetch(*who, *right);
        if *yes != should {
            let by = match right {
                Right::Holder => "as its holder".into(),
                Right::Grant(no) => format!("by paper {no}"),
            };
            let with = terms.map_or(String::new(), |of| format!(", on the terms of paper {of}"));
            let verb = if *yes { "is authorised" } else { "is refused" };
            let but = if *yes { "nobody has consented to that now" } else { "consent to that stands" };
            return Err(format!("{who} {verb} {by}{with}, and {but}"));
        }
    }
    // When a study has changed hands in any way that does not say to keep the grants, its new holder is alone.
    let kept = step
        .paper()
        .is_some_and(|no| matches!(scenario.papers[usize::from(no)].deed, Deed::Transfer { keep: true, .. }));
    if before.ghost.holder().is_some() && before.ghost.holder() != holder && !kept {
        let other = gate.claims.iter().zip(&*authorised).find(|(claim, yes)| **yes && Some(claim.who) != holder);
        if let Some((claim, _)) = other {
            return Err(format!("{} is authorised, though {} has just taken over", claim.who, said(holder)));
        }
    }
    Ok(())
}

/// Somebody at the gate, and what they say.
#[derive(Clone, Copy)]
struct Asker {
    who: Who,
    right: Right,
    /// The terms of another paper than the one that is claimed.
    terms: Option<No>,
}

/// Asks the gate on behalf of everybody, once for each record that differs in anything that is the gate's business; and
/// every so often once more, whether it answers the same.
struct Gate<'a> {
    scenario: &'a Scenario,
    keys: BTreeMap<Who, Key>,
    claims: Vec<Asker>,
    hellos: BTreeMap<(u32, usize), SignedHello>,
    known: BTreeMap<Vec<u8>, Rc<[bool]>>,
    looked: usize,
    asked: usize,
    authorised: usize,
}

impl<'a> Gate<'a> {
    fn new(scenario: &'a Scenario) -> Self {
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

    fn ask(&mut self, subject: &impl Subject, rows: &Rows, study: Option<&Study>) -> Rc<[bool]> {
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
        let view = View { state: rows, source, highest_seen: now, seen_revocations: &seen_revocations };
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
                    let hello = Hello { source, study, claim, actor: None, at: hour(hour_of(now)) };
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

/// The record with every moment rounded to its hour, and without what nothing that follows depends on: the events so
/// far, the day's counts, whose limits no world reaches, heights further back than they are asked for.
fn timeless(study: &Study, head: &Head, scenario: &Scenario) -> Study {
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
fn fingerprint(scenario: &Scenario, state: &State) -> [u8; 16] {
    let State { rows, ghost, place: _ } = state;
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
        if let clavicle_ledger::transaction::Action::Vote(vote) = &paper.signed.body().action {
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

fn counterexample(
    scenario: &Scenario,
    trail: &[(u32, Step)],
    (mut place, last): (u32, Step),
    wrong: String,
) -> Box<Counterexample> {
    let mut steps = vec![last];
    while place > 0 {
        let (before, step) = trail[place as usize];
        steps.push(step);
        place = before;
    }
    let steps = steps.into_iter().rev().map(|step| step.words(scenario)).collect();
    Box::new(Counterexample { scenario: scenario.name, steps, wrong })
}
