//! AWS Signature Version 4: who signed an API call, for which region and service.
//!
//! This is the local mode of authentication: a signature must be there and well formed, and its credential scope says
//! account and region, but the signature itself is **not verified**, since in local mode nobody has a secret. Strict mode
//! stands on the same parser.
//!
//! Both forms are read: the `Authorization` header, and the query of a presigned URL. Texts are those of AWS, as clients
//! quote them.

use std::borrow::Cow;

use berth_registry::Principal;
use berth_types::{AccountId, Region, RegistryId};
use http::HeaderMap;
use http::header::{AUTHORIZATION, DATE};
use http::request::Parts;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const AMZ_DATE: &str = "x-amz-date";
/// Seven days, the longest that AWS lets a presigned URL live.
const EXPIRES_SECONDS_MAX: u64 = 604_800;
/// How much of a client's text an error repeats.
const ECHO_CHARS_MAX: usize = 256;

/// What a well-formed signature says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Whose key signed.
    pub(crate) principal: Principal,
    /// The region of the credential scope: the registry that is meant when a request names none.
    pub(crate) region: Region,
}

/// The service of a credential scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// The ECR API.
    Ecr,
    /// The Security Token Service, of which one operation is answered.
    Sts,
}

impl Service {
    /// As written in a credential scope.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ecr => "ecr",
            Self::Sts => "sts",
        }
    }
}

/// Why a request does not count as signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// There is no signature at all.
    #[error("Missing Authentication Token")]
    Missing,
    /// There is one, but not a whole one.
    #[error("{0}")]
    Incomplete(String),
    /// It is whole, but for something else.
    #[error("{0}")]
    Invalid(String),
}

/// The parts of a signature before anything is known about them.
#[derive(Debug)]
struct Raw<'a> {
    credential: Cow<'a, str>,
    signed_headers: Cow<'a, str>,
    signature: Cow<'a, str>,
    /// `YYYYMMDD'T'HHMMSS'Z'`, or an HTTP date.
    date: Cow<'a, str>,
}

/// Reads the signature of a request to `service`. An access key of 12 digits is its account's number; any other key
/// belongs to the account of `default`.
///
/// # Errors
/// [`SignatureError`] if there is no signature, or not a well-formed one for this service.
pub(crate) fn authenticate(
    parts: &Parts,
    service: Service,
    default: &RegistryId,
) -> Result<Signed, SignatureError> {
    let query = parts.uri.query().unwrap_or_default();
    if parts.headers.get_all(AUTHORIZATION).iter().count() > 1 {
        // Which of them counts is a question that two readers could answer differently.
        return Err(SignatureError::Incomplete(
            "The request has more than one Authorization header.".to_owned(),
        ));
    }
    let raw = match parts.headers.get(AUTHORIZATION) {
        Some(value) => {
            let text = value.to_str().map_err(|_| {
                SignatureError::Incomplete("Authorization header has characters outside ASCII.".to_owned())
            })?;
            from_header(text, &parts.headers)?
        }
        None => from_query(query)?,
    };
    let scope = Scope::parse(&raw.credential)?;
    scope.check(service, &raw.date)?;
    check_signed_headers(&raw.signed_headers)?;
    check_signature(&raw.signature)?;
    let region = Region::parse(scope.region).map_err(|_| {
        SignatureError::Invalid(format!(
            "Credential should be scoped to a valid region, not '{}'. ",
            echo(scope.region)
        ))
    })?;
    let account = AccountId::parse(scope.key).unwrap_or(default.account);
    Ok(Signed { principal: root_of(account, &region), region })
}

/// The root user of an account, which is what every key is in local mode.
fn root_of(account: AccountId, region: &Region) -> Principal {
    let arn = format!("arn:{}:iam::{account}:root", region.partition());
    Principal { account, arn, user_id: account.to_string() }
}

fn from_header<'a>(text: &'a str, headers: &'a HeaderMap) -> Result<Raw<'a>, SignatureError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(SignatureError::Incomplete("Authorization header cannot be empty.".to_owned()));
    }
    let (algorithm, rest) = text.split_once(' ').unwrap_or((text, ""));
    check_algorithm(algorithm)?;
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for part in rest.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else {
            return Err(SignatureError::Incomplete(format!(
                "'{}' not a valid key=value pair (missing equal-sign) in Authorization header.",
                echo(part)
            )));
        };
        let slot = match name {
            "Credential" => &mut credential,
            "SignedHeaders" => &mut signed_headers,
            "Signature" => &mut signature,
            _ => continue,
        };
        if slot.replace(value).is_some() {
            return Err(SignatureError::Incomplete(format!(
                "Authorization header has more than one '{name}' parameter."
            )));
        }
    }
    let date = headers.get(AMZ_DATE).or_else(|| headers.get(DATE)).and_then(|value| value.to_str().ok());
    let missing = |name| format!("Authorization header requires '{name}' parameter. ");
    complete(
        [credential, signed_headers, signature, date].map(|part| part.map(Cow::Borrowed)),
        [
            missing("Credential"),
            missing("SignedHeaders"),
            missing("Signature"),
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. "
                .to_owned(),
        ],
    )
}

fn from_query(query: &str) -> Result<Raw<'_>, SignatureError> {
    let Some(algorithm) = parameter(query, "X-Amz-Algorithm")? else { return Err(SignatureError::Missing) };
    check_algorithm(&algorithm)?;
    if let Some(expires) = parameter(query, "X-Amz-Expires")? {
        let seconds = expires.parse::<u64>().ok().filter(|seconds| *seconds <= EXPIRES_SECONDS_MAX);
        if seconds.is_none() {
            return Err(SignatureError::Incomplete(format!(
                "'X-Amz-Expires' must be a number of seconds up to {EXPIRES_SECONDS_MAX}."
            )));
        }
    }
    let names = ["X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date"];
    let [credential, signed_headers, signature, date] = names.map(|name| parameter(query, name));
    complete(
        [credential?, signed_headers?, signature?, date?],
        names.map(|name| format!("AWS query-string parameters must include '{name}'. ")),
    )
}

/// All four parts, or one text that names each missing one.
fn complete<'a>(parts: [Option<Cow<'a, str>>; 4], missing: [String; 4]) -> Result<Raw<'a>, SignatureError> {
    let parts = parts.map(|part| part.filter(|part| !part.is_empty()));
    match parts {
        [Some(credential), Some(signed_headers), Some(signature), Some(date)] => {
            Ok(Raw { credential, signed_headers, signature, date })
        }
        parts => {
            let absent = parts.iter().zip(missing).filter(|(part, _)| part.is_none());
            let text: String = absent.map(|(_, text)| text).collect();
            Err(SignatureError::Incomplete(text.trim_end().to_owned()))
        }
    }
}

/// The value of a query parameter, percent-decoded.
fn parameter<'a>(query: &'a str, name: &str) -> Result<Option<Cow<'a, str>>, SignatureError> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then_some(value)
    });
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(SignatureError::Incomplete(format!("The query has more than one '{name}' parameter.")));
    }
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    decoded
        .map(Some)
        .map_err(|_| SignatureError::Incomplete(format!("Query parameter '{name}' is not valid UTF-8.")))
}

fn check_algorithm(algorithm: &str) -> Result<(), SignatureError> {
    if algorithm == ALGORITHM {
        return Ok(());
    }
    Err(SignatureError::Incomplete(format!("Unsupported AWS 'algorithm': '{}'.", echo(algorithm))))
}

#[derive(Debug)]
struct Scope<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    terminator: &'a str,
}

impl<'a> Scope<'a> {
    fn parse(credential: &'a str) -> Result<Self, SignatureError> {
        let mut elements = credential.split('/');
        let mut next = || elements.next().filter(|element| !element.is_empty());
        let scope = match (next(), next(), next(), next(), next()) {
            (Some(key), Some(date), Some(region), Some(service), Some(terminator)) => {
                Some(Self { key, date, region, service, terminator })
            }
            _ => None,
        };
        scope.filter(|_| elements.next().is_none()).ok_or_else(|| {
            SignatureError::Incomplete(format!(
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
                 '{}'",
                echo(credential)
            ))
        })
    }

    fn check(&self, service: Service, date: &str) -> Result<(), SignatureError> {
        let invalid = |text: String| Err(SignatureError::Invalid(text));
        if !self.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
            return Err(SignatureError::Incomplete("Credential has a malformed access key.".to_owned()));
        }
        if self.date.len() != 8 || !self.date.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SignatureError::Incomplete(format!(
                "Date in Credential scope must have the form YYYYMMDD, got '{}'",
                echo(self.date)
            )));
        }
        if self.terminator != TERMINATOR {
            return invalid(format!(
                "Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{}'. ",
                echo(self.terminator)
            ));
        }
        if self.service != service.name() {
            return invalid(format!(
                "Credential should be scoped to correct service: '{}'. ",
                service.name()
            ));
        }
        // An HTTP date (the `Date` header) is not compared: only its ISO form has the scope's day in it.
        if is_iso_date(date) && &date[..8] != self.date {
            return invalid(format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != \
                 '{}', from '{date}'.",
                self.date,
                &date[..8]
            ));
        }
        if !is_iso_date(date) && !is_http_date(date) {
            return Err(SignatureError::Incomplete(format!(
                "Date must be in ISO-8601 'basic format'. Got '{}'. See http://en.wikipedia.org/wiki/ISO_8601",
                echo(date)
            )));
        }
        Ok(())
    }
}

/// `20261123T120000Z`
fn is_iso_date(text: &str) -> bool {
    let is_digits = |range: &[u8]| range.iter().all(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    bytes.len() == 16
        && is_digits(&bytes[..8])
        && bytes[8] == b'T'
        && is_digits(&bytes[9..15])
        && bytes[15] == b'Z'
}

/// `Mon, 23 Nov 2026 12:00:00 GMT`, by its frame only.
fn is_http_date(text: &str) -> bool {
    text.is_ascii() && text.len() == 29 && text.ends_with(" GMT") && text[3..].starts_with(", ")
}

fn check_signed_headers(signed_headers: &str) -> Result<(), SignatureError> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| {
                byte.is_ascii_lowercase()
                    || byte.is_ascii_digit()
                    || matches!(byte, b'-' | b'_' | b'.' | b':')
            })
    };
    if !signed_headers.split(';').all(is_name) {
        return Err(SignatureError::Incomplete(format!(
            "'SignedHeaders' must be lower-case header names joined by ';', got '{}'",
            echo(signed_headers)
        )));
    }
    if !signed_headers.split(';').any(|name| matches!(name, "host" | ":authority")) {
        let text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.";
        return Err(SignatureError::Invalid(text.to_owned()));
    }
    Ok(())
}

fn check_signature(signature: &str) -> Result<(), SignatureError> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if signature.len() == 64 && signature.bytes().all(is_hex) {
        return Ok(());
    }
    Err(SignatureError::Incomplete("'Signature' must be 64 lower-case hexadecimal digits.".to_owned()))
}

/// A client's text as an error repeats it: not more than an error should hold.
fn echo(text: &str) -> &str {
    text.char_indices().nth(ECHO_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const SIGNATURE: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn default() -> RegistryId {
        RegistryId {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
        }
    }

    fn header(credential: &str) -> String {
        format!("{ALGORITHM} Credential={credential}, SignedHeaders=host;x-amz-date, Signature={SIGNATURE}")
    }

    fn of_header(authorization: &str, date: Option<&str>) -> Result<Signed, SignatureError> {
        let mut request = Request::post("/").header(AUTHORIZATION, authorization);
        if let Some(date) = date {
            request = request.header(AMZ_DATE, date);
        }
        authenticate(&request.body(()).unwrap().into_parts().0, Service::Ecr, &default())
    }

    fn signed(authorization: &str) -> Result<Signed, SignatureError> {
        of_header(authorization, Some("20261123T120000Z"))
    }

    fn of_query(query: &str, service: Service) -> Result<Signed, SignatureError> {
        let uri = format!("/?Action=GetCallerIdentity&{query}");
        authenticate(&Request::get(uri).body(()).unwrap().into_parts().0, service, &default())
    }

    #[test]
    fn a_key_of_twelve_digits_names_its_account() {
        for (key, account) in [("123456789012", "123456789012"), ("AKIAIOSFODNN7EXAMPLE", "000000000000")] {
            let signed = signed(&header(&format!("{key}/20261123/eu-west-1/ecr/aws4_request"))).unwrap();
            assert_eq!(signed.principal.account.as_str(), account);
            assert_eq!(signed.principal.arn, format!("arn:aws:iam::{account}:root"));
            assert_eq!(signed.principal.user_id, account);
            assert_eq!(signed.region.as_str(), "eu-west-1");
        }
    }

    #[test]
    fn reads_what_clients_write() {
        let scope = "AKID/20261123/us-east-1/ecr/aws4_request";
        for text in [
            header(scope),
            // Without spaces (boto2, curl), in another order, with a parameter we do not know.
            format!("{ALGORITHM} Credential={scope},SignedHeaders=host,Signature={SIGNATURE}"),
            format!("{ALGORITHM} Signature={SIGNATURE}, SignedHeaders=host, Credential={scope}, More=1"),
        ] {
            assert!(signed(&text).is_ok(), "{text}");
        }
        assert!(of_header(&header(scope), None).is_err());
    }

    #[test]
    fn reads_the_presigned_form() {
        let query = |expires: &str| {
            format!(
                "X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential=AKID%2F20261123%2Fus-east-1%2Fsts%2Faws4_request\
                 &X-Amz-Date=20261123T120000Z&X-Amz-Expires={expires}&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
                 &X-Amz-Signature={SIGNATURE}"
            )
        };
        assert_eq!(of_query(&query("60"), Service::Sts).unwrap().region.as_str(), "us-east-1");
        assert!(matches!(of_query(&query("60"), Service::Ecr), Err(SignatureError::Invalid(_))));
        for expires in ["-1", "604801", "soon"] {
            assert!(matches!(of_query(&query(expires), Service::Sts), Err(SignatureError::Incomplete(_))));
        }
        assert_eq!(of_query("", Service::Sts), Err(SignatureError::Missing));
        let missing = of_query(&format!("X-Amz-Algorithm={ALGORITHM}"), Service::Sts).unwrap_err();
        insta::assert_snapshot!(missing, @"AWS query-string parameters must include 'X-Amz-Credential'. AWS query-string parameters must include 'X-Amz-SignedHeaders'. AWS query-string parameters must include 'X-Amz-Signature'. AWS query-string parameters must include 'X-Amz-Date'.");
    }

    #[test]
    fn refuses_what_is_not_whole_and_says_why() {
        let good = header("AKID/20261123/us-east-1/ecr/aws4_request");
        let table = [
            ("", "Authorization header cannot be empty."),
            ("Bearer abc", "Unsupported AWS 'algorithm': 'Bearer'."),
            ("AWS4-ECDSA-P256-SHA256 x", "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."),
            (
                ALGORITHM,
                "Authorization header requires 'Credential' parameter. Authorization header requires \
                 'SignedHeaders' parameter. Authorization header requires 'Signature' parameter.",
            ),
            (
                &format!("{ALGORITHM} Credential"),
                "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header.",
            ),
            (
                &format!("{good}, Signature={SIGNATURE}"),
                "Authorization header has more than one 'Signature' parameter.",
            ),
            (
                &header("AKID/20261123"),
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
                 'AKID/20261123'",
            ),
            (
                &header("AKID/20261123//ecr/aws4_request"),
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got \
                 'AKID/20261123//ecr/aws4_request'",
            ),
            (
                &header("AKID/2026112/us-east-1/ecr/aws4_request"),
                "Date in Credential scope must have the form YYYYMMDD, got '2026112'",
            ),
            (&header("A?D/20261123/us-east-1/ecr/aws4_request"), "Credential has a malformed access key."),
            (
                &good.replace("host;x-amz-date", "Host"),
                "'SignedHeaders' must be lower-case header names joined by ';', got 'Host'",
            ),
            (&good.replace(SIGNATURE, "abc"), "'Signature' must be 64 lower-case hexadecimal digits."),
        ];
        for (text, message) in table {
            assert_eq!(signed(text), Err(SignatureError::Incomplete(message.to_owned())), "{text}");
        }
        let dateless = of_header(&good, None).unwrap_err().to_string();
        assert_eq!(
            dateless,
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        );
        assert!(matches!(of_header(&good, Some("today")), Err(SignatureError::Incomplete(_))));
    }

    #[test]
    fn refuses_what_was_signed_for_something_else() {
        let table = [
            (
                header("AKID/20261123/us-east-1/s3/aws4_request"),
                "Credential should be scoped to correct service: 'ecr'. ",
            ),
            (
                header("AKID/20261123/us-east-1/ecr/aws3_request"),
                "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws3_request'. ",
            ),
            (
                header("AKID/20261123/US_EAST/ecr/aws4_request"),
                "Credential should be scoped to a valid region, not 'US_EAST'. ",
            ),
            (
                header("AKID/20261122/us-east-1/ecr/aws4_request"),
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '20261122' \
                 != '20261123', from '20261123T120000Z'.",
            ),
            (
                header("AKID/20261123/us-east-1/ecr/aws4_request").replace("host;", ""),
                "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.",
            ),
        ];
        for (text, message) in table {
            assert_eq!(signed(&text), Err(SignatureError::Invalid(message.to_owned())), "{text}");
        }
    }

    #[test]
    fn two_headers_are_one_too_many() {
        let good = header("AKID/20261123/us-east-1/ecr/aws4_request");
        let twice = Request::post("/")
            .header(AMZ_DATE, "20261123T120000Z")
            .header(AUTHORIZATION, &good)
            .header(AUTHORIZATION, &good);
        let refused =
            authenticate(&twice.body(()).unwrap().into_parts().0, Service::Ecr, &default()).unwrap_err();
        assert_eq!(refused.to_string(), "The request has more than one Authorization header.");
    }

    #[test]
    fn an_error_does_not_repeat_endless_text() {
        let error = signed(&header(&"é".repeat(10_000))).unwrap_err().to_string();
        assert!(error.chars().count() < 500, "{}", error.len());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,200}", date in "\\PC{0,30}") {
            let _ = from_header(&text, &HeaderMap::new());
            let _ = from_query(&text);
            let _ = Scope::parse(&text).map(|scope| scope.check(Service::Ecr, &date));
            let _ = (check_signed_headers(&text), check_signature(&text));
        }

        #[test]
        fn never_panics_on_near_misses(
            cut in 0_usize..400,
            insert in "[ ,=/;A-Za-z0-9é]{0,4}",
            date in "[0-9TZ]{14,18}|[A-Z][a-z]{2}, [0-9A-Za-z: ]{20,26}GMT",
        ) {
            let mut text = header("AKID/20261123/us-east-1/ecr/aws4_request");
            let at = cut.min(text.len());
            text.insert_str(at, &insert);
            let mut headers = HeaderMap::new();
            headers.insert(AMZ_DATE, date.parse().unwrap());
            if let Ok(raw) = from_header(&text, &headers) {
                let _ = Scope::parse(&raw.credential).map(|scope| scope.check(Service::Ecr, &raw.date));
            }
        }

        #[test]
        fn every_well_formed_scope_is_read(key in "[A-Z0-9]{16,20}|[0-9]{12}", region in "[a-z]{2}-[a-z]{4,9}-[1-9]") {
            let signed = signed(&header(&format!("{key}/20261123/{region}/ecr/aws4_request"))).unwrap();
            proptest::prop_assert_eq!(signed.region.as_str(), region);
        }
    }
}
