//! Consent as a person would tell it: who holds the study, who may grant in the holder's place, and what was granted and
//! still stands. It knows papers and people, and no rows, keys or ids; time is in hours, and nothing is swept.
//!
//! It hears of each paper that the ledger took, and believes only what those who signed it were entitled to. So where the
//! ledger takes what it should not have taken, the two part.

use std::collections::{BTreeMap, BTreeSet};

use borsh::BorshSerialize;
use clavicle_ledger::action::NewStatus;
use clavicle_ledger::study::Reason;

use super::pool::{Deed, Delays, No, Who};

/// By what right somebody wants to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    Holder,
    Grant(No),
}

/// Whose word it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
enum By {
    TheHolder,
    Delegate(Who),
}

#[derive(Clone, BorshSerialize)]
struct Granted {
    by: By,
    to: Who,
    /// At half past this hour.
    ends: u32,
}

#[derive(Clone, BorshSerialize)]
struct Asked {
    paper: No,
    to: Who,
    hour: u32,
    /// Since then, as far as that matters.
    blocks: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, BorshSerialize)]
enum Served {
    All,
    Suspended { wrong_patient: bool, hour: u32 },
    Withdrawn,
}

/// What is so now.
#[derive(Clone, BorshSerialize)]
pub struct Ghost {
    hour: u32,
    holder: Option<Who>,
    /// And at half past which hour that ends.
    delegates: BTreeMap<Who, u32>,
    standing: BTreeMap<No, Granted>,
    /// Grants that stood once; none of them ever does again.
    over: BTreeSet<No>,
    /// Grants revoked before they came, and by whom: what somebody revoked as a delegate is what they granted as one.
    stopped: BTreeSet<(No, By)>,
    asked: Option<Asked>,
    last_asked: Option<u32>,
    vetoed: bool,
    frozen: bool,
    /// On this freeze: for whom, which hospital, and in which hour.
    votes: BTreeMap<Who, BTreeMap<u8, u32>>,
    served: Served,
    /// In which hour the chain went on after it had stood still.
    resumed: Option<u32>,
}

impl Ghost {
    pub fn new() -> Self {
        Self {
            hour: 0,
            holder: None,
            delegates: BTreeMap::new(),
            standing: BTreeMap::new(),
            over: BTreeSet::new(),
            stopped: BTreeSet::new(),
            asked: None,
            last_asked: None,
            vetoed: false,
            frozen: false,
            votes: BTreeMap::new(),
            served: Served::All,
            resumed: None,
        }
    }

    pub fn holder(&self) -> Option<Who> {
        self.holder
    }

    pub fn frozen(&self) -> bool {
        self.frozen
    }

    /// Whether `who` may fetch by this right now.
    pub fn may_fetch(&self, who: Who, right: Right) -> bool {
        match right {
            Right::Holder => {
                let hidden = matches!(self.served, Served::Withdrawn | Served::Suspended { wrong_patient: true, .. });
                self.holder == Some(who) && !hidden
            }
            Right::Grant(no) => {
                self.served == Served::All && self.standing.get(&no).is_some_and(|granted| granted.to == who)
            }
        }
    }

    /// Whether a paper stops something that its signer may always stop: it is never refused.
    pub fn must_be_taken(&self, deed: Deed) -> bool {
        match deed {
            Deed::Revoke { by, grant } => self.standing.get(&grant).is_some_and(|granted| {
                self.word_of(by).is_some_and(|word| word == By::TheHolder || word == granted.by)
            }),
            Deed::Undelegate { by, of } => self.holder == Some(by) && self.delegates.contains_key(&of),
            Deed::Veto { by, ask } => {
                self.holder == Some(by) && self.asked.as_ref().is_some_and(|asked| asked.paper == ask)
            }
            _ => false,
        }
    }

    /// A block comes in this hour, after the chain has stood still or not.
    pub fn block(&mut self, hour: u32, halted: bool, delays: &Delays) {
        self.hour = hour;
        if halted {
            self.resumed = Some(hour);
        }
        if let Some(asked) = &mut self.asked {
            asked.blocks = delays.recovery_heights.min(asked.blocks + 1);
        }
        let ended: Vec<Who> =
            self.delegates.iter().filter(|(_, ends)| hour > **ends).map(|(delegate, _)| *delegate).collect();
        for delegate in ended {
            self.end_delegation(delegate);
        }
        self.end_grants(|granted| hour > granted.ends);
        if let Served::Suspended { wrong_patient: false, hour: since } = self.served
            && hour - since > delays.suspension
        {
            self.served = Served::All;
        }
    }

    /// The ledger has taken a paper.
    pub fn take(&mut self, no: No, deed: Deed, delays: &Delays) {
        match deed {
            Deed::Define { holder, delegate } if self.holder.is_none() => {
                self.holder = Some(holder);
                self.delegates.extend(delegate);
            }
            Deed::Define { .. } => {}
            Deed::Grant { by, to, ends } => self.grant(no, by, to, ends),
            Deed::Revoke { by, grant } => self.revoke(by, grant),
            Deed::Delegate { by, to, ends } if self.holder == Some(by) && self.is_open() => {
                self.delegates.insert(to, ends);
            }
            Deed::Undelegate { by, of } if self.holder == Some(by) => self.end_delegation(of),
            Deed::Transfer { from, to, keep } if self.holder == Some(from) && self.may_change_hands() => {
                // Whoever has the key says that it is not lost.
                self.vetoed |= self.asked.take().is_some();
                self.change_hands(to, keep);
            }
            Deed::Veto { by, ask } if self.must_be_taken(Deed::Veto { by, ask }) => {
                (self.asked, self.vetoed) = (None, true);
            }
            Deed::Recover { hospital: 0, to, completes } if self.may_change_hands() => {
                self.recover(no, to, completes, delays);
            }
            Deed::Vote { hospital, to } if self.frozen => self.vote(hospital, to, delays),
            Deed::Status { number: _, to } if self.served != Served::Withdrawn => {
                self.served = match to {
                    NewStatus::Active => Served::All,
                    NewStatus::Suspended(reason) => {
                        Served::Suspended { wrong_patient: reason == Reason::WrongPatient, hour: self.hour }
                    }
                    NewStatus::Withdrawn(_) => Served::Withdrawn,
                };
            }
            // Signed by somebody who was not entitled to it, or not now.
            Deed::Delegate { .. }
            | Deed::Undelegate { .. }
            | Deed::Transfer { .. }
            | Deed::Veto { .. }
            | Deed::Recover { .. }
            | Deed::Vote { .. }
            | Deed::Status { .. } => {}
        }
    }

    /// Whether somebody can be let in anew.
    fn is_open(&self) -> bool {
        self.served == Served::All && !self.frozen
    }

    fn may_change_hands(&self) -> bool {
        self.served != Served::Withdrawn && !self.frozen
    }

    /// As whom somebody speaks for the study, if at all.
    fn word_of(&self, who: Who) -> Option<By> {
        if self.holder == Some(who) {
            Some(By::TheHolder)
        } else {
            self.delegates.contains_key(&who).then_some(By::Delegate(who))
        }
    }

    fn grant(&mut self, no: No, by: Who, to: Who, ends: u32) {
        let Some(word) = self.word_of(by).filter(|_| self.is_open()) else { return };
        let stopped = [By::TheHolder, By::Delegate(by)].into_iter().any(|whose| self.stopped.contains(&(no, whose)));
        if stopped || self.over.contains(&no) {
            return;
        }
        // The holder's own takes the place of a delegate's.
        self.end_grants(|granted| granted.to == to && granted.by != By::TheHolder && word == By::TheHolder);
        // The ledger knows only its last day; it may be over to the hour already.
        if self.hour > ends {
            self.over.insert(no);
        } else {
            self.standing.insert(no, Granted { by: word, to, ends });
        }
    }

    fn revoke(&mut self, by: Who, grant: No) {
        let Some(word) = self.word_of(by) else { return };
        match self.standing.get(&grant) {
            Some(granted) if word == By::TheHolder || word == granted.by => {
                self.standing.remove(&grant);
                self.over.insert(grant);
            }
            None if !self.over.contains(&grant) => {
                self.stopped.insert((grant, word));
            }
            Some(_) | None => {}
        }
    }

    fn recover(&mut self, no: No, to: Who, completes: Option<No>, delays: &Delays) {
        let over = |since: Option<u32>, delay: u32| since.is_none_or(|since| self.hour - since > delay);
        let (graced, may_ask) = (over(self.resumed, delays.grace), over(self.last_asked, delays.interval));
        match (completes, &self.asked) {
            (Some(ask), Some(asked)) if (asked.paper, asked.to) == (ask, to) => {
                let waited = self.hour - asked.hour > delays.recovery && asked.blocks >= delays.recovery_heights;
                if waited && graced {
                    (self.asked, self.vetoed) = (None, false);
                    self.change_hands(to, false);
                }
            }
            (Some(_), _) => {}
            _ if !may_ask => {}
            (None, _) => {
                self.last_asked = Some(self.hour);
                self.frozen = self.vetoed;
                let asked = Asked { paper: no, to, hour: self.hour, blocks: 0 };
                self.asked = (!self.frozen).then_some(asked);
            }
        }
    }

    fn vote(&mut self, hospital: usize, to: Who, delays: &Delays) {
        let hour = self.hour;
        let votes = self.votes.entry(to).or_default();
        votes.insert(u8::try_from(hospital).unwrap(), hour);
        votes.retain(|_, given| hour - *given <= delays.vote);
        // There are two, and more than two thirds of two is two.
        if votes.len() == 2 {
            self.votes.clear();
            (self.frozen, self.vetoed) = (false, false);
            if self.holder != Some(to) {
                self.change_hands(to, false);
            }
        }
    }

    fn change_hands(&mut self, to: Who, keep: bool) {
        self.holder = Some(to);
        self.delegates.clear();
        self.end_grants(|granted| !keep || granted.by != By::TheHolder);
    }

    fn end_delegation(&mut self, of: Who) {
        self.delegates.remove(&of);
        self.end_grants(|granted| granted.by == By::Delegate(of));
    }

    fn end_grants(&mut self, ends: impl Fn(&Granted) -> bool) {
        let ended: Vec<No> = self.standing.iter().filter(|(_, granted)| ends(granted)).map(|(no, _)| *no).collect();
        for no in ended {
            self.standing.remove(&no);
            self.over.insert(no);
        }
    }
}
