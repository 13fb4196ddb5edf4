//! Documents of any format as one tree that knows where everything stands.

use std::ops::Range;

/// A value and its place in the document, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(Text),
    List(Vec<Node>),
    Map(Vec<Member>),
    /// Something that only another program can fill in; the text says what it is.
    Unknown(String),
}

/// A text as decoded, and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) content: String,
    /// Whether a backslash begins an escape in the document.
    pub(super) has_escapes: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Member {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

impl Node {
    /// The member of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        let member = self.members().iter().find(|member| member.key == key)?;
        Some(&member.node)
    }

    /// The node at the end of a path of keys.
    pub(super) fn path(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The members of a map; nothing for other values.
    pub(super) fn members(&self) -> &[Member] {
        match &self.value {
            Value::Map(members) => members,
            _ => &[],
        }
    }

    /// The items of a list; nothing for other values.
    pub(super) fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// The content of a text.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(&text.content),
            _ => None,
        }
    }

    /// The first thing in it that only another program can fill in.
    pub(super) fn unknown(&self) -> Option<(Range<usize>, &str)> {
        match &self.value {
            Value::Unknown(what) => Some((self.span.clone(), what)),
            Value::List(items) => items.iter().find_map(Self::unknown),
            Value::Map(members) => members.iter().find_map(|member| member.node.unknown()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => None,
        }
    }
}
