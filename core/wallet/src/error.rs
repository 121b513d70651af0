//! Why something a person asked for was not done.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;

use clavicle_ledger::block::InclusionError;
use clavicle_ledger::id::GrantId;
use clavicle_ledger::light::{CheckpointError, LightError};
use clavicle_ledger::receipt::StatementError;
use clavicle_ledger::state::{NotProven, ReadError};
use clavicle_ledger::study::Standing;
use clavicle_ledger::time::Timestamp;
use clavicle_ledger::transaction::StatelessError;
use clavicle_ledger::tree::ProofError;
use clavicle_letters::card::CardError;
use clavicle_letters::credential::CredentialRequestError;
use clavicle_letters::grant_code::GrantCodeError;
use clavicle_letters::invitation::InvitationError;
use clavicle_letters::name::NameDoubt;
use clavicle_letters::seal::SealError;
use clavicle_letters::verdict::Unverified;
use clavicle_manifest::VerifyError;
use clavicle_network::endpoint::EndpointError;
use clavicle_network::pack::PackError;
use clavicle_network::pickup::{NotOffered, PickupError};
use clavicle_network::swarm::AskError;
use clavicle_network::transfer::FetchError;

use crate::silence::Silence;
use crate::vault::VaultError;

/// How often in a row a code is tried with a source that does not show that it knows the answer. A source that does not know it has one guess each
/// time. Hospitals allow five wrong answers; the rest is for connections that break.
pub const MAX_RUNS: u8 = 8;

/// Why something a person asked for was not done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WalletError {
    /// See [`VaultError`].
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The system gave no random bytes.
    #[error("the system's random generator failed")]
    Random(#[source] getrandom::Error),
    /// The genesis is no network.
    #[error("the network file cannot be a network")]
    Genesis(#[from] clavicle_ledger::genesis::GenesisError),
    /// A text on a card that cannot be.
    #[error("{what} cannot be used: {}", unusable(*len, *max))]
    Unusable {
        /// Which text.
        what: OwnText,
        /// How many bytes it has.
        len: usize,
        /// How many it may have.
        max: usize,
    },
    /// A patient's wallet where a recipient's is needed, or the other way round.
    #[error("this wallet is a {is}'s, and only a {needed}'s can do this")]
    OtherKind {
        /// What it is.
        is: &'static str,
        /// What is needed.
        needed: &'static str,
    },
    /// All keys of a branch were used.
    #[error("the wallet has used up its keys")]
    NoMoreKeys,
    /// No such device.
    #[error("no device of these words has the number {0}: see `clavicle wallet devices`")]
    NoDevice(u32),
    /// The one at hand.
    #[error(
        "a device cannot end itself: take new words, if somebody else may have these, or remove the wallet's folder"
    )]
    OwnDevice,
    /// No relay answered.
    #[error("none of the network's relays answers; check the connection and try again")]
    NoRelay(#[source] Option<AskError>),
    /// No block yet.
    #[error("the network has made no block yet; try again in a moment")]
    NoBlock,
    /// A code's block that is nowhere.
    #[error(
        "no relay that answers knows the block which the code names: try again in a moment, or ask the desk for a new code"
    )]
    NoCheckpoint,
    /// A relay said something that is not so.
    #[error(transparent)]
    Light(#[from] LightError),
    /// Nothing is believed any more, and no block leads on.
    #[error(
        "what this wallet knows of the network is more than 14 days old, and it found no block to go on from; try again later, and see whether \
         the clock is right"
    )]
    Checkpoint(#[source] CheckpointError),
    /// A relay's proof that does not hold: of a row or its absence, of an inclusion, or of something else than was
    /// asked for.
    #[error("a relay's proof does not hold; it was not believed")]
    Proof(#[source] Box<dyn Error + Send + Sync>),
    /// A relay answered something else.
    #[error("a relay answered something else than it was asked")]
    OtherAnswer,
    /// The hospitals refused it.
    #[error("the hospitals do not allow it: {0}")]
    Rejected(String),
    /// Not final yet.
    #[error(
        "the hospitals have not agreed on it yet; it stays submitted, and asked for again it goes on where it stopped"
    )]
    NotFinal,
    /// Not final yet, since too few answer.
    #[error(
        "{0}. What was signed is kept in this wallet, which gives it to the hospitals again whenever it is asked about grants; asked for \
         again, it goes on where it stopped"
    )]
    TooFew(Silence),
    /// A revocation that binds its source, and is in no block yet.
    #[error(
        "the hospital that keeps the study was told, and says that it sends nothing on this grant any more; but the hospitals have not agreed on it \
         yet. Asked for again, it goes on where it stopped"
    )]
    OnlyTold(#[source] Box<WalletError>),
    /// A transaction that could never be executed.
    #[error(transparent)]
    Stateless(#[from] StatelessError),
    /// Another network's code.
    #[error("the code is of another network than this wallet")]
    OtherNetwork,
    /// An old code.
    #[error("the code has expired; ask the desk for a new one")]
    Expired,
    /// A source that is not there.
    #[error("the code names a hospital that the network does not have")]
    NoSource,
    /// A code that contradicts the ledger.
    #[error(
        "the code names another key or other addresses for the hospital than the network's ledger does: somebody has altered it, or the \
         hospital has moved since it was printed. Nothing was sent; ask the desk for a new code"
    )]
    OtherPlace,
    /// Enough.
    #[error(
        "the code was tried {} times from this wallet, and never did the hospital show that it knows the answer: no more is tried, so that nobody \
         goes on guessing. Ask the desk for a new code",
        MAX_RUNS
    )]
    TriedTooOften,
    /// Nothing of a visit is offered.
    #[error(transparent)]
    NotOffered(NotOffered),
    /// Something of ours went wrong.
    #[error("a defect of this program ended it; try again")]
    Defect,
    /// See [`PickupError`].
    #[error(transparent)]
    Pickup(#[from] PickupError),
    /// What was offered is not what the source signed.
    #[error("the hospital's offer is not to be believed")]
    Offer(#[source] Option<VerifyError>),
    /// The claim failed.
    #[error("the hospital did not hand the study over: {0}")]
    NotClaimed(String),
    /// See [`CardError`].
    #[error(transparent)]
    Card(#[from] CardError),
    /// A card whose mailbox is nowhere.
    #[error(
        "the card's mailbox is kept by hospitals that the network does not have, so that no letter would arrive: ask for another card"
    )]
    UnknownRelays,
    /// Somebody to be let in only by whoever says so once more.
    #[error("nothing was granted. {0}. If you are sure who this is, say that you let them in all the same")]
    SecondLook(String),
    /// No team any more, as far as can be seen, though it was shown as one when this was asked for.
    #[error(
        "nothing was granted: it was asked for while a hospital said that this is a team, and now it is {0}. Try again later with a network, or end it and look at the card anew"
    )]
    NoTeamNow(String),
    /// No such hospital.
    #[error("no hospital of the network is called {0:?}, or has an id that begins so; see the network's file")]
    NoSuchSource(String),
    /// Nobody was asked.
    #[error("nobody was asked to vouch for this wallet: write a request first, and give it to your hospital")]
    NobodyAsked,
    /// The hospital has not answered.
    #[error("{0} does not vouch for this wallet, or not yet: ask whoever you gave the request to")]
    NotVouchedFor(String),
    /// A file that is no introduction of this wallet's.
    #[error("what was given does not introduce this wallet: {0}")]
    NotIntroduced(Unverified),
    /// Not an organisation.
    #[error(
        "this wallet is no practice's and no team's: a hospital has to vouch for it as one first (clavicle recipient request-credential)"
    )]
    NoOrganisation,
    /// An organisation that nobody vouches for now.
    #[error("this wallet cannot vouch for anybody now, and nobody opens anything in its name: {0}")]
    OrganisationNotVouchedFor(String),
    /// Somebody else's organisation, for which nobody vouches.
    #[error("no hospital vouches for it as a practice or a team, so that its word would be worth nothing: {0}")]
    OtherOrganisation(String),
    /// An organisation of an organisation.
    #[error("a practice or a team vouches for persons, and for no practice and no team")]
    NotAPerson,
    /// A name that would fool somebody.
    #[error(
        "nobody is vouched for under this name: {0}. Have another request written, under the name as it is spelled"
    )]
    DoubtfulName(NameDoubt),
    /// Too many members.
    #[error("so many members, {0}, are vouched for that no more are")]
    TooManyMembers(usize),
    /// Too many that were ended.
    #[error(
        "so many credentials, {0}, were ended before their time was over that no more can be: vouch for a shorter time"
    )]
    TooManyEnded(usize),
    /// No such member.
    #[error("no credential that is in force has the number {0}; see `clavicle recipient vouched`")]
    NoMember(u64),
    /// A team's grant, and nobody who opens it.
    #[error("this was granted to a team, whose members open it, each by name: say who you are (--as FOLDER)")]
    MemberNeeded,
    /// No member.
    #[error("this wallet does not vouch for whoever would open it, or no more: see `clavicle recipient vouched`")]
    NotAMember,
    /// See [`CredentialRequestError`].
    #[error(transparent)]
    CredentialRequest(#[from] CredentialRequestError),
    /// All keys of the card are used.
    #[error("every key on this card was granted something already; ask for a new card")]
    CardUsedUp,
    /// Fewer keys than studies.
    #[error(
        "the card has keys for {keys} of the {studies} studies, and each needs its own: ask for a card with more keys, or grant fewer. Nothing was granted"
    )]
    TooFewKeys {
        /// Keys that are free.
        keys: usize,
        /// Studies that were to be granted.
        studies: usize,
    },
    /// A card that ends before all is granted.
    #[error(
        "the card is good until {0}, and not all would be granted by then: ask for a newer one, or grant within a shorter time. Nothing was granted"
    )]
    CardTooShort(Timestamp),
    /// Too much planned.
    #[error("more grants are planned for later than this wallet keeps: wait until some are made. Nothing was granted")]
    TooManyPlanned,
    /// Something else is planned for the same card.
    #[error(
        "grants to this card are planned already, of other studies or on other terms, and they stand: wait until they are made, or stop them first \
         (revoke whoever they are for) and ask once more. Nothing else was planned"
    )]
    OtherPlan,
    /// No key for one more grant to the same person.
    #[error(
        "their card has no key left for another grant, and their device has not sent more yet: it does when they look into their inbox. Nothing was changed"
    )]
    NoKeyLeft,
    /// It was changed already, otherwise.
    #[error("it was changed already: grant {0} stands in its place")]
    Replaced(GrantId),
    /// It has ended, or is about to.
    #[error("it was revoked: there is nothing to change, and what is to be allowed again is granted anew")]
    NothingToChange,
    /// No renewal.
    #[error("it lasts until {0} as it is, and would be shorter: to shorten it, narrow it. Nothing was changed")]
    NotLonger(Timestamp),
    /// Nothing less.
    #[error("this does not narrow the grant: {0}. Nothing was changed")]
    NotNarrower(&'static str),
    /// The count of openings begins anew.
    #[error(
        "how often it may be opened was counted, and the count begins anew with what takes its place: say how often from now on. Nothing was changed"
    )]
    OpeningsToSay,
    /// A series that the study does not have.
    #[error("the study has no series called {0:?}: see `series` for those it has. Nothing was granted")]
    NoSeries(String),
    /// Several series of one number or description.
    #[error(
        "{count} series of the study are called {said:?}: name the one that is meant by its UID. Nothing was granted"
    )]
    AmbiguousSeries {
        /// What was said.
        said: String,
        /// How many there are.
        count: usize,
    },
    /// None chosen.
    #[error("no series was chosen: choose one at least, or the whole study. Nothing was granted")]
    NoSeriesChosen,
    /// More than Terms name.
    #[error(
        "{0} series were chosen, and a grant names {max} at most: choose fewer, or the whole study. Nothing was granted",
        max = clavicle_ledger::terms::MAX_SERIES
    )]
    TooManySeries(usize),
    /// Series of one study, for several.
    #[error("series are of one study, and several are to be granted: grant each by itself. Nothing was granted")]
    SeriesOfSeveral,
    /// Nobody has told which series there are.
    #[error("which series the study has its hospital has not told this wallet yet: let it ask while it has a network")]
    SeriesNotKnown,
    /// Sooner than the wallet lets anybody in.
    #[error("this wallet is set so that nothing it grants begins within {hours} h: let it begin later")]
    TooSoon {
        /// How long it waits.
        hours: u64,
    },
    /// More often than the wallet lets anybody in.
    #[error("this wallet is set so that it grants no more than {most} in seven days, and these are used up")]
    TooOften {
        /// How often.
        most: u32,
    },
    /// To be looked at and not kept.
    #[error(
        "it was granted to be looked at and not kept: fetch it without writing files, and look at it from this wallet"
    )]
    ViewOnly,
    /// See [`SealError`].
    #[error(transparent)]
    Seal(#[from] SealError),
    /// One to the same card on other terms.
    #[error(
        "a grant to this card was begun on other terms and is not finished: ask for it again in the words of then, or \
         revoke it first (grant {0})"
    )]
    Unfinished(GrantId),
    /// The letter could not be left.
    #[error(
        "the grant is final, but the recipient's mailbox could not be reached; asked for again, the letter is left there"
    )]
    NotDelivered,
    /// No mailbox could be opened.
    #[error("no relay would keep a mailbox for the card; try again later")]
    NoMailbox,
    /// No such study.
    #[error("no study in this wallet begins with {0:?}; see the list of studies")]
    NoStudy(String),
    /// No such grant.
    #[error("no grant in this wallet begins with {0:?}; see the list of grants")]
    NoGrant(String),
    /// Not the words that were asked for.
    #[error(
        "these are not words {}, {} and {} of this wallet; look at what you wrote down. Other words are asked for now", .0[0], .0[1], .0[2]
    )]
    OtherWords([u8; 3]),
    /// No new words were shown.
    #[error("no new words wait to be taken into use: have them shown first, and write them down")]
    NoNewWords,
    /// Nothing to veto.
    #[error("no hospital was asked to give a study of this wallet to anybody else: there is nothing to veto")]
    NothingPending,
    /// Nobody of that name.
    #[error("nobody called {0:?} was granted anything by this wallet; see the list of grants, or end everything")]
    NoPerson(String),
    /// More than one.
    #[error("{count} of them begin with {begin:?}; give more of it")]
    Ambiguous {
        /// As typed.
        begin: String,
        /// How many.
        count: usize,
    },
    /// Not final.
    #[error("the study is not final yet: take its pickup code once more")]
    StudyNotFinal,
    /// Somebody else's.
    #[error("the study is not this wallet's any more: it has another holder on the ledger")]
    OtherHolder,
    /// Not on the ledger.
    #[error("the study is not on the ledger")]
    NotOnLedger,
    /// Not served.
    #[error("{}", standing(*.0))]
    Standing(Standing),
    /// Receipts that do not hold.
    #[error("the hospital's receipts of who looked are not to be believed: {0}")]
    Receipts(#[from] StatementError),
    /// Receipts that are others now, or gone.
    #[error(
        "the hospital shows other receipts of who looked than it showed before, at number {0}: keep this wallet as it is, \
         and ask the hospital why"
    )]
    ReceiptsChanged(u64),
    /// See [`InvitationError`].
    #[error(transparent)]
    Invitation(#[from] InvitationError),
    /// No such Invitation.
    #[error("this wallet has no such invitation, or it ended long ago; make a new one, or ask for it")]
    NoInvitation,
    /// An Invitation whose mailbox is nowhere.
    #[error(
        "the invitation's mailbox is kept by hospitals that the network does not have, so that no answer would arrive: ask the patient for \
         another invitation"
    )]
    UnknownInvitation,
    /// Nobody answered.
    #[error("nobody has answered the invitation while it was good; show a new one")]
    InvitationOver,
    /// The patient's device did not take the answer.
    #[error(
        "the patient's device has not taken the answer while the invitation was good: it was closed, or somebody else has answered too. Nothing \
         was granted by it; ask the patient for a new invitation"
    )]
    InvitationUnopened,
    /// Two have answered.
    #[error(
        "two different answers came to this invitation, so that somebody else has seen the code. It is void, and nothing was granted by it: show a \
         new one, so that only the right person sees it"
    )]
    SecondAnswer,
    /// Other words.
    #[error(
        "these are not the words: somebody may be between the two devices. The invitation is void, and nothing was granted by it: show a new one to \
         the person you mean"
    )]
    WordsDiffer,
    /// Nobody to compare with.
    #[error("nobody has answered the invitation yet, so that there are no words to compare")]
    NotAnswered,
    /// The words were not picked.
    #[error(
        "the four words have not been compared yet, and nothing is granted before: pick those that the other screen shows"
    )]
    NotPicked,
    /// The answer could not be left.
    #[error("no relay that keeps the invitation's mailbox took the answer; asked for again, it is left there")]
    NotAnsweredYet,
    /// What opens the Invitation could not be left.
    #[error("somebody has answered, and could not be told so; asked for again, it goes on where it stopped")]
    NotOpened,
    /// More than somebody from afar gets whom nobody has checked.
    #[error(
        "nobody has checked this name, and they are not here: they may look at one study, for 24 hours at most. Ask them for a card that a hospital \
         vouches for, or let them in face to face"
    )]
    FarTooMuch,
    /// A grant that has not begun.
    #[error("it begins at {0}; nothing can be fetched before")]
    GrantNotYet(Timestamp),
    /// Nothing to sign on without a network.
    #[error(
        "without a network a grant is signed by what this wallet heard of the study in the last week, and it has heard nothing: let it look at its \
         studies once while it has one"
    )]
    NotKnownHere,
    /// See [`GrantCodeError`].
    #[error(transparent)]
    GrantCode(#[from] GrantCodeError),
    /// A grant that ends before it begins.
    #[error("the grant would have ended already")]
    TooShort,
    /// A grant that is not there any more, by the ledger.
    #[error("it was revoked, replaced, or has ended: the ledger does not have it any more (as of height {height})")]
    GrantGone {
        /// As of when.
        height: u64,
    },
    /// A grant that is over.
    #[error("it ended at {0}")]
    GrantOver(Timestamp),
    /// See [`EndpointError`].
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Not known yet.
    #[error("the study's hospital has not told yet what it is; let this wallet find its studies once more")]
    NotTold,
    /// See [`FetchError`].
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was fetched cannot be read or kept.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// Not in the cache.
    #[error("the study was not fetched yet")]
    NotFetched,
    /// A file.
    #[error("{path} could not be read or written")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        error: io::Error,
    },
}

/// For each kind of proof: nobody does anything else about one than about another.
macro_rules! proofs {
    ($($fault:ty),*) => {$(
        impl From<$fault> for WalletError {
            fn from(fault: $fault) -> Self {
                Self::Proof(Box::new(fault))
            }
        }
    )*};
}

proofs!(ProofError, InclusionError, ReadError<NotProven>);

/// A text that a person chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnText {
    /// The name on a recipient's cards.
    Name,
    /// What a card asks for.
    Wish,
    /// In what a member is somebody.
    Specialty,
}

impl fmt::Display for OwnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "the name",
            Self::Wish => "the wish",
            Self::Specialty => "the specialty",
        })
    }
}

/// Why a text cannot be used.
fn unusable(len: usize, max: usize) -> String {
    match len {
        0 => "it is empty".to_owned(),
        _ if len > max => format!("it is {len} bytes long and may be {max} at most"),
        _ => "it holds characters that do not show; leave them out".to_owned(),
    }
}

/// What a standing means to who would grant or fetch.
fn standing(standing: Standing) -> String {
    match standing {
        Standing::Withdrawn(reason) => {
            format!(
                "the hospital has withdrawn the study ({reason}), for good: nothing of it can be granted or fetched any more"
            )
        }
        Standing::Suspended(reason) => format!(
            "the hospital has suspended the study ({reason}); nothing can be granted or fetched until it resumes it"
        ),
        Standing::Active | Standing::Frozen => {
            format!("the study is {standing}; nothing new can be granted until the hospitals have settled whose it is")
        }
    }
}

impl WalletError {
    /// A word for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Vault(VaultError::WrongPassphrase | VaultError::Weak(_)) => "passphrase",
            Self::Vault(_) => "vault",
            Self::Random(_) => "system",
            Self::Genesis(_) | Self::OtherNetwork | Self::NoSource => "network",
            Self::Unusable { what: OwnText::Name, .. } => "name",
            Self::Unusable { what: OwnText::Wish, .. } => "wish",
            Self::Unusable { what: OwnText::Specialty, .. } => "credential",
            Self::OtherKind { .. } => "kind",
            Self::NoMoreKeys => "keys",
            Self::OtherWords(_) | Self::NoNewWords => "words",
            Self::Checkpoint(_) => "checkpoint",
            Self::NoRelay(_) | Self::NoBlock | Self::NoCheckpoint => "unreachable",
            Self::Receipts(_) | Self::ReceiptsChanged(_) => "receipts",
            Self::Light(_) | Self::Proof(_) | Self::OtherAnswer => "proof",
            Self::Rejected(_) | Self::Stateless(_) => "rejected",
            Self::NotFinal | Self::TooFew(_) | Self::OnlyTold(_) | Self::StudyNotFinal => "not_final",
            Self::NotTold => "not_told",
            Self::Expired => "expired",
            Self::OtherPlace => "altered",
            Self::Pickup(_) | Self::Offer(_) | Self::NotClaimed(_) | Self::TriedTooOften | Self::NotOffered(_) => {
                "pickup"
            }
            Self::Card(_) | Self::CardUsedUp | Self::TooFewKeys { .. } | Self::UnknownRelays => "card",
            Self::TooSoon { .. } | Self::TooOften { .. } => "caps",
            Self::ViewOnly => "view_only",
            Self::NoKeyLeft | Self::CardTooShort(_) => "card",
            Self::TooManyPlanned | Self::OtherPlan => "terms",
            Self::Replaced(_) | Self::NothingToChange => "ended",
            Self::NotLonger(_) | Self::NotNarrower(_) | Self::OpeningsToSay => "terms",
            Self::NoSeries(_)
            | Self::AmbiguousSeries { .. }
            | Self::NoSeriesChosen
            | Self::TooManySeries(_)
            | Self::SeriesOfSeveral
            | Self::SeriesNotKnown => "series",
            Self::Invitation(_)
            | Self::NoInvitation
            | Self::UnknownInvitation
            | Self::InvitationOver
            | Self::InvitationUnopened => "invitation",
            Self::SecondAnswer | Self::WordsDiffer => "void",
            Self::NotAnswered | Self::NotPicked | Self::NotAnsweredYet | Self::NotOpened => "not_compared",
            Self::FarTooMuch => "limits",
            Self::NotKnownHere => "unreachable",
            Self::GrantCode(_) => "altered",
            Self::GrantNotYet(_) => "not_yet",
            Self::SecondLook(_) => "second_look",
            Self::NoTeamNow(_)
            | Self::NoSuchSource(_)
            | Self::NobodyAsked
            | Self::NotVouchedFor(_)
            | Self::NotIntroduced(_)
            | Self::NoOrganisation
            | Self::OrganisationNotVouchedFor(_)
            | Self::OtherOrganisation(_)
            | Self::NotAPerson
            | Self::DoubtfulName(_)
            | Self::TooManyMembers(_)
            | Self::TooManyEnded(_)
            | Self::NoMember(_)
            | Self::CredentialRequest(_) => "credential",
            Self::MemberNeeded | Self::NotAMember => "member",
            Self::Unfinished(_) => "unfinished",
            Self::Seal(_) | Self::NotDelivered | Self::NoMailbox => "mailbox",
            Self::OwnDevice => "device",
            Self::NoDevice(_)
            | Self::NoStudy(_)
            | Self::NoGrant(_)
            | Self::NoPerson(_)
            | Self::NothingPending
            | Self::Ambiguous { .. } => "not_found",
            Self::OtherHolder | Self::NotOnLedger | Self::Standing(_) => "study",
            Self::TooShort => "terms",
            Self::GrantGone { .. } | Self::GrantOver(_) => "ended",
            Self::Endpoint(_) | Self::Defect => "system",
            Self::Fetch(FetchError::Refused(_)) => "refused",
            Self::Fetch(FetchError::Pack(_)) => "file",
            Self::Fetch(_) => "fetch",
            Self::Pack(_) | Self::File { .. } => "file",
            Self::NotFetched => "not_fetched",
        }
    }
}
