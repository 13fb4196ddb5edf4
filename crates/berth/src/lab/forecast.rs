//! Forward in time: images come at a rate, a policy runs once a day, and what is stored is measured every day.
//!
//! A model, and no more: every pushed image is alike, nobody pulls, nobody deletes by hand.

use std::fmt::Write as _;

use berth_lifecycle::{Action, Image, ImageStorage, Policy, evaluate};
use berth_types::{Digest, Tag, Timestamp};
use serde::Serialize;

use super::images::{Inventory, Layer};
use super::simulate::indented;
use super::text::{leaves, table};
use super::units::{DAY_MILLIS, format_bytes, format_date, thousands};
use super::usage::Usage;

/// Images times days that one forecast may look at.
const IMAGE_DAYS_MAX: u64 = 500_000_000;
/// Days that one forecast may run.
const DAYS_MAX: i64 = 3_660;
/// Pushes in a day.
const PUSHES_PER_DAY_MAX: f64 = 10_000.0;

/// Pushes in a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PushRate {
    per_day: f64,
}

impl PushRate {
    /// Nobody pushes.
    pub(crate) const NONE: Self = Self { per_day: 0.0 };

    /// Reads `5/day`, `10/week` or `3/month` (of 30 days); a number alone is per day.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "day"));
        let days = match unit.trim() {
            "day" | "d" => 1.0,
            "week" | "w" => 7.0,
            "month" | "m" => 30.0,
            _ => return Err(format!("{text:?} is no rate like 5/day, 10/week or 3/month")),
        };
        let number: f64 = number.trim().parse().map_err(|_| format!("{text:?} is no rate like 5/day"))?;
        let per_day = number / days;
        if !(0.0..=PUSHES_PER_DAY_MAX).contains(&per_day) {
            return Err(format!("a rate is between 0 and {PUSHES_PER_DAY_MAX} pushes a day"));
        }
        Ok(Self { per_day })
    }

    /// Pushes in a month of 30 days.
    pub(crate) fn per_month(self) -> f64 {
        self.per_day * 30.0
    }
}

/// What is assumed about the future.
#[derive(Clone, Debug)]
pub(crate) struct Assumptions {
    /// When to stop.
    pub(crate) until: Timestamp,
    /// How often somebody pushes.
    pub(crate) rate: PushRate,
    /// The tags of a pushed image. `*` becomes a number; a tag without `*` moves from image to image.
    pub(crate) tags: Vec<String>,
    /// What a pushed image adds to the storage.
    pub(crate) image_bytes: u64,
}

/// What a repository looks like at the end of a day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Day {
    #[serde(serialize_with = "as_moment")]
    pub(crate) at: Timestamp,
    /// Pushed since the beginning.
    pub(crate) pushed: usize,
    /// Deleted since the beginning.
    pub(crate) expired: usize,
    /// Archived since the beginning.
    pub(crate) archived: usize,
    /// In standard storage.
    pub(crate) images: usize,
    /// Stored in standard storage, each blob once.
    pub(crate) bytes: u64,
    /// Stored in the archive, each blob once.
    pub(crate) archived_bytes: u64,
}

fn as_moment<S: serde::Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&super::units::format_moment(*moment))
}

/// Runs forward from `now`. The first day is `now` itself, before the policy has run. Without a policy everything stays.
///
/// # Errors
/// What is too much to be computed.
pub(crate) fn run(
    policy: Option<&Policy>,
    inventory: &Inventory,
    now: Timestamp,
    assumptions: &Assumptions,
) -> Result<Vec<Day>, String> {
    let days = (assumptions.until.millis() - now.millis()).div_euclid(DAY_MILLIS);
    if days < 1 {
        return Err("the forecast ends before it begins: --until must be at least a day away".to_owned());
    }
    if days > DAYS_MAX {
        return Err(format!("the forecast would run for {days} days; {DAYS_MAX} are the most"));
    }
    let mut future = Future::new(inventory, now, assumptions)?;
    let mut states = vec![future.day(now)];
    for number in 1..=days {
        let at = Timestamp::from_millis(now.millis() + number * DAY_MILLIS);
        future.push_until(at);
        if let Some(policy) = policy {
            future.apply(policy, at)?;
        }
        states.push(future.day(at));
    }
    Ok(states)
}

struct Future<'a> {
    assumptions: &'a Assumptions,
    images: Vec<Image>,
    /// Known blobs of each image.
    layers: Vec<Option<&'a [Layer]>>,
    usage: Usage,
    archive: Usage,
    start: Timestamp,
    pushed: usize,
    expired: usize,
    archived: usize,
    /// Image-days looked at.
    work: u64,
}

impl<'a> Future<'a> {
    fn new(inventory: &'a Inventory, start: Timestamp, assumptions: &'a Assumptions) -> Result<Self, String> {
        for tag in &assumptions.tags {
            Tag::parse(&tag.replace('*', "1")).map_err(|error| format!("{tag:?} makes no tag: {error}"))?;
        }
        Ok(Self {
            assumptions,
            images: inventory.images.clone(),
            layers: inventory.layers.iter().map(Option::as_deref).collect(),
            usage: Usage::of(inventory, |place| inventory.images[place].storage != ImageStorage::Archive),
            archive: Usage::of(inventory, |place| inventory.images[place].storage == ImageStorage::Archive),
            start,
            pushed: 0,
            expired: 0,
            archived: 0,
            work: 0,
        })
    }

    fn day(&self, at: Timestamp) -> Day {
        let standard = self.images.iter().filter(|image| image.storage != ImageStorage::Archive);
        Day {
            at,
            pushed: self.pushed,
            expired: self.expired,
            archived: self.archived,
            images: standard.count(),
            bytes: self.usage.bytes(),
            archived_bytes: self.archive.bytes(),
        }
    }

    /// The pushes up to a moment, at even distances.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "bounded by days and rate"
    )]
    fn push_until(&mut self, at: Timestamp) {
        let per_day = self.assumptions.rate.per_day;
        loop {
            let next = (self.pushed + 1) as f64 / per_day * DAY_MILLIS as f64;
            if !next.is_finite() || self.start.millis() as f64 + next > at.millis() as f64 {
                return;
            }
            self.push(Timestamp::from_millis(self.start.millis() + next as i64));
        }
    }

    fn push(&mut self, at: Timestamp) {
        self.pushed += 1;
        let number = self.pushed;
        let mut image = Image::new(Digest::sha256(format!("push {number} of a forecast").as_bytes()), at);
        for pattern in &self.assumptions.tags {
            let is_moving = !pattern.contains('*');
            let Ok(tag) = Tag::parse(&pattern.replace('*', &number.to_string())) else { continue };
            if is_moving {
                for older in &mut self.images {
                    older.tags.retain(|other| *other != tag);
                }
            }
            image.tags.push(tag);
        }
        image.size_bytes = Some(self.assumptions.image_bytes);
        self.usage.add(image.size_bytes, None);
        self.images.push(image);
        self.layers.push(None);
    }

    fn apply(&mut self, policy: &Policy, at: Timestamp) -> Result<(), String> {
        self.work += u64::try_from(self.images.len()).unwrap_or(u64::MAX);
        if self.work > IMAGE_DAYS_MAX {
            return Err(
                "so many images for so many days cannot be computed here; choose a nearer date".to_owned()
            );
        }
        let actions: Vec<Option<Action>> = evaluate(policy, &self.images, at)
            .decisions
            .iter()
            .map(|decision| leaves(decision.outcome))
            .collect();
        for (place, action) in actions.iter().enumerate() {
            let Some(action) = action else { continue };
            let (image, layers) = (&mut self.images[place], self.layers[place]);
            let usage =
                if image.storage == ImageStorage::Archive { &mut self.archive } else { &mut self.usage };
            usage.remove(image.size_bytes, layers);
            match action {
                Action::Expire => self.expired += 1,
                Action::Archive => {
                    self.archived += 1;
                    self.archive.add(image.size_bytes, layers);
                    image.storage = ImageStorage::Archive;
                    image.last_archived_at = Some(at);
                }
            }
        }
        let mut stays = actions.iter().map(|action| *action != Some(Action::Expire));
        self.images.retain(|_| stays.next().unwrap_or(true));
        let mut stays = actions.iter().map(|action| *action != Some(Action::Expire));
        self.layers.retain(|_| stays.next().unwrap_or(true));
        Ok(())
    }
}

/// The days that are worth a line: at most so many, evenly spread, the last one among them.
pub(crate) fn milestones(days: &[Day], lines_max: usize) -> Vec<Day> {
    let Some(last) = days.len().checked_sub(1) else { return Vec::new() };
    let step = last.div_ceil(lines_max.max(1)).max(1);
    let mut places: Vec<usize> = (0..=last).step_by(step).collect();
    if places.last() != Some(&last) {
        places.push(last);
    }
    places.into_iter().map(|place| days[place]).collect()
}

/// A forecast for people.
pub(crate) fn text(days: &[Day], assumptions: &Assumptions) -> String {
    let mut text = String::from("\nForward in time");
    let tags = if assumptions.tags.is_empty() { "no tag".to_owned() } else { assumptions.tags.join(" and ") };
    let _ = writeln!(
        text,
        ", with {} pushes a month of {} tagged {tags}:",
        format_rate(assumptions.rate),
        format_bytes(assumptions.image_bytes)
    );
    let rows = milestones(days, 15).into_iter().map(|day| {
        vec![
            format_date(day.at),
            thousands(day.pushed),
            thousands(day.expired),
            thousands(day.archived),
            thousands(day.images),
            format_bytes(day.bytes.saturating_add(day.archived_bytes)),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    text.push_str(&indented(&table(&["DATE", "PUSHED", "EXPIRED", "ARCHIVED", "IMAGES", "STORED"], &rows)));
    text
}

/// Pushes in a month without needless digits.
pub(crate) fn format_rate(rate: PushRate) -> String {
    let per_month = rate.per_month();
    if (per_month - per_month.round()).abs() < 0.05 {
        format!("{per_month:.0}")
    } else {
        format!("{per_month:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEEP_5: &str = r#"{"rules": [{"rulePriority": 1, "description": "keep the youngest five of everything",
        "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}}]}"#;

    fn assumptions(days: i64, rate: &str, tags: &[&str]) -> Assumptions {
        Assumptions {
            until: Timestamp::from_millis(days * DAY_MILLIS),
            rate: PushRate::parse(rate).unwrap(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            image_bytes: 10,
        }
    }

    fn forecast(policy: Option<&str>, days: i64, rate: &str, tags: &[&str]) -> Vec<Day> {
        let policy = policy.map(|text| Policy::parse(text).unwrap());
        let start = Timestamp::from_millis(0);
        run(policy.as_ref(), &Inventory::default(), start, &assumptions(days, rate, tags)).unwrap()
    }

    #[test]
    fn a_counting_policy_reaches_its_number_and_stays_there() {
        let days = forecast(Some(KEEP_5), 10, "2/day", &["v*"]);
        assert_eq!(days.len(), 11);
        let images: Vec<usize> = days.iter().map(|day| day.images).collect();
        assert_eq!(images, [0, 2, 4, 5, 5, 5, 5, 5, 5, 5, 5]);
        let last = days[10];
        assert_eq!((last.pushed, last.expired, last.bytes), (20, 15, 50));
    }

    #[test]
    fn without_a_policy_everything_stays() {
        let last = *forecast(None, 70, "10/week", &[]).last().unwrap();
        assert_eq!((last.pushed, last.images, last.bytes), (100, 100, 1000));
        assert_eq!(forecast(None, 70, "0", &[]).last().unwrap().pushed, 0);
    }

    #[test]
    fn a_moving_tag_is_on_one_image_only() {
        let untagged = KEEP_5.replace("\"any\"", "\"untagged\"");
        let last = *forecast(Some(&untagged), 20, "1/day", &["latest"]).last().unwrap();
        assert_eq!((last.pushed, last.images), (20, 6), "five untagged and the latest");
    }

    #[test]
    fn wrong_rates_and_dates_are_refused() {
        for rate in ["", "x", "-1", "5/year", "1e9", "NaN", "inf"] {
            assert!(PushRate::parse(rate).is_err(), "{rate}");
        }
        let start = Timestamp::from_millis(0);
        for days in [-1, 0, 100_000] {
            assert!(run(None, &Inventory::default(), start, &assumptions(days, "1", &[])).is_err(), "{days}");
        }
        assert!(run(None, &Inventory::default(), start, &assumptions(2, "1", &["a b"])).is_err());
    }

    #[test]
    fn milestones_are_few_and_end_with_the_last_day() {
        let days = forecast(None, 100, "1", &[]);
        let chosen = milestones(&days, 15);
        assert!(chosen.len() <= 17 && chosen.last() == days.last() && chosen.first() == days.first());
        assert!(milestones(&[], 5).is_empty());
    }
}
