//! Lines over a number or time axis.

use unicode_width::UnicodeWidthStr;

use super::canvas::{Canvas, colored};
use super::data::{Axis, Data};
use super::ticks;

/// Lines below the plot: the axis and its labels.
const LINES_BELOW: usize = 2;
const LABEL_GAP: usize = 2;

/// The least and greatest y that are drawn: rounded outwards, zero included if it is near.
pub(super) fn y_range(low: f64, high: f64) -> (f64, f64) {
    let span = high - low;
    let low = if low > 0.0 && low < span * 0.5 { 0.0 } else { low };
    if high > low {
        return (low, high);
    }
    let around = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
    (low - around, high + around)
}

pub(super) fn draw(data: &Data, width: usize, height: usize, has_color: bool) -> Vec<String> {
    let ((x_low, x_high), (low, high)) = data.range();
    let (y_low, y_high) = y_range(low, high);
    let has_legend = data.series().len() > 1 || data.series().first().is_some_and(|series| !series.name.is_empty());
    let plot_height = height.saturating_sub(LINES_BELOW + 1).max(2);
    let y_ticks = ticks::round_numbers(y_low, y_high, (plot_height / 2).clamp(2, 6));
    let labels: Vec<String> = y_ticks.iter().map(|tick| ticks::number(*tick)).collect();
    let label_width = labels.iter().map(String::len).max().unwrap_or(0);
    let plot_width = width.saturating_sub(label_width + LABEL_GAP).max(4);
    let canvas = plot(data, (plot_width, plot_height), (x_low, x_high), (y_low, y_high));
    let rows = canvas.rows(has_color);
    let mut lines = vec![head(data, has_legend, width, has_color)];
    for (idx, row) in rows.into_iter().enumerate() {
        let tick = y_ticks.iter().position(|tick| row_of(*tick, y_low, y_high, plot_height) == idx);
        let label = tick.map_or("", |tick| &labels[tick]);
        let mark = if tick.is_some() { '┤' } else { '│' };
        lines.push(format!("{label:>label_width$} {mark}{row}"));
    }
    lines.extend(x_axis(data, label_width, plot_width, x_low, x_high));
    lines
}

fn plot(data: &Data, size: (usize, usize), x: (f64, f64), y: (f64, f64)) -> Canvas {
    let mut canvas = Canvas::new(size.0, size.1);
    let (dots_x, dots_y) = canvas.dots();
    for (number, series) in data.series().iter().enumerate() {
        let mut points = series.points.clone();
        // Rows of a stream may come out of order; a line goes from left to right.
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let at = |point: &(f64, f64)| (place(point.0, x, dots_x), i64::try_from(dots_y).unwrap_or(0) - 1 - place(point.1, y, dots_y));
        let mut before = None;
        for point in &points {
            let here = at(point);
            canvas.line(before.unwrap_or(here), here, number);
            before = Some(here);
        }
    }
    canvas
}

/// The dot of a value.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "places on a screen")]
fn place(value: f64, (low, high): (f64, f64), dots: usize) -> i64 {
    if high <= low {
        return dots as i64 / 2;
    }
    ((value - low) / (high - low) * (dots.saturating_sub(1)) as f64).round() as i64
}

/// The character row of a y, from the top.
fn row_of(y: f64, low: f64, high: f64, height: usize) -> usize {
    let dot = place(y, (low, high), height * 4);
    height.saturating_sub(1) - usize::try_from(dot / 4).unwrap_or(0).min(height.saturating_sub(1))
}

/// The name of y, or the legend.
fn head(data: &Data, has_legend: bool, width: usize, has_color: bool) -> String {
    if !has_legend {
        return data.y_name.chars().take(width).collect();
    }
    let mut line = format!("{}  ", data.y_name);
    let mut used = line.width();
    for (number, series) in data.series().iter().enumerate() {
        let name = format!("■ {}  ", series.name);
        if used + name.width() > width {
            line.push('…');
            break;
        }
        used += name.width();
        line.push_str(&colored(&name, number, has_color));
    }
    line
}

fn x_axis(data: &Data, label_width: usize, plot_width: usize, low: f64, high: f64) -> [String; 2] {
    let wanted = (plot_width / 14).max(2);
    let (ticks, step) = match data.axis {
        Axis::Time => ticks::round_times(low, high, wanted),
        Axis::Number => (ticks::round_numbers(low, high, wanted), 1.0),
        Axis::Label => (ticks::round_numbers(low, high, wanted).into_iter().filter(|tick| tick.fract() == 0.0).collect(), 1.0),
    };
    let mut axis: Vec<char> = vec!['─'; plot_width];
    let mut labels: Vec<char> = vec![' '; plot_width];
    let mut free_from = 0;
    for tick in ticks {
        let dot = place(tick, (low, high), plot_width * 2);
        let column = usize::try_from(dot / 2).unwrap_or(0).min(plot_width - 1);
        axis[column] = '┬';
        let text: Vec<char> = match data.axis {
            Axis::Time => ticks::time(tick, step),
            _ => data.x_text(tick),
        }
        .chars()
        .collect();
        let start = column.saturating_sub(text.len() / 2).min(plot_width.saturating_sub(text.len()));
        if start >= free_from && start + text.len() <= plot_width {
            labels[start..start + text.len()].copy_from_slice(&text);
            free_from = start + text.len() + 2;
        }
    }
    let indent = " ".repeat(label_width + 1);
    [
        format!("{indent}└{}", axis.into_iter().collect::<String>()),
        format!("{indent} {}", labels.into_iter().collect::<String>()).trim_end().to_owned(),
    ]
}
