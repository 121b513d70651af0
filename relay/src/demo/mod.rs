//! The whole story in one command: four hospitals, a patient, her physician, and a stranger.
//!
//! Nothing in it is simulated. The `hospitals` are processes of their own, this program once more, with their own stores and
//! sockets; the `story` is what people do with them, through the library that their apps use; `telling` says it as it happens,
//! with what was measured. However it ends, the processes end with it, and what was not to be kept is removed; only when this very
//! process is killed outright do they stay.

mod hospitals;
mod story;
mod telling;

use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitStatus;

use clavicle_ledger::time::LocalTime;
use clavicle_wallet::patient::OwnStudy;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::hospitals::Hospitals;
use self::story::Story;
use self::telling::Telling;
use crate::answer::{Answer, sentences};

/// Why the story was not told to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// Something went wrong.
    #[error("the demonstration failed at the step “{step}”: {}{log}", sentences(&**error))]
    Step {
        /// Where in the story.
        step: &'static str,
        /// What.
        error: Box<dyn Error + Send + Sync>,
        /// The last lines of the hospital's log, if there is one.
        log: String,
    },
    /// Somebody wanted it to end.
    #[error("the demonstration was interrupted; its hospitals were stopped")]
    Interrupted,
    /// The system gave no timer or signal.
    #[error("the system gave no timer or signal to run with")]
    Runtime(#[source] io::Error),
}

/// Whatever a step may fail with.
type Failure = Box<dyn Error + Send + Sync>;

/// What should not be.
#[derive(Debug, thiserror::Error)]
enum Wrong {
    #[error("{0} ended by itself ({1})")]
    Ended(&'static str, ExitStatus),
    #[error("it took longer than {} s", hospitals::PATIENCE.as_secs())]
    TooLong,
    #[error("{0}")]
    Otherwise(String),
}

/// Tells the story, with the DICOM files in a folder or a made study; `quiet` says nothing before its end.
pub(crate) fn run(
    dicom: Option<&Path>,
    keep: Option<&Path>,
    quiet: bool,
    clock: fn() -> LocalTime,
) -> Result<Answer, DemoError> {
    // One thread: it is the fastest for one transfer.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DemoError::Runtime)?;
    runtime.block_on(Box::pin(async {
        let mut signals = signals().map_err(DemoError::Runtime)?;
        let mut telling = Telling::new(quiet);
        let failed = |step, error, log| Err(DemoError::Step { step, error, log });
        let mut hospitals = match Hospitals::make(keep) {
            Ok(hospitals) => hospitals,
            Err(error) => return failed(telling.step, error, String::new()),
        };
        let told = tokio::select! {
            // First: what ends all of them at once ends the hospitals, too.
            biased;
            () = any(&mut signals) => return Err(DemoError::Interrupted),
            told = Box::pin(tell(&mut hospitals, &mut telling, dicom, clock)) => told,
        };
        let told = match told {
            Ok(study) => {
                let next = keep.map(|_| hospitals.next(&study.id.to_string()[..12]));
                Ok(telling.end(next.as_deref(), keep))
            }
            Err(error) => failed(telling.step, error, hospitals.last_words()),
        };
        hospitals.stop().await;
        told
    }))
}

async fn tell(
    hospitals: &mut Hospitals,
    telling: &mut Telling,
    dicom: Option<&Path>,
    clock: fn() -> LocalTime,
) -> Result<OwnStudy, Failure> {
    telling.say("Four hospitals, a patient, her physician, a stranger. Real processes, sockets, files and proofs.\n");
    telling.begin("network");
    let (genesis, passphrase) = hospitals.found()?;
    telling.done("Four hospitals found a network of their own: Mercy, St Luke's, North and Harbor.", json!({}));
    Story { hospitals, telling, genesis, clock, passphrase }.tell(dicom).await
}

/// What asks a program to end.
fn signals() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
}

async fn any([interrupt, terminate, hangup]: &mut [Signal; 3]) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
}
