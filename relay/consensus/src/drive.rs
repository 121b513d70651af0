//! The loop between engine and application: one task, one question at a time.
//!
//! Where it waits, and where it does not. Between two heights the engine waits for an answer to `Finalized`: that answer is
//! held until there is something to put into a block, or somebody else has begun or was further long ago, or the heartbeat is due. Every other
//! question is answered at once, since the engine does nothing else while it waits for it.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::consensus::{ProposedValue, SignedConsensusMsg, VoteExtensionError};
use arc_malachitebft_app_channel::app::engine::host::{HeightParams, Next, SyncedValueOutcome};
use arc_malachitebft_app_channel::app::engine::util::events::{Event, RxEvent};
use arc_malachitebft_app_channel::app::streaming::{StreamContent, StreamId, StreamMessage};
use arc_malachitebft_app_channel::app::types::{LocallyProposedValue, MisbehaviorEvidence, PeerId};
use arc_malachitebft_app_channel::{AppMsg, Channels, NetworkMsg, Reply};
use arc_malachitebft_core_types::{LinearTimeouts, Round, SignedMessage, Validity};
use arc_malachitebft_sync::RawDecidedValue;
use clavicle_ledger::action::{Conflict, Signed};
use clavicle_ledger::block::Block;
use clavicle_ledger::encoding::Wire as _;
use clavicle_ledger::id::{BlockId, ChainId, SourceId};
use clavicle_ledger::key::Signature;
use clavicle_ledger::time::Height;
use clavicle_ledger::validators::ValidatorSet;
use clavicle_ledger::vote::RoundProposal;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use crate::application::{Application, Candidate, Decided, Origin, Verdict};
use crate::codec::MAX_BATCH;
use crate::context::{Address, At, Members, Network, Proposal, SetError, Value, Vote};
use crate::mesh::Roster;
use crate::parts::{Assemblies, Part, split};
use crate::signing::Signs;
use crate::stopped::Stopped;
use crate::{body, certificate};

/// How many rounds ahead of the engine's a proposal may be. The engine's own bound.
const ROUNDS_AHEAD: u32 = 10;
/// The most proposals of one height whose signatures are remembered.
const MAX_PROPOSALS: usize = 128;
/// The most parts kept for the height after the one being decided, 16 MiB, and how many of them by one publisher.
const MAX_EARLY: usize = 128;
const MAX_EARLY_EACH: usize = 72;
/// Bytes of blocks in an answer to one that is behind, unless the first block alone is longer.
const ANSWER_LEN: usize = Block::MAX_LEN;

/// The height being decided, or about to be.
struct Due {
    height: Height,
    set: ValidatorSet,
    members: Members,
}

impl Due {
    fn of<A: Application>(application: &A, settings: &Settings) -> Result<Self, Stopped> {
        let (height, set) = application.next().map_err(failed)?;
        let members = Members::new(&set)?;
        // The engine counts its own votes unverified: with a key that is not the set's it would decide by certificates that
        // do not hold.
        if let Some((signs, key)) = settings.signs.as_ref().zip(members.key_of(&settings.source))
            && signs.key.public() != *key
        {
            return Err(Stopped::OtherKey(height));
        }
        Ok(Self { height, set, members })
    }
}

/// An answer to `Finalized` that is being held.
struct Held {
    reply: Reply<Next<Network>>,
    until: Instant,
}

/// Why the loop ended without an error.
pub(crate) enum Over {
    /// It was told to.
    Asked,
    /// The engine asks no more.
    Silent,
}

/// What the loop is told once.
pub(crate) struct Settings {
    pub(crate) chain: ChainId,
    pub(crate) source: SourceId,
    pub(crate) signs: Option<Signs>,
    pub(crate) timeouts: LinearTimeouts,
    pub(crate) heartbeat: Duration,
    pub(crate) gather: Option<Duration>,
}

pub(crate) struct Drive<A> {
    settings: Settings,
    application: A,
    due: Due,
    /// The height before, whose certificate may still grow.
    previous: Option<(Height, ValidatorSet)>,
    round: u32,
    /// Proposals for the height that is due whose signatures hold, for their parts, and to pass on.
    proposals: BTreeMap<(u32, BlockId), (RoundProposal, Signature)>,
    assemblies: Assemblies,
    /// Parts for the height after: who may propose it is known when this one is decided.
    early: VecDeque<(PeerId, Part)>,
    /// Blocks of the height that is due, put together before the engine began it.
    fresh: Vec<ProposedValue<Network>>,
    held: Option<Held>,
    outbox: mpsc::Sender<NetworkMsg<Network>>,
    /// Who may have a link.
    roster: watch::Sender<Arc<Roster>>,
    /// The highest block that came from elsewhere.
    ahead: watch::Receiver<Height>,
    streams: u64,
}

fn failed<E: Error + Send + Sync + 'static>(error: E) -> Stopped {
    Stopped::Application(Box::new(error))
}

/// Answers. The one who asked may be gone: then the engine is stopping, which the loop is about to see.
fn answer<T>(reply: Reply<T>, with: T) {
    let _: Result<(), T> = reply.send(with);
}

impl<A: Application> Drive<A> {
    pub(crate) fn new(
        settings: Settings,
        application: A,
        outbox: mpsc::Sender<NetworkMsg<Network>>,
        roster: watch::Sender<Arc<Roster>>,
        ahead: watch::Receiver<Height>,
    ) -> Result<Self, Stopped> {
        let due = Due::of(&application, &settings)?;
        let drive = Self {
            settings,
            application,
            due,
            previous: None,
            round: 0,
            proposals: BTreeMap::new(),
            assemblies: Assemblies::default(),
            early: VecDeque::new(),
            fresh: Vec::new(),
            held: None,
            outbox,
            roster,
            ahead,
            streams: 0,
        };
        drive.call_roll()?;
        Ok(drive)
    }

    /// Says who may have a link from now on.
    fn call_roll(&self) -> Result<(), Stopped> {
        let roster = Roster::new(&self.due.set, self.application.neighbours().map_err(failed)?);
        self.roster.send_if_modified(|before| {
            let changed = **before != roster;
            if changed {
                *before = Arc::new(roster);
            }
            changed
        });
        Ok(())
    }

    /// Answers until it is told to stop, or the engine asks no more.
    pub(crate) async fn run(
        mut self,
        channels: &mut Channels<Network>,
        wake: &Arc<Notify>,
        stop: &mut oneshot::Receiver<()>,
    ) -> Result<Over, Stopped> {
        let mut events = channels.events.subscribe();
        let mut ahead = self.ahead.clone();
        loop {
            let until = self.held.as_ref().map(|held| held.until);
            tokio::select! {
                // A whole engine dropped stops it as well.
                _ = &mut *stop => return Ok(Over::Asked),
                question = channels.consensus.recv() => match question {
                    Some(question) => self.reply(question).await?,
                    None => return Ok(Over::Silent),
                },
                () = wake.notified(), if until.is_some() => if self.application.pending() { self.release() },
                () = self.others_began(&mut events), if until.is_some() => self.release(),
                () = comes_to(&mut ahead, self.due.height), if until.is_some() => self.release(),
                () = sleep_until(until), if until.is_some() => self.release(),
            }
        }
    }

    async fn reply(&mut self, question: AppMsg<Network>) -> Result<(), Stopped> {
        match question {
            AppMsg::ConsensusReady { reply } => {
                info!(height = self.due.height, "ready");
                answer(reply, (At(self.due.height), self.params()));
            }
            AppMsg::StartedRound { height, round, proposer: _, role: _, reply_value } => {
                let values = self.started(height.0, round.as_u32().unwrap_or(0))?;
                answer(reply_value, values);
            }
            AppMsg::GetValue { height, round, timeout: _, reply } => {
                self.propose(height.0, round.as_u32().unwrap_or(0), reply).await?;
            }
            AppMsg::ReceivedProposalPart { from, published_by, part, reply } => {
                let value = match part.content {
                    StreamContent::Data(part) => self.part(published_by.unwrap_or(from), part)?,
                    StreamContent::Fin => None,
                };
                answer(reply, value);
            }
            AppMsg::RestreamProposal { height, round, valid_round, address, value_id } => {
                self.restream(height.0, round, valid_round, address, value_id).await?;
            }
            AppMsg::Decided { certificate, extensions: _, reply } => {
                self.check_height(certificate.height.0)?;
                let certificate = certificate::to_ledger(&certificate, &self.due.set)?;
                self.application.decide(certificate).map_err(failed)?;
                answer(reply, ());
                self.advance()?;
            }
            AppMsg::Finalized { certificate, extensions: _, evidence, reply } => {
                if let Some((height, set)) = &self.previous
                    && *height == certificate.height.0
                {
                    let certificate = certificate::to_ledger(&certificate, set)?;
                    self.application.finalised(certificate, equivocations(&evidence)).map_err(failed)?;
                }
                self.hold(reply);
            }
            AppMsg::GetDecidedValues { range, reply } => {
                answer(reply, self.decided(range.start().0, range.end().0)?);
            }
            AppMsg::GetHistoryMinHeight { reply } => {
                answer(reply, At(self.application.earliest().map_err(failed)?));
            }
            AppMsg::ProcessSyncedValue { height, round, proposer, value_bytes, reply } => {
                answer(reply, self.synced(height.0, round, proposer, &value_bytes)?);
            }
            AppMsg::ExtendVote { reply, .. } => answer(reply, None),
            AppMsg::VerifyVoteExtensions { extensions, reply, .. } => {
                let refuse = |(address, ()): (Address, ())| (address, Err(VoteExtensionError::InvalidVoteExtension));
                answer(reply, extensions.into_iter().map(refuse).collect());
            }
        }
        Ok(())
    }

    fn params(&self) -> HeightParams<Network> {
        HeightParams::new(self.due.members.clone(), self.settings.timeouts, self.settings.gather)
    }

    fn check_height(&self, height: Height) -> Result<(), Stopped> {
        let due = self.due.height;
        if height == due { Ok(()) } else { Err(Stopped::Height { engine: height, due }) }
    }

    fn is_proposer(&self, round: u32, source: &SourceId) -> bool {
        self.due.members.proposer(&self.settings.chain, self.due.height, round).source() == *source
    }

    /// What is known of a round's blocks: put together early, or kept before a restart.
    fn started(&mut self, height: Height, round: u32) -> Result<Vec<ProposedValue<Network>>, Stopped> {
        if height < self.due.height {
            return Ok(Vec::new());
        }
        self.check_height(height)?;
        self.round = round;
        let mut values: Vec<ProposedValue<Network>> = self.fresh.drain(..).collect();
        for kept in self.application.undecided(height).map_err(failed)? {
            if kept.round == round && values.iter().all(|value| value.value.0 != kept.id) {
                values.push(ProposedValue {
                    height: At(height),
                    round: Round::new(round),
                    valid_round: Round::Nil,
                    proposer: Address(kept.proposer),
                    value: Value(kept.id),
                    validity: Validity::Valid,
                });
            }
        }
        Ok(values)
    }

    async fn propose(
        &mut self,
        height: Height,
        round: u32,
        reply: Reply<LocallyProposedValue<Network>>,
    ) -> Result<(), Stopped> {
        if height < self.due.height {
            // It was decided while the question was on its way.
            return Ok(());
        }
        self.check_height(height)?;
        let (block, bytes) = self.application.propose(height, round).map_err(failed)?;
        answer(reply, LocallyProposedValue::new(At(height), Round::new(round), Value(block)));
        let proposer = self.settings.source;
        let proposal = RoundProposal { height, round, block, valid_round: None, proposer };
        if let Some(signs) = &self.settings.signs {
            // The engine signs the same words in a moment, unless it has proposed in this round before, and then, since
            // the application builds the same block again, it has signed the same words.
            let signature = signs.proposal(&proposal);
            self.publish(proposal, signature, &bytes).await;
        }
        Ok(())
    }

    /// Sends a block once more: our proposal of one that was prevoted for before, or somebody's whom we are locked on.
    async fn restream(
        &mut self,
        height: Height,
        round: Round,
        valid_round: Round,
        Address(proposer): Address,
        block: BlockId,
    ) -> Result<(), Stopped> {
        let (Some(round), valid_round) = (round.as_u32(), valid_round.as_u32()) else { return Ok(()) };
        let signed = match &self.settings.signs {
            Some(signs) if proposer == self.settings.source => {
                let proposal = RoundProposal { height, round, block, valid_round, proposer };
                Some((proposal, signs.proposal(&proposal)))
            }
            _ => self.proposals.get(&(round, block)).copied(),
        };
        let kept = self.application.kept(height, block).map_err(failed)?;
        if let (Some((proposal, signature)), Some(bytes)) = (signed, kept) {
            self.publish(proposal, signature, &bytes).await;
        }
        Ok(())
    }

    async fn publish(&mut self, proposal: RoundProposal, signature: Signature, bytes: &[u8]) {
        // A number makes each sending another stream.
        self.streams = self.streams.wrapping_add(1);
        let mut id = self.settings.source.as_bytes()[..16].to_vec();
        id.extend_from_slice(&proposal.height.to_le_bytes());
        id.extend_from_slice(&self.streams.to_le_bytes());
        let id = StreamId::new(id.into());
        for part in split(proposal, signature, bytes) {
            let sequence = u64::from(part.index);
            let message = StreamMessage::new(id.clone(), sequence, StreamContent::Data(part));
            if self.outbox.send(NetworkMsg::PublishProposalPart(message)).await.is_err() {
                // The engine is stopping.
                return;
            }
        }
    }

    /// Takes a part; returns the block's verdict when it was the last one.
    fn part(&mut self, from: PeerId, part: Part) -> Result<Option<ProposedValue<Network>>, Stopped> {
        let due = self.due.height;
        if part.proposal.height == due {
            return self.add(from, part);
        }
        if part.proposal.height == due.saturating_add(1) && self.would_be_signed(&part) {
            let theirs = self.early.iter().filter(|(peer, _)| *peer == from).count();
            if self.early.len() < MAX_EARLY && theirs < MAX_EARLY_EACH {
                self.early.push_back((from, part));
            }
        }
        Ok(None)
    }

    fn add(&mut self, from: PeerId, part: Part) -> Result<Option<ProposedValue<Network>>, Stopped> {
        let (proposal, signature) = (part.proposal, part.signature);
        if !self.is_signed(&proposal, &signature) {
            return Ok(None);
        }
        let complete = self.assemblies.add(from, part);
        let value = complete.map(|bytes| self.judge(&proposal, &bytes)).transpose()?.flatten();
        // Whoever is due to propose has begun.
        self.release();
        Ok(value)
    }

    /// Whether a part for the height after would be its proposer's, if the same validators were to decide it. They nearly
    /// always are; when they are not, a node that is behind at that moment waits for the next round.
    fn would_be_signed(&self, part: &Part) -> bool {
        let RoundProposal { height, round, proposer, .. } = part.proposal;
        let (chain, members) = (&self.settings.chain, &self.due.members);
        let theirs = members.key_of(&proposer).filter(|_| members.proposer(chain, height, round).source() == proposer);
        round <= ROUNDS_AHEAD
            && theirs.is_some_and(|key| part.signature.verify(key, &part.proposal.preimage(chain)).is_ok())
    }

    /// Whether a proposal is by the one who is due to make it.
    fn is_signed(&mut self, proposal: &RoundProposal, signature: &Signature) -> bool {
        let key = (proposal.round, proposal.block);
        if let Some(known) = self.proposals.get(&key) {
            return *known == (*proposal, *signature);
        }
        // Two blocks a round are an equivocation, which the engine will report; more need not be looked at.
        let others = self.proposals.range((proposal.round, BlockId::from_bytes([0; 32]))..);
        let others = others.take_while(|((round, _), _)| *round == proposal.round).count();
        if others >= 2
            || self.proposals.len() >= MAX_PROPOSALS
            || proposal.round > self.round.saturating_add(ROUNDS_AHEAD)
            || !self.is_proposer(proposal.round, &proposal.proposer)
        {
            return false;
        }
        let Some(theirs) = self.due.members.key_of(&proposal.proposer) else { return false };
        let holds = signature.verify(theirs, &proposal.preimage(&self.settings.chain)).is_ok();
        if holds {
            self.proposals.insert(key, (*proposal, *signature));
        }
        holds
    }

    fn judge(&mut self, proposal: &RoundProposal, bytes: &[u8]) -> Result<Option<ProposedValue<Network>>, Stopped> {
        let RoundProposal { height, round, block: id, valid_round, proposer } = *proposal;
        let block = match body::open(bytes, &self.settings.chain, Some(id)) {
            Ok((_, block)) => block,
            Err(error) => {
                debug!(height, round, ?proposer, %error, "dropped what was sent for a block");
                return Ok(None);
            }
        };
        self.assemblies.settle(round, id);
        let origin = match valid_round {
            None => Origin::Proposed { round, proposer },
            Some(valid_round) => Origin::ProposedAgain { round, proposer, valid_round },
        };
        let candidate = Candidate { height, id, block: &block, bytes, origin };
        let verdict = self.application.validate(candidate).map_err(failed)?;
        if verdict == Verdict::Invalid {
            warn!(height, round, ?proposer, block = ?id, "an invalid block was proposed");
        }
        Ok(Some(ProposedValue {
            height: At(height),
            round: Round::new(round),
            valid_round: valid_round.map_or(Round::Nil, Round::new),
            proposer: Address(proposer),
            value: Value(id),
            validity: Validity::from_bool(verdict == Verdict::Valid),
        }))
    }

    /// A block that the others decided.
    fn synced(
        &mut self,
        height: Height,
        round: Round,
        proposer: Address,
        bytes: &[u8],
    ) -> Result<SyncedValueOutcome<Network>, Stopped> {
        if height != self.due.height {
            return Ok(SyncedValueOutcome::LocalTransientError);
        }
        let Ok((id, block)) = body::open(bytes, &self.settings.chain, None) else {
            return Ok(SyncedValueOutcome::PeerFault);
        };
        let origin = Origin::Decided { round: round.as_u32().unwrap_or(0) };
        let candidate = Candidate { height, id, block: &block, bytes, origin };
        let verdict = self.application.validate(candidate).map_err(failed)?;
        Ok(SyncedValueOutcome::Verdict(ProposedValue {
            height: At(height),
            round,
            valid_round: Round::Nil,
            proposer,
            value: Value(id),
            validity: Validity::from_bool(verdict == Verdict::Valid),
        }))
    }

    /// Goes on to the next height, and to what was already sent for it.
    fn advance(&mut self) -> Result<(), Stopped> {
        let decided = core::mem::replace(&mut self.due, Due::of(&self.application, &self.settings)?);
        if self.due.height != decided.height.saturating_add(1) {
            return Err(Stopped::Height { engine: decided.height.saturating_add(1), due: self.due.height });
        }
        self.call_roll()?;
        self.previous = Some((decided.height, decided.set));
        self.round = 0;
        self.proposals.clear();
        self.assemblies.clear();
        self.fresh.clear();
        for (from, part) in core::mem::take(&mut self.early) {
            let value = self.add(from, part)?;
            self.fresh.extend(value);
        }
        Ok(())
    }

    /// Holds the answer that begins the next height.
    fn hold(&mut self, reply: Reply<Next<Network>>) {
        // Those who do not propose give the one who does the time to do so.
        let patience =
            if self.is_proposer(0, &self.settings.source) { Duration::ZERO } else { self.settings.timeouts.propose };
        self.held = Some(Held { reply, until: Instant::now() + self.settings.heartbeat + patience });
        // One that is behind does not wait: the block that is due was decided long ago.
        let is_behind = *self.ahead.borrow() >= self.due.height;
        if is_behind || self.application.pending() || !self.proposals.is_empty() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(held) = self.held.take() {
            answer(held.reply, Next::Start(At(self.due.height), self.params()));
        }
    }

    /// Waits until a validator has voted or proposed at a height that this node has not begun.
    async fn others_began(&self, events: &mut RxEvent<Network>) {
        loop {
            match events.recv().await {
                Ok(Event::Received(message)) if self.is_ahead(&message) => return,
                Ok(_) | Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                // The engine is stopping, which the loop sees by itself.
                Err(tokio::sync::broadcast::error::RecvError::Closed) => core::future::pending().await,
            }
        }
    }

    fn is_ahead(&self, message: &SignedConsensusMsg<Network>) -> bool {
        let chain = &self.settings.chain;
        let (height, source, preimage, signature) = match message {
            SignedConsensusMsg::Vote(SignedMessage { message, signature }) => (
                message.height,
                message.validator,
                Vote::to_ledger(message).map(|vote| vote.preimage(chain)),
                signature,
            ),
            SignedConsensusMsg::Proposal(SignedMessage { message, signature }) => {
                let ledgers = Proposal::to_ledger(message);
                (message.height, message.proposer, ledgers.map(|proposal| proposal.preimage(chain)), signature)
            }
        };
        let Some((key, preimage)) = self.due.members.key_of(&source.0).zip(preimage) else { return false };
        height.0 >= self.due.height && signature.0.verify(key, &preimage).is_ok()
    }

    fn decided(&self, first: Height, last: Height) -> Result<Vec<RawDecidedValue<Network>>, Stopped> {
        let (mut values, mut len) = (Vec::new(), 0usize);
        for height in (first..=last).take(MAX_BATCH) {
            let Some(Decided { bytes, certificate, validators }) = self.application.decided(height).map_err(failed)?
            else {
                break;
            };
            let Some(certificate) = certificate::to_engine(&certificate, &validators) else { break };
            len = len.saturating_add(bytes.len());
            if len > ANSWER_LEN && !values.is_empty() {
                break;
            }
            values.push(RawDecidedValue { value_bytes: bytes.into(), certificate });
        }
        Ok(values)
    }
}

/// Waits until a block of this height has come from elsewhere.
async fn comes_to(ahead: &mut watch::Receiver<Height>, due: Height) {
    if ahead.wait_for(|highest| *highest >= due).await.is_err() {
        // The engine is stopping, which the loop sees by itself.
        core::future::pending().await
    }
}

async fn sleep_until(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => core::future::pending().await,
    }
}

fn equivocations(evidence: &MisbehaviorEvidence<Network>) -> Vec<Conflict> {
    let mut found = Vec::new();
    for (first, second) in evidence.proposals.iter().flat_map(|(_, pairs)| pairs) {
        if let Some((one, two)) = first.message.to_ledger().zip(second.message.to_ledger()) {
            found.push(Conflict::Proposals(signed(one, first.signature.0), signed(two, second.signature.0)));
        }
    }
    for (first, second) in evidence.votes.iter().flat_map(|(_, pairs)| pairs) {
        if let Some((one, two)) = first.message.to_ledger().zip(second.message.to_ledger()) {
            found.push(Conflict::Votes(signed(one, first.signature.0), signed(two, second.signature.0)));
        }
    }
    found
}

fn signed<T>(message: T, signature: Signature) -> Signed<T> {
    Signed { message, signature }
}

impl From<SetError> for Stopped {
    fn from(error: SetError) -> Self {
        Self::Set(error)
    }
}

#[cfg(test)]
mod tests;
