//! The side of a command.

use std::io;
use std::path::Path;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;

/// The longest answer read, in bytes.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why a running relay was not asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody answers: no relay is running there.
    #[error("no relay is running in this folder")]
    NotRunning,
    /// Somebody did not answer as a relay does.
    #[error("the relay running in this folder could not be asked")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The relay could not answer.
    #[error("the relay says: {message}")]
    Refused {
        /// A word for programs.
        code: String,
        /// What it says.
        message: String,
    },
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Connection(error.into())
}

/// Asks the relay whose socket is at `path`.
///
/// # Errors
/// [`ClientError`].
pub async fn get<T: DeserializeOwned>(path: &Path, route: &str) -> Result<T, ClientError> {
    ask(path, Request::get(route), Bytes::new()).await
}

/// Gives something to the relay whose socket is at `path`.
///
/// # Errors
/// [`ClientError`].
pub async fn post<T: DeserializeOwned>(path: &Path, route: &str, body: Vec<u8>) -> Result<T, ClientError> {
    ask(path, Request::post(route), Bytes::from(body)).await
}

/// Gives a value to the relay whose socket is at `path`, as JSON.
///
/// # Errors
/// [`ClientError`].
pub async fn post_json<T: DeserializeOwned>(path: &Path, route: &str, body: &impl Serialize) -> Result<T, ClientError> {
    let body = serde_json::to_vec(body).map_err(broken)?;
    ask(path, Request::post(route).header("content-type", "application/json"), Bytes::from(body)).await
}

/// What the relay says when it does not do what it was asked. What the web framework itself refuses comes as bare text.
fn refused(body: &[u8]) -> ClientError {
    let error = serde_json::from_slice::<Value>(body).map(|mut value| value["error"].take()).unwrap_or_default();
    let part = |name: &str| error[name].as_str().map(str::to_owned);
    let message = part("message").unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    ClientError::Refused { code: part("code").unwrap_or_else(|| "relay".to_owned()), message }
}

async fn ask<T: DeserializeOwned>(path: &Path, request: Builder, body: Bytes) -> Result<T, ClientError> {
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
        _ => broken(error),
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request = request.header("host", "relay").body(Full::new(body)).map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(broken)?.to_bytes();
        if status.is_success() { serde_json::from_slice(&body).map_err(broken) } else { Err(refused(&body)) }
    };
    // The connection is driven along with the request and ends with it: no task is left behind.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        ended = connection => match ended {
            Err(error) => Err(broken(error)),
            Ok(()) => answer.await,
        },
    }
}
