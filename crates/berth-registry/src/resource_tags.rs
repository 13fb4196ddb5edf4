//! The rules for resource tags (the tags of AWS, not those of images).

use std::collections::HashSet;

use berth_types::limits;

use crate::error::{Error, Result};

/// Checks tags that are to be set.
pub(crate) fn check(tags: &[(String, String)]) -> Result<()> {
    if tags.len() > limits::RESOURCE_TAGS_MAX {
        return Err(Error::TooManyTags);
    }
    check_keys(tags.iter().map(|(key, _)| key.as_str()))?;
    let mut keys = HashSet::new();
    for (key, value) in tags {
        if !keys.insert(key) {
            return Err(Error::InvalidTagParameter(format!("Duplicate tag key '{key}'")));
        }
        if value.chars().count() > limits::RESOURCE_TAG_VALUE_CHARS_MAX {
            return Err(refused(
                "Value",
                &format!(
                    "Member must have length less than or equal to {}",
                    limits::RESOURCE_TAG_VALUE_CHARS_MAX
                ),
            ));
        }
        check_characters("Value", value)?;
    }
    Ok(())
}

/// Checks keys of tags, of those that are to be removed, too.
pub(crate) fn check_keys<'a>(keys: impl Iterator<Item = &'a str>) -> Result<()> {
    for key in keys {
        if !(1..=limits::RESOURCE_TAG_KEY_CHARS_MAX).contains(&key.chars().count()) {
            return Err(refused(
                "Key",
                &format!(
                    "Member must have length between 1 and {}, inclusive",
                    limits::RESOURCE_TAG_KEY_CHARS_MAX
                ),
            ));
        }
        check_characters("Key", key)?;
        if key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:")) {
            return Err(refused("Key", "Tag keys that begin with 'aws:' are reserved"));
        }
    }
    Ok(())
}

/// AWS: letters, digits and spaces of any script, and `_ . : / = + - @`.
fn check_characters(member: &str, text: &str) -> Result<()> {
    let fits = |c: char| {
        c.is_alphanumeric()
            || (c.is_whitespace() && !c.is_control())
            || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
    };
    if text.chars().all(fits) {
        Ok(())
    } else {
        Err(refused(
            member,
            "Member must satisfy regular expression pattern: ^([\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]*)$",
        ))
    }
}

fn refused(member: &str, constraint: &str) -> Error {
    Error::InvalidTagParameter(format!(
        "Invalid parameter at 'tags.{member}' failed to satisfy constraint: '{constraint}'"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_one(key: &str, value: &str) -> Result<()> {
        check(&[(key.to_owned(), value.to_owned())])
    }

    #[test]
    fn takes_what_aws_takes() {
        for (key, value) in [
            ("Project", "shop"),
            ("k", ""),
            (&"k".repeat(128), &"v".repeat(256)),
            (&"ü".repeat(128), "数字 1_2.3:4/5=6+7-8@9"),
            ("awsome", "aws:not a key"),
        ] {
            assert!(check_one(key, value).is_ok(), "{key}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for (key, value) in [
            ("", "v"),
            (&"k".repeat(129), "v"),
            ("k", &"v".repeat(257)),
            ("aws:x", "v"),
            ("AWS:x", "v"),
            ("a\tb", "v"),
            ("a*b", "v"),
            ("k", "v;w"),
        ] {
            assert!(matches!(check_one(key, value), Err(Error::InvalidTagParameter(_))), "{key} {value}");
        }
        let twice = [("k".to_owned(), "1".to_owned()), ("k".to_owned(), "2".to_owned())];
        assert_eq!(check(&twice).unwrap_err().to_string(), "Duplicate tag key 'k'");
        let many: Vec<_> = (0..51).map(|i| (format!("k{i}"), String::new())).collect();
        assert!(matches!(check(&many), Err(Error::TooManyTags)));
        assert!(check(&many[..50]).is_ok());
        assert!(check_keys(["aws:x"].into_iter()).is_err());
    }
}
