//! Bits, and the codes in them (ITU-T T.81 C, F.2.2).

use super::super::CodecError;
use super::damaged;

/// Codes up to this many bits are found in one step.
const QUICK: u32 = 9;

/// A Huffman table, ready for decoding.
#[derive(Debug)]
pub(super) struct Table {
    /// For each possible beginning, the length and the symbol of the code that it begins with; a length of 0 where that is longer.
    quick: Vec<(u8, u8)>,
    /// For each length, one more than its last code, moved up to 16 bits; and what to add to a code for its place among the symbols.
    lengths: [(u32, i32); 17],
    symbols: Vec<u8>,
}

impl Table {
    /// `None` when there are more codes of a length than it has room for.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self { quick: vec![(0, 0); 1 << QUICK], lengths: [(0, 0); 17], symbols: symbols.to_vec() };
        let (mut code, mut place) = (0_u32, 0_usize);
        for (len, count) in (1_u32..).zip(counts) {
            let first = code;
            let of_len = table.symbols.get(place..place + usize::from(*count))?;
            for symbol in of_len {
                if code >= 1 << len {
                    return None;
                }
                if len <= QUICK {
                    let begin = usize::try_from(code << (QUICK - len)).ok()?;
                    let entry = (u8::try_from(len).ok()?, *symbol);
                    table.quick[begin..begin + (1 << (QUICK - len))].fill(entry);
                }
                code += 1;
            }
            let offset = i32::try_from(place).ok()? - i32::try_from(first).ok()?;
            table.lengths[usize::try_from(len).ok()?] = (code << (16 - len), offset);
            place += usize::from(*count);
            code <<= 1;
        }
        Some(table)
    }
}

/// Reads entropy-coded data bit by bit, as far as the next marker.
#[derive(Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The next bits, from the highest down.
    bits: u64,
    count: u32,
    /// Bits that were made up because there were no more.
    missing: u32,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, bits: 0, count: 0, missing: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let byte = match self.bytes.get(self.at..) {
                // A zero is stuffed after 0xFF (B.1.1.5).
                Some([0xff, 0, ..]) => {
                    self.at += 2;
                    0xff
                }
                Some([byte, ..]) if *byte != 0xff => {
                    self.at += 1;
                    *byte
                }
                _ => {
                    self.missing += 8;
                    0
                }
            };
            self.bits |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits.
    #[inline]
    fn peek(&mut self) -> u32 {
        if self.count < 16 {
            self.fill();
        }
        (self.bits >> 48) as u32
    }

    #[inline]
    const fn drop_bits(&mut self, count: u32) {
        self.bits <<= count;
        self.count -= count;
    }

    /// Whether more was read than there is. A decoder that goes on reads zeros.
    pub(super) const fn is_over(&self) -> bool {
        self.missing > self.count
    }

    /// The next symbol (F.2.2.3).
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, CodecError> {
        let next = self.peek();
        let (len, symbol) = table.quick[(next >> (16 - QUICK)) as usize];
        if len > 0 {
            self.drop_bits(len.into());
            return Ok(symbol);
        }
        for (len, (end, offset)) in (0_u32..).zip(table.lengths).skip(QUICK as usize + 1) {
            if next < end {
                self.drop_bits(len);
                let code = (next >> (16 - len)).cast_signed();
                let place = usize::try_from(code + offset).ok();
                return place
                    .and_then(|place| table.symbols.get(place).copied())
                    .ok_or_else(|| damaged("a code is not in its table"));
            }
        }
        Err(damaged("a code is not in its table"))
    }

    /// A number of this many bits, at most 16, whose first says whether it is negative (F.2.2.1).
    #[inline]
    pub(super) fn number(&mut self, len: u32) -> i32 {
        if len == 0 {
            return 0;
        }
        let value = (self.peek() >> (16 - len)).cast_signed();
        self.drop_bits(len);
        if value < 1 << (len - 1) { value - (1 << len) + 1 } else { value }
    }

    /// Goes on behind the next restart marker (F.2.2.5).
    pub(super) fn restart(&mut self) -> Result<(), CodecError> {
        (self.bits, self.count, self.missing) = (0, 0, 0);
        // Whole bytes may have been taken in advance, but never a marker: it is ahead.
        let ahead = self.bytes.get(self.at..).unwrap_or_default();
        let marker = ahead.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff));
        let marker = marker.filter(|at| matches!(ahead[at + 1], 0xd0..=0xd7));
        self.at += 2 + marker.ok_or_else(|| damaged("a restart marker is missing"))?;
        Ok(())
    }

    /// Where the data end: at the next marker.
    pub(super) fn end(&self) -> usize {
        let ahead = self.bytes.get(self.at..).unwrap_or_default();
        let marker = ahead.windows(2).position(|two| two[0] == 0xff && !matches!(two[1], 0 | 0xff | 0xd0..=0xd7));
        self.at + marker.unwrap_or(ahead.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_short_and_long_are_found() {
        // One code of one bit, one of two … one of sixteen: 0, 10, 110 …
        let symbols: Vec<u8> = (0..16).collect();
        let table = Table::new(&[1; 16], &symbols).unwrap();
        let mut bits = Bits::new(&[0b0101_1011, 0b1111_1111, 0, 0b1101_1111, 0b1111_1111, 0, 0b1100_0000]);
        let read: Vec<u8> = (0..5).map(|_| bits.symbol(&table).unwrap()).collect();
        assert_eq!(read, [0, 1, 2, 12, 15]);
        assert!(!bits.is_over());
    }

    #[test]
    fn a_table_with_too_many_codes_is_none() {
        let mut counts = [0; 16];
        counts[0] = 3;
        assert!(Table::new(&counts, &[1, 2, 3]).is_none());
    }

    #[test]
    fn numbers_are_negative_below_half() {
        let mut bits = Bits::new(&[0b0110_1000]);
        assert_eq!([bits.number(1), bits.number(2), bits.number(3), bits.number(0)], [-1, 3, -5, 0]);
    }
}
