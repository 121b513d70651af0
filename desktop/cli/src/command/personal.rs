//! What nobody else on the machine is to read: how each is asked for, and its arguments.

use clavicle_command::given::Kind;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $argument:expr, $file:literal, $fd:literal, $env:expr, $group:expr, $what:literal, $help:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub enum $name {}

        impl Kind for $name {
            const ARGUMENT: Option<&'static str> = $argument;
            const FILE: &'static str = $file;
            const FD: &'static str = $fd;
            const ENV: Option<&'static str> = $env;
            const WHAT: &'static str = $what;
            const HELP: &'static str = $help;
            const GROUP: Option<&'static str> = $group;
        }
    )*};
}

kinds! {
    /// What opens a wallet.
    PassphraseKind: None, "passphrase-file", "passphrase-fd", Some("CLAVICLE_PASSPHRASE_FILE"), None,
        "the passphrase", "The passphrase of the wallet";
    /// What opens the wallet of a member of a practice or a team.
    MemberPassphraseKind: None, "as-passphrase-file", "as-passphrase-fd", Some("CLAVICLE_PASSPHRASE_FILE"), None,
        "the member's passphrase", "The passphrase of the member's wallet";
    /// What is to open a wallet from now on.
    NewPassphraseKind: None, "new-passphrase-file", "new-passphrase-fd", None, None,
        "the new passphrase", "The passphrase that is to open the wallet from now on";
    /// The words of a wallet.
    WordsKind: None, "words-file", "words-fd", None, None,
        "the 24 words", "The 24 words of the wallet; they are asked for, unseen, without one";
    /// Three of them.
    ThreeWordsKind: None, "words-file", "words-fd", None, None,
        "the three words", "The three words that are asked for, in their order";
    /// The answer to a code that asks for a PIN.
    PinKind: Some("pin"), "pin-file", "pin-fd", None, Some("answer"), "the PIN", "The PIN that the desk told";
    /// The answer to a code that asks for a date of birth.
    BirthDateKind: Some("birth-date"), "birth-date-file", "birth-date-fd", None, Some("answer"),
        "the date of birth", "The date of birth, if the code asks for it: 1953-01-17";
    /// Whose a study is in an archive.
    PatientIdKind: Some("patient-id"), "patient-id-file", "patient-id-fd", None, None,
        "the patient's id in that archive", "The patient's id in that archive; the study's own is kept as another id";
    /// How that patient is called.
    PatientNameKind: Some("patient-name"), "patient-name-file", "patient-name-fd", None, None,
        "the patient's name", "The patient's name in that archive, to be compared: Rossi^Ana";
    /// When that patient was born.
    PatientBirthDateKind: Some("patient-birth-date"), "patient-birth-date-file", "patient-birth-date-fd", None, None,
        "the patient's date of birth", "The patient's date of birth, to be compared: 1953-01-17";
}
