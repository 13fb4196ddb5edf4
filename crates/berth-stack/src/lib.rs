//! The module: one file declares a project's image repositories, [`plan()`] says what has to be done, [`apply()`] does it.
//!
//! It speaks to Amazon ECR, or to anything else that answers the same API, through the official SDK, and knows nothing about
//! what is on the other side. There is no state file: what is there is read from the registry, what belongs to the stack is
//! known by its tags.
//!
//! ```no_run
//! use berth_stack::{ActualState, PlanOptions, StackSpec, apply, client, outputs, plan};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let stack = StackSpec::new("shop", "prod")?;
//! let (api, target) = client::connect(&stack, &|name| std::env::var(name).ok()).await?;
//! let actual = ActualState::read(&api, &stack).await?;
//! let plan = plan(&stack, &actual, PlanOptions::default());
//! print!("{}", berth_stack::render::to_text(&plan, &target));
//! apply(&api, &plan, &mut |_| {}).await?;
//! let actual = ActualState::read(&api, &stack).await?;
//! print!("{}", outputs::to_env(&outputs::outputs(&stack, &actual)?));
//! # Ok(())
//! # }
//! ```
//!
//! `examples/three_repositories.rs` is the same as a program.
//!
//! # Permissions
//!
//! Planning reads with `ecr:DescribeRepositories`, `ecr:ListTagsForResource`, `ecr:GetLifecyclePolicy`,
//! `ecr:GetRepositoryPolicy` and `ecr:ListImages`. Applying needs `ecr:CreateRepository`, `ecr:TagResource`,
//! `ecr:UntagResource`, `ecr:PutImageTagMutability`, `ecr:PutImageScanningConfiguration`, `ecr:PutLifecyclePolicy`,
//! `ecr:DeleteLifecyclePolicy`, `ecr:SetRepositoryPolicy`, `ecr:DeleteRepositoryPolicy` and, to delete or replace,
//! `ecr:DeleteRepository`. Tags of other people's repositories may be out of reach; that is a warning.

pub mod actual;
pub mod apply;
pub mod client;
pub mod desired;
pub mod outputs;
pub mod plan;
pub mod render;
pub mod repository_policy;
pub mod spec;

pub use actual::{ActualRepository, ActualState, Owner};
pub use apply::{ApplyError, Progress, apply};
pub use client::{ApiError, ApiErrorKind, AwsEcr, ConnectError, EcrApi, Target, connect};
pub use desired::{DesiredRepository, DesiredRepositoryPolicy, Encryption, Lifecycle, RetentionForm};
pub use outputs::{Output, OutputsError};
pub use plan::{Action, Plan, PlanOptions, Refusal, ResourceChange, ResourceKind, Step, plan, plan_destroy};
pub use repository_policy::{RepositoryPolicy, RepositoryPolicyError};
pub use spec::{
    Endpoint, Problem, RepositoryInput, RetentionInput, STACK_FILE_NAME, SpecError, StackInput, StackSpec,
};
