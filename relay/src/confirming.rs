//! Asks the other relays which block is the newest, so that the gate may open, and stays open (the ledger's `confirm.rs`).
//!
//! All that are connected are asked at once, three times in the span for which their word is good, so that one round may fail and nobody notices. After
//! a start, and when the clock was set or the machine slept, they are asked again and again until enough have answered. Nobody is served meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use clavicle_ledger::confirm::{MAX_ROUND_MS, Newest, Round, SignedNewest, Unconfirmed};
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_letters::random::random;
use clavicle_network::message::{Query, Response};
use clavicle_network::swarm::Inquirer;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::service::{Service, ServiceError};
use crate::tasks;
use crate::timekeeper::Word;

/// How often others are asked in the time for which a head is recent enough.
const TIMES: u64 = 3;
/// How soon they are asked again while not enough have answered.
const AGAIN: Duration = Duration::from_millis(250);
/// The longest between two rounds.
const SELDOM: Duration = Duration::from_secs(30);
/// How often it is looked whether the clock was set, or the machine slept.
const LOOK: Duration = Duration::from_secs(1);

/// Asks until it is to stop; `relays` are those that gossip with this one.
pub(crate) async fn run(
    service: Service,
    inquirer: Inquirer,
    mut relays: watch::Receiver<BTreeSet<Key>>,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    let mut before = Err(Unconfirmed::SinceStart);
    loop {
        relays.mark_unchanged();
        let begun = Instant::now();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = ask(&service, &inquirer) => {}
            // One who does not answer is not waited for, when somebody wants to know how it is now.
            () = wanted(&service, begun + AGAIN) => continue,
        }
        let every = look(&service, &mut before).await;
        let mut next = begun + if before.is_ok() { every } else { AGAIN };
        while Instant::now() < next {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep_until(next) => {}
                () = service.timekeeper.wanted() => next = next.min(begun + AGAIN),
                // One more can be asked, and is needed.
                changed = relays.changed(), if before.is_err() => match changed {
                    Ok(()) => next = next.min(begun + AGAIN / 2),
                    // The node has ended, and with it the relay.
                    Err(_) => stop.cancelled().await,
                },
                () = sleep(LOOK) => {
                    look(&service, &mut before).await;
                    if before.is_err() {
                        break;
                    }
                }
            }
        }
    }
}

/// Ends when somebody wants to know how it is, and not before that moment.
async fn wanted(service: &Service, from: Instant) {
    sleep_until(from).await;
    service.timekeeper.wanted().await;
}

/// Looks whether the head is confirmed as `before`, and says so if not. How often to ask.
async fn look(service: &Service, before: &mut Result<(), Unconfirmed>) -> Duration {
    let looked = off(service, |service| {
        let snapshot = service.store.snapshot()?;
        let (head, rules) = (snapshot.head()?, snapshot.rules()?);
        let confirmed = service.timekeeper.confirmed(head.height, service.timekeeper.clocks()).map(drop);
        Ok((confirmed, Duration::from_millis(rules.parameters.fresh_ms / TIMES)))
    });
    let Some((now, every)) = looked.await else { return AGAIN };
    match (&*before, &now) {
        (Err(_), Ok(())) => info!("the others have said which block is the newest: the gate may open"),
        (Ok(()), Err(why)) => {
            warn!(%why, "the gate is closed");
            // Whoever is being sent something is asked about again at once.
            service.store.note();
        }
        _ => {}
    }
    *before = now;
    every.clamp(AGAIN, SELDOM)
}

/// Asks everybody once, and keeps what their answers come to.
async fn ask(service: &Service, inquirer: &Inquirer) {
    // Before the nonce is drawn: its age is rather counted too long.
    let made = service.timekeeper.clocks();
    let nonce = match random() {
        Ok(nonce) => nonce,
        Err(error) => {
            return warn!(%error, "the system's random generator failed, so that nobody can be asked for the newest block");
        }
    };
    let end = Instant::now() + Duration::from_millis(MAX_ROUND_MS);
    let round = Round::new(service.member.source, nonce, made);
    let inquiry = round.inquiry();
    // Who decides alone has nobody to ask.
    let Some(mut round) = off(service, move |service| weigh(service, round, None)).await else { return };
    let mut answers = inquirer.ask(Query::Newest(inquiry)).await;
    while let Ok(Some(response)) = timeout_at(end, answers.recv()).await {
        let Response::Newest(signed) = response else { continue };
        let Some(heard) = off(service, move |service| weigh(service, round, Some(&signed))).await else { return };
        round = heard;
    }
}

/// Takes an answer in, and keeps what all of them come to.
fn weigh(service: &Service, mut round: Round, answer: Option<&SignedNewest>) -> Result<Round, ServiceError> {
    let (snapshot, clocks) = (service.store.snapshot()?, service.timekeeper.clocks());
    if let Some(answer) = answer {
        let here = |height| Some(service.store.header(height).ok()??.id());
        let Newest { by, height, at, .. } = answer.newest;
        match round.hear(&snapshot, answer, here, clocks) {
            Ok(()) => service.timekeeper.heard(by, Word { heard_boot_ms: clocks.boot_ms, height, at }),
            Err(why) => debug!(?by, %why, "a word on the newest block does not count"),
        }
    }
    if let Some(confirmation) = round.confirmation(&snapshot.validators()?, clocks) {
        service.timekeeper.keep(confirmation);
    }
    Ok(round)
}

/// Reads and verifies where nobody else waits; what fails is done again in the next round.
async fn off<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
) -> Option<T> {
    tasks::off(service, "which block is the newest", work).await.unwrap_or_else(|error| {
        warn!(%error, "the state cannot be read, so that nothing can be said about the newest block");
        None
    })
}
