//! From a folder to a signed manifest, and from what arrived back to one sentence.

use std::fs;
use std::path::Path;

use clavicle_imaging::intake::{Edition, Intake, StudyIntake};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{Manifest, MediaType, Nonce, Received};
use clavicle_phantom::{Kind, Phantom};
use clavicle_sandbox::reader::Here;

use crate::content::dcmtk;
use crate::corpus::{brain, pydicom};

const CHAIN: ChainId = ChainId::from_bytes([1; 32]);

fn edition() -> Edition {
    Edition {
        chain: CHAIN,
        source: SourceId::from_bytes([2; 32]),
        salt: Salt::from_bytes([3; 32]),
        nonce: Nonce::from_bytes([4; 32]),
        revision: 0,
        predecessor: None,
        open: false,
    }
}

fn study(root: &Path) -> StudyIntake {
    let mut intake = Intake::of_folder(root, &Here).unwrap();
    assert_eq!(intake.studies.len(), 1, "{:?}", intake.quarantined);
    intake.studies.remove(0)
}

fn received(root: &Path) -> Vec<Received> {
    Intake::of_folder(root, &Here).unwrap().received().collect()
}

fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    let (files, _) = clavicle_imaging::walk::files(from).unwrap();
    for file in files {
        fs::copy(&file, to.path().join(file.file_name().unwrap())).unwrap();
    }
    to
}

fn remove_alter_add(root: &Path, count: usize) {
    let study = study(root);
    let manifest: Manifest = study.manifest(&edition()).unwrap();
    assert!(manifest.header().is_of(&CHAIN, &edition().salt));
    let folder = copy(root);
    let sentence = || manifest.compare(received(folder.path())).to_string();
    assert_eq!(sentence(), format!("{count} of {count} instances as signed"));

    let all: Vec<_> = study.series.iter().flat_map(|series| &series.instances).collect();
    let place = |at: usize| folder.path().join(all[at].path.file_name().unwrap());
    fs::remove_file(place(3)).unwrap();
    let uid = |at: usize| all[at].instance.sop_instance_uid;
    assert_eq!(sentence(), format!("{} of {count} instances as signed; 1 missing: {}", count - 1, uid(3)));

    // One byte of the preamble, which means nothing to DICOM: not what was signed, and it is said how little that is.
    let mut bytes = fs::read(place(4)).unwrap();
    bytes[5] ^= 1;
    fs::write(place(4), &bytes).unwrap();
    let altered = format!("1 encoded differently, content unchanged: {}", uid(4));
    assert_eq!(sentence(), format!("{} of {count} instances as signed; 1 missing: {}; {altered}", count - 2, uid(3)));

    // Written another way by dcmtk, and under another name of the patient.
    assert!(dcmtk("dcmconv", &["+tb"], &[&all[5].path, &place(5)]));
    assert!(dcmtk("dcmodify", &["-nb", "-m", "(0010,0010)=Other^Name"], &[&place(6)]));
    let comparison = manifest.compare(received(folder.path()));
    let change = |at: usize| comparison.altered.iter().find(|one| one.sop_instance_uid == uid(at)).unwrap().change;
    assert_eq!(change(5).to_string(), "encoded differently, content unchanged");
    let pixels = if all[6].instance.frames > 0 { "pixels unchanged, " } else { "" };
    assert_eq!(change(6).to_string(), format!("{pixels}patient name differs"));
    assert_eq!((comparison.intact, comparison.altered.len()), (count - 4, 3));
    for at in [5, 6] {
        fs::copy(&all[at].path, place(at)).unwrap();
    }

    fs::copy(pydicom().join("test_files/CT_small.dcm"), folder.path().join("zz")).unwrap();
    let comparison = manifest.compare(received(folder.path()));
    assert_eq!((comparison.intact, comparison.missing.len(), comparison.altered.len()), (count - 2, 1, 1));
    assert_eq!(comparison.extra.len(), 1);

    // Brought back under another name, the altered one beside it is too much, and not in its place.
    fs::copy(&all[4].path, folder.path().join("zzz")).unwrap();
    let comparison = manifest.compare(received(folder.path()));
    assert_eq!((comparison.intact, comparison.altered.len(), comparison.extra.len()), (count - 1, 0, 2));
}

#[test]
fn fifty_instances_without_pixels() {
    remove_alter_add(&pydicom().join("test_files/dicomdirtests/TINY_ALPHA/PT000000/ST000000"), 50);
}

#[test]
fn twenty_slices_of_a_brain() {
    remove_alter_add(&brain(), 20);
}

#[test]
fn five_hundred_slices_of_a_phantom() {
    let folder = tempfile::tempdir().unwrap();
    Phantom { slices: 500, size: 64, ..Phantom::of(Kind::HeadCt) }.write(folder.path()).unwrap();
    remove_alter_add(folder.path(), 500);
}

#[test]
fn signed_with_a_report_and_read_again() {
    let mut study = study(&brain());
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.txt");
    fs::write(&report, "No finding.").unwrap();
    study.attach(&report, MediaType::Text).unwrap();
    let key = SecretKey::from_bytes(&[5; 32]);
    let signed = study.manifest(&edition()).unwrap().sign(&CHAIN, &key);
    let root = signed.verify(&CHAIN, &key.public()).unwrap();
    assert_eq!((signed.manifest.counts().instances, signed.manifest.counts().attachments), (20, 1));
    let bytes = clavicle_ledger::encoding::encode(&signed);
    let read: clavicle_manifest::SignedManifest = clavicle_ledger::encoding::decode(&bytes).unwrap();
    read.verify_is(&CHAIN, &key.public(), &root).unwrap();
    // The first slice is followed by two megabytes of zeros, and so has subtrees.
    let first = study.series[0].instances.iter().find(|one| one.instance.size > 1 << 20).unwrap();
    let bytes = fs::read(&first.path).unwrap();
    first.subtrees.check(first.instance.size, &first.instance.stored).unwrap();
    for (place, part) in bytes.chunks(1 << 20).enumerate() {
        first.subtrees.verify(place, part).unwrap();
    }
}
