//! Pickups: the codes with which the right person takes hold of the studies of a visit.
//!
//! The desk gives out a ticket on paper or a screen, and tells a PIN apart from it, or has the date of birth asked. Here is
//! what of this is kept:
//!
//! ```text
//! pickups_v2   hash of the ticket (32)                              ─► whose, the sealed secret, tries, who claimed it
//! visits_v1    BLAKE3 of the visit (32), hash of the ticket (32)    ─► ()
//! claims_v1    study id (32)                                        ─► who claimed it (32), until when that may come into a block
//! ```
//!
//! And two for what is given back to people who lost their keys (`pickups/agreed.rs`).
//!
//! Neither ticket nor answer is here, only the ticket's hash and what the two were slowly made into
//! ([`Secret`]), sealed under a key that is in the relay's `keys/`. So who takes this file away can search for nothing; who takes the keys too meets
//! scrypt, and a ticket of 32 random bytes. That a wrong answer costs one of five tries is the rest: a try is counted in the same commit that
//! judges the answer, and nobody is told anything before that commit is on the disk. A kill or many connections at once give no sixth.
//!
//! The first right answer binds the ticket to the endpoint that gave it. That endpoint may come again, after a crash say;
//! nobody else may. Those outside are told [`Told`] and nothing more. A study that was claimed is shown to nobody but the endpoint that claimed it.
//!
//! Earlier versions kept a quick hash of the answer (`pickups_v1`). Opening such a file writes it anew, without those hashes and with nothing left of
//! them in it; its tickets are still listed, and open nothing ([`State::Outdated`]).

mod agreed;
mod earlier;
mod row;
mod seal;

use std::fmt;
use std::path::Path;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_command::said::many;
use clavicle_ledger::encoding::{self, Text, Wire};
use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::time::{BlockTime, DAY_MS, LocalTime, Timestamp};
use clavicle_letters::pickup::{Question, Ticket};
pub use clavicle_network::pickup::TicketHash;
use clavicle_network::pickup::{Secret, plain};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};

use self::agreed::{AGREED, GIVEN_BACK};
pub use self::agreed::{Agreed, AskedFor, GivenBack, MAX_AGREED, MAX_STEPS, Outcome};
use self::row::{Row, is_date};
pub use self::seal::SealingKey;
use super::{StoreError, begin_write, open_small, read_row};

const PICKUPS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("pickups_v2");
const VISITS: TableDefinition<'_, (&[u8; 32], &[u8; 32]), ()> = TableDefinition::new("visits_v1");
const CLAIMS: TableDefinition<'_, &[u8; 32], (&[u8; 32], u64)> = TableDefinition::new("claims_v1");

/// Wrong answers after which a ticket is dead.
pub const MAX_WRONG: u8 = 5;
/// The most pickups that are kept, ended ones too.
pub const MAX_PICKUPS: u64 = 100_000;
/// How long the desk still sees a pickup after it has ended, in milliseconds.
pub const KEPT_MS: u64 = DAY_MS * 30;
/// The most rows that one sweep takes away.
pub const MAX_SWEPT: usize = 1024;
/// The fewest characters of a PIN.
pub const MIN_PIN_LEN: usize = 4;
/// The longest answer, in bytes.
pub const MAX_ANSWER_LEN: usize = 64;

/// Which studies a pickup is for.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Visit {
    /// Those with this Accession Number (0008,0050).
    Accession(Text<256>),
    /// Those of the patient with this Patient ID (0010,0020).
    Patient(Text<256>),
    /// This one.
    Study(StudyId),
    /// Given back, since the key was lost: what was agreed on ([`Agreed`]) of the patient with this Patient ID.
    RecoverPatient(Text<256>),
    /// This one, given back.
    RecoverStudy(StudyId),
}

impl Visit {
    /// Whether studies are given back with it.
    #[must_use]
    pub const fn is_recovery(&self) -> bool {
        matches!(self, Self::RecoverPatient(_) | Self::RecoverStudy(_))
    }
}

impl Wire for Visit {
    const NAME: &'static str = "a visit";
    const MAX_LEN: usize = 261;
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accession(_) => f.write_str("Accession(…)"),
            Self::Patient(_) => f.write_str("Patient(…)"),
            Self::Study(study) => f.debug_tuple("Study").field(study).finish(),
            Self::RecoverPatient(_) => f.write_str("RecoverPatient(…)"),
            Self::RecoverStudy(study) => f.debug_tuple("RecoverStudy").field(study).finish(),
        }
    }
}

/// What the desk gives out.
#[derive(Clone)]
pub struct Issue<'a> {
    /// Which studies it is for.
    pub visit: Visit,
    /// What is asked.
    pub question: Question,
    /// The right answer.
    pub answer: &'a str,
    /// The first moment at which it is good no more.
    pub expires: Timestamp,
}

/// A pickup as the desk sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the desk calls it by.
    pub ticket: TicketHash,
    /// Which studies it is for.
    pub visit: Visit,
    /// What is asked.
    pub question: Question,
    /// When it was given out.
    pub issued: LocalTime,
    /// The first moment at which it is good no more.
    pub expires: Timestamp,
    /// Wrong answers since the last right one.
    pub wrong: u8,
    /// How it stands.
    pub state: State,
}

/// How a pickup stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its first right answer.
    Open,
    /// The endpoint with this key answered rightly, and may come again until the pickup expires.
    Claimed(Key),
    /// Too many wrong answers were given; the desk issues another.
    Dead,
    /// Another was issued for the same visit, or a study of it was reissued, since the wrong person had it.
    Void,
    /// Its time is over.
    Expired,
    /// An earlier version of the relay gave it out: no wallet can show any more that it knows its answer, or it is not known what was agreed to be
    /// given back with it.
    Outdated,
}

/// Why a pickup was not issued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A PIN that is too short or too long.
    #[error("a PIN has {MIN_PIN_LEN} characters at least and {MAX_ANSWER_LEN} at most: choose another")]
    Pin,
    /// No date of birth.
    #[error("a date of birth has eight digits, year, month, day, as in 1953-01-17: correct it in the patient's record")]
    BirthDate,
    /// Over before it began.
    #[error("the pickup would have ended already: choose a later end, or set this machine's clock right")]
    Over,
    /// The same ticket.
    #[error("the ticket was issued before: draw another, and see why the random generator repeats itself")]
    Twice,
    /// No room.
    #[error("{MAX_PICKUPS} pickups are kept, the most there may be: wait until old ones are swept")]
    Full,
}

impl<E: Into<redb::Error>> From<E> for IssueError {
    fn from(error: E) -> Self {
        Self::Store(StoreError::from(error.into()))
    }
}

/// Why an answer opened nothing: for the operator's log, never for whoever answered. They get [`PickupRefused::told`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PickupRefused {
    /// See [`StoreError`].
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such ticket.
    #[error("no such ticket was issued here, or it was swept")]
    Unknown,
    /// Another took its place.
    #[error("the ticket is void: another was issued for the same visit, or a study of it was reissued")]
    Void,
    /// Too many wrong answers.
    #[error("the ticket is dead after {MAX_WRONG} wrong answers: issue another")]
    Dead,
    /// Too late.
    #[error("the ticket has expired: issue another")]
    Expired,
    /// From before.
    #[error("the ticket was issued before this relay was upgraded, and opens nothing any more: issue another")]
    Outdated,
    /// Sealed under another key.
    #[error(
        "the ticket's secret does not open with the key in keys/desk, which is another than when it was issued: issue another"
    )]
    Sealed,
    /// Somebody else's by now.
    #[error(
        "the ticket was claimed from another endpoint: the code was seen by somebody else, or the phone was set up anew"
    )]
    OtherKey,
    /// Not the answer.
    #[error("the answer was wrong; {} left", many(*.left, "try is", "tries are"))]
    Wrong {
        /// Tries that are left.
        left: u8,
    },
}

impl<E: Into<redb::Error>> From<E> for PickupRefused {
    fn from(error: E) -> Self {
        Self::Store(StoreError::from(error.into()))
    }
}

/// What those outside are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// No, whatever the reason.
    Refused,
    /// The answer was wrong, and may be given again this often.
    WrongAnswer(u8),
}

impl PickupRefused {
    /// What whoever answered is told.
    #[must_use]
    pub const fn told(&self) -> Told {
        match self {
            Self::Wrong { left } if *left > 0 => Told::WrongAnswer(*left),
            _ => Told::Refused,
        }
    }
}

/// Who claimed a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// The endpoint.
    pub key: Key,
    /// The last moment at which what it claimed with may come into a block.
    pub until: Timestamp,
}

/// The pickups that a relay's desk gave out.
#[derive(Debug)]
pub struct Pickups {
    database: Database,
    key: SealingKey,
}

impl Pickups {
    /// Opens the pickups at `path`, or makes the file. Secrets in it are sealed under `key`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path, key: SealingKey) -> Result<Self, StoreError> {
        earlier::rewrite(path)?;
        Ok(Self { database: create(path)?, key })
    }

    /// Gives out a ticket, which is random and new. Earlier ones for the same visit that nobody has claimed are void from now on; how many of
    /// these were open. It takes a while on purpose, as [`Secret::of`] does.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(&self, ticket: &Ticket, issue: Issue<'_>, now: LocalTime) -> Result<usize, IssueError> {
        self.give_out(ticket, issue, None, now)
    }

    fn give_out(
        &self,
        ticket: &Ticket,
        issue: Issue<'_>,
        agreed: Option<&Agreed>,
        now: LocalTime,
    ) -> Result<usize, IssueError> {
        let Issue { visit, question, answer, expires } = issue;
        let answer = plain(question, answer);
        match question {
            Question::Pin if answer.chars().count() < MIN_PIN_LEN || answer.len() > MAX_ANSWER_LEN => {
                return Err(IssueError::Pin);
            }
            Question::BirthDate if !is_date(&answer) => return Err(IssueError::BirthDate),
            Question::Pin | Question::BirthDate => {}
        }
        if expires <= now.0 {
            return Err(IssueError::Over);
        }
        let (hash, place) = (TicketHash::of(ticket), visit_hash(&visit));
        let row = Row {
            visit,
            question,
            issued: now.0,
            expires,
            sealed: Some(self.key.seal(hash, &Secret::of(ticket, question, &answer))),
            wrong: 0,
            void: false,
            bound: None,
        };
        let transaction = begin_write(&self.database)?;
        let mut voided = 0;
        {
            let (mut pickups, mut visits) = (transaction.open_table(PICKUPS)?, transaction.open_table(VISITS)?);
            if pickups.len()? >= MAX_PICKUPS {
                return Err(IssueError::Full);
            }
            if pickups.get(hash.as_bytes())?.is_some() {
                return Err(IssueError::Twice);
            }
            for earlier in visits.range((&place, &[0; 32])..=(&place, &[0xff; 32]))? {
                let (_, earlier) = owned(earlier?.0.value());
                let damaged = StoreError::damaged("the pickups of a visit", None);
                let mut row: Row = read_row(pickups.get(&earlier)?.ok_or(damaged)?.value())?;
                if row.bound.is_none() && !row.void {
                    voided += usize::from(row.state(now) == State::Open);
                    row.void = true;
                    pickups.insert(&earlier, encoding::encode(&row).as_slice())?;
                }
            }
            pickups.insert(hash.as_bytes(), encoding::encode(&row).as_slice())?;
            visits.insert((&place, hash.as_bytes()), ())?;
        }
        if let Some(agreed) = agreed {
            agreed::put(&transaction, hash, agreed)?;
        }
        transaction.commit()?;
        Ok(voided)
    }

    /// Makes every ticket void for whose visit `is_for` holds, whoever claimed it, too. How many of these were good until now.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn void(&self, is_for: impl Fn(&Visit) -> bool, now: LocalTime) -> Result<usize, StoreError> {
        let transaction = begin_write(&self.database)?;
        let mut voided = 0;
        {
            let mut pickups = transaction.open_table(PICKUPS)?;
            let mut all = Vec::new();
            for entry in pickups.iter()? {
                let (ticket, row) = entry?;
                let row: Row = read_row(row.value())?;
                if is_for(&row.visit) && !row.void {
                    all.push((*ticket.value(), row));
                }
            }
            for (ticket, row) in all {
                let opens = matches!(row.state(now), State::Open | State::Claimed(_)) && now.0 < row.expires;
                voided += usize::from(opens);
                pickups.insert(&ticket, encoding::encode(&Row { void: true, ..row }).as_slice())?;
            }
        }
        transaction.commit()?;
        Ok(voided)
    }

    /// The secret of the ticket with this hash, if it may be answered from the endpoint `remote`. Only reads.
    ///
    /// # Errors
    /// [`PickupRefused`]. Whoever answered learns [`PickupRefused::told`] of it.
    pub fn secret(&self, ticket: TicketHash, remote: Key, now: LocalTime) -> Result<Secret, PickupRefused> {
        let table = self.database.begin_read()?.open_table(PICKUPS)?;
        let row: Row = read_row(table.get(ticket.as_bytes())?.ok_or(PickupRefused::Unknown)?.value())?;
        row.may_be_answered(remote, now)?;
        let sealed = row.sealed.ok_or(PickupRefused::Outdated)?;
        self.key.open(ticket, &sealed).ok_or(PickupRefused::Sealed)
    }

    /// Which studies a ticket is for, if it was issued here and is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn visit(&self, ticket: TicketHash) -> Result<Option<Visit>, StoreError> {
        let table = self.database.begin_read()?.open_table(PICKUPS)?;
        let row = table.get(ticket.as_bytes())?;
        row.map(|row| read_row::<Row>(row.value()).map(|row| row.visit)).transpose()
    }

    /// Judges whether the endpoint `remote` has shown that it `knows` the secret of a ticket, and counts it. Which studies it opens.
    ///
    /// # Errors
    /// [`PickupRefused`]. Whoever answered learns [`PickupRefused::told`] of it.
    pub fn judge(&self, ticket: TicketHash, knows: bool, remote: Key, now: LocalTime) -> Result<Visit, PickupRefused> {
        // Read, judged and counted in one commit, and nothing is said before it is on the disk.
        let transaction = begin_write(&self.database)?;
        let (row, judged) = {
            let mut pickups = transaction.open_table(PICKUPS)?;
            let stored = pickups.get(ticket.as_bytes())?.map(|row| row.value().to_vec());
            let stored = stored.ok_or(PickupRefused::Unknown)?;
            let mut row: Row = read_row(&stored)?;
            let judged = row.judge(knows, remote, now);
            let counted = encoding::encode(&row);
            if counted == stored {
                return judged.map(|()| row.visit);
            }
            pickups.insert(ticket.as_bytes(), counted.as_slice())?;
            (row, judged)
        };
        transaction.commit()?;
        judged.map(|()| row.visit)
    }

    /// Who claimed a study here, if anybody has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claimant(&self, study: StudyId) -> Result<Option<Claimant>, StoreError> {
        let table = self.database.begin_read()?.open_table(CLAIMS)?;
        Ok(table.get(study.as_bytes())?.map(|row| claimant(row.value())))
    }

    /// Says that an endpoint claims a study, with what may come into a block `until` then. From now on nobody else may, until by block time `now`
    /// nothing can come of it any more. Whether it may.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn claim(&self, study: StudyId, by: Key, until: Timestamp, now: BlockTime) -> Result<bool, StoreError> {
        let transaction = begin_write(&self.database)?;
        {
            let mut claims = transaction.open_table(CLAIMS)?;
            let before = claims.get(study.as_bytes())?.map(|row| claimant(row.value()));
            let until = match before {
                Some(before) if before.key == by => before.until.max(until),
                Some(before) if now.timestamp() <= before.until => return Ok(false),
                Some(_) | None => until,
            };
            claims.insert(study.as_bytes(), (by.as_bytes(), until.0))?;
        }
        transaction.commit()?;
        Ok(true)
    }

    /// Takes back that a study was claimed, when nothing was co-signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn release(&self, study: StudyId, by: Key) -> Result<(), StoreError> {
        let transaction = begin_write(&self.database)?;
        {
            let mut claims = transaction.open_table(CLAIMS)?;
            if claims.get(study.as_bytes())?.is_some_and(|row| claimant(row.value()).key == by) {
                claims.remove(study.as_bytes())?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Every pickup that is kept, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn list(&self, now: LocalTime) -> Result<Vec<Listed>, StoreError> {
        let transaction = self.database.begin_read()?;
        let (table, agreed) = (transaction.open_table(PICKUPS)?, transaction.open_table(AGREED)?);
        let listed = table.iter()?.map(|entry| {
            let (ticket, row) = entry?;
            let (ticket, row) = (TicketHash::from_bytes(*ticket.value()), read_row::<Row>(row.value())?);
            let (mut state, issued) = (row.state(now), LocalTime(row.issued));
            let opens = matches!(state, State::Open | State::Claimed(_));
            if opens && row.visit.is_recovery() && agreed.get(ticket.as_bytes())?.is_none() {
                state = State::Outdated;
            }
            let Row { visit, question, expires, wrong, .. } = row;
            Ok(Listed { ticket, visit, question, issued, expires, wrong, state })
        });
        let mut listed = listed.collect::<Result<Vec<Listed>, StoreError>>()?;
        listed.sort_by_key(|one| (std::cmp::Reverse(one.issued), one.ticket));
        Ok(listed)
    }

    /// Takes away rows that expired more than [`KEPT_MS`] ago, [`MAX_SWEPT`] at most, and claims of which as long nothing can come any more. How
    /// many pickups.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sweep(&self, now: LocalTime) -> Result<usize, StoreError> {
        let old = self.list(now)?.into_iter().filter(|one| now.0 > one.expires.plus(KEPT_MS));
        let old: Vec<Listed> = old.take(MAX_SWEPT).collect();
        let over = self.database.begin_read()?.open_table(CLAIMS)?;
        let over = over.iter()?.filter_map(|row| match row {
            Ok((study, row)) => (now.0 > claimant(row.value()).until.plus(KEPT_MS)).then(|| Ok(*study.value())),
            Err(error) => Some(Err(error)),
        });
        let over = over.take(MAX_SWEPT).collect::<Result<Vec<[u8; 32]>, _>>()?;
        if old.is_empty() && over.is_empty() {
            return Ok(0);
        }
        let transaction = begin_write(&self.database)?;
        {
            let mut claims = transaction.open_table(CLAIMS)?;
            for study in &over {
                claims.remove(study)?;
            }
            let (mut pickups, mut visits) = (transaction.open_table(PICKUPS)?, transaction.open_table(VISITS)?);
            for Listed { ticket, visit, .. } in &old {
                pickups.remove(ticket.as_bytes())?;
                visits.remove((&visit_hash(visit), ticket.as_bytes()))?;
            }
        }
        for Listed { ticket, visit, .. } in &old {
            if visit.is_recovery() {
                agreed::remove(&transaction, *ticket)?;
            }
        }
        transaction.commit()?;
        Ok(old.len())
    }
}

/// Opens the file, or makes it.
fn create(path: &Path) -> Result<Database, StoreError> {
    open_small(path, |transaction| {
        transaction.open_table(PICKUPS)?;
        transaction.open_table(VISITS)?;
        transaction.open_table(AGREED)?;
        transaction.open_table(GIVEN_BACK)?;
        transaction.open_table(CLAIMS).map(drop)
    })
}

fn claimant((key, until): (&[u8; 32], u64)) -> Claimant {
    Claimant { key: Key::from_bytes(*key), until: Timestamp(until) }
}

fn owned((visit, ticket): (&[u8; 32], &[u8; 32])) -> ([u8; 32], [u8; 32]) {
    (*visit, *ticket)
}

fn visit_hash(visit: &Visit) -> [u8; 32] {
    *blake3::hash(&encoding::encode(visit)).as_bytes()
}
