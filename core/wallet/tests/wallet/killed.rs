//! A vault whose process was killed while it wrote: the last commit is there, whole.
//!
//! The process is this test program itself, told by an environment variable to be the one that writes.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_wallet::vault::{Passphrase, Row, Vault};

const FOLDER: &str = "CLAVICLE_TEST_VAULT";
/// Rows of each commit.
const ROWS: u8 = 5;

/// Which commit wrote the row.
#[derive(Debug, PartialEq, BorshSerialize, BorshDeserialize)]
struct Commit(u64);

impl Wire for Commit {
    const NAME: &'static str = "a commit's number";
    const MAX_LEN: usize = 8;
}

impl Row for Commit {
    const KIND: &'static str = "commit";
}

fn passphrase() -> Passphrase {
    Passphrase::new("four words of it".to_owned()).unwrap()
}

/// Writes until it is killed, and says after each commit which it was.
fn write_for_ever(folder: &Path) -> ! {
    let vault = Vault::open(folder, &passphrase()).unwrap();
    for number in 1.. {
        vault.write(|batch| (0..ROWS).try_for_each(|id| batch.put(&[id], &Commit(number)))).unwrap();
        println!("\ncommit {number}");
    }
    unreachable!("it is killed before it has counted to the end")
}

#[test]
fn a_killed_wallet_finds_its_last_commit_whole() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        write_for_ever(Path::new(&folder));
    }
    let folder = tempfile::tempdir().unwrap();
    drop(Vault::create(folder.path(), &passphrase()).unwrap());
    for more in [3, 10, 40] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::a_killed_wallet_finds_its_last_commit_whole", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let said = lines.filter_map(|line| line.strip_prefix("commit ").map(|number| number.parse::<u64>().unwrap()));
        let said = said.take(more).last().unwrap();
        // SIGKILL, at whatever it is at.
        child.kill().unwrap();
        child.wait().unwrap();

        let vault = Vault::open(folder.path(), &passphrase()).unwrap();
        let rows = vault.all::<Commit>().unwrap();
        let Commit(last) = rows[0].1;
        assert!(last >= said, "commit {said} was said to be done, and {last} is there");
        assert!(rows.len() == usize::from(ROWS) && rows.iter().all(|(_, row)| *row == Commit(last)), "{rows:?}");
    }
}
