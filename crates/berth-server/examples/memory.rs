//! A registry that forgets everything when it stops: `memory [ADDRESS [REPOSITORY…]]`.
//!
//! Made for trying protocol clients and the OCI conformance suite. It creates the repositories it is told to, prints its
//! address and the password of user `AWS` to standard output, and serves until Ctrl-C.

use std::sync::Arc;

use anyhow::Context;
use berth_registry::repositories::{CreateRepository, RequestedEncryption};
use berth_registry::{Caller, Config, Principal, Registry, RegistryHost};
use berth_server::{ServerOptions, telemetry};
use berth_store::blob::memory::MemoryBlobs;
use berth_store::meta::SqliteMeta;
use berth_store::seal::RootKey;
use berth_types::{AccountId, Region, RegistryId, RepositoryName, SystemClock, TagMutability};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = std::env::var(telemetry::FILTER_VARIABLE).ok();
    telemetry::init(telemetry::LogFormat::Auto, filter.as_deref())?;
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:5000".to_owned());
    let listener =
        TcpListener::bind(&address).await.with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;

    let default_registry =
        RegistryId { account: AccountId::parse("000000000000")?, region: Region::parse("us-east-1")? };
    let config = Config {
        undo_window: berth_registry::lifecycle::UNDO_WINDOW_DEFAULT,
        host: RegistryHost::parse("localhost:{port}", address.port(), false)?,
        default_registry: default_registry.clone(),
    };
    let metadata = tempfile::tempdir()?;
    let meta = Arc::new(SqliteMeta::open(&metadata.path().join("meta.sqlite"))?);
    let blobs = Arc::new(MemoryBlobs::new());
    let registry = Registry::open(config, meta, blobs, RootKey::generate()?, Arc::new(SystemClock)).await?;

    let account = default_registry.account;
    let principal =
        Principal { account, arn: format!("arn:aws:iam::{account}:root"), user_id: account.to_string() };
    let caller = Caller { principal, registry: default_registry };
    for name in arguments {
        let request = CreateRepository {
            name: RepositoryName::parse(&name)?,
            tags: Vec::new(),
            mutability: TagMutability::mutable(),
            scan_on_push: false,
            encryption: RequestedEncryption::default(),
        };
        registry.create_repository(&caller, request).await?;
    }
    println!("address {address}");
    println!("password {}", registry.issue_token(&caller)?.password);

    let stop = async {
        // Without a handler for Ctrl-C there is no way to be told to stop: then serve on.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    berth_server::serve(listener, registry, ServerOptions::default(), stop).await?;
    Ok(())
}
