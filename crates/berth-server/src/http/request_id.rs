//! Names for requests: in an answer's header, in its body if it is a 5xx, and in the log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// The id of one request, in the form of a UUID, as Amazon's services write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(uuid::Uuid);

impl RequestId {
    /// The id as the value of a header.
    pub(crate) fn header(self) -> HeaderValue {
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        let text: &str = self.0.as_hyphenated().encode_lower(&mut text);
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("unknown"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Makes request ids: random per process, counted within it, so that a request costs no system call.
#[derive(Debug)]
pub(crate) struct RequestIds {
    process: u64,
    start: u64,
    next: AtomicU64,
}

impl RequestIds {
    pub(crate) fn new() -> Self {
        let (process, start) = uuid::Uuid::new_v4().as_u64_pair();
        Self { process, start, next: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self) -> RequestId {
        let count = self.next.fetch_add(1, Ordering::Relaxed);
        // An odd factor permutes the 64-bit numbers, so ids differ although neighbours do not look alike.
        let low = self.start.wrapping_add(count.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let bytes = uuid::Uuid::from_u64_pair(self.process ^ (count << 20), low).into_bytes();
        RequestId(uuid::Builder::from_random_bytes(bytes).into_uuid())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_differ_and_look_like_uuids() {
        let ids = RequestIds::new();
        let seen: HashSet<String> = (0..10_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|id| uuid::Uuid::parse_str(id).unwrap().get_version_num() == 4));
        let id = ids.next();
        assert_eq!(id.header().to_str().unwrap(), id.to_string());
    }
}
