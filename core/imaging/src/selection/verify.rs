//! The way back: a document, whoever wrote it, held against a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use clavicle_dicom::kos::{SIGNED, Sealed, covers_pixels};
use clavicle_dicom::references::{Reference, SaidMac};
use clavicle_dicom::unreadable::Unreadable;
use clavicle_ledger::encoding::Text;
use clavicle_manifest::Uid;
use clavicle_sandbox::ReadError;
use clavicle_sandbox::hands::each;
use clavicle_sandbox::reader::Reader;
use dicom_dictionary_std::uids;

use crate::reason::{IntakeError, Quarantined};
use crate::walk;

/// Why a document was not held against a folder.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The document cannot be read.
    #[error("the document cannot be read: {0}")]
    Document(ReadError),
    /// It lists nothing.
    #[error("the document lists no instance; it is no Key Object Selection, or an empty one")]
    Empty,
    /// The folder cannot be read.
    #[error(transparent)]
    Folder(#[from] IntakeError),
}

/// Why a MAC can be neither right nor wrong here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unchecked {
    /// Another algorithm than SHA-256.
    #[error("its MAC is made with {0}, and only SHA256 is checked here")]
    Algorithm(Text<16>),
    /// Elements that are not in [`SIGNED`], or not in their order.
    #[error("its MAC covers elements that are not checked here")]
    Elements,
    /// It is to be encoded in another way than it lies here.
    #[error("its MAC is of the instance in another transfer syntax")]
    TransferSyntax,
    /// It was listed before, perhaps with another MAC.
    #[error("the document lists it more than once, so that it is unclear which counts")]
    Twice,
    /// 32 bytes is what SHA-256 gives.
    #[error("its MAC is {0} bytes long, and SHA256 has 32")]
    Length(usize),
}

/// What became of an instance that the document lists.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The MAC is that of the file.
    Right {
        /// Whether it covers pixels; if not, it speaks for the UIDs alone.
        pixels: bool,
    },
    /// The MAC is not that of the file: what it covers was altered.
    Wrong,
    /// No file is this instance.
    Missing,
    /// The document lists the instance without a MAC.
    NoMac,
    /// There is a MAC, and it cannot be checked.
    Unchecked(Unchecked),
    /// The file could not be read again to check it; why is in [`Verification::unread`].
    Unread,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right { pixels: true } => f.write_str("its UIDs and pixels are those that the document lists"),
            Self::Right { pixels: false } => {
                f.write_str("its UIDs are those that the document lists; nothing else of it is covered")
            }
            Self::Wrong => f.write_str("its UIDs or pixels are not those that the document lists"),
            Self::Missing => f.write_str("it is not there"),
            Self::NoMac => f.write_str("it is there; the document says nothing of its pixels"),
            Self::Unchecked(why) => write!(f, "it is there; {why}"),
            Self::Unread => f.write_str("its file could not be read"),
        }
    }
}

/// An instance that the document lists, and a file that claims to be it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// SOP Instance UID.
    pub sop_instance_uid: Uid,
    /// Series Instance UID, as the document says.
    pub series_instance_uid: Option<Uid>,
    /// The file; several files of the same instance are checked each by itself.
    pub path: Option<PathBuf>,
    /// What became of it.
    pub verdict: Verdict,
}

/// A document held against a folder.
#[derive(Debug)]
pub struct Verification {
    /// Code Value and Coding Scheme Designator of the document's title.
    pub title: Option<(Text<16>, Text<16>)>,
    /// What the document lists, in its order.
    pub listed: Vec<Checked>,
    /// Instances that are there and not in the document, which itself is not counted.
    pub not_listed: Vec<(PathBuf, Uid)>,
    /// Files of which it is not known which instance they are.
    pub unread: Vec<Quarantined>,
}

impl Verification {
    /// Whether everything that is listed is there and has the right MAC, pixels included where there are any.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.listed.iter().all(|one| matches!(one.verdict, Verdict::Right { .. }))
    }
}

/// Holds the document at `document` against the files below `folder`. All of them are taken for hostile, the document too.
///
/// # Errors
/// [`VerifyError`]; what is wrong with a single file is in the [`Verification`].
pub fn verify(document: &Path, folder: &Path, reader: &dyn Reader) -> Result<Verification, VerifyError> {
    let references = reader.list_one(document).map_err(VerifyError::Document)?;
    if references.instances.is_empty() {
        return Err(VerifyError::Empty);
    }
    let (files, mut unread) = walk::files(folder)?;
    let wanted = SIGNED.map(|tag| (tag.0, tag.1));
    let outcomes = each(&files, usize::MAX, |path| reader.seal_one(path, &wanted), &|_| {});
    let mut there: BTreeMap<Uid, Vec<(PathBuf, Sealed)>> = BTreeMap::new();
    for (path, outcome) in files.into_iter().zip(outcomes) {
        match outcome {
            Ok(sealed) => there.entry(sealed.sop_instance_uid).or_default().push((path, sealed)),
            // A table of contents is not to be listed.
            Err(ReadError::Unreadable(Unreadable::Directory)) => {}
            Err(reason) => unread.push(Quarantined { path, reason: reason.into() }),
        }
    }
    let mut listed = Vec::new();
    let mut names = BTreeSet::new();
    for Reference { series_instance_uid, sop_instance_uid, mac, .. } in references.instances {
        let one = |path, verdict| Checked { sop_instance_uid, series_instance_uid, path, verdict };
        if !names.insert(sop_instance_uid) {
            listed.push(one(None, Verdict::Unchecked(Unchecked::Twice)));
            continue;
        }
        let Some(files) = there.get(&sop_instance_uid) else {
            listed.push(one(None, Verdict::Missing));
            continue;
        };
        for (path, sealed) in files {
            let verdict = match &mac {
                None => Verdict::NoMac,
                Some(said) => match check(said, path, sealed, reader) {
                    Ok(verdict) => verdict,
                    Err(reason) => {
                        unread.push(Quarantined { path: path.clone(), reason: reason.into() });
                        Verdict::Unread
                    }
                },
            };
            listed.push(one(Some(path.clone()), verdict));
        }
    }
    names.extend(references.sop_instance_uid);
    let others = there.into_iter().filter(|(uid, _)| !names.contains(uid));
    let not_listed = others.flat_map(|(uid, files)| files.into_iter().map(move |(path, _)| (path, uid))).collect();
    Ok(Verification { title: references.title, listed, not_listed, unread })
}

fn check(said: &SaidMac, path: &Path, sealed: &Sealed, reader: &dyn Reader) -> Result<Verdict, ReadError> {
    let SaidMac { transfer_syntax_uid, algorithm, signed, mac } = said;
    let can_be = SIGNED.iter().filter(|tag| signed.contains(&(tag.0, tag.1))).map(|tag| (tag.0, tag.1));
    let unchecked = if algorithm.as_str() != "SHA256" {
        Some(Unchecked::Algorithm(algorithm.clone()))
    } else if signed.is_empty() || !can_be.eq(signed.iter().copied()) {
        Some(Unchecked::Elements)
    } else if mac.len() != sealed.mac.value.len() {
        Some(Unchecked::Length(mac.len()))
    } else {
        None
    };
    if let Some(why) = unchecked {
        return Ok(Verdict::Unchecked(why));
    }
    // Encoded alike, as it is written here; without pixels all transfer syntaxes of this kind are the same.
    let is_encoded_alike = transfer_syntax_uid.is_some_and(|uid| {
        uid == sealed.mac.transfer_syntax_uid
            || !covers_pixels(signed) && uid.as_str() != uids::IMPLICIT_VR_LITTLE_ENDIAN
    });
    if !is_encoded_alike {
        return Ok(Verdict::Unchecked(Unchecked::TransferSyntax));
    }
    let again;
    let found = if sealed.mac.signed == *signed {
        &sealed.mac
    } else {
        again = reader.seal_one(path, signed)?.mac;
        &again
    };
    // What is signed and no longer there is altered, whatever the rest of it is.
    let is_right = found.signed == *signed && found.value[..] == mac[..];
    Ok(if is_right { Verdict::Right { pixels: covers_pixels(signed) } } else { Verdict::Wrong })
}
