//! Four hospitals and their chain, in memory: blocks are executed as relays execute them.

use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::execute;
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::MemoryState;
use clavicle_ledger::time::{BlockTime, DAY_MS, Height, Timestamp};
use clavicle_ledger::transaction::Verified;

/// How many hospitals there are.
pub(crate) const SOURCES: usize = 4;
/// The midnight at which it all begins, in milliseconds.
pub(crate) const BEGIN: u64 = 20_700 * DAY_MS;
/// A block comes that soon after a transaction, in milliseconds, and holds all that came meanwhile.
pub(crate) const BLOCK_MS: u64 = 100;
/// The longest that there is no block, in milliseconds. (Relays make one every 30 seconds: an empty one tells nothing.)
const QUIET_MS: u64 = 5 * 60_000;

/// A hospital.
pub(crate) struct Hospital {
    pub(crate) id: SourceId,
    pub(crate) operational: SecretKey,
}

/// The hospitals of a network.
pub(crate) struct Network {
    pub(crate) chain: ChainId,
    genesis: Genesis,
    pub(crate) hospitals: Vec<Hospital>,
}

fn secret(number: usize, role: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(format!("hospital {number} {role}").as_bytes()).as_bytes())
}

impl Network {
    pub(crate) fn new() -> Self {
        let source = |number: usize| {
            let key = |role| secret(number, role).public();
            let announcement = Announcement {
                name: Text::new(format!("hospital {number}")).expect("a short name"),
                kind: SourceKind::Validator,
                keys: SourceKeys {
                    operational: key("operational"),
                    consensus: Some(key("consensus")),
                    transfer: key("transfer"),
                    network: Ascending::from_items(vec![key("network")]).expect("one key"),
                },
                addresses: Addresses::default(),
                mailbox: Ascending::new(),
            };
            GenesisSource { identity: key("identity"), announcement }
        };
        let genesis = Genesis {
            name: Text::new("unlinkability").expect("a short name"),
            time: BlockTime(Timestamp(BEGIN)),
            parameters: Parameters::default(),
            sources: Ascending::from_items((0..SOURCES).map(source).collect()).expect("four sources"),
        };
        let chain = genesis.chain_id();
        let hospital = |number| Hospital {
            id: SourceId::of_identity(&chain, &secret(number, "identity").public()),
            operational: secret(number, "operational"),
        };
        Self { chain, hospitals: (0..SOURCES).map(hospital).collect(), genesis }
    }

    pub(crate) fn blocks(&self) -> Chain {
        Chain { state: MemoryState::from_genesis(&self.genesis), height: 0, time: BEGIN }
    }
}

/// The chain of a network.
pub(crate) struct Chain {
    state: MemoryState,
    height: Height,
    time: u64,
}

impl Chain {
    /// Makes the block that takes in what came until `at`; the transactions in their order, its height and its time.
    ///
    /// # Panics
    /// When the ledger refuses one: the simulation is wrong then.
    pub(crate) fn block(&mut self, at: u64, envelopes: Vec<Verified>) -> (Vec<Verified>, Height, u64) {
        let due = (at / BLOCK_MS + 1) * BLOCK_MS;
        while due > self.time + QUIET_MS {
            self.make(self.time + QUIET_MS, Vec::new());
        }
        let taken = self.make(due, envelopes);
        (taken, self.height, self.time)
    }

    fn make(&mut self, time: u64, envelopes: Vec<Verified>) -> Vec<Verified> {
        let (height, time) = (self.height + 1, BlockTime(Timestamp(time)));
        let proposal = execute::propose(&self.state, height, time, None, envelopes).expect("a block that is due");
        if let Some((envelope, why)) = proposal.left_out.first() {
            panic!("{:?} was refused: {why}", envelope.body().action);
        }
        self.state.commit(proposal.executed.changes);
        (self.height, self.time) = (height, time.timestamp().0);
        proposal.block.envelopes
    }
}
