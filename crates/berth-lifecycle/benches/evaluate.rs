//! One million images against fifty rules, on one core.
//!
//! Two repositories: `plain`, where every image stands for itself, and `multi_arch`, where every fifth image is an index
//! over the two before it and every tenth a signature of the one before it. At the end the peak memory of the process is
//! printed; it includes the images themselves.

use std::hint::black_box;

use berth_lifecycle::{
    Action, Count, Image, ImageKind, Policy, Rule, Selection, TagList, TagSelector, evaluate,
};
use berth_types::{Algorithm, Digest, Tag, Timestamp};
use criterion::{Criterion, criterion_group, criterion_main};

const IMAGES: u64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * 1000;
const NOW: Timestamp = Timestamp::from_millis(20_000 * DAY);

/// A generator of numbers that look random and are the same in every run (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn digest(numbers: &mut Numbers) -> Digest {
    let mut hash = [0; 32];
    for part in hash.chunks_exact_mut(8) {
        part.copy_from_slice(&numbers.next().to_be_bytes());
    }
    Digest::from_hash(Algorithm::Sha256, &hash).expect("32 bytes are a SHA-256 hash")
}

fn images(is_multi_arch: bool) -> Vec<Image> {
    let mut numbers = Numbers(1);
    let mut images: Vec<Image> = Vec::new();
    for number in 0..IMAGES {
        let pushed = NOW.millis() - i64::try_from(numbers.next() % 1_000_000_000).unwrap_or(0) * 80;
        let mut image = Image::new(digest(&mut numbers), Timestamp::from_millis(pushed));
        let team = numbers.next() % 60;
        if !number.is_multiple_of(8) {
            let tags = [format!("team{team}-v1.{number}"), format!("sha-{:016x}", numbers.next())];
            image.tags = tags.iter().map(|tag| Tag::parse(tag).expect("the tag is well-formed")).collect();
        }
        image.size_bytes = Some(50_000_000 + number);
        if let (true, [.., first, second]) = (is_multi_arch, &images[..]) {
            if number.is_multiple_of(5) {
                image.kind = ImageKind::Index;
                image.references = vec![first.digest, second.digest];
            } else if number % 10 == 9 {
                image.subject = Some(second.digest);
            }
        }
        images.push(image);
    }
    images
}

/// Counting and ageing rules by turns, 48 of them on a pattern of their own and one they share, then untagged and any.
fn policy() -> Policy {
    let rule = |priority, tags, count| Rule {
        priority,
        description: None,
        selection: Selection { tags, storage: None, count },
        action: Action::Expire,
    };
    let mut rules: Vec<Rule> = (1..=48)
        .map(|number| {
            let patterns = match number % 3 {
                0 => vec![format!("team{number}-*")],
                1 => vec![format!("team{number}-v1.*"), "sha-*".to_owned()],
                _ => vec![format!("*{number}-v*7*")],
            };
            let count =
                if number % 2 == 0 { Count::ImagesMoreThan(500) } else { Count::DaysSincePushed(300) };
            rule(number, TagSelector::Tagged(TagList::Patterns(patterns)), count)
        })
        .collect();
    rules.push(rule(49, TagSelector::Untagged, Count::DaysSincePushed(7)));
    rules.push(rule(50, TagSelector::Any, Count::ImagesMoreThan(500_000)));
    Policy::from_rules(rules).expect("the rules are valid")
}

fn bench(criterion: &mut Criterion) {
    let policy = policy();
    let mut group = criterion.benchmark_group("evaluate 1,000,000 images x 50 rules");
    group.sample_size(10);
    for (name, is_multi_arch) in [("plain", false), ("multi_arch", true)] {
        let images = images(is_multi_arch);
        group.bench_function(name, |bencher| {
            bencher.iter(|| evaluate(black_box(&policy), black_box(&images), NOW));
        });
    }
    group.finish();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(peak) = status.lines().find(|line| line.starts_with("VmHWM")) {
        println!("peak memory of the process: {}", peak.trim_start_matches("VmHWM:").trim());
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
