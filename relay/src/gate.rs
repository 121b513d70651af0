//! The gate: decides on those who fetch, with what this relay knows now, and keeps why it said no.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use clavicle_ledger::authorise::{Authorisation, Refused, SignedHello, View, authorise};
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::receipt::{Closed, End, Entry, RefusalReason, Refused as RefusedEntry, SignedReceipt, Statement};
use clavicle_ledger::state::{ReadError, ReadRows as _};
use clavicle_ledger::terms::{SeriesScope, Terms};
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_letters::credential::Introduction;
use clavicle_letters::membership::NotAMember;
use clavicle_letters::verdict::ProvenSource;
use clavicle_manifest::{SignedManifest, SignedScopedManifest, StoredDigest};
use clavicle_network::transfer::{Admission, BoxError, BoxFuture, Gate, Kept, Listing, Offer, Reach, Reference};
use tokio::sync::watch;

use crate::archive::{Archive, ArchiveError};
use crate::member::Member;
use crate::refusals::Refusals;
use crate::seldom::seldom;
use crate::store::notices::Copy;
use crate::store::receipts::AskedOpening;
use crate::store::{ChainStore, Notices, Receipts, ReceiptsError, Seen, Snapshot, StoreError};
use crate::submission::is_kept_by;
use crate::timekeeper::Timekeeper;

/// Decides on those who fetch.
pub struct RelayGate {
    /// This source, and the network.
    pub member: Arc<Member>,
    /// The chain.
    pub store: Arc<ChainStore>,
    /// The images.
    pub archive: Arc<Archive>,
    /// Revocations that bind before they are in a block.
    pub seen: Arc<Seen>,
    /// Why it said no.
    pub refusals: Arc<Refusals>,
    /// Who was let in, and who was not.
    pub receipts: Arc<Receipts>,
    /// Who is told what becomes of studies.
    pub notices: Arc<Notices>,
    /// Its clocks, and what the others say of them and of the newest block.
    pub timekeeper: Arc<Timekeeper>,
}

/// Why somebody was not let in.
#[derive(Debug, thiserror::Error)]
enum No {
    #[error(transparent)]
    Refused(#[from] Refused<StoreError>),
    #[error("the archive cannot be read: {0}")]
    Archive(#[from] ArchiveError),
    #[error("the manifest that the ledger names is not in the archive")]
    ManifestMissing,
    #[error("it could not be written down that somebody was let in: {0}")]
    NotWritten(ReceiptsError),
    #[error("the study was opened as often as the terms of the grant allow")]
    UsedUp,
    #[error(transparent)]
    NotAMember(#[from] NotAMember),
    #[error("the grant names series that the study does not have any more")]
    SeriesGone,
    #[error("more revocations of this study were seen than can be kept: nobody it was granted to is served")]
    Full,
}

impl RelayGate {
    /// Asks on what is known now.
    fn view(
        &self,
        ask: impl FnOnce(&View<'_, Snapshot>, LocalTime) -> Result<Authorisation, Refused<StoreError>>,
    ) -> Result<Authorisation, No> {
        let read = |error| No::Refused(Refused::Read(ReadError::Storage(error)));
        // The revocations first: one that is settled between the two reads is in the state already.
        let seen = self.seen.set();
        let state = self.store.snapshot().map_err(read)?;
        let head = self.store.head().map_err(read)?;
        // The clocks last: what is known is rather too old than too young.
        let (height, clocks) = (state.head().map_err(Refused::Read)?.height, self.timekeeper.clocks());
        let view = View {
            state: &state,
            source: self.member.source,
            highest_seen: head.time.timestamp(),
            confirmed: self.timekeeper.confirmed(height, clocks),
            seen_revocations: &seen,
        };
        let authorisation = ask(&view, clocks.wall)?;
        if let Some(grant) = authorisation.grant() {
            let study = state.study(authorisation.study()).map_err(Refused::Read)?.ok_or(No::ManifestMissing)?;
            if self.seen.closes(authorisation.study(), &study, grant) {
                return Err(No::Full);
            }
        }
        Ok(authorisation)
    }

    fn decide(&self, remote: Key, hello: &SignedHello, shown: Option<&Introduction>) -> Result<Admission, No> {
        let authorisation = self.view(|view, clock| authorise(view, clock, remote, hello))?;
        self.check_member(&authorisation, shown)?;
        if let Some(shown) = shown {
            shown.check_hello(hello)?;
        }
        let (_, root) = authorisation.current();
        let edition = self.archive.edition(authorisation.study(), &root)?.ok_or(No::ManifestMissing)?;
        let withheld = match authorisation.consented_to() {
            Some((_, consented)) if consented != root => {
                let then = self.archive.edition(authorisation.study(), &consented)?.ok_or(No::ManifestMissing)?;
                beyond(&edition.manifest, &then.manifest)
            }
            _ => BTreeSet::new(),
        };
        let scope = authorisation.terms().map_or(&SeriesScope::All, |terms| &terms.series);
        let manifest = match scope {
            SeriesScope::All => Listing::Whole(edition.manifest),
            SeriesScope::These(series) => {
                let SignedManifest { manifest, endorsement } = edition.manifest;
                let wanted: Vec<_> = series.iter().copied().collect();
                let scoped = manifest.scoped(&self.member.chain, &edition.salt, &wanted);
                if scoped.series().is_empty() {
                    return Err(No::SeriesGone);
                }
                Listing::Part(SignedScopedManifest { scoped, endorsement })
            }
        };
        Ok(Admission { authorisation, offer: Offer { salt: edition.salt, manifest }, withheld })
    }

    /// Where the Terms ask for a member of a team or a practice: whether what was shown of them is worth anything now, by
    /// this source's own state. That somebody signed and showed something the ledger's rules say; what that is worth
    /// they do not.
    fn check_member(&self, authorisation: &Authorisation, shown: Option<&Introduction>) -> Result<(), No> {
        let Some(members_of) = authorisation.terms().and_then(Terms::members_of) else { return Ok(()) };
        let shown = shown.ok_or(NotAMember::NotShown)?;
        let read = |error| No::Refused(Refused::Read(error));
        let state = self.store.snapshot().map_err(|error| read(ReadError::Storage(error)))?;
        let row = shown.source().map(|id| state.source(id)).transpose().map_err(read)?.flatten();
        let epoch = state.head().map_err(read)?.epoch;
        // What says that it is no source's word in the first place names none.
        let source = ProvenSource { id: shown.source().unwrap_or(self.member.source), row: row.as_ref(), epoch };
        let now = self.timekeeper.clocks().wall.0;
        shown.check_member(&self.member.chain, source, &members_of, now)?;
        let Some(row) = row else { return Ok(()) };
        Ok(self.seen.ended().check(&self.member.chain, shown, &row.keys_in(epoch).operational)?)
    }

    /// Has a refusal written down, if the study is on the ledger and this source's. That is looked up elsewhere, and later: how long it
    /// takes must not show in the answer.
    fn write_down(&self, remote: Key, (study, grant): (StudyId, Option<GrantId>), no: &No) {
        let (store, source) = (Arc::clone(&self.store), self.member.source);
        let ours = move || {
            let snapshot = store.snapshot();
            snapshot.is_ok_and(|snapshot| is_kept_by(&snapshot, source, study).unwrap_or(false))
        };
        let refused = RefusedEntry { remote, grant, reason: no.reason() };
        self.receipts.refused(study, self.dated(), refused, ours);
    }

    fn keep(&self, key: Key, asked: (Option<StudyId>, Option<GrantId>), no: &No) -> Reference {
        match no {
            No::Archive(_) | No::NotWritten(_) | No::Refused(Refused::Read(_)) => {
                seldom!(error!(reason = %no, "refused somebody for a fault of this relay's own"));
            }
            // Apart: whoever holds one such study says so as often as they like.
            No::ManifestMissing | No::Full => {
                seldom!(error!(reason = %no, "refused somebody whom the ledger lets fetch"));
            }
            No::Refused(_) | No::SeriesGone | No::UsedUp | No::NotAMember(_) => {}
        }
        self.refusals.keep(self.clock(), key, asked, no.to_string())
    }

    /// The date for what is written down.
    fn dated(&self) -> Timestamp {
        self.timekeeper.dated(&self.store)
    }
}

impl No {
    /// Why, as the holder may know it.
    fn reason(&self) -> RefusalReason {
        match self {
            Self::Refused(refused) => refused.into(),
            Self::Archive(_) | Self::NotWritten(_) | Self::ManifestMissing | Self::Full => RefusalReason::Unavailable,
            Self::SeriesGone => RefusalReason::SeriesGone,
            Self::UsedUp => RefusalReason::Openings,
            Self::NotAMember(_) => RefusalReason::Member,
        }
    }
}

/// What is in the newer manifest and was not in the older one.
fn beyond(now: &SignedManifest, then: &SignedManifest) -> BTreeSet<StoredDigest> {
    fn all(signed: &SignedManifest) -> BTreeSet<StoredDigest> {
        let attachments = signed.manifest.attachments().iter().map(|one| one.stored);
        signed.manifest.instances().map(|one| one.stored).chain(attachments).collect()
    }
    all(now).difference(&all(then)).copied().collect()
}

impl Gate for RelayGate {
    fn admit(&self, remote: Key, hello: &SignedHello, shown: Option<&Introduction>) -> Result<Admission, Reference> {
        let grant = match &hello.hello.claim {
            clavicle_ledger::authorise::Claim::Holder => None,
            clavicle_ledger::authorise::Claim::Grant { grant, .. } => Some(*grant),
        };
        let study = hello.hello.study;
        self.decide(remote, hello, shown).map_err(|no| {
            self.write_down(remote, (study, grant), &no);
            self.keep(remote, (Some(study), grant), &no)
        })
    }

    fn renew(&self, authorisation: &Authorisation, shown: Option<&Introduction>) -> Result<Authorisation, Reference> {
        let asked = (Some(authorisation.study()), authorisation.grant());
        let renewed = self.view(|view, clock| authorisation.renew(view, clock));
        renewed
            .and_then(|renewed| self.check_member(&renewed, shown).map(|()| renewed))
            .map_err(|no| self.keep(authorisation.remote(), asked, &no))
    }

    fn refuse(&self, remote: Key, why: &'static str) -> Reference {
        self.refusals.keep(self.clock(), remote, (None, None), why.to_owned())
    }

    fn opened<'a>(
        &'a self,
        authorisation: &'a Authorisation,
        hello: &'a SignedHello,
    ) -> BoxFuture<'a, Result<SignedReceipt, Reference>> {
        Box::pin(async move {
            let (study, remote) = (authorisation.study(), authorisation.remote());
            let entry = Entry::opens(&self.member.chain, remote, hello, authorisation.current());
            let asked = AskedOpening {
                most: authorisation.terms().and_then(Terms::openings),
                resumes: hello.hello.resumes,
                until: authorisation.until().unwrap_or_default(),
            };
            let written = async { self.receipts.open_study(study, self.dated(), entry, asked)?.done().await };
            written.await.map_err(|error| {
                let no = match error {
                    ReceiptsError::NoOpeningLeft => No::UsedUp,
                    error => No::NotWritten(error),
                };
                if matches!(no, No::UsedUp) {
                    self.write_down(remote, (study, authorisation.grant()), &no);
                }
                self.keep(remote, (Some(study), authorisation.grant()), &no)
            })
        })
    }

    fn countersigned<'a>(
        &'a self,
        opened: &'a SignedReceipt,
        signature: Signature,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let receipt = &opened.receipt;
            self.receipts.countersign(receipt.study, receipt.sequence, signature)?.done().await?;
            Ok(())
        })
    }

    fn closed<'a>(&'a self, opened: &'a SignedReceipt, (items, bytes): (u32, u64), end: End) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let receipt = &opened.receipt;
            let entry = Entry::Closed(Closed { opened: receipt.sequence, items, bytes, end });
            let written = async { self.receipts.append(receipt.study, self.dated(), entry)?.done().await };
            if let Err(error) = written.await {
                seldom!(error!(%error, "what was sent could not be written down"));
            }
        })
    }

    fn tell<'a>(&'a self, opened: &'a SignedReceipt, whole: bool, reach: Reach) -> BoxFuture<'a, Result<(), BoxError>> {
        Box::pin(async move {
            let study = opened.receipt.study;
            let Some(entry) = opened.receipt.entry.opened() else {
                return Err("nobody was let in by this receipt".into());
            };
            let (notices, key) = (Arc::clone(&self.notices), entry.remote);
            let copy = Copy { reach, root: entry.root, whole, at: self.dated() };
            Ok(tokio::task::spawn_blocking(move || notices.keep(study, key, copy)).await??)
        })
    }

    fn receipts(&self, authorisation: &Authorisation, from: u64) -> Result<Option<Statement>, BoxError> {
        if authorisation.grant().is_some() {
            return Ok(None);
        }
        let proven = |hash: &_| self.store.inclusion(hash);
        Ok(Some(self.receipts.statement(authorisation.study(), from, proven)?))
    }

    fn open(&self, stored: &StoredDigest, size: u64) -> io::Result<Kept> {
        self.archive.read(stored, size)
    }

    fn damaged(&self, stored: &StoredDigest, error: &io::Error) {
        seldom!(error!(%error, "a file in the archive is not what it was; `clavicle-relay check` names it"));
        self.archive.found_damaged(*stored);
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    fn clock(&self) -> LocalTime {
        self.timekeeper.clocks().wall
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;
    use crate::seldom::LINES;

    /// A log in memory.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Strangers were refused 1,200 times a second, with a line each: 15 GB a day, on the disk that revocations are written to.
    #[test]
    fn a_flood_of_what_is_refused_does_not_fill_the_log() {
        let log = Log::default();
        let written = log.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
        let refusals = Refusals::default();
        tracing::subscriber::with_default(lines, || {
            for at in 0..2_000 {
                let at = LocalTime(Timestamp(at));
                let reference = refusals.keep(at, Key::from_bytes([7; 32]), (None, None), "no hello".to_owned());
                assert_eq!(refusals.find(&reference.to_string()).unwrap().at_ms, at.0.0);
            }
        });
        let lines = log.0.lock().unwrap().iter().filter(|byte| **byte == b'\n').count();
        // Twice as many where a minute ends meanwhile.
        assert!((1..=2 * LINES as usize).contains(&lines), "{lines} lines");
    }
}
