//! The demonstration from its beginning to its end, whatever that is.

use std::io;
use std::path::Path;

use clavicle_ledger::time::LocalTime;
use clavicle_wallet::patient::OwnStudy;
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{DemoError, Failure};
use crate::hospitals::Hospitals;
use crate::story::Story;
use crate::telling::{Telling, Told};

/// Tells the story, with the DICOM files in a folder or a made study; `quiet` says nothing before its end.
pub(crate) fn run(
    dicom: Option<&Path>,
    keep: Option<&Path>,
    quiet: bool,
    clock: fn() -> LocalTime,
) -> Result<Told, DemoError> {
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
