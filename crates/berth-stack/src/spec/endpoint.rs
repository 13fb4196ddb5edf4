//! Where an ECR API is.

use std::fmt;
use std::net::IpAddr;

/// The URL of an ECR API: `http://` or `https://`, a host and perhaps a port, and nothing else.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    host: String,
    is_plain: bool,
}

/// The text is not the URL of an API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an endpoint is http:// or https:// with a host and perhaps a port, and no path")]
pub struct EndpointError;

impl Endpoint {
    /// Parses the URL; a single slash at its end is dropped.
    ///
    /// # Errors
    /// [`EndpointError`] if there is a path, a query, a user name, another scheme, or no host.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        let uri: http::Uri = text.parse().map_err(|_| EndpointError)?;
        let scheme = uri.scheme_str().ok_or(EndpointError)?;
        let authority = uri.authority().ok_or(EndpointError)?;
        let has_path = uri.path_and_query().is_some_and(|path| path.as_str() != "/");
        let has_bad_port = authority.port_u16().is_none() && authority.as_str() != authority.host();
        if !matches!(scheme, "http" | "https") || has_path || has_bad_port || authority.host().is_empty() {
            return Err(EndpointError);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { url: format!("{scheme}://{authority}"), host, is_plain: scheme == "http" })
    }

    /// The URL without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Whether it is plain HTTP to this very machine: `localhost`, a name under it, or a loopback address.
    #[must_use]
    pub fn is_plain_loopback(&self) -> bool {
        let is_local_name = self.host == "localhost" || self.host.ends_with(".localhost");
        let is_loopback = self.host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        self.is_plain && (is_local_name || is_loopback)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.url, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_of_servers_only() {
        for (text, url, loopback) in [
            ("http://localhost:5000", "http://localhost:5000", true),
            ("http://127.0.0.1:5000/", "http://127.0.0.1:5000", true),
            ("http://[::1]:5000", "http://[::1]:5000", true),
            ("http://api.localhost", "http://api.localhost", true),
            ("https://localhost:5000", "https://localhost:5000", false),
            ("http://registry.example:80", "http://registry.example:80", false),
            ("http://localhost.example", "http://localhost.example", false),
        ] {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.as_str(), url);
            assert_eq!(endpoint.is_plain_loopback(), loopback, "{text}");
        }
        for bad in [
            "",
            "localhost:5000",
            "localhost",
            "ftp://localhost",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://u:p@a",
            "http://a:x",
            "http://a:99999",
            "http://a b",
        ] {
            assert_eq!(Endpoint::parse(bad), Err(EndpointError), "{bad}");
        }
    }
}
