//! Stack files: what they default to, and what is said about those that will not do.

use std::fmt::Write as _;

use berth_stack::{
    DesiredRepositoryPolicy, Encryption, Lifecycle, RetentionForm, SpecError, StackInput, StackSpec,
};
use insta::assert_snapshot;

use crate::support::{read_file, stack};

const HEAD: &str = "project = \"shop\"\nenvironment = \"dev\"\n";

/// What is said about a file that consists of these lines after a good head.
fn errors(rest: &str) -> String {
    errors_of(&format!("{HEAD}{rest}"))
}

fn errors_of(text: &str) -> String {
    match StackSpec::parse("berth.toml", text, &read_file) {
        Ok(stack) => panic!("accepted: {stack:#?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn two_lines_give_the_three_repositories_of_the_mission() {
    let dev = stack(HEAD);
    let names: Vec<&str> = dev.repositories().iter().map(|one| one.name.as_str()).collect();
    assert_eq!(names, ["shop/api", "shop/realtime", "shop/workers"]);
    for repository in dev.repositories() {
        assert!(repository.scan_on_push);
        assert!(!repository.protect);
        assert_eq!(repository.encryption, Encryption::Aes256);
        assert_eq!(repository.tag_mutability.mode().name(), "MUTABLE");
        assert_eq!(repository.repository_policy, DesiredRepositoryPolicy::Unmanaged);
        let tags: Vec<(&str, &str)> =
            repository.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(
            tags,
            [
                ("Environment", "dev"),
                ("ManagedBy", "berth"),
                ("Project", "shop"),
                ("Service", &repository.service)
            ]
        );
        let Lifecycle::Retention(retention) = &repository.lifecycle else { panic!("{repository:?}") };
        assert_eq!(retention.intents, berth_lifecycle::compile::mission_default());
        assert_eq!(retention.form, RetentionForm::Compiled);
    }
    let descriptions: Vec<_> =
        dev.repositories().iter().map(|one| one.description.as_deref().unwrap()).collect();
    assert_eq!(descriptions, ["API service images", "Socket.IO service images", "Background worker images"]);
    let prod = StackSpec::new("shop", "prod").unwrap();
    assert!(prod.repositories().iter().all(|one| one.tag_mutability.mode().name() == "IMMUTABLE"));
}

#[test]
fn the_design_documents_file_is_the_default_written_out() {
    let text = r#"
        project     = "shop"
        environment = "prod"
        base_name   = "{project}"
        [repositories.api]
        description = "API service images"
        [repositories.realtime]
        description = "Socket.IO service images"
        [repositories.workers]
        description = "Background worker images"
        [[retention]]
        description = "Keep last 20 version-tagged images (v*, sha-*)"
        any_of      = ["v*", "sha-*"]
        keep_last   = 20
        [[retention]]
        description = "Keep last 5 branch-tagged images (latest, main, dev)"
        any_of      = ["latest*", "main*", "dev*"]
        keep_last   = 5
        [[retention]]
        description = "Delete untagged images older than 7 days"
        untagged    = true
        expire_after_days = 7
    "#;
    assert_eq!(stack(text), StackSpec::new("shop", "prod").unwrap());
}

#[test]
fn as_written_is_the_mission_documents_policy() {
    let stack = stack(&format!("{HEAD}retention_form = \"as-written\""));
    let text = stack.repositories()[0].lifecycle.text().unwrap();
    let rules: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_snapshot!(format!("{rules:#}"));
    assert_eq!(stack.warnings().len(), 2, "{:?}", stack.warnings());
}

#[test]
fn every_key_has_its_effect() {
    let stack = stack(
        r#"
        project = "shop"
        environment = "prod"
        base_name = "acme/{project}-{environment}"
        region = "eu-west-1"
        endpoint = "http://localhost:5000/"
        tags = { Team = "core", Cost = "1" }
        retention = []

        [repositories.api]
        scan_on_push = false
        mutable_tags = ["latest", "dev-*"]
        encryption = "KMS"
        kms_key = "alias/shop"
        lifecycle_policy_file = "keep-two.json"
        repository_policy_file = "pull.json"
        tags = { Team = "api" }
        protect = true

        [repositories.web]
        tag_mutability = "MUTABLE"
        repository_policy_file = ""
        [[repositories.web.retention]]
        any_of = ["*"]
        keep_last = 3

        [repositories.jobs]
        "#,
    );
    insta::assert_debug_snapshot!(stack);
}

#[test]
fn unknown_keys_name_the_nearest_known_one() {
    assert_snapshot!(errors("regoin = \"x\"\n[repositories.api]\nscan_on_psh = true\nzzz = 1\n"));
    assert_snapshot!(errors("[[retention]]\nkeep = 3\nany_off = [\"v*\"]\n"));
    assert_snapshot!(errors_of("Project = \"shop\"\nenv = \"dev\"\n"));
    assert_snapshot!(errors("[repository.api]\n"));
}

#[test]
fn syntax_and_types_are_reported_at_their_place() {
    assert_snapshot!(errors("x"));
    assert_snapshot!(errors("region = 5"));
    assert_snapshot!(errors("[repositories]\napi = \"x\""));
    assert_snapshot!(errors("[repositories.api]\nscan_on_push = \"yes\""));
    assert_snapshot!(errors("[[retention]]\nany_of = \"v*\"\nkeep_last = 3"));
    assert_snapshot!(errors("[[retention]]\nany_of = [\"v*\"]\nkeep_last = -3"));
    assert_snapshot!(errors("region = \"a\"\nregion = \"b\""));
    assert_snapshot!(errors("[tags]\nCost = 1"));
}

#[test]
fn project_and_environment_are_required() {
    assert_snapshot!(errors_of(""));
    assert_snapshot!(errors_of("project = \"\"\nenvironment = \"d|v\""));
}

#[test]
fn names_must_be_names_of_ecr() {
    assert_snapshot!(errors_of("project = \"Shop\"\nenvironment = \"dev\""));
    assert_snapshot!(errors("[repositories.API]\n[repositories.\"a b\"]\n"));
    assert_snapshot!(errors("base_name = \"{projekt}-x\""));
    assert_snapshot!(errors("base_name = \"{project\""));
    assert_snapshot!(errors("base_name = \"\""));
    assert_snapshot!(errors(&format!("[repositories.{}]", "a".repeat(252))));
    assert_snapshot!(errors("[repositories.my-api]\n[repositories.my_api]"));
    assert_snapshot!(errors("[repositories]"));
}

#[test]
fn mutability_must_make_sense() {
    let mut all = String::new();
    for rest in [
        "tag_mutability = \"immutable\"",
        "tag_mutability = \"MUTABLE\"\nmutable_tags = [\"latest\"]",
        "tag_mutability = \"IMMUTABLE_WITH_EXCLUSION\"",
        "tag_mutability = \"IMMUTABLE\"\nmutable_tags = [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"]",
        "mutable_tags = [\"a/b\"]",
        "mutable_tags = [\"*a*b*\"]",
    ] {
        let _ = writeln!(all, "{}", errors(&format!("[repositories.api]\n{rest}")));
    }
    assert_snapshot!(all);
}

#[test]
fn exceptions_in_a_mutable_environment_are_no_error() {
    let rest = "[repositories.api]\nmutable_tags = [\"latest\"]";
    let dev = stack(&format!("{HEAD}{rest}"));
    assert_eq!(dev.repositories()[0].tag_mutability.mode().name(), "MUTABLE");
    let prod = stack(&format!("project = \"shop\"\nenvironment = \"prod\"\n{rest}"));
    assert_eq!(prod.repositories()[0].tag_mutability.mode().name(), "IMMUTABLE_WITH_EXCLUSION");
}

#[test]
fn the_rest_is_checked_too() {
    let mut all = String::new();
    for rest in [
        "region = \"US EAST\"",
        "endpoint = \"localhost:5000\"",
        "endpoint = \"http://localhost:5000/v2/\"",
        "retention_form = \"compile\"",
        "tags = { Project = \"x\" }",
        "tags = { \"aws:x\" = \"x\" }",
        "tags = { \"a|b\" = \"x\" }",
        "tags = { a = \"x\\ny\" }",
        "[repositories.api]\nencryption = \"AES\"",
        "[repositories.api]\nkms_key = \"alias/x\"",
        "[repositories.api]\nencryption = \"KMS\"\nkms_key = \"\"",
        "[repositories.api]\nretention_form = \"x\"",
        "[repositories.api]\nlifecycle_policy_file = \"keep-two.json\"\nretention = []",
        "[repositories.api]\nlifecycle_policy_file = \"absent.json\"",
        "[repositories.api]\nlifecycle_policy_file = \"broken.json\"",
        "[repositories.api]\nrepository_policy_file = \"broken.json\"",
    ] {
        let _ = writeln!(all, "# {rest:?}\n{}", errors(rest));
    }
    assert_snapshot!(all);
}

#[test]
fn retentions_are_checked_where_they_stand() {
    let mut all = String::new();
    for rest in [
        "[[retention]]\nkeep_last = 3",
        "[[retention]]\nany_of = [\"v*\"]\nkeep_last = 3\n[[retention]]\nany_of = [\"v*\"]",
        "[[retention]]\nany_of = [\"v*\"]\nuntagged = true\nkeep_last = 3",
        "[[retention]]\nany_of = [\"v*\"]\nkeep_last = 3\nexpire_after_days = 3",
        "[[retention]]\nany_of = [\"v*\"]\nkeep_last = 0",
        "[[repositories.api.retention]]\nany_of = [\"*****\"]\nkeep_last = 1",
    ] {
        let _ = writeln!(all, "{}", errors(rest));
    }
    assert_snapshot!(all);
}

#[test]
fn too_many_tags_are_counted_with_our_own() {
    let tags: Vec<String> = (0..47).map(|n| format!("t{n} = \"x\"")).collect();
    assert_snapshot!(errors(&format!("[repositories.api.tags]\n{}", tags.join("\n"))));
}

#[test]
fn environments_that_sound_like_production_are_pointed_out() {
    let stack = stack("project = \"shop\"\nenvironment = \"production\"");
    assert_snapshot!(stack.warnings().join("\n"));
    assert!(StackSpec::new("shop", "staging").unwrap().warnings().is_empty());
}

#[test]
fn programs_get_the_same_checks_without_lines() {
    let input = StackInput { project: "Shop".to_owned(), ..StackInput::default() };
    let error = StackSpec::from_input(&input, &read_file).unwrap_err();
    assert_snapshot!(error.to_string());
}

#[test]
fn files_are_found_beside_the_stack_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("berth.toml");
    assert!(matches!(StackSpec::load(&file), Err(SpecError::Missing { .. })));
    std::fs::write(directory.path().join("policy.json"), read_file("keep-two.json".as_ref()).unwrap())
        .unwrap();
    std::fs::write(&file, format!("{HEAD}[repositories.api]\nlifecycle_policy_file = \"policy.json\""))
        .unwrap();
    let stack = StackSpec::load(&file).unwrap();
    assert!(matches!(stack.repositories()[0].lifecycle, Lifecycle::File { .. }));
    std::fs::write(&file, "#".repeat(300_000)).unwrap();
    assert!(matches!(StackSpec::load(&file), Err(SpecError::Unreadable { .. })));
}

fn toml_like() -> impl proptest::strategy::Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "project",
        "environment",
        "repositories",
        "api",
        "retention",
        "any_of",
        "keep_last",
        "tags",
        "=",
        "\"x\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        ".",
        "\n",
        "5",
        "true",
        "ä",
        "\"",
        "\"{project}\"",
        ",",
        "mutable_tags",
        "prod",
    ]);
    proptest::strategy::Strategy::prop_map(proptest::collection::vec(word, 0..40), |words| words.join(" "))
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2_000))]

    /// Whatever is in the file, the answer is a stack or a list of problems, each at a place in the file.
    #[test]
    fn no_text_is_too_strange(text in proptest::prop_oneof![toml_like(), ".{0,60}"]) {
        if let Err(error) = StackSpec::parse("berth.toml", &text, &read_file) {
            proptest::prop_assert!(!error.problems().is_empty());
            let lines = text.lines().count() + 1;
            for position in error.problems().iter().filter_map(|problem| problem.position) {
                proptest::prop_assert!((1..=lines).contains(&position.line), "{position} of {lines}");
            }
        }
    }
}
