//! What a test runs against: a server of its own, or a registry somewhere else.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result};
use aws_sdk_ecr::Client;
use aws_sdk_ecr::error::DisplayErrorContext;
use data_encoding::BASE64;

use crate::api;
use crate::oci::{Oci, Repository};
use crate::server::Server;

/// A registry to test.
#[derive(Debug)]
pub struct Target {
    server: Option<Server>,
    url: String,
    plain: bool,
}

impl Target {
    /// The registry of `BERTH_E2E_URL`, or a server of this test's own.
    ///
    /// # Errors
    /// When the server does not start.
    pub async fn start() -> Result<Self> {
        if let Ok(url) = std::env::var("BERTH_E2E_URL") {
            let plain = std::env::var_os("BERTH_E2E_PLAIN").is_some();
            return Ok(Self { server: None, url: url.trim_end_matches('/').to_owned(), plain });
        }
        Self::own(&[]).await
    }

    /// A server of this test's own, with these arguments.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn own(arguments: &[&str]) -> Result<Self> {
        Ok(Self::of(Server::start_with(arguments).await?))
    }

    /// A server that a test started in its own way.
    #[must_use]
    pub fn of(server: Server) -> Self {
        Self { url: server.url().to_owned(), server: Some(server), plain: false }
    }

    /// `http://host:port`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The process of this test.
    ///
    /// # Errors
    /// When the target is somebody else's.
    pub fn server(&self) -> Result<&Server> {
        self.server.as_ref().context("this test must own the server: unset BERTH_E2E_URL")
    }

    /// The same, to stop it in its own way.
    ///
    /// # Errors
    /// When the target is somebody else's.
    pub fn server_mut(&mut self) -> Result<&mut Server> {
        self.server.as_mut().context("this test must own the server: unset BERTH_E2E_URL")
    }

    /// Asks the process to stop and waits until it has.
    ///
    /// # Errors
    /// When the target is somebody else's, or does not stop.
    pub async fn stop(&mut self) -> Result<()> {
        self.server_mut()?.terminate().await.map(|_| ())
    }

    /// Kills the process and starts it again on the same data.
    ///
    /// # Errors
    /// When the target is somebody else's, or does not start again.
    pub async fn kill_and_restart(&mut self) -> Result<()> {
        let server = self.server_mut()?;
        server.kill_and_restart().await?;
        let url = server.url().to_owned();
        self.url = url;
        Ok(())
    }

    /// The same, some hours later by the server's clock.
    ///
    /// # Errors
    /// When the target is somebody else's, or does not start again.
    pub async fn kill_and_restart_later(&mut self, hours: u32) -> Result<()> {
        let server = self.server_mut()?;
        server.kill_and_restart_later(hours).await?;
        let url = server.url().to_owned();
        self.url = url;
        Ok(())
    }

    /// The official client of the ECR API.
    #[must_use]
    pub fn api(&self) -> Client {
        api::client(&self.url, "AKIAIOSFODNN7EXAMPLE", crate::REGION)
    }

    /// The OCI API, logged in with a token of `GetAuthorizationToken`.
    ///
    /// # Errors
    /// When no token is given.
    pub async fn oci(&self) -> Result<Oci> {
        if self.plain {
            return Oci::new(&self.url, None);
        }
        let login = token(&self.api()).await?;
        Oci::new(&self.url, Some(login))
    }

    /// A new, empty repository with mutable tags.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn repository(&self) -> Result<Repository> {
        let oci = self.oci().await?;
        self.another_repository(&oci).await
    }

    /// The same for a client that exists already.
    ///
    /// # Errors
    /// When it cannot be created.
    pub async fn another_repository(&self, oci: &Oci) -> Result<Repository> {
        let name = unique_name();
        if !self.plain {
            let created = self.api().create_repository().repository_name(&name).send().await;
            created.map_err(|error| anyhow::anyhow!("create {name}: {}", DisplayErrorContext(error)))?;
        }
        Ok(oci.repository(&name))
    }
}

/// User and password out of `GetAuthorizationToken`.
///
/// # Errors
/// When the call fails or the token has another form.
pub async fn token(api: &Client) -> Result<(String, String)> {
    let answer = api.get_authorization_token().send().await;
    let answer = answer.map_err(|error| anyhow::anyhow!("get a token: {}", DisplayErrorContext(error)))?;
    let data = answer.authorization_data();
    anyhow::ensure!(data.len() == 1, "clients expect exactly one token, got {}", data.len());
    let encoded = data[0].authorization_token().context("no token")?;
    let text = String::from_utf8(BASE64.decode(encoded.as_bytes())?)?;
    let (user, password) = text.split_once(':').context("the token is not user:password")?;
    Ok((user.to_owned(), password.to_owned()))
}

/// A repository name that no other test uses, here or in another process.
#[must_use]
pub fn unique_name() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u64(COUNTER.fetch_add(1, Ordering::Relaxed));
    format!("e2e/r{:016x}", hasher.finish())
}
