//! A source: an institution that makes and keeps studies, known by its keys.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::encoding::{Ascending, Entry, Text, Wire};
use crate::id::SourceId;
use crate::key::Key;
use crate::time::{Epoch, Height};

/// Whether a source takes part in agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum SourceKind {
    /// Runs a validator.
    Validator,
    /// Sits on another source's edge, without a vote.
    Hosted,
}

/// What a source's key is for. No key serves two roles or two sources, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum KeyRole {
    /// The cold key that announces the others.
    Identity,
    /// Signs studies, revisions, statuses, recoveries, votes, receipts and anchors.
    Operational,
    /// Signs votes and proposals.
    Consensus,
    /// The iroh endpoint from which images are served.
    Transfer,
    /// A libp2p peer.
    Network,
}

impl KeyRole {
    /// The role in words.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Operational => "operational",
            Self::Consensus => "consensus",
            Self::Transfer => "transfer",
            Self::Network => "libp2p",
        }
    }
}

/// The keys a source works with, all announced under its identity.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SourceKeys {
    /// See [`KeyRole::Operational`].
    pub operational: Key,
    /// See [`KeyRole::Consensus`]; a hosted source has none.
    pub consensus: Option<Key>,
    /// See [`KeyRole::Transfer`].
    pub transfer: Key,
    /// See [`KeyRole::Network`]: the inside node's, and those of its edges.
    pub network: Ascending<Key, 4>,
}

impl SourceKeys {
    /// Every key with its role, in the order in which they co-sign.
    pub fn each(&self) -> impl Iterator<Item = (KeyRole, Key)> + '_ {
        let Self { operational, consensus, transfer, network } = self;
        core::iter::once((KeyRole::Operational, *operational))
            .chain(consensus.iter().map(|key| (KeyRole::Consensus, *key)))
            .chain(core::iter::once((KeyRole::Transfer, *transfer)))
            .chain(network.iter().map(|key| (KeyRole::Network, *key)))
    }
}

/// Where a source is reached. The ledger is the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Addresses {
    /// libp2p multiaddresses of the validator, for other validators alone.
    pub consensus: Ascending<Text<128>, 4>,
    /// libp2p multiaddresses for everybody.
    pub libp2p: Ascending<Text<128>, 4>,
    /// iroh socket addresses or forwarding URLs.
    pub iroh: Ascending<Text<128>, 4>,
    /// libp2p circuit addresses, for a node without a public port.
    pub circuit: Ascending<Text<128>, 4>,
}

/// What a source says of itself: the content of DefineSource, and of its entry in a genesis.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Announcement {
    /// The name people know it by.
    pub name: Text<64>,
    /// As the roster has it.
    pub kind: SourceKind,
    /// Its keys.
    pub keys: SourceKeys,
    /// Where it is reached.
    pub addresses: Addresses,
    /// The sources whose relays keep its mailbox.
    pub mailbox: Ascending<SourceId, 4>,
}

/// Why an announcement is refused whatever the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnouncementError {
    /// No name.
    #[error("the source has no name")]
    Unnamed,
    /// A validator without a consensus key, or a hosted source with one.
    #[error("a validator announces a consensus key and a hosted source none")]
    ConsensusKey,
    /// No libp2p key.
    #[error("the source announces no libp2p key, so that no relay could know it")]
    NoNetworkKey,
    /// One key twice.
    #[error("one key is announced twice; every role has a key of its own")]
    KeyTwice,
}

impl Announcement {
    /// Checks what can be seen without the state; `identity` announces it.
    ///
    /// # Errors
    /// [`AnnouncementError`].
    pub fn check(&self, identity: &Key) -> Result<(), AnnouncementError> {
        let Self { name, kind, keys, addresses: _, mailbox: _ } = self;
        if name.as_str().trim().is_empty() {
            return Err(AnnouncementError::Unnamed);
        }
        if keys.consensus.is_some() != (*kind == SourceKind::Validator) {
            return Err(AnnouncementError::ConsensusKey);
        }
        if keys.network.is_empty() {
            return Err(AnnouncementError::NoNetworkKey);
        }
        let mut seen = alloc::collections::BTreeSet::from([*identity]);
        if keys.each().any(|(_, key)| !seen.insert(key)) {
            return Err(AnnouncementError::KeyTwice);
        }
        Ok(())
    }
}

/// What the ledger knows of a source: one row of the state.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Source {
    /// The identity key now in force.
    pub identity: Key,
    /// The announcement's number: the genesis is 0, each DefineSource one more.
    pub version: u64,
    /// The newest announcement. Its name and addresses act at once, its keys as below.
    pub announced: Announcement,
    /// The keys in force until then. Those before them are not here: whose consensus key it was in an earlier epoch, that
    /// epoch's set says, as long as evidence of it is looked into.
    pub earlier_keys: SourceKeys,
    /// The epoch in which the announced keys come into force.
    pub keys_act_in: Epoch,
    /// Suspended by vote or for an equivocation. It serves, may stop serving, anchors and announces itself; it defines,
    /// revises, resumes, recovers and votes no more, and decides no more from the next epoch on.
    pub suspended: bool,
    /// The source that took this one over.
    pub successor: Option<SourceId>,
    /// Anchors so far: the next one's number.
    pub anchors: u64,
    /// The height of its admission.
    pub admitted_at: Height,
}

impl Source {
    /// A source as it is when it comes into the network.
    pub(crate) fn admitted(identity: Key, announcement: Announcement, epoch: Epoch, height: Height) -> Self {
        Self {
            identity,
            version: 0,
            earlier_keys: announcement.keys.clone(),
            announced: announcement,
            keys_act_in: epoch,
            suspended: false,
            successor: None,
            anchors: 0,
            admitted_at: height,
        }
    }

    /// The keys in force in `epoch`, the running one or the next. Keys change at an epoch's start and nowhere else.
    #[must_use]
    pub fn keys_in(&self, epoch: Epoch) -> &SourceKeys {
        if epoch >= self.keys_act_in { &self.announced.keys } else { &self.earlier_keys }
    }

    /// Whether it may decide in `epoch`, if the roster has it as a validator: its key, if so.
    #[must_use]
    pub fn decides_in(&self, epoch: Epoch) -> Option<Key> {
        let may = !self.suspended && self.successor.is_none();
        self.keys_in(epoch).consensus.filter(|_| may)
    }
}

impl Wire for Source {
    const NAME: &'static str = "a source's record";
    const MAX_LEN: usize = 8 * 1024;
}

/// Who a key belongs to: one row of the state for every key ever announced, so that none is announced twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeyUse {
    /// The source that announced it.
    pub source: SourceId,
    /// What for.
    pub role: KeyRole,
}

impl Wire for KeyUse {
    const NAME: &'static str = "a key's use";
    const MAX_LEN: usize = 33;
}

/// What a source did in an epoch, for its quotas, and in all: one row of the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Activity {
    /// The epoch that the next eight counts are of.
    pub epoch: Epoch,
    /// Studies defined in it.
    pub studies: u32,
    /// Announcements made in it.
    pub announcements: u32,
    /// Studies revised in it.
    pub revisions: u32,
    /// Statuses set in it.
    pub statuses: u32,
    /// Recoveries asked for and completed in it.
    pub recoveries: u32,
    /// Anchors made in it.
    pub anchors: u32,
    /// Votes given in it.
    pub votes: u32,
    /// Equivocations shown in it.
    pub equivocations: u32,
    /// Studies ever defined.
    pub studies_in_all: u64,
    /// Of these, withdrawn.
    pub withdrawn_in_all: u64,
    /// Studies that count for voting power, or will when the next epoch begins: the sum of the [`Registered`] rows.
    pub registered: u64,
}

impl Activity {
    /// The same with its counts at zero if `epoch` is a later one.
    #[must_use]
    pub fn in_epoch(self, epoch: Epoch) -> Self {
        let Self { epoch: of, studies_in_all, withdrawn_in_all, registered, .. } = self;
        if epoch > of { Self { epoch, studies_in_all, withdrawn_in_all, registered, ..Self::default() } } else { self }
    }
}

impl Wire for Activity {
    const NAME: &'static str = "a source's activity";
    const MAX_LEN: usize = 64;
}

/// Studies that a source defined in one epoch and did not withdraw since: one row of the state, for as long as they count
/// for its voting power.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Registered(pub u32);

impl Wire for Registered {
    const NAME: &'static str = "a count of studies";
    const MAX_LEN: usize = 4;
}

/// A source in the roster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Admitted {
    /// The source.
    pub source: SourceId,
    /// As what it takes part: as admitted, or as a vote said since.
    pub kind: SourceKind,
}

impl Entry for Admitted {
    type Key = SourceId;
    fn key(&self) -> &SourceId {
        &self.source
    }
}

/// The most sources a network may have.
pub const MAX_SOURCES: usize = 1_024;

/// Every source ever admitted: one row of the state.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Roster {
    /// The sources.
    pub admitted: Ascending<Admitted, MAX_SOURCES>,
}

impl Wire for Roster {
    const NAME: &'static str = "the roster of sources";
    const MAX_LEN: usize = 4 + 33 * MAX_SOURCES;
}
