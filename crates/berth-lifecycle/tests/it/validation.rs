//! Every policy text of the corpus, and what the errors look like.

use std::collections::BTreeSet;

use berth_lifecycle::Policy;
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    name: String,
    valid: bool,
    policy_text: String,
    /// A part of the message that must be there.
    message_contains: Option<String>,
    /// The clause of the first violation.
    clause: Option<String>,
    /// The place of the first violation.
    pointer: Option<String>,
    /// The detail inside the shell, whole.
    message: Option<String>,
}

const FILES: [&str; 2] =
    [include_str!("../vectors/validation-base.json"), include_str!("../vectors/validation-more.json")];

fn cases() -> Vec<Case> {
    FILES.iter().flat_map(|text| serde_json::from_str::<Vec<Case>>(text).unwrap()).collect()
}

fn shell(clause: &str) -> &'static str {
    match clause {
        "V1" => "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: '",
        "V2" => {
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy parsing \
             failure: "
        }
        _ => {
            "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation \
             failure: "
        }
    }
}

#[test]
fn every_text_is_accepted_or_refused_in_the_documented_words() {
    for case in cases() {
        let name = &case.name;
        let error = match Policy::parse(&case.policy_text) {
            Ok(policy) => {
                assert!(case.valid, "{name} was accepted");
                assert_eq!(Policy::parse(&policy.to_canonical_json()).as_ref(), Ok(&policy), "{name}");
                assert_eq!(Policy::from_rules(policy.rules().to_vec()).as_ref(), Ok(&policy), "{name}");
                continue;
            }
            Err(error) => error,
        };
        assert!(!case.valid, "{name} was refused: {error}");
        let first = &error.violations()[0];
        if let Some(part) = &case.message_contains {
            assert!(error.aws_message().contains(part), "{name}: {error}");
        }
        if let (Some(clause), Some(pointer), Some(message)) = (&case.clause, &case.pointer, &case.message) {
            assert_eq!((first.clause.id(), &first.pointer), (clause.as_str(), pointer), "{name}");
            assert_eq!(error.aws_message(), format!("{}{message}'", shell(clause)), "{name}");
        }
        assert!(error.api_message().starts_with(&error.aws_message()), "{name}");
        for violation in error.violations() {
            assert!(!violation.hint.is_empty(), "{name}");
            if let Some(span) = &violation.span {
                assert!(case.policy_text.get(span.clone()).is_some(), "{name}: {span:?}");
            }
        }
    }
}

#[test]
fn the_corpus_covers_every_clause() {
    let cases = cases();
    let covered: BTreeSet<String> = cases.iter().filter_map(|case| case.clause.clone()).collect();
    for number in 1..=22 {
        // V3 has its own text, V2 and V10 several; each is named by at least one case.
        assert!(covered.contains(&format!("V{number}")), "V{number}");
    }
    assert!(cases.len() >= 120, "{} cases", cases.len());
}

#[test]
fn an_error_names_all_that_is_wrong_and_where() {
    let text = r#"{"rules": [
  {"rulePriority": 1, "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 0},
   "action": {"type": "Expire"}},
  {"rulePriority": 2, "selection": {"tagStatus": "tagged", "tagPrefixList": null, "countType": "sinceImagePushed",
   "countNumber": 3}, "action": {"type": "expire"}},
  {"rulePriority": 3, "selection": {"tagStatus": "tagged", "tagPatternList": ["*a*b*c*d*"],
   "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 3}, "action": {"type": "expire"}}
]}"#;
    let error = Policy::parse(text).unwrap_err();
    insta::assert_snapshot!(error.api_message());
    let places: Vec<&str> =
        error.violations().iter().map(|violation| &text[violation.span.clone().unwrap()]).collect();
    assert_eq!(places[0], "0");
    assert_eq!(places[1], "\"Expire\"");
    assert_eq!(places[2], "null");
    assert_eq!(places.last(), Some(&"\"*a*b*c*d*\""));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in r#"[\[\]{}:,"0-9a-z \\ä]{0,200}"#) {
        let _ = Policy::parse(&text);
    }

    /// One byte of a good policy is replaced, which reaches deeper than random text.
    #[test]
    fn no_damage_makes_the_parser_panic(at in 0_usize..400, byte in 32_u8..127) {
        let mut text = include_str!("../vectors/policy.json").as_bytes().to_vec();
        let at = at % text.len();
        text[at] = byte;
        let text = String::from_utf8(text).unwrap();
        if let Err(error) = Policy::parse(&text) {
            proptest::prop_assert!(!error.aws_message().is_empty());
            for violation in error.violations() {
                proptest::prop_assert!(violation.span.clone().is_none_or(|span| text.get(span).is_some()));
            }
        }
    }
}
