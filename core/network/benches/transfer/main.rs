//! How fast a study comes, beside what else brings images: `cargo bench -p clavicle-network --bench transfer`.
//!
//! Source and recipient are different processes on loopback, on whatever processors there are. Ours is from nothing but a key and an
//! address to the last byte verified, sealed in the pack and forced to the disk. nginx with curl is neither verified nor sealed; with
//! "settled" each of its files is forced to the disk too. All take turns, so that what else the machine does meets all, and every figure is the median.
//! Whatever is not installed (Debian's nginx-light, curl, openssl, orthanc, orthanc-dicomweb) is left out, and said to be.
//!
//! `CLAVICLE_LONG=1` takes the full sizes, and more requesters; `CLAVICLE_CROWD=2500` says how many. `TMPDIR` says on which disk; on a tmpfs forcing costs
//! nobody anything. Words after `--` choose: `small`, `middle`, `large`, `crowd`, `revoked` and `silent`, which are as many strangers who connect and say nothing.
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod fetch;
mod peers;
mod process;
mod study;
mod world;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use self::peers::{Curl, Peer};
use self::process::{Crowd, Shared, Source, be_crowd, be_silent, be_source};
use self::study::Shape;
use self::world::{Grantee, Hospital};

/// What is measured, and what DESIGN.md asks of it beside nginx and curl.
struct Case {
    word: &'static str,
    name: String,
    shape: Shape,
    rounds: usize,
    asked: &'static str,
}

fn long() -> bool {
    std::env::var_os("CLAVICLE_LONG").is_some_and(|long| long == "1")
}

fn cases() -> Vec<Case> {
    let (small, large, rounds) = if long() { (1_142, 22_360, 7) } else { (300, 11_180, 5) };
    let case = |word, number, count, side: u16, rounds, asked| {
        let kib = f64::from(side) * f64::from(side) * 2.0 / 1_000.0;
        let each = if kib < 1_000.0 { format!("{kib:.0} KB") } else { format!("{:.0} MB", kib / 1_000.0) };
        Case { word, name: format!("{count} × {each}"), shape: Shape { number, count, side }, rounds, asked }
    };
    vec![
        case("small", 1, small, 221, rounds, "floor 1.0, aim 3"),
        case("middle", 2, 200, 500, rounds, "none asked"),
        case("large", 3, 1, large, 5, "floor 0.5, aim 0.65 or 0.85 of the bare stream"),
    ]
}

const CROWD: Shape = Shape { number: 4, count: 1, side: 362 };

/// How many requesters come at once, each time.
fn crowds() -> Vec<u32> {
    let said = std::env::var("CLAVICLE_CROWD").ok();
    let said = said.map(|count| count.parse().expect("CLAVICLE_CROWD is how many requesters come at once"));
    match said {
        Some(count) => vec![count],
        None if long() => vec![1_000, 10_000],
        None => vec![1_000],
    }
}

fn shared(root: &Path) -> Shared {
    let requesters = crowds().into_iter().max().unwrap_or(0);
    let studies = cases().into_iter().map(|case| (case.shape, 1)).chain([(CROWD, requesters)]);
    Shared { root: root.to_owned(), studies: studies.collect() }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["source", root] => return be_source(&shared(root.as_ref()), None),
        ["source", root, every] => return be_source(&shared(root.as_ref()), every.parse().ok()),
        ["crowd", root, source, from, count] => {
            let number = |text: &str| text.parse().unwrap();
            return be_crowd(&shared(root.as_ref()), source.parse().unwrap(), number(from), number(count));
        }
        ["silent", source, from, count] => {
            return be_silent(source.parse().unwrap(), from.parse().unwrap(), count.parse().unwrap());
        }
        _ => {}
    }
    let chosen = |word: &str| words.is_empty() || words.contains(&word);
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("studies");
    let shared = shared(&root);
    shared.studies.iter().for_each(|(shape, _)| shape.write(&root));
    println!("in {}, load {}", folder.path().display(), load());
    let nginx = nginx_in(&root, folder.path());
    for case in cases() {
        if chosen(case.word) {
            measure(&case, &root, &folder, nginx.as_ref());
        }
    }
    if chosen("crowd") {
        crowds().into_iter().for_each(|count| crowd(&root, count));
    }
    if chosen("revoked") {
        revoked(&root, 1_000);
    }
    if chosen("silent") {
        crowds().into_iter().for_each(|count| silent(&root, count));
    }
}

fn nginx_in(root: &Path, folder: &Path) -> Option<Peer> {
    let nginx = peers::nginx(root, folder);
    if nginx.is_none() {
        println!("nginx, curl or openssl is not installed, or does not start: left out");
    }
    nginx
}

/// How busy the machine is.
fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or("unknown").to_owned()
}

/// Something that brings a study, and how long it took, each time.
struct Contestant<'a> {
    name: &'static str,
    bring: Box<dyn Fn(&Path) + 'a>,
    took: Vec<Duration>,
}

fn measure(case: &Case, root: &Path, folder: &TempDir, nginx: Option<&Peer>) {
    let (shape, len) = (case.shape, size(&case.shape.folder(root)));
    let source = Source::start(root);
    let mut hospital = Hospital::new();
    let grantee = shared(root).studies.into_iter().map(|(other, _)| (other, hospital.take_in(root, other, 1)));
    let grantee: Vec<Grantee> =
        grantee.filter(|(other, _)| other.number == shape.number).flat_map(|(_, all)| all).collect();
    // As the command line does it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (runtime, hospital, grantee, source) = (&runtime, &hospital, &grantee[0], &source);
    // A folder for each study: an Orthanc that finds what another one was given gives any of it.
    let run = folder.path().join(format!("orthanc-{}", shape.number));
    fs::create_dir_all(&run).unwrap();
    let orthanc = if shape.count > 1 { peers::orthanc(&run) } else { None };
    let mut all = vec![
        Contestant::new("ours", |to| runtime.block_on(fetch::fetch(source.at, hospital, grantee, to))),
        Contestant::new("bare stream, nowhere", |_| runtime.block_on(fetch::raw(source.raw, len, None))),
        Contestant::new("bare stream, settled", |to| runtime.block_on(fetch::raw(source.raw, len, Some(to)))),
    ];
    if let Some(nginx) = nginx {
        let curl = |name, how, settle| Contestant::new(name, move |to| nginx.fetch(shape, how, to, settle));
        all.push(curl("curl in turn", Curl::InTurn, false));
        all.push(curl("curl in turn, settled", Curl::InTurn, true));
        if shape.count > 1 {
            all.push(curl("curl, 8 at once", Curl::AtOnce, false));
            all.push(curl("curl, 8 at once, settled", Curl::AtOnce, true));
            all.push(curl("curl, HTTP/2", Curl::Http2, false));
        }
    }
    if let Some(orthanc) = &orthanc {
        orthanc.store(root, shape);
        let study = orthanc.study(&run);
        let brought = move |to: &Path| assert!(size(to) > len / 2, "Orthanc gave less than it was given");
        all.push(Contestant::new("Orthanc, WADO-RS", move |to| {
            orthanc.wado(shape, to);
            brought(to);
        }));
        all.push(Contestant::new("Orthanc, archive", move |to| {
            orthanc.archive(&study, to);
            brought(to);
        }));
    } else if shape.count > 1 {
        println!("Orthanc or its DICOMweb plugin is not installed, or does not start: left out");
    }
    for round in 0..=case.rounds {
        for contestant in &mut all {
            contestant.run(&folder.path().join("arrived"), round > 0);
        }
    }
    say(case, len, &all);
    drop(all);
    println!("    source's memory, peak and now                {:?} MiB", source.memory());
}

impl<'a> Contestant<'a> {
    fn new(name: &'static str, bring: impl Fn(&Path) + 'a) -> Self {
        Self { name, bring: Box::new(bring), took: Vec::new() }
    }

    /// The first run only warms up, and does not count.
    fn run(&mut self, into: &Path, counts: bool) {
        let from = Instant::now();
        (self.bring)(into);
        if counts {
            self.took.push(from.elapsed());
        }
        fs::remove_dir_all(into).or_else(|_| fs::remove_file(into)).ok();
    }

    fn median(&self) -> f64 {
        let mut took = self.took.clone();
        took.sort();
        took[took.len() / 2].as_secs_f64()
    }
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn say(case: &Case, len: u64, all: &[Contestant<'_>]) {
    println!("{}, load {}; ours beside each: {}", case.name, load(), case.asked);
    let (ours, mb) = (all[0].median(), len as f64 / 1e6);
    for one in all {
        let median = one.median();
        println!("    {:<28} {:>7.0} MB/s {:>9.1} ms {:>8.2}", one.name, mb / median, median * 1e3, median / ours);
    }
    let best = |settled: bool| {
        let curls = all.iter().filter(|one| one.name.starts_with("curl") && one.name.ends_with("settled") == settled);
        curls.map(Contestant::median).min_by(f64::total_cmp)
    };
    if let (Some(left), Some(settled)) = (best(false), best(true)) {
        println!(
            "    ours settled beside the best curl: {:.2}; beside the best that is settled too: {:.2}",
            left / ours,
            settled / ours
        );
    }
}

/// How many bytes a file has, or the files of a folder.
fn size(path: &Path) -> u64 {
    let in_folder = |entries: fs::ReadDir| entries.map(|entry| size(&entry.unwrap().path())).sum();
    fs::read_dir(path).map_or_else(|_| path.metadata().unwrap().len(), in_folder)
}

/// Many at once at one source.
fn crowd(root: &Path, count: u32) {
    let source = Source::start(root);
    let idle = source.memory().1;
    let thousands = (0..count).step_by(1_000).map(|from| Crowd::gather(root, source.at, from, 1_000.min(count - from)));
    let mut thousands: Vec<Crowd> = thousands.collect();
    thousands.iter_mut().for_each(Crowd::ready);
    let from = Instant::now();
    thousands.iter_mut().for_each(Crowd::go);
    let served: u32 = thousands.iter_mut().map(Crowd::served).sum();
    let (took, (peak, now)) = (from.elapsed(), source.memory());
    println!("{count} requesters at once of 262 KB each, load {}", load());
    println!("    served {served}, not served {}, in {took:.2?}", count - served);
    println!("    source's memory: {idle} MiB before, {peak} MiB at most, {now} MiB afterwards");
}

/// Many at once, of whom every tenth is revoked when its first byte is due. DESIGN.md asks for p99 in 100 ms, and aims at 20.
fn revoked(root: &Path, count: u32) {
    let mut source = Source::that_revokes(root, 10);
    let mut crowd = Crowd::gather(root, source.at, 0, count);
    crowd.ready();
    let from = Instant::now();
    crowd.go();
    let served = crowd.served();
    println!("{count} requesters at once of 262 KB each, every tenth revoked, load {}", load());
    println!("    served {served} in {:.2?}; {}", from.elapsed(), source.cuts());
}

/// Many who connect and say nothing.
fn silent(root: &Path, count: u32) {
    let source = Source::start(root);
    let idle = source.memory().1;
    let thousands = (0..count).step_by(1_000).map(|from| Crowd::of_strangers(source.at, from, 1_000.min(count - from)));
    let mut thousands: Vec<Crowd> = thousands.collect();
    thousands.iter_mut().for_each(Crowd::ready);
    thousands.iter_mut().for_each(Crowd::go);
    let there: u32 = thousands.iter_mut().map(Crowd::served).sum();
    let (peak, now) = source.memory();
    println!("{count} strangers who say nothing, load {}", load());
    println!(
        "    connected {there}; source's memory: {idle} MiB before, {peak} MiB at most, {now} MiB with them there"
    );
}
