//! Receipts: what a source writes down of every access, and of those it refused.
//!
//! A source signs a receipt for each time that a study is opened, before the first byte, and whoever opened it signs the same receipt. The
//! receipts of a study are a [chain](Tip), so that none can be left out, put in or altered later without the holder seeing it. Now and
//! then the source commits to all of them on the ledger, by the [`Anchor`](crate::action::Anchor) action, over a Merkle tree; an
//! [`Inclusion`] proves that one is in it.
//!
//! ```text
//! receipt 0 ◄── receipt 1 ◄── receipt 2          a study's chain: each names the digest of the one before
//!     │             │             │
//!     └──────┬──────┘             └── …          the trees over them, whichever study they are of
//!         root, in a block                       an anchor
//! ```
//!
//! What it cannot show: an access that source and recipient hide together. Neither signs anything then, and nothing is missing from the
//! chain. It also says who had the key and was sent how much, not who looked at it.

mod chain;
mod inclusion;
mod refusal;
mod statement;

use alloc::boxed::Box;

use borsh::{BorshDeserialize, BorshSerialize};

pub use self::chain::{ChainError, Tip};
pub use self::inclusion::{Inclusion, NotIncluded, anchor_root};
pub use self::refusal::RefusalReason;
pub use self::statement::{
    Anchored, AnchoredReceipt, MAX_STATED, MAX_STATED_ANCHORS, ProvenAnchor, Stated, Statement, StatementError,
    UnprovenAnchor,
};
use crate::authorise::{Actor, Claim, SignedHello};
use crate::domain::{self, Tag};
use crate::encoding::{Text, Wire};
use crate::id::{
    AlertDigest, ChainId, CredentialDigest, GrantId, HelloDigest, ManifestRoot, ReceiptDigest, SourceId, StudyId,
};
use crate::key::{Key, SecretKey, Signature, SignatureError};
use crate::terms::PurposeOfUse;
use crate::time::{DAY_MS, Timestamp};

/// One thing that happened to a study at its source.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Receipt {
    /// The source.
    pub source: SourceId,
    /// The source's operational key, which signs it. Keys change, and a receipt is kept for years.
    pub signer: Key,
    /// The study.
    pub study: StudyId,
    /// Its place among the study's receipts; the first is 0.
    pub sequence: u64,
    /// The digest of the one before; zeros in the first.
    pub previous: ReceiptDigest,
    /// When, by the source's clock; never before the one before.
    pub at: Timestamp,
    /// How many were refused since the one before and have no receipt of their own: a source writes down so many a day.
    pub unlisted: u64,
    /// What happened.
    pub entry: Entry,
    /// 32 random bytes, so that the digest, which others see in their proofs, tells nothing.
    pub blinding: [u8; 32],
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Entry {
    /// Somebody was let in.
    Opened(Box<Opened>),
    /// Nothing more is sent to somebody who was.
    Closed(Closed),
    /// Somebody was not let in.
    Refused(Refused),
    /// A revocation was seen: from here on nobody is served on that grant.
    RevocationSeen {
        /// Which grant ends.
        grant: GrantId,
    },
    /// Somebody was let in; since openings are counted, in place of [`Entry::Opened`].
    Opening(Box<Opening>),
    /// Somebody was let in by an emergency card.
    EmergencyOpening(Box<Opening>, Box<EmergencyStated>),
    /// An alert about a finding has come to a stage.
    Alerted {
        /// Which.
        stage: AlertStage,
        /// Of what was said then, which those know who were told.
        digest: AlertDigest,
    },
    /// The source's receipts were put back from a copy: what was written between then and now may be missing.
    Restored {
        /// When the copy was made.
        copied: Timestamp,
    },
}

/// For how long an opening that was not finished can be gone on with, in milliseconds.
pub const RESUMED_WITHIN_MS: u64 = DAY_MS;

/// Somebody was let in, with what is counted and who signed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// Who, by what right, to what.
    pub opened: Opened,
    /// Which opening on this grant it is: the first is 1. 0 where none are counted: by the holder.
    pub number: u32,
    /// The receipt of the same opening that this goes on with; none where it begins.
    pub resumes: Option<u64>,
    /// The key of the person who acted and signed.
    pub member: Option<Key>,
    /// The credential that was shown.
    pub credential: Option<CredentialDigest>,
}

/// What was said of an emergency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EmergencyStated {
    /// The reason.
    pub reason: Text<256>,
    /// The second person; without one somebody else is to look at the case afterwards.
    pub second: Option<Second>,
}

/// The second person of an emergency.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Second {
    /// The key that signed.
    pub key: Key,
    /// The name, as they said.
    pub name: Text<128>,
    /// The credential that was shown.
    pub credential: Option<CredentialDigest>,
}

/// How far an alert is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum AlertStage {
    /// Somebody found something that cannot wait.
    Raised,
    /// It was sent to somebody.
    Sent,
    /// A mailbox has it.
    Stored,
    /// A device has it.
    Delivered,
    /// A person looked at it.
    Opened,
    /// A person took it on.
    Acknowledged,
    /// A person did not take it on, and said who will.
    Declined,
    /// The next in line is told.
    Escalated,
    /// Somebody was called, and read it back.
    Called,
    /// What it says was corrected.
    Corrected,
    /// It was none.
    Withdrawn,
    /// What was to follow is due.
    FollowUpDue,
    /// It was acted on.
    Acted,
    /// Nothing is left to do.
    Closed,
}

impl AlertStage {
    /// Every stage.
    pub const ALL: [Self; 14] = [
        Self::Raised,
        Self::Sent,
        Self::Stored,
        Self::Delivered,
        Self::Opened,
        Self::Acknowledged,
        Self::Declined,
        Self::Escalated,
        Self::Called,
        Self::Corrected,
        Self::Withdrawn,
        Self::FollowUpDue,
        Self::Acted,
        Self::Closed,
    ];

    /// A word for programs.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Raised => "raised",
            Self::Sent => "sent",
            Self::Stored => "stored",
            Self::Delivered => "delivered",
            Self::Opened => "opened",
            Self::Acknowledged => "acknowledged",
            Self::Declined => "declined",
            Self::Escalated => "escalated",
            Self::Called => "called",
            Self::Corrected => "corrected",
            Self::Withdrawn => "withdrawn",
            Self::FollowUpDue => "follow-up due",
            Self::Acted => "acted on",
            Self::Closed => "closed",
        }
    }
}

impl Entry {
    /// Who was let in, if somebody was, by whichever version of receipts.
    #[must_use]
    pub fn opened(&self) -> Option<&Opened> {
        match self {
            Self::Opened(opened) => Some(opened),
            _ => self.opening().map(|opening| &opening.opened),
        }
    }

    /// The opening with what is counted, if it is one that says so.
    #[must_use]
    pub fn opening(&self) -> Option<&Opening> {
        match self {
            Self::Opening(opening) | Self::EmergencyOpening(opening, _) => Some(opening),
            _ => None,
        }
    }

    /// The same, to count it.
    pub fn opening_mut(&mut self) -> Option<&mut Opening> {
        match self {
            Self::Opening(opening) | Self::EmergencyOpening(opening, _) => Some(opening),
            _ => None,
        }
    }

    /// What is written down when `remote`, which said `hello`, is let in to this revision with this root. Which opening
    /// it is, and whether it goes on with another, is found out when it is written.
    #[must_use]
    pub fn opens(chain: &ChainId, remote: Key, hello: &SignedHello, current: (u32, ManifestRoot)) -> Self {
        let digest = |actor: &Option<Actor>| actor.as_ref().and_then(|actor| actor.credential_digest(chain));
        let said = &hello.hello;
        let opening = Box::new(Opening {
            opened: Opened::of(chain, remote, hello, current),
            number: 0,
            resumes: None,
            member: hello.member.map(|member| member.key),
            credential: digest(&said.actor),
        });
        let Some(emergency) = &said.emergency else { return Self::Opening(opening) };
        let second = hello.second.zip(emergency.second.as_ref()).map(|(signed, actor)| Second {
            key: signed.key,
            name: actor.name.clone(),
            credential: digest(&emergency.second),
        });
        Self::EmergencyOpening(opening, Box::new(EmergencyStated { reason: emergency.reason.clone(), second }))
    }
}

/// Somebody was let in.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opened {
    /// The key of the connection.
    pub remote: Key,
    /// By what right.
    pub claim: ReceiptClaim,
    /// Who acted, as they said.
    pub actor: Option<Actor>,
    /// The revision that was sent of.
    pub revision: u32,
    /// That revision's root.
    pub root: ManifestRoot,
    /// What they said and signed to be let in.
    pub hello: HelloDigest,
}

/// By what right somebody was let in, as far as a receipt says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum ReceiptClaim {
    /// It was their own study.
    Holder,
    /// It was granted to them.
    Grant {
        /// Which grant.
        grant: GrantId,
        /// What for.
        purpose: PurposeOfUse,
        /// Granted from an emergency card.
        emergency: bool,
    },
}

impl ReceiptClaim {
    /// The grant, if it is one.
    #[must_use]
    pub const fn grant(self) -> Option<GrantId> {
        match self {
            Self::Holder => None,
            Self::Grant { grant, .. } => Some(grant),
        }
    }
}

/// Nothing more is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Closed {
    /// The sequence of the receipt of when it began.
    pub opened: u64,
    /// Instances and attachments that were sent whole.
    pub items: u32,
    /// Bytes that were sent.
    pub bytes: u64,
    /// How it ended.
    pub end: End,
}

/// How sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum End {
    /// The recipient had what it wanted.
    Finished,
    /// Consent ended.
    ConsentEnded,
    /// The study was revised meanwhile.
    Revised,
    /// The connection broke, or one side failed.
    Broken,
}

/// Somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Refused {
    /// The key of the connection.
    pub remote: Key,
    /// The grant that was claimed; none by who claimed to hold the study.
    pub grant: Option<GrantId>,
    /// Why.
    pub reason: RefusalReason,
}

/// A receipt with its signatures.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedReceipt {
    /// What is signed.
    pub receipt: Receipt,
    /// By the receipt's `signer`.
    pub signature: Signature,
    /// By whoever was let in, over the receipt's digest. Without it the source alone says that they were.
    pub countersignature: Option<Signature>,
}

/// Why a receipt is not to be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Another source's.
    #[error("the receipt is another source's")]
    OtherSource,
    /// Signed by a key that is not known as the source's.
    #[error("the receipt is signed by a key that is not the source's")]
    OtherSigner,
    /// Not signed.
    #[error("the receipt is not signed by its source: {0}")]
    Signature(SignatureError),
    /// Not signed by the other side.
    #[error("the receipt is not signed by whoever was let in: {0}")]
    Countersignature(SignatureError),
    /// Signed by another side where there is none.
    #[error("the receipt is signed by two, and there is nobody but the source to sign it")]
    NobodyElse,
}

impl Opened {
    /// What is written down when `remote`, which said `hello`, is let in to this revision with this root.
    #[must_use]
    pub fn of(chain: &ChainId, remote: Key, hello: &SignedHello, (revision, root): (u32, ManifestRoot)) -> Self {
        let claim = match &hello.hello.claim {
            Claim::Holder => ReceiptClaim::Holder,
            Claim::Grant { grant, terms } => {
                ReceiptClaim::Grant { grant: *grant, purpose: terms.purpose, emergency: terms.emergency }
            }
        };
        Self { remote, claim, actor: hello.hello.actor.clone(), revision, root, hello: hello.digest(chain) }
    }
}

impl Receipt {
    /// Its digest.
    #[must_use]
    pub fn digest(&self, chain: &ChainId) -> ReceiptDigest {
        ReceiptDigest::from_bytes(domain::digest(Tag::RECEIPT, chain, self))
    }

    /// Signs it. `key` is that of `signer`.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedReceipt {
        let signature = key.sign(&domain::preimage(Tag::RECEIPT, chain, &self));
        SignedReceipt { receipt: self, signature, countersignature: None }
    }

    /// The grant that it is about, if it is about one.
    #[must_use]
    pub fn grant(&self) -> Option<GrantId> {
        match &self.entry {
            Entry::Refused(refused) => refused.grant,
            Entry::RevocationSeen { grant } => Some(*grant),
            entry => entry.opened().and_then(|opened| opened.claim.grant()),
        }
    }

    /// Who signs it beside the source: whoever was let in.
    #[must_use]
    pub fn countersigner(&self) -> Option<Key> {
        self.entry.opened().map(|opened| opened.remote)
    }
}

impl ReceiptDigest {
    /// What the first receipt of a study has before it.
    pub const NONE: Self = Self::from_bytes([0; 32]);

    /// Signs a receipt by its digest: that one was let in, as it says.
    #[must_use]
    pub fn countersign(&self, chain: &ChainId, key: &SecretKey) -> Signature {
        key.sign(&domain::preimage(Tag::COUNTERSIGNATURE, chain, self))
    }

    /// Verifies the signature of whoever was let in.
    ///
    /// # Errors
    /// [`SignatureError`].
    pub fn verify_countersignature(
        &self,
        chain: &ChainId,
        remote: &Key,
        signature: &Signature,
    ) -> Result<(), SignatureError> {
        signature.verify(remote, &domain::preimage(Tag::COUNTERSIGNATURE, chain, self))
    }
}

impl SignedReceipt {
    /// Verifies that `source` signed it by one of its operational `keys`, now or formerly in force, and that the other signature,
    /// if there is one, is that of whoever was let in.
    ///
    /// # Errors
    /// [`ReceiptError`].
    pub fn verify(&self, chain: &ChainId, source: SourceId, keys: &[Key]) -> Result<(), ReceiptError> {
        let Self { receipt, signature, countersignature } = self;
        if receipt.source != source {
            return Err(ReceiptError::OtherSource);
        }
        if !keys.contains(&receipt.signer) {
            return Err(ReceiptError::OtherSigner);
        }
        let preimage = domain::preimage(Tag::RECEIPT, chain, receipt);
        signature.verify(&receipt.signer, &preimage).map_err(ReceiptError::Signature)?;
        let Some(countersignature) = countersignature else { return Ok(()) };
        let remote = receipt.countersigner().ok_or(ReceiptError::NobodyElse)?;
        let digest = receipt.digest(chain);
        digest.verify_countersignature(chain, &remote, countersignature).map_err(ReceiptError::Countersignature)
    }
}

impl Wire for Receipt {
    const NAME: &'static str = "a receipt";
    const MAX_LEN: usize = 2 * 1024;
}

impl Wire for SignedReceipt {
    const NAME: &'static str = "a signed receipt";
    const MAX_LEN: usize = Receipt::MAX_LEN + 65 + 66;
}
