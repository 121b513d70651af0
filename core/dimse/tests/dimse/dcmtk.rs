//! dcmtk as the sender. What it sends is not always what is in its files: it writes Implicit as Explicit, and lengths anew. So what
//! was stored is held against what its own receiver keeps when told to keep the bytes.

use std::path::PathBuf;

use clavicle_dimse::End;

use crate::made::pydicom;
use crate::programs::{AS_THEY_COME, Storescp, data_set_of, run, succeed, text};
use crate::receiver::Receiver;

#[test]
fn echoscu_gets_its_echo() {
    let receiver = Receiver::start();
    succeed("echoscu", ["-aec", "CLAVICLE", "--repeat", "3", "127.0.0.1", &receiver.port()]);
    let ended = &receiver.record.ended(1)[0];
    assert_eq!((ended.echoes, ended.stored, ended.end), (3, 0, End::Released));
    assert_eq!(ended.calling.as_ref().unwrap().as_str(), "ECHOSCU");
}

/// Sends the files to both receivers with these options; gives what was stored: transfer syntaxes.
fn same_as_storescp(options: &[&str], files: &[PathBuf]) -> Vec<String> {
    let receiver = Receiver::start();
    let other = Storescp::start(&AS_THEY_COME);
    let mut transfer_syntaxes = Vec::new();
    for (at, file) in files.iter().enumerate() {
        let send = |port: &str| {
            let file = file.to_str().unwrap();
            let arguments = [&["-v", "-aec", "CLAVICLE"], options, &["127.0.0.1", port, file]].concat();
            let output = run("storescu", &arguments);
            let is_sent = text(&output).contains("Received Store Response (Success)");
            assert!(is_sent && output.status.success(), "{file} {options:?}: {}", text(&output));
        };
        send(&receiver.port());
        send(&other.port.to_string());
        let stored = &receiver.record.received(at + 1)[at];
        transfer_syntaxes.push(stored.transfer_syntax_uid.as_str().to_owned());
        // Names are by modality and instance, and so the one that is new is looked for by content.
        let kept = other.data_sets();
        assert_eq!(kept.len(), at + 1, "{} came twice", file.display());
        let stored = data_set_of(&stored.path);
        assert!(kept.contains(&stored), "{} {options:?}: other bytes than storescp keeps", file.display());
    }
    let ended = receiver.record.ended(files.len());
    assert!(ended.iter().all(|one| (one.stored, one.refused, one.end) == (1, 0, End::Released)), "{ended:?}");
    assert!(receiver.names().iter().all(|name| name.ends_with(".dcm")));
    transfer_syntaxes
}

/// Images, a report, an ECG, a plan: none compressed.
fn plain() -> Vec<PathBuf> {
    ["CT_small.dcm", "MR_small_implicit.dcm", "test-SR.dcm", "waveform_ecg.dcm", "rtplan.dcm", "rtdose_1frame.dcm"]
        .map(pydicom)
        .to_vec()
}

#[test]
fn uncompressed_in_every_way_it_can_be_proposed() {
    for (option, transfer_syntax) in [
        ("-x=", "1.2.840.10008.1.2.1"),
        ("-xe", "1.2.840.10008.1.2.1"),
        ("-xb", "1.2.840.10008.1.2.2"),
        ("-xi", "1.2.840.10008.1.2"),
        ("-xd", "1.2.840.10008.1.2.1.99"),
    ] {
        let got = same_as_storescp(&[option], &plain());
        assert!(got.iter().any(|got| got == transfer_syntax), "{option} {got:?}");
    }
}

#[test]
fn uncompressed_combined_into_one_context() {
    // Explicit little endian is chosen from whatever else stands with it.
    for option in ["-x=", "-xe", "-xb"] {
        let got = same_as_storescp(&["-R", "+C", option], &plain());
        assert!(got.iter().all(|got| got == "1.2.840.10008.1.2.1"), "{option} {got:?}");
    }
}

#[test]
fn compressed_as_it_is() {
    for (option, file, transfer_syntax) in [
        ("-xd", "image_dfl.dcm", "1.2.840.10008.1.2.1.99"),
        ("-xs", "SC_rgb_jpeg_gdcm.dcm", "1.2.840.10008.1.2.4.70"),
        ("-xy", "SC_rgb_jpeg_dcmtk.dcm", "1.2.840.10008.1.2.4.50"),
        ("-xx", "JPGExtended.dcm", "1.2.840.10008.1.2.4.51"),
        ("-xt", "MR_small_jpeg_ls_lossless.dcm", "1.2.840.10008.1.2.4.80"),
        ("-xu", "JPEGLSNearLossless_08.dcm", "1.2.840.10008.1.2.4.81"),
        ("-xv", "MR_small_jp2klossless.dcm", "1.2.840.10008.1.2.4.90"),
        ("-xw", "JPEG2000.dcm", "1.2.840.10008.1.2.4.91"),
        ("-xr", "MR_small_RLE.dcm", "1.2.840.10008.1.2.5"),
    ] {
        assert_eq!(same_as_storescp(&[option], &[pydicom(file)]), [transfer_syntax], "{file}");
        assert_eq!(same_as_storescp(&["-R", "+C", option], &[pydicom(file)]), [transfer_syntax], "{file}, combined");
    }
}

#[test]
fn a_document_and_a_key_object_selection() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    // The least that opens as a PDF.
    let pdf = "%PDF-1.1\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\n\
        trailer<</Root 1 0 R>>\n%%EOF\n";
    std::fs::write(path("report.pdf"), pdf).unwrap();
    succeed("pdf2dcm", [path("report.pdf"), path("report.dcm")]);
    let dump = "(0008,0016) UI [1.2.840.10008.5.1.4.1.1.88.59]\n(0008,0018) UI [2.25.11]\n(0008,0060) CS [KO]\n\
        (0010,0010) PN [Nobody]\n(0020,000d) UI [2.25.12]\n(0020,000e) UI [2.25.13]\n(0040,a040) CS [CONTAINER]\n\
        (0040,a043) SQ\n(fffe,e000) -\n(0008,0100) SH [113000]\n(0008,0102) SH [DCM]\n(0008,0104) LO [Of Interest]\n\
        (fffe,e00d) -\n(fffe,e0dd) -\n";
    std::fs::write(path("selection.txt"), dump).unwrap();
    succeed("dump2dcm", [path("selection.txt"), path("selection.dcm")]);
    // Without -R these are among the 120 classes that do not fit into what is proposed.
    same_as_storescp(&["-R"], &[path("report.dcm"), path("selection.dcm")]);
}

#[test]
fn everything_that_dcmtk_can_propose_at_once() {
    // 128 contexts, most of which no file needs.
    let receiver = Receiver::start();
    let file = pydicom("CT_small.dcm");
    let said = succeed("storescu", ["-d", "-aec", "CLAVICLE", "127.0.0.1", &receiver.port(), file.to_str().unwrap()]);
    let accepted = said.matches("(Accepted)").count();
    assert!(accepted > 100 && !said.contains("(Rejected"), "{accepted} accepted: {said}");
    assert_eq!(receiver.record.ended(1)[0].stored, 1);
}

#[test]
fn a_query_finds_nobody_to_answer() {
    let receiver = Receiver::start();
    let output =
        run("findscu", ["-S", "-aec", "CLAVICLE", "-k", "QueryRetrieveLevel=STUDY", "127.0.0.1", &receiver.port()]);
    assert!(text(&output).contains("No Acceptable Presentation Contexts"), "{}", text(&output));
    assert_eq!(receiver.record.ended(1)[0].stored, 0);
}
