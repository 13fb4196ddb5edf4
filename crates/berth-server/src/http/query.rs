//! Query strings.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What a value in a query we write need not escape (RFC 3986 "unreserved").
const ESCAPED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/').remove(b':');

/// The parameters of a request.
///
/// `+` stands for itself, not for a space as in HTML forms: no parameter of a registry has spaces, and media types in
/// `artifactType` have plus signs that some clients do not escape.
#[derive(Clone, Debug)]
pub(crate) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    pub(crate) fn of(uri: &'a http::Uri) -> Self {
        Self(uri.query().unwrap_or_default())
    }

    #[cfg(test)]
    pub(crate) const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Every value of a parameter, in order. Bytes that are no UTF-8 become U+FFFD, which no grammar here accepts.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = Cow<'a, str>> {
        self.0.split('&').filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (!pair.is_empty() && decode(key) == name).then(|| decode(value))
        })
    }

    /// The first value of a parameter.
    pub(crate) fn first(&self, name: &str) -> Option<Cow<'a, str>> {
        self.all(name).next()
    }
}

fn decode(text: &str) -> Cow<'_, str> {
    if text.contains('%') { percent_decode_str(text).decode_utf8_lossy() } else { Cow::Borrowed(text) }
}

/// Escapes a value for a query that we write.
pub(crate) fn escape(value: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(value, ESCAPED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_decodes() {
        let query = Query::new("a=1&b=x%2By&b=&c&&%61=2&d=x+y&e=%ff");
        assert_eq!(query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(query.all("b").collect::<Vec<_>>(), ["x+y", ""]);
        assert_eq!(query.first("c").as_deref(), Some(""));
        assert_eq!(query.first("d").as_deref(), Some("x+y"));
        assert_eq!(query.first("e").as_deref(), Some("\u{fffd}"));
        assert_eq!(query.first("f"), None);
        assert_eq!(query.first(""), None);
    }

    #[test]
    fn reads_what_it_escapes() {
        let value = "application/vnd.x+json; q=1&n=ü";
        let text = format!("v={}", escape(value));
        assert_eq!(Query::new(&text).first("v").as_deref(), Some(value));
    }
}
