//! What is to be sent: files, and what has to be proposed for them.

use std::fs::File;
use std::io::Seek as _;
use std::path::Path;

use clavicle_manifest::Uid;
use dicom_dictionary_std::uids;

use super::meta::{Meta, MetaError};

/// What is to be sent: objects of a class, in one of these transfer syntaxes. To send files as they are, propose each transfer
/// syntax by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The SOP Class, or Verification.
    pub abstract_syntax: Uid,
    /// One or more.
    pub transfer_syntaxes: Vec<Uid>,
}

/// A file that can be sent.
#[derive(Debug)]
pub struct StoreFile {
    pub(super) file: File,
    pub(super) meta: Meta,
    /// Where the data set begins, and how long it is.
    pub(super) from: u64,
    pub(super) len: u64,
}

impl Proposal {
    /// To ask for a sign of life.
    #[must_use]
    pub fn verification() -> Self {
        let uid = |text| Uid::new(text).expect("the standard's UIDs are UIDs");
        Self { abstract_syntax: uid(uids::VERIFICATION), transfer_syntaxes: vec![uid(uids::IMPLICIT_VR_LITTLE_ENDIAN)] }
    }
}

impl StoreFile {
    /// Opens a file of PS3.10 and reads what it is.
    ///
    /// # Errors
    /// [`MetaError`].
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        Self::of_file(File::open(path)?)
    }

    /// The same of a file that is open, from its beginning.
    ///
    /// # Errors
    /// [`MetaError`].
    pub fn of_file(mut file: File) -> Result<Self, MetaError> {
        file.rewind()?;
        let (meta, from) = Meta::read(&mut file)?;
        let len = file.metadata()?.len().saturating_sub(from);
        Ok(Self { file, meta, from, len })
    }

    /// Its SOP Class, from the file meta information.
    #[must_use]
    pub fn sop_class_uid(&self) -> Uid {
        self.meta.class
    }

    /// Its SOP Instance, from the file meta information.
    #[must_use]
    pub fn sop_instance_uid(&self) -> Uid {
        self.meta.instance
    }

    /// What its data set is encoded in.
    #[must_use]
    pub fn transfer_syntax_uid(&self) -> Uid {
        self.meta.transfer_syntax
    }

    /// What has to be proposed to send it as it is.
    #[must_use]
    pub fn proposal(&self) -> Proposal {
        Proposal { abstract_syntax: self.meta.class, transfer_syntaxes: vec![self.meta.transfer_syntax] }
    }
}
