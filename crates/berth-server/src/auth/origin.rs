//! Keeps web pages out.
//!
//! A registry on a developer's machine can be reached by every page in that machine's browser: by a form or `fetch` to
//! `http://localhost:5000`, which carries an `Origin` header, or by a host name of the attacker that resolves to 127.0.0.1
//! (DNS rebinding), which shows in the `Host` header. So in local mode only known hosts are served, and no foreign origin.

use std::net::IpAddr;

use berth_registry::RegistryHost;
use berth_types::RegistryId;
use http::{HeaderMap, Uri, header};

/// Which `Host` and `Origin` headers are served.
#[derive(Clone, Debug)]
pub(crate) struct OriginGuard {
    template: RegistryHost,
    known: Vec<String>,
    any: bool,
}

/// Why a request is not served. The text is for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OriginError {
    /// There is no usable `Host` header.
    #[error("the request has no Host header, or a malformed one")]
    HostMissing,
    /// A host that is not this registry's.
    #[error(
        "this registry does not serve host {0:?}; if the name is meant to reach it, add it to the server's allowed hosts"
    )]
    HostForeign(String),
    /// A web page of another origin.
    #[error("this registry does not serve requests from web pages of origin {0:?}")]
    OriginForeign(String),
}

impl OriginGuard {
    pub(crate) fn new(template: RegistryHost, default: &RegistryId, allowed: &[String]) -> Self {
        let any = allowed.iter().any(|host| host == "*");
        let own = template.host(default);
        let known = allowed
            .iter()
            .map(String::as_str)
            .chain([own.as_str()])
            .map(|host| bare(host).to_ascii_lowercase());
        Self { known: known.collect(), template, any }
    }

    /// Checks a request and returns its host, with the port if it has one.
    pub(crate) fn check<'a>(&self, uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, OriginError> {
        let host =
            host(uri, headers).filter(|host| !bare(host).is_empty()).ok_or(OriginError::HostMissing)?;
        if !self.any && !self.knows(host) {
            return Err(OriginError::HostForeign(bare(host).to_owned()));
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().unwrap_or("?");
            let of_page = origin.split_once("://").map(|(_, host)| host);
            if !of_page.is_some_and(|page| page.eq_ignore_ascii_case(host)) {
                return Err(OriginError::OriginForeign(origin.to_owned()));
            }
        }
        Ok(host)
    }

    fn knows(&self, host: &str) -> bool {
        let bare_host = bare(host);
        if is_loopback(bare_host) || self.known.iter().any(|known| known.eq_ignore_ascii_case(bare_host)) {
            return true;
        }
        RegistryHost::registry_of_host(bare_host)
            .is_some_and(|registry| bare(&self.template.host(&registry)).eq_ignore_ascii_case(bare_host))
    }
}

/// The host that a request is for: of the URI in HTTP/2 or absolute form, else of the header.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    if let Some(authority) = uri.authority() {
        return Some(authority.as_str());
    }
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// A host without its port, without the brackets of an IPv6 address, without the root's dot.
fn bare(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split(']').next().unwrap_or_default();
    }
    let name = match host.rsplit_once(':') {
        Some((name, _)) if !name.contains(':') => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

fn is_loopback(host: &str) -> bool {
    if let Ok(address) = host.parse::<IpAddr>() {
        return address.to_canonical().is_loopback();
    }
    // RFC 6761, section 6.3: `localhost` and what is below it never leave the machine.
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(template: &str, allowed: &[&str]) -> OriginGuard {
        let registry =
            RegistryId { account: "000000000000".parse().unwrap(), region: "us-east-1".parse().unwrap() };
        let template = RegistryHost::parse(template, 5000, false).unwrap();
        let allowed: Vec<String> = allowed.iter().map(|host| (*host).to_owned()).collect();
        OriginGuard::new(template, &registry, &allowed)
    }

    fn check(guard: &OriginGuard, host: &str, origin: Option<&str>) -> Result<(), OriginError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        guard.check(&Uri::from_static("/v2/"), &headers).map(|_| ())
    }

    #[test]
    fn serves_loopback_and_its_own_names_only() {
        let guard = guard("{account}.dkr.ecr.{region}.berth.test:{port}", &["Registry", "10.0.0.5"]);
        for host in [
            "localhost",
            "LOCALHOST:5000",
            "localhost.:1",
            "127.0.0.1:5000",
            "127.9.9.9",
            "[::1]:5000",
            "[::ffff:127.0.0.1]:5000",
            "x.localhost:80",
            "registry:5000",
            "10.0.0.5:5000",
            "000000000000.dkr.ecr.us-east-1.berth.test:5000",
            "123456789012.dkr.ecr.eu-west-1.BERTH.test",
        ] {
            assert_eq!(check(&guard, host, None), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "notlocalhost",
            "10.0.0.6",
            "[::2]:5000",
            "128.0.0.1",
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.berth.test.evil.example",
            "berth.test",
        ] {
            assert!(matches!(check(&guard, host, None), Err(OriginError::HostForeign(_))), "{host}");
        }
        for host in ["", ":5000", "[]:1"] {
            assert_eq!(check(&guard, host, None), Err(OriginError::HostMissing), "{host}");
        }
    }

    #[test]
    fn refuses_foreign_origins() {
        let guard = guard("localhost:{port}", &[]);
        assert_eq!(check(&guard, "localhost:5000", Some("http://localhost:5000")), Ok(()));
        for origin in ["null", "http://evil.example", "http://localhost:8080", "http://localhost", ""] {
            let refused = check(&guard, "localhost:5000", Some(origin));
            assert!(matches!(refused, Err(OriginError::OriginForeign(_))), "{origin}");
        }
    }

    #[test]
    fn a_star_accepts_any_host_but_no_foreign_origin() {
        let guard = guard("localhost:{port}", &["*"]);
        assert_eq!(check(&guard, "anything.example", None), Ok(()));
        assert!(check(&guard, "anything.example", Some("http://evil.example")).is_err());
    }

    #[test]
    fn two_hosts_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::HOST, "localhost".parse().unwrap());
        headers.append(header::HOST, "localhost".parse().unwrap());
        let guard = guard("localhost:{port}", &[]);
        assert_eq!(guard.check(&Uri::from_static("/"), &headers), Err(OriginError::HostMissing));
    }
}
