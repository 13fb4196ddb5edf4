//! What must hold for every policy and every repository.

use std::collections::BTreeMap;

use berth_lifecycle::{Decision, Departure, Evaluation, Image, Outcome, Policy, Why, evaluate, explain};
use berth_types::{Digest, Timestamp};
use proptest::prelude::*;

use crate::naive;
use crate::random::{image, plain_image, policy, repository, unrelated};
use crate::support::NOW;

/// Decisions by digest, with places turned into digests, so that two orders can be compared.
fn by_digest(images: &[Image], evaluation: &Evaluation) -> BTreeMap<Digest, String> {
    let text = |decision: &Decision| {
        let mut text = format!("{decision:?}");
        if let Outcome::Blocked { parent: place, .. } | Outcome::Cascade { subject: place, .. } =
            decision.outcome
        {
            text = format!("{text} {}", images[place].digest);
        }
        if let Departure::AfterParent(place) | Departure::WithSubject(place) = decision.departure {
            text = format!("{text} {}", images[place].digest);
        }
        // The places themselves differ from order to order.
        text.split(['{', '}', ',', ' ', '(', ')'])
            .scan(false, |is_place, word| {
                let skip = std::mem::replace(
                    is_place,
                    matches!(word, "parent:" | "subject:" | "AfterParent" | "WithSubject"),
                );
                Some(if skip { "" } else { word })
            })
            .collect::<Vec<_>>()
            .join(" ")
    };
    images.iter().map(|image| image.digest).zip(evaluation.decisions.iter().map(text)).collect()
}

fn goes(decision: &Decision) -> bool {
    !matches!(decision.outcome, Outcome::Keep | Outcome::Blocked { .. })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(25_000))]

    /// 100,000 repositories, four for each policy, since valid policies are dear to make.
    #[test]
    fn two_evaluators_agree(policy in policy(), repositories in proptest::array::uniform4(repository(10))) {
        for images in repositories {
            let evaluation = evaluate(&policy, &images, NOW);
            let outcomes: Vec<Outcome> = evaluation.decisions.iter().map(|decision| decision.outcome).collect();
            prop_assert_eq!(outcomes, naive::outcomes(&policy, &images, NOW));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn the_order_of_the_input_is_nothing(
        policy in policy(),
        (images, shuffled) in repository(14).prop_flat_map(|images| (Just(images.clone()), Just(images).prop_shuffle())),
    ) {
        let (first, second) = (evaluate(&policy, &images, NOW), evaluate(&policy, &shuffled, NOW));
        prop_assert_eq!(by_digest(&images, &first), by_digest(&shuffled, &second));
        prop_assert_eq!(&first.rules, &second.rules);
        prop_assert_eq!(evaluate(&policy, &images, NOW), first);
    }

    #[test]
    fn the_figures_of_the_rules_add_up(policy in policy(), images in repository(14)) {
        let evaluation = evaluate(&policy, &images, NOW);
        for stats in &evaluation.rules {
            let acted = evaluation.decisions.iter().filter(|decision| matches!(decision.outcome,
                Outcome::Expire { rule } | Outcome::Archive { rule } if rule == stats.priority));
            prop_assert_eq!(acted.count() as u64, stats.acted);
            prop_assert!(stats.selected <= stats.matched);
            prop_assert!(stats.acted_bytes <= stats.matched_bytes);
            prop_assert_eq!(stats.selected, stats.shielded + stats.blocked + stats.acted);
        }
    }

    #[test]
    fn an_explanation_is_the_decision_and_its_reasons(policy in policy(), images in repository(10)) {
        let evaluation = evaluate(&policy, &images, NOW);
        for (place, decision) in evaluation.decisions.iter().enumerate() {
            let explanation = explain(&policy, &images, NOW, place).unwrap();
            prop_assert_eq!(explanation.decision, *decision);
            let governing = explanation.rules.iter().find(|trace| trace.measured.is_some());
            let measured = governing.and_then(|trace| trace.measured);
            match decision.why {
                Why::NoRuleMatches | Why::Activating | Why::FollowsSubject { .. } => prop_assert_eq!(measured, None),
                why => prop_assert_eq!(measured, Some(why)),
            }
            for trace in &explanation.rules {
                let is_governing = governing.is_some_and(|governing| governing.priority == trace.priority);
                prop_assert!(trace.shielded_by.is_none() || !is_governing);
                prop_assert!(!trace.selected || trace.measured.is_some());
                if let Some(Why::Ranked { rank, keep, .. }) = trace.measured {
                    prop_assert_eq!(rank > keep, trace.selected);
                }
            }
            let shielded_from = explanation.rules.iter().find(|trace| trace.selected && trace.shielded_by.is_some());
            prop_assert_eq!(decision.shielded_from, shielded_from.map(|trace| trace.priority));
        }
    }

    /// Only for images that stand for themselves: what adds a subject adds its fate to the referrers it finds.
    #[test]
    fn another_image_never_takes_a_younger_one(policy in policy(), images in unrelated(image(), 14), new in image()) {
        prop_assume!(images.iter().all(|image| image.digest != new.digest));
        let before = evaluate(&policy, &images, NOW);
        let with = [images.clone(), vec![new.clone()]].concat();
        let after = evaluate(&policy, &with, NOW);
        for (place, image) in images.iter().enumerate() {
            let is_younger = (image.effective_push(), image.digest) > (new.effective_push(), new.digest);
            if is_younger && !goes(&before.decisions[place]) {
                prop_assert!(!goes(&after.decisions[place]), "{image:?}");
            }
            // And what went before goes still: a new image makes room for nothing.
            if goes(&before.decisions[place]) {
                prop_assert!(goes(&after.decisions[place]), "{image:?}");
            }
        }
    }

    #[test]
    fn an_image_goes_when_it_was_said_to(policy in policy(), images in repository(10)) {
        let evaluation = evaluate(&policy, &images, NOW);
        for (place, decision) in evaluation.decisions.iter().enumerate() {
            if let Departure::At(moment) = decision.departure {
                prop_assert!(moment > NOW);
                let just_before = Timestamp::from_millis(moment.millis() - 1);
                prop_assert!(!goes(&evaluate(&policy, &images, just_before).decisions[place]));
                prop_assert!(goes(&evaluate(&policy, &images, moment).decisions[place]));
            }
        }
    }

    #[test]
    fn an_image_goes_after_as_many_pushes_as_were_said(policy in policy(), images in unrelated(plain_image(), 10)) {
        for (place, decision) in evaluate(&policy, &images, NOW).decisions.iter().enumerate() {
            if let Departure::AfterPushes(pushes) = decision.departure {
                prop_assert!(!goes(&after_pushes(&policy, &images, place, pushes - 1)));
                prop_assert!(goes(&after_pushes(&policy, &images, place, pushes)));
            }
        }
    }
}

/// The decision for an image after so many pushes of images with the same tags.
fn after_pushes(policy: &Policy, images: &[Image], place: usize, pushes: u32) -> Decision {
    let twin = |number: u32| Image {
        tags: images[place].tags.clone(),
        ..Image::new(
            Digest::sha256(format!("push {number}").as_bytes()),
            Timestamp::from_millis(NOW.millis() + 1_000_000_000),
        )
    };
    let all: Vec<Image> = images.iter().cloned().chain((0..pushes).map(twin)).collect();
    evaluate(policy, &all, NOW).decisions[place]
}
