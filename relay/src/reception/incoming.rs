//! What waits in `incoming/`, and whose it is: bounded in all and for each sender. When the disk is nearly full, what each address sent in a day is, too.
//!
//! Beside each object stands who sent it, `….from`: should a kill come before it is taken in or put aside, that is not forgotten.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clavicle_dimse::{Allowance, Refusal, RefusalStatus};

use crate::room::{DayShares, Room, Sender, Shares};

/// What the names of files end with that say who sent an object.
const FROM: &str = "from";
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
    /// Whose each file is, as far as known, by its name in the folder: whoever receives objects and whoever gathers
    /// them may call the folder differently.
    files: BTreeMap<OsString, (Option<Sender>, u64)>,
}

fn name_of(path: &Path) -> OsString {
    path.file_name().unwrap_or_default().to_owned()
}

impl Incoming {
    /// What waits in `folder`, which need not be there, for `limit` bytes.
    pub(super) fn open(folder: &Path, limit: u64, room: Room) -> Self {
        let mut counted =
            Counted { shares: Shares::new(limit, LEAST), day: DayShares::new(Instant::now()), files: BTreeMap::new() };
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == FROM) {
                if !path.with_extension("dcm").exists() {
                    // Its object is gone since.
                    drop(fs::remove_file(path));
                }
                continue;
            }
            let size = entry.metadata().map(|found| found.len()).unwrap_or(0);
            let said = fs::read_to_string(path.with_extension(FROM)).ok();
            let sender = said.and_then(|line| Sender::of_line(line.trim_end_matches('\n')));
            counted.shares.add(sender.as_ref(), size);
            counted.files.insert(name_of(&path), (sender, size));
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
        // Where it cannot be written, a kill has it forgotten, and nothing else.
        drop(fs::write(path.with_extension(FROM), format!("{}\n", sender.line())));
        let mut counted = self.counted();
        counted.shares.add(Some(&sender), bytes);
        counted.files.insert(name_of(path), (Some(sender), bytes));
    }

    /// A sender was told that its object is taken in.
    pub(super) fn acknowledged(&self, sender: &Sender, bytes: u64) {
        self.counted().day.add(sender, bytes.max(LEAST), Instant::now());
    }

    /// Whose a file is, as far as known.
    pub(super) fn sender(&self, path: &Path) -> Option<Sender> {
        self.counted().files.get(&name_of(path))?.0.clone()
    }

    /// A file waits no more.
    pub(super) fn gone(&self, path: &Path) {
        let mut counted = self.counted();
        if let Some((sender, bytes)) = counted.files.remove(&name_of(path)) {
            counted.shares.remove(sender.as_ref(), bytes);
        }
        drop(counted);
        drop(fs::remove_file(path.with_extension(FROM)));
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::room::DiskSettings;

    #[test]
    fn who_sent_what_is_known_after_a_kill_and_what_is_gone_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::at(folder.path(), &DiskSettings { reserve_mib: Some(0), ..DiskSettings::default() });
        let open = || Incoming::open(folder.path(), 1 << 30, room.clone());
        let sender = Sender::new(IpAddr::from([10, 0, 0, 7]), "CT 1");
        let (one, other) = (folder.path().join("1.dcm"), folder.path().join("2.dcm"));
        let incoming = open();
        for path in [&one, &other] {
            fs::write(path, "x").unwrap();
            incoming.came(path, sender.clone(), 1);
        }
        // Put aside, and killed before that was noted.
        fs::remove_file(&other).unwrap();
        let incoming = open();
        assert_eq!((incoming.sender(&one), incoming.sender(&other)), (Some(sender), None));
        fs::remove_file(&one).unwrap();
        incoming.gone(&one);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    /// A relay whose `--dir` was relative forgot who sent what, and counted what it had taken in as waiting, until
    /// nobody had room any more.
    #[test]
    fn the_folder_may_be_called_differently_by_who_receives_and_who_gathers() {
        let folder = tempfile::tempdir().unwrap();
        let room = Room::at(folder.path(), &DiskSettings { reserve_mib: Some(0), ..DiskSettings::default() });
        let spool = folder.path().join("incoming");
        fs::create_dir(&spool).unwrap();
        let (received, gathered) = (spool.join("1.dcm"), folder.path().join("incoming/../incoming/1.dcm"));
        let sender = Sender::new(IpAddr::from([10, 0, 0, 7]), "CT 1");
        let incoming = Arc::new(Incoming::open(&spool, 4 * LEAST, room));
        for _ in 0..64 {
            fs::write(&received, "x").unwrap();
            let arrival = incoming.arriving(sender.clone());
            drop(arrival.unwrap_or_else(|why| panic!("it is as if earlier ones waited: {why:?}")));
            incoming.came(&received, sender.clone(), LEAST);
            assert_eq!(incoming.sender(&gathered), Some(sender.clone()));
            incoming.gone(&gathered);
        }
        assert_eq!(incoming.sender(&received), None);
    }
}
