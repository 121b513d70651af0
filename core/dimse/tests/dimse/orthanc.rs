//! Orthanc as the sender: an archive that is uploaded to, and told to send on.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use clavicle_dimse::End;

use crate::made::pydicom;
use crate::programs::{AS_THEY_COME, Running, Storescp, data_set_of, free_port};
use crate::receiver::{PATIENCE, Receiver};

struct Orthanc {
    _running: Running,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Orthanc {
    /// Knows the receiver as `clavicle`, and dcmtk's as `dcmtk`. It listens for HTTP alone, and answers nobody from elsewhere.
    fn start(clavicle: u16, dcmtk: u16) -> Self {
        // A port that was free a moment ago may be taken by then; not every time.
        (0..5).find_map(|_| Self::try_start(clavicle, dcmtk)).expect("Orthanc never said that it has started")
    }

    fn try_start(clavicle: u16, dcmtk: u16) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let storage = folder.path().join("storage");
        let configuration = format!(
            r#"{{ "HttpPort": {port}, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
            "DicomServerEnabled": false, "DicomAet": "ORTHANC", "Plugins": [], "StorageDirectory": {storage:?}, "IndexDirectory": {storage:?},
            "DicomModalities": {{ "clavicle": ["CLAVICLE", "127.0.0.1", {clavicle}], "dcmtk": ["DCMTK", "127.0.0.1", {dcmtk}] }} }}"#
        );
        let path = folder.path().join("orthanc.json");
        std::fs::write(&path, configuration).unwrap();
        let mut command = Command::new("/usr/sbin/Orthanc");
        command.arg(path);
        let running = Running::until(command, "Orthanc has started")?;
        Some(Self { _running: running, port, _folder: folder })
    }

    /// POST, which must be answered with 200; the answer.
    fn post(&self, path: &str, body: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("POST {path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
        stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.contains(" 200 "), "{path}: {answer}");
        answer
    }

    /// Takes a file in, and gives the number it has there.
    fn upload(&self, path: &Path) -> String {
        let answer = self.post("/instances", &std::fs::read(path).unwrap());
        let (_, after) = answer.split_once("\"ID\" : \"").unwrap();
        after.split_once('"').unwrap().0.to_owned()
    }
}

#[test]
fn what_orthanc_sends_arrives_as_it_sends_it() {
    let receiver = Receiver::start();
    let other = Storescp::start(&AS_THEY_COME);
    let orthanc = Orthanc::start(receiver.address.port(), other.port);
    let files = [
        "CT_small.dcm",
        "rtdose_1frame.dcm",
        "MR_small_RLE.dcm",
        "SC_rgb_jpeg_dcmtk.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "JPEG2000.dcm",
        "test-SR.dcm",
        "waveform_ecg.dcm",
        "rtplan.dcm",
    ];
    let numbers: Vec<String> = files.iter().map(|name| orthanc.upload(&pydicom(name))).collect();
    let all = format!("[\"{}\"]", numbers.join("\",\""));
    for modality in ["clavicle", "dcmtk"] {
        let answer = orthanc.post(&format!("/modalities/{modality}/store"), all.as_bytes());
        assert!(answer.contains("\"FailedInstancesCount\" : 0"), "{answer}");
    }
    let kept = other.data_sets();
    let received = receiver.record.received(files.len());
    assert_eq!((received.len(), kept.len()), (files.len(), files.len()));
    for one in &received {
        let stored = data_set_of(&one.path);
        assert!(kept.contains(&stored), "{} in {}", one.sop_class_uid, one.transfer_syntax_uid);
        assert_eq!(one.calling.as_str(), "ORTHANC");
    }
    // What was compressed still is.
    let is_encapsulated =
        |one: &&clavicle_dimse::Received| one.transfer_syntax_uid.as_str().starts_with("1.2.840.10008.1.2.4.");
    assert_eq!(received.iter().filter(is_encapsulated).count(), 3);
    // Orthanc keeps its association for the next object. It ends with its program, or with its patience.
    drop(orthanc);
    let ended = receiver.record.ended(1);
    assert!(ended.iter().all(|one| matches!(one.end, End::Released | End::Closed | End::Aborted)), "{ended:?}");
}
