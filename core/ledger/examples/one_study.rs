//! One study through the ledger, told line by line: a hospital and a patient define it, the patient grants a physician,
//! a proof shows it to a phone, the gate lets the physician in and a stranger not, the patient revokes.
//!
//! ```text
//! cargo run --release -p clavicle-ledger --example one_study
//! ```

use std::collections::BTreeSet;
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use clavicle_ledger::action::{DefineStudy, Grant, Revoke};
use clavicle_ledger::authorise::{Authorisation, Claim, Hello, Refused, View, authorise};
use clavicle_ledger::block::{self, Applied, CheckedBlock, CommitCertificate, Header};
use clavicle_ledger::confirm::{Round, Unconfirmed};
use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text};
use clavicle_ledger::execute;
use clavicle_ledger::genesis::{Genesis, GenesisSource, Parameters};
use clavicle_ledger::id::{GrantId, ManifestRoot, RequestDigest, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::source::{Addresses, Announcement, SourceKeys, SourceKind};
use clavicle_ledger::state::{MemoryState, ReadRows as _, StateKey};
use clavicle_ledger::study::Study;
use clavicle_ledger::terms::{PurposeOfUse, SeriesScope, Terms};
use clavicle_ledger::time::{BlockTime, Clocks, DAY_MS, LocalTime, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_ledger::tree::{self, StateProof};

/// 32 bytes from the system's generator, as a wallet would draw them.
fn random() -> std::io::Result<[u8; 32]> {
    use std::io::Read as _;
    let mut bytes = [0; 32];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A network of one hospital, its state and its newest header.
struct Network {
    source: SourceId,
    state: MemoryState,
    header: Header,
}

impl Network {
    fn start(hospital: &Hospital, now: Timestamp) -> Result<Self, Box<dyn Error>> {
        let announcement = Announcement {
            name: Text::new("Mercy hospital")?,
            kind: SourceKind::Validator,
            keys: SourceKeys {
                operational: hospital.operational.public(),
                consensus: Some(hospital.consensus.public()),
                transfer: hospital.transfer.public(),
                network: Ascending::from_items(vec![hospital.network.public()])?,
            },
            addresses: Addresses::default(),
            mailbox: Ascending::new(),
        };
        let identity = hospital.identity.public();
        let genesis = Genesis {
            name: Text::new("one hospital")?,
            time: BlockTime(now),
            parameters: Parameters::default(),
            sources: Ascending::from_items(vec![GenesisSource { identity, announcement }])?,
        };
        genesis.check()?;
        let source = SourceId::of_identity(&genesis.chain_id(), &identity);
        Ok(Self { source, state: MemoryState::from_genesis(&genesis), header: Header::genesis(&genesis) })
    }

    /// Signs, proposes, checks as another hospital would, and commits; returns the transaction's id as a grant's.
    fn submit(&mut self, action: Action, keys: &[&SecretKey]) -> Result<GrantId, Box<dyn Error>> {
        let now = self.header.time.timestamp();
        let mut nonce = [0; 16];
        nonce.copy_from_slice(&random()?[..16]);
        let body = Body { submit_by: now.plus(600_000), nonce, action };
        let envelope = body.sign(&self.header.chain, keys)?.check_stateless(&self.header.chain)?;
        let id = GrantId::from(envelope.id());
        let (height, time) = (self.header.height.saturating_add(1), BlockTime(now.plus(1)));
        let commit = (height > 1)
            .then(|| CommitCertificate::new(self.header.height, 0, self.header.id(), Vec::new()))
            .transpose()?;
        let proposal = execute::propose(&self.state, height, time, commit, vec![envelope])?;
        if let Some((_, rejection)) = proposal.left_out.first() {
            return Err((*rejection).into());
        }
        let rules = self.state.rules()?;
        let (sealed, _) = block::seal(proposal, &self.state, (&self.header, &rules), self.source, 0)?;
        let received: CheckedBlock = sealed.to_block().check(&rules)?;
        let Applied { executed, tree } = block::apply(&self.state, &self.state, &self.header, &received)?;
        self.state.write(executed.changes, tree);
        self.header = *received.header();
        Ok(id)
    }

    fn fetch(
        &self,
        claim: Claim,
        study: StudyId,
        key: &SecretKey,
    ) -> Result<Authorisation, Refused<std::convert::Infallible>> {
        let now = self.header.time.timestamp();
        let none = BTreeSet::new();
        // A network of one hospital: nobody else is there to say that this is the newest block, and what time it is.
        let clocks = Clocks { wall: LocalTime(now), ..Clocks::default() };
        let round = Round::new(self.source, [0; 32], clocks);
        let alone = round.confirmation(&self.state.validators().expect("it is in memory"), clocks);
        let confirmed = alone.ok_or(Unconfirmed::SinceStart).and_then(|alone| alone.at(clocks));
        let view =
            View { state: &self.state, source: self.source, highest_seen: now, confirmed, seen_revocations: &none };
        let hello = Hello::new(self.source, study, claim, now);
        authorise(&view, LocalTime(now), key.public(), &hello.sign(&self.header.chain, key))
    }
}

struct Hospital {
    identity: SecretKey,
    operational: SecretKey,
    consensus: SecretKey,
    transfer: SecretKey,
    network: SecretKey,
}

fn main() -> Result<(), Box<dyn Error>> {
    #[expect(clippy::disallowed_methods, reason = "an example is the edge: it reads the clock and passes time in")]
    let now = Timestamp(u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?);
    let key = || Ok::<_, std::io::Error>(SecretKey::from_bytes(&random()?));
    let hospital =
        Hospital { identity: key()?, operational: key()?, consensus: key()?, transfer: key()?, network: key()? };
    let mut network = Network::start(&hospital, now)?;
    println!("network     {:?}, one hospital: {:?}", network.header.chain, network.source);

    let seed = Words::from_entropy(&random()?).seed();
    let holder = seed.derive_key(0, Branch::Study, 0).ok_or("a key has an index below 2^31")?;
    let (physician, stranger, salt) = (key()?, key()?, Salt::from_bytes(random()?));
    let digest = salt.study_digest("1.2.840.113619.2.5.1762583153");
    let study = StudyId::of(&network.header.chain, network.source, digest);
    let manifest_root = ManifestRoot::from_bytes(random()?);
    let define = DefineStudy {
        digest,
        source: hospital.operational.public(),
        holder: holder.public(),
        delegates: Ascending::new(),
        manifest_root,
        open: false,
    };
    network.submit(Action::DefineStudy(define), &[&hospital.operational, &holder])?;
    println!("defined     {study:?}, held by {:?}, at height {}", holder.public(), network.header.height);

    let terms = Terms {
        not_before: network.header.time.timestamp(),
        expires: network.header.time.timestamp().plus(7 * DAY_MS),
        series: SeriesScope::All,
        purpose: PurposeOfUse::Treatment,
        revision: 0,
        manifest_root,
        later_revisions: true,
        staleness_ms: 0,
        emergency: false,
        note: Bytes::default(),
        blinding: random()?,
        conditions: None,
    };
    let grant = Grant {
        study,
        granter: holder.public(),
        grantee: physician.public(),
        expiry_day: terms.expires.day_rounded_up(),
        terms: terms.commitment(&network.header.chain, study, &physician.public()),
        request: RequestDigest::NONE,
    };
    let grant = network.submit(Action::Grant(grant), &[&holder])?;
    println!("granted     {grant:?} to {:?} for seven days", physician.public());

    // What a phone is sent, and how it knows that this is all there is.
    let proven = tree::prove(&network.state, &network.state, StateKey::Study(study))?;
    let travelled: StateProof = encoding::decode(&encoding::encode(&proven))?;
    travelled.verify(network.header.state_root)?;
    let record: Study = network.state.study(study)?.ok_or("the study was just defined")?;
    println!(
        "proven      {} live grant, {} events, by {} bytes against {:?}",
        record.grants.len(),
        record.events,
        encoding::encode(&travelled).len(),
        network.header.state_root
    );

    let claim = Claim::Grant { grant, terms };
    let leave = network.fetch(claim.clone(), study, &physician)?;
    println!("physician   may fetch {:?} until {}", leave.study(), terms_end(&leave));
    let refused = network.fetch(claim.clone(), study, &stranger).err().ok_or("a stranger was let in")?;
    println!("stranger    refused: {refused}");
    network.fetch(Claim::Holder, study, &holder)?;
    println!("holder      may fetch, as always");

    let revoke = Revoke { study, revoker: holder.public(), grant, grant_submit_by: Timestamp(0) };
    network.submit(Action::Revoke(revoke), &[&holder])?;
    println!("revoked     at height {}", network.header.height);
    let refused = network.fetch(claim, study, &physician).err().ok_or("a revoked grant still opens")?;
    println!("physician   refused: {refused}");
    Ok(())
}

fn terms_end(leave: &Authorisation) -> String {
    leave.until().map_or_else(|| "further notice".to_owned(), |until| until.day().to_string())
}
