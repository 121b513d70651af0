//! Room on the disk, and who may have how much of it.
//!
//! A reserve is kept free of all that strangers can send: the chain, revocations and receipts are written to the last. Intake, the quarantine and
//! mailboxes look before each piece that they write, and stop where it begins.
//!
//! What waits in `incoming/` or lies in `quarantine/` is bounded by [`Shares`], in all and for each peer. An address may have as much as is
//! left to all; within that a title may have as much as is left to its address. So nobody who comes anew finds nothing, however many came before, and
//! one who lies about a title takes it from those at its own address alone.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

const MIB: u64 = 1 << 20;
/// The reserve, unless the settings have another: so much, or a twentieth of the disk where that is less.
const RESERVE: u64 = 1 << 30;
const RESERVE_PART: u64 = 20;

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
        Ok(Space { free: of(found.f_bavail), reserve })
    }

    /// Whether `more` bytes leave the reserve as it is.
    ///
    /// # Errors
    /// [`NoRoom`] as an [`io::Error`]. When nobody can tell, there is none.
    pub fn check(&self, more: u64) -> io::Result<()> {
        let space = self.space()?;
        if space.free < space.reserve.saturating_add(more) { Err(NoRoom(space).into()) } else { Ok(()) }
    }
}

/// Who sends DICOM objects: where from, and under which title, which proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sender {
    /// An address, or what one line is given of IPv6.
    address: IpAddr,
    title: String,
}

impl Sender {
    /// Who calls itself `title` from there.
    #[must_use]
    pub fn new(address: IpAddr, title: &str) -> Self {
        let address = match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
            address => address,
        };
        Self { address, title: title.to_owned() }
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
    of_addresses: BTreeMap<IpAddr, u64>,
    of_senders: BTreeMap<Sender, u64>,
}

impl Shares {
    /// `limit` bytes in all, of which a file costs `least` at least.
    #[must_use]
    pub fn new(limit: u64, least: u64) -> Self {
        Self { limit, least, used: 0, of_addresses: BTreeMap::new(), of_senders: BTreeMap::new() }
    }

    /// Whether a file of so many bytes fits the sender's share. One from before a restart, of whom nobody knows, has none.
    #[must_use]
    pub fn fits(&self, sender: &Sender, bytes: u64) -> bool {
        let bytes = bytes.max(self.least);
        let address = self.of_addresses.get(&sender.address).copied().unwrap_or(0);
        let own = self.of_senders.get(sender).copied().unwrap_or(0);
        let left = self.limit.saturating_sub(self.used);
        let left_here = (self.limit / 2).saturating_sub(address);
        address.saturating_add(bytes) <= left && own.saturating_add(bytes) <= left_here
    }

    /// Takes a file down as a sender's.
    pub fn add(&mut self, sender: Option<&Sender>, bytes: u64) {
        let bytes = bytes.max(self.least);
        self.used = self.used.saturating_add(bytes);
        if let Some(sender) = sender {
            let of_address = self.of_addresses.entry(sender.address).or_default();
            *of_address = of_address.saturating_add(bytes);
            let own = self.of_senders.entry(sender.clone()).or_default();
            *own = own.saturating_add(bytes);
        }
    }

    /// A file of a sender's is gone.
    pub fn remove(&mut self, sender: Option<&Sender>, bytes: u64) {
        let bytes = bytes.max(self.least);
        self.used = self.used.saturating_sub(bytes);
        if let Some(sender) = sender {
            less(&mut self.of_addresses, &sender.address, bytes);
            less(&mut self.of_senders, sender, bytes);
        }
    }

    /// All that is used.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }
}

/// Who has nothing is not kept.
fn less<K: Ord>(of: &mut BTreeMap<K, u64>, key: &K, bytes: u64) {
    if let Some(used) = of.get_mut(key) {
        *used = used.saturating_sub(bytes);
        if *used == 0 {
            of.remove(key);
        }
    }
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
        let mut shares = Shares::new(1 << 20, 1);
        assert_eq!(flood(&mut shares, &sender(1, "LOUD"), 16), 1 << 18, "a quarter");
        for title in 0..200 {
            flood(&mut shares, &sender(1, &format!("LIAR{title}")), 16);
        }
        assert!(shares.used() <= 1 << 19, "one address has half at most, whatever it calls itself");
        assert!(flood(&mut shares, &sender(2, "QUIET"), 16) >= 1 << 17);
        for address in 3..8 {
            for title in 0..64 {
                flood(&mut shares, &sender(address, &format!("LIAR{title}")), 16);
            }
        }
        assert!(shares.fits(&sender(9, "NEW"), 1 << 12), "{} of {}", shares.used(), 1 << 20);
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
        assert_eq!((shares.used(), shares.of_addresses.len(), shares.of_senders.len()), (0, 0, 0));
    }

    #[test]
    fn one_line_of_ipv6_is_one_sender_and_a_line_is_read_as_it_was_written() {
        let of = |text: &str| Sender::new(text.parse().unwrap(), "A B");
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8::1"));
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
