//! `CreateRepository`.

use berth_registry::repositories::CreateRepository;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::wire::{
    EncryptionConfiguration, ExclusionFilter, ImageScanningConfiguration, Object, Repository, ResourceTag,
};
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    tags: Option<Vec<Object<ResourceTag>>>,
    image_tag_mutability: Option<String>,
    image_tag_mutability_exclusion_filters: Option<Vec<Object<ExclusionFilter>>>,
    image_scanning_configuration: Option<Object<ImageScanningConfiguration>>,
    encryption_configuration: Option<Object<EncryptionConfiguration>>,
}

#[derive(Serialize)]
pub(super) struct Output {
    repository: Repository,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let filters = input.image_tag_mutability_exclusion_filters.as_deref();
    let scanning = input.image_scanning_configuration.and_then(|Object(scanning)| scanning.scan_on_push);
    let encryption = input.encryption_configuration.map(|Object(encryption)| encryption);
    let request = CreateRepository {
        name: call.repository(input.repository_name.as_deref())?,
        tags: validate::resource_tags(input.tags.unwrap_or_default())?,
        mutability: validate::mutability(input.image_tag_mutability.as_deref(), filters)?,
        scan_on_push: scanning.unwrap_or(false),
        encryption: validate::encryption(encryption.as_ref())?,
    };
    let record = call.registry().create_repository(&caller, request).await?;
    Ok(Output { repository: Repository::of(call.registry(), &record) })
}
