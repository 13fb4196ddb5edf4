//! Every evaluation case of the corpus.

use berth_lifecycle::{Departure, Outcome, evaluate, explain};

use crate::naive;
use crate::support::{Case, NOW};

const FILES: [&str; 2] =
    [include_str!("../vectors/evaluation-base.json"), include_str!("../vectors/evaluation-more.json")];

fn cases() -> Vec<Case> {
    FILES.iter().flat_map(|text| serde_json::from_str::<Vec<Case>>(text).unwrap()).collect()
}

#[test]
fn every_case_is_decided_as_written() {
    let cases = cases();
    for case in &cases {
        let (policy, images) = (case.policy(), case.images());
        let evaluation = evaluate(&policy, &images, NOW);
        assert_eq!(case.observed(&evaluation), case.expected(), "{}", case.name);
        let outcomes: Vec<Outcome> = evaluation.decisions.iter().map(|decision| decision.outcome).collect();
        assert_eq!(naive::outcomes(&policy, &images, NOW), outcomes, "{}", case.name);
        for (place, decision) in evaluation.decisions.iter().enumerate() {
            let explanation = explain(&policy, &images, NOW, place).unwrap();
            assert_eq!(explanation.decision, *decision, "{}", case.name);
            let acts = matches!(decision.outcome, Outcome::Expire { .. } | Outcome::Archive { .. });
            assert_eq!(decision.departure == Departure::Now, acts, "{}", case.name);
        }
    }
    assert!(cases.len() >= 95, "{} cases", cases.len());
}

#[test]
fn no_two_cases_have_the_same_name() {
    let mut names: Vec<String> = cases().into_iter().map(|case| case.name).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
