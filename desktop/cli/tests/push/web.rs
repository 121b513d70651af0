//! By STOW-RS.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::programs::{Orthanc, Running, done, folder_of, free_ports, pydicom, refused, test_data};

const NAMES: [&str; 5] = ["CT_small.dcm", "JPEG2000.dcm", "MR_small_RLE.dcm", "test-SR.dcm", "waveform_ecg.dcm"];

#[test]
fn an_archive_gets_the_files_byte_for_byte() {
    let (folder, orthanc) = (folder_of(&NAMES), Orthanc::start());
    let to = format!("http://127.0.0.1:{}/dicom-web", orthanc.http);
    let pushed = done(&["push", folder.path().to_str().unwrap(), "--to", &to, "--as-sent"]);
    assert_eq!((pushed["stored"].as_u64(), pushed["accounting"]["given"].as_u64()), (Some(5), Some(5)), "{pushed}");
    let there = orthanc.files();
    for name in NAMES {
        assert!(there.contains(&fs::read(pydicom(name)).unwrap()), "{name}");
    }
    let said = refused(&[
        "push",
        folder.path().to_str().unwrap(),
        "--to",
        &format!("http://127.0.0.1:{}/nowhere", orthanc.http),
        "--as-sent",
    ]);
    assert!(said.contains("5 of 5 files are not stored in") && said.contains("the archive answers 404"), "{said}");
}

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").args(arguments.split_whitespace()).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn over_tls_only_to_whom_is_trusted() {
    let keys = tempfile::tempdir().unwrap();
    let at = keys.path();
    openssl(
        at,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=CA",
    );
    openssl(
        at,
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
    );
    fs::write(at.join("names"), "subjectAltName=DNS:localhost\nbasicConstraints=critical,CA:FALSE\n").unwrap();
    openssl(
        at,
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -days 30 -out cert.pem",
    );
    let both = [fs::read(at.join("key.pem")).unwrap(), fs::read(at.join("cert.pem")).unwrap()].concat();
    fs::write(at.join("both.pem"), both).unwrap();
    let server = Stow::start(&at.join("both.pem"));
    let folder = folder_of(&NAMES[..3]);
    let (folder, to) = (folder.path().to_str().unwrap(), format!("https://localhost:{}/dicom-web", server.port));
    let said = refused(&["push", folder, "--to", &to, "--as-sent"]);
    assert!(said.contains("no secure connection can be made"), "{said}");
    let wrong = format!("https://127.0.0.1:{}/dicom-web", server.port);
    let ca = at.join("ca.pem");
    let ca = ca.to_str().unwrap();
    assert!(
        refused(&["push", folder, "--to", &wrong, "--ca", ca, "--as-sent"])
            .contains("no secure connection can be made")
    );
    fs::write(at.join("token"), "Bearer 4711\n").unwrap();
    let token = at.join("token");
    let pushed =
        done(&["push", folder, "--to", &to, "--ca", ca, "--authorization-file", token.to_str().unwrap(), "--as-sent"]);
    // The one that it does not take compressed it gets decoded.
    assert_eq!((pushed["stored"].as_u64(), pushed["converted"].as_u64()), (Some(3), Some(1)), "{pushed}");
    let said = refused(&["push", folder, "--to", &to, "--ca", ca, "--as-sent"]);
    assert!(said.contains("3 of 3 files are not stored in") && said.contains("401 Unauthorized"), "{said}");
    assert!(
        refused(&["push", folder, "--to", &to, "--ca", at.join("names").to_str().unwrap(), "--as-sent"])
            .contains("no certificates")
    );
}

/// A folder, and a token, went over plain HTTP to wherever the address led.
#[test]
fn without_tls_nothing_leaves_this_machine_but_by_an_explicit_word() {
    let folder = folder_of(&NAMES[..1]);
    let folder = folder.path().to_str().unwrap();
    // Of documentation: nobody has it, and nobody is connected to.
    let to = "http://192.0.2.1:8042/dicom-web";
    for more in [&["--as-sent"][..], &["--patient-id", "4711"]] {
        let said = refused(&[&["push", folder, "--to", to], more].concat());
        assert!(said.contains("is another machine") && said.contains("nothing was sent"), "{said}");
    }
    // Every address of this machine but those that it alone has.
    let said = refused(&["push", folder, "--to", "http://[::ffff:192.0.2.1]:8042/dicom-web", "--as-sent"]);
    assert!(said.contains("is another machine"), "{said}");
    let [port] = free_ports();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost"] {
        let said = refused(&["push", folder, "--to", &format!("http://{host}:{port}/dicom-web"), "--as-sent"]);
        assert!(said.contains("cannot be connected to"), "{host}: {said}");
    }
}

/// A server of Python's own, over TLS, which asks for a token, takes no JPEG 2000, and reads with pydicom what it gets.
const SERVER: &str = r#"
import http.server, io, json, ssl, sys, email, pydicom
class Stow(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        if self.headers['Authorization'] != 'Bearer 4711':
            self.send_response(401); self.end_headers(); return
        assert self.path == '/dicom-web/studies' and self.headers['Accept'] == 'application/dicom+json'
        head = 'Content-Type: ' + self.headers['Content-Type'] + '\r\n\r\n'
        stored, failed = [], []
        for part in email.message_from_bytes(head.encode() + body).get_payload():
            assert part.get_content_type() == 'application/dicom'
            one = pydicom.dcmread(io.BytesIO(part.get_payload(decode=True)))
            item = {'00081155': {'vr': 'UI', 'Value': [one.SOPInstanceUID]}}
            if one.file_meta.TransferSyntaxUID.startswith('1.2.840.10008.1.2.4.9'):
                failed.append(item | {'00081197': {'vr': 'US', 'Value': [0xC122]}})
            else:
                stored.append(item)
        answer = {}
        if stored: answer['00081199'] = {'vr': 'SQ', 'Value': stored}
        if failed: answer['00081198'] = {'vr': 'SQ', 'Value': failed}
        answer = json.dumps(answer).encode()
        self.send_response(202 if failed else 200)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Stow)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print('port', server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
"#;

struct Stow {
    _running: Running,
    port: u16,
}

impl Stow {
    fn start(certificate: &Path) -> Self {
        let mut command = Command::new(test_data("python/bin/python"));
        let (running, line) = Running::until(command.args(["-c", SERVER]).arg(certificate), "port ").unwrap();
        Self { _running: running, port: line.trim_start_matches("port ").parse().unwrap() }
    }
}
