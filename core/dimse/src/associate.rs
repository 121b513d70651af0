//! How an association is asked for and accepted (PS3.8 §9.3.2, §9.3.3): two units that are held in memory whole, and short.

use clavicle_dicom::implementation::{IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME};
use clavicle_manifest::Uid;
use dicom_dictionary_std::uids;

use super::pdu::{ASSOCIATE_AC, ASSOCIATE_RQ, Malformed, uid};

/// The longest association request or answer. 128 contexts that propose 40 transfer syntaxes each have 150 KB.
pub(super) const MAX_ASSOCIATE: u32 = 512 << 10;
/// As many contexts as there are odd numbers in a byte.
pub(super) const MAX_CONTEXTS: usize = 128;

/// Items (PS3.8 §9.3.2, Annex D).
const APPLICATION_CONTEXT: u8 = 0x10;
const PROPOSED_CONTEXT: u8 = 0x20;
const ANSWERED_CONTEXT: u8 = 0x21;
const ABSTRACT_SYNTAX: u8 = 0x30;
const TRANSFER_SYNTAX: u8 = 0x40;
const USER_INFORMATION: u8 = 0x50;
const MAXIMUM_LENGTH: u8 = 0x51;
const IMPLEMENTATION_CLASS: u8 = 0x52;
const IMPLEMENTATION_VERSION: u8 = 0x55;

/// An association request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AssociateRq {
    /// Bit 0 stands for the only version there is.
    pub(super) version: u16,
    pub(super) called: [u8; 16],
    pub(super) calling: [u8; 16],
    pub(super) application_context: Option<Uid>,
    pub(super) contexts: Vec<Proposed>,
    /// The longest data unit that the requestor takes; 0 is any.
    pub(super) max_pdu: u32,
}

/// A presentation context that is proposed. What is no UID in it is left out: it can mean nothing here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) id: u8,
    pub(super) abstract_syntax: Option<Uid>,
    pub(super) transfer_syntaxes: Vec<Uid>,
}

/// The acceptance of an association.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AssociateAc {
    pub(super) called: [u8; 16],
    pub(super) calling: [u8; 16],
    pub(super) contexts: Vec<Answered>,
    /// The longest data unit that the acceptor takes; 0 is any.
    pub(super) max_pdu: u32,
}

/// What becomes of a proposed presentation context.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub(super) id: u8,
    /// PS3.8 table 9-18: 0 is acceptance.
    pub(super) result: u8,
    pub(super) transfer_syntax: Option<Uid>,
}

impl AssociateRq {
    /// Reads what follows the header. Items that are not known are passed over, as PS3.8 §9.3.1 wants it.
    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let (Fixed { version, called, calling }, items) = fixed(body)?;
        let mut request =
            Self { version, called, calling, application_context: None, contexts: Vec::new(), max_pdu: 0 };
        for item in Items(items) {
            let (kind, value) = item?;
            match kind {
                APPLICATION_CONTEXT => request.application_context = uid(value),
                PROPOSED_CONTEXT => request.contexts.push(Proposed::decode(value)?),
                USER_INFORMATION => request.max_pdu = max_pdu(value)?,
                _ => {}
            }
        }
        let mut seen = [false; 256];
        let is_odd = |context: &Proposed| context.id % 2 == 1;
        let is_new = |context: &Proposed| !core::mem::replace(&mut seen[usize::from(context.id)], true);
        if !request.contexts.iter().all(is_odd) || !request.contexts.iter().all(is_new) {
            return Err(Malformed);
        }
        Ok(request)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = fixed_of(self.version, &self.called, &self.calling);
        let application_context = self.application_context.map(|uid| uid.as_str().to_owned()).unwrap_or_default();
        item(&mut body, APPLICATION_CONTEXT, application_context.as_bytes());
        for Proposed { id, abstract_syntax, transfer_syntaxes } in &self.contexts {
            let mut context = vec![*id, 0, 0, 0];
            if let Some(uid) = abstract_syntax {
                item(&mut context, ABSTRACT_SYNTAX, uid.as_str().as_bytes());
            }
            for uid in transfer_syntaxes {
                item(&mut context, TRANSFER_SYNTAX, uid.as_str().as_bytes());
            }
            item(&mut body, PROPOSED_CONTEXT, &context);
        }
        user_information(&mut body, self.max_pdu);
        unit(ASSOCIATE_RQ, &body)
    }
}

impl Proposed {
    fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (head, items) = value.split_at_checked(4).ok_or(Malformed)?;
        let mut context = Self { id: head[0], abstract_syntax: None, transfer_syntaxes: Vec::new() };
        for item in Items(items) {
            match item? {
                (ABSTRACT_SYNTAX, value) => context.abstract_syntax = uid(value),
                (TRANSFER_SYNTAX, value) => context.transfer_syntaxes.extend(uid(value)),
                _ => {}
            }
        }
        Ok(context)
    }
}

impl AssociateAc {
    pub(super) fn decode(body: &[u8]) -> Result<Self, Malformed> {
        let (Fixed { called, calling, .. }, items) = fixed(body)?;
        let mut answer = Self { called, calling, contexts: Vec::new(), max_pdu: 0 };
        for item in Items(items) {
            match item? {
                (ANSWERED_CONTEXT, value) => answer.contexts.push(Answered::decode(value)?),
                (USER_INFORMATION, value) => answer.max_pdu = max_pdu(value)?,
                _ => {}
            }
        }
        Ok(answer)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = fixed_of(1, &self.called, &self.calling);
        item(&mut body, APPLICATION_CONTEXT, uids::DICOM_APPLICATION_CONTEXT.as_bytes());
        for Answered { id, result, transfer_syntax } in &self.contexts {
            let mut context = vec![*id, 0, *result, 0];
            // A refused context has one too, which means nothing (PS3.8 table 9-18).
            let uid = transfer_syntax.as_ref().map_or(uids::IMPLICIT_VR_LITTLE_ENDIAN, |uid| uid.as_str());
            item(&mut context, TRANSFER_SYNTAX, uid.as_bytes());
            item(&mut body, ANSWERED_CONTEXT, &context);
        }
        user_information(&mut body, self.max_pdu);
        unit(ASSOCIATE_AC, &body)
    }
}

impl Answered {
    fn decode(value: &[u8]) -> Result<Self, Malformed> {
        let (head, items) = value.split_at_checked(4).ok_or(Malformed)?;
        let mut context = Self { id: head[0], result: head[2], transfer_syntax: None };
        for item in Items(items) {
            if let (TRANSFER_SYNTAX, value) = item? {
                context.transfer_syntax = uid(value);
            }
        }
        Ok(context)
    }
}

/// The fields that requests and acceptances begin with.
struct Fixed {
    version: u16,
    called: [u8; 16],
    calling: [u8; 16],
}

/// Reads them, and gives the items behind.
fn fixed(body: &[u8]) -> Result<(Fixed, &[u8]), Malformed> {
    let (fixed, items) = body.split_at_checked(68).ok_or(Malformed)?;
    let (mut called, mut calling) = ([0; 16], [0; 16]);
    called.copy_from_slice(&fixed[4..20]);
    calling.copy_from_slice(&fixed[20..36]);
    Ok((Fixed { version: u16::from_be_bytes([fixed[0], fixed[1]]), called, calling }, items))
}

fn fixed_of(version: u16, called: &[u8; 16], calling: &[u8; 16]) -> Vec<u8> {
    [&version.to_be_bytes()[..], &[0, 0], called, calling, &[0; 32]].concat()
}

fn max_pdu(user_information: &[u8]) -> Result<u32, Malformed> {
    let mut most = 0;
    for item in Items(user_information) {
        if let (MAXIMUM_LENGTH, value) = item? {
            most = u32::from_be_bytes(value.try_into().map_err(|_| Malformed)?);
        }
    }
    Ok(most)
}

fn user_information(to: &mut Vec<u8>, max_pdu: u32) {
    let mut value = Vec::new();
    item(&mut value, MAXIMUM_LENGTH, &max_pdu.to_be_bytes());
    item(&mut value, IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID.as_bytes());
    item(&mut value, IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME.as_bytes());
    item(to, USER_INFORMATION, &value);
}

fn item(to: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let len = u16::try_from(value.len()).expect("a context has a handful of UIDs, and each of them 64 characters");
    to.extend([kind, 0]);
    to.extend(len.to_be_bytes());
    to.extend(value);
}

fn unit(kind: u8, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(body.len()).expect("128 contexts of a handful of UIDs");
    [&[kind, 0], &len.to_be_bytes()[..], body].concat()
}

/// Type, an unused byte, length, value; and the next.
struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = Result<(u8, &'a [u8]), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let Some((&[kind, _, high, low], rest)) = self.0.split_first_chunk() else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        let Some((value, rest)) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low]))) else {
            self.0 = &[];
            return Some(Err(Malformed));
        };
        self.0 = rest;
        Some(Ok((kind, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> AssociateRq {
        let uid = |text| Uid::new(text).unwrap();
        AssociateRq {
            version: 1,
            called: *b"CALLED          ",
            calling: *b"CALLING         ",
            application_context: Some(uid(uids::DICOM_APPLICATION_CONTEXT)),
            contexts: vec![
                Proposed { id: 1, abstract_syntax: Some(uid("1.2")), transfer_syntaxes: vec![uid("1.3"), uid("1.4")] },
                Proposed { id: 255, abstract_syntax: None, transfer_syntaxes: Vec::new() },
            ],
            max_pdu: 16_384,
        }
    }

    #[test]
    fn units_are_read_as_they_were_written() {
        assert_eq!(AssociateRq::decode(&request().encode()[6..]), Ok(request()));
        let answer = AssociateAc {
            called: *b"CALLED          ",
            calling: *b"CALLING         ",
            contexts: vec![Answered { id: 7, result: 4, transfer_syntax: Some(Uid::new("1.2.3").unwrap()) }],
            max_pdu: 0,
        };
        assert_eq!(AssociateAc::decode(&answer.encode()[6..]), Ok(answer));
    }

    #[test]
    fn uids_may_be_padded_with_nul_and_spaces() {
        let read = |padded: &[u8]| {
            let context = [&[1, 0, 0, 0, ABSTRACT_SYNTAX, 0, 0, padded.len() as u8], padded].concat();
            Proposed::decode(&context).unwrap().abstract_syntax
        };
        for padded in [&b"1.2"[..], b"1.2\0", b"1.2 ", b"1.2\0 \0 ", b" 1.2\0  ", b"\0 1.2 \0"] {
            assert_eq!(read(padded), Some(Uid::new("1.2").unwrap()), "{padded:?}");
        }
        assert_eq!((read(b"\0\0 "), read(b"1.2\xff")), (None, None));
    }

    #[test]
    fn a_request_cut_off_anywhere_is_refused_or_shorter() {
        let bytes = request().encode();
        for len in 0..bytes.len() - 6 {
            if let Ok(shorter) = AssociateRq::decode(&bytes[6..6 + len]) {
                assert_ne!(shorter, request());
            }
        }
    }

    #[test]
    fn numbers_of_contexts_are_odd_and_differ() {
        for ids in [[1, 1], [1, 2], [0, 1]] {
            let mut wrong = request();
            (wrong.contexts[0].id, wrong.contexts[1].id) = (ids[0], ids[1]);
            assert_eq!(AssociateRq::decode(&wrong.encode()[6..]), Err(Malformed));
        }
    }

    #[test]
    fn items_that_nobody_knows_are_passed_over() {
        let mut bytes = request().encode()[6..].to_vec();
        item(&mut bytes, 0x77, b"of a later edition");
        assert_eq!(AssociateRq::decode(&bytes), Ok(request()));
    }
}
