//! What a data set is written in (PS3.5 §7.1, §7.3).

use clavicle_manifest::Uid;
use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags, uids};

/// How a length says that a delimiter follows instead.
pub const UNDEFINED: u32 = 0xffff_ffff;

/// Item (FFFE,E000). It and the delimiters have neither a VR nor a place in the dictionary (PS3.5 §7.5).
pub const ITEM: Tag = Tag(0xfffe, 0xe000);
/// Item Delimitation Item (FFFE,E00D).
pub const ITEM_DELIMITATION_ITEM: Tag = Tag(0xfffe, 0xe00d);
/// Sequence Delimitation Item (FFFE,E0DD).
pub const SEQUENCE_DELIMITATION_ITEM: Tag = Tag(0xfffe, 0xe0dd);

/// How elements are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Little endian, without VRs.
    ImplicitLittle,
    /// Little endian, with VRs.
    ExplicitLittle,
    /// Big endian, with VRs. Retired.
    ExplicitBig,
}

impl Encoding {
    /// What a transfer syntax says; none of one that is no part of the standard.
    #[must_use]
    pub fn of(transfer_syntax_uid: &Uid) -> Option<Self> {
        match transfer_syntax_uid.as_str() {
            uids::IMPLICIT_VR_LITTLE_ENDIAN => Some(Self::ImplicitLittle),
            #[expect(deprecated, reason = "retired, and still in archives")]
            uids::EXPLICIT_VR_BIG_ENDIAN => Some(Self::ExplicitBig),
            standard if standard.starts_with("1.2.840.10008.") => Some(Self::ExplicitLittle),
            _ => None,
        }
    }

    /// What the first eight bytes of a data set look like; none when they are no element's.
    pub(crate) fn guess(start: [u8; 8]) -> Option<Self> {
        let looks_explicit = start[4..6].iter().all(u8::is_ascii_uppercase);
        // A data set begins with group 0008, seldom with a length to end (0008,0001), and that only in old ones.
        match (start[..2] == [8, 0], start[..2] == [0, 8], looks_explicit) {
            (true, _, true) => Some(Self::ExplicitLittle),
            (true, _, false) => Some(Self::ImplicitLittle),
            (_, true, true) => Some(Self::ExplicitBig),
            _ => None,
        }
    }

    /// What the first eight bytes of an element of a data set look like, whatever its transfer syntax says; none when that is
    /// not certain.
    pub(crate) fn seen(start: [u8; 8]) -> Option<Self> {
        let is_explicit = VR::from_binary([start[4], start[5]]).is_some();
        match (start, is_explicit) {
            ([8, 0, ..], true) => Some(Self::ExplicitLittle),
            ([0, 8, ..], true) => Some(Self::ExplicitBig),
            // The first element of a data set is short.
            ([8, 0, _, _, _, _, 0, 0], false) => Some(Self::ImplicitLittle),
            _ => None,
        }
    }

    pub(crate) fn default_uid(self) -> Uid {
        let uid = match self {
            Self::ImplicitLittle => uids::IMPLICIT_VR_LITTLE_ENDIAN,
            Self::ExplicitLittle => uids::EXPLICIT_VR_LITTLE_ENDIAN,
            #[expect(deprecated, reason = "retired, and still in archives")]
            Self::ExplicitBig => uids::EXPLICIT_VR_BIG_ENDIAN,
        };
        Uid::new(uid).expect("the standard's UIDs are UIDs")
    }

    /// Whether it has no VRs.
    #[must_use]
    pub const fn is_implicit(self) -> bool {
        matches!(self, Self::ImplicitLittle)
    }

    /// Whether the highest byte comes first.
    #[must_use]
    pub const fn is_big(self) -> bool {
        matches!(self, Self::ExplicitBig)
    }

    /// A number of 16 bits.
    #[must_use]
    pub fn u16(self, bytes: [u8; 2]) -> u16 {
        if self.is_big() { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    /// A number of 32 bits.
    #[must_use]
    pub fn u32(self, bytes: [u8; 4]) -> u32 {
        if self.is_big() { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }
}

impl Encoding {
    /// The header of an element (PS3.5 §7.1.2, §7.1.3). What is too long for its VR is written as UN (§6.2.2 note 2).
    pub(crate) fn header(self, Tag(group, element): Tag, vr: VR, len: u32) -> Vec<u8> {
        let u16 = |value: u16| if self.is_big() { value.to_be_bytes() } else { value.to_le_bytes() };
        let u32 = |value: u32| if self.is_big() { value.to_be_bytes() } else { value.to_le_bytes() };
        let mut bytes = [u16(group), u16(element)].concat();
        if self.is_implicit() || group == 0xfffe {
            bytes.extend_from_slice(&u32(len));
            return bytes;
        }
        match u16::try_from(len) {
            Ok(short) if has_short_length(vr) => {
                bytes.extend_from_slice(&vr.to_bytes());
                bytes.extend_from_slice(&u16(short));
            }
            _ => {
                let vr = if has_short_length(vr) { VR::UN } else { vr };
                bytes.extend_from_slice(&vr.to_bytes());
                bytes.extend_from_slice(&[0, 0]);
                bytes.extend_from_slice(&u32(len));
            }
        }
        bytes
    }
}

/// What the dictionary says of an attribute; none of a private or unknown one.
#[must_use]
pub fn listed_vr(tag: Tag) -> Option<VR> {
    StandardDataDictionary.by_tag(tag).map(|entry| entry.vr().relaxed())
}

pub(crate) fn implicit_vr(tag: Tag, len: u32) -> VR {
    if tag == tags::PIXEL_DATA {
        return VR::OW;
    }
    // An unknown element of undefined length can only be a sequence.
    listed_vr(tag).unwrap_or(if len == UNDEFINED { VR::SQ } else { VR::UN })
}

/// PS3.5 §7.1.2: 16 bits for those VRs that had them in 1993, 32 for all others.
#[must_use]
pub const fn has_short_length(vr: VR) -> bool {
    use VR::{AE, AS, AT, CS, DA, DS, DT, FD, FL, IS, LO, LT, PN, SH, SL, SS, ST, TM, UI, UL, US};
    matches!(vr, AE | AS | AT | CS | DA | DS | DT | FD | FL | IS | LO | LT | PN | SH | SL | SS | ST | TM | UI | UL | US)
}

/// How many bytes of a value belong together, and are swapped where the order of bytes is the other one.
#[must_use]
pub const fn word_len(vr: VR) -> usize {
    use VR::{AT, FD, FL, OD, OF, OL, OV, OW, SL, SS, SV, UL, US, UV};
    match vr {
        AT | OW | SS | US => 2,
        FL | OF | OL | SL | UL => 4,
        FD | OD | OV | SV | UV => 8,
        _ => 1,
    }
}

/// Text, of which the padding at its end is no part (PS3.5 §6.2).
pub(crate) const fn is_text(vr: VR) -> bool {
    use VR::{AE, AS, CS, DA, DS, DT, IS, LO, LT, PN, SH, ST, TM, UC, UI, UR, UT};
    matches!(vr, AE | AS | CS | DA | DS | DT | IS | LO | LT | PN | SH | ST | TM | UC | UI | UR | UT)
}
