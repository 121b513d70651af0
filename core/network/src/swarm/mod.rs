//! Relays and whoever asks them, over libp2p.
//!
//! A [`Node`] is a relay's: it gossips transactions with the relays it is told of, makes up for what gossip lost, and
//! answers anybody's questions. A [`Client`] only asks. What is asked and answered is in [`crate::message`]; what is
//! decided about it is the [`Desk`]'s. This module believes nobody: it counts, bounds and hands on.
//!
//! Gossip is among relays alone. Whoever else connects is a guest: guests ask, and speak no gossip at all.

mod client;
mod codec;
mod dials;
mod door;
mod drive;
mod gossip;
mod holding;
mod jobs;
mod lane;
mod lobby;
mod missing;
mod node;

use clavicle_ledger::encoding::Hex;
use clavicle_ledger::id::ChainId;
use clavicle_ledger::key::Key;
use core::time::Duration;

use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::timeout::TransportTimeout;
use libp2p::core::transport::{Boxed, Transport};
use libp2p::core::upgrade::Version;
use libp2p::futures::{AsyncRead, AsyncWrite};
use libp2p::identity::{self, Keypair, PeerId};
use libp2p::{noise, tcp, yamux};
use zeroize::Zeroizing;

pub use self::client::{AskError, Asked, Client};
pub use self::node::{Config, Directory, Inquirer, Node, Peer, Publisher, RECONCILE_EVERY, StartError, Stopped};
pub use crate::desk::{Desk, Received};

/// How long a handshake, and one request with its response, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams that one connection may hold open, of any kind.
const STREAMS: usize = 64;
/// Questions that one connection may have open. Each may hold a request in memory while it comes.
const QUESTIONS: usize = 4;

/// The part of a protocol's or topic's name that keeps networks apart: the first 16 digits of the chain's id.
fn network_name(chain: &ChainId) -> String {
    Hex(&chain.as_bytes()[..8]).to_string()
}

/// The name that libp2p has for a key. None when it is no point of the curve.
fn peer_of(key: &Key) -> Option<PeerId> {
    let key = identity::ed25519::PublicKey::try_from_bytes(key.as_bytes()).ok()?;
    Some(identity::PublicKey::from(key).to_peer_id())
}

/// The key that libp2p's name stands for. None when it is of another kind.
fn key_of(peer: &PeerId) -> Option<Key> {
    // An Ed25519 key is short enough to be its own name: the multihash is the identity, its digest the encoded key.
    let multihash = peer.as_ref();
    let key = identity::PublicKey::try_decode_protobuf(multihash.digest()).ok().filter(|_| multihash.code() == 0)?;
    Some(Key::from_bytes(key.try_into_ed25519().ok()?.to_bytes()))
}

fn keypair(mut seed: Zeroizing<[u8; 32]>) -> Keypair {
    Keypair::ed25519_from_bytes(&mut seed[..]).expect("any 32 bytes are a seed")
}

/// TCP that only dials.
fn dialling() -> tcp::tokio::Transport {
    tcp::tokio::Transport::new(tcp::Config::default())
}

/// Sockets, encrypted and authenticated by Noise, shared by Yamux.
fn transport<T>(sockets: T, keypair: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)>
where
    T: Transport + Send + Unpin + 'static,
    T::Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    T::Error: Send + Sync + 'static,
    T::ListenerUpgrade: Send,
    T::Dial: Send,
{
    let mut streams = yamux::Config::default();
    streams.set_max_num_streams(STREAMS);
    let noise = noise::Config::new(keypair).expect("an Ed25519 key signs");
    let upgraded = sockets.upgrade(Version::V1Lazy).authenticate(noise).multiplex(streams);
    TransportTimeout::new(upgraded, PATIENCE).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))).boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_and_its_peer_name_each_other() {
        let keypair = keypair(Zeroizing::new([7; 32]));
        let key = clavicle_ledger::key::SecretKey::from_bytes(&[7; 32]).public();
        assert_eq!(peer_of(&key), Some(keypair.public().to_peer_id()));
        assert_eq!(key_of(&keypair.public().to_peer_id()), Some(key));
    }
}
