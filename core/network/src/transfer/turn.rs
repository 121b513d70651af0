//! The line of those who are sent to: so many at once, and each for as long as it takes what it asked for, and not long.

use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

/// How long a chunk may take before its recipient goes on outside the line.
const SLOW: Duration = Duration::from_millis(250);
/// How many bytes are sent before the next in line is sent to.
const TURN: usize = 4 * 1024 * 1024;
/// How long a turn lasts, even if less was sent by then.
const LONGEST: Duration = Duration::from_secs(1);

/// A place in the line of those who are sent to.
///
/// It goes to the end of the line after [`TURN`] bytes, or after [`LONGEST`]. Who takes a chunk slowly keeps nobody else from being sent to: it goes on
/// without a place until it keeps up again. Each key has few places at a time, however often it is in the line.
pub(super) struct Turn<'a> {
    line: &'a Semaphore,
    own: &'a Semaphore,
    held: Option<Held<'a>>,
    slow: bool,
}

struct Held<'a> {
    _own: SemaphorePermit<'a>,
    _line: SemaphorePermit<'a>,
    left: usize,
    until: Instant,
}

impl<'a> Turn<'a> {
    /// In the line of all, behind others of its own key.
    pub(super) const fn new(line: &'a Semaphore, own: &'a Semaphore) -> Self {
        Self { line, own, held: None, slow: false }
    }

    pub(super) fn leave(&mut self) {
        self.held = None;
    }

    /// Waits until it may be sent to.
    pub(super) async fn begin(&mut self) {
        if self.held.is_none() && !self.slow {
            // First among its own: who waits for those holds no place in the line.
            let Ok(own) = self.own.acquire().await else { return };
            let Ok(line) = self.line.acquire().await else { return };
            self.held = Some(Held { _own: own, _line: line, left: TURN, until: Instant::now() + LONGEST });
        }
    }

    /// Whether it may still be sent to after `len` more bytes, should it take them in time.
    pub(super) fn goes_on_after(&self, len: usize) -> bool {
        self.held.as_ref().is_some_and(|held| held.left > len)
    }

    /// Sends `len` bytes when it is their turn.
    pub(super) async fn take<T>(&mut self, len: usize, sending: impl Future<Output = T>) -> T {
        self.begin().await;
        let mut sending = std::pin::pin!(sending);
        let sent = timeout(SLOW, &mut sending).await;
        self.slow = sent.is_err();
        if let Some(held) = &mut self.held {
            held.left = held.left.saturating_sub(len);
            if self.slow || held.left == 0 || Instant::now() >= held.until {
                self.leave();
            }
        }
        match sent {
            Ok(sent) => sent,
            Err(_) => sending.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::future::{join_all, select};
    use tokio::time::sleep;

    use super::*;

    const LEN: usize = 64 * 1024;
    const PLACES: usize = 64;

    /// How long a newcomer waits until it is sent to, while `others` are in the line before it, each sent a chunk in `each`.
    async fn waits(others: usize, each: Duration) -> Duration {
        let line = Semaphore::new(PLACES);
        let keys: Vec<Semaphore> = (0..=others).map(|_| Semaphore::new(2)).collect();
        let held_up = join_all(keys[1..].iter().map(async |own| {
            let mut turn = Turn::new(&line, own);
            loop {
                turn.take(LEN, sleep(each)).await;
            }
        }));
        let from = Instant::now();
        let mut newcomer = Turn::new(&line, &keys[0]);
        let served = async {
            // The others are before it.
            while line.available_permits() > PLACES.saturating_sub(others) {
                tokio::task::yield_now().await;
            }
            newcomer.take(LEN, ready(())).await;
        };
        select(std::pin::pin!(served), std::pin::pin!(held_up)).await;
        from.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_gives_its_place_to_others_at_once() {
        let never = Duration::from_secs(1_000_000);
        assert!(waits(PLACES, never).await <= SLOW + Duration::from_millis(1));
        // Nor does it help to be many: all that have begun have left the line for good.
        assert!(waits(4 * PLACES, never).await <= SLOW * 4 + Duration::from_millis(4));
    }

    /// A little at a time, as slowly as is just not called slow.
    #[tokio::test(start_paused = true)]
    async fn who_takes_little_gives_its_place_to_others_soon() {
        let drop_by_drop = SLOW - Duration::from_millis(10);
        assert!(waits(PLACES, drop_by_drop).await <= LONGEST + SLOW);
    }

    #[tokio::test(start_paused = true)]
    async fn one_key_has_few_places_however_many_connections_it_has() {
        let (line, own, other) = (Semaphore::new(PLACES), Semaphore::new(2), Semaphore::new(2));
        let all = join_all((0..8).map(async |_| Turn::new(&line, &own).take(LEN, sleep(SLOW / 2)).await));
        let seen = async {
            Turn::new(&line, &other).take(LEN, sleep(SLOW / 4)).await;
            line.available_permits()
        };
        let (_, left) = tokio::join!(all, seen);
        assert_eq!(left, PLACES - 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_slow_is_in_the_line_again_when_it_keeps_up() {
        let (line, own) = (Semaphore::new(1), Semaphore::new(2));
        let mut turn = Turn::new(&line, &own);
        turn.take(LEN, sleep(SLOW * 2)).await;
        turn.begin().await;
        assert_eq!((line.available_permits(), own.available_permits()), (1, 2), "outside");
        turn.take(LEN, ready(())).await;
        assert!(!turn.goes_on_after(LEN));
        turn.begin().await;
        assert_eq!((line.available_permits(), own.available_permits()), (0, 1), "inside");
        assert!(turn.goes_on_after(LEN) && !turn.goes_on_after(TURN));
        let line = &line;
        let asked = async { line.acquire().await.is_ok() };
        assert!(timeout(SLOW, asked).await.is_err());
        turn.take(TURN, sleep(SLOW / 2)).await;
        assert_eq!(line.available_permits(), 1, "its bytes are used up");
        assert!(timeout(SLOW * 2, turn.take(LEN, pending::<()>())).await.is_err());
        assert_eq!(line.available_permits(), 1, "it takes nothing");
    }
}
