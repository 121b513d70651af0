//! The command line as a client of the application: a wallet is opened, a command sent, and how far it is shown.

use std::pin::pin;
use std::sync::Arc;

use clavicle_app::{App, Ask, Event};
use clavicle_command::clock::now;
use clavicle_command::said::complain;
use clavicle_ledger::time::DAY_MS;
use clavicle_wallet::Silence;
use clavicle_wallet::ledger::Woken;

use super::progress::Line;
use super::{CommandError, Folder};

/// Opens a patient's wallet.
pub(super) async fn patient(folder: &Folder) -> Result<App, CommandError> {
    Ok(App::open_patient(&folder.dir, Arc::new(folder.passphrase()?), now).await?)
}

/// Opens a recipient's wallet.
pub(super) async fn recipient(folder: &Folder) -> Result<App, CommandError> {
    Ok(App::open_recipient(&folder.dir, Arc::new(folder.passphrase()?), now).await?)
}

/// Sends a command, and waits for its end. Somebody who looks sees how many of `what` are done.
pub(super) async fn done<C: Ask>(app: &App, command: C, what: &str) -> Result<C::Done, CommandError> {
    let (mut events, running) = (app.events(), app.send(command)?);
    let (mut seen, line) = (running.control().progress(), Line::new());
    let mut ended = pin!(running.ended());
    loop {
        let ended = tokio::select! {
            biased;
            ended = &mut ended => Some(ended),
            Ok(event) = events.recv() => {
                match event {
                    Event::Silent(silence) => of_silence(silence.as_ref()),
                    Event::Woken(woken) => of_waking(woken),
                    _ => {}
                }
                continue;
            }
            Ok(()) = seen.changed() => None,
        };
        let (parts, bytes) = {
            let seen = seen.borrow_and_update();
            ((seen.items, seen.all), seen.bytes)
        };
        line.is_at_part(parts, bytes, what);
        if let Some(ended) = ended {
            return Ok(ended?);
        }
    }
}

/// Says at once that too few hospitals answer, and when that is over.
pub(super) fn of_silence(silence: Option<&Silence>) {
    complain(&silence.map_or_else(
        || "enough hospitals answer again".to_owned(),
        |silence| format!("{silence}. What was signed is kept, and given to them again by itself"),
    ));
}

/// Says that a wallet found its way back.
pub(super) fn of_waking(Woken { away_ms, height }: Woken) {
    let days = away_ms / DAY_MS;
    complain(&format!(
        "note: nothing was heard of this network for {days} days; its hospitals vouch for block {height}, and this wallet goes on from there"
    ));
}
