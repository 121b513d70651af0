//! Four hospitals as processes of their own, in one folder. They end when this value does, and a temporary folder goes with it.

use std::fs::{self, DirBuilder, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clavicle_ledger::genesis::Genesis;
use clavicle_network::file as network_file;
use clavicle_relay::command::{self, Arguments, Command as Asked, IntakeArguments};
use clavicle_relay::control::{self, ClientError, ControlError, MAX_SOCKET_PATH};
use clavicle_relay::home::{Home, HomeError};
use clavicle_relay::operations::status::{RelayStatus, Status};
use clavicle_wallet::vault::Passphrase;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::sleep;

use crate::failure::{Failure, PATIENCE, Wrong};

/// Each hospital's folder, and its name.
pub(crate) const HOSPITALS: [(&str, &str); 4] =
    [("mercy", "Mercy"), ("stluke", "St Luke's"), ("north", "North"), ("harbor", "Harbor")];
/// The one that makes the images.
pub(crate) const SOURCE: usize = 0;
/// The one that is killed.
pub(crate) const KILLED: usize = 3;

/// Seconds between blocks when there is nothing to put in them. A source serves while its newest is at most three times as old.
const HEARTBEAT_S: u16 = 2;
const POLL: Duration = Duration::from_millis(10);
/// How many lines of a log are shown.
const LAST_LINES: usize = 8;

pub(crate) struct Hospitals {
    running: [Option<Child>; 4],
    folder: PathBuf,
    /// Removed when dropped; none when the folder is to be kept.
    _temporary: Option<TempDir>,
}

impl Hospitals {
    /// The folder for them: a new one. They are not there yet.
    pub(crate) fn make(keep: Option<&Path>) -> Result<Self, Failure> {
        let temporary = match keep {
            None => Some(tempfile::Builder::new().prefix("clavicle-demo-").tempdir()?),
            Some(_) => None,
        };
        let folder = temporary.as_ref().map(TempDir::path).or(keep).unwrap_or(Path::new("."));
        let made = if keep.is_some() { DirBuilder::new().mode(0o700).create(folder) } else { Ok(()) };
        let folder = made.and_then(|()| folder.canonicalize());
        let folder =
            folder.map_err(|error| HomeError::File { path: keep.unwrap_or(Path::new("")).to_owned(), error })?;
        let hospitals = Self { running: [const { None }; 4], folder, _temporary: temporary };
        match (0..HOSPITALS.len()).map(|n| hospitals.socket(n)).find(|path| path.as_os_str().len() > MAX_SOCKET_PATH) {
            Some(path) => Err(ControlError::TooLong(path).into()),
            None => Ok(hospitals),
        }
    }

    /// Makes all of them, their network, and what opens the wallets of those who come to them.
    pub(crate) fn found(&self) -> Result<(Genesis, Passphrase), Failure> {
        let asked = |command| command::run(Arguments { json: true, command });
        for (n, (_, name)) in HOSPITALS.into_iter().enumerate() {
            let (host, intake) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IntakeArguments::default());
            asked(Asked::Init { dir: self.dir(n), name: name.to_owned(), host, intake })?;
        }
        let sources = (0..HOSPITALS.len()).map(|n| Home::at(&self.dir(n)).source_file()).collect();
        let (out, name) = (self.path("network.json"), "clavicle-demo".to_owned());
        asked(Asked::Genesis { out, name, heartbeat: HEARTBEAT_S, sources })?;
        let passphrase = self.path("passphrase");
        fs::write(&passphrase, "only for the demonstration\n")?;
        Ok((network_file::read_genesis(&self.path("network.json"))?, Passphrase::read(&passphrase)?))
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn dir(&self, n: usize) -> PathBuf {
        self.path(HOSPITALS[n].0)
    }

    fn log(&self, n: usize) -> PathBuf {
        self.dir(n).with_extension("log")
    }

    /// Where a hospital's operator is answered.
    pub(crate) fn socket(&self, n: usize) -> PathBuf {
        Home::at(&self.dir(n)).socket()
    }

    /// Starts a hospital: this program once more.
    pub(crate) fn start(&mut self, n: usize) -> Result<(), Failure> {
        let log = File::options().append(true).create(true).open(self.log(n))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("run").arg("--dir").arg(self.dir(n)).arg("--network").arg(self.path("network.json"));
        self.running[n] = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?);
        Ok(())
    }

    /// Ends a hospital as a power cut would.
    pub(crate) fn kill(&mut self, n: usize) {
        if let Some(mut child) = self.running[n].take() {
            // It fails only for one that has ended by itself.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// How a hospital is; nothing as long as it does not answer.
    async fn status(&mut self, n: usize) -> Result<Option<RelayStatus>, Failure> {
        if let Some(status) = self.running[n].as_mut().map(Child::try_wait).transpose()?.flatten() {
            return Err(Wrong::Ended(HOSPITALS[n].1, status).into());
        }
        match control::ask(&self.socket(n), &Status {}).await {
            Ok(status) => Ok(Some(status)),
            Err(ClientError::NotRunning) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The height that a hospital is at; nothing as long as it does not answer.
    pub(crate) async fn height(&mut self, n: usize) -> Result<Option<u64>, Failure> {
        Ok(self.status(n).await?.map(|status| status.height))
    }

    /// Waits until all that run have come to `height`, and serve.
    pub(crate) async fn reach(&mut self, height: u64) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        for n in 0..HOSPITALS.len() {
            let there = |status: &RelayStatus| status.fresh && status.height >= height;
            while self.running[n].is_some() && !self.status(n).await?.as_ref().is_some_and(there) {
                if Instant::now() >= until {
                    return Err(Wrong::TooLong.into());
                }
                sleep(POLL).await;
            }
        }
        Ok(())
    }

    /// The last lines of the log of the hospital that ended by itself; of the one that makes the images, if none did.
    pub(crate) fn last_words(&mut self) -> String {
        let ended = |child: &mut Option<Child>| child.as_mut().is_some_and(|one| !matches!(one.try_wait(), Ok(None)));
        let n = self.running.iter_mut().position(ended).unwrap_or(SOURCE);
        let log = fs::read_to_string(self.log(n)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
        if last.is_empty() { last } else { format!("\nThe log of {} ends with\n  {last}", HOSPITALS[n].1) }
    }

    /// The commands to go on by hand, with the study that the story was about.
    pub(crate) fn next(&self, study: &str) -> String {
        let (dir, dirs) = (self.folder.display(), HOSPITALS.map(|(dir, _)| dir).join(" "));
        format!(
            "To go on by hand, with `clavicle-relay` and `clavicle` in the PATH (`cargo build --release --workspace` puts both into target/release):

  cd {dir}; export CLAVICLE_PASSPHRASE_FILE=passphrase
  for h in {dirs}; do clavicle-relay run --dir $h 2>>$h.log & done
  clavicle-relay status --dir mercy; clavicle-relay studies --dir mercy
  clavicle recipient card --dir rossi --png card-2.png
  clavicle wallet grant --dir ana {study} --to card-2.png --for 7d
  clavicle recipient fetch --dir rossi {study} --out images-2
  clavicle wallet who --dir ana {study}"
        )
    }

    /// Asks all of them to stop, and waits until they have; one that does not is ended with this value.
    pub(crate) async fn stop(&mut self) {
        let until = Instant::now() + PATIENCE / 3;
        for child in self.running.iter().flatten() {
            kill_process(Pid::from_child(child), Signal::TERM).ok();
        }
        for child in self.running.iter_mut().flatten() {
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < until {
                sleep(POLL).await;
            }
        }
    }
}

impl Drop for Hospitals {
    fn drop(&mut self) {
        (0..HOSPITALS.len()).for_each(|n| self.kill(n));
    }
}
