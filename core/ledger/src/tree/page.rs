//! A page: four levels of the tree in one row of the store.
//!
//! Only the sixteen parts under the page are kept; the levels between are computed, which is cheaper than storing them.

use alloc::boxed::Box;

use borsh::io::{Read, Result as IoResult, Write};
use borsh::{BorshDeserialize, BorshSerialize};

use super::{KeyHash, Subtree, ValueHash};
use crate::encoding::{Fault, Wire};

/// Where a page lies: the first 4·`level` bits of the paths under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize)]
pub struct PagePath {
    level: u8,
    bits: [u8; 32],
}

impl PagePath {
    /// The page at the root.
    pub const ROOT: Self = Self { level: 0, bits: [0; 32] };

    /// The page under this one's part number `nibble`; `None` below the 64th, where paths end.
    #[must_use]
    pub fn child(&self, nibble: usize) -> Option<Self> {
        if self.level >= 63 {
            return None;
        }
        let mut child = Self { level: self.level.saturating_add(1), bits: self.bits };
        let nibble = u8::try_from(nibble & 0x0f).unwrap_or(0);
        let byte = child.bits.get_mut(usize::from(self.level / 2))?;
        *byte |= if self.level.is_multiple_of(2) { nibble << 4 } else { nibble };
        Some(child)
    }

    /// How many pages lie above.
    #[must_use]
    pub const fn level(&self) -> usize {
        self.level as usize
    }

    /// The least path under this page. With the greatest, it bounds the rows that the page's part of the tree is over.
    #[must_use]
    pub const fn first(&self) -> KeyHash {
        KeyHash(self.bits)
    }

    /// Whether a row with this path lies under this page.
    #[must_use]
    pub fn covers(&self, path: &KeyHash) -> bool {
        (self.first()..=self.last()).contains(path)
    }

    /// The greatest path under this page.
    #[must_use]
    pub fn last(&self) -> KeyHash {
        let mut bits = self.bits;
        for (at, byte) in bits.iter_mut().enumerate() {
            let bits_fixed = self.level().saturating_mul(4).saturating_sub(at.saturating_mul(8)).min(8);
            *byte |= match bits_fixed {
                0 => 0xff,
                4 => 0x0f,
                _ => 0,
            };
        }
        KeyHash(bits)
    }
}

impl BorshDeserialize for PagePath {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (level, bits) = <(u8, [u8; 32])>::deserialize_reader(reader)?;
        let path = Self { level, bits };
        // Paths end at level 64, and bits below the level are not set.
        let free = Self { level, bits: [0; 32] }.last();
        if level > 63 || bits.iter().zip(free.0).any(|(set, free)| set & free != 0) {
            return Err(Fault::NotCanonical.raise());
        }
        Ok(path)
    }
}

impl Wire for PagePath {
    const NAME: &'static str = "a tree page's path";
    const MAX_LEN: usize = 33;
}

/// Sixteen parts of the tree, side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page(pub(super) Box<[Subtree; 16]>);

/// The levels of a page: 16, 8, 4 and 2 parts, from the bottom.
pub(super) struct Levels {
    pub(super) sixteen: [Subtree; 16],
    pub(super) eight: [Subtree; 8],
    pub(super) four: [Subtree; 4],
    pub(super) two: [Subtree; 2],
}

impl Page {
    pub(super) fn empty() -> Self {
        Self(Box::new([Subtree::Empty; 16]))
    }

    /// What the whole page is, for the page above.
    #[must_use]
    pub fn subtree(&self) -> Subtree {
        let [left, right] = &self.levels().two;
        Subtree::over(left, right)
    }

    pub(super) fn levels(&self) -> Levels {
        fn halve<const N: usize, const M: usize>(parts: &[Subtree; N]) -> [Subtree; M] {
            let mut pairs = parts.chunks_exact(2);
            core::array::from_fn(|_| match pairs.next() {
                Some([left, right]) => Subtree::over(left, right),
                _ => Subtree::Empty,
            })
        }
        let eight = halve(&self.0);
        let four = halve(&eight);
        let two = halve(&four);
        Levels { sixteen: *self.0, eight, four, two }
    }

    /// The sixteen parts.
    #[must_use]
    pub fn parts(&self) -> &[Subtree; 16] {
        &self.0
    }

    /// The numbers of the parts that have pages of their own.
    pub fn branches(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().filter(|(_, part)| matches!(part, Subtree::Branch(_))).map(|(nibble, _)| nibble)
    }
}

impl Wire for Page {
    const NAME: &'static str = "a tree page";
    const MAX_LEN: usize = 4 + 16 * 64;
}

/// Two 16-bit masks, which parts are leaves and which branches, then their hashes in order.
impl BorshSerialize for Page {
    fn serialize<W: Write>(&self, writer: &mut W) -> IoResult<()> {
        let mask = |wanted: fn(&Subtree) -> bool| {
            self.0.iter().enumerate().fold(0u16, |mask, (at, part)| mask | (u16::from(wanted(part)) << at))
        };
        mask(|part| matches!(part, Subtree::Leaf(..))).serialize(writer)?;
        mask(|part| matches!(part, Subtree::Branch(_))).serialize(writer)?;
        self.0.iter().try_for_each(|part| match part {
            Subtree::Empty => Ok(()),
            Subtree::Leaf(key, value) => (key, value).serialize(writer),
            Subtree::Branch(hash) => hash.serialize(writer),
        })
    }
}

impl BorshDeserialize for Page {
    fn deserialize_reader<R: Read>(reader: &mut R) -> IoResult<Self> {
        let (leaves, branches) = <(u16, u16)>::deserialize_reader(reader)?;
        if leaves & branches != 0 {
            return Err(Fault::NotCanonical.raise());
        }
        let mut page = Self::empty();
        for (at, part) in page.0.iter_mut().enumerate() {
            if leaves & (1 << at) != 0 {
                let (key, value) = <(KeyHash, ValueHash)>::deserialize_reader(reader)?;
                *part = Subtree::Leaf(key, value);
            } else if branches & (1 << at) != 0 {
                let hash = <[u8; 32]>::deserialize_reader(reader)?;
                // What is empty is left out, not written as 32 zeros.
                if hash == [0; 32] {
                    return Err(Fault::NotCanonical.raise());
                }
                *part = Subtree::Branch(hash);
            }
        }
        Ok(page)
    }
}
