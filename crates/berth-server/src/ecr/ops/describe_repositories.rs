//! `DescribeRepositories`.

use berth_registry::{Operation, RepositoryRecord};
use berth_types::RepositoryName;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::page_token::Query;
use crate::ecr::wire::Repository;
use crate::ecr::{Call, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_names: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Output {
    repositories: Vec<Repository>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

impl Output {
    fn of(call: &Call, records: &[RepositoryRecord], next_token: Option<String>) -> Self {
        let repositories = records.iter().map(|record| Repository::of(call.registry(), record)).collect();
        Self { repositories, next_token }
    }
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    match &input.repository_names {
        Some(names) => named(&call, &input, names).await,
        None => page(&call, &input).await,
    }
}

async fn named(call: &Call, input: &Input, names: &[String]) -> Result<Output, ApiError> {
    let caller = call.caller(input.registry_id.as_deref())?;
    validate::no_paging("repositoryNames", input.max_results, input.next_token.as_deref())?;
    let mut records: Vec<RepositoryRecord> = Vec::new();
    for name in validate::repository_names(names)? {
        if records.iter().all(|record| record.name != name) {
            records.push(call.registry().repository(&caller, &name).await?);
        }
    }
    Ok(Output::of(call, &records, None))
}

async fn page(call: &Call, input: &Input) -> Result<Output, ApiError> {
    let caller = call.caller(input.registry_id.as_deref())?;
    let operation = Operation::DescribeRepositories;
    let query = Query { operation, registry: &caller.registry, repository: None, filter: "" };
    let limit = validate::max_results(input.max_results)?;
    let after: Option<RepositoryName> = query.open(input.next_token.as_deref())?;
    let page = call.registry().repositories(&caller, after.as_ref(), limit).await?;
    let next_token = page.next.map(|next| query.seal(&next)).transpose()?;
    Ok(Output::of(call, &page.items, next_token))
}
