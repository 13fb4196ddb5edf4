//! The database file: who may read it, whose it is, what is left when it is closed.

use std::error::Error as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rusqlite::Connection;

use super::{MetaStore as _, SqliteMeta, count, inspect};
use crate::meta::conformance::fixture::{by_tag, push, repository};
use crate::meta::sql::MIGRATIONS;
use crate::meta::{MetaError, SchemaError};

fn schema_error(path: &Path) -> SchemaError {
    let error = SqliteMeta::open(path).unwrap_err();
    error.source().and_then(|source| source.downcast_ref::<SchemaError>()).unwrap().clone()
}

#[tokio::test]
async fn its_files_are_their_owners_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    std::fs::write(&path, b"").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = SqliteMeta::open(&path).unwrap();
    repository(&store, "aa").await;
    let mut files = 0;
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        files += 1;
    }
    assert!(files >= 2, "there is a write-ahead log");
}

#[tokio::test]
async fn settings_are_what_durability_needs() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMeta::open(&directory.path().join("meta.db")).unwrap();
    let settings = store
        .write(|tx| {
            let pragma = |name: &str| count(tx.connection, &format!("SELECT * FROM pragma_{name}"));
            Ok([pragma("synchronous"), pragma("foreign_keys"), pragma("busy_timeout")])
        })
        .await
        .unwrap();
    assert_eq!(settings, [2, 1, 5_000], "FULL, on, milliseconds");
    let mode = inspect(&store, |connection| {
        connection.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap()
    });
    assert_eq!(mode, "wal");
    let version = inspect(&store, |connection| count(connection, "SELECT MAX(number) FROM migration"));
    assert_eq!(version, MIGRATIONS.len() as i64);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMeta::open(&directory.path().join("meta.db")).unwrap();
    let result = inspect(&store, |connection| connection.execute("DELETE FROM setting", []));
    assert!(result.is_err());
}

#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    let store = SqliteMeta::open(&path).unwrap();
    let aa = repository(&store, "aa").await;
    push(&store, &aa, "image", &["v1"]).await;
    drop(store);
    assert!(!directory.path().join("meta.db-wal").exists(), "dropping the store clears the log away");
    let store = SqliteMeta::open(&path).unwrap();
    assert!(store.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
}

#[tokio::test]
async fn closing_ends_writing_and_empties_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteMeta::open(&directory.path().join("meta.db")).unwrap();
    let aa = repository(&store, "aa").await;
    push(&store, &aa, "image", &["v1"]).await;
    assert!(directory.path().join("meta.db-wal").metadata().unwrap().len() > 0);
    store.close().await.unwrap();
    assert_eq!(directory.path().join("meta.db-wal").metadata().unwrap().len(), 0);
    assert!(store.manifest(aa.id, &by_tag("v1")).await.unwrap().is_some());
    assert!(matches!(store.setting_or_insert("a", b"").await, Err(MetaError::Backend { .. })));
    assert!(matches!(store.check().await, Err(MetaError::Backend { .. })));
    assert!(store.close().await.is_err());
}

#[test]
fn a_schema_from_the_future_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    drop(SqliteMeta::open(&path).unwrap());
    let future = MIGRATIONS.len() as i64 + 1;
    let connection = Connection::open(&path).unwrap();
    connection.execute("INSERT INTO migration (number, name) VALUES (?1, 'future')", [future]).unwrap();
    drop(connection);
    let expected = SchemaError::TooNew { found: future, known: future - 1 };
    assert_eq!(schema_error(&path), expected);
    assert!(expected.to_string().contains("use a newer berth"));
}

#[test]
fn a_database_of_another_program_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other (x)").unwrap();
    assert_eq!(schema_error(&path), SchemaError::Foreign);
}

#[test]
fn what_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("meta.db");
    std::fs::write(&path, [7; 8192]).unwrap();
    assert!(matches!(SqliteMeta::open(&path), Err(MetaError::Backend { .. })));
    assert!(matches!(SqliteMeta::open(directory.path()), Err(MetaError::Backend { .. })));
}
