//! What goes between a program and its workers: a length and as many bytes, with a question an open file.

use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
    recvmsg, sendmsg,
};

/// The longest answer: a picture of 256 MB, which is more than a screen has and an image may have.
const MAX: u64 = 256 << 20;
/// How much of an answer is waited for at once.
const PIECE: usize = 1 << 20;
/// The longest question, which goes out and comes in by one call.
const MAX_QUESTION: usize = 256;

/// Sends a question together with a file.
pub(super) fn send_with(socket: &UnixStream, question: &[u8], file: impl AsFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let (mut with, files) = (SendAncillaryBuffer::new(&mut space), [file.as_fd()]);
    if question.len() > MAX_QUESTION || !with.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(ErrorKind::InvalidInput.into());
    }
    let framed = framed(question);
    let sent = sendmsg(socket, &[IoSlice::new(&framed)], &mut with, SendFlags::NOSIGNAL)?;
    if sent == framed.len() { Ok(()) } else { Err(ErrorKind::WriteZero.into()) }
}

/// The next question, and the file that came with it; none when there will be no more.
pub(super) fn receive_with(socket: impl AsFd) -> io::Result<Option<(Vec<u8>, OwnedFd)>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = [0; 4 + MAX_QUESTION];
    let received = loop {
        match recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut with, RecvFlags::CMSG_CLOEXEC) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?.bytes,
        }
    };
    if received == 0 {
        return Ok(None);
    }
    let mut files = with.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => Some(files),
        _ => None,
    });
    let file = files.next().and_then(|mut files| files.next()).ok_or(ErrorKind::InvalidData)?;
    let question = bytes.get(4..received).filter(|rest| bytes[..4] == len_of(rest)).ok_or(ErrorKind::InvalidData)?;
    Ok(Some((question.to_vec(), file)))
}

/// Sends an answer.
pub(super) fn send(to: &mut impl Write, answer: &[u8]) -> io::Result<()> {
    to.write_all(&framed(answer))
}

/// The answer, if it is there in time.
pub(super) fn receive_until(mut socket: &UnixStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut len = [0; 4];
    read_until(&mut socket, &mut len, until)?;
    let mut left = u32::from_le_bytes(len) as usize;
    if left as u64 > MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    // As much as comes, and not as much as is claimed.
    let mut answer = Vec::new();
    while left > 0 {
        let (at, now) = (answer.len(), left.min(PIECE));
        answer.resize(at + now, 0);
        read_until(&mut socket, &mut answer[at..], until)?;
        left -= now;
    }
    Ok(answer)
}

fn read_until(socket: &mut &UnixStream, mut into: &mut [u8], until: Instant) -> io::Result<()> {
    while !into.is_empty() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        match socket.read(into) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => into = &mut into[count..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    [&len_of(bytes)[..], bytes].concat()
}

fn len_of(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}
