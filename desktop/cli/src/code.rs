//! Codes as people give them: typed or pasted, or in a file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use clavicle_letters::code::{
    Code, CodeError, MAX_FILE_LEN, PictureError, from_picture, from_text, is_code, is_picture,
};

/// How long a picture is looked at. What a camera takes is read in a second or two.
const PATIENCE: Duration = Duration::from_secs(30);

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
    #[error("looking for the code took longer than {} seconds, and was given up; cut the picture to the code", PATIENCE.as_secs())]
    Late,
    /// Larger than any code.
    #[error("{0} is larger than 32 MiB, which no code is; give the picture or the text of the code alone")]
    TooLarge(PathBuf),
}

/// Reads a code from what a person gave: the code itself, or the path of a file with its picture (PNG, JPEG or WebP) or its text.
///
/// # Errors
/// [`ReadCodeError`].
pub fn read_code<C: Code>(given: &OsStr) -> Result<C, ReadCodeError> {
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
        return Ok(from_text(&in_time(bytes)?)?);
    }
    let text = String::from_utf8(bytes).map_err(|_| CodeError::NotACode)?;
    Ok(from_text(&text)?)
}

/// Reads the code in a picture, for so long as anybody waits: somebody may have drawn one that would take for ever.
fn in_time(picture: Vec<u8>) -> Result<String, ReadCodeError> {
    let (sender, said) = sync_channel(1);
    // Given up, it ends with this program.
    thread::spawn(move || sender.send(from_picture(&picture)));
    match said.recv_timeout(PATIENCE) {
        Ok(said) => Ok(said?),
        Err(RecvTimeoutError::Timeout) => Err(ReadCodeError::Late),
        Err(RecvTimeoutError::Disconnected) => Err(PictureError::Unreadable.into()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::fs;

    use clavicle_ledger::encoding::{Ascending, Text};
    use clavicle_ledger::id::{BlockId, ChainId, SourceId};
    use clavicle_ledger::key::SecretKey;
    use clavicle_ledger::light::Checkpoint;
    use clavicle_ledger::time::Timestamp;
    use clavicle_letters::card::{Card, Credential, SignedCard};
    use clavicle_letters::code::{to_png, to_text};
    use clavicle_letters::identity::Identity;
    use clavicle_letters::mailbox::{Mailbox, Token};
    use clavicle_letters::pickup::PickupCode;

    use super::*;

    /// As large as a card can be.
    fn largest() -> SignedCard {
        let mut keys = [10, 11, 12, 13, 14, 15, 16, 17].map(|number| SecretKey::from_bytes(&[number; 32]));
        keys.sort_by_key(SecretKey::public);
        let card = Card {
            chain: ChainId::from_bytes([1; 32]),
            name: Text::new("ü".repeat(32)).unwrap(),
            credential: Credential::Unverified,
            grantees: Ascending::from_items(keys.iter().map(SecretKey::public).collect()).unwrap(),
            mailbox: Mailbox {
                key: SecretKey::from_bytes(&[2; 32]).public(),
                relays: Ascending::from_items([7, 8].map(|n| SourceId::from_bytes([n; 32])).into()).unwrap(),
                token: Token([5; 16]),
            },
            recipient: Identity::from_bytes(&[3; 32]).recipient(),
            wish: Text::new("w".repeat(128)).unwrap(),
            checkpoint: Checkpoint { height: 9, block: BlockId::from_bytes([6; 32]) },
            expires: Timestamp(1_790_000_000_000),
        };
        card.sign(&keys[0]).unwrap()
    }

    #[test]
    fn a_code_is_read_from_itself_a_picture_or_a_text_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        let text = to_text(&largest());
        fs::write(path("card.png"), to_png(&text).unwrap()).unwrap();
        fs::write(path("card.txt"), format!("{text}\n")).unwrap();
        for given in [text.clone().into(), text.to_lowercase().into(), path("card.png"), path("card.txt")] {
            assert_eq!(read_code::<SignedCard>(&given).unwrap(), largest());
        }
        let error = read_code::<PickupCode>(&path("card.png")).unwrap_err();
        assert!(matches!(error, ReadCodeError::Code(CodeError::OtherKind { found: "a card", .. })));
        #[cfg(unix)]
        {
            use std::os::unix::ffi::OsStrExt as _;
            let latin = folder.path().join(OsStr::from_bytes(b"K\xe4rtchen.png")).into_os_string();
            fs::copy(path("card.png"), &latin).unwrap();
            assert_eq!(read_code::<SignedCard>(&latin).unwrap(), largest(), "a name that is no text");
        }
        fs::write(path("binary"), [0xff; 100]).unwrap();
        let error = read_code::<SignedCard>(&path("binary")).unwrap_err();
        assert!(matches!(error, ReadCodeError::Code(CodeError::NotACode)));
        assert!(matches!(read_code::<SignedCard>(&path("nowhere")), Err(ReadCodeError::File { .. })));
        File::create(path("large")).unwrap().set_len(MAX_FILE_LEN as u64 + 1).unwrap();
        assert!(matches!(read_code::<SignedCard>(&path("large")), Err(ReadCodeError::TooLarge(_))));
    }
}
