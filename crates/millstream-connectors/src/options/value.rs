//! What people write as a duration, a size, a count, a truth value.

use std::time::Duration;

use super::did_you_mean;
use crate::error::{ConnectorError, Result};

/// A duration: a number and a unit (`'10s'`, `'500 ms'`, `'1.5 min'`, `'2 hours'`, `'1 d'`), several of them (`'1 min 30 s'`), or
/// `'0'`. A number alone has no unit and is refused.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let (number, after) = split_number(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic() && c != 'µ').unwrap_or(after.len());
        let seconds = number * seconds_per(&after[..end])?;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after[end..].trim_start();
    }
    Some(total)
}

fn seconds_per(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => 1e-9,
        "us" | "µs" | "micro" | "micros" | "microsecond" | "microseconds" => 1e-6,
        "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => 1e-3,
        "s" | "sec" | "secs" | "second" | "seconds" => 1.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        "d" | "day" | "days" => 86_400.0,
        _ => return None,
    })
}

/// A number of bytes: `'16 MiB'`, `'64kb'`, `'1048576'`. As everywhere in Flink, `kb`, `mb` and `gb` are powers of 1024.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text.trim())?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "byte" | "bytes" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    to_u64(number * factor as f64)
}

/// A count: `'1000'`, `'1_000'`, `'10k'`, `'5m'`, `'1e6'`.
pub fn parse_count(text: &str) -> Option<u64> {
    let plain: String = text.trim().chars().filter(|c| *c != '_').collect();
    if let Ok(count) = plain.parse() {
        return Some(count);
    }
    if let Ok(number) = plain.parse::<f64>() {
        return to_u64(number);
    }
    let (number, unit) = split_number(&plain)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "k" => 1e3,
        "m" => 1e6,
        "g" | "b" => 1e9,
        _ => return None,
    };
    to_u64(number * factor)
}

/// `true`, `on`, `yes`, `1` and their opposites, in any case.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "on" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "off" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

pub(super) fn parse_choice(key: &str, text: &str, choices: &[&'static str]) -> Result<&'static str> {
    let word = text.trim();
    if let Some(choice) = choices.iter().find(|choice| choice.eq_ignore_ascii_case(word)) {
        return Ok(choice);
    }
    let all = choices.iter().map(|choice| format!("'{choice}'")).collect::<Vec<_>>().join(", ");
    let hint = match did_you_mean(word, choices.iter().copied()) {
        Some(near) => format!("did you mean '{near}'?"),
        None => format!("for example '{key}' = '{}'", choices.first().copied().unwrap_or_default()),
    };
    Err(ConnectorError::config(format!("option '{key}' must be one of {all}: got '{text}' (hint: {hint})")))
}

pub(super) fn bad_value(key: &str, text: &str, expected: &str, example: &str) -> ConnectorError {
    ConnectorError::config(format!("option '{key}' must be {expected}: got '{text}' (hint: for example '{key}' = '{example}')"))
}

/// A leading non-negative decimal number and what follows it.
fn split_number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    let number = text[..end].replace('_', "").parse().ok()?;
    Some((number, text[end..].trim_start()))
}

fn to_u64(number: f64) -> Option<u64> {
    (number.is_finite() && number >= 0.0 && number < u64::MAX as f64).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let ms = |text| parse_duration(text).map(|duration| duration.as_millis());
        for text in ["10s", "10 s", "10 seconds", " 10 SECOND ", "10000ms", "0.5 s 9.5s"] {
            assert_eq!(ms(text), Some(10_000), "{text}");
        }
        assert_eq!(ms("1 min"), Some(60_000));
        assert_eq!(ms("1 min 30 s"), Some(90_000));
        assert_eq!(ms("2h"), Some(7_200_000));
        assert_eq!(ms("0"), Some(0));
        for text in ["", "10", "s", "-1s", "ten s", "1 fortnight", "99999999999999999999 d"] {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_and_counts() {
        assert_eq!(parse_bytes("16 MiB"), Some(16 << 20));
        assert_eq!(parse_bytes("64kb"), Some(64 << 10));
        assert_eq!(parse_bytes("12"), Some(12));
        assert_eq!(parse_bytes("1 acre"), None);
        assert_eq!(parse_count("10k"), Some(10_000));
        assert_eq!(parse_count("1e6"), Some(1_000_000));
        assert_eq!(parse_count(&u64::MAX.to_string()), Some(u64::MAX));
        assert_eq!(parse_count("-5"), None);
        assert_eq!(parse_count("NaN"), None);
    }
}
