//! What repositories cost: now, after their policy has run, and over the next twelve months.

use std::fmt::Write as _;

use berth_lifecycle::{ImageKind, ImageStorage, Policy, evaluate};
use berth_types::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::forecast::{Assumptions, Day, PushRate, format_rate, run};
use super::images::Inventory;
use super::simulate::indented;
use super::text::{leaves, table};
use super::units::{DAY_MILLIS, GB_BYTES, format_bytes, format_date, format_dollars, thousands, to_f64};
use super::usage::Usage;

/// Days of the forecast.
const DAYS: usize = 365;
const MONTHS: usize = 12;

/// Prices in dollars.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Prices {
    /// A GB (2^30 bytes) in standard storage for a month.
    storage_gb_month: f64,
    /// A GB in the archive for a month.
    archive_gb_month: f64,
    /// A GB that leaves for anywhere but AWS.
    transfer_out_gb: f64,
    /// The scan of an image.
    scan: f64,
    /// Scans in a month that cost nothing.
    scans_free_per_month: f64,
}

impl Default for Prices {
    /// us-east-1. The archive costs the same as standard storage up to 150 TB.
    fn default() -> Self {
        Self {
            storage_gb_month: 0.10,
            archive_gb_month: 0.10,
            transfer_out_gb: 0.09,
            scan: 0.09,
            scans_free_per_month: 100.0,
        }
    }
}

impl Prices {
    /// Reads a price file. What it leaves out has the default.
    ///
    /// # Errors
    /// [`LabError`] with the place of what is wrong.
    pub(crate) fn parse(file: &str, text: &str) -> Result<Self, LabError> {
        let prices: Self = toml::from_str(text).map_err(|error| LabError::from_toml(file, text, &error))?;
        let all = [
            prices.storage_gb_month,
            prices.archive_gb_month,
            prices.transfer_out_gb,
            prices.scan,
            prices.scans_free_per_month,
        ];
        if all.iter().all(|price| price.is_finite() && *price >= 0.0) {
            Ok(prices)
        } else {
            Err(LabError::whole(file, "every price must be a number of 0 or more"))
        }
    }

    fn storage(&self, bytes: f64, archived: f64) -> f64 {
        let gb = to_f64(GB_BYTES);
        bytes / gb * self.storage_gb_month + archived / gb * self.archive_gb_month
    }
}

/// A repository to be paid for.
pub(crate) struct Repository<'a> {
    pub(crate) name: String,
    pub(crate) inventory: &'a Inventory,
    pub(crate) policy: Option<&'a Policy>,
}

/// What is assumed about the next twelve months, for each repository alike.
pub(crate) struct Future {
    pub(crate) rate: PushRate,
    pub(crate) tags: Vec<String>,
    /// What a push adds; the average of what is there if not given.
    pub(crate) image_bytes: Option<u64>,
    /// GB that leave AWS in a month, all repositories together.
    pub(crate) transfer_gb: f64,
}

/// All repositories together.
#[derive(Debug, Serialize)]
pub(crate) struct Estimate {
    prices: Prices,
    repositories: Vec<RepositoryCost>,
    totals: Totals,
}

/// One repository.
#[derive(Debug, Serialize)]
struct RepositoryCost {
    name: String,
    images: usize,
    /// Whether the layers of every image are known, so that shared ones count once.
    layers_known: bool,
    now: Storage,
    /// After the policy's next run; absent without a policy.
    after_policy: Option<Storage>,
    pushed_image_bytes: u64,
    months: Vec<Month>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Storage {
    bytes: u64,
    archived_bytes: u64,
    dollars_per_month: f64,
}

/// The average of a month, in dollars.
#[derive(Clone, Debug, Serialize)]
struct Month {
    begins: String,
    /// With the policy; the same as without if there is none.
    dollars: f64,
    dollars_without_policy: f64,
}

#[derive(Debug, Serialize)]
struct Totals {
    now_dollars_per_month: f64,
    after_policy_dollars_per_month: f64,
    twelve_months_storage: f64,
    twelve_months_storage_without_policy: f64,
    scans_per_month: f64,
    scan_dollars_per_month: f64,
    transfer_dollars_per_month: f64,
    twelve_months: f64,
}

/// Computes all of it.
///
/// # Errors
/// What is too much to be computed, or makes no sense.
pub(crate) fn estimate(
    repositories: &[Repository<'_>],
    now: Timestamp,
    prices: Prices,
    future: &Future,
) -> Result<Estimate, String> {
    let costs = repositories.iter().map(|repository| cost(repository, now, &prices, future));
    let costs = costs.collect::<Result<Vec<_>, String>>()?;
    let months =
        |value: fn(&Month) -> f64| -> f64 { costs.iter().flat_map(|cost| &cost.months).map(value).sum() };
    let after = |cost: &RepositoryCost| cost.after_policy.unwrap_or(cost.now).dollars_per_month;
    let scans = future.rate.per_month() * count_f64(repositories.len());
    let scan_dollars = (scans - prices.scans_free_per_month).max(0.0) * prices.scan;
    let transfer_dollars = future.transfer_gb * prices.transfer_out_gb;
    let storage = months(|month| month.dollars);
    let totals = Totals {
        now_dollars_per_month: costs.iter().map(|cost| cost.now.dollars_per_month).sum(),
        after_policy_dollars_per_month: costs.iter().map(after).sum(),
        twelve_months_storage: storage,
        twelve_months_storage_without_policy: months(|month| month.dollars_without_policy),
        scans_per_month: scans,
        scan_dollars_per_month: scan_dollars,
        transfer_dollars_per_month: transfer_dollars,
        twelve_months: storage + 12.0 * (scan_dollars + transfer_dollars),
    };
    Ok(Estimate { prices, repositories: costs, totals })
}

fn count_f64(number: usize) -> f64 {
    to_f64(u64::try_from(number).unwrap_or(u64::MAX))
}

fn cost(
    repository: &Repository<'_>,
    now: Timestamp,
    prices: &Prices,
    future: &Future,
) -> Result<RepositoryCost, String> {
    let inventory = repository.inventory;
    let storage = |is_there: &dyn Fn(usize) -> bool, is_archived: &dyn Fn(usize) -> bool| {
        let bytes = Usage::of(inventory, |place| is_there(place) && !is_archived(place)).bytes();
        let archived_bytes = Usage::of(inventory, |place| is_there(place) && is_archived(place)).bytes();
        let dollars_per_month = prices.storage(to_f64(bytes), to_f64(archived_bytes));
        Storage { bytes, archived_bytes, dollars_per_month }
    };
    let was_archived = |place: usize| inventory.images[place].storage == ImageStorage::Archive;
    let current = storage(&|_| true, &was_archived);
    let after_policy = repository.policy.map(|policy| {
        use berth_lifecycle::Action::{Archive, Expire};
        let actions: Vec<_> = evaluate(policy, &inventory.images, now)
            .decisions
            .iter()
            .map(|decision| leaves(decision.outcome))
            .collect();
        storage(&|place| actions[place] != Some(Expire), &|place| {
            was_archived(place) || actions[place] == Some(Archive)
        })
    });
    let image_bytes = future.image_bytes.unwrap_or_else(|| average_image_bytes(inventory));
    let assumptions = Assumptions {
        until: Timestamp::from_millis(now.millis() + i64::try_from(DAYS).unwrap_or(0) * DAY_MILLIS),
        rate: future.rate,
        tags: future.tags.clone(),
        image_bytes,
    };
    let without = run(None, inventory, now, &assumptions)?;
    let with = match repository.policy {
        Some(policy) => run(Some(policy), inventory, now, &assumptions)?,
        None => without.clone(),
    };
    Ok(RepositoryCost {
        name: repository.name.clone(),
        images: inventory.images.len(),
        layers_known: inventory
            .layers
            .iter()
            .zip(&inventory.images)
            .all(|(layers, image)| layers.is_some() || image.kind == ImageKind::Index),
        now: current,
        after_policy,
        pushed_image_bytes: image_bytes,
        months: (0..MONTHS).map(|month| month_of(month, &with, &without, prices)).collect(),
    })
}

/// What an image of the repository adds to its storage on average.
pub(crate) fn average_image_bytes(inventory: &Inventory) -> u64 {
    let images = inventory.images.iter().filter(|image| image.kind == ImageKind::Image).count();
    let bytes = Usage::of(inventory, |_| true).bytes();
    bytes.checked_div(u64::try_from(images).unwrap_or(u64::MAX)).unwrap_or(0)
}

fn month_of(month: usize, with: &[Day], without: &[Day], prices: &Prices) -> Month {
    // The state at the end of a day stands for the day that follows; day 0 is today.
    let days = month * DAYS / MONTHS..(month + 1) * DAYS / MONTHS;
    let average = |states: &[Day]| {
        let states = &states[days.clone()];
        let sum = |value: fn(&Day) -> u64| states.iter().map(|day| to_f64(value(day))).sum::<f64>();
        let number = count_f64(states.len().max(1));
        prices.storage(sum(|day| day.bytes) / number, sum(|day| day.archived_bytes) / number)
    };
    let begins = with.get(days.start).map_or_else(String::new, |day| format_date(day.at));
    Month { begins, dollars: average(with), dollars_without_policy: average(without) }
}

/// The estimate for people.
pub(crate) fn text(estimate: &Estimate, future: &Future) -> String {
    let mut text = String::new();
    let rows = estimate.repositories.iter().map(|cost| {
        let after = cost.after_policy.unwrap_or(cost.now);
        let year = |value: fn(&Month) -> f64| format_dollars(cost.months.iter().map(value).sum());
        vec![
            cost.name.clone(),
            thousands(cost.images),
            format_bytes(cost.now.bytes.saturating_add(cost.now.archived_bytes)),
            format_dollars(cost.now.dollars_per_month),
            if cost.after_policy.is_some() {
                format_bytes(after.bytes.saturating_add(after.archived_bytes))
            } else {
                "no policy".to_owned()
            },
            format_dollars(after.dollars_per_month),
            year(|month| month.dollars),
            year(|month| month.dollars_without_policy),
        ]
    });
    let header = [
        "REPOSITORY",
        "IMAGES",
        "STORED",
        "A MONTH",
        "AFTER POLICY",
        "A MONTH",
        "12 MONTHS",
        "WITHOUT POLICY",
    ];
    text.push_str(&table(&header, &rows.collect::<Vec<_>>()));
    for cost in &estimate.repositories {
        let _ = writeln!(
            text,
            "\n{}, month by month, with {} pushes a month of {}:",
            cost.name,
            format_rate(future.rate),
            format_bytes(cost.pushed_image_bytes)
        );
        let rows = cost.months.iter().map(|month| {
            vec![
                month.begins.clone(),
                format_dollars(month.dollars),
                format_dollars(month.dollars_without_policy),
            ]
        });
        text.push_str(&indented(&table(&["FROM", "STORAGE", "WITHOUT POLICY"], &rows.collect::<Vec<_>>())));
    }
    let totals = &estimate.totals;
    let _ = writeln!(
        text,
        "\nStorage now {} a month, after the policy {}; over 12 months {}, without a policy {}",
        format_dollars(totals.now_dollars_per_month),
        format_dollars(totals.after_policy_dollars_per_month),
        format_dollars(totals.twelve_months_storage),
        format_dollars(totals.twelve_months_storage_without_policy)
    );
    let _ = writeln!(
        text,
        "Scans {} a month ({:.0}, {:.0} of them free), transfer out {} a month",
        format_dollars(totals.scan_dollars_per_month),
        totals.scans_per_month,
        totals.scans_per_month.min(estimate.prices.scans_free_per_month),
        format_dollars(totals.transfer_dollars_per_month)
    );
    let _ = writeln!(text, "All together over 12 months: {}", format_dollars(totals.twelve_months));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = GB_BYTES;

    fn inventory(text: &str) -> Inventory {
        Inventory::parse("i.json", text).unwrap()
    }

    fn future(rate: &str) -> Future {
        Future {
            rate: PushRate::parse(rate).unwrap(),
            tags: vec!["v*".to_owned()],
            image_bytes: None,
            transfer_gb: 10.0,
        }
    }

    fn digest(name: &str) -> String {
        berth_types::Digest::sha256(name.as_bytes()).to_string()
    }

    #[test]
    fn shared_layers_are_paid_once_and_scans_beyond_the_free_ones() {
        let layer =
            |name: &str, gb: u64| format!("{{\"digest\": \"{}\", \"size\": {}}}", digest(name), gb * GB);
        let image = |name: &str, own: u64| {
            format!(
                "{{\"imageDigest\": \"{}\", \"imagePushedAt\": 0, \"imageSizeInBytes\": {}, \"layers\": [{}, {}]}}",
                digest(name),
                (10 + own) * GB,
                layer("base", 10),
                layer(&format!("{name} layer"), own)
            )
        };
        let inventory = inventory(&format!("[{}, {}]", image("a", 1), image("b", 3)));
        let repository = Repository { name: "shop/api".to_owned(), inventory: &inventory, policy: None };
        let now = Timestamp::from_millis(0);
        let estimate = estimate(&[repository], now, Prices::default(), &future("0")).unwrap();
        let cost = &estimate.repositories[0];
        assert_eq!((cost.now.bytes, cost.layers_known, cost.months.len()), (14 * GB, true, 12));
        assert!((cost.now.dollars_per_month - 1.4).abs() < 1e-9);
        assert!((estimate.totals.twelve_months_storage - 16.8).abs() < 1e-9);
        assert!((estimate.totals.transfer_dollars_per_month - 0.9).abs() < 1e-9);
        assert!(estimate.totals.scan_dollars_per_month.abs() < 1e-9);
    }

    #[test]
    fn a_policy_bounds_what_grows_without_one() {
        let images: Vec<String> = (0..10)
            .map(|number| {
                let digest = digest(&number.to_string());
                format!("{{\"imageDigest\": \"{digest}\", \"imagePushedAt\": {number}, \"imageTags\": [\"v{number}\"], \"imageSizeInBytes\": {GB}}}")
            })
            .collect();
        let inventory = inventory(&format!("[{}]", images.join(",")));
        let policy = Policy::parse(
            r#"{"rules": [{"rulePriority": 1, "description": "keep the youngest five of everything",
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5}, "action": {"type": "expire"}}]}"#,
        )
        .unwrap();
        let repository = Repository { name: "r".to_owned(), inventory: &inventory, policy: Some(&policy) };
        let estimate =
            estimate(&[repository], Timestamp::from_millis(0), Prices::default(), &future("10/day")).unwrap();
        let cost = &estimate.repositories[0];
        assert_eq!((cost.now.bytes, cost.after_policy.unwrap().bytes), (10 * GB, 5 * GB));
        assert!((cost.months[11].dollars - 0.5).abs() < 1e-9);
        assert!(cost.months[11].dollars_without_policy > 300.0);
        assert!((estimate.totals.scan_dollars_per_month - 18.0).abs() < 1e-9, "200 of 300");
        assert!(text(&estimate, &future("10/day")).contains("300 pushes a month"));
    }

    #[test]
    fn a_price_file_overrides_and_is_checked() {
        let prices = Prices::parse("p.toml", "storage_gb_month = 0.2\n").unwrap();
        assert_eq!(prices, Prices { storage_gb_month: 0.2, ..Prices::default() });
        for (text, message) in [
            ("storage = 1\n", "p.toml:1:1: unknown field `storage`"),
            ("scan = -1.0\n", "p.toml: every price must be"),
            ("scan = nan\n", "p.toml: every price must be"),
            ("scan = \"x\"\n", "p.toml:1:8: invalid type"),
            ("scan = \n", "p.toml:1:"),
        ] {
            let error = Prices::parse("p.toml", text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
