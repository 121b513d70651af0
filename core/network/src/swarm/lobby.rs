//! The sockets that were accepted, and what each of them has a place for.
//!
//! libp2p lets nobody end a connection that is still being agreed upon. So the sockets are wrapped as they are
//! accepted: one whose place is lost reads and writes no more, which ends whatever is done on it. Each is pending at
//! first, on the account of its address. When its key is proven, a guest's has a place among the guests', and a relay's
//! needs none: strangers, who can take every place there is, cannot take that.

use core::convert::Infallible;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use clavicle_admission::{Admission, Limits, Neighbourhood, Origin, Place};
use libp2p::Multiaddr;
use libp2p::core::transport::{DialOpts, ListenerId, Transport, TransportError, TransportEvent};
use libp2p::futures::future::{self, BoxFuture, FutureExt as _, TryFutureExt as _};
use libp2p::futures::{AsyncRead, AsyncWrite};
use libp2p::multiaddr::Protocol;
use libp2p::tcp;
use tokio::sync::oneshot;

/// Sockets whose key is not proven yet. Whoever comes has a place: the oldest of the address with the most gives way,
/// the silent first.
const PENDING: usize = 256;
/// How long a socket may be silent. When it is not any more, the whole handshake has its time.
pub(super) const SILENT: Duration = Duration::from_secs(5);
/// Connections of guests. Whoever comes has a place: the oldest of the address with the most gives way, and who asked
/// last is the youngest.
const GUESTS: usize = 1024;

/// The sockets. Shared between the transport, which accepts them, and the door, which learns whose they are.
#[derive(Clone, Debug)]
pub(super) struct Lobby(Arc<Mutex<Seats>>);

#[derive(Debug)]
struct Seats {
    pending: Admission<Neighbourhood, Hold>,
    guests: Admission<Neighbourhood, Hold>,
    next: Number,
    all: HashMap<Number, Sitting>,
    by_ends: HashMap<Ends, Number>,
}

/// Dropped, it ends the socket.
type Hold = oneshot::Sender<Infallible>;
/// The number of a socket, never used again.
pub(super) type Number = u64;
/// The socket's addresses, here and there.
type Ends = (Multiaddr, Multiaddr);

#[derive(Debug)]
struct Sitting {
    ends: Ends,
    neighbourhood: Neighbourhood,
    standing: Standing,
}

#[derive(Debug)]
enum Standing {
    Pending(Place),
    Guest(Place),
    /// It needs no place, and nobody ends it from here.
    Relay {
        _hold: Hold,
    },
}

/// Its socket's place, until it is dropped.
#[derive(Debug)]
struct Seat {
    lobby: Lobby,
    number: Number,
    /// Ends when the place is lost; nothing once that was seen.
    lost: Option<oneshot::Receiver<Infallible>>,
    has_spoken: bool,
}

impl Lobby {
    pub(super) fn new() -> Self {
        let limits = |most, silent| Limits { most, settled: Duration::ZERO, silent };
        Self(Arc::new(Mutex::new(Seats {
            pending: Admission::new(limits(PENDING, Some(SILENT))),
            // The swarm lets go of those who neither ask nor answer.
            guests: Admission::new(limits(GUESTS, None)),
            next: 0,
            all: HashMap::new(),
            by_ends: HashMap::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        // Each change leaves the tables in order.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for a socket that was accepted just now.
    fn arrive(&self, here: &Multiaddr, there: &Multiaddr, now: Instant) -> Option<Seat> {
        let neighbourhood = Origin::Direct(address_of(there)).neighbourhood();
        let (hold, lost) = oneshot::channel();
        let mut seats = self.lock();
        let entered = seats.pending.enter(neighbourhood, now, hold).ok()?;
        let number = seats.next;
        seats.next = number.saturating_add(1);
        let ends = (here.clone(), there.clone());
        seats.by_ends.insert(ends.clone(), number);
        seats.all.insert(number, Sitting { ends, neighbourhood, standing: Standing::Pending(entered.place) });
        drop(seats);
        // After the lock is free: who is told of it looks at the tables.
        drop(entered.displaced);
        Some(Seat { lobby: self.clone(), number, lost: Some(lost), has_spoken: false })
    }

    /// The socket with these ends is a guest's. Its number and neighbourhood; nothing if it has lost its place
    /// meanwhile.
    pub(super) fn guest(&self, here: &Multiaddr, there: &Multiaddr, now: Instant) -> Option<(Number, Neighbourhood)> {
        let mut seats = self.lock();
        let (number, hold) = seats.stand_up(here, there)?;
        let neighbourhood = seats.all.get(&number)?.neighbourhood;
        let entered = seats.guests.enter(neighbourhood, now, hold).ok()?;
        seats.all.get_mut(&number)?.standing = Standing::Guest(entered.place);
        drop(seats);
        drop(entered.displaced);
        Some((number, neighbourhood))
    }

    /// The socket with these ends is a relay's. Whether it still has its place: from now on it cannot lose it.
    pub(super) fn relay(&self, here: &Multiaddr, there: &Multiaddr) -> bool {
        let mut seats = self.lock();
        let Some((number, hold)) = seats.stand_up(here, there) else { return false };
        seats.all.get_mut(&number).is_some_and(|sitting| {
            sitting.standing = Standing::Relay { _hold: hold };
            true
        })
    }

    /// A guest has asked something: others go first.
    pub(super) fn asked(&self, number: Number, now: Instant) {
        let Seats { guests, all, .. } = &mut *self.lock();
        if let Some(Sitting { standing: Standing::Guest(place), .. }) = all.get_mut(&number) {
            *place = guests.renew(*place, now);
        }
    }

    /// The first bytes came.
    fn spoke(&self, number: Number, now: Instant) {
        let Seats { pending, all, .. } = &mut *self.lock();
        if let Some(Sitting { standing: Standing::Pending(place), .. }) = all.get_mut(&number) {
            *place = pending.heard(*place, now);
        }
    }

    fn leave(&self, number: Number) {
        let mut seats = self.lock();
        let Some(Sitting { ends, standing, .. }) = seats.all.remove(&number) else { return };
        // The system may have given the same port to another socket already.
        if seats.by_ends.get(&ends) == Some(&number) {
            seats.by_ends.remove(&ends);
        }
        match standing {
            Standing::Pending(place) => drop(seats.pending.leave(place)),
            Standing::Guest(place) => drop(seats.guests.leave(place)),
            Standing::Relay { .. } => {}
        }
    }

    /// Ends the sockets that were silent for too long.
    pub(super) fn sweep(&self, now: Instant) {
        let mut over = Vec::new();
        let mut seats = self.lock();
        over.extend(core::iter::from_fn(|| seats.pending.overdue(now)));
        drop(seats);
        drop(over);
    }

    /// When there is something to sweep.
    pub(super) fn next_sweep(&self) -> Option<Instant> {
        self.lock().pending.next_overdue()
    }
}

impl Seats {
    /// Takes a pending socket from its place. Nothing if it has lost it.
    fn stand_up(&mut self, here: &Multiaddr, there: &Multiaddr) -> Option<(Number, Hold)> {
        let number = *self.by_ends.get(&(here.clone(), there.clone()))?;
        let Standing::Pending(place) = self.all.get(&number)?.standing else { return None };
        Some((number, self.pending.leave(place)?))
    }
}

/// The address that a multiaddr begins with. TCP gives no others.
fn address_of(there: &Multiaddr) -> IpAddr {
    match there.iter().next() {
        Some(Protocol::Ip4(address)) => address.into(),
        Some(Protocol::Ip6(address)) => address.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    }
}

impl Seat {
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.lost.as_mut().is_some_and(|lost| lost.poll_unpin(cx).is_ready()) {
            self.lost = None;
        }
        if self.lost.is_some() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lobby.leave(self.number);
    }
}

/// A TCP socket. One that was accepted has a seat; one that was dialled needs none.
#[derive(Debug)]
pub(super) struct Socket {
    stream: tcp::tokio::TcpStream,
    seat: Option<Seat>,
}

impl Socket {
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.seat.as_mut().map_or(Ok(()), |seat| seat.poll_lost(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_lost(cx)?;
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if let (Poll::Ready(Ok(1..)), Some(seat)) = (&read, self.seat.as_mut())
            && !core::mem::replace(&mut seat.has_spoken, true)
        {
            seat.lobby.spoke(seat.number, Instant::now());
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_lost(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll_lost(cx)?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

/// TCP, whose accepted sockets have seats in a lobby.
pub(super) struct Accepting {
    tcp: tcp::tokio::Transport,
    lobby: Lobby,
}

impl Accepting {
    pub(super) fn new(lobby: Lobby) -> Self {
        Self { tcp: super::dialling(), lobby }
    }
}

impl Transport for Accepting {
    type Output = Socket;
    type Error = io::Error;
    type ListenerUpgrade = future::Ready<io::Result<Socket>>;
    type Dial = BoxFuture<'static, io::Result<Socket>>;

    fn listen_on(&mut self, id: ListenerId, at: Multiaddr) -> Result<(), TransportError<io::Error>> {
        self.tcp.listen_on(id, at)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.tcp.remove_listener(id)
    }

    fn dial(&mut self, to: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        Ok(self.tcp.dial(to, options)?.map_ok(|stream| Socket { stream, seat: None }).boxed())
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        loop {
            let Poll::Ready(event) = Pin::new(&mut self.tcp).poll(cx) else { return Poll::Pending };
            let seat = match &event {
                TransportEvent::Incoming { local_addr, send_back_addr, .. } => {
                    self.lobby.arrive(local_addr, send_back_addr, Instant::now())
                }
                _ => None,
            };
            if seat.is_none() && matches!(event, TransportEvent::Incoming { .. }) {
                // There is no place to be had: dropped, the socket is closed.
                continue;
            }
            let seated = event
                .map_upgrade(|accepted| future::ready(accepted.into_inner().map(|stream| Socket { stream, seat })));
            return Poll::Ready(seated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(host: u8, port: u16) -> (Multiaddr, Multiaddr) {
        let there = format!("/ip4/127.0.0.{host}/tcp/{port}").parse().unwrap();
        ("/ip4/127.0.0.1/tcp/1".parse().unwrap(), there)
    }

    fn arrive(lobby: &Lobby, host: u8, port: u16, now: Instant) -> Seat {
        let (here, there) = ends(host, port);
        lobby.arrive(&here, &there, now).unwrap()
    }

    fn is_lost(seat: &mut Seat) -> bool {
        seat.lost.as_mut().is_none_or(|lost| lost.try_recv() == Err(oneshot::error::TryRecvError::Closed))
    }

    #[test]
    fn a_relay_and_a_wallet_shake_hands_while_strangers_of_their_own_address_and_others_take_every_pending_place() {
        let (lobby, now) = (Lobby::new(), Instant::now());
        let mut relay = arrive(&lobby, 1, 1, now);
        let mut wallet = arrive(&lobby, 1, 2, now);
        for seat in [&relay, &wallet] {
            lobby.spoke(seat.number, now);
        }
        // 250 more from their own address, all silent; and as many from each of some others.
        let mut flood: Vec<Seat> = (10..260).map(|port| arrive(&lobby, 1, port, now)).collect();
        for host in 2..6 {
            flood.extend((0..250).map(|port| arrive(&lobby, host, port, now)));
        }
        assert_eq!(lobby.lock().pending.held(), PENDING);
        assert!(!is_lost(&mut relay) && !is_lost(&mut wallet));
        let (here, there) = ends(1, 1);
        assert!(lobby.relay(&here, &there));
        let (here, there) = ends(1, 2);
        assert!(lobby.guest(&here, &there, now).is_some());
        assert_eq!(lobby.lock().pending.held(), PENDING - 2);
        drop((relay, wallet, flood));
        let seats = lobby.lock();
        assert_eq!((seats.pending.held(), seats.guests.held(), seats.all.len(), seats.by_ends.len()), (0, 0, 0, 0));
    }

    #[test]
    fn guests_of_one_address_keep_no_other_out_and_no_relay() {
        let (lobby, now) = (Lobby::new(), Instant::now());
        let enter = |host, port| {
            let seat = arrive(&lobby, host, port, now);
            let (here, there) = ends(host, port);
            let guest = lobby.guest(&here, &there, now).map(|(number, _)| number);
            (seat, guest)
        };
        let mut flood: Vec<(Seat, Option<Number>)> = (0..1_200).map(|port| enter(2, port)).collect();
        assert_eq!(lobby.lock().guests.held(), GUESTS);
        // One of them asks something, and is the youngest again.
        lobby.asked(flood[176].1.unwrap(), now);
        let (mut wallet, guest) = enter(1, 1);
        assert!(guest.is_some() && !is_lost(&mut wallet));
        assert!(!is_lost(&mut flood[176].0) && is_lost(&mut flood[177].0));
        let mut relay = arrive(&lobby, 2, 5_000, now);
        let (here, there) = ends(2, 5_000);
        assert!(lobby.relay(&here, &there));
        flood.extend((2_000..4_000).map(|port| enter(2, port)));
        assert!(!is_lost(&mut relay) && !is_lost(&mut wallet));
    }

    #[test]
    fn the_silent_are_ended_in_seconds_and_a_place_that_was_lost_comes_to_nothing() {
        let (lobby, now) = (Lobby::new(), Instant::now());
        let mut silent = arrive(&lobby, 1, 1, now);
        let mut speaking = arrive(&lobby, 1, 2, now);
        lobby.spoke(speaking.number, now + Duration::from_secs(3));
        assert_eq!(lobby.next_sweep(), Some(now + SILENT));
        lobby.sweep(now + SILENT);
        assert!(is_lost(&mut silent) && !is_lost(&mut speaking));
        let (here, there) = ends(1, 1);
        assert!(lobby.guest(&here, &there, now).is_none() && !lobby.relay(&here, &there));
    }

    #[test]
    fn a_port_that_is_used_again_is_another_socket() {
        let (lobby, now) = (Lobby::new(), Instant::now());
        let first = arrive(&lobby, 1, 1, now);
        let second = arrive(&lobby, 1, 1, now);
        drop(first);
        let (here, there) = ends(1, 1);
        assert_eq!(lobby.guest(&here, &there, now).map(|(number, _)| number), Some(second.number));
    }
}
