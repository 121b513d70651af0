//! Codes as people give them: typed or pasted, or in a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clavicle_letters::code::{Code, CodeError, MAX_FILE_LEN, PictureError, from_text, is_code, is_picture};
use clavicle_sandbox::reader::Reader;
use clavicle_sandbox::{ReadError, WorkerError};
use clavicle_workstation::in_memory;

/// Why no code was read from what was given.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadCodeError {
    /// See [`CodeError`].
    #[error(transparent)]
    Code(#[from] CodeError),
    /// See [`PictureError`].
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// Neither a code nor a file.
    #[error("{path} is neither a Clavicle code nor a file that can be read")]
    File {
        /// What was given.
        path: PathBuf,
        /// Why it was not read.
        #[source]
        error: io::Error,
    },
    /// A picture that takes too long.
    #[error("looking for the code took longer than {} seconds, and was given up; cut the picture to the code", .0.as_secs())]
    Late(Duration),
    /// A picture that took down what read it, or could not be handed to it.
    #[error("the picture of the code was not read; cut it to the code, or give the code as text")]
    Unread(#[source] ReadError),
    /// Larger than any code.
    #[error("{0} is larger than 32 MiB, which no code is; give the picture or the text of the code alone")]
    TooLarge(PathBuf),
}

/// Reads a code from what a person gave: the code itself, or the path of a file with its picture (PNG, JPEG or WebP) or
/// its text. Anybody may have made a picture: it is read wherever `reader` has it done, and for so long as that waits.
///
/// # Errors
/// [`ReadCodeError`].
pub fn read_code<C: Code>(given: &OsStr, reader: &dyn Reader) -> Result<C, ReadCodeError> {
    if let Some(given) = given.to_str().filter(|given| is_code(given)) {
        return Ok(from_text(given)?);
    }
    let path = Path::new(given);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_LEN as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| ReadCodeError::File { path: path.to_owned(), error })?;
    if bytes.len() > MAX_FILE_LEN {
        return Err(ReadCodeError::TooLarge(path.to_owned()));
    }
    if is_picture(&bytes) {
        return Ok(from_text(&in_picture(&bytes, reader)?)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| CodeError::NotACode)?;
    Ok(from_text(&text)?)
}

/// The text of the code in a picture. What was given may have been a pipe: a reader is handed a file of the bytes that
/// came.
fn in_picture(mut bytes: &[u8], reader: &dyn Reader) -> Result<String, ReadCodeError> {
    let file = in_memory(&mut bytes).map_err(|error| ReadCodeError::Unread(ReadError::Io(error)))?;
    let read = reader.read_code(&file).map_err(|error| match error {
        ReadError::Worker(WorkerError::TimedOut(time)) => ReadCodeError::Late(time),
        other => ReadCodeError::Unread(other),
    })?;
    Ok(read?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use clavicle_ledger::encoding::{Ascending, Text};
    use clavicle_ledger::id::{ChainId, SourceId};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::time::Timestamp;
    use clavicle_letters::card::{Card, Minute, NetworkMark, RelayMark, SignedCard};
    use clavicle_letters::code::{to_png, to_text};
    use clavicle_letters::identity::Identity;
    use clavicle_letters::pickup::PickupCode;
    use clavicle_sandbox::Here;

    use super::*;

    /// As large as a card can be.
    fn largest() -> SignedCard {
        let (chain, secret) = (ChainId::from_bytes([1; 32]), |number: u8| SecretKey::from_bytes(&[number; 32]));
        let relays = [7, 8].map(|n| RelayMark::from(&SourceId::from_bytes([n; 32])));
        let card = Card {
            network: NetworkMark::from(&chain),
            person: secret(40).public(),
            name: Text::new("ü".repeat(32)).unwrap(),
            grantees: Ascending::from_items((10..18).map(|n| secret(n).public()).collect()).unwrap(),
            mailbox: secret(2).public(),
            relays: Ascending::from_items(relays.into()).unwrap(),
            recipient: Identity::from_bytes(&[3; 32]).recipient(),
            wish: Text::new("w".repeat(128)).unwrap(),
            expires: Minute::of(Timestamp(1_790_000_000_000)),
        };
        card.sign(&chain, &secret(40)).unwrap()
    }

    #[test]
    fn a_code_is_read_from_itself_a_picture_or_a_text_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        let text = to_text(&largest());
        fs::write(path("card.png"), to_png(&text).unwrap()).unwrap();
        fs::write(path("card.txt"), format!("{text}\n")).unwrap();
        for given in [text.clone().into(), text.to_lowercase().into(), path("card.png"), path("card.txt")] {
            assert_eq!(read_code::<SignedCard>(&given, &Here).unwrap(), largest());
        }
        let error = read_code::<PickupCode>(&path("card.png"), &Here).unwrap_err();
        assert!(matches!(error, ReadCodeError::Code(CodeError::OtherKind { found: "a card", .. })));
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            let latin = folder.path().join(OsStr::from_bytes(b"K\xe4rtchen.png")).into_os_string();
            fs::copy(path("card.png"), &latin).unwrap();
            assert_eq!(read_code::<SignedCard>(&latin, &Here).unwrap(), largest(), "a name that is no text");
        }
        fs::write(path("binary"), [0xff; 100]).unwrap();
        let error = read_code::<SignedCard>(&path("binary"), &Here).unwrap_err();
        assert!(matches!(error, ReadCodeError::Code(CodeError::NotACode)));
        assert!(matches!(read_code::<SignedCard>(&path("nowhere"), &Here), Err(ReadCodeError::File { .. })));
        File::create(path("large")).unwrap().set_len(MAX_FILE_LEN as u64 + 1).unwrap();
        assert!(matches!(read_code::<SignedCard>(&path("large"), &Here), Err(ReadCodeError::TooLarge(_))));
    }
}
