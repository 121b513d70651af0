//! Members of a team at a source's gate: whoever is one is let in, and whoever was one is nobody, whatever keys and
//! papers they have kept.

use clavicle_ledger::action::{Content, Grant, Vote};
use clavicle_ledger::authorise::{Actor, Claim, Hello, SignedHello};
use clavicle_ledger::encoding::{self, Ascending, Bytes, Text};
use clavicle_ledger::id::{ChainId, GrantId, ManifestRoot, RequestDigest};
use clavicle_ledger::key::SecretKey;
use clavicle_ledger::receipt::Entry;
use clavicle_ledger::terms::{Conditions, Terms};
use clavicle_ledger::time::{DAY_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::credential::{
    Credential, CredentialNumber, EndedCredentials, Introduction, Issuer, Role, SignedEndedCredentials, Vouching,
};
use clavicle_samples::terms::terms;

use crate::chain::{next_block_at, secret, source_id};
use crate::clocks::{Hospital, LET_IN};

/// Which hospital vouches for the team.
const HARBOR: usize = 3;

/// A hospital, one of whose studies was granted to a team for which another hospital vouches.
struct Scene {
    mercy: Hospital,
    terms: Terms,
    grant: GrantId,
}

fn team() -> SecretKey {
    secret("stroke team")
}

fn rossi() -> SecretKey {
    secret("rossi")
}

/// What these keys grant, vote or sign comes into a block, so long after the one before.
fn happens(mercy: &Hospital, after_ms: u64, actions: Vec<(Action, SecretKey)>) {
    let (service, chain) = (&mercy.service, mercy.service.member.chain);
    let head = service.store.head().unwrap();
    let envelopes = (0u8..).zip(actions).map(|(number, (action, key))| {
        let body = Body { submit_by: head.time.timestamp().plus(60_000), nonce: [number; 16], action };
        body.sign(&chain, &[&key]).unwrap().check_stateless(&chain).unwrap()
    });
    let last = service.store.certified(head.height).unwrap().map(|certified| certified.certificate);
    let (snapshot, time) = (service.store.snapshot().unwrap(), head.time.timestamp().plus(after_ms));
    let ((block, certificate, applied), left_out) = next_block_at(&snapshot, &head, last, time, envelopes.collect());
    assert_eq!(left_out, 0);
    service.store.commit(&block, &certificate, &applied).unwrap();
    mercy.wait(after_ms);
}

impl Scene {
    fn new() -> Self {
        let mercy = Hospital::number(0);
        let (chain, from) = (mercy.service.member.chain, mercy.now());
        let conditions = Some(Conditions { members_of: Some(team().public()), ..Conditions::default() });
        let root = ManifestRoot::from_bytes([7; 32]);
        let terms = Terms { conditions, ..terms(from, from.plus(30 * DAY_MS), root) };
        let grantee = secret("grantee").public();
        let action = Action::Grant(Grant {
            study: mercy.study,
            granter: secret("holder").public(),
            grantee,
            expiry_day: terms.expires.day_rounded_up(),
            terms: terms.commitment(&chain, mercy.study, &grantee),
            request: RequestDigest::NONE,
        });
        let head = mercy.service.store.head().unwrap();
        let body = Body { submit_by: head.time.timestamp().plus(60_000), nonce: [0; 16], action: action.clone() };
        let grant = GrantId::from(body.id(&chain));
        happens(&mercy, 1_000, vec![(action, secret("holder"))]);
        let scene = Self { mercy, terms, grant };
        scene.confirm(1);
        scene
    }

    fn chain(&self) -> ChainId {
        self.mercy.service.member.chain
    }

    fn confirm(&self, nonce: u8) {
        self.mercy.confirm(nonce, self.mercy.now());
    }

    fn ended(&self, by: Issuer, key: &SecretKey, ended: &[u64]) -> SignedEndedCredentials {
        let ended = Ascending::from_items(ended.iter().copied().map(CredentialNumber).collect()).unwrap();
        let at = self.mercy.now();
        EndedCredentials { by, number: at.0, at, before: CredentialNumber(1), ended }.sign(&self.chain(), key)
    }

    /// One link: number 7 of its issuer, with a list that names these.
    fn vouching(&self, by: Issuer, of: (&SecretKey, &str, Role), signer: &SecretKey, ended: &[u64]) -> Vouching {
        let (person, name, role) = of;
        let credential = Credential {
            by,
            person: person.public(),
            name: Text::new(name).unwrap(),
            role,
            specialty: Text::default(),
            from: self.mercy.now(),
            until: self.mercy.now().plus(20 * DAY_MS),
            number: CredentialNumber(7),
        };
        Vouching { credential: credential.sign(&self.chain(), signer), ended: self.ended(by, signer, ended) }
    }

    /// Rossi of this team, for which hospital `n` vouches.
    fn member_of(&self, team: &SecretKey, n: usize) -> Introduction {
        let source = source_id(&self.mercy.service.member.genesis, n);
        let operational = secret(&format!("operational {n}"));
        let first = self.vouching(Issuer::Source(source), (team, "Stroke team", Role::Team), &operational, &[]);
        let by = Issuer::Team(team.public());
        let second = self.vouching(by, (&rossi(), "Dr Rossi", Role::Physician), team, &[]);
        Introduction { first, second: Some(second) }
    }

    fn member(&self) -> Introduction {
        self.member_of(&team(), HARBOR)
    }

    /// What is said with the grantee's key, which everybody has who ever was in the team, and this person's.
    fn hello(&self, shown: &Introduction, person: &SecretKey) -> SignedHello {
        let claim = Claim::Grant { grant: self.grant, terms: self.terms.clone() };
        let name = Text::new(shown.credential().name.as_str()).unwrap();
        let credential = Bytes::new(encoding::encode(&shown.last().credential)).unwrap();
        let actor = Some(Actor { name, credential });
        let (source, at) = (self.mercy.service.member.source, self.mercy.now());
        let hello = Hello { actor, ..Hello::new(source, self.mercy.study, claim, at) };
        hello.sign(&self.chain(), &secret("grantee")).with_member(&self.chain(), person)
    }

    /// What comes of it: that the images alone are not there, or why not even that.
    fn said(&self, shown: &Introduction) -> String {
        self.mercy.admit(&secret("grantee"), &self.hello(shown, &rossi()), Some(shown))
    }
}

#[test]
fn a_member_is_let_in_and_the_receipt_names_them() {
    let scene = Scene::new();
    let member = scene.member();
    assert_eq!(scene.said(&member), LET_IN);
    let hello = scene.hello(&member, &rossi());
    let entry = Entry::opens(&scene.chain(), secret("grantee").public(), &hello, (0, scene.terms.manifest_root));
    let opening = entry.opening().unwrap();
    assert_eq!(opening.member, Some(rossi().public()));
    assert_eq!(opening.credential, hello.hello.actor.as_ref().unwrap().credential_digest(&scene.chain()));
    assert_eq!(opening.opened.actor.as_ref().unwrap().name.as_str(), "Dr Rossi");
}

#[test]
fn whoever_shows_nothing_or_somebody_elses_is_refused() {
    let scene = Scene::new();
    let (member, grantee) = (scene.member(), secret("grantee"));
    let hello = scene.hello(&member, &rossi());
    assert!(scene.mercy.admit(&grantee, &hello, None).contains("nothing was shown that says who vouches"));
    // With the team's own key, and with a thief's.
    for other in [team(), secret("thief")] {
        let why = scene.mercy.admit(&grantee, &scene.hello(&member, &other), Some(&member));
        assert!(why.contains("is about another credential, name or key than the hello"), "{why}");
    }
    // One that was not in what was signed.
    let mut renamed = scene.member();
    let second = renamed.second.as_mut().unwrap();
    let name = Text::new("Dr Bianchi").unwrap();
    second.credential = Credential { name, ..second.credential.credential.clone() }.sign(&scene.chain(), &team());
    assert!(scene.mercy.admit(&grantee, &hello, Some(&renamed)).contains("is about another credential"));
}

/// Attack: somebody who was in the team has its key to fetch with, their own key and their credential still.
#[test]
fn a_removed_member_with_the_teams_shared_key_is_refused() {
    let scene = Scene::new();
    let before = scene.member();
    assert_eq!(scene.said(&before), LET_IN);
    let mut removed = before.clone();
    removed.second.as_mut().unwrap().ended = scene.ended(Issuer::Team(team().public()), &team(), &[3, 7]);
    assert!(scene.said(&removed).contains("credential ended: whoever vouched for this name does so no more"));
    // Once that was shown, by whomever, the list of before hides it no more.
    let mut other = scene.member();
    let second = other.second.as_mut().unwrap();
    let number = CredentialNumber(8);
    second.credential = Credential { number, ..second.credential.credential.clone() }.sign(&scene.chain(), &team());
    second.ended = removed.second.as_ref().unwrap().ended.clone();
    assert_eq!(scene.said(&before), LET_IN);
    second.ended = {
        let list = &second.ended.list;
        EndedCredentials { number: list.number + 1, ..list.clone() }.sign(&scene.chain(), &team())
    };
    assert_eq!(scene.said(&other), LET_IN);
    assert!(scene.said(&before).contains("credential ended: whoever vouched for this name does so no more"));
    // The list of before goes for a day, and is then none; one that they wrote themselves never was.
    happens(&scene.mercy, DAY_MS + 1, Vec::new());
    scene.confirm(2);
    assert!(scene.said(&before).contains("more than a day old"), "{}", scene.said(&before));
    let mut forged = before;
    forged.second.as_mut().unwrap().ended = scene.ended(Issuer::Team(team().public()), &rossi(), &[]);
    forged.first.ended = scene.member().first.ended;
    assert!(scene.said(&forged).contains("the proof that its credential was not ended is not one"));
    assert_eq!(scene.said(&scene.member()), LET_IN);
}

#[test]
fn an_expired_credential_opens_nothing() {
    let scene = Scene::new();
    let mut expired = scene.member();
    let second = expired.second.as_mut().unwrap();
    let until = scene.mercy.now();
    let credential = Credential { from: Timestamp(until.0 - 1), until, ..second.credential.credential.clone() };
    second.credential = credential.sign(&scene.chain(), &team());
    assert!(scene.said(&expired).contains("credential ended: it was good until"));
}

/// Attack: a member of another team, and of one that nobody vouches for under a hospital's name.
#[test]
fn another_teams_member_is_refused() {
    let scene = Scene::new();
    let other = scene.member_of(&secret("knee team"), HARBOR);
    assert!(scene.said(&other).contains("vouched for by another key than the one that the terms name"));
    // The team's word over the other team's, and a word that no hospital ever gave.
    let pasted = Introduction { first: other.first, ..scene.member() };
    assert!(scene.said(&pasted).contains("no practice or team that a hospital vouches for"));
    let mut nobodys = scene.member();
    let credential = nobodys.first.credential.credential.clone();
    nobodys.first.credential = credential.sign(&scene.chain(), &team());
    assert!(scene.said(&nobodys).contains("is forged"));
    // The team itself, which is no person.
    let organisation = Introduction { second: None, ..scene.member() };
    let why = scene.mercy.admit(&secret("grantee"), &scene.hello(&organisation, &team()), Some(&organisation));
    assert!(why.contains("vouched for by another key"), "{why}");
}

/// Attack: a hospital that the others have suspended vouches on.
#[test]
fn a_team_of_a_suspended_hospital_opens_nothing() {
    let scene = Scene::new();
    assert_eq!(scene.said(&scene.member()), LET_IN);
    let source = source_id(&scene.mercy.service.member.genesis, HARBOR);
    let vote = |n: usize| {
        let voter = secret(&format!("operational {n}"));
        let content = Content::SetSuspended { source, suspended: true };
        (Action::Vote(Vote { voter: voter.public(), content }), voter)
    };
    happens(&scene.mercy, 1_000, (0..HARBOR).map(vote).collect());
    scene.confirm(2);
    assert!(scene.said(&scene.member()).contains("is suspended by the others, and its word does not count"));
}
