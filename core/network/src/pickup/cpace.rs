//! CPace, a balanced password-authenticated key exchange: draft-irtf-cfrg-cpace, with ristretto255 and SHA-512, where one side always begins.
//!
//! Two sides that know the same secret come to the same key; whoever does not know it learns from a run whether one guess is right, and nothing
//! that could be searched for the right one afterwards. The tags of §"Key confirmation" show each side that the other has the key.
//!
//! Pure: random bytes are passed in. The draft's test vectors are below.

use borsh::{BorshDeserialize, BorshSerialize};
use clavicle_ledger::encoding::Wire;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

const DSI: &[u8] = b"CPaceRistretto255";
const DSI_ISK: &[u8] = b"CPaceRistretto255_ISK";
const DSI_MAC: &[u8] = b"CPaceMac";
/// The block of SHA-512, in bytes.
const BLOCK_LEN: usize = 128;

/// What a side sends first: a point, encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Share(pub(super) [u8; 32]);

/// What a side shows that it has the key with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub(super) struct Tag(pub(super) [u8; 64]);

impl Wire for Tag {
    const NAME: &'static str = "the proof of an answer";
    const MAX_LEN: usize = 64;
}

/// What both sides put in. Only who puts in the same comes to the same key.
#[derive(Clone, Copy)]
pub(super) struct Inputs<'a> {
    /// What the sides know: PRS.
    pub(super) secret: &'a [u8],
    /// Who they are, and what for: CI.
    pub(super) channel: &'a [u8],
    /// What this run has to itself: sid.
    pub(super) session: &'a [u8],
    /// What each says of itself, who begins first: ADa and ADb. They differ, so that nobody is shown their own tag.
    pub(super) roles: [&'a [u8]; 2],
}

/// One of two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Who begins: A.
    First,
    /// Who answers: B.
    Second,
}

/// One side's part of a run, until the other's share is there.
pub(super) struct Run<'a> {
    inputs: Inputs<'a>,
    scalar: Zeroizing<Scalar>,
    share: Share,
}

/// What both sides have come to, if they know the same.
pub(super) struct Confirmation {
    key: Zeroizing<[u8; 64]>,
    /// What each side's tag is over.
    said: [Vec<u8>; 2],
}

impl<'a> Run<'a> {
    /// Begins a run, with random bytes that are used for nothing else.
    pub(super) fn new(inputs: Inputs<'a>, random: &[u8; 64]) -> Self {
        Self::with(inputs, Zeroizing::new(Scalar::from_bytes_mod_order_wide(random)))
    }

    fn with(inputs: Inputs<'a>, scalar: Zeroizing<Scalar>) -> Self {
        let share = Share((inputs.generator() * *scalar).compress().to_bytes());
        Self { inputs, scalar, share }
    }

    /// What is sent to the other side.
    pub(super) const fn share(&self) -> Share {
        self.share
    }

    /// What the sides have come to. Nothing when the other's share is no point, or the neutral one: then the run is over.
    pub(super) fn meet(self, side: Side, other: Share) -> Option<Confirmation> {
        let Self { inputs: Inputs { session, roles, .. }, scalar, share } = self;
        let [first, second] = match side {
            Side::First => [share, other],
            Side::Second => [other, share],
        };
        let point = Zeroizing::new((CompressedRistretto(other.0).decompress()? * *scalar).compress().to_bytes());
        if CompressedRistretto(*point).is_identity() {
            return None;
        }
        let said = [lv_cat(&[&first.0, roles[0]]), lv_cat(&[&second.0, roles[1]])];
        let key = hash(&[&Zeroizing::new(lv_cat(&[DSI_ISK, session, &*point])), &said[0], &said[1]]);
        Some(Confirmation { key: hash(&[DSI_MAC, session, &*key]), said })
    }
}

impl Confirmation {
    /// What a side shows.
    pub(super) fn tag(&self, side: Side) -> Tag {
        Tag(self.mac(side).finalize().into_bytes().into())
    }

    /// Whether it is what that side shows, in constant time.
    pub(super) fn is_tag(&self, side: Side, tag: &Tag) -> bool {
        self.mac(side).verify_slice(&tag.0).is_ok()
    }

    fn mac(&self, side: Side) -> Hmac<Sha512> {
        let said = match side {
            Side::First => &self.said[0],
            Side::Second => &self.said[1],
        };
        Hmac::new_from_slice(&*self.key).expect("HMAC takes a key of any length").chain_update(said)
    }
}

impl Inputs<'_> {
    fn generator(&self) -> RistrettoPoint {
        RistrettoPoint::from_uniform_bytes(&hash(&[&self.generator_text()]))
    }

    /// What the generator is made of. The first block holds the secret alone, filled up, so that its length does not show.
    fn generator_text(&self) -> Zeroizing<Vec<u8>> {
        let Self { secret, channel, session, roles: _ } = *self;
        let lengths = lv_cat(&[DSI]).len() + len_len(secret.len()) + secret.len() + 1;
        Zeroizing::new(lv_cat(&[DSI, secret, &[0; BLOCK_LEN][..BLOCK_LEN.saturating_sub(lengths)], channel, session]))
    }
}

fn hash(parts: &[&[u8]]) -> Zeroizing<[u8; 64]> {
    let hasher = parts.iter().fold(Sha512::new(), |hasher, part| hasher.chain_update(part));
    Zeroizing::new(hasher.finalize().into())
}

/// Strings after one another, each after its length, in one piece of memory.
pub(super) fn lv_cat(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::with_capacity(parts.iter().map(|part| len_len(part.len()) + part.len()).sum());
    for part in parts {
        let mut rest = part.len();
        // LEB128: seven bits in each byte, the low ones first, and a mark on all but the last.
        loop {
            let low = u8::try_from(rest & 0x7f).expect("seven bits fit a byte");
            rest >>= 7;
            all.push(if rest == 0 { low } else { low | 0x80 });
            if rest == 0 {
                break;
            }
        }
        all.extend_from_slice(part);
    }
    all
}

/// How many bytes a length takes.
fn len_len(len: usize) -> usize {
    let bits = usize::BITS - len.leading_zeros();
    bits.div_ceil(7).max(1) as usize
}

#[cfg(test)]
mod tests {
    use clavicle_ledger::encoding::from_hex;

    use super::*;

    fn bytes<const LEN: usize>(hex: &str) -> [u8; LEN] {
        from_hex(hex).unwrap().try_into().unwrap()
    }

    fn scalar(hex: &str) -> Zeroizing<Scalar> {
        Zeroizing::new(Scalar::from_canonical_bytes(bytes(hex)).unwrap())
    }

    /// "Test vector for CPace using group ristretto255 and hash SHA-512".
    const SESSION: &str = "7e4b4791d6a8ef019b936c79fb7f2c57";
    const YA: &str = "da3d23700a9e5699258aef94dc060dfda5ebb61f02a5ea77fad53f4ff0976d08";
    const YB: &str = "d2316b454718c35362d83d69df6320f38578ed5984651435e2949762d900b80d";
    const SHARE_A: &str = "d6bac480f2c386c394efc7c47adb9925dcd2630b64f240c50f8d0eec482b9157";
    const SHARE_B: &str = "3ea7e0b19560d7c0b0f5734f63b955286dfa8232b5ebe63324e2d9e7433f7258";
    const GENERATOR: &str = "222b6b195fe84b1652badb6f6a3ae3d24341e7306967f0b8115b40d5698c7e56";
    const ISK: &str = "b69effbf61b51d56401c0f65601abe428de8206feaaf0e32198896dcae7b35cd\
                       2b38950a39dfd5d4a79164614c2984f7daa460b588c1e80c3fa2068af7900447";

    fn inputs(session: &[u8]) -> Inputs<'_> {
        let channel = b"\x0bA_initiator\x0bB_responder";
        Inputs { secret: b"Password", channel, session, roles: [b"ADa", b"ADb"] }
    }

    #[test]
    fn a_run_is_as_the_draft_has_it() {
        let session: [u8; 16] = bytes(SESSION);
        let inputs = inputs(&session);
        assert_eq!(inputs.generator_text().len(), 170);
        assert_eq!(inputs.generator().compress().to_bytes(), bytes(GENERATOR));
        let (first, second) = (Run::with(inputs, scalar(YA)), Run::with(inputs, scalar(YB)));
        let (ya, yb) = (first.share(), second.share());
        assert_eq!((ya.0, yb.0), (bytes(SHARE_A), bytes(SHARE_B)));
        let (first, second) = (first.meet(Side::First, yb).unwrap(), second.meet(Side::Second, ya).unwrap());
        assert_eq!(*first.key, *hash(&[DSI_MAC, &session, &bytes::<64>(ISK)]));
        for side in [Side::First, Side::Second] {
            assert!(first.is_tag(side, &second.tag(side)) && second.is_tag(side, &first.tag(side)));
        }
    }

    #[test]
    fn strings_are_put_together_as_the_draft_has_it() {
        assert_eq!(lv_cat(&[b"1234", b"5", b"", b"678"]), bytes::<12>("043132333401350003363738"));
        for len in [0, 1, 127, 128, 16_383, 16_384] {
            let part = vec![7; len];
            let all = lv_cat(&[&part]);
            assert_eq!((all.len(), all.capacity()), (len + len_len(len), len + len_len(len)));
        }
        assert_eq!(lv_cat(&[&[7; 200]])[..2], [0xc8, 0x01]);
    }

    /// "Test case for scalar_mult with valid inputs", "Invalid inputs for scalar_mult_vfy".
    #[test]
    fn a_share_that_is_no_point_or_the_neutral_one_ends_the_run() {
        const S: &str = "7cd0e075fa7955ba52c02759a6c90dbbfc10e6d40aea8d283e407d88cf538a05";
        let point = |first: u8| {
            let mut point = bytes::<32>("2c3c6b8c4f3800e7aef6864025b4ed79bd599117e427c41bd47d93d654b4a51c");
            point[0] = first;
            Share(point)
        };
        let product = CompressedRistretto(point(0x2c).0).decompress().unwrap() * *scalar(S);
        let due = bytes("7c13645fe790a468f62c39beb7388e541d8405d1ade69d1778c5fe3e7f6b600e");
        assert_eq!(product.compress().to_bytes(), due);
        let meet = |other| Run::with(inputs(b""), scalar(S)).meet(Side::First, other);
        assert!(meet(point(0x2c)).is_some());
        assert!(meet(point(0x2b)).is_none());
        assert!(meet(Share([0; 32])).is_none());
    }

    #[test]
    fn whoever_puts_in_anything_else_shows_nothing_and_learns_nothing() {
        let right = inputs(b"session");
        let others = [
            Inputs { secret: b"password", ..right },
            Inputs { channel: b"elsewhere", ..right },
            Inputs { session: b"another", ..right },
            Inputs { roles: [b"ADa", b"other"], ..right },
        ];
        for other in others {
            let (first, second) = (Run::new(right, &[1; 64]), Run::new(other, &[2; 64]));
            let (ya, yb) = (first.share(), second.share());
            let (first, second) = (first.meet(Side::First, yb).unwrap(), second.meet(Side::Second, ya).unwrap());
            assert!(!second.is_tag(Side::First, &first.tag(Side::First)));
            assert!(!first.is_tag(Side::Second, &second.tag(Side::Second)));
        }
    }

    /// Whoever sends back what it got has the same key on both ends, without knowing it.
    #[test]
    fn nobody_is_convinced_by_an_echo() {
        let run = Run::new(inputs(b"session"), &[1; 64]);
        let share = run.share();
        let met = run.meet(Side::First, share).unwrap();
        assert!(!met.is_tag(Side::Second, &met.tag(Side::First)));
    }
}
