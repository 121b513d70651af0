//! Each action's rules, and each way to break one, by name.

mod evidence;
mod governance;
mod grants;
mod hands;
mod sources;
mod studies;
mod transactions;

use clavicle_ledger::action::{
    DefineSourceError, DefineStudyError, GrantError, NewStatus, ReviseStudyError, RevokeError, SetStatus,
    SetStatusError, SourceRefused, StudyRefused,
};
use clavicle_ledger::block::{CertificateError, CommitCertificate, Header, InclusionError, prove_inclusion};
use clavicle_ledger::encoding::{self, Ascending, Fault, Text};
use clavicle_ledger::execute::{self, ExecuteError, Proposed, Rejection};
use clavicle_ledger::genesis::{Candidate, CandidateError, GenesisError, GenesisSource, Parameters};
use clavicle_ledger::id::{GrantId, SourceId, StudyId};
use clavicle_ledger::key::{Key, KeyError, SecretKey, SignatureError};
use clavicle_ledger::source::{AnnouncementError, KeyRole, SourceKind};
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::study::{Capacity, DelegateRole, Powers, Reason, Standing};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{BlockTime, Day, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope, Precedence, Signatures, StatelessError};
use clavicle_ledger::vote::{Vote, VoteKind};

use crate::world::{
    DAY, Hospital, World, define_study, delegate, genesis, grant, hospitals, reject, revise, revoke, secret,
};

fn world() -> World {
    World::new(Parameters::default())
}

/// A world with one study, its holder, a helper and a guardian, for a hundred days.
fn with_study() -> (World, SecretKey) {
    let (mut world, holder) = (world(), secret("holder"));
    let until = world.now().day().plus(100);
    let delegates = vec![
        delegate(&secret("helper"), DelegateRole::Helper, until),
        delegate(&secret("guardian"), DelegateRole::Guardian, until),
        delegate(&secret("care team"), DelegateRole::CareTeam, until),
    ];
    world.define(1, &holder, delegates).unwrap();
    (world, holder)
}

fn someone(number: usize) -> Key {
    secret(&format!("someone {number}")).public()
}
