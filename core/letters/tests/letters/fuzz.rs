//! Everything that people show and send each other, fed with anything: it answers, and what it accepts is exactly what it was given.

use std::fmt::Debug;
use std::fs;

use clavicle_ledger::encoding::{self, Wire};
use clavicle_letters::card::SignedCard;
use clavicle_letters::code::{self, Code};
use clavicle_letters::credential::{Introduction, SignedCredentialRequest};
use clavicle_letters::grant_code::GrantCode;
use clavicle_letters::invitation::SignedInvitation;
use clavicle_letters::letter::{Content, Letter};
use clavicle_letters::organisation::{MemberWord, OrganisationNews};
use clavicle_letters::pickup::PickupCode;
use clavicle_letters::seal;

use crate::hostile::{MAX_RESIDENT_KIB, feed, peak_kib, rounds, said};
use crate::vectors::{
    CHAIN, answered, card, credential_request, folder, introduction, invitation, letter, member_word, named, news,
    notice, opened, organisation_news, pickup, recipient, reissued, told,
};

fn accepts_only_what_it_gives_back<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = encoding::decode::<T>(bytes) {
        assert_eq!(encoding::encode(&value), bytes);
    }
}

/// A code that was read is the code that is written.
fn reads_only_what_it_writes<C: Code + PartialEq + Debug>(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(value) = code::from_text::<C>(&text) {
        assert_eq!(code::from_text::<C>(&code::to_text(&value)).as_ref(), Ok(&value));
    }
}

#[test]
fn cards() {
    let cards = [card(10..11, "", "", &[]), card(10..18, "Dr Rossi", "brain MR", &[4, 5])];
    feed("card", &cards.each_ref().map(encoding::encode), accepts_only_what_it_gives_back::<SignedCard>);
    let texts = cards.each_ref().map(|card| code::to_text(card).into_bytes());
    feed("card's code", &texts, reads_only_what_it_writes::<SignedCard>);
}

#[test]
fn introductions() {
    feed("introduction", &[encoding::encode(&introduction())], accepts_only_what_it_gives_back::<Introduction>);
    let request = [encoding::encode(&credential_request())];
    feed("credential's request", &request, accepts_only_what_it_gives_back::<SignedCredentialRequest>);
    feed("member's word", &[encoding::encode(&member_word())], accepts_only_what_it_gives_back::<MemberWord>);
    let news = [encoding::encode(&organisation_news())];
    feed("organisation's news", &news, accepts_only_what_it_gives_back::<OrganisationNews>);
}

#[test]
fn pickup_codes() {
    feed("pickup", &[encoding::encode(&pickup())], accepts_only_what_it_gives_back::<PickupCode>);
    feed("pickup's code", &[code::to_text(&pickup()).into_bytes()], reads_only_what_it_writes::<PickupCode>);
}

#[test]
fn invitations() {
    feed("invitation", &[encoding::encode(&invitation())], accepts_only_what_it_gives_back::<SignedInvitation>);
    let text = code::to_text(&invitation()).into_bytes();
    feed("invitation's code", &[text], reads_only_what_it_writes::<SignedInvitation>);
}

#[test]
fn grants_as_codes() {
    let Content::Grant(granted) = letter().content else { panic!("it is about a grant") };
    let grant = GrantCode { chain: CHAIN, envelope: granted.envelope };
    feed("grant's bytes", &[encoding::encode(&grant)], accepts_only_what_it_gives_back::<GrantCode>);
    feed("grant's code", &[code::to_text(&grant).into_bytes()], reads_only_what_it_writes::<GrantCode>);
}

#[test]
fn letters() {
    let letters = [letter(), notice(), named(), told(), answered(), opened(), reissued()];
    let letters: Vec<Vec<u8>> = letters.iter().chain(&news()).map(encoding::encode).collect();
    feed("letter", &letters, accepts_only_what_it_gives_back::<Letter>);
}

#[test]
fn sealed_letters() {
    // One that is sealed opens as it is and in no other form: the smallest change is noticed.
    let sealed = fs::read(folder().join("letter.age")).unwrap();
    assert!(seal::open(&sealed, &recipient(), &CHAIN).is_ok());
    feed("sealed letter", std::slice::from_ref(&sealed), |bytes| {
        if bytes != sealed {
            assert!(seal::open(bytes, &recipient(), &CHAIN).is_err());
        }
    });
}

/// A picture takes milliseconds, and a million of them would take hours.
const MOST_PICTURES: u64 = 20_000;

/// A small picture in every format, so that reading what was made of it takes no time.
fn small() -> [Vec<u8>; 2] {
    let shades: Vec<u8> =
        (0..48 * 48).map(|at: usize| if (at / 5 + at / 48 / 5).is_multiple_of(2) { 20 } else { 230 }).collect();
    let (mut jpeg, mut webp) = (Vec::new(), Vec::new());
    jpeg_encoder::Encoder::new(&mut jpeg, 80).encode(&shades, 48, 48, jpeg_encoder::ColorType::Luma).unwrap();
    image_webp::WebPEncoder::new(&mut webp).encode(&shades, 48, 48, image_webp::ColorType::L8).unwrap();
    [jpeg, webp]
}

#[test]
fn pictures() {
    let picture = [code::to_png(&code::to_text(&pickup())).unwrap()];
    for round in 0..2 * rounds().min(MOST_PICTURES) {
        let said = said("picture", &picture, round);
        // As it is it is read in another test.
        if said != picture[0] {
            drop(code::from_picture(&said));
        }
    }
    // A damaged PNG is seen to be, and these often not.
    for round in 0..rounds().min(MOST_PICTURES) / 2 {
        drop(code::from_picture(&said("photograph", &small(), round)));
    }
    let peak = peak_kib("self");
    assert!(peak < MAX_RESIDENT_KIB, "{peak} KiB were held");
}
