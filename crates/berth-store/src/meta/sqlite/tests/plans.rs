//! No statement of any operation walks through a table that grows.

use berth_types::Digest;
use rusqlite::{Connection, params_from_iter};

use super::super::SqliteTx;
use super::super::tx::now;
use crate::blob::DomainId;
use crate::meta::conformance::fixture::{at, image, index, name, registry, tag, tags, upload_in};
use crate::meta::ops::{
    blobs, collector, dead_objects, expire, images, installation, lifecycle, preview, put_image,
    repositories, tags as tag_ops, uploads,
};
use crate::meta::tx::{Row, Sequence, Tx, Value};
use crate::meta::{
    DomainRecord, Encryption, ExpireBatch, ExpireImage, ExpireOutcome, FinishedRun, ImageCursor,
    ImageIdCursor, MetaError, NewBlob, NewImage, NewPreview, NewRepository, PreviewAction, PreviewImage,
    RepositoryId, RepositoryRecord, TagStatus, UploadProgress,
};

/// What a statement may walk through, and why.
const WALKS: &[(&str, &str)] = &[
    ("SELECT (SELECT CAST(COALESCE(SUM", "numbers about everything, for metrics"),
    ("SELECT m.id, m.digest, m.media_type, m.artifact_type, m.image_bytes", "m is the page, already cut"),
    ("SELECT COUNT(*) FROM (SELECT 1 AS one", "u is at most the quota"),
    ("SELECT number FROM migration ORDER BY", "in the order of the key, one row"),
    ("SELECT object FROM dead_object ORDER BY", "in the order of the key, as many rows as asked for"),
];

/// A transaction that notes how SQLite goes about every statement.
struct Explaining<'c> {
    inner: SqliteTx<'c>,
    walks: Vec<String>,
    statements: usize,
}

impl Explaining<'_> {
    fn explain(&mut self, sql: &str, params: &[Value<'_>]) {
        self.statements += 1;
        let mut statement =
            self.inner.connection.prepare_cached(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = statement.query_map(params_from_iter(params), |row| row.get::<_, String>(3)).unwrap();
        for step in steps.map(Result::unwrap) {
            let sorts = step.contains("TEMP B-TREE") && sql.contains("LIMIT ?");
            let walks = step.starts_with("SCAN") && step != "SCAN CONSTANT ROW";
            let allowed = WALKS.iter().any(|(start, _)| sql.starts_with(start));
            if (walks || sorts) && !allowed {
                self.walks.push(format!("{step}: {sql}"));
            }
        }
    }
}

impl Tx for Explaining<'_> {
    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, MetaError> {
        self.explain(sql, params);
        self.inner.execute(sql, params).await
    }

    async fn for_each<F>(&mut self, sql: &'static str, params: &[Value<'_>], each: F) -> Result<(), MetaError>
    where
        F: FnMut(&dyn Row) -> Result<(), MetaError> + Send,
    {
        self.explain(sql, params);
        self.inner.for_each(sql, params, each).await
    }

    async fn next_id(&mut self, sequence: Sequence) -> Result<i64, MetaError> {
        self.inner.next_id(sequence).await
    }
}

#[test]
fn every_statement_finds_its_rows_by_an_index() {
    let opened = super::super::open::memory().unwrap();
    let mut connection: std::sync::MutexGuard<'_, Connection> = opened.writer.lock().unwrap();
    let inner = SqliteTx { connection: &mut connection };
    let mut tx = Explaining { inner, walks: Vec::new(), statements: 0 };
    let repository = now(set_up(&mut tx)).unwrap();
    now(push_everything(&mut tx, &repository)).unwrap();
    now(read_everything(&mut tx, &repository)).unwrap();
    now(delete_everything(&mut tx, &repository)).unwrap();
    assert!(tx.statements > 100, "only {} statements were run", tx.statements);
    assert!(tx.walks.is_empty(), "{}", tx.walks.join("\n"));
}

async fn set_up<T: Tx>(tx: &mut T) -> Result<RepositoryRecord, MetaError> {
    installation::setting_or_insert(tx, "a", b"b").await?;
    let domain =
        DomainRecord { name: "domain".into(), id: DomainId(uuid::Uuid::new_v4()), wrapped_key: vec![1] };
    installation::domain_or_insert(tx, &domain).await?;
    installation::check(tx).await?;
    let new = NewRepository {
        registry: registry(),
        name: name("aa"),
        created_at: at(1),
        mutability: berth_types::TagMutability::mutable(),
        scan_on_push: true,
        encryption: Encryption::Aes256,
        domain: domain.id,
        resource_tags: vec![("a".into(), "b".into())],
    };
    let repository = repositories::create(tx, &new).await?;
    let id = repository.id;
    repositories::set_tag_mutability(tx, id, &new.mutability).await?;
    repositories::set_scan_on_push(tx, id, false).await?;
    repositories::set_resource_tags(tx, id, &new.resource_tags).await?;
    repositories::remove_resource_tags(tx, id, &["a".into()]).await?;
    repositories::put_lifecycle_policy(tx, id, "policy").await?;
    repositories::lifecycle_policy(tx, id).await?;
    Ok(repository)
}

async fn push_everything<T: Tx>(tx: &mut T, repository: &RepositoryRecord) -> Result<(), MetaError> {
    let id = repository.id;
    let (layer, waiting) = (Digest::sha256(b"layer"), Digest::sha256(b"waiting"));
    let first = NewImage { optional_blobs: vec![waiting], ..image(id, "first", &["v1"]) };
    put_image::put_image(tx, &first).await?;
    for digest in [layer, waiting] {
        let upload = upload_in(repository);
        uploads::create(tx, &upload).await?;
        let progress = UploadProgress { bytes: 5, checkpoint: None, updated_at: at(9) };
        uploads::advance(tx, id, upload.id, 0, &progress).await?;
        assert!(uploads::advance(tx, id, upload.id, 0, &progress).await.is_err());
        uploads::upload(tx, id, upload.id).await?;
        let blob = NewBlob { digest, bytes: 5, created_at: at(9) };
        uploads::complete(tx, id, upload.id, &blob).await?;
    }
    let upload = upload_in(repository);
    uploads::create(tx, &upload).await?;
    uploads::cancel(tx, id, upload.id).await?;
    uploads::expire(tx, at(1_000), 10).await?;
    for from in [None, Some(id)] {
        assert!(blobs::mount(tx, id, &layer, from, at(20)).await?.is_some());
    }
    let second = NewImage { blobs: vec![layer], ..image(id, "second", &["v1", "v2"]) };
    put_image::put_image(tx, &second).await?;
    put_image::put_image(tx, &second).await?;
    put_image::put_image(tx, &index(id, "index", &[first.digest, second.digest], &[])).await?;
    images::record_pulls(tx, &[(id, second.digest, at(30))]).await
}

async fn read_everything<T: Tx>(tx: &mut T, repository: &RepositoryRecord) -> Result<(), MetaError> {
    let id = repository.id;
    let digest = Digest::sha256(b"first");
    repositories::by_name(tx, &repository.registry, &repository.name).await?;
    repositories::list(tx, &repository.registry, Some(&repository.name), 10).await?;
    repositories::resource_tags(tx, id).await?;
    for reference in [berth_types::Reference::Tag(tag("v1")), berth_types::Reference::Digest(digest)] {
        images::manifest(tx, id, &reference).await?;
    }
    images::image(tx, id, &digest).await?;
    for filter in [TagStatus::Any, TagStatus::Tagged, TagStatus::Untagged] {
        let page = images::list(tx, id, filter, None, 1).await?;
        let cursor = ImageIdCursor { image: page[0].cursor, tag: Some(tag("v1")) };
        images::ids(tx, id, filter, Some(&cursor), 10).await?;
    }
    for artifact_type in [None, Some("x")] {
        images::referrers(tx, id, &digest, artifact_type, None, 10).await?;
    }
    assert_eq!(tag_ops::list(tx, id, Some(&tag("a")), 10).await?, tags(&["v1", "v2"]));
    blobs::blob(tx, id, &digest).await?;
    blobs::is_referenced(tx, id, &digest).await?;
    dead_objects::list(tx, 10).await?;
    installation::totals(tx).await.map(drop)
}

async fn delete_everything<T: Tx>(tx: &mut T, repository: &RepositoryRecord) -> Result<(), MetaError> {
    let id = repository.id;
    let layer = Digest::sha256(b"layer");
    assert!(blobs::delete(tx, id, &layer, at(40)).await.is_err());
    assert!(images::delete(tx, id, &Digest::sha256(b"first"), at(40)).await.is_err());
    images::delete(tx, id, &Digest::sha256(b"index"), at(40)).await?;
    tag_ops::delete(tx, id, &tag("v1"), None, false, at(41)).await?;
    tag_ops::delete(tx, id, &tag("v2"), None, true, at(41)).await?;
    blobs::delete(tx, id, &layer, at(42)).await?;
    expire_everything(tx, id).await?;
    repositories::delete_lifecycle_policy(tx, id).await?;
    collector::collectable(tx, at(1_000), 0, 10).await?;
    collector::waiting_since(tx, id, &layer).await?;
    collector::renew(tx, id, &layer, at(42)).await?;
    assert!(collector::collect(tx, at(1_000), 10).await?.blobs > 0);
    let dead = dead_objects::list(tx, 10).await?;
    dead_objects::forget(tx, &dead).await?;
    repositories::delete(tx, &repository.registry, &repository.name, true, at(43)).await.map(drop)
}

async fn expire_everything<T: Tx>(tx: &mut T, id: RepositoryId) -> Result<(), MetaError> {
    assert!(lifecycle::lease_due(tx, at(2), at(1), at(3), "lease").await?.is_some());
    lifecycle::renew_lease(tx, id, "lease", at(60)).await?;
    let run = lifecycle::begin(tx, id, at(50), Some(at(60))).await?;
    for round in 0..2 {
        let digest = Digest::sha256(b"expired");
        put_image::put_image(tx, &image(id, "expired", &["x1"])).await?;
        let found = images::image(tx, id, &digest).await?.unwrap();
        let expired = ExpireImage {
            digest,
            cursor: found.cursor,
            tags: found.tags,
            rule: 1,
            reason: "old".into(),
            subject: None,
            follows: None,
        };
        let batch = ExpireBatch {
            run: run.id,
            repository: id,
            policy_version: run.policy_version,
            restorable_until: Some(at(60)),
            now: at(50),
            images: vec![expired],
        };
        assert_eq!(expire::expire(tx, &batch).await?.outcomes, [ExpireOutcome::Expired]);
        assert_eq!(expire::restorable(tx, id, run.id, 0, 10).await?.len(), 1);
        if round == 0 {
            expire::restore(tx, id, &digest, at(55)).await?;
            images::delete(tx, id, &digest, at(55)).await?;
        }
    }
    assert_eq!(expire::purge(tx, at(60), 10).await?, 1);
    let finished = FinishedRun {
        id: run.id,
        repository: id,
        finished_at: at(60),
        report: "{}",
        runs_kept: 1,
        lease: Some(("lease", at(70))),
    };
    lifecycle::finish(tx, &finished).await?;
    assert_eq!(lifecycle::runs(tx, id, None, 10).await?.len(), 1);
    assert_eq!(lifecycle::run_images(tx, id, run.id, None, 10).await?.len(), 2);
    let new = NewPreview { repository: id, id: "x", policy: None, now: at(60), stale_before: at(1) };
    preview::begin(tx, &new).await?;
    let result = PreviewImage {
        position: 1,
        digest: Digest::sha256(b"expired"),
        tags: tags(&["x1"]),
        pushed_at: at(1),
        action: PreviewAction::Expire,
        rule: 1,
    };
    preview::record(tx, id, "x", &[result], at(60)).await?;
    let under_way = preview::find(tx, id).await?.unwrap();
    preview::finish(tx, id, &under_way).await?;
    for filter in [TagStatus::Any, TagStatus::Tagged, TagStatus::Untagged] {
        preview::images(tx, id, filter, 0, 10).await?;
    }
    lifecycle::suspend(tx, id, run.policy_version).await?;
    lifecycle::children(tx, id, None, ImageCursor(100)).await.map(drop)
}
