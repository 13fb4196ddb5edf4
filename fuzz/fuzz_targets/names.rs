//! Names, digests and ARNs as they stand in URLs and requests: what parses prints as it was written.
#![no_main]

use berth_types::{AccountId, Digest, Region, RepositoryArn, RepositoryName, Tag, UploadId};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    macro_rules! prints_what_it_parses {
        ($($type:ty),*) => {
            $(if let Ok(parsed) = <$type>::parse(text) {
                assert_eq!(parsed.to_string(), text);
            })*
        };
    }
    prints_what_it_parses!(AccountId, Digest, Region, RepositoryArn, RepositoryName, Tag);
    if let Some(upload) = UploadId::parse(text) {
        assert_eq!(UploadId::parse(&upload.to_string()), Some(upload));
    }
});
