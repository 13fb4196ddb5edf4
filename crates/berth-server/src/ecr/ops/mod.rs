//! One file per operation: its input, its output, and the function that turns one into the other by one call of the
//! registry.

mod batch_check_layer_availability;
mod batch_delete_image;
mod batch_get_image;
mod complete_layer_upload;
mod create_repository;
mod delete_lifecycle_policy;
mod delete_repository;
mod describe_images;
mod describe_repositories;
mod get_authorization_token;
mod get_download_url_for_layer;
mod get_lifecycle_policy;
mod get_lifecycle_policy_preview;
mod image_ids;
mod initiate_layer_upload;
mod list_images;
mod list_tags_for_resource;
mod put_image;
mod put_image_scanning_configuration;
mod put_image_tag_mutability;
mod put_lifecycle_policy;
mod start_lifecycle_policy_preview;
mod tag_resource;
mod untag_resource;
mod upload_layer_part;

use axum::body::Body;
use berth_registry::Operation;
use http::{Response, StatusCode};

use crate::ecr::Call;
use crate::ecr::error::ApiError;
use crate::ecr::wire::json;

/// Does what the call asks for.
///
/// # Errors
/// [`ApiError`] if the registry refuses it, or the body is not what the operation takes.
pub(super) async fn run(operation: Operation, call: Call) -> Result<Response<Body>, ApiError> {
    const OK: StatusCode = StatusCode::OK;
    match operation {
        Operation::BatchCheckLayerAvailability => json(OK, &batch_check_layer_availability::run(call).await?),
        Operation::BatchDeleteImage => json(OK, &batch_delete_image::run(call).await?),
        Operation::BatchGetImage => json(OK, &batch_get_image::run(call).await?),
        Operation::CompleteLayerUpload => json(OK, &complete_layer_upload::run(call).await?),
        Operation::CreateRepository => json(OK, &create_repository::run(call).await?),
        Operation::DeleteLifecyclePolicy => json(OK, &delete_lifecycle_policy::run(call).await?),
        Operation::DeleteRepository => json(OK, &delete_repository::run(call).await?),
        Operation::DescribeImages => json(OK, &describe_images::run(call).await?),
        Operation::DescribeRepositories => json(OK, &describe_repositories::run(call).await?),
        Operation::GetAuthorizationToken => json(OK, &get_authorization_token::run(&call)?),
        Operation::GetDownloadUrlForLayer => json(OK, &get_download_url_for_layer::run(call).await?),
        Operation::GetLifecyclePolicy => json(OK, &get_lifecycle_policy::run(call).await?),
        Operation::GetLifecyclePolicyPreview => json(OK, &get_lifecycle_policy_preview::run(call).await?),
        Operation::InitiateLayerUpload => json(OK, &initiate_layer_upload::run(call).await?),
        Operation::ListImages => json(OK, &list_images::run(call).await?),
        Operation::ListTagsForResource => json(OK, &list_tags_for_resource::run(call).await?),
        Operation::PutImage => json(OK, &put_image::run(call).await?),
        Operation::PutImageScanningConfiguration => {
            json(OK, &put_image_scanning_configuration::run(call).await?)
        }
        Operation::PutImageTagMutability => json(OK, &put_image_tag_mutability::run(call).await?),
        Operation::PutLifecyclePolicy => json(OK, &put_lifecycle_policy::run(call).await?),
        Operation::StartLifecyclePolicyPreview => json(OK, &start_lifecycle_policy_preview::run(call).await?),
        Operation::TagResource => json(OK, &tag_resource::run(call).await?),
        Operation::UntagResource => json(OK, &untag_resource::run(call).await?),
        Operation::UploadLayerPart => json(OK, &upload_layer_part::run(call).await?),
    }
}
