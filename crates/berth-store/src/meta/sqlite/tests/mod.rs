//! What is SQLite's own: files, commits in groups, crashes, query plans; and a model that the operations agree with.

mod crash;
mod file;
mod group;
mod model;
mod plans;

use rusqlite::Connection;

use super::SqliteMeta;
use crate::meta::MetaStore;

/// Looks at the database from inside. In memory and in a file alike.
fn inspect<T>(store: &SqliteMeta, look: impl FnOnce(&Connection) -> T) -> T {
    let mut look = Some(look);
    let mut seen = None;
    let result = store.read(|tx| {
        seen = look.take().map(|look| look(tx.connection));
        Ok(())
    });
    result.unwrap();
    seen.unwrap()
}

fn count(connection: &Connection, sql: &str) -> i64 {
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

/// Every invariant that a query can tell. Each of these counts rows that must not be there.
const VIOLATIONS: &[(&str, &str)] = &[
    (
        "a blob of a repository that no manifest and no restorable image refers to is queued",
        "SELECT COUNT(*) FROM repository_blob l
         WHERE NOT EXISTS (SELECT 1 FROM manifest_blob m
                           WHERE m.repository_id = l.repository_id AND m.blob_id = l.blob_id)
           AND NOT EXISTS (SELECT 1 FROM unreferenced u
                           WHERE u.blob_id = l.blob_id AND u.repository_id = l.repository_id)
           AND NOT EXISTS (SELECT 1 FROM expired_blob e
                           WHERE e.repository_id = l.repository_id AND e.digest = l.digest)",
    ),
    (
        "a blob that no repository has is queued",
        "SELECT COUNT(*) FROM blob b
         WHERE NOT EXISTS (SELECT 1 FROM repository_blob l WHERE l.blob_id = b.id)
           AND NOT EXISTS (SELECT 1 FROM unreferenced u WHERE u.blob_id = b.id)",
    ),
    (
        "a manifest has its text",
        "SELECT COUNT(*) FROM manifest m
         WHERE NOT EXISTS (SELECT 1 FROM manifest_text x WHERE x.manifest_id = m.id)",
    ),
    (
        "a tag count is the number of tags",
        "SELECT COUNT(*) FROM manifest m
         WHERE m.tag_count <> (SELECT COUNT(*) FROM tag t WHERE t.manifest_id = m.id)",
    ),
    (
        "an image count is the number of images",
        "SELECT COUNT(*) FROM repository r
         WHERE r.image_count <> (SELECT COUNT(*) FROM manifest m WHERE m.repository_id = r.id)",
    ),
    (
        "a repository count is the number of repositories",
        "SELECT COUNT(*) FROM registry g
         WHERE g.repository_count <> (SELECT COUNT(*) FROM repository r WHERE r.registry_id = g.id)",
    ),
    (
        "what a row says of its repository is what its manifest says",
        "SELECT (SELECT COUNT(*) FROM tag t JOIN manifest m ON m.id = t.manifest_id
                 WHERE m.repository_id <> t.repository_id)
              + (SELECT COUNT(*) FROM manifest_blob b JOIN manifest m ON m.id = b.manifest_id
                 WHERE m.repository_id <> b.repository_id)
              + (SELECT COUNT(*) FROM manifest_absent_blob b JOIN manifest m ON m.id = b.manifest_id
                 WHERE m.repository_id <> b.repository_id)
              + (SELECT COUNT(*) FROM manifest_child c JOIN manifest p ON p.id = c.parent_id
                 JOIN manifest k ON k.id = c.child_id
                 WHERE p.repository_id <> c.repository_id OR k.repository_id <> c.repository_id)",
    ),
    (
        "a blob that a manifest waits for is not in the repository",
        "SELECT COUNT(*) FROM manifest_absent_blob a
         JOIN repository_blob l ON l.repository_id = a.repository_id AND l.digest = a.digest",
    ),
    (
        "the digest of a blob in a repository is the blob's",
        "SELECT COUNT(*) FROM repository_blob l JOIN blob b ON b.id = l.blob_id WHERE b.digest <> l.digest",
    ),
    ("no row refers to one that is not there", "SELECT COUNT(*) FROM pragma_foreign_key_check()"),
    ("the file is sound", "SELECT COUNT(*) FROM pragma_integrity_check() WHERE integrity_check <> 'ok'"),
];

/// Fails if the database does not hold together.
fn assert_sound(store: &SqliteMeta) {
    inspect(store, |connection| {
        for (rule, sql) in VIOLATIONS {
            assert_eq!(count(connection, sql), 0, "violated: {rule}");
        }
    });
}

/// Tables that hold something, apart from those that outlive a repository.
fn tables_with_rows_of_repositories(store: &SqliteMeta) -> Vec<&'static str> {
    const TABLES: &[&str] = &[
        "repository",
        "resource_tag",
        "lifecycle_policy",
        "manifest",
        "manifest_text",
        "tag",
        "repository_blob",
        "manifest_blob",
        "manifest_absent_blob",
        "manifest_child",
        "upload",
        "lifecycle_run",
        "lifecycle_run_image",
        "expired_image",
        "expired_blob",
        "expired_child",
        "lifecycle_preview",
        "lifecycle_preview_image",
    ];
    let has_rows = |connection: &Connection, table: &str| {
        count(connection, &format!("SELECT COUNT(*) FROM {table}")) > 0
    };
    inspect(store, |connection| TABLES.iter().copied().filter(|table| has_rows(connection, table)).collect())
}

/// A future that any driver's transaction can run must be able to move between threads; PostgreSQL's will.
#[test]
fn operations_can_move_between_threads() {
    fn movable<T: Send>(_: T) {}
    let mut connection = Connection::open_in_memory().unwrap();
    let mut tx = super::SqliteTx { connection: &mut connection };
    let image = crate::meta::conformance::fixture::image(crate::meta::RepositoryId(1), "image", &[]);
    movable(super::put_image::put_image(&mut tx, &image));
    movable(super::images::list(&mut tx, image.repository, crate::meta::TagStatus::Any, None, 1));
    movable(super::repositories::delete(
        &mut tx,
        &crate::meta::conformance::fixture::registry(),
        &crate::meta::conformance::fixture::name("aa"),
        true,
        image.pushed_at,
    ));
}

#[tokio::test]
async fn quotas_of_images_and_repositories_hold() {
    use crate::meta::MetaError;
    use crate::meta::conformance::fixture::{all_images, image, new_repository, push, registry, repository};
    use berth_types::limits::{IMAGES_PER_REPOSITORY_MAX, REPOSITORIES_PER_REGISTRY_MAX};

    let store = SqliteMeta::in_memory().unwrap();
    let full = repository(&store, "full").await;
    push(&store, &full, "first", &["v1"]).await;
    // Filling them for real would take minutes; the counters are checked against the rows elsewhere.
    inspect(&store, |connection| {
        connection
            .execute("UPDATE repository SET image_count = ?1", [IMAGES_PER_REPOSITORY_MAX as i64])
            .unwrap();
        connection
            .execute("UPDATE registry SET repository_count = ?1", [REPOSITORIES_PER_REGISTRY_MAX as i64])
            .unwrap();
    });
    let refused = store.put_image(&image(full.id, "second", &["v2"])).await;
    assert!(matches!(refused, Err(MetaError::TooManyImages)));
    assert_eq!(all_images(&store, full.id).await.len(), 1);
    let outcome = store.put_image(&image(full.id, "first", &["v1", "v3"])).await.unwrap();
    assert!(!outcome.created, "an image that is there takes no further place");
    let another = new_repository(&store, &registry(), "another").await;
    assert!(matches!(store.create_repository(&another).await, Err(MetaError::TooManyRepositories)));
    let taken = new_repository(&store, &registry(), "full").await;
    assert!(matches!(store.create_repository(&taken).await, Err(MetaError::RepositoryExists)));
}

#[tokio::test]
async fn deleting_a_repository_leaves_no_row_behind_and_queues_its_blobs() {
    use crate::meta::NewImage;
    use crate::meta::conformance::fixture::{
        at, image, index, push_with_blob, registry, repository, upload_in,
    };

    let store = SqliteMeta::in_memory().unwrap();
    let full = repository(&store, "full").await;
    let (child, _) = push_with_blob(&store, &full, "image", "layer").await;
    let waiting = berth_types::Digest::sha256(b"waiting");
    let foreign = NewImage { optional_blobs: vec![waiting], ..image(full.id, "foreign", &["v1"]) };
    store.put_image(&foreign).await.unwrap();
    store.put_image(&index(full.id, "index", &[child], &["v2"])).await.unwrap();
    store.set_resource_tags(full.id, &[("a".to_owned(), "b".to_owned())]).await.unwrap();
    store.put_lifecycle_policy(full.id, "policy").await.unwrap();
    store.create_upload(&upload_in(&full)).await.unwrap();
    assert_eq!(tables_with_rows_of_repositories(&store).len(), 11);
    store.delete_repository(&registry(), &full.name, true, at(99)).await.unwrap();
    assert_eq!(tables_with_rows_of_repositories(&store), [""; 0]);
    let queued = "SELECT COUNT(*) FROM unreferenced WHERE since = 99";
    assert_eq!(inspect(&store, |connection| count(connection, queued)), 1);
    assert_sound(&store);
}
