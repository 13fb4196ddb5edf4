//! Who calls: docker tokens on the OCI plane, signatures on the API plane; and which web pages may not call at all.

pub(crate) mod basic;
pub(crate) mod origin;
pub(crate) mod sigv4;
