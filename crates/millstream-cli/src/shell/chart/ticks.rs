//! Round numbers and times for axes, and how they are written.

use chrono::DateTime;

/// Steps of time that people count in, in milliseconds.
const TIME_STEPS: &[f64] = &[
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    50.0,
    100.0,
    200.0,
    500.0,
    1e3,
    2e3,
    5e3,
    10e3,
    15e3,
    30e3,
    60e3,
    120e3,
    300e3,
    600e3,
    900e3,
    1_800e3,
    3_600e3,
    7_200e3,
    10_800e3,
    21_600e3,
    43_200e3,
    86_400e3,
    172_800e3,
    604_800e3,
    2_592_000e3,
    7_776_000e3,
    31_536_000e3,
];
const DAY_MS: f64 = 86_400_000.0;

/// Round numbers from `low` to `high`, about `wanted` of them.
pub(super) fn round_numbers(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    multiples(low, high, step(high - low, wanted))
}

/// A step of 1, 2 or 5 times a power of ten.
fn step(span: f64, wanted: usize) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let raw = span / wanted.max(1) as f64;
    if raw <= 0.0 || !raw.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(raw.log10().floor());
    let scaled = raw / power;
    power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|step| scaled <= *step).unwrap_or(10.0)
}

/// Round times from `low` to `high` (milliseconds), about `wanted` of them, and their step.
pub(super) fn round_times(low: f64, high: f64, wanted: usize) -> (Vec<f64>, f64) {
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let raw = (high - low) / wanted.max(1) as f64;
    let step = TIME_STEPS.iter().copied().find(|step| *step >= raw).unwrap_or_else(|| (raw / 31_536_000e3).ceil() * 31_536_000e3);
    (multiples(low, high, step), step)
}

fn multiples(low: f64, high: f64, step: f64) -> Vec<f64> {
    let first = (low / step).ceil();
    let mut ticks = Vec::new();
    let mut n = first;
    while n * step <= high + step * 1e-9 && ticks.len() < 100 {
        ticks.push(n * step);
        n += 1.0;
    }
    ticks
}

/// A number, short: `12`, `0.25`, `1.5M`.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    for (unit, name) in [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")] {
        if size >= unit {
            let unit = if name == "k" { 1e3 } else { unit };
            return format!("{}{name}", plain(value / unit, 3));
        }
    }
    if size > 0.0 && size < 1e-3 {
        return format!("{value:.1e}");
    }
    plain(value, 4)
}

/// `digits` significant digits at most, no zeros at the end.
fn plain(value: f64, digits: i32) -> String {
    let before = if value == 0.0 { 1.0 } else { value.abs().log10().floor() + 1.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of digits")]
    let decimals = (f64::from(digits) - before.max(1.0)).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The time without its day: minutes, or seconds where a step is shorter.
pub(super) fn time_of_day(millis: f64, step: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a float beyond the calendar is none")]
    let Some(time) = DateTime::from_timestamp_millis(millis as i64) else { return number(millis) };
    time.naive_utc().format(if step >= 60_000.0 { "%H:%M" } else { "%H:%M:%S" }).to_string()
}

/// The day that two times (milliseconds) have in common.
pub(super) fn common_date(low: f64, high: f64) -> Option<String> {
    #[expect(clippy::cast_possible_truncation, reason = "a float beyond the calendar is none")]
    let date = |millis: f64| DateTime::from_timestamp_millis(millis as i64).map(|time| time.naive_utc().date());
    match (date(low), date(high)) {
        (Some(first), Some(last)) if first == last && low.is_finite() && high.is_finite() => Some(first.format("%Y-%m-%d").to_string()),
        _ => None,
    }
}

/// A time, as exact as steps of `step` milliseconds need.
pub(super) fn time(millis: f64, step: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "a float beyond the calendar is none")]
    let Some(time) = DateTime::from_timestamp_millis(millis as i64) else { return number(millis) };
    let is_midnight = millis.rem_euclid(DAY_MS) == 0.0;
    let format = match step {
        step if step >= DAY_MS => "%Y-%m-%d",
        step if is_midnight && step >= 60_000.0 => "%m-%d",
        step if step >= 60_000.0 => "%H:%M",
        step if step >= 1_000.0 => "%H:%M:%S",
        step if step > 1.0 => "%H:%M:%S%.3f",
        _ if millis.rem_euclid(1_000.0) == 0.0 => "%Y-%m-%d %H:%M:%S",
        _ => "%Y-%m-%d %H:%M:%S%.3f",
    };
    time.naive_utc().format(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(round_numbers(0.3, 9.7, 5), [2.0, 4.0, 6.0, 8.0]);
        assert_eq!(round_numbers(-1.0, 1.0, 4), [-1.0, -0.5, 0.0, 0.5, 1.0]);
        let (ticks, step) = round_times(1_704_067_203_000.0, 1_704_067_270_000.0, 5);
        assert_eq!((ticks[0], ticks.len(), step), (1_704_067_215_000.0, 4, 15_000.0));
        assert_eq!(time(ticks[0], step), "00:00:15");
        assert_eq!(round_numbers(5.0, 5.0, 3), [5.0]);
    }

    #[test]
    fn numbers_are_short() {
        let texts = [
            (0.0, "0"),
            (12.0, "12"),
            (0.25, "0.25"),
            (1_500_000.0, "1.5M"),
            (-12_345.0, "-12.3k"),
            (1234.5, "1234"),
            (0.000_01, "1.0e-5"),
        ];
        for (value, text) in texts {
            assert_eq!(number(value), text);
        }
    }
}
