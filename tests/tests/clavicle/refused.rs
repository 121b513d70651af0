//! A refusal leaves nothing behind, and a question is no look.

use clavicle_ledger::encoding;
use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::HOUR_MS;
use clavicle_network::file as network_file;
use clavicle_relay::control;
use clavicle_relay::operations::submit::{Submit, Submitted};
use clavicle_wallet::WalletError;
use clavicle_wallet::patient::{GrantRequest, HowEnded, Patient};
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::vault::Passphrase;
use serde_json::Value;

use crate::adversary::now;
use crate::cluster::{Cluster, brain, in_another_study, slice};
use crate::people::{PIN, text};
use crate::process::until;

const MERCY: usize = 0;

/// A grant that was refused used up a key of its card, and kept others on the study from being made for eight days. Each `who` was written down as a look.
#[test]
fn a_refused_grant_leaves_nothing_behind_and_who_asks_does_not_look() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=2);
    let (name, bytes) = slice(3);
    std::fs::create_dir(cluster.path("other")).unwrap();
    std::fs::write(cluster.path("other").join(name), in_another_study(&bytes, 7)).unwrap();
    cluster.patient("ana");
    cluster.recipient("rossi");
    let (study, other) = (cluster.ingest(MERCY, "images"), cluster.ingest(MERCY, "other"));
    cluster.pick_up(MERCY, &study, "ana");
    // Of a visit with one that is hers already only the other is handed over, and that is not all of it.
    let all = ["pickup", "--dir", "mercy", "--patient", "123565", "--unseen", "--pin", PIN];
    let code = text(&cluster.hospital(&all)["code"]);
    let partly = cluster.try_person(&["wallet", "pickup", "--dir", "ana", &code, "--pin", PIN]);
    let (word, why) = partly.refused();
    assert!(word == "pickup" && why.starts_with("1 of 2 studies is not yours by this code: one study"), "{why}");
    let partly = partly.object();
    assert_eq!((&partly["studies"][0]["study"], &partly["studies"][1]), (&other.as_str().into(), &Value::Null));

    // Who asks looks at nothing, and nobody has looked.
    for _ in 0..3 {
        let who = cluster.person(&["wallet", "who", "--dir", "ana", &study]);
        let nobody = Value::Array(Vec::new());
        assert_eq!((&who["grants"], &who["ended"], &who["looked"]), (&nobody, &nobody, &nobody), "{who}");
        assert_eq!(who["not_asked"], Value::Null, "{who}");
    }
    let (code, _) = cluster.try_hospital(&["audit", "--dir", "mercy", "--study", &study[..12]]).refused();
    assert_eq!(code, "study", "there is no receipt");

    // What the rules refuse nobody is shown.
    let code = cluster.card("rossi");
    let long = ["wallet", "grant", "--dir", "ana", &study, "--to", &code, "--for", "900d"];
    let (word, why) = cluster.try_person(&long).refused();
    assert_eq!(word, "rejected", "{why}");
    assert!(why.contains("the latest possible is"), "{why}");
    assert_eq!(cluster.person(&["wallet", "grants", "--dir", "ana"])["grants"], Value::Array(Vec::new()));

    // What the hospitals refuse leaves the study as it was; the key that they have seen is this study's.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let passphrase = Passphrase::read(&cluster.path("pw")).unwrap();
    let genesis = network_file::read_genesis(&cluster.path("network.json")).unwrap();
    let (mut lee, _) = Recipient::create(&cluster.path("lee"), &passphrase, genesis, "Dr Lee", now).unwrap();
    let card = runtime.block_on(lee.card(2, 7, "", |_, _| {})).unwrap();
    let mut ana = Patient::open(&cluster.path("ana"), &passphrase, now).unwrap();
    let (own, of_other) = (ana.study(&study).unwrap(), ana.study(&other).unwrap());
    let request = GrantRequest { later_revisions: false, ..GrantRequest::new(HOUR_MS, PurposeOfUse::Treatment) };
    let signed = runtime.block_on(ana.sign_grant(&own, &card, &request, false)).unwrap();
    cluster.hospital(&["suspend", "--dir", "mercy", &study, "--reason", "under-review"]);
    let refused = runtime.block_on(ana.grant(&own, &card, &request, false)).err().unwrap();
    assert!(matches!(refused, WalletError::Rejected(_)), "{refused}");
    assert!(ana.grants().unwrap().is_empty());
    cluster.hospital(&["resume", "--dir", "mercy", &study]);
    // At once, and on other terms.
    let other_terms = GrantRequest { for_ms: HOUR_MS / 2, ..request.clone() };
    let granted = runtime.block_on(ana.grant(&own, &card, &other_terms, false)).unwrap();
    assert_eq!(granted.made.grantee, signed.made.grantee, "the key is as good as before, on this study");
    let second = runtime.block_on(ana.grant(&of_other, &card, &request, false)).unwrap();
    assert_ne!(second.made.grantee, granted.made.grantee, "and on no other");
    assert_eq!(ana.grants().unwrap().len(), 2);

    // What has ended is told apart.
    let access = runtime.block_on(ana.who(&own)).unwrap();
    assert_eq!((access.grants.len(), access.ended.len()), (1, 0));
    runtime.block_on(ana.revoke(&(&granted).into())).unwrap();
    let short = GrantRequest { for_ms: 1_000, ..request };
    let (mut may, _) = Recipient::create(
        &cluster.path("may"),
        &passphrase,
        network_file::read_genesis(&cluster.path("network.json")).unwrap(),
        "Dr May",
        now,
    )
    .unwrap();
    let card = runtime.block_on(may.card(1, 7, "", |_, _| {})).unwrap();
    let brief = runtime.block_on(ana.grant(&own, &card, &short, false)).unwrap();
    let over = until(
        || runtime.block_on(ana.who(&own)).unwrap(),
        |access| access.ended.len() == 2 && access.grants.is_empty(),
    );
    let how = |id| over.ended.iter().find(|one| one.row.grant == id).map(|one| one.how);
    assert_eq!((how(granted.id), how(brief.id)), (Some(HowEnded::Revoked), Some(HowEnded::Over)));
}

/// One relay refused it, and somebody who had seen it gave it to a hospital once more, when none would refuse it any
/// more. The patient had been told that it was refused, her list of grants had nothing of it, and it was in force.
#[test]
fn a_grant_that_was_refused_and_is_executed_all_the_same_is_listed_and_can_be_ended() {
    let cluster = Cluster::running();
    brain(&cluster, "images", 1..=2);
    cluster.patient("ana");
    cluster.recipient("lee");
    let study = cluster.ingest(MERCY, "images");
    cluster.pick_up(MERCY, &study, "ana");
    let card = clavicle_letters::code::from_text(&cluster.card("lee")).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut ana = Patient::open(&cluster.path("ana"), &Passphrase::read(&cluster.path("pw")).unwrap(), now).unwrap();
    let own = ana.study(&study).unwrap();
    let request = GrantRequest { later_revisions: false, ..GrantRequest::new(HOUR_MS, PurposeOfUse::Treatment) };
    let signed = runtime.block_on(ana.sign_grant(&own, &card, &request, false)).unwrap();
    cluster.hospital(&["suspend", "--dir", "mercy", &study, "--reason", "under-review"]);
    let refused = runtime.block_on(ana.grant(&own, &card, &request, false)).err().unwrap();
    assert!(matches!(refused, WalletError::Rejected(_)), "{refused}");
    assert!(runtime.block_on(ana.who(&own)).unwrap().grants.is_empty());
    assert!(ana.grants().unwrap().is_empty() && ana.executed_although_refused().unwrap().is_empty());
    drop(ana);
    cluster.hospital(&["resume", "--dir", "mercy", &study]);

    let (socket, again) = (cluster.home(MERCY).socket(), Submit::of(&encoding::encode(&signed.made.envelope)));
    let submit = || runtime.block_on(control::ask(&socket, &again)).ok();
    until(submit, |said: &Option<Submitted>| said.as_ref().is_some_and(|said| said.executed_at.is_some()));
    // What the ledger has is told, by name, and so it is listed: it is in force, and nobody was told of it.
    let id = signed.id.to_string();
    let who = || cluster.person(&["wallet", "who", "--dir", "ana", &study]);
    let said = until(who, |said| said["grants"][0].is_object());
    assert_eq!((&said["grants"][0]["grant"], &said["grants"][0]["name"]), (&id.as_str().into(), &"Dr lee".into()));
    assert_eq!((&said["grants"][1], &said["events"]), (&Value::Null, &4.into()), "{said}");
    let grants = || cluster.person(&["wallet", "grants", "--dir", "ana"])["grants"].take();
    let listed = grants();
    assert_eq!((&listed[0]["grant"], &listed[1]), (&id.as_str().into(), &Value::Null), "{listed}");
    assert!(text(&listed[0]["stage"]).contains("although a hospital refused it, and they were not told"), "{listed}");
    let inbox = cluster.person(&["recipient", "inbox", "--dir", "lee"]);
    assert_eq!(inbox["granted"], Value::Array(Vec::new()), "{inbox}");

    // It ends like any other, and is told of afterwards.
    assert!(cluster.person(&["wallet", "revoke", "--dir", "ana", &id[..12]])["height"].is_u64());
    let said = who();
    let ended = &said["ended"][0];
    assert_eq!((&said["grants"], &ended["grant"]), (&Value::Array(Vec::new()), &id.as_str().into()), "{said}");
    assert_eq!((&ended["name"], &ended["revoked"]), (&"Dr lee".into(), &true.into()), "{said}");
    assert!(text(&grants()[0]["stage"]).starts_with("revoked at height"));
}
