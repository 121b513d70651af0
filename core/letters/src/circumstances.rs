//! What else is told of a grant: what its Terms do not say, and a person wants to know.

use std::fmt;

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use clavicle_ledger::id::GrantId;
use clavicle_ledger::time::Timestamp;

use crate::about::About;

/// What else is told of a grant. All of it is the granter's word.
#[derive(Clone, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Circumstances {
    /// Who the study is about.
    pub about: Option<About>,
    /// How many series the study had when some of them were allowed.
    pub series_in_all: Option<u32>,
    /// The grant whose place this one takes.
    pub replaces: Option<GrantId>,
    /// Of several studies that are granted to one person over some time: which these are.
    pub lot: Option<Lot>,
}

/// Several studies that one person grants to another, not all in one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Lot {
    /// By which its letters are known to belong together: random.
    pub id: [u8; 16],
    /// How many studies there are.
    pub count: u32,
    /// When the last of them is to be granted, by the granter's clock.
    pub last_by: Timestamp,
}

impl Circumstances {
    /// Whether there is anything that a letter of a grant alone, or of one that names whom it is about, could not say.
    #[must_use]
    pub fn say_more(&self) -> bool {
        let Self { about: _, series_in_all, replaces, lot } = self;
        series_in_all.is_some() || replaces.is_some() || lot.is_some()
    }
}

impl Wire for Circumstances {
    const NAME: &'static str = "what else is told of a grant";
    const MAX_LEN: usize = 1 + About::MAX_LEN + 1 + 4 + 1 + 32 + 1 + 16 + 4 + 8;
}

impl fmt::Debug for Circumstances {
    /// For logs: nothing that would name anybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Circumstances(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_always_be_said_needs_no_new_letter() {
        let about = Circumstances { about: Some(About::default()), ..Circumstances::default() };
        assert!(!Circumstances::default().say_more() && !about.say_more());
        let lot = Lot { id: [1; 16], count: 5, last_by: Timestamp(7) };
        for more in [
            Circumstances { series_in_all: Some(7), ..about.clone() },
            Circumstances { replaces: Some(GrantId::from_bytes([2; 32])), ..about.clone() },
            Circumstances { lot: Some(lot), ..about.clone() },
        ] {
            assert!(more.say_more());
        }
        assert_eq!(format!("{about:?}"), "Circumstances(…)");
    }
}
