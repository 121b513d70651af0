//! What travels on a link: a byte that says what it is, four bytes of length, and so many bytes.
//!
//! How long each kind may be is known before anything is set aside for it. Only the answer to one that is behind is longer than a frame: it
//! comes in pieces, between which votes pass.

use core::time::Duration;
use std::io;

use bytes::Bytes;
use clavicle_ledger::source::MAX_SOURCES;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::time::timeout;

use crate::parts::PART_LEN;

/// Bytes of an answer in one frame.
pub(crate) const PIECE_LEN: usize = 64 * 1024;
/// What stands before them: the question's number, and whether it is the last piece.
pub(crate) const PIECE_HEAD: usize = 8 + 1;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing but that there is somebody. The first frame in each direction, and then whenever there is nothing else to say.
    Alive,
    /// A signed vote or proposal.
    Consensus,
    /// What is said again to help those who are stuck.
    Liveness,
    /// A part of a proposed block.
    Part,
    /// How far the sender is.
    Status,
    /// A question for decided blocks: its number, and which.
    Question,
    /// A piece of the answer.
    Piece,
    /// That there will be no answer: the question's number.
    NoAnswer,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Alive,
        Self::Consensus,
        Self::Liveness,
        Self::Part,
        Self::Status,
        Self::Question,
        Self::Piece,
        Self::NoAnswer,
    ];

    /// The most bytes of one.
    pub(crate) const fn most(self) -> usize {
        match self {
            Self::Alive => 0,
            Self::Consensus => 512,
            // A certificate of both votes of everybody.
            Self::Liveness => 256 + 2 * MAX_SOURCES * (1 + 33 + 32 + 65),
            Self::Part => PART_LEN + 1024,
            Self::Status => 128,
            Self::Question => 8 + 16,
            Self::Piece => PIECE_HEAD + PIECE_LEN,
            Self::NoAnswer => 8,
        }
    }

    fn code(self) -> u8 {
        Self::ALL.iter().position(|kind| *kind == self).map_or(u8::MAX, |at| at.to_le_bytes()[0])
    }
}

/// Why nothing more is read from a link.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("nothing came for too long")]
    Silent,
    #[error("the connection ended")]
    Io(#[from] io::Error),
    #[error("what came is of no kind that there is")]
    Kind,
    #[error("what was announced is longer than its kind may be")]
    Length,
}

/// A frame as it travels. None when it is longer than its kind may be.
pub(crate) fn frame(kind: Kind, body: &[&[u8]]) -> Option<Bytes> {
    let len: usize = body.iter().map(|part| part.len()).sum();
    if len > kind.most() {
        return None;
    }
    let mut bytes = Vec::with_capacity(5 + len);
    bytes.push(kind.code());
    bytes.extend_from_slice(&u32::try_from(len).ok()?.to_le_bytes());
    body.iter().for_each(|part| bytes.extend_from_slice(part));
    Some(bytes.into())
}

/// Reads a frame. `patience` is for each step: whoever sends something is there.
pub(crate) async fn read(io: &mut (impl AsyncRead + Unpin), patience: Duration) -> Result<(Kind, Vec<u8>), ReadError> {
    let mut head = [0; 5];
    fill(io, &mut head, patience).await?;
    let [code, len @ ..] = head;
    let kind = *Kind::ALL.get(usize::from(code)).ok_or(ReadError::Kind)?;
    let len = u32::from_le_bytes(len) as usize;
    if len > kind.most() {
        return Err(ReadError::Length);
    }
    let mut body = vec![0; len];
    fill(io, &mut body, patience).await?;
    Ok((kind, body))
}

async fn fill(io: &mut (impl AsyncRead + Unpin), all: &mut [u8], patience: Duration) -> Result<(), ReadError> {
    let mut left = all;
    while !left.is_empty() {
        let read = timeout(patience, io.read(left)).await.map_err(|_| ReadError::Silent)??;
        if read == 0 {
            return Err(ReadError::Io(io::ErrorKind::UnexpectedEof.into()));
        }
        left = left.get_mut(read..).unwrap_or_default();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn what_is_written_is_read() {
        for kind in Kind::ALL {
            for len in [0, kind.most()] {
                let body = vec![7; len];
                let bytes = frame(kind, &[&body]).unwrap();
                assert_eq!(read(&mut &bytes[..], PATIENCE).await.unwrap(), (kind, body));
            }
            assert!(frame(kind, &[&vec![7; kind.most()], &[7]]).is_none());
        }
    }

    #[tokio::test]
    async fn a_length_beyond_the_kinds_is_refused_before_anything_is_set_aside() {
        for kind in Kind::ALL {
            for len in [u32::try_from(kind.most()).unwrap() + 1, u32::MAX] {
                let bytes = [&[kind.code()][..], &len.to_le_bytes()].concat();
                assert!(matches!(read(&mut &bytes[..], PATIENCE).await, Err(ReadError::Length)));
            }
        }
        let unknown = [8, 0, 0, 0, 0];
        assert!(matches!(read(&mut &unknown[..], PATIENCE).await, Err(ReadError::Kind)));
    }

    #[tokio::test]
    async fn whoever_is_silent_in_the_middle_is_not_waited_for() {
        let (mut near, far) = tokio::io::duplex(64);
        let written = frame(Kind::Status, &[&[1; 100]]).unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut { far }, &written[..20]).await.unwrap();
        // The other end is gone by now.
        assert!(matches!(read(&mut near, PATIENCE).await, Err(ReadError::Io(_))));
        let (mut near, _far) = tokio::io::duplex(64);
        assert!(matches!(read(&mut near, PATIENCE).await, Err(ReadError::Silent)));
    }
}
