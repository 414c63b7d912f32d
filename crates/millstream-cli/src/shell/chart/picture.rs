//! A chart as shapes, for picture files.

use super::data::{Axis, Data};
use super::{Kind, Spec, bar, hist, line, ticks};

pub(super) const WIDTH: f64 = 960.0;
pub(super) const HEIGHT: f64 = 540.0;
/// The same in whole pixels.
pub(super) const PIXELS: (usize, usize) = (960, 540);
const LEFT: f64 = 80.0;
const RIGHT: f64 = 930.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 480.0;
/// Bars that can be told apart in a picture.
const BARS_MAX: usize = 60;
/// Letters of a label under a bar.
const LABEL_CHARS_MAX: usize = 14;

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];
pub(super) const INK: Rgb = [60, 60, 60];
const GRID: Rgb = [225, 225, 225];
const COLORS: [Rgb; 6] = [[31, 119, 180], [230, 126, 34], [142, 68, 173], [39, 174, 96], [192, 57, 43], [22, 160, 133]];

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing in a picture; units are pixels, y grows downwards.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Line { points: Vec<(f64, f64)>, color: Rgb, width: f64 },
    Rect { x: f64, y: f64, width: f64, height: f64, color: Rgb },
    Text { x: f64, y: f64, text: String, anchor: Anchor, color: Rgb },
}

/// The shapes of a chart.
pub(super) fn layout(spec: &Spec, data: &Data) -> Vec<Shape> {
    match spec.kind {
        Kind::Line | Kind::Spark => lines(data),
        Kind::Bar => bars(&bar::bars(data), data, true),
        Kind::Hist => {
            #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
            let named = |(low, _, count): (f64, f64, u64)| (ticks::number(low), 0, count as f64);
            bars(&hist::bins(data, 20).into_iter().map(named).collect::<Vec<_>>(), data, false)
        }
    }
}

fn text(x: f64, y: f64, text: impl Into<String>, anchor: Anchor) -> Shape {
    Shape::Text { x, y, text: text.into(), anchor, color: INK }
}

fn scaled(value: f64, (low, high): (f64, f64), from: f64, to: f64) -> f64 {
    if high > low { from + (value - low) / (high - low) * (to - from) } else { f64::midpoint(from, to) }
}

/// The grid of y with its numbers, and the name of y.
fn y_grid(y: (f64, f64), name: &str) -> Vec<Shape> {
    let mut shapes = vec![text(LEFT, TOP - 22.0, name, Anchor::Start)];
    for tick in ticks::round_numbers(y.0, y.1, 6) {
        let at = scaled(tick, y, BOTTOM, TOP);
        shapes.push(Shape::Line { points: vec![(LEFT, at), (RIGHT, at)], color: GRID, width: 1.0 });
        shapes.push(text(LEFT - 8.0, at + 4.0, ticks::number(tick), Anchor::End));
    }
    shapes
}

fn lines(data: &Data) -> Vec<Shape> {
    let (x, (low, high)) = data.range();
    let y = line::y_range(low, high);
    let mut shapes = y_grid(y, &data.y_name);
    let (marks, step) = match data.axis {
        Axis::Time => ticks::round_times(x.0, x.1, 8),
        Axis::Number => (ticks::round_numbers(x.0, x.1, 8), 1.0),
        Axis::Label => (ticks::round_numbers(x.0, x.1, 8).into_iter().filter(|tick| tick.fract() == 0.0).collect(), 1.0),
    };
    for mark in marks {
        let at = scaled(mark, x, LEFT, RIGHT);
        let label = if data.axis == Axis::Time { ticks::time(mark, step) } else { data.x_text(mark) };
        shapes.push(Shape::Line { points: vec![(at, BOTTOM), (at, BOTTOM + 6.0)], color: INK, width: 1.0 });
        shapes.push(text(at, BOTTOM + 24.0, label, Anchor::Middle));
    }
    shapes.push(Shape::Line { points: vec![(LEFT, BOTTOM), (RIGHT, BOTTOM)], color: INK, width: 1.0 });
    shapes.push(text(f64::midpoint(LEFT, RIGHT), HEIGHT - 12.0, &data.x_name, Anchor::Middle));
    let mut legend_x = LEFT + 160.0;
    for (number, series) in data.series().iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let mut points: Vec<(f64, f64)> = series.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points = points.into_iter().map(|(px, py)| (scaled(px, x, LEFT, RIGHT), scaled(py, y, BOTTOM, TOP))).collect();
        shapes.push(Shape::Line { points, color, width: 2.0 });
        if !series.name.is_empty() && legend_x < RIGHT - 80.0 {
            shapes.push(Shape::Rect { x: legend_x, y: TOP - 32.0, width: 10.0, height: 10.0, color });
            shapes.push(text(legend_x + 16.0, TOP - 22.0, &series.name, Anchor::Start));
            #[expect(clippy::cast_precision_loss, reason = "a short name")]
            let advance = series.name.chars().count() as f64 * 8.0 + 40.0;
            legend_x += advance;
        }
    }
    shapes
}

fn bars(bars: &[(String, usize, f64)], data: &Data, is_named_by_x: bool) -> Vec<Shape> {
    let bars = &bars[bars.len().saturating_sub(BARS_MAX)..];
    let greatest = bars.iter().map(|(.., y)| *y).fold(0.0, f64::max);
    let least = bars.iter().map(|(.., y)| *y).fold(0.0, f64::min);
    let y = if greatest > least { (least, greatest) } else { (0.0, 1.0) };
    let mut shapes = y_grid(y, if is_named_by_x { &data.y_name } else { "rows" });
    #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
    let slot = (RIGHT - LEFT) / bars.len().max(1) as f64;
    // Labels stand beside each other only as far as there is room for their letters.
    let longest = bars.iter().map(|(label, ..)| label.chars().count().min(LABEL_CHARS_MAX)).max().unwrap_or(1);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of letters")]
    let every = ((longest as f64 * 9.0 / slot).ceil() as usize).max(1);
    let zero = scaled(0.0, y, BOTTOM, TOP);
    for (idx, (label, number, value)) in bars.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
        let left = LEFT + idx as f64 * slot;
        let top = scaled(*value, y, BOTTOM, TOP);
        let color = COLORS[number % COLORS.len()];
        shapes.push(Shape::Rect { x: left + slot * 0.1, y: top.min(zero), width: slot * 0.8, height: (zero - top).abs(), color });
        if idx % every == 0 {
            let label: String = label.chars().take(LABEL_CHARS_MAX).collect();
            shapes.push(text(left + slot / 2.0, BOTTOM + 24.0, label, Anchor::Middle));
        }
    }
    shapes.push(Shape::Line { points: vec![(LEFT, zero), (RIGHT, zero)], color: INK, width: 1.0 });
    let name = if is_named_by_x { &data.x_name } else { &data.y_name };
    shapes.push(text(f64::midpoint(LEFT, RIGHT), HEIGHT - 12.0, name, Anchor::Middle));
    shapes
}
