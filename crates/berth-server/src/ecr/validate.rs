//! The constraints of ECR's model on the members of a request, with ECR's texts.
//!
//! ECR speaks with two voices, and both are kept: what its framework checks reads `Member must …`, what its own code
//! checks (repository name, image tag) reads `must …`. Both were seen in answers that users quote. Checks that need the
//! registry's state, and those of resource tags and lifecycle policies, are the registry's.

use std::ops::RangeInclusive;

use berth_registry::repositories::RequestedEncryption;
use berth_registry::{Error, Result};
use berth_types::{
    AccountId, Digest, RegistryId, RepositoryArn, RepositoryName, Tag, TagMutability, TagMutabilityMode,
    UploadId, WildcardPattern, limits,
};

use crate::ecr::wire::{EncryptionConfiguration, ExclusionFilter, Object, ResourceTag};

const REPOSITORY_NAME: &str = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*";
const REGISTRY_ID: &str = "[0-9]{12}";
const IMAGE_TAG: &str = "[a-zA-Z0-9-_.]+";
const DIGEST: &str = "[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+";
const UPLOAD_ID: &str = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}";
const IMAGE_TAG_CHARS_MAX: usize = 300;
const KMS_KEY_CHARS_MAX: usize = 2_048;
const ENCRYPTION_TYPES: [&str; 3] = ["KMS_DSSE", "AES256", "KMS"];
const FILTER_TYPES: [&str; 1] = ["WILDCARD"];
const MUTABILITY_MODES: [&str; 4] =
    ["IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"];
/// One to a hundred: every list of ids, names, digests and media types.
const BATCH: RangeInclusive<usize> = 1..=limits::BATCH_ITEMS_MAX;
const REGISTRY_IDS: RangeInclusive<usize> = 1..=10;

/// A member that must be there.
///
/// # Errors
/// [`Error::InvalidParameter`] if it is not.
pub(crate) fn required<T>(field: &str, value: Option<T>) -> Result<T> {
    value.ok_or_else(|| Error::invalid_parameter(field, "Member must not be null"))
}

/// How many characters a text has.
///
/// # Errors
/// [`Error::InvalidParameter`] if they are too few or too many.
pub(crate) fn chars(field: &str, text: &str, allowed: RangeInclusive<usize>) -> Result<()> {
    length(field, text.chars().count(), &allowed)
}

/// How many items a list has, for the lists that take one to a hundred.
///
/// # Errors
/// [`Error::InvalidParameter`] if they are too few or too many.
pub(crate) fn batch(field: &str, items: usize) -> Result<()> {
    length(field, items, &BATCH)
}

fn length(field: &str, found: usize, allowed: &RangeInclusive<usize>) -> Result<()> {
    let constraint = if found < *allowed.start() {
        format!("Member must have length greater than or equal to {}", allowed.start())
    } else if found > *allowed.end() {
        format!("Member must have length less than or equal to {}", allowed.end())
    } else {
        return Ok(());
    };
    Err(Error::invalid_parameter(field, constraint))
}

/// A text that must be one of some words.
///
/// # Errors
/// [`Error::InvalidParameter`] if it is not.
pub(crate) fn one_of(field: &str, text: &str, words: &[&'static str]) -> Result<&'static str> {
    words.iter().find(|word| **word == text).copied().ok_or_else(|| {
        Error::invalid_parameter(field, format!("Member must satisfy enum value set: [{}]", words.join(", ")))
    })
}

fn pattern(field: &str, pattern: &str) -> Error {
    Error::invalid_parameter(field, format!("Member must satisfy regular expression pattern: {pattern}"))
}

fn item_pattern(field: &str, pattern: &str) -> Error {
    let constraint = format!(
        "Member must satisfy constraint: [Member must satisfy regular expression pattern: {pattern}]"
    );
    Error::invalid_parameter(field, constraint)
}

/// `repositoryName`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn repository_name(text: Option<&str>) -> Result<RepositoryName> {
    let invalid = |constraint: String| Error::invalid_parameter("repositoryName", constraint);
    let text = text.ok_or_else(|| invalid("must not be null".to_owned()))?;
    let (min, max) = (limits::REPOSITORY_NAME_CHARS_MIN, limits::REPOSITORY_NAME_CHARS_MAX);
    match text.chars().count() {
        found if found < min => Err(invalid(format!("must have length greater than or equal to {min}"))),
        found if found > max => Err(invalid(format!("must have length less than or equal to {max}"))),
        _ => RepositoryName::parse(text)
            .map_err(|_| invalid(format!("must satisfy regular expression '{REPOSITORY_NAME}'"))),
    }
}

/// `repositoryNames`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn repository_names(texts: &[String]) -> Result<Vec<RepositoryName>> {
    batch("repositoryNames", texts.len())?;
    let parse = |text: &String| {
        RepositoryName::parse(text).map_err(|_| {
            Error::invalid_parameter(
                "repositoryNames",
                format!(
                    "Member must satisfy constraint: [Member must have length less than or equal to {}, Member must \
                     have length greater than or equal to {}, Member must satisfy regular expression pattern: \
                     {REPOSITORY_NAME}]",
                    limits::REPOSITORY_NAME_CHARS_MAX,
                    limits::REPOSITORY_NAME_CHARS_MIN
                ),
            )
        })
    };
    texts.iter().map(parse).collect()
}

/// `registryId`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn registry_id(text: Option<&str>) -> Result<Option<AccountId>> {
    let parse = |text| AccountId::parse(text).map_err(|_| pattern("registryId", REGISTRY_ID));
    text.map(parse).transpose()
}

/// `registryIds`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn registry_ids(texts: &[String]) -> Result<Vec<AccountId>> {
    length("registryIds", texts.len(), &REGISTRY_IDS)?;
    let parse = |text: &String| AccountId::parse(text).map_err(|_| item_pattern("registryIds", REGISTRY_ID));
    texts.iter().map(parse).collect()
}

/// `maxResults`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn max_results(value: Option<i64>) -> Result<usize> {
    let Some(value) = value else { return Ok(limits::PAGE_ITEMS_DEFAULT) };
    let invalid = |constraint: String| Err(Error::invalid_parameter("maxResults", constraint));
    match usize::try_from(value) {
        Ok(count @ 1..=limits::PAGE_ITEMS_MAX) => Ok(count),
        Err(_) | Ok(0) => invalid("Member must have value greater than or equal to 1".to_owned()),
        Ok(_) => invalid(format!("Member must have value less than or equal to {}", limits::PAGE_ITEMS_MAX)),
    }
}

/// `maxResults` of previews, which give fewer at once.
///
/// # Errors
/// [`Error::InvalidParameter`] unless it is between 1 and [`limits::PREVIEW_PAGE_ITEMS_MAX`].
pub(crate) fn preview_max_results(value: Option<i64>) -> Result<usize> {
    let most = limits::PREVIEW_PAGE_ITEMS_MAX;
    match max_results(value)? {
        count if count > most => Err(Error::invalid_parameter(
            "maxResults",
            format!("Member must have value less than or equal to {most}"),
        )),
        count => Ok(count),
    }
}

/// Paging makes no sense for things that are named one by one in `list`.
///
/// # Errors
/// [`Error::InvalidParameter`] if `maxResults` or `nextToken` is set.
pub(crate) fn no_paging(list: &str, max_results: Option<i64>, next_token: Option<&str>) -> Result<()> {
    let field = match (max_results, next_token) {
        (Some(_), _) => "maxResults",
        (None, Some(_)) => "nextToken",
        (None, None) => return Ok(()),
    };
    Err(Error::invalid_parameter(field, format!("must be null when {list} is set")))
}

/// A byte position.
///
/// # Errors
/// [`Error::InvalidParameter`] if it is absent or negative.
pub(crate) fn position(field: &str, value: Option<i64>) -> Result<u64> {
    u64::try_from(required(field, value)?)
        .map_err(|_| Error::invalid_parameter(field, "Member must have value greater than or equal to 0"))
}

/// Whether `text` looks like a digest to ECR, which is less than being one.
#[must_use]
pub(crate) fn looks_like_digest(text: &str) -> bool {
    let is_algorithm = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'+' | b'.');
    text.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty()
            && algorithm.bytes().all(is_algorithm)
            && !hex.is_empty()
            && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Whether `text` looks like a tag to ECR; that it may not begin with `.` or `-` is the OCI grammar's rule.
#[must_use]
pub(crate) fn looks_like_tag(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.bytes().all(fits)
}

/// A digest that must be one.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn digest(field: &str, text: &str) -> Result<Digest> {
    if !looks_like_digest(text) {
        return Err(pattern(field, DIGEST));
    }
    Digest::parse(text).map_err(|error| Error::invalid_parameter(field, error))
}

/// `layerDigests` of `CompleteLayerUpload`. Digests of algorithms that are not computed here match no content; one
/// that could is enough.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn layer_digests(texts: &[String]) -> Result<Vec<Digest>> {
    batch("layerDigests", texts.len())?;
    if !texts.iter().all(|text| looks_like_digest(text)) {
        return Err(item_pattern("layerDigests", DIGEST));
    }
    let digests: Vec<Digest> = texts.iter().filter_map(|text| Digest::parse(text).ok()).collect();
    if digests.is_empty() {
        let first = texts.first().map_or("", String::as_str);
        return Digest::parse(first)
            .map(|digest| vec![digest])
            .map_err(|error| Error::invalid_parameter("layerDigests", error));
    }
    Ok(digests)
}

/// `imageTag` of `PutImage`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn image_tag(text: &str) -> Result<Tag> {
    image_tag_length("imageTag", text)?;
    if !looks_like_tag(text) {
        let constraint = format!("must satisfy regular expression '{IMAGE_TAG}'");
        return Err(Error::invalid_parameter("imageTag", constraint));
    }
    Tag::parse(text).map_err(|error| Error::invalid_parameter("imageTag", error))
}

/// The length of an image tag, wherever it stands.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn image_tag_length(field: &str, text: &str) -> Result<()> {
    chars(field, text, 1..=IMAGE_TAG_CHARS_MAX)
}

/// `uploadId`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn upload_id(text: Option<&str>) -> Result<UploadId> {
    let text = required("uploadId", text)?;
    UploadId::parse(text).ok_or_else(|| pattern("uploadId", UPLOAD_ID))
}

/// `imageTagMutability` with its filters.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn mutability(
    mode: Option<&str>,
    filters: Option<&[Object<ExclusionFilter>]>,
) -> Result<TagMutability> {
    const FILTERS: &str = "imageTagMutabilityExclusionFilters";
    let mode = mode.map(|mode| one_of("imageTagMutability", mode, &MUTABILITY_MODES)).transpose()?;
    let mode = mode.and_then(TagMutabilityMode::from_name).unwrap_or_default();
    if let Some(filters) = filters {
        length(FILTERS, filters.len(), &(1..=limits::MUTABILITY_FILTERS_MAX))?;
    }
    let mut patterns = Vec::new();
    for (index, Object(filter)) in filters.unwrap_or_default().iter().enumerate() {
        let member = |name| format!("{FILTERS}.{}.member.{name}", index + 1);
        let kind = required(&member("filterType"), filter.filter_type.as_deref())?;
        one_of(&member("filterType"), kind, &FILTER_TYPES)?;
        patterns.push(WildcardPattern::new(required(&member("filter"), filter.filter.as_deref())?));
    }
    TagMutability::new(mode, patterns).map_err(|error| Error::invalid_parameter(FILTERS, error))
}

/// `encryptionConfiguration`.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn encryption(configuration: Option<&EncryptionConfiguration>) -> Result<RequestedEncryption> {
    let Some(configuration) = configuration else { return Ok(RequestedEncryption::default()) };
    let field = "encryptionConfiguration.encryptionType";
    let kind = one_of(field, required(field, configuration.encryption_type.as_deref())?, &ENCRYPTION_TYPES)?;
    let key = configuration.kms_key.as_deref();
    if let Some(key) = key {
        chars("encryptionConfiguration.kmsKey", key, 1..=KMS_KEY_CHARS_MAX)?;
    }
    match (kind, key) {
        ("AES256", None) => Ok(RequestedEncryption::Aes256),
        ("AES256", Some(_)) => Err(Error::InvalidParameter(
            "Invalid encryption configuration: Encryption key should not be set for AES256 encryption."
                .to_owned(),
        )),
        ("KMS", key) => Ok(RequestedEncryption::Kms(key.map(ToOwned::to_owned))),
        (kind, _) => Err(Error::InvalidParameter(format!(
            "Invalid encryption configuration: {kind} is not available in this registry; use KMS."
        ))),
    }
}

/// `resourceArn`: a repository of the region that was asked.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn resource_arn(text: Option<&str>, asked: &RegistryId) -> Result<RepositoryArn> {
    let text = required("resourceArn", text)?;
    RepositoryArn::parse(text)
        .ok()
        .filter(|arn| arn.registry.region == asked.region)
        .ok_or_else(|| Error::invalid_parameter("resourceArn", "Invalid ARN"))
}

/// Resource tags, for their shape; what keys and values may be is the registry's to check.
///
/// # Errors
/// [`Error::InvalidParameter`].
pub(crate) fn resource_tags(tags: Vec<Object<ResourceTag>>) -> Result<Vec<(String, String)>> {
    let pair = |(index, Object(tag)): (usize, Object<ResourceTag>)| {
        let member = |name| format!("tags.{}.member.{name}", index + 1);
        Ok((required(&member("key"), tag.key)?, required(&member("value"), tag.value)?))
    };
    tags.into_iter().enumerate().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
        let text = result.unwrap_err().to_string();
        text.replace("Invalid parameter at ", "").replace(" failed to satisfy constraint: ", " ")
    }

    fn filters(items: &[(Option<&str>, Option<&str>)]) -> Vec<Object<ExclusionFilter>> {
        let owned = |text: &Option<&str>| text.map(ToOwned::to_owned);
        let filter = |(kind, text): &(Option<&str>, Option<&str>)| {
            Object(ExclusionFilter { filter_type: owned(kind), filter: owned(text) })
        };
        items.iter().map(filter).collect()
    }

    #[test]
    fn every_constraint_of_a_single_member_has_its_text() {
        let long = |count| "a".repeat(count);
        let table = [
            (refused(required::<()>("layerDigest", None)), "'layerDigest' 'Member must not be null'"),
            (refused(repository_name(None)), "'repositoryName' 'must not be null'"),
            (
                refused(repository_name(Some("a"))),
                "'repositoryName' 'must have length greater than or equal to 2'",
            ),
            (
                refused(repository_name(Some(&long(257)))),
                "'repositoryName' 'must have length less than or equal to 256'",
            ),
            (
                refused(repository_name(Some("Shop/api"))),
                "'repositoryName' 'must satisfy regular expression \
                 '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''",
            ),
            (
                refused(registry_id(Some("1"))),
                "'registryId' 'Member must satisfy regular expression pattern: [0-9]{12}'",
            ),
            (
                refused(max_results(Some(0))),
                "'maxResults' 'Member must have value greater than or equal to 1'",
            ),
            (
                refused(max_results(Some(-1))),
                "'maxResults' 'Member must have value greater than or equal to 1'",
            ),
            (
                refused(max_results(Some(1001))),
                "'maxResults' 'Member must have value less than or equal to 1000'",
            ),
            (
                refused(position("partFirstByte", Some(-1))),
                "'partFirstByte' 'Member must have value greater than or equal to 0'",
            ),
            (refused(image_tag("")), "'imageTag' 'Member must have length greater than or equal to 1'"),
            (
                refused(image_tag(&long(301))),
                "'imageTag' 'Member must have length less than or equal to 300'",
            ),
            (refused(image_tag("a b")), "'imageTag' 'must satisfy regular expression '[a-zA-Z0-9-_.]+''"),
            (
                refused(image_tag(&long(129))),
                "'imageTag' 'a tag has 1 to 128 letters, digits, '.', '_' and '-', and does not start with '.' or \
                 '-''",
            ),
            (
                refused(upload_id(Some("x"))),
                "'uploadId' 'Member must satisfy regular expression pattern: \
                 [0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}'",
            ),
            (
                refused(digest("layerDigest", "sha256")),
                "'layerDigest' 'Member must satisfy regular expression pattern: [a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'",
            ),
            (
                refused(digest("imageDigest", "md5:00")),
                "'imageDigest' 'digest algorithm \"md5\" is not supported (use sha256 or sha512)'",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
        assert_eq!(max_results(None).unwrap(), 100);
        assert_eq!(max_results(Some(1000)).unwrap(), 1000);
    }

    #[test]
    fn every_constraint_of_a_list_has_its_text() {
        let many = |count: usize| vec!["ab".to_owned(); count];
        let table = [
            (
                refused(batch("imageIds", 0)),
                "'imageIds' 'Member must have length greater than or equal to 1'",
            ),
            (
                refused(batch("imageIds", 101)),
                "'imageIds' 'Member must have length less than or equal to 100'",
            ),
            (
                refused(repository_names(&many(101))),
                "'repositoryNames' 'Member must have length less than or equal to 100'",
            ),
            (
                refused(repository_names(&["A".to_owned()])),
                "'repositoryNames' 'Member must satisfy constraint: [Member must have length less than or equal to \
                 256, Member must have length greater than or equal to 2, Member must satisfy regular expression \
                 pattern: [a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*]'",
            ),
            (
                refused(registry_ids(&many(1))),
                "'registryIds' 'Member must satisfy constraint: [Member must satisfy regular expression pattern: \
                 [0-9]{12}]'",
            ),
            (
                refused(registry_ids(&[])),
                "'registryIds' 'Member must have length greater than or equal to 1'",
            ),
            (
                refused(layer_digests(&many(1))),
                "'layerDigests' 'Member must satisfy constraint: [Member must satisfy regular expression pattern: \
                 [a-zA-Z0-9-_+.]+:[a-fA-F0-9]+]'",
            ),
            (
                refused(layer_digests(&["md5:00".to_owned()])),
                "'layerDigests' 'digest algorithm \"md5\" is not supported (use sha256 or sha512)'",
            ),
            (
                refused(no_paging("imageIds", Some(1), None)),
                "'maxResults' 'must be null when imageIds is set'",
            ),
            (
                refused(no_paging("imageIds", None, Some("x"))),
                "'nextToken' 'must be null when imageIds is set'",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
        let known = Digest::sha256(b"");
        let digests = ["md5:00".to_owned(), known.to_string()];
        assert_eq!(layer_digests(&digests).unwrap(), [known], "one digest that could match is enough");
    }

    #[test]
    fn mutability_and_filters() {
        let wildcard = |text| (Some("WILDCARD"), Some(text));
        let six = filters(&[wildcard("a"); 6]);
        let table = [
            (
                refused(mutability(Some("mutable"), None)),
                "'imageTagMutability' 'Member must satisfy enum value set: [IMMUTABLE, MUTABLE, \
                 MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]'",
            ),
            (
                refused(mutability(None, Some(&filters(&[wildcard("a")])))),
                "'imageTagMutabilityExclusionFilters' 'ImageTagMutabilityExclusionFilters are not allowed when \
                 imageTagMutability is set as MUTABLE'",
            ),
            (
                refused(mutability(Some("IMMUTABLE_WITH_EXCLUSION"), None)),
                "'imageTagMutabilityExclusionFilters' 'ImageTagMutabilityExclusionFilters can't be null when \
                 imageTagMutability is set as IMMUTABLE_WITH_EXCLUSION'",
            ),
            (
                refused(mutability(Some("IMMUTABLE_WITH_EXCLUSION"), Some(&[]))),
                "'imageTagMutabilityExclusionFilters' 'Member must have length greater than or equal to 1'",
            ),
            (
                refused(mutability(Some("IMMUTABLE_WITH_EXCLUSION"), Some(&six))),
                "'imageTagMutabilityExclusionFilters' 'Member must have length less than or equal to 5'",
            ),
            (
                refused(mutability(Some("MUTABLE_WITH_EXCLUSION"), Some(&filters(&[(None, Some("a"))])))),
                "'imageTagMutabilityExclusionFilters.1.member.filterType' 'Member must not be null'",
            ),
            (
                refused(mutability(
                    Some("MUTABLE_WITH_EXCLUSION"),
                    Some(&filters(&[(Some("GLOB"), Some("a"))])),
                )),
                "'imageTagMutabilityExclusionFilters.1.member.filterType' 'Member must satisfy enum value set: \
                 [WILDCARD]'",
            ),
            (
                refused(mutability(
                    Some("MUTABLE_WITH_EXCLUSION"),
                    Some(&filters(&[wildcard("a"), (Some("WILDCARD"), None)])),
                )),
                "'imageTagMutabilityExclusionFilters.2.member.filter' 'Member must not be null'",
            ),
            (
                refused(mutability(Some("MUTABLE_WITH_EXCLUSION"), Some(&filters(&[wildcard("a/b")])))),
                "'imageTagMutabilityExclusionFilters' 'Member must satisfy regular expression pattern: \
                 ^[0-9a-zA-Z._*-]{1,128}$'",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
        let rule =
            mutability(Some("IMMUTABLE_WITH_EXCLUSION"), Some(&filters(&[wildcard("dev-*")]))).unwrap();
        assert_eq!(rule.filters().len(), 1);
        assert_eq!(mutability(None, None).unwrap(), TagMutability::mutable());
    }

    #[test]
    fn encryption_configurations() {
        let read = |kind: Option<&str>, key: Option<&str>| {
            encryption(Some(&EncryptionConfiguration {
                encryption_type: kind.map(ToOwned::to_owned),
                kms_key: key.map(ToOwned::to_owned),
            }))
        };
        assert_eq!(encryption(None).unwrap(), RequestedEncryption::Aes256);
        assert_eq!(read(Some("AES256"), None).unwrap(), RequestedEncryption::Aes256);
        assert_eq!(read(Some("KMS"), None).unwrap(), RequestedEncryption::Kms(None));
        assert_eq!(read(Some("KMS"), Some("k")).unwrap(), RequestedEncryption::Kms(Some("k".to_owned())));
        let table = [
            (refused(read(None, None)), "'encryptionConfiguration.encryptionType' 'Member must not be null'"),
            (
                refused(read(Some("aes"), None)),
                "'encryptionConfiguration.encryptionType' 'Member must satisfy enum value set: [KMS_DSSE, AES256, \
                 KMS]'",
            ),
            (
                refused(read(Some("KMS"), Some(""))),
                "'encryptionConfiguration.kmsKey' 'Member must have length greater than or equal to 1'",
            ),
            (
                refused(read(Some("AES256"), Some("k"))),
                "Invalid encryption configuration: Encryption key should not be set for AES256 encryption.",
            ),
            (
                refused(read(Some("KMS_DSSE"), None)),
                "Invalid encryption configuration: KMS_DSSE is not available in this registry; use KMS.",
            ),
        ];
        for (found, expected) in table {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn arns_and_resource_tags() {
        let arn = "arn:aws:ecr:us-east-1:123456789012:repository/shop/api";
        let asked = RepositoryArn::parse(arn).unwrap().registry;
        assert!(resource_arn(Some(arn), &asked).is_ok());
        for other in ["", "nonsense", "arn:aws:ecr:eu-west-1:123456789012:repository/shop/api"] {
            assert_eq!(refused(resource_arn(Some(other), &asked)), "'resourceArn' 'Invalid ARN'");
        }
        assert_eq!(refused(resource_arn(None, &asked)), "'resourceArn' 'Member must not be null'");
        let tag = |key: Option<&str>, value: Option<&str>| {
            Object(ResourceTag { key: key.map(ToOwned::to_owned), value: value.map(ToOwned::to_owned) })
        };
        let incomplete = vec![tag(Some("env"), Some("prod")), tag(None, Some("prod"))];
        assert_eq!(refused(resource_tags(incomplete)), "'tags.2.member.key' 'Member must not be null'");
        let incomplete = vec![tag(Some("env"), None)];
        assert_eq!(refused(resource_tags(incomplete)), "'tags.1.member.value' 'Member must not be null'");
    }
}
