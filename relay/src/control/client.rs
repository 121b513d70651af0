//! The side of a command.
//!
//! hyper's client on a Unix socket: one request on one connection. A client with pools, redirects and proxies (reqwest) would have nothing to do here.

use std::io;
use std::path::Path;

use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

use crate::answer::Refusing;
use crate::operations::Operation;

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
    /// It takes the question, and nothing comes.
    #[error("the relay in this folder runs and does not answer: it hangs, or was stopped; end it and start it again")]
    Silent,
    /// The relay could not answer.
    #[error("the relay says: {message}")]
    Refused {
        /// A word for programs.
        code: String,
        /// What it says.
        message: String,
    },
}

impl Refusing for ClientError {
    fn code(&self) -> &str {
        match self {
            // The relay's own word, as if it were not running and the command did it.
            Self::Refused { code, .. } => code,
            Self::NotRunning | Self::Connection(_) | Self::Silent => "relay",
        }
    }
}

fn broken(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ClientError {
    ClientError::Connection(error.into())
}

/// Asks the relay whose socket is at `path` for an operation.
///
/// # Errors
/// [`ClientError`].
pub async fn ask<O: Operation>(path: &Path, operation: &O) -> Result<O::Answer, ClientError> {
    let body = Bytes::from(serde_json::to_vec(operation).map_err(broken)?);
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning,
        _ => broken(error),
    })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let request =
        Request::post(format!("/{}", O::WORD)).header("host", "relay").header("content-type", "application/json");
    let request = request.body(Full::new(body)).map_err(broken)?;
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

/// What the relay says when it does not do what it was asked. What the web framework itself refuses comes as bare text.
fn refused(body: &[u8]) -> ClientError {
    let error = serde_json::from_slice::<Value>(body).map(|mut value| value["error"].take()).unwrap_or_default();
    let part = |name: &str| error[name].as_str().map(str::to_owned);
    let message = part("message").unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    ClientError::Refused { code: part("code").unwrap_or_else(|| "relay".to_owned()), message }
}
