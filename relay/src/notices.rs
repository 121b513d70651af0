//! Notices: whoever has a copy of a study is told, sealed, when it was revised, suspended or withdrawn, and when it is served again.
//!
//! A letter into the mailbox that they named when they fetched, signed with this source's operational key. It says no more than the ledger
//! and the manifests do; it says it without being asked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use borsh::BorshSerialize;
use clavicle_directory::Listing;
use clavicle_ledger::encoding::{self, Bytes};
use clavicle_ledger::event::Event;
use clavicle_ledger::id::{SourceId, StudyId};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::study::{Lapse, Reason, Standing, Status};
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_letters::identity::Recipient;
use clavicle_letters::letter::{Content, Letter, Notice, NoticeCounts, Reissued};
use clavicle_letters::mailbox::Mailbox;
use clavicle_letters::seal;
use clavicle_manifest::{Manifest, Uid};
use clavicle_network::message::{MailboxRefusal, MailboxRequest, MailboxResponse, Request, Response};
use clavicle_network::swarm::Client;
use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

use crate::archive::ArchiveError;
use crate::journal::{self, Consumer, Occasion, Reaction};
use crate::service::{Service, ServiceError};
use crate::store::notices::Due;
use crate::store::{Notices, StoreError};
use crate::tasks;

/// How long a relay may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many are told at once.
const AT_ONCE: usize = 8;
/// The most who are told before blocks are looked at again.
const MOST: usize = 1_024;

/// Makes whoever has a copy due for as long as the relay runs, and wakes who tells them.
#[derive(Debug)]
pub struct Noticing {
    /// Up to where blocks were looked at.
    at: Option<Height>,
    tell: Arc<Notify>,
}

impl Noticing {
    /// With whom to wake: who tells them (`run`).
    #[must_use]
    pub const fn new(tell: Arc<Notify>) -> Self {
        Self { at: None, tell }
    }
}

impl Reaction for Noticing {
    fn name(&self) -> &'static str {
        "who is to be told of changes"
    }

    fn react(&mut self, service: &Service, occasion: Occasion) -> Result<(), ServiceError> {
        match look(service, self.at, occasion == Occasion::Tick) {
            Ok(height) => self.at = Some(height),
            Err(error) => warn!(%error, "blocks cannot be looked at for what they change of copies"),
        }
        self.tell.notify_one();
        Ok(())
    }
}

/// Tells whoever is due, until it is to stop. Who was not told yet is told after the next start.
pub(crate) async fn run(service: Service, tell: Arc<Notify>, stop: CancellationToken) -> Result<(), ServiceError> {
    let (mut round, mut waits) = (JoinSet::new(), false);
    loop {
        tokio::select! {
            // Who is being told is told again after the next start.
            () = stop.cancelled() => return Ok(()),
            () = tell.notified() => waits = true,
            Some(told) = round.join_next(), if !round.is_empty() => say_defect(told),
        }
        if waits && round.is_empty() {
            waits = false;
            let service = service.clone();
            round.spawn(async move { tell_all(&service).await });
        }
    }
}

/// Says that telling somebody ended by a defect: they are still due.
fn say_defect(told: Result<(), JoinError>) {
    if told.is_err_and(|error| error.is_panic()) {
        error!("a defect kept somebody from being told what became of a study; it is tried again");
    }
}

/// Tells everybody who is due.
async fn tell_all(service: &Service) {
    let due =
        off(service, |service| Ok(service.records.notices.due(service.timekeeper.dated(&service.store), MOST)?)).await;
    let due = due.unwrap_or_else(|error| {
        warn!(%error, "who has copies cannot be read");
        None
    });
    let mut due = due.unwrap_or_default().into_iter();
    let mut telling = JoinSet::new();
    loop {
        while telling.len() < AT_ONCE
            && let Some(one) = due.next()
        {
            let service = service.clone();
            telling.spawn(async move { try_to_tell(&service, one).await });
        }
        match telling.join_next().await {
            Some(told) => say_defect(told),
            None => return,
        }
    }
}

/// Tells one. What fails for one keeps nobody else from being told: it is tried again, later.
async fn try_to_tell(service: &Service, due: Due) {
    let one = due.clone();
    if let Err(error) = tell(service, due).await {
        warn!(%error, "somebody who has a copy cannot be told what became of it");
        off(service, move |service| {
            Ok(service.records.notices.not_reached(&one, service.timekeeper.dated(&service.store))?)
        })
        .await
        .ok();
    }
}

/// Looks at what happened since `from` to studies that somebody may have a copy of. Up to which height it has; with `keep`, that is on the disk.
fn look(service: &Service, from: Option<Height>, keep: bool) -> Result<Height, StoreError> {
    let changes = Changes { notices: &service.records.notices, now: service.timekeeper.dated(&service.store) };
    let looked = journal::follow(&service.store, &changes, from)?;
    if keep {
        changes.take(&[], looked)?;
    }
    Ok(looked)
}

/// Makes everybody due who has a copy of a study that is not what it was.
#[derive(Debug)]
pub struct Changes<'a> {
    /// Who has copies.
    pub notices: &'a Notices,
    /// Since when they are due.
    pub now: Timestamp,
}

impl Consumer for Changes<'_> {
    /// Before anybody had a copy there was nothing to tell.
    fn cursor(&self, head: Height) -> Result<Height, StoreError> {
        Ok(self.notices.looked()?.unwrap_or(head))
    }

    fn concerns(&self, event: &Event) -> bool {
        changed(event).is_some()
    }

    fn take(&self, events: &[(Height, Event)], upto: Height) -> Result<(), StoreError> {
        let studies = events.iter().filter_map(|(_, event)| changed(event)).collect();
        self.notices.changed(&studies, upto, self.now)
    }
}

/// Which study is not what it was.
const fn changed(event: &Event) -> Option<StudyId> {
    match event {
        Event::StudyRevised { study, .. }
        | Event::StatusSet { study, .. }
        | Event::Lapsed { study, lapse: Lapse::Suspension } => Some(*study),
        _ => None,
    }
}

/// Reads and writes where nobody else waits: who was not told is due with the next block.
async fn off<T: Send + 'static>(
    service: &Service,
    work: impl FnOnce(&Service) -> Result<T, ServiceError> + Send + 'static,
) -> Result<Option<T>, ServiceError> {
    tasks::off(service, "telling what became of a study", work).await
}

/// Tells one what there is to be told, if there is something.
async fn tell(service: &Service, due: Due) -> Result<(), ServiceError> {
    let one = due.clone();
    let Some(Some(Written { sealed, digest })) = off(service, move |service| write(service, &one)).await? else {
        return Ok(());
    };
    let deposited = deposit(service, &due.copy.reach.mailbox, sealed).await?;
    off(service, move |service| {
        match deposited {
            Deposited::Taken => service.records.notices.settle(&due, Some(digest))?,
            Deposited::NotReached => {
                service.records.notices.not_reached(&due, service.timekeeper.dated(&service.store))?
            }
            Deposited::NoMailbox => service.records.notices.forget(&due)?,
        }
        Ok(())
    })
    .await
    .map(drop)
}

/// A letter, sealed, and BLAKE3 of what it says.
struct Written {
    sealed: Vec<u8>,
    digest: [u8; 32],
}

/// Writes the letter. Nothing, when there is nothing to be told: that is kept.
fn write(service: &Service, due: &Due) -> Result<Option<Written>, ServiceError> {
    let new = match reissued(service, due)? {
        Some(reissued) => Some((digest_of(&reissued), Content::Reissued(Box::new(reissued)))),
        None => notice(service, due)?.map(|notice| (digest_of(&notice), Content::Notice(Box::new(notice)))),
    };
    let Some((digest, content)) = new.filter(|(digest, _)| due.told != Some(*digest)) else {
        service.records.notices.settle(due, None)?;
        return Ok(None);
    };
    let letter = Letter {
        chain: service.member.chain,
        to: Recipient::from_bytes(due.copy.reach.recipient),
        from: service.member.operational.public(),
        sent: service.timekeeper.dated(&service.store),
        content,
    };
    let sealed = service.records.notices.letter(due, &digest, || Ok(seal::seal(&letter, &service.member.operational)?));
    match sealed {
        Ok(sealed) => Ok(Some(Written { sealed, digest })),
        Err(Unwritten::Store(error)) => Err(error.into()),
        Err(Unwritten::Seal(error)) => {
            debug!(%error, "nothing can be sealed to whoever has a copy");
            service.records.notices.forget(due)?;
            Ok(None)
        }
    }
}

fn digest_of(said: &impl BorshSerialize) -> [u8; 32] {
    *blake3::hash(&encoding::encode(said)).as_bytes()
}

/// That the wrong person had the study, and its images are another one by now; nothing, if that is not so.
fn reissued(service: &Service, due: &Due) -> Result<Option<Reissued>, ServiceError> {
    if !service.records.notices.is_reissued(due.study)? {
        return Ok(None);
    }
    let record = service.store.snapshot()?.study(due.study)?;
    // What was withdrawn for another reason before, or after it was not withdrawn for this one, is told as it is.
    let withdrawn = |status: &Status| matches!(status, Status::Withdrawn { reason: Reason::WrongPatient });
    let is_withdrawn = record.is_some_and(|record| withdrawn(&record.status));
    let (study, source, copy) = (due.study, service.member.source, due.copy.root);
    Ok(is_withdrawn.then_some(Reissued { study, source, copy }))
}

/// Why there is no letter.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Seal(#[from] seal::SealError),
}

/// What there is to be told of a copy; nothing when it is as the ledger has the study, and they know of nothing else.
fn notice(service: &Service, due: &Due) -> Result<Option<Notice>, ServiceError> {
    let snapshot = service.store.snapshot()?;
    let (Some(record), head) = (snapshot.study(due.study)?, snapshot.head()?) else { return Ok(None) };
    let [standing, _] = record.standings(head.time);
    let served = matches!(standing, Standing::Active | Standing::Frozen);
    if served && record.manifest_root == due.copy.root && due.told.is_none() {
        return Ok(None);
    }
    // How much came since is news of images: for those who may see them.
    let granted = record.grants.iter().any(|grant| grant.grantee == due.key && grant.is_live(head.time));
    let counts = if due.copy.whole && granted { counts(service, due, &record.manifest_root)? } else { None };
    Ok(Some(Notice {
        study: due.study,
        source: service.member.source,
        copy: due.copy.root,
        revision: record.revision,
        manifest_root: record.manifest_root,
        status: record.status,
        counts,
    }))
}

/// How many images are other ones since.
fn counts(
    service: &Service,
    due: &Due,
    now: &clavicle_ledger::id::ManifestRoot,
) -> Result<Option<NoticeCounts>, ArchiveError> {
    let (then, now) =
        (service.images.archive.edition(due.study, &due.copy.root)?, service.images.archive.edition(due.study, now)?);
    let (Some(then), Some(now)) = (then, now) else { return Ok(None) };
    let by_uid = |manifest: &Manifest| -> BTreeMap<Uid, _> {
        manifest.instances().map(|instance| (instance.sop_instance_uid, instance.stored)).collect()
    };
    let (then, now) = (by_uid(&then.manifest.manifest), by_uid(&now.manifest.manifest));
    let count = |many: usize| u32::try_from(many).unwrap_or(u32::MAX);
    Ok(Some(NoticeCounts {
        removed: count(then.keys().filter(|uid| !now.contains_key(uid)).count()),
        added: count(now.keys().filter(|uid| !then.contains_key(uid)).count()),
        changed: count(then.iter().filter(|(uid, stored)| now.get(uid).is_some_and(|now| now != *stored)).count()),
    }))
}

enum Deposited {
    Taken,
    NotReached,
    NoMailbox,
}

/// Leaves a letter at every relay that keeps the mailbox.
async fn deposit(service: &Service, mailbox: &Mailbox, sealed: Vec<u8>) -> Result<Deposited, ServiceError> {
    let Ok(sealed) = Bytes::new(sealed) else { return Ok(Deposited::NoMailbox) };
    let (mut taken, mut gone) = (0, 0);
    for relay in &mailbox.relays {
        let request = MailboxRequest::Deposit { mailbox: mailbox.key, token: mailbox.token, sealed: sealed.clone() };
        match ask(service, *relay, request).await? {
            Some(MailboxResponse::Done) => taken += 1,
            Some(MailboxResponse::Refused(MailboxRefusal::NoMailbox)) => gone += 1,
            _ => {}
        }
    }
    Ok(match (taken, gone) {
        (1.., _) => Deposited::Taken,
        (0, gone) if gone == mailbox.relays.len() => Deposited::NoMailbox,
        _ => Deposited::NotReached,
    })
}

/// Asks a relay, this one as any other, over a connection of its own; nothing when it does not answer.
async fn ask(
    service: &Service,
    relay: SourceId,
    request: MailboxRequest,
) -> Result<Option<MailboxResponse>, ServiceError> {
    let found = off(service, move |service| {
        let snapshot = service.store.snapshot()?;
        Ok((snapshot.source(relay)?, snapshot.head()?))
    });
    let Some((Some(source), head)) = found.await? else { return Ok(None) };
    let listing = Listing::of(relay, &source, &head);
    let Some(key) = listing.network_keys().next() else { return Ok(None) };
    let answer = async {
        let mut client = Client::connect(service.member.chain, &key, &listing.relay_addresses(), PATIENCE).await?;
        client.ask(Request::Mailbox(Box::new(request))).await
    };
    match answer.await {
        Ok(Response::Mailbox(answer)) => Ok(Some(answer)),
        Ok(_) => Ok(None),
        Err(error) => {
            debug!(%error, "a relay does not take a notice");
            Ok(None)
        }
    }
}
