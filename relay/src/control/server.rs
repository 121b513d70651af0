//! The side of a running relay.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::serve::Listener;
use axum::{Json, Router};
use tokio::net::UnixListener;
use tokio::net::unix::SocketAddr;

use super::MAX_SOCKET_PATH;
use super::places::{Places, Seated};
use crate::answer::Failure;
use crate::operations::{self, Ground as _, Operation, Visitor};
use crate::service::{OpenError, Service};

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
    if UnixStream::connect(path).is_ok() {
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

/// The routes: every operation under its word.
fn router(service: Service) -> Router {
    let mut routes = Routes(Router::new());
    operations::each(&mut routes);
    routes.0.with_state(service)
}

struct Routes(Router<Service>);

impl Visitor for Routes {
    fn visit<O: Operation>(&mut self) {
        self.0 = std::mem::take(&mut self.0).route(&format!("/{}", O::WORD), post(answer::<O>));
    }
}

/// Answers with what the work brings, or with the error as a command would tell it. Files are read and signatures verified where nobody else waits to be answered.
async fn answer<O: Operation>(State(service): State<Service>, Json(operation): Json<O>) -> Response {
    let work = move || match O::On::of(&service) {
        Some(on) => operation.work(on).map_err(Failure::from),
        None => Err(OpenError::Running.into()),
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(value)) => Json(value).into_response(),
        Ok(Err(error)) => (StatusCode::UNPROCESSABLE_ENTITY, Json(error.to_json())).into_response(),
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
