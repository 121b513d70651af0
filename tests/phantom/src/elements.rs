//! Elements, as they are put into a data set.

use dicom_core::value::DataSetSequence;
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::mem::InMemElement;
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};

use clavicle_dicom::implementation::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};

use super::PhantomError;

/// A concept: Code Value, Coding Scheme Designator, Code Meaning (PS3.3 §8.8).
pub(super) type Code = [&'static str; 3];

/// A data set, or an item of a sequence. The order in which elements are put does not matter.
pub(super) struct Elements(InMemDicomObject);

/// The Image Pixel module (PS3.3 C.7.6.3), but for the pixels.
pub(super) struct PixelFormat {
    pub rows: u16,
    pub columns: u16,
    pub photometric: &'static str,
    pub samples: u16,
    pub allocated: u16,
    pub stored: u16,
    pub signed: bool,
}

impl Elements {
    pub(super) fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    pub(super) fn put(&mut self, tag: Tag, vr: VR, value: &str) {
        self.0.put(DataElement::new(tag, vr, PrimitiveValue::from(value)));
    }

    pub(super) fn put_all(&mut self, elements: &[(Tag, VR, &str)]) {
        for (tag, vr, value) in elements {
            self.put(*tag, *vr, value);
        }
    }

    /// DS, of one value or several.
    pub(super) fn decimals(&mut self, tag: Tag, values: &[f64]) {
        let values: Vec<_> = values.iter().map(|value| decimal(*value)).collect();
        self.put(tag, VR::DS, &values.join("\\"));
    }

    /// FD, of one value or several.
    pub(super) fn doubles(&mut self, tag: Tag, values: &[f64]) {
        self.0.put(DataElement::new(tag, VR::FD, PrimitiveValue::F64(values.into())));
    }

    /// US.
    pub(super) fn short(&mut self, tag: Tag, value: u16) {
        self.0.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)));
    }

    /// UL, of one value or several.
    pub(super) fn longs(&mut self, tag: Tag, values: &[u32]) {
        self.0.put(DataElement::new(tag, VR::UL, PrimitiveValue::U32(values.into())));
    }

    /// AT: the name of another element.
    pub(super) fn pointer(&mut self, tag: Tag, to: Tag) {
        self.0.put(DataElement::new(tag, VR::AT, PrimitiveValue::Tags([to].into_iter().collect())));
    }

    /// A sequence.
    pub(super) fn items(&mut self, tag: Tag, items: impl IntoIterator<Item = Self>) {
        let items: Vec<_> = items.into_iter().map(|item| item.0).collect();
        let sequence: InMemElement = DataElement::new(tag, VR::SQ, DataSetSequence::from(items));
        self.0.put(sequence);
    }

    /// A sequence of one item.
    pub(super) fn item(&mut self, tag: Tag, make: impl FnOnce(&mut Self)) {
        let mut item = Self::new();
        make(&mut item);
        self.items(tag, [item]);
    }

    /// A code sequence of one item.
    pub(super) fn code(&mut self, tag: Tag, code: Code) {
        self.item(tag, |item| {
            item.put_all(&[
                (tags::CODE_VALUE, VR::SH, code[0]),
                (tags::CODING_SCHEME_DESIGNATOR, VR::SH, code[1]),
                (tags::CODE_MEANING, VR::LO, code[2]),
            ]);
        });
    }

    pub(super) fn pixel_format(&mut self, format: &PixelFormat) {
        self.put(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, format.photometric);
        self.short(tags::SAMPLES_PER_PIXEL, format.samples);
        if format.samples > 1 {
            self.short(tags::PLANAR_CONFIGURATION, 0);
        }
        self.short(tags::ROWS, format.rows);
        self.short(tags::COLUMNS, format.columns);
        self.short(tags::BITS_ALLOCATED, format.allocated);
        self.short(tags::BITS_STORED, format.stored);
        self.short(tags::HIGH_BIT, format.stored - 1);
        self.short(tags::PIXEL_REPRESENTATION, u16::from(format.signed));
    }

    /// A file without pixels, or all of it that comes before them.
    pub(super) fn encode(self) -> Result<Vec<u8>, PhantomError> {
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(uids::EXPLICIT_VR_LITTLE_ENDIAN)
            .implementation_class_uid(IMPLEMENTATION_CLASS_UID)
            .implementation_version_name(IMPLEMENTATION_VERSION_NAME);
        let file = self.0.with_meta(meta).map_err(|error| PhantomError::Meta(Box::new(error)))?;
        let mut bytes = Vec::new();
        file.write_all(&mut bytes).map_err(|error| PhantomError::Encode(Box::new(error)))?;
        Ok(bytes)
    }
}

/// DS (PS3.5 §6.2): at most 16 characters.
pub(super) fn decimal(value: f64) -> String {
    let text = format!("{value:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
