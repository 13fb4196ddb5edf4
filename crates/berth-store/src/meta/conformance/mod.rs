//! What every metadata store must do: one test per clause of [`MetaStore`]'s contract, run against every backend.

mod collector;
pub(in crate::meta) mod fixture;
mod images;
mod installation;
mod interleavings;
mod lifecycle;
mod listings;
mod previews;
mod pushes;
mod repositories;
mod uploads;

use std::path::Path;

use super::{MetaStore, SqliteMeta};

/// A store and what must live as long as it does.
type Opened = (Box<dyn MetaStore>, Option<tempfile::TempDir>);

fn sqlite_in_a_file() -> Opened {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMeta::open(&directory.path().join(Path::new("meta.db"))).unwrap();
    (Box::new(store), Some(directory))
}

fn sqlite_in_memory() -> Opened {
    (Box::new(SqliteMeta::in_memory().unwrap()), None)
}

/// Runs the whole suite against a backend. A clause that is missing here is an unused function, which the compiler reports.
macro_rules! conformance {
    ($backend:ident, $open:path) => {
        mod $backend {
            conformance!(@group $open, installation: [
                a_setting_keeps_its_first_value,
                a_domain_keeps_its_first_key,
                it_answers_a_check,
                totals_count_everything,
                dead_objects_are_listed_longest_dead_first_and_forgotten,
            ]);
            conformance!(@group $open, repositories: [
                creating_gives_back_what_was_asked_for,
                creating_again_is_refused,
                the_same_name_in_another_registry_is_another_repository,
                a_repository_needs_its_domain,
                creating_with_too_many_resource_tags_is_refused,
                listing_is_by_name_and_continues_after_any_name,
                deleting_an_absent_one_is_an_error,
                deleting_one_with_images_needs_force,
                deleting_takes_everything_with_it,
                deleting_returns_the_objects_of_unfinished_uploads,
                a_repository_created_again_is_new_and_empty,
                mutability_changes_whole,
                scan_on_push_changes,
                resource_tags_are_sorted_and_overwritten,
                too_many_resource_tags_change_nothing,
                resource_tags_are_removed_by_key,
                a_lifecycle_policy_is_put_replaced_and_deleted,
                what_is_done_to_an_absent_repository_fails,
            ]);
            conformance!(@group $open, pushes: [
                a_new_image_is_created_with_its_tags,
                pushing_again_changes_nothing_and_keeps_the_time,
                pushing_again_adds_tags,
                pushing_into_an_absent_repository_is_refused,
                required_blobs_must_be_in_the_repository,
                a_blob_of_another_repository_does_not_count,
                optional_blobs_may_be_absent,
                an_optional_blob_that_comes_later_is_referenced,
                children_must_be_in_the_repository,
                an_index_is_as_large_as_its_largest_child,
                a_refused_push_changes_nothing,
                a_mutable_tag_moves_and_leaves_its_image_untagged,
                an_immutable_tag_does_not_move,
                an_immutable_tag_may_be_pushed_to_its_own_image,
                exclusions_decide_per_tag,
                the_rule_is_the_one_of_the_moment,
                a_tag_given_twice_is_set_once,
                things_named_twice_count_once,
                an_image_takes_so_many_tags_and_no_more,
                long_digests_are_digests,
            ]);
            conformance!(@group $open, images: [
                a_manifest_is_found_by_tag_and_by_digest,
                an_image_comes_with_its_tags_sorted,
                deleting_a_tag_leaves_the_image,
                deleting_the_last_tag_may_delete_the_image,
                deleting_one_of_two_tags_never_deletes_the_image,
                deleting_a_tag_checks_the_digest,
                deleting_an_absent_tag_is_an_error,
                the_last_tag_of_a_child_stays_if_the_image_would_go,
                deleting_an_image_returns_its_tags,
                deleting_an_absent_image_is_an_error,
                a_child_cannot_be_deleted_and_its_parents_are_named_in_order,
                a_child_can_be_deleted_after_its_parents,
                deleting_a_subject_leaves_its_referrers,
                an_image_pushed_after_its_deletion_is_new,
                pulls_are_recorded_and_never_go_back,
                a_blob_is_found_in_its_repository_only,
                a_blob_is_referenced_while_an_image_needs_it,
                deleting_a_blob_takes_it_out_of_one_repository,
                a_blob_in_use_is_not_deleted,
                mounting_takes_from_the_repository_named,
                mounting_from_anywhere_stays_in_the_registry,
                mounting_stays_in_the_encryption_domain,
                mounting_what_is_there_already_is_fine,
                mounting_into_an_absent_repository_is_an_error,
            ]);
            conformance!(@group $open, listings: [
                images_come_oldest_push_first,
                images_are_filtered_by_tag_status,
                a_page_of_images_continues_after_a_deleted_one,
                the_last_image_deleted_does_not_hide_the_next_push,
                image_ids_are_pairs_in_order,
                image_ids_are_filtered_by_tag_status,
                image_ids_continue_inside_an_image,
                image_ids_continue_after_what_is_gone,
                tags_are_in_byte_order,
                tags_continue_after_any_tag,
                referrers_are_found_by_subject,
                referrers_are_filtered_by_type_and_paged,
                listings_of_an_absent_repository_are_empty,
                no_rows_are_asked_for_and_none_come,
            ]);
            conformance!(@group $open, collector: [
                an_unused_blob_is_collected_after_its_time,
                a_blob_of_an_image_is_kept_until_the_image_goes,
                a_blob_goes_with_its_last_repository,
                a_blob_taken_out_stays_until_its_time_is_up_everywhere,
                using_a_blob_again_starts_its_time_anew,
                telling_that_a_blob_is_there_starts_its_time_anew,
                a_manifest_that_comes_too_late_is_refused,
                the_blobs_of_a_deleted_repository_are_collected,
                a_step_is_as_large_as_asked_for_and_oldest_first,
            ]);
            conformance!(@group $open, lifecycle: [
                each_due_policy_is_leased_once_longest_due_first,
                a_finished_run_gives_its_lease_back,
                a_new_policy_ends_leases_and_is_scheduled_anew,
                a_run_needs_a_policy,
                the_history_is_latest_first_and_bounded,
                expiring_deletes_and_records,
                what_changed_since_is_not_expired,
                another_policy_expires_nothing,
                a_referrer_goes_only_with_its_subject,
                an_expired_image_is_restored_with_its_tags,
                tags_that_moved_on_stay_where_they_are,
                an_image_pushed_again_is_new_and_gets_its_tags_back,
                what_an_image_needs_must_be_there_to_restore_it,
                what_is_not_restored_in_time_goes_to_the_collector,
                without_a_window_nothing_can_be_restored,
                a_deleted_repository_takes_its_runs_along,
                children_are_listed_by_their_index,
            ]);
            conformance!(@group $open, previews: [
                a_preview_keeps_its_results,
                the_attached_policy_is_previewed_if_none_is_given,
                a_preview_under_way_is_waited_for_unless_it_is_stale,
                a_finished_preview_is_replaced,
            ]);
            conformance!(@group $open, uploads: [
                an_upload_is_found_in_its_repository,
                an_upload_needs_a_repository,
                a_repository_takes_so_many_uploads_and_no_more,
                an_upload_advances_from_where_it_stands,
                an_upload_that_is_gone_does_not_advance,
                completing_makes_a_blob,
                completing_known_content_returns_the_surplus_object,
                completing_links_what_another_repository_has,
                completing_again_what_the_repository_has_says_so,
                domains_do_not_share_blobs,
                completing_an_absent_upload_is_an_error,
                completing_in_an_absent_repository_is_an_error,
                cancelling_returns_the_object,
                cancelling_an_absent_upload_is_an_error,
                old_uploads_expire_oldest_first,
                every_object_given_back_is_recorded_as_dead,
            ]);
        }
    };
    (@group $open:path, $group:ident: [$($clause:ident,)*]) => {
        mod $group {
            $(
                #[tokio::test]
                async fn $clause() {
                    let (store, _directory) = $open();
                    crate::meta::conformance::$group::$clause(&*store).await;
                }
            )*
        }
    };
}

conformance!(file, crate::meta::conformance::sqlite_in_a_file);
conformance!(memory, crate::meta::conformance::sqlite_in_memory);
