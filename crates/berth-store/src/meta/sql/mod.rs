//! The schema, as numbered steps that bring a database from nothing, or from any earlier version, to the present one.
//!
//! The texts are written once for all databases, in what they have in common: `BIGINT`, `TEXT` and `BLOB`; times as
//! milliseconds; ids made by the program. A driver replaces words where its database wants others:
//!
//! | text | SQLite | PostgreSQL |
//! |---|---|---|
//! | `BIGINT` | `INTEGER` (the same 64 bits, and a primary key that is the row's address) | as it is |
//! | `BLOB` | as it is | `BYTEA` |
//! | `TEXT` | as it is: compared byte by byte | `TEXT COLLATE "C"` |
//! | `/*clustered*/` | `WITHOUT ROWID, STRICT` | a comment |
//! | `/*heap*/` | `STRICT` | a comment |
//! | `?1` | as it is | `$1` |
//! | `/*lock:r*/` | a comment: there is one writer | `FOR UPDATE OF r` |
//!
//! A step that was released is never edited; a change is a new step. How values are written into columns is said in
//! [`super::tx`].

/// One step of the schema.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    /// Its number; steps are applied in this order. The newest number is the version of the schema.
    pub(crate) number: i64,
    /// What it is about, in a word.
    pub(crate) name: &'static str,
    /// Its statements.
    pub(crate) text: &'static str,
}

/// All steps, in order.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, name: "first", text: include_str!("0001_first.sql") },
    Migration { number: 2, name: "clean up", text: include_str!("0002_clean_up.sql") },
];

/// The table of the steps that were applied. It is older than the first of them.
pub(crate) const CREATE_MIGRATION_TABLE: &str = "CREATE TABLE IF NOT EXISTS migration (
    number BIGINT PRIMARY KEY NOT NULL,
    name   TEXT NOT NULL
) /*heap*/";

/// Why a database is not one that this program can work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A newer program has changed the schema.
    #[error(
        "its schema has version {found}, and this program knows versions up to {known}: use a newer berth"
    )]
    TooNew {
        /// The version of the database.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file has tables, but not ours.
    #[error("it is a database of another program")]
    Foreign,
}

/// The steps that a database needs whose newest applied step is `found` (`None`: it has none yet).
///
/// # Errors
/// [`SchemaError::TooNew`] if the database is ahead of this program.
pub(crate) fn pending(found: Option<i64>) -> Result<&'static [Migration], SchemaError> {
    let found = found.unwrap_or(0);
    let known = MIGRATIONS.last().map_or(0, |newest| newest.number);
    if found > known {
        return Err(SchemaError::TooNew { found, known });
    }
    let applied = MIGRATIONS.iter().take_while(|step| step.number <= found).count();
    Ok(&MIGRATIONS[applied..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_numbered_without_gaps() {
        assert!(MIGRATIONS.iter().map(|step| step.number).eq(1..=MIGRATIONS.len() as i64));
    }

    #[test]
    fn only_missing_steps_are_pending_and_newer_schemas_are_refused() {
        let known = MIGRATIONS.len() as i64;
        assert_eq!(pending(None).unwrap().len(), MIGRATIONS.len());
        assert!(pending(Some(known)).unwrap().is_empty());
        assert_eq!(pending(Some(known + 1)).unwrap_err(), SchemaError::TooNew { found: known + 1, known });
    }
}
