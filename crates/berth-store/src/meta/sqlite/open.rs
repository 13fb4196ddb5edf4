//! Opening a database: the file, the settings of its connections, the schema.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};

use crate::meta::MetaError;
use crate::meta::sql::{self, Migration, SchemaError};
use crate::meta::tx::backend;

/// Pages in the WAL after which they are moved into the database: 32 MiB. Measured: much fewer, and pushes often wait for
/// it; much more gains nothing.
const CHECKPOINT_PAGES: i64 = 8_000;
/// What is left of the WAL's file after it has been longer.
const WAL_BYTES_KEPT: i64 = 64 * 1024 * 1024;
/// How much of the file is read through the page cache of the system rather than copied.
const MMAP_BYTES: i64 = 1024 * 1024 * 1024;
/// How long SQLite waits for a lock, which only another program could hold (a copy of the database being made, say).
const BUSY_MILLIS: i64 = 5_000;
/// Pages cached by the connection that writes, in KiB (SQLite counts KiB as negative pages).
const WRITER_CACHE_KIB: i64 = 16 * 1024;
/// The same for each that reads; with the file mapped they hardly use it.
const READER_CACHE_KIB: i64 = 1024;
/// Connections that read: as many as threads, within these bounds.
const READERS: std::ops::RangeInclusive<usize> = 2..=16;
/// Statements kept prepared per connection; there are fewer.
const STATEMENTS_CACHED: usize = 256;

/// The connections of a database that is ready for use.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: Arc<Mutex<Connection>>,
    /// The same connection, when the database is in memory.
    pub(super) readers: Vec<Arc<Mutex<Connection>>>,
}

pub(super) fn file(path: &Path) -> Result<Opened, MetaError> {
    create_private(path).map_err(|error| backend("create the database file", error))?;
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
    let mut writer = Connection::open_with_flags(path, flags).map_err(open_failed)?;
    set(&writer, WRITER_CACHE_KIB).and_then(|()| set_durable(&writer)).map_err(open_failed)?;
    migrate(&mut writer)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let readers = (0..threads.clamp(*READERS.start(), *READERS.end()))
        .map(|_| {
            let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_ONLY;
            let reader = Connection::open_with_flags(path, flags).map_err(open_failed)?;
            set(&reader, READER_CACHE_KIB).map_err(open_failed)?;
            Ok(Arc::new(Mutex::new(reader)))
        })
        .collect::<Result<_, MetaError>>()?;
    Ok(Opened { writer: Arc::new(Mutex::new(writer)), readers })
}

pub(super) fn memory() -> Result<Opened, MetaError> {
    let mut connection = Connection::open_in_memory().map_err(open_failed)?;
    set(&connection, WRITER_CACHE_KIB).map_err(open_failed)?;
    migrate(&mut connection)?;
    let connection = Arc::new(Mutex::new(connection));
    Ok(Opened { readers: vec![Arc::clone(&connection)], writer: connection })
}

fn open_failed(error: rusqlite::Error) -> MetaError {
    backend("open the database", error)
}

/// Makes sure that the file is there, durably, and is its owner's alone. SQLite gives its other files the same mode.
fn create_private(path: &Path) -> io::Result<()> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    file.sync_all()?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

/// What every connection needs.
fn set(connection: &Connection, cache_kib: i64) -> Result<(), rusqlite::Error> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    // Plans do not depend on parameters. Without this, a SQLite built with STAT4 (the bundled one is) plans many statements
    // anew at every use: 17 microseconds of processor time for a manifest by its tag instead of 5.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "busy_timeout", BUSY_MILLIS)?;
    connection.pragma_update(None, "mmap_size", MMAP_BYTES)?;
    connection.pragma_update(None, "cache_size", -cache_kib)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // The operations keep references right by themselves; should one of them be wrong, it fails rather than lose a blob.
    connection.pragma_update(None, "foreign_keys", true)
}

/// What makes a commit durable and quick.
fn set_durable(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_KEPT)
}

/// Brings the schema up to date, each step in its own transaction.
fn migrate(connection: &mut Connection) -> Result<(), MetaError> {
    let failed = |error: rusqlite::Error| backend("bring the schema up to date", error);
    let tables: i64 = connection
        .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(open_failed)?;
    let ours = connection.table_exists(None, "migration").map_err(open_failed)?;
    if tables > 0 && !ours {
        return Err(backend("open the database", SchemaError::Foreign));
    }
    connection.execute_batch(&translate(sql::CREATE_MIGRATION_TABLE)).map_err(failed)?;
    let found = connection
        .query_row("SELECT number FROM migration ORDER BY number DESC LIMIT 1", [], |row| row.get(0))
        .optional()
        .map_err(open_failed)?;
    for step in sql::pending(found).map_err(|error| backend("open the database", error))? {
        apply(connection, step).map_err(failed)?;
    }
    Ok(())
}

fn apply(connection: &mut Connection, step: &Migration) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(&translate(step.text))?;
    transaction.execute("INSERT INTO migration (number, name) VALUES (?1, ?2)", (step.number, step.name))?;
    transaction.commit()
}

/// The common text of the schema in SQLite's words; see [`sql`].
fn translate(text: &str) -> String {
    text.replace("BIGINT", "INTEGER")
        .replace("/*clustered*/", "WITHOUT ROWID, STRICT")
        .replace("/*heap*/", "STRICT")
}
