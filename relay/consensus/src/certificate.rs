//! The engine's commit certificates to the ledger's, and back.
//!
//! The engine names each signer; the ledger's certificate, made for phones, has one bit a validator in the set's order.

use arc_malachitebft_core_types::{
    CommitCertificate as EngineCertificate, CommitSignature, ExtendedCommitCertificate, VoteExtensions,
};
use clavicle_ledger::block::CommitCertificate;
use clavicle_ledger::key::Signature;
use clavicle_ledger::validators::ValidatorSet;

use crate::context::{Address, At, Network, Sig};

/// Why an engine's certificate is none of the ledger's. The engine verifies certificates, so this is a defect here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// Decided in no round.
    #[error("the engine's certificate names no round")]
    NoRound,
    /// A signer whom the set does not have, or one twice.
    #[error("the engine's certificate names a signer twice, or one who is not in the validator set")]
    Signer,
}

pub(crate) fn to_ledger(
    certificate: &EngineCertificate<Network>,
    set: &ValidatorSet,
) -> Result<CommitCertificate, ConvertError> {
    let place = |signed: &CommitSignature<Network>| {
        let found = set.validators.binary_search_by(|validator| validator.source.cmp(&signed.address.0));
        found.map(|place| (place, signed.signature.0)).map_err(|_| ConvertError::Signer)
    };
    let mut votes: Vec<(usize, Signature)> =
        certificate.commit_signatures.iter().map(place).collect::<Result<_, _>>()?;
    votes.sort_by_key(|(place, _)| *place);
    let round = certificate.round.as_u32().ok_or(ConvertError::NoRound)?;
    CommitCertificate::new(certificate.height.0, round, certificate.value_id, votes).map_err(|_| ConvertError::Signer)
}

/// None when the certificate is not by this set.
pub(crate) fn to_engine(
    certificate: &CommitCertificate,
    set: &ValidatorSet,
) -> Option<ExtendedCommitCertificate<Network>> {
    let signed = |(place, signature): (usize, &Signature)| {
        let address = Address(set.validators.get(place)?.source);
        Some(CommitSignature { address, signature: Sig(*signature) })
    };
    let plain = EngineCertificate {
        height: At(certificate.height),
        round: arc_malachitebft_core_types::Round::new(certificate.round),
        value_id: certificate.block,
        commit_signatures: certificate.votes().map(signed).collect::<Option<_>>()?,
    };
    Some(ExtendedCommitCertificate::from_commit_certificate_and_extensions(plain, VoteExtensions::new(Vec::new())))
}
