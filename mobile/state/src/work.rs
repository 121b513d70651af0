//! What a state asks to be done, and what comes of it.

use crate::sentence::Private;
use crate::trouble::Trouble;
use crate::wallet::{Grant, Handle, Look, Mode, Person, Shot, View, Wallet};

/// The number of something that was begun: what comes of it says which it is.
pub type Ticket = u64;

/// What opens a wallet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The telephone's own lock.
    Device,
    /// The passphrase, which was handed over as a secret.
    Passphrase,
}

macro_rules! jobs {
    ($($(#[$doc:meta])* $name:ident $({ $($(#[$about:meta])* $field:ident: $type:ty,)* })? = $word:literal;)*) => {
        /// Something to be done. What takes a secret takes the one that was handed over last under the name of its field.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Job {
            $($(#[$doc])* $name $({ $($(#[$about])* $field: $type,)* })?,)*
        }

        impl Job {
            /// The words of all of them.
            pub const WORDS: &[&str] = &[$($word,)*];

            /// Its word, in the names of states and keys.
            #[must_use]
            pub const fn word(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $word,)*
                }
            }
        }
    };
}

jobs! {
    /// A wallet is made, with the passphrase.
    Make {
        /// Whose.
        mode: Mode,
        /// What stands on a recipient's cards.
        name: Private,
    } = "make";
    /// The wallet is opened.
    Open {
        /// By what.
        by: By,
    } = "open";
    /// The telephone keeps a second way in.
    KeepOnDevice = "keep";
    /// It keeps it no more.
    ForgetDevice = "unkeep";
    /// Words are looked at: whether they are a wallet's.
    ReadWords = "read_words";
    /// A wallet is made of words, with the passphrase, and the ledger searched for its studies.
    Restore = "restore";
    /// The words are made ready to be shown.
    ShowWords {
        /// By what the wallet is opened once more.
        by: By,
    } = "show_words";
    /// Three words are told.
    CheckWords = "check_words";
    /// New words are made ready to be shown.
    ShowNewWords {
        /// By what the wallet is opened once more.
        by: By,
    } = "new_words";
    /// Three of the new words are told.
    TakeNewWords = "take_new_words";
    /// Studies move to the new words, and what was allowed on them goes on.
    Move = "move";
    /// The passphrase is changed.
    ChangePassphrase = "change_passphrase";

    /// A text is looked at: which code it is.
    ReadCode {
        /// The text.
        text: Private,
    } = "read_code";
    /// Studies are picked up, with the answer.
    PickUp {
        /// The code.
        code: Handle,
    } = "pick_up";
    /// The next step of getting studies back, with the answer.
    Recover {
        /// The code.
        code: Handle,
    } = "recover";
    /// The ledger is asked how the studies stand.
    Ask = "ask";
    /// The images of an own study are opened, fetched as far as they can be.
    Look {
        /// Which.
        study: Handle,
    } = "look";
    /// The images of a study, or of what was granted, are removed.
    Forget {
        /// Which.
        of: Handle,
    } = "forget";
    /// A study's files are written where the shell has a place for them.
    Export {
        /// Which.
        study: Handle,
    } = "export";

    /// A card is looked at: who shows it.
    LookAtCard {
        /// The card.
        code: Handle,
    } = "look_at_card";
    /// Somebody is let in by their card.
    Share {
        /// The card.
        code: Handle,
        /// Into which studies.
        studies: Vec<Handle>,
        /// For how many days.
        days: u32,
        /// Whether they may look and not keep.
        view_only: bool,
        /// Whether what stands beside the name was read.
        all_the_same: bool,
    } = "share";
    /// An Invitation is made.
    Invite {
        /// Whether it goes somewhere far.
        from_afar: bool,
    } = "invite";
    /// It is waited until somebody has answered it.
    AwaitAnswer {
        /// Which.
        invitation: Handle,
    } = "await_answer";
    /// Words are picked.
    PickWords {
        /// Of which Invitation.
        invitation: Handle,
        /// Which of the choices; none of them without one.
        choice: Option<u32>,
    } = "pick_words";
    /// Whoever answered is let in.
    ShareInvited {
        /// Which Invitation.
        invitation: Handle,
        /// Into which studies.
        studies: Vec<Handle>,
        /// For how many days.
        days: u32,
        /// Whether they may look and not keep.
        view_only: bool,
    } = "share_invited";
    /// It is asked who can look, and who did.
    AskWho {
        /// At which study.
        study: Handle,
    } = "ask_who";
    /// A grant is ended.
    End {
        /// Which.
        grant: Handle,
    } = "end";
    /// All grants are ended.
    EndAll = "end_all";
    /// It is said that the keys are not lost.
    Veto = "veto";

    /// A recipient's card is made.
    MakeCard {
        /// What is asked for.
        wish: Private,
    } = "make_card";
    /// A patient's Invitation is answered.
    Answer {
        /// The Invitation.
        code: Handle,
        /// What is asked for.
        wish: Private,
    } = "answer";
    /// What came is read.
    ReadInbox = "read_inbox";
    /// The images of what was granted are opened, fetched as far as they can be.
    LookReceived {
        /// Which.
        received: Handle,
    } = "look_received";
    /// It is said that a recall is known.
    Acknowledge {
        /// Of what.
        received: Handle,
    } = "acknowledge";
}

impl Job {
    /// Whether it goes before others: somebody wants it to end now.
    #[must_use]
    pub const fn is_urgent(&self) -> bool {
        matches!(self, Self::End { .. } | Self::EndAll | Self::Veto)
    }

    /// Whether it brings images, so that it can be paused.
    #[must_use]
    pub const fn is_fetch(&self) -> bool {
        matches!(self, Self::Look { .. } | Self::LookReceived { .. })
    }

    /// Whether it takes a secret, which is overwritten then: it is not begun again without asking.
    #[must_use]
    pub const fn takes_secret(&self) -> bool {
        match self {
            Self::ShowWords { by } | Self::ShowNewWords { by } | Self::Open { by } => matches!(by, By::Passphrase),
            Self::Make { .. }
            | Self::ReadWords
            | Self::Restore
            | Self::CheckWords
            | Self::TakeNewWords
            | Self::ChangePassphrase
            | Self::PickUp { .. }
            | Self::Recover { .. } => true,
            _ => false,
        }
    }

    /// Whether nobody waits for it: a page goes on beside it.
    #[must_use]
    pub const fn is_beside(&self) -> bool {
        matches!(self, Self::Ask | Self::AwaitAnswer { .. })
    }
}

/// Something that is to be done for a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Something is begun. It ends with [`Event::Did`] or [`Event::Failed`], within a time.
    Begin {
        /// What its end says that it is.
        ticket: Ticket,
        /// What.
        job: Job,
    },
    /// Something is not wanted any more.
    Cancel {
        /// Which.
        ticket: Ticket,
    },
    /// A fetch waits, or goes on.
    Pause {
        /// Which.
        ticket: Ticket,
        /// Whether it waits.
        is_paused: bool,
    },
    /// The wallet is closed, and every secret overwritten.
    Lock,
    /// Secrets that were handed over, or were to be shown, are overwritten.
    ForgetSecrets,
    /// Images are looked at no more.
    CloseView {
        /// Which.
        view: Handle,
    },
}

/// Something that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// What the wallet holds now.
    Wallet(Wallet),
    /// How far something is.
    Progress {
        /// Which.
        ticket: Ticket,
        /// How many parts are done.
        done: u64,
        /// Of how many.
        all: u64,
    },
    /// It takes longer than it should; it ends all the same.
    Slow {
        /// Which.
        ticket: Ticket,
    },
    /// Something was done.
    Did {
        /// Which.
        ticket: Ticket,
        /// What came of it.
        did: Did,
    },
    /// Something was not done.
    Failed {
        /// Which.
        ticket: Ticket,
        /// Why.
        trouble: Trouble,
    },
    /// What a picture says of itself, now that it was read.
    Shot {
        /// Of which images.
        view: Handle,
        /// Which picture, from 0.
        at: u32,
        /// What it says.
        shot: Shot,
    },
    /// What the camera, a picture or a link said.
    Scanned(Private),
    /// Whether the camera may be used.
    Camera(bool),
    /// Whether there is a network.
    Connected(bool),
    /// What the telephone's own lock is good for.
    Device(DeviceLock),
    /// The app was away for so long, in milliseconds.
    Away(u64),
}

/// What the telephone's own lock is good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceLock {
    /// It could keep a second way in.
    Ready,
    /// No finger and no face is known to it.
    NotEnrolled,
    /// There is no screen lock.
    NoPasscode,
    /// It has nothing that keeps keys.
    #[default]
    NoHardware,
    /// It keeps a second way in.
    Kept,
    /// It kept one, which is gone: a finger or a face was added, or the screen lock taken away.
    Changed,
}

/// What came of something that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Did {
    /// A wallet is open.
    Opened(Mode),
    /// A wallet was made.
    Made,
    /// It is as it was asked for.
    Done,
    /// What was found for the words.
    Restored {
        /// How many studies are there.
        found: u32,
        /// Of how many others no hospital has told yet what they are.
        not_told: u32,
    },
    /// Words can be shown, and the places of three that are asked for then; zeros if they were told before.
    WordsReady([u8; 3]),
    /// Other words than those that were asked for, and which are asked for now.
    OtherWords([u8; 3]),
    /// The passphrase could be guessed.
    Weak,
    /// What a text was.
    Read(Seen),
    /// What was picked up.
    PickedUp {
        /// How many studies are the patient's now.
        new: u32,
        /// How many were before.
        before: u32,
        /// How many were not handed over.
        refused: u32,
    },
    /// What the hospital has is another answer.
    WrongAnswer {
        /// How many tries are left; none if the code is of no use any more.
        left: u32,
    },
    /// Whoever answered does not know what the desk agreed on.
    NotProven,
    /// What giving back came to.
    Recovered {
        /// How many studies are the patient's.
        done: u32,
        /// How many wait.
        waiting: u32,
        /// From when on the first of them can be completed.
        from: u64,
        /// How many are settled by the hospitals.
        frozen: u32,
        /// How many were not given back.
        refused: u32,
    },
    /// Who shows a card.
    Introduced(Person),
    /// Somebody was let in.
    Shared {
        /// Into how many studies.
        done: u32,
        /// Of how many they were not told yet.
        not_told: u32,
        /// How many are not final yet.
        not_final: u32,
    },
    /// They were not, and why.
    NotShared(NotShared),
    /// An Invitation can be shown.
    Invited {
        /// Which.
        invitation: Handle,
        /// What it says.
        content: Private,
        /// Until when.
        until: u64,
    },
    /// Somebody has answered it.
    Answered {
        /// The words to pick among.
        choices: Vec<Private>,
    },
    /// The right words were picked: who answered, and whether they are let in within narrow limits only.
    Picked {
        /// Who.
        person: Person,
        /// Whether the limits are narrow.
        is_narrow: bool,
    },
    /// The Invitation came to nothing.
    Over(Over),
    /// Who can look, and who did.
    Who(Who),
    /// The hospital shows other receipts of who looked than before.
    ReceiptsChanged,
    /// What ending came to.
    Ended {
        /// How many have ended, and the hospital said so.
        seen: u32,
        /// How many have ended, and the hospital was not reached.
        waiting: u32,
        /// How many are not final yet.
        not_final: u32,
    },
    /// What saying that nothing is lost came to.
    Vetoed {
        /// How many are final.
        done: u32,
        /// How many are not yet.
        waiting: u32,
    },
    /// What moving came to.
    Moved {
        /// How many studies.
        done: u32,
        /// How many have not moved.
        stay: u32,
    },
    /// Images are open.
    Viewing(View),
    /// Files were written.
    Exported {
        /// How many.
        files: u32,
    },
    /// A card can be shown.
    Card {
        /// What it says.
        content: Private,
        /// Until when.
        until: u64,
    },
    /// An Invitation was answered, and its sender's device has taken that.
    AnswerWords(Private),
    /// What is believed of the network is too old.
    LostTouch,
}

/// What a text was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A hospital's code for studies.
    PickUp {
        /// The code.
        code: Handle,
        /// Whether it asks for the date of birth, and not for a PIN.
        asks_birth_date: bool,
    },
    /// A recipient's card.
    Card(Handle),
    /// A patient's Invitation.
    Invitation(Handle),
    /// Of no use, and why.
    Misfit(Misfit),
}

/// Who can look at a study, and who did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// At which study.
    pub study: Handle,
    /// Every grant by which somebody can, and those that have ended.
    pub grants: Vec<Grant>,
    /// Who did, the newest first.
    pub looks: Vec<Look>,
    /// How old the proof of that is, in milliseconds.
    pub age_ms: u64,
    /// Whether the hospital was not reached, so that the newest looks may be missing.
    pub not_asked: bool,
}

/// Why a code is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Misfit {
    /// It is no code of this.
    NotOurs,
    /// It is of another network.
    OtherNetwork,
    /// It is good no more.
    Expired,
    /// It was misread, or part of it is missing.
    Damaged,
    /// A newer version of this program made it.
    Newer,
    /// It is a good code, for something else than can be done here.
    NotForThis,
}

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotShared {
    /// The card's keys are used up.
    UsedUp,
    /// It has fewer keys than studies are chosen.
    TooFewKeys,
    /// It would have ended already.
    TooShort,
    /// It was begun on other terms.
    OtherTerms,
    /// The person set this wallet so.
    Capped,
    /// More than is given from afar to a name that nobody checked.
    FarTooMuch,
}

/// Why an Invitation came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Over {
    /// Nobody answered in time.
    Late,
    /// Two have answered.
    Second,
    /// Other words were picked.
    WordsDiffer,
}
