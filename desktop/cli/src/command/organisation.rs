//! `clavicle recipient organisation`, `vouch`, `vouched`, `end-vouching`, `take-credential`: a practice or a team, and its
//! members.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use clavicle_app::{
    App, AskStanding, EndVouching, ListVouched, RequestMembership, ShowOrganisation, TakeWord, VouchForMember,
};
use clavicle_command::clock::now;
use clavicle_command::file::{Readers, is_free, path_text, write_new};
use clavicle_command::given::Given;
use clavicle_ledger::encoding::{self, Wire};
use clavicle_letters::credential::{Credential, Introduction, MAX_CREDENTIAL_DAYS, Role, SignedCredentialRequest};
use clavicle_letters::name::quoted;
use clavicle_letters::organisation::MemberWord;
use clavicle_wallet::recipient::{ActingMember, VouchedRow};
use clavicle_wallet::vault::Passphrase;
use serde_json::{Value, json};

use super::personal::MemberPassphraseKind;
use super::wallet::{short, verdict_row};
use super::{Answer, CommandError, Folder, client};

/// For whom a practice or a team vouches.
#[derive(Debug, Args)]
pub struct VouchArguments {
    /// Which wallet, the practice's or the team's
    #[command(flatten)]
    pub folder: Folder,
    /// The request that the member's wallet wrote (`clavicle recipient request-credential --of-file`)
    #[arg(long = "for", value_name = "FILE")]
    pub request: PathBuf,
    /// What they are
    #[arg(long, value_enum)]
    pub role: MemberRole,
    /// In what, in a few words
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub specialty: String,
    /// For how many days; not longer than a hospital vouches for the practice or the team
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=MAX_CREDENTIAL_DAYS))]
    pub days: u64,
    /// The file to write, for the member
    #[arg(long)]
    pub out: PathBuf,
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "each is what it says")]
pub enum MemberRole {
    Physician,
    Dentist,
    Nurse,
    Technologist,
    Pharmacist,
    Therapist,
    Assistant,
}

/// Who opens in the name of a practice or a team.
#[derive(Debug, Args)]
pub struct MemberArguments {
    /// For a practice or a team: the folder of the wallet of the member who opens it, whom the receipt names
    #[arg(long = "as", value_name = "FOLDER")]
    pub member: Option<PathBuf>,
    /// What opens that
    #[command(flatten)]
    pub passphrase: Given<MemberPassphraseKind>,
}

impl MemberRole {
    const fn role(self) -> Role {
        match self {
            Self::Physician => Role::Physician,
            Self::Dentist => Role::Dentist,
            Self::Nurse => Role::Nurse,
            Self::Technologist => Role::Technologist,
            Self::Pharmacist => Role::Pharmacist,
            Self::Therapist => Role::Therapist,
            Self::Assistant => Role::Assistant,
        }
    }
}

impl MemberArguments {
    /// Who opens it, if anybody is named.
    pub(super) async fn member(&self) -> Result<Option<ActingMember>, CommandError> {
        let Some(folder) = &self.member else { return Ok(None) };
        let passphrase = Passphrase::new(self.passphrase.ask().map_err(CommandError::NoPassphrase)?)?;
        Ok(Some(App::acting_member(folder, Arc::new(passphrase), now).await?))
    }
}

/// Writes who a practice or a team is, for those who are to become its members.
pub(super) async fn organisation(folder: &Folder, out: &Path) -> Result<Answer, CommandError> {
    can_write(out)?;
    let app = client::recipient(folder).await?;
    let shown = client::done(&app, ShowOrganisation {}, "").await?;
    write(out, &*shown)?;
    let Credential { name, person, .. } = shown.credential();
    let person = person.to_string();
    Ok(Answer {
        text: format!(
            "who {} is stands in {}\nGive it to those who are to become its members. They say: clavicle recipient request-credential --of-file FILE",
            quoted(name.as_str()),
            out.display()
        ),
        json: json!({ "organisation": path_text(out), "name": name.as_str(), "person": person }),
    })
}

/// Writes what a practice or a team is to be given, so that it vouches.
pub(super) async fn request(folder: &Folder, of: &Path, out: &Path) -> Result<Answer, CommandError> {
    let organisation = Box::new(read::<Introduction>(of, "what a practice or a team shows of itself")?);
    can_write(out)?;
    let called = organisation.credential().name.clone();
    let app = client::recipient(folder).await?;
    let request = client::done(&app, RequestMembership { organisation }, "").await?;
    write(out, &request)?;
    let (name, person) = (request.request.name.as_str(), request.request.person.to_string());
    let text = format!(
        "a request of {} to {} is in {}\nGive it to them, and the first 12 letters of your key with it, by another way: {}\nThey say: clavicle recipient vouch --for FILE --role ROLE",
        quoted(name),
        quoted(called.as_str()),
        out.display(),
        short(&person)
    );
    Ok(Answer { text, json: json!({ "request": path_text(out), "name": name, "person": person }) })
}

/// Vouches for a member.
pub(super) async fn vouch(of: &VouchArguments) -> Result<Answer, CommandError> {
    let VouchArguments { folder, request, role, specialty, days, out } = of;
    let request = read::<SignedCredentialRequest>(request, "a request for a credential")?;
    can_write(out)?;
    let app = client::recipient(folder).await?;
    let command = VouchForMember { request, role: role.role(), specialty: specialty.clone(), days: *days };
    let (word, is_left) = client::done(&app, command, "").await?;
    write(out, &*word)?;
    let credential = word.introduction.credential();
    let person = credential.person.to_string();
    let mut json = row(&VouchedRow { credential: credential.clone(), ended: None });
    json["credential"] = json!(path_text(out));
    json["left"] = json!(is_left);
    Ok(Answer {
        text: format!(
            "credential {}: {}\nThe key begins with {}: see that the person's own wallet shows the same.\nIt is in {}, for them: clavicle recipient take-credential FILE{}",
            credential.number,
            line(credential),
            short(&person),
            out.display(),
            later(is_left)
        ),
        json,
    })
}

/// Lists for whom a practice or a team vouches.
pub(super) async fn vouched(folder: &Folder) -> Result<Answer, CommandError> {
    let app = client::recipient(folder).await?;
    let rows = client::done(&app, ListVouched {}, "").await?;
    let now = now().0;
    let in_force = |one: &&VouchedRow| one.is_in_force(now);
    let (ended, over): (Vec<&VouchedRow>, Vec<&VouchedRow>) =
        rows.iter().filter(|one| !one.is_in_force(now)).partition(|one| one.ended.is_some());
    let issued: Vec<&VouchedRow> = rows.iter().filter(in_force).collect();
    let mut lines: Vec<String> =
        issued.iter().map(|one| format!("{}  {}", one.credential.number, line(&one.credential))).collect();
    lines.extend(ended.iter().map(|one| {
        let at = one.ended.map_or_else(String::new, |at| format!("; ended {}", at.day()));
        format!("{}  {}{at}", one.credential.number, line(&one.credential))
    }));
    lines.push(format!(
        "{} credentials are in force, {} were ended, and the time of {} is over",
        issued.len(),
        ended.len(),
        over.len()
    ));
    let all = |rows: &[&VouchedRow]| rows.iter().map(|one| row(one)).collect::<Vec<Value>>();
    Ok(Answer {
        text: lines.join("\n"),
        json: json!({ "issued": all(&issued), "ended": all(&ended), "over": all(&over) }),
    })
}

/// Vouches for a member no more.
pub(super) async fn end(folder: &Folder, number: u64) -> Result<Answer, CommandError> {
    let app = client::recipient(folder).await?;
    let (ended, is_left) = client::done(&app, EndVouching { number }, "").await?;
    let mut json = row(&ended);
    json["left"] = json!(is_left);
    Ok(Answer {
        text: format!(
            "credential {number} has ended: {}\nThey open nothing more in this name from now on. Whoever kept an older list sees it within a day.{}",
            line(&ended.credential),
            later(is_left)
        ),
        json,
    })
}

/// Takes the word of a practice or a team.
pub(super) async fn take(folder: &Folder, file: &Path) -> Result<Answer, CommandError> {
    let word = Box::new(read::<MemberWord>(file, "a practice's or a team's word for a member")?);
    let app = client::recipient(folder).await?;
    let is_shown = client::done(&app, TakeWord { word }, "").await?;
    let standing = client::done(&app, AskStanding {}, "").await?;
    let beside = standing.verdict.beside(standing.name.as_str());
    let text = if is_shown {
        format!("patients see from now on: {beside}")
    } else {
        format!("a hospital itself vouches for you, and that is what patients see: {beside}")
    };
    Ok(Answer { text, json: json!({ "shown": is_shown, "verdict": verdict_row(Some(&standing.verdict)) }) })
}

fn later(is_left: bool) -> &'static str {
    if is_left {
        ""
    } else {
        "\nThe newest list could not be left for members yet: it is when `inbox` reaches a hospital."
    }
}

/// A credential in a line for a person, as hospitals say it.
fn line(credential: &Credential) -> String {
    let Credential { name, role, specialty, until, .. } = credential;
    let specialty = match specialty.as_str() {
        "" => String::new(),
        specialty => format!(", {}", quoted(specialty)),
    };
    format!("{} is a {}{specialty}, good until {}", quoted(name.as_str()), role.word(), until.day())
}

fn row(VouchedRow { credential, ended }: &VouchedRow) -> Value {
    let Credential { person, name, role, specialty, from, until, number, .. } = credential;
    json!({
        "number": number.0, "person": person.to_string(), "name": name.as_str(), "role": role.word(),
        "specialty": specialty.as_str(), "from_ms": from.0, "until_ms": until.0, "ended_ms": ended.map(|at| at.0),
    })
}

fn can_write(out: &Path) -> Result<(), CommandError> {
    is_free(out).map_err(|error| CommandError::File { path: out.to_owned(), error })
}

fn write<T: Wire>(out: &Path, what: &T) -> Result<(), CommandError> {
    write_new(out, &encoding::encode(what), Readers::Usual)
        .map_err(|error| CommandError::File { path: out.to_owned(), error })
}

/// Reads a file that holds one of these.
fn read<T: Wire>(path: &Path, what: &'static str) -> Result<T, CommandError> {
    let (mut bytes, most) = (Vec::new(), T::MAX_LEN.saturating_add(1) as u64);
    let read = File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes));
    read.map_err(|error| CommandError::File { path: path.to_owned(), error })?;
    encoding::decode(&bytes).map_err(|_| CommandError::NotThat { path: path.to_owned(), what })
}
