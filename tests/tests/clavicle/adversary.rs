//! Against consent: everything that whoever was not asked, or is no longer, or never fully, can try against four hospitals.
//!
//! Nothing here goes through a wallet unless a wallet is what is tried: keys, Terms, hellos and envelopes are in one's own hands, and
//! say what no wallet would say. Whoever is refused is told the same bytes for every reason, but for the
//! reference; the reason is looked up where the source's operator looks it up.

mod desk;
mod gate;
mod ground;
mod hands;
mod ledger;
mod stale;
mod streams;

use std::time::Instant;

use self::ground::Ground;
pub(crate) use self::ground::now;
pub(crate) use self::hands::framed;

/// Plays cases one after another, and prints how long each took.
macro_rules! play {
    ($ground:expr, $($room:ident::$case:ident),+ $(,)?) => {$({
        let from = Instant::now();
        Box::pin($room::$case($ground)).await;
        println!("{:>6} ms  {}", from.elapsed().as_millis(), stringify!($case).replace('_', " "));
    })+};
}

fn play<'a>(case: impl Future<Output = ()> + 'a) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap().block_on(case);
}

#[test]
fn while_all_hospitals_are_there_consent_is_never_exceeded() {
    let ground = &Ground::new("10");
    play(async {
        play!(
            ground,
            gate::without_a_grant_of_ones_own_nobody_is_let_in,
            gate::terms_other_than_those_granted_open_nothing,
            gate::whoever_is_granted_one_series_gets_no_other,
            gate::a_hello_is_for_one_key_one_hospital_and_one_moment,
            gate::a_grant_is_good_from_its_first_to_its_last_moment_and_not_beyond,
            gate::a_study_that_its_source_stopped_serving_is_served_as_its_status_says,
            gate::a_flood_of_strangers_keeps_nobody_out_who_was_granted,
            ledger::a_revoked_grant_never_lives_again,
            ledger::a_grant_that_was_revoked_before_it_came_is_refused_everywhere,
            ledger::nobody_but_the_holder_grants_or_revokes,
            ledger::a_delegate_grants_and_ends_what_its_role_allows_and_no_more,
            ledger::envelopes_that_are_not_signed_as_they_must_be_cost_nothing,
            ledger::whoever_revokes_without_end_closes_nothing_but_their_own_study,
            ledger::a_checkpoint_leads_to_its_own_block_and_no_relay_elsewhere,
            streams::a_transfer_that_runs_is_cut_when_the_source_sees_a_revocation,
            streams::what_the_source_has_not_sent_yet_is_not_sent_after_a_revocation,
            streams::a_transfer_that_runs_is_cut_when_its_grant_ends,
            desk::five_wrong_answers_kill_a_code_however_many_ask_at_once,
            desk::the_first_wallet_that_knows_the_answer_is_the_only_one,
            desk::nothing_is_claimed_but_what_was_offered_to_whom_it_was,
            desk::what_is_held_stays_with_its_holder,
            desk::of_a_visit_only_what_nobody_holds_is_offered,
            desk::a_study_that_its_source_stopped_serving_is_not_handed_over,
            desk::an_altered_code_leads_nowhere_but_to_what_the_ledger_says,
            desk::a_code_never_opens_another_patients_images,
            desk::a_mailbox_opens_to_its_token_and_its_key_alone,
        );
    });
}

#[test]
fn while_hospitals_are_gone_consent_is_never_exceeded() {
    let mut ground = Ground::new("2");
    play(stale::a_source_that_is_left_alone_serves_what_patients_allowed_and_forgets_no_revocation(&mut ground));
}
