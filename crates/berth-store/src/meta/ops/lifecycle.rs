//! Lifecycle runs: whose turn it is, and what they did.

use berth_types::Timestamp;

use super::repositories;
use crate::meta::tx::{Row, RowExt, Sequence, Tx, limit, unreadable};
use crate::meta::{
    ChildRecord, DueLifecycle, FinishedRun, ImageCursor, LifecycleRunId, LifecycleRunImage,
    LifecycleRunRecord, MetaError, RepositoryId, StartedRun,
};

const SCHEDULE: &str = "UPDATE lifecycle_policy SET due_at = ?1 WHERE due_at IS NULL";
const DUE: &str = "SELECT repository_id FROM lifecycle_policy WHERE due_at <= ?1 ORDER BY due_at LIMIT 1";
const LEASE: &str = "UPDATE lifecycle_policy SET due_at = ?2, lease = ?3 WHERE repository_id = ?1";
const RENEW: &str = "UPDATE lifecycle_policy SET due_at = ?3 WHERE repository_id = ?1 AND lease = ?2";
const RELEASE: &str =
    "UPDATE lifecycle_policy SET due_at = ?3, lease = NULL WHERE repository_id = ?1 AND lease = ?2";
const SUSPEND: &str =
    "UPDATE lifecycle_policy SET due_at = ?3, lease = NULL WHERE repository_id = ?1 AND version = ?2";
const EVALUATED: &str =
    "UPDATE lifecycle_policy SET last_evaluated_at = ?3 WHERE repository_id = ?1 AND version = ?2";
const POLICY: &str = "SELECT text, version FROM lifecycle_policy WHERE repository_id = ?1";
const BEGIN: &str = "INSERT INTO lifecycle_run (id, repository_id, policy_version, policy, started_at,
         image_count, blob_bytes, restorable_until)
     VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, ?6)";
const FINISH: &str = "UPDATE lifecycle_run SET finished_at = ?3, report = ?4
     WHERE id = ?1 AND repository_id = ?2 RETURNING policy_version, started_at";
/// The run before, if both did nothing under one policy and with one result: it says nothing that this one does not.
const REPEATED: &str = "SELECT b.id FROM lifecycle_run b JOIN lifecycle_run r ON r.id = ?1
     WHERE b.id = (SELECT MAX(id) FROM lifecycle_run WHERE repository_id = ?2 AND id < ?1)
       AND b.image_count = 0 AND r.image_count = 0 AND b.policy_version = r.policy_version
       AND b.report = r.report";
/// Older than the so many that are kept, apart from those whose images can still be restored.
const OUTDATED: &str = "SELECT o.id FROM lifecycle_run o WHERE o.repository_id = ?1
       AND o.id < (SELECT k.id FROM lifecycle_run k WHERE k.repository_id = ?1 ORDER BY k.id DESC LIMIT 1 OFFSET ?2)
       AND NOT EXISTS (SELECT 1 FROM expired_image e WHERE e.run_id = o.id)";
const FORGET: [&str; 2] =
    ["DELETE FROM lifecycle_run_image WHERE run_id = ?1", "DELETE FROM lifecycle_run WHERE id = ?1"];
const RUNS: &str = "SELECT id, policy, policy_version, started_at, finished_at, image_count, blob_bytes,
            restorable_until, report
     FROM lifecycle_run WHERE repository_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3";
const RUN_IMAGES: &str =
    "SELECT i.manifest_id, i.digest, i.tags, i.image_bytes, i.rule, i.subject, i.reason, i.restored
     FROM lifecycle_run r JOIN lifecycle_run_image i ON i.run_id = r.id
     WHERE r.id = ?1 AND r.repository_id = ?2 AND i.manifest_id > ?3 ORDER BY i.manifest_id LIMIT ?4";
const CHILDREN: &str =
    "SELECT c.parent_id, m.digest FROM manifest_child c JOIN manifest m ON m.id = c.child_id
     WHERE c.repository_id = ?1 AND c.parent_id > ?2 AND c.parent_id <= ?3
     ORDER BY c.parent_id, c.child_id";

pub(crate) async fn lease_due<T: Tx>(
    tx: &mut T,
    now: Timestamp,
    first_run: Timestamp,
    until: Timestamp,
    lease: &str,
) -> Result<Option<DueLifecycle>, MetaError> {
    tx.execute(SCHEDULE, &[first_run.into()]).await?;
    let due = tx.query_opt(DUE, &[now.into()], |row| row.need_int(0)).await?;
    let Some(repository) = due else { return Ok(None) };
    tx.execute(LEASE, &[repository.into(), until.into(), lease.into()]).await?;
    let repository = repositories::by_id(tx, RepositoryId(repository)).await?;
    Ok(Some(DueLifecycle { repository, lease: lease.to_owned() }))
}

pub(crate) async fn renew_lease<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    lease: &str,
    until: Timestamp,
) -> Result<bool, MetaError> {
    Ok(tx.execute(RENEW, &[repository.into(), lease.into(), until.into()]).await? == 1)
}

pub(crate) async fn suspend<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    policy_version: i64,
) -> Result<bool, MetaError> {
    let params = [repository.into(), policy_version.into(), i64::MAX.into()];
    Ok(tx.execute(SUSPEND, &params).await? == 1)
}

pub(crate) async fn begin<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    now: Timestamp,
    restorable_until: Option<Timestamp>,
) -> Result<StartedRun, MetaError> {
    repositories::require(tx, repository).await?;
    let policy = tx
        .query_opt(POLICY, &[repository.into()], |row| Ok((row.need_text(0)?.to_owned(), row.need_int(1)?)))
        .await?;
    let (policy, policy_version) = policy.ok_or(MetaError::Missing)?;
    let id = tx.next_id(Sequence::LifecycleRun).await?;
    let params = [
        id.into(),
        repository.into(),
        policy_version.into(),
        policy.as_str().into(),
        now.into(),
        restorable_until.into(),
    ];
    tx.execute(BEGIN, &params).await?;
    Ok(StartedRun { id: LifecycleRunId(id), policy, policy_version })
}

pub(crate) async fn finish<T: Tx>(tx: &mut T, run: &FinishedRun<'_>) -> Result<(), MetaError> {
    let (id, repository) = (run.id.0.into(), run.repository.into());
    let params = [id, repository, run.finished_at.into(), run.report.into()];
    let begun = tx.query_opt(FINISH, &params, |row| Ok((row.need_int(0)?, row.need_int(1)?))).await?;
    let (version, started_at) = begun.ok_or(MetaError::Missing)?;
    tx.execute(EVALUATED, &[repository, version.into(), started_at.into()]).await?;
    if let Some((lease, next)) = run.lease {
        tx.execute(RELEASE, &[repository, lease.into(), next.into()]).await?;
    }
    let newer = limit(run.runs_kept.max(1)) - 1;
    let mut outdated = tx.query(REPEATED, &[id, repository], |row| row.need_int(0)).await?;
    outdated.extend(tx.query(OUTDATED, &[repository, newer.into()], |row| row.need_int(0)).await?);
    for run in outdated {
        for statement in FORGET {
            tx.execute(statement, &[run.into()]).await?;
        }
    }
    Ok(())
}

pub(crate) async fn runs<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    before: Option<LifecycleRunId>,
    rows: usize,
) -> Result<Vec<LifecycleRunRecord>, MetaError> {
    let before = before.map_or(i64::MAX, |run| run.0);
    tx.query(RUNS, &[repository.into(), before.into(), limit(rows).into()], |row| {
        Ok(LifecycleRunRecord {
            id: LifecycleRunId(row.need_int(0)?),
            policy: row.need_text(1)?.to_owned(),
            policy_version: row.need_int(2)?,
            started_at: row.time(3)?,
            finished_at: row.int(4)?.map(Timestamp::from_millis),
            images: row.bytes(5)?,
            blob_bytes: row.bytes(6)?,
            restorable_until: row.int(7)?.map(Timestamp::from_millis),
            report: row.text(8)?.map(str::to_owned),
        })
    })
    .await
}

pub(crate) async fn run_images<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    run: LifecycleRunId,
    after: Option<ImageCursor>,
    rows: usize,
) -> Result<Vec<LifecycleRunImage>, MetaError> {
    let after = after.map_or(0, |after| after.0);
    let params = [run.0.into(), repository.into(), after.into(), limit(rows).into()];
    tx.query(RUN_IMAGES, &params, |row| {
        Ok(LifecycleRunImage {
            cursor: ImageCursor(row.need_int(0)?),
            digest: row.digest(1)?,
            tags: split_tags(row, 2)?,
            image_bytes: row.bytes(3)?,
            rule: u32::try_from(row.need_int(4)?).map_err(|_| unreadable(4, "a rule"))?,
            subject: row.opt_digest(5)?,
            reason: row.need_text(6)?.to_owned(),
            restored: row.need_int(7)? != 0,
        })
    })
    .await
}

pub(crate) async fn children<T: Tx>(
    tx: &mut T,
    repository: RepositoryId,
    after: Option<ImageCursor>,
    through: ImageCursor,
) -> Result<Vec<ChildRecord>, MetaError> {
    let after = after.map_or(0, |after| after.0);
    tx.query(CHILDREN, &[repository.into(), after.into(), through.0.into()], |row| {
        Ok(ChildRecord { parent: ImageCursor(row.need_int(0)?), child: row.digest(1)? })
    })
    .await
}

/// Tags in one column, as [`split_tags`] reads them.
pub(super) fn join_tags(tags: &[berth_types::Tag]) -> String {
    tags.iter().map(berth_types::Tag::as_str).collect::<Vec<_>>().join(" ")
}

pub(super) fn split_tags(row: &dyn Row, column: usize) -> Result<Vec<berth_types::Tag>, MetaError> {
    let tags = row.need_text(column)?.split_ascii_whitespace().map(berth_types::Tag::parse);
    tags.collect::<Result<_, _>>().map_err(|_| unreadable(column, "tags"))
}
