//! The light client: what a phone needs to believe a header, and nothing else.

use borsh::{BorshDeserialize, BorshSerialize};

use crate::block::{CommitCertificate, Header};
use crate::encoding::Wire;
use crate::validators::ValidatorSet;

/// A header with the certificate that its block was decided.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CertifiedHeader {
    /// The header.
    pub header: Header,
    /// The certificate.
    pub certificate: CommitCertificate,
}

impl Wire for CertifiedHeader {
    const NAME: &'static str = "a header with its certificate";
    const MAX_LEN: usize = Header::MAX_LEN + CommitCertificate::MAX_LEN;
}

/// The last block that one validator set decides, and the set that decides the next.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct ValidatorChange {
    /// The block, which commits to the next set.
    pub last: CertifiedHeader,
    /// Who decides from then on.
    pub next: ValidatorSet,
}

impl Wire for ValidatorChange {
    const NAME: &'static str = "a change of validators";
    const MAX_LEN: usize = CertifiedHeader::MAX_LEN + ValidatorSet::MAX_LEN;
}
