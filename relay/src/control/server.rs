//! The side of a running relay.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::Listener;
use axum::{Json, Router};
use clavicle_ledger::transaction::MAX_ENVELOPE_LEN;
use serde::Serialize;
use tokio::net::UnixListener;
use tokio::net::unix::SocketAddr;

use super::places::{Places, Seated};
use super::{
    AUDIT, CHECK, CLOSE, COMPARE, COMPLETENESS, CONTRADICTIONS, EXPIRE, EXPLAIN, INGEST, KOS, MAX_SOCKET_PATH, PICKUP,
    PICKUPS, QUARANTINE, REMOVE, REPORT, STAND, STATUS, STUDIES, SUBMIT, Submitted, VALIDATORS,
};
use crate::command::CommandError;
use crate::service::{
    AuditRequest, CheckRequest, CompareRequest, ExpireRequest, IngestRequest, PickupRequest, RemoveRequest, Service,
    StandingRequest,
};
use crate::submission::{Fate, From, SubmitError};

/// Why the socket could not be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The path is longer than a socket's may be.
    #[error("the socket's path {0} is longer than {MAX_SOCKET_PATH} bytes: choose a shorter folder")]
    TooLong(PathBuf),
    /// A relay is running in this folder.
    #[error("a relay is running in this folder already")]
    Running,
    /// The socket itself.
    #[error("the socket {path} could not be served")]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

/// Serves the socket at `path` until `stop` comes.
///
/// # Errors
/// [`ControlError`].
pub async fn serve(
    path: &Path,
    service: Service,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ControlError> {
    if path.as_os_str().as_bytes().len() > MAX_SOCKET_PATH {
        return Err(ControlError::TooLong(path.to_owned()));
    }
    let socket_error = |error| ControlError::Socket { path: path.to_owned(), error };
    if is_served(path) {
        return Err(ControlError::Running);
    }
    // What a relay that was killed left behind.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(socket_error(error)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(socket_error)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(socket_error)?;
    let served = axum::serve(OwnerOnly(listener, Places::new()), router(service)).with_graceful_shutdown(stop).await;
    let removed = match fs::remove_file(path) {
        // Somebody was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    served.and(removed).map_err(socket_error)
}

/// Whether a relay answers at the socket at `path`.
#[must_use]
pub fn is_served(path: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(path).is_ok()
}

/// The routes.
fn router(service: Service) -> Router {
    Router::new()
        .route(STATUS, get(async |State(service): State<Service>| answer(move || service.status()).await))
        .route(VALIDATORS, get(async |State(service): State<Service>| answer(move || service.validators()).await))
        .route(STUDIES, get(async |State(service): State<Service>| answer(move || service.studies()).await))
        .route(PICKUPS, get(async |State(service): State<Service>| answer(move || service.pickups()).await))
        .route(
            INGEST,
            post(async |State(service): State<Service>, Json(request): Json<IngestRequest>| {
                answer(move || service.ingest(&request, &|_, _| {})).await
            })
            .get(async |State(service): State<Service>| Json(service.taking.row())),
        )
        .route(
            CONTRADICTIONS,
            get(async |State(service): State<Service>| answer(move || service.contradictions()).await),
        )
        .route(QUARANTINE, get(async |State(service): State<Service>| answer(move || service.quarantine()).await))
        .route(
            CLOSE,
            post(async |State(service): State<Service>, Json(study): Json<String>| {
                answer(move || service.close(&study)).await
            }),
        )
        .route(
            STAND,
            post(async |State(service): State<Service>, Json(request): Json<StandingRequest>| {
                answer(move || service.stand(&request)).await
            }),
        )
        .route(
            REMOVE,
            post(async |State(service): State<Service>, Json(request): Json<RemoveRequest>| {
                answer(move || service.remove(&request)).await
            }),
        )
        .route(
            COMPARE,
            post(async |State(service): State<Service>, Json(request): Json<CompareRequest>| {
                answer(move || service.compare(&request)).await
            }),
        )
        .route(
            COMPLETENESS,
            post(async |State(service): State<Service>, Json(study): Json<Option<String>>| {
                answer(move || service.completeness(study.as_deref())).await
            }),
        )
        .route(
            KOS,
            post(async |State(service): State<Service>, Json(study): Json<String>| {
                answer(move || service.kos(&study)).await
            }),
        )
        .route(
            EXPIRE,
            post(async |State(service): State<Service>, Json(request): Json<ExpireRequest>| {
                answer(move || service.expire(&request)).await
            }),
        )
        .route(
            CHECK,
            post(async |State(service): State<Service>, Json(request): Json<CheckRequest>| {
                answer(move || service.check(request)).await
            }),
        )
        .route(
            PICKUP,
            post(async |State(service): State<Service>, Json(request): Json<PickupRequest>| {
                answer(move || service.pickup(&request)).await
            }),
        )
        .route(
            REPORT,
            post(async |State(service): State<Service>, Json(epoch): Json<Option<u64>>| {
                answer(move || service.report(epoch)).await
            }),
        )
        .route(
            AUDIT,
            post(async |State(service): State<Service>, Json(request): Json<AuditRequest>| {
                answer(move || service.audit(&request)).await
            }),
        )
        .route(
            EXPLAIN,
            post(async |State(service): State<Service>, reference: String| {
                answer(move || service.explain(&reference)).await
            }),
        )
        .route(SUBMIT, post(submit).layer(DefaultBodyLimit::max(MAX_ENVELOPE_LEN)))
        .with_state(service)
}

async fn submit(State(service): State<Service>, body: Bytes) -> Response {
    let submitted = move || {
        let taken = service.submission.take(&body, From::Somebody)?;
        let executed_at = match taken.fate {
            Fate::Executed(height) => Some(height),
            Fate::Waits | Fate::Waited => None,
        };
        let (transaction, envelope) = (taken.transaction.to_string(), taken.envelope.to_string());
        Ok::<_, SubmitError>(Submitted { transaction, envelope, executed_at })
    };
    answer(submitted).await
}

/// Answers with what `work` brings, or with the error as a command would tell it. Files are read and signatures verified where nobody else waits to be answered.
async fn answer<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Response
where
    T: Serialize + Send + 'static,
    E: Into<CommandError> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(error)) => (StatusCode::UNPROCESSABLE_ENTITY, Json(error.into().to_json())).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "a defect ended the work").into_response(),
    }
}

/// Takes connections from this process's own user, and from root, who could take what it wants anyway; as many as there
/// are places.
struct OwnerOnly(UnixListener, Places);

impl Listener for OwnerOnly {
    type Io = Seated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Seated, SocketAddr) {
        loop {
            // axum's own listener waits out errors such as too many open files.
            let (stream, address) = Listener::accept(&mut self.0).await;
            let Ok(peer) = stream.peer_cred() else { continue };
            if peer.uid() != rustix::process::getuid().as_raw() && peer.uid() != 0 {
                continue;
            }
            if let Some(seated) = self.1.seat(stream, peer.pid().unwrap_or_default()) {
                return (seated, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
