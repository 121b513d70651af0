//! Ids: 32-byte hashes that cannot be mistaken for each other.

/// Declares types of 32 bytes that are a hash: each with its documentation, its name, and what it is called in errors.
///
/// The crate that uses it depends on `borsh` with its derives.
#[macro_export]
macro_rules! hash_types {
    ($($(#[$doc:meta])* $name:ident, $article:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// `Display` is 64 hexadecimal digits; `Debug`, for logs, the first eight.
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ::borsh::BorshSerialize, ::borsh::BorshDeserialize,
        )]
        pub struct $name([u8; 32]);

        impl $name {
            /// Takes 32 bytes for one, unexamined.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl $crate::encoding::Wire for $name {
            const NAME: &'static str = $article;
            const MAX_LEN: usize = 32;
        }

        impl $crate::encoding::Entry for $name {
            type Key = Self;
            fn key(&self) -> &Self {
                self
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                ::core::fmt::Display::fmt(&$crate::encoding::Hex(&self.0), f)
            }
        }

        impl ::core::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                write!(f, concat!(stringify!($name), "({}…)"), $crate::encoding::Hex(&self.0[..4]))
            }
        }
    )*};
}

hash_types! {
    /// A network: BLAKE3 of its encoded genesis, without a tag, since the genesis is what tags are bound to.
    ChainId, "a chain id";
    /// A transaction: BLAKE3 of its signed preimage. Used for replay alone, and set only on execution.
    TxId, "a transaction id";
    /// A grant: the [`TxId`] of the transaction that made it.
    GrantId, "a grant id";
    /// A whole envelope, signatures included: what gossip, mempools and a block's envelopes root go by, so that a copy
    /// with a bad signature can neither ride on nor push out the good one.
    EnvelopeHash, "an envelope hash";
    /// A Study Instance UID hashed under a random salt (see [`crate::salt::Salt`]).
    StudyDigest, "a study's digest";
    /// A study: the source that defined it, and its [`StudyDigest`].
    StudyId, "a study id";
    /// A series: its Series Instance UID hashed under the same salt.
    SeriesId, "a series id";
    /// What is voted on: BLAKE3 of the content's preimage.
    BallotId, "a ballot id";
    /// A validator signed twice where it may sign once: whose it is, and where.
    EquivocationId, "an equivocation's id";
    /// The root over a source's receipts.
    AnchorRoot, "an anchor's root";
    /// A receipt: BLAKE3 of its preimage, signatures apart.
    ReceiptDigest, "a receipt's digest";
    /// The signed opening message of a fetch.
    HelloDigest, "a hello's digest";
    /// A credential, as it was shown when a study was opened.
    CredentialDigest, "a credential's digest";
    /// What was said at one stage of an alert.
    AlertDigest, "an alert's digest";
    /// A source, from the identity key it was admitted with; it stays when keys change.
    SourceId, "a source id";
    /// The Merkle root of a manifest: everything a source says is in a study.
    ManifestRoot, "a manifest root";
    /// What a Grant says of its Terms without saying them.
    TermsCommitment, "a commitment to terms";
    /// The digest of the request a Grant answers; all zeros when it answers none.
    RequestDigest, "a request digest";
    /// A study's events so far, hashed into each other.
    EventHash, "an event hash";
    /// A block header's hash: the block's id, and the value that consensus agrees on.
    BlockId, "a block id";
    /// The root of the whole state.
    StateRoot, "a state root";
    /// The root over a block's envelopes.
    EnvelopesRoot, "an envelopes root";
    /// The hash of a validator set.
    ValidatorsHash, "a validator set's hash";
    /// The digest of a commit certificate.
    CommitDigest, "a commit certificate's digest";
}

impl EnvelopeHash {
    /// The hash of an envelope's encoding.
    pub(crate) fn of(encoded: &[u8]) -> Self {
        Self(*blake3::hash(encoded).as_bytes())
    }
}

impl RequestDigest {
    /// The grant answers no request.
    pub const NONE: Self = Self([0; 32]);
}

impl EventHash {
    /// The hash before the first event.
    pub const START: Self = Self([0; 32]);
}

impl From<EquivocationId> for TxId {
    /// An equivocation is remembered as a transaction is.
    fn from(id: EquivocationId) -> Self {
        Self(id.0)
    }
}

impl From<TxId> for GrantId {
    fn from(id: TxId) -> Self {
        Self(id.0)
    }
}

impl From<GrantId> for TxId {
    fn from(id: GrantId) -> Self {
        Self(id.0)
    }
}
