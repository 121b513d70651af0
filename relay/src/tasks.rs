//! Who owns the relay's background tasks: one place starts them, one token ends them, and none is gone unseen.
//!
//! A task has a name and runs until it is told to stop. One that ends before that, by itself, with an error or by a defect, is said in the log and ends
//! the relay ([`Tasks::failed`]), which its service manager starts again. What a task does over and over and may fail at is done again by itself
//! (`off`), and that is said, too.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::service::{Service, ServiceError};

/// How long tasks may take to end. What one is writing then is whole or not there, as after a kill.
const PATIENCE: Duration = Duration::from_secs(20);

/// That a task ended, which was to run until it is told to stop.
#[derive(Debug, thiserror::Error)]
#[error("the relay's task “{name}” ended")]
pub struct TaskError {
    /// Which.
    pub name: &'static str,
    /// Why.
    #[source]
    pub why: TaskEnd,
}

/// Why a task ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskEnd {
    /// See [`ServiceError`].
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A defect.
    #[error("a defect ended it: what it said is above; please report it")]
    Panicked,
    /// By itself.
    #[error("it ended by itself, which is a defect: please report it")]
    Early,
}

type Running = Arc<Mutex<BTreeMap<&'static str, AbortHandle>>>;

/// The tasks. Dropped, they are told to stop, but not waited for.
#[derive(Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    running: Running,
    ends: mpsc::Sender<TaskError>,
    ended: mpsc::Receiver<TaskError>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        // The first that ends is the reason; the others follow from it.
        let (ends, ended) = mpsc::channel(1);
        Self { tracker: TaskTracker::new(), stop: CancellationToken::new(), running: Running::default(), ends, ended }
    }

    /// Starts a task. It ends soon after the token that it is given is cancelled, and not before.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn start<F>(&self, name: &'static str, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = Result<(), ServiceError>> + Send + 'static,
    {
        let work = self.tracker.spawn(task(self.stop.clone()));
        named(&self.running).insert(name, work.abort_handle());
        let (stop, running, ends) = (self.stop.clone(), Arc::clone(&self.running), self.ends.clone());
        self.tracker.spawn(async move {
            let why = match work.await {
                Ok(Ok(())) => TaskEnd::Early,
                Ok(Err(error)) => TaskEnd::Service(error),
                Err(error) if error.is_panic() => TaskEnd::Panicked,
                // It was called off.
                Err(_) => TaskEnd::Early,
            };
            named(&running).remove(name);
            if stop.is_cancelled() && matches!(why, TaskEnd::Early) {
                return;
            }
            error!(name, %why, "a task of the relay ended");
            ends.try_send(TaskError { name, why }).ok();
        });
    }

    /// Waits until a task ends that was not told to. May be dropped and called again.
    pub async fn failed(&mut self) -> TaskError {
        match self.ended.recv().await {
            Some(error) => error,
            // There is a sender as long as there is this.
            None => core::future::pending().await,
        }
    }

    /// Tells all tasks to stop and waits until they have; those that take too long are called off.
    ///
    /// # Errors
    /// [`TaskError`], when one had ended before, or ends with an error now.
    pub async fn stop(mut self) -> Result<(), TaskError> {
        self.stop.cancel();
        self.tracker.close();
        if timeout(PATIENCE, self.tracker.wait()).await.is_err() {
            for (name, task) in named(&self.running).iter() {
                error!(name, "a task of the relay does not stop, and is called off");
                task.abort();
            }
        }
        self.ended.try_recv().map_or(Ok(()), Err)
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn named(running: &Running) -> MutexGuard<'_, BTreeMap<&'static str, AbortHandle>> {
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads and writes where nobody else waits. A defect in there ends nothing else: it is said, and `what` is done again another time.
///
/// # Errors
/// The work's.
pub(crate) async fn off<T: Send + 'static, E: Send + 'static>(
    service: &Service,
    what: &'static str,
    work: impl FnOnce(&Service) -> Result<T, E> + Send + 'static,
) -> Result<Option<T>, E> {
    let service = service.clone();
    match tokio::task::spawn_blocking(move || work(&service)).await {
        Ok(done) => done.map(Some),
        Err(error) => {
            if error.is_panic() {
                error!(what, "a defect ended a piece of work; it is done again");
            }
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[tokio::test]
    async fn whatever_ends_before_it_is_told_to_is_said() {
        let mut tasks = Tasks::new();
        tasks.start("lasting", |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        tasks.start("panics", |_| async { panic!("on purpose") });
        let failed = tasks.failed().await;
        assert!(matches!(failed, TaskError { name: "panics", why: TaskEnd::Panicked }), "{failed:?}");

        tasks.start("errs", |_| async { Err(StoreError::InUse.into()) });
        let failed = tasks.failed().await;
        assert!(matches!(failed, TaskError { name: "errs", why: TaskEnd::Service(_) }), "{failed:?}");

        tasks.start("returns", |_| async { Ok(()) });
        let failed = tasks.failed().await;
        assert!(matches!(failed, TaskError { name: "returns", why: TaskEnd::Early }), "{failed:?}");
        assert_eq!(named(&tasks.running).keys().copied().collect::<Vec<_>>(), ["lasting"]);
        tasks.stop().await.unwrap();
    }

    #[tokio::test]
    async fn an_error_on_the_way_out_is_said_too() {
        let tasks = Tasks::new();
        tasks.start("late", |stop| async move {
            stop.cancelled().await;
            Err(StoreError::InUse.into())
        });
        assert_eq!(tasks.stop().await.unwrap_err().name, "late");
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_stop_is_called_off() {
        let tasks = Tasks::new();
        tasks.start("deaf", |_| core::future::pending());
        let running = Arc::clone(&tasks.running);
        tasks.stop().await.unwrap();
        while !named(&running).is_empty() {
            tokio::task::yield_now().await;
        }
    }
}
