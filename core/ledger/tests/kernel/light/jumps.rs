//! Jumps over changes of validators: who may, how far, and what shows a lie.

use super::*;

#[test]
fn a_phone_jumps_over_changes_of_validators() {
    let (mut world, mut client) = scene();
    let (_, between) = (world.rekey(1, 1), world.certified(1_000));
    world.rekey(2, 1);
    let (set, early, head) = (world.state.validators().unwrap(), world.certified(1_000), world.certified(1_000));
    let now = clock(&world);
    assert!(client.needs_change(&head.header));
    assert_eq!(client.skip(&head, &set, now), Ok(&head.header));
    assert_eq!(kept(&client).newest(), &world.header);
    // From then on it goes on as if it had followed each change.
    assert!(!client.needs_change(&head.header) && !client.needs_change(&between.header));
    assert_eq!(client.accept(&early, now), Ok(&head.header));
    let height = between.header.height;
    assert_eq!(refused(&client, &between, now), LightError::OtherValidators { height });
    let set_then = world.state.validators().unwrap();
    let newest = head.header.height;
    assert_eq!(skip_refused(&client, &between, &set_then, now), LightError::Passed { height, first: newest });
    client.change(&world.rekey(3, 1), clock(&world)).unwrap();
    let (head, now) = (world.certified(1_000), clock(&world));
    assert_eq!(kept(&client).accept(&head, now), Ok(&head.header));
    // What the trusted set decided itself needs no jump.
    assert_eq!(client.skip(&head, &world.state.validators().unwrap(), now), Ok(&head.header));
    assert_eq!(kept(&client).newest(), &world.header);
}

#[test]
fn a_jump_too_far_is_made_in_steps() {
    let (mut world, mut client) = scene();
    let changes: Vec<_> = (1..4).map(|hospital| world.rekey(hospital, 1)).collect();
    let (set, head, now) = (world.state.validators().unwrap(), world.certified(1_000), clock(&world));
    let height = head.header.height;
    // One of four is left.
    let too_far = LightError::TooLittleOverlap { height, power: 1, total: 4 };
    assert_eq!(skip_refused(&client, &head, &set, now), too_far);
    // Nearer ones do, or each change.
    let mut followed = client.clone();
    for change in &changes {
        followed.change(change, now).unwrap();
    }
    assert_eq!(followed.accept(&head, now), Ok(&head.header));
    let last = &changes[2].last;
    client.skip(last, &changes[1].next, now).unwrap();
    assert_eq!(client.newest(), &last.header);
    assert_eq!(client.skip(&head, &set, now), Ok(&head.header));
    assert_eq!(kept(&client).newest(), followed.newest());
}

#[test]
fn a_jump_needs_two_thirds_of_the_new_set_and_more_than_a_third_of_the_old() {
    let trusted = set_of(&[("a", "a0", 3), ("b", "b0", 2), ("c", "c0", 4)]);
    let (client, later, now) = made_up(&trusted);
    let jump = |members: &[(&str, &str, u64)], signers: &[&str]| {
        let set = set_of(members);
        let header = Header { validators: set.hash(&later.chain), ..later };
        let signers: Vec<SecretKey> = signers.iter().map(|name| secret(name)).collect();
        client.clone().skip(&certify(&header, &set, &signers), &set, now).map(|newest| newest.height)
    };
    let too_little = |power| Err(LightError::TooLittleOverlap { height: 9, power, total: 9 });
    let under_signed = |power, total| Err(LightError::Certificate(CertificateError::TooLittlePower { power, total }));
    // A third of nine is three; with one more it is enough, whatever power they have now.
    assert_eq!(jump(&[("a", "a0", 50), ("x", "x0", 1)], &["a0", "x0"]), too_little(3));
    assert_eq!(jump(&[("c", "c0", 50), ("x", "x0", 1)], &["c0", "x0"]), Ok(9));
    assert_eq!(jump(&[("a", "a0", 1), ("b", "b0", 1), ("x", "x0", 1)], &["a0", "b0", "x0"]), Ok(9));
    // They must be among those who signed, by the keys they had, and as who they were.
    let mixed = [("a", "a0", 1), ("c", "c0", 1), ("x", "x0", 1), ("y", "y0", 1), ("z", "z0", 1)];
    assert_eq!(jump(&mixed, &["a0", "x0", "y0", "z0"]), too_little(3));
    assert_eq!(jump(&mixed, &["a0", "c0", "x0"]), under_signed(3, 5));
    assert_eq!(jump(&mixed, &["a0", "c0", "x0", "y0"]), Ok(9));
    assert_eq!(jump(&[("c", "c1", 50), ("x", "x0", 1)], &["c1", "x0"]), too_little(0));
    assert_eq!(jump(&[("x", "c0", 50), ("y", "a0", 50)], &["c0", "a0"]), too_little(0));
    // The new set needs its own two thirds: all who are trusted are too few.
    assert_eq!(
        jump(&[("a", "a0", 1), ("b", "b0", 1), ("c", "c0", 1), ("x", "x0", 3)], &["a0", "b0", "c0"]),
        under_signed(3, 6)
    );
    assert_eq!(jump(&[], &[]), too_little(0));
}

#[test]
fn whoever_may_jump_is_as_the_dullest_sum_says() {
    let names = ["a", "b", "c", "d"];
    let old: Vec<String> = names.iter().map(|name| format!("{name}0")).collect();
    let trusted = set_of(&[0, 1, 2, 3].map(|at| (names[at], old[at].as_str(), at as u64 + 1)));
    let (client, later, now) = made_up(&trusted);
    // Each of four kept its key, has another, or left; each of those left signed or not. A stranger with power 2 has joined.
    for case in 0..3usize.pow(4) * 16 {
        let kind = |at: u32| case / 3usize.pow(at) % 3;
        let signs = |at: u32| (case / 81) >> at & 1 == 1;
        let (mut members, mut signers) = (vec![("x", "x0".to_owned(), 2)], vec![secret("x0")]);
        let (mut all, mut power, mut known) = (2, 2, 0);
        for at in (0..4).filter(|at| kind(*at) < 2) {
            let (key, its) = (format!("{}{}", names[at as usize], kind(at)), u64::from(4 - at));
            all += its;
            if signs(at) {
                signers.push(secret(&key));
                power += its;
                known += if kind(at) == 0 { u64::from(at) + 1 } else { 0 };
            }
            members.push((names[at as usize], key, its));
        }
        let members: Vec<_> = members.iter().map(|(name, key, power)| (*name, key.as_str(), *power)).collect();
        let set = set_of(&members);
        let header = Header { validators: set.hash(&later.chain), ..later };
        let believed = client.clone().skip(&certify(&header, &set, &signers), &set, now).is_ok();
        assert_eq!(believed, power * 3 > all * 2 && known * 3 > 10, "case {case}");
    }
}

#[test]
fn a_jump_is_refused_for_all_that_a_header_is_refused_for() {
    let (mut world, mut client) = scene();
    let start = world.now();
    let first = world.certified(1_000);
    world.rekey(1, 1);
    let (set, head, now) = (world.state.validators().unwrap(), world.certified(1_000), clock(&world));
    let (header, height) = (head.header, head.header.height);
    let lie = |header: Header| skip_refused(&client, &signed(&set, header), &set, now);
    assert_eq!(lie(Header { version: 2, ..header }), LightError::Version(2));
    assert_eq!(lie(Header { chain: ChainId::from_bytes([9; 32]), ..header }), LightError::Chain);
    let others = clavicle_ledger::id::ValidatorsHash::from_bytes([9; 32]);
    assert_eq!(lie(Header { validators: others, ..header }), LightError::NotItsValidators { height });
    let mut swapped = first.clone();
    swapped.header = header;
    assert_eq!(skip_refused(&client, &swapped, &set, now), LightError::OtherBlock);
    // Wrongly signed: in another round, and one signature in another's place.
    let mut later = head.clone();
    later.certificate.round = 2;
    let wrong = LightError::Certificate(CertificateError::Signature { place: 0, error: SignatureError::Wrong });
    assert_eq!(skip_refused(&client, &later, &set, now), wrong);
    let mut votes: Vec<(usize, Signature)> = head.certificate.votes().map(|(place, by)| (place, *by)).collect();
    votes[3].1 = votes[2].1;
    let certificate = CommitCertificate::new(height, 1, header.id(), votes).unwrap();
    let wrong = LightError::Certificate(CertificateError::Signature { place: 3, error: SignatureError::Wrong });
    assert_eq!(skip_refused(&client, &CertifiedHeader { header, certificate }, &set, now), wrong);
    // From the future, and too late.
    let before = LocalTime(Timestamp(now.0.0 - CLOCK_TOLERANCE_MS - 1));
    let ahead = LightError::Ahead { ahead_ms: CLOCK_TOLERANCE_MS + 1 };
    assert_eq!(skip_refused(&client, &head, &set, before), ahead);
    let late = LocalTime(start.plus(TRUSTING_PERIOD_MS + 1));
    assert_eq!(skip_refused(&client, &head, &set, late), LightError::TooOld { age_ms: TRUSTING_PERIOD_MS + 1 });
    // A jump begins the period anew.
    client.skip(&head, &set, LocalTime(start.plus(TRUSTING_PERIOD_MS))).unwrap();
    client.accept(&world.certified(1_000), late).unwrap();
}

#[test]
fn no_byte_of_a_jump_can_be_changed() {
    let (mut world, client) = scene();
    world.rekey(1, 1);
    let (set, head) = (world.state.validators().unwrap(), world.certified(1_000));
    let (head_bytes, set_bytes, now) = (encoding::encode(&head), encoding::encode(&set), clock(&world));
    for at in 0..head_bytes.len() + set_bytes.len() {
        let (mut head_bytes, mut set_bytes) = (head_bytes.clone(), set_bytes.clone());
        match head_bytes.get_mut(at) {
            Some(byte) => *byte ^= 0x10,
            None => set_bytes[at - head_bytes.len()] ^= 0x10,
        }
        if let (Ok(head), Ok(set)) = (encoding::decode(&head_bytes), encoding::decode(&set_bytes)) {
            skip_refused(&client, &head, &set, now);
        }
    }
}

#[test]
fn a_jump_to_what_contradicts_the_newest_header_is_a_fork() {
    let (mut world, mut client) = scene();
    client.accept(&world.certified(1_000), clock(&world)).unwrap();
    let mine = world.header;
    let change = world.rekey(1, 1);
    let (set, head, now) = (world.state.validators().unwrap(), world.certified(1_000), clock(&world));
    let fork = |client: &LightClient, mine: Header, other: Header| {
        let error = LightError::Fork { height: other.height, mine: mine.id(), other: other.id() };
        assert_eq!(skip_refused(client, &signed(&set, other), &set, now), error);
    };
    // The same height, the next one without the set having handed over, and time that stands still.
    fork(&client, mine, Header { height: mine.height, ..head.header });
    fork(&client, mine, Header { height: mine.height + 1, previous: mine.id(), ..head.header });
    fork(&client, mine, Header { time: mine.time, ..head.header });
    // The next one after the set that handed over, which is known, and one that follows another.
    client.accept(&change.last, now).unwrap();
    let last = change.last.header;
    assert_eq!(last.height + 1, head.header.height);
    fork(&client, last, Header { previous: BlockId::from_bytes([9; 32]), ..head.header });
    fork(&client, last, Header { height: last.height, ..head.header });
    client.skip(&head, &set, now).unwrap();
    assert_eq!(kept(&client).newest(), &head.header);
}

#[test]
fn those_jumped_to_count_from_the_height_after_what_was_trusted() {
    let (mut client, later, now) = made_up(&set_of(&[("a", "a0", 1), ("b", "b0", 1)]));
    let set = set_of(&[("a", "a0", 1), ("c", "c0", 1)]);
    let at = |height: u64| {
        let (own, time) = (set.hash(&later.chain), Timestamp(later.time.timestamp().0 + height - later.height));
        let header = Header { height, time: BlockTime(time), validators: own, next_validators: own, ..later };
        certify(&header, &set, &[secret("a0"), secret("c0")])
    };
    assert_eq!(client.skip(&at(9), &set, now), Ok(&at(9).header));
    for height in [6, 7] {
        assert_eq!(kept(&client).accept(&at(height), now), Ok(&at(9).header));
    }
    for height in [3, 5] {
        assert_eq!(refused(&client, &at(height), now), LightError::Passed { height, first: 6 });
    }
}
