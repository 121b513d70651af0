//! Everything that a relay or a wallet reads from the network, fed with anything: it answers, and what it accepts is exactly what it was given.
//! What only one protocol says is tried beside it.

use clavicle_ledger::action::Revoke;
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text, Wire};
use clavicle_ledger::id::{BlockId, ChainId, EnvelopeHash, GrantId, ReceiptDigest, SourceId, StudyId};
use clavicle_ledger::key::{SecretKey, Signature};
use clavicle_ledger::light::{Checkpoint, Endorsement, SignedCheckpoint};
use clavicle_ledger::receipt::{Entry, Receipt, SignedReceipt};
use clavicle_ledger::time::{BlockTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_letters::credential::{Credential, CredentialNumber, EndedCredentials, Issuer, Role, Vouching};
use clavicle_letters::mailbox::{Mailbox, Token};
use clavicle_manifest::{Header, Manifest, Nonce, SignedManifest, Uid};

use crate::hostile::feed;
use crate::message::{
    Acknowledged, Collection, DecidedBlock, List, MailboxRequest, MailboxResponse, Opening, Prefix, Query, Request,
    Response, Verdict,
};

const CHAIN: ChainId = ChainId::from_bytes([7; 32]);
const SOURCE: SourceId = SourceId::from_bytes([2; 32]);

fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32])
}

pub(crate) fn envelope() -> Envelope {
    let (study, grant) = (StudyId::from_bytes([1; 32]), GrantId::from_bytes([3; 32]));
    let action = Action::Revoke(Revoke { study, revoker: key(4).public(), grant, grant_submit_by: Timestamp(5) });
    Body { submit_by: Timestamp(6), nonce: [0; 16], action }.sign(&CHAIN, &[&key(4)]).unwrap()
}

pub(crate) fn receipt() -> SignedReceipt {
    let receipt = Receipt {
        source: SOURCE,
        signer: key(5).public(),
        study: StudyId::from_bytes([1; 32]),
        sequence: 7,
        previous: ReceiptDigest::from_bytes([1; 32]),
        at: Timestamp(8),
        unlisted: 0,
        entry: Entry::RevocationSeen { grant: GrantId::from_bytes([3; 32]) },
        blinding: [3; 32],
    };
    receipt.sign(&CHAIN, &key(5))
}

pub(crate) fn manifest() -> SignedManifest {
    let header = Header {
        study: StudyId::from_bytes([1; 32]),
        source: SOURCE,
        study_instance_uid: Uid::new("1.2.840.1").unwrap(),
        revision: 0,
        predecessor: None,
        open: true,
        study_date: None,
        description: Text::default(),
    };
    let manifest = Manifest::new(header, Nonce::from_bytes([7; 32]), Ascending::new(), Ascending::new());
    manifest.unwrap().sign(&CHAIN, &key(5))
}

pub(crate) fn mailbox() -> Mailbox {
    let relays = Ascending::from_items(vec![SOURCE]).unwrap();
    Mailbox { key: key(6).public(), relays, token: Token([1; 16]) }
}

/// Feeds the decoder of `T` with anything, and with these values edited.
pub(crate) fn decodes<T: Wire>(values: &[T]) {
    let vectors: Vec<_> = values.iter().map(encoding::encode).collect();
    for vector in &vectors {
        assert!(encoding::decode::<T>(vector).is_ok(), "{}", T::NAME);
    }
    feed(T::NAME, &vectors, |bytes| {
        if let Ok(value) = encoding::decode::<T>(bytes) {
            assert_eq!(encoding::encode(&value), bytes);
        }
    });
}

/// What a source vouches for.
fn checkpoint() -> SignedCheckpoint {
    let (from, until) = (Timestamp(1), Timestamp(2));
    let endorsement = Endorsement { chain: CHAIN, source: SOURCE, key: key(10).public(), from, until }.sign(&key(11));
    let checkpoint = Checkpoint { height: 4, block: BlockId::from_bytes([1; 32]) };
    SignedCheckpoint {
        endorsement,
        checkpoint,
        time: BlockTime(Timestamp(3)),
        signature: Signature::from_bytes([4; 64]),
    }
}

#[test]
fn requests() {
    let hashes = Ascending::from_items(vec![EnvelopeHash::from_bytes([1; 32]), EnvelopeHash::from_bytes([2; 32])]);
    let opening = Opening { relay: SOURCE, mailbox: key(6).public(), token: Token([1; 16]), until: Timestamp(9) };
    let collection = Collection {
        relay: SOURCE,
        relay_peer: key(7).public(),
        own_peer: key(8).public(),
        challenge: [4; 32],
        mailbox: key(6).public(),
        acknowledged: Ascending::from_items(vec![Acknowledged([5; 32])]).unwrap(),
    };
    let (opening, collection) = (opening.sign(&CHAIN, &key(6)), collection.sign(&CHAIN, &key(6)));
    let sealed = Bytes::new(vec![9; 200]).unwrap();
    decodes(&[
        Request::Submit(Box::new(envelope())),
        Request::Query(Query::Envelopes(hashes.unwrap())),
        Request::Query(Query::Holders(Prefix::of(&key(9).public(), 13))),
        Request::Query(Query::Blocks { from: 3, offset: 7 }),
        Request::Query(Query::Checkpoints),
        Request::Query(Query::Credential(key(9).public())),
        Request::Mailbox(Box::new(MailboxRequest::Open { opening, work: None })),
        Request::Mailbox(Box::new(MailboxRequest::Deposit { mailbox: key(6).public(), token: Token([1; 16]), sealed })),
        Request::Mailbox(Box::new(MailboxRequest::Collect(collection))),
    ]);
}

fn vouching() -> Vouching {
    let by = Issuer::Source(SOURCE);
    let credential = Credential {
        by,
        person: key(9).public(),
        name: Text::new("Dr Rossi").unwrap(),
        role: Role::Physician,
        specialty: Text::default(),
        from: Timestamp(1),
        until: Timestamp(2),
        number: CredentialNumber(3),
    };
    let ended = Ascending::from_items(vec![CredentialNumber(1)]).unwrap();
    let list = EndedCredentials { by, number: 4, at: Timestamp(5), before: CredentialNumber(1), ended };
    Vouching { credential: credential.sign(&CHAIN, &key(5)), ended: list.sign(&CHAIN, &key(5)) }
}

#[test]
fn responses() {
    let block = DecidedBlock {
        height: 4,
        round: 0,
        id: BlockId::from_bytes([1; 32]),
        signatures: List::of([(SOURCE, Signature::from_bytes([3; 64]))]),
        len: 5,
        bytes: Bytes::new(vec![1; 5]).unwrap(),
    };
    let letter = Bytes::new(vec![9; 100]).unwrap();
    decodes(&[
        Response::Verdict(Verdict::Rejected(Text::new("no").unwrap())),
        Response::Waiting(Ascending::from_items(vec![EnvelopeHash::from_bytes([1; 32])]).unwrap()),
        Response::Envelopes(List::of([envelope()])),
        Response::Bound { verdict: Verdict::Waits, receipt: Box::new(receipt()) },
        Response::Blocks(List::of([block])),
        Response::Checkpoints(List::of([checkpoint()])),
        Response::Credential(Some(Box::new(vouching()))),
        Response::Mailbox(MailboxResponse::Messages(List::of([letter]))),
    ]);
}
