//! Relays and wallets killed at any point of the session: it completes, and nothing that was acknowledged is lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clavicle_letters::card::SignedCard;
use clavicle_letters::code;
use serde_json::Value;

use crate::cluster::{Cluster, HOSPITAL, HOSPITALS, PERSON, files_in, in_another_study, slice};
use crate::people::{PIN, text};
use crate::process::{Doing, Said};

/// What a failed command may say when a relay was killed: each of them says to try again, or that nobody is there, or it came right when the source was
/// back and the others had not told it yet what is newest.
const PASSES: [&str; 9] =
    ["unreachable", "not_final", "mailbox", "pickup", "fetch", "refused", "relay", "not_asked", "unread"];

/// How often a command is given again before its failure counts.
const TRIES: usize = 8;

/// Slices in a study: the first is large.
const SLICES: std::ops::RangeInclusive<usize> = 1..=4;

/// Which relay is killed, seen from a study.
#[derive(Clone, Copy, Debug)]
enum Role {
    /// The one that has the images.
    Source,
    /// One that keeps the recipient's mailbox.
    Mailbox,
    /// One that has nothing to do with it but its vote.
    Other,
}

/// When it is killed.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Right before the command; it is started again in the middle of it.
    Before,
    /// When what the command writes to was written to so often, or the command has ended; it is started again at once.
    During(usize),
}

/// One study on its way through the session.
struct Walk<'a> {
    cluster: &'a mut Cluster,
    /// The hospital that has the images.
    source: usize,
    /// Hospitals that keep the mailbox.
    mailbox: Vec<usize>,
    /// What is killed at each step.
    kill: &'a dyn Fn(usize) -> (Role, When),
    step: usize,
    /// How often a relay was killed while a command was at work.
    hits: usize,
}

/// Counts how often files were written to, as far as can be seen from outside.
struct Writes {
    place: PathBuf,
    last: Option<SystemTime>,
    seen: usize,
}

impl Writes {
    fn of(place: PathBuf) -> Self {
        Self { last: Self::newest(&place), place, seen: 0 }
    }

    fn newest(place: &Path) -> Option<SystemTime> {
        let written = |path: &Path| fs::metadata(path).ok()?.modified().ok();
        files_in(place).iter().filter_map(|path| written(path)).chain(written(place)).max()
    }

    /// Waits until there were so many, or the command has ended; whether it is still at work.
    fn reach(&mut self, wanted: usize, doing: &mut Doing) -> bool {
        while doing.runs() {
            let now = Self::newest(&self.place);
            if now != self.last {
                (self.seen, self.last) = (self.seen + 1, now);
            }
            if self.seen >= wanted {
                return doing.runs();
            }
            std::thread::park_timeout(Duration::from_micros(200));
        }
        false
    }
}

impl Walk<'_> {
    fn relay(&self, role: Role) -> usize {
        let free = |n: &usize| *n != self.source && !self.mailbox.contains(n);
        match role {
            Role::Source => self.source,
            Role::Mailbox => self.mailbox.iter().copied().find(|n| *n != self.source).unwrap_or((self.source + 1) % 4),
            Role::Other => (0..4).rev().find(free).unwrap(),
        }
    }

    /// The next step: a command, given again until it `is_done`, with a relay killed on the way.
    #[track_caller]
    fn does(&mut self, who: &str, writes_to: &str, arguments: &[&str], is_done: impl Fn(&Said) -> bool) -> Value {
        let (role, when) = (self.kill)(self.step);
        let n = self.relay(role);
        self.step += 1;
        let mut doing = match when {
            When::Before => {
                self.cluster.kill(n);
                let mut doing = self.cluster.begin(who, arguments);
                doing.runs_for(Duration::from_millis(600));
                doing
            }
            When::During(wanted) => {
                let mut writes = Writes::of(self.cluster.path(writes_to));
                let mut doing = self.cluster.begin(who, arguments);
                self.hits += usize::from(writes.reach(wanted, &mut doing));
                self.cluster.kill(n);
                doing
            }
        };
        // A hospital's command may have its stores open by itself, which its relay cannot share.
        let early = (who == HOSPITAL).then(|| doing.ended());
        self.cluster.restart(n);
        let mut said = early.unwrap_or_else(|| doing.ended());
        for _ in 1..TRIES {
            if is_done(&said) {
                break;
            }
            if said.code != Some(0) {
                let (code, _) = said.refused();
                assert!(PASSES.contains(&code.as_str()), "{role:?} {when:?}: {said:?}");
            }
            eprintln!("step {} {role:?} {when:?}: again after {}", self.step - 1, said.stdout.trim());
            said = self.cluster.begin(who, arguments).ended();
        }
        assert!(is_done(&said), "{role:?} {when:?}: {said:?}");
        said.object()
    }
}

/// Puts slices of the real series into a folder, as those of study `number`.
fn another_brain(cluster: &Cluster, into: &str, number: usize) -> Vec<Vec<u8>> {
    let folder = cluster.path(into);
    fs::create_dir_all(&folder).unwrap();
    let slices = SLICES.map(|n| {
        let (name, bytes) = slice(n);
        let bytes = in_another_study(&bytes, number);
        fs::write(folder.join(name), &bytes).unwrap();
        bytes
    });
    slices.collect()
}

/// Walks a study through the whole session, with a relay killed at every step.
fn walk(cluster: &mut Cluster, number: usize, kill: &dyn Fn(usize) -> (Role, When)) -> usize {
    let done = |said: &Said| said.code == Some(0);
    let (files, out) = (format!("files{number}"), format!("images{number}"));
    let sent = another_brain(cluster, &files, number);
    let sources: Vec<String> = (0..4).map(|n| cluster.status(n).unwrap().source).collect();
    let source = number % 4;
    let hospital = HOSPITALS[source];
    let mut walk = Walk { cluster, source, mailbox: Vec::new(), kill, step: 0, hits: 0 };

    let taken = walk.does(HOSPITAL, &format!("{hospital}/archive"), &["ingest", "--dir", hospital, &files], done);
    let study = text(&taken["studies"][0]);
    let issued = walk.does(
        HOSPITAL,
        &format!("{hospital}/pickups.redb"),
        &["pickup", "--dir", hospital, "--study", &study, "--pin", PIN],
        done,
    );
    let pickup = text(&issued["code"]);
    let picked_up = walk.does(PERSON, "ana", &["wallet", "pickup", "--dir", "ana", &pickup, "--pin", PIN], done);
    assert_eq!((&picked_up["studies"][0]["study"], &picked_up["studies"][1]), (&Value::from(&*study), &Value::Null));
    let card = text(&walk.does(PERSON, "rossi", &["recipient", "card", "--dir", "rossi"], done)["code"]);
    let shown: SignedCard = code::from_text(&card).unwrap();
    let kept_by: Vec<String> = shown.card.relays.iter().map(ToString::to_string).collect();
    walk.mailbox = (0..4).filter(|n| kept_by.iter().any(|relay| sources[*n].starts_with(relay))).collect();
    let granting = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
    let grant = text(&walk.does(PERSON, "ana", &granting, done)["grant"]);
    // A letter that only one relay has is there when that one is.
    walk.does(PERSON, "rossi", &["recipient", "inbox", "--dir", "rossi"], |said| {
        done(said) && said.stdout.contains(&grant)
    });
    let fetched = walk.does(PERSON, &out, &["recipient", "fetch", "--dir", "rossi", &study, "--out", &out], done);
    assert_eq!(fetched["fetched"][0]["intact"], sent.len(), "{fetched}");
    let who = walk.does(PERSON, "ana", &["wallet", "who", "--dir", "ana", &study], done);
    assert_eq!((&who["grants"][0]["grant"], &who["grants"][1]), (&Value::from(&*grant), &Value::Null), "{who}");
    assert_eq!(who["events"], 2, "defined once, granted once: {who}");
    walk.does(PERSON, "ana", &["wallet", "revoke", "--dir", "ana", &grant], done);
    let refused = |said: &Said| {
        assert_ne!(said.code, Some(0), "{said:?}");
        said.refused().0 == "ended"
    };
    walk.does(PERSON, "rossi", &["recipient", "fetch", "--dir", "rossi", &grant, "--out", "again"], refused);
    let hits = walk.hits;

    let after = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!((&after["grants"][0], &after["events"]), (&Value::Null, &Value::from(3)), "{after}");
    let arrived: Vec<Vec<u8>> = files_in(&cluster.path(&out)).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(arrived.len() == sent.len() && sent.iter().all(|slice| arrived.contains(slice)));
    assert!(!cluster.path("again").exists());
    hits
}

/// Walks three studies through the session in one cluster, so that every step meets every role. How often a relay was killed while a
/// command was at work.
fn walk_three(when: impl Fn(usize) -> When) -> usize {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let mut hits = 0;
    for number in 0..3 {
        let kill = |step: usize| {
            let role = [Role::Source, Role::Mailbox, Role::Other][(step + number) % 3];
            (role, when(number))
        };
        hits += walk(&mut cluster, number, &kill);
    }
    let studies = cluster.person(&["wallet", "studies", "--dir", "ana"]);
    let rows = studies["studies"].as_array().unwrap();
    assert!(rows.len() == 3 && rows.iter().all(|row| row["final_at"].is_u64()), "{studies}");
    hits
}

#[test]
fn whichever_relay_is_dead_when_a_step_begins_the_session_completes() {
    walk_three(|_| When::Before);
}

#[test]
fn whichever_relay_is_killed_in_the_middle_of_a_step_the_session_completes() {
    let hits = walk_three(|number| When::During(1 + 2 * number));
    assert!(hits >= 15, "of 30 commands only {hits} were at work when a relay was killed");
}

/// All four killed as by a power cut, and started again.
fn power_cut(cluster: &mut Cluster) {
    let before = cluster.highest();
    (0..4).for_each(|n| cluster.kill(n));
    (0..4).for_each(|n| cluster.start(n));
    cluster.reach(&[0, 1, 2, 3], before + 1);
}

#[test]
fn what_was_acknowledged_is_there_after_all_four_were_killed_at_once() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let sent = another_brain(&cluster, "files", 0);
    let study = cluster.ingest(0, "files");
    let code = cluster.issue(0, &study);
    power_cut(&mut cluster);
    let who = |cluster: &Cluster| {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
        (who["events"].as_u64().unwrap(), who["grants"].as_array().unwrap().len())
    };

    cluster.person(&["wallet", "pickup", "--dir", "ana", &code, "--pin", PIN]);
    power_cut(&mut cluster);
    assert_eq!(who(&cluster), (1, 0));
    let again = cluster.person(&["wallet", "pickup", "--dir", "ana", &code, "--pin", PIN]);
    assert_eq!(again["studies"][0]["before"], true, "{again}");
    let card = cluster.card("rossi");
    let grant = cluster.grant("ana", &study, &card);
    power_cut(&mut cluster);
    assert_eq!(who(&cluster), (2, 1));
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "rossi"]);
    assert_eq!((&inbox["granted"][0]["grant"], &inbox["new"]), (&Value::from(&*grant), &Value::from(1)));
    let fetched = cluster.person(&["recipient", "fetch", "--dir", "rossi", "--out", "images"]);
    assert_eq!(fetched["fetched"][0]["intact"], sent.len());

    cluster.person(&["wallet", "revoke", "--dir", "ana", &grant]);
    power_cut(&mut cluster);
    assert_eq!(who(&cluster), (3, 0));
    let (code, why) = cluster.try_person(&["recipient", "fetch", "--dir", "rossi", "--out", "again"]).refused();
    assert_eq!(code, "ended", "{why}");
}

/// Gives a command again and again, killed each time when the folder was written to once more than the time before, until it
/// ends before that, or was killed `most` times. Its answer, and how often it was killed.
fn killed_at_every_write(cluster: &Cluster, folder: &str, most: usize, arguments: &[&str]) -> (Value, usize) {
    for kills in 0..most {
        let mut writes = Writes::of(cluster.path(folder));
        let mut doing = cluster.begin(PERSON, arguments);
        if !writes.reach(kills + 1, &mut doing) {
            return (doing.ended().done(), kills);
        }
        doing.kill();
    }
    (cluster.person(arguments), most)
}

#[test]
fn a_wallet_killed_while_it_picks_up_grants_or_fetches_goes_on_with_the_same_transaction() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let sent = another_brain(&cluster, "files", 0);
    let study = cluster.ingest(0, "files");
    let code = cluster.issue(0, &study);

    let pickup = ["wallet", "pickup", "--dir", "ana", &code, "--pin", PIN];
    let (taken, kills) = killed_at_every_write(&cluster, "ana", 40, &pickup);
    assert!(kills >= 3 && taken["studies"][0]["study"] == *study, "{kills} kills: {taken}");
    let card = text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "8"])["code"]);
    let granting = ["wallet", "grant", "--dir", "ana", &study, "--to", &card, "--for", "7d"];
    let (granted, kills) = killed_at_every_write(&cluster, "ana", 40, &granting);
    assert!(kills >= 3, "{kills} kills");
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!((&who["grants"][0]["grant"], &who["grants"][1]), (&granted["grant"], &Value::Null), "{who}");
    assert_eq!(who["events"], 2, "{who}");

    let (inbox, _) = killed_at_every_write(&cluster, "rossi", 40, &["recipient", "inbox", "--dir", "rossi"]);
    assert_eq!((&inbox["granted"][0]["grant"], &inbox["granted"][1]), (&granted["grant"], &Value::Null));
    // The folder it fetches into is what it writes to now. A source has room for a few connections of one key, and takes twenty
    // seconds to notice that one was killed.
    let fetch = ["recipient", "fetch", "--dir", "rossi", "--out", "images"];
    let (fetched, kills) = killed_at_every_write(&cluster, "images", 6, &fetch);
    assert!(kills >= 1, "{kills} kills");
    assert_eq!(fetched["fetched"][0]["intact"], sent.len(), "{fetched}");
    let again = cluster.person(&fetch);
    assert_eq!((&again["fetched"][0]["before"], &again["fetched"][0]["bytes"]), (&sent.len().into(), &0.into()));
    let arrived = files_in(&cluster.path("images"));
    assert_eq!(arrived.len(), sent.len(), "nothing unfinished is left: {arrived:?}");
}

#[test]
fn a_grant_whose_answer_was_lost_is_that_grant_again() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    another_brain(&cluster, "files", 0);
    let study = cluster.ingest(0, "files");
    cluster.pick_up(0, &study, "ana");
    let card = text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "2"])["code"]);
    let grant = cluster.grant("ana", &study, &card);
    assert_eq!(cluster.grant("ana", &study, &card), grant);
    let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    assert_eq!(who["events"], 2, "{who}");
}
