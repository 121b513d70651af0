//! Room on the disk, and who may have how much of it.
//!
//! A reserve is kept free of all that strangers can send: the chain, revocations and receipts are written to the last. Intake, the quarantine and
//! mailboxes look before each piece that they write, and stop where it begins.
//!
//! What waits in `incoming/` or lies in `quarantine/` is bounded by [`Shares`], in all and for each peer. What the other addresses have left is for them, for
//! this one, and for one that is still to come: so N of them leave an (N + 1)-th part, on which they cannot lay hands. Within its address
//! a title has its share in the same way, so that one who lies about it takes it from those at its own address alone.
//!
//! What is in the archive is nobody's share: a hospital sends what it sends. Only when the disk is nearly full does it matter who sent how much in the
//! last day ([`DayShares`]), so that what is left is not one sender's.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clavicle_admission::Neighbourhood;
use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;
/// The reserve, unless the settings have another: so much, or a twentieth of the disk where that is less.
const RESERVE: u64 = 1 << 30;
const RESERVE_PART: u64 = 20;
/// When less than such a part of the disk is left besides the reserve, it is shared.
const SCARCE_PART: u64 = 10;
/// For how long it counts what somebody sent.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Of so many addresses it is counted.
const MOST: usize = 65_536;

/// How much of its disk a relay may use for what: the table `[disk]` in `relay.toml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DiskSettings {
    /// So many MiB are kept free for the chain, revocations and receipts; 1 GiB without it, or 5 % of the disk where that is less.
    pub reserve_mib: Option<u32>,
    /// So many MiB at most wait in `incoming/` to be taken in.
    pub incoming_mib: u32,
    /// So many MiB at most lie in `quarantine/`.
    pub quarantine_mib: u32,
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self { reserve_mib: None, incoming_mib: 16 * 1024, quarantine_mib: 4 * 1024 }
    }
}

impl DiskSettings {
    /// Bytes that may wait to be taken in.
    #[must_use]
    pub fn incoming(&self) -> u64 {
        u64::from(self.incoming_mib) * MIB
    }

    /// Bytes that may lie in quarantine.
    #[must_use]
    pub fn quarantine(&self) -> u64 {
        u64::from(self.quarantine_mib) * MIB
    }
}

/// The disk under a folder.
#[derive(Clone, Debug)]
pub struct Room {
    folder: PathBuf,
    reserve: Option<u64>,
}

/// How much of a disk is free, and how much of that is kept so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that are kept for the chain, revocations and receipts.
    pub reserve: u64,
    /// When fewer bytes than these are left besides, senders share them.
    pub scarce: u64,
}

/// Too little room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the disk has {} MB left, and {} MB of it are kept for the chain, revocations and receipts: make room on it", .0.free / 1_000_000,
    .0.reserve / 1_000_000
)]
pub struct NoRoom(pub Space);

impl From<NoRoom> for io::Error {
    fn from(error: NoRoom) -> Self {
        Self::new(io::ErrorKind::StorageFull, error)
    }
}

impl Room {
    /// The disk that `folder` is on.
    #[must_use]
    pub fn at(folder: &Path, settings: &DiskSettings) -> Self {
        let reserve = settings.reserve_mib.map(|mib| u64::from(mib) * MIB);
        Self { folder: folder.to_owned(), reserve }
    }

    /// How much there is.
    ///
    /// # Errors
    /// The system's.
    pub fn space(&self) -> io::Result<Space> {
        let found = rustix::fs::statvfs(&self.folder)?;
        let of = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        let reserve = self.reserve.unwrap_or_else(|| RESERVE.min(of(found.f_blocks) / RESERVE_PART));
        Ok(Space { free: of(found.f_bavail), reserve, scarce: of(found.f_blocks) / SCARCE_PART })
    }

    /// Whether `more` bytes leave the reserve as it is.
    ///
    /// # Errors
    /// [`NoRoom`] as an [`io::Error`]. When nobody can tell, there is none.
    pub fn check(&self, more: u64) -> io::Result<()> {
        let space = self.space()?;
        if space.has(more) { Ok(()) } else { Err(NoRoom(space).into()) }
    }
}

impl Space {
    /// Whether `more` bytes leave the reserve as it is.
    #[must_use]
    pub fn has(&self, more: u64) -> bool {
        self.free >= self.reserve.saturating_add(more)
    }
}

/// Who sends DICOM objects: where from, and under which title, which proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    address: Neighbourhood,
    title: String,
}

impl Sender {
    /// Who calls itself `title` from there.
    #[must_use]
    pub fn new(address: IpAddr, title: &str) -> Self {
        Self { address: Neighbourhood::of(address), title: title.to_owned() }
    }

    /// In a line.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.address, self.title)
    }

    /// Reads what [`Sender::line`] wrote.
    #[must_use]
    pub fn of_line(line: &str) -> Option<Self> {
        let (address, title) = line.split_once(' ')?;
        Some(Self::new(address.parse().ok()?, title))
    }
}

/// How much of something bounded each sender has.
#[derive(Debug)]
pub struct Shares {
    limit: u64,
    /// What each file costs at least, or many small ones would be as good as free.
    least: u64,
    used: u64,
    addresses: BTreeMap<Neighbourhood, Titles>,
}

/// What one address has.
#[derive(Debug, Default)]
struct Titles {
    used: u64,
    of: BTreeMap<String, u64>,
}

impl Shares {
    /// `limit` bytes in all, of which a file costs `least` at least.
    #[must_use]
    pub fn new(limit: u64, least: u64) -> Self {
        Self { limit, least, used: 0, addresses: BTreeMap::new() }
    }

    /// Whether a file of so many bytes fits the sender's share. One from before a restart, of whom nobody knows, has none.
    #[must_use]
    pub fn fits(&self, sender: &Sender, bytes: u64) -> bool {
        let bytes = bytes.max(self.least);
        let (address, own) = self.of(sender);
        let titles = self.addresses.get(&sender.address).map_or(0, |titles| others(&titles.of, &sender.title));
        let here = share(self.limit, self.used.saturating_sub(address), others(&self.addresses, &sender.address));
        let share = share(here, address.saturating_sub(own), titles);
        address.saturating_add(bytes) <= here && own.saturating_add(bytes) <= share
    }

    /// Whether a sender has as much as it may have when there is no other: what others have does not count.
    #[must_use]
    pub fn is_used_up(&self, sender: &Sender) -> bool {
        let (address, own) = self.of(sender);
        let (here, more) = (share(self.limit, 0, 0), self.least.max(1));
        address.saturating_add(more) > here || own.saturating_add(more) > share(here, 0, 0)
    }

    /// What a sender's address has.
    #[must_use]
    pub fn of_address(&self, sender: &Sender) -> u64 {
        self.of(sender).0
    }

    /// What a sender's address has, and the sender of that.
    fn of(&self, sender: &Sender) -> (u64, u64) {
        let titles = self.addresses.get(&sender.address);
        titles.map_or((0, 0), |titles| (titles.used, titles.of.get(&sender.title).copied().unwrap_or(0)))
    }

    /// Takes a file down as a sender's.
    pub fn add(&mut self, sender: Option<&Sender>, bytes: u64) {
        let bytes = bytes.max(self.least);
        self.used = self.used.saturating_add(bytes);
        if let Some(Sender { address, title }) = sender {
            let titles = self.addresses.entry(*address).or_default();
            titles.used = titles.used.saturating_add(bytes);
            let own = titles.of.entry(title.clone()).or_default();
            *own = own.saturating_add(bytes);
        }
    }

    /// A file of a sender's is gone.
    pub fn remove(&mut self, sender: Option<&Sender>, bytes: u64) {
        let bytes = bytes.max(self.least);
        self.used = self.used.saturating_sub(bytes);
        let Some(Sender { address, title }) = sender else { return };
        let Some(titles) = self.addresses.get_mut(address) else { return };
        titles.used = titles.used.saturating_sub(bytes);
        if let Some(own) = titles.of.get_mut(title) {
            *own = own.saturating_sub(bytes);
            if *own == 0 {
                titles.of.remove(title);
            }
        }
        // Who has nothing is not kept.
        if titles.used == 0 {
            self.addresses.remove(address);
        }
    }

    /// All that is used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }
}

/// How much each address sent in a day, for when the disk is nearly full: then it may have sent as much as one of all who did, and one more, would
/// have of what is left. So N of them leave an (N + 1)-th part each day.
#[derive(Debug)]
pub struct DayShares {
    since: Instant,
    addresses: BTreeMap<Neighbourhood, u64>,
}

impl DayShares {
    /// Nobody sent anything yet.
    #[must_use]
    pub const fn new(now: Instant) -> Self {
        Self { since: now, addresses: BTreeMap::new() }
    }

    /// Whether `bytes` more than what is counted fit a sender's share of what is left.
    pub fn fits(&mut self, sender: &Sender, bytes: u64, space: Space, now: Instant) -> bool {
        let left = space.free.saturating_sub(space.reserve);
        if left >= space.scarce {
            return true;
        }
        self.come_to(now);
        let own = self.addresses.get(&sender.address).copied();
        if own.is_none() && self.addresses.len() >= MOST {
            return false;
        }
        own.unwrap_or(0).saturating_add(bytes) <= left / others(&self.addresses, &sender.address).saturating_add(1)
    }

    /// Takes down what a sender sent.
    pub fn add(&mut self, sender: &Sender, bytes: u64, now: Instant) {
        self.come_to(now);
        if self.addresses.len() < MOST || self.addresses.contains_key(&sender.address) {
            let own = self.addresses.entry(sender.address).or_default();
            *own = own.saturating_add(bytes);
        }
    }

    fn come_to(&mut self, now: Instant) {
        if now.saturating_duration_since(self.since) >= DAY {
            *self = Self::new(now);
        }
    }
}

/// What one may have of `all`, when so many `others` have so much: they, this one and one that is still to come share what is left.
fn share(all: u64, used_by_others: u64, others: u64) -> u64 {
    all.saturating_sub(used_by_others) / others.saturating_add(2)
}

/// How many others there are than this one.
fn others<K: Ord, V>(all: &BTreeMap<K, V>, one: &K) -> u64 {
    (all.len() - usize::from(all.contains_key(one))) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(last: u8, title: &str) -> Sender {
        Sender::new(IpAddr::from([10, 0, 0, last]), title)
    }

    /// Adds files of a size until none fits; how much that was.
    fn flood(shares: &mut Shares, sender: &Sender, bytes: u64) -> u64 {
        let mut taken = 0;
        while shares.fits(sender, bytes) {
            shares.add(Some(sender), bytes);
            taken += bytes;
        }
        taken
    }

    #[test]
    fn nobody_who_comes_anew_finds_nothing_however_many_came_before() {
        const ALL: u64 = 1 << 24;
        let mut shares = Shares::new(ALL, 1);
        assert_eq!(flood(&mut shares, &sender(1, "LOUD"), 64), ALL / 4, "a quarter");
        for title in 0..200 {
            flood(&mut shares, &sender(1, &format!("LIAR{title}")), 64);
        }
        assert!(shares.used() <= ALL / 2, "one address has half at most, whatever it calls itself");
        assert!(flood(&mut shares, &sender(2, "QUIET"), 64) >= ALL / 16);
        // Each time as much as there is, under as many titles as it takes.
        for address in 3..=60 {
            for title in 0..64 {
                flood(&mut shares, &sender(address, &format!("LIAR{title}")), 64);
            }
            let left = ALL - shares.used();
            assert!(left >= ALL / (u64::from(address) + 1), "{address} addresses leave {left}");
            assert!(shares.fits(&sender(100, "NEW"), left / (u64::from(address) + 2) / 2), "after {address}");
        }
    }

    /// Fourteen addresses with 10,000 files of 20 bytes left 7,296 bytes of 4 GiB, once.
    #[test]
    fn tiny_files_from_fourteen_addresses_leave_room_for_images() {
        const ALL: u64 = 4 << 30;
        let mut shares = Shares::new(ALL, ALL / 10_000);
        for address in 1..=14 {
            for title in 0..20 {
                flood(&mut shares, &sender(address, &format!("LIAR{title}")), 20);
            }
        }
        assert!(shares.fits(&sender(15, "CT"), 8 << 20), "{} of {ALL} are used", shares.used());
    }

    #[test]
    fn others_do_not_use_up_what_a_sender_has_left() {
        let mut shares = Shares::new(1_000, 1);
        let (ct, mr) = (sender(1, "CT"), sender(1, "MR"));
        shares.add(Some(&ct), 200);
        (2..250).for_each(|address| shares.add(Some(&sender(address, "LIAR")), 500));
        shares.add(None, 1_000);
        assert!(!shares.fits(&ct, 1) && !shares.is_used_up(&ct) && !shares.is_used_up(&sender(255, "NEW")));
        shares.add(Some(&ct), 50);
        assert!(shares.is_used_up(&ct) && !shares.is_used_up(&mr));
        shares.add(Some(&mr), 249);
        assert!(!shares.is_used_up(&sender(1, "US")));
        shares.add(Some(&mr), 1);
        assert!(shares.is_used_up(&sender(1, "US")), "its address has half");
    }

    /// Images that are fine, of studies that nobody made, filled the disk down to the reserve, and then every modality was refused.
    #[test]
    fn who_fills_a_disk_leaves_a_share_of_the_rest_to_others() {
        let now = Instant::now();
        let (mut day, mut left) = (DayShares::new(now), 100_000u64);
        let space = |left| Space { free: 50_000 + left, reserve: 50_000, scarce: 10_000 };
        for address in 1..=20 {
            let flood = sender(address, "LIAR");
            while day.fits(&flood, 10, space(left), now) {
                day.add(&flood, 10, now);
                left -= 10;
            }
            assert!(left >= 10_000 / (u64::from(address) + 1), "{address} addresses leave {left}");
        }
        let ct = sender(100, "CT");
        assert!(day.fits(&ct, 20, space(left), now), "{left} are left");
        assert!(!day.fits(&sender(1, "OTHER"), 1, space(left), now), "by its address, whatever it calls itself");
        assert!(day.fits(&sender(1, "LIAR"), 1 << 20, space(10_000), now), "with room enough nobody counts");
        assert!(!day.fits(&ct, 1, space(0), now));
        // The next day each may send again, of what is left.
        let next = now + DAY;
        assert!(day.fits(&sender(1, "LIAR"), left, space(left), next) && day.addresses.is_empty());
        for address in 0..MOST as u32 + 10 {
            day.add(&Sender::new(IpAddr::from(address.to_be_bytes()), ""), 1, next);
        }
        assert_eq!(day.addresses.len(), MOST);
    }

    #[test]
    fn small_files_cost_what_a_file_costs_and_what_goes_is_given_back() {
        let mut shares = Shares::new(1_000, 10);
        let one = sender(1, "CT");
        let mut files = 0;
        while shares.fits(&one, 0) {
            shares.add(Some(&one), 0);
            files += 1;
        }
        assert_eq!(files, 25);
        shares.add(None, 700);
        assert!(!shares.fits(&sender(2, "MR"), 60));
        shares.remove(None, 700);
        for _ in 0..files {
            shares.remove(Some(&one), 0);
        }
        assert_eq!((shares.used(), shares.addresses.len()), (0, 0));
    }

    #[test]
    fn one_line_of_ipv6_is_one_sender_and_a_line_is_read_as_it_was_written() {
        let of = |text: &str| Sender::new(text.parse().unwrap(), "A B");
        assert_eq!(of("2001:db8::1"), of("2001:db8:0:ff::ffff:1"));
        assert_ne!(of("2001:db8:0:100::1"), of("2001:db8::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        for one in [of("2001:db8::1"), of("10.0.0.1"), sender(3, "")] {
            assert_eq!(Sender::of_line(&one.line()), Some(one));
        }
    }

    #[test]
    fn the_reserve_is_kept_free() {
        let folder = tempfile::tempdir().unwrap();
        let at = |reserve_mib| Room::at(folder.path(), &DiskSettings { reserve_mib, ..DiskSettings::default() });
        let space = at(None).space().unwrap();
        assert!(space.free > 0 && space.reserve <= RESERVE && space.reserve > 0);
        at(Some(0)).check(0).unwrap();
        let refused = at(Some(u32::MAX)).check(0).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::StorageFull);
        assert!(refused.to_string().contains("are kept for the chain"), "{refused}");
        assert!(at(Some(0)).check(u64::MAX).is_err());
    }
}
