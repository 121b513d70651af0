//! Files written anew: what they say, and their pixels, are the same; damaged ones end in a sentence.

use std::fs::{self, File};
use std::io::{Cursor, Write as _};
use std::path::Path;

use clavicle_dicom::rewrite::{Coercion, Demographics, Syntax};
use clavicle_sandbox::Inspected;
use clavicle_sandbox::reader::{Here, Reader as _, RewriteFileError};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

use crate::corpus::pydicom;

const SYNTAXES: [Syntax; 3] = [Syntax::Own, Syntax::Explicit, Syntax::Implicit];

fn inspected(path: &Path) -> Option<Inspected> {
    let file = File::open(path).unwrap();
    let len = file.metadata().unwrap().len();
    Inspected::read(file, len).ok()
}

fn coercion() -> Coercion {
    Coercion {
        patient_id: "4711".to_owned(),
        issuer: Some("ST LUKE".to_owned()),
        demographics: Demographics::default(),
        at: "20260503121515+0000".to_owned(),
        system: "CLAVICLE".to_owned(),
    }
}

fn rewritten(path: &Path, syntax: Syntax, coercion: Option<&Coercion>) -> Result<Inspected, RewriteFileError> {
    let mut bytes = Vec::new();
    let said = Here.rewrite(&File::open(path).unwrap(), syntax, coercion, &mut bytes)?;
    let len = bytes.len() as u64;
    let again = Inspected::read(Cursor::new(bytes), len).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(again.facts.transfer_syntax_uid, said.transfer_syntax_uid);
    assert_eq!(again.facts.sop_instance_uid, said.sop_instance_uid);
    Ok(again)
}

#[test]
fn every_real_file_says_the_same_in_each_transfer_syntax() {
    let (mut count, mut decoded, mut refused) = (0, 0, Vec::new());
    for path in clavicle_imaging::walk::files(&pydicom()).unwrap().0 {
        let Some(before) = inspected(&path) else { continue };
        for syntax in SYNTAXES {
            let after = match rewritten(&path, syntax, None) {
                Ok(after) => after,
                Err(error) => {
                    refused.push(format!("{} {syntax:?}: {error}", path.file_name().unwrap().display()));
                    continue;
                }
            };
            count += 1;
            let is_same_syntax = after.facts.transfer_syntax_uid == before.facts.transfer_syntax_uid;
            let (place, said) = (after.facts.place, before.facts.place);
            assert_eq!((&after.facts.patient, place), (&before.facts.patient, said), "{}", path.display());
            if is_same_syntax {
                assert_eq!(after.pixels, before.pixels, "{}", path.display());
            } else if after.pixels != before.pixels {
                // What was compressed with loss, whose codestream stands for itself.
                assert!(
                    before.facts.transfer_syntax_uid.as_str().starts_with("1.2.840.10008.1.2.4"),
                    "{}",
                    path.display()
                );
                decoded += 1;
            }
        }
    }
    println!("{count} rewritten, {decoded} of them decoded; refused:\n{}", refused.join("\n"));
    assert!(count > 300 && decoded > 20 && refused.len() < 40);
}

#[test]
fn another_id_changes_nothing_else() {
    for name in ["CT_small", "MR_small_implicit", "JPEG2000", "test-SR", "rtplan", "waveform_ecg"] {
        let path = pydicom().join("test_files").join(name).with_extension("dcm");
        let (before, after) = (inspected(&path).unwrap(), rewritten(&path, Syntax::Own, Some(&coercion())).unwrap());
        assert_eq!((after.facts.patient.id.as_str(), after.facts.patient.issuer.as_str()), ("4711", "ST LUKE"));
        assert_eq!(after.pixels, before.pixels, "{name}");
        // What the manifest says of the difference is that the patient is another, and no more.
        let change = before.instance().change(&after.instance()).unwrap().to_string();
        assert!(!change.contains("pixels differ"), "{name}: {change}");
    }
}

#[test]
fn damaged_files_end_in_a_sentence() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut below = |bound: usize| (rng.next_u64() % bound as u64) as usize;
    let names = [
        "CT_small",
        "MR_small_bigendian",
        "nested_priv_SQ",
        "test-SR",
        "UN_sequence",
        "rtplan",
        "image_dfl",
        "MR_small_RLE",
    ];
    let files = names.map(|name| fs::read(pydicom().join("test_files").join(name).with_extension("dcm")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    let mut written = 0;
    for round in 0..3_000 {
        let mut bytes = files[below(files.len())].clone();
        for _ in 0..=below(4) {
            let at = below(bytes.len().min(4_000));
            match below(3) {
                0 => bytes[at] = below(256) as u8,
                1 => bytes[at] = 0xff,
                _ => bytes[at] ^= 1 << below(8),
            }
        }
        File::create(&path).unwrap().write_all(&bytes).unwrap();
        let coercion = coercion();
        let file = File::open(&path).unwrap();
        let outcome = Here.rewrite(&file, SYNTAXES[round % 3], Some(&coercion), &mut Vec::new());
        match outcome {
            Ok(_) => written += 1,
            Err(error) => assert!(error.to_string().len() > 10, "{error}"),
        }
    }
    assert!((300..2_900).contains(&written), "{written}");
}
