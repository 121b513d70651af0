//! Work of one kind that blocks: so much of it runs at once, whoever still waits for what comes of it.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinError;

/// Where such work waits for its turn.
#[derive(Clone, Debug)]
pub(crate) struct BlockingLane(Arc<Semaphore>);

/// Leave to do one thing.
#[derive(Debug)]
pub(crate) struct BlockingTurn(Option<OwnedSemaphorePermit>);

impl BlockingLane {
    /// So much runs at once.
    pub(crate) fn new(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Waits for a turn. Given up meanwhile, nothing was begun.
    pub(crate) async fn turn(&self) -> BlockingTurn {
        // Nobody ever closes it.
        BlockingTurn(Arc::clone(&self.0).acquire_owned().await.ok())
    }

    /// Does something when it is its turn.
    ///
    /// # Errors
    /// A defect ended it.
    pub(crate) async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        self.turn().await.work(work).await
    }
}

impl BlockingTurn {
    /// Does it. The turn goes with the work and not with whoever waits: who comes, asks and goes again makes no more of it run at once.
    ///
    /// # Errors
    /// A defect ended it.
    pub(crate) async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        let done = tokio::task::spawn_blocking(move || {
            let Self(_turn) = self;
            work()
        });
        done.await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn who_comes_and_goes_makes_no_more_run_at_once() {
        let lane = BlockingLane::new(2);
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (end, ending) = mpsc::sync_channel::<()>(64);
        let ending = Arc::new(Mutex::new(ending));
        for _ in 0..64 {
            let (running, most, ending) = (Arc::clone(&running), Arc::clone(&most), Arc::clone(&ending));
            let mut asked = Box::pin(lane.work(move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                ending.lock().unwrap().recv().unwrap();
                running.fetch_sub(1, Ordering::SeqCst);
            }));
            // It begins if it may, and is given up at once.
            tokio::select! {
                biased;
                _ = &mut asked => panic!("nothing has ended yet"),
                () = tokio::task::yield_now() => {}
            }
        }
        // Whoever stays has its turn when one of the two has ended.
        let stays = lane.work(|| ());
        end.send(()).unwrap();
        end.send(()).unwrap();
        stays.await.unwrap();
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)), "{most:?} ran at once");
    }
}
