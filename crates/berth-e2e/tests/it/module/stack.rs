//! Plan, apply, destroy: what changes, what does not, and what is left alone.

use anyhow::{Context, Result, ensure};
use aws_sdk_ecr::types::{ImageTagMutability, Tag};
use berth_e2e::command::{self, run};
use berth_e2e::image::Image;
use serde_json::Value;

use super::{Project, changed, retention, text};

const NAMES: [&str; 3] = ["shop/api", "shop/realtime", "shop/workers"];

#[tokio::test]
async fn init_writes_a_file_that_plan_takes() -> Result<()> {
    let project = Project::new("dev", "").await?;
    std::fs::remove_file(project.file())?;
    let arguments =
        ["init", "--project", "shop", "--environment", "prod", "--endpoint", project.target.url()];
    project.berth(&arguments).await?.success()?;
    // A file that is there is somebody's work.
    let before = std::fs::read_to_string(project.file())?;
    project.berth(&arguments).await?.failure()?;
    ensure!(std::fs::read_to_string(project.file())? == before);
    ensure!(project.plan_code().await? == 3);
    Ok(())
}

#[tokio::test]
async fn apply_makes_the_three_repositories_of_a_prod_stack() -> Result<()> {
    let project = Project::new("prod", "").await?;
    let plan = project.plan().await?;
    ensure!(plan["changes"] == true && changed(&plan).len() == 6, "{plan}");
    let outputs = project.apply().await?.json()?;
    let rows = outputs["repositories"].as_array().context("no repositories")?;
    ensure!(
        rows.iter().map(|row| row["name"].as_str().unwrap_or_default()).collect::<Vec<_>>() == NAMES,
        "{outputs}"
    );
    let api = project.target.api();
    let described = api.describe_repositories().send().await?;
    ensure!(described.repositories().len() == 3);
    for (row, name) in rows.iter().zip(NAMES) {
        let found = described
            .repositories()
            .iter()
            .find(|found| found.repository_name() == Some(name))
            .context(name)?;
        ensure!(text(row, "arn")? == found.repository_arn().unwrap_or_default());
        ensure!(text(row, "repository_url")? == found.repository_uri().unwrap_or_default());
        ensure!(text(row, "registry_id")? == berth_e2e::ACCOUNT);
        ensure!(found.image_tag_mutability() == Some(&ImageTagMutability::Immutable));
        ensure!(
            found
                .image_scanning_configuration()
                .is_some_and(aws_sdk_ecr::types::ImageScanningConfiguration::scan_on_push)
        );
        let arn = found.repository_arn().unwrap_or_default();
        let tags = api.list_tags_for_resource().resource_arn(arn).send().await?;
        let managed = tags.tags().iter().any(|tag| tag.key() == "ManagedBy" && tag.value() == "berth");
        ensure!(managed && tags.tags().len() >= 4, "{tags:?}");
        let policy = api.get_lifecycle_policy().repository_name(name).send().await?;
        ensure!(
            policy.lifecycle_policy_text().is_some_and(|policy| policy.contains("tagPatternList")),
            "{policy:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn there_is_nothing_to_do_after_apply() -> Result<()> {
    let project = Project::new("prod", "").await?;
    ensure!(project.plan_code().await? == 3);
    project.apply().await?;
    ensure!(project.plan_code().await? == 0, "{}", project.plan().await?);
    let text = project.berth(&["plan"]).await?.success()?.stdout;
    ensure!(text.to_lowercase().contains("no changes"), "{text}");
    project.apply().await?;
    Ok(())
}

#[tokio::test]
async fn a_policy_put_again_in_another_form_is_no_change() -> Result<()> {
    let project = Project::new("prod", "").await?;
    project.apply().await?;
    for name in NAMES {
        let got = project.target.api().get_lifecycle_policy().repository_name(name).send().await?;
        let mut policy: Value = serde_json::from_str(got.lifecycle_policy_text().unwrap_or_default())?;
        policy["rules"].as_array_mut().context("no rules")?.reverse();
        let file = project.directory.path().join("policy.json");
        std::fs::write(&file, serde_json::to_string_pretty(&policy)?)?;
        let mut aws = command::aws(project.target.url())?;
        aws.args(["ecr", "put-lifecycle-policy", "--repository-name", name, "--lifecycle-policy-text"]);
        aws.arg(format!("file://{}", file.display()));
        run(aws, None).await?.success()?;
    }
    ensure!(project.plan_code().await? == 0, "{}", project.plan().await?);
    Ok(())
}

#[tokio::test]
async fn another_keep_last_is_exactly_that_change() -> Result<()> {
    let project = Project::new("prod", &retention(20)).await?;
    project.apply().await?;
    project.write("prod", &retention(30))?;
    let plan = project.plan().await?;
    let resources = changed(&plan);
    ensure!(resources.len() == 3, "{plan}");
    for resource in resources {
        ensure!(resource["kind"] == "lifecycle_policy" && resource["action"] == "update", "{resource}");
        let entries = resource["lifecycle"]["retention"].as_array().context("no retention")?;
        let shared = resource["lifecycle"]["shared"].as_array().into_iter().flatten();
        let rules =
            entries.iter().flat_map(|entry| entry["rules"].as_array().into_iter().flatten()).chain(shared);
        for rule in rules.filter(|rule| rule["change"] != "same") {
            ensure!(rule["change"] == "changed", "{rule}");
            let attributes = rule["attributes"].as_array().context("no attributes")?;
            ensure!(attributes.len() == 1, "only the count changes: {rule}");
            ensure!(attributes[0]["old"] == 20 && attributes[0]["new"] == 30, "{rule}");
        }
    }
    project.apply().await?;
    ensure!(project.plan_code().await? == 0);
    Ok(())
}

#[tokio::test]
async fn what_somebody_changed_by_hand_is_found_and_put_right() -> Result<()> {
    let project = Project::new("prod", "").await?;
    project.apply().await?;
    let api = project.target.api();
    let request = api.put_image_tag_mutability().repository_name("shop/api");
    request.image_tag_mutability(ImageTagMutability::Mutable).send().await?;
    api.delete_lifecycle_policy().repository_name("shop/workers").send().await?;
    let plan = project.plan().await?;
    ensure!(changed(&plan).len() == 2, "{plan}");
    project.apply().await?;
    ensure!(project.plan_code().await? == 0);
    let described = api.describe_repositories().repository_names("shop/api").send().await?;
    ensure!(described.repositories()[0].image_tag_mutability() == Some(&ImageTagMutability::Immutable));
    Ok(())
}

#[tokio::test]
async fn another_encryption_is_refused_until_replacing_is_allowed() -> Result<()> {
    let project = Project::new("dev", "[repositories.api]\n").await?;
    project.apply().await?;
    project.write("dev", "[repositories.api]\nencryption = \"KMS\"\n")?;
    let said = project.berth(&["apply", "--yes"]).await?.failure()?;
    ensure!(said.contains("--allow-replace"), "{said}");
    let described = project.target.api().describe_repositories().repository_names("shop/api").send().await?;
    let encryption = described.repositories()[0].encryption_configuration().context("no encryption")?;
    ensure!(encryption.encryption_type().as_str() == "AES256");
    Ok(())
}

#[tokio::test]
async fn outputs_come_as_environment_variables() -> Result<()> {
    let project = Project::new("dev", "").await?;
    project.apply().await?;
    let text = project.berth(&["outputs", "--format", "env"]).await?.success()?.stdout;
    for (variable, name) in [("API", NAMES[0]), ("REALTIME", NAMES[1]), ("WORKERS", NAMES[2])] {
        let line = text.lines().find(|line| line.starts_with(&format!("BERTH_{variable}_REPOSITORY_URL=")));
        ensure!(
            line.is_some_and(|line| line.trim_end_matches(['"', '\'']).ends_with(&format!("/{name}"))),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn destroy_removes_what_is_ours_and_nothing_else() -> Result<()> {
    let project = Project::new("dev", "").await?;
    let api = project.target.api();
    let theirs = Tag::builder().key("ManagedBy").value("somebody").build()?;
    api.create_repository().repository_name("shop/other").tags(theirs).send().await?;
    api.create_repository().repository_name("unrelated").send().await?;
    project.apply().await?;
    project.berth(&["destroy", "--yes"]).await?.success()?;
    let left = api.describe_repositories().send().await?;
    let mut names: Vec<&str> =
        left.repositories().iter().filter_map(|found| found.repository_name()).collect();
    names.sort_unstable();
    ensure!(names == ["shop/other", "unrelated"], "{names:?}");
    project.berth(&["destroy", "--yes"]).await?.success()?;
    Ok(())
}

#[tokio::test]
async fn destroy_refuses_repositories_with_images_until_forced() -> Result<()> {
    let unprotected = "[repositories.api]\nprotect = false\n";
    let project = Project::new("dev", unprotected).await?;
    project.apply().await?;
    let repository = project.target.oci().await?.repository("shop/api");
    let image = Image::oci("precious", 1);
    repository.push_image("v1", &image).await?;
    let said = project.berth(&["destroy", "--yes"]).await?.failure()?;
    ensure!(said.contains("--force"), "{said}");
    repository.check_image("v1", &image).await?;
    project.berth(&["destroy", "--yes", "--force"]).await?.success()?;
    ensure!(project.target.api().describe_repositories().send().await?.repositories().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_mistake_in_the_stack_file_names_the_key_and_the_nearest_one() -> Result<()> {
    let project = Project::new("dev", "retantion_form = \"compiled\"\n").await?;
    let said = project.berth(&["plan"]).await?.failure()?;
    ensure!(said.contains("retantion_form") && said.contains("retention_form"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_prod_stack_refuses_a_second_image_under_a_tag() -> Result<()> {
    let project = Project::new("prod", "").await?;
    project.apply().await?;
    let repository = project.target.oci().await?.repository("shop/api");
    let (first, second) = (Image::oci("first", 1), Image::oci("second", 1));
    repository.push_image("v1", &first).await?;
    repository.push_image("v1", &first).await?;
    for blob in second.blobs() {
        repository.push_blob(blob).await?;
    }
    repository.put_manifest("v1", &second.manifest).await?.refused(&[400], "TAG_INVALID")?;
    let api = project.target.api();
    let request = api.put_image().repository_name("shop/api").image_tag("v1");
    let got = berth_e2e::api::refusal(request.image_manifest(second.manifest.text()).send().await)?;
    ensure!(got.0 == "ImageTagAlreadyExistsException", "{got:?}");
    Ok(())
}

#[tokio::test]
async fn a_registry_that_does_not_answer_is_said_plainly() -> Result<()> {
    let mut project = Project::new("dev", "").await?;
    project.target.stop().await?;
    let output = project.berth(&["plan"]).await?;
    ensure!(output.code == 1, "{output:?}");
    ensure!(output.stdout.is_empty(), "what went wrong belongs to stderr: {output:?}");
    ensure!(output.stderr.contains(project.target.url()), "the message names the place: {output:?}");
    Ok(())
}
