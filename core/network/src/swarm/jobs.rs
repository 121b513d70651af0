//! Work that blocks, away from the task that serves the network.

use std::collections::{BTreeMap, VecDeque};

use tokio::task::JoinSet;
use tracing::error;

/// One of them.
pub(super) type Job<T> = Box<dyn FnOnce() -> T + Send>;

/// Jobs on blocking threads: so many run at once, and there are no more.
pub(super) struct Jobs<T> {
    running: JoinSet<T>,
    most: usize,
}

impl<T: Send + 'static> Jobs<T> {
    pub(super) fn new(most: usize) -> Self {
        Self { running: JoinSet::new(), most }
    }

    /// Whether the next job would have no place.
    pub(super) fn is_full(&self) -> bool {
        self.running.len() >= self.most
    }

    /// Starts a job. Not done when there is no place.
    pub(super) fn start(&mut self, job: impl FnOnce() -> T + Send + 'static) {
        if !self.is_full() {
            self.running.spawn_blocking(job);
        }
    }

    /// What came of the next that ends: nothing if a defect ended it. None when nothing runs. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> Option<Option<T>> {
        let ended = self.running.join_next().await?;
        Some(ended.inspect_err(|defect| error!("a defect ended the work on something received: {defect}")).ok())
    }

    /// The next result; none when nothing runs. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            if let Some(result) = self.ended().await? {
                return Some(result);
            }
        }
    }

    /// Lets what runs end.
    pub(super) async fn finish(mut self) {
        while self.running.join_next().await.is_some() {}
    }
}

/// Jobs that several have done, each with a queue of its own, who take turns: so nobody waits behind all of what another has sent.
pub(super) struct SharedJobs<W, T> {
    jobs: Jobs<T>,
    /// No queue is empty.
    waiting: BTreeMap<W, VecDeque<Job<T>>>,
    /// Those who have something waiting, the next one first.
    turns: VecDeque<W>,
    most_waiting: usize,
}

impl<W: Ord + Copy, T: Send + 'static> SharedJobs<W, T> {
    /// So many run at once, and of each so many wait.
    pub(super) fn new(most_running: usize, most_waiting: usize) -> Self {
        Self { jobs: Jobs::new(most_running), waiting: BTreeMap::new(), turns: VecDeque::new(), most_waiting }
    }

    /// Whether the next job of theirs would have no place.
    pub(super) fn is_full(&self, whose: W) -> bool {
        self.jobs.is_full() && self.waiting.get(&whose).map_or(0, VecDeque::len) >= self.most_waiting
    }

    /// Starts a job, now or when it is its turn. Not done when there is no place.
    pub(super) fn start(&mut self, whose: W, job: impl FnOnce() -> T + Send + 'static) {
        if self.is_full(whose) {
            return;
        }
        if !self.jobs.is_full() {
            return self.jobs.start(job);
        }
        let own = self.waiting.entry(whose).or_default();
        if own.is_empty() {
            self.turns.push_back(whose);
        }
        own.push_back(Box::new(job));
    }

    /// The next result; none when nothing runs. May be dropped and called again.
    pub(super) async fn next(&mut self) -> Option<T> {
        loop {
            let ended = self.jobs.ended().await?;
            while !self.jobs.is_full()
                && let Some(job) = self.next_waiting()
            {
                self.jobs.start(job);
            }
            if let Some(result) = ended {
                return Some(result);
            }
        }
    }

    fn next_waiting(&mut self) -> Option<Job<T>> {
        let whose = self.turns.pop_front()?;
        let own = self.waiting.get_mut(&whose)?;
        let job = own.pop_front();
        if own.is_empty() {
            self.waiting.remove(&whose);
        } else {
            self.turns.push_back(whose);
        }
        job
    }

    /// Lets what runs end, and gives up what waits.
    pub(super) async fn finish(self) {
        self.jobs.finish().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_sends_much_keeps_nobody_else_waiting() {
        let mut jobs = SharedJobs::new(1, 4);
        for count in 0..100 {
            assert_eq!(jobs.is_full(1), count >= 5);
            jobs.start(1, || 1);
        }
        for whose in [2, 3, 2] {
            assert!(!jobs.is_full(whose));
            jobs.start(whose, move || whose);
        }
        let mut done = Vec::new();
        while let Some(whose) = jobs.next().await {
            done.push(whose);
        }
        assert_eq!(done, [1, 1, 2, 3, 1, 2, 1, 1]);
        assert!(jobs.waiting.is_empty() && jobs.turns.is_empty());
    }

    #[tokio::test]
    async fn a_defect_keeps_nothing_waiting() {
        let mut jobs = SharedJobs::new(1, 4);
        jobs.start(1, || panic!("a defect"));
        jobs.start(1, || 7);
        assert_eq!(jobs.next().await, Some(7));
        assert_eq!(jobs.next().await, None);
    }
}
