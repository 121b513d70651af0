//! The table of contents of a File-set, the DICOMDIR: records that point at each other by the byte at which they begin (PS3.3 F.3).

mod record;

use clavicle_manifest::Uid;
use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use crate::encode::{Elements, file_head, head};

/// A directory record, and those below it.
#[derive(Debug)]
pub struct Record {
    /// Directory Record Type (0004,1430).
    kind: &'static str,
    /// Private Record UID (0004,1432), where the type is PRIVATE.
    private: Option<Uid>,
    file: Option<ReferencedFile>,
    /// What it says besides, ascending.
    keys: Elements,
    lower: Vec<Record>,
}

/// The file that a record stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedFile {
    /// Referenced File ID (0004,1500), its components separated by a slash.
    pub name: String,
    /// SOP Class UID (0008,0016).
    pub sop_class_uid: Uid,
    /// SOP Instance UID (0008,0018).
    pub sop_instance_uid: Uid,
    /// Transfer Syntax UID (0002,0010).
    pub transfer_syntax_uid: Uid,
}

/// How long an item's header is.
const ITEM_HEAD: usize = 8;

/// The file: PS3.10 with the Basic Directory IOD in it, explicit VR little endian, as is required (PS3.10 §8.6).
#[must_use]
pub fn encode(file_set_id: &str, uid: &Uid, patients: Vec<Record>) -> Vec<u8> {
    let file = file_head(uids::MEDIA_STORAGE_DIRECTORY_STORAGE, uid, uids::EXPLICIT_VR_LITTLE_ENDIAN);
    let mut flat = Vec::new();
    let roots = flatten(patients, &mut flat);
    let front = |first: u32, last: u32| {
        Elements::default()
            .text(tags::FILE_SET_ID, file_set_id)
            .bytes(tags::OFFSET_OF_THE_FIRST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY, &first.to_le_bytes())
            .bytes(tags::OFFSET_OF_THE_LAST_DIRECTORY_RECORD_OF_THE_ROOT_DIRECTORY_ENTITY, &last.to_le_bytes())
            .bytes(tags::FILE_SET_CONSISTENCY_FLAG, &[0, 0])
            .into_bytes()
    };
    let sequence_head = head(tags::DIRECTORY_RECORD_SEQUENCE, VR::SQ, 0).len();
    let mut at = file.len() + front(0, 0).len() + sequence_head;
    let begins: Vec<u32> = flat
        .iter()
        .map(|record| {
            let begin = at;
            at += ITEM_HEAD + record.element(0, 0).len();
            u32::try_from(begin).expect("a manifest's instances have records of less than a gigabyte")
        })
        .collect();
    let place = |of: Option<usize>| of.and_then(|of| begins.get(of)).copied().unwrap_or_default();
    let items: Vec<Elements> =
        flat.iter().map(|record| record.element(place(record.next), place(record.lower))).collect();
    let records = Elements::default().items(tags::DIRECTORY_RECORD_SEQUENCE, items).into_bytes();
    let front = front(place(roots.first().copied()), place(roots.last().copied()));
    [file, front, records].concat()
}

/// A record whose neighbours are known by their places in the list.
struct Flat {
    kind: &'static str,
    private: Option<Uid>,
    file: Option<ReferencedFile>,
    keys: Vec<u8>,
    next: Option<usize>,
    lower: Option<usize>,
}

impl Flat {
    /// Offsets take four bytes whatever they are, so that the length of all is known before they are.
    fn element(&self, next: u32, lower: u32) -> Elements {
        let mut item = Elements::default()
            .bytes(tags::OFFSET_OF_THE_NEXT_DIRECTORY_RECORD, &next.to_le_bytes())
            .bytes(tags::RECORD_IN_USE_FLAG, &[0xff, 0xff])
            .bytes(tags::OFFSET_OF_REFERENCED_LOWER_LEVEL_DIRECTORY_ENTITY, &lower.to_le_bytes())
            .text(tags::DIRECTORY_RECORD_TYPE, self.kind);
        if let Some(private) = &self.private {
            item = item.uid(tags::PRIVATE_RECORD_UID, private);
        }
        if let Some(file) = &self.file {
            item = item
                .text(tags::REFERENCED_FILE_ID, file.name.replace('/', "\\"))
                .uid(tags::REFERENCED_SOP_CLASS_UID_IN_FILE, &file.sop_class_uid)
                .uid(tags::REFERENCED_SOP_INSTANCE_UID_IN_FILE, &file.sop_instance_uid)
                .uid(tags::REFERENCED_TRANSFER_SYNTAX_UID_IN_FILE, &file.transfer_syntax_uid);
        }
        item.written(&self.keys)
    }
}

/// Puts each record before those below it; gives the places of those at the top.
fn flatten(records: Vec<Record>, into: &mut Vec<Flat>) -> Vec<usize> {
    let mut places: Vec<usize> = Vec::new();
    for Record { kind, private, file, keys, lower } in records {
        let place = into.len();
        if let Some(before) = places.last().and_then(|last| into.get_mut(*last)) {
            before.next = Some(place);
        }
        places.push(place);
        into.push(Flat { kind, private, file, keys: keys.into_bytes(), next: None, lower: None });
        let below = flatten(lower, into);
        if let Some(here) = into.get_mut(place) {
            here.lower = below.first().copied();
        }
    }
    places
}
