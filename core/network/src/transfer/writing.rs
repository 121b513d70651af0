//! What the recipient does with what came: verifies it, and keeps it. On a thread of its own, in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use clavicle_manifest::{StoredDigest, Subtrees};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::steering::Places;
use crate::pack::{Pack, PackError, Piece};

/// How many pieces wait for the disk, at most.
const PIECES: usize = 8;

/// A piece that came.
pub(super) struct Came {
    /// Its item's place.
    pub(super) place: u32,
    /// Its item's digest.
    pub(super) stored: StoredDigest,
    /// Which piece of the item.
    pub(super) number: u32,
    /// Whether it is its item's last.
    pub(super) is_last: bool,
    /// The item's subtrees, verified; none when the piece is the item.
    pub(super) subtrees: Option<Arc<Subtrees>>,
    /// Its bytes.
    pub(super) piece: Piece,
}

/// What became of all that came.
pub(super) struct Written {
    /// The pack, with it.
    pub(super) pack: Pack,
    /// Items that are not what was signed.
    pub(super) altered: BTreeSet<u32>,
}

/// The thread, as seen from the connection.
pub(super) struct Writer {
    came: mpsc::Sender<Came>,
    empty: mpsc::Receiver<Piece>,
    task: JoinHandle<Result<Written, PackError>>,
}

impl Writer {
    /// `whole` is told of each place when all of it can be read.
    pub(super) fn start(pack: Pack, whole: Arc<watch::Sender<Places>>) -> Self {
        let ((came, coming), (emptied, empty)) = (mpsc::channel(PIECES), mpsc::channel(PIECES));
        Self { came, empty, task: tokio::task::spawn_blocking(move || write(pack, coming, &emptied, &whole)) }
    }

    /// An empty piece with room for `len` bytes.
    pub(super) fn piece(&mut self, len: usize) -> Piece {
        self.empty.try_recv().unwrap_or_else(|_| Piece::with_room(len))
    }

    /// Hands a piece over; false when the thread has stopped, whose reason [`Writer::finish`] tells.
    pub(super) async fn hand(&self, came: Came) -> bool {
        self.came.send(came).await.is_ok()
    }

    /// Waits until everything is verified and on the disk; none when the thread fell over.
    pub(super) async fn finish(self) -> Option<Result<Written, PackError>> {
        let Self { came, empty, task } = self;
        drop((came, empty));
        task.await.ok()
    }
}

fn write(
    mut pack: Pack,
    mut coming: mpsc::Receiver<Came>,
    emptied: &mpsc::Sender<Piece>,
    whole: &watch::Sender<Places>,
) -> Result<Written, PackError> {
    let mut altered = BTreeSet::new();
    let mut flushing: Option<JoinHandle<()>> = None;
    while let Some(Came { place, stored, number, is_last, subtrees, mut piece }) = coming.blocking_recv() {
        let sound = match &subtrees {
            None => StoredDigest::of(piece.bytes()) == stored,
            Some(subtrees) => subtrees.verify(usize::try_from(number).unwrap_or(usize::MAX), piece.bytes()).is_ok(),
        };
        if sound {
            pack.keep(&stored, number, &mut piece)?;
            if is_last && !altered.contains(&place) {
                whole.send_modify(|whole| whole.insert(place));
            }
        } else {
            altered.insert(place);
        }
        piece.clear();
        emptied.try_send(piece).ok();
        // The disk works while the rest still comes: else all of it would be waited for at the end.
        if flushing.as_ref().is_none_or(JoinHandle::is_finished)
            && let Some(file) = pack.begin_flush()
        {
            flushing = Some(tokio::task::spawn_blocking(move || drop(file.sync_data())));
        }
    }
    pack.settle()?;
    Ok(Written { pack, altered })
}
