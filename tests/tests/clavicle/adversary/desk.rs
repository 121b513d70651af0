//! At the desk: codes, and mailboxes.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use clavicle_ledger::action::{NewStatus, SetStatus};
use clavicle_ledger::encoding::{Ascending, Bytes, Text};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::study::Reason;
use clavicle_ledger::time::{HOUR_MS, Timestamp};
use clavicle_ledger::transaction::Action;
use clavicle_letters::mailbox::Token;
use clavicle_letters::pickup::PickupCode;
use clavicle_network::message::{
    Collection, MailboxRefusal, MailboxRequest, MailboxResponse, Opening, Request, Response,
};
use clavicle_network::pickup::{Claimed, Denied, NotOffered, PickupError};
use clavicle_network::swarm::Client;
use clavicle_network::work::{Price, Purpose, Task, Work};
use clavicle_relay::operations::pickup::VisitRequest;
use clavicle_wallet::WalletError;
use clavicle_wallet::patient::Patient;
use clavicle_wallet::vault::Passphrase;

use super::ground::{Ground, PIN, SOURCE, now};
use super::hands::Visit;
use crate::image::Image;

/// Why a visit was not opened.
#[track_caller]
fn denied(opened: Result<Visit, PickupError>) -> Denied {
    match opened {
        Err(PickupError::Denied(denied)) => denied,
        Err(other) => panic!("{other}"),
        Ok(visit) => panic!("{} studies are offered", visit.offers().len()),
    }
}

/// Why a claim failed, in the source's words.
#[track_caller]
fn failed(claimed: &Claimed) -> &str {
    let Claimed::Failed(why) = claimed else { panic!("{claimed:?}") };
    why.as_str()
}

pub(super) async fn five_wrong_answers_kill_a_code_however_many_ask_at_once(ground: &Ground) {
    let study = ground.ingest_one(60).await;
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let guess = async |n: u32| denied(ground.open(&code, &ground.key(), &format!("{n:04}")).await);
    let told = tokio::join!(guess(0), guess(1), guess(2), guess(3), guess(4), guess(5), guess(6), guess(7), guess(8));
    let told = [told.0, told.1, told.2, told.3, told.4, told.5, told.6, told.7, told.8];
    let mut left: Vec<u8> = told
        .iter()
        .filter_map(|told| match told {
            Denied::WrongAnswer { left } => Some(*left),
            Denied::NoPickup | Denied::NotNow => None,
        })
        .collect();
    left.sort_unstable();
    assert_eq!(left, [1, 2, 3, 4]);
    assert_eq!(denied(ground.open(&code, &ground.key(), PIN).await), Denied::NoPickup);
}

pub(super) async fn the_first_wallet_that_knows_the_answer_is_the_only_one(ground: &Ground) {
    let study = ground.ingest_one(61).await;
    let void = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let (first, second) = (ground.key(), ground.key());
    // The desk gave out another one, and the earlier is void.
    assert_eq!(denied(ground.open(&void, &first, PIN).await), Denied::NoPickup);
    ground.open(&code, &first, PIN).await.unwrap();
    for answer in [PIN, "0000", "0001", "0002", "0003", "0004", "0005", PIN] {
        assert_eq!(denied(ground.open(&code, &second, answer).await), Denied::NoPickup);
    }
    // Whoever saw the code kills nothing with it.
    let opened = ground.open(&code, &first, PIN).await.unwrap();
    let (claim, held) = ground.claim(&opened, &ground.key());
    assert!(matches!(opened.claim(vec![claim]).await.as_slice(), [Claimed::Final { .. }]));
    assert_eq!(ground.record(1, study).await.holder, held.holder.public());
    assert_eq!(denied(ground.open(&code, &second, PIN).await), Denied::NoPickup);
}

pub(super) async fn nothing_is_claimed_but_what_was_offered_to_whom_it_was(ground: &Ground) {
    let (study, elsewhere) = (ground.ingest_one(62).await, ground.ingest_one(63).await);
    let visit = async |study: clavicle_ledger::id::StudyId| {
        let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
        ground.open(&code, &ground.key(), PIN).await.unwrap()
    };
    let (opened, other) = (visit(study).await, visit(elsewhere).await);
    let holder = ground.key();
    let (right, held) = ground.claim(&opened, &holder);
    let (of_other_visit, _) = ground.claim(&other, &holder);
    let mut not_signed = right.clone();
    not_signed.holder = ground.key().sign(&right.body.preimage(&ground.chain));
    let changed = |change: &dyn Fn(&mut clavicle_ledger::action::DefineStudy)| {
        let Action::DefineStudy(mut define) = right.body.action.clone() else { panic!() };
        change(&mut define);
        ground.claim_of(Action::DefineStudy(define), &holder)
    };
    let other_source = changed(&|define| define.source = ground.hospitals[1].operational());
    let other_root = changed(&|define| define.manifest_root = clavicle_ledger::id::ManifestRoot::from_bytes([1; 32]));
    // What the source must never sign: a grant, by whoever has a code.
    let grant = ground.sign_grant(&held, |_| {});
    let no_definition = ground.claim_of(grant.envelope.body.action, &holder);

    let closed = changed(&|define| define.open = !define.open);
    let claims = vec![of_other_visit, not_signed, other_source, other_root, no_definition, closed];
    let claimed = opened.claim(claims).await;
    let told: Vec<&str> = claimed.iter().map(failed).collect();
    assert_eq!(told[0], "the claim is of no study of this visit");
    assert!(told[1].starts_with("signature 1: "), "{}", told[1]);
    assert!(told[2].starts_with("the claim does not name this hospital's key"), "{}", told[2]);
    assert_eq!(told[3], "the study has grown since it was offered: take the pickup code once more");
    assert_eq!(told[4], "the claim is of no study of this visit");
    assert_eq!(told[5], "the claim and the study's manifest disagree on whether more images are expected");
    // None of it was in the way of what is right.
    ground.take_hold(study).await;
}

pub(super) async fn what_is_held_stays_with_its_holder(ground: &Ground) {
    let study = ground.ingest_one(64).await;
    let visit = || VisitRequest::Study(study.to_string());
    let (first, second, third) = (ground.key(), ground.key(), ground.key());
    let code = ground.issue(visit()).await.unwrap();
    let opened = ground.open(&code, &first, PIN).await.unwrap();
    // The desk gives out another code for it, and somebody else comes with that while nobody holds it yet.
    let other_code = ground.issue(visit()).await.unwrap();
    let other_opened = ground.open(&other_code, &second, PIN).await.unwrap();
    let (claim, held) = ground.claim(&opened, &ground.key());
    let (other_claim, other) = ground.claim(&other_opened, &ground.key());
    let claimed = opened.claim(vec![claim.clone()]).await;
    assert!(matches!(claimed.as_slice(), [Claimed::Final { .. }]), "{claimed:?}");
    let claimed = other_opened.claim(vec![other_claim]).await;
    assert_eq!(failed(&claimed[0]), "the study is on the ledger already and has its holder");
    assert_eq!(ground.record(1, study).await.holder, held.holder.public());
    let refused = ground.refusal(SOURCE, &other.holder, &ground.hello_of_holder(&other)).await;
    assert_eq!(refused, "the key of the connection does not hold the study");

    // From now on neither salt nor manifest goes to anybody but who claimed it, with whichever code and the right answer.
    let third_code = ground.issue(visit()).await.unwrap();
    for (code, key) in [(&other_code, &second), (&third_code, &third)] {
        let opened = ground.open(code, key, PIN).await.unwrap();
        assert_eq!((opened.offers().len(), opened.not_offered()), (0, &[NotOffered::Held][..]));
    }
    let opened = ground.open(&code, &first, PIN).await.unwrap();
    assert_eq!((opened.offers().len(), opened.not_offered()), (1, &[][..]));
    assert!(matches!(opened.claim(vec![claim]).await.as_slice(), [Claimed::Final { .. }]));
}

pub(super) async fn of_a_visit_only_what_nobody_holds_is_offered(ground: &Ground) {
    let image = |study| Image {
        study,
        series: 0,
        number: 0,
        patient: "P1",
        born: "19700101",
        accession: "ACC8",
        pixels: 1_000,
    };
    let (held, free) = (ground.ingest(&[image(67)]).await, ground.ingest(&[image(68)]).await);
    ground.take_hold(held).await;
    let code = ground.issue(VisitRequest::Accession("ACC8".to_owned())).await.unwrap();
    let opened = ground.open(&code, &ground.key(), PIN).await.unwrap();
    let offered: Vec<_> = opened.offers().iter().map(|offer| offer.manifest.manifest.header().study).collect();
    assert_eq!((offered.as_slice(), opened.not_offered()), (&[free][..], &[NotOffered::Held][..]));
    // Whoever claims what was not offered is told no more.
    let (claim, _) = ground.claim(&opened, &ground.key());
    assert!(matches!(opened.claim(vec![claim]).await.as_slice(), [Claimed::Final { .. }]));
}

pub(super) async fn a_study_that_its_source_stopped_serving_is_not_handed_over(ground: &Ground) {
    let study = ground.ingest_one(69).await;
    let (first, second) = (ground.key(), ground.key());
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let opened = ground.open(&code, &first, PIN).await.unwrap();
    let (claim, _) = ground.claim(&opened, &ground.key());
    assert!(matches!(opened.claim(vec![claim]).await.as_slice(), [Claimed::Final { .. }]));
    let other_code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let operational = &ground.hospitals[SOURCE].keys.operational;
    let stopped = [
        (NewStatus::Suspended(Reason::UnderReview), NotOffered::Suspended(Reason::UnderReview)),
        (NewStatus::Withdrawn(Reason::WrongPatient), NotOffered::Withdrawn(Reason::WrongPatient)),
    ];
    for (number, (status, why)) in (1..).zip(stopped) {
        let action = Action::SetStatus(SetStatus { study, source: operational.public(), number, status });
        ground.operate(&ground.sign(action, &[operational])).await;
        // Nor to whoever claimed it.
        for (code, key) in [(&code, &first), (&other_code, &second)] {
            let opened = ground.open(code, key, PIN).await.unwrap();
            assert_eq!((opened.offers().len(), opened.not_offered()), (0, &[why][..]));
        }
    }
    // A patient reads it in words.
    let secret = Passphrase::new("four words of one person".to_owned()).unwrap();
    let made = Patient::create(&ground.cluster.path("dora"), &secret, ground.genesis.clone(), now);
    let (mut dora, _) = made.unwrap();
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    let refused = dora.pick_up(&code, PIN).await.err().unwrap();
    assert_eq!(
        (refused.code(), refused.to_string().as_str()),
        (
            "pickup",
            "the hospital has withdrawn one study of this visit (these are another patient's images): it is not handed over any more"
        )
    );
}

pub(super) async fn an_altered_code_leads_nowhere_but_to_what_the_ledger_says(ground: &Ground) {
    let secret = Passphrase::new("four words of one person".to_owned()).unwrap();
    let made = Patient::create(&ground.cluster.path("carl"), &secret, ground.genesis.clone(), now);
    let (mut carl, _) = made.unwrap();
    let study = ground.ingest_one(70).await;
    let code = ground.issue(VisitRequest::Study(study.to_string())).await.unwrap();
    // Somebody who copied the code waits where it leads to now.
    let waiting = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    waiting.set_nonblocking(true).unwrap();
    let there = Text::new(waiting.local_addr().unwrap().to_string()).unwrap();
    let addresses = Ascending::from_items(vec![there]).unwrap();
    let (thief, other) = (ground.key().public(), &ground.hospitals[1].served);
    let altered = [
        PickupCode { transfer: thief, addresses: addresses.clone(), ..code.clone() },
        PickupCode { transfer: thief, ..code.clone() },
        PickupCode { addresses, ..code.clone() },
        PickupCode { transfer: other.key, ..code.clone() },
        PickupCode { source: ground.hospitals[1].id, ..code.clone() },
    ];
    for altered in altered {
        let refused = carl.pick_up(&altered, PIN).await.err().unwrap();
        assert_eq!(refused.code(), "altered", "{refused}");
        assert!(refused.to_string().contains("Nothing was sent"), "{refused}");
    }
    assert_eq!(waiting.recv(&mut [0; 2_000]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // All of it another hospital's, which the ledger has: it knows of no such pickup, and is not told what opens it.
    let at = |address: &SocketAddr| Text::new(address.to_string()).unwrap();
    let swapped = PickupCode {
        source: ground.hospitals[1].id,
        transfer: other.key,
        addresses: Ascending::from_items(other.addresses.iter().map(at).collect()).unwrap(),
        ..code.clone()
    };
    let refused = carl.pick_up(&swapped, PIN).await.err().unwrap();
    assert!(matches!(refused, WalletError::Pickup(PickupError::Denied(Denied::NoPickup))), "{refused}");
    // None of it has cost a try.
    let taken = carl.pick_up(&code, PIN).await.unwrap();
    assert!(taken.studies.len() == 1 && taken.studies[0].study.held.final_at.is_some());
}

pub(super) async fn a_code_never_opens_another_patients_images(ground: &Ground) {
    let image =
        |study, patient, born| Image { study, series: 0, number: 0, patient, born, accession: "ACC7", pixels: 1_000 };
    let study = ground.ingest(&[image(65, "P1", "19700101")]).await;
    let code = ground.issue(VisitRequest::Accession("ACC7".to_owned())).await.unwrap();
    let key = ground.key();
    let opened = ground.open(&code, &key, PIN).await.unwrap();
    assert_eq!(opened.offers().len(), 1);
    // Another patient's images come in under the same number, as when it was typed wrongly; the wallet comes again.
    let others = ground.ingest(&[image(66, "P2", "19800202")]).await;
    assert_ne!(study, others);
    assert_eq!(denied(ground.open(&code, &key, PIN).await), Denied::NoPickup);
    let refused = ground.issue(VisitRequest::Accession("ACC7".to_owned())).await.unwrap_err().to_string();
    assert!(refused.contains("the studies are of more than one patient"), "{refused}");
    // Study by study there is no doubt.
    ground.take_hold(study).await;
}

pub(super) async fn a_mailbox_opens_to_its_token_and_its_key_alone(ground: &Ground) {
    let (mailbox, thief) = (ground.key(), ground.key());
    let relay = ground.hospitals[SOURCE].id;
    let opening = |key: &SecretKey, until: Timestamp| {
        Opening { relay, mailbox: mailbox.public(), token: Token([5; 16]), until }.sign(&ground.chain, key)
    };
    let open = |key: &SecretKey, until: Timestamp, work: Option<Work>| MailboxRequest::Open {
        opening: opening(key, until),
        work: work.map(Box::new),
    };
    let mut client = ground.client(SOURCE).await;
    let until = now().0.plus(HOUR_MS);
    // It has its price, and what is paid once is spent.
    let asked = ask(&mut client, open(&mailbox, until, None)).await;
    let MailboxResponse::Price(price) = asked else { panic!("{asked:?}") };
    let relay_peer = client.relay_key();
    let purpose = Purpose { chain: ground.chain, relay, relay_peer, mailbox: mailbox.public() };
    let work = done(&purpose, price);
    assert_eq!(ask(&mut client, open(&mailbox, until, Some(work.clone()))).await, MailboxResponse::Done);
    let again = ask(&mut client, open(&mailbox, until.plus(1), Some(work))).await;
    assert!(matches!(again, MailboxResponse::Price(_)), "{again:?}");
    // Nobody else gives it another token or another end.
    let no = MailboxResponse::Refused(MailboxRefusal::Signature);
    assert_eq!(ask(&mut client, open(&thief, until, None)).await, no);

    let deposit = |token: [u8; 16], mailbox: &SecretKey| MailboxRequest::Deposit {
        mailbox: mailbox.public(),
        token: Token(token),
        sealed: Bytes::new(vec![7; 1024]).unwrap(),
    };
    let none = MailboxResponse::Refused(MailboxRefusal::NoMailbox);
    assert_eq!(ask(&mut client, deposit([6; 16], &mailbox)).await, none);
    // The same for one that is not there.
    assert_eq!(ask(&mut client, deposit([5; 16], &thief)).await, none);
    assert_eq!(ask(&mut client, deposit([5; 16], &mailbox)).await, MailboxResponse::Done);

    let collect = |on: &Client, challenge: [u8; 32], key: &SecretKey| {
        let collection = Collection {
            relay,
            relay_peer: on.relay_key(),
            own_peer: on.own_key(),
            challenge,
            mailbox: mailbox.public(),
            acknowledged: Ascending::new(),
        };
        MailboxRequest::Collect(collection.sign(&ground.chain, key))
    };
    let mut elsewhere = ground.client(SOURCE).await;
    let (own, others) = (challenge(&mut client).await, challenge(&mut elsewhere).await);
    let request = collect(&client, own, &thief);
    assert_eq!(ask(&mut client, request).await, no);
    // With the challenge of another connection; and a collection that was overheard, on another one.
    let request = collect(&client, others, &mailbox);
    assert_eq!(ask(&mut client, request).await, no);
    let request = collect(&client, own, &mailbox);
    assert_eq!(ask(&mut elsewhere, request.clone()).await, no);
    let MailboxResponse::Messages(messages) = ask(&mut client, request).await else { panic!() };
    assert_eq!(messages.as_slice().len(), 1);
}

fn done(purpose: &Purpose, price: Price) -> Work {
    let mut task = Task::new(purpose, price, [5; 16]);
    while task.finished().is_none() {
        task.go_on(|| true);
    }
    task.finished().unwrap().clone()
}

async fn ask(client: &mut Client, request: MailboxRequest) -> MailboxResponse {
    match client.ask(Request::Mailbox(Box::new(request))).await.unwrap() {
        Response::Mailbox(response) => response,
        other => panic!("{other:?}"),
    }
}

async fn challenge(client: &mut Client) -> [u8; 32] {
    match ask(client, MailboxRequest::Challenge).await {
        MailboxResponse::Challenge(challenge) => challenge,
        other => panic!("{other:?}"),
    }
}
