//! Where keys stand: so that none ever stands on two studies, which everybody could read as one person's.

use std::collections::{BTreeMap, BTreeSet};

use clavicle_ledger::id::StudyId;
use clavicle_ledger::key::Key;
use clavicle_ledger::study::Study;

/// The studies that each key stands on, as far as is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// As a grantee.
    granted: BTreeMap<Key, BTreeSet<StudyId>>,
    /// As a holder or a delegate, who can grant.
    ruling: BTreeMap<Key, BTreeSet<StudyId>>,
}

impl Places {
    /// A key that a study was granted to, or is to be.
    pub(super) fn granted(&mut self, study: StudyId, key: Key) {
        self.granted.entry(key).or_default().insert(study);
    }

    /// A key that a study is granted by.
    pub(super) fn rules(&mut self, study: StudyId, key: Key) {
        self.ruling.entry(key).or_default().insert(study);
    }

    /// All keys on a study, by its record.
    pub(super) fn of_record(&mut self, study: StudyId, record: &Study) {
        self.rules(study, record.holder);
        record.delegates.iter().for_each(|delegate| self.rules(study, delegate.key));
        record.grants.iter().for_each(|grant| self.granted(study, grant.grantee));
    }

    /// Whether a study may be granted to a key: it stands on no other, and does not rule this one.
    pub(super) fn may_be_granted(&self, key: &Key, study: StudyId) -> bool {
        let elsewhere = self.granted.get(key).is_some_and(|studies| studies.iter().any(|other| *other != study));
        !elsewhere && !self.ruling.contains_key(key)
    }
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::Ascending;
    use clavicle_ledger::id::{GrantId, TermsCommitment};
    use clavicle_ledger::study::{Capacity, Delegate, DelegateRole, LiveGrant, Powers};
    use clavicle_ledger::time::Day;

    use super::*;
    use crate::objection::tests::proved;

    fn key(number: u64) -> Key {
        Key::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    fn study(number: u64) -> StudyId {
        StudyId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    /// Numbers that follow from a seed (SplitMix64).
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, most: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = self.0;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) % most
        }
    }

    fn record(holder: Key, delegates: &[Key], grantees: &[(u8, Key)]) -> Study {
        proved(|study| {
            study.holder = holder;
            let delegate = |key: &Key| Delegate {
                key: *key,
                role: DelegateRole::Helper,
                powers: Powers(1),
                expiry_day: Day(30_000),
            };
            study.delegates = Ascending::from_items(delegates.iter().map(delegate).collect()).unwrap();
            let live = |(id, key): &(u8, Key)| LiveGrant {
                id: GrantId::from_bytes([*id; 32]),
                grantee: *key,
                expiry_day: Day(30_000),
                terms: TermsCommitment::from_bytes([4; 32]),
                by: Capacity::Holder,
            };
            study.grants = Ascending::from_items(grantees.iter().map(live).collect()).unwrap();
        })
        .record
    }

    #[test]
    fn a_key_of_another_study_or_of_whoever_grants_is_not_granted_anything() {
        let mut places = Places::default();
        places.granted(study(1), key(1));
        places.rules(study(2), key(2));
        places.of_record(study(3), &record(key(3), &[key(4)], &[(1, key(5))]));
        for (number, on) in [(1, vec![study(1)]), (2, vec![]), (3, vec![]), (4, vec![]), (5, vec![study(3)])] {
            for of in (1..=4).map(study) {
                assert_eq!(places.may_be_granted(&key(number), of), on.contains(&of), "{number}");
            }
        }
        assert!(places.may_be_granted(&key(9), study(1)));
    }

    /// Whatever cards are shown, also those that hold keys from the ledger: after any history no key stands on two
    /// studies, as whatever.
    #[test]
    fn over_any_history_no_key_stands_on_two_studies() {
        let mut granted = 0;
        for seed in 0..200 {
            let (mut dice, mut places) = (Dice(seed), Places::default());
            // What stands there in truth: who holds, who may grant, and who may fetch.
            let mut truth = BTreeMap::<Key, BTreeSet<StudyId>>::new();
            let mut stand = |key: Key, study: StudyId| truth.entry(key).or_default().insert(study);
            let mut known = Vec::new();
            for number in 0..6 {
                let (id, holder, delegate) = (study(number), key(1_000 + number), key(2_000 + number));
                places.of_record(id, &record(holder, &[delegate], &[(1, key(3_000 + number))]));
                for one in [holder, delegate, key(3_000 + number)] {
                    stand(one, id);
                    known.push(one);
                }
            }
            for _ in 0..60 {
                let id = study(dice.below(6));
                // A card of eight: fresh keys, keys of other cards, and keys that anybody reads on the ledger.
                let card: Vec<Key> = (0..8)
                    .map(|_| match dice.below(3) {
                        0 => known[usize::try_from(dice.below(known.len() as u64)).unwrap()],
                        _ => key(dice.below(80)),
                    })
                    .collect();
                if let Some(one) = card.into_iter().find(|one| places.may_be_granted(one, id)) {
                    places.granted(id, one);
                    stand(one, id);
                    known.push(one);
                    granted += 1;
                }
            }
            assert!(truth.values().all(|studies| studies.len() == 1), "seed {seed}");
        }
        assert!(granted > 5_000, "{granted} grants");
    }
}
