//! What waits in `incoming/`, and whose it is: bounded in all and for each sender. When the disk is nearly full, what each address sent in a day is, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clavicle_dimse::{Allowance, Refusal, RefusalStatus};

use crate::room::{DayShares, Room, Sender, Shares};

/// What an object costs at least of the room for all that wait.
const LEAST: u64 = 64 << 10;
/// After how many bytes it is looked again whether the disk has room.
const STEP: u64 = 1 << 20;

/// What waits, counted.
#[derive(Debug)]
pub(super) struct Incoming {
    room: Room,
    counted: Mutex<Counted>,
}

#[derive(Debug)]
struct Counted {
    shares: Shares,
    /// What was acknowledged.
    day: DayShares,
    /// Whose each file is; nobody's that was there at the start.
    files: BTreeMap<PathBuf, (Option<Sender>, u64)>,
}

impl Incoming {
    /// What waits in `folder`, which need not be there, for `limit` bytes.
    pub(super) fn open(folder: &Path, limit: u64, room: Room) -> Self {
        let mut counted =
            Counted { shares: Shares::new(limit, LEAST), day: DayShares::new(Instant::now()), files: BTreeMap::new() };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let size = entry.metadata().map(|found| found.len()).unwrap_or(0);
            counted.shares.add(None, size);
            counted.files.insert(entry.path(), (None, size));
        }
        Self { room, counted: Mutex::new(counted) }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Each change of it is one of both, and nothing in between can panic.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for an object of a sender's.
    pub(super) fn arriving(self: &Arc<Self>, sender: Sender) -> Result<Arrival, Refusal> {
        let mut arrival = Arrival { incoming: Arc::clone(self), sender, bytes: 0, unlooked: STEP };
        arrival.more(0)?;
        Ok(arrival)
    }

    /// An object is whole, and waits.
    pub(super) fn came(&self, path: &Path, sender: Sender, bytes: u64) {
        let mut counted = self.counted();
        counted.shares.add(Some(&sender), bytes);
        counted.files.insert(path.to_owned(), (Some(sender), bytes));
    }

    /// A sender was told that its object is taken in.
    pub(super) fn acknowledged(&self, sender: &Sender, bytes: u64) {
        self.counted().day.add(sender, bytes.max(LEAST), Instant::now());
    }

    /// Whose a file is, as far as known.
    pub(super) fn sender(&self, path: &Path) -> Option<Sender> {
        self.counted().files.get(path)?.0.clone()
    }

    /// A file waits no more.
    pub(super) fn gone(&self, path: &Path) {
        let mut counted = self.counted();
        if let Some((sender, bytes)) = counted.files.remove(path) {
            counted.shares.remove(sender.as_ref(), bytes);
        }
    }
}

/// Room for an object that arrives.
pub(super) struct Arrival {
    incoming: Arc<Incoming>,
    sender: Sender,
    bytes: u64,
    /// Bytes since it was looked whether the disk has room.
    unlooked: u64,
}

impl Allowance for Arrival {
    fn more(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.unlooked = self.unlooked.saturating_add(bytes);
        if self.unlooked >= STEP {
            self.unlooked = 0;
            let refuse = |why| Err(Refusal::new(RefusalStatus::OutOfResources, why));
            // When nobody can tell, there is none.
            let Some(space) = self.incoming.room.space().ok().filter(|space| space.has(STEP)) else {
                return refuse("the disk has no room for more images");
            };
            let mut counted = self.incoming.counted();
            // What arrives and waits besides, and all of this.
            let more = counted.shares.of_address(&self.sender).saturating_add(bytes);
            if !counted.day.fits(&self.sender, more, space, Instant::now()) {
                return refuse("the disk is nearly full, and the rest of it is shared");
            }
        }
        let mut counted = self.incoming.counted();
        if self.bytes > 0 {
            counted.shares.remove(Some(&self.sender), self.bytes);
        }
        let all = self.bytes.saturating_add(bytes).max(1);
        let fits = counted.shares.fits(&self.sender, all);
        if fits {
            self.bytes = all;
        }
        if self.bytes > 0 {
            counted.shares.add(Some(&self.sender), self.bytes);
        }
        if fits {
            Ok(())
        } else {
            Err(Refusal::new(RefusalStatus::OutOfResources, "too much from here waits to be taken in; try again later"))
        }
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.incoming.counted().shares.remove(Some(&self.sender), self.bytes);
        }
    }
}
