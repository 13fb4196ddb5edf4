//! `Authorization: Basic` with a docker token: user `AWS`, the password from `GetAuthorizationToken`.

use berth_registry::{Principal, Registry};
use data_encoding::BASE64;
use http::{HeaderMap, header};

/// Who a request says it is.
///
/// # Errors
/// `TokenInvalid` without usable credentials or with wrong ones, `TokenExpired` with credentials that were good once.
pub(crate) fn principal(registry: &Registry, headers: &HeaderMap) -> berth_registry::Result<Principal> {
    let password = password(headers).ok_or(berth_registry::Error::TokenInvalid)?;
    registry.verify_token(&password)
}

/// The password that was sent for user `AWS`. The whole head is limited, so a token of several kilobytes is fine here.
fn password(headers: &HeaderMap) -> Option<String> {
    let mut credentials = headers.get_all(header::AUTHORIZATION).iter();
    let credential = credentials.next()?.to_str().ok()?;
    if credentials.next().is_some() {
        return None;
    }
    let (scheme, encoded) = credential.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let mut decoded = String::from_utf8(decoded).ok()?;
    if !decoded.starts_with("AWS:") {
        return None;
    }
    drop(decoded.drain(..4));
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        password(&headers)
    }

    #[test]
    fn reads_the_password_of_user_aws() {
        let encode = |text: &str| BASE64.encode(text.as_bytes());
        assert_eq!(read(&[&format!("Basic {}", encode("AWS:secret:x"))]).as_deref(), Some("secret:x"));
        assert_eq!(read(&[&format!("bASIC  {}", encode("AWS:s"))]).as_deref(), Some("s"));
        let long = "x".repeat(8_000);
        assert_eq!(read(&[&format!("Basic {}", encode(&format!("AWS:{long}")))]), Some(long));
        for bad in [
            String::new(),
            "Basic".to_owned(),
            "Basic !!!".to_owned(),
            format!("Bearer {}", encode("AWS:s")),
            format!("Basic {}", encode("aws:s")),
            format!("Basic {}", encode("AWS")),
            format!("Basic {}", encode("other:s")),
            format!("Basic {}", BASE64.encode(b"AWS:\xff")),
        ] {
            assert_eq!(read(&[&bad]), None, "{bad}");
        }
        let good = format!("Basic {}", encode("AWS:s"));
        assert_eq!(read(&[&good, &good]), None);
        assert_eq!(read(&[]), None);
    }
}
