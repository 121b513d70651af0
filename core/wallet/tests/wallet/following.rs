//! A wallet and a network that went on without it: it jumps, follows, or starts from a checkpoint that a hospital hands over, or that hospitals vouch for.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use clavicle_ledger::action::{DefineStudy, Grant};
use clavicle_ledger::block::Header;
use clavicle_ledger::derivation::{Branch, Words};
use clavicle_ledger::encoding::{Ascending, Text, encode, from_hex};
use clavicle_ledger::id::{
    BlockId, GrantId, ManifestRoot, ReceiptDigest, RequestDigest, SourceId, StudyDigest, StudyId,
};
use clavicle_ledger::light::{Checkpoint, CheckpointError, LightError, Uncounted};
use clavicle_ledger::receipt::{Entry, Receipt, SignedReceipt};
use clavicle_ledger::salt::Salt;
use clavicle_ledger::state::{ReadRows as _, StateKey};
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::card::{Card, Minute, NetworkMark, RelayMark, SignedCard};
use clavicle_letters::identity::Identity;
use clavicle_letters::pickup::{PickupCode, Question, Ticket};
use clavicle_letters::verdict::{self, Unverified};
use clavicle_manifest::Uid;
use clavicle_network::endpoint::bind;
use clavicle_network::message::{Holding, Query, Response, Verdict};
use clavicle_network::pickup::{PROTOCOL, PickupError};
use clavicle_network::revoke;
use clavicle_samples::terms::terms;
use clavicle_wallet::WalletError;
use clavicle_wallet::ledger::Woken;
use clavicle_wallet::patient::{GrantRequest, Granted, MAX_RUNS, OwnStudy, Patient, Revocable};
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::rows::{Held, KeptCard, Known, Made, Stage, Summary};
use clavicle_wallet::vault::{Passphrase, Vault};
use tokio::time::timeout;

use crate::network::{NOW, Network, Told, clock, secret, vouch};

#[path = "cards.rs"]
mod cards;
#[path = "mail.rs"]
mod mail;

/// The keys of others come along: a relay is never asked for less than some hundredths of all keys there are.
#[tokio::test(flavor = "multi_thread")]
async fn a_wallets_studies_are_found_among_those_of_others() {
    let mut network = Network::new(1, 1);
    network.day(&[]);
    let words = Words::from_entropy(&[3; 32]);
    let own = |device, number| words.seed().derive_key(device, Branch::Study, number).unwrap().public();
    // Some that were never used lie between, and a device that has nothing.
    let keys = [own(0, 2), own(0, 21), own(2, 0)].into_iter();
    let others = (0..300).map(|number| secret(&format!("somebody {number}")).public());
    let study = |number: usize| StudyId::from_bytes(*blake3::hash(&number.to_le_bytes()).as_bytes());
    let mut told = network.take_told();
    told.holdings = keys.chain(others).enumerate().map(|(n, holder)| Holding { holder, study: study(n) }).collect();
    let (_node, told) = network.relay(0, told).await;
    let folder = tempfile::tempdir().unwrap();
    let genesis = network.genesis.clone();
    let restored = Patient::restore(folder.path(), &passphrase(), genesis, &words, None, clock).await.unwrap();
    assert_eq!(restored.studies, 3);
    let asked = told.asked.lock().unwrap();
    let ranges = asked.iter().filter_map(|query| match query {
        Query::Holders(prefix) => Some(prefix.range()),
        _ => None,
    });
    let ranges: Vec<_> = ranges.collect();
    assert!(ranges.len() > 2 && ranges.iter().all(|(low, high)| low[1..] == [0; 31] && high[1..] == [0xff; 31]));
}

const ROSTER: &[StateKey] = &[StateKey::Roster];

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_some_days_behind_jumps_to_the_newest_header() {
    let mut network = Network::new(10, 1);
    for rekeyed in [&[][..], &[0], &[], &[1], &[]] {
        network.day(rekeyed);
    }
    let told = network.take_told();
    let (_node, told) = network.relay(0, told).await;
    let mut ledger = network.ledger();
    let proven = ledger.rows(ROSTER).await.unwrap();
    assert_eq!((proven.height, ledger.light().newest()), (network.newest.height, &network.newest));
    assert_eq!(proven.rows.roster().unwrap().admitted.len(), 4);
    assert!(told.was_asked(|query| matches!(query, Query::Decided(_))));
    assert!(!told.was_asked(|query| matches!(query, Query::Changes { .. })), "one jump is enough");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_that_knows_too_few_of_them_follows_each_change() {
    let mut network = Network::new(10, 1);
    for rekeyed in [&[0][..], &[1], &[2], &[3], &[]] {
        network.day(rekeyed);
    }
    let told = network.take_told();
    let (_node, told) = network.relay(0, told).await;
    let mut ledger = network.ledger();
    assert_eq!(ledger.rows(ROSTER).await.unwrap().height, network.newest.height);
    assert!(told.was_asked(|query| matches!(query, Query::Changes { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn validators_that_a_header_does_not_name_lead_nowhere() {
    let mut network = Network::new(10, 1);
    for rekeyed in [&[0][..], &[1], &[]] {
        network.day(rekeyed);
    }
    let mut told = network.take_told();
    let first = told.decided[0].validators.clone();
    told.decided.iter_mut().for_each(|decided| decided.validators = first.clone());
    let (_node, told) = network.relay(0, told).await;
    let mut ledger = network.ledger();
    assert_eq!(ledger.rows(ROSTER).await.unwrap().height, network.newest.height);
    assert!(told.was_asked(|query| matches!(query, Query::Changes { .. })), "the changes are followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_looked_for_until_a_relay_has_it() {
    let mut network = Network::new(40, 2);
    for n in 0..38 {
        network.day(&[n % 4]);
    }
    let checkpoint = network.day(&[]);
    let told = network.take_told();
    // The other relay has another block at that height, as decided as this one.
    let mut other = Told {
        state: told.state.clone(),
        decided: told.decided.clone(),
        changes: Vec::new(),
        holdings: Vec::new(),
        asked: Mutex::default(),
        vouched: Vec::new(),
    };
    let last = other.decided.last_mut().unwrap();
    last.head.header.round = 9;
    let (_one, _) = network.relay(0, told).await;
    let (_other, _) = network.relay(1, other).await;
    for _ in 0..8 {
        let mut ledger = network.ledger();
        ledger.renew(&checkpoint).await.unwrap();
        assert_eq!(ledger.light().newest(), &network.newest);
        // What is believed is not given up for another.
        ledger.renew(&Checkpoint { height: 1, block: BlockId::from_bytes([9; 32]) }).await.unwrap();
        assert_eq!(ledger.light().newest(), &network.newest);
    }
    let mut ledger = network.ledger();
    let nowhere = ledger.renew(&Checkpoint { block: BlockId::from_bytes([9; 32]), ..checkpoint }).await.unwrap_err();
    assert!(matches!(nowhere, WalletError::Light(LightError::OtherCheckpoint { .. })), "{nowhere}");
    let nowhere = ledger.renew(&Checkpoint { height: 1, ..checkpoint }).await.unwrap_err();
    assert!(matches!(nowhere, WalletError::NoCheckpoint), "{nowhere}");
    assert_eq!(ledger.light().newest(), &Header::genesis(&network.genesis));
}

fn passphrase() -> Passphrase {
    Passphrase::new("four words of it".to_owned()).unwrap()
}

/// A code that names no address, so that a wallet which believes the rest of it stops there.
fn code(network: &Network, checkpoint: Checkpoint) -> PickupCode {
    PickupCode {
        chain: network.chain,
        source: network.source(0),
        transfer: secret("mercy transfer 0").public(),
        addresses: Ascending::new(),
        ticket: Ticket([8; 32]),
        question: Question::Pin,
        expires: Timestamp(NOW + 1_000),
        checkpoint,
    }
}

fn card(network: &Network) -> SignedCard {
    let card = Card {
        network: NetworkMark::from(&network.chain),
        person: secret("rossi").public(),
        name: Text::new("Dr Rossi").unwrap(),
        grantees: Ascending::from_items(vec![secret("grantee").public()]).unwrap(),
        mailbox: secret("mailbox").public(),
        relays: Ascending::from_items(vec![RelayMark::from(&network.source(0))]).unwrap(),
        recipient: Identity::generate().unwrap().recipient(),
        wish: Text::new("brain MR").unwrap(),
        expires: Minute::of(Timestamp(NOW + 60_000)),
    };
    card.sign(&network.chain, &secret("rossi")).unwrap()
}

/// A card as it is kept whose mailbox these sources keep.
fn kept(network: &Network, shown: &SignedCard, relays: &[SourceId]) -> KeptCard {
    let relays = Ascending::from_items(relays.to_vec()).unwrap();
    KeptCard::of(network.chain, shown, relays, verdict::Verdict::Unverified(Unverified::Nobody))
}

/// A study that the wallet holds, as far as it knows.
fn held(network: &Network) -> OwnStudy {
    let action = Action::DefineStudy(DefineStudy {
        digest: StudyDigest::from_bytes([1; 32]),
        source: secret("mercy operational 0").public(),
        holder: secret("holder").public(),
        delegates: Ascending::new(),
        manifest_root: ManifestRoot::from_bytes([2; 32]),
        open: true,
    });
    let summary = Summary {
        study_instance_uid: Uid::new("1.2.3").unwrap(),
        date: None,
        description: Text::default(),
        modalities: Text::default(),
        series: 1,
        instances: 1,
        bytes: 1,
    };
    let held = Held {
        source: network.source(0),
        device: 0,
        holder: 0,
        known: Some(Known { salt: Salt::from_bytes([4; 32]), summary }),
        claim: Some(Body { submit_by: Timestamp(NOW), nonce: [0; 16], action }),
        final_at: Some(1),
    };
    OwnStudy { id: StudyId::from_bytes([3; 32]), held }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_wallet_on_an_old_network_starts_from_a_hospitals_code_and_from_no_card() {
    let mut network = Network::new(40, 1);
    let days: Vec<Checkpoint> = (0..37).map(|n| network.day(&[n % 4])).collect();
    let checkpoint = network.day(&[0]);
    network.day(&[1]);
    let told = network.take_told();
    let (_node, _) = network.relay(0, told).await;
    let folder = tempfile::tempdir().unwrap();
    let (mut patient, _) = Patient::create(folder.path(), &passphrase(), network.genesis.clone(), clock).unwrap();
    let request = GrantRequest::new(DAY_MS, PurposeOfUse::Treatment);
    // Whoever shows a card is a stranger, and leads nowhere.
    let (study, card) = (held(&network), card(&network));
    let stranger = patient.sign_grant(&study, &card, &request, false).await.map(drop).unwrap_err();
    let nobody = CheckpointError::TooLittlePower { power: 0, total: 4, why: None };
    assert!(matches!(stranger, WalletError::Checkpoint(error) if error == nobody), "{stranger}");
    // Nor does a code whose block is another.
    let other = Checkpoint { block: BlockId::from_bytes([9; 32]), ..checkpoint };
    let forged = patient.pick_up(&code(&network, other), "").await.map(drop).unwrap_err();
    assert!(matches!(forged, WalletError::Light(LightError::OtherCheckpoint { .. })), "{forged}");
    let old = patient.pick_up(&code(&network, days[20]), "").await.map(drop).unwrap_err();
    assert!(matches!(old, WalletError::Light(LightError::TooOld { .. })), "{old}");
    // The true one does: as far as the hospital, which has no address here.
    let found = patient.pick_up(&code(&network, checkpoint), "").await.map(drop).unwrap_err();
    assert!(matches!(found, WalletError::NoSource), "{found}");
    // From then on nothing is needed any more, and no code leads elsewhere.
    drop(patient);
    let mut patient = Patient::open(folder.path(), &passphrase(), clock).unwrap();
    let found = patient.pick_up(&code(&network, other), "").await.map(drop).unwrap_err();
    assert!(matches!(found, WalletError::NoSource), "{found}");
    let unknown = patient.sign_grant(&study, &card, &request, false).await.map(drop).unwrap_err();
    assert!(matches!(unknown, WalletError::NotOnLedger), "{unknown}");
    // What a code or a card says and the ledger knows, the ledger says.
    let true_code = code(&network, checkpoint);
    let thief = PickupCode { transfer: secret("thief").public(), ..true_code.clone() };
    let here = Text::new("127.0.0.1:9").unwrap();
    let elsewhere = PickupCode { addresses: Ascending::from_items(vec![here]).unwrap(), ..true_code.clone() };
    let of_another = PickupCode { source: network.source(1), ..true_code };
    for altered in [thief, elsewhere, of_another] {
        let refused = patient.pick_up(&altered, "").await.map(drop).unwrap_err();
        assert!(matches!(refused, WalletError::OtherPlace), "{refused}");
    }
    let mut nowhere = card.card;
    nowhere.relays = Ascending::from_items(vec![RelayMark::from(&SourceId::from_bytes([9; 32]))]).unwrap();
    let nowhere = nowhere.sign(&network.chain, &secret("rossi")).unwrap();
    let refused = patient.sign_grant(&study, &nowhere, &request, false).await.map(drop).unwrap_err();
    assert!(matches!(refused, WalletError::UnknownRelays), "{refused}");
}

/// A hospital of the roster that did not give the code out: it has one guess for each run, and the wallet makes only so many.
#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_tried_no_more_with_a_hospital_that_does_not_know_its_answer() {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let served = bind(&secret("mercy transfer 0"), Some(at), &[PROTOCOL]).await.unwrap();
    let address = served.bound_sockets()[0];
    let mut network = Network::served(1, 1, Some(address));
    let checkpoint = network.day(&[]);
    let told = network.take_told();
    let (_node, _) = network.relay(0, told).await;
    let folder = tempfile::tempdir().unwrap();
    let (mut patient, _) = Patient::create(folder.path(), &passphrase(), network.genesis.clone(), clock).unwrap();
    // It says that the wallet is right, and cannot show that it knows what is right; or else hangs up.
    let say_yes = |yes: bool| {
        let served = served.clone();
        async move {
            let connection = served.accept().await.unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            receive.read_exact(&mut [0; 68]).await.unwrap();
            // The base point of ristretto255 (RFC 9496 A.1) is a share like any other.
            let share = from_hex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76").unwrap();
            send.write_all(&[&[0, 0, 0, 33, 1][..], &share].concat()).await.unwrap();
            receive.read_exact(&mut [0; 68]).await.unwrap();
            if yes {
                send.write_all(&[&[0, 0, 0, 73, 1][..], &[7; 64], &[0; 8]].concat()).await.unwrap();
                connection.closed().await;
            } else {
                connection.close(0u32.into(), b"");
            }
        }
    };
    let addresses = Ascending::from_items(vec![Text::new(address.to_string()).unwrap()]).unwrap();
    let code =
        |n: u8| PickupCode { ticket: Ticket([n; 32]), addresses: addresses.clone(), ..code(&network, checkpoint) };
    let (first, second) = (code(1), code(2));
    let (found_out, ()) = tokio::join!(patient.pick_up(&first, "4711"), say_yes(true));
    let found_out = found_out.map(drop).unwrap_err();
    assert!(matches!(found_out, WalletError::Pickup(PickupError::NotProven)), "{found_out}");
    // Nobody listens any more, and nobody would have to.
    let refused = patient.pick_up(&first, "4711").await.map(drop).unwrap_err();
    assert!(matches!(refused, WalletError::TriedTooOften), "{refused}");
    for _ in 0..MAX_RUNS {
        let (broken, ()) = tokio::join!(patient.pick_up(&second, "4711"), say_yes(false));
        let broken = broken.map(drop).unwrap_err();
        assert!(matches!(broken, WalletError::Pickup(PickupError::Broken)), "{broken}");
    }
    drop(patient);
    let mut patient = Patient::open(folder.path(), &passphrase(), clock).unwrap();
    let refused = patient.pick_up(&second, "4711").await.map(drop).unwrap_err();
    assert!(matches!(refused, WalletError::TriedTooOften), "{refused}");
}

/// No relay takes a revocation. That the hospital serves no more is said only when it says so itself, by the key that the ledger has of it: not by
/// whoever has a key of before, or sits where it was when the network began.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_source_says_that_it_serves_no_more() {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let served = bind(&secret("mercy transfer 0"), Some(at), &[revoke::PROTOCOL]).await.unwrap();
    let mut network = Network::served(1, 1, Some(served.bound_sockets()[0]));
    network.day(&[]);
    let folder = tempfile::tempdir().unwrap();
    let (patient, _) = Patient::create(folder.path(), &passphrase(), network.genesis.clone(), clock).unwrap();
    drop(patient);
    let study = held(&network);
    Vault::open(folder.path(), &passphrase()).unwrap().put(study.id.as_bytes(), &study.held).unwrap();
    let mut patient = Patient::open(folder.path(), &passphrase(), clock).unwrap();
    let terms = terms(Timestamp(NOW), Timestamp(NOW + DAY_MS), ManifestRoot::from_bytes([2; 32]));
    let (chain, source, shown) = (network.chain, network.source(0), card(&network));
    let card = kept(&network, &shown, &[source]);
    let grant = |number: u8| {
        let grantee = secret("grantee").public();
        let grant = Grant {
            study: study.id,
            granter: secret("holder").public(),
            grantee,
            expiry_day: terms.expires.day_rounded_up(),
            terms: terms.commitment(&chain, study.id, &grantee),
            request: RequestDigest::NONE,
        };
        let body = Body { submit_by: Timestamp(NOW + DAY_MS), nonce: [number; 16], action: Action::Grant(grant) };
        let id = GrantId::from(body.id(&chain));
        let made = Made {
            study: study.id,
            card: card.clone(),
            grantee,
            terms: terms.clone(),
            envelope: body.sign(&chain, &[&secret("holder")]).unwrap(),
            at: Timestamp(NOW),
            stage: Stage::Delivered(1),
        };
        Revocable::from(&Granted { id, made, revoked: None })
    };
    let receipt = |study: StudyId, grant: GrantId, signer: &str| {
        let signer = secret(signer);
        let receipt = Receipt {
            source,
            signer: signer.public(),
            study,
            sequence: 0,
            previous: ReceiptDigest::from_bytes([0; 32]),
            at: Timestamp(NOW),
            unlisted: 0,
            entry: Entry::RevocationSeen { grant },
            blinding: [1; 32],
        };
        receipt.sign(&chain, &signer)
    };
    let give = |receipt: SignedReceipt| {
        let served = served.clone();
        async move {
            let connection = timeout(Duration::from_secs(60), served.accept()).await.unwrap().unwrap().await.unwrap();
            let (mut send, mut receive) = connection.accept_bi().await.unwrap();
            let mut len = [0; 4];
            receive.read_exact(&mut len).await.unwrap();
            receive.read_exact(&mut vec![0; u32::from_be_bytes(len) as usize]).await.unwrap();
            let answer = encode(&Response::Bound { verdict: Verdict::Waits, receipt: Box::new(receipt) });
            send.write_all(&[&(answer.len() as u32).to_be_bytes()[..], &answer].concat()).await.unwrap();
            connection.closed().await;
        }
    };
    let (own, other) = ("mercy operational 0", "stluke operational 0");
    // No relay proves where the hospital is, and whoever sits where it was has even its key.
    let first = grant(1);
    let (said, ()) = tokio::join!(patient.revoke(&first), give(receipt(study.id, first.id, own)));
    let said = said.unwrap_err();
    assert!(matches!(said, WalletError::NoRelay(_)), "{said}");

    let told = network.take_told();
    let (_node, _) = network.relay(0, told).await;
    let (second, third, fourth) = (grant(2), grant(3), grant(4));
    for (revoked, given) in [
        (&second, receipt(study.id, second.id, other)),
        (&second, receipt(StudyId::from_bytes([9; 32]), second.id, own)),
        (&third, receipt(study.id, second.id, own)),
    ] {
        let (said, ()) = tokio::join!(patient.revoke(revoked), give(given));
        let said = said.unwrap_err();
        assert!(!matches!(said, WalletError::OnlyTold(_)), "{said}");
        assert!(patient.revocation_receipt(revoked.id).unwrap().is_none());
    }
    let (said, ()) = tokio::join!(patient.revoke(&fourth), give(receipt(study.id, fourth.id, own)));
    let said = said.unwrap_err();
    assert!(matches!(said, WalletError::OnlyTold(_)), "{said}");
    assert!(patient.revocation_receipt(fourth.id).unwrap().is_some(), "its word is kept");
}

/// Each relay knows one hospital's word alone, so that a wallet has to ask more than one.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_slept_and_whoever_is_new_go_on_from_what_hospitals_vouch_for() {
    for days in [15, 60, 200, 366] {
        let mut network = Network::new(days, 2);
        for n in 0..usize::try_from(days).unwrap() {
            network.day(&[n % 4]);
        }
        let mut one = network.take_told();
        let mut other = one.again();
        (one.vouched, other.vouched) =
            (vouch(&network.newest, &["mercy"]), vouch(&network.newest, &["practice", "harbor"]));
        let (_one, _) = network.relay(0, one).await;
        let (_other, _) = network.relay(1, other).await;
        // What asks the ledger does it by itself.
        let mut ledger = network.ledger();
        let proven = ledger.rows(ROSTER).await.unwrap();
        assert_eq!((proven.height, ledger.light().newest()), (network.newest.height, &network.newest), "{days}");
        // So do the wallets of patients and recipients, which can tell of it, and it stays.
        let folder = tempfile::tempdir().unwrap();
        let (mut patient, _) = Patient::create(folder.path(), &passphrase(), network.genesis.clone(), clock).unwrap();
        let woken = Woken { away_ms: days * DAY_MS, height: network.newest.height };
        assert_eq!(patient.wake().await.unwrap(), Some(woken));
        drop(patient);
        let mut patient = Patient::open(folder.path(), &passphrase(), clock).unwrap();
        assert_eq!(patient.wake().await.unwrap(), None);
        if days == 15 {
            let folder = tempfile::tempdir().unwrap();
            let genesis = network.genesis.clone();
            let made = Recipient::create(folder.path(), &passphrase(), genesis, "Dr Rossi", clock);
            assert_eq!(made.unwrap().0.wake().await.unwrap(), Some(woken));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_leads_a_wallet_that_slept_anywhere() {
    let mut network = Network::new(60, 3);
    for n in 0..60 {
        network.day(&[n % 4]);
    }
    let mut one = network.take_told();
    let mut other = one.again();
    // One hospital of four, and three practices that are in no set.
    one.vouched = vouch(&network.newest, &["practice 1", "practice 2", "practice 3", "mercy"]);
    let (node, _) = network.relay(0, one).await;
    let refused = network.ledger().rows(ROSTER).await.unwrap_err();
    let few = CheckpointError::TooLittlePower { power: 1, total: 4, why: Some(Uncounted::NotTrusted) };
    assert!(matches!(refused, WalletError::Checkpoint(error) if error == few), "{refused}");
    // Two blocks with half of the power each: said, and neither believed, nor a code beside them.
    node.stop().await.unwrap();
    let mut one = other.again();
    one.vouched = vouch(&network.newest, &["mercy", "stluke"]);
    other.vouched = vouch(&Header { round: 7, ..network.newest }, &["north", "harbor"]);
    let told = [(1, one), (2, other)];
    let mut nodes = Vec::new();
    for (at, told) in told {
        nodes.push(network.relay(at, told).await);
    }
    let contradicts = |error: &WalletError| {
        assert!(matches!(error, WalletError::Checkpoint(CheckpointError::Contradiction { .. })), "{error}");
    };
    let mut ledger = network.ledger();
    contradicts(&ledger.rows(ROSTER).await.unwrap_err());
    contradicts(&ledger.renew(&Checkpoint::of(&network.newest)).await.unwrap_err());
    assert_eq!(ledger.light().newest(), &Header::genesis(&network.genesis));
}
