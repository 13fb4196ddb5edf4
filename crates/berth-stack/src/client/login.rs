//! What `docker login` needs to know.

use berth_types::{AccountId, Region};
use data_encoding::BASE64;

use super::AwsEcr;
use super::connect::local_config;
use super::error::{ApiError, ApiErrorKind};
use crate::spec::Endpoint;

/// A login for docker and its like, good for some hours.
#[derive(Clone, PartialEq, Eq)]
pub struct DockerLogin {
    /// The registry, as docker names it: a host, or a URL with plain HTTP.
    pub server: String,
    /// The user, always `AWS` with Amazon.
    pub username: String,
    /// The token. A secret.
    pub password: String,
}

impl std::fmt::Debug for DockerLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { server, username, password: _ } = self;
        f.debug_struct("DockerLogin")
            .field("server", server)
            .field("username", username)
            .finish_non_exhaustive()
    }
}

impl AwsEcr {
    /// A client of a registry that this program itself serves on this machine. Credentials, region and endpoint are those
    /// given, whatever the user's AWS configuration says.
    pub async fn local(endpoint: &Endpoint, region: &Region, account: AccountId) -> Self {
        Self::new(&local_config(endpoint, region, account).await)
    }

    /// Asks for a docker token (`GetAuthorizationToken`).
    ///
    /// # Errors
    /// As any call; [`ApiErrorKind::NotEcr`] if what comes back is no token.
    pub async fn docker_login(&self) -> Result<DockerLogin, ApiError> {
        const OPERATION: &str = "GetAuthorizationToken";
        let answer = self.authorization_token().await?;
        let not_ecr = || ApiError::new(OPERATION, "", ApiErrorKind::NotEcr);
        let data = answer.into_iter().next().ok_or_else(not_ecr)?;
        let (token, server) = data.authorization_token().zip(data.proxy_endpoint()).ok_or_else(not_ecr)?;
        let decoded = BASE64.decode(token.as_bytes()).map_err(|_| not_ecr())?;
        let decoded = String::from_utf8(decoded).map_err(|_| not_ecr())?;
        let (username, password) = decoded.split_once(':').ok_or_else(not_ecr)?;
        Ok(DockerLogin {
            // docker stores logins by host; a URL of plain HTTP means the same host to it.
            server: server.trim_start_matches("https://").trim_start_matches("http://").to_owned(),
            username: username.to_owned(),
            password: password.to_owned(),
        })
    }
}
