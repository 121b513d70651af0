//! A command as a process of its own, with a deadline, and what it said.

use std::fmt;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longer than anything here takes, so that a test that hangs ends.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// What is asked for again and again, once it `is` so.
#[track_caller]
pub(crate) fn until<T: fmt::Debug>(mut ask: impl FnMut() -> T, is: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        let said = ask();
        if is(&said) {
            return said;
        }
        assert!(Instant::now() < end, "{said:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// A command that is under way. Dropped, it is killed.
pub(crate) struct Doing {
    what: String,
    child: Child,
    until: Instant,
    said: [Option<JoinHandle<String>>; 2],
}

/// What a command said, and whether it did what was asked.
pub(crate) struct Said {
    what: String,
    /// Its exit code; none when it was killed.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Doing {
    pub(crate) fn start(mut command: Command) -> Self {
        let what = format!("{command:?}");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = [listen(child.stdout.take().unwrap()), listen(child.stderr.take().unwrap())].map(Some);
        Self { what, child, until: Instant::now() + PATIENCE, said }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Lets it run for so long at most.
    pub(crate) fn runs_for(&mut self, most: Duration) {
        let end = Instant::now() + most;
        while self.runs() && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Sends it a signal, by its name.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) -> Said {
        self.child.kill().unwrap();
        self.ended()
    }

    /// Waits until it ends by itself.
    pub(crate) fn ended(&mut self) -> Said {
        while self.runs() {
            assert!(Instant::now() < self.until, "still not done: {}", self.what);
            std::thread::park_timeout(Duration::from_millis(5));
        }
        let code = self.child.wait().unwrap().code();
        let [stdout, stderr] = self.said.each_mut().map(|said| said.take().unwrap().join().unwrap());
        Said { what: self.what.clone(), code, stdout, stderr }
    }
}

impl Drop for Doing {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn listen(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        from.read_to_end(&mut said).ok();
        String::from_utf8_lossy(&said).into_owned()
    })
}

impl Said {
    /// Its answer, one JSON object; it must have done what was asked.
    #[track_caller]
    pub(crate) fn done(&self) -> Value {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.object()
    }

    /// The code and the sentence of its error; it must have failed.
    #[track_caller]
    pub(crate) fn refused(&self) -> (String, String) {
        // Never a panic's 101, nor a success. Which codes a hospital's relay has is said in its `--help`.
        assert!(matches!(self.code, Some(1 | 65..=78)), "{self:?}");
        let error = self.object()["error"].take();
        let part = |name: &str| error[name].as_str().unwrap_or_else(|| panic!("no {name}: {self:?}")).to_owned();
        (part("code"), part("message"))
    }

    /// Its answer or its error.
    #[track_caller]
    pub(crate) fn object(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, code, stdout, stderr } = self;
        write!(f, "{what}\nexit code {code:?}\n{stdout}{stderr}")
    }
}

/// A program of this package, in a folder, that never asks for a passphrase.
pub(crate) fn program(path: &str, folder: &Path) -> Command {
    let mut command = Command::new(path);
    command.current_dir(folder).env("CLAVICLE_PASSPHRASE_FILE", folder.join("pw")).env_remove("RUST_LOG");
    command
}
