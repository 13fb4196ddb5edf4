//! The text of a policy, and where each byte of it stands in the document around it.

use std::ops::Range;

use super::tree::{Node, Text, Value};

/// A policy as JSON text.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PolicyText {
    /// The JSON.
    pub(crate) json: String,
    places: Places,
}

#[derive(Clone, Debug, PartialEq)]
enum Places {
    /// The document is the policy.
    Same,
    /// The policy is a string in the document; of each of its bytes, the place there. One more for the end.
    Aligned(Vec<usize>),
    /// The policy was put together from parts of the document: part of the policy, part of the document.
    Parts { parts: Vec<(Range<usize>, Range<usize>)>, whole: Range<usize> },
}

impl PolicyText {
    /// The whole document.
    pub(crate) fn whole(json: String) -> Self {
        Self { json, places: Places::Same }
    }

    /// A text with known parts; whatever is in none of them stands at `whole`.
    pub(super) fn from_parts(
        json: String,
        parts: Vec<(Range<usize>, Range<usize>)>,
        whole: Range<usize>,
    ) -> Self {
        Self { json, places: Places::Parts { parts, whole } }
    }

    /// A value of a document: a string that holds JSON, or the policy as an object.
    ///
    /// # Errors
    /// What cannot be read, and where.
    pub(super) fn from_node(document: &str, node: &Node) -> Result<Self, (Range<usize>, String)> {
        match &node.value {
            Value::Text(text) => Ok(Self::embedded(document, node.span.clone(), text)),
            Value::Map(_) => {
                if let Some((span, what)) = node.unknown() {
                    return Err((span, what.to_owned()));
                }
                let mut builder = Builder::default();
                builder.write(node, 0);
                Ok(Self::from_parts(builder.json, builder.parts, node.span.clone()))
            }
            Value::Unknown(what) => Err((node.span.clone(), what.clone())),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) => {
                Err((node.span.clone(), "a value that is no text and no object".to_owned()))
            }
        }
    }

    fn embedded(document: &str, span: Range<usize>, text: &Text) -> Self {
        let places = match align(&text.content, document, span.clone(), text.has_escapes) {
            Some(offsets) => Places::Aligned(offsets),
            None => Places::Parts { parts: Vec::new(), whole: span },
        };
        Self { json: text.content.clone(), places }
    }

    /// Whether the text is printed from parts of the document and does not stand in it.
    pub(crate) fn is_generated(&self) -> bool {
        matches!(self.places, Places::Parts { .. })
    }

    /// The place in the document of a part of the policy.
    pub(crate) fn outer(&self, part: &Range<usize>) -> Range<usize> {
        match &self.places {
            Places::Same => part.clone(),
            Places::Aligned(offsets) => {
                let last = offsets.last().copied().unwrap_or(0);
                let at = |place: usize| offsets.get(place).copied().unwrap_or(last);
                // The end is the place after the last byte, not that of the next one: indentation may lie between.
                let end = if part.end > part.start { at(part.end - 1) + 1 } else { at(part.end) };
                at(part.start)..end.max(at(part.start))
            }
            Places::Parts { parts, whole } => {
                let around = |(inner, _): &&(Range<usize>, Range<usize>)| {
                    inner.start <= part.start && part.end <= inner.end
                };
                let smallest = parts.iter().filter(around).min_by_key(|(inner, _)| inner.len());
                smallest.map_or_else(|| whole.clone(), |(_, outer)| outer.clone())
            }
        }
    }
}

/// Prints a tree as JSON, indented, and notes where each value came from.
#[derive(Default)]
struct Builder {
    json: String,
    parts: Vec<(Range<usize>, Range<usize>)>,
}

impl Builder {
    fn write(&mut self, node: &Node, depth: usize) {
        let start = self.json.len();
        match &node.value {
            Value::Null | Value::Unknown(_) => self.json.push_str("null"),
            Value::Bool(value) => self.json.push_str(if *value { "true" } else { "false" }),
            Value::Number(text) => self.json.push_str(text),
            Value::Text(text) => self.string(&text.content),
            Value::List(items) => {
                self.json.push('[');
                for (place, item) in items.iter().enumerate() {
                    self.separate(place, depth + 1);
                    self.write(item, depth + 1);
                }
                self.close(']', items.is_empty(), depth);
            }
            Value::Map(members) => {
                self.json.push('{');
                for (place, member) in members.iter().enumerate() {
                    self.separate(place, depth + 1);
                    let key_start = self.json.len();
                    self.string(&member.key);
                    self.parts.push((key_start..self.json.len(), member.key_span.clone()));
                    self.json.push_str(": ");
                    self.write(&member.node, depth + 1);
                }
                self.close('}', members.is_empty(), depth);
            }
        }
        self.parts.push((start..self.json.len(), node.span.clone()));
    }

    fn string(&mut self, text: &str) {
        self.json.push_str(&serde_json::Value::from(text).to_string());
    }

    fn separate(&mut self, place: usize, depth: usize) {
        self.json.push_str(if place > 0 { ",\n" } else { "\n" });
        self.json.extend(std::iter::repeat_n("  ", depth));
    }

    fn close(&mut self, bracket: char, is_empty: bool, depth: usize) {
        if !is_empty {
            self.json.push('\n');
            self.json.extend(std::iter::repeat_n("  ", depth));
        }
        self.json.push(bracket);
    }
}

/// Finds each character of a decoded text in its written form, whatever the format: quotes, indentation and the like are
/// passed over. Nothing if the two do not go together.
fn align(decoded: &str, document: &str, span: Range<usize>, has_escapes: bool) -> Option<Vec<usize>> {
    let mut offsets = Vec::with_capacity(decoded.len() + 1);
    let mut at = span.start;
    for wanted in decoded.chars() {
        loop {
            let rest = document.get(at..span.end)?;
            let found = rest.chars().next()?;
            let (value, length) =
                if has_escapes && found == '\\' { escape(rest) } else { (Some(found), found.len_utf8()) };
            let is_match =
                value.is_some_and(|value| value == wanted || value.is_whitespace() && wanted.is_whitespace());
            if is_match {
                offsets.extend(std::iter::repeat_n(at, wanted.len_utf8()));
                at += length;
                break;
            }
            at += length;
        }
    }
    offsets.push(at);
    Some(offsets)
}

/// The character that an escape at the beginning of `text` stands for, and the escape's length in bytes.
fn escape(text: &str) -> (Option<char>, usize) {
    let Some(kind) = text[1..].chars().next() else { return (None, 1) };
    let hex = |from: usize, digits: usize| {
        text.get(from..from + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok())
    };
    let digits = match kind {
        'u' => 4,
        'U' => 8,
        'x' => 2,
        'n' => return (Some('\n'), 2),
        't' => return (Some('\t'), 2),
        'r' => return (Some('\r'), 2),
        'b' => return (Some('\u{8}'), 2),
        'f' => return (Some('\u{c}'), 2),
        '\n' => return (None, 2),
        other => return (Some(other), 1 + other.len_utf8()),
    };
    let Some(first) = hex(2, digits) else { return (None, 2) };
    let length = 2 + digits;
    if (0xd800..0xdc00).contains(&first) && text.get(length..length + 2) == Some("\\u") {
        let second = hex(length + 2, 4).filter(|second| (0xdc00..0xe000).contains(second));
        let joined =
            second.and_then(|second| char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
        return (joined, length + 6);
    }
    (char::from_u32(first), length)
}

#[cfg(test)]
mod tests {
    use super::super::{json, yaml};
    use super::*;

    #[test]
    fn a_string_in_json_is_found_byte_by_byte() {
        let document = r#"{"p": "{\"a\":\n \"\u00e4\ud83d\ude00b\"}"}"#;
        let tree = json::parse(document).unwrap();
        let policy = PolicyText::from_node(document, tree.get("p").unwrap()).unwrap();
        let at = policy.json.find("\"ä").unwrap();
        let end = policy.json.len() - 1;
        assert_eq!(&document[policy.outer(&(at..end))], r#"\"\u00e4\ud83d\ude00b\"#);
    }

    #[test]
    fn a_block_of_yaml_is_found_line_by_line() {
        let document = "p:\n  text: |\n    {\"rules\":\n      [1]}\nq: 1\n";
        let tree = yaml::parse(document).unwrap();
        let policy = PolicyText::from_node(document, tree.path(&["p", "text"]).unwrap()).unwrap();
        let at = policy.json.find('1').unwrap();
        let outer = policy.outer(&(at..at + 1));
        assert_eq!(outer.start, document.find("[1]").unwrap() + 1);
        assert_eq!(&document[outer], "1");
    }

    #[test]
    fn an_object_is_printed_and_its_parts_found() {
        let document = r#"{"rules":[{"rulePriority":1,"x":{},"list":["a"]}]}"#;
        let tree = json::parse(document).unwrap();
        let policy = PolicyText::from_node(document, &tree).unwrap();
        let printed: serde_json::Value = serde_json::from_str(&policy.json).unwrap();
        assert_eq!(printed, serde_json::from_str::<serde_json::Value>(document).unwrap());
        let at = policy.json.find("\"a\"").unwrap();
        assert_eq!(&document[policy.outer(&(at..at + 3))], "\"a\"");
        let unknown = Node { span: 3..4, value: Value::Unknown("var.x".to_owned()) };
        assert_eq!(PolicyText::from_node("", &unknown), Err((3..4, "var.x".to_owned())));
    }
}
