//! Stores were made as the umask had it: another user of the machine read a patient's name in one, and found a PIN from its hash in another.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cluster::{Cluster, HOSPITAL, PERSON, brain, files_in};
use crate::process::{Doing, program};

/// A user that owns nothing.
const NOBODY: &str = "65534";

/// Does what a program says as if its user's umask closed nothing.
fn carelessly(cluster: &Cluster, path: &str, arguments: &[&str]) -> Doing {
    let mut command = program("sh", cluster.folder());
    command.args(["-c", "umask 0; exec \"$0\" \"$@\"", path, "--json"]).args(arguments);
    Doing::start(command)
}

/// All that is in a folder that its owner alone may see: modes, and what another user can read of it where there is one to try as.
#[track_caller]
fn is_private(folder: &Path) {
    assert_eq!(fs::metadata(folder).unwrap().mode() & 0o077, 0, "{}", folder.display());
    let files = files_in(folder);
    assert!(!files.is_empty());
    for path in &files {
        let mode = fs::metadata(path).unwrap().mode();
        // A socket's and a file's rights count wherever its folder is.
        assert_eq!(mode & 0o077, 0, "{} has {mode:o}", path.display());
    }
    if rustix_is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "cat"]).args(&files);
        let said = command.stdin(Stdio::null()).output().unwrap();
        assert!(!said.status.success() && said.stdout.is_empty(), "{}", folder.display());
        let denied = String::from_utf8_lossy(&said.stderr).matches("Permission denied").count();
        assert_eq!(denied, files.len(), "{}", String::from_utf8_lossy(&said.stderr));
    }
}

/// Whether another user can be tried as.
fn rustix_is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn relay() -> Cluster {
    let cluster = Cluster::empty();
    // As a machine's folders are: what is in the way of others is the relay's folder alone.
    fs::set_permissions(cluster.folder(), Permissions::from_mode(0o755)).unwrap();
    carelessly(&cluster, HOSPITAL, &["init", "--dir", "mercy", "--name", "Mercy"]).ended().done();
    carelessly(&cluster, HOSPITAL, &["genesis", "--out", "network.json", "mercy/source.json"]).ended().done();
    fs::copy(cluster.path("network.json"), cluster.path("mercy/network.json")).unwrap();
    brain(&cluster, "files", 1..=2);
    carelessly(&cluster, HOSPITAL, &["ingest", "--dir", "mercy", "files"]).ended().done();
    cluster
}

#[test]
fn another_user_of_the_machine_reads_nothing() {
    let cluster = relay();
    is_private(&cluster.path("mercy"));
    carelessly(&cluster, PERSON, &["wallet", "init", "--dir", "ana", "--network", "network.json"]).ended().done();
    is_private(&cluster.path("ana"));
}

#[test]
fn what_an_earlier_version_left_open_is_closed_and_open_keys_are_refused() {
    let cluster = relay();
    let home = cluster.home(0);
    let mut open: Vec<PathBuf> = home.stores().into_iter().filter(|path| path.exists()).collect();
    open.extend([home.settings_file(), home.folder().to_owned(), home.archive_folder()]);
    for path in &open {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let said = cluster.try_hospital(&["status", "--dir", "mercy"]);
    assert_eq!(said.object()["running"], false, "{said:?}");
    for path in &open {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o077, 0, "{}", path.display());
        let note = format!("others on this machine could read {};", path.display());
        assert!(said.stderr.contains(&note), "{}", said.stderr);
    }
    // Once.
    assert_eq!(cluster.try_hospital(&["status", "--dir", "mercy"]).stderr, "");
    is_private(&cluster.path("mercy"));

    let key = home.keys_folder().join("operational");
    fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
    let said = cluster.try_hospital(&["status", "--dir", "mercy"]);
    let (code, why) = said.refused();
    assert_eq!((said.code, code.as_str()), (Some(77), "keys"));
    assert!(why.contains(&format!("`chmod 600 {}`", key.display())), "{why}");
    fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
    assert_eq!(cluster.try_hospital(&["status", "--dir", "mercy"]).refused().0, "not_well");
}
