//! [`Tx`] over a SQLite connection. Its futures are always ready, so [`now`] is all the executor it needs.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::meta::MetaError;
use crate::meta::tx::{Row, RowExt, Sequence, Tx, Value, backend, unreadable};

const NEXT_ID: &str = "UPDATE sequence SET value = value + 1 WHERE name = ?1 RETURNING value";

/// A transaction that was opened on a connection, or a connection that reads.
#[derive(Debug)]
pub(super) struct SqliteTx<'c> {
    /// Exclusive, although SQLite would share it: a shared one could not move between threads.
    pub(super) connection: &'c mut Connection,
}

/// An operation waited for something, which none does on this driver.
#[derive(Debug, thiserror::Error)]
#[error("it waits for something outside the database")]
struct Suspended;

/// Runs an operation whose every step is ready at once.
pub(super) fn now<T>(operation: impl Future<Output = Result<T, MetaError>>) -> Result<T, MetaError> {
    let operation = pin!(operation);
    match operation.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(backend("run an operation", Suspended)),
    }
}

fn failed(error: rusqlite::Error) -> MetaError {
    backend("run a statement", error)
}

impl Tx for SqliteTx<'_> {
    async fn execute(&mut self, sql: &'static str, params: &[Value<'_>]) -> Result<u64, MetaError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let changed = statement.execute(params_from_iter(params)).map_err(failed)?;
        Ok(changed as u64)
    }

    async fn for_each<F>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut each: F,
    ) -> Result<(), MetaError>
    where
        F: FnMut(&dyn Row) -> Result<(), MetaError> + Send,
    {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed)?;
        let mut rows = statement.query(params_from_iter(params)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            each(row)?;
        }
        Ok(())
    }

    async fn next_id(&mut self, sequence: Sequence) -> Result<i64, MetaError> {
        let next = self.query_opt(NEXT_ID, &[sequence.name().into()], |row| row.need_int(0)).await?;
        next.ok_or(MetaError::Missing)
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Null => ValueRef::Null,
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
            Value::Key(key) => ValueRef::Blob(key.as_slice()),
        }))
    }
}

impl Row for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> Result<Option<i64>, MetaError> {
        match self.get_ref(column).map_err(failed)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            ValueRef::Real(_) | ValueRef::Text(_) | ValueRef::Blob(_) => Err(unreadable(column, "a number")),
        }
    }

    fn text(&self, column: usize) -> Result<Option<&str>, MetaError> {
        match self.get_ref(column).map_err(failed)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => {
                std::str::from_utf8(text).map(Some).map_err(|_| unreadable(column, "a text"))
            }
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Blob(_) => Err(unreadable(column, "a text")),
        }
    }

    fn blob(&self, column: usize) -> Result<Option<&[u8]>, MetaError> {
        match self.get_ref(column).map_err(failed)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes)),
            ValueRef::Integer(_) | ValueRef::Real(_) | ValueRef::Text(_) => Err(unreadable(column, "bytes")),
        }
    }
}
