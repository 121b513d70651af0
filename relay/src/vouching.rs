//! Vouches for the first block of each epoch, and gathers what the others vouch for.
//!
//! Where the identity key is at hand it endorses the checkpoint key by itself; where it is kept elsewhere, its keeper is asked
//! (`clavicle-relay checkpoints`), and the log says when that is due.

use std::time::Duration;

use clavicle_ledger::block::Header;
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::{
    Endorsement, Identities, MAX_ENDORSEMENT_MS, ProvenIdentity, SignedCheckpoint, SignedEndorsement,
};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{DAY_MS, Height, LocalTime, Timestamp};
use clavicle_ledger::validators::ValidatorSet;
use clavicle_network::message::{Query, Request, Response};
use clavicle_network::swarm::Client;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use crate::seldom::seldom;
use crate::service::{Service, ServiceError};
use crate::store::Snapshot;
use crate::tasks;

/// When less than so much of an endorsement is left, the next is made or asked for, in milliseconds.
const SOON_OVER_MS: u64 = DAY_MS * 30;
/// How long another relay may take to be reached, and to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How soon the others are asked again at first, when somebody has not vouched for the newest block; each time twice as long.
const FIRST_AGAIN: Duration = Duration::from_secs(1);
/// The longest between two times.
const LAST_AGAIN: Duration = Duration::from_secs(600);
/// The shortest between two looks at the chain.
const LOOK: Duration = Duration::from_millis(250);
/// The longest.
const EVERY: Duration = Duration::from_secs(60);

/// Does it until it is to stop. `identity` signs endorsements, if it is at hand.
///
/// # Errors
/// None of its own: what cannot be read now is read again with the next block.
pub(crate) async fn run(
    service: Service,
    identity: Option<SecretKey>,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    stop.run_until_cancelled(work(&service, identity)).await;
    Ok(())
}

async fn work(service: &Service, identity: Option<SecretKey>) {
    let mut changes = service.store.changes();
    let (mut before, mut next, mut again, mut warned) = (None, Instant::now(), FIRST_AGAIN, None);
    loop {
        if let Some(due) = off(service, with(identity.clone(), endorse)).await.flatten()
            && warned != Some(due)
        {
            warned = Some(due);
            warn!(
                "no endorsement of the checkpoint key is in force for long: wallets that were away for more than 14 days need it; ask the keeper \
                 of the identity key for one with `clavicle-relay checkpoints --request`"
            );
        }
        let Some(Some(first)) = off(service, vouch).await else {
            wait(&mut changes).await;
            continue;
        };
        if before != Some(first.height) {
            (before, next, again) = (Some(first.height), Instant::now(), FIRST_AGAIN);
        }
        if next <= Instant::now() && off(service, with(first, missing)).await.is_some_and(|missing| missing > 0) {
            gather(service).await;
            next = Instant::now() + again;
            again = (again * 2).min(LAST_AGAIN);
        }
        tokio::select! {
            () = wait(&mut changes) => {}
            () = sleep_until(next), if next > Instant::now() => {}
        }
    }
}

/// Waits for the next block, or a while, and no shorter than makes sense.
async fn wait(changes: &mut watch::Receiver<u64>) {
    sleep(LOOK).await;
    tokio::select! {
        changed = changes.changed() => if changed.is_err() { sleep(EVERY).await },
        () = sleep(EVERY) => {}
    }
}

fn with<I, T>(
    input: I,
    work: impl FnOnce(&Service, I) -> Result<T, ServiceError>,
) -> impl FnOnce(&Service) -> Result<T, ServiceError> {
    move |service| work(service, input)
}

/// Reads, signs and verifies where nobody else waits. What cannot be read now is read again with the next block.
async fn off<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
) -> Option<T> {
    tasks::off(service, "vouching", work).await.unwrap_or_else(|error| {
        warn!(%error, "the state cannot be read, so that nothing can be vouched for");
        None
    })
}

/// Whether an endorsement is in force, and for how much longer, in milliseconds.
pub(crate) fn in_force(endorsement: Option<&SignedEndorsement>, now: LocalTime) -> Option<u64> {
    let endorsement = endorsement.filter(|by| by.has_begun(now) && !by.is_over(now))?;
    Some(endorsement.endorsement.until.since(now.0))
}

/// Whether the next endorsement is to be made or asked for.
pub(crate) fn is_due(endorsement: Option<&SignedEndorsement>, now: LocalTime) -> bool {
    in_force(endorsement, now).is_none_or(|left| left < SOON_OVER_MS)
}

/// What the identity key is asked to sign: from a day ago, so that no clock is too early for it, and for as long as may be.
pub(crate) fn request(service: &Service, now: LocalTime) -> Endorsement {
    let (member, from) = (&service.member, Timestamp(now.0.0.saturating_sub(DAY_MS)));
    let until = from.plus(MAX_ENDORSEMENT_MS);
    Endorsement { chain: member.chain, source: member.source, key: member.checkpoints.key(), from, until }
}

/// Endorses the checkpoint key when that is due. When it is, and the identity key is not at hand, the end of the present endorsement.
fn endorse(service: &Service, identity: Option<SecretKey>) -> Result<Option<Timestamp>, ServiceError> {
    let head = service.store.snapshot()?.head()?;
    // The date matters: an endorsement that began in the future would be none.
    if service.timekeeper.confirmed(head.height, service.timekeeper.clocks()).is_err() {
        return Ok(None);
    }
    let now = LocalTime(service.timekeeper.dated(&service.store));
    let present = service.member.checkpoints.endorsement();
    if !is_due(present.as_ref(), now) {
        return Ok(None);
    }
    let end = present.map_or(Timestamp(0), |present| present.endorsement.until);
    let Some(identity) = identity else { return Ok(Some(end)) };
    let endorsement = request(service, now).sign(&identity);
    if let Err(error) = service.member.checkpoints.endorse(endorsement) {
        warn!(%error, "the endorsement of the checkpoint key cannot be written");
        return Ok(Some(end));
    }
    info!(until = %endorsement.endorsement.until, "the identity key has endorsed the checkpoint key");
    Ok(None)
}

/// The first block of the running epoch; none in the one that began with the genesis, which wallets know.
pub(crate) fn first_of_epoch(service: &Service) -> Result<Option<Header>, ServiceError> {
    let snapshot = service.store.snapshot()?;
    let record = snapshot.record(snapshot.head()?.epoch)?;
    let Some(first) = record.map(|record| record.first).filter(|first| *first > 0) else { return Ok(None) };
    Ok(service.store.header(first)?.filter(|header| header.height > 0))
}

/// Vouches for the first block of the running epoch, if this source decides, and says which that is.
fn vouch(service: &Service) -> Result<Option<Header>, ServiceError> {
    let Some(first) = first_of_epoch(service)? else { return Ok(None) };
    let (member, now) = (&service.member, LocalTime(service.timekeeper.dated(&service.store)));
    let book = &member.checkpoints;
    let endorsement = book.endorsement();
    let has_said = book.of(&member.source, first.height).map(|signed| signed.endorsement) == endorsement;
    if endorsement.is_some()
        && !has_said
        && in_force(endorsement.as_ref(), now).is_some()
        && service.store.snapshot()?.validators()?.validators.find(&member.source).is_some()
        && let Some(signed) = book.sign(&first)
    {
        book.keep(signed);
        debug!(height = first.height, "vouched for the epoch's first block");
    }
    Ok(Some(first))
}

/// Who decides, and by which identity keys they are known.
pub(crate) fn known(service: &Service) -> Result<(ValidatorSet, Identities), ServiceError> {
    let snapshot = service.store.snapshot()?;
    let (set, mut known) = (snapshot.validators()?, Identities::default());
    for validator in &set.validators {
        if let Some(row) = snapshot.source(validator.source)? {
            let proven = ProvenIdentity::of(validator.source, &row);
            known.proven.insert(proven).expect("there are as many sources as may be in a set");
        }
    }
    Ok((set, known))
}

/// How many of those who decide have not vouched for a block, as far as it is known here.
fn missing(service: &Service, first: Header) -> Result<usize, ServiceError> {
    let set = service.store.snapshot()?.validators()?;
    let book = &service.member.checkpoints;
    Ok(set.validators.iter().filter(|validator| book.of(&validator.source, first.height).is_none()).count())
}

/// Asks the relays of those who decide, one after another, until nobody's word is missing.
async fn gather(service: &Service) {
    let Some(whom) = off(service, others).await else { return };
    for Other { key, addresses } in whom {
        let chain = service.member.chain;
        let Ok(mut client) = Client::connect(chain, &key, &addresses, PATIENCE).await else { continue };
        let Ok(Response::Checkpoints(signed)) = client.ask(Request::Query(Query::Checkpoints)).await else { continue };
        off(service, with(signed.into_vec(), take_in)).await;
    }
}

/// Another relay.
struct Other {
    key: Key,
    addresses: Vec<String>,
}

fn others(service: &Service) -> Result<Vec<Other>, ServiceError> {
    let (snapshot, own) = (service.store.snapshot()?, service.member.source);
    let epoch = snapshot.head()?.epoch;
    let mut others = Vec::new();
    for validator in snapshot.validators()?.validators.iter().filter(|validator| validator.source != own) {
        let Some(row) = snapshot.source(validator.source)? else { continue };
        let Some(key) = row.keys_in(epoch).network.first().copied() else { continue };
        others.push(Other { key, addresses: row.announced.addresses.libp2p.iter().map(ToString::to_string).collect() });
    }
    Ok(others)
}

/// Keeps what others vouch for, as far as it counts and is so.
fn take_in(service: &Service, all: Vec<SignedCheckpoint>) -> Result<(), ServiceError> {
    let (set, known) = known(service)?;
    let (snapshot, book) = (service.store.snapshot()?, &service.member.checkpoints);
    let now = LocalTime(service.timekeeper.dated(&service.store));
    for signed in all {
        let source = signed.source();
        if source == service.member.source || book.has(&signed) {
            continue;
        }
        // Not that far yet: it is asked for again.
        let Some(header) = service.store.header(signed.checkpoint.height)? else { continue };
        if let Err(why) = signed.verify(&service.member.chain, &set, &known, now) {
            debug!(?source, %why, "a checkpoint does not count");
            continue;
        }
        if snapshot.key_use(signed.endorsement.endorsement.key)?.is_some() {
            seldom!(warn!(
                ?source,
                "a hospital endorsed a key that is at hand for something else; its checkpoints are not handed out"
            ));
            continue;
        }
        if header.id() != signed.checkpoint.block || header.time != signed.time {
            seldom!(error!(
                ?source,
                height = header.height,
                "a hospital vouches for another block than the one that was decided: its checkpoint key is stolen, or it is dishonest; tell the \
                 other hospitals"
            ));
            continue;
        }
        // Only every epoch's first, so that nobody pushes out what all vouch for.
        if is_first(&snapshot, header.height)? {
            book.keep(signed);
        }
    }
    Ok(())
}

/// Whether a block is the first of the running epoch, or of the one before.
fn is_first(snapshot: &Snapshot, height: Height) -> Result<bool, ServiceError> {
    let epoch = snapshot.head()?.epoch;
    for epoch in [epoch, epoch.saturating_sub(1)] {
        if snapshot.record(epoch)?.is_some_and(|record| record.first == height) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::id::{ChainId, SourceId};

    use super::*;

    #[test]
    fn an_endorsement_is_asked_for_when_less_than_thirty_days_of_it_are_left() {
        let key = |number| SecretKey::from_bytes(&[number; 32]);
        let endorsement = Endorsement {
            chain: ChainId::from_bytes([1; 32]),
            source: SourceId::from_bytes([2; 32]),
            key: key(3).public(),
            from: Timestamp(0),
            until: Timestamp(MAX_ENDORSEMENT_MS),
        };
        let signed = endorsement.sign(&key(4));
        let is_due_at = |ms| is_due(Some(&signed), LocalTime(Timestamp(ms)));
        let last = MAX_ENDORSEMENT_MS - SOON_OVER_MS;
        let due = [0, last, last + 1, MAX_ENDORSEMENT_MS + 1].map(is_due_at);
        assert_eq!(due, [false, false, true, true]);
        assert!(is_due(None, LocalTime(Timestamp(0))));
    }
}
