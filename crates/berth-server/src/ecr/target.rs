//! Which operation a request asks for: `X-Amz-Target` for the JSON protocol.

use berth_registry::Operation;
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::ecr::error::ApiError;

/// The header that names the operation.
pub(crate) const TARGET_HEADER: &str = "x-amz-target";
/// What stands before the dot of a target.
pub(crate) const SERVICE: &str = "AmazonEC2ContainerRegistry_V20150921";
/// The content type of requests and answers.
pub(crate) const CONTENT_TYPE_JSON: &str = "application/x-amz-json-1.1";
/// How much of a client's text an error repeats.
const ECHO_CHARS_MAX: usize = 256;

/// Reads target and content type. AWS routes by both, before it looks at the signature or the body.
///
/// # Errors
/// [`ApiError::UnknownOperation`] if either names nothing that is served here.
pub(crate) fn operation_of(headers: &HeaderMap) -> Result<Operation, ApiError> {
    let target = headers.get(TARGET_HEADER).and_then(|value| value.to_str().ok());
    let Some(target) = target else { return Err(ApiError::UnknownOperation(None)) };
    let operation = target
        .split_once('.')
        .filter(|(service, _)| *service == SERVICE)
        .and_then(|(_, name)| operation_of_name(name));
    let Some(operation) = operation else { return Err(ApiError::UnknownOperation(Some(echo(target)))) };
    if !is_json(headers) {
        let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
        return Err(ApiError::ContentType(echo(found)));
    }
    Ok(operation)
}

/// A client's text as an error repeats it: not more than an error should hold.
fn echo(text: &str) -> String {
    text.chars().take(ECHO_CHARS_MAX).collect()
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(CONTENT_TYPE_JSON)
}

/// The operation of that name, if this registry has it.
fn operation_of_name(name: &str) -> Option<Operation> {
    Some(match name {
        "BatchCheckLayerAvailability" => Operation::BatchCheckLayerAvailability,
        "BatchDeleteImage" => Operation::BatchDeleteImage,
        "BatchGetImage" => Operation::BatchGetImage,
        "CompleteLayerUpload" => Operation::CompleteLayerUpload,
        "CreateRepository" => Operation::CreateRepository,
        "DeleteLifecyclePolicy" => Operation::DeleteLifecyclePolicy,
        "DeleteRepository" => Operation::DeleteRepository,
        "DescribeImages" => Operation::DescribeImages,
        "DescribeRepositories" => Operation::DescribeRepositories,
        "GetAuthorizationToken" => Operation::GetAuthorizationToken,
        "GetDownloadUrlForLayer" => Operation::GetDownloadUrlForLayer,
        "GetLifecyclePolicy" => Operation::GetLifecyclePolicy,
        "GetLifecyclePolicyPreview" => Operation::GetLifecyclePolicyPreview,
        "InitiateLayerUpload" => Operation::InitiateLayerUpload,
        "ListImages" => Operation::ListImages,
        "ListTagsForResource" => Operation::ListTagsForResource,
        "PutImage" => Operation::PutImage,
        "PutImageScanningConfiguration" => Operation::PutImageScanningConfiguration,
        "PutImageTagMutability" => Operation::PutImageTagMutability,
        "PutLifecyclePolicy" => Operation::PutLifecyclePolicy,
        "StartLifecyclePolicyPreview" => Operation::StartLifecyclePolicyPreview,
        "TagResource" => Operation::TagResource,
        "UntagResource" => Operation::UntagResource,
        "UploadLayerPart" => Operation::UploadLayerPart,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: Option<&str>, content_type: Option<&str>) -> Result<Operation, String> {
        let mut headers = HeaderMap::new();
        if let Some(target) = target {
            headers.insert(TARGET_HEADER, target.parse().unwrap());
        }
        if let Some(content_type) = content_type {
            headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
        }
        operation_of(&headers).map_err(|error| error.to_string())
    }

    #[test]
    fn the_target_names_the_operation() {
        let target = "AmazonEC2ContainerRegistry_V20150921.PutImage";
        for content_type in
            [CONTENT_TYPE_JSON, "application/x-amz-json-1.1; charset=utf-8", "Application/X-Amz-Json-1.1"]
        {
            assert_eq!(read(Some(target), Some(content_type)), Ok(Operation::PutImage));
        }
        let name = |operation: Operation| operation.action().trim_start_matches("ecr:");
        let listed = operation_of_name(name(Operation::UploadLayerPart));
        assert_eq!(listed, Some(Operation::UploadLayerPart));
    }

    #[test]
    fn anything_else_names_none() {
        let json = Some(CONTENT_TYPE_JSON);
        for target in [
            "",
            "PutImage",
            "AmazonEC2ContainerRegistry_V20150921",
            "AmazonEC2ContainerRegistry_V20150921.",
            "AmazonEC2ContainerRegistry_V20150921.putImage",
            "AmazonEC2ContainerRegistry_V20150921.PutImage.More",
            "AmazonEC2ContainerRegistry_V20150921.StartImageScan",
            "DynamoDB_20120810.ListTables",
        ] {
            let expected = format!("this registry has no operation '{target}'");
            assert_eq!(read(Some(target), json), Err(expected));
        }
        assert_eq!(read(None, json), Err("the request has no X-Amz-Target header".to_owned()));
    }

    #[test]
    fn another_content_type_is_another_protocol() {
        let target = Some("AmazonEC2ContainerRegistry_V20150921.PutImage");
        for (content_type, found) in
            [(None, "none"), (Some("application/json"), "application/json"), (Some("text/xml"), "text/xml")]
        {
            let expected = format!("the content type must be application/x-amz-json-1.1, not {found}");
            assert_eq!(read(target, content_type), Err(expected));
        }
    }
}
