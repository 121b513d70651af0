//! Two of four hospitals dead: nothing can become final. Whoever waits hears at once for whom, what was signed is kept and becomes final by itself, and a relay that reaches too few says
//! that it is not well. All of it used to be thirty seconds of silence, and "fresh".

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use clavicle_letters::card::SignedCard;
use clavicle_letters::code;
use serde_json::Value;

use crate::cluster::{Cluster, PERSON, brain};
use crate::people::text;
use crate::process::{PATIENCE, Said, program, until};

/// How soon whoever waits must hear of it. Without company on the machine it is within a second of having opened the wallet.
const SOON: Duration = Duration::from_secs(6);

/// A command whose complaints are heard as they come. Dropped, it is killed.
struct Heard {
    child: Child,
    lines: Receiver<String>,
    began: Instant,
}

impl Heard {
    fn begin(cluster: &Cluster, arguments: &[&str]) -> Self {
        let mut command = program(PERSON, cluster.folder());
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = sync_channel(64);
        let from = BufReader::new(child.stderr.take().unwrap());
        // That nobody has typed its words yet is said before all else.
        let lines_of = from.lines().map_while(Result::ok).filter(|line| !line.starts_with("note: this wallet is not"));
        std::thread::spawn(move || { lines_of }.try_for_each(|line| sender.send(line)));
        Self { child, lines, began: Instant::now() }
    }

    /// The first complaint, and after how long it came.
    fn says(&self) -> (String, Duration) {
        // Who is to be let in is said before anything is asked of anybody.
        let complaint = || self.lines.recv_timeout(PATIENCE).unwrap();
        let line = std::iter::repeat_with(complaint).find(|line| !line.starts_with("to be let in: ")).unwrap();
        (line, self.began.elapsed())
    }

    /// Waits until it ends by itself; its exit code.
    fn ended(&mut self) -> Option<i32> {
        until(|| self.child.try_wait().unwrap(), Option::is_some).unwrap().code()
    }
}

impl Drop for Heard {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The hospital's status, once `is` so.
#[track_caller]
fn status(cluster: &Cluster, hospital: &str, is: impl Fn(&Value) -> bool) -> Said {
    until(|| cluster.try_hospital(&["status", "--dir", hospital]), |said| is(&said.object()))
}

#[track_caller]
fn names_both(sentence: &str) {
    let (one, other) = ("north hospital and harbor hospital", "harbor hospital and north hospital");
    assert!(sentence.contains(one) || sentence.contains(other), "{sentence}");
}

#[test]
fn with_two_of_four_dead_it_is_said_at_once_whom_all_wait_for_and_what_was_signed_becomes_final_by_itself() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "files", 1..=2);
    let study = cluster.ingest(0, "files");
    cluster.pick_up(0, &study, "ana");
    let card = cluster.card("rossi");

    // All four: well, and every one of them is heard, with a clock like the others'.
    let well = status(&cluster, "mercy", |said| said["power_reached"] == 4 && said["fresh"] == true);
    let said = well.done();
    assert_eq!(
        (&said["needed"], &said["wrong"], &said["clock"]["off_ms"]),
        (&0.into(), &Value::Array(Vec::new()), &0.into()),
        "{said}"
    );
    assert!(said["hospitals"].as_array().unwrap().iter().all(|row| row["answers"] == true), "{said}");

    // One dead: it is named, and the others are enough.
    cluster.kill(3);
    let three = status(&cluster, "mercy", |said| said["power_reached"] == 3 && said["fresh"] == true);
    let said = three.done();
    assert_eq!((&said["needed"], &said["power"]), (&0.into(), &4.into()), "{said}");
    let silent: Vec<&Value> =
        said["hospitals"].as_array().unwrap().iter().filter(|row| row["answers"] == false).collect();
    assert_eq!(
        (silent.len(), &silent[0]["name"], &silent[0]["connected"]),
        (1, &"harbor hospital".into(), &false.into()),
        "{said}"
    );

    // Two dead: it is not well, and says how many more it takes.
    cluster.kill(2);
    let two = status(&cluster, "mercy", |said| said["power_reached"] == 2);
    let (code, why) = two.refused();
    assert_eq!((two.code, code.as_str()), (Some(1), "not_well"));
    assert!(why.contains("2 of 4 votes are reached") && why.contains("before one more hospital answers ("), "{why}");
    names_both(&why.replace(", ", " and "));
    assert_eq!(two.object()["needed"], 1);

    // The patient hears it at once, and what she signed is in her wallet when her telephone dies then.
    let granting = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
    let waiting = Heard::begin(&cluster, &granting);
    let (line, after) = waiting.says();
    println!("said after {after:.1?}");
    names_both(&line);
    assert!(
        line.contains(" do not answer; the network will confirm when 1 more hospital answers. What was signed is kept"),
        "{line}"
    );
    assert!(after < SOON, "{after:?}");
    drop(waiting);
    let kept = cluster.person(&["wallet", "grants", "--dir", "ana"]);
    assert_eq!(kept["grants"][0]["stage"], "signed, not final yet", "{kept}");

    // One of them is back: it becomes final without being asked for again, and once.
    cluster.start(2);
    let grants = || cluster.person(&["wallet", "grants", "--dir", "ana"]);
    let is_done = |said: &Value| {
        let stage = text(&said["grants"][0]["stage"]);
        stage.starts_with("final at height") && !stage.contains("not delivered")
    };
    let granted = until(grants, is_done);
    let grant = text(&granted["grants"][0]["grant"]);
    let inbox =
        until(|| cluster.person(&["recipient", "inbox", "--dir", "rossi"]), |said| said["granted"][0].is_object());
    assert_eq!(text(&inbox["granted"][0]["grant"]), grant);
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!((who["grants"].as_array().unwrap().len(), &who["events"]), (1, &2.into()), "{who}");

    // Gone again: a revocation waits, says so, and is confirmed when it is back.
    cluster.kill(2);
    let mut waiting = Heard::begin(&cluster, &["wallet", "revoke", "--dir", "ana", &grant]);
    let (line, after) = waiting.says();
    names_both(&line);
    assert!(after < SOON, "{after:?}");
    cluster.start(2);
    assert_eq!(waiting.ended(), Some(0));
}

/// Both hospitals that kept a mailbox were dead: it was said, and the inbox ended as if all of it had been read.
#[test]
fn a_mailbox_that_nobody_answers_for_was_not_read() {
    let mut cluster = Cluster::running();
    cluster.recipient("rossi");
    let sources: Vec<String> = (0..4).map(|n| cluster.status(n).unwrap().source).collect();
    let keepers = |cluster: &Cluster| -> BTreeSet<usize> {
        let card: SignedCard = code::from_text(&cluster.card("rossi")).unwrap();
        let relays: Vec<String> = card.card.relays.iter().map(ToString::to_string).collect();
        (0..4).filter(|n| relays.iter().any(|relay| sources[*n].starts_with(relay))).collect()
    };
    let first = keepers(&cluster);
    until(|| keepers(&cluster), |other| other.is_disjoint(&first));
    let inbox = |cluster: &Cluster| cluster.try_person(&["recipient", "inbox", "--dir", "rossi"]);
    assert_eq!(inbox(&cluster).done()["unread"], 0);
    first.iter().for_each(|n| cluster.kill(*n));
    let said = inbox(&cluster);
    let (code, why) = said.refused();
    assert!(code == "unread" && why.contains("mailboxes could not be read anywhere"), "{why}");
    let said = said.object();
    assert!(said["unread"].as_u64() >= Some(1) && said["granted"].is_array(), "{said}");
    assert_eq!(said["silent"].as_array().unwrap().len(), 2, "{said}");
    first.iter().for_each(|n| cluster.start(*n));
    let all = until(|| inbox(&cluster), |said| said.object()["unread"] == 0);
    all.done();
}
