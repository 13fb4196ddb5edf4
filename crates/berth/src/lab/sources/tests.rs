//! Every format, and what each says when it is wrong.

use super::*;

const RULE: &str = r#"{"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 7}, "action": {"type": "expire"}}"#;

fn read_text(name: &str, text: &str, format: Option<Format>) -> Result<Vec<Found>, LabError> {
    let document = Rc::new(Document { name: name.to_owned(), text: text.to_owned() });
    find(Path::new(name), &document, format)
}

/// Label, and either what stands in the file where the policy has its 7, or why the policy cannot be read.
fn summary(name: &str, text: &str) -> Vec<(String, String)> {
    let found = read_text(name, text, None).unwrap();
    let lines = found.iter().map(|one| {
        let told = match &one.policy {
            Ok(policy) => {
                let at = policy.json.find('7').unwrap();
                let outer = policy.outer(&(at..at + 1));
                let (line, _) = super::super::error::position(text, outer.start);
                format!("{line}: {}", &text[outer])
            }
            Err(unreadable) => format!("? {} at {:?}", unreadable.what, &text[unreadable.span.clone()]),
        };
        (one.label.clone(), told)
    });
    lines.collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(label, told)| ((*label).to_owned(), (*told).to_owned())).collect()
}

#[test]
fn a_policy_is_found_in_its_own_file() {
    let text = format!("{{\"rules\": [\n{RULE}]}}");
    assert_eq!(summary("p.json", &text), pairs(&[("", "2: 7")]));
    // What is no JSON goes to the checker of policies, which says more about it.
    let broken = format!("{{\"rules\": [\n{RULE},]}}");
    assert_eq!(summary("p.json", &broken), pairs(&[("", "2: 7")]));
}

const TERRAFORM: &str = r#"
locals {
  keep = { rules = [{ rulePriority = 1, selection = { countNumber = 7 } }] }
}
resource "aws_ecr_lifecycle_policy" "heredoc" {
  policy = <<EOF
{"rules":
  [{"countNumber": 7}]}
EOF
}
resource "aws_ecr_lifecycle_policy" "indented" {
  policy = <<-EOF
    {"rules":
      [{"countNumber": 7}]}
  EOF
}
resource "aws_ecr_lifecycle_policy" "quoted" {
  policy = "{\"rules\": [{\"countNumber\": 7}]}"
}
resource "aws_ecr_lifecycle_policy" "object" {
  policy = jsonencode({
    rules = [{ rulePriority = 1, "selection" = { countNumber : (7) } }]
  })
}
resource "aws_ecr_lifecycle_policy" "local" {
  policy = jsonencode(local.keep)
}
resource "aws_ecr_lifecycle_policy" "document" {
  policy = data.aws_ecr_lifecycle_policy_document.used.json
}
resource "aws_ecr_lifecycle_policy" "variable" {
  policy = jsonencode({ rules = [{ rulePriority = var.first }] })
}
resource "aws_ecr_lifecycle_policy" "interpolated" {
  policy = <<EOF
{"rules": [{"countNumber": ${var.keep}}]}
EOF
}
resource "aws_ecr_lifecycle_policy" "file" {
  policy = file("policy.json")
}
module "ecr" {
  source = "terraform-aws-modules/ecr/aws"
  repository_lifecycle_policy = jsonencode({ rules = [7] })
}
data "aws_ecr_lifecycle_policy_document" "used" {
  rule {
    priority = 1
    selection {
      tag_status   = "any"
      count_type   = "imageCountMoreThan"
      count_number = 7
    }
  }
}
data "aws_ecr_lifecycle_policy_document" "dynamic" {
  dynamic "rule" {
    for_each = var.rules
  }
}
resource "awscc_ecr_repository" "cc" {
  lifecycle_policy = { lifecycle_policy_text = jsonencode({ rules = [7] }) }
}
resource "aws_s3_bucket" "other" {
  policy = "x"
}
"#;

#[test]
fn terraform_configuration_in_all_its_forms() {
    let policy = "aws_ecr_lifecycle_policy.";
    let expected = [
        (format!("{policy}heredoc"), "8: 7"),
        (format!("{policy}indented"), "14: 7"),
        (format!("{policy}quoted"), "18: 7"),
        (format!("{policy}object"), "22: 7"),
        (format!("{policy}local"), "3: 7"),
        (format!("{policy}document"), "52: 7"),
        (format!("{policy}variable"), "? var.first at \"var.first\""),
        (format!("{policy}interpolated"), "? ${var.keep} at \"${var.keep}\""),
        (format!("{policy}file"), "? file(\"policy.json\") at \"file(\\\"policy.json\\\")\""),
        ("module.ecr".to_owned(), "44: 7"),
        ("awscc_ecr_repository.cc".to_owned(), "62: 7"),
    ];
    let mut found = summary("ecr.tf", TERRAFORM);
    let dynamic = found.pop().unwrap();
    assert_eq!(dynamic.0, "data.aws_ecr_lifecycle_policy_document.dynamic");
    assert!(dynamic.1.starts_with("? dynamic \"rule\" {... at"), "{}", dynamic.1);
    let expected: Vec<(String, String)> =
        expected.into_iter().map(|(label, told)| (label, told.to_owned())).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_policy_document_becomes_a_policy_that_can_be_checked() {
    let text = r#"
data "aws_ecr_lifecycle_policy_document" "d" {
  rule {
    priority    = 1
    description = "releases, and then some more of them"
    selection {
      tag_status       = "tagged"
      tag_pattern_list = ["v*"]
      count_type       = "imageCountMoreThan"
      count_number     = 7
    }
  }
}
"#;
    let found = read_text("d.tf", text, None).unwrap();
    let policy = found[0].policy.as_ref().unwrap();
    berth_lifecycle::Policy::parse(&policy.json).unwrap();
}

#[test]
fn the_mutability_of_the_repository_is_taken_over() {
    let tf = "resource \"aws_ecr_repository\" \"r\" {\n  image_tag_mutability = \"IMMUTABLE\"\n}\n\
              resource \"aws_ecr_lifecycle_policy\" \"p\" {\n  repository = aws_ecr_repository.r.name\n  policy = \"7\"\n}\n";
    let found = read_text("r.tf", tf, None).unwrap();
    assert_eq!(found[0].mutability, Some(TagMutability::immutable()));
}

#[test]
fn terraform_show_of_plans_and_states() {
    let resource = |address: &str, values: &str| {
        format!(
            "{{\"address\": \"{address}\", \"type\": \"aws_ecr_lifecycle_policy\", \"values\": {values}}}"
        )
    };
    let text = format!(
        "{{\"format_version\": \"1.2\", \"planned_values\": {{\"root_module\": {{\n\"resources\": [{},\n{}],\n\
         \"child_modules\": [{{\"resources\": [{}]}}]}}}}}}",
        resource("a.one", r#"{"policy": "{\"rules\":\n[7]}"}"#),
        resource("a.two", "{\"repository\": \"x\"}"),
        resource("module.m.a.three", r#"{"policy": "[7]"}"#),
    );
    let found = summary("plan.json", &text);
    assert_eq!(found[0], ("a.one".to_owned(), "2: 7".to_owned()));
    assert_eq!(found[1].0, "a.two");
    assert!(found[1].1.starts_with("? a policy that is known only after apply"));
    assert_eq!(found[2], ("module.m.a.three".to_owned(), "4: 7".to_owned()));
    let state = r#"{"version": 4, "terraform_version": "1.9", "resources": [{"type": "aws_ecr_lifecycle_policy",
        "name": "p", "instances": [{"attributes": {"policy": "[7]"}}]}]}"#;
    assert_eq!(summary("terraform.tfstate", state), pairs(&[("aws_ecr_lifecycle_policy.p", "2: 7")]));
    let config = r#"{"resource": {"aws_ecr_lifecycle_policy": {"p": {"policy": "{\"n\": ${var.n}}"}}}}"#;
    assert!(summary("main.tf.json", config)[0].1.starts_with("? a text with ${...} in it"));
}

#[test]
fn cloudformation_in_json_and_yaml() {
    let yaml = r#"
AWSTemplateFormatVersion: "2010-09-09"
Resources:
  Block:
    Type: AWS::ECR::Repository
    Properties:
      ImageTagMutability: IMMUTABLE
      LifecyclePolicy:
        LifecyclePolicyText: |
          {"rules":
            [7]}
  Quoted:
    Type: AWS::ECR::Repository
    Properties:
      LifecyclePolicy: {LifecyclePolicyText: "{\"rules\": [7]}"}
  Sub:
    Type: AWS::ECR::Repository
    Properties:
      LifecyclePolicy:
        LifecyclePolicyText: !Sub '{"rules": [${N}]}'
  If:
    Type: AWS::ECR::Repository
    Properties:
      LifecyclePolicy: !If [Prod, {LifecyclePolicyText: x}, !Ref "AWS::NoValue"]
  Long:
    Type: AWS::ECR::Repository
    Properties:
      LifecyclePolicy:
        LifecyclePolicyText:
          Fn::Join: ["", [a, b]]
  Template:
    Type: AWS::ECR::RepositoryCreationTemplate
    Properties:
      LifecyclePolicy: '[7]'
  None:
    Type: AWS::ECR::Repository
    Properties: {}
  Topic:
    Type: AWS::SNS::Topic
"#;
    let found = summary("template.yaml", yaml);
    let told: Vec<(&str, &str)> = found.iter().map(|(label, told)| (label.as_str(), told.as_str())).collect();
    assert_eq!(told[0], ("Block", "11: 7"));
    assert_eq!(told[1], ("Quoted", "15: 7"));
    assert!(told[2].1.starts_with("? !Sub at"), "{}", told[2].1);
    assert!(told[3].1.starts_with("? !If at"), "{}", told[3].1);
    assert!(told[4].1.starts_with("? Fn::Join at"), "{}", told[4].1);
    assert_eq!(told[5], ("Template", "34: 7"));
    assert_eq!(told.len(), 6);
    assert_eq!(
        read_text("template.yaml", yaml, None).unwrap()[0].mutability,
        Some(TagMutability::immutable())
    );
    let json = r#"{"Resources": {"R": {"Type": "AWS::ECR::Repository", "Properties":
        {"LifecyclePolicy": {"LifecyclePolicyText": "{\"rules\":[7]}"}}}}}"#;
    assert_eq!(summary("cdk.json", json), pairs(&[("R", "2: 7")]));
}

#[test]
fn pulumi_states_exports_and_previews() {
    let resource = |name: &str, policy: &str| {
        format!(
            "{{\"urn\": \"urn:pulumi:dev::shop::aws:ecr/lifecyclePolicy:LifecyclePolicy::{name}\", \
             \"type\": \"aws:ecr/lifecyclePolicy:LifecyclePolicy\", \"inputs\": {{\"policy\": {policy}}}}}"
        )
    };
    let text = format!(
        "{{\"version\": 3, \"deployment\": {{\"resources\": [\n{},\n{},\n{}]}}}}",
        resource("text", "\"{\\\"rules\\\": [7]}\""),
        resource("object", "{\"rules\": [{\"rulePriority\": 7}]}"),
        resource("unknown", "\"04da6b54-80e4-46f7-96ec-b56ff0331ba9\""),
    );
    let found = summary("stack.json", &text);
    assert_eq!(found[..2], pairs(&[("text", "2: 7"), ("object", "3: 7")]));
    assert!(found[2].1.starts_with("? a value that Pulumi does not know before the update"));
    let preview = format!(
        "{{\"steps\": [{{\"op\": \"update\", \"oldState\": {0}, \"newState\": {0}}}]}}",
        resource("p", "\"[7]\"")
    );
    assert_eq!(summary("preview.json", &preview).len(), 1);
}

#[test]
fn what_is_wrong_is_told_with_file_and_place() {
    for (name, text, message) in [
        ("x.tf", "resource \"a\" {", "x.tf:1:"),
        ("x.json", "{\n  \"Resources\": {,}\n}", "x.json:2:17: a key in double quotes is expected here"),
        ("x.yaml", "Resources:\n  a: [", "x.yaml:"),
        ("x.yaml", "", "x.yaml:1:1: the file is empty"),
        ("x.json", "{\"a\": 1}", "x.json: this is no kind of file that is known here; --format names one"),
    ] {
        let error = read_text(name, text, None).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn a_format_can_be_forced() {
    let text = "{\"a\": 1}";
    assert_eq!(read_text("x", text, Some(Format::Policy)).unwrap().len(), 1);
    assert!(read_text("x", text, Some(Format::Pulumi)).unwrap().is_empty());
    assert!(read_text("x", "locals {}\n", Some(Format::Terraform)).unwrap().is_empty());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_a_reader_panic(text in "[\\[\\]{}:,\"'=<>&*!#$% \n\\\\abE-]{0,80}") {
        for format in [Format::Terraform, Format::TerraformJson, Format::Cloudformation, Format::Pulumi] {
            let _ = read_text("x", &text, Some(format));
        }
    }

    /// One byte of good configuration is replaced, which reaches deeper than random text.
    #[test]
    fn no_damage_makes_the_terraform_reader_panic(at in 0_usize..300, byte in 32_u8..127) {
        let mut text = b"resource \"aws_ecr_lifecycle_policy\" \"p\" {\n  policy = jsonencode({ rules = [{ a = 1, \"b\" = [true, null] }] })\n}\n\
            resource \"aws_ecr_lifecycle_policy\" \"q\" {\n  policy = <<-EOF\n    {\"rules\": [\"\\u00e4 ${var.x}\"]}\n  EOF\n}\n".to_vec();
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Ok(found) = read_text("x.tf", &text, None) {
            for policy in found.iter().filter_map(|one| one.policy.as_ref().ok()) {
                for place in 0..policy.json.len() {
                    let outer = policy.outer(&(place..place + 1));
                    proptest::prop_assert!(outer.end <= text.len());
                }
            }
        }
    }
}
