//! Who is connected to the operator's socket: so many, in shares of the processes that they are.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use clavicle_admission::{Admission, Limits, Place};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::{Sleep, sleep};

/// Connections at once. Whoever comes has a place: the oldest of the process with the most gives way, and those first
/// that asked nothing.
const MOST: usize = 64;
/// How long a connection may say nothing.
const SILENT: Duration = Duration::from_secs(5);

/// The places. Shared.
#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Mutex<Admission<i32, oneshot::Sender<Infallible>>>>);

/// A connection, with its place.
pub(super) struct Seated {
    stream: UnixStream,
    places: Places,
    place: Place,
    /// Ends when the place is lost; nothing once that was seen.
    lost: Option<oneshot::Receiver<Infallible>>,
    /// Until when it has to say something; nothing when it has.
    silent: Option<Pin<Box<Sleep>>>,
}

impl Places {
    pub(super) fn new() -> Self {
        // Each connection minds its own silence.
        let limits = Limits { most: MOST, settled: Duration::ZERO, silent: None };
        Self(Arc::new(Mutex::new(Admission::new(limits))))
    }

    /// A place for a connection of a process.
    pub(super) fn seat(&self, stream: UnixStream, process: i32) -> Option<Seated> {
        let (hold, lost) = oneshot::channel();
        let entered = self.with(|places| places.enter(process, Instant::now(), hold)).ok()?;
        // Whoever had it hears of it by this.
        drop(entered.displaced);
        let silent = Some(Box::pin(sleep(SILENT)));
        Some(Seated { stream, places: self.clone(), place: entered.place, lost: Some(lost), silent })
    }

    fn with<T>(&self, what: impl FnOnce(&mut Admission<i32, oneshot::Sender<Infallible>>) -> T) -> T {
        what(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Seated {
    fn poll_lost(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.lost.as_mut().is_some_and(|lost| Pin::new(lost).poll(cx).is_ready()) {
            self.lost = None;
        }
        if self.lost.is_some() { Ok(()) } else { Err(io::ErrorKind::ConnectionAborted.into()) }
    }
}

impl Drop for Seated {
    fn drop(&mut self) {
        self.places.with(|places| drop(places.leave(self.place)));
    }
}

impl AsyncRead for Seated {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.poll_lost(cx)?;
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_ready() && into.filled().len() > before && self.silent.take().is_some() {
            let place = self.place;
            self.place = self.places.with(|places| places.heard(place, Instant::now()));
        } else if read.is_pending() && self.silent.as_mut().is_some_and(|silent| silent.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Seated {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_lost(cx)?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn seat(places: &Places, process: i32) -> (Seated, UnixStream) {
        let (here, there) = UnixStream::pair().unwrap();
        (places.seat(here, process).unwrap(), there)
    }

    #[tokio::test]
    async fn a_process_that_holds_every_connection_keeps_no_other_out_and_who_asked_stays() {
        let places = Places::new();
        let (mut asked, mut asking) = seat(&places, 1).await;
        asking.write_all(b"GET").await.unwrap();
        assert_eq!(asked.read(&mut [0; 8]).await.unwrap(), 3);
        let mut flood = Vec::new();
        for _ in 0..MOST * 2 {
            flood.push(seat(&places, 1).await);
        }
        let (mut other, mut asking_too) = seat(&places, 2).await;
        asking_too.write_all(b"GET").await.unwrap();
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 3);
        // The first of the flood was cut off, and who asked something is still there.
        let gone = flood[0].0.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionAborted);
        asking.write_all(b"more").await.unwrap();
        assert_eq!(asked.read(&mut [0; 8]).await.unwrap(), 4);
        // Nor do those have the other's place who ask as well.
        for _ in 0..MOST * 2 {
            let (mut here, mut there) = seat(&places, 1).await;
            there.write_all(b"GET").await.unwrap();
            assert_eq!(here.read(&mut [0; 8]).await.unwrap(), 3);
            flood.push((here, there));
        }
        asking_too.write_all(b"more").await.unwrap();
        assert_eq!(other.read(&mut [0; 8]).await.unwrap(), 4);
        drop((asked, other, flood));
        assert_eq!(places.with(|places| places.held()), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_gone_in_seconds_and_who_asked_may_wait_for_an_hour() {
        let places = Places::new();
        let (mut silent, _kept) = seat(&places, 1).await;
        let (mut asked, mut asking) = seat(&places, 1).await;
        asking.write_all(b"POST").await.unwrap();
        assert_eq!(asked.read(&mut [0; 8]).await.unwrap(), 4);
        let from = tokio::time::Instant::now();
        assert_eq!(silent.read(&mut [0; 8]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(from.elapsed() <= SILENT * 2, "{:?}", from.elapsed());
        let waits = tokio::time::timeout(Duration::from_secs(3600), asked.read(&mut [0; 8])).await;
        assert!(waits.is_err(), "{waits:?}");
    }
}
