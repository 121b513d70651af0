//! iroh endpoints as they are used here: directly reached, without anybody's servers, known by a key of the ledger.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use borsh::BorshSerialize;
use clavicle_ledger::encoding::{self, DecodeError, Wire};
use clavicle_ledger::key::{Key, SecretKey};
use iroh::endpoint::{
    BindError, Connection, IdleTimeout, PortmapperConfig, QuicTransportConfig, ReadExactError, RecvStream, SendStream,
    VarInt, WriteError, presets,
};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode};
use tokio::time::timeout;

/// How long a connection may be silent before it is given up.
const IDLE: Duration = Duration::from_secs(20);
/// How long connecting may take, at the first and at the second attempt: as long as a source that is crowded needs. Of a handshake whose packets are
/// lost in a crowd nothing may come any more, however long it is waited for: the source has everybody prove their address once, and takes the proof for
/// fifteen seconds.
const CONNECT: [Duration; 2] = [Duration::from_secs(12), Duration::from_secs(12)];
/// How many bytes of a message are asked for or written at a time, whatever its length.
const STEP: usize = 64 * 1024;
/// The most bytes that somebody may send to a listening endpoint before they are read. Nobody sends it more than short messages, and
/// what strangers make it keep is as much as this for each of them.
const LISTENING_WINDOW: u32 = 64 * 1024;
/// The most bytes on their way to one other side that it has not acknowledged.
const SEND_WINDOW: u64 = 2 * 1024 * 1024;

/// Why an endpoint could not be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// An address that cannot be listened at.
    #[error("{0} is not an address to listen at")]
    Address(SocketAddr),
    /// The system gave no socket.
    #[error("no socket could be had: is another program listening there?")]
    Bind(#[source] Box<BindError>),
}

/// An endpoint known by `key`. With `at` it listens there for `protocols`; without, it only connects.
///
/// # Errors
/// [`EndpointError`].
pub async fn bind(key: &SecretKey, at: Option<SocketAddr>, protocols: &[&[u8]]) -> Result<Endpoint, EndpointError> {
    let listens = !protocols.is_empty();
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).expect("twenty seconds are a timeout")))
        // Whoever connects opens the one stream there is.
        .max_concurrent_bidi_streams(VarInt::from_u32(listens.into()))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .send_window(SEND_WINDOW);
    let transport = if listens {
        let window = VarInt::from_u32(LISTENING_WINDOW);
        transport.stream_receive_window(window).receive_window(window)
    } else {
        transport
    };
    let builder = Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&key.seed()))
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .portmapper_config(PortmapperConfig::Disabled)
        .transport_config(transport.build())
        .alpns(protocols.iter().map(|protocol| protocol.to_vec()).collect());
    let builder = match at {
        None => builder,
        Some(at) => builder.clear_ip_transports().bind_addr(at).map_err(|_| EndpointError::Address(at))?,
    };
    builder.bind().await.map_err(|error| EndpointError::Bind(Box::new(error)))
}

/// An endpoint that only connects, by a key of its own, and from one address: the loopback one when `to` is there, any other
/// otherwise. An endpoint tells the other side all the addresses it is bound to.
///
/// # Errors
/// [`EndpointError`].
pub async fn bind_towards(key: &SecretKey, to: SocketAddr) -> Result<Endpoint, EndpointError> {
    let from = match (to.ip(), to.ip().is_loopback()) {
        (IpAddr::V4(_), true) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        (IpAddr::V4(_), false) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (IpAddr::V6(_), true) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        (IpAddr::V6(_), false) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    bind(key, Some(SocketAddr::new(from, 0)), &[]).await
}

/// Where somebody is reached: a key, and socket addresses to try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The key that must answer.
    pub key: Key,
    /// Where.
    pub addresses: Vec<SocketAddr>,
}

impl Remote {
    /// The addresses as a source announces them; what is no socket address is passed over.
    #[must_use]
    pub fn announced<'a>(key: Key, addresses: impl IntoIterator<Item = &'a str>) -> Self {
        Self { key, addresses: addresses.into_iter().filter_map(|address| address.parse().ok()).collect() }
    }

    pub(crate) fn address(&self) -> Option<EndpointAddr> {
        let id = EndpointId::from_bytes(self.key.as_bytes()).ok()?;
        let address = EndpointAddr::new(id);
        Some(self.addresses.iter().fold(address, |address, at| address.with_ip_addr(*at)))
    }
}

/// Connects to a source; nothing when it cannot be reached.
pub(crate) async fn connect(endpoint: &Endpoint, source: &Remote, protocol: &[u8]) -> Option<Connection> {
    let address = source.address()?;
    for patience in CONNECT {
        // What is refused is tried no more.
        if let Ok(connected) = timeout(patience, endpoint.connect(address.clone(), protocol)).await {
            return connected.ok();
        }
    }
    None
}

/// The key that the other side has proven to have.
pub(crate) fn remote_key(connection: &Connection) -> Key {
    Key::from_bytes(*connection.remote_id().as_bytes())
}

/// Why a message was not read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("the connection broke")]
    Read(#[from] ReadExactError),
    #[error("the connection broke")]
    Write(#[from] WriteError),
    #[error("the other side took too long")]
    Silent,
    #[error("{0} bytes were announced, more than such a message may have")]
    TooLong(u32),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl MessageError {
    /// Whether something came, and it was not what it should be.
    pub(crate) const fn is_wrong(&self) -> bool {
        matches!(self, Self::TooLong(_) | Self::Decode(_))
    }
}

/// A message as it is sent: its length in four bytes, high byte first, and its encoding.
pub(crate) fn framed<T: BorshSerialize>(message: &T) -> Vec<u8> {
    let bytes = encoding::encode(message);
    let len = u32::try_from(bytes.len()).expect("no message has four gigabytes");
    [&len.to_be_bytes()[..], &bytes].concat()
}

/// Writes a message. Each step of it may take as long as `patience`.
pub(crate) async fn write_message<T: BorshSerialize>(
    send: &mut SendStream,
    message: &T,
    patience: Duration,
) -> Result<(), MessageError> {
    write_bytes(send, &framed(message), patience).await
}

/// Writes bytes. Each step may take as long as `patience`.
pub(crate) async fn write_bytes(send: &mut SendStream, bytes: &[u8], patience: Duration) -> Result<(), MessageError> {
    for step in bytes.chunks(STEP) {
        timeout(patience, send.write_all(step)).await.map_err(|_| MessageError::Silent)??;
    }
    Ok(())
}

/// Reads a message. Each step of it may take as long as `patience`.
pub(crate) async fn read_message<T: Wire>(receive: &mut RecvStream, patience: Duration) -> Result<T, MessageError> {
    read_within(receive, patience, &mut { T::MAX_LEN }).await
}

/// Reads one of several messages that may have `room` bytes together. What is allocated follows what has arrived, not what was
/// announced.
pub(crate) async fn read_within<T: Wire>(
    receive: &mut RecvStream,
    patience: Duration,
    room: &mut usize,
) -> Result<T, MessageError> {
    let mut len = [0; 4];
    timeout(patience, receive.read_exact(&mut len)).await.map_err(|_| MessageError::Silent)??;
    let len = u32::from_be_bytes(len);
    let due = usize::try_from(len).ok().filter(|due| *due <= T::MAX_LEN).ok_or(MessageError::TooLong(len))?;
    *room = room.checked_sub(due).ok_or(MessageError::TooLong(len))?;
    let mut bytes = Vec::new();
    while bytes.len() < due {
        let from = bytes.len();
        bytes.resize(due.min(from.saturating_add(STEP)), 0);
        timeout(patience, receive.read_exact(&mut bytes[from..])).await.map_err(|_| MessageError::Silent)??;
    }
    Ok(encoding::decode(&bytes)?)
}
