//! How often values come: a bar for each stretch of them.

use super::bar::lying;
use super::data::Data;
use super::ticks;

/// Stretches of values with how many lie in each.
pub(super) fn bins(data: &Data, wanted: usize) -> Vec<(f64, f64, u64)> {
    let values: Vec<f64> = data.series().iter().flat_map(|series| series.points.iter().map(|(_, y)| *y)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let edges = ticks::round_numbers(low, high, wanted.max(2));
    let step = match edges.as_slice() {
        [first, second, ..] => second - first,
        _ => 1.0,
    };
    let start = (low / step).floor() * step;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bin, counted from the first")]
    let bin = |value: f64| ((value - start) / step + 1e-9).floor().max(0.0) as usize;
    let mut counts = vec![0_u64; bin(high) + 1];
    for value in values {
        counts[bin(value)] += 1;
    }
    #[expect(clippy::cast_precision_loss, reason = "a bin")]
    let range = |(idx, count): (usize, u64)| (start + idx as f64 * step, start + (idx + 1) as f64 * step, count);
    counts.into_iter().enumerate().map(range).collect()
}

pub(super) fn draw(data: &Data, width: usize, height: usize, has_color: bool) -> Vec<String> {
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    let bar = |(low, high, count): (f64, f64, u64)| (format!("{} – {}", ticks::number(low), ticks::number(high)), 0, count as f64);
    let bars: Vec<_> = bins(data, height.saturating_sub(4)).into_iter().map(bar).collect();
    let mut lines = vec![format!("{}: rows by value", data.y_name)];
    lines.extend(lying(&bars, width, has_color));
    lines
}
