//! Referrers: what is attached to an image.

use anyhow::{Result, ensure};
use berth_e2e::image::{Blob, Image, Manifest, OCI_EMPTY, OCI_INDEX, OCI_MANIFEST, index};
use berth_e2e::oci::{Answer, Repository};
use berth_e2e::target::Target;
use serde_json::{Value, json};

const SBOM: &str = "application/vnd.example.sbom.v1";
const SIGNATURE: &str = "application/vnd.example.signature.v1";

async fn referrers(repository: &Repository, digest: &str, query: &str) -> Result<Answer> {
    let answer = repository.get(&format!("/referrers/{digest}{query}")).await?.expect(&[200])?;
    ensure!(answer.header("content-type") == Some(OCI_INDEX), "{:?}", answer.headers);
    let body = answer.json()?;
    ensure!(body["schemaVersion"] == 2 && body["mediaType"] == OCI_INDEX, "{body}");
    Ok(answer)
}

fn digests(answer: &Answer) -> Result<Vec<String>> {
    let body = answer.json()?;
    let items = body["manifests"].as_array().into_iter().flatten();
    Ok(items.filter_map(|item| item["digest"].as_str().map(str::to_owned)).collect())
}

async fn with_two_referrers(target: &Target) -> Result<(Repository, Image, Image, Image)> {
    let repository = target.repository().await?;
    let subject = Image::oci("subject", 1);
    repository.push_image("v1", &subject).await?;
    let sbom = Image::artifact("sbom", SBOM, Some(&subject.manifest));
    let signature = Image::artifact("signature", SIGNATURE, Some(&subject.manifest));
    for artifact in [&sbom, &signature] {
        let put = repository.push_image(&artifact.manifest.digest, artifact).await?;
        ensure!(put.header("oci-subject") == Some(subject.manifest.digest.as_str()), "{:?}", put.headers);
    }
    Ok((repository, subject, sbom, signature))
}

#[tokio::test]
async fn attached_artifacts_are_listed_with_type_and_annotations() -> Result<()> {
    let target = Target::start().await?;
    let (repository, subject, sbom, signature) = with_two_referrers(&target).await?;
    let answer = referrers(&repository, &subject.manifest.digest, "").await?;
    let mut expected = [sbom.manifest.digest.clone(), signature.manifest.digest.clone()];
    expected.sort();
    let mut got = digests(&answer)?;
    got.sort();
    ensure!(got == expected);
    let body = answer.json()?;
    let entry: &Value = body["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|item| item["artifactType"] == SBOM)
        .ok_or_else(|| anyhow::anyhow!("no SBOM in {body}"))?;
    ensure!(entry["mediaType"] == OCI_MANIFEST && entry["size"] == sbom.manifest.bytes.len(), "{entry}");
    ensure!(entry["annotations"]["org.example.seed"] == "sbom", "{entry}");
    Ok(())
}

#[tokio::test]
async fn the_filter_by_type_is_applied_and_announced() -> Result<()> {
    let target = Target::start().await?;
    let (repository, subject, sbom, _) = with_two_referrers(&target).await?;
    let answer = referrers(&repository, &subject.manifest.digest, &format!("?artifactType={SBOM}")).await?;
    ensure!(digests(&answer)? == [sbom.manifest.digest]);
    ensure!(answer.header("oci-filters-applied") == Some("artifactType"), "{:?}", answer.headers);
    Ok(())
}

#[tokio::test]
async fn an_image_without_an_artifact_type_is_listed_under_its_config_type() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let subject = Image::oci("subject", 1);
    repository.push_image("v1", &subject).await?;
    let config = Blob::empty_json();
    repository.push_blob(&config).await?;
    let manifest = Manifest::of(&json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": config.descriptor("application/vnd.example.config.v1"),
        "layers": [config.descriptor(OCI_EMPTY)],
        "subject": subject.manifest.descriptor(),
    }));
    repository.put_manifest(&manifest.digest, &manifest).await?.expect(&[201])?;
    let answer = referrers(&repository, &subject.manifest.digest, "").await?;
    ensure!(
        answer.json()?["manifests"][0]["artifactType"] == "application/vnd.example.config.v1",
        "{}",
        answer.text()
    );
    Ok(())
}

#[tokio::test]
async fn an_index_can_be_a_referrer() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let subject = Image::oci("subject", 1);
    repository.push_image("v1", &subject).await?;
    let mut document: Value = serde_json::from_slice(&index(&[&subject.manifest]).bytes)?;
    document["subject"] = subject.manifest.descriptor();
    document["artifactType"] = json!(SBOM);
    let attached = Manifest::of(&document);
    let put = repository.put_manifest(&attached.digest, &attached).await?.expect(&[201])?;
    ensure!(put.header("oci-subject") == Some(subject.manifest.digest.as_str()));
    let answer = referrers(&repository, &subject.manifest.digest, "").await?;
    ensure!(answer.json()?["manifests"][0]["artifactType"] == SBOM, "{}", answer.text());
    Ok(())
}

#[tokio::test]
async fn nothing_attached_is_an_empty_index() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    repository.push_image("v1", &Image::oci("lonely", 1)).await?;
    let answer = referrers(&repository, &Blob::noise("no such image", 1).digest, "").await?;
    ensure!(digests(&answer)?.is_empty());
    ensure!(answer.json()?["manifests"].is_array(), "an empty list, not an absent one");
    Ok(())
}

#[tokio::test]
async fn an_artifact_may_be_pushed_before_its_subject() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let subject = Image::oci("late subject", 1);
    let sbom = Image::artifact("early", SBOM, Some(&subject.manifest));
    repository.push_image(&sbom.manifest.digest, &sbom).await?;
    let before = referrers(&repository, &subject.manifest.digest, "").await?;
    ensure!(digests(&before)? == std::slice::from_ref(&sbom.manifest.digest));
    repository.push_image("v1", &subject).await?;
    let after = referrers(&repository, &subject.manifest.digest, "").await?;
    ensure!(digests(&after)? == [sbom.manifest.digest]);
    Ok(())
}

#[tokio::test]
async fn a_deleted_artifact_is_no_longer_listed() -> Result<()> {
    let target = Target::start().await?;
    let (repository, subject, sbom, signature) = with_two_referrers(&target).await?;
    repository.delete(&format!("/manifests/{}", sbom.manifest.digest)).await?.expect(&[202])?;
    let answer = referrers(&repository, &subject.manifest.digest, "").await?;
    ensure!(digests(&answer)? == [signature.manifest.digest]);
    Ok(())
}

#[tokio::test]
async fn referrers_of_a_malformed_digest_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    repository.get("/referrers/latest").await?.refused(&[400], "DIGEST_INVALID")?;
    repository.get("/referrers/sha256:abc").await?.refused(&[400], "DIGEST_INVALID")?;
    Ok(())
}
