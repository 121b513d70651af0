//! Who looked: receipts in lines for a person, and for programs.

use clavicle_command::said::many;
use clavicle_ledger::receipt::{Closed, End, Entry, Opened, Opening, ReceiptClaim, Refused};
use clavicle_letters::credential::Role;
use clavicle_letters::name::quoted;
use clavicle_wallet::patient::Look;
use serde_json::{Value, json};

use super::terms::{moment, purpose_said};
use super::wallet::{named, short, verdict_row};

/// A receipt in a line.
pub(super) fn line(look: &Look) -> String {
    let receipt = &look.receipt.receipt;
    let unlisted = match receipt.unlisted {
        0 => String::new(),
        more => format!("; {more} more were refused before"),
    };
    let anchored = look.anchored_at.map_or("not anchored yet".to_owned(), |height| format!("anchored at {height}"));
    let signed = match (receipt.countersigner(), look.receipt.countersignature) {
        (None, _) => "",
        (Some(_), Some(_)) => "; signed by both",
        (Some(_), None) => "; signed by the hospital alone",
    };
    format!("  {:>4}  {}  {}{signed}; {anchored}{unlisted}", receipt.sequence, moment(receipt.at), what(look))
}

/// What happened.
fn what(look: &Look) -> String {
    let name = |key: String| match &look.name {
        Some(name) => named(Some(name), look.verdict.as_ref()),
        None => format!("the key {}", short(&key)),
    };
    match &look.receipt.receipt.entry {
        Entry::Opened(opened) => opened_by(opened, look, name),
        Entry::Opening(opening) => format!("{}{}", opened_by(&opening.opened, look, name), which(opening)),
        Entry::EmergencyOpening(opening, stated) => {
            let second = stated
                .second
                .as_ref()
                .map(|second| format!(" and {}", quoted(second.name.as_str())))
                .unwrap_or_default();
            let (who, which) = (opened_by(&opening.opened, look, name), which(opening));
            // It is in their words, which must not read as ours.
            format!("{who}{second}{which}; the reason they gave: {}", quoted(stated.reason.as_str()))
        }
        Entry::Alerted { stage, digest: _ } => format!("an alert about a finding in it was {}", stage.code()),
        Entry::Restored { copied } => {
            format!(
                "the hospital put its receipts back from a copy of {copied}: what it wrote since then may be missing"
            )
        }
        Entry::Closed(Closed { opened, items, bytes, end }) => {
            let end = match end {
                End::Finished => "finished",
                End::ConsentEnded => "was cut off, since consent ended",
                End::Revised => "was cut off, since the study was revised",
                End::Broken => "broke off",
            };
            format!("what began with {opened} {end}: {}, {:.1} MB", many(*items, "item", "items"), *bytes as f64 / 1e6)
        }
        Entry::Refused(Refused { remote, reason, .. }) => {
            format!("{} was refused: {reason}", name(remote.to_string()))
        }
        Entry::RevocationSeen { grant } => {
            format!("the hospital saw the revocation of grant {}", short(&grant.to_string()))
        }
    }
}

/// Who opened it.
fn opened_by(opened: &Opened, look: &Look, name: impl Fn(String) -> String) -> String {
    let Opened { remote, claim, actor, .. } = opened;
    let who = match claim {
        ReceiptClaim::Holder => "you opened it".to_owned(),
        ReceiptClaim::Grant { purpose, emergency, .. } => {
            let emergency = if *emergency { ", in an emergency" } else { "" };
            format!("{} opened it for {}{emergency}", name(remote.to_string()), purpose_said(*purpose))
        }
    };
    // Whoever opens something says who they are once more.
    let other = actor.as_ref().map(|actor| actor.name.as_str()).filter(|called| look.name.as_deref() != Some(called));
    let said = match look.member {
        Some(role) => format!("a member, by their word: {}", role.word()),
        None => "unverified".to_owned(),
    };
    other.map_or_else(|| who.clone(), |called| format!("{who}, as {} ({said})", quoted(called)))
}

/// Which opening it is, where they are counted.
fn which(opening: &Opening) -> String {
    match (opening.number, opening.resumes) {
        (0, _) => String::new(),
        (number, None) => format!(", opening {number}"),
        (number, Some(before)) => format!(", going on with opening {number}, which began with {before}"),
    }
}

/// A receipt for programs.
pub(super) fn row(look: &Look) -> Value {
    let receipt = &look.receipt.receipt;
    let (kind, key, actor, purpose) = match &receipt.entry {
        Entry::Opened(_) | Entry::Opening(_) | Entry::EmergencyOpening(..) => {
            let opened = receipt.entry.opened();
            let purpose = opened.and_then(|opened| match opened.claim {
                ReceiptClaim::Holder => None,
                ReceiptClaim::Grant { purpose, .. } => Some(purpose.code()),
            });
            let actor = opened.and_then(|opened| opened.actor.as_ref()).map(|actor| actor.name.to_string());
            ("opened", opened.map(|opened| opened.remote), actor, purpose)
        }
        Entry::Alerted { .. } => ("alerted", None, None, None),
        Entry::Restored { .. } => ("restored", None, None, None),
        Entry::Closed(_) => ("closed", None, None, None),
        Entry::Refused(refused) => ("refused", Some(refused.remote), None, None),
        Entry::RevocationSeen { .. } => ("revoked", None, None, None),
    };
    let opening = receipt.entry.opening();
    json!({
        "sequence": receipt.sequence, "at_ms": receipt.at.0, "what": kind, "sentence": what(look),
        "key": key.map(|key| key.to_string()), "grant": receipt.grant().map(|grant| grant.to_string()),
        "name": look.name, "verdict": verdict_row(look.verdict.as_ref()), "actor": actor, "actor_role": look.member.map(Role::word), "purpose": purpose, "unlisted": receipt.unlisted,
        "countersigned": receipt.countersigner().map(|_| look.receipt.countersignature.is_some()),
        "anchored_at": look.anchored_at, "opening": opening.map(|opening| opening.number),
        "resumes": opening.and_then(|opening| opening.resumes),
        "member": opening.and_then(|opening| opening.member).map(|key| key.to_string()),
        "credential": opening.and_then(|opening| opening.credential).map(|digest| digest.to_string()),
    })
}
