//! One connection: what comes in, each piece in its time, and what goes out.
//!
//! Data units are not gathered: the wire reads the header of a unit, then that of a fragment in it, and gives away what the fragment
//! holds as it arrives. So a unit takes no more memory than the buffer, whatever length it claims. Every step has until the
//! deadline, which only those who see progress put off ([`Wire::renew`]); a peer that sends a byte now and then
//! does not.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::associate::MAX_ASSOCIATE;
use super::fault::{Fault, Violation};
use super::pdu::{self, Abort};

/// The buffer of a connection.
const BUFFER: usize = 128 << 10;
/// How long, and how much, a peer that was told of the end is listened to: until it has read that, and hung up.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 4 << 20;
/// How long of that the peer may take to end the connection itself.
const FIRST: Duration = Duration::from_millis(1500);

/// What comes next in an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// A fragment begins, whose bytes [`Wire::of_fragment`] gives.
    Fragment(Fragment),
    /// The peer wants to end.
    ReleaseRq,
    /// The peer agrees to end.
    ReleaseRp,
}

/// The header of a presentation data value (PS3.8 §9.3.5.1, Annex E).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fragment {
    pub(super) context: u8,
    pub(super) is_command: bool,
    pub(super) is_last: bool,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    stop: Arc<AtomicBool>,
    buffer: Box<[u8]>,
    /// Where in the buffer what was received and not read begins, and ends.
    at: usize,
    end: usize,
    timeout: Duration,
    deadline: Instant,
    max_pdu: u32,
    /// Bytes not yet read of the unit, those of the fragment included; and of the fragment.
    unit_left: u32,
    fragment_left: u32,
}

impl Wire {
    /// A wire that takes data units of up to `max_pdu` bytes, and goes by nobody's word but `stop`.
    pub(super) fn new(stream: TcpStream, stop: Arc<AtomicBool>, timeout: Duration, max_pdu: u32) -> Self {
        let buffer = vec![0; BUFFER].into_boxed_slice();
        let deadline = Instant::now() + timeout;
        Self { stream, stop, buffer, at: 0, end: 0, timeout, deadline, max_pdu, unit_left: 0, fragment_left: 0 }
    }

    /// Puts the deadline off: something was done.
    pub(super) fn renew(&mut self) {
        self.deadline = Instant::now() + self.timeout;
    }

    /// Brings the deadline forward: the next step has no more time than this.
    pub(super) fn hurry(&mut self, most: Duration) {
        self.deadline = self.deadline.min(Instant::now() + most);
    }

    /// Reads the unit that opens an association, or answers it: its type and all it holds.
    pub(super) fn opening(&mut self, expected: &[u8]) -> Result<(u8, Vec<u8>), Fault> {
        let (kind, len) = self.head()?;
        if !expected.contains(&kind) {
            return Err(self.not_data(kind, len));
        }
        if len > MAX_ASSOCIATE {
            return Err(Violation::PduTooLong { len, most: MAX_ASSOCIATE }.into());
        }
        let mut left = len as usize;
        // Grows as bytes come, and not by what was claimed.
        let mut body = Vec::new();
        while left > 0 {
            let some = self.some(left)?;
            body.extend_from_slice(some);
            left -= some.len();
        }
        Ok((kind, body))
    }

    /// Reads up to the next fragment, or to the end. The fragment before must have been read to its end.
    pub(super) fn next(&mut self) -> Result<Incoming, Fault> {
        debug_assert_eq!(self.fragment_left, 0);
        if self.unit_left == 0 {
            let (kind, len) = self.head()?;
            match kind {
                pdu::P_DATA if len > self.max_pdu => {
                    return Err(Violation::PduTooLong { len, most: self.max_pdu }.into());
                }
                pdu::P_DATA if len == 0 => return Err(Violation::MalformedPdu.into()),
                pdu::P_DATA => self.unit_left = len,
                pdu::RELEASE_RQ | pdu::RELEASE_RP if len == 4 => {
                    self.exactly::<4>()?;
                    return Ok(if kind == pdu::RELEASE_RQ { Incoming::ReleaseRq } else { Incoming::ReleaseRp });
                }
                _ => return Err(self.not_data(kind, len)),
            }
        }
        let inside = self.unit_left.checked_sub(4).ok_or(Violation::MalformedPdu)?;
        let len = u32::from_be_bytes(self.exactly()?);
        if len < 2 || len > inside {
            return Err(Violation::MalformedPdu.into());
        }
        let [context, control] = self.exactly()?;
        self.fragment_left = len - 2;
        self.unit_left = inside - 2;
        Ok(Incoming::Fragment(Fragment { context, is_command: control & 1 != 0, is_last: control & 2 != 0 }))
    }

    /// Some of the fragment's bytes, at least one; `None` at its end.
    pub(super) fn of_fragment(&mut self) -> Result<Option<&[u8]>, Fault> {
        if self.fragment_left == 0 {
            return Ok(None);
        }
        let most = self.fragment_left as usize;
        let (from, len) = self.take(most)?;
        let taken = u32::try_from(len).expect("no more than was asked for");
        self.fragment_left -= taken;
        self.unit_left -= taken;
        Ok(Some(&self.buffer[from..from + len]))
    }

    /// What it means that a unit comes which brings no data.
    fn not_data(&mut self, kind: u8, len: u32) -> Fault {
        match kind {
            pdu::ABORT if len == 4 => match self.exactly() {
                Ok([_, _, 2, reason]) => Fault::Aborted(Abort::Provider(reason)),
                Ok(_) => Fault::Aborted(Abort::User),
                Err(fault) => fault,
            },
            pdu::RELEASE_RQ | pdu::RELEASE_RP | pdu::ABORT if len != 4 => Violation::MalformedPdu.into(),
            pdu::ASSOCIATE_RQ..=pdu::ABORT => Violation::UnexpectedPdu(kind).into(),
            _ => Violation::UnknownPdu(kind).into(),
        }
    }

    /// Type and length of the next unit.
    fn head(&mut self) -> Result<(u8, u32), Fault> {
        let [kind, _, len @ ..] = self.exactly::<6>()?;
        Ok((kind, u32::from_be_bytes(len)))
    }

    fn exactly<const LEN: usize>(&mut self) -> Result<[u8; LEN], Fault> {
        let mut bytes = [0; LEN];
        let mut filled = 0;
        while filled < LEN {
            let some = self.some(LEN - filled)?;
            bytes[filled..filled + some.len()].copy_from_slice(some);
            filled += some.len();
        }
        Ok(bytes)
    }

    /// At least one byte, and `most` at most.
    fn some(&mut self, most: usize) -> Result<&[u8], Fault> {
        let (from, len) = self.take(most)?;
        Ok(&self.buffer[from..from + len])
    }

    fn take(&mut self, most: usize) -> Result<(usize, usize), Fault> {
        if self.at == self.end {
            self.fill()?;
        }
        let (from, len) = (self.at, most.min(self.end - self.at));
        self.at += len;
        Ok((from, len))
    }

    /// Receives into the empty buffer.
    fn fill(&mut self) -> Result<(), Fault> {
        let len = loop {
            self.stream.set_read_timeout(Some(self.left()?))?;
            match self.stream.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        // Who stops it ends the reading first.
        if self.stop.load(Ordering::Acquire) {
            return Err(Fault::Stopped);
        }
        match len? {
            0 => Err(Fault::Closed),
            len => {
                acknowledge(&self.stream);
                (self.at, self.end) = (0, len);
                Ok(())
            }
        }
    }

    /// Sends all of it, within the time a step has.
    pub(super) fn send(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        let deadline = Instant::now() + self.timeout;
        while !bytes.is_empty() {
            let left = deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
            self.stream.set_write_timeout(Some(left.ok_or(Fault::TimedOut)?))?;
            match self.stream.write(bytes) {
                Ok(0) => return Err(Fault::Closed),
                Ok(len) => bytes = &bytes[len..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Ends the connection so that what was sent last arrives: were it closed while something of the peer's is unread, the
    /// peer would be told of a reset and nothing else. It is the peer who closes, who has asked for the association (PS3.8 §9.2, state 13); one
    /// that sees the connection end at once may take that for all it was told. Who does not close is not waited for.
    pub(super) fn hang_up(mut self) {
        let now = Instant::now();
        for (moment, and_then) in
            [(FIRST.min(self.timeout), Shutdown::Write), (LINGER.min(self.timeout), Shutdown::Both)]
        {
            self.deadline = now + moment;
            let mut heard = 0;
            while heard < LINGER_BYTES {
                match self.fill() {
                    Ok(()) => heard += self.end,
                    Err(Fault::TimedOut) => break,
                    Err(_) => return,
                }
            }
            if self.stream.shutdown(and_then).is_err() {
                return;
            }
        }
    }

    /// Time until the deadline.
    fn left(&self) -> Result<Duration, Fault> {
        let left = self.deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero());
        left.ok_or(Fault::TimedOut)
    }
}

/// Has what came acknowledged now. Many senders write a command and its data set in two steps, and hold the second back until the first
/// is acknowledged, which a system that has nothing to say itself puts off by 40 ms: at each object.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn acknowledge(stream: &TcpStream) {
    // Slower, if it cannot be had.
    let _ = rustix::net::sockopt::set_tcp_quickack(stream, true);
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn acknowledge(_: &TcpStream) {}
