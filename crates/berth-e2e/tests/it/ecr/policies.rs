//! Lifecycle policies: stored as they were written, checked before.

use anyhow::{Context, Result, ensure};
use berth_e2e::ACCOUNT;
use berth_e2e::api::refusal;
use berth_e2e::target::{Target, unique_name};

use super::{assert_refusal, repository_not_found};

const POLICY: &str = r#"{
  "rules": [
    {
      "rulePriority": 1,
      "description": "Keep last 20 version-tagged images",
      "selection": {"tagStatus": "tagged", "tagPatternList": ["v*"], "countType": "imageCountMoreThan", "countNumber": 20},
      "action": {"type": "expire"}
    },
    {
      "rulePriority": 2,
      "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
      "action": {"type": "expire"}
    }
  ]
}"#;

async fn created(target: &Target) -> Result<String> {
    let name = unique_name();
    target.api().create_repository().repository_name(&name).send().await?;
    Ok(name)
}

#[tokio::test]
async fn a_policy_comes_back_byte_for_byte() -> Result<()> {
    let target = Target::start().await?;
    let name = created(&target).await?;
    let put = target
        .api()
        .put_lifecycle_policy()
        .repository_name(&name)
        .lifecycle_policy_text(POLICY)
        .send()
        .await?;
    ensure!(put.lifecycle_policy_text() == Some(POLICY));
    let got = target.api().get_lifecycle_policy().repository_name(&name).send().await?;
    ensure!(got.lifecycle_policy_text() == Some(POLICY), "{got:?}");
    ensure!(got.registry_id() == Some(ACCOUNT) && got.repository_name() == Some(name.as_str()));
    // ECR reports an evaluation that has not happened as the epoch.
    ensure!(got.last_evaluated_at().is_some_and(|time| time.secs() == 0), "{got:?}");
    Ok(())
}

#[tokio::test]
async fn a_policy_is_replaced_and_deleted() -> Result<()> {
    let target = Target::start().await?;
    let name = created(&target).await?;
    let api = target.api();
    api.put_lifecycle_policy().repository_name(&name).lifecycle_policy_text(POLICY).send().await?;
    let other = POLICY.replace("20", "21");
    api.put_lifecycle_policy().repository_name(&name).lifecycle_policy_text(&other).send().await?;
    let got = api.get_lifecycle_policy().repository_name(&name).send().await?;
    ensure!(got.lifecycle_policy_text() == Some(other.as_str()));
    let deleted = api.delete_lifecycle_policy().repository_name(&name).send().await?;
    ensure!(deleted.lifecycle_policy_text() == Some(other.as_str()));
    let message = format!(
        "Lifecycle policy does not exist for the repository with name '{name}' in the registry with id '{ACCOUNT}'"
    );
    let get = refusal(api.get_lifecycle_policy().repository_name(&name).send().await)?;
    assert_refusal(&get, "LifecyclePolicyNotFoundException", &message)?;
    let delete = refusal(api.delete_lifecycle_policy().repository_name(&name).send().await)?;
    assert_refusal(&delete, "LifecyclePolicyNotFoundException", &message)
}

#[tokio::test]
async fn policies_that_make_no_sense_are_refused_and_the_old_one_stays() -> Result<()> {
    let target = Target::start().await?;
    let name = created(&target).await?;
    let api = target.api();
    api.put_lifecycle_policy().repository_name(&name).lifecycle_policy_text(POLICY).send().await?;
    for (what, text) in [
        ("too short", "{}".to_owned()),
        ("no JSON", format!("{POLICY}}}")),
        ("too long", format!("{POLICY}{}", " ".repeat(31_000))),
        ("the same priority twice", POLICY.replace("\"rulePriority\": 2", "\"rulePriority\": 1")),
        ("an unknown action", POLICY.replace("\"expire\"", "\"burn\"")),
        ("an unknown count", POLICY.replace("imageCountMoreThan", "imageCountLessThan")),
        ("a count of nothing", POLICY.replace("\"countNumber\": 20", "\"countNumber\": 0")),
        ("tagged without tags", POLICY.replace("\"tagPatternList\": [\"v*\"], ", "")),
        ("an unknown member", POLICY.replace("\"description\"", "\"remark\"")),
        ("days without a unit", POLICY.replace("\"countUnit\": \"days\", ", "")),
    ] {
        let request = api.put_lifecycle_policy().repository_name(&name).lifecycle_policy_text(&text);
        let got = refusal(request.send().await).context(what)?;
        ensure!(got.0 == "InvalidParameterException", "{what}: {got:?}");
    }
    let got = api.get_lifecycle_policy().repository_name(&name).send().await?;
    ensure!(got.lifecycle_policy_text() == Some(POLICY), "a refused policy must change nothing");
    Ok(())
}

#[tokio::test]
async fn policies_of_an_unknown_repository_are_refused() -> Result<()> {
    let target = Target::start().await?;
    let name = unique_name();
    let api = target.api();
    let message = repository_not_found(&name);
    let put = api.put_lifecycle_policy().repository_name(&name).lifecycle_policy_text(POLICY).send().await;
    assert_refusal(&refusal(put)?, "RepositoryNotFoundException", &message)?;
    let get = api.get_lifecycle_policy().repository_name(&name).send().await;
    assert_refusal(&refusal(get)?, "RepositoryNotFoundException", &message)?;
    let delete = api.delete_lifecycle_policy().repository_name(&name).send().await;
    assert_refusal(&refusal(delete)?, "RepositoryNotFoundException", &message)
}
