//! A small network to test in: four hospitals, their keys, and a chain in memory that is built and checked block by block.

use std::collections::BTreeSet;

use clavicle_ledger::action::{
    Conflict, DefineSource, DefineStudy, Evidence, Grant, NewStatus, ReviseStudy, Revoke, SetStatus, Signed,
};
use clavicle_ledger::authorise::{Authorisation, Claim, Hello, Refused, SeenRevocation, View, authorise};
use clavicle_ledger::block::{self, Applied, Block, CommitCertificate, Header};
use clavicle_ledger::confirm::{Confirmed, Unconfirmed};
use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::execute::{self, Proposal, Rejection};
use clavicle_ledger::genesis::{Candidate, Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{BlockId, ChainId, GrantId, ManifestRoot, RequestDigest, SourceId, StudyDigest, StudyId};
use clavicle_ledger::key::{Key, SecretKey, Signature};
use clavicle_ledger::light::{CertifiedHeader, ValidatorChange};
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{MemoryState, ReadRows as _, Rules, StateKey};
use clavicle_ledger::study::{Delegate, DelegateRole, Powers, Study};
use clavicle_ledger::terms::Terms;
use clavicle_ledger::time::{BlockTime, DAY_MS, Day, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body, Envelope, Verified};
use clavicle_ledger::validators::ValidatorSet;
use clavicle_ledger::vote::{RoundProposal, Vote, VoteKind};
use clavicle_samples::terms::terms;

/// Noon on 2026-11-21, UTC.
pub const START: u64 = 1_795_262_400_000;

/// What a source has whose clock is right and whose head the others confirm, whatever it is.
pub const CONFIRMED: Result<Confirmed, Unconfirmed> =
    Ok(Confirmed { height: 0, age_ms: 0, earliest: Timestamp(0), latest: Timestamp(u64::MAX) });

/// A key from a word, the same in every run.
pub fn secret(word: &str) -> SecretKey {
    SecretKey::from_bytes(blake3::hash(word.as_bytes()).as_bytes())
}

/// A hospital's private keys.
#[derive(Clone)]
pub struct Hospital {
    pub name: String,
    pub identity: SecretKey,
    pub operational: SecretKey,
    pub consensus: Option<SecretKey>,
    pub transfer: SecretKey,
    pub network: SecretKey,
}

impl Hospital {
    /// The hospital with the keys of generation `generation`.
    pub fn new(name: &str, generation: u32) -> Self {
        let key = |role: &str| secret(&format!("{name} {role} {generation}"));
        Self {
            name: name.into(),
            identity: secret(&format!("{name} identity")),
            operational: key("operational"),
            consensus: Some(key("consensus")),
            transfer: key("transfer"),
            network: key("network"),
        }
    }

    pub fn announcement(&self) -> Announcement {
        Announcement {
            name: Text::new(self.name.as_str()).unwrap(),
            kind: if self.consensus.is_some() { SourceKind::Validator } else { SourceKind::Hosted },
            keys: SourceKeys {
                operational: self.operational.public(),
                consensus: self.consensus.as_ref().map(SecretKey::public),
                transfer: self.transfer.public(),
                network: Ascending::from_items(vec![self.network.public()]).unwrap(),
            },
            addresses: Addresses::default(),
            mailbox: Ascending::new(),
        }
    }

    pub fn secrets(&self) -> Vec<&SecretKey> {
        let mut keys = vec![&self.identity, &self.operational, &self.transfer, &self.network];
        keys.extend(&self.consensus);
        keys
    }

    pub fn id(&self, chain: &ChainId) -> SourceId {
        SourceId::of_identity(chain, &self.identity.public())
    }

    pub fn define_source(&self, version: u64) -> Action {
        Action::DefineSource(DefineSource {
            identity: self.identity.public(),
            version,
            announcement: self.announcement(),
        })
    }
}

pub fn hospitals() -> Vec<Hospital> {
    ["mercy", "stluke", "north", "harbor"].into_iter().map(|name| Hospital::new(name, 0)).collect()
}

pub fn genesis(parameters: Parameters) -> Genesis {
    let source = |hospital: &Hospital| GenesisSource {
        identity: hospital.identity.public(),
        announcement: hospital.announcement(),
    };
    Genesis {
        name: Text::new("test").unwrap(),
        time: BlockTime(Timestamp(START)),
        parameters,
        sources: Ascending::from_items(hospitals().iter().map(source).collect()).unwrap(),
    }
}

/// A chain in memory.
#[derive(Clone)]
pub struct World {
    pub genesis: Genesis,
    pub chain: ChainId,
    pub state: MemoryState,
    pub header: Header,
    pub hospitals: Vec<Hospital>,
    nonce: u64,
}

impl World {
    pub fn new(parameters: Parameters) -> Self {
        let genesis = genesis(parameters);
        Self {
            chain: genesis.chain_id(),
            state: MemoryState::from_genesis(&genesis),
            header: Header::genesis(&genesis),
            hospitals: hospitals(),
            genesis,
            nonce: 0,
        }
    }

    pub fn now(&self) -> Timestamp {
        self.header.time.timestamp()
    }

    /// Writes rows past the ledger's rules, to reach what histories seldom do, or as damage.
    pub fn rewrite(&mut self, key: StateKey, row: Option<Vec<u8>>) {
        self.header.state_root = self.state.commit([(key, row)].into());
    }

    pub fn rules(&self) -> Rules {
        self.state.rules().unwrap()
    }

    /// A body with the next nonce, to be submitted within an hour.
    pub fn body(&mut self, action: Action) -> Body {
        self.nonce += 1;
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.nonce.to_le_bytes());
        Body { submit_by: self.now().plus(3_600_000), nonce, action }
    }

    pub fn sign(&mut self, action: Action, keys: &[&SecretKey]) -> Verified {
        let body = self.body(action);
        self.sign_body(body, keys)
    }

    pub fn sign_body(&self, body: Body, keys: &[&SecretKey]) -> Verified {
        body.sign(&self.chain, keys).unwrap().check_stateless(&self.chain).unwrap()
    }

    /// Makes a block `later_ms` after the newest one, checks that the others accept it, and commits it.
    pub fn block(&mut self, later_ms: u64, envelopes: Vec<Verified>) -> (Proposal, Applied) {
        let last_commit = (self.header.height > 0)
            .then(|| block::CommitCertificate::new(self.header.height, 0, self.header.id(), Vec::new()).unwrap());
        self.block_after(later_ms, last_commit, envelopes)
    }

    /// The same, the newest block decided in a round and with the votes of those at these places in its set, whatever they signed.
    pub fn block_decided_by(
        &mut self,
        later_ms: u64,
        (round, signers): (u32, &[usize]),
        envelopes: Vec<Verified>,
    ) -> (Proposal, Applied) {
        let votes = signers.iter().map(|place| (*place, Signature::from_bytes([0; 64]))).collect();
        let last_commit = (self.header.height > 0)
            .then(|| block::CommitCertificate::new(self.header.height, round, self.header.id(), votes).unwrap());
        self.block_after(later_ms, last_commit, envelopes)
    }

    /// The same, with the certificate that the newest block is said to be decided by.
    pub fn block_after(
        &mut self,
        later_ms: u64,
        last_commit: Option<CommitCertificate>,
        envelopes: Vec<Verified>,
    ) -> (Proposal, Applied) {
        let (height, time) = (self.header.height + 1, BlockTime(self.now().plus(later_ms)));
        let proposal = execute::propose(&self.state, height, time, last_commit, envelopes).unwrap();
        // The first hospital, as long as it decides.
        let (first, set) = (self.hospitals[0].id(&self.chain), self.state.validators().unwrap());
        let proposer = set.validators.find(&first).map_or(set.validators[0].source, |validator| validator.source);
        let rules = self.rules();
        let (sealed, mine) = block::seal(proposal.clone(), &self.state, (&self.header, &rules), proposer, 0).unwrap();
        // What travels is what was made.
        let travelled: Block = encoding::decode(&encoding::encode(&sealed.to_block())).unwrap();
        let checked = travelled.check(&rules).unwrap();
        let applied = block::apply(&self.state, &self.state, &self.header, &checked).unwrap();
        assert_eq!(applied, mine);
        self.state.write(applied.executed.changes.clone(), applied.tree.clone());
        assert_eq!(self.state.root(), sealed.header().state_root);
        self.header = *sealed.header();
        (proposal, applied)
    }

    /// Executes one transaction in a block of its own, a second later.
    pub fn submit(&mut self, envelope: Verified) -> Result<(), Rejection> {
        let (proposal, _) = self.block(1_000, vec![envelope]);
        proposal.left_out.first().map_or(Ok(()), |(_, rejection)| Err(*rejection))
    }

    pub fn act(&mut self, action: Action, keys: &[&SecretKey]) -> Result<(), Rejection> {
        let envelope = self.sign(action, keys);
        self.submit(envelope)
    }

    /// Lets time pass, in an empty block.
    pub fn wait(&mut self, later_ms: u64) {
        self.block(later_ms, Vec::new());
    }

    /// Lets time pass, in an empty block that all validators sign.
    pub fn certified(&mut self, later_ms: u64) -> CertifiedHeader {
        let validators = self.state.validators().unwrap();
        self.wait(later_ms);
        certify(&self.header, &validators, &consensus_keys())
    }

    /// Gives a hospital the keys of another generation, and goes on to the block that makes them those of a new epoch.
    pub fn rekey(&mut self, hospital: usize, generation: u32) -> ValidatorChange {
        let hospital = Hospital::new(&self.hospitals[hospital].name, generation);
        self.act(hospital.define_source(generation.into()), &hospital.secrets()).unwrap();
        let last = self.certified(DAY);
        ValidatorChange { last, next: self.state.validators().unwrap() }
    }

    pub fn study(&self, id: StudyId) -> Study {
        self.seen(id).unwrap()
    }

    /// A study as it is now, without what has ended.
    pub fn seen(&self, id: StudyId) -> Option<Study> {
        let mut study = self.state.study(id).unwrap()?;
        study.settle(self.header.time);
        Some(study)
    }

    /// The id of study `number` of the first hospital.
    pub fn id(&self, number: u64) -> StudyId {
        StudyId::of(&self.chain, self.hospitals[0].id(&self.chain), digest(number))
    }

    /// Defines study `number` of the first hospital.
    pub fn define(&mut self, number: u64, holder: &SecretKey, delegates: Vec<Delegate>) -> Result<(), Rejection> {
        let mercy = self.hospitals[0].operational.clone();
        self.act(define_study(number, mercy.public(), holder.public(), delegates), &[&mercy, holder])
    }

    pub fn set_status(&mut self, id: StudyId, status: NewStatus) -> Result<(), Rejection> {
        let mercy = self.hospitals[0].operational.clone();
        let number = self.study(id).status_number + 1;
        self.act(Action::SetStatus(SetStatus { study: id, source: mercy.public(), number, status }), &[&mercy])
    }

    /// Grants, and returns what the grantee needs.
    pub fn grant(
        &mut self,
        id: StudyId,
        granter: &SecretKey,
        grantee: &Key,
        terms: Terms,
    ) -> Result<Granted, Rejection> {
        let action = grant(&self.chain, id, granter.public(), grantee, &terms);
        let envelope = self.sign(action, &[granter]);
        let granted = Granted { study: id, grant: envelope.id().into(), terms };
        self.submit(envelope).map(|()| granted)
    }

    pub fn revoke(&mut self, id: StudyId, revoker: &SecretKey, grant: GrantId) -> Result<(), Rejection> {
        self.act(revoke(id, revoker.public(), grant), &[revoker])
    }

    /// Terms that begin now and last `ms`, for everything in the study.
    pub fn terms(&self, ms: u64) -> Terms {
        terms(self.now(), self.now().plus(ms), ManifestRoot::from_bytes([0; 32]))
    }

    /// Asks the first hospital's gate, its clock at the newest block's time.
    pub fn fetch(&self, hello: Hello, key: &SecretKey) -> Result<Authorisation, Refused<std::convert::Infallible>> {
        self.fetch_at(self.now(), &BTreeSet::new(), hello, key)
    }

    pub fn fetch_at(
        &self,
        clock: Timestamp,
        seen: &BTreeSet<SeenRevocation>,
        hello: Hello,
        key: &SecretKey,
    ) -> Result<Authorisation, Refused<std::convert::Infallible>> {
        authorise(&self.view(seen), LocalTime(clock), key.public(), &hello.sign(&self.chain, key))
    }

    /// What the first hospital knows.
    pub fn view<'a>(&'a self, seen: &'a BTreeSet<SeenRevocation>) -> View<'a, MemoryState> {
        View {
            state: &self.state,
            source: self.hospitals[0].id(&self.chain),
            highest_seen: self.now(),
            confirmed: CONFIRMED,
            seen_revocations: seen,
        }
    }

    pub fn hello(&self, study: StudyId, claim: Claim) -> Hello {
        Hello::new(self.hospitals[0].id(&self.chain), study, claim, self.now())
    }
}

/// A header with the certificate that those of `signers` make who are among `validators`, in round 1.
pub fn certify(header: &Header, validators: &ValidatorSet, signers: &[SecretKey]) -> CertifiedHeader {
    let vote = |source| Vote {
        kind: VoteKind::Precommit,
        height: header.height,
        round: 1,
        block: Some(header.id()),
        validator: source,
    };
    let votes = validators.validators.iter().enumerate().filter_map(|(place, validator)| {
        let signer = signers.iter().find(|key| key.public() == validator.key)?;
        Some((place, signer.sign(&vote(validator.source).preimage(&header.chain))))
    });
    let certificate = CommitCertificate::new(header.height, 1, header.id(), votes.collect()).unwrap();
    CertifiedHeader { header: *header, certificate }
}

/// The consensus keys that hospitals have in any test.
pub fn consensus_keys() -> Vec<SecretKey> {
    let all = hospitals().into_iter().flat_map(|hospital| (0..3).map(move |of| Hospital::new(&hospital.name, of)));
    all.filter_map(|hospital| hospital.consensus).collect()
}

/// What a grantee holds.
#[derive(Clone)]
pub struct Granted {
    pub study: StudyId,
    pub grant: GrantId,
    pub terms: Terms,
}

impl Granted {
    pub fn claim(&self) -> Claim {
        Claim::Grant { grant: self.grant, terms: self.terms.clone() }
    }
}

pub fn digest(number: u64) -> StudyDigest {
    StudyDigest::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

pub fn define_study(number: u64, source: Key, holder: Key, delegates: Vec<Delegate>) -> Action {
    Action::DefineStudy(DefineStudy {
        digest: digest(number),
        source,
        holder,
        delegates: Ascending::from_items(delegates).unwrap(),
        manifest_root: ManifestRoot::from_bytes([0; 32]),
        open: true,
    })
}

pub fn delegate(key: &SecretKey, role: DelegateRole, expiry_day: Day) -> Delegate {
    Delegate { key: key.public(), role, powers: Powers::GRANT, expiry_day }
}

pub fn grant(chain: &ChainId, study: StudyId, granter: Key, grantee: &Key, terms: &Terms) -> Action {
    Action::Grant(Grant {
        study,
        granter,
        grantee: *grantee,
        expiry_day: terms.expires.day_rounded_up(),
        terms: terms.commitment(chain, study, grantee),
        request: RequestDigest::NONE,
    })
}

pub fn revoke(study: StudyId, revoker: Key, grant: GrantId) -> Action {
    Action::Revoke(Revoke { study, revoker, grant, grant_submit_by: Timestamp(0) })
}

pub fn revise(study: StudyId, source: Key, revision: u32) -> Action {
    Action::ReviseStudy(ReviseStudy {
        study,
        source,
        revision,
        manifest_root: ManifestRoot::from_bytes([revision as u8; 32]),
        open: false,
    })
}

/// A hospital's request to be in the network.
pub fn candidate(hospital: &Hospital) -> Candidate {
    let source = GenesisSource { identity: hospital.identity.public(), announcement: hospital.announcement() };
    Candidate::sign(source, &hospital.secrets()).unwrap()
}

/// Evidence that `key` signed twice for `validator`: two votes of a kind, or two proposals.
pub fn equivocation(
    chain: &ChainId,
    key: &SecretKey,
    validator: SourceId,
    (height, round): (u64, u32),
    kind: Option<VoteKind>,
) -> Action {
    let blocks = [BlockId::from_bytes([1; 32]), BlockId::from_bytes([2; 32])];
    let conflict = match kind {
        Some(kind) => {
            let [one, two] = blocks.map(|block| {
                let message = Vote { kind, height, round, block: Some(block), validator };
                Signed { signature: key.sign(&message.preimage(chain)), message }
            });
            Conflict::Votes(one, two)
        }
        None => {
            let [one, two] = blocks.map(|block| {
                let message = RoundProposal { height, round, block, valid_round: None, proposer: validator };
                Signed { signature: key.sign(&message.preimage(chain)), message }
            });
            Conflict::Proposals(one, two)
        }
    };
    Action::Evidence(Evidence::new(key.public(), conflict).unwrap())
}

/// An envelope whose signatures say `wrong` is in order.
pub fn reject(envelope: Envelope, chain: &ChainId) -> clavicle_ledger::transaction::StatelessError {
    envelope.check_stateless(chain).unwrap_err()
}

/// A day, in milliseconds.
pub const DAY: u64 = DAY_MS;
