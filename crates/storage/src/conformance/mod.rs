//! What a store promises, as cases that every store must pass.
//!
//! A store's own tests bring a [`Backend`] and name each case once with [`crate::conformance_tests`]. Each case is a
//! sentence, gets an empty store, and says in its few lines what must hold; [`kit`] holds the words it is written
//! with. Beside the cases, [`agrees_with_the_model`] walks at random through a store and through
//! [`crate::memory::MemoryStore`] and compares what can be seen.
//!
//! Behind the feature `conformance`, so that no ordinary build carries it.

mod append;
mod catalog;
mod churn;
mod claim;
mod dead_letters;
mod dedupe;
mod deliveries;
mod erasure;
mod events;
mod isolation;
pub mod kit;
mod leases;
mod memos;
mod random;
mod replays;
mod settle;
mod signal;
mod subjects;
#[cfg(test)]
mod tests;
mod together;
mod upkeep;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;

use crate::Store;
use crate::memory::MemoryStore;
use kit::Kit;

pub use random::agrees_with_the_model;

/// One store under test, and how it is opened.
#[async_trait]
pub trait Backend: Send {
    /// Opens the store: empty the first time, later with the data of before. What was opened before has been closed and
    /// dropped.
    async fn open(&mut self) -> Arc<dyn Store>;
}

/// A case: takes an empty store and panics if a promise does not hold.
pub type Case = fn(Kit) -> Pin<Box<dyn Future<Output = ()>>>;

/// Runs the case with this name on a new store.
pub fn run(name: &str, backend: Box<dyn Backend>) {
    let (_, case) = CASES.iter().find(|(known, _)| *known == name).expect("a name of `CASES`");
    block_on(async { case(Kit::open(backend).await).await });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime").block_on(future)
}

/// The model as a [`Backend`].
#[derive(Debug, Default)]
pub struct Memory(Arc<MemoryStore>);

#[async_trait]
impl Backend for Memory {
    async fn open(&mut self) -> Arc<dyn Store> {
        self.0.reopen();
        self.0.clone()
    }
}

/// Makes a `#[test]` of each case, in a module per subject. `$open` names a `fn() -> Box<dyn Backend>` beside it.
#[macro_export]
macro_rules! conformance_tests {
    ($open:ident) => {
        $crate::each_conformance_case!(tests $open);

        #[test]
        fn it_agrees_with_the_model_on_random_walks() {
            $crate::conformance::agrees_with_the_model($open);
        }
    };
}

/// The one list of the cases, from which [`CASES`] and the tests are made.
#[doc(hidden)]
#[macro_export]
macro_rules! each_conformance_case {
    ($make:ident $($open:ident)?) => {
        $crate::each_conformance_case! { @$make ($($open)?)
            append {
                an_event_comes_back_as_it_was_stored
                bodies_are_kept_byte_for_byte
                an_event_owes_a_delivery_to_each_destination_in_order
                events_of_one_call_keep_their_order
                an_empty_append_does_nothing
                a_stillborn_delivery_is_dead_at_once_and_says_why
                an_append_that_is_refused_stores_nothing
                a_destination_that_is_gone_is_left_out
                a_dropped_append_did_everything_or_nothing
                an_event_has_a_most_of_deliveries
            }
            dedupe {
                a_known_event_is_counted_and_not_stored_again
                duplicates_inside_one_call_are_known
                thousands_of_events_are_known_after_a_restart
                the_window_counts_from_the_first_event
                a_clock_that_steps_back_opens_no_gap
                the_same_key_in_two_appspaces_is_two_events
                keys_that_begin_alike_are_told_apart
                an_event_that_was_removed_is_new_again
                a_call_that_is_made_again_is_answered_like_the_first
                another_call_under_the_same_key_is_refused_whole
            }
            events {
                events_are_found_by_source_type_and_time
                an_event_that_is_not_there_is_not_found
                paging_through_events_meets_each_once
                an_unreadable_body_is_kept_once_per_source
                the_oldest_unreadable_bodies_make_room
                retention_empties_the_quarantine_too
            }
            claim {
                fresh_deliveries_are_claimed_by_age
                what_is_claimed_comes_with_its_event
                a_claim_for_nothing_takes_nothing
                what_is_not_due_stays_and_says_when_to_come_back
                the_next_due_time_is_the_earliest_of_all_classes
                retries_are_claimed_by_due_time
                fresh_ones_come_first_then_retries_then_replays
                a_full_claim_leaves_places_to_retries_and_replays
                places_are_counted_on_from_claim_to_claim
                places_that_a_class_cannot_fill_go_to_the_others
                two_claims_never_overlap
                a_lane_holds_the_work_of_its_destination_only
                each_of_many_lanes_keeps_its_own_order
                a_deep_backlog_is_claimed_in_order_to_its_end
            }
            churn {
                a_deep_lane_loses_nothing_and_doubles_nothing
                a_deep_lane_is_the_same_on_another_day
            }
            leases {
                what_is_released_keeps_its_place
                a_released_retry_is_still_a_retry
                a_stale_release_is_ignored
                a_lease_that_is_over_is_rescued
                a_late_settlement_counts_until_the_rescue
                after_a_rescue_only_the_next_worker_can_settle
                a_cancelled_delivery_cannot_be_settled
                a_restart_voids_every_lease
                a_fence_is_never_used_twice
            }
            settle {
                a_delivered_one_is_done_for_good
                a_failed_one_waits_for_its_next_try
                a_rejected_one_is_dead_and_says_why
                a_paused_one_is_due_at_once
                a_skipped_one_has_ended_and_says_so
                attempts_are_kept_in_order_with_all_they_say
                every_reason_and_state_survives_a_restart
                outcomes_and_their_operational_events_are_one_step
                a_stale_settlement_stores_no_operational_event
                outcomes_whose_operational_event_is_refused_change_nothing
                a_stale_settlement_does_not_hinder_the_others
                a_lease_settles_once
                what_never_was_cannot_be_settled
                hundreds_of_outcomes_fit_into_one_step
            }
            deliveries {
                deliveries_are_found_by_all_that_is_known_of_them
                paging_through_deliveries_meets_each_once
                a_waiting_delivery_can_be_tried_now
                a_dead_delivery_can_start_its_schedule_again
                a_retry_leaves_a_lease_alone
                a_pending_or_dead_delivery_can_be_cancelled
                what_has_ended_is_neither_retried_nor_cancelled
                a_resend_is_a_delivery_of_its_own
                what_was_skipped_can_be_sent_again
                nothing_is_sent_again_to_a_destination_that_is_gone
            }
            dead_letters {
                dead_letters_are_found_by_reason_time_and_destination
                the_latest_to_die_comes_first
                paging_through_dead_letters_meets_each_once
                a_redrive_takes_what_fits_and_no_more_than_asked
            }
            catalog {
                the_catalog_comes_back_as_it_was_put
                what_is_put_again_is_replaced
                a_name_is_unique_among_its_kind_in_its_appspace
                what_is_deleted_is_gone_and_cannot_be_deleted_again
                a_deleted_destination_cannot_come_back
                a_change_and_its_operational_events_are_one_step
                a_source_that_is_gone_leaves_its_events
                a_deleted_destination_is_owed_nothing_and_its_log_stays
                a_large_catalog_loads_whole
                secrets_survive_a_restart
            }
            replays {
                a_replay_comes_back_as_it_was_made
                a_replay_needs_its_destination
                a_scan_sees_the_newest_state_of_each_event
                a_scan_keeps_to_its_range_and_goes_on_after_a_cursor
                a_scan_goes_on_when_its_cursor_was_removed
                a_step_makes_deliveries_that_name_their_replay
                a_replay_goes_on_after_a_restart_and_ends
                a_step_is_taken_once
                a_step_passes_over_events_that_are_gone
                a_cancelled_replay_stops_and_takes_back_what_is_open
                a_replay_that_is_done_is_cancelled_only_while_it_owes
                a_replay_to_a_destination_that_is_gone_makes_nothing
            }
            memos {
                what_is_remembered_is_recalled_after_a_restart
                a_change_says_what_it_found
                changes_of_one_call_see_each_other
                a_claim_is_won_once
                a_memo_that_is_over_counts_as_absent
                what_is_over_is_removed_by_and_by
                memos_are_listed_by_prefix_and_in_pages
                what_is_beyond_the_limits_is_refused_whole
                each_destination_has_memos_of_its_own
                nothing_is_remembered_of_a_destination_that_is_gone
            }
            subjects {
                an_event_with_facts_waits_until_it_is_folded
                a_replay_has_events_read_that_nobody_has_read
                what_is_folded_comes_back_after_a_restart
                a_fold_and_its_news_are_one_step
                a_fold_that_is_made_again_ends_the_same
                events_are_found_by_whose_they_are
                an_answer_holds_no_more_than_memory_has_room_for
                retention_waits_for_the_fold
                devices_go_with_the_last_of_their_events_and_people_stay
                a_device_of_which_a_destination_has_a_record_stays
                each_appspace_has_subjects_of_its_own
                what_names_too_much_is_refused_whole
            }
            erasure {
                an_erased_person_is_gone_and_others_are_not
                what_is_open_of_an_erased_person_is_called_off
                who_has_many_events_is_erased_in_pieces
                no_piece_of_an_erasure_is_large
            }
            upkeep {
                retention_removes_what_is_old_and_done
                retention_keeps_what_somebody_waits_for
                retention_removes_what_was_skipped
                retention_goes_in_steps_from_the_oldest
                a_lane_says_how_much_waits_and_since_when
                commits_are_counted
                a_closed_store_refuses_everything
                tidying_an_idle_store_comes_to_an_end
            }
            signal {
                new_events_mark_their_destinations
                work_that_comes_back_is_marked
                what_a_person_sets_going_is_marked
                operational_events_mark_their_destinations
            }
            together {
                a_call_that_is_refused_takes_no_other_with_it
                an_event_sent_many_times_at_once_is_stored_once
                a_name_is_given_once_however_many_ask
                nothing_is_owed_to_a_destination_deleted_meanwhile
                of_a_settlement_and_a_cancellation_one_wins
                workers_that_share_a_lane_do_each_delivery_once
            }
            isolation {
                a_stranger_finds_nothing_by_id
                a_stranger_finds_nothing_in_lists
                lists_of_two_appspaces_do_not_mix
            }
        }
    };
    (@list () $($subject:ident { $($case:ident)+ })+) => {
        &[$($((stringify!($case), |kit| Box::pin($subject::$case(kit)))),+),+]
    };
    (@tests ($open:ident) $($subject:ident { $($case:ident)+ })+) => {
        $(mod $subject {
            $(#[test]
            fn $case() {
                $crate::conformance::run(stringify!($case), super::$open());
            })+
        })+
    };
}

/// Every case, by name.
pub const CASES: &[(&str, Case)] = each_conformance_case!(list);
