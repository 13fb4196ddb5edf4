//! A decision in a sentence.

use berth_types::Timestamp;

use super::{AgeClock, DAY_MILLIS, Decision, Image, Outcome, Why};
use crate::policy::Action;

impl Decision {
    /// Why the image goes or stays, as one sentence without a full stop. `images` and `now` are those of the evaluation.
    #[must_use]
    pub fn reason(&self, images: &[Image], now: Timestamp) -> String {
        let digest =
            |place: usize| images.get(place).map_or_else(String::new, |image| image.digest.to_string());
        let mut reason = match self.why {
            Why::NoRuleMatches => "no rule matches it".to_owned(),
            Why::Activating => "it is being restored from the archive".to_owned(),
            Why::FollowsSubject { subject } => format!("it follows its subject {}", digest(subject)),
            Why::Ranked { rule, rank, keep } => {
                format!(
                    "number {rank} from the youngest of those that rule {rule} counts, which keeps {keep}"
                )
            }
            Why::Aged { rule, since, clock, days } => {
                format!("{}, and rule {rule} allows {}", age(since, clock, now), whole_days(days))
            }
            Why::AgeUnknown { rule } => {
                format!("rule {rule} counts from the move to the archive, which is not recorded")
            }
        };
        if let Outcome::Blocked { action, parent, .. } = self.outcome {
            let verb = match action {
                Action::Expire => "deleted",
                Action::Archive => "archived",
            };
            reason = format!("{reason}; not {verb} because the index {} refers to it", digest(parent));
        }
        if let (Outcome::Keep, Some(other)) = (self.outcome, self.shielded_from) {
            reason = format!("{reason}; shielded from rule {other}");
        }
        reason
    }
}

fn age(since: Timestamp, clock: AgeClock, now: Timestamp) -> String {
    let event = match clock {
        AgeClock::Pushed => "pushed",
        AgeClock::Restored => "restored",
        AgeClock::Pulled => "last pulled",
        AgeClock::Archived => "archived",
    };
    // Tenths of a day, rounded down, so that what is shown as over a limit is over it.
    let tenths = now.millis().saturating_sub(since.millis()).max(0) / (DAY_MILLIS / 10);
    format!("{event} {}.{} days ago", tenths / 10, tenths % 10)
}

fn whole_days(days: u32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

#[cfg(test)]
mod tests {
    use berth_types::Digest;

    use super::*;
    use crate::evaluate::{Departure, REFERENCED_BY_MANIFEST_LIST};

    #[test]
    fn a_reason_says_rule_measure_shield_and_block() {
        let now = Timestamp::from_millis(100 * DAY_MILLIS);
        let images = [Image::new(Digest::sha256(b"index"), now)];
        let decision =
            |outcome, why, shielded_from| Decision { outcome, why, shielded_from, departure: Departure::Now };
        let ranked = Why::Ranked { rule: 1, rank: 3, keep: 20 };
        let since = Timestamp::from_millis(95 * DAY_MILLIS - 1);
        let aged = Why::Aged { rule: 2, since, clock: AgeClock::Pulled, days: 1 };
        let code = REFERENCED_BY_MANIFEST_LIST;
        let blocked = Outcome::Blocked { rule: 2, action: Action::Archive, code, parent: 0 };
        for (decision, text) in [
            (decision(Outcome::Keep, Why::NoRuleMatches, None), "no rule matches it".to_owned()),
            (
                decision(Outcome::Keep, ranked, Some(4)),
                "number 3 from the youngest of those that rule 1 counts, which keeps 20; shielded from rule 4".to_owned(),
            ),
            (
                decision(blocked, aged, Some(4)),
                format!(
                    "last pulled 5.0 days ago, and rule 2 allows 1 day; not archived because the index {} refers to it",
                    images[0].digest
                ),
            ),
        ] {
            assert_eq!(decision.reason(&images, now), text);
        }
    }
}
