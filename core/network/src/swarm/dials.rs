//! Whom to dial, and when: each relay that is not connected, again and again, ever more slowly.
//!
//! A connection that is there, and on which the other relay does not join the gossip, is to be made anew.

use core::time::Duration;
use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

/// Before the second attempt.
const FIRST: Duration = Duration::from_millis(250);
/// Between attempts, at most.
const LONGEST: Duration = Duration::from_secs(5);

/// A relay that is connected and has not joined the gossip after so long is not heard, or does not hear.
const SILENCE: Duration = Duration::from_secs(5);

/// Of two relays, the one whose name comes later lets the other dial first: so they seldom dial at the same time.
const COURTESY: Duration = Duration::from_millis(500);

/// The relays to stay connected to.
pub(super) struct Dials {
    own: PeerId,
    all: BTreeMap<PeerId, Dial>,
}

struct Dial {
    addresses: Vec<Multiaddr>,
    /// When to try next. None while connected, while an attempt is under way, and without an address.
    next: Option<Instant>,
    wait: Duration,
    /// Until when it has to join the gossip. None when it has, or is not connected.
    silent: Option<Instant>,
}

impl Dials {
    pub(super) fn new(own: PeerId) -> Self {
        Self { own, all: BTreeMap::new() }
    }

    fn courtesy(&self, peer: &PeerId) -> Duration {
        if *peer < self.own { COURTESY } else { Duration::ZERO }
    }

    /// Replaces whom to stay connected to. A relay with new addresses is tried at once, unless it is connected.
    pub(super) fn set(
        &mut self,
        peers: BTreeMap<PeerId, Vec<Multiaddr>>,
        connected: impl Fn(&PeerId) -> bool,
        now: Instant,
    ) {
        let mut before = core::mem::take(&mut self.all);
        for (peer, addresses) in peers {
            let dial = before.remove(&peer).filter(|dial| dial.addresses == addresses).unwrap_or_else(|| {
                let next = (!connected(&peer) && !addresses.is_empty()).then_some(now + self.courtesy(&peer));
                Dial { addresses, next, wait: FIRST, silent: None }
            });
            self.all.insert(peer, dial);
        }
    }

    /// Whether it is one of them.
    pub(super) fn contains(&self, peer: &PeerId) -> bool {
        self.all.contains_key(peer)
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &PeerId> {
        self.all.keys()
    }

    /// One that is to be dialled now; it counts as under way.
    pub(super) fn due(&mut self, now: Instant) -> Option<(PeerId, Vec<Multiaddr>)> {
        let (peer, dial) = self.all.iter_mut().find(|(_, dial)| dial.next.is_some_and(|at| at <= now))?;
        dial.next = None;
        Some((*peer, dial.addresses.clone()))
    }

    /// One that is connected and silent for too long; it is asked about once.
    pub(super) fn silent(&mut self, now: Instant) -> Option<PeerId> {
        let (peer, dial) = self.all.iter_mut().find(|(_, dial)| dial.silent.is_some_and(|at| at <= now))?;
        dial.silent = None;
        Some(*peer)
    }

    /// When the next is due, or silent for too long.
    pub(super) fn next_at(&self) -> Option<Instant> {
        self.all.values().flat_map(|dial| [dial.next, dial.silent]).flatten().min()
    }

    /// A connection came up, the first or in place of one before.
    pub(super) fn connected(&mut self, peer: &PeerId, now: Instant) {
        if let Some(dial) = self.all.get_mut(peer) {
            (dial.next, dial.wait, dial.silent) = (None, FIRST, Some(now + SILENCE));
        }
    }

    /// It joined the gossip.
    pub(super) fn heard(&mut self, peer: &PeerId) {
        if let Some(dial) = self.all.get_mut(peer) {
            dial.silent = None;
        }
    }

    /// It is not connected: the attempt failed, or the last connection ended.
    pub(super) fn lost(&mut self, peer: &PeerId, now: Instant) {
        let courtesy = self.courtesy(peer);
        let Some(dial) = self.all.get_mut(peer) else { return };
        dial.silent = None;
        if !dial.addresses.is_empty() {
            dial.next = Some(now + dial.wait + courtesy);
            dial.wait = LONGEST.min(dial.wait * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn attempts_come_ever_more_slowly_and_never_end() {
        let (peer, address) = (
            crate::swarm::keypair(Zeroizing::new([1; 32])).public().to_peer_id(),
            "/ip4/127.0.0.1/tcp/1".parse::<Multiaddr>().unwrap(),
        );
        let mut dials = Dials::new(peer);
        let start = Instant::now();
        dials.set(BTreeMap::from([(peer, vec![address])]), |_| false, start);
        let mut waits = Vec::new();
        let mut now = start;
        for _ in 0..8 {
            assert_eq!(dials.due(now).unwrap().0, peer);
            assert!(dials.due(now).is_none(), "it is under way");
            dials.lost(&peer, now);
            let next = dials.next_at().unwrap();
            waits.push((next - now).as_millis());
            now = next;
        }
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000, 5000]);
        dials.connected(&peer, now);
        assert_eq!(dials.next_at(), Some(now + SILENCE), "it may be silent so long");
        dials.heard(&peer);
        assert!(dials.next_at().is_none());
        dials.lost(&peer, now);
        assert_eq!(dials.next_at(), Some(now + FIRST));
    }

    #[test]
    fn who_stays_silent_is_named_once() {
        let (peer, now) = (crate::swarm::keypair(Zeroizing::new([1; 32])).public().to_peer_id(), Instant::now());
        let mut dials = Dials::new(peer);
        dials.set(BTreeMap::from([(peer, Vec::new())]), |_| false, now);
        dials.connected(&peer, now);
        assert_eq!(dials.silent(now), None);
        assert_eq!(dials.silent(now + SILENCE), Some(peer));
        assert_eq!(dials.silent(now + SILENCE), None);
    }
}
