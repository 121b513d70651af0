//! The validators' port: who connects proves a consensus key, soon, or is gone.
//!
//! Handshakes are few at a time, an address has a share of them ([`clavicle_admission`]), and where a validator is said to listen there
//! are places that nobody else takes. A stranger costs a handshake's memory for some seconds, and one line in the log a minute.

use core::time::Duration;
use std::collections::HashMap;
use std::sync::Arc;

use clavicle_admission::{Admission, Limits, Neighbourhood, Origin, Place, Seldom};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::mesh::proof::{Proof, Proven};
use crate::mesh::roster::Roster;

/// How long the proof may take, here and where it is asked for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);
/// After a failure to accept, most often for want of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Handshakes at once: from anywhere, and from where validators are said to listen.
const STRANGERS: Limits = Limits { most: 64, settled: Duration::from_millis(500), silent: None };
const EXPECTED: Limits = Limits { most: 64, settled: Duration::ZERO, silent: None };

type Handshakes = Admission<Neighbourhood, AbortHandle>;

/// Lets in who proves a key, until nobody wants to know any more.
pub(crate) async fn keep(
    listener: TcpListener,
    proof: Arc<Proof>,
    roster: watch::Receiver<Arc<Roster>>,
    proven: mpsc::Sender<Proven>,
) {
    let mut places = [Handshakes::new(STRANGERS), Handshakes::new(EXPECTED)];
    let mut held: HashMap<Id, (usize, Place)> = HashMap::new();
    let mut handshakes: JoinSet<bool> = JoinSet::new();
    let (refused, unable) = (Seldom::default(), Seldom::default());
    loop {
        let (stream, address) = tokio::select! {
            () = proven.closed() => return,
            Some(done) = handshakes.join_next_with_id(), if !handshakes.is_empty() => {
                let (id, proved) = match done {
                    Ok(done) => done,
                    // It lost its place, or a defect ended it.
                    Err(error) => (error.id(), false),
                };
                if let Some((which, place)) = held.remove(&id) {
                    places.get_mut(which).and_then(|places| places.leave(place));
                }
                if !proved && let Some(more) = refused.now(Instant::now().into_std()) {
                    info!(more, "a stranger at the validators' port was turned away");
                }
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(more) = unable.now(Instant::now().into_std()) {
                        warn!(more, kind = ?error.kind(), "the validators' port takes nobody at the moment");
                    }
                    sleep(PAUSE).await;
                    continue;
                }
            },
        };
        let which = usize::from(roster.borrow().names(address.ip()));
        let Some(places) = places.get_mut(which) else { return };
        let (proof, proven) = (Arc::clone(&proof), proven.clone());
        let handshake = async move {
            match timeout(PATIENCE, proof.accept(stream)).await {
                Ok(Ok(done)) => proven.send(done).await.is_ok(),
                Ok(Err(_)) | Err(_) => false,
            }
        };
        // Taken in first and begun then: of those who have no place nothing is read.
        let task = handshakes.spawn(handshake);
        let id = task.id();
        match places.enter(Origin::Direct(address.ip()).neighbourhood(), Instant::now().into_std(), task) {
            Ok(entered) => {
                held.insert(id, (which, entered.place));
                entered.displaced.inspect(AbortHandle::abort);
            }
            Err(full) => full.0.abort(),
        }
    }
}
