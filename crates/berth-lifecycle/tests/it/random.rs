//! Random repositories, small and crowded, so that rules meet.

use std::collections::BTreeSet;

use berth_lifecycle::{
    Action, Count, Image, ImageKind, ImageStorage, Policy, Rule, Selection, StorageClass, TagList,
    TagSelector,
};
use berth_types::{Digest, Tag, Timestamp};
use proptest::prelude::*;

use crate::support::{DAY, NOW};

const TAGS: [&str; 12] =
    ["v1", "v2", "v1-rc", "sha-1", "sha-2", "latest", "main", "main-v1", "dev", "a", "ab", "ba"];
const PATTERNS: [&str; 14] = [
    "v*", "v1*", "*v1", "*v1*", "sha-*", "latest", "latest*", "main*", "dev*", "a*", "*a", "a*b", "*",
    "m*-*1",
];
const PREFIXES: [&str; 8] = ["v", "v1", "sha-", "latest", "main", "dev", "a", ""];

/// Some tags of a small world.
fn tags() -> impl Strategy<Value = Vec<Tag>> {
    prop_oneof![
        1 => Just(Vec::new()),
        3 => proptest::sample::subsequence(&TAGS[..], 1..=4)
            .prop_map(|tags| tags.into_iter().map(|tag| Tag::parse(tag).unwrap()).collect()),
    ]
}

/// A time some days ago: usually whole days, so that times collide and age limits are met exactly.
fn moment() -> impl Strategy<Value = Timestamp> {
    let jitter = prop_oneof![3 => Just(0), 1 => -1_i64..=1, 1 => 0..DAY];
    (-1_i64..130, jitter)
        .prop_map(|(days, jitter)| Timestamp::from_millis(NOW.millis() - days * DAY + jitter))
}

/// An image without relations.
pub(crate) fn image() -> impl Strategy<Value = Image> {
    let storage = prop_oneof![
        6 => Just(ImageStorage::Standard),
        2 => Just(ImageStorage::Archive),
        1 => Just(ImageStorage::Activating)
    ];
    let history = (
        proptest::option::of(moment()),
        proptest::option::weighted(0.3, moment()),
        proptest::option::weighted(0.2, moment()),
    );
    (any::<u64>(), tags(), moment(), history, storage, proptest::option::of(0_u64..1_000)).prop_map(
        |(seed, tags, pushed_at, (pulled, archived, activated), storage, size_bytes)| Image {
            tags,
            last_pulled_at: pulled,
            last_archived_at: archived,
            last_activated_at: activated,
            storage,
            size_bytes,
            ..Image::new(Digest::sha256(&seed.to_be_bytes()), pushed_at)
        },
    )
}

/// An image in standard storage that was never restored.
pub(crate) fn plain_image() -> impl Strategy<Value = Image> {
    image().prop_map(|image| Image {
        storage: ImageStorage::Standard,
        last_activated_at: None,
        last_archived_at: None,
        ..image
    })
}

/// Images with unique digests, without relations.
pub(crate) fn unrelated(
    images: impl Strategy<Value = Image>,
    most: usize,
) -> impl Strategy<Value = Vec<Image>> {
    proptest::collection::vec(images, 0..=most).prop_map(unique)
}

fn unique(mut images: Vec<Image>) -> Vec<Image> {
    let mut seen = BTreeSet::new();
    images.retain(|image| seen.insert(image.digest));
    images
}

/// A repository: images, indexes over some of them, referrers to some of them, each pointing to an earlier image or to
/// one that is not there.
pub(crate) fn repository(most: usize) -> impl Strategy<Value = Vec<Image>> {
    let relation = (0_u8..8, any::<proptest::sample::Index>(), any::<proptest::sample::Index>());
    proptest::collection::vec((image(), relation), 0..=most).prop_map(|parts| {
        let mut images: Vec<Image> = Vec::new();
        for (mut image, (kind, first, second)) in parts {
            let earlier = |index: &proptest::sample::Index| match images.len() {
                0 => Digest::sha256(b"absent"),
                len => images[index.index(len)].digest,
            };
            match kind {
                0 => {
                    image.kind = ImageKind::Index;
                    image.references = vec![earlier(&first), earlier(&second)];
                }
                1 => image.subject = Some(earlier(&first)),
                2 => image.subject = Some(Digest::sha256(b"absent")),
                _ => {}
            }
            images.push(image);
        }
        unique(images)
    })
}

fn list(entries: &'static [&'static str]) -> impl Strategy<Value = Vec<String>> {
    proptest::sample::subsequence(entries, 1..=3)
        .prop_map(|entries| entries.into_iter().map(str::to_owned).collect())
}

fn tagged() -> impl Strategy<Value = TagSelector> {
    prop_oneof![
        list(&PREFIXES).prop_map(|list| TagSelector::Tagged(TagList::Prefixes(list))),
        list(&PATTERNS).prop_map(|list| TagSelector::Tagged(TagList::Patterns(list))),
    ]
}

fn count() -> impl Strategy<Value = Count> {
    prop_oneof![
        4 => (1_u32..6).prop_map(Count::ImagesMoreThan),
        3 => (1_u32..100).prop_map(Count::DaysSincePushed),
        2 => (1_u32..100).prop_map(Count::DaysSincePulled),
        2 => (90_u32..120).prop_map(Count::DaysSinceTransitioned),
    ]
}

fn rule() -> impl Strategy<Value = Rule> {
    let tags = prop_oneof![6 => tagged(), 1 => Just(TagSelector::Untagged), 1 => Just(TagSelector::Any)];
    (1_u32..100, tags, count(), any::<bool>()).prop_map(|(priority, tags, count, archives)| {
        let (storage, action) = match count {
            Count::DaysSinceTransitioned(_) => (Some(StorageClass::Archive), Action::Expire),
            Count::DaysSincePulled(_) => (None, Action::Archive),
            _ => (None, if archives { Action::Archive } else { Action::Expire }),
        };
        // An `any` rule comes last.
        let priority = if tags == TagSelector::Any { priority + 1_000 } else { priority };
        Rule { priority, description: None, selection: Selection { tags, storage, count }, action }
    })
}

/// A policy of up to eight rules. Rules that would make it invalid are left out, the later ones first.
pub(crate) fn policy() -> impl Strategy<Value = Policy> {
    proptest::collection::vec(rule(), 1..=8).prop_map(|rules| {
        let mut kept: Vec<Rule> = Vec::new();
        for rule in rules {
            kept.push(rule);
            if Policy::from_rules(kept.clone()).is_err() {
                kept.pop();
            }
        }
        Policy::from_rules(kept).unwrap()
    })
}
