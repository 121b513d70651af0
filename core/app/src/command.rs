//! What can be asked of a wallet.

use core::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clavicle_ledger::derivation::Words;
use clavicle_ledger::id::{GrantId, StudyId};
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::receipt::SignedReceipt;
use clavicle_ledger::time::{Height, Timestamp};
use clavicle_letters::about::About;
use clavicle_letters::card::SignedCard;
use clavicle_letters::credential::{Introduction, Role, SignedCredentialRequest};
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::invitation::SignedInvitation;
use clavicle_letters::organisation::MemberWord;
use clavicle_letters::pickup::PickupCode;
use clavicle_letters::transcript::InvitationId;
use clavicle_letters::verdict::Verdict;
use clavicle_letters::words::FourWords;
use clavicle_manifest::Comparison;
use clavicle_wallet::cache::Images;
use clavicle_wallet::download::Downloaded;
use clavicle_wallet::objection::Objection;
use clavicle_wallet::patient::{
    Access, Cap, Caps, Changed, Endings, GrantChange, GrantRequest, Granted, Introduced, Look, PickupOutcome,
    RecoveryOutcome, VetoRow, Way, Whose,
};
use clavicle_wallet::recipient::{ActingMember, OwnStanding, VouchedRow};
use clavicle_wallet::scope::KnownSeries;
use clavicle_wallet::vault::KeyStore;
use zeroize::Zeroizing;

use crate::invitation::{AnswerRow, InvitationRow};
use crate::person::Person;
use crate::trouble::Trouble;

/// Something that can be asked of a wallet, and what it gives.
pub trait Ask: Into<Command> {
    /// What it gives.
    type Done: Send + 'static;

    /// That, of what was done; nothing when something else was.
    fn take(done: Done) -> Option<Self::Done>;
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident { $($(#[$about:meta])* $field:ident: $type:ty,)* } -> $done:ty;)*) => {
        /// Something that is asked of a wallet.
        #[derive(Clone)]
        pub enum Command {
            $($(#[$doc])* $name($name),)*
        }

        /// What was done.
        pub enum Done {
            $($(#[$doc])* $name($done),)*
        }

        impl fmt::Debug for Done {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name(_) => stringify!($name),)*
                })
            }
        }

        impl Command {
            /// What it is called.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($name),)*
                }
            }
        }

        $(
            $(#[$doc])*
            #[derive(Clone)]
            pub struct $name {
                $($(#[$about])* pub $field: $type,)*
            }

            impl From<$name> for Command {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }

            impl Ask for $name {
                type Done = $done;

                fn take(done: Done) -> Option<$done> {
                    match done {
                        Done::$name(done) => Some(done),
                        _ => None,
                    }
                }
            }
        )*
    };
}

commands! {
    /// A patient takes hold of the studies behind a hospital's code.
    PickUp {
        /// The code.
        code: PickupCode,
        /// What it asks for.
        answer: Zeroizing<String>,
        /// Whether it stays on this device: the others are not told of it.
        only_here: bool,
    } -> PickupOutcome;

    /// A patient's devices tell each other what they did. The first time, this one says to the others that it is there.
    ShareDevices {} -> SharedNews;

    /// A patient names a device.
    NameDevice {
        /// Its number.
        device: u32,
        /// What it is called.
        name: String,
    } -> ();

    /// A patient ends another device: it is told nothing any more, and not listened to. It has the words all the same.
    EndDevice {
        /// Its number.
        device: u32,
    } -> ();

    /// A patient looks for studies that another wallet of the same words picked up.
    FindStudies {
        /// Where to begin, if nothing is believed any more: of a code that a hospital handed over.
        checkpoint: Option<Checkpoint>,
    } -> Vec<FoundStudy>;

    /// A patient asks the ledger how the studies stand. Why not all of it could be asked: what was said
    /// before still stands.
    AskStudies {} -> Option<Trouble>;

    /// A patient lets somebody fetch a study.
    GrantStudy {
        /// Which.
        study: StudyId,
        /// Whoever showed this card.
        card: SignedCard,
        /// On which terms.
        request: GrantRequest,
        /// Whether the patient has read what stands beside the name, and lets them in although a credential has ended
        /// or the name is otherwise than before.
        all_the_same: bool,
    } -> Granted;

    /// A patient signs a grant without a network, as a code that anybody may submit.
    SignGrant {
        /// Of which study.
        study: StudyId,
        /// Whoever showed this card.
        card: SignedCard,
        /// On which terms.
        request: GrantRequest,
        /// Whether whoever signs has read what stands beside the name.
        all_the_same: bool,
    } -> Box<(Granted, GrantCode)>;

    /// Somebody submits a grant that was signed without a network. At which height it became final.
    SubmitGrant {
        /// The grant.
        code: GrantCode,
    } -> Height;

    /// A patient makes an Invitation, to be shown to somebody who is to be let in. One that nobody has answered yet is
    /// that one again.
    Invite {
        /// How it is shown.
        way: Way,
        /// For how many minutes it is good.
        minutes: u64,
    } -> InvitationRow;

    /// A patient looks once whether somebody has answered.
    LookForAnswer {
        /// Which Invitation.
        invitation: InvitationId,
    } -> InvitationRow;

    /// A patient or a recipient waits until there may be something to look for, of an Invitation that was shown or answered; some seconds at
    /// most. It ends as soon as anything else is asked for.
    AwaitInvitation {
        /// Which Invitation.
        invitation: InvitationId,
    } -> ();

    /// A patient picks the words that the other screen shows. Others than the right ones void the Invitation.
    PickWords {
        /// Of which Invitation.
        invitation: InvitationId,
        /// The words; nothing, if the other screen shows none of the choices.
        words: Option<FourWords>,
    } -> InvitationRow;

    /// A patient lets whoever answered fetch a study, once the words were picked. From afar, and to a name that nobody
    /// checked, within narrow limits.
    GrantInvited {
        /// By which Invitation.
        invitation: InvitationId,
        /// Which study.
        study: StudyId,
        /// On which terms.
        request: GrantRequest,
    } -> Granted;

    /// A patient looks at a card: who shows it, and who vouches for that.
    LookAtCard {
        /// Which.
        card: SignedCard,
    } -> Introduced;

    /// A patient lets somebody fetch several studies: all are signed, each to a key of its own, or none. With each why
    /// it could not be finished now, if it could not; it is brought in later.
    GrantStudies {
        /// Which.
        studies: Vec<StudyId>,
        /// Whoever showed this card.
        card: SignedCard,
        /// On which terms.
        request: GrantRequest,
        /// Whether the patient has read what stands beside the name, and lets them in although a credential has ended
        /// or the name is otherwise than before.
        all_the_same: bool,
    } -> Vec<(Granted, Option<Trouble>)>;

    /// A patient lets somebody who is not there fetch several studies: one now, and each of the others at a moment of its own within some
    /// hours, so that nobody sees from the moments whose they are. Those that were tried now, and why one is not finished; what is still to come stands in the
    /// [`State`](crate::State), and is done by [`BringIn`] when its time has come.
    SpreadGrants {
        /// Which.
        studies: Vec<StudyId>,
        /// Whoever showed this card.
        card: SignedCard,
        /// On which terms.
        request: GrantRequest,
        /// Whether the patient has read what stands beside the name.
        all_the_same: bool,
        /// Within how long, in milliseconds.
        over_ms: u64,
    } -> Vec<(StudyId, Option<Trouble>)>;

    /// A patient has a grant last longer, or allow less. Another takes its place, and it ends when that one is final.
    ChangeGrant {
        /// How its id begins.
        grant: String,
        /// How it is to be changed.
        change: GrantChange,
        /// Whether the patient has read what stands beside the name.
        all_the_same: bool,
    } -> Box<Changed>;

    /// A patient says how soon and how often this wallet lets anybody in: what is stricter counts at once, what is
    /// looser later. With nothing said, what counts is told.
    SetCaps {
        /// How soon and how often.
        cap: Option<Cap>,
    } -> Caps;

    /// A patient's wallet gives what was signed and is not final yet to the hospitals again.
    BringIn {} -> ();

    /// A patient asks which series a study has, to choose among: as its hospital told, which is asked where it has to be.
    ListSeries {
        /// Which study.
        study: StudyId,
    } -> Vec<KnownSeries>;

    /// A patient asks who has access to a study, and who looked.
    AskWho {
        /// Which.
        study: StudyId,
    } -> WhoHas;

    /// A patient ends a grant.
    RevokeGrant {
        /// How its id begins; it may be one that another wallet of the same words made.
        grant: String,
    } -> RevokedGrant;

    /// A patient ends all grants of one person, or of everybody.
    EndGrants {
        /// Whose.
        whose: Whose,
    } -> Endings<Trouble>;

    /// A patient fetches a study of their own.
    FetchOwn {
        /// Which.
        study: StudyId,
        /// The folder that its files are to be in; without one it stays sealed in the wallet.
        out: Option<PathBuf>,
    } -> Downloaded;

    /// A recipient makes a card, to be shown to a patient.
    ShowCard {
        /// How many studies can be granted to it.
        keys: usize,
        /// For how many days it is good.
        days: u64,
        /// What is asked for, in a few words.
        wish: String,
    } -> SignedCard;

    /// A recipient answers a patient's Invitation. Asked for once more it is the same answer.
    AnswerInvitation {
        /// The Invitation.
        invitation: SignedInvitation,
        /// How many studies can be granted to the card that is sent.
        keys: usize,
        /// For how many days it is good.
        days: u64,
        /// What is asked for, in a few words.
        wish: String,
    } -> AnswerRow;

    /// A recipient looks once whether the patient's device has taken its answer, and there are words to compare.
    LookForOpening {
        /// Which Invitation.
        invitation: InvitationId,
    } -> AnswerRow;

    /// A recipient asks a hospital to vouch for it: what is to be given to the hospital.
    RequestCredential {
        /// The hospital, by its name or the beginning of its id.
        hospital: String,
    } -> SignedCredentialRequest;

    /// A practice or a team shows who it is, for those who want to become members.
    ShowOrganisation {} -> Box<Introduction>;

    /// A recipient asks a practice or a team to vouch for it: what is to be given to it.
    RequestMembership {
        /// What the practice or the team showed.
        organisation: Box<Introduction>,
    } -> SignedCredentialRequest;

    /// A recipient takes the word of a practice or a team. Whether its cards show it: not where a hospital itself
    /// vouches.
    TakeWord {
        /// The word, as it was given.
        word: Box<MemberWord>,
    } -> bool;

    /// A practice or a team vouches for a member: the word to be given, and whether newer lists will be found.
    VouchForMember {
        /// What the member asks.
        request: SignedCredentialRequest,
        /// What they are.
        role: Role,
        /// In what; may be empty.
        specialty: String,
        /// For how many days, at most until the hospital's word for the practice or the team ends.
        days: u64,
    } -> (Box<MemberWord>, bool);

    /// A practice or a team lists for whom it vouches, and for whom no more.
    ListVouched {} -> Vec<VouchedRow>;

    /// A practice or a team vouches for somebody no more; and whether a list that says so could be left already.
    EndVouching {
        /// The credential's number.
        number: u64,
    } -> (VouchedRow, bool);

    /// A recipient asks what others see beside its name.
    AskStanding {} -> OwnStanding;

    /// A recipient looks for cards that another wallet of the same words showed, and reads what came to them.
    FindGranted {} -> FoundGrants;

    /// A recipient has a hospital asked what it says of this person: of a wallet that was restored.
    FetchCredential {
        /// The hospital, by its name or the beginning of its id.
        hospital: String,
    } -> ();

    /// A recipient reads what came, and asks the ledger what has become of it all.
    ReadInbox {} -> InboxRead;

    /// A recipient fetches what was granted.
    FetchGranted {
        /// By which grant.
        grant: GrantId,
        /// The folder that its files are to be in; without one it stays sealed in the wallet.
        out: Option<PathBuf>,
    } -> Downloaded;

    /// A practice or a team fetches what it was granted, by one of its members, whom the receipt names.
    FetchAsMember {
        /// By which grant.
        grant: GrantId,
        /// The folder that its files are to be in; without one it stays sealed in the wallet.
        out: Option<PathBuf>,
        /// Who opens it.
        member: ActingMember,
    } -> Downloaded;

    /// A patient says that the keys are not lost, where a hospital was asked to give studies to another wallet.
    VetoRecoveries {
        /// On which study; on all without one.
        study: Option<StudyId>,
    } -> Vec<VetoRow<Trouble>>;

    /// A patient takes the next step of getting studies back whose keys were lost, with a code of the desk for that.
    RecoverStudies {
        /// The code.
        code: PickupCode,
        /// What it asks for.
        answer: Zeroizing<String>,
    } -> RecoveryOutcome;

    /// A patient has new words shown, since somebody else may have the old ones; and the places of the three that are
    /// asked for then.
    ShowNewWords {
        /// What opens the wallet.
        keys: Arc<dyn KeyStore>,
    } -> (Words, [u8; 3]);

    /// Three of the new words are told: from then on they are the wallet's.
    TakeNewWords {
        /// The three, in their order.
        words: Zeroizing<String>,
    } -> ();

    /// A patient's studies go from the keys of words that were given up to keys of those of now.
    MoveStudies {
        /// Whether what was allowed on them goes on.
        keep_grants: bool,
    } -> MovedStudies;

    /// Three words are told, those of [`State::words_asked`](crate::State), as proof that all are written down.
    CheckWords {
        /// The three, in their order.
        words: Zeroizing<String>,
    } -> ();

    /// All words are shown, to whoever opens the wallet once more.
    ShowWords {
        /// What opens it.
        keys: Arc<dyn KeyStore>,
    } -> Words;

    /// The wallet is given a second way in, beside what opens it: a telephone's own lock.
    AddKeys {
        /// What opens it, too, from then on.
        keys: Arc<dyn KeyStore>,
    } -> ();

    /// A patient opens a study of their own: fetched as far as it can be, since a report may have come since.
    OpenOwn {
        /// Which.
        study: StudyId,
    } -> OpenStudy;

    /// A recipient opens what was granted. It is fetched only where something is missing, or the ledger has another
    /// revision: each fetch leaves a receipt.
    OpenGranted {
        /// How the id of the study or of the grant begins. Of several letters about a study the one counts that the
        /// ledger bears out, which is asked first.
        begin: String,
    } -> OpenStudy;

    /// The images of a study are used in spite of something, and that is written down: before they are.
    NoteUse {
        /// Of which study.
        study: StudyId,
        /// What is done with them.
        what: String,
        /// In spite of what.
        why: Objection,
    } -> ();

    /// The images of a study are removed from this wallet; the right to fetch them stays. Whether there were any.
    ForgetCopy {
        /// Of which study.
        study: StudyId,
    } -> bool;
}

impl Command {
    /// Whether it goes before others: somebody wants it to end now.
    pub(crate) const fn is_urgent(&self) -> bool {
        matches!(self, Self::RevokeGrant(_) | Self::EndGrants(_) | Self::VetoRecoveries(_))
    }

    /// Whether it needs the ledger, so that a wallet that was away for long must find its way back first.
    pub(crate) const fn asks_the_ledger(&self) -> bool {
        !matches!(
            self,
            Self::ForgetCopy(_)
                | Self::ListVouched(_)
                | Self::SetCaps(_)
                | Self::NameDevice(_)
                | Self::EndDevice(_)
                | Self::SignGrant(_)
                | Self::ListSeries(_)
                | Self::AwaitInvitation(_)
                | Self::NoteUse(_)
                | Self::CheckWords(_)
                | Self::ShowWords(_)
                | Self::ShowNewWords(_)
                | Self::TakeNewWords(_)
                | Self::AddKeys(_)
        )
    }

    /// Whether it only waits, and ends for whatever else is asked for.
    pub(crate) const fn only_waits(&self) -> bool {
        matches!(self, Self::AwaitInvitation(_))
    }

    /// Whether it goes on beside others once it has begun.
    pub(crate) const fn is_fetch(&self) -> bool {
        matches!(
            self,
            Self::FetchOwn(_)
                | Self::FetchGranted(_)
                | Self::FetchAsMember(_)
                | Self::OpenOwn(_)
                | Self::OpenGranted(_)
        )
    }

    /// Whether it is stopped for what goes before others, and begun again afterwards: nobody is asked for
    /// anything twice by that.
    pub(crate) const fn gives_way(&self) -> bool {
        matches!(
            self,
            Self::FindStudies(_)
                | Self::FindGranted(_)
                | Self::ShareDevices(_)
                | Self::FetchCredential(_)
                | Self::GrantStudy(_)
                | Self::GrantStudies(_)
                | Self::GrantInvited(_)
                | Self::ChangeGrant(_)
                | Self::SpreadGrants(_)
                | Self::SignGrant(_)
                | Self::SubmitGrant(_)
                | Self::LookForAnswer(_)
                | Self::LookForOpening(_)
                | Self::MoveStudies(_)
                | Self::LookAtCard(_)
                | Self::AskStanding(_)
                | Self::AskStudies(_)
                | Self::ListSeries(_)
                | Self::AskWho(_)
                | Self::BringIn(_)
                | Self::ReadInbox(_)
                | Self::FetchOwn(_)
                | Self::FetchGranted(_)
                | Self::FetchAsMember(_)
                | Self::OpenOwn(_)
                | Self::OpenGranted(_)
        )
    }
}

impl fmt::Debug for Command {
    /// Its name; what is in it is somebody's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Who has access to a study, and who looked.
#[derive(Clone, Debug)]
pub struct WhoHas {
    /// Who has access, as the ledger proves it.
    pub access: Access,
    /// Who looked, as the hospital wrote it down.
    pub looks: Vec<Look>,
    /// Why the newest of that may be missing.
    pub not_asked: Option<Trouble>,
}

/// A study that the ledger has for the words of a wallet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundStudy {
    /// It was not in the wallet, and is now.
    New(StudyId),
    /// It was in the wallet already.
    Known(StudyId),
    /// It cannot be said yet what it is: why.
    NotTold(StudyId, Trouble),
}

/// What moving all studies to new words came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedStudies {
    /// Every study that was under former words, and what became of it.
    pub rows: Vec<(StudyId, MoveOutcome)>,
    /// Why it could not be searched for what other devices picked up under the former words.
    pub not_searched: Option<Trouble>,
    /// How many claims under former words were refused, and may come into a block all the same: the former words are
    /// needed for those.
    pub refused: usize,
}

/// What became of a study that was to move to new words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MoveOutcome {
    /// It is under the new words, final at this height.
    Moved(Height),
    /// It has another holder by now.
    OtherHolder,
    /// It is still under the old words: why.
    Stays(Trouble),
}

/// A study of a wallet, open: its images, which are read from here on without the wallet, and what is to be known
/// before they are used.
pub struct OpenStudy {
    /// Which.
    pub study: StudyId,
    /// Whose wallet it is in.
    pub person: Person,
    /// What is there of it.
    pub images: Images,
    /// Who it is about, as was told without the images.
    pub about: Option<About>,
    /// Why it is not to be used.
    pub objection: Option<Objection>,
    /// When the ledger last said how it stands.
    pub asked_at: Option<Timestamp>,
    /// What a fetch just now brought, against what was signed.
    pub fetched: Option<Comparison>,
    /// Why nothing could be fetched or asked just now, so that there may be more than is here.
    pub not_asked: Option<Trouble>,
}

impl fmt::Debug for OpenStudy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStudy").field("study", &self.study).finish_non_exhaustive()
    }
}

/// A grant that was ended.
#[derive(Clone, Debug)]
pub struct RevokedGrant {
    /// Which.
    pub grant: GrantId,
    /// To whom it was, in their own words; nothing when another wallet granted.
    pub name: Option<String>,
    /// What stood beside that name.
    pub verdict: Option<Verdict>,
    /// At which height that became final.
    pub height: Height,
    /// The hospital's word that it serves no more, if it was reached itself.
    pub receipt: Option<SignedReceipt>,
    /// How many grants were planned together with it, and are not made any more.
    pub stopped: usize,
}

/// What devices told each other. Which there are stands in the [`State`](crate::State).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SharedNews {
    /// How many things this device was told.
    pub heard: usize,
    /// How many things the others were told.
    pub told: usize,
    /// How many are still to be told.
    pub waits: usize,
    /// Studies that another device told of, and of which it cannot be said yet what they are.
    pub not_told: Vec<(StudyId, Trouble)>,
}

/// What was found again of a recipient's wallet that was lost. What was granted stands in the [`State`](crate::State).
#[derive(Clone, Debug)]
pub struct FoundGrants {
    /// How many cards whose mailboxes are still kept.
    pub cards: usize,
    /// What was granted, and not read before.
    pub granted: Vec<GrantId>,
    /// How many letters came to cards of an earlier version, which nothing opens any more.
    pub unreadable: usize,
    /// The devices whose cards were looked for.
    pub devices: Vec<u32>,
    /// How many mailboxes could not be read anywhere.
    pub unread: usize,
}

/// What reading the inbox came to. What was granted stands in the [`State`](crate::State).
#[derive(Clone, Debug)]
pub struct InboxRead {
    /// What is new.
    pub new: Vec<GrantId>,
    /// The hospitals that did not answer.
    pub silent: Vec<String>,
    /// How many mailboxes could not be read anywhere.
    pub unread: usize,
    /// How many there are.
    pub mailboxes: usize,
    /// Why the ledger could not be asked about all of it: what it said before still stands.
    pub not_asked: Option<Trouble>,
    /// Of what the ledger says that there is no such study.
    pub unknown: Vec<StudyId>,
}
