//! `audit`: who opened which study, and who was refused: the receipts, gone through from the first to the last.

use std::collections::BTreeMap;

use clap::Args;
use clavicle_command::said::many;
use clavicle_ledger::block::Header;
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::receipt::{Closed, End, Entry, Opened, Opening, ReceiptClaim, Stated, Tip};
use clavicle_ledger::source::KeyRole;
use clavicle_ledger::state::{ReadError, ReadRows as _, StateKey};
use clavicle_ledger::time::Timestamp;
use clavicle_letters::name::quoted;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::studies_named::parse_day;
use super::{Command, Operation, short};
use crate::answer::{Answer, Failure, Refusing};
use crate::service::Service;
use crate::store::{Snapshot, StoreError};

/// The most lines of an audit, the newest.
const MAX_LISTED: usize = 5_000;

/// List who opened which study and who was refused, and verify the receipts of it: signatures, chains, anchors; exits with 0 only if all of them hold
#[derive(Clone, Debug, Args, Serialize, Deserialize)]
pub struct Audit {
    /// The study: how its id begins; all without it
    #[arg(long)]
    pub study: Option<String>,
    /// List from this day on: 2016-01-31
    #[arg(long, value_name = "DAY")]
    pub since: Option<String>,
}

/// The receipts, and whether they hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditedReceipts {
    /// Receipts that were gone through: all of the studies asked for that are kept.
    pub receipts: u64,
    /// Of these, accesses that began.
    pub opened: u64,
    /// Of those, signed by both sides.
    pub countersigned: u64,
    /// Refusals with a receipt.
    pub refused: u64,
    /// Refusals that were only counted.
    pub unlisted: u64,
    /// Receipts in an anchor that was executed.
    pub anchored: u64,
    /// What does not hold, in a sentence each.
    pub faults: Vec<String>,
    /// The receipts from the day asked for on, study by study: the last ones.
    pub rows: Vec<AuditRow>,
    /// How many there were before these that are not listed.
    pub left_out: u64,
}

/// One receipt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The study.
    pub study: String,
    /// Its place among the study's receipts.
    pub sequence: u64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What happened: opened, closed, refused or revoked.
    pub what: String,
    /// The same in a sentence.
    pub sentence: String,
    /// The key of the connection.
    pub key: Option<String>,
    /// The grant it was about.
    pub grant: Option<String>,
    /// Who acted, as they said.
    pub actor: Option<String>,
    /// What for (HL7 PurposeOfUse).
    pub purpose: Option<String>,
    /// Granted from an emergency card.
    pub emergency: bool,
    /// Whether the other side has signed it; none where nobody is to.
    pub countersigned: Option<bool>,
    /// The height at which it was anchored.
    pub anchored_at: Option<u64>,
}

/// Why there is no audit.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] ReadError<StoreError>),
    /// No such day.
    #[error("a day is written like 2016-01-31")]
    Day,
    /// No such study.
    #[error("no study whose id begins with {0:?} has receipts")]
    NoStudy(String),
}

impl Refusing for AuditError {
    fn code(&self) -> &str {
        match self {
            Self::Day => "day",
            Self::NoStudy(_) => "study",
            Self::Store(_) | Self::State(_) => "store",
        }
    }
}

impl Operation for Audit {
    const WORD: &'static str = "audit";

    type On = Service;
    type Answer = AuditedReceipts;
    type Error = AuditError;

    /// Goes through the receipts: whether they are a chain, are signed, and are in the anchors that the ledger has.
    fn work(self, service: &Service) -> Result<AuditedReceipts, AuditError> {
        let since = match &self.since {
            None => String::new(),
            Some(day) => {
                let (year, month, day) = parse_day(day).ok_or(AuditError::Day)?.parts();
                format!("{year:04}-{month:02}-{day:02}")
            }
        };
        let begin = self.study.as_deref().map(|begin| begin.trim().to_lowercase()).unwrap_or_default();
        let (mut audit, mut any, snapshot) = (AuditedReceipts::default(), false, service.store.snapshot()?);
        for (study, _) in service.records.receipts.studies()? {
            if study.to_string().starts_with(&begin) {
                any = true;
                audit_study(service, &snapshot, study, &since, &mut audit)?;
            }
        }
        match &self.study {
            Some(begin) if !any => Err(AuditError::NoStudy(begin.clone())),
            _ => {
                audit.trim();
                Ok(audit)
            }
        }
    }
}

impl Command for Audit {
    type Arguments = Self;

    fn request(arguments: &Self) -> Result<Self, Failure> {
        Ok(arguments.clone())
    }

    fn say(_: &Self, audit: AuditedReceipts) -> Result<Answer, Failure> {
        let faulty = match audit.faults.len() {
            0 => None,
            1 => Some("a run of receipts does not hold: keep this folder as it is, and look into it".to_owned()),
            more => Some(format!("{more} runs of receipts do not hold: keep this folder as it is, and look into it")),
        };
        Failure::unless_all(faulty, "audit", Answer { text: audit.lines(), json: json!(audit) })
    }
}

fn audit_study(
    service: &Service,
    snapshot: &Snapshot,
    study: StudyId,
    since: &str,
    audit: &mut AuditedReceipts,
) -> Result<(), AuditError> {
    let believed = |header: &Header| {
        let own = service.store.header(header.height).ok().flatten();
        own.is_some_and(|own| own == *header)
    };
    let (mut from, mut tip) = (0, None);
    loop {
        let statement = service.records.receipts.statement(study, from, |hash| service.store.inclusion(hash))?;
        let Some(first) = statement.receipts.first() else { break };
        // What is not kept any more is before the first.
        let before = tip.unwrap_or_else(|| Tip::before(&first.receipt.receipt));
        let signers = statement.receipts.iter().map(|stated| stated.receipt.receipt.signer);
        let keys = own_keys(service, snapshot, signers)?;
        let verified = statement.verify(&service.member.chain, (service.member.source, study), before, &keys, believed);
        let last = statement.receipts.last().map_or(from, |last| last.receipt.receipt.sequence);
        tip = match verified {
            Ok(tip) => Some(tip),
            Err(error) => {
                let id = study.to_string();
                audit.faults.push(format!("study {}, receipts {from} to {last}: {error}", &id[..12]));
                None
            }
        };
        let heights: BTreeMap<u64, u64> =
            statement.anchors.iter().map(|anchor| (anchor.sequence, anchor.header.header.height)).collect();
        for stated in &statement.receipts {
            audit.count(stated);
            if stated.receipt.receipt.at.day().to_string().as_str() >= since {
                let height = stated.anchored.as_ref().and_then(|at| heights.get(&at.anchor).copied());
                audit.list(stated, height);
            }
        }
        from = last.saturating_add(1);
        if !statement.more {
            break;
        }
    }
    Ok(())
}

/// Those of these keys that are, or were, this source's operational key.
fn own_keys(
    service: &Service,
    snapshot: &Snapshot,
    signers: impl Iterator<Item = Key>,
) -> Result<Vec<Key>, AuditError> {
    let mut keys = vec![service.member.operational.public()];
    for key in signers {
        if keys.contains(&key) {
            continue;
        }
        let row: Option<clavicle_ledger::source::KeyUse> = snapshot.row(&StateKey::KeyUse(key))?;
        if row.is_some_and(|row| row.source == service.member.source && row.role == KeyRole::Operational) {
            keys.push(key);
        }
    }
    Ok(keys)
}

impl AuditedReceipts {
    fn count(&mut self, Stated { receipt, anchored }: &Stated) {
        self.receipts += 1;
        self.anchored += u64::from(anchored.is_some());
        self.unlisted = self.unlisted.saturating_add(receipt.receipt.unlisted);
        self.countersigned += u64::from(receipt.countersignature.is_some());
        match &receipt.receipt.entry {
            Entry::Opened(_) | Entry::Opening(_) | Entry::EmergencyOpening(..) => self.opened += 1,
            Entry::Refused(_) => self.refused += 1,
            Entry::Closed(_) | Entry::RevocationSeen { .. } | Entry::Alerted { .. } | Entry::Restored { .. } => {}
        }
    }

    fn list(&mut self, stated: &Stated, height: Option<u64>) {
        // Twice as many at most are kept at a time, so that each is moved once.
        if self.rows.len() >= MAX_LISTED * 2 {
            self.trim();
        }
        self.rows.push(AuditRow::of(stated, height));
    }

    fn trim(&mut self) {
        let over = self.rows.len().saturating_sub(MAX_LISTED);
        self.rows.drain(..over);
        self.left_out = self.left_out.saturating_add(u64::try_from(over).unwrap_or(u64::MAX));
    }

    /// The audit in lines for a person.
    fn lines(&self) -> String {
        let mut lines = Vec::new();
        let mut study = "";
        for row in &self.rows {
            if row.study != study {
                study = &row.study;
                lines.push(format!("study {study}"));
            }
            let anchored =
                row.anchored_at.map_or("not anchored yet".to_owned(), |at| format!("anchored at height {at}"));
            let signed = match row.countersigned {
                Some(true) => "signed by both; ",
                Some(false) => "signed by this hospital alone; ",
                None => "",
            };
            let AuditRow { sequence, at_ms, sentence, .. } = row;
            lines.push(format!("  {sequence:>4}  {}  {sentence}; {signed}{anchored}", Timestamp(*at_ms)));
        }
        if self.left_out > 0 {
            lines.push(format!("{} earlier ones are not listed: name a study, or a day", self.left_out));
        }
        let Self { receipts, opened, countersigned, refused, unlisted, anchored, faults, .. } = self;
        lines.push(format!(
            "{}: {}, {countersigned} signed by both sides; {}, and {unlisted} more counted; {anchored} anchored",
            many(*receipts, "receipt", "receipts"),
            many(*opened, "access", "accesses"),
            many(*refused, "refusal", "refusals")
        ));
        lines.extend(faults.iter().map(|fault| format!("does not hold: {fault}")));
        if faults.is_empty() {
            lines.push("every signature, chain and anchor holds".to_owned());
        }
        lines.join("\n")
    }
}

impl AuditRow {
    fn of(Stated { receipt, .. }: &Stated, anchored_at: Option<u64>) -> Self {
        let said = &receipt.receipt;
        let mut row = Self {
            study: said.study.to_string(),
            sequence: said.sequence,
            at_ms: said.at.0,
            what: String::new(),
            sentence: String::new(),
            key: None,
            grant: None,
            actor: None,
            purpose: None,
            emergency: false,
            countersigned: said.countersigner().map(|_| receipt.countersignature.is_some()),
            anchored_at,
        };
        match &said.entry {
            Entry::Opened(opened) => row.opened(opened),
            Entry::Opening(opening) => row.opening(opening),
            Entry::EmergencyOpening(opening, stated) => {
                row.opening(opening);
                let second = stated
                    .second
                    .as_ref()
                    .map(|second| format!(", with {}", quoted(second.name.as_str())))
                    .unwrap_or_default();
                // It is in their words, which must not read as ours.
                let reason = quoted(stated.reason.as_str());
                row.sentence = format!("{}{second}; the reason given: {reason}", row.sentence);
            }
            Entry::Alerted { stage, digest: _ } => {
                "alerted".clone_into(&mut row.what);
                row.sentence = format!("an alert about a finding was {}", stage.code());
            }
            Entry::Restored { copied } => {
                "restored".clone_into(&mut row.what);
                row.sentence = format!(
                    "the receipts were put back from a copy of {copied}: what was written since may be missing"
                );
            }
            Entry::Closed(closed) => row.closed(*closed),
            Entry::Refused(refused) => {
                "refused".clone_into(&mut row.what);
                row.key = Some(refused.remote.to_string());
                row.grant = refused.grant.map(|grant| grant.to_string());
                row.sentence = format!("refused {}: {}", short(&refused.remote.to_string()), refused.reason);
            }
            Entry::RevocationSeen { grant } => {
                "revoked".clone_into(&mut row.what);
                row.grant = Some(grant.to_string());
                row.sentence = format!("the revocation of grant {} was seen", short(&grant.to_string()));
            }
        }
        row
    }

    fn opening(&mut self, Opening { opened, number, resumes, member, credential: _ }: &Opening) {
        self.opened(opened);
        let which = match (number, resumes) {
            (0, _) => String::new(),
            (number, None) => format!(", opening {number}"),
            (number, Some(before)) => format!(", opening {number} gone on with, which began with {before}"),
        };
        let member = member.map(|key| format!(", signed by {}", short(&key.to_string()))).unwrap_or_default();
        self.sentence = format!("{}{which}{member}", self.sentence);
    }

    fn opened(&mut self, opened: &Opened) {
        let Opened { remote, claim, actor, revision, root: _, hello: _ } = opened;
        "opened".clone_into(&mut self.what);
        self.key = Some(remote.to_string());
        self.actor = actor.as_ref().map(|actor| actor.name.to_string());
        // What it called itself: nobody has checked that.
        let who = self.actor.as_deref().map_or_else(|| short(&remote.to_string()).to_owned(), quoted);
        self.sentence = match claim {
            ReceiptClaim::Holder => format!("opened by its holder, revision {revision}"),
            ReceiptClaim::Grant { grant, purpose, emergency } => {
                self.grant = Some(grant.to_string());
                self.purpose = Some(purpose.code().to_owned());
                self.emergency = *emergency;
                let emergency = if *emergency { ", an emergency" } else { "" };
                let (grant, purpose) = (grant.to_string(), purpose.code());
                format!("opened by {who} on grant {} for {purpose}{emergency}, revision {revision}", short(&grant))
            }
        };
    }

    fn closed(&mut self, Closed { opened, items, bytes, end }: Closed) {
        "closed".clone_into(&mut self.what);
        let how = match end {
            End::Finished => "finished",
            End::ConsentEnded => "cut: consent ended",
            End::Revised => "cut: the study was revised",
            End::Broken => "broke off",
        };
        self.sentence =
            format!("what began with {opened} {how}: {}, {:.1} MB", many(items, "item", "items"), bytes as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It said that receipts do not hold, and exited with 0.
    #[test]
    fn receipts_that_do_not_hold_are_a_failure() {
        let said = |faults: &[&str]| {
            let faults = faults.iter().map(|fault| (*fault).to_owned()).collect();
            Audit::say(&Audit { study: None, since: None }, AuditedReceipts { faults, ..AuditedReceipts::default() })
        };
        assert!(said(&[]).unwrap().text.ends_with("every signature, chain and anchor holds"));
        for faults in [&["study 6e85, receipts 0 to 1: a signature"][..], &["one", "another"]] {
            let failure = said(faults).unwrap_err();
            assert_eq!((failure.code(), failure.exit_code()), ("audit", 1), "{failure}");
            assert!(failure.to_string().contains("not hold") && failure.found().unwrap().contains(faults[0]));
            assert!(!failure.found().unwrap().contains("every signature"));
            assert_eq!(failure.to_json()["faults"], json!(faults));
        }
    }
}
