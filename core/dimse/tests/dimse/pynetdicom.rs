//! pynetdicom as the sender, by its program and by its API.

use std::process::Command;

use clavicle_dimse::End;

use crate::made::{image, pydicom};
use crate::programs::{data_set_of, python, succeed};
use crate::receiver::Receiver;

/// Runs a script with these arguments after the port.
fn script(text: &str, receiver: &Receiver, arguments: &[&str]) -> String {
    let head = "import sys, threading\nfrom pathlib import Path\nfrom pydicom import dcmread\n\
        from pynetdicom import AE, _config\n_config.STORE_SEND_CHUNKED_DATASET = True\nport = int(sys.argv[1])\n";
    let text = format!("{head}{text}");
    let mut all =
        vec!["60", &python(), "-c", &text, &receiver.port()].into_iter().map(str::to_owned).collect::<Vec<_>>();
    all.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    let output = Command::new("timeout").args(all).output().unwrap();
    assert!(output.status.success(), "{}", crate::programs::text(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn its_programs_send_and_echo() {
    let receiver = Receiver::start();
    let port = receiver.port();
    succeed(&python(), ["-m", "pynetdicom", "echoscu", "127.0.0.1", &port, "-aec", "CLAVICLE"]);
    let file = pydicom("CT_small.dcm");
    let arguments =
        ["-m", "pynetdicom", "storescu", "127.0.0.1", &port, file.to_str().unwrap(), "-aec", "CLAVICLE", "-cx"];
    succeed(&python(), arguments);
    let ended = receiver.record.ended(2);
    assert_eq!((ended[0].echoes, ended[1].stored), (1, 1));
    assert!(data_set_of(&receiver.record.received(1)[0].path) == data_set_of(&file));
}

#[test]
fn four_associations_at_once() {
    let receiver = Receiver::start();
    let names = ["CT_small.dcm", "MR_small_RLE.dcm", "waveform_ecg.dcm", "SC_rgb_jpeg_dcmtk.dcm"];
    let files = names.map(pydicom);
    let said = script(
        "def send(path):\n\
        \x20   meta = dcmread(path, stop_before_pixels=True)\n\
        \x20   ae = AE('THREAD')\n\
        \x20   ae.add_requested_context(meta.SOPClassUID, meta.file_meta.TransferSyntaxUID)\n\
        \x20   a, sent = ae.associate('127.0.0.1', port, ae_title='CLAVICLE'), 0\n\
        \x20   while sent < 10:\n\
        \x20       assert a.is_established\n\
        \x20       said = a.send_c_store(Path(path))\n\
        \x20       if 'Status' in said:\n\
        \x20           print(hex(said.Status))\n\
        \x20           sent += 1\n\
        \x20       else:\n\
        \x20           print('lost')\n\
        \x20           a.abort()\n\
        \x20           a = ae.associate('127.0.0.1', port, ae_title='CLAVICLE')\n\
        \x20   a.release()\n\
        threads = [threading.Thread(target=send, args=(path,)) for path in sys.argv[2:]]\n\
        [t.start() for t in threads]\n[t.join() for t in threads]\n",
        &receiver,
        &files.each_ref().map(|path| path.to_str().unwrap()),
    );
    assert_eq!(said.matches("0x0").count(), 40, "{said}");
    // On a machine that has much to do its threads lose a response now and then, and send the image again over another
    // association.
    let lost = said.matches("lost").count();
    let ended = receiver.record.ended(4 + lost);
    let whole = ended.iter().filter(|one| (one.stored, one.end) == (10, End::Released)).count();
    assert!(lost <= 4 && whole + lost >= 4, "{ended:?}");
    let stored: Vec<_> = receiver.record.received(40).iter().map(|one| data_set_of(&one.path)).collect();
    for file in &files {
        let sent = data_set_of(file);
        assert!(stored.iter().filter(|stored| **stored == sent).count() >= 10, "{}", file.display());
    }
}

#[test]
fn an_abort_in_mid_object_leaves_nothing() {
    let receiver = Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let large = folder.path().join("large.dcm");
    std::fs::write(&large, image(1, 2_048)).unwrap();
    // The socket is closed in the middle of what is written, or an abort is sent after a part of it.
    script(
        "from pynetdicom.pdu import P_DATA_TF\n\
        meta = dcmread(sys.argv[2], stop_before_pixels=True)\n\
        for how in ('abort', 'close'):\n\
        \x20   ae = AE('HALF')\n\
        \x20   ae.add_requested_context(meta.SOPClassUID, meta.file_meta.TransferSyntaxUID)\n\
        \x20   a = ae.associate('127.0.0.1', port, ae_title='CLAVICLE')\n\
        \x20   assert a.is_established\n\
        \x20   send, count = a.dul.socket.send, 0\n\
        \x20   def counting(data):\n\
        \x20       global count\n\
        \x20       count += len(data)\n\
        \x20       if count < 5_000_000:\n\
        \x20           send(data)\n\
        \x20       elif how == 'close':\n\
        \x20           a.dul.socket.close()\n\
        \x20       else:\n\
        \x20           send(bytes([7, 0, 0, 0, 0, 4, 0, 0, 0, 0]))\n\
        \x20           a.dul.socket.close()\n\
        \x20   a.dul.socket.send = counting\n\
        \x20   print(a.send_c_store(Path(sys.argv[2])))\n",
        &receiver,
        &[large.to_str().unwrap()],
    );
    let ended = receiver.record.ended(2);
    assert_eq!((ended[0].end, ended[1].end), (End::Aborted, End::Closed));
    assert!(ended.iter().all(|one| one.stored == 0 && one.bytes > 1_000_000), "{ended:?}");
    assert_eq!(receiver.names(), Vec::<String>::new());
}

#[test]
fn wrong_titles_are_rejected() {
    let receiver = Receiver::start();
    let said = script(
        // On a machine that has much to do its threads lose the answer now and then, and it asks once more.
        "ae = AE('THREAD')\nae.add_requested_context('1.2.840.10008.1.1')\n\
        for _ in range(5):\n\
        \x20   a = ae.associate('127.0.0.1', port, ae_title='SOMEBODY')\n\
        \x20   if a.acceptor.primitive is not None:\n\
        \x20       break\n\
        print(a.is_rejected, a.acceptor.primitive.result_str, a.acceptor.primitive.reason_str)\n",
        &receiver,
        &[],
    );
    assert!(said.contains("True") && said.contains("Called AE title not recognised"), "{said}");
}
