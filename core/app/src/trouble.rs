//! What is said when something was not done: small, for people, and without anything that is theirs.

use std::error::Error;
use std::fmt;

use clavicle_network::pack::PackError;
use clavicle_network::pickup::{Denied, PickupError};
use clavicle_network::transfer::FetchError;
use clavicle_wallet::WalletError;

/// Of which kind it is: what a screen decides by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TroubleKind {
    /// Whoever asked for it wants it no more.
    Cancelled,
    /// Too much was asked for at once, or the same twice.
    Busy,
    /// What is given does not open the wallet.
    Passphrase,
    /// Nobody answers.
    Offline,
    /// The hospitals have not agreed yet: it goes on.
    NotFinal,
    /// A code or a card that leads nowhere, or an answer that does not fit.
    Code,
    /// What was granted is over.
    Ended,
    /// Whoever could say yes says no.
    Refused,
    /// The study is not as it must be for this.
    Study,
    /// There is no such thing here.
    NotFound,
    /// The person set this wallet so.
    Capped,
    /// Whoever granted it wishes otherwise.
    Wish,
    /// The disk of this device.
    Storage,
    /// Somebody says what is not so.
    Untrusted,
    /// It is this program's fault, or the system's.
    Defect,
}

impl TroubleKind {
    /// What a person can do, in a sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Cancelled => "Nothing is lost: asked for again, it goes on where it stopped.",
            Self::Busy => "Wait until what is under way has ended, and ask again.",
            Self::Passphrase => "Try again.",
            Self::Offline => "Check the connection, and try again.",
            Self::NotFinal => "It is under way and stays so: asked for again, it goes on where it stopped.",
            Self::Code => "Ask for a new one.",
            Self::Ended => "Ask whoever granted it to grant it again.",
            Self::Refused => "Ask the hospital, and give it the reference if there is one.",
            Self::Study => "Ask the hospital that made the study.",
            Self::NotFound => "Look at the list, and choose again.",
            Self::Capped => {
                "Let it begin later, or wait: you have set this wallet so. To end a grant is never held up."
            }
            Self::Wish => "Ask whoever granted it.",
            Self::Storage => "Make room on this device, and see that its disk is in order.",
            Self::Untrusted => "Nothing of it was believed. Try again; if it stays so, tell the hospital.",
            Self::Defect => "Try again; if it stays so, report it with its support code.",
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Of which kind it is.
    pub kind: TroubleKind,
    /// What happened, in sentences. Where the wallet knows better than [`TroubleKind::advice`] what to do, it
    /// says so here.
    pub happened: String,
    /// What to report: a word for programs and the fault's name, `unreachable.NoRelay`. The same for the same
    /// fault, and nothing of a person's.
    pub support: String,
    word: &'static str,
    tries_left: Option<u8>,
}

impl Trouble {
    /// How often another answer may still be given to a desk's question, where this one was wrong; never, where its code is of no use any more.
    #[must_use]
    pub const fn tries_left(&self) -> Option<u8> {
        self.tries_left
    }

    /// What a person can do.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        self.kind.advice()
    }

    /// The word for programs that its support code begins with.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        self.word
    }

    pub(crate) fn cancelled() -> Self {
        WalletError::Fetch(FetchError::Cancelled).into()
    }

    pub(crate) fn closed() -> Self {
        let happened = "the wallet was closed before it was done".to_owned();
        Self {
            kind: TroubleKind::Cancelled,
            happened,
            support: "cancelled.Closed".to_owned(),
            word: "cancelled",
            tries_left: None,
        }
    }

    pub(crate) fn busy() -> Self {
        let happened = "more was asked for than is done at once".to_owned();
        Self { kind: TroubleKind::Busy, happened, support: "busy.Full".to_owned(), word: "busy", tries_left: None }
    }

    pub(crate) fn defect() -> Self {
        WalletError::Defect.into()
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.happened)
    }
}

impl Error for Trouble {}

impl From<WalletError> for Trouble {
    fn from(error: WalletError) -> Self {
        let word = match &error {
            WalletError::Fetch(FetchError::Cancelled) => "cancelled",
            WalletError::Pack(PackError::Busy) | WalletError::Fetch(FetchError::Pack(PackError::Busy)) => "busy",
            error => error.code(),
        };
        let kind = match word {
            "cancelled" => TroubleKind::Cancelled,
            "busy" => TroubleKind::Busy,
            "passphrase" | "words" => TroubleKind::Passphrase,
            "unreachable" => TroubleKind::Offline,
            "fetch" if matches!(error, WalletError::Fetch(FetchError::Unreachable(_) | FetchError::Broken)) => {
                TroubleKind::Offline
            }
            "not_final" | "unfinished" | "mailbox" | "not_compared" | "not_yet" => TroubleKind::NotFinal,
            "expired" | "altered" | "pickup" | "card" | "invitation" | "limits" | "network" | "terms" | "name"
            | "kind" => TroubleKind::Code,
            "ended" => TroubleKind::Ended,
            "refused" | "rejected" => TroubleKind::Refused,
            "study" | "not_told" => TroubleKind::Study,
            "not_found" | "not_fetched" | "device" | "series" => TroubleKind::NotFound,
            "vault" | "file" => TroubleKind::Storage,
            "caps" => TroubleKind::Capped,
            "view_only" => TroubleKind::Wish,
            "proof" | "receipts" | "fetch" | "void" => TroubleKind::Untrusted,
            _ => TroubleKind::Defect,
        };
        let tries_left = match &error {
            WalletError::Pickup(PickupError::Denied(Denied::WrongAnswer { left })) => Some(*left),
            WalletError::Pickup(PickupError::Denied(Denied::NoPickup)) | WalletError::TriedTooOften => Some(0),
            _ => None,
        };
        Self { kind, happened: sentences(&error), support: format!("{word}.{}", name(&error)), word, tries_left }
    }
}

/// What happened, and why, one cause after another.
#[must_use]
pub fn sentences(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// What a fault is called in the code, and within it one below: no more, since what stands further in is
/// about somebody.
fn name(error: &WalletError) -> String {
    let debug = format!("{error:?}");
    let is_letter = |c: char| c.is_ascii_alphanumeric();
    let (outer, rest) = debug.split_at(debug.find(|c| !is_letter(c)).unwrap_or(debug.len()));
    let inner = rest.strip_prefix('(').unwrap_or_default();
    let inner = &inner[..inner.find(|c| !is_letter(c)).unwrap_or(inner.len())];
    // A variant; text would stand in quotes, and numbers begin with none.
    if inner.starts_with(|c: char| c.is_ascii_uppercase()) && inner != "Some" && inner != "None" {
        format!("{outer}.{inner}")
    } else {
        outer.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use clavicle_network::transfer::Reference;

    use super::*;

    /// They stand in letters to whoever gives support: changed, they are of no use.
    #[test]
    fn support_codes_stay_as_they_are_and_tell_nothing_of_anybody() {
        let codes: [(WalletError, &str, TroubleKind); 8] = [
            (WalletError::NoRelay(None), "unreachable.NoRelay", TroubleKind::Offline),
            (WalletError::NotFinal, "not_final.NotFinal", TroubleKind::NotFinal),
            (WalletError::NoStudy("Rossi".to_owned()), "not_found.NoStudy", TroubleKind::NotFound),
            (WalletError::Rejected("Rossi".to_owned()), "rejected.Rejected", TroubleKind::Refused),
            (WalletError::GrantGone { height: 7 }, "ended.GrantGone", TroubleKind::Ended),
            (WalletError::Fetch(FetchError::Broken), "fetch.Fetch.Broken", TroubleKind::Offline),
            (WalletError::Fetch(FetchError::Cancelled), "cancelled.Fetch.Cancelled", TroubleKind::Cancelled),
            (WalletError::Fetch(FetchError::Refused(None::<Reference>)), "refused.Fetch.Refused", TroubleKind::Refused),
        ];
        for (error, support, kind) in codes {
            let trouble = Trouble::from(error);
            assert_eq!((trouble.support.as_str(), trouble.kind), (support, kind));
            assert!(support.starts_with(trouble.word()));
            assert!(!trouble.happened.is_empty() && !trouble.advice().is_empty());
        }
    }
}
