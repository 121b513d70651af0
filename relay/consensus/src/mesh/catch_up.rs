//! Catching up from elsewhere: to the engine each of those who can be asked is one more peer, which answers questions and says nothing else.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use arc_malachitebft_app_channel::app::types::PeerId;
use arc_malachitebft_core_types::{ExtendedCommitCertificate, ExtendedCommitSignature, Round};
use arc_malachitebft_sync::{OutboundRequestId, RawDecidedValue, Request, Response, ValueRequest, ValueResponse};
use clavicle_ledger::id::SourceId;
use clavicle_ledger::source::MAX_SOURCES;
use clavicle_ledger::time::Height;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::codec::MAX_BATCH;
use crate::context::{Address, At, Network, Sig};
use crate::elsewhere::{CertifiedBlock, Elsewhere};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Questions for blocks at once.
const MAX_ASKED: usize = 4;

/// What came of a question.
pub(crate) enum Learned {
    /// How far one is.
    Newest(PeerId, Option<Height>),
    /// Its blocks; none when it did not answer.
    Blocks(OutboundRequestId, PeerId, Option<Response<Network>>),
}

/// Those who can be asked.
pub(crate) struct CatchUp {
    elsewhere: Arc<dyn Elsewhere>,
    /// Those that the engine was told of.
    peers: BTreeMap<PeerId, SourceId>,
    asked: JoinSet<Learned>,
    blocks: usize,
    /// Whether somebody is being asked how far it is.
    asking: bool,
    turn: usize,
}

impl CatchUp {
    pub(crate) fn new(elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { elsewhere, peers: BTreeMap::new(), asked: JoinSet::new(), blocks: 0, asking: false, turn: 0 }
    }

    /// Asks the next in turn how far it is, unless one is being asked.
    pub(crate) fn look(&mut self) {
        let whom = self.elsewhere.whom();
        if self.asking || whom.is_empty() {
            return;
        }
        self.turn = self.turn.wrapping_add(1);
        let Some(source) = self.turn.checked_rem(whom.len()).and_then(|at| whom.get(at)).copied() else { return };
        let peer = peer(&source);
        if self.peers.len() < MAX_SOURCES {
            self.peers.insert(peer, source);
        }
        self.asking = true;
        let elsewhere = Arc::clone(&self.elsewhere);
        self.asked.spawn(async move {
            let newest = timeout(PATIENCE, elsewhere.newest(source)).await.ok().flatten();
            Learned::Newest(peer, newest)
        });
    }

    /// Asks for blocks on behalf of the engine. False when it is nobody's question, or too many are open.
    pub(crate) fn ask(&mut self, peer: PeerId, number: &OutboundRequestId, request: &Request<Network>) -> bool {
        let Some(source) = self.peers.get(&peer).copied().filter(|_| self.blocks < MAX_ASKED) else { return false };
        let Request::ValueRequest(ValueRequest { range }) = request;
        let (first, last, number) = (range.start().0, range.end().0, number.clone());
        let elsewhere = Arc::clone(&self.elsewhere);
        self.blocks += 1;
        self.asked.spawn(async move {
            let blocks = timeout(PATIENCE, elsewhere.blocks(source, first, last)).await.unwrap_or_default();
            Learned::Blocks(number, peer, response(first, blocks))
        });
        true
    }

    /// The next thing learned; waits for ever when nothing is asked. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> Learned {
        loop {
            match self.asked.join_next().await {
                Some(Ok(learned)) => {
                    match &learned {
                        Learned::Newest(..) => self.asking = false,
                        Learned::Blocks(..) => self.blocks = self.blocks.saturating_sub(1),
                    }
                    return learned;
                }
                // A defect ended a question; the engine asks again when its own time is over.
                Some(Err(_)) if self.asked.is_empty() => (self.asking, self.blocks) = (false, 0),
                Some(Err(_)) => {}
                None => core::future::pending().await,
            }
        }
    }

    /// Those that the engine was told of, who are nobody any more.
    pub(crate) fn forget(&mut self) -> impl Iterator<Item = PeerId> {
        core::mem::take(&mut self.peers).into_keys()
    }
}

/// What the engine calls one who can be asked. No link has such a name: theirs are of keys.
fn peer(source: &SourceId) -> PeerId {
    PeerId::from_bytes(&[&[0, 32][..], source.as_bytes()].concat()).expect("32 bytes are their own name")
}

/// What came, as the engine wants it: in order, from the height that was asked for on.
fn response(first: Height, blocks: Vec<CertifiedBlock>) -> Option<Response<Network>> {
    let (mut values, mut due) = (Vec::new(), first);
    for CertifiedBlock { bytes, height, round, id, signatures } in blocks.into_iter().take(MAX_BATCH) {
        if height != due || signatures.len() > MAX_SOURCES {
            break;
        }
        due = due.saturating_add(1);
        let signed = |(source, signature)| ExtendedCommitSignature::new(Address(source), Sig(signature), None);
        let certificate = ExtendedCommitCertificate {
            height: At(height),
            round: Round::new(round),
            value_id: id,
            commit_signatures: signatures.into_iter().map(signed).collect(),
        };
        values.push(RawDecidedValue { value_bytes: bytes.into(), certificate });
    }
    (!values.is_empty()).then(|| Response::ValueResponse(ValueResponse::new(At(first), values)))
}
