//! One suite of cases for both adapters of the cloud ports, so that the simulated account is no fiction.
//!
//! A [`Stage`] is an account that a case may furnish: the simulator's, or the AWS adapter's in front of moto. Every case
//! runs on a stage of its own, looks at it through the ports alone, and says what the program relies on. [`suite!`]
//! makes one test of each case. What only one adapter can promise (lag, people, visibility) is tested beside it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::NaiveDate;
use costwarden::cloud::{CloudAct, CloudRead, read_partition};
use costwarden::domain::Instant;
use costwarden::domain::place::{Kind, Place, ResourceKey};
use costwarden::domain::resource::Resource;
use costwarden::domain::usage::Metric;

mod acting;
#[cfg(feature = "aws")]
mod aws_stage;
mod failing;
mod keys;
mod measuring;
mod reading;
mod sim_stage;
mod snapshots;
mod storage;

/// An account to furnish. Fresh for each case; what it holds from birth (an account's own defaults) does not matter,
/// because cases compare with what they found.
#[async_trait]
pub trait Stage: Send + Sync {
    /// The reading port under test.
    fn read(&self) -> &dyn CloudRead;

    /// The acting port under test.
    fn act(&self) -> &dyn CloudAct;

    /// Where most cases play.
    fn place(&self) -> Place;

    /// Another Region of the same account.
    fn other_region(&self) -> Place;

    /// Another account, same Region.
    fn other_account(&self) -> Place;

    /// The account's present.
    fn now(&self) -> Instant;

    /// How many pages a listing of so many resources of a kind has; small pages, so that three resources need two.
    fn pages(&self, kind: Kind, resources: usize) -> u32;

    /// A running instance without protection, with one root volume.
    async fn make_instance(&self, place: &Place, instance_type: &str, tags: &[(&str, &str)]) -> ResourceKey;

    /// An available volume that nothing is attached to, with these tags from birth.
    async fn make_volume(&self, place: &Place, volume_type: &str, size_gib: u32, tags: &[(&str, &str)]) -> ResourceKey;

    /// An encryption key of a place, enabled, by the name that its volumes have for it.
    async fn make_key(&self, place: &Place) -> String;

    /// Puts a key into a state: `Enabled`, `Disabled` or `PendingDeletion`.
    async fn set_key(&self, place: &Place, key: &str, state: &str);

    /// An available volume of 8 GiB that is encrypted under a key.
    async fn make_encrypted_volume(&self, place: &Place, key: &str) -> ResourceKey;

    /// A completed own snapshot of a volume.
    async fn make_snapshot(&self, volume: &ResourceKey) -> ResourceKey;

    /// A completed snapshot of another owner that this account may use.
    async fn make_foreign_snapshot(&self, place: &Place) -> ResourceKey;

    /// An available own image of an instance.
    async fn make_image(&self, instance: &ResourceKey, name: &str) -> ResourceKey;

    /// An elastic address, associated or not.
    async fn make_address(&self, place: &Place, instance: Option<&ResourceKey>) -> ResourceKey;

    /// Attaches a volume; it is attached on return.
    async fn attach(&self, volume: &ResourceKey, instance: &ResourceKey, device: &str);

    /// Switches an instance's protection.
    async fn protect(&self, instance: &ResourceKey, stop: bool, termination: bool);

    /// Puts one figure a day into a metric of an instance: an average for CPU, a sum for the others. Other days have no
    /// datapoint.
    async fn measure(&self, instance: &ResourceKey, metric: Metric, days: &[(NaiveDate, f64)]);

    /// Makes every call of an operation fail from now on, in every place.
    async fn fail(&self, operation: &str, failure: Failure);

    /// Lets everything that is under way come to its end.
    async fn settle(&self);
}

/// How calls fail on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `RequestLimitExceeded`.
    Throttle,
    /// `UnauthorizedOperation`.
    Deny,
    /// From this page of a listing on, the answer breaks off; counted from 1.
    CutPage(u32),
}

/// One test for each case, on stages that `$begin` makes; it is given the case's name.
macro_rules! suite {
    ($module:ident, $begin:path) => {
        mod $module {
            suite!(@cases $begin, reading: [
                an_empty_partition_is_one_empty_page,
                small_pages_bring_every_resource_once,
                what_does_not_exist_is_not_found,
                an_instance_is_read_with_its_particulars,
                a_volume_is_read_with_its_particulars,
                tags_come_sorted_and_whole,
                protection_is_known_to_a_single_read_and_unknown_to_a_listing,
                an_attachment_is_seen_from_both_sides,
                an_unattached_volume_has_no_attachment,
                an_address_says_whether_something_uses_it,
                an_image_names_its_snapshots,
                only_own_snapshots_are_listed,
                the_credentials_say_whose_they_are,
                two_accounts_do_not_see_each_other,
                two_regions_do_not_see_each_other,
                every_request_is_counted,
                a_launch_and_a_type_are_told_for_prechecks,
            ]);
            suite!(@cases $begin, acting: [
                a_stop_is_observed_in_the_end,
                stopping_what_is_stopped_is_no_error,
                stop_protection_refuses,
                a_volume_in_use_is_not_deleted,
                a_deleted_volume_is_gone_and_cannot_be_deleted_again,
                permission_asked_is_nothing_done,
                acting_on_what_does_not_exist_is_not_found,
                new_tags_leave_the_others,
                the_fifty_first_tag_is_refused_and_none_is_added,
                ids_of_another_kind_cannot_be_built,
                a_stopped_instance_starts_again,
                a_volume_comes_back_from_its_snapshot_with_its_size_type_zone_and_tags,
                a_tag_goes_only_while_it_has_the_value_named,
                a_stopped_instance_gets_another_type_and_keeps_the_rest,
                a_terminated_instance_is_seen_as_such_and_another_lives,
                termination_protection_refuses,
                an_instance_is_launched_from_an_image_of_snapshots,
            ]);
            suite!(@cases $begin, snapshots: [
                a_snapshot_is_pending_and_then_completed,
                a_snapshot_carries_its_tags_and_is_found_by_them,
                a_snapshot_knows_its_source,
                all_attached_volumes_are_snapshotted_in_one_call,
            ]);
            suite!(@cases $begin, keys: [
                a_volume_and_its_snapshot_name_the_key_that_they_are_encrypted_under,
                a_key_says_in_which_state_it_is,
                a_question_about_a_key_that_fails_is_an_error_and_no_state,
            ]);
            suite!(@cases $begin, storage: [
                a_gp2_volume_becomes_gp3_in_place_and_says_when,
                a_released_address_is_gone_and_is_had_back_by_its_number,
                a_deleted_snapshot_is_gone_and_cannot_be_deleted_again,
                a_snapshot_says_which_image_it_is_part_of_and_then_stays,
                a_deregistered_image_is_gone_and_lets_its_snapshots_go,
                permission_to_change_storage_is_asked_without_changing_it,
            ]);
            suite!(@cases $begin, measuring: [
                figures_come_by_day,
                a_missing_day_is_missing,
                what_was_never_measured_is_absent,
                five_hundred_series_are_answered_in_order_and_one_more_is_refused,
            ]);
            suite!(@cases $begin, failing: [
                a_throttled_reader_says_throttled,
                a_throttled_change_says_throttled_and_did_nothing,
                a_denied_reader_says_denied,
                a_denied_change_says_denied_before_and_at_the_call,
                a_page_that_breaks_off_leaves_the_pages_before_it,
            ]);
        }
    };
    (@cases $begin:path, $group:ident: [$($case:ident),+ $(,)?]) => {
        $(
            #[tokio::test]
            async fn $case() {
                let stage = $begin(stringify!($case)).await;
                super::$group::$case(&stage).await;
            }
        )+
    };
}

suite!(sim, crate::conformance::sim_stage::begin);
#[cfg(feature = "aws")]
suite!(aws, crate::conformance::aws_stage::begin);

/// Every resource of a kind, read to the end.
async fn all(stage: &dyn Stage, place: &Place, kind: Kind) -> Vec<Resource> {
    let mut resources = Vec::new();
    let (_, error) = read_partition(stage.read(), &place.partition(kind), |page| resources.extend(page)).await;
    assert_eq!(error, None, "the listing of {kind} in {place} ended early");
    resources
}

/// The ids of a kind.
async fn ids(stage: &dyn Stage, place: &Place, kind: Kind) -> BTreeSet<String> {
    all(stage, place, kind).await.into_iter().map(|resource| resource.key.id.to_string()).collect()
}

/// The ids that came since `before`.
async fn new_ids(stage: &dyn Stage, place: &Place, kind: Kind, before: &BTreeSet<String>) -> Vec<String> {
    ids(stage, place, kind).await.difference(before).cloned().collect()
}

/// One resource, read fresh.
async fn look(stage: &dyn Stage, key: &ResourceKey) -> Resource {
    stage.read().describe(key).await.unwrap_or_else(|error| panic!("{key}: {error}"))
}

/// The ids of keys, sorted.
fn sorted(keys: &[ResourceKey]) -> Vec<String> {
    keys.iter().map(|key| key.id.to_string()).collect::<BTreeSet<_>>().into_iter().collect()
}
