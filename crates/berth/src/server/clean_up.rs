//! The section `[clean_up]` of the settings file: when what nobody needs any more is deleted.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use berth_registry::lifecycle::UNDO_WINDOW_DEFAULT;
use berth_server::CleanUp;
use serde::Deserialize;

/// As it is written; what is absent has its default.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CleanUpFile {
    undo_window_hours: Option<u32>,
    lifecycle_interval_minutes: Option<NonZeroU32>,
    grace_minutes: Option<NonZeroU32>,
    blobs_per_second_max: Option<NonZeroUsize>,
}

impl CleanUpFile {
    /// How long images that a lifecycle policy deleted can be restored; zero: not at all.
    pub(crate) fn undo_window(self) -> Duration {
        self.undo_window_hours
            .map_or(UNDO_WINDOW_DEFAULT, |hours| Duration::from_secs(u64::from(hours) * 3600))
    }

    /// What the server does beside the requests.
    pub(crate) fn options(self) -> CleanUp {
        let default = CleanUp::default();
        let minutes = |minutes: NonZeroU32| Duration::from_secs(u64::from(minutes.get()) * 60);
        CleanUp {
            lifecycle_interval: self.lifecycle_interval_minutes.map_or(default.lifecycle_interval, minutes),
            grace: self.grace_minutes.map_or(default.grace, minutes),
            blobs_per_second_max: self
                .blobs_per_second_max
                .map_or(default.blobs_per_second_max, NonZeroUsize::get),
            ..default
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_absent_has_its_default() {
        let file: CleanUpFile = toml::from_str("").unwrap();
        assert_eq!(file.undo_window(), Duration::from_secs(24 * 3600));
        let options = file.options();
        assert_eq!(
            (options.lifecycle_interval, options.grace),
            (Duration::from_secs(3600), Duration::from_secs(3600))
        );
        assert_eq!(options.blobs_per_second_max, 500);
    }

    #[test]
    fn what_is_written_holds_and_nonsense_is_refused() {
        let text = "undo_window_hours = 0\nlifecycle_interval_minutes = 5\ngrace_minutes = 30\nblobs_per_second_max = 9";
        let file: CleanUpFile = toml::from_str(text).unwrap();
        assert_eq!(file.undo_window(), Duration::ZERO);
        let options = file.options();
        assert_eq!(
            (options.lifecycle_interval, options.grace),
            (Duration::from_secs(300), Duration::from_secs(1800))
        );
        assert_eq!(options.blobs_per_second_max, 9);
        for wrong in
            ["grace_minutes = 0", "lifecycle_interval_minutes = 0", "undo_window_hours = -1", "gracE = 1"]
        {
            assert!(toml::from_str::<CleanUpFile>(wrong).is_err(), "{wrong}");
        }
    }
}
