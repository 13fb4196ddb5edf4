//! The lifecycle engine from outside: the test corpus, a second evaluator, and the properties that must hold.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod compile;
mod corpus;
mod naive;
mod properties;
mod random;
mod support;
mod validation;
