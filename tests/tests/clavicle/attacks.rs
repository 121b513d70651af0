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
//! | one process holds every connection of the operator's socket | `relay/src/control/places.rs` |
//! | a source is cut off from the others, and its clock is set back: it serves on a head that is old | `a_source_that_was_cut_off_does_not_serve_when_its_clock_is_set_back` in the ledger's `kernel/confirm.rs`, `a_source_that_was_cut_off_serves_nobody_when_its_clock_is_set_back` in the relay's `clocks.rs` |
//! | its edge records heads and answers, and lets them through slowly to a source with a clock to match | `blocks_that_were_recorded_and_are_let_through_slowly_open_nothing`, `whoever_is_served_is_served_on_what_was_so_within_the_bound` in `kernel/confirm.rs` |
//! | one hospital helps: it says what the attacker wants | `one_that_lies_neither_opens_nor_closes` in `kernel/confirm.rs` |
//! | the power of a source that was cut off is cut, so that it forgets that it was | `adversary/stale.rs` |
//! | a clock is set ahead and back: mailboxes, pickups and receipts go, or are kept for years, and a proposer drops what waits | `a_clock_that_is_set_and_set_back_leaves_no_mark` in the relay's `clocks.rs`, `a_clock_that_was_set_ahead_makes_no_proposer_forget_what_waits` in its `keeper.rs` |
//! | the salt and the manifest leave while it is being decided whether a grant still stands | `while_it_is_being_decided_again_not_even_the_welcome_leaves` in the network's `transfer/cut.rs` |
//! | whoever reads the ledger links studies by a phone's clock | `core/wallet/src/envelope/game.rs` |
//! | a stranger with many addresses fills a relay's mailboxes | `relay/tests/relay/mailboxes.rs` |
//! | whoever was shown a card fills its mailbox | `relay/tests/relay/mailboxes.rs` |
//! | work for a mailbox is used twice, elsewhere, or in advance | `relay/tests/relay/mailboxes.rs` |
//! | a disk is filled, and a relay that must not be started again tells of a panic | `relay/tests/relay/endings.rs` |
//! | a store is taken away, and is begun anew in silence | `relay/tests/relay/endings.rs`, `relay/src/made.rs` |
//! | who lies about an AE title has as much room as all others together | `relay/src/room.rs` |
//! | a copied pickup code with another key or address | `an_altered_code_leads_nowhere_but_to_what_the_ledger_says`, `adversary/desk.rs`; `core/wallet/tests/wallet/following.rs` |
//! | a pickup code that leads to another hospital of the roster | `a_source_that_…`, `a_source_in_between_…`, `core/network/tests/transfer/pickups.rs`; `a_code_is_tried_no_more_…`, `core/wallet/tests/wallet/following.rs` |
//! | somebody else's code for a study that has its holder | `what_is_held_stays_with_its_holder`, `of_a_visit_only_what_nobody_holds_is_offered`, `adversary/desk.rs` |
//! | a code for a study that was suspended or withdrawn | `a_study_that_its_source_stopped_serving_is_not_handed_over`, `adversary/desk.rs` |
//! | a copy of `pickups.redb`, searched for its PINs | `whoever_copies_the_file_can_search_it_for_no_pin`, `relay/tests/relay/pickups.rs` |
//! | a study with the UIDs `..` writes its images outside the folder it is fetched into | `core/manifest/tests/manifest/wrong.rs` |
//! | of two cards in a picture one is granted to, in silence | `core/wallet/src/code/picture.rs` |
//! | a picture or another file takes the place of a person's own, also through a link | `core/command/src/file.rs`, `desktop/cli/tests/view.rs` |
//! | images land in an archive under an id that somebody else has there | `desktop/cli/tests/push/coerced.rs` |
//! | images and a token go over plain HTTP to another machine | `desktop/cli/tests/push/web.rs` |
//! | a passphrase of one letter seals a new vault | `core/wallet/src/vault/tests.rs` |

mod a_copy_is_used_that_is_another_patients_or_has_ended;
mod a_flood_from_64_addresses_delays_no_revocation;
mod a_flood_of_dicom_objects_fills_the_disk;
mod a_lost_catalogue_has_every_image_removed_as_stray;
mod a_pin_is_read_in_the_list_of_processes;
mod a_relay_without_its_log_votes_again;
mod a_stranger_who_gossips_at_the_validators_port_is_nobody;
mod another_user_of_the_machine_reads_what_a_relay_or_a_wallet_keeps;
mod bytes_that_no_honest_peer_sends_come_to_every_listener;
mod two_hospitals_overwrite_each_others_images;
