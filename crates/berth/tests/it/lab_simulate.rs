//! `berth lifecycle simulate`, `explain` and `test`, and `berth cost`, on files.

use insta::assert_snapshot;
use serde_json::{Value, json};

use crate::lab_lint::THREE_RULES;
use crate::support::Sandbox;

const VERSIONS: &str = r#"{"rules": [
  {"rulePriority": 1, "description": "Keep last 20 versions",
   "selection": {"tagStatus": "tagged", "tagPatternList": ["v*"], "countType": "imageCountMoreThan", "countNumber": 20},
   "action": {"type": "expire"}},
  {"rulePriority": 2, "description": "Delete untagged images after 7 days",
   "selection": {"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
   "action": {"type": "expire"}}
]}
"#;

fn digest(name: &str) -> String {
    berth_types::Digest::sha256(name.as_bytes()).to_string()
}

fn day(number: usize) -> String {
    let start: jiff::civil::Date = "2025-11-01".parse().unwrap();
    let days = i64::try_from(number).unwrap();
    format!("{}T10:00:00Z", start + jiff::SignedDuration::from_hours(24 * days))
}

/// 25 versions, an index with two untagged children, a signature, and an untagged image.
fn images() -> Value {
    let image = |name: &str, tags: &[&str], day_number: usize, mebibytes: u64| {
        json!({"repositoryName": "shop/api", "imageDigest": digest(name), "imageTags": tags,
               "imagePushedAt": day(day_number), "imageSizeInBytes": mebibytes << 20})
    };
    let mut details: Vec<Value> =
        (1..=25).map(|number| image(&format!("v{number}"), &[&format!("v{number}")], number, 100)).collect();
    let mut index = image("index", &["multi"], 2, 90);
    index["imageManifestMediaType"] = json!("application/vnd.oci.image.index.v1+json");
    index["references"] = json!([digest("amd64"), digest("arm64")]);
    let mut signature = image("signature", &[], 1, 0);
    signature["subjectManifestDigest"] = json!(digest("v1"));
    details.extend([
        index,
        image("amd64", &[], 2, 90),
        image("arm64", &[], 2, 80),
        signature,
        image("failed build", &[], 3, 50),
    ]);
    json!({"imageDetails": details})
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("policy.json", VERSIONS);
    sandbox.write("three.json", THREE_RULES);
    sandbox.write("images.json", &images().to_string());
    sandbox
}

const INPUTS: [&str; 6] =
    ["--policy", "policy.json", "--images", "images.json", "--at", "2025-12-01T00:00:00Z"];

fn simulate(sandbox: &Sandbox, more: &[&str]) -> String {
    sandbox.berth(&[&["lifecycle", "simulate"], &INPUTS[..], more].concat())
}

#[test]
fn a_simulation_says_what_goes_and_when() {
    assert_snapshot!(simulate(&sandbox(), &[]));
}

#[test]
fn a_simulation_for_programs_has_its_fixed_members() {
    let sandbox = sandbox();
    let output = sandbox.run(&[&["lifecycle", "simulate", "--json"], &INPUTS[..]].concat());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let members: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(members, ["archived", "blocked", "cascaded", "expired", "kept"]);
    assert_eq!(answer["expired"][0]["tags"], json!(["v1"]), "the oldest first");
    assert_eq!(answer["blocked"].as_array().unwrap().len(), 2);
    assert_eq!(answer["cascaded"], json!([{"digest": digest("signature"), "subject": digest("v1")}]));
    assert_eq!(answer["kept"].as_array().unwrap().len(), 23);
}

#[test]
fn policies_are_compared_on_the_same_images() {
    let sandbox = sandbox();
    assert_snapshot!(simulate(&sandbox, &["--compare", "three.json"]));
    let output =
        sandbox.run(&[&["lifecycle", "simulate", "--json", "--compare", "three.json"], &INPUTS[..]].concat());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["compared"].as_array().unwrap().len(), 6);
}

#[test]
fn a_simulation_runs_forward_in_time() {
    let more =
        ["--until", "2026-03-01", "--push-rate", "1/day", "--tag-pattern", "v2.*", "--tag-pattern", "latest"];
    assert_snapshot!(simulate(&sandbox(), &more));
}

#[test]
fn an_image_is_explained_across_all_rules() {
    let sandbox = sandbox();
    for (name, image) in [
        ("version", "v3"),
        ("newest", "v25"),
        ("child", &digest("amd64")),
        ("signature", &digest("signature")[7..20]),
    ] {
        let answer = sandbox.berth(&[&["lifecycle", "explain", image], &INPUTS[..]].concat());
        assert_snapshot!(format!("explain_{name}"), answer);
    }
    let output = sandbox.run(&[&["lifecycle", "explain", "v3", "--json"], &INPUTS[..]].concat());
    insta::assert_json_snapshot!(serde_json::from_slice::<Value>(&output.stdout).unwrap());
    assert_snapshot!(sandbox.berth(&[&["lifecycle", "explain", "v99"], &INPUTS[..]].concat()));
}

#[test]
fn expectations_are_kept_or_told_as_a_difference() {
    let sandbox = sandbox();
    let good = r#"policy = "policy.json"

[[case]]
name   = "a release survives a year without pushes"
image  = { tags = ["v1.4.0"], pushed = "400 days ago" }
expect = "kept by 1"

[[case]]
name   = "the oldest of 26 goes"
image  = { tags = ["v1.4.0"], pushed = "400 days ago" }
newer  = { count = 25, tags = ["v*"] }
expect = "expired by 1"

[[case]]
name   = "other pushes do not count"
image  = { tags = ["v1.4.0"], pushed = "400 days ago" }
newer  = [{ count = 19, tags = ["v*"] }, { count = 500, tags = ["pr-*"] }]
older  = { count = 3, tags = ["v*"] }
expect = "kept"

[[case]]
name   = "a platform of a multi-platform image stays"
image  = { pushed = "30 days ago", in_index = true }
expect = "blocked from 2"
"#;
    sandbox.write("good.toml", good);
    assert_snapshot!(sandbox.berth(&["lifecycle", "test", "good.toml"]));
    sandbox
        .write("bad.toml", &good.replace("\"expired by 1\"", "\"kept\"").replace("kept by 1", "kept by 2"));
    assert_snapshot!(sandbox.berth(&["lifecycle", "test", "bad.toml"]));
    let output = sandbox.run(&["lifecycle", "test", "--json", "bad.toml", "good.toml"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&answer["passed"], &answer["files"][0]["cases"][1]["passed"]),
        (&json!(false), &json!(false))
    );
    sandbox.write("wrong.toml", "policy = \"policy.json\"\n[[case]]\nname = \"x\"\nimage = { pushed = \"once\" }\nexpect = \"kept\"\n");
    assert_snapshot!(sandbox.berth(&["lifecycle", "test", "wrong.toml"]));
}

#[test]
fn costs_are_told_for_now_for_after_and_for_a_year() {
    let sandbox = sandbox();
    let arguments =
        ["cost", "--images", "images.json", "--policy", "policy.json", "--at", "2025-12-01T00:00:00Z"];
    assert_snapshot!(
        sandbox.berth(&[&arguments[..], &["--push-rate", "2/day", "--transfer-out", "40"]].concat())
    );
    sandbox.write("prices.toml", "storage_gb_month = 0.20\nscan = 0.0\n");
    let output = sandbox.run(&[&arguments[..], &["--prices", "prices.toml", "--json"]].concat());
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["prices"]["storage_gb_month"], json!(0.2));
    let now = &answer["repositories"][0]["now"];
    assert_eq!(now["bytes"], json!(2720_u64 << 20));
    assert!((now["dollars_per_month"].as_f64().unwrap() - 2720.0 / 1024.0 * 0.2).abs() < 1e-9);
}

#[test]
fn wrong_calls_and_bad_inputs_fail_without_an_answer() {
    let sandbox = sandbox();
    sandbox.write("broken.json", "{\"imageDetails\": [\n  {\"imageDigest\": \"sha256:1\"}\n]}");
    sandbox.write("prices.toml", "storage = 1\n");
    let with = |policy: &'static str, images: &'static str| {
        ["lifecycle", "simulate", "--policy", policy, "--images", images]
    };
    for (name, arguments) in [
        ("images", with("policy.json", "broken.json").to_vec()),
        ("no_images", with("policy.json", "missing.json").to_vec()),
        ("not_a_policy", with("images.json", "images.json").to_vec()),
        ("prices", vec!["cost", "--images", "images.json", "--prices", "prices.toml"]),
        ("past", [&["lifecycle", "simulate", "--until", "2020-01-01"], &INPUTS[..]].concat()),
        (
            "rate",
            [&["lifecycle", "simulate", "--until", "2027-01-01", "--push-rate", "5/year"], &INPUTS[..]]
                .concat(),
        ),
        ("nothing", vec!["lifecycle", "simulate"]),
    ] {
        assert_snapshot!(format!("wrong_{name}"), sandbox.berth(&arguments));
    }
}
