//! Amazon ECR's API: JSON 1.1 over `POST /`, and the one operation of STS that clients ask before they start.
//!
//! A request becomes an [`Operation`] ([`target`]), its signature a caller ([`crate::auth::sigv4`]), its body an input
//! ([`wire`]) whose members are checked ([`validate`]); one function per operation ([`ops`]) calls the registry and makes
//! the output; [`error`] says how refusals look. AWS's order is kept: an unknown operation is refused before a missing
//! signature, and that before a body that makes no sense.
//!
//! Rules about repositories and images are not here: they are the registry's.

pub(crate) mod error;
mod ops;
mod page_token;
mod sts;
mod target;
mod validate;
mod wire;

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use berth_registry::error::BodyError;
use berth_registry::{Caller, Error, Operation, Registry};
use berth_types::{RegistryId, RepositoryArn, RepositoryName, limits};
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use serde::Deserialize;

use crate::App;
use crate::access::RequestInfo;
use crate::auth::origin;
use crate::auth::sigv4::{self, Service, Signed};
use crate::ecr::error::{ApiError, outcome};
use crate::http::body::read_whole;
use crate::http::request_id::RequestId;

/// Answers a request to the root of the server. What it was about is left in the answer's extensions, for the log.
pub(crate) async fn handle(app: &Arc<App>, parts: Parts, body: Body) -> Response<Body> {
    let request_id = parts.extensions.get::<RequestId>().copied().unwrap_or_else(|| app.request_ids.next());
    if sts::is_query_protocol(&parts) {
        sts::handle(app, &parts, body, request_id).await
    } else {
        json_protocol(app, &parts, body, request_id).await
    }
}

async fn json_protocol(app: &Arc<App>, parts: &Parts, body: Body, request_id: RequestId) -> Response<Body> {
    let mut info = RequestInfo::new("UnknownOperation");
    let answer = answer(app, parts, body, &mut info).await;
    let mut response = answer.unwrap_or_else(|error| refusal(&error, &info, request_id));
    response.extensions_mut().insert(info);
    response
}

async fn answer(
    app: &Arc<App>,
    parts: &Parts,
    body: Body,
    info: &mut RequestInfo,
) -> Result<Response<Body>, ApiError> {
    let operation = target::operation_of(&parts.headers)?;
    info.operation = name(operation);
    let signed = sigv4::authenticate(parts, Service::Ecr, &app.registry.config().default_registry)?;
    info.account = Some(signed.principal.account);
    let bytes_max = match operation {
        Operation::UploadLayerPart | Operation::PutImage => limits::API_BODY_BYTES_MAX,
        _ => limits::API_SMALL_BODY_BYTES_MAX,
    };
    let body = read_whole(body, bytes_max).await.map_err(|error| match error {
        BodyError::TooLarge(_) => ApiError::BodyTooLarge(bytes_max),
        error => ApiError::Registry(Error::Body(error)),
    })?;
    let named = Arc::default();
    let call = Call {
        app: Arc::clone(app),
        signed,
        endpoint: endpoint_of(app, parts),
        body,
        named: Arc::clone(&named),
    };
    let answer = Box::pin(ops::run(operation, call)).await;
    info.repository = named.get().map(|name| name.as_str().into());
    answer
}

/// The operation's name as the log and the counters have it.
fn name(operation: Operation) -> &'static str {
    operation.action().strip_prefix("ecr:").unwrap_or_default()
}

fn refusal(error: &ApiError, info: &RequestInfo, request_id: RequestId) -> Response<Body> {
    let outcome = outcome(error);
    let status = outcome.status;
    if status.is_server_error() {
        let chain = crate::telemetry::chain(error);
        tracing::error!(%request_id, operation = info.operation, error = chain, "{} failed", info.operation);
    }
    let body = outcome.body(&request_id.to_string());
    wire::json(status, &body).unwrap_or_else(|_| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

/// `scheme://host[:port]` as the client reached this server, for URLs that lead back to it.
fn endpoint_of(app: &App, parts: &Parts) -> String {
    let host = origin::host(&parts.uri, &parts.headers).unwrap_or("localhost");
    format!("{}://{host}", app.scheme(&parts.headers))
}

/// A signed call with its body.
struct Call {
    app: Arc<App>,
    signed: Signed,
    endpoint: String,
    body: Bytes,
    /// The repository that the input names, for the log.
    named: Arc<OnceLock<RepositoryName>>,
}

impl Call {
    fn registry(&self) -> &Registry {
        &self.app.registry
    }

    /// The body as the input of an operation.
    fn input<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        wire::read(&self.body)
    }

    /// `repositoryName`.
    fn repository(&self, text: Option<&str>) -> Result<RepositoryName, Error> {
        let name = validate::repository_name(text)?;
        Ok(self.named.get_or_init(|| name).clone())
    }

    /// Who calls, about the repository that `resourceArn` names.
    fn resource(&self, text: Option<&str>) -> Result<(Caller, RepositoryArn), Error> {
        let mut caller = self.caller(None)?;
        let arn = validate::resource_arn(text, &caller.registry)?;
        self.named.get_or_init(|| arn.name.clone());
        caller.registry = arn.registry.clone();
        Ok((caller, arn))
    }

    /// Who calls, about the registry that `registryId` names, or else the caller's own.
    fn caller(&self, registry_id: Option<&str>) -> Result<Caller, Error> {
        let account = validate::registry_id(registry_id)?.unwrap_or(self.signed.principal.account);
        Ok(Caller {
            principal: self.signed.principal.clone(),
            registry: RegistryId { account, region: self.signed.region.clone() },
        })
    }
}
