//! Lifecycle runs: leases, history, deletion with its premises, restoring.

use berth_types::Digest;

use super::fixture::{
    ALL, all_images, at, blob, by_tag, image, index, push, push_with_blob, registry, repository, tags,
    tags_of, upload,
};
use crate::meta::{
    ExpireBatch, ExpireImage, ExpireOutcome, FinishedRun, ImageCursor, LifecycleRunId, MetaError, MetaStore,
    NewImage, RepositoryId, RepositoryRecord, StartedRun,
};

/// A repository with a policy.
async fn with_policy(store: &dyn MetaStore, name: &str) -> RepositoryRecord {
    let repository = repository(store, name).await;
    store.put_lifecycle_policy(repository.id, "policy").await.unwrap();
    repository
}

async fn begin(store: &dyn MetaStore, repository: &RepositoryRecord) -> StartedRun {
    store.begin_lifecycle_run(repository.id, at(100), Some(at(1_000))).await.unwrap()
}

async fn finish(store: &dyn MetaStore, repository: &RepositoryRecord, run: &StartedRun, report: &str) {
    let finished = FinishedRun {
        id: run.id,
        repository: repository.id,
        finished_at: at(110),
        report,
        runs_kept: 3,
        lease: None,
    };
    store.finish_lifecycle_run(&finished).await.unwrap();
}

/// The batch that deletes these images as they are now.
async fn batch(
    store: &dyn MetaStore,
    repository: &RepositoryRecord,
    run: &StartedRun,
    digests: &[Digest],
) -> ExpireBatch {
    let mut images = Vec::new();
    for digest in digests {
        let found = store.image(repository.id, digest).await.unwrap().unwrap();
        images.push(ExpireImage {
            digest: *digest,
            cursor: found.cursor,
            tags: found.tags,
            rule: 7,
            reason: "too old".to_owned(),
            subject: None,
            follows: None,
        });
    }
    ExpireBatch {
        run: run.id,
        repository: repository.id,
        policy_version: run.policy_version,
        restorable_until: Some(at(1_000)),
        now: at(100),
        images,
    }
}

async fn expire(
    store: &dyn MetaStore,
    repository: &RepositoryRecord,
    digests: &[Digest],
) -> (StartedRun, Vec<ExpireOutcome>) {
    let run = begin(store, repository).await;
    let batch = batch(store, repository, &run, digests).await;
    (run, store.expire_images(&batch).await.unwrap().outcomes)
}

pub(super) async fn each_due_policy_is_leased_once_longest_due_first(store: &dyn MetaStore) {
    let first = with_policy(store, "aa").await;
    assert_eq!(store.lease_due_lifecycle(at(10), at(20), at(30), "x").await.unwrap(), None, "not due yet");
    let second = with_policy(store, "bb").await;
    assert_eq!(store.lease_due_lifecycle(at(15), at(25), at(30), "x").await.unwrap(), None);
    let lease = async |now, lease: &'static str| {
        let due = store.lease_due_lifecycle(at(now), at(1_000), at(now + 50), lease).await.unwrap();
        due.map(|due| due.repository.id)
    };
    assert_eq!(lease(100, "one").await, Some(first.id));
    assert_eq!(lease(100, "two").await, Some(second.id));
    assert_eq!(lease(100, "three").await, None);
    assert!(store.renew_lifecycle_lease(first.id, "one", at(400)).await.unwrap());
    assert!(!store.renew_lifecycle_lease(first.id, "two", at(400)).await.unwrap());
    assert_eq!(lease(150, "four").await, Some(second.id), "a lease that has ended is another's");
    assert!(!store.renew_lifecycle_lease(second.id, "two", at(400)).await.unwrap());
}

pub(super) async fn a_finished_run_gives_its_lease_back(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    store.lease_due_lifecycle(at(1), at(2), at(3), "none").await.unwrap();
    store.lease_due_lifecycle(at(2), at(2), at(300), "mine").await.unwrap().unwrap();
    let run = begin(store, &repository).await;
    let finished = FinishedRun {
        id: run.id,
        repository: repository.id,
        finished_at: at(110),
        report: "{}",
        runs_kept: 3,
        lease: Some(("mine", at(200))),
    };
    store.finish_lifecycle_run(&finished).await.unwrap();
    assert!(!store.renew_lifecycle_lease(repository.id, "mine", at(400)).await.unwrap());
    assert_eq!(store.lease_due_lifecycle(at(199), at(199), at(300), "a").await.unwrap(), None);
    assert!(store.lease_due_lifecycle(at(200), at(200), at(300), "b").await.unwrap().is_some());
    let policy = store.lifecycle_policy(repository.id).await.unwrap().unwrap();
    assert_eq!(policy.last_evaluated_at, Some(at(100)));
}

pub(super) async fn a_new_policy_ends_leases_and_is_scheduled_anew(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    store.lease_due_lifecycle(at(1), at(2), at(3), "none").await.unwrap();
    store.lease_due_lifecycle(at(2), at(2), at(300), "mine").await.unwrap().unwrap();
    let run = begin(store, &repository).await;
    assert!(store.suspend_lifecycle(repository.id, run.policy_version).await.unwrap());
    assert!(!store.renew_lifecycle_lease(repository.id, "mine", at(400)).await.unwrap());
    assert_eq!(store.lease_due_lifecycle(at(1_000_000), at(9), at(9), "x").await.unwrap(), None);
    store.put_lifecycle_policy(repository.id, "policy").await.unwrap();
    assert!(!store.suspend_lifecycle(repository.id, run.policy_version).await.unwrap());
    finish(store, &repository, &run, "{}").await;
    let policy = store.lifecycle_policy(repository.id).await.unwrap().unwrap();
    assert_eq!(policy.last_evaluated_at, None, "the run was of the policy before");
    assert!(store.lease_due_lifecycle(at(10), at(10), at(20), "x").await.unwrap().is_some());
}

pub(super) async fn a_run_needs_a_policy(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let run = store.begin_lifecycle_run(repository.id, at(1), None).await;
    assert!(matches!(run, Err(MetaError::Missing)));
    let run = store.begin_lifecycle_run(RepositoryId(99), at(1), None).await;
    assert!(matches!(run, Err(MetaError::RepositoryMissing)));
    let finished = FinishedRun {
        id: LifecycleRunId(99),
        repository: repository.id,
        finished_at: at(1),
        report: "",
        runs_kept: 1,
        lease: None,
    };
    assert!(matches!(store.finish_lifecycle_run(&finished).await, Err(MetaError::Missing)));
}

pub(super) async fn the_history_is_latest_first_and_bounded(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let mut ids = Vec::new();
    for report in ["a", "b", "c", "d", "d", "e"] {
        let run = begin(store, &repository).await;
        finish(store, &repository, &run, report).await;
        ids.push(run.id);
    }
    let runs = store.lifecycle_runs(repository.id, None, ALL).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.id).collect::<Vec<_>>(), [ids[5], ids[4], ids[2]]);
    assert_eq!(runs[0].policy, "policy");
    assert_eq!((runs[0].started_at, runs[0].finished_at), (at(100), Some(at(110))));
    assert_eq!(runs[0].report.as_deref(), Some("e"));
    let page = store.lifecycle_runs(repository.id, Some(ids[5]), 1).await.unwrap();
    assert_eq!(page, runs[1..2]);
    let unfinished = begin(store, &repository).await;
    let runs = store.lifecycle_runs(repository.id, None, 1).await.unwrap();
    assert_eq!((runs[0].id, runs[0].finished_at), (unfinished.id, None));
}

pub(super) async fn expiring_deletes_and_records(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let (first, layer) = push_with_blob(store, &repository, "first", "layer").await;
    let shared = NewImage { blobs: vec![layer], ..image(repository.id, "second", &["v1", "v2"]) };
    store.put_image(&shared).await.unwrap();
    let run = begin(store, &repository).await;
    let one = batch(store, &repository, &run, &[first]).await;
    let done = store.expire_images(&one).await.unwrap();
    assert_eq!((done.outcomes.as_slice(), done.blob_bytes), (&[ExpireOutcome::Expired][..], 0));
    let two = batch(store, &repository, &run, &[shared.digest]).await;
    assert_eq!(store.expire_images(&two).await.unwrap().blob_bytes, 5, "nobody needs the layer now");
    assert_eq!(all_images(store, repository.id).await, []);
    assert_eq!(store.manifest(repository.id, &by_tag("v1")).await.unwrap(), None);
    assert_eq!(store.tags(repository.id, None, ALL).await.unwrap(), []);
    let record = store.lifecycle_runs(repository.id, None, 1).await.unwrap().remove(0);
    assert_eq!((record.images, record.blob_bytes, record.restorable_until), (2, 5, Some(at(1_000))));
    let images = store.lifecycle_run_images(repository.id, run.id, None, ALL).await.unwrap();
    assert_eq!(images.iter().map(|image| image.digest).collect::<Vec<_>>(), [first, shared.digest]);
    assert_eq!(images[1].tags, tags(&["v1", "v2"]));
    assert_eq!((images[1].rule, images[1].reason.as_str(), images[1].restored), (7, "too old", false));
    let after = Some(images[0].cursor);
    let page = store.lifecycle_run_images(repository.id, run.id, after, 1).await.unwrap();
    assert_eq!(page, images[1..]);
    assert_eq!(store.lifecycle_run_images(RepositoryId(99), run.id, None, ALL).await.unwrap(), []);
}

pub(super) async fn what_changed_since_is_not_expired(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let gone = push(store, &repository, "gone", &[]).await;
    let again = push(store, &repository, "again", &[]).await;
    let tagged = push(store, &repository, "tagged", &["v1"]).await;
    let untagged = push(store, &repository, "untagged", &["v2"]).await;
    let listed = push(store, &repository, "listed", &[]).await;
    let run = begin(store, &repository).await;
    let batch = batch(store, &repository, &run, &[gone, again, tagged, untagged, listed]).await;
    for digest in [gone, again] {
        store.delete_image(repository.id, &digest, at(90)).await.unwrap();
    }
    push(store, &repository, "again", &[]).await;
    push(store, &repository, "tagged", &["v3"]).await;
    store.delete_tag(repository.id, &super::fixture::tag("v2"), None, false, at(90)).await.unwrap();
    store.put_image(&index(repository.id, "index", &[listed], &[])).await.unwrap();
    let outcomes = store.expire_images(&batch).await.unwrap().outcomes;
    use ExpireOutcome::{Gone, Referenced, Retagged};
    assert_eq!(outcomes, [Gone, Gone, Retagged, Retagged, Referenced]);
    assert_eq!(all_images(store, repository.id).await.len(), 5);
    assert_eq!(store.lifecycle_runs(repository.id, None, 1).await.unwrap()[0].images, 0);
}

pub(super) async fn another_policy_expires_nothing(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let digest = push(store, &repository, "image", &[]).await;
    let run = begin(store, &repository).await;
    let batch = batch(store, &repository, &run, &[digest]).await;
    store.put_lifecycle_policy(repository.id, "policy").await.unwrap();
    assert_eq!(store.expire_images(&batch).await.unwrap().outcomes, [ExpireOutcome::PolicyChanged]);
    store.delete_lifecycle_policy(repository.id).await.unwrap();
    assert_eq!(store.expire_images(&batch).await.unwrap().outcomes, [ExpireOutcome::PolicyChanged]);
    assert_eq!(all_images(store, repository.id).await.len(), 1);
}

pub(super) async fn a_referrer_goes_only_with_its_subject(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let subject = push(store, &repository, "subject", &["v1"]).await;
    let referrer = NewImage { subject: Some(subject), ..image(repository.id, "signature", &[]) };
    store.put_image(&referrer).await.unwrap();
    let run = begin(store, &repository).await;
    let mut batch = batch(store, &repository, &run, &[subject, referrer.digest]).await;
    batch.images[1].follows = Some(0);
    batch.images[1].subject = Some(subject);
    push(store, &repository, "subject", &["v2"]).await;
    let outcomes = store.expire_images(&batch).await.unwrap().outcomes;
    assert_eq!(outcomes, [ExpireOutcome::Retagged, ExpireOutcome::SubjectStays]);
    batch.images[0].tags = tags(&["v1", "v2"]);
    let outcomes = store.expire_images(&batch).await.unwrap().outcomes;
    assert_eq!(outcomes, [ExpireOutcome::Expired, ExpireOutcome::Expired]);
    let images = store.lifecycle_run_images(repository.id, run.id, None, ALL).await.unwrap();
    assert_eq!(images[1].subject, Some(subject));
}

pub(super) async fn an_expired_image_is_restored_with_its_tags(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let layer = blob(store, &repository, "layer").await;
    let absent = Digest::sha256(b"absent");
    let new = NewImage {
        artifact_type: Some("application/x".to_owned()),
        blobs: vec![layer],
        optional_blobs: vec![absent],
        subject: Some(Digest::sha256(b"subject")),
        ..image(repository.id, "image", &["v1", "v2"])
    };
    store.put_image(&new).await.unwrap();
    store.record_pulls(&[(repository.id, new.digest, at(55))]).await.unwrap();
    let before = store.image(repository.id, &new.digest).await.unwrap().unwrap();
    let text = store.manifest(repository.id, &by_tag("v1")).await.unwrap().unwrap().sealed;
    let (run, _) = expire(store, &repository, &[new.digest]).await;
    assert_eq!(store.collect_blobs(at(1_000_000), ALL).await.unwrap().blobs, 0, "its blobs are kept");
    let listed = store.restorable_images(repository.id, run.id, 0, ALL).await.unwrap();
    assert_eq!(listed.iter().map(|image| image.digest).collect::<Vec<_>>(), [new.digest]);
    let restored = store.restore_image(repository.id, &new.digest, at(200)).await.unwrap();
    assert_eq!((restored.tags, restored.tags_taken), (tags(&["v1", "v2"]), Vec::new()));
    let after = store.image(repository.id, &new.digest).await.unwrap().unwrap();
    assert_eq!(crate::meta::ImageRecord { cursor: before.cursor, ..after }, before);
    assert_eq!(store.manifest(repository.id, &by_tag("v2")).await.unwrap().unwrap().sealed, text);
    assert!(store.blob_is_referenced(repository.id, &layer).await.unwrap());
    assert!(store.lifecycle_run_images(repository.id, run.id, None, ALL).await.unwrap()[0].restored);
    assert_eq!(store.restorable_images(repository.id, run.id, 0, ALL).await.unwrap(), []);
    let again = store.restore_image(repository.id, &new.digest, at(200)).await;
    assert!(matches!(again, Err(MetaError::Missing)));
    assert_eq!(store.collect_blobs(at(1_000_000), ALL).await.unwrap().blobs, 0);
    upload(store, &repository, "absent").await;
    assert!(store.blob_is_referenced(repository.id, &absent).await.unwrap(), "it still waits for it");
}

pub(super) async fn tags_that_moved_on_stay_where_they_are(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let old = push(store, &repository, "old", &["latest", "v1"]).await;
    expire(store, &repository, &[old]).await;
    let new = push(store, &repository, "new", &["latest"]).await;
    let restored = store.restore_image(repository.id, &old, at(200)).await.unwrap();
    assert_eq!((restored.tags, restored.tags_taken), (tags(&["v1"]), tags(&["latest"])));
    assert_eq!(tags_of(store, repository.id, &new).await, tags(&["latest"]));
}

pub(super) async fn an_image_pushed_again_is_new_and_gets_its_tags_back(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let (digest, layer) = push_with_blob(store, &repository, "image", "layer").await;
    store.put_image(&image(repository.id, "image", &["v1"])).await.unwrap();
    expire(store, &repository, &[digest]).await;
    let again = NewImage { blobs: vec![layer], pushed_at: at(150), ..image(repository.id, "image", &["v2"]) };
    assert!(store.put_image(&again).await.unwrap().created);
    assert_eq!(store.image(repository.id, &digest).await.unwrap().unwrap().pushed_at, at(150));
    store.restore_image(repository.id, &digest, at(200)).await.unwrap();
    let found = store.image(repository.id, &digest).await.unwrap().unwrap();
    assert_eq!((found.tags, found.pushed_at), (tags(&["v1", "v2"]), at(150)));
    let (first, _) = expire(store, &repository, &[digest]).await;
    store.put_image(&again).await.unwrap();
    let (second, _) = expire(store, &repository, &[digest]).await;
    assert_eq!(store.restorable_images(repository.id, first.id, 0, ALL).await.unwrap(), []);
    assert_eq!(store.restorable_images(repository.id, second.id, 0, ALL).await.unwrap().len(), 1);
}

pub(super) async fn what_an_image_needs_must_be_there_to_restore_it(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let (child, layer) = push_with_blob(store, &repository, "child", "layer").await;
    let parent = index(repository.id, "parent", &[child], &["v1"]);
    store.put_image(&parent).await.unwrap();
    expire(store, &repository, &[parent.digest]).await;
    expire(store, &repository, &[child]).await;
    let refused = store.restore_image(repository.id, &parent.digest, at(200)).await;
    assert!(matches!(refused, Err(MetaError::ChildrenMissing(missing)) if missing == [child]));
    store.delete_blob(repository.id, &layer, at(200)).await.unwrap();
    let refused = store.restore_image(repository.id, &child, at(200)).await;
    assert!(matches!(refused, Err(MetaError::BlobsMissing(missing)) if missing == [layer]));
    upload(store, &repository, "layer").await;
    store.restore_image(repository.id, &child, at(200)).await.unwrap();
    store.restore_image(repository.id, &parent.digest, at(200)).await.unwrap();
    let listed = store.delete_image(repository.id, &child, at(200)).await;
    assert!(matches!(listed, Err(MetaError::ReferencedBy(parents)) if parents == [parent.digest]));
}

pub(super) async fn what_is_not_restored_in_time_goes_to_the_collector(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let (digest, layer) = push_with_blob(store, &repository, "image", "layer").await;
    let (run, _) = expire(store, &repository, &[digest]).await;
    assert_eq!(store.collect_blobs(at(1_000_000), ALL).await.unwrap().blobs, 0);
    assert_eq!(store.purge_expired_images(at(999), ALL).await.unwrap(), 0);
    assert_eq!(store.purge_expired_images(at(1_000), ALL).await.unwrap(), 1);
    assert!(store.blob(repository.id, &layer).await.unwrap().is_some());
    assert_eq!(store.collect_blobs(at(1_001), ALL).await.unwrap().blobs, 1);
    assert!(matches!(store.restore_image(repository.id, &digest, at(1_001)).await, Err(MetaError::Missing)));
    assert_eq!(store.restorable_images(repository.id, run.id, 0, ALL).await.unwrap(), []);
    let images = store.lifecycle_run_images(repository.id, run.id, None, ALL).await.unwrap();
    assert_eq!(images.len(), 1, "the history stays");
}

pub(super) async fn without_a_window_nothing_can_be_restored(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let (digest, _) = push_with_blob(store, &repository, "image", "layer").await;
    let run = store.begin_lifecycle_run(repository.id, at(100), None).await.unwrap();
    let batch = ExpireBatch { restorable_until: None, ..batch(store, &repository, &run, &[digest]).await };
    assert_eq!(store.expire_images(&batch).await.unwrap().outcomes, [ExpireOutcome::Expired]);
    assert!(matches!(store.restore_image(repository.id, &digest, at(101)).await, Err(MetaError::Missing)));
    assert_eq!(store.collect_blobs(at(101), ALL).await.unwrap().blobs, 1);
}

pub(super) async fn a_deleted_repository_takes_its_runs_along(store: &dyn MetaStore) {
    let repository = with_policy(store, "aa").await;
    let (child, _) = push_with_blob(store, &repository, "child", "layer").await;
    let parent = index(repository.id, "parent", &[child], &[]);
    store.put_image(&parent).await.unwrap();
    expire(store, &repository, &[parent.digest]).await;
    let (run, _) = expire(store, &repository, &[child]).await;
    store.delete_repository(&registry(), &repository.name, false, at(300)).await.unwrap();
    assert_eq!(store.lifecycle_runs(repository.id, None, ALL).await.unwrap(), []);
    assert_eq!(store.restorable_images(repository.id, run.id, 0, ALL).await.unwrap(), []);
    assert_eq!(store.collect_blobs(at(301), ALL).await.unwrap().blobs, 1);
}

pub(super) async fn children_are_listed_by_their_index(store: &dyn MetaStore) {
    let repository = repository(store, "aa").await;
    let one = push(store, &repository, "one", &[]).await;
    let two = push(store, &repository, "two", &[]).await;
    for (text, children) in [("first", vec![one, two]), ("second", vec![two])] {
        store.put_image(&index(repository.id, text, &children, &[])).await.unwrap();
    }
    let cursors: Vec<ImageCursor> =
        all_images(store, repository.id).await.iter().map(|image| image.cursor).collect();
    let found = store.index_children(repository.id, None, cursors[3]).await.unwrap();
    let pairs: Vec<_> = found.iter().map(|record| (record.parent, record.child)).collect();
    assert_eq!(pairs, [(cursors[2], one), (cursors[2], two), (cursors[3], two)]);
    let page = store.index_children(repository.id, Some(cursors[2]), cursors[3]).await.unwrap();
    assert_eq!(page, found[2..]);
    assert_eq!(store.index_children(repository.id, None, cursors[1]).await.unwrap(), []);
}
