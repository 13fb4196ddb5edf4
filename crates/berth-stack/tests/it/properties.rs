//! What holds for any stack: after apply there is nothing left to do, from whatever state one started.

use std::collections::BTreeMap;

use berth_stack::client::fake::FakeEcr;
use berth_stack::{
    ActualState, PlanOptions, RepositoryInput, RetentionInput, StackInput, StackSpec, apply, plan_destroy,
};
use proptest::option::of;
use proptest::prelude::*;

use crate::support::{Fault, Faulty, converge, fake, plan_of, read_file};

fn retention() -> impl Strategy<Value = RetentionInput> {
    let patterns = proptest::sample::subsequence(vec!["v*", "sha-*", "main", "*"], 1..=2);
    (of("[a-z ]{0,8}"), patterns, any::<bool>(), 1_u32..30).prop_map(
        |(description, patterns, by_age, number)| RetentionInput {
            description,
            any_of: Some(patterns.into_iter().map(str::to_owned).collect()),
            untagged: None,
            keep_last: (!by_age).then_some(number),
            expire_after_days: by_age.then_some(number),
        },
    )
}

fn retentions() -> impl Strategy<Value = Vec<RetentionInput>> {
    let untagged =
        RetentionInput { untagged: Some(true), expire_after_days: Some(3), ..RetentionInput::default() };
    (proptest::collection::vec(retention(), 0..3), any::<bool>()).prop_map(move |(mut all, with_untagged)| {
        all.extend(with_untagged.then(|| untagged.clone()));
        all
    })
}

fn tags() -> impl Strategy<Value = BTreeMap<String, String>> {
    proptest::collection::btree_map("[A-C]", "[x-z]{0,2}", 0..3)
}

fn repository() -> impl Strategy<Value = RepositoryInput> {
    let mutability = of(prop_oneof![Just("MUTABLE"), Just("IMMUTABLE")]);
    let filters = of(Just(vec!["latest".to_owned(), "dev-*".to_owned()]));
    let encryption = prop_oneof![
        Just((None, None)),
        Just((Some("KMS"), None)),
        Just((Some("KMS"), Some("alias/shop"))),
        Just((Some("KMS"), Some("1234abcd-12ab-34cd-56ef-1234567890ab"))),
    ];
    let policies = prop_oneof![
        of(retentions()).prop_map(|retention| (retention, None)),
        Just((None, Some("keep-two.json".to_owned()))),
    ];
    let access = of(prop_oneof![Just(String::new()), Just("pull.json".to_owned())]);
    (of(any::<bool>()), mutability, filters, encryption, policies, access, of(tags())).prop_map(
        |(scan_on_push, mutability, filters, (encryption, key), (retention, file), access, tags)| {
            let mutable_tags = if mutability == Some("MUTABLE") { None } else { filters };
            RepositoryInput {
                scan_on_push,
                tag_mutability: mutability.map(str::to_owned),
                mutable_tags,
                encryption: encryption.map(str::to_owned),
                kms_key: key.map(str::to_owned),
                retention,
                lifecycle_policy_file: file,
                repository_policy_file: access,
                tags,
                ..RepositoryInput::default()
            }
        },
    )
}

fn stack() -> impl Strategy<Value = StackSpec> {
    let repositories = proptest::collection::btree_map("[a-c]", repository(), 1..4);
    let environment = prop_oneof![Just("prod"), Just("dev")];
    let form = of(prop_oneof![Just("compiled"), Just("as-written")]);
    (environment, of(repositories), of(retentions()), form, of(tags())).prop_filter_map(
        "ECR takes no two rules with the same list",
        |(environment, repositories, retention, form, tags)| {
            let input = StackInput {
                project: "shop".to_owned(),
                environment: environment.to_owned(),
                repositories,
                retention,
                retention_form: form.map(str::to_owned),
                tags,
                ..StackInput::default()
            };
            StackSpec::from_input(&input, &read_file).ok()
        },
    )
}

const OPTIONS: PlanOptions = PlanOptions { allow_replace: true, force: false };

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Another stack's repository and nobody's, which must come out as they went in.
async fn bystanders(fake: &FakeEcr) {
    let other = StackSpec::new("other", "dev").unwrap();
    converge(fake, &other, OPTIONS).await;
    fake.edit("other/workers", |one| one.tags.clear());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn nothing_is_left_to_do_after_apply(first in stack(), second in stack(), cut in 0_usize..12) {
        block_on(async {
            let fake = fake();
            bystanders(&fake).await;
            let before = fake.snapshot();
            // `dev` and `prod` of one project would get in each other's way; the second takes the first one's place.
            if first.environment() == second.environment() {
                converge(&fake, &first, OPTIONS).await;
                prop_assert!(plan_of(&fake, &first, OPTIONS).await.is_empty());
            }
            let plan = plan_of(&fake, &second, OPTIONS).await;
            let _ = apply(&Faulty::new(&fake, cut, Fault::AnswerLost), &plan, &mut |_| {}).await;
            converge(&fake, &second, OPTIONS).await;
            let plan = plan_of(&fake, &second, OPTIONS).await;
            prop_assert!(plan.is_empty(), "{plan:#?}");

            let actual = ActualState::read(&fake, &second).await.unwrap();
            apply(&fake, &plan_destroy(&second, &actual, OPTIONS), &mut |_| {}).await.unwrap();
            prop_assert_eq!(fake.snapshot(), before);
            Ok(())
        })?;
    }
}
