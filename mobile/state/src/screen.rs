//! Where one is: every screen there is, with what only it knows.

use crate::sentence::Private;
use crate::trouble::Trouble;
use crate::wallet::Handle;
use crate::work::{Job, Misfit, NotShared, Over, Ticket};

macro_rules! screens {
    ($($(#[$doc:meta])* $name:ident $({ $($(#[$about:meta])* $field:ident: $type:ty,)* })? = $($state:literal)|+;)*) => {
        /// Where one is.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Screen {
            $($(#[$doc])* $name $({ $($(#[$about])* $field: $type,)* })?,)*
        }

        /// The name of every state but those that say of some work that it is under way (`working.…`, by [`Job::WORDS`](crate::Job::WORDS)) and
        /// those of a trouble (`trouble.…`, by [`TroubleKind::ALL`](crate::TroubleKind::ALL)).
        pub const NAMES: &[&str] = &[$($($state,)+)*];

        impl Screen {
            /// The names of the states that a screen has.
            #[must_use]
            pub const fn names(&self) -> &'static [&'static str] {
                match self {
                    $(Self::$name { .. } => &[$($state,)+],)*
                    }
            }
        }
    };
}

screens! {
    /// There is no wallet yet.
    Welcome = "welcome.new";
    /// The network's file that came with the app is none.
    WrongNetwork = "welcome.wrong_network";
    /// A recipient says what stands on their cards.
    Name = "welcome.name" | "welcome.bad_name";
    /// A passphrase is chosen. It is the second way in, beside the telephone's own lock.
    Passphrase {
        /// Whether the one that was given could be guessed.
        is_weak: bool,
    } = "protect.passphrase" | "protect.weak";
    /// The telephone's own lock is offered; or why it is of no use.
    Device = "protect.device" | "protect.not_enrolled" | "protect.no_passcode" | "protect.no_hardware";
    /// The wallet is locked.
    Locked {
        /// How often something else than its passphrase was given.
        wrong: u32,
        /// Whether the passphrase was asked for although the telephone's lock would do.
        by_passphrase: bool,
    } = "unlock.device" | "unlock.passphrase" | "unlock.wrong" | "unlock.changed";

    /// The words are about to be shown.
    WordsHidden {
        /// Whether they are new ones, to take the place of those of now.
        are_new: bool,
    } = "words.hidden" | "words.new";
    /// The words are shown.
    WordsShown {
        /// Whether they are new ones.
        are_new: bool,
        /// The places of three of them that are asked for then.
        asked: [u8; 3],
    } = "words.shown";
    /// Three of them are asked for.
    WordsCheck {
        /// Whether they are new ones.
        are_new: bool,
        /// Which, counted from 1.
        asked: [u8; 3],
        /// Whether others were told.
        was_wrong: bool,
    } = "words.check" | "words.wrong";
    /// They were told.
    WordsDone = "words.done";

    /// The words of a wallet that was lost are asked for.
    RestoreWords {
        /// Whether those that were given are no wallet's.
        was_wrong: bool,
    } = "restore.words" | "restore.wrong_word";
    /// What was found for the words.
    Restored {
        /// How many studies are there.
        found: u32,
        /// Of how many others no hospital has told yet what they are.
        not_told: u32,
    } = "restore.found" | "restore.some_not_told" | "restore.nothing";

    /// A patient's studies.
    Home = "home.empty" | "home.list";
    /// What is believed of the network is too old, and nobody vouches for something newer: the desk does.
    LostTouch = "home.lost_touch";
    /// A hospital was asked to give studies to another wallet.
    Pending = "lost.pending" | "lost.vetoed";
    /// It was said that the keys are not lost.
    Vetoed {
        /// On how many studies the hospitals agreed.
        done: u32,
        /// On how many they have not yet.
        waiting: u32,
    } = "lost.done" | "lost.not_final";

    /// A code is looked at.
    Scan {
        /// Whether the torch is on.
        torch: bool,
    } = "scan.camera" | "scan.denied";
    /// A code is pasted.
    Paste = "scan.paste";
    /// What was looked at is of no use, and why.
    Unusable {
        /// Why.
        why: Misfit,
    } = "scan.not_ours" | "scan.other_network" | "scan.expired" | "scan.damaged" | "scan.newer" | "scan.not_for_this";

    /// A hospital's code asks for what the desk agreed on.
    PickUpAnswer {
        /// The code.
        code: Handle,
        /// Whether that is the date of birth, and not a PIN.
        asks_birth_date: bool,
        /// Whether studies are given back by it that were lost.
        is_recovery: bool,
    } = "pick_up.pin" | "pick_up.birth_date" | "recover.pin" | "recover.birth_date";
    /// It was another answer.
    PickUpWrong {
        /// The code.
        code: Handle,
        /// Whether studies are given back by it.
        is_recovery: bool,
        /// How many tries are left.
        left: u32,
    } = "pick_up.wrong" | "pick_up.last_try";
    /// The code is of no use any more.
    PickUpLocked = "pick_up.locked";
    /// Whoever answered does not know what the desk agreed on.
    PickUpNotProven = "pick_up.not_proven";
    /// What was picked up.
    PickedUp {
        /// How many studies are the patient's now.
        new: u32,
        /// How many were before.
        before: u32,
        /// How many were not handed over.
        refused: u32,
    } = "pick_up.done" | "pick_up.some" | "pick_up.nothing";
    /// What giving back came to.
    Recovered {
        /// How many studies are the patient's.
        done: u32,
        /// How many wait, and until when.
        waiting: u32,
        /// From when on the first of them can be completed.
        from: u64,
        /// How many are settled by the hospitals.
        frozen: u32,
        /// How many were not given back.
        refused: u32,
    } = "recover.done" | "recover.waits" | "recover.frozen" | "recover.refused";

    /// A study.
    Study {
        /// Which.
        study: Handle,
    } = "study.held" | "study.not_final" | "study.not_told" | "study.suspended" | "study.withdrawn" | "study.other_patient"
        | "study.other_holder" | "study.frozen";
    /// Before images and report are shown it is asked when: now, or with a doctor.
    AskWhen {
        /// Of which study.
        study: Handle,
    } = "study.ask_when";
    /// The images come.
    Fetching {
        /// By which work.
        ticket: Ticket,
    } = "study.fetching" | "study.paused";
    /// Pictures.
    Pictures {
        /// Which, from 0.
        at: u32,
    } = "pictures.own" | "pictures.own_partial" | "pictures.ward_round" | "pictures.ward_round_partial" | "pictures.none";
    /// What a report says.
    Report {
        /// Which, from 0.
        at: u32,
    } = "report.read" | "report.unreadable";
    /// A study's copy is to be removed.
    ForgetSure {
        /// Of which study.
        study: Handle,
    } = "study.forget";
    /// It was.
    Forgot = "study.forgotten";

    /// How somebody is let in.
    ShareHow = "share.how";
    /// Who it is.
    ShareWho = "share.verified" | "share.unverified" | "share.changed" | "share.vouch_ended";
    /// Into which studies.
    ShareWhat = "share.what" | "share.no_studies";
    /// For how long.
    ShareDays = "share.days" | "share.own_days";
    /// All of it once more, before it is signed.
    ShareReview = "share.review" | "share.review_narrow";
    /// They are let in.
    Shared {
        /// How many studies.
        done: u32,
        /// Of how many the recipient was not told yet.
        not_told: u32,
        /// How many the hospitals have not agreed on yet.
        not_final: u32,
    } = "share.done" | "share.not_delivered" | "share.not_final";
    /// They cannot be let in like this.
    NotShared {
        /// Why.
        why: NotShared,
    } = "share.used_up" | "share.too_few_keys" | "share.too_short" | "share.other_terms" | "share.capped" | "share.far_too_much";
    /// A patient's Invitation, to be looked at by another device.
    Invitation {
        /// What it says.
        content: Private,
        /// Until when it may be answered.
        until: u64,
    } = "invite.shown" | "invite.link";
    /// Four words are picked among.
    PickWords {
        /// The choices.
        choices: Vec<Private>,
    } = "invite.words";
    /// The Invitation came to nothing.
    InvitationOver {
        /// Why.
        why: Over,
    } = "invite.over" | "invite.second" | "invite.differ";

    /// Who can look.
    Who = "who.list" | "who.none";
    /// One who can.
    Grant {
        /// By which grant.
        grant: Handle,
    } = "who.active" | "who.signed" | "who.not_delivered" | "who.ending" | "who.ended";
    /// Who looked.
    Looked = "looked.list" | "looked.none";
    /// The hospital shows other receipts than before.
    LookedChanged = "looked.changed";
    /// Somebody is to be let in no more.
    EndSure {
        /// By which grant; everybody without one.
        grant: Option<Handle>,
    } = "end.sure" | "end.everybody";
    /// They are not.
    Ended {
        /// How many grants have ended, of which the hospital said so itself.
        seen: u32,
        /// How many have ended, and the hospital's own system was not reached.
        waiting: u32,
        /// How many the hospitals have not agreed on yet.
        not_final: u32,
    } = "end.seen" | "end.waiting" | "end.not_final" | "end.nothing";

    /// What devices hold this wallet, and what to do when one is lost.
    Devices = "devices.this" | "devices.older_copy" | "devices.to_move";
    /// Studies have moved to new words.
    Moved {
        /// How many.
        done: u32,
        /// How many have not.
        stay: u32,
    } = "devices.moved" | "devices.some_stay";
    /// What may leave the telephone.
    Export {
        /// Which study.
        study: Handle,
    } = "export.choose";
    /// It was written.
    Exported {
        /// How many files.
        files: u32,
    } = "export.done";
    /// What can be set.
    Settings = "settings.all";
    /// In which language it speaks.
    Language = "settings.language";
    /// How it is locked.
    Lock = "settings.lock";
    /// The passphrase is changed.
    NewPassphrase {
        /// Whether the one that was given could be guessed.
        is_weak: bool,
    } = "settings.passphrase" | "settings.weak";
    /// What this is.
    About = "settings.about";

    /// What a recipient was granted.
    Inbox = "inbox.empty" | "inbox.list";
    /// One of it.
    Received {
        /// Which.
        received: Handle,
    } = "received.ready" | "received.here" | "received.not_yet" | "received.unproven" | "received.ended" | "received.suspended"
        | "received.withdrawn" | "received.other_patient";
    /// A hospital calls a copy back.
    Recall {
        /// Of what.
        received: Handle,
    } = "recall.replaced" | "recall.suspended" | "recall.withdrawn" | "recall.other_patient";
    /// It was said that this is known.
    RecallKnown = "recall.known";
    /// What a recipient asks for.
    Wish = "card.wish" | "answer.wish" | "card.bad_wish";
    /// A recipient's card, to be looked at by a patient's device.
    Card {
        /// What it says.
        content: Private,
        /// Until when it is good.
        until: u64,
    } = "card.shown";
    /// The patient's device has taken the answer: four words.
    AnswerWords {
        /// The words.
        words: Private,
    } = "answer.words";
    /// The Invitation was over before the patient's device took the answer.
    AnswerOver = "answer.over";

    /// Something is under way, and waited for.
    Working {
        /// Which.
        ticket: Ticket,
        /// Its word.
        word: &'static str,
    } = "working";
    /// Something was not done.
    Trouble {
        /// Why.
        trouble: Trouble,
        /// What is begun if it is tried again.
        again: Option<Job>,
    } = "trouble";
}
