//! Numbers for people: `3.4 M`, `12.3 MiB`, `1.2 s`.

use std::time::Duration;

/// Three significant digits and a decimal unit: `999`, `1.0 k`, `3.4 M`.
pub(crate) fn count(value: f64) -> String {
    scaled(value, 1000.0, &["", " k", " M", " G", " T"])
}

/// [`count`] of something that is counted in whole numbers.
pub(crate) fn rows(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = value as f64;
    count(value)
}

/// Three significant digits and a binary unit: `512 B`, `12.3 MiB`.
pub(crate) fn bytes(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let value = value as f64;
    scaled(value, 1024.0, &[" B", " KiB", " MiB", " GiB", " TiB"])
}

/// `12 ms`, `1.2 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(value: Duration) -> String {
    let seconds = value.as_secs();
    match seconds {
        0 => format!("{} ms", value.as_millis()),
        1..60 => format!("{:.1} s", value.as_secs_f64()),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

fn scaled(mut value: f64, step: f64, units: &[&str]) -> String {
    let mut idx = 0;
    // 999.5 would round to four digits.
    while value >= step - 0.5 && idx + 1 < units.len() {
        value /= step;
        idx += 1;
    }
    match idx > 0 && value < 99.95 {
        true => format!("{value:.1}{}", units[idx]),
        false => format!("{value:.0}{}", units[idx]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        let counts = [(0.0, "0"), (999.4, "999"), (999.6, "1.0 k"), (3_400_000.0, "3.4 M"), (123_456.0, "123 k"), (1e18, "1000000 T")];
        for (value, text) in counts {
            assert_eq!(count(value), text);
        }
        assert_eq!([bytes(0), bytes(512), bytes(12_900_000)], ["0 B", "512 B", "12.3 MiB"]);
        let durations = [(12, "12 ms"), (1_234, "1.2 s"), (200_000, "3 min 20 s"), (7_500_000, "2 h 5 min"), (273_600_000, "3 d 4 h")];
        for (millis, text) in durations {
            assert_eq!(duration(Duration::from_millis(millis)), text);
        }
    }
}
