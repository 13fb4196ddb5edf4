//! `GetAuthorizationToken`.

use berth_types::RegistryId;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_ids: Option<Vec<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    authorization_data: Vec<AuthorizationData>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AuthorizationData {
    authorization_token: String,
    expires_at: f64,
    proxy_endpoint: String,
}

/// A token speaks for the caller at every registry: an id only chooses the `proxyEndpoint` that comes with it, as in AWS.
pub(super) fn run(call: &Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(None)?;
    let accounts = input.registry_ids.as_deref().map(validate::registry_ids).transpose()?;
    let accounts = accounts.unwrap_or_else(|| vec![caller.registry.account]);
    let mut authorization_data = Vec::with_capacity(accounts.len());
    for account in accounts {
        let registry = RegistryId { account, region: caller.registry.region.clone() };
        let token = call.registry().issue_token(&caller)?;
        authorization_data.push(AuthorizationData {
            authorization_token: BASE64.encode(format!("AWS:{}", token.password).as_bytes()),
            expires_at: token.expires_at.epoch_seconds(),
            proxy_endpoint: call.registry().config().host.proxy_endpoint(&registry),
        });
    }
    Ok(Output { authorization_data })
}
