//! `CompleteLayerUpload`.

use berth_registry::uploads::Chunk;
use berth_registry::{Error, Operation};
use futures_util::stream;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    upload_id: Option<String>,
    layer_digests: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    registry_id: String,
    repository_name: String,
    upload_id: String,
    layer_digest: String,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let upload = validate::upload_id(input.upload_id.as_deref())?;
    let digests = validate::layer_digests(&validate::required("layerDigests", input.layer_digests)?)?;
    call.registry().authorize(&caller, Operation::CompleteLayerUpload, Some(&name))?;
    // The OCI plane completes uploads of nothing, as the empty blob; ECR's API does not.
    if call.registry().upload_bytes(&caller, &name, upload).await? == 0 {
        return Err(Error::UploadEmpty(upload).into());
    }
    let rest = Chunk { body: Box::pin(stream::empty()), first_byte: None, bytes: Some(0) };
    let completed = call.registry().complete_upload(&caller, &name, upload, rest, &digests).await?;
    let (digest, account) = (completed.blob.digest, caller.registry.account);
    if completed.existed {
        return Err(Error::LayerAlreadyExists { digest, name, account }.into());
    }
    Ok(Output {
        registry_id: account.to_string(),
        repository_name: name.to_string(),
        upload_id: upload.to_string(),
        layer_digest: digest.to_string(),
    })
}
