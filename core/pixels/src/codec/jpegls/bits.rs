//! Bits of a scan (ITU-T T.87 A.1, C.2.1): after a byte of ones, the next has only seven.

use super::super::CodecError;
use super::damaged;

#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the highest down.
    bits: u64,
    count: u32,
    /// Whether the byte before was 0xFF.
    after_ones: bool,
    /// Bits that were made up because there were no more.
    missing: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bits: 0, count: 0, after_ones: false, missing: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let wide = if self.after_ones { 7 } else { 8 };
            let byte = match self.bytes.get(self.at..) {
                // A marker: the scan is over.
                Some([0xff, next, ..]) if *next >= 0x80 => None,
                Some([byte, ..]) if !(self.after_ones && *byte >= 0x80) => Some(*byte),
                _ => None,
            };
            if let Some(byte) = byte {
                self.at += 1;
                self.bits |= u64::from(byte) << (64 - wide - self.count);
                self.after_ones = byte == 0xff;
            } else {
                self.missing += wide;
            }
            self.count += wide;
        }
    }

    /// A number of at most 32 bits.
    #[inline]
    pub(super) fn number(&mut self, len: u32) -> u32 {
        if len == 0 {
            return 0;
        }
        if self.count < len {
            self.fill();
        }
        let value = (self.bits >> (64 - len)) as u32;
        self.bits <<= len;
        self.count -= len;
        value
    }

    /// A Golomb code of limited length (A.5.3), in which `wide` bits follow where the limit is reached.
    #[inline]
    pub(super) fn golomb(&mut self, k: u32, limit: u32, wide: u32) -> Result<u32, CodecError> {
        let most = limit - wide - 1;
        let mut zeros = 0;
        loop {
            if self.count < 32 {
                self.fill();
            }
            let here = self.bits.leading_zeros().min(self.count);
            zeros += here;
            if zeros > most {
                return Err(damaged("a code is too long"));
            }
            if here < self.count {
                self.bits = self.bits << here << 1;
                self.count -= here + 1;
                break;
            }
            (self.bits, self.count) = (0, 0);
            if self.missing > 128 {
                return Err(damaged("a scan ends before its last row"));
            }
        }
        Ok(if zeros < most { zeros << k | self.number(k) } else { self.number(wide) + 1 })
    }

    /// Whether more was read than there is. A decoder that goes on reads zeros.
    pub(super) const fn is_over(&self) -> bool {
        self.missing > self.count
    }

    /// Where the data end: at the next marker.
    pub(super) fn end(&self) -> usize {
        let ahead = self.bytes.get(self.at..).unwrap_or_default();
        self.at + ahead.windows(2).position(|two| two[0] == 0xff && two[1] >= 0x80).unwrap_or(ahead.len())
    }
}
