//! Elements that are put together, byte by byte, and not through dicom-rs: what is taken from a study is in the study's own character set, and
//! is to stay so; and a list of 65,536 instances is to take as much memory as it is long. Little endian. DICOM PS3.5 §7.

use clavicle_manifest::Uid;
use dicom_core::{Tag, VR};
use dicom_dictionary_std::tags;
use dicom_dictionary_std::uids;

use crate::encoding::{Encoding, ITEM, listed_vr};
use crate::implementation::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};

/// A data set that is being put together, its elements ascending.
#[derive(Debug)]
pub(crate) struct Elements {
    bytes: Vec<u8>,
    encoding: Encoding,
}

impl Default for Elements {
    /// In explicit VR.
    fn default() -> Self {
        Self::written_in(Encoding::ExplicitLittle)
    }
}

impl Elements {
    /// With or without VRs; big endian is written by nobody any more.
    pub(crate) const fn written_in(encoding: Encoding) -> Self {
        Self { bytes: Vec::new(), encoding }
    }

    pub(crate) fn bytes(self, tag: Tag, value: &[u8]) -> Self {
        let vr = listed_vr(tag).expect("what is written here is in the dictionary");
        self.bytes_as(tag, vr, value)
    }

    pub(crate) fn bytes_as(mut self, tag: Tag, vr: VR, value: &[u8]) -> Self {
        let padding: &[u8] = match (value.len() % 2, vr) {
            (0, _) => &[],
            (_, VR::UI | VR::OB | VR::UN) => b"\0",
            _ => b" ",
        };
        self.bytes.extend_from_slice(&head_in(self.encoding, tag, vr, length(value.len() + padding.len())));
        self.bytes.extend_from_slice(value);
        self.bytes.extend_from_slice(padding);
        self
    }

    pub(crate) fn text(self, tag: Tag, value: impl AsRef<str>) -> Self {
        self.bytes(tag, value.as_ref().as_bytes())
    }

    pub(crate) fn uid(self, tag: Tag, uid: &Uid) -> Self {
        self.text(tag, uid.as_str())
    }

    /// A sequence.
    pub(crate) fn items(self, tag: Tag, items: impl IntoIterator<Item = Self>) -> Self {
        let mut whole = Vec::new();
        items.into_iter().for_each(|item| item.into_item(&mut whole));
        self.written_items(tag, &whole)
    }

    /// A sequence whose items are written already, in the same encoding.
    pub(crate) fn written_items(mut self, tag: Tag, items: &[u8]) -> Self {
        self.bytes.extend_from_slice(&head_in(self.encoding, tag, VR::SQ, length(items.len())));
        self.bytes.extend_from_slice(items);
        self
    }

    /// An element that is written already, in the same encoding.
    pub(crate) fn written(mut self, element: &[u8]) -> Self {
        self.bytes.extend_from_slice(element);
        self
    }

    /// Appends it as an item of a sequence.
    pub(crate) fn into_item(self, whole: &mut Vec<u8>) {
        whole.extend_from_slice(&bare(ITEM));
        whole.extend_from_slice(&length(self.bytes.len()).to_le_bytes());
        whole.extend_from_slice(&self.bytes);
    }

    /// The Code Sequence Macro (PS3.3 §8.8).
    pub(crate) fn code(value: &str, scheme: &str, meaning: &str) -> Self {
        let code = Self::default().text(tags::CODE_VALUE, value).text(tags::CODING_SCHEME_DESIGNATOR, scheme);
        code.text(tags::CODE_MEANING, meaning)
    }

    /// Bytes so far.
    pub(crate) const fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// What stands before the data set of a file that this program encodes: preamble, prefix and file meta information (PS3.10 §7.1).
pub(crate) fn file_head(sop_class_uid: &str, sop_instance_uid: &Uid, transfer_syntax_uid: &str) -> Vec<u8> {
    let meta = Elements::default()
        .bytes(tags::FILE_META_INFORMATION_VERSION, &[0, 1])
        .text(tags::MEDIA_STORAGE_SOP_CLASS_UID, sop_class_uid)
        .uid(tags::MEDIA_STORAGE_SOP_INSTANCE_UID, sop_instance_uid)
        .text(tags::TRANSFER_SYNTAX_UID, transfer_syntax_uid)
        .text(tags::IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_CLASS_UID)
        .text(tags::IMPLEMENTATION_VERSION_NAME, IMPLEMENTATION_VERSION_NAME);
    let length = Elements::default().bytes(tags::FILE_META_INFORMATION_GROUP_LENGTH, &length(meta.len()).to_le_bytes());
    [&[0; 128], &b"DICM"[..], &length.bytes, &meta.bytes].concat()
}

/// A UID made of a UUID (PS3.5 B.2), and that of random bytes.
#[must_use]
pub fn uid_of(random: [u8; 16]) -> Uid {
    let mut uuid = random;
    // RFC 9562 §5.4.
    uuid[6] = uuid[6] & 0x0f | 0x40;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    Uid::new(&format!("2.25.{}", u128::from_be_bytes(uuid))).expect("it has 44 characters at most")
}

/// The UID of a native transfer syntax.
pub(crate) const fn native_uid(encoding: Encoding) -> &'static str {
    if encoding.is_implicit() { uids::IMPLICIT_VR_LITTLE_ENDIAN } else { uids::EXPLICIT_VR_LITTLE_ENDIAN }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).expect("what is put together here was read within limits far below")
}

pub(crate) fn bare(Tag(group, element): Tag) -> [u8; 4] {
    let ([a, b], [c, d]) = (group.to_le_bytes(), element.to_le_bytes());
    [a, b, c, d]
}

/// A header with or without VR.
pub(crate) fn head_in(encoding: Encoding, tag: Tag, vr: VR, len: u32) -> Vec<u8> {
    encoding.header(tag, vr, len)
}

/// A header in explicit VR little endian (PS3.5 §7.1.2).
pub(crate) fn head(tag: Tag, vr: VR, len: u32) -> Vec<u8> {
    Encoding::ExplicitLittle.header(tag, vr, len)
}
