//! A strict JSON reader that keeps the place of every value, so that an error can point into the text. It reads policies,
//! and for the policy lab the documents that policies stand in.

use std::ops::Range;

/// What a document may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How deep it may nest.
    pub depth_max: usize,
    /// Whether a key may stand twice in one object. The usual readers silently take the last one.
    pub repeated_keys: bool,
}

/// A value and where it stands, in bytes.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Range<usize>,
    /// What it is.
    pub value: Json,
}

/// A value.
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// As written.
    Number(String),
    /// Decoded.
    Text(String),
    /// In order.
    Array(Vec<Node>),
    /// In order, repeated keys included where the rules allow them.
    Object(Vec<Member>),
}

/// A key of an object with its value.
#[derive(Clone, Debug)]
pub struct Member {
    /// The key, decoded.
    pub key: String,
    /// Where the key stands, in bytes, quotes included.
    pub key_span: Range<usize>,
    /// The value.
    pub node: Node,
}

impl Json {
    /// The name that JSON Schema has for the type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "boolean",
            Self::Number(text) if text.contains(['.', 'e', 'E']) => "number",
            Self::Number(_) => "integer",
            Self::Text(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }
}

/// Why a text is not JSON, and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// Where, in bytes.
    pub at: usize,
    /// What is wrong there, as a sentence without its end.
    pub what: String,
}

/// Reads one value that fills the whole text.
///
/// # Errors
/// The first place where the text is no JSON, or not of these rules.
pub fn parse(text: &str, rules: Rules) -> Result<Node, JsonError> {
    let mut reader = Reader { text, rules, at: 0 };
    reader.skip_space();
    let node = reader.value(0)?;
    reader.skip_space();
    if reader.at < text.len() {
        Err(reader.error("there is text after the end of the JSON document"))
    } else {
        Ok(node)
    }
}

struct Reader<'a> {
    text: &'a str,
    rules: Rules,
    at: usize,
}

impl Reader<'_> {
    fn error(&self, what: &str) -> JsonError {
        JsonError { at: self.at, what: what.to_owned() }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, JsonError> {
        if depth > self.rules.depth_max {
            return Err(self.error("the document nests too deep"));
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.array(depth)?,
            Some(b'"') => Json::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'a'..=b'z') => self.word()?,
            None => return Err(self.error("the text ends where a value is expected")),
            Some(_) => return Err(self.error("a value is expected here")),
        };
        Ok(Node { span: start..self.at, value })
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members: Vec<Member> = Vec::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            let start = self.at;
            if self.peek() != Some(b'"') {
                return Err(self.error("a key in double quotes is expected here"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            if !self.rules.repeated_keys && members.iter().any(|member| member.key == key) {
                return Err(JsonError {
                    at: start,
                    what: format!("the key {key:?} appears twice in one object"),
                });
            }
            self.skip_space();
            if !self.take(b':') {
                return Err(self.error("':' is expected after a key"));
            }
            self.skip_space();
            let node = self.value(depth + 1)?;
            members.push(Member { key, key_span, node });
            self.skip_space();
            if self.take(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.take(b',') {
                return Err(self.error("',' or '}' is expected here"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut nodes = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Json::Array(nodes));
        }
        loop {
            self.skip_space();
            nodes.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Json::Array(nodes));
            }
            if !self.take(b',') {
                return Err(self.error("',' or ']' is expected here"));
            }
        }
    }

    /// Finds the end of a string; what is inside it is decoded by the ordinary JSON library.
    fn string(&mut self) -> Result<String, JsonError> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.peek() {
                None => return Err(JsonError { at: start, what: "this string is not closed".to_owned() }),
                Some(b'"') => break,
                // Any byte may follow: a wrong escape is found by the decoder.
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        let literal = self.text.get(start..self.at).unwrap_or_default();
        serde_json::from_str(literal).map_err(|_| JsonError {
            at: start,
            what: "this string has a wrong escape or a raw control character".to_owned(),
        })
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'+' | b'-' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
            self.at += 1;
        }
        let literal = &self.text[start..self.at];
        match serde_json::from_str::<serde_json::Number>(literal) {
            Ok(_) => Ok(Json::Number(literal.to_owned())),
            Err(_) => Err(JsonError { at: start, what: format!("{literal:?} is not a number") }),
        }
    }

    fn word(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'a'..=b'z')) {
            self.at += 1;
        }
        match &self.text[start..self.at] {
            "null" => Ok(Json::Null),
            "true" => Ok(Json::Bool(true)),
            "false" => Ok(Json::Bool(false)),
            other => Err(JsonError { at: start, what: format!("{other:?} is not a JSON value") }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { depth_max: 32, repeated_keys: false };

    #[test]
    fn says_where_a_text_stops_being_json() {
        for (text, at) in [
            ("", 0),
            ("  ", 2),
            ("{", 1),
            ("{a:1}", 1),
            (r#"{"a" 1}"#, 5),
            (r#"{"a":1,}"#, 7),
            (r#"{"a":1,"a":2}"#, 7),
            (r#"{"a":1 "b":2}"#, 7),
            ("[1,]", 3),
            ("[1 2]", 3),
            ("\"abc", 0),
            (r#""\"#, 0),
            (r#""\x""#, 0),
            ("\"a\nb\"", 0),
            ("01", 0),
            ("1.", 0),
            ("--1", 0),
            ("nul", 0),
            ("NaN", 0),
            ("1 2", 2),
            ("'a'", 0),
        ] {
            assert_eq!(parse(text, RULES).map_err(|error| error.at).err(), Some(at), "{text:?}");
        }
        assert!(parse(&"[".repeat(100_000), RULES).is_err());
    }

    #[test]
    fn repeated_keys_are_kept_in_order_where_they_are_allowed() {
        let rules = Rules { repeated_keys: true, ..RULES };
        let Ok(Node { value: Json::Object(members), .. }) = parse(r#"{"a":true,"a":2}"#, rules) else {
            panic!("it is an object")
        };
        assert!(matches!(members[0].node.value, Json::Bool(true)));
        assert!(matches!(&members[1].node.value, Json::Number(two) if two == "2"));
    }

    proptest::proptest! {
        #[test]
        fn accepts_what_the_json_library_accepts(text in r#"[\[\]{},: "a1.\\e-]{0,16}"#) {
            let ours = parse(&text, RULES);
            match serde_json::from_str::<serde_json::Value>(&text) {
                Ok(_) => proptest::prop_assert!(ours.is_ok() || ours.unwrap_err().what.contains("twice")),
                Err(error) => proptest::prop_assert!(ours.is_err() || error.to_string().contains("out of range")),
            }
        }

        #[test]
        fn never_panics(text: String) {
            let _ = parse(&text, RULES);
        }
    }
}
