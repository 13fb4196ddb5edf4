//! Every bound of the system, with its unit in the name. A bound taken from Amazon ECR says so.

/// ECR: shortest repository name.
pub const REPOSITORY_NAME_CHARS_MIN: usize = 2;
/// ECR: longest repository name.
pub const REPOSITORY_NAME_CHARS_MAX: usize = 256;
/// OCI grammar: longest tag (ECR's API would take 300, which no OCI client could pull).
pub const TAG_CHARS_MAX: usize = 128;
/// ECR quota: tags on one image.
pub const TAGS_PER_IMAGE_MAX: usize = 1_000;
/// ECR quota: images in one repository.
pub const IMAGES_PER_REPOSITORY_MAX: usize = 100_000;
/// ECR quota: repositories in one registry.
pub const REPOSITORIES_PER_REGISTRY_MAX: usize = 100_000;
/// ECR: resource tags on one repository.
pub const RESOURCE_TAGS_MAX: usize = 50;
/// ECR: longest key of a resource tag, in characters.
pub const RESOURCE_TAG_KEY_CHARS_MAX: usize = 128;
/// ECR: longest value of a resource tag, in characters.
pub const RESOURCE_TAG_VALUE_CHARS_MAX: usize = 256;
/// ECR and OCI: largest manifest.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Descriptors (config, layers, children) in one manifest. A 4 MiB manifest cannot hold many more.
pub const MANIFEST_DESCRIPTORS_MAX: usize = 20_000;
/// How deep the JSON of a manifest may nest.
pub const MANIFEST_DEPTH_MAX: usize = 64;
/// ECR quota: largest layer, 52,000 MiB.
pub const BLOB_BYTES_MAX: u64 = 52_000 * 1024 * 1024;
/// ECR: `UploadLayerPart`, member `layerPartBlob`.
pub const LAYER_PART_BYTES_MAX: usize = 20 * 1024 * 1024;
/// ECR quota: smallest part that is not the last one. Applied by `CompleteLayerUpload` in ECR mode only; the OCI plane
/// takes chunks of any size.
pub const LAYER_PART_BYTES_MIN: usize = 5 * 1024 * 1024;
/// The part size that `InitiateLayerUpload` asks clients to use (ECR answers 10 MiB).
pub const LAYER_PART_BYTES_PREFERRED: usize = 10 * 1024 * 1024;
/// Body of an ECR API call: a part of 20 MiB in base64, with room for the JSON around it.
pub const API_BODY_BYTES_MAX: usize = 28 * 1024 * 1024;
/// Body of an ECR API call other than `UploadLayerPart` and `PutImage`.
pub const API_SMALL_BODY_BYTES_MAX: usize = 1024 * 1024;
/// All request headers together. A docker token alone may exceed 2 KiB, and clients send several `Accept` lines.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Seconds that a client may be silent inside a request before it is cut off.
pub const IDLE_SECONDS_MAX: u64 = 60;
/// Seconds that a client may take to send its request head.
pub const HEADER_SECONDS_MAX: u64 = 30;
/// Unfinished upload sessions in one repository.
pub const UPLOADS_PER_REPOSITORY_MAX: usize = 1_000;
/// Hours after its last byte that an upload session is forgotten.
pub const UPLOAD_IDLE_HOURS_MAX: u64 = 24;
/// ECR: digests in one `CompleteLayerUpload`, `BatchCheckLayerAvailability`, image ids in one batch call.
pub const BATCH_ITEMS_MAX: usize = 100;
/// ECR: largest `maxResults`.
pub const PAGE_ITEMS_MAX: usize = 1_000;
/// ECR: `maxResults` when absent.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// ECR: largest `maxResults` of `GetLifecyclePolicyPreview`.
pub const PREVIEW_PAGE_ITEMS_MAX: usize = 100;
/// OCI `tags/list`: page when `n` is absent, and largest page given for any `n` (the rest follows by `Link`).
pub const TAG_PAGE_ITEMS_MAX: usize = 10_000;
/// OCI referrers: descriptors in one page.
pub const REFERRER_PAGE_ITEMS_MAX: usize = 1_000;
/// ECR quota: rules in one lifecycle policy.
pub const LIFECYCLE_RULES_MAX: usize = 50;
/// ECR: shortest lifecycle policy text.
pub const LIFECYCLE_POLICY_CHARS_MIN: usize = 100;
/// ECR quota: longest lifecycle policy text.
pub const LIFECYCLE_POLICY_CHARS_MAX: usize = 30_720;
/// ECR: filters of one mutability setting.
pub const MUTABILITY_FILTERS_MAX: usize = 5;
/// ECR: characters of one mutability filter.
pub const MUTABILITY_FILTER_CHARS_MAX: usize = 128;
/// `*` in one mutability filter, as the Terraform provider and its documentation state it.
pub const MUTABILITY_FILTER_WILDCARDS_MAX: usize = 2;
/// ECR: hours that a docker token is good for.
pub const AUTHORIZATION_TOKEN_HOURS: u64 = 12;
/// Minutes that the URL of `GetDownloadUrlForLayer` is good for.
pub const DOWNLOAD_URL_MINUTES: u64 = 60;
