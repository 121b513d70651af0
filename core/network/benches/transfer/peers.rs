//! What else brings images: nginx with curl, and Orthanc.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::study::Shape;

/// A server, until it is dropped.
pub(crate) struct Peer {
    process: Child,
    port: u16,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Asked to end: killed, nginx would leave its workers behind.
        drop(Command::new("kill").arg(self.process.id().to_string()).status());
        drop(self.process.wait());
    }
}

/// How one curl is told to fetch many files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curl {
    /// One after another, on one connection.
    InTurn,
    /// Eight at once, each on a connection that is kept.
    AtOnce,
    /// At once as streams of one HTTP/2 connection.
    Http2,
}

fn installed(program: &str, asked: &str) -> bool {
    Command::new(program).arg(asked).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// nginx before the files, by TLS 1.3 alone; none when it or curl is not installed.
pub(crate) fn nginx(root: &Path, run: &Path) -> Option<Peer> {
    if !(installed("nginx", "-v") && installed("curl", "-V") && installed("openssl", "version")) {
        return None;
    }
    let (port, at) = (free_port(), run.display());
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-keyout", &format!("{at}/key.pem"), "-out", &format!("{at}/certificate.pem")])
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success(), "openssl made no certificate");
    let configuration = format!(
        // Of an nginx that is started by root: its workers would be somebody to whom the files are not open.
        "user root root; daemon off; pid {at}/pid; error_log {at}/error.log; worker_processes auto; events {{ worker_connections 4096; }}
         http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
           client_body_temp_path {at}/body; proxy_temp_path {at}/proxy; fastcgi_temp_path {at}/fastcgi;
           uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
           server {{ listen 127.0.0.1:{port} ssl http2; root {}; ssl_protocols TLSv1.3;
             ssl_certificate {at}/certificate.pem; ssl_certificate_key {at}/key.pem; }} }}",
        root.display()
    );
    fs::write(run.join("nginx.conf"), configuration).unwrap();
    let process =
        Command::new("nginx").arg("-c").arg(run.join("nginx.conf")).arg("-p").arg(run).stderr(Stdio::null()).spawn();
    answers(process.unwrap(), port)
}

/// Orthanc with its DICOMweb plugin, and no studies; none when it is not installed.
pub(crate) fn orthanc(run: &Path) -> Option<Peer> {
    let plugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";
    if !(Path::new(plugin).exists() && installed("Orthanc", "--version") && installed("curl", "-V")) {
        return None;
    }
    let [port, dicom] = [free_port(), free_port()];
    let configuration = serde_json::json!({
        "HttpPort": port, "DicomPort": dicom, "RemoteAccessAllowed": false, "AuthenticationEnabled": false,
        "StorageDirectory": run.join("orthanc"), "IndexDirectory": run.join("orthanc"), "Plugins": [plugin],
    });
    fs::write(run.join("orthanc.json"), configuration.to_string()).unwrap();
    let process =
        Command::new("Orthanc").arg(run.join("orthanc.json")).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    answers(process.unwrap(), port)
}

/// The server when it answers; none when it ends instead.
fn answers(process: Child, port: u16) -> Option<Peer> {
    let mut peer = Peer { process, port };
    let from = Instant::now();
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if peer.process.try_wait().unwrap().is_some() || from.elapsed() > Duration::from_secs(30) {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Some(peer)
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn curl(arguments: &[&str]) {
    let ended = Command::new("curl").args(["-q", "-s", "-S", "-f", "-k"]).args(arguments).output().unwrap();
    assert!(ended.status.success(), "curl failed: {}", String::from_utf8_lossy(&ended.stderr));
}

impl Peer {
    /// Fetches a study's files into a folder, and forces each to the disk or leaves that to the system.
    pub(crate) fn fetch(&self, shape: Shape, how: Curl, into: &Path, settle: bool) {
        fs::create_dir_all(into).unwrap();
        let one = |number: u32| {
            let url = format!("https://127.0.0.1:{}/{}/{number:04}.dcm", self.port, shape.number);
            format!("url = \"{url}\"\noutput = \"{}/{number:04}.dcm\"\n", into.display())
        };
        let list = into.with_extension("curl");
        fs::write(&list, (0..shape.count).map(one).collect::<String>()).unwrap();
        let list = list.to_str().unwrap();
        match how {
            Curl::InTurn => curl(&["--http1.1", "-K", list]),
            Curl::AtOnce => curl(&["--http1.1", "--parallel", "--parallel-max", "8", "-K", list]),
            Curl::Http2 => curl(&["--http2", "--parallel", "-K", list]),
        }
        for number in 0..shape.count {
            let file = File::open(into.join(format!("{number:04}.dcm"))).expect("curl brought it");
            if settle {
                file.sync_data().unwrap();
            }
        }
        if settle {
            File::open(into).unwrap().sync_all().unwrap();
        }
    }

    /// Gives Orthanc a study's files.
    pub(crate) fn store(&self, root: &Path, shape: Shape) {
        let url = format!("http://127.0.0.1:{}/instances", self.port);
        let one =
            |number| format!("url = \"{url}\"\ndata-binary = \"@{}\"\nnext\n", shape.file(root, number).display());
        let list = root.join("store.curl");
        // The last one is given once more: nothing may follow "next" but another.
        fs::write(&list, (0..shape.count).map(one).collect::<String>() + one(0).trim_end_matches("next\n")).unwrap();
        curl(&["-K", list.to_str().unwrap()]);
    }

    /// Orthanc's name for the study.
    pub(crate) fn study(&self, root: &Path) -> String {
        let path = root.join("studies.json");
        curl(&["-o", path.to_str().unwrap(), &format!("http://127.0.0.1:{}/studies", self.port)]);
        let all: Vec<String> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        all.into_iter().next().expect("a study was stored")
    }

    /// Fetches from Orthanc by WADO-RS.
    pub(crate) fn wado(&self, shape: Shape, into: &Path) {
        let url = format!("http://127.0.0.1:{}/dicom-web/studies/{}", self.port, shape.uid());
        let accept = "Accept: multipart/related; type=\"application/dicom\"; transfer-syntax=*";
        curl(&["-H", accept, "-o", into.to_str().unwrap(), &url]);
    }

    /// Fetches from Orthanc as a ZIP.
    pub(crate) fn archive(&self, study: &str, into: &Path) {
        curl(&["-o", into.to_str().unwrap(), &format!("http://127.0.0.1:{}/studies/{study}/archive", self.port)]);
    }
}
