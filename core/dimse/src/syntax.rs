//! Syntaxes: what is accepted of the presentation contexts that a peer proposes.

use clavicle_manifest::Uid;
use dicom_dictionary_std::uids;

use super::associate::{Answered, Proposed};

/// A presentation context that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) id: u8,
    pub(super) abstract_syntax: Uid,
    pub(super) transfer_syntax: Uid,
}

/// Results of negotiation (PS3.8 table 9-18).
pub(super) const ACCEPTANCE: u8 = 0;
const ABSTRACT_SYNTAX_NOT_SUPPORTED: u8 = 3;
const TRANSFER_SYNTAXES_NOT_SUPPORTED: u8 = 4;

/// Verification: C-ECHO.
pub(super) fn is_verification(abstract_syntax: &Uid) -> bool {
    abstract_syntax.as_str() == uids::VERIFICATION
}

/// Whether objects of this class can be stored. Of the standard's classes, those that its storage service has (PS3.4 §B.5, §GG.3); of others,
/// which only their makers know, all.
pub(super) fn is_storage(abstract_syntax: &Uid) -> bool {
    let uid = abstract_syntax.as_str();
    if !uid.starts_with("1.2.840.10008.") {
        return true;
    }
    // Services that stand among the classes they are about.
    let others = [
        uids::PROTOCOL_APPROVAL_INFORMATION_MODEL_FIND,
        uids::PROTOCOL_APPROVAL_INFORMATION_MODEL_MOVE,
        uids::PROTOCOL_APPROVAL_INFORMATION_MODEL_GET,
        uids::INVENTORY_FIND,
        uids::INVENTORY_MOVE,
        uids::INVENTORY_GET,
        uids::INVENTORY_CREATION,
        uids::REPOSITORY_QUERY,
    ];
    #[expect(deprecated, reason = "retired, and still in archives")]
    let elsewhere = [
        uids::STORED_PRINT_STORAGE,
        uids::HARDCOPY_GRAYSCALE_IMAGE_STORAGE,
        uids::HARDCOPY_COLOR_IMAGE_STORAGE,
        uids::RT_BEAMS_DELIVERY_INSTRUCTION_STORAGE_TRIAL,
        uids::RT_BEAMS_DELIVERY_INSTRUCTION_STORAGE,
        uids::RT_BRACHY_APPLICATION_SETUP_DELIVERY_INSTRUCTION_STORAGE,
        uids::HANGING_PROTOCOL_STORAGE,
        uids::COLOR_PALETTE_STORAGE,
        uids::GENERIC_IMPLANT_TEMPLATE_STORAGE,
        uids::IMPLANT_ASSEMBLY_TEMPLATE_STORAGE,
        uids::IMPLANT_TEMPLATE_GROUP_STORAGE,
    ];
    // The first of these is where new classes get their numbers, so that those of later editions are taken as well.
    uid.starts_with("1.2.840.10008.5.1.4.1.1.") && !others.contains(&uid) || elsewhere.contains(&uid)
}

/// Objects whose pixels are elsewhere, at an address: what is not in the bytes cannot be vouched for.
fn is_by_reference(transfer_syntax: &Uid) -> bool {
    [
        uids::JPIP_REFERENCED,
        uids::JPIP_REFERENCED_DEFLATE,
        uids::JPIPHTJ2K_REFERENCED,
        uids::JPIPHTJ2K_REFERENCED_DEFLATE,
    ]
    .contains(&transfer_syntax.as_str())
}

/// The transfer syntax of a context. A sender lists several when it will convert into any; what its files are in it does not
/// say, but most list that first. Implicit little endian has to be in every list, and so says nothing when it comes first; nor does big
/// endian, which is retired. Explicit little endian, which says of each element what it is, goes before these.
fn chosen(transfer_syntaxes: &[Uid]) -> Option<Uid> {
    let usable = || transfer_syntaxes.iter().filter(|uid| !is_by_reference(uid));
    let first = *usable().next()?;
    #[expect(deprecated, reason = "retired, and still proposed")]
    let gives_way = [uids::IMPLICIT_VR_LITTLE_ENDIAN, uids::EXPLICIT_VR_BIG_ENDIAN].contains(&first.as_str());
    let explicit = usable().find(|uid| uid.as_str() == uids::EXPLICIT_VR_LITTLE_ENDIAN);
    Some(explicit.filter(|_| gives_way).copied().unwrap_or(first))
}

/// Answers what was proposed, in its order.
pub(super) fn negotiate(proposed: &[Proposed]) -> (Vec<Answered>, Vec<Context>) {
    let mut contexts = Vec::new();
    let answers = proposed.iter().map(|Proposed { id, abstract_syntax, transfer_syntaxes }| {
        let known = abstract_syntax.filter(|uid| is_verification(uid) || is_storage(uid));
        let (result, transfer_syntax) = match (known, chosen(transfer_syntaxes)) {
            (None, _) => (ABSTRACT_SYNTAX_NOT_SUPPORTED, None),
            (Some(_), None) => (TRANSFER_SYNTAXES_NOT_SUPPORTED, None),
            (Some(abstract_syntax), Some(transfer_syntax)) => {
                contexts.push(Context { id: *id, abstract_syntax, transfer_syntax });
                (ACCEPTANCE, Some(transfer_syntax))
            }
        };
        Answered { id: *id, result, transfer_syntax }
    });
    (answers.collect(), contexts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPLICIT: &str = uids::IMPLICIT_VR_LITTLE_ENDIAN;
    const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
    const BIG: &str = "1.2.840.10008.1.2.2";
    const DEFLATED: &str = uids::DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN;
    const LOSSLESS: &str = uids::JPEG_LOSSLESS_SV1;
    const BASELINE: &str = uids::JPEG_BASELINE8_BIT;

    fn uid(text: &str) -> Uid {
        Uid::new(text).unwrap()
    }

    #[test]
    fn the_senders_order_holds_but_for_what_says_nothing() {
        for (proposed, expected) in [
            (&[IMPLICIT, EXPLICIT][..], Some(EXPLICIT)),
            (&[IMPLICIT, EXPLICIT, DEFLATED, BIG], Some(EXPLICIT)),
            (&[IMPLICIT, EXPLICIT, BASELINE, LOSSLESS], Some(EXPLICIT)),
            (&[BIG, EXPLICIT, IMPLICIT], Some(EXPLICIT)),
            (&[LOSSLESS, EXPLICIT, IMPLICIT], Some(LOSSLESS)),
            (&[DEFLATED, EXPLICIT, IMPLICIT], Some(DEFLATED)),
            (&[EXPLICIT, BASELINE], Some(EXPLICIT)),
            (&[BASELINE], Some(BASELINE)),
            (&[IMPLICIT], Some(IMPLICIT)),
            (&[BIG], Some(BIG)),
            (&["1.3.46.670589.33.1.4.1"], Some("1.3.46.670589.33.1.4.1")),
            (&[uids::JPIP_REFERENCED, IMPLICIT], Some(IMPLICIT)),
            (&[uids::JPIP_REFERENCED], None),
            (&[], None),
        ] {
            let proposed: Vec<Uid> = proposed.iter().map(|text| uid(text)).collect();
            assert_eq!(chosen(&proposed), expected.map(uid), "{proposed:?}");
        }
    }

    #[test]
    fn what_the_standard_stores_is_stored_and_its_services_are_not() {
        for stored in [
            uids::CT_IMAGE_STORAGE,
            uids::TWELVE_LEAD_ECG_WAVEFORM_STORAGE,
            uids::RT_PLAN_STORAGE,
            uids::KEY_OBJECT_SELECTION_DOCUMENT_STORAGE,
            uids::ENCAPSULATED_PDF_STORAGE,
            uids::HANGING_PROTOCOL_STORAGE,
            "1.2.840.10008.5.1.4.1.1.9999.1",
            "1.3.12.2.1107.5.9.1",
        ] {
            assert!(is_storage(&uid(stored)), "{stored}");
        }
        for service in [
            uids::VERIFICATION,
            uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND,
            uids::MODALITY_WORKLIST_INFORMATION_MODEL_FIND,
            uids::MODALITY_PERFORMED_PROCEDURE_STEP,
            uids::STORAGE_COMMITMENT_PUSH_MODEL,
            uids::MEDIA_STORAGE_DIRECTORY_STORAGE,
            uids::UNIFIED_PROCEDURE_STEP_PUSH,
            uids::PROTOCOL_APPROVAL_INFORMATION_MODEL_FIND,
            uids::RT_CONVENTIONAL_MACHINE_VERIFICATION,
        ] {
            assert!(!is_storage(&uid(service)), "{service}");
        }
    }

    #[test]
    fn each_context_is_answered_and_refused_for_its_own_reason() {
        let proposed = |id, abstract_syntax, transfer_syntaxes: &[&str]| Proposed {
            id,
            abstract_syntax,
            transfer_syntaxes: transfer_syntaxes.iter().map(|text| uid(text)).collect(),
        };
        let ct = Some(uid(uids::CT_IMAGE_STORAGE));
        let find = Some(uid(uids::STUDY_ROOT_QUERY_RETRIEVE_INFORMATION_MODEL_FIND));
        let (answers, contexts) = negotiate(&[
            proposed(1, ct, &[LOSSLESS]),
            proposed(3, find, &[IMPLICIT]),
            proposed(5, ct, &[]),
            proposed(7, None, &[IMPLICIT]),
            proposed(9, ct, &[IMPLICIT]),
        ]);
        assert_eq!(answers.iter().map(|answer| answer.result).collect::<Vec<_>>(), [0, 3, 4, 3, 0]);
        let accepted: Vec<_> = contexts.iter().map(|context| (context.id, context.transfer_syntax.as_str())).collect();
        assert_eq!(accepted, [(1, LOSSLESS), (9, IMPLICIT)]);
    }
}
