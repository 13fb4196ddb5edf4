//! `BatchCheckLayerAvailability`.

use berth_registry::Error;
use berth_types::Digest;
use serde::{Deserialize, Serialize};

use crate::ecr::error::ApiError;
use crate::ecr::{Call, validate};

const DIGEST_CHARS_MAX: usize = 1_000;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    registry_id: Option<String>,
    repository_name: Option<String>,
    layer_digests: Option<Vec<String>>,
}

#[derive(Serialize)]
pub(super) struct Output {
    layers: Vec<Layer>,
    failures: Vec<LayerFailure>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    layer_digest: String,
    layer_availability: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer_size: Option<u64>,
}

impl Layer {
    fn of(layer_digest: String, layer_size: Option<u64>) -> Self {
        let layer_availability = if layer_size.is_some() { "AVAILABLE" } else { "UNAVAILABLE" };
        Self { layer_digest, layer_availability, layer_size }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LayerFailure {
    layer_digest: String,
    failure_code: &'static str,
    failure_reason: &'static str,
}

pub(super) async fn run(call: Call) -> Result<Output, ApiError> {
    let input: Input = call.input()?;
    let caller = call.caller(input.registry_id.as_deref())?;
    let name = call.repository(input.repository_name.as_deref())?;
    let sorted = sort(validate::required("layerDigests", input.layer_digests)?)?;
    let found = call.registry().layer_availability(&caller, &name, &sorted.digests).await?;
    let found = found.into_iter().map(|layer| Layer::of(layer.digest.to_string(), layer.bytes));
    let foreign = sorted.foreign.into_iter().map(|digest| Layer::of(digest, None));
    Ok(Output { layers: found.chain(foreign).collect(), failures: sorted.failures })
}

/// The digests of a request by what can become of them.
struct Sorted {
    digests: Vec<Digest>,
    /// Well formed for ECR, but of an algorithm or form that nothing here is stored under.
    foreign: Vec<String>,
    failures: Vec<LayerFailure>,
}

fn sort(texts: Vec<String>) -> Result<Sorted, Error> {
    validate::batch("layerDigests", texts.len())?;
    let mut sorted = Sorted { digests: Vec::new(), foreign: Vec::new(), failures: Vec::new() };
    for text in texts {
        validate::chars("layerDigests", &text, 0..=DIGEST_CHARS_MAX)?;
        if text.is_empty() {
            let failure_reason = "Invalid request parameters: layer digest cannot be empty";
            let failure_code = "MissingLayerDigest";
            sorted.failures.push(LayerFailure { layer_digest: text, failure_code, failure_reason });
        } else if !validate::looks_like_digest(&text) {
            let failure_reason = "Invalid request parameters: layer digest should satisfy the regex \
                                  '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'";
            let failure_code = "InvalidLayerDigest";
            sorted.failures.push(LayerFailure { layer_digest: text, failure_code, failure_reason });
        } else if let Ok(digest) = Digest::parse(&text) {
            sorted.digests.push(digest);
        } else {
            sorted.foreign.push(text);
        }
    }
    Ok(sorted)
}
