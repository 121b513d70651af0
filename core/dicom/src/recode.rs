//! Elements of one encoding written in another (PS3.5 §7.1, §7.3).

use dicom_core::dictionary::{DataDictionary as _, DataDictionaryEntry as _, VirtualVr};
use dicom_core::{Tag, VR};
use dicom_dictionary_std::{StandardDataDictionary, tags};

use crate::elements::{DataSet, Element};
use crate::encode::{bare, head_in};
use crate::encoding::{
    Encoding, ITEM, ITEM_DELIMITATION_ITEM, SEQUENCE_DELIMITATION_ITEM, UNDEFINED, is_text, word_len,
};
use crate::unreadable::{MAX_DEPTH, Unreadable};

/// Writes elements in `to`, which is little endian.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recoder {
    pub(crate) to: Encoding,
    /// Pixel Representation (0028,0103) of the instance, by which a few attributes are signed or not (PS3.3 C.7.6.3).
    pub(crate) is_signed: bool,
}

impl Recoder {
    /// Appends an element. Group lengths, which are retired and would be wrong, are left out, and so are icons and other pixels in items that are
    /// compressed, which have no place in a data set that is not.
    pub(crate) fn element(&self, element: &Element<'_>, depth: u32, into: &mut Vec<u8>) -> Result<(), Unreadable> {
        if element.tag.1 == 0 || element.is_encapsulated() || is_compressed_icon(element)? {
            return Ok(());
        }
        let vr = self.vr(element);
        if vr == VR::SQ {
            into.extend_from_slice(&head_in(self.to, element.tag, VR::SQ, UNDEFINED));
            into.extend_from_slice(&self.items(element, depth)?);
            into.extend_from_slice(&bare(SEQUENCE_DELIMITATION_ITEM));
            into.extend_from_slice(&[0; 4]);
            return Ok(());
        }
        let value = self.value(element);
        let padding: &[u8] = match (value.len() % 2, is_text(vr) && vr != VR::UI) {
            (0, _) => &[],
            (_, true) => b" ",
            (_, false) => b"\0",
        };
        let len = u32::try_from(value.len() + padding.len()).map_err(|_| Unreadable::Oversized(element.tag.into()))?;
        into.extend_from_slice(&head_in(self.to, element.tag, vr, len));
        into.extend_from_slice(&value);
        into.extend_from_slice(padding);
        Ok(())
    }

    /// The items of a sequence.
    pub(crate) fn items(&self, element: &Element<'_>, depth: u32) -> Result<Vec<u8>, Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable::TooDeep);
        }
        let (mut items, mut whole) = (element.items(), Vec::new());
        while let Some(mut item) = items.next()? {
            whole.extend_from_slice(&bare(ITEM));
            whole.extend_from_slice(&UNDEFINED.to_le_bytes());
            self.data_set(&mut item, depth + 1, &mut whole)?;
            whole.extend_from_slice(&bare(ITEM_DELIMITATION_ITEM));
            whole.extend_from_slice(&[0; 4]);
        }
        Ok(whole)
    }

    fn data_set(&self, data_set: &mut DataSet<'_>, depth: u32, into: &mut Vec<u8>) -> Result<(), Unreadable> {
        while let Some(element) = data_set.next()? {
            self.element(&element, depth, into)?;
        }
        Ok(())
    }

    /// The value of an element that is no sequence, in little endian.
    pub(crate) fn value(&self, element: &Element<'_>) -> Vec<u8> {
        let mut value = element.value.to_vec();
        if element.encoding().is_big() {
            value.chunks_exact_mut(word_len(element.vr())).for_each(<[u8]>::reverse);
        }
        value
    }

    fn vr(&self, element: &Element<'_>) -> VR {
        let is_signed = element.encoding().is_implicit() && self.is_signed && is_of_either_sign(element.tag);
        if is_signed { VR::SS } else { element.vr() }
    }
}

/// Whether the dictionary leaves open whether an attribute is signed.
fn is_of_either_sign(tag: Tag) -> bool {
    StandardDataDictionary.by_tag(tag).is_some_and(|entry| entry.vr() == VirtualVr::Xs)
}

/// PS3.3 F.7: an icon is an image of its own in an item, and may be compressed as the image is.
pub(crate) fn is_compressed_icon(element: &Element<'_>) -> Result<bool, Unreadable> {
    if element.tag != tags::ICON_IMAGE_SEQUENCE {
        return Ok(false);
    }
    let mut items = element.items();
    while let Some(mut item) = items.next()? {
        if item.find(tags::PIXEL_DATA)?.is_some_and(|pixels| pixels.is_encapsulated()) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recoded(bytes: &[u8], from: Encoding, to: Encoding, is_signed: bool) -> Vec<u8> {
        let (mut whole, recoder) = (Vec::new(), Recoder { to, is_signed });
        recoder.data_set(&mut DataSet::new(bytes, from), 0, &mut whole).unwrap();
        whole
    }

    #[test]
    fn the_same_is_written_in_each_encoding() {
        let big = b"\x00\x28\x00\x10US\x00\x02\x01\x02\x00\x28\x01\x06US\x00\x02\xff\xfe";
        let implicit = b"\x28\x00\x10\x00\x02\x00\x00\x00\x02\x01\x28\x00\x06\x01\x02\x00\x00\x00\xfe\xff";
        let explicit = b"\x28\x00\x10\x00US\x02\x00\x02\x01\x28\x00\x06\x01US\x02\x00\xfe\xff";
        assert_eq!(recoded(big, Encoding::ExplicitBig, Encoding::ImplicitLittle, false), implicit);
        assert_eq!(recoded(big, Encoding::ExplicitBig, Encoding::ExplicitLittle, false), explicit);
        assert_eq!(recoded(implicit, Encoding::ImplicitLittle, Encoding::ExplicitLittle, false), explicit);
        let signed = recoded(implicit, Encoding::ImplicitLittle, Encoding::ExplicitLittle, true);
        assert_eq!(signed, b"\x28\x00\x10\x00US\x02\x00\x02\x01\x28\x00\x06\x01SS\x02\x00\xfe\xff");
    }

    #[test]
    fn sequences_keep_what_they_hold_and_group_lengths_go() {
        let code = b"\x08\x00\x00\x01\x03\x00\x00\x00T-1";
        let item = [&[0xfe, 0xff, 0, 0xe0][..], &11u32.to_le_bytes(), code].concat();
        let sequence =
            [&b"\x08\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x08\x00\x18\x22"[..], &19u32.to_le_bytes(), &item];
        let explicit = recoded(&sequence.concat(), Encoding::ImplicitLittle, Encoding::ExplicitLittle, false);
        let mut all = DataSet::new(&explicit, Encoding::ExplicitLittle);
        let sequence = all.next().unwrap().unwrap();
        let value = sequence.items().next().unwrap().unwrap().next().unwrap().unwrap();
        assert_eq!((sequence.tag, value.text(), value.vr()), (Tag(8, 0x2218), Some("T-1"), VR::SH));
        assert!(all.next().unwrap().is_none());
    }
}
