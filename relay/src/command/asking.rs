//! How a command has an operation done: asked of the relay that runs in the folder, or, with none running, on its stores.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use super::{CommandError, EDGE};
use crate::answer::{Answer, Failure};
use crate::control::{self, ClientError};
use crate::home::{Home, HomeError};
use crate::operations::taking::{Taking, TakingRow};
use crate::operations::{Command, Ground as _, Of, Operation, Way};
use crate::service::OpenError;
use crate::store::StoreError;

/// How long a relay may take from having its stores to having its socket.
const STARTING: Duration = Duration::from_secs(10);
/// How long it may take to having its network.
const JOINING: Duration = Duration::from_millis(500);
/// How often somebody who looks on is told.
const OFTEN: Duration = Duration::from_millis(200);

/// The relay that runs in a folder, or its stores.
pub(super) struct RelayOrStores;

impl Way for RelayOrStores {
    fn take<C: Command>(&self, Of { dir, arguments }: &Of<C::Arguments>) -> Result<Answer, Failure> {
        let operation = C::request(arguments)?;
        let (home, shown) = (Home::at(dir), Shown::new(C::IS_LONG));
        let answer = done(&home, operation, &shown)?;
        shown.finish();
        C::say(arguments, answer)
    }
}

fn done<O: Operation>(home: &Home, operation: O, shown: &Shown) -> Result<O::Answer, Failure> {
    if !O::On::RUNNING {
        return Ok(operation.work(&O::On::open(home, EDGE)?)?);
    }
    home.settings()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CommandError::Runtime)?;
    let from = Instant::now();
    loop {
        match runtime.block_on(asked(&home.socket(), &operation, shown)) {
            Ok(answer) => return Ok(answer),
            Err(ClientError::NotRunning) => {}
            Err(error) => return Err(error.into()),
        }
        // A relay that was started just before has the stores already and no socket yet, or not even its network.
        let patience = match O::On::open(home, EDGE) {
            Ok(on) => return worked(operation, &on, shown),
            Err(OpenError::Store(StoreError::InUse)) => STARTING,
            Err(OpenError::Home(HomeError::NoNetwork(_))) => JOINING,
            Err(error) => return Err(error.into()),
        };
        if from.elapsed() >= patience {
            return worked(operation, &O::On::open(home, EDGE)?, shown);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Asks a running relay, and meanwhile how far it is, where somebody looks.
async fn asked<O: Operation>(socket: &Path, operation: &O, shown: &Shown) -> Result<O::Answer, ClientError> {
    let answer = control::ask(socket, operation);
    let late = async {
        match O::PATIENCE {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(answer, late);
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            () = &mut late => return Err(ClientError::Silent),
            () = tokio::time::sleep(OFTEN), if shown.somebody_looks => {
                // That it does not say is no reason to stop waiting.
                control::ask(socket, &Taking {}).await.into_iter().for_each(|row| shown.is_at(row));
            }
        }
    }
}

/// Works on the stores, and meanwhile says how far that is, where somebody looks.
fn worked<O: Operation>(operation: O, on: &O::On, shown: &Shown) -> Result<O::Answer, Failure> {
    std::thread::scope(|scope| {
        let (end, ended) = sync_channel::<()>(0);
        if shown.somebody_looks {
            scope.spawn(move || {
                while ended.recv_timeout(OFTEN) == Err(RecvTimeoutError::Timeout) {
                    shown.is_at(on.how_far());
                }
            });
        }
        let answer = operation.work(on);
        drop(end);
        Ok(answer?)
    })
}

/// How far the work is, on the terminal, if standard error is one.
struct Shown {
    somebody_looks: bool,
    /// Whether there is a line on it.
    said: AtomicBool,
}

impl Shown {
    fn new(is_long: bool) -> Self {
        Self { somebody_looks: is_long && std::io::stderr().is_terminal(), said: AtomicBool::new(false) }
    }

    fn is_at(&self, row: TakingRow) {
        if self.somebody_looks && row.files > 0 {
            self.said.store(true, Ordering::Relaxed);
            let mut out = std::io::stderr();
            write!(out, "\r{}   ", row.line()).ok();
            out.flush().ok();
        }
    }

    fn finish(self) {
        if self.said.into_inner() {
            writeln!(std::io::stderr()).ok();
        }
    }
}
