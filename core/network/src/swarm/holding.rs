//! Questions about mailboxes that are held until something comes, or their time is over.
//!
//! Whoever waits for a letter would ask every second. Held, the question is answered in the moment in which something is
//! deposited. The answer says only that it is to be looked: what is in the mailbox is collected as ever, so that what
//! is held costs a place and no room for letters. Places are in shares of whoever asks, and few for each mailbox: whoever
//! loses one is answered, and looks once too often.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use clavicle_admission::{Admission, Limits, Place};
use clavicle_ledger::key::Key;

use super::door::Asker;

/// How long a question is held: less than those who ask wait for an answer.
pub(super) const HELD: Duration = Duration::from_secs(4);
/// How many are held.
const MOST: usize = 1024;
/// How many are held for one mailbox.
const MOST_OF_A_MAILBOX: usize = 4;

/// The number of a question that is held.
type Number = u64;

/// What is held; `C` is what each is answered through.
pub(super) struct Holding<C> {
    places: Admission<Asker, Number>,
    all: HashMap<Number, Waiting<C>>,
    of_mailbox: BTreeMap<Key, BTreeSet<Number>>,
    next: Number,
}

struct Waiting<C> {
    place: Place,
    mailbox: Key,
    /// There once it was looked and nothing lay in the mailbox.
    answer: Option<C>,
    /// Something came while it was being looked.
    came: bool,
}

impl<C> Holding<C> {
    pub(super) fn new() -> Self {
        let limits = Limits { most: MOST, settled: Duration::ZERO, silent: Some(HELD) };
        Self { places: Admission::new(limits), all: HashMap::new(), of_mailbox: BTreeMap::new(), next: 0 }
    }

    /// A question is looked into: from here on whatever comes to the mailbox is not missed. Its number, and whoever is to be answered since
    /// they have lost their place. Whether whoever asks has the mailbox's key is not known yet: of those who have it
    /// none loses theirs.
    pub(super) fn begin(&mut self, asker: Asker, mailbox: Key, now: Instant) -> (Number, Vec<C>) {
        let (number, mut lost) = (self.next, Vec::new());
        self.next = self.next.wrapping_add(1);
        // Nobody is ever turned away: a place need not be settled.
        if let Ok(entered) = self.places.enter(asker, now, number) {
            lost.extend(entered.displaced.and_then(|displaced| self.forget(displaced)));
            self.all.insert(number, Waiting { place: entered.place, mailbox, answer: None, came: false });
            self.of_mailbox.entry(mailbox).or_default().insert(number);
        }
        (number, lost)
    }

    /// Nothing lies in the mailbox, and whoever asks has its key: it is held. Whoever is to be answered at once, since
    /// something came meanwhile or the place is lost.
    pub(super) fn hold(&mut self, number: Number, answer: C) -> Vec<C> {
        let Some(mailbox) = self.all.get(&number).filter(|waiting| !waiting.came).map(|waiting| waiting.mailbox) else {
            self.remove(number);
            return vec![answer];
        };
        let is_held = |number: &Number| self.all.get(number).is_some_and(|waiting| waiting.answer.is_some());
        let held = self.of_mailbox.get(&mailbox).into_iter().flatten().copied().filter(is_held);
        let held: Vec<Number> = held.collect();
        let oldest = held.first().copied().filter(|_| held.len() >= MOST_OF_A_MAILBOX);
        let lost = oldest.and_then(|oldest| self.remove(oldest));
        if let Some(waiting) = self.all.get_mut(&number) {
            waiting.answer = Some(answer);
        }
        lost.into_iter().collect()
    }

    /// It was answered otherwise.
    pub(super) fn end(&mut self, number: Number) {
        self.remove(number);
    }

    /// Something came to a mailbox: whoever waits for that is to be answered.
    pub(super) fn came(&mut self, mailbox: &Key) -> Vec<C> {
        let held: Vec<Number> = self.of_mailbox.get(mailbox).into_iter().flatten().copied().collect();
        let mut answered = Vec::new();
        for number in held {
            match self.all.get_mut(&number) {
                Some(waiting) if waiting.answer.is_none() => waiting.came = true,
                _ => answered.extend(self.remove(number)),
            }
        }
        answered
    }

    /// Whoever has waited long enough, and is to be answered.
    pub(super) fn over(&mut self, now: Instant) -> Vec<C> {
        let over: Vec<Number> = core::iter::from_fn(|| self.places.overdue(now)).collect();
        over.into_iter().filter_map(|number| self.forget(number)).collect()
    }

    /// When there is somebody who has.
    pub(super) fn next_over(&self) -> Option<Instant> {
        self.places.next_overdue()
    }

    fn remove(&mut self, number: Number) -> Option<C> {
        let place = self.all.get(&number)?.place;
        self.places.leave(place);
        self.forget(number)
    }

    /// What is kept of a question whose place is gone.
    fn forget(&mut self, number: Number) -> Option<C> {
        let Waiting { mailbox, answer, .. } = self.all.remove(&number)?;
        if let Some(held) = self.of_mailbox.get_mut(&mailbox) {
            held.remove(&number);
            if held.is_empty() {
                self.of_mailbox.remove(&mailbox);
            }
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use clavicle_admission::{Neighbourhood, Origin};

    use super::*;

    fn from(host: u8) -> Asker {
        let address = std::net::Ipv4Addr::new(192, 0, 2, host);
        let neighbourhood: Neighbourhood = Origin::Direct(address.into()).neighbourhood();
        Asker::Guests(neighbourhood)
    }

    fn mailbox(number: u32) -> Key {
        Key::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
    }

    /// One that is held.
    fn held(holding: &mut Holding<u32>, host: u8, of: u32, now: Instant) -> Vec<u32> {
        let (number, mut lost) = holding.begin(from(host), mailbox(of), now);
        lost.extend(holding.hold(number, of));
        lost
    }

    #[test]
    fn whatever_comes_answers_those_who_wait_for_it_and_nobody_else() {
        let (mut holding, now) = (Holding::<u32>::new(), Instant::now());
        held(&mut holding, 1, 7, now);
        held(&mut holding, 2, 7, now);
        held(&mut holding, 2, 8, now);
        assert!(holding.came(&mailbox(9)).is_empty());
        assert_eq!(holding.came(&mailbox(7)), [7, 7]);
        assert!(holding.came(&mailbox(7)).is_empty(), "they are not held any more");
        // While it is being looked, nothing is missed.
        let (number, _) = holding.begin(from(1), mailbox(7), now);
        assert!(holding.came(&mailbox(7)).is_empty());
        assert_eq!(holding.hold(number, 70), [70]);
        let (number, _) = holding.begin(from(1), mailbox(7), now);
        holding.end(number);
        assert!(holding.came(&mailbox(7)).is_empty());
        assert_eq!((holding.all.len(), holding.of_mailbox.len(), holding.places.held()), (1, 1, 1));
    }

    #[test]
    fn nobody_waits_longer_than_that() {
        let (mut holding, now) = (Holding::<u32>::new(), Instant::now());
        held(&mut holding, 1, 7, now);
        held(&mut holding, 1, 8, now + Duration::from_secs(1));
        assert_eq!(holding.next_over(), Some(now + HELD));
        assert!(holding.over(now + HELD - Duration::from_millis(1)).is_empty());
        assert_eq!(holding.over(now + HELD), [7]);
        assert_eq!(holding.over(now + HELD + Duration::from_secs(1)), [8]);
        assert_eq!((holding.all.len(), holding.of_mailbox.len(), holding.next_over()), (0, 0, None));
    }

    /// Attack: whoever knows a mailbox and has not its key asks about it, over and over.
    #[test]
    fn who_has_not_the_key_takes_no_place_of_those_who_have() {
        let (mut holding, now) = (Holding::<u32>::new(), Instant::now());
        for _ in 0..MOST_OF_A_MAILBOX {
            assert!(held(&mut holding, 1, 7, now).is_empty());
        }
        for _ in 0..100 {
            let (number, lost) = holding.begin(from(2), mailbox(7), now);
            assert!(lost.is_empty());
            holding.end(number);
        }
        assert_eq!(held(&mut holding, 1, 7, now), [7], "of their own the oldest");
        assert_eq!(holding.came(&mailbox(7)).len(), MOST_OF_A_MAILBOX);
    }

    #[test]
    fn however_many_ask_what_is_held_is_bounded_and_a_newcomer_has_a_place() {
        let (mut holding, now) = (Holding::<u32>::new(), Instant::now());
        let lost: usize = (0..5_000).map(|of| held(&mut holding, 1, of, now).len()).sum();
        assert_eq!((holding.all.len(), holding.of_mailbox.len(), lost), (MOST, MOST, 5_000 - MOST));
        // It takes the oldest of whoever has the most, who is answered.
        assert_eq!(held(&mut holding, 2, 9_999, now), [5_000 - MOST as u32]);
        assert_eq!(holding.came(&mailbox(9_999)), [9_999]);
        // One mailbox has few of them, whoever asks: one deposit is no flood of answers.
        let lost: usize = (0..100).map(|host| held(&mut holding, host, 1, now).len()).sum();
        assert!(lost >= 96 && holding.came(&mailbox(1)).len() == MOST_OF_A_MAILBOX);
    }
}
