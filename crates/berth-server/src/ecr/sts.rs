//! `sts:GetCallerIdentity`, which Terraform, Pulumi and the AWS CLI ask before anything else.
//!
//! STS speaks the query protocol: parameters in a form (or in the query of a presigned URL), answers in XML. It is told
//! from the ECR API by having no `X-Amz-Target`. No other action of STS is here.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use berth_registry::error::BodyError;
use berth_types::limits;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};

use crate::App;
use crate::access::RequestInfo;
use crate::auth::sigv4::{self, Service, SignatureError, Signed};
use crate::ecr::target::TARGET_HEADER;
use crate::http::body::read_whole;
use crate::http::request_id::RequestId;

const ACTION: &str = "GetCallerIdentity";
const VERSION: &str = "2011-06-15";
const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const FORM: &str = "application/x-www-form-urlencoded";

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
enum StsError {
    #[error("Could not find operation {action} for version {version}")]
    InvalidAction { action: String, version: String },
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Body(#[from] BodyError),
}

impl StsError {
    const fn status_and_code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::InvalidAction { .. } => (StatusCode::BAD_REQUEST, "InvalidAction"),
            Self::Signature(SignatureError::Missing) => (StatusCode::FORBIDDEN, "MissingAuthenticationToken"),
            Self::Signature(SignatureError::Incomplete(_)) => {
                (StatusCode::BAD_REQUEST, "IncompleteSignature")
            }
            Self::Signature(SignatureError::Invalid(_)) => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch"),
            Self::Body(BodyError::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge"),
            Self::Body(BodyError::Idle(_)) => (StatusCode::REQUEST_TIMEOUT, "RequestExpired"),
            Self::Body(BodyError::Disconnected(_)) => (StatusCode::BAD_REQUEST, "RequestAborted"),
        }
    }
}

/// Whether a request is of this protocol.
pub(super) fn is_query_protocol(parts: &Parts) -> bool {
    if parts.headers.contains_key(TARGET_HEADER) {
        return false;
    }
    is_form(parts) || parameter(parts.uri.query().unwrap_or_default(), "Action").is_some()
}

fn is_form(parts: &Parts) -> bool {
    let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next().unwrap_or_default();
    parts.method == Method::POST && media_type.trim().eq_ignore_ascii_case(FORM)
}

/// Answers a request of this protocol.
pub(super) async fn handle(app: &Arc<App>, parts: &Parts, body: Body, id: RequestId) -> Response<Body> {
    let mut info = RequestInfo::new("UnknownOperation");
    let mut response = match answer(app, parts, body, &mut info).await {
        Ok(signed) => xml(StatusCode::OK, identity(&signed, id)),
        Err(error) => {
            let (status, code) = error.status_and_code();
            xml(status, refusal(code, &error.to_string(), id))
        }
    };
    response.extensions_mut().insert(info);
    response
}

async fn answer(
    app: &Arc<App>,
    parts: &Parts,
    body: Body,
    info: &mut RequestInfo,
) -> Result<Signed, StsError> {
    let body = read_whole(body, limits::API_SMALL_BODY_BYTES_MAX).await?;
    let form = if is_form(parts) { String::from_utf8_lossy(&body) } else { Cow::Borrowed("") };
    let query = parts.uri.query().unwrap_or_default();
    let value = |name| parameter(&form, name).or_else(|| parameter(query, name));
    let action = value("Action").unwrap_or_default();
    let version = value("Version").unwrap_or_else(|| "NO_VERSION_SPECIFIED".to_owned());
    if action != ACTION || version != VERSION {
        return Err(StsError::InvalidAction { action, version });
    }
    info.operation = ACTION;
    let signed = sigv4::authenticate(parts, Service::Sts, &app.registry.config().default_registry)?;
    info.account = Some(signed.principal.account);
    Ok(signed)
}

/// The first value of a parameter, decoded.
fn parameter(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    })?;
    let spaced = value.replace('+', " ");
    Some(percent_encoding::percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
}

fn identity(signed: &Signed, id: RequestId) -> String {
    let principal = &signed.principal;
    format!(
        "<GetCallerIdentityResponse xmlns=\"{NAMESPACE}\"><GetCallerIdentityResult><Arn>{}</Arn><UserId>{}</UserId>\
         <Account>{}</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>{id}</RequestId>\
         </ResponseMetadata></GetCallerIdentityResponse>",
        escape(&principal.arn),
        escape(&principal.user_id),
        principal.account
    )
}

fn refusal(code: &str, message: &str, id: RequestId) -> String {
    format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{}</Message>\
         </Error><RequestId>{id}</RequestId></ErrorResponse>",
        escape(message)
    )
}

/// Text as XML takes it: markup escaped, and characters that XML 1.0 does not have replaced.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                // Writing to a String does not fail.
                let _ = write!(escaped, "&#{};", u32::from(char));
            }
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => escaped.push('\u{fffd}'),
            char => escaped.push(char),
        }
    }
    escaped
}

fn xml(status: StatusCode, body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: Method, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn is_told_from_the_json_protocol() {
        let form = ("content-type", "application/x-www-form-urlencoded; charset=utf-8");
        let json = ("content-type", "application/x-amz-json-1.1");
        let target = ("x-amz-target", "AmazonEC2ContainerRegistry_V20150921.PutImage");
        let table = [
            (parts(Method::POST, "/", &[form]), true),
            (parts(Method::GET, "/?Action=GetCallerIdentity", &[]), true),
            (parts(Method::POST, "/?Action=GetCallerIdentity", &[json]), true),
            (parts(Method::POST, "/", &[json]), false),
            (parts(Method::POST, "/", &[json, target]), false),
            (parts(Method::POST, "/", &[form, target]), false),
            (parts(Method::GET, "/", &[form]), false),
        ];
        for (parts, expected) in table {
            assert_eq!(is_query_protocol(&parts), expected, "{parts:?}");
        }
    }

    #[test]
    fn forms_are_decoded_and_answers_escaped() {
        let form = "Version=2011-06-15&Action=Get%43aller+Identity&Action=Other";
        assert_eq!(parameter(form, "Action").as_deref(), Some("GetCaller Identity"));
        assert_eq!(parameter(form, "Version").as_deref(), Some("2011-06-15"));
        assert_eq!(parameter(form, "Nothing"), None);
        assert_eq!(escape("<a b=\"c\">&\u{1}\n"), "&lt;a b=&quot;c&quot;&gt;&amp;\u{fffd}&#10;");
    }

    #[test]
    fn every_refusal_has_a_status_and_a_code() {
        let source = || std::io::Error::other("gone").into();
        let table = [
            (
                StsError::InvalidAction { action: "X".to_owned(), version: VERSION.to_owned() },
                (400, "InvalidAction"),
            ),
            (SignatureError::Missing.into(), (403, "MissingAuthenticationToken")),
            (SignatureError::Incomplete(String::new()).into(), (400, "IncompleteSignature")),
            (SignatureError::Invalid(String::new()).into(), (403, "SignatureDoesNotMatch")),
            (BodyError::TooLarge(1).into(), (413, "RequestEntityTooLarge")),
            (BodyError::Idle(1).into(), (408, "RequestExpired")),
            (BodyError::Disconnected(source()).into(), (400, "RequestAborted")),
        ];
        for (error, (status, code)) in table {
            assert_eq!(error.status_and_code(), (StatusCode::from_u16(status).unwrap(), code));
        }
    }
}
