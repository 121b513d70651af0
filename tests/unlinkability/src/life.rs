//! How people live.

/// How people live; chances are of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// How many patients there are.
    pub patients: usize,
    /// For how many days.
    pub days: u64,
    /// Of visits after the first: that studies of an earlier one are granted along.
    pub along: u64,
    /// Over how long what is granted along is spread, in milliseconds; 0 is at once.
    pub spread_ms: u64,
    /// Of patients: that all that was granted is ended at once, some day.
    pub ended: u64,
    /// Of patients: that they take new words, some day.
    pub new_words: u64,
    /// Of patients: that a hospital gives back what was lost, some day.
    pub recovered: u64,
    /// Of patients: that their wallet is restored from its words, some day.
    pub restored: u64,
    /// Of patients: that a delegate with the role of an emergency card stands on each study.
    pub emergency: u64,
    /// Of patients: the same with the role of a care team.
    pub care_team: u64,
    /// Of grants: that they are for as long as this patient likes to grant.
    pub lengths: u64,
    /// Of visits: that they are at the hour at which this patient likes to come.
    pub hours: u64,
    /// Of visits: that they are at this patient's own hospital.
    pub home: u64,
    /// Of cards: that they are this patient's own doctor's.
    pub doctor: u64,
    /// A fault of wallets that is planted.
    pub leak: Option<Leak>,
}

/// A fault that the game has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leak {
    /// Most of a patient's studies are granted to one key first.
    GranteeKey,
    /// Half of a patient's studies have their first key.
    HolderKey,
    /// `submit_by` is the phone's own clock, seven days on.
    Clock,
    /// Nonces are counted on from where a wallet began.
    Nonce,
}

impl Life {
    /// As wallets are, and nobody has habits that are public: those have numbers of their own.
    pub const AS_IT_IS: Self = Self {
        patients: 1_000,
        days: 30,
        along: 20,
        spread_ms: 0,
        ended: 10,
        new_words: 3,
        recovered: 3,
        restored: 10,
        emergency: 0,
        care_team: 0,
        lengths: 0,
        hours: 0,
        home: 0,
        doctor: 50,
        leak: None,
    };
    /// A week of a hundred patients.
    pub const A_WEEK: Self = Self { patients: 100, days: 7, ..Self::AS_IT_IS };
}
