//! Wildcard patterns against tags: the quick matcher agrees with the definition.
#![no_main]

use berth_types::WildcardPattern;
use libfuzzer_sys::fuzz_target;

fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
    // fits[i]: the pattern so far fits the first i bytes of the text.
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    for symbol in pattern {
        let mut next = vec![false; text.len() + 1];
        for end in 0..=text.len() {
            next[end] = match symbol {
                b'*' => fits[end] || (end > 0 && next[end - 1]),
                byte => end > 0 && fits[end - 1] && text[end - 1] == *byte,
            };
        }
        fits = next;
    }
    fits[text.len()]
}

fuzz_target!(|input: &str| {
    let Some((pattern, text)) = input.split_once('\n') else { return };
    if pattern.len() * text.len() > 100_000 {
        return;
    }
    let expected = by_definition(pattern.as_bytes(), text.as_bytes());
    assert_eq!(WildcardPattern::new(pattern).matches(text), expected);
});
