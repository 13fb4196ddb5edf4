//! `berth lifecycle lint`: every kind of file, every form of the answer.

use insta::assert_snapshot;
use serde_json::Value;

use crate::support::Sandbox;

/// The three rules of the document that the project was created from.
pub(crate) const THREE_RULES: &str = r#"{
  "rules": [
    {
      "rulePriority": 1,
      "description": "Keep last 20 version-tagged images (v*, sha-*)",
      "selection": {
        "tagStatus": "tagged",
        "tagPrefixList": ["v", "sha-"],
        "countType": "imageCountMoreThan",
        "countNumber": 20
      },
      "action": {"type": "expire"}
    },
    {
      "rulePriority": 2,
      "description": "Keep last 5 branch-tagged images (latest, main, dev)",
      "selection": {
        "tagStatus": "tagged",
        "tagPrefixList": ["latest", "main", "dev"],
        "countType": "imageCountMoreThan",
        "countNumber": 5
      },
      "action": {"type": "expire"}
    },
    {
      "rulePriority": 3,
      "description": "Delete untagged images older than 7 days",
      "selection": {
        "tagStatus": "untagged",
        "countType": "sinceImagePushed",
        "countUnit": "days",
        "countNumber": 7
      },
      "action": {"type": "expire"}
    }
  ]
}
"#;

const TERRAFORM: &str = r#"resource "aws_ecr_repository" "api" {
  name = "shop/api"
}

resource "aws_ecr_lifecycle_policy" "api" {
  repository = aws_ecr_repository.api.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Keep releases"
        selection = {
          tagStatus     = "tagged"
          tagPrefixList = ["v", "release", "prod"]
          countType     = "imageCountMoreThan"
          countNumber   = 9999
        }
        action = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "Delete everything else after a month"
        selection = {
          tagStatus   = "any"
          countType   = "sinceImagePushed"
          countUnit   = "days"
          countNumber = 30
        }
        action = { type = "expire" }
      },
    ]
  })
}

resource "aws_ecr_lifecycle_policy" "workers" {
  repository = "shop/workers"
  policy     = templatefile("policy.json.tftpl", { keep = var.keep })
}
"#;

const RELEASES: &str = r#"{"imageDetails": [
  {"imageDigest": "sha256:da90eac985bfede3eb3ac6872866ebb11d3bd474cb7c56ee28700a309f45cc01", "imageTags": ["prod-2025-11"],
   "imagePushedAt": "2025-11-03T09:00:00Z"},
  {"imageDigest": "sha256:973a1f205c8f99b04537f761f1cf5ef9b47457aecd6ccd882fab3d8ce1731cd5", "imageTags": ["v2.0.0", "release-7"],
   "imagePushedAt": "2025-10-01T09:00:00Z"},
  {"imageDigest": "sha256:3fc76adda0cf99a6beabef33cb12b6a934604ee18aee6d6feb2a94ea8fceff52", "imageTags": ["feature-x"],
   "imagePushedAt": "2025-12-31T09:00:00Z"}
]}"#;

fn findings(sandbox: &Sandbox, arguments: &[&str]) -> Vec<(String, Option<u64>, String)> {
    let output = sandbox.run(&[&["lifecycle", "lint", "--json"], arguments].concat());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = answer["findings"].as_array().unwrap().iter().map(|finding| {
        let place =
            format!("{}:{}:{}", finding["file"].as_str().unwrap(), finding["line"], finding["column"]);
        (finding["id"].as_str().unwrap().to_owned(), finding["rule"].as_u64(), place)
    });
    findings.collect()
}

#[test]
fn the_three_rules_mean_and_where_they_say_or() {
    let sandbox = Sandbox::new();
    sandbox.write("policy.json", THREE_RULES);
    assert_snapshot!(sandbox.berth(&["lifecycle", "lint", "policy.json"]));
    let found = findings(&sandbox, &["policy.json"]);
    let and_lists: Vec<_> = found.iter().filter(|(id, _, _)| id == "and-list").collect();
    assert_eq!(and_lists.len(), 2);
    assert_eq!(*and_lists[0], ("and-list".to_owned(), Some(1), "policy.json:8:26".to_owned()));
    assert_eq!(*and_lists[1], ("and-list".to_owned(), Some(2), "policy.json:19:26".to_owned()));
}

#[test]
fn terraform_names_the_releases_that_would_be_deleted() {
    let sandbox = Sandbox::new();
    sandbox.write("ecr.tf", TERRAFORM);
    sandbox.write("images.json", RELEASES);
    let answer =
        sandbox.berth(&["lifecycle", "lint", "ecr.tf", "--images", "images.json", "--at", "2026-01-01"]);
    assert!(answer.contains("prod-2025-11") && answer.contains("v2.0.0+release-7"), "{answer}");
    assert_snapshot!(answer);
}

#[test]
fn a_stack_file_is_told_by_retention() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "berth.toml",
        "project = \"shop\"\nenvironment = \"prod\"\nretention_form = \"as-written\"\n\n[[retention]]\n\
         description = \"Keep last 20 version-tagged images (v*, sha-*)\"\nany_of = [\"v*\", \"sha-*\"]\nkeep_last = 20\n\
         \n[[retention]]\nuntagged = true\nexpire_after_days = 7\n",
    );
    assert_snapshot!(sandbox.berth(&["lifecycle", "lint", "berth.toml"]));
    sandbox.write("berth.toml", "project = \"shop\"\nenvironment = \"prod\"\n");
    let found = findings(&sandbox, &["berth.toml"]);
    assert!(
        found.iter().all(|(id, _, _)| id != "and-list"),
        "compiled retentions mean what they say: {found:?}"
    );
    sandbox.write("berth.toml", "project = \"shop\"\n");
    assert_snapshot!(sandbox.berth(&["lifecycle", "lint", "berth.toml"]));
}

#[test]
fn templates_and_states_are_read_and_what_cannot_be_is_said() {
    let sandbox = Sandbox::new();
    let text = THREE_RULES.replace('\n', " ");
    let escaped = Value::from(text.as_str()).to_string();
    sandbox.write(
        "template.yaml",
        &format!(
            "Resources:\n  Api:\n    Type: AWS::ECR::Repository\n    Properties:\n      LifecyclePolicy:\n        \
             LifecyclePolicyText: |\n          {text}\n  Other:\n    Type: AWS::ECR::Repository\n    Properties:\n      \
             LifecyclePolicy:\n        LifecyclePolicyText: !Sub '{{}}'\n"
        ),
    );
    sandbox.write(
        "plan.json",
        &format!(
            "{{\"format_version\": \"1.2\", \"planned_values\": {{\"root_module\": {{\"resources\": [{{\"address\": \"x\", \
             \"type\": \"aws_ecr_lifecycle_policy\", \"values\": {{\n\"policy\": {escaped}}}}}]}}}}}}"
        ),
    );
    sandbox.write(
        "stack.json",
        &format!(
            "{{\"version\": 3, \"deployment\": {{\"resources\": [{{\"urn\": \"urn:pulumi:a::b::c::api\", \"type\": \
             \"aws:ecr/lifecyclePolicy:LifecyclePolicy\", \"inputs\": {{\n\"policy\": {escaped}}}}}]}}}}"
        ),
    );
    for (file, line) in [("template.yaml", 7), ("plan.json", 2), ("stack.json", 2)] {
        let found = findings(&sandbox, &[file]);
        let and_lists = found
            .iter()
            .filter(|(id, _, place)| id == "and-list" && place.starts_with(&format!("{file}:{line}:")));
        assert_eq!(and_lists.count(), 2, "{found:?}");
    }
    assert!(
        findings(&sandbox, &["template.yaml"])
            .iter()
            .any(|(id, _, place)| id == "unreadable" && place.starts_with("template.yaml:12:"))
    );
}

#[test]
fn a_file_that_terraform_names_is_followed() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("infra")).unwrap();
    sandbox.write("infra/policy.json", THREE_RULES);
    for (name, expression) in
        [("module", "${path.module}/policy.json"), ("plain", "policy.json"), ("gone", "gone.json")]
    {
        let block = "resource \"aws_ecr_lifecycle_policy\" \"p\" {\n  policy = file(\"FILE\")\n}\n";
        sandbox.write(&format!("infra/{name}.tf"), &block.replace("FILE", expression));
    }
    for name in ["infra/module.tf", "infra/plain.tf"] {
        let found = findings(&sandbox, &[name]);
        assert_eq!(found[0], ("and-list".to_owned(), Some(1), "infra/policy.json:8:26".to_owned()), "{name}");
    }
    let found = findings(&sandbox, &["infra/gone.tf"]);
    assert_eq!(found, [("unreadable".to_owned(), None, "infra/gone.tf:2:12".to_owned())]);
}

#[test]
fn a_policy_that_ecr_refuses_is_an_error_with_its_words() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "policy.json",
        &THREE_RULES.replace("\"countNumber\": 20", "\"countNumber\": 0").replace("\"untagged\"", "null"),
    );
    assert_snapshot!(sandbox.berth(&["lifecycle", "lint", "policy.json"]));
}

#[test]
fn sarif_has_a_place_and_a_rule_for_every_finding() {
    let sandbox = Sandbox::new();
    sandbox.write("ecr.tf", TERRAFORM);
    let output = sandbox.run(&["lifecycle", "lint", "--sarif", "ecr.tf"]);
    assert_eq!(output.status.code(), Some(1));
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert!(results.len() >= 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["error", "warning", "note"].contains(&result["level"].as_str().unwrap()));
        let region = &result["locations"][0]["physicalLocation"]["region"];
        assert!(region["startLine"].as_u64() >= Some(1) && region["startColumn"].as_u64() >= Some(1));
    }
    insta::assert_json_snapshot!(results[0]);
}

#[test]
fn exit_codes_follow_what_is_denied() {
    let sandbox = Sandbox::new();
    sandbox.write("error.json", THREE_RULES);
    sandbox.write("warning.json", &THREE_RULES.replace("(v*, sha-*)", "").replace("(latest, main, dev)", ""));
    sandbox.write(
        "note.json",
        r#"{"rules": [{"rulePriority": 1, "description": "Keep last twenty versions of this", "selection": {"tagStatus": "tagged",
        "tagPrefixList": ["v"], "countType": "imageCountMoreThan", "countNumber": 20}, "action": {"type": "expire"}}]}"#,
    );
    for (arguments, code) in [
        (&["error.json"][..], 1),
        (&["warning.json"], 0),
        (&["warning.json", "--deny", "warnings"], 1),
        (&["note.json", "--deny", "warnings"], 0),
        (&["note.json", "--deny", "notes"], 1),
        (&["note.json", "error.json"], 1),
        (&["note.json", "--rollback", "30", "--deny", "warnings"], 1),
        (&["note.json", "--json", "--sarif"], 2),
        (&[], 2),
    ] {
        let output = sandbox.run(&[&["lifecycle", "lint"], arguments].concat());
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn bad_files_are_named_with_their_place() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.tf", "locals {}\n");
    sandbox.write("broken.tf", "resource \"a\" \"b\" {\n  x = \n}\n");
    sandbox.write("broken.json", "{\"Resources\": {\n  \"A\" 1}}\n");
    sandbox.write("other.json", "{\"name\": \"x\"}\n");
    std::fs::write(sandbox.path("binary.json"), [0xff, 0xfe]).unwrap();
    for file in ["missing.json", "empty.tf", "broken.tf", "broken.json", "other.json", "binary.json"] {
        assert_snapshot!(
            format!("bad_file_{}", file.replace('.', "_")),
            sandbox.berth(&["lifecycle", "lint", file])
        );
    }
}
