//! Shared by the tests: stacks from a few lines, a registry in memory, and one that fails at a chosen call.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use berth_stack::client::fake::FakeEcr;
use berth_stack::client::{NewRepository, Page, RepositoryDescription};
use berth_stack::{
    ActualState, ApiError, ApiErrorKind, EcrApi, Plan, PlanOptions, StackSpec, Target, apply, plan,
    plan_destroy,
};
use berth_types::{AccountId, Region, TagMutability};

pub(crate) fn fake() -> FakeEcr {
    // Pages of two, so that every list is longer than one.
    FakeEcr::new(AccountId::parse("123456789012").unwrap(), Region::parse("us-east-1").unwrap(), 2)
}

pub(crate) fn target() -> Target {
    Target { region: Region::parse("us-east-1").unwrap(), endpoint: None }
}

/// Files that stacks of tests may name.
pub(crate) const FILES: [(&str, &str); 3] = [
    (
        "keep-two.json",
        r#"{"rules": [{"rulePriority": 10, "description": "two of a kind", "action": {"type": "expire"},
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 2}}]}"#,
    ),
    (
        "pull.json",
        r#"{"Version": "2012-10-17", "Statement": [{"Sid": "pull", "Effect": "Allow",
            "Principal": {"AWS": "arn:aws:iam::210987654321:root"}, "Action": ["ecr:BatchGetImage"]}]}"#,
    ),
    ("broken.json", r#"{"rules": [{"rulePriority": 0, "selection": {}}]}"#),
];

pub(crate) fn read_file(path: &Path) -> std::io::Result<String> {
    let found = FILES.iter().find(|(name, _)| Path::new(name) == path);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| std::io::ErrorKind::NotFound.into())
}

pub(crate) fn stack(text: &str) -> StackSpec {
    StackSpec::parse("berth.toml", text, &read_file).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

pub(crate) async fn plan_of(api: &dyn EcrApi, stack: &StackSpec, options: PlanOptions) -> Plan {
    let actual = ActualState::read(api, stack).await.unwrap();
    plan(stack, &actual, options)
}

pub(crate) async fn destroy_plan_of(api: &dyn EcrApi, stack: &StackSpec, options: PlanOptions) -> Plan {
    let actual = ActualState::read(api, stack).await.unwrap();
    plan_destroy(stack, &actual, options)
}

/// Plans and applies; answers how many steps it took.
pub(crate) async fn converge(api: &dyn EcrApi, stack: &StackSpec, options: PlanOptions) -> usize {
    let plan = plan_of(api, stack, options).await;
    apply(api, &plan, &mut |_| {}).await.unwrap();
    plan.steps().count()
}

/// When a [`Faulty`] registry fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The call is never made.
    Lost,
    /// The call is made and its answer does not arrive.
    AnswerLost,
}

/// A registry whose changing call number `at` fails, and every one after it, as if the program had been killed there.
pub(crate) struct Faulty<'a> {
    inner: &'a FakeEcr,
    at: usize,
    fault: Fault,
    calls: AtomicUsize,
}

impl<'a> Faulty<'a> {
    pub(crate) fn new(inner: &'a FakeEcr, at: usize, fault: Fault) -> Self {
        Self { inner, at, fault, calls: AtomicUsize::new(0) }
    }

    async fn change<T>(&self, call: impl Future<Output = Result<T, ApiError>> + Send) -> Result<T, ApiError> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        if number < self.at {
            return call.await;
        }
        if number == self.at && self.fault == Fault::AnswerLost {
            call.await?;
        }
        Err(ApiError::new("Fault", "", ApiErrorKind::Unreachable("cut off".to_owned())))
    }
}

#[async_trait]
impl EcrApi for Faulty<'_> {
    async fn describe_repositories(
        &self,
        next: Option<String>,
    ) -> Result<Page<RepositoryDescription>, ApiError> {
        self.inner.describe_repositories(next).await
    }

    async fn create_repository(&self, new: &NewRepository) -> Result<RepositoryDescription, ApiError> {
        self.change(self.inner.create_repository(new)).await
    }

    async fn delete_repository(&self, name: &str, force: bool) -> Result<(), ApiError> {
        self.change(self.inner.delete_repository(name, force)).await
    }

    async fn put_image_tag_mutability(&self, name: &str, mutability: &TagMutability) -> Result<(), ApiError> {
        self.change(self.inner.put_image_tag_mutability(name, mutability)).await
    }

    async fn put_image_scanning_configuration(&self, name: &str, scan_on_push: bool) -> Result<(), ApiError> {
        self.change(self.inner.put_image_scanning_configuration(name, scan_on_push)).await
    }

    async fn get_lifecycle_policy(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.inner.get_lifecycle_policy(name).await
    }

    async fn put_lifecycle_policy(&self, name: &str, text: &str) -> Result<(), ApiError> {
        self.change(self.inner.put_lifecycle_policy(name, text)).await
    }

    async fn delete_lifecycle_policy(&self, name: &str) -> Result<(), ApiError> {
        self.change(self.inner.delete_lifecycle_policy(name)).await
    }

    async fn get_repository_policy(&self, name: &str) -> Result<Option<String>, ApiError> {
        self.inner.get_repository_policy(name).await
    }

    async fn set_repository_policy(&self, name: &str, text: &str) -> Result<(), ApiError> {
        self.change(self.inner.set_repository_policy(name, text)).await
    }

    async fn delete_repository_policy(&self, name: &str) -> Result<(), ApiError> {
        self.change(self.inner.delete_repository_policy(name)).await
    }

    async fn list_tags(&self, arn: &str) -> Result<BTreeMap<String, String>, ApiError> {
        self.inner.list_tags(arn).await
    }

    async fn tag_resource(&self, arn: &str, tags: &BTreeMap<String, String>) -> Result<(), ApiError> {
        self.change(self.inner.tag_resource(arn, tags)).await
    }

    async fn untag_resource(&self, arn: &str, keys: &[String]) -> Result<(), ApiError> {
        self.change(self.inner.untag_resource(arn, keys)).await
    }

    async fn has_images(&self, name: &str) -> Result<bool, ApiError> {
        self.inner.has_images(name).await
    }
}
