//! Objects that no row names any more and that the blob store still has.

use crate::blob::ObjectId;
use crate::meta::MetaError;
use crate::meta::tx::{RowExt, Sequence, Tx, limit};

const INSERT: &str = "INSERT INTO dead_object (id, object) VALUES (?1, ?2) ON CONFLICT (object) DO NOTHING";
const LIST: &str = "SELECT object FROM dead_object ORDER BY id LIMIT ?1";
const FORGET: &str = "DELETE FROM dead_object WHERE object = ?1";

/// Records objects whose last row the same transaction has removed.
pub(super) async fn record<T: Tx>(tx: &mut T, objects: &[ObjectId]) -> Result<(), MetaError> {
    for object in objects {
        let id = tx.next_id(Sequence::DeadObject).await?;
        tx.execute(INSERT, &[id.into(), (*object).into()]).await?;
    }
    Ok(())
}

pub(crate) async fn list<T: Tx>(tx: &mut T, rows: usize) -> Result<Vec<ObjectId>, MetaError> {
    tx.query(LIST, &[limit(rows).into()], |row| row.object(0)).await
}

pub(crate) async fn forget<T: Tx>(tx: &mut T, objects: &[ObjectId]) -> Result<(), MetaError> {
    for object in objects {
        tx.execute(FORGET, &[(*object).into()]).await?;
    }
    Ok(())
}
