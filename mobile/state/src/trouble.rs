//! Why something was not done, as small as a screen needs it.

use serde::Serialize;

/// Why something was not done. What it says stands in the catalogue, by its kind; of what happened nothing comes along but a code for whoever gives
/// support.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Of which kind it is.
    pub kind: TroubleKind,
    /// What to report: the same for the same fault, and nothing of a person's.
    pub support: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// Of which kind it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum TroubleKind {
            $($(#[$doc])* $name,)*
        }

        impl TroubleKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its word, in the names of states and keys.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

kinds! {
    /// Whoever asked for it wants it no more.
    Cancelled = "cancelled",
    /// Too much was asked for at once, or the same twice.
    Busy = "busy",
    /// What is given does not open the wallet, or is not what was written down.
    Passphrase = "passphrase",
    /// Nobody answers.
    Offline = "offline",
    /// It took longer than anybody waits for: it may be done all the same.
    TooLong = "too_long",
    /// The hospitals have not agreed yet: it goes on.
    NotFinal = "not_final",
    /// A code or a card that leads nowhere, or an answer that does not fit.
    Code = "code",
    /// What was granted is over.
    Ended = "ended",
    /// Whoever could say yes says no.
    Refused = "refused",
    /// The study is not as it must be for this.
    Study = "study",
    /// There is no such thing here.
    NotFound = "not_found",
    /// The person set this wallet so.
    Capped = "capped",
    /// Whoever granted it wishes otherwise.
    Wish = "wish",
    /// The storage of this telephone: it is full, or does not take what is written.
    Storage = "storage",
    /// What lies in the wallet's folder is not what was written.
    Damaged = "damaged",
    /// The wallet was written by a newer version of this program.
    Newer = "newer",
    /// The wallet is open elsewhere.
    InUse = "in_use",
    /// The telephone's clock is wrong, or this wallet was away for longer than anything is believed.
    Clock = "clock",
    /// Somebody says what is not so.
    Untrusted = "untrusted",
    /// The key that the telephone kept is gone: a finger or a face was added, or the screen lock taken away.
    DeviceKey = "device_key",
    /// The person did not unlock.
    NotUnlocked = "not_unlocked",
    /// It is this program's fault, or the system's.
    Defect = "defect",
}
