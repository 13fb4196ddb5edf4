//! `UploadLayerPart`.

use std::ops::RangeInclusive;

use berth_registry::uploads::Chunk;
use berth_registry::{Caller, Error};
use berth_types::{RepositoryName, UploadId, limits};
use bytes::Bytes;
use futures_util::stream;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::wire::Blob;
use crate::ecr::{Call, validate, wire};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    upload_id: Option<String>,
    part_first_byte: Option<i64>,
    part_last_byte: Option<i64>,
    layer_part_blob: Option<Blob>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    registry_id: String,
    repository_name: String,
    upload_id: String,
    last_byte_received: u64,
}

pub(super) async fn run(mut call: Call) -> Result<Output, ApiError> {
    // Taken, so that the base64 of a part is gone while the part itself waits for the disk.
    let input: Input = wire::read_large(std::mem::take(&mut call.body)).await?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let upload = validate::upload_id(input.upload_id.as_deref())?;
    let first = validate::position("partFirstByte", input.part_first_byte)?;
    let last = validate::position("partLastByte", input.part_last_byte)?;
    let part = part(input.layer_part_blob)?;
    let received = append(&call, &caller, &name, upload, first..=last, part).await?;
    Ok(Output {
        registry_id: caller.registry.account.to_string(),
        repository_name: name.to_string(),
        upload_id: upload.to_string(),
        last_byte_received: received.saturating_sub(1),
    })
}

fn part(blob: Option<Blob>) -> Result<Bytes, Error> {
    const FIELD: &str = "layerPartBlob";
    let Blob(part) = validate::required(FIELD, blob)?;
    if part.len() > limits::LAYER_PART_BYTES_MAX {
        let constraint =
            format!("Member must have length less than or equal to {}", limits::LAYER_PART_BYTES_MAX);
        return Err(Error::invalid_parameter(FIELD, constraint));
    }
    Ok(part.into())
}

/// Appends the part and returns how many bytes the upload then has.
async fn append(
    call: &Call,
    caller: &Caller,
    name: &RepositoryName,
    upload: UploadId,
    range: RangeInclusive<u64>,
    part: Bytes,
) -> Result<u64, ApiError> {
    let misfit = |received| ApiError::LayerPart {
        account: caller.registry.account,
        name: name.clone(),
        upload,
        received,
    };
    let announced = range.end().checked_sub(*range.start()).and_then(|gap| gap.checked_add(1));
    if announced != Some(part.len() as u64) {
        return Err(misfit(call.registry().upload_bytes(caller, name, upload).await?));
    }
    let chunk = Chunk {
        first_byte: Some(*range.start()),
        bytes: announced,
        body: Box::pin(stream::iter([Ok(part)])),
    };
    call.registry().append_upload(caller, name, upload, chunk).await.map_err(|error| match error {
        Error::UploadOutOfOrder { expected, .. } => misfit(expected),
        error => error.into(),
    })
}
