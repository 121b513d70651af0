//! Credentials: an organisation's signed word on who somebody is.
//!
//! ```text
//! source (hospital) ── its operational key ──► credential of a clinician, a practice, a team
//! practice, team ───── its long-term key ────► credential of a member
//! ```
//!
//! A credential names a person's long-term key, which signs the person's cards. It is believed by nobody for its own
//! sake: [`Introduction::judge`] holds it against the source's row that the ledger proves, and against the list of what
//! its issuer has ended. There are two links at most. What a practice or a team vouches for is its own word and is said
//! so, never the hospital's; and it vouches for persons, and for no practice and no team.
//!
//! # What makes a credential void
//!
//! A credential is good while *all* of this holds, and void otherwise:
//!
//! - It is signed by the operational key that the ledger has for the source **now**, in the running epoch. A key that was replaced signs nothing any more: it
//!   may have been replaced because somebody stole it, and the ledger does not say why. So an ordinary rotation makes all credentials of the source void at the
//!   epoch in which the new key comes into force, and its relay signs each of them anew with that key: a relay signs a credential when it is asked for it, and
//!   never keeps a signature. Whoever shows one fetches it again with the list, which is needed once a day in any case.
//! - The source is neither suspended nor taken over by another. A successor vouches anew, or does not.
//! - Its time has begun and is not over.
//! - A list of what the issuer has ended, signed by the same key and no older than a day, does not name it, and reaches back to it. Whoever shows a credential brings the list along;
//!   nobody asks about one credential, so that an issuer does not learn who is looked at by whom. A list that names it is believed however old it is.
//! - In a chain: the practice's own credential is good, and says that it is a practice; of a team, that it is a team. When that is void, so are its members'.
//!
//! Who acts for a team shows all of it with each opening, and signs for it: [`crate::membership`].

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::domain::{self, Tag};
use clavicle_ledger::encoding::{Ascending, Entry, Text, Wire};
use clavicle_ledger::id::{ChainId, SourceId};
use clavicle_ledger::key::{Key, KeyError, SecretKey, Signature, SignatureError};
use clavicle_ledger::time::{DAY_MS, Timestamp};

/// How old a list of ended credentials may be, in milliseconds.
pub const MAX_LIST_AGE_MS: u64 = DAY_MS;
/// The longest period of a credential, in days.
pub const MAX_CREDENTIAL_DAYS: u64 = 731;
/// The most credentials in a list of ended ones: those whose time is over leave it.
pub const MAX_ENDED: usize = 1_024;

/// Who vouches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Issuer {
    /// A source, by its operational key.
    Source(SourceId),
    /// A practice that a source vouches for, by its long-term key.
    Practice(Key),
    /// A team that a source vouches for, by its long-term key.
    Team(Key),
}

/// What somebody is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
#[borsh(use_discriminant = true)]
#[repr(u8)]
pub enum Role {
    /// A physician.
    Physician = 0,
    /// A dentist.
    Dentist = 1,
    /// A nurse.
    Nurse = 2,
    /// Somebody who makes images.
    Technologist = 3,
    /// A pharmacist.
    Pharmacist = 4,
    /// A therapist.
    Therapist = 5,
    /// Somebody who works for those above.
    Assistant = 6,
    /// A practice, which vouches for its members.
    Practice = 7,
    /// A team, which vouches for its members.
    Team = 8,
}

impl Role {
    /// Every role there is.
    pub const ALL: [Self; 9] = [
        Self::Physician,
        Self::Dentist,
        Self::Nurse,
        Self::Technologist,
        Self::Pharmacist,
        Self::Therapist,
        Self::Assistant,
        Self::Practice,
        Self::Team,
    ];

    /// The word for it, to people and to programs.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Physician => "physician",
            Self::Dentist => "dentist",
            Self::Nurse => "nurse",
            Self::Technologist => "technologist",
            Self::Pharmacist => "pharmacist",
            Self::Therapist => "therapist",
            Self::Assistant => "assistant",
            Self::Practice => "practice",
            Self::Team => "team",
        }
    }

    /// Whether it is an organisation's, and no person's.
    #[must_use]
    pub const fn is_organisation(self) -> bool {
        matches!(self, Self::Practice | Self::Team)
    }
}

/// The number of a credential: no two of one issuer have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct CredentialNumber(pub u64);

impl fmt::Display for CredentialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Entry for CredentialNumber {
    type Key = Self;
    fn key(&self) -> &Self {
        self
    }
}

/// An organisation's word on who somebody is.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Credential {
    /// Whose word.
    pub by: Issuer,
    /// The long-term key of whom it is about.
    pub person: Key,
    /// Their name.
    pub name: Text<64>,
    /// What they are.
    pub role: Role,
    /// In what; may be empty.
    pub specialty: Text<64>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Which of the issuer's.
    pub number: CredentialNumber,
}

/// A [`Credential`], signed by its issuer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCredential {
    /// What is signed. Believe nothing of it before [`Introduction::judge`].
    pub credential: Credential,
    /// The signature.
    pub signature: Signature,
}

/// What an issuer has ended before its time was over.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct EndedCredentials {
    /// Whose list.
    pub by: Issuer,
    /// Which list: a later one has a higher number.
    pub number: u64,
    /// When it was true.
    pub at: Timestamp,
    /// All with a lower number have ended: the issuer's record does not reach further back.
    pub before: CredentialNumber,
    /// Those that were ended.
    pub ended: Ascending<CredentialNumber, MAX_ENDED>,
}

/// An [`EndedCredentials`], signed by its issuer.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedEndedCredentials {
    /// What is signed.
    pub list: EndedCredentials,
    /// The signature.
    pub signature: Signature,
}

/// One credential, and the list that says that it was not ended.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Vouching {
    /// The credential.
    pub credential: SignedCredential,
    /// Its issuer's list.
    pub ended: SignedEndedCredentials,
}

/// All that introduces somebody: what a source says, and what a practice or a team says that the source vouches for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Introduction {
    /// The source's word.
    pub first: Vouching,
    /// The word of whoever that is about, if it is a practice or a team and the one who is introduced its member.
    pub second: Option<Vouching>,
}

/// Somebody asks an organisation for its word.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct CredentialRequest {
    /// The network.
    pub chain: ChainId,
    /// Whom.
    pub of: Issuer,
    /// Under which name.
    pub name: Text<64>,
    /// For which long-term key, which signs it.
    pub person: Key,
}

/// A [`CredentialRequest`], signed by the key that it is for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct SignedCredentialRequest {
    /// What is signed.
    pub request: CredentialRequest,
    /// The signature.
    pub signature: Signature,
}

/// Why a request for a credential is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialRequestError {
    /// Another network's.
    #[error("the request is of another network; ask for one of this network")]
    OtherNetwork,
    /// To somebody else.
    #[error("the request is to another organisation; ask for one to this one")]
    OtherIssuer,
    /// A key that is not acceptable.
    #[error("the request's key is not good: {0}")]
    Key(#[from] KeyError),
    /// Not signed as it must be.
    #[error("the request was altered, or is not from who has its key; ask for another: {0}")]
    Signature(SignatureError),
}

impl Credential {
    /// Signs it with the issuer's key.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedCredential {
        let signature = key.sign(&domain::preimage(Tag::CREDENTIAL, chain, &self));
        SignedCredential { credential: self, signature }
    }
}

impl SignedCredential {
    /// Whether this key signed it.
    #[must_use]
    pub fn is_by(&self, chain: &ChainId, key: &Key) -> bool {
        self.signature.verify(key, &domain::preimage(Tag::CREDENTIAL, chain, &self.credential)).is_ok()
    }
}

impl EndedCredentials {
    /// Whether it says that this credential has ended.
    #[must_use]
    pub fn names(&self, number: CredentialNumber) -> bool {
        number < self.before || self.ended.find(&number).is_some()
    }

    /// Signs it with the issuer's key.
    #[must_use]
    pub fn sign(self, chain: &ChainId, key: &SecretKey) -> SignedEndedCredentials {
        let signature = key.sign(&domain::preimage(Tag::ENDED_CREDENTIALS, chain, &self));
        SignedEndedCredentials { list: self, signature }
    }
}

impl SignedEndedCredentials {
    /// Whether this key signed it.
    #[must_use]
    pub fn is_by(&self, chain: &ChainId, key: &Key) -> bool {
        self.signature.verify(key, &domain::preimage(Tag::ENDED_CREDENTIALS, chain, &self.list)).is_ok()
    }
}

impl Introduction {
    /// The link that is about whom it introduces.
    #[must_use]
    pub fn last(&self) -> &Vouching {
        self.second.as_ref().unwrap_or(&self.first)
    }

    /// The credential of whom it introduces.
    #[must_use]
    pub fn credential(&self) -> &Credential {
        &self.last().credential.credential
    }

    /// The source whose word it rests on, if it says that it rests on one's.
    #[must_use]
    pub fn source(&self) -> Option<SourceId> {
        match self.first.credential.credential.by {
            Issuer::Source(source) => Some(source),
            Issuer::Practice(_) | Issuer::Team(_) => None,
        }
    }
}

impl CredentialRequest {
    /// Signs it with the long-term key that it is for.
    #[must_use]
    pub fn sign(self, key: &SecretKey) -> SignedCredentialRequest {
        let signature = key.sign(&domain::preimage(Tag::CREDENTIAL_REQUEST, &self.chain, &self));
        SignedCredentialRequest { request: self, signature }
    }
}

impl SignedCredentialRequest {
    /// Checks that it is to `issuer` of this network, by whoever has its key.
    ///
    /// # Errors
    /// [`CredentialRequestError`].
    pub fn verify(&self, chain: &ChainId, issuer: &Issuer) -> Result<&CredentialRequest, CredentialRequestError> {
        let Self { request, signature } = self;
        if request.chain != *chain {
            return Err(CredentialRequestError::OtherNetwork);
        }
        if request.of != *issuer {
            return Err(CredentialRequestError::OtherIssuer);
        }
        request.person.check()?;
        let preimage = domain::preimage(Tag::CREDENTIAL_REQUEST, chain, request);
        signature.verify(&request.person, &preimage).map_err(CredentialRequestError::Signature)?;
        Ok(request)
    }
}

impl fmt::Debug for Credential {
    /// For logs: not the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { by, person, role, number, .. } = self;
        f.debug_struct("Credential")
            .field("by", by)
            .field("person", person)
            .field("role", role)
            .field("number", number)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CredentialRequest {
    /// For logs: not the name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialRequest").field("of", &self.of).field("person", &self.person).finish_non_exhaustive()
    }
}

macro_rules! wires {
    ($($type:ty, $name:literal, $len:expr;)*) => {$(
        impl Wire for $type {
            const NAME: &'static str = $name;
            const MAX_LEN: usize = $len;
        }
    )*};
}

wires! {
    SignedCredential, "a credential", 34 + 33 + 2 * (4 + 64) + 1 + 3 * 8 + 65;
    SignedEndedCredentials, "a list of ended credentials", 34 + 24 + 4 + 8 * MAX_ENDED + 65;
    Vouching, "a credential with its issuer's list", SignedCredential::MAX_LEN + SignedEndedCredentials::MAX_LEN;
    Introduction, "an introduction", 1 + 2 * Vouching::MAX_LEN;
    SignedCredentialRequest, "a request for a credential", 32 + 34 + 4 + 64 + 33 + 65;
}

#[cfg(test)]
pub(crate) mod tests {
    use clavicle_ledger::encoding;

    use super::*;
    use crate::card::tests::CHAIN;

    pub(crate) const NOW: Timestamp = Timestamp(1_790_000_000_000);
    pub(crate) const MERCY: SourceId = SourceId::from_bytes([4; 32]);

    /// Mercy's operational key.
    pub(crate) fn mercy() -> SecretKey {
        SecretKey::from_bytes(&[50; 32])
    }

    /// Dr Rossi's long-term key.
    pub(crate) fn rossi() -> SecretKey {
        SecretKey::from_bytes(&[51; 32])
    }

    pub(crate) fn credential() -> Credential {
        Credential {
            by: Issuer::Source(MERCY),
            person: rossi().public(),
            name: Text::new("Dr Rossi").unwrap(),
            role: Role::Physician,
            specialty: Text::new("radiology").unwrap(),
            from: NOW,
            until: NOW.plus(365 * DAY_MS),
            number: CredentialNumber(7),
        }
    }

    pub(crate) fn list(by: Issuer, ended: &[u64]) -> EndedCredentials {
        let ended = Ascending::from_items(ended.iter().copied().map(CredentialNumber).collect()).unwrap();
        EndedCredentials { by, number: 1, at: NOW, before: CredentialNumber(2), ended }
    }

    /// Dr Rossi, by Mercy.
    pub(crate) fn introduced() -> Introduction {
        let by = Issuer::Source(MERCY);
        let first = Vouching {
            credential: credential().sign(&CHAIN, &mercy()),
            ended: list(by, &[3, 9]).sign(&CHAIN, &mercy()),
        };
        Introduction { first, second: None }
    }

    #[test]
    fn all_of_it_is_read_as_it_was_written_and_logs_say_no_name() {
        let introduced = introduced();
        assert_eq!(encoding::decode(&encoding::encode(&introduced)), Ok(introduced.clone()));
        assert_eq!(
            encoding::decode(&encoding::encode(&introduced.first.credential)),
            Ok(introduced.first.credential.clone())
        );
        assert!(!format!("{introduced:?}").contains("Rossi"));
        for (at, role) in Role::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(role as u8), at);
        }
        // A role of a later version is none.
        let mut later = encoding::encode(&introduced.first.credential);
        let at = 33 + 33 + 4 + 8;
        assert_eq!(later[at], Role::Physician as u8);
        later[at] = 99;
        assert!(encoding::decode::<SignedCredential>(&later).is_err());
    }

    #[test]
    fn a_request_is_to_one_organisation_by_who_has_the_key() {
        let of = Issuer::Source(MERCY);
        let request =
            CredentialRequest { chain: CHAIN, of, name: Text::new("Dr Rossi").unwrap(), person: rossi().public() };
        let signed = request.clone().sign(&rossi());
        assert_eq!(signed.verify(&CHAIN, &of), Ok(&request));
        assert_eq!(encoding::decode(&encoding::encode(&signed)), Ok(signed.clone()));
        let other = Issuer::Source(SourceId::from_bytes([5; 32]));
        assert_eq!(signed.verify(&CHAIN, &other), Err(CredentialRequestError::OtherIssuer));
        assert_eq!(signed.verify(&ChainId::from_bytes([9; 32]), &of), Err(CredentialRequestError::OtherNetwork));
        let taken = CredentialRequest { person: mercy().public(), ..request }.sign(&rossi());
        assert_eq!(taken.verify(&CHAIN, &of), Err(CredentialRequestError::Signature(SignatureError::Wrong)));
        assert!(!format!("{signed:?}").contains("Rossi"));
    }
}
