//! `credential`: the hospital vouches for a clinician, a practice, a team.

use std::path::PathBuf;

use clap::Args;
use clavicle_ledger::encoding::{self, DecodeError, Hex, Text, Wire as _};
use clavicle_letters::credential::{
    CredentialRequestError, Issuer, MAX_CREDENTIAL_DAYS, Role, SignedCredentialRequest,
};
use clavicle_letters::name::{self, NameDoubt, quoted};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::checkpoints::read_file;
use super::quarantine_named::Because;
use super::{Command, Operation, short};
use crate::answer::{Answer, Failure, Refusing};
use crate::credentials::{CredentialsError, Issued};
use crate::ending::{DAMAGED, of_io};
use crate::service::Service;

/// Vouch for a clinician, a practice or a team, so that patients see who they are
#[derive(Clone, Debug, Args)]
pub struct CredentialArguments {
    /// The request that their wallet wrote (`clavicle recipient request-credential`)
    #[arg(long = "for", value_name = "FILE")]
    request: PathBuf,
    /// What they are
    #[arg(long, value_enum)]
    role: RoleWord,
    /// In what, in a few words
    #[arg(long, default_value = "", value_name = "TEXT")]
    specialty: String,
    /// For how many days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u64).range(1..=MAX_CREDENTIAL_DAYS))]
    days: u64,
    /// Who decides, for the record; the user of this command without it
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// See [`Role`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "each is what it says")]
pub enum RoleWord {
    Physician,
    Dentist,
    Nurse,
    Technologist,
    Pharmacist,
    Therapist,
    Assistant,
    Practice,
    Team,
}

impl RoleWord {
    const fn role(self) -> Role {
        match self {
            Self::Physician => Role::Physician,
            Self::Dentist => Role::Dentist,
            Self::Nurse => Role::Nurse,
            Self::Technologist => Role::Technologist,
            Self::Pharmacist => Role::Pharmacist,
            Self::Therapist => Role::Therapist,
            Self::Assistant => Role::Assistant,
            Self::Practice => Role::Practice,
            Self::Team => Role::Team,
        }
    }
}

/// A hospital's word, to be given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IssueCredential {
    /// The request, in hexadecimal digits.
    pub request: String,
    /// What they are.
    pub role: RoleWord,
    /// In what.
    pub specialty: String,
    /// For how many days.
    pub days: u64,
    /// Who decides.
    pub by: String,
}

/// Why nobody is vouched for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialError {
    /// Not a request.
    #[error("the file is no request for a credential")]
    NoRequest(#[source] Option<DecodeError>),
    /// See [`CredentialRequestError`].
    #[error(transparent)]
    Request(#[from] CredentialRequestError),
    /// A name that would fool somebody.
    #[error(
        "nobody is vouched for under this name: {0}. Have another request written, under the name as it is spelled"
    )]
    Name(NameDoubt),
    /// A name that is none.
    #[error("nobody is vouched for without a name")]
    NoName,
    /// A text that does not fit.
    #[error("the specialty cannot be used: 64 bytes at most, of characters that show")]
    Specialty,
    /// A time that is too long.
    #[error("a credential is good for {MAX_CREDENTIAL_DAYS} days at most")]
    TooLong,
    /// See [`CredentialsError`].
    #[error(transparent)]
    Record(#[from] CredentialsError),
}

impl Refusing for CredentialError {
    fn code(&self) -> &str {
        match self {
            Self::Record(error) => error.code(),
            _ => "credential",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Record(error) => error.exit_code(),
            _ => 1,
        }
    }
}

impl Refusing for CredentialsError {
    fn code(&self) -> &str {
        match self {
            Self::File { .. } | Self::Damaged { .. } => "store",
            _ => "credential",
        }
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::File { error, .. } => of_io(error),
            Self::Damaged { .. } => DAMAGED,
            _ => 1,
        }
    }
}

impl Operation for IssueCredential {
    const WORD: &'static str = "credential";

    type On = Service;
    type Answer = Issued;
    type Error = CredentialError;

    fn work(self, service: &Service) -> Result<Issued, CredentialError> {
        if !(Because { why: "issued".to_owned(), by: Some(self.by.clone()) }).fits() {
            return Err(CredentialsError::Because.into());
        }
        let bytes = encoding::from_hex(&self.request).ok_or(CredentialError::NoRequest(None))?;
        let signed: SignedCredentialRequest =
            encoding::decode(&bytes).map_err(|error| CredentialError::NoRequest(Some(error)))?;
        let request = signed.verify(&service.member.chain, &Issuer::Source(service.member.source))?;
        if request.name.as_str().trim().is_empty() {
            return Err(CredentialError::NoName);
        }
        // A name all in another alphabet is somebody's, though it may look like one in ours: that is said to whoever reads it.
        if let Some(doubt @ NameDoubt::Mixed) = name::doubt(request.name.as_str()) {
            return Err(CredentialError::Name(doubt));
        }
        if !(1..=MAX_CREDENTIAL_DAYS).contains(&self.days) {
            return Err(CredentialError::TooLong);
        }
        let specialty = Text::new(self.specialty.trim()).map_err(|_| CredentialError::Specialty)?;
        let now = service.timekeeper.dated(&service.store);
        let (whom, what) = ((&request.person, &request.name), (self.role.role(), &specialty));
        Ok(service.records.credentials.issue(whom, what, self.days, (&self.by, now))?)
    }
}

impl Command for IssueCredential {
    type Arguments = CredentialArguments;

    fn request(arguments: &CredentialArguments) -> Result<Self, Failure> {
        let CredentialArguments { request, role, specialty, days, by } = arguments;
        let bytes = read_file(request, SignedCredentialRequest::MAX_LEN)?;
        let because = Because { why: "issued".to_owned(), by: by.clone() }.asked()?;
        Ok(Self {
            request: Hex(&bytes).to_string(),
            role: *role,
            specialty: specialty.clone(),
            days: *days,
            by: because.by.unwrap_or_default(),
        })
    }

    fn say(_: &CredentialArguments, issued: Issued) -> Result<Answer, Failure> {
        let text = format!(
            "credential {}: {}\nThe key begins with {}: see that the person's own wallet shows the same.\nTheir wallet fetches it by itself, when it shows a card.",
            issued.number,
            issued.line(),
            short(&issued.person)
        );
        Ok(Answer { text, json: json!(issued) })
    }
}

impl Issued {
    /// It in a line for a person.
    pub(super) fn line(&self) -> String {
        let Self { name, role, specialty, until_ms, .. } = self;
        let specialty = if specialty.is_empty() { String::new() } else { format!(", {}", quoted(specialty)) };
        let until = clavicle_ledger::time::Timestamp(*until_ms).day();
        format!("{} is a {role}{specialty}, good until {until}", quoted(name))
    }
}
