//! Moments, sizes and money as people read and write them.

use berth_types::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Milliseconds in a day of 24 hours.
pub(crate) const DAY_MILLIS: i64 = 24 * 60 * 60 * 1000;
/// What Amazon's prices call a GB: 2^30 bytes.
pub(crate) const GB_BYTES: u64 = 1 << 30;
/// From here on a number of epoch seconds is in fact one of milliseconds.
const EPOCH_SECONDS_MAX: f64 = 1e11;

/// Reads a moment: RFC 3339, or a date, which is its midnight UTC.
pub(crate) fn parse_moment(text: &str) -> Result<Timestamp, String> {
    let parsed = match text.parse::<Date>() {
        Ok(date) if text.len() == "2026-01-01".len() => TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)),
        _ => text.parse::<jiff::Timestamp>(),
    };
    let moment = parsed.map_err(|_| format!("{text:?} is no time like 2026-01-31T12:00:00Z and no date"))?;
    Ok(Timestamp::from_millis(moment.as_millisecond()))
}

/// A moment from epoch seconds with their fraction.
pub(crate) fn moment_from_seconds(seconds: f64) -> Result<Timestamp, String> {
    if !seconds.is_finite() || seconds < 0.0 {
        return Err(format!("{seconds} is no time in epoch seconds"));
    }
    if seconds >= EPOCH_SECONDS_MAX {
        return Err(format!("{seconds} is too large for epoch seconds; are these milliseconds?"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded above: less than 10^14")]
    Ok(Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

/// RFC 3339 in UTC, without a fraction.
pub(crate) fn format_moment(moment: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(moment.millis()) {
        Ok(moment) => moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => format!("{} ms", moment.millis()),
    }
}

/// The date in UTC.
pub(crate) fn format_date(moment: Timestamp) -> String {
    match jiff::Timestamp::from_millisecond(moment.millis()) {
        Ok(moment) => moment.strftime("%Y-%m-%d").to_string(),
        Err(_) => format!("{} ms", moment.millis()),
    }
}

/// A size in binary units, with three digits.
pub(crate) fn format_bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = to_f64(bytes) / 1024.0;
    let mut unit = UNITS[0];
    for next in &UNITS[1..] {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$} {unit}")
}

/// A number of bytes, or of anything, as a number that can be multiplied with a price.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53, and close beyond")]
pub(crate) fn to_f64(number: u64) -> f64 {
    number as f64
}

/// Dollars and cents; more digits where there are only fractions of a cent.
pub(crate) fn format_dollars(dollars: f64) -> String {
    let digits = if dollars != 0.0 && dollars.abs() < 0.1 { 4 } else { 2 };
    format!("${dollars:.digits$}")
}

/// `1 image`, `2 images`, with thousands set apart.
pub(crate) fn count(number: usize, noun: &str) -> String {
    count_of(number, noun, &format!("{noun}s"))
}

/// The same for nouns with a plural of their own.
pub(crate) fn count_of(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `12,345`.
pub(crate) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_in_both_forms() {
        let noon = Timestamp::from_millis(1_767_268_800_000);
        assert_eq!(parse_moment("2026-01-01T12:00:00Z"), Ok(noon));
        assert_eq!(parse_moment("2026-01-01T13:00:00+01:00"), Ok(noon));
        assert_eq!(parse_moment("2026-01-01"), Ok(Timestamp::from_millis(1_767_225_600_000)));
        assert_eq!(moment_from_seconds(1_767_268_800.0), Ok(noon));
        assert!(moment_from_seconds(1_767_268_800_000.0).unwrap_err().contains("milliseconds"));
        for wrong in ["", "yesterday", "2026-13-01", "2026-01-01T12:00:00", "12:00"] {
            assert!(parse_moment(wrong).is_err(), "{wrong}");
        }
        assert!(moment_from_seconds(f64::NAN).is_err() && moment_from_seconds(-1.0).is_err());
    }

    #[test]
    fn numbers_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (10 << 20, "10.0 MiB"),
            (1023 << 20, "1.00 GiB"),
            (150 << 30, "150 GiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(format_bytes(bytes), text);
        }
        assert_eq!(count(1, "image"), "1 image");
        assert_eq!(count(1_234_567, "image"), "1,234,567 images");
        assert_eq!(format_dollars(12.345), "$12.35");
        assert_eq!(format_dollars(0.0123), "$0.0123");
        assert_eq!(format_dollars(0.0), "$0.00");
    }
}
