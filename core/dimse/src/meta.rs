//! File meta information: what a file says of itself before the data set begins (PS3.10 §7.1).

use std::io::{self, Read};

use clavicle_dicom::implementation::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use clavicle_manifest::Uid;

use super::title::AeTitle;

/// The most that is read in search of where it ends.
const MAX_META: usize = 64 << 10;

/// What the file meta information of a received object says, and what is needed of it to send one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) class: Uid,
    pub(super) instance: Uid,
    pub(super) transfer_syntax: Uid,
    pub(super) source: Option<AeTitle>,
}

/// Why a file cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// It cannot be read.
    #[error("it could not be read")]
    Io(#[from] io::Error),
    /// No preamble, or no file meta information behind it.
    #[error("it has no file meta information; only files of PS3.10 can be sent")]
    NotDicom,
    /// The file meta information is damaged or endless.
    #[error("its file meta information is damaged")]
    Damaged,
    /// A class, an instance or a transfer syntax is not in it.
    #[error("its file meta information lacks the SOP Class, the SOP Instance or the transfer syntax")]
    Incomplete,
    /// The data set and the transfer syntax disagree.
    #[error("its data set is not encoded as its transfer syntax says; it has to be written anew to be sent")]
    Encoding,
}

impl Meta {
    /// The first bytes of a file: preamble, prefix and file meta information.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut elements = Vec::new();
        let mut element = |element: u8, vr: &[u8; 2], value: &[u8], pad: u8| {
            let padding = &[pad][..value.len() % 2];
            let len = u16::try_from(value.len() + padding.len()).expect("UIDs and names are short");
            elements.extend([2, 0, element, 0]);
            elements.extend(vr);
            if vr == b"OB" {
                elements.extend([0, 0]);
                elements.extend(u32::from(len).to_le_bytes());
            } else {
                elements.extend(len.to_le_bytes());
            }
            elements.extend(value);
            elements.extend(padding);
        };
        element(0x01, b"OB", &[0, 1], 0);
        element(0x02, b"UI", self.class.as_str().as_bytes(), 0);
        element(0x03, b"UI", self.instance.as_str().as_bytes(), 0);
        element(0x10, b"UI", self.transfer_syntax.as_str().as_bytes(), 0);
        element(0x12, b"UI", IMPLEMENTATION_CLASS_UID.as_bytes(), 0);
        element(0x13, b"SH", IMPLEMENTATION_VERSION_NAME.as_bytes(), b' ');
        if let Some(source) = &self.source {
            element(0x16, b"AE", source.as_str().as_bytes(), b' ');
        }
        let len = u32::try_from(elements.len()).expect("a handful of short elements").to_le_bytes();
        [&[0; 128], &b"DICM\x02\0\0\0UL\x04\0"[..], &len, &elements].concat()
    }

    /// Reads up to where the data set begins, and says where that is.
    pub(super) fn read(file: &mut impl Read) -> Result<(Self, u64), MetaError> {
        let mut bytes = Vec::new();
        file.take(132 + MAX_META as u64).read_to_end(&mut bytes)?;
        let Some((_, mut rest)) = bytes.split_at_checked(132).filter(|(start, _)| start.ends_with(b"DICM")) else {
            return Err(MetaError::NotDicom);
        };
        let (mut class, mut instance, mut transfer_syntax, mut source) = (None, None, None, None);
        let mut at = 132;
        // It ends where another group begins: the group length is wrong in too many files.
        while let Some((&[2, 0, low, high, a, b, c, d], after)) = rest.split_first_chunk() {
            let (len, after) = if matches!(&[a, b], b"OB" | b"OW" | b"UN" | b"UT" | b"SQ") {
                let (len, after) = after.split_first_chunk().ok_or(MetaError::Damaged)?;
                at += 12;
                (usize::try_from(u32::from_le_bytes(*len)).map_err(|_| MetaError::Damaged)?, after)
            } else {
                at += 8;
                (usize::from(u16::from_le_bytes([c, d])), after)
            };
            let (value, after) = after.split_at_checked(len).ok_or(MetaError::Damaged)?;
            let text = core::str::from_utf8(value).unwrap_or_default();
            match u16::from_le_bytes([low, high]) {
                0x02 => class = Uid::new(text).ok(),
                0x03 => instance = Uid::new(text).ok(),
                0x10 => transfer_syntax = Uid::new(text).ok(),
                0x16 => source = AeTitle::of_field(value).ok(),
                _ => {}
            }
            at += len as u64;
            rest = after;
        }
        if rest.starts_with(&[2, 0]) {
            return Err(MetaError::Damaged);
        }
        match (class, instance, transfer_syntax) {
            (Some(class), Some(instance), Some(transfer_syntax)) => {
                Ok((Self { class, instance, transfer_syntax, source }, at))
            }
            _ if at == 132 => Err(MetaError::NotDicom),
            _ => Err(MetaError::Incomplete),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        let uid = |text| Uid::new(text).unwrap();
        Meta {
            class: uid("1.2.840.10008.5.1.4.1.1.2"),
            instance: uid("1.2.3"),
            transfer_syntax: uid("1.2.840.10008.1.2.1"),
            source: Some(AeTitle::new("CT1").unwrap()),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written() {
        let bytes = meta().encode();
        let group_length = u32::from_le_bytes(bytes[140..144].try_into().unwrap());
        assert_eq!(bytes.len(), 144 + group_length as usize);
        let file = [&bytes[..], b"\x08\0\x05\0CS\x0a\0ISO_IR 100"].concat();
        let (read, at) = Meta::read(&mut &file[..]).unwrap();
        assert_eq!((read, at), (meta(), bytes.len() as u64));
    }

    #[test]
    fn texts_may_be_padded_with_nul_and_spaces() {
        let bytes = Meta { source: Some(AeTitle::new("CT1 X").unwrap()), ..meta() }.encode();
        let at = bytes.windows(6).position(|window| window == b"CT1 X ").unwrap();
        let padded = [&bytes[..at], b"CT1\0  ", &bytes[at + 6..]].concat();
        assert_eq!(Meta::read(&mut &padded[..]).unwrap().0, meta());
    }

    #[test]
    fn dicom_rs_reads_it_too() {
        let read = dicom_object::FileMetaTable::from_reader(&meta().encode()[128..]).unwrap();
        assert_eq!(read.media_storage_sop_instance_uid().trim_end_matches('\0'), "1.2.3");
        assert_eq!(read.transfer_syntax(), "1.2.840.10008.1.2.1");
        assert_eq!(read.source_application_entity_title.as_deref().map(str::trim_end), Some("CT1"));
    }

    #[test]
    fn cut_off_or_something_else_it_is_refused() {
        let bytes = meta().encode();
        for len in 0..bytes.len() - 12 {
            // Between two elements it may end, if it has said enough.
            let read = Meta::read(&mut &bytes[..len]).ok();
            assert!(read.is_none_or(|(read, at)| len as u64 - at < 2 && read.instance == meta().instance), "{len}");
        }
        assert!(matches!(Meta::read(&mut &[0; 400][..]), Err(MetaError::NotDicom)));
    }
}
