//! `n` and `last`.

use super::error::OciError;
use crate::http::query::Query;

/// How many items a page is to have; `None` if the client asks for none at all. Any number will do: a page has no more than
/// `max` items, and the rest follows by `Link`.
pub(super) fn page_items(query: &Query<'_>, max: usize) -> Result<Option<usize>, OciError> {
    let Some(text) = query.first("n").filter(|text| !text.is_empty()) else { return Ok(Some(max)) };
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(OciError::PageSize);
    }
    // More digits than a usize has are more than any page, too.
    match text.parse::<usize>().unwrap_or(max).min(max) {
        0 => Ok(None),
        items => Ok(Some(items)),
    }
}

/// The item that the previous page ended with. An empty one is the start.
pub(super) fn page_start<T>(
    query: &Query<'_>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, OciError> {
    match query.first("last").filter(|last| !last.is_empty()) {
        None => Ok(None),
        Some(last) => parse(&last).map(Some).ok_or(OciError::PageStart),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_is_a_page_size() {
        for (text, expected) in [
            ("", Some(100)),
            ("n=", Some(100)),
            ("n=0", None),
            ("n=000", None),
            ("n=1", Some(1)),
            ("n=007", Some(7)),
            ("n=100", Some(100)),
            ("n=101", Some(100)),
            ("n=99999999999999999999999999", Some(100)),
        ] {
            assert_eq!(page_items(&Query::new(text), 100).unwrap(), expected, "{text}");
        }
        for text in ["n=-1", "n=+1", "n=1.5", "n=x", "n=1e3", "n=%20"] {
            assert!(matches!(page_items(&Query::new(text), 100), Err(OciError::PageSize)), "{text}");
        }
    }

    #[test]
    fn a_start_is_read_by_its_grammar() {
        let parse = |text: &str| text.parse::<u8>().ok();
        assert!(matches!(page_start(&Query::new("last=7"), parse), Ok(Some(7))));
        assert!(matches!(page_start(&Query::new("last="), parse), Ok(None)));
        assert!(matches!(page_start(&Query::new(""), parse), Ok(None)));
        assert!(matches!(page_start(&Query::new("last=x"), parse), Err(OciError::PageStart)));
    }
}
