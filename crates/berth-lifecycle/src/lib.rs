//! ECR lifecycle policies: text to checked policy, policy and images to decisions, retention intents to a policy.
//!
//! Pure: no I/O, no clock, no threads. The preview, the scheduler, the plan and the command line all call [`evaluate()`],
//! so what a user is shown is what happens. What an action does to storage lives in the registry, not here.
//!
//! `docs/lifecycle.md` has the semantics in prose, with every decision taken where the public documentation is silent.

pub mod compile;
pub mod evaluate;
pub mod json;
pub mod lint;
pub mod policy;

pub use compile::{CompileError, Compiled, Retention, RuleOrigin, as_written, compile, mission_default};
pub use evaluate::{
    AgeClock, Decision, Departure, Evaluation, Explanation, Image, ImageKind, ImageStorage, Outcome,
    RuleStats, RuleTrace, Why, evaluate, explain,
};
pub use lint::{Finding, Lint, Severity, lint, lint_text};
pub use policy::{
    Action, Clause, Count, Policy, PolicyError, Rule, Selection, SourceMap, StorageClass, TagList,
    TagSelector, Violation,
};
