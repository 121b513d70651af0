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

/// How long a connection may be silent before it is given up.
const IDLE: Duration = Duration::from_secs(20);
/// How long connecting may take.
pub(crate) const CONNECT: Duration = Duration::from_secs(10);
/// How many bytes of a message are asked for at a time, whatever length it claims.
const STEP: usize = 64 * 1024;

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
    let transport = QuicTransportConfig::builder()
        .max_idle_timeout(Some(IdleTimeout::try_from(IDLE).expect("twenty seconds are a timeout")))
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .build();
    let builder = Endpoint::builder(presets::Minimal)
        .secret_key(iroh::SecretKey::from_bytes(&key.seed()))
        .relay_mode(RelayMode::Disabled)
        .clear_address_lookup()
        .portmapper_config(PortmapperConfig::Disabled)
        .transport_config(transport)
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

/// The key that the other side has proven to have.
pub(crate) fn remote_key(connection: &Connection) -> Key {
    Key::from_bytes(*connection.remote_id().as_bytes())
}

/// Why no message was read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadMessageError {
    #[error("the connection broke")]
    Broken(#[from] ReadExactError),
    #[error("{0} bytes were announced, more than such a message may have")]
    TooLong(u32),
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Writes a message: its length in four bytes, high byte first, and its encoding.
pub(crate) async fn write_message<T: BorshSerialize>(send: &mut SendStream, message: &T) -> Result<(), WriteError> {
    let bytes = encoding::encode(message);
    let len = u32::try_from(bytes.len()).expect("no message has four gigabytes");
    send.write_all(&len.to_be_bytes()).await?;
    send.write_all(&bytes).await
}

/// Reads a message. What is allocated follows what has arrived, not what was announced.
pub(crate) async fn read_message<T: Wire>(receive: &mut RecvStream) -> Result<T, ReadMessageError> {
    let mut len = [0; 4];
    receive.read_exact(&mut len).await?;
    let len = u32::from_be_bytes(len);
    let due = usize::try_from(len).ok().filter(|len| *len <= T::MAX_LEN).ok_or(ReadMessageError::TooLong(len))?;
    let mut bytes = Vec::new();
    while bytes.len() < due {
        let from = bytes.len();
        bytes.resize(due.min(from.saturating_add(STEP)), 0);
        receive.read_exact(&mut bytes[from..]).await?;
    }
    Ok(encoding::decode(&bytes)?)
}
