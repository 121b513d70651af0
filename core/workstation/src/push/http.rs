//! One request over HTTP/1.1, plain or over TLS, with a body that is read from files while it is sent.
//!
//! HTTP is hyper's, TLS is rustls'. What stands here is what a client that does more (reqwest) would have to be kept from: images go to the addresses that the
//! name was looked up to have, and are sent plainly only when all of those are this machine's; no redirect and no proxy of the environment leads them elsewhere, and nothing is
//! sent twice by itself.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::destination::Url;

/// The longest answer read, in bytes.
const MAX_ANSWER: usize = 16 << 20;
/// How much of a file is read at once.
const PIECE: u64 = 256 << 10;
/// How long connecting may take.
const TO_CONNECT: Duration = Duration::from_secs(30);
/// How long an answer may take, and how many bytes of the request give it a second more.
const TO_ANSWER: Duration = Duration::from_secs(120);
const SLOWEST: u64 = 64 << 10;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// Nobody listens there.
    #[error("it cannot be connected to")]
    Connect(#[source] io::Error),
    /// Without TLS, to another machine.
    #[error("it is another machine, and there is no secure connection")]
    Plain,
    /// The certificate, as a rule.
    #[error("no secure connection can be made")]
    Secure(#[source] io::Error),
    /// A host that no certificate can name.
    #[error("the host's name is none that a certificate can have")]
    Name,
    /// The file with the authorities.
    #[error("{path} holds no certificates in PEM")]
    Authorities {
        /// Which.
        path: PathBuf,
    },
    /// TLS.
    #[error("TLS cannot be used here")]
    Tls(#[source] tokio_rustls::rustls::Error),
    /// A header that cannot be sent.
    #[error("the authorization, or the address, holds what cannot be sent")]
    Header(#[source] hyper::http::Error),
    /// It broke off.
    #[error("the connection failed")]
    Connection(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("it does not answer")]
    TimedOut,
}

/// Whom to trust.
pub(super) fn secure(ca: Option<&Path>) -> Result<TlsConnector, HttpError> {
    let mut roots = RootCertStore::empty();
    match ca {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let certificates: Vec<CertificateDer<'_>> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|_| HttpError::Authorities { path: path.to_owned() })?;
            if roots.add_parsable_certificates(certificates).0 == 0 {
                return Err(HttpError::Authorities { path: path.to_owned() });
            }
        }
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().map_err(HttpError::Tls)?;
    Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
}

/// Over what may be sent.
#[derive(Clone, Copy)]
pub(super) enum Over<'a> {
    /// TLS.
    Tls(&'a TlsConnector),
    /// Plain, within this machine.
    Loopback,
    /// Plain, wherever it leads.
    Anything,
}

/// Posts a body, and gives the answer: its status, and what it says.
pub(super) async fn post(
    url: &Url,
    path: &str,
    headers: &[(&str, &str)],
    body: Pieces,
    over: Over<'_>,
) -> Result<(StatusCode, Bytes), HttpError> {
    let found = timeout(TO_CONNECT, lookup_host((url.host.as_str(), url.port))).await;
    let addresses: Vec<SocketAddr> = found.map_err(|_| HttpError::TimedOut)?.map_err(HttpError::Connect)?.collect();
    // By where it leads, and not by what it is called.
    if matches!(over, Over::Loopback) && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
        return Err(HttpError::Plain);
    }
    let connected = timeout(TO_CONNECT, TcpStream::connect(addresses.as_slice())).await;
    let stream = connected.map_err(|_| HttpError::TimedOut)?.map_err(HttpError::Connect)?;
    let mut request = Request::post(format!("{}{path}", url.path)).header("host", url.authority());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let patience = TO_ANSWER + Duration::from_secs(body.left / SLOWEST);
    let request = request.body(body).map_err(HttpError::Header)?;
    let answered = async {
        match over {
            Over::Loopback | Over::Anything => answer(stream, request).await,
            Over::Tls(tls) => {
                let name = ServerName::try_from(url.host.clone()).map_err(|_| HttpError::Name)?;
                answer(tls.connect(name, stream).await.map_err(HttpError::Secure)?, request).await
            }
        }
    };
    timeout(patience, answered).await.map_err(|_| HttpError::TimedOut)?
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    request: Request<Pieces>,
) -> Result<(StatusCode, Bytes), HttpError> {
    let broken = |error: hyper::Error| HttpError::Connection(error.into());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status();
        // What else a refusal says is of no interest, and may not even arrive.
        if !status.is_success() && status != StatusCode::CONFLICT {
            return Ok((status, Bytes::new()));
        }
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(HttpError::Connection)?;
        Ok((status, body.to_bytes()))
    };
    // The connection is driven along with the request and ends with it.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        // Many hang up when they have answered, and some without a farewell.
        ended = connection => match (answer.await, ended) {
            (Err(_), Err(error)) => Err(broken(error)),
            (answer, _) => answer,
        },
    }
}

/// A body in pieces: bytes, and files that are read while they are sent.
pub(super) struct Pieces {
    pieces: VecDeque<Piece>,
    left: u64,
}

enum Piece {
    Bytes(Vec<u8>),
    File(File, u64),
}

impl Pieces {
    pub(super) const fn new() -> Self {
        Self { pieces: VecDeque::new(), left: 0 }
    }

    /// Bytes that are still to be sent.
    pub(super) const fn left(&self) -> u64 {
        self.left
    }

    pub(super) fn bytes(&mut self, bytes: Vec<u8>) {
        self.left += bytes.len() as u64;
        self.pieces.push_back(Piece::Bytes(bytes));
    }

    /// So many bytes of a file, from where it stands.
    pub(super) fn file(&mut self, file: File, len: u64) {
        self.left += len;
        self.pieces.push_back(Piece::File(file, len));
    }

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        match self.pieces.pop_front()? {
            Piece::Bytes(bytes) => Some(Ok(bytes.into())),
            Piece::File(mut file, len) => {
                let now = len.min(PIECE);
                let mut bytes = vec![0; usize::try_from(now).unwrap_or_default()];
                if let Err(error) = file.read_exact(&mut bytes) {
                    return Some(Err(error));
                }
                if len > now {
                    self.pieces.push_front(Piece::File(file, len - now));
                }
                Some(Ok(bytes.into()))
            }
        }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        let next = this.next();
        if let Some(Ok(bytes)) = &next {
            this.left -= bytes.len() as u64;
        }
        Poll::Ready(next.map(|piece| piece.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
