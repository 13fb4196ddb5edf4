//! Stack files: whatever is in one, there is an answer.
#![no_main]

use std::io::{Error, ErrorKind};

use berth_stack::StackSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let no_files = |_: &std::path::Path| Err(Error::from(ErrorKind::NotFound));
    match StackSpec::parse("berth.toml", text, &no_files) {
        Ok(stack) => assert!(stack.repositories().iter().all(|one| !one.service.is_empty())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
