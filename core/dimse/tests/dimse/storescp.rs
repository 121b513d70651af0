//! dcmtk's receiver. Other crates' tests take this file in as well.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longer than it ever takes to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// It runs until it is dropped.
pub struct Storescp {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Storescp {
    pub fn start(options: &[&str]) -> Self {
        let from = Instant::now();
        loop {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let folder = tempfile::tempdir().unwrap();
            let mut command = Command::new("storescp");
            command.args(options).arg("-od").arg(folder.path()).arg(port.to_string());
            let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
            let child = child.expect("storescp does not start: run .ci/test-data first");
            let mut started = Self { child, port, folder };
            // Somebody else may have the port by now; then it ends, and is started at another.
            while started.child.try_wait().unwrap().is_none() {
                let echo = Command::new("timeout").args(["60", "echoscu", "127.0.0.1", &port.to_string()]).output();
                if echo.unwrap().status.success() {
                    return started;
                }
                assert!(from.elapsed() < PATIENCE, "storescp does not answer");
            }
        }
    }

    /// The files it received, by name.
    pub fn paths(&self) -> Vec<PathBuf> {
        let mut paths: Vec<PathBuf> =
            fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths
    }
}

impl Drop for Storescp {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
