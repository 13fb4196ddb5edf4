//! What a plan says in each situation, as people and as programs see it.

use berth_stack::{Action, EcrApi as _, PlanOptions, ResourceKind, render};
use insta::assert_snapshot;

use crate::support::{converge, destroy_plan_of, fake, plan_of, stack, target};

const DEFAULTS: PlanOptions = PlanOptions { allow_replace: false, force: false };
const REPLACING: PlanOptions = PlanOptions { allow_replace: true, force: false };
const FORCING: PlanOptions = PlanOptions { allow_replace: true, force: true };

/// One repository with one retention: small enough to be read.
const SMALL: &str = r#"
    project = "shop"
    environment = "prod"
    [repositories.api]
    [[retention]]
    description = "Keep last 20 version-tagged images"
    any_of = ["v*", "sha-*"]
    keep_last = 20
"#;

fn text(plan: &berth_stack::Plan) -> String {
    anstream_strip(&render::to_text(plan, &target()))
}

/// The text without its colours.
fn anstream_strip(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some(start) = rest.find('\x1b') {
        plain.push_str(&rest[..start]);
        let end = rest[start..].find('m').unwrap();
        rest = &rest[start + end + 1..];
    }
    plain + rest
}

#[tokio::test]
async fn a_new_stack_is_created() {
    let fake = fake();
    let plan = plan_of(&fake, &stack("project = \"shop\"\nenvironment = \"prod\""), DEFAULTS).await;
    assert_snapshot!(text(&plan));
    let json = render::to_json(&plan_of(&fake, &stack(SMALL), DEFAULTS).await, &target());
    assert_snapshot!(format!("{json:#}"));
}

#[tokio::test]
async fn there_is_nothing_to_do_after_apply() {
    let fake = fake();
    let stack = stack(SMALL);
    converge(&fake, &stack, DEFAULTS).await;
    let plan = plan_of(&fake, &stack, DEFAULTS).await;
    assert!(plan.is_empty());
    assert_snapshot!(text(&plan));
    // The same policy, written in another way.
    let policy = berth_lifecycle::Policy::parse(&stack.repositories()[0].lifecycle.text().unwrap()).unwrap();
    fake.put_lifecycle_policy("shop/api", &policy.to_pretty_json()).await.unwrap();
    fake.edit("shop/api", |one| one.lifecycle_policy = Some(policy.to_pretty_json()));
    assert!(plan_of(&fake, &stack, DEFAULTS).await.is_empty());
}

#[tokio::test]
async fn a_changed_number_shows_exactly_that() {
    let fake = fake();
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    let plan = plan_of(&fake, &stack(&SMALL.replace("= 20", "= 25")), DEFAULTS).await;
    assert_eq!(plan.count(Action::Update), 1);
    assert_snapshot!(text(&plan));
    let verbs: Vec<&str> = plan.steps().map(berth_stack::Step::verb).collect();
    assert_eq!(verbs, ["set lifecycle policy"]);
}

#[tokio::test]
async fn settings_are_changed_in_place() {
    let fake = fake();
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    let changed = SMALL.replace(
        "[repositories.api]",
        "[repositories.api]\nscan_on_push = false\nmutable_tags = [\"latest\"]\ntags = { Team = \"core\" }\n\
         repository_policy_file = \"pull.json\"",
    );
    fake.edit("shop/api", |one| {
        one.tags.insert("Stray".to_owned(), "x y".to_owned());
        one.tags.insert("aws:cloudformation:stack-name".to_owned(), "x".to_owned());
    });
    let changed = stack(&changed);
    assert_snapshot!(text(&plan_of(&fake, &changed, DEFAULTS).await));
    converge(&fake, &changed, DEFAULTS).await;
    assert!(plan_of(&fake, &changed, DEFAULTS).await.is_empty());
    assert!(fake.snapshot()["shop/api"].tags.contains_key("aws:cloudformation:stack-name"));
}

#[tokio::test]
async fn policies_go_when_they_are_no_longer_wanted() {
    let fake = fake();
    let with = stack(
        &SMALL.replace("[repositories.api]", "[repositories.api]\nrepository_policy_file = \"pull.json\""),
    );
    converge(&fake, &with, DEFAULTS).await;
    let without = stack(
        "project = \"shop\"\nenvironment = \"prod\"\nretention = []\n[repositories.api]\nrepository_policy_file = \"\"",
    );
    assert_snapshot!(text(&plan_of(&fake, &without, DEFAULTS).await));
    converge(&fake, &without, DEFAULTS).await;
    let api = &fake.snapshot()["shop/api"];
    assert_eq!((&api.lifecycle_policy, &api.repository_policy), (&None, &None));
}

#[tokio::test]
async fn a_repository_policy_that_the_file_does_not_name_stays() {
    let fake = fake();
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    fake.set_repository_policy("shop/api", &crate::support::FILES[1].1.replace("pull", "theirs"))
        .await
        .unwrap();
    assert!(plan_of(&fake, &stack(SMALL), DEFAULTS).await.is_empty());
    // Not even a replacement loses it.
    let kms = stack(&SMALL.replace("[repositories.api]", "[repositories.api]\nencryption = \"KMS\""));
    converge(&fake, &kms, REPLACING).await;
    assert!(fake.snapshot()["shop/api"].repository_policy.as_ref().unwrap().contains("theirs"));
    assert!(plan_of(&fake, &kms, DEFAULTS).await.is_empty());
}

#[tokio::test]
async fn encryption_needs_a_replacement_and_a_replacement_needs_leave() {
    let fake = fake();
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    let kms = stack(&SMALL.replace("[repositories.api]", "[repositories.api]\nencryption = \"KMS\""));
    assert_snapshot!(text(&plan_of(&fake, &kms, DEFAULTS).await));
    fake.edit("shop/api", |one| one.images = 1);
    let codes =
        |plan: &berth_stack::Plan| plan.refused().map(|(_, refusal)| refusal.code()).collect::<Vec<_>>();
    assert_eq!(codes(&plan_of(&fake, &kms, REPLACING).await), ["holds-images"]);
    assert_eq!(codes(&plan_of(&fake, &kms, FORCING).await), [""; 0]);
    let protected =
        SMALL.replace("[repositories.api]", "[repositories.api]\nencryption = \"KMS\"\nprotect = true");
    assert_eq!(codes(&plan_of(&fake, &stack(&protected), FORCING).await), ["protected"]);
    converge(&fake, &kms, FORCING).await;
    assert_eq!(fake.snapshot()["shop/api"].description.encryption.kind(), "KMS");
    assert_eq!(fake.snapshot()["shop/api"].images, 0);
    assert!(plan_of(&fake, &kms, DEFAULTS).await.is_empty());
}

#[tokio::test]
async fn what_nobody_owns_is_adopted_and_what_another_stack_owns_is_not() {
    let fake = fake();
    let owner = stack(SMALL);
    converge(&fake, &owner, DEFAULTS).await;
    fake.edit("shop/api", |one| {
        one.tags = [("ManagedBy".to_owned(), "terraform".to_owned())].into();
        one.images = 3;
    });
    assert_snapshot!(text(&plan_of(&fake, &owner, DEFAULTS).await));
    let other = stack(&SMALL.replace("prod", "dev"));
    converge(&fake, &other, DEFAULTS).await;
    let plan = plan_of(&fake, &owner, DEFAULTS).await;
    assert_snapshot!(text(&plan));
    let error = berth_stack::apply(&fake, &plan, &mut |_| {}).await.unwrap_err();
    assert_snapshot!(error.to_string());
    fake.edit("shop/api", |one| one.tags.clear());
    let kms = stack(&SMALL.replace("[repositories.api]", "[repositories.api]\nencryption = \"KMS\""));
    let plan = plan_of(&fake, &kms, FORCING).await;
    assert_eq!(plan.refused().next().unwrap().1.code(), "adopt-encryption");
}

#[tokio::test]
async fn what_the_file_no_longer_names_is_deleted_when_it_is_empty() {
    let fake = fake();
    let two = SMALL.replace("[repositories.api]", "[repositories.api]\n[repositories.old]");
    converge(&fake, &stack(&two), DEFAULTS).await;
    fake.edit("shop/old", |one| one.images = 1);
    let plan = plan_of(&fake, &stack(SMALL), DEFAULTS).await;
    assert_snapshot!(text(&plan));
    fake.edit("shop/old", |one| one.images = 0);
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    assert_eq!(fake.snapshot().into_keys().collect::<Vec<_>>(), ["shop/api"]);
}

#[tokio::test]
async fn an_unreadable_policy_counts_as_different() {
    let fake = fake();
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    fake.edit("shop/api", |one| one.lifecycle_policy = Some("{\"rules\":[{\"novel\":true}]}".to_owned()));
    let plan = plan_of(&fake, &stack(SMALL), DEFAULTS).await;
    let policy = plan.resources.iter().find(|one| one.kind == ResourceKind::LifecyclePolicy).unwrap();
    assert_eq!(policy.action, Action::Update);
    assert!(policy.note.as_ref().unwrap().contains("understands"), "{policy:?}");
}

#[tokio::test]
async fn destroy_touches_only_what_is_owned() {
    let fake = fake();
    let ours = stack("project = \"shop\"\nenvironment = \"dev\"");
    let theirs = stack("project = \"other\"\nenvironment = \"dev\"");
    converge(&fake, &ours, DEFAULTS).await;
    converge(&fake, &theirs, DEFAULTS).await;
    fake.edit("shop/realtime", |one| drop(one.tags.remove("ManagedBy")));
    fake.edit("shop/workers", |one| one.images = 2);
    let plan = destroy_plan_of(&fake, &ours, DEFAULTS).await;
    assert_snapshot!(text(&plan));
    let plan = destroy_plan_of(&fake, &ours, FORCING).await;
    berth_stack::apply(&fake, &plan, &mut |_| {}).await.unwrap();
    let left: Vec<String> = fake.snapshot().into_keys().collect();
    assert_eq!(left, ["other/api", "other/realtime", "other/workers", "shop/realtime"]);
    assert!(destroy_plan_of(&fake, &ours, FORCING).await.is_empty());
}

#[tokio::test]
async fn tags_of_others_may_be_out_of_reach_and_our_own_may_not() {
    let fake = fake();
    converge(&fake, &stack("project = \"other\"\nenvironment = \"dev\""), DEFAULTS).await;
    converge(&fake, &stack(SMALL), DEFAULTS).await;
    fake.edit("other/api", |one| one.tags_are_denied = true);
    let plan = plan_of(&fake, &stack(SMALL), DEFAULTS).await;
    assert!(plan.is_empty());
    assert_snapshot!(plan.warnings.join("\n"));
    fake.edit("shop/api", |one| one.tags_are_denied = true);
    let error = berth_stack::ActualState::read(&fake, &stack(SMALL)).await.unwrap_err();
    assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()));
}

#[tokio::test]
async fn protection_holds_against_force() {
    let fake = fake();
    let stack = stack(&SMALL.replace("[repositories.api]", "[repositories.api]\nprotect = true"));
    converge(&fake, &stack, DEFAULTS).await;
    fake.edit("shop/api", |one| one.images = 1);
    let plan = destroy_plan_of(&fake, &stack, FORCING).await;
    assert_eq!(plan.refused().next().unwrap().1.code(), "protected");
    // An image that arrives after the plan was made is safe as well: the call is made without force.
    fake.edit("shop/api", |one| one.images = 0);
    let unprotected = crate::support::stack(SMALL);
    let plan = destroy_plan_of(&fake, &unprotected, FORCING).await;
    fake.edit("shop/api", |one| one.images = 1);
    let error = berth_stack::apply(&fake, &plan, &mut |_| {}).await.unwrap_err();
    assert_snapshot!(format!("{error}: {}", std::error::Error::source(&error).unwrap()));
}

#[tokio::test]
async fn rules_that_go_away_are_shown() {
    let fake = fake();
    converge(&fake, &stack("project = \"shop\"\nenvironment = \"prod\"\n[repositories.api]"), DEFAULTS).await;
    let plan = plan_of(&fake, &stack(SMALL), DEFAULTS).await;
    assert_snapshot!(text(&plan));
    let file = stack(
        "project = \"shop\"\nenvironment = \"prod\"\n[repositories.api]\nlifecycle_policy_file = \"keep-two.json\"",
    );
    assert_snapshot!(text(&plan_of(&fake, &file, DEFAULTS).await));
}
