//! Where the Terms ask for a member of a team, the source hears behind the hello who vouches for whoever acts, when it
//! decides and whenever it decides again; and where they do not, it waits for nothing.

use clavicle_ledger::authorise::{Actor, Claim, Hello, SignedHello};
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::terms::{Conditions, Terms};
use clavicle_letters::credential::{
    Credential, CredentialNumber, EndedCredentials, Introduction, Issuer, Role, Vouching,
};
use clavicle_network::transfer::{self, PROTOCOL};

use crate::world::{Grantee, Scene, secret, soon};

/// What says that somebody is a nurse of a team.
fn introduction(scene: &Scene) -> Introduction {
    let (chain, now) = (scene.hospital.chain, scene.hospital.now());
    let vouching = |by, person: &SecretKey, role, signer: &SecretKey| {
        let credential = Credential {
            by,
            person: person.public(),
            name: Text::new("Rossi").unwrap(),
            role,
            specialty: Text::default(),
            from: now,
            until: now.plus(1_000),
            number: CredentialNumber(7),
        };
        // As long as can be: it has to go through.
        let ended = Ascending::from_items((8..1_000).map(CredentialNumber).collect()).unwrap();
        let list = EndedCredentials { by, number: 1, at: now, before: CredentialNumber(1), ended };
        Vouching { credential: credential.sign(&chain, signer), ended: list.sign(&chain, signer) }
    };
    let (team, hospital) = (secret("team"), &scene.hospital);
    let first = vouching(Issuer::Source(hospital.id), &team, Role::Team, &hospital.operational);
    Introduction { first, second: Some(vouching(Issuer::Team(team.public()), &secret("member"), Role::Nurse, &team)) }
}

/// Somebody with a grant on Terms that ask for a member.
fn granted(scene: &Scene) -> Grantee {
    let (key, study) = (secret("grantee"), scene.study);
    let conditions = Some(Conditions { members_of: Some(secret("team").public()), ..Conditions::default() });
    let terms = Terms { conditions, ..scene.hospital.terms(study) };
    let (grant, terms) = scene.hospital.grant_on(study, &key.public(), terms);
    Grantee { key, study, grant, terms }
}

/// What the member says with the team's key and their own.
fn hello(scene: &Scene, grantee: &Grantee, shown: &Introduction) -> SignedHello {
    let Grantee { key, study, grant, terms } = grantee;
    let claim = Claim::Grant { grant: *grant, terms: terms.clone() };
    let credential = Bytes::new(encoding::encode(&shown.last().credential)).unwrap();
    let actor = Some(Actor { name: Text::new("Rossi").unwrap(), credential });
    let hello = Hello { actor, ..Hello::new(scene.hospital.id, *study, claim, scene.hospital.now()) };
    hello.sign(&scene.hospital.chain, key).with_member(&scene.hospital.chain, &secret("member"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_vouches_for_a_member_is_heard_behind_the_hello_and_again() {
    let scene = Scene::new().await;
    let (grantee, shown) = (granted(&scene), introduction(&scene));
    let hello = hello(&scene, &grantee, &shown);
    let endpoint = scene.endpoint(&grantee.key).await;
    let fetch = soon(transfer::connect_as(&endpoint, &scene.remote(), &hello, Some(&shown))).await.unwrap();
    let _verified = scene.verify(fetch, grantee.study, &grantee.key).unwrap();
    assert_eq!(*scene.hospital.shown.lock().unwrap(), [Some(shown.clone())]);
    let mut renewals = scene.hospital.renewals.subscribe();
    let before = *renewals.borrow_and_update();
    scene.hospital.stir();
    soon(renewals.wait_for(|renewals| *renewals > before)).await.unwrap();
    let heard = scene.hospital.shown.lock().unwrap().clone();
    assert!(heard.len() > 1 && heard.iter().all(|heard| *heard == Some(shown.clone())));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_nothing_and_where_nobody_is_asked_for_nothing_is_waited_for() {
    let scene = Scene::new().await;
    let (grantee, shown) = (granted(&scene), introduction(&scene));
    let mut raw = scene.raw(&grantee.key, PROTOCOL).await;
    raw.say(&encoding::encode(&hello(&scene, &grantee, &shown))).await;
    raw.say(b"not this").await;
    // The gate here lets in whoever the ledger does; a relay's would not.
    raw.welcome().await;
    assert_eq!(*scene.hospital.shown.lock().unwrap(), [None]);
    drop(raw);
    let (_endpoint, _fetch) = scene.connect(&scene.grantee("other")).await.unwrap();
    let heard = scene.hospital.shown.lock().unwrap().clone();
    assert!(heard.len() >= 2 && heard.iter().all(Option::is_none));
}
