//! Transactions that should not be, at every hospital.

use clavicle_ledger::action::{Grant, ReviseStudy, Revoke};
use clavicle_ledger::encoding;
use clavicle_ledger::id::{BlockId, ChainId, GrantId, ManifestRoot};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::light::{Checkpoint, LightClient, LightError};
use clavicle_ledger::study::{Delegate, DelegateRole, Powers};
use clavicle_ledger::terms::{PurposeOfUse, Terms};
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope};
use clavicle_network::message::{Query, Request, Response, Verdict};
use clavicle_network::pickup::Claimed;
use clavicle_relay::operations::pickup::VisitRequest;
use clavicle_wallet::patient::{GrantRequest, Patient, Revocable};
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::vault::Passphrase;

use super::ground::{Ground, PIN, SOURCE, now};
use super::hands::{Held, NO_GRANT, SEEN, has_grant};

const NOT_GRANTER: &str = "the signing key neither holds the study nor is a delegate of its holder now";

/// The order of the group that signatures are made in, low byte first (RFC 8032 §5.1).
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The same transaction under another signature that a careless verifier takes: its second half plus the group's order.
fn malleated(envelope: &Envelope) -> Envelope {
    let mut bytes = encoding::encode(envelope);
    let at = bytes.len() - 32;
    let mut carry = 0;
    for (byte, add) in bytes[at..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        (*byte, carry) = (sum as u8, sum >> 8);
    }
    encoding::decode(&bytes).unwrap()
}

pub(super) async fn a_revoked_grant_never_lives_again(ground: &Ground) {
    let held = ground.study(20).await;
    let granted = ground.grant(&held, |_| {}).await;
    let before = ground.hello_of(&granted);
    ground.served(&granted).await;
    let revocation = ground.sign_revocation(&granted, &held.holder);
    ground.make_final_at(&[0, 1, 2, 3], &revocation).await;
    // The hello that opened it, and a fresh one.
    assert_eq!(ground.refusal(SOURCE, &granted.grantee, &before).await, NO_GRANT);
    assert_eq!(ground.refused(&granted).await, NO_GRANT);

    for n in 0..4 {
        // Known for what it is: executed once, and over.
        let verdict = ground.submit(n, &granted.envelope).await;
        assert!(matches!(verdict, Verdict::Executed(_)), "{verdict:?}");
        let verdict = ground.submit(n, &malleated(&granted.envelope)).await;
        assert!(Ground::rejected(&verdict).starts_with("signature 0: "), "{verdict:?}");
    }
    // The revocation again, and another one, change nothing.
    assert!(matches!(ground.submit(1, &revocation).await, Verdict::Executed(_)));
    let verdict = ground.submit(1, &ground.sign_revocation(&granted, &held.holder)).await;
    assert!(Ground::rejected(&verdict).contains("the grant was revoked already, or has ended"), "{verdict:?}");
    // A block later it is as it was.
    let other = ground.grant(&held, |_| {}).await;
    ground.make_final_at(&[0, 1, 2, 3], &other.envelope).await;
    for n in 0..4 {
        let record = ground.record(n, held.study).await;
        assert!(!has_grant(&record, &granted.grantee.public()) && has_grant(&record, &other.grantee.public()));
    }
    assert_eq!(ground.refused(&granted).await, NO_GRANT);
    // With the terms of the revoked one, the grantee of another is not let in to it either.
    ground.served(&other).await;
}

pub(super) async fn a_grant_that_was_revoked_before_it_came_is_refused_everywhere(ground: &Ground) {
    let (cluster, secret) = (&ground.cluster, Passphrase::new("four words of one person".to_owned()).unwrap());
    let made = Patient::create(&cluster.path("ana"), &secret, ground.genesis.clone(), now);
    let (mut ana, _) = made.unwrap();
    let made = Recipient::create(&cluster.path("rossi"), &secret, ground.genesis.clone(), "Dr Rossi", now);
    let (mut rossi, _) = made.unwrap();
    let study = ground.ingest_one(21).await;
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let picked_up = ana.pick_up(&code, PIN).await.unwrap();
    let study = picked_up.studies[0].study.clone();
    let card = rossi.card(2, 7, "", |_, _| {}).await.unwrap();
    let request = GrantRequest { later_revisions: false, ..GrantRequest::new(HOUR_MS, PurposeOfUse::Treatment) };

    // Signed, and given to nobody yet, as when there is no network; and revoked before anybody has seen it.
    let granted = ana.sign_grant(&study, &card, &request, false).await.unwrap();
    // Asked for in the same words it is that one again; in others it is not, and does not go on in secret.
    assert_eq!(ana.sign_grant(&study, &card, &request, false).await.unwrap().id, granted.id);
    let shorter = GrantRequest { for_ms: HOUR_MS / 2, ..request.clone() };
    let refused = ana.sign_grant(&study, &card, &shorter, false).await.err().unwrap();
    assert!(refused.to_string().contains("begun on other terms and is not finished"), "{refused}");
    ana.revoke(&Revocable::from(&granted)).await.unwrap();
    let revocation = ana.revoked(granted.id).unwrap().unwrap().envelope;
    ground.make_final_at(&[0, 1, 2, 3], &revocation).await;
    for n in 0..4 {
        let verdict = ground.submit(n, &granted.made.envelope).await;
        assert!(Ground::rejected(&verdict).contains("the grant was revoked before it arrived"), "{verdict:?}");
    }
    assert!(ana.who(&study).await.unwrap().grants.is_empty());

    // Another one, delivered as it should be, to see that the rest is right; then revoked as people do.
    let granted = ana.grant(&study, &card, &request, false).await.unwrap();
    assert_eq!(ana.who(&study).await.unwrap().grants.len(), 1);
    let came = rossi.read_mail(|_, _| {}).await.unwrap().new;
    assert_eq!(came.iter().map(|granted| granted.id).collect::<Vec<_>>(), [granted.id]);
    let fetched = rossi.fetch(&came[0], Some(&cluster.path("images")), |_, _| {}).await.unwrap();
    assert!(fetched.comparison.is_complete(), "{fetched:?}");
    ana.revoke(&Revocable::from(&granted)).await.unwrap();
    assert!(ana.who(&study).await.unwrap().grants.is_empty());
    assert!(rossi.fetch(&came[0], Some(&cluster.path("again")), |_, _| {}).await.is_err());
}

pub(super) async fn nobody_but_the_holder_grants_or_revokes(ground: &Ground) {
    let (held, other) = (ground.study(22).await, ground.study(23).await);
    let (granted, second) = (ground.grant(&held, |_| {}).await, ground.grant(&held, |_| {}).await);
    let source = &ground.hospitals[SOURCE].keys;
    let Action::Grant(grant) = &granted.envelope.body.action else { panic!() };
    // The source, who could make anything of its own images; another hospital; another patient; one grantee for the next.
    let others =
        [&source.operational, source.identity.secret().unwrap(), &ground.hospitals[1].keys.operational, &other.holder];
    for key in others.into_iter().chain([&granted.grantee, &second.grantee]) {
        let to = ground.key();
        let action = Action::Grant(Grant { granter: key.public(), grantee: to.public(), ..grant.clone() });
        let verdict = ground.submit(SOURCE, &ground.sign(action, &[key])).await;
        assert!(Ground::rejected(&verdict).contains(NOT_GRANTER), "{verdict:?}");
        // One who may not revoke binds nobody, not even for a moment.
        let verdict = ground.submit(SOURCE, &ground.sign_revocation(&granted, key)).await;
        assert!(Ground::rejected(&verdict).contains(NOT_GRANTER), "{verdict:?}");
        ground.served(&granted).await;
    }
    // In the holder's name, with another's signature.
    let body = Body { nonce: ground.nonce(), ..granted.envelope.body.clone() };
    let mut forged = encoding::encode(&body.clone().sign(&ground.chain, &[&held.holder]).unwrap());
    let at = forged.len() - 64;
    let signature = encoding::encode(&granted.grantee.sign(&body.preimage(&ground.chain)));
    forged[at..].copy_from_slice(&signature[signature.len() - 64..]);
    let verdict = ground.submit(SOURCE, &encoding::decode(&forged).unwrap()).await;
    assert!(Ground::rejected(&verdict).starts_with("signature 0: "), "{verdict:?}");
    // A holder's revocation of another's grant, said to be on one's own study, ends nothing.
    let action = Action::Revoke(Revoke {
        study: other.study,
        revoker: other.holder.public(),
        grant: granted.id,
        grant_submit_by: granted.envelope.body.submit_by,
    });
    ground.submit(SOURCE, &ground.sign(action, &[&other.holder])).await;
    ground.served(&granted).await;
    // Another hospital revises no study of the source's, nor does its holder.
    for key in [&ground.hospitals[1].keys.operational, &held.holder] {
        let manifest_root = ManifestRoot::from_bytes([1; 32]);
        let revise = ReviseStudy { study: held.study, source: key.public(), revision: 1, manifest_root, open: true };
        let verdict = ground.submit(SOURCE, &ground.sign(Action::ReviseStudy(revise), &[key])).await;
        Ground::rejected(&verdict);
    }
    assert_eq!(ground.record(1, held.study).await.revision, 0);
}

pub(super) async fn a_delegate_grants_and_ends_what_its_role_allows_and_no_more(ground: &Ground) {
    // A care team, named when the study was taken hold of.
    let (holder, delegate) = (ground.key(), ground.key());
    let study = ground.ingest_one(27).await;
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let visit = ground.open(&code, &ground.key(), PIN).await.unwrap();
    let (claim, held) = ground.claim(&visit, &holder);
    let Action::DefineStudy(mut define) = claim.body.action else { panic!() };
    let expiry_day = now().0.plus(DAY_MS * 30).day();
    let team = Delegate { key: delegate.public(), role: DelegateRole::CareTeam, powers: Powers::GRANT, expiry_day };
    define.delegates.insert(team).unwrap();
    let claimed = visit.claim(vec![ground.claim_of(Action::DefineStudy(define), &holder)]).await;
    assert!(matches!(claimed.as_slice(), [Claimed::Final { .. }]), "{claimed:?}");
    let by_delegate = Held { holder: delegate.clone(), ..held.clone() };

    // Its grants last a day, by the ledger and by the Terms; and none of them is an emergency.
    let granted = ground.grant(&by_delegate, |_| {}).await;
    ground.served(&granted).await;
    let long = ground.sign_grant(&by_delegate, |terms| terms.expires = terms.expires.plus(DAY_MS * 3));
    let verdict = ground.submit(SOURCE, &long.envelope).await;
    assert!(Ground::rejected(&verdict).contains("the grant would last until"), "{verdict:?}");
    let back = |terms: &mut Terms| terms.not_before = Timestamp(terms.not_before.0 - DAY_MS);
    let refused = ground.refused(&ground.grant(&by_delegate, back).await).await;
    assert_eq!(refused, format!("the grant is by care team or emergency card and lasts longer than {DAY_MS} ms"));
    let emergency = ground.grant(&by_delegate, |terms| terms.emergency = true).await;
    let refused = ground.refused(&emergency).await;
    assert_eq!(refused, "the terms and the delegation disagree on whether this is an emergency");

    // It ends no grant of the holder's, not even for a moment; the holder ends its.
    let holders = ground.grant(&held, |_| {}).await;
    let verdict = ground.submit(SOURCE, &ground.sign_revocation(&holders, &delegate)).await;
    assert!(Ground::rejected(&verdict).contains("a delegate ends only grants it made itself"), "{verdict:?}");
    ground.served(&holders).await;
    assert_eq!(ground.submit(SOURCE, &ground.sign_revocation(&granted, &holder)).await, Verdict::Waits);
    assert!([SEEN, NO_GRANT].contains(&ground.refused(&granted).await.as_str()));
    // It holds nothing.
    let refused = ground.refusal(SOURCE, &delegate, &ground.hello_of_holder(&by_delegate)).await;
    assert_eq!(refused, "the key of the connection does not hold the study");
}

pub(super) async fn envelopes_that_are_not_signed_as_they_must_be_cost_nothing(ground: &Ground) {
    let held = ground.study(24).await;
    let granted = ground.sign_grant(&held, |_| {});
    let mut bytes = encoding::encode(&granted.envelope);
    *bytes.last_mut().unwrap() ^= 1;
    let broken: Envelope = encoding::decode(&bytes).unwrap();
    let abroad = granted.envelope.body.clone().sign(&ChainId::from_bytes([1; 32]), &[&held.holder]).unwrap();
    for n in 0..4 {
        for envelope in [&broken, &abroad, &malleated(&granted.envelope)] {
            let verdict = ground.submit(n, envelope).await;
            assert!(Ground::rejected(&verdict).starts_with("signature 0: "), "{verdict:?}");
        }
    }
    assert_eq!(ground.record(1, held.study).await.events, 1, "the study was touched");
    // The bad copies are in nobody's way.
    ground.make_final(&granted.envelope).await;
    ground.served(&granted).await;
}

pub(super) async fn whoever_revokes_without_end_closes_nothing_but_their_own_study(ground: &Ground) {
    let (held, other) = (ground.study(25).await, ground.study(26).await);
    let (granted, others) = (ground.grant(&held, |_| {}).await, ground.grant(&other, |_| {}).await);
    let mut client = ground.client(SOURCE).await;
    let revoke = |grant: [u8; 32], key: &SecretKey| {
        let grant_submit_by = granted.envelope.body.submit_by;
        let grant = GrantId::from_bytes(grant);
        ground.sign(Action::Revoke(Revoke { study: held.study, revoker: key.public(), grant, grant_submit_by }), &[key])
    };
    // More than tombstones and room together: of grants that never were.
    for n in 0..200_u8 {
        let request = Request::Submit(Box::new(revoke([n; 32], &held.holder)));
        let answer = client.ask(request).await.unwrap();
        assert!(matches!(answer, Response::Verdict(_) | Response::Bound { .. }), "{answer:?}");
    }
    let refused = ground.refused(&granted).await;
    assert_eq!(
        refused,
        "more revocations of this study were seen than can be kept: nobody it was granted to is served"
    );
    ground.served(&others).await;
    // Nor is there room lost for another's revocation.
    assert_eq!(ground.submit(SOURCE, &ground.sign_revocation(&others, &other.holder)).await, Verdict::Waits);
    assert!([SEEN, NO_GRANT].contains(&ground.refused(&others).await.as_str()));
}

pub(super) async fn a_checkpoint_leads_to_its_own_block_and_no_relay_elsewhere(ground: &Ground) {
    for n in 0..4 {
        let mut client = ground.client(n).await;
        let answer = client.ask(Request::Query(Query::Head)).await.unwrap();
        let Response::Head(Some(head)) = answer else { panic!("{answer:?}") };
        // Of four hospitals three are enough, and no more are sent than that.
        assert_eq!(head.certificate.votes().count(), 3);
        let checkpoint = Checkpoint::of(&head.header);
        let answer = client.ask(Request::Query(Query::Decided(checkpoint.height))).await.unwrap();
        let Response::Decided(Some(decided)) = answer else { panic!("{answer:?}") };
        let start = |checkpoint| {
            let (head, validators) = (&decided.head, &decided.validators);
            LightClient::from_checkpoint(&ground.chain, &checkpoint, head, validators, now())
        };
        assert_eq!(start(checkpoint).unwrap().newest(), &head.header);
        let forged = start(Checkpoint { block: BlockId::from_bytes([9; 32]), ..checkpoint }).unwrap_err();
        assert_eq!(forged, LightError::OtherCheckpoint { height: checkpoint.height });
        // Nobody decided the genesis, or what is still to come.
        for height in [0, u64::MAX] {
            let answer = client.ask(Request::Query(Query::Decided(height))).await.unwrap();
            assert_eq!(answer, Response::Decided(None));
        }
    }
}
