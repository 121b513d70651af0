//! What a wallet holds, for eyes: no keys, no ids that mean anything elsewhere, no words.

use crate::sentence::{Day, Private};

/// Stands for a study, a grant or something else for as long as the app runs. It means nothing elsewhere.
pub type Handle = u32;

/// Whose wallet it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A patient's.
    Patient,
    /// A recipient's.
    Recipient,
}

/// What a wallet holds. It comes whole, whenever something of it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wallet {
    /// A patient's studies.
    pub studies: Vec<Study>,
    /// The grants that a patient made.
    pub grants: Vec<Grant>,
    /// What a recipient was granted.
    pub received: Vec<Received>,
    /// Studies that a hospital was asked to give to another wallet. Impossible to miss.
    pub pending: Vec<Pending>,
    /// How many studies a hospital is giving to this wallet.
    pub recovering: u32,
    /// How many studies are under words that were given up, and still to move.
    pub to_move: u32,
    /// When it was found that this is an older copy of the wallet.
    pub older_copy: Option<u64>,
    /// The places of the three words that are to be told; nothing once they were.
    pub words_due: Option<[u8; 3]>,
    /// How many hospitals do not answer while something waits for them; none if enough do.
    pub silent: u32,
    /// Whether the ledger has not been asked for so long that it should be.
    pub look_is_due: bool,
}

/// A study of a patient's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Study {
    /// Which.
    pub handle: Handle,
    /// What it is, in its hospital's words.
    pub what: Private,
    /// When it was made.
    pub day: Option<Day>,
    /// The hospital that made it.
    pub hospital: Private,
    /// Who it is about.
    pub about: Private,
    /// How many images it has.
    pub images: u32,
    /// How it stands.
    pub standing: Standing,
}

/// How a study stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is this wallet's.
    Held,
    /// The hospitals have not agreed yet that it is.
    NotFinal,
    /// Its hospital has not told yet what it is.
    NotTold,
    /// The hospital has suspended it.
    Suspended,
    /// The hospital has withdrawn it, for good.
    Withdrawn,
    /// It is another patient's: nothing is done with it.
    OtherPatient,
    /// It has another holder by now.
    OtherHolder,
    /// Whose it is is being settled.
    Frozen,
}

/// What stands beside a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An organisation vouches for it.
    Verified {
        /// Which.
        by: Private,
    },
    /// Nobody has checked it.
    Unverified,
    /// It is otherwise than when somebody of this name was let in before.
    Changed,
    /// Somebody vouched for it, and does no more.
    Ended,
}

/// A grant that a patient made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which.
    pub handle: Handle,
    /// On which study.
    pub study: Handle,
    /// To whom, in their own words; nothing when another wallet granted.
    pub name: Option<Private>,
    /// What stands beside the name.
    pub verdict: Verdict,
    /// Until when.
    pub until: u64,
    /// How far it is.
    pub stage: Stage,
}

/// How far a grant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Signed; the hospitals have not agreed yet.
    Signed,
    /// Final; whoever was let in was not told yet.
    NotDelivered,
    /// Final, and told.
    Active,
    /// It was ended here; the hospitals have not agreed yet.
    Ending,
    /// It has ended.
    Ended,
}

/// What a recipient was granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Which.
    pub handle: Handle,
    /// What the granter calls it.
    pub what: Private,
    /// Who it is about.
    pub about: Private,
    /// The hospital that has it.
    pub hospital: Private,
    /// Until when.
    pub until: u64,
    /// Whether it may be looked at and not kept.
    pub view_only: bool,
    /// How it stands.
    pub standing: ReceivedStanding,
    /// Whether the hospital called a copy that was made back, and nobody has said yet that they know.
    pub recall: Option<Recall>,
}

/// How something stands that was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceivedStanding {
    /// It can be fetched.
    Ready,
    /// All of it is here.
    Here,
    /// It begins at this instant.
    NotYet(u64),
    /// The ledger has not borne it out yet.
    Unproven,
    /// It has ended.
    Ended,
    /// The hospital has suspended it.
    Suspended,
    /// The hospital has withdrawn it.
    Withdrawn,
    /// It is another patient's: nothing is done with it.
    OtherPatient,
}

/// Why a hospital calls a copy back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recall {
    /// There is a newer revision.
    Replaced,
    /// It is suspended.
    Suspended,
    /// It was withdrawn.
    Withdrawn,
    /// It is another patient's.
    OtherPatient,
}

/// A study that a hospital was asked to give to another wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which study.
    pub study: Handle,
    /// From when on it can be completed.
    pub from: u64,
    /// Whether this wallet has said that it is not lost, and that is not final yet.
    pub is_vetoed: bool,
}

/// Somebody who looked, or tried to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Who, in their own words; nothing when another wallet let them in.
    pub name: Option<Private>,
    /// When.
    pub at: u64,
    /// What it was.
    pub kind: LookKind,
}

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LookKind {
    /// The images were opened.
    Opened,
    /// Somebody was refused.
    Refused,
    /// The hospital saw that a grant had ended.
    SawEnd,
}

/// Whoever shows a card, or answered an Invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// As they call themselves.
    pub name: Private,
    /// What they ask for.
    pub wish: Private,
    /// What stands beside the name.
    pub verdict: Verdict,
}

/// Images that are open to be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Which, as long as they are open.
    pub view: Handle,
    /// Each picture, in the order of the study.
    pub pictures: Vec<Shot>,
    /// What the reports say, each with its title.
    pub reports: Vec<Report>,
    /// How many items did not arrive.
    pub missing: u32,
}

/// One picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shot {
    /// Who it is of, as the image says.
    pub identity: Private,
    /// When it was made.
    pub made: Private,
    /// Which side, and how it lies; empty if the image does not say.
    pub side: Private,
}

/// What a report says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What it is called.
    pub title: Private,
    /// Its paragraphs; none where it cannot be read here.
    pub paragraphs: Vec<Private>,
}

impl LookKind {
    /// The key of its sentence.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Opened => "look.opened",
            Self::Refused => "look.refused",
            Self::SawEnd => "look.saw_end",
        }
    }
}
