//! The published corpus through the program: every evaluation case as a listing of `describe-images`, every policy text as
//! a file.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::Sandbox;

/// 2026-01-01T00:00:00Z, from where every case looks.
const NOW_MILLIS: f64 = 1_767_225_600_000.0;
const DAY_MILLIS: f64 = 24.0 * 60.0 * 60.0 * 1000.0;

const EVALUATION: [&str; 2] = [
    include_str!("../../../berth-lifecycle/tests/vectors/evaluation-base.json"),
    include_str!("../../../berth-lifecycle/tests/vectors/evaluation-more.json"),
];
const VALIDATION: [&str; 2] = [
    include_str!("../../../berth-lifecycle/tests/vectors/validation-base.json"),
    include_str!("../../../berth-lifecycle/tests/vectors/validation-more.json"),
];

fn cases(files: [&str; 2]) -> Vec<Value> {
    files.iter().flat_map(|text| serde_json::from_str::<Vec<Value>>(text).unwrap()).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Digests by the names that a case has for its images.
struct Names {
    digests: BTreeMap<String, String>,
}

impl Names {
    fn of(case: &Value) -> Self {
        let digests = list(case, "images").iter().map(|image| {
            // The corpus of the library gives images without a digest one that is made from their name; ties on the time
            // of push are broken by digest, so the same is needed here.
            let id = image["id"].as_str().unwrap();
            let digest = image["digest"].as_str().map_or_else(|| sha256(id), str::to_owned);
            (id.to_owned(), digest)
        });
        Self { digests: digests.collect() }
    }

    fn digest(&self, id: &Value) -> String {
        let id = id.as_str().unwrap();
        self.digests.get(id).cloned().unwrap_or_else(|| sha256(id))
    }
}

fn sha256(text: &str) -> String {
    berth_types::Digest::sha256(text.as_bytes()).to_string()
}

/// A time in the three forms in which the API and its clients print it, by turns.
fn moment(days_ago: &Value, form: usize) -> Value {
    let Some(days) = days_ago.as_f64() else { return Value::Null };
    #[expect(clippy::cast_possible_truncation, reason = "test data, rounded to milliseconds")]
    let millis = NOW_MILLIS as i64 - (days * DAY_MILLIS).round() as i64;
    let time = jiff::Timestamp::from_millisecond(millis).unwrap();
    match form % 3 {
        0 => json!(time.to_string()),
        1 => json!(time.strftime("%Y-%m-%dT%H:%M:%S%.3f+00:00").to_string()),
        _ => serde_json::from_str(&format!("{}.{:03}", millis / 1000, millis % 1000)).unwrap(),
    }
}

fn describe_images(case: &Value, names: &Names) -> Value {
    let details = list(case, "images").iter().enumerate().map(|(place, image)| {
        let status = match image["storage_class"].as_str() {
            Some("archive") => "ARCHIVED",
            Some("activating") => "ACTIVATING",
            _ => "ACTIVE",
        };
        let media = match image["media"].as_str() {
            Some("index") => "application/vnd.oci.image.index.v1+json",
            _ => "application/vnd.oci.image.manifest.v1+json",
        };
        let mut detail = json!({
            "registryId": "123456789012",
            "repositoryName": "corpus",
            "imageDigest": names.digest(&image["id"]),
            "imageTags": image["tags"],
            "imagePushedAt": moment(&image["pushed_days_ago"], place),
            "imageStatus": status,
            "imageManifestMediaType": media,
            "lastRecordedPullTime": moment(&image["last_pulled_days_ago"], place),
            "lastArchivedAt": moment(&image["last_archived_days_ago"], place),
            "lastActivatedAt": moment(&image["last_activated_days_ago"], place),
        });
        let references: Vec<String> = list(image, "references").iter().map(|id| names.digest(id)).collect();
        if !references.is_empty() {
            detail["references"] = json!(references);
        }
        if !image["subject"].is_null() {
            detail["subjectManifestDigest"] = json!(names.digest(&image["subject"]));
        }
        detail
    });
    json!({"imageDetails": details.collect::<Vec<_>>()})
}

/// The expectation of a case in the words of the program's answer, without reasons.
fn expected(case: &Value, names: &Names) -> Value {
    let expected = &case["expected"];
    let acted = |key: &str| -> Vec<Value> {
        list(expected, key)
            .iter()
            .map(|one| json!({"digest": names.digest(&one["image"]), "rule": one["rule"]}))
            .collect()
    };
    let blocked = list(expected, "blocked")
        .iter()
        .map(|one| json!({"digest": names.digest(&one["image"]), "rule": one["rule"], "code": one["code"]}));
    let cascaded = list(expected, "cascaded")
        .iter()
        .map(|one| json!({"digest": names.digest(&one["image"]), "subject": names.digest(&one["subject"])}));
    sorted(json!({
        "expired": acted("expired"),
        "archived": acted("archived"),
        "kept": list(expected, "kept").iter().map(|id| json!({"digest": names.digest(id)})).collect::<Vec<_>>(),
        "blocked": blocked.collect::<Vec<_>>(),
        "cascaded": cascaded.collect::<Vec<_>>(),
    }))
}

/// Without reasons and tags, which the corpus does not have, and each list in a fixed order.
fn sorted(mut answer: Value) -> Value {
    for (_, list) in answer.as_object_mut().unwrap() {
        let list = list.as_array_mut().unwrap();
        for one in list.iter_mut() {
            one.as_object_mut().unwrap().retain(|key, _| key != "reason" && key != "tags");
        }
        list.sort_by_key(ToString::to_string);
    }
    answer
}

#[test]
fn every_evaluation_case_is_decided_as_written() {
    let sandbox = Sandbox::new();
    let cases = cases(EVALUATION);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let names = Names::of(case);
        // The text limits are no part of these cases, so the rules may stand without descriptions.
        sandbox.write("policy.json", &format!("{:#}{:120}", case["policy"], ""));
        sandbox.write("images.json", &describe_images(case, &names).to_string());
        let arguments = ["lifecycle", "simulate", "--policy", "policy.json", "--images", "images.json"];
        let output = sandbox.run(&[&arguments[..], &["--at", "2026-01-01T00:00:00Z", "--json"]].concat());
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        for kept in list(&answer, "kept").iter().chain(list(&answer, "expired")) {
            assert!(!kept["reason"].as_str().unwrap().is_empty(), "{name}");
        }
        assert_eq!(sorted(answer), expected(case, &names), "{name}");
    }
    assert!(cases.len() >= 95, "{} cases", cases.len());
}

#[test]
fn every_policy_text_is_accepted_or_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("images.json", "[]");
    let cases = cases(VALIDATION);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        sandbox.write("policy.json", case["policy_text"].as_str().unwrap());
        let arguments =
            ["lifecycle", "simulate", "--policy", "policy.json", "--images", "images.json", "--json"];
        let output = sandbox.run(&arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        if case["valid"].as_bool().unwrap() {
            assert_eq!(output.status.code(), Some(0), "{name}: {stderr}");
            continue;
        }
        assert_eq!(output.status.code(), Some(1), "{name}");
        assert!(output.stdout.is_empty(), "{name}");
        if let Some(part) = case["message_contains"].as_str().or(case["message"].as_str()) {
            assert!(stderr.contains(part), "{name}: {stderr}");
        }
        assert!(stderr.starts_with("error: Invalid parameter at 'LifecyclePolicyText'"), "{name}: {stderr}");
        let linted = sandbox.run(&["lifecycle", "lint", "--json", "--format", "policy", "policy.json"]);
        assert_eq!(linted.status.code(), Some(1), "{name}");
        let findings: Value = serde_json::from_slice(&linted.stdout).unwrap();
        let id = findings["findings"][0]["id"].as_str().unwrap();
        assert_eq!(case["clause"].as_str().unwrap_or(id), id, "{name}");
    }
    assert!(cases.len() >= 120, "{} cases", cases.len());
}
