//! Every decoder, fed with anything: it answers, and what it accepts is exactly what it was given.
//!
//! Two inputs at once: the bytes themselves, and a vector edited as the bytes say, which reaches deeper. The committed corpus is in
//! `__fuzz__`; a coverage-guided engine goes on from there (`cargo bolero test fuzz::envelope`).

use clavicle_ledger::authorise::SignedHello;
use clavicle_ledger::ballot::Ballot;
use clavicle_ledger::block::{Block, CommitCertificate, Header, InclusionProof};
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::genesis::{Candidate, Genesis};
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::light::{CertifiedHeader, Checkpoint, LightClient, SignedCheckpoint, ValidatorChange};
use clavicle_ledger::receipt::{AnchoredReceipt, Inclusion, Receipt, SignedReceipt, Statement, Tip};
use clavicle_ledger::record::EpochRecord;
use clavicle_ledger::snapshot::{Chunk, Skeleton};
use clavicle_ledger::source::{Activity, KeyUse, Registered, Roster, Source};
use clavicle_ledger::state::{Due, Head, ReplayMark, Rules, SlotHead, StateKey};
use clavicle_ledger::study::Study;
use clavicle_ledger::terms::Terms;
use clavicle_ledger::transaction::{Body, Envelope};
use clavicle_ledger::tree::{Page, PagePath, Proof, StateProof};
use clavicle_ledger::validators::ValidatorSet;
use clavicle_ledger::vote::{RoundProposal, Vote};

use crate::vectors::{on_disk, wire_types};

fn accepts_only_what_it_gives_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = encoding::decode::<T>(bytes) {
        assert_eq!(encoding::encode(&value), bytes);
    }
}

/// Edits `vector` as `script` says: overwrite, flip, cut, insert, repeat.
fn edited(vector: &[u8], script: &[u8]) -> Vec<u8> {
    let mut bytes = vector.to_vec();
    for step in script.chunks_exact(4).take(6) {
        let at = usize::from(u16::from_le_bytes([step[1], step[2]])) % bytes.len().max(1);
        match step[0] % 6 {
            0 => bytes[at] = step[3],
            1 => bytes[at] ^= 1 << (step[3] % 8),
            2 => bytes.truncate(at + 1),
            3 => bytes.insert(at, step[3]),
            4 => drop(bytes.remove(at)),
            _ => bytes.extend_from_within(at..bytes.len().min(at + usize::from(step[3]))),
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

macro_rules! targets {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            let vectors = on_disk(stringify!($name));
            assert!(!vectors.is_empty());
            bolero::check!(name = stringify!($name)).with_iterations(4_000).with_max_len(512).for_each(|input: &[u8]| {
                accepts_only_what_it_gives_back::<$type>(input);
                let vector = &vectors[input.len() % vectors.len()];
                accepts_only_what_it_gives_back::<$type>(&edited(vector, input));
            });
        }
    )*};
}
wire_types!(targets);
