//! Blocks: a header that everybody agrees on, the transactions it commits to, and the certificate of its predecessor.
//!
//! The header's hash is the value that consensus decides. It carries the state root *after* the block, so that a
//! certificate over one header proves the state itself, not a promise of it.

mod envelopes;

use alloc::vec::Vec;

use borsh::{BorshDeserialize, BorshSerialize};

pub use self::envelopes::{InclusionError, InclusionProof, envelopes_root, prove_inclusion};
pub use crate::certificate::{CertificateError, CommitCertificate};
use crate::domain::{self, Tag};
use crate::encoding::{self, Fault, Wire};
use crate::execute::{self, ExecuteError, Executed, Proposal, Proposed};
pub use crate::genesis::PROTOCOL_VERSION;
use crate::genesis::{Genesis, MAX_BLOCK_BYTES, MAX_BLOCK_ENVELOPES};
use crate::id::{BlockId, ChainId, CommitDigest, EnvelopeHash, EnvelopesRoot, SourceId, StateRoot, ValidatorsHash};
use crate::state::{MemoryState, ReadRows as _, Rules, StateReader};
use crate::time::{BlockTime, Height};
use crate::transaction::{Envelope, StatelessError, Verified};
use crate::tree::{self, TreeChanges, TreeError, TreeReader};

/// What everybody agrees on of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Header {
    /// The version of the rules it was made under.
    pub version: u32,
    /// The network.
    pub chain: ChainId,
    /// Its place in the chain; the genesis is 0.
    pub height: Height,
    /// The proposer's time, later than its predecessor's.
    pub time: BlockTime,
    /// Its predecessor.
    pub previous: BlockId,
    /// Its transactions.
    pub envelopes: EnvelopesRoot,
    /// The state after it.
    pub state_root: StateRoot,
    /// Who decides it.
    pub validators: ValidatorsHash,
    /// Who decides the next one.
    pub next_validators: ValidatorsHash,
    /// The certificate of its predecessor, whose body is in the block; zeros where there is none.
    pub last_commit: CommitDigest,
    /// Who proposed it.
    pub proposer: SourceId,
    /// The round in which it was proposed first.
    pub round: u32,
}

impl Header {
    /// The header at height 0, from which everything follows.
    ///
    /// # Panics
    /// When [`Genesis::check`] was not heeded.
    #[must_use]
    pub fn genesis(genesis: &Genesis) -> Self {
        let (chain, state) = (genesis.chain_id(), MemoryState::from_genesis(genesis));
        let validators = state.validators().expect("every genesis state has its validators").hash(&chain);
        Self {
            version: PROTOCOL_VERSION,
            chain,
            height: 0,
            time: genesis.time,
            previous: BlockId::from_bytes([0; 32]),
            envelopes: envelopes_root(&chain, &[]),
            state_root: state.root(),
            validators,
            next_validators: validators,
            last_commit: CommitCertificate::NO_DIGEST,
            proposer: SourceId::from_bytes([0; 32]),
            round: 0,
        }
    }

    /// The block's id.
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId::from_bytes(domain::digest(Tag::HEADER, &self.chain, self))
    }
}

impl Wire for Header {
    const NAME: &'static str = "a block header";
    const MAX_LEN: usize = 4 + 32 + 8 + 8 + 32 * 7 + 4;
}

/// A block as it travels.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// The certificate of its predecessor; none at height 1, where the genesis needs none.
    pub last_commit: Option<CommitCertificate>,
    /// The transactions.
    pub envelopes: Vec<Envelope>,
}

impl BorshDeserialize for Block {
    fn deserialize_reader<R: borsh::io::Read>(reader: &mut R) -> borsh::io::Result<Self> {
        let (header, last_commit, count) = <(Header, Option<CommitCertificate>, u32)>::deserialize_reader(reader)?;
        if count as usize > MAX_BLOCK_ENVELOPES {
            return Err(Fault::TooMany.raise());
        }
        let envelopes = (0..count).map(|_| Envelope::deserialize_reader(reader)).collect::<borsh::io::Result<_>>()?;
        Ok(Self { header, last_commit, envelopes })
    }
}

impl Wire for Block {
    const NAME: &'static str = "a block";
    const MAX_LEN: usize = Header::MAX_LEN + 1 + CommitCertificate::MAX_LEN + 4 + MAX_BLOCK_BYTES;
}

/// Why a block is wrong whatever the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// Made under other rules.
    #[error("the block is of protocol version {0}; this software knows {PROTOCOL_VERSION}")]
    Version(u32),
    /// Of another network.
    #[error("the block is of another network")]
    Chain,
    /// Its transactions are not those of its header.
    #[error("the block's transactions are not those its header commits to")]
    Envelopes,
    /// Its certificate is not that of its header.
    #[error("the block's certificate of its predecessor is not the one its header commits to")]
    LastCommit,
    /// The predecessor's certificate is of something else.
    #[error("the block's certificate is not of its predecessor")]
    CommitOfOther,
    /// More than the network allows.
    #[error("the block has {envelopes} transactions of {bytes} bytes, more than the network allows")]
    TooLarge {
        /// Transactions in it.
        envelopes: usize,
        /// Their bytes.
        bytes: usize,
    },
    /// A transaction verified for another network.
    #[error("transaction {0} was verified for another network")]
    OtherChain(usize),
    /// A transaction that is wrong whatever the state.
    #[error("transaction {index}: {error}")]
    Envelope {
        /// Which, from 0.
        index: usize,
        /// Why.
        error: StatelessError,
    },
}

/// A block whose parts belong together and whose signatures hold: made by [`Block::check`] or [`CheckedBlock::assemble`] and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedBlock {
    header: Header,
    proposed: Proposed,
}

impl Block {
    /// Checks all that needs no state but the network's rules, on this core. With more cores, verify the envelopes there and use
    /// [`CheckedBlock::assemble`].
    ///
    /// # Errors
    /// [`BlockError`].
    pub fn check(self, rules: &Rules) -> Result<CheckedBlock, BlockError> {
        // What costs little first: signatures are verified only in a block that could be one.
        check_header(&self.header, self.last_commit.as_ref(), rules)?;
        let encoded: Vec<Vec<u8>> = self.envelopes.iter().map(encoding::encode).collect();
        check_size(encoded.iter().map(Vec::len), rules)?;
        let hashes: Vec<EnvelopeHash> = encoded.iter().map(|bytes| EnvelopeHash::of(bytes)).collect();
        if envelopes_root(&rules.chain, &hashes) != self.header.envelopes {
            return Err(BlockError::Envelopes);
        }
        let verify = |(index, envelope): (usize, Envelope)| {
            envelope.check_stateless(&rules.chain).map_err(|error| BlockError::Envelope { index, error })
        };
        let envelopes = self.envelopes.into_iter().enumerate().map(verify).collect::<Result<_, _>>()?;
        Ok(CheckedBlock::of(self.header, self.last_commit, envelopes))
    }
}

fn check_size(lengths: impl ExactSizeIterator<Item = usize>, rules: &Rules) -> Result<(), BlockError> {
    let (envelopes, bytes) = (lengths.len(), lengths.fold(0, usize::saturating_add));
    let limits = &rules.parameters;
    let fits = envelopes <= limits.block_envelopes as usize && bytes <= limits.block_bytes as usize;
    if fits { Ok(()) } else { Err(BlockError::TooLarge { envelopes, bytes }) }
}

fn check_header(header: &Header, last_commit: Option<&CommitCertificate>, rules: &Rules) -> Result<(), BlockError> {
    if header.version != PROTOCOL_VERSION {
        return Err(BlockError::Version(header.version));
    }
    if header.chain != rules.chain {
        return Err(BlockError::Chain);
    }
    if CommitCertificate::digest_of(last_commit, &rules.chain) != header.last_commit {
        return Err(BlockError::LastCommit);
    }
    // The genesis has no certificate; every other block has.
    let of_previous = match last_commit {
        Some(commit) => {
            header.height > 1 && commit.block == header.previous && commit.height.checked_add(1) == Some(header.height)
        }
        None => header.height <= 1,
    };
    if of_previous { Ok(()) } else { Err(BlockError::CommitOfOther) }
}

impl CheckedBlock {
    /// Puts a block together from envelopes that were verified elsewhere.
    ///
    /// # Errors
    /// [`BlockError`], never for an envelope.
    pub fn assemble(
        header: Header,
        last_commit: Option<CommitCertificate>,
        envelopes: Vec<Verified>,
        rules: &Rules,
    ) -> Result<Self, BlockError> {
        check_header(&header, last_commit.as_ref(), rules)?;
        check_size(envelopes.iter().map(Verified::encoded_len), rules)?;
        if let Some(index) = envelopes.iter().position(|envelope| envelope.chain() != rules.chain) {
            return Err(BlockError::OtherChain(index));
        }
        if root_of(&envelopes, &rules.chain) != header.envelopes {
            return Err(BlockError::Envelopes);
        }
        Ok(Self::of(header, last_commit, envelopes))
    }

    /// Parts that were found to belong together.
    const fn of(header: Header, last_commit: Option<CommitCertificate>, envelopes: Vec<Verified>) -> Self {
        Self { header, proposed: Proposed { height: header.height, time: header.time, last_commit, envelopes } }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The transactions.
    #[must_use]
    pub fn envelopes(&self) -> &[Verified] {
        &self.proposed.envelopes
    }

    /// The block as it travels.
    #[must_use]
    pub fn to_block(&self) -> Block {
        Block {
            header: self.header,
            last_commit: self.proposed.last_commit.clone(),
            envelopes: self.proposed.envelopes.iter().map(|envelope| envelope.envelope().clone()).collect(),
        }
    }
}

/// What a block does, worked out and found to be what its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// To the rows.
    pub executed: Executed,
    /// To the tree.
    pub tree: TreeChanges,
}

/// Why a block is not the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError<S, T> {
    /// See [`ExecuteError`].
    #[error(transparent)]
    Execute(#[from] ExecuteError<S>),
    /// See [`TreeError`]. Says nothing about the block.
    #[error(transparent)]
    Tree(TreeError<T>),
    /// The state here is not the one that the block follows. Says nothing about the block.
    #[error("the state here is not the newest block's; the store is damaged or of another block")]
    OwnState,
    /// It follows another block.
    #[error("the block follows another block than the newest one here")]
    Previous,
    /// Its proposer has no vote.
    #[error("the block's proposer is no validator at its height")]
    Proposer,
    /// It names other validators.
    #[error("the block names other validators than those who decide it and the next one")]
    Validators,
    /// Its transactions lead elsewhere.
    #[error("the block's transactions lead to another state than its header says")]
    StateRoot,
}

/// Executes a block on the state it follows, and checks everything its header says about both.
///
/// # Errors
/// [`ApplyError`]; nothing is changed.
pub fn apply<S: StateReader, T: TreeReader>(
    state: &S,
    tree: &T,
    previous: &Header,
    block: &CheckedBlock,
) -> Result<Applied, ApplyError<S::Error, T::Error>> {
    let Header { version: _, chain, height: _, time: _, previous: previous_id, .. } = block.header;
    if previous_id != previous.id() {
        return Err(ApplyError::Previous);
    }
    let before = tree::root(tree).map_err(|error| ApplyError::Tree(TreeError::Storage(error)))?;
    if before != previous.state_root {
        return Err(ApplyError::OwnState);
    }
    let executed = execute::execute(state, &block.proposed)?;
    if executed.validators.validators.find(&block.header.proposer).is_none() {
        return Err(ApplyError::Proposer);
    }
    let named = (block.header.validators, block.header.next_validators);
    if named != (executed.validators.hash(&chain), executed.next_validators.hash(&chain)) {
        return Err(ApplyError::Validators);
    }
    let tree = tree::update(tree, &executed.changes).map_err(ApplyError::Tree)?;
    if tree.root != block.header.state_root {
        return Err(ApplyError::StateRoot);
    }
    Ok(Applied { executed, tree })
}

/// Why a proposal was not made into a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError<T> {
    /// See [`TreeError`].
    #[error(transparent)]
    Tree(#[from] TreeError<T>),
    /// See [`BlockError`].
    #[error(transparent)]
    Block(#[from] BlockError),
    /// It has no vote.
    #[error("the proposer is no validator at this height")]
    Proposer,
}

/// Makes a block of a proposal, with its header.
///
/// # Errors
/// [`SealError`].
pub fn seal<T: TreeReader>(
    proposal: Proposal,
    tree: &T,
    (previous, rules): (&Header, &Rules),
    proposer: SourceId,
    round: u32,
) -> Result<(CheckedBlock, Applied), SealError<T::Error>> {
    let Proposal { block: proposed, executed, left_out: _ } = proposal;
    let chain = rules.chain;
    if executed.validators.validators.find(&proposer).is_none() {
        return Err(SealError::Proposer);
    }
    let tree = tree::update(tree, &executed.changes)?;
    let header = Header {
        version: PROTOCOL_VERSION,
        chain,
        height: proposed.height,
        time: proposed.time,
        previous: previous.id(),
        envelopes: root_of(&proposed.envelopes, &chain),
        state_root: tree.root,
        validators: executed.validators.hash(&chain),
        next_validators: executed.next_validators.hash(&chain),
        last_commit: CommitCertificate::digest_of(proposed.last_commit.as_ref(), &chain),
        proposer,
        round,
    };
    let block = CheckedBlock::assemble(header, proposed.last_commit, proposed.envelopes, rules)?;
    Ok((block, Applied { executed, tree }))
}

fn root_of(envelopes: &[Verified], chain: &ChainId) -> EnvelopesRoot {
    let hashes: Vec<EnvelopeHash> = envelopes.iter().map(Verified::hash).collect();
    envelopes_root(chain, &hashes)
}
