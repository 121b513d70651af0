//! A source's iroh endpoint: who connects, and to what.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clavicle_ledger::key::{Key, SecretKey};
use iroh::Endpoint;
use iroh::endpoint::{Connection, Incoming, IncomingAddr, VarInt, WeakConnectionHandle};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::endpoint::{self, EndpointError, remote_key};
use crate::pickup::{self, Counter};
use crate::transfer::{self, Gate, Refusals};

/// The most connections at once, and from one address; whoever comes beyond is turned away before a handshake.
const MAX_CONNECTIONS: (usize, usize) = (4_096, 1_024);
/// With more connections than this, whoever comes must first show that its address is its own.
const BUSY: usize = 256;
/// The most connections of one key. One more takes the place of its oldest: whoever was cut off and comes again is let in before the one that is
/// gone was missed.
const MAX_OF_A_KEY: usize = 8;
/// The code with which a connection is closed for a newer one of its own key.
const REPLACED: u32 = 5;
/// How many hellos and pickups are decided on at once; the others wait.
const MAX_DECIDING: usize = 16;
/// How many are sent images at once; the others wait. More at once only makes all of them slower.
const MAX_SENDING: usize = 64;
/// How long a handshake may take: in a crowd of a thousand on a small machine the last has waited for ten seconds.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// A source's endpoint while it serves.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Serves transfers and pickups at `at`, known by the source's transfer key.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn start(
        key: &SecretKey,
        at: SocketAddr,
        gate: Arc<dyn Gate>,
        counter: Arc<dyn Counter>,
    ) -> Result<Self, EndpointError> {
        let endpoint = endpoint::bind(key, Some(at), &[transfer::PROTOCOL, pickup::PROTOCOL]).await?;
        let address = endpoint.bound_sockets().into_iter().next().unwrap_or(at);
        let (stop, stopping) = watch::channel(false);
        let hall = Arc::new(Hall {
            gate,
            counter,
            keys: Keys::default(),
            refusals: Refusals::new(),
            deciding: Semaphore::new(MAX_DECIDING),
            sending: Semaphore::new(MAX_SENDING),
        });
        #[expect(clippy::disallowed_methods, reason = "the accept loop's owner is the server: it ends with `stop`")]
        let task = tokio::spawn(accept(endpoint, hall, stopping));
        Ok(Self { address, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Cuts everybody off and waits until all has ended.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        self.task.await.ok();
    }
}

/// What all connections share.
pub(crate) struct Hall {
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) counter: Arc<dyn Counter>,
    keys: Keys,
    pub(crate) refusals: Refusals,
    pub(crate) deciding: Semaphore,
    pub(crate) sending: Semaphore,
}

async fn accept(endpoint: Endpoint, hall: Arc<Hall>, mut stopping: watch::Receiver<bool>) {
    let addresses = Crowd::new(MAX_CONNECTIONS.0, MAX_CONNECTIONS.1);
    // Every connection's task is owned here, and ends when this function does.
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        if connections.len() >= BUSY && !incoming.remote_addr_validated() {
            incoming.retry().ok();
            continue;
        }
        let from = neighbourhood(&incoming.remote_addr());
        let Some(place) = addresses.enter(from) else {
            incoming.refuse();
            continue;
        };
        let hall = Arc::clone(&hall);
        connections.spawn(async move {
            connection(incoming, from, &hall).await;
            drop(place);
        });
    }
    connections.shutdown().await;
    endpoint.close().await;
}

async fn connection(incoming: Incoming, from: IpAddr, hall: &Hall) {
    let Ok(accepting) = incoming.accept() else { return };
    let Ok(Ok(connection)) = timeout(HANDSHAKE, accepting).await else { return };
    let _place = hall.keys.enter(&connection);
    match connection.alpn() {
        transfer::PROTOCOL => transfer::serve(&connection, from, hall).await,
        pickup::PROTOCOL => pickup::serve(&connection, hall).await,
        _ => {}
    }
}

/// The connections of each key, the oldest first.
#[derive(Debug, Default)]
struct Keys(Mutex<BTreeMap<Key, VecDeque<WeakConnectionHandle>>>);

/// A connection among those of its key, until it is dropped.
struct OfKey<'a> {
    keys: &'a Keys,
    connection: &'a Connection,
}

impl Keys {
    fn enter<'a>(&'a self, connection: &'a Connection) -> OfKey<'a> {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = keys.entry(remote_key(connection)).or_default();
        if own.len() >= MAX_OF_A_KEY
            && let Some(oldest) = own.pop_front().and_then(|oldest| oldest.upgrade())
        {
            oldest.close(VarInt::from_u32(REPLACED), b"");
        }
        own.push_back(connection.weak_handle());
        OfKey { keys: self, connection }
    }
}

impl Drop for OfKey<'_> {
    fn drop(&mut self) {
        let (key, this) = (remote_key(self.connection), self.connection.stable_id());
        let mut keys = self.keys.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = keys.get_mut(&key) {
            own.retain(|one| one.upgrade().is_some_and(|one| one.stable_id() != this));
            if own.is_empty() {
                keys.remove(&key);
            }
        }
    }
}

/// The address, as far as one customer of a network has only one: of IPv6 the first half.
fn neighbourhood(address: &IncomingAddr) -> IpAddr {
    match address {
        IncomingAddr::Ip(address) => match address.ip().to_canonical() {
            IpAddr::V4(address) => IpAddr::V4(address),
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        },
        // There are no others: the endpoint has no relays.
        _ => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    }
}

/// A bounded number of places, and of these a bounded number for each.
#[derive(Debug)]
pub(crate) struct Crowd<K> {
    most: usize,
    of_each: usize,
    all: Arc<Mutex<BTreeMap<K, usize>>>,
}

/// A place in a [`Crowd`] until it is dropped.
#[derive(Debug)]
pub(crate) struct Entered<K: Ord> {
    all: Arc<Mutex<BTreeMap<K, usize>>>,
    key: K,
}

impl<K: Ord + Copy> Crowd<K> {
    pub(crate) fn new(most: usize, of_each: usize) -> Self {
        Self { most, of_each, all: Arc::default() }
    }

    /// A place for `key`, if there is one.
    pub(crate) fn enter(&self, key: K) -> Option<Entered<K>> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let (there, of_it) = (all.values().sum::<usize>(), all.get(&key).copied().unwrap_or(0));
        (there < self.most && of_it < self.of_each).then(|| {
            all.insert(key, of_it.saturating_add(1));
            Entered { all: Arc::clone(&self.all), key }
        })
    }
}

impl<K: Ord> Drop for Entered<K> {
    fn drop(&mut self) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        match all.get_mut(&self.key) {
            Some(of_it) if *of_it > 1 => *of_it -= 1,
            _ => drop(all.remove(&self.key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_bounded_and_so_is_each_part_of_it() {
        let crowd = Crowd::new(3, 2);
        let first = crowd.enter('a').unwrap();
        let second = crowd.enter('a').unwrap();
        assert!(crowd.enter('a').is_none());
        let third = crowd.enter('b').unwrap();
        assert!(crowd.enter('c').is_none());
        drop(first);
        let fourth = crowd.enter('c').unwrap();
        drop((second, third, fourth));
        assert!(crowd.all.lock().unwrap().is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_neighbour() {
        let at = |text: &str| neighbourhood(&IncomingAddr::Ip(text.parse().unwrap()));
        assert_eq!(at("[2001:db8:1:2:3::1]:1"), at("[2001:db8:1:2:ffff::2]:2"));
        assert_ne!(at("[2001:db8:1:2::1]:1"), at("[2001:db8:1:3::1]:1"));
        assert_eq!(at("[::ffff:192.0.2.1]:1"), at("192.0.2.1:2"));
        assert_ne!(at("192.0.2.1:1"), at("192.0.2.2:1"));
    }
}
