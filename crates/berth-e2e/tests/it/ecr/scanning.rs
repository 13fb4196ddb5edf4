//! What is said of scans: never that one happened which did not.

use anyhow::{Result, ensure};
use aws_sdk_ecr::types::{ImageIdentifier, ImageScanningConfiguration};
use berth_e2e::api::refusal;
use berth_e2e::image::Image;
use berth_e2e::target::Target;

#[tokio::test]
async fn without_a_scanner_no_image_is_said_to_be_scanned() -> Result<()> {
    let target = Target::start().await?;
    let repository = target.repository().await?;
    let name = &repository.name;
    let on_push = ImageScanningConfiguration::builder().scan_on_push(true).build();
    let request = target.api().put_image_scanning_configuration().repository_name(name);
    request.image_scanning_configuration(on_push).send().await?;
    repository.push_image("v1", &Image::oci("scan me", 1)).await?;

    let described = target.api().describe_images().repository_name(name).send().await?;
    let image = &described.image_details()[0];
    ensure!(image.image_scan_status().is_none(), "{:?}", image.image_scan_status());
    ensure!(image.image_scan_findings_summary().is_none(), "{:?}", image.image_scan_findings_summary());

    let id = ImageIdentifier::builder().image_tag("v1").build();
    let findings = target.api().describe_image_scan_findings().repository_name(name).image_id(id.clone());
    let (code, _) = refusal(findings.send().await)?;
    ensure!(code == "UnknownOperationException", "{code}");
    let start = target.api().start_image_scan().repository_name(name).image_id(id);
    let (code, _) = refusal(start.send().await)?;
    ensure!(code == "UnknownOperationException", "{code}");
    Ok(())
}
