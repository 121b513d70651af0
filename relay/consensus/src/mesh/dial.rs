//! Connecting to the other validators, for ever: each is tried again soon, and never given up.

use core::time::Duration;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use clavicle_ledger::id::SourceId;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::mesh::address::ListenAddress;
use crate::mesh::door;
use crate::mesh::frame::{self, Kind, ReadError};
use crate::mesh::proof::{Proof, Proven};
use crate::mesh::roster::Roster;

/// The first wait, and the longest; each failure doubles it. The longest is what a healed network costs, and so it is short: whoever is away costs its
/// peers one packet or two a second.
const SOONEST: Duration = Duration::from_millis(50);
const LATEST: Duration = Duration::from_millis(500);
/// The one of a pair with the greater key waits so much longer, so that rarely both connect at once.
const GIVE_WAY: Duration = Duration::from_millis(40);
/// How long a name may be looked up, and a connection be on its way.
const CONNECT: Duration = Duration::from_secs(1);
/// A link that held so long was a good one: its end begins the waits anew.
const LASTING: Duration = Duration::from_secs(5);

/// Why a validator was not reached.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("nobody is there")]
    Io(#[from] io::Error),
    #[error("no answer in time")]
    Late,
    #[error("somebody else is there, or it takes no link from here (yet)")]
    Refused(#[from] ReadError),
    #[error("it is another validator")]
    Other,
    #[error("it has no address that can be used")]
    NoAddress,
}

/// Connections that are on their way, and when the next ones are due.
pub(crate) struct Dials {
    own: SourceId,
    proof: Arc<Proof>,
    roster: watch::Receiver<Arc<Roster>>,
    waits: BTreeMap<SourceId, Wait>,
    running: JoinSet<(SourceId, Result<Proven, DialError>)>,
}

struct Wait {
    next: Duration,
    task: Option<AbortHandle>,
    linked: Option<Instant>,
}

impl Default for Wait {
    fn default() -> Self {
        Self { next: SOONEST, task: None, linked: None }
    }
}

impl Dials {
    pub(crate) fn new(own: SourceId, proof: Arc<Proof>, roster: watch::Receiver<Arc<Roster>>) -> Self {
        Self { own, proof, roster, waits: BTreeMap::new(), running: JoinSet::new() }
    }

    /// Connects to whoever is in the roster and has no link. `gives_way` says whether the other one of the pair is to go first.
    pub(crate) fn reconcile(&mut self, linked: impl Fn(&SourceId) -> bool, gives_way: impl Fn(&SourceId) -> bool) {
        let roster = Arc::clone(&self.roster.borrow());
        self.waits.retain(|source, wait| {
            let known = roster.others(self.own).any(|(other, _)| other == *source);
            if !known {
                wait.task.take().inspect(AbortHandle::abort);
            }
            known
        });
        for (source, addresses) in roster.others(self.own) {
            let wait = self.waits.entry(source).or_default();
            if linked(&source) {
                // What is still on its way would only take the link's place.
                wait.task.take().inspect(AbortHandle::abort);
                wait.linked.get_or_insert_with(Instant::now);
                continue;
            }
            if let Some(since) = wait.linked.take()
                && since.elapsed() >= LASTING
            {
                wait.next = SOONEST;
            }
            if wait.task.as_ref().is_none_or(AbortHandle::is_finished) && !addresses.is_empty() {
                let pause = if gives_way(&source) { wait.next + GIVE_WAY } else { wait.next };
                wait.next = (wait.next * 2).min(LATEST);
                let (proof, roster, addresses) = (Arc::clone(&self.proof), self.roster.clone(), addresses.to_vec());
                let dial = async move {
                    sleep(pause).await;
                    (source, reach(source, &addresses, &proof, &roster).await)
                };
                wait.task = Some(self.running.spawn(dial));
            }
        }
    }

    /// The next connection that was made, or was not; waits for ever when none is on its way. May be dropped and called again.
    pub(crate) async fn next(&mut self) -> (SourceId, Result<Proven, DialError>) {
        loop {
            match self.running.join_next().await {
                Some(Ok(done)) => return done,
                // It was called off.
                Some(Err(_)) => {}
                None => core::future::pending().await,
            }
        }
    }
}

/// Tries each address in turn.
async fn reach(
    source: SourceId,
    addresses: &[ListenAddress],
    proof: &Proof,
    roster: &watch::Receiver<Arc<Roster>>,
) -> Result<Proven, DialError> {
    let mut failed = DialError::NoAddress;
    for address in addresses {
        match connect(source, address, proof, roster).await {
            Ok(proven) => return Ok(proven),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

async fn connect(
    source: SourceId,
    address: &ListenAddress,
    proof: &Proof,
    roster: &watch::Receiver<Arc<Roster>>,
) -> Result<Proven, DialError> {
    let connected = async { TcpStream::connect(address.resolve().await?.as_slice()).await };
    let stream = timeout(CONNECT, connected).await.map_err(|_| DialError::Late)??;
    let mut proven = timeout(door::PATIENCE, proof.connect(stream)).await.map_err(|_| DialError::Late)??;
    if roster.borrow().source_of(&proven.key) != Some(source) {
        return Err(DialError::Other);
    }
    // Only now it is known that the own key was taken.
    match frame::read(&mut proven.stream, door::PATIENCE).await? {
        (Kind::Alive, _) => Ok(proven),
        _ => Err(DialError::Other),
    }
}
