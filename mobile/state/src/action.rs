//! What a person can do: every press there is. A page says which are possible now; any other does nothing.

use crate::wallet::{Handle, Mode};

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident $(($type:ty))? = $word:literal;)*) => {
        /// What a person can do.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Action {
            $($(#[$doc])* $name $(($type))?,)*
        }

        impl Action {
            /// Its word. What it says stands in the catalogue under `do.` and this.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name { .. } => $word,)*
                }
            }
        }
    };
}

actions! {
    /// One step back.
    Back = "back";
    /// To the first page, whatever is open.
    Home = "home";
    /// What is under way is not wanted any more.
    Stop = "stop";
    /// The same once more.
    Again = "again";
    /// The app is left.
    Leave = "leave";
    /// The system's settings of this app are opened.
    SystemSettings = "system_settings";
    /// A wallet is to be made.
    Begin(Mode) = "begin";
    /// A wallet is to be made of words.
    Restore = "restore";
    /// What was typed is taken.
    Next = "next";
    /// The telephone's own lock is used.
    UseDevice = "use_device";
    /// It is not.
    WithoutDevice = "without_device";
    /// The passphrase is used.
    UsePassphrase = "use_passphrase";
    /// The words are shown.
    ShowWords = "show_words";
    /// They are written down.
    WroteDown = "wrote_down";
    /// They are written down another time.
    Later = "later";
    /// A code is looked at.
    Scan = "scan";
    /// The torch is turned on, or off.
    Torch = "torch";
    /// A code is pasted.
    Paste = "paste";
    /// A code is taken out of a picture.
    ChoosePicture = "choose_picture";
    /// These studies were lost: they are to be given back.
    GiveBack = "give_back";
    /// A study is opened.
    OpenStudy(Handle) = "open_study";
    /// Images and report are wanted.
    Look(Handle) = "look";
    /// They are shown now.
    LookNow(Handle) = "look_now";
    /// They are looked at together with a doctor.
    WithDoctor = "with_doctor";
    /// A fetch waits.
    Pause = "pause";
    /// It goes on.
    Resume = "resume";
    /// The picture before.
    PictureBefore = "picture_before";
    /// The next picture.
    PictureNext = "picture_next";
    /// A report is read.
    OpenReport(u32) = "open_report";
    /// The copy is to be removed.
    ForgetCopy(Handle) = "forget_copy";
    /// It is removed.
    ForgetYes(Handle) = "forget_yes";
    /// Somebody is to be let in to a study.
    Share(Handle) = "share";
    /// By a code that they can look at here.
    InviteHere = "invite_here";
    /// By a link.
    InviteFar = "invite_far";
    /// What stands beside the name was read, and they are let in all the same.
    AllTheSame = "all_the_same";
    /// A study is chosen, or not.
    Choose(Handle) = "choose";
    /// All studies of the same visit are chosen.
    ChooseVisit = "choose_visit";
    /// For so many days.
    Days(u32) = "days";
    /// For as many days as are typed.
    OwnDays = "own_days";
    /// They may look and not keep, or both.
    ViewOnly = "view_only";
    /// It is signed.
    Agree = "agree";
    /// The link is sent.
    SendLink = "send_link";
    /// These words are picked.
    Pick(u32) = "pick";
    /// The other screen shows none of them.
    PickNone = "pick_none";
    /// Who can look.
    Who(Handle) = "who";
    /// One who can.
    OpenGrant(Handle) = "open_grant";
    /// Who looked.
    Looked = "looked";
    /// They are to be let in no more.
    End(Handle) = "end";
    /// Nobody is to be let in any more.
    EndAll = "end_all";
    /// So it is.
    EndYes = "end_yes";
    /// What was asked for against this wallet.
    OpenPending = "open_pending";
    /// The keys are not lost.
    NotLost = "not_lost";
    /// What can be set.
    Settings = "settings";
    /// In which language.
    Language = "language";
    /// In this one, by its place in [`LANGUAGES`](crate::LANGUAGES).
    Speak(u32) = "speak";
    /// How it is locked.
    OpenLock = "open_lock";
    /// It is locked.
    LockNow = "lock_now";
    /// The passphrase is changed.
    ChangePassphrase = "change_passphrase";
    /// The words.
    OpenWords = "open_words";
    /// Devices.
    Devices = "devices";
    /// A device is lost: new words are made.
    DeviceLost = "device_lost";
    /// Studies move.
    Move = "move";
    /// What may leave the telephone.
    OpenExport(Handle) = "open_export";
    /// It leaves.
    Export(Handle) = "export";
    /// What this is.
    About = "about";
    /// What was granted is opened.
    OpenReceived(Handle) = "open_received";
    /// What came is read.
    ReadInbox = "read_inbox";
    /// A card is shown.
    ShowCard = "show_card";
    /// Images that were granted are wanted.
    LookReceived(Handle) = "look_received";
    /// A recall is opened.
    OpenRecall(Handle) = "open_recall";
    /// It is known.
    Acknowledge(Handle) = "acknowledge";
}

impl Action {
    /// What a press of it is called: its word, and what it is about.
    #[must_use]
    pub fn id(self) -> String {
        let word = self.word();
        match self {
            Self::Begin(Mode::Patient) => format!("{word}.patient"),
            Self::Begin(Mode::Recipient) => format!("{word}.recipient"),
            Self::OpenStudy(at)
            | Self::Look(at)
            | Self::LookNow(at)
            | Self::OpenReport(at)
            | Self::ForgetCopy(at)
            | Self::ForgetYes(at)
            | Self::Share(at)
            | Self::Choose(at)
            | Self::Days(at)
            | Self::Pick(at)
            | Self::Who(at)
            | Self::OpenGrant(at)
            | Self::End(at)
            | Self::Speak(at)
            | Self::OpenExport(at)
            | Self::Export(at)
            | Self::OpenReceived(at)
            | Self::LookReceived(at)
            | Self::OpenRecall(at)
            | Self::Acknowledge(at) => format!("{word}.{at}"),
            _ => word.to_owned(),
        }
    }

    /// The key of what it says. It says the same wherever it stands.
    #[must_use]
    pub fn key(self) -> String {
        match self {
            Self::Begin(Mode::Patient) => "do.begin_patient".to_owned(),
            Self::Begin(Mode::Recipient) => "do.begin_recipient".to_owned(),
            _ => format!("do.{}", self.word()),
        }
    }
}
