//! Receipts: signed by both sides, chained, anchored; and each way in which they could be forged, changed or left out.

use clavicle_ledger::action::Anchor;
use clavicle_ledger::authorise::{Actor, Refused as GateRefused};
use clavicle_ledger::block::{InclusionError, prove_inclusion};
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text, Wire as _};
use clavicle_ledger::genesis::Parameters;
use clavicle_ledger::id::{
    AlertDigest, CredentialDigest, GrantId, HelloDigest, ManifestRoot, ReceiptDigest, SourceId, StudyId,
};
use clavicle_ledger::key::{Key, SecretKey, SignatureError};
use clavicle_ledger::light::{LightClient, LightError};
use clavicle_ledger::receipt::{
    AlertStage, Anchored, ChainError, Closed, EmergencyStated, End, Entry, Inclusion, MAX_STATED, NotIncluded, Opened,
    Opening, ProvenAnchor, Receipt, ReceiptClaim, ReceiptError, RefusalReason, Refused, Second, SignedReceipt, Stated,
    Statement, StatementError, Tip, UnprovenAnchor, anchor_root,
};
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Verified};

use crate::world::{World, certify, consensus_keys, hospitals, secret};

/// A source's receipts of one study, and their anchor in a block.
pub struct Book {
    pub world: World,
    pub receipts: Vec<SignedReceipt>,
    anchor: Option<ProvenAnchor>,
}

impl Book {
    fn new() -> Self {
        Self { world: World::new(Parameters::default()), receipts: Vec::new(), anchor: None }
    }

    /// A receipt of each kind, the first signed by both sides, and all of them anchored.
    pub fn with_one_of_everything() -> Self {
        let mut book = Self::new();
        let grant = GrantId::from_bytes([8; 32]);
        book.write(opened(&book.source_key(), ReceiptClaim::Holder));
        book.write(Entry::Closed(Closed { opened: 0, items: 214, bytes: 112_000_000, end: End::Finished }));
        let purpose = PurposeOfUse::Treatment;
        book.write(opened(&secret("grantee"), ReceiptClaim::Grant { grant, purpose, emergency: false }));
        let reason = RefusalReason::RevocationSeen;
        book.write(Entry::Refused(Refused { remote: secret("grantee").public(), grant: Some(grant), reason }));
        book.write(Entry::RevocationSeen { grant });
        let granted = ReceiptClaim::Grant { grant, purpose, emergency: false };
        book.write(opening(granted, 1, None));
        book.write(Entry::Closed(Closed { opened: 5, items: 3, bytes: 1_000_000, end: End::Broken }));
        book.write(opening(granted, 1, Some(5)));
        let stated = EmergencyStated {
            reason: Text::new("unconscious after a fall").unwrap(),
            second: Some(Second {
                key: secret("second").public(),
                name: Text::new("Dr Bianchi").unwrap(),
                credential: Some(CredentialDigest::from_bytes([11; 32])),
            }),
        };
        let granted = ReceiptClaim::Grant { grant, purpose: PurposeOfUse::EmergencyTreatment, emergency: true };
        let Entry::Opening(inner) = opening(granted, 2, None) else { panic!() };
        book.write(Entry::EmergencyOpening(inner, Box::new(stated)));
        book.write(Entry::Alerted { stage: AlertStage::Acknowledged, digest: AlertDigest::from_bytes([12; 32]) });
        book.write(Entry::Restored { copied: Timestamp(1_790_000_000_000) });
        book.receipts[0] = book.countersigned(0, &book.source_key());
        book.anchor();
        book
    }

    fn source_key(&self) -> SecretKey {
        // Whoever opened the first one; any key will do.
        secret("holder")
    }

    fn signer(&self) -> SecretKey {
        hospitals()[0].operational.clone()
    }

    pub fn source(&self) -> SourceId {
        hospitals()[0].id(&self.world.chain)
    }

    fn study(&self) -> StudyId {
        self.world.id(1)
    }

    fn next(&self, entry: Entry) -> Receipt {
        let before = self.receipts.last().map(|before| &before.receipt);
        Receipt {
            source: self.source(),
            signer: self.signer().public(),
            study: self.study(),
            sequence: self.receipts.len() as u64,
            previous: before.map_or(ReceiptDigest::NONE, |before| before.digest(&self.world.chain)),
            at: Timestamp(self.receipts.len() as u64 * 1_000),
            unlisted: 0,
            entry,
            blinding: [self.receipts.len() as u8; 32],
        }
    }

    fn write(&mut self, entry: Entry) {
        let signed = self.next(entry).sign(&self.world.chain, &self.signer());
        self.receipts.push(signed);
    }

    fn countersigned(&self, sequence: usize, key: &SecretKey) -> SignedReceipt {
        let signed = self.receipts[sequence].clone();
        let digest = signed.receipt.digest(&self.world.chain);
        SignedReceipt { countersignature: Some(digest.countersign(&self.world.chain, key)), ..signed }
    }

    pub fn digests(&self) -> Vec<ReceiptDigest> {
        self.receipts.iter().map(|signed| signed.receipt.digest(&self.world.chain)).collect()
    }

    /// Anchors all receipts, in a block with two of other sources before it or after it.
    fn anchor(&mut self) {
        let digests = self.digests();
        let root = anchor_root(&self.world.chain, &digests);
        let envelopes: Vec<Verified> = (0..3)
            .map(|hospital: usize| {
                let key = hospitals()[hospital].operational.clone();
                let count = digests.len() as u64;
                let anchor = Anchor { source: key.public(), sequence: 0, root, count };
                self.world.sign(Action::Anchor(anchor), &[&key])
            })
            .collect();
        let mine = envelopes[0].hash();
        let validators = self.world.state.validators().unwrap();
        let (proposal, _) = self.world.block(1_000, envelopes);
        let hashes: Vec<_> = proposal.block.envelopes.iter().map(Verified::hash).collect();
        let at = hashes.iter().position(|hash| *hash == mine).unwrap();
        self.anchor = Some(ProvenAnchor {
            sequence: 0,
            envelope: Box::new(proposal.block.envelopes[at].envelope().clone()),
            place: prove_inclusion(&hashes, at).unwrap(),
            header: certify(&self.world.header, &validators, &consensus_keys()),
        });
    }

    pub fn tip(&self) -> Tip {
        let about = (self.source(), self.study());
        let follow = |tip: Tip, signed: &SignedReceipt| tip.follow(&self.world.chain, about, &signed.receipt).unwrap();
        self.receipts.iter().fold(Tip::START, follow)
    }

    pub fn statement(&self) -> Statement {
        let digests = self.digests();
        let stated = |(at, receipt): (usize, &SignedReceipt)| Stated {
            receipt: receipt.clone(),
            anchored: Some(Anchored { anchor: 0, inclusion: Inclusion::of(&digests, at).unwrap() }),
        };
        Statement {
            receipts: Ascending::from_items(self.receipts.iter().enumerate().map(stated).collect()).unwrap(),
            anchors: Ascending::from_items(self.anchor.iter().cloned().collect()).unwrap(),
            more: false,
        }
    }

    fn verify(&self, statement: &Statement) -> Result<Tip, StatementError> {
        let client = self.client();
        let believed = |header: &_| client.newest() == header;
        let about = (self.source(), self.study());
        statement.verify(&self.world.chain, about, Tip::START, &[self.signer().public()], believed)
    }

    /// A phone that believes the anchor's block.
    fn client(&self) -> LightClient {
        let mut client = LightClient::from_genesis(&self.world.genesis);
        client.accept(&self.anchor.as_ref().unwrap().header, LocalTime(self.world.now())).unwrap();
        client
    }
}

/// An opening with this number, by the grantee and a member who signed.
fn opening(claim: ReceiptClaim, number: u32, resumes: Option<u64>) -> Entry {
    let Entry::Opened(opened) = opened(&secret("grantee"), claim) else { panic!() };
    Entry::Opening(Box::new(Opening {
        opened: *opened,
        number,
        resumes,
        member: Some(secret("member").public()),
        credential: Some(CredentialDigest::from_bytes([10; 32])),
    }))
}

fn opened(remote: &SecretKey, claim: ReceiptClaim) -> Entry {
    Entry::Opened(Box::new(Opened {
        remote: remote.public(),
        claim,
        actor: Some(Actor {
            name: Text::new("Dr Rossi").unwrap(),
            credential: Bytes::new(b"credential".to_vec()).unwrap(),
        }),
        revision: 3,
        root: ManifestRoot::from_bytes([5; 32]),
        hello: HelloDigest::from_bytes([6; 32]),
    }))
}

#[test]
fn both_sides_sign_and_a_phone_believes_what_is_anchored() {
    let book = Book::with_one_of_everything();
    let statement = encoding::decode::<Statement>(&encoding::encode(&book.statement())).unwrap();
    assert_eq!(book.verify(&statement), Ok(book.tip()));
    let client = book.client();
    let keys = [book.signer().public()];
    for sequence in 0..11 {
        let single = statement.single(sequence).unwrap();
        let believed = |header: &_| client.newest() == header;
        assert_eq!(single.verify(&book.world.chain, book.source(), &keys, believed), Ok(1));
    }
    assert_eq!(statement.single(11), None);
}

#[test]
fn a_receipt_is_its_sources_and_the_other_sides_word() {
    let book = Book::with_one_of_everything();
    let (chain, keys) = (book.world.chain, [book.signer().public()]);
    let verify = |signed: &SignedReceipt| signed.verify(&chain, book.source(), &keys);
    for signed in &book.receipts {
        assert_eq!(verify(signed), Ok(()));
    }
    let first = book.receipts[0].clone();
    let other = hospitals()[1].operational.clone();
    assert_eq!(first.verify(&chain, hospitals()[1].id(&chain), &keys), Err(ReceiptError::OtherSource));
    assert_eq!(first.verify(&chain, book.source(), &[other.public()]), Err(ReceiptError::OtherSigner));
    // Said to be signed by the source's key, and signed by another.
    let forged = first.receipt.clone().sign(&chain, &other);
    assert_eq!(verify(&forged), Err(ReceiptError::Signature(SignatureError::Wrong)));
    let altered = SignedReceipt { receipt: Receipt { at: Timestamp(9), ..first.receipt.clone() }, ..first.clone() };
    assert_eq!(verify(&altered), Err(ReceiptError::Signature(SignatureError::Wrong)));
    let other_chain = clavicle_ledger::id::ChainId::from_bytes([9; 32]);
    let foreign = first.receipt.clone().sign(&other_chain, &book.signer());
    assert_eq!(verify(&foreign), Err(ReceiptError::Signature(SignatureError::Wrong)));
    // The source cannot sign for the other side, nor with what the other side signed elsewhere.
    let wrong = Err(ReceiptError::Countersignature(SignatureError::Wrong));
    assert_eq!(verify(&book.countersigned(0, &book.signer())), wrong);
    let third = book.countersigned(2, &secret("grantee"));
    assert_eq!(verify(&third), Ok(()));
    assert_eq!(verify(&SignedReceipt { countersignature: third.countersignature, ..first }), wrong);
    // Nobody but the source has a word in a refusal.
    assert_eq!(verify(&book.countersigned(3, &secret("grantee"))), Err(ReceiptError::NobodyElse));
}

#[test]
fn nothing_is_left_out_put_in_or_changed_without_its_showing() {
    let book = Book::with_one_of_everything();
    let (chain, about) = (book.world.chain, (book.source(), book.study()));
    let after = |count: usize| {
        let before = book.receipts[..count].iter();
        before.fold(Tip::START, |tip, signed| tip.follow(&chain, about, &signed.receipt).unwrap())
    };
    let receipt = |sequence: usize| book.receipts[sequence].receipt.clone();
    let follow = |tip: Tip, receipt: &Receipt| tip.follow(&chain, about, receipt);
    assert_eq!(follow(after(2), &receipt(3)), Err(ChainError::Sequence { given: 3, due: 2 }));
    assert_eq!(follow(after(2), &receipt(1)), Err(ChainError::Sequence { given: 1, due: 2 }));
    let numbered = Receipt { sequence: 2, ..receipt(3) };
    assert_eq!(follow(after(2), &numbered), Err(ChainError::Previous(2)));
    let earlier = Receipt { at: Timestamp(999), ..receipt(2) };
    assert_eq!(follow(after(2), &earlier), Err(ChainError::Time(2)));
    let same_time = Receipt { at: Timestamp(1_000), ..receipt(2) };
    assert!(follow(after(2), &same_time).is_ok());
    let ended = Entry::Closed(Closed { opened: 2, items: 0, bytes: 0, end: End::Broken });
    assert_eq!(follow(after(2), &Receipt { entry: ended, ..receipt(2) }), Err(ChainError::NotOpened(2)));
    let granted =
        ReceiptClaim::Grant { grant: GrantId::from_bytes([8; 32]), purpose: PurposeOfUse::Legal, emergency: false };
    let ahead = Receipt { entry: opening(granted, 1, Some(2)), ..receipt(2) };
    assert_eq!(follow(after(2), &ahead), Err(ChainError::NotOpened(2)));
    assert_eq!(follow(after(2), &Receipt { study: book.world.id(2), ..receipt(2) }), Err(ChainError::OtherStudy));
    let source = hospitals()[1].id(&chain);
    assert_eq!(follow(after(2), &Receipt { source, ..receipt(2) }), Err(ChainError::OtherSource));
    // One that was known before and is another now: whatever is changed in it, the next one does not follow.
    for changed in [Receipt { unlisted: 1, ..receipt(2) }, Receipt { blinding: [0; 32], ..receipt(2) }] {
        let tip = follow(after(2), &changed).unwrap();
        assert_eq!(follow(tip, &receipt(3)), Err(ChainError::Previous(3)));
    }
}

#[test]
fn a_statement_with_one_thing_wrong_is_not_believed() {
    let book = Book::with_one_of_everything();
    let good = book.statement();
    let wrong = |edit: &dyn Fn(&mut Vec<Stated>, &mut Vec<ProvenAnchor>)| {
        let (mut receipts, mut anchors) = (good.receipts.to_vec(), good.anchors.to_vec());
        edit(&mut receipts, &mut anchors);
        let receipts = Ascending::from_items(receipts).unwrap();
        let anchors = Ascending::from_items(anchors).unwrap();
        book.verify(&Statement { receipts, anchors, more: false }).unwrap_err()
    };
    let gone = wrong(&|receipts, _| drop(receipts.remove(1)));
    assert_eq!(gone, StatementError::Chain(ChainError::Sequence { given: 2, due: 1 }));
    let unanchored = wrong(&|_, anchors| anchors.clear());
    assert_eq!(unanchored, StatementError::NoAnchor(0));
    let misplaced = wrong(&|receipts, _| receipts[1].anchored = receipts[2].anchored.clone());
    assert_eq!(misplaced, StatementError::NotIncluded { sequence: 1, error: NotIncluded });
    let unsigned = wrong(&|receipts, _| receipts[1].receipt.signature = receipts[0].receipt.signature);
    let error = ReceiptError::Signature(SignatureError::Wrong);
    assert_eq!(unsigned, StatementError::Receipt { sequence: 1, error });
    let anchor_wrong = |edit: &dyn Fn(&mut ProvenAnchor)| match wrong(&|_, anchors| edit(&mut anchors[0])) {
        StatementError::Anchor { error, .. } => error,
        other => panic!("{other}"),
    };
    let height = good.anchors[0].header.header.height;
    assert_eq!(anchor_wrong(&|anchor| anchor.header.header.round = 9), UnprovenAnchor::Header(height));
    assert_eq!(anchor_wrong(&|anchor| anchor.sequence = 1), UnprovenAnchor::OtherAction);
    let other_root = UnprovenAnchor::Inclusion(InclusionError::OtherRoot);
    let recount = |anchor: &mut ProvenAnchor| {
        let Action::Anchor(inner) = &mut anchor.envelope.body.action else { panic!() };
        inner.count += 1;
    };
    assert_eq!(anchor_wrong(&recount), other_root);
    // Somebody else's anchor, over the same receipts.
    let hashes: Vec<Key> = hospitals().iter().map(|hospital| hospital.operational.public()).collect();
    let client = book.client();
    let keys = [hashes[1]];
    let error = good.anchors[0].verify(&keys, |header| client.newest() == header).unwrap_err();
    assert_eq!(error, UnprovenAnchor::OtherSource);
    // What is known already is not gone through again.
    let about = (book.source(), book.study());
    let again = good.verify(&book.world.chain, about, book.tip(), &[hashes[0]], |header| client.newest() == header);
    assert_eq!(again, Err(StatementError::Chain(ChainError::Sequence { given: 0, due: 11 })));
}

/// A header from before a change of validators is still the network's, for what happened once.
#[test]
fn an_old_anchor_is_recalled_after_a_change_of_validators() {
    let mut book = Book::with_one_of_everything();
    let (then, set) = (book.anchor.clone().unwrap().header, book.world.state.validators().unwrap());
    let mut client = book.client();
    let change = book.world.rekey(1, 1);
    let now = LocalTime(book.world.now());
    client.change(&change, now).unwrap();
    let height = then.header.height;
    assert_eq!(
        client.clone().accept(&then, now).map(|_| ()),
        Err(LightError::Passed { height, first: change.last.header.height + 1 })
    );
    assert_eq!(client.recall(&then, &set, now), Ok(()));
    let mut forged = then.clone();
    forged.header.round = 9;
    assert_eq!(client.recall(&forged, &set, now), Err(LightError::OtherBlock));
    assert_eq!(client.recall(&then, &change.next, now), Err(LightError::NotItsValidators { height }));
    // Two of the four are not more than two thirds of the set of then, and one is not more than a third of today's.
    let keys = consensus_keys();
    let few = certify(&then.header, &set, &keys[..2]);
    assert!(matches!(
        client.recall(&few, &set, now),
        Err(LightError::Certificate(_) | LightError::TooLittleOverlap { .. })
    ));
    for hospital in [2, 3] {
        client.change(&book.world.rekey(hospital, 1), LocalTime(book.world.now())).unwrap();
    }
    let now = LocalTime(book.world.now());
    let too_little = LightError::TooLittleOverlap { height, power: 1, total: 4 };
    assert_eq!(client.recall(&then, &set, now), Err(too_little));
    // Nothing is recalled from the future, and nothing when nobody is believed any more.
    let later = book.world.certified(1_000);
    let set = book.world.state.validators().unwrap();
    assert_eq!(client.recall(&later, &set, now), Err(LightError::OtherValidators { height: later.header.height }));
    let long_after = LocalTime(now.0.plus(clavicle_ledger::light::TRUSTING_PERIOD_MS + 1));
    assert!(matches!(client.recall(&then, &set, long_after), Err(LightError::TooOld { .. })));
}

#[test]
fn every_refusal_has_its_code() {
    use std::convert::Infallible;
    let code = |refused: GateRefused<Infallible>| RefusalReason::from(&refused);
    assert_eq!(code(GateRefused::RevocationSeen), RefusalReason::RevocationSeen);
    assert_eq!(code(GateRefused::Expired(Timestamp(1))), RefusalReason::Ended);
    assert_eq!(code(GateRefused::ClockBehind { behind_ms: 1 }), RefusalReason::Unavailable);
    assert_eq!(code(GateRefused::Signature(SignatureError::Wrong)), RefusalReason::Hello);
    assert_eq!(code(GateRefused::OtherTerms), RefusalReason::Terms);
    assert_eq!(code(GateRefused::Member(SignatureError::Wrong)), RefusalReason::Hello);
    assert_eq!(code(GateRefused::NoMember), RefusalReason::Member);
    assert_eq!(code(GateRefused::NoReason), RefusalReason::Member);
}

#[test]
fn the_longest_receipt_fits() {
    let book = Book::new();
    let actor = Actor { name: Text::new("x".repeat(128)).unwrap(), credential: Bytes::new(vec![1; 1024]).unwrap() };
    let Entry::Opened(inner) = opened(&secret("grantee"), ReceiptClaim::Holder) else { panic!() };
    let grant = GrantId::from_bytes([8; 32]);
    let claim = ReceiptClaim::Grant { grant, purpose: PurposeOfUse::Legal, emergency: true };
    let opened = Opened { actor: Some(actor), claim, ..*inner };
    let (key, credential) = (secret("member").public(), Some(CredentialDigest::from_bytes([1; 32])));
    let longest = Opening { opened, number: u32::MAX, resumes: Some(0), member: Some(key), credential };
    let second = Some(Second { key, name: Text::new("x".repeat(128)).unwrap(), credential });
    let stated = EmergencyStated { reason: Text::new("x".repeat(256)).unwrap(), second };
    let longest = Entry::EmergencyOpening(Box::new(longest), Box::new(stated));
    let signed = book.next(longest).sign(&book.world.chain, &book.signer());
    let digest = signed.receipt.digest(&book.world.chain);
    let countersignature = Some(digest.countersign(&book.world.chain, &secret("grantee")));
    let bytes = encoding::encode(&SignedReceipt { countersignature, ..signed });
    assert!(encoding::decode::<SignedReceipt>(&bytes).is_ok());
    // A statement has room for as many of them as it may have.
    assert!((bytes.len() + Inclusion::MAX_LEN + 64) * MAX_STATED < Statement::MAX_LEN / 2);
}
