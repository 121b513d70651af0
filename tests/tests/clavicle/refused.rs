//! A refusal leaves nothing behind, and a question is no look.

use clavicle_ledger::terms::PurposeOfUse;
use clavicle_ledger::time::HOUR_MS;
use clavicle_network::file as network_file;
use clavicle_wallet::WalletError;
use clavicle_wallet::patient::{GrantRequest, HowEnded, Patient};
use clavicle_wallet::recipient::Recipient;
use clavicle_wallet::vault::Passphrase;
use serde_json::Value;

use crate::adversary::now;
use crate::cluster::{Cluster, brain, in_another_study, slice};

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
    cluster.pick_up(MERCY, &other, "ana");

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
    let request =
        GrantRequest { for_ms: HOUR_MS, purpose: PurposeOfUse::Treatment, later_revisions: false, staleness_ms: 0 };
    let signed = runtime.block_on(ana.sign_grant(&own, &card, &request)).unwrap();
    cluster.hospital(&["suspend", "--dir", "mercy", &study, "--reason", "under-review"]);
    let refused = runtime.block_on(ana.grant(&own, &card, &request)).err().unwrap();
    assert!(matches!(refused, WalletError::Rejected(_)), "{refused}");
    assert!(ana.grants().unwrap().is_empty());
    cluster.hospital(&["resume", "--dir", "mercy", &study]);
    // At once, and on other terms.
    let other_terms = GrantRequest { for_ms: HOUR_MS / 2, ..request.clone() };
    let granted = runtime.block_on(ana.grant(&own, &card, &other_terms)).unwrap();
    assert_eq!(granted.made.grantee, signed.made.grantee, "the key is as good as before, on this study");
    let second = runtime.block_on(ana.grant(&of_other, &card, &request)).unwrap();
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
    let brief = runtime.block_on(ana.grant(&own, &card, &short)).unwrap();
    let over = crate::process::until(
        || runtime.block_on(ana.who(&own)).unwrap(),
        |access| access.ended.len() == 2 && access.grants.is_empty(),
    );
    let how = |id| over.ended.iter().find(|one| one.row.grant == id).map(|one| one.how);
    assert_eq!((how(granted.id), how(brief.id)), (Some(HowEnded::Revoked), Some(HowEnded::Over)));
}
