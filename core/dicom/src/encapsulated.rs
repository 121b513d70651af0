//! A document in an instance: a PDF, or one of HL7's clinical documents (PS3.3 C.24.2). Its bytes, as they were before
//! they were put in.

use std::io::{Read, Seek};
use std::panic::{self, AssertUnwindSafe};

use dicom_dictionary_std::tags;

use crate::elements::DataSet;
use crate::scan;
use crate::unreadable::Unreadable;

/// Bytes that an instance may have beside its document.
const BESIDE: u64 = 1 << 20;

/// The document in an instance of `len` bytes, if there is one; none either where it would be longer than `most` bytes.
///
/// # Errors
/// [`Unreadable`].
pub fn read<S: Read + Seek>(source: S, len: u64, most: u64) -> Result<Option<Vec<u8>>, Unreadable> {
    // Nothing here is known to panic. If something does, it costs one file.
    panic::catch_unwind(AssertUnwindSafe(|| of(source, len, most))).unwrap_or(Err(Unreadable::Panicked))
}

fn of<S: Read + Seek>(mut source: S, len: u64, most: u64) -> Result<Option<Vec<u8>>, Unreadable> {
    if len > most.saturating_add(BESIDE) {
        return Ok(None);
    }
    let mut scanned = scan::scan(&mut source, len)?;
    let bytes = scanned.take_beginning(source, len, len)?;
    let mut document = DataSet::new(&bytes, scanned.encoding);
    let Some(element) = document.find(tags::ENCAPSULATED_DOCUMENT)? else { return Ok(None) };
    let mut value = element.value;
    // Its length is even, and the document's may be odd.
    if let Some(said) = document.find(tags::ENCAPSULATED_DOCUMENT_LENGTH)?
        && let Some(len) = said.value.first_chunk()
        && let Ok(len) = usize::try_from(said.encoding().u32(*len))
    {
        value = &value[..len.min(value.len())];
    }
    Ok(Some(value.to_vec()).filter(|value| value.len() as u64 <= most))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use std::io::Cursor;

    use clavicle_manifest::Uid;
    use dicom_dictionary_std::uids;

    use super::*;
    use crate::encode::{Elements, file_head};

    #[test]
    fn a_document_comes_out_as_it_went_in() {
        let uid = Uid::new("1.2.3").unwrap();
        let file = |rest: Elements| {
            let data_set = Elements::default().text(tags::SOP_CLASS_UID, uids::ENCAPSULATED_PDF_STORAGE);
            let data_set = data_set.uid(tags::SOP_INSTANCE_UID, &uid).written(&rest.into_bytes());
            [file_head(uids::ENCAPSULATED_PDF_STORAGE, &uid, uids::EXPLICIT_VR_LITTLE_ENDIAN), data_set.into_bytes()]
                .concat()
        };
        let read = |file: &[u8], most| super::read(Cursor::new(file), file.len() as u64, most).unwrap();
        let pdf = || Elements::default().bytes(tags::ENCAPSULATED_DOCUMENT, b"%PDF-");
        assert_eq!(read(&file(pdf()), 10).as_deref(), Some(&b"%PDF-\0"[..]));
        let said = |len: u32| file(pdf().bytes(tags::ENCAPSULATED_DOCUMENT_LENGTH, &len.to_le_bytes()));
        assert_eq!(read(&said(5), 10).as_deref(), Some(&b"%PDF-"[..]));
        // A length that lies.
        assert_eq!(read(&said(u32::MAX), 10).as_deref(), Some(&b"%PDF-\0"[..]));
        assert_eq!(read(&said(5), 4), None);
        assert_eq!(read(&file(Elements::default()), 10), None);
        for end in 0..said(5).len() {
            drop(super::read(Cursor::new(&said(5)[..end]), end as u64, 10));
        }
    }
}
