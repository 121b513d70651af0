//! The recipient's side: nothing is believed, and nothing has a name on the disk before it was verified.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clavicle_ledger::authorise::SignedHello;
use clavicle_ledger::encoding::Hex;
use clavicle_ledger::id::{ChainId, StudyId};
use clavicle_ledger::key::Key;
use clavicle_ledger::study::Study;
use clavicle_manifest::{StoredDigest, StoredHasher, VerifyError};
use iroh::Endpoint;
use iroh::endpoint::{Connection, ConnectionError, ReadError, ReadExactError, RecvStream, SendStream, VarInt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::message::{Answer, Lead, Listing, MAX_WANTS, Offer, PROTOCOL, Reference, Wants};
use super::{DONE, ENDED, MAX_SURPLUS, REFUSED, REVISED};
use crate::endpoint::{CONNECT, Remote, read_message, write_message};

/// How long the source may send nothing.
const STALLED: Duration = Duration::from_secs(30);
/// The most bytes taken from the connection at a time, and how many such pieces wait for the disk.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 64;
/// Why nothing, or not everything, was fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nobody there.
    #[error("the source cannot be reached at {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    Unreachable(Vec<SocketAddr>),
    /// No.
    #[error("the source refused{}", .0.map(|reference| format!("; its operator can look up why under {reference}")).unwrap_or_default())]
    Refused(Option<Reference>),
    /// No more.
    #[error(
        "the source stopped sending: the grant was revoked or has ended, or the source cannot reach the ledger any more"
    )]
    Ended,
    /// Another revision.
    #[error("the study was revised meanwhile; what has arrived is kept, try again")]
    Revised,
    /// The connection.
    #[error("the connection to the source broke; what has arrived is kept, try again")]
    Broken,
    /// Not as the protocol goes.
    #[error("the source does not keep to the protocol: {0}")]
    Protocol(&'static str),
    /// Another study.
    #[error("the source sent the manifest of another study, or another revision than the one on the ledger")]
    OtherStudy,
    /// Not the manifest on the ledger.
    #[error("the source's manifest is not to be believed")]
    Manifest(#[from] VerifyError),
    /// This side's disk.
    #[error("{path} could not be written")]
    Disk {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// Connects to a source with the endpoint of the key that was granted, and says hello.
///
/// # Errors
/// [`FetchError`].
pub async fn connect(endpoint: &Endpoint, source: &Remote, hello: &SignedHello) -> Result<Fetch, FetchError> {
    let unreachable = || FetchError::Unreachable(source.addresses.clone());
    let address = source.address().ok_or_else(unreachable)?;
    let connecting = timeout(CONNECT, endpoint.connect(address, PROTOCOL)).await;
    let connection = connecting.map_err(|_| unreachable())?.map_err(|_| unreachable())?;
    let opened = timeout(STALLED, connection.open_bi()).await.map_err(|_| FetchError::Broken)?;
    let (mut send, mut receive) = opened.map_err(|_| why(&connection))?;
    write_message(&mut send, hello, STALLED).await.map_err(|_| why(&connection))?;
    match read_message(&mut receive, STALLED).await {
        Ok(Answer::Welcome(offer)) => Ok(Fetch { connection, send, receive, offer: *offer }),
        Ok(Answer::Refused(reference)) => Err(FetchError::Refused(Some(reference))),
        Err(error) if error.is_wrong() => Err(FetchError::Protocol("its answer cannot be read")),
        Err(_) => Err(why(&connection)),
    }
}

/// What the end of a connection means.
fn why(connection: &Connection) -> FetchError {
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
}

/// The same, when the manifest was found to be the one on the ledger.
#[derive(Debug)]
pub struct Verified(Fetch);

/// Where an item is to go.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its place in [`Listing::items`].
    pub place: u32,
    /// The file to make; its folder exists.
    pub path: PathBuf,
}

/// What became of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on the disk as it was signed.
    Intact,
    /// What came is not what was signed; it was thrown away.
    Altered {
        /// Bytes that came.
        received: u64,
        /// What they hash to.
        stored: StoredDigest,
    },
    /// The source does not have it, or does not send it on these terms.
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
    /// Items that came to their end.
    pub items: usize,
    /// Bytes that came.
    pub bytes: u64,
}

impl Fetch {
    /// What the source says there is; not to be believed yet.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.offer
    }

    /// Verifies the manifest: of this study, of the revision and root that `record`, proven from the ledger, has, and signed by the
    /// source's operational key.
    ///
    /// # Errors
    /// [`FetchError::OtherStudy`], [`FetchError::Manifest`].
    pub fn verify(
        self,
        chain: &ChainId,
        study: StudyId,
        record: &Study,
        operational: &Key,
    ) -> Result<Verified, FetchError> {
        let header = self.offer.manifest.header();
        if header.study != study || !header.is_of(chain, &self.offer.salt) || !header.agrees_with(record) {
            return Err(FetchError::OtherStudy);
        }
        match &self.offer.manifest {
            Listing::Whole(signed) => signed.verify_is(chain, operational, &record.manifest_root)?,
            Listing::Part(signed) => signed.verify_is(chain, operational, &record.manifest_root)?,
        }
        Ok(Verified(self))
    }
}

impl Verified {
    /// What there is.
    #[must_use]
    pub const fn offer(&self) -> &Offer {
        &self.0.offer
    }

    /// Fetches items, each into its file, verified before it has its name and on the disk when this returns. `progress` is told after every piece.
    ///
    /// # Errors
    /// [`FetchError`]; what had arrived whole by then is on the disk.
    pub async fn fetch(
        &mut self,
        wanted: &[Place],
        mut progress: impl FnMut(Progress),
    ) -> Result<Vec<Got>, FetchError> {
        let paths: BTreeSet<&Path> = wanted.iter().map(|place| place.path.as_path()).collect();
        if paths.len() != wanted.len() {
            return Err(FetchError::Protocol("two of its items would have the same name"));
        }
        let (mut got, mut done) = (Vec::with_capacity(wanted.len()), Progress::default());
        let items: Vec<_> = self.0.offer.manifest.items().iter().map(|item| (item.size(), item.stored())).collect();
        let folders = paths.into_iter().filter_map(Path::parent).map(Path::to_owned).collect();
        let (pieces, writer) = Writer::start(folders);
        let taken: Result<(), FetchError> = async {
            for batch in wanted.chunks(MAX_WANTS) {
                let wants = Wants::of(batch.iter().map(|place| place.place));
                let asked = write_message(&mut self.0.send, &wants, STALLED).await;
                asked.map_err(|_| why(&self.0.connection))?;
                for place in batch {
                    got.push(self.take(place, &items, &pieces, (&mut done, &mut progress)).await?);
                }
            }
            Ok(())
        }
        .await;
        // Its end is the writer's.
        drop(pieces);
        let mut verdicts = writer.await.map_err(|_| FetchError::Broken)??.into_iter();
        taken?;
        for one in &mut got {
            if one.outcome == Outcome::Intact {
                one.outcome = verdicts.next().ok_or(FetchError::Broken)?;
            }
        }
        Ok(got)
    }

    async fn take(
        &mut self,
        wanted: &Place,
        items: &[(u64, StoredDigest)],
        pieces: &mpsc::Sender<Piece>,
        (done, progress): (&mut Progress, &mut impl FnMut(Progress)),
    ) -> Result<Got, FetchError> {
        let place = wanted.place;
        let item = usize::try_from(place).ok().and_then(|at| items.get(at).copied());
        let (size, stored) = item.ok_or(FetchError::Protocol("there is no such place in its manifest"))?;
        let mut lead = [0; Lead::LEN];
        let read = timeout(STALLED, self.0.receive.read_exact(&mut lead)).await;
        read.map_err(|_| FetchError::Broken)?.map_err(|_: ReadExactError| why(&self.0.connection))?;
        let lead = Lead::from_bytes(lead);
        if lead.place != place {
            return Err(FetchError::Protocol("it sent another item than the one asked for"));
        }
        let Some(len) = lead.len else {
            done.items = done.items.saturating_add(1);
            progress(*done);
            return Ok(Got { place, outcome: Outcome::Absent });
        };
        if len > size.saturating_add(MAX_SURPLUS) {
            return Err(FetchError::Protocol("it announced an item far larger than the manifest says"));
        }
        let stopped = |_| FetchError::Broken;
        pieces.send(Piece::Begin(wanted.path.clone(), size, stored)).await.map_err(stopped)?;
        let mut left = len;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let read = timeout(STALLED, self.0.receive.read_chunk(most)).await.map_err(|_| FetchError::Broken)?;
            let piece = read.map_err(|_: ReadError| why(&self.0.connection))?.ok_or_else(|| why(&self.0.connection))?;
            left = left.saturating_sub(piece.len() as u64);
            done.bytes = done.bytes.saturating_add(piece.len() as u64);
            pieces.send(Piece::Bytes(piece.to_vec())).await.map_err(stopped)?;
            progress(*done);
        }
        pieces.send(Piece::End).await.map_err(stopped)?;
        done.items = done.items.saturating_add(1);
        progress(*done);
        // What it really is, the writer says at the end.
        Ok(Got { place, outcome: Outcome::Intact })
    }

    /// Tells the source that all is there.
    pub async fn close(mut self) {
        self.0.send.finish().ok();
        self.0.connection.close(VarInt::from_u32(DONE), b"");
    }
}

/// What the writer is told.
enum Piece {
    Begin(PathBuf, u64, StoredDigest),
    Bytes(Vec<u8>),
    End,
}

/// Hashes and writes on a thread of its own, in order.
struct Writer;

impl Writer {
    fn start(
        folders: BTreeSet<PathBuf>,
    ) -> (mpsc::Sender<Piece>, tokio::task::JoinHandle<Result<Vec<Outcome>, FetchError>>) {
        let (sender, receiver) = mpsc::channel(PIECES);
        (sender, tokio::task::spawn_blocking(move || Self::run(&folders, receiver)))
    }

    fn run(folders: &BTreeSet<PathBuf>, mut pieces: mpsc::Receiver<Piece>) -> Result<Vec<Outcome>, FetchError> {
        folders.iter().for_each(|folder| sweep(folder));
        let (mut outcomes, mut coming) = (Vec::new(), None);
        while let Some(piece) = pieces.blocking_recv() {
            match (piece, &mut coming) {
                (Piece::Begin(path, size, stored), _) => coming = Some(Coming::new(path, size, stored)?),
                (Piece::Bytes(bytes), Some(file)) => file.take(&bytes)?,
                (Piece::End, _) => outcomes.extend(coming.take().map(Coming::finish).transpose()?),
                (Piece::Bytes(_), None) => {}
            }
        }
        Ok(outcomes)
    }
}

/// How the names of files end that are on their way.
const PART: &str = ".clavicle-part";

/// Removes what fetches left that were killed. Those that are still going on hold a lock on theirs.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_part = entry.file_name().to_str().is_some_and(|name| name.ends_with(PART));
        if is_part && entry.file_type().is_ok_and(|found| found.is_file()) {
            let left = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
            if left {
                fs::remove_file(entry.path()).ok();
            }
        }
    }
}

/// A file on its way. It goes with this, unless it was given its name.
struct Coming {
    path: PathBuf,
    part: PathBuf,
    file: File,
    size: u64,
    stored: StoredDigest,
    hasher: StoredHasher,
}

impl Coming {
    /// Makes a file that was not there, under a name that nobody could know: no link is followed, and two fetches into one folder
    /// do not write one file.
    fn new(path: PathBuf, size: u64, stored: StoredDigest) -> Result<Self, FetchError> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| disk(&path, io::Error::other(error)))?;
        let part = path.with_file_name(format!(".{}{PART}", Hex(&random)));
        let file = File::create_new(&part).map_err(|error| disk(&part, error))?;
        file.try_lock().ok();
        Ok(Self { path, part, file, size, stored, hasher: StoredHasher::new() })
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.hasher.update(bytes);
        self.file.write_all(bytes).map_err(|error| disk(&self.part, error))
    }

    fn finish(mut self) -> Result<Outcome, FetchError> {
        let (received, stored, _) = std::mem::take(&mut self.hasher).finish();
        if (received, stored) != (self.size, self.stored) {
            return Ok(Outcome::Altered { received, stored });
        }
        let named = self.file.sync_all().and_then(|()| fs::rename(&self.part, &self.path));
        named.map_err(|error| disk(&self.path, error))?;
        Ok(Outcome::Intact)
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        fs::remove_file(&self.part).ok();
    }
}

fn disk(path: &Path, error: io::Error) -> FetchError {
    FetchError::Disk { path: path.to_owned(), error }
}
