//! The certificate that a block was decided: who precommitted to it, and their signatures.

use alloc::vec::Vec;

use borsh::io::{Read, Result as IoResult};
use borsh::{BorshDeserialize, BorshSerialize};

use crate::domain::{self, Tag};
use crate::encoding::{Bytes, Fault, Wire};
use crate::id::{BlockId, ChainId, CommitDigest};
use crate::key::{Signature, SignatureError};
use crate::source::MAX_SOURCES;
use crate::time::Height;
use crate::validators::ValidatorSet;
use crate::vote::{Vote, VoteKind};

/// Precommits of more than two thirds of the voting power for one block: Tendermint's reason to decide (L49). Whether they
/// are that, [`CommitCertificate::verify`] says.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize)]
pub struct CommitCertificate {
    /// Of which height.
    pub height: Height,
    /// In which round.
    pub round: u32,
    /// For which block.
    pub block: BlockId,
    /// One bit a validator, in the set's order and from the high bit: whether it signed. As many bytes as the last signer needs.
    signers: Vec<u8>,
    /// The signers' signatures, in the same order.
    signatures: Vec<Signature>,
}

/// Why a certificate certifies nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A signer beyond the set.
    #[error("the certificate names signer {0}, which the validator set does not have")]
    NoSuchValidator(usize),
    /// A signature that does not hold.
    #[error("the vote of signer {place}: {error}")]
    Signature {
        /// Whose, by place in the set.
        place: usize,
        /// Why not.
        error: SignatureError,
    },
    /// Too few.
    #[error("the certificate has {power} of {total} voting power; it needs more than two thirds")]
    TooLittlePower {
        /// The signers' power.
        power: u128,
        /// The set's.
        total: u128,
    },
}

impl CommitCertificate {
    /// What the header says that follows a block without a certificate.
    pub const NO_DIGEST: CommitDigest = CommitDigest::from_bytes([0; 32]);

    /// Puts a certificate together from the signers' places in the validator set and their signatures.
    ///
    /// # Errors
    /// [`Fault::NotAscending`] when the places are not in strictly ascending order, [`Fault::TooMany`] when one is
    /// beyond the largest set.
    pub fn new(height: Height, round: u32, block: BlockId, votes: Vec<(usize, Signature)>) -> Result<Self, Fault> {
        if votes.windows(2).any(|pair| pair[0].0 >= pair[1].0) {
            return Err(Fault::NotAscending);
        }
        let len = votes.last().map_or(0, |(place, _)| (place / 8).saturating_add(1));
        if len > MAX_SOURCES / 8 {
            return Err(Fault::TooMany);
        }
        let mut signers = alloc::vec![0u8; len];
        for (place, _) in &votes {
            signers[place / 8] |= 0x80 >> (place % 8);
        }
        Ok(Self {
            height,
            round,
            block,
            signers,
            signatures: votes.into_iter().map(|(_, signature)| signature).collect(),
        })
    }

    /// The signers' places in the validator set, with their signatures.
    pub fn votes(&self) -> impl Iterator<Item = (usize, &Signature)> {
        let places = self.signers.iter().enumerate().flat_map(|(at, byte)| {
            (0..8usize)
                .filter(move |bit| byte & (0x80 >> bit) != 0)
                .map(move |bit| at.saturating_mul(8).saturating_add(bit))
        });
        places.zip(&self.signatures)
    }

    /// Verifies that validators with more than two thirds of the power in `validators`, the set that decides this height,
    /// precommitted to the block. Every signature must hold, those too that it could do without.
    ///
    /// # Errors
    /// [`CertificateError`]: what too few have signed costs no signature to refuse.
    pub fn verify(&self, chain: &ChainId, validators: &ValidatorSet) -> Result<(), CertificateError> {
        let mut power = 0u128;
        for (place, _) in self.votes() {
            let validator = validators.validators.get(place).ok_or(CertificateError::NoSuchValidator(place))?;
            power = power.saturating_add(u128::from(validator.power));
        }
        let total = validators.total_power();
        if !is_enough(power, total) {
            return Err(CertificateError::TooLittlePower { power, total });
        }
        for (place, signature) in self.votes() {
            let validator = validators.validators.get(place).ok_or(CertificateError::NoSuchValidator(place))?;
            let vote = Vote {
                kind: VoteKind::Precommit,
                height: self.height,
                round: self.round,
                block: Some(self.block),
                validator: validator.source,
            };
            signature
                .verify(&validator.key, &vote.preimage(chain))
                .map_err(|error| CertificateError::Signature { place, error })?;
        }
        Ok(())
    }

    /// The same certificate with no more signatures than it needs under `validators`, those with the greatest power first: what is
    /// sent to whoever only has to believe it. The digest in the next header is of the one that was committed. Whoever jumps over
    /// changes of validators may find more of those it knows in the whole one.
    #[must_use]
    pub fn trimmed(&self, validators: &ValidatorSet) -> Self {
        let total = validators.total_power();
        let power = |place: usize| validators.validators.get(place).map_or(0, |validator| validator.power);
        let mut votes: Vec<(usize, Signature)> = self.votes().map(|(place, signature)| (place, *signature)).collect();
        // Equals stay in the set's order.
        votes.sort_by_key(|(place, _)| core::cmp::Reverse(power(*place)));
        let mut sum = 0u128;
        let needed = votes.iter().position(|(place, _)| {
            sum = sum.saturating_add(u128::from(power(*place)));
            is_enough(sum, total)
        });
        let Some(last) = needed else { return self.clone() };
        votes.truncate(last.saturating_add(1));
        votes.sort_by_key(|(place, _)| *place);
        Self::new(self.height, self.round, self.block, votes).unwrap_or_else(|_| self.clone())
    }

    /// What the next header says of a certificate, or of none.
    #[must_use]
    pub fn digest_of(certificate: Option<&Self>, chain: &ChainId) -> CommitDigest {
        let digest = |certificate| CommitDigest::from_bytes(domain::digest(Tag::COMMIT, chain, certificate));
        certificate.map_or(Self::NO_DIGEST, digest)
    }
}

/// Whether `power` is more than two thirds of `total`.
const fn is_enough(power: u128, total: u128) -> bool {
    power.saturating_mul(3) > total.saturating_mul(2)
}

impl BorshDeserialize for CommitCertificate {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (height, round, block) = <(Height, u32, BlockId)>::deserialize_reader(reader)?;
        let signers = Bytes::<{ MAX_SOURCES / 8 }>::deserialize_reader(reader)?.as_slice().to_vec();
        let count = u32::deserialize_reader(reader)?;
        let bits: u32 = signers.iter().map(|byte| byte.count_ones()).sum();
        if count != bits || signers.last() == Some(&0) {
            return Err(Fault::NotCanonical.raise());
        }
        let signatures = (0..count).map(|_| Signature::deserialize_reader(reader)).collect::<IoResult<_>>()?;
        Ok(Self { height, round, block, signers, signatures })
    }
}

impl Wire for CommitCertificate {
    const NAME: &'static str = "a commit certificate";
    const MAX_LEN: usize = 8 + 4 + 32 + 4 + MAX_SOURCES / 8 + 4 + 65 * MAX_SOURCES;
}
