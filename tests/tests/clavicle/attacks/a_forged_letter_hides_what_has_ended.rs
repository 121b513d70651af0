//! A stranger who saw a recipient's card left letters in its mailbox: about a study that there is not, and about one whose grant was revoked, both
//! final at a height that no chain reaches. From then on the inbox asked the ledger about nothing any more and listed ended grants as current, a
//! fetch of everything failed for good, and the revoked study was used in silence.

use clavicle::code::read_code;
use clavicle_ledger::action::Grant;
use clavicle_ledger::encoding::Text;
use clavicle_ledger::genesis::Genesis;
use clavicle_ledger::id::{GrantId, ManifestRoot, RequestDigest, SourceId, StudyId};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::light::LightClient;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::time::{DAY_MS, Height};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::card::{Card, SignedCard};
use clavicle_letters::letter::{Content, GrantLetter, Letter};
use clavicle_letters::seal;
use clavicle_manifest::Uid;
use clavicle_network::file as network_file;
use clavicle_samples::terms::terms;
use clavicle_sandbox::Here;
use clavicle_wallet::ledger::Ledger;
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::vault::Passphrase;
use serde_json::Value;

use crate::adversary::now;
use crate::cluster::{Cluster, brain};
use crate::people::text;
use crate::process::{Said, until};

const MERCY: usize = 0;

fn recipient(cluster: &Cluster, what: &[&str]) -> Said {
    cluster.try_person(&[&["recipient", what[0], "--dir", "rossi"], &what[1..]].concat())
}

/// What the inbox says of a grant.
fn row<'a>(inbox: &'a Value, grant: &str) -> &'a Value {
    inbox["granted"].as_array().unwrap().iter().find(|row| row["grant"] == grant).unwrap()
}

/// Leaves a letter in the card's mailbox, about this study, signed by a key that holds nothing; the id of what it says was granted.
fn forge(genesis: &Genesis, card: &SignedCard, (source, salt, uid): (SourceId, Salt, Uid)) -> String {
    let (chain, thief) = (genesis.chain_id(), SecretKey::from_bytes(&[77; 32]));
    let study = StudyId::of(&chain, source, salt.study_digest(uid.as_str()));
    let grantee = *card.card.grantees.iter().next().unwrap();
    let terms = terms(now().0, now().0.plus(DAY_MS), ManifestRoot::from_bytes([5; 32]));
    let grant = Grant {
        study,
        granter: thief.public(),
        grantee,
        expiry_day: terms.expires.day_rounded_up(),
        terms: terms.commitment(&chain, study, &grantee),
        request: RequestDigest::NONE,
    };
    let body = Body { submit_by: now().0.plus(DAY_MS), nonce: [8; 16], action: Action::Grant(grant) };
    let id = GrantId::from(body.id(&chain)).to_string();
    let letter = Letter {
        chain,
        to: card.card.recipient,
        from: thief.public(),
        sent: now().0,
        content: Content::Grant(Box::new(GrantLetter {
            envelope: body.sign(&chain, &[&thief]).unwrap(),
            terms,
            salt,
            study_instance_uid: uid,
            description: Text::new("MR of the brain").unwrap(),
            source,
            final_at: Height::MAX,
        })),
    };
    let sealed = seal::seal(&letter, &thief).unwrap();
    let (card, mut ledger) = (&card.card, Ledger::new(genesis, LightClient::from_genesis(genesis), now));
    let sources = genesis.sources.iter().map(|source| SourceId::of_identity(&chain, &source.identity));
    let relays: Vec<SourceId> = sources.filter(|source| card.relays.iter().any(|relay| relay.is_of(source))).collect();
    let token = Card::token(&card.mailbox, &card.recipient);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(runtime.block_on(ledger.deposit(&relays, card.mailbox, token, &sealed)) > 0);
    id
}

#[test]
fn a_letter_that_the_ledger_does_not_bear_out_is_no_grant_and_hides_none() {
    let cluster = Cluster::running();
    cluster.patient("ana");
    cluster.recipient("rossi");
    brain(&cluster, "images", 1..=1);
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    let card = text(&cluster.person(&["recipient", "card", "--dir", "rossi", "--keys", "2"])["code"]);
    let (genesis, shown) = (
        network_file::read_genesis(&cluster.path("network.json")).unwrap(),
        read_code::<SignedCard>(card.as_ref(), &Here).unwrap(),
    );
    let mercy = genesis.sources.iter().find(|source| source.announcement.name.as_str() == "mercy hospital").unwrap();
    let mercy = SourceId::of_identity(&genesis.chain_id(), &mercy.identity);

    // The first that came, so that it is looked at first.
    let of_nothing = forge(&genesis, &shown, (mercy, Salt::from_bytes([7; 32]), Uid::new("1.2.840.1").unwrap()));
    let inbox = recipient(&cluster, &["inbox"]).done();
    assert_eq!((&row(&inbox, &of_nothing)["state"], &inbox["current"]), (&"unproven".into(), &0.into()), "{inbox}");
    let granted = cluster.grant("ana", &study, &card);
    let inbox = recipient(&cluster, &["inbox"]).done();
    assert_eq!(row(&inbox, &granted)["state"], "current", "{inbox}");

    // Everything that was granted is fetched, and what was not is named.
    let said = recipient(&cluster, &["fetch"]);
    let (fetched, (code, _)) = (said.object(), said.refused());
    assert_eq!(code, "incomplete", "what a letter promises and nobody gave was not fetched");
    assert_eq!(fetched["fetched"].as_array().unwrap().len(), 1, "{fetched}");
    assert!(fetched["not_fetched"][0].as_str().unwrap().contains("ledger"), "{fetched}");

    // Somebody who knows the study's salt, an earlier recipient say, writes that it was granted once more.
    let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
    let rossi = Recipient::open(&cluster.path("rossi"), &passphrase, now).unwrap();
    let received = rossi.granted(&granted).unwrap().received;
    drop(rossi);
    let forged = forge(&genesis, &shown, (received.source, received.salt.clone(), received.study_instance_uid));
    let inbox = recipient(&cluster, &["inbox"]).done();
    assert_eq!((&row(&inbox, &granted)["state"], &inbox["current"]), (&"current".into(), &1.into()), "{inbox}");
    // The good one goes on being used, although the other is newer.
    recipient(&cluster, &["view", &study]).done();
    assert_ne!(row(&inbox, &forged)["state"], "current", "{inbox}");
    recipient(&cluster, &["fetch", &study]).done();

    // Revoked, it has ended, whatever letters say.
    cluster.person(&["wallet", "revoke", "--dir", "ana", &granted]);
    let ask = || recipient(&cluster, &["inbox"]).done();
    let inbox = until(ask, |inbox| row(inbox, &granted)["state"] == "ended");
    assert_eq!((&inbox["not_asked"], &inbox["current"]), (&Value::Null, &0.into()), "{inbox}");
    assert_ne!(row(&inbox, &forged)["state"], "current", "{inbox}");
    for name in [&study, &forged] {
        let (code, why) = recipient(&cluster, &["view", name]).refused();
        assert!(["ended", "unproven"].contains(&code.as_str()), "{name}: {why}");
    }
}
