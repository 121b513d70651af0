//! Reception: what comes in by itself, from modalities over DICOM associations and from watched folders.
//!
//! ```text
//! association ─► incoming/ ─► (looked at; the sender is told) ─► archive
//! watched folder ────────────────────────────────────────────► archive
//! what cannot be taken ──────────────────────────────────────► quarantine/   (of a watched folder, a copy)
//! ```
//!
//! A sender is told of success when its object is whole, on the disk in `incoming/`, and was found to be what the sender said. From there it goes
//! into the archive together with what came around the same time, so that a study that is still being sent is not signed anew for every
//! image. What a kill interrupts is found in `incoming/` and done again.

mod gather;
mod inbox;
mod incoming;
mod watch;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clavicle_dimse::{AeTitle, AeTitleError, BindError, Called, Calling, Scp, Settings};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use self::gather::Gather;
use self::inbox::Inbox;
use self::incoming::Incoming;
use crate::home::{Home, IntakeSettings};
use crate::service::{Service, ServiceError};
use crate::tasks::Tasks;

/// How often it is looked at what came.
const EVERY: Duration = Duration::from_millis(500);

/// Why reception did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceptionError {
    /// See [`AeTitleError`].
    #[error("the AE title {title:?} in relay.toml cannot be used")]
    Title {
        /// Which.
        title: String,
        /// Why not.
        #[source]
        error: AeTitleError,
    },
    /// See [`BindError`].
    #[error("the relay cannot receive DICOM objects")]
    Bind(#[from] BindError),
}

/// What receives. What was received is brought into the archive by a task of the relay's.
#[derive(Debug)]
pub struct Reception {
    scp: Option<Scp>,
}

impl Reception {
    /// Starts it.
    ///
    /// # Errors
    /// [`ReceptionError`].
    pub fn start(
        home: &Home,
        settings: &IntakeSettings,
        service: &Service,
        tasks: &Tasks,
    ) -> Result<Self, ReceptionError> {
        let spool = home.incoming_folder();
        let (limit, room) = (service.images.disk.incoming(), service.images.room.clone());
        let incoming = Arc::new(Incoming::open(&spool, limit, room));
        let scp = settings.dicom.map(|listen| receiver(listen, settings, &spool, service, &incoming)).transpose()?;
        let gather = Gather::new(service.clone(), spool, settings, incoming);
        tasks.start("reception", |stop| run(gather, stop));
        Ok(Self { scp })
    }

    /// Where objects are received, if anywhere.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.scp.as_ref().map(Scp::address)
    }

    /// Receives no more objects. What came by then is taken in, or found at the next start.
    pub async fn stop(self) {
        if let Some(scp) = self.scp {
            // A panic in a thread of it would have ended it as well.
            tokio::task::spawn_blocking(move || scp.stop()).await.ok();
        }
    }
}

fn receiver(
    listen: SocketAddr,
    settings: &IntakeSettings,
    spool: &Path,
    service: &Service,
    incoming: &Arc<Incoming>,
) -> Result<Scp, ReceptionError> {
    let title =
        |title: &String| AeTitle::new(title).map_err(|error| ReceptionError::Title { title: title.clone(), error });
    let callers = settings.callers.iter().map(title).collect::<Result<_, _>>()?;
    let mut receiver = Settings::new(listen, title(&settings.ae_title)?, spool.to_owned());
    receiver.called = if settings.any_title { Called::Any } else { Called::Own };
    receiver.calling = if settings.callers.is_empty() { Calling::Any } else { Calling::These(callers) };
    let inbox = Inbox {
        reader: service.images.reader.clone(),
        quarantine: Arc::clone(&service.images.quarantine),
        incoming: Arc::clone(incoming),
        clock: service.clock,
    };
    let scp = Scp::bind(receiver, Arc::new(inbox))?;
    info!(address = %scp.address(), "receives DICOM objects");
    Ok(scp)
}

async fn run(mut gather: Gather, stop: CancellationToken) -> Result<(), ServiceError> {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = ticks.tick() => {}
        }
        gather = match tokio::task::spawn_blocking(move || {
            // A defect in here ends nothing else: it is tried again in a while.
            if catch_unwind(AssertUnwindSafe(|| gather.tick())).is_err() {
                error!("taking in what was received failed for a defect; it is tried again in a while");
                gather.wait();
            }
            gather
        })
        .await
        {
            Ok(gather) => gather,
            // The runtime is stopping.
            Err(_) => return Ok(()),
        };
    }
}
