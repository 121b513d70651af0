//! What a screen shows: no keys, no salts, no words.

use std::collections::BTreeMap;

use clavicle_ledger::id::{GrantId, SourceId, StudyId};
use clavicle_ledger::study::Standing;
use clavicle_ledger::terms::{PurposeOfUse, Terms};
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_letters::about::About;
use clavicle_letters::seal;
use clavicle_letters::verdict::Verdict;
use clavicle_network::transfer::Pace;
use clavicle_wallet::download::{Control, FetchProgress};
use clavicle_wallet::objection::Objection;
use clavicle_wallet::patient::{DeviceRow, Granted, OwnStudy, Patient, PendingRow, Planned};
use clavicle_wallet::recipient::{CopyState, LotRow, Recipient};
use clavicle_wallet::rows::{InSpiteOf, Noticed, Stage, Summary};
use clavicle_wallet::scope::Scope;
use clavicle_wallet::{Silence, WalletError};

use crate::command::InboxRead;
use crate::invitation::{AnswerRow, InvitationRow};
use crate::person::Person;
use crate::running::CommandId;
use crate::trouble::{Trouble, TroubleKind};

/// All that a screen shows of a wallet, as it is now. It is for eyes, and for no log.
#[derive(Clone, Default)]
pub struct State {
    /// Whose it is.
    pub person: Person,
    /// A patient's studies, the oldest first.
    pub studies: Vec<StudyRow>,
    /// The grants that a patient made, in the order in which they were.
    pub grants: Vec<GrantRow>,
    /// What a patient lets others fetch later, the earliest first: it is granted by [`BringIn`](crate::BringIn) when its time has come, and
    /// not without.
    pub planned: Vec<PlannedRow>,
    /// What a recipient was granted, the earliest first.
    pub received: Vec<ReceivedRow>,
    /// What a recipient is granted in lots, of which some may be still to come.
    pub lots: Vec<LotRow>,
    /// What the letters are that came to a recipient and that this version cannot read.
    pub unreadable: Vec<String>,
    /// The Invitations that a patient showed, the earliest first.
    pub invitations: Vec<InvitationRow>,
    /// The Invitations that a recipient answered, the earliest first.
    pub answers: Vec<AnswerRow>,
    /// What is pending against a patient: studies that a hospital was asked to give to another wallet. To be shown
    /// before all else.
    pub pending: Vec<PendingRow>,
    /// The studies that a hospital is giving to this wallet, and that are not its yet.
    pub recovering: Vec<StudyId>,
    /// How many studies are under words that were given up, and are still to move.
    pub to_move: usize,
    /// Whether new words were shown that are not in use yet.
    pub has_new_words: bool,
    /// The devices of a patient's words that were heard of: none while there is one. Those without a name are to be shown until they are named.
    pub devices: Vec<DeviceRow>,
    /// When it was found that this wallet is an older copy of itself, or that another has its number.
    pub older_copy: Option<Timestamp>,
    /// Whether it is time to ask the ledger about every study ([`AskStudies`](crate::AskStudies)).
    pub look_is_due: bool,
    /// The places of the three words that are to be told; nothing once they were. Until then nothing is protected: a
    /// lost device is a lost wallet.
    pub words_asked: Option<[u8; 3]>,
    /// What is under way, or waits for its turn.
    pub running: Vec<RunningRow>,
    /// Who does not answer, while what is under way waits for so many that it cannot become final.
    pub silence: Option<Silence>,
}

impl State {
    /// The one study whose id begins like this.
    ///
    /// # Errors
    /// [`Trouble`], when there is none, or more than one.
    pub fn study(&self, begin: &str) -> Result<&StudyRow, Trouble> {
        one(begin, self.studies.iter(), |row, begin| row.study.to_string().starts_with(begin))
    }

    /// The one that was granted on the study, or by the grant, whose id begins like this. Of several grants
    /// on one study the newest counts that the ledger bears out, or else the newest: a letter anybody can
    /// write.
    ///
    /// # Errors
    /// [`Trouble`], when there is none, or more than one.
    pub fn received(&self, begin: &str) -> Result<&ReceivedRow, Trouble> {
        let mut chosen = BTreeMap::<StudyId, (bool, GrantId)>::new();
        for row in &self.received {
            let is_good = row.objection.is_none();
            let best = chosen.entry(row.study).or_insert((is_good, row.grant));
            if is_good >= best.0 {
                *best = (is_good, row.grant);
            }
        }
        let is = |row: &ReceivedRow, begin: &str| {
            let is_chosen = chosen.get(&row.study).is_some_and(|(_, grant)| *grant == row.grant);
            row.grant.to_string().starts_with(begin) || is_chosen && row.study.to_string().starts_with(begin)
        };
        one(begin, self.received.iter(), is)
    }
}

/// The one of which `is`, given the beginning of a name, says that it is meant. Without a beginning none is.
fn one<'a, T>(begin: &str, all: impl Iterator<Item = &'a T>, is: impl Fn(&T, &str) -> bool) -> Result<&'a T, Trouble> {
    let begins = begin.trim().to_lowercase();
    let mut found: Vec<&T> = all.filter(|one| !begins.is_empty() && is(one, &begins)).collect();
    match (found.pop(), found.len()) {
        (Some(one), 0) => Ok(one),
        (None, _) => Err(WalletError::NoStudy(begin.to_owned()).into()),
        (Some(_), more) => {
            Err(WalletError::Ambiguous { begin: begin.to_owned(), count: more.saturating_add(1) }.into())
        }
    }
}

/// A study of a patient's.
#[derive(Clone, PartialEq, Eq)]
pub struct StudyRow {
    /// Which.
    pub study: StudyId,
    /// The hospital that made it.
    pub source: SourceId,
    /// What it is; nothing while its hospital has not told.
    pub summary: Option<Summary>,
    /// Who it is about, as its hospital told.
    pub about: Option<About>,
    /// The height at which it became the patient's, if it has.
    pub final_at: Option<Height>,
    /// Why its images are not to be used.
    pub objection: Option<Objection>,
    /// How they were used in spite of something.
    pub in_spite_of: Vec<InSpiteOf>,
}

/// A grant that a patient made.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantRow {
    /// Which.
    pub grant: GrantId,
    /// On which study.
    pub study: StudyId,
    /// To whom, in their own words.
    pub name: String,
    /// What stands beside that name: as it was granted to, and whether that credential's time is over since.
    pub verdict: Verdict,
    /// Until when.
    pub expires: Timestamp,
    /// What for.
    pub purpose: PurposeOfUse,
    /// All that was said of it.
    pub terms: Terms,
    /// Which series, where it is not all of the study.
    pub scope: Option<Scope>,
    /// The grant whose place it takes.
    pub replaces: Option<GrantId>,
    /// How far it is.
    pub stage: Stage,
    /// Whether it was revoked, and at which height that became final, if it has.
    pub revoked: Option<Option<Height>>,
    /// Whether the hospitals refused it, and it came into a block all the same: nobody was told of it.
    pub refused: bool,
    /// Whether it was not known to be final by the time until which it could be.
    pub late: bool,
}

/// A study that somebody is let fetch later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedRow {
    /// Which.
    pub study: StudyId,
    /// Whoever it is for, in their own words.
    pub name: String,
    /// When it is granted, by this device's clock.
    pub at: Timestamp,
    /// Until when it is granted at all, by the same clock.
    pub until: Timestamp,
}

impl PlannedRow {
    /// Whether its time is over: it was not granted, and is not any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.until
    }
}

/// What a recipient was granted.
#[derive(Clone, PartialEq, Eq)]
pub struct ReceivedRow {
    /// By which grant.
    pub grant: GrantId,
    /// Which study.
    pub study: StudyId,
    /// The hospital that has it.
    pub source: SourceId,
    /// Its Study Instance UID, by the granter's word.
    pub study_instance_uid: String,
    /// What the granter calls it.
    pub description: String,
    /// Who it is about, as the granter was told.
    pub about: Option<About>,
    /// From when.
    pub begins: Timestamp,
    /// Until when.
    pub expires: Timestamp,
    /// What for.
    pub purpose: PurposeOfUse,
    /// All that was said of it.
    pub terms: Terms,
    /// Which series, where it is not all of the study.
    pub scope: Option<Scope>,
    /// How often it was opened, as the hospital counts it.
    pub opened: u32,
    /// Why it is not to be used.
    pub objection: Option<Objection>,
    /// Whether a copy that was made is still of what there is.
    pub copy: Option<CopyState>,
    /// What the hospital wrote of it.
    pub told: Option<Noticed>,
    /// Whether the hospital says that the wrong person had it, and that it is another study by now.
    pub is_reissued: bool,
    /// How a copy was used in spite of something.
    pub in_spite_of: Vec<InSpiteOf>,
}

impl ReceivedRow {
    /// Why it need not be asked for: the ledger has just said that it is over, or nobody answers at all. `read` is what
    /// reading the inbox came to, if it came to anything.
    #[must_use]
    pub fn ended(&self, read: Option<&InboxRead>) -> Option<Trouble> {
        if read.is_some_and(|read| read.unknown.contains(&self.study)) {
            return Some(WalletError::NotOnLedger.into());
        }
        let error = match (self.objection, read.and_then(|read| read.not_asked.as_ref())) {
            (_, Some(trouble)) if trouble.kind == TroubleKind::Offline => return Some(trouble.clone()),
            (_, Some(_)) => return None,
            (Some(Objection::Standing(standing)), None) => WalletError::Standing(standing),
            (Some(Objection::GrantOver(at)), None) => WalletError::GrantOver(at),
            (Some(Objection::GrantGone { height }), None) => WalletError::GrantGone { height },
            _ => return None,
        };
        Some(error.into())
    }

    /// Whether a copy was suspended or withdrawn by the hospital.
    #[must_use]
    pub const fn standing(&self) -> Option<Standing> {
        match self.copy {
            Some(CopyState::NotToBeUsed(standing)) => Some(standing),
            _ => None,
        }
    }
}

/// Something that is under way.
#[derive(Clone, Debug)]
pub struct RunningRow {
    /// Its number.
    pub id: CommandId,
    /// What it is called.
    pub name: &'static str,
    /// Which study it is about, if it is one.
    pub study: Option<StudyId>,
    /// How many parts of it there are, and how many are done; none of none while that is not known.
    pub parts: (usize, usize),
    /// How many bytes came.
    pub bytes: u64,
    /// Whether it goes on.
    pub pace: Pace,
    /// What cancels it, and steers it where it is a fetch.
    pub control: Control,
}

impl RunningRow {
    pub(crate) fn of(id: CommandId, name: &'static str, study: Option<StudyId>, control: &Control) -> Self {
        let FetchProgress { all, items, bytes, .. } = control.progress().borrow().clone();
        Self { id, name, study, parts: (items, all), bytes, pace: control.pace(), control: control.clone() }
    }
}

impl StudyRow {
    /// A study, and nothing yet of what speaks against its use.
    #[must_use]
    pub fn of(own: &OwnStudy) -> Self {
        Self {
            study: own.id,
            source: own.held.source,
            summary: own.held.known.as_ref().map(|known| known.summary.clone()),
            about: None,
            final_at: own.held.final_at,
            objection: None,
            in_spite_of: Vec::new(),
        }
    }
}

impl GrantRow {
    /// A grant that was made.
    #[must_use]
    pub fn of(Granted { id, made, revoked }: &Granted) -> Self {
        Self {
            grant: *id,
            study: made.study,
            name: made.card.name.to_string(),
            verdict: made.card.verdict(),
            expires: made.terms.expires,
            purpose: made.terms.purpose,
            terms: made.terms.clone(),
            scope: Scope::of(&made.terms, None, None),
            replaces: None,
            stage: made.stage,
            revoked: revoked.as_ref().map(|revoked| revoked.final_at),
            refused: false,
            late: false,
        }
    }
}

/// What there is of a patient's wallet.
pub(crate) fn of_patient(patient: &Patient) -> Result<State, WalletError> {
    let row = |own: &OwnStudy| {
        Ok(StudyRow {
            about: patient.about(own.id)?,
            objection: patient.objection(own)?,
            in_spite_of: patient.noted(own)?,
            ..StudyRow::of(own)
        })
    };
    let studies = patient.studies()?.iter().map(row).collect::<Result<_, WalletError>>()?;
    let row = |one: &Granted| -> Result<GrantRow, WalletError> {
        let scope = patient.scope(one.made.study, one.id, &one.made.terms)?;
        Ok(GrantRow { scope, replaces: patient.replaces(one.id)?, ..GrantRow::of(one) })
    };
    let mut grants = Vec::new();
    for one in patient.grants()? {
        grants.push(GrantRow { late: patient.is_late(&one), ..row(&one)? });
    }
    for one in patient.executed_although_refused()? {
        grants.push(GrantRow { refused: true, ..row(&one)? });
    }
    let row = |planned: Planned| PlannedRow {
        study: planned.study,
        name: planned.card.card.name.to_string(),
        at: planned.at,
        until: planned.good_until(),
    };
    let planned = patient.planned()?.into_iter().map(row).collect();
    let invitations = patient.invitations()?.iter().map(InvitationRow::of).collect();
    let words_asked = patient.words_asked()?;
    let (pending, look_is_due) = (patient.pending_recoveries()?, patient.look_is_due()?);
    let recovering = patient.recovering()?.into_iter().map(|(study, _)| study).collect();
    let (to_move, has_new_words) = (patient.count_to_move()?, patient.has_new_words()?);
    let (older_copy, person) = (patient.older_copy()?, Person::Patient);
    let devices = patient.devices()?;
    Ok(State {
        devices,
        to_move,
        has_new_words,
        older_copy,
        person,
        studies,
        grants,
        planned,
        invitations,
        pending,
        recovering,
        look_is_due,
        words_asked,
        ..State::default()
    })
}

/// What there is of a recipient's.
pub(crate) fn of_recipient(recipient: &Recipient) -> Result<State, WalletError> {
    let (mut received, replaced) = (Vec::new(), recipient.replaced()?);
    // What was changed is one thing: as it is now.
    for granted in recipient.inbox()?.into_iter().filter(|granted| !replaced.contains(&granted.id)) {
        let (of, study) = (&granted.received, granted.received.study);
        received.push(ReceivedRow {
            grant: granted.id,
            study,
            source: of.source,
            study_instance_uid: of.study_instance_uid.to_string(),
            description: of.description.to_string(),
            about: recipient.about(&granted)?,
            begins: of.terms.not_before,
            expires: of.terms.expires,
            purpose: of.terms.purpose,
            terms: of.terms.clone(),
            scope: recipient.scope(&granted)?,
            opened: recipient.opening(&granted)?.map_or(0, |opening| opening.number),
            objection: recipient.objection(&granted)?,
            copy: recipient.copy(study)?,
            told: recipient.notice(study)?,
            is_reissued: recipient.is_reissued(study)?,
            in_spite_of: recipient.noted(study)?,
        });
    }
    let (lots, unreadable) = (recipient.lots()?, recipient.unreadable()?.into_iter().map(seal::kind).collect());
    let answers = recipient.answers()?.iter().map(AnswerRow::of).collect();
    let (words_asked, older_copy) = (recipient.words_asked()?, recipient.older_copy()?);
    let person = Person::Recipient;
    Ok(State { person, received, lots, unreadable, answers, words_asked, older_copy, ..State::default() })
}
