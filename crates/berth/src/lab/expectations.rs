//! A file of expectations about a policy, for a user's own continuous integration.

use std::collections::HashSet;
use std::fmt;
use std::fmt::Write as _;
use std::path::PathBuf;

use berth_lifecycle::{Image, ImageKind, ImageStorage, Outcome, Policy, evaluate};
use berth_types::{Digest, Tag, Timestamp};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::error::{LabError, position};
use super::simulate::governing;
use super::text::outcome;
use super::units::{DAY_MILLIS, parse_moment};

/// Cases in one file.
const CASES_MAX: usize = 10_000;
/// Images in one case.
const IMAGES_MAX: usize = 100_000;
/// The moment at which a case looks at its images if the file names none. Ages are relative, so any will do.
const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// A file of expectations.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    policy: PathBuf,
    repository: Option<String>,
    #[serde(default, rename = "case")]
    cases: Vec<Spanned<RawCase>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    image: RawImage,
    #[serde(default)]
    newer: Crowds,
    #[serde(default)]
    older: Crowds,
    expect: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawImage {
    #[serde(default)]
    tags: Vec<Spanned<String>>,
    pushed: Spanned<String>,
    pulled: Option<Spanned<String>>,
    archived: Option<Spanned<String>>,
    restored: Option<Spanned<String>>,
    /// Whether an index refers to it.
    #[serde(default)]
    in_index: bool,
}

/// Other images of the repository, pushed after or before the one in question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Crowd {
    count: usize,
    #[serde(default)]
    tags: Vec<Spanned<String>>,
}

/// One crowd or a list of them.
#[derive(Debug, Default)]
struct Crowds(Vec<Crowd>);

impl<'de> Deserialize<'de> for Crowds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Crowds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("{ count = ..., tags = [...] } or a list of such tables")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Crowds, A::Error> {
                Ok(Crowds(vec![Crowd::deserialize(MapAccessDeserializer::new(map))?]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Crowds, A::Error> {
                Ok(Crowds(Vec::deserialize(SeqAccessDeserializer::new(list))?))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// A checked file.
#[derive(Debug)]
pub(crate) struct Expectations {
    /// The file with the policy, as the expectations name it.
    pub(crate) policy: PathBuf,
    /// Which of its policies, if it has several.
    pub(crate) repository: Option<String>,
    cases: Vec<Case>,
}

#[derive(Debug)]
struct Case {
    name: String,
    line: usize,
    images: Vec<Image>,
    expected: Expected,
}

/// What shall happen to the image, and by which rule if that is said.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Expected {
    fate: Fate,
    rule: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Kept,
    Expired,
    Archived,
    Blocked,
}

/// What came of a case.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    name: String,
    line: usize,
    pub(crate) passed: bool,
    expected: String,
    actual: String,
    reason: String,
}

impl Expectations {
    /// Reads a file of expectations (TOML). `file` is its name for messages.
    ///
    /// # Errors
    /// [`LabError`] with the place of the first thing that is wrong.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, LabError> {
        let raw: RawFile = toml::from_str(text).map_err(|error| LabError::from_toml(file, text, &error))?;
        if raw.cases.is_empty() {
            return Err(LabError::whole(file, "there is no [[case]], so nothing would be tested"));
        }
        if raw.cases.len() > CASES_MAX {
            return Err(LabError::whole(file, format!("there are more than {CASES_MAX} cases")));
        }
        let reader = Reader { file, text };
        let cases = raw.cases.iter().map(|case| reader.case(case)).collect::<Result<_, _>>()?;
        Ok(Self { policy: raw.policy, repository: raw.repository, cases })
    }

    /// Tries every case on a policy.
    pub(crate) fn verdicts(&self, policy: &Policy) -> Vec<Verdict> {
        self.cases.iter().map(|case| case.verdict(policy)).collect()
    }
}

impl Case {
    fn verdict(&self, policy: &Policy) -> Verdict {
        let evaluation = evaluate(policy, &self.images, NOW);
        // The image in question is the first one.
        let decision = &evaluation.decisions[0];
        let (fate, rule) = match decision.outcome {
            Outcome::Keep => (Fate::Kept, governing(decision.why)),
            Outcome::Expire { rule } => (Fate::Expired, rule),
            Outcome::Archive { rule } => (Fate::Archived, rule),
            Outcome::Blocked { rule, .. } => (Fate::Blocked, rule),
            Outcome::Cascade { .. } => (Fate::Expired, 0),
        };
        // What an index holds back is kept, too.
        let is_fate = fate == self.expected.fate || fate == Fate::Blocked && self.expected.fate == Fate::Kept;
        let is_rule = self.expected.rule.is_none_or(|expected| expected == rule);
        let actual = match decision.outcome {
            Outcome::Keep if rule > 0 => format!("kept by {rule}"),
            other => outcome(other),
        };
        Verdict {
            name: self.name.clone(),
            line: self.line,
            passed: is_fate && is_rule,
            expected: self.expected.to_string(),
            actual,
            reason: decision.reason(&self.images, NOW),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, preposition) = match self.fate {
            Fate::Kept => ("kept", "by"),
            Fate::Expired => ("expired", "by"),
            Fate::Archived => ("archived", "by"),
            Fate::Blocked => ("blocked", "from"),
        };
        match self.rule {
            Some(rule) => write!(f, "{word} {preposition} {rule}"),
            None => f.write_str(word),
        }
    }
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn wrong<T>(&self, value: &Spanned<T>, message: impl Into<String>) -> LabError {
        LabError::at(self.file, self.text, value.span().start, message)
    }

    fn case(&self, case: &Spanned<RawCase>) -> Result<Case, LabError> {
        let (line, _) = position(self.text, case.span().start);
        let raw = case.get_ref();
        let total: usize =
            raw.newer.0.iter().chain(&raw.older.0).fold(1, |sum, crowd| sum.saturating_add(crowd.count));
        if total > IMAGES_MAX {
            return Err(self.wrong(case, format!("the case has more than {IMAGES_MAX} images")));
        }
        let expected = self.expected(&raw.expect)?;
        let image = self.image(&raw.image)?;
        let pushed = image.effective_push();
        let mut images = vec![image];
        if raw.image.in_index {
            let mut index = Image::new(Digest::sha256(b"the index of a case"), pushed);
            index.kind = ImageKind::Index;
            index.references = vec![images[0].digest];
            // Tagged with what no pattern is likely to meet, so that rules about other images leave it alone.
            images.push(index);
        }
        let span = NOW.millis().saturating_sub(pushed.millis()).max(0);
        let newer = raw.newer.0.iter().map(|crowd| crowd.count).sum::<usize>();
        let step = span / i64::try_from(newer + 1).unwrap_or(i64::MAX);
        let mut number = 0;
        for crowd in &raw.newer.0 {
            for _ in 0..crowd.count {
                number += 1;
                let at = pushed.millis().saturating_add((step * number).max(number));
                images.push(self.member(crowd, number, Timestamp::from_millis(at))?);
            }
        }
        let mut before: i64 = 0;
        for crowd in &raw.older.0 {
            for _ in 0..crowd.count {
                before += 1;
                let at = pushed.millis().saturating_sub(before * DAY_MILLIS / 24);
                images.push(self.member(crowd, number + before, Timestamp::from_millis(at))?);
            }
        }
        Ok(Case { name: raw.name.clone(), line, images: tagged_once(images), expected })
    }

    fn image(&self, raw: &RawImage) -> Result<Image, LabError> {
        let moment =
            |value: &Option<Spanned<String>>| value.as_ref().map(|value| self.moment(value)).transpose();
        let mut image = Image::new(Digest::sha256(b"the image of a case"), self.moment(&raw.pushed)?);
        image.tags = self.tags(&raw.tags, None)?;
        image.last_pulled_at = moment(&raw.pulled)?;
        image.last_archived_at = moment(&raw.archived)?;
        image.last_activated_at = moment(&raw.restored)?;
        // Whichever came last.
        if image.last_archived_at > image.last_activated_at {
            image.storage = ImageStorage::Archive;
        }
        Ok(image)
    }

    fn member(&self, crowd: &Crowd, number: i64, at: Timestamp) -> Result<Image, LabError> {
        let mut image = Image::new(Digest::sha256(format!("image {number} of a case").as_bytes()), at);
        image.tags = self.tags(&crowd.tags, Some(number))?;
        Ok(image)
    }

    fn tags(&self, tags: &[Spanned<String>], number: Option<i64>) -> Result<Vec<Tag>, LabError> {
        let tags = tags.iter().map(|tag| {
            let text = match number {
                Some(number) => tag.get_ref().replace('*', &number.to_string()),
                None => tag.get_ref().clone(),
            };
            Tag::parse(&text).map_err(|error| self.wrong(tag, format!("{text:?} is no tag: {error}")))
        });
        tags.collect()
    }

    fn moment(&self, value: &Spanned<String>) -> Result<Timestamp, LabError> {
        parse_age(value.get_ref()).map_err(|message| self.wrong(value, message))
    }

    fn expected(&self, value: &Spanned<String>) -> Result<Expected, LabError> {
        parse_expected(value.get_ref()).ok_or_else(|| {
            let message = format!(
                "{:?} is no expectation; write kept, expired, archived or blocked, and \"by 2\" to name the rule",
                value.get_ref()
            );
            self.wrong(value, message)
        })
    }
}

/// A tag is on one image only: an earlier image of the list keeps it.
fn tagged_once(mut images: Vec<Image>) -> Vec<Image> {
    let mut seen = HashSet::new();
    for image in &mut images {
        image.tags.retain(|tag| seen.insert(tag.clone()));
    }
    images
}

/// `400 days ago`, `3 hours ago`, `now`.
fn parse_age(text: &str) -> Result<Timestamp, String> {
    let wrong = || format!("{text:?} is no age like \"400 days ago\" or \"6 hours ago\"");
    if text.trim() == "now" {
        return Ok(NOW);
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    let [number, unit, "ago"] = words.as_slice() else {
        let hint = if parse_moment(text).is_ok() {
            "; ages are relative, so that the test means the same tomorrow"
        } else {
            ""
        };
        return Err(format!("{}{hint}", wrong()));
    };
    let unit = match unit.trim_end_matches('s') {
        "day" => DAY_MILLIS,
        "hour" => DAY_MILLIS / 24,
        "minute" => DAY_MILLIS / 24 / 60,
        "week" => 7 * DAY_MILLIS,
        "month" => 30 * DAY_MILLIS,
        "year" => 365 * DAY_MILLIS,
        _ => return Err(wrong()),
    };
    let number: u32 = number.parse().map_err(|_| wrong())?;
    Ok(Timestamp::from_millis(NOW.millis().saturating_sub(i64::from(number).saturating_mul(unit))))
}

/// `kept`, `expired by 1`, `blocked from 3`.
fn parse_expected(text: &str) -> Option<Expected> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (word, rule) = match words.as_slice() {
        [word] => (*word, None),
        [word, "by" | "from", rule] | [word, "by" | "from", "rule", rule] => {
            (*word, Some(rule.parse().ok()?))
        }
        _ => return None,
    };
    let fate = match word {
        "kept" => Fate::Kept,
        "expired" => Fate::Expired,
        "archived" => Fate::Archived,
        "blocked" => Fate::Blocked,
        _ => return None,
    };
    Some(Expected { fate, rule })
}

/// The verdicts for people: one line for each case that passed, a difference for each that did not.
pub(crate) fn text(file: &str, verdicts: &[Verdict]) -> String {
    let green = anstyle::AnsiColor::Green.on_default();
    let red = anstyle::AnsiColor::Red.on_default();
    let mut text = String::new();
    for verdict in verdicts {
        if verdict.passed {
            let _ = writeln!(text, "{green}ok{green:#}    {}: {}", verdict.name, verdict.actual);
            continue;
        }
        let _ = writeln!(text, "{red}FAIL{red:#}  {} ({file}:{})", verdict.name, verdict.line);
        let _ = writeln!(text, "      {red}- {}{red:#}", verdict.expected);
        let _ = writeln!(text, "      {green}+ {}{green:#}: {}", verdict.actual, verdict.reason);
    }
    let failed = verdicts.iter().filter(|verdict| !verdict.passed).count();
    let _ = writeln!(text, "\n{} passed, {failed} failed", verdicts.len() - failed);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_expectations_are_read() {
        assert_eq!(parse_age("now"), Ok(NOW));
        assert_eq!(parse_age("2 days ago"), Ok(Timestamp::from_millis(NOW.millis() - 2 * DAY_MILLIS)));
        assert_eq!(parse_age("1 week ago"), parse_age("7 days ago"));
        assert!(parse_age("4294967295 years ago").is_ok(), "long ago, but no overflow");
        for wrong in ["", "2 days", "two days ago", "-1 days ago", "2 eons ago", "2026-01-01"] {
            assert!(parse_age(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_expected("kept"), Some(Expected { fate: Fate::Kept, rule: None }));
        assert_eq!(
            parse_expected("expired by rule 3"),
            Some(Expected { fate: Fate::Expired, rule: Some(3) })
        );
        for wrong in ["", "gone", "expired by", "expired by x", "kept kept"] {
            assert_eq!(parse_expected(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let case = |more: &str| format!("policy = \"p.json\"\n[[case]]\nname = \"n\"\n{more}\n");
        for (text, message) in [
            ("policy = \"p.json\"\n".to_owned(), "t.toml: there is no [[case]]"),
            ("policy = \n".to_owned(), "t.toml:1:"),
            (case("image = { pushed = \"soon\" }\nexpect = \"kept\""), "t.toml:4:20: \"soon\" is no age"),
            (
                case("image = { pushed = \"now\", tags = [\"a b\"] }\nexpect = \"kept\""),
                "t.toml:4:35: \"a b\" is no tag",
            ),
            (
                case("image = { pushed = \"now\" }\nexpect = \"gone\""),
                "t.toml:5:10: \"gone\" is no expectation",
            ),
            (case("image = { pushed = \"now\" }\nexpct = \"kept\""), "t.toml:5:1: unknown field `expct`"),
            (
                case("image = { pushed = \"now\" }\nexpect = \"kept\"\nnewer = { count = 1000000 }"),
                "t.toml:2:1: the case has more than 100000 images",
            ),
        ] {
            let error = Expectations::parse("t.toml", &text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
