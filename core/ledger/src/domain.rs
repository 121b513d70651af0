//! Domains: what keeps a signature made for one purpose, or one network, from meaning anything in another.
//!
//! Every signature and every id is over `tag ‖ chain id ‖ borsh(body)` (RULES §1). A tag is 16 ASCII bytes, one
//! per kind; it changes with the format it stands for.

use alloc::vec::Vec;

use borsh::BorshSerialize;

use crate::id::ChainId;

/// What a signed or hashed body is: 16 ASCII bytes, padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag([u8; 16]);

macro_rules! tags {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        impl Tag {
            $($(#[$doc])* pub const $name: Self = Self::new($text);)*
            /// Every tag in use, to show that no two are alike.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

tags! {
    /// A source's candidature for a genesis, which is signed for no network yet.
    CANDIDATE = "clavicle/candi/1";
    /// Body of a DefineSource.
    DEFINE_SOURCE = "clavicle/defso/1";
    /// Body of a DefineStudy.
    DEFINE_STUDY = "clavicle/defst/1";
    /// Body of a ReviseStudy.
    REVISE_STUDY = "clavicle/revis/1";
    /// Body of a SetStatus.
    SET_STATUS = "clavicle/statu/1";
    /// Body of a Grant.
    GRANT = "clavicle/grant/1";
    /// Body of a Revoke.
    REVOKE = "clavicle/revok/1";
    /// Body of a Delegate.
    DELEGATE = "clavicle/deleg/1";
    /// Body of an Undelegate.
    UNDELEGATE = "clavicle/undel/1";
    /// Body of a TransferStudy.
    TRANSFER_STUDY = "clavicle/trans/1";
    /// Body of a RecoverStudy.
    RECOVER_STUDY = "clavicle/recov/1";
    /// Body of a Veto.
    VETO = "clavicle/vetoe/1";
    /// Body of an Anchor.
    ANCHOR = "clavicle/ancho/1";
    /// Body of a Vote on how the network goes on; a validator's vote on a block is [`Tag::VOTE`].
    CAST = "clavicle/casts/1";
    /// Body of an Evidence.
    EVIDENCE = "clavicle/evide/1";
    /// What is voted on.
    BALLOT = "clavicle/ballo/1";
    /// What an equivocation is known by.
    EQUIVOCATION = "clavicle/equiv/1";
    /// A source's id, from the identity key it was admitted with.
    SOURCE_ID = "clavicle/srcid/1";
    /// A study's id, from its source and its digest.
    STUDY_ID = "clavicle/study/1";
    /// The commitment of a Grant to its Terms.
    TERMS = "clavicle/terms/1";
    /// The commitment of a Grant to its Terms, when these have conditions.
    TERMS_2 = "clavicle/terms/2";
    /// One step of a study's running event hash.
    EVENT = "clavicle/event/1";
    /// A block header; its hash is the block's id and the value agreed on.
    HEADER = "clavicle/block/1";
    /// The root over a block's envelopes.
    ENVELOPES = "clavicle/envel/1";
    /// A validator set.
    VALIDATORS = "clavicle/valid/1";
    /// A commit certificate's digest, as the next header carries it.
    COMMIT = "clavicle/commi/1";
    /// A checkpoint, signed by a source's checkpoint key.
    CHECKPOINT = "clavicle/check/2";
    /// What a source's identity key says of its checkpoint key.
    ENDORSEMENT = "clavicle/endor/1";
    /// A validator's vote.
    VOTE = "clavicle/votes/1";
    /// A proposer's proposal for a round.
    PROPOSAL = "clavicle/propo/1";
    /// A source's word on which block is the newest that it has, to one that asked just now.
    NEWEST = "clavicle/newes/1";
    /// The opening message of a fetch.
    HELLO = "clavicle/hello/2";
    /// The signature of a person who acts for a grantee, under the opening message of a fetch.
    MEMBER = "clavicle/membe/1";
    /// A credential as it was shown.
    CREDENTIAL_SHOWN = "clavicle/crsho/1";
    /// What a receipt says of the opening message of a fetch.
    HELLO_DIGEST = "clavicle/hedig/2";
    /// A receipt; its hash is the receipt's digest.
    RECEIPT = "clavicle/recei/1";
    /// A recipient's signature on a receipt's digest.
    COUNTERSIGNATURE = "clavicle/count/1";
    /// The root over the receipts of an anchor.
    ANCHOR_ROOT = "clavicle/anroo/1";
    /// A visiting card.
    CARD = "clavicle/cards/2";
    /// An organisation's word on who somebody is.
    CREDENTIAL = "clavicle/crede/1";
    /// The credentials that an organisation has ended.
    ENDED_CREDENTIALS = "clavicle/endcr/1";
    /// Somebody asks an organisation for its word.
    CREDENTIAL_REQUEST = "clavicle/crreq/1";
    /// An Invitation; its hash is the Invitation's id.
    INVITATION = "clavicle/invit/1";
    /// What an Invitation commits to.
    INVITATION_NONCE = "clavicle/invno/1";
    /// An answer to an Invitation: its digest.
    ANSWER = "clavicle/answr/1";
    /// The four words that two people compare.
    FOUR_WORDS = "clavicle/words/1";
    /// The opening of a mailbox at a relay.
    BOX_OPEN = "clavicle/boxop/1";
    /// The collection of what is in a mailbox.
    BOX_COLLECT = "clavicle/boxco/2";
    /// What is paid for a mailbox at a relay.
    BOX_WORK = "clavicle/boxwo/1";
    /// A message from one person to another, under its seal.
    LETTER = "clavicle/lettr/1";
    /// A manifest; its hash is the manifest's root.
    MANIFEST = "clavicle/manif/1";
    /// A branch of a manifest: a series or an attachment, with its blinding.
    MANIFEST_BRANCH = "clavicle/branc/2";
    /// A source's signature on a manifest.
    MANIFEST_SIGNATURE = "clavicle/msign/1";
}

impl Tag {
    const fn new(text: &str) -> Self {
        let (text, mut bytes, mut at) = (text.as_bytes(), [0; 16], 0);
        assert!(text.len() <= 16, "a tag is 16 bytes");
        while at < text.len() {
            bytes[at] = text[at];
            at = at.wrapping_add(1);
        }
        Self(bytes)
    }

    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// `tag ‖ chain id ‖ borsh(body)`: what is signed, and what is hashed into an id.
#[must_use]
pub fn preimage<T: BorshSerialize + ?Sized>(tag: Tag, chain: &ChainId, body: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(320);
    bytes.extend_from_slice(&tag.0);
    bytes.extend_from_slice(chain.as_bytes());
    body.serialize(&mut bytes).expect("writing to memory succeeds, and no type of ours refuses to be written");
    bytes
}

/// BLAKE3 of the [`preimage`].
#[must_use]
pub fn digest<T: BorshSerialize + ?Sized>(tag: Tag, chain: &ChainId, body: &T) -> [u8; 32] {
    *blake3::hash(&preimage(tag, chain, body)).as_bytes()
}
