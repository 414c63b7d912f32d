//! A bar for each x, lying, so that labels have room.

use unicode_width::UnicodeWidthStr;

use super::canvas::colored;
use super::data::{Axis, Data};
use super::ticks;

const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The bars of all series: of an x that comes twice the last counts.
pub(super) fn bars(data: &Data) -> Vec<(String, usize, f64)> {
    named_bars(data, |x| data.x_text(x))
}

/// The same, with times as short as they can be told apart.
pub(super) fn short_bars(data: &Data) -> Vec<(String, usize, f64)> {
    let (low, high) = data.range().0;
    let seconds = data.series().iter().flat_map(|series| &series.points).any(|(x, _)| x.rem_euclid(60_000.0) != 0.0);
    let step = match ticks::common_date(low, high) {
        Some(_) if seconds => 1_000.0,
        Some(_) => 60_000.0,
        None => 1.0,
    };
    match data.axis {
        Axis::Time => named_bars(data, |x| if step > 1.0 { ticks::time_of_day(x, step) } else { data.x_text(x) }),
        _ => bars(data),
    }
}

fn named_bars(data: &Data, x_text: impl Fn(f64) -> String) -> Vec<(String, usize, f64)> {
    let mut bars: Vec<(f64, usize, f64)> = Vec::new();
    for (number, series) in data.series().iter().enumerate() {
        let mut last: std::collections::BTreeMap<u64, (usize, f64)> = std::collections::BTreeMap::new();
        for (place, (x, y)) in series.points.iter().enumerate() {
            last.insert(x.to_bits(), (place, *y));
        }
        bars.extend(last.into_iter().map(|(x, (_, y))| (f64::from_bits(x), number, y)));
    }
    bars.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let name = |x: f64, number: usize| match data.series()[number].name.as_str() {
        "" => x_text(x),
        series => format!("{} {series}", x_text(x)),
    };
    bars.into_iter().map(|(x, number, y)| (name(x, number), number, y)).collect()
}

pub(super) fn draw(data: &Data, width: usize, height: usize, has_color: bool) -> Vec<String> {
    let all = bars(data);
    let room = height.saturating_sub(1).max(1);
    // Of more than there is room for, the last: they are the newest.
    let shown = &all[all.len().saturating_sub(room)..];
    let mut lines = vec![match all.len() - shown.len() {
        0 => data.y_name.clone(),
        hidden => format!("{} (the last {} of {})", data.y_name, shown.len(), shown.len() + hidden),
    }];
    lines.extend(lying(shown, width, has_color));
    lines
}

/// Bars with labels in front and figures behind.
pub(super) fn lying(bars: &[(String, usize, f64)], width: usize, has_color: bool) -> Vec<String> {
    let label_width = bars.iter().map(|(label, ..)| label.width()).max().unwrap_or(0).min(width / 3);
    let figures: Vec<String> = bars.iter().map(|(.., y)| ticks::number(*y)).collect();
    let figure_width = figures.iter().map(String::len).max().unwrap_or(0);
    let room = width.saturating_sub(label_width + figure_width + 3).max(4);
    let greatest = bars.iter().map(|(.., y)| y.abs()).fold(0.0, f64::max);
    let line = |((label, number, y), figure): (&(String, usize, f64), &String)| {
        let label: String = label.chars().take(label_width).collect();
        let padding = " ".repeat(label_width.saturating_sub(label.width()));
        format!("{padding}{label} │{} {figure}", colored(&bar(y.abs(), greatest, room), *number, has_color))
    };
    bars.iter().zip(&figures).map(line).collect()
}

#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places on a screen")]
fn bar(value: f64, greatest: f64, room: usize) -> String {
    if greatest <= 0.0 {
        return String::new();
    }
    let eighths = (value / greatest * (room * 8) as f64).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}
