//! Every state that can be reached, each looked at once, nearest first.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt;
use std::rc::Rc;

use clavicle_ledger::authorise::{SignedHello, View, authorise};
use clavicle_ledger::execute::{ExecuteError, Proposed, Rejection, execute};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::{Changes, ReadRows as _, StateReader};
use clavicle_ledger::time::{BlockTime, LocalTime};

use super::gate::{Asker, Gate};
use super::ghost::{Ghost, Right};
use super::pool::{Deed, HALT, No, Paper, Scenario, Who, hour, hour_of};
use super::state::{Rows, fingerprint};

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
    let mut gate = Gate::new(scenario);
    let mut explored = Explored { states: 1, ..Explored::default() };
    let (mut seen, mut trail) = (BTreeSet::new(), vec![(0, Step::Wait)]);
    let start = State { rows: Rows::new(&scenario.genesis), ghost: Ghost::new(), place: 0 };
    seen.insert(fingerprint(scenario, &start.rows, &start.ghost));
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
                if !seen.insert(fingerprint(scenario, &after.rows, &after.ghost)) {
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
