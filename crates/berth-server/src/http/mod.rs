//! What both planes need of HTTP and no framework gives: guarded connections, request bodies with an idle limit, ranges,
//! query strings, request ids. No protocol's names are known here.

pub(crate) mod body;
pub(crate) mod connection;
pub(crate) mod query;
pub(crate) mod range;
pub(crate) mod request_id;
