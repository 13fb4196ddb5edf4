//! Lifecycle policies: a policy that is accepted is accepted again in canonical form, and means the same.
#![no_main]

use berth_lifecycle::Policy;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Policy::parse(text) {
        Ok(policy) => {
            let canonical = policy.to_canonical_json();
            if canonical.chars().count() >= berth_types::limits::LIFECYCLE_POLICY_CHARS_MIN {
                assert_eq!(Policy::parse(&canonical).as_ref(), Ok(&policy), "{canonical}");
            }
        }
        Err(error) => assert!(!error.aws_message().is_empty()),
    }
});
