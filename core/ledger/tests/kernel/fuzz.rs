//! Every decoder, fed with anything: it answers, and what it accepts is exactly what it was given.
//!
//! The inputs are those of [`hostile`](crate::hostile), the same in every run. The committed corpus is in `__fuzz__`; a coverage-guided engine
//! goes on from there (`cargo bolero test fuzz::envelope`).

use clavicle_ledger::authorise::SignedHello;
use clavicle_ledger::ballot::Ballot;
use clavicle_ledger::block::{Block, CommitCertificate, Header, InclusionProof};
use clavicle_ledger::confirm::SignedNewest;
use clavicle_ledger::encoding::{self, Wire};
use clavicle_ledger::genesis::{Candidate, Genesis};
use clavicle_ledger::key::{Key, Signature};
use clavicle_ledger::light::{
    CertifiedHeader, Checkpoint, Endorsement, Identities, LightClient, SignedCheckpoint, SignedEndorsement,
    ValidatorChange,
};
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

use crate::hostile::{edited, feed};
use crate::vectors::{on_disk, wire_types};

fn accepts_only_what_it_gives_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = encoding::decode::<T>(bytes) {
        assert_eq!(encoding::encode(&value), bytes);
    }
}

macro_rules! targets {
    ($($name:ident: $type:ty),* $(,)?) => {$(
        #[test]
        fn $name() {
            let vectors = on_disk(stringify!($name));
            assert!(!vectors.is_empty());
            feed(stringify!($name), &vectors, accepts_only_what_it_gives_back::<$type>);
            // The corpus, or whatever an engine makes of it.
            bolero::check!(name = stringify!($name)).with_iterations(0).with_max_len(512).for_each(|input: &[u8]| {
                accepts_only_what_it_gives_back::<$type>(input);
                accepts_only_what_it_gives_back::<$type>(&edited(&vectors[input.len() % vectors.len()], input));
            });
        }
    )*};
}
wire_types!(targets);
