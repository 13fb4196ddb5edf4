//! JSON to a tree with places, by the reader that reads policies.

use berth_lifecycle::json::{self, Json, Rules};

use super::tree::{Member, Node, Text, Value};

/// Documents that policies stand in nest deeper than policies, and their writers answer for repeated keys.
const RULES: Rules = Rules { depth_max: 128, repeated_keys: true };

/// Why a text is not of its format, and at which byte.
#[derive(Debug, PartialEq)]
pub(super) struct SyntaxError {
    pub(super) at: usize,
    pub(super) message: String,
}

/// Reads one value that fills the whole text.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    match json::parse(text, RULES) {
        Ok(node) => Ok(node.into()),
        Err(error) => Err(SyntaxError { at: error.at, message: error.what }),
    }
}

impl From<json::Node> for Node {
    fn from(node: json::Node) -> Self {
        let value = match node.value {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(value),
            Json::Number(written) => Value::Number(written),
            Json::Text(content) => Value::Text(Text { content, has_escapes: true }),
            Json::Array(nodes) => Value::List(nodes.into_iter().map(Self::from).collect()),
            Json::Object(members) => Value::Map(members.into_iter().map(Member::from).collect()),
        };
        Self { span: node.span, value }
    }
}

impl From<json::Member> for Member {
    fn from(member: json::Member) -> Self {
        Self { key: member.key, key_span: member.key_span, node: member.node.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let text = r#" {"a": [1, "x\n"], "b": null} "#;
        let node = parse(text).unwrap();
        assert_eq!(&text[node.span.clone()], text.trim());
        let list = node.get("a").unwrap();
        assert_eq!(&text[list.items()[1].span.clone()], r#""x\n""#);
        assert_eq!(list.items()[1].text(), Some("x\n"));
        assert_eq!(&text[node.members()[1].key_span.clone()], "\"b\"");
    }

    #[test]
    fn wrong_texts_are_refused_where_they_are_wrong() {
        for (text, at) in [
            ("", 0),
            ("{", 1),
            ("{\"a\":1,}", 7),
            ("[1 2]", 3),
            ("\"\\", 0),
            ("nul", 0),
            ("1 2", 2),
            ("01", 0),
        ] {
            assert_eq!(parse(text).unwrap_err().at, at, "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
