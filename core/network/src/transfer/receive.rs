//! The recipient's side: nothing is believed, and nothing is kept before it was verified.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clavicle_ledger::authorise::{Claim, SignedHello};
use clavicle_ledger::id::{ChainId, ManifestRoot, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::receipt::{Entry, SignedReceipt, Statement};
use clavicle_ledger::study::Study;
use clavicle_letters::credential::Introduction;
use clavicle_manifest::{MAX_SUBTREES, StoredDigest, Subtrees, VerifyError};
use iroh::Endpoint;
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream, VarInt};
use tokio::time::timeout;

use super::message::{Answer, Ask, Lead, Listing, Offer, PROTOCOL, Reach, Reference, Want, Wants};
use super::steering::{Missing, Pace, Places, Queue, Steering};
use super::writing::{Came, Writer};
use super::{DONE, ENDED, REFUSED, REVISED};
use crate::endpoint::{self, Remote, read_message, write_message};
use crate::pack::{MAX_PIECE, Pack, PackError, piece_len, pieces};

/// How long the source may send nothing.
pub(super) const STALLED: Duration = Duration::from_secs(30);
/// The most bytes that are taken from the connection at a time.
const STEP: usize = 64 * 1024;

/// More is asked for as long as less than so many bytes are on their way: enough for 80 ms at 100 MB/s.
const AHEAD: u64 = 8 << 20;
/// The most items that are on their way.
const MOST_AHEAD: usize = 256;

/// Why nothing, or not everything, was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody there.
    #[error("the hospital that has the study cannot be reached; try again later, or from another network")]
    Unreachable(Vec<SocketAddr>),
    /// No.
    #[error("the hospital refused{}", .0.map(|reference| format!("; its operator can look up why under {reference}")).unwrap_or_default())]
    Refused(Option<Reference>),
    /// No more.
    #[error("the hospital stopped sending: the grant was revoked or has ended, or it cannot reach the ledger any more")]
    Ended,
    /// Another revision.
    #[error("the study was revised meanwhile; what has arrived is kept, try again")]
    Revised,
    /// Whoever asked for it wants it no more.
    #[error("it was cancelled; what has arrived is kept, and does not come again")]
    Cancelled,
    /// The connection.
    #[error("the connection to the hospital broke; what has arrived is kept, try again")]
    Broken,
    /// Not as the protocol goes.
    #[error("the hospital does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// Another study.
    #[error("the hospital sent the manifest of another study, or another revision than the one on the ledger")]
    OtherStudy,
    /// Not the manifest on the ledger.
    #[error("the hospital's manifest is not to be believed")]
    Manifest(#[from] VerifyError),
    /// The receipt says something else.
    #[error("the hospital's receipt does not say what happened; nothing was fetched")]
    Receipt,
    /// This side's disk.
    #[error(transparent)]
    Pack(#[from] PackError),
}

/// Connects to a source with the endpoint of the key that was granted, and says hello.
///
/// # Errors
/// [`FetchError`].
pub async fn connect(endpoint: &Endpoint, source: &Remote, hello: &SignedHello) -> Result<Fetch, FetchError> {
    connect_as(endpoint, source, hello, None).await
}

/// The same; where the Terms ask for a member of a team, `shown` says who vouches for the one who signed the hello. The
/// source waits for it there, and nowhere else.
///
/// # Errors
/// [`FetchError`].
pub async fn connect_as(
    endpoint: &Endpoint,
    source: &Remote,
    hello: &SignedHello,
    shown: Option<&Introduction>,
) -> Result<Fetch, FetchError> {
    let unreachable = || FetchError::Unreachable(source.addresses.clone());
    let connection = endpoint::connect(endpoint, source, PROTOCOL).await.ok_or_else(unreachable)?;
    let opened = timeout(STALLED, connection.open_bi()).await.map_err(|_| FetchError::Broken)?;
    let (mut send, mut receive) = opened.map_err(|_| why(&connection))?;
    write_message(&mut send, hello, STALLED).await.map_err(|_| why(&connection))?;
    if hello.hello.claim.members_of().is_some()
        && let Some(shown) = shown
    {
        write_message(&mut send, shown, STALLED).await.map_err(|_| why(&connection))?;
    }
    match read_message(&mut receive, STALLED).await {
        Ok(Answer::Welcome(receipt, offer)) => {
            Ok(Fetch { connection, send, receive, offer: *offer, receipt: *receipt, hello: hello.clone() })
        }
        Ok(Answer::Refused(reference)) => Err(FetchError::Refused(Some(reference))),
        Err(error) if error.is_wrong() => Err(FetchError::Protocol("its answer cannot be read")),
        Err(_) => Err(why(&connection)),
    }
}

/// What the end of a connection means.
pub(super) fn why(connection: &Connection) -> FetchError {
    let code = match connection.close_reason() {
        Some(ConnectionError::ApplicationClosed(close)) => u32::try_from(close.error_code.into_inner()).ok(),
        _ => None,
    };
    match code {
        Some(REFUSED) => FetchError::Refused(None),
        Some(ENDED) => FetchError::Ended,
        Some(REVISED) => FetchError::Revised,
        _ => FetchError::Broken,
    }
}

/// A source that let us in, and what it says there is.
#[derive(Debug)]
pub struct Fetch {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    offer: Offer,
    receipt: SignedReceipt,
    hello: SignedHello,
}

/// The same, when the manifest was found to be the one on the ledger, and the receipt to say what happened.
#[derive(Debug)]
pub struct Verified {
    fetch: Fetch,
    /// The signature on the receipt, until it is sent with what is asked for first.
    countersignature: Option<Signature>,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the pack as it was signed.
    Intact,
    /// What came is not what was signed; it was thrown away.
    Altered,
    /// The source does not have it as it was signed, or does not send it on these terms.
    Absent,
}

/// An item that was asked for, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    /// Its place in [`Listing::items`].
    pub place: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Items that were there already or came to their end.
    pub items: usize,
    /// Bytes that came.
    pub bytes: u64,
}

/// How far it is, and who is told.
struct Told<'a, P> {
    done: Progress,
    progress: &'a mut P,
}

/// What was asked for and has not come, in the order in which it does.
#[derive(Default)]
struct Underway {
    items: VecDeque<Missing>,
    bytes: u64,
}

impl Underway {
    fn pop(&mut self) -> Option<Missing> {
        let next = self.items.pop_front()?;
        self.bytes = self.bytes.saturating_sub(next.bytes);
        Some(next)
    }
}

impl Fetch {
    /// What the source says there is; not to be believed yet.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Verifies the manifest: of this study, of the revision and root that `record`, proven from the ledger, has, and signed by the
    /// source's operational key. Verifies and signs the receipt: that `key`, the connection's, was let in to it by what it said.
    ///
    /// # Errors
    /// [`FetchError::OtherStudy`], [`FetchError::Manifest`], [`FetchError::Receipt`].
    pub fn verify(
        self,
        chain: &ChainId,
        study: StudyId,
        record: &Study,
        operational: &Key,
        key: &SecretKey,
    ) -> Result<Verified, FetchError> {
        let header = self.offer.manifest.header();
        if header.study != study || !header.is_of(chain, &self.offer.salt) || !header.agrees_with(record) {
            return Err(FetchError::OtherStudy);
        }
        match &self.offer.manifest {
            Listing::Whole(signed) => signed.verify_is(chain, operational, &record.manifest_root)?,
            Listing::Part(signed) => signed.verify_is(chain, operational, &record.manifest_root)?,
        }
        let receipt = &self.receipt.receipt;
        let is_signed = self.receipt.verify(chain, self.hello.hello.source, &[*operational]).is_ok();
        let current = (record.revision, record.manifest_root);
        if !is_signed || receipt.study != study || !is_due(chain, key.public(), &self.hello, current, &receipt.entry) {
            return Err(FetchError::Receipt);
        }
        let countersignature = Some(receipt.digest(chain).countersign(chain, key));
        Ok(Verified { fetch: self, countersignature })
    }
}

/// Whether a receipt says what was said, and counts as the terms do: which opening it is the source knows.
fn is_due(chain: &ChainId, remote: Key, hello: &SignedHello, current: (u32, ManifestRoot), written: &Entry) -> bool {
    let mut due = Entry::opens(chain, remote, hello, current);
    let (Some(opening), Some(said)) = (due.opening_mut(), written.opening()) else { return false };
    (opening.number, opening.resumes) = (said.number, said.resumes);
    let is_counted = match &hello.hello.claim {
        Claim::Holder => said.number == 0 && said.resumes.is_none(),
        Claim::Grant { terms, .. } => {
            let most = terms.openings().unwrap_or(u32::MAX);
            (1..=most).contains(&said.number) && (said.resumes.is_none() || hello.hello.resumes.is_some())
        }
    };
    is_counted && due == *written
}

impl Verified {
    /// The source's receipt of this opening.
    #[must_use]
    pub const fn receipt(&self) -> &SignedReceipt {
        &self.fetch.receipt
    }

    /// What there is.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.fetch.offer
    }

    /// Fetches the items at these places into a pack, in this order, except for what the pack has. All of it is verified, and on the disk when this
    /// returns. `progress` is told whenever some more has come.
    ///
    /// # Errors
    /// [`FetchError`]; what had arrived by then is in the pack.
    pub async fn fetch(
        &mut self,
        pack: Pack,
        wanted: &[u32],
        progress: impl FnMut(Progress),
    ) -> Result<(Pack, Vec<Got>), FetchError> {
        self.fetch_as(pack, wanted, Steering::default(), progress).await
    }

    /// The same; meanwhile others say whether it goes on and what comes first, and are told which places are whole. These can be read from the
    /// [`PackReader`](crate::pack::PackReader) at once.
    ///
    /// # Errors
    /// [`FetchError`]; what had arrived by then is in the pack. [`FetchError::Broken`] too when it is paused for so long that the source hangs up.
    pub async fn fetch_as(
        &mut self,
        pack: Pack,
        wanted: &[u32],
        steering: Steering,
        mut progress: impl FnMut(Progress),
    ) -> Result<(Pack, Vec<Got>), FetchError> {
        let items: Vec<_> = self.fetch.offer.manifest.items().iter().map(|item| (item.stored(), item.size())).collect();
        let item = |place: u32| {
            let item = usize::try_from(place).ok().and_then(|place| items.get(place).copied());
            item.ok_or(FetchError::Protocol("there is no such place in its manifest"))
        };
        let (mut got, mut missing, mut whole) = (Vec::with_capacity(wanted.len()), BTreeMap::new(), Places::default());
        for &place in wanted {
            let (stored, size) = item(place)?;
            let from = pack.held(&stored, size);
            got.push(Got { place, outcome: Outcome::Intact });
            if from < pieces(size) {
                let bytes = size.saturating_sub(u64::from(from).saturating_mul(MAX_PIECE as u64));
                missing.insert(place, Missing { want: Want { place, from }, stored, size, bytes });
            } else {
                whole.insert(place);
            }
        }
        let mut told = Told { done: Progress { items: whole.len(), bytes: 0 }, progress: &mut progress };
        (told.progress)(told.done);
        steering.whole().send_replace(whole);
        let mut writer = Writer::start(pack, Arc::clone(steering.whole()));
        let (ends, mut absent) = (steering.clone().ends(), Vec::new());
        let taken = tokio::select! {
            biased;
            () = ends => Err(FetchError::Cancelled),
            taken = self.take_all(Queue::new(missing, wanted), steering, &mut writer, &mut told, &mut absent) => taken,
        };
        let written = writer.finish().await.ok_or(FetchError::Broken)??;
        taken?;
        for one in &mut got {
            if written.altered.contains(&one.place) {
                one.outcome = Outcome::Altered;
            } else if absent.contains(&one.place) {
                one.outcome = Outcome::Absent;
            }
        }
        Ok((written.pack, got))
    }

    /// Asks for what is wanted, a little ahead of what comes, and takes it. What is not to be had is in `absent`.
    async fn take_all(
        &mut self,
        mut queue: Queue<'_>,
        mut steering: Steering,
        writer: &mut Writer,
        told: &mut Told<'_, impl FnMut(Progress)>,
        absent: &mut Vec<u32>,
    ) -> Result<(), FetchError> {
        let mut coming = Underway::default();
        let mut demand = Some(steering.begin());
        let mut is_paused = false;
        loop {
            if let Some(demand) = demand.take().or_else(|| steering.changed_to()) {
                is_paused = demand.pace == Pace::Paused;
                queue.put_first(self.fetch.offer.manifest.places_of(&demand.first));
            }
            if !is_paused {
                self.ask_ahead(&mut queue, &mut coming).await?;
            }
            if let Some(missing) = coming.pop() {
                // Before it is taken, so that the source has something to go on with while it comes.
                if !is_paused {
                    self.ask_ahead(&mut queue, &mut coming).await?;
                }
                if !self.take(missing, writer, told).await? {
                    absent.push(missing.want.place);
                }
            } else if queue.is_empty() {
                return Ok(());
            } else {
                tokio::select! {
                    is_steered = steering.turns() => if !is_steered {
                        // Nobody is left who could let it go on.
                        return Err(FetchError::Cancelled);
                    },
                    _ = self.fetch.connection.closed() => return Err(why(&self.fetch.connection)),
                }
            }
        }
    }

    /// Asks for more, until enough is on its way.
    async fn ask_ahead(&mut self, queue: &mut Queue<'_>, coming: &mut Underway) -> Result<(), FetchError> {
        while coming.bytes < AHEAD && coming.items.len() < MOST_AHEAD {
            let ask = queue.next_ask();
            if ask.is_empty() {
                break;
            }
            self.ask(&Ask::Items(Wants::of(ask.iter().map(|missing| missing.want)))).await?;
            coming.bytes = ask.iter().fold(coming.bytes, |bytes, missing| bytes.saturating_add(missing.bytes));
            coming.items.extend(ask);
        }
        Ok(())
    }

    /// A holder asks for the study's receipts from a sequence on, as many as go into one answer. They are not to be believed yet.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn receipts(&mut self, from: u64) -> Result<Statement, FetchError> {
        self.ask(&Ask::Receipts { from }).await?;
        match read_message(&mut self.fetch.receive, STALLED).await {
            Ok(statement) => Ok(statement),
            Err(error) if error.is_wrong() => Err(FetchError::Protocol("its statement cannot be read")),
            Err(_) => Err(why(&self.fetch.connection)),
        }
    }

    /// Says where to be told what becomes of the study. Once.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn tell(&mut self, reach: Reach) -> Result<(), FetchError> {
        self.ask(&Ask::Tell(reach)).await
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), FetchError> {
        let Fetch { send, connection, .. } = &mut self.fetch;
        if let Some(signature) = self.countersignature.take() {
            let said = write_message(send, &Ask::Countersigned(signature), STALLED).await;
            said.map_err(|_| why(connection))?;
        }
        write_message(send, ask, STALLED).await.map_err(|_| why(connection))
    }

    /// Takes one item; false when it is not to be had.
    async fn take(
        &mut self,
        Missing { want: Want { place, from }, stored, size, bytes: _ }: Missing,
        writer: &mut Writer,
        Told { done, progress }: &mut Told<'_, impl FnMut(Progress)>,
    ) -> Result<bool, FetchError> {
        let mut lead = [0; Lead::LEN];
        self.read(&mut lead).await?;
        let lead = Lead::from_bytes(lead).ok_or(FetchError::Protocol("what stands in front of an item is wrong"))?;
        if lead.place != place {
            return Err(FetchError::Protocol("it sent another item than the one asked for"));
        }
        let mut there = lead.follows;
        let subtrees = if there { self.subtrees(size, &stored).await? } else { None };
        let mut number = from;
        while there && number < pieces(size) {
            if subtrees.is_some() {
                let mut follows = [0];
                self.read(&mut follows).await?;
                there = follows == [1];
                if !there {
                    break;
                }
            }
            let len = usize::try_from(piece_len(size, number)).unwrap_or(MAX_PIECE);
            let mut piece = writer.piece(len);
            while piece.len() < len {
                let step = STEP.min(len - piece.len());
                self.read(piece.grow(step)).await?;
                done.bytes = done.bytes.saturating_add(step as u64);
                progress(*done);
            }
            // When the writer has stopped, it says why at the end.
            let is_last = number.saturating_add(1) == pieces(size);
            if !writer.hand(Came { place, stored, number, is_last, subtrees: subtrees.clone(), piece }).await {
                return Err(FetchError::Broken);
            }
            number = number.saturating_add(1);
        }
        done.items = done.items.saturating_add(1);
        progress(*done);
        Ok(there)
    }

    /// Reads the subtrees of a large item, and verifies that they are below its digest.
    async fn subtrees(&mut self, size: u64, stored: &StoredDigest) -> Result<Option<Arc<Subtrees>>, FetchError> {
        const WRONG: FetchError = FetchError::Protocol("what it says of the parts of an item is not what was signed");
        let due = usize::try_from(Subtrees::due(size)).ok().filter(|due| *due <= MAX_SUBTREES).ok_or(WRONG)?;
        if due == 0 {
            return Ok(None);
        }
        let mut all = Vec::with_capacity(due);
        for _ in 0..due {
            let mut one = [0; 32];
            self.read(&mut one).await?;
            all.push(one);
        }
        let subtrees = Subtrees::from_hashes(all);
        subtrees.check(size, stored).map_err(|_| WRONG)?;
        Ok(Some(Arc::new(subtrees)))
    }

    async fn read(&mut self, into: &mut [u8]) -> Result<(), FetchError> {
        let read = timeout(STALLED, self.fetch.receive.read_exact(into)).await;
        read.map_err(|_| FetchError::Broken)?.map_err(|_| why(&self.fetch.connection))
    }

    /// Tells the source that all is there.
    pub async fn close(mut self) {
        self.fetch.send.finish().ok();
        self.fetch.connection.close(VarInt::from_u32(DONE), b"");
    }
}
