//! Caps, kept and held to.

use clavicle_ledger::time::Timestamp;

use super::{Granted, Patient};
use crate::caps::{Cap, Caps, MAX_WAIT_MS, WEEK_MS};
use crate::error::WalletError;
use crate::rows::RefusedGrant;

/// By how much less than the wait by the device's clock a grant may begin, in milliseconds: it is dated by the newest
/// header, which is a little behind.
const BEHIND_MS: u64 = 10 * 60_000;

impl Patient {
    /// The caps, by the newest that is known of the ledger's time.
    ///
    /// # Errors
    /// [`WalletError`].
    pub fn caps(&self) -> Result<Caps, WalletError> {
        let time = self.wallet.ledger.head().time.timestamp();
        Ok(self.wallet.vault.get::<Caps>(b"")?.unwrap_or_default().at(time))
    }

    /// Sets them: what is stricter at once, what is looser when its time has come.
    ///
    /// # Errors
    /// [`WalletError`].
    pub async fn set_caps(&mut self, cap: Cap) -> Result<Caps, WalletError> {
        self.wallet.refresh_head().await;
        let cap = Cap { wait_ms: cap.wait_ms.min(MAX_WAIT_MS), ..cap };
        let before = self.caps()?;
        // The later of both times: neither an old head nor a clock that is behind makes it sooner.
        let time = self.wallet.ledger.head().time.timestamp().max(self.wallet.now());
        let caps = Caps { now: before.now, next: None }.set(cap, time);
        self.wallet.vault.put(b"", &caps)?;
        Ok(caps)
    }

    /// Whether these grants, of which nobody has seen any, may be made.
    pub(super) fn check_caps<'a>(&self, new: impl IntoIterator<Item = &'a Granted>) -> Result<(), WalletError> {
        let new: Vec<&Granted> = new.into_iter().collect();
        if new.is_empty() {
            return Ok(());
        }
        let (Cap { wait_ms, per_week }, time) = (self.caps()?.now, self.wallet.ledger.head().time.timestamp());
        let now = self.wallet.now();
        if new.iter().any(|one| begins_too_soon(one.made.terms.not_before, (time, now), wait_ms)) {
            return Err(WalletError::TooSoon { hours: wait_ms.div_ceil(60 * 60_000) });
        }
        if per_week.is_some() { self.check_often(new.len()) } else { Ok(()) }
    }

    /// Whether what begins so long from now on waits as long as it has to.
    pub(super) fn check_wait(&self, begins_in_ms: u64) -> Result<(), WalletError> {
        let (wait_ms, time) = (self.caps()?.now.wait_ms, self.wallet.ledger.head().time.timestamp());
        if begins_too_soon(time.plus(begins_in_ms), (time, self.wallet.now()), wait_ms) {
            return Err(WalletError::TooSoon { hours: wait_ms.div_ceil(60 * 60_000) });
        }
        Ok(())
    }

    /// Whether so many more grants may be made this week.
    pub(super) fn check_often(&self, new: usize) -> Result<(), WalletError> {
        let (cap, time) = (self.caps()?.now, self.wallet.ledger.head().time.timestamp());
        let Some(most) = cap.per_week else { return Ok(()) };
        let refused = self.wallet.vault.all::<RefusedGrant>()?.into_iter().map(|(_, RefusedGrant { made })| made);
        let all = self.grants()?.into_iter().map(|granted| granted.made).chain(refused);
        // What begins later was made earlier: it counts for longer, and never for less.
        let this_week = all.filter(|made| made.terms.not_before.plus(WEEK_MS) > time).count();
        let count = this_week.saturating_add(new);
        if count > usize::try_from(most).unwrap_or(usize::MAX) { Err(WalletError::TooOften { most }) } else { Ok(()) }
    }
}

/// Whether a grant begins before the wait is over, by block time or by the device's clock: without a network an old
/// head must not have the wait be over already, and a clock that is ahead makes it longer only.
fn begins_too_soon(begins: Timestamp, (block, device): (Timestamp, Timestamp), wait_ms: u64) -> bool {
    wait_ms > 0 && (begins < block.plus(wait_ms) || begins.plus(BEHIND_MS) < device.plus(wait_ms))
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::time::{DAY_MS, HOUR_MS};

    use super::*;

    #[test]
    fn neither_an_old_head_nor_a_clock_that_is_behind_shortens_the_wait() {
        let now = Timestamp(20_000 * DAY_MS);
        let old = Timestamp(now.0 - 3 * DAY_MS);
        assert!(begins_too_soon(old.plus(DAY_MS), (old, now), DAY_MS));
        assert!(begins_too_soon(now.plus(HOUR_MS), (old, now), DAY_MS));
        assert!(begins_too_soon(old.plus(DAY_MS), (now, old), DAY_MS));
        assert!(!begins_too_soon(now.plus(DAY_MS), (old, now), DAY_MS));
        // Online the head is a few seconds behind.
        let head = Timestamp(now.0 - 5_000);
        assert!(!begins_too_soon(head.plus(DAY_MS), (head, now), DAY_MS));
        assert!(!begins_too_soon(old, (old, now), 0));
    }
}
