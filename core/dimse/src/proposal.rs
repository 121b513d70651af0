//! What is to be sent: files, and what has to be proposed for them.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;

use clavicle_dicom::encoding::Encoding;
use clavicle_dicom::repair::Patches;
use clavicle_dicom::scan;
use clavicle_dicom::scanned::Scanned;
use clavicle_manifest::Uid;
use dicom_dictionary_std::{tags, uids};

use super::meta::{Meta, MetaError};
use super::pdu::uid;

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
    /// Where the data set begins, and where it ends.
    pub(super) from: u64,
    pub(super) to: u64,
    /// How it is sent: in order, and with all lengths even (PS3.5 §7.1.1).
    pub(super) patches: Patches,
    /// A deflated data set is even as a whole (PS3.5 §A.5).
    pub(super) is_padded: bool,
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
        let read = Meta::read(&mut file);
        if matches!(read, Err(MetaError::NotDicom | MetaError::Io(_))) {
            return Err(read.expect_err("it is an error"));
        }
        let len = file.metadata()?.len();
        file.rewind()?;
        // What the data set says counts, and where it begins.
        let scanned = scan::scan_evened(&file, len).ok();
        let said = |tag| uid(scanned.as_ref()?.kept(tag)?);
        let (class, instance) = (said(tags::SOP_CLASS_UID), said(tags::SOP_INSTANCE_UID));
        match (class, instance, scanned) {
            (Some(class), Some(instance), Some(scanned)) if scanned.inflated.is_none() => {
                let Scanned { transfer_syntax_uid, data_set_at, encoding, patches, .. } = scanned;
                if Encoding::of(&transfer_syntax_uid).is_some_and(|said| said != encoding) {
                    return Err(MetaError::Encoding);
                }
                let source = read.ok().and_then(|(meta, _)| meta.source);
                let meta = Meta { class, instance, transfer_syntax: transfer_syntax_uid, source };
                Ok(Self { file, meta, from: data_set_at, to: len, patches, is_padded: false })
            }
            (class, instance, scanned) => {
                let (meta, from) = read?;
                let is_padded =
                    scanned.is_some_and(|scanned| scanned.inflated.is_some()) && !(len - from).is_multiple_of(2);
                let meta =
                    Meta { class: class.unwrap_or(meta.class), instance: instance.unwrap_or(meta.instance), ..meta };
                Ok(Self { file, meta, from, to: len, patches: Patches::default(), is_padded })
            }
        }
    }

    /// Whether the bytes of the file are what is sent.
    #[must_use]
    pub fn is_sent_as_it_is(&self) -> bool {
        self.patches.is_empty() && !self.is_padded
    }

    /// How many bytes are sent.
    pub(super) fn len(&self) -> u64 {
        self.patches.len(self.from, self.to) + u64::from(self.is_padded)
    }

    /// What is sent.
    pub(super) fn data_set(&mut self) -> io::Result<impl Read> {
        self.file.seek(SeekFrom::Start(self.from))?;
        let padding: &[u8] = if self.is_padded { &[0] } else { &[] };
        Ok(self.patches.reader(&self.file, self.from, self.to).chain(padding))
    }

    /// Its SOP Class; the data set's, where the file meta information says another.
    #[must_use]
    pub fn sop_class_uid(&self) -> Uid {
        self.meta.class
    }

    /// Its SOP Instance; the data set's, where the file meta information says another.
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
