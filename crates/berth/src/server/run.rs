//! Starting and ending a registry server in this process.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use berth_registry::{Config, RegistryHost, RegistryHostError};
use berth_server::{ServeError, ServerOptions};
use berth_store::blob::fs::FsBlobs;
use berth_store::meta::MetaError;
use berth_store::meta::sqlite::SqliteMeta;
use berth_store::seal::{RootKey, RootKeyError};
use berth_types::{RegistryId, SystemClock};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::config::ServerConfig;
use super::data_dir::{DataDir, DataDirError};

/// A registry that answers requests.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    host: RegistryHost,
    default_registry: RegistryId,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), ServeError>>,
    meta: Arc<SqliteMeta>,
    /// Held until everything else is closed.
    data_dir: DataDir,
}

/// Why a server does not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    /// The address is taken, or not one of this machine.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The root key cannot be used.
    #[error("cannot use the root key")]
    RootKey(#[source] RootKeyError),
    /// The metadata cannot be opened.
    #[error("cannot open the metadata in {path}")]
    Metadata {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: MetaError,
    },
    /// The blob store cannot be opened.
    #[error("cannot open the blobs in {path}")]
    Blobs {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The template is none.
    #[error("cannot use --registry-host")]
    RegistryHost(#[source] RegistryHostError),
    /// The stores do not fit together.
    #[error("cannot open the registry")]
    Registry(#[source] berth_registry::OpenError),
    /// The file for the server's URL cannot be written.
    #[error("cannot write {path}")]
    ReadyFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Serving failed.
    #[error("the server failed")]
    Serve(#[source] ServeError),
    /// The serving task panicked.
    #[error("the server failed")]
    Task(#[source] tokio::task::JoinError),
}

impl ServerError {
    /// What to do about it, where that is known.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Listen { address, source } if source.kind() == std::io::ErrorKind::AddrInUse => {
                Some(format!(
                    "something else listens on port {}; choose another with --listen 127.0.0.1:PORT",
                    address.port()
                ))
            }
            Self::DataDir(DataDirError::Held { .. }) => {
                Some("stop it first, or choose another directory with --data-dir".to_owned())
            }
            Self::Registry(_) | Self::RootKey(_) => {
                Some("the data directory can only be read with the root key it was created with".to_owned())
            }
            _ => None,
        }
    }
}

impl Server {
    /// Opens the data directory, and serves from then on. Returns when requests are answered.
    pub(crate) async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        let data_dir = DataDir::hold(&config.data_dir)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|source| ServerError::Listen { address: config.listen, source })?;
        let address =
            listener.local_addr().map_err(|source| ServerError::Listen { address: config.listen, source })?;
        let host = RegistryHost::parse(&config.registry_host, address.port(), false)
            .map_err(ServerError::RegistryHost)?
            .with_default(config.default_registry.clone());

        let root_key = root_key(&config, &data_dir)?;
        let metadata = data_dir.metadata();
        let meta =
            SqliteMeta::open(&metadata).map_err(|source| ServerError::Metadata { path: metadata, source })?;
        let meta = Arc::new(meta);
        let blobs = FsBlobs::open(data_dir.path())
            .map_err(|source| ServerError::Blobs { path: data_dir.path().to_owned(), source })?;
        let default_registry = config.default_registry;
        let registry_config = Config {
            default_registry: default_registry.clone(),
            host: host.clone(),
            undo_window: config.clean_up.undo_window(),
        };
        let registry = berth_registry::Registry::open(
            registry_config,
            meta.clone(),
            Arc::new(blobs),
            root_key,
            Arc::new(SystemClock),
        )
        .await
        .map_err(ServerError::Registry)?;

        let options = ServerOptions {
            allowed_hosts: config.allow_hosts,
            trust_forwarded: config.trust_forwarded,
            connections_max: config.max_connections,
            shutdown_deadline: config.shutdown_timeout,
            clean_up: config.clean_up.options(),
            ..ServerOptions::default()
        };
        let (stop, stopped) = oneshot::channel();
        // A dropped sender asks for shutdown as well as a used one.
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn(berth_server::serve(listener, registry, options, shutdown));
        let server = Self { address, host, default_registry, stop, served, meta, data_dir };
        if let Some(path) = &config.ready_file {
            write_ready_file(path, &server.url())
                .map_err(|source| ServerError::ReadyFile { path: path.clone(), source })?;
        }
        Ok(server)
    }

    /// The URL of both planes, as reached from this machine.
    pub(crate) fn url(&self) -> String {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("http://{address}")
    }

    pub(crate) fn default_registry(&self) -> &RegistryId {
        &self.default_registry
    }

    pub(crate) fn host(&self) -> &RegistryHost {
        &self.host
    }

    /// Serves until `signal`, or until serving fails; then finishes what is in flight and closes everything.
    pub(crate) async fn run_until(self, signal: impl Future<Output = ()>) -> Result<(), ServerError> {
        let Self { stop, mut served, meta, data_dir, .. } = self;
        let ended = tokio::select! {
            ended = &mut served => ended,
            () = signal => {
                drop(stop);
                served.await
            }
        };
        let result = ended.map_err(ServerError::Task)?.map_err(ServerError::Serve);
        meta.close().await.map_err(|source| ServerError::Metadata { path: data_dir.metadata(), source })?;
        drop(data_dir);
        result
    }
}

fn root_key(config: &ServerConfig, data_dir: &DataDir) -> Result<RootKey, ServerError> {
    match &config.root_key {
        Some(text) => RootKey::from_text(text),
        None => RootKey::load_or_create(&data_dir.root_key()),
    }
    .map_err(ServerError::RootKey)
}

/// Whoever waits for the file must never see half of it.
fn write_ready_file(path: &Path, url: &str) -> std::io::Result<()> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let mut file = fs::File::create(&partial)?;
    writeln!(file, "{url}")?;
    fs::rename(&partial, path)
}

/// Resolves when the process is asked to end: Ctrl-C or SIGTERM.
pub(crate) async fn asked_to_end() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}
