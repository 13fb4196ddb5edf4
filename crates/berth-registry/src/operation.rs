//! The operations, and the permission each needs.

/// Something a caller asks for. The router of each plane yields one, and the permission comes from it, so that no handler
/// can forget it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the operation of that name in ECR's API")]
pub enum Operation {
    BatchCheckLayerAvailability,
    BatchDeleteImage,
    BatchGetImage,
    CompleteLayerUpload,
    CreateRepository,
    DeleteLifecyclePolicy,
    DeleteRepository,
    DescribeImages,
    DescribeRepositories,
    GetAuthorizationToken,
    GetDownloadUrlForLayer,
    GetLifecyclePolicy,
    GetLifecyclePolicyPreview,
    InitiateLayerUpload,
    ListImages,
    ListTagsForResource,
    PutImage,
    PutImageScanningConfiguration,
    PutImageTagMutability,
    PutLifecyclePolicy,
    StartLifecyclePolicyPreview,
    TagResource,
    UntagResource,
    UploadLayerPart,
}

impl Operation {
    /// The IAM action, for example `ecr:PutImage`.
    #[must_use]
    pub const fn action(self) -> &'static str {
        match self {
            Self::BatchCheckLayerAvailability => "ecr:BatchCheckLayerAvailability",
            Self::BatchDeleteImage => "ecr:BatchDeleteImage",
            Self::BatchGetImage => "ecr:BatchGetImage",
            Self::CompleteLayerUpload => "ecr:CompleteLayerUpload",
            Self::CreateRepository => "ecr:CreateRepository",
            Self::DeleteLifecyclePolicy => "ecr:DeleteLifecyclePolicy",
            Self::DeleteRepository => "ecr:DeleteRepository",
            Self::DescribeImages => "ecr:DescribeImages",
            Self::DescribeRepositories => "ecr:DescribeRepositories",
            Self::GetAuthorizationToken => "ecr:GetAuthorizationToken",
            Self::GetDownloadUrlForLayer => "ecr:GetDownloadUrlForLayer",
            Self::GetLifecyclePolicy => "ecr:GetLifecyclePolicy",
            Self::GetLifecyclePolicyPreview => "ecr:GetLifecyclePolicyPreview",
            Self::InitiateLayerUpload => "ecr:InitiateLayerUpload",
            Self::ListImages => "ecr:ListImages",
            Self::ListTagsForResource => "ecr:ListTagsForResource",
            Self::PutImage => "ecr:PutImage",
            Self::PutImageScanningConfiguration => "ecr:PutImageScanningConfiguration",
            Self::PutImageTagMutability => "ecr:PutImageTagMutability",
            Self::PutLifecyclePolicy => "ecr:PutLifecyclePolicy",
            Self::StartLifecyclePolicyPreview => "ecr:StartLifecyclePolicyPreview",
            Self::TagResource => "ecr:TagResource",
            Self::UntagResource => "ecr:UntagResource",
            Self::UploadLayerPart => "ecr:UploadLayerPart",
        }
    }
}
