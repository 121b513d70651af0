//! Letting in somebody who is not known yet, against four real hospitals, by commands and state alone; and those who
//! try to come in between.

use clavicle_app::{
    AnswerInvitation, AnswerRow, App, AskStudies, AskWho, BringIn, FetchGranted, GrantInvited, InvitationRow,
    InvitationStage, Invite, LookForAnswer, LookForOpening, PickWords, ReadInbox, RevokeGrant, ShowCard, SignGrant,
    SubmitGrant, Trouble,
};
use clavicle_ledger::id::ChainId;
use clavicle_ledger::time::{HOUR_MS, LocalTime, Timestamp};
use clavicle_letters::code;
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::invitation::SignedInvitation;
use clavicle_letters::transcript::InvitationId;
use clavicle_letters::words::FourWords;
use clavicle_wallet::patient::{GrantRequest, Way};
use clavicle_wallet::rows::Stage;
use serde_json::Value;

use crate::app::{REQUEST, World, at_any_instant, clock, done, keys, soon};
use crate::cluster::{Cluster, HOSPITALS, PERSON, brain};
use crate::people::{PIN, text};
use crate::process::until;

/// A clock that is a minute ahead.
fn ahead() -> LocalTime {
    LocalTime(Timestamp(clock().0.0 + 60_000))
}

/// One that is two hours ahead: for it every Invitation of now has expired.
fn late() -> LocalTime {
    LocalTime(Timestamp(clock().0.0 + 2 * HOUR_MS))
}

fn read(row: &InvitationRow) -> SignedInvitation {
    code::from_text(&row.code).unwrap()
}

async fn invite(ana: &App, way: Way) -> InvitationRow {
    done(ana.send(Invite { way, minutes: 10 })).await
}

fn answer(invitation: &SignedInvitation) -> AnswerInvitation {
    AnswerInvitation { invitation: invitation.clone(), keys: 1, days: 7, wish: "brain MR".to_owned() }
}

fn pick(row: &InvitationRow, words: Option<FourWords>) -> PickWords {
    PickWords { invitation: row.id, words }
}

impl World {
    fn grant_invited(&self, row: &InvitationRow) -> GrantInvited {
        GrantInvited { invitation: row.id, study: self.study, request: REQUEST }
    }
}

/// Looks until somebody has answered.
async fn opened(ana: &App, invitation: InvitationId) -> InvitationRow {
    soon(async {
        loop {
            let row = done(ana.send(LookForAnswer { invitation })).await;
            if row.stage != InvitationStage::Shown {
                return row;
            }
        }
    })
    .await
}

/// Looks until there are words.
async fn words(rossi: &App, invitation: InvitationId) -> FourWords {
    soon(async {
        loop {
            if let Some(words) = done(rossi.send(LookForOpening { invitation })).await.words {
                return words;
            }
        }
    })
    .await
}

/// Why something was not done.
async fn refused<C: clavicle_app::Ask>(app: &App, command: C) -> Trouble {
    soon(app.send(command).unwrap().ended()).await.err().expect("it was done")
}

/// Ana lets Dr Rossi in, whom she has never heard of, with a hospital that fails on the way, taps that come twice, and
/// a clock that is a minute off.
#[tokio::test]
async fn a_stranger_is_let_in_by_four_words_while_a_hospital_is_down() {
    let mut world = World::new();
    let ana = world.patient("ana").await;
    let rossi = world.recipient_at("rossi", ahead).await;
    done(ana.send(world.pick_up())).await;

    let (row, again) = (invite(&ana, Way::FaceToFace).await, invite(&ana, Way::FaceToFace).await);
    assert!(row.code == again.code && row.stage == InvitationStage::Shown && row.choices.is_none());
    let invitation = read(&row);
    let [first, second] = [done(rossi.send(answer(&invitation))).await, done(rossi.send(answer(&invitation))).await];
    assert!(first.id == row.id && second.id == row.id && first.words.is_none());
    assert_eq!(rossi.subscribe().borrow().answers.len(), 1);

    // Mailboxes are kept by two; one hospital of four is not needed.
    world.cluster.kill(HOSPITALS.len() - 1);
    let row = opened(&ana, row.id).await;
    assert!(row.stage == InvitationStage::Opened && row.name() == "rossi" && !row.is_verified() && !row.is_narrow);
    // Nothing is granted before the words are compared.
    assert_eq!(refused(&ana, world.grant_invited(&row)).await.support, "not_compared.NotPicked");
    let words = words(&rossi, row.id).await;
    let choices = row.choices.unwrap();
    assert_eq!(choices.iter().filter(|choice| **choice == words).count(), 1);
    for _ in 0..2 {
        assert!(done(ana.send(pick(&row, Some(words)))).await.stage == InvitationStage::Picked);
    }
    let [granted, again] =
        [done(ana.send(world.grant_invited(&row))).await, done(ana.send(world.grant_invited(&row))).await];
    assert_eq!(granted.id, again.id);
    assert!(ana.subscribe().borrow().invitations[0].stage == InvitationStage::Granted);

    let read = done(rossi.send(ReadInbox {})).await;
    assert_eq!(read.new, [granted.id]);
    assert!(done(rossi.send(FetchGranted { grant: granted.id, out: None })).await.comparison.is_complete());
    assert_eq!(done(ana.send(AskWho { study: world.study })).await.access.grants.len(), 1);
    ana.close().await;
    rossi.close().await;
}

/// Each step is cancelled at several instants, and both sides are closed between any two.
#[tokio::test]
async fn whatever_breaks_off_goes_on_and_nothing_is_done_twice() {
    let world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    done(ana.send(world.pick_up())).await;
    let reopened = async |ana: App, rossi: App| {
        soon(ana.close()).await;
        soon(rossi.close()).await;
        let [patient, recipient] = ["ana", "rossi"].map(|name| world.cluster.path(name));
        let ana = soon(App::open_patient(&patient, keys(), clock)).await.unwrap();
        (ana, soon(App::open_recipient(&recipient, keys(), clock)).await.unwrap())
    };
    let row = at_any_instant(&ana, || Invite { way: Way::FaceToFace, minutes: 10 }).await;
    assert_eq!(ana.subscribe().borrow().invitations.len(), 1);
    let (ana, rossi) = reopened(ana, rossi).await;
    let invitation = read(&row);
    at_any_instant(&rossi, || answer(&invitation)).await;
    assert_eq!(rossi.subscribe().borrow().answers.len(), 1);
    let (ana, rossi) = reopened(ana, rossi).await;
    at_any_instant(&ana, || LookForAnswer { invitation: row.id }).await;
    let shown = opened(&ana, row.id).await;
    let (ana, rossi) = reopened(ana, rossi).await;
    at_any_instant(&rossi, || LookForOpening { invitation: row.id }).await;
    let words = words(&rossi, row.id).await;
    // Of two different lists the right words would be what they have in common.
    assert!(ana.subscribe().borrow().invitations[0].choices == shown.choices);
    at_any_instant(&ana, || pick(&row, Some(words))).await;
    let (ana, rossi) = reopened(ana, rossi).await;
    at_any_instant(&ana, || world.grant_invited(&row)).await;
    let (ana, rossi) = reopened(ana, rossi).await;
    assert_eq!(done(ana.send(AskWho { study: world.study })).await.access.grants.len(), 1, "granted once");
    done(rossi.send(ReadInbox {})).await;
    assert_eq!(rossi.subscribe().borrow().received.len(), 1);
    // The words stay on the screen of whoever answered.
    let again: AnswerRow = done(rossi.send(answer(&invitation))).await;
    assert!(again.words == Some(words));
    ana.close().await;
    rossi.close().await;
}

/// Somebody photographs the code; somebody sits in between; somebody comes late, or with a code that was changed.
#[tokio::test]
async fn who_comes_in_between_is_granted_nothing() {
    let world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    let mallory = world.recipient("mallory").await;
    done(ana.send(world.pick_up())).await;

    // A photograph is answered before the patient's device looks, or while she compares.
    let photographed = invite(&ana, Way::FaceToFace).await;
    for app in [&rossi, &mallory] {
        done(app.send(answer(&read(&photographed)))).await;
    }
    let void = refused(&ana, LookForAnswer { invitation: photographed.id }).await;
    assert_eq!(void.support, "void.SecondAnswer");
    let unopened = done(rossi.send(LookForOpening { invitation: photographed.id })).await;
    assert!(unopened.words.is_none(), "nobody is told anything");
    let photographed = invite(&ana, Way::FaceToFace).await;
    done(rossi.send(answer(&read(&photographed)))).await;
    opened(&ana, photographed.id).await;
    let right = words(&rossi, photographed.id).await;
    done(mallory.send(answer(&read(&photographed)))).await;
    assert_eq!(refused(&ana, pick(&photographed, Some(right))).await.support, "void.SecondAnswer");
    assert_eq!(refused(&ana, world.grant_invited(&photographed)).await.support, "void.SecondAnswer");

    // In between: Dr Rossi is shown an Invitation of his, and he answers Ana's.
    let his = world.patient("malloryana").await;
    let (shown, instead) = (invite(&ana, Way::FromAfar).await, invite(&his, Way::FromAfar).await);
    done(rossi.send(answer(&read(&instead)))).await;
    done(mallory.send(answer(&read(&shown)))).await;
    opened(&his, instead.id).await;
    let row = opened(&ana, shown.id).await;
    let theirs = words(&rossi, instead.id).await;
    assert!(!row.choices.unwrap().contains(&theirs));
    let differ = refused(&ana, pick(&shown, Some(theirs))).await;
    assert_eq!(differ.support, "void.WordsDiffer");
    assert_eq!(refused(&ana, world.grant_invited(&shown)).await.support, "void.WordsDiffer");
    // "None of these" is an answer too, and there is one try.
    let shown = invite(&ana, Way::FromAfar).await;
    done(rossi.send(answer(&read(&shown)))).await;
    opened(&ana, shown.id).await;
    let right = words(&rossi, shown.id).await;
    assert_eq!(refused(&ana, pick(&shown, None)).await.support, "void.WordsDiffer");
    assert_eq!(refused(&ana, pick(&shown, Some(right))).await.support, "void.WordsDiffer");

    // Changed, of another network, and too late: each is told apart, and no card is made.
    let (open, cards) = (read(&invite(&ana, Way::FaceToFace).await), mallory.subscribe().borrow().answers.len());
    let altered = |change: &dyn Fn(&mut SignedInvitation)| {
        let mut altered = open.clone();
        change(&mut altered);
        refused(&mallory, answer(&altered))
    };
    let later = altered(&|it| it.invitation.expires = it.invitation.expires.plus(60_000)).await;
    assert_eq!(later.support, "invitation.Invitation.Signature");
    let foreign = altered(&|it| it.invitation.chain = ChainId::from_bytes([9; 32])).await;
    assert_eq!(foreign.support, "invitation.Invitation.OtherNetwork");
    let sleeper = world.recipient_at("sleeper", late).await;
    assert_eq!(refused(&sleeper, answer(&open)).await.support, "invitation.Invitation.Expired");
    assert_eq!(mallory.subscribe().borrow().answers.len(), cards);

    assert!(
        done(ana.send(AskWho { study: world.study })).await.access.grants.is_empty(),
        "nobody was granted anything"
    );
    for app in [ana, rossi, mallory, his, sleeper] {
        app.close().await;
    }
}

/// In the air: no hospital is reached. The grant is signed as a code, somebody else submits it, and the letter comes
/// when Ana has landed.
#[tokio::test]
async fn a_grant_that_is_signed_without_a_network_is_submitted_by_anybody() {
    let mut world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    let stranger = world.patient("stranger").await;
    done(ana.send(world.pick_up())).await;
    let card = done(rossi.send(ShowCard { keys: 1, days: 7, wish: String::new() })).await;
    let sign = SignGrant { study: world.study, card, request: REQUEST, all_the_same: false };
    assert!(done(ana.send(AskStudies {})).await.is_none());
    for hospital in 0..HOSPITALS.len() {
        world.cluster.kill(hospital);
    }
    let (granted, shown) = *done(ana.send(sign.clone())).await;
    let (again, _) = *done(ana.send(sign)).await;
    assert!(granted.id == again.id && granted.made.stage == Stage::Signed);
    let text = code::to_text(&shown);
    for hospital in 0..HOSPITALS.len() {
        world.cluster.start(hospital);
    }
    world.cluster.reach(&[0, 1, 2, 3], 1);

    let mut altered = shown.clone();
    altered.envelope.body.nonce = [0; 16];
    assert_eq!(refused(&stranger, SubmitGrant { code: altered }).await.support, "altered.GrantCode.Envelope");
    let read: GrantCode = code::from_text(&text).unwrap();
    let [first, second] = [&stranger, &rossi].map(|app| app.send(SubmitGrant { code: read.clone() }));
    let (first, second) = (done(first).await, done(second).await);
    assert_eq!(first, second, "it is executed once");
    assert!(done(rossi.send(ReadInbox {})).await.new.is_empty(), "Ana has not landed");
    done(ana.send(BringIn {})).await;
    assert_eq!(done(rossi.send(ReadInbox {})).await.new, [granted.id]);
    assert!(done(rossi.send(FetchGranted { grant: granted.id, out: None })).await.comparison.is_complete());
    assert_eq!(done(ana.send(AskWho { study: world.study })).await.access.grants.len(), 1);
    for app in [ana, rossi, stranger] {
        app.close().await;
    }
}

/// By a link and the telephone: nobody has checked the name, so that it is little, begins later, and can be ended
/// before. What was used is used.
#[tokio::test]
async fn from_afar_an_unchecked_name_gets_little_and_not_at_once() {
    let world = World::new();
    let (ana, rossi) = (world.patient("ana").await, world.recipient("rossi").await);
    let mallory = world.recipient("mallory").await;
    done(ana.send(world.pick_up())).await;
    let row = invite(&ana, Way::FromAfar).await;
    done(rossi.send(answer(&read(&row)))).await;
    let opened = opened(&ana, row.id).await;
    assert!(opened.is_narrow && !opened.is_verified());
    let right = words(&rossi, row.id).await;
    done(ana.send(pick(&row, Some(right)))).await;
    let grant = |for_ms| GrantInvited { request: GrantRequest { for_ms, ..REQUEST }, ..world.grant_invited(&row) };
    assert_eq!(refused(&ana, grant(25 * HOUR_MS)).await.support, "limits.FarTooMuch");
    let granted = done(ana.send(grant(24 * HOUR_MS))).await;
    let terms = &granted.made.terms;
    assert!(terms.expires.since(terms.not_before) == 24 * HOUR_MS);
    assert!(terms.conditions.as_ref().is_some_and(|conditions| conditions.view_only));
    // Less the minute by which a header may be old.
    assert!(terms.not_before.since(clock().0) > 58 * 60_000, "{:?}", terms.not_before);

    done(rossi.send(ReadInbox {})).await;
    let early = refused(&rossi, FetchGranted { grant: granted.id, out: None }).await;
    assert_eq!(early.support, "not_yet.GrantNotYet.Timestamp");
    done(ana.send(RevokeGrant { grant: granted.id.to_string() })).await;
    assert!(done(ana.send(AskWho { study: world.study })).await.access.grants.is_empty());

    // An Invitation that was used is shown again: whoever answers hears nothing, and nothing is void or granted by it.
    done(mallory.send(answer(&read(&row)))).await;
    let stage = done(ana.send(LookForAnswer { invitation: row.id })).await.stage;
    assert!(stage == InvitationStage::Granted);
    assert!(done(mallory.send(LookForOpening { invitation: row.id })).await.words.is_none());
    for app in [ana, rossi, mallory] {
        app.close().await;
    }
}

/// Both at the command line, each stopped and asked again; and codes of other kinds, each told by its name.
#[test]
fn at_the_command_line_both_see_words_and_the_patient_says_which() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=6);
    let study = cluster.ingest(0, "images");
    cluster.patient("ana");
    cluster.recipient("rossi");
    let pickup = cluster.issue(0, &study);
    cluster.person(&["wallet", "pickup", "--dir", "ana", &pickup, "--pin", PIN]);
    let invite = ["wallet", "invite", "--dir", "ana", &study, "--png", "invite.png"];
    let mut inviting = cluster.begin(PERSON, &invite);
    until(|| cluster.path("invite.png").exists() || !inviting.runs(), |is| *is);
    // Killed while it waits: the same command goes on with the same invitation.
    inviting.kill();
    let mut inviting = cluster.begin(PERSON, &invite);
    let answered = cluster.person(&["recipient", "answer", "--dir", "rossi", "invite.png", "--wish", "brain MR"]);
    // Nobody is at this terminal, so that the words are not picked yet.
    let (code, sentence) = inviting.ended().refused();
    assert_eq!(code, "not_compared", "{sentence}");
    let again = cluster.person(&["recipient", "answer", "--dir", "rossi", "invite.png"]);
    assert_eq!(again["words"], answered["words"]);
    let words = text(&answered["words"]);
    let granted = cluster.person(&["wallet", "invite", "--dir", "ana", &study, "--words", &words, "--for", "2d"]);
    assert_eq!((&granted["study"], granted["to"].as_str()), (&Value::from(study.clone()), Some("Dr rossi")));
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "fetched"]);
    assert!(fetched.is_object(), "{fetched}");

    let card = cluster.card("rossi");
    let refused = |arguments: &[&str]| cluster.try_person(arguments).refused().1;
    let other = refused(&["recipient", "answer", "--dir", "rossi", &card]);
    assert!(other.contains("this is a card; what is needed here is an invitation"), "{other}");
    let other = refused(&["wallet", "grant", "--dir", "ana", &study, "--to", "invite.png", "--for", "7d"]);
    assert!(other.contains("this is an invitation; what is needed here is a card"), "{other}");
    let other = refused(&["submit", "--dir", "rossi", "invite.png"]);
    assert!(other.contains("this is an invitation; what is needed here is a signed grant"), "{other}");
    let other = refused(&["recipient", "answer", "--dir", "rossi", &pickup]);
    assert!(other.contains("this is a pickup code; what is needed here is an invitation"), "{other}");
}
