//! Repository policies: IAM policy documents compared by what they say.
//!
//! ECR gives a policy back in a form of its own (indented, lists of one element as plain strings), so texts cannot be
//! compared. Nothing here decides who may do what.

use std::fmt;

use serde_json::{Map, Value};

/// ECR: longest repository policy, in characters.
pub const REPOSITORY_POLICY_CHARS_MAX: usize = 10_240;

/// A repository policy. Two of them are equal if they say the same: the order of statements and of list elements, a list
/// of one against a plain string, `123456789012` against `arn:aws:iam::123456789012:root`, and the case of actions make
/// no difference.
#[derive(Clone)]
pub struct RepositoryPolicy {
    text: String,
    normal: Value,
    statements: Vec<Statement>,
}

/// One statement of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// As it is written.
    pub written: Value,
    /// In normal form: equal if the statements say the same.
    pub normal: String,
}

/// Why a text is not a repository policy.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryPolicyError {
    /// Not JSON at all.
    #[error("not valid JSON: {0}")]
    Json(serde_json::Error),
    /// JSON, but not a policy document.
    #[error("a repository policy is a JSON object with `Statement`, a list of objects")]
    Shape,
    /// Longer than ECR takes.
    #[error("a repository policy has at most {REPOSITORY_POLICY_CHARS_MAX} characters, not {0}")]
    TooLong(usize),
}

impl RepositoryPolicy {
    /// Parses a policy document. What its statements mean is left to ECR to check.
    ///
    /// # Errors
    /// [`RepositoryPolicyError`] if it is not JSON, not of a policy's shape, or too long.
    pub fn parse(text: &str) -> Result<Self, RepositoryPolicyError> {
        let chars = text.chars().count();
        if chars > REPOSITORY_POLICY_CHARS_MAX {
            return Err(RepositoryPolicyError::TooLong(chars));
        }
        let value: Value = serde_json::from_str(text).map_err(RepositoryPolicyError::Json)?;
        let Value::Object(mut document) = value else { return Err(RepositoryPolicyError::Shape) };
        let statements = match document.remove("Statement") {
            Some(Value::Array(statements)) => statements,
            Some(statement @ Value::Object(_)) => vec![statement],
            _ => return Err(RepositoryPolicyError::Shape),
        };
        let mut normal_statements = Vec::with_capacity(statements.len());
        let mut written_statements = Vec::with_capacity(statements.len());
        for statement in statements {
            let Value::Object(members) = &statement else { return Err(RepositoryPolicyError::Shape) };
            let normal = normal_statement(members.clone());
            written_statements.push(Statement { normal: canonical(&normal), written: statement });
            normal_statements.push(normal);
        }
        sort(&mut normal_statements);
        document.insert("Statement".to_owned(), Value::Array(normal_statements));
        let normal = Value::Object(document);
        Ok(Self { text: text.to_owned(), normal, statements: written_statements })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The statements in the order in which they are written.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.statements
    }

    /// The version of the policy language, which the document names.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.normal.get("Version").and_then(Value::as_str)
    }
}

impl PartialEq for RepositoryPolicy {
    fn eq(&self, other: &Self) -> bool {
        self.normal == other.normal
    }
}

impl fmt::Debug for RepositoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RepositoryPolicy").field(&self.text).finish()
    }
}

fn normal_statement(statement: Map<String, Value>) -> Value {
    let mut normal = Map::new();
    for (key, value) in statement {
        let value = match key.as_str() {
            "Action" | "NotAction" => normal_list(value, str::to_lowercase),
            "Resource" | "NotResource" => normal_list(value, str::to_owned),
            "Principal" | "NotPrincipal" => normal_principal(value),
            "Condition" => normal_condition(value),
            _ => value,
        };
        normal.insert(key, value);
    }
    Value::Object(normal)
}

/// `"*"` and `{"AWS": "*"}` both mean everybody in a policy attached to a resource.
fn normal_principal(value: Value) -> Value {
    let mut kinds = match value {
        Value::Object(kinds) => kinds,
        everybody => Map::from_iter([("AWS".to_owned(), everybody)]),
    };
    for principals in kinds.values_mut() {
        *principals = normal_list(principals.take(), normal_account);
    }
    Value::Object(kinds)
}

/// An account may be named by its number or by the ARN of its root.
fn normal_account(principal: &str) -> String {
    let account = principal
        .strip_prefix("arn:")
        .and_then(|rest| rest.split_once(":iam::"))
        .and_then(|(_, rest)| rest.strip_suffix(":root"));
    account.unwrap_or(principal).to_owned()
}

/// Operator → key → values. Values may be written as strings, numbers or booleans, alone or in a list.
fn normal_condition(value: Value) -> Value {
    let Value::Object(mut operators) = value else { return value };
    for keys in operators.values_mut() {
        let Value::Object(keys) = keys else { continue };
        for values in keys.values_mut() {
            *values = normal_list(values.take(), str::to_owned);
        }
    }
    Value::Object(operators)
}

/// A sorted list of texts without repetition, from a list or a single value.
fn normal_list(value: Value, normal: impl Fn(&str) -> String) -> Value {
    let elements = match value {
        Value::Array(elements) => elements,
        single => vec![single],
    };
    let mut elements: Vec<Value> = elements
        .into_iter()
        .map(|element| match element {
            Value::String(text) => Value::String(normal(&text)),
            Value::Bool(_) | Value::Number(_) => Value::String(element.to_string()),
            other => other,
        })
        .collect();
    sort(&mut elements);
    elements.dedup();
    Value::Array(elements)
}

fn sort(values: &mut [Value]) {
    values.sort_by_cached_key(canonical);
}

/// JSON with sorted keys, whatever order `serde_json` was built to keep.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(canonical).collect();
            format!("[{}]", elements.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(text: &str) -> RepositoryPolicy {
        RepositoryPolicy::parse(text).unwrap()
    }

    #[test]
    fn equal_policies_are_equal_however_they_are_written() {
        let written = policy(
            r#"{"Version":"2012-10-17","Statement":[
                {"Sid":"pull","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::123456789012:root","210987654321"]},
                 "Action":["ecr:BatchGetImage","ecr:GetDownloadUrlForLayer"],
                 "Condition":{"Bool":{"aws:SecureTransport":true}}},
                {"Sid":"all","Effect":"Deny","Principal":"*","Action":["ecr:DeleteRepository"]}]}"#,
        );
        let returned = policy(
            r#"{ "Statement" : [ { "Principal" : { "AWS" : "*" }, "Sid" : "all", "Action" : "ecr:deleterepository",
                "Effect" : "Deny" }, {
                "Condition" : { "Bool" : { "aws:SecureTransport" : [ "true" ] } },
                "Action" : [ "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage" ], "Effect" : "Allow", "Sid" : "pull",
                "Principal" : { "AWS" : [ "arn:aws:iam::210987654321:root", "123456789012" ] } } ],
                "Version" : "2012-10-17" }"#,
        );
        assert_eq!(written, returned);
        assert_eq!(written.statements()[0].normal, returned.statements()[1].normal);
    }

    #[test]
    fn different_policies_differ() {
        let base =
            r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"ecr:*"}}"#;
        for (from, to) in [
            ("Allow", "Deny"),
            ("\"*\"", "\"123456789012\""),
            ("ecr:*", "ecr:Get*"),
            ("2012-10-17", "2008-10-17"),
            ("\"Effect\"", "\"Sid\":\"x\",\"Effect\""),
        ] {
            assert_ne!(policy(base), policy(&base.replacen(from, to, 1)), "{from} -> {to}");
        }
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for bad in ["", "[]", "{}", r#"{"Statement":"x"}"#, r#"{"Statement":[1]}"#] {
            assert!(RepositoryPolicy::parse(bad).is_err(), "{bad}");
        }
        let long = format!(r#"{{"Statement":[],"Id":"{}"}}"#, "x".repeat(REPOSITORY_POLICY_CHARS_MAX));
        assert!(matches!(RepositoryPolicy::parse(&long), Err(RepositoryPolicyError::TooLong(_))));
    }
}
