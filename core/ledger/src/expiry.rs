//! Expiry: what has ended is cleared away, a bounded amount per block.
//!
//! Nothing relies on it: a grant past its day is dead whether or not anyone swept it, a vote past its time does not count, and a
//! transaction past its `submit_by` is refused for that. Sweeping keeps the state small. Time is cut into hours; each hour has a list of what
//! ends before it begins, linked through the rows themselves, so that adding to it costs one row however long it is:
//!
//! ```text
//! Slot(h) ─► Executed(tx) ─► Due(h, study) ─► Executed(tx) ─► ∎      newest first
//! ```

use alloc::vec::Vec;

use crate::ballot::Ballot;
use crate::event::Event;
use crate::id::{BallotId, StudyId, TxId};
use crate::state::{Due, Ending, Overlay, ReadError, ReadRows as _, ReplayMark, Slot, SlotHead, StateKey, StateReader};
use crate::study::Study;
use crate::time::{BlockTime, Timestamp};

/// Puts `ending` at the head of an hour's list and returns what was there before.
fn link<R: StateReader>(
    state: &mut Overlay<'_, R>,
    slot: Slot,
    ending: Ending,
) -> Result<Option<Ending>, ReadError<R::Error>> {
    let key = StateKey::Slot(slot);
    let before = state.row::<SlotHead>(&key)?.map(|head| head.first);
    state.put(key, &SlotHead { first: ending });
    Ok(before)
}

/// Remembers that `tx` was executed, until `submit_by` has passed.
pub(crate) fn remember<R: StateReader>(
    state: &mut Overlay<'_, R>,
    tx: TxId,
    submit_by: Timestamp,
) -> Result<(), ReadError<R::Error>> {
    // One millisecond on: at `submit_by` itself the transaction could still be submitted.
    let next = link(state, Slot::after(submit_by.plus(1)), Ending::Transaction(tx))?;
    state.put(StateKey::Executed(tx), &ReplayMark { submit_by, next });
    Ok(())
}

/// Has a study looked at when the next thing on it ends. A study has one place per hour, so that however much is on
/// it, a transaction adds one place at most.
pub(crate) fn schedule<R: StateReader>(
    state: &mut Overlay<'_, R>,
    id: StudyId,
    study: &Study,
) -> Result<(), ReadError<R::Error>> {
    let Some(end) = study.next_end() else { return Ok(()) };
    take_place(state, Slot::after(end), StateKey::Due(Slot::after(end), id), Ending::Study(id))
}

/// Has a ballot looked at when the next vote in it ends to count.
pub(crate) fn schedule_ballot<R: StateReader>(
    state: &mut Overlay<'_, R>,
    id: BallotId,
    ballot: &Ballot,
) -> Result<(), ReadError<R::Error>> {
    let Some(end) = ballot.next_end() else { return Ok(()) };
    take_place(state, Slot::after(end), StateKey::BallotDue(Slot::after(end), id), Ending::Ballot(id))
}

/// Gives something a place in an hour's list, one at most.
fn take_place<R: StateReader>(
    state: &mut Overlay<'_, R>,
    slot: Slot,
    place: StateKey,
    ending: Ending,
) -> Result<(), ReadError<R::Error>> {
    if state.read(&place).map_err(ReadError::Storage)?.is_none() {
        let next = link(state, slot, ending)?;
        state.put(place, &Due { next });
    }
    Ok(())
}

/// Clears away at most `limit` things that have ended, hours without any counting too, and returns where to go on.
pub(crate) fn sweep<R: StateReader>(
    state: &mut Overlay<'_, R>,
    mut slot: Slot,
    now: BlockTime,
    limit: u32,
    events: &mut Vec<Event>,
) -> Result<Slot, ReadError<R::Error>> {
    let mut left = limit;
    while slot.has_begun(now) && left > 0 {
        let key = StateKey::Slot(slot);
        let mut ending = state.row::<SlotHead>(&key)?.map(|head| head.first);
        while let Some(current) = ending
            && left > 0
        {
            ending = clear(state, slot, current, now, events)?;
            left = left.saturating_sub(1);
        }
        match ending {
            Some(first) => state.put(key, &SlotHead { first }),
            None => {
                if state.read(&key).map_err(ReadError::Storage)?.is_some() {
                    state.remove(key);
                }
                slot = slot.next();
                left = left.saturating_sub(1);
            }
        }
    }
    Ok(slot)
}

/// Clears one thing away and returns the one it was linked to.
fn clear<R: StateReader>(
    state: &mut Overlay<'_, R>,
    slot: Slot,
    ending: Ending,
    now: BlockTime,
    events: &mut Vec<Event>,
) -> Result<Option<Ending>, ReadError<R::Error>> {
    match ending {
        Ending::Transaction(tx) => {
            let key = StateKey::Executed(tx);
            let mark: ReplayMark = state.required(&key)?;
            state.remove(key);
            Ok(mark.next)
        }
        Ending::Study(id) => {
            let key = StateKey::Due(slot, id);
            let due: Due = state.required(&key)?;
            state.remove(key);
            let key = StateKey::Study(id);
            let mut study: Study = state.required(&key)?;
            let lapses = study.settle(now);
            if !lapses.is_empty() {
                state.put(key, &study);
                events.extend(lapses.into_iter().map(|lapse| Event::Lapsed { study: id, lapse }));
            }
            schedule(state, id, &study)?;
            Ok(due.next)
        }
        Ending::Ballot(id) => {
            let key = StateKey::BallotDue(slot, id);
            let due: Due = state.required(&key)?;
            state.remove(key);
            let key = StateKey::Ballot(id);
            // It may have passed since.
            if let Some(mut ballot) = state.row::<Ballot>(&key)? {
                ballot.settle(now);
                if ballot.cast.is_empty() {
                    state.remove(key)
                } else {
                    state.put(key, &ballot)
                }
                schedule_ballot(state, id, &ballot)?;
            }
            Ok(due.next)
        }
    }
}
