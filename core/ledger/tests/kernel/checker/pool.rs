//! Who there is, what they have signed, and in what small world it may be submitted.

use std::fmt;
use std::rc::Rc;

use borsh::BorshSerialize;
use clavicle_ledger::action::{
    Delegate, NewStatus, RecoverStudy, Revoke, SetStatus, TransferStudy, Undelegate, Veto, Vote,
};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::study::DelegateRole;
use clavicle_ledger::terms::{Conditions, Terms};
use clavicle_ledger::time::{BlockTime, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};
use clavicle_samples::terms as samples;

use crate::world::{self, Hospital, START, secret};

/// The hour 0 of every scenario: half past nine in the evening, so that midnight falls between the hours 2 and 3. What ends,
/// ends at half past an hour; what happens, happens a few milliseconds after an hour. So how many milliseconds never
/// matters.
pub const HOUR_0: u64 = START + 9 * HOUR_MS + HOUR_MS / 2;

/// The moment at which an hour begins.
pub fn hour(number: u32) -> Timestamp {
    Timestamp(HOUR_0 + u64::from(number) * HOUR_MS)
}

/// Half past an hour.
pub fn half_past(number: u32) -> Timestamp {
    hour(number).plus(HOUR_MS / 2)
}

/// The hour that a moment is in.
pub fn hour_of(moment: Timestamp) -> u32 {
    u32::try_from(moment.since(hour(0)) / HOUR_MS).unwrap()
}

/// A length of time that is over when more than so many hours have begun.
pub fn hours_and_a_half(number: u32) -> u64 {
    half_past(number).since(hour(0))
}

/// Somebody with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub enum Who {
    Patient,
    Phone,
    Thief,
    Helper,
    Recipient,
}

impl Who {
    pub const ALL: [Self; 5] = [Self::Patient, Self::Phone, Self::Thief, Self::Helper, Self::Recipient];

    pub fn secret(self) -> SecretKey {
        secret(&self.to_string())
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patient => "the patient",
            Self::Phone => "the new phone",
            Self::Thief => "the thief",
            Self::Helper => "the helper",
            Self::Recipient => "the recipient",
        })
    }
}

/// Which paper of the pool.
pub type No = u8;

/// What somebody has signed, in words for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The source and the holder.
    Define {
        holder: Who,
        delegate: Option<(Who, u32)>,
    },
    /// Until half past an hour.
    Grant {
        by: Who,
        to: Who,
        ends: u32,
    },
    /// Of a paper that grants.
    Revoke {
        by: Who,
        grant: No,
    },
    /// Until half past an hour, which is a midnight.
    Delegate {
        by: Who,
        to: Who,
        ends: u32,
    },
    Undelegate {
        by: Who,
        of: Who,
    },
    /// Both sign.
    Transfer {
        from: Who,
        to: Who,
        keep: bool,
    },
    /// A hospital, the study's own or another, and the new holder sign.
    Recover {
        hospital: usize,
        to: Who,
        /// Nothing to ask, or the paper that asked, to complete.
        completes: Option<No>,
    },
    /// Of a paper that asks for a recovery.
    Veto {
        by: Who,
        ask: No,
    },
    /// Of a hospital, to settle who holds the study.
    Vote {
        hospital: usize,
        to: Who,
    },
    /// By the source.
    Status {
        number: u32,
        to: NewStatus,
    },
}

/// A signed transaction. Whoever has it submits it when they like, as often as they like.
pub struct Paper {
    pub deed: Deed,
    /// May be submitted until half past this hour.
    pub by_hour: u32,
    pub signed: Verified,
    /// Of a grant.
    pub terms: Option<Terms>,
}

/// How long things take, in hours "and a half": over when more than so many have begun since.
#[derive(Clone, Copy, Debug)]
pub struct Delays {
    pub recovery: u32,
    pub interval: u32,
    pub grace: u32,
    pub vote: u32,
    pub suspension: u32,
    pub submit_window: u32,
    /// In blocks.
    pub recovery_heights: u64,
}

/// As short as can be, and in the order in which the real ones are.
pub const DELAYS: Delays =
    Delays { recovery: 1, interval: 3, grace: 2, vote: 1, suspension: 1, submit_window: 90, recovery_heights: 4 };

/// How long a gap between blocks a halt is, in hours.
pub const HALT: u32 = 2;

fn parameters(delays: &Delays) -> Parameters {
    Parameters {
        recovery_delay_ms: hours_and_a_half(delays.recovery),
        recovery_heights: delays.recovery_heights,
        recovery_interval_ms: hours_and_a_half(delays.interval),
        halt_gap_ms: hours_and_a_half(HALT - 1),
        halt_grace_ms: hours_and_a_half(delays.grace),
        vote_ms: hours_and_a_half(delays.vote),
        suspension_ms: hours_and_a_half(delays.suspension),
        submit_window_ms: hours_and_a_half(delays.submit_window),
        tombstone_ms: hours_and_a_half(delays.submit_window),
        // No epoch begins, and no limit on how often is reached: so neither is part of what a state is.
        epoch_ms: 300 * 24 * HOUR_MS,
        transfers_per_day: 1000,
        holder_grants_per_day: 1000,
        delegate_grants_per_day: 1000,
        delegations_per_day: 1000,
        ..Parameters::default()
    }
}

/// Everything that was ever signed in a small world, and how long it is looked at.
pub struct Scenario {
    pub name: &'static str,
    pub delays: Delays,
    pub genesis: Genesis,
    pub chain: ChainId,
    pub study: StudyId,
    pub hospitals: Vec<Hospital>,
    pub papers: Vec<Rc<Paper>>,
    /// The last hour that is looked at.
    pub last_hour: u32,
    /// Whether the chain may stand still.
    pub halts: bool,
}

impl Scenario {
    /// A world of two hospitals that decide together, and nothing signed yet.
    pub fn new(name: &'static str, delays: Delays, last_hour: u32) -> Self {
        let hospitals = vec![Hospital::new("mercy", 0), Hospital::new("stluke", 0)];
        let source = |hospital: &Hospital| GenesisSource {
            identity: hospital.identity.public(),
            announcement: hospital.announcement(),
        };
        let genesis = Genesis {
            name: Text::new("small world").unwrap(),
            time: BlockTime(hour(0)),
            parameters: parameters(&delays),
            sources: Ascending::from_items(hospitals.iter().map(source).collect()).unwrap(),
        };
        genesis.check().unwrap();
        let chain = genesis.chain_id();
        let study = StudyId::of(&chain, hospitals[0].id(&chain), world::digest(1));
        Self { name, delays, genesis, chain, study, hospitals, papers: Vec::new(), last_hour, halts: false }
    }

    /// Signs a paper that can be submitted as long as anybody looks.
    pub fn sign(&mut self, deed: Deed) -> No {
        let by_hour = self.last_hour + 1;
        self.sign_until(deed, by_hour)
    }

    /// Signs a paper that can be submitted until half past an hour.
    pub fn sign_until(&mut self, deed: Deed, by_hour: u32) -> No {
        let no = No::try_from(self.papers.len()).unwrap();
        let terms = match deed {
            Deed::Grant { ends, .. } => Some(terms(no, half_past(ends))),
            _ => None,
        };
        let body = Body { submit_by: half_past(by_hour), nonce: [no; 16], action: self.action(deed, terms.as_ref()) };
        let mut keys: Vec<SecretKey> = Who::ALL.into_iter().map(Who::secret).collect();
        keys.extend(self.hospitals.iter().map(|hospital| hospital.operational.clone()));
        let keys: Vec<&SecretKey> = keys.iter().collect();
        let signed = body.sign(&self.chain, &keys).unwrap().check_stateless(&self.chain).unwrap();
        self.papers.push(Rc::new(Paper { deed, by_hour, signed, terms }));
        no
    }

    fn action(&self, deed: Deed, terms: Option<&Terms>) -> Action {
        let (study, source) = (self.study, self.hospitals[0].operational.public());
        let key = |who: Who| who.secret().public();
        let delegation =
            |to: Who, ends: u32| world::delegate(&to.secret(), DelegateRole::Helper, half_past(ends).day_rounded_up());
        match deed {
            Deed::Define { holder, delegate } => {
                let delegates = delegate.map(|(to, ends)| delegation(to, ends)).into_iter().collect();
                world::define_study(1, source, key(holder), delegates)
            }
            Deed::Grant { by, to, ends: _ } => {
                world::grant(&self.chain, study, key(by), &key(to), terms.expect("a grant has terms"))
            }
            Deed::Revoke { by, grant } => {
                let grant = &self.papers[usize::from(grant)];
                let (id, grant_submit_by) = (grant.signed.id().into(), half_past(grant.by_hour));
                Action::Revoke(Revoke { study, revoker: key(by), grant: id, grant_submit_by })
            }
            Deed::Delegate { by, to, ends } => {
                Action::Delegate(Delegate { study, holder: key(by), delegate: delegation(to, ends) })
            }
            Deed::Undelegate { by, of } => Action::Undelegate(Undelegate { study, holder: key(by), delegate: key(of) }),
            Deed::Transfer { from, to, keep } => Action::TransferStudy(TransferStudy {
                study,
                holder: key(from),
                new_holder: key(to),
                keep_grants: keep,
            }),
            Deed::Recover { hospital, to, completes } => {
                let source = self.hospitals[hospital].operational.public();
                let completes = completes.map(|ask| self.papers[usize::from(ask)].signed.id());
                Action::RecoverStudy(RecoverStudy { study, source, new_holder: key(to), completes })
            }
            Deed::Veto { by, ask } => {
                let recovery = self.papers[usize::from(ask)].signed.id();
                Action::Veto(Veto { study, holder: key(by), recovery })
            }
            Deed::Vote { hospital, to } => {
                let content = clavicle_ledger::action::Content::Settle { study, holder: key(to) };
                Action::Vote(Vote { voter: self.hospitals[hospital].operational.public(), content })
            }
            Deed::Status { number, to } => Action::SetStatus(SetStatus { study, source, number, status: to }),
        }
    }

    /// A paper in words.
    pub fn words(&self, no: No) -> String {
        let keeping = |keep| if keep { "keeping the grants" } else { "without the grants" };
        let hospital = |of: usize| if of == 0 { "the source" } else { "another hospital" };
        let words = match self.papers[usize::from(no)].deed {
            Deed::Define { holder, delegate: None } => format!("the source defines the study for {holder}"),
            Deed::Define { holder, delegate: Some((to, _)) } => {
                format!("the source defines the study for {holder}, with {to} as delegate")
            }
            Deed::Grant { by, to, ends } => format!("{by} grants to {to} until half past hour {ends}"),
            Deed::Revoke { by, grant } => format!("{by} revokes paper {grant}"),
            Deed::Delegate { by, to, ends } => format!("{by} delegates to {to} until half past hour {ends}"),
            Deed::Undelegate { by, of } => format!("{by} ends the delegation of {of}"),
            Deed::Transfer { from, to, keep } => format!("{from} transfers to {to}, {}", keeping(keep)),
            Deed::Recover { hospital: of, to, completes: None } => {
                format!("{} asks that {to} recovers the study", hospital(of))
            }
            Deed::Recover { hospital: of, to, completes: Some(ask) } => {
                format!("{} says that {to} recovers the study, as paper {ask} asked", hospital(of))
            }
            Deed::Veto { by, ask } => format!("{by} vetoes paper {ask}"),
            Deed::Vote { hospital: of, to } => format!("{} votes that {to} holds the study", hospital(of)),
            Deed::Status { number, to } => format!("the source sets status {number}: {to:?}"),
        };
        format!("{words} (paper {no})")
    }
}

fn terms(no: No, expires: Timestamp) -> Terms {
    Terms {
        blinding: [no; 32],
        // Of either version.
        conditions: no.is_multiple_of(2).then(|| Conditions { openings: Some(u32::from(no)), ..Conditions::default() }),
        ..samples::terms(hour(0), expires, ManifestRoot::from_bytes([0; 32]))
    }
}
