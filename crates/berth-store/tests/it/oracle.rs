//! A second implementation of the storage format, written from `docs/storage-format.md`: slow, and with no code in common
//! with the first but AES-GCM and HMAC themselves.
