//! The JSON 1.1 protocol: reading a body into an operation's input, writing an answer, and the structures that several
//! operations share.
//!
//! Inputs are what a client wrote, each member optional and unchecked; [`crate::ecr::validate`] makes nouns of them.
//! Members that the model does not have are ignored, as AWS does; a member of the wrong JSON type is refused.

use std::fmt;
use std::marker::PhantomData;

use axum::body::Body;
use berth_registry::{Encryption, Error, Registry, RepositoryRecord};
use berth_types::{RepositoryArn, TagMutability};
use bytes::Bytes;
use data_encoding::BASE64;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::target::CONTENT_TYPE_JSON;

/// Bodies up to this size are read where they arrive.
const INLINE_BYTES_MAX: usize = 256 * 1024;
/// How much of a parser's text an error repeats; it may quote what the client sent.
const ERROR_CHARS_MAX: usize = 300;

/// A JSON object. A derived structure alone would also take an array of its members.
#[derive(Clone, Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// A blob: bytes, written as base64. Decoded straight from the request's body.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BlobVisitor;

        impl Visitor<'_> for BlobVisitor {
            type Value = Blob;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string of base64")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Blob, E> {
                let decoded = BASE64.decode(text.as_bytes());
                decoded.map(Blob).map_err(|error| E::custom(format_args!("not valid base64: {error}")))
            }
        }

        deserializer.deserialize_str(BlobVisitor)
    }
}

/// Reads a body. One without any content is an empty object, which is what the operations without input need.
///
/// # Errors
/// [`ApiError::Serialization`] if it is not a JSON object, or a member has the wrong type.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ApiError> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    let read: Result<Object<T>, _> = serde_json::from_slice(body);
    match read {
        Ok(Object(input)) => Ok(input),
        Err(error) => {
            let text = error.to_string();
            // A syntax error says where it is; a wrong type also says what was there, at any length.
            let shortened: String = text.chars().take(ERROR_CHARS_MAX).collect();
            Err(ApiError::Serialization(shortened))
        }
    }
}

/// Reads a large body on a thread that may be busy for a while: decoding 20 MiB takes tens of milliseconds, for which no
/// other client's request should wait.
///
/// # Errors
/// As [`read`]; an internal error if the thread breaks down.
pub(crate) async fn read_large<T>(body: Bytes) -> Result<T, ApiError>
where
    T: DeserializeOwned + Send + 'static,
{
    if body.len() <= INLINE_BYTES_MAX {
        return read(&body);
    }
    let read = tokio::task::spawn_blocking(move || read(&body));
    read.await.unwrap_or_else(|source| {
        Err(Error::Internal { action: "decode a request's body", source: source.into() }.into())
    })
}

/// Writes an answer.
///
/// # Errors
/// An internal error if the output cannot be written, which none of ours can cause.
pub(crate) fn json(status: StatusCode, output: &impl Serialize) -> Result<Response<Body>, ApiError> {
    let body = serde_json::to_vec(output).map_err(|source| {
        ApiError::Registry(Error::Internal { action: "write an answer", source: source.into() })
    })?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_JSON));
    Ok(response)
}

/// An output without members.
#[derive(Debug, Serialize)]
pub(crate) struct Empty {}

/// `imageScanningConfiguration`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageScanningConfiguration {
    /// Absent means no, as in AWS.
    pub(crate) scan_on_push: Option<bool>,
}

/// `encryptionConfiguration`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EncryptionConfiguration {
    /// `AES256`, `KMS` or `KMS_DSSE`.
    pub(crate) encryption_type: Option<String>,
    /// The key's id or ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kms_key: Option<String>,
}

/// One of `imageTagMutabilityExclusionFilters`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ExclusionFilter {
    /// `WILDCARD`.
    pub(crate) filter_type: Option<String>,
    /// The pattern.
    pub(crate) filter: Option<String>,
}

impl ExclusionFilter {
    /// The filters of a rule, in the order they were given.
    #[must_use]
    pub(crate) fn of(rule: &TagMutability) -> Vec<Self> {
        let filter = |pattern: &berth_types::WildcardPattern| Self {
            filter_type: Some("WILDCARD".to_owned()),
            filter: Some(pattern.as_str().to_owned()),
        };
        rule.filters().iter().map(filter).collect()
    }
}

/// A resource tag. AWS writes these two members with capitals.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ResourceTag {
    /// The key.
    #[serde(rename = "Key")]
    pub(crate) key: Option<String>,
    /// The value.
    #[serde(rename = "Value")]
    pub(crate) value: Option<String>,
}

/// `repository`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Repository {
    repository_arn: String,
    registry_id: String,
    repository_name: String,
    repository_uri: String,
    created_at: f64,
    image_tag_mutability: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    image_tag_mutability_exclusion_filters: Vec<ExclusionFilter>,
    image_scanning_configuration: ImageScanningConfiguration,
    encryption_configuration: EncryptionConfiguration,
}

impl Repository {
    /// A repository as the API shows it.
    #[must_use]
    pub(crate) fn of(registry: &Registry, record: &RepositoryRecord) -> Self {
        let arn = RepositoryArn { registry: record.registry.clone(), name: record.name.clone() };
        let (encryption_type, kms_key) = match &record.encryption {
            Encryption::Aes256 => ("AES256", None),
            Encryption::Kms { key_arn } => ("KMS", Some(key_arn.clone())),
        };
        Self {
            repository_arn: arn.to_string(),
            registry_id: record.registry.account.to_string(),
            repository_name: record.name.to_string(),
            repository_uri: registry.config().host.repository_uri(&record.registry, &record.name),
            created_at: record.created_at.epoch_seconds(),
            image_tag_mutability: record.mutability.mode().name(),
            image_tag_mutability_exclusion_filters: ExclusionFilter::of(&record.mutability),
            image_scanning_configuration: ImageScanningConfiguration {
                scan_on_push: Some(record.scan_on_push),
            },
            encryption_configuration: EncryptionConfiguration {
                encryption_type: Some(encryption_type.to_owned()),
                kms_key,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Input {
        repository_name: Option<String>,
        max_results: Option<i64>,
        force: Option<bool>,
        names: Option<Vec<String>>,
        filter: Option<Object<ExclusionFilter>>,
        part: Option<Blob>,
    }

    fn refused(body: &str) -> String {
        read::<Input>(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn members_are_optional_and_unknown_ones_ignored() {
        for body in ["", " \n", "{}", r#"{"repositoryName":null,"more":{"deep":[1]}}"#] {
            let input: Input = read(body.as_bytes()).unwrap();
            assert!(input.repository_name.is_none(), "{body}");
        }
        let body = r#"{"repositoryName":"a","maxResults":5,"force":true,"names":["b"],
                       "filter":{"filter":"x","filterType":"y"},"part":"AAEC\/w=="}"#;
        let input: Input = read(body.as_bytes()).unwrap();
        assert_eq!((input.repository_name.as_deref(), input.max_results), (Some("a"), Some(5)));
        assert_eq!((input.force, input.names.unwrap().len()), (Some(true), 1));
        assert_eq!(input.filter.unwrap().0.filter.as_deref(), Some("x"));
        assert_eq!(input.part, Some(Blob(vec![0, 1, 2, 255])));
    }

    #[test]
    fn what_is_not_such_an_object_is_refused() {
        let table = [
            ("[]", "invalid type: sequence, expected a JSON object at line 1 column 0"),
            (r#""text""#, r#"invalid type: string "text", expected a JSON object at line 1 column 6"#),
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{}x", "trailing characters at line 1 column 3"),
            ("repositoryName=a", "expected value at line 1 column 1"),
            (r#"{"repositoryName":5}"#, "invalid type: integer `5`, expected a string at line 1 column 19"),
            (r#"{"maxResults":"5"}"#, r#"invalid type: string "5", expected i64 at line 1 column 17"#),
            (r#"{"maxResults":5.5}"#, "invalid type: floating point `5.5`, expected i64 at line 1 column 17"),
            (r#"{"force":"true"}"#, r#"invalid type: string "true", expected a boolean at line 1 column 15"#),
            (r#"{"names":"a"}"#, r#"invalid type: string "a", expected a sequence at line 1 column 12"#),
            (r#"{"names":[null]}"#, "invalid type: null, expected a string at line 1 column 14"),
            (r#"{"filter":["a","b"]}"#, "invalid type: sequence, expected a JSON object at line 1 column 10"),
            (r#"{"part":"%%%%"}"#, "not valid base64: invalid symbol at 0 at line 1 column 14"),
            (r#"{"force":true,"force":true}"#, "duplicate field `force` at line 1 column 21"),
        ];
        for (body, message) in table {
            assert_eq!(refused(body), message, "{body}");
        }
        assert!(refused(&format!(r#"{{"maxResults":"{}"}}"#, "x".repeat(100_000))).len() < 400);
        assert!(matches!(read::<Input>(&[0xff, 0xfe]), Err(ApiError::Serialization(_))));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(body: Vec<u8>, text in "[{}\\[\\]\":,a-z0-9 ]{0,60}") {
            let _ = (read::<Input>(&body), read::<Input>(text.as_bytes()));
        }
    }
}
