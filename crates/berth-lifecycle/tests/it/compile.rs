//! Intents to policies, and the promise they make.

use berth_lifecycle::{
    CompileError, Compiled, Image, ImageStorage, Outcome, Policy, Retention, as_written, compile, evaluate,
    mission_default,
};
use berth_types::WildcardPattern;
use proptest::prelude::*;

use crate::random::{plain_image, unrelated};
use crate::support::{DAY, NOW, image};

fn keep(any_of: &[&str], last: u32) -> Retention {
    Retention {
        any_of: any_of.iter().map(|&pattern| pattern.to_owned()).collect(),
        keep_last: Some(last),
        ..Retention::default()
    }
}

fn days(any_of: &[&str], days: u32) -> Retention {
    Retention { keep_last: None, expire_after_days: Some(days), ..keep(any_of, 1) }
}

fn untagged(days: u32) -> Retention {
    Retention { untagged: true, expire_after_days: Some(days), ..Retention::default() }
}

/// One line for each rule.
fn outline(Compiled { policy, origin, warnings }: &Compiled) -> String {
    let mut lines = Vec::new();
    for (rule, origin) in policy.rules().iter().zip(origin) {
        assert_eq!(rule.priority, origin.priority);
        let value = serde_json::to_value(rule).unwrap();
        let selection = &value["selection"];
        let list = ["tagPatternList", "tagPrefixList"].iter().find_map(|key| selection.get(*key));
        lines.push(format!(
            "{} {} {} {} <- {:?} | {}",
            rule.priority,
            list.map_or_else(|| "untagged".to_owned(), ToString::to_string),
            selection["countType"].as_str().unwrap(),
            selection["countNumber"],
            origin.retentions,
            rule.description.as_deref().unwrap_or("-"),
        ));
    }
    lines.extend(warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

#[test]
fn the_default_retentions_become_twelve_rules() {
    insta::assert_snapshot!(outline(&compile(&mission_default()).unwrap()));
}

#[test]
fn the_default_retentions_as_written_are_three_rules() {
    let compiled = as_written(&mission_default()).unwrap();
    let text = r#"{"rules": [
        {"rulePriority": 1, "description": "Keep last 20 version-tagged images (v*, sha-*)", "selection": {"tagStatus":
         "tagged", "tagPrefixList": ["v", "sha-"], "countType": "imageCountMoreThan", "countNumber": 20},
         "action": {"type": "expire"}},
        {"rulePriority": 2, "description": "Keep last 5 branch-tagged images (latest, main, dev)", "selection":
         {"tagStatus": "tagged", "tagPrefixList": ["latest", "main", "dev"], "countType": "imageCountMoreThan",
         "countNumber": 5}, "action": {"type": "expire"}},
        {"rulePriority": 3, "description": "Delete untagged images older than 7 days", "selection": {"tagStatus":
         "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 7},
         "action": {"type": "expire"}}]}"#;
    assert_eq!(compiled.policy, Policy::parse(text).unwrap());
    insta::assert_snapshot!(outline(&compiled));
}

#[test]
fn the_rules_of_other_intents() {
    for (name, retentions) in [
        ("one_of_each", vec![keep(&["v*"], 5), days(&["dev*"], 30), untagged(7)]),
        ("three_counts", vec![keep(&["v*"], 5), keep(&["main*"], 3), keep(&["*-rc*"], 2)]),
        ("ages_only", vec![days(&["dev*", "pr-*"], 7), days(&["main*"], 30)]),
        ("shared_alternative", vec![keep(&["v*", "release"], 5), keep(&["v*"], 9)]),
        ("nested_patterns", vec![keep(&["v1*"], 5), keep(&["v*"], 9)]),
        ("redundant_alternatives", vec![keep(&["v*", "v1*", "v*", "v**"], 5)]),
    ] {
        insta::assert_snapshot!(name, outline(&compile(&retentions).unwrap()));
    }
    let literal = as_written(&[keep(&["v*", "*-rc"], 5), keep(&["*"], 5)]).unwrap();
    insta::assert_snapshot!("as_written_patterns", outline(&literal));
}

#[test]
fn intents_that_cannot_be_compiled_say_what_to_change() {
    let both = Retention { untagged: true, ..keep(&["v*"], 5) };
    let neither = Retention { any_of: vec![], ..keep(&[], 5) };
    let measures = Retention { expire_after_days: Some(3), ..keep(&["v*"], 5) };
    let no_measure = Retention { keep_last: None, ..keep(&["v*"], 5) };
    let many: Vec<String> = (0..8).map(|number| format!("p{number}-*")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let other: Vec<String> = (0..8).map(|number| format!("q{number}-*")).collect();
    let other: Vec<&str> = other.iter().map(String::as_str).collect();
    let hundreds: Vec<Retention> = (0..60).map(|number| keep(&[&format!("p{number}-*")], 5)).collect();
    let mut messages = Vec::new();
    for retentions in [
        vec![],
        vec![both],
        vec![neither],
        vec![untagged(1), measures],
        vec![no_measure],
        vec![keep(&["v*"], 0)],
        vec![days(&["v*"], u32::MAX)],
        vec![keep(&[""], 1)],
        vec![keep(&["*a*b*c*d*"], 1)],
        vec![untagged(1), keep(&["v*"], 1), untagged(2)],
        vec![keep(&many, 1), keep(&other, 1)],
        hundreds,
    ] {
        messages.push(compile(&retentions).unwrap_err().to_string());
    }
    insta::assert_snapshot!(messages.join("\n"));
    assert!(matches!(as_written(&[]), Err(CompileError::Empty)));
    let twice = as_written(&[keep(&["v*"], 1), keep(&["v*"], 2)]);
    assert!(matches!(twice, Err(CompileError::Policy(_))), "{twice:?}");
}

#[test]
fn a_version_that_is_also_latest_is_kept_by_either_promise() {
    let policy = compile(&mission_default()).unwrap().policy;
    // 30 younger versions, but no younger `latest`.
    let mut images = vec![image("old", &["v0", "latest"], 90.0)];
    images.extend(
        (1..=30).map(|number| image(&format!("v{number}"), &[&format!("v{number}")], f64::from(number))),
    );
    let evaluation = evaluate(&policy, &images, NOW);
    assert_eq!(evaluation.decisions[0].outcome, Outcome::Keep);
    let gone = evaluation.decisions.iter().filter(|decision| decision.outcome != Outcome::Keep).count();
    assert_eq!(gone, 10);
}

#[test]
fn of_25_versions_the_compiled_policy_takes_5_and_the_literal_one_none() {
    let images: Vec<Image> = (1..=25)
        .map(|number| image(&format!("v{number}"), &[&format!("v{number}")], f64::from(100 - number)))
        .collect();
    let gone = |policy: &Policy| {
        let decisions = evaluate(policy, &images, NOW).decisions;
        decisions.iter().map(|decision| decision.outcome != Outcome::Keep).collect::<Vec<_>>()
    };
    let compiled = gone(&compile(&mission_default()).unwrap().policy);
    assert_eq!(compiled, [[true; 5].as_slice(), &[false; 20]].concat());
    assert_eq!(gone(&as_written(&mission_default()).unwrap().policy), [false; 25]);
}

/// What the documents say an intent keeps, image by image.
fn kept_by(retention: &Retention, images: &[Image]) -> Vec<bool> {
    let is_about = |image: &Image| {
        let fits = |pattern: &String| {
            let pattern = WildcardPattern::new(pattern);
            image.tags.iter().any(|tag| pattern.matches(tag.as_str()))
        };
        if retention.untagged { image.tags.is_empty() } else { retention.any_of.iter().any(fits) }
    };
    let key = |image: &Image| (image.pushed_at, image.digest);
    let mut kept = Vec::new();
    for image in images {
        let younger = images.iter().filter(|other| is_about(other) && key(other) > key(image)).count();
        let age = NOW.millis() - image.pushed_at.millis();
        let holds = match (retention.keep_last, retention.expire_after_days) {
            (Some(last), _) => younger < last as usize,
            (None, Some(days)) => age <= i64::from(days) * DAY,
            (None, None) => false,
        };
        kept.push(is_about(image) && holds);
    }
    kept
}

fn retention() -> impl Strategy<Value = Retention> {
    const PATTERNS: [&str; 10] =
        ["v*", "v1*", "*v1", "sha-*", "latest*", "main*", "dev*", "*a", "a*", "m*-*1"];
    let measure = prop_oneof![
        (1_u32..4).prop_map(|last| (Some(last), None)),
        (1_u32..100).prop_map(|days| (None, Some(days)))
    ];
    let any_of = proptest::sample::subsequence(&PATTERNS[..], 1..=3).prop_shuffle();
    (any_of, measure, proptest::bool::weighted(0.1)).prop_map(
        |(any_of, (keep_last, expire_after_days), untagged)| {
            let any_of = if untagged { Vec::new() } else { any_of.into_iter().map(str::to_owned).collect() };
            Retention { description: None, any_of, untagged, keep_last, expire_after_days }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, max_global_rejects: 100_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_an_intent_keeps_the_policy_keeps(
        retentions in proptest::collection::vec(retention(), 1..=4),
        images in unrelated(plain_image(), 16),
    ) {
        prop_assume!(images.iter().all(|image| image.storage == ImageStorage::Standard));
        let Ok(Compiled { policy, origin, .. }) = compile(&retentions) else {
            let untagged = retentions.iter().filter(|retention| retention.untagged).count();
            prop_assume!(untagged < 2);
            // Four intents of three alternatives can need more than fifty rules.
            prop_assert!(retentions.len() > 2);
            return Ok(());
        };
        prop_assert_eq!(policy.rules().len(), origin.len());
        let evaluation = evaluate(&policy, &images, NOW);
        for retention in &retentions {
            for (place, is_kept) in kept_by(retention, &images).into_iter().enumerate() {
                let outcome = evaluation.decisions[place].outcome;
                prop_assert!(!is_kept || outcome == Outcome::Keep, "{:?} of {retention:?}", images[place]);
            }
        }
    }

    /// The other direction: what no intent keeps goes, unless ECR cannot say it.
    #[test]
    fn a_single_alternative_keeps_no_more(retention in retention(), images in unrelated(plain_image(), 16)) {
        prop_assume!(retention.any_of.len() < 2);
        let policy = compile(std::slice::from_ref(&retention)).unwrap().policy;
        let evaluation = evaluate(&policy, &images, NOW);
        for (place, is_kept) in kept_by(&retention, &images).into_iter().enumerate() {
            let decision = evaluation.decisions[place];
            let is_about = evaluation.rules[0].matched > 0 && decision.why != berth_lifecycle::Why::NoRuleMatches;
            prop_assert_eq!(decision.outcome == Outcome::Keep, is_kept || !is_about);
        }
    }
}
