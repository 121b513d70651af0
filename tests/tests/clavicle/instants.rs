//! kill −9 at random instants, of either side, where more than one device has a part: letting in by Invitation, and a
//! visit's studies from pickup to end. Whatever broke off goes on when the same is asked for again; nothing is lost, and
//! nothing is done twice.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::cluster::{Cluster, HOSPITAL, PERSON};
use crate::lost::study;
use crate::people::{PIN, text};
use crate::process::{Doing, until};

const MERCY: usize = 0;

/// Every so often it is a hospital that is killed, with whoever asks it.
const HOSPITAL_EACH: u64 = 4;

/// How often each of the commands here is killed: there are eight of them.
fn kills() -> u64 {
    if std::env::var_os("CLAVICLE_LONG").is_some() { 14 } else { 2 }
}

/// Instants that differ from run to run.
struct Instants(u64);

impl Instants {
    fn new() -> Self {
        Self(u64::from(std::process::id()))
    }

    fn next(&mut self) -> u64 {
        // Knuth's multiplier: all that is needed are numbers that are not alike.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// Gives a command again and again, killed at an instant each time, and at last until it is done.
    #[track_caller]
    fn killed(&mut self, cluster: &mut Cluster, arguments: &[&str], mut before: impl FnMut(&Cluster)) -> Value {
        let mut is_hospital = false;
        for _ in 0..kills() {
            before(cluster);
            let mut doing = cluster.begin(PERSON, arguments);
            doing.runs_for(Duration::from_millis(self.next() % 1_500));
            if self.next().is_multiple_of(HOSPITAL_EACH) {
                let n = self.next() as usize % 4;
                cluster.kill(n);
                cluster.start(n);
                is_hospital = true;
            }
            doing.kill();
        }
        if is_hospital {
            cluster.reach(&[0, 1, 2, 3], 1);
            let next = cluster.highest() + 1;
            cluster.reach(&[0, 1, 2, 3], next);
        }
        before(cluster);
        until(|| cluster.try_person(arguments), |said| said.code == Some(0)).done()
    }
}

/// Who may fetch a study, and how often anything was done about it.
#[track_caller]
fn who(cluster: &Cluster, study: &str) -> (usize, u64) {
    let who = cluster.person(&["wallet", "who", "--dir", "ana", study]);
    (who["grants"].as_array().unwrap().len(), who["events"].as_u64().unwrap())
}

#[test]
fn somebody_is_vouched_for_and_let_in_once_however_often_either_side_is_killed() {
    let (mut cluster, mut instants) = (Cluster::running(), Instants::new());
    cluster.patient("ana");
    cluster.recipient("rossi");
    let study = study(&cluster, MERCY, 1);
    cluster.pick_up(MERCY, &study, "ana");

    // Mercy vouches for Dr Rossi, and its relay is killed at an instant of that.
    let ask = ["recipient", "request-credential", "--dir", "rossi", "--of", "mercy hospital", "--out", "rossi.request"];
    cluster.person(&ask);
    let vouch = ["credential", "--dir", "mercy", "--for", "rossi.request", "--role", "physician", "--days", "365"];
    let vouch = [&vouch[..], &["--by", "Ann"]].concat();
    let mut doing = cluster.begin(HOSPITAL, &vouch);
    doing.runs_for(Duration::from_millis(instants.next() % 300));
    cluster.restart(MERCY);
    drop(doing.ended());
    let issued = cluster.hospital(&vouch);
    let shown = || cluster.person(&["recipient", "show", "--dir", "rossi"]);
    until(shown, |shown| shown["verdict"]["is"] == "verified");
    assert!(issued["person"].is_string(), "{issued}");

    // The patient's device is killed while it makes the Invitation and waits, the other while it answers.
    let invite = ["wallet", "invite", "--dir", "ana", &study, "--png", "invite.png"];
    for _ in 0..kills() {
        let mut inviting = cluster.begin(PERSON, &invite);
        inviting.runs_for(Duration::from_millis(instants.next() % 1_500));
        inviting.kill();
    }
    let mut inviting = Some(cluster.begin(PERSON, &invite));
    until(|| cluster.path("invite.png").exists(), |is| *is);
    let shown = fs::read(cluster.path("invite.png")).unwrap();
    let answer = ["recipient", "answer", "--dir", "rossi", "invite.png", "--wish", "brain MR"];
    let answered = instants.killed(&mut cluster, &answer, |cluster| {
        // Nobody is at this terminal: it stops as soon as there is something to compare.
        drop(inviting.take().map(Doing::kill));
        inviting = Some(cluster.begin(PERSON, &invite));
    });
    drop(inviting.take().map(Doing::kill));
    assert!(fs::read(cluster.path("invite.png")).unwrap() == shown, "it is one Invitation");
    let words = text(&answered["words"]);
    let grant = ["wallet", "invite", "--dir", "ana", &study, "--words", &words, "--for", "2d"];
    let granted = instants.killed(&mut cluster, &grant, |_| {});
    // Who has not seen the answer asks once more.
    assert_eq!(cluster.person(&grant)["grant"], granted["grant"]);
    assert_eq!(who(&cluster, &study), (1, 2), "defined once, granted once");

    let inbox = instants.killed(&mut cluster, &["recipient", "inbox", "--dir", "rossi"], |_| {});
    assert_eq!((&inbox["granted"][0]["grant"], &inbox["granted"][1]), (&granted["grant"], &Value::Null), "{inbox}");
    cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "images"]);
    assert_eq!(cluster.person(&answer)["words"], words.as_str(), "the answer is that one still");
    let verdict = cluster.person(&["wallet", "who", "--dir", "ana", &study])["grants"][0]["verdict"]["is"].clone();
    assert_eq!(verdict, "verified");
}

#[test]
fn a_visit_is_picked_up_granted_and_ended_once_however_often_either_side_is_killed() {
    let (mut cluster, mut instants) = (Cluster::running(), Instants::new());
    cluster.patient("ana");
    cluster.recipient("rossi");
    let studies: Vec<String> = (1..=3).map(|number| study(&cluster, MERCY, number)).collect();
    let code = ["pickup", "--dir", "mercy", "--accession", "A1", "--pin", PIN];
    let code = text(&cluster.hospital(&code)["code"]);
    let picked_up = instants.killed(&mut cluster, &["wallet", "pickup", "--dir", "ana", &code, "--pin", PIN], |_| {});
    assert_eq!(picked_up["studies"].as_array().unwrap().len(), 3, "{picked_up}");
    for study in &studies {
        assert_eq!(who(&cluster, study), (0, 1), "defined once");
    }

    let card = text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "8"])["code"]);
    let mut grant = vec!["wallet", "grant", "--dir", "ana"];
    grant.extend(studies.iter().map(String::as_str));
    grant.extend(["--to", &card, "--for", "7d"]);
    instants.killed(&mut cluster, &grant, |_| {});
    for study in &studies {
        assert_eq!(who(&cluster, study), (1, 2), "granted once");
    }
    let inbox = instants.killed(&mut cluster, &["recipient", "inbox", "--dir", "rossi"], |_| {});
    assert_eq!(inbox["granted"].as_array().unwrap().len(), 3, "no letter is lost, and none counts twice: {inbox}");
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "images"]);
    assert_eq!(fetched["fetched"].as_array().unwrap().len(), 3, "{fetched}");

    let end = ["wallet", "revoke", "--dir", "ana", "--person", "Dr rossi"];
    instants.killed(&mut cluster, &end, |_| {});
    for study in &studies {
        assert_eq!(who(&cluster, study), (0, 3), "ended once");
    }
}
