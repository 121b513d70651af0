//! From 24 words to every key a person has.
//!
//! The words (BIP-39) are the root of one person's wallet; a person cared for has words of their own. Keys hang below
//! in a tree of hardened branches (SLIP-0010 for Ed25519), so that a device given its branch can compute no other:
//!
//! ```text
//! words ─ seed ─ m / "clav"' / device' ┬ 0' study   / n'   holder keys, one per study
//!                                      ├ 1' card    / n'   grantee keys, fresh for every card
//!                                      ├ 2' mailbox / n'   mailbox keys
//!                                      └ 3' person  / n'   long-term keys: whom organisations vouch for
//! ```

use alloc::string::{String, ToString as _};
use core::fmt;

use bip39::{Language, Mnemonic};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha512;
use zeroize::Zeroizing;

use crate::key::SecretKey;

/// SLIP-0010's bit for a hardened child; Ed25519 has no others.
const HARDENED: u32 = 0x8000_0000;
/// The first step of every path: "clav" in ASCII.
const PURPOSE: u32 = 0x636c_6176;

/// 24 English words that are a wallet: 256 random bits and a checksum (BIP-39).
pub struct Words(Mnemonic);

/// Why what was typed is not a wallet's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WordsError {
    /// Not 24 of them.
    #[error("a wallet has 24 words; these are {0}")]
    Count(usize),
    /// A word that is not in the list.
    #[error("word {0} is not in the word list; check its spelling")]
    Unknown(usize),
    /// All words exist, but do not belong together.
    #[error("the words do not belong together; one is wrong or two are swapped")]
    Checksum,
}

impl Words {
    /// The words for 32 bytes that the caller drew at random.
    #[must_use]
    pub fn from_entropy(entropy: &[u8; 32]) -> Self {
        Self(Mnemonic::from_entropy_in(Language::English, entropy).expect("256 bits are a valid length"))
    }

    /// Reads words as typed, whatever their case and spacing.
    ///
    /// # Errors
    /// [`WordsError`]; words are counted from 1.
    pub fn parse(typed: &str) -> Result<Self, WordsError> {
        let lower = Zeroizing::new(typed.to_lowercase());
        let count = lower.split_whitespace().count();
        if count != 24 {
            return Err(WordsError::Count(count));
        }
        // Room for all of it at once, so that nothing is left behind by growing.
        let mut line = Zeroizing::new(String::with_capacity(lower.len()));
        for word in lower.split_whitespace() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        Mnemonic::parse_in_normalized(Language::English, &line).map(Self).map_err(|error| match error {
            bip39::Error::UnknownWord(at) => WordsError::Unknown(at.saturating_add(1)),
            _ => WordsError::Checksum,
        })
    }

    /// The words, to be written down by their owner and shown to nobody else.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.to_string())
    }

    /// The 32 bytes that the words are of.
    #[must_use]
    pub fn entropy(&self) -> Zeroizing<[u8; 32]> {
        let (bytes, _) = self.0.to_entropy_array();
        let bytes = Zeroizing::new(bytes);
        let mut entropy = Zeroizing::new([0; 32]);
        entropy.copy_from_slice(&bytes[..32]);
        entropy
    }

    /// The seed of the key tree (BIP-39 with an empty passphrase).
    #[must_use]
    pub fn seed(&self) -> Seed {
        Seed(Zeroizing::new(self.0.to_seed_normalized("")))
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(…)")
    }
}

/// What a key is for; each use has a branch of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// Holder keys.
    Study = 0,
    /// Grantee keys on cards.
    Card = 1,
    /// Mailbox keys.
    Mailbox = 2,
    /// Long-term keys. A recipient's is number 0 of device 0, on whichever device: it is what organisations vouch for.
    Person = 3,
}

/// 64 bytes at the root of a key tree. Wiped when dropped.
pub struct Seed(Zeroizing<[u8; 64]>);

impl Seed {
    /// Key number `index` of `branch` on device number `device`; `None` from 2^31 on, where SLIP-0010 has no key.
    #[must_use]
    pub fn derive_key(&self, device: u32, branch: Branch, index: u32) -> Option<SecretKey> {
        let mut node = Node::master(&*self.0);
        for step in [PURPOSE, device, branch as u32, index] {
            node = node.child(step)?;
        }
        Some(SecretKey::from_bytes(&node.key))
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

/// A private key and its chain code (SLIP-0010 "Master key generation", "Child key derivation").
struct Node {
    key: Zeroizing<[u8; 32]>,
    chain_code: Zeroizing<[u8; 32]>,
}

impl Node {
    fn master(seed: &[u8]) -> Self {
        Self::split(b"ed25519 seed", &[seed])
    }

    fn child(&self, index: u32) -> Option<Self> {
        let index = index.checked_add(HARDENED)?;
        Some(Self::split(&*self.chain_code, &[&[0], &*self.key, &index.to_be_bytes()]))
    }

    fn split(hmac_key: &[u8], parts: &[&[u8]]) -> Self {
        let mut mac = Hmac::<Sha512>::new_from_slice(hmac_key).expect("HMAC takes a key of any length");
        parts.iter().for_each(|part| mac.update(part));
        let bytes: Zeroizing<[u8; 64]> = Zeroizing::new(mac.finalize().into_bytes().into());
        let mut node = Self { key: Zeroizing::new([0; 32]), chain_code: Zeroizing::new([0; 32]) };
        node.key.copy_from_slice(&bytes[..32]);
        node.chain_code.copy_from_slice(&bytes[32..]);
        node
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;
    use crate::encoding::Hex;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
    }

    /// SLIP-0010, "Test vectors", ed25519 1 and 2: path, chain code, private key, public key without its leading 00.
    #[test]
    fn slip_0010_published_vectors() {
        let one = "000102030405060708090a0b0c0d0e0f";
        let two = "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a29f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542";
        type Vector = (&'static str, &'static [u32], &'static str, &'static str, &'static str);
        let vectors: &[Vector] = &[
            (
                one,
                &[],
                "90046a93de5380a72b5e45010748567d5ea02bbf6522f979e05c0d8d8ca9fffb",
                "2b4be7f19ee27bbf30c667b642d5f4aa69fd169872f8fc3059c08ebae2eb19e7",
                "a4b2856bfec510abab89753fac1ac0e1112364e7d250545963f135f2a33188ed",
            ),
            (
                one,
                &[0],
                "8b59aa11380b624e81507a27fedda59fea6d0b779a778918a2fd3590e16e9c69",
                "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
                "8c8a13df77a28f3445213a0f432fde644acaa215fc72dcdf300d5efaa85d350c",
            ),
            (
                one,
                &[0, 1],
                "a320425f77d1b5c2505a6b1b27382b37368ee640e3557c315416801243552f14",
                "b1d0bad404bf35da785a64ca1ac54b2617211d2777696fbffaf208f746ae84f2",
                "1932a5270f335bed617d5b935c80aedb1a35bd9fc1e31acafd5372c30f5c1187",
            ),
            (
                one,
                &[0, 1, 2, 2, 1_000_000_000],
                "68789923a0cac2cd5a29172a475fe9e0fb14cd6adb5ad98a3fa70333e7afa230",
                "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
                "3c24da049451555d51a7014a37337aa4e12d41e485abccfa46b47dfb2af54b7a",
            ),
            (
                two,
                &[],
                "ef70a74db9c3a5af931b5fe73ed8e1a53464133654fd55e7a66f8570b8e33c3b",
                "171cb88b1b3c1db25add599712e36245d75bc65a1a5c9e18d76f9f2b1eab4012",
                "8fe9693f8fa62a4305a140b9764c5ee01e455963744fe18204b4fb948249308a",
            ),
            (
                two,
                &[0],
                "0b78a3226f915c082bf118f83618a618ab6dec793752624cbeb622acb562862d",
                "1559eb2bbec5790b0c65d8693e4d0875b1747f4970ae8b650486ed7470845635",
                "86fab68dcb57aa196c77c5f264f215a112c22a912c10d123b0d03c3c28ef1037",
            ),
            (
                two,
                &[0, 2_147_483_647, 1, 2_147_483_646, 2],
                "5d70af781f3a37b829f0d060924d5e960bdc02e85423494afc0b1a41bbe196d4",
                "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
                "47150c75db263559a70d5778bf36abbab30fb061ad69f69ece61a72b0cfa4fc0",
            ),
        ];
        for (seed, path, chain_code, key, public) in vectors {
            let mut node = Node::master(&unhex(seed));
            for &step in *path {
                node = node.child(step).unwrap();
            }
            assert_eq!(format!("{}", Hex(&*node.chain_code)), *chain_code);
            assert_eq!(format!("{}", Hex(&*node.key)), *key);
            assert_eq!(format!("{}", SecretKey::from_bytes(&node.key).public()), *public);
        }
    }

    /// BIP-39, test vectors of the reference implementation, 256 bits (their passphrase is "TREZOR").
    #[test]
    fn bip_39_published_vectors() {
        let vectors = [
            (
                "0000000000000000000000000000000000000000000000000000000000000000",
                "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon art",
                "bda85446c68413707090a52022edd26a1c9462295029f2e60cd7c4f2bbd3097170af7a4d73245cafa9c3cca8d561a7c3de6f5d4a10be8ed2a5e608d68f92fcc8",
            ),
            (
                "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
                "legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth useful legal winner thank year wave sausage worth title",
                "bc09fca1804f7e69da93c2f2028eb238c227f2e9dda30cd63699232578480a4021b146ad717fbb7e451ce9eb835f43620bf5c514db0f8add49f5d121449d3e87",
            ),
            (
                "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
                "void come effort suffer camp survey warrior heavy shoot primary clutch crush open amazing screen patrol group space point ten exist slush involve unfold",
                "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0e35524a518034ddc1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998",
            ),
        ];
        for (entropy, text, seed) in vectors {
            let words = Words::from_entropy(&unhex(entropy).try_into().unwrap());
            assert_eq!(*words.reveal(), text);
            let parsed = Words::parse(&format!("  {}\n", text.to_uppercase())).unwrap();
            assert_eq!(format!("{}", Hex(&parsed.0.to_seed_normalized("TREZOR"))), seed);
            assert_eq!(format!("{}", Hex(&*parsed.entropy())), entropy);
        }
    }

    #[test]
    fn words_typed_wrongly_are_told_apart() {
        assert_eq!(Words::parse("abandon art").unwrap_err(), WordsError::Count(2));
        let zeros = Words::from_entropy(&[0; 32]).reveal();
        assert_eq!(Words::parse(&zeros.replacen("abandon", "abandom", 1)).unwrap_err(), WordsError::Unknown(1));
        assert_eq!(Words::parse(&zeros.replace("art", "abandon")).unwrap_err(), WordsError::Checksum);
    }

    #[test]
    fn every_step_of_a_path_gives_another_key() {
        let seed = Words::from_entropy(&[9; 32]).seed();
        let key = |device, branch, index| seed.derive_key(device, branch, index).unwrap().public();
        let base = key(0, Branch::Study, 0);
        for other in [key(1, Branch::Study, 0), key(0, Branch::Card, 0), key(0, Branch::Study, 1)] {
            assert_ne!(base, other);
        }
        assert!(seed.derive_key(0, Branch::Study, HARDENED).is_none());
    }
}
