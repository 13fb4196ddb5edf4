//! The names under which clients reach a registry.

use berth_types::{AccountId, Region, RegistryId, RepositoryName};

/// A template for the host of a registry, for example `localhost:{port}` or
/// `{account}.dkr.ecr.{region}.amazonaws.com`. It makes `repositoryUri` and `proxyEndpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryHost {
    template: String,
    /// `http` or `https`.
    scheme: &'static str,
    port: u16,
    /// The registry that the template's host means, where the template names neither account nor region.
    default_registry: Option<RegistryId>,
}

/// The template is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryHostError {
    /// A placeholder other than `{account}`, `{region}`, `{port}`.
    #[error(
        "registry host template has unknown placeholder {{{0}}}; known are {{account}}, {{region}} and {{port}}"
    )]
    Placeholder(String),
    /// What it makes is no `host[:port]`.
    #[error("registry host template {0:?} does not make a host name with an optional port")]
    Host(String),
}

impl RegistryHost {
    /// Checks a template. The scheme is `https` if `tls`, or if the host is not of this machine (a proxy in front of the
    /// registry then terminates TLS); docker treats `localhost` and 127.0.0.0/8 as plain HTTP.
    ///
    /// # Errors
    /// [`RegistryHostError`].
    pub fn parse(template: &str, port: u16, tls: bool) -> Result<Self, RegistryHostError> {
        let made = Self { template: template.to_owned(), scheme: "http", port, default_registry: None };
        made.check_placeholders()?;
        let example = made.example_host();
        if !is_host(&example) {
            return Err(RegistryHostError::Host(template.to_owned()));
        }
        let scheme = if tls || !is_of_this_machine(&example) { "https" } else { "http" };
        Ok(Self { scheme, ..made })
    }

    /// Says which registry is meant by a host that names none. Every other one is then given a name of its own, so that what
    /// is created through the API in another region is never pushed to by a URI that means the default registry.
    #[must_use]
    pub fn with_default(self, registry: RegistryId) -> Self {
        Self { default_registry: Some(registry), ..self }
    }

    fn check_placeholders(&self) -> Result<(), RegistryHostError> {
        let mut rest = self.template.as_str();
        while let Some((_, after)) = rest.split_once('{') {
            let (placeholder, after) =
                after.split_once('}').ok_or_else(|| RegistryHostError::Host(self.template.clone()))?;
            if !["account", "region", "port"].contains(&placeholder) {
                return Err(RegistryHostError::Placeholder(placeholder.to_owned()));
            }
            rest = after;
        }
        Ok(())
    }

    /// What the template makes for some registry.
    fn example_host(&self) -> String {
        self.fill("123456789012", "us-east-1")
    }

    fn fill(&self, account: &str, region: &str) -> String {
        self.template
            .replace("{account}", account)
            .replace("{region}", region)
            .replace("{port}", &self.port.to_string())
    }

    /// `host[:port]` of a registry. Where the template does not tell registries apart, one that is not the default is
    /// `<account>.dkr.ecr.<region>.` before the template's host; before an address, which can have nothing before it,
    /// `localhost` stands for it.
    #[must_use]
    pub fn host(&self, registry: &RegistryId) -> String {
        let filled = self.fill(registry.account.as_str(), registry.region.as_str());
        let tells_apart = self.template.contains("{account}") && self.template.contains("{region}");
        if tells_apart || self.default_registry.as_ref().is_none_or(|default| default == registry) {
            return filled;
        }
        let RegistryId { account, region } = registry;
        let (host, port) = split_port(&filled);
        let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
        let host = if is_address { "localhost" } else { host };
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{account}.dkr.ecr.{region}.{host}{port}")
    }

    /// `host[:port]/name`.
    #[must_use]
    pub fn repository_uri(&self, registry: &RegistryId, name: &RepositoryName) -> String {
        format!("{}/{name}", self.host(registry))
    }

    /// `scheme://host[:port]`, what `GetAuthorizationToken` calls `proxyEndpoint`.
    #[must_use]
    pub fn proxy_endpoint(&self, registry: &RegistryId) -> String {
        format!("{}://{}", self.scheme, self.host(registry))
    }

    /// The registry that a `Host` header names, if it has the form `<account>.dkr.ecr.<region>.<domain>` (also
    /// `.dkr-ecr.`); any other host is the default registry's.
    #[must_use]
    pub fn registry_of_host(host: &str) -> Option<RegistryId> {
        let mut parts = host.split('.');
        let account = AccountId::parse(parts.next()?).ok()?;
        let region = match (parts.next()?, parts.next()?) {
            ("dkr", "ecr") => parts.next()?,
            ("dkr-ecr", region) => region,
            _ => return None,
        };
        Some(RegistryId { account, region: Region::parse(region).ok()? })
    }
}

/// A DNS name or IPv4 address, or an IPv6 address in brackets, with an optional port.
fn is_host(text: &str) -> bool {
    let (host, port) = split_port(text);
    let port_fits =
        port.is_none_or(|port| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok());
    let host_fits = match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.len() <= 253 && host.split('.').all(is_label),
    };
    port_fits && host_fits
}

fn is_label(label: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&label.len())
        && label.bytes().all(fits)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether docker would speak plain HTTP to it.
fn is_of_this_machine(text: &str) -> bool {
    let (host, _) = split_port(text);
    let is_loopback = |address: std::net::IpAddr| address.is_loopback();
    host == "localhost"
        || host.ends_with(".localhost")
        || host.trim_start_matches('[').trim_end_matches(']').parse().is_ok_and(is_loopback)
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        // The last colon of an IPv6 address without a port is inside the brackets.
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registry() -> RegistryId {
        RegistryId {
            account: AccountId::parse("123456789012").unwrap(),
            region: Region::parse("eu-west-1").unwrap(),
        }
    }

    #[test]
    fn makes_names_and_endpoints() {
        let name = RepositoryName::parse("shop/api").unwrap();
        for (template, tls, uri, endpoint) in [
            ("localhost:{port}", false, "localhost:5000/shop/api", "http://localhost:5000"),
            ("localhost:{port}", true, "localhost:5000/shop/api", "https://localhost:5000"),
            ("127.0.0.1:{port}", false, "127.0.0.1:5000/shop/api", "http://127.0.0.1:5000"),
            ("[::1]:{port}", false, "[::1]:5000/shop/api", "http://[::1]:5000"),
            (
                "{account}.localhost:{port}",
                false,
                "123456789012.localhost:5000/shop/api",
                "http://123456789012.localhost:5000",
            ),
            (
                "{account}.dkr.ecr.{region}.amazonaws.com",
                false,
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop/api",
                "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            ),
            (
                "registry.example:8443",
                false,
                "registry.example:8443/shop/api",
                "https://registry.example:8443",
            ),
        ] {
            let host = RegistryHost::parse(template, 5000, tls).unwrap();
            assert_eq!(host.repository_uri(&registry(), &name), uri);
            assert_eq!(host.proxy_endpoint(&registry()), endpoint);
        }
    }

    #[test]
    fn refuses_what_makes_no_host() {
        for (template, placeholder) in [("{acount}.x", "acount"), ("{}", ""), ("{{port}}", "{port")] {
            let error = RegistryHost::parse(template, 5000, false).unwrap_err();
            assert_eq!(error, RegistryHostError::Placeholder(placeholder.to_owned()), "{template}");
        }
        for template in [
            "", "http://x", "x/y", "a b", "x:y", "x:", "x:99999", "{port", "-x", "x..y", "X", "[::1",
            "a:b:1", "[x]:1", "user@x", "x}",
        ] {
            let error = RegistryHost::parse(template, 5000, false).unwrap_err();
            assert_eq!(error, RegistryHostError::Host(template.to_owned()));
        }
    }

    #[test]
    fn every_registry_has_a_host_that_means_it() {
        let default = RegistryId {
            account: AccountId::parse("000000000000").unwrap(),
            region: Region::parse("us-east-1").unwrap(),
        };
        for (template, own, other) in [
            ("localhost:{port}", "localhost:5000", "123456789012.dkr.ecr.eu-west-1.localhost:5000"),
            ("127.0.0.1:{port}", "127.0.0.1:5000", "123456789012.dkr.ecr.eu-west-1.localhost:5000"),
            ("registry.example", "registry.example", "123456789012.dkr.ecr.eu-west-1.registry.example"),
            (
                "{account}.dkr.ecr.{region}.amazonaws.com",
                "000000000000.dkr.ecr.us-east-1.amazonaws.com",
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            ),
        ] {
            let host = RegistryHost::parse(template, 5000, false).unwrap().with_default(default.clone());
            assert_eq!(host.host(&default), own);
            assert_eq!(host.host(&registry()), other);
            assert_eq!(RegistryHost::registry_of_host(&host.host(&registry())), Some(registry()));
        }
    }

    #[test]
    fn reads_the_registry_from_a_host_header() {
        for host in [
            "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
            "123456789012.dkr.ecr.eu-west-1.localhost:5000",
            "123456789012.dkr-ecr.eu-west-1.on.aws",
        ] {
            assert_eq!(RegistryHost::registry_of_host(host), Some(registry()), "{host}");
        }
        for host in ["", "localhost:5000", "123456789012", "1.dkr.ecr.eu-west-1.x", "123456789012.dkr.s3.x.y"]
        {
            assert_eq!(RegistryHost::registry_of_host(host), None, "{host}");
        }
    }
}
