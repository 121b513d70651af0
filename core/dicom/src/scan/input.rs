//! The bytes of a file as the scan sees them: once, in order, hashed on the way.

use std::io::{self, Read, Seek};

use clavicle_manifest::{StoredDigest, StoredHasher, Subtrees};

use crate::unreadable::Unreadable;

/// How much is read at once: enough for BLAKE3 to use the processor's widest registers, and for a CT slice to be read
/// in one go.
const BUFFER: usize = 256 << 10;
/// What a large value is handed out in multiples of, so that no sample is cut in two. The longest has 64 bits.
const WORD: u64 = 8;
/// How much is read after a step over something: the next header, as a rule.
const AFTER_A_STEP: usize = 512;

/// An input of known length. Nothing behind that is looked at.
pub(super) struct Input<S> {
    source: S,
    buffer: Vec<u8>,
    /// What of the buffer was not taken yet.
    start: usize,
    end: usize,
    at: u64,
    len: u64,
    /// How much is read next: little after a step, and then twice as much each time.
    step: usize,
    /// Where everything that is read goes through, if it is to be hashed. What is not hashed need not be read.
    hasher: Option<StoredHasher>,
}

impl<S: Read + Seek> Input<S> {
    pub(super) fn new(source: S, len: u64, hasher: Option<StoredHasher>) -> Self {
        let room = usize::try_from(len).unwrap_or(BUFFER).clamp(512, BUFFER);
        Self { source, buffer: vec![0; room], start: 0, end: 0, at: 0, len, step: room, hasher }
    }

    /// How many bytes were taken.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn len(&self) -> u64 {
        self.len
    }

    pub(super) const fn left(&self) -> u64 {
        self.len - self.at
    }

    /// The next bytes without taking them; none if there are fewer.
    pub(super) fn peek<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Unreadable> {
        self.peek_at(0)
    }

    /// The same, `ahead` bytes further on; none as well where that is too far to look.
    pub(super) fn peek_at<const N: usize>(&mut self, ahead: u64) -> Result<Option<[u8; N]>, Unreadable> {
        let Some(end) = ahead.checked_add(N as u64).filter(|end| *end <= self.left()) else { return Ok(None) };
        let Some(end) = usize::try_from(end).ok().filter(|end| *end <= self.buffer.len()) else { return Ok(None) };
        self.hold(end)?;
        Ok(self.buffer[self.start..self.start + end].last_chunk().copied())
    }

    /// All that is left, without taking it; none if that is nothing, or more than `most`.
    pub(super) fn peek_rest(&mut self, most: u64) -> Result<Option<Vec<u8>>, Unreadable> {
        let left = self.left();
        if left == 0 || left > most {
            return Ok(None);
        }
        let mut rest = self.buffer[self.start..self.end].to_vec();
        let ahead = left.saturating_sub(rest.len() as u64);
        let read = (&mut self.source).take(ahead).read_to_end(&mut rest)?;
        self.source.seek_relative(-i64::try_from(read).map_err(|_| Unreadable::Io)?)?;
        if read as u64 == ahead { Ok(Some(rest)) } else { Err(Unreadable::CutOff) }
    }

    /// Takes as many bytes as there is room for.
    pub(super) fn take(&mut self, into: &mut [u8]) -> Result<(), Unreadable> {
        if into.len() <= self.end - self.start {
            into.copy_from_slice(&self.buffer[self.start..self.start + into.len()]);
            self.advance(into.len());
            return Ok(());
        }
        let mut done = 0;
        self.pass(into.len() as u64, |bytes| {
            into[done..done + bytes.len()].copy_from_slice(bytes);
            done += bytes.len();
        })
    }

    /// Takes `count` bytes, and shows them: all but the last piece a multiple of eight long.
    pub(super) fn pass(&mut self, count: u64, mut each: impl FnMut(&[u8])) -> Result<(), Unreadable> {
        let mut left = count;
        while left > 0 {
            self.hold(usize::try_from(left.min(WORD)).unwrap_or_default())?;
            let here = ((self.end - self.start) as u64).min(left);
            let here = if here < left { here - here % WORD } else { here };
            let here = usize::try_from(here).unwrap_or_default();
            each(&self.buffer[self.start..self.start + here]);
            self.advance(here);
            left -= here as u64;
        }
        Ok(())
    }

    /// Steps over `count` bytes; reads them only if they are to be hashed.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Unreadable> {
        let here = (self.end - self.start) as u64;
        if self.hasher.is_some() || count <= here {
            return self.pass(count, |_| {});
        }
        let ahead = i64::try_from(count - here).map_err(|_| Unreadable::Io)?;
        self.source.seek_relative(ahead)?;
        (self.start, self.end, self.step) = (0, 0, AFTER_A_STEP);
        self.at += count;
        Ok(())
    }

    /// Size, digest and subtrees of the whole input, which is read to its end; none if it was not to be hashed.
    pub(super) fn finish(mut self) -> Result<Option<(u64, StoredDigest, Subtrees)>, Unreadable> {
        self.skip(self.left())?;
        Ok(self.hasher.map(StoredHasher::finish))
    }

    /// What is left, as a reader.
    pub(super) const fn rest(&mut self) -> Rest<'_, S> {
        Rest(self)
    }

    fn advance(&mut self, count: usize) {
        self.start += count;
        self.at += count as u64;
    }

    /// Sees that the next `count` bytes are in the buffer, which has room for more than any caller asks for.
    fn hold(&mut self, count: usize) -> Result<(), Unreadable> {
        while self.end - self.start < count {
            if self.start > 0 {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
            }
            let ahead = self.at + self.end as u64;
            let most = self.step.max(count).min(self.buffer.len() - self.end);
            let room = usize::try_from(self.len - ahead).unwrap_or(usize::MAX).min(most);
            self.step = self.step.saturating_mul(2).min(self.buffer.len());
            let read = match self.source.read(&mut self.buffer[self.end..self.end + room]) {
                Ok(0) => return Err(Unreadable::CutOff),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&self.buffer[self.end..self.end + read]);
            }
            self.end += read;
        }
        Ok(())
    }
}

/// See [`Input::rest`].
pub(super) struct Rest<'a, S>(&'a mut Input<S>);

impl<S: Read + Seek> Read for Rest<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = usize::try_from(self.0.left()).unwrap_or(usize::MAX).min(into.len()).min(BUFFER);
        self.0.take(&mut into[..count]).map_err(io::Error::other)?;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn input(len: usize, hash: bool) -> (Vec<u8>, Input<Cursor<Vec<u8>>>) {
        let bytes: Vec<u8> = (0..len).map(|at| (at % 251) as u8).collect();
        let input = Input::new(Cursor::new(bytes.clone()), len as u64, hash.then(StoredHasher::new));
        (bytes, input)
    }

    #[test]
    fn however_it_is_taken_the_same_is_hashed() {
        let (bytes, mut input) = input(3 * BUFFER + 77, true);
        assert_eq!(input.peek::<132>().unwrap().unwrap()[..], bytes[..132]);
        let mut some = vec![0; BUFFER + 5];
        input.take(&mut some).unwrap();
        assert_eq!(some, bytes[..some.len()]);
        let mut seen = Vec::new();
        input
            .pass(BUFFER as u64 - 3, |piece| {
                assert!(piece.len() % 8 == 0 || seen.len() + piece.len() == BUFFER - 3);
                seen.extend_from_slice(piece);
            })
            .unwrap();
        assert_eq!(seen, bytes[some.len()..2 * BUFFER + 2]);
        input.skip(9).unwrap();
        assert_eq!(input.at(), 2 * BUFFER as u64 + 11);
        let (size, stored, _) = input.finish().unwrap().unwrap();
        assert_eq!((size, stored), (bytes.len() as u64, StoredDigest::of(&bytes)));
    }

    #[test]
    fn what_is_left_is_seen_before_it_is_taken() {
        for hash in [true, false] {
            let (bytes, mut input) = input(2 * BUFFER + 77, hash);
            input.take(&mut [0; 10]).unwrap();
            assert_eq!(input.peek_rest(2 * BUFFER as u64).unwrap(), None, "more than is wanted");
            assert_eq!(input.peek_rest(4 * BUFFER as u64).unwrap().unwrap(), bytes[10..]);
            input.skip(2 * BUFFER as u64).unwrap();
            assert_eq!(input.peek_rest(4 * BUFFER as u64).unwrap().unwrap(), bytes[2 * BUFFER + 10..]);
            let mut rest = vec![0; 67];
            input.take(&mut rest).unwrap();
            assert_eq!(rest, bytes[2 * BUFFER + 10..]);
            assert_eq!(input.peek_rest(10).unwrap(), None);
            let whole = input.finish().unwrap();
            assert_eq!(whole.map(|(_, stored, _)| stored), hash.then(|| StoredDigest::of(&bytes)));
        }
    }

    #[test]
    fn what_is_not_hashed_is_stepped_over() {
        let (bytes, mut input) = input(3 * BUFFER, false);
        input.take(&mut [0; 10]).unwrap();
        input.skip(2 * BUFFER as u64).unwrap();
        let mut next = [0; 4];
        input.take(&mut next).unwrap();
        assert_eq!(next, bytes[2 * BUFFER + 10..][..4]);
        assert!(input.finish().unwrap().is_none());
    }

    #[test]
    fn an_input_that_shrank_is_cut_off() {
        let mut input = Input::new(Cursor::new(vec![0; 100]), 200, Some(StoredHasher::new()));
        assert_eq!(input.pass(200, |_| {}), Err(Unreadable::CutOff));
        assert_eq!(input.peek::<16>(), Err(Unreadable::CutOff));
    }
}
