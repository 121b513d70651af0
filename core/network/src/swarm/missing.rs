//! Gossip is not delivery: what to ask relays for, so that what waits at one waits at all.
//!
//! One relay in turn is asked what waits there, and then for what is missing here, piece by piece. Nothing in here waits
//! or sends: it is told what happened, and says what to ask next.

use core::time::Duration;
use std::collections::{HashMap, VecDeque};

use clavicle_ledger::encoding::Ascending;
use clavicle_ledger::id::EnvelopeHash;
use libp2p::PeerId;
use tokio::time::Instant;

use crate::message::{MAX_ENVELOPES, Query};

/// For so long, what one relay was asked for is asked of no other.
const PATIENCE: Duration = Duration::from_secs(15);
/// A relay is asked what waits there at most once in so long, however often it connects.
const PAUSE: Duration = Duration::from_secs(1);
/// A relay that handed out what no honest one does is not asked for so long.
const BAN: Duration = Duration::from_secs(600);
/// Hashes remembered as asked for.
const MAX_ASKED: usize = 64 * 1024;

/// What is missing here, and who may have it.
pub(super) struct Missing {
    every: Duration,
    next: Instant,
    /// Connected relays, the next one to be asked first.
    turn: VecDeque<PeerId>,
    /// What is still to be asked of a relay that was asked and has not answered yet.
    rounds: HashMap<PeerId, Vec<EnvelopeHash>>,
    /// When a relay may be asked again.
    rests: HashMap<PeerId, Instant>,
    /// Until when a hash is not asked for again.
    asked: HashMap<EnvelopeHash, Instant>,
}

impl Missing {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        Self {
            every,
            next: now + every,
            turn: VecDeque::new(),
            rounds: HashMap::new(),
            rests: HashMap::new(),
            asked: HashMap::new(),
        }
    }

    /// When [`Missing::due`] has something to say.
    pub(super) fn next_at(&self) -> Instant {
        self.next
    }

    /// A relay is connected. Says whether to ask it what waits there; if it was asked just now, it is the next to be.
    pub(super) fn connected(&mut self, peer: PeerId, now: Instant) -> bool {
        self.turn.retain(|other| *other != peer);
        if self.begin(peer, now) {
            self.turn.push_back(peer);
            return true;
        }
        self.turn.push_front(peer);
        if let Some(until) = self.rests.get(&peer) {
            self.next = self.next.min(*until);
        }
        false
    }

    /// A relay is connected no longer.
    pub(super) fn lost(&mut self, peer: &PeerId) {
        self.turn.retain(|other| other != peer);
        self.end(peer);
    }

    /// Whom to ask what waits there, now.
    pub(super) fn due(&mut self, now: Instant) -> Option<PeerId> {
        if now < self.next {
            return None;
        }
        self.next = now + self.every;
        self.asked.retain(|_, until| *until > now);
        let connected = &self.turn;
        self.rests.retain(|peer, until| *until > now || connected.contains(peer));
        for _ in 0..self.turn.len() {
            self.turn.rotate_left(1);
            let peer = *self.turn.back()?;
            if self.begin(peer, now) {
                return Some(peer);
            }
        }
        None
    }

    fn begin(&mut self, peer: PeerId, now: Instant) -> bool {
        if self.rounds.contains_key(&peer) || self.rests.get(&peer).is_some_and(|until| *until > now) {
            return false;
        }
        self.rests.insert(peer, now + PAUSE);
        self.rounds.insert(peer, Vec::new());
        true
    }

    /// A relay's answer was looked through: these wait there and are missing here. Says what to ask it for.
    pub(super) fn found(&mut self, peer: PeerId, missing: Vec<EnvelopeHash>, now: Instant) -> Option<Query> {
        if self.asked.len() + missing.len() > MAX_ASKED {
            // Asking twice is the lesser evil.
            self.asked.clear();
        }
        let round = self.rounds.get_mut(&peer)?;
        for hash in missing {
            if self.asked.get(&hash).is_none_or(|until| *until <= now) {
                self.asked.insert(hash, now + PATIENCE);
                round.push(hash);
            }
        }
        self.more(peer)
    }

    /// What a relay handed out was taken in. Says what to ask it for next.
    pub(super) fn more(&mut self, peer: PeerId) -> Option<Query> {
        let round = self.rounds.get_mut(&peer)?;
        let piece = round.split_off(round.len().saturating_sub(MAX_ENVELOPES));
        match Ascending::from_items(piece) {
            Ok(piece) if !piece.is_empty() => Some(Query::Envelopes(piece)),
            // It named something twice, or nothing is left.
            _ => {
                self.end(&peer);
                None
            }
        }
    }

    /// A relay did not answer: others may be asked for what it was.
    pub(super) fn end(&mut self, peer: &PeerId) {
        for hash in self.rounds.remove(peer).into_iter().flatten() {
            self.asked.remove(&hash);
        }
    }

    /// A relay handed out what no honest one does.
    pub(super) fn ban(&mut self, peer: PeerId, now: Instant) {
        self.end(&peer);
        self.rests.insert(peer, now + BAN);
    }
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;

    fn peer(n: u8) -> PeerId {
        crate::swarm::keypair(Zeroizing::new([n; 32])).public().to_peer_id()
    }

    fn hashes(count: u32) -> Vec<EnvelopeHash> {
        (0..count)
            .map(|n| {
                let mut bytes = [0; 32];
                bytes[..4].copy_from_slice(&n.to_be_bytes());
                EnvelopeHash::from_bytes(bytes)
            })
            .collect()
    }

    #[test]
    fn what_is_missing_is_asked_for_piece_by_piece_and_of_one_relay() {
        let now = Instant::now();
        let mut missing = Missing::new(Duration::from_secs(5), now);
        assert!(missing.connected(peer(1), now));
        assert!(missing.connected(peer(2), now));
        assert!(!missing.connected(peer(1), now), "it is being asked");
        let mut query = missing.found(peer(1), hashes(600), now);
        assert!(missing.found(peer(2), hashes(600), now).is_none(), "the other one was asked for them");
        let mut pieces = Vec::new();
        while let Some(Query::Envelopes(piece)) = query {
            pieces.push(piece.len());
            query = missing.more(peer(1));
        }
        assert_eq!(pieces, [256, 256, 88]);
    }

    #[test]
    fn what_a_lost_relay_was_yet_to_be_asked_for_is_asked_of_another() {
        let now = Instant::now();
        let mut missing = Missing::new(Duration::from_secs(5), now);
        assert!(missing.connected(peer(1), now) && missing.connected(peer(2), now));
        assert!(missing.found(peer(1), hashes(600), now).is_some());
        missing.lost(&peer(1));
        assert!(
            matches!(missing.found(peer(2), hashes(600), now), Some(Query::Envelopes(piece)) if piece.len() == 256)
        );
    }

    #[test]
    fn relays_are_asked_in_turn_and_not_more_often_for_connecting_more_often() {
        let start = Instant::now();
        let mut missing = Missing::new(Duration::from_secs(5), start);
        for n in [1, 2] {
            assert!(missing.connected(peer(n), start));
            assert!(missing.found(peer(n), Vec::new(), start).is_none());
        }
        missing.lost(&peer(2));
        assert!(!missing.connected(peer(2), start), "it was asked just now");
        let pause_over = start + PAUSE;
        assert_eq!(missing.next_at(), pause_over);
        assert_eq!(missing.due(pause_over), Some(peer(2)));
        assert!(missing.found(peer(2), Vec::new(), pause_over).is_none());
        let mut asked = Vec::new();
        for round in 1..=4 {
            let now = pause_over + Duration::from_secs(5 * round);
            let peer = missing.due(now).unwrap();
            assert!(missing.due(now).is_none());
            assert!(missing.found(peer, Vec::new(), now).is_none());
            asked.push(peer);
        }
        assert_eq!(asked[0], asked[2]);
        assert_eq!(asked[1], asked[3]);
        assert_ne!(asked[0], asked[1]);
        missing.ban(peer(1), start);
        assert_eq!(missing.due(start + Duration::from_secs(100)), Some(peer(2)));
    }
}
