//! Signing and verifying, as the ledger says: strictly, and over the ledger's preimages.
//!
//! The engine's own proof that somebody is a validator is neither made nor believed: links prove keys by themselves (`mesh`).

use arc_malachitebft_app_channel::{Signer, Verifier};
use arc_malachitebft_core_types::{SignedMessage, ValidatorProof, VoteExtensionScope};
use arc_malachitebft_signing::{Error, VerificationResult};
use async_trait::async_trait;
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::vote::RoundProposal;

use crate::context::{Network, Proposal, Sig, Vote};

/// Verifies for one network.
#[derive(Clone, Debug)]
pub(crate) struct Checks {
    pub(crate) chain: ChainId,
}

/// Signs with this validator's consensus key.
#[derive(Clone, Debug)]
pub(crate) struct Signs {
    pub(crate) chain: ChainId,
    pub(crate) key: SecretKey,
}

/// A vote or proposal without a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no round to sign for")]
struct NoRound;

impl Checks {
    fn holds(preimage: Option<Vec<u8>>, signature: &Sig, key: &Key) -> VerificationResult {
        let holds = preimage.is_some_and(|preimage| signature.0.verify(key, &preimage).is_ok());
        VerificationResult::from_bool(holds)
    }
}

impl Signs {
    pub(crate) fn proposal(&self, proposal: &RoundProposal) -> Signature {
        self.key.sign(&proposal.preimage(&self.chain))
    }
}

#[async_trait]
impl Verifier<Network> for Checks {
    async fn verify_signed_vote(&self, vote: &Vote, signature: &Sig, key: &Key) -> Result<VerificationResult, Error> {
        Ok(Self::holds(vote.to_ledger().map(|vote| vote.preimage(&self.chain)), signature, key))
    }

    async fn verify_signed_proposal(
        &self,
        proposal: &Proposal,
        signature: &Sig,
        key: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(Self::holds(proposal.to_ledger().map(|proposal| proposal.preimage(&self.chain)), signature, key))
    }

    async fn verify_signed_vote_extension(
        &self,
        _: &VoteExtensionScope<Network>,
        (): &(),
        _: &Sig,
        _: &Key,
    ) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }

    async fn verify_validator_proof(&self, _: &ValidatorProof<Network>) -> Result<VerificationResult, Error> {
        Ok(VerificationResult::Invalid)
    }
}

#[async_trait]
impl Signer<Network> for Signs {
    async fn sign_vote(&self, vote: Vote) -> Result<SignedMessage<Network, Vote>, Error> {
        let preimage = vote.to_ledger().ok_or_else(|| Error::from_source(NoRound))?.preimage(&self.chain);
        Ok(SignedMessage::new(vote, Sig(self.key.sign(&preimage))))
    }

    async fn sign_proposal(&self, proposal: Proposal) -> Result<SignedMessage<Network, Proposal>, Error> {
        let ledgers = proposal.to_ledger().ok_or_else(|| Error::from_source(NoRound))?;
        Ok(SignedMessage::new(proposal, Sig(Self::proposal(self, &ledgers))))
    }

    async fn sign_vote_extension(
        &self,
        _: VoteExtensionScope<Network>,
        (): (),
    ) -> Result<SignedMessage<Network, ()>, Error> {
        Err(Error::new())
    }

    async fn sign_validator_proof(&self, _: Vec<u8>, _: Vec<u8>) -> Result<ValidatorProof<Network>, Error> {
        Err(Error::new())
    }
}
