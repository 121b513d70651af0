//! Fetches that are killed, on either side, again and again: they come to their end, byte for byte, and what was on the disk and
//! verified does not come again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cluster::{Cluster, PERSON, files_in};
use crate::image::Image;
use crate::process::{Doing, PATIENCE, program};

const FETCH: [&str; 5] = ["recipient", "fetch", "--dir", "rossi", "--out"];

/// A pack as it lies on the disk: a nonce before and a tag behind each piece.
const SEALED: u64 = 12 + 16;

/// The pack of the only study that a wallet has one of, if it has.
fn pack(cluster: &Cluster) -> Option<PathBuf> {
    files_in(&cluster.path("rossi/images")).into_iter().find(|path| path.ends_with("pack"))
}

fn length(path: Option<&Path>) -> u64 {
    path.and_then(|path| fs::metadata(path).ok()).map_or(0, |found| found.len())
}

/// How many bytes are on the disk and verified: those of whole records whose piece is there.
fn held(cluster: &Cluster) -> u64 {
    let Some(pack) = pack(cluster) else { return 0 };
    let journal = fs::read(pack.with_file_name("journal")).unwrap_or_default();
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    let records =
        journal.chunks_exact(32).map(|record| (&record[..16], number(&record[16..24]), number(&record[24..])));
    let there = records.filter(|(name, offset, len)| *name != [0; 16] && offset + len + SEALED <= length(Some(&pack)));
    // A piece that came twice is one.
    there.map(|(name, _, len)| (name, len)).collect::<BTreeMap<_, _>>().values().sum()
}

/// Starts the source, and waits until it knows what the others have decided since: before that it serves nobody.
fn back_again(cluster: &mut Cluster) {
    cluster.start(0);
    let decided = cluster.highest();
    cluster.reach(&[0], decided + 1);
}

/// Begins a fetch and kills `killed` as soon as the pack has so many bytes; whether it came to that.
fn killed_at(cluster: &mut Cluster, bytes: u64, source: bool) -> bool {
    let mut doing = cluster.begin(PERSON, &[&FETCH[..], &["images"]].concat());
    while doing.runs() && length(pack(cluster).as_deref()) < bytes {
        std::thread::park_timeout(Duration::from_micros(100));
    }
    if !doing.runs() {
        let said = doing.ended();
        assert_eq!(said.code, Some(0), "{said:?}");
        return false;
    }
    if source {
        cluster.kill(0);
    }
    doing.kill();
    if source {
        back_again(cluster);
    }
    true
}

/// Fetches a study of these images with so many kills, every third of them of the source, too.
fn fetched_in_spite_of(images: &[Image<'_>], kills: u64) {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    fs::create_dir(cluster.path("files")).unwrap();
    let files: Vec<Vec<u8>> = images.iter().map(Image::file).collect();
    for (number, bytes) in files.iter().enumerate() {
        fs::write(cluster.path("files").join(number.to_string()), bytes).unwrap();
    }
    let study = cluster.ingest(0, "files");
    cluster.pick_up(0, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));

    let total: u64 = files.iter().map(|bytes| bytes.len() as u64).sum();
    let mut before = 0;
    for kill in 1..=kills {
        let hit = killed_at(&mut cluster, total * kill / (kills + 2), kill % 3 == 0);
        assert!(hit, "it was over before kill {kill} of {kills}");
        let now = held(&cluster);
        assert!(now >= before, "{before} bytes had been there, and now {now}");
        assert!(!cluster.path("images").exists(), "files before all of them were there");
        before = now;
    }
    assert!(before > 0);
    let fetched = cluster.person(&[&FETCH[..], &["images"]].concat());
    let row = &fetched["fetched"][0];
    assert_eq!((row["intact"].as_u64(), row["bytes"].as_u64()), (Some(files.len() as u64), Some(total - before)));
    println!("{kills} kills; of {total} bytes {} came after the last", total - before);
    let mut arrived: Vec<Vec<u8>> =
        files_in(&cluster.path("images")).iter().map(|path| fs::read(path).unwrap()).collect();
    let mut files = files;
    arrived.sort_unstable();
    files.sort_unstable();
    assert!(arrived == files, "not what was sent");
    assert_eq!(pack(&cluster), None, "a copy that nobody asked for");
}

fn long() -> bool {
    std::env::var_os("CLAVICLE_LONG").is_some()
}

fn image(number: u32, pixels: usize) -> Image<'static> {
    Image { study: 1, series: 0, number, patient: "P1", born: "19700101", accession: "", pixels }
}

#[test]
fn a_study_of_few_large_images_arrives_whole_in_spite_of_kills() {
    let (images, mib, kills) = if long() { (1, 1024, 100) } else { (2, 32, 5) };
    fetched_in_spite_of(&(0..images).map(|number| image(number, mib << 20)).collect::<Vec<_>>(), kills);
}

#[test]
fn a_study_of_many_small_images_arrives_whole_in_spite_of_kills() {
    let (images, kills) = if long() { (1_142, 100) } else { (300, 5) };
    fetched_in_spite_of(&(0..images).map(|number| image(number, 98_000)).collect::<Vec<_>>(), kills);
}

/// A source that is gone is noticed, and told; the same command goes on when it is back.
#[test]
fn a_source_that_dies_is_told_of_and_what_had_arrived_is_kept() {
    let mut cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    fs::create_dir(cluster.path("files")).unwrap();
    fs::write(cluster.path("files/one"), image(0, 64 << 20).file()).unwrap();
    let study = cluster.ingest(0, "files");
    cluster.pick_up(0, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    let fetch = ["recipient", "fetch", "--dir", "rossi"];
    let mut doing = cluster.begin(PERSON, &fetch);
    let until = Instant::now() + PATIENCE;
    while length(pack(&cluster).as_deref()) < 8 << 20 {
        assert!(doing.runs() && Instant::now() < until);
        std::thread::park_timeout(Duration::from_micros(100));
    }
    cluster.kill(0);
    let (code, why) = doing.ended().refused();
    assert_eq!(code, "fetch", "{why}");
    assert!(why.contains("what has arrived is kept, try again"), "{why}");
    let before = held(&cluster);
    assert!(before >= 7 << 20, "{before}");
    back_again(&mut cluster);
    let fetched = cluster.person(&fetch);
    let size = image(0, 64 << 20).file().len() as u64;
    assert_eq!(fetched["fetched"][0]["bytes"].as_u64(), Some(size - before), "{fetched}");

    // Without a folder it stays in the wallet, sealed, until it is written out or forgotten.
    let again = cluster.person(&fetch);
    assert_eq!(again["fetched"][0]["bytes"].as_u64(), Some(0), "{again}");
    let export = |out| cluster.person(&["recipient", "export", "--dir", "rossi", &study, "--out", out]);
    assert_eq!(export("images")["instances"].as_u64(), Some(1));
    let image_file = image(0, 64 << 20).file();
    assert!(fs::read(cluster.path("images/ST000001/SE000001/IM000001")).unwrap() == image_file);
    cluster.person(&["recipient", "forget", "--dir", "rossi", &study]);
    assert_eq!(pack(&cluster), None);
    // What was forgotten comes again when it is asked for.
    assert_eq!(export("more")["instances"].as_u64(), Some(1));
    assert!(length(pack(&cluster).as_deref()) > 64 << 20);
    assert!(fs::read(cluster.path("more/ST000001/SE000001/IM000001")).unwrap() == image_file);
}

/// An image comes while the study is on its way: the source stops sending what is no longer all of it, and the same command fetches the
/// revision, without what it has.
/// The wallet's images on a disk of their own that is too small, and then is not.
const FULL: &str = r#"
set -eu
mkdir -p rossi/images
mount -t tmpfs -o size=24m none rossi/images
"$CLAVICLE" --json recipient fetch --dir rossi > first.json && exit 1
du -sb rossi/images | cut -f1 > before
mount -o remount,size=256m rossi/images
"$CLAVICLE" --json recipient fetch --dir rossi --out images > second.json
"#;

#[test]
fn a_disk_that_is_full_is_named_and_what_is_on_it_does_not_come_again() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    fs::create_dir(cluster.path("files")).unwrap();
    let files: Vec<Vec<u8>> = [(0, 40 << 20), (1, 1_000)].map(|(number, pixels)| image(number, pixels).file()).into();
    for (number, bytes) in files.iter().enumerate() {
        fs::write(cluster.path("files").join(number.to_string()), bytes).unwrap();
    }
    let study = cluster.ingest(0, "files");
    cluster.pick_up(0, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    cluster.person(&["recipient", "inbox", "--dir", "rossi"]);

    // In a mount namespace of its own, which is gone with it.
    let mut command = program("unshare", cluster.folder());
    command.args(["--map-root-user", "--mount", "sh", "-c", FULL]).env("CLAVICLE", PERSON);
    let said = Doing::start(command).ended();
    assert_eq!(said.code, Some(0), "{said:?}");
    let read = |name: &str| fs::read_to_string(cluster.path(name)).unwrap();
    let first: serde_json::Value = serde_json::from_str(&read("first.json")).unwrap();
    let sentence = first["error"]["message"].as_str().unwrap();
    assert!(sentence.contains("No space left on device") && sentence.contains("rossi/images"), "{sentence}");
    let before: u64 = read("before").trim().parse().unwrap();
    let second: serde_json::Value = serde_json::from_str(&read("second.json")).unwrap();
    let total: u64 = files.iter().map(|bytes| bytes.len() as u64).sum();
    let came = second["fetched"][0]["bytes"].as_u64().unwrap();
    assert!(before > 16 << 20, "{before} bytes were on the full disk");
    // But for the piece that did not fit, and what lies around each.
    assert!(came <= total - before + (2 << 20), "{came} bytes came with {before} of {total} there");
    let arrived: Vec<Vec<u8>> = files_in(&cluster.path("images")).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(files.iter().all(|file| arrived.contains(file)), "not what was sent");
}

#[test]
fn a_study_that_is_revised_on_its_way_arrives_as_it_is_then() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    for (folder, number, pixels) in [("files", 0, 64 << 20), ("more", 1, 1_000)] {
        fs::create_dir(cluster.path(folder)).unwrap();
        fs::write(cluster.path(folder).join("one"), image(number, pixels).file()).unwrap();
    }
    let study = cluster.ingest(0, "files");
    cluster.pick_up(0, &study, "ana");
    cluster.grant("ana", &study, &cluster.card("rossi"));
    let mut doing = cluster.begin(PERSON, &[&FETCH[..], &["images"]].concat());
    let until = Instant::now() + PATIENCE;
    while length(pack(&cluster).as_deref()) < 8 << 20 {
        assert!(doing.runs() && Instant::now() < until);
        std::thread::park_timeout(Duration::from_micros(100));
    }
    doing.signal("STOP");
    let before = held(&cluster);
    assert_eq!(cluster.ingest(0, "more"), study);
    let events = || cluster.person(&["wallet", "who", "--dir", "ana", &study])["events"].as_u64();
    while events() < Some(3) {
        assert!(Instant::now() < until, "the revision is not on the ledger");
    }
    doing.signal("CONT");
    let said = doing.ended().done();
    let row = &said["fetched"][0];
    assert_eq!((row["intact"].as_u64(), row["revision"].as_u64()), (Some(2), Some(1)), "{said}");
    let total = [0, 1].map(|number| image(number, if number == 0 { 64 << 20 } else { 1_000 }).file().len() as u64);
    let last = row["bytes"].as_u64().unwrap();
    assert!(last <= total.iter().sum::<u64>() - before, "{last} bytes came in the end, and {before} had been there");
    let sizes: Vec<u64> = files_in(&cluster.path("images")).iter().map(|path| length(Some(path))).collect();
    assert!(sizes.len() == 2 && total.iter().all(|size| sizes.contains(size)), "{sizes:?}");
}
