//! `status`: how the relay is: whether it runs, whom it reaches, what its clock shows, and what is wrong.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::Args;
use clavicle_command::said::many;
use clavicle_ledger::authorise::{View, open_until};
use clavicle_ledger::block::Header;
use clavicle_ledger::id::SourceId;
use clavicle_ledger::key::Key;
use clavicle_ledger::state::ReadRows as _;
use clavicle_ledger::time::{Clocks, LocalTime, Timestamp};
use clavicle_ledger::validators::{Validator, ValidatorSet};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Command, Operation};
use crate::answer::{Answer, Failure};
use crate::service::{Service, ServiceError};
use crate::store::Snapshot;
use crate::timekeeper::Word;
use crate::vouching;

/// How long ago the others may have answered, before they are asked anew, in milliseconds.
const LATELY_MS: u64 = 1_000;
/// How long is waited for their answers.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it is looked whether they have come.
const LOOK: Duration = Duration::from_millis(10);
/// What two clocks that are right differ by, in milliseconds: the way there and back, and how they are read.
const SAME_MS: u64 = 100;

/// What is done about an endorsement that is due.
const ASK_FOR_IT: &str = "ask the keeper of the identity key for the next one: `clavicle-relay checkpoints --request FILE` writes what is to be signed, with \
                          `clavicle-relay endorse`";

/// Tell how the relay is
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Status {}

/// How a relay is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayStatus {
    /// The hospital's name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// The network's name.
    pub network: String,
    /// Its chain id.
    pub chain: String,
    /// Whether it runs. If not, all of this is what its stores say.
    pub running: bool,
    /// Whether it only looks, and takes no part in the network.
    pub shadow: bool,
    /// The newest block's height.
    pub height: u64,
    /// Its id.
    pub block: String,
    /// Its state root.
    pub state_root: String,
    /// When it was made, in milliseconds since 1970.
    pub last_block_ms: u64,
    /// How long ago it was made, in milliseconds.
    pub age_ms: u64,
    /// When the next one is due at the latest, in milliseconds since 1970.
    pub next_block_ms: u64,
    /// Whether it is recent enough to serve studies on, and the others confirm that it is the newest.
    pub fresh: bool,
    /// If not, why nobody is served to whom the patient gave no allowance.
    pub closed: Option<String>,
    /// The clocks, its own and the others'.
    pub clock: ClockRow,
    /// The epoch it is in.
    pub epoch: u64,
    /// Studies this hospital has registered.
    pub studies: u64,
    /// Files in the archive.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Of these, files that were to be sent since the start, and are not what they were.
    pub damaged: usize,
    /// Files that came by themselves and could not be taken in.
    pub quarantined: usize,
    /// Bytes that are free on the disk.
    pub disk_free: u64,
    /// Bytes of these that are kept for the chain, revocations and receipts.
    pub disk_reserve: u64,
    /// Whether nothing more is taken in, since only those are left.
    pub disk_short: bool,
    /// Validators that decide the next block.
    pub validators: usize,
    /// Whether this hospital is one of them.
    pub votes: bool,
    /// Each of them, and whether it answers.
    pub hospitals: Vec<HospitalRow>,
    /// All voting power.
    pub power: u64,
    /// That of those who answer, with its own.
    pub power_reached: u64,
    /// How many more must answer, at least, so that new blocks can be decided; 0 when those who do have more than two thirds of the power.
    pub needed: usize,
    /// If the keeper of the identity key is to be asked for an endorsement of the checkpoint key now.
    #[serde(default)]
    pub endorsement_due: Option<EndorsementDue>,
}

/// An endorsement that is to be asked for, since the identity key is kept elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorsementDue {
    /// Until when the present one holds, in milliseconds since 1970; nothing when none is in force.
    pub until_ms: Option<u64>,
}

/// What the clocks show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRow {
    /// This one's, in milliseconds since 1970.
    pub now_ms: u64,
    /// It is no earlier, as enough of the others say; nothing before they were heard.
    pub earliest_ms: Option<u64>,
    /// It is no later.
    pub latest_ms: Option<u64>,
    /// By how much this clock is ahead of theirs, or behind if that is less than 0, in milliseconds; nothing when nothing says so. The newest block says so, too, of one that is behind.
    pub off_ms: Option<i64>,
    /// By how much it may be off, in milliseconds.
    pub tolerance_ms: u64,
}

/// A hospital that votes, as this relay sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HospitalRow {
    /// Its name.
    pub name: String,
    /// Its id.
    pub source: String,
    /// Its voting power.
    pub power: u64,
    /// Whether it is this relay's own.
    pub own: bool,
    /// Whether it is connected.
    pub connected: bool,
    /// Whether it answers now.
    pub answers: bool,
    /// How long ago it said last which block is the newest, in milliseconds; nothing if it never did since the start.
    pub answered_ms: Option<u64>,
    /// The height of that block.
    pub height: Option<u64>,
    /// By how much its clock is ahead of this one, in milliseconds.
    pub off_ms: Option<i64>,
}

impl Operation for Status {
    const WORD: &'static str = "status";

    // Whoever asks how it is wants to know as well that it does not say.
    const PATIENCE: Option<Duration> = Some(Duration::from_secs(5));

    type On = Service;
    type Answer = RelayStatus;
    type Error = ServiceError;

    fn work(self, service: &Service) -> Result<RelayStatus, ServiceError> {
        let snapshot = service.store.snapshot()?;
        let set = snapshot.validators()?;
        let (connected, since_ms) = heard_now(service, &snapshot, &set)?;
        // What may have come while the others were waited for.
        let snapshot = service.store.snapshot()?;
        let (header, head): (Header, _) = (service.store.head()?, snapshot.head()?);
        let parameters = snapshot.rules()?.parameters;
        let (clocks, seen) = (service.timekeeper.clocks(), service.submission.seen.set());
        let made = header.time.timestamp();
        let view = View {
            state: &snapshot,
            source: service.member.source,
            highest_seen: made,
            confirmed: service.timekeeper.confirmed(head.height, clocks),
            seen_revocations: &seen,
        };
        let closed = open_until(&view, clocks.wall).err().map(|why| why.to_string());
        let running = service.shadow || service.submission.running.get().is_some();
        let hospitals = hospitals(service, &snapshot, &set, (&connected, since_ms, clocks))?;
        let answers = |source: &SourceId| {
            let id = source.to_string();
            hospitals.iter().any(|row| row.answers && row.source == id)
        };
        let needed = set.needs(answers);
        // Whoever decides alone has nobody's word but its own.
        let alone = hospitals.iter().all(|row| row.own || row.power == 0);
        let others = service.timekeeper.others(clocks).filter(|_| !alone);
        let votes = set.validators.find(&service.member.source).is_some();
        let usage = service.images.archive.usage()?;
        let space = service.images.room.space().map_err(ServiceError::Room)?;
        Ok(RelayStatus {
            name: service.member.name.clone(),
            source: service.member.source.to_string(),
            network: service.member.genesis.name.to_string(),
            chain: header.chain.to_string(),
            running,
            shadow: service.shadow,
            height: header.height,
            block: header.id().to_string(),
            state_root: header.state_root.to_string(),
            last_block_ms: made.0,
            age_ms: clocks.wall.0.since(made),
            next_block_ms: made.plus(parameters.heartbeat_ms).0,
            fresh: closed.is_none(),
            closed,
            clock: ClockRow {
                now_ms: clocks.wall.0.0,
                earliest_ms: others.map(|(earliest, _)| earliest.0),
                latest_ms: others.map(|(_, latest)| latest.0),
                off_ms: off(service, others, clocks, made),
                tolerance_ms: parameters.clock_tolerance_ms,
            },
            epoch: head.epoch,
            studies: snapshot.activity(service.member.source)?.studies_in_all,
            files: usage.files,
            bytes: usage.bytes,
            damaged: service.images.archive.damaged(),
            quarantined: service.images.quarantine.rows().map_err(ServiceError::Quarantine)?.len(),
            disk_free: space.free,
            disk_reserve: space.reserve,
            disk_short: space.free < space.reserve,
            validators: set.validators.len(),
            votes,
            power: u64::try_from(set.total_power()).unwrap_or(u64::MAX),
            power_reached: hospitals.iter().filter(|row| row.answers).map(|row| row.power).sum(),
            hospitals,
            needed,
            endorsement_due: endorsement_due(service).filter(|_| votes && !service.shadow),
        })
    }
}

/// Whether the identity key has to be asked for, because it does not lie here.
fn endorsement_due(service: &Service) -> Option<EndorsementDue> {
    let (book, now) = (&service.member.checkpoints, LocalTime(service.timekeeper.dated(&service.store)));
    let present = book.endorsement();
    let is_due = !book.has_identity() && vouching::is_due(present.as_ref(), now);
    let until_ms = vouching::in_force(present.as_ref(), now).and(present).map(|present| present.endorsement.until.0);
    is_due.then_some(EndorsementDue { until_ms })
}

/// Who is connected, and since when an answer counts as one that was given now. Where the last are older, the others are asked, and waited for.
fn heard_now(service: &Service, snapshot: &Snapshot, set: &ValidatorSet) -> Result<(BTreeSet<Key>, u64), ServiceError> {
    let since_ms = service.timekeeper.clocks().boot_ms.saturating_sub(LATELY_MS);
    let Some(running) = service.submission.running.get() else { return Ok((BTreeSet::new(), since_ms)) };
    let epoch = snapshot.head()?.epoch;
    let mut keys = Vec::new();
    for validator in set.validators.iter().filter(|validator| validator.source != service.member.source) {
        if let Some(source) = snapshot.source(validator.source)? {
            keys.push((validator.source, source.keys_in(epoch).network.clone()));
        }
    }
    let mut left = PATIENCE.as_millis() / LOOK.as_millis();
    loop {
        let (connected, words) = (running.connected.borrow().clone(), service.timekeeper.words());
        let is_heard = |source| words.get(source).is_some_and(|word: &Word| word.heard_boot_ms >= since_ms);
        let all = keys.iter().filter(|(_, keys)| keys.iter().any(|key| connected.contains(key)));
        if left == 0 || all.into_iter().all(|(source, _)| is_heard(source)) {
            return Ok((connected, since_ms));
        }
        // It may have been asked just then, and is asked again as soon as it may be.
        service.timekeeper.want();
        std::thread::sleep(LOOK);
        left -= 1;
    }
}

/// Those who vote, as they are seen from here.
fn hospitals(
    service: &Service,
    snapshot: &Snapshot,
    set: &ValidatorSet,
    (connected, since_ms, clocks): (&BTreeSet<Key>, u64, Clocks),
) -> Result<Vec<HospitalRow>, ServiceError> {
    let (epoch, words) = (snapshot.head()?.epoch, service.timekeeper.words());
    let row = |validator: &Validator| {
        let source = snapshot.source(validator.source)?;
        let own = validator.source == service.member.source;
        let is_connected = source
            .as_ref()
            .is_some_and(|source| source.keys_in(epoch).network.iter().any(|key| connected.contains(key)));
        let word = words.get(&validator.source);
        // Its clock went on since.
        let clock = word.map(|word| word.at.plus(clocks.boot_ms.saturating_sub(word.heard_boot_ms)));
        Ok(HospitalRow {
            name: source.map_or_else(String::new, |source| source.announced.name.to_string()),
            source: validator.source.to_string(),
            power: validator.power,
            own,
            connected: is_connected,
            answers: match own {
                true => service.submission.running.get().is_some(),
                false => is_connected && word.is_some_and(|word| word.heard_boot_ms >= since_ms),
            },
            answered_ms: word.map(|word| clocks.boot_ms.saturating_sub(word.heard_boot_ms)),
            height: word.map(|word| word.height),
            off_ms: clock.map(|clock| ahead(clock, clocks.wall.0)),
        })
    };
    set.validators.iter().map(row).collect()
}

/// By how much one moment is after another, in milliseconds; none where they are the same but for how clocks are read.
fn ahead(one: Timestamp, other: Timestamp) -> i64 {
    let signed = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    match (one.since(other), other.since(one)) {
        (ahead, 0) if ahead > SAME_MS => signed(ahead),
        (0, behind) if behind > SAME_MS => -signed(behind),
        _ => 0,
    }
}

/// By how much this relay's clock is ahead of what the others say, or of the newest block if they say nothing.
fn off(service: &Service, others: Option<(Timestamp, Timestamp)>, clocks: Clocks, made: Timestamp) -> Option<i64> {
    let now = clocks.wall.0;
    if let Some((earliest, latest)) = others {
        return Some(match () {
            () if now < earliest => ahead(now, earliest),
            () if now > latest => ahead(now, latest),
            () => 0,
        });
    }
    // Some were heard, and not enough of them: the one that is nearest.
    let words = service.timekeeper.words();
    let each = words.values().map(|word| ahead(now, word.at.plus(clocks.boot_ms.saturating_sub(word.heard_boot_ms))));
    each.min_by_key(|off| off.unsigned_abs()).or((now < made).then(|| ahead(now, made)))
}

impl Command for Status {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, status: RelayStatus) -> Result<Answer, Failure> {
        let wrong = status.wrong();
        let closed = if status.running { status.closed.clone() } else { Some("the relay does not run".to_owned()) };
        let status = RelayStatus { closed, ..status };
        let mut json = json!(status);
        json["wrong"] = json!(wrong);
        let answer = Answer { text: status.lines(), json };
        if wrong.is_empty() {
            return Ok(answer);
        }
        Err(Failure::Found { code: "not_well", sentence: wrong.join("; "), answer: Box::new(answer) })
    }
}

impl RelayStatus {
    /// What is not as it should be, each in a sentence. What lies in quarantine waits for its operator, and a hospital that does not answer for its own, while the others are enough: both
    /// are said, and are nothing wrong with this relay.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        let Self { running, shadow, closed, clock, disk_short, damaged, power, power_reached, needed, .. } = self;
        let endorsement = self.endorsement_due.filter(|due| due.until_ms.is_none());
        let mut wrong = Vec::new();
        if !running {
            wrong.push(
                "the relay does not run: nobody is served, and this hospital decides nothing. Start it with `clavicle-relay run`".to_owned(),
            );
        }
        let off_ms = clock.off_ms.unwrap_or(0);
        if off_ms.unsigned_abs() > clock.tolerance_ms {
            wrong.push(format!(
                "this machine's clock is {}: set it right (NTP), since nobody is served by one that is off by more than {}",
                apart(off_ms),
                span(clock.tolerance_ms)
            ));
        }
        if *running && !shadow {
            if *needed > 0 {
                let (silent, hospitals) = (self.silent(), hospitals_of(*needed));
                let who = if silent.is_empty() {
                    String::new()
                } else {
                    format!(" ({silent} {} not)", do_or_does(&self.silent_rows()))
                };
                wrong.push(format!(
                    "{power_reached} of {power} votes are reached, and more than two thirds are needed: nothing becomes final before {hospitals}{who}"
                ));
            }
            if let Some(why) = closed {
                wrong.push(format!("nobody is served: {why}"));
            }
        }
        if *disk_short {
            wrong.push("the disk is full but for its reserve: nothing more is taken in; make room on it".to_owned());
        }
        if *damaged > 0 {
            wrong.push(format!(
                "{} found damaged: see `clavicle-relay check`",
                many(*damaged, "file of the archive was", "files of the archive were")
            ));
        }
        if endorsement.is_some() {
            wrong.push(format!(
                "no endorsement of the checkpoint key is in force, so that wallets which were away for more than 14 days do not count this hospital's \
                 word: {ASK_FOR_IT}"
            ));
        }
        wrong
    }

    fn silent_rows(&self) -> Vec<&HospitalRow> {
        self.hospitals.iter().filter(|row| !row.answers && !row.own && row.power > 0).collect()
    }

    /// Who of those that vote does not answer, by their names.
    fn silent(&self) -> String {
        self.silent_rows().iter().map(|row| row.name.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// What the relay is, and what it has, in lines for a person.
    #[must_use]
    pub fn about(&self) -> String {
        let Self { name, network, chain, height, age_ms, epoch, validators, votes, .. } = self;
        let vote = if *votes { "this hospital among them" } else { "this hospital not among them" };
        format!(
            "{name} in the network {network}\nchain       {chain}\nheight      {height} (epoch {epoch}), {} s old\nvalidators  {validators}, {vote}\n{}",
            age_ms / 1_000,
            self.holds()
        )
    }

    /// What it has.
    fn holds(&self) -> String {
        let Self { studies, files, bytes, damaged, quarantined, disk_free, disk_reserve, disk_short, .. } = self;
        let (free, reserve) = (*disk_free as f64 / 1e6, *disk_reserve as f64 / 1e6);
        let short = if *disk_short { ": nothing more is taken in; make room on it" } else { "" };
        let megabytes = *bytes as f64 / 1e6;
        let mut aside = if *quarantined > 0 { format!("; {quarantined} in quarantine") } else { String::new() };
        if *damaged > 0 {
            aside.push_str(&format!("; {damaged} found damaged: see `clavicle-relay check`"));
        }
        format!(
            "studies     {studies} registered\narchive     {}, {megabytes:.1} MB{aside}\ndisk        {free:.0} MB free, {reserve:.0} MB of it kept for the chain, revocations and receipts{short}",
            many(*files, "file", "files")
        )
    }

    /// The status in lines for a person.
    #[must_use]
    pub fn lines(&self) -> String {
        let Self { name, network, chain, running, shadow, height, age_ms, closed, epoch, validators, votes, .. } = self;
        let (last, next) = (Timestamp(self.last_block_ms), Timestamp(self.next_block_ms));
        let runs = match (running, shadow) {
            (true, false) => "yes".to_owned(),
            (true, true) => "yes, as a shadow: it takes images in, and no part in the network".to_owned(),
            (false, _) => format!("no; its last block is of {last}"),
        };
        let gate = match closed {
            None => ": fresh".to_owned(),
            Some(why) if *running && !shadow => format!(": the gate is closed: {why}"),
            Some(_) => String::new(),
        };
        let mut lines = vec![
            format!("{name} in the network {network}"),
            format!("chain       {chain}"),
            format!("running     {runs}"),
            format!("height      {height} (epoch {epoch}), {} s old{gate}", age_ms / 1_000),
        ];
        if *running && !shadow {
            lines.push(format!("next block  at the latest at {next}"));
        }
        lines.push(format!("clock       {}", self.clock.sentence()));
        let vote = if *votes { "this hospital among them" } else { "this hospital not among them" };
        lines.push(format!("validators  {validators}, {vote}"));
        if *running && !shadow {
            let Self { power, power_reached, needed, .. } = self;
            let enough = match needed {
                0 => "more than two thirds, so that blocks are decided".to_owned(),
                more => format!("not more than two thirds: nothing becomes final before {}", hospitals_of(*more)),
            };
            lines.push(format!("reached     {power_reached} of {power} votes, {enough}"));
            for row in self.silent_rows() {
                let since = row.answered_ms.map_or_else(
                    || "it was not heard since the start".to_owned(),
                    |ms| format!("it was last heard {} ago", span(ms)),
                );
                lines.push(format!("silent      {}: {since}", row.name));
            }
            for row in self
                .hospitals
                .iter()
                .filter(|row| row.off_ms.is_some_and(|off_ms| off_ms.unsigned_abs() > self.clock.tolerance_ms))
            {
                lines.push(format!(
                    "clocks      that of {} is {} this one",
                    row.name,
                    between(row.off_ms.unwrap_or(0))
                ));
            }
        }
        if let Some(until_ms) = self.endorsement_due.and_then(|due| due.until_ms) {
            lines.push(format!("endorsed    until {}: {ASK_FOR_IT}", Timestamp(until_ms)));
        }
        lines.push(self.holds());
        lines.join("\n")
    }
}

impl ClockRow {
    fn sentence(&self) -> String {
        let now = Timestamp(self.now_ms);
        match self.off_ms {
            None => format!("{now}; nobody else has said what time it is"),
            Some(0) => format!("{now}, as the others say"),
            Some(off_ms) => format!("{now}, {}", apart(off_ms)),
        }
    }
}

/// How far a clock is from what the others say.
fn apart(off_ms: i64) -> String {
    format!("{} what the others say", between(off_ms))
}

fn between(off_ms: i64) -> String {
    let which = if off_ms < 0 { "behind" } else { "ahead of" };
    format!("{} {which}", span(off_ms.unsigned_abs()))
}

/// A length of time, as exact as a person needs it.
fn span(ms: u64) -> String {
    match ms {
        0..10_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        10_000..600_000 => format!("{} s", ms / 1_000),
        600_000..36_000_000 => format!("{} min", ms / 60_000),
        _ => format!("{}.{} h", ms / 3_600_000, ms % 3_600_000 / 360_000),
    }
}

fn hospitals_of(more: usize) -> String {
    if more == 1 { "one more hospital answers".to_owned() } else { format!("{more} more hospitals answer") }
}

fn do_or_does(rows: &[&HospitalRow]) -> &'static str {
    if rows.len() == 1 { "does" } else { "do" }
}
