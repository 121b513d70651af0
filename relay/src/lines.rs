//! Records of what people decided: files of lines of JSON, which are added and never changed.
//!
//! A line is on the disk before what it says is done.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest line that is read. What is written is shorter: the ids of a thousand studies take half of it.
const MAX_LINE: u64 = 128 << 10;

/// A record with such lines, by its path.
#[derive(Debug)]
pub(crate) struct Lines<L>(PathBuf, PhantomData<fn() -> L>);

impl<L: Serialize + DeserializeOwned> Lines<L> {
    pub(crate) const fn at(path: PathBuf) -> Self {
        Self(path, PhantomData)
    }

    /// Adds lines. They are on the disk when this returns.
    pub(crate) fn add(&self, lines: &[L]) -> io::Result<()> {
        let is_new = !self.0.exists();
        let mut options = OpenOptions::new();
        let mut file = options.create(true).append(true).read(true).mode(0o600).open(&self.0)?;
        let mut text = String::new();
        if !ends_a_line(&mut file)? {
            // A kill left half a line. It stays, and ends here.
            text.push('\n');
        }
        for line in lines {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        file.write_all(text.as_bytes())?;
        file.sync_data()?;
        if is_new && let Some(parent) = self.0.parent() {
            File::open(parent)?.sync_all()?;
        }
        Ok(())
    }

    /// Shows every line, in order; how many of them cannot be read.
    pub(crate) fn each(&self, mut show: impl FnMut(L)) -> io::Result<usize> {
        let file = match File::open(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            file => file?,
        };
        let (mut file, mut unreadable, mut bytes) = (BufReader::new(file), 0, Vec::new());
        loop {
            bytes.clear();
            if (&mut file).take(MAX_LINE).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(unreadable);
            }
            match serde_json::from_slice(&bytes) {
                Ok(line) => show(line),
                Err(_) => unreadable += usize::from(!bytes.trim_ascii().is_empty()),
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

/// Whether nothing stands behind the last end of a line.
fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
