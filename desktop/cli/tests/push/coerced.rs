//! Under another patient id.

use std::fs;

use crate::programs::{Orthanc, Storescp, done, folder_of, python, refused, somebody_else};

/// What pydicom sees of who it is, and of what was changed.
const WHO: &str = r#"
import sys, pydicom
before, after = map(pydicom.dcmread, sys.argv[1:])
other, original = after.OtherPatientIDsSequence[-1], after.OriginalAttributesSequence[-1]
modified = original.ModifiedAttributesSequence[0]
assert before.PatientID == other.PatientID == modified.PatientID
assert other.TypeOfPatientID == 'TEXT' and original.ReasonForTheAttributeModification == 'COERCE'
assert len(original.AttributeModificationDateTime) == 19 and original.ModifyingSystem == 'CLAVICLE'
for uid in ['StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID', 'SOPClassUID']:
    assert before[uid].value == after[uid].value
assert after.file_meta.MediaStorageSOPInstanceUID == after.SOPInstanceUID
changed = {'PatientID', 'PatientName', 'IssuerOfPatientID', 'OtherPatientIDsSequence', 'OriginalAttributesSequence'}
names = lambda ds: {e.keyword or str(e.tag) for e in ds if e.tag.element != 0}
for element in before:
    if element.keyword not in changed and element.tag.element != 0:
        assert element == after[element.tag], element
assert names(after) - names(before) <= changed, names(after) - names(before)
print(after.PatientID, after.get('IssuerOfPatientID'), after.PatientName, modified.get('PatientName'), sep='|')
"#;

#[test]
fn a_study_is_filed_under_the_local_id_and_keeps_its_own() {
    for name in ["CT_small.dcm", "JPEG2000.dcm", "MR_small_implicit.dcm", "rtplan.dcm"] {
        let (folder, scp) = (folder_of(&[name]), Storescp::start(&["+B", "+xa"]));
        let arguments = ["--patient-id", "4711", "--issuer", "ST LUKE"];
        let pushed = done(&[&["push", folder.path().to_str().unwrap(), "--to", &scp.to()], &arguments[..]].concat());
        assert_eq!((pushed["stored"].as_u64(), pushed["converted"].as_u64()), (Some(1), Some(0)), "{pushed}");
        let said = python(WHO, &[&folder.path().join(name), &scp.paths()[0]]);
        assert!(said.starts_with("4711|ST LUKE|") && said.ends_with("|None\n"), "{said}");
    }
}

#[test]
fn over_the_web_as_well() {
    let (folder, orthanc) = (folder_of(&["CT_small.dcm"]), Orthanc::start());
    let to = format!("http://127.0.0.1:{}/dicom-web", orthanc.http);
    done(&[
        "push",
        folder.path().to_str().unwrap(),
        "--to",
        &to,
        "--patient-id",
        "4711",
        "--patient-name",
        "compressedsamples^ct1",
    ]);
    let there = folder.path().join("there");
    fs::write(&there, &orthanc.files()[0]).unwrap();
    let said = python(WHO, &[&folder.path().join("CT_small.dcm"), &there]);
    assert_eq!(said, "4711|None|compressedsamples^ct1|CompressedSamples^CT1\n");
}

#[test]
fn another_patients_study_is_not_sent() {
    let (folder, scp) = (folder_of(&["CT_small.dcm"]), Storescp::start(&[]));
    let (folder, to) = (folder.path().to_str().unwrap(), scp.to());
    let push = ["push", folder, "--to", &to, "--patient-id", "4711"];
    let other = ["--patient-name", "Rossi^Ana", "--patient-sex", "F", "--patient-birth-date", "1953-01-17"];
    let said = refused(&[&push[..], &other].concat());
    let expected = "the name is CompressedSamples^CT1 in the study, and Rossi^Ana was given";
    assert!(
        said.contains(expected) && said.contains("the sex is O in the study") && said.contains("Nothing was sent"),
        "{said}"
    );
    assert!(scp.paths().is_empty());
    let same = ["--patient-name", "COMPRESSEDSAMPLES^CT1", "--patient-sex", "O", "--patient-birth-date", "1953-01-17"];
    let pushed = done(&[&push[..], &same].concat());
    assert_eq!((pushed["stored"].as_u64(), pushed["not_compared"][0].as_str()), (Some(1), Some("date of birth")));
    let pushed = done(&[&push[..], &other, &["--accept-mismatch"]].concat());
    assert_eq!(pushed["stored"].as_u64(), Some(1));
}

#[test]
fn one_id_is_not_given_to_two_patients() {
    let (folder, scp) = (folder_of(&["CT_small.dcm", "MR_small.dcm"]), Storescp::start(&[]));
    let said = refused(&["push", folder.path().to_str().unwrap(), "--to", &scp.to(), "--patient-id", "4711"]);
    assert!(said.contains("the folder holds studies under 2 patient ids"), "{said}");
    assert!(scp.paths().is_empty());
}

/// Hospitals count from one, and seldom say whose number it is: the same number of two hospitals was taken for one person.
#[test]
fn one_number_of_two_hospitals_is_two_patients() {
    let (folder, scp) = (folder_of(&["CT_small.dcm"]), Storescp::start(&[]));
    fs::write(folder.path().join("other.dcm"), somebody_else()).unwrap();
    let said = refused(&["push", folder.path().to_str().unwrap(), "--to", &scp.to(), "--patient-id", "4711"]);
    assert!(
        said.contains("studies of more than one patient, and one id was given") && said.contains("Patient's Name"),
        "{said}"
    );
    assert!(scp.paths().is_empty());
}

/// Five hundred images landed in an archive under the id that another hospital had given, which somebody else had there.
#[test]
fn nothing_is_filed_under_an_id_that_nobody_said() {
    let (folder, scp) = (folder_of(&["CT_small.dcm"]), Storescp::start(&[]));
    let elsewhere = tempfile::tempdir().unwrap();
    let path = elsewhere.path().join("id");
    let (folder, to) = (folder.path().to_str().unwrap(), scp.to());
    let said = refused(&["push", folder, "--to", &to]);
    assert!(said.contains("whose study it is in that archive was not said, and nothing was sent"), "{said}");
    assert!(
        refused(&["push", folder, "--to", &to, "--as-sent", "--patient-id", "4711"]).contains("cannot be used with")
    );
    assert!(scp.paths().is_empty());
    // Where nobody else reads it.
    fs::write(&path, "4711\n").unwrap();
    done(&["push", folder, "--to", &to, "--patient-id-file", path.to_str().unwrap()]);
    let program = "import sys, pydicom; print(pydicom.dcmread(sys.argv[1]).PatientID)";
    assert_eq!(python(program, &[&scp.paths()[0]]).trim(), "4711");
    for wrong in ["", "a\\b", "one\ntwo"] {
        fs::write(&path, wrong).unwrap();
        let said = refused(&["push", folder, "--to", &to, "--patient-id-file", path.to_str().unwrap()]);
        assert!(said.contains("the patient's id in that archive cannot be used"), "{said}");
    }
}
