//! What an operation sees of a database: a transaction that runs statements.
//!
//! Operations ([`super::ops`]) are async functions over [`Tx`], written once for every database and compiled once per
//! driver. How values are kept in columns is decided here, in [`Value`] and [`RowExt`]:
//!
//! | value | column |
//! |---|---|
//! | digest | blob: one byte for the algorithm (1 SHA-256, 2 SHA-512), then the hash; sorts as [`Digest`] does |
//! | object | blob: 16 bytes of its domain, 16 of its own |
//! | domain | blob: 16 bytes |
//! | time | integer: milliseconds since 1970 |
//! | upload id | text, with hyphens |

use std::future::Future;

use berth_types::{Algorithm, Digest, MediaType, Tag, Timestamp};

use super::MetaError;
use crate::blob::{DomainId, ObjectId};

/// A transaction, or one statement's worth of it. Dropping it decides nothing: who opened it commits or rolls back.
///
/// Statements are `'static` texts with placeholders `?1`, `?2`…, so that a driver can prepare each of them once.
pub(crate) trait Tx: Send {
    /// Runs a statement; returns how many rows it changed.
    fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
    ) -> impl Future<Output = Result<u64, MetaError>> + Send;

    /// Runs a statement and calls `each` with every row it returns.
    fn for_each<F>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        each: F,
    ) -> impl Future<Output = Result<(), MetaError>> + Send
    where
        F: FnMut(&dyn Row) -> Result<(), MetaError> + Send;

    /// An id that no row of this kind has or ever had, larger than those before. A driver may give ids of one kind from
    /// a sequence of its own: one row that every transaction changes would make them wait for each other.
    fn next_id(&mut self, sequence: Sequence) -> impl Future<Output = Result<i64, MetaError>> + Send;

    /// Runs a statement and reads every row it returns.
    fn query<T, F>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: F,
    ) -> impl Future<Output = Result<Vec<T>, MetaError>> + Send
    where
        T: Send,
        F: FnMut(&dyn Row) -> Result<T, MetaError> + Send,
    {
        async move {
            let mut rows = Vec::new();
            self.for_each(sql, params, |row| {
                rows.push(read(row)?);
                Ok(())
            })
            .await?;
            Ok(rows)
        }
    }

    /// Runs a statement that returns at most one row, and reads it.
    fn query_opt<T, F>(
        &mut self,
        sql: &'static str,
        params: &[Value<'_>],
        mut read: F,
    ) -> impl Future<Output = Result<Option<T>, MetaError>> + Send
    where
        T: Send,
        F: FnMut(&dyn Row) -> Result<T, MetaError> + Send,
    {
        async move {
            let mut found = None;
            self.for_each(sql, params, |row| {
                found = Some(read(row)?);
                Ok(())
            })
            .await?;
            Ok(found)
        }
    }
}

/// The kinds of rows that have ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sequence {
    Domain,
    Registry,
    Repository,
    Manifest,
    Blob,
    DeadObject,
    LifecyclePolicy,
    LifecycleRun,
    ExpiredImage,
}

impl Sequence {
    /// Its row in the table `sequence`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Domain => "domain",
            Self::Registry => "registry",
            Self::Repository => "repository",
            Self::Manifest => "manifest",
            Self::Blob => "blob",
            Self::DeadObject => "dead_object",
            Self::LifecyclePolicy => "lifecycle_policy",
            Self::LifecycleRun => "lifecycle_run",
            Self::ExpiredImage => "expired_image",
        }
    }
}

/// A parameter of a statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value<'a> {
    Null,
    Int(i64),
    Text(&'a str),
    Blob(&'a [u8]),
    /// A short blob that is made for the statement.
    Key(Key),
}

/// A digest, object or domain in the form of its column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

/// The longest key: the digest of a long hash.
const KEY_BYTES_MAX: usize = 65;

impl Key {
    fn of(parts: [&[u8]; 2]) -> Self {
        let (mut bytes, mut length) = ([0; KEY_BYTES_MAX], 0);
        for part in parts {
            bytes[length..length + part.len()].copy_from_slice(part);
            length += part.len();
        }
        Self { bytes, length }
    }

    /// The column's content.
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<bool> for Value<'_> {
    fn from(truth: bool) -> Self {
        Self::Int(i64::from(truth))
    }
}

impl From<Timestamp> for Value<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.millis())
    }
}

impl From<super::RepositoryId> for Value<'_> {
    fn from(id: super::RepositoryId) -> Self {
        Self::Int(id.0)
    }
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Blob(bytes)
    }
}

impl From<&Digest> for Value<'_> {
    fn from(digest: &Digest) -> Self {
        Self::Key(Key::of([&[algorithm_byte(digest.algorithm())], digest.hash()]))
    }
}

impl From<ObjectId> for Value<'_> {
    fn from(object: ObjectId) -> Self {
        Self::Key(Key::of([object.domain.0.as_bytes(), object.id.as_bytes()]))
    }
}

impl From<DomainId> for Value<'_> {
    fn from(domain: DomainId) -> Self {
        Self::Key(Key::of([domain.0.as_bytes(), &[]]))
    }
}

impl<'a, T: Into<Value<'a>>> From<Option<T>> for Value<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A size in bytes as a column keeps it. No size in a registry comes near the bound.
pub(crate) fn size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// A `LIMIT`.
pub(crate) fn limit(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

const fn algorithm_byte(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Sha256 => 1,
        Algorithm::Sha512 => 2,
    }
}

/// A row of a result. Columns are numbered from 0; `None` is SQL's null.
pub(crate) trait Row {
    fn int(&self, column: usize) -> Result<Option<i64>, MetaError>;
    fn text(&self, column: usize) -> Result<Option<&str>, MetaError>;
    fn blob(&self, column: usize) -> Result<Option<&[u8]>, MetaError>;
}

/// A column that does not hold what this program writes there.
#[derive(Debug, thiserror::Error)]
#[error("column {column} of a row does not hold {expected}")]
pub(crate) struct Unreadable {
    column: usize,
    expected: &'static str,
}

pub(crate) fn unreadable(column: usize, expected: &'static str) -> MetaError {
    backend("read a row", Unreadable { column, expected })
}

/// A [`MetaError::Backend`].
pub(crate) fn backend(
    action: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> MetaError {
    MetaError::Backend { action, source: source.into() }
}

/// Columns as the nouns they hold.
pub(crate) trait RowExt: Row {
    fn need_int(&self, column: usize) -> Result<i64, MetaError> {
        self.int(column)?.ok_or_else(|| unreadable(column, "a number"))
    }

    fn need_text(&self, column: usize) -> Result<&str, MetaError> {
        self.text(column)?.ok_or_else(|| unreadable(column, "a text"))
    }

    fn need_blob(&self, column: usize) -> Result<&[u8], MetaError> {
        self.blob(column)?.ok_or_else(|| unreadable(column, "bytes"))
    }

    fn bytes(&self, column: usize) -> Result<u64, MetaError> {
        u64::try_from(self.need_int(column)?).map_err(|_| unreadable(column, "a size"))
    }

    fn time(&self, column: usize) -> Result<Timestamp, MetaError> {
        Ok(Timestamp::from_millis(self.need_int(column)?))
    }

    fn media_type(&self, column: usize) -> Result<MediaType, MetaError> {
        Ok(MediaType::new(self.need_text(column)?))
    }

    fn tag(&self, column: usize) -> Result<Tag, MetaError> {
        self.opt_tag(column)?.ok_or_else(|| unreadable(column, "a tag"))
    }

    fn opt_tag(&self, column: usize) -> Result<Option<Tag>, MetaError> {
        self.text(column)?.map(|text| Tag::parse(text).map_err(|_| unreadable(column, "a tag"))).transpose()
    }

    fn digest(&self, column: usize) -> Result<Digest, MetaError> {
        self.opt_digest(column)?.ok_or_else(|| unreadable(column, "a digest"))
    }

    fn opt_digest(&self, column: usize) -> Result<Option<Digest>, MetaError> {
        let Some(bytes) = self.blob(column)? else { return Ok(None) };
        let wrong = || unreadable(column, "a digest");
        let (first, hash) = bytes.split_first().ok_or_else(wrong)?;
        let algorithm = match first {
            1 => Algorithm::Sha256,
            2 => Algorithm::Sha512,
            _ => return Err(wrong()),
        };
        Digest::from_hash(algorithm, hash).map(Some).map_err(|_| wrong())
    }

    fn domain(&self, column: usize) -> Result<DomainId, MetaError> {
        let uuid = uuid::Uuid::from_slice(self.need_blob(column)?);
        uuid.map(DomainId).map_err(|_| unreadable(column, "a domain"))
    }

    fn object(&self, column: usize) -> Result<ObjectId, MetaError> {
        let wrong = || unreadable(column, "an object");
        let (domain, id) = self.need_blob(column)?.split_at_checked(16).ok_or_else(wrong)?;
        let domain = uuid::Uuid::from_slice(domain).map_err(|_| wrong())?;
        let id = uuid::Uuid::from_slice(id).map_err(|_| wrong())?;
        Ok(ObjectId { domain: DomainId(domain), id })
    }
}

impl<R: Row + ?Sized> RowExt for R {}
