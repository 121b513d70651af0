//! All that is known of where sources are.

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::{Ascending, Wire};
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::source::MAX_SOURCES;
use clavicle_ledger::state::{ReadError, ReadRows as _, StateReader};
use clavicle_ledger::time::BlockTime;

use crate::listing::Listing;

/// Where sources are, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Directory {
    listings: Ascending<Listing, MAX_SOURCES>,
    /// Sources that are admitted, and of which nothing else is known yet.
    awaited: Ascending<SourceId, MAX_SOURCES>,
    /// The time of the newest block that was read; 0 when none was yet.
    read_at: BlockTime,
}

impl Wire for Directory {
    const NAME: &'static str = "a directory";
    const MAX_LEN: usize = 16 + MAX_SOURCES * (Listing::MAX_LEN + 32);
}

impl Directory {
    /// What a network starts from.
    #[must_use]
    pub fn at_genesis(genesis: &Genesis) -> Self {
        let chain = genesis.chain_id();
        let listings = genesis.sources.iter().map(|source| {
            let id = SourceId::of_identity(&chain, &source.identity);
            Listing::at_genesis(id, &source.announcement, genesis.time)
        });
        // Identities differ in a genesis, and an id is a hash of one: there is no error to be had.
        let listings = Ascending::from_items(listings.collect()).unwrap_or_default();
        Self { listings, awaited: Ascending::new(), read_at: BlockTime::default() }
    }

    /// All of it, from a whole state.
    ///
    /// # Errors
    /// The state's.
    pub fn read<R: StateReader>(state: &R) -> Result<Self, ReadError<R::Error>> {
        let mut directory = Self::default();
        let admitted: Vec<SourceId> = state.roster()?.admitted.iter().map(|admitted| admitted.source).collect();
        directory.learn(state, &admitted)?;
        Ok(directory)
    }

    /// Learns who is admitted, and where those who were `asked` about are. The state must have its head, its roster and their rows: whole, or
    /// a fragment in which these are proven. What is known from a newer block stays.
    ///
    /// # Errors
    /// The state's; then nothing was learned.
    pub fn learn<R: StateReader>(&mut self, state: &R, asked: &[SourceId]) -> Result<(), ReadError<R::Error>> {
        let (head, roster) = (state.head()?, state.roster()?);
        let mut found = Vec::new();
        for id in asked {
            if let Some(source) = state.source(*id)? {
                found.push(Listing::of(*id, &source, &head));
            }
        }
        for listing in found {
            if self.find(&listing.source).is_none_or(|known| known.height <= listing.height) {
                self.awaited.remove(&listing.source);
                // A network has no more sources than there is room for.
                self.listings.insert(listing).ok();
            }
        }
        for admitted in &roster.admitted {
            if self.find(&admitted.source).is_none() {
                self.awaited.insert(admitted.source).ok();
            }
        }
        self.read_at = self.read_at.max(head.time);
        Ok(())
    }

    /// Where a source is.
    #[must_use]
    pub fn find(&self, source: &SourceId) -> Option<&Listing> {
        self.listings.find(source)
    }

    /// Every source that is known to be admitted, wherever it is.
    pub fn sources(&self) -> impl Iterator<Item = SourceId> + '_ {
        self.listings.iter().map(|listing| listing.source).chain(self.awaited.iter().copied())
    }

    /// Everybody whose place is known, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Listing> {
        self.listings.iter()
    }

    /// Whether a source is admitted of which nothing else is known yet.
    #[must_use]
    pub fn awaits_somebody(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// The time of the newest block that was read; 0 when none was yet, and all that is known is the genesis.
    #[must_use]
    pub const fn read_at(&self) -> BlockTime {
        self.read_at
    }

    /// Whom to ask about next, `count` at most: those who are `wanted`, then those of whom nothing is known, then those who were
    /// asked about longest ago.
    #[must_use]
    pub fn due(&self, wanted: &[SourceId], count: usize) -> Vec<SourceId> {
        let mut known: Vec<&Listing> = self.listings.iter().collect();
        known.sort_by_key(|listing| listing.height);
        let mut due: Vec<SourceId> = Vec::new();
        let known = known.into_iter().map(|listing| listing.source);
        for source in wanted.iter().chain(self.awaited.iter()).copied().chain(known) {
            if due.len() >= count {
                break;
            }
            if !due.contains(&source) {
                due.push(source);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::{format, vec};

    use clavicle_ledger::encoding::{self, Text};
    use clavicle_ledger::genesis::{GenesisSource, Parameters};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::source::{Addresses, Admitted, Announcement, Roster, Source, SourceKeys, SourceKind};
    use clavicle_ledger::state::{Changes, MemoryState, Overlay, StateKey};
    use clavicle_ledger::time::Timestamp;

    use super::*;

    fn key(word: &str) -> clavicle_ledger::key::Key {
        let mut seed = [0; 32];
        seed[..word.len()].copy_from_slice(word.as_bytes());
        SecretKey::from_bytes(&seed).public()
    }

    fn announcement(name: &str, port: u16) -> Announcement {
        let address = Text::new(format!("/ip4/127.0.0.1/tcp/{port}")).unwrap();
        Announcement {
            name: Text::new(name).unwrap(),
            kind: SourceKind::Validator,
            keys: SourceKeys {
                operational: key(&format!("{name} operational")),
                consensus: Some(key(&format!("{name} consensus"))),
                transfer: key(&format!("{name} transfer")),
                network: Ascending::from_items(vec![key(&format!("{name} network"))]).unwrap(),
            },
            addresses: Addresses { libp2p: Ascending::from_items(vec![address]).unwrap(), ..Addresses::default() },
            mailbox: Ascending::new(),
        }
    }

    fn genesis(names: &[&str]) -> Genesis {
        let source = |name: &&str| GenesisSource {
            identity: key(&format!("{name} identity")),
            announcement: announcement(name, 1),
        };
        Genesis {
            name: Text::new("test").unwrap(),
            time: BlockTime(Timestamp(1_000)),
            parameters: Parameters::default(),
            sources: Ascending::from_items(names.iter().map(source).collect()).unwrap(),
        }
    }

    fn id(genesis: &Genesis, name: &str) -> SourceId {
        SourceId::of_identity(&genesis.chain_id(), &key(&format!("{name} identity")))
    }

    /// The state at a height, with rows that are other ones.
    fn at<'a>(base: &'a MemoryState, height: u64, rows: &[(StateKey, Vec<u8>)]) -> Overlay<'a, MemoryState> {
        let mut head = base.head().unwrap();
        (head.height, head.time) = (height, BlockTime(Timestamp(1_000 * (height + 1))));
        let mut changes: Changes = rows.iter().map(|(key, row)| (*key, Some(row.clone()))).collect();
        changes.insert(StateKey::Head, Some(encoding::encode(&head)));
        Overlay::with(base, changes)
    }

    fn moved(base: &MemoryState, source: SourceId, name: &str, port: u16) -> (StateKey, Vec<u8>) {
        let row = base.source(source).unwrap().unwrap();
        (StateKey::Source(source), encoding::encode(&Source { announced: announcement(name, port), ..row }))
    }

    fn port_of(directory: &Directory, source: SourceId) -> String {
        directory.find(&source).unwrap().relay_addresses().concat()
    }

    #[test]
    fn a_state_says_what_its_genesis_did_until_a_source_moves() {
        let genesis = genesis(&["mercy", "north"]);
        let state = MemoryState::from_genesis(&genesis);
        let (mut known, mercy) = (Directory::at_genesis(&genesis), id(&genesis, "mercy"));
        assert_eq!(known.read_at(), BlockTime::default());
        assert!(known.iter().eq(Directory::read(&state).unwrap().iter()));

        let before = known.find(&mercy).unwrap().clone();
        known.learn(&at(&state, 7, &[moved(&state, mercy, "mercy", 2)]), &[mercy]).unwrap();
        assert_eq!(port_of(&known, mercy), "/ip4/127.0.0.1/tcp/2");
        assert!(!known.find(&mercy).unwrap().is_at_the_same_place(&before));
        // A relay that is behind tells what was.
        known.learn(&at(&state, 3, &[]), &[mercy]).unwrap();
        assert_eq!(port_of(&known, mercy), "/ip4/127.0.0.1/tcp/2");
        assert_eq!(known.read_at(), BlockTime(Timestamp(8_000)));
        let again: Directory = encoding::decode(&encoding::encode(&known)).unwrap();
        assert_eq!(again, known);
    }

    #[test]
    fn who_is_admitted_is_asked_about_first_and_then_whoever_was_not_for_long() {
        let genesis = genesis(&["mercy", "north", "harbor"]);
        let state = MemoryState::from_genesis(&genesis);
        let [mercy, north, harbor, fifth] = ["mercy", "north", "harbor", "fifth"].map(|name| id(&genesis, name));
        let mut known = Directory::at_genesis(&genesis);
        let mut admitted: Roster = state.roster().unwrap();
        admitted.admitted.insert(Admitted { source: fifth, kind: SourceKind::Validator }).unwrap();
        let roster = (StateKey::Roster, encoding::encode(&admitted));
        known.learn(&at(&state, 5, core::slice::from_ref(&roster)), &[mercy, harbor]).unwrap();
        assert!(known.awaits_somebody() && known.find(&fifth).is_none());
        assert_eq!(known.due(&[], 2), [fifth, north]);
        assert_eq!(known.due(&[harbor], 2), [harbor, fifth]);

        let row = state.source(mercy).unwrap().unwrap();
        let row = Source { announced: announcement("fifth", 9), identity: key("fifth identity"), ..row };
        let fifths = (StateKey::Source(fifth), encoding::encode(&row));
        known.learn(&at(&state, 6, &[roster, fifths]), &[fifth]).unwrap();
        assert!(!known.awaits_somebody());
        assert_eq!(port_of(&known, fifth), "/ip4/127.0.0.1/tcp/9");
        assert_eq!(known.due(&[], 9).len(), 4);
    }

    #[test]
    fn the_keys_that_come_answer_after_those_in_force() {
        let genesis = genesis(&["mercy"]);
        let state = MemoryState::from_genesis(&genesis);
        let mercy = id(&genesis, "mercy");
        let mut row = state.source(mercy).unwrap().unwrap();
        row.announced.keys.network = Ascending::from_items(vec![key("mercy's next")]).unwrap();
        row.keys_act_in = 1;
        let rows = [(StateKey::Source(mercy), encoding::encode(&row))];
        let mut known = Directory::at_genesis(&genesis);
        known.learn(&at(&state, 2, &rows), &[mercy]).unwrap();
        let keys: Vec<_> = known.find(&mercy).unwrap().network_keys().collect();
        assert_eq!(keys, [key("mercy network"), key("mercy's next")]);
    }
}
