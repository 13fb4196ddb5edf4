//! `Range` of a GET, `Content-Range` of an upload, and entity tags.

use std::ops::Range;

use berth_types::Digest;
use http::{HeaderMap, HeaderValue, header};

/// What part of some content a GET asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// Bytes that there are not.
    Unsatisfiable,
}

/// Reads a `Range` header for content of `bytes` bytes (RFC 9110, section 14). A header that is malformed, in another unit
/// or of several ranges is ignored, as the RFC allows; `5-2` is refused rather than ignored, because the client would take
/// the whole content for its part.
pub(crate) fn wanted(header: &str, bytes: u64) -> Wanted {
    let Some(range) = header.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let Some((first, last)) = range.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last && first < bytes => {
            Wanted::Part(first..last.saturating_add(1).min(bytes))
        }
        (Some(first), None) if last.is_empty() && first < bytes => Wanted::Part(first..bytes),
        (None, Some(suffix)) if first.is_empty() && suffix > 0 && bytes > 0 => {
            Wanted::Part(bytes.saturating_sub(suffix)..bytes)
        }
        (Some(_), Some(_)) => Wanted::Unsatisfiable,
        (Some(_), None) if last.is_empty() => Wanted::Unsatisfiable,
        (None, Some(_)) if first.is_empty() => Wanted::Unsatisfiable,
        _ => Wanted::Whole,
    }
}

/// The value of a `Range` header that is to be honoured: a GET has one, and its `If-Range`, if any, names this content.
pub(crate) fn range_header<'a>(headers: &'a HeaderMap, digest: &Digest) -> Option<&'a str> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    match headers.get(header::IF_RANGE) {
        Some(condition) if condition.as_bytes() != entity_tag(digest).as_bytes() => None,
        _ => Some(range),
    }
}

/// Reads the `Content-Range` of an upload: `<first>-<last>` as the distribution specification has it, or
/// `bytes <first>-<last>/<length>` as HTTP has it.
pub(crate) fn content_range(text: &str) -> Option<Range<u64>> {
    let text = text.trim();
    let text = text.strip_prefix("bytes ").map_or(text, str::trim_start);
    let (range, length) = text.split_once('/').map_or((text, None), |(range, length)| (range, Some(length)));
    if !length.is_none_or(|length| length == "*" || number(length).is_some()) {
        return None;
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then(|| last.checked_add(1)).flatten().map(|end| first..end)
}

/// A number of digits only: `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More digits than a u64 has are beyond any content.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// The `ETag` of content: its digest.
pub(crate) fn entity_tag(digest: &Digest) -> HeaderValue {
    HeaderValue::try_from(format!("\"{digest}\"")).unwrap_or(HeaderValue::from_static("\"\""))
}

/// Whether the client says that it has this content already.
pub(crate) fn not_modified(headers: &HeaderMap, digest: &Digest) -> bool {
    let mut conditions = headers.get_all(header::IF_NONE_MATCH).iter().peekable();
    if conditions.peek().is_none() {
        return false;
    }
    let tag = entity_tag(digest);
    conditions.filter_map(|condition| condition.to_str().ok()).flat_map(|list| list.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one).as_bytes() == tag.as_bytes()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-5", Wanted::Part(2..6)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=9-", Wanted::Part(9..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=2-500", Wanted::Part(2..10)),
            ("bytes=2-99999999999999999999999", Wanted::Part(2..10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=10-12", Wanted::Unsatisfiable),
            ("bytes=99999999999999999999999-", Wanted::Unsatisfiable),
            ("bytes=5-2", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=1-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("bytes=1-2,4-5", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("", Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
        for header in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(wanted(header, 0), Wanted::Unsatisfiable, "{header} of nothing");
        }
    }

    #[test]
    fn content_ranges() {
        for (text, expected) in [
            ("0-9", Some(0..10)),
            ("5-5", Some(5..6)),
            ("bytes 5-9/10", Some(5..10)),
            ("bytes 5-9/*", Some(5..10)),
            ("5-4", None),
            ("-4", None),
            ("4-", None),
            ("a-4", None),
            ("0-9/x", None),
            ("0-18446744073709551615", None),
            ("", None),
            ("bytes", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }

    #[test]
    fn conditions() {
        let digest = Digest::sha256(b"x");
        let tag = format!("\"{digest}\"");
        let holds = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::IF_NONE_MATCH, value.parse().unwrap());
            }
            not_modified(&headers, &digest)
        };
        assert!(!holds(&[]));
        assert!(!holds(&["\"sha256:0\""]));
        assert!(holds(&[&tag]));
        assert!(holds(&["*"]));
        assert!(holds(&[&format!("\"a\", W/{tag}")]));
        assert!(holds(&["\"a\"", &tag]));

        let mut headers = HeaderMap::new();
        assert_eq!(range_header(&headers, &digest), None);
        headers.insert(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(range_header(&headers, &digest), Some("bytes=0-1"));
        headers.insert(header::IF_RANGE, tag.parse().unwrap());
        assert_eq!(range_header(&headers, &digest), Some("bytes=0-1"));
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"other\""));
        assert_eq!(range_header(&headers, &digest), None);
    }

    proptest::proptest! {
        #[test]
        fn a_part_lies_within_the_content(header: String, first: u64, last: u64, bytes: u64) {
            for header in [header, format!("bytes={first}-{last}"), format!("bytes=-{last}")] {
                if let Wanted::Part(part) = wanted(&header, bytes) {
                    proptest::prop_assert!(part.start < part.end && part.end <= bytes);
                }
            }
        }
    }
}
