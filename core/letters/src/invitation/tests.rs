//! What an Invitation, an answer and an opening hold together with; and what somebody in between gains, played out with
//! words of eight bits.

use std::cell::Cell;

use clavicle_ledger::encoding::{self, Ascending, Text};
use clavicle_ledger::id::SourceId;

use super::*;
use crate::card::tests::CHAIN;
use crate::card::{Card, Minute, NetworkMark, RelayMark};
use crate::code::{self, CodeError};
use crate::identity::Identity;
use crate::mailbox::Token;

const NOW: Timestamp = Timestamp(1_790_000_000_000);
const MINUTE_MS: u64 = 60_000;

fn secret(number: u8) -> SecretKey {
    SecretKey::from_bytes(&[number; 32])
}

fn mailbox(number: u8) -> Mailbox {
    let relays = Ascending::from_items([4, 5].map(|n| SourceId::from_bytes([n; 32])).into()).unwrap();
    Mailbox { key: secret(number).public(), relays, token: Token([5; 16]) }
}

fn nonce(number: u8) -> Nonce {
    Nonce::from_bytes([number; 32])
}

/// Somebody's, whose mailbox and nonce have this number.
fn invitation(number: u8) -> Invitation {
    Invitation {
        chain: CHAIN,
        mailbox: mailbox(number),
        recipient: Identity::from_bytes(&[number; 32]).recipient(),
        commitment: nonce(number).commitment(&CHAIN),
        expires: NOW.plus(10 * MINUTE_MS),
    }
}

fn signed(edit: impl FnOnce(&mut Invitation)) -> SignedInvitation {
    let mut invitation = invitation(20);
    edit(&mut invitation);
    invitation.sign(&secret(20)).unwrap()
}

/// A card of somebody whose keys have this number.
fn card(number: u8) -> SignedCard {
    let card = Card {
        network: NetworkMark::from(&CHAIN),
        person: secret(number + 50).public(),
        name: Text::new("Dr Rossi").unwrap(),
        grantees: Ascending::from_items(vec![secret(number).public()]).unwrap(),
        mailbox: secret(number + 100).public(),
        relays: Ascending::from_items(vec![RelayMark::from(&SourceId::from_bytes([4; 32]))]).unwrap(),
        recipient: Identity::from_bytes(&[number; 32]).recipient(),
        wish: Text::new("brain MR").unwrap(),
        expires: Minute::of(NOW.plus(HOUR_MS)),
    };
    card.sign(&CHAIN, &secret(number + 50)).unwrap()
}

fn answer(to: &Invitation, number: u8) -> Answer {
    Answer { invitation: to.id(), card: card(number), nonce: nonce(number) }
}

#[test]
fn both_sides_have_the_same_words_and_the_patient_picks_them_among_four() {
    let shown = signed(|_| {});
    let invitation = shown.verify(&CHAIN, NOW).unwrap();
    let answer = answer(invitation, 1);
    let checked = answer.check(invitation, &secret(101).public(), NOW).unwrap();
    let opening = checked.open(&nonce(20));
    let theirs = opening.check(invitation, &answer, &secret(20).public()).unwrap();
    assert_eq!(theirs, checked.compare(&CHAIN, &nonce(20)));
    assert!(theirs.choices().contains(&theirs.words()));
}

#[test]
fn an_invitation_is_good_for_its_minutes_and_each_wrong_one_is_told_apart() {
    let shown = signed(|_| {});
    let end = shown.invitation.expires.plus(TOLERANCE_MS);
    assert!(shown.verify(&CHAIN, end).is_ok());
    assert_eq!(shown.verify(&CHAIN, end.plus(1)), Err(InvitationError::Expired));
    // A clock that is a minute behind.
    assert!(signed(|it| it.expires = NOW.plus(HOUR_MS + MINUTE_MS)).verify(&CHAIN, NOW).is_ok());
    let too_long = signed(|it| it.expires = NOW.plus(HOUR_MS + TOLERANCE_MS + 1));
    assert_eq!(too_long.verify(&CHAIN, NOW), Err(InvitationError::TooLong));

    let other = ChainId::from_bytes([9; 32]);
    assert_eq!(shown.verify(&other, NOW), Err(InvitationError::OtherNetwork));
    let mut relabelled = shown.clone();
    relabelled.invitation.chain = other;
    assert!(matches!(relabelled.verify(&other, NOW), Err(InvitationError::Signature(_))));

    let mut weak = shown.clone();
    weak.invitation.mailbox.key = Key::from_bytes([0; 32]);
    assert_eq!(weak.verify(&CHAIN, NOW), Err(InvitationError::Key(KeyError::Weak)));
    let weak = signed(|it| it.recipient = Recipient::from_bytes([0; 32]));
    assert_eq!(weak.verify(&CHAIN, NOW), Err(InvitationError::Recipient(RecipientError::Weak)));
    assert_eq!(invitation(20).sign(&secret(21)).unwrap_err(), InvitationError::Signer);
}

#[test]
fn every_byte_of_an_invitation_is_signed() {
    let bytes = encoding::encode(&signed(|_| {}));
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        let Ok(altered) = encoding::decode::<SignedInvitation>(&bytes) else { continue };
        assert!(altered.verify(&CHAIN, NOW).is_err(), "byte {at}");
    }
}

#[test]
fn an_invitation_names_nobody_and_other_codes_are_none() {
    let text = code::to_text(&signed(|_| {}));
    assert_eq!(code::from_text(&text), Ok(signed(|_| {})));
    // QR version 13 at level M holds 483 characters, and is 69 modules wide: it fits a terminal of 80 columns.
    assert!(text.starts_with("CLAVICLE:INVITE:") && text.len() <= 483, "{}", text.len());
    let other = CodeError::OtherKind { found: "an invitation", wanted: "a card" };
    assert_eq!(code::from_text::<SignedCard>(&text), Err(other));
    let other = CodeError::OtherKind { found: "a card", wanted: "an invitation" };
    assert_eq!(code::from_text::<SignedInvitation>(&code::to_text(&card(1))), Err(other));
}

#[test]
fn an_answer_to_something_else_or_in_somebodys_name_is_none() {
    let invitation = invitation(20);
    let good = answer(&invitation, 1);
    let check = |answer: &Answer, from: u8| answer.check(&invitation, &secret(from).public(), NOW);
    assert_eq!(check(&good, 101).unwrap().digest(), good.digest(&CHAIN));
    // Of another Invitation, replayed.
    assert_eq!(check(&answer(&self::invitation(21), 1), 101), Err(AnswerError::OtherInvitation));
    // A card that was seen somewhere, sent by who does not have its mailbox.
    assert_eq!(check(&good, 102), Err(AnswerError::OtherSender));
    let mut altered = good.clone();
    altered.card.card.name = Text::new("Dr Bianchi").unwrap();
    assert!(matches!(check(&altered, 101), Err(AnswerError::Card(CardError::Signature(_)))));
    let late = good.check(&invitation, &secret(101).public(), NOW.plus(2 * HOUR_MS));
    assert_eq!(late, Err(AnswerError::Card(CardError::Expired)));
    // Another nonce is another answer.
    let again = Answer { nonce: nonce(2), ..good.clone() };
    assert_ne!(check(&again, 101).unwrap().digest(), good.digest(&CHAIN));
}

#[test]
fn what_opens_something_else_shows_no_words() {
    let (invitation, patient) = (invitation(20), secret(20).public());
    let answer = answer(&invitation, 1);
    let good = answer.check(&invitation, &secret(101).public(), NOW).unwrap().open(&nonce(20));
    let check = |opening: &Opening, from: &Key| opening.check(&invitation, &answer, from).map(drop);
    assert_eq!(check(&good, &patient), Ok(()));
    assert_eq!(check(&good, &secret(21).public()), Err(OpeningError::OtherSender));
    let other = Opening { nonce: nonce(21), ..good.clone() };
    assert_eq!(check(&other, &patient), Err(OpeningError::OtherNonce));
    let other = Opening { answer: AnswerDigest::from_bytes([9; 32]), ..good.clone() };
    assert_eq!(check(&other, &patient), Err(OpeningError::OtherAnswer));
    let other = Opening { invitation: InvitationId::from_bytes([9; 32]), ..good };
    assert_eq!(check(&other, &patient), Err(OpeningError::OtherInvitation));
}

/// Games between a patient, a recipient and somebody in between, whose words have eight bits.
const GAMES: u32 = 2_048;
/// How many things somebody in between tries out in each: twice as many as there are words of eight bits.
const TRIES: u16 = 512;

/// Words of eight bits.
fn short(words: &Comparison) -> u16 {
    words.words().places()[0] & 0xff
}

fn words(invitation: InvitationId, answer: AnswerDigest, nonce: &Nonce) -> u16 {
    short(&Comparison::of(&CHAIN, invitation, answer, nonce))
}

/// As good as random, and the same in every run.
struct Draw(Cell<u64>);

impl Draw {
    fn bytes(&self) -> [u8; 32] {
        self.0.set(self.0.get() + 1);
        *blake3::hash(&self.0.get().to_le_bytes()).as_bytes()
    }

    fn nonce(&self) -> Nonce {
        Nonce::from_bytes(self.bytes())
    }
}

/// In how many games both screens show the same words, although each side had something else.
fn won(game: impl Fn(&Draw) -> bool) -> u32 {
    let draw = Draw(Cell::new(0));
    (0..GAMES).map(|_| u32::from(game(&draw))).sum()
}

/// One in 256 is 8 of these games. By birthday it would be nearly all of them: see
/// [`without_a_commitment_grinding_wins`].
fn is_by_chance_alone(won: u32) -> bool {
    won <= 24
}

/// He shows the recipient an Invitation of his own, has its answer, and so knows its words. What he answers the patient
/// he can choose among as many as he likes, and has to send before the patient's nonce is known.
#[test]
fn whoever_grinds_answers_has_one_chance() {
    let (mine, theirs) = (InvitationId::from_bytes([1; 32]), InvitationId::from_bytes([2; 32]));
    let won = won(|draw| {
        let shown = words(mine, AnswerDigest::from_bytes(draw.bytes()), &draw.nonce());
        let guess = draw.nonce();
        // The best that he can do is an answer that fits what he guesses.
        let fits = |answer: &AnswerDigest| words(theirs, *answer, &guess) == shown;
        let sent = (0..TRIES).map(|_| AnswerDigest::from_bytes(draw.bytes())).find(fits);
        let sent = sent.unwrap_or_else(|| AnswerDigest::from_bytes(draw.bytes()));
        words(theirs, sent, &draw.nonce()) == shown
    });
    assert!(is_by_chance_alone(won), "{won} of {GAMES}");
}

/// The other way round: he answers the patient first, has the nonce opened, and so knows the patient's words. What he
/// shows the recipient commits him before the recipient's nonce is known.
#[test]
fn whoever_grinds_invitations_has_one_chance() {
    let theirs = InvitationId::from_bytes([2; 32]);
    let won = won(|draw| {
        let shown = words(theirs, AnswerDigest::from_bytes(draw.bytes()), &draw.nonce());
        let guess = AnswerDigest::from_bytes(draw.bytes());
        let mut tries = (0..TRIES).map(|_| (InvitationId::from_bytes(draw.bytes()), draw.nonce()));
        let fits = |(invitation, nonce): &(InvitationId, Nonce)| words(*invitation, guess, nonce) == shown;
        let sent = tries.find(fits);
        let (invitation, nonce) = sent.unwrap_or_else(|| (InvitationId::from_bytes(draw.bytes()), draw.nonce()));
        words(invitation, AnswerDigest::from_bytes(draw.bytes()), &nonce) == shown
    });
    assert!(is_by_chance_alone(won), "{won} of {GAMES}");
}

/// What the commitment is for: had the patient's nonce stood in the code, an answer would be found that fits, nearly
/// always. (So these games can be lost.)
#[test]
fn without_a_commitment_grinding_wins() {
    let (mine, theirs) = (InvitationId::from_bytes([1; 32]), InvitationId::from_bytes([2; 32]));
    let won = won(|draw| {
        let shown = words(mine, AnswerDigest::from_bytes(draw.bytes()), &draw.nonce());
        let known = draw.nonce();
        (0..TRIES).any(|_| words(theirs, AnswerDigest::from_bytes(draw.bytes()), &known) == shown)
    });
    assert!(won > GAMES * 3 / 4, "{won} of {GAMES}");
}
