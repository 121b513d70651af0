//! The source's signature on a manifest, the same for the whole and for its parts.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::id::{ChainId, ManifestRoot};
use clavicle_ledger::key::{Key, SecretKey, Signature, SignatureError};

use crate::manifest::{Header, Manifest};
use crate::scoped::{ScopedError, ScopedManifest};

/// A source vouches for a root: its operational key signed study, revision and root.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Endorsement {
    /// The operational key. Whether it is the source's, the ledger says.
    pub signer: Key,
    /// Its signature.
    pub signature: Signature,
}

/// Why an endorsement is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// By another key than asked for.
    #[error("the manifest is signed by another key than the source's")]
    OtherSigner,
    /// Not this key's signature on this manifest.
    #[error("the source's signature on the manifest does not hold")]
    Signature(#[source] SignatureError),
    /// It is not the manifest whose root is on the ledger.
    #[error("the manifest is not the one on the ledger: it is another revision, or was altered")]
    OtherRoot,
    /// A part does not belong to the whole.
    #[error(transparent)]
    Scoped(#[from] ScopedError),
}

impl Endorsement {
    fn preimage(chain: &ChainId, header: &Header, root: &ManifestRoot) -> alloc::vec::Vec<u8> {
        domain::preimage(Tag::MANIFEST_SIGNATURE, chain, &(header.study, header.revision, root))
    }

    fn make(chain: &ChainId, header: &Header, root: &ManifestRoot, key: &SecretKey) -> Self {
        Self { signer: key.public(), signature: key.sign(&Self::preimage(chain, header, root)) }
    }

    fn verify(
        &self,
        chain: &ChainId,
        header: &Header,
        root: &ManifestRoot,
        operational: &Key,
    ) -> Result<(), VerifyError> {
        let Self { signer, signature } = self;
        if signer != operational {
            return Err(VerifyError::OtherSigner);
        }
        signature.verify(signer, &Self::preimage(chain, header, root)).map_err(VerifyError::Signature)
    }
}

impl Wire for Endorsement {
    const NAME: &'static str = "a source's signature on a manifest";
    const MAX_LEN: usize = Key::MAX_LEN + Signature::MAX_LEN;
}

/// A manifest, signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedManifest {
    /// The manifest.
    pub manifest: Manifest,
    /// The source's signature.
    pub endorsement: Endorsement,
}

impl Manifest {
    /// Signs the manifest with the source's operational key.
    #[must_use]
    pub fn sign(self, chain: &ChainId, operational: &SecretKey) -> SignedManifest {
        let endorsement = Endorsement::make(chain, &self.header().clone(), &self.root(chain), operational);
        SignedManifest { manifest: self, endorsement }
    }
}

impl SignedManifest {
    /// Verifies the signature of `operational`, and gives the root for comparison with the ledger.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify(&self, chain: &ChainId, operational: &Key) -> Result<ManifestRoot, VerifyError> {
        let root = self.manifest.root(chain);
        self.endorsement.verify(chain, self.manifest.header(), &root, operational)?;
        Ok(root)
    }

    /// Verifies the signature of `operational`, and that this is the manifest with `root`.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_is(&self, chain: &ChainId, operational: &Key, root: &ManifestRoot) -> Result<(), VerifyError> {
        if self.verify(chain, operational)? == *root { Ok(()) } else { Err(VerifyError::OtherRoot) }
    }
}

impl Wire for SignedManifest {
    const NAME: &'static str = "a signed manifest";
    const MAX_LEN: usize = Manifest::MAX_LEN + Endorsement::MAX_LEN;
}

/// A part of a manifest, with the signature on the whole.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedScopedManifest {
    /// The part.
    pub scoped: ScopedManifest,
    /// The source's signature on the whole.
    pub endorsement: Endorsement,
}

impl SignedScopedManifest {
    /// Verifies that the part belongs to the manifest with `root`, and that `operational` signed that.
    ///
    /// # Errors
    /// [`VerifyError`].
    pub fn verify_is(&self, chain: &ChainId, operational: &Key, root: &ManifestRoot) -> Result<(), VerifyError> {
        self.scoped.verify(chain, root)?;
        self.endorsement.verify(chain, self.scoped.header(), root, operational)
    }
}

impl Wire for SignedScopedManifest {
    const NAME: &'static str = "a signed part of a manifest";
    const MAX_LEN: usize = ScopedManifest::MAX_LEN + Endorsement::MAX_LEN;
}
