//! A receiver under test, in this process or in one of its own, and a sink that remembers.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use clavicle_dimse::{AeTitle, Arriving, Declined, Ended, Received, Refusal, Scp, Settings, Sink};
use tempfile::TempDir;

use crate::made::data_set;

/// Longer than anything takes that goes well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Remembers what it was told, and lets others wait for it.
#[derive(Default)]
pub struct Record {
    told: Mutex<(Vec<Received>, Vec<Ended>)>,
    /// Who was refused what.
    refused: Mutex<Vec<(Arriving, Declined)>>,
    changed: Condvar,
    /// What it says to an object; agrees when there is none.
    decide: Option<Decide>,
}

type Decide = Box<dyn Fn(&Received) -> Result<(), Refusal> + Send + Sync>;

impl Sink for Record {
    fn received(&self, object: &Received) -> Result<(), Refusal> {
        self.told.lock().unwrap().0.push(object.clone());
        self.changed.notify_all();
        self.decide.as_ref().map_or(Ok(()), |decide| decide(object))
    }

    fn refused(&self, object: &Arriving, why: &Declined) {
        self.refused.lock().unwrap().push((object.clone(), why.clone()));
    }

    fn ended(&self, association: &Ended) {
        self.told.lock().unwrap().1.push(association.clone());
        self.changed.notify_all();
    }
}

impl Record {
    /// One that says this to each object.
    pub fn that_says(decide: impl Fn(&Received) -> Result<(), Refusal> + Send + Sync + 'static) -> Self {
        Self { decide: Some(Box::new(decide)), ..Self::default() }
    }

    /// Who was refused what, in a line each.
    pub fn refused(&self) -> Vec<String> {
        let refused = self.refused.lock().unwrap();
        refused.iter().map(|(object, why)| format!("{} {}: {why}", object.calling, object.peer.ip())).collect()
    }

    /// The first `count` connections that ended.
    pub fn ended(&self, count: usize) -> Vec<Ended> {
        let told = self.told.lock().unwrap();
        let waited = self.changed.wait_timeout_while(told, PATIENCE, |told| told.1.len() < count).unwrap();
        assert!(!waited.1.timed_out(), "{count} connections should have ended: {:?}", waited.0.1);
        waited.0.1.clone()
    }

    /// The first `count` objects that came.
    pub fn received(&self, count: usize) -> Vec<Received> {
        let told = self.told.lock().unwrap();
        let waited = self.changed.wait_timeout_while(told, PATIENCE, |told| told.0.len() < count).unwrap();
        assert!(!waited.1.timed_out(), "{count} objects should have come: {:?}", waited.0.0);
        waited.0.0.clone()
    }
}

/// A receiver in this process.
pub struct Receiver {
    pub scp: Option<Scp>,
    pub address: SocketAddr,
    pub record: Arc<Record>,
    pub folder: TempDir,
}

pub fn title(text: &str) -> AeTitle {
    AeTitle::new(text).unwrap()
}

impl Receiver {
    pub fn start() -> Self {
        Self::with(Record::default(), |_| {})
    }

    pub fn with(record: Record, adjust: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listen = "127.0.0.1:0".parse().unwrap();
        let mut settings = Settings::new(listen, title("CLAVICLE"), folder.path().join("spool"));
        settings.timeout = Duration::from_secs(20);
        adjust(&mut settings);
        let record = Arc::new(record);
        let scp = Scp::bind(settings, record.clone()).unwrap();
        Self { address: scp.address(), scp: Some(scp), record, folder }
    }

    pub fn port(&self) -> String {
        self.address.port().to_string()
    }

    pub fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    /// The names in the spool folder.
    pub fn names(&self) -> Vec<String> {
        names(&self.spool())
    }

    /// By SOP Instance, what is in the files that were received: transfer syntax and data set.
    pub fn data_sets(&self) -> BTreeMap<String, (String, Vec<u8>)> {
        let received = self.record.received(0);
        let each = received.iter().map(|one| {
            let bytes = std::fs::read(&one.path).unwrap();
            assert_eq!(bytes.len() as u64, one.size);
            let transfer_syntax = one.transfer_syntax_uid.as_str().to_owned();
            (one.sop_instance_uid.as_str().to_owned(), (transfer_syntax, data_set(&bytes).to_vec()))
        });
        each.collect()
    }
}

pub fn names(spool: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name != ".lock").collect();
    names.sort();
    names
}

/// A receiver in a process of its own, which is ended when dropped.
pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
    pub port: String,
}

/// Says where the process in [`as_a_process`] receives.
const SPOOL: &str = "CLAVICLE_TEST_SPOOL";

#[test]
#[ignore = "other tests start it, in a process of its own"]
fn as_a_process() {
    let spool = PathBuf::from(std::env::var_os(SPOOL).unwrap());
    let settings = Settings::new("127.0.0.1:0".parse().unwrap(), title("CLAVICLE"), spool);
    let scp = Scp::bind(settings, Arc::new(Record::default())).unwrap();
    println!("\nport {}", scp.address().port());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    scp.stop();
    println!("\nstopped");
}

impl Process {
    /// Starts it, after what `before` says in the shell.
    pub fn start(spool: &Path, before: &str) -> Self {
        let script = format!("{before} exec \"$0\" --exact receiver::as_a_process --ignored --nocapture");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(std::env::current_exe().unwrap()).env(SPOOL, spool);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let port = line(&mut output, "port ");
        Self { child, output, port }
    }

    /// Resident memory at most so far, in bytes.
    pub fn peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Ends it in good order.
    pub fn stop(mut self) {
        drop(self.child.stdin.take());
        line(&mut self.output, "stopped");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Reads up to the line that begins so, and gives the rest of it.
fn line(output: &mut BufReader<ChildStdout>, start: &str) -> String {
    let mut lines = output.by_ref().lines().map(Result::unwrap);
    lines.find_map(|line| line.strip_prefix(start).map(str::to_owned)).unwrap()
}
