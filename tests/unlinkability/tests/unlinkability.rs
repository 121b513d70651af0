//! The game, played: see the README for what it is and for the numbers of the long one.

use std::time::Instant;

use clavicle_unlinkability::{Act, Adversary, Alike, Leak, Life, Pairs, Score, World, play};

fn worlds(count: u64, life: &Life) -> Vec<World> {
    let begun = Instant::now();
    let worlds: Vec<World> = (0..count).map(|seed| World::new(seed, life)).collect();
    let [studies, transactions] = [World::studies, World::transactions].map(|of| worlds.iter().map(of).sum::<usize>());
    println!("{studies} studies, {transactions} transactions, {} ms", begun.elapsed().as_millis());
    worlds
}

fn told(what: &str, score: &Score) {
    println!("{what:<64} | {score} | {}", score.by.join(", "));
}

fn is_long() -> bool {
    std::env::var_os("CLAVICLE_LONG").is_some()
}

/// What is promised: nobody links studies of two visits by what the ledger shows, unless one act of the patient's was
/// about both.
#[test]
fn studies_of_two_visits_are_not_linked_by_the_ledger() {
    let (count, life, pairs, bound) =
        if is_long() { (4, Life::AS_IT_IS, 40_000, 0.01) } else { (2, Life::A_WEEK, 2_000, 0.05) };
    let worlds = worlds(count, &life);
    let score = play(&worlds, Adversary::Ledger, Pairs::Apart, Alike::SourceAndDay);
    told("two visits, apart, by the ledger", &score);
    assert!(score.pairs >= pairs, "{} pairs", score.pairs);
    assert!(score.at_most() <= bound, "{score}");
    let restored = play(&worlds, Adversary::Ledger, Pairs::Restored, Alike::Source);
    told("two visits, restored from the words in between", &restored);
    assert!(restored.at_most() <= 5.0 * bound, "{restored}");
    // And the game can be won, in the same worlds: one visit's studies are claimed in one go.
    let one_visit = play(&worlds, Adversary::Ledger, Pairs::OfOneVisit, Alike::SourceAndDay);
    told("one visit", &one_visit);
    assert!(one_visit.at_least() > 0.4, "{one_visit}");
}

/// Faults that wallets might have are found.
#[test]
fn a_fault_that_is_planted_is_found() {
    let faults = [
        (Leak::GranteeKey, 0.06, "bytes in common"),
        (Leak::HolderKey, 0.06, "bytes in common"),
        (Leak::Clock, 0.25, "submit_by"),
        (Leak::Nonce, 0.4, "bytes in common"),
    ];
    for (leak, at_least, by) in faults {
        let worlds = worlds(2, &Life { leak: Some(leak), ..Life::A_WEEK });
        let score = play(&worlds, Adversary::Ledger, Pairs::Apart, Alike::SourceAndDay);
        told(&format!("planted: {leak:?}"), &score);
        assert!(score.at_least() > at_least, "{leak:?}: {score}");
        assert!(score.by.iter().any(|name| name.contains(by)), "{leak:?}: {:?}", score.by);
    }
}

/// Every leak that is known has a number; they stand in the README.
#[test]
fn what_does_link_is_said_in_numbers() {
    if !is_long() {
        return;
    }
    let as_it_is = worlds(2, &Life::AS_IT_IS);
    let say = |what: &str, worlds: &[World], (adversary, pairs, alike): (Adversary, Pairs, Alike)| {
        let score = play(worlds, adversary, pairs, alike);
        told(what, &score);
        score
    };
    let day = Alike::SourceAndDay;
    say("a source with its relay, apart", &as_it_is, (Adversary::Source, Pairs::Apart, day));
    say("a relay that keeps mailboxes, apart", &as_it_is, (Adversary::Relay, Pairs::Apart, day));
    say("all pairs of two visits, by the ledger", &as_it_is, (Adversary::Ledger, Pairs::OfTwoVisits, day));
    say("all pairs of two visits, by a relay", &as_it_is, (Adversary::Relay, Pairs::OfTwoVisits, day));
    for act in [Act::Along, Act::Ending, Act::NewWords, Act::Recovery] {
        let score = say(&format!("{act:?}"), &as_it_is, (Adversary::Ledger, Pairs::By(act), Alike::Nothing));
        assert!(score.at_least() > 0.2, "{act:?}: {score}");
    }
    for hours in [6, 24, 72] {
        let spread = worlds(1, &Life { spread_ms: hours * 3_600_000, ..Life::AS_IT_IS });
        say(&format!("Along, spread over {hours} h"), &spread, (Adversary::Ledger, Pairs::By(Act::Along), day));
    }
    let life = Life::AS_IT_IS;
    let habits = [
        ("seven of ten grants are for as long as this patient likes", Life { lengths: 70, ..life }, day),
        ("seven of ten visits at the hour that this patient likes", Life { hours: 70, ..life }, day),
        ("seven of ten visits at this patient's own hospital", Life { home: 70, ..life }, Alike::Nothing),
        ("no habits, and nobody stands for anybody of that day", life, Alike::Nothing),
        ("5 of 100 have an emergency card on each study", Life { emergency: 5, ..life }, day),
        ("5 of 100 have a care team on each study", Life { care_team: 5, ..life }, day),
    ];
    for (what, life, alike) in habits {
        say(what, &worlds(1, &life), (Adversary::Ledger, Pairs::OfTwoVisits, alike));
        if life.emergency + life.care_team > 0 {
            let role = (Adversary::Ledger, Pairs::By(Act::Delegation), Alike::Nothing);
            say("  of those with the role", &worlds(1, &life), role);
        }
    }
    let own = worlds(1, &Life { doctor: 100, ..life });
    say("always one's own doctor, apart, by a relay", &own, (Adversary::Relay, Pairs::Apart, day));
}
