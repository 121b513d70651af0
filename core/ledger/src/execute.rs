//! Execution: a block's transactions in, changes and events out. Pure, integers only, the same everywhere.
//!
//! [`execute`] takes a block as it was proposed: one failing envelope makes the whole block invalid, so that being in a
//! block proves having been executed. [`propose`] makes such a block from what a proposer has, leaving out what fails.
//! Both go through the same steps, in this order: the certificate of the block before counted, a new epoch if one is due,
//! what has ended swept, then the envelopes.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::action::{self, Act as _, Context, Failed, actions};
use crate::certificate::CommitCertificate;
use crate::encoding::Ascending;
use crate::event::Event;
use crate::expiry;
use crate::genesis::{Genesis, GenesisSource, PROTOCOL_VERSION};
use crate::id::SourceId;
use crate::key::Key;
use crate::power::{self, Work};
use crate::record::{EpochRecord, MAX_RECORDS};
use crate::source::{Admitted, KeyRole, KeyUse, Registered, Roster, Source, SourceKind};
use crate::state::{Changes, Head, Overlay, ReadError, ReadRows, Rules, Slot, StateKey, StateReader};
use crate::time::{BlockTime, Epoch, Height, Timestamp};
use crate::transaction::{Action, Precedence, Verified};
use crate::validators::{Validator, ValidatorSet};

/// What execution needs to know of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    /// One more than the head's.
    pub height: Height,
    /// Later than the head's.
    pub time: BlockTime,
    /// Why the head is decided: counted in the epoch's record. Whoever hands it in has verified it.
    pub last_commit: Option<CommitCertificate>,
    /// The transactions, in order.
    pub envelopes: Vec<Verified>,
}

/// What a block does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// What it changes.
    pub changes: Changes,
    /// What happened.
    pub events: Vec<Event>,
    /// Who decides this block.
    pub validators: ValidatorSet,
    /// Who decides the next one.
    pub next_validators: ValidatorSet,
}

macro_rules! rejection {
    ($($(#[$doc:meta])* $file:ident: $name:ident, $error:ident = $number:literal;)*) => {
        /// Why a transaction cannot be executed now.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum Rejection {
            /// Too late.
            #[error("the transaction was to be submitted by {submit_by:?} and block time is {now:?}: sign it anew")]
            TooLate {
                /// Its limit.
                submit_by: Timestamp,
                /// Block time.
                now: BlockTime,
            },
            /// Its limit is too far ahead to be remembered.
            #[error(
                "the transaction's submit_by lies more than {window_ms} ms ahead of block time: submit it later, or check the signer's clock"
            )]
            TooEarly {
                /// The farthest it may lie ahead.
                window_ms: u64,
            },
            /// Its signatures were verified for another network.
            #[error("the transaction is of another network")]
            OtherChain,
            /// It was executed.
            #[error("the transaction was executed already")]
            Replay,
            /// It comes after one that it must come before.
            #[error("the transaction comes after others that it has precedence over")]
            OutOfOrder,
            /// No room in this block.
            #[error("the block is full")]
            BlockFull,
            $(
                #[doc = concat!("See [`", stringify!($error), "`](action::", stringify!($error), ").")]
                #[error(transparent)]
                $name(action::$error),
            )*
        }

        /// Hands the action to its own file.
        fn act<R: StateReader>(
            action: &Action,
            context: &mut Context<'_, '_, R>,
        ) -> Result<(), Failed<Rejection, R::Error>> {
            match action {
                $(Action::$name(action) => action.execute(context).map_err(|failed| failed.map(Rejection::$name)),)*
            }
        }
    };
}
actions!(rejection);

/// Why a block was not executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError<E> {
    /// The state could not be read. Says nothing about the block.
    #[error(transparent)]
    Read(#[from] ReadError<E>),
    /// Not the next height.
    #[error("the block's height is {given}; the next is {due}")]
    Height {
        /// As proposed.
        given: Height,
        /// As it must be.
        due: Height,
    },
    /// Time stands still or goes back.
    #[error("the block's time {given:?} is not after its predecessor's {previous:?}")]
    Time {
        /// As proposed.
        given: BlockTime,
        /// The head's.
        previous: BlockTime,
    },
    /// The network goes on under rules that are not in this software.
    #[error(
        "from here on the network is of protocol version {0}, and this software knows {PROTOCOL_VERSION}: update it"
    )]
    Version(u32),
    /// A transaction that cannot be executed.
    #[error("transaction {index}: {rejection}")]
    Envelope {
        /// Which, from 0.
        index: usize,
        /// Why not.
        rejection: Rejection,
    },
}

/// Executes a block.
///
/// # Errors
/// [`ExecuteError`]; nothing is changed.
pub fn execute<R: StateReader>(state: &R, block: &Proposed) -> Result<Executed, ExecuteError<R::Error>> {
    let mut execution = Execution::begin(state, (block.height, block.time), block.last_commit.as_ref(), ALL_DUE)?;
    for (index, envelope) in block.envelopes.iter().enumerate() {
        execution.apply(envelope).map_err(|failed| failed_at(index, failed))?;
    }
    Ok(execution.end())
}

/// Whether a transaction could be executed alone in the next block, at `time` or as soon after the head as can be: what
/// a relay asks before it takes one in. Others that come before it may still change the answer.
///
/// # Errors
/// [`ExecuteError`]; with [`ExecuteError::Envelope`] the transaction's rejection.
pub fn admit<R: StateReader>(state: &R, time: BlockTime, envelope: &Verified) -> Result<(), ExecuteError<R::Error>> {
    let head = state.head()?;
    let time = time.max(BlockTime(head.time.timestamp().plus(1)));
    // Sweeping changes no answer, and takes longer than the answer does.
    let mut execution = Execution::begin(state, (head.height.saturating_add(1), time), None, 0)?;
    execution.apply(envelope).map_err(|failed| failed_at(0, failed))
}

fn failed_at<E>(index: usize, failed: Failed<Rejection, E>) -> ExecuteError<E> {
    match failed {
        Failed::Refused(rejection) => ExecuteError::Envelope { index, rejection },
        Failed::Read(error) => ExecuteError::Read(error),
    }
}

/// A block made from what a proposer has, and what was left out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The block.
    pub block: Proposed,
    /// What it does.
    pub executed: Executed,
    /// What was left out, and why.
    pub left_out: Vec<(Verified, Rejection)>,
}

/// Makes a block at `height` and `time`, after the one that `last_commit` decided, from `envelopes`: puts them into the order that is due, keeping the given one within a precedence, and
/// leaves out what fails.
///
/// # Errors
/// [`ExecuteError`], never for an envelope.
pub fn propose<R: StateReader>(
    state: &R,
    height: Height,
    time: BlockTime,
    last_commit: Option<CommitCertificate>,
    mut envelopes: Vec<Verified>,
) -> Result<Proposal, ExecuteError<R::Error>> {
    let mut execution = Execution::begin(state, (height, time), last_commit.as_ref(), ALL_DUE)?;
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    envelopes.sort_by_key(|envelope| envelope.body().action.precedence());
    for envelope in envelopes {
        match execution.apply(&envelope) {
            Ok(()) => taken.push(envelope),
            Err(Failed::Refused(rejection)) => left_out.push((envelope, rejection)),
            Err(Failed::Read(error)) => return Err(error.into()),
        }
    }
    let block = Proposed { height, time, last_commit, envelopes: taken };
    Ok(Proposal { block, executed: execution.end(), left_out })
}

/// As much sweeping as a block is due to do.
const ALL_DUE: u32 = u32::MAX;

/// A block on its way through execution.
struct Execution<'a, R> {
    state: Overlay<'a, R>,
    events: Vec<Event>,
    rules: Rules,
    head: Head,
    validators: ValidatorSet,
    next_validators: ValidatorSet,
    latest: Precedence,
    /// For how many envelopes and bytes there still is room, by the parameters before this block: what its size is checked
    /// against before it is executed.
    room: (u32, usize),
}

impl<'a, R: StateReader> Execution<'a, R> {
    /// Begins a block, sweeping what it is due to sweep, or `most` if that is less.
    fn begin(
        base: &'a R,
        (height, time): (Height, BlockTime),
        last_commit: Option<&CommitCertificate>,
        most: u32,
    ) -> Result<Self, ExecuteError<R::Error>> {
        let (rules, before, validators) = (base.rules()?, base.head()?, base.validators()?);
        let due = before.height.saturating_add(1);
        if height != due {
            return Err(ExecuteError::Height { given: height, due });
        }
        if time <= before.time {
            return Err(ExecuteError::Time { given: time, previous: before.time });
        }
        let halted = time.timestamp().since(before.time.timestamp()) > rules.parameters.halt_gap_ms;
        let mut execution = Self {
            state: Overlay::new(base),
            events: Vec::new(),
            rules,
            head: Head { height, time, resumed: halted.then_some(time).or(before.resumed), ..before },
            next_validators: validators.clone(),
            validators,
            latest: Precedence::Veto,
            room: (rules.parameters.block_envelopes, rules.parameters.block_bytes as usize),
        };
        if let Some(commit) = last_commit {
            execution.count(commit)?;
        }
        if time.timestamp().since(before.epoch_start.timestamp()) >= rules.parameters.epoch_ms {
            execution.begin_epoch(before.epoch.saturating_add(1))?;
        }
        execution.head.next_slot = expiry::sweep(
            &mut execution.state,
            before.next_slot,
            time,
            rules.parameters.block_sweep.min(most),
            &mut execution.events,
        )?;
        Ok(execution)
    }

    /// Counts the block that the certificate decided, among those of its epoch.
    fn count(&mut self, commit: &CommitCertificate) -> Result<(), ReadError<R::Error>> {
        let epoch = self.head.epoch;
        let mut record: EpochRecord = self.state.required(&StateKey::Record(epoch))?;
        // An epoch's first block is decided by the set of the epoch before.
        let decided = match epoch.checked_sub(1) {
            Some(before) if record.first == commit.height => self.state.required(&StateKey::Deciding(before))?,
            _ => self.validators.clone(),
        };
        record.count(&self.rules.chain, &decided, commit);
        self.state.put(StateKey::Record(epoch), &record);
        Ok(())
    }

    /// Starts an epoch: what was announced and decided on in the one before is in force from here on, and the validator set
    /// that it makes decides the next block.
    fn begin_epoch(&mut self, epoch: Epoch) -> Result<(), ExecuteError<R::Error>> {
        self.begin_rules(epoch)?;
        let roster = self.state.roster()?;
        self.close_record(&roster)?;
        self.head.epoch = epoch;
        self.head.epoch_start = self.head.time;

        let window = u64::from(self.rules.parameters.power_window_epochs);
        if let Some(passed) = epoch.checked_sub(window.saturating_add(1)) {
            forget_registered(&mut self.state, &roster, passed)?;
        }
        let percent = self.rules.parameters.power_change_percent;
        let derived = derive_validators(&self.state, &roster, epoch, (&self.validators, percent))?;
        // A set nobody is in could decide nothing, ever; the old one goes on.
        if !derived.validators.is_empty() && derived != self.validators {
            self.state.put(StateKey::Validators, &derived);
            self.next_validators = derived;
        }

        let record = EpochRecord::begin(epoch, self.head.height, self.head.time, &self.next_validators);
        self.state.put(StateKey::Record(epoch), &record);
        if let Some(passed) = epoch.checked_sub(MAX_RECORDS) {
            self.state.remove(StateKey::Record(passed));
        }
        // By it this block's certificate is counted in the next one, and evidence tells whose key it was.
        self.state.put(StateKey::Deciding(epoch), &self.next_validators);
        let before = self.head.evidence_from;
        self.head.evidence_from = self.evidence_from(epoch)?;
        // The set of the epoch just over stays in any case.
        for passed in before.saturating_sub(1)..self.head.evidence_from.saturating_sub(1) {
            self.state.remove(StateKey::Deciding(passed));
        }
        self.events.push(Event::EpochBegan { epoch, height: self.head.height });
        Ok(())
    }

    /// Puts into force what votes decided of the rules.
    fn begin_rules(&mut self, epoch: Epoch) -> Result<(), ExecuteError<R::Error>> {
        let before = self.rules;
        if let Some(parameters) = self.rules.next_parameters.take() {
            self.rules.parameters = parameters;
        }
        if let Some(upgrade) = self.rules.upgrade.filter(|upgrade| upgrade.epoch <= epoch) {
            (self.rules.version, self.rules.upgrade) = (upgrade.version, None);
        }
        if self.rules.version != PROTOCOL_VERSION {
            return Err(ExecuteError::Version(self.rules.version));
        }
        if self.rules != before {
            self.state.put(StateKey::Rules, &self.rules);
        }
        Ok(())
    }

    /// Completes the record of the epoch that is over.
    fn close_record(&mut self, roster: &Roster) -> Result<(), ReadError<R::Error>> {
        let epoch = self.head.epoch;
        let mut record: EpochRecord = self.state.required(&StateKey::Record(epoch))?;
        record.last = Some(self.head.height.saturating_sub(1));
        for Admitted { source, kind: _ } in &roster.admitted {
            let activity = self.state.activity(*source)?;
            if activity.epoch == epoch && activity.studies > 0 {
                record.line(*source, |line| line.studies = u64::from(activity.studies));
            }
        }
        self.state.put(StateKey::Record(epoch), &record);
        Ok(())
    }

    /// The earliest epoch that began no longer before this one than evidence may be old, and whose record is there.
    fn evidence_from(&self, epoch: Epoch) -> Result<Epoch, ReadError<R::Error>> {
        let mut from = self.head.evidence_from;
        while from < epoch {
            let began = self.state.record(from)?.map(|record| record.began.timestamp());
            let age = began.map(|began| self.head.time.timestamp().since(began));
            if age.is_some_and(|age| age <= self.rules.parameters.evidence_ms) {
                break;
            }
            from = from.saturating_add(1);
        }
        Ok(from)
    }

    /// Executes one envelope, or leaves no trace of it.
    fn apply(&mut self, envelope: &Verified) -> Result<(), Failed<Rejection, R::Error>> {
        let refuse = |rejection| Err(Failed::Refused(rejection));
        if envelope.chain() != self.rules.chain {
            return refuse(Rejection::OtherChain);
        }
        let (body, precedence, now) = (envelope.body(), envelope.body().action.precedence(), self.head.time);
        let parameters = &self.rules.parameters;
        let (envelopes, bytes) = self.room;
        let room = envelopes.checked_sub(1).zip(bytes.checked_sub(envelope.encoded_len()));
        if precedence < self.latest {
            return refuse(Rejection::OutOfOrder);
        }
        let Some(room) = room else { return refuse(Rejection::BlockFull) };
        if body.submit_by < now.timestamp() {
            return refuse(Rejection::TooLate { submit_by: body.submit_by, now });
        }
        if body.submit_by.since(now.timestamp()) > parameters.submit_window_ms {
            return refuse(Rejection::TooEarly { window_ms: parameters.submit_window_ms });
        }
        if self.state.executed(envelope.id())?.is_some() {
            return refuse(Rejection::Replay);
        }

        let events_before = self.events.len();
        let mut state = Overlay::new(&self.state);
        let done = act(
            &body.action,
            &mut Context {
                state: &mut state,
                events: &mut self.events,
                rules: &self.rules,
                now,
                height: self.head.height,
                epoch: self.head.epoch,
                resumed: self.head.resumed,
                evidence_from: self.head.evidence_from,
                validators: &self.validators,
                id: envelope.id(),
            },
        )
        .and_then(|()| Ok(expiry::remember(&mut state, envelope.id(), body.submit_by)?));
        let changes = state.into_changes();
        if done.is_err() {
            self.events.truncate(events_before);
            return done;
        }
        self.state.merge(changes);
        (self.latest, self.room) = (precedence, room);
        Ok(())
    }

    fn end(mut self) -> Executed {
        self.state.put(StateKey::Head, &self.head);
        Executed {
            changes: self.state.into_changes(),
            events: self.events,
            validators: self.validators,
            next_validators: self.next_validators,
        }
    }
}

/// The validators of an epoch, with the power that RULES §6 gives them after those of the epoch before.
fn derive_validators<R: StateReader>(
    state: &R,
    roster: &Roster,
    epoch: Epoch,
    (before, change_percent): (&ValidatorSet, u8),
) -> Result<ValidatorSet, ReadError<R::Error>> {
    let (mut keys, mut studies) = (Vec::new(), BTreeMap::<SourceId, u64>::new());
    for Admitted { source: id, kind } in &roster.admitted {
        let source: Source = state.required(&StateKey::Source(*id))?;
        let counts_for = studies.entry(source.successor.unwrap_or(*id)).or_default();
        *counts_for = counts_for.saturating_add(state.activity(*id)?.registered);
        if let (SourceKind::Validator, Some(key)) = (kind, source.decides_in(epoch)) {
            keys.push((*id, key));
        }
    }
    let work = |(id, _): &(SourceId, Key)| Work {
        studies: studies.get(id).copied().unwrap_or(0),
        before: before.validators.find(id).map_or(0, |validator| validator.power),
    };
    let works: Vec<Work> = keys.iter().map(work).collect();
    let validators = keys.into_iter().zip(power::powers(&works, change_percent));
    let validators = validators.map(|((source, key), power)| Validator { source, key, power }).collect();
    // The roster has as many places as the set, and is in order.
    Ok(ValidatorSet { validators: Ascending::from_items(validators).expect("each source of a roster is in it once") })
}

/// Lets the studies of an epoch count no more.
fn forget_registered<R: StateReader>(
    state: &mut Overlay<'_, R>,
    roster: &Roster,
    epoch: Epoch,
) -> Result<(), ReadError<R::Error>> {
    for Admitted { source, kind: _ } in &roster.admitted {
        let Some(Registered(count)) = state.registered(*source, epoch)? else { continue };
        let mut activity = state.activity(*source)?;
        activity.registered = activity.registered.saturating_sub(u64::from(count));
        state.put(StateKey::Activity(*source), &activity);
        state.remove(StateKey::Registered(*source, epoch));
    }
    Ok(())
}

/// A state with nothing in it: what a genesis is laid over.
#[derive(Clone, Copy, Debug)]
struct Nothing;

impl StateReader for Nothing {
    type Error = core::convert::Infallible;
    fn read(&self, _: &StateKey) -> Result<Option<Vec<u8>>, Self::Error> {
        Ok(None)
    }
}

impl Genesis {
    /// The state that a network starts from, as changes to an empty one.
    ///
    /// # Panics
    /// When [`Genesis::check`] was not heeded.
    #[must_use]
    pub fn state(&self) -> Changes {
        let (chain, mut state, mut roster) = (self.chain_id(), Overlay::new(&Nothing), Roster::default());
        for GenesisSource { identity, announcement } in &self.sources {
            let id = SourceId::of_identity(&chain, identity);
            let used = core::iter::once((KeyRole::Identity, *identity)).chain(announcement.keys.each());
            for (role, key) in used {
                state.put(StateKey::KeyUse(key), &KeyUse { source: id, role });
            }
            state.put(StateKey::Source(id), &Source::admitted(*identity, announcement.clone(), 0, 0));
            let admitted = Admitted { source: id, kind: announcement.kind };
            roster.admitted.insert(admitted).expect("a genesis names no more sources than a roster holds");
        }
        let nobody = (&ValidatorSet::default(), self.parameters.power_change_percent);
        let validators =
            derive_validators(&state, &roster, 0, nobody).expect("every source in the roster was just written");
        state.put(StateKey::Roster, &roster);
        state.put(StateKey::Validators, &validators);
        state.put(StateKey::Deciding(0), &validators);
        let (version, parameters) = (PROTOCOL_VERSION, self.parameters);
        state.put(StateKey::Rules, &Rules { chain, version, parameters, next_parameters: None, upgrade: None });
        state.put(StateKey::Record(0), &EpochRecord::begin(0, 0, self.time, &validators));
        let next_slot = Slot::after(self.time.timestamp());
        let head = Head {
            height: 0,
            time: self.time,
            epoch: 0,
            epoch_start: self.time,
            resumed: None,
            evidence_from: 0,
            next_slot,
        };
        state.put(StateKey::Head, &head);
        state.into_changes()
    }
}
