//! Carrying a plan out: in order, again, after being cut off anywhere, and against others who do the same.

use berth_stack::client::NewRepository;
use berth_stack::{
    ActualState, ApplyError, EcrApi as _, PlanOptions, Progress, apply, outputs, plan_destroy,
};
use insta::assert_snapshot;

use crate::support::{Fault, Faulty, converge, fake, plan_of, stack};

const DEV: &str = "project = \"shop\"\nenvironment = \"dev\"\n";

#[tokio::test]
async fn steps_are_reported_in_order() {
    let fake = fake();
    let plan = plan_of(&fake, &stack(DEV), PlanOptions::default()).await;
    let mut lines = Vec::new();
    let mut progress = |progress: Progress<'_>| match progress {
        Progress::Started { number, total, step } => lines.push(format!("{number}/{total} {step}")),
        Progress::Finished { number, total, was_done, .. } => {
            lines.push(format!("{number}/{total} done{}", if was_done { " already" } else { "" }));
        }
    };
    apply(&fake, &plan, &mut progress).await.unwrap();
    assert_snapshot!(lines.join("\n"));
}

/// Every changing call of creating, changing, replacing and destroying a stack is lost once, and its answer is lost once;
/// the next run must end where an undisturbed one does.
#[tokio::test]
async fn a_run_cut_off_anywhere_is_completed_by_the_next() {
    let options = PlanOptions { allow_replace: true, force: false };
    let first = stack(&format!("{DEV}[repositories.api]\n[repositories.old]\n"));
    let second = stack(&format!(
        "{DEV}[repositories.api]\nencryption = \"KMS\"\nrepository_policy_file = \"pull.json\"\n[repositories.web]\n\
         scan_on_push = false\ntags = {{ Team = \"core\" }}"
    ));
    let third = stack(&format!(
        "{DEV}[repositories.api]\nencryption = \"KMS\"\nrepository_policy_file = \"\"\nretention = []\n\
         [repositories.web]\ntag_mutability = \"IMMUTABLE\""
    ));
    let reference = fake();
    let mut states = Vec::new();
    for stack in [&first, &second, &third] {
        converge(&reference, stack, options).await;
        states.push(reference.snapshot());
    }
    for fault in [Fault::Lost, Fault::AnswerLost] {
        let mut cuts = 0;
        for at in 0..64 {
            let fake = fake();
            for (stack, state) in [&first, &second, &third].into_iter().zip(&states) {
                let plan = plan_of(&fake, stack, options).await;
                let was_cut = apply(&Faulty::new(&fake, at, fault), &plan, &mut |_| {}).await.is_err();
                cuts += usize::from(was_cut);
                converge(&fake, stack, options).await;
                assert_eq!(&fake.snapshot(), state, "{fault:?} at {at}");
                assert!(plan_of(&fake, stack, options).await.is_empty());
            }
            let actual = ActualState::read(&fake, &third).await.unwrap();
            let plan = plan_destroy(&third, &actual, options);
            let _ = apply(&Faulty::new(&fake, at, fault), &plan, &mut |_| {}).await;
            let actual = ActualState::read(&fake, &third).await.unwrap();
            apply(&fake, &plan_destroy(&third, &actual, options), &mut |_| {}).await.unwrap();
            assert!(fake.snapshot().is_empty());
        }
        assert!(cuts >= 12, "only {cuts} runs were cut off; the test tests nothing");
    }
}

#[tokio::test]
async fn ownership_is_there_from_the_first_call() {
    let fake = fake();
    let plan = plan_of(&fake, &stack(DEV), PlanOptions::default()).await;
    apply(&Faulty::new(&fake, 1, Fault::Lost), &plan, &mut |_| {}).await.unwrap_err();
    let api = &fake.snapshot()["shop/api"];
    assert_eq!(api.tags["ManagedBy"], "berth");
    assert_eq!(api.lifecycle_policy, None);
}

/// The SDK repeats a call whose answer it did not get, and the second time the repository is there.
#[tokio::test]
async fn a_repeated_create_is_recognised_as_our_own() {
    let fake = fake();
    let stack = stack(DEV);
    let plan = plan_of(&fake, &stack, PlanOptions::default()).await;
    let api = &stack.repositories()[0];
    let mut new = NewRepository {
        name: api.name.clone(),
        scan_on_push: api.scan_on_push,
        tag_mutability: api.tag_mutability.clone(),
        encryption: api.encryption.clone(),
        tags: api.tags.clone(),
    };
    fake.create_repository(&new).await.unwrap();
    let mut done_already = 0;
    let mut progress = |progress: Progress<'_>| {
        if let Progress::Finished { was_done: true, .. } = progress {
            done_already += 1;
        }
    };
    apply(&fake, &plan, &mut progress).await.unwrap();
    assert_eq!(done_already, 1);

    fake.delete_repository("shop/api", true).await.unwrap();
    new.tags.clear();
    fake.create_repository(&new).await.unwrap();
    let error = apply(&fake, &plan, &mut |_| {}).await.unwrap_err();
    assert!(matches!(error, ApplyError::Overtaken { .. }), "{error}");
    assert_snapshot!(error.to_string());
}

#[tokio::test]
async fn a_failed_step_says_which_and_what_to_do() {
    let fake = fake();
    let plan = plan_of(&fake, &stack(DEV), PlanOptions::default()).await;
    let error = apply(&Faulty::new(&fake, 2, Fault::Lost), &plan, &mut |_| {}).await.unwrap_err();
    assert_snapshot!(format!("{error}\n{}", error.hint().unwrap()));
}

#[tokio::test]
async fn outputs_are_whole_or_an_error() {
    let fake = fake();
    let stack = stack(DEV);
    let actual = ActualState::read(&fake, &stack).await.unwrap();
    assert_eq!(outputs::outputs(&stack, &actual).unwrap_err().missing.len(), 3);
    converge(&fake, &stack, PlanOptions::default()).await;
    let actual = ActualState::read(&fake, &stack).await.unwrap();
    let all = outputs::outputs(&stack, &actual).unwrap();
    assert_snapshot!(outputs::to_env(&all));
    let json = berth_stack::render::outputs_to_json(&stack, &crate::support::target(), &all);
    assert_snapshot!(format!("{json:#}"));
}
