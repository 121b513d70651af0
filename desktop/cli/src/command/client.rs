//! The command line as a client of the application: a wallet is opened, a command sent, and how far it is shown.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use clavicle_app::{App, Ask, BringIn, Event, Running};
use clavicle_command::clock::now;
use clavicle_command::said::{complain, many};
use clavicle_ledger::time::DAY_MS;
use clavicle_wallet::Silence;
use clavicle_wallet::ledger::Woken;
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::progress::Line;
use super::recovery::look;
use super::{CommandError, Folder};

/// How long what is due keeps a command waiting that is about something else.
const DUE: Duration = Duration::from_secs(4);

/// Opens a patient's wallet, and says what is pending against it.
pub(super) async fn patient(folder: &Folder) -> Result<App, CommandError> {
    let app = patient_at_once(folder).await?;
    look(&app, &folder.dir).await;
    // What was planned for by now is granted, whatever the wallet was opened for.
    if app.subscribe().borrow().planned.iter().any(|row| !row.is_over(now().0) && row.at <= now().0) {
        drop(done_within(&app, BringIn {}, "", DUE).await);
    }
    Ok(app)
}

/// Opens a patient's wallet for what waits for nothing.
pub(super) async fn patient_at_once(folder: &Folder) -> Result<App, CommandError> {
    let app = App::open_patient(&folder.dir, Arc::new(folder.passphrase()?), now).await?;
    of_words(app.subscribe().borrow().words_asked);
    Ok(app)
}

/// Opens a recipient's wallet.
pub(super) async fn recipient(folder: &Folder) -> Result<App, CommandError> {
    let app = App::open_recipient(&folder.dir, Arc::new(folder.passphrase()?), now).await?;
    of_words(app.subscribe().borrow().words_asked);
    if app.subscribe().borrow().older_copy.is_some() {
        complain(
            "WARNING: this wallet is an older copy of itself: cards that it showed since are not in it, and what is granted to them does not arrive. Show \
             others",
        );
    }
    Ok(app)
}

/// Sends a command, and waits for its end. Somebody who looks sees how many of `what` are done.
pub(super) async fn done<C: Ask>(app: &App, command: C, what: &str) -> Result<C::Done, CommandError> {
    let (events, running) = (app.events(), app.send(command)?);
    wait(events, running, what).await
}

/// The same, for so long at most; nothing where it takes longer, and then it is cancelled, so that nothing else waits for it.
pub(super) async fn done_within<C: Ask>(
    app: &App,
    command: C,
    what: &str,
    most: Duration,
) -> Option<Result<C::Done, CommandError>> {
    let events = app.events();
    let running = match app.send(command) {
        Ok(running) => running,
        Err(trouble) => return Some(Err(trouble.into())),
    };
    let control = running.control().clone();
    let done = timeout(most, wait(events, running, what)).await;
    if done.is_err() {
        control.cancel();
    }
    done.ok()
}

async fn wait<C: Ask>(mut events: Receiver<Event>, running: Running<C>, what: &str) -> Result<C::Done, CommandError> {
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
fn of_silence(silence: Option<&Silence>) {
    complain(&silence.map_or_else(
        || "enough hospitals answer again".to_owned(),
        |silence| format!("{silence}. What was signed is kept, and given to them again by itself"),
    ));
}

/// Says, at each start, that nobody has shown yet that the words are written down.
pub(super) fn of_words(asked: Option<[u8; 3]>) {
    if asked.is_some() {
        complain(
            "note: this wallet is not protected yet, since three of its 24 words were not typed: if this device is lost, so is all that is in it. See \
             the command `words`",
        );
    }
}

/// Says that a wallet found its way back.
fn of_waking(Woken { away_ms, height }: Woken) {
    let days = away_ms / DAY_MS;
    complain(&format!(
        "note: nothing was heard of this network for {}; its hospitals vouch for block {height}, and this wallet goes on from there",
        many(days, "day", "days")
    ));
}
