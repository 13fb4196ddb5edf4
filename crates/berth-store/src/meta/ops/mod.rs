//! Every operation of [`super::MetaStore`], once, as an async function over [`super::tx::Tx`].
//!
//! A function here runs inside a transaction that its caller opened, and is undone whole if it fails. Those that only read
//! do it in a single statement, so that they need no transaction to see one state. Nothing here knows which database runs
//! the statements.

pub(crate) mod blobs;
pub(crate) mod collector;
pub(crate) mod dead_objects;
pub(crate) mod expire;
pub(crate) mod images;
pub(crate) mod installation;
pub(crate) mod lifecycle;
pub(crate) mod preview;
pub(crate) mod put_image;
pub(crate) mod repositories;
pub(crate) mod tags;
pub(crate) mod uploads;
