//! Work that blocks, away from the task that serves the network.

use std::collections::VecDeque;

use tokio::task::JoinSet;
use tracing::error;

/// One of them.
pub(super) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Jobs on blocking threads: so many run, so many wait for a thread, and there are no more.
pub(super) struct Jobs<T> {
    running: JoinSet<T>,
    waiting: VecDeque<Job<T>>,
    most_running: usize,
    most_waiting: usize,
}

impl<T: Send + 'static> Jobs<T> {
    pub(super) fn new(most_running: usize, most_waiting: usize) -> Self {
        Self { running: JoinSet::new(), waiting: VecDeque::new(), most_running, most_waiting }
    }

    /// Whether the next job would have no place.
    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= self.most_running && self.waiting.len() >= self.most_waiting
    }

    /// Starts a job, now or when there is a thread for it. Not done when there is no place.
    pub(super) fn start(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        if self.running.len() < self.most_running {
            self.running.spawn_blocking(job);
        } else if self.waiting.len() < self.most_waiting {
            self.waiting.push_back(Box::new(job));
        }
    }

    /// The next result; none when nothing runs. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            let ended = self.running.join_next().await?;
            if let Some(job) = self.waiting.pop_front() {
                self.running.spawn_blocking(job);
            }
            match ended {
                Ok(result) => return Some(result),
                Err(defect) => error!("a defect ended the work on something received: {defect}"),
            }
        }
    }

    /// Lets what runs end, and gives up what waits.
    pub(super) async fn finish(mut self) {
        self.waiting.clear();
        while self.running.join_next().await.is_some() {}
    }
}
