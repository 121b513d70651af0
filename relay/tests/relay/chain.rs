//! A network of one hospital that makes blocks, to have something to keep.

use clavicle_ledger::action::DefineStudy;
use clavicle_ledger::block::{self, Applied, CheckedBlock, CommitCertificate, Header};
use clavicle_ledger::encoding::{Ascending, Text};
use clavicle_ledger::execute;
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{ManifestRoot, SourceId, StudyDigest, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::snapshot::SnapshotReader;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{ReadRows as _, StateReader};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Verified};

pub(crate) fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

/// A network of one hospital.
pub(crate) fn genesis(name: &str) -> Genesis {
    genesis_of(name, 1)
}

/// What hospital `n` says of itself, with no address.
pub(crate) fn announcement(n: usize) -> Announcement {
    let key = |role: &str| secret(&format!("{role} {n}")).public();
    Announcement {
        name: Text::new(format!("hospital {n}")).unwrap(),
        kind: SourceKind::Validator,
        keys: SourceKeys {
            operational: key("operational"),
            consensus: Some(key("consensus")),
            transfer: key("transfer"),
            network: Ascending::from_items(vec![key("network")]).unwrap(),
        },
        addresses: Addresses::default(),
        mailbox: Ascending::new(),
    }
}

/// A network of `count` hospitals, number n with the keys "role n".
pub(crate) fn genesis_of(name: &str, count: usize) -> Genesis {
    let source =
        |n| GenesisSource { identity: secret(&format!("identity {n}")).public(), announcement: announcement(n) };
    Genesis {
        name: Text::new(name).unwrap(),
        time: BlockTime(Timestamp(1_795_262_400_000)),
        parameters: Parameters::default(),
        sources: Ascending::from_items((0..count).map(source).collect()).unwrap(),
    }
}

/// The id of hospital `n`.
pub(crate) fn source_id(genesis: &Genesis, n: usize) -> SourceId {
    SourceId::of_identity(&genesis.chain_id(), &secret(&format!("identity {n}")).public())
}

pub(crate) fn study(genesis: &Genesis, number: u64) -> StudyId {
    StudyId::of(&genesis.chain_id(), source_id(genesis, 0), digest(number))
}

pub(crate) fn digest(number: u64) -> StudyDigest {
    StudyDigest::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

/// A transaction that defines study `number`.
pub(crate) fn define(genesis: &Genesis, head: &Header, number: u64) -> Verified {
    let (source, holder) = (secret("operational 0"), secret("holder"));
    let action = Action::DefineStudy(DefineStudy {
        digest: digest(number),
        source: source.public(),
        holder: holder.public(),
        delegates: Ascending::new(),
        manifest_root: ManifestRoot::from_bytes([7; 32]),
        open: false,
    });
    let body = Body { submit_by: head.time.timestamp().plus(60_000), nonce: [0; 16], action };
    let chain = genesis.chain_id();
    body.sign(&chain, &[&source, &holder]).unwrap().check_stateless(&chain).unwrap()
}

/// The block after `head` with these transactions, a second later, and a certificate in the right form.
pub(crate) fn next_block<S>(
    state: &S,
    head: &Header,
    last: Option<CommitCertificate>,
    envelopes: Vec<Verified>,
) -> (CheckedBlock, CommitCertificate, Applied)
where
    S: StateReader + SnapshotReader,
    <S as StateReader>::Error: std::fmt::Debug,
    <S as clavicle_ledger::tree::TreeReader>::Error: std::fmt::Debug,
{
    let (block, left_out) = next_block_at(state, head, last, head.time.timestamp().plus(1_000), envelopes);
    assert_eq!(left_out, 0);
    block
}

/// The block after `head` at a time, with those of these transactions that can be executed, and how many cannot.
pub(crate) fn next_block_at<S>(
    state: &S,
    head: &Header,
    last: Option<CommitCertificate>,
    time: Timestamp,
    envelopes: Vec<Verified>,
) -> ((CheckedBlock, CommitCertificate, Applied), usize)
where
    S: StateReader + SnapshotReader,
    <S as StateReader>::Error: std::fmt::Debug,
    <S as clavicle_ledger::tree::TreeReader>::Error: std::fmt::Debug,
{
    let rules = state.rules().unwrap();
    let proposal = execute::propose(state, head.height + 1, BlockTime(time), last, envelopes).unwrap();
    let left_out = proposal.left_out.len();
    let proposer = SourceId::of_identity(&rules.chain, &secret("identity 0").public());
    let (block, applied) = block::seal(proposal, state, (head, &rules), proposer, 0).unwrap();
    let id = block.header().id();
    let certificate = CommitCertificate::new(head.height + 1, 0, id, Vec::new()).unwrap();
    ((block, certificate, applied), left_out)
}
