//! The settings of a server: command line over environment over file over default.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_types::{AccountId, Region, RegistryId};
use serde::Deserialize;

use super::clean_up::CleanUpFile;

const DEFAULT_LISTEN: &str = "127.0.0.1:5000";
const DEFAULT_DATA_DIR: &str = ".berth";
const DEFAULT_ACCOUNT: &str = "000000000000";
const DEFAULT_REGION: &str = "us-east-1";
const DEFAULT_REGISTRY_HOST: &str = "localhost:{port}";
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;
const DEFAULT_SHUTDOWN_SECONDS: u64 = 30;

/// How environment variables are looked up; an argument, so that a test can pretend.
type Environment<'a> = &'a dyn Fn(&'static str) -> Option<String>;

/// The options that `serve` and `up` have in common.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ServerArgs {
    /// Settings file, see docs/server.md; options given here win over it
    #[arg(long, value_name = "FILE", env = "BERTH_SERVER_CONFIG")]
    config: Option<PathBuf>,

    /// Address to serve on; port 0 takes a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS", env = "BERTH_LISTEN")]
    listen: Option<SocketAddr>,

    /// Directory that holds everything: root key, metadata, blobs [default: .berth]
    #[arg(long, value_name = "DIR", env = "BERTH_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Account of requests that name none, 12 digits [default: 000000000000]
    #[arg(long, value_name = "ID", env = "BERTH_ACCOUNT_ID")]
    account_id: Option<AccountId>,

    /// Region of requests that name none [default: AWS_REGION, else us-east-1]
    #[arg(long, value_name = "REGION", env = "BERTH_REGION")]
    region: Option<Region>,

    /// Host in repository URIs, with {account}, {region} and {port} filled in [default: localhost:{port}]
    #[arg(long, value_name = "TEMPLATE", env = "BERTH_REGISTRY_HOST")]
    registry_host: Option<String>,

    /// Root key (64 hex digits or base64) instead of the file root.key in the data directory
    #[arg(long, value_name = "KEY", env = "BERTH_ROOT_KEY", hide_env_values = true, hide = true)]
    root_key: Option<String>,

    /// Another Host that requests may name, beside loopback and the registry host; may be repeated
    #[arg(long, value_name = "HOST")]
    allow_host: Vec<String>,

    /// Serve beyond loopback although anybody who reaches the port can push, pull and delete
    #[arg(long)]
    anyone_may_do_anything: bool,

    /// Believe X-Forwarded-Proto: a proxy in front of this registry, and only it, can reach the port
    #[arg(long)]
    trust_forwarded: bool,

    /// Connections served at once; more wait [default: 10000]
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,

    /// Seconds that a shutdown waits for requests in flight [default: 30]
    #[arg(long, value_name = "SECONDS")]
    shutdown_timeout: Option<u64>,

    /// Write the server's URL to this file once it answers
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

/// `berth-server.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerFile {
    listen: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    account_id: Option<AccountId>,
    region: Option<Region>,
    registry_host: Option<String>,
    #[serde(default)]
    allow_hosts: Vec<String>,
    #[serde(default)]
    anyone_may_do_anything: bool,
    #[serde(default)]
    trust_forwarded: bool,
    max_connections: Option<usize>,
    shutdown_timeout_seconds: Option<u64>,
    #[serde(default)]
    clean_up: CleanUpFile,
}

/// Settings, complete and checked.
#[derive(Debug)]
pub(crate) struct ServerConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) default_registry: RegistryId,
    pub(crate) registry_host: String,
    pub(crate) root_key: Option<String>,
    pub(crate) allow_hosts: Vec<String>,
    pub(crate) trust_forwarded: bool,
    pub(crate) max_connections: usize,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) clean_up: CleanUpFile,
    pub(crate) ready_file: Option<PathBuf>,
}

/// Why settings are refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be.
    #[error("{path} is not a server configuration")]
    Parse {
        /// Which.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// Beyond loopback, without saying so in words.
    #[error(
        "{0} can be reached from other machines, and this registry checks no identity and speaks no TLS; listen on \
         127.0.0.1 (a proxy in front can do both), or say --anyone-may-do-anything"
    )]
    Exposed(SocketAddr),
}

impl ServerArgs {
    /// Takes the region of a stack, unless the command line names another.
    pub(crate) fn prefer_region(&mut self, region: Option<&Region>) {
        self.region = self.region.take().or_else(|| region.cloned());
    }

    /// Fills in what is absent from the file and the defaults, and checks the whole.
    ///
    /// The region falls back to that of the AWS configuration's environment variables, because the clients that are started
    /// in the same shell will use it: a repository they create must be the one that `localhost:PORT/name` means.
    pub(crate) fn resolve(self, environment: Environment<'_>) -> Result<ServerConfig, ConfigError> {
        let file = self.config.as_deref().map(read_file).transpose()?.unwrap_or_default();
        let listen = self.listen.or(file.listen).unwrap_or_else(|| parsed(DEFAULT_LISTEN));
        let may_be_exposed = self.anyone_may_do_anything || file.anyone_may_do_anything;
        if !may_be_exposed && !listen.ip().is_loopback() {
            return Err(ConfigError::Exposed(listen));
        }
        let mut allow_hosts = file.allow_hosts;
        allow_hosts.extend(self.allow_host);
        let seconds =
            self.shutdown_timeout.or(file.shutdown_timeout_seconds).unwrap_or(DEFAULT_SHUTDOWN_SECONDS);
        Ok(ServerConfig {
            listen,
            data_dir: self.data_dir.or(file.data_dir).unwrap_or_else(|| DEFAULT_DATA_DIR.into()),
            default_registry: RegistryId {
                account: self.account_id.or(file.account_id).unwrap_or_else(|| parsed(DEFAULT_ACCOUNT)),
                region: self
                    .region
                    .or(file.region)
                    .or_else(|| region_from(environment))
                    .unwrap_or_else(|| parsed(DEFAULT_REGION)),
            },
            registry_host: self
                .registry_host
                .or(file.registry_host)
                .unwrap_or_else(|| DEFAULT_REGISTRY_HOST.to_owned()),
            root_key: self.root_key,
            allow_hosts,
            trust_forwarded: self.trust_forwarded || file.trust_forwarded,
            max_connections: self.max_connections.or(file.max_connections).unwrap_or(DEFAULT_MAX_CONNECTIONS),
            shutdown_timeout: Duration::from_secs(seconds),
            clean_up: file.clean_up,
            ready_file: self.ready_file,
        })
    }
}

fn region_from(environment: Environment<'_>) -> Option<Region> {
    ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(environment)
        .and_then(|name| Region::parse(&name).ok())
}

fn read_file(path: &Path) -> Result<ServerFile, ConfigError> {
    let text =
        fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) })
}

/// A default, written as text where it is also shown to people.
#[expect(clippy::expect_used, reason = "the texts are constants above, and a test parses each")]
fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("a default is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_what_the_help_says() {
        let config = ServerArgs::default().resolve(&|_| None).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:5000");
        assert_eq!(config.data_dir, Path::new(".berth"));
        assert_eq!(config.default_registry.to_string(), "000000000000/us-east-1");
        assert_eq!(config.registry_host, "localhost:{port}");
    }

    #[test]
    fn the_region_of_the_shell_is_the_default() {
        let shell = |name| (name == "AWS_DEFAULT_REGION").then(|| "eu-west-1".to_owned());
        let config = ServerArgs::default().resolve(&shell).unwrap();
        assert_eq!(config.default_registry.region.as_str(), "eu-west-1");
        let told = ServerArgs { region: Some(parsed("eu-west-2")), ..ServerArgs::default() };
        assert_eq!(told.resolve(&shell).unwrap().default_registry.region.as_str(), "eu-west-2");
    }

    #[test]
    fn listening_beyond_loopback_must_be_said_in_words() {
        let exposed = || ServerArgs { listen: Some(parsed("0.0.0.0:5000")), ..ServerArgs::default() };
        assert!(matches!(exposed().resolve(&|_| None), Err(ConfigError::Exposed(_))));
        assert!(ServerArgs { anyone_may_do_anything: true, ..exposed() }.resolve(&|_| None).is_ok());
        let local = ServerArgs { listen: Some(parsed("[::1]:0")), ..ServerArgs::default() };
        assert!(local.resolve(&|_| None).is_ok());
    }

    #[test]
    fn the_command_line_wins_over_the_file_and_unknown_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("berth-server.toml");
        fs::write(&path, "region = \"eu-west-1\"\nlisten = \"127.0.0.1:5001\"\n").unwrap();
        let args = ServerArgs {
            config: Some(path.clone()),
            listen: Some(parsed("127.0.0.1:5002")),
            ..ServerArgs::default()
        };
        let config = args.resolve(&|_| None).unwrap();
        assert_eq!(config.listen.port(), 5002);
        assert_eq!(config.default_registry.region.as_str(), "eu-west-1");
        fs::write(&path, "regoin = \"eu-west-1\"\n").unwrap();
        let args = ServerArgs { config: Some(path), ..ServerArgs::default() };
        let error = args.resolve(&|_| None).unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().contains("regoin"));
    }
}
