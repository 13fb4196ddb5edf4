//! The form of the corpus files, and short ways to build images.

use std::collections::BTreeMap;

use berth_lifecycle::{Evaluation, Image, ImageKind, ImageStorage, Outcome, Policy};
use berth_types::{Digest, Tag, Timestamp};
use serde::Deserialize;

/// 2026-01-01T00:00:00Z. Every test looks at the world from here.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_767_225_600_000);
pub(crate) const DAY: i64 = 24 * 60 * 60 * 1000;

/// One case of an evaluation file.
#[derive(Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) policy: serde_json::Value,
    pub(crate) images: Vec<CaseImage>,
    pub(crate) expected: Expected,
}

#[derive(Deserialize)]
pub(crate) struct CaseImage {
    pub(crate) id: String,
    digest: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
    pushed_days_ago: f64,
    #[serde(default)]
    storage_class: String,
    #[serde(default)]
    media: String,
    #[serde(default)]
    references: Vec<String>,
    subject: Option<String>,
    last_pulled_days_ago: Option<f64>,
    last_archived_days_ago: Option<f64>,
    last_activated_days_ago: Option<f64>,
}

/// Names of images, and the rule that acts, where there is one.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(crate) struct Expected {
    expired: Vec<Acted>,
    archived: Vec<Acted>,
    kept: Vec<String>,
    blocked: Vec<Blocked>,
    cascaded: Vec<Cascaded>,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Acted {
    image: String,
    rule: u32,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Blocked {
    image: String,
    rule: u32,
    code: String,
}

#[derive(Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
struct Cascaded {
    image: String,
    subject: String,
}

impl Case {
    pub(crate) fn policy(&self) -> Policy {
        // The text limits are no part of these cases, so the rules may stand without descriptions.
        let text = format!("{:#}{:120}", self.policy, "");
        Policy::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    pub(crate) fn images(&self) -> Vec<Image> {
        let digests: BTreeMap<&str, Digest> =
            self.images.iter().map(|image| (image.id.as_str(), image.digest())).collect();
        self.images.iter().map(|image| image.build(&digests)).collect()
    }

    pub(crate) fn expected(&self) -> Expected {
        let Expected { expired, archived, kept, blocked, cascaded } = &self.expected;
        let acted = |list: &[Acted]| {
            list.iter().map(|Acted { image, rule }| Acted { image: image.clone(), rule: *rule }).collect()
        };
        Expected {
            expired: acted(expired),
            archived: acted(archived),
            kept: kept.clone(),
            blocked: blocked
                .iter()
                .map(|Blocked { image, rule, code }| Blocked {
                    image: image.clone(),
                    rule: *rule,
                    code: code.clone(),
                })
                .collect(),
            cascaded: cascaded
                .iter()
                .map(|Cascaded { image, subject }| Cascaded {
                    image: image.clone(),
                    subject: subject.clone(),
                })
                .collect(),
        }
        .sorted()
    }

    /// An evaluation in the words of the corpus.
    pub(crate) fn observed(&self, evaluation: &Evaluation) -> Expected {
        let name = |place: usize| self.images[place].id.clone();
        let mut observed = Expected::default();
        for (place, decision) in evaluation.decisions.iter().enumerate() {
            let image = name(place);
            match decision.outcome {
                Outcome::Keep => observed.kept.push(image),
                Outcome::Expire { rule } => observed.expired.push(Acted { image, rule }),
                Outcome::Archive { rule } => observed.archived.push(Acted { image, rule }),
                Outcome::Blocked { rule, code, .. } => {
                    observed.kept.push(image.clone());
                    observed.blocked.push(Blocked { image, rule, code: code.to_owned() });
                }
                Outcome::Cascade { subject, .. } => {
                    observed.cascaded.push(Cascaded { image, subject: name(subject) });
                }
            }
        }
        observed.sorted()
    }
}

impl Expected {
    fn sorted(mut self) -> Self {
        self.expired.sort();
        self.archived.sort();
        self.kept.sort();
        self.blocked.sort();
        self.cascaded.sort();
        self
    }
}

impl CaseImage {
    fn digest(&self) -> Digest {
        match &self.digest {
            Some(digest) => Digest::parse(digest).unwrap(),
            None => Digest::sha256(self.id.as_bytes()),
        }
    }

    fn build(&self, digests: &BTreeMap<&str, Digest>) -> Image {
        let digest_of =
            |id: &String| digests.get(id.as_str()).copied().unwrap_or_else(|| Digest::sha256(id.as_bytes()));
        Image {
            tags: self.tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
            last_pulled_at: self.last_pulled_days_ago.map(days_ago),
            last_archived_at: self.last_archived_days_ago.map(days_ago),
            last_activated_at: self.last_activated_days_ago.map(days_ago),
            storage: match self.storage_class.as_str() {
                "" | "standard" => ImageStorage::Standard,
                "archive" => ImageStorage::Archive,
                "activating" => ImageStorage::Activating,
                other => panic!("{other}"),
            },
            kind: if self.media == "index" { ImageKind::Index } else { ImageKind::Image },
            references: self.references.iter().map(digest_of).collect(),
            subject: self.subject.as_ref().map(digest_of),
            ..Image::new(self.digest(), days_ago(self.pushed_days_ago))
        }
    }
}

/// The moment so many days before [`NOW`].
#[expect(clippy::cast_possible_truncation, reason = "days of test data, rounded to milliseconds")]
pub(crate) fn days_ago(days: f64) -> Timestamp {
    Timestamp::from_millis(NOW.millis() - (days * DAY as f64).round() as i64)
}

/// An image with tags; the name only makes its digest.
pub(crate) fn image(name: &str, tags: &[&str], pushed_days_ago: f64) -> Image {
    Image {
        tags: tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect(),
        ..Image::new(Digest::sha256(name.as_bytes()), days_ago(pushed_days_ago))
    }
}
