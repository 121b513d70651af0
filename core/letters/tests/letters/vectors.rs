//! Golden vectors: what is signed, shown and sent, on disk.
//!
//! `vectors.txt` has a line per value: name, bytes, and what is derived from them. `letter.age` is a sealed letter, which must
//! open for ever. A format changes only together with its tag; then
//! `CLAVICLE_WRITE_VECTORS=1 cargo test -p clavicle-letters --features pictures` writes them anew.

use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use clavicle_ledger::action::Grant;
use clavicle_ledger::encoding::{self, Ascending, Bytes, Hex, Text, Wire};
use clavicle_ledger::id::{BlockId, ChainId, GrantId, ManifestRoot, RequestDigest, SourceId, StudyId};
use clavicle_ledger::key::{Key, SecretKey};
use clavicle_ledger::light::Checkpoint;
use clavicle_ledger::salt::Salt;
use clavicle_ledger::study::{Reason, Status};
use clavicle_ledger::terms::{PurposeOfUse, SeriesScope, Terms};
use clavicle_ledger::time::{DAY_MS, HOUR_MS, Timestamp};
use clavicle_ledger::transaction::{Action, Body};
use clavicle_letters::about::About;
use clavicle_letters::card::{Card, Minute, NetworkMark, RelayMark, SignedCard};
use clavicle_letters::circumstances::{Circumstances, Lot};
use clavicle_letters::code;
use clavicle_letters::credential::{
    Credential, CredentialNumber, CredentialRequest, EndedCredentials, Introduction, Issuer, Role,
    SignedCredentialRequest, Vouching,
};
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::identity::Identity;
use clavicle_letters::invitation::{Answer, Invitation, SignedInvitation};
use clavicle_letters::letter::{Content, GrantLetter, Letter, Notice, NoticeCounts, Reissued};
use clavicle_letters::mailbox::{Mailbox, Token};
use clavicle_letters::news::{GrantMade, HeldStudy, Here, News, NewsItem};
use clavicle_letters::organisation::{MemberWord, NewsPlace, OrganisationNews};
use clavicle_letters::pickup::{PickupCode, Question, Ticket};
use clavicle_letters::seal;
use clavicle_letters::transcript::Nonce;
use clavicle_manifest::{Date, Uid};

pub(crate) const CHAIN: ChainId = ChainId::from_bytes([1; 32]);
const NOW: Timestamp = Timestamp(1_790_000_000_000);
const CHECKPOINT: Checkpoint = Checkpoint { height: 9, block: BlockId::from_bytes([6; 32]) };

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

pub(crate) fn recipient() -> Identity {
    Identity::from_bytes(&[3; 32])
}

/// A card with these grantee keys.
pub(crate) fn card(numbers: std::ops::Range<u8>, name: &str, wish: &str, relays: &[u8]) -> SignedCard {
    let relays = relays.iter().map(|n| RelayMark::from(&SourceId::from_bytes([*n; 32])));
    let card = Card {
        network: NetworkMark::from(&CHAIN),
        person: secret(40).public(),
        name: Text::new(name).unwrap(),
        grantees: Ascending::from_items(numbers.map(|number| secret(number).public()).collect::<Vec<Key>>()).unwrap(),
        mailbox: secret(2).public(),
        relays: Ascending::from_items(relays.collect()).unwrap(),
        recipient: recipient().recipient(),
        wish: Text::new(wish).unwrap(),
        expires: Minute::of(NOW),
    };
    card.sign(&CHAIN, &secret(40)).unwrap()
}

/// What a hospital says of whoever shows these cards, as a member of a practice.
pub(crate) fn introduction() -> Introduction {
    let (source, by) = (Issuer::Source(SourceId::from_bytes([4; 32])), Issuer::Practice(secret(41).public()));
    let vouching = |by, person, name: &str, role, issuer: &SecretKey| {
        let credential = Credential {
            by,
            person,
            name: Text::new(name).unwrap(),
            role,
            specialty: Text::new("radiology").unwrap(),
            from: NOW,
            until: NOW.plus(365 * DAY_MS),
            number: CredentialNumber(NOW.0),
        };
        let ended = Ascending::from_items(vec![CredentialNumber(3), CredentialNumber(9)]).unwrap();
        let ended = EndedCredentials { by, number: 2, at: NOW, before: CredentialNumber(1), ended };
        Vouching { credential: credential.sign(&CHAIN, issuer), ended: ended.sign(&CHAIN, issuer) }
    };
    Introduction {
        first: vouching(source, secret(41).public(), "Lake practice", Role::Practice, &secret(50)),
        second: Some(vouching(by, secret(40).public(), "Dr Rossi", Role::Physician, &secret(41))),
    }
}

/// The practice's word as the member is given it.
pub(crate) fn member_word() -> MemberWord {
    let relays = Ascending::from_items(vec![SourceId::from_bytes([4; 32])]).unwrap();
    MemberWord { introduction: introduction(), news: NewsPlace { seed: [9; 32], relays } }
}

/// What the practice leaves for all members.
pub(crate) fn organisation_news() -> OrganisationNews {
    let Introduction { first, second } = introduction();
    OrganisationNews { first, ended: second.unwrap().ended }
}

/// The request for it.
pub(crate) fn credential_request() -> SignedCredentialRequest {
    let of = Issuer::Practice(secret(41).public());
    let (name, person) = (Text::new("Dr Rossi").unwrap(), secret(40).public());
    CredentialRequest { chain: CHAIN, of, name, person }.sign(&secret(40))
}

pub(crate) fn pickup() -> PickupCode {
    PickupCode {
        chain: CHAIN,
        source: SourceId::from_bytes([4; 32]),
        transfer: secret(7).public(),
        addresses: Ascending::from_items(vec![Text::new("192.0.2.1:4433").unwrap()]).unwrap(),
        ticket: Ticket([8; 32]),
        question: Question::BirthDate,
        expires: NOW,
        checkpoint: CHECKPOINT,
    }
}

pub(crate) fn letter() -> Letter {
    let (holder, grantee, source) = (secret(20), secret(10).public(), SourceId::from_bytes([4; 32]));
    let salt = Salt::from_bytes([7; 32]);
    let study = StudyId::of(&CHAIN, source, salt.study_digest("1.2.840.1"));
    let terms = Terms {
        not_before: NOW,
        expires: NOW.plus(7 * DAY_MS),
        series: SeriesScope::All,
        purpose: PurposeOfUse::Treatment,
        revision: 0,
        manifest_root: ManifestRoot::from_bytes([5; 32]),
        later_revisions: true,
        staleness_ms: 0,
        emergency: false,
        note: Bytes::default(),
        blinding: [6; 32],
        conditions: None,
    };
    let grant = Grant {
        study,
        granter: holder.public(),
        grantee,
        expiry_day: terms.expires.day_rounded_up(),
        terms: terms.commitment(&CHAIN, study, &grantee),
        request: RequestDigest::NONE,
    };
    let body = Body { submit_by: NOW.plus(HOUR_MS), nonce: [8; 16], action: Action::Grant(grant) };
    let content = GrantLetter {
        envelope: body.sign(&CHAIN, &[&holder]).unwrap(),
        terms,
        salt,
        study_instance_uid: Uid::new("1.2.840.1").unwrap(),
        description: Text::new("MR of the brain").unwrap(),
        source,
        final_at: 9,
    };
    let content = Content::Grant(Box::new(content));
    Letter { chain: CHAIN, to: recipient().recipient(), from: holder.public(), sent: NOW, content }
}

/// The same grant, and who it is about.
pub(crate) fn named() -> Letter {
    let Content::Grant(grant) = letter().content else { panic!("it is about a grant") };
    let about = About { name: Text::new("Rossi^Ana").unwrap(), birth_date: Date::new(1953, 1, 17) };
    Letter { content: Content::NamedGrant(grant, Box::new(about)), ..letter() }
}

/// The same grant, and all that can be said besides.
pub(crate) fn told() -> Letter {
    let Content::NamedGrant(grant, about) = named().content else { panic!("it names whom it is about") };
    let circumstances = Circumstances {
        about: Some(*about),
        series_in_all: Some(7),
        replaces: Some(GrantId::from_bytes([9; 32])),
        lot: Some(Lot { id: [12; 16], count: 5, last_by: NOW.plus(HOUR_MS) }),
    };
    Letter { content: Content::ToldGrant(grant, Box::new(circumstances)), ..letter() }
}

/// From a source.
pub(crate) fn notice() -> Letter {
    let notice = Notice {
        study: StudyId::from_bytes([30; 32]),
        source: SourceId::from_bytes([31; 32]),
        copy: ManifestRoot::from_bytes([32; 32]),
        revision: 3,
        manifest_root: ManifestRoot::from_bytes([33; 32]),
        status: Status::Suspended { until: Some(NOW), reason: Reason::Quality },
        counts: Some(NoticeCounts { removed: 2, added: 1, changed: 0 }),
    };
    let content = Content::Notice(Box::new(notice));
    Letter { chain: CHAIN, to: recipient().recipient(), from: secret(20).public(), sent: NOW, content }
}

/// Of a patient whose mailbox has key 40.
pub(crate) fn invitation() -> SignedInvitation {
    let invitation = Invitation {
        chain: CHAIN,
        mailbox: Mailbox {
            key: secret(40).public(),
            relays: Ascending::from_items([4, 5].map(|n| SourceId::from_bytes([n; 32])).into()).unwrap(),
            token: Token([41; 16]),
        },
        recipient: patient().recipient(),
        commitment: Nonce::from_bytes([43; 32]).commitment(&CHAIN),
        expires: NOW.plus(10 * 60_000),
    };
    invitation.sign(&secret(40)).unwrap()
}

fn patient() -> Identity {
    Identity::from_bytes(&[42; 32])
}

fn answer() -> Answer {
    let card = card(10..12, "Dr Rossi", "brain MR, five years", &[4]);
    Answer { invitation: invitation().invitation.id(), card, nonce: Nonce::from_bytes([44; 32]) }
}

/// From whoever showed the card.
pub(crate) fn answered() -> Letter {
    let content = Content::Answer(Box::new(answer()));
    Letter { chain: CHAIN, to: patient().recipient(), from: secret(2).public(), sent: NOW, content }
}

/// From the patient.
pub(crate) fn opened() -> Letter {
    let checked = answer().check(&invitation().invitation, &secret(2).public(), NOW).unwrap();
    let content = Content::Opening(checked.open(&Nonce::from_bytes([43; 32])));
    Letter { chain: CHAIN, to: recipient().recipient(), from: secret(40).public(), sent: NOW, content }
}

/// From another device, in each of the kinds that there are.
pub(crate) fn news() -> [Letter; 5] {
    let here = Here { since: NOW, nonce: [45; 16], first_card: 46, first_mailbox: 47 };
    let held = |n| HeldStudy {
        study: StudyId::from_bytes([n; 32]),
        source: SourceId::from_bytes([4; 32]),
        device: 1,
        number: u32::from(n),
    };
    let Content::Grant(grant) = letter().content else { panic!("it is about a grant") };
    let SignedCard { card, signature } = card(10..12, "Dr Rossi", "brain MR, five years", &[4]);
    let made = GrantMade {
        envelope: grant.envelope,
        terms: grant.terms,
        name: card.name.clone(),
        person: Some(card.person),
        grantees: card.grantees.clone(),
        mailbox: Mailbox {
            key: card.mailbox,
            relays: Ascending::from_items(vec![SourceId::from_bytes([4; 32])]).unwrap(),
            token: Token([41; 16]),
        },
        recipient: card.recipient,
        wish: card.wish.clone(),
        expires: NOW,
        signature,
        at: NOW,
        final_at: 9,
    };
    let items = [
        NewsItem::Here(here),
        NewsItem::Named { device: 1, name: Text::new("tablet").unwrap() },
        NewsItem::Ended { device: 1 },
        NewsItem::Held(Ascending::from_items(vec![held(30), held(31)]).unwrap()),
        NewsItem::Granted(Box::new(made)),
    ];
    items.map(|item| {
        let content = Content::News(Box::new(News { device: 2, item }));
        Letter { chain: CHAIN, to: recipient().recipient(), from: secret(20).public(), sent: NOW, content }
    })
}

/// From a source.
pub(crate) fn reissued() -> Letter {
    let reissued = Reissued {
        study: StudyId::from_bytes([30; 32]),
        source: SourceId::from_bytes([31; 32]),
        copy: ManifestRoot::from_bytes([32; 32]),
    };
    let content = Content::Reissued(Box::new(reissued));
    Letter { chain: CHAIN, to: recipient().recipient(), from: secret(20).public(), sent: NOW, content }
}

fn line<T: Wire + PartialEq + Debug>(name: &str, value: &T, rest: &str) -> String {
    let bytes = encoding::encode(value);
    assert_eq!(encoding::decode::<T>(&bytes).as_ref(), Ok(value), "{name}");
    format!("{name} {} {rest}\n", Hex(&bytes))
}

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn is_writing() -> bool {
    let is = std::env::var_os("CLAVICLE_WRITE_VECTORS").is_some();
    if is {
        fs::create_dir_all(folder()).unwrap();
    }
    is
}

#[test]
fn what_is_signed_and_shown_is_as_on_disk() {
    let smallest = card(10..11, "", "", &[]);
    let usual = card(10..12, "Dr Rossi", "brain MR, five years", &[4]);
    let largest = card(10..18, &"ü".repeat(32), &"w".repeat(128), &[4, 5]);
    let mut text = String::new();
    for card in [smallest, usual, largest] {
        assert_eq!(card.verify(&CHAIN, NOW), Ok(&card.card));
        text += &line("card", &card, &code::to_text(&card));
    }
    text += &line("introduction", &introduction(), "");
    text += &line("credential_request", &credential_request(), "");
    text += &line("member_word", &member_word(), "");
    text += &line("organisation_news", &organisation_news(), "");
    text += &line("pickup", &pickup(), &code::to_text(&pickup()));
    text += &line("identity", &recipient(), &recipient().recipient().to_string());
    text += &line("letter", &letter(), "");
    text += &line("letter", &notice(), "");
    text += &line("letter", &named(), "");
    text += &line("letter", &told(), "");
    assert_eq!(invitation().verify(&CHAIN, NOW), Ok(&invitation().invitation));
    text += &line("invitation", &invitation(), &code::to_text(&invitation()));
    text += &line("letter", &answered(), "");
    let Content::Opening(opening) = opened().content else { panic!("it opens") };
    let words = opening.check(&invitation().invitation, &answer(), &secret(40).public()).unwrap();
    let choices = words.choices().map(|words| words.to_string()).join(", ");
    text += &line("letter", &opened(), &format!("{} of {choices}", words.words()));
    let Content::Grant(granted) = letter().content else { panic!("it is about a grant") };
    let grant = GrantCode { chain: CHAIN, envelope: granted.envelope };
    text += &line("grant", &grant, &code::to_text(&grant));
    for news in news() {
        text += &line("letter", &news, "");
    }
    text += &line("letter", &reissued(), "");
    let path = folder().join("vectors.txt");
    if is_writing() {
        fs::write(&path, &text).unwrap();
    }
    let disk = fs::read_to_string(&path).unwrap();
    for (now, then) in text.lines().zip(disk.lines()) {
        assert_eq!(now, then, "another value is on disk");
    }
    assert_eq!(text.lines().count(), disk.lines().count());
}

#[test]
fn a_letter_sealed_once_opens_for_ever() {
    let path = folder().join("letter.age");
    if is_writing() {
        fs::write(&path, seal::seal(&letter(), &secret(20)).unwrap()).unwrap();
    }
    let opened = seal::open(&fs::read(path).unwrap(), &recipient(), &CHAIN).unwrap();
    assert_eq!(opened, letter());
    let Content::Grant(content) = &opened.content else { panic!("it is about a grant") };
    content.check(&CHAIN, &opened.from).unwrap();
}
