//! What attackers got once, each tried again. One file an attack, named as a sentence; every one failed when it was written.
//!
//! Attacks that need no processes stand in the tests of the crate they are against:
//!
//! | attack | where |
//! |---|---|
//! | who has no consensus key, or no more, at the validators' port; floods of half handshakes there; garbage on a link | `clavicle-consensus`: `src/mesh/tests.rs` |
//! | anything in place of what is read from the network | `fuzz` in the tests of `clavicle-network`, `clavicle-consensus`, `clavicle-manifest`, `clavicle-ledger`, `clavicle-wallet` |
//! | lengths that claim too much on a link | `clavicle-consensus`: `src/mesh/frame.rs`, `src/mesh/link.rs` |
//! | associations of one address keep every modality out | `core/dimse/tests/dimse/hostile.rs` |
//! | questions of guests keep a revocation waiting | `core/network/tests/network/flooded.rs` |
//! | silent sockets of one address, and of 64, keep every wallet out | `core/network/tests/network/flooded.rs` |
//! | strangers of the wallet's own address keep its revocation from the source | `core/network/tests/transfer/revocations.rs` |
//! | a holder sends one revocation again and again, or signs it anew: each time the disk is waited for, and everybody who is sent images is decided on again | `what_is_sent_again_costs_the_disk_nothing` in the relay's `seen.rs`, its `submission.rs` |
//! | whoever asks for something that takes its time connects, asks and goes, again and again | `core/network/src/serve/blocking.rs` |
//! | one hospital fills every other's room for revocations for ever, and all grantees are refused | `a_revocation_binds_the_hospital_that_serves_the_study_and_no_other` in the relay's `submission.rs`, `what_states_no_end_ends_when_no_grant_could_come_any_more` in its `seen.rs` |
//! | one relay gossips so much that nobody is told in time which block is the newest, and every gate shuts | `which_block_is_the_newest_is_said_while_another_relays_gossip_is_looked_at` in the network's `asking.rs`, its `src/swarm/jobs.rs` |
//! | a grant for so many openings is opened once more: by two who come at once, around a kill of the source, with the receipt of another opening | `relay/tests/relay/openings.rs` |
//! | a card holds keys that stand on the ledger already, so that two studies are linked by one key | `core/wallet/src/patient/places.rs` |
//! | who makes a patient grant something loosens her caps in the same sitting, or sets her clock ahead | `core/wallet/src/patient/caps.rs` |
//! | Terms of an unknown version, or with a choice that has no meaning, are taken for what is known of them | `kernel/gate.rs` and the rejected vectors of the ledger |
//! | one process holds every connection of the operator's socket | `relay/src/control/places.rs` |
//! | a source is cut off from the others, and its clock is set back: it serves on a head that is old | `a_source_that_was_cut_off_does_not_serve_when_its_clock_is_set_back` in the ledger's `kernel/confirm.rs`, `a_source_that_was_cut_off_serves_nobody_when_its_clock_is_set_back` in the relay's `clocks.rs` |
//! | its edge records heads and answers, and lets them through slowly to a source with a clock to match | `blocks_that_were_recorded_and_are_let_through_slowly_open_nothing`, `whoever_is_served_is_served_on_what_was_so_within_the_bound` in `kernel/confirm.rs` |
//! | one hospital helps: it says what the attacker wants | `one_that_lies_neither_opens_nor_closes` in `kernel/confirm.rs` |
//! | the power of a source that was cut off is cut, so that it forgets that it was | `adversary/stale.rs` |
//! | a clock is set ahead and back: mailboxes, pickups and receipts go, or are kept for years, and a proposer drops what waits | `a_clock_that_is_set_and_set_back_leaves_no_mark` in the relay's `clocks.rs`, `a_clock_that_was_set_ahead_makes_no_proposer_forget_what_waits` in its `keeper.rs` |
//! | the salt and the manifest leave while it is being decided whether a grant still stands | `while_it_is_being_decided_again_not_even_the_welcome_leaves` in the network's `transfer/cut.rs` |
//! | whoever reads the ledger links studies by a phone's clock | `core/wallet/src/envelope/game.rs`, `core/wallet/src/ledger.rs` |
//! | a stranger with many addresses fills a relay's mailboxes | `relay/tests/relay/mailboxes.rs` |
//! | whoever was shown a card fills its mailbox | `relay/tests/relay/mailboxes.rs` |
//! | work for a mailbox is used twice, elsewhere, or in advance | `relay/tests/relay/mailboxes.rs` |
//! | a disk is filled, and a relay that must not be started again tells of a panic | `relay/tests/relay/endings.rs` |
//! | a store is taken away, and is begun anew in silence | `relay/tests/relay/endings.rs`, `relay/src/made.rs` |
//! | who lies about an AE title has as much room as all others together | `relay/src/room.rs` |
//! | tiny junk files from many addresses fill the quarantine, and every modality is refused | `a_quarantine_that_others_filled_keeps_nobody_out`, `relay/src/reception/inbox.rs`; `relay/src/room.rs` |
//! | an old catalogue is put back, and acknowledged images are called stray | `a_catalogue_put_back_from_a_backup_…`, `where_catalogue_and_record_contradict_…`, `relay/tests/relay/archive.rs` |
//! | a removal is killed, and what is left of the patient stays for ever | `what_a_kill_within_a_removal_left_goes_at_the_next_start`, `relay/tests/relay/archive.rs` |
//! | a relay that lost its log is shown an old chain, and votes twice | `a_relay_without_its_log_…`; `whoever_lost_what_it_voted_on_…`, `relay/src/made.rs` |
//! | images that are fine, under random UIDs, fill the disk, and every modality is refused | `who_fills_a_disk_leaves_a_share_…`, `relay/src/room.rs` |
//! | what an operator confirmed to remove is something else by then, and as much | `a_lost_catalogue_…`, `a_watched_folder_is_taken_in_…`, `relay/tests/relay/reception.rs` |
//! | a copied pickup code with another key or address | `an_altered_code_leads_nowhere_but_to_what_the_ledger_says`, `adversary/desk.rs`; `core/wallet/tests/wallet/following.rs` |
//! | a pickup code that leads to another hospital of the roster | `a_source_that_…`, `a_source_in_between_…`, `core/network/tests/transfer/pickups.rs`; `a_code_is_tried_no_more_…`, `core/wallet/tests/wallet/following.rs` |
//! | somebody else's code for a study that has its holder | `what_is_held_stays_with_its_holder`, `of_a_visit_only_what_nobody_holds_is_offered`, `adversary/desk.rs` |
//! | a code for a study that was suspended or withdrawn | `a_study_that_its_source_stopped_serving_is_not_handed_over`, `adversary/desk.rs` |
//! | a code for a study that is frozen; one that two agreed on for some studies, used for others; steps that the ledger refuses fill the record | `relay/tests/relay/counter.rs` |
//! | a copy of `pickups.redb`, searched for its PINs | `whoever_copies_the_file_can_search_it_for_no_pin`, `relay/tests/relay/pickups.rs` |
//! | a pickup code that has ended, at a hospital whose clock was set back | `a_pickup_that_has_ended_does_not_open_when_the_clock_is_set_back` in the relay's `clocks.rs` |
//! | a patient gives a right answer again and again, and every study of the hospital is read each time, in the turns of those who fetch | `the_studies_of_a_visit_are_found_without_a_look_at_any_other` in the relay's `archive.rs`, `core/network/src/pickup/tickets.rs` |
//! | strangers who are refused fill the log, and the disk that it is on | `a_flood_of_what_is_refused_does_not_fill_the_log` in `relay/src/gate.rs`, `core/admission/src/seldom.rs` |
//! | whoever filled one mailbox leaves a letter in each of many, and is forgotten | `whoever_took_much_of_one_thing_is_remembered_whatever_it_takes_of_others` in `relay/src/store/mailboxes/shares.rs` |
//! | a study with the UIDs `..` writes its images outside the folder it is fetched into | `core/manifest/tests/manifest/wrong.rs` |
//! | an object with a modality in letters that are no ASCII ends every wallet that picks up its study, or is restored | `a_modality_that_is_not_ascii_…`, `core/wallet/src/rows.rs`; `a_code_is_ascii_whatever_escapes_are_in_it`, `core/imaging/tests/imaging/hostile.rs` |
//! | who photographs an Invitation answers it too; who sits between the two devices shows each an Invitation or an answer of his own | `invitation.rs` |
//! | words are ground until both sides' are the same | `core/letters/src/invitation/tests.rs` |
//! | of two cards in a picture one is granted to, in silence | `core/letters/src/code/picture.rs` |
//! | a picture or another file takes the place of a person's own, also through a link | `core/command/src/file.rs`, `desktop/cli/tests/view.rs` |
//! | images land in an archive under an id that somebody else has there | `desktop/cli/tests/push/coerced.rs` |
//! | images and a token go over plain HTTP to another machine | `desktop/cli/tests/push/web.rs` |
//! | a printed code of a hospital that has moved is said to be altered | `a_code_that_was_printed_before_…`, `core/wallet/src/patient/pickup.rs` |
//! | whoever has a key that a hospital had once says that a grant is served no more, with a receipt of its own | `nobody_but_the_source_says_that_it_serves_no_more`, `core/wallet/tests/wallet/following.rs` |
//! | a letter that is final later than all blocks hides that its grant has gone | `core/wallet/src/objection.rs`; `a_forged_letter_hides_what_has_ended` |
//! | one number of two hospitals makes one patient of two, in an archive and on a medium | `desktop/cli/tests/push/coerced.rs`, `export.rs`; `core/dicom/src/facts.rs` |
//! | images of two patients grow into one study, batch by batch | `images_of_two_patients_do_not_…`, `relay/tests/relay/ingest.rs` |
//! | a path that is no UTF-8, or an error that nobody reads, ends a command in a panic after it was done | `desktop/cli/tests/push/paths.rs`, `relay/tests/relay/commands.rs` |
//! | an image is left out of what is pushed or exported, and all is said to be well | `an_image_that_is_left_out_…`, `desktop/cli/tests/push/export.rs` |
//! | another patient's report is attached to a study, or a code is given out for the wrong Patient ID | `relay/tests/relay/reports.rs`; `real_files_are_picked_up_by_…`, `session.rs` |
//! | a PDF loops, nests, or is a country wide, and takes whoever looks at it down | `core/sandbox/tests/worker/pdf.rs` |
//! | somebody else's credential beside a card; one whose time is over; one that was ended, with whatever list; a list of before the end, shown for ever | `core/letters/src/verdict.rs` |
//! | the word of a hospital that is suspended or was taken over; a key that was stolen and replaced signs on; a member vouches for somebody | `core/letters/src/verdict.rs` |
//! | a removed member opens with the team's shared key, an old list, another team's credential, or for a team of a suspended hospital | `relay/tests/relay/members.rs`, `core/letters/src/membership.rs`; `only_members_open_…` |
//! | a name that says it is verified, draws over what stands beside it, or looks like one that is known | `core/letters/src/name.rs`, `verdict.rs`; `somebody_is_let_in_as_who_they_are_not` |
//! | the record of whom a hospital has ended is lost, and they are vouched for again | `relay/src/credentials.rs` |
//! | a passphrase of one letter seals a new vault | `core/wallet/src/vault/tests.rs` |

mod a_copy_is_used_that_is_another_patients_or_has_ended;
mod a_copy_that_was_replaced_is_handed_on;
mod a_device_that_was_ended_or_put_back_acts_on;
mod a_flood_from_64_addresses_delays_no_revocation;
mod a_flood_of_dicom_objects_fills_the_disk;
mod a_forged_letter_hides_what_has_ended;
mod a_lost_catalogue_has_every_image_removed_as_stray;
mod a_pin_is_read_in_the_list_of_processes;
mod a_relay_without_its_log_votes_again;
mod a_restored_recipient_would_show_a_key_again;
mod a_stranger_who_gossips_at_the_validators_port_is_nobody;
mod a_thief_has_a_study_given_back_at_the_desk;
mod a_thief_has_the_words_or_the_open_phone;
mod an_older_copy_of_a_wallet_is_put_back;
mod another_user_of_the_machine_reads_what_a_relay_or_a_wallet_keeps;
mod bytes_that_no_honest_peer_sends_come_to_every_listener;
mod somebody_is_let_in_as_who_they_are_not;
mod somebody_opens_for_a_team_who_is_no_member;
mod two_hospitals_overwrite_each_others_images;
