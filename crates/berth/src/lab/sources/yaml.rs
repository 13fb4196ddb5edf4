//! YAML to a tree with places. CloudFormation's short forms (`!Sub` and so on) become values that cannot be read here.

use std::borrow::Cow;
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::json::SyntaxError;
use super::tree::{Member, Node, Text, Value};

/// How deep a document may nest.
const DEPTH_MAX: usize = 128;

/// Reads the first document of a text.
pub(super) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let mut reader = Reader { parser: Parser::new_from_str(text), offsets };
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
            Event::StreamEnd => return Err(reader.error(span, "the file is empty")),
            event => return reader.node(event, span, 0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    /// Of each character, its byte.
    offsets: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), SyntaxError> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => {
                let at = self.offset(error.marker().index());
                Err(SyntaxError { at, message: error.info().to_owned() })
            }
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn offset(&self, character: usize) -> usize {
        self.offsets.get(character).or(self.offsets.last()).copied().unwrap_or(0)
    }

    fn range(&self, span: Span) -> Range<usize> {
        self.offset(span.start.index())..self.offset(span.end.index())
    }

    fn error(&self, span: Span, message: &str) -> SyntaxError {
        SyntaxError { at: self.range(span).start, message: message.to_owned() }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, SyntaxError> {
        if depth > DEPTH_MAX {
            return Err(self.error(span, "the document nests too deep"));
        }
        let start = self.range(span);
        let (value, end) = match event {
            Event::Scalar(content, style, _, tag) => {
                (tagged(tag.as_deref(), scalar(content, style, tag.is_some())), start.end)
            }
            Event::Alias(_) => (Value::Unknown("an alias (*name)".to_owned()), start.end),
            Event::SequenceStart(_, tag) => {
                let (items, end) = self.items(depth)?;
                (tagged(tag.as_deref(), Value::List(items)), end)
            }
            Event::MappingStart(_, tag) => {
                let (members, end) = self.members(depth)?;
                (tagged(tag.as_deref(), Value::Map(members)), end)
            }
            _ => return Err(self.error(span, "a value is expected here")),
        };
        Ok(Node { span: start.start..end.max(start.start), value })
    }

    fn items(&mut self, depth: usize) -> Result<(Vec<Node>, usize), SyntaxError> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::SequenceEnd | Event::StreamEnd) {
                return Ok((items, self.range(span).end));
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn members(&mut self, depth: usize) -> Result<(Vec<Member>, usize), SyntaxError> {
        let mut members = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if matches!(event, Event::MappingEnd | Event::StreamEnd) {
                return Ok((members, self.range(span).end));
            }
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let node = self.node(event, span, depth + 1)?;
            let text = match &key.value {
                Value::Text(text) => text.content.clone(),
                Value::Number(number) => number.clone(),
                _ => continue,
            };
            members.push(Member { key: text, key_span: key.span, node });
        }
    }
}

fn tagged(tag: Option<&Tag>, value: Value) -> Value {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Value::Unknown(tag.to_string()),
        _ => value,
    }
}

fn scalar(content: Cow<'_, str>, style: ScalarStyle, is_tagged: bool) -> Value {
    let is_plain = style == ScalarStyle::Plain && !is_tagged;
    match &*content {
        "" | "~" | "null" | "Null" | "NULL" if is_plain => Value::Null,
        "true" | "True" | "TRUE" if is_plain => Value::Bool(true),
        "false" | "False" | "FALSE" if is_plain => Value::Bool(false),
        text if is_plain && serde_json::from_str::<serde_json::Number>(text).is_ok() => {
            Value::Number(text.to_owned())
        }
        _ => Value::Text(Text {
            content: content.into_owned(),
            has_escapes: style == ScalarStyle::DoubleQuoted,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_tags_and_places() {
        let text =
            "a: 1\nö: !Sub x\nlist:\n  - \"t\\n\"\n  - |\n    two\n    lines\nflow: {b: [null, true]}\n";
        let node = parse(text).unwrap();
        assert_eq!(node.get("a").unwrap().value, Value::Number("1".to_owned()));
        assert_eq!(node.get("ö").unwrap().value, Value::Unknown("!Sub".to_owned()));
        let list = node.get("list").unwrap().items();
        assert_eq!((list[0].text(), list[1].text()), (Some("t\n"), Some("two\nlines\n")));
        assert_eq!(&text[list[0].span.clone()], "\"t\\n\"");
        assert_eq!(node.path(&["flow", "b"]).unwrap().items()[1].value, Value::Bool(true));
        assert_eq!(node.unknown().unwrap().1, "!Sub");
    }

    #[test]
    fn wrong_texts_are_refused() {
        for text in ["", "a: [", "a: b: c", "\"x", &"[".repeat(10_000)] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]{}:,\"'|>&*!#? \nab-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
